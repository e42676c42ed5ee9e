/* Small grammars of names, addresses and paths. Each says what is wrong without quoting the text: it may hold a secret.
 */
#include <ctype.h>
#include <limits.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/net/address.h"
#include "config/internal.h"

static bool has_control(const char *text)
{
        for (; *text; text++)
                if ((unsigned char)*text < 0x20 || *text == 0x7f)
                        return true;
        return false;
}

static bool component_is(const char *from, size_t len, const char *what)
{
        return len == strlen(what) && memcmp(from, what, len) == 0;
}

const char *syntax_path(const char *text)
{
        if (text[0] != '/')
                return "is not an absolute path";
        if (strlen(text) >= PATH_MAX)
                return "is too long";
        if (has_control(text))
                return "has a control character";
        for (const char *at = text; *at;) {
                size_t len = strcspn(at, "/");
                if (component_is(at, len, ".") || component_is(at, len, ".."))
                        return "has a . or .. component";
                at += len;
                at += *at == '/';
        }
        return NULL;
}

void path_squeeze(char *path)
{
        char *to = path;

        for (const char *from = path; *from; from++)
                if (*from != '/' || to == path || to[-1] != '/')
                        *to++ = *from;
        if (to > path + 1 && to[-1] == '/')
                to--;
        *to = '\0';
}

void text_lower(char *text)
{
        for (; *text; text++)
                if (*text >= 'A' && *text <= 'Z')
                        *text = (char)(*text - 'A' + 'a');
}

static const char *label_fault(const char *label, size_t len)
{
        if (len == 0)
                return "has an empty label";
        if (len > 63)
                return "has a label of more than 63 characters";
        if (label[0] == '-' || label[len - 1] == '-')
                return "has a label that begins or ends with a hyphen";
        for (size_t i = 0; i < len; i++) {
                if (label[i] == '*')
                        return "has a * elsewhere than as the leftmost label";
                if (label[i] & 0x80)
                        return "is not ASCII: write international names as xn--...";
                if (!isalnum((unsigned char)label[i]) && label[i] != '-')
                        return "has a character other than letters, digits, hyphens and dots";
        }
        return NULL;
}

static const char *domain_fault(const char *text)
{
        size_t all = strlen(text), len = 0;
        const char *label = text;

        if (all == 0)
                return "is empty";
        if (all > 253)
                return "is longer than 253 characters";
        if (text[all - 1] == '.')
                return "ends with a dot";
        for (;; label += len + 1) {
                len = strcspn(label, ".");
                const char *fault = label_fault(label, len);
                if (fault)
                        return fault;
                if (!label[len])
                        break;
        }
        return strspn(label, "0123456789") == len ? "is neither a name nor an address" : NULL;
}

bool syntax_is_address(const char *text)
{
        struct address a;

        return text[0] != '[' && address_parse(text, 0, &a) && a.port == 0;
}

const char *syntax_host(const char *text)
{
        return syntax_is_address(text) ? NULL : domain_fault(text);
}

const char *syntax_name(const char *text)
{
        struct address a;

        if (syntax_is_address(text)) /* a CA answers for the IPv4 address that it means, which nobody ordered */
                return address_parse(text, 0, &a) && a.family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a.ip.v6)
                        ? "is an IPv4 address written as IPv6"
                        : NULL;
        if (text[0] == '*' && text[1] == '.')
                return text[2] && strspn(text + 2, "0123456789.") != strlen(text + 2) ? domain_fault(text + 2)
                                                                                      : "is a wildcard of no name";
        return domain_fault(text);
}

const char *syntax_group(const char *text)
{
        size_t len = strlen(text);

        if (len == 0 || len > 32)
                return "is not a name of 1 to 32 characters";
        if (text[0] == '-' || text[0] == '.')
                return "begins with a hyphen or a dot";
        for (size_t i = 0; i < len; i++)
                if (!isalnum((unsigned char)text[i]) && !strchr("._-$", text[i]))
                        return "has a character that no user or group name has";
        return NULL;
}

static bool host_is_loopback(const char *host)
{
        struct address a;

        if (strcmp(host, "localhost") == 0)
                return true;
        return address_parse(host, 0, &a) && address_is_loopback(&a);
}

/* authority = host [":" port]; *ret_loopback tells whether host is this machine. */
static const char *authority_fault(const char *from, size_t len, bool *ret_loopback)
{
        CLEANUP(free_p) char *all = text_dup_n(from, len);
        CLEANUP(free_p) char *host = NULL;
        uint16_t port;

        if (!all)
                return "cannot be checked: out of memory";
        if (strchr(all, '@'))
                return "holds a user name or a password";
        bool v6 = all[0] == '[';
        const char *end = v6 ? strchr(all, ']') : NULL;
        if (v6 && !end)
                return "has no closing bracket";
        if (strchr(v6 ? end : all, ':')) {
                if (!hostport_split(all, &host, &port, NULL))
                        return "has a bad port";
        } else {
                host = v6 ? text_dup_n(all + 1, (size_t)(end - all - 1)) : text_dup(all);
        }
        if (!host || syntax_host(host) || (v6 && !syntax_is_address(host)))
                return "has a bad host name";
        *ret_loopback = host_is_loopback(host);
        return NULL;
}

const char *syntax_url(const char *text, bool http_anywhere)
{
        bool http = text_starts(text, "http://"), loopback = false;

        if (!http && !text_starts(text, "https://"))
                return http_anywhere ? "is not an http or https URL" : "is not an https URL";
        if (strlen(text) > 2000)
                return "is too long";
        for (const char *c = text; *c; c++)
                if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f || strchr("\"<>\\^`{|}#", *c))
                        return "has a character that is not allowed in a URL";
        const char *authority = strstr(text, "//") + 2;
        const char *fault = authority_fault(authority, strcspn(authority, "/?"), &loopback);
        if (fault)
                return fault;
        return http && !http_anywhere && !loopback ? "is http to another machine" : NULL;
}
