/* TXT values: the input's lines are records; judged for a digest, a plain value, an alias and without a wanted value.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "validators/judgement.h"
#include "validators/txt_forms.h"

#define VALUE "7KyGUhlVynj-lkwxbjkzki4h-7Hb2M9o7w3y_qBnx8s"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct txt_want wants[] = {
        { "_acme-challenge.a.example", VALUE, "token.thumbprint", false, true },
        { "_acme-challenge.a.example", NULL, NULL, false, true },
        { "_dnsauth.a.example", "201911xyz", NULL, false, false },
        { "_abc.a.example", "target.example", NULL, true, false },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct txt_value v[32];
        uint8_t *own[32];
        size_t n = 0;
        for (size_t at = 0; at < size && size <= 4096 && n < 32; n++) {
                const uint8_t *end = memchr(data + at, '\n', size - at);
                size_t len = end ? (size_t)(end - data) - at : size - at;
                own[n] = malloc(len ? len : 1); /* of the exact size: a read past the end is seen */
                if (!own[n])
                        abort();
                memcpy(own[n], data + at, len);
                v[n] = (struct txt_value){ own[n], len, 1 + (unsigned)(len > 255), 60 };
                at += len + 1;
        }
        for (size_t i = 0; i < sizeof wants / sizeof *wants; i++) {
                struct judgements j = { 0 };
                struct txt_seen seen = { "ns1 (192.0.2.1)", v, n, size };
                enum txt_match match = txt_judge(&wants[i], &seen, &j);
                if ((match == TXT_ABSENT) != (n == 0) || (match == TXT_PRESENT && judgements_find(&j, "T02")))
                        abort();
                judgements_done(&j);
        }
        while (n > 0)
                free(own[--n]);
        return 0;
}
