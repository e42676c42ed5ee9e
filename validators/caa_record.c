#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/util.h"
#include "agent/net/dns_message.h"
#include "validators/caa.h"
#include "validators/caa_internal.h"

/* Plan: RFC 8659 section 4.1 (rdata), 4.2 (value of issue and issuewild), RFC 8657 (parameters); where these leave
 * room, as Boulder reads them. A level's answer may begin with CNAMEs: they count for the level, the climb goes on with
 * its own parents. */

#define ALIASES_MAX 16

bool caa_record_read(const uint8_t *rdata, size_t len, struct caa_record *ret)
{
        struct caa_record r = { 0 };
        if (len < 2 || rdata[1] == 0 || rdata[1] > len - 2)
                return false;
        size_t tag = rdata[1];
        r.flags = rdata[0];
        memcpy(r.tag, rdata + 2, tag);
        r.len = len - 2 - tag;
        r.value = malloc(r.len + 1);
        if (!r.value)
                return false;
        memcpy(r.value, rdata + 2 + tag, r.len);
        r.value[r.len] = 0;
        *ret = r;
        return true;
}

void caa_record_done(struct caa_record *r)
{
        free(r->value);
        *r = (struct caa_record){ 0 };
}

void caa_level_done(struct caa_level *level)
{
        for (size_t i = 0; i < level->count; i++)
                caa_record_done(&level->record[i]);
        free(level->record);
        free(level->name);
        free(level->alias);
        free(level->error);
        *level = (struct caa_level){ 0 };
}

bool caa_level_failed(struct caa_level *level, const char *name, const char *error)
{
        struct caa_level l = { .name = text_dup(name), .error = text_dup(error), .state = CAA_ERROR };
        if (!l.name || !l.error) {
                caa_level_done(&l);
                return false;
        }
        *level = l;
        return true;
}

static bool is_answer(const struct dns_rr *rr, uint16_t type, const char *owner)
{
        return rr->section == DNS_ANSWER && rr->type == type && rr->class == DNS_CLASS_IN &&
                dns_name_equal(rr->owner, owner);
}

/* The end of the CNAME chain that begins at name, as far as this answer tells it. */
static void follow(const struct dns_message *m, char name[DNS_NAME_TEXT])
{
        for (int hop = 0; hop < ALIASES_MAX; hop++) {
                bool moved = false;
                for (size_t i = 0; i < m->rr_count && !moved; i++)
                        moved = is_answer(&m->rr[i], DNS_CNAME, name) && dns_rr_name(m, &m->rr[i], name);
                if (!moved)
                        return;
        }
}

static bool set_error(struct caa_level *l, const char *text)
{
        l->state = CAA_ERROR;
        free(l->error);
        l->error = text_dup(text);
        return l->error;
}

static bool add_record(struct caa_level *l, const struct dns_message *m, const struct dns_rr *rr)
{
        struct caa_record *more = realloc(l->record, (l->count + 1) * sizeof *more);
        if (!more)
                return false;
        l->record = more;
        if (!caa_record_read(m->data + rr->rdata, rr->rdlength, &more[l->count]))
                return set_error(l, "a CAA record that cannot be read");
        l->count++;
        l->state = l->state == CAA_ERROR ? CAA_ERROR : CAA_RECORDS;
        return true;
}

/* Did the server speak for owner: a SOA at or above it, or no delegation away from it? */
static bool denied(const struct dns_message *m, const char *owner)
{
        for (size_t i = 0; i < m->rr_count; i++)
                if (m->rr[i].section == DNS_AUTHORITY && m->rr[i].type == DNS_SOA &&
                        dns_name_is_below(owner, m->rr[i].owner))
                        return true;
        return false;
}

static bool is_referral(const struct dns_message *m)
{
        for (size_t i = 0; i < m->rr_count; i++)
                if (m->rr[i].section == DNS_AUTHORITY && m->rr[i].type == DNS_NS && !m->aa)
                        return true;
        return false;
}

static bool empty_answer(struct caa_level *l, const struct dns_message *m, const char *owner)
{
        if (m->rcode == DNS_NXDOMAIN) {
                l->state = CAA_NXDOMAIN;
        } else if (denied(m, owner)) {
                l->state = CAA_NODATA;
        } else if (l->alias) {
                l->state = CAA_ALIAS;
        } else if (is_referral(m)) {
                return set_error(l, "the server refers to others instead of answering");
        }
        return true;
}

static bool fill(struct caa_level *l, const struct dns_message *m, const char *owner)
{
        if (m->tc) {
                l->state = CAA_TRUNCATED;
                return true;
        }
        if (m->rcode != DNS_NOERROR && m->rcode != DNS_NXDOMAIN)
                return set_error(l, dns_rcode_name(m->rcode));
        l->state = CAA_NODATA;
        for (size_t i = 0; i < m->rr_count; i++)
                if (is_answer(&m->rr[i], DNS_CAA, owner) && !add_record(l, m, &m->rr[i]))
                        return false;
        return l->state == CAA_NODATA ? empty_answer(l, m, owner) : true;
}

static bool take(struct caa_level *l, const struct dns_message *m, const char *asked)
{
        char owner[DNS_NAME_TEXT];
        if (strlen(asked) >= sizeof owner)
                return set_error(l, "a name too long to be one");
        memcpy(owner, asked, strlen(asked) + 1);
        follow(m, owner);
        if (!dns_name_equal(owner, asked)) {
                free(l->alias);
                l->alias = text_dup(owner);
                if (!l->alias)
                        return false;
        }
        return fill(l, m, owner);
}

bool caa_level_read(const struct dns_message *m, const char *name, struct caa_level *ret)
{
        struct caa_level l = { .name = text_dup(name) };
        if (!l.name || !take(&l, m, name)) {
                caa_level_done(&l);
                return false;
        }
        *ret = l;
        return true;
}

bool caa_level_alias(struct caa_level *level, const struct dns_message *m)
{
        CLEANUP(free_p) char *asked = text_dup(level->alias);
        return asked && take(level, m, asked);
}

/* ---- the value of issue and issuewild ---- */

static bool is_blank(char c)
{
        return c == ' ' || c == '\t';
}

static char *trim(char *text)
{
        size_t n = strlen(text);
        while (n > 0 && is_blank(text[n - 1]))
                text[--n] = '\0';
        while (is_blank(*text))
                text++;
        return text;
}

static bool all_in(const char *text, const char *set)
{
        return text[strspn(text, set)] == '\0';
}

#define DIGITS "0123456789"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define ALNUM LOWER UPPER DIGITS

bool caa_domain_is_valid(const char *domain)
{
        return all_in(domain, ALNUM "-.") && dns_name_is_valid(domain) && !text_ends(domain, ".");
}

bool caa_tag_is_valid(const char *tag)
{
        return *tag && all_in(tag, ALNUM);
}

bool caa_tag_is_known(const char *tag)
{
        static const char *const known[] = { "issue", "issuewild", "iodef", "issuemail", "issuevmc" };
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
                if (text_equal_nocase(tag, known[i]))
                        return true;
        return false;
}

bool caa_tag_is(const struct caa_record *r, const char *tag)
{
        return text_equal_nocase(r->tag, tag);
}

bool caa_domain_is_misspelt(const char *domain, const char *issuer)
{
        static const char *const scheme[] = { "https://", "http://", "//" };
        domain += strspn(domain, "\"'` \t");
        for (size_t i = 0; i < ARRAY_LEN(scheme); i++)
                if (strncasecmp(domain, scheme[i], strlen(scheme[i])) == 0) {
                        domain += strlen(scheme[i]);
                        break;
                }
        size_t n = strlen(issuer);
        if (strncasecmp(domain, issuer, n) != 0)
                return false;
        domain += n;
        return *domain == '/' || all_in(domain, ".\"'` \t");
}

static const char *parameter_fault(const char *tag, const char *value)
{
        if (!caa_tag_is_valid(tag))
                return "a parameter's tag is not letters and digits";
        for (const char *c = value; *c; c++)
                if (*c < 0x21 || *c > 0x7e)
                        return "a parameter's value has blanks or characters that are not ASCII";
        return NULL;
}

static const char *add_parameter(struct caa_value *v, char *text)
{
        char *equals = strchr(text, '=');
        if (!equals)
                return *trim(text) ? "a parameter is not tag=value" : "a parameter is empty";
        *equals = '\0';
        const char *tag = trim(text), *value = trim(equals + 1);
        if (v->count == CAA_PARAMETERS_MAX)
                return "it has too many parameters";
        if (caa_value_parameter(v, tag) &&
                (text_equal_nocase(tag, "accounturi") || text_equal_nocase(tag, "validationmethods")))
                return "a parameter is there twice";
        v->parameter[v->count].tag = tag;
        v->parameter[v->count++].value = value;
        return parameter_fault(tag, value);
}

/* "ca.example;" is written by many panels and taken by CAs: one empty parameter alone is none. */
static const char *add_parameters(struct caa_value *v, char *rest)
{
        const char *fault = NULL;
        if (!strchr(rest, ';') && *trim(rest) == '\0')
                return NULL;
        for (char *next = rest; next && !fault; rest = next) {
                next = strchr(rest, ';');
                if (next)
                        *next++ = '\0';
                fault = add_parameter(v, rest);
        }
        return fault;
}

bool caa_value_read(const struct caa_record *r, struct caa_value *ret)
{
        struct caa_value v = { .text = text_dup_n((const char *)r->value, r->len) };
        if (!v.text)
                return false;
        char *rest = strchr(v.text, ';');
        if (rest)
                *rest++ = '\0';
        v.domain = trim(v.text);
        if (memchr(r->value, 0, r->len))
                v.fault = "it has a zero byte";
        else if (rest)
                v.fault = add_parameters(&v, rest);
        *ret = v;
        return true;
}

void caa_value_done(struct caa_value *v)
{
        free(v->text);
        *v = (struct caa_value){ 0 };
}

const char *caa_value_parameter(const struct caa_value *v, const char *tag)
{
        for (size_t i = 0; i < v->count; i++)
                if (text_equal_nocase(v->parameter[i].tag, tag))
                        return v->parameter[i].value;
        return NULL;
}
