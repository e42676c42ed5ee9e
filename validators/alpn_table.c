#include "validators/alpn_table.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/net/address.h"
#include "agent/net/tls_alpn.h"
#include "agent/pki/alpn.h"

#define BUCKETS 256 /* power of two */
#define ENTRIES_MAX 100000

struct entry {
        struct entry *next;
        char *sni; /* compared without case */
        char *value;
        uint8_t *cert;
        size_t cert_len;
        struct secret key;
};
struct alpn_table {
        struct entry *bucket[BUCKETS];
        size_t count;
};

static size_t bucket_of(const char *sni)
{
        uint64_t h = 1469598103934665603u;
        for (; *sni; sni++)
                h = (h ^ (unsigned char)(*sni | ('A' <= *sni && *sni <= 'Z' ? 0x20 : 0))) * 1099511628211u;
        return (size_t)(h ^ h >> 32) & (BUCKETS - 1);
}

char *alpn_server_name(const char *name)
{
        struct address a;
        char reverse[ADDRESS_REVERSE_TEXT];
        if (!address_parse(name, 0, &a))
                return text_dup(name);
        address_reverse_name(&a, reverse);
        return text_dup(reverse);
}

static void entry_free(struct entry *x)
{
        free(x->sni);
        free(x->value);
        free(x->cert);
        secret_done(&x->key);
        free(x);
}

bool alpn_table_new(struct alpn_table **ret, struct err *e)
{
        *ret = calloc(1, sizeof **ret);
        return *ret || err_memory(e);
}

void alpn_table_free(struct alpn_table *t)
{
        for (size_t i = 0; t && i < BUCKETS; i++)
                while (t->bucket[i]) {
                        struct entry *x = t->bucket[i];
                        t->bucket[i] = x->next;
                        entry_free(x);
                }
        free(t);
}

static struct entry **find(struct alpn_table *t, const char *sni)
{
        struct entry **at = &t->bucket[bucket_of(sni)];
        while (*at && !text_equal_nocase((*at)->sni, sni))
                at = &(*at)->next;
        return at;
}

static bool entry_fill(struct entry *x, const char *name, const char *sni, const char *value, struct err *e)
{
        CLEANUP(free_p) uint8_t *hash = NULL;
        size_t len = 0;
        if (!base64url_decode(value, strlen(value), &hash, &len) || len != ALPN_HASH_LEN)
                return err_set(e, ERR_PROTOCOL, "token.grammar", "the value of a tls-alpn challenge is no hash");
        x->sni = text_dup(sni);
        x->value = text_dup(value);
        return (x->sni && x->value) ? alpn_cert_make(name, hash, &x->cert, &x->cert_len, &x->key, e) : err_memory(e);
}

bool alpn_table_put(struct alpn_table *t, const char *name, const char *value, struct err *e)
{
        CLEANUP(free_p) char *sni = alpn_server_name(name);
        if (!sni)
                return err_memory(e);
        struct entry **at = find(t, sni);
        if (*at && strcmp((*at)->value, value) == 0)
                return true;
        if (*at)
                return err_set(e, ERR_RULE, "token.foreign", "tls-alpn of %s is in use with another value", name);
        if (t->count >= ENTRIES_MAX)
                return err_set(e, ERR_TEMPORARY, "token.many", "more than %d tokens at once", ENTRIES_MAX);
        struct entry *x = calloc(1, sizeof *x);
        if (!x)
                return err_memory(e);
        if (!entry_fill(x, name, sni, value, e)) {
                entry_free(x);
                return false;
        }
        *at = x;
        t->count++;
        return true;
}

void alpn_table_drop(struct alpn_table *t, const char *name)
{
        CLEANUP(free_p) char *sni = alpn_server_name(name);
        struct entry **at = sni ? find(t, sni) : NULL, *x = at ? *at : NULL;
        if (!x)
                return;
        *at = x->next;
        entry_free(x);
        t->count--;
}

bool alpn_table_find(void *table, const char *sni, struct tls_alpn_answer *ret)
{
        const struct entry *x = *find(table, sni);
        if (!x)
                return false;
        *ret = (struct tls_alpn_answer){
                .cert = x->cert, .cert_len = x->cert_len, .key = x->key.data, .key_len = x->key.len
        };
        return true;
}
