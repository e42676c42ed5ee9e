/* What somebody who holds a key is given to sign, so that the signature is fresh and says what it means (P5). Nothing
 * is kept: the nonce is a MAC over the rest under a key of this process. */
#ifndef DCVD_ALERTS_CHALLENGE_H
#define DCVD_ALERTS_CHALLENGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHALLENGE_LIFE_S 3600
#define CHALLENGE_TEXT 512

struct challenges {
        uint8_t key[32];
        char host[128];
};
void challenges_init(struct challenges *c); /* random key, this host's name */
void challenges_done(struct challenges *c); /* wipes */
void challenge_make(const struct challenges *c, int64_t now_s, char ret[CHALLENGE_TEXT]);
/* One of ours, not older than an hour; line ends behind it are forgiven. */
bool challenge_is_good(const struct challenges *c, const char *text, size_t len, int64_t now_s);

#endif
