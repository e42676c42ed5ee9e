/* Every example of a configuration that people read is loaded with the types this build really has. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/base/file.h"
#include "agent/base/util.h"
#include "agent/job/engine.h"
#include "agent/job/helper_kinds.h"
#include "config/config.h"

static char *read_source(const char *name, size_t *ret_len)
{
        CLEANUP(free_p) char *path = text_format("%s/%s", TEST_SOURCE_DIR, name);
        char *text = NULL;
        struct err e;
        if (!file_read(path, CONF_FILE_MAX, &text, ret_len, &e))
                fail_msg("%s", e.text);
        return text;
}

/* Loads; with may_lack every complaint must be that the build lacks something. */
static void load(const char *name, const char *text, size_t len, bool may_lack)
{
        struct conf *conf = NULL;
        struct conf_problems p = { 0 };
        bool good = config_load_text(name, text, len, engine_kinds(), &conf, &p);
        if (!good && (!may_lack || p.not_in_build != p.text.count || p.text.count == 0))
                for (size_t i = 0; i < p.text.count; i++)
                        if (!may_lack || !strstr(p.text.item[i], "not in this build"))
                                fail_msg("%s", p.text.item[i]);
        if (good)
                config_free(conf);
        conf_problems_done(&p);
}

static void the_interfaces_examples_lack_only_what_later_builds_bring(void **state)
{
        static const char *const files[] = { "tests/unit/config/data/smallest.yaml",
                "tests/unit/config/data/everything.yaml" };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(files); i++) {
                size_t len;
                CLEANUP(free_p) char *text = read_source(files[i], &len);
                load(files[i], text, len, i > 0); /* the smallest works as it stands */
        }
}

static void the_example_files_load(void **state)
{
        size_t len;
        (void)state;
        CLEANUP(free_p) char *text = read_source("config/examples/tencent-nginx.yaml", &len);
        load("tencent-nginx.yaml", text, len, false);
        CLEANUP(free_p) char *acme = read_source("config/examples/acme-nginx.yaml", &len);
        load("acme-nginx.yaml", acme, len, false);
        CLEANUP(free_p) char *dns = read_source("config/examples/acme-dns.yaml", &len);
        load("acme-dns.yaml", dns, len, false);
        CLEANUP(free_p) char *alerts = read_source("config/examples/alerts.yaml", &len);
        load("alerts.yaml", alerts, len, false);
}

/* Fenced blocks marked yaml, with the indentation of the list they stand in taken off. */
static unsigned load_blocks(const char *name)
{
        size_t len;
        unsigned blocks = 0;
        CLEANUP(free_p) char *text = read_source(name, &len);
        struct buf block = { 0 };
        size_t indent = 0;
        bool inside = false;
        char *rest = NULL;
        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                size_t blanks = strspn(line, " ");
                if (!inside && strcmp(line + blanks, "```yaml") == 0) {
                        inside = true;
                        indent = blanks;
                        buf_reset(&block);
                } else if (inside && strcmp(line + blanks, "```") == 0) {
                        inside = false;
                        blocks++;
                        load(name, block.data, block.len, false);
                } else if (inside) {
                        buf_addf(&block, "%s\n", line + (blanks < indent ? blanks : indent));
                }
        }
        buf_done(&block);
        return blocks;
}

static void every_example_of_readme_and_docs_loads(void **state)
{
        (void)state;
        assert_int_equal(load_blocks("README.md"), 2);
        assert_int_equal(load_blocks("docs/acme.md"), 3);
        assert_int_equal(load_blocks("docs/alerts.md"), 4);
        assert_int_equal(load_blocks("docs/tencent-cloud.md"), 1);
}

/* Else dcvd-helper would refuse, or understand in another way, what the daemon took. */
static void the_helper_knows_the_kinds_of_the_daemon(void **state)
{
        const struct conf_kind *a = engine_kinds(), *b = helper_kinds;
        (void)state;
        for (; a->section; a++, b++) {
                assert_non_null(b->section);
                assert_string_equal(a->section, b->section);
                assert_string_equal(a->type, b->type);
                assert_true(a->keys == b->keys || (!a->keys->name && !b->keys->name));
                assert_int_equal(a->size, b->size);
                assert_ptr_equal(a->check, b->check);
                assert_ptr_equal(a->key_types, b->key_types);
                assert_int_equal(a->can, b->can);
                assert_int_equal(a->by_person, b->by_person);
                assert_null(a->not_in_build);
        }
        assert_null(b->section);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_interfaces_examples_lack_only_what_later_builds_bring),
                cmocka_unit_test(the_helper_knows_the_kinds_of_the_daemon),
                cmocka_unit_test(the_example_files_load),
                cmocka_unit_test(every_example_of_readme_and_docs_loads),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
