/* The plain-text dialogues before TLS, fed as a server would, whole and byte by byte. */
#include "test.h"

#include <stdlib.h>

#include "agent/base/util.h"
#include "agent/net/tls_starttls.h"

struct dialogue {
        const char *what;
        enum tls_protocol protocol;
        const char *replies[4]; /* what the server says, in turn; NULL ends */
        size_t len; /* of the only reply, if it is binary */
        const char *sent; /* all that is sent, NUL as '0' */
        enum starttls_result end;
};
#define LDAP_OK "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"
#define LDAP_NO "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x02\x04\x00\x04\x00"
static const struct dialogue dialogues[] = {
        { "direct", TLS_DIRECT, { NULL }, 0, "", STARTTLS_READY },
        { "smtp", TLS_SMTP, { "220-a\r\n220 b\r\n", "250-x\r\n250-STARTTLS\r\n250 y\r\n", "220 go\r\n" }, 0,
                "EHLO dcvd\r\nSTARTTLS\r\n", STARTTLS_READY },
        { "smtp refuses", TLS_SMTP, { "220 b\r\n", "250 x\r\n", "454 no\r\n" }, 0, "EHLO dcvd\r\nSTARTTLS\r\n",
                STARTTLS_FAILED },
        { "smtp is busy", TLS_SMTP, { "554 no\r\n" }, 0, "", STARTTLS_FAILED },
        { "smtp, half a line", TLS_SMTP, { "220 b" }, 0, "", STARTTLS_MORE },
        { "smtp, an endless banner", TLS_SMTP, { "220-a\r\n220-b\r\n220-c\r\n" }, 0, "", STARTTLS_MORE },
        { "imap", TLS_IMAP, { "* OK hi\r\n", "* x\r\na1 OK go\r\n" }, 0, "a1 STARTTLS\r\n", STARTTLS_READY },
        { "imap refuses", TLS_IMAP, { "* OK hi\r\n", "a1 BAD no\r\n" }, 0, "a1 STARTTLS\r\n", STARTTLS_FAILED },
        { "imap, another's answer", TLS_IMAP, { "* OK hi\r\n", "a2 OK go\r\n" }, 0, "a1 STARTTLS\r\n",
                STARTTLS_FAILED },
        { "pop3", TLS_POP3, { "+OK hi\r\n", "+OK go\r\n" }, 0, "STLS\r\n", STARTTLS_READY },
        { "pop3 refuses", TLS_POP3, { "+OK hi\r\n", "-ERR no\r\n" }, 0, "STLS\r\n", STARTTLS_FAILED },
        { "ftp", TLS_FTP, { "220 hi\r\n", "234 go\r\n" }, 0, "AUTH TLS\r\n", STARTTLS_READY },
        { "ftp refuses", TLS_FTP, { "220 hi\r\n", "502 no\r\n" }, 0, "AUTH TLS\r\n", STARTTLS_FAILED },
        { "postgres", TLS_POSTGRES, { "S" }, 0, "000\x08\x04\xd2\x16\x2f", STARTTLS_READY },
        { "postgres refuses", TLS_POSTGRES, { "N" }, 0, "000\x08\x04\xd2\x16\x2f", STARTTLS_FAILED },
        { "ldap", TLS_LDAP, { LDAP_OK }, sizeof LDAP_OK - 1, NULL, STARTTLS_READY },
        { "ldap refuses", TLS_LDAP, { LDAP_NO }, sizeof LDAP_NO - 1, NULL, STARTTLS_FAILED },
        { "ldap, cut", TLS_LDAP, { LDAP_OK }, sizeof LDAP_OK - 5, NULL, STARTTLS_MORE },
        { "ldap, a long length", TLS_LDAP, { "\x30\x84zzzz" }, 6, NULL, STARTTLS_FAILED },
        { "ldap, junk", TLS_LDAP, { "HTTP" }, 4, NULL, STARTTLS_FAILED },
        /* What follows the last plain line in the same breath was not said by TLS. */
        { "smtp, injected", TLS_SMTP, { "220 b\r\n", "250 x\r\n", "220 go\r\n250 injected\r\n" }, 0,
                "EHLO dcvd\r\nSTARTTLS\r\n", STARTTLS_FAILED },
        { "smtp, all said ahead", TLS_SMTP, { "220 b\r\n250 x\r\n220 go\r\n" }, 0, "", STARTTLS_FAILED },
        { "imap, injected", TLS_IMAP, { "* OK hi\r\n", "a1 OK go\r\n* evil\r\n" }, 0, "a1 STARTTLS\r\n",
                STARTTLS_FAILED },
        { "pop3, injected", TLS_POP3, { "+OK hi\r\n", "+OK go\r\n+OK\r\n" }, 0, "STLS\r\n", STARTTLS_FAILED },
        { "ftp, injected", TLS_FTP, { "220 hi\r\n", "234 go\r\n230 in\r\n" }, 0, "AUTH TLS\r\n", STARTTLS_FAILED },
        { "postgres, injected", TLS_POSTGRES, { "Sx" }, 0, "000\x08\x04\xd2\x16\x2f", STARTTLS_FAILED },
        { "ldap, injected", TLS_LDAP, { LDAP_OK "x" }, sizeof LDAP_OK, NULL, STARTTLS_FAILED },
};

static enum starttls_result feed(struct starttls *s, const char *data, size_t len, struct buf *sent)
{
        const char *send = NULL;
        size_t send_len = 0;
        enum starttls_result r = starttls_feed(s, data, len, &send, &send_len);
        for (size_t i = 0; r == STARTTLS_SEND && i < send_len; i++)
                assert_true(buf_addc(sent, send[i] ? send[i] : '0'));
        return r;
}

static enum starttls_result play(const struct dialogue *d, bool in_bytes, struct buf *sent)
{
        struct starttls s = { .protocol = d->protocol };
        enum starttls_result r = feed(&s, NULL, 0, sent);
        for (size_t i = 0; i < ARRAY_LEN(d->replies) && d->replies[i]; i++) {
                size_t len = d->len ? d->len : strlen(d->replies[i]), step = in_bytes ? 1 : len;
                for (size_t k = 0; k < len && (r == STARTTLS_MORE || r == STARTTLS_SEND); k += step)
                        r = feed(&s, d->replies[i] + k, step, sent);
        }
        starttls_done(&s);
        return r;
}

static void dialogues_end_as_they_should(void **state)
{
        (void)state;
        bool wrong = false;
        for (size_t i = 0; i < 2 * ARRAY_LEN(dialogues); i++) {
                const struct dialogue *d = &dialogues[i / 2];
                struct buf sent = { .max = 4096 };
                bool in_bytes = i % 2 == 1, ahead = strstr(d->what, "injected") || strstr(d->what, "ahead");
                if (in_bytes && ahead) /* then the rest comes after TLS has begun, and is no TLS */
                        continue;
                assert_true(buf_add(&sent, ""));
                enum starttls_result r = play(d, in_bytes, &sent);
                if (r != d->end || (d->sent && strcmp(sent.data ? sent.data : "", d->sent) != 0)) {
                        print_error("%s%s: %d instead of %d, sent %s\n", d->what, in_bytes ? " in bytes" : "", r,
                                d->end, sent.data ? sent.data : "");
                        wrong = true;
                }
                buf_done(&sent);
        }
        assert_false(wrong);
}

static void what_never_ends_is_cut(void **state)
{
        (void)state;
        for (int lines = 0; lines < 2; lines++) {
                struct starttls s = { .protocol = TLS_SMTP };
                struct buf sent = { .max = 64 };
                enum starttls_result r = STARTTLS_MORE;
                size_t fed = 0;
                for (; r == STARTTLS_MORE && fed < 1 << 20; fed += 8)
                        r = feed(&s, lines ? "220-ab\r\n" : "220-abcd", 8, &sent);
                assert_int_equal(r, STARTTLS_FAILED);
                assert_true(fed <= 64 * 1024 + 8);
                starttls_done(&s);
                buf_done(&sent);
        }
}

static void names(void **state)
{
        (void)state;
        enum tls_protocol p = TLS_DIRECT;
        assert_true(tls_protocol_from_name("postgres", &p));
        assert_int_equal(p, TLS_POSTGRES);
        assert_string_equal(tls_protocol_name(TLS_LDAP), "ldap");
        assert_false(tls_protocol_from_name("tls", &p));
        assert_false(tls_protocol_from_name("gopher", &p));
        assert_int_equal(p, TLS_POSTGRES);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(dialogues_end_as_they_should),
                cmocka_unit_test(what_never_ends_is_cut),
                cmocka_unit_test(names),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
