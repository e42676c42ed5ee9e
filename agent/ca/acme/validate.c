/* validate(): tells the CA to look now, every open name at once. cancel_order(): an ACME order cannot be cancelled, but
 * its open authorizations can be given back. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/ca/acme/acme.h"

#define AT_ONCE 8
#define UNREAD_TRIES 2

struct validate {
        struct acme_look look;
        size_t next, open;
        struct err unread; /* of a challenge: it may not have been told. No code: all were */
        unsigned unreads;
        ca_done_fn *done;
        void *arg;
};

static void post_some(struct validate *v);

static void validate_end(struct validate *v, const struct err *err)
{
        struct err e = err ? *err : (struct err){ 0 };
        acme_op_detach(&v->look.op);
        v->done(v->arg, err ? &e : NULL);
        acme_op_free(&v->look.op);
}

bool acme_is_decided(const struct err *err)
{
        return strcmp(err->code, "acme.malformed") == 0 || text_ends(err->code, "http-404");
}

static void posted(struct ca_call *op, void *tag, const struct acme_answer *a, const struct err *err)
{
        struct validate *v = (struct validate *)op;
        struct acme_place *p = tag;
        struct err none;
        v->open--;
        if (!err && !json_is_object(a->json)) {
                err_set(&none, ERR_PROTOCOL, ACME_UNREADABLE, "validating %s: no challenge came", p->authz.name);
                err = &none;
        }
        if (err && !acme_is_decided(err) && strcmp(err->code, ACME_UNREADABLE) != 0)
                return validate_end(v, err);
        p->told = !err;
        if (err && p->known) {
                acme_authz_done(&p->authz);
                p->known = false;
        }
        if (err)
                v->unread = *err;
        struct acme_note *n = acme_note_find(op->ca, v->look.url);
        if (n && a && a->retry_after_s > n->retry_after_s)
                n->retry_after_s = a->retry_after_s;
        post_some(v);
}

static bool post(struct validate *v, const struct acme_note *n, struct acme_place *p, struct err *e)
{
        CLEANUP(free_p) char *what = text_format("validating %s", p->authz.name);
        const struct acme_challenge *c = acme_note_challenge(n, &p->authz, e);
        if (!what)
                return err_memory(e);
        if (!c)
                return false;
        const struct acme_ask ask = {
                .action = "challenge", .what = what, .url = c->url, .sign = ACME_KID, .payload = "{}", .repeat = true
        };
        return acme_ask(&v->look.op, &ask, posted, p, e);
}

/* A page in the place of an answer, or no: what is still pending when it is read once more is told again, and that
 * harms nobody who was told before. */
static void tell_again(struct validate *v)
{
        v->unreads++;
        v->unread.code[0] = '\0';
        v->next = 0;
        acme_look_again(&v->look);
}

static void all_posted(struct validate *v, struct acme_note *n)
{
        struct err e = v->unread;
        if (n && e.code[0] && v->unreads < UNREAD_TRIES)
                return tell_again(v);
        if (strcmp(e.code, ACME_UNREADABLE) == 0) {
                acme_note_unread(n, &e);
                return validate_end(v, &e);
        } /* else it was told before, most likely: the order shows */
        if (n) {
                n->told_ms = clock_boot_ms();
                n->looks = 0;
                n->fresh = n->order.status == ACME_PENDING; /* asking at once would only bring that again */
        }
        validate_end(v, NULL);
}

static void given_for_nothing(struct acme_look *l, const struct err *err)
{
        struct validate *v = (struct validate *)l;
        (void)err; /* that it may fail changes nothing */
        validate_end(v, &v->unread);
}

/* A challenge at a place that is refused: nothing will come of the order. */
static void give_up(struct validate *v, const struct err *why)
{
        if (why->kind != ERR_PROTOCOL && why->kind != ERR_DENIED)
                return validate_end(v, why);
        v->unread = *why;
        acme_requests_cancel(&v->look.op);
        acme_look_give_back(&v->look, given_for_nothing);
}

static void post_some(struct validate *v)
{
        struct acme_note *n = acme_note_find(v->look.op.ca, v->look.url);
        struct err e;
        for (; n && v->next < n->place_count && v->open < AT_ONCE; v->next++) {
                struct acme_place *p = &n->place[v->next];
                if (!p->known || p->told || p->authz.status != ACME_PENDING)
                        continue;
                if (!post(v, n, p, &e))
                        return give_up(v, &e);
                v->open++;
        }
        if (v->open == 0)
                all_posted(v, n);
}

static void seen(struct acme_look *l, struct acme_note *n, const struct err *err)
{
        struct validate *v = (struct validate *)l;
        if (err) /* one that is gone: the view says what comes of it */
                return validate_end(v, strcmp(err->code, "acme.gone") == 0 ? NULL : err);
        l->may_use_fresh = false;
        if (n->order.status != ACME_PENDING)
                return all_posted(v, n); /* nothing is open (any more) */
        post_some(v);
}

static struct validate *validate_new(struct ca *ca, ca_done_fn *done, void *arg, struct err *e)
{
        struct validate *v = calloc(1, sizeof *v);
        if (!v) {
                err_memory(e);
                return NULL;
        }
        v->done = done;
        v->arg = arg;
        acme_op_link(ca, &v->look.op, acme_look_clean);
        return v;
}

struct ca_call *acme_validate(struct ca *ca, const char *order_id, ca_done_fn *done, void *arg, struct err *e)
{
        struct validate *v = validate_new(ca, done, arg, e);
        if (!v)
                return NULL;
        struct acme_note *n = acme_note_find(ca, order_id);
        for (size_t i = 0; n && i < n->place_count; i++)
                n->place[i].told = false;
        if (n && n->place_count > 0) {
                n->fresh = true; /* looked at a moment ago; what is not known of it is asked */
                v->look.may_use_fresh = true;
        }
        if (!acme_look_begin(&v->look, ca, order_id, ACME_LOOK_OPEN, seen, e)) {
                acme_op_free(&v->look.op);
                return NULL;
        }
        return &v->look.op;
}

/* ---- cancel_order ---- */

static void given(struct acme_look *l, const struct err *err)
{
        if (!err)
                acme_note_forget(l->op.ca, l->url);
        validate_end((struct validate *)l, err);
}

static void seen_last(struct acme_look *l, struct acme_note *n, const struct err *err)
{
        (void)n;
        if (err && strcmp(err->code, "acme.gone") == 0)
                return validate_end((struct validate *)l, NULL);
        if (err)
                return validate_end((struct validate *)l, err);
        acme_look_give_back(l, given);
}

struct ca_call *acme_cancel_order(struct ca *ca, const char *order_id, ca_done_fn *done, void *arg, struct err *e)
{
        struct validate *v = validate_new(ca, done, arg, e);
        if (v && !acme_look_begin(&v->look, ca, order_id, ACME_LOOK_ALL, seen_last, e)) {
                acme_op_free(&v->look.op);
                return NULL;
        }
        return v ? &v->look.op : NULL;
}
