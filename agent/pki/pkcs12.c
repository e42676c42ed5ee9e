/* PKCS#12 (RFC 7292) of key, leaf and intermediates. */
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/pki/cert_internal.h"
#include "agent/pki/key_internal.h"

static void stack_free_p(STACK_OF(X509) * *s)
{
        sk_X509_pop_free(*s, X509_free);
}

static void p12_free_p(PKCS12 **p)
{
        PKCS12_free(*p);
}

static bool above(const struct chain *c, STACK_OF(X509) * ret, struct err *e)
{
        const char *at = c->chain_pem, *end = at + strlen(at);
        uint8_t *der = NULL;
        size_t len = 0;
        struct err mine = { 0 };
        while (pem_next(&at, end, &der, &len, &mine)) {
                X509 *x = NULL;
                bool good = cert_parse(der, len, &x, e);
                free(der);
                if (!good)
                        return false;
                if (sk_X509_push(ret, x) <= 0) {
                        X509_free(x);
                        return err_memory(e);
                }
        }
        return mine.kind == ERR_NONE || err_set(e, mine.kind, mine.code, "%s", mine.text);
}

bool chain_pkcs12(
        const struct chain *c, const struct key *k, const struct secret *passphrase, struct secret *ret, struct err *e)
{
        CLEANUP(stack_free_p) STACK_OF(X509) *others = sk_X509_new_null();
        CLEANUP(cert_free_p) X509 *leaf = NULL;
        CLEANUP(p12_free_p) PKCS12 *p12 = NULL;
        CLEANUP(bio_free_p) BIO *bio = BIO_new(BIO_s_secmem());
        const char *word = passphrase && passphrase->data ? (const char *)passphrase->data : "";
        if (!others || !bio)
                return err_memory(e);
        if (passphrase && passphrase->data && strlen(word) != passphrase->len)
                return err_set(e, ERR_CONFIG, "key.passphrase", "a PKCS#12 passphrase cannot contain a NUL byte");
        if (!cert_parse(c->leaf_der, c->leaf_der_len, &leaf, e) || !above(c, others, e))
                return false;
        openssl_clear();
        /* The MAC is set by hand: the default hash is the library's and has changed over time. */
        p12 = PKCS12_create(word, c->leaf.names.count ? c->leaf.names.item[0] : NULL, k->pkey, leaf, others,
                NID_aes_256_cbc, NID_aes_256_cbc, PBKDF2_ROUNDS, -1, 0);
        if (!p12 || PKCS12_set_mac(p12, word, -1, NULL, 0, PBKDF2_ROUNDS, EVP_sha256()) != 1 ||
                i2d_PKCS12_bio(bio, p12) != 1)
                return openssl_err(e, ERR_CONFIG, "pkcs12", "packing key and certificate as PKCS#12");
        return secret_from_bio(bio, ret, e);
}
