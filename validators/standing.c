/* A record that stands for good (dns-persist-01): nothing is published and nothing taken back. Not to be configured: it
 * takes the place of the configured publisher where a proof is of that kind. */
#include <stdlib.h>

#include "validators/direct.h"

struct publisher {
        struct direct_list calls;
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
        (void)proof;
        return direct_answer(&p->calls, "stands", NULL, done, arg, e);
}

static struct publish_call *retract(struct publisher *p, const struct proof *proof, const char *handle,
        publish_done_fn *done, void *arg, struct err *e)
{
        (void)proof;
        (void)handle;
        return direct_answer(&p->calls, NULL, NULL, done, arg, e);
}

static void cancel(struct publisher *p, struct publish_call *c)
{
        direct_cancel(&p->calls, c);
}

static const struct conf_key keys[] = { { 0 } };
const struct publisher_ops publisher_standing = { .type = "standing",
        .can = PROOF_PERSIST,
        .keys = keys,
        .by_person = true,
        .open = open_publisher,
        .close = close_publisher,
        .publish = publish,
        .retract = retract,
        .cancel = cancel };
