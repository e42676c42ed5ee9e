/* The step issued: the chain is fetched, checked, and kept as a set. */
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/crash.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/job/internal.h"
#include "agent/pki/chain.h"

static json_t *issued_meta(const struct job *j, const struct chain *c)
{
        json_t *o = set_meta_new(c, "issued", false, clock_now_s());
        json_put_text(o, "ca", j->row.ca);
        json_put_text(o, "order", j->row.order_id);
        json_put_i64(o, "job", j->row.id);
        return o;
}

static bool key_of(struct job *j, const char *spki, struct secret *ret, struct err *e)
{
        if (j->policy->key_csr)
                return true; /* held elsewhere: the set has none */
        if (compromised_has(j->engine->keystore, spki))
                return err_set(e, ERR_PROTOCOL, "cert.key",
                        "the CA issued for the key %.16s..., which is marked compromised", spki);
        return keystore_get_pem(j->engine->keystore, spki, ret, e);
}

/* By the CA's clock where it is known: a host whose own is wrong must not throw away what was paid for. */
static int64_t now_by_ca_s(const struct job *j)
{
        int64_t now_s = j->ca->ops->server_time_s ? j->ca->ops->server_time_s(j->ca->ca) : 0;
        return now_s ? now_s : clock_now_s();
}

static bool accept_chain(struct job *j, const struct chain *c, struct err *e)
{
        const struct ca_subject *s = job_subject(j);
        const char *spki = j->row.spki ? j->row.spki : c->leaf.spki_hex;
        if (!j->row.spki && !keystore_has(j->engine->keystore, c->leaf.spki_hex)) {
                err_set(e, ERR_PROTOCOL, "cert.key", "order %s was opened for a key that is not on this host",
                        j->row.order_id);
                return err_fix(e,
                        "where it was opened has the key: dcvctl import %s --cert FILE --key FILE; or dcvctl reissue "
                        "%s once more, with a key of this host",
                        j->row.cert, j->row.cert);
        }
        struct chain_rules r = { .spki_hex = spki,
                .names = &j->policy->names,
                .extra_ok = s ? &s->names : NULL,
                .now_s = now_by_ca_s(j),
                .old_sha256 = s && s->cert_sha256[0] && !subject_is_untaken(s) ? s->cert_sha256 : NULL };
        if (!chain_check(c, &r, e))
                return false;
        char date[32];
        format_date(c->leaf.not_after_s, date, sizeof date);
        if (s && s->not_after_s && j->ca->ops->can & CONF_CA_NEEDS_CERTIFICATE_ID)
                job_note(j,
                        c->leaf.not_after_s == s->not_after_s ? "same end date as before: %s"
                                                              : "R6: the end date moved to %s",
                        date);
        return true;
}

static bool write_set(struct set_change *c, struct err *e)
{
        return sets_write(c->sets, c->cert, &c->chain, &c->key_pem, c->meta, &c->number, e);
}

static void set_written(struct job *j, struct set_change *c, const struct err *err)
{
        if (err) {
                struct err e = *err;
                err_wrap(&e, "certificate of order %s", j->row.order_id);
                return job_trouble(j, &e);
        }
        crash_point("set.written");
        j->row.set_number = c->number;
        job_set(&j->row.cert_sha256, c->chain.leaf.sha256);
        job_set(&j->row.spki, c->chain.leaf.spki_hex);
        struct store_batch *b = store_batch_new();
        if (b)
                job_put_order(j, b, false, 0);
        job_go_with(j, JOB_DEPLOYED, b, "issued");
}

static bool read_issued(struct job *j, const char *text, size_t len, struct set_change *ret, struct err *e)
{
        if (!chain_read(text, len, j->row.spki, &ret->chain, e))
                return false;
        ret->meta = issued_meta(j, &ret->chain);
        return accept_chain(j, &ret->chain, e) && key_of(j, ret->chain.leaf.spki_hex, &ret->key_pem, e);
}

static void fetched(void *arg, const char *text, size_t len, const struct err *err)
{
        struct job *j = arg;
        struct err e;
        j->ca_call = NULL;
        if (err && err->kind == ERR_DENIED && job_orders_cost_nothing(j) && !j->foreign) {
                j->foreign = true; /* the CA has it no more; one that always says so costs two certificates */
                return job_order_again(j, err->text);
        }
        if (err)
                return job_trouble(j, err);
        struct set_change *c = set_change_new(j);
        if (!c) {
                err_memory(&e);
                return job_trouble(j, &e);
        }
        bool good = read_issued(j, text, len, c, &e);
        if (good && !j->policy->staging)
                return set_change_start(j, c, write_set, set_written);
        set_change_free(c);
        if (good)
                return staging_done(j);
        err_wrap(&e, "certificate of order %s", j->row.order_id);
        if (strcmp(e.code, "chain.no-leaf") == 0 && job_orders_cost_nothing(j) && !j->foreign) {
                j->foreign = true; /* two hosts of one account; a CA that always errs costs two certificates */
                return job_order_again(j, "somebody else finalized the order, with a key of theirs");
        }
        job_trouble(j, &e);
}

void step_issued(struct job *j)
{
        struct err e;
        if (!job_have_ca(j))
                return;
        j->ca_call = j->ca->ops->fetch(j->ca->ca, j->row.order_id, fetched, j, &e);
        if (!j->ca_call)
                job_trouble(j, &e);
}
