/* An ACME server that the test plays, and the client that is held against it: every request is checked, counted and
 * answered as `server` says. Include once, in the program of a test. */
#ifndef DCVD_TEST_ACME_SERVER_H
#define DCVD_TEST_ACME_SERVER_H

#include "test.h"

#pragma GCC diagnostic ignored "-Wunused-function" /* no test uses all of it */

#include "../fake_net.h"

#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/ca/acme/acme.h"
#include "agent/pki/csr.h"

#define URN "urn:ietf:params:acme:error:"
#define BASE "https://ca.example"
#define EXAMPLE_ID "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE" /* RFC 9773 section 4.1 */

extern const struct ca_ops ca_acme;

/* ---- the server ---- */

enum { LOSE_BEFORE = 1, LOSE_AFTER = 2, LOSE_TOO_LARGE = 3 };
static struct {
        const char *status; /* of the order */
        bool told, finalized_lost;
        unsigned refuse_nonces, nonce, nonces_seen;
        const char *lose; /* part of a URL */
        int lose_how;
        unsigned lose_times;
        const char *answer_url, *answer_body; /* instead of the usual answer */
        int answer_status;
        const char *answer_retry_after, *answer_location;
        const char *order_url, *link;
        unsigned new_orders, new_accounts, finalizes, challenges, orders_read, authz_read, updates;
        char *csr, *payload, *protected_text;
        bool key_was_there;
        char *authz_error;
        const char *wild_error; /* of the wildcard's, in its place */
        const char *refuse_revocation;
        unsigned refuse_revocations; /* so often; 0: once */
        unsigned revocations;
        bool renewal_info, refuse_replaces, rolled;
        bool no_nonces; /* only newNonce gives any */
        bool nonceless; /* nobody gives any, not even newNonce */
        const char *algorithms; /* newAccount is refused, and this JSON list said, where alg is not `takes` */
        const char *takes;
        bool refused; /* that happened */
        unsigned refusals;
        const char *other_account; /* a key that is only looked for belongs to it */
        bool existing; /* the account was made before: 200 */
        bool shuffled; /* authorizations in another order every time */
        bool first_valid; /* one of the two is valid already */
        const char *profiles; /* of the directory: a JSON object */
        const char *order_error; /* JSON */
        const char *elsewhere; /* origin of the endpoints, if not the directory's */
        const char *nonces_at; /* origin of newNonce alone */
        const char *identifier; /* JSON: of its first authorization, with what follows it */
        const char *garble_url, *garble; /* the answer is made, and this is sent in its place */
        unsigned garble_times; /* so often; 0: always */
        bool garble_bare; /* without its Location */
        const char *date; /* header of every answer */
        unsigned order_turn, asked_elsewhere, given_back;
        const char *refuse_profile; /* orders that name one, with this type */
        const char *echo_profile; /* what every order is said to have */
        bool moved; /* newNonce and newOrder are elsewhere: the old places are gone */
        unsigned directories;
        bool one_open; /* one of the two is pending still in an order that failed */
        const char *first_status; /* of one of the two, whatever the order's is */
        unsigned end_refuses; /* from which time on the account's page refuses, as one that is deactivated does; 0:
                                 never */
} server;

static char state[] = "/tmp/acme-test-XXXXXX";
static struct acme_conf conf;
static struct ca *ca;
static json_t *memory;
static bool told_before; /* what the job knows of the challenges */

static char *decoded(const json_t *o, const char *key)
{
        const char *text = json_str(o, key);
        uint8_t *data = NULL;
        size_t len = 0;

        assert_non_null(text);
        assert_true(base64url_decode(text, strlen(text), &data, &len));
        char *ret = text_dup_n((char *)data, len);
        free(data);
        return ret;
}

static json_t *json_of(const char *text)
{
        json_t *o = NULL;
        struct err e;

        if (!json_read(text, strlen(text), 8, &o, &e))
                fail_msg("%s", text);
        return o;
}

static char nonces[8][16];
static void give_nonce(struct fake_answer *ret)
{
        char *nonce = nonces[server.nonce % 8];

        snprintf(nonce, sizeof nonces[0], "n%u", ++server.nonce);
        ret->more[ret->more_count++] = (struct http_header){ "replay-nonce", nonce };
}

static void problem(struct fake_answer *ret, int status, const char *type)
{
        ret->status = status;
        ret->body = text_format("{\"type\": \"" URN "%s\", \"detail\": \"because\"}", type);
}

static void gone(struct fake_answer *ret)
{
        ret->status = 404;
        ret->body = text_dup("");
}

static char *order_text(void)
{
        bool turned = server.shuffled && server.order_turn++ % 2;

        return text_format("{\"status\": \"%s\", \"finalize\": \"" BASE "/finalize\", \"authorizations\": [\"" BASE
                           "/authz/%d\", \"" BASE "/authz/%d\"]%s%s%s%s%s%s}",
                server.status, turned ? 2 : 1, turned ? 1 : 2, server.order_error ? ", \"error\": " : "",
                server.order_error ? server.order_error : "", server.echo_profile ? ", \"profile\": \"" : "",
                server.echo_profile ? server.echo_profile : "", server.echo_profile ? "\"" : "",
                strcmp(server.status, "valid") == 0 ? ", \"certificate\": \"" BASE "/cert\"" : "");
}

static char *authz_text(const char *url)
{
        bool wild = url[strlen(url) - 1] == '2';

        return text_format("{\"status\": \"%s\", \"identifier\": %s%s, "
                           "\"challenges\": "
                           "[{\"type\": \"http-01\", \"status\": \"pending\", \"url\": \"" BASE
                           "/chall/h%s\", \"token\": \"tok-h%s\"}, {\"type\": \"dns-01\", \"status\": "
                           "\"pending\", \"url\": \"" BASE "/chall/%s\", \"token\": \"tok%s\"%s%s}]}",
                server.first_status && !wild                                                  ? server.first_status
                        : server.first_valid && !wild                                         ? "valid"
                        : strcmp(server.status, "pending") == 0 || (server.one_open && !wild) ? "pending"
                        : strcmp(server.status, "invalid") == 0                               ? "invalid"
                                                                                              : "valid",
                server.identifier && !wild ? server.identifier : "{\"type\": \"dns\", \"value\": \"example.com\"}",
                wild ? ", \"wildcard\": true" : "", wild ? "2" : "1", wild ? "2" : "1", wild ? "2" : "1",
                wild ? "2" : "1", server.authz_error ? ", \"error\": " : "",
                wild && server.wild_error    ? server.wild_error
                        : server.authz_error ? server.authz_error
                                             : "");
}

static void usual(const struct http_call *c, struct fake_answer *ret)
{
        const char *path = c->url + strlen(BASE);

        if (server.moved && text_starts(path, "/v2/"))
                path += strlen("/v2");
        else if (server.moved && strcmp(path, "/order") == 0)
                return gone(ret);
        if (strcmp(path, "/account") == 0) {
                CLEANUP(json_decref_p) json_t *p = json_of(server.payload), *head = json_of(server.protected_text);
                if (server.algorithms && strcmp(json_str(head, "alg"), server.takes) != 0) {
                        server.refused = true;
                        server.refusals++;
                        ret->status = 400;
                        ret->body = text_format(
                                "{\"type\": \"" URN "badSignatureAlgorithm\", \"algorithms\": %s}", server.algorithms);
                        return;
                }
                server.new_accounts++;
                bool there = server.rolled || server.existing;
                if (json_bool(p, "onlyReturnExisting", false) && !there)
                        return problem(ret, 400, "accountDoesNotExist");
                ret->status = there ? 200 : 201;
                ret->body = text_dup("{\"status\": \"valid\"}");
                bool other = server.other_account && json_bool(p, "onlyReturnExisting", false);
                ret->more[ret->more_count++] =
                        (struct http_header){ "location", other ? server.other_account : BASE "/acct/1" };
        } else if (strcmp(path, "/acct/1") == 0) {
                server.updates++;
                if (server.end_refuses && --server.end_refuses == 0) {
                        server.end_refuses = 1;
                        return problem(ret, 403, "unauthorized");
                }
                ret->body = text_dup("{\"status\": \"valid\"}");
        } else if (strcmp(path, "/order") == 0 && server.refuse_replaces && strstr(server.payload, "replaces")) {
                problem(ret, 409, "alreadyReplaced");
        } else if (strcmp(path, "/order") == 0 && server.refuse_profile && strstr(server.payload, "profile")) {
                problem(ret, 400, server.refuse_profile);
        } else if (strcmp(path, "/order") == 0) {
                server.new_orders++;
                ret->status = 201;
                ret->body = order_text();
                ret->more[ret->more_count++] = (struct http_header){ "location", server.order_url };
        } else if (strncmp(path, "/orders/", 8) == 0) {
                server.orders_read++;
                ret->body = order_text();
        } else if (strncmp(path, "/authz/", 7) == 0) {
                if (strcmp(server.payload, "{\"status\":\"deactivated\"}") == 0)
                        server.given_back++;
                else
                        server.authz_read++;
                ret->body = authz_text(path);
        } else if (strncmp(path, "/chall/", 7) == 0) {
                assert_string_equal(server.payload, "{}");
                server.challenges++;
                ret->body = text_dup("{\"status\": \"processing\"}");
        } else if (strcmp(path, "/finalize") == 0) {
                CLEANUP(json_decref_p) json_t *p = json_of(server.payload);
                if (strcmp(server.status, "ready") != 0)
                        return problem(ret, 403, "orderNotReady");
                server.finalizes++;
                free(server.csr);
                server.csr = text_dup(json_str(p, "csr"));
                server.status = "processing";
                ret->body = order_text();
        } else if (strcmp(path, "/rollover") == 0) {
                CLEANUP(json_decref_p) json_t *p = json_of(server.payload);
                CLEANUP(free_p) char *inner = decoded(p, "payload"), *head = decoded(p, "protected");
                assert_non_null(strstr(inner, "\"account\":\"" BASE "/acct/1\",\"oldKey\":{"));
                assert_non_null(strstr(head, "\"jwk\":{"));
                assert_non_null(strstr(head, "\"url\":\"" BASE "/rollover\""));
                assert_null(strstr(head, "nonce"));
                CLEANUP(free_p) char *fresh = text_format("%s/accounts/le/key-new.pem", state);
                assert_int_equal(access(fresh, F_OK), 0);
                server.rolled = true;
                ret->body = text_dup("{}");
        } else if (strcmp(path, "/revoke") == 0) {
                const char *type = server.refuse_revocation;
                if (server.refuse_revocations == 0 || --server.refuse_revocations == 0)
                        server.refuse_revocation = NULL;
                if (type)
                        return problem(ret, strcmp(type, "serverInternal") == 0 ? 500 : 403, type);
                server.revocations++;
                ret->body = text_dup("");
        } else if (strcmp(path, "/cert") == 0) {
                ret->body = text_dup("-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n");
        } else {
                fail_msg("nobody asked for %s", c->url);
        }
}

static void directory(struct fake_answer *ret)
{
        server.directories++;
        if (server.elsewhere) {
                ret->body = text_format("{\"newNonce\": \"%s/nonce\", \"newAccount\": \"%s/account\", \"newOrder\": "
                                        "\"%s/order\"}",
                        server.elsewhere, server.elsewhere, server.elsewhere);
                return;
        }
        ret->body = text_format("%s\"newNonce\": \"%s%s%s%s%s",
                server.renewal_info ? "{\"renewalInfo\": \"" BASE "/ri/\", " : "{",
                server.nonces_at ? server.nonces_at : BASE,
                server.moved ? "/v2/nonce\", \"newOrder\": \"" BASE "/v2/order\", "
                             : "/nonce\", \"newOrder\": \"" BASE "/order\", ",
                "\"newAccount\": \"" BASE "/account\", \"revokeCert\": \"" BASE "/revoke\", \"keyChange\": \"" BASE
                "/rollover\", \"meta\": {\"termsOfService\": \"" BASE "/terms\", \"profiles\": ",
                server.profiles ? server.profiles : "{}", "}}");
}

/* Every signed request: flattened, its own URL, a nonce given out once, jwk or kid as it must be. */
static void check_signed(const struct http_call *c)
{
        CLEANUP(json_decref_p) json_t *body = json_of(c->body);
        free(server.payload);
        free(server.protected_text);
        server.payload = decoded(body, "payload");
        server.protected_text = decoded(body, "protected");
        CLEANUP(json_decref_p) json_t *head = json_of(server.protected_text);
        struct stat st;

        assert_string_equal(c->type, "application/jose+json");
        assert_int_equal(json_object_size(body), 3);
        assert_string_equal(json_str(head, "url"), c->url);
        assert_int_equal(json_str(head, "nonce")[0], 'n');
        bool itself = strcmp(c->url, BASE "/revoke") == 0 && json_object_get(head, "jwk");
        bool account = strcmp(c->url, BASE "/account") == 0 || itself;
        assert_true(account == (json_object_get(head, "jwk") != NULL));
        assert_true(account == (json_object_get(head, "kid") == NULL));
        CLEANUP(free_p) char *key = text_format("%s/accounts/le/key.pem", state);
        if (itself) /* a certificate's own key needs no account */
                return;
        assert_int_equal(stat(key, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
}

static void answer_instead(struct fake_answer *ret)
{
        ret->status = server.answer_status;
        ret->body = text_dup(server.answer_body);
        ret->retry_after = server.answer_retry_after;
        if (server.link)
                ret->more[ret->more_count++] = (struct http_header){ "link", server.link };
        if (server.answer_location)
                ret->more[ret->more_count++] = (struct http_header){ "location", server.answer_location };
}

static void fake_reply(const struct http_call *c, struct fake_answer *ret)
{
        ret->date = server.date;
        if (text_ends(c->url, "/directory"))
                return server.answer_url && strstr(c->url, server.answer_url) ? answer_instead(ret) : directory(ret);
        if (strcmp(c->url, BASE "/ri/" EXAMPLE_ID) == 0) {
                ret->body = text_dup("{\"suggestedWindow\": {\"start\": \"2026-01-02T00:00:00Z\", \"end\": "
                                     "\"2026-01-03T00:00:00Z\"}}");
                return;
        }
        bool nonce = strcmp(c->url + strlen(c->url) - 6, "/nonce") == 0;
        if (nonce && server.moved && strcmp(c->url, BASE "/nonce") == 0)
                return gone(ret);
        if (nonce && server.answer_url && text_ends(c->url, server.answer_url))
                return answer_instead(ret);
        if (!server.nonceless && (nonce || !server.no_nonces))
                give_nonce(ret);
        if (nonce) {
                assert_string_equal(c->method, "HEAD");
                ret->body = text_dup("");
                return;
        }
        assert_string_equal(c->method, "POST");
        if (server.elsewhere && text_starts(c->url, server.elsewhere)) {
                server.asked_elsewhere++;
                return problem(ret, 409, "conflict");
        }
        check_signed(c);
        if (server.refuse_nonces > 0) {
                server.refuse_nonces--;
                return problem(ret, 400, "badNonce");
        }
        bool lose = server.lose && strstr(c->url, server.lose) && server.lose_times > 0;
        if (lose)
                server.lose_times--;
        if (lose && server.lose_how == LOSE_BEFORE) {
                ret->failed = ERR_UNKNOWN;
                return;
        }
        if (server.answer_url && strstr(c->url, server.answer_url))
                answer_instead(ret);
        else
                usual(c, ret);
        if (server.garble_url && strstr(c->url, server.garble_url)) {
                free(ret->body);
                ret->body = text_dup(server.garble);
                for (size_t i = 0; server.garble_bare && i < ret->more_count; i++)
                        if (strcmp(ret->more[i].name, "location") == 0)
                                ret->more[i--] = ret->more[--ret->more_count];
                if (server.garble_times > 0 && --server.garble_times == 0)
                        server.garble_url = NULL;
        }
        if (lose) {
                free(ret->body);
                ret->body = NULL;
                ret->failed = ERR_UNKNOWN;
                ret->failed_code = server.lose_how == LOSE_TOO_LARGE ? "http.size" : NULL;
        }
}

/* ---- the bed ---- */

static bool remember(void *arg, const char *name, const char *key, const char *value)
{
        (void)arg;
        (void)name;
        if (!value)
                (void)json_object_del(memory, key);
        return !value || json_put_text(memory, key, value);
}

static char *recall(void *arg, const char *name, const char *key)
{
        (void)arg;
        (void)name;
        return text_dup(json_str(memory, key));
}

static void open_ca(void)
{
        struct err e;
        const struct ca_env env = { .name = "le", .state_directory = state, .remember = remember, .recall = recall };

        assert_true(ca_acme.open(&ca, &env, &conf, &e));
}

static int begin(void **arg)
{
        (void)arg;
        fake_reset();
        memset(&server, 0, sizeof server);
        told_before = false;
        server.status = "pending";
        server.order_url = BASE "/orders/1";
        conf = (struct acme_conf){ .directory = (char *)BASE "/directory", .terms_agreed = true };
        memcpy(state + strlen(state) - 6, "XXXXXX", 6);
        assert_non_null(mkdtemp(state));
        memory = json_object();
        open_ca();
        return 0;
}

static int end(void **arg)
{
        struct err e;
        int fd = -1;

        (void)arg;
        ca_acme.close(ca);
        fake_run(NULL);
        json_decref(memory);
        free(server.csr);
        free(server.payload);
        free(server.protected_text);
        texts_done(&conf.contact);
        assert_true(dir_open("/tmp", false, 0, &fd, &e));
        assert_true(tree_remove_at(fd, state + 5, &e));
        close(fd);
        return 0;
}

static struct {
        bool done, good;
        struct err err;
        char id[CA_ID_MAX], text[2000];
        struct ca_view view;
        struct proof proof[4];
} said;

static void forget(void)
{
        for (size_t i = 0; i < ARRAY_LEN(said.proof); i++)
                proof_done(&said.proof[i]);
        memset(&said, 0, sizeof said);
}

static void told(const struct err *err)
{
        assert_false(said.done); /* once */
        said.done = true;
        said.good = err == NULL;
        if (err)
                said.err = *err;
}

static void on_subject(void *arg, const struct ca_subject *s, const struct err *err)
{
        (void)arg;
        told(err);
        snprintf(said.text, sizeof said.text, "%s", s && s->notes.count ? s->notes.item[0] : "");
}

static void on_id(void *arg, const char *id, const struct err *err)
{
        (void)arg;
        told(err);
        snprintf(said.id, sizeof said.id, "%s", id ? id : "");
}

static void on_view(void *arg, const struct ca_view *v, const struct err *err)
{
        (void)arg;
        told(err);
        if (!v)
                return;
        said.view = *v;
        for (size_t i = 0; i < v->proof_count && i < ARRAY_LEN(said.proof); i++)
                assert_true(proof_copy(&said.proof[i], &v->proof[i]));
        said.view.proof = said.proof;
}

static void on_done(void *arg, const struct err *err)
{
        (void)arg;
        told(err);
}

static void on_text(void *arg, const char *text, size_t len, const struct err *err)
{
        (void)arg;
        told(err);
        snprintf(said.text, sizeof said.text, "%.*s", (int)len, text);
}

static void wait_for(struct ca_call *call, const struct err *e)
{
        if (!call)
                fail_msg("%s", e->text);
        assert_false(said.done); /* never before it returned */
        fake_run(&said.done);
        assert_true(said.done);
}

static struct texts names;
static void inspect_as(bool dry)
{
        struct err e;
        const struct ca_subject_request r = { .names = &names, .validation = VALIDATION_DNS, .dry = dry };

        forget();
        wait_for(ca_acme.inspect(ca, &r, on_subject, NULL, &e), &e);
}

static void inspect(void)
{
        inspect_as(false);
}

static void order(void)
{
        struct err e;
        const struct ca_order_request r = { .names = &names, .validation = VALIDATION_DNS };

        forget();
        wait_for(ca_acme.order(ca, &r, on_id, NULL, &e), &e);
}

static void attach(enum conf_validation validation)
{
        struct err e;
        const struct ca_held h = {
                .order_id = BASE "/orders/1", .validation = validation, .names = &names, .told = told_before
        };

        assert_true(ca_acme.attach(ca, &h, &e));
}

static void view(void)
{
        struct err e;

        forget();
        attach(VALIDATION_DNS);
        wait_for(ca_acme.view(ca, BASE "/orders/1", on_view, NULL, &e), &e);
}

static void validate(void)
{
        struct err e;

        forget();
        wait_for(ca_acme.validate(ca, BASE "/orders/1", on_done, NULL, &e), &e);
}

static char *csr_pem;
static void finalize(void)
{
        struct err e;

        forget();
        wait_for(ca_acme.finalize(ca, BASE "/orders/1", csr_pem, on_done, NULL, &e), &e);
}

static void fetch(void)
{
        struct err e;

        forget();
        wait_for(ca_acme.fetch(ca, BASE "/orders/1", on_text, NULL, &e), &e);
}

static void must(void)
{
        if (!said.good)
                fail_msg("%s", said.err.text);
}

static int make_csr(void **arg)
{
        struct key *k = NULL;
        struct err e;
        (void)arg;
        assert_true(texts_add(&names, "example.com") && texts_add(&names, "*.example.com"));
        const struct csr_request r = { .names = &names };
        assert_true(key_generate(KEY_EC_P256, &k, &e) && csr_make(k, &r, &csr_pem, &e));
        key_free(k);
        return 0;
}

static int free_csr(void **arg)
{
        (void)arg;
        forget();
        texts_done(&names);
        free(csr_pem);
        clock_fake(-1, -1);
        return 0;
}

#endif
