/* cancel_order(): a reissue that runs is withdrawn from its review first (CancelAuditCertificate); what that refuses is
 * cancelled as an order (CancelCertificateOrder). After a refusal or a lost answer the order's state is read before
 * anything else is sent. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/ca/tencent/tencent.h"

#define SETTLE_MS 3000

enum cancel_step { CANCEL_AUDIT, CANCEL_ORDER, CANCEL_STEPS };
static const char *const actions[CANCEL_STEPS] = { "CancelAuditCertificate", "CancelCertificateOrder" };

struct cancel {
        struct ca_call op;
        char id[TC_ID_MAX];
        enum cancel_step step;
        struct err why; /* of the step that did not work */
        ca_done_fn *done;
        void *arg;
};

static void cancel_clean(struct ca_call *op)
{
        (void)op;
}

static void cancel_finish(struct cancel *c, const struct err *err)
{
        struct err e;

        if (err) {
                e = *err;
                tc_err_place(c->op.ca, &e, c->id);
        } else {
                tc_notes_forget(&c->op.ca->notes, c->id);
        }
        tc_op_detach(&c->op);
        c->done(c->arg, err ? &e : NULL);
        tc_op_free(&c->op);
}

static bool cancel_send(struct cancel *c, struct err *e);

static void state_answered(struct ca_call *op, const json_t *response, const struct err *err)
{
        struct cancel *c = (struct cancel *)op;
        int status = (int)json_i64(response, "Status", TC_STATUS_MISSING);
        struct err e;

        if (err) {
                if (c->why.kind != ERR_UNKNOWN)
                        return cancel_finish(c, err);
                return cancel_finish(c, &c->why);
        }
        if (status == TC_CANCELLING || tc_status_has_ended(status))
                return cancel_finish(c, NULL);
        if (status == TC_ISSUED) {
                err_set(&e, ERR_DENIED, "tc.issued", "order %s cannot be cancelled any more: it is issued", c->id);
                return cancel_finish(c, &e);
        }
        if (++c->step == CANCEL_STEPS)
                return cancel_finish(c, &c->why);
        if (!cancel_send(c, &e))
                cancel_finish(c, &e);
}

static void state_ask(struct ca_call *op)
{
        struct cancel *c = (struct cancel *)op;
        struct err e;

        if (!tc_op_ask_id(op, 0, "DescribeCertificate", c->id, false, state_answered, &e))
                cancel_finish(c, &e);
}

/* Result false comes with HTTP 200 and no Error, and is a refusal. */
static void cancel_answered(struct ca_call *op, const json_t *response, const struct err *err)
{
        struct cancel *c = (struct cancel *)op;
        struct err e;

        if (!err && (c->step == CANCEL_ORDER || json_bool(response, "Result", false)))
                return cancel_finish(c, NULL);
        if (err)
                c->why = *err;
        else
                err_set(&c->why, ERR_DENIED, "tc.result", "%s of %s answered that it did not", actions[c->step], c->id);
        if (c->why.kind == ERR_RATE_LIMITED || c->why.kind == ERR_TEMPORARY)
                return cancel_finish(c, &c->why);
        if (!tc_op_wait(op, c->why.kind == ERR_UNKNOWN ? SETTLE_MS : 0, state_ask, &e))
                cancel_finish(c, &e);
}

static bool cancel_send(struct cancel *c, struct err *e)
{
        return tc_op_ask_id(&c->op, 0, actions[c->step], c->id, true, cancel_answered, e);
}

struct ca_call *tc_cancel_order(struct ca *ca, const char *order_id, ca_done_fn *done, void *arg, struct err *e)
{
        if (!tc_id_check(order_id, e))
                return NULL;
        struct cancel *c = calloc(1, sizeof *c);
        if (!c) {
                err_memory(e);
                return NULL;
        }
        snprintf(c->id, sizeof c->id, "%s", order_id);
        c->done = done;
        c->arg = arg;
        tc_op_link(ca, &c->op, cancel_clean);
        if (!cancel_send(c, e)) {
                tc_op_free(&c->op);
                return NULL;
        }
        return &c->op;
}
