/* What can be said of a chain as a CA sent it, before it is put in order: for the choice between several. */
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/pki/cert_internal.h"

#define BLOCKS_MAX 50

static bool issuer_is(X509 *x, const char *common_name)
{
        const X509_NAME *issuer = X509_get_issuer_name(x);
        int at = X509_NAME_get_index_by_NID((X509_NAME *)issuer, NID_commonName, -1);
        unsigned char *text = NULL;
        if (at < 0)
                return false;
        int len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(issuer, at)));
        bool same = len >= 0 && strlen(common_name) == (size_t)len && memcmp(text, common_name, (size_t)len) == 0;
        OPENSSL_free(text);
        return same;
}

bool chain_ends_below(const void *text, size_t len, const char *common_name)
{
        const char *at = text, *end = at + len;
        struct err e = { 0 };
        uint8_t *der = NULL;
        size_t der_len = 0;
        bool last = false;
        for (unsigned i = 0; i < BLOCKS_MAX && pem_next(&at, end, &der, &der_len, &e); i++) {
                CLEANUP(cert_free_p) X509 *x = NULL;
                bool good = cert_parse(der, der_len, &x, &e);
                last = good && issuer_is(x, common_name);
                free(der);
                if (!good)
                        return false;
        }
        return last && e.kind == ERR_NONE;
}

bool chain_has_only_certificates(const void *text, size_t len)
{
        static const char begin[] = "-----BEGIN ", label[] = "CERTIFICATE-----";
        const char *at = text, *end = at + len;
        size_t count = 0;
        while ((at = memmem(at, (size_t)(end - at), begin, sizeof begin - 1))) {
                at += sizeof begin - 1;
                if ((size_t)(end - at) < sizeof label - 1 || memcmp(at, label, sizeof label - 1) != 0)
                        return false;
                count++;
        }
        return count > 0;
}

/* The content octets of the DER, a leading zero byte included: OpenSSL's own data lacks that. */
static char *serial_text(X509 *x)
{
        unsigned char *der = NULL;
        const unsigned char *at;
        long content = 0;
        int tag = 0, class = 0, len = i2d_ASN1_INTEGER(X509_get0_serialNumber(x), &der);
        if (len <= 0)
                return NULL;
        at = der;
        bool good = (ASN1_get_object(&at, &content, &tag, &class, len) & 0x80) == 0;
        char *text = good ? base64url_encode(at, (size_t)content) : NULL;
        OPENSSL_free(der);
        return text;
}

bool cert_renewal_id(const uint8_t *der, size_t len, char **ret, struct err *e)
{
        CLEANUP(cert_free_p) X509 *x = NULL;
        if (!cert_parse(der, len, &x, e))
                return false;
        const ASN1_OCTET_STRING *issuer = X509_get0_authority_key_id(x);
        if (!issuer)
                return err_set(e, ERR_CONFIG, "cert.ari", "the certificate does not identify its issuer's key");
        CLEANUP(free_p) char *key = base64url_encode(ASN1_STRING_get0_data(issuer), (size_t)ASN1_STRING_length(issuer));
        CLEANUP(free_p) char *serial = serial_text(x);
        char *text = key && serial ? text_format("%s.%s", key, serial) : NULL;
        if (!text)
                return err_memory(e);
        *ret = text;
        return true;
}
