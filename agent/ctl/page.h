/* The status page: one self-contained HTML document of a dcvd.status/1 document. No script; every text escaped. */
#ifndef DCVD_CTL_PAGE_H
#define DCVD_CTL_PAGE_H

#include <jansson.h>
#include <stdbool.h>

struct buf;

bool page_render(const json_t *status, struct buf *ret);

#endif
