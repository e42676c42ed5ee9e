/* What a publisher of type webroot may be told. */
#include "agent/base/util.h"
#include "validators/webroot.h"

const struct conf_key webroot_keys[] = {
        { .name = "directory",
                .type = CONF_PATH,
                .offset = offsetof(struct webroot_conf, directory),
                .required = true },
        { 0 },
};
