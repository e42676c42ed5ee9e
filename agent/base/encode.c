/* Hex, base64, SHA-256. */
#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"

void hex_encode(char *ret, const void *data, size_t len)
{
        static const char digit[] = "0123456789abcdef";
        const uint8_t *d = data;
        for (size_t i = 0; i < len; i++) {
                ret[2 * i] = digit[d[i] >> 4];
                ret[2 * i + 1] = digit[d[i] & 15];
        }
        ret[2 * len] = '\0';
}

static int hex_value(char c)
{
        return c >= '0' && c <= '9'    ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
}

bool hex_decode(const char *text, size_t text_len, uint8_t *ret, size_t ret_size, size_t *ret_len)
{
        if (text_len % 2 || text_len / 2 > ret_size)
                return false;
        for (size_t i = 0; i < text_len; i++)
                if (hex_value(text[i]) < 0)
                        return false;
        for (size_t i = 0; i < text_len / 2; i++)
                ret[i] = (uint8_t)(hex_value(text[2 * i]) << 4 | hex_value(text[2 * i + 1]));
        *ret_len = text_len / 2;
        return true;
}

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char urlsafe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static char *encode(const void *data, size_t len, const char *alphabet, bool pad)
{
        const uint8_t *d = data;
        char *ret = malloc((len + 2) / 3 * 4 + 1), *at = ret;
        if (!ret)
                return NULL;
        for (size_t i = 0; i < len; i += 3) {
                size_t n = len - i < 3 ? len - i : 3;
                uint32_t bits = (uint32_t)d[i] << 16 | (n > 1 ? (uint32_t)d[i + 1] << 8 : 0) | (n > 2 ? d[i + 2] : 0);
                for (size_t k = 0; k <= n; k++)
                        *at++ = alphabet[bits >> (18 - 6 * k) & 63];
                for (size_t k = n; pad && k < 3; k++)
                        *at++ = '=';
        }
        *at = '\0';
        return ret;
}

static bool decode(const char *text, size_t len, const char *alphabet, bool pad, uint8_t **ret, size_t *ret_len)
{
        if (pad && len % 4)
                return false;
        for (int i = 0; pad && i < 2 && len > 0 && text[len - 1] == '='; i++)
                len--;
        if (len % 4 == 1)
                return false;
        uint8_t *out = malloc(len / 4 * 3 + 3), *at = out;
        uint32_t bits = 0;
        unsigned have = 0;
        for (size_t i = 0; out && i < len; i++) {
                const char *found = text[i] ? strchr(alphabet, text[i]) : NULL;
                if (!found) {
                        free(out);
                        return false;
                }
                bits = bits << 6 | (uint32_t)(found - alphabet);
                have += 6;
                if (have >= 8) {
                        have -= 8;
                        *at++ = (uint8_t)(bits >> have);
                        bits &= (1u << have) - 1;
                }
        }
        if (!out || bits) { /* trailing bits must be zero: one text for one value */
                free(out);
                return false;
        }
        *ret_len = (size_t)(at - out);
        *ret = out;
        return true;
}

char *base64_encode(const void *data, size_t len)
{
        return encode(data, len, standard, true);
}

char *base64url_encode(const void *data, size_t len)
{
        return encode(data, len, urlsafe, false);
}

bool base64_decode(const char *text, size_t len, uint8_t **ret, size_t *ret_len)
{
        return decode(text, len, standard, true, ret, ret_len);
}

bool base64url_decode(const char *text, size_t len, uint8_t **ret, size_t *ret_len)
{
        return decode(text, len, urlsafe, false, ret, ret_len);
}

/* The SHA256() of OpenSSL 3 fetches its algorithm at each call and allocates for it; these compute in place, so that a
 * hash exists whatever the memory does. They are deprecated for being outside of providers, which is the point. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
void sha256(const void *data, size_t len, uint8_t ret[32])
{
        SHA256_CTX state;
        int good = SHA256_Init(&state) && SHA256_Update(&state, data, len) && SHA256_Final(ret, &state);
        assert(good);
        (void)good;
        OPENSSL_cleanse(&state, sizeof state); /* it may have been a secret */
}
#pragma GCC diagnostic pop

void sha256_hex(const void *data, size_t len, char ret[65])
{
        uint8_t hash[32];
        sha256(data, len, hash);
        hex_encode(ret, hash, sizeof hash);
}
