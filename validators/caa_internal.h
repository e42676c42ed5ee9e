/* The parts of caa.c that are files of their own: the value of an issue record, read as CAs read it. */
#ifndef DCVD_VALIDATORS_CAA_INTERNAL_H
#define DCVD_VALIDATORS_CAA_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

struct caa_record;

#define CAA_PARAMETERS_MAX 32

struct caa_value {
        char *text; /* owned; the rest points into it */
        const char *domain; /* trimmed; "" forbids */
        struct {
                const char *tag, *value;
        } parameter[CAA_PARAMETERS_MAX];
        size_t count;
        const char *fault; /* why CAs ignore the record; NULL if it is well-formed; static */
};
/* False only when out of memory. A malformed value has a fault and, where it could be read, its domain. */
bool caa_value_read(const struct caa_record *r, struct caa_value *ret);
void caa_value_done(struct caa_value *v);
/* The value of a parameter (tag without case), NULL if absent. */
const char *caa_value_parameter(const struct caa_value *v, const char *tag);
bool caa_domain_is_valid(const char *domain);
/* True if domain is this issuer but for case, a final dot, a scheme, a path, quotes or blanks. */
bool caa_domain_is_misspelt(const char *domain, const char *issuer);
bool caa_tag_is(const struct caa_record *r, const char *tag);
bool caa_tag_is_valid(const char *tag);
bool caa_tag_is_known(const char *tag);

#endif
