/* Who issued a certificate. */
#include <openssl/x509v3.h>
#include <pthread.h>

#include "agent/base/util.h"
#include "agent/pki/cert_internal.h"
#include "agent/pki/key_internal.h"

#define PAIRS_MAX 48

/* The newest pairs that were found to be one: a chain is put in order, then checked, by the same certificates out of
 * cert_parse. Both are held, so that their addresses stay theirs; nobody changes one. */
static struct {
        pthread_mutex_t lock;
        struct {
                X509 *cert, *issuer;
        } entry[PAIRS_MAX];
        size_t count; /* ever */
} pairs = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool pair_known(const X509 *cert, const X509 *issuer)
{
        bool found = false;
        pthread_mutex_lock(&pairs.lock);
        for (size_t i = 0; !found && i < MIN(pairs.count, (size_t)PAIRS_MAX); i++)
                found = pairs.entry[i].cert == cert && pairs.entry[i].issuer == issuer;
        pthread_mutex_unlock(&pairs.lock);
        return found;
}

static void pair_add(X509 *cert, X509 *issuer)
{
        X509 *old_cert, *old_issuer;
        if (!X509_up_ref(cert))
                return;
        if (!X509_up_ref(issuer)) {
                X509_free(cert);
                return;
        }
        pthread_mutex_lock(&pairs.lock);
        size_t at = pairs.count++ % PAIRS_MAX;
        old_cert = pairs.entry[at].cert;
        old_issuer = pairs.entry[at].issuer;
        pairs.entry[at].cert = cert;
        pairs.entry[at].issuer = issuer;
        pthread_mutex_unlock(&pairs.lock);
        X509_free(old_cert);
        X509_free(old_issuer);
}

static bool judge(X509 *cert, X509 *issuer)
{
        EVP_PKEY *pkey = X509_get0_pubkey(issuer);
        return pkey && X509_check_issued(issuer, cert) == X509_V_OK && X509_verify(cert, pkey) == 1;
}

bool cert_issued_by(X509 *cert, X509 *issuer)
{
        if (X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(issuer)) != 0)
                return false;
        if (pair_known(cert, issuer))
                return true;
        bool good = judge(cert, issuer);
        openssl_clear();
        if (good)
                pair_add(cert, issuer);
        return good;
}
