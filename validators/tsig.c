#include "validators/tsig.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/net/dns_message.h"

#define NAME_MAX_WIRE 255
#define HEADER 12
enum { TSIG_NOERROR = 0, TSIG_BADSIG = 16, TSIG_BADKEY = 17, TSIG_BADTIME = 18, TSIG_BADTRUNC = 22 };

static const struct {
        const char *name, *wire_name, *digest;
        size_t bytes;
} algorithms[] = {
        { "hmac-md5", "hmac-md5.sig-alg.reg.int", "MD5", 16 },
        { "hmac-sha1", "hmac-sha1", "SHA1", 20 },
        { "hmac-sha224", "hmac-sha224", "SHA2-224", 28 },
        { "hmac-sha256", "hmac-sha256", "SHA2-256", 32 },
        { "hmac-sha384", "hmac-sha384", "SHA2-384", 48 },
        { "hmac-sha512", "hmac-sha512", "SHA2-512", 64 },
};
static int find(const char *name)
{
        for (size_t i = 0; i < ARRAY_LEN(algorithms); i++)
                if (text_equal_nocase(algorithms[i].name, name))
                        return (int)i;
        return -1;
}

bool tsig_algorithm_known(const char *algorithm)
{
        return find(algorithm) >= 0;
}

static bool mac(
        int algorithm, const struct secret *key, const struct buf *data, uint8_t ret[TSIG_MAC_MAX], struct err *e)
{
        size_t len = 0;
        OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(
                                        OSSL_MAC_PARAM_DIGEST, (char *)algorithms[algorithm].digest, 0),
                OSSL_PARAM_construct_end() };
        EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
        EVP_MAC_CTX *ctx = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
        bool good = ctx && !data->failed && EVP_MAC_init(ctx, key->data, key->len, params) == 1 &&
                EVP_MAC_update(ctx, (const unsigned char *)data->data, data->len) == 1 &&
                EVP_MAC_final(ctx, ret, &len, TSIG_MAC_MAX) == 1 && len == algorithms[algorithm].bytes;
        EVP_MAC_CTX_free(ctx);
        EVP_MAC_free(hmac);
        return good ||
                err_set(e, ERR_TEMPORARY, "tsig.mac", "HMAC with %s cannot be computed", algorithms[algorithm].digest);
}

static void put16(struct buf *b, unsigned v)
{
        const uint8_t bytes[] = { (uint8_t)(v >> 8), (uint8_t)v };
        buf_append(b, bytes, sizeof bytes);
}

static void put32(struct buf *b, uint32_t v)
{
        put16(b, v >> 16);
        put16(b, v & 0xffff);
}

static void put48(struct buf *b, uint64_t v)
{
        put16(b, (unsigned)(v >> 32) & 0xffff);
        put32(b, (uint32_t)v);
}

static bool put_name(struct buf *b, const char *name)
{
        uint8_t wire[NAME_MAX_WIRE];
        size_t n = dns_name_wire(name, true, wire, sizeof wire);
        return n > 0 && buf_append(b, wire, n);
}

/* The variables of RFC 8945 section 4.3.3: lower case, uncompressed. */
static bool put_variables(struct buf *b, const struct tsig_key *key, int algorithm, uint64_t time_s, unsigned fudge,
        unsigned error, const uint8_t *other, unsigned other_len)
{
        if (!put_name(b, key->name))
                return false;
        put16(b, DNS_CLASS_ANY);
        put32(b, 0);
        put_name(b, algorithms[algorithm].wire_name);
        put48(b, time_s);
        put16(b, fudge);
        put16(b, error);
        put16(b, other_len);
        return buf_append(b, other, other_len);
}

static bool check_key(const struct tsig_key *key, int *ret_algorithm, struct err *e)
{
        *ret_algorithm = find(key->algorithm);
        if (*ret_algorithm < 0)
                return err_set(e, ERR_CONFIG, "tsig.algorithm", "TSIG algorithm %s is unknown", key->algorithm);
        if (!key->secret->data || key->secret->len == 0)
                return err_set(e, ERR_CONFIG, "tsig.secret", "the secret of TSIG key %s is empty", key->name);
        return true;
}

bool tsig_sign(uint8_t **packet, size_t *len, const struct tsig_key *key, int64_t now_s, uint8_t ret_mac[TSIG_MAC_MAX],
        size_t *ret_mac_len, struct err *e)
{
        int a = -1;
        struct buf digest = { 0 }, out = { .max = DNS_MESSAGE_MAX }, rdata = { 0 };
        if (!check_key(key, &a, e))
                return false;
        size_t n = algorithms[a].bytes;
        bool good = buf_append(&digest, *packet, *len) &&
                put_variables(&digest, key, a, (uint64_t)now_s, TSIG_FUDGE_S, TSIG_NOERROR, NULL, 0) &&
                mac(a, key->secret, &digest, ret_mac, e);
        if (good) {
                put_name(&rdata, algorithms[a].wire_name);
                put48(&rdata, (uint64_t)now_s);
                put16(&rdata, TSIG_FUDGE_S);
                put16(&rdata, (unsigned)n);
                buf_append(&rdata, ret_mac, n);
                buf_append(&rdata, *packet, 2); /* the original id */
                put16(&rdata, TSIG_NOERROR);
                put16(&rdata, 0);
                buf_append(&out, *packet, *len);
                put_name(&out, key->name);
                put16(&out, DNS_TSIG);
                put16(&out, DNS_CLASS_ANY);
                put32(&out, 0);
                put16(&out, (unsigned)rdata.len);
                buf_append(&out, rdata.data, rdata.len);
                good = !rdata.failed && !out.failed;
        }
        buf_done(&digest);
        buf_done(&rdata);
        if (!good) {
                buf_done(&out);
                return err_set(e, ERR_TEMPORARY, "tsig.sign", "signing with TSIG key %s failed", key->name);
        }
        unsigned count = (unsigned)((uint8_t)out.data[10] << 8 | (uint8_t)out.data[11]) + 1;
        out.data[10] = (char)(count >> 8);
        out.data[11] = (char)count;
        free(*packet);
        *len = out.len;
        *packet = (uint8_t *)buf_steal(&out);
        *ret_mac_len = n;
        return true;
}

/* ---- the answer ---- */

struct record { /* the TSIG record of an answer, pointers into the packet */
        size_t start; /* offset of its owner: what comes before was signed */
        uint64_t time_s;
        unsigned fudge, mac_len, original_id, error, other_len;
        const uint8_t *mac, *other;
};

static unsigned get16(const uint8_t *p)
{
        return (unsigned)p[0] << 8 | p[1];
}

static uint64_t get48(const uint8_t *p)
{
        uint64_t v = 0;
        for (int i = 0; i < 6; i++)
                v = v << 8 | p[i];
        return v;
}

/* An uncompressed name at p; 0 if it does not fit. */
static size_t wire_name_len(const uint8_t *p, size_t len)
{
        size_t at = 0;
        while (at < len && p[at]) {
                if (p[at] > 63)
                        return 0;
                at += (size_t)p[at] + 1;
        }
        return at < len ? at + 1 : 0;
}

static bool same_wire_name(const uint8_t *p, size_t len, const char *name)
{
        uint8_t want[NAME_MAX_WIRE];
        size_t n = dns_name_wire(name, true, want, sizeof want);
        if (n == 0 || n != len)
                return false;
        for (size_t i = 0; i < n; i++)
                if ((p[i] >= 'A' && p[i] <= 'Z' ? p[i] + 32 : p[i]) != want[i])
                        return false;
        return true;
}

static bool read_rdata(const uint8_t *p, size_t len, const char *algorithm, struct record *ret)
{
        size_t n = wire_name_len(p, len);
        if (n == 0 || !same_wire_name(p, n, algorithm) || len - n < 10)
                return false;
        p += n;
        len -= n;
        ret->time_s = get48(p);
        ret->fudge = get16(p + 6);
        ret->mac_len = get16(p + 8);
        if (len - 10 < (size_t)ret->mac_len + 6)
                return false;
        ret->mac = p + 10;
        p += 10 + ret->mac_len;
        len -= 10 + (size_t)ret->mac_len;
        ret->original_id = get16(p);
        ret->error = get16(p + 2);
        ret->other_len = get16(p + 4);
        ret->other = p + 6;
        return len - 6 == ret->other_len;
}

/* It must be the last record of the message (RFC 8945 section 5.1). */
static bool find_record(
        const uint8_t *packet, size_t len, const struct tsig_key *key, int a, struct record *ret, struct err *e)
{
        struct dns_message m;
        if (!dns_message_read(packet, len, &m, e))
                return false;
        const struct dns_rr *last = m.rr_count ? &m.rr[m.rr_count - 1] : NULL;
        bool present = last && last->type == DNS_TSIG && last->class == DNS_CLASS_ANY && last->ttl == 0 &&
                last->section == DNS_ADDITIONAL && last->rdata + last->rdlength == len;
        bool ours = present && dns_name_equal(last->owner, key->name);
        bool good = ours && read_rdata(packet + last->rdata, last->rdlength, algorithms[a].wire_name, ret);
        if (good) {
                /* Owner, type, class, TTL and length stand before the data; a compressed owner has two bytes. */
                uint8_t wire[NAME_MAX_WIRE];
                size_t n = dns_name_wire(key->name, true, wire, sizeof wire);
                size_t plain = last->rdata - 10 - n, packed = last->rdata - 12;
                bool is_plain = last->rdata >= HEADER + 10 + n && same_wire_name(packet + plain, n, key->name);
                ret->start = is_plain ? plain : packed;
        }
        dns_message_done(&m);
        if (!present)
                return err_set(e, ERR_PROTOCOL, "tsig.absent", "the server's answer is not signed");
        if (!ours)
                return err_set(e, ERR_PROTOCOL, "tsig.key", "the server's answer is signed with another key than %s",
                        key->name);
        return good || err_set(e, ERR_PROTOCOL, "tsig.malformed", "the server's TSIG record cannot be read");
}

static bool server_error(const struct record *r, const struct tsig_key *key, int64_t now_s, struct err *e)
{
        char span[40];
        switch (r->error) {
        case TSIG_NOERROR:
                return true;
        case TSIG_BADSIG:
                err_set(e, ERR_DENIED, "tsig.BADSIG",
                        "the server does not accept the signature of TSIG key %s (BADSIG)", key->name);
                return err_fix(e, "the secret differs from the server's: compare both, and the algorithm (%s)",
                        key->algorithm);
        case TSIG_BADKEY:
                err_set(e, ERR_DENIED, "tsig.BADKEY", "the server does not know TSIG key %s with %s (BADKEY)",
                        key->name, key->algorithm);
                return err_fix(e, "add the key to the server, or correct tsig.name and tsig.algorithm");
        case TSIG_BADTIME:
                format_span(r->other_len == 6 ? (int64_t)get48(r->other) - now_s : 0, span, sizeof span);
                err_set(e, ERR_DENIED, "tsig.BADTIME",
                        "the clocks of this host and of the name server differ by %s (BADTIME)", span);
                return err_fix(e, "enable time synchronisation on both");
        case TSIG_BADTRUNC:
                return err_set(
                        e, ERR_DENIED, "tsig.BADTRUNC", "the server refuses the length of the signature (BADTRUNC)");
        default:
                return err_set(e, ERR_DENIED, "tsig.error", "the server answers TSIG error %u", r->error);
        }
}

bool tsig_verify(const uint8_t *packet, size_t len, const struct tsig_key *key, int64_t now_s,
        const uint8_t *request_mac, size_t request_mac_len, struct err *e)
{
        int a = -1;
        struct record r = { 0 };
        struct buf digest = { 0 };
        uint8_t want[TSIG_MAC_MAX];
        if (!check_key(key, &a, e) || !find_record(packet, len, key, a, &r, e))
                return false;
        if (r.mac_len == 0) /* BADSIG and BADKEY come unsigned: never believed as a success */
                return server_error(&r, key, now_s, e)
                        ? err_set(e, ERR_PROTOCOL, "tsig.empty", "the server's answer has an empty signature")
                        : false;
        if (r.mac_len != algorithms[a].bytes)
                return err_set(
                        e, ERR_PROTOCOL, "tsig.truncated", "the server's signature is cut to %u bytes", r.mac_len);
        put16(&digest, (unsigned)request_mac_len);
        buf_append(&digest, request_mac, request_mac_len);
        size_t at = digest.len;
        buf_append(&digest, packet, r.start);
        if (!digest.failed) {
                unsigned count = get16(packet + 10) - 1;
                digest.data[at] = (char)(r.original_id >> 8);
                digest.data[at + 1] = (char)r.original_id;
                digest.data[at + 10] = (char)(count >> 8);
                digest.data[at + 11] = (char)count;
        }
        bool good = put_variables(&digest, key, a, r.time_s, r.fudge, r.error, r.other, r.other_len) &&
                mac(a, key->secret, &digest, want, e);
        buf_done(&digest);
        if (!good)
                return false;
        if (CRYPTO_memcmp(want, r.mac, r.mac_len) != 0)
                return err_set(e, ERR_PROTOCOL, "tsig.wrong", "the server's answer has a wrong signature");
        if (!server_error(&r, key, now_s, e))
                return false;
        int64_t off_s = (int64_t)r.time_s - now_s;
        if (off_s > (int64_t)r.fudge || off_s < -(int64_t)r.fudge)
                return err_set(e, ERR_PROTOCOL, "tsig.time", "the server's answer was signed %lld s away from our time",
                        (long long)off_s);
        return true;
}
