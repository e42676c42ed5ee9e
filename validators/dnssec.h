/* DNSSEC of one zone, judged from authoritative answers alone (where no validating resolver can be asked): is there a
 * key for the DS of the parent, do the signatures hold, until when, is what does not exist proven absent. ldns
 * verifies. */
#ifndef DCVD_VALIDATORS_DNSSEC_H
#define DCVD_VALIDATORS_DNSSEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dns_message;
struct judgements;

/* One answer of one server of the zone, asked with DO. The question is in the message. */
struct dnssec_answer {
        const char *server; /* "ns1.example.net (192.0.2.1)" */
        const struct dns_message *message;
};
struct dnssec_zone {
        const char *zone; /* "" is the root */
        const struct dns_message *ds; /* the parent's answer to DS?zone, NULL if it was not got (S02 is unverifiable) */
        const struct dnssec_answer *answers; /* every server's DNSKEY?zone, and SOA?, CAA?, TXT?, NSEC3PARAM? at will */
        size_t count;
        int64_t now_s;
};
enum dnssec_verdict {
        DNSSEC_INSECURE, /* no DS: nothing to judge, everything is taken as it is */
        DNSSEC_SECURE,
        DNSSEC_BOGUS, /* a validating CA will refuse */
        DNSSEC_UNDECIDED /* DS or DNSKEY was not got */
};
/* S02-S08, each named with the server, the record and the date. */
enum dnssec_verdict dnssec_judge(const struct dnssec_zone *z, struct judgements *out);

#endif
