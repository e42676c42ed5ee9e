/* dcvctl import --from: one of import_sources, or a CA's account. */
#ifndef DCVD_CLI_IMPORT_FROM_H
#define DCVD_CLI_IMPORT_FROM_H

#include "agent/cli/cli.h"
#include "agent/cli/import_found.h"

int cli_import_from(const struct cli_options *o, const struct import_source *s, const char *named, bool write);
/* id NULL: lists what the account of this CA (its name, or its type) holds; else the configuration of one. */
int cli_import_account(const struct cli_options *o, const char *source, const char *id, bool write);

struct conf;
struct conf_cert;
/* The certificate of conf (may be NULL) that has its id already. */
const struct conf_cert *account_configured(const struct conf *conf, const json_t *answer);
/* The configuration {certificates: {*ret_name: ...}} of the first certificate of a listing, with a publisher of conf (may
 * be NULL) that can prove it, and what is left to do. */
bool account_configuration(const json_t *answer, const struct conf *conf, json_t **ret, char **ret_name,
        struct texts *todo, struct err *e);

#endif
