/* A certificate request from the configuration (key held elsewhere). */
#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/pki/csr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct csr csr = { 0 };
        struct err e = { 0 };
        if (size > 65536 + 16 || !csr_read(data, size, &csr, &e))
                return 0;
        if (strlen(csr.spki_hex) != 64 || strlen(csr.der_sha256) != 64 || !csr.subject)
                abort();
        csr_done(&csr);
        return 0;
}
