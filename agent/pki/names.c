/* Comparing names, and reading them out of X.509 structures. */
#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/pki/chain.h"
#include "agent/pki/key_internal.h"
#include "agent/pki/names_internal.h"

#define NAME_TEXT_MAX 1024
#define DNS_NAME_MAX 253
#define LABEL_MAX 63

bool address_canonical(const char *text, char ret[46])
{
        unsigned char bytes[16];
        for (int family = AF_INET;; family = AF_INET6) {
                if (inet_pton(family, text, bytes) == 1)
                        return inet_ntop(family, bytes, ret, 46) != NULL;
                if (family == AF_INET6)
                        return false;
        }
}

static bool name_equal(const char *a, const char *b)
{
        char x[46], y[46];
        size_t n = strlen(a), m = strlen(b);
        n -= n > 1 && a[n - 1] == '.';
        m -= m > 1 && b[m - 1] == '.';
        if (n == m && strncasecmp(a, b, n) == 0)
                return true;
        return address_canonical(a, x) && address_canonical(b, y) && strcmp(x, y) == 0;
}

/* One wildcard, the whole leftmost label, for exactly one label that is not empty. */
static bool wildcard_covers(const char *pattern, const char *name)
{
        char address[46];
        const char *dot = strchr(name, '.');
        return text_starts(pattern, "*.") && dot && dot != name && !address_canonical(name, address) &&
                name_equal(pattern + 2, dot + 1);
}

bool names_cover(const struct texts *names, const char *name)
{
        for (size_t i = 0; i < names->count; i++)
                if (name_equal(names->item[i], name) || wildcard_covers(names->item[i], name))
                        return true;
        return false;
}

static bool all_in(const struct texts *a, const struct texts *b)
{
        for (size_t i = 0; i < a->count; i++) {
                bool found = false;
                for (size_t j = 0; !found && j < b->count; j++)
                        found = name_equal(a->item[i], b->item[j]);
                if (!found)
                        return false;
        }
        return true;
}

bool names_same(const struct texts *a, const struct texts *b)
{
        return all_in(a, b) && all_in(b, a);
}

bool dns_name_is_good(const char *name)
{
        size_t label = 0;
        if (text_starts(name, "*."))
                name += 2;
        if (name[0] == '\0' || strlen(name) > DNS_NAME_MAX)
                return false;
        for (const char *p = name; *p; p++) {
                if (*p == '.' ? label == 0 || p[1] == '\0' : !isalnum((unsigned char)*p) && *p != '-' && *p != '_')
                        return false;
                label = *p == '.' ? 0 : label + 1;
                if (label > LABEL_MAX)
                        return false;
        }
        return true;
}

static bool add_foreign(struct texts *ret, const unsigned char *data, int len)
{
        struct buf b = { 0 };
        for (int i = 0; i < len && i < NAME_TEXT_MAX; i++) {
                char c = (char)tolower(data[i]);
                buf_add_escaped(&b, &c, 1, 1);
        }
        char *text = buf_steal(&b);
        bool good = text && texts_add_own(ret, text);
        if (!good)
                free(text);
        buf_done(&b);
        return good;
}

static bool add_address(struct texts *ret, const unsigned char *data, int len)
{
        char text[46] = "address of wrong length";
        if (len == 4)
                (void)inet_ntop(AF_INET, data, text, sizeof text); /* cannot fail: family and size are right */
        else if (len == 16)
                (void)inet_ntop(AF_INET6, data, text, sizeof text); /* the same */
        return texts_add(ret, text);
}

bool names_from_general(const GENERAL_NAMES *general, struct texts *ret)
{
        for (int i = 0; i < sk_GENERAL_NAME_num(general); i++) {
                int type;
                const ASN1_STRING *s = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(general, i), &type);
                if (type == GEN_DNS && !add_foreign(ret, ASN1_STRING_get0_data(s), ASN1_STRING_length(s)))
                        return false;
                if (type == GEN_IPADD && !add_address(ret, ASN1_STRING_get0_data(s), ASN1_STRING_length(s)))
                        return false;
        }
        return true;
}

bool names_add_general(GENERAL_NAMES *list, const char *name, struct err *e)
{
        unsigned char address[16];
        int len = inet_pton(AF_INET, name, address) == 1 ? 4 : inet_pton(AF_INET6, name, address) == 1 ? 16 : 0;
        if (!len && !dns_name_is_good(name))
                return err_set(e, ERR_CONFIG, "csr.name", "%s is neither a host name nor an address", name);
        GENERAL_NAME *general = GENERAL_NAME_new();
        ASN1_STRING *value = len ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
        if (general && value && ASN1_STRING_set(value, len ? (const void *)address : name, len ? len : -1)) {
                GENERAL_NAME_set0_value(general, len ? GEN_IPADD : GEN_DNS, value);
                if (sk_GENERAL_NAME_push(list, general) > 0)
                        return true;
                value = NULL; /* part of general now */
        }
        ASN1_STRING_free(value);
        GENERAL_NAME_free(general);
        return err_memory(e);
}

bool common_name_of(const X509_NAME *name, char **ret, struct err *e)
{
        struct texts one = { 0 };
        unsigned char *utf8 = NULL;
        *ret = NULL;
        int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
        if (at < 0)
                return true;
        int len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
        if (len < 0)
                return openssl_err(e, ERR_PROTOCOL, "cert.format", "the common name cannot be read");
        bool good = len == 0 || add_foreign(&one, utf8, len);
        OPENSSL_free(utf8);
        if (good && one.count)
                *ret = STEAL(one.item[0]);
        texts_done(&one);
        return good || err_memory(e);
}

char *name_text(const X509_NAME *name)
{
        BIO *bio = BIO_new(BIO_s_mem());
        struct buf b = { 0 };
        char *data = NULL;
        if (!bio)
                return NULL;
        /* UTF-8 stays readable: what is dangerous in it is escaped below. */
        (void)X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB);
        openssl_clear();
        long len = BIO_get_mem_data(bio, &data);
        if (len > 0)
                buf_add_escaped(&b, data, (size_t)len, NAME_TEXT_MAX);
        (void)BIO_free(bio);
        char *text = buf_steal(&b);
        buf_done(&b);
        return text;
}
