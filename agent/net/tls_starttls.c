#include "agent/net/tls_starttls.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"

#define DIALOGUE_MAX (64 * 1024) /* of a server that never ends its banner */

/* Each step: wait for a reply whose last line begins with `want` (NULL: nothing to wait for), then send. A dash after a
 * code means more lines. */
struct step {
        const char *want, *send;
        size_t send_len; /* 0: strlen */
        size_t want_bytes; /* binary replies: exactly so many bytes, the first `want` of them compared */
};
/* RFC 4511 section 4.14: an ExtendedRequest with the StartTLS object identifier. */
#define LDAP_STARTTLS                                                                                                  \
        "\x30\x1d\x02\x01\x01\x77\x18\x80\x16"                                                                         \
        "1.3.6.1.4.1.1466.20037"
#define POSTGRES_SSL "\x00\x00\x00\x08\x04\xd2\x16\x2f"

static const struct step smtp[] = { { "220", "EHLO dcvd\r\n", 0, 0 }, { "250", "STARTTLS\r\n", 0, 0 },
        { "220", NULL, 0, 0 } };
static const struct step imap[] = { { "* ", "a1 STARTTLS\r\n", 0, 0 }, { "a1 OK", NULL, 0, 0 } };
static const struct step pop3[] = { { "+OK", "STLS\r\n", 0, 0 }, { "+OK", NULL, 0, 0 } };
static const struct step ftp[] = { { "220", "AUTH TLS\r\n", 0, 0 }, { "234", NULL, 0, 0 } };
static const struct step ldap[] = { { NULL, LDAP_STARTTLS, sizeof LDAP_STARTTLS - 1, 0 }, { "\x30", NULL, 0, 2 } };
static const struct step postgres[] = { { NULL, POSTGRES_SSL, sizeof POSTGRES_SSL - 1, 0 }, { "S", NULL, 0, 1 } };

static const struct {
        const char *name;
        const struct step *step;
        size_t count;
} protocols[] = {
        [TLS_DIRECT] = { "tls", NULL, 0 },
        [TLS_SMTP] = { "smtp", smtp, ARRAY_LEN(smtp) },
        [TLS_IMAP] = { "imap", imap, ARRAY_LEN(imap) },
        [TLS_POP3] = { "pop3", pop3, ARRAY_LEN(pop3) },
        [TLS_LDAP] = { "ldap", ldap, ARRAY_LEN(ldap) },
        [TLS_FTP] = { "ftp", ftp, ARRAY_LEN(ftp) },
        [TLS_POSTGRES] = { "postgres", postgres, ARRAY_LEN(postgres) },
};

bool tls_protocol_from_name(const char *name, enum tls_protocol *ret)
{
        for (size_t i = 1; i < ARRAY_LEN(protocols); i++)
                if (strcmp(protocols[i].name, name) == 0) {
                        *ret = (enum tls_protocol)i;
                        return true;
                }
        return false;
}

const char *tls_protocol_name(enum tls_protocol p)
{
        return (unsigned)p < ARRAY_LEN(protocols) ? protocols[p].name : "?";
}

/* 1: the reply is complete and as wanted; 0: more is needed; -1: something else came. */
static int text_reply(struct buf *in, const char *want, char said[80])
{
        for (;;) {
                char *end = in->len ? memchr(in->data, '\n', in->len) : NULL;
                if (!end)
                        return in->failed ? -1 : 0;
                size_t line = (size_t)(end - in->data) + 1, n = strlen(want);
                bool fits = line > n && strncmp(in->data, want, n) == 0;
                bool continued = fits && in->data[n] == '-';
                bool untagged = want[0] == 'a' && in->data[0] == '*'; /* IMAP: untagged lines may come between */
                snprintf(said, 80, "%.*s", (int)MIN(strcspn(in->data, "\r\n"), (size_t)79), in->data);
                memmove(in->data, in->data + line, in->len - line);
                in->len -= line;
                if (continued || untagged)
                        continue;
                /* Whatever else came already was not asked for: said ahead, or to be taken for what TLS said. */
                return fits && in->len == 0 ? 1 : -1;
        }
}

/* An LDAPMessage whose ExtendedResponse says success (resultCode 0 as the first ENUMERATED). */
static int ldap_reply(const struct buf *in)
{
        static const char success[] = { 0x0a, 0x01, 0x00 };
        const uint8_t *d = (const uint8_t *)in->data;
        if (in->len < 2 || d[1] > 0x7f)
                return in->len < 2 ? 0 : -1;
        if (in->len < (size_t)d[1] + 2)
                return 0;
        if (in->len > (size_t)d[1] + 2)
                return -1;
        return memmem(d, in->len, success, sizeof success) ? 1 : -1;
}

static int reply(struct starttls *s, const struct step *step)
{
        if (!step->want)
                return 1;
        if (step->want_bytes == 0)
                return text_reply(&s->in, step->want, s->said);
        if (s->in.len == 0)
                return 0;
        if (s->in.data[0] != step->want[0])
                return -1;
        return s->protocol == TLS_LDAP ? ldap_reply(&s->in) : s->in.len == 1 ? 1 : -1;
}

enum starttls_result starttls_feed(
        struct starttls *s, const void *data, size_t len, const char **ret_send, size_t *ret_len)
{
        if (s->protocol == TLS_DIRECT)
                return STARTTLS_READY;
        s->in.max = 16 * 1024;
        s->fed += len;
        if (s->fed > DIALOGUE_MAX)
                return STARTTLS_FAILED;
        if (len > 0 && !buf_append(&s->in, data, len))
                return STARTTLS_FAILED;
        const struct step *step = &protocols[s->protocol].step[s->step];
        int r = reply(s, step);
        if (r <= 0)
                return r < 0 ? STARTTLS_FAILED : STARTTLS_MORE;
        s->step++;
        if (!step->send)
                return STARTTLS_READY;
        *ret_send = step->send;
        *ret_len = step->send_len ? step->send_len : strlen(step->send);
        return STARTTLS_SEND;
}

void starttls_done(struct starttls *s)
{
        buf_done(&s->in);
}
