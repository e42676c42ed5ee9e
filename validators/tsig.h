/* TSIG (RFC 8945) over EVP_MAC, on wire bytes: Debian's ldns lacks two algorithms and never checks the time. */
#ifndef DCVD_VALIDATORS_TSIG_H
#define DCVD_VALIDATORS_TSIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct secret;

#define TSIG_MAC_MAX 64
#define TSIG_FUDGE_S 300

/* "hmac-sha256" ...; the six of RFC 8945 section 6 that are in use. */
bool tsig_algorithm_known(const char *algorithm);
extern const char *const tsig_algorithms[]; /* NULL-terminated: for the configuration */

struct tsig_key {
        const char *name; /* of the key, presentation form */
        const char *algorithm; /* "hmac-sha256" */
        const struct secret *secret; /* raw bytes */
};
/* Appends a TSIG record to a message without one: *packet (malloc'd, *len bytes) grows, ARCOUNT too. ret_mac is kept
 * for the answer. */
bool tsig_sign(uint8_t **packet, size_t *len, const struct tsig_key *key, int64_t now_s, uint8_t ret_mac[TSIG_MAC_MAX],
        size_t *ret_mac_len, struct err *e);
/* Verifies the answer to a signed request: a TSIG that is absent, of another key, wrong, truncated or off by more than
 * its fudge is refused (ERR_PROTOCOL "tsig...."); the errors BADSIG, BADKEY, BADTIME, BADTRUNC of the server are
 * ERR_DENIED with what to do. */
bool tsig_verify(const uint8_t *packet, size_t len, const struct tsig_key *key, int64_t now_s,
        const uint8_t *request_mac, size_t request_mac_len, struct err *e);

#endif
