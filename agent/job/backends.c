/* The CAs and publishers that the configuration names: opened, closed, and what a CA remembers. */
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/internal.h"

/* ---- what a CA remembers ---- */

static bool remember(void *arg, const char *ca, const char *key, const char *value)
{
        struct engine *g = arg;
        json_t *of_ca = json_object_get(g->memory, ca);
        if (!of_ca) {
                of_ca = json_object();
                json_object_set_new(g->memory, ca, of_ca);
        }
        if (value)
                json_put_text(of_ca, key, value);
        else
                json_object_del(of_ca, key);
        struct store_batch *b = store_batch_new();
        bool good = b &&
                (value ? store_batch_add(b, "INSERT OR REPLACE INTO memory(ca, key, value) VALUES(?,?,?)", "ttt", ca,
                                 key, value)
                       : store_batch_add(b, "DELETE FROM memory WHERE ca=? AND key=?", "tt", ca, key));
        if (good)
                engine_commit_logged(g, b);
        else
                store_batch_free(b);
        return good;
}

static char *recall(void *arg, const char *ca, const char *key)
{
        struct engine *g = arg;
        return text_dup(json_str(json_object_get(g->memory, ca), key));
}

/* ---- backends ---- */

static const struct ca_ops *ca_ops_of(struct engine *g, const char *type)
{
        for (const struct ca_ops *const *ops = g->ca_registry; *ops; ops++)
                if (strcmp((*ops)->type, type) == 0)
                        return *ops;
        return NULL;
}

static const struct publisher_ops *publisher_ops_of(struct engine *g, const char *type)
{
        for (const struct publisher_ops *const *ops = g->publisher_registry; *ops; ops++)
                if (strcmp((*ops)->type, type) == 0)
                        return *ops;
        return NULL;
}

void backends_close(struct backend_ca *ca, size_t ca_count, struct backend_publisher *publisher, size_t publisher_count)
{
        for (size_t i = 0; i < ca_count; i++) {
                if (ca[i].ca)
                        ca[i].ops->close(ca[i].ca);
                free(ca[i].name);
        }
        for (size_t i = 0; i < publisher_count; i++) {
                if (publisher[i].publisher)
                        publisher[i].ops->close(publisher[i].publisher);
                free(publisher[i].name);
        }
        free(ca);
        free(publisher);
}

static bool open_ca(
        struct engine *g, const struct conf *conf, size_t i, bool staging, struct backend_ca *b, struct err *e)
{
        const struct conf_backend *c = &conf->ca[i];
        b->ops = ca_ops_of(g, c->kind->type);
        b->name = text_format("%s%s", c->name, staging ? CA_STAGING_SUFFIX : "");
        struct ca_env env = { .loop = g->loop,
                .http = g->http,
                .name = b->name,
                .staging = staging,
                .state_directory = conf->state_directory,
                .remember = remember,
                .recall = recall,
                .memory_arg = g };
        if (!b->name)
                return err_memory(e);
        if (!b->ops || !b->ops->open)
                return err_set(e, ERR_CONFIG, "ca.type", "CA type %s is not in this build", c->kind->type);
        if (staging && config_ca(conf, b->name)) {
                err_set(e, ERR_CONFIG, "ca.staging", "cas.%s has the name that the staging of cas.%s needs", b->name,
                        c->name);
                return err_fix(e, "give cas.%s another name", b->name);
        }
        return b->ops->open(&b->ca, &env, c->parsed, e) || err_wrap(e, "cas.%s", b->name);
}

bool backends_open_cas(
        struct engine *g, const struct conf *conf, struct backend_ca **ret, size_t *ret_count, struct err *e)
{
        *ret = calloc(2 * conf->ca_count + 1, sizeof **ret);
        if (!*ret)
                return err_memory(e);
        for (size_t i = 0; i < conf->ca_count; i++) {
                const struct ca_ops *ops = ca_ops_of(g, conf->ca[i].kind->type);
                if (!open_ca(g, conf, i, false, &(*ret)[(*ret_count)++], e))
                        return false;
                if (ops->staging && ops->staging(conf->ca[i].parsed) &&
                        !open_ca(g, conf, i, true, &(*ret)[(*ret_count)++], e))
                        return false;
        }
        return true;
}

static bool open_own(const struct publisher_env *env, const char *name, const struct publisher_ops *ops,
        struct backend_publisher *b, struct err *e)
{
        b->ops = ops;
        b->name = text_dup(name);
        return b->name ? ops->open(&b->publisher, env, b->name, NULL, e) : err_memory(e);
}

bool backends_open_publishers(
        struct engine *g, const struct conf *conf, struct backend_publisher **ret, size_t *ret_count, struct err *e)
{
        struct publisher_env env = { .loop = g->loop,
                .dns = g->dns,
                .http = g->http,
                .helper = g->helper,
                .propagation = g->propagation,
                .tokens = g->token_table,
                .alpn = g->alpn_table };
        *ret = calloc(conf->publisher_count + 2, sizeof **ret);
        if (!*ret)
                return err_memory(e);
        if (!open_own(&env, PUBLISHER_SELF, &publisher_responder, &(*ret)[(*ret_count)++], e) ||
                !open_own(&env, PUBLISHER_STANDING, &publisher_standing, &(*ret)[(*ret_count)++], e))
                return false;
        for (size_t i = 0; i < conf->publisher_count; i++) {
                struct backend_publisher *b = &(*ret)[(*ret_count)++];
                b->ops = publisher_ops_of(g, conf->publisher[i].kind->type);
                b->name = text_dup(conf->publisher[i].name);
                if (!b->name || !b->ops || !b->ops->open)
                        return err_set(e, ERR_CONFIG, "publisher.type", "publisher type %s is not in this build",
                                conf->publisher[i].kind->type);
                if (!b->ops->open(&b->publisher, &env, b->name, conf->publisher[i].parsed, e))
                        return err_wrap(e, "publishers.%s", conf->publisher[i].name);
        }
        return true;
}
