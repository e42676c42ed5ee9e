/* Every certificate of every kept set, by all that a report may name it by. Read when the first report comes and, as a
 * set never changes, from then on only what is new: reports may come by the thousand, certificates too. */
#include <stdlib.h>

#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/incident_internal.h"
#include "agent/pki/cert_match.h"

struct known_certs {
        struct known_cert *list; /* by certificate, then set */
        size_t count;
        bool read;
        uint64_t changes;
};

static void known_cert_done(struct known_cert *k)
{
        free(k->cert);
        free(k->serial);
}

void known_free(struct known_certs *k)
{
        for (size_t i = 0; k && i < k->count; i++)
                known_cert_done(&k->list[i]);
        if (k)
                free(k->list);
        free(k);
}

static bool read_one(struct engine *g, const char *cert, unsigned number, struct known_cert *ret)
{
        struct set s = { 0 };
        struct cert_names_of_key names;
        struct err e;
        if (!sets_read(g->sets, cert, number, 0, &s, &e) ||
                !cert_key_names(s.chain.leaf_der, s.chain.leaf_der_len, &names, &e)) {
                log_err(cert, "a kept set cannot be compared with reports", &e);
                set_done(&s);
                return false;
        }
        *ret = (struct known_cert){ .cert = text_dup(cert),
                .set_number = number,
                .serial = text_dup(s.chain.leaf.serial_hex),
                .not_after_s = s.chain.leaf.not_after_s };
        memcpy(ret->sha256, s.chain.leaf.sha256, sizeof ret->sha256);
        memcpy(ret->sha1, s.chain.leaf.sha1, sizeof ret->sha1);
        memcpy(ret->spki, names.spki, sizeof ret->spki);
        memcpy(ret->spki_compressed, names.spki_compressed, sizeof ret->spki_compressed);
        memcpy(ret->modulus, names.modulus, sizeof ret->modulus);
        memcpy(ret->aki, names.aki, sizeof ret->aki);
        set_done(&s);
        if (ret->cert && ret->serial)
                return true;
        known_cert_done(ret);
        return false;
}

static struct known_cert *find(struct known_certs *k, const char *cert, unsigned number)
{
        size_t low = 0, high = k->count;
        while (low < high) {
                size_t mid = low + (high - low) / 2;
                int order = strcmp(k->list[mid].cert ? k->list[mid].cert : "", cert);
                if (order == 0)
                        order = (k->list[mid].set_number > number) - (k->list[mid].set_number < number);
                if (order == 0)
                        return &k->list[mid];
                if (order < 0)
                        low = mid + 1;
                else
                        high = mid;
        }
        return NULL;
}

struct growing {
        struct known_cert *list;
        size_t count, cap;
};

static bool room_for(struct growing *n, size_t more)
{
        if (n->count + more <= n->cap)
                return true;
        size_t cap = MAX(2 * n->cap, n->count + more);
        struct known_cert *list = realloc(n->list, cap * sizeof *list);
        if (!list)
                return false;
        n->list = list;
        n->cap = cap;
        return true;
}

/* The sets of one certificate, those that were known moved over, their old places left empty of everything owned. */
static bool add_sets(struct engine *g, struct known_certs *old, struct growing *n, const char *cert, struct err *e)
{
        CLEANUP(free_p) unsigned *number = NULL;
        size_t count = 0;
        if (!sets_list(g->sets, cert, &number, &count, e))
                return false;
        if (!room_for(n, count))
                return err_memory(e);
        for (size_t i = 0; i < count; i++) {
                struct known_cert *known = find(old, cert, number[i]);
                if (!known) {
                        n->count += read_one(g, cert, number[i], &n->list[n->count]);
                        continue;
                }
                n->list[n->count++] = *known;
                known->serial = NULL;
                known->cert = text_dup(cert); /* still searched in; freed with the old list */
                if (!known->cert)
                        return err_memory(e);
        }
        return true;
}

bool known_refresh(struct engine *g, const struct known_cert **ret, size_t *ret_count, struct err *e)
{
        struct known_certs *k = g->incidents->known;
        struct texts certs = { 0 };
        struct growing n = { 0 };
        if (!k && !(k = g->incidents->known = calloc(1, sizeof *k)))
                return err_memory(e);
        uint64_t changes = sets_changes(g->sets);
        if (!k->read || k->changes != changes) {
                bool good = sets_certs(g->sets, &certs, e);
                for (size_t i = 0; good && i < certs.count; i++)
                        good = add_sets(g, k, &n, certs.item[i], e);
                texts_done(&certs);
                for (size_t i = 0; i < k->count; i++)
                        known_cert_done(&k->list[i]);
                free(k->list);
                *k = (struct known_certs){ .list = n.list, .count = n.count, .read = good, .changes = changes };
                if (!good)
                        return false;
        }
        *ret = k->list;
        *ret_count = k->count;
        return true;
}
