/* One request as dcvd-helper reads it. */
#include "agent/base/err.h"
#include "agent/net/helper.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct helper_request r = { 0 };
        struct err e;
        if (size <= HELPER_HEADER_MAX + HELPER_BLOB_MAX && helper_request_parse(data, size, &r, &e))
                helper_request_done(&r);
        return 0;
}
