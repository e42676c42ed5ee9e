/* Looking at an order: the order itself, then as many of its authorizations as the operation needs, some at a time; and
 * giving them back when it is given up, so that they do not pile up (RFC 8555 section 7.5.2). */
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/ca/acme/acme.h"

#define AT_ONCE 8

static void next_places(struct acme_look *l);

static void tell(struct acme_look *l, const struct err *err)
{
        struct err e = err ? *err : (struct err){ 0 };
        acme_requests_cancel(&l->op);
        l->open = 0;
        struct acme_note *n = err ? NULL : acme_note_find(l->op.ca, l->url);
        l->seen(l, n, err ? &e : NULL);
}

/* The answer is no order, or no authorization, at all. */
static void tell_unread(struct acme_look *l, const struct err *err)
{
        struct err e = *err;
        acme_note_unread(acme_note_find(l->op.ca, l->url), &e);
        tell(l, &e);
}

static void place_answered(struct ca_call *op, void *tag, const struct acme_answer *a, const struct err *err)
{
        struct acme_look *l = (struct acme_look *)op;
        struct acme_place *p = tag;
        struct acme_authz authz;
        struct err e;
        l->open--;
        if (err && p->known) /* it was read before */
                return next_places(l);
        if (err)
                return strcmp(err->code, ACME_UNREADABLE) == 0 ? tell_unread(l, err) : tell(l, err);
        if (!acme_authz_read(a->json, &authz, &e)) {
                err_wrap(&e, "authorization %s", p->url);
                /* One that says hostile things is read well. */
                return strcmp(e.code, ACME_UNREADABLE) == 0 ? tell_unread(l, &e) : tell(l, &e);
        }
        if (p->known)
                acme_authz_done(&p->authz);
        p->authz = authz;
        p->known = true;
        next_places(l);
}

static bool is_wanted(const struct acme_look *l, const struct acme_note *n, const struct acme_place *p)
{
        if (l->depth == ACME_LOOK_ALL)
                return true;
        return l->depth == ACME_LOOK_OPEN && n->order.status == ACME_PENDING &&
                (!p->known || (l->anew && p->authz.status == ACME_PENDING));
}

static void next_places(struct acme_look *l)
{
        struct acme_note *n = acme_note_find(l->op.ca, l->url);
        struct err e;
        for (; n && l->next < n->place_count && l->open < AT_ONCE; l->next++) {
                struct acme_place *p = &n->place[l->next];
                if (!is_wanted(l, n, p))
                        continue;
                const struct acme_ask ask = { .action = "authorization",
                        .what = "reading an authorization",
                        .url = p->url,
                        .sign = ACME_KID,
                        .payload = "",
                        .repeat = true,
                        .turn = ACME_TURN_AUTHORIZATIONS };
                if (!acme_ask(&l->op, &ask, place_answered, p, &e))
                        return tell(l, &e);
                l->open++;
        }
        if (l->open == 0)
                tell(l, NULL);
}

static void places_begin(struct acme_look *l)
{
        l->next = 0;
        next_places(l);
}

/* A stored order that the CA has no more (RFC 8555 lets it forget): said so, never asked for ever. */
static void order_gone(struct acme_look *l, const struct err *err)
{
        struct err e;
        if (strcmp(err->code, ACME_UNREADABLE) == 0)
                return tell_unread(l, err);
        bool foreign = l->op.ca->account.forgotten && strcmp(err->code, "acme.unauthorized") == 0; /* of the old one */
        if (!foreign && !text_ends(err->code, "http-404") && strcmp(err->code, "acme.malformed") != 0)
                return tell(l, err);
        acme_note_forget(l->op.ca, l->url);
        err_set(&e, ERR_DENIED, "acme.gone", "%s has order %s no more: %s", l->op.ca->name, l->url, err->text);
        tell(l, &e);
}

static void order_answered(struct ca_call *op, void *tag, const struct acme_answer *a, const struct err *err)
{
        struct acme_look *l = (struct acme_look *)op;
        struct err e;
        (void)tag;
        if (err)
                return order_gone(l, err);
        struct acme_note *n = acme_note_get(op->ca, l->url);
        if (!n)
                err_memory(&e);
        if (!n || !acme_note_take(n, a, &e))
                return strcmp(e.code, ACME_UNREADABLE) == 0 ? tell_unread(l, &e) : tell(l, &e);
        places_begin(l);
}

void acme_look_again(struct acme_look *l)
{
        struct err e;
        const struct acme_ask ask = { .action = "order",
                .what = "reading the order",
                .url = l->url,
                .sign = ACME_KID,
                .payload = "",
                .repeat = true };
        struct acme_note *n = acme_note_find(l->op.ca, l->url);
        bool fresh = n && n->fresh && l->may_use_fresh;
        if (n)
                n->fresh = false;
        if (fresh)
                return places_begin(l);
        if (!acme_ask(&l->op, &ask, order_answered, NULL, &e))
                tell(l, &e);
}

static void ready(struct ca_call *op, const struct err *err)
{
        struct acme_look *l = (struct acme_look *)op;
        if (err)
                return tell(l, err);
        acme_look_again(l);
}

bool acme_look_begin(struct acme_look *l, struct ca *ca, const char *url, enum acme_depth depth,
        void (*seen)(struct acme_look *l, struct acme_note *n, const struct err *err), struct err *e)
{
        l->depth = depth;
        l->seen = seen;
        l->url = text_dup(url);
        if (!l->url)
                return err_memory(e);
        (void)ca;
        return acme_op_begin(&l->op, ACME_WANT_ACCOUNT, ready, e);
}

/* ---- giving back ---- */

static void give_some(struct acme_look *l);

static void given(struct acme_look *l, const struct err *err)
{
        struct err e = err ? *err : (struct err){ 0 };
        acme_requests_cancel(&l->op);
        l->given(l, err ? &e : NULL);
}

static void given_answered(struct ca_call *op, void *tag, const struct acme_answer *a, const struct err *err)
{
        struct acme_look *l = (struct acme_look *)op;
        struct acme_place *p = tag;
        (void)a;
        l->open--;
        if (err && !acme_is_decided(err)) /* also where no CA's word came: that it has it back is not known */
                return given(l, err);
        acme_authz_done(&p->authz);
        p->known = false;
        give_some(l);
}

static bool give(struct acme_look *l, struct acme_place *p, struct err *e)
{
        CLEANUP(free_p) char *what = text_format("giving back %s", p->authz.name);
        const struct acme_ask ask = { .action = "authorization",
                .what = what,
                .url = p->url,
                .sign = ACME_KID,
                .payload = "{\"status\":\"deactivated\"}",
                .repeat = true,
                .turn = ACME_TURN_AUTHORIZATIONS };
        return what ? acme_ask(&l->op, &ask, given_answered, p, e) : err_memory(e);
}

static void give_some(struct acme_look *l)
{
        struct acme_note *n = acme_note_find(l->op.ca, l->url);
        struct err e;
        for (; n && l->next < n->place_count && l->open < AT_ONCE; l->next++) {
                struct acme_place *p = &n->place[l->next];
                if (!p->known || p->authz.status != ACME_PENDING)
                        continue;
                if (!give(l, p, &e))
                        return given(l, &e);
                l->open++;
        }
        if (l->open == 0)
                given(l, NULL);
}

void acme_look_give_back(struct acme_look *l, void (*fn)(struct acme_look *l, const struct err *err))
{
        l->given = fn;
        l->next = 0;
        give_some(l);
}

void acme_look_clean(struct ca_call *op)
{
        free(((struct acme_look *)op)->url);
}
