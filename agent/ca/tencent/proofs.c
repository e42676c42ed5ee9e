#include "agent/ca/tencent/proofs.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/ca/tencent/domain.h"
#include "agent/ca/tencent/model.h"

#define NAME_TEXT 1100

struct list {
        struct proof *item;
        size_t count, cap;
};

void tc_proofs_free(struct proof *list, size_t count)
{
        for (size_t i = 0; i < count; i++)
                proof_done(&list[i]);
        free(list);
}

static bool is_given(const char *text)
{
        return text && *text;
}

static bool entry_asks(const struct tc_dv *d)
{
        return is_given(d->value) && (is_given(d->key) || is_given(d->sub_domain) || is_given(d->path));
}

bool tc_cert_asks(const struct tc_cert *c)
{
        return c->dv_count > 0 || entry_asks(&c->top);
}

/* ---- what it proves ---- */

/* "ni****ang.online": shown to people only, never to be built on. One leading "*." is a wildcard name. */
static const char *unmasked(const char *domain)
{
        if (!is_given(domain))
                return NULL;
        const char *host = text_starts(domain, "*.") ? domain + 2 : domain;
        return strchr(host, '*') || !*host ? NULL : host;
}

static const char *bare(const char *name)
{
        return text_starts(name, "*.") ? name + 2 : name;
}

/* The name whose proof this is: given, else the longest of the certificate's that the owner lies below. */
static const char *name_of(const struct tc_cert *c, const struct tc_dv *d, const char *owner)
{
        const char *best = NULL;

        if (unmasked(d->domain))
                return unmasked(d->domain);
        for (size_t i = 0; owner && i < c->names.count; i++) {
                const char *name = bare(c->names.item[i]);
                if (tc_is_below(owner, name) && (!best || strlen(name) > strlen(best)))
                        best = name;
        }
        if (best)
                return best;
        return c->domain ? bare(c->domain) : c->names.count ? bare(c->names.item[0]) : NULL;
}

static bool is_absolute(const struct tc_cert *c, const struct tc_dv *d, const char *key)
{
        if (unmasked(d->domain) && tc_is_below(key, tc_registrable(unmasked(d->domain))))
                return true;
        if (c->domain && tc_is_below(key, tc_registrable(c->domain)))
                return true;
        for (size_t i = 0; i < c->names.count; i++)
                if (tc_is_below(key, tc_registrable(c->names.item[i])))
                        return true;
        return false;
}

static void lower_host(const char *text, char *ret, size_t size)
{
        snprintf(ret, size, "%s", text);
        for (char *p = ret; *p; p++)
                *p = (char)tolower((unsigned char)*p);
        size_t len = strlen(ret);
        if (len && ret[len - 1] == '.')
                ret[len - 1] = '\0';
}

/* The owner of the record: the key if it is a whole name, else the key (or the relative label) below the registrable
 * domain. */
static bool owner_of(const struct tc_cert *c, const struct tc_dv *d, char *ret, size_t size)
{
        char key[NAME_TEXT], name[NAME_TEXT];
        const char *below = name_of(c, d, NULL);

        lower_host(is_given(d->key) ? d->key : is_given(d->sub_domain) ? d->sub_domain : "", key, sizeof key);
        if (!*key || strlen(key) >= NAME_TEXT / 2)
                return false;
        if (is_given(d->key) && is_absolute(c, d, key))
                return snprintf(ret, size, "%s", key) < (int)size;
        if (!below || strlen(below) >= NAME_TEXT / 2)
                return false;
        lower_host(below, name, sizeof name);
        return snprintf(ret, size, "%s.%s", key, tc_registrable(name)) < (int)size;
}

/* ---- its kind ---- */

static bool looks_like_host(const char *value)
{
        const char *dot = strrchr(value, '.');
        size_t len = strlen(value);

        if (dot && !dot[1] && len > 1) { /* a trailing dot */
                len--;
                for (dot--; dot > value && *dot != '.';)
                        dot--;
        }
        if (!dot || dot == value || strchr(value, '\n') || !isalpha((unsigned char)dot[1]))
                return false;
        for (size_t i = 0; i < len; i++)
                if (!isalnum((unsigned char)value[i]) && !strchr("-_.", value[i]))
                        return false;
        return true;
}

static bool type_of(const struct tc_cert *c, const struct tc_dv *d, enum proof_type *ret, struct err *e)
{
        if (is_given(d->type)) {
                if (text_equal_nocase(d->type, "TXT"))
                        *ret = PROOF_TXT;
                else if (text_equal_nocase(d->type, "CNAME"))
                        *ret = PROOF_CNAME;
                else if (text_starts(d->type, "FILE"))
                        *ret = PROOF_FILE;
                else
                        return err_set(e, ERR_PROTOCOL, "token.grammar",
                                "order %s asks for a proof of the unknown type %s", c->id, d->type);
                return true;
        }
        if (text_starts(c->verify_type, "FILE") || (is_given(d->path) && !*c->verify_type))
                *ret = PROOF_FILE;
        else
                *ret = looks_like_host(d->value) || tc_product_of(c).brand == TC_WOTRUS ? PROOF_CNAME : PROOF_TXT;
        return true;
}

/* ---- building ---- */

static bool list_add_own(struct list *l, struct proof *p, struct err *e)
{
        for (size_t i = 0; i < l->count; i++)
                if (proof_equal(&l->item[i], p)) {
                        proof_done(p);
                        return true;
                }
        if (l->count >= 2 * TC_PROOFS_MAX)
                return err_set(
                        e, ERR_PROTOCOL, "token.grammar", "more than %d proofs are asked for", 2 * TC_PROOFS_MAX);
        if (l->count == l->cap) {
                size_t cap = l->cap ? l->cap * 2 : 4;
                struct proof *more = realloc(l->item, cap * sizeof *more);
                if (!more)
                        return err_memory(e);
                l->item = more;
                l->cap = cap;
        }
        l->item[l->count++] = *p;
        return true;
}

static bool put(struct list *l, enum proof_type type, const char *name, const char *place, const char *path,
        const char *value, struct err *e)
{
        struct proof p = { .type = type,
                .name = text_dup(name),
                .place = text_dup(place),
                .path = text_dup(path),
                .value = text_dup(value) };
        bool ok = p.name && p.place && p.value && (p.path || !path) ? proof_check(&p, e) : err_memory(e);

        if (ok && list_add_own(l, &p, e))
                return true;
        proof_done(&p);
        return false;
}

static bool put_record(
        struct list *l, const struct tc_cert *c, const struct tc_dv *d, enum proof_type type, struct err *e)
{
        char owner[NAME_TEXT], target[NAME_TEXT], name[NAME_TEXT];

        if (!owner_of(c, d, owner, sizeof owner) || !name_of(c, d, owner))
                return err_set(
                        e, ERR_PROTOCOL, "token.grammar", "order %s asks for a record without saying where", c->id);
        lower_host(name_of(c, d, owner), name, sizeof name);
        if (type == PROOF_TXT)
                return put(l, type, name, owner, NULL, d->value, e);
        lower_host(strlen(d->value) < sizeof target ? d->value : "", target, sizeof target);
        return put(l, type, name, owner, NULL, target, e);
}

/* Exactly one slash between path and key; a path that already ends in the key is whole. */
static char *file_path(const struct tc_dv *d)
{
        const char *path = is_given(d->path) ? d->path : "", *key = is_given(d->key) ? d->key : "";

        while (*key == '/')
                key++;
        size_t len = strlen(path), key_len = strlen(key);
        if (!key_len || (len > key_len && path[len - key_len - 1] == '/' && strcmp(path + len - key_len, key) == 0))
                return text_dup(path);
        while (len > 0 && path[len - 1] == '/')
                len--;
        return text_format("%.*s/%s", (int)len, path, key);
}

/* A primary domain is proved on www too, and www.x on x: the same file on both. */
static bool put_file(struct list *l, const struct tc_cert *c, const struct tc_dv *d, struct err *e)
{
        CLEANUP(free_p) char *path = file_path(d);
        char host[NAME_TEXT], other[NAME_TEXT + 8] = "";
        const char *name = name_of(c, d, NULL);

        if (!path)
                return err_memory(e);
        if (!name || (is_given(d->domain) && text_starts(d->domain, "*.")) || strlen(name) > 255)
                return err_set(e, ERR_PROTOCOL, "token.grammar",
                        "order %s asks for a file without a host that could serve it", c->id);
        lower_host(name, host, sizeof host);
        if (text_starts(host, "www.") && strchr(host + 4, '.'))
                snprintf(other, sizeof other, "%s", host + 4);
        else if (strcmp(tc_registrable(host), host) == 0)
                snprintf(other, sizeof other, "www.%s", host);
        return put(l, PROOF_FILE, host, host, path, d->value, e) &&
                (!*other || put(l, PROOF_FILE, other, other, path, d->value, e));
}

static bool entry_put(struct list *l, const struct tc_cert *c, const struct tc_dv *d, struct err *e)
{
        enum proof_type type = PROOF_TXT;

        if (!is_given(d->value))
                return err_set(e, ERR_PROTOCOL, "token.grammar", "order %s asks for a proof without a value", c->id);
        if (!type_of(c, d, &type, e))
                return false;
        return type == PROOF_FILE ? put_file(l, c, d, e) : put_record(l, c, d, type, e);
}

bool tc_proofs(const struct tc_cert *c, struct proof **ret, size_t *ret_count, struct err *e)
{
        struct list l = { 0 };
        bool ok = true;

        for (size_t i = 0; ok && i < c->dv_count; i++)
                ok = entry_put(&l, c, &c->dv[i], e);
        if (c->dv_count == 0 && entry_asks(&c->top))
                ok = entry_put(&l, c, &c->top, e);
        if (!ok) {
                tc_proofs_free(l.item, l.count);
                return false;
        }
        *ret = l.item;
        *ret_count = l.count;
        return true;
}
