/* order(): newOrder. It spends nothing and may be repeated: the CA gives back the open order of the same names, or one
 * that is never used. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/ca/acme/acme.h"
#include "agent/net/address.h"
#include "agent/pki/chain.h"

#define OTHER_PROFILE "acme.profile"

struct order {
        struct acme_look look; /* of one that is refused, so that it goes back */
        struct err why; /* it is refused */
        struct texts names;
        enum conf_validation validation;
        char *replaces; /* NULL: none, or the CA did not want to hear of it */
        bool without_profile; /* the CA refused the one that is only preferred */
        bool (*sending)(void *arg, struct err *e);
        void *sending_arg;
        ca_id_fn *done;
        void *arg;
};

static void order_clean(struct ca_call *op)
{
        texts_done(&((struct order *)op)->names);
        free(((struct order *)op)->replaces);
        acme_look_clean(op);
}

static void order_end(struct order *o, const char *id, const struct err *err)
{
        acme_op_detach(&o->look.op);
        o->done(o->arg, id, err);
        acme_op_free(&o->look.op);
}

/* DNS names and addresses (RFC 8738), each once, in lower case. */
static json_t *identifiers(const struct texts *names)
{
        json_t *list = json_array();
        struct address a;
        for (size_t i = 0; list && i < names->count; i++) {
                json_t *one = json_object();
                bool ip = address_parse(names->item[i], 0, &a);
                if (!one || !json_put_text(one, "type", ip ? "ip" : "dns") ||
                        !json_put_text(one, "value", names->item[i]) || json_array_append_new(list, one) != 0) {
                        json_decref(list);
                        return NULL;
                }
        }
        return list;
}

const char *acme_profile(const struct ca *ca)
{
        const char *preferred = ca->conf->preferred_profile;
        if (ca->conf->profile)
                return ca->conf->profile;
        return preferred && texts_has(&ca->directory.profiles, preferred) ? preferred : NULL;
}

static char *payload_text(const struct order *o)
{
        const char *profile = o->without_profile ? NULL : acme_profile(o->look.op.ca);
        CLEANUP(json_decref_p) json_t *p = json_object();
        json_t *list = identifiers(&o->names);
        bool good = p && list && json_object_set_new(p, "identifiers", list) == 0;
        if (good && profile)
                good = json_put_text(p, "profile", profile);
        if (good && o->replaces && o->look.op.ca->directory.renewal_info)
                good = json_put_text(p, "replaces", o->replaces);
        return good ? json_text(p) : NULL;
}

/* An answer without the order's place. One that cannot be read either (why; NULL: it is JSON) passes; the order that
 * may have come of it spends nothing and is left to expire, and that is said. */
static bool no_place(const struct order *o, const struct acme_answer *a, const struct err *why, struct err *e)
{
        struct ca *ca = o->look.op.ca;
        struct acme_order order = { 0 };
        struct err mine = { 0 };
        if (!why && acme_order_read(a->json, &order, &mine)) {
                acme_order_done(&order);
                return err_set(e, ERR_PROTOCOL, "acme.order", "newOrder at %s: the order's URL is missing", ca->name);
        }
        *e = why ? *why : mine;
        if (!why)
                err_wrap(e, "newOrder for %s", o->names.item[0]);
        if (strcmp(e->code, ACME_UNREADABLE) != 0)
                return false;
        CLEANUP(free_p) char *text = text_dup(e->text);
        err_set(e, ERR_TEMPORARY, ACME_UNREADABLE,
                "%.300s; it does not say where the order is: one may be open at %s that nobody uses, and the next try "
                "opens another",
                text ? text : "", ca->name);
        acme_unread(&ca->garble.order, e);
        return false;
}

/* why: the answer is no JSON. Where it says the order's place all the same, that is read, by whoever looks at it next:
 * a second order is opened for none that may be there. */
static bool take(
        struct order *o, const struct acme_answer *a, const struct err *why, char ret_id[CA_ID_MAX], struct err *e)
{
        const char *url = a->location;
        if (!url)
                return no_place(o, a, why, e);
        if (strlen(url) >= CA_ID_MAX)
                return err_set(e, ERR_PROTOCOL, "acme.order", "newOrder at %s: the order's URL is too long",
                        o->look.op.ca->name);
        if (!acme_url_allowed(o->look.op.ca, url, e))
                return false;
        struct acme_note *n = acme_note_get(o->look.op.ca, url);
        if (!n)
                return err_memory(e);
        const char *profile = o->look.op.ca->conf->profile, *echoed = json_str(a->json, "profile");
        if (profile && echoed && strcmp(profile, echoed) != 0) {
                err_set(e, ERR_DENIED, OTHER_PROFILE, "%s opened the order with profile %.60s, not with %s",
                        o->look.op.ca->name, echoed, profile);
                return err_fix(e, "change or remove cas.%s.profile", o->look.op.ca->name);
        }
        n->validation = o->validation;
        n->looks = 0;
        n->taken_ms = 0;
        texts_done(&n->names);
        if (!texts_copy(&n->names, &o->names))
                return err_memory(e);
        n->fresh = !why && acme_note_take(n, a, e);
        if (!n->fresh && !why && strcmp(e->code, ACME_UNREADABLE) != 0)
                return false;
        if (!n->fresh)
                log_info(o->look.op.ca->name, "%s; order %s is read instead", why ? why->text : e->text, url);
        o->look.op.ca->garble.order.since_ms = 0;
        snprintf(ret_id, CA_ID_MAX, "%s", url);
        return true;
}

/* It was opened, and is not used: what is pending of it goes back. That it may fail changes nothing. */
static void given(struct acme_look *l, const struct err *err)
{
        struct order *o = (struct order *)l;
        struct err why = o->why;
        (void)err;
        acme_note_forget(l->op.ca, l->url);
        order_end(o, NULL, &why);
}

static void seen(struct acme_look *l, struct acme_note *n, const struct err *err)
{
        (void)n;
        if (err)
                return given(l, err);
        acme_look_give_back(l, given);
}

static void give_back(struct order *o, const struct acme_answer *a, const struct err *why)
{
        struct acme_note *n = acme_note_find(o->look.op.ca, a->location);
        struct err e;
        o->why = *why;
        o->look.url = text_dup(a->location);
        if (!n || !o->look.url || !acme_note_take(n, a, &e))
                return order_end(o, NULL, why);
        n->fresh = o->look.may_use_fresh = true;
        o->look.depth = ACME_LOOK_ALL;
        o->look.seen = seen;
        acme_look_again(&o->look);
}

static void ask(struct order *o);

/* What it replaces only spares us a limit: an order that is refused for it goes without. That of an account that the
 * CA does not know is not. */
static bool refused_for_replaces(const struct order *o, const struct err *err)
{
        return o->replaces && o->look.op.ca->directory.renewal_info && o->look.op.ca->account.url &&
                (err->kind == ERR_DENIED || strcmp(err->code, "acme.alreadyReplaced") == 0);
}

/* Some servers have no word for it: what is only preferred is worth the question. */
static bool refused_for_profile(const struct order *o, const struct err *err)
{
        static const char *const codes[] = { "acme.invalidProfile", "acme.malformed", "acme.unauthorized" };
        bool one = false;
        for (size_t i = 0; i < ARRAY_LEN(codes); i++)
                one = one || strcmp(err->code, codes[i]) == 0;
        return one && !o->without_profile && o->look.op.ca->conf->preferred_profile && acme_profile(o->look.op.ca);
}

/* Where it is not the CA's word, nothing is spent by asking again. */
static void order_refused(struct order *o, const struct err *err)
{
        struct err e = *err;
        if (strcmp(e.code, ACME_UNREADABLE) == 0)
                acme_unread(&o->look.op.ca->garble.order, &e);
        acme_limit_note_names(o->look.op.ca, &o->names, &e);
        order_end(o, NULL, &e);
}

static void answered(struct ca_call *op, void *tag, const struct acme_answer *a, const struct err *err)
{
        struct order *o = (struct order *)op;
        char id[CA_ID_MAX];
        struct err e;
        (void)tag;
        if (err && refused_for_replaces(o, err)) {
                log_info(op->ca->name, "%s; again without naming what it replaces", err->text);
                free(o->replaces);
                o->replaces = NULL;
                return ask(o);
        }
        if (err && refused_for_profile(o, err)) {
                log_warning(op->ca->name, "%s; again without the preferred profile", err->text);
                o->without_profile = true;
                return ask(o);
        }
        if (err && !a)
                return order_refused(o, err);
        if (take(o, a, err, id, &e))
                return order_end(o, id, NULL);
        if (strcmp(e.code, OTHER_PROFILE) == 0)
                return give_back(o, a, &e);
        order_end(o, NULL, &e);
}

static void ask(struct order *o)
{
        struct ca_call *op = &o->look.op;
        struct err e;
        CLEANUP(free_p) char *payload = payload_text(o);
        CLEANUP(free_p) char *what = text_format("newOrder for %s", o->names.item[0]);
        if (!payload || !what) {
                err_memory(&e);
                return order_end(o, NULL, &e);
        }
        const struct acme_ask ask = { .action = "newOrder",
                .what = what,
                .url = op->ca->directory.new_order,
                .sign = ACME_KID,
                .payload = payload,
                .repeat = true,
                .turn = ACME_TURN_ORDERS };
        if (!acme_ask(op, &ask, answered, NULL, &e))
                order_end(o, NULL, &e);
}

static void ready(struct ca_call *op, const struct err *err)
{
        struct order *o = (struct order *)op;
        struct err e;
        if (err)
                return order_end(o, NULL, err);
        if (!acme_limit_check(op->ca, &o->names, &e) || (o->sending && !o->sending(o->sending_arg, &e)))
                return order_end(o, NULL, &e);
        ask(o);
}

struct ca_call *acme_order(struct ca *ca, const struct ca_order_request *r, ca_id_fn *done, void *arg, struct err *e)
{
        if (!r->names || r->names->count == 0) {
                err_set(e, ERR_BUG, "acme.names", "an order without names");
                return NULL;
        }
        struct order *o = calloc(1, sizeof *o);
        if (!o) {
                err_memory(e);
                return NULL;
        }
        o->validation = r->validation;
        o->sending = r->sending;
        o->sending_arg = r->sending_arg;
        o->done = done;
        o->arg = arg;
        acme_op_link(ca, &o->look.op, order_clean);
        bool good = texts_copy(&o->names, r->names);
        if (!good)
                err_memory(e);
        if (r->replaces_der)
                (void)cert_renewal_id(
                        r->replaces_der, r->replaces_len, &o->replaces, NULL); /* one that cannot be named */
        if (!good || !acme_op_begin(&o->look.op, ACME_WANT_ACCOUNT, ready, e)) {
                acme_op_free(&o->look.op);
                return NULL;
        }
        return &o->look.op;
}
