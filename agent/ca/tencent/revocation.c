#include "agent/ca/tencent/revocation.h"

#include <stdarg.h>
#include <stdio.h>

#include "agent/base/util.h"

#define TOO_OLD_S 1585065600 /* 2020-03-25 00:00 GMT+8 */
#define NEAR_END_S (30 * 86400)

static void say(struct tc_revocation *r, const char *code, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
static void say(struct tc_revocation *r, const char *code, const char *format, ...)
{
        va_list ap;
        r->code = code;
        va_start(ap, format);
        vsnprintf(r->text, sizeof r->text, format, ap);
        va_end(ap);
}

static const char *what_it_takes(struct tc_product p)
{
        if (p.brand == TC_WOTRUS || (p.brand == TC_DNSPOD && p.sm2 && p.class == TC_DV))
                return "a person at the CA approves it, a reason is required";
        if (p.class == TC_OV || p.class == TC_EV)
                return "it needs a stamped letter of your company and a review";
        return "it needs a validation of its own within 3 d, and is final";
}

/* The last 30 days are no time for it, except at Wotrus and for SM2. */
static bool has_near_end(struct tc_product p)
{
        return p.brand != TC_WOTRUS && !p.sm2;
}

static bool is_too_late(const struct tc_cert *c, int64_t now_s, struct tc_revocation *r)
{
        char left[40], date[32];
        if (c->end_s == 0)
                return false;
        format_date(c->end_s, date, sizeof date);
        format_span(MAX(c->end_s - now_s, 0), left, sizeof left);
        if (c->end_s <= now_s)
                say(r, "tc.over", "%s ended on %s: there is nothing left to revoke", c->id, date);
        else if (has_near_end(tc_product_of(c)) && c->end_s - now_s <= NEAR_END_S)
                say(r, "tc.near-end", "%s has %s left (until %s): Tencent revokes nothing in its last 30 d", c->id,
                        left, date);
        else
                return false;
        return true;
}

void tc_revocation_of(const struct tc_cert *c, const char *other, int64_t now_s, struct tc_revocation *ret)
{
        char date[32], until[60] = "";
        struct tc_product p = tc_product_of(c);
        if (!other || !*other)
                other = *c->replaced_for ? c->replaced_for : c->replaced_by;
        if (c->uploaded)
                return say(
                        ret, "tc.uploaded", "%s was uploaded: Tencent does not revoke it; revoke it at its CA", c->id);
        if (c->begin_s && c->begin_s < TOO_OLD_S)
                return say(ret, "tc.too-old", "%s was issued before 2020-03-25: Tencent does not revoke it", c->id);
        if (is_too_late(c, now_s, ret))
                return;
        if (c->end_s && has_near_end(p)) {
                format_date(c->end_s - NEAR_END_S, date, sizeof date);
                snprintf(until, sizeof until, ", not possible from %s on", date);
        }
        if (*other)
                say(ret, "tc.both",
                        "%s and %s are original and reissue: Tencent revokes both or none, through the original, and "
                        "one may be in use; %s%s",
                        c->id, other, what_it_takes(p), until);
        else
                say(ret, NULL, "%s can be revoked by itself while it has no reissue; %s%s", c->id, what_it_takes(p),
                        until);
}
