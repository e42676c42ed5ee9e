/* A name server played by the test, on the test's own loop: UDP and TCP on one port of a loopback address. What it says
 * is up to one function. Include once, in the program of a test. */
#ifndef DCVD_TEST_NAME_SERVER_H
#define DCVD_TEST_NAME_SERVER_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/net/address.h"
#include "agent/net/dns_message.h"
#include "agent/net/loop.h"

#define NS_CONNECTIONS 16

struct ns_reply {
        uint8_t data[16 * 1024];
        size_t len; /* 0: nothing is said */
        bool hang_up; /* TCP: the connection is closed instead */
        bool twice_wrong; /* before it, the same under another id */
};
struct name_server;
typedef void ns_answer_fn(struct name_server *s, const struct dns_message *q, bool tcp, struct ns_reply *r);

struct ns_connection {
        struct name_server *server;
        int fd;
        struct watch *watch;
        uint8_t in[1024];
        size_t len;
};
struct ns_held { /* a datagram that is answered later */
        uint8_t data[512];
        size_t len;
        struct sockaddr_storage from;
        socklen_t from_len;
};
struct name_server {
        struct loop *loop;
        struct address address;
        int udp, tcp;
        struct watch *udp_watch, *tcp_watch;
        struct ns_connection connection[NS_CONNECTIONS];
        ns_answer_fn *answer;
        void *arg;
        bool holding;
        struct ns_held *held;
        size_t held_count;
        unsigned questions, connections;
};

/* ---- building an answer ---- */

static inline void ns_u16(struct ns_reply *r, unsigned value)
{
        r->data[r->len++] = (uint8_t)(value >> 8);
        r->data[r->len++] = (uint8_t)value;
}

static inline void ns_name(struct ns_reply *r, const char *name)
{
        size_t n = dns_name_wire(name, false, r->data + r->len, 255);
        assert_true(n > 0);
        r->len += n;
}

/* flags beyond QR: 0x0400 AA, 0x0200 TC; and the rcode. */
static inline void ns_start(struct ns_reply *r, const struct dns_message *q, unsigned flags)
{
        r->len = 0;
        ns_u16(r, q->id);
        ns_u16(r, 0x8000 | flags | (q->rd ? 0x0100 : 0));
        ns_u16(r, 1);
        for (int i = 0; i < 3; i++)
                ns_u16(r, 0);
        ns_name(r, q->question);
        ns_u16(r, q->qtype);
        ns_u16(r, DNS_CLASS_IN);
}

static inline void ns_rr(
        struct ns_reply *r, enum dns_section section, const char *owner, uint16_t type, const void *rdata, size_t len)
{
        r->data[7 + 2 * (int)section]++;
        ns_name(r, owner);
        ns_u16(r, type);
        ns_u16(r, DNS_CLASS_IN);
        ns_u16(r, 0);
        ns_u16(r, 60);
        ns_u16(r, (unsigned)len);
        memcpy(r->data + r->len, rdata, len);
        r->len += len;
}

static inline void ns_txt(struct ns_reply *r, const char *owner, const char *text)
{
        uint8_t data[256];
        size_t n = strlen(text);
        data[0] = (uint8_t)n;
        memcpy(data + 1, text, n);
        ns_rr(r, DNS_ANSWER, owner, DNS_TXT, data, n + 1);
}

static inline void ns_pointer(
        struct ns_reply *r, enum dns_section section, const char *owner, uint16_t type, const char *target)
{
        uint8_t data[255];
        ns_rr(r, section, owner, type, data, dns_name_wire(target, false, data, sizeof data));
}

static inline void ns_address(struct ns_reply *r, enum dns_section section, const char *owner, const char *text)
{
        struct address a;
        assert_true(address_parse(text, 0, &a));
        ns_rr(r, section, owner, a.family == AF_INET ? DNS_A : DNS_AAAA, &a.ip, a.family == AF_INET ? 4 : 16);
}

static inline void ns_soa(
        struct ns_reply *r, enum dns_section section, const char *zone, const char *mname, uint8_t serial)
{
        uint8_t data[600] = { 0 };
        size_t n = dns_name_wire(mname, false, data, 255);
        n += dns_name_wire("hostmaster.test", false, data + n, 255);
        data[n + 3] = serial;
        ns_rr(r, section, zone, DNS_SOA, data, n + 20);
}

/* ---- serving ---- */

static inline void ns_say(
        struct name_server *s, const uint8_t *data, size_t len, const struct ns_held *to, struct ns_connection *c)
{
        static struct ns_reply r;
        struct dns_message q;
        assert_true(dns_message_read(data, len, &q, NULL));
        r.len = 0;
        r.hang_up = r.twice_wrong = false;
        s->questions++;
        s->answer(s, &q, c != NULL, &r);
        dns_message_done(&q);
        if (r.len > 0 && to) {
                if (r.twice_wrong) {
                        r.data[1] ^= 1;
                        (void)sendto(s->udp, r.data, r.len, 0, (const struct sockaddr *)&to->from, to->from_len);
                        r.data[1] ^= 1;
                }
                (void)sendto(s->udp, r.data, r.len, 0, (const struct sockaddr *)&to->from, to->from_len);
        } else if (r.len > 0) {
                uint8_t head[2] = { (uint8_t)(r.len >> 8), (uint8_t)r.len };
                assert_int_equal(send(c->fd, head, 2, MSG_NOSIGNAL), 2);
                assert_int_equal(send(c->fd, r.data, r.len, MSG_NOSIGNAL), (ssize_t)r.len);
        }
        if (c && r.hang_up) {
                loop_unwatch(c->watch);
                close(c->fd);
                c->fd = -1;
        }
}

static inline void ns_udp_ready(void *arg)
{
        struct name_server *s = arg;
        for (;;) {
                struct ns_held h = { .from_len = sizeof h.from };
                ssize_t n =
                        recvfrom(s->udp, h.data, sizeof h.data, MSG_DONTWAIT, (struct sockaddr *)&h.from, &h.from_len);
                if (n < 0)
                        return;
                h.len = (size_t)n;
                if (!s->holding) {
                        ns_say(s, h.data, h.len, &h, NULL);
                        continue;
                }
                s->held = realloc(s->held, (s->held_count + 1) * sizeof *s->held);
                assert_non_null(s->held);
                s->held[s->held_count++] = h;
        }
}

static inline void ns_release(struct name_server *s)
{
        s->holding = false;
        for (size_t i = 0; i < s->held_count; i++)
                ns_say(s, s->held[i].data, s->held[i].len, &s->held[i], NULL);
        s->held_count = 0;
}

static inline void ns_tcp_ready(void *arg)
{
        struct ns_connection *c = arg;
        ssize_t n = recv(c->fd, c->in + c->len, sizeof c->in - c->len, MSG_DONTWAIT);
        if (n <= 0) {
                loop_unwatch(c->watch);
                close(c->fd);
                c->fd = -1;
                return;
        }
        c->len += (size_t)n;
        while (c->fd >= 0 && c->len >= 2 && c->len >= 2u + (size_t)(c->in[0] << 8 | c->in[1])) {
                size_t len = (size_t)(c->in[0] << 8 | c->in[1]);
                ns_say(c->server, c->in + 2, len, NULL, c);
                memmove(c->in, c->in + 2 + len, c->len - 2 - len);
                c->len -= 2 + len;
        }
}

static inline void ns_accept(void *arg)
{
        struct name_server *s = arg;
        int fd = accept(s->tcp, NULL, NULL);
        if (fd < 0)
                return;
        s->connections++;
        for (size_t i = 0; i < NS_CONNECTIONS; i++) {
                struct ns_connection *c = &s->connection[i];
                if (c->fd >= 0)
                        continue;
                *c = (struct ns_connection){ .server = s, .fd = fd };
                assert_true(loop_watch(&c->watch, s->loop, fd, ns_tcp_ready, c, NULL));
                return;
        }
        fail_msg("too many connections");
}

static inline int ns_bind(int kind, struct address *a)
{
        struct sockaddr_storage sa;
        socklen_t len = address_sockaddr(a, &sa);
        int one = 1, fd = socket(a->family, kind | SOCK_CLOEXEC, 0);
        assert_true(fd >= 0);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), 0);
        if (bind(fd, (struct sockaddr *)&sa, len) != 0) {
                close(fd);
                return -1;
        }
        assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
        assert_true(address_from_sockaddr((struct sockaddr *)&sa, a));
        return fd;
}

/* text: "127.0.0.1"; port 0: the kernel chooses, and with UDP's choice TCP's is the same. False if the port is taken.
 */
static inline bool ns_open(
        struct name_server *s, struct loop *loop, const char *text, uint16_t port, ns_answer_fn *answer, void *arg)
{
        *s = (struct name_server){ .loop = loop, .answer = answer, .arg = arg, .udp = -1, .tcp = -1 };
        for (size_t i = 0; i < NS_CONNECTIONS; i++)
                s->connection[i].fd = -1;
        for (int tries = 0; tries < 20 && s->tcp < 0; tries++) {
                assert_true(address_parse(text, port, &s->address));
                s->address.port = port;
                s->udp = ns_bind(SOCK_DGRAM, &s->address);
                if (s->udp < 0)
                        return false;
                s->tcp = ns_bind(SOCK_STREAM, &s->address);
                if (s->tcp < 0)
                        close(s->udp);
        }
        if (s->tcp < 0)
                return false;
        assert_int_equal(listen(s->tcp, 16), 0);
        assert_true(loop_watch(&s->udp_watch, loop, s->udp, ns_udp_ready, s, NULL));
        assert_true(loop_watch(&s->tcp_watch, loop, s->tcp, ns_accept, s, NULL));
        return true;
}

static inline void ns_close(struct name_server *s)
{
        if (s->udp < 0)
                return;
        loop_unwatch(s->udp_watch);
        loop_unwatch(s->tcp_watch);
        close(s->udp);
        close(s->tcp);
        s->udp = s->tcp = -1;
        for (size_t i = 0; i < NS_CONNECTIONS; i++)
                if (s->connection[i].fd >= 0) {
                        loop_unwatch(s->connection[i].watch);
                        close(s->connection[i].fd);
                        s->connection[i].fd = -1;
                }
        free(s->held);
        s->held = NULL;
}

#endif
