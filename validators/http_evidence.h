/* What fetching a token over HTTP showed, address by address, judged as a CA would: pure, from a record of the
 * exchange.
 */
#ifndef DCVD_VALIDATORS_HTTP_EVIDENCE_H
#define DCVD_VALIDATORS_HTTP_EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/net/http.h"

struct judgements;

enum http_fault {
        HTTP_ANSWERED, /* status is set */
        HTTP_REFUSED, /* TCP */
        HTTP_UNREACHABLE,
        HTTP_CONNECT_TIMEOUT,
        HTTP_FAULTS_OF_DIAL, /* the ones before this are why a CA tries the other family */
        HTTP_RESET = HTTP_FAULTS_OF_DIAL,
        HTTP_READ_TIMEOUT,
        HTTP_GARBAGE, /* not HTTP; body has the first bytes */
        HTTP_NOT_TLS, /* https, but the other side does not speak TLS */
        HTTP_TLS_OLD, /* nothing newer than TLS 1.1 */
        HTTP_TLS_FAILED,
        HTTP_NO_ADDRESS, /* the host of a redirect does not resolve */
        HTTP_FAULT_COUNT
};
/* One request and its answer. Redirects are followed by who gathers, one hop each, as far as http_redirect_fault
 * allows; a refused one ends the chain with its 3xx hop. */
struct http_hop {
        const char *url; /* whole */
        enum http_fault fault;
        const char *error; /* words for the fault, NULL: none */
        int status;
        const struct http_header *headers;
        size_t header_count;
        const uint8_t *body; /* at least the first 200 bytes */
        size_t body_len; /* bytes in body */
        size_t body_size; /* bytes the server sent, as far as read; >= body_len */
        const char *certificate_fault; /* https: why a browser would refuse it; NULL: good, or not looked at */
        unsigned first_byte_ms;
};
enum http_purpose {
        HTTP_TOKEN, /* a file that is published: it must be there */
        HTTP_RANDOM, /* a path that nobody published: 404 is the healthy answer */
        HTTP_OTHER_HOST, /* the same path with a made-up Host */
        HTTP_OTHER_AGENT /* the token with another User-Agent or the host in other case */
};
/* One chain, begun at one address of the name. */
struct http_look {
        struct address address;
        enum http_purpose purpose;
        bool outside; /* seen from another place (second vantage) */
        const struct http_hop *hops;
        size_t count; /* at least 1 */
};
struct http_evidence {
        const char *name;
        const char *wanted; /* content of the published file; NULL: nothing is published, only HTTP_RANDOM looks */
        bool pki_validation; /* the file method of CAs without ACME: any 2xx, content contained (H34), no redirect; on
                                http or https, either suffices */
        bool lookup_failed;
        const char *lookup_error; /* "SERVFAIL from 192.0.2.53 (DNSSEC Bogus)", for H02 */
        const struct address *addresses; /* all that the name has */
        size_t address_count;
        bool own_host; /* the addresses are this host's own, or behind its router: a failure proves little (H33) */
        bool internal; /* reserved addresses are fine: the CA is inside */
        unsigned http_port; /* 0 is 80; another in a test network */
        const struct http_look *looks;
        size_t look_count;
};
/* H01-H32, H34-H36 and H33. True if a CA would accept (or nothing speaks against it where nothing is published). */
bool http_judge(const struct http_evidence *x, struct judgements *out);

/* Why a CA would not follow this redirect; NULL if it would. location may be relative to url. ret_url: where it leads,
 * allocated, may be NULL. Ports other than 80 and 443 (and http_port) are refused, as are other schemes, addresses that
 * are not public, paths above 2000 bytes and user information. ret_id: "H16" or "H17"; static. */
const char *http_redirect_fault(
        const char *url, const char *location, const struct http_evidence *x, const char **ret_id, char **ret_url);
/* Where a CA goes from an answer: the one place for the rule (Baseline Requirements 3.2.2.4.18 and .19, RFC 8555
 * section 8.3, and what Tencent Cloud says of its files: x->pki_validation follows none). trail: the URLs so far, that
 * of this answer last. True: on to *ret_url (allocated). False: it stays here; ret_why says why if the answer was a
 * redirect, NULL if it was none. */
#define HTTP_REDIRECTS_MAX 10
bool http_goes_on(const struct http_evidence *x, const struct texts *trail, int status, const char *location,
        char **ret_url, const char **ret_why);
/* The IANA registry entry of a reserved address ("Private-Use, RFC 1918"), NULL for a public one. */
const char *http_reserved(const struct address *a);
const char *http_header_of(const struct http_hop *h, const char *name); /* without case; NULL if absent */

#endif
