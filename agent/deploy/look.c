/* The look at what is served: every endpoint, every name, three fresh connections in a row. Done means seen. What to
 * look at is in look_points.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/deploy/look_internal.h"
#include "agent/net/loop.h"

#define AT_ONCE 16
#define IN_A_ROW_MS 55 /* between good looks: nginx lets old workers accept for 100 ms after its new ones began */
#define AGAIN_LEAST_MS 25 /* a reload takes some milliseconds, or seconds: a quarter of the time waited so far */
#define AGAIN_MOST_MS 500
#define LOOK_MS 5000
#define SILENT_MS 1000 /* as long may nobody be there once the service was seen elsewhere */
#define STRANGER_MS 2000 /* as long a server that was reloaded may go on with a certificate of other names */

static void run_free(struct look_run *r)
{
        for (size_t i = 0; r->point && i < r->count; i++) {
                tls_look_cancel(r->point[i].look);
                free(r->point[i].out.address);
                free(r->point[i].out.sni);
                free(r->point[i].out.service);
                free(r->point[i].out.served_serial);
        }
        free(r->point);
        look_hosts_done(r);
        free(r->group);
        timer_free(r->timer);
        texts_done(&r->names);
        free(r);
}

void look_cancel(struct look_run *r)
{
        if (r)
                run_free(r);
}

/* ---- who need not be there ---- */

/* "localhost" has two addresses, and few servers listen on both of them. */
static bool is_passed_over(const struct point *p)
{
        return p->named && p->refused && address_is_loopback(&p->address) && p->group->matched_ms > 0;
}

/* What was found by itself and says nothing may be a server of another kind: no reason to wait for it once the service
 * was seen, nor to look there under the other names. When it is given up; -1: not for all that is known. */
static int64_t given_up_at_ms(const struct point *p)
{
        if (p->group->matched_ms == 0)
                return -1;
        if (is_passed_over(p) && !p->look)
                return p->group->matched_ms + SILENT_MS;
        if (p->automatic && p->look && !p->lead->tried)
                return MAX(p->group->matched_ms, p->began_ms) + SILENT_MS;
        return -1;
}

static void give_up(struct point *p)
{
        if (p->look) {
                tls_look_cancel(p->look);
                p->look = NULL;
                p->run->running--;
        }
        p->lead->silent = p->lead->silent || p->automatic;
        p->done = p->drop = true;
}

/* ---- the verdict ---- */

static void finish(struct look_run *r)
{
        struct err e = { 0 };
        size_t kept = 0;
        CLEANUP(free_p) struct look_endpoint *list = calloc(r->count + 1, sizeof *list);
        for (size_t i = 0; list && i < r->count; i++)
                if (!r->point[i].drop && !is_passed_over(&r->point[i]))
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
        bool silent = !result && strcmp(err->code, "look.timeout") == 0;
        p->refused = !result && strcmp(err->code, "look.connect") == 0;
        p->lead->tried = p->lead->tried || !silent;
        p->lead->silent = p->lead->silent || (silent && p->automatic);
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
        if (p->in_a_row >= r->in_a_row) {
                p->done = true;
                if (p->group->matched_ms == 0)
                        p->group->matched_ms = now_ms;
        }
        p->again_ms = again_at_ms(p, now_ms);
        cert_info_done(&info);
        if (!p->done && now_ms >= r->until_ms && p->in_a_row == 0)
                p->done = true; /* patience is over: different, or unreachable */
        look_plan(r);
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

/* One name first: if nothing is said to that, the others need not be tried. */
static bool waits_for_lead(const struct point *p)
{
        return p->automatic && p->lead != p && !p->lead->tried;
}

static void earlier(int64_t *next_ms, int64_t at_ms)
{
        if (at_ms >= 0)
                *next_ms = *next_ms < 0 ? at_ms : MIN(*next_ms, at_ms);
}

static void plan_point(struct look_run *r, struct point *p, int64_t now_ms, int64_t *next_ms)
{
        int64_t end_ms = given_up_at_ms(p);
        if ((end_ms >= 0 && now_ms >= end_ms) || (waits_for_lead(p) && p->lead->silent))
                return give_up(p);
        if (waits_for_lead(p))
                return;
        if (!p->look && p->again_ms <= now_ms && r->running < AT_ONCE)
                look_at(p);
        if (!p->done)
                earlier(next_ms, p->look ? given_up_at_ms(p) : p->again_ms);
}

void look_plan(struct look_run *r)
{
        int64_t now_ms = clock_boot_ms(), next_ms = -1;
        bool left = false;
        for (size_t i = 0; i < r->host_count; i++) {
                look_host_plan(&r->host[i], now_ms);
                left = left || !r->host[i].done;
                if (!r->host[i].done && !r->host[i].lookup)
                        earlier(&next_ms, r->host[i].again_ms);
        }
        for (size_t i = 0; i < r->count; i++) {
                if (!r->point[i].done)
                        plan_point(r, &r->point[i], now_ms, &next_ms);
                left = left || !r->point[i].done;
        }
        if (!left)
                return finish(r);
        if (next_ms >= 0)
                timer_start(r->timer, MAX(next_ms - now_ms, 1));
}

static void on_timer(void *arg)
{
        look_plan(arg);
}

/* ---- the start ---- */

struct look_run *look_start(
        struct loop *loop, const struct look_request *q, look_done_fn *done, void *arg, struct err *e)
{
        struct look_run *r = calloc(1, sizeof *r);
        /* Not cleared, it is a third of a megabyte: a place is written whole when it is taken. */
        if (!r || !(r->point = malloc(ENDPOINTS_MAX * sizeof *r->point)) ||
                !timer_new(&r->timer, loop, on_timer, r, e)) {
                if (r)
                        free(r->point);
                free(r);
                err_memory(e);
                return NULL;
        }
        r->loop = loop;
        r->dns = q->dns;
        r->done = done;
        r->arg = arg;
        r->in_a_row = q->in_a_row ? q->in_a_row : 1;
        r->start_ms = clock_boot_ms();
        r->until_ms = r->start_ms + q->patience_ms;
        r->algorithms = key_tls_signature_algorithms(q->key_type);
        snprintf(r->want, sizeof r->want, "%s", q->want_sha256);
        if (!(texts_copy(&r->names, &q->cert->names) || err_memory(e)) || !look_add_all(r, q, e)) {
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
