#include "agent/ca/tencent/model.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/ca/tencent/time.h"

#define TEXT_MAX 8192
#define PEM_MAX (256 * 1024)

const char *tc_status_text(int status)
{
        static const char *const text[] = { "under review", "issued", "review failed", "expired",
                "waiting for validation", "information wanted", "being cancelled", "cancelled",
                "confirmation letter wanted", "being revoked", "revoked", "being reissued", "revocation letter wanted",
                "information wanted", "refunded", "being migrated" };

        return status >= 0 && (size_t)status < ARRAY_LEN(text) ? text[status] : "unknown";
}

bool tc_status_has_ended(int status)
{
        switch (status) {
        case TC_REVIEW_FAILED:
        case TC_EXPIRED:
        case TC_CANCELLED:
        case TC_REVOKING:
        case TC_REVOKED:
        case TC_REVOKE_LETTER_WANTED:
        case TC_REFUNDED:
                return true;
        default:
                return false;
        }
}

bool tc_status_is_pending(int status)
{
        return status != TC_ISSUED && !tc_status_has_ended(status);
}

bool tc_id_is_valid(const char *id)
{
        size_t len = id ? strlen(id) : 0;

        for (size_t i = 0; i < len; i++)
                if (!isalnum((unsigned char)id[i]) && id[i] != '-' && id[i] != '_')
                        return false;
        return len >= 1 && len <= 64;
}

bool tc_cert_has_wildcard(const struct tc_cert *c)
{
        for (size_t i = 0; i < c->names.count; i++)
                if (text_starts(c->names.item[i], "*."))
                        return true;
        return c->is_wildcard == TC_YES;
}

bool tc_cert_is_lookalike(const struct tc_cert *c, const struct tc_cert *original)
{
        if (strcmp(c->id, original->id) == 0 || *c->replaced_by || *c->replaced_for || c->names.count == 0 ||
                c->names.count != original->names.count || c->package != original->package)
                return false;
        for (size_t i = 0; i < c->names.count; i++)
                if (!texts_has(&original->names, c->names.item[i]))
                        return false;
        return true;
}

/* ---- single fields ---- */

/* A text that has no business holding zero bytes or a novel. NULL: not given or not usable. */
static const char *text_of(const json_t *object, const char *key, size_t max)
{
        const json_t *v = json_object_get(object, key);
        const char *text = json_is_string(v) ? json_string_value(v) : NULL;

        return text && *text && strlen(text) == json_string_length(v) && strlen(text) <= max ? text : NULL;
}

static void id_of(const json_t *object, const char *key, char ret[TC_ID_MAX])
{
        const char *id = text_of(object, key, 64);

        snprintf(ret, TC_ID_MAX, "%s", id && tc_id_is_valid(id) ? id : "");
}

/* Numbers are integers by the documents; a number in a text is taken too. */
static int number_of(const json_t *object, const char *key, int otherwise)
{
        const json_t *v = json_object_get(object, key);
        int64_t n;

        if (json_is_integer(v))
                return json_integer_value(v) >= 0 && json_integer_value(v) < 1000000 ? (int)json_integer_value(v)
                                                                                     : otherwise;
        if (json_is_string(v) && parse_i64(json_string_value(v), 0, 999999, &n))
                return (int)n;
        return otherwise;
}

static enum tc_known known_of(const json_t *object, const char *key)
{
        const json_t *v = json_object_get(object, key);

        if (json_is_integer(v))
                return json_integer_value(v) ? TC_YES : TC_NO;
        return json_is_boolean(v) ? (json_is_true(v) ? TC_YES : TC_NO) : TC_UNKNOWN;
}

static enum tc_class class_of(const char *text)
{
        if (!text)
                return TC_CLASS_UNKNOWN;
        return strcmp(text, "DV") == 0    ? TC_DV
                : strcmp(text, "OV") == 0 ? TC_OV
                : strcmp(text, "EV") == 0 ? TC_EV
                                          : TC_CLASS_UNKNOWN;
}

static bool dup_to(char **ret, const char *text)
{
        *ret = text_dup(text);
        return *ret || !text;
}

/* ---- names ---- */

static char *name_lower(const char *text)
{
        char *name = text_dup(text);

        for (char *p = name; p && *p; p++)
                *p = (char)tolower((unsigned char)*p);
        if (name && text_ends(name, "."))
                name[strlen(name) - 1] = '\0';
        return name;
}

static bool names_add(struct tc_cert *c, const char *text)
{
        if (!text || c->names.count >= TC_NAMES_MAX)
                return true;
        char *name = name_lower(text);
        if (name && (!*name || texts_has(&c->names, name))) {
                free(name);
                return true;
        }
        if (!name || !texts_add_own(&c->names, name)) {
                free(name);
                return false;
        }
        return true;
}

static bool names_add_list(struct tc_cert *c, const json_t *list)
{
        for (size_t i = 0; i < json_array_size(list); i++) {
                const json_t *v = json_array_get(list, i);
                const char *text = json_is_string(v) ? json_string_value(v) : NULL;
                if (text && strlen(text) == json_string_length(v) && strlen(text) <= 255 && !names_add(c, text))
                        return false;
        }
        return true;
}

/* ---- what to publish ---- */

static bool dv_read(const json_t *o, const char *sub_key, struct tc_dv *ret)
{
        return dup_to(&ret->key, text_of(o, "DvAuthKey", 1024)) &&
                dup_to(&ret->value, text_of(o, "DvAuthValue", TEXT_MAX)) &&
                dup_to(&ret->domain, text_of(o, "DvAuthDomain", 1024)) &&
                dup_to(&ret->path, text_of(o, "DvAuthPath", 1024)) &&
                dup_to(&ret->sub_domain, text_of(o, sub_key, 1024)) &&
                dup_to(&ret->type, text_of(o, "DvAuthVerifyType", 64));
}

static void dv_done(struct tc_dv *d)
{
        free(d->key);
        free(d->value);
        free(d->domain);
        free(d->path);
        free(d->sub_domain);
        free(d->type);
}

static bool proofs_read(const json_t *detail, struct tc_cert *c)
{
        const json_t *list = json_object_get(detail, "DvAuths");
        size_t count = MIN(json_array_size(list), (size_t)TC_PROOFS_MAX);

        if (!dv_read(detail, "DvAuthKeySubDomain", &c->top))
                return false;
        c->dv = count ? calloc(count, sizeof *c->dv) : NULL;
        if (count && !c->dv)
                return false;
        for (size_t i = 0; i < count; i++) {
                const json_t *o = json_array_get(list, i);
                if (!json_is_object(o))
                        continue;
                c->dv_count++;
                if (!dv_read(o, "DvAuthSubDomain", &c->dv[c->dv_count - 1]))
                        return false;
        }
        return true;
}

/* ---- the whole ---- */

static void flags_read(const json_t *o, const json_t *extra, struct tc_cert *c)
{
        const json_t *package = json_object_get(o, "PackageType");
        const char *from = text_of(o, "From", 32);

        c->status = number_of(o, "Status", TC_STATUS_MISSING);
        c->package = !package || json_is_null(package) ? -1 : number_of(o, "PackageType", 0);
        c->uploaded = from && text_equal_nocase(from, "upload");
        c->is_dv = known_of(o, "IsDv");
        c->is_vip = known_of(o, "IsVip");
        c->is_sm = known_of(o, "IsSM");
        if (known_of(extra, "SMCert") == TC_YES || text_of(o, "EncryptCert", PEM_MAX))
                c->is_sm = TC_YES;
        c->is_wildcard = known_of(o, "IsWildcard");
        c->is_dnspod = known_of(o, "IsDNSPODResolve");
        c->cert_type = class_of(text_of(o, "CertType", 8));
}

static void times_read(const json_t *o, struct tc_cert *c)
{
        c->begin_s = tc_time_read(json_str(o, "CertBeginTime"));
        c->end_s = tc_time_read(json_str(o, "CertEndTime"));
        c->inserted_s = tc_time_read(json_str(o, "InsertTime"));
        c->validate_by_s = tc_time_read(json_str(o, "DVAuthDeadline"));
        c->validated_s = tc_time_read(json_str(o, "ValidationPassedTime"));
}

static void short_texts_read(const json_t *o, struct tc_cert *c)
{
        const char *msg = json_str(o, "StatusMsg"), *verify = text_of(o, "VerifyType", 15);
        const char *algorithm = text_of(o, "EncryptAlgorithm", 39), *print = text_of(o, "CertFingerprint", 79);

        snprintf(c->status_msg, sizeof c->status_msg, "%.299s", msg ? msg : "");
        snprintf(c->verify_type, sizeof c->verify_type, "%s", verify ? verify : "");
        snprintf(c->algorithm, sizeof c->algorithm, "%s", algorithm ? algorithm : "");
        snprintf(c->fingerprint, sizeof c->fingerprint, "%s", print ? print : "");
}

static bool owned_read(const json_t *o, struct tc_cert *c)
{
        const char *domain = text_of(o, "Domain", 255);

        if (domain && !(c->domain = name_lower(domain)))
                return false;
        return names_add(c, domain) && names_add_list(c, json_object_get(o, "SubjectAltName")) &&
                names_add_list(c, json_object_get(o, "CertSANs")) &&
                proofs_read(json_object_get(o, "DvAuthDetail"), c) &&
                dup_to(&c->pem, text_of(o, "CertificatePublicKey", PEM_MAX)) &&
                dup_to(&c->csr, text_of(json_object_get(o, "SubmittedData"), "CsrContent", 65536));
}

bool tc_cert_read(const json_t *object, const char *fallback_id, struct tc_cert *ret)
{
        struct tc_cert c = { 0 };
        const json_t *extra = json_object_get(object, "CertificateExtra");

        id_of(object, "CertificateId", c.id);
        if (!*c.id && fallback_id && tc_id_is_valid(fallback_id))
                snprintf(c.id, sizeof c.id, "%s", fallback_id);
        flags_read(object, extra, &c);
        times_read(object, &c);
        short_texts_read(object, &c);
        id_of(extra, "ReplacedBy", c.replaced_by);
        id_of(extra, "ReplacedFor", c.replaced_for);
        if (!*c.id || !owned_read(object, &c)) {
                tc_cert_done(&c);
                return false;
        }
        *ret = c;
        return true;
}

void tc_cert_done(struct tc_cert *c)
{
        free(c->domain);
        texts_done(&c->names);
        dv_done(&c->top);
        for (size_t i = 0; i < c->dv_count; i++)
                dv_done(&c->dv[i]);
        free(c->dv);
        free(c->pem);
        free(c->csr);
        *c = (struct tc_cert){ 0 };
}
