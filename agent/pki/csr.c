/* Certificate signing requests. */
#include "agent/pki/csr.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/pki/key_internal.h"
#include "agent/pki/names_internal.h"

#define CSR_PEM_MAX 65536
#define COMMON_NAME_MAX 64 /* ub-common-name, RFC 5280 appendix A.1 */
#define NAMES_MAX 1000

static void req_free_p(X509_REQ **req)
{
        X509_REQ_free(*req);
}

static void md_ctx_free_p(EVP_MD_CTX **ctx)
{
        EVP_MD_CTX_free(*ctx);
}

static void general_free_p(GENERAL_NAMES **names)
{
        GENERAL_NAMES_free(*names);
}

static void extensions_free_p(STACK_OF(X509_EXTENSION) * *list)
{
        sk_X509_EXTENSION_pop_free(*list, X509_EXTENSION_free);
}

static bool set_names(X509_REQ *req, const struct texts *names, struct err *e)
{
        CLEANUP(general_free_p) GENERAL_NAMES *list = GENERAL_NAMES_new();
        CLEANUP(extensions_free_p) STACK_OF(X509_EXTENSION) *extensions = NULL;
        if (!list)
                return err_memory(e);
        if (!names || names->count == 0)
                return true;
        if (names->count > NAMES_MAX)
                return err_set(e, ERR_CONFIG, "csr.name", "%zu names are more than a request holds", names->count);
        for (size_t i = 0; i < names->count; i++)
                if (!names_add_general(list, names->item[i], e))
                        return false;
        return (X509V3_add1_i2d(&extensions, NID_subject_alt_name, list, 0, X509V3_ADD_DEFAULT) == 1 &&
                       X509_REQ_add_extensions(req, extensions) == 1) ||
                openssl_err(e, ERR_TEMPORARY, "csr.make", "adding names to a certificate request");
}

static bool set_subject(X509_REQ *req, const char *common_name, struct err *e)
{
        if (!common_name)
                return true;
        if (strlen(common_name) > COMMON_NAME_MAX)
                return err_set(e, ERR_CONFIG, "csr.name", "common name %s is longer than %d characters", common_name,
                        COMMON_NAME_MAX);
        char address[46];
        if (!dns_name_is_good(common_name) && !address_canonical(common_name, address))
                return err_set(
                        e, ERR_CONFIG, "csr.name", "common name %s is neither a host name nor an address", common_name);
        return X509_NAME_add_entry_by_NID(X509_REQ_get_subject_name(req), NID_commonName, MBSTRING_UTF8,
                       (const unsigned char *)common_name, -1, -1, 0) == 1 ||
                openssl_err(e, ERR_TEMPORARY, "csr.make", "setting the subject of a certificate request");
}

/* X509_REQ_sign would sign an SM2 request with an empty identity, which no peer expects. */
static bool sign(X509_REQ *req, EVP_PKEY *pkey, const char *sm2_id, struct err *e)
{
        CLEANUP(md_ctx_free_p) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        EVP_PKEY_CTX *pkey_ctx = NULL; /* belongs to ctx */
        const char *id = sm2_id ? sm2_id : SM2_ID;
        if (!ctx)
                return err_memory(e);
        bool good = EVP_DigestSignInit(ctx, &pkey_ctx, pkey_digest(pkey), NULL, pkey) == 1;
        if (good && pkey_type(pkey) == KEY_SM2)
                good = EVP_PKEY_CTX_set1_id(pkey_ctx, id, (int)strlen(id)) > 0;
        return (good && X509_REQ_sign_ctx(req, ctx) > 0) ||
                openssl_err(e, ERR_TEMPORARY, "csr.sign", "signing a certificate request");
}

bool csr_make(const struct key *k, const struct csr_request *r, char **ret_pem, struct err *e)
{
        CLEANUP(req_free_p) X509_REQ *req = X509_REQ_new();
        CLEANUP(bio_free_p) BIO *bio = BIO_new(BIO_s_mem());
        char *data = NULL;
        if (!req || !bio)
                return err_memory(e);
        if (!r->common_name && (!r->names || r->names->count == 0))
                return err_set(e, ERR_CONFIG, "csr.name", "a certificate request needs at least one name");
        openssl_clear();
        X509_PUBKEY *public = X509_REQ_get_X509_PUBKEY(req);
        bool good = X509_REQ_set_version(req, 0) == 1 &&
                (curve_set_public(public, k->pkey) || rsa_set_public(public, k->pkey) ||
                        X509_REQ_set_pubkey(req, k->pkey) == 1);
        if (!good)
                return openssl_err(e, ERR_TEMPORARY, "csr.make", "making a certificate request");
        if (!set_subject(req, r->common_name, e) || !set_names(req, r->names, e) || !sign(req, k->pkey, r->sm2_id, e))
                return false;
        if (PEM_write_bio_X509_REQ(bio, req) != 1)
                return openssl_err(e, ERR_TEMPORARY, "csr.make", "encoding a certificate request");
        long len = BIO_get_mem_data(bio, &data);
        char *pem = text_dup_n(data, (size_t)len);
        if (!pem)
                return err_memory(e);
        *ret_pem = pem;
        return true;
}

bool csr_der(const void *pem, size_t len, uint8_t **ret, size_t *ret_len, struct err *e)
{
        struct passphrase none = { 0 };
        unsigned char *der = NULL;
        long der_len = 0;
        if (len > CSR_PEM_MAX)
                return err_set(e, ERR_CONFIG, "csr.size", "a certificate request is at most %d bytes", CSR_PEM_MAX);
        CLEANUP(bio_free_p) BIO *bio = BIO_new_mem_buf(pem, (int)len);
        if (!bio)
                return err_memory(e);
        openssl_clear();
        if (PEM_bytes_read_bio(&der, &der_len, NULL, PEM_STRING_X509_REQ, bio, passphrase_answer, &none) != 1)
                return openssl_err(e, ERR_CONFIG, "csr.format", "not a certificate request in PEM form");
        openssl_clear();
        return der_take(der, (int)der_len, ret, ret_len, e);
}

static bool verify_with(X509_REQ *req, EVP_PKEY *pkey, const char *id)
{
        ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
        if (!octets || !ASN1_OCTET_STRING_set(octets, (const unsigned char *)id, (int)strlen(id))) {
                ASN1_OCTET_STRING_free(octets);
                return false;
        }
        X509_REQ_set0_distinguishing_id(req, octets);
        return X509_REQ_verify(req, pkey) == 1;
}

bool csr_is_signed(X509_REQ *req, EVP_PKEY *pkey)
{
        bool sm2 = pkey_type(pkey) == KEY_SM2;
        bool good =
                sm2 ? verify_with(req, pkey, SM2_ID) || verify_with(req, pkey, "") : X509_REQ_verify(req, pkey) == 1;
        if (good)
                openssl_clear();
        return good;
}

static bool verify(X509_REQ *req, EVP_PKEY *pkey, struct err *e)
{
        bool sm2 = pkey_type(pkey) == KEY_SM2;
        if (csr_is_signed(req, pkey))
                return true;
        return openssl_err(e, ERR_CONFIG, "csr.signature",
                sm2 ? "the certificate request is not signed by its own key, or with an unusual SM2 identity"
                    : "the certificate request is not signed by its own key");
}

static bool has_extensions(const X509_REQ *req)
{
        return X509_REQ_get_attr_by_NID(req, NID_ext_req, -1) >= 0 ||
                X509_REQ_get_attr_by_NID(req, NID_ms_ext_req, -1) >= 0;
}

static bool read_names(X509_REQ *req, struct csr *c, struct err *e)
{
        CLEANUP(extensions_free_p) STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(req);
        int critical = -1;
        CLEANUP(general_free_p)
        GENERAL_NAMES *general = extensions ? X509V3_get_d2i(extensions, NID_subject_alt_name, &critical, NULL) : NULL;
        if ((!extensions && has_extensions(req)) || (!general && critical != -1))
                return openssl_err(e, ERR_CONFIG, "csr.format", "the names of the certificate request cannot be read");
        openssl_clear();
        if (general && sk_GENERAL_NAME_num(general) > NAMES_MAX)
                return err_set(e, ERR_CONFIG, "csr.name", "the certificate request has too many names");
        const X509_NAME *subject = X509_REQ_get_subject_name(req);
        c->subject = name_text(subject);
        if (!c->subject || (general && !names_from_general(general, &c->names)))
                return err_memory(e);
        if (!common_name_of(subject, &c->common_name, e))
                return false;
        if (c->common_name && !texts_has(&c->names, c->common_name) && !texts_add(&c->names, c->common_name))
                return err_memory(e);
        return true;
}

static bool read_all(const void *pem, size_t len, struct csr *c, struct err *e)
{
        if (!csr_der(pem, len, &c->der, &c->der_len, e))
                return false;
        sha256_hex(c->der, c->der_len, c->der_sha256);
        const unsigned char *at = c->der;
        CLEANUP(req_free_p) X509_REQ *req = d2i_X509_REQ(NULL, &at, (long)c->der_len);
        EVP_PKEY *pkey = req ? X509_REQ_get0_pubkey(req) : NULL;
        if (!pkey || at != c->der + c->der_len)
                return openssl_err(e, ERR_CONFIG, "csr.format", "the certificate request cannot be read");
        c->key_type = pkey_type(pkey);
        return verify(req, pkey, e) && read_names(req, c, e) && spki_hex(pkey, c->spki_hex, e);
}

bool csr_read(const void *pem, size_t len, struct csr *ret, struct err *e)
{
        struct csr c = { 0 };
        unsigned refused = openssl_refused();
        openssl_clear();
        bool good = read_all(pem, len, &c, e);
        if (openssl_refused() != refused)
                good = err_memory(e);
        if (!good) {
                csr_done(&c);
                return false;
        }
        *ret = c;
        return true;
}

void csr_done(struct csr *c)
{
        texts_done(&c->names);
        free(c->common_name);
        free(c->subject);
        free(c->der);
        *c = (struct csr){ 0 };
}
