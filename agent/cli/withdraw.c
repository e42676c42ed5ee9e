/* dcvctl withdraw: returns when the tokens are gone, or says which stay. */
#include <stdio.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/args.h"
#include "agent/cli/simple.h"

#define GONE_WITHIN_MS 30000
#define ASK_EVERY_MS 100

/* What is still out: a dry run tells. */
static bool wait_gone(const struct cli_options *o, struct session *s, json_t *args, json_t **ret_left, struct err *e)
{
        int64_t until_ms = clock_boot_ms() + (o->timeout_ms ? o->timeout_ms : GONE_WITHIN_MS);
        CLEANUP(json_decref_p) json_t *dry = json_deep_copy(args);
        json_put_bool(dry, "dry_run", true);
        for (;;) {
                CLEANUP(json_decref_p) json_t *r = NULL;
                if (!session_ask(s, "withdraw", dry, &r, e))
                        return false;
                json_t *left = json_object_get(r, "tokens");
                if (json_array_size(left) == 0 || clock_boot_ms() >= until_ms) {
                        *ret_left = json_incref(left);
                        return true;
                }
                session_pause(s, ASK_EVERY_MS);
        }
}

static void say_left(const json_t *left)
{
        size_t i;
        json_t *t;
        json_array_foreach(left, i, t)
        {
                fprintf(stderr, "dcvctl: %s by %s is still there%s%s; dcvd tries again\n", json_str(t, "token"),
                        json_str(t, "publisher"), json_str(t, "problem") ? ": " : "",
                        json_str(t, "problem") ? json_str(t, "problem") : "");
        }
}

static int withdraw(const struct cli_options *o, struct session *s, json_t *args)
{
        struct err e;
        CLEANUP(json_decref_p) json_t *r = NULL;
        CLEANUP(json_decref_p) json_t *left = NULL;
        if (!session_ask(s, "withdraw", args, &r, &e))
                return cli_fail(o, &e);
        int64_t count = json_i64(r, "withdrawn", 0);
        if (!o->dry_run && !o->detach && count > 0) {
                if (!wait_gone(o, s, args, &left, &e))
                        return cli_fail(o, &e);
                CLEANUP(free_p)
                char *text = text_format("%lld token%s withdrawn", (long long)count, count == 1 ? "" : "s");
                json_object_set(r, "left", left);
                json_put_i64(r, "withdrawn", MAX(count - (int64_t)json_array_size(left), 0));
                if (json_array_size(left) == 0)
                        json_put_text(r, "text", text);
                else
                        json_put_i64(r, "exit", EXIT_JOB_FAILED);
                say_left(left);
        }
        return cli_answer(o, r, NULL);
}

int cli_withdraw(const struct cli_options *o, int argc, char **argv)
{
        bool stale = false;
        const struct cli_arg options[] = { { "--stale", NULL, &stale }, { NULL, NULL, NULL } };
        CLEANUP(json_decref_p) json_t *names = NULL;
        if (!cli_args(argc, argv, options, &names))
                return EXIT_USAGE;
        if (json_array_size(names) + stale != 1)
                return cli_usage("withdraw takes one certificate, or --stale");
        CLEANUP(json_decref_p)
        json_t *args = stale ? json_pack("{s:b}", "stale", 1) : json_pack("{s:O}", "cert", json_array_get(names, 0));
        struct session *s = NULL;
        struct err e;
        json_put_bool(args, "dry_run", o->dry_run);
        if (!session_open(&s, o, true, &e))
                return cli_fail(o, &e);
        int status = withdraw(o, s, args);
        session_close(s);
        return status;
}
