/* dcvctl issue */
#include <stdio.h>

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/args.h"
#include "agent/cli/print.h"
#include "agent/cli/simple.h"

static void print_text(FILE *to, const json_t *r)
{
        fprintf(to, "%s\n", json_str(r, "text") ? json_str(r, "text") : "");
}

int cli_issue(const struct cli_options *o, int argc, char **argv)
{
        bool force = false, local = false, staging = false;
        const struct cli_arg options[] = { { "--force", NULL, &force }, { "--local", NULL, &local },
                { "--staging", NULL, &staging }, { NULL, NULL, NULL } };
        CLEANUP(json_decref_p) json_t *names = NULL;
        CLEANUP(json_decref_p) json_t *r = NULL;
        struct session *s = NULL;
        struct err e;
        if (!cli_args(argc, argv, options, &names))
                return EXIT_USAGE;
        if (json_array_size(names) != 1)
                return cli_usage("issue needs one certificate");
        CLEANUP(json_decref_p)
        json_t *args = json_pack("{s:O, s:b, s:b, s:b}", "cert", json_array_get(names, 0), "force", force, "staging",
                staging, "dry_run", o->dry_run);
        struct cli_options mine = *o;
        mine.local = local;
        if (!session_open_for_job(&s, &mine, &e))
                return cli_fail(o, &e);
        int status;
        if (!session_ask(s, "issue", args, &r, &e))
                status = cli_fail(o, &e);
        else if (o->dry_run && !json_str(r, "text"))
                status = cli_answer(o, r, print_dry_run);
        else if (json_str(r, "text"))
                status = cli_answer(o, r, print_text);
        else
                status = cli_after_start(&mine, s, r);
        session_close(s);
        return status;
}
