/* Where a proof can be put. One file per kind of place; registry.c has the one array. A publisher never touches a job
 * or the store; it may call loop, dns, http, helper, propagation's zone finder and the token table, which it is opened
 * with. */
#ifndef DCVD_VALIDATORS_PUBLISHER_H
#define DCVD_VALIDATORS_PUBLISHER_H

#include "config/schema.h"
#include "validators/proof.h"

struct dns;
struct err;
struct helper;
struct http;
struct loop;
struct propagation_engine;
struct publish_call;
struct alpn_table;
struct publisher;
struct token_table;

struct publisher_env {
        struct loop *loop;
        struct dns *dns;
        struct http *http;
        struct helper *helper;
        struct propagation_engine *propagation;
        struct token_table *tokens;
        struct alpn_table *alpn;
};
/* handle is the publisher's own memory of what it made (one line, at most 4 KiB, kept in the journal and given back at
 * retract); borrowed. ERR_RULE "token.foreign" when somebody else's record or file is in the way (named, never
 * overwritten). ERR_UNKNOWN when an update was sent and the answer lost: publish and retract may be repeated, both are
 * idempotent. After it, and after ERR_PROTOCOL, a token may be out; after other errors nothing of this call is. */
typedef void publish_done_fn(void *arg, const char *handle, const struct err *err);
/* I5, for a place that only the publisher finds: said before anything is sent there, and nothing is before go_on.
 * handle: as with done; borrowed. own_name: the proof's own name, where a withdrawal without a handle comes too. */
typedef void publish_place_fn(void *arg, const char *handle, bool own_name);

struct publisher_ops {
        const char *type;
        unsigned can; /* enum proof_type bits */
        const struct conf_key *keys;
        size_t conf_size;
        bool (*check)(void *parsed, const char *path, const struct yaml_node *node, struct conf_problems *p);
        const char *not_in_build; /* the functions below are NULL then */
        bool by_person; /* publish only announces; a person publishes */
        bool (*open)(struct publisher **ret, const struct publisher_env *env, const char *name, const void *conf,
                struct err *e);
        void (*close)(struct publisher *p); /* cancels what runs */
        /* place is called once at most, by those alone that have go_on; NULL: nobody needs to know before. */
        struct publish_call *(*publish)(struct publisher *p, const struct proof *proof, publish_place_fn *place,
                publish_done_fn *done, void *arg, struct err *e);
        void (*go_on)(struct publisher *p, struct publish_call *c); /* this and cancel: from within place too */
        struct publish_call *(*retract)(struct publisher *p, const struct proof *proof, const char *handle,
                publish_done_fn *done, void *arg, struct err *e);
        void (*cancel)(struct publisher *p, struct publish_call *c);
        /* The server it writes to, as configured; NULL: it has none, or finds it by itself. */
        const char *(*server)(const void *conf);
        /* Would publish be let in? Asks and changes nothing; no handle. NULL: only publishing tells. */
        struct publish_call *(*try)(
                struct publisher *p, const struct proof *proof, publish_done_fn *done, void *arg, struct err *e);
};
/* One array, one file: validators/registry.c. Ended by NULL. */
extern const struct publisher_ops *const publisher_registry[];
/* Not in it, for nobody configures them: they serve proofs that no configured publisher has to. */
extern const struct publisher_ops publisher_responder, publisher_standing;
const struct publisher_ops *publisher_ops_find(const char *type);

#endif
