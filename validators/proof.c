#include "validators/proof.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/net/address.h"
#include "agent/net/dns_message.h"

#define TXT_MAX 2048
#define BODY_MAX 4096
#define PATH_MAX_BYTES 255
#define HOST_MAX 253
#define HASH_TEXT 43 /* 32 bytes in base64url */

static const struct {
        int type;
        const char *name;
} types[] = { { PROOF_TXT, "TXT" }, { PROOF_CNAME, "CNAME" }, { PROOF_FILE, "FILE" }, { PROOF_TLS, "TLS" },
        { PROOF_PERSIST, "PERSIST" } };

const char *proof_type_name(int type)
{
        for (size_t i = 0; i < ARRAY_LEN(types); i++)
                if (types[i].type == type)
                        return types[i].name;
        return "?";
}

bool proof_type_from_name(const char *name, enum proof_type *ret)
{
        for (size_t i = 0; name && i < ARRAY_LEN(types); i++)
                if (strcmp(types[i].name, name) == 0) {
                        *ret = (enum proof_type)types[i].type;
                        return true;
                }
        return false;
}

bool proof_copy(struct proof *ret, const struct proof *from)
{
        struct proof p = { from->type, text_dup(from->name), text_dup(from->place), text_dup(from->path),
                text_dup(from->value) };
        if ((from->name && !p.name) || (from->place && !p.place) || (from->path && !p.path) ||
                (from->value && !p.value)) {
                proof_done(&p);
                return false;
        }
        *ret = p;
        return true;
}

void proof_done(struct proof *p)
{
        free(p->name);
        free(p->place);
        free(p->path);
        free(p->value);
        *p = (struct proof){ 0 };
}

bool proof_equal(const struct proof *a, const struct proof *b)
{
        if (a->type != b->type || !a->place || !b->place || !a->value || !b->value ||
                !dns_name_equal(a->place, b->place))
                return false;
        if (a->type == PROOF_CNAME)
                return dns_name_equal(a->value, b->value);
        if (a->type == PROOF_FILE && (!a->path || !b->path || strcmp(a->path, b->path) != 0))
                return false;
        return strcmp(a->value, b->value) == 0;
}

/* ---- grammar ---- */

static bool bad(struct err *e, const char *field, const char *value, const char *why)
{
        struct buf b = { .max = 400 };
        if (value)
                buf_add_escaped(&b, value, strlen(value), 60);
        err_set(e, ERR_PROTOCOL, "token.grammar", "the CA's %s is refused: %s%s%s%s", field, why, value ? " (\"" : "",
                b.data ? b.data : "", value ? "\")" : "");
        buf_done(&b);
        return false;
}

/* Letters, digits, hyphen and underscore in labels of 1..63; at least two labels; no edge hyphen. */
static bool host_like(const char *name)
{
        size_t n = name ? strlen(name) : 0, label = 0, labels = 1;
        if (n == 0 || n > HOST_MAX)
                return false;
        for (size_t i = 0; i < n; i++) {
                char c = name[i];
                if (c == '.') {
                        if (label == 0 || label > 63 || name[i - 1] == '-')
                                return false;
                        label = 0;
                        labels++;
                        continue;
                }
                bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                        (c == '-' && label > 0);
                if (!good)
                        return false;
                label++;
        }
        return label > 0 && label <= 63 && labels >= 2 && name[n - 1] != '-';
}

static bool printable(const char *text, bool line_feeds)
{
        for (; *text; text++)
                if ((*text < 0x20 || *text > 0x7e) && !(line_feeds && *text == '\n'))
                        return false;
        return true;
}

static bool path_good(const char *path)
{
        static const char *const roots[] = { "/.well-known/acme-challenge/", "/.well-known/pki-validation/" };
        size_t root = 0;
        for (size_t i = 0; i < ARRAY_LEN(roots); i++)
                if (path && text_starts(path, roots[i]))
                        root = strlen(roots[i]);
        if (root == 0 || strlen(path) > PATH_MAX_BYTES || path[root] == '\0')
                return false;
        /* Each component begins with something other than a dot, and is not empty. */
        for (const char *at = path + root; *at; at++) {
                bool first = at[-1] == '/';
                bool plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9') ||
                        *at == '_' || *at == '-';
                if (!plain && !(*at == '.' && !first) && !(*at == '/' && !first && at[1]))
                        return false;
        }
        return true;
}

/* Where something is served by a host, the host may be an address. */
static bool place_good(const struct proof *p)
{
        struct address a;
        bool host = p->type == PROOF_FILE || p->type == PROOF_TLS;
        return host_like(p->place) ||
                (host && p->place && p->place[0] != '[' && address_parse(p->place, 0, &a) && a.port == 0);
}

static bool hash_good(const char *value, size_t n)
{
        return n == HASH_TEXT && strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == n;
}

static const char *place_called(const struct proof *p)
{
        return p->type == PROOF_FILE ? "host of a file" : p->type == PROOF_TLS ? "host" : "record name";
}

bool proof_check(const struct proof *p, struct err *e)
{
        size_t n = p->value ? strlen(p->value) : 0;
        if (!place_good(p))
                return bad(e, place_called(p), p->place, "not a host-like name");
        switch (p->type) {
        case PROOF_TXT:
                if (n == 0 || n > TXT_MAX || !printable(p->value, false))
                        return bad(e, "TXT value", p->value, "not 1 to 2048 printable characters");
                return true;
        case PROOF_PERSIST:
                if (n == 0 || n > TXT_MAX || !printable(p->value, false) || !p->path || !printable(p->path, false))
                        return bad(e, "record", p->value, "not 1 to 2048 printable characters");
                return true;
        case PROOF_CNAME:
                if (!host_like(p->value))
                        return bad(e, "CNAME target", p->value, "not a host-like name");
                return true;
        case PROOF_FILE:
                if (!path_good(p->path))
                        return bad(e, "file path", p->path,
                                "not a plain name below /.well-known/acme-challenge/ or /.well-known/pki-validation/");
                if (n == 0 || n > BODY_MAX || !printable(p->value, true))
                        return bad(e, "file content", p->value, "not 1 to 4096 printable characters");
                return true;
        case PROOF_TLS:
                return hash_good(p->value, n) || bad(e, "tls-alpn value", p->value, "not a SHA-256 in base64url");
        default:
                return bad(e, "token", NULL, "of an unknown type");
        }
}

void proof_text(const struct proof *p, char *ret, size_t size)
{
        if (p->type == PROOF_FILE)
                snprintf(ret, size, strchr(p->place, ':') ? "file http://[%s]%s" : "file http://%s%s", p->place,
                        p->path);
        else if (p->type == PROOF_TLS)
                snprintf(ret, size, "tls-alpn %s", p->place);
        else
                snprintf(ret, size, "%s %s", proof_type_name(p->type == PROOF_PERSIST ? PROOF_TXT : (int)p->type),
                        p->place);
}

char *proof_instruction(const struct proof *p, long ttl)
{
        struct buf b = { .max = 16384 };
        if (p->type == PROOF_FILE)
                buf_addf(&b, "serve exactly this at http://%s%s, status 200, no redirect: %s", p->place, p->path,
                        p->value);
        else if (p->type == PROOF_TLS)
                buf_addf(&b, "answer acme-tls/1 for %s on port 443 with the hash %s (RFC 8737)", p->place, p->value);
        else if (p->type == PROOF_CNAME)
                buf_addf(&b, "%s. %ld IN CNAME %s.", p->place, ttl, p->value);
        else {
                buf_addf(&b, "%s. %ld IN TXT \"", p->place, ttl);
                for (const char *at = p->value; *at; at++)
                        buf_addf(&b, *at == '"' || *at == '\\' ? "\\%c" : "%c", *at);
                buf_addc(&b, '"');
        }
        return buf_steal(&b);
}
