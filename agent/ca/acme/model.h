/* What an ACME server's documents say (RFC 8555 section 7.1), read strictly and bounded. Pure: no clock, no I/O. */
#ifndef DCVD_CA_ACME_MODEL_H
#define DCVD_CA_ACME_MODEL_H

#include <jansson.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"

/* An error's code: the CA has not said anything. A body that is not what was asked for at all, or a refusal that is not
 * in its words. What is that, and says nonsense, has another code: it was read well. */
#define ACME_UNREADABLE "acme.unreadable"
#define ACME_URL_MAX 2000
#define ACME_NAMES_MAX 1000

enum acme_status {
        ACME_PENDING,
        ACME_PROCESSING,
        ACME_READY,
        ACME_VALID,
        ACME_INVALID,
        ACME_DEACTIVATED,
        ACME_EXPIRED,
        ACME_REVOKED,
        ACME_STRANGE
};
const char *acme_status_name(enum acme_status s);

struct acme_directory {
        char *new_nonce, *new_account, *new_order, *revoke_cert, *key_change;
        char *renewal_info; /* NULL: no ARI */
        char *terms; /* meta.termsOfService; NULL: none */
        bool eab_required;
        struct texts profiles; /* names; empty: none are offered */
        struct texts hosts; /* "https://host[:port]" of every endpoint: where this CA may send us */
};
bool acme_directory_read(const json_t *o, struct acme_directory *ret, struct err *e);
void acme_directory_done(struct acme_directory *d);

struct acme_challenge {
        char *type, *url, *token; /* token NULL: a type without one; url NULL too: of a type that is not used here */
        struct texts issuers; /* dns-persist-01: whose name may stand in the record */
        enum acme_status status;
        json_t *error; /* problem document; NULL: none */
};
struct acme_authz {
        char *name; /* without "*."; lower case */
        bool ip, wildcard;
        enum acme_status status;
        struct acme_challenge *challenge;
        size_t count;
};
bool acme_authz_read(const json_t *o, struct acme_authz *ret, struct err *e);
void acme_authz_done(struct acme_authz *a);
const struct acme_challenge *acme_challenge_find(const struct acme_authz *a, const char *type);
/* "dns-01, http-01": what is offered, for messages. */
void acme_challenge_types(const struct acme_authz *a, char *ret, size_t size);

struct acme_order {
        enum acme_status status;
        struct texts authz; /* URLs */
        char *finalize, *certificate; /* URLs; certificate NULL until there is one */
        int64_t expires_s; /* 0: not said */
        json_t *error; /* problem document; NULL: none */
};
bool acme_order_read(const json_t *o, struct acme_order *ret, struct err *e);
void acme_order_done(struct acme_order *o);

/* "https://host[:port]" of a URL in lower case, default port left out; NULL: no http or https URL, or one with what
 * JSON would escape. Allocated. */
char *acme_origin(const char *url);
/* Of an origin: would what is sent there go over a network in the clear? http is for loopback only. */
bool acme_origin_is_open(const char *origin);
/* Only base64url characters, 1 to 128 of them: becomes a file name and a record's value. */
bool acme_token_is_good(const char *token);

#endif
