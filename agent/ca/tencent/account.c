#include "agent/ca/tencent/account.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/util.h"

#define PAGE_ROWS 100
#define PAGES_MAX 2000

const int tc_running_statuses[] = { TC_REVIEWING, TC_DNS_ADDED, TC_INFORMATION_WANTED, TC_LETTER_WANTED, TC_REISSUING,
        TC_FREE_INFORMATION_WANTED, -1 };

void tc_account_done(struct tc_account *a)
{
        for (size_t i = 0; i < a->count; i++)
                tc_cert_done(&a->item[i]);
        free(a->item);
        *a = (struct tc_account){ 0 };
}

json_t *tc_account_request(const struct tc_account *a, const int *statuses, const char *search)
{
        json_t *p = json_object();
        bool ok = p && json_put_i64(p, "Offset", a->offset) && json_put_i64(p, "Limit", PAGE_ROWS);

        if (ok && search && *search)
                ok = json_put_text(p, "SearchKey", search);
        if (ok && statuses) {
                json_t *list = json_array();
                for (const int *s = statuses; list && *s >= 0; s++)
                        ok = ok && json_array_append_new(list, json_integer(*s)) == 0;
                ok = json_object_set_new(p, "CertificateStatus", list) == 0 && ok;
        }
        if (!ok)
                json_decref_p(&p);
        return p;
}

static bool is_known(const struct tc_account *a, const char *id)
{
        for (size_t i = 0; i < a->count; i++)
                if (strcmp(a->item[i].id, id) == 0)
                        return true;
        return false;
}

static bool row_add(struct tc_account *a, const json_t *row)
{
        struct tc_cert c;
        const char *id = json_str(row, "CertificateId");

        if (!tc_id_is_valid(id) || is_known(a, id) || a->count >= TC_ACCOUNT_MAX)
                return true;
        if (!tc_cert_read(row, NULL, &c))
                return false;
        a->newest_on_page_s = MAX(a->newest_on_page_s, c.inserted_s);
        if (a->count == a->cap) {
                size_t cap = a->cap ? a->cap * 2 : 16;
                struct tc_cert *more = realloc(a->item, cap * sizeof *more);
                if (!more) {
                        tc_cert_done(&c);
                        return false;
                }
                a->item = more;
                a->cap = cap;
        }
        a->item[a->count++] = c;
        return true;
}

enum tc_page tc_account_add(struct tc_account *a, const json_t *response)
{
        const json_t *rows = json_object_get(response, "Certificates");
        int64_t count = (int64_t)json_array_size(rows), total = json_i64(response, "TotalCount", 0), before = a->total;

        a->newest_on_page_s = 0;
        for (int64_t i = 0; i < count; i++)
                if (!row_add(a, json_array_get(rows, (size_t)i)))
                        return TC_PAGE_MEMORY;
        /* Rows that went away moved the rest forward: go back by as many, doubles are dropped. */
        int64_t gone = a->pages > 0 && total < before ? MIN(before - total, a->offset) : 0;
        a->offset += count - gone;
        a->total = total;
        a->pages++;
        return count == 0 || a->offset >= total || a->pages >= PAGES_MAX ? TC_PAGE_LAST : TC_PAGE_MORE;
}
