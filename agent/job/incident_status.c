/* What status and metrics say of incidents. */
#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/job/incident_internal.h"

void incidents_each_waiting(struct engine *g, void (*fn)(void *arg, const char *cert, const char *party), void *arg)
{
        int64_t now_s = clock_now_s();
        for (size_t k = 0; k < g->incidents->count; k++)
                for (size_t n = 0; n < g->incidents->list[k]->case_count; n++) {
                        const struct incident_case *c = &g->incidents->list[k]->cases[n];
                        bool settled = c->state == CASE_REPLACED || c->state == CASE_KEPT;
                        if (c->state == CASE_OPEN && c->held_s > now_s)
                                fn(arg, c->cert, "brake");
                        else if ((c->state == CASE_OPEN && c->reissue == VERDICT_ASK) ||
                                (settled && c->revoke == VERDICT_ASK && c->revocation == REVOKE_WAITS))
                                fn(arg, c->cert, "person");
                }
}

size_t incidents_count(const struct engine *g, int64_t *ret_deadline_s)
{
        *ret_deadline_s = 0;
        for (size_t k = 0; k < g->incidents->count; k++) {
                const struct incident_row *r = &g->incidents->list[k]->row;
                if (r->state == INCIDENT_OPEN && (*ret_deadline_s == 0 || r->deadline_s < *ret_deadline_s))
                        *ret_deadline_s = r->deadline_s;
        }
        return g->incidents->count;
}

struct held {
        size_t count;
        int64_t first_s, last_s;
};

static struct held held_of(const struct engine *g)
{
        struct held h = { 0 };
        int64_t now_s = clock_now_s();
        for (size_t k = 0; k < g->incidents->count; k++)
                for (size_t n = 0; n < g->incidents->list[k]->case_count; n++) {
                        const struct incident_case *c = &g->incidents->list[k]->cases[n];
                        if (c->state != CASE_OPEN || c->held_s <= now_s)
                                continue;
                        h.first_s = h.count++ ? MIN(h.first_s, c->held_s) : c->held_s;
                        h.last_s = MAX(h.last_s, c->held_s);
                }
        return h;
}

static void when(int64_t at_s, char ret[40])
{
        if (at_s < INT64_MAX)
                format_time(at_s, ret, 40);
        else
                snprintf(ret, 40, "a confirmation");
}

/* A held queue is one line, however long it is. */
static json_t *held_json(const struct engine *g)
{
        struct held h = held_of(g);
        char first[40], last[40];
        if (h.count == 0)
                return json_null();
        when(h.first_s, first);
        when(h.last_s, last);
        CLEANUP(free_p)
        char *text = text_format("%zu certificate%s held by the storm brake (at most %lld an hour by themselves): the "
                                 "first until %s, the last until %s; dcvctl confirm ID lifts it",
                h.count, h.count == 1 ? "" : "s", (long long)g->conf->limit_automatic_per_hour, first, last);
        json_t *o = json_pack("{s:I, s:I, s:s?}", "count", (json_int_t)h.count, "per_hour",
                (json_int_t)g->conf->limit_automatic_per_hour, "text", text);
        json_put_i64(o, "first", h.first_s < INT64_MAX ? h.first_s : -1);
        json_put_i64(o, "last", h.last_s < INT64_MAX ? h.last_s : -1);
        return o;
}

void incidents_status(struct engine *g, json_t *status)
{
        json_t *list = json_array();
        for (size_t k = 0; k < g->incidents->count; k++) {
                const struct incident *i = g->incidents->list[k];
                char line[480];
                incident_say(i, line, sizeof line);
                json_t *o = json_object();
                json_put_i64(o, "id", i->row.id);
                json_put_text(o, "act", incident_act_name(incident_acts(i)));
                json_put_text(o, "line", line);
                json_put_i64(o, "deadline", i->row.deadline_s);
                json_array_append_new(list, o);
        }
        json_object_set_new(status, "incidents", list);
        json_object_set_new(status, "held", held_json(g));
}
