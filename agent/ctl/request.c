#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "agent/alerts/intake.h"
#include "agent/alerts/notify.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/ctl/server.h"

#define REQUEST_DEPTH 8

/* As `systemctl reload dcvd`: taken whole or not at all, when the loop comes to it. */
static void action_reload(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        CLEANUP(json_decref_p) json_t *o = json_pack("{s:i}", "exit", 0);
        (void)g;
        (void)args;
        (void)kill(getpid(), SIGHUP); /* to oneself: cannot fail */
        done(arg, o, NULL);
}

const struct ctl_verb ctl_verbs[] = {
        { "status", CTL_READ, action_status },
        { "history", CTL_READ, action_history },
        { "job", CTL_READ, action_job },
        { "sets", CTL_READ, action_sets },
        { "verify", CTL_READ, action_verify },
        { "incidents", CTL_READ, action_incidents },
        { "incident", CTL_READ, action_incident },
        { "confirm", CTL_ACT, action_confirm },
        { "dismiss", CTL_ACT, action_dismiss },
        { "reissue", CTL_ACT, action_reissue },
        { "account", CTL_ACT, action_account },
        { "revoke", CTL_ACT, action_revoke },
        { "issue", CTL_ACT, action_issue },
        { "notify", CTL_ACT, action_notify },
        { "cancel", CTL_ACT, action_cancel },
        { "withdraw", CTL_ACT, action_withdraw },
        { "publish", CTL_ACT, action_publish },
        { "check", CTL_ACT, action_check },
        { "rehearse", CTL_ACT, action_rehearse },
        { "import", CTL_ACT, action_import },
        { "list", CTL_ACT, action_list },
        { "deploy", CTL_ACT, action_deploy },
        { "forget", CTL_ACT, action_forget },
        { "report", CTL_ACT, action_report },
        { "alert-test", CTL_ACT, action_alert_test },
        { "reload", CTL_ACT, action_reload },
        { NULL, CTL_READ, NULL },
};

const struct ctl_verb *ctl_verb_find(const struct ctl_verb *verbs, const char *name)
{
        for (const struct ctl_verb *v = verbs; v->name; v++)
                if (strcmp(v->name, name) == 0)
                        return v;
        return NULL;
}

json_t *ctl_error_json(const struct err *e)
{
        json_t *o = json_object();
        json_put_text(o, "kind", err_kind_name(e->kind));
        json_put_text(o, "code", e->code);
        json_put_text(o, "text", e->text);
        json_put_text(o, "fix", e->fix);
        return o;
}

bool ctl_request_read(const char *line, size_t len, json_t **ret_request, const char **ret_verb,
        const json_t **ret_args, struct err *e)
{
        CLEANUP(json_decref_p) json_t *o = NULL;
        if (!json_read(line, len, REQUEST_DEPTH, &o, e))
                return false;
        const char *verb = json_is_object(o) ? json_str(o, "verb") : NULL;
        const json_t *args = json_object_get(o, "args");
        if (!verb || (args && !json_is_object(args)))
                return err_set(e, ERR_PROTOCOL, "request", "not a request: an object with a verb, and args an object");
        *ret_verb = verb;
        *ret_args = args;
        *ret_request = STEAL(o);
        return true;
}
