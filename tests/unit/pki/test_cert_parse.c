/* A certificate read without its key says what the whole one says, whatever is wrong with it. */
#include "make_cert.h"

#include "agent/pki/cert_internal.h"

#define FLAGS_OF_THE_KEY (EXFLAG_SS | EXFLAG_NO_FINGERPRINT) /* and of the hash: nobody here asks for them */

static struct made root, rsa_root, other_root, leaf[5];

static int make_all(void **state)
{
        (void)state;
        root = make_cert(&(struct cert_spec){ .subject = "Root", .ca = true });
        rsa_root = make_cert(&(struct cert_spec){ .subject = "RSA", .ca = true, .type = KEY_RSA_2048 });
        other_root = make_cert(&(struct cert_spec){ .subject = "Root", .ca = true }); /* same name, other key */
        leaf[0] = make_cert(&(struct cert_spec){
                .subject = "a.example", .issuer = &root, .san = "DNS:a.example", .usage = "digitalSignature" });
        leaf[1] = make_cert(&(struct cert_spec){ .subject = "b.example",
                .issuer = &rsa_root,
                .type = KEY_EC_P384,
                .san = "DNS:b.example",
                .extended_usage = "serverAuth" });
        leaf[2] = make_cert(&(struct cert_spec){ .subject = "c.example", .issuer = &root, .type = KEY_RSA_2048 });
        leaf[3] = make_cert(&(struct cert_spec){ .subject = "d.example", .issuer = &root, .type = KEY_SM2 });
        leaf[4] = make_cert(&(struct cert_spec){ .subject = "e.example", .san = "DNS:e.example" }); /* by itself */
        return 0;
}

static int free_all(void **state)
{
        (void)state;
        made_done(&root);
        made_done(&rsa_root);
        made_done(&other_root);
        for (size_t i = 0; i < ARRAY_LEN(leaf); i++)
                made_done(&leaf[i]);
        return 0;
}

static size_t der_of(X509 *x, uint8_t **ret)
{
        *ret = NULL;
        int len = i2d_X509(x, ret);
        assert_true(len > 0);
        return (size_t)len;
}

/* The first few are read whole in any case. */
static void read_some(void)
{
        for (size_t i = 0; i < 8; i++) {
                struct made m = make_cert(&(struct cert_spec){ .subject = "some" });
                CLEANUP(cert_free_p) X509 *x = NULL;
                uint8_t *der;
                size_t len = der_of(m.x, &der);
                assert_true(cert_parse_fields(der, len, &x, NULL));
                OPENSSL_free(der);
                made_done(&m);
        }
}

static void same_info(const struct cert_info *a, const struct cert_info *b)
{
        assert_string_equal(a->sha256, b->sha256);
        assert_string_equal(a->sha1, b->sha1);
        assert_string_equal(a->spki_hex, b->spki_hex);
        assert_string_equal(a->serial_hex, b->serial_hex);
        assert_string_equal(a->subject, b->subject);
        assert_string_equal(a->issuer, b->issuer);
        assert_int_equal(a->names.count, b->names.count);
        for (size_t i = 0; i < a->names.count; i++)
                assert_string_equal(a->names.item[i], b->names.item[i]);
        assert_int_equal(a->not_before_s, b->not_before_s);
        assert_int_equal(a->not_after_s, b->not_after_s);
        assert_int_equal(a->key_type, b->key_type);
        assert_int_equal(a->is_ca, b->is_ca);
}

/* Fields first: the whole one takes their place among the known ones. True: it could be read, by issuer's hand or not.
 */
static bool judged_alike(const uint8_t *der, size_t len, X509 *issuer, bool *ret_issued)
{
        CLEANUP(cert_free_p) X509 *fields = NULL, *whole = NULL;
        struct cert_info a = { 0 }, b = { 0 };
        struct err ea = { 0 }, eb = { 0 };
        bool read = cert_parse_fields(der, len, &fields, &ea);
        bool filled = read && cert_fill(fields, der, len, &a, &ea);
        bool issued = read && cert_issued_by(fields, issuer);
        assert_int_equal(cert_parse(der, len, &whole, &eb), read);
        assert_int_equal(read && cert_fill(whole, der, len, &b, &eb), filled);
        assert_string_equal(ea.code, eb.code);
        assert_string_equal(ea.text, eb.text);
        if (filled) {
                same_info(&a, &b);
                assert_non_null(X509_get0_pubkey(whole));
        }
        if (read) {
                assert_int_equal(X509_get_extension_flags(fields) & ~(uint32_t)FLAGS_OF_THE_KEY,
                        X509_get_extension_flags(whole) & ~(uint32_t)FLAGS_OF_THE_KEY);
                assert_int_equal(X509_get_extended_key_usage(fields), X509_get_extended_key_usage(whole));
                assert_int_equal(X509_get_key_usage(fields), X509_get_key_usage(whole));
                assert_int_equal(cert_issued_by(whole, issuer), issued);
        }
        cert_info_done(&a);
        cert_info_done(&b);
        *ret_issued = issued;
        return filled;
}

static void every_damage_is_judged_alike(void **state)
{
        X509 *const issuer[] = { root.x, rsa_root.x, root.x, root.x, leaf[4].x };
        static const uint8_t damage[] = { 0x01, 0x80 };
        bool issued = false;
        (void)state;
        read_some();
        for (size_t i = 0; i < ARRAY_LEN(leaf); i++) {
                uint8_t *der;
                size_t len = der_of(leaf[i].x, &der), bad = 0;
                assert_true(judged_alike(der, len, issuer[i], &issued) && issued);
                for (size_t at = 0; at < len; at++) {
                        der[at] ^= damage[at % 2];
                        bad += !judged_alike(der, len, issuer[i], &issued);
                        if (issued) /* a bit that no signature covers: none is left in a leaf of ours */
                                fail_msg("certificate %zu, byte %zu", i, at);
                        der[at] ^= damage[at % 2];
                }
                assert_true(bad > 0 && bad < len);
                uint8_t *longer = calloc(1, len + 1);
                memcpy(longer, der, len);
                assert_false(judged_alike(longer, len + 1, issuer[i], &issued));
                assert_false(judged_alike(longer, len - 1, issuer[i], &issued));
                free(longer);
                OPENSSL_free(der);
        }
}

static void the_key_comes_with_who_asks_for_it(void **state)
{
        CLEANUP(cert_free_p) X509 *fields = NULL, *whole = NULL, *again = NULL;
        struct made m = make_cert(&(struct cert_spec){ .subject = "f.example" });
        uint8_t *der;
        size_t len = der_of(m.x, &der);
        (void)state;
        read_some();
        assert_true(cert_parse_fields(der, len, &fields, NULL));
        assert_null(X509_get0_pubkey(fields)); /* else nothing was gained */
        assert_true(cert_parse(der, len, &whole, NULL));
        assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(whole), m.key->pkey), 1);
        assert_true(cert_parse_fields(der, len, &again, NULL));
        assert_ptr_equal(again, whole); /* one place among the known for both */
        OPENSSL_free(der);
        made_done(&m);
}

static void a_pair_once_found_is_no_other(void **state)
{
        (void)state;
        for (size_t i = 0; i < 3; i++) {
                assert_true(cert_issued_by(leaf[0].x, root.x));
                assert_false(cert_issued_by(leaf[0].x, other_root.x));
                assert_false(cert_issued_by(leaf[0].x, rsa_root.x));
                assert_false(cert_issued_by(root.x, leaf[0].x));
                assert_false(cert_issued_by(leaf[1].x, root.x));
                assert_true(cert_issued_by(leaf[1].x, rsa_root.x));
                assert_true(cert_issued_by(leaf[4].x, leaf[4].x));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_damage_is_judged_alike),
                cmocka_unit_test(the_key_comes_with_who_asks_for_it),
                cmocka_unit_test(a_pair_once_found_is_no_other),
        };
        return cmocka_run_group_tests(tests, make_all, free_all);
}
