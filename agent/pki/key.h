/* Private keys: making, reading, writing, naming them by the hash of their public key. The only room that touches OpenSSL X.509. */
#ifndef DCVD_PKI_KEY_H
#define DCVD_PKI_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct secret;
struct key; /* opaque; wraps EVP_PKEY */

enum key_type { KEY_NONE, KEY_RSA_2048, KEY_RSA_3072, KEY_RSA_4096, KEY_EC_P256, KEY_EC_P384, KEY_SM2, KEY_OTHER };
const char *key_type_name(enum key_type t); /* "rsa-2048", "ec-p256", "sm2"; "other" */
bool key_type_from_name(const char *name, enum key_type *ret);

/* Blocking and, for RSA-4096, long: call it through work_start. Thread-safe. */
bool key_generate(enum key_type type, struct key **ret, struct err *e);
void key_free(struct key *k); /* NULL allowed */
/* PEM (PKCS#8, encrypted PKCS#8, traditional). passphrase NULL: an encrypted key is ERR_CONFIG saying so. Never prompts. At most 64 KiB. */
bool key_read_pem(const void *pem, size_t len, const struct secret *passphrase, struct key **ret, struct err *e);
/* The same from DER: PKCS#8, PKCS#1, SEC1; nothing behind it. */
bool key_read_der(const void *der, size_t len, struct key **ret, struct err *e);
/* PKCS#8 PEM into secure memory. passphrase NULL: plain; else PBES2 with AES-256-CBC and at least 600,000 PBKDF2-SHA256 rounds. */
bool key_write_pem(const struct key *k, const struct secret *passphrase, struct secret *ret, struct err *e);
enum key_type key_type_of(const struct key *k);
/* SHA-256 of the DER SubjectPublicKeyInfo with an uncompressed point, as 64 hex digits. */
bool key_spki_hex(const struct key *k, char ret[65], struct err *e);
/* The DER SubjectPublicKeyInfo with an uncompressed point, allocated. */
bool key_public_der(const struct key *k, uint8_t **ret, size_t *ret_len, struct err *e);
/* OpenSSL list of the TLS signature algorithms a server with such a key answers with, for tls_look. NULL for KEY_OTHER and
 * KEY_SM2 (no TLS of ours speaks it): offer the defaults. */
const char *key_tls_signature_algorithms(enum key_type t);

/* Makes the secure heap (4 MiB) once per process; a warning, not an error, when it cannot be locked. */
bool key_secure_heap_init(struct err *e);

#endif
