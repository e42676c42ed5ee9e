#include "agent/ca/tencent/chain.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"

void tc_chain_done(struct tc_chain *c)
{
        for (size_t i = 0; i < c->count; i++)
                tc_cert_done(&c->member[i]);
        free(c->member);
        texts_done(&c->gone);
        *c = (struct tc_chain){ 0 };
}

const struct tc_cert *tc_chain_find(const struct tc_chain *c, const char *id)
{
        for (size_t i = 0; i < c->count; i++)
                if (strcmp(c->member[i].id, id) == 0)
                        return &c->member[i];
        return NULL;
}

bool tc_chain_add_own(struct tc_chain *c, struct tc_cert *cert)
{
        if (tc_chain_find(c, cert->id)) {
                tc_cert_done(cert);
                return true;
        }
        if (c->count == TC_CHAIN_MAX)
                return false;
        if (c->count == c->cap) {
                size_t cap = c->cap ? c->cap * 2 : 4;
                struct tc_cert *more = realloc(c->member, cap * sizeof *more);
                if (!more)
                        return false;
                c->member = more;
                c->cap = cap;
        }
        c->member[c->count++] = *cert;
        *cert = (struct tc_cert){ 0 };
        return true;
}

static bool is_unread(const struct tc_chain *c, const char *id)
{
        return *id && !tc_chain_find(c, id) && !texts_has(&c->gone, id);
}

const char *tc_chain_next(const struct tc_chain *c)
{
        for (size_t i = 0; i < c->count; i++)
                if (is_unread(c, c->member[i].replaced_for))
                        return c->member[i].replaced_for;
        for (size_t i = 0; i < c->count; i++)
                if (is_unread(c, c->member[i].replaced_by))
                        return c->member[i].replaced_by;
        return NULL;
}

static int64_t age_key(const struct tc_cert *c)
{
        return c->inserted_s ? c->inserted_s : c->begin_s;
}

static bool is_older(const struct tc_cert *a, const struct tc_cert *b)
{
        int64_t ka = age_key(a), kb = age_key(b);

        if (ka && kb && ka != kb)
                return ka < kb;
        return strcmp(a->replaced_for, b->id) == 0 || strcmp(b->replaced_by, a->id) == 0;
}

/* By insertion: the relation is not transitive where times are missing, and members are few. */
void tc_chain_sort(struct tc_chain *c)
{
        for (size_t i = 1; i < c->count; i++) {
                struct tc_cert moved = c->member[i];
                size_t j = i;
                for (; j > 0 && is_older(&moved, &c->member[j - 1]); j--)
                        c->member[j] = c->member[j - 1];
                c->member[j] = moved;
        }
}

bool tc_cert_is_issued(const struct tc_cert *c)
{
        return c->status == TC_ISSUED || (c->status == TC_REISSUING && c->begin_s && c->end_s && c->dv_count == 0);
}

bool tc_cert_links(const struct tc_cert *a, const struct tc_cert *b)
{
        return strcmp(a->replaced_for, b->id) == 0 || strcmp(a->replaced_by, b->id) == 0 ||
                strcmp(b->replaced_for, a->id) == 0 || strcmp(b->replaced_by, a->id) == 0;
}

const struct tc_cert *tc_chain_head(const struct tc_chain *c)
{
        for (size_t i = c->count; i > 0; i--)
                if (tc_cert_is_issued(&c->member[i - 1]))
                        return &c->member[i - 1];
        return NULL;
}

const struct tc_cert *tc_chain_running(const struct tc_chain *c, const struct tc_cert *head)
{
        for (size_t i = c->count; i > 0 && &c->member[i - 1] != head; i--)
                if (tc_status_is_pending(c->member[i - 1].status))
                        return &c->member[i - 1];
        return NULL;
}
