#include "validators/check_repeat.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "agent/net/loop.h"

#define TIMES 10
#define PACE_MS 15
#define LAST_MS 500 /* after the last one was sent */
#define QUESTION_MAX 300

struct repeat {
        uv_udp_t udp;
        struct timer *timer;
        struct check_fact *fact; /* NULL: nobody waits any more */
        struct repeat_count count;
        uint8_t packet[QUESTION_MAX];
        size_t len;
        uint16_t first_id;
        bool seen[TIMES];
        uint8_t in[4096];
};
struct wanted {
        const struct address *server;
        const char *apex;
};

static void closed(uv_handle_t *h)
{
        free(CONTAINER_OF((uv_udp_t *)h, struct repeat, udp));
}

static void end(struct repeat *r)
{
        timer_free(r->timer);
        r->timer = NULL;
        uv_close((uv_handle_t *)&r->udp, closed);
}

static void finish(struct repeat *r)
{
        struct check_fact *f = r->fact;
        struct repeat_count *value = malloc(sizeof *value);
        r->fact = NULL;
        end(r);
        if (!value)
                return; /* the deadline of the run ends the wait */
        *value = r->count;
        check_fact_done(f, value);
}

static bool send_one(struct repeat *r)
{
        uint16_t id = (uint16_t)(r->first_id + r->count.sent);
        r->packet[0] = (uint8_t)(id >> 8);
        r->packet[1] = (uint8_t)id;
        uv_buf_t b = uv_buf_init((char *)r->packet, (unsigned)r->len);
        if (uv_udp_try_send(&r->udp, &b, 1, NULL) < 0)
                return false;
        r->count.sent++;
        return true;
}

static void on_timer(void *arg)
{
        struct repeat *r = arg;
        bool more = r->count.sent < TIMES && send_one(r);
        if (more)
                return timer_start(r->timer, r->count.sent < TIMES ? PACE_MS : LAST_MS);
        finish(r);
}

static void alloc(uv_handle_t *h, size_t size, uv_buf_t *b)
{
        struct repeat *r = CONTAINER_OF((uv_udp_t *)h, struct repeat, udp);
        (void)size;
        *b = uv_buf_init((char *)r->in, sizeof r->in);
}

static void received(uv_udp_t *u, ssize_t n, const uv_buf_t *b, const struct sockaddr *from, unsigned flags)
{
        struct repeat *r = CONTAINER_OF(u, struct repeat, udp);
        (void)b;
        (void)from;
        (void)flags;
        if (n < 12 || !r->fact || !(r->in[2] & 0x80))
                return;
        uint16_t at = (uint16_t)(((r->in[0] << 8) | r->in[1]) - r->first_id);
        if (at >= TIMES || r->seen[at])
                return;
        r->seen[at] = true;
        bool cut = r->in[2] & 0x02;
        r->count.truncated += cut;
        r->count.whole += !cut;
        if (r->count.whole + r->count.truncated == TIMES)
                finish(r);
}

static size_t build(const char *apex, uint8_t packet[QUESTION_MAX])
{
        static const uint8_t head[12] = { 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0 };
        static const uint8_t tail[4] = { 0, DNS_SOA, 0, DNS_CLASS_IN };
        memcpy(packet, head, sizeof head);
        size_t n = dns_name_wire(apex, false, packet + sizeof head, 255);
        if (n == 0)
                return 0;
        memcpy(packet + sizeof head + n, tail, sizeof tail);
        return sizeof head + n + sizeof tail;
}

static bool start(struct check_fact *f, const void *request, struct err *e)
{
        const struct wanted *w = request;
        struct sockaddr_storage ss;
        struct address to = *w->server;
        struct check_run *run = check_fact_run(f);
        struct repeat *r = calloc(1, sizeof *r);
        if (!r)
                return err_memory(e);
        if (to.port == 0)
                to.port = dns_port(check_net(run));
        (void)address_sockaddr(&to, &ss);
        r->len = build(w->apex, r->packet);
        r->fact = f;
        random_bytes(&r->first_id, sizeof r->first_id);
        if (r->len == 0 || uv_udp_init(loop_uv(check_loop(run)), &r->udp) != 0) {
                free(r);
                return err_set(e, ERR_TEMPORARY, "dns.repeat", "no socket");
        }
        if (uv_udp_connect(&r->udp, (struct sockaddr *)&ss) != 0 || uv_udp_recv_start(&r->udp, alloc, received) != 0 ||
                !timer_new(&r->timer, check_loop(run), on_timer, r, e)) {
                end(r);
                return err_set(e, ERR_TEMPORARY, "dns.repeat", "no socket");
        }
        timer_start(r->timer, 0);
        *check_fact_place(f) = r;
        return true;
}

static void cancel(struct check_fact *f)
{
        end(*check_fact_place(f));
}

static void *failed(const struct err *err)
{
        (void)err; /* it could not be tried: nothing is said against the server */
        return calloc(1, sizeof(struct repeat_count));
}

const struct repeat_count *check_repeat(struct check_context *c, const struct address *server, const char *apex)
{
        static const struct check_fact_kind kind = { start, cancel, free, failed };
        char address[ADDRESS_TEXT];
        address_text(server, true, address);
        CLEANUP(free_p) char *key = text_format("repeat %s %s", address, apex);
        return key ? check_fact(c, key, &kind, &(const struct wanted){ server, apex }) : NULL;
}
