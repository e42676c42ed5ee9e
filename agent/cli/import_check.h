/* What was found, checked against the files: see import_check.c. */
#ifndef DCVD_CLI_IMPORT_CHECK_H
#define DCVD_CLI_IMPORT_CHECK_H

#include "agent/cli/import_found.h"

void import_load(struct import *im); /* reads chain and key of each; what is unusable goes, and is told */
/* Tells the certificates who uses them. add: what a server uses and nobody brought becomes one, too. */
void import_match(struct import *im, bool add);
void import_confirm(struct import *im); /* forgets paths that do not hold what they should */

/* import_timers.c: what renews with this program by itself: `next` says how to stop it. */
void import_timers(struct import *im, const char *program);

/* import_known.c: what conf (NULL: nothing) has already. */
struct conf;
struct conf_cert;
/* For each certificate that was found the one that fits it best: with its files, else with its names and kind of key.
 * NULL: it is new. To be freed; NULL: no memory. */
const struct conf_cert **import_known_certs(const struct import *im, const struct conf *conf);
const char *import_known_ca(const struct conf *conf, const char *directory); /* its name, or NULL */
const char *import_known_publisher(const struct conf *conf, const json_t *section); /* that does the same */

/* import_yaml.c */
/* The configuration for all of them as one document {cas, publishers, certificates, tokens}, which is accepted; those
 * for which none can be made go, and are told. agreed: the person has agreed to the terms of these CAs. old: the
 * configuration it is added to, or NULL. Each certificate's name is then the one of the configuration. */
bool import_configuration(struct import *im, bool agreed, const struct conf *old, json_t **ret, struct err *e);
bool import_yaml(const json_t *configuration, struct buf *ret); /* as a person would write it */

/* import_write.c: puts the text into the included directory and has the daemon, or this process, take the certificates
 * over. Exit status. */
struct cli_options;
/* The first half: NAME.yaml in the included directory, never in place of a file; the whole configuration is tried, and
 * the file goes again if it is not accepted. *ret: its path (free). */
bool import_put_file(const struct cli_options *o, const char *name, const char *text, char **ret, struct err *e);
int import_write(const struct cli_options *o, struct import *im, const char *source, const char *text, json_t *report);

#endif
