/* The checks of this room, in the order of the catalogue. Higher rooms have arrays of their own; the mains join them.
 */
#include "validators/check.h"

extern const struct check check_name_list, check_name_one, check_delegation_name, check_delegation_zone,
        check_servers_zone, check_caa_name;

const struct check *const validator_checks[] = {
        &check_name_list,
        &check_name_one,
        &check_delegation_name,
        &check_delegation_zone,
        &check_servers_zone,
        &check_caa_name,
        NULL,
};
