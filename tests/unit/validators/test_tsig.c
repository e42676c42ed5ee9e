#include "test.h"

#include <stdlib.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "validators/tsig.h"

#define NOW 1763881200
/* An update of example.com as nsupdate builds it; BIND accepts its signature with this key. */
#define MESSAGE                                                                                                        \
        "123428000001000000010000076578616d706c6503636f6d00000600010f5f61636d652d6368616c6c656e6765076578616d706c6503" \
        "636f6d00001000010000003c000403616263"
#define MAC "942484361037bdeeb046ea09afb2f4d613e5c8efb5ed9a90389ba9ba73b27f60"

static struct secret key_bytes;
static struct tsig_key key = { "dcv-key", "hmac-sha256", &key_bytes };

static int setup(void **state)
{
        uint8_t bytes[32];
        (void)state;
        for (uint8_t i = 0; i < sizeof bytes; i++)
                bytes[i] = i;
        return secret_set(&key_bytes, bytes, sizeof bytes, NULL) ? 0 : -1;
}

static int teardown(void **state)
{
        (void)state;
        secret_done(&key_bytes);
        return 0;
}

static uint8_t *message(size_t *len)
{
        uint8_t *data = malloc(512);
        assert_true(hex_decode(MESSAGE, strlen(MESSAGE), data, 512, len));
        return data;
}

static void the_signature_is_the_one_bind_accepts(void **state)
{
        uint8_t mac[TSIG_MAC_MAX];
        size_t len, mac_len = 0;
        char hex[2 * TSIG_MAC_MAX + 1];
        struct err e;
        (void)state;
        uint8_t *data = message(&len);
        size_t plain = len;
        assert_true(tsig_sign(&data, &len, &key, NOW, mac, &mac_len, &e));
        hex_encode(hex, mac, mac_len);
        assert_string_equal(hex, MAC);
        assert_int_equal(data[11], 1); /* ARCOUNT */
        assert_true(len > plain);
        free(data);
}

/* A server's answer is a message signed over the request's MAC: made here by signing with it in front, as RFC 8945
 * section 5.3 says. */
static uint8_t *answer(
        const struct tsig_key *by, int64_t when_s, const uint8_t *request_mac, size_t request_mac_len, size_t *len);

static void every_algorithm_signs_and_lengths_are_right(void **state)
{
        static const size_t want[] = { 16, 20, 28, 32, 48, 64 };
        (void)state;
        for (size_t i = 0; tsig_algorithms[i]; i++) {
                uint8_t mac[TSIG_MAC_MAX];
                size_t len, mac_len = 0;
                struct err e;
                struct tsig_key k = { "k", tsig_algorithms[i], &key_bytes };
                uint8_t *data = message(&len);
                assert_true(tsig_algorithm_known(tsig_algorithms[i]));
                assert_true(tsig_sign(&data, &len, &k, NOW, mac, &mac_len, &e));
                assert_int_equal(mac_len, want[i]);
                free(data);
        }
        assert_false(tsig_algorithm_known("hmac-sha3"));
}

#include <openssl/evp.h>
#include <openssl/hmac.h>

static uint8_t *answer(
        const struct tsig_key *by, int64_t when_s, const uint8_t *request_mac, size_t request_mac_len, size_t *len)
{
        /* The header of an answer, no sections. */
        static const uint8_t head[12] = { 0x12, 0x34, 0xa8, 0 };
        uint8_t mac[TSIG_MAC_MAX], over[1024];
        size_t mac_len = 0, n = 0;
        struct err e;
        *len = sizeof head;
        uint8_t *data = malloc(sizeof head);
        memcpy(data, head, sizeof head);
        /* tsig_sign computes over the message alone; the answer's MAC is put in its place afterwards. */
        assert_true(tsig_sign(&data, len, by, when_s, mac, &mac_len, &e));
        over[n++] = (uint8_t)(request_mac_len >> 8);
        over[n++] = (uint8_t)request_mac_len;
        memcpy(over + n, request_mac, request_mac_len);
        n += request_mac_len;
        memcpy(over + n, head, sizeof head);
        n += sizeof head;
        static const uint8_t name[] = "\7dcv-key", algorithm[] = "\13hmac-sha256";
        memcpy(over + n, name, sizeof name);
        n += sizeof name;
        static const uint8_t class_ttl[] = { 0, 255, 0, 0, 0, 0 };
        memcpy(over + n, class_ttl, sizeof class_ttl);
        n += sizeof class_ttl;
        memcpy(over + n, algorithm, sizeof algorithm);
        n += sizeof algorithm;
        for (int shift = 40; shift >= 0; shift -= 8)
                over[n++] = (uint8_t)(when_s >> shift);
        static const uint8_t tail[] = { 1, 44, 0, 0, 0, 0 }; /* fudge 300, no error, nothing other */
        memcpy(over + n, tail, sizeof tail);
        n += sizeof tail;
        unsigned got = 0;
        assert_non_null(HMAC(EVP_sha256(), by->secret->data, (int)by->secret->len, over, n, mac, &got));
        uint8_t *at = memmem(data, *len, "\0\x20", 2); /* the MAC's length stands before it */
        assert_non_null(at);
        memcpy(at + 2, mac, got);
        return data;
}

static bool verify(const uint8_t *data, size_t len, int64_t now_s, struct err *e)
{
        static const uint8_t request_mac[32] = { 7 };
        uint8_t *exact = malloc(len ? len : 1);
        memcpy(exact, data, len);
        bool good = tsig_verify(exact, len, &key, now_s, request_mac, sizeof request_mac, e);
        free(exact);
        return good;
}

static void an_answer_is_verified_with_its_time(void **state)
{
        static const uint8_t request_mac[32] = { 7 };
        size_t len;
        struct err e = { 0 };
        (void)state;
        uint8_t *data = answer(&key, NOW, request_mac, sizeof request_mac, &len);
        if (!verify(data, len, NOW, &e))
                fail_msg("%s", e.text);
        assert_true(verify(data, len, NOW + 300, &e) && verify(data, len, NOW - 300, &e));
        assert_false(verify(data, len, NOW + 301, &e));
        assert_string_equal(e.code, "tsig.time");
        assert_false(verify(data, len, NOW - 301, &e));
        for (size_t i = 0; i < len; i++) { /* no byte may be changed */
                data[i] ^= 0x20;
                if (i >= 10 && verify(data, len, NOW, &e) && !((i > 12 && i < 21) || (i > 31 && i < 44)))
                        fail_msg("byte %zu", i); /* letters of the two names: their case does not count */
                data[i] ^= 0x20;
        }
        for (size_t n = 0; n < len; n++)
                assert_false(verify(data, n, NOW, &e));
        free(data);
}

static void an_unsigned_or_foreign_answer_is_refused(void **state)
{
        static const uint8_t plain[12] = { 0x12, 0x34, 0xa8, 0 };
        static const uint8_t request_mac[32] = { 7 }, other_mac[32] = { 8 };
        struct secret other_bytes = { 0 };
        struct err e = { 0 };
        size_t len;
        (void)state;
        assert_false(verify(plain, sizeof plain, NOW, &e));
        assert_string_equal(e.code, "tsig.absent");
        assert_true(secret_set(&other_bytes, "another secret", 14, NULL));
        struct tsig_key other = { "dcv-key", "hmac-sha256", &other_bytes };
        uint8_t *data = answer(&other, NOW, request_mac, sizeof request_mac, &len);
        assert_false(verify(data, len, NOW, &e));
        assert_string_equal(e.code, "tsig.wrong");
        free(data);
        data = answer(&key, NOW, other_mac, sizeof other_mac, &len); /* of another request */
        assert_false(verify(data, len, NOW, &e));
        free(data);
        secret_done(&other_bytes);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_signature_is_the_one_bind_accepts),
                cmocka_unit_test(every_algorithm_signs_and_lengths_are_right),
                cmocka_unit_test(an_answer_is_verified_with_its_time),
                cmocka_unit_test(an_unsigned_or_foreign_answer_is_refused),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
