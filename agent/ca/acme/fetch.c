/* fetch(): the certificate, and with preferred_chain its alternates until one ends below that root. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/ca/acme/acme.h"
#include "agent/ca/acme/link.h"
#include "agent/net/http.h"
#include "agent/pki/chain.h"

#define PEM_TYPE "application/pem-certificate-chain"

struct fetch {
        struct acme_look look;
        char *first; /* the default chain */
        struct texts alternates;
        size_t next;
        ca_text_fn *done;
        void *arg;
};

static void fetch_clean(struct ca_call *op)
{
        struct fetch *f = (struct fetch *)op;
        free(f->first);
        texts_done(&f->alternates);
        acme_look_clean(op);
}

static void fetch_end(struct fetch *f, const char *pem, const struct err *err)
{
        struct err e = err ? *err : (struct err){ 0 };
        CLEANUP(free_p) char *copy = text_dup(pem);
        if (pem && !copy)
                err_memory(&e);
        if (copy) /* the order is over: a process that issues for years keeps nothing of it */
                acme_note_forget(f->look.op.ca, f->look.url);
        acme_op_detach(&f->look.op);
        f->done(f->arg, copy ? copy : "", copy ? strlen(copy) : 0, copy ? NULL : &e);
        acme_op_free(&f->look.op);
}

/* A NUL would hide what follows it. */
static bool is_chain(const struct acme_answer *a)
{
        return !memchr(a->body, '\0', a->body_len) && chain_has_only_certificates(a->body, a->body_len);
}

/* The first block of the default chain is its leaf, but for a few CAs, whose alternates are done without. */
static bool has_same_leaf(const char *chain, const char *other)
{
        static const char end[] = "-----END CERTIFICATE-----";
        const char *from = strstr(chain, "-----BEGIN CERTIFICATE-----"), *to = from ? strstr(from, end) : NULL;
        CLEANUP(free_p) char *leaf = to ? text_dup_n(from, (size_t)(to - from)) : NULL;
        return leaf && strstr(other, leaf);
}

static void alternate_next(struct fetch *f);

static void alternate_answered(struct ca_call *op, void *tag, const struct acme_answer *a, const struct err *err)
{
        struct fetch *f = (struct fetch *)op;
        const char *wanted = op->ca->conf->preferred_chain;
        (void)tag;
        if (err) /* the default chain is good too */
                log_err(op->ca->name, "an alternate chain could not be fetched", err);
        else if (chain_ends_below(a->body, a->body_len, wanted) && is_chain(a) && has_same_leaf(f->first, a->body))
                return fetch_end(f, a->body, NULL);
        alternate_next(f);
}

static void alternate_next(struct fetch *f)
{
        struct ca *ca = f->look.op.ca;
        struct err e;
        while (f->next < f->alternates.count) {
                const struct acme_ask ask = { .action = "certificate",
                        .what = "an alternate chain",
                        .url = f->alternates.item[f->next++],
                        .sign = ACME_KID,
                        .payload = "",
                        .accept = PEM_TYPE,
                        .repeat = true };
                if (acme_ask(&f->look.op, &ask, alternate_answered, NULL, &e))
                        return;
                log_err(ca->name, "an alternate chain could not be fetched", &e);
        }
        log_warning(ca->name, "none of the %zu chains offered ends below \"%s\"; the default one is used",
                f->alternates.count + 1, ca->conf->preferred_chain);
        fetch_end(f, f->first, NULL);
}

/* It was made and counts for the CA's limits: it is asked for again where a copy of the CA's data may only lag. */
static void not_fetched(struct fetch *f, const struct err *err)
{
        struct err e = *err;
        if (strcmp(e.code, ACME_UNREADABLE) == 0 || text_ends(e.code, "http-404") ||
                strcmp(e.code, "acme.malformed") == 0) {
                e.kind = ERR_PROTOCOL;
                acme_note_unread(acme_note_find(f->look.op.ca, f->look.url), &e);
        }
        fetch_end(f, NULL, &e);
}

static void answered(struct ca_call *op, void *tag, const struct acme_answer *a, const struct err *err)
{
        struct fetch *f = (struct fetch *)op;
        const char *wanted = op->ca->conf->preferred_chain;
        struct err e;
        (void)tag;
        if (err)
                return not_fetched(f, err);
        if (!strstr(a->body, "-----BEGIN ")) { /* a page: the certificate is still there to be had */
                err_set(&e, ERR_PROTOCOL, ACME_UNREADABLE, "%s sent no certificate, but something else", op->ca->name);
                acme_note_unread(acme_note_find(op->ca, f->look.url), &e);
                return fetch_end(f, NULL, &e);
        }
        if (!is_chain(a)) {
                err_set(&e, ERR_PROTOCOL, "acme.chain", "%s sent something else than certificates", op->ca->name);
                return fetch_end(f, NULL, &e);
        }
        if (!wanted || chain_ends_below(a->body, a->body_len, wanted))
                return fetch_end(f, a->body, NULL);
        f->first = text_dup(a->body);
        if (!f->first || !acme_links(a->http, "alternate", &f->alternates)) {
                err_memory(&e);
                return fetch_end(f, NULL, &e);
        }
        alternate_next(f);
}

static void seen(struct acme_look *l, struct acme_note *n, const struct err *err)
{
        struct fetch *f = (struct fetch *)l;
        struct err e;
        if (err)
                return fetch_end(f, NULL, err);
        if (n->order.status != ACME_VALID || !n->order.certificate) {
                err_set(&e, ERR_TEMPORARY, "acme.certificate", "order %s is %s and shows no certificate", l->url,
                        acme_status_name(n->order.status));
                return fetch_end(f, NULL, &e);
        }
        const struct acme_ask ask = { .action = "certificate",
                .what = "the certificate",
                .url = n->order.certificate,
                .sign = ACME_KID,
                .payload = "",
                .accept = PEM_TYPE,
                .repeat = true };
        if (!acme_ask(&l->op, &ask, answered, NULL, &e))
                fetch_end(f, NULL, &e);
}

struct ca_call *acme_fetch(struct ca *ca, const char *order_id, ca_text_fn *done, void *arg, struct err *e)
{
        struct fetch *f = calloc(1, sizeof *f);
        if (!f) {
                err_memory(e);
                return NULL;
        }
        f->done = done;
        f->arg = arg;
        acme_op_link(ca, &f->look.op, fetch_clean);
        struct acme_note *n = acme_note_find(ca, order_id);
        if (n && n->order.status == ACME_VALID && n->order.certificate) {
                n->fresh = true; /* a valid order stays so */
                f->look.may_use_fresh = true;
        }
        if (!acme_look_begin(&f->look, ca, order_id, ACME_LOOK_ORDER, seen, e)) {
                acme_op_free(&f->look.op);
                return NULL;
        }
        return &f->look.op;
}
