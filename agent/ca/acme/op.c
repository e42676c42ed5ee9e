/* Operations: how they stand in their CA's list, wait for directory and account, and end. */
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/ca/acme/acme.h"
#include "agent/net/loop.h"

#define DIRECTORY_AGE_MS (24 * 3600 * 1000)

void acme_op_link(struct ca *ca, struct ca_call *op, void (*clean)(struct ca_call *op))
{
        op->ca = ca;
        op->clean = clean;
        op->next = ca->calls;
        if (ca->calls)
                ca->calls->prev = op;
        ca->calls = op;
}

void acme_op_detach(struct ca_call *op)
{
        if (!op->ca)
                return;
        acme_requests_cancel(op);
        acme_key_cancel(op);
        timer_free(op->timer);
        op->timer = NULL;
        if (op->next)
                op->next->prev = op->prev;
        if (op->prev)
                op->prev->next = op->next;
        else
                op->ca->calls = op->next;
        if (op->ca->setup == op)
                op->ca->setup = NULL;
        op->ca = NULL;
}

void acme_op_free(struct ca_call *op)
{
        acme_op_detach(op);
        op->clean(op);
        free(op);
}

static void due(void *arg)
{
        struct ca_call *op = arg;
        struct err e = op->outcome;
        op->ready(op, op->failed ? &e : NULL);
}

bool acme_op_later(struct ca_call *op, acme_ready_fn *fn, struct err *e)
{
        if (!op->timer && !timer_new(&op->timer, op->ca->env.loop, due, op, e))
                return false;
        op->want = ACME_WANT_NOTHING;
        op->failed = false;
        op->ready = fn;
        timer_start(op->timer, 0);
        return true;
}

/* What a CA learns (renewal information, profiles) is known the day after. */
static bool directory_is_fresh(struct ca *ca)
{
        if (ca->directory_ms && clock_boot_ms() - ca->directory_ms > DIRECTORY_AGE_MS)
                ca->directory_ms = 0;
        return ca->directory_ms != 0;
}

bool acme_op_begin(struct ca_call *op, enum acme_want want, acme_ready_fn *ready, struct err *e)
{
        bool there = directory_is_fresh(op->ca) && (want == ACME_WANT_DIRECTORY || acme_account_is_known(op->ca));
        if (!acme_op_later(op, ready, e))
                return false;
        if (there)
                return true;
        timer_stop(op->timer);
        op->want = want;
        return acme_setup(op->ca, e);
}
