/* The checks of this room, in the order of the catalogue. Higher rooms have arrays of their own; the mains join them.
 */
#include "validators/check.h"

extern const struct check check_name_list, check_name_one, check_delegation_name, check_delegation_zone,
        check_servers_zone, check_dnssec_zone, check_dnssec_alias, check_caa_name, check_txt_name, check_views_name,
        check_persist_name, check_publisher_name, check_next_ca;
extern const struct check check_alpn, check_http_file, check_wait;

const struct check *const validator_checks[] = {
        &check_name_list,
        &check_name_one,
        &check_delegation_name,
        &check_delegation_zone,
        &check_servers_zone,
        &check_dnssec_zone,
        &check_dnssec_alias,
        &check_caa_name,
        &check_txt_name,
        &check_views_name,
        &check_persist_name,
        &check_publisher_name,
        &check_alpn,
        &check_http_file,
        &check_wait,
        &check_next_ca,
        NULL,
};
