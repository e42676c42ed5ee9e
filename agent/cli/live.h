/* The part of a terminal that lives: below the lines that stay, a block for each job whose tokens spread, redrawn in
 * place. On anything that is no terminal there are no blocks, only lines. */
#ifndef DCVD_CLI_LIVE_H
#define DCVD_CLI_LIVE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct live {
        FILE *to;
        bool on; /* draws blocks */
        unsigned columns, rows;
        unsigned drawn; /* lines of blocks that stand on the screen */
        json_t *blocks; /* key -> lines */
};

void live_init(struct live *l, FILE *to, bool on); /* columns and rows: the terminal's, else 80 by 24 */
void live_done(struct live *l); /* takes the blocks away */
/* A line that stays. */
void live_line(struct live *l, const char *line);
/* The block of this key becomes these lines (taken over); NULL: it goes. Nothing without a terminal. */
void live_block(struct live *l, const char *key, json_t *lines_own);

/* A line a name server of an event's "propagation": who it is, what it shows, since when. New reference. */
json_t *live_servers(const json_t *propagation);

#endif
