#include "test.h"

#include <openssl/crypto.h>

#include <stdlib.h>

#include "agent/base/buf.h"
#include "agent/base/util.h"

static void hex_goes_there_and_back(void **state)
{
        (void)state;
        char text[9];
        uint8_t data[4];
        size_t len = 99;
        hex_encode(text, "\x00\x7f\xa5\xff", 4);
        assert_string_equal(text, "007fa5ff");
        assert_true(hex_decode("007FA5ff", 8, data, sizeof data, &len));
        assert_int_equal(len, 4);
        assert_memory_equal(data, "\x00\x7f\xa5\xff", 4);
        assert_true(hex_decode("", 0, data, sizeof data, &len));
        assert_int_equal(len, 0);
}

static void bad_hex_touches_nothing(void **state)
{
        static const char *const bad[] = { "0", "0g", "g0", " 0", "0x00", "00112233aa" /* longer than the place */,
                "-1" };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                uint8_t data[4] = { 9, 9, 9, 9 };
                size_t len = 77;
                assert_false(hex_decode(bad[i], strlen(bad[i]), data, sizeof data, &len));
                assert_int_equal(len, 77);
                assert_memory_equal(data, "\x09\x09\x09\x09", 4);
        }
}

/* RFC 4648 section 10, and one text that needs both special characters. */
static const struct {
        const char *plain, *standard, *url;
} vector[] = {
        { "", "", "" },
        { "f", "Zg==", "Zg" },
        { "fo", "Zm8=", "Zm8" },
        { "foo", "Zm9v", "Zm9v" },
        { "foob", "Zm9vYg==", "Zm9vYg" },
        { "fooba", "Zm9vYmE=", "Zm9vYmE" },
        { "foobar", "Zm9vYmFy", "Zm9vYmFy" },
        { "\xfb\xff\xbf", "+/+/", "-_-_" },
};

static void base64_vectors(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(vector); i++) {
                size_t n = strlen(vector[i].plain), got = 99;
                CLEANUP(free_p) char *a = base64_encode(vector[i].plain, n), *b = base64url_encode(vector[i].plain, n);
                assert_string_equal(a, vector[i].standard);
                assert_string_equal(b, vector[i].url);
                CLEANUP(free_p) uint8_t *back = NULL, *again = NULL;
                assert_true(base64_decode(a, strlen(a), &back, &got));
                assert_int_equal(got, n);
                assert_memory_equal(back, vector[i].plain, n);
                assert_true(base64url_decode(b, strlen(b), &again, &got));
                assert_int_equal(got, n);
                assert_memory_equal(again, vector[i].plain, n);
        }
}

static void base64_is_strict(void **state)
{
        static const char *const bad[] = { "Zg", "Zg=", "Zg===", "====", "=", "Z===", "Z", "Zh==" /* trailing bits */,
                "Zm9=", "Zm 8=", "Zm8\n", " Zg==", "Zg==Zg==", "Z=g=", "-_-_", "Zm9v\n" };
        static const char *const bad_url[] = { "Z", "Zh", "Zg==", "+/+/", "Zm 8", "Zm9vY", "Zm8=" };
        (void)state;
        uint8_t *data = NULL;
        size_t len = 77;
        for (size_t i = 0; i < ARRAY_LEN(bad); i++)
                assert_false(base64_decode(bad[i], strlen(bad[i]), &data, &len));
        for (size_t i = 0; i < ARRAY_LEN(bad_url); i++)
                assert_false(base64url_decode(bad_url[i], strlen(bad_url[i]), &data, &len));
        assert_false(base64_decode("Zm9\0", 4, &data, &len)); /* NUL is no letter of the alphabet */
        assert_false(base64url_decode("\0\0", 2, &data, &len));
        assert_null(data);
        assert_int_equal(len, 77);
}

static bool no_memory;
static unsigned refused;

static void *allocate(size_t size, const char *file, int line)
{
        (void)file;
        (void)line;
        if (no_memory)
                refused++;
        return no_memory ? NULL : malloc(size);
}

static void *reallocate(void *old, size_t size, const char *file, int line)
{
        (void)file;
        (void)line;
        if (no_memory)
                refused++;
        return no_memory ? NULL : realloc(old, size);
}

static void release(void *old, const char *file, int line)
{
        (void)file;
        (void)line;
        free(old);
}

static void sha256_needs_no_memory(void **state)
{
        (void)state;
        char hex[65];
        no_memory = true;
        sha256_hex("abc", 3, hex);
        no_memory = false;
        assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_int_equal(refused, 0);
}

static void sha256_vector(void **state)
{
        (void)state;
        char hex[65];
        sha256_hex("abc", 3, hex); /* FIPS 180-4 example */
        assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        sha256_hex("", 0, hex);
        assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

int main(void)
{
        /* before OpenSSL allocates anything, or it keeps its own */
        if (!CRYPTO_set_mem_functions(allocate, reallocate, release))
                return 1;
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(hex_goes_there_and_back),
                cmocka_unit_test(bad_hex_touches_nothing),
                cmocka_unit_test(base64_vectors),
                cmocka_unit_test(base64_is_strict),
                cmocka_unit_test(sha256_needs_no_memory), /* before anything is cached */
                cmocka_unit_test(sha256_vector),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
