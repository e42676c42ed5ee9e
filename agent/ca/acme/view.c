/* view() and diagnose(): what an order waits for, and what the CA says of each name. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/ca/acme/acme.h"
#include "agent/ca/acme/problem.h"
#include "validators/persist.h"

#define PATIENCE_MS (10 * 60 * 1000) /* a CA that was told and never comes */
#define MAKING_MS (24 * 3600 * 1000) /* one that makes the certificate: it counts, another one too */
#define ORDER_ALONE_MS 5000 /* so long the order says enough; then its authorizations are read too */

struct view {
        struct acme_look look;
        struct ca_view last; /* of an order that is given up, while its authorizations go back */
        struct err why; /* nothing can be done for it, while they go back */
        ca_view_fn *done;
        ca_text_fn *text_done;
        void *arg;
};

/* ---- proofs ---- */

static char *key_authorization(const struct ca *ca, const char *token)
{
        return text_format("%s.%s", token, ca->account.thumbprint);
}

/* "_ujmmovf2vn55tgye": the first ten bytes of the account's hash, so that each account has a record of its own
 * (draft-ietf-acme-dns-account-label). */
char *acme_account_label(const char *account)
{
        static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
        uint8_t hash[32];
        char text[17];
        sha256(account, strlen(account), hash);
        for (size_t i = 0, bit = 0; i < 16; i++, bit += 5) {
                unsigned two = (unsigned)hash[bit / 8] << 8 | hash[bit / 8 + 1];
                text[i] = alphabet[two >> (11 - bit % 8) & 31];
        }
        text[16] = '\0';
        return text_format("_%s._acme-challenge", text);
}

/* What is published is a hash, by DNS or by a handshake. */
static bool hash_fill(const struct ca *ca, const char *authorization, const char *type, struct proof *ret)
{
        bool tls = strcmp(type, "tls-alpn-01") == 0;
        CLEANUP(free_p)
        char *label =
                strcmp(type, "dns-account-01") == 0 ? acme_account_label(ca->account.url) : text_dup("_acme-challenge");
        uint8_t hash[32];
        if (!label)
                return false;
        sha256(authorization, strlen(authorization), hash);
        ret->type = tls ? PROOF_TLS : PROOF_TXT;
        ret->place = tls ? text_dup(ret->name) : text_format("%s.%s", label, ret->name);
        ret->value = base64url_encode(hash, sizeof hash);
        return ret->place && ret->value;
}

/* A name and its wildcard have one record name, where the wildcard's record permits both: a person writes one. */
static bool wants_wildcard(const struct acme_note *n, const struct acme_authz *a)
{
        for (size_t i = 0; i < n->place_count; i++) {
                const struct acme_authz *other = &n->place[i].authz;
                if (n->place[i].known && other->wildcard && other->status == ACME_PENDING &&
                        text_equal_nocase(other->name, a->name))
                        return true;
        }
        return a->wildcard;
}

static bool is_there(const struct ca_view *v, const struct proof *p)
{
        for (size_t i = 0; i < v->proof_count; i++)
                if (proof_equal(&v->proof[i], p))
                        return true;
        return false;
}

static bool proof_fill(const struct ca *ca, const struct acme_note *n, const struct acme_authz *a,
        const struct acme_challenge *c, struct proof *ret)
{
        if (strcmp(c->type, "dns-persist-01") == 0)
                return persist_proof(a->name, wants_wildcard(n, a), &c->issuers, ca->account.url, ret);
        CLEANUP(free_p) char *authorization = key_authorization(ca, c->token);
        if (!authorization || !(ret->name = text_dup(a->name)))
                return false;
        if (strcmp(c->type, "http-01") != 0)
                return hash_fill(ca, authorization, c->type, ret);
        ret->type = PROOF_FILE;
        ret->place = text_dup(a->name);
        ret->path = text_format("/.well-known/acme-challenge/%s", c->token);
        ret->value = STEAL(authorization);
        return ret->place && ret->path;
}

static bool proofs_fill(const struct ca *ca, const struct acme_note *n, struct ca_view *v, struct err *e)
{
        v->proof = calloc(n->place_count + 1, sizeof *v->proof);
        if (!v->proof)
                return err_memory(e);
        for (size_t i = 0; i < n->place_count; i++) {
                const struct acme_authz *a = &n->place[i].authz;
                if (a->status != ACME_PENDING)
                        continue;
                const struct acme_challenge *c = acme_note_is_asked(n, a, e) ? acme_note_challenge(n, a, e) : NULL;
                if (!c)
                        return false;
                struct proof *p = &v->proof[v->proof_count];
                bool filled = proof_fill(ca, n, a, c, p), there = filled && is_there(v, p);
                if (there)
                        proof_done(p);
                else
                        v->proof_count++;
                if (!filled)
                        return err_memory(e);
                if (!there && !proof_check(p, e))
                        return false;
        }
        return true;
}

/* ---- why it ended ---- */

static const json_t *authz_error(const struct acme_authz *a)
{
        for (size_t i = 0; i < a->count; i++)
                if (a->challenge[i].error)
                        return a->challenge[i].error;
        return NULL;
}

/* One that nothing can make valid any more; NULL: none. The order's own status may lag behind it. */
static const struct acme_authz *closed_place(const struct acme_note *n)
{
        for (size_t i = 0; i < n->place_count; i++)
                if (n->place[i].known && n->place[i].authz.status >= ACME_INVALID &&
                        n->place[i].authz.status <= ACME_REVOKED)
                        return &n->place[i].authz;
        return NULL;
}

static void end_fill(const struct acme_note *n, struct ca_view *v)
{
        struct buf b = { .max = 4096 };
        struct err e;
        v->end = CA_END_FAILED;
        v->end_again = true;
        for (size_t i = 0; i < n->place_count; i++) {
                const struct acme_authz *a = &n->place[i].authz;
                const json_t *error = n->place[i].known ? authz_error(a) : NULL;
                if (!error)
                        continue;
                acme_problem_inside(error, a->name, &e);
                v->again_after_s = MAX(v->again_after_s, e.retry_after_s);
                v->end_again = v->end_again && (e.kind == ERR_TEMPORARY || e.kind == ERR_RATE_LIMITED);
                buf_addf(&b, "%s%.220s", b.len ? "; " : "", e.text);
                snprintf(v->act, sizeof v->act, "%s", e.fix);
        }
        if (n->order.error && b.len == 0) { /* else it repeats what was said of one of the names */
                acme_problem_inside(n->order.error, "the order", &e);
                v->again_after_s = MAX(v->again_after_s, e.retry_after_s);
                v->end_again = e.kind == ERR_TEMPORARY || e.kind == ERR_RATE_LIMITED;
                buf_add(&b, e.text);
        }
        const struct acme_authz *closed = closed_place(n);
        if (b.len == 0 && closed)
                buf_addf(&b, "the authorization of %s is %s", closed->name, acme_status_name(closed->status));
        snprintf(v->end_reason, sizeof v->end_reason, "%s", b.len && b.data ? b.data : "the CA gave no reason");
        buf_done(&b);
}

/* ---- the view ---- */

/* What the CA was told to do and has not done yet. */
static struct acme_pace *awaited(struct ca *ca, const struct acme_note *n)
{
        if (n->order.status == ACME_PENDING)
                return n->told_ms ? &ca->validation : NULL;
        bool takes = n->order.status == ACME_READY || n->order.status == ACME_PROCESSING;
        return takes && n->taken_ms ? &ca->issuance : NULL;
}

static void deadline_fill(struct ca *ca, struct acme_note *n, struct ca_view *v)
{
        v->deadline_s = n->order.expires_s;
        v->poll_after_ms = acme_note_poll_ms(n, ca->quickest_us, awaited(ca, n));
        v->poll_exact = true;
        snprintf(v->state, sizeof v->state, "%s", acme_status_name(n->order.status));
}

static bool is_over(int64_t since_ms, int64_t patience_ms)
{
        return since_ms && clock_boot_ms() - since_ms > patience_ms;
}

static bool given_up(struct ca_view *v, const char *why)
{
        v->end = CA_END_FAILED;
        v->end_again = true;
        snprintf(v->end_reason, sizeof v->end_reason, "%s", why);
        return true;
}

static bool view_fill(struct ca *ca, struct acme_note *n, struct ca_view *v, struct err *e)
{
        deadline_fill(ca, n, v);
        switch (n->order.status) {
        case ACME_PENDING:
                v->validation_wanted = true;
                if (closed_place(n)) {
                        end_fill(n, v);
                        return true;
                }
                if (is_over(n->told_ms, PATIENCE_MS))
                        return given_up(v, "the CA was told to validate and did nothing for 10 minutes");
                return proofs_fill(ca, n, v, e);
        case ACME_READY:
                if (is_over(n->taken_ms, PATIENCE_MS))
                        return given_up(v, "the CA took the CSR, and asked for it again for 10 minutes");
                v->csr_wanted = n->taken_ms == 0; /* else it shows an old state: it is not sent twice */
                v->issuing = n->taken_ms != 0;
                return true;
        case ACME_PROCESSING:
                if (is_over(n->making_ms, MAKING_MS))
                        return given_up(v, "the CA was making the certificate for a day, and no end came");
                v->issuing = true;
                return true;
        case ACME_VALID:
                v->ready = true;
                return true;
        default:
                end_fill(n, v);
                return true;
        }
}

static void view_tell(struct view *w, const struct ca_view *v, const struct err *err)
{
        acme_op_detach(&w->look.op);
        w->done(w->arg, v, err);
        acme_op_free(&w->look.op);
}

static void gone_tell(struct view *w, const struct err *err)
{
        struct ca_view v = { .end = CA_END_CLOSED, .end_again = true };
        snprintf(v.end_reason, sizeof v.end_reason, "%.290s", err->text);
        snprintf(v.state, sizeof v.state, "gone");
        view_tell(w, &v, NULL);
}

/* Given up: what of it is still pending goes back. That it may fail changes nothing. */
static void given(struct acme_look *l, const struct err *err)
{
        struct view *w = (struct view *)l;
        if (err)
                log_info(l->op.ca->name, "%s", err->text);
        acme_note_forget(l->op.ca, l->url);
        view_tell(w, &w->last, NULL);
}

static void given_for_nothing(struct acme_look *l, const struct err *err)
{
        struct view *w = (struct view *)l;
        if (err)
                log_info(l->op.ca->name, "%s", err->text);
        acme_note_forget(l->op.ca, l->url);
        view_tell(w, NULL, &w->why);
}

static void seen(struct acme_look *l, struct acme_note *n, const struct err *err)
{
        struct view *w = (struct view *)l;
        struct ca_view v = { 0 };
        struct err e;
        if (err && strcmp(err->code, "acme.gone") == 0)
                return gone_tell(w, err);
        if (err)
                return view_tell(w, NULL, err);
        if (n->order.status == ACME_INVALID && l->depth != ACME_LOOK_ALL) { /* which name, and why */
                l->depth = ACME_LOOK_ALL;
                return acme_look_again(l);
        }
        n->garble.since_ms = 0;
        bool good = view_fill(l->op.ca, n, &v, &e);
        if (good && v.end != CA_END_NONE) {
                w->last = v; /* without proofs */
                return acme_look_give_back(l, given);
        }
        if (good) {
                view_tell(w, &v, NULL);
        } else if (e.kind == ERR_DENIED || e.kind == ERR_PROTOCOL) { /* the job ends, or goes to another CA */
                w->why = e;
                acme_look_give_back(l, given_for_nothing);
        } else {
                view_tell(w, NULL, &e);
        }
        ca_view_done(&v);
}

static struct view *view_new(struct ca *ca, void *arg, struct err *e)
{
        struct view *w = calloc(1, sizeof *w);
        if (!w) {
                err_memory(e);
                return NULL;
        }
        w->arg = arg;
        acme_op_link(ca, &w->look.op, acme_look_clean);
        return w;
}

struct ca_call *acme_view(struct ca *ca, const char *order_id, ca_view_fn *done, void *arg, struct err *e)
{
        struct view *w = view_new(ca, arg, e);
        if (!w)
                return NULL;
        const struct acme_note *n = acme_note_find(ca, order_id);
        w->done = done;
        w->look.may_use_fresh = true;
        w->look.anew = n && n->told_ms && clock_boot_ms() - n->told_ms > ORDER_ALONE_MS;
        if (!acme_look_begin(&w->look, ca, order_id, ACME_LOOK_OPEN, seen, e)) {
                acme_op_free(&w->look.op);
                return NULL;
        }
        return &w->look.op;
}

/* ---- diagnose ---- */

static void lines_add(const struct acme_note *n, struct buf *b)
{
        for (size_t i = 0; i < n->place_count; i++) {
                const struct acme_authz *a = &n->place[i].authz;
                const json_t *error = authz_error(a);
                struct err e;
                if (error)
                        acme_problem_inside(error, a->name, &e);
                buf_addf(b, "%s%s%s is %s%s%s", i ? "; " : "", a->wildcard ? "*." : "", a->name,
                        acme_status_name(a->status), error ? ": " : "", error ? e.text : "");
        }
}

static void told(struct acme_look *l, struct acme_note *n, const struct err *err)
{
        struct view *w = (struct view *)l;
        struct buf b = { .max = 8192 };
        struct err e = err ? *err : (struct err){ 0 };
        if (n)
                lines_add(n, &b);
        acme_op_detach(&l->op);
        w->text_done(w->arg, b.data ? b.data : "", b.len, err ? &e : NULL);
        buf_done(&b);
        acme_op_free(&l->op);
}

struct ca_call *acme_diagnose(struct ca *ca, const char *order_id, ca_text_fn *done, void *arg, struct err *e)
{
        struct view *w = view_new(ca, arg, e);
        if (!w)
                return NULL;
        w->text_done = done;
        if (!acme_look_begin(&w->look, ca, order_id, ACME_LOOK_ALL, told, e)) {
                acme_op_free(&w->look.op);
                return NULL;
        }
        return &w->look.op;
}
