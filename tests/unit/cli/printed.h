/* What a function writes to a stream, as a text. */
#ifndef DCVD_TEST_CLI_PRINTED_H
#define DCVD_TEST_CLI_PRINTED_H

#include <stdio.h>

#include "agent/cli/print.h"

/* The caller frees. */
static inline char *printed(print_fn *print, const json_t *answer)
{
        char *text = NULL;
        size_t len = 0;
        FILE *to = open_memstream(&text, &len);
        assert_non_null(to);
        print(to, answer);
        fclose(to);
        return text;
}

static inline json_t *json_of(const char *text)
{
        json_error_t e;
        json_t *o = json_loads(text, 0, &e);
        if (!o)
                fail_msg("%s in %s", e.text, text);
        return o;
}

#endif
