#include "agent/ca/tencent/rules.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "agent/ca/tencent/domain.h"

#define SIBLING_RETRY_S 600
#define WARN_LEFT_S (60 * 86400)
#define CANCEL_RETRY_S 60

void tc_ruling_done(struct tc_ruling *r)
{
        texts_done(&r->notes);
}

static void note(struct tc_ruling *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct tc_ruling *r, const char *format, ...)
{
        CLEANUP(buf_done) struct buf text = { 0 };
        va_list ap;

        va_start(ap, format);
        buf_addv(&text, format, ap);
        va_end(ap);
        if (text.failed || !texts_add(&r->notes, text.data))
                err_memory(&r->refused);
}

static void since_text(int64_t at_s, char ret[40])
{
        if (at_s)
                format_time(at_s, ret, 40);
        else
                snprintf(ret, 40, "an unknown time");
}

/* ---- R1, R2, R3: may it be had at all ---- */

static bool rule_1(const struct tc_facts *f, struct tc_ruling *r)
{
        const struct tc_cert *h = f->head;

        if (h->uploaded || h->package < 0) {
                err_set(&r->refused, ERR_RULE, "R1",
                        "R1: %s was uploaded to the account, not issued by it: it cannot be reissued", h->id);
                return err_fix(&r->refused, "name the certificate_id of one that was applied for or bought there");
        }
        /* One that runs and replaces another is R5's affair; a first order that runs is not. */
        if (tc_cert_is_issued(h) || tc_chain_running(f->chain, h) || tc_is_reissuing(h))
                return true;
        return err_set(&r->refused, ERR_RULE, "R1", "R1: %s is not issued: status %d, %s", h->id, h->status,
                tc_status_text(h->status));
}

static bool rule_2(const struct tc_facts *f, struct tc_ruling *r)
{
        char left[40];

        if (!f->head->end_s)
                return err_set(&r->refused, ERR_RULE, "R2",
                        "R2: the end of %s is not known, a reissue needs more than 30 d", f->head->id);
        int64_t left_s = f->head->end_s - f->now_s;
        r->reissuable_until_s = f->head->end_s - TC_LEFT_MIN_S;
        if (left_s > TC_LEFT_MIN_S)
                return true;
        format_span(MAX(left_s, 0), left, sizeof left);
        err_set(&r->refused, ERR_RULE, "R2", "R2: %s left, a reissue needs more than 30 d; renew instead", left);
        return err_fix(&r->refused, "buy or apply for a new certificate, or let another CA of the list issue it");
}

/* The oldest issued member above the original. */
const struct tc_cert *tc_used_by(const struct tc_facts *f)
{
        for (size_t i = 0; i < f->chain->count; i++) {
                const struct tc_cert *m = &f->chain->member[i];
                if (i > 0 &&
                        (tc_cert_is_issued(m) || m->status == TC_EXPIRED || m->status == TC_REVOKED ||
                                m->status == TC_REVOKING))
                        return m;
        }
        return NULL;
}

static bool rule_3(const struct tc_facts *f, struct tc_ruling *r)
{
        char date[40];

        r->last_one = tc_product_of(f->head).free;
        if (!r->last_one)
                return true;
        const struct tc_cert *used = tc_used_by(f);
        if (!used && *f->head->replaced_by)
                used = f->head; /* a reissue itself, its original deleted */
        if (used) {
                format_date(used->inserted_s ? used->inserted_s : used->begin_s, date, sizeof date);
                err_set(&r->refused, ERR_RULE, "R3", "R3: used on %s (now %s)", date, used->id);
        } else if (*f->head->replaced_for && texts_has(&f->chain->gone, f->head->replaced_for)) {
                err_set(&r->refused, ERR_RULE, "R3", "R3: used at an unknown date (as %s, deleted since)",
                        f->head->replaced_for);
        } else {
                for (size_t i = 0; i < f->chain->count; i++)
                        if (&f->chain->member[i] != f->head && tc_status_has_ended(f->chain->member[i].status))
                                note(r,
                                        "R3: the reissue %s ended without a certificate (%s); whether it counts as the "
                                        "only one is the CA's to say",
                                        f->chain->member[i].id, tc_status_text(f->chain->member[i].status));
                return r->refused.kind == ERR_NONE;
        }
        return err_fix(&r->refused,
                "a free certificate is reissued once; let another CA of the list issue it, or apply for a new one");
}

/* ---- R5: one runs already ---- */

const struct tc_cert *tc_running_of(const struct tc_facts *f)
{
        const struct tc_cert *running = tc_chain_running(f->chain, f->head);

        if (!tc_cert_is_issued(f->head))
                return f->head;
        for (size_t i = 0; !running && i < f->list_count; i++) {
                const struct tc_cert *c = &f->list[i];
                bool ours = tc_cert_links(c, f->head) ||
                        (f->head->status == TC_REISSUING && tc_cert_is_lookalike(c, f->head));
                if (ours && strcmp(c->id, f->head->id) != 0 && tc_status_is_pending(c->status) &&
                        !tc_chain_find(f->chain, c->id))
                        running = c;
        }
        return running;
}

static bool rule_5(const struct tc_facts *f, struct tc_ruling *r)
{
        const struct tc_cert *running = tc_running_of(f);
        char since[40];

        if (!running && f->head->status != TC_REISSUING)
                return true;
        if (!running) {
                err_set(&r->refused, ERR_WAITING, "R5", "R5: a reissue of %s is running and does not show its id yet",
                        f->head->id);
                r->refused.retry_after_s = CANCEL_RETRY_S;
                return false;
        }
        since_text(running->inserted_s, since);
        if (running->status == TC_CANCELLING) {
                err_set(&r->refused, ERR_WAITING, "R5", "R5: reissue %s is being cancelled since %s", running->id,
                        since);
                r->refused.retry_after_s = CANCEL_RETRY_S;
                return false;
        }
        if (f->request->compromised && *f->running_spki_hex && strcmp(f->running_spki_hex, f->head_spki_hex) == 0) {
                err_set(&r->refused, ERR_RULE, "R5",
                        "R5: reissue %s is running since %s with the key that is reported compromised", running->id,
                        since);
                return err_fix(&r->refused, "cancel that order in the console, then reissue again");
        }
        snprintf(r->resume_id, sizeof r->resume_id, "%s", running->id);
        r->resume_since_s = running->inserted_s;
        note(r, "R5: reissue %s is running since %s; resuming it", running->id, since);
        return r->refused.kind == ERR_NONE;
}

/* ---- R12 to R15: key, CSR, reason ---- */

static bool rule_13(const struct tc_facts *f, struct tc_ruling *r)
{
        const struct csr *csr = f->csr;

        if (!csr)
                return true;
        if (f->request->compromised && *f->head_spki_hex && strcmp(csr->spki_hex, f->head_spki_hex) == 0) {
                err_set(&r->refused, ERR_RULE, "R13", "R13: the CSR carries the key that is reported compromised");
                return err_fix(&r->refused, "make a new key and CSR where that key is held");
        }
        for (size_t i = 0; i < f->head->names.count; i++)
                if (!texts_has(&csr->names, f->head->names.item[i]))
                        return err_set(&r->refused, ERR_RULE, "R13", "R13: the CSR lacks %s, which %s has",
                                f->head->names.item[i], f->head->id);
        for (size_t i = 0; i < csr->names.count; i++)
                if (f->head->names.count && !texts_has(&f->head->names, csr->names.item[i]))
                        return err_set(&r->refused, ERR_RULE, "R13", "R13: the CSR asks for %s, which %s does not have",
                                csr->names.item[i], f->head->id);
        if (f->head->domain && csr->common_name && !text_equal_nocase(csr->common_name, f->head->domain))
                return err_set(&r->refused, ERR_RULE, "R13", "R13: the CSR's common name is %s, that of %s is %s",
                        csr->common_name, f->head->id, f->head->domain);
        return true;
}

static enum key_type key_of_algorithm(const char *text)
{
        static const struct {
                const char *text;
                enum key_type type;
        } known[] = { { "RSA 2048", KEY_RSA_2048 }, { "RSA 4096", KEY_RSA_4096 }, { "ECC 256", KEY_EC_P256 },
                { "ECC P-256", KEY_EC_P256 }, { "ECC prime256v1", KEY_EC_P256 }, { "ECC 384", KEY_EC_P384 },
                { "ECC P-384", KEY_EC_P384 }, { "ECC secp384r1", KEY_EC_P384 }, { "ECDSA 256", KEY_EC_P256 },
                { "ECDSA 384", KEY_EC_P384 }, { "SM2", KEY_SM2 } };

        for (size_t i = 0; i < ARRAY_LEN(known); i++)
                if (text_starts(text, known[i].text))
                        return known[i].type;
        return KEY_NONE;
}

static bool is_offered(enum key_type t)
{
        return t == KEY_RSA_2048 || t == KEY_RSA_4096 || t == KEY_EC_P256 || t == KEY_EC_P384 || t == KEY_SM2;
}

static enum key_type key_wanted(const struct tc_facts *f, struct tc_product p)
{
        if (f->csr)
                return f->csr->key_type;
        if (f->request->key_type != KEY_NONE)
                return f->request->key_type;
        if (p.free)
                return KEY_RSA_2048;
        if (is_offered(f->request->reuse_type) && p.sm2 == (f->request->reuse_type == KEY_SM2))
                return f->request->reuse_type;
        enum key_type now = f->head_key_type;
        if (now == KEY_NONE || now == KEY_OTHER)
                now = key_of_algorithm(f->head->algorithm);
        return now != KEY_NONE ? now : p.sm2 ? KEY_SM2 : KEY_RSA_2048;
}

static bool rule_14(const struct tc_facts *f, struct tc_ruling *r)
{
        struct tc_product p = tc_product_of(f->head);
        enum key_type type = key_wanted(f, p);

        r->key_type = type;
        if (p.free && type != KEY_RSA_2048)
                return err_set(&r->refused, ERR_RULE, "R14",
                        "R14: a free certificate is reissued for an rsa-2048 key only, %s is asked for",
                        key_type_name(type));
        if (!is_offered(type))
                return err_set(&r->refused, ERR_RULE, "R14",
                        "R14: %s is not offered; rsa-2048, rsa-4096, ec-p256, ec-p384 are", key_type_name(type));
        if (p.sm2 != (type == KEY_SM2) && !f->request->force) {
                err_set(&r->refused, ERR_RULE, "R14", "R14: %s is %s SM2 product and %s is asked for", f->head->id,
                        p.sm2 ? "an" : "no", key_type_name(type));
                return err_fix(&r->refused, "the reference is not certain of this rule: --force tries it all the same");
        }
        return true;
}

/* ---- R16: how the domain is proved ---- */

/* What the first application was validated by; UNSET where it is not known. */
static enum conf_validation first_method(const struct tc_facts *f, const char **ret_word)
{
        const struct tc_cert *first = f->chain->count ? &f->chain->member[0] : f->head;

        *ret_word = text_starts(first->verify_type, "FILE")   ? "FILE"
                : text_starts(first->verify_type, "DNS_AUTO") ? "DNS_AUTO"
                                                              : "DNS";
        if (text_starts(first->verify_type, "FILE"))
                return VALIDATION_FILE;
        if (text_starts(first->verify_type, "DNS_AUTO"))
                return VALIDATION_DNS_AUTO;
        return text_starts(first->verify_type, "DNS") ? VALIDATION_DNS : VALIDATION_UNSET;
}

static bool free_method_holds(const struct tc_facts *f, struct tc_ruling *r)
{
        const char *word;
        enum conf_validation first = first_method(f, &word), want = r->validation;

        if (first == VALIDATION_UNSET || first == want)
                return true;
        if (first == VALIDATION_DNS_AUTO && want == VALIDATION_DNS) {
                note(r,
                        "R16: first validated by DNS_AUTO: Tencent also writes the record itself where the zone is on "
                        "DNSPod");
                return r->refused.kind == ERR_NONE;
        }
        err_set(&r->refused, ERR_RULE, "R16", "R16: this free certificate was first validated by %s; %s cannot be used",
                word, conf_validation_name(want));
        return err_fix(&r->refused, "set validation: %s for this certificate", conf_validation_name(first));
}

static bool rule_16(const struct tc_facts *f, struct tc_ruling *r)
{
        r->validation = f->request->validation == VALIDATION_UNSET ? VALIDATION_DNS : f->request->validation;
        if (r->validation == VALIDATION_TLS_ALPN) {
                err_set(&r->refused, ERR_RULE, "R16", "R16: Tencent Cloud does not validate by tls-alpn");
                return err_fix(&r->refused, "set validation: dns, file or dns-auto");
        }
        if (r->validation == VALIDATION_FILE && tc_cert_has_wildcard(f->head)) {
                err_set(&r->refused, ERR_RULE, "R16",
                        "R16: %s has a wildcard name, which a file cannot prove; file cannot be used", f->head->id);
                return err_fix(&r->refused, "set validation: dns");
        }
        if (r->validation == VALIDATION_DNS_AUTO && f->head->is_dnspod == TC_NO) {
                err_set(&r->refused, ERR_RULE, "R16",
                        "R16: dns-auto needs every zone of %s on DNSPod in the same account, delegated and healthy; it "
                        "is not",
                        f->head->id);
                return err_fix(&r->refused, "set validation: dns");
        }
        return tc_product_of(f->head).free ? free_method_holds(f, r) : true;
}

/* ---- R4: siblings ---- */

bool tc_is_reissuing(const struct tc_cert *c)
{
        if (c->status == TC_REISSUING)
                return true;
        return tc_status_is_pending(c->status) && (*c->replaced_by || *c->replaced_for);
}

static bool shares_domain(const struct tc_cert *a, const struct tc_cert *b)
{
        for (size_t i = 0; i < a->names.count; i++)
                for (size_t j = 0; j < b->names.count; j++)
                        if (strcmp(tc_registrable(a->names.item[i]), tc_registrable(b->names.item[j])) == 0)
                                return true;
        return false;
}

static bool is_family(const struct tc_facts *f, const struct tc_cert *c)
{
        if (tc_chain_find(f->chain, c->id))
                return true;
        for (size_t i = 0; i < f->chain->count; i++)
                if (tc_cert_links(&f->chain->member[i], c))
                        return true;
        return false;
}

/* The entry that stands for the sibling's order: the new one, which carries the time, before the original. */
const struct tc_cert *tc_sibling_of(const struct tc_facts *f)
{
        const struct tc_cert *found = NULL;

        for (size_t i = 0; i < f->list_count; i++) {
                const struct tc_cert *c = &f->list[i];
                if (tc_is_reissuing(c) && !is_family(f, c) && shares_domain(c, f->head) &&
                        (!found || !tc_cert_is_issued(c)))
                        found = c;
        }
        return found;
}

static bool rule_4(const struct tc_facts *f, struct tc_ruling *r)
{
        const struct tc_cert *s = tc_sibling_of(f);
        char since[40], again[40];

        if (!s)
                return true;
        since_text(tc_cert_is_issued(s) ? 0 : s->inserted_s, since);
        format_time(clock_now_s() + SIBLING_RETRY_S, again, sizeof again);
        bool ours = f->is_ours && (f->is_ours(f->is_ours_arg, s->id) || f->is_ours(f->is_ours_arg, s->replaced_for));
        err_set(&r->refused, ERR_WAITING, "R4",
                "R4: waiting for a sibling: %s (%s, %s) is being reissued since %s, asked again at %s",
                s->domain ? s->domain : s->names.item[0], s->id, ours ? "this host" : "not this host", since, again);
        r->refused.retry_after_s = SIBLING_RETRY_S;
        return false;
}

/* ---- R6 to R11, R17, R18: what to expect ---- */

static bool rule_6(const struct tc_facts *f, struct tc_ruling *r)
{
        char date[40], left[40];
        int64_t left_s = f->head->end_s - f->now_s;

        format_date(f->head->end_s, date, sizeof date);
        format_span(MAX(left_s, 0), left, sizeof left);
        if (left_s < WARN_LEFT_S)
                note(r, "same end date as before: %s; %s left: a reissue is not a renewal", date, left);
        else
                note(r, "same end date as before: %s", date);
        return r->refused.kind == ERR_NONE;
}

static bool is_heads_key(const struct tc_facts *f, const char *spki_hex)
{
        return spki_hex && *f->head_spki_hex && strcmp(spki_hex, f->head_spki_hex) == 0;
}

/* The same CSR is out of the question with a compromised key, whatever the policy says; and with a key that is not the
 * live one: the certificate would come for a key that is not on this host, or for one that was given up. */
static bool rule_7(const struct tc_facts *f, struct tc_ruling *r)
{
        bool waives = tc_product_waives(tc_product_of(f->head)), again = f->csr && is_heads_key(f, f->csr->spki_hex);

        r->validation_expected = true;
        r->same_csr = is_heads_key(f, f->request->reuse_spki_hex) && !f->request->compromised && waives && !f->csr;
        if (!waives || !(r->same_csr || again))
                return true;
        r->validation_expected = false;
        note(r, "R7: no validation needed: the CSR stays the same");
        return r->refused.kind == ERR_NONE;
}

static bool rule_8(const struct tc_facts *f, struct tc_ruling *r)
{
        int64_t age_s = f->now_s - f->issued_s;

        if (!r->validation_expected || !f->issued_s || age_s < 0 || age_s >= TC_WAIVER_S ||
                !tc_product_waives(tc_product_of(f->head)))
                return true;
        r->validation_expected = false;
        note(r, "R8: no validation needed: %lld h since issue", (long long)(age_s / 3600));
        return r->refused.kind == ERR_NONE;
}

static bool rule_9(const struct tc_facts *f, struct tc_ruling *r)
{
        (void)f;
        if (r->validation_expected)
                note(r, "R9: a new CSR: the domain is validated again, by %s", conf_validation_name(r->validation));
        return r->refused.kind == ERR_NONE;
}

static bool rule_10(const struct tc_facts *f, struct tc_ruling *r)
{
        struct tc_product p = tc_product_of(f->head);

        r->person_expected = p.class == TC_OV || p.class == TC_EV;
        if (r->person_expected && tc_product_has_own_review(p))
                note(r, "R10: a person at the CA approves after the validation");
        else if (r->person_expected)
                note(r, "R10: the CA may phone or write to your company before it issues");
        return r->refused.kind == ERR_NONE;
}

static bool rule_11(const struct tc_facts *f, struct tc_ruling *r)
{
        if (r->person_expected && tc_product_has_own_review(tc_product_of(f->head)))
                note(r, "R11: the approval is left out where the company was approved before with the same data");
        return r->refused.kind == ERR_NONE;
}

/* A password would keep the certificate out of cloud services and belongs to keys that the CA makes: none is ever sent
 * (R12); a reason always is (R15). */
static bool rule_12(const struct tc_facts *f, struct tc_ruling *r)
{
        (void)f;
        (void)r;
        return true;
}

static bool rule_17(const struct tc_facts *f, struct tc_ruling *r)
{
        struct tc_product p = tc_product_of(f->head);

        if (r->validation_expected && p.class == TC_DV && !p.free)
                note(r,
                        "R17: the CA may waive the validation of a domain that it validated for the same company "
                        "within 13 months");
        return r->refused.kind == ERR_NONE;
}

static bool rule_18(const struct tc_facts *f, struct tc_ruling *r)
{
        (void)f;
        if (r->validation_expected)
                note(r, "R18: the validation must be done within 3 d of the order, else the order fails");
        return r->refused.kind == ERR_NONE;
}

const struct tc_rule tc_rules[] = {
        { "R1", rule_1 },
        { "R5", rule_5 },
        { "R3", rule_3 },
        { "R2", rule_2 },
        { "R13", rule_13 },
        { "R14", rule_14 },
        { "R12", rule_12 },
        { "R15", rule_12 },
        { "R16", rule_16 },
        { "R4", rule_4 },
        { "R6", rule_6 },
        { "R7", rule_7 },
        { "R8", rule_8 },
        { "R9", rule_9 },
        { "R10", rule_10 },
        { "R11", rule_11 },
        { "R17", rule_17 },
        { "R18", rule_18 },
        { NULL, NULL },
};

/* A reissue that runs is resumed whatever the rules for a new one would say; what will be used is told all the same. */
static void resume_describe(const struct tc_facts *f, struct tc_ruling *r)
{
        struct tc_product p = tc_product_of(f->head);

        r->validation = f->request->validation == VALIDATION_UNSET ? VALIDATION_DNS : f->request->validation;
        r->key_type = key_wanted(f, p);
        r->last_one = p.free;
        r->validation_expected = true;
        r->person_expected = p.class == TC_OV || p.class == TC_EV;
        r->reissuable_until_s = f->head->end_s ? f->head->end_s - TC_LEFT_MIN_S : 0;
}

bool tc_rules_apply(const struct tc_facts *f, struct tc_ruling *r)
{
        *r = (struct tc_ruling){ 0 };
        for (const struct tc_rule *rule = tc_rules; rule->name && r->refused.kind == ERR_NONE; rule++) {
                if (!rule->apply(f, r))
                        break;
                if (*r->resume_id) {
                        resume_describe(f, r);
                        break;
                }
        }
        return strcmp(r->refused.code, "memory") != 0;
}
