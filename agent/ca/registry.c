/* Who can issue. A new CA is one line here, and its own file or folder. */
#include <string.h>

#include "agent/ca/ca.h"

extern const struct ca_ops ca_tencent, ca_acme;

const struct ca_ops *const ca_registry[] = { &ca_tencent, &ca_acme, NULL };

const struct ca_ops *ca_ops_find(const char *type)
{
        for (const struct ca_ops *const *o = ca_registry; *o; o++)
                if (strcmp((*o)->type, type) == 0)
                        return *o;
        return NULL;
}
