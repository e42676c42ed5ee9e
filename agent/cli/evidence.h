/* The evidence document of an incident as text for people: from the dcvd.evidence/1 document alone. */
#ifndef DCVD_CLI_EVIDENCE_H
#define DCVD_CLI_EVIDENCE_H

#include <jansson.h>

char *evidence_markdown(const json_t *evidence); /* allocated; NULL: memory */
char *evidence_line(const json_t *row); /* one row of the timeline; allocated */

#endif
