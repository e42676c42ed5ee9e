#include "agent/ca/acme/problem.h"

#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/json.h"
#include "agent/base/util.h"

#define PREFIX "urn:ietf:params:acme:error:"
#define LIMITED_DEFAULT_S 3600 /* nothing was said: an hour */
#define SUBPROBLEMS_MAX 100

static const struct {
        const char *type;
        enum err_kind kind;
        const char *fix;
} table[] = {
        { "badNonce", ERR_TEMPORARY, "" },
        { "rateLimited", ERR_RATE_LIMITED, "" },
        { "serverInternal", ERR_TEMPORARY, "" },
        { "connection", ERR_TEMPORARY,
                "make port 80 (file), 443 (tls-alpn) or the name servers (dns) reachable from everywhere" },
        { "dns", ERR_TEMPORARY, "mend the name's DNS: every name server must answer" },
        { "tls", ERR_TEMPORARY, "" },
        { "incorrectResponse", ERR_TEMPORARY,
                "another server answers for this name, or the token is not everywhere yet" },
        { "unauthorized", ERR_DENIED, "" },
        { "caa", ERR_DENIED, "the CAA records of the name forbid this CA: add its domain to them" },
        { "rejectedIdentifier", ERR_DENIED, "take the name out of the certificate, or use another CA for it" },
        { "unsupportedIdentifier", ERR_DENIED, "take the name out of the certificate, or use another CA for it" },
        { "malformed", ERR_DENIED, "" },
        { "accountDoesNotExist", ERR_DENIED, "" },
        { "userActionRequired", ERR_DENIED, "" },
        { "agreementRequired", ERR_DENIED, "" },
        { "externalAccountRequired", ERR_CONFIG,
                "get a key id and an HMAC key at the CA and set eab: {kid: ..., hmac_key: {file: ...}}" },
        { "invalidContact", ERR_CONFIG, "mend contact: one address each, as mailto:name@example.com" },
        { "unsupportedContact", ERR_CONFIG, "mend contact: one address each, as mailto:name@example.com" },
        { "badCSR", ERR_DENIED, "" },
        { "badPublicKey", ERR_DENIED, "choose another key.type" },
        { "badSignatureAlgorithm", ERR_PROTOCOL, "" },
        { "orderNotReady", ERR_TEMPORARY, "" },
        { "alreadyRevoked", ERR_DENIED, "" },
        { "badRevocationReason", ERR_DENIED, "" },
        { "alreadyReplaced", ERR_DENIED, "" },
        { "invalidProfile", ERR_CONFIG, "choose a profile that the CA offers, or none" },
        { "compound", ERR_DENIED, "" },
        { "conflict", ERR_DENIED, "" },
};

const char *acme_problem_type(const json_t *doc)
{
        const char *type = json_str(doc, "type");
        return type && text_starts(type, PREFIX) ? type + strlen(PREFIX) : "";
}

static size_t row_of(const char *type)
{
        size_t i = 0;
        while (i < ARRAY_LEN(table) && strcmp(table[i].type, type) != 0)
                i++;
        return i;
}

static enum err_kind kind_by_status(int status)
{
        if (status == 429)
                return ERR_RATE_LIMITED;
        return (status >= 500 && status != 501) || status == 408 ? ERR_TEMPORARY : ERR_DENIED;
}

static void add_subproblems(const json_t *doc, struct buf *b)
{
        const json_t *list = json_object_get(doc, "subproblems");
        for (size_t i = 0; i < json_array_size(list) && i < SUBPROBLEMS_MAX; i++) {
                const json_t *one = json_array_get(list, i);
                const char *name = json_str(json_object_get(one, "identifier"), "value"),
                           *detail = json_str(one, "detail");
                buf_addf(b, "; %s: %s", name ? name : "?", detail ? detail : acme_problem_type(one));
        }
}

/* RFC 8555 section 6.2: what the server would have taken. */
static void add_algorithms(const json_t *doc, struct buf *b)
{
        const json_t *list = json_object_get(doc, "algorithms");
        for (size_t i = 0; i < json_array_size(list) && i < SUBPROBLEMS_MAX; i++) {
                const char *one = json_string_value(json_array_get(list, i));
                buf_addf(b, "%s%.20s", i ? ", " : "; it takes ", one ? one : "?");
        }
}

enum key_type acme_problem_key_type(const json_t *doc)
{
        static const struct {
                const char *algorithm;
                enum key_type type;
        } known[] = { { "ES256", KEY_EC_P256 }, { "ES384", KEY_EC_P384 }, { "RS256", KEY_RSA_2048 } };
        const json_t *list = json_object_get(doc, "algorithms");
        for (size_t k = 0; k < ARRAY_LEN(known); k++)
                for (size_t i = 0; i < json_array_size(list) && i < SUBPROBLEMS_MAX; i++) {
                        const char *one = json_string_value(json_array_get(list, i));
                        if (one && strcmp(one, known[k].algorithm) == 0)
                                return known[k].type;
                }
        return KEY_NONE;
}

/* compound says nothing by itself: the worst that its parts say, and that is what cannot be waited out. */
static enum err_kind compound_kind(const json_t *doc)
{
        const json_t *list = json_object_get(doc, "subproblems");
        enum err_kind kind = ERR_DENIED;
        for (size_t i = 0; i < json_array_size(list) && i < SUBPROBLEMS_MAX; i++) {
                size_t row = row_of(acme_problem_type(json_array_get(list, i)));
                if (row == ARRAY_LEN(table) || table[row].kind == ERR_DENIED)
                        return ERR_DENIED;
                kind = table[row].kind;
        }
        return kind;
}

static void set_fix(const json_t *doc, int status, size_t row, struct err *e)
{
        const char *instance = json_str(doc, "instance");
        bool person = row < ARRAY_LEN(table) &&
                (strcmp(table[row].type, "userActionRequired") == 0 ||
                        strcmp(table[row].type, "agreementRequired") == 0);
        if (status == 501) /* whatever type a server gives it */
                err_fix(e, "this CA cannot do that");
        else if (person && instance)
                err_fix(e, "visit %.250s, agree there, then try again", instance);
        else if (row < ARRAY_LEN(table) && table[row].fix[0])
                err_fix(e, "%s", table[row].fix);
}

bool acme_problem(int status, const json_t *doc, int64_t retry_after_s, const char *what, struct err *e)
{
        const char *type = acme_problem_type(doc), *detail = json_str(doc, "detail");
        size_t row = row_of(type);
        struct buf more = { .max = 4096 };
        char code[60];
        enum err_kind kind = row < ARRAY_LEN(table) ? table[row].kind : kind_by_status(status);
        if (row < ARRAY_LEN(table) && strcmp(type, "compound") == 0)
                kind = compound_kind(doc);
        if (status == 503 && retry_after_s >= 0)
                kind = ERR_RATE_LIMITED; /* an endpoint's own limit */
        add_subproblems(doc, &more);
        if (strcmp(type, "badSignatureAlgorithm") == 0)
                add_algorithms(doc, &more);
        if (*type && strlen(type) < 50)
                snprintf(code, sizeof code, "acme.%s", type);
        else
                snprintf(code, sizeof code, "acme.http-%d", status);
        err_set(e, kind, code, "%s: %s (%d)%s%s%s", what, *type ? type : "refused", status, detail ? ": " : "",
                detail ? detail : "", more.data && !more.failed ? more.data : "");
        buf_done(&more);
        if (retry_after_s >= 0)
                e->retry_after_s = MAX(retry_after_s, 1);
        else if (kind == ERR_RATE_LIMITED)
                e->retry_after_s = LIMITED_DEFAULT_S;
        set_fix(doc, status, row, e);
        return false;
}

bool acme_problem_inside(const json_t *doc, const char *name, struct err *e)
{
        json_int_t status = json_integer_value(json_object_get(doc, "status"));
        acme_problem(status > 0 && status < 600 ? (int)status : 400, doc, -1, name, e);
        /* A token that was not seen, or seen in part: told as unauthorized by every CA, and often gone a moment later.
         */
        if (strcmp(acme_problem_type(doc), "unauthorized") == 0)
                e->kind = ERR_TEMPORARY;
        return false;
}
