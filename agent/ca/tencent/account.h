/* The list of the account's certificates, read page by page while it may change under the reader. No I/O here. */
#ifndef DCVD_CA_TENCENT_ACCOUNT_H
#define DCVD_CA_TENCENT_ACCOUNT_H

#include "agent/ca/tencent/model.h"

#define TC_ACCOUNT_MAX 50000

struct tc_account {
        struct tc_cert *item; /* owned, each id once */
        size_t count, cap;
        int64_t offset, total, pages;
        int64_t newest_on_page_s; /* application time of the youngest entry of the last page; 0: unknown */
};
enum tc_page { TC_PAGE_MORE, TC_PAGE_LAST, TC_PAGE_MEMORY };
void tc_account_done(struct tc_account *a);
/* Parameters of the next page. statuses: NULL or a list ended by -1; search: NULL or text. NULL: memory. */
json_t *tc_account_request(const struct tc_account *a, const int *statuses, const char *search);
enum tc_page tc_account_add(struct tc_account *a, const json_t *response);
extern const int tc_running_statuses[]; /* of orders that may still be issued */

#endif
