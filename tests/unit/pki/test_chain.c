/* Reading chains as they come: any order, junk, duplicates, other people's certificates, too much of everything. */
#include "make_cert.h"

#include <openssl/core_names.h>
#include <openssl/pkcs12.h>

#include "agent/base/secret.h"

/* root -> middle -> low -> leaf; a foreign root and leaf; the same leaf's key in an older certificate. */
static struct made root, middle, low, leaf, older, foreign_root, foreign_leaf;

static int make_all(void **state)
{
        (void)state;
        root = make_cert(&(struct cert_spec){ .subject = "Root", .ca = true });
        middle = make_cert(&(struct cert_spec){ .subject = "Middle", .issuer = &root, .ca = true });
        low = make_cert(&(struct cert_spec){ .subject = "Low", .issuer = &middle, .ca = true, .type = KEY_RSA_2048 });
        leaf = make_cert(&(struct cert_spec){
                .subject = "www.example.com", .issuer = &low, .san = "DNS:www.example.com,IP:192.0.2.1" });
        older = make_cert(&(struct cert_spec){ .subject = "www.example.com",
                .issuer = &low,
                .key_of = &leaf,
                .from = T0 - 50 * DAY,
                .san = "DNS:www.example.com" });
        foreign_root = make_cert(&(struct cert_spec){ .subject = "Root", .ca = true }); /* same name, other key */
        foreign_leaf = make_cert(
                &(struct cert_spec){ .subject = "else.example", .issuer = &foreign_root, .san = "DNS:else.example" });
        return 0;
}

static int free_all(void **state)
{
        struct made *all[] = { &root, &middle, &low, &leaf, &older, &foreign_root, &foreign_leaf };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(all); i++)
                made_done(all[i]);
        return 0;
}

static char *join(const char *const *part)
{
        struct buf b = { 0 };
        for (; *part; part++)
                buf_add(&b, *part);
        return buf_steal(&b);
}

static char *crlf(const char *text)
{
        struct buf b = { 0 };
        for (; *text; text++)
                buf_add(&b, *text == '\n' ? "\r\n" : (char[]){ *text, '\0' });
        return buf_steal(&b);
}

static void every_order_and_junk_gives_the_same_chain(void **state)
{
        (void)state;
        CLEANUP(free_p) char *crlf_leaf = crlf(leaf.pem);
        CLEANUP(free_p) char *crlf_low = crlf(low.pem);
        const struct {
                const char *what;
                const char *part[12];
        } row[] = {
                { "in order", { leaf.pem, low.pem, middle.pem, root.pem } },
                { "reversed", { root.pem, middle.pem, low.pem, leaf.pem } },
                { "no root", { low.pem, leaf.pem, middle.pem } },
                { "duplicates", { leaf.pem, leaf.pem, low.pem, middle.pem, low.pem, leaf.pem, root.pem } },
                { "crlf and junk",
                        { "\xef\xbb\xbfsubject=x\r\n", crlf_leaf, "\r\n\r\n# low\r\n", crlf_low, "\x01\xff", middle.pem,
                                "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----" } },
                { "other people's", { foreign_leaf.pem, middle.pem, foreign_root.pem, leaf.pem, low.pem } },
                { "an older one of this key", { older.pem, leaf.pem, low.pem, middle.pem } },
        };
        CLEANUP(free_p) char *above = join((const char *[]){ low.pem, middle.pem, NULL });
        CLEANUP(free_p) char *full = join((const char *[]){ leaf.pem, above, NULL });
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                CLEANUP(free_p) char *text = join(row[i].part);
                struct chain c = { 0 };
                struct err e = { 0 };
                if (!chain_read(text, strlen(text), spki_of(&leaf), &c, &e))
                        fail_msg("%s: %s", row[i].what, e.text);
                assert_string_equal(c.cert_pem, leaf.pem);
                assert_string_equal(c.chain_pem, above);
                assert_string_equal(c.fullchain_pem, full);
                assert_int_equal(c.count, 3);
                chain_done(&c);
        }
}

static void one_line_and_x509_blocks_are_read(void **state)
{
        struct chain c = { 0 };
        struct buf b = { 0 };
        (void)state;
        buf_add(&b, "-----BEGIN X509 CERTIFICATE-----");
        for (const char *p = strchr(leaf.pem, '\n'); *p && *p != '-'; p++)
                if (*p != '\n')
                        buf_addc(&b, *p);
        buf_add(&b, "-----END X509 CERTIFICATE-----");
        assert_true(chain_read(b.data, b.len, NULL, &c, NULL));
        assert_string_equal(c.cert_pem, leaf.pem);
        assert_string_equal(c.chain_pem, "");
        assert_int_equal(c.count, 1);
        chain_done(&c);
        buf_done(&b);
}

static void without_a_key_the_only_leaf_is_taken(void **state)
{
        (void)state;
        CLEANUP(free_p) char *good = join((const char *[]){ root.pem, low.pem, leaf.pem, middle.pem, NULL });
        CLEANUP(free_p) char *two = join((const char *[]){ foreign_leaf.pem, leaf.pem, low.pem, NULL });
        CLEANUP(free_p) char *none = join((const char *[]){ root.pem, low.pem, NULL });
        struct chain c = { 0 };
        struct err e = { 0 };
        assert_true(chain_read(good, strlen(good), NULL, &c, NULL));
        assert_string_equal(c.cert_pem, leaf.pem);
        chain_done(&c);
        assert_false(chain_read(two, strlen(two), NULL, &c, &e));
        assert_string_equal(e.code, "chain.ambiguous");
        assert_false(chain_read(none, strlen(none), NULL, &c, &e));
        assert_string_equal(e.code, "chain.no-leaf");
        assert_null(c.cert_pem);
}

static void a_self_signed_leaf_is_its_own_chain(void **state)
{
        (void)state;
        for (int ca = 0; ca <= 1; ca++) { /* openssl req -x509 says CA:TRUE */
                struct made self = make_cert(
                        &(struct cert_spec){ .subject = "self.example", .san = "DNS:self.example", .ca = ca });
                struct chain c = { 0 };
                assert_true(chain_read(self.pem, strlen(self.pem), NULL, &c, NULL));
                assert_string_equal(c.fullchain_pem, self.pem);
                chain_done(&c);
                made_done(&self);
        }
        struct chain c;
        struct err e;
        assert_false(chain_read(low.pem, strlen(low.pem), NULL, &c, &e)); /* an issuer alone is nobody's certificate */
        assert_string_equal(e.code, "chain.no-leaf");
}

/* The same intermediate key signed by an old root that is no longer given: the longer way is kept. */
static void a_cross_signed_root_is_kept(void **state)
{
        (void)state;
        struct made oldest = make_cert(&(struct cert_spec){ .subject = "Oldest Root", .ca = true });
        struct made crossed =
                make_cert(&(struct cert_spec){ .subject = "Root", .key_of = &root, .issuer = &oldest, .ca = true });
        CLEANUP(free_p)
        char *text = join((const char *[]){ leaf.pem, root.pem, crossed.pem, middle.pem, low.pem, NULL });
        struct chain c = { 0 };
        assert_true(chain_read(text, strlen(text), spki_of(&leaf), &c, NULL));
        assert_int_equal(c.count, 4);
        assert_true(text_ends(c.fullchain_pem, crossed.pem));
        chain_done(&c);
        made_done(&crossed);
        made_done(&oldest);
}

static void sm2_chains_are_put_in_order_too(void **state)
{
        (void)state;
        struct made ca = make_cert(&(struct cert_spec){ .subject = "SM2 Root", .type = KEY_SM2, .ca = true });
        struct made mid =
                make_cert(&(struct cert_spec){ .subject = "SM2 CA", .issuer = &ca, .type = KEY_SM2, .ca = true });
        struct made sm2 = make_cert(&(struct cert_spec){
                .subject = "sm2.example", .issuer = &mid, .type = KEY_SM2, .san = "DNS:sm2.example" });
        CLEANUP(free_p) char *text = join((const char *[]){ ca.pem, mid.pem, sm2.pem, NULL });
        struct chain c = { 0 };
        assert_true(chain_read(text, strlen(text), spki_of(&sm2), &c, NULL));
        assert_int_equal(c.leaf.key_type, KEY_SM2);
        assert_string_equal(c.chain_pem, mid.pem);
        const struct chain_rules r = { .spki_hex = spki_of(&sm2), .names = &c.leaf.names, .now_s = T0 };
        assert_true(chain_check(&c, &r, NULL));
        chain_done(&c);
        made_done(&ca);
        made_done(&mid);
        made_done(&sm2);
}

/* Old private CAs have no basicConstraints: who issued another is still no leaf. */
static void an_issuer_without_the_ca_flag_is_no_leaf(void **state)
{
        (void)state;
        struct made plain = make_cert(&(struct cert_spec){ .subject = "Plain", .no_constraints = true });
        struct made below = make_cert(&(struct cert_spec){ .subject = "below", .issuer = &plain });
        CLEANUP(free_p) char *text = join((const char *[]){ plain.pem, below.pem, NULL });
        struct chain c = { 0 };
        assert_true(chain_read(text, strlen(text), NULL, &c, NULL));
        assert_string_equal(c.fullchain_pem, below.pem);
        chain_done(&c);
        made_done(&plain);
        made_done(&below);
}

static void an_issuers_key_under_another_name_is_no_issuer(void **state)
{
        (void)state;
        struct made alias =
                make_cert(&(struct cert_spec){ .subject = "Alias", .key_of = &low, .issuer = &middle, .ca = true });
        CLEANUP(free_p) char *text = join((const char *[]){ leaf.pem, alias.pem, low.pem, NULL });
        struct chain c = { 0 };
        assert_true(chain_read(text, strlen(text), spki_of(&leaf), &c, NULL));
        assert_string_equal(c.chain_pem, low.pem);
        chain_done(&c);
        made_done(&alias);
}

static void what_cannot_be_a_chain_is_refused(void **state)
{
        (void)state;
        CLEANUP(free_p) char *cut = text_dup_n(leaf.pem, strlen(leaf.pem) - 30);
        CLEANUP(free_p) char *bad = text_dup(leaf.pem);
        bad[100] = '!';
        CLEANUP(free_p) char *broken = text_dup(leaf.pem);
        broken[60] = broken[60] == 'A' ? 'B' : 'A'; /* inside the outer structure: still base64, no certificate */
        CLEANUP(free_p) char *big = calloc(1, CHAIN_PEM_MAX + 1);
        CLEANUP(free_p) char *second_bad = join((const char *[]){ leaf.pem, bad, NULL });
        CLEANUP(free_p) char *trailing = text_dup("-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n");
        const struct {
                const char *text;
                size_t len;
                const char *code, *says;
        } row[] = {
                { "", 0, "chain.empty", "" },
                { "hello", 5, "chain.empty", "" },
                { cut, strlen(cut), "chain.format", "block 1" },
                { bad, strlen(bad), "chain.format", "block 1" },
                { second_bad, strlen(second_bad), "chain.format", "block 2" },
                { "-----BEGIN CERTIFICATE----------END CERTIFICATE-----", 52, "chain.format", "block 1" },
                { trailing, strlen(trailing), "cert.format", "block 1" },
                { big, CHAIN_PEM_MAX + 1, "chain.size", "" },
                { foreign_leaf.pem, strlen(foreign_leaf.pem), "chain.no-leaf", "else.example" },
        };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct chain c = { 0 };
                struct err e = { 0 };
                assert_false(chain_read(row[i].text, row[i].len, spki_of(&leaf), &c, &e));
                assert_string_equal(e.code, row[i].code);
                assert_int_equal(e.kind, ERR_PROTOCOL);
                assert_non_null(strstr(e.text, row[i].says));
                assert_null(c.cert_pem);
        }
}

static void numbers_of_blocks_and_certificates_are_capped(void **state)
{
        struct buf fifty = { 0 }, eleven = { 0 };
        struct chain c = { 0 };
        struct err e = { 0 };
        (void)state;
        for (int i = 0; i < 50; i++)
                buf_add(&fifty, leaf.pem);
        assert_true(chain_read(fifty.data, fifty.len, NULL, &c, NULL));
        assert_int_equal(c.count, 1);
        chain_done(&c);
        buf_add(&fifty, leaf.pem);
        assert_false(chain_read(fifty.data, fifty.len, NULL, &c, &e));
        assert_string_equal(e.code, "chain.size");
        for (int i = 0; i < CHAIN_CERTS_MAX + 1; i++) {
                struct made m = make_cert(&(struct cert_spec){ .subject = "CA", .key_of = &root, .ca = true });
                buf_add(&eleven, m.pem);
                made_done(&m);
                if (i == CHAIN_CERTS_MAX - 2) {
                        buf_add(&eleven, leaf.pem);
                        assert_true(chain_read(eleven.data, eleven.len, spki_of(&leaf), &c, NULL));
                        chain_done(&c);
                }
        }
        assert_false(chain_read(eleven.data, eleven.len, spki_of(&leaf), &c, &e));
        assert_string_equal(e.code, "chain.size");
        buf_done(&fifty);
        buf_done(&eleven);
}

static void the_facts_of_a_certificate_are_read(void **state)
{
        (void)state;
        struct made m = make_cert(&(struct cert_spec){ .subject = "www.example.com",
                .issuer = &low,
                .serial_hex = "00FFAB01",
                .san = "DNS:WWW.Example.com,DNS:*.example.com,IP:192.0.2.1,IP:2001:DB8:0::1,email:a@b.example" });
        struct chain c = { 0 };
        struct cert_info info = { 0 };
        assert_true(chain_read(m.pem, strlen(m.pem), NULL, &c, NULL));
        assert_true(chain_from_der(c.leaf_der, c.leaf_der_len, &info, NULL));
        assert_string_equal(info.serial_hex, "ffab01");
        assert_string_equal(info.subject, "CN=www.example.com");
        assert_string_equal(info.issuer, "CN=Low");
        assert_int_equal(info.names.count, 4);
        assert_string_equal(info.names.item[0], "www.example.com");
        assert_string_equal(info.names.item[1], "*.example.com");
        assert_string_equal(info.names.item[2], "192.0.2.1");
        assert_string_equal(info.names.item[3], "2001:db8::1");
        assert_int_equal(info.not_before_s, T0 - DAY);
        assert_int_equal(info.not_after_s, T0 + 90 * DAY);
        assert_int_equal(info.key_type, KEY_EC_P256);
        assert_false(info.is_ca);
        assert_string_equal(info.spki_hex, spki_of(&m));
        char hex[65];
        sha256_hex(c.leaf_der, c.leaf_der_len, hex);
        assert_string_equal(info.sha256, hex);
        assert_int_equal(strlen(info.sha1), 40);
        assert_false(info.organization);
        cert_info_done(&info);
        chain_done(&c);
        made_done(&m);
}

static void whom_a_certificate_names_is_seen(void **state)
{
        (void)state;
        struct made m = make_cert(&(struct cert_spec){ .subject = "www.example.com", .organization = "Example, Inc." });
        struct chain c = { 0 };
        assert_true(chain_read(m.pem, strlen(m.pem), NULL, &c, NULL));
        assert_true(c.leaf.organization);
        chain_done(&c);
        made_done(&m);
}

static void times_beyond_2038_and_names_without_san_are_read(void **state)
{
        (void)state;
        struct made m = make_cert(&(struct cert_spec){ .subject = "Old.example", .until = INT64_C(4102444800) });
        struct chain c = { 0 };
        assert_true(chain_read(m.pem, strlen(m.pem), NULL, &c, NULL));
        assert_int_equal(c.leaf.not_after_s, INT64_C(4102444800)); /* 2100 */
        assert_int_equal(c.leaf.names.count, 1);
        assert_string_equal(c.leaf.names.item[0], "old.example");
        chain_done(&c);
        made_done(&m);
}

static void hostile_text_in_a_certificate_is_escaped(void **state)
{
        (void)state;
        struct made m = make_cert(&(struct cert_spec){ .subject = "\x1b[2Jred\n\xe2\x80\xae"
                                                                  "evil",
                .san_raw = "good.example\0.evil\x1b",
                .san_raw_len = 19 });
        struct chain c = { 0 };
        assert_true(chain_read(m.pem, strlen(m.pem), NULL, &c, NULL));
        assert_string_equal(c.leaf.names.item[0], "good.example\\x00.evil\\x1b");
        for (const char *p = c.leaf.subject; *p; p++)
                assert_true(*p >= 0x20 && *p < 0x7f);
        assert_non_null(strstr(c.leaf.subject, "evil"));
        chain_done(&c);
        made_done(&m);
}

static void bytes_that_are_no_certificate_are_refused(void **state)
{
        struct chain c = { 0 };
        struct cert_info info = { 0 };
        struct err e = { 0 };
        (void)state;
        assert_true(chain_read(leaf.pem, strlen(leaf.pem), NULL, &c, NULL));
        uint8_t *longer = malloc(c.leaf_der_len + 1);
        memcpy(longer, c.leaf_der, c.leaf_der_len);
        longer[c.leaf_der_len] = 0;
        assert_false(chain_from_der(longer, c.leaf_der_len + 1, &info, &e));
        assert_string_equal(e.code, "cert.format");
        assert_false(chain_from_der(longer, c.leaf_der_len - 1, &info, &e));
        assert_false(chain_from_der(longer, 0, &info, &e));
        assert_null(info.subject);
        free(longer);
        chain_done(&c);
}

static void pkcs12_holds_key_and_chain(void **state)
{
        (void)state;
        CLEANUP(free_p) char *text = join((const char *[]){ leaf.pem, low.pem, middle.pem, NULL });
        CLEANUP(secret_done) struct secret word = { 0 }, out = { 0 }, nul = { 0 };
        struct chain c = { 0 };
        struct err e = { 0 };
        assert_true(secret_set(&word, "s3cret", 6, NULL));
        assert_true(chain_read(text, strlen(text), spki_of(&leaf), &c, NULL));
        if (!chain_pkcs12(&c, leaf.key, &word, &out, &e))
                fail_msg("%s", e.text);
        const unsigned char *at = out.data;
        PKCS12 *p12 = d2i_PKCS12(NULL, &at, (long)out.len);
        assert_non_null(p12);
        EVP_PKEY *pkey = NULL;
        X509 *x = NULL;
        STACK_OF(X509) *others = NULL;
        assert_int_equal(PKCS12_parse(p12, "wrong", &pkey, &x, NULL), 0);
        assert_int_equal(PKCS12_parse(p12, "s3cret", &pkey, &x, &others), 1);
        assert_int_equal(EVP_PKEY_eq(pkey, leaf.key->pkey), 1);
        assert_int_equal(X509_cmp(x, leaf.x), 0);
        assert_int_equal(sk_X509_num(others), 2);
        EVP_PKEY_free(pkey);
        X509_free(x);
        sk_X509_pop_free(others, X509_free);
        PKCS12_free(p12);
        assert_false(chain_pkcs12(&c, low.key, &word, &out, &e)); /* not this certificate's key */
        assert_int_equal(e.kind, ERR_CONFIG);
        assert_true(secret_set(&nul, "a\0b", 3, NULL));
        assert_false(chain_pkcs12(&c, leaf.key, &nul, &out, &e));
        assert_string_equal(e.code, "key.passphrase");
        chain_done(&c);
}

static void the_last_certificate_tells_below_which_root_a_chain_ends(void **state)
{
        const struct {
                const char *part[4];
                const char *name;
                bool want;
        } row[] = { { { leaf.pem, low.pem, middle.pem, NULL }, "Root", true },
                { { leaf.pem, low.pem, NULL }, "Root", false }, { { leaf.pem, low.pem, NULL }, "Middle", true },
                { { leaf.pem, low.pem, middle.pem, NULL }, "Roo", false }, { { "junk", NULL }, "Root", false },
                { { leaf.pem, middle.pem, "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", NULL }, "Root",
                        false } };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                CLEANUP(free_p) char *text = join(row[i].part);
                if (chain_ends_below(text, strlen(text), row[i].name) != row[i].want)
                        fail_msg("row %zu", i);
        }
}

static void a_block_of_another_kind_is_noticed(void **state)
{
        (void)state;
        const struct {
                const char *part[4];
                bool want;
        } row[] = { { { leaf.pem, low.pem, NULL }, true }, { { "# comment\n", leaf.pem, NULL }, true },
                { { leaf.pem, "-----BEGIN PRIVATE KEY-----\n", NULL }, false },
                { { leaf.pem, "-----BEGIN CERTIFICATE REQUEST-----\n", NULL }, false }, { { "", NULL }, false },
                { { leaf.pem, "-----BEGIN ", NULL }, false } };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                CLEANUP(free_p) char *text = join(row[i].part);
                if (chain_has_only_certificates(text, strlen(text)) != row[i].want)
                        fail_msg("row %zu", i);
        }
}

/* The example of RFC 9773 section 4.1 and appendix A: its serial number begins with a zero byte. */
static void a_certificate_is_named_for_renewal_as_the_rfc_does(void **state)
{
        static const char base64[] =
                "MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFtcGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMD"
                "AwMTAx"
                "MDEwMDAwMDBaMBYxFDASBgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu7cbpAYNXZLbbh8rNIz"
                "uOoqOO"
                "tmxA1v7cRm//"
                "AwyMwWxyHz4zfwmBhcSrf47NUAFfqzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4ByNQw"
                "CgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb+FYN/"
                "8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5Mds"
                "O3pK";
        uint8_t *der = NULL;
        size_t len = 0;
        struct err e;
        char *id = NULL;
        (void)state;
        assert_true(base64_decode(base64, strlen(base64), &der, &len));
        assert_true(cert_renewal_id(der, len, &id, &e));
        assert_string_equal(id, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
        free(id);
        free(der);
        id = NULL;
        assert_false(cert_renewal_id((const uint8_t *)"junk", 4, &id, &e));
        assert_null(id);
}

/* Key and certificate are compared by this name, whatever form the certificate has its public key in. */
static void a_certificate_has_the_name_of_its_key(void **state)
{
        static const enum key_type types[] = { KEY_RSA_2048, KEY_EC_P256, KEY_EC_P384, KEY_SM2 };
        (void)state;
        for (size_t i = 0; i < 2 * ARRAY_LEN(types); i++) {
                struct made key = { 0 }, cert;
                struct cert_info info = { 0 };
                unsigned char *der = NULL, *spki = NULL;
                char hex[65], raw[65];
                enum key_type type = types[i / 2];
                bool compressed = i % 2 == 1 && type != KEY_RSA_2048;
                assert_true(key_generate(type, &key.key, NULL) && key_spki_hex(key.key, hex, NULL));
                if (compressed)
                        assert_int_equal(EVP_PKEY_set_utf8_string_param(key.key->pkey,
                                                 OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "compressed"),
                                1);
                cert = make_cert(&(struct cert_spec){ .subject = "www.example.test", .key_of = &key });
                int len = i2d_X509(cert.x, &der), spki_len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert.x), &spki);
                sha256_hex(spki, (size_t)spki_len, raw);
                assert_int_equal(strcmp(raw, hex) != 0, compressed); /* it is in that form */
                assert_true(chain_from_der(der, (size_t)len, &info, NULL));
                assert_string_equal(info.spki_hex, hex);
                assert_int_equal(info.key_type, type);
                cert_info_done(&info);
                OPENSSL_free(der);
                OPENSSL_free(spki);
                X509_free(cert.x);
                free(cert.pem);
                key_free(cert.key);
                key_free(key.key);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_certificate_has_the_name_of_its_key),
                cmocka_unit_test(every_order_and_junk_gives_the_same_chain),
                cmocka_unit_test(one_line_and_x509_blocks_are_read),
                cmocka_unit_test(without_a_key_the_only_leaf_is_taken),
                cmocka_unit_test(a_self_signed_leaf_is_its_own_chain),
                cmocka_unit_test(a_cross_signed_root_is_kept),
                cmocka_unit_test(sm2_chains_are_put_in_order_too),
                cmocka_unit_test(an_issuer_without_the_ca_flag_is_no_leaf),
                cmocka_unit_test(an_issuers_key_under_another_name_is_no_issuer),
                cmocka_unit_test(what_cannot_be_a_chain_is_refused),
                cmocka_unit_test(numbers_of_blocks_and_certificates_are_capped),
                cmocka_unit_test(the_facts_of_a_certificate_are_read),
                cmocka_unit_test(whom_a_certificate_names_is_seen),
                cmocka_unit_test(times_beyond_2038_and_names_without_san_are_read),
                cmocka_unit_test(hostile_text_in_a_certificate_is_escaped),
                cmocka_unit_test(bytes_that_are_no_certificate_are_refused),
                cmocka_unit_test(pkcs12_holds_key_and_chain),
                cmocka_unit_test(the_last_certificate_tells_below_which_root_a_chain_ends),
                cmocka_unit_test(a_block_of_another_kind_is_noticed),
                cmocka_unit_test(a_certificate_is_named_for_renewal_as_the_rfc_does),
        };
        return cmocka_run_group_tests(tests, make_all, free_all);
}
