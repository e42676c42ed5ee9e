/* The kinds that config_load wants, made once from both registries. */
#include "agent/base/util.h"
#include "agent/ca/ca.h"
#include "agent/job/engine.h"
#include "validators/publisher.h"

#define KINDS_MAX 32

const struct conf_kind *engine_kinds(void)
{
        static struct conf_kind kinds[KINDS_MAX + 1];
        if (kinds[0].section)
                return kinds;
        size_t n = 0;
        for (const struct ca_ops *const *at = ca_registry; *at && n < KINDS_MAX; at++)
                kinds[n++] = (struct conf_kind){ .section = "cas",
                        .type = (*at)->type,
                        .keys = (*at)->keys,
                        .size = (*at)->conf_size,
                        .check = (*at)->check,
                        .not_in_build = (*at)->not_in_build,
                        .can = (*at)->can,
                        .key_types = (*at)->key_types };
        for (const struct publisher_ops *const *at = publisher_registry; *at && n < KINDS_MAX; at++)
                kinds[n++] = (struct conf_kind){ .section = "publishers",
                        .type = (*at)->type,
                        .keys = (*at)->keys,
                        .size = (*at)->conf_size,
                        .check = (*at)->check,
                        .not_in_build = (*at)->not_in_build,
                        .can = (*at)->can,
                        .by_person = (*at)->by_person };
        return kinds;
}
