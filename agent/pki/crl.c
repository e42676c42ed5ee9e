/* Certificate revocation lists (RFC 5280 sections 5 and 6.3). In order: whose it is, who signed it, for which
 * certificates it is (its shard), whether it is fresh; only then what it says. */
#include <string.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "agent/base/util.h"
#include "agent/pki/revocation_internal.h"

static void crl_free_p(X509_CRL **crl)
{
        X509_CRL_free(*crl);
}

static bool read_list(const void *data, size_t len, X509_CRL **ret, struct err *e)
{
        const unsigned char *at = data;
        openssl_clear();
        if (len > 10 && memcmp(data, "-----BEGIN", 10) == 0 && len <= INT32_MAX) {
                CLEANUP(bio_free_p) BIO *bio = BIO_new_mem_buf(data, (int)len);
                *ret = bio ? PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL) : NULL;
        } else if (len <= INT32_MAX) {
                *ret = d2i_X509_CRL(NULL, &at, (long)len);
        }
        return *ret || openssl_err(e, ERR_PROTOCOL, "crl.format", "a revocation list of its CA cannot be read");
}

/* An extension that must be understood and is not makes the list unusable; so does one that says that the list is only
 * a part: a delta, other issuers' certificates, some reasons. */
static bool check_extensions(X509_CRL *crl, struct err *e)
{
        for (int i = 0; i < X509_CRL_get_ext_count(crl); i++) {
                X509_EXTENSION *x = X509_CRL_get_ext(crl, i);
                int nid = OBJ_obj2nid(X509_EXTENSION_get_object(x));
                if (nid == NID_delta_crl)
                        return err_set(e, ERR_PROTOCOL, "crl.shard", "the revocation list holds changes only");
                if (X509_EXTENSION_get_critical(x) && nid != NID_issuing_distribution_point &&
                        nid != NID_authority_key_identifier)
                        return err_set(e, ERR_PROTOCOL, "crl.format",
                                "the revocation list has a critical extension that is not known");
        }
        return true;
}

static bool names_url(const GENERAL_NAMES *names, const char *url)
{
        for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
                const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
                if (name->type != GEN_URI)
                        continue;
                const ASN1_IA5STRING *uri = name->d.uniformResourceIdentifier;
                if ((size_t)ASN1_STRING_length(uri) == strlen(url) &&
                        memcmp(ASN1_STRING_get0_data(uri), url, strlen(url)) == 0)
                        return true;
        }
        return false;
}

static bool check_point(const ISSUING_DIST_POINT *p, const char *url, struct err *e)
{
        if (p->onlyCA > 0 || p->onlyattr > 0 || p->indirectCRL > 0 || p->onlysomereasons)
                return err_set(e, ERR_PROTOCOL, "crl.shard",
                        "the revocation list is for other certificates or for some reasons only");
        if (!p->distpoint || !url)
                return true;
        if (p->distpoint->type == 0 && names_url(p->distpoint->name.fullname, url))
                return true;
        return err_set(e, ERR_PROTOCOL, "crl.shard", "the revocation list is not the one for %s", url);
}

static bool check_shard(X509_CRL *crl, const char *url, struct err *e)
{
        int critical = -1;
        if (!check_extensions(crl, e))
                return false;
        ISSUING_DIST_POINT *p = X509_CRL_get_ext_d2i(crl, NID_issuing_distribution_point, &critical, NULL);
        if (!p && critical != -1)
                return openssl_err(e, ERR_PROTOCOL, "crl.format", "whom the revocation list is for cannot be read");
        bool good = !p || check_point(p, url, e);
        ISSUING_DIST_POINT_free(p);
        return good;
}

static bool check_signer(X509_CRL *crl, const struct revocation_pair *s, struct err *e)
{
        if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_issuer_name(s->cert)) != 0)
                return err_set(e, ERR_PROTOCOL, "crl.issuer", "the revocation list is of another issuer");
        uint32_t usage = X509_get_key_usage(s->issuer); /* UINT32_MAX: not said, all allowed */
        if (!(usage & KU_CRL_SIGN))
                return err_set(e, ERR_PROTOCOL, "crl.issuer", "the issuer may not sign revocation lists");
        EVP_PKEY *key = X509_get0_pubkey(s->issuer);
        openssl_clear();
        if (!key || X509_CRL_verify(crl, key) != 1)
                return openssl_err(e, ERR_PROTOCOL, "crl.signature", "the revocation list is not signed by the issuer");
        return true;
}

static bool check_dates(X509_CRL *crl, int64_t now_s, struct revocation_answer *ret, struct err *e)
{
        char when[40];
        if (!revocation_time(X509_CRL_get0_lastUpdate(crl), &ret->this_update_s) ||
                !revocation_time(X509_CRL_get0_nextUpdate(crl), &ret->next_update_s))
                return err_set(e, ERR_PROTOCOL, "crl.format", "the revocation list has no dates");
        format_time(ret->next_update_s, when, sizeof when);
        if (ret->next_update_s + REVOCATION_SLACK_S < now_s)
                return err_set(e, ERR_TEMPORARY, "crl.stale", "the revocation list was to be replaced by %s", when);
        if (ret->this_update_s - REVOCATION_SLACK_S > now_s) {
                format_time(ret->this_update_s, when, sizeof when);
                err_set(e, ERR_TEMPORARY, "crl.stale", "the revocation list is of the future, %s", when);
                return err_fix(e, "look at this host's clock (timedatectl)");
        }
        return true;
}

static void take_entry(X509_REVOKED *entry, struct revocation_answer *ret)
{
        ASN1_ENUMERATED *reason = X509_REVOKED_get_ext_d2i(entry, NID_crl_reason, NULL, NULL);
        ret->revoked = true;
        ret->reason = reason ? (int)ASN1_ENUMERATED_get(reason) : -1;
        (void)revocation_time(X509_REVOKED_get0_revocationDate(entry), &ret->revoked_at_s); /* for people only */
        ASN1_ENUMERATED_free(reason);
}

bool crl_check(const void *data, size_t len, const char *url, const struct revocation_subject *s, int64_t now_s,
        struct revocation_answer *ret, struct err *e)
{
        CLEANUP(crl_free_p) X509_CRL *crl = NULL;
        struct revocation_pair pair;
        struct revocation_answer a = { .reason = -1 };
        X509_REVOKED *entry = NULL;
        if (!read_list(data, len, &crl, e) || !revocation_read_subject(s, &pair, e))
                return false;
        bool good = check_signer(crl, &pair, e) && check_shard(crl, url, e) && check_dates(crl, now_s, &a, e);
        /* 2 is an entry that lifts a hold */
        if (good && X509_CRL_get0_by_cert(crl, &entry, pair.cert) == 1)
                take_entry(entry, &a);
        if (good)
                *ret = a;
        revocation_pair_done(&pair);
        return good;
}
