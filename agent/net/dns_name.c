/* Names in presentation form: comparing, climbing, wire form; and the words for types and rcodes. */
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/net/dns_message.h"

#define WIRE_MAX 255
#define LABEL_MAX 63

static char lower(char c)
{
        return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Length without a final dot that is not escaped. */
static size_t length(const char *name)
{
        size_t n = strlen(name);
        if (n > 0 && name[n - 1] == '.' && !(n > 1 && name[n - 2] == '\\'))
                n--;
        return n;
}

static bool same(const char *a, const char *b, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (lower(a[i]) != lower(b[i]))
                        return false;
        return true;
}

bool dns_name_equal(const char *a, const char *b)
{
        size_t n = length(a);
        return n == length(b) && same(a, b, n);
}

bool dns_name_is_below(const char *name, const char *zone)
{
        size_t n = length(name), z = length(zone);
        if (z == 0)
                return true;
        if (n < z || !same(name + n - z, zone, z))
                return false;
        return n == z || (name[n - z - 1] == '.' && !(n - z > 1 && name[n - z - 2] == '\\'));
}

const char *dns_name_parent(const char *name)
{
        if (length(name) == 0)
                return NULL;
        for (const char *at = name; *at; at++)
                if (*at == '\\' && at[1])
                        at++;
                else if (*at == '.')
                        return at[1] ? at + 1 : "";
        return name + strlen(name);
}

/* One character of a label: plain, \X or \DDD. Returns how many bytes of text it took, 0 if malformed. */
static size_t character(const char *at, const char *end, uint8_t *ret)
{
        if (*at != '\\') {
                *ret = (uint8_t)*at;
                return 1;
        }
        if (end - at < 2)
                return 0;
        if (at[1] < '0' || at[1] > '9') {
                *ret = (uint8_t)at[1];
                return 2;
        }
        if (end - at < 4 || at[2] < '0' || at[2] > '9' || at[3] < '0' || at[3] > '9')
                return 0;
        int value = 100 * (at[1] - '0') + 10 * (at[2] - '0') + (at[3] - '0');
        *ret = (uint8_t)value;
        return value < 256 ? 4 : 0;
}

size_t dns_name_wire(const char *name, bool to_lower, uint8_t *ret, size_t size)
{
        const char *at = name, *end = name + length(name);
        size_t label = 0, used = 1; /* ret[label] is the length octet of the label being written */
        if (size < 1)
                return 0;
        ret[0] = 0;
        while (at < end) {
                uint8_t c;
                if (*at == '.') {
                        if (ret[label] == 0 || used >= MIN(size, (size_t)WIRE_MAX))
                                return 0;
                        label = used++;
                        ret[label] = 0;
                        at++;
                        continue;
                }
                size_t took = character(at, end, &c);
                if (took == 0 || ret[label] == LABEL_MAX || used >= MIN(size, (size_t)WIRE_MAX))
                        return 0;
                ret[used++] = to_lower && c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
                ret[label]++;
                at += took;
        }
        if (ret[label] == 0) /* the root alone, or an empty last label */
                return label == 0 ? 1 : 0;
        if (used >= MIN(size, (size_t)WIRE_MAX))
                return 0;
        ret[used++] = 0;
        return used;
}

bool dns_name_is_valid(const char *name)
{
        uint8_t wire[WIRE_MAX];
        return dns_name_wire(name, false, wire, sizeof wire) > 0;
}

const char *dns_type_name(uint16_t type)
{
        static const struct {
                uint16_t type;
                const char *name;
        } names[] = { { DNS_A, "A" }, { DNS_NS, "NS" }, { DNS_CNAME, "CNAME" }, { DNS_SOA, "SOA" }, { DNS_TXT, "TXT" },
                { DNS_AAAA, "AAAA" }, { DNS_DNAME, "DNAME" }, { DNS_OPT, "OPT" }, { DNS_DS, "DS" },
                { DNS_RRSIG, "RRSIG" }, { DNS_DNSKEY, "DNSKEY" }, { DNS_TSIG, "TSIG" }, { DNS_CAA, "CAA" },
                { 47, "NSEC" }, { 50, "NSEC3" }, { 51, "NSEC3PARAM" } };
        static _Thread_local char other[16];
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
                if (names[i].type == type)
                        return names[i].name;
        snprintf(other, sizeof other, "TYPE%u", type);
        return other;
}

const char *dns_rcode_name(uint16_t rcode)
{
        static const char *const names[] = { "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
                "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE" };
        static _Thread_local char other[16];
        if (rcode < ARRAY_LEN(names))
                return names[rcode];
        snprintf(other, sizeof other, "RCODE%u", rcode);
        return other;
}

bool dns_serial_newer(uint32_t a, uint32_t b)
{
        return a != b && (int32_t)(a - b) > 0;
}
