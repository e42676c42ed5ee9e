/* A report's evidence: keys, certificates, requests, JWS and CMS in any encoding. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/pki/evidence.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool any_challenge(void *arg, const char *text, size_t len)
{
        (void)arg;
        return len > 0 && text[0] != '\0';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct evidence_asks asks = { .challenge = any_challenge };
        struct evidence v = { 0 };
        struct err e = { 0 };
        if (size > EVIDENCE_MAX + 16 || !evidence_read(data, size, &asks, &v, &e))
                return 0;
        if (strlen(v.spki_hex) != 64 || v.kind <= EVIDENCE_NONE || v.kind >= EVIDENCE_KINDS)
                abort();
        evidence_done(&v);
        return 0;
}
