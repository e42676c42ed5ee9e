#include "agent/alerts/forms.h"

#include <ctype.h>
#include <idn2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/base/buf.h"
#include "agent/base/util.h"

#define TEXT_MAX 512

/* Without blanks and colons; longer than any form is none. */
static bool squeeze(const char *text, char ret[TEXT_MAX])
{
        size_t n = 0;
        for (; *text; text++) {
                if (strchr(" \t\r\n:", *text))
                        continue;
                if (n + 1 == TEXT_MAX)
                        return false;
                ret[n++] = *text;
        }
        ret[n] = '\0';
        return true;
}

static bool all_hex(const char *text)
{
        return text[strspn(text, "0123456789abcdefABCDEF")] == '\0';
}

static void lower(char *ret, const char *text)
{
        for (; *text; text++)
                *ret++ = (char)tolower((unsigned char)*text);
        *ret = '\0';
}

static bool from_base64(const char *text, char ret[65])
{
        size_t len = strlen(text), out = 0;
        CLEANUP(free_p) uint8_t *raw = NULL;
        len -= len == 44 && text[43] == '=';
        if (len != 43)
                return false;
        char plain[44];
        for (size_t i = 0; i < len; i++)
                plain[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
        if (!base64url_decode(plain, len, &raw, &out) || out != 32)
                return false;
        hex_encode(ret, raw, out);
        return true;
}

bool form_sha256(const char *text, char ret[65])
{
        static const char *const prefixes[] = { "sha256//", "sha256=", "sha256/", "sha256:", "sha-256:", "sha-256=" };
        char plain[TEXT_MAX];
        text += strspn(text, " \t\r\n");
        for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
                if (strncasecmp(text, prefixes[i], strlen(prefixes[i])) == 0) {
                        text += strlen(prefixes[i]);
                        break;
                }
        if (!squeeze(text, plain))
                return false;
        if (strlen(plain) != 64 || !all_hex(plain))
                return from_base64(plain, ret);
        lower(ret, plain);
        return true;
}

bool form_sha1(const char *text, char ret[41])
{
        char plain[TEXT_MAX];
        text += strspn(text, " \t\r\n");
        if (strncasecmp(text, "sha1:", 5) == 0)
                text += 5;
        if (!squeeze(text, plain) || strlen(plain) != 40 || !all_hex(plain))
                return false;
        lower(ret, plain);
        return true;
}

static bool put_serial(const char *digits, char ret[FORM_SERIAL])
{
        while (digits[0] == '0' && digits[1])
                digits++;
        if (!digits[0] || strlen(digits) >= FORM_SERIAL)
                return false;
        lower(ret, digits);
        return true;
}

bool form_serial(const char *text, char ret[FORM_SERIAL])
{
        char plain[TEXT_MAX];
        if (!squeeze(text, plain))
                return false;
        const char *digits = strncasecmp(plain, "0x", 2) == 0 ? plain + 2 : plain;
        return all_hex(digits) && put_serial(digits, ret);
}

bool form_serial_decimal(const char *text, char ret[FORM_SERIAL])
{
        uint8_t number[(FORM_SERIAL - 1) / 2] = { 0 }; /* big-endian */
        char hex[FORM_SERIAL];
        if (!text[0] || text[strspn(text, "0123456789")])
                return false;
        for (; *text; text++) {
                unsigned carry = (unsigned)(*text - '0');
                for (size_t i = sizeof number; i-- > 0;) {
                        carry += number[i] * 10u;
                        number[i] = (uint8_t)carry;
                        carry >>= 8;
                }
                if (carry)
                        return false;
        }
        hex_encode(hex, number, sizeof number);
        return put_serial(hex, ret);
}

static bool is_host(const char *name)
{
        size_t label = 0;
        for (const char *p = name; *p; p++) {
                if (*p == '.' ? label == 0 || !p[1] : !isalnum((unsigned char)*p) && *p != '-' && *p != '_')
                        return false;
                label = *p == '.' ? 0 : label + 1;
                if (label > 63)
                        return false;
        }
        return name[0] != '\0' && strlen(name) <= 253;
}

static bool is_ascii(const char *text)
{
        while (*text > 0)
                text++;
        return *text == '\0';
}

bool form_domain(const char *text, char ret[FORM_DOMAIN])
{
        bool wildcard = text_starts(text, "*.");
        const char *name = wildcard ? text + 2 : text;
        size_t len = strlen(name);
        char plain[FORM_DOMAIN];
        char *ascii = NULL;
        if (len == 0 || len > 3 * FORM_DOMAIN)
                return false;
        if (!is_ascii(name)) {
                if (idn2_lookup_u8((const uint8_t *)name, (uint8_t **)&ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) !=
                        IDN2_OK)
                        return false;
                name = ascii;
                len = strlen(name);
        }
        len -= len > 1 && name[len - 1] == '.';
        bool good = len < sizeof plain - 2;
        if (good) {
                memcpy(plain, name, len);
                plain[len] = '\0';
                good = is_host(plain);
        }
        idn2_free(ascii);
        if (!good)
                return false;
        strcpy(ret, wildcard ? "*." : "");
        lower(ret + strlen(ret), plain);
        return true;
}
