/* What a lost journal, or one from a backup, forgot: a certificate that the CA issued for a key of this host and that
 * was never taken over. It is taken instead of being asked for a second time. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/internal.h"

static bool any(void *arg, const struct store_row *row)
{
        (void)row;
        *(bool *)arg = true;
        return false;
}

/* Without a word from the journal it is taken for known: then nothing changes. */
static bool order_is_known(struct engine *g, const char *ca, const char *order_id)
{
        bool known = false;
        struct err e;
        return !store_query(g->store, "SELECT 1 FROM orders WHERE ca=? AND order_id=?", "tt", any, &known, &e, ca,
                       order_id) ||
                known;
}

bool cert_has_set_of(const struct cert *c, const char *sha256, unsigned *ret_number)
{
        CLEANUP(free_p) unsigned *number = NULL;
        size_t count = 0;
        struct err e;
        *ret_number = 0;
        if (!sets_list(c->engine->sets, c->row.name, &number, &count, &e))
                return true;
        for (size_t i = count; i-- > 0 && *ret_number == 0;) {
                struct set s = { 0 };
                if (sets_read(c->engine->sets, c->row.name, number[i], 0, &s, &e) &&
                        strcmp(s.chain.leaf.sha256, sha256) == 0)
                        *ret_number = number[i];
                set_done(&s);
        }
        return *ret_number > 0;
}

bool cert_never_taken(const struct cert *c, const struct backend_ca *ca, const struct ca_subject *s,
        const struct err *refusal, bool live_may_stay)
{
        struct engine *g = c->engine;
        unsigned number;
        if (!s || ca->ops->can & CONF_CA_ISSUES || !s->id[0] || !s->spki_hex[0] || !s->cert_sha256[0] ||
                s->resume_id[0] || (refusal && refusal->kind != ERR_RULE))
                return false;
        if (!live_may_stay && c->row.live_spki && strcmp(c->row.live_spki, s->spki_hex) == 0)
                return false; /* somebody had it reissued with the key that lives here: a job makes a new one */
        if (!keystore_has(g->keystore, s->spki_hex) || compromised_has(g->keystore, s->spki_hex) ||
                cert_has_set_of(c, s->cert_sha256, &number))
                return false;
        /* One that the journal knows was tried, and perhaps was no good: asked for again where that is possible. */
        return refusal || !order_is_known(g, ca->name, s->id);
}

bool subject_is_untaken(const struct ca_subject *s)
{
        return s->resume_id[0] && s->cert_sha256[0] && strcmp(s->resume_id, s->id) == 0;
}

void subject_set_untaken(struct ca_subject *s)
{
        memcpy(s->resume_id, s->id, sizeof s->resume_id);
        memcpy(s->resume_spki_hex, s->spki_hex, sizeof s->resume_spki_hex);
        s->resume_since_s = s->not_before_s;
}

/* The newest set that this job made, if the journal does not know of it; what it holds goes into the row. */
static bool find_set(struct job *j)
{
        CLEANUP(free_p) unsigned *number = NULL;
        size_t count = 0;
        struct err e;
        bool found = false;
        if (!sets_list(j->engine->sets, j->row.cert, &number, &count, &e))
                return false;
        for (size_t i = count; i-- > 0 && !found;) {
                struct set s = { 0 };
                found = sets_read(j->engine->sets, j->row.cert, number[i], SET_WHOLE, &s, &e) &&
                        json_i64(s.meta, "job", 0) == j->row.id && json_i64(s.meta, "created", 0) >= j->row.created_s &&
                        !compromised_has(j->engine->keystore, s.chain.leaf.spki_hex);
                if (found) {
                        j->row.set_number = number[i];
                        job_set(&j->row.cert_sha256, s.chain.leaf.sha256);
                        job_set(&j->row.spki, s.chain.leaf.spki_hex);
                }
                set_done(&s);
        }
        return found;
}

void job_find_own_set(struct job *j)
{
        bool before = j->row.state <= JOB_ORDERED && !j->row.order_id && j->row.set_number == 0;
        if (!before || j->policy->staging || !find_set(j))
                return;
        log_warning(j->row.cert,
                "job %lld: set %lld is its own: the journal is older; it is put to use, nothing is ordered",
                (long long)j->row.id, (long long)j->row.set_number);
        j->row.state = JOB_QUEUED; /* from there a job that has its set goes to deployed */
}
