/* What a target is told, in which order, when again, and how it is signed. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/alerts/notify_text.h"
#include "agent/base/json.h"
#include "agent/base/util.h"

#define AT INT64_C(1763881200)

static struct notify_item *item(const char *key)
{
        struct notify_item *i = calloc(1, sizeof *i);
        *i = (struct notify_item){ .id = 1,
                .event = EVENT_FAILED,
                .delivery = text_dup("msg_1"),
                .key = text_dup(key),
                .cert = text_dup("www"),
                .text = text_dup("ns2 refused the update"),
                .fix = text_dup("mend the key, then dcvctl reissue www"),
                .job = 17,
                .at_s = AT };
        return i;
}

static void a_queue_keeps_order_and_takes_nothing_twice(void **state)
{
        struct notify_queue q;
        (void)state;
        notify_queue_init(&q);
        assert_int_equal(notify_queue_add_own(&q, item("a")), NOTIFY_ADDED);
        assert_int_equal(notify_queue_add_own(&q, item("b")), NOTIFY_ADDED);
        struct notify_item *again = item("a");
        assert_int_equal(notify_queue_add_own(&q, again), NOTIFY_KNOWN);
        notify_item_free(again);
        struct notify_item *first = notify_queue_take(&q);
        assert_string_equal(first->key, "a");
        assert_int_equal(notify_queue_add_own(&q, first), NOTIFY_ADDED); /* told: the next occasion is a new one */
        assert_string_equal(q.first->key, "b");
        assert_int_equal(q.count, 2);
        notify_queue_done(&q);
        assert_null(notify_queue_take(&q));
}

static void a_queue_is_bounded(void **state)
{
        struct notify_queue q;
        char key[16];
        (void)state;
        notify_queue_init(&q);
        for (int i = 0; i < NOTIFY_QUEUE_MAX; i++) {
                snprintf(key, sizeof key, "k%d", i);
                assert_int_equal(notify_queue_add_own(&q, item(key)), NOTIFY_ADDED);
        }
        struct notify_item *more = item("more");
        assert_int_equal(notify_queue_add_own(&q, more), NOTIFY_FULL);
        notify_item_free(more);
        notify_queue_done(&q);
}

static void tries_grow_apart_up_to_repeat(void **state)
{
        static const struct {
                unsigned failures;
                int64_t want_ms;
        } row[] = { { 1, 5000 }, { 2, 10000 }, { 3, 20000 }, { 11, 5120000 }, { 14, 21600000 },
                { 4000000000, 21600000 } };
        struct notify_queue q;
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++)
                assert_int_equal(notify_delay_ms(row[i].failures, 21600000), row[i].want_ms);
        notify_queue_init(&q);
        for (int i = 1; i < 40; i++) {
                notify_queue_failed(&q, 1000, 3600000, 0);
                int64_t most = notify_delay_ms((unsigned)i, 3600000);
                assert_in_range(q.due_ms - 1000, most * 3 / 4, most);
        }
        notify_queue_failed(&q, 0, 3600000, 100000); /* whoever says "next week" gets the cap */
        assert_int_equal(q.due_ms, 3600000);
        notify_queue_accepted(&q);
        assert_int_equal(q.due_ms, 0);
        notify_queue_failed(&q, 0, 3600000, 300);
        assert_int_equal(q.due_ms, 300000);
}

static void old_notices_go(void **state)
{
        struct notify_queue q;
        (void)state;
        notify_queue_init(&q);
        assert_false(notify_queue_too_old(&q, AT));
        notify_queue_add_own(&q, item("a"));
        assert_false(notify_queue_too_old(&q, AT + NOTIFY_KEEP_S));
        assert_true(notify_queue_too_old(&q, AT + NOTIFY_KEEP_S + 1));
        notify_queue_done(&q);
}

static void a_mail_says_what_happened_and_what_to_do(void **state)
{
        struct notify_item *one = item("a"), *two = item("b");
        struct texts to = { 0 };
        struct buf b = { 0 };
        (void)state;
        assert_true(notify_mail(&b, "web1", &to, one, 1));
        assert_string_equal(b.data,
                "To: root\nSubject: [dcvd web1] www failed\nAuto-Submitted: auto-generated\nX-Dcvd-Event: failed\n"
                "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"
                "www failed\n\n  ns2 refused the update\n\nWhat to do:\n\n  mend the key, then dcvctl reissue www\n\n"
                "Look closer:\n\n  dcvctl status www; dcvctl history www\n\n2025-11-23T07:00:00Z, event failed, job "
                "17\n");
        buf_done(&b);
        one->next = two;
        two->event = EVENT_OPENED;
        two->incident = 3;
        b = (struct buf){ 0 };
        assert_true(texts_add(&to, "ops@example.com") && texts_add(&to, "root"));
        assert_true(notify_mail(&b, "web1", &to, one, 2));
        assert_true(
                text_starts(b.data, "To: ops@example.com, root\nSubject: [dcvd web1] 2 notices, first: www failed\n"));
        assert_non_null(strstr(b.data, "\n----\n\nincident 3, www: a key is reported compromised\n"));
        assert_non_null(strstr(b.data, "  dcvctl incident 3\n"));
        buf_done(&b);
        texts_done(&to);
        notify_item_free(one);
        notify_item_free(two);
}

static void a_header_line_cannot_be_left(void **state)
{
        struct notify_item *one = item("a");
        struct texts to = { 0 };
        struct buf b = { 0 };
        (void)state;
        free(one->cert);
        one->cert = text_dup("w\xc3\xbcw\r\nBcc: all");
        assert_true(notify_mail(&b, "web1", &to, one, 1));
        const char *end = strstr(b.data, "\n\n"), *bcc = strstr(b.data, "\nBcc:");
        assert_true(!bcc || bcc > end);
        assert_non_null(strstr(b.data, "Subject: [dcvd web1] w??w??Bcc: all failed\n"));
        buf_done(&b);
        notify_item_free(one);
}

static void a_call_carries_the_same_facts(void **state)
{
        struct notify_item *one = item("a");
        struct err e;
        (void)state;
        CLEANUP(free_p) char *text = notify_json("web1", one);
        CLEANUP(json_decref_p) json_t *o = NULL;
        assert_true(json_read(text, strlen(text), 4, &o, &e));
        const json_t *data = json_object_get(o, "data");
        assert_string_equal(json_str(o, "type"), "dcvd.failed");
        assert_string_equal(json_str(o, "timestamp"), "2025-11-23T07:00:00Z");
        assert_string_equal(json_str(data, "headline"), "www failed");
        assert_string_equal(json_str(data, "fix"), "mend the key, then dcvctl reissue www");
        assert_int_equal(json_i64(data, "job", 0), 17);
        assert_null(json_object_get(data, "incident"));
        notify_item_free(one);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_queue_keeps_order_and_takes_nothing_twice),
                cmocka_unit_test(a_queue_is_bounded),
                cmocka_unit_test(tries_grow_apart_up_to_repeat),
                cmocka_unit_test(old_notices_go),
                cmocka_unit_test(a_mail_says_what_happened_and_what_to_do),
                cmocka_unit_test(a_header_line_cannot_be_left),
                cmocka_unit_test(a_call_carries_the_same_facts),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
