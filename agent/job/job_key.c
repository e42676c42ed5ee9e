/* A job whose key is reported while it runs: it goes on with another one. */
#include <stdlib.h>

#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/internal.h"

static void forget_key(struct job *j)
{
        keying_drop(j);
        job_set(&j->row.spki, NULL);
}

/* To the next CA where there is one, else a person must decide: what cancelling costs is not spent by itself. */
static void leave_order(struct job *j)
{
        struct err e;
        err_set(&e, ERR_RULE, "I6", "order %s at %s is for a key that is marked compromised", j->row.order_id,
                j->row.ca ? j->row.ca : "the CA");
        err_fix(&e,
                "dcvctl cancel %s ends it, which may cost the only reissue; then dcvctl reissue %s --key-compromised",
                j->row.cert, j->row.cert);
        if (job_go_elsewhere(j, &e))
                return forget_key(j);
        job_note_trouble(j, &e);
        job_end(j, JOB_FAILED, e.text);
}

void job_leave_key(struct job *j)
{
        if (j->moving || j->ended || j->cancelling || job_is_final(j->row.state) || j->engine->closing)
                return;
        if (j->row.state < JOB_KEYED)
                return forget_key(j); /* of an earlier attempt */
        if (j->row.state == JOB_KEYED) {
                job_note(j, "its key is reported compromised: another one is made");
                forget_key(j);
                engine_due_clear(j->engine, &j->due);
                return job_new_attempt(j, store_batch_new(), "its key is reported compromised");
        }
        if (!job_has_order_open(j->row.state)) { /* installed, or about to be */
                job_note(j, "its key is reported compromised");
                return job_end(j, JOB_FAILED, "its key was reported compromised meanwhile");
        }
        if (!j->row.order_id)
                return; /* sent, not answered: what was spent must be known first (I2) */
        const struct ca_subject *s = job_subject(j);
        if (!s || s->last_one || j->row.state == JOB_ISSUED)
                return leave_order(j);
        job_note(j, "its key is reported compromised: order %s is cancelled, another one follows", j->row.order_id);
        j->restart = true;
        job_cancel_order(j);
}

/* The order is gone at the CA: from eligible on, with a new key. */
void job_restart(struct job *j, struct store_batch *b_own)
{
        j->restart = j->cancelling = false;
        forget_key(j);
        tokens_let_go(j->engine, j->row.id);
        job_new_attempt(j, b_own, "its key was reported compromised; the order was cancelled");
}
