/* The one question to a CA: its ACME directory, which is open to everybody (RFC 8555 section 7.1.1). */
#include "validators/check_identity.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "validators/caa.h"

#define IDENTITIES_MAX 10

struct said { /* the value of the fact */
        const char *issuer[IDENTITIES_MAX + 1]; /* point into the texts */
        struct texts texts;
        char *error; /* NULL: got */
};
struct wanted {
        const char *directory, *ca_bundle;
};

static void said_free(void *value)
{
        struct said *s = value;
        texts_done(&s->texts);
        free(s->error);
        free(s);
}

static void *failed(const struct err *err)
{
        struct said *s = calloc(1, sizeof *s);
        if (s && (s->error = text_dup(err->text)))
                return s;
        free(s);
        return NULL;
}

static void take(struct said *s, const struct http_answer *a)
{
        CLEANUP(json_decref_p) json_t *o = NULL;
        struct err e;
        if (a->status != 200 || !json_read(a->body, a->body_len, 16, &o, &e)) {
                s->error = text_format("its directory answers with status %d", a->status);
                return;
        }
        const json_t *list = json_object_get(json_object_get(o, "meta"), "caaIdentities");
        for (size_t i = 0; i < json_array_size(list) && s->texts.count < IDENTITIES_MAX; i++) {
                const char *text = json_string_value(json_array_get(list, i));
                if (text && dns_name_is_valid(text) && texts_add(&s->texts, text))
                        s->issuer[s->texts.count - 1] = s->texts.item[s->texts.count - 1];
        }
}

static void fetched(void *arg, const struct http_answer *answer, const struct err *err)
{
        struct said *s = answer ? calloc(1, sizeof *s) : failed(err);
        if (s && answer)
                take(s, answer);
        if (s)
                check_fact_done(arg, s); /* without memory the deadline of the run ends the wait */
}

static bool start(struct check_fact *f, const void *request, struct err *e)
{
        const struct wanted *w = request;
        const struct http_request r = { .method = "GET",
                .url = w->directory,
                .answer_max_bytes = 65536,
                .timeout_ms = 10000,
                .allow_http = true, /* the configuration allows that on loopback alone */
                .use_proxy = true,
                .ca_bundle = w->ca_bundle };
        *check_fact_place(f) = http_start(check_http_client(check_fact_run(f)), &r, fetched, f, e);
        return *check_fact_place(f);
}

static void cancel(struct check_fact *f)
{
        http_cancel(*check_fact_place(f));
}

static const char *const *of_host(const char *url)
{
        const char *host = strstr(url, "://");
        host = host ? host + 3 : url;
        CLEANUP(free_p) char *copy = text_dup_n(host, strcspn(host, ":/"));
        const struct caa_identity *known = copy ? caa_identity_of_host(copy) : NULL;
        return known ? known->domains : NULL;
}

const char *const *check_issuers(struct check_context *c, const char **ret_why)
{
        static const struct check_fact_kind kind = { start, cancel, said_free, failed };
        const struct check_target *t = c->target;
        *ret_why = "what the CA calls itself there is not known; --caa DOMAIN (or `caa:` of the CA) says it";
        if (t->issuers && t->issuers[0])
                return t->issuers;
        if (!t->directory)
                return NULL;
        CLEANUP(free_p) char *key = text_format("directory %s", t->directory);
        const struct said *s =
                key ? check_fact(c, key, &kind, &(const struct wanted){ t->directory, t->ca_bundle }) : NULL;
        if (!s)
                return NULL;
        return s->issuer[0] ? s->issuer : of_host(t->directory);
}
