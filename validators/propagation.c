/* One wait: every address is asked until it has shown the value often enough; only those that have not are asked again.
 */
#include "validators/propagation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "validators/propagation_internal.h"

#define INTERVAL_LEAST_MS 100
#define INTERVAL_MOST_MS 5000
#define AGAIN_MS 25 /* between good answers of one address */
#define TELL_EVERY_MS 100
#define UNHURRIED_MS 1500 /* until then nobody need worry about an answer */
#define BLOCKED_AFTER_MS 8000
#define RESOLVERS_MS 2000 /* what the look at the resolvers may cost at the end */

static void plan(struct propagation *p);

const char *propagation_look_name(enum propagation_look l)
{
        static const char *const names[] = { "pending", "seen", "absent", "other", "silent", "lame", "error",
                "ignored" };
        return (unsigned)l < ARRAY_LEN(names) ? names[l] : "?";
}

/* ---- engine ---- */

bool propagation_engine_open(
        struct propagation_engine **ret, struct loop *loop, struct dns *dns, struct http *http, struct err *e)
{
        struct propagation_engine *g = calloc(1, sizeof *g);
        if (!g)
                return err_memory(e);
        g->loop = loop;
        g->dns = dns;
        g->http = http;
        *ret = g;
        return true;
}

void propagation_engine_close(struct propagation_engine *g)
{
        while (g->runs)
                propagation_cancel(g->runs);
        while (g->finds)
                zone_find_cancel(g->finds);
        zones_drop(g);
        free(g);
}

/* ---- the state for people ---- */

/* Looked for at the addresses of the host, not at name servers. */
static bool by_host(const struct propagation *p)
{
        return p->proof.type == PROOF_FILE || p->proof.type == PROOF_TLS;
}

static bool satisfied(const struct propagation *p, enum propagation_look look)
{
        return p->gone ? look == LOOK_ABSENT || look == LOOK_OTHER : look == LOOK_SEEN;
}

static size_t voters(const struct propagation *p)
{
        size_t n = 0;
        for (size_t i = 0; i < p->count; i++)
                n += p->look[i].s.look != LOOK_IGNORED && !p->look[i].extra;
        return n;
}

static size_t agreeing(const struct propagation *p)
{
        size_t n = 0;
        for (size_t i = 0; i < p->count; i++)
                n += p->look[i].done && !p->look[i].extra;
        return n;
}

static size_t quorum(const struct propagation *p)
{
        size_t n = voters(p);
        if (p->conf.quorum == -1)
                return n / 2 + 1;
        return p->conf.quorum > 0 ? MIN((size_t)p->conf.quorum, n) : n;
}

static void describe(const struct propagation *p, const struct look *l, char *ret, size_t size)
{
        char address[ADDRESS_TEXT + sizeof ", TCP"];
        bool tcp = l->s.transport == DNS_TCP; /* UDP goes without saying */
        address_text(&l->s.address, false, address);
        if (tcp && l->s.look != LOOK_SILENT)
                strcat(address, ", TCP");
        if (l->lost)
                snprintf(ret, size, "%s: %s", l->s.name, l->s.saw);
        else if (l->s.look == LOOK_PENDING)
                snprintf(ret, size, "%s (%s) %s", l->s.name, address,
                        clock_boot_ms() - p->start_ms < UNHURRIED_MS ? "is being asked" : "has not answered yet");
        else if (by_host(p))
                snprintf(ret, size, "%s (%s): %s", l->s.name, address, l->s.saw);
        else if (l->s.look == LOOK_OTHER && p->proof.type == PROOF_PERSIST) /* a person wrote it: why it does not fit */
                snprintf(ret, size, "%s (%s): %s", l->s.name, address, l->s.saw);
        else if ((l->s.look == LOOK_ABSENT || l->s.look == LOOK_OTHER) && l->s.has_serial)
                snprintf(ret, size, "%s (%s) still at serial %u", l->s.name, address, l->s.serial);
        else if (l->s.look == LOOK_LAME)
                snprintf(ret, size, "%s (%s) is lame for %s: %s", l->s.name, address, l->s.zone, l->s.saw);
        else if (l->s.look == LOOK_SILENT)
                snprintf(ret, size, "%s (%s) does not answer%s", l->s.name, address, tcp ? " by UDP or TCP" : "");
        else if (satisfied(p, l->s.look))
                snprintf(ret, size, "%s (%s) agrees, asked again", l->s.name, address);
        else
                snprintf(ret, size, "%s (%s): %s", l->s.name, address, l->s.saw);
}

/* Of those that agree: a CA that asks by UDP alone, or whose TCP is blocked, may see something else. */
static size_t by_tcp(const struct propagation *p)
{
        size_t n = 0;
        for (size_t i = 0; i < p->count; i++)
                n += p->look[i].done && !p->look[i].extra && p->look[i].s.transport == DNS_TCP;
        return n;
}

static void fill_text(const struct propagation *p, struct propagation_state *s)
{
        char first[260] = "", left[32], tcp[40] = "";
        size_t lacking = 0;
        for (size_t i = 0; i < p->count; i++)
                if (!p->look[i].done && p->look[i].s.look != LOOK_IGNORED && !p->look[i].extra && lacking++ == 0)
                        describe(p, &p->look[i], first, sizeof first);
        format_span(s->left_ms / 1000, left, sizeof left);
        if (by_tcp(p) > 0)
                snprintf(tcp, sizeof tcp, ", %zu by TCP", by_tcp(p));
        if (p->count == 0)
                snprintf(s->text, sizeof s->text, "finding the servers of %s", p->owner ? p->owner : p->proof.place);
        else if (lacking == 0)
                snprintf(s->text, sizeof s->text, "%zu of %zu agree%s", s->seen, voters(p), tcp);
        else if (lacking == 1)
                snprintf(s->text, sizeof s->text, "%s; %zu of %zu agree; timeout in %s", first, s->seen, voters(p),
                        left);
        else
                snprintf(s->text, sizeof s->text, "%s and %zu more; %zu of %zu agree; timeout in %s", first,
                        lacking - 1, s->seen, voters(p), left);
}

static void state_of(struct propagation *p, struct propagation_state *ret)
{
        int64_t now_ms = clock_boot_ms();
        for (size_t i = 0; i < p->count && p->copy; i++)
                p->copy[i] = p->look[i].s;
        *ret = (struct propagation_state){ .server = p->copy,
                .count = p->copy ? p->count : 0,
                .seen = agreeing(p),
                .wanted = quorum(p),
                .elapsed_ms = now_ms - p->start_ms,
                .left_ms = MAX(p->start_ms + p->conf.timeout_ms - now_ms, 0) };
        fill_text(p, ret);
}

static void tell(struct propagation *p)
{
        struct propagation_state s;
        int64_t now_ms = clock_boot_ms();
        if (!p->changed || !p->told_dirty || now_ms - p->told_ms < TELL_EVERY_MS)
                return;
        p->told_dirty = false;
        p->told_ms = now_ms;
        state_of(p, &s);
        p->changed(p->arg, &s);
}

/* ---- ends ---- */

void run_drop_looks(struct propagation *p)
{
        for (size_t i = 0; i < p->count; i++) {
                dns_cancel(p->look[i].query);
                http_cancel(p->look[i].http);
                tls_look_cancel(p->look[i].tls);
                free(p->look[i].name);
                texts_done(&p->look[i].trail);
        }
        free(p->look);
        free(p->copy);
        p->look = NULL;
        p->copy = NULL;
        p->count = 0;
}

static void run_free(struct propagation *p)
{
        *p->at = p->next;
        if (p->next)
                p->next->at = p->at;
        run_drop_looks(p);
        zone_find_cancel(p->find);
        dns_lookup_cancel(p->lookup);
        loop_undefer(p->engine->loop, p->begin);
        timer_free(p->timer);
        zone_release(p->zone);
        texts_done(&p->visited);
        texts_done(&p->conf.ignore);
        proof_done(&p->proof);
        free(p->owner);
        free(p);
}

void run_finish(struct propagation *p, const struct err *err)
{
        struct propagation_state s;
        struct err e = { 0 };
        if (err)
                e = *err;
        state_of(p, &s);
        p->done(p->arg, &s, err ? &e : NULL);
        run_free(p);
}

void propagation_cancel(struct propagation *p)
{
        if (p)
                run_free(p);
}

static void timed_out(struct propagation *p)
{
        struct err e;
        struct buf b = { .max = 1000 };
        unsigned named = 0, silent = 0;
        for (size_t i = 0; i < p->count; i++) {
                char one[260];
                if (p->look[i].done || p->look[i].s.look == LOOK_IGNORED || p->look[i].extra)
                        continue;
                silent += p->look[i].s.look == LOOK_SILENT || p->look[i].s.look == LOOK_LAME || p->look[i].lost;
                describe(p, &p->look[i], one, sizeof one);
                if (named++ < 4)
                        buf_addf(&b, "%s%s", named > 1 ? "; " : "", one);
        }
        char place[300];
        proof_text(&p->proof, place, sizeof place);
        err_set(&e, ERR_TEMPORARY, "propagation.timeout", "%s is not %s: %s", place,
                p->gone ? "gone everywhere" : "shown everywhere", b.data ? b.data : "?");
        if (silent == named && named > 0)
                err_fix(&e, "mend or undelegate these servers, or list them under propagation.ignore");
        buf_done(&b);
        run_finish(p, &e);
}

/* Those that can be asked. */
static size_t asked(const struct propagation *p)
{
        size_t n = voters(p);
        for (size_t i = 0; i < p->count; i++)
                n -= p->look[i].lost && p->look[i].s.look != LOOK_IGNORED;
        return n;
}

/* Nothing answers at all: said plainly, with the setting that would trust others. */
static bool blocked(const struct propagation *p)
{
        size_t silent = 0, n = asked(p);
        for (size_t i = 0; i < p->count; i++)
                silent += p->look[i].s.look == LOOK_SILENT && p->look[i].silent >= 1 && !p->look[i].extra;
        return n > 0 && silent == n && !by_host(p) && clock_boot_ms() - p->start_ms > BLOCKED_AFTER_MS;
}

static void end_blocked(struct propagation *p)
{
        struct err e;
        err_set(&e, ERR_TEMPORARY, "propagation.blocked",
                "port 53 is blocked from here (0 of %zu addresses, 1 zone: %s)", asked(p),
                p->zone ? p->zone->cut.zone : "?");
        err_fix(&e,
                "open 53/udp and 53/tcp outwards, or set propagation.view: resolvers to trust the recursive resolvers");
        run_finish(p, &e);
}

/* ---- looking ---- */

/* Fast while it may come any moment, slower the longer it has not: 100 ms for the first ten seconds, 5 s after eight
 * minutes. */
int64_t run_interval_ms(const struct propagation *p)
{
        int64_t ms = (clock_boot_ms() - p->start_ms) / 100;
        return MIN(MAX(ms, INTERVAL_LEAST_MS), INTERVAL_MOST_MS);
}

void look_result(struct look *l, enum propagation_look what)
{
        struct propagation *p = l->run;
        int64_t now_ms = clock_boot_ms();
        if (l->s.look != what)
                p->told_dirty = true;
        l->s.look = what;
        if (satisfied(p, what)) {
                l->s.in_a_row++;
                if (l->s.seen_after_ms < 0)
                        l->s.seen_after_ms = now_ms - p->start_ms;
        } else {
                l->s.in_a_row = 0;
                l->s.seen_after_ms = -1;
        }
        l->done = l->s.in_a_row >= (unsigned)MAX(p->conf.consecutive, 1) || l->extra;
        if (l->done)
                p->told_dirty = true;
        bool slow = what == LOOK_SILENT || what == LOOK_LAME || what == LOOK_ERROR;
        l->next_ms = now_ms +
                (l->s.in_a_row > 0     ? AGAIN_MS
                                : slow ? MAX(run_interval_ms(p), 1000)
                                       : run_interval_ms(p));
        run_check(p);
}

void look_later(struct look *l)
{
        l->s.look = LOOK_ERROR;
        l->s.in_a_row = 0;
        l->next_ms = clock_boot_ms() + 1000;
        l->run->told_dirty = true;
}

static void look_now(struct look *l)
{
        l->next_ms = 0;
        if (l->run->proof.type == PROOF_FILE)
                look_file(l);
        else if (l->run->proof.type == PROOF_TLS)
                look_tls(l);
        else
                look_dns(l);
}

static void on_timer(void *arg)
{
        struct propagation *p = arg;
        int64_t now_ms = clock_boot_ms();
        for (size_t i = 0; i < p->count; i++) {
                struct look *l = &p->look[i];
                if (!l->done && l->s.look != LOOK_IGNORED && l->next_ms && l->next_ms <= now_ms)
                        look_now(l);
        }
        if (run_lacks_address(p) && p->again_ms <= now_ms)
                run_find_lost(p);
        run_check(p);
}

static void plan(struct propagation *p)
{
        int64_t now_ms = clock_boot_ms(), due_ms = p->start_ms + p->conf.timeout_ms;
        if (p->asking_resolvers)
                due_ms = MIN(due_ms, p->settled_ms + RESOLVERS_MS);
        else if (p->settling)
                due_ms = MIN(due_ms, MAX(p->settled_ms, now_ms + 1));
        for (size_t i = 0; i < p->count; i++)
                if (!p->look[i].done && p->look[i].s.look != LOOK_IGNORED && p->look[i].next_ms)
                        due_ms = MIN(due_ms, p->look[i].next_ms);
        if (run_lacks_address(p))
                due_ms = MIN(due_ms, p->again_ms);
        if (p->told_dirty && p->changed)
                due_ms = MIN(due_ms, MAX(p->told_ms + TELL_EVERY_MS, now_ms + 1));
        timer_start(p->timer, MAX(due_ms - now_ms, 0));
}

/* ---- the verdict ---- */

void run_start_looks(struct propagation *p)
{
        for (size_t i = 0; i < p->count; i++)
                if (p->look[i].s.look == LOOK_PENDING && !p->look[i].lost && p->look[i].next_ms == 0)
                        p->look[i].next_ms = clock_boot_ms();
        free(p->copy);
        p->copy = calloc(p->count + 1, sizeof *p->copy);
        p->told_dirty = true;
        timer_start(p->timer, 0);
}

/* Resolvers come last: what they say is shown, it decides nothing. */
static bool ask_resolvers(struct propagation *p)
{
        if (p->asking_resolvers || p->gone || p->no_resolvers || by_host(p) || p->conf.view != VIEW_AUTHORITATIVE)
                return false;
        p->asking_resolvers = true;
        p->settled_ms = clock_boot_ms();
        for (size_t i = 0; i < dns_resolver_count(p->engine->dns); i++)
                if (!run_add(p, p->zone ? p->zone->cut.zone : "", "resolver", dns_resolver(p->engine->dns, i), true,
                            true))
                        return false;
        run_start_looks(p);
        return true;
}

static bool resolvers_done(const struct propagation *p)
{
        for (size_t i = 0; i < p->count; i++)
                if (p->look[i].extra && !p->look[i].done)
                        return clock_boot_ms() >= p->settled_ms + RESOLVERS_MS;
        return true;
}

/* Called after every look and every tick; may end the run. */
void run_check(struct propagation *p)
{
        int64_t now_ms = clock_boot_ms();
        tell(p); /* first: what is left to tell makes plan() come back soon */
        if (p->asking_resolvers)
                return resolvers_done(p) ? run_finish(p, NULL) : plan(p);
        bool enough = p->count > 0 && voters(p) > 0 && agreeing(p) >= quorum(p);
        if (enough && !p->settling) {
                p->settling = true;
                p->settled_ms = now_ms + p->conf.settle_ms;
        }
        if (enough && now_ms >= p->settled_ms)
                return ask_resolvers(p) ? plan(p) : run_finish(p, NULL);
        if (now_ms >= p->start_ms + p->conf.timeout_ms)
                return timed_out(p);
        if (blocked(p))
                return end_blocked(p);
        plan(p);
}

/* ---- the start ---- */

static void begin(void *arg)
{
        struct propagation *p = arg;
        struct err e;
        p->begin = NULL;
        timer_start(p->timer, p->conf.timeout_ms);
        if (p->conf.view == VIEW_PUBLISHER)
                return run_finish(p, NULL);
        if (by_host(p)) {
                p->lookup = dns_lookup(p->engine->dns, p->proof.place, run_host_known, p, &e);
                if (!p->lookup)
                        run_finish(p, &e);
                return;
        }
        if (p->conf.view == VIEW_RESOLVERS)
                return run_use_resolvers(p);
        run_find_zone(p);
}

struct propagation *propagation_start(struct propagation_engine *g, const struct propagation_request *r,
        propagation_changed_fn *changed, propagation_done_fn *done, void *arg, struct err *e)
{
        struct propagation *p = calloc(1, sizeof *p);
        if (!p) {
                err_memory(e);
                return NULL;
        }
        p->engine = g;
        p->next = g->runs;
        p->at = &g->runs;
        if (p->next)
                p->next->at = &p->next;
        g->runs = p;
        p->gone = r->gone;
        p->no_resolvers = r->no_resolvers;
        p->internal = r->internal;
        p->changed = changed;
        p->done = done;
        p->arg = arg;
        p->start_ms = clock_boot_ms();
        p->conf = *r->conf;
        p->conf.ignore = (struct texts){ 0 };
        bool good = texts_copy(&p->conf.ignore, &r->conf->ignore) && proof_copy(&p->proof, r->proof) &&
                (p->owner = text_dup(r->proof->place)) && timer_new(&p->timer, g->loop, on_timer, p, e) &&
                (p->begin = loop_defer(g->loop, begin, p));
        if (!good) {
                run_free(p);
                err_memory(e);
                return NULL;
        }
        return p;
}
