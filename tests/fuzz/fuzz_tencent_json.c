#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/net/tencent_api.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* First byte: a read or a write. Whatever is read as a success is an object; whatever is not has a kind and a text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        json_t *response = NULL;
        char request_id[80];
        struct err e = { 0 };

        if (size < 1 || size > 65536)
                return 0;
        bool write = data[0] & 1;
        if (tencent_envelope_read((const char *)data + 1, size - 1, write, &response, request_id, &e)) {
                if (!json_is_object(response))
                        abort();
        } else if (e.kind == ERR_NONE || !e.text[0] || response) {
                abort();
        }
        if (strlen(request_id) > 79 || strpbrk(request_id, " \r\n\x1b"))
                abort();
        json_decref(response);
        return 0;
}
