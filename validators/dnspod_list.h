/* What DescribeRecordList says of one name: is our record there, and is something in its way? Pure. */
#ifndef DCVD_VALIDATORS_DNSPOD_LIST_H
#define DCVD_VALIDATORS_DNSPOD_LIST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "validators/proof.h"

struct err;

struct dnspod_seen {
        int64_t id; /* of the record with our type and value; 0: there is none */
        char other[16]; /* type of a record that keeps ours from being made; "": none */
};
/* sub: the name below the zone, "@" for the zone itself. Records of other names are passed over. ERR_PROTOCOL: not such
 * an answer. */
bool dnspod_list_read(
        const json_t *response, const char *sub, const struct proof *proof, struct dnspod_seen *ret, struct err *e);

#endif
