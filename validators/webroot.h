/* The settings of a webroot publisher: dcvd-helper reads them too. */
#ifndef DCVD_VALIDATORS_WEBROOT_H
#define DCVD_VALIDATORS_WEBROOT_H

#include "config/schema.h"

struct webroot_conf {
        char *directory;
};
extern const struct conf_key webroot_keys[];

#endif
