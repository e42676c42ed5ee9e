/* The one array of publishers. */
#include <string.h>

#include "validators/publisher.h"

extern const struct publisher_ops publisher_rfc2136, publisher_webroot, publisher_manual,
        publisher_dnspod, publisher_exec;

const struct publisher_ops *const publisher_registry[] = {
        &publisher_rfc2136,
        &publisher_webroot,
        &publisher_responder,
        &publisher_manual,
        &publisher_dnspod,
        &publisher_exec,
        NULL,
};

const struct publisher_ops *publisher_ops_find(const char *type)
{
        for (const struct publisher_ops *const *at = publisher_registry; *at; at++)
                if (strcmp((*at)->type, type) == 0)
                        return *at;
        return NULL;
}
