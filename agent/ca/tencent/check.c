#include "agent/ca/tencent/check.h"

#include <string.h>

#include "agent/base/json.h"
#include "agent/base/util.h"

#define RESULTS_MAX 500
#define VALUES_MAX 5
#define CA_PASSED 2

static const char *local_text(int64_t code, bool throttled)
{
        switch (code) {
        case 1:
                return "Tencent sees it";
        case -1:
                return throttled ? "Tencent checks less often now" : "TXT record not found";
        case -2:
                return "TXT record has another value";
        case -3:
        case -8:
                return "name servers not found";
        case -4:
        case -9:
                return "file not found";
        case -5:
        case -10:
                return "file has another content";
        case -6:
                return "CNAME record not found";
        case -7:
                return "CNAME record leads elsewhere";
        default:
                return "check not described";
        }
}

static bool add_escaped(struct buf *b, const char *text, size_t max)
{
        return buf_add_escaped(b, text, strlen(text), max);
}

static void values_add(const json_t *result, struct buf *ret)
{
        const json_t *values = json_object_get(result, "CheckValue");
        size_t count = json_array_size(values), shown = 0;

        buf_add(ret, " (found: ");
        for (size_t i = 0; i < count && shown < VALUES_MAX; i++) {
                const char *text = json_string_value(json_array_get(values, i));
                if (!text)
                        continue;
                buf_add(ret, shown++ ? ", " : "");
                add_escaped(ret, text, 120);
        }
        buf_add(ret, shown == 0 ? "nothing)" : count > VALUES_MAX ? ", ...)" : ")");
}

static bool is_validated(const json_t *result)
{
        return json_i64(result, "CaCheck", 0) == CA_PASSED || json_bool(result, "Issued", false);
}

static void result_add(const json_t *result, struct buf *ret)
{
        const char *domain = json_str(result, "Domain"), *type = json_str(result, "VerifyType");
        const char *reason = json_str(result, "LocalCheckFailReason");
        int64_t local = json_i64(result, "LocalCheck", 0);
        bool throttled = json_bool(result, "Frequently", false);

        add_escaped(ret, domain && *domain ? domain : "(unnamed)", 255);
        if (type && *type) {
                buf_add(ret, " by ");
                add_escaped(ret, type, 16);
        }
        buf_addf(ret, ": %s", local_text(local, throttled));
        if (local != 1 && reason && *reason) {
                buf_add(ret, ", ");
                add_escaped(ret, reason, 160);
        }
        if (local != 1)
                values_add(result, ret);
        if (json_bool(result, "Issued", false))
                buf_add(ret, "; issued");
        else
                buf_add(ret, is_validated(result) ? "; the CA has validated it" : "; the CA has not validated it yet");
        if (throttled)
                buf_add(ret, "; asked too often, this says nothing: it is asked again later");
        buf_addc(ret, '\n');
}

bool tc_check_text(const json_t *response, struct buf *ret)
{
        const json_t *results = json_object_get(response, "VerificationResults");
        size_t count = MIN(json_array_size(results), (size_t)RESULTS_MAX);

        if (count == 0)
                return buf_add(ret, "Tencent says nothing about the validation of this order\n");
        for (size_t i = 0; i < count; i++)
                if (json_is_object(json_array_get(results, i)))
                        result_add(json_array_get(results, i), ret);
        return !ret->failed;
}

enum tc_known tc_check_validated(const json_t *response)
{
        const json_t *results = json_object_get(response, "VerificationResults");
        size_t count = json_array_size(results), yes = 0, silent = 0;

        for (size_t i = 0; i < count; i++) {
                const json_t *r = json_array_get(results, i);
                if (is_validated(r))
                        yes++;
                else if (json_bool(r, "Frequently", false))
                        silent++;
        }
        if (count == 0 || yes + silent == count)
                return count > 0 && yes == count ? TC_YES : TC_UNKNOWN;
        return TC_NO;
}
