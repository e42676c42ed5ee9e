/* The configuration: whatever stands in the file, it loads or is refused with a problem. */
#include <stdlib.h>

#include "../unit/config/kinds.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct conf_problems p = { 0 };
        struct conf *c = NULL;

        (void)test_some_kinds;
        bool loaded = config_load_text("fuzz", (const char *)data, size, test_all_kinds, &c, &p);
        if (loaded != (p.text.count + p.beyond == 0) || loaded != (c != NULL))
                abort();
        config_free(c);
        conf_problems_done(&p);
        return 0;
}
