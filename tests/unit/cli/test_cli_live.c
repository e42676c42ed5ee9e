#include "test.h"

#include <stdlib.h>

#include "agent/base/util.h"
#include "agent/cli/live.h"
#include "cli/printed.h"

struct screen {
        char *text;
        size_t len;
        FILE *to;
        struct live live;
};

static void open_screen(struct screen *s, bool on)
{
        *s = (struct screen){ 0 };
        s->to = open_memstream(&s->text, &s->len);
        assert_non_null(s->to);
        live_init(&s->live, s->to, on);
}

static const char *close_screen(struct screen *s)
{
        live_done(&s->live);
        fclose(s->to);
        return s->text;
}

static void a_block_stays_below_the_lines(void **state)
{
        struct screen s;
        (void)state;
        open_screen(&s, true);
        live_block(&s.live, "1", json_of("[\"a\", \"b\"]"));
        live_line(&s.live, "said");
        live_block(&s.live, "1", json_of("[\"c\"]"));
        live_block(&s.live, "1", NULL);
        assert_string_equal(close_screen(&s), "a\nb\n\033[2A\033[Jsaid\na\nb\n\033[2A\033[Jc\n\033[1A\033[J");
        free(s.text);
}

static void without_a_terminal_there_are_only_lines(void **state)
{
        struct screen s;
        (void)state;
        open_screen(&s, false);
        live_block(&s.live, "1", json_of("[\"a\"]"));
        live_line(&s.live, "said");
        live_block(&s.live, "1", NULL);
        assert_string_equal(close_screen(&s), "said\n");
        free(s.text);
}

static void no_line_is_wider_and_no_block_higher_than_the_screen(void **state)
{
        struct screen s;
        (void)state;
        open_screen(&s, true);
        s.live.columns = 6;
        s.live.rows = 4;
        live_block(&s.live, "1", json_of("[\"123456789\", \"b\", \"c\", \"d\"]"));
        assert_string_equal(close_screen(&s), "12345\nb\nand 2 more\n\033[3A\033[J");
        free(s.text);
}

static void every_server_has_its_line(void **state)
{
        static const char *const want[] = {
                "           ns1.example (192.0.2.1) shows it after 12 ms",
                "           ns2.example (192.0.2.7) still at serial 41",
                "           ns3.example (192.0.2.9) silent: no answer",
                "           ns4.example (192.0.2.10) pending",
                "           ns5.example pending: no address known",
                "           ns6.example (192.0.2.12, TCP) shows it after 30 ms",
                "           ns7.example (192.0.2.13, TCP) silent: no answer",
        };
        json_t *p = json_of(
                "[{\"token\": \"TXT x\", \"servers\": ["
                "{\"name\": \"ns1.example\", \"address\": \"192.0.2.1\", \"transport\": \"udp\", \"look\": \"seen\", "
                "\"seen_after_ms\": 12},"
                "{\"name\": \"ns2.example\", \"address\": \"192.0.2.7\", \"look\": \"absent\", \"serial\": 41},"
                "{\"name\": \"ns3.example\", \"address\": \"192.0.2.9\", \"look\": \"silent\", \"saw\": \"no answer\"},"
                "{\"name\": \"ns4.example\", \"address\": \"192.0.2.10\", \"look\": \"pending\", \"saw\": \"\"},"
                "{\"name\": \"ns5.example\", \"address\": \"\", \"look\": \"pending\", \"saw\": \"no address "
                "known\"},"
                "{\"name\": \"ns6.example\", \"address\": \"192.0.2.12\", \"transport\": \"tcp\", \"look\": \"seen\", "
                "\"seen_after_ms\": 30},"
                "{\"name\": \"ns7.example\", \"address\": \"192.0.2.13\", \"transport\": \"tcp\", \"look\": "
                "\"silent\", "
                "\"saw\": \"no answer\"}]}]");
        json_t *lines = live_servers(p);
        (void)state;
        assert_int_equal(json_array_size(lines), ARRAY_LEN(want));
        for (size_t i = 0; i < ARRAY_LEN(want); i++)
                assert_string_equal(json_string_value(json_array_get(lines, i)), want[i]);
        json_decref(lines);
        json_array_append_new(p, json_of("{\"token\": \"TXT y\", \"servers\": []}"));
        lines = live_servers(p); /* of several tokens each is named */
        assert_int_equal(json_array_size(lines), ARRAY_LEN(want) + 2);
        assert_string_equal(json_string_value(json_array_get(lines, 0)), "           TXT x");
        json_decref(lines);
        json_decref(p);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_block_stays_below_the_lines),
                cmocka_unit_test(without_a_terminal_there_are_only_lines),
                cmocka_unit_test(no_line_is_wider_and_no_block_higher_than_the_screen),
                cmocka_unit_test(every_server_has_its_line),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
