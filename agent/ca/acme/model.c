#include "agent/ca/acme/model.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/net/address.h"

#define CHALLENGES_MAX 32
#define TOKEN_MAX 128
#define TYPE_MAX 40
#define ISSUERS_MAX 10
#define HOST_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-."

static const char *const status_names[] = { "pending", "processing", "ready", "valid", "invalid", "deactivated",
        "expired", "revoked", "unknown" };

const char *acme_status_name(enum acme_status s)
{
        return status_names[(unsigned)s <= ACME_STRANGE ? s : ACME_STRANGE];
}

static enum acme_status status_of(const json_t *o)
{
        const char *text = json_str(o, "status");
        for (unsigned i = 0; text && i < ACME_STRANGE; i++)
                if (strcmp(text, status_names[i]) == 0)
                        return (enum acme_status)i;
        return ACME_STRANGE;
}

/* RFC 3986 section 2 has fewer; none of these has to be escaped in JSON. */
static bool is_url_text(const char *text)
{
        while (*text > ' ' && *text < 0x7f && *text != '"' && *text != '\\')
                text++;
        return !*text;
}

char *acme_origin(const char *url)
{
        bool tls = text_starts(url, "https://");
        if ((!tls && !text_starts(url, "http://")) || !is_url_text(url))
                return NULL;
        const char *host = url + (tls ? 8 : 7);
        size_t len = strcspn(host, "/?#");
        const char *port = tls ? ":443" : ":80";
        if (len == 0 || memchr(host, '@', len))
                return NULL;
        if (len > strlen(port) && strncmp(host + len - strlen(port), port, strlen(port)) == 0)
                len -= strlen(port);
        char *text = text_dup_n(url, (size_t)(host - url) + len);
        for (char *at = text; at && *at; at++)
                if (*at >= 'A' && *at <= 'Z')
                        *at = (char)(*at - 'A' + 'a');
        return text;
}

bool acme_origin_is_open(const char *origin)
{
        struct address a;
        if (!text_starts(origin, "http://"))
                return false;
        const char *host = origin + strlen("http://");
        if (strncmp(host, "localhost", 9) == 0 && (host[9] == '\0' || host[9] == ':'))
                return false;
        CLEANUP(free_p) char *bare = host[0] == '[' ? text_dup_n(host + 1, strcspn(host + 1, "]")) : NULL;
        return !(address_parse(host, 0, &a) || (bare && address_parse(bare, 0, &a))) || !address_is_loopback(&a);
}

bool acme_token_is_good(const char *token)
{
        size_t len = token ? strlen(token) : 0;
        return len >= 1 && len <= TOKEN_MAX &&
                strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == len;
}

/* A URL of bearable length; where it may lead is judged at its use. */
static bool url_read(const json_t *o, const char *key, bool wanted, char **ret, struct err *e)
{
        const char *text = json_str(o, key);
        if (!text && !wanted)
                return true;
        CLEANUP(free_p) char *origin = text && strlen(text) <= ACME_URL_MAX ? acme_origin(text) : NULL;
        if (!origin)
                return err_set(e, ERR_PROTOCOL, "acme.url", text ? "\"%s\" is not a URL: %.100s" : "\"%s\" is missing",
                        key, text);
        *ret = text_dup(text);
        return *ret || err_memory(e);
}

/* ---- the directory ---- */

static bool host_add(struct acme_directory *d, const char *url, struct err *e)
{
        CLEANUP(free_p) char *origin = url ? acme_origin(url) : NULL;
        if (!url)
                return true;
        if (origin && acme_origin_is_open(origin))
                return err_set(e, ERR_PROTOCOL, "acme.http", "it names %.200s: http to another machine", url);
        return (origin && (texts_has(&d->hosts, origin) || texts_add(&d->hosts, origin))) || err_memory(e);
}

static bool hosts_read(struct acme_directory *d, struct err *e)
{
        return host_add(d, d->new_nonce, e) && host_add(d, d->new_account, e) && host_add(d, d->new_order, e) &&
                host_add(d, d->revoke_cert, e) && host_add(d, d->key_change, e) && host_add(d, d->renewal_info, e);
}

static bool meta_read(const json_t *o, struct acme_directory *d)
{
        const json_t *meta = json_object_get(o, "meta");
        const char *terms = json_str(meta, "termsOfService"), *name;
        const json_t *value;
        d->terms = terms && strlen(terms) <= ACME_URL_MAX ? text_dup(terms) : NULL;
        d->eab_required = json_bool(meta, "externalAccountRequired", false);
        json_object_foreach((json_t *)json_object_get(meta, "profiles"), name, value)
        {
                if (d->profiles.count < 50 && strlen(name) < 100 && !texts_add(&d->profiles, name))
                        return false;
        }
        return true;
}

bool acme_directory_read(const json_t *o, struct acme_directory *ret, struct err *e)
{
        struct acme_directory d = { 0 };
        bool good = json_is_object(o) || err_set(e, ERR_PROTOCOL, ACME_UNREADABLE, "it is not an object");
        good = good && url_read(o, "newNonce", true, &d.new_nonce, e) &&
                url_read(o, "newAccount", true, &d.new_account, e) && url_read(o, "newOrder", true, &d.new_order, e) &&
                url_read(o, "revokeCert", false, &d.revoke_cert, e) &&
                url_read(o, "keyChange", false, &d.key_change, e) &&
                url_read(o, "renewalInfo", false, &d.renewal_info, e);
        good = good && (meta_read(o, &d) || err_memory(e)) && hosts_read(&d, e);
        if (!good) {
                acme_directory_done(&d);
                return err_wrap(e, "the ACME directory");
        }
        *ret = d;
        return true;
}

void acme_directory_done(struct acme_directory *d)
{
        free(d->new_nonce);
        free(d->new_account);
        free(d->new_order);
        free(d->revoke_cert);
        free(d->key_change);
        free(d->renewal_info);
        free(d->terms);
        texts_done(&d->profiles);
        texts_done(&d->hosts);
        *d = (struct acme_directory){ 0 };
}

/* ---- authorizations ---- */

/* One to ten names of a CA; a list that is none makes the challenge unusable, not the rest. */
static bool issuers_read(const json_t *list, struct acme_challenge *c)
{
        size_t count = json_array_size(list);
        for (size_t i = 0; i < count && count <= ISSUERS_MAX; i++) {
                const char *name = json_string_value(json_array_get(list, i));
                bool good = name && *name && strlen(name) <= 253 && name[strspn(name, HOST_CHARACTERS)] == '\0';
                if (!good)
                        texts_done(&c->issuers);
                if (!good)
                        return true;
                if (!texts_add(&c->issuers, name))
                        return false;
        }
        return true;
}

static bool is_used(const char *type)
{
        static const char *const used[] = { "http-01", "dns-01", "tls-alpn-01", "dns-account-01", "dns-persist-01" };
        for (size_t i = 0; i < ARRAY_LEN(used); i++)
                if (strcmp(type, used[i]) == 0)
                        return true;
        return false;
}

/* Of a type that nobody here uses only the name is read, for messages: what else it has is not ours to judge. */
static bool challenge_read(const json_t *o, const char *type, struct acme_challenge *c, struct err *e)
{
        const char *token = json_str(o, "token");
        c->status = status_of(o);
        c->type = text_dup(type);
        if (!c->type)
                return err_memory(e);
        c->error = json_incref(json_object_get(o, "error"));
        if (!is_used(type))
                return true;
        if (!url_read(o, "url", true, &c->url, e))
                return false;
        if (token && !acme_token_is_good(token))
                return err_set(e, ERR_PROTOCOL, "acme.token", "the token of %s is refused: %.60s", type, token);
        c->token = text_dup(token);
        if (strcmp(type, "dns-persist-01") == 0 && !issuers_read(json_object_get(o, "issuer-domain-names"), c))
                return err_memory(e);
        return !token || c->token || err_memory(e);
}

static bool challenges_read(const json_t *list, struct acme_authz *a, struct err *e)
{
        size_t count = MIN(json_array_size(list), (size_t)CHALLENGES_MAX);
        if (list && !json_is_array(list))
                return err_set(e, ERR_PROTOCOL, "acme.challenge", "the challenges of an authorization are no list");
        a->challenge = calloc(count + 1, sizeof *a->challenge);
        if (!a->challenge)
                return err_memory(e);
        for (size_t i = 0; i < count; i++) {
                const json_t *one = json_array_get(list, i);
                const char *type = json_str(one, "type");
                if (!type)
                        return err_set(e, ERR_PROTOCOL, "acme.challenge", "a challenge has no type");
                if (strlen(type) > TYPE_MAX) /* none of ours */
                        continue;
                if (!challenge_read(one, type, &a->challenge[a->count++], e))
                        return false;
        }
        return true;
}

static bool identifier_read(const json_t *o, struct acme_authz *a, struct err *e)
{
        const json_t *id = json_object_get(o, "identifier");
        const char *type = json_str(id, "type"), *value = json_str(id, "value");
        if (!type || !value || strlen(value) > 255 || !*value)
                return err_set(e, ERR_PROTOCOL, "acme.identifier", "an authorization names no identifier");
        a->ip = strcmp(type, "ip") == 0;
        if (!a->ip && strcmp(type, "dns") != 0)
                return err_set(
                        e, ERR_PROTOCOL, "acme.identifier", "an authorization is for a name of type %.40s", type);
        bool star = text_starts(value, "*.");
        a->wildcard = star || json_bool(o, "wildcard", false);
        a->name = text_dup(star ? value + 2 : value);
        for (char *at = a->name; at && *at; at++)
                if (*at >= 'A' && *at <= 'Z')
                        *at = (char)(*at - 'A' + 'a');
        return a->name || err_memory(e);
}

bool acme_authz_read(const json_t *o, struct acme_authz *ret, struct err *e)
{
        struct acme_authz a = { .status = status_of(o) };
        bool good = a.status != ACME_STRANGE ||
                err_set(e, ERR_PROTOCOL, ACME_UNREADABLE, "an authorization has no known status");
        if (!good || !identifier_read(o, &a, e) || !challenges_read(json_object_get(o, "challenges"), &a, e)) {
                acme_authz_done(&a);
                return false;
        }
        *ret = a;
        return true;
}

void acme_authz_done(struct acme_authz *a)
{
        for (size_t i = 0; i < a->count; i++) {
                free(a->challenge[i].type);
                free(a->challenge[i].url);
                free(a->challenge[i].token);
                texts_done(&a->challenge[i].issuers);
                json_decref(a->challenge[i].error);
        }
        free(a->challenge);
        free(a->name);
        *a = (struct acme_authz){ 0 };
}

const struct acme_challenge *acme_challenge_find(const struct acme_authz *a, const char *type)
{
        for (size_t i = 0; i < a->count; i++)
                if (strcmp(a->challenge[i].type, type) == 0)
                        return &a->challenge[i];
        return NULL;
}

void acme_challenge_types(const struct acme_authz *a, char *ret, size_t size)
{
        size_t at = 0;
        snprintf(ret, size, "none");
        for (size_t i = 0; i < a->count && at < size; i++)
                at += (size_t)snprintf(ret + at, size - at, "%s%s", i ? ", " : "", a->challenge[i].type);
}

/* ---- orders ---- */

static bool authz_urls_read(const json_t *list, struct acme_order *r, struct err *e)
{
        if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > ACME_NAMES_MAX)
                return err_set(e, ERR_PROTOCOL, "acme.order", "an order has no usable list of authorizations");
        for (size_t i = 0; i < json_array_size(list); i++) {
                const char *text = json_string_value(json_array_get(list, i));
                CLEANUP(free_p) char *origin = text && strlen(text) <= ACME_URL_MAX ? acme_origin(text) : NULL;
                if (!origin)
                        return err_set(e, ERR_PROTOCOL, "acme.url", "an authorization's URL is none");
                if (!texts_add(&r->authz, text))
                        return err_memory(e);
        }
        return true;
}

bool acme_order_read(const json_t *o, struct acme_order *ret, struct err *e)
{
        struct acme_order r = { .status = status_of(o) };
        const char *expires = json_str(o, "expires");
        bool good =
                r.status != ACME_STRANGE || err_set(e, ERR_PROTOCOL, ACME_UNREADABLE, "an order has no known status");
        if (!good || !authz_urls_read(json_object_get(o, "authorizations"), &r, e) ||
                !url_read(o, "finalize", true, &r.finalize, e) ||
                !url_read(o, "certificate", false, &r.certificate, e)) {
                acme_order_done(&r);
                return false;
        }
        if (!expires || !parse_time(expires, &r.expires_s))
                r.expires_s = 0;
        r.error = json_incref(json_object_get(o, "error"));
        *ret = r;
        return true;
}

void acme_order_done(struct acme_order *o)
{
        texts_done(&o->authz);
        free(o->finalize);
        free(o->certificate);
        json_decref(o->error);
        *o = (struct acme_order){ 0 };
}
