/* The listener of tls-alpn-01 (RFC 8737): a handshake that offers "acme-tls/1" and nothing else, for a name that has an
 * answer, gets that certificate and is closed; every other one is refused before any certificate is shown. It speaks
 * nothing over TLS. OpenSSL over memory BIOs on the loop. Bounded: 128 connections (the oldest gives way), 10 s and
 * 64 KiB each. */
#ifndef DCVD_NET_TLS_ALPN_H
#define DCVD_NET_TLS_ALPN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct loop;
struct texts;
struct tls_alpn;

#define TLS_ALPN_ACME "acme-tls/1"

struct tls_alpn_answer { /* borrowed while the handshake takes it */
        const uint8_t *cert, *key; /* DER; an EC key */
        size_t cert_len, key_len;
};
/* sni: as it came, never NULL. False: there is none for it. */
typedef bool tls_alpn_find_fn(void *arg, const char *sni, struct tls_alpn_answer *ret);

/* With listeners as the configuration in force wants them: none yet. */
bool tls_alpn_open(struct tls_alpn **ret, struct loop *loop, tls_alpn_find_fn *find, void *arg, struct err *e);
void tls_alpn_close(struct tls_alpn *t); /* NULL allowed */
/* Opens what `want` ("0.0.0.0:443", "systemd": the socket named tokens-tls) names and is not open yet. On failure all
 * is as it was; else one of the two below must follow. */
bool tls_alpn_prepare(struct tls_alpn *t, const struct texts *want, struct err *e);
void tls_alpn_commit(struct tls_alpn *t); /* closes what is not wanted any more */
void tls_alpn_abandon(struct tls_alpn *t); /* closes what was new */
uint16_t tls_alpn_port(const struct tls_alpn *t); /* of the first listener; 0: none */

#endif
