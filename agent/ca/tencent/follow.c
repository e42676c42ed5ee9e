/* An order that is open: view, validate, diagnose, fetch. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/ca/tencent/check.h"
#include "agent/ca/tencent/tencent.h"
#include "agent/ca/tencent/view.h"

#define SPACE_MS 10000 /* between two requests to validate, or two checks, of one order */

struct follow {
        struct ca_call op;
        char id[TC_ID_MAX];
        struct tc_cert order;
        bool same_id;
        struct tc_before before;
        union {
                ca_view_fn *view;
                ca_done_fn *done;
                ca_text_fn *text;
        } fn;
        void *arg;
};

static void follow_clean(struct ca_call *op)
{
        tc_cert_done(&((struct follow *)op)->order);
}

static struct follow *follow_new(struct ca *ca, const char *order_id, void *arg, struct err *e)
{
        if (!tc_id_check(order_id, e))
                return NULL;
        struct follow *f = calloc(1, sizeof *f);
        if (!f) {
                err_memory(e);
                return NULL;
        }
        snprintf(f->id, sizeof f->id, "%s", order_id);
        f->arg = arg;
        tc_op_link(ca, &f->op, follow_clean);
        return f;
}

static struct ca_call *follow_start(struct follow *f, bool ok)
{
        if (ok)
                return &f->op;
        tc_op_free(&f->op);
        return NULL;
}

static bool order_read(struct follow *f, const json_t *response, const struct err *err, struct err *e)
{
        if (!err && !tc_cert_read(response, f->id, &f->order))
                return err_memory(e);
        if (!err)
                return true;
        *e = *err;
        tc_err_place(f->op.ca, e, f->id);
        return false;
}

static void brand_note(struct follow *f)
{
        struct tc_note *n = tc_notes_get(&f->op.ca->notes, f->id);

        if (!n)
                return;
        n->brand_known = true;
        n->can_complete = tc_product_can_complete(tc_product_of(&f->order));
}

/* ---- view ---- */

static void view_finish(struct follow *f, const struct ca_view *view, const struct err *err)
{
        if (view && view->ready && f->same_id)
                tc_same_forget(f->op.ca, f->id);
        if (view && (view->ready || view->end != CA_END_NONE))
                tc_notes_forget(&f->op.ca->notes, f->id);
        tc_op_detach(&f->op);
        f->fn.view(f->arg, view, err);
        tc_op_free(&f->op);
}

static struct tc_view_input view_input(struct follow *f)
{
        const struct tc_note *n = tc_notes_find(&f->op.ca->notes, f->id);

        return (struct tc_view_input){ .order = &f->order,
                .now_s = tc_now_s(f->op.ca),
                .same_id = f->same_id,
                .old_fingerprint = f->before.fingerprint,
                .old_begin_s = f->before.begin_s,
                .validated = n ? n->validated : TC_UNKNOWN,
                .told_age_s = n && n->told_ms ? (clock_boot_ms() - n->told_ms) / 1000 : -1,
                .console = f->op.ca->console };
}

static void view_give(struct follow *f)
{
        struct tc_view_input in = view_input(f);
        struct ca_view v;
        struct err e;

        if (!tc_view_make(&in, &v, &e)) {
                tc_err_place(f->op.ca, &e, f->id);
                return view_finish(f, NULL, &e);
        }
        view_finish(f, &v, NULL);
        ca_view_done(&v);
}

/* A check that fails costs the refinement only. */
static void view_checked(struct ca_call *op, const json_t *response, const struct err *err)
{
        struct follow *f = (struct follow *)op;
        struct tc_note *n = tc_notes_get(&op->ca->notes, f->id);

        if (n && !err && tc_check_validated(response) != TC_UNKNOWN)
                n->validated = tc_check_validated(response);
        view_give(f);
}

static void view_answered(struct ca_call *op, const json_t *response, const struct err *err)
{
        struct follow *f = (struct follow *)op;
        struct err e;

        if (!order_read(f, response, err, &e))
                return view_finish(f, NULL, &e);
        brand_note(f);
        struct tc_note *n = tc_notes_find(&op->ca->notes, f->id);
        struct tc_view_input in = view_input(f);
        int64_t now_ms = clock_boot_ms();
        if (!n || !tc_view_needs_check(&in) || (n->checked_ms && now_ms - n->checked_ms < SPACE_MS))
                return view_give(f);
        n->checked_ms = now_ms ? now_ms : 1;
        if (!tc_op_ask_id(op, 0, "CheckCertificateDomainVerification", f->id, false, view_checked, &e))
                view_give(f);
}

struct ca_call *tc_view(struct ca *ca, const char *order_id, ca_view_fn *done, void *arg, struct err *e)
{
        struct follow *f = follow_new(ca, order_id, arg, e);

        if (!f)
                return NULL;
        f->fn.view = done;
        f->same_id = tc_same_recall(ca, order_id, &f->before);
        /* The fingerprint is shown in the long form only, which is the heavier one. */
        const char *action = f->same_id ? "DescribeCertificateDetail" : "DescribeCertificate";
        return follow_start(f, tc_op_ask_id(&f->op, 0, action, f->id, false, view_answered, e));
}

/* ---- validate ---- */

static void validate_finish(struct follow *f, const struct err *err)
{
        tc_op_detach(&f->op);
        f->fn.done(f->arg, err);
        tc_op_free(&f->op);
}

static void validate_over(struct ca_call *op)
{
        validate_finish((struct follow *)op, NULL);
}

/* The service looks by itself: what it refuses here (issued meanwhile, no right to the call) stops nothing. */
static void complete_answered(struct ca_call *op, const json_t *response, const struct err *err)
{
        struct follow *f = (struct follow *)op;

        (void)response;
        if (err && err->kind != ERR_DENIED)
                return validate_finish(f, err);
        if (err)
                log_info(op->ca->name, "CompleteCertificate of %s was refused, the CA looks by itself: %s", f->id,
                        err->text);
        validate_finish(f, NULL);
}

static bool complete_ask(struct follow *f, struct err *e)
{
        struct tc_note *n = tc_notes_get(&f->op.ca->notes, f->id);
        int64_t now_ms = clock_boot_ms();

        if (!n)
                return err_memory(e);
        bool soon = n->told_ms && now_ms - n->told_ms < SPACE_MS;
        if (!soon)
                n->told_ms = now_ms ? now_ms : 1;
        if (soon || !n->can_complete)
                return tc_op_wait(&f->op, 0, validate_over, e);
        return tc_op_ask_id(&f->op, 0, "CompleteCertificate", f->id, false, complete_answered, e);
}

static void brand_answered(struct ca_call *op, const json_t *response, const struct err *err)
{
        struct follow *f = (struct follow *)op;
        struct err e;

        if (!order_read(f, response, err, &e))
                return validate_finish(f, &e);
        brand_note(f);
        if (!complete_ask(f, &e))
                validate_finish(f, &e);
}

struct ca_call *tc_validate(struct ca *ca, const char *order_id, ca_done_fn *done, void *arg, struct err *e)
{
        struct follow *f = follow_new(ca, order_id, arg, e);

        if (!f)
                return NULL;
        f->fn.done = done;
        const struct tc_note *n = tc_notes_find(&ca->notes, order_id);
        if (n && n->brand_known)
                return follow_start(f, complete_ask(f, e));
        return follow_start(f, tc_op_ask_id(&f->op, 0, "DescribeCertificate", f->id, false, brand_answered, e));
}

/* ---- diagnose ---- */

static void text_finish(struct follow *f, const char *text, const struct err *err)
{
        struct err e;

        if (err) {
                e = *err;
                tc_err_place(f->op.ca, &e, f->id);
        }
        tc_op_detach(&f->op);
        f->fn.text(f->arg, text, text ? strlen(text) : 0, err ? &e : NULL);
        tc_op_free(&f->op);
}

static void diagnose_answered(struct ca_call *op, const json_t *response, const struct err *err)
{
        CLEANUP(buf_done) struct buf text = { 0 };
        struct err e;

        if (err)
                return text_finish((struct follow *)op, NULL, err);
        if (!tc_check_text(response, &text)) {
                err_memory(&e);
                return text_finish((struct follow *)op, NULL, &e);
        }
        text_finish((struct follow *)op, text.data, NULL);
}

struct ca_call *tc_diagnose(struct ca *ca, const char *order_id, ca_text_fn *done, void *arg, struct err *e)
{
        struct follow *f = follow_new(ca, order_id, arg, e);

        if (!f)
                return NULL;
        f->fn.text = done;
        return follow_start(
                f, tc_op_ask_id(&f->op, 0, "CheckCertificateDomainVerification", f->id, false, diagnose_answered, e));
}

/* ---- fetch ---- */

static void fetch_answered(struct ca_call *op, const json_t *response, const struct err *err)
{
        struct follow *f = (struct follow *)op;
        struct err e;

        if (err)
                return text_finish(f, NULL, err);
        if (!tc_cert_read(response, f->id, &f->order)) {
                err_memory(&e);
                return text_finish(f, NULL, &e);
        }
        if (f->order.status != TC_ISSUED || !f->order.pem) {
                err_set(&e, ERR_TEMPORARY, "tc.not-issued", "%s shows no certificate yet (status %d, %s)", f->id,
                        f->order.status, tc_status_text(f->order.status));
                return text_finish(f, NULL, &e);
        }
        text_finish(f, f->order.pem, NULL);
}

/* CertificatePublicKey is the chain, leaf first; the ZIP of DownloadCertificate holds nothing more and is not needed.
 */
struct ca_call *tc_fetch(struct ca *ca, const char *order_id, ca_text_fn *done, void *arg, struct err *e)
{
        struct follow *f = follow_new(ca, order_id, arg, e);

        if (!f)
                return NULL;
        f->fn.text = done;
        return follow_start(f, tc_op_ask_id(&f->op, 0, "DescribeCertificateDetail", f->id, false, fetch_answered, e));
}
