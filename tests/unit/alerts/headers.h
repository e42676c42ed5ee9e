/* Headers of a request as the tests write them: name, value, ..., NULL. Unused functions are fine. */
#ifndef DCVD_TEST_HEADERS_H
#define DCVD_TEST_HEADERS_H

#include <strings.h>

__attribute__((unused)) static const char *header_of(void *arg, const char *name, unsigned *ret_count)
{
        const char *first = NULL;
        unsigned n = 0;
        for (const char *const *h = arg; h[0]; h += 2)
                if (strcasecmp(h[0], name) == 0 && n++ == 0)
                        first = h[1];
        if (ret_count)
                *ret_count = n;
        return first;
}

#endif
