#include "agent/pki/weak.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/util.h"
#include "agent/pki/cert_internal.h"
#include "agent/pki/key_internal.h"
#include "agent/pki/weak_internal.h"

#define FERMAT_ROUNDS 110
#define SMALL 752

static void bn_free_p(BIGNUM **n)
{
        BN_free(*n);
}

static void pkey_free_p(EVP_PKEY **k)
{
        EVP_PKEY_free(*k);
}

static void pkey_ctx_free_p(EVP_PKEY_CTX **c)
{
        EVP_PKEY_CTX_free(*c);
}

static void bn_ctx_free_p(BN_CTX **c)
{
        BN_CTX_free(*c);
}

/* ---- arithmetic ---- */

static bool is_prime(unsigned n)
{
        for (unsigned d = 2; d * d <= n; d++)
                if (n % d == 0)
                        return false;
        return n > 1;
}

/* Is rest a power of 65537 modulo prime? */
static bool in_subgroup(unsigned rest, unsigned prime)
{
        unsigned power = 1 % prime;
        do {
                if (power == rest)
                        return true;
                power = power * (65537 % prime) % prime;
        } while (power != 1);
        return false;
}

/* Infineon's generator made primes of the form k*M + 65537^a mod M (CVE-2017-15361): modulo every small prime the
 * modulus then lies in the subgroup that 65537 generates. */
bool weak_is_roca(const BIGNUM *n)
{
        for (unsigned prime = 2; prime <= 167; prime++) {
                if (!is_prime(prime))
                        continue;
                BN_ULONG rest = BN_mod_word(n, prime);
                if (rest == (BN_ULONG)-1 || !in_subgroup((unsigned)rest, prime))
                        return false;
        }
        return true;
}

bool weak_has_small_factor(const BIGNUM *n)
{
        for (unsigned d = 2; d < SMALL; d++)
                if (is_prime(d) && BN_mod_word(n, d) == 0)
                        return true;
        return false;
}

/* The largest whole number whose square is not above n (Newton, from above). False: memory. */
static bool square_root(const BIGNUM *n, BIGNUM *ret, BN_CTX *c)
{
        CLEANUP(bn_free_p) BIGNUM *next = BN_new();
        if (!next || !BN_one(ret) || !BN_lshift(ret, ret, (BN_num_bits(n) + 1) / 2))
                return false;
        for (;;) {
                if (!BN_div(next, NULL, n, ret, c) || !BN_add(next, next, ret) || !BN_rshift1(next, next))
                        return false;
                if (BN_cmp(next, ret) >= 0)
                        return true;
                if (!BN_copy(ret, next))
                        return false;
        }
}

/* 1: a square; 0: none; -1: memory. */
static int is_square(const BIGNUM *n, BIGNUM *root, BIGNUM *square, BN_CTX *c)
{
        if (BN_is_bit_set(n, 1) && !BN_is_odd(n))
                return 0; /* squares are 0 or 1 modulo 4 */
        if (!square_root(n, root, c) || !BN_sqr(square, root, c))
                return -1;
        return BN_cmp(square, n) == 0;
}

bool weak_has_close_primes(const BIGNUM *n, unsigned rounds)
{
        CLEANUP(bn_ctx_free_p) BN_CTX *c = BN_CTX_new();
        CLEANUP(bn_free_p) BIGNUM *a = BN_new(), *rest = BN_new(), *root = BN_new(), *square = BN_new();
        if (!c || !a || !rest || !root || !square || BN_is_zero(n) || BN_is_negative(n) || !square_root(n, a, c))
                return false;
        if (!BN_sqr(rest, a, c) || (BN_cmp(rest, n) != 0 && !BN_add_word(a, 1)))
                return false;
        for (unsigned i = 0; i < rounds; i++) {
                if (!BN_sqr(rest, a, c) || !BN_sub(rest, rest, n))
                        return false;
                int yes = BN_is_zero(rest) ? 1 : is_square(rest, root, square, c);
                if (yes != 0)
                        return yes > 0;
                if (!BN_add_word(a, 1))
                        return false;
        }
        return false;
}

/* ---- rules ---- */

static bool check_rsa(EVP_PKEY *pkey, struct err *e)
{
        CLEANUP(bn_free_p) BIGNUM *n = NULL, *exponent = NULL;
        if (!EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) ||
                !EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &exponent))
                return openssl_err(e, ERR_TEMPORARY, "key.read", "the numbers of an RSA key cannot be read");
        int bits = BN_num_bits(n);
        if (weak_has_small_factor(n))
                return err_set(e, ERR_RULE, "key.small-factor",
                        "the RSA key has a factor below %d: anybody can compute "
                        "its private half",
                        SMALL);
        if (weak_is_roca(n))
                return err_set(e, ERR_RULE, "key.roca",
                        "the RSA key was made by a faulty generator (ROCA, CVE-2017-15361): its private half can be "
                        "computed");
        if (weak_has_close_primes(n, FERMAT_ROUNDS))
                return err_set(e, ERR_RULE, "key.close-primes",
                        "the primes of the RSA key lie close together: anybody can compute its private half");
        if (bits < 2048 || bits % 8 != 0)
                return err_set(e, ERR_RULE, "key.size",
                        "the RSA key has %d bits; CAs take 2048 or more, a multiple of 8", bits);
        if (!BN_is_odd(exponent) || BN_is_one(exponent))
                return err_set(e, ERR_RULE, "key.exponent", "the exponent of the RSA key is even or 1");
        return true;
}

static bool check_ec(EVP_PKEY *pkey, struct err *e)
{
        static const char *const curves[] = { "prime256v1", "secp384r1", "secp521r1", "SM2" };
        char name[64] = "";
        size_t len = 0, i = 0;
        if (!EVP_PKEY_get_group_name(pkey, name, sizeof name, &len))
                return err_set(e, ERR_RULE, "key.curve", "the EC key has a curve without a name");
        while (i < ARRAY_LEN(curves) && strcmp(curves[i], name) != 0)
                i++;
        if (i == ARRAY_LEN(curves))
                return err_set(e, ERR_RULE, "key.curve", "the EC key is on %s; CAs take P-256, P-384 and P-521", name);
        CLEANUP(pkey_ctx_free_p) EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
        if (!c)
                return err_memory(e);
        /* The quick check leaves out that the point has the curve's order: on these four every point has, and to see it
         * costs as much as a signature. */
        if (EVP_PKEY_public_check_quick(c) != 1) {
                openssl_clear();
                return err_set(e, ERR_RULE, "key.point", "the public point of the EC key is not on its curve");
        }
        return true;
}

bool pkey_check_strength(EVP_PKEY *pkey, struct err *e)
{
        openssl_clear();
        switch (EVP_PKEY_get_base_id(pkey)) {
        case EVP_PKEY_RSA:
        case EVP_PKEY_RSA_PSS:
                return check_rsa(pkey, e);
        case EVP_PKEY_EC:
                return check_ec(pkey, e);
        default:
                return true;
        }
}

bool key_check_strength(const struct key *k, struct err *e)
{
        return pkey_check_strength(k->pkey, e);
}

bool cert_check_strength(const uint8_t *der, size_t len, struct err *e)
{
        CLEANUP(cert_free_p) X509 *x = NULL;
        if (!cert_parse(der, len, &x, e))
                return false;
        EVP_PKEY *pkey = X509_get0_pubkey(x);
        return pkey ? pkey_check_strength(pkey, e)
                    : openssl_err(e, ERR_PROTOCOL, "cert.format", "the public key of a certificate cannot be read");
}

bool request_check_strength(const void *pem, size_t len, struct err *e)
{
        CLEANUP(bio_free_p) BIO *bio = len <= INT32_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
        openssl_clear();
        X509_REQ *request = bio ? PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL) : NULL;
        EVP_PKEY *pkey = request ? X509_REQ_get0_pubkey(request) : NULL;
        bool good = pkey ? pkey_check_strength(pkey, e)
                         : openssl_err(e, ERR_PROTOCOL, "csr.format", "the public key of a request cannot be read");
        X509_REQ_free(request);
        return good;
}

bool cert_public_der(const uint8_t *der, size_t len, uint8_t **ret, size_t *ret_len, struct err *e)
{
        CLEANUP(cert_free_p) X509 *x = NULL;
        unsigned char *out = NULL;
        if (!cert_parse(der, len, &x, e))
                return false;
        int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &out);
        uint8_t *copy = n > 0 ? malloc((size_t)n) : NULL;
        if (copy)
                memcpy(copy, out, (size_t)n);
        OPENSSL_free(out);
        if (!copy)
                return err_memory(e);
        *ret = copy;
        *ret_len = (size_t)n;
        return true;
}

bool weak_is_computable(const struct err *e)
{
        return strcmp(e->code, "key.roca") == 0 || strcmp(e->code, "key.close-primes") == 0 ||
                strcmp(e->code, "key.small-factor") == 0;
}

/* ---- names in lists ---- */

static bool hash_number(const BIGNUM *n, uint8_t ret[32])
{
        uint8_t bytes[2100];
        int len = BN_num_bytes(n);
        if (len > (int)sizeof bytes)
                return false;
        (void)BN_bn2bin(n, bytes);
        sha256(bytes, (size_t)len, ret);
        return true;
}

static bool hash_raw(EVP_PKEY *pkey, uint8_t ret[32])
{
        uint8_t bytes[64];
        size_t len = sizeof bytes, zeros = 0;
        if (EVP_PKEY_get_raw_public_key(pkey, bytes, &len) != 1)
                return false;
        while (zeros < len && bytes[zeros] == 0)
                zeros++;
        sha256(bytes + zeros, len - zeros, ret);
        return true;
}

bool cert_list_hash(const uint8_t *der, size_t len, uint8_t ret[32])
{
        CLEANUP(cert_free_p) X509 *x = NULL;
        CLEANUP(bn_free_p) BIGNUM *n = NULL;
        struct err e;
        CLEANUP(pkey_free_p) EVP_PKEY *pkey = cert_parse(der, len, &x, &e) ? cert_pkey_general(x) : NULL;
        bool good = false;
        if (pkey && EVP_PKEY_get_base_id(pkey) == EVP_PKEY_ED25519)
                good = hash_raw(pkey, ret);
        else if (pkey)
                good = EVP_PKEY_get_bn_param(pkey,
                               EVP_PKEY_get_base_id(pkey) == EVP_PKEY_EC ? OSSL_PKEY_PARAM_EC_PUB_X
                                                                         : OSSL_PKEY_PARAM_RSA_N,
                               &n) == 1 &&
                        hash_number(n, ret);
        openssl_clear();
        return good;
}
