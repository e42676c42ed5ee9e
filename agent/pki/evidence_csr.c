/* Certificate requests as evidence: P2 and P3 of specs/alerts.md section 4. An ordinary request is none: owners send
 * those to CAs every day. */
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <strings.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/pki/csr.h"
#include "agent/pki/evidence_internal.h"
#include "agent/pki/key_internal.h"

#define ATTESTATION "kca=v1 This Key Is Compromised"
#define ATTESTATION_OID "1.3.6.1.5.5.7.1.23" /* "no secret needs to be kept" (RFC 7169) */

static void req_free_p(X509_REQ **req)
{
        X509_REQ_free(*req);
}

static void extensions_free_p(STACK_OF(X509_EXTENSION) * *list)
{
        sk_X509_EXTENSION_pop_free(*list, X509_EXTENSION_free);
}

/* The subject's only entry, if that is a common name; NULL otherwise. */
static const ASN1_STRING *only_common_name(const X509_REQ *req)
{
        const X509_NAME *subject = X509_REQ_get_subject_name(req);
        const X509_NAME_ENTRY *entry = X509_NAME_entry_count(subject) == 1 ? X509_NAME_get_entry(subject, 0) : NULL;
        if (!entry || OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)) != NID_commonName)
                return NULL;
        return X509_NAME_ENTRY_get_data(entry);
}

static bool is_text(const ASN1_STRING *s, const char *text)
{
        size_t len = strlen(text);
        return s && ASN1_STRING_length(s) == (int)len &&
                strncasecmp((const char *)ASN1_STRING_get0_data(s), text, len) == 0;
}

/* One attribute, one extension in it, critical, BOOLEAN TRUE. */
static bool has_attestation_extension(X509_REQ *req)
{
        static const unsigned char yes[] = { 0x01, 0x01, 0xff };
        char oid[32] = "";
        if (X509_REQ_get_attr_count(req) != 1 || X509_REQ_get_attr_by_NID(req, NID_ext_req, -1) != 0)
                return false;
        CLEANUP(extensions_free_p) STACK_OF(X509_EXTENSION) *list = X509_REQ_get_extensions(req);
        if (!list || sk_X509_EXTENSION_num(list) != 1)
                return false;
        X509_EXTENSION *x = sk_X509_EXTENSION_value(list, 0);
        const ASN1_OCTET_STRING *data = X509_EXTENSION_get_data(x);
        return OBJ_obj2txt(oid, sizeof oid, X509_EXTENSION_get_object(x), 1) > 0 && strcmp(oid, ATTESTATION_OID) == 0 &&
                X509_EXTENSION_get_critical(x) && ASN1_STRING_length(data) == sizeof yes &&
                memcmp(ASN1_STRING_get0_data(data), yes, sizeof yes) == 0;
}

static enum evidence_kind kind_of(X509_REQ *req)
{
        /* What a reporter signs and an owner never would. */
        static const char *const phrases[] = { ATTESTATION, "The key that signed this CSR has been publicly disclosed",
                "The key that signed this CSR has been publicly disclosed.",
                "The key that signed this CSR is compromised", "This key is compromised", "Proof of key compromise" };
        const ASN1_STRING *name = only_common_name(req);
        if (is_text(name, ATTESTATION) && memcmp(ASN1_STRING_get0_data(name), ATTESTATION, strlen(ATTESTATION)) == 0 &&
                ASN1_STRING_type(name) == V_ASN1_UTF8STRING && has_attestation_extension(req))
                return EVIDENCE_ATTESTATION;
        for (size_t i = 0; i < ARRAY_LEN(phrases); i++)
                if (is_text(name, phrases[i]))
                        return EVIDENCE_PHRASE;
        return EVIDENCE_REQUEST;
}

bool evidence_csr(const uint8_t *der, size_t len, struct evidence *v, struct err *e)
{
        const unsigned char *at = der;
        const X509_ALGOR *algorithm = NULL;
        CLEANUP(req_free_p) X509_REQ *req = d2i_X509_REQ(NULL, &at, (long)len);
        EVP_PKEY *pkey = req ? X509_REQ_get0_pubkey(req) : NULL;
        if (!pkey || at != der + len)
                return openssl_err(e, ERR_CONFIG, "evidence.format", "the certificate request cannot be read");
        X509_REQ_get0_signature(req, NULL, &algorithm);
        if (!evidence_take_key(pkey, v, e) || !evidence_digest_is_good(algorithm, e))
                return false;
        if (!csr_is_signed(req, pkey))
                return openssl_err(
                        e, ERR_CONFIG, "evidence.signature", "the certificate request is not signed by its own key");
        v->kind = kind_of(req);
        return true;
}
