/* A run of the dry run: every name goes through the stages, everything inside a stage at once; a zone that several
 * names need is looked at once. A check is called again when what it asked for has come: at once when it was the last
 * thing missing, within AGAIN_MS when something else still is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/net/loop.h"
#include "validators/check_internal.h"

#define TIMEOUT_MS 60000

static void name_goes_on(struct name_state *n);
static void pass(void *run);

/* ---- what is ready ---- */

static void wake(struct check_run *r)
{
        if (!r->pass && !r->passing)
                r->pass = loop_defer(r->loop, pass, r);
        if (!r->pass && !r->passing)
                r->failed = true; /* the deadline ends it */
}

static void queue(struct check_unit *u)
{
        if (u->queued || u->done)
                return;
        u->queued = true;
        u->next_ready = NULL;
        *u->c.run->ready_tail = u;
        u->c.run->ready_tail = &u->next_ready;
        wake(u->c.run);
}

void check_unit_heard(struct check_unit *u, unsigned serial)
{
        struct check_run *r = u->c.run;
        if (u->done || u->serial != serial || r->ended)
                return;
        if (--u->open == 0)
                return queue(u);
        u->stale = true;
        if (!r->again_armed) {
                r->again_armed = true;
                timer_start(r->again, AGAIN_MS);
        }
}

static void on_again(void *arg)
{
        struct check_run *r = arg;
        r->again_armed = false;
        for (struct check_unit *u = r->units; u; u = u->next)
                if (u->stale)
                        queue(u);
}

/* ---- units ---- */

static struct check_unit *unit_new(struct check_run *r, const struct check *check)
{
        struct check_unit *u = calloc(1, sizeof *u);
        if (!u) {
                r->failed = true;
                return NULL;
        }
        u->c.run = r;
        u->c.check = check;
        u->c.unit = u;
        *r->units_tail = u;
        r->units_tail = &u->next;
        r->running++;
        queue(u);
        return u;
}

static void unit_free(struct check_unit *u)
{
        judgements_done(&u->out);
        check_rows_free(u->row, u->row_count);
        free(u);
}

/* Fatal in N or D: what comes later would only repeat it. */
static bool stops(const struct judgement *j)
{
        const struct check_id *id = check_id_find(j->id);
        return !j->unverifiable && id && id->severity == CHECK_FATAL && (j->id[0] == 'N' || j->id[0] == 'D');
}

static void stop_name(struct name_state *n, const char *id)
{
        if (!n->stopped_by)
                n->stopped_by = id;
}

static void apply_fatal(struct check_unit *u)
{
        for (size_t i = 0; i < u->out.count; i++) {
                const struct judgement *j = &u->out.item[i];
                if (!stops(j))
                        continue;
                if (u->name)
                        stop_name(u->name, j->id);
                else if (u->zone)
                        u->zone->fatal = u->zone->fatal ? u->zone->fatal : j->id;
                for (size_t k = 0; u->target && !u->name && k < u->target->target->names.count; k++)
                        if (text_equal_nocase(u->target->name[k].name, j->subject))
                                stop_name(&u->target->name[k], j->id);
        }
}

static void zone_ended(struct zone_node *z)
{
        for (size_t i = 0; i < z->waiting_count; i++) {
                struct name_state *n = z->waiting[i];
                if (z->fatal)
                        stop_name(n, z->fatal);
                n->left--;
                name_goes_on(n);
        }
        free(z->waiting);
        z->waiting = NULL;
        z->waiting_count = 0;
}

static void unit_ended(struct check_unit *u)
{
        struct check_run *r = u->c.run;
        u->done = true;
        r->running--;
        apply_fatal(u);
        if (u->out.failed)
                r->failed = true;
        if (u->c.check->needs & CHECK_REGARDLESS)
                return;
        if (u->zone) {
                if (--u->zone->left == 0)
                        zone_ended(u->zone);
        } else if (u->name) {
                u->name->left--;
                name_goes_on(u->name);
        } else if (u->c.check->stage == STAGE_NAMES && --u->target->left == 0) {
                for (size_t i = 0; i < u->target->target->names.count; i++) {
                        u->target->name[i].left--;
                        name_goes_on(&u->target->name[i]);
                }
        }
}

static void call(struct check_unit *u)
{
        u->queued = u->stale = false;
        judgements_done(&u->out);
        check_rows_free(u->row, u->row_count);
        u->row = NULL;
        u->row_count = 0;
        u->serial++;
        u->open = u->c.open = 0;
        u->c.check->run(&u->c, &u->out);
        u->open = u->c.open;
        if (u->open == 0)
                unit_ended(u);
}

/* ---- which checks ---- */

static bool add_early(struct check_run *r, struct target_state *t, const struct check *check, const char *why)
{
        for (size_t i = 0; i < r->early_count; i++)
                if (r->early[i].target == t && r->early[i].ids == check->ids && strcmp(r->early[i].why, why) == 0)
                        return true;
        if (r->early_count % 32 == 0) {
                struct early *more = realloc(r->early, (r->early_count + 32) * sizeof *more);
                if (!more)
                        return false;
                r->early = more;
        }
        char *copy = text_dup(why);
        if (copy)
                r->early[r->early_count++] = (struct early){ t, check->ids, copy };
        return copy;
}

static void not_called(struct target_state *t, struct check_run *r, const struct check *check, const char *why)
{
        if (!add_early(r, t, check, why))
                r->failed = true;
}

#define METHODS (CHECK_DNS | CHECK_FILE | CHECK_TLS_ALPN | CHECK_DNS_PERSIST)

/* Is this check for this target? If not because something is missing, that is said. */
static bool applies(struct check_run *r, struct target_state *t, const struct check *check)
{
        const struct check_target *target = t->target;
        if ((check->needs & METHODS) && !(check->needs & (unsigned)target->method))
                return false;
        const char *why = NULL;
        if ((check->needs & CHECK_NEEDS_CERT) && !target->cert)
                why = "it needs a configured certificate; only names were given";
        else if ((check->needs & CHECK_NEEDS_PUBLIC) && target->internal)
                why = "it is about public CAs, and this one is not (internal)";
        else if ((check->needs & CHECK_NEEDS_RESOLVER) && dns_resolver_count(r->dns) == 0)
                why = "no recursive resolver is configured";
        if (why)
                not_called(t, r, check, why);
        return !why;
}

static bool is_not_for(const struct name_state *n, const struct check *check)
{
        return n->is_address && (check->needs & CHECK_NEEDS_HOST);
}

static void start_name_units(struct name_state *n, struct check_run *r, bool regardless)
{
        for (const struct check *const *const *array = r->checks; *array; array++)
                for (const struct check *const *at = *array; *at; at++) {
                        const struct check *check = *at;
                        bool free_of = check->needs & CHECK_REGARDLESS;
                        if (check->scope != CHECK_NAME || free_of != regardless ||
                                (!free_of && check->stage != n->stage) || is_not_for(n, check) ||
                                !applies(r, n->target, check))
                                continue;
                        struct check_unit *u = unit_new(r, check);
                        if (!u)
                                return;
                        u->c.target = n->target->target;
                        u->c.name = n->name;
                        u->c.base = n->base;
                        u->c.internal = n->target->target->internal;
                        u->name = n;
                        u->target = n->target;
                        n->left += !free_of;
                }
}

static void start_target_units(struct target_state *t, struct check_run *r, enum check_stage stage, bool regardless)
{
        size_t stopped = 0;
        const char *by = "";
        for (size_t i = 0; i < t->target->names.count; i++)
                if (t->name[i].stopped_by) {
                        stopped++;
                        by = t->name[i].stopped_by;
                }
        for (const struct check *const *const *array = r->checks; *array; array++)
                for (const struct check *const *at = *array; *at; at++) {
                        const struct check *check = *at;
                        bool free_of = check->needs & CHECK_REGARDLESS;
                        if (check->scope != CHECK_TARGET || free_of != regardless ||
                                (!free_of && check->stage != stage) || !applies(r, t, check))
                                continue;
                        if (!free_of && stopped == t->target->names.count && stopped > 0) {
                                char why[80];
                                snprintf(why, sizeof why, "not looked at: %s stops what depends on it", by);
                                not_called(t, r, check, why);
                                continue;
                        }
                        struct check_unit *u = unit_new(r, check);
                        if (!u)
                                return;
                        u->c.target = t->target;
                        u->c.internal = t->target->internal;
                        u->target = t;
                        t->left += stage == STAGE_NAMES && !free_of;
                }
}

/* ---- stages ---- */

/* What would have come later is listed with the reason. */
static void name_stops(struct name_state *n, struct check_run *r)
{
        char why[120];
        snprintf(why, sizeof why, "not looked at: %s stops what depends on it", n->stopped_by);
        for (const struct check *const *const *array = r->checks; *array; array++)
                for (const struct check *const *at = *array; *at; at++) {
                        const struct check *check = *at;
                        bool is_later =
                                check->stage > n->stage && check->scope != CHECK_TARGET && !is_not_for(n, check);
                        if (is_later && !(check->needs & CHECK_REGARDLESS) && applies(r, n->target, check))
                                not_called(n->target, r, check, why);
                }
}

static void stage_passed(struct name_state *n)
{
        struct target_state *t = n->target;
        t->passed[n->stage]++;
        n->stage++;
        if (t->passed[n->stage - 1] == t->target->names.count && n->stage < STAGES)
                start_target_units(t, t->run, n->stage, false);
}

static void name_goes_on(struct name_state *n)
{
        struct check_run *r = n->target->run;
        while (n->left == 0 && !n->ended) {
                if (n->stopped_by && n->stage < STAGES) {
                        name_stops(n, r);
                        while (n->stage < STAGES)
                                stage_passed(n);
                } else {
                        stage_passed(n);
                }
                n->ended = n->stage >= STAGES;
                if (!n->ended)
                        start_name_units(n, r, false);
        }
}

static struct zone_node *zone_node_get(struct check_run *r, const char *apex, bool internal)
{
        for (struct zone_node *z = r->zones; z; z = z->next)
                if (dns_name_equal(z->apex, apex))
                        return z;
        struct zone_node *z = calloc(1, sizeof *z);
        if (!z || !(z->apex = text_dup(apex))) {
                free(z);
                r->failed = true;
                return NULL;
        }
        z->next = r->zones;
        r->zones = z;
        for (const struct check *const *const *array = r->checks; *array; array++)
                for (const struct check *const *at = *array; *at; at++) {
                        bool without = ((*at)->needs & CHECK_NEEDS_RESOLVER) && dns_resolver_count(r->dns) == 0;
                        struct check_unit *u = NULL;
                        if ((*at)->scope != CHECK_ZONE)
                                continue;
                        if (without)
                                not_called(NULL, r, *at, "no recursive resolver is configured");
                        else
                                u = unit_new(r, *at);
                        if (!u)
                                continue;
                        u->c.zone = z->apex;
                        u->c.internal = internal;
                        u->zone = z;
                        u->next_of_zone = z->first;
                        z->first = u;
                        z->left++;
                }
        return z;
}

static bool add_pointer(void *list, size_t count, void *pointer)
{
        void ***at = list;
        if (count % 8 == 0) {
                void **more = realloc(*at, (count + 8) * sizeof *more);
                if (!more)
                        return false;
                *at = more;
        }
        (*at)[count] = pointer;
        return true;
}

void check_needs_zone(struct check_context *c, const char *apex)
{
        struct check_unit *u = c->unit;
        struct name_state *n = u->name;
        struct zone_node *z = n ? zone_node_get(c->run, apex, c->internal) : NULL;
        for (size_t i = 0; z && i < n->zone_count; i++)
                if (n->zone[i] == z)
                        return;
        if (!z || !add_pointer(&n->zone, n->zone_count, z)) {
                c->run->failed = true;
                return;
        }
        n->zone_count++;
        if (z->left == 0) {
                if (z->fatal)
                        stop_name(n, z->fatal);
        } else if (add_pointer(&z->waiting, z->waiting_count, n)) {
                z->waiting_count++;
                n->left++;
        } else {
                c->run->failed = true;
        }
}

/* ---- the table of servers ---- */

static bool row_fill(
        struct check_row *row, const char *zone, const struct check_server *s, const struct check_answer *a)
{
        *row = (struct check_row){ .zone = text_dup(zone),
                .name = text_dup(s->name),
                .address = s->address,
                .transport = a->transport,
                .rcode = a->outcome == DNS_ANSWERED ? a->message->rcode : -1,
                .aa = a->outcome == DNS_ANSWERED && a->message->aa,
                .rtt_us = a->rtt_us };
        for (size_t i = 0; a->outcome == DNS_ANSWERED && i < a->message->rr_count; i++) {
                struct dns_soa soa;
                if (!row->has_serial && a->message->rr[i].type == DNS_SOA &&
                        dns_rr_soa(a->message, &a->message->rr[i], &soa)) {
                        row->serial = soa.serial;
                        row->has_serial = true;
                }
        }
        return row->zone && row->name;
}

void check_show(struct check_context *c, const char *zone, const struct check_server *s, const struct check_answer *a,
        const char *value)
{
        struct check_unit *u = c->unit;
        struct check_row *more = realloc(u->row, (u->row_count + 1) * sizeof *more);
        if (more)
                u->row = more;
        if (!more || !row_fill(&u->row[u->row_count++], zone, s, a) ||
                (value && !texts_add(&u->row[u->row_count - 1].values, value)))
                c->run->failed = true;
}

void check_rows_free(struct check_row *row, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                free((void *)(uintptr_t)row[i].zone);
                free((void *)(uintptr_t)row[i].name);
                texts_done(&row[i].values);
        }
        free(row);
}

/* ---- the run ---- */

static void end(struct check_run *r)
{
        if (r->ended)
                return;
        r->ended = true;
        timer_stop(r->again);
        timer_stop(r->deadline);
        if (!check_results_make(r))
                r->failed = true;
        r->done(r->arg, r->result, r->result ? r->target_count : 0);
}

static void pass(void *arg)
{
        struct check_run *r = arg;
        r->pass = NULL;
        r->passing = true;
        while (r->ready) {
                struct check_unit *u = r->ready;
                r->ready = u->next_ready;
                if (!r->ready)
                        r->ready_tail = &r->ready;
                call(u);
        }
        r->passing = false;
        if (r->running == 0)
                end(r); /* the last thing: done may free the run */
}

static void on_deadline(void *arg)
{
        struct check_run *r = arg;
        r->over = true;
        end(r);
}

static bool add_names(struct check_run *r, struct target_state *t, const struct check_target *target)
{
        t->run = r;
        t->target = target;
        t->name = calloc(target->names.count + 1, sizeof *t->name);
        for (size_t i = 0; t->name && i < target->names.count; i++) {
                const char *name = target->names.item[i];
                struct address numeric;
                t->name[i] = (struct name_state){ .target = t,
                        .name = name,
                        .base = text_starts(name, "*.") ? name + 2 : name,
                        .is_address = address_parse(name, 0, &numeric) };
        }
        return t->name;
}

static void begin(struct check_run *r)
{
        for (size_t i = 0; i < r->target_count; i++) {
                struct target_state *t = &r->state[i];
                start_target_units(t, r, STAGE_NAMES, false);
                start_target_units(t, r, STAGE_NAMES, true);
                for (size_t k = 0; k < t->target->names.count; k++) {
                        t->name[k].left += t->left > 0;
                        start_name_units(&t->name[k], r, false);
                        start_name_units(&t->name[k], r, true);
                }
        }
        for (size_t i = 0; i < r->target_count; i++)
                for (size_t k = 0; k < r->state[i].target->names.count; k++)
                        name_goes_on(&r->state[i].name[k]);
        wake(r);
}

struct check_run *check_run_start(const struct check_conf *conf, check_done_fn *done, void *arg, struct err *e)
{
        struct check_run *r = calloc(1, sizeof *r);
        if (r)
                r->state = calloc(conf->target_count + 1, sizeof *r->state);
        if (!r || !r->state) {
                free(r);
                err_memory(e);
                return NULL;
        }
        r->loop = conf->loop;
        r->dns = conf->dns;
        r->http = conf->http;
        r->checks = conf->checks;
        r->targets = conf->targets;
        r->done = done;
        r->arg = arg;
        r->ready_tail = &r->ready;
        r->units_tail = &r->units;
        r->timeout_ms = conf->timeout_ms > 0 ? conf->timeout_ms : TIMEOUT_MS;
        bool good =
                timer_new(&r->again, r->loop, on_again, r, e) && timer_new(&r->deadline, r->loop, on_deadline, r, e);
        for (size_t i = 0; good && i < conf->target_count; i++) {
                r->target_count++;
                good = add_names(r, &r->state[i], &conf->targets[i]) || err_memory(e);
        }
        if (!good) {
                check_run_free(r);
                return NULL;
        }
        timer_start(r->deadline, r->timeout_ms);
        begin(r);
        return r;
}

static void zones_free(struct check_run *r)
{
        while (r->zones) {
                struct zone_node *z = r->zones;
                r->zones = z->next;
                free(z->waiting);
                free(z->apex);
                free(z);
        }
}

void check_run_free(struct check_run *r)
{
        if (!r)
                return;
        r->ended = true;
        loop_undefer(r->loop, r->pass);
        timer_free(r->again);
        timer_free(r->deadline);
        check_results_free(r);
        while (r->units) {
                struct check_unit *u = r->units;
                r->units = u->next;
                unit_free(u);
        }
        check_facts_free(r);
        zones_free(r);
        for (size_t i = 0; i < r->target_count; i++) {
                for (size_t k = 0; r->state[i].name && k < r->state[i].target->names.count; k++)
                        free(r->state[i].name[k].zone);
                free(r->state[i].name);
        }
        for (size_t i = 0; i < r->early_count; i++)
                free(r->early[i].why);
        free(r->early);
        texts_done(&r->published);
        free(r->state);
        free(r);
}
