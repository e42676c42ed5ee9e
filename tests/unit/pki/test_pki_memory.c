/* Every allocation fails once: the answer is "no memory", never "your key is damaged" or a chain with a hole in it. */
#include "make_cert.h"

#include "agent/base/buf.h"
#include "agent/base/secret.h"
#include "agent/pki/csr.h"

void *__real_malloc(size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_calloc(size_t n, size_t size);

static long left = -1; /* allocations until the one that fails; < 0: none does */

static bool now(void)
{
        return left >= 0 && left-- == 0;
}

void *__wrap_malloc(size_t size)
{
        return now() ? NULL : __real_malloc(size);
}

void *__wrap_realloc(void *p, size_t size)
{
        return now() ? NULL : __real_realloc(p, size);
}

void *__wrap_calloc(size_t n, size_t size)
{
        return now() ? NULL : __real_calloc(n, size);
}

static struct made root, middle, leaf;
static char *bundle, *request, *full;
static struct secret pem;
static char leaf_hex[65];

static int make_all(void **state)
{
        static char name[] = "a.example";
        char *item = name;
        struct texts names = { &item, 1 };
        (void)state;
        root = make_cert(&(struct cert_spec){ .subject = "Root", .ca = true });
        middle = make_cert(&(struct cert_spec){ .subject = "Middle", .issuer = &root, .ca = true });
        leaf = make_cert(&(struct cert_spec){ .subject = "a.example", .issuer = &middle, .san = "DNS:a.example" });
        bundle = text_format("%s%s%s", root.pem, middle.pem, leaf.pem);
        full = text_format("%s%s", leaf.pem, middle.pem);
        assert_true(csr_make(
                leaf.key, &(struct csr_request){ .common_name = "a.example", .names = &names }, &request, NULL));
        assert_true(key_write_pem(leaf.key, NULL, &pem, NULL) && key_spki_hex(leaf.key, leaf_hex, NULL));
        return 0;
}

static int free_all(void **state)
{
        (void)state;
        made_done(&root);
        made_done(&middle);
        made_done(&leaf);
        free(bundle);
        free(full);
        free(request);
        secret_done(&pem);
        return 0;
}

static bool read_chain(struct err *e)
{
        struct chain c = { 0 };
        bool good = chain_read(bundle, strlen(bundle), NULL, &c, e);
        if (good)
                assert_string_equal(c.fullchain_pem, full);
        const struct chain_rules r = { .spki_hex = c.leaf.spki_hex, .names = &c.leaf.names, .now_s = T0 };
        good = good && chain_check(&c, &r, e);
        chain_done(&c);
        return good;
}

/* Never the same twice, so that it is never among those that are known: the end of the signature counts. */
static bool read_unknown(struct err *e)
{
        static uint8_t *der;
        static int len;
        static uint32_t count;
        struct cert_info c = { 0 };
        if (!der)
                assert_true((len = i2d_X509(leaf.x, &der)) > 0);
        count++;
        memcpy(der + len - sizeof count, &count, sizeof count);
        bool good = chain_from_der(der, (size_t)len, &c, e);
        if (good)
                assert_true(c.names.count == 1 && strcmp(c.spki_hex, leaf_hex) == 0 && c.key_type == KEY_EC_P256);
        cert_info_done(&c);
        return good;
}

static bool read_request(struct err *e)
{
        struct csr c = { 0 };
        bool good = csr_read(request, strlen(request), &c, e);
        if (good)
                assert_true(c.names.count == 1 && strcmp(c.spki_hex, leaf_hex) == 0);
        csr_done(&c);
        return good;
}

static bool read_key(struct err *e)
{
        struct key *k = NULL;
        bool good = key_read_pem(pem.data, pem.len, NULL, &k, e);
        key_free(k);
        return good;
}

static bool hash_key(struct err *e)
{
        char hex[65] = "";
        bool good = key_spki_hex(leaf.key, hex, e);
        if (good)
                assert_string_equal(hex, leaf_hex);
        return good;
}

static bool write_key(struct err *e)
{
        struct secret s = { 0 };
        bool good = key_write_pem(leaf.key, NULL, &s, e);
        if (good)
                assert_true(secret_equal(&s, &pem));
        secret_done(&s);
        return good;
}

static void lack_of_memory_is_told_as_that(void **state)
{
        static bool (*const act[])(
                struct err * e) = { read_chain, read_unknown, read_request, read_key, hash_key, write_key };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(act); i++) {
                assert_true(act[i](NULL)); /* what OpenSSL fetches once is fetched */
                bool through = false;
                /* Most allocations are OpenSSL's and alike: a growing stride keeps this under a second. */
                for (long n = 0; !through && n < 100000; n += 1 + n / 100) {
                        struct err e = { 0 };
                        left = n;
                        bool good = act[i](&e);
                        through = left >= 0;
                        left = -1;
                        if (!good && (e.kind != ERR_TEMPORARY || through))
                                fail_msg("act %zu, allocation %ld: %s %s", i, n, e.code, e.text);
                }
                assert_true(through);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(lack_of_memory_is_told_as_that) };
        return cmocka_run_group_tests(tests, make_all, free_all);
}
