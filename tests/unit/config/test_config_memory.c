/* Every allocation fails once: the load is refused, says so, and leaks nothing. */
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "agent/base/file.h"
#include "agent/base/util.h"
#include "kinds.h"

#define DATA TEST_SOURCE_DIR "/tests/unit/config/data/"

/* The linker puts these in the place of the library's (--wrap). */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void *__real_mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset);

static long countdown; /* 0: none fails; n: the n-th does */

static bool fails(void)
{
        return countdown && --countdown == 0;
}

void *__wrap_malloc(size_t n)
{
        return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
        return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
        return fails() ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *s)
{
        return fails() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
        return fails() ? NULL : __real_strndup(s, n);
}

void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
        return fails() ? MAP_FAILED : __real_mmap(at, n, prot, flags, fd, offset);
}

static void every_allocation_of_a_load_may_fail(void **state)
{
        CLEANUP(free_p) char *text = NULL;
        size_t len;
        long n = 1;

        (void)state;
        assert_true(file_read(DATA "everything.yaml", CONF_FILE_MAX, &text, &len, NULL));
        len = (size_t)(strstr(text, "\n  detectors:") - text) + 1;
        for (;; n++) {
                struct conf_problems p = { 0 };
                struct conf *c = NULL;
                countdown = n;
                bool loaded = config_load_text("f", text, len, test_all_kinds, &c, &p);
                bool reached = countdown == 0;
                countdown = 0;
                if (loaded && reached) /* the failure did no harm: then nothing may be missing */
                        assert_int_equal(config_cert(c, "www")->target[0].service_count, 4);
                assert_true(loaded == (c != NULL));
                assert_true(loaded || p.text.count + p.beyond > 0);
                config_free(c);
                conf_problems_done(&p);
                if (!reached)
                        break;
        }
        print_message("%ld allocations\n", n);
        assert_true(n > 300);
}

static void every_allocation_of_a_refusal_may_fail(void **state)
{
        static const char wrong[] =
                "cas: {a: {type: acme}, b: {typ: x}}\ncertificates: {w: {names: [a, a, \"*\"], ca: [x, a], "
                "deploy: [{directory: /d, files: {a: key}}, {directory: /d, links: {/d/a: b}}]}}\n";

        (void)state;
        for (long n = 1;; n++) {
                struct conf_problems p = { 0 };
                struct conf *c = NULL;
                countdown = n;
                assert_false(config_load_text("f", wrong, sizeof wrong - 1, test_all_kinds, &c, &p));
                bool reached = countdown == 0;
                countdown = 0;
                assert_null(c);
                assert_true(p.text.count + p.beyond > 0);
                conf_problems_done(&p);
                if (!reached)
                        break;
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_allocation_of_a_load_may_fail),
                cmocka_unit_test(every_allocation_of_a_refusal_may_fail),
        };

        (void)test_some_kinds;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
