/* list(): what the account has, and the rule in the way of each, for import. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/ca/tencent/rules.h"
#include "agent/ca/tencent/tencent.h"

struct list {
        struct ca_call op;
        char *search;
        struct tc_account account;
        struct tc_cert *running; /* those rows whose order may still be issued; what they point to is borrowed */
        size_t running_count;
        ca_list_fn *done;
        void *arg;
};

static void list_clean(struct ca_call *op)
{
        struct list *l = (struct list *)op;

        free(l->search);
        free(l->running);
        tc_account_done(&l->account);
}

static void list_finish(struct list *l, const struct ca_listed *rows, size_t count, const struct err *err)
{
        tc_op_detach(&l->op);
        l->done(l->arg, rows, count, err);
        tc_op_free(&l->op);
}

static void rows_free(struct ca_listed *rows, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                free(rows[i].product);
                free(rows[i].domain);
                free(rows[i].status);
                texts_done(&rows[i].names);
        }
        free(rows);
}

static enum conf_validation method_of(const struct tc_cert *c)
{
        if (text_starts(c->verify_type, "FILE"))
                return VALIDATION_FILE;
        if (text_starts(c->verify_type, "DNS_AUTO"))
                return VALIDATION_DNS_AUTO;
        return text_starts(c->verify_type, "DNS") ? VALIDATION_DNS : VALIDATION_UNSET;
}

/* The members of one chain among the rows, borrowed: links are rare, so that all rows are looked through only where
 * there is one. */
static bool chain_borrow(const struct tc_account *a, const struct tc_cert *c, struct tc_chain *ret)
{
        size_t count = 1;
        bool linked = *c->replaced_by || *c->replaced_for;

        if (!(ret->member = calloc(linked ? TC_CHAIN_MAX : 1, sizeof *ret->member)))
                return false;
        ret->member[0] = *c;
        for (size_t i = 0; linked && i < a->count && count < TC_CHAIN_MAX; i++)
                if (a->item[i].id != c->id && tc_cert_links(&a->item[i], c))
                        ret->member[count++] = a->item[i];
        ret->count = count;
        tc_chain_sort(ret);
        return true;
}

static bool rule_of(const struct list *l, const struct tc_cert *c, struct ca_listed *row)
{
        const struct ca_subject_request request = { .certificate_id = c->id, .validation = method_of(c) };
        struct tc_chain chain = { 0 };
        struct tc_ruling r;

        if (!chain_borrow(&l->account, c, &chain))
                return false;
        struct tc_facts f = { .chain = &chain,
                .head = tc_chain_find(&chain, c->id),
                .list = l->running,
                .list_count = l->running_count,
                .request = &request,
                .head_spki_hex = "",
                .running_spki_hex = "",
                .now_s = tc_now_s(l->op.ca) };
        bool ok = tc_rules_apply(&f, &r);
        if (ok && r.refused.kind != ERR_NONE) {
                snprintf(row->rule, sizeof row->rule, "%.15s", r.refused.code);
                snprintf(row->rule_text, sizeof row->rule_text, "%.299s", r.refused.text);
        } else if (ok && *r.resume_id) {
                snprintf(row->rule, sizeof row->rule, "R5");
                snprintf(row->rule_text, sizeof row->rule_text, "%.299s", r.notes.item[0]);
        }
        row->reissuable_until_s = ok && !*row->rule ? r.reissuable_until_s : 0;
        tc_ruling_done(&r);
        free(chain.member);
        return ok;
}

static bool row_make(const struct list *l, const struct tc_cert *c, struct ca_listed *row)
{
        char product[120];

        tc_product_text(c, product, sizeof product);
        snprintf(row->id, sizeof row->id, "%s", c->id);
        row->product = text_dup(product);
        row->domain = text_dup(c->domain ? c->domain : "");
        row->status = text_dup(tc_status_text(c->status));
        row->not_after_s = c->end_s;
        row->validation = method_of(c);
        return row->product && row->domain && row->status && texts_copy(&row->names, &c->names) && rule_of(l, c, row);
}

/* Every row is judged against these few, not against all. */
static bool running_pick(struct list *l)
{
        l->running = calloc(l->account.count ? l->account.count : 1, sizeof *l->running);
        for (size_t i = 0; l->running && i < l->account.count; i++)
                if (tc_status_is_pending(l->account.item[i].status))
                        l->running[l->running_count++] = l->account.item[i];
        return l->running != NULL;
}

static void list_give(struct list *l)
{
        size_t count = l->account.count;
        struct ca_listed *rows = calloc(count ? count : 1, sizeof *rows);
        bool ok = rows != NULL && running_pick(l);
        struct err e;

        for (size_t i = 0; ok && i < count; i++)
                ok = row_make(l, &l->account.item[i], &rows[i]);
        if (!ok)
                err_memory(&e);
        list_finish(l, ok ? rows : NULL, ok ? count : 0, ok ? NULL : &e);
        if (rows)
                rows_free(rows, count);
}

static void page_answered(struct ca_call *op, const json_t *response, const struct err *err);

static bool page_ask(struct list *l, struct err *e)
{
        return tc_op_ask(&l->op, 0, "DescribeCertificates", tc_account_request(&l->account, NULL, l->search), false,
                page_answered, e);
}

static void page_answered(struct ca_call *op, const json_t *response, const struct err *err)
{
        struct list *l = (struct list *)op;
        struct err e;

        if (err)
                return list_finish(l, NULL, 0, err);
        switch (tc_account_add(&l->account, response)) {
        case TC_PAGE_LAST:
                return list_give(l);
        case TC_PAGE_MEMORY:
                err_memory(&e);
                return list_finish(l, NULL, 0, &e);
        case TC_PAGE_MORE:
                if (!page_ask(l, &e))
                        list_finish(l, NULL, 0, &e);
        }
}

struct ca_call *tc_list(struct ca *ca, const char *search, ca_list_fn *done, void *arg, struct err *e)
{
        struct list *l = calloc(1, sizeof *l);

        if (!l) {
                err_memory(e);
                return NULL;
        }
        l->done = done;
        l->arg = arg;
        tc_op_link(ca, &l->op, list_clean);
        l->search = text_dup(search);
        if (search && !l->search)
                err_memory(e);
        if ((search && !l->search) || !page_ask(l, e)) {
                tc_op_free(&l->op);
                return NULL;
        }
        return &l->op;
}
