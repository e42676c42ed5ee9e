/* What a CA is asked about a certificate: made here alone, so that a dry run, status and check are told what a job will
 * be told. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/util.h"
#include "agent/job/internal.h"
#include "agent/pki/csr.h"
#include "agent/pki/weak.h"

#define CSR_MAX (64 * 1024)

bool subject_request_make(struct subject_request *ret, const struct engine *g, const struct cert *c,
        const struct conf_cert *policy, size_t ca_index, struct subject_ask ask, struct err *e)
{
        char *csr = NULL;
        size_t len = 0;
        if (policy->key_csr && !file_read(policy->key_csr, CSR_MAX, &csr, &len, e))
                return err_wrap(e, "key.csr of %s", policy->name);
        live_key_look(&ret->live, g, c, policy, ca_index, ask);
        ret->csr = csr;
        ret->r = (struct ca_subject_request){
                .certificate_id = c && c->row.newest_id ? c->row.newest_id : policy->certificate_id,
                .names = &policy->names,
                .validation = policy_validation(policy, ca_index),
                .key_type = policy_key_type(policy, ca_index),
                .compromised = ask.compromised,
                .reuse_spki_hex = ret->live.may ? ret->live.spki : NULL,
                .reuse_type = ret->live.may ? ret->live.type : KEY_NONE,
                .csr_pem = csr,
                .force = ask.force,
                .dry = ask.dry,
        };
        return true;
}

void subject_request_done(struct subject_request *r)
{
        free(r->csr);
        r->csr = NULL;
}

static bool foreign_good(const struct engine *g, const struct cert *c, const struct conf_cert *policy, bool compromised,
        const struct ca_subject *s, const char *pem, const struct csr *csr, struct err *e)
{
        const char *live = c->row.live_spki;
        bool reported = compromised_has(g->keystore, csr->spki_hex) ||
                (compromised && live && strcmp(csr->spki_hex, live) == 0);
        if (reported)
                err_set(e, ERR_CONFIG, "key.compromised", "%s asks for the key %.16s..., which is marked compromised",
                        policy->key_csr, csr->spki_hex);
        else if (!request_check_strength(pem, strlen(pem), e))
                err_wrap(e, "%s", policy->key_csr);
        else if (names_same(&csr->names, &s->names))
                return true;
        else {
                err_set(e, ERR_CONFIG, "csr.names", "%s does not ask for exactly the names of the certificate (R13)",
                        policy->key_csr);
                return err_fix(e, "make the CSR with the same common name and names as the certificate has");
        }
        return err_fix(e, "make a new key and CSR where the key is held, write the CSR to %s, then dcvctl reissue %s",
                policy->key_csr, policy->name);
}

bool foreign_csr(const struct engine *g, const struct cert *c, const struct conf_cert *policy, bool compromised,
        const struct ca_subject *s, char **ret_pem, char ret_spki[65], struct err *e)
{
        CLEANUP(free_p) char *pem = NULL;
        size_t len = 0;
        struct csr csr = { 0 };
        if (!file_read(policy->key_csr, CSR_MAX, &pem, &len, e) || !csr_read(pem, len, &csr, e))
                return err_wrap(e, "key.csr of %s", policy->name);
        bool good = foreign_good(g, c, policy, compromised, s, pem, &csr, e);
        if (good) {
                memcpy(ret_spki, csr.spki_hex, sizeof csr.spki_hex);
                *ret_pem = STEAL(pem);
        }
        csr_done(&csr);
        return good;
}
