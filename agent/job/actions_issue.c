/* The first certificate, and renewals: a job at the first CA of the list that can do that. */
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/job/actions.h"
#include "agent/job/internal.h"

bool cert_ca_that_can(struct engine *g, const struct conf_cert *conf, unsigned can, size_t *ret)
{
        for (size_t i = 0; i < conf->ca_count; i++) {
                const struct backend_ca *ca = engine_ca(g, conf->ca[i].ca);
                if (ca && (ca->ops->can & can)) {
                        *ret = i;
                        return true;
                }
        }
        return false;
}

static bool has_one(const struct cert *c)
{
        return c->row.live_set > 0 && c->row.live_not_after_s > clock_now_s();
}

static void answer_has_one(const struct cert *c, action_done_fn *done, void *arg)
{
        char date[32];
        format_date(c->row.live_not_after_s, date, sizeof date);
        CLEANUP(json_decref_p) json_t *o = json_pack("{s:i, s:[], s:s}", "exit", 0, "jobs", "cert", c->row.name);
        CLEANUP(free_p)
        char *text = text_format("%s already has a certificate, until %s; for another: dcvctl reissue %s", c->row.name,
                date, c->row.name);
        json_put_text(o, "text", text);
        done(arg, o, NULL);
}

void action_issue(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        struct err e;
        struct cert *c = NULL;
        size_t index = 0;
        if (!action_cert(g, args, &c, &e))
                return done(arg, NULL, &e);
        const struct conf_cert *conf = config_cert(g->conf, c->row.name);
        if (!conf || !cert_ca_that_can(g, conf, CONF_CA_ISSUES, &index)) {
                err_set(&e, ERR_RULE, "issue",
                        "no CA of %s issues first certificates: Tencent Cloud only reissues here", c->row.name);
                err_fix(&e,
                        "apply for it at the CA and dcvctl import it, or add a CA of type acme to certificates.%s.ca",
                        c->row.name);
                return done(arg, NULL, &e);
        }
        bool staging = json_bool(args, "staging", false);
        if (has_one(c) && !c->job && !staging && !json_bool(args, "force", false))
                return answer_has_one(c, done, arg);
        const char *reason = json_str(args, "reason");
        CLEANUP(json_decref_p)
        json_t *more = json_pack("{s:[s], s:s, s:i, s:b, s:b, s:b}", "certs", c->row.name, "reason",
                reason ? reason : "first certificate", "ca_index", (int)index, "yes", 1, "staging", staging, "dry_run",
                json_bool(args, "dry_run", false));
        if (!more) {
                err_memory(&e);
                return done(arg, NULL, &e);
        }
        action_reissue(g, more, done, arg);
}
