/* The tree: places, limits, and what a hostile file costs. */
#include "test.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "agent/base/util.h"
#include "config/schema.h"
#include "config/yaml.h"

static struct yaml_tree *read_text(const char *text, struct conf_problems *p)
{
        return yaml_read("f", text, strlen(text), p);
}

/* Milliseconds of CPU: the wall is shared with other work. */
static long cpu_ms(void)
{
        struct timespec t;

        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void a_tree_knows_the_place_of_every_value(void **state)
{
        struct conf_problems p = { 0 };
        struct yaml_tree *t = read_text("a: 1\n\xc3\xa9\xc3\xa9: {b: [x, \"y\"]}\n", &p);

        (void)state;
        assert_non_null(t);
        const struct yaml_node *root = yaml_root(t);
        assert_int_equal(root->kind, YAML_MAP);
        assert_int_equal(root->count, 2);
        assert_string_equal(root->key[1], "\xc3\xa9\xc3\xa9");
        assert_int_equal(root->key_line[1], 2);
        assert_int_equal(root->item[1]->column, 5); /* characters, not bytes */
        const struct yaml_node *list = root->item[1]->item[0];
        assert_int_equal(list->kind, YAML_LIST);
        assert_string_equal(list->item[0]->text, "x");
        assert_false(list->item[0]->quoted);
        assert_true(list->item[1]->quoted);
        assert_int_equal(list->item[1]->column, 13);
        yaml_tree_free(t);
        conf_problems_done(&p);
}

static void an_empty_file_is_an_empty_map(void **state)
{
        static const char *const empty[] = { "", "# nothing\n", "---\n", "---\n...\n", "~\n", "\xef\xbb\xbf" };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
                struct conf_problems p = { 0 };
                struct yaml_tree *t = read_text(empty[i], &p);
                assert_non_null(t);
                assert_int_equal(yaml_root(t)->kind, YAML_MAP);
                assert_int_equal(yaml_root(t)->count, 0);
                assert_int_equal(p.text.count, 0);
                yaml_tree_free(t);
        }
}

static void a_byte_order_mark_does_not_shift_the_first_column(void **state)
{
        struct conf_problems p = { 0 };
        struct yaml_tree *t = read_text("\xef\xbb\xbf"
                                        "a: 1\n",
                &p);

        (void)state;
        assert_non_null(t);
        assert_int_equal(yaml_root(t)->key_column[0], 1);
        yaml_tree_free(t);
}

static void bytes_that_are_not_text_are_refused_with_their_place(void **state)
{
        static const struct {
                const char *text;
                size_t len;
                const char *want;
        } row[] = {
                { "a: b\nc: \xff\n", 10, "f:2:4: is not valid UTF-8 text; UTF-8 text is allowed" },
                { "a: \xc3\xa9\xc0\x80\n", 8, "f:1:5: is not valid UTF-8 text; UTF-8 text is allowed" },
                { "a: \0b\n", 6, "f:1:4: has a control character; UTF-8 text is allowed" },
                { "\xff\xfe"
                  "a\0:\0",
                        6, "f:1:1: is not valid UTF-8 text; UTF-8 text is allowed" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct conf_problems p = { 0 };
                assert_null(yaml_read("f", row[i].text, row[i].len, &p));
                assert_int_equal(p.text.count, 1);
                assert_string_equal(p.text.item[0], row[i].want);
                conf_problems_done(&p);
        }
}

static void the_first_of_two_equal_keys_counts_and_the_second_is_named(void **state)
{
        struct conf_problems p = { 0 };
        struct yaml_tree *t = read_text("m:\n  a: 1\n  b: 2\n  a: 3\n  a: 4\n", &p);

        (void)state;
        assert_non_null(t);
        assert_int_equal(p.text.count, 2);
        assert_string_equal(p.text.item[0], "f:4:3: m.a: is given twice; it is also in line 2");
        assert_string_equal(p.text.item[1], "f:5:3: m.a: is given twice; it is also in line 2");
        assert_int_equal(yaml_root(t)->item[0]->count, 2);
        assert_string_equal(yaml_root(t)->item[0]->item[0]->text, "1");
        assert_string_equal(yaml_root(t)->item[0]->item[1]->text, "2");
        yaml_tree_free(t);
        conf_problems_done(&p);
}

/* ---- H1: hostile files, bounded in time and memory ---- */

static char *many(const char *what, size_t count, const char *tail)
{
        struct buf b = { 0 };

        for (size_t i = 0; i < count; i++)
                buf_add(&b, what);
        buf_add(&b, tail);
        return buf_steal(&b);
}

static void refused_cheaply(const char *text, const char *said)
{
        struct conf_problems p = { 0 };
        struct rusage before, after;
        long start = cpu_ms();

        getrusage(RUSAGE_SELF, &before);
        struct yaml_tree *t = read_text(text, &p);
        assert_true(t == NULL || p.text.count > 0);
        yaml_tree_free(t);
        getrusage(RUSAGE_SELF, &after);
        assert_true(cpu_ms() - start < 1000);
        assert_true(after.ru_maxrss - before.ru_maxrss < 64 * 1024);
        assert_true(p.text.count > 0 && p.text.count <= 200);
        if (!strstr(p.text.item[0], said))
                fail_msg("%s lacks %s", p.text.item[0], said);
        conf_problems_done(&p);
}

static void nesting_beyond_the_limit_is_refused_at_once(void **state)
{
        static const struct {
                const char *what;
                size_t count;
        } row[] = { { "[", 100000 }, { "[", 65 }, { "{a: ", 60000 }, { "- ", 100000 }, { "? ", 100000 },
                { "[\n", 100000 }, { "[ ", 60000 } };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                CLEANUP(free_p) char *text = many(row[i].what, row[i].count, "");
                refused_cheaply(text, row[i].what[0] == '?' ? "a key must be a text" : "is nested too deeply");
        }
}

static void sixty_four_levels_are_allowed(void **state)
{
        struct conf_problems p = { 0 };
        CLEANUP(free_p) char *open = many("[", 64, "");
        CLEANUP(free_p) char *text = many("]", 64, "");
        CLEANUP(free_p) char *both = text_format("%s%s", open, text);
        struct yaml_tree *t = read_text(both, &p);

        (void)state;
        assert_non_null(t);
        assert_int_equal(p.text.count, 0);
        yaml_tree_free(t);
}

static void an_alias_bomb_does_not_explode(void **state)
{
        struct buf b = { 0 };

        (void)state;
        buf_add(&b, "a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for (int i = 1; i < 40; i++)
                buf_addf(&b, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i, i - 1, i - 1,
                        i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
        refused_cheaply(b.data, "has an anchor");
        buf_done(&b);
}

static void a_file_beyond_256_KiB_is_refused_unread(void **state)
{
        CLEANUP(free_p) char *text = many("# comment\n", 26215, "");

        (void)state;
        refused_cheaply(text, "f:1:1: the file is too large; 256 KiB are allowed");
}

static void large_files_of_odd_shapes_stay_cheap(void **state)
{
        static const struct {
                const char *what;
                size_t count;
                const char *said;
        } row[] = {
                { "a: 1\n", 50000, "a: is given twice" },
                { "!t ", 80000, "" },
                { "&a ", 80000, "" },
                { "--- a\n", 40000, "a second document begins" },
                { "%YAML 1.1\n", 20000, "is not YAML" },
                { "\"", 200001, "" },
                { "a", 250000, "" },
                { "*a, ", 60000, "is an alias" },
                { "\t", 200000, "" },
                { "|\n", 100000, "" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct conf_problems p = { 0 };
                CLEANUP(free_p) char *text = many(row[i].what, row[i].count, "");
                long start = cpu_ms();
                struct yaml_tree *t = read_text(text, &p);
                yaml_tree_free(t);
                assert_true(cpu_ms() - start < 1000);
                if (*row[i].said && (p.text.count == 0 || !strstr(p.text.item[0], row[i].said)))
                        fail_msg("row %zu: %s", i, p.text.count ? p.text.item[0] : "nothing said");
                conf_problems_done(&p);
        }
}

static void a_file_of_nothing_but_items_stays_under_64_MiB(void **state)
{
        struct conf_problems p = { 0 };
        struct rusage before, after;
        CLEANUP(free_p) char *text = many("a,", 131000, "]");

        (void)state;
        memcpy(text, "[ ", 2);
        getrusage(RUSAGE_SELF, &before);
        struct yaml_tree *t = read_text(text, &p);
        getrusage(RUSAGE_SELF, &after);
        assert_non_null(t);
        assert_int_equal(yaml_root(t)->count, 130999);
        assert_true(after.ru_maxrss - before.ru_maxrss < 64 * 1024);
        yaml_tree_free(t);
        conf_problems_done(&p);
}

static void names_of_anchors_tags_and_aliases_are_not_repeated(void **state)
{
        struct conf_problems p = { 0 };

        (void)state;
        assert_null(read_text("a: *hunter2\nb: &hunter2 x\nc: !hunter2 y\nd: !<hunter2> z\n", &p));
        assert_true(p.text.count >= 4);
        for (size_t i = 0; i < p.text.count; i++)
                assert_null(strstr(p.text.item[i], "hunter2"));
        conf_problems_done(&p);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_tree_knows_the_place_of_every_value),
                cmocka_unit_test(an_empty_file_is_an_empty_map),
                cmocka_unit_test(a_byte_order_mark_does_not_shift_the_first_column),
                cmocka_unit_test(bytes_that_are_not_text_are_refused_with_their_place),
                cmocka_unit_test(the_first_of_two_equal_keys_counts_and_the_second_is_named),
                cmocka_unit_test(nesting_beyond_the_limit_is_refused_at_once),
                cmocka_unit_test(sixty_four_levels_are_allowed),
                cmocka_unit_test(an_alias_bomb_does_not_explode),
                cmocka_unit_test(a_file_beyond_256_KiB_is_refused_unread),
                cmocka_unit_test(large_files_of_odd_shapes_stay_cheap),
                cmocka_unit_test(a_file_of_nothing_but_items_stays_under_64_MiB),
                cmocka_unit_test(names_of_anchors_tags_and_aliases_are_not_repeated),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
