/* A signature over a challenge that this daemon gave out (P5): as CMS, or bare beside the certificate or public key.
 * Freshness comes from the challenge; whose key it is from the signature alone, no chain is looked at. */
#include <openssl/cms.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/pki/evidence_internal.h"
#include "agent/pki/key_internal.h"

static void cms_free_p(CMS_ContentInfo **cms)
{
        CMS_ContentInfo_free(*cms);
}

static void md_ctx_free_p(EVP_MD_CTX **ctx)
{
        EVP_MD_CTX_free(*ctx);
}

static bool is_challenge(const struct evidence_asks *asks, const char *text, size_t len, struct err *e)
{
        return (asks->challenge && asks->challenge(asks->arg, text, len)) ||
                err_set(e, ERR_CONFIG, "evidence.challenge",
                        "what was signed is no challenge of this daemon, or one that is too old: ask for another");
}

static bool digests_are_good(CMS_SignerInfo *signer, struct err *e)
{
        X509_ALGOR *digest = NULL, *signature = NULL;
        CMS_SignerInfo_get0_algs(signer, NULL, NULL, &digest, &signature);
        return digest && evidence_digest_is_good(digest, e);
}

static bool take_signer(CMS_ContentInfo *cms, struct evidence *v, struct err *e)
{
        STACK_OF(CMS_SignerInfo) *signers = CMS_get0_SignerInfos(cms);
        X509 *x = NULL;
        if (!signers || sk_CMS_SignerInfo_num(signers) != 1)
                return err_set(e, ERR_CONFIG, "evidence.format", "a signed statement has exactly one signer");
        CMS_SignerInfo *signer = sk_CMS_SignerInfo_value(signers, 0);
        CMS_SignerInfo_get0_algs(signer, NULL, &x, NULL, NULL); /* found among the certificates it carries */
        EVP_PKEY *pkey = x ? X509_get0_pubkey(x) : NULL;
        if (!pkey)
                return openssl_err(
                        e, ERR_CONFIG, "evidence.key", "the statement does not carry its signer's certificate");
        return digests_are_good(signer, e) && evidence_take_key(pkey, v, e);
}

bool evidence_cms(const uint8_t *der, size_t len, const struct evidence_asks *asks, struct evidence *v, struct err *e)
{
        const unsigned char *at = der;
        char *text = NULL;
        CLEANUP(cms_free_p) CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &at, (long)len);
        CLEANUP(bio_free_p) BIO *out = BIO_new(BIO_s_mem());
        if (!out)
                return err_memory(e);
        if (!cms || OBJ_obj2nid(CMS_get0_type(cms)) != NID_pkcs7_signed)
                return openssl_err(e, ERR_CONFIG, "evidence.format",
                        "neither PEM, DER, base64 nor a JWS: no certificate, key, request or proof is in it");
        if (CMS_verify(cms, NULL, NULL, NULL, out, CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY) != 1)
                return openssl_err(
                        e, ERR_CONFIG, "evidence.signature", "the statement is not signed by its certificate's key");
        long n = BIO_get_mem_data(out, &text);
        v->kind = EVIDENCE_STATEMENT;
        return take_signer(cms, v, e) && is_challenge(asks, text, n > 0 ? (size_t)n : 0, e);
}

bool evidence_signed(const json_t *o, const struct evidence_asks *asks, struct evidence *v, struct err *e)
{
        const char *statement = json_str(o, "statement"), *signature = json_str(o, "signature");
        const char *pem = json_str(o, "certificate") ? json_str(o, "certificate") : json_str(o, "public_key");
        CLEANUP(free_p) uint8_t *sig = NULL;
        CLEANUP(pkey_free_p) EVP_PKEY *pkey = NULL;
        CLEANUP(md_ctx_free_p) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        size_t len = 0;
        if (!ctx)
                return err_memory(e);
        if (!signature || !pem || !base64_decode(signature, strlen(signature), &sig, &len))
                return err_set(e, ERR_CONFIG, "evidence.format",
                        "a signed statement has statement, signature (base64), and certificate or public_key (PEM)");
        if (!evidence_public_pem(pem, v, &pkey, e))
                return false;
        if (EVP_DigestVerifyInit(ctx, NULL, pkey_digest(pkey), NULL, pkey) != 1 ||
                EVP_DigestVerify(ctx, sig, len, (const unsigned char *)statement, strlen(statement)) != 1)
                return openssl_err(e, ERR_CONFIG, "evidence.signature", "the statement is not signed by that key");
        v->kind = EVIDENCE_STATEMENT;
        return is_challenge(asks, statement, strlen(statement), e);
}
