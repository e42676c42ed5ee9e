#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/net/tc3.h"

#define ID "AKIDEXAMPLE0000000000000000000000001"
#define KEY "ExampleSecretKey00000000000000001"
#define BODY_A                                                                                                         \
        "{\"CertificateId\":\"a1B2c3D4\",\"ValidType\":\"DNS\",\"CsrType\":\"online\",\"Reason\":\"key compromised\"}"
#define BODY_B "{\"CertificateId\":\"a1B2c3D4\",\"ValidType\":\"DNS_AUTO\",\"Reason\":\"私钥泄露 — é 🔑\"}"
#define BODY_D                                                                                                         \
        "{\"Domain\":\"example.com\",\"RecordLine\":\"默认\",\"SubDomain\":\"_dnsauth\",\"Value\":"                  \
        "\"202311150613200001\"}"

static const struct vector {
        const char *host, *service, *content_type;
        int64_t timestamp_s;
        const char *body;
        size_t body_len;
        const char *date, *body_sha256, *canonical_sha256, *signature;
} vectors[] = {
        { "ssl.tencentcloudapi.com", "ssl", "application/json", 1700000000, BODY_A, 92, "2023-11-14",
                "2399a858e61a9064fe71279a56735420c089138a7d40cb9c72b25800517419f6",
                "2bc962d6989f0b68e4da91b253e4b71cbeefe8357468c1681125d99bb2a3a25b",
                "5d305a3e8f4f7fa7ba22b7fabba9b8c1e317c892a126424d0c763a9b2d706dc3" },
        { "ssl.tencentcloudapi.com", "ssl", "application/json; charset=utf-8", 1700000000, BODY_B, 87, "2023-11-14",
                "fd93ad0db01492a05ea75c49dfa3ede54e91807baa078688b83c62d7b9fd6805",
                "712593add6dacdbeb506bc39dea9f926fc078569754fbcc7fa3affec0d200369",
                "c74bf84f3856c7ad6d83f713988a33ff8ec284e46220ccfdaac70c2f5653663c" },
        { "ssl.tencentcloudapi.com", "ssl", "application/json", 1704067199, "{}", 2, "2023-12-31",
                "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
                "5487748653c0f4e0e7d3c99d30cdde60a06f312667f1d599fada7fb15816a1a6",
                "6ad5a5a2d64eddd085061aa2ea1fa9d0befa84a67f8ee5012db240af5448c73b" },
        { "dnspod.tencentcloudapi.com", "dnspod", "application/json", 1704067200, BODY_D, 98, "2024-01-01",
                "c14891fb90769a1c0147a6bb6f4a3658118dd4d1cbda2c724539c5668ec7acbb",
                "2acb887709124e06568b8445e12149ef0d088047f6afca0a1e249fce8a3d84ec",
                "4f4fd626de2b14332dd76ec99a430a18bb9c4b3e119f15f2d84894346cb10b57" },
        { "ssl.intl.tencentcloudapi.com", "ssl", "application/json", 1700000000, "{}", 2, "2023-11-14",
                "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
                "7bd5a47e4bf2cd8f7702ef8412cb0468ac6ad528bef8c29e0a1342ab654041ac",
                "420caa2de59e148edf57a3950f938272208731874a99234dbb13649d9942feb2" },
};

static struct secret id, key;

static int set_up(void **state)
{
        (void)state;
        return secret_set(&id, ID, strlen(ID), NULL) && secret_set(&key, KEY, strlen(KEY), NULL) ? 0 : -1;
}

static int tear_down(void **state)
{
        (void)state;
        secret_done(&id);
        secret_done(&key);
        return 0;
}

static struct tc3_request request_of(const struct vector *v)
{
        return (struct tc3_request){ v->service, v->host, v->content_type, v->timestamp_s, v->body, v->body_len, &id,
                &key };
}

static void every_published_vector_is_met_step_by_step(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
                const struct vector *v = &vectors[i];
                struct tc3_request r = request_of(v);
                struct buf canonical = { 0 };
                char hash[65], date[11], want[512], *got = NULL;
                struct err e;

                assert_int_equal(strlen(v->body), v->body_len);
                sha256_hex(v->body, v->body_len, hash);
                assert_string_equal(hash, v->body_sha256);
                assert_true(tc3_canonical(&r, &canonical));
                sha256_hex(canonical.data, canonical.len, hash);
                assert_string_equal(hash, v->canonical_sha256);
                assert_true(tc3_date(v->timestamp_s, date));
                assert_string_equal(date, v->date);
                assert_true(tc3_authorization(&r, &got, &e));
                snprintf(want, sizeof want,
                        "TC3-HMAC-SHA256 Credential=" ID
                        "/%s/%s/tc3_request, SignedHeaders=content-type;host, Signature=%s",
                        v->date, v->service, v->signature);
                assert_string_equal(got, want);
                free(got);
                buf_done(&canonical);
        }
}

static void vector_a_has_the_published_text_and_keys(void **state)
{
        (void)state;
        struct tc3_request r = request_of(&vectors[0]);
        struct buf canonical = { 0 }, to_sign = { 0 };
        uint8_t k[3][32];
        static const char *const want[3] = { "ae84edabe3b12a50d0371d638e334152efc5864c82318902d6bf3be0cfabd50f",
                "0dbbc7d9cb000f0b977799173bf8444008ddcbf4f4566fd650a401a925cfe25e",
                "f1b1fcca83d4854ae358a74e107e85f542e273fcbaac617d38fd9e0fcc8827cf" };

        assert_true(tc3_canonical(&r, &canonical));
        assert_string_equal(canonical.data,
                "POST\n/\n\ncontent-type:application/json\nhost:ssl.tencentcloudapi.com\n\n"
                "content-type;host\n"
                "2399a858e61a9064fe71279a56735420c089138a7d40cb9c72b25800517419f6");
        assert_true(tc3_string_to_sign(&r, &to_sign));
        assert_string_equal(to_sign.data,
                "TC3-HMAC-SHA256\n1700000000\n2023-11-14/ssl/tc3_request\n"
                "2bc962d6989f0b68e4da91b253e4b71cbeefe8357468c1681125d99bb2a3a25b");
        assert_true(tc3_derive(&key, "2023-11-14", "ssl", k));
        for (int i = 0; i < 3; i++) {
                char hex[65];
                hex_encode(hex, k[i], 32);
                assert_string_equal(hex, want[i]);
        }
        buf_done(&canonical);
        buf_done(&to_sign);
}

static void a_secret_id_that_could_break_the_header_is_refused(void **state)
{
        (void)state;
        static const char *const bad[] = { "", "AKID\r\nX: y", "AKID X", "AKID,Signature=", "AKID/2023", "AKID\x7f" };

        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                struct secret odd = { (uint8_t *)(uintptr_t)bad[i], strlen(bad[i]) };
                struct tc3_request r = request_of(&vectors[0]);
                struct err e;
                char *got = NULL;

                r.secret_id = &odd;
                assert_false(tc3_authorization(&r, &got, &e));
                assert_int_equal(e.kind, ERR_CONFIG);
                assert_string_equal(e.code, "tc3.secret-id");
                assert_null(got);
        }
}

static void a_missing_key_and_an_impossible_clock_are_refused(void **state)
{
        (void)state;
        struct tc3_request r = request_of(&vectors[0]);
        struct secret none = { 0 };
        struct err e;
        char *got = NULL;

        r.secret_key = &none;
        assert_false(tc3_authorization(&r, &got, &e));
        assert_string_equal(e.code, "tc3.secret-key");
        r = request_of(&vectors[0]);
        r.timestamp_s = -1;
        assert_false(tc3_authorization(&r, &got, &e));
        assert_string_equal(e.code, "tc3.clock");
        r.timestamp_s = 253402300800;
        assert_false(tc3_authorization(&r, &got, &e));
        assert_null(got);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_published_vector_is_met_step_by_step),
                cmocka_unit_test(vector_a_has_the_published_text_and_keys),
                cmocka_unit_test(a_secret_id_that_could_break_the_header_is_refused),
                cmocka_unit_test(a_missing_key_and_an_impossible_clock_are_refused),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
