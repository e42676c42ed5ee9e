/* A whole DNS message, and every reader of its records. */
#include <stdlib.h>

#include "agent/base/err.h"
#include "agent/net/address.h"
#include "agent/net/dns_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct dns_message m;
        struct err e;
        if (size > DNS_MESSAGE_MAX || !dns_message_read(data, size, &m, &e))
                return 0;
        for (size_t i = 0; i < m.rr_count; i++) {
                char name[DNS_NAME_TEXT];
                struct address a;
                struct dns_soa soa;
                uint8_t *text = NULL, wire[255];
                size_t len;
                (void)dns_rr_address(&m, &m.rr[i], &a);
                (void)dns_rr_soa(&m, &m.rr[i], &soa);
                if (dns_rr_name(&m, &m.rr[i], name) && dns_name_wire(name, false, wire, sizeof wire) == 0)
                        abort(); /* what was read can be written */
                if (dns_rr_txt(&m, &m.rr[i], &text, &len, NULL))
                        free(text);
        }
        dns_message_done(&m);
        return 0;
}
