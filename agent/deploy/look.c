/* The look at what is served: every endpoint, every name, three fresh connections in a row. Done means seen. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/deploy/deploy.h"
#include "agent/deploy/listeners.h"
#include "agent/net/loop.h"

#define ENDPOINTS_MAX 512
#define LISTENERS_MAX 64
#define AT_ONCE 16
#define IN_A_ROW_MS 75 /* between good looks: nginx lets old workers accept for 100 ms after its new ones began */
#define AGAIN_LEAST_MS 25 /* a reload takes some milliseconds, or seconds: a quarter of the time waited so far */
#define AGAIN_MOST_MS 500
#define LOOK_MS 5000
#define STRANGER_MS 2000 /* as long a server that was reloaded may go on with a certificate of other names */

struct point { /* one address with one name */
        struct look_run *run;
        struct look_endpoint out;
        struct address address;
        struct tls_look *look;
        bool automatic; /* found, not configured: counts only if it presents one of our names */
        bool drop;
        unsigned in_a_row;
        int64_t began_ms, again_ms;
        bool done;
};
struct look_run {
        struct loop *loop;
        struct timer *timer;
        struct point *point;
        size_t count, running;
        char want[65];
        const char *algorithms;
        struct texts names;
        unsigned in_a_row;
        int64_t start_ms, until_ms;
        look_done_fn *done;
        void *arg;
};

static void run_free(struct look_run *r)
{
        for (size_t i = 0; i < r->count; i++) {
                tls_look_cancel(r->point[i].look);
                free(r->point[i].out.address);
                free(r->point[i].out.sni);
                free(r->point[i].out.service);
                free(r->point[i].out.served_serial);
        }
        free(r->point);
        timer_free(r->timer);
        texts_done(&r->names);
        free(r);
}

void look_cancel(struct look_run *r)
{
        if (r)
                run_free(r);
}

/* ---- the verdict ---- */

static void finish(struct look_run *r)
{
        struct err e = { 0 };
        size_t kept = 0;
        CLEANUP(free_p) struct look_endpoint *list = calloc(r->count + 1, sizeof *list);
        for (size_t i = 0; list && i < r->count; i++)
                if (!r->point[i].drop)
                        list[kept++] = r->point[i].out;
        if (!list)
                err_memory(&e);
        for (size_t i = 0; i < kept && e.kind != ERR_DENIED; i++) {
                const char *as = list[i].sni ? list[i].sni : "", *word = list[i].sni ? " as " : "";
                if (list[i].verdict == LOOK_DIFFERENT)
                        err_set(&e, ERR_DENIED, "look.different", "%s%s%s %s", list[i].address, word, as, list[i].text);
                else if (list[i].verdict == LOOK_FAILED && e.kind == ERR_NONE)
                        err_set(&e, ERR_TEMPORARY, "look.failed", "%s%s%s cannot be looked at: %s", list[i].address,
                                word, as, list[i].text);
        }
        r->done(r->arg, list, kept, e.kind == ERR_NONE ? NULL : &e);
        run_free(r);
}

static void plan(struct look_run *r);

static void describe(struct point *p, const struct cert_info *info)
{
        char date[32];
        format_date(info->not_after_s, date, sizeof date);
        snprintf(p->out.text, sizeof p->out.text, "serves the old one, or another: serial %.40s, until %.12s",
                info->serial_hex, date);
}

static bool ours(const struct look_run *r, const struct cert_info *info)
{
        for (size_t i = 0; i < r->names.count; i++)
                if (names_cover(&info->names, r->names.item[i]))
                        return true;
        return false;
}

/* From the end of the first good look to the beginning of the last: the time that a look takes counts. */
static int64_t again_at_ms(const struct point *p, int64_t now_ms)
{
        if (p->in_a_row > 0)
                return (p->in_a_row > 1 ? p->began_ms : now_ms) + IN_A_ROW_MS;
        return now_ms + MIN(MAX((now_ms - p->run->start_ms) / 4, AGAIN_LEAST_MS), AGAIN_MOST_MS);
}

static void looked(void *arg, const struct tls_look_result *result, const struct err *err)
{
        struct point *p = arg;
        struct look_run *r = p->run;
        struct cert_info info = { 0 };
        struct err e;
        int64_t now_ms = clock_boot_ms();
        p->look = NULL;
        r->running--;
        if (!result || !chain_from_der(result->leaf, result->leaf_len, &info, &e)) {
                p->out.verdict = LOOK_FAILED;
                p->in_a_row = 0;
                snprintf(p->out.text, sizeof p->out.text, "%.230s", result ? e.text : err->text);
                p->done = p->drop = p->automatic && !result; /* something else listens there */
        } else {
                snprintf(p->out.served_sha256, sizeof p->out.served_sha256, "%s", info.sha256);
                p->out.served_not_after_s = info.not_after_s;
                free(p->out.served_serial);
                p->out.served_serial = text_dup(info.serial_hex);
                bool same = strcmp(info.sha256, r->want) == 0;
                p->out.verdict = same ? LOOK_SAME : LOOK_DIFFERENT;
                p->out.found = p->out.found || (p->automatic && same);
                p->in_a_row = same ? p->in_a_row + 1 : 0;
                if (same)
                        p->out.text[0] = '\0';
                else
                        describe(p, &info);
                /* A stranger's, or what our server shows until its reload is through: a first certificate often has
                 * other names. */
                p->out.ours = ours(r, &info);
                p->drop = p->automatic && !same && !p->out.ours;
                if (p->drop && now_ms >= MIN(r->start_ms + STRANGER_MS, r->until_ms))
                        p->done = true;
        }
        if (p->in_a_row >= r->in_a_row)
                p->done = true;
        p->again_ms = again_at_ms(p, now_ms);
        cert_info_done(&info);
        if (!p->done && now_ms >= r->until_ms && p->in_a_row == 0)
                p->done = true; /* patience is over: different, or unreachable */
        plan(r);
}

static void look_at(struct point *p)
{
        struct look_run *r = p->run;
        struct err e;
        struct tls_look_request q = { .address = p->address,
                .sni = p->out.sni,
                .protocol = p->out.protocol,
                .signature_algorithms = r->algorithms,
                .timeout_ms = LOOK_MS };
        p->began_ms = clock_boot_ms();
        p->look = tls_look_start(r->loop, &q, looked, p, &e);
        if (p->look) {
                r->running++;
                return;
        }
        p->out.verdict = LOOK_FAILED;
        snprintf(p->out.text, sizeof p->out.text, "%.230s", e.text);
        p->drop = p->automatic;
        p->done = true;
}

static void plan(struct look_run *r)
{
        int64_t now_ms = clock_boot_ms(), next_ms = -1;
        bool left = false;
        for (size_t i = 0; i < r->count; i++) {
                struct point *p = &r->point[i];
                if (p->done)
                        continue;
                if (!p->look && p->again_ms <= now_ms && r->running < AT_ONCE)
                        look_at(p);
                left = left || !p->done;
                if (!p->done && !p->look)
                        next_ms = next_ms < 0 ? p->again_ms : MIN(next_ms, p->again_ms);
        }
        if (!left)
                return finish(r);
        if (next_ms >= 0)
                timer_start(r->timer, MAX(next_ms - now_ms, 1));
}

static void on_timer(void *arg)
{
        plan(arg);
}

/* ---- what to look at ---- */

static bool add(struct look_run *r, const struct address *a, enum tls_protocol protocol, const char *service,
        const char *sni, bool automatic)
{
        char text[ADDRESS_TEXT];
        for (size_t i = 0; i < r->count; i++) {
                const struct point *p = &r->point[i];
                bool same_name = p->out.sni && sni ? strcmp(p->out.sni, sni) == 0 : !p->out.sni && !sni;
                if (address_equal(&p->address, a) && p->out.protocol == protocol && same_name)
                        return true;
        }
        if (r->count >= ENDPOINTS_MAX)
                return true; /* enough is seen; the rest is behind the same servers */
        struct point *p = &r->point[r->count];
        address_text(a, true, text);
        *p = (struct point){ .run = r,
                .address = *a,
                .automatic = automatic,
                .out = { .address = text_dup(text),
                        .sni = text_dup(sni),
                        .service = text_dup(service),
                        .protocol = protocol,
                        .verdict = LOOK_FAILED } };
        r->count++;
        return p->out.address && p->out.service && (p->out.sni || !sni);
}

/* SNI: every name; "dcvd." under a wildcard; none for an address. */
static bool add_names(struct look_run *r, const struct address *a, enum tls_protocol protocol, const char *service,
        const char *one, bool automatic)
{
        struct address numeric;
        if (one)
                return add(r, a, protocol, service, one, automatic);
        for (size_t i = 0; i < r->names.count; i++) {
                const char *name = r->names.item[i];
                CLEANUP(free_p) char *below = text_starts(name, "*.") ? text_format("dcvd.%s", name + 2) : NULL;
                if (!add(r, a, protocol, service,
                            address_parse(name, 0, &numeric) ? NULL
                                    : below                  ? below
                                                             : name,
                            automatic))
                        return false;
        }
        return true;
}

/* Before those found now, which would not count if nothing answers. */
static bool add_known(struct look_run *r, const struct look_request *q, const struct conf_service *s)
{
        for (size_t i = 0; i < q->known_count; i++) {
                struct address a;
                size_t before = r->count;
                if (!address_parse(q->known[i].address, 443, &a))
                        continue;
                if (!add(r, &a, TLS_DIRECT, s->name, q->known[i].sni, false))
                        return false;
                if (r->count > before)
                        r->point[before].out.found = true;
        }
        return true;
}

static bool add_service(struct look_run *r, const struct look_request *q, const struct conf_service *s,
        const struct address *found, size_t found_count, struct err *e)
{
        if (s->verify_auto && !add_known(r, q, s))
                return err_memory(e);
        for (size_t i = 0; s->verify_auto && i < found_count; i++)
                if (!add_names(r, &found[i], TLS_DIRECT, s->name, NULL, true))
                        return err_memory(e);
        for (size_t i = 0; i < s->verify_count; i++) {
                struct address a;
                if (!address_parse(s->verify[i].address, 443, &a))
                        return err_set(e, ERR_CONFIG, "verify",
                                "verify endpoint %s of service %s must be a numeric address", s->verify[i].address,
                                s->name);
                if (!add_names(r, &a, s->verify[i].protocol, s->name, s->verify[i].sni, false))
                        return err_memory(e);
        }
        return true;
}

static bool add_all(struct look_run *r, const struct look_request *q, struct err *e)
{
        const struct conf_cert *cert = q->cert;
        struct address found[LISTENERS_MAX];
        size_t found_count = 0;
        bool wanted = false;
        for (size_t i = 0; i < cert->target_count; i++)
                for (size_t k = 0; k < cert->target[i].service_count; k++)
                        wanted = wanted || cert->target[i].service[k].verify_auto;
        if (wanted)
                found_count = listeners_find(found, LISTENERS_MAX);
        for (size_t i = 0; i < cert->target_count; i++)
                for (size_t k = 0; k < cert->target[i].service_count; k++)
                        if (!add_service(r, q, &cert->target[i].service[k], found, found_count, e))
                                return false;
        return true;
}

struct look_run *look_start(
        struct loop *loop, const struct look_request *q, look_done_fn *done, void *arg, struct err *e)
{
        struct look_run *r = calloc(1, sizeof *r);
        if (!r || !(r->point = calloc(ENDPOINTS_MAX, sizeof *r->point)) ||
                !timer_new(&r->timer, loop, on_timer, r, e)) {
                if (r)
                        free(r->point);
                free(r);
                err_memory(e);
                return NULL;
        }
        r->loop = loop;
        r->done = done;
        r->arg = arg;
        r->in_a_row = q->in_a_row ? q->in_a_row : 1;
        r->start_ms = clock_boot_ms();
        r->until_ms = r->start_ms + q->patience_ms;
        r->algorithms = key_tls_signature_algorithms(q->key_type);
        snprintf(r->want, sizeof r->want, "%s", q->want_sha256);
        if (!(texts_copy(&r->names, &q->cert->names) || err_memory(e)) || !add_all(r, q, e)) {
                run_free(r);
                return NULL;
        }
        timer_start(r->timer, 0);
        return r;
}

bool look_is_automatic(const struct conf_cert *cert)
{
        for (size_t i = 0; i < cert->target_count; i++)
                for (size_t k = 0; k < cert->target[i].service_count; k++)
                        if (cert->target[i].service[k].verify_auto)
                                return true;
        return false;
}
