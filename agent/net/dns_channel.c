/* One c-ares channel: one address, one transport. UDP channels take truncated answers as they are, TCP channels never
 * use UDP, so that the caller knows which transport answered. c-ares only carries and matches: repeating is ours, from
 * the measured round trip, and so is the window. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "agent/net/dns_internal.h"

#define ARES_TIMEOUT_MS 3500
#define RETRY_LEAST_MS 200
#define RETRY_MOST_MS 2000
#define RETRY_FIRST_MS 1000 /* before anything was measured */
#define IDLE_MS 30000
#define CHANNELS_MAX 8192
#define WAIT_MOST_MS 6000 /* in line for a window that a silent server does not empty */
#define PORT_QUESTIONS 1000 /* from one source port, where c-ares can change it (1.20) */
#define EDNS_BYTES 1232
#define DNS_NAME_WIRE 255
#define QUESTION_MAX (12 + DNS_NAME_WIRE + 4 + 11)

static int64_t now_us(void)
{
        return (int64_t)(uv_hrtime() / 1000);
}

/* ---- sockets ---- */

struct socket_watch {
        uv_poll_t uv;
        struct dns_channel *channel;
        ares_socket_t fd;
        struct socket_watch *next;
};

static void on_ready(uv_poll_t *uv, int status, int events)
{
        struct socket_watch *w = CONTAINER_OF(uv, struct socket_watch, uv);
        ares_socket_t fd = w->fd;
        ares_process_fd(w->channel->ares, status < 0 || events & UV_READABLE ? fd : ARES_SOCKET_BAD,
                status < 0 || events & UV_WRITABLE ? fd : ARES_SOCKET_BAD);
}

static void watch_closed(uv_handle_t *handle)
{
        free(CONTAINER_OF((uv_poll_t *)handle, struct socket_watch, uv));
}

/* The list of a channel's sockets is short: one, or two while a connection is replaced. */
struct channel_box { /* the channel with what only this file knows */
        struct dns_channel c;
        struct socket_watch *watch;
};

static struct socket_watch **watches(struct dns_channel *c)
{
        return &CONTAINER_OF(c, struct channel_box, c)->watch;
}

static void on_socket(void *arg, ares_socket_t fd, int readable, int writable)
{
        struct dns_channel *c = arg;
        struct socket_watch **at = watches(c);
        while (*at && (*at)->fd != fd)
                at = &(*at)->next;
        struct socket_watch *w = *at;
        if (!readable && !writable) {
                if (w) {
                        *at = w->next;
                        uv_close((uv_handle_t *)&w->uv, watch_closed);
                }
                return;
        }
        if (!w) {
                w = calloc(1, sizeof *w);
                if (!w || uv_poll_init_socket(loop_uv(c->dns->loop), &w->uv, fd) != 0) {
                        free(w); /* unwatched: its questions time out */
                        return;
                }
                w->channel = c;
                w->fd = fd;
                *at = w;
        }
        (void)uv_poll_start(&w->uv, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0), on_ready);
}

/* ---- lists ---- */

static void unlink_query(struct dns_query *q)
{
        struct dns_channel *c = q->channel;
        if (!q->at)
                return;
        *q->at = q->next;
        if (q->next)
                q->next->at = q->at;
        else if (c->sent_tail == &q->next)
                c->sent_tail = q->at;
        else if (c->waiting_tail == &q->next)
                c->waiting_tail = q->at;
        q->at = NULL;
        q->next = NULL;
}

static void append(struct dns_query *q, struct dns_query ***tail)
{
        q->at = *tail;
        q->next = NULL;
        **tail = q;
        *tail = &q->next;
}

/* ---- time ---- */

static int64_t retry_ms(const struct dns_channel *c)
{
        if (c->srtt_us == 0)
                return RETRY_FIRST_MS;
        return MIN(MAX((c->srtt_us + 4 * c->rttvar_us) / 1000 + 50, RETRY_LEAST_MS), RETRY_MOST_MS);
}

static void measured(struct dns_channel *c, int64_t rtt_us)
{
        if (c->srtt_us == 0) {
                c->srtt_us = MAX(rtt_us, 1);
                c->rttvar_us = rtt_us / 2;
                return;
        }
        int64_t off = rtt_us - c->srtt_us;
        c->rttvar_us += ((off < 0 ? -off : off) - c->rttvar_us) / 4;
        c->srtt_us = MAX(c->srtt_us + off / 8, 1);
}

static void arm(struct dns_channel *c)
{
        if (c->outstanding == 0 && !c->waiting) {
                timer_stop(c->timer);
                c->timer_due_ms = 0;
                return;
        }
        int64_t now_ms = clock_boot_ms(), due_ms = now_ms + 500;
        if (c->sent)
                due_ms = c->sent->sent_us / 1000 - now_us() / 1000 + now_ms + retry_ms(c);
        /* An armed timer that comes early is harmless; setting it for every packet is not free. */
        if (c->timer_due_ms && c->timer_due_ms <= due_ms)
                return;
        c->timer_due_ms = due_ms;
        timer_start(c->timer, MAX(due_ms - now_ms, 1));
}

/* ---- sending and receiving ---- */

/* what: NULL = it is silent. */
static void failed(struct dns_query *q, enum dns_outcome outcome, const char *what)
{
        char server[ADDRESS_TEXT];
        struct err e;
        address_text(&q->channel->server, q->channel->server.port != 53, server);
        if (what)
                err_set(&e, ERR_TEMPORARY, "dns.failed", "%s (%s): %s", server,
                        q->channel->transport == DNS_TCP ? "tcp" : "udp", what);
        else
                err_set(&e, ERR_TEMPORARY, "dns.silent", "%s does not answer over %s", server,
                        q->channel->transport == DNS_TCP ? "TCP" : "UDP");
        struct dns_answer a = {
                .outcome = outcome, .transport = q->channel->transport, .rtt_us = now_us() - q->sent_us, .err = &e
        };
        dns_query_ended(q, &a);
}

static void fill_window(struct dns_channel *c);
void dns_channel_leave(struct dns_query *q);

static void answered(struct dns_query *q, const uint8_t *data, size_t len)
{
        struct dns_message m;
        struct err e;
        struct dns_channel *c = q->channel;
        int64_t rtt_us = now_us() - q->sent_us;
        c->answered_us = now_us();
        if (!dns_message_read(data, len, &m, &e))
                return failed(q, DNS_MALFORMED, e.text);
        if (q->tries == 1)
                measured(c, rtt_us);
        /* A server from before EDNS (RFC 6891 section 7): from now on it is asked without. c-ares itself does so only
         * for the first packet that meets this. */
        if (m.rcode == DNS_FORMERR && !m.edns && q->edns) {
                c->plain = true;
                dns_message_done(&m);
                q->tries = 0;
                return append(q, &c->waiting_tail);
        }
        struct dns_answer a = {
                .outcome = DNS_ANSWERED, .message = &m, .transport = c->transport, .plain = c->plain, .rtt_us = rtt_us
        };
        dns_query_ended(q, &a);
        dns_message_done(&m);
}

static unsigned still_held(const struct dns_query *q)
{
        unsigned n = 0;
        for (size_t i = 0; i < ARRAY_LEN(q->send); i++)
                n += q->send[i] != NULL;
        return n;
}

/* One copy of the question ended without an answer. */
static void unanswered(struct dns_channel *c, struct dns_query *q, int status)
{
        bool timed_out = status == ARES_ETIMEOUT;
        if (c->transport == DNS_TCP && !timed_out && q->tries < DNS_TRIES) {
                /* A server may close a connection it holds for idle just when a question is on its way (RFC 7766
                 * section 6.2.4): again on a new one. */
                dns_channel_leave(q);
                return append(q, &c->waiting_tail);
        }
        if (still_held(q) > 0 || (timed_out && c->repeats && q->tries < DNS_TRIES))
                return;
        dns_channel_leave(q);
        if (!timed_out)
                return failed(q, status == ARES_ENOMEM ? DNS_FAILED : DNS_UNREACHABLE, ares_strerror(status));
        /* The socket may be what is dead (its local address gone, a firewall that forgot the connection): whoever asks
         * next gets a new one. */
        c->stale = c->stale || c->answered_us < q->sent_us;
        failed(q, DNS_TIMEOUT, NULL);
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *data, int len)
{
        struct dns_send *s = arg;
        struct dns_channel *c = s->channel;
        struct dns_query *q = s->query;
        (void)timeouts;
        c->outstanding--;
        for (size_t i = 0; q && i < ARRAY_LEN(q->send); i++)
                if (q->send[i] == s)
                        q->send[i] = NULL;
        free(s);
        if (status == ARES_EDESTRUCTION)
                return;
        if (q && status == ARES_SUCCESS && data && len > 0) {
                dns_channel_leave(q);
                answered(q, data, (size_t)len);
        } else if (q) {
                unanswered(c, q, status);
        }
        if (!c->dns->closing)
                fill_window(c);
}

static size_t put_u16(uint8_t *packet, size_t at, uint16_t value)
{
        packet[at] = (uint8_t)(value >> 8);
        packet[at + 1] = (uint8_t)value;
        return at + 2;
}

/* RFC 1035 section 4.1, RFC 6891 section 6.1. Built here: c-ares takes \DDD in a name for three digits, and makes no
 * ids worth the name. */
static size_t build(const struct dns_channel *c, const struct dns_query *q, uint8_t packet[QUESTION_MAX])
{
        bool plain = c->plain || q->flags & DNS_WITHOUT_EDNS;
        uint16_t flags = (uint16_t)((q->flags & DNS_RECURSE ? 0x0100 : 0) | (q->flags & DNS_WANT_AD ? 0x0020 : 0) |
                (q->flags & DNS_CHECKING_DISABLED ? 0x0010 : 0));
        const uint16_t header[] = { dns_random_id(c->dns), flags, 1, 0, 0, plain ? 0 : 1 };
        const uint16_t opt[] = { DNS_OPT, EDNS_BYTES, 0, (uint16_t)(q->flags & DNS_WANT_DNSSEC ? 0x8000 : 0), 0 };
        size_t at = 0;
        for (size_t i = 0; i < ARRAY_LEN(header); i++)
                at = put_u16(packet, at, header[i]);
        size_t name = dns_name_wire(q->name, false, packet + at, DNS_NAME_WIRE);
        if (name == 0)
                return 0;
        at = put_u16(packet, at + name, q->type);
        at = put_u16(packet, at, DNS_CLASS_IN);
        if (plain)
                return at;
        packet[at++] = 0; /* the root owns it */
        for (size_t i = 0; i < ARRAY_LEN(opt); i++)
                at = put_u16(packet, at, opt[i]);
        return at;
}

static bool send_now(struct dns_channel *c, struct dns_query *q)
{
        uint8_t packet[QUESTION_MAX];
        struct dns_send *s = calloc(1, sizeof *s);
        size_t len = s ? build(c, q, packet) : 0;
        if (len == 0) {
                free(s);
                return false;
        }
        q->edns = !c->plain && !(q->flags & DNS_WITHOUT_EDNS);
        *s = (struct dns_send){ c, q };
        q->sent_us = now_us();
        q->send[q->tries++] = s;
        c->outstanding++;
        if (q->tries < DNS_TRIES && c->repeats) /* the list is of those that may be repeated */
                append(q, &c->sent_tail);
        ares_send(c->ares, packet, (int)len, on_answer, s); /* may call back at once */
        return true;
}

static void fill_window(struct dns_channel *c)
{
        if (c->filling) /* a send that fails at once calls back from within: the loop below goes on with the next */
                return;
        c->filling = true;
        while (c->waiting && c->outstanding < DNS_WINDOW) {
                struct dns_query *q = c->waiting;
                unlink_query(q);
                if (!send_now(c, q))
                        failed(q, DNS_FAILED, "the question cannot be built");
        }
        c->filling = false;
        arm(c);
}

/* Those in line behind a window full of unanswered questions end too. */
static void end_waiting(struct dns_channel *c)
{
        int64_t before_us = now_us() - WAIT_MOST_MS * 1000;
        while (c->waiting && c->waiting->asked_us <= before_us && c->answered_us <= before_us) {
                struct dns_query *q = c->waiting;
                unlink_query(q);
                failed(q, DNS_TIMEOUT, NULL);
        }
}

static void on_timer(void *arg)
{
        struct dns_channel *c = arg;
        int64_t before_us = now_us() - retry_ms(c) * 1000;
        c->timer_due_ms = 0;
        c->used_ms = clock_boot_ms();
        while (c->sent && c->sent->sent_us <= before_us) {
                struct dns_query *q = c->sent;
                unlink_query(q);
                if (!send_now(c, q))
                        q->tries = DNS_TRIES; /* no memory: the first copy may still be answered */
        }
        ares_process_fd(c->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* its own time-outs */
        end_waiting(c);
        fill_window(c);
}

void dns_channel_ask(struct dns_channel *c, struct dns_query *q)
{
        q->channel = c;
        q->tries = 0;
        q->asked_us = q->sent_us = now_us();
        c->used_ms = clock_boot_ms();
        append(q, &c->waiting_tail);
        /* From the timer, not from here: ares_send may call back at once, and start must not. */
        if (c->timer_due_ms == 0 || c->timer_due_ms > c->used_ms) {
                c->timer_due_ms = c->used_ms;
                timer_start(c->timer, 0);
        }
}

/* Out of the channel's lists; what c-ares holds of it finds nobody any more. */
void dns_channel_leave(struct dns_query *q)
{
        unlink_query(q);
        for (size_t i = 0; i < ARRAY_LEN(q->send); i++) {
                if (q->send[i])
                        q->send[i]->query = NULL;
                q->send[i] = NULL;
        }
}

/* ---- the life of a channel ---- */

static unsigned bucket_of(const struct address *a)
{
        const uint8_t *b = (const uint8_t *)&a->ip;
        unsigned h = a->port;
        for (size_t i = 0; i < (a->family == AF_INET6 ? 16u : 4u); i++)
                h = h * 31 + b[i];
        return h % DNS_BUCKETS;
}

static bool point_at(struct dns_channel *c, struct err *e)
{
        struct ares_addr_port_node node = {
                .family = c->server.family, .udp_port = c->server.port, .tcp_port = c->server.port
        };
        memcpy(&node.addr, &c->server.ip, sizeof c->server.ip);
        int r = ares_set_servers_ports(c->ares, &node);
        return r == ARES_SUCCESS || err_set(e, ERR_TEMPORARY, "dns", "c-ares: %s", ares_strerror(r));
}

static bool open_ares(struct dns_channel *c, struct err *e)
{
        struct ares_options o = {
                .flags = ARES_FLAG_NOCHECKRESP | ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_STAYOPEN |
                        ARES_FLAG_EDNS | (c->transport == DNS_TCP ? ARES_FLAG_USEVC : ARES_FLAG_IGNTC),
                .timeout = ARES_TIMEOUT_MS,
                .tries = 1,
                .ednspsz = EDNS_BYTES,
                .sock_state_cb = on_socket,
                .sock_state_cb_data = c,
                .lookups = (char *)"b", /* no files: nothing is read from /etc/hosts here */
        };
        int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_STATE_CB |
                ARES_OPT_LOOKUPS;
#if ARES_VERSION >= 0x011400
        o.udp_max_queries = PORT_QUESTIONS; /* then another source port: harder to guess */
        mask |= ARES_OPT_UDP_MAX_QUERIES;
#endif
#if ARES_VERSION >= 0x011f00
        o.qcache_max_ttl = 0; /* a propagation check must not read its own cache */
        mask |= ARES_OPT_QUERY_CACHE;
#endif
        int r = ares_init_options(&c->ares, &o, mask);
        if (r != ARES_SUCCESS) {
                c->ares = NULL;
                return err_set(e, ERR_TEMPORARY, "dns", "c-ares: %s", ares_strerror(r));
        }
        return point_at(c, e);
}

struct dns_channel *dns_channel_get(struct dns *d, const struct address *server, enum dns_transport t, struct err *e)
{
        struct address key = *server;
        if (key.port == 0)
                key.port = d->port;
        unsigned at = bucket_of(&key);
        for (struct dns_channel *c = d->bucket[at]; c; c = c->next)
                if (c->transport == t && !c->stale && address_equal(&c->server, &key))
                        return c;
        if (d->channels >= CHANNELS_MAX) {
                err_set(e, ERR_TEMPORARY, "dns", "more than %d name server addresses at once", CHANNELS_MAX);
                return NULL;
        }
        struct channel_box *box = calloc(1, sizeof *box);
        if (!box) {
                err_memory(e);
                return NULL;
        }
        struct dns_channel *c = &box->c;
        c->dns = d;
        c->server = key;
        c->transport = t;
        c->repeats = t == DNS_UDP; /* TCP repeats by itself */
        c->waiting_tail = &c->waiting;
        c->sent_tail = &c->sent;
        c->used_ms = clock_boot_ms();
        if (!timer_new(&c->timer, d->loop, on_timer, c, e) || !open_ares(c, e)) {
                dns_channel_close(c);
                return NULL;
        }
        c->next = d->bucket[at];
        d->bucket[at] = c;
        d->channels++;
        if (!d->sweeping) {
                d->sweeping = true;
                timer_start(d->sweep, IDLE_MS);
        }
        return c;
}

/* Pending callbacks come with ARES_EDESTRUCTION: they only let go. */
void dns_channel_close(struct dns_channel *c)
{
        if (c->ares)
                ares_destroy(c->ares);
        timer_free(c->timer);
        free(CONTAINER_OF(c, struct channel_box, c));
}

void dns_sweep(void *arg)
{
        struct dns *d = arg;
        int64_t before_ms = clock_boot_ms() - IDLE_MS;
        for (unsigned i = 0; i < DNS_BUCKETS; i++)
                for (struct dns_channel **at = &d->bucket[i]; *at;) {
                        struct dns_channel *c = *at;
                        if (c->outstanding > 0 || c->waiting || c->used_ms > before_ms) {
                                at = &c->next;
                                continue;
                        }
                        *at = c->next;
                        d->channels--;
                        dns_channel_close(c);
                }
        d->sweeping = d->channels > 0;
        if (d->sweeping)
                timer_start(d->sweep, IDLE_MS);
        else
                timer_stop(d->sweep);
}
