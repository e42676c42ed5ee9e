/* A chain as a CA or a person hands it over; the same bytes as one certificate from a TLS look. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/pki/chain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct chain c = { 0 }, again = { 0 };
        struct cert_info info = { 0 };
        struct err e = { 0 };
        if (size > 65536)
                return 0;
        if (chain_from_der(data, size, &info, &e))
                cert_info_done(&info);
        if (!chain_read(data, size, NULL, &c, &e))
                return 0;
        /* What we write we read back the same. */
        if (!chain_read(c.fullchain_pem, strlen(c.fullchain_pem), c.leaf.spki_hex, &again, &e) ||
                strcmp(c.fullchain_pem, again.fullchain_pem) != 0 || strcmp(c.leaf.sha256, again.leaf.sha256) != 0)
                abort();
        const struct chain_rules r = {
                .spki_hex = c.leaf.spki_hex, .names = &c.leaf.names, .now_s = c.leaf.not_before_s, .issuer_like = "CA"
        };
        (void)chain_check(&c, &r, &e); /* must only come back */
        chain_done(&again);
        chain_done(&c);
        return 0;
}
