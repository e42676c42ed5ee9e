/* --staging: a whole order at the directory where a CA lets orders be tried, with an account of its own. Nothing of it
 * is deployed, kept as a set or counted as a success; its key is removed. */
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/internal.h"

struct backend_ca *staging_of(struct engine *g, const char *ca)
{
        CLEANUP(free_p) char *name = text_format("%s" CA_STAGING_SUFFIX, ca);
        return name ? engine_ca(g, name) : NULL;
}

void staging_make_trial(struct conf_cert *copy)
{
        copy->target_count = 0;
        copy->certificate_id = NULL;
        copy->key_reuse = REUSE_NEVER;
        copy->staging = true;
}

char *staging_policy(struct engine *g, const struct conf_cert *conf, size_t from, struct err *e)
{
        for (size_t i = from; i < conf->ca_count; i++) {
                struct backend_ca *b = staging_of(g, conf->ca[i].ca);
                if (!b)
                        continue;
                struct conf_ca_use use = conf->ca[i];
                struct conf_cert trial = *conf;
                use.ca = b->name;
                trial.ca = &use;
                trial.ca_count = 1;
                staging_make_trial(&trial);
                char *text = policy_text(&trial);
                if (!text)
                        err_memory(e);
                return text;
        }
        err_set(e, ERR_CONFIG, "staging", "no CA of %s has a directory to try orders at", conf->name);
        err_fix(e, "set cas.%s.staging, at Let's Encrypt https://acme-staging-v02.api.letsencrypt.org/directory",
                conf->ca[conf->ca_count - 1].ca);
        return NULL;
}

void staging_done(struct job *j)
{
        CLEANUP(free_p)
        char *text = text_format(
                "%s issued the certificate: the whole order works; nothing of it was kept or deployed", j->row.ca);
        job_note(j, "%s", text ? text : "");
        job_end(j, JOB_DONE, text ? text : "the whole order works");
}

void staging_clear(struct job *j)
{
        if (!j->policy->staging)
                return;
        struct store_batch *b = j->row.order_id ? store_batch_new() : NULL;
        if (b && job_put_order(j, b, false, 0))
                engine_commit_logged(j->engine, b);
        else
                store_batch_free(b);
        key_drop_staging(j);
}
