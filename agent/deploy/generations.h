/* A target directory: `.dcvd/<n>/` holds complete generations (copies), `.dcvd/live` is the one switched link, the
 * files of `files:` are links through it, `links:` replace fixed paths elsewhere. What was there before is generation
 * 0. Blocking, as the rights of this process allow. I3 holds at every instant. */
#ifndef DCVD_DEPLOY_GENERATIONS_H
#define DCVD_DEPLOY_GENERATIONS_H

#include <limits.h>
#include <sys/types.h>

#include "agent/base/secret.h"
#include "config/config.h"

#define GENERATION_NONE UINT_MAX /* nothing was there */
#define GENERATION_FILES_MAX 64 /* as many as the configuration may have */

struct generations {
        const struct conf_target *target;
        int dir_fd, dcvd_fd, lock_fd;
        uid_t uid;
        gid_t gid;
        unsigned most; /* so many generations are there at most: none in a .dcvd just made */
        unsigned live; /* where the live link leads; nobody else moves it while we hold the lock */
};
struct generation_file { /* one file of a generation, in memory */
        const char *name;
        struct secret content;
        mode_t mode;
};

/* Opens (making what is absent, the directories above it too: place.h) and locks; a symlink, FIFO or device in the way
 * is ERR_CONFIG naming it. */
bool generations_open(struct generations *g, const struct conf_target *target, bool make, struct err *e);
void generations_close(struct generations *g);
/* Would an installation find what it needs: a place to make things in, room, nothing foreign under its names? Changes
 * nothing. ERR_CONFIG or errno's kind, naming the path, with the command that mends it. */
bool generations_ready(const struct generations *g, struct err *e);
unsigned generations_live(
        const struct generations *g); /* GENERATION_NONE: no live link (0 if plain files of ours are there) */
/* Writes a generation whole under a temporary name, then renames. *n: the number to write under; unless another one
 * already lies there (a state directory that began anew, another owner or mode in the configuration): then the next
 * free one, and *n is that. The same content, read by the same, is success. */
bool generations_write(
        struct generations *g, unsigned *n, const struct generation_file *file, size_t count, struct err *e);
/* Keeps what is there as generation 0, unless it is ours or there is one; turns the files into links, each put in place
 * in one step; makes n live. Readers see the same content until that. */
bool generations_switch(struct generations *g, unsigned n, struct err *e);
/* Back to n; GENERATION_NONE removes the links that were made. */
bool generations_restore(struct generations *g, unsigned n, struct err *e);
void generations_retire(struct generations *g, unsigned keep); /* keeps the newest, the live one and 0 */

#endif
