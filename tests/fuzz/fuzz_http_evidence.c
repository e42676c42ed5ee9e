/* HTTP evidence: two bytes choose status and fault, the next line is Location and Server, the rest the body. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/util.h"
#include "validators/http_evidence.h"
#include "validators/judgement.h"

#define URL "http://a.example/.well-known/acme-challenge/t"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(const struct http_hop *hop, const char *wanted, bool pki)
{
        struct address a;
        struct judgements j = { 0 };
        if (!address_parse("198.35.26.96", 0, &a))
                abort();
        struct http_look look = { a, wanted ? HTTP_TOKEN : HTTP_RANDOM, false, hop, 1 };
        struct http_evidence x = { .name = "a.example",
                .wanted = wanted,
                .pki_validation = pki,
                .addresses = &a,
                .address_count = 1,
                .looks = &look,
                .look_count = 1 };
        bool good = http_judge(&x, &j);
        if (good && judgements_find(&j, "H11"))
                abort();
        judgements_done(&j);
}

/* Wherever it leads, it is http or https, and never where it was. */
static void follow(const char *location, int status, bool pki)
{
        const struct http_evidence x = { .name = "a.example", .pki_validation = pki };
        CLEANUP(texts_done) struct texts trail = { 0 };
        CLEANUP(free_p) char *url = NULL;
        const char *why = NULL;
        if (!texts_add(&trail, URL))
                abort();
        bool on = http_goes_on(&x, &trail, status, location, &url, &why);
        if (on != (url != NULL) || (on && (pki || strcmp(url, URL) == 0 || strncmp(url, "http", 4) != 0)))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size < 2 || size > 8192)
                return 0;
        const uint8_t *line = data + 2, *end = memchr(line, '\n', size - 2);
        size_t len = end ? (size_t)(end - line) : size - 2, rest = end ? size - 2 - len - 1 : 0;
        char *text = text_dup_n((const char *)line, len);
        uint8_t *body = malloc(rest ? rest : 1);
        if (!text || !body)
                abort();
        memcpy(body, end ? end + 1 : line, rest);
        const struct http_header headers[] = { { "Location", text }, { "Server", text }, { "Age", text } };
        struct http_hop hop = { .url = URL,
                .fault = data[1] % 16 < HTTP_FAULT_COUNT ? data[1] % 16 : HTTP_ANSWERED,
                .status = 200 + data[0] * 2,
                .headers = headers,
                .header_count = 3,
                .body = body,
                .body_len = rest,
                .body_size = rest };
        run(&hop, "t.thumbprint", false);
        run(&hop, "t.thumbprint", true);
        run(&hop, NULL, false);
        follow(text, hop.status, false);
        follow(text, hop.status, true);
        free(text);
        free(body);
        return 0;
}
