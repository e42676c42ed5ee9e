/* For publishers whose work is done within the call: the answer still comes from the loop, never before start returns.
 */
#ifndef DCVD_VALIDATORS_DIRECT_H
#define DCVD_VALIDATORS_DIRECT_H

#include "agent/base/err.h"
#include "validators/publisher.h"

struct direct_list {
        struct loop *loop;
        struct publish_call *first;
};
struct publish_call *direct_answer(struct direct_list *l, const char *handle, const struct err *err_or_null,
        publish_done_fn *done, void *arg, struct err *e);
void direct_cancel(struct direct_list *l, struct publish_call *c);
void direct_done(struct direct_list *l); /* drops what has not answered */

#endif
