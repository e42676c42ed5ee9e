#include "validators/dnspod_list.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/net/dns_message.h"

#define ROWS_MAX 3000

/* TXT values come without quotes, or with; a CNAME's target with its final dot. */
static bool same_value(const struct proof *p, const char *value)
{
        size_t n = strlen(value), want = strlen(p->value);
        if (p->type == PROOF_CNAME)
                return dns_name_equal(value, p->value);
        if (n >= 2 && value[0] == '"' && value[n - 1] == '"') {
                value++;
                n -= 2;
        }
        return n == want && memcmp(value, p->value, n) == 0;
}

/* A TXT goes beside anything but an alias; an alias goes beside nothing. */
static bool in_the_way(const struct proof *p, const char *type)
{
        return p->type == PROOF_CNAME ? strcmp(type, "NS") != 0 : strcmp(type, "CNAME") == 0;
}

static bool read_row(const json_t *row, const char *sub, const struct proof *p, struct dnspod_seen *seen)
{
        const char *name = json_str(row, "Name"), *type = json_str(row, "Type"), *value = json_str(row, "Value");
        int64_t id = json_i64(row, "RecordId", 0);
        if (!name || !type || !value || id <= 0)
                return false;
        if (!text_equal_nocase(name, sub))
                return true;
        if (strcmp(type, proof_type_name((int)p->type)) == 0 && same_value(p, value))
                seen->id = id;
        else if (in_the_way(p, type))
                snprintf(seen->other, sizeof seen->other, "%s", type);
        return true;
}

bool dnspod_list_read(
        const json_t *response, const char *sub, const struct proof *proof, struct dnspod_seen *ret, struct err *e)
{
        const json_t *list = json_object_get(response, "RecordList");
        struct dnspod_seen seen = { 0 };
        bool good = json_is_array(list) && json_array_size(list) <= ROWS_MAX;
        for (size_t i = 0; good && i < json_array_size(list); i++)
                good = read_row(json_array_get(list, i), sub, proof, &seen);
        if (!good)
                return err_set(
                        e, ERR_PROTOCOL, "dnspod.list", "DNSPod's list of records is not what its API describes");
        *ret = seen;
        return true;
}
