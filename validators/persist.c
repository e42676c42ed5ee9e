#include "validators/persist.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/util.h"
#include "validators/caa.h"
#include "validators/caa_internal.h"
#include "validators/proof.h"

/* The value is the record as one would write it; the path holds every issuer that may stand in it, blank-separated. */
bool persist_proof(const char *name, bool wildcard, const struct texts *issuers, const char *account, struct proof *ret)
{
        struct buf all = { .max = 4096 };
        for (size_t i = 0; i < issuers->count; i++)
                buf_addf(&all, "%s%s", i ? " " : "", issuers->item[i]);
        *ret = (struct proof){ .type = PROOF_PERSIST,
                .name = text_dup(name),
                .place = text_format(PERSIST_LABEL ".%s", name),
                .path = buf_steal(&all),
                .value = text_format(
                        "%s; accounturi=%s%s", issuers->item[0], account, wildcard ? "; policy=wildcard" : "") };
        buf_done(&all);
        if (ret->name && ret->place && ret->path && ret->value)
                return true;
        proof_done(ret);
        return false;
}

static bool is_among(const char *list, const char *domain)
{
        size_t n = strlen(domain);
        if (n > 0 && domain[n - 1] == '.')
                n--;
        for (const char *at = list; n > 0 && *at; at += strspn(at, " ")) {
                size_t len = strcspn(at, " ");
                if (len == n && strncasecmp(at, domain, n) == 0)
                        return true;
                at += len;
        }
        return false;
}

static unsigned times(const struct caa_value *v, const char *tag)
{
        unsigned n = 0;
        for (size_t i = 0; i < v->count; i++)
                n += text_equal_nocase(v->parameter[i].tag, tag);
        return n;
}

static const char *until_fault(const struct caa_value *v, int64_t now_s)
{
        const char *until = caa_value_parameter(v, "persistUntil");
        int64_t until_s;
        if (!until)
                return NULL;
        if (!parse_i64(until, 0, INT64_MAX, &until_s))
                return "its persistUntil is not a time";
        return until_s < now_s ? "its persistUntil has passed" : NULL;
}

static const char *fault_of(const struct proof *p, const struct caa_value *v, int64_t now_s)
{
        static const char *const known[] = { "accounturi", "policy", "persistUntil" };
        const char *account = caa_value_parameter(v, "accounturi"), *policy = caa_value_parameter(v, "policy");
        const char *wanted = strstr(p->value, "accounturi=");
        size_t len = wanted ? strcspn(wanted + 11, ";") : 0;
        if (v->fault)
                return v->fault;
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
                if (times(v, known[i]) > 1)
                        return "a parameter is there twice";
        if (!is_among(p->path ? p->path : "", v->domain))
                return "it is for another CA";
        if (!account || !wanted || strlen(account) != len || strncmp(account, wanted + 11, len) != 0)
                return "it is for another account";
        if (text_ends(p->value, "; policy=wildcard") && (!policy || !text_equal_nocase(policy, "wildcard")))
                return "it does not say policy=wildcard";
        return until_fault(v, now_s);
}

bool persist_fits(const struct proof *p, const void *record, size_t len, int64_t now_s, const char **ret_why)
{
        const struct caa_record r = { .value = (uint8_t *)(uintptr_t)record, .len = len };
        struct caa_value v;
        const char *text = record;
        *ret_why = NULL;
        if (len == 0 || text[len - 1] == ';') /* allowed in CAA, not here */
                *ret_why = len ? "it ends in a semicolon" : "it is empty";
        else if (!caa_value_read(&r, &v))
                *ret_why = "out of memory";
        if (*ret_why)
                return false;
        *ret_why = fault_of(p, &v, now_s);
        caa_value_done(&v);
        return *ret_why == NULL;
}
