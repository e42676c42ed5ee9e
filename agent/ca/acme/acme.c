/* ACME (RFC 8555), as Let's Encrypt, Google, ZeroSSL, step-ca, Pebble and others speak it.
 * Documentation: RFC 8555, RFC 8738 (addresses), draft-ietf-acme-profiles. Authentication: an account key of our own
 * (STATE/accounts/<ca>), at some CAs bound to a customer's account once (eab). Limits: a CA's rateLimited and
 * Retry-After, kept over restarts. Retried: refused nonces, reads, newOrder and newAccount, which spend nothing.
 * finalize goes once; after a lost answer the order is read first. This CA issues, renews and replaces alike: every
 * certificate is a new order. */
#include "agent/ca/acme/acme.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "config/yaml.h"

static const char *acme_staging(const void *conf)
{
        return ((const struct acme_conf *)conf)->staging;
}

static void acme_close(struct ca *ca)
{
        if (!ca)
                return;
        while (ca->calls)
                acme_op_free(ca->calls);
        acme_turns_done(&ca->turns);
        acme_notes_done(ca);
        acme_nonces_drop(ca);
        acme_directory_done(&ca->directory);
        acme_account_done(&ca->account);
        free(ca->origin);
        free(ca->state_directory);
        free(ca->name);
        free(ca);
}

static bool acme_open(struct ca **ret, const struct ca_env *env, const void *conf, struct err *e)
{
        const struct acme_conf *c = conf;
        struct ca *ca = calloc(1, sizeof *ca);
        if (!ca)
                return err_memory(e);
        ca->env = *env;
        ca->conf = c;
        ca->env.name = ca->name = text_dup(env->name);
        ca->state_directory = text_dup(env->state_directory ? env->state_directory : ".");
        const char *url = ca->directory_url = env->staging ? c->staging : c->directory;
        ca->origin = acme_origin(ca->directory_url);
        if (!ca->name || !ca->state_directory || !ca->origin) {
                bool memory = !ca->name || !ca->state_directory;
                acme_close(ca);
                return memory ? err_memory(e) : err_set(e, ERR_CONFIG, "acme.directory", "%s is not a URL", url);
        }
        *ret = ca;
        return true;
}

static bool acme_attach(struct ca *ca, const struct ca_held *h, struct err *e)
{
        struct acme_note *n = acme_note_get(ca, h->order_id);
        if (!n)
                return err_memory(e);
        n->validation = h->validation;
        if (h->told && !n->told_ms) /* by an earlier process: the patience with the CA begins anew, and ends */
                n->told_ms = clock_boot_ms();
        return n->names.count > 0 || texts_copy(&n->names, h->names) || err_memory(e);
}

static void acme_cancel_call(struct ca *ca, struct ca_call *call)
{
        (void)ca;
        if (call)
                acme_op_free(call);
}

static int64_t acme_server_time(struct ca *ca)
{
        return ca->server_time_s ? ca->server_time_s + (clock_boot_ms() - ca->server_time_ms) / 1000 : 0;
}

extern const struct ca_ops ca_acme;
const struct ca_ops ca_acme = {
        .type = "acme",
        .can = CONF_CA_ISSUES | CONF_CA_RENEWS | CONF_CA_REISSUES | CONF_CA_TLS_ALPN,
        .keys = acme_keys,
        .conf_size = sizeof(struct acme_conf),
        .check = acme_check,
        .dns_label = "_acme-challenge",
        .about = acme_about,
        .file_folder = "/.well-known/acme-challenge/",
        .staging = acme_staging,
        .open = acme_open,
        .close = acme_close,
        .inspect = acme_inspect,
        .order = acme_order,
        .attach = acme_attach,
        .view = acme_view,
        .validate = acme_validate,
        .diagnose = acme_diagnose,
        .finalize = acme_finalize,
        .fetch = acme_fetch,
        .cancel_order = acme_cancel_order,
        .revoke = acme_revoke,
        .account = acme_account,
        .renewal = acme_renewal,
        .cancel = acme_cancel_call,
        .server_time_s = acme_server_time,
};
