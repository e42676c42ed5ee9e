/* The system's roots. libcurl reads the file of them whole for every connection, which OpenSSL makes as dear as all else
 * that an order takes. Where the directory beside it has the root that is wanted under the hash of its name
 * (c_rehash(1)), OpenSSL finds it there; what is in the file alone is looked for here, by its name, and it alone is
 * read. */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/util.h"
#include "agent/net/http_internal.h"

#define ROOTS_MAX (16 << 20)

static bool skip(const unsigned char **at, const unsigned char *end)
{
        long len;
        int tag, class;
        if (ASN1_get_object(at, &len, &tag, &class, end - *at) & ~V_ASN1_CONSTRUCTED)
                return false;
        *at += len;
        return true;
}

static bool enter(const unsigned char **at, const unsigned char **end)
{
        long len;
        int tag, class;
        if (ASN1_get_object(at, &len, &tag, &class, *end - *at) != V_ASN1_CONSTRUCTED || tag != V_ASN1_SEQUENCE)
                return false;
        *end = *at + len;
        return true;
}

/* RFC 5280 section 4.1: behind version (which may be absent), serial number, algorithm, issuer and validity. */
static bool subject_of(const unsigned char *der, size_t len, const unsigned char **ret, size_t *ret_len)
{
        const unsigned char *at = der, *end = der + len;
        if (!enter(&at, &end) || !enter(&at, &end))
                return false;
        int before = at < end && *at == (V_ASN1_CONTEXT_SPECIFIC | V_ASN1_CONSTRUCTED) ? 5 : 4;
        while (before > 0 && skip(&at, end))
                before--;
        *ret = at;
        if (before > 0 || !skip(&at, end))
                return false;
        *ret_len = (size_t)(at - *ret);
        return true;
}

/* An issuer is to be written as the subject of its own certificate is (RFC 5280 section 4.1.2.6): so it is found by its
 * bytes. Not every CA keeps to that: OpenSSL takes what differs in case, blanks or kind of string for the same. */
static bool is_of(const unsigned char *der, size_t len, const X509_NAME *name, bool exact)
{
        const unsigned char *subject, *want;
        size_t subject_len, want_len;
        if (!subject_of(der, len, &subject, &subject_len))
                return false;
        if (exact)
                return X509_NAME_get0_der(name, &want, &want_len) == 1 && want_len == subject_len &&
                        memcmp(want, subject, want_len) == 0;
        X509_NAME *other = d2i_X509_NAME(NULL, &subject, (long)subject_len);
        bool same = other && X509_NAME_cmp(other, name) == 0;
        X509_NAME_free(other);
        return same;
}

/* The next certificate of the text; der has room for all of it. PEM_read_bio takes five times as long. */
static bool next(const char **at, unsigned char *der, size_t *ret_len)
{
        static const char begin[] = "-----BEGIN CERTIFICATE-----", end[] = "-----END CERTIFICATE-----";
        const char *body = strstr(*at, begin), *stop = body ? strstr(body, end) : NULL;
        if (!stop)
                return false;
        size_t len = 0;
        for (body += strlen(begin); body < stop; body++)
                if (*body > ' ')
                        der[len++] = (unsigned char)*body;
        *at = stop + strlen(end);
        int n = EVP_DecodeBlock(der, der, (int)len); /* writes behind where it reads */
        *ret_len = n > 0 ? (size_t)n : 0;
        return true;
}

/* The store keeps it. ret has the first; OpenSSL takes a reference more for whoever asked (X509_LOOKUP_meth_new(3)). */
static bool give(X509_STORE *store, const unsigned char *der, size_t len, bool first, X509_OBJECT *ret)
{
        X509 *x = d2i_X509(NULL, &der, (long)len);
        bool given = x && X509_STORE_add_cert(store, x) == 1;
        if (given && first && X509_OBJECT_set1_X509(ret, x) == 1)
                X509_free(x);
        X509_free(x);
        return given;
}

/* All that have the name: roots are renewed under it. */
static int give_all(
        const char *text, unsigned char *der, X509_STORE *store, const X509_NAME *name, bool exact, X509_OBJECT *ret)
{
        int found = 0;
        size_t len;
        while (next(&text, der, &len))
                if (is_of(der, len, name, exact))
                        found |= give(store, der, len, !found, ret);
        return found;
}

static int by_subject(X509_LOOKUP *lookup, X509_LOOKUP_TYPE type, const X509_NAME *name, X509_OBJECT *ret)
{
        CLEANUP(free_p) char *text = NULL;
        size_t len = 0;
        X509_STORE *store = X509_LOOKUP_get_store(lookup);
        if (type != X509_LU_X509 || !file_read(X509_LOOKUP_get_method_data(lookup), ROOTS_MAX, &text, &len, NULL))
                return 0;
        CLEANUP(free_p) unsigned char *der = malloc(len + 1);
        (void)ERR_set_mark(); /* what is no certificate is nobody's error */
        int found =
                der && (give_all(text, der, store, name, true, ret) || give_all(text, der, store, name, false, ret));
        (void)ERR_pop_to_mark();
        return found;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static X509_LOOKUP_METHOD *method;

static void method_make(void)
{
        method = X509_LOOKUP_meth_new("a file, by subject");
        if (method)
                (void)X509_LOOKUP_meth_set_get_by_subject(method, by_subject);
}

bool http_roots_add(X509_STORE *store, const char *path)
{
        (void)pthread_once(&once, method_make);
        X509_LOOKUP *lookup = method ? X509_STORE_add_lookup(store, method) : NULL;
        return lookup && X509_LOOKUP_set_method_data(lookup, (void *)path) == 1;
}

static CURLcode add_roots(CURL *x, void *ctx, void *arg)
{
        (void)x;
        return http_roots_add(SSL_CTX_get_cert_store(ctx), arg) ? CURLE_OK : CURLE_OUT_OF_MEMORY;
}

void http_roots_of_system(CURL *x)
{
        char *file = (char *)curl_version_info(CURLVERSION_NOW)->cainfo;
        if (!file)
                return;
        (void)curl_easy_setopt(x, CURLOPT_CAINFO, NULL);
        (void)curl_easy_setopt(x, CURLOPT_PROXY_CAINFO, NULL);
        (void)curl_easy_setopt(x, CURLOPT_SSL_CTX_FUNCTION, add_roots);
        (void)curl_easy_setopt(x, CURLOPT_SSL_CTX_DATA, file);
}
