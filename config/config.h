/* The configuration as plain structs. Built whole, checked whole, then swapped (SIGHUP: whole or not at all). Nothing
 * here resolves a secret's value except `env` ones; those are taken at start. */
#ifndef DCVD_CONFIG_CONFIG_H
#define DCVD_CONFIG_CONFIG_H

#include "agent/base/buf.h"
#include "agent/base/log.h"
#include "agent/base/secret.h"
#include "agent/net/tls_look.h"
#include "agent/pki/key.h"
#include "config/schema.h"

#define CONF_DEFAULT_PATH "/etc/dcvd/dcvd.yaml"
#define CONF_FILE_MAX (256 * 1024)
#define CONF_CERTS_MAX 20000
#define CONF_BACKENDS_MAX 1000
#define CONF_NOTIFY_MAX 64
#define CONF_WEBHOOKS_MAX 64

/* conf_kind.can of cas */
enum {
        CONF_CA_ISSUES = 1,
        CONF_CA_RENEWS = 2,
        CONF_CA_REISSUES = 4,
        CONF_CA_DNS_AUTO = 8,
        CONF_CA_NEEDS_CERTIFICATE_ID = 16,
        CONF_CA_TLS_ALPN = 32
};
enum conf_validation { VALIDATION_UNSET, VALIDATION_DNS, VALIDATION_FILE, VALIDATION_TLS_ALPN, VALIDATION_DNS_AUTO };
const char *conf_validation_name(enum conf_validation v); /* "dns" */
enum conf_rehearse { REHEARSE_AUTO, REHEARSE_ALWAYS, REHEARSE_NEVER };
enum conf_reuse { REUSE_NEVER, REUSE_WHEN_NOT_COMPROMISED };
enum conf_view { VIEW_AUTHORITATIVE, VIEW_RESOLVERS, VIEW_PUBLISHER };
enum conf_form { FORM_CERT, FORM_CHAIN, FORM_FULLCHAIN, FORM_KEY, FORM_COMBINED, FORM_DER, FORM_PKCS12 };
enum conf_domain_alert { DOMAIN_ALERT_NOTIFY, DOMAIN_ALERT_REISSUE, DOMAIN_ALERT_IGNORE };
enum conf_confirm { CONFIRM_AUTO, CONFIRM_ASK, CONFIRM_NEVER };

struct arena;
struct conf_seen { /* how files or directories looked just before they were read */
        struct texts path;
        struct buf look;
        bool settled; /* none was so young that a later change need not show */
};
struct conf_stamp {
        struct conf_seen files, places; /* the first file is that of the command line; places: where patterns list */
        struct texts patterns; /* of `include` */
};
struct conf_backend { /* a CA or a publisher */
        char *name;
        const struct conf_kind *kind;
        void *parsed; /* the backend's own struct; NULL in a failed load only */
        const char *file;
        int line;
};
struct conf_publisher_map {
        char *otherwise; /* `default`, or the plain name; NULL if none was given */
        struct texts suffix, publisher; /* parallel */
};
struct conf_ca_use { /* one entry of `ca:`; unset members follow the certificate's */
        char *ca;
        enum conf_validation validation;
        struct conf_publisher_map publisher;
        enum key_type key_type; /* KEY_NONE: unset */
};
struct conf_propagation {
        int64_t timeout_ms, settle_ms;
        int64_t consecutive;
        int view; /* enum conf_view */
        struct texts ignore; /* addresses or server names */
        int64_t quorum; /* 0 = all, -1 = majority, else a number */
};
struct conf_verify {
        char *address; /* "127.0.0.1:443" */
        char *sni; /* NULL: every name */
        enum tls_protocol protocol;
};
struct conf_service {
        char *name;
        char *preset; /* NULL: none */
        struct texts test, reload; /* argument arrays, presets already filled in; count 0: none */
        char *signal_name; /* "HUP"; NULL: none */
        char *signal_pidfile;
        bool verify_auto;
        struct conf_verify *verify;
        size_t verify_count; /* 0 and not auto: not looked at */
};
struct conf_file {
        char *name;
        enum conf_form form;
};
struct conf_link {
        char *path;
        char *file; /* name in the target's directory */
};
struct conf_target {
        char *directory;
        char *owner, *group; /* names or numbers; "root" by default */
        unsigned mode; /* of files that hold a key; the others get the same plus read for all */
        struct conf_file *file;
        size_t file_count; /* default: fullchain.pem, privkey.pem, cert.pem, chain.pem */
        struct conf_link *link;
        size_t link_count;
        struct conf_service *service;
        size_t service_count;
};
struct conf_cert {
        char *name;
        struct texts names; /* as written, lower case */
        struct conf_ca_use *ca;
        size_t ca_count;
        int64_t fallback_after_ms;
        bool fallback_downgrade;
        char *certificate_id; /* NULL */
        enum conf_validation validation; /* resolved: never UNSET */
        struct conf_publisher_map publisher;
        int rehearse; /* enum conf_rehearse */
        enum key_type key_type; /* KEY_NONE: the CA's rule decides */
        int key_reuse; /* enum conf_reuse */
        char *key_csr; /* path; NULL */
        struct secret_ref key_passphrase;
        struct conf_propagation propagation;
        struct conf_target *target;
        size_t target_count;
        struct texts elsewhere;
        bool renew; /* renew: auto */
        bool staging; /* never configured: of the policy of a job that only tries */
        int compromise_reissue; /* enum conf_confirm */
        int compromise_revoke;
        int64_t compromise_deadline_ms;
        const char *file;
        int line;
};
/* What a person may be told of; a target's `on` has bit 1 << event. */
enum conf_event { EVENT_FAILED, EVENT_WAITING, EVENT_OPENED, EVENT_SERVED, EVENT_STUCK, EVENT_EXPIRING, EVENT_DONE };
const char *conf_event_name(enum conf_event event); /* "failed" */
bool conf_event_parse(const char *word, enum conf_event *ret);
struct conf_notify { /* one entry of `notify:`: a command, or a url with its secret */
        char *name;
        struct texts command; /* count 0: url */
        struct texts to; /* whom the command's mail is to; empty: root */
        char *url;
        struct secret_ref secret;
        struct texts on_words; /* as written; empty: all */
        unsigned on;
        int64_t repeat_ms; /* the longest pause between tries */
};
struct conf_notify_list {
        struct conf_notify *item;
        size_t count;
};
enum conf_alert_format {
        CONF_ALERT_STANDARD_WEBHOOKS,
        CONF_ALERT_GITHUB,
        CONF_ALERT_GITGUARDIAN,
        CONF_ALERT_ALERTMANAGER,
        CONF_ALERT_GENERIC
};
struct conf_webhook { /* one entry of alerts.webhooks */
        char *name;
        int format; /* enum conf_alert_format */
        struct secret_ref *secret; /* any may match */
        size_t secret_count;
        struct secret_ref token; /* github: fetches the leaked key */
        char *api; /* github: the only place the token is sent to */
        char *header; /* generic: where the signature stands */
        struct texts label_ours, label_theirs; /* alertmanager: parallel */
};
struct conf_webhook_list {
        struct conf_webhook *item;
        size_t count;
};
struct conf_detectors { /* how often; 0: off */
        int64_t revocation_ms, served_ms, key_files_ms, exposed_ms, keys_ms, pwnedkeys_ms;
        struct texts blocklists; /* paths */
};
struct conf {
        char *path; /* of the main file */
        struct conf_stamp stamp; /* of the files it was read from */
        char *state_directory, *runtime_directory;
        int log_level, log_format; /* base/log.h */
        struct texts resolvers; /* empty: /etc/resolv.conf */
        struct texts tokens_listen, tokens_tls_listen, admin_listen;
        bool admin_public;
        int on_domain_alert; /* enum conf_domain_alert */
        struct { /* `alerts`, but for its detectors */
                struct texts listen;
                bool proofs;
                struct texts trusted_proxies; /* addresses and networks */
                struct conf_webhook_list webhooks;
        } intake;
        struct texts control_read, control_act; /* group names */
        char *proxy_url;
        struct texts proxy_except;
        int64_t limit_jobs, limit_automatic_per_hour, limit_per_certificate, limit_window_ms, limit_cooldown_ms;
        int64_t keep_sets, keep_keys_ms;
        struct conf_backend *ca;
        size_t ca_count;
        struct conf_backend *publisher;
        size_t publisher_count;
        struct conf_cert *cert; /* sorted by name */
        size_t cert_count;
        struct conf_notify_list notify;
        struct conf_detectors detectors;
        struct arena *arena; /* owns all above but the backends' parsed structs, secrets and notify */
};

/* Reads path and its includes, checks all of it. kinds: what this build has and knows of, ended by section NULL; it
 * outlives ret. On failure ret is untouched and every problem is in p. */
bool config_load(const char *path, const struct conf_kind *kinds, struct conf **ret, struct conf_problems *p);
/* The same from text (tests, fuzzing); no includes are followed. */
bool config_load_text(const char *name, const char *text, size_t len, const struct conf_kind *kinds, struct conf **ret,
        struct conf_problems *p);
/* What --print-config shows: valid YAML, every value with `# default` or `# FILE:LINE`, secrets as "***". Loads and
 * checks like config_load. */
bool config_print(const char *path, const struct conf_kind *kinds, struct buf *ret, struct conf_problems *p);
void config_free(struct conf *c);
/* Cheap (no file is read): false if a file it was read from, or the list of included ones, changed since, or if one had
 * changed so short before it was read (20 ms; 2 s where files are dated in whole seconds) that another change could
 * look the same, or if it did not come from files. */
bool config_unchanged(const struct conf *c);
/* After each load. A variable is overwritten in the environment when it is first taken: old, the configuration in force
 * (NULL at start), hands on what it already holds. Every one is taken; e is of the first that is not set. */
bool config_take_env_secrets(struct conf *c, const struct conf *old, struct err *e);

/* Root reads the credentials of a host without systemd's directory before it becomes another user, who could not. One
 * that is not there is no error yet. */
bool config_hold_credentials(struct conf *c, struct err *e);
/* After a reload: hands on what old holds of them, as systemd's copies would stay. */
bool config_keep_credentials(struct conf *c, const struct conf *old, struct err *e);

/* Reads every secret once that comes from one of these sources (bits 1 << SECRET_FILE ...), as the user who will need
 * it: a wrong owner or mode is an error now, not in the night. One that is not there yet is added to ret_absent (what,
 * and which file to create): it is read again at use. */
#define SECRETS_ALL (1u << SECRET_FILE | 1u << SECRET_CREDENTIAL | 1u << SECRET_ENV)
bool config_check_secrets(struct conf *c, unsigned sources, struct texts *ret_absent, struct err *e);
/* What that is made of: fn is told of each one that cannot be read now, and why; false with e ends it. */
typedef bool config_secret_fn(void *arg, const struct secret_ref *r, const struct err *why, struct err *e);
bool config_each_secret(struct conf *c, unsigned sources, config_secret_fn *fn, void *arg, struct err *e);

const struct conf_cert *config_cert(const struct conf *c, const char *name); /* NULL if absent */
/* SHA-256 of the canonical text of a target, in hex: a helper request names it. "": no memory. */
void target_hash(const struct conf_target *t, char ret[65]);
const struct conf_backend *config_ca(const struct conf *c, const char *name);
const struct conf_webhook *config_webhook(const struct conf *c, const char *name);
const struct conf_backend *config_publisher(const struct conf *c, const char *name);
const struct conf_notify *config_notify(const struct conf *c, const char *name);
/* The publisher for one name by longest suffix; NULL if the map names none. */
const char *conf_publisher_for(const struct conf_publisher_map *m, const char *name);
const char *config_cert_near(const struct conf *c, const char *name); /* for "did you mean"; NULL if none is near */
/* For the helper: each file of the configuration and every directory above it is owned by owner_uid (0 for root) or
 * root and not writable by group or others; ERR_CONFIG names the first that is not. */
bool config_check_owner(const char *path, unsigned owner_uid, struct err *e);
char *config_schema_json(const struct conf_kind *kinds); /* --print-schema; allocated */

#endif
