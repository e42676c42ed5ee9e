#include "agent/alerts/challenge.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/secret.h"

#define SENTENCE "I sign this to report that my private key is compromised."
#define NONCE_BYTES 16

void challenges_init(struct challenges *c)
{
        random_bytes(c->key, sizeof c->key);
        if (gethostname(c->host, sizeof c->host - 1) != 0 || !c->host[0])
                strcpy(c->host, "dcvd");
        for (char *p = c->host; *p; p++)
                if (*p <= ' ' || *p > '~' || *p == ';')
                        *p = '-';
}

void challenges_done(struct challenges *c)
{
        wipe(c->key, sizeof c->key);
}

static void make(const struct challenges *c, const char *date, char ret[CHALLENGE_TEXT])
{
        uint8_t mac[32] = { 0 };
        char nonce[2 * NONCE_BYTES + 1];
        int n = snprintf(ret, CHALLENGE_TEXT, "%s host=%s; date=%s", SENTENCE, c->host, date);
        unsigned len = 0;
        if (!HMAC(EVP_sha256(), c->key, sizeof c->key, (const unsigned char *)ret, (size_t)n, mac, &len))
                random_bytes(mac, sizeof mac); /* memory is out: then it matches nothing */
        hex_encode(nonce, mac, NONCE_BYTES);
        snprintf(ret + n, CHALLENGE_TEXT - (size_t)n, "; nonce=%s", nonce);
}

void challenge_make(const struct challenges *c, int64_t now_s, char ret[CHALLENGE_TEXT])
{
        char date[32];
        format_time(now_s, date, sizeof date);
        make(c, date, ret);
}

bool challenge_is_good(const struct challenges *c, const char *text, size_t len, int64_t now_s)
{
        char want[CHALLENGE_TEXT], date[32] = "";
        int64_t made_s;
        while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
                len--;
        const char *at = len < CHALLENGE_TEXT ? memmem(text, len, "; date=", 7) : NULL;
        if (!at || (size_t)(text + len - at) < 7 + 20)
                return false;
        memcpy(date, at + 7, 20);
        if (!parse_time(date, &made_s) || made_s > now_s || now_s - made_s > CHALLENGE_LIFE_S)
                return false;
        challenge_make(c, made_s, want);
        return strlen(want) == len && CRYPTO_memcmp(want, text, len) == 0;
}
