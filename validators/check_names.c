/* Group N: the names by themselves, nobody is asked. */
#include "validators/check_caa.h"
#include "validators/name_check.h"

static struct name_request request_of(const struct check_target *t)
{
        return (struct name_request){ .names = (const char *const *)t->names.item,
                .count = t->names.count,
                .method = check_method_name(t),
                .offered = t->offered,
                .ip_type = t->acme ? "ip" : NULL, /* RFC 8738 */
                .names_max = t->names_max,
                .internal = t->internal };
}

static void judge_list(struct check_context *c, struct judgements *out)
{
        struct name_request r = request_of(c->target);
        names_judge_list(&r, out);
}

static void judge_one(struct check_context *c, struct judgements *out)
{
        struct name_request r = request_of(c->target);
        (void)name_judge(&r, c->name, out); /* what it found stops the name */
        if (!c->target->offered)
                judge_unverifiable(
                        out, "N06", c->name, "which methods the CA offers is only known once an order is open");
}

const struct check check_name_list = { "N11 N12", STAGE_NAMES, CHECK_TARGET, 0, judge_list };
const struct check check_name_one = { "N01 N02 N03 N04 N05 N06 N07 N09 N10", STAGE_NAMES, CHECK_NAME, 0, judge_one };
