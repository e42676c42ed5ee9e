/* inspect(): what can be said before an order, and what would be refused. Reads the directory, and where no order
 * follows the account; makes nothing. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/ca/acme/acme.h"

struct inspect {
        struct ca_call op;
        struct texts names;
        enum conf_validation validation;
        enum key_type key_type;
        bool dry;
        ca_subject_fn *done;
        void *arg;
};

static void inspect_clean(struct ca_call *op)
{
        texts_done(&((struct inspect *)op)->names);
}

static void inspect_end(struct inspect *i, const struct ca_subject *s, const struct err *err)
{
        acme_op_detach(&i->op);
        i->done(i->arg, s, err);
        acme_op_free(&i->op);
}

static bool check_profile(const struct ca *ca, struct err *e)
{
        const struct texts *offered = &ca->directory.profiles;
        struct buf b = { .max = 300 };
        if (!ca->conf->profile || texts_has(offered, ca->conf->profile))
                return true;
        for (size_t i = 0; i < offered->count; i++)
                buf_addf(&b, "%s%s", i ? ", " : "", offered->item[i]);
        err_set(e, ERR_CONFIG, "acme.profile", "%s does not offer profile %s; it offers: %s", ca->name,
                ca->conf->profile, b.data && offered->count ? b.data : "none");
        buf_done(&b);
        return err_fix(e, "change or remove cas.%s.profile", ca->name);
}

/* Before there is an account: what making it would be refused for. */
static bool check_making(const struct ca *ca, struct err *e)
{
        const char *terms = ca->directory.terms ? ca->directory.terms : "the CA's terms";
        if (!ca->conf->terms_agreed) {
                err_set(e, ERR_CONFIG, "acme.terms",
                        "%s: there is no account yet, and its terms were not agreed to: %s", ca->name, terms);
                return err_fix(e, "read %.200s, then set cas.%s.terms_agreed: true", terms, ca->name);
        }
        if (ca->directory.eab_required && !ca->conf->eab.kid) {
                err_set(e, ERR_CONFIG, "acme.externalAccountRequired",
                        "%s makes accounts only for its customers (external account binding)", ca->name);
                return err_fix(e,
                        "get a key id and an HMAC key at the CA and set cas.%s.eab: {kid: ..., hmac_key: {file: ...}}",
                        ca->name);
        }
        return true;
}

/* The configuration's own check refuses these; a job's policy may be older than it. */
static bool check_names(const struct inspect *i, struct err *e)
{
        for (size_t n = 0; n < i->names.count; n++)
                if (text_starts(i->names.item[n], "*.") && i->validation != VALIDATION_DNS)
                        return err_set(
                                e, ERR_CONFIG, "acme.wildcard", "%s can only be validated by dns", i->names.item[n]);
        return i->validation != VALIDATION_DNS_AUTO
                ? true
                : err_set(e, ERR_CONFIG, "acme.validation", "no ACME CA validates by %s; dns, file, tls-alpn",
                          conf_validation_name(i->validation));
}

/* What is only preferred is done without, and said. */
static bool note_profile(const struct ca *ca, struct ca_subject *s)
{
        const char *wanted = ca->conf->preferred_profile;
        if (!wanted || texts_has(&ca->directory.profiles, wanted))
                return true;
        CLEANUP(free_p)
        char *note = text_format("%s does not offer the preferred profile %s; ordered without", ca->name, wanted);
        return note && texts_add(&s->notes, note);
}

static bool subject_fill(struct inspect *i, struct ca_subject *s, struct err *e)
{
        const struct ca *ca = i->op.ca;
        *s = (struct ca_subject){ .key_type = i->key_type != KEY_NONE ? i->key_type : KEY_EC_P256,
                .validation = i->validation,
                .validation_expected = true };
        const char *profile = acme_profile(ca);
        s->product = profile ? text_format("ACME, profile %s", profile) : text_dup("ACME");
        bool good = s->product && texts_copy(&s->names, &i->names) && note_profile(ca, s);
        if (good)
                return true;
        ca_subject_done(s);
        return err_memory(e);
}

static void conclude(struct inspect *i)
{
        struct ca_subject s;
        struct err e;
        if (!subject_fill(i, &s, &e))
                return inspect_end(i, NULL, &e);
        acme_op_detach(&i->op);
        i->done(i->arg, &s, NULL);
        ca_subject_done(&s);
        acme_op_free(&i->op);
}

/* An account that the CA forgot is made anew, where it may be. */
static void account_told(struct ca_call *op, void *tag, const struct acme_answer *a, const struct err *err)
{
        struct inspect *i = (struct inspect *)op;
        struct err e;
        (void)tag;
        bool forgotten = err && strcmp(err->code, "acme.accountDoesNotExist") == 0;
        if (err && !forgotten)
                return inspect_end(i, NULL, err);
        if (forgotten ? !check_making(op->ca, &e) : !acme_account_check(op->ca, a, &e))
                return inspect_end(i, NULL, &e);
        conclude(i);
}

/* Costs a request: an order is refused for the same, and says it as well. Of an account whose URL is not known, or
 * whose key is in question, only the order's own way can tell. */
static void ask_account(struct inspect *i)
{
        struct ca *ca = i->op.ca;
        struct err e;
        if (!acme_account_load(ca, &e))
                return inspect_end(i, NULL, &e);
        if (!ca->account.url || ca->account.fresh || ca->alone)
                return conclude(i);
        i->op.acts = true;
        if (!acme_account_read(&i->op, account_told, &e))
                inspect_end(i, NULL, &e);
}

static void ready(struct ca_call *op, const struct err *err)
{
        struct inspect *i = (struct inspect *)op;
        struct err e;
        if (err)
                return inspect_end(i, NULL, err);
        bool account = acme_account_on_disk(op->ca);
        if (!acme_limit_check(op->ca, &i->names, &e) || !check_profile(op->ca, &e) ||
                !(account || check_making(op->ca, &e)) || !check_names(i, &e))
                return inspect_end(i, NULL, &e);
        if (account && i->dry)
                return ask_account(i);
        conclude(i);
}

struct ca_call *acme_inspect(
        struct ca *ca, const struct ca_subject_request *r, ca_subject_fn *done, void *arg, struct err *e)
{
        struct inspect *i = calloc(1, sizeof *i);
        if (!i) {
                err_memory(e);
                return NULL;
        }
        i->validation = r->validation;
        i->key_type = r->key_type != KEY_NONE ? r->key_type : r->reuse_type;
        i->dry = r->dry;
        i->done = done;
        i->arg = arg;
        acme_op_link(ca, &i->op, inspect_clean);
        bool good = texts_copy(&i->names, r->names);
        if (!good)
                err_memory(e);
        if (!good || !acme_op_begin(&i->op, ACME_WANT_DIRECTORY, ready, e)) {
                acme_op_free(&i->op);
                return NULL;
        }
        return &i->op;
}
