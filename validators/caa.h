/* CAA as public CAs read it: RFC 8659, RFC 8657, CA/B Forum TLS Baseline Requirements 3.2.2.8. Pure: the answers of
 * each level are handed in, from the name itself up to its top-level domain. */
#ifndef DCVD_VALIDATORS_CAA_H
#define DCVD_VALIDATORS_CAA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dns_message;
struct dns_rr;
struct judgements;

struct caa_record {
        uint8_t flags;
        char tag[256]; /* as received; a NUL in it is malformed */
        uint8_t *value; /* owned; NUL-terminated, may contain NULs */
        size_t len;
};
enum caa_state {
        CAA_NODATA, /* the zero value: the level has no records */
        CAA_NXDOMAIN,
        CAA_RECORDS,
        CAA_ALIAS, /* caa_level_read only: ask for alias next, the records are to be counted for this level */
        CAA_ERROR, /* SERVFAIL, REFUSED, a timeout: error says which, and from whom */
        CAA_TRUNCATED /* TC over UDP, and TCP gave nothing */
};
#define CAA_BY_RESOLVER "a resolver says" /* how an error begins that the authoritative servers do not share */
struct caa_level {
        char *name; /* owned; no final dot */
        char *alias; /* owned; what name is an alias of, at the end of its chain; NULL if it is none */
        enum caa_state state;
        char *error; /* owned; for CAA_ERROR */
        struct caa_record *record; /* owned */
        size_t count;
};
/* Rdata of one CAA record. False if malformed (too short, empty tag, tag past the end) or out of memory. */
bool caa_record_read(const uint8_t *rdata, size_t len, struct caa_record *ret);
void caa_record_done(struct caa_record *r);
/* One level from one answer to CAA?name. Follows the CNAMEs of the answer; if their last target's records are not in
 * it, the state is CAA_ALIAS: ask for ret->alias and read that answer with caa_level_alias. A record whose rdata cannot
 * be read makes the level an error, as at a CA's resolver. False only when out of memory. */
bool caa_level_read(const struct dns_message *m, const char *name, struct caa_level *ret);
/* Takes the answer to CAA?level->alias into the level (its name stays). */
bool caa_level_alias(struct caa_level *level, const struct dns_message *m);
bool caa_level_failed(struct caa_level *level, const char *name, const char *error); /* no answer at all */
void caa_level_done(struct caa_level *level);

/* What is asked for. issuers: the CA's identifying domains, any one suffices. */
struct caa_question {
        const char *name; /* with its "*." if it is a wildcard */
        const char *ca; /* what people call the CA */
        const char *const *issuers; /* NULL-terminated, lower case */
        const char *account; /* ACME account URL; NULL: not known, accounturi is then unverifiable */
        const char *method; /* "dns-01", "http-01", "tls-alpn-01", "ca-..."; NULL: not known */
};
enum caa_verdict { CAA_ALLOWED, CAA_REFUSED, CAA_UNDECIDED /* hangs on an account or method not known yet */ };
struct caa_result {
        enum caa_verdict verdict;
        const char *id; /* why it is refused, "C02"; NULL if allowed; static */
        int level; /* index of the level that decided; -1: no level has records, or none failed */
        int record; /* index of the record that permits, or that refuses by itself; -1: none */
};
/* Levels in climbing order: the name (without "*."), its parents, the top-level domain last. Judges C01-C11 and C13. */
struct caa_result caa_judge(
        const struct caa_question *q, const struct caa_level *levels, size_t count, struct judgements *out);

/* C12: the same level as several servers gave it. The server's text names it ("ns1.example.net (192.0.2.1)"). */
struct caa_view {
        const char *server;
        const struct caa_level *level;
};
void caa_judge_views(const struct caa_view *views, size_t count, struct judgements *out);
/* C14: an order that is finalised so long after its validation. */
void caa_judge_age(const char *name, int64_t seconds_since_validation, struct judgements *out);

/* The identifying domains of CAs that are known without asking; overridden by the configuration (`caa:`) and by what an
 * ACME directory says of itself (caaIdentities, RFC 8555 section 7.1.1). */
struct caa_identity {
        const char *ca; /* for people, "Let's Encrypt" */
        const char *domains[6]; /* NULL-terminated */
        const char *host; /* end of the host name of its ACME directory or API; NULL: none */
        const char *source; /* where the CA says so */
};
extern const struct caa_identity caa_identities[];
extern const size_t caa_identity_count;
const struct caa_identity *caa_identity_of_host(const char *host); /* of an ACME directory; NULL if not known */
const struct caa_identity *caa_identity_of_domain(const char *domain); /* of an identifying domain */
/* The record to add, as a zone file has it; allocated, NULL when out of memory. */
char *caa_record_line(const struct caa_question *q, const char *owner);

#endif
