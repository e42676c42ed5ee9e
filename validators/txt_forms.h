/* A TXT or CNAME value compared with what the CA wants to see, and if it differs, in which of the usual ways: quotes,
 * blanks, two records, another encoding, the file's content, an older value. Pure. */
#ifndef DCVD_VALIDATORS_TXT_FORMS_H
#define DCVD_VALIDATORS_TXT_FORMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct judgements;

struct txt_value {
        const uint8_t *data; /* strings joined (dns_rr_txt); for a CNAME the target in presentation form */
        size_t len;
        unsigned strings;
        uint32_t ttl;
};
struct txt_want {
        const char *owner; /* "_acme-challenge.example.com" */
        const char *value; /* NULL: none is known yet (dry run); only the shapes of what is there are judged */
        const char *key_authorization; /* what the value is the digest of; NULL: not known, or not ACME */
        bool cname; /* the value is an alias target: case and a final dot do not count */
        bool acme; /* 43 characters of base64url are wanted; otherwise the CA's value as it is */
};
/* What one server, or all of them alike, gave. */
struct txt_seen {
        const char *server; /* "ns1.example.net (192.0.2.1)", "all 4 servers" */
        const struct txt_value *values;
        size_t count;
        size_t message_bytes; /* of the whole answer; 0: not known */
};
enum txt_match { TXT_ABSENT, TXT_DIFFERS, TXT_PRESENT };
/* T02-T09, T19, T23. */
enum txt_match txt_judge(const struct txt_want *want, const struct txt_seen *seen, struct judgements *out);

#endif
