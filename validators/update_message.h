/* The message of a dynamic update (RFC 2136) that adds or deletes exactly one record. */
#ifndef DCVD_VALIDATORS_UPDATE_MESSAGE_H
#define DCVD_VALIDATORS_UPDATE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "validators/proof.h"

struct err;

struct update {
        const char *zone, *owner;
        enum proof_type type; /* PROOF_TXT or PROOF_CNAME */
        const char *value; /* TXT: any length, split into strings of 255 bytes; CNAME: the target */
        uint32_t ttl; /* seconds */
        bool add; /* else the record is deleted */
        bool trial; /* the conditions alone, no update */
};
/* *ret is malloc'd, *ret_len bytes, without a TSIG; *ret_id is its random id. ERR_TEMPORARY "update.build": no memory,
 * or a name that is none. */
bool update_message(const struct update *u, uint16_t *ret_id, uint8_t **ret, size_t *ret_len, struct err *e);

#endif
