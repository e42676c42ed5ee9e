/* One line of the control socket. */
#include <jansson.h>

#include "agent/base/json.h"
#include "agent/ctl/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        json_t *request = NULL;
        const json_t *args;
        const char *verb;
        struct err e;
        if (size <= 65536 && ctl_request_read((const char *)data, size, &request, &verb, &args, &e))
                (void)ctl_verb_find(ctl_verbs, verb);
        json_decref(request);
        return 0;
}
