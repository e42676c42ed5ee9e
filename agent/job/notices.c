/* Telling what people want to be told (incident.h): one call for whoever delivers it. */
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/job/incident_internal.h"

struct notice_listener {
        notice_fn *fn;
        void *arg;
        struct notice_listener *next;
};

static const char *const kinds[] = { "failed", "waiting", "opened", "served", "stuck", "expiring", "done" };

const char *notice_kind_name(enum notice_kind k)
{
        return (unsigned)k < ARRAY_LEN(kinds) ? kinds[k] : "?";
}

struct notice_listener *notice_listen(struct engine *g, notice_fn *fn, void *arg)
{
        struct notice_listener *l = calloc(1, sizeof *l);
        if (!l)
                return NULL;
        *l = (struct notice_listener){ fn, arg, g->notices };
        g->notices = l;
        return l;
}

void notice_unlisten(struct engine *g, struct notice_listener *l)
{
        for (struct notice_listener **at = &g->notices; l && *at; at = &(*at)->next)
                if (*at == l) {
                        *at = l->next;
                        free(l);
                        return;
                }
}

void notices_done(struct engine *g)
{
        while (g->notices)
                notice_unlisten(g, g->notices);
}

void notice_tell(struct engine *g, const struct notice *n)
{
        struct notice copy = *n;
        char key[200];
        if (!copy.key) {
                if (copy.incident)
                        snprintf(
                                key, sizeof key, "%s incident %lld", notice_kind_name(n->kind), (long long)n->incident);
                else
                        snprintf(key, sizeof key, "%s job %lld %.100s", notice_kind_name(n->kind), (long long)n->job,
                                n->cert ? n->cert : "");
                copy.key = key;
        }
        if (!copy.at_s)
                copy.at_s = clock_now_s();
        for (struct notice_listener *l = g->notices, *next; l; l = next) {
                next = l->next;
                l->fn(l->arg, &copy);
        }
}
