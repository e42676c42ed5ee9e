/* Looks at the certificate an endpoint really serves: TCP, STARTTLS where asked, one handshake that offers only the
 * signature algorithms of one key type, and the leaf as it came. It verifies nothing: it reports. OpenSSL over memory
 * BIOs on the loop. */
#ifndef DCVD_NET_TLS_LOOK_H
#define DCVD_NET_TLS_LOOK_H

#include "agent/net/address.h"

struct loop;

enum tls_protocol { TLS_DIRECT, TLS_SMTP, TLS_IMAP, TLS_POP3, TLS_LDAP, TLS_FTP, TLS_POSTGRES };
bool tls_protocol_from_name(const char *name, enum tls_protocol *ret); /* "smtp" */
const char *tls_protocol_name(enum tls_protocol p);

struct tls_look_request {
        struct address address;
        const char *sni; /* NULL: none */
        enum tls_protocol protocol;
        const char *signature_algorithms; /* OpenSSL list ("ECDSA+SHA256:..."); NULL: all */
        const char *alpn; /* the one protocol that is offered; NULL: none */
        int64_t timeout_ms; /* 0 = 10 s */
};
struct tls_look_result {
        const uint8_t *leaf; /* DER */
        size_t leaf_len;
        uint8_t sha256[32]; /* of the leaf */
        char tls_version[16];
        bool alpn_taken; /* it chose the protocol that was offered */
        int64_t total_us;
};
typedef void tls_look_fn(void *arg, const struct tls_look_result *result, const struct err *err); /* result NULL: err */
struct tls_look;
struct tls_look *tls_look_start(
        struct loop *loop, const struct tls_look_request *r, tls_look_fn *done, void *arg, struct err *e);
void tls_look_cancel(struct tls_look *l); /* NULL allowed */

#endif
