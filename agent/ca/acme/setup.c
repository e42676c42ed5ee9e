/* Before anything else: the directory, then the account. Done once for all operations that wait, by an operation of
 * the CA's own, so that one of them may be cancelled without harm to the others. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/ca/acme/acme.h"
#include "agent/net/loop.h"

/* Those who waited for no more than this go on, each from a timer of its own: what they do may even close the CA. */
static void wake(struct ca *ca, enum acme_want reached, const struct err *err)
{
        for (struct ca_call *op = ca->calls; op; op = op->next) {
                if (op->want == ACME_WANT_NOTHING || (!err && op->want > reached) || op == ca->alone)
                        continue;
                op->want = ACME_WANT_NOTHING;
                op->failed = err != NULL;
                if (err)
                        op->outcome = *err;
                timer_start(op->timer, 0);
        }
}

static bool anybody_waits(const struct ca *ca)
{
        for (const struct ca_call *op = ca->calls; op; op = op->next)
                if (op->want != ACME_WANT_NOTHING)
                        return true;
        return false;
}

static void setup_end(struct ca_call *op, const struct err *err)
{
        wake(op->ca, ACME_WANT_ACCOUNT, err);
        acme_op_free(op);
}

static void account_answered(struct ca_call *op, void *tag, const struct acme_answer *a, const struct err *err);

static void key_made(struct ca_call *op, struct key *key, const struct err *err)
{
        struct err e;
        if (err)
                return setup_end(op, err);
        if (!acme_account_key_own(op->ca, key, &e) || !acme_account_ask(op, account_answered, &e))
                setup_end(op, &e);
}

/* e NULL: it was read. */
static void bound_account(struct ca *ca, struct err *e)
{
        if (!e)
                ca->garble.account.since_ms = 0;
        else if (strcmp(e->code, ACME_UNREADABLE) == 0)
                acme_unread(&ca->garble.account, e);
}

static void account_took(struct ca_call *op, const struct acme_answer *a, const struct err *err)
{
        struct ca *ca = op->ca;
        struct err e;
        bool good = acme_account_take(ca, a, err, &e);
        bound_account(ca, good ? NULL : &e);
        if (good && !acme_account_is_known(ca)) { /* found, but its contact is an old one */
                if (!acme_account_ask(op, account_answered, &e))
                        setup_end(op, &e);
                return;
        }
        setup_end(op, good ? NULL : &e);
}

/* newAccount was answered by what is no account, without saying where it is: the CA may have made it all the same. */
static void account_found(struct ca_call *op, void *tag, const struct acme_answer *a, const struct err *err)
{
        const struct ca *ca = op->ca;
        struct err e;
        (void)tag;
        bool none = err && strcmp(err->code, "acme.accountDoesNotExist") == 0 && ca->conf->terms_agreed;
        if (none)
                err_set(&e, ERR_TEMPORARY, ACME_UNREADABLE,
                        "newAccount: its answer could not be read, and %s does not know the key: it is made anew",
                        ca->name);
        else if (!err && !a->location && !json_is_object(a->json))
                err_set(&e, ERR_TEMPORARY, ACME_UNREADABLE, "asking %s for the account by its key: no account came",
                        ca->name);
        else
                return account_took(op, a, err);
        account_took(op, NULL, &e);
}

static bool is_unread(const struct ca *ca, const struct acme_answer *a, const struct err *err)
{
        return !ca->account.url && a && (err || !a->location);
}

static void account_answered(struct ca_call *op, void *tag, const struct acme_answer *a, const struct err *err)
{
        struct err e;
        enum key_type other = err ? acme_account_other_key(op->ca, err) : KEY_NONE;
        (void)tag;
        if (other != KEY_NONE) {
                log_info(op->ca->name, "the CA does not take the account's key: making one of type %s",
                        key_type_name(other));
                if (!acme_key_start(op, other, key_made, &e))
                        setup_end(op, &e);
                return;
        }
        if (!is_unread(op->ca, a, err))
                return account_took(op, a, err);
        log_info(op->ca->name, "%s; asking for the account by its key",
                err ? err->text : "newAccount: the answer does not say where the account is");
        if (!acme_account_find(op, account_found, &e))
                setup_end(op, &e);
}

static void fresh_answered(struct ca_call *op, void *tag, const struct acme_answer *a, const struct err *err);

static void account_begin(struct ca_call *op)
{
        struct err e;
        const struct ca_call *alone = op->ca->alone;
        if (alone && alone->want == ACME_WANT_NOTHING) /* those who want more than the directory wait for that one */
                return acme_op_free(op);
        if (!anybody_waits(op->ca))
                return setup_end(op, NULL);
        bool loaded = acme_account_load(op->ca, &e);
        if (!loaded || acme_account_is_known(op->ca))
                return setup_end(op, loaded ? NULL : &e);
        if (op->ca->account.fresh ? !acme_account_fresh_ask(op, fresh_answered, &e)
                                  : !acme_account_ask(op, account_answered, &e))
                setup_end(op, &e);
}

/* A roll-over was cut off: the CA knows which key it took. */
static void fresh_answered(struct ca_call *op, void *tag, const struct acme_answer *a, const struct err *err)
{
        bool adopted;
        struct err e;
        (void)tag;
        bool settled = acme_account_fresh_settle(op->ca, a, err, &adopted, &e);
        bound_account(op->ca, settled ? NULL : &e);
        if (!settled)
                return setup_end(op, &e);
        account_begin(op);
}

bool acme_directory_take(struct ca *ca, const json_t *o, struct err *e)
{
        struct acme_directory d;
        if (!acme_directory_read(o, &d, e))
                return err_wrap(e, "%s", ca->directory_url);
        acme_directory_done(&ca->directory);
        ca->directory = d;
        ca->directory_ms = clock_boot_ms();
        return true;
}

/* What a server that waits for TLS says to a request in the clear: nothing, an alert, or that it cannot be read. */
static bool is_http_to_tls(const struct ca *ca, const struct err *e)
{
        return text_starts(ca->directory_url, "http://") &&
                (strcmp(e->code, "http.lost") == 0 || strcmp(e->code, "http.protocol") == 0 ||
                        strcmp(e->code, "acme.http-400") == 0);
}

/* A wrong URL is the likeliest mistake of a first day; it answers with a page, an error or a redirect. */
static void directory_failed(struct ca_call *op, const struct err *err)
{
        struct ca *ca = op->ca;
        struct err e = *err;
        bool unread = strcmp(e.code, ACME_UNREADABLE) == 0;
        int base = (int)(strlen(ca->name) - (ca->env.staging ? strlen(CA_STAGING_SUFFIX) : 0));
        if (unread)
                acme_unread(&ca->garble.directory, &e);
        if (!strstr(e.text, ca->directory_url))
                err_wrap(&e, "%s", ca->directory_url);
        if (!e.fix[0] && strcmp(e.code, "http.certificate") == 0)
                err_fix(&e,
                        "for a CA of your own set cas.%.*s.ca_bundle to its root certificate; of a public one see "
                        "whether "
                        "the directory's URL, the clock and ca-certificates are right",
                        base, ca->name);
        if (!e.fix[0] && strcmp(e.code, "http.roots") == 0 && ca->conf->ca_bundle)
                err_fix(&e, "set cas.%.*s.ca_bundle to a PEM file that dcvd can read", base, ca->name);
        if (!e.fix[0] && is_http_to_tls(ca, &e))
                err_fix(&e, "if the CA speaks TLS at that port, write https:// in cas.%.*s.directory", base, ca->name);
        if (!e.fix[0] && (e.kind == ERR_DENIED || e.kind == ERR_PROTOCOL || unread))
                err_fix(&e,
                        "correct cas.%s%s: the CA says what its directory is (Let's Encrypt: "
                        "https://acme-v02.api.letsencrypt.org/directory)",
                        ca->name, ca->env.staging ? "" : ".directory"); /* there the name ends in .staging */
        setup_end(op, &e);
}

static void directory_answered(struct ca_call *op, void *tag, const struct acme_answer *a, const struct err *err)
{
        struct err e;
        (void)tag;
        if (err)
                return directory_failed(op, err);
        if (!acme_directory_take(op->ca, a->json, &e))
                return directory_failed(op, &e);
        op->ca->garble.directory.since_ms = 0;
        wake(op->ca, ACME_WANT_DIRECTORY, NULL);
        account_begin(op);
}

static void run(struct ca_call *op, const struct err *err)
{
        struct err e;
        (void)err;
        if (op->ca->directory_ms)
                return account_begin(op);
        const struct acme_ask ask = {
                .action = "directory", .what = "the ACME directory", .url = op->ca->directory_url, .repeat = true
        };
        if (!acme_ask(op, &ask, directory_answered, NULL, &e))
                setup_end(op, &e);
}

static void clean(struct ca_call *op)
{
        (void)op; /* holds nothing */
}

bool acme_setup(struct ca *ca, struct err *e)
{
        if (ca->setup)
                return true;
        struct ca_call *op = calloc(1, sizeof *op);
        if (!op)
                return err_memory(e);
        acme_op_link(ca, op, clean);
        op->acts = true;
        if (!acme_op_later(op, run, e)) {
                acme_op_free(op);
                return false;
        }
        ca->setup = op;
        return true;
}

void acme_setup_anew(struct ca *ca)
{
        struct err e;
        if (anybody_waits(ca) && !acme_setup(ca, &e))
                wake(ca, ACME_WANT_ACCOUNT, &e);
}
