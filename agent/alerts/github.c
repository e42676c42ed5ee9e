/* GitHub's webhook names the place of a leaked key, not the key. With an API token the key is fetched; then its public
 * half decides. The token is sent to the configured API and nowhere else, whatever the alert says. */
#include <stdlib.h>
#include <string.h>

#include "agent/alerts/intake_internal.h"
#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/job/engine.h"
#include "agent/net/http.h"
#include "agent/pki/evidence.h"

#define ANSWER_MAX 262144
#define FETCH_MS 6000 /* GitHub waits ten seconds for our answer */

struct fetch {
        struct alert_item *item;
        fetch_done_fn *done;
        void *arg;
};

/* Where the key stands in the answer, it must not stay in memory that is freed. */
static bool take_secret(struct alert_item *i, const char *body, size_t len, struct err *e)
{
        CLEANUP(json_decref_p) json_t *o = NULL;
        if (!json_read(body, len, 16, &o, e))
                return false;
        json_t *member = json_object_get(o, "secret");
        const char *secret = json_string_value(member);
        size_t secret_len = json_string_length(member);
        if (!secret || secret_len == 0 || secret_len > EVIDENCE_MAX)
                return err_set(e, ERR_PROTOCOL, "github.answer", "GitHub's answer has no secret in it");
        i->evidence = text_dup_n(secret, secret_len);
        i->evidence_len = secret_len;
        wipe((void *)secret, secret_len); /* jansson would free it as it is */
        return i->evidence || err_memory(e);
}

/* A key that cannot be read (encrypted, cut) proves nothing: the alert stays a hint. */
static bool is_readable(struct alert_item *i, struct err *e)
{
        struct evidence v = { 0 };
        bool good = evidence_read(i->evidence, i->evidence_len, NULL, &v, e);
        evidence_done(&v);
        if (good)
                return true;
        wipe(i->evidence, i->evidence_len);
        free(i->evidence);
        i->evidence = NULL;
        i->evidence_len = 0;
        return false;
}

static void on_answer(void *arg, const struct http_answer *answer, const struct err *err)
{
        struct fetch *f = arg;
        struct err e;
        bool good = false;
        if (!answer)
                e = *err;
        else if (answer->status != 200)
                err_set(&e, answer->status < 500 ? ERR_DENIED : ERR_TEMPORARY, "github.status",
                        "GitHub answered %d to the question for the leaked key", answer->status);
        else
                good = take_secret(f->item, answer->body, answer->body_len, &e) && is_readable(f->item, &e);
        if (answer && answer->body_len > 0)
                wipe((void *)answer->body, answer->body_len);
        if (!good && answer && (answer->status == 401 || answer->status == 403 || answer->status == 404))
                err_fix(&e, "the token needs \"Secret scanning alerts: read\" for that repository");
        f->done(f->arg, good ? NULL : &e);
        free(f);
}

static bool is_of(const char *url, const char *api)
{
        size_t len = strlen(api);
        while (len > 0 && api[len - 1] == '/')
                len--;
        return strncmp(url, api, len) == 0 && url[len] == '/' && !strpbrk(url, "@\\ \t\r\n#") && !strstr(url, "..");
}

bool github_fetch(
        struct engine *g, const struct conf_webhook *h, struct alert *a, fetch_done_fn *done, void *arg, struct err *e)
{
        CLEANUP(secret_done) struct secret token = { 0 };
        const char *url = a->item[0].fetch_url;
        if (!is_of(url, h->api)) {
                err_set(e, ERR_DENIED, "github.url", "the alert's url is not one of %s", h->api);
                return err_fix(e, "for GitHub Enterprise set api: of this webhook");
        }
        if (!secret_load(&h->token, &token, e))
                return false;
        struct fetch *f = calloc(1, sizeof *f);
        char *auth = text_format("Authorization: Bearer %s", (const char *)token.data);
        const char *const headers[] = { "Accept: application/vnd.github+json", "X-GitHub-Api-Version: 2022-11-28",
                auth ? auth : "", NULL };
        const struct http_request r = { .method = "GET",
                .url = url,
                .headers = headers,
                .answer_max_bytes = ANSWER_MAX,
                .connect_timeout_ms = FETCH_MS,
                .timeout_ms = FETCH_MS,
                .once_only = true, /* the connection closes: nothing of it lingers */
                .allow_http = text_starts(h->api, "http://"), /* loopback only, config sees to that */
                .use_proxy = true };
        bool good = f && auth;
        if (good) {
                *f = (struct fetch){ &a->item[0], done, arg };
                good = http_start(engine_http(g), &r, on_answer, f, e) != NULL;
        } else {
                err_memory(e);
        }
        if (!good)
                free(f);
        if (auth)
                wipe_free_text(auth);
        return good;
}
