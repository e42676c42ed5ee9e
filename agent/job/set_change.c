/* What a job changes of its certificate's sets happens in a thread beside the loop: a disk that takes its time must not
 * keep tokens, the watchdog and the other jobs waiting. The job is `moving` meanwhile, as while its row is written. */
#include <stdlib.h>

#include "agent/base/util.h"
#include "agent/job/internal.h"
#include "agent/net/loop.h"

struct set_change *set_change_new(struct job *j)
{
        struct set_change *c = calloc(1, sizeof *c);
        if (!c)
                return NULL;
        c->sets = j->engine->sets;
        c->number = (unsigned)j->row.set_number;
        c->cert = text_dup(j->row.cert);
        if (c->cert)
                return c;
        free(c);
        return NULL;
}

void set_change_free(struct set_change *c)
{
        if (!c)
                return;
        chain_done(&c->chain);
        secret_done(&c->key_pem);
        json_decref(c->meta);
        store_batch_free(c->batch);
        free(c->old);
        free(c->text);
        free(c->cert);
        free(c);
}

static void run(void *arg)
{
        struct set_change *c = arg;
        c->good = c->make(c, &c->err);
}

static void made(void *arg, bool abandoned)
{
        struct set_change *c = arg;
        struct job *j = c->job;
        if (j) {
                j->set_change = NULL;
                j->moving = false;
        }
        if (j && !abandoned)
                c->then(j, c, c->good ? NULL : &c->err);
        set_change_free(c);
}

void set_change_start(struct job *j, struct set_change *own, set_change_fn *make, set_change_done_fn *then)
{
        struct err e;
        own->make = make;
        own->then = then;
        own->job = j;
        job_stop_work(j); /* its limit of time too: nothing ends what a disk does */
        if (!work_start(&own->work, j->engine->loop, run, made, own, &e)) {
                then(j, own, &e);
                return set_change_free(own);
        }
        j->set_change = own;
        j->moving = true;
}

void set_change_drop(struct job *j)
{
        struct set_change *c = j->set_change;
        j->set_change = NULL;
        if (!c)
                return;
        c->job = NULL;
        work_abandon(c->work);
}
