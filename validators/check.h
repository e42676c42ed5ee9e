/* The contract of a check of the dry run (dcv.md section 10). A check is a plain function: it asks what it needs to
 * know (check_dns, check_http, ...), and what is not known yet comes back as NULL and is asked for meanwhile. The check
 * then goes on with what else it wants to know and returns; it is called again, from its beginning, when answers have
 * come. What it said counts only when nothing was left open, so a check never writes down a state and never misses one.
 * All checks of a run share one memory: each server is asked once per question, whoever wants to know.
 *
 *   static void tcp_is_open(struct check_context *c, struct judgements *out)
 *   {
 *           const struct check_zone *z = check_zone(c, c->zone);
 *           for (size_t i = 0; z && i < z->server_count; i++) {
 *                   const struct check_answer *a =
 *                           check_dns(c, &z->server[i].address, CHECK_TCP, z->apex, DNS_SOA, 0);
 *                   if (a && a->outcome != DNS_ANSWERED)
 *                           judge(out, "D07", ...);
 *           }
 *   }
 *
 * A higher room brings its own checks in an array of its own (group O: ca, deploy, job); the mains join the arrays. */
#ifndef DCVD_VALIDATORS_CHECK_H
#define DCVD_VALIDATORS_CHECK_H

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/net/dns.h"
#include "agent/net/http.h"
#include "config/config.h"
#include "validators/judgement.h"

struct check_context;
struct check_run;

/* ---- the catalogue: catalogue.c, the one table; docs/checks.md is made from it ---- */

enum check_severity { CHECK_INFO, CHECK_WARNING, CHECK_ERROR, CHECK_FATAL };
const char *check_severity_name(enum check_severity s); /* "fatal" */
struct check_id {
        const char *id; /* "D05"; never changes its meaning */
        enum check_severity severity;
        const char *title; /* what is wrong, for the catalogue's page */
        const char *fix; /* what to do, in general */
        const char *never; /* why one host can never judge it; NULL: it can */
};
extern const struct check_id check_catalogue[]; /* in the order of the page; ended by id NULL */
const struct check_id *check_id_find(const char *id);

/* ---- a check ---- */

enum check_stage { /* a stage of a name starts when the one before has ended for it, all of a stage at once */
        STAGE_NAMES, /* N */
        STAGE_DNS, /* D, S: of each distinct zone */
        STAGE_CAA, /* C */
        STAGE_METHOD, /* T, H, A */
        STAGE_REST, /* W, L, O */
        STAGES
};
enum check_scope {
        CHECK_TARGET, /* once for each certificate: c->name is NULL */
        CHECK_NAME, /* once for each name: c->name */
        CHECK_ZONE /* once for each zone of a run, whoever needs it: c->zone (STAGE_DNS only); no c->target */
};
enum { /* needs: a check that does not get them is not called, and its ids are listed with the reason */
        CHECK_NEEDS_CERT = 1, /* a configured certificate, not --name alone */
        CHECK_NEEDS_PUBLIC = 2, /* a public CA: not with --internal */
        CHECK_NEEDS_RESOLVER = 4,
        CHECK_NEEDS_HOST = 8, /* a host name: an IP address has no zone and no CAA, and nothing is said of it */
        /* methods: the check is called only for these, and nothing is said of it for others */
        CHECK_DNS = 16,
        CHECK_FILE = 32,
        CHECK_TLS_ALPN = 64,
        CHECK_DNS_PERSIST = 128,
        /* also when an earlier stage found something fatal (the host's own side does not hang on DNS) */
        CHECK_REGARDLESS = 256
};
struct check {
        const char *ids; /* what it may find: "D03 D04" */
        enum check_stage stage;
        enum check_scope scope;
        unsigned needs;
        /* Findings with judge(), what cannot be judged with judge_unverifiable(). A finding whose catalogue severity is
         * fatal, in group N or D, ends the later stages of the name that is its subject (or of c->name, or of all names
         * in c->zone). Must not keep pointers into answers beyond the call unless they are facts of the run. */
        void (*run)(struct check_context *c, struct judgements *out);
};
extern const struct check *const validator_checks[]; /* N, D, S, C, T, H, A, W; ended by NULL */

/* ---- what is checked ---- */

enum check_method {
        METHOD_DNS = CHECK_DNS,
        METHOD_FILE = CHECK_FILE,
        METHOD_TLS_ALPN = CHECK_TLS_ALPN,
        METHOD_DNS_PERSIST = CHECK_DNS_PERSIST
};
struct check_target { /* filled by the caller; owned by it, outlives the run */
        const char *label; /* the certificate's name; NULL: --name */
        struct texts names; /* as configured, "*." included */
        enum check_method method;
        const struct conf *conf; /* NULL without a configuration */
        const struct conf_cert *cert; /* NULL: --name */
        const char *ca; /* what people call the CA; NULL: not known */
        const char *const *issuers; /* its identifying domains for CAA, as configured or typed; NULL: not known */
        const char *directory; /* of an ACME CA, which says it too; NULL: none */
        const char *ca_bundle; /* extra roots for that; NULL */
        char *account; /* ACME account URL; NULL: not known */
        const char *dns_label; /* "_acme-challenge", "_dnsauth": where the CA wants TXT; never NULL */
        char *own_label; /* dns_label, if it is the account's (dns-account-01); NULL: it is not */
        bool acme; /* the CA speaks ACME: 43 characters, http-01 paths */
        bool internal; /* not a public CA */
        const char *value; /* the value that should be there now (--value); NULL: nothing is published yet */
        const char *const *offered; /* methods the CA offers, "dns-01"; NULL: not known */
        unsigned names_max; /* of the CA's profile; 0: not known */
        const struct check_target *next; /* the same for each further CA of the list, in order (O16); they share the names */
        size_t next_count;
        void *more; /* for the checks of higher rooms; may be NULL */
};
struct check_context {
        struct check_run *run;
        const struct check_target *target; /* NULL for CHECK_ZONE */
        const char *name; /* as configured; NULL but for CHECK_NAME */
        const char *base; /* name without "*." */
        const char *zone; /* CHECK_ZONE: the apex, "" is the root */
        bool internal; /* the CA is not a public one */
        const struct check *check;
        size_t open; /* questions of this call that are not answered yet */
        void *unit; /* the engine's */
};

/* ---- asking. NULL: not known yet. What comes back lives as long as the run ---- */

enum check_transport { CHECK_UDP, CHECK_TCP, CHECK_ANY /* UDP, then TCP if truncated or silent */ };
struct check_answer {
        enum dns_outcome outcome;
        const struct dns_message *message; /* DNS_ANSWERED; whatever its rcode */
        enum dns_transport transport;
        bool plain; /* the server refuses EDNS: this is its answer without */
        int64_t rtt_us;
        const char *error; /* unless answered: what a person reads */
};
/* One server, RD=0 unless flags say so. */
const struct check_answer *check_dns(struct check_context *c, const struct address *server, enum check_transport t,
        const char *name, uint16_t type, unsigned flags);
/* The shared resolvers, in order until one answers. I7: a name with a label that starts with "_" or a label of
 * check_random_label() is refused (outcome DNS_FAILED) unless check_published() was said for it. */
const struct check_answer *check_resolver(struct check_context *c, const char *name, uint16_t type, unsigned flags);
/* One resolver of the configured ones, the same rule. */
const struct check_answer *check_resolver_at(
        struct check_context *c, size_t i, const char *name, uint16_t type, unsigned flags);
void check_published(struct check_context *c, const char *name); /* every authoritative address shows it */
bool check_is_answered(const struct check_answer *a); /* NOERROR or NXDOMAIN; false for NULL */
/* A label nobody has ever asked for, the same throughout a run: 16 letters. */
const char *check_random_label(struct check_context *c);

struct check_addresses {
        struct address *list; /* port 0, v6 first */
        size_t count;
        const char *error; /* count 0: why; NULL if it simply has none */
        const char *code; /* "dns.no-address" or another */
};
const struct check_addresses *check_lookup(struct check_context *c, const char *host); /* at the resolvers */

struct check_page {
        int status; /* 0: no answer */
        const char *body; /* NUL-terminated, at most 64 KiB */
        size_t body_len;
        const struct http_header *headers; /* lower case names */
        size_t header_count;
        const char *location; /* absolute redirect target, or NULL */
        int64_t total_us;
        enum err_kind kind; /* of the failure; ERR_NONE */
        const char *error; /* NULL if answered */
        const char *code; /* err.code of the failure */
};
/* GET as a CA's look does it: one address, no redirect followed, certificates not verified, no proxy, 10 s. header: one
 * more header line, NULL for none. Port of at: 0 = the URL's. */
const struct check_page *check_http(
        struct check_context *c, const char *url, const struct address *at, const char *header);

/* Any other slow thing, remembered under a key ("tls 192.0.2.1:443 example.com"): start begins it and calls
 * check_fact_done() later, never before it returned; cancel ends it early. The request is only read by start. */
struct check_fact;
struct check_fact_kind {
        bool (*start)(struct check_fact *f, const void *request, struct err *e); /* false: e is what it will be */
        void (*cancel)(struct check_fact *f); /* of one that was started and has not ended */
        void (*free_value)(void *value); /* NULL allowed */
        void *(*failed)(const struct err *err); /* the value if start failed; NULL result: memory */
};
const void *check_fact(
        struct check_context *c, const char *key, const struct check_fact_kind *kind, const void *request);
void check_fact_done(struct check_fact *f, void *value_own); /* value not NULL */
struct check_run *check_fact_run(struct check_fact *f);
void **check_fact_place(struct check_fact *f); /* for start's own object, for cancel */

struct loop *check_loop(struct check_run *r);
struct dns *check_net(struct check_run *r);
struct http *check_http_client(struct check_run *r);

/* ---- what is worked out once: also NULL while answers are missing ---- */

struct check_server {
        const char *name; /* of the name server */
        struct address address;
};
struct check_glue {
        const char *name;
        struct address address;
};
struct check_zone {
        const char *apex; /* "" is the root */
        const char *parent; /* the apex above; NULL: not known */
        struct texts parent_ns, child_ns; /* as the parent lists them; as the zone itself does (first good answer) */
        struct texts no_address; /* name servers that have none */
        struct check_glue *glue; /* of the parent's referral */
        size_t glue_count;
        struct check_server *server; /* every address of every name server, each once */
        size_t server_count;
        struct check_server *parent_server; /* who can be asked about the delegation */
        size_t parent_server_count;
        const char
                *denied_by; /* not NULL: no zone; the apex of the zone that says NXDOMAIN for the registrable domain */
        const char *error; /* not NULL: not found, and why; server_count is 0 */
        bool blocked; /* then: not the zone's fault; the DNS cannot be asked from here */
};
/* The zone that holds name, found from the top at authoritative servers (the resolvers are asked for the registrable
 * domain's parents and for name servers' addresses only). */
const struct check_zone *check_zone(struct check_context *c, const char *name);
/* STAGE_DNS, from a CHECK_NAME check: the zone checks (CHECK_ZONE) of this apex belong to c->name too. */
void check_needs_zone(struct check_context *c, const char *apex);
/* Where the token of c->name will be asked for, and where aliases lead from there. */
struct check_challenge {
        const char *owner; /* "_acme-challenge.example.com" */
        struct texts chain; /* owner first, final name last */
        const char *final; /* the last of the chain */
        const struct check_zone *zone; /* that holds final */
        const char *loops_at; /* not NULL: the chain loops there, or it is too long (long) */
        bool too_long;
        const char *missing; /* not NULL: this target does not exist or its zone is broken: why */
        const char *why;
};
const struct check_challenge *check_challenge(struct check_context *c);
/* "ns1.example.net (192.0.2.1)"; in a ring of static buffers: good for one message. */
const char *check_server_text(const struct check_server *s);

/* One line of the table of servers (-v): what s said. value: what it showed of the token, escaped; NULL: nothing. Lines
 * of the same zone and address become one. */
void check_show(struct check_context *c, const char *zone, const struct check_server *s, const struct check_answer *a,
        const char *value);

/* ---- a run ---- */

struct check_conf {
        struct loop *loop;
        struct dns *dns;
        struct http *http;
        const struct check_target *targets;
        size_t target_count;
        const struct check *const *const *checks; /* arrays of checks, ended by NULL */
        int64_t timeout_ms; /* of the whole run; 0 = 60 s */
};
struct check_finding {
        const struct check_id *id;
        const char *name; /* of the target it was found for; NULL: the target as a whole */
        const struct judgement *said; /* subject, message, fix, observed, wanted */
};
struct check_doubt {
        const char *id, *why;
};
struct check_row { /* one line of the table of servers */
        const char *zone, *name;
        struct address address;
        enum dns_transport transport;
        int rcode; /* -1: silent */
        bool aa, has_serial;
        uint32_t serial;
        int64_t rtt_us;
        struct texts values;
};
struct check_result { /* of one target */
        const struct check_target *target;
        struct check_finding *finding; /* gravest first, each once */
        size_t count;
        struct check_doubt *doubt; /* unverifiable, in the order of the catalogue */
        size_t doubt_count;
        struct check_row *row;
        size_t row_count;
        unsigned by_severity[4];
        bool judged; /* false: no server of any of its names could be judged: the verdict is "unverifiable" */
        bool incomplete; /* memory, or the time was over before everything was known */
};
/* done: once, from the loop; results are borrowed and live until check_run_free. */
typedef void check_done_fn(void *arg, const struct check_result *results, size_t count);
struct check_run *check_run_start(const struct check_conf *conf, check_done_fn *done, void *arg, struct err *e);
void check_run_free(struct check_run *r); /* NULL allowed; cancels what runs */
/* "would-validate", "would-fail" or "unverifiable". */
const char *check_verdict(const struct check_result *r);

#endif
