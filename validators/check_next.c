/* O16, as far as names and CAA decide it: could the next CA of the list take over for this name? Whether it has an
 * account and would sell, only the daemon can ask it. */
#include <string.h>

#include "agent/base/util.h"
#include "validators/check_caa.h"
#include "validators/check_identity.h"
#include "validators/name_check.h"

extern const struct check check_http_file;

/* The gravest that was found about the next CA, told as a finding about the list. */
static bool tell(struct check_context *c, const struct check_target *next, const struct judgements *found,
        struct judgements *out)
{
        for (size_t i = 0; i < found->count; i++) {
                const struct judgement *j = &found->item[i];
                const struct check_id *id = check_id_find(j->id);
                if (j->unverifiable || !id || id->severity < CHECK_ERROR)
                        continue;
                judge(out, "O16", (struct judgement_words){ c->name, j->fix, j->observed, j->wanted },
                        "CA %s, further down the list, could not take over for %s (%s): %s", next->ca, c->name, j->id,
                        j->message);
                return true;
        }
        return false;
}

static void judge_caa(struct check_context *c, const struct check_target *next, const struct caa_level *level,
        size_t count, struct judgements *out)
{
        struct check_context as_next = *c;
        struct judgements found = { 0 };
        const char *why = NULL;
        as_next.target = next;
        const char *const *issuers = check_issuers(&as_next, &why);
        const struct caa_question q = { .name = c->name,
                .ca = next->ca ? next->ca : "the CA",
                .issuers = issuers,
                .account = next->account,
                .method = next->acme ? check_method_name(next) : NULL };
        c->open = as_next.open;
        if (!issuers)
                return; /* asked for, or not to be known: C02 says of the first CA how it could be */
        (void)caa_judge(&q, level, count, &found);
        (void)tell(c, next, &found, out);
        judgements_done(&found);
}

/* Files are wanted there and records here: then nothing else has looked at the web server. */
static void judge_files(struct check_context *c, const struct check_target *next, struct judgements *out)
{
        struct check_context as_next = *c;
        struct judgements found = { 0 };
        if (next->method != METHOD_FILE || c->target->method == METHOD_FILE)
                return;
        as_next.target = next;
        check_http_file.run(&as_next, &found);
        c->open = as_next.open;
        if (as_next.open == 0)
                (void)tell(c, next, &found, out);
        judgements_done(&found);
}

static bool name_is_fine(struct check_context *c, const struct check_target *next, struct judgements *out)
{
        struct judgements found = { 0 };
        const struct name_request r = { .names = (const char *const *)next->names.item,
                .count = next->names.count,
                .method = check_method_name(next),
                .offered = next->offered,
                .ip_type = next->acme ? "ip" : NULL,
                .names_max = next->names_max,
                .internal = next->internal };
        (void)name_judge(&r, c->name, &found);
        bool told = tell(c, next, &found, out);
        judgements_done(&found);
        return !told;
}

static void run(struct check_context *c, struct judgements *out)
{
        struct caa_level level[CHECK_CAA_LEVELS];
        struct judgements quiet = { 0 };
        size_t count = 0;
        struct address numeric;
        bool host = !address_parse(c->base, 0, &numeric); /* an address has no CAA */
        bool known = host && c->target->next_count > 0 && check_caa_levels(c, level, &count, &quiet);
        for (size_t i = 0; i < c->target->next_count; i++) {
                const struct check_target *next = &c->target->next[i];
                if (!name_is_fine(c, next, out))
                        continue;
                if (known && !next->internal)
                        judge_caa(c, next, level, count, out);
                judge_files(c, next, out);
        }
        for (size_t i = 0; i < count; i++)
                caa_level_done(&level[i]);
        judgements_done(&quiet);
}

const struct check check_next_ca = { "O16", STAGE_REST, CHECK_NAME, CHECK_NEEDS_CERT, run };
