/* One request as dcvd-helper reads it: as bytes, and from a pipe, which must come to the same. */
#include <stdlib.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/net/helper.h"

#define PIPE_MAX 60000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool read_it(const uint8_t *data, size_t size)
{
        struct helper_request r = { 0 };
        struct err e;
        int pair[2];
        if (pipe(pair) < 0)
                abort();
        if (write(pair[1], data, size) != (ssize_t)size)
                abort();
        close(pair[1]);
        bool good = helper_request_read(pair[0], &r, &e);
        close(pair[0]);
        helper_request_done(&r);
        return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct helper_request r = { 0 };
        struct err e;
        if (size > HELPER_HEADER_MAX + HELPER_BLOB_MAX)
                return 0;
        bool good = helper_request_parse(data, size, &r, &e);
        if (size <= PIPE_MAX && read_it(data, size) != good)
                abort();
        helper_request_done(&r);
        return 0;
}
