/* webroot: a file below the web server's document root, written by dcvd-helper, whose directory comes from the
 * root-owned configuration: the request carries the publisher's name, the path and the bytes. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/net/helper.h"
#include "validators/publisher.h"
#include "validators/webroot.h"

struct publish_call {
        struct publisher *publisher;
        struct publish_call *next;
        struct helper_call *call;
        publish_done_fn *done;
        void *arg;
};
struct publisher {
        struct helper *helper;
        char *name;
        struct publish_call *first;
};

static void call_free(struct publish_call *c)
{
        for (struct publish_call **at = &c->publisher->first; *at; at = &(*at)->next)
                if (*at == c) {
                        *at = c->next;
                        break;
                }
        free(c);
}

static bool open_publisher(
        struct publisher **ret, const struct publisher_env *env, const char *name, const void *conf, struct err *e)
{
        struct publisher *p = calloc(1, sizeof *p);
        (void)conf; /* the helper reads the directory itself */
        if (!p || !(p->name = text_dup(name))) {
                free(p);
                return err_memory(e);
        }
        p->helper = env->helper;
        *ret = p;
        return true;
}

static void cancel(struct publisher *p, struct publish_call *c)
{
        (void)p;
        helper_cancel(c->call);
        call_free(c);
}

static void close_publisher(struct publisher *p)
{
        while (p->first)
                cancel(p, p->first);
        free(p->name);
        free(p);
}

static void answered(void *arg, const json_t *answer, const struct err *err)
{
        struct publish_call *c = arg;
        publish_done_fn *done = c->done;
        void *done_arg = c->arg;
        char handle[32] = "";
        int64_t made = json_i64(answer, "made", 0);
        if (made > 0) /* directories made on the way: they go with the file, if they are empty then */
                snprintf(handle, sizeof handle, "made %lld", (long long)made);
        call_free(c);
        done(done_arg, err ? NULL : handle, err);
}

static struct publish_call *request(struct publisher *p, const char *verb, const struct proof *proof,
        const char *handle, publish_done_fn *done, void *arg, struct err *e)
{
        long long made = 0;
        struct publish_call *c = calloc(1, sizeof *c);
        CLEANUP(json_decref_p)
        json_t *header = json_pack("{s:s, s:s, s:s}", "publisher", p->name, "path", proof->path, "host", proof->place);
        if (handle && sscanf(handle, "made %lld", &made) == 1)
                json_put_i64(header, "made", made);
        if (!c || !header) {
                free(c);
                err_memory(e);
                return NULL;
        }
        *c = (struct publish_call){ .publisher = p, .done = done, .arg = arg };
        c->call = helper_start(p->helper, verb, header, proof->value, strlen(proof->value), 30000, answered, c, e);
        if (!c->call) {
                free(c);
                return NULL;
        }
        c->next = p->first;
        p->first = c;
        return c;
}

static struct publish_call *publish(struct publisher *p, const struct proof *proof, publish_place_fn *place,
        publish_done_fn *done, void *arg, struct err *e)
{
        (void)place;
        return request(p, "token-put", proof, NULL, done, arg, e);
}

static struct publish_call *retract(struct publisher *p, const struct proof *proof, const char *handle,
        publish_done_fn *done, void *arg, struct err *e)
{
        return request(p, "token-drop", proof, handle, done, arg, e);
}

extern const struct publisher_ops publisher_webroot;
const struct publisher_ops publisher_webroot = { .type = "webroot",
        .can = PROOF_FILE,
        .keys = webroot_keys,
        .conf_size = sizeof(struct webroot_conf),
        .open = open_publisher,
        .close = close_publisher,
        .publish = publish,
        .retract = retract,
        .cancel = cancel };
