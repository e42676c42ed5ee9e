/* OpenSSL's error queue and its lack of memory.
 *
 * Where an allocation fails inside OpenSSL it is often told as something else: decoders drop the error and say
 * "unsupported", a signature counts as wrong, an extension as absent. A job would then give up a good key or
 * certificate for good. So the allocator is ours, and counts what it refused; who judges bytes compares the count
 * before and after.
 */
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/pki/key_internal.h"

static _Thread_local unsigned refused, refused_at_clear;

static void *get(size_t size, const char *file, int line)
{
        (void)file, (void)line;
        void *p = size ? malloc(size) : NULL;
        if (size && !p)
                refused++;
        return p;
}

static void give(void *p, const char *file, int line)
{
        (void)file, (void)line;
        free(p);
}

static void *resize(void *p, size_t size, const char *file, int line)
{
        if (size == 0) {
                give(p, file, line);
                return NULL;
        }
        void *bigger = realloc(p, size);
        if (!bigger)
                refused++;
        return bigger;
}

/* Only possible before OpenSSL's first allocation. Where something else was earlier, the error queue still tells most
 * of it. */
__attribute__((constructor)) static void take_over(void)
{
        (void)CRYPTO_set_mem_functions(get, resize, give);
#ifndef DCVD_SANITIZE /* which misses what only the secure heap leads to */
        /* At the end of the process the system takes everything down at once; a thread may still be making a key. */
        (void)OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
#endif
}

unsigned openssl_refused(void)
{
        return refused;
}

void openssl_clear(void)
{
        ERR_clear_error();
        refused_at_clear = refused;
}

bool openssl_err(struct err *e, int kind, const char *code, const char *what)
{
        unsigned long last = 0;
        bool no_memory = refused != refused_at_clear;
        for (unsigned long n; (n = ERR_get_error()) != 0; last = n)
                no_memory = no_memory || ERR_GET_REASON(n) == ERR_R_MALLOC_FAILURE;
        openssl_clear();
        const char *reason = last ? ERR_reason_error_string(last) : NULL;
        if (no_memory)
                return err_memory(e);
        return err_set(e, (enum err_kind)kind, code, "%s%s%s", what, reason ? ": " : "", reason ? reason : "");
}

bool der_take(unsigned char *der, int len, uint8_t **ret, size_t *ret_len, struct err *e)
{
        uint8_t *copy = malloc((size_t)len);
        if (copy)
                memcpy(copy, der, (size_t)len);
        OPENSSL_free(der);
        if (!copy)
                return err_memory(e);
        *ret = copy;
        *ret_len = (size_t)len;
        return true;
}
