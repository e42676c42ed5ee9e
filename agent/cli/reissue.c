/* dcvctl reissue */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/args.h"
#include "agent/cli/cli.h"

#define SERIALS_MAX 20000

/* "--serial HEX" or "@FILE" with one a line. Colons and case do not matter. */
static bool serials(const char *text, json_t **ret, struct err *e)
{
        CLEANUP(free_p) char *data = NULL;
        size_t len = 0;
        CLEANUP(json_decref_p) json_t *list = json_array();
        if (text[0] == '@' && !file_read(text + 1, 1024 * 1024, &data, &len, e))
                return false;
        if (text[0] != '@' && !(data = text_dup(text)))
                return err_memory(e);
        for (char *line = data, *next; line && *line; line = next) {
                next = strchr(line, '\n');
                if (next)
                        *next++ = '\0';
                char clean[130];
                size_t n = 0;
                for (const char *c = line; *c && n < sizeof clean - 1; c++)
                        if (strchr("0123456789abcdefABCDEF", *c))
                                clean[n++] = *c;
                        else if (*c != ':' && *c != ' ' && *c != '\r')
                                return err_set(
                                        e, ERR_CONFIG, "serial", "\"%.60s\" is not a serial number in hex", line);
                clean[n] = '\0';
                if (n > 0 && json_array_size(list) < SERIALS_MAX)
                        json_array_append_new(list, json_string(clean));
        }
        *ret = STEAL(list);
        return true;
}

static void print_dry(const json_t *r)
{
        size_t i;
        json_t *note;
        const json_t *error = json_object_get(r, "error");
        char when[64];
        if (!json_str(r, "cert")) {
                json_array_foreach(json_object_get(r, "names"), i, note)
                {
                        printf("would reissue %s\n", json_string_value(note));
                }
                return;
        }
        if (error)
                printf("%s: refused by %s: %s\n", json_str(r, "cert"), json_str(r, "ca"), json_str(error, "text"));
        else if (json_str(r, "resumes"))
                printf("%s: would resume the running reissue %s at %s\n", json_str(r, "cert"), json_str(r, "resumes"),
                        json_str(r, "ca"));
        else
                printf("%s: would ask %s to reissue %s\n", json_str(r, "cert"), json_str(r, "ca"),
                        json_str(r, "replaces") ? json_str(r, "replaces") : "?");
        if (json_str(r, "replaces") && !error) {
                printf("  product     %s\n", json_str(r, "product") ? json_str(r, "product") : "?");
                printf("  spends      %s\n", json_str(r, "spends"));
                printf("  key         %s\n", json_str(r, "key_type"));
                printf("  validation  %s%s\n", json_str(r, "validation"),
                        json_bool(r, "validation_expected", true) ? "" : " (none expected)");
                printf("  person      %s\n",
                        json_bool(r, "person_expected", false) ? "somebody must approve after validation"
                                                               : "none expected");
                printf("  ends        %s, as before\n", cli_when(json_i64(r, "not_after", 0), when));
        }
        json_array_foreach(json_object_get(r, "notes"), i, note)
        {
                printf("  note        %s\n", json_string_value(note));
        }
        if (error && json_str(error, "fix") && json_str(error, "fix")[0])
                printf("  fix         %s\n", json_str(error, "fix"));
}

static json_t *ids(const json_t *jobs)
{
        json_t *list = json_array(), *j;
        size_t i;
        json_array_foreach(jobs, i, j)
        {
                json_array_append(list, json_object_get(j, "id"));
        }
        return list;
}

/* After an action that answers {jobs:[...]}: say so, follow or return. */
int cli_after_start(const struct cli_options *o, struct session *s, const json_t *result)
{
        size_t i;
        json_t *j;
        json_array_foreach(json_object_get(result, "jobs"), i, j)
        {
                cli_progress(o, "job %lld: %s%s", (long long)json_i64(j, "id", 0), json_str(j, "cert"),
                        json_bool(j, "joined", false) ? " (was running already)" : "");
        }
        bool follow = session_is_local(s) || o->wait || (!o->detach && isatty(STDERR_FILENO) && isatty(STDOUT_FILENO));
        if (follow) {
                CLEANUP(json_decref_p) json_t *list = ids(json_object_get(result, "jobs"));
                return cli_follow_jobs(o, s, list);
        }
        if (o->json)
                cli_print_json(result);
        return EXIT_GOOD;
}

static int started(const struct cli_options *o, struct session *s, json_t *args)
{
        struct err e;
        CLEANUP(json_decref_p) json_t *r = NULL;
        if (!session_ask(s, "reissue", args, &r, &e))
                return cli_fail(o, &e);
        if (json_bool(r, "confirm", false)) {
                CLEANUP(free_p)
                char *question = text_format(
                        "%zu certificates would be reissued.", json_array_size(json_object_get(r, "names")));
                if (!question || !cli_confirm(o, question))
                        return EXIT_REFUSED;
                json_put_bool(args, "yes", true);
                json_decref(r);
                r = NULL;
                if (!session_ask(s, "reissue", args, &r, &e))
                        return cli_fail(o, &e);
        }
        return cli_after_start(o, s, r);
}

/* What the CA says comes before anything is spent; the last reissue is asked for once more. */
static int ask_first(const struct cli_options *o, struct session *s, const json_t *args, bool *ret_go)
{
        struct err e;
        CLEANUP(json_decref_p) json_t *dry = json_deep_copy(args);
        CLEANUP(json_decref_p) json_t *r = NULL;
        *ret_go = false;
        json_put_bool(dry, "dry_run", true);
        if (!session_ask(s, "reissue", dry, &r, &e))
                return cli_fail(o, &e);
        if (o->dry_run) {
                if (o->json)
                        cli_print_json(r);
                else
                        print_dry(r);
                return (int)json_i64(r, "exit", 0);
        }
        *ret_go = true;
        if (!json_bool(r, "last_one", false) || json_object_get(r, "error") || json_str(r, "resumes"))
                return EXIT_GOOD;
        *ret_go = cli_confirm(o, "This spends the only reissue of the certificate.");
        return *ret_go ? EXIT_GOOD : EXIT_REFUSED;
}

int cli_reissue(const struct cli_options *o, int argc, char **argv)
{
        const char *reason = NULL, *spki = NULL, *issuer = NULL, *serial = NULL;
        bool all = false, compromised = false, force = false, local = false, staging = false, go = true;
        const struct cli_arg options[] = { { "--reason", &reason, NULL }, { "--spki", &spki, NULL },
                { "--issuer", &issuer, NULL }, { "--serial", &serial, NULL }, { "--all", NULL, &all },
                { "--key-compromised", NULL, &compromised }, { "--force", NULL, &force }, { "--local", NULL, &local },
                { "--staging", NULL, &staging }, { NULL, NULL, NULL } };
        CLEANUP(json_decref_p) json_t *names = NULL;
        CLEANUP(json_decref_p) json_t *list = NULL;
        struct session *s = NULL;
        struct err e;
        if (!cli_args(argc, argv, options, &names))
                return EXIT_USAGE;
        if (staging)
                return cli_usage("--staging is not in this build (it belongs to ACME)");
        if ((json_array_size(names) > 0) + all + (spki != NULL) + (issuer != NULL) + (serial != NULL) != 1)
                return cli_usage("reissue needs certificates, or one of --all, --spki, --issuer, --serial");
        if (serial && !serials(serial, &list, &e))
                return cli_fail(o, &e);
        CLEANUP(json_decref_p)
        json_t *args = json_pack("{s:O, s:b, s:s?, s:s?, s:s?, s:b, s:b, s:b}", "certs", names, "all", all, "spki",
                spki, "issuer", issuer, "reason", reason, "compromised", compromised, "force", force, "yes", o->yes);
        if (list)
                json_object_set(args, "serials", list);
        struct cli_options mine = *o;
        mine.local = local;
        if (!(local ? session_open_local(&s, &mine, &e) : session_open(&s, &mine, false, &e)))
                return cli_fail(o, &e);
        int status = EXIT_GOOD;
        if (o->dry_run || (json_array_size(names) == 1 && !o->yes && isatty(STDIN_FILENO)))
                status = ask_first(&mine, s, args, &go);
        if (go)
                status = started(&mine, s, args);
        session_close(s);
        return status;
}
