#include "test.h"

#include <stdlib.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/net/address.h"
#include "agent/net/dns_message.h"

static bool read_hex(const char *hex, struct dns_message *ret)
{
        uint8_t data[2048];
        size_t len = 0;
        struct err e = { 0 };
        char plain[4096];
        size_t n = 0;
        for (; *hex; hex++)
                if (*hex != ' ')
                        plain[n++] = *hex;
        assert_true(hex_decode(plain, n, data, sizeof data, &len));
        uint8_t *exact = malloc(len ? len : 1); /* so that the sanitizer sees a read past the end */
        memcpy(exact, data, len);
        bool good = dns_message_read(exact, len, ret, &e);
        free(exact);
        assert_true(good || (e.kind == ERR_PROTOCOL && strcmp(e.code, "dns.malformed") == 0));
        return good;
}

#define HEAD_1_ANSWER "1234 8400 0001 0001 0000 0000 "
#define QUESTION "01 61 04 74657374 00 0010 0001 " /* a.test TXT */

static void hostile_messages_are_refused(void **state)
{
        static const char *const bad[] = {
                "", "1234", "1234 8400 0001 0001 0000 00",
                HEAD_1_ANSWER "c00c 0010 0001", /* a pointer at itself as the question */
                HEAD_1_ANSWER QUESTION "c020 0010 0001 0000003c 0002 0161", /* forward */
                HEAD_1_ANSWER QUESTION "c0ff 0010 0001 0000003c 0002 0161", /* past the end */
                HEAD_1_ANSWER QUESTION "c00c 0010 0001 0000003c 00ff 0161", /* RDLENGTH lies */
                "1234 8400 0001 ffff 0000 0000 " QUESTION "c00c 0010 0001 0000003c 0002 0161", /* count lies */
                HEAD_1_ANSWER "ff 61 00 0010 0001", /* label length with reserved bits */
                HEAD_1_ANSWER "40 61 00 0010 0001",
                "1234 8400 0002 0000 0000 0000 " QUESTION QUESTION, /* two questions */
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                struct dns_message m;
                if (read_hex(bad[i], &m))
                        fail_msg("row %zu was read", i);
        }
}

static void a_chain_of_backward_pointers_ends(void **state)
{
        struct buf b = { 0 };
        struct dns_message m;
        (void)state;
        /* Each answer's owner points at the one before: 200 of them in one name are too many jumps. */
        uint8_t data[1200] = { 0x12, 0x34, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0 };
        size_t len = 12;
        data[len++] = 0; /* the root, as if an owner */
        for (int i = 0; i < 200; i++) {
                size_t to = i == 0 ? 12 : len - 2;
                data[len] = (uint8_t)(0xc0 | to >> 8);
                data[len + 1] = (uint8_t)to;
                len += 2;
        }
        buf_append(&b, data, len);
        struct err e;
        assert_false(dns_message_read((uint8_t *)b.data, b.len, &m, &e));
        buf_done(&b);
}

static void a_txt_answer_is_read_and_joined(void **state)
{
        struct dns_message m;
        uint8_t *text = NULL;
        size_t len = 0;
        unsigned strings = 0;
        (void)state;
        assert_true(read_hex(HEAD_1_ANSWER QUESTION "c00c 0010 0001 0000003c 0007 03 616263 02 6465", &m));
        assert_true(m.qr && m.aa && !m.tc && m.rcode == DNS_NOERROR);
        assert_string_equal(m.question, "a.test");
        assert_int_equal(m.rr_count, 1);
        assert_string_equal(m.rr[0].owner, "a.test");
        assert_true(dns_rr_txt(&m, &m.rr[0], &text, &len, &strings));
        assert_int_equal(len, 5);
        assert_memory_equal(text, "abcde", 5);
        assert_int_equal(strings, 2);
        free(text);
        char name[DNS_NAME_TEXT];
        struct address a;
        struct dns_soa soa;
        assert_false(
                dns_rr_name(&m, &m.rr[0], name) || dns_rr_address(&m, &m.rr[0], &a) || dns_rr_soa(&m, &m.rr[0], &soa));
        dns_message_done(&m);
}

static void txt_lengths_must_fill_the_data_exactly(void **state)
{
        static const char *const bad[] = { HEAD_1_ANSWER QUESTION "c00c 0010 0001 0000003c 0003 03 6162",
                HEAD_1_ANSWER QUESTION "c00c 0010 0001 0000003c 0000" };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                struct dns_message m;
                uint8_t *text = NULL;
                size_t len;
                assert_true(read_hex(bad[i], &m));
                assert_false(dns_rr_txt(&m, &m.rr[0], &text, &len, NULL));
                dns_message_done(&m);
        }
}

static void an_empty_string_is_a_txt_record(void **state)
{
        struct dns_message m;
        uint8_t *text = NULL;
        size_t len = 9;
        (void)state;
        assert_true(read_hex(HEAD_1_ANSWER QUESTION "c00c 0010 0001 0000003c 0001 00", &m));
        assert_true(dns_rr_txt(&m, &m.rr[0], &text, &len, NULL));
        assert_int_equal(len, 0);
        free(text);
        dns_message_done(&m);
}

static void a_truncated_message_keeps_what_came_whole(void **state)
{
        struct dns_message m;
        (void)state;
        assert_true(read_hex(
                "1234 8600 0001 0002 0000 0000 " QUESTION "c00c 0010 0001 0000003c 0004 03616263 c00c 0010", &m));
        assert_true(m.tc);
        assert_int_equal(m.rr_count, 1);
        dns_message_done(&m);
}

static void edns_brings_extended_rcode_and_error(void **state)
{
        struct dns_message m;
        (void)state;
        assert_true(
                read_hex("1234 8400 0001 0000 0000 0001 " QUESTION "00 0029 04d0 01000000 0006 000f 0002 0016", &m));
        assert_true(m.edns);
        assert_int_equal(m.rcode, 16);
        assert_int_equal(m.ede, 22);
        dns_message_done(&m);
}

static void names_compare_without_case_and_final_dot(void **state)
{
        (void)state;
        assert_true(dns_name_equal("WWW.Example.test.", "www.example.TEST"));
        assert_false(dns_name_equal("www.example.test", "ww.example.test"));
        assert_true(dns_name_is_below("a.example.test", "example.test") &&
                dns_name_is_below("example.test", "example.test."));
        assert_false(dns_name_is_below("aexample.test", "example.test"));
        assert_true(dns_name_is_below("x", ""));
        assert_string_equal(dns_name_parent("a.b"), "b");
        assert_string_equal(dns_name_parent("b"), "");
        assert_null(dns_name_parent(""));
        assert_string_equal(dns_name_parent("a\\.b.c"), "c");
}

static void the_wire_form_has_its_limits(void **state)
{
        uint8_t wire[255];
        char label[70], name[300] = "";
        (void)state;
        assert_int_equal(dns_name_wire("A.b", true, wire, sizeof wire), 5);
        assert_memory_equal(wire, "\1a\1b\0", 5);
        assert_int_equal(dns_name_wire("", false, wire, sizeof wire), 1);
        assert_int_equal(dns_name_wire("a\\046b", false, wire, sizeof wire), 5);
        memset(label, 'x', sizeof label);
        label[63] = '\0';
        assert_true(dns_name_is_valid(label));
        label[63] = 'x';
        label[64] = '\0';
        assert_false(dns_name_is_valid(label));
        assert_false(dns_name_is_valid("a..b") || dns_name_is_valid(".a") || dns_name_is_valid("a\\2") ||
                dns_name_is_valid("a\\999"));
        for (int i = 0; i < 126; i++)
                strcat(name, "a.");
        assert_true(dns_name_is_valid(name)); /* 126 labels of two bytes and the root: 253 */
        strcat(name, "ab.");
        assert_false(dns_name_is_valid(name));
        assert_int_equal(dns_name_wire("abc", false, wire, 4), 0);
}

static void serials_go_round(void **state)
{
        (void)state;
        assert_true(dns_serial_newer(1, 0) && dns_serial_newer(0, UINT32_MAX) && dns_serial_newer(0x80000000u, 1));
        assert_false(dns_serial_newer(0, 0) || dns_serial_newer(0, 1) || dns_serial_newer(UINT32_MAX, 0));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(hostile_messages_are_refused),
                cmocka_unit_test(a_chain_of_backward_pointers_ends),
                cmocka_unit_test(a_txt_answer_is_read_and_joined),
                cmocka_unit_test(txt_lengths_must_fill_the_data_exactly),
                cmocka_unit_test(an_empty_string_is_a_txt_record),
                cmocka_unit_test(a_truncated_message_keeps_what_came_whole),
                cmocka_unit_test(edns_brings_extended_rcode_and_error),
                cmocka_unit_test(names_compare_without_case_and_final_dot),
                cmocka_unit_test(the_wire_form_has_its_limits),
                cmocka_unit_test(serials_go_round),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
