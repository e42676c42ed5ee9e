/* What the commands print of the daemon's answers, for people. Each is beside its command. */
#ifndef DCVD_CLI_PRINT_H
#define DCVD_CLI_PRINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef void print_fn(FILE *to, const json_t *answer);

print_fn print_status; /* a dcvd.status/1 document */
print_fn print_history; /* a dcvd.history/1 document */
print_fn print_sets;
print_fn print_verify; /* a dcvd.verify/1 document */
print_fn print_rehearsal; /* a dcvd.rehearse/1 document */
print_fn print_dry_run; /* of one certificate */
print_fn print_incidents; /* a dcvd.incidents/1 document */
print_fn print_incident; /* a dcvd.incident/1 document */
print_fn print_listing; /* what an account holds */

/* status --check: why this certificate of the document is failed, stuck, not served or near its end; NULL: it is not.
 */
const char *status_trouble(const json_t *cert, int64_t now_s);

#endif
