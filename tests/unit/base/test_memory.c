/* memory_give_back: clean pages leave the process and come back as they were; what was written stays. */
#include "test.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/memory.h"

enum { TABLE_BYTES = 1024 * 1024 };

/* In a read-only segment. */
static const char table[TABLE_BYTES] = { 'a', [TABLE_BYTES - 1] = 'z' };

static int answer(void)
{
        return 42;
}
/* Relocated at start, then read-only: must not be read from the file again. */
static int (*const relocated[])(void) = { answer };
static int written = 1;

/* These are not constants: to read one would bring back its neighbours, a large page of the cache as a whole. */
static char smaps[] = "/proc/self/smaps", mode[] = "re", rss[] = "Rss:";

static size_t resident_kib(const void *address)
{
        FILE *f = fopen(smaps, mode);
        char line[512], *end;
        size_t kib = 0;
        bool inside = false;
        assert_non_null(f);
        while (fgets(line, sizeof line, f)) {
                uintptr_t from = strtoul(line, &end, 16);
                if (*end == '-')
                        inside = from <= (uintptr_t)address && (uintptr_t)address < strtoul(end + 1, NULL, 16);
                if (!inside || memcmp(line, rss, sizeof rss - 1) != 0)
                        continue;
                kib = strtoul(line + sizeof rss - 1, NULL, 10);
                break;
        }
        (void)fclose(f);
        return kib;
}

static unsigned sum(void)
{
        const volatile char *t = table;
        unsigned n = 0;
        for (size_t i = 0; i < TABLE_BYTES; i++)
                n += (unsigned char)t[i];
        return n;
}

static void clean_pages_leave_and_come_back(void **state)
{
        (void)state;
        unsigned before = sum();
        written = 7;
        assert_true(resident_kib(table) >= TABLE_BYTES / 1024);
        memory_give_back();
        size_t left_kib = resident_kib(table);
        assert_true(left_kib < TABLE_BYTES / 1024);
        assert_int_equal(sum(), before);
        assert_int_equal(before, 'a' + 'z');
        assert_int_equal(relocated[0](), 42);
        assert_int_equal(written, 7);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(clean_pages_leave_and_come_back) };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
