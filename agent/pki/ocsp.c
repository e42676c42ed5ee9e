/* Online status (RFC 6960): a request for one certificate, and an answer signed by its issuer or by somebody whom the
 * issuer gave that right. No nonce: responders that answer ahead of time ignore it, the dates tell what is fresh. */
#include <stdlib.h>

#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

#include "agent/base/util.h"
#include "agent/pki/revocation_internal.h"

struct parts { /* of one answer */
        OCSP_RESPONSE *response;
        OCSP_BASICRESP *basic;
        OCSP_CERTID *id;
};

static void parts_done(struct parts *p)
{
        OCSP_RESPONSE_free(p->response);
        OCSP_BASICRESP_free(p->basic);
        OCSP_CERTID_free(p->id);
}

bool ocsp_request(const struct revocation_subject *s, uint8_t **ret, size_t *ret_len, struct err *e)
{
        struct revocation_pair pair;
        unsigned char *der = NULL;
        int len = -1;
        if (!revocation_read_subject(s, &pair, e))
                return false;
        openssl_clear();
        OCSP_REQUEST *request = OCSP_REQUEST_new();
        OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), pair.cert, pair.issuer); /* the one that every responder knows */
        if (request && id && OCSP_request_add0_id(request, id)) {
                id = NULL; /* the request's */
                len = i2d_OCSP_REQUEST(request, &der);
        }
        OCSP_CERTID_free(id);
        OCSP_REQUEST_free(request);
        revocation_pair_done(&pair);
        if (len <= 0)
                return openssl_err(e, ERR_TEMPORARY, "ocsp.request", "an OCSP request cannot be made");
        return der_take(der, len, ret, ret_len, e);
}

static bool read_answer(const void *data, size_t len, struct parts *p, struct err *e)
{
        const unsigned char *at = data;
        openssl_clear();
        p->response = len <= INT32_MAX ? d2i_OCSP_RESPONSE(NULL, &at, (long)len) : NULL;
        if (!p->response)
                return openssl_err(e, ERR_PROTOCOL, "ocsp.format", "the OCSP answer cannot be read");
        int status = OCSP_response_status(p->response);
        if (status != OCSP_RESPONSE_STATUS_SUCCESSFUL)
                return err_set(e, ERR_TEMPORARY, "ocsp.status", "the OCSP responder says %s",
                        OCSP_response_status_str(status));
        p->basic = OCSP_response_get1_basic(p->response);
        return p->basic || openssl_err(e, ERR_PROTOCOL, "ocsp.format", "the OCSP answer cannot be read");
}

/* The issuer is what is trusted here, whether its own issuer is known or not. */
static bool check_signer(const struct parts *p, const struct revocation_pair *pair, int64_t now_s, struct err *e)
{
        X509_STORE *store = X509_STORE_new();
        STACK_OF(X509) *known = sk_X509_new_null();
        int good = 0;
        openssl_clear();
        if (store && known && sk_X509_push(known, pair->issuer) && X509_STORE_add_cert(store, pair->issuer)) {
                X509_VERIFY_PARAM *param = X509_STORE_get0_param(store);
                (void)X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
                X509_VERIFY_PARAM_set_time(param, (time_t)now_s);
                good = OCSP_basic_verify(p->basic, known, store, 0);
        }
        sk_X509_free(known);
        X509_STORE_free(store);
        return good == 1 ||
                openssl_err(e, ERR_PROTOCOL, "ocsp.signature", "the OCSP answer is not signed by the issuer");
}

static bool check_dates(const ASN1_GENERALIZEDTIME *this_update, const ASN1_GENERALIZEDTIME *next_update, int64_t now_s,
        struct revocation_answer *ret, struct err *e)
{
        if (!revocation_time(this_update, &ret->this_update_s) ||
                (next_update && !revocation_time(next_update, &ret->next_update_s)))
                return err_set(e, ERR_PROTOCOL, "ocsp.format", "the OCSP answer has no dates");
        if ((ret->next_update_s && ret->next_update_s + REVOCATION_SLACK_S < now_s) ||
                ret->this_update_s - REVOCATION_SLACK_S > now_s) {
                char when[40];
                format_time(ret->this_update_s, when, sizeof when);
                err_set(e, ERR_TEMPORARY, "ocsp.stale", "the OCSP answer of %s is not valid now", when);
                return err_fix(e, "look at this host's clock (timedatectl)");
        }
        return true;
}

static bool take_status(struct parts *p, const struct revocation_pair *pair, int64_t now_s,
        struct revocation_answer *ret, struct err *e)
{
        int status = -1, reason = -1;
        ASN1_GENERALIZEDTIME *revoked = NULL, *this_update = NULL, *next_update = NULL;
        p->id = OCSP_cert_to_id(EVP_sha1(), pair->cert, pair->issuer);
        if (!p->id || !OCSP_resp_find_status(p->basic, p->id, &status, &reason, &revoked, &this_update, &next_update))
                return err_set(e, ERR_PROTOCOL, "ocsp.format", "the OCSP answer is about another certificate");
        if (!check_dates(this_update, next_update, now_s, ret, e))
                return false;
        if (status == V_OCSP_CERTSTATUS_UNKNOWN)
                return err_set(e, ERR_TEMPORARY, "ocsp.status", "the OCSP responder does not know the certificate");
        ret->revoked = status == V_OCSP_CERTSTATUS_REVOKED;
        ret->reason = ret->revoked ? reason : -1;
        if (ret->revoked)
                (void)revocation_time(revoked, &ret->revoked_at_s); /* for people only */
        return true;
}

bool ocsp_check(const void *answer, size_t len, const struct revocation_subject *s, int64_t now_s,
        struct revocation_answer *ret, struct err *e)
{
        struct parts p = { 0 };
        struct revocation_pair pair;
        struct revocation_answer a = { .reason = -1 };
        if (!revocation_read_subject(s, &pair, e))
                return false;
        bool good = read_answer(answer, len, &p, e) && check_signer(&p, &pair, now_s, e) &&
                take_status(&p, &pair, now_s, &a, e);
        parts_done(&p);
        revocation_pair_done(&pair);
        if (good)
                *ret = a;
        return good;
}
