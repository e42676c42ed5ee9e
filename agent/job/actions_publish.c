/* The action publish: the tokens of a certificate's open order are put out again, now. Publishers are idempotent, so
 * that nothing is doubled; what a person or a zone that was restored took away is there again, and a publisher that was
 * mended is not waited for. */
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/job/actions.h"
#include "agent/job/internal.h"

static bool is_meant(const struct token *t, const struct cert *c)
{
        return !t->gone && !t->row.probe && t->row.cert && strcmp(t->row.cert, c->row.name) == 0 && token_wanted(t);
}

static void note(json_t *list, const struct token *t)
{
        char place[300];
        proof_text(&t->row.proof, place, sizeof place);
        json_array_append_new(list,
                json_pack("{s:s, s:s, s:s, s:s, s:s?}", "token", place, "value", t->row.proof.value, "publisher",
                        t->row.publisher, "state", t->row.state, "problem", t->problem[0] ? t->problem : NULL));
}

void action_publish(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        struct err e;
        struct cert *cert = NULL;
        bool dry = json_bool(args, "dry_run", false);
        size_t count = 0;
        if (!action_cert(g, args, &cert, &e))
                return done(arg, NULL, &e);
        CLEANUP(json_decref_p) json_t *o = json_pack("{s:i, s:b, s:[]}", "exit", 0, "dry_run", dry, "tokens");
        for (size_t i = 0; i < g->token_count; i++)
                if (is_meant(g->token[i], cert)) {
                        note(json_object_get(o, "tokens"), g->token[i]);
                        count++;
                }
        for (size_t i = g->token_count; !dry && i-- > 0;)
                if (is_meant(g->token[i], cert)) {
                        g->token[i]->failure.kind = ERR_NONE;
                        token_publish(g->token[i]);
                }
        CLEANUP(free_p)
        char *text = count == 0
                ? text_format("no token of %s is wanted now: no order of it waits for one", cert->row.name)
                : text_format("%zu token%s %s published again%s", count, count == 1 ? "" : "s",
                          dry                  ? "would be"
                                  : count == 1 ? "is being"
                                               : "are being",
                          dry ? "" : "; dcvctl status --records shows whether they are");
        json_put_text(o, "text", text);
        done(arg, o, NULL);
}
