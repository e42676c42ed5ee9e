/* What is checked: names from the command line, or certificates of the configuration with all it says of them. */
#include <string.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "agent/ca/ca.h"
#include "agent/cli/check.h"
#include "agent/job/engine.h"

static bool method_of(enum conf_validation v, enum check_method *ret)
{
        switch (v) {
        case VALIDATION_FILE:
                *ret = METHOD_FILE;
                return true;
        case VALIDATION_TLS_ALPN:
                *ret = METHOD_TLS_ALPN;
                return true;
        case VALIDATION_DNS:
        case VALIDATION_DNS_AUTO:
                *ret = METHOD_DNS;
                return true;
        case VALIDATION_UNSET:
                break;
        }
        return false;
}

static bool method_named(const char *text, enum check_method *ret)
{
        static const struct {
                const char *name;
                enum check_method method;
        } methods[] = { { "dns", METHOD_DNS }, { "file", METHOD_FILE }, { "tls-alpn", METHOD_TLS_ALPN },
                { "dns-persist", METHOD_DNS_PERSIST } };
        for (size_t i = 0; i < ARRAY_LEN(methods); i++)
                if (text && strcmp(methods[i].name, text) == 0) {
                        *ret = methods[i].method;
                        return true;
                }
        return false;
}

const char **check_list(const struct texts *t)
{
        const char **list = t->count ? calloc(t->count + 1, sizeof *list) : NULL;
        for (size_t i = 0; list && i < t->count; i++)
                list[i] = t->item[i];
        return list;
}

static bool from_names(struct check_targets *ret, const struct check_options *c)
{
        struct check_target *t = &ret->item[0];
        if (!method_named(c->validation ? c->validation : "dns", &t->method))
                return cli_usage("--validation %s: dns, file, tls-alpn or dns-persist is possible", c->validation) == 0;
        if (!texts_copy(&t->names, &c->names))
                return cli_usage("no memory") == 0;
        for (size_t i = 0; i < t->names.count; i++) {
                size_t len = strlen(t->names.item[i]);
                if (len > 1 && t->names.item[i][len - 1] == '.')
                        t->names.item[i][len - 1] = '\0'; /* as people copy it from a zone */
        }
        ret->count = 1;
        struct texts caa = { .item = (char *[]){ (char *)(uintptr_t)c->caa }, .count = c->caa ? 1 : 0 };
        t->issuers = check_list(&caa);
        t->ca = c->caa;
        t->dns_label = "_acme-challenge";
        t->acme = true;
        t->internal = c->internal;
        t->names_max = c->caa && strcmp(c->caa, "letsencrypt.org") == 0 ? 100 : 0; /* the classic profile */
        t->value = c->value;
        t->conf = ret->conf;
        return true;
}

static void from_ca(struct check_target *t, const struct conf *conf, const struct conf_backend *ca)
{
        const struct ca_ops *ops = ca ? ca_ops_find(ca->kind->type) : NULL;
        struct ca_about about = { 0 };
        if (!ops)
                return;
        t->ca = ca->name;
        t->dns_label = ops->dns_label ? ops->dns_label : "_dnsauth";
        if (ops->about)
                ops->about(ca->parsed, ca->name, conf->state_directory, &about);
        t->acme = about.acme;
        t->internal = about.internal;
        t->names_max = about.names_max;
        t->directory = about.directory;
        t->ca_bundle = about.ca_bundle;
        t->account = about.account;
        t->own_label = about.dns_label;
        if (t->own_label)
                t->dns_label = t->own_label;
        if (t->method == METHOD_DNS && about.challenge && strcmp(about.challenge, "dns-persist-01") == 0)
                t->method = METHOD_DNS_PERSIST;
        t->issuers = about.caa ? check_list(about.caa) : NULL;
}

static enum conf_validation validation_at(const struct conf_cert *cert, size_t ca)
{
        return ca < cert->ca_count && cert->ca[ca].validation ? cert->ca[ca].validation : cert->validation;
}

/* What the further CAs of the list would want. */
static bool add_next(struct check_target *t)
{
        const struct conf_cert *cert = t->cert;
        struct check_target *next = cert->ca_count > 1 ? calloc(cert->ca_count, sizeof *next) : NULL;
        if (cert->ca_count < 2)
                return true;
        t->next = next;
        for (size_t i = 1; next && i < cert->ca_count; i++) {
                struct check_target *n = &next[t->next_count];
                *n = (struct check_target){ .label = t->label,
                        .names = t->names, /* borrowed */
                        .conf = t->conf,
                        .cert = cert,
                        .dns_label = "_dnsauth" };
                if (!method_of(validation_at(cert, i), &n->method))
                        n->method = t->method;
                from_ca(n, t->conf, config_ca(t->conf, cert->ca[i].ca));
                t->next_count++;
        }
        return next != NULL;
}

static bool from_cert(
        struct check_target *t, const struct conf *conf, const struct conf_cert *cert, const struct check_options *c)
{
        enum conf_validation v = validation_at(cert, 0);
        t->label = cert->name;
        t->conf = conf;
        t->cert = cert;
        t->dns_label = "_dnsauth";
        t->value = c->value;
        if (!method_of(v, &t->method) || !texts_copy(&t->names, &cert->names))
                return cli_usage("certificate %s has no validation", cert->name) == 0;
        if (cert->ca_count)
                from_ca(t, conf, config_ca(conf, cert->ca[0].ca));
        return add_next(t) || cli_usage("no memory") == 0;
}

static bool from_config(struct check_targets *ret, const struct check_options *c)
{
        for (size_t i = 0; i < c->certs.count; i++)
                if (!config_cert(ret->conf, c->certs.item[i])) {
                        const char *near = config_cert_near(ret->conf, c->certs.item[i]);
                        if (near)
                                return cli_usage("there is no certificate %s; did you mean %s? For a name that is "
                                                 "not configured: dcvctl check --name %s",
                                               c->certs.item[i], near, c->certs.item[i]) == 0;
                        return cli_usage("there is no certificate %s; for a name that is not configured: dcvctl check "
                                         "--name %s",
                                       c->certs.item[i], c->certs.item[i]) == 0;
                }
        for (size_t i = 0; i < ret->conf->cert_count; i++) {
                const struct conf_cert *cert = &ret->conf->cert[i];
                if (c->certs.count > 0 && !texts_has(&c->certs, cert->name))
                        continue;
                if (!from_cert(&ret->item[ret->count++], ret->conf, cert, c))
                        return false;
        }
        return ret->count > 0 ||
                cli_usage("no certificate is configured; dcvctl check --name NAME looks at a name") == 0;
}

/* For names alone the configuration is not needed, but its resolvers are the better ones. */
static void config_if_any(const struct cli_options *o, struct conf **ret)
{
        struct conf_problems p = { 0 };
        if (access(o->config, R_OK) == 0 && !config_load(o->config, engine_kinds(), ret, &p))
                cli_progress(o,
                        "the configuration %s cannot be used (dcvd --check-config says why): the resolvers of "
                        "/etc/resolv.conf are asked",
                        o->config);
        conf_problems_done(&p);
}

bool check_targets_make(struct check_targets *ret, const struct cli_options *o, const struct check_options *c)
{
        bool by_name = c->names.count > 0;
        struct err e;
        if (by_name && c->certs.count > 0)
                return cli_usage("certificates and --name exclude each other") == 0;
        if (!by_name && (c->validation || c->caa || c->internal))
                return cli_usage("--validation, --caa and --internal belong to --name; of a certificate the "
                                 "configuration says it") == 0;
        if (by_name)
                config_if_any(o, &ret->conf);
        else if (!cli_config(o, &ret->conf, &e))
                return cli_fail(o, &e) == 0;
        ret->item = calloc(by_name ? 1 : ret->conf->cert_count + 1, sizeof *ret->item);
        if (!ret->item)
                return cli_usage("no memory") == 0;
        return by_name ? from_names(ret, c) : from_config(ret, c);
}

static void forget_ca(const struct check_target *t)
{
        free(t->account);
        free(t->own_label);
        free((void *)(uintptr_t)t->issuers);
}

void check_targets_done(struct check_targets *t)
{
        for (size_t i = 0; i < t->count; i++) {
                texts_done(&t->item[i].names);
                forget_ca(&t->item[i]);
                for (size_t k = 0; k < t->item[i].next_count; k++)
                        forget_ca(&t->item[i].next[k]);
                free((void *)(uintptr_t)t->item[i].next);
        }
        check_forget_daemon(t);
        free(t->item);
        config_free(t->conf);
        *t = (struct check_targets){ 0 };
}
