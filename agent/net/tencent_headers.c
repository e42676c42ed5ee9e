/* The headers of one call: the signature over what is sent, made anew for each try. */
#include <stdio.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/net/tc3.h"
#include "agent/net/tencent_internal.h"

#define CONTENT_TYPE "application/json"

void tencent_headers_done(struct tencent_headers *h)
{
        for (size_t i = 0; i < h->count; i++)
                wipe_free_text(h->text[i]);
}

static void headers_add(struct tencent_headers *h, const char *name, const char *value)
{
        char *line = h->count < HEADERS_MAX ? text_format("%s: %s", name, value) : NULL;

        if (line)
                h->text[h->count++] = line;
        else
                h->failed = true;
}

static bool token_add(struct tencent_api *a, struct tencent_headers *h, struct err *e)
{
        struct secret token = { 0 };

        if (!a->has_token)
                return true;
        if (!secret_load(&a->token, &token, e))
                return false;
        bool ok = token.len > 0;
        for (size_t i = 0; i < token.len; i++)
                ok = ok && token.data[i] > ' ' && token.data[i] < 0x7f;
        if (ok)
                headers_add(h, "X-TC-Token", (const char *)token.data);
        secret_done(&token);
        return ok || err_set(e, ERR_CONFIG, "tc.token", "%s: the token has blanks or control bytes", a->name);
}

static bool authorization_make(struct tencent_call *c, int64_t at_s, char **ret, struct err *e)
{
        struct tencent_api *a = c->api;
        struct secret id = { 0 }, key = { 0 };
        struct tc3_request r = { .service = a->service,
                .host = a->host,
                .content_type = CONTENT_TYPE,
                .timestamp_s = at_s,
                .body = c->body,
                .body_len = strlen(c->body),
                .secret_id = &id,
                .secret_key = &key };
        bool ok = secret_load(&a->secret_id, &id, e) && secret_load(&a->secret_key, &key, e) &&
                tc3_authorization(&r, ret, e);

        secret_done(&id);
        secret_done(&key);
        return ok;
}

bool tencent_headers_make(struct tencent_call *c, struct tencent_headers *h, struct err *e)
{
        struct tencent_api *a = c->api;
        int64_t at_s = clock_now_s() + a->clock_offset_s;
        char *authorization = NULL, stamp[32];

        if (!authorization_make(c, at_s, &authorization, e))
                return err_wrap(e, "%s", a->name);
        snprintf(stamp, sizeof stamp, "%lld", (long long)at_s);
        headers_add(h, "Content-Type", CONTENT_TYPE);
        headers_add(h, "X-TC-Action", c->action);
        headers_add(h, "X-TC-Version", a->version);
        headers_add(h, "X-TC-Timestamp", stamp);
        headers_add(h, "X-TC-Language", "en-US");
        headers_add(h, "Authorization", authorization);
        wipe_free_text(authorization);
        if (!token_add(a, h, e))
                return false;
        return !h->failed || err_memory(e);
}
