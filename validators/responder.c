/* responder: dcvd answers itself, files on the addresses of tokens.listen, tls-alpn on those of tokens.tls_listen. Only
 * exact tokens, only while published. */
#include <stdlib.h>

#include "validators/alpn_table.h"
#include "validators/direct.h"
#include "validators/token_table.h"

struct publisher {
        struct direct_list calls;
        struct token_table *table;
        struct alpn_table *alpn;
};

static bool open_publisher(
        struct publisher **ret, const struct publisher_env *env, const char *name, const void *conf, struct err *e)
{
        struct publisher *p = calloc(1, sizeof *p);
        (void)name;
        (void)conf;
        if (!p)
                return err_memory(e);
        p->calls.loop = env->loop;
        p->table = env->tokens;
        p->alpn = env->alpn;
        *ret = p;
        return true;
}

static void close_publisher(struct publisher *p)
{
        direct_done(&p->calls);
        free(p);
}

static struct publish_call *publish(struct publisher *p, const struct proof *proof, publish_place_fn *place,
        publish_done_fn *done, void *arg, struct err *e)
{
        (void)place;
        struct err bad;
        bool good = proof->type == PROOF_TLS ? alpn_table_put(p->alpn, proof->place, proof->value, &bad)
                                             : token_table_put(p->table, proof->place, proof->path, proof->value, &bad);
        return direct_answer(&p->calls, "served", good ? NULL : &bad, done, arg, e);
}

static struct publish_call *retract(struct publisher *p, const struct proof *proof, const char *handle,
        publish_done_fn *done, void *arg, struct err *e)
{
        (void)handle;
        if (proof->type == PROOF_TLS)
                alpn_table_drop(p->alpn, proof->place);
        else
                token_table_drop(p->table, proof->place, proof->path);
        return direct_answer(&p->calls, NULL, NULL, done, arg, e);
}

static void cancel(struct publisher *p, struct publish_call *c)
{
        direct_cancel(&p->calls, c);
}

static const struct conf_key keys[] = { { 0 } };
const struct publisher_ops publisher_responder = { .type = "responder",
        .can = PROOF_FILE | PROOF_TLS,
        .keys = keys,
        .open = open_publisher,
        .close = close_publisher,
        .publish = publish,
        .retract = retract,
        .cancel = cancel };
