/* The names of a certificate, before anybody is asked: would a public CA take them at all? Pure. */
#ifndef DCVD_VALIDATORS_NAME_CHECK_H
#define DCVD_VALIDATORS_NAME_CHECK_H

#include <stdbool.h>
#include <stddef.h>

struct judgements;

struct name_request {
        const char *const *names; /* as configured, "*." included */
        size_t count;
        const char *method; /* "dns-01", "http-01", "tls-alpn-01", "dns-persist-01", or dns | file | tls-alpn */
        const char *const *offered; /* methods the CA offers, NULL-terminated; NULL: not known, N06 stays silent */
        const char *ip_type; /* "ip" if address identifiers are asked for as such, else NULL (N03) */
        unsigned names_max; /* of the CA's profile; 0: not known */
        bool internal; /* the CA is not a public one: no public suffix wanted (N07, N09) */
};
/* N01-N07, N09-N12. False if any name cannot be issued, so that nothing has to be asked about it. */
bool names_judge(const struct name_request *r, struct judgements *out);
/* One name, by itself. ret_good of names_judge. */
bool name_judge(const struct name_request *r, const char *name, struct judgements *out);
/* N11, N12: the list as a whole. False if it cannot be issued. */
bool names_judge_list(const struct name_request *r, struct judgements *out);
/* N08: the registrable domain was asked for its SOA and does not exist. */
void name_judge_absent(const char *registrable, struct judgements *out);
/* The registrable domain by the ICANN section of the public suffix list; allocated; NULL for a suffix itself, an
 * address or when out of memory. */
char *name_registrable(const char *name);
bool name_has_public_tld(const char *name);

#endif
