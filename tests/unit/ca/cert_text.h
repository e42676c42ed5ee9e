/* Certificates of the account written as JSON with single quotes, for the tables of these tests. */
#ifndef DCVD_TEST_CERT_TEXT_H
#define DCVD_TEST_CERT_TEXT_H

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/ca/tencent/model.h"

static inline char *quotes(const char *text)
{
        char *s = text_dup(text);

        for (char *p = s; *p; p++)
                if (*p == '\'')
                        *p = '"';
        return s;
}

static inline json_t *json_of(const char *text)
{
        char *s = quotes(text);
        json_error_t why;
        json_t *v = json_loads(s, JSON_DECODE_ANY, &why);

        if (!v)
                fail_msg("%s in %s", why.text, s);
        free(s);
        return v;
}

static inline struct tc_cert cert_of(const char *text)
{
        json_t *v = json_of(text);
        struct tc_cert c;

        if (!tc_cert_read(v, NULL, &c))
                fail_msg("no certificate: %s", text);
        json_decref(v);
        return c;
}

#endif
