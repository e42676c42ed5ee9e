/* When a CA asks to be left alone, all certificates wait, over restarts too. A limit of one name or set of names is
 * its job's own matter. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "agent/ca/acme/acme.h"

#define KEY "wait_until"

bool acme_limit_check(struct ca *ca, struct err *e)
{
        CLEANUP(free_p) char *text = ca->env.recall ? ca->env.recall(ca->env.memory_arg, ca->name, KEY) : NULL;
        int64_t until_s, now_s = clock_now_s();
        char when[40];
        if (!text || !parse_i64(text, 0, INT64_MAX, &until_s) || until_s <= now_s)
                return true;
        format_time(until_s, when, sizeof when);
        err_set(e, ERR_RATE_LIMITED, "acme.wait", "%s asked to be left alone until %s", ca->name, when);
        e->retry_after_s = MIN(until_s - now_s, 86400); /* the clock may have been set since */
        return false;
}

void acme_limit_note(struct ca *ca, const struct err *e)
{
        char text[32];
        bool whole = e->kind == ERR_RATE_LIMITED && strcmp(e->code, "acme.rateLimited") != 0;
        if (!whole || !ca->env.remember)
                return;
        snprintf(text, sizeof text, "%lld", (long long)(clock_now_s() + e->retry_after_s));
        (void)ca->env.remember(ca->env.memory_arg, ca->name, KEY, text); /* else the next answer says it again */
}
