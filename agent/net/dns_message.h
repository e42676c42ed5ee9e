/* The one reader of DNS messages (RFC 1035 section 4, RFC 6891): bounds-checked, for answers of servers that may be
 * hostile. Compression pointers go backwards only and at most 127 times; counts and lengths are believed only as far as
 * the packet goes. Used for every answer: c-ares' own parsers are not (one bad CAA record hides the good ones there).
 */
#ifndef DCVD_NET_DNS_MESSAGE_H
#define DCVD_NET_DNS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct address;

#define DNS_NAME_TEXT                                                                                                  \
        1025 /* bytes for a name in presentation form (escapes \. \\ \DDD, no final dot; root is "") with NUL */
#define DNS_MESSAGE_MAX 65535

enum {
        DNS_A = 1,
        DNS_NS = 2,
        DNS_CNAME = 5,
        DNS_SOA = 6,
        DNS_TXT = 16,
        DNS_AAAA = 28,
        DNS_DNAME = 39,
        DNS_OPT = 41,
        DNS_DS = 43,
        DNS_RRSIG = 46,
        DNS_DNSKEY = 48,
        DNS_TSIG = 250,
        DNS_CAA = 257
};
enum { DNS_CLASS_IN = 1, DNS_CLASS_NONE = 254, DNS_CLASS_ANY = 255 };
enum { DNS_NOERROR = 0, DNS_FORMERR = 1, DNS_SERVFAIL = 2, DNS_NXDOMAIN = 3, DNS_NOTIMP = 4, DNS_REFUSED = 5 };
enum dns_section { DNS_ANSWER, DNS_AUTHORITY, DNS_ADDITIONAL };

struct dns_rr {
        char *owner; /* presentation form, as received (case kept) */
        enum dns_section section;
        uint16_t type, class;
        uint32_t ttl;
        uint16_t rdlength;
        size_t rdata; /* offset into the message; rdata + rdlength <= len */
};
struct dns_message {
        uint8_t *data; /* a copy */
        size_t len;
        uint16_t id;
        uint8_t opcode;
        uint16_t rcode; /* with the extended bits of OPT */
        bool qr, aa, tc, rd, ra, ad, cd, edns;
        int ede; /* RFC 8914 INFO-CODE, -1 if none */
        char *question; /* "" if no question */
        uint16_t qtype, qclass;
        struct dns_rr *rr;
        size_t rr_count; /* at most 4096 */
};

/* Reads a whole message. On failure ret is untouched and e says at which offset. ERR_PROTOCOL. */
bool dns_message_read(const uint8_t *data, size_t len, struct dns_message *ret, struct err *e);
void dns_message_done(struct dns_message *m);

/* Rdata of one record; false if malformed or of another type. Names: ret has DNS_NAME_TEXT bytes. */
bool dns_rr_name(const struct dns_message *m, const struct dns_rr *rr, char *ret); /* NS, CNAME, DNAME */
bool dns_rr_address(const struct dns_message *m, const struct dns_rr *rr, struct address *ret); /* A, AAAA; port 0 */
/* TXT: all strings joined, nothing between (RFC 8555 section 8.4); ret is allocated (NUL-terminated, may contain NULs).
 */
bool dns_rr_txt(
        const struct dns_message *m, const struct dns_rr *rr, uint8_t **ret, size_t *ret_len, unsigned *ret_strings);
struct dns_soa {
        char mname[DNS_NAME_TEXT];
        uint32_t serial, refresh, retry, expire, minimum;
};
bool dns_rr_soa(const struct dns_message *m, const struct dns_rr *rr, struct dns_soa *ret);

/* Names in presentation form. All ignore case and a final dot. */
bool dns_name_equal(const char *a, const char *b);
bool dns_name_is_below(const char *name, const char *zone); /* equal counts as below; everything is below "" */
const char *dns_name_parent(const char *name); /* points into name: after the first dot; "" at the top; NULL for "" */
bool dns_name_is_valid(const char *name); /* labels 1..63, 255 bytes in wire form */
/* Wire form, uncompressed, lower case if lower; returns bytes written or 0 if it does not fit or is not valid. */
size_t dns_name_wire(const char *name, bool lower, uint8_t *ret, size_t size);
const char *dns_type_name(uint16_t type); /* "TXT"; "TYPE65" in a static buffer of the thread otherwise */
const char *dns_rcode_name(uint16_t rcode); /* "SERVFAIL" */
/* RFC 1982: is a newer than b? */
bool dns_serial_newer(uint32_t a, uint32_t b);

#endif
