/* What the codes and the envelope of Tencent Cloud's API 3.0 mean. Business errors come with HTTP 200; the text of a
 * message may be in any language and is shown, never read. */
#include <stdio.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/net/tencent_api.h"

#define JSON_DEPTH_MAX 32
#define CODE_MAX 128

enum verdict { TEMPORARY, THROTTLED, FAULT, REFUSED };

#define FIX_CREDENTIALS                                                                                                \
        "check secret_id and secret_key (and token) in the configuration, and that they belong to this site's account"
#define FIX_PERMISSION                                                                                                 \
        "grant this key the CAM actions that the documentation lists; the console shows them under Access Management"
#define FIX_ADDRESS "let this host's address call the API (key or account address list in the console)"
#define FIX_CLOCK "set this host's clock (chronyc makestep); requests are valid within 5 minutes of the server's time"

/* An exact code, or the beginning of codes up to a dot: the longest match decides. */
static const struct row {
        const char *code;
        enum verdict verdict;
        const char *fix;
} rows[] = {
        { "ActionOffline", REFUSED, NULL },
        { "AuthFailure", REFUSED, FIX_CREDENTIALS },
        { "AuthFailure.SignatureExpire", TEMPORARY, FIX_CLOCK },
        { "AuthFailure.UnauthorizedOperation", REFUSED, FIX_PERMISSION },
        { "CertificateNotFound", REFUSED, NULL },
        { "FailedOperation", REFUSED, NULL },
        { "FailedOperation.AuthError", REFUSED, FIX_PERMISSION },
        { "FailedOperation.CAMAuthorizedFail", REFUSED, FIX_PERMISSION },
        { "FailedOperation.CannotGetOrder", FAULT, NULL },
        { "FailedOperation.FrequencyLimit", THROTTLED, NULL },
        { "FailedOperation.InternalError", FAULT, NULL },
        { "FailedOperation.NetworkError", FAULT, NULL },
        { "FailedOperation.NoProjectPermission", REFUSED, FIX_PERMISSION },
        { "FailedOperation.SystemError", FAULT, NULL },
        { "FailedOperation.UnknowError", FAULT, NULL },
        { "InternalError", FAULT, NULL },
        { "InvalidAction", REFUSED, NULL },
        { "InvalidParam", REFUSED, NULL },
        { "InvalidParameter", REFUSED, NULL },
        { "InvalidParameter.OperateFailed", TEMPORARY, NULL },
        { "InvalidParameterValue", REFUSED, NULL },
        { "IpInBlacklist", REFUSED, FIX_ADDRESS },
        { "IpNotInWhitelist", REFUSED, FIX_ADDRESS },
        { "LimitExceeded", REFUSED, NULL },
        { "LimitExceeded.RateLimitExceeded", THROTTLED, NULL },
        { "MissingParameter", REFUSED, NULL },
        { "NoSuchVersion", REFUSED, NULL },
        { "OperationDenied", REFUSED, NULL },
        { "RequestLimitExceeded", THROTTLED, NULL },
        { "ResourceInUse", REFUSED, NULL },
        { "ResourceInsufficient", REFUSED, NULL },
        { "ResourceNotFound", REFUSED, NULL },
        { "ResourceUnavailable", REFUSED, NULL },
        { "ServiceUnavailable", FAULT, NULL },
        { "UnauthorizedOperation", REFUSED, FIX_PERMISSION },
        { "UnknownParameter", REFUSED, NULL },
        { "UnsupportedOperation", REFUSED, NULL },
        { "UnsupportedProtocol", REFUSED, NULL },
};

static const struct row *row_find(const char *code, size_t len)
{
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
                if (strlen(rows[i].code) == len && strncmp(rows[i].code, code, len) == 0)
                        return &rows[i];
        return NULL;
}

static const struct row *row_of(const char *code)
{
        size_t len = strlen(code);

        while (len > 0) {
                const struct row *r = row_find(code, len);
                if (r)
                        return r;
                do
                        len--;
                while (len > 0 && code[len] != '.');
        }
        return NULL;
}

int tencent_error_kind(const char *code, bool write)
{
        const struct row *r = row_of(code);

        /* A code nobody has described says nothing of what was done: a server fault until a person has looked. */
        switch (r ? r->verdict : FAULT) {
        case REFUSED:
                return ERR_DENIED;
        case THROTTLED:
                return ERR_RATE_LIMITED;
        case TEMPORARY:
                return ERR_TEMPORARY;
        case FAULT:
                break;
        }
        return write ? ERR_UNKNOWN : ERR_TEMPORARY;
}

static bool only_has(const char *text, size_t max, const char *extra)
{
        size_t len = strlen(text);

        for (size_t i = 0; i < len; i++) {
                char c = text[i];
                if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr(extra, c)))
                        return false;
        }
        return len > 0 && len <= max;
}

static void request_id_copy(const json_t *object, char request_id[80])
{
        const char *id = json_str(object, "RequestId");

        snprintf(request_id, 80, "%s", id && only_has(id, 79, "-_") ? id : "");
}

static bool answer_is_none(bool write, const char *request_id, struct err *e, const char *what)
{
        return err_set(e, write ? ERR_UNKNOWN : ERR_TEMPORARY, "tc.answer", "%s%s%s", what,
                *request_id ? ", RequestId " : "", request_id);
}

static bool error_from(const char *code, const char *message, bool write, const char *request_id, struct err *e)
{
        CLEANUP(buf_done) struct buf shown = { 0 };
        char short_code[sizeof e->code];

        if (!code || !only_has(code, CODE_MAX, "._-"))
                code = "Malformed";
        message = message ? message : "no message";
        buf_add_escaped(&shown, message, strlen(message), 240);
        snprintf(short_code, sizeof short_code, "tc.%.59s", code);
        const struct row *r = row_of(code);
        err_set(e, (enum err_kind)tencent_error_kind(code, write), short_code, "%.360s (%s), RequestId %s",
                shown.data ? shown.data : "", code, *request_id ? request_id : "unknown");
        if (r && r->fix)
                err_fix(e, "%s", r->fix);
        return false;
}

/* {"code":4000,"codeDesc":"...","message":"..."}: older gateways. Code 0 without a Response is no answer either. */
static bool legacy_read(const json_t *root, bool write, char request_id[80], struct err *e)
{
        const char *code = json_str(root, "codeDesc");

        request_id_copy(root, request_id);
        if (json_is_integer(json_object_get(root, "code")) && json_i64(root, "code", 0) != 0 && code)
                return error_from(code, json_str(root, "message"), write, request_id, e);
        return answer_is_none(write, request_id, e, "the answer has no Response");
}

bool tencent_envelope_read(const char *body, size_t len, bool write, json_t **ret, char request_id[80], struct err *e)
{
        CLEANUP(json_decref_p) json_t *root = NULL;
        struct err why;

        request_id[0] = '\0';
        if (!json_read(body, len, JSON_DEPTH_MAX, &root, &why))
                return err_set(e, write ? ERR_UNKNOWN : ERR_TEMPORARY, "tc.answer",
                        "the answer is cut short or is not JSON: %s", why.text);
        json_t *response = json_object_get(root, "Response");
        if (!json_is_object(response))
                return legacy_read(root, write, request_id, e);
        request_id_copy(response, request_id);
        const json_t *error = json_object_get(response, "Error");
        if (json_is_object(error))
                return error_from(json_str(error, "Code"), json_str(error, "Message"), write, request_id, e);
        if (error && !json_is_null(error))
                return answer_is_none(write, request_id, e, "the answer has an Error that is no object");
        *ret = json_incref(response);
        return true;
}
