/* What both ways have in common: where the certificate points, how dates are read, why something is revoked. */
#include "agent/pki/revocation.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/x509v3.h>

#include "agent/base/util.h"
#include "agent/pki/revocation_internal.h"

#define URL_MAX 1024
#define URLS_MAX 8

bool revocation_time(const ASN1_TIME *t, int64_t *ret)
{
        struct tm tm;
        if (!t || ASN1_TIME_to_tm(t, &tm) != 1)
                return false;
        *ret = timegm(&tm);
        return true;
}

bool revocation_read_subject(const struct revocation_subject *s, struct revocation_pair *ret, struct err *e)
{
        struct revocation_pair p = { 0 };
        if (!cert_parse(s->cert, s->cert_len, &p.cert, e) || !cert_parse(s->issuer, s->issuer_len, &p.issuer, e)) {
                revocation_pair_done(&p);
                return false;
        }
        if (!cert_issued_by(p.cert, p.issuer)) {
                revocation_pair_done(&p);
                return err_set(e, ERR_CONFIG, "revocation.issuer",
                        "the certificate was not issued by the one that follows it in its chain");
        }
        *ret = p;
        return true;
}

void revocation_pair_done(struct revocation_pair *p)
{
        X509_free(p->cert);
        X509_free(p->issuer);
        *p = (struct revocation_pair){ 0 };
}

const char *revocation_reason_name(int reason)
{
        static const char *const names[] = { "unspecified", "keyCompromise", "cACompromise", "affiliationChanged",
                "superseded", "cessationOfOperation", "certificateHold", NULL, "removeFromCRL", "privilegeWithdrawn",
                "aACompromise" };
        return reason >= 0 && (size_t)reason < ARRAY_LEN(names) && names[reason] ? names[reason] : "no reason given";
}

/* ---- where to ask ---- */

/* A plain http URL: printable ASCII without blanks. Others (ldap) are passed over. */
static char *url_of(const GENERAL_NAME *name)
{
        if (name->type != GEN_URI)
                return NULL;
        const ASN1_IA5STRING *uri = name->d.uniformResourceIdentifier;
        int len = ASN1_STRING_length(uri);
        const char *data = (const char *)ASN1_STRING_get0_data(uri);
        if (len < 8 || len > URL_MAX || strncmp(data, "http://", 7) != 0)
                return NULL;
        for (int i = 0; i < len; i++)
                if (data[i] <= ' ' || data[i] > '~')
                        return NULL;
        return text_dup_n(data, (size_t)len);
}

static bool take_point(const DIST_POINT *point, struct texts *ret, struct err *e)
{
        /* An issuer of its own means an indirect list; reasons mean a partial one. Neither can say "good". */
        if (!point->distpoint || point->distpoint->type != 0 || point->CRLissuer || point->reasons)
                return true;
        const GENERAL_NAMES *names = point->distpoint->name.fullname;
        for (int i = 0; i < sk_GENERAL_NAME_num(names) && ret->count < URLS_MAX; i++) {
                char *url = url_of(sk_GENERAL_NAME_value(names, i));
                if (url && !texts_add_own(ret, url)) {
                        free(url);
                        return err_memory(e);
                }
        }
        return true;
}

static bool take_points(X509 *x, struct texts *ret, struct err *e)
{
        CRL_DIST_POINTS *points = X509_get_ext_d2i(x, NID_crl_distribution_points, NULL, NULL);
        bool good = true;
        for (int i = 0; good && points && i < sk_DIST_POINT_num(points); i++)
                good = take_point(sk_DIST_POINT_value(points, i), ret, e);
        CRL_DIST_POINTS_free(points);
        return good;
}

static char *take_ocsp(X509 *x)
{
        AUTHORITY_INFO_ACCESS *list = X509_get_ext_d2i(x, NID_info_access, NULL, NULL);
        char *url = NULL;
        for (int i = 0; list && !url && i < sk_ACCESS_DESCRIPTION_num(list); i++) {
                const ACCESS_DESCRIPTION *a = sk_ACCESS_DESCRIPTION_value(list, i);
                if (OBJ_obj2nid(a->method) == NID_ad_OCSP)
                        url = url_of(a->location);
        }
        AUTHORITY_INFO_ACCESS_free(list);
        return url;
}

bool revocation_places(const uint8_t *der, size_t len, struct revocation_places *ret, struct err *e)
{
        CLEANUP(cert_free_p) X509 *x = NULL;
        struct revocation_places p = { 0 };
        if (!cert_parse(der, len, &x, e))
                return false;
        if (!take_points(x, &p.crl, e)) {
                revocation_places_done(&p);
                return false;
        }
        p.ocsp = take_ocsp(x);
        openssl_clear(); /* an extension that cannot be read names no place */
        *ret = p;
        return true;
}

void revocation_places_done(struct revocation_places *p)
{
        texts_done(&p->crl);
        free(p->ocsp);
        *p = (struct revocation_places){ 0 };
}

bool chain_first_der(const char *pem, uint8_t **ret, size_t *ret_len, struct err *e)
{
        const char *at = pem;
        e->kind = ERR_NONE;
        if (pem_next(&at, pem + strlen(pem), ret, ret_len, e))
                return true;
        return e->kind != ERR_NONE
                ? false
                : err_set(e, ERR_CONFIG, "chain.alone", "the certificate has no issuer's certificate with it");
}
