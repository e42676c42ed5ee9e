/* order(): the one write that spends something. The subject is read once more, and only if it is still the newest
 * member is ReplaceCertificate sent, once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/ca/tencent/tencent.h"

#define REASON_MAX 120

struct order {
        struct ca_call op;
        char id[TC_ID_MAX];
        char *csr_pem, *reason; /* csr_pem NULL: the original's */
        enum conf_validation validation;
        struct tc_cert subject;
        bool (*sending)(void *arg, struct err *e);
        void *sending_arg;
        ca_id_fn *done;
        void *arg;
};

static void order_clean(struct ca_call *op)
{
        struct order *o = (struct order *)op;

        free(o->csr_pem);
        free(o->reason);
        tc_cert_done(&o->subject);
}

static void order_finish(struct order *o, const char *id, const struct err *err)
{
        struct err e;

        if (err) {
                e = *err;
                tc_err_place(o->op.ca, &e, o->id);
        }
        tc_op_detach(&o->op);
        o->done(o->arg, id, err ? &e : NULL);
        tc_op_free(&o->op);
}

static const char *valid_type(enum conf_validation v)
{
        return v == VALIDATION_FILE ? "FILE" : v == VALIDATION_DNS_AUTO ? "DNS_AUTO" : "DNS";
}

static json_t *replace_parameters(const struct order *o)
{
        json_t *p = json_object();
        bool ok = p && json_put_text(p, "CertificateId", o->id) &&
                json_put_text(p, "ValidType", valid_type(o->validation)) &&
                json_put_text(p, "CsrType", o->csr_pem ? "upload" : "original") &&
                json_put_text(p, "Reason", o->reason);

        if (ok && o->csr_pem)
                ok = json_put_text(p, "CsrContent", o->csr_pem);
        if (!ok)
                json_decref_p(&p);
        return p;
}

static void replace_answered(struct ca_call *op, const json_t *response, const struct err *err)
{
        struct order *o = (struct order *)op;
        const char *id = json_str(response, "CertificateId");
        char copy[TC_ID_MAX];
        struct err e;

        if (err && err->kind != ERR_UNKNOWN)
                tc_same_forget(op->ca, o->id);
        if (err)
                return order_finish(o, NULL, err);
        if (!tc_id_is_valid(id)) {
                err_set(&e, ERR_UNKNOWN, "tc.answer", "ReplaceCertificate of %s answered without a usable id", o->id);
                return order_finish(o, NULL, &e);
        }
        snprintf(copy, sizeof copy, "%s", id);
        (void)tc_notes_get(&op->ca->notes, copy); /* only serves to tell ours from others' */
        if (strcmp(copy, o->id) != 0)
                tc_same_forget(op->ca, o->id);
        log_info(op->ca->name, "ReplaceCertificate: %s is reissued as %s", o->id, copy);
        order_finish(o, copy, NULL);
}

/* What the subject was is kept before the write: should the reissue keep its id, only that tells new from old, over a
 * lost answer or a crash. */
static void replace_send(struct order *o)
{
        struct err e;

        if (!tc_same_remember(o->op.ca, &o->subject)) {
                err_set(&e, ERR_TEMPORARY, "tc.memory", "what %s is now could not be kept; nothing was sent", o->id);
                return order_finish(o, NULL, &e);
        }
        if (o->sending && !o->sending(o->sending_arg, &e)) {
                tc_same_forget(o->op.ca, o->id);
                return order_finish(o, NULL, &e);
        }
        if (!tc_op_ask(&o->op, 0, "ReplaceCertificate", replace_parameters(o), true, replace_answered, &e))
                order_finish(o, NULL, &e);
}

static void order_stop(struct order *o, const char *newer, int status)
{
        struct err e;

        err_set(&e, ERR_RULE, "R5",
                "R5: %s is no longer the newest: it was reissued as %s (status %d, %s) since it was looked at; nothing "
                "was sent",
                o->id, newer, status, tc_status_text(status));
        order_finish(o, NULL, &e);
}

static void newer_answered(struct ca_call *op, const json_t *response, const struct err *err)
{
        struct order *o = (struct order *)op;
        struct tc_cert c;
        struct err e;

        if (err && tc_is_gone(err))
                return replace_send(o);
        if (err)
                return order_finish(o, NULL, err);
        if (!tc_cert_read(response, o->subject.replaced_for, &c)) {
                err_memory(&e);
                return order_finish(o, NULL, &e);
        }
        /* A link to an older member, or to a reissue that ended without a certificate, is no obstacle. */
        bool older = c.inserted_s && o->subject.inserted_s ? c.inserted_s < o->subject.inserted_s
                                                           : strcmp(c.replaced_for, o->id) == 0;
        bool ended = tc_status_has_ended(c.status) && c.status != TC_EXPIRED && c.status != TC_REVOKED &&
                c.status != TC_REVOKING;
        char id[TC_ID_MAX];
        int status = c.status;
        snprintf(id, sizeof id, "%s", c.id);
        tc_cert_done(&c);
        if (older || ended)
                return replace_send(o);
        order_stop(o, id, status);
}

static void subject_answered(struct ca_call *op, const json_t *response, const struct err *err)
{
        struct order *o = (struct order *)op;
        struct err e;

        if (err)
                return order_finish(o, NULL, err);
        if (!tc_cert_read(response, o->id, &o->subject)) {
                err_memory(&e);
                return order_finish(o, NULL, &e);
        }
        if (o->subject.status == TC_REISSUING)
                return order_stop(o,
                        *o->subject.replaced_for ? o->subject.replaced_for : "an order that does not show its id yet",
                        TC_REISSUING);
        if (o->subject.status != TC_ISSUED) {
                err_set(&e, ERR_RULE, "R1", "R1: %s is not issued: status %d, %s; nothing was sent", o->id,
                        o->subject.status, tc_status_text(o->subject.status));
                return order_finish(o, NULL, &e);
        }
        if (!*o->subject.replaced_for)
                return replace_send(o);
        if (!tc_op_ask_id(&o->op, 0, "DescribeCertificate", o->subject.replaced_for, false, newer_answered, &e))
                order_finish(o, NULL, &e);
}

/* One line, printable, short; the field is for people at the CA. */
static char *reason_text(const char *reason)
{
        const char *given = reason && *reason ? reason : "key replacement";
        char *text = text_dup_n(given, strnlen(given, REASON_MAX));

        for (char *p = text; p && *p; p++)
                if ((unsigned char)*p < ' ' || (unsigned char)*p >= 0x7f)
                        *p = ' ';
        return text;
}

static bool order_check(const struct ca_order_request *r, struct err *e)
{
        if (!tc_id_check(r->subject_id, e))
                return false;
        if (r->validation == VALIDATION_TLS_ALPN)
                return err_set(e, ERR_CONFIG, "R16", "R16: Tencent Cloud does not validate by tls-alpn");
        if (!r->csr_pem && !r->same_csr)
                return err_set(e, ERR_BUG, "tc.csr", "an order without a CSR that is not for the same one");
        return true;
}

struct ca_call *tc_order(struct ca *ca, const struct ca_order_request *r, ca_id_fn *done, void *arg, struct err *e)
{
        if (!order_check(r, e))
                return NULL;
        struct order *o = calloc(1, sizeof *o);
        if (!o) {
                err_memory(e);
                return NULL;
        }
        snprintf(o->id, sizeof o->id, "%s", r->subject_id);
        o->validation = r->validation;
        o->sending = r->sending;
        o->sending_arg = r->sending_arg;
        o->done = done;
        o->arg = arg;
        tc_op_link(ca, &o->op, order_clean);
        o->csr_pem = r->same_csr ? NULL : text_dup(r->csr_pem);
        o->reason = reason_text(r->reason);
        bool ok = o->reason && (o->csr_pem || r->same_csr);
        if (!ok)
                err_memory(e);
        if (!ok || !tc_op_ask_id(&o->op, 0, "DescribeCertificateDetail", o->id, false, subject_answered, e)) {
                tc_op_free(&o->op);
                return NULL;
        }
        return &o->op;
}
