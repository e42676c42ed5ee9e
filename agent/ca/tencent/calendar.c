/* The eighteen rules as they stand for one certificate, each with the date from which or until which it holds: what a
 * dry run shows. Nothing is decided here; rules.c does that. */
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "agent/base/util.h"
#include "agent/ca/tencent/product.h"
#include "agent/ca/tencent/rules.h"

#define DATE 40
#define WAIVED_MONTHS 13 /* R17 */

struct day { /* what the lines are made of */
        const struct tc_facts *f;
        const struct tc_ruling *r;
        struct tc_product product;
        bool waives; /* R7 and R8 are stated for the product */
        int64_t until_s; /* R2's; 0: not known */
        char until[DATE], issued[DATE], waiver[DATE], end[DATE];
        struct buf *line;
};

static void say(const struct day *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(const struct day *d, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        buf_addv(d->line, format, ap);
        va_end(ap);
}

static void when(int64_t at_s, char ret[DATE])
{
        if (at_s)
                format_time(at_s, ret, DATE);
        else
                snprintf(ret, DATE, "an unknown time");
}

static void rule_1(const struct day *d)
{
        const struct tc_cert *h = d->f->head;
        if (h->uploaded || h->package < 0)
                say(d, "it was uploaded, not issued here: never to be reissued");
        else if (tc_cert_is_issued(h))
                say(d, "issued since %s: it may be reissued", d->issued);
        else
                say(d, "not to be reissued until it is issued (status %d, %s)", h->status, tc_status_text(h->status));
}

static void rule_2(const struct day *d)
{
        if (d->until_s == 0)
                say(d, "its end is not known, and a reissue needs more than 30 d");
        else if (d->until_s > d->f->now_s)
                say(d, "it can be reissued until %s (30 d before its end)%s", d->until,
                        d->product.free ? "; once (R3)" : "");
        else
                say(d, "not to be reissued since %s (30 d before its end)", d->until);
}

static void rule_3(const struct day *d)
{
        const struct tc_cert *used = tc_used_by(d->f);
        char date[DATE];
        if (!d->product.free)
                return say(d, "not a free one: reissued as often as needed until %s", d->until);
        if (!used && !*d->f->head->replaced_by && !*d->f->head->replaced_for)
                return say(d, "the only reissue of a free certificate is unused; it can be had until %s", d->until);
        when(used ? (used->inserted_s ? used->inserted_s : used->begin_s) : d->f->head->inserted_s, date);
        say(d, "the only reissue of a free certificate was used on %s: no other from then on", date);
}

static void rule_4(const struct day *d)
{
        const struct tc_cert *sibling = tc_sibling_of(d->f);
        char since[DATE];
        if (!sibling)
                return say(
                        d, "no sibling is being reissued now; one that is holds this one up from then until it ends");
        when(tc_cert_is_issued(sibling) ? 0 : sibling->inserted_s, since);
        say(d, "sibling %s (%s) is being reissued since %s: this one waits until that ends",
                sibling->domain ? sibling->domain : "?", sibling->id, since);
}

static void rule_5(const struct day *d)
{
        const struct tc_cert *running = tc_running_of(d->f);
        char since[DATE];
        if (!running && d->f->head->status != TC_REISSUING)
                return say(d, "no reissue runs now; from the next one on it is resumed, not doubled, until it ends");
        when(running ? running->inserted_s : 0, since);
        say(d, "a reissue runs since %s (%s): it is resumed, no second one until it ends", since,
                running ? running->id : "its id is not shown yet");
}

static void rule_6(const struct day *d)
{
        say(d, "a reissue ends when this one ends, %s", d->end);
}

static void rule_7(const struct day *d)
{
        if (d->waives)
                say(d, "the same key and CSR again need no validation, until %s", d->until);
        else
                say(d, "the same CSR saves nothing at this product: it validates each reissue until %s", d->until);
}

static void rule_8(const struct day *d)
{
        if (!d->waives)
                return say(d, "no days of grace at this product: each reissue is validated until %s", d->until);
        bool now = d->f->issued_s && d->f->now_s - d->f->issued_s < TC_WAIVER_S;
        say(d,
                now ? "no validation is needed until %s (72 h after issue)"
                    : "validation is needed since %s (72 h after issue)",
                d->waiver);
}

static void rule_9(const struct day *d)
{
        say(d, "a new CSR is validated by %s, from %s on", conf_validation_name(d->r->validation),
                d->waives ? d->waiver : d->issued);
}

static bool has_person(const struct day *d)
{
        return d->product.class == TC_OV || d->product.class == TC_EV;
}

static void rule_10(const struct day *d)
{
        if (!has_person(d))
                return say(d, "no person approves a DV certificate, until %s", d->until);
        say(d,
                tc_product_has_own_review(d->product)
                        ? "a person at the CA approves each reissue after its validation, "
                          "until %s"
                        : "the CA may phone or write to your company before it issues, "
                          "until %s",
                d->until);
}

static void rule_11(const struct day *d)
{
        if (has_person(d) && tc_product_has_own_review(d->product))
                say(d, "no approval where the company was approved before with the same data, until %s", d->until);
        else
                say(d, "there is no approval here that could be left out, until %s", d->until);
}

static void rule_12(const struct day *d)
{
        say(d, "no key password is sent, so that cloud services take it: always");
}

static void rule_13(const struct day *d)
{
        say(d, "a CSR carries exactly the names of %s: always", d->f->head->id);
}

static void rule_14(const struct day *d)
{
        say(d, "keys: %s, until %s",
                d->product.free          ? "rsa-2048 only (free)"
                        : d->product.sm2 ? "sm2"
                                         : "rsa-2048, rsa-4096, ec-p256, ec-p384",
                d->until);
}

static void rule_15(const struct day *d)
{
        say(d, "a short reason goes with each order: always");
}

static void rule_16(const struct day *d)
{
        const struct tc_cert *first = d->f->chain->count ? &d->f->chain->member[0] : d->f->head;
        char since[DATE];
        when(first->inserted_s ? first->inserted_s : first->begin_s, since);
        if (d->product.free && *first->verify_type)
                say(d, "validated by %s, as when it was first applied for on %s", first->verify_type, since);
        else
                say(d, "validated by %s%s, until %s", conf_validation_name(d->r->validation),
                        tc_cert_has_wildcard(d->f->head) ? " (a wildcard: never by file)" : "", d->until);
}

static int64_t months_after(int64_t at_s, int months)
{
        time_t t = (time_t)at_s;
        struct tm tm;
        gmtime_r(&t, &tm);
        tm.tm_mon += months;
        return timegm(&tm);
}

static void rule_17(const struct day *d)
{
        const struct tc_cert *h = d->f->head;
        char until[DATE];
        if (d->product.class != TC_DV || d->product.free)
                return say(d, "no waiver by an earlier validation at this product, until %s", d->until);
        int64_t from_s = h->validated_s ? h->validated_s : d->f->issued_s;
        when(from_s ? months_after(from_s, WAIVED_MONTHS) : 0, until);
        say(d, "the CA may waive the validation until %s (13 months after the last one of the same company)", until);
}

static void rule_18(const struct day *d)
{
        char until[DATE];
        when(d->f->now_s + TC_DCV_S, until);
        say(d, "an order placed now fails unless it is validated until %s (3 d)", until);
}

bool tc_calendar(const struct tc_facts *f, const struct tc_ruling *r, struct texts *ret)
{
        static void (*const lines[])(const struct day *) = { rule_1, rule_2, rule_3, rule_4, rule_5, rule_6, rule_7,
                rule_8, rule_9, rule_10, rule_11, rule_12, rule_13, rule_14, rule_15, rule_16, rule_17, rule_18 };
        struct day d = { .f = f, .r = r, .product = tc_product_of(f->head) };
        bool good = true;
        d.waives = tc_product_waives(d.product);
        d.until_s = f->head->end_s ? f->head->end_s - TC_LEFT_MIN_S : 0;
        when(d.until_s, d.until);
        when(f->issued_s, d.issued);
        when(f->issued_s ? f->issued_s + TC_WAIVER_S : 0, d.waiver);
        when(f->head->end_s, d.end);
        for (size_t i = 0; good && i < ARRAY_LEN(lines); i++) {
                CLEANUP(buf_done) struct buf line = { .max = 500 };
                d.line = &line;
                say(&d, "R%zu: ", i + 1);
                lines[i](&d);
                good = !line.failed && texts_add(ret, line.data);
        }
        return good;
}
