#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/cli/args.h"
#include "agent/cli/common.h"

/* What was said on stderr while fn ran. */
static char said[4096];

static void hush(int *ret_saved, FILE **ret_file)
{
        fflush(stderr);
        *ret_saved = dup(STDERR_FILENO);
        *ret_file = tmpfile();
        assert_non_null(*ret_file);
        assert_return_code(dup2(fileno(*ret_file), STDERR_FILENO), 0);
}

static void unhush(int saved, FILE *file)
{
        fflush(stderr);
        assert_return_code(dup2(saved, STDERR_FILENO), 0);
        close(saved);
        rewind(file);
        said[fread(said, 1, sizeof said - 1, file)] = '\0';
        fclose(file);
}

static bool read_common(const char *const *words, struct cli_common *c, char **rest, int *count)
{
        char *argv[16] = { (char *)"dcvctl" };
        int argc = 1, saved;
        FILE *file;
        while (words[argc - 1]) {
                argv[argc] = (char *)words[argc - 1];
                argc++;
        }
        *c = (struct cli_common){ .o.color = true };
        hush(&saved, &file);
        bool good = cli_common_read(argc, argv, c, rest, count);
        unhush(saved, file);
        return good;
}

static void common_options_stand_anywhere(void **state)
{
        struct cli_common c;
        char *rest[16];
        int count = 0;
        const char *const words[] = { "--json", "reissue", "--timeout=10m", "www", "--quiet", "--config", "/x.yaml",
                "--yes", "--no-color", "--dry-run", "--wait", "--reason", "because", NULL };
        (void)state;
        assert_true(read_common(words, &c, rest, &count));
        assert_true(c.o.json && c.o.quiet && c.o.yes && c.o.dry_run && c.o.wait && !c.o.detach && !c.o.color);
        assert_int_equal(c.o.timeout_ms, 600000);
        assert_string_equal(c.o.config, "/x.yaml");
        assert_int_equal(count, 4);
        assert_string_equal(rest[0], "reissue");
        assert_string_equal(rest[3], "because");
}

static void after_two_dashes_nothing_is_an_option(void **state)
{
        struct cli_common c;
        char *rest[16];
        int count = 0;
        const char *const words[] = { "status", "--", "--json", NULL };
        (void)state;
        assert_true(read_common(words, &c, rest, &count));
        assert_false(c.o.json);
        assert_int_equal(count, 3);
        assert_string_equal(rest[2], "--json");
}

static void wrong_values_are_named(void **state)
{
        static const struct {
                const char *const words[5];
                const char *text;
        } row[] = {
                { { "status", "--config", NULL }, "--config needs a file" },
                { { "status", "--config=", NULL }, "--config needs a file" },
                { { "status", "--timeout", "ten", NULL }, "--timeout needs a duration" },
                { { "status", "--timeout", "0s", NULL }, "--timeout needs a duration" },
                { { "status", "--timeout", NULL }, "--timeout needs a duration" },
                { { "status", "--wait", "--detach", NULL }, "exclude each other" },
        };
        struct cli_common c;
        char *rest[16];
        int count = 0;
        (void)state;
        for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
                assert_false(read_common(row[i].words, &c, rest, &count));
                assert_non_null(strstr(said, row[i].text));
        }
}

static bool read_args(const char *word, const char *more)
{
        const char *reason = NULL;
        bool all = false;
        json_t *names = NULL;
        int saved;
        FILE *file;
        const struct cli_arg options[] = { { "--reason", &reason, NULL }, { "--all", NULL, &all },
                { NULL, NULL, NULL } };
        char *argv[] = { (char *)"reissue", (char *)word, (char *)more, NULL };
        hush(&saved, &file);
        bool good = cli_args(more ? 3 : 2, argv, options, &names);
        unhush(saved, file);
        json_decref(names);
        return good;
}

static void an_unknown_option_is_told_the_right_one(void **state)
{
        static const struct {
                const char *word, *text;
        } row[] = {
                { "--reson", "did you mean --reason?" },
                { "--jsn", "did you mean --json?" },
                { "--dryrun", "did you mean --dry-run?" },
                { "--al", "did you mean --all?" },
                { "--xyzzyxyzzy", "unknown option --xyzzyxyzzy\n" },
                { "--all=yes", "--all takes no value" },
                { "--reason", "--reason needs a value" },
        };
        (void)state;
        for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
                assert_false(read_args(row[i].word, NULL));
                if (!strstr(said, row[i].text))
                        fail_msg("%s: %s", row[i].word, said);
        }
        assert_true(read_args("--reason=x", NULL));
        assert_true(read_args("--reason", "--odd"));
        assert_true(read_args("-", NULL));
}

static void the_worse_exit_wins(void **state)
{
        static const int row[][3] = { { 0, 0, 0 }, { 0, 5, 5 }, { 5, 4, 4 }, { 4, 1, 1 }, { 1, 5, 1 }, { 0, 4, 4 } };
        (void)state;
        for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
                assert_int_equal(cli_worse(row[i][0], row[i][1]), row[i][2]);
                assert_int_equal(cli_worse(row[i][1], row[i][0]), row[i][2]);
        }
}

static void each_kind_has_its_exit(void **state)
{
        static const struct {
                enum err_kind kind;
                const char *code;
                int status;
        } row[] = { { ERR_CONFIG, "x", 2 }, { ERR_RULE, "R3", 5 }, { ERR_WAITING, "x", 4 }, { ERR_CANCELLED, "x", 130 },
                { ERR_TEMPORARY, "no-daemon", 3 }, { ERR_TEMPORARY, "x", 1 }, { ERR_DENIED, "x", 1 },
                { ERR_BUG, "x", 1 } };
        struct err e;
        (void)state;
        for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
                err_set(&e, row[i].kind, row[i].code, "text");
                assert_int_equal(cli_exit_of(&e), row[i].status);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(common_options_stand_anywhere),
                cmocka_unit_test(after_two_dashes_nothing_is_an_option),
                cmocka_unit_test(wrong_values_are_named),
                cmocka_unit_test(an_unknown_option_is_told_the_right_one),
                cmocka_unit_test(the_worse_exit_wins),
                cmocka_unit_test(each_kind_has_its_exit),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
