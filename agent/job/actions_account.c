/* dcvctl account: what we have at an ACME CA. A write that is being made is known to its CA alone; with the backends it
 * goes, and the CA is asked at the next use. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/job/actions.h"
#include "agent/job/internal.h"

struct account_ask {
        struct engine *engine;
        struct account_ask *next;
        struct backend_ca *ca;
        struct ca_call *call;
        enum ca_account_verb verb;
        const char *first; /* "dry_run", "confirm": it is looked at, and what would be done is told; NULL: it is done */
        action_done_fn *done;
        void *arg;
};

static void ask_free(struct account_ask *a)
{
        for (struct account_ask **at = &a->engine->account_ask; *at; at = &(*at)->next)
                if (*at == a) {
                        *at = a->next;
                        break;
                }
        free(a);
}

void account_asks_cancel(struct engine *g)
{
        struct err e;
        while (g->account_ask) {
                struct account_ask *a = g->account_ask;
                a->ca->ops->cancel(a->ca->ca, a->call);
                err_set(&e, ERR_TEMPORARY, "reconfigured",
                        "the configuration changed meanwhile; dcvctl account show tells how it ended");
                a->done(a->arg, NULL, &e);
                ask_free(a);
        }
}

static const char *const verb_text[] = { "", "has a new key", "is ended: no order can be made with it" };

static bool shows_tokens(const struct job *j, const struct backend_ca *ca)
{
        bool out = j->row.state >= JOB_PUBLISHED && j->row.state <= JOB_SUBMITTED && !j->row.told;
        return out && j->row.ca && strcmp(j->row.ca, ca->name) == 0 && !j->moving && !j->ended && !j->cancelling;
}

/* They were made with the old key: the CA would refuse them, and count that. Where it was told already, it decides. */
static void renew_tokens(struct engine *g, const struct backend_ca *ca)
{
        for (size_t i = g->job_count; i-- > 0;)
                if (shows_tokens(g->job[i], ca))
                        job_order_again(g->job[i], "the account has a new key, and its tokens are made with it");
}

static void answered(void *arg, const char *text, size_t len, const struct err *err)
{
        struct account_ask *a = arg;
        struct err e;
        CLEANUP(json_decref_p) json_t *o = NULL;
        a->call = NULL;
        if (!err && a->verb == CA_ACCOUNT_ROLLOVER)
                renew_tokens(a->engine, a->ca);
        if (err || !json_read(text, len, 4, &o, &e)) {
                a->done(a->arg, NULL, err ? err : &e);
                return ask_free(a);
        }
        struct buf b = { .max = 4096 };
        const json_t *contact = json_object_get(o, "contact");
        buf_addf(&b, "%s: the account %s%s%s, %s, key %s, contact", a->ca->name, json_str(o, "url"), a->verb ? " " : "",
                verb_text[a->verb], json_str(o, "status"), json_str(o, "key"));
        for (size_t i = 0; i < json_array_size(contact); i++) {
                const char *one = json_string_value(json_array_get(contact, i));
                buf_add(&b, " ");
                buf_add_escaped(&b, one ? one : "?", one ? strlen(one) : 1, 200);
        }
        buf_add(&b, json_array_size(contact) ? "" : " none");
        if (json_str(o, "fix"))
                buf_addf(&b, "; %s", json_str(o, "fix"));
        json_put_text(o, "text", b.data);
        buf_done(&b);
        json_put_text(o, "ca", a->ca->name);
        json_put_i64(o, "exit", 0);
        a->done(a->arg, o, NULL);
        ask_free(a);
}

static bool ca_unknown(const struct engine *g, const char *name, struct err *e)
{
        CLEANUP(buf_done) struct buf list = { .max = 200 };
        for (size_t i = 0; i < g->conf->ca_count; i++)
                buf_addf(&list, "%s%s", i ? ", " : "", g->conf->ca[i].name);
        err_set(e, ERR_CONFIG, "ca.unknown", "there is no CA %s in the configuration", name ? name : "");
        return err_fix(e, "cas has %s", list.data && g->conf->ca_count > 0 ? list.data : "none");
}

static bool choose(struct account_ask *a, const json_t *args, struct err *e)
{
        static const char *const verbs[] = { "show", "rollover", "deactivate" };
        const char *name = json_str(args, "ca"), *verb = json_str(args, "verb");
        size_t i = 0;
        while (i < ARRAY_LEN(verbs) && (!verb || strcmp(verb, verbs[i]) != 0))
                i++;
        if (i == ARRAY_LEN(verbs))
                return err_set(e, ERR_CONFIG, "usage", "account show, rollover or deactivate");
        a->verb = (enum ca_account_verb)i;
        a->ca = name ? engine_ca(a->engine, name) : NULL;
        if (!a->ca)
                return ca_unknown(a->engine, name, e);
        return a->ca->ops->account ||
                err_set(e, ERR_CONFIG, "ca.account", "%s is of type %s: it has no account of ours", name,
                        a->ca->ops->type);
}

static const char *what_is_first(const struct account_ask *a, const json_t *args)
{
        if (a->verb == CA_ACCOUNT_SHOW)
                return NULL;
        if (json_bool(args, "dry_run", false))
                return "dry_run";
        return a->verb == CA_ACCOUNT_DEACTIVATE && !json_bool(args, "yes", false) ? "confirm" : NULL;
}

/* As some CAs show it, where others refuse whoever has its key. */
static bool is_over(const struct account_ask *a, const json_t *account, struct err *e)
{
        const char *status = json_str(account, "status"), *url = json_str(account, "url"),
                   *fix = json_str(account, "fix");
        if (!status || strcmp(status, "valid") == 0)
                return false;
        err_set(e, ERR_DENIED, "account.over", "the account %s at %s is %s", url ? url : "", a->ca->name, status);
        err_fix(e, "%s", fix ? fix : "");
        return true;
}

static bool is_not_offered(const struct account_ask *a, const json_t *account, struct err *e)
{
        return a->verb == CA_ACCOUNT_ROLLOVER && !json_bool(account, "rollover", true) &&
                !err_set(e, ERR_DENIED, "acme.rollover", "%s offers no change of account keys", a->ca->name);
}

/* One that is not there, that is over, or that the CA refuses, is no question. */
static void looked(void *arg, const char *text, size_t len, const struct err *err)
{
        struct account_ask *a = arg;
        struct err e;
        CLEANUP(json_decref_p) json_t *account = NULL;
        a->call = NULL;
        if (err || !json_read(text, len, 4, &account, &e) || is_over(a, account, &e) ||
                is_not_offered(a, account, &e)) {
                a->done(a->arg, NULL, err ? err : &e);
                return ask_free(a);
        }
        CLEANUP(json_decref_p)
        json_t *o = json_pack("{s:i, s:s, s:b}", "exit", 0, "ca", a->ca->name, a->first, 1);
        const char *url = json_str(account, "url");
        CLEANUP(free_p)
        char *said = text_format(a->verb == CA_ACCOUNT_DEACTIVATE
                        ? "This ends the account %s at %s for ever: no certificate can be ordered with it any more"
                        : "would give the account %s at %s a new key",
                url ? url : "", a->ca->name);
        json_put_text(o, "text", said);
        a->done(a->arg, o, NULL);
        ask_free(a);
}

void action_account(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        struct err e;
        struct account_ask *a = calloc(1, sizeof *a);
        if (!a) {
                err_memory(&e);
                return done(arg, NULL, &e);
        }
        a->engine = g;
        a->done = done;
        a->arg = arg;
        bool good = choose(a, args, &e);
        a->first = what_is_first(a, args);
        if (good)
                a->call = a->ca->ops->account(
                        a->ca->ca, a->first ? CA_ACCOUNT_SHOW : a->verb, a->first ? looked : answered, a, &e);
        if (!a->call) {
                done(arg, NULL, &e);
                return ask_free(a);
        }
        a->next = g->account_ask;
        g->account_ask = a;
}
