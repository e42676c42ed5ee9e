#include "agent/net/tc3.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>
#include <time.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"

#define ALGORITHM "TC3-HMAC-SHA256"
#define SIGNED_HEADERS "content-type;host"
#define TERMINATOR "tc3_request"

bool tc3_date(int64_t timestamp_s, char ret[11])
{
        const int64_t end_of_9999 = 253402300799;
        struct tm tm;
        time_t t = (time_t)timestamp_s;

        if (timestamp_s < 0 || timestamp_s > end_of_9999 || !gmtime_r(&t, &tm))
                return false;
        return strftime(ret, 11, "%Y-%m-%d", &tm) == 10;
}

bool tc3_canonical(const struct tc3_request *r, struct buf *ret)
{
        char body_hash[65];

        sha256_hex(r->body, r->body_len, body_hash);
        return buf_addf(ret, "POST\n/\n\ncontent-type:%s\nhost:%s\n\n" SIGNED_HEADERS "\n%s", r->content_type, r->host,
                body_hash);
}

bool tc3_string_to_sign(const struct tc3_request *r, struct buf *ret)
{
        CLEANUP(buf_done) struct buf canonical = { 0 };
        char date[11], hash[65];

        if (!tc3_date(r->timestamp_s, date) || !tc3_canonical(r, &canonical))
                return false;
        sha256_hex(canonical.data, canonical.len, hash);
        return buf_addf(
                ret, ALGORITHM "\n%lld\n%s/%s/" TERMINATOR "\n%s", (long long)r->timestamp_s, date, r->service, hash);
}

static bool hmac(const void *key, size_t key_len, const char *text, uint8_t ret[32])
{
        unsigned len = 32;

        return HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text, strlen(text), ret, &len) && len == 32;
}

bool tc3_derive(const struct secret *secret_key, const char *date, const char *service, uint8_t ret[3][32])
{
        struct buf first = { .secret = true };
        bool ok = buf_add(&first, "TC3") && buf_append(&first, secret_key->data, secret_key->len) &&
                hmac(first.data, first.len, date, ret[0]) && hmac(ret[0], 32, service, ret[1]) &&
                hmac(ret[1], 32, TERMINATOR, ret[2]);

        buf_done(&first);
        return ok;
}

/* The id becomes part of a header line: one that could end the line or the field is refused, not sent. */
static bool id_is_safe(const struct secret *id)
{
        if (!id->data || id->len == 0 || id->len > 256)
                return false;
        for (size_t i = 0; i < id->len; i++)
                if (id->data[i] <= ' ' || id->data[i] >= 0x7f || id->data[i] == ',' || id->data[i] == '/')
                        return false;
        return true;
}

bool tc3_authorization(const struct tc3_request *r, char **ret, struct err *e)
{
        CLEANUP(buf_done) struct buf to_sign = { 0 };
        CLEANUP(buf_done) struct buf value = { 0 };
        uint8_t key[3][32], mac[32];
        char date[11], hex[65];

        if (!id_is_safe(r->secret_id))
                return err_set(e, ERR_CONFIG, "tc3.secret-id",
                        "the secret id is not one: it is empty, too long, or has blanks, control bytes, commas or "
                        "slashes");
        if (!r->secret_key->data || r->secret_key->len == 0 || r->secret_key->len > 4096)
                return err_set(e, ERR_CONFIG, "tc3.secret-key", "the secret key is empty or longer than 4096 bytes");
        if (!tc3_date(r->timestamp_s, date))
                return err_set(e, ERR_CONFIG, "tc3.clock", "this host's clock is outside the years 1970 to 9999");
        bool ok = tc3_string_to_sign(r, &to_sign) && tc3_derive(r->secret_key, date, r->service, key) &&
                hmac(key[2], 32, to_sign.data, mac);
        wipe(key, sizeof key);
        if (!ok)
                return err_memory(e);
        hex_encode(hex, mac, sizeof mac);
        buf_addf(&value,
                ALGORITHM " Credential=%s/%s/%s/" TERMINATOR ", SignedHeaders=" SIGNED_HEADERS ", Signature=%s",
                (const char *)r->secret_id->data, date, r->service, hex);
        char *text = buf_steal(&value);
        if (!text)
                return err_memory(e);
        *ret = text;
        return true;
}
