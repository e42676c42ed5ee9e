/* The account: its key is in STATE/accounts/<ca>/key.pem, fsynced, before the first request that names it (I1);
 * account.json beside it holds its URL for the directory it belongs to. The same key always finds the same account
 * (RFC 8555 section 7.3.1), so that nothing but the key can be lost. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/ca/acme/acme.h"
#include "agent/ca/acme/problem.h"
#include "agent/pki/jws.h"

#define KEY_FILE "key.pem"
#define FRESH_FILE "key-new.pem"
#define FACTS_FILE "account.json"
#define FILE_MAX 65536

void acme_account_done(struct acme_account *a)
{
        key_free(a->key);
        key_free(a->fresh);
        free(a->jwk);
        free(a->thumbprint);
        free(a->url);
        texts_done(&a->contact);
        *a = (struct acme_account){ 0 };
}

static bool directory_open(const struct ca *ca, bool create, int *ret_fd, struct err *e)
{
        CLEANUP(close_p) int state = -1, accounts = -1;
        if (!name_is_safe(ca->name))
                return err_set(
                        e, ERR_CONFIG, "acme.name", "the name of CA \"%s\" cannot be that of a directory", ca->name);
        if (!dir_open(ca->state_directory, false, 0, &state, e) ||
                !dir_open_at(state, "accounts", create, 0700, &accounts, e) ||
                !dir_open_at(accounts, ca->name, create, 0700, ret_fd, e))
                return err_wrap(e, "accounts of %s", ca->name);
        /* Where a key is, they were synced before it was written. */
        if (!create || faccessat(*ret_fd, KEY_FILE, F_OK, 0) == 0 || (dir_sync(state, e) && dir_sync(accounts, e)))
                return true;
        close_p(ret_fd);
        return false;
}

bool acme_account_on_disk(const struct ca *ca)
{
        CLEANUP(close_p) int fd = -1;
        struct err e;
        return ca->account.key || (directory_open(ca, false, &fd, &e) && faccessat(fd, KEY_FILE, F_OK, 0) == 0);
}

/* ---- the key ---- */

/* Takes key; when it fails, key is gone. */
static bool key_put_own(int fd, const char *name, struct key *key, struct key **ret, struct err *e)
{
        struct secret pem = { 0 };
        bool good = key_write_pem(key, NULL, &pem, e) &&
                file_write_atomic_at(fd, name, 0600, (uid_t)-1, (gid_t)-1, pem.data, pem.len, e) && dir_sync(fd, e);
        secret_done(&pem);
        if (!good) {
                key_free(key);
                return false;
        }
        key_free(*ret);
        *ret = key;
        return true;
}

/* P-256 is made in less than a millisecond; what takes longer is made by account_key.c. */
static bool key_make(int fd, struct acme_account *a, struct err *e)
{
        struct key *key = NULL;
        a->ours = key_generate(KEY_EC_P256, &key, e) && key_put_own(fd, KEY_FILE, key, &a->key, e);
        return a->ours;
}

static bool is_absent(int fd, const char *name)
{
        return faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
}

static bool key_load(int fd, const char *name, struct key **ret, struct err *e)
{
        char *pem = NULL;
        size_t len = 0;
        if (!file_read_at(fd, name, FILE_MAX, &pem, &len, e))
                return false;
        bool good = key_read_pem(pem, len, NULL, ret, e);
        wipe(pem, len);
        free(pem);
        return good;
}

/* ---- the facts ---- */

static void facts_load(struct ca *ca, int fd)
{
        CLEANUP(free_p) char *text = NULL;
        CLEANUP(json_decref_p) json_t *o = NULL;
        size_t len = 0;
        if (!file_read_at(fd, FACTS_FILE, FILE_MAX, &text, &len, NULL) || !json_read(text, len, 4, &o, NULL))
                return; /* found again by the key */
        const char *directory = json_str(o, "directory"), *url = json_str(o, "url");
        const json_t *contact = json_object_get(o, "contact");
        CLEANUP(free_p) char *origin = url ? acme_origin(url) : NULL;
        if (!directory || !origin || strcmp(directory, ca->directory_url) != 0)
                return;
        ca->account.url = text_dup(url);
        for (size_t i = 0; i < json_array_size(contact); i++)
                (void)texts_add(&ca->account.contact, json_string_value(json_array_get(contact, i)));
}

static bool facts_save(struct ca *ca, struct err *e)
{
        CLEANUP(close_p) int fd = -1;
        CLEANUP(json_decref_p) json_t *o = json_object();
        bool good = o && json_put_text(o, "directory", ca->directory_url) && json_put_text(o, "url", ca->account.url) &&
                json_object_set_new(o, "contact", json_texts(&ca->account.contact)) == 0;
        CLEANUP(free_p) char *text = good ? json_text(o) : NULL;
        if (!text)
                return err_memory(e);
        return directory_open(ca, true, &fd, e) &&
                file_write_atomic_at(fd, FACTS_FILE, 0600, (uid_t)-1, (gid_t)-1, text, strlen(text), e);
}

static bool keys_load(int fd, struct acme_account *a, struct err *e)
{
        bool first = is_absent(fd, KEY_FILE);
        if (!(first ? key_make(fd, a, e) : key_load(fd, KEY_FILE, &a->key, e)))
                return false;
        return is_absent(fd, FRESH_FILE) || key_load(fd, FRESH_FILE, &a->fresh, e);
}

static bool names_make(struct acme_account *a, struct err *e)
{
        CLEANUP(free_p) char *jwk = NULL, *thumbprint = NULL;
        if (!jwk_public(a->key, &jwk, e) || !jwk_thumbprint(a->key, &thumbprint, e))
                return false;
        free(a->jwk);
        free(a->thumbprint);
        a->jwk = STEAL(jwk);
        a->thumbprint = STEAL(thumbprint);
        return true;
}

bool acme_account_load(struct ca *ca, struct err *e)
{
        CLEANUP(close_p) int fd = -1;
        struct acme_account *a = &ca->account;
        if (a->key)
                return true;
        bool opened = directory_open(ca, true, &fd, e);
        if (!opened || !keys_load(fd, a, e) || !names_make(a, e)) {
                acme_account_done(a);
                if (opened && strcmp(e->code, "key.format") == 0)
                        err_fix(e,
                                "put %s/accounts/%s back as it was; for a new account: sudo mv %s/accounts/%s{,.old}; "
                                "sudo systemctl restart dcvd",
                                ca->state_directory, ca->name, ca->state_directory, ca->name);
                return err_wrap(e, "the account key of %s", ca->name);
        }
        facts_load(ca, fd);
        return true;
}

/* Let's Encrypt: 100 names, 25 under its short profiles (its page on profiles). Of other CAs nothing is known. */
static unsigned names_max_of(const struct acme_conf *c)
{
        const char *const *few = (const char *const[]){ "tlsserver", "shortlived", NULL };
        if (!strstr(c->directory, ".letsencrypt.org/"))
                return 0;
        for (; *few; few++)
                if (c->profile && strcmp(c->profile, *few) == 0)
                        return 25;
        return 100;
}

/* The account's URL as it was stored, without its key: what a dry run holds against accounturi. */
void acme_about(const void *conf, const char *name, const char *state_directory, struct ca_about *ret)
{
        CLEANUP(close_p) int fd = -1;
        const struct acme_conf *c = conf;
        struct ca ca = { .conf = c, .name = (char *)(uintptr_t)name, .directory_url = c->directory };
        *ret = (struct ca_about){ .directory = c->directory,
                .url = c->directory,
                .ca_bundle = c->ca_bundle,
                .caa = &c->caa,
                .acme = true,
                .internal = c->internal,
                .challenge = c->challenges.count ? c->challenges.item[0] : NULL,
                .names_max = names_max_of(c) };
        ca.state_directory = (char *)(uintptr_t)state_directory;
        if (!state_directory || !directory_open(&ca, false, &fd, NULL))
                return;
        facts_load(&ca, fd);
        ret->account = STEAL(ca.account.url);
        if (ret->account && ret->challenge && strcmp(ret->challenge, "dns-account-01") == 0)
                ret->dns_label = acme_account_label(ret->account);
        acme_account_done(&ca.account);
}

/* ---- a key of another kind ---- */

void acme_account_note_algorithms(struct ca *ca, const json_t *problem, struct err *e)
{
        ca->account.takes = acme_problem_key_type(problem);
        if (ca->account.takes == KEY_NONE)
                err_fix(e, "dcvd signs with ES256, ES384 and RS256 alone");
        else /* a roll-over would be signed by the same key */
                err_fix(e, "move %s/accounts/%s away: the next order makes an account with a key of type %s",
                        ca->state_directory, ca->name, key_type_name(ca->account.takes));
}

enum key_type acme_account_other_key(const struct ca *ca, const struct err *err)
{
        const struct acme_account *a = &ca->account;
        bool other = strcmp(err->code, "acme.badSignatureAlgorithm") == 0 && a->ours && !a->url &&
                a->takes != key_type_of(a->key);
        return other ? a->takes : KEY_NONE;
}

bool acme_account_key_own(struct ca *ca, struct key *key, struct err *e)
{
        CLEANUP(close_p) int fd = -1;
        struct acme_account *a = &ca->account;
        if (!directory_open(ca, true, &fd, e)) {
                key_free(key);
                return false;
        }
        a->ours = false; /* once */
        return key_put_own(fd, KEY_FILE, key, &a->key, e) && names_make(a, e);
}

/* ---- roll-over ---- */

bool acme_account_fresh_own(struct ca *ca, struct key *key, struct err *e)
{
        CLEANUP(close_p) int fd = -1;
        if (directory_open(ca, true, &fd, e))
                return key_put_own(fd, FRESH_FILE, key, &ca->account.fresh, e);
        key_free(key);
        return false;
}

bool acme_account_fresh_adopt(struct ca *ca, struct err *e)
{
        CLEANUP(close_p) int fd = -1;
        struct acme_account *a = &ca->account;
        if (!directory_open(ca, false, &fd, e))
                return false;
        if (renameat(fd, FRESH_FILE, fd, KEY_FILE) < 0)
                return err_errno(e, errno, "acme.key", "putting the new account key of %s in place", ca->name);
        key_free(a->key);
        a->key = STEAL(a->fresh);
        return dir_sync(fd, e) && names_make(a, e);
}

void acme_account_fresh_drop(struct ca *ca)
{
        CLEANUP(close_p) int fd = -1;
        key_free(ca->account.fresh);
        ca->account.fresh = NULL;
        if (directory_open(ca, false, &fd, NULL) && unlinkat(fd, FRESH_FILE, 0) < 0)
                log_warning(ca->name, "the key of a roll-over that did not happen could not be removed");
}

/* Not one that answers for it by chance: then nothing that was issued could be found or revoked any more. An account
 * whose URL was lost with account.json has nothing else to go by. */
static bool is_this_account(const struct ca *ca, const char *url)
{
        return !ca->account.url || strcmp(ca->account.url, url) == 0;
}

bool acme_account_fresh_settle(
        struct ca *ca, const struct acme_answer *a, const struct err *err, bool *ret_adopted, struct err *e)
{
        if (err && strcmp(err->code, "acme.accountDoesNotExist") != 0) {
                *e = *err;
                return false;
        }
        if (!err && !a->location)
                return err_set(e, ERR_PROTOCOL, "acme.account", "%s does not say whose the new key is", ca->name);
        bool ours = !err && is_this_account(ca, a->location);
        if (ours && !acme_account_fresh_adopt(ca, e))
                return false;
        if (!err && !ours)
                log_warning(ca->name, "the new key is that of %s already; the account keeps its own", a->location);
        if (!ours)
                acme_account_fresh_drop(ca);
        *ret_adopted = ours;
        return true;
}

static bool find(struct ca_call *op, struct key *key, const char *what, acme_answer_fn *fn, struct err *e)
{
        const struct acme_ask ask = { .action = "account",
                .what = what,
                .url = op->ca->directory.new_account,
                .sign = ACME_JWK,
                .key = key,
                .payload = "{\"onlyReturnExisting\":true}",
                .repeat = true };
        return acme_ask(op, &ask, fn, NULL, e);
}

bool acme_account_fresh_ask(struct ca_call *op, acme_answer_fn *fn, struct err *e)
{
        return find(op, op->ca->account.fresh, "asking which account key is the right one", fn, e);
}

bool acme_account_find(struct ca_call *op, acme_answer_fn *fn, struct err *e)
{
        return find(op, NULL, "asking for the account by its key", fn, e);
}

void acme_account_forget(struct ca *ca)
{
        CLEANUP(close_p) int fd = -1;
        log_warning(
                ca->name, "the CA does not know account %s; its key stays", ca->account.url ? ca->account.url : "?");
        free(ca->account.url);
        ca->account.url = NULL;
        ca->account.forgotten = true;
        if (directory_open(ca, false, &fd, NULL))
                (void)unlinkat(fd, FACTS_FILE, 0); /* it is looked for again in either case */
}

/* ---- asking ---- */

static bool contact_is_current(const struct ca *ca)
{
        const struct texts *a = &ca->account.contact, *b = &ca->conf->contact;
        if (a->count != b->count)
                return false;
        for (size_t i = 0; i < a->count; i++)
                if (strcmp(a->item[i], b->item[i]) != 0)
                        return false;
        return true;
}

bool acme_account_is_known(const struct ca *ca)
{
        return ca->account.key && ca->account.url && !ca->account.fresh && contact_is_current(ca);
}

/* A secret as the CA's page shows it: base64url without padding, but padded and standard forms are pasted too. */
static bool mac_key(const struct ca *ca, struct secret *ret, struct err *e)
{
        struct secret text = { 0 };
        if (!secret_load(&ca->conf->eab.hmac_key, &text, e))
                return err_wrap(e, "cas.%s.eab.hmac_key", ca->name);
        for (size_t i = 0; i < text.len; i++)
                text.data[i] = text.data[i] == '+' ? '-' : text.data[i] == '/' ? '_' : text.data[i];
        while (text.len > 0 && (text.data[text.len - 1] == '=' || text.data[text.len - 1] == '\n'))
                text.len--;
        bool good = base64url_decode((char *)text.data, text.len, &ret->data, &ret->len) && ret->len > 0;
        secret_done(&text);
        if (good)
                return true;
        err_set(e, ERR_CONFIG, "acme.eab", "cas.%s.eab.hmac_key is not base64", ca->name);
        return err_fix(e, "store the HMAC key exactly as the CA shows it");
}

static bool binding(const struct ca *ca, json_t *payload, struct err *e)
{
        struct secret mac = { 0 };
        CLEANUP(free_p) char *text = NULL, *jws = NULL;
        CLEANUP(json_decref_p) json_t *header = json_object(), *o = NULL;
        const char *algorithm = acme_eab_algorithms[ca->conf->eab.algorithm];
        if (!header || !json_put_text(header, "alg", algorithm) || !json_put_text(header, "kid", ca->conf->eab.kid) ||
                !json_put_text(header, "url", ca->directory.new_account) || !(text = json_text(header)))
                return err_memory(e);
        bool good = mac_key(ca, &mac, e) && jws_mac(algorithm, &mac, text, ca->account.jwk, &jws, e);
        secret_done(&mac);
        return good && json_read(jws, strlen(jws), 3, &o, e) &&
                (json_object_set(payload, "externalAccountBinding", o) == 0 || err_memory(e));
}

static char *new_account_payload(const struct ca *ca, struct err *e)
{
        CLEANUP(json_decref_p) json_t *o = json_object();
        bool good = o != NULL;
        if (good && !ca->conf->terms_agreed) {
                good = json_put_bool(o, "onlyReturnExisting", true);
        } else if (good) {
                good = json_put_bool(o, "termsOfServiceAgreed", true) &&
                        (ca->conf->contact.count == 0 ||
                                json_object_set_new(o, "contact", json_texts(&ca->conf->contact)) == 0);
                if (good && ca->conf->eab.kid && !binding(ca, o, e))
                        return NULL;
        }
        char *text = good ? json_text(o) : NULL;
        if (!text)
                err_memory(e);
        return text;
}

static bool contact_ask(struct ca_call *op, acme_answer_fn *fn, struct err *e)
{
        CLEANUP(json_decref_p) json_t *o = json_object();
        bool good = o && json_object_set_new(o, "contact", json_texts(&op->ca->conf->contact)) == 0;
        CLEANUP(free_p) char *payload = good ? json_text(o) : NULL;
        if (!payload)
                return err_memory(e);
        const struct acme_ask ask = { .action = "account",
                .what = "changing the account's contact",
                .url = op->ca->account.url,
                .sign = ACME_KID,
                .payload = payload,
                .repeat = true };
        return acme_ask(op, &ask, fn, op, e);
}

bool acme_account_ask(struct ca_call *op, acme_answer_fn *fn, struct err *e)
{
        struct ca *ca = op->ca;
        if (!acme_account_load(ca, e))
                return false;
        if (ca->account.url && !contact_is_current(ca))
                return contact_ask(op, fn, e);
        CLEANUP(free_p) char *payload = new_account_payload(ca, e);
        if (!payload)
                return false;
        const struct acme_ask ask = { .action = "newAccount",
                .what = "newAccount",
                .url = ca->directory.new_account,
                .sign = ACME_JWK,
                .payload = payload,
                .repeat = true }; /* the same key gets the same account */
        return acme_ask(op, &ask, fn, op, e);
}

static bool not_agreed(const struct ca *ca, struct err *e)
{
        err_set(e, ERR_CONFIG, "acme.terms", "%s: there is no account yet, and its terms were not agreed to%s%s",
                ca->name, ca->directory.terms ? ": " : "", ca->directory.terms ? ca->directory.terms : "");
        return err_fix(e, "read %.200s, then set cas.%s.terms_agreed: true",
                ca->directory.terms ? ca->directory.terms : "the CA's terms", ca->name);
}

bool acme_account_read(struct ca_call *op, acme_answer_fn *fn, struct err *e)
{
        const struct acme_ask ask = { .action = "account",
                .what = "reading the account",
                .url = op->ca->account.url,
                .sign = ACME_KID,
                .payload = "",
                .repeat = true };
        return acme_ask(op, &ask, fn, NULL, e);
}

bool acme_account_check(const struct ca *ca, const struct acme_answer *a, struct err *e)
{
        const char *status = json_str(a->json, "status");
        if (!status || strcmp(status, "valid") == 0)
                return true;
        err_set(e, ERR_DENIED, "acme.account", "the account at %s is %s", ca->name, status);
        acme_account_fix(ca, true, e);
        return false;
}

/* The same key would find the same account. */
void acme_account_fix(const struct ca *ca, bool own, struct err *e)
{
        CLEANUP(free_p)
        char *first = own ? text_dup("an account that was deactivated stays so")
                          : text_format("the account may be deactivated: dcvctl account show %s", ca->name);
        err_fix(e, "%s; for a new one, by the next order: sudo mv %s/accounts/%s{,.old}; sudo systemctl restart dcvd",
                first ? first : "", ca->state_directory, ca->name);
}

static bool refused(struct ca *ca, const struct err *err, struct err *e)
{
        if (strcmp(err->code, "acme.accountDoesNotExist") == 0 && !ca->conf->terms_agreed)
                return not_agreed(ca, e);
        *e = *err;
        if (strcmp(err->code, "acme.unauthorized") == 0 && ca->conf->eab.kid && !strstr(err->text, "deactivated"))
                err_fix(e, "compare cas.%s.eab, its kid and its hmac_key, with what the CA shows for this account",
                        ca->name);
        else if (strcmp(err->code, "acme.unauthorized") == 0)
                acme_account_fix(ca, true, e);
        return false;
}

bool acme_account_take(struct ca *ca, const struct acme_answer *a, const struct err *err, struct err *e)
{
        if (err)
                return refused(ca, err, e);
        const char *url = a->location ? a->location : ca->account.url;
        if (!acme_account_check(ca, a, e))
                return false;
        if (!url || strlen(url) > ACME_URL_MAX)
                return err_set(e, ERR_PROTOCOL, "acme.account", "%s did not say where the account is", ca->name);
        if (!acme_url_allowed(ca, url, e))
                return false;
        bool created = a->status == 201, changed = ca->account.url != NULL;
        char *copy = text_dup(url);
        if (!copy)
                return err_memory(e);
        free(ca->account.url);
        ca->account.url = copy;
        if (created || changed) {
                texts_done(&ca->account.contact);
                if (!texts_copy(&ca->account.contact, &ca->conf->contact))
                        return err_memory(e);
        } else {
                const json_t *contact = json_object_get(a->json, "contact");
                texts_done(&ca->account.contact);
                for (size_t i = 0; i < json_array_size(contact); i++)
                        (void)texts_add(&ca->account.contact,
                                json_string_value(json_array_get(contact, i))
                                        ? json_string_value(json_array_get(contact, i))
                                        : "");
        }
        log_info(ca->name, "account %s%s", copy, created ? " was made" : changed ? ": contact changed" : " was found");
        return facts_save(ca, e);
}
