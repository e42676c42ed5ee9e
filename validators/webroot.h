/* The settings of a webroot publisher: dcvd-helper reads them too. */
#ifndef DCVD_VALIDATORS_WEBROOT_H
#define DCVD_VALIDATORS_WEBROOT_H

struct webroot_conf {
        char *directory;
};

#endif
