#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/net/dns_message.h"
#include "validators/caa.h"
#include "validators/judgement.h"

/* A level in a row: "" no data, "X" no such name, "!WHY" an error, "TC" truncated, "?" an alias whose target was not
 * answered, else records "FLAGS TAG VALUE" divided by " | ", after "TARGET>" if they are an alias target's. */
#define LEVELS 4
#define LE "letsencrypt.org"
#define ACCOUNT "https://ca.example/acct/1"
#define OTHER_ACCOUNT "https://ca.example/acct/2"

struct row {
        const char *name;
        const char *level[LEVELS];
        enum caa_verdict verdict;
        const char *id; /* of the refusal */
        int at, record;
        const char *ids; /* all findings, in order; "~" before what is unverifiable */
};

static const struct row rows[] = {
        /* no records anywhere */
        { "example.com", { "", "" }, CAA_ALLOWED, NULL, -1, -1, "" },
        { "example.com", { "X", "" }, CAA_ALLOWED, NULL, -1, -1, "" },
        { "a.b.example.com", { "", "X", "", "" }, CAA_ALLOWED, NULL, -1, -1, "" },
        { "*.example.com", { "", "" }, CAA_ALLOWED, NULL, -1, -1, "" },
        /* one record that names the CA */
        { "example.com", { "0 issue " LE, "" }, CAA_ALLOWED, NULL, 0, 0, "C13" },
        { "example.com", { "0 issue " LE " | 0 iodef mailto:a@example.com", "" }, CAA_ALLOWED, NULL, 0, 0, "" },
        { "example.com", { "0 issue digicert.com | 0 issue " LE, "" }, CAA_ALLOWED, NULL, 0, 1, "C13" },
        { "example.com", { "0 ISSUE " LE, "" }, CAA_ALLOWED, NULL, 0, 0, "C13" },
        { "example.com", { "128 issue " LE, "" }, CAA_ALLOWED, NULL, 0, 0, "C13" },
        { "example.com", { "1 issue " LE, "" }, CAA_ALLOWED, NULL, 0, 0, "C13" },
        { "example.com", { "0 issue  " LE " ", "" }, CAA_ALLOWED, NULL, 0, 0, "C13" },
        { "example.com", { "0 issue " LE ";", "" }, CAA_ALLOWED, NULL, 0, 0, "C13" },
        { "example.com", { "0 issue " LE "; ", "" }, CAA_ALLOWED, NULL, 0, 0, "C13" },
        { "example.com", { "0 issue " LE "; other=1", "" }, CAA_ALLOWED, NULL, 0, 0, "C13" },
        { "example.com", { "0 issue second.example", "" }, CAA_ALLOWED, NULL, 0, 0, "C13" },
        /* another CA, nobody */
        { "example.com", { "0 issue digicert.com", "" }, CAA_REFUSED, "C02", 0, 0, "C02 C13" },
        { "example.com", { "0 issue staging." LE, "" }, CAA_REFUSED, "C02", 0, 0, "C02 C13" },
        { "example.com", { "0 issue " LE ".example", "" }, CAA_REFUSED, "C02", 0, 0, "C02 C13" },
        { "example.com", { "0 issue ;", "" }, CAA_REFUSED, "C04", 0, 0, "C04 C13" },
        { "example.com", { "0 issue ", "" }, CAA_REFUSED, "C04", 0, 0, "C04 C13" },
        { "example.com", { "0 issue ; accounturi=" ACCOUNT, "" }, CAA_REFUSED, "C04", 0, 0, "C04 C13" },
        { "example.com", { "0 issue ; | 0 issue " LE, "" }, CAA_ALLOWED, NULL, 0, 1, "C13" },
        { "example.com", { "0 issue ; | 0 issue digicert.com", "" }, CAA_REFUSED, "C02", 0, 0, "C02 C13" },
        /* an empty set permits */
        { "example.com", { "0 iodef mailto:a@example.com", "" }, CAA_ALLOWED, NULL, 0, -1, "" },
        { "example.com", { "0 issuewild ;", "" }, CAA_ALLOWED, NULL, 0, -1, "C13" },
        { "example.com", { "0 issuemail ;", "" }, CAA_ALLOWED, NULL, 0, -1, "C13" },
        { "example.com", { "0 foo bar", "" }, CAA_ALLOWED, NULL, 0, -1, "C13" },
        /* climbing */
        { "www.example.com", { "", "0 issue " LE, "" }, CAA_ALLOWED, NULL, 1, 0, "C13" },
        { "www.example.com", { "", "0 issue digicert.com", "" }, CAA_REFUSED, "C02", 1, 0, "C02 C13" },
        { "www.example.com", { "X", "0 issue digicert.com", "" }, CAA_REFUSED, "C02", 1, 0, "C02 C13" },
        { "www.example.com", { "0 issue " LE, "0 issue ;", "" }, CAA_ALLOWED, NULL, 0, 0, "C13" },
        { "www.example.com", { "0 issue ;", "0 issue " LE, "" }, CAA_REFUSED, "C04", 0, 0, "C04 C13" },
        { "a.b.example.com", { "", "0 iodef mailto:x@y.example", "0 issue ;", "" }, CAA_ALLOWED, NULL, 1, -1, "" },
        { "www.example.com", { "", "", "0 issue digicert.com" }, CAA_REFUSED, "C02", 2, 0, "C02 C13" },
        /* wildcards; the flag is not lost by the climb */
        { "*.example.com", { "0 issue " LE, "" }, CAA_ALLOWED, NULL, 0, 0, "C13" },
        { "*.example.com", { "0 issue digicert.com", "" }, CAA_REFUSED, "C02", 0, 0, "C02 C13" },
        { "*.example.com", { "0 issue " LE " | 0 issuewild ;", "" }, CAA_REFUSED, "C05", 0, 1, "C05 C13" },
        { "*.example.com", { "0 issue ; | 0 issuewild " LE, "" }, CAA_ALLOWED, NULL, 0, 1, "C13" },
        { "*.example.com", { "0 issuewild digicert.com", "" }, CAA_REFUSED, "C05", 0, 0, "C05 C13" },
        { "*.a.example.com", { "", "0 issue " LE " | 0 issuewild ;", "" }, CAA_REFUSED, "C05", 1, 1, "C05 C13" },
        { "a.example.com", { "", "0 issue " LE " | 0 issuewild ;", "" }, CAA_ALLOWED, NULL, 1, 0, "C13" },
        { "*.example.com", { "0 issuewild ; | 0 issuewild " LE, "" }, CAA_ALLOWED, NULL, 0, 1, "C13" },
        /* errors: at or below the relevant level they stop, above it they do not */
        { "www.example.com", { "!SERVFAIL", "0 issue " LE, "" }, CAA_REFUSED, "C01", 0, -1, "C01" },
        { "www.example.com", { "", "!a timeout", "" }, CAA_REFUSED, "C01", 1, -1, "C01" },
        { "www.example.com", { "0 issue " LE, "!SERVFAIL", "" }, CAA_ALLOWED, NULL, 0, 0, "C13" },
        { "www.example.com", { "", "", "!REFUSED" }, CAA_REFUSED, "C01", 2, -1, "C01" },
        { "www.example.invalid", { "X", "X", "X" }, CAA_REFUSED, "C01", 2, -1, "C01" },
        { "www.example.com", { "TC", "" }, CAA_REFUSED, "C11", 0, -1, "C11" },
        { "www.example.com", { "?", "" }, CAA_REFUSED, "C01", 0, -1, "C01" },
        /* critical */
        { "example.com", { "128 foo bar | 0 issue " LE, "" }, CAA_REFUSED, "C03", 0, 0, "C03 C13" },
        { "example.com", { "0 issue " LE " | 1 foo bar", "" }, CAA_REFUSED, "C03", 0, 1, "C03 C13" },
        { "example.com", { "2 foo bar | 0 issue " LE, "" }, CAA_ALLOWED, NULL, 0, 1, "C13" },
        { "example.com", { "128 issuemail ; | 0 issue " LE, "" }, CAA_ALLOWED, NULL, 0, 1, "C13" },
        { "example.com", { "128 issuevmc ; | 128 IODEF mailto:x@y.z", "" }, CAA_ALLOWED, NULL, 0, -1, "" },
        { "www.example.com", { "0 issue " LE, "128 foo bar" }, CAA_ALLOWED, NULL, 0, 0, "C13" },
        { "www.example.com", { "", "255 foo bar" }, CAA_REFUSED, "C03", 1, 0, "C03 C13" },
        /* parameters */
        { "example.com", { "0 issue " LE "; accounturi=" ACCOUNT, "" }, CAA_ALLOWED, NULL, 0, 0, "C13" },
        { "example.com", { "0 issue " LE ";accounturi = " ACCOUNT " ", "" }, CAA_ALLOWED, NULL, 0, 0, "C13" },
        { "example.com", { "0 issue " LE "; ACCOUNTURI=" OTHER_ACCOUNT, "" }, CAA_REFUSED, "C06", 0, 0, "C06 C13" },
        { "example.com", { "0 issue " LE "; accounturi=", "" }, CAA_REFUSED, "C06", 0, 0, "C06 C13" },
        { "example.com", { "0 issue " LE "; accounturi=" OTHER_ACCOUNT " | 0 issue " LE, "" }, CAA_ALLOWED, NULL, 0, 1,
                "C13" },
        { "example.com", { "0 issue " LE "; validationmethods=http-01,dns-01", "" }, CAA_ALLOWED, NULL, 0, 0, "C13" },
        { "example.com", { "0 issue " LE "; validationmethods=http-01", "" }, CAA_REFUSED, "C07", 0, 0, "C07 C13" },
        { "example.com", { "0 issue " LE "; validationmethods=dns-011", "" }, CAA_REFUSED, "C07", 0, 0, "C07 C13" },
        { "example.com", { "0 issue " LE "; validationmethods=", "" }, CAA_REFUSED, "C02", 0, 0, "C08 C02 C13" },
        { "example.com", { "0 issue " LE "; validationmethods=dns-01,,http-01", "" }, CAA_REFUSED, "C02", 0, 0,
                "C08 C02 C13" },
        { "example.com", { "0 issue " LE "; accounturi=" ACCOUNT "; validationmethods=dns-01", "" }, CAA_ALLOWED, NULL,
                0, 0, "C13" },
        { "*.example.com", { "0 issuewild " LE "; accounturi=" OTHER_ACCOUNT, "" }, CAA_REFUSED, "C06", 0, 0,
                "C06 C13" },
        /* malformed: permits nobody, closes the set */
        { "example.com", { "0 issue " LE "; accounturi=" ACCOUNT "; accounturi=" ACCOUNT, "" }, CAA_REFUSED, "C02", 0,
                0, "C08 C02 C13" },
        { "example.com", { "0 issue " LE " accounturi=" ACCOUNT, "" }, CAA_REFUSED, "C02", 0, 0, "C08 C02 C13" },
        { "example.com", { "0 issue " LE "; accounturi", "" }, CAA_REFUSED, "C02", 0, 0, "C08 C02 C13" },
        { "example.com", { "0 issue " LE "; ; a=b", "" }, CAA_REFUSED, "C02", 0, 0, "C08 C02 C13" },
        { "example.com", { "0 issue " LE "; a=b;", "" }, CAA_REFUSED, "C02", 0, 0, "C08 C02 C13" },
        { "example.com", { "0 issue " LE "; a-b=c", "" }, CAA_REFUSED, "C02", 0, 0, "C08 C02 C13" },
        { "example.com", { "0 issue " LE "; a=b c", "" }, CAA_REFUSED, "C02", 0, 0, "C08 C02 C13" },
        { "example.com", { "0 issue " LE ", digicert.com", "" }, CAA_REFUSED, "C02", 0, 0, "C08 C02 C13" },
        { "example.com", { "0 issue %%%%%", "" }, CAA_REFUSED, "C02", 0, 0, "C08 C02 C13" },
        { "example.com", { "0 issue " LE " | 0 issue digicert com", "" }, CAA_ALLOWED, NULL, 0, 0, "C08 C13" },
        { "example.com", { "0 issue " LE " | 0 issuewild digicert com", "" }, CAA_ALLOWED, NULL, 0, 0, "C08 C13" },
        { "example.com", { "0 is_sue x | 0 issue " LE, "" }, CAA_ALLOWED, NULL, 0, 1, "C08 C13" },
        /* spelling */
        { "example.com", { "0 issue LetsEncrypt.org", "" }, CAA_REFUSED, "C02", 0, 0, "C09 C02 C13" },
        { "example.com", { "0 issue " LE ".", "" }, CAA_REFUSED, "C02", 0, 0, "C09 C02 C13" },
        { "example.com", { "0 issue https://" LE "/", "" }, CAA_REFUSED, "C02", 0, 0, "C09 C02 C13" },
        { "example.com", { "0 issue \"" LE "\"", "" }, CAA_REFUSED, "C02", 0, 0, "C09 C02 C13" },
        { "example.com", { "0 issue " LE " | 0 issue LETSENCRYPT.ORG", "" }, CAA_ALLOWED, NULL, 0, 0, "C09 C13" },
        /* aliases: the target's records count for the level, the climb goes on with the name's own parents */
        { "www.example.com", { "cdn.net>0 issue " LE, "" }, CAA_ALLOWED, NULL, 0, 0, "C10 C13" },
        { "www.example.com", { "cdn.net>0 issue digicert.com", "" }, CAA_REFUSED, "C02", 0, 0, "C10 C02 C13" },
        { "www.example.com", { "cdn.net>", "0 issue digicert.com" }, CAA_REFUSED, "C02", 1, 0, "C02 C13" },
        { "www.example.com", { "cdn.net>", "0 issue " LE }, CAA_ALLOWED, NULL, 1, 0, "C13" },
};

static const char *const issuers[] = { LE, "second.example", NULL };

static void add_record(struct caa_level *l, const char *text, size_t len)
{
        uint8_t rdata[600];
        CLEANUP(free_p) char *copy = text_dup_n(text, len);
        char *tag = strchr(copy, ' ') + 1, *value = strchr(tag, ' ');
        size_t tag_len = (size_t)(value - tag), value_len = strlen(value + 1);
        rdata[0] = (uint8_t)atoi(copy);
        rdata[1] = (uint8_t)tag_len;
        memcpy(rdata + 2, tag, tag_len);
        memcpy(rdata + 2 + tag_len, value + 1, value_len);
        l->record = realloc(l->record, (l->count + 1) * sizeof *l->record);
        assert_true(caa_record_read(rdata, 2 + tag_len + value_len, &l->record[l->count]));
        l->count++;
        l->state = CAA_RECORDS;
}

static void make_level(struct caa_level *l, const char *name, const char *text)
{
        const char *target = strchr(text, '>');
        *l = (struct caa_level){ .name = text_dup(name) };
        if (target) {
                l->alias = text_dup_n(text, (size_t)(target - text));
                text = target + 1;
        }
        if (*text == '!') {
                l->state = CAA_ERROR;
                l->error = text_dup(text + 1);
        } else if (*text == '\0' || strlen(text) <= 2) {
                l->state = *text == 'X' ? CAA_NXDOMAIN
                        : *text == 'T'  ? CAA_TRUNCATED
                        : *text == '?'  ? CAA_ALIAS
                                        : CAA_NODATA;
        } else {
                for (const char *at = text, *end; at; at = end ? end + 3 : NULL) {
                        end = strstr(at, " | ");
                        add_record(l, at, end ? (size_t)(end - at) : strlen(at));
                }
        }
}

static size_t make_levels(struct caa_level *l, const struct row *r)
{
        const char *name = r->name + (r->name[0] == '*' ? 2 : 0);
        size_t n = 0;
        for (; n < LEVELS && r->level[n]; n++) {
                make_level(&l[n], name, r->level[n]);
                name = strchr(name, '.') ? strchr(name, '.') + 1 : name;
        }
        return n;
}

static void ids_of(const struct judgements *j, char *ret, size_t size)
{
        size_t n = 0;
        *ret = '\0';
        for (size_t i = 0; i < j->count; i++)
                n += (size_t)snprintf(
                        ret + n, size - n, "%s%s%s", n ? " " : "", j->item[i].unverifiable ? "~" : "", j->item[i].id);
}

static struct caa_result run(const struct row *r, const char *account, const char *method, struct judgements *j)
{
        struct caa_level l[LEVELS];
        size_t n = make_levels(l, r);
        struct caa_question q = { r->name, "Let's Encrypt", issuers, account, method };
        struct caa_result result = caa_judge(&q, l, n, j);
        while (n > 0)
                caa_level_done(&l[--n]);
        assert_false(j->failed);
        return result;
}

static void every_row_is_judged_as_a_ca_would(void **state)
{
        (void)state;
        assert_true(ARRAY_LEN(rows) >= 60);
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                const struct row *r = &rows[i];
                struct judgements j = { 0 };
                char ids[200];
                struct caa_result got = run(r, ACCOUNT, "dns-01", &j);
                ids_of(&j, ids, sizeof ids);
                if (got.verdict != r->verdict || got.level != r->at || got.record != r->record ||
                        strcmp(ids, r->ids) != 0 || strcmp(got.id ? got.id : "", r->id ? r->id : "") != 0)
                        fail_msg("row %zu (%s: %s): verdict %d id %s level %d record %d ids %s", i, r->name,
                                r->level[0], (int)got.verdict, got.id ? got.id : "-", got.level, got.record, ids);
                for (size_t k = 0; k < j.count; k++)
                        assert_true(*j.item[k].fix && *j.item[k].message && *j.item[k].subject);
                judgements_done(&j);
        }
}

static void what_hangs_on_an_unknown_account_is_said_to(void **state)
{
        static const struct {
                const char *value, *account, *method;
                enum caa_verdict verdict;
                const char *ids;
        } t[] = {
                { "0 issue " LE "; accounturi=" ACCOUNT, NULL, "dns-01", CAA_UNDECIDED, "~C06 C13" },
                { "0 issue " LE "; validationmethods=dns-01", NULL, NULL, CAA_UNDECIDED, "~C07 C13" },
                { "0 issue " LE "; validationmethods=http-01; accounturi=x", NULL, "dns-01", CAA_REFUSED, "C07 C13" },
                { "0 issue " LE, NULL, NULL, CAA_ALLOWED, "C13" },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(t); i++) {
                struct row r = { .name = "example.com", .level = { t[i].value } };
                struct judgements j = { 0 };
                char ids[100];
                assert_int_equal(run(&r, t[i].account, t[i].method, &j).verdict, t[i].verdict);
                ids_of(&j, ids, sizeof ids);
                assert_string_equal(ids, t[i].ids);
                judgements_done(&j);
        }
}

static void the_fix_is_the_record_to_add(void **state)
{
        static const struct {
                const char *name, *level0, *level1, *id, *fix, *message;
        } t[] = {
                { "www.example.com", "", "0 issue digicert.com", "C02", "example.com. IN CAA 0 issue \"" LE "\"",
                        "CAA at example.com lists 0 issue \"digicert.com\", not " LE },
                { "*.example.com", "0 issuewild ;", "", "C05", "example.com. IN CAA 0 issuewild \"" LE "\"",
                        "excludes Let's Encrypt" },
                { "example.com", "0 issue ;", "", "C04", "delete the record", "forbids all issuance" },
                { "www.example.com", "cdn.net>0 issue x.example", "", "C02", "cdn.net. IN CAA 0 issue",
                        "www.example.com" },
                { "example.com", "0 issue " LE "; accounturi=" OTHER_ACCOUNT, "", "C06",
                        "example.com. IN CAA 0 issue \"" LE "; accounturi=" ACCOUNT "\"", OTHER_ACCOUNT },
                { "example.com", "0 issue " LE "; accounturi=" ACCOUNT "; validationmethods=http-01", "", "C07",
                        "\"" LE "; accounturi=" ACCOUNT "; validationmethods=http-01,dns-01\"",
                        "only by http-01, we use dns-01" },
                { "example.com", "0 issue https://" LE, "", "C09", "example.com. IN CAA 0 issue \"" LE "\"", "https" },
                { "www.example.com", "!SERVFAIL from ns1 (192.0.2.1)", "", "C01", "dig CAA www.example.com",
                        "ns1 (192.0.2.1)" },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(t); i++) {
                struct row r = { .name = t[i].name, .level = { t[i].level0, t[i].level1 } };
                struct judgements j = { 0 };
                run(&r, ACCOUNT, "dns-01", &j);
                const struct judgement *got = judgements_find(&j, t[i].id);
                assert_non_null(got);
                if (!strstr(got->fix, t[i].fix) || !strstr(got->message, t[i].message))
                        fail_msg("%s: %s / %s", t[i].id, got->message, got->fix);
                judgements_done(&j);
        }
}

static void rdata_that_lies_about_its_tag_is_refused(void **state)
{
        static const struct {
                const char *bytes;
                size_t len;
                bool good;
        } t[] = { { "", 0, false }, { "\0", 1, false }, { "\0\0", 2, false }, { "\0\5issu", 6, false },
                { "\0\5issue", 7, true }, { "\200\1a;", 4, true }, { "\0\377a", 3, false } };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(t); i++) {
                struct caa_record r;
                assert_int_equal(caa_record_read((const uint8_t *)t[i].bytes, t[i].len, &r), t[i].good);
                if (t[i].good)
                        caa_record_done(&r);
        }
}

/* ---- answers ---- */

struct packet {
        uint8_t data[1024];
        size_t len;
};

static void put16(struct packet *p, unsigned value)
{
        p->data[p->len++] = (uint8_t)(value >> 8);
        p->data[p->len++] = (uint8_t)value;
}

static void begin(struct packet *p, const char *name, unsigned flags, unsigned answers, unsigned authorities)
{
        p->len = 0;
        const unsigned head[] = { 1, flags, 1, answers, authorities, 0 };
        for (size_t i = 0; i < ARRAY_LEN(head); i++)
                put16(p, head[i]);
        p->len += dns_name_wire(name, false, p->data + p->len, 255);
        put16(p, DNS_CAA);
        put16(p, DNS_CLASS_IN);
}

static void rr(struct packet *p, const char *owner, unsigned type, const void *rdata, size_t len)
{
        p->len += dns_name_wire(owner, false, p->data + p->len, 255);
        put16(p, type);
        put16(p, DNS_CLASS_IN);
        put16(p, 0);
        put16(p, 60);
        put16(p, (unsigned)len);
        memcpy(p->data + p->len, rdata, len);
        p->len += len;
}

static void rr_name(struct packet *p, const char *owner, unsigned type, const char *target)
{
        uint8_t wire[255];
        rr(p, owner, type, wire, dns_name_wire(target, false, wire, sizeof wire));
}

static struct caa_level read_level(const struct packet *p, const char *name)
{
        struct dns_message m;
        struct err e;
        struct caa_level l;
        assert_true(dns_message_read(p->data, p->len, &m, &e));
        assert_true(caa_level_read(&m, name, &l));
        dns_message_done(&m);
        return l;
}

#define AA 0x8400
static const char record[] = "\0\5issueca.example";

static void a_level_is_read_from_an_answer(void **state)
{
        struct packet p;
        struct caa_level l;
        static const struct {
                unsigned flags;
                enum caa_state state;
                const char *error;
        } t[] = { { AA, CAA_NODATA, NULL }, { AA | 3, CAA_NXDOMAIN, NULL }, { AA | 2, CAA_ERROR, "SERVFAIL" },
                { AA | 5, CAA_ERROR, "REFUSED" }, { AA | 0x200, CAA_TRUNCATED, NULL } };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(t); i++) {
                begin(&p, "a.example", t[i].flags, 0, 0);
                l = read_level(&p, "a.example");
                assert_int_equal(l.state, t[i].state);
                if (t[i].error)
                        assert_string_equal(l.error, t[i].error);
                caa_level_done(&l);
        }
        begin(&p, "a.example", AA, 2, 0);
        rr(&p, "A.EXAMPLE", DNS_CAA, record, sizeof record - 1);
        rr(&p, "b.example", DNS_CAA, record, sizeof record - 1);
        l = read_level(&p, "a.example");
        assert_int_equal(l.state, CAA_RECORDS);
        assert_int_equal(l.count, 1);
        assert_string_equal((char *)l.record[0].value, "ca.example");
        caa_level_done(&l);
        begin(&p, "a.example", AA, 2, 0);
        rr(&p, "a.example", DNS_CAA, "\0\0", 2);
        rr(&p, "a.example", DNS_CAA, record, sizeof record - 1);
        l = read_level(&p, "a.example");
        assert_int_equal(l.state, CAA_ERROR);
        caa_level_done(&l);
}

static void an_alias_is_followed_and_asked_for(void **state)
{
        struct packet p;
        struct dns_message m;
        struct err e;
        (void)state;
        begin(&p, "a.example", AA, 3, 0);
        rr_name(&p, "a.example", DNS_CNAME, "b.example");
        rr_name(&p, "b.example", DNS_CNAME, "c.example");
        rr(&p, "c.example", DNS_CAA, record, sizeof record - 1);
        struct caa_level l = read_level(&p, "a.example");
        assert_string_equal(l.alias, "c.example");
        assert_int_equal(l.state, CAA_RECORDS);
        caa_level_done(&l);

        begin(&p, "a.example", AA, 1, 0);
        rr_name(&p, "a.example", DNS_CNAME, "b.other");
        l = read_level(&p, "a.example");
        assert_int_equal(l.state, CAA_ALIAS);
        begin(&p, "b.other", AA, 1, 0);
        rr(&p, "b.other", DNS_CAA, record, sizeof record - 1);
        assert_true(dns_message_read(p.data, p.len, &m, &e));
        assert_true(caa_level_alias(&l, &m));
        dns_message_done(&m);
        assert_int_equal(l.state, CAA_RECORDS);
        assert_string_equal(l.name, "a.example");
        assert_string_equal(l.alias, "b.other");
        caa_level_done(&l);

        begin(&p, "a.example", AA, 2, 0); /* a loop ends */
        rr_name(&p, "a.example", DNS_CNAME, "b.example");
        rr_name(&p, "b.example", DNS_CNAME, "a.example");
        l = read_level(&p, "a.example");
        caa_level_done(&l);

        begin(&p, "a.example", 0x8000, 0, 1); /* a referral is no answer */
        rr_name(&p, "example", DNS_NS, "ns.example");
        l = read_level(&p, "a.example");
        assert_int_equal(l.state, CAA_ERROR);
        caa_level_done(&l);
}

static void servers_that_disagree_are_both_named(void **state)
{
        static const struct {
                const char *a, *b;
                bool differ;
        } t[] = { { "0 issue x.example | 0 issue y.example", "0 issue y.example | 0 issue x.example", false },
                { "0 issue x.example", "0 ISSUE x.example", false }, { "", "X", false },
                { "!SERVFAIL", "0 issue x.example", false }, { "0 issue x.example", "", true },
                { "0 issue x.example", "128 issue x.example", true },
                { "0 issue x.example | 0 issue x.example", "0 issue x.example | 0 issue y.example", true },
                { "0 issue x.example", "0 issue xx.example", true } };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(t); i++) {
                struct caa_level l[2];
                struct judgements j = { 0 };
                make_level(&l[0], "example.com", t[i].a);
                make_level(&l[1], "example.com", t[i].b);
                const struct caa_view v[] = { { "ns1 (192.0.2.1)", &l[0] }, { "ns2 (192.0.2.2)", &l[1] } };
                caa_judge_views(v, 2, &j);
                const struct judgement *got = judgements_find(&j, "C12");
                assert_int_equal(got != NULL, t[i].differ);
                if (got)
                        assert_true(strstr(got->message, "192.0.2.1") && strstr(got->message, "192.0.2.2"));
                judgements_done(&j);
                caa_level_done(&l[0]);
                caa_level_done(&l[1]);
        }
}

static void an_old_validation_is_asked_again(void **state)
{
        struct judgements j = { 0 };
        (void)state;
        caa_judge_age("example.com", 7 * 3600, &j);
        assert_int_equal(j.count, 0);
        caa_judge_age("example.com", 7 * 3600 + 1, &j);
        assert_non_null(judgements_find(&j, "C14"));
        judgements_done(&j);
}

static void known_cas_are_found_by_host_and_domain(void **state)
{
        (void)state;
        assert_string_equal(caa_identity_of_host("acme-v02.api.letsencrypt.org")->domains[0], "letsencrypt.org");
        assert_string_equal(caa_identity_of_host("acme.zerossl.com")->domains[0], "sectigo.com");
        assert_null(caa_identity_of_host("letsencrypt.org.example"));
        assert_string_equal(caa_identity_of_domain("usertrust.com")->ca, "Sectigo");
        assert_null(caa_identity_of_domain("example.com"));
        for (size_t i = 0; i < caa_identity_count; i++)
                assert_true(caa_identities[i].domains[0] && !caa_identities[i].domains[5] && *caa_identities[i].source);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(every_row_is_judged_as_a_ca_would),
                cmocka_unit_test(what_hangs_on_an_unknown_account_is_said_to),
                cmocka_unit_test(the_fix_is_the_record_to_add),
                cmocka_unit_test(rdata_that_lies_about_its_tag_is_refused),
                cmocka_unit_test(a_level_is_read_from_an_answer), cmocka_unit_test(an_alias_is_followed_and_asked_for),
                cmocka_unit_test(servers_that_disagree_are_both_named),
                cmocka_unit_test(an_old_validation_is_asked_again),
                cmocka_unit_test(known_cas_are_found_by_host_and_domain) };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
