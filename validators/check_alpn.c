/* Group A: tls-alpn-01 (RFC 8737). Every address is offered "acme-tls/1" and nothing else, as a CA does it. Nothing is
 * published for it: a server that then refuses may be right; one that goes on with something else does not know it. */
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/net/tls_look.h"
#include "validators/check.h"
#include "validators/check_host.h"
#include "validators/http_evidence.h"

#define PROTOCOL "acme-tls/1"
#define EXTENSION "1.3.6.1.5.5.7.1.31"
#define LOOK_MS 10000

struct look_request {
        struct address at;
        const char *sni;
};
struct looked { /* the value */
        char code[48], text[200]; /* of the failure; "" */
        bool taken; /* it chose acme-tls/1 */
        uint8_t *der;
        size_t der_len;
};

static void looked_free(void *value)
{
        free(((struct looked *)value)->der);
        free(value);
}

static void *look_failed(const struct err *err)
{
        struct looked *l = calloc(1, sizeof *l);
        if (l) {
                snprintf(l->code, sizeof l->code, "%s", err->code);
                snprintf(l->text, sizeof l->text, "%.*s", (int)sizeof l->text - 1, err->text);
        }
        return l;
}

static void look_done(void *arg, const struct tls_look_result *r, const struct err *err)
{
        struct looked *l = r ? calloc(1, sizeof *l) : look_failed(err);
        if (!l)
                return; /* no memory: the run ends at its deadline */
        if (r && (l->der = malloc(r->leaf_len)) != NULL) {
                memcpy(l->der, r->leaf, r->leaf_len);
                l->der_len = r->leaf_len;
                l->taken = r->alpn_taken;
        }
        check_fact_done(arg, l);
}

static bool look_start_fact(struct check_fact *f, const void *request, struct err *e)
{
        const struct look_request *q = request;
        const struct tls_look_request r = { .address = q->at, .sni = q->sni, .alpn = PROTOCOL, .timeout_ms = LOOK_MS };
        *check_fact_place(f) = tls_look_start(check_loop(check_fact_run(f)), &r, look_done, f, e);
        return *check_fact_place(f) != NULL;
}

static void look_stop(struct check_fact *f)
{
        tls_look_cancel(*check_fact_place(f));
}

static const struct check_fact_kind look_kind = { look_start_fact, look_stop, looked_free, look_failed };

/* ---- the certificate of a challenge ---- */

static bool has_single_name(X509 *x, const char *name)
{
        GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
        bool good = false;
        if (names && sk_GENERAL_NAME_num(names) == 1) {
                const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, 0);
                if (n->type == GEN_DNS) {
                        int len = ASN1_STRING_length(n->d.dNSName);
                        good = len == (int)strlen(name) &&
                                strncasecmp((const char *)ASN1_STRING_get0_data(n->d.dNSName), name, (size_t)len) == 0;
                } else if (n->type == GEN_IPADD) { /* RFC 8738 section 6 */
                        struct address a;
                        size_t len = address_parse(name, 0, &a) ? (a.family == AF_INET ? 4 : 16) : 0;
                        good = len > 0 && (size_t)ASN1_STRING_length(n->d.iPAddress) == len &&
                                memcmp(ASN1_STRING_get0_data(n->d.iPAddress), &a.ip, len) == 0;
                }
        }
        GENERAL_NAMES_free(names);
        return good;
}

static const char *extension_fault(X509 *x, const char *value)
{
        ASN1_OBJECT *id = OBJ_txt2obj(EXTENSION, 1);
        int at = id ? X509_get_ext_by_OBJ(x, id, -1) : -1;
        bool twice = at >= 0 && X509_get_ext_by_OBJ(x, id, at) >= 0;
        ASN1_OBJECT_free(id);
        if (at < 0)
                return "it lacks the extension " EXTENSION;
        if (twice)
                return "it has the extension " EXTENSION " twice";
        X509_EXTENSION *extension = X509_get_ext(x, at);
        if (!X509_EXTENSION_get_critical(extension))
                return "the extension " EXTENSION " is not critical";
        const ASN1_OCTET_STRING *data = X509_EXTENSION_get_data(extension);
        const uint8_t *bytes = ASN1_STRING_get0_data(data);
        uint8_t wanted[32];
        if (ASN1_STRING_length(data) != 34 || bytes[0] != 4 || bytes[1] != 32)
                return "the extension " EXTENSION " holds no digest of 32 bytes";
        if (!value)
                return NULL;
        sha256(value, strlen(value), wanted);
        return memcmp(bytes + 2, wanted, sizeof wanted) == 0 ? NULL : "its digest belongs to another challenge";
}

static const char *certificate_fault(const struct looked *l, const char *name, const char *value)
{
        const uint8_t *at = l->der;
        X509 *x = l->der ? d2i_X509(NULL, &at, (long)l->der_len) : NULL;
        const char *why = !x ? "it cannot be read"
                : X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x)) != 0 ||
                        X509_verify(x, X509_get0_pubkey(x)) != 1
                ? "it is not signed by itself"
                : !has_single_name(x, name) ? "it has not exactly this name"
                                            : extension_fault(x, value);
        X509_free(x);
        return why;
}

/* ---- judging ---- */

static const char fix_responder[] =
        "let port 443 hand \"acme-tls/1\" to the responder (haproxy: req.ssl_alpn; nginx: stream with ssl_preread)";

static void judge_address(
        struct check_context *c, const struct address *a, const struct looked *l, struct judgements *out)
{
        char at[ADDRESS_TEXT];
        address_text(a, false, at);
        struct judgement_words w = { .subject = at, .fix = fix_responder };
        if (strcmp(l->code, "look.connect") == 0 || strcmp(l->code, "look.timeout") == 0) {
                w.fix = "open port 443 to this host in the firewall, forward it in the router, and start the server";
                return judge(out, "A01", w, "port 443 is closed on %s: %s", at, l->text);
        }
        if (strcmp(l->code, "look.closed") == 0 || strcmp(l->code, "look.handshake") == 0) {
                if (!strstr(l->text, "protocol") && !strstr(l->text, "unrecognized") && !strstr(l->text, "closed"))
                        return judge(out, "A02", w, "%s does not take the handshake for %s: %s", at, c->base, l->text);
                if (c->target->value)
                        return judge(out, "A02", w,
                                "%s refuses acme-tls/1 for %s, though its challenge should be there: %s", at, c->base,
                                l->text);
                return judge_unverifiable(out, "A02", at,
                        "%s refuses acme-tls/1 for %s while nothing is published, as a responder without a challenge "
                        "does (%s)",
                        at, c->base, l->text);
        }
        if (l->code[0])
                return judge_unverifiable(out, "A01", at, "%s: %s", at, l->text);
        if (!l->taken)
                return judge(out, "A02", w, "%s chose no protocol instead of acme-tls/1 for %s", at, c->base);
        const char *why = certificate_fault(l, c->base, c->target->value);
        w.fix = "let the responder make the certificate anew (RFC 8737 section 3)";
        if (why && strcmp(why, "it is not signed by itself") == 0) {
                w.fix = "something before this host ends TLS: validate through DNS or a file";
                judge(out, "A04", w, "%s took acme-tls/1 for %s with a certificate that a CA signed: a proxy ends TLS",
                        at, c->base);
        } else if (why) {
                judge(out, "A03", w, "%s: the certificate of the challenge for %s is wrong: %s", at, c->base, why);
        }
}

static void run(struct check_context *c, struct judgements *out)
{
        struct check_host_addresses name;
        struct address numeric;
        if (text_starts(c->name, "*.") || !check_host_addresses(c, c->base, &name))
                return;
        if (name.count == 0)
                judge_unverifiable(
                        out, "A01", c->name, "%s has no address%s%s", c->name, name.error[0] ? ": " : "", name.error);
        for (size_t i = 0; i < name.count; i++) {
                char at[ADDRESS_TEXT], reverse[ADDRESS_REVERSE_TEXT] = "";
                if (address_parse(c->base, 0, &numeric))
                        address_reverse_name(&numeric, reverse); /* RFC 8738 section 6 */
                struct look_request q = { name.list[i], *reverse ? reverse : c->base };
                if (!c->target->internal && http_reserved(&q.at))
                        continue;
                if (q.at.family == AF_INET6 && !check_host_has_v6()) {
                        judge_unverifiable(out, "A01", c->name, "this host has no IPv6");
                        continue;
                }
                q.at.port = 443;
                address_text(&q.at, true, at);
                CLEANUP(free_p) char *key = text_format("alpn %s %s", at, c->base);
                const struct looked *l = key ? check_fact(c, key, &look_kind, &q) : NULL;
                if (l)
                        judge_address(c, &name.list[i], l, out);
        }
}

extern const struct check check_alpn;
const struct check check_alpn = {
        .ids = "A01 A02 A03 A04", .stage = STAGE_METHOD, .scope = CHECK_NAME, .needs = CHECK_TLS_ALPN, .run = run
};
