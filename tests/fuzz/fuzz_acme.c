/* What an ACME server says: documents, problems, links, nonces, times; what is signed of it; records of dns-persist-01.
 * The first byte chooses. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/secret.h"
#include "agent/ca/acme/acme.h"
#include "agent/ca/acme/link.h"
#include "agent/ca/acme/problem.h"
#include "agent/pki/chain.h"
#include "agent/pki/jws.h"
#include "validators/persist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool what)
{
        if (!what)
                abort();
}

static void read_directory(const json_t *o)
{
        struct acme_directory d;
        struct err e;
        if (!acme_directory_read(o, &d, &e))
                return;
        char *origin = acme_origin(d.new_order);
        require(origin && texts_has(&d.hosts, origin));
        free(origin);
        acme_directory_done(&d);
}

static void read_authz(const json_t *o)
{
        struct acme_authz a;
        struct err e;
        char types[100];
        if (!acme_authz_read(o, &a, &e))
                return;
        for (size_t i = 0; i < a.count; i++)
                require(!a.challenge[i].token || acme_token_is_good(a.challenge[i].token));
        const struct acme_note n = { .validation = VALIDATION_FILE };
        const struct acme_challenge *c = acme_note_challenge(&n, &a, &e);
        require(c == NULL || c->token);
        acme_challenge_types(&a, types, sizeof types);
        acme_authz_done(&a);
}

static void read_others(const json_t *o)
{
        struct acme_order r;
        struct ca_renewal w;
        struct err e;
        if (acme_order_read(o, &r, &e)) {
                require(r.authz.count > 0 && r.finalize);
                acme_order_done(&r);
        }
        if (acme_renewal_read(o, 5, &w, &e))
                require(w.start_s < w.end_s && w.look_again_s >= 60 && w.look_again_s <= 86400);
        require(!acme_problem(400, o, -1, "x", &e) && e.kind != ERR_NONE && !strchr(e.text, 0x1b));
        require(!acme_problem_inside(o, "name", &e));
}

static void read_text(const char *text, size_t size)
{
        struct texts t = { 0 };
        char *origin = acme_origin(text);
        require(!origin || !strchr(origin, '@'));
        free(origin);
        require(acme_link_read(text, "alternate", &t) && t.count <= 20);
        texts_done(&t);
        int64_t s;
        (void)parse_http_date(text, &s);
        if (parse_retry_after(text, 1800000000, &s))
                require(s >= 0);
        (void)chain_has_only_certificates(text, size);
        (void)chain_ends_below(text, size, "Root");
}

/* A nonce that passes stands in the signed header as it came. */
static void sign_nonce(const char *nonce)
{
        if (!acme_nonce_is_good(nonce))
                return;
        struct secret mac = { .data = (uint8_t *)(uintptr_t) "k", .len = 1 };
        struct err e;
        json_t *header = json_object(), *jws = NULL, *back = NULL;
        require(header && json_put_text(header, "nonce", nonce));
        char *text = json_text(header), *out = NULL;
        require(text && jws_mac("HS256", &mac, text, "{}", &out, &e) && json_read(out, strlen(out), 3, &jws, &e));
        uint8_t *plain = NULL;
        size_t len = 0;
        const char *protected_text = json_str(jws, "protected");
        require(base64url_decode(protected_text, strlen(protected_text), &plain, &len));
        char *copy = text_dup_n((char *)plain, len);
        require(copy && json_read(copy, len, 3, &back, &e) && strcmp(json_str(back, "nonce"), nonce) == 0);
        json_decref(header);
        json_decref(jws);
        json_decref(back);
        free(plain);
        free(copy);
        free(text);
        free(out);
}

static void read_record(const uint8_t *data, size_t size)
{
        const char *why = NULL;
        const struct proof p = { .type = PROOF_PERSIST,
                .path = (char *)(uintptr_t) "ca.example",
                .value = (char *)(uintptr_t) "ca.example; accounturi=https://ca/1; policy=wildcard" };
        bool fits = persist_fits(&p, data, size, 1800000000, &why);
        require(fits == (why == NULL));
        require(!fits || memmem(data, size, "https://ca/1", 12));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        json_t *o = NULL;
        if (size < 1 || size > 65536)
                return 0;
        char *text = text_dup_n((const char *)data + 1, size - 1);
        if (!text)
                return 0;
        if (data[0] == 'R') {
                read_record(data + 1, size - 1);
        } else if (data[0] == 'T') {
                sign_nonce(text);
                read_text(text, strlen(text));
        } else if (json_read(text, strlen(text), 16, &o, NULL)) {
                read_directory(o);
                read_authz(o);
                read_others(o);
                json_decref(o);
        }
        free(text);
        return 0;
}
