/* The making of an account's key, in a thread of its own: one of RSA takes longer than the loop may stand still. */
#include <stdlib.h>

#include "agent/base/util.h"
#include "agent/ca/acme/acme.h"
#include "agent/net/loop.h"

/* The thread owns it while it runs; an operation that ends before clears op. */
struct acme_making {
        struct ca_call *op;
        acme_key_fn *fn;
        struct work *work;
        enum key_type type;
        struct key *key;
        bool good;
        struct err err;
};

static void make(void *arg)
{
        struct acme_making *m = arg;
        m->good = key_generate(m->type, &m->key, &m->err);
}

static void made(void *arg, bool abandoned)
{
        struct acme_making *m = arg;
        struct ca_call *op = m->op;
        if (op)
                op->making = NULL;
        if (op && !abandoned) /* abandoned though there is an operation: the loop ends, and nobody is called */
                m->fn(op, m->good ? STEAL(m->key) : NULL, m->good ? NULL : &m->err);
        key_free(m->key);
        free(m);
}

bool acme_key_start(struct ca_call *op, enum key_type type, acme_key_fn *fn, struct err *e)
{
        struct acme_making *m = calloc(1, sizeof *m);
        if (!m)
                return err_memory(e);
        *m = (struct acme_making){ .op = op, .fn = fn, .type = type };
        if (!work_start(&m->work, op->ca->env.loop, make, made, m, e)) {
                free(m);
                return false;
        }
        op->making = m;
        return true;
}

void acme_key_cancel(struct ca_call *op)
{
        struct acme_making *m = op->making;
        op->making = NULL;
        if (!m)
                return;
        m->op = NULL;
        work_abandon(m->work);
}
