/* The certificate that answers tls-alpn-01 (RFC 8737 section 3): signed by itself, one name, and the hash of the key
 * authorization in a critical extension. */
#ifndef DCVD_PKI_ALPN_H
#define DCVD_PKI_ALPN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct secret;

#define ALPN_HASH_LEN 32

/* name: host name or address. For a key of its own, made for it and used for nothing else; both as DER. ret_cert is
 * allocated. */
bool alpn_cert_make(const char *name, const uint8_t hash[ALPN_HASH_LEN], uint8_t **ret_cert, size_t *ret_len,
        struct secret *ret_key, struct err *e);
/* Would a CA take this one for that name and hash? ERR_PROTOCOL "alpn.cert" says what is wrong with it. */
bool alpn_cert_check(
        const uint8_t *der, size_t len, const char *name, const uint8_t hash[ALPN_HASH_LEN], struct err *e);

#endif
