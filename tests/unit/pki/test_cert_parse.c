/* A certificate is read as OpenSSL reads it, whatever is wrong with it, and without decoders where its key is a usual
 * one. */
#include "make_cert.h"

#include <openssl/ec.h>

#include "agent/pki/cert_internal.h"
#include "agent/pki/key_internal.h"

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

/* As d2i_X509 does, to the last byte. */
static X509 *by_openssl(const uint8_t *der, size_t len)
{
        const unsigned char *at = der;
        X509 *x = d2i_X509(NULL, &at, (long)len);
        if (x && at == der + len)
                return x;
        X509_free(x);
        return NULL;
}

static void same_key(X509 *a, X509 *b)
{
        EVP_PKEY *key = X509_get0_pubkey(a), *want = X509_get0_pubkey(b);
        const ASN1_BIT_STRING *bits = X509_get0_pubkey_bitstr(a), *same = X509_get0_pubkey_bitstr(b);
        char hex[65], want_hex[65];
        assert_int_equal(bits->length, same->length);
        assert_memory_equal(bits->data, same->data, (size_t)same->length);
        assert_int_equal(key != NULL, want != NULL);
        if (!want)
                return;
        assert_int_equal(EVP_PKEY_eq(key, want), 1);
        assert_true(spki_hex(key, hex, NULL) && spki_hex(want, want_hex, NULL));
        assert_string_equal(hex, want_hex);
}

/* True: it could be read, by issuer's hand or not. */
static bool judged_alike(const uint8_t *der, size_t len, X509 *issuer, bool *ret_issued)
{
        CLEANUP(cert_free_p) X509 *x = NULL, *want = by_openssl(der, len);
        struct cert_info a = { 0 }, b = { 0 };
        struct err ea = { 0 }, eb = { 0 };
        bool read = cert_parse(der, len, &x, &ea);
        bool filled = read && cert_fill(x, der, len, &a, &ea);
        assert_int_equal(want != NULL, read);
        assert_int_equal(read && cert_fill(want, der, len, &b, &eb), filled);
        if (filled)
                same_info(&a, &b);
        else if (read)
                assert_string_equal(ea.code, eb.code);
        *ret_issued = read && cert_issued_by(x, issuer);
        if (read) {
                same_key(x, want);
                assert_int_equal(X509_get_extension_flags(x), X509_get_extension_flags(want));
                assert_int_equal(X509_get_extended_key_usage(x), X509_get_extended_key_usage(want));
                assert_int_equal(X509_get_key_usage(x), X509_get_key_usage(want));
                assert_int_equal(cert_issued_by(want, issuer), *ret_issued);
        }
        cert_info_done(&a);
        cert_info_done(&b);
        return filled;
}

static void every_damage_is_judged_alike(void **state)
{
        X509 *const issuer[] = { root.x, rsa_root.x, root.x, root.x, leaf[4].x };
        static const uint8_t damage[] = { 0x01, 0x80 };
        bool issued = false;
        (void)state;
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

/* What decoders read belongs to a provider. */
static bool is_usual(X509 *x)
{
        return !EVP_PKEY_get0_provider(X509_get0_pubkey(x));
}

static void a_usual_key_takes_no_decoders(void **state)
{
        static const bool usual[ARRAY_LEN(leaf)] = { true, true, true, false, true };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(leaf); i++) {
                CLEANUP(cert_free_p) X509 *x = NULL, *again = NULL;
                uint8_t *der;
                size_t len = der_of(leaf[i].x, &der);
                assert_true(cert_parse(der, len, &x, NULL) && cert_parse(der, len, &again, NULL));
                assert_ptr_equal(again, x); /* remembered */
                assert_int_equal(is_usual(x), usual[i]);
                assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(x), leaf[i].key->pkey), 1);
                OPENSSL_free(der);
        }
}

/* What OpenSSL then is to free: a curve by its equation, or by its name. TRUE is no pointer, and is read into where one
 * would be. */
static void *parameters(int type, int curve)
{
        static int yes;
        if (type == V_ASN1_BOOLEAN)
                return &yes;
        if (type == V_ASN1_OBJECT)
                return OBJ_nid2obj(curve);
        if (type != V_ASN1_SEQUENCE)
                return NULL;
        EC_GROUP *group = EC_GROUP_new_by_curve_name(curve);
        unsigned char *der = NULL;
        ASN1_STRING *text = ASN1_STRING_new();
        EC_GROUP_set_asn1_flag(group, OPENSSL_EC_EXPLICIT_CURVE);
        int len = i2d_ECPKParameters(group, &der);
        assert_true(len > 0);
        ASN1_STRING_set0(text, der, len);
        EC_GROUP_free(group);
        return text;
}

/* The key of m written in another way: from the bytes of the usual one. Signed anew, as only then it is encoded anew.
 */
static void rewrite(struct made *m, int parameter, int curve, size_t (*change)(uint8_t *octets, size_t len))
{
        const ASN1_BIT_STRING *bits = X509_get0_pubkey_bitstr(m->x);
        size_t len = (size_t)bits->length;
        uint8_t *octets = OPENSSL_zalloc(len + 8);
        X509_PUBKEY *public = X509_get_X509_PUBKEY(m->x);
        ASN1_OBJECT *algorithm = NULL;
        assert_non_null(octets);
        memcpy(octets, bits->data, len);
        len = change(octets, len);
        assert_int_equal(X509_PUBKEY_get0_param(&algorithm, NULL, NULL, NULL, public), 1);
        assert_int_equal(X509_PUBKEY_set0_param(
                                 public, OBJ_dup(algorithm), parameter, parameters(parameter, curve), octets, (int)len),
                1);
        assert_true(X509_sign(m->x, m->key->pkey, EVP_sha256()) > 0);
}

static size_t as_it_is(uint8_t *octets, size_t len)
{
        (void)octets;
        return len;
}

static size_t compressed(uint8_t *octets, size_t len)
{
        octets[0] = (uint8_t)(POINT_CONVERSION_COMPRESSED | (octets[len - 1] & 1));
        return (len + 1) / 2;
}

static size_t hybrid(uint8_t *octets, size_t len)
{
        octets[0] = (uint8_t)(POINT_CONVERSION_HYBRID | (octets[len - 1] & 1));
        return len;
}

static size_t off_the_curve(uint8_t *octets, size_t len)
{
        octets[len - 1] ^= 1;
        return len;
}

static size_t at_infinity(uint8_t *octets, size_t len)
{
        (void)len;
        octets[0] = 0;
        return 1;
}

static size_t none(uint8_t *octets, size_t len)
{
        (void)octets, (void)len;
        return 0;
}

static size_t longer(uint8_t *octets, size_t len)
{
        octets[len] = 0;
        return len + 1;
}

/* A zero before the modulus: 30 82 xx xx 02 82 xx xx ... */
static size_t padded(uint8_t *octets, size_t len)
{
        memmove(octets + 9, octets + 8, len - 8);
        octets[8] = 0;
        octets[3]++;
        octets[7]++;
        return len + 1;
}

static void an_unusual_key_is_left_to_openssl(void **state)
{
        static const struct {
                enum key_type type;
                int parameter, curve;
                size_t (*change)(uint8_t *octets, size_t len);
                bool usual, good;
        } row[] = {
                { KEY_EC_P256, V_ASN1_OBJECT, NID_X9_62_prime256v1, as_it_is, true, true },
                { KEY_EC_P256, V_ASN1_OBJECT, NID_X9_62_prime256v1, compressed, false, true },
                { KEY_EC_P256, V_ASN1_OBJECT, NID_X9_62_prime256v1, hybrid, false, true },
                { KEY_EC_P256, V_ASN1_OBJECT, NID_X9_62_prime256v1, off_the_curve, false, false },
                { KEY_EC_P256, V_ASN1_OBJECT, NID_X9_62_prime256v1, at_infinity, false, true },
                { KEY_EC_P256, V_ASN1_OBJECT, NID_X9_62_prime256v1, none, false, false },
                { KEY_EC_P256, V_ASN1_OBJECT, NID_X9_62_prime256v1, longer, false, false },
                { KEY_EC_P256, V_ASN1_OBJECT, NID_secp384r1, as_it_is, false, false },
                { KEY_EC_P256, V_ASN1_OBJECT, NID_secp256k1, as_it_is, false, false },
                { KEY_EC_P256, V_ASN1_NULL, 0, as_it_is, false, false },
                { KEY_EC_P256, V_ASN1_UNDEF, 0, as_it_is, false, false },
                { KEY_EC_P256, V_ASN1_BOOLEAN, 0, as_it_is, false, false },
                { KEY_EC_P256, V_ASN1_SEQUENCE, NID_X9_62_prime256v1, as_it_is, false, true },
                { KEY_EC_P384, V_ASN1_OBJECT, NID_secp384r1, as_it_is, true, true },
                { KEY_EC_P384, V_ASN1_OBJECT, NID_X9_62_prime256v1, as_it_is, false, false },
                { KEY_RSA_2048, V_ASN1_NULL, 0, as_it_is, true, true },
                { KEY_RSA_2048, V_ASN1_UNDEF, 0, as_it_is, false, true },
                { KEY_RSA_2048, V_ASN1_OBJECT, NID_secp384r1, as_it_is, false, true },
                { KEY_RSA_2048, V_ASN1_NULL, 0, padded, false, true },
                { KEY_RSA_2048, V_ASN1_NULL, 0, longer, false, true },
                { KEY_RSA_2048, V_ASN1_NULL, 0, none, false, false },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct made m = make_cert(&(struct cert_spec){ .subject = "f.example", .type = row[i].type });
                CLEANUP(cert_free_p) X509 *x = NULL;
                bool issued;
                uint8_t *der;
                rewrite(&m, row[i].parameter, row[i].curve, row[i].change);
                size_t len = der_of(m.x, &der);
                if (judged_alike(der, len, root.x, &issued) != row[i].good)
                        fail_msg("row %zu", i);
                if (row[i].good) {
                        assert_true(cert_parse(der, len, &x, NULL));
                        assert_int_equal(is_usual(x), row[i].usual);
                }
                OPENSSL_free(der);
                made_done(&m);
        }
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
                cmocka_unit_test(a_usual_key_takes_no_decoders),
                cmocka_unit_test(an_unusual_key_is_left_to_openssl),
                cmocka_unit_test(a_pair_once_found_is_no_other),
        };
        return cmocka_run_group_tests(tests, make_all, free_all);
}
