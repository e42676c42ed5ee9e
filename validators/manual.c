/* manual: a person publishes. dcvd prints the exact record or file, watches all servers and goes on by itself when it
 * appears. */
#include <stdlib.h>

#include "agent/base/log.h"
#include "agent/base/util.h"
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
        CLEANUP(free_p) char *text = proof_instruction(proof, 60);
        if (text)
                log_warning(proof->name, "please publish: %s", text);
        return direct_answer(&p->calls, "announced", NULL, done, arg, e);
}

static struct publish_call *retract(struct publisher *p, const struct proof *proof, const char *handle,
        publish_done_fn *done, void *arg, struct err *e)
{
        char place[300];
        (void)handle;
        proof_text(proof, place, sizeof place);
        log_info(proof->name, "no longer needed, you can remove it: %s", place);
        return direct_answer(&p->calls, NULL, NULL, done, arg, e);
}

static void cancel(struct publisher *p, struct publish_call *c)
{
        direct_cancel(&p->calls, c);
}

static const struct conf_key keys[] = { { 0 } };
extern const struct publisher_ops publisher_manual;
const struct publisher_ops publisher_manual = { .type = "manual",
        .can = PROOF_TXT | PROOF_CNAME | PROOF_FILE,
        .keys = keys,
        .by_person = true,
        .open = open_publisher,
        .close = close_publisher,
        .publish = publish,
        .retract = retract,
        .cancel = cancel };
