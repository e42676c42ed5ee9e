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

/* What is signed with the account's old key while the CA takes the new one is refused, or has the new one given up. */
static bool anybody_acts(const struct ca *ca)
{
        for (const struct ca_call *op = ca->calls; op; op = op->next)
                if (op != ca->alone && op->acts && op->want == ACME_WANT_NOTHING)
                        return true;
        return false;
}

static void alone_look(struct ca *ca)
{
        struct ca_call *op = ca->alone;
        if (!op || op->want == ACME_WANT_NOTHING || anybody_acts(ca))
                return;
        op->want = ACME_WANT_NOTHING;
        op->failed = false;
        timer_start(op->timer, 0);
}

void acme_op_detach(struct ca_call *op)
{
        struct ca *ca = op->ca;
        if (!ca)
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
        if (ca->setup == op)
                ca->setup = NULL;
        op->ca = NULL;
        if (ca->alone != op)
                return alone_look(ca);
        ca->alone = NULL;
        acme_setup_anew(ca);
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
        bool held = op->ca->alone && want == ACME_WANT_ACCOUNT;
        bool there = directory_is_fresh(op->ca) && (want == ACME_WANT_DIRECTORY || acme_account_is_known(op->ca));
        if (!acme_op_later(op, ready, e))
                return false;
        op->acts = want == ACME_WANT_ACCOUNT;
        if (there && !held)
                return true;
        timer_stop(op->timer);
        op->want = want;
        if (!held)
                return acme_setup(op->ca, e);
        alone_look(op->ca);
        return true;
}

bool acme_op_alone(struct ca_call *op, acme_ready_fn *fn, struct err *e)
{
        if (op->ca->alone) /* asked for again when that one has ended */
                return acme_op_begin(op, ACME_WANT_ACCOUNT, op->ready, e);
        if (!acme_op_later(op, fn, e))
                return false;
        timer_stop(op->timer);
        op->want = ACME_WANT_ACCOUNT;
        op->ca->alone = op;
        alone_look(op->ca);
        return true;
}
