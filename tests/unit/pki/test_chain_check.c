/* The rules a new certificate meets before it is installed: one row per rule, and the certificate that meets them all.
 */
#include "make_cert.h"

static struct made root, middle, expired_middle, no_ca, stranger, nothing = { .pem = (char *)"" };

static int make_all(void **state)
{
        (void)state;
        root = make_cert(&(struct cert_spec){ .subject = "Root", .ca = true, .from = T0 - 900 * DAY });
        middle = make_cert(&(struct cert_spec){ .subject = "Good CA G1", .issuer = &root, .ca = true });
        expired_middle = make_cert(&(struct cert_spec){
                .subject = "Expired CA", .issuer = &root, .ca = true, .from = T0 - 90 * DAY, .until = T0 - 1 });
        no_ca = make_cert(&(struct cert_spec){ .subject = "no ca", .issuer = &root, .no_constraints = true });
        stranger = make_cert(&(struct cert_spec){ .subject = "Good CA G1", .issuer = &root, .ca = true });
        return 0;
}

static int free_all(void **state)
{
        (void)state;
        made_done(&root);
        made_done(&middle);
        made_done(&expired_middle);
        made_done(&no_ca);
        made_done(&stranger);
        return 0;
}

#define SAN "DNS:www.example.com,DNS:example.com"
#define BOTH "www.example.com example.com"

struct row {
        const char *what;
        struct cert_spec leaf; /* subject, issuer filled in if absent */
        const struct made *instead; /* comes with the leaf in its issuer's place */
        const char *names, *extra_ok; /* blanks between */
        const char *like;
        int64_t end;
        bool other_key, same;
        const char *code; /* NULL: passes */
        enum err_kind kind;
        int64_t retry_after_s;
};

static struct texts words(const char *text)
{
        struct texts t = { 0 };
        for (const char *p = text; p && *p;) {
                size_t n = strcspn(p, " ");
                char *word = text_dup_n(p, n);
                assert_true(texts_add_own(&t, word));
                p += n + (p[n] == ' ');
        }
        return t;
}

static void check_row(const struct row *r)
{
        struct cert_spec spec = r->leaf;
        spec.subject = spec.subject ? spec.subject : "www.example.com";
        spec.issuer = spec.issuer ? spec.issuer : &middle;
        struct made leaf = make_cert(&spec);
        CLEANUP(free_p)
        char *text = text_format(
                "%s%s%s", leaf.pem, r->instead ? r->instead->pem : spec.issuer->pem, r->instead ? "" : root.pem);
        CLEANUP(texts_done) struct texts names = words(r->names ? r->names : BOTH), extra = words(r->extra_ok);
        struct chain c = { 0 };
        struct err e = { 0 };
        if (!chain_read(text, strlen(text), spki_of(&leaf), &c, &e))
                fail_msg("%s: %s", r->what, e.text);
        const struct chain_rules rules = {
                .spki_hex = r->other_key ? spki_of(&root) : spki_of(&leaf),
                .names = &names,
                .extra_ok = r->extra_ok ? &extra : NULL,
                .now_s = T0,
                .not_after_s = r->end,
                .old_sha256 = r->same ? c.leaf.sha256 : "00",
                .issuer_like = r->like,
        };
        bool good = chain_check(&c, &rules, &e);
        if (good != !r->code || (r->code && strcmp(e.code, r->code) != 0))
                fail_msg("%s: %s %s", r->what, e.code, e.text);
        if (r->code) {
                assert_int_equal(e.kind, r->kind ? r->kind : ERR_PROTOCOL);
                assert_int_equal(e.retry_after_s, r->retry_after_s);
        }
        chain_done(&c);
        made_done(&leaf);
}

static void each_rule_refuses_what_it_is_for(void **state)
{
        (void)state;
        const struct row rows[] = {
                { .what = "all met",
                        .leaf = { .san = SAN, .usage = "digitalSignature", .extended_usage = "serverAuth" } },
                { .what = "no usage at all", .leaf = { .san = SAN } },
                { .what = "any usage", .leaf = { .san = SAN, .extended_usage = "anyExtendedKeyUsage" } },
                { .what = "RSA", .leaf = { .san = SAN, .type = KEY_RSA_2048, .usage = "keyEncipherment" } },
                { .what = "end as expected", .leaf = { .san = SAN, .until = T0 + 5 }, .end = T0 + 5 },
                { .what = "issuer as wanted", .leaf = { .san = SAN }, .like = "Good CA" },
                { .what = "issuer above as wanted", .leaf = { .san = SAN }, .like = "cn=root" },
                { .what = "known extra",
                        .leaf = { .san = SAN ",DNS:Mail.example.com" },
                        .extra_ok = "mail.example.com" },
                { .what = "wildcard asked and given",
                        .leaf = { .san = "DNS:*.example.com" },
                        .names = "*.example.com" },
                { .what = "addresses",
                        .leaf = { .san = "IP:192.0.2.1,IP:2001:db8::1" },
                        .names = "192.0.2.1 2001:db8:0::1" },

                { .what = "the root itself issued it", .leaf = { .san = SAN, .issuer = &root } },

                { .what = "other key", .leaf = { .san = SAN }, .other_key = true, .code = "cert.key" },
                { .what = "name missing", .leaf = { .san = "DNS:www.example.com" }, .code = "cert.name-missing" },
                { .what = "name extra", .leaf = { .san = SAN ",DNS:evil.example" }, .code = "cert.name-extra" },
                { .what = "extra not the known",
                        .leaf = { .san = SAN ",DNS:a.example" },
                        .extra_ok = "b.example",
                        .code = "cert.name-extra" },
                { .what = "wildcard nobody asked for",
                        .leaf = { .san = "DNS:*.example.com" },
                        .names = "www.example.com",
                        .code = "cert.name-extra" },
                { .what = "wildcard not given",
                        .leaf = { .san = "DNS:www.example.com" },
                        .names = "*.example.com",
                        .code = "cert.name-missing" },
                { .what = "wildcard of two labels",
                        .leaf = { .san = "DNS:*.example.com" },
                        .names = "a.b.example.com",
                        .code = "cert.name-missing" },
                { .what = "other address",
                        .leaf = { .san = "IP:192.0.2.2" },
                        .names = "192.0.2.1",
                        .code = "cert.name-missing" },
                { .what = "expired", .leaf = { .san = SAN, .from = T0 - 9, .until = T0 - 1 }, .code = "cert.expired" },
                { .what = "expires now", .leaf = { .san = SAN, .until = T0 }, .code = "cert.expired" },
                { .what = "valid from now", .leaf = { .san = SAN, .from = T0 } },
                { .what = "valid in a second",
                        .leaf = { .san = SAN, .from = T0 + 1 },
                        .code = "cert.not-yet",
                        .kind = ERR_TEMPORARY,
                        .retry_after_s = 1 },
                { .what = "valid in under an hour",
                        .leaf = { .san = SAN, .from = T0 + 3599 },
                        .code = "cert.not-yet",
                        .kind = ERR_TEMPORARY,
                        .retry_after_s = 3599 },
                { .what = "valid in an hour", .leaf = { .san = SAN, .from = T0 + 3600 }, .code = "cert.not-yet" },
                { .what = "ends a second late (R6)",
                        .leaf = { .san = SAN, .until = T0 + 6 },
                        .end = T0 + 5,
                        .code = "cert.end" },
                { .what = "ends a second early (R6)",
                        .leaf = { .san = SAN, .until = T0 + 4 },
                        .end = T0 + 5,
                        .code = "cert.end" },
                { .what = "the same again", .leaf = { .san = SAN }, .same = true, .code = "cert.same" },
                { .what = "other issuer", .leaf = { .san = SAN }, .like = "Better CA", .code = "cert.issuer" },
                { .what = "a CA", .leaf = { .san = SAN, .ca = true }, .code = "cert.ca" },
                { .what = "client usage",
                        .leaf = { .san = SAN, .extended_usage = "clientAuth" },
                        .code = "cert.usage" },
                { .what = "signs certificates only", .leaf = { .san = SAN, .usage = "cRLSign" }, .code = "cert.usage" },
                { .what = "precertificate",
                        .leaf = { .san = SAN, .critical_oid = "1.3.6.1.4.1.11129.2.4.3" },
                        .code = "cert.usage" },
                { .what = "expired intermediate",
                        .leaf = { .san = SAN, .issuer = &expired_middle },
                        .code = "cert.chain" },
                { .what = "another issuer", .leaf = { .san = SAN }, .instead = &stranger, .code = "cert.chain" },
                { .what = "an issuer further up alone",
                        .leaf = { .san = SAN },
                        .instead = &root,
                        .code = "cert.chain" },
                { .what = "it alone", .leaf = { .san = SAN }, .instead = &nothing },
                { .what = "issuer that is no CA", .leaf = { .san = SAN, .issuer = &no_ca }, .code = "cert.chain" },
        };
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
                check_row(&rows[i]);
}

/* chain_read never makes such a chain; one kept on disk could be. */
static void an_intermediate_that_does_not_sign_is_refused(void **state)
{
        (void)state;
        struct made leaf = make_cert(&(struct cert_spec){ .subject = "x", .issuer = &middle, .san = SAN });
        CLEANUP(texts_done) struct texts names = words(BOTH);
        const struct {
                const char *above;
                bool want;
        } row[] = {
                { middle.pem, true },
                { "", true },
                { stranger.pem, false }, /* right name, other key */
                { root.pem, false },
                { "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", false },
                { "-----BEGIN CERTIFICATE-----\nMAA=\n", false },
        };
        struct chain c = { 0 };
        assert_true(chain_read(leaf.pem, strlen(leaf.pem), NULL, &c, NULL));
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct err e = { 0 };
                free(c.chain_pem);
                c.chain_pem = text_dup(row[i].above);
                const struct chain_rules r = { .spki_hex = spki_of(&leaf), .names = &names, .now_s = T0 };
                assert_int_equal(chain_check(&c, &r, &e), row[i].want);
                if (!row[i].want)
                        assert_string_equal(e.code, "cert.chain");
        }
        chain_done(&c);
        made_done(&leaf);
}

static void without_a_key_to_compare_nothing_passes(void **state)
{
        (void)state;
        struct made leaf = make_cert(&(struct cert_spec){ .subject = "x", .issuer = &middle, .san = SAN });
        CLEANUP(texts_done) struct texts names = words(BOTH);
        struct chain c = { 0 };
        struct err e = { 0 };
        assert_true(chain_read(leaf.pem, strlen(leaf.pem), NULL, &c, NULL));
        assert_false(chain_check(&c, &(struct chain_rules){ .names = &names, .now_s = T0 }, &e));
        assert_string_equal(e.code, "cert.key");
        chain_done(&c);
        made_done(&leaf);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_rule_refuses_what_it_is_for),
                cmocka_unit_test(an_intermediate_that_does_not_sign_is_refused),
                cmocka_unit_test(without_a_key_to_compare_nothing_passes),
        };
        return cmocka_run_group_tests(tests, make_all, free_all);
}
