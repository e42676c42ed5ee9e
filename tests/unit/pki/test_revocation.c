/* What a CA's list or answer says of a certificate, and everything that makes one no answer at all. */
#include "pki/make_cert.h"

#include <openssl/ocsp.h>

#include "agent/pki/revocation.h"

#define PLACE "http://crl.example.test/7.crl"

struct bed {
        struct made ca, other, leaf, delegate, stranger;
        uint8_t *leaf_der, *ca_der;
        int leaf_len, ca_len;
        struct revocation_subject subject;
};

static int set_up(void **state)
{
        struct bed *b = calloc(1, sizeof *b);
        b->ca = make_cert(&(struct cert_spec){ .subject = "CA", .ca = true });
        b->other = make_cert(&(struct cert_spec){ .subject = "CA", .ca = true });
        b->leaf = make_cert(&(struct cert_spec){ .subject = "www.example.test",
                .issuer = &b->ca,
                .san = "DNS:www.example.test",
                .crl = "URI:ldap://x/,URI:" PLACE ",URI:http://b.example.test/7.crl",
                .access = "caIssuers;URI:http://ca.example.test/ca.der,OCSP;URI:http://ocsp.example.test" });
        b->delegate = make_cert(
                &(struct cert_spec){ .subject = "responder", .issuer = &b->ca, .extended_usage = "OCSPSigning" });
        b->stranger = make_cert(
                &(struct cert_spec){ .subject = "responder", .issuer = &b->ca, .extended_usage = "serverAuth" });
        b->leaf_len = i2d_X509(b->leaf.x, &b->leaf_der);
        b->ca_len = i2d_X509(b->ca.x, &b->ca_der);
        b->subject = (struct revocation_subject){ b->leaf_der, b->ca_der, (size_t)b->leaf_len, (size_t)b->ca_len };
        *state = b;
        return 0;
}

static int tear_down(void **state)
{
        struct bed *b = *state;
        OPENSSL_free(b->leaf_der);
        OPENSSL_free(b->ca_der);
        made_done(&b->ca);
        made_done(&b->other);
        made_done(&b->leaf);
        made_done(&b->delegate);
        made_done(&b->stranger);
        free(b);
        return 0;
}

static void where_to_ask_is_in_the_certificate(void **state)
{
        struct bed *b = *state;
        struct revocation_places p;
        struct err e;
        assert_true(revocation_places(b->leaf_der, (size_t)b->leaf_len, &p, &e));
        assert_int_equal(p.crl.count, 2); /* ldap is passed over */
        assert_string_equal(p.crl.item[0], PLACE);
        assert_string_equal(p.ocsp, "http://ocsp.example.test");
        revocation_places_done(&p);
        assert_true(revocation_places(b->ca_der, (size_t)b->ca_len, &p, &e));
        assert_int_equal(p.crl.count, 0);
        assert_null(p.ocsp);
        assert_false(revocation_places(b->leaf_der, 20, &p, &e));
}

/* ---- lists ---- */

struct list {
        const struct made *signer; /* NULL: the CA */
        const struct made *name_of; /* NULL: the CA */
        bool lists; /* the leaf is on it */
        int reason; /* -1: none said */
        int64_t from_s, until_s; /* 0: T0 - 1 h, T0 + 1 day */
        const char *point; /* issuing distribution point; NULL: none */
        bool delta, unknown, pem, broken;
};

static void add_crl_extension(X509_CRL *crl, int nid, const char *value)
{
        X509V3_CTX ctx;
        X509V3_set_ctx(&ctx, NULL, NULL, NULL, crl, 0);
        X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
        assert_non_null(extension);
        assert_int_equal(X509_CRL_add_ext(crl, extension, -1), 1);
        X509_EXTENSION_free(extension);
}

static void add_unknown(X509_CRL *crl)
{
        ASN1_OBJECT *object = OBJ_txt2obj("1.3.6.1.4.1.99999.1", 1);
        ASN1_OCTET_STRING *null = ASN1_OCTET_STRING_new();
        ASN1_OCTET_STRING_set(null, (const unsigned char *)"\x05\x00", 2);
        X509_EXTENSION *extension = X509_EXTENSION_create_by_OBJ(NULL, object, 1, null);
        assert_int_equal(X509_CRL_add_ext(crl, extension, -1), 1);
        X509_EXTENSION_free(extension);
        ASN1_OCTET_STRING_free(null);
        ASN1_OBJECT_free(object);
}

static void add_entry(X509_CRL *crl, const struct bed *b, int reason)
{
        X509_REVOKED *entry = X509_REVOKED_new();
        ASN1_TIME *at = ASN1_TIME_set(NULL, T0 - 7200);
        X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(b->leaf.x));
        X509_REVOKED_set_revocationDate(entry, at);
        if (reason >= 0) {
                ASN1_ENUMERATED *code = ASN1_ENUMERATED_new();
                ASN1_ENUMERATED_set(code, reason);
                assert_int_equal(X509_REVOKED_add1_ext_i2d(entry, NID_crl_reason, code, 0, 0), 1);
                ASN1_ENUMERATED_free(code);
        }
        assert_int_equal(X509_CRL_add0_revoked(crl, entry), 1);
        ASN1_TIME_free(at);
}

static uint8_t *make_list(const struct bed *b, const struct list *l, size_t *ret_len)
{
        const struct made *signer = l->signer ? l->signer : &b->ca, *name_of = l->name_of ? l->name_of : &b->ca;
        X509_CRL *crl = X509_CRL_new();
        ASN1_TIME *from = ASN1_TIME_set(NULL, l->from_s ? l->from_s : T0 - 3600);
        ASN1_TIME *until = ASN1_TIME_set(NULL, l->until_s ? l->until_s : T0 + DAY);
        X509_CRL_set_version(crl, 1);
        X509_CRL_set_issuer_name(crl, X509_get_subject_name(name_of->x));
        X509_CRL_set1_lastUpdate(crl, from);
        X509_CRL_set1_nextUpdate(crl, until);
        if (l->lists)
                add_entry(crl, b, l->reason);
        if (l->point)
                add_crl_extension(crl, NID_issuing_distribution_point, l->point);
        if (l->delta) {
                ASN1_INTEGER *base = ASN1_INTEGER_new();
                ASN1_INTEGER_set(base, 1);
                assert_int_equal(X509_CRL_add1_ext_i2d(crl, NID_delta_crl, base, 1, 0), 1);
                ASN1_INTEGER_free(base);
        }
        if (l->unknown)
                add_unknown(crl);
        X509_CRL_sort(crl);
        assert_true(X509_CRL_sign(crl, signer->key->pkey, EVP_sha256()) > 0);
        BIO *bio = BIO_new(BIO_s_mem());
        assert_int_equal(l->pem ? PEM_write_bio_X509_CRL(bio, crl) : i2d_X509_CRL_bio(bio, crl), 1);
        char *data;
        *ret_len = (size_t)BIO_get_mem_data(bio, &data);
        uint8_t *copy = malloc(*ret_len);
        memcpy(copy, data, *ret_len);
        if (l->broken)
                copy[*ret_len - 5] ^= 1;
        BIO_free(bio);
        X509_CRL_free(crl);
        ASN1_TIME_free(from);
        ASN1_TIME_free(until);
        return copy;
}

static bool judge(const struct bed *b, const struct list *l, struct revocation_answer *ret, struct err *e)
{
        size_t len;
        CLEANUP(free_p) uint8_t *crl = make_list(b, l, &len);
        *e = (struct err){ 0 };
        return crl_check(crl, len, PLACE, &b->subject, T0, ret, e);
}

static void a_list_says_whether_it_is_revoked_and_why(void **state)
{
        static const struct {
                struct list list;
                bool revoked;
                int reason;
        } row[] = {
                { { .reason = -1 }, false, -1 },
                { { .lists = true, .reason = 1 }, true, 1 },
                { { .lists = true, .reason = 4, .pem = true }, true, 4 },
                { { .lists = true, .reason = -1 }, true, -1 },
                { { .lists = true, .reason = 1, .point = "critical,fullname:URI:" PLACE }, true, 1 },
                { { .lists = true, .reason = 1, .point = "critical,fullname:URI:" PLACE ",onlyuser:TRUE" }, true, 1 },
        };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct revocation_answer a;
                struct err e;
                if (!judge(*state, &row[i].list, &a, &e))
                        fail_msg("%zu: %s", i, e.text);
                assert_int_equal(a.revoked, row[i].revoked);
                assert_int_equal(a.reason, row[i].reason);
                assert_int_equal(a.revoked_at_s, row[i].revoked ? T0 - 7200 : 0);
                assert_int_equal(a.next_update_s, T0 + DAY);
        }
}

static void a_list_that_is_no_answer_is_refused(void **state)
{
        struct bed *b = *state;
        const struct {
                struct list list;
                const char *code;
        } row[] = {
                { { .lists = true, .signer = &b->other }, "crl.signature" },
                { { .lists = true, .broken = true }, "crl.signature" },
                { { .lists = true, .name_of = &b->leaf }, "crl.issuer" },
                { { .lists = true, .until_s = T0 - 301 }, "crl.stale" },
                { { .lists = true, .from_s = T0 + 301 }, "crl.stale" },
                { { .point = "critical,fullname:URI:http://crl.example.test/8.crl" }, "crl.shard" },
                { { .point = "critical,fullname:URI:" PLACE "x" }, "crl.shard" },
                { { .point = "critical,onlyCA:TRUE" }, "crl.shard" },
                { { .point = "critical,onlyAA:TRUE" }, "crl.shard" },
                { { .point = "critical,indirectCRL:TRUE" }, "crl.shard" },
                { { .point = "critical,onlysomereasons:keyCompromise" }, "crl.shard" },
                { { .delta = true }, "crl.shard" },
                { { .unknown = true }, "crl.format" },
        };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct revocation_answer a = { .reason = 77 };
                struct err e;
                if (judge(b, &row[i].list, &a, &e) || strcmp(e.code, row[i].code) != 0)
                        fail_msg("%zu: %s %s, not %s", i, e.code, e.text, row[i].code);
                assert_int_equal(a.reason, 77);
        }
}

static void bytes_that_are_no_list_are_refused(void **state)
{
        struct bed *b = *state;
        struct revocation_answer a;
        struct err e;
        assert_false(crl_check("", 0, NULL, &b->subject, T0, &a, &e));
        assert_false(crl_check("-----BEGIN X509 CRL-----\nAAAA\n", 30, NULL, &b->subject, T0, &a, &e));
        assert_string_equal(e.code, "crl.format");
        assert_false(crl_check(b->leaf_der, (size_t)b->leaf_len, NULL, &b->subject, T0, &a, &e));
}

static void the_chain_must_hold_the_issuer(void **state)
{
        struct bed *b = *state;
        struct revocation_subject s = { b->leaf_der, b->leaf_der, (size_t)b->leaf_len, (size_t)b->leaf_len };
        struct revocation_answer a;
        struct err e;
        size_t len;
        CLEANUP(free_p) uint8_t *crl = make_list(b, &(struct list){ .reason = -1 }, &len);
        assert_false(crl_check(crl, len, PLACE, &s, T0, &a, &e));
        assert_string_equal(e.code, "revocation.issuer");
        CLEANUP(free_p) uint8_t *der = NULL;
        assert_true(chain_first_der(b->ca.pem, &der, &len, &e));
        assert_int_equal(len, b->ca_len);
        assert_memory_equal(der, b->ca_der, len);
        assert_false(chain_first_der("", &der, &len, &e));
        assert_string_equal(e.code, "chain.alone");
}

/* ---- answers ---- */

struct said {
        const struct made *signer; /* NULL: the CA */
        const struct made *about; /* NULL: the leaf */
        int status, reason;
        int64_t from_s, until_s; /* until 0: not said */
        int outer; /* response status */
        bool broken;
};

static uint8_t *make_answer(const struct bed *b, const struct said *s, size_t *ret_len)
{
        const struct made *signer = s->signer ? s->signer : &b->ca, *about = s->about ? s->about : &b->leaf;
        OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
        OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), about->x, b->ca.x);
        ASN1_TIME *revoked = ASN1_TIME_set(NULL, T0 - 7200),
                  *from = ASN1_TIME_set(NULL, s->from_s ? s->from_s : T0 - 60);
        ASN1_TIME *until = s->until_s ? ASN1_TIME_set(NULL, s->until_s) : NULL;
        assert_non_null(OCSP_basic_add1_status(basic, id, s->status, s->reason, revoked, from, until));
        assert_int_equal(OCSP_basic_sign(basic, signer->x, signer->key->pkey, EVP_sha256(), NULL, 0), 1);
        OCSP_RESPONSE *response = OCSP_response_create(s->outer, s->outer ? NULL : basic);
        uint8_t *der = NULL;
        int len = i2d_OCSP_RESPONSE(response, &der);
        assert_true(len > 0);
        uint8_t *copy = malloc((size_t)len);
        memcpy(copy, der, (size_t)len);
        if (s->broken)
                for (int i = 0; i + 8 < len; i++)
                        if (memcmp(der + i, "\x2a\x86\x48\xce\x3d\x04\x03\x02", 8) == 0) {
                                copy[i + 20] ^= 1; /* within the signature */
                                break;
                        }
        *ret_len = (size_t)len;
        OPENSSL_free(der);
        OCSP_RESPONSE_free(response);
        OCSP_BASICRESP_free(basic);
        OCSP_CERTID_free(id);
        ASN1_TIME_free(revoked);
        ASN1_TIME_free(from);
        ASN1_TIME_free(until);
        return copy;
}

static bool listen_to(const struct bed *b, const struct said *s, struct revocation_answer *ret, struct err *e)
{
        size_t len;
        CLEANUP(free_p) uint8_t *answer = make_answer(b, s, &len);
        *e = (struct err){ 0 };
        return ocsp_check(answer, len, &b->subject, T0, ret, e);
}

static void an_answer_says_whether_it_is_revoked(void **state)
{
        struct bed *b = *state;
        const struct {
                struct said said;
                bool revoked;
                int reason;
        } row[] = {
                { { .status = V_OCSP_CERTSTATUS_GOOD, .until_s = T0 + DAY }, false, -1 },
                { { .status = V_OCSP_CERTSTATUS_GOOD }, false, -1 },
                { { .status = V_OCSP_CERTSTATUS_REVOKED, .reason = 1 }, true, 1 },
                { { .status = V_OCSP_CERTSTATUS_REVOKED, .reason = -1, .signer = &b->delegate }, true, -1 },
        };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct revocation_answer a;
                struct err e;
                if (!listen_to(b, &row[i].said, &a, &e))
                        fail_msg("%zu: %s", i, e.text);
                assert_int_equal(a.revoked, row[i].revoked);
                assert_int_equal(a.reason, row[i].reason);
        }
}

static void an_answer_that_is_none_is_refused(void **state)
{
        struct bed *b = *state;
        const struct {
                struct said said;
                const char *code;
        } row[] = {
                { { .status = V_OCSP_CERTSTATUS_REVOKED, .signer = &b->other }, "ocsp.signature" },
                { { .status = V_OCSP_CERTSTATUS_REVOKED, .signer = &b->stranger }, "ocsp.signature" },
                { { .status = V_OCSP_CERTSTATUS_REVOKED, .broken = true }, "ocsp.signature" },
                { { .status = V_OCSP_CERTSTATUS_REVOKED, .about = &b->delegate }, "ocsp.format" },
                { { .status = V_OCSP_CERTSTATUS_UNKNOWN }, "ocsp.status" },
                { { .outer = OCSP_RESPONSE_STATUS_TRYLATER }, "ocsp.status" },
                { { .status = V_OCSP_CERTSTATUS_GOOD, .until_s = T0 - 301, .from_s = T0 - DAY }, "ocsp.stale" },
                { { .status = V_OCSP_CERTSTATUS_REVOKED, .from_s = T0 + 301 }, "ocsp.stale" },
        };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct revocation_answer a = { .reason = 77 };
                struct err e;
                if (listen_to(b, &row[i].said, &a, &e) || strcmp(e.code, row[i].code) != 0)
                        fail_msg("%zu: %s %s, not %s", i, e.code, e.text, row[i].code);
                assert_int_equal(a.reason, 77);
        }
}

static void a_request_names_the_certificate(void **state)
{
        struct bed *b = *state;
        CLEANUP(free_p) uint8_t *der = NULL;
        size_t len;
        struct err e;
        assert_true(ocsp_request(&b->subject, &der, &len, &e));
        const unsigned char *at = der;
        OCSP_REQUEST *request = d2i_OCSP_REQUEST(NULL, &at, (long)len);
        assert_non_null(request);
        OCSP_CERTID *want = OCSP_cert_to_id(EVP_sha1(), b->leaf.x, b->ca.x);
        assert_int_equal(OCSP_id_cmp(OCSP_onereq_get0_id(OCSP_request_onereq_get0(request, 0)), want), 0);
        OCSP_CERTID_free(want);
        OCSP_REQUEST_free(request);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(where_to_ask_is_in_the_certificate),
                cmocka_unit_test(a_list_says_whether_it_is_revoked_and_why),
                cmocka_unit_test(a_list_that_is_no_answer_is_refused),
                cmocka_unit_test(bytes_that_are_no_list_are_refused),
                cmocka_unit_test(the_chain_must_hold_the_issuer),
                cmocka_unit_test(an_answer_says_whether_it_is_revoked),
                cmocka_unit_test(an_answer_that_is_none_is_refused),
                cmocka_unit_test(a_request_names_the_certificate),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
