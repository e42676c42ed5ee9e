#include "agent/alerts/signature.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"

#define MAC_LEN 32
#define ED25519_KEY_LEN 32
#define ED25519_SIG_LEN 64
#define WEBHOOK_KEY_MIN 24 /* bytes; the specification's bounds */
#define WEBHOOK_KEY_MAX 64
#define WEBHOOK_ID_MAX 256
#define SIGNATURES_MAX 16 /* looked at in one header */
#define PLAIN_SECRET_MIN 8

static void pkey_free_p(EVP_PKEY **pkey)
{
        EVP_PKEY_free(*pkey);
}

static void md_ctx_free_p(EVP_MD_CTX **ctx)
{
        EVP_MD_CTX_free(*ctx);
}

static void buf_done_p(struct buf *b)
{
        buf_done(b);
}

/* ---- secrets ---- */

/* Standard Webhooks: base64 after whsec_ (HMAC) or whpk_ (an Ed25519 public key). */
static bool webhook_key(const struct secret *s, struct secret *ret, bool *ret_public)
{
        const char *text = (const char *)s->data;
        uint8_t *key = NULL;
        size_t len = 0;
        bool public = text_starts(text, "whpk_");
        if (public)
                text += strlen("whpk_");
        else if (text_starts(text, "whsec_"))
                text += strlen("whsec_");
        if (!base64_decode(text, strlen(text), &key, &len))
                return false;
        bool good = public ? len == ED25519_KEY_LEN : len >= WEBHOOK_KEY_MIN && len <= WEBHOOK_KEY_MAX;
        good = good && secret_set(ret, key, len, NULL);
        wipe(key, len);
        free(key);
        *ret_public = public;
        return good;
}

bool signature_secret_check(enum alert_format f, const struct secret *s, struct err *e)
{
        struct secret key = { 0 };
        bool public, good;
        if (f == ALERT_STANDARD_WEBHOOKS) {
                good = s->len > 0 && webhook_key(s, &key, &public);
                secret_done(&key);
                return good ||
                        err_set(e, ERR_CONFIG, "alert.secret",
                                "not a Standard Webhooks secret: whsec_ and the base64 of 24 to 64 bytes, or whpk_ and "
                                "the base64 of an Ed25519 public key");
        }
        if (s->len >= PLAIN_SECRET_MIN)
                return true;
        err_set(e, ERR_CONFIG, "alert.secret", "the secret has only %zu bytes: who guesses it can report keys", s->len);
        return err_fix(e, "make one with: openssl rand -hex 32");
}

/* ---- checks ---- */

static const char *one_header(const struct signed_request *r, const char *name)
{
        unsigned count = 0;
        const char *value = r->header(r->arg, name, &count);
        return count == 1 ? value : NULL;
}

static bool hmac(const void *key, size_t key_len, const void *data, size_t len, uint8_t ret[MAC_LEN])
{
        unsigned n = 0;
        return key_len > 0 && HMAC(EVP_sha256(), key, (int)key_len, data, len, ret, &n) && n == MAC_LEN;
}

/* 64 digits, either case: what is compared is the value. */
static bool hex_mac(const char *text, const char *prefix, uint8_t ret[MAC_LEN])
{
        size_t len = 0;
        if (!text || !text_starts(text, prefix))
                return false;
        text += strlen(prefix);
        return hex_decode(text, strlen(text), ret, MAC_LEN, &len) && len == MAC_LEN;
}

static bool is_near(const char *text, const struct signed_request *r, int64_t slack_s)
{
        int64_t t;
        return text && parse_i64(text, 0, INT64_C(999999999999), &t) &&
                (r->any_time || (t - r->now_s <= slack_s && r->now_s - t <= slack_s));
}

static bool ed25519_is_good(const struct secret *key, const struct buf *signed_text, const uint8_t *sig)
{
        CLEANUP(pkey_free_p)
        EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key->data, key->len);
        CLEANUP(md_ctx_free_p) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        return pkey && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
                EVP_DigestVerify(
                        ctx, sig, ED25519_SIG_LEN, (const unsigned char *)signed_text->data, signed_text->len) == 1;
}

/* One entry of the list: "v1,..." or "v1a,..."; other versions are skipped. */
static bool webhook_entry_is_good(
        const char *entry, size_t len, const struct secret *key, bool public, const struct buf *signed_text)
{
        const char *version = public ? "v1a," : "v1,";
        size_t skip = strlen(version), sig_len = 0;
        CLEANUP(free_p) uint8_t *sig = NULL;
        uint8_t mac[MAC_LEN];
        if (len <= skip || memcmp(entry, version, skip) != 0 ||
                !base64_decode(entry + skip, len - skip, &sig, &sig_len))
                return false;
        if (public)
                return sig_len == ED25519_SIG_LEN && ed25519_is_good(key, signed_text, sig);
        return sig_len == MAC_LEN && hmac(key->data, key->len, signed_text->data, signed_text->len, mac) &&
                CRYPTO_memcmp(mac, sig, MAC_LEN) == 0;
}

static bool webhook_is_good(const struct secret *s, const struct signed_request *r)
{
        const char *id = one_header(r, "webhook-id"), *time = one_header(r, "webhook-timestamp");
        const char *at = one_header(r, "webhook-signature");
        CLEANUP(buf_done_p) struct buf text = { .max = r->body_len + 2 * WEBHOOK_ID_MAX };
        CLEANUP(secret_done) struct secret key = { 0 };
        bool public, good = false;
        /* A dot in the id would let the fields move against each other. */
        if (!id || !at || !id[0] || strlen(id) > WEBHOOK_ID_MAX || strchr(id, '.') ||
                !is_near(time, r, SIGNATURE_SLACK_S) || !webhook_key(s, &key, &public))
                return false;
        buf_addf(&text, "%s.%s.", id, time);
        if (!buf_append(&text, r->body, r->body_len))
                return false;
        for (unsigned n = 0; *at && !good && n < SIGNATURES_MAX; n++) {
                size_t len = strcspn(at, " ");
                good = webhook_entry_is_good(at, len, &key, public, &text);
                at += len + strspn(at + len, " ");
        }
        return good;
}

static bool gitguardian_is_good(const struct secret *s, const struct signed_request *r)
{
        const char *time = one_header(r, "Timestamp");
        uint8_t want[MAC_LEN], mac[MAC_LEN];
        CLEANUP(buf_done_p) struct buf key = { .secret = true };
        if (!is_near(time, r, GITGUARDIAN_SLACK_S) || !hex_mac(one_header(r, "Gitguardian-Signature"), "sha256=", want))
                return false;
        buf_add(&key, time);
        return buf_append(&key, s->data, s->len) && hmac(key.data, key.len, r->body, r->body_len, mac) &&
                CRYPTO_memcmp(mac, want, MAC_LEN) == 0;
}

static bool body_mac_is_good(
        const struct secret *s, const struct signed_request *r, const char *header, const char *prefix)
{
        uint8_t want[MAC_LEN], mac[MAC_LEN];
        return hex_mac(one_header(r, header), prefix, want) && hmac(s->data, s->len, r->body, r->body_len, mac) &&
                CRYPTO_memcmp(mac, want, MAC_LEN) == 0;
}

/* Hashes are compared, so that nothing tells how long the secret is. */
static bool bearer_is_good(const struct secret *s, const struct signed_request *r)
{
        const char *value = one_header(r, "Authorization");
        uint8_t a[32], b[32];
        if (!value || strlen(value) < 8 || strncasecmp(value, "Bearer ", 7) != 0)
                return false;
        sha256(value + 7, strlen(value + 7), a);
        sha256(s->data, s->len, b);
        return CRYPTO_memcmp(a, b, sizeof a) == 0;
}

static bool one_is_good(enum alert_format f, const char *header, const struct secret *s, const struct signed_request *r)
{
        if (s->len == 0)
                return false;
        if (!header)
                header = GENERIC_HEADER;
        switch (f) {
        case ALERT_STANDARD_WEBHOOKS:
                return webhook_is_good(s, r);
        case ALERT_GITHUB:
                return body_mac_is_good(s, r, "X-Hub-Signature-256", "sha256=");
        case ALERT_GITGUARDIAN:
                return gitguardian_is_good(s, r);
        case ALERT_ALERTMANAGER:
                return bearer_is_good(s, r);
        case ALERT_GENERIC:
                return body_mac_is_good(s, r, header, "") || body_mac_is_good(s, r, header, "sha256=");
        default:
                return false;
        }
}

bool signature_is_good(enum alert_format f, const char *header, const struct secret *secrets, size_t count,
        const struct signed_request *r)
{
        bool good = false;
        for (size_t i = 0; i < count; i++)
                good |= one_is_good(f, header, &secrets[i], r);
        return good;
}

/* ---- making them ---- */

static bool add(struct texts *ret, char *line)
{
        if (line && texts_add_own(ret, line))
                return true;
        free(line);
        return false;
}

static bool make_webhook(const struct secret *s, const struct signature_test *t, const char *body, size_t len,
        struct texts *ret, struct err *e)
{
        CLEANUP(secret_done) struct secret key = { 0 };
        CLEANUP(buf_done_p) struct buf text = { 0 };
        uint8_t mac[MAC_LEN];
        bool public = false;
        if (!webhook_key(s, &key, &public) || public)
                return err_set(e, ERR_CONFIG, "alert.secret",
                        public ? "only the sender can sign for an Ed25519 key: whpk_ is its public half"
                               : "not a Standard Webhooks secret");
        buf_addf(&text, "%s.%lld.", t->id, (long long)t->now_s);
        if (!buf_append(&text, body, len) || !hmac(key.data, key.len, text.data, text.len, mac))
                return err_memory(e);
        CLEANUP(free_p) char *sig = base64_encode(mac, MAC_LEN);
        return (sig && add(ret, text_format("webhook-id: %s", t->id)) &&
                       add(ret, text_format("webhook-timestamp: %lld", (long long)t->now_s)) &&
                       add(ret, text_format("webhook-signature: v1,%s", sig))) ||
                err_memory(e);
}

static bool make_body_mac(const void *key, size_t key_len, const char *name, const char *prefix, const char *body,
        size_t len, struct texts *ret)
{
        uint8_t mac[MAC_LEN];
        char hex[2 * MAC_LEN + 1];
        if (!hmac(key, key_len, body, len, mac))
                return false;
        hex_encode(hex, mac, MAC_LEN);
        return add(ret, text_format("%s: %s%s", name, prefix, hex));
}

bool signature_make(enum alert_format f, const struct secret *s, const struct signature_test *t, const char *body,
        size_t len, struct texts *ret, struct err *e)
{
        CLEANUP(buf_done_p) struct buf key = { .secret = true };
        bool good = false;
        switch (f) {
        case ALERT_STANDARD_WEBHOOKS:
                return make_webhook(s, t, body, len, ret, e);
        case ALERT_GITHUB:
                good = make_body_mac(s->data, s->len, "X-Hub-Signature-256", "sha256=", body, len, ret) &&
                        add(ret, text_format("X-GitHub-Event: %s", t->event)) &&
                        add(ret, text_format("X-GitHub-Delivery: %s", t->id));
                break;
        case ALERT_GITGUARDIAN:
                buf_addf(&key, "%lld", (long long)t->now_s);
                good = add(ret, text_format("Timestamp: %s", key.data ? key.data : "")) &&
                        buf_append(&key, s->data, s->len) &&
                        make_body_mac(key.data, key.len, "Gitguardian-Signature", "sha256=", body, len, ret);
                break;
        case ALERT_ALERTMANAGER:
                good = add(ret, text_format("Authorization: Bearer %s", (const char *)s->data));
                break;
        default:
                good = make_body_mac(s->data, s->len, t->header ? t->header : GENERIC_HEADER, "", body, len, ret);
        }
        return good || err_memory(e);
}
