#include "validators/name_check.h"

#include <ctype.h>
#include <idn2.h>
#include <libpsl.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/util.h"
#include "agent/net/address.h"
#include "agent/net/dns_message.h"
#include "validators/judgement.h"

/* Plan: a table of rules in the order in which they make sense; the first that refuses a name ends it, for what follows
 * would only repeat it in other words. Sources: Baseline Requirements 3.2.2.6, 4.2.2 and 7.1.4.2; RFC 5890 section 2.3;
 * Boulder policy/pa.go for the counts. */

#define NAME_MAX_BYTES 253
#define LABEL_MAX_BYTES 63
#define LABELS_MAX 10
#define LDH "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"

struct look {
        const struct name_request *r;
        const char *name; /* as given */
        const char *base; /* without "*." */
        struct judgements *out;
};

static char *lower_of(const char *text, size_t n)
{
        char *lower = text_dup_n(text, n);
        for (char *c = lower; c && *c; c++)
                *c = (char)tolower((unsigned char)*c);
        return lower;
}

static bool is_wildcard(const char *name)
{
        return text_starts(name, "*.");
}

static bool is_dns_method(const char *method)
{
        return method && text_starts(method, "dns");
}

/* ---- addresses: N03 ---- */

static bool is_address(const char *name)
{
        struct address a;
        return address_parse(name, 0, &a) && a.port == 0;
}

static bool address_is_fine(const struct look *l)
{
        struct judgement_words w = { .subject = l->name };
        if (!is_address(l->base) || (l->r->ip_type && !is_dns_method(l->r->method) && l->base == l->name))
                return true;
        w.fix = "validate it by file (http-01) or tls-alpn, at a CA that issues for addresses, or use a host name";
        judge(l->out, "N03", w,
                "%s is an IP address: it needs the identifier type ip and http-01 or tls-alpn-01, not %s", l->name,
                l->r->method ? l->r->method : "a DNS name");
        return false;
}

/* ---- wildcards: N04, N05 ---- */

static bool stars_are_fine(const struct look *l)
{
        if (!strchr(l->base, '*'))
                return true;
        judge(l->out, "N04",
                (struct judgement_words){
                        l->name, "request each name, or one wildcard per level: *.example.com", NULL, NULL },
                "%s: only a single leading \"*.\" is allowed", l->name);
        return false;
}

static bool wildcard_is_fine(const struct look *l)
{
        if (!is_wildcard(l->name) || !l->r->method || is_dns_method(l->r->method))
                return true;
        judge(l->out, "N05",
                (struct judgement_words){
                        l->name, "set `validation: dns` and a DNS publisher for this name", l->r->method, "dns-01" },
                "%s: wildcards are only validated through DNS, not by %s", l->name, l->r->method);
        return false;
}

/* ---- syntax: N01, N02, N10 ---- */

static bool ends_in_dot(const char *n)
{
        return text_ends(n, ".");
}

static bool has_empty_label(const char *n)
{
        return *n == '\0' || *n == '.' || strstr(n, "..");
}

static bool is_too_long(const char *n)
{
        return strlen(n) > NAME_MAX_BYTES;
}

static size_t labels_of(const char *n)
{
        size_t count = 1;
        for (; *n; n++)
                count += *n == '.';
        return count;
}

static bool has_one_label(const char *n)
{
        return labels_of(n) < 2;
}

static bool has_many_labels(const char *n)
{
        return labels_of(n) > LABELS_MAX;
}

static bool has_other_bytes(const char *n)
{
        return n[strspn(n, LDH "._")] != '\0';
}

static bool has_long_label(const char *n)
{
        for (size_t len; len = strcspn(n, "."), len <= LABEL_MAX_BYTES; n += len + 1)
                if (n[len] == '\0')
                        return false;
        return true;
}

static bool has_edge_hyphen(const char *n)
{
        for (size_t len;; n += len + 1) {
                len = strcspn(n, ".");
                if (len > 0 && (n[0] == '-' || n[len - 1] == '-'))
                        return true;
                if (n[len] == '\0')
                        return false;
        }
}

static bool ends_in_number(const char *n)
{
        const char *last = strrchr(n, '.');
        last = last ? last + 1 : n;
        return *last && last[strspn(last, "0123456789")] == '\0';
}

static const struct {
        bool (*is_wrong)(const char *name);
        const char *why, *fix;
} syntax[] = {
        { ends_in_dot, "it ends in a dot", "write it without the final dot" },
        { has_empty_label, "it has an empty label", "write one dot between labels" },
        { is_too_long, "it is longer than 253 bytes", "use a shorter name" },
        { has_one_label, "it has a single label", "write the whole name, with its domain" },
        { has_many_labels, "it has more than 10 labels", "use a shorter name" },
        { has_long_label, "a label is longer than 63 bytes", "use a shorter label" },
        { has_other_bytes, "it has other characters than letters, digits and hyphens",
                "correct the name; international names are written in their ASCII form (xn--...)" },
        { has_edge_hyphen, "a label begins or ends with a hyphen", "correct the name" },
        { ends_in_number, "its last label is a number", "correct the name" },
};

static bool syntax_is_fine(const struct look *l)
{
        for (size_t i = 0; i < ARRAY_LEN(syntax); i++) {
                if (!syntax[i].is_wrong(l->base))
                        continue;
                char *ascii = NULL; /* of a name in Unicode */
                bool known = idn2_to_ascii_8z(l->name, &ascii, IDN2_NONTRANSITIONAL) == IDN2_OK &&
                        strcmp(ascii, l->name) != 0;
                CLEANUP(free_p) char *fix = known ? text_format("write it as %s", ascii) : text_dup(syntax[i].fix);
                judge(l->out, "N01", (struct judgement_words){ l->name, fix, NULL, known ? ascii : NULL },
                        "\"%s\" is not a host name a CA accepts: %s", l->name, syntax[i].why);
                idn2_free(ascii);
                return false;
        }
        return true;
}

static bool is_suffix(const char *name, int type)
{
        CLEANUP(free_p) char *lower = lower_of(name, strlen(name));
        return lower && psl_is_public_suffix2(psl_builtin(), lower, type);
}

static bool underscore_is_absent(const struct look *l)
{
        if (!strchr(l->base, '_'))
                return true;
        const char *parent = dns_name_parent(l->base);
        bool covered = parent && !strchr(parent, '_') && !is_suffix(parent, PSL_TYPE_ICANN) && dns_name_parent(parent);
        CLEANUP(free_p)
        char *fix = covered ? text_format("rename the host, or ask for *.%s instead, which covers it", parent)
                            : text_dup("rename the host: no certificate of a public CA can hold this name");
        judge(l->out, "N10", (struct judgement_words){ .subject = l->name, .fix = fix },
                "%s: underscores are not allowed in the names of a certificate", l->name);
        return false;
}

/* Why a label is no P-label in NFC; NULL if it is one. What IDNA 2008 disallows but CAs issue (symbols) passes. */
static const char *punycode_fault(const char *label)
{
        char *unicode = NULL, *back = NULL;
        const char *why = NULL;
        if (!text_starts(label, "xn--"))
                return "its third and fourth character are hyphens, and it does not begin with xn--";
        if (idn2_to_unicode_8z8z(label, &unicode, 0) != IDN2_OK || !unicode || strcmp(unicode, label) == 0) {
                why = "it cannot be decoded";
        } else {
                int rc = idn2_lookup_u8((const uint8_t *)unicode, (uint8_t **)&back, IDN2_NO_TR46);
                if (rc == IDN2_NOT_NFC)
                        why = "it is not in Unicode normal form C";
                else if (rc == IDN2_ALABEL_ROUNDTRIP_FAILED || (rc == IDN2_OK && strcmp(back, label) != 0))
                        why = "it is not what its own decoding encodes to";
        }
        idn2_free(unicode);
        idn2_free(back);
        return why;
}

static bool punycode_is_fine(const struct look *l)
{
        for (const char *at = l->base; at; at = strchr(at, '.'), at = at ? at + 1 : NULL) {
                CLEANUP(free_p) char *label = lower_of(at, strcspn(at, "."));
                if (!label || strlen(label) < 4 || memcmp(label + 2, "--", 2) != 0)
                        continue;
                const char *why = punycode_fault(label);
                if (!why)
                        continue;
                judge(l->out, "N02",
                        (struct judgement_words){
                                l->name, "encode it again from the name in Unicode (idn2 NAME)", label, NULL },
                        "the label %s of %s is not valid punycode: %s", label, l->name, why);
                return false;
        }
        return true;
}

/* ---- what the world knows: N06, N07, N09 ---- */

static bool is_reverse(const char *name)
{
        return dns_name_is_below(name, "in-addr.arpa") || dns_name_is_below(name, "ip6.arpa");
}

static bool reverse_is_fine(const struct look *l)
{
        if (l->r->internal || !is_reverse(l->base))
                return true;
        judge(l->out, "N09",
                (struct judgement_words){
                        .subject = l->name, .fix = "ask for the address itself, at a CA that issues for addresses" },
                "%s: CAs may not issue for names of the reverse zones", l->name);
        return false;
}

bool name_has_public_tld(const char *name)
{
        const char *tld = strrchr(name, '.');
        return tld && is_suffix(tld + 1, PSL_TYPE_ICANN | PSL_TYPE_NO_STAR_RULE);
}

static bool suffix_is_fine(const struct look *l)
{
        const char *tld = strrchr(l->base, '.');
        bool is_private = tld && !name_has_public_tld(l->base);
        struct judgement_words w = { .subject = l->name };
        if (l->r->internal || (!is_private && !is_suffix(l->base, PSL_TYPE_ICANN)))
                return true;
        if (is_private) {
                w.fix = "ask for a name below a public domain, or use a CA of your own (`internal: true`)";
                judge(l->out, "N07", w, "%s is a private name: there is no top-level domain %s", l->name, tld);
        } else {
                w.fix = "ask for a name below it";
                judge(l->out, "N07", w, "%s is a public suffix%s: no CA issues for it", l->base,
                        is_wildcard(l->name) ? ", and its wildcard would cover other people's domains" : "");
        }
        return false;
}

static bool method_is_offered(const struct look *l)
{
        struct buf list = { 0 };
        if (!l->r->offered || !l->r->method)
                return true;
        for (const char *const *m = l->r->offered; *m; m++) {
                if (strcmp(*m, l->r->method) == 0) {
                        buf_done(&list);
                        return true;
                }
                buf_addf(&list, "%s%s", list.len ? ", " : "", *m);
        }
        CLEANUP(free_p) char *methods = buf_steal(&list);
        CLEANUP(free_p)
        char *fix = text_format("use one of: %s", methods && *methods ? methods : "(nothing is offered)");
        judge(l->out, "N06", (struct judgement_words){ l->name, fix, l->r->method, methods },
                "the CA does not offer %s for %s", l->r->method, l->name);
        return false;
}

bool name_judge(const struct name_request *r, const char *name, struct judgements *out)
{
        static bool (*const of_address[])(const struct look *) = { address_is_fine, method_is_offered };
        static bool (*const of_name[])(const struct look *) = { stars_are_fine, wildcard_is_fine, syntax_is_fine,
                underscore_is_absent, punycode_is_fine, reverse_is_fine, suffix_is_fine, method_is_offered };
        struct look l = { r, name, name + (is_wildcard(name) ? 2 : 0), out };
        bool address = is_address(l.base);
        size_t count = address ? ARRAY_LEN(of_address) : ARRAY_LEN(of_name);
        for (size_t i = 0; i < count; i++)
                if (!(address ? of_address : of_name)[i](&l))
                        return false;
        return true;
}

/* ---- the list as a whole: N11, N12 ---- */

static bool covers(const char *wildcard, const char *name)
{
        const char *parent = dns_name_parent(name);
        return is_wildcard(wildcard) && !is_wildcard(name) && parent && *parent && dns_name_equal(wildcard + 2, parent);
}

static void judge_redundant(const struct name_request *r, size_t i, struct judgements *out)
{
        for (size_t j = 0; j < r->count; j++) {
                const char *name = r->names[i], *other = r->names[j];
                bool twice = j < i && text_equal_nocase(name, other);
                CLEANUP(free_p) char *fix = text_format("take %s off the list: some CAs refuse it", name);
                if (j == i || (!twice && !covers(other, name)))
                        continue;
                judge(out, "N12", (struct judgement_words){ name, fix, other, NULL }, "%s is already covered by %s",
                        name, twice ? "an earlier entry" : other);
                return;
        }
}

static bool count_is_fine(const struct name_request *r, struct judgements *out)
{
        if (r->names_max == 0 || r->count <= r->names_max)
                return true;
        judge(out, "N11",
                (struct judgement_words){ .subject = r->names[0], .fix = "split the certificate, or use a wildcard" },
                "the certificate has %zu names, the CA's profile allows %u", r->count, r->names_max);
        return false;
}

bool names_judge_list(const struct name_request *r, struct judgements *out)
{
        for (size_t i = 0; i < r->count; i++)
                judge_redundant(r, i, out);
        return count_is_fine(r, out);
}

bool names_judge(const struct name_request *r, struct judgements *out)
{
        bool good = names_judge_list(r, out);
        for (size_t i = 0; i < r->count; i++)
                good = name_judge(r, r->names[i], out) && good;
        return good;
}

void name_judge_absent(const char *registrable, struct judgements *out)
{
        judge(out, "N08",
                (struct judgement_words){ registrable,
                        "register it, renew it, or have the registrar lift its hold; correct the name if it is "
                        "misspelt",
                        "NXDOMAIN", NULL },
                "the domain %s does not exist in the DNS", registrable);
}

char *name_registrable(const char *name)
{
        const char *below = NULL;
        if (is_wildcard(name))
                name += 2;
        if (is_address(name))
                return NULL;
        for (const char *at = name; at && *at; at = dns_name_parent(at)) {
                if (is_suffix(at, PSL_TYPE_ICANN))
                        return text_dup(below);
                below = at;
        }
        return NULL;
}
