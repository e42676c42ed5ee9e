/* finalize(): the one write that spends something, with one CSR per order. It is sent when the order is known to be
 * ready, and after a lost answer the order is read before anything is sent again (I2); the CSR is then the same one. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/crash.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/ca/acme/acme.h"
#include "agent/pki/csr.h"

#define TRIES 3

struct finalize {
        struct acme_look look;
        char *payload;
        unsigned tries;
        ca_done_fn *done;
        void *arg;
};

static void finalize_clean(struct ca_call *op)
{
        free(((struct finalize *)op)->payload);
        acme_look_clean(op);
}

static void finalize_end(struct finalize *f, const struct err *err)
{
        struct err e = err ? *err : (struct err){ 0 };
        acme_op_detach(&f->look.op);
        f->done(f->arg, err ? &e : NULL);
        acme_op_free(&f->look.op);
}

/* A CSR that was taken, answered by what is no order, is as good as a lost answer. */
static bool take(struct finalize *f, const struct acme_answer *a, struct err *e)
{
        struct acme_note *n = acme_note_get(f->look.op.ca, f->look.url);
        if (!n)
                err_memory(e);
        if (!n || !acme_note_take(n, a, e)) {
                e->kind = ERR_UNKNOWN;
                return false;
        }
        n->looks = 0;
        n->fresh = true;
        n->taken_ms = clock_boot_ms();
        return true;
}

static void answered(struct ca_call *op, void *tag, const struct acme_answer *a, const struct err *err)
{
        struct finalize *f = (struct finalize *)op;
        struct err e;
        (void)tag;
        crash_point("finalize.answered");
        if (!err && take(f, a, &e))
                return finalize_end(f, NULL);
        if (err)
                e = *err;
        /* An empty 404: of the order, which the next look then shows to be gone. */
        bool unread = strcmp(e.code, ACME_UNREADABLE) == 0 || strcmp(e.code, "acme.http-404") == 0;
        bool unclear = e.kind == ERR_UNKNOWN || unread || strcmp(e.code, "acme.orderNotReady") == 0;
        if (unclear && f->tries < TRIES) {
                log_info(op->ca->name, "%s; the order is read before anything is sent again", e.text);
                return acme_look_again(&f->look);
        }
        if (strcmp(e.code, "acme.badCSR") == 0 || strcmp(e.code, "acme.badPublicKey") == 0)
                snprintf(e.code, sizeof e.code, "%s", CA_KEY_REFUSED);
        if (unread) { /* the order waits for whoever mends that */
                e.kind = ERR_PROTOCOL;
                acme_note_unread(acme_note_find(op->ca, f->look.url), &e);
        }
        finalize_end(f, &e);
}

static void seen(struct acme_look *l, struct acme_note *n, const struct err *err)
{
        struct finalize *f = (struct finalize *)l;
        struct err e;
        if (err) /* one that is gone: the view says what comes of it */
                return finalize_end(f, strcmp(err->code, "acme.gone") == 0 ? NULL : err);
        l->may_use_fresh = false;
        if (n->order.status != ACME_READY ||
                n->taken_ms) { /* taken already, or another thing to do: the view decides */
                n->fresh = true;
                return finalize_end(f, NULL);
        }
        f->tries++;
        n->finalizing = true;
        crash_point("finalize.send");
        const struct acme_ask ask = { .action = "finalize",
                .what = "finalize",
                .url = n->order.finalize,
                .sign = ACME_KID,
                .payload = f->payload };
        if (!acme_ask(&l->op, &ask, answered, NULL, &e))
                finalize_end(f, &e);
}

static bool payload_make(const char *csr_pem, char **ret, struct err *e)
{
        CLEANUP(free_p) uint8_t *der = NULL;
        size_t len = 0;
        if (!csr_pem)
                return err_set(e, ERR_BUG, "acme.csr", "an order is to be finalized without a CSR");
        if (!csr_der(csr_pem, strlen(csr_pem), &der, &len, e))
                return false;
        CLEANUP(free_p) char *text = base64url_encode(der, len);
        *ret = text ? text_format("{\"csr\":\"%s\"}", text) : NULL;
        return *ret || err_memory(e);
}

struct ca_call *acme_finalize(
        struct ca *ca, const char *order_id, const char *csr_pem, ca_done_fn *done, void *arg, struct err *e)
{
        struct finalize *f = calloc(1, sizeof *f);
        if (!f) {
                err_memory(e);
                return NULL;
        }
        f->done = done;
        f->arg = arg;
        acme_op_link(ca, &f->look.op, finalize_clean);
        struct acme_note *n = acme_note_find(ca, order_id);
        if (n && n->order.status == ACME_READY && !n->finalizing) { /* seen a moment ago, nothing sent since */
                n->fresh = true;
                f->look.may_use_fresh = true;
        }
        if (!payload_make(csr_pem, &f->payload, e) ||
                !acme_look_begin(&f->look, ca, order_id, ACME_LOOK_ORDER, seen, e)) {
                acme_op_free(&f->look.op);
                return NULL;
        }
        return &f->look.op;
}
