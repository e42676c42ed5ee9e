/* dcvctl reissue */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/args.h"
#include "agent/cli/simple.h"

#define SERIALS_MAX 20000

/* "--serial HEX" or "@FILE" with one a line; a key's hash is written the same way. Colons and case do not matter. */
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

/* The CA did not refuse: it was not reached, or gave no answer that could be read. */
static bool no_answer(const json_t *error)
{
        const char *kind = json_str(error, "kind");
        enum err_kind k = kind ? err_kind_from_name(kind) : ERR_RULE;
        return k == ERR_TEMPORARY || k == ERR_UNKNOWN || k == ERR_PROTOCOL || k == ERR_RATE_LIMITED;
}

/* --key-compromised: what becomes of the key, and of whoever else has it. */
static void print_key_effects(FILE *to, const json_t *r)
{
        size_t i;
        json_t *name;
        if (json_bool(r, "marks", false))
                fprintf(to, "  marks       the key compromised, for ever\n");
        json_array_foreach(json_object_get(r, "also"), i, name)
        {
                fprintf(to, "  also        %s has the same key and would be reissued too\n", json_string_value(name));
        }
        if (json_bool(r, "opens_incident", false))
                fprintf(to, "  incident    would be opened for all of them: dcvctl incidents\n");
        json_array_foreach(json_object_get(r, "others"), i, name)
        {
                print_dry_run(to, name);
        }
}

static void print_people(FILE *to, const json_t *r)
{
        const char *by_hand = json_str(r, "published_by_hand");
        bool approves = json_bool(r, "approval_expected", json_bool(r, "person_expected", false));
        if (by_hand)
                fprintf(to, "  person      you must publish by hand what dcvd then shows (publisher %s)\n", by_hand);
        if (approves || !by_hand)
                fprintf(to, "  person      %s\n",
                        approves ? "somebody must approve after validation" : "none expected");
}

/* Of a CA that was not reached: a job would not wait for it for ever. */
static void print_next_ca(FILE *to, const json_t *r)
{
        char after[40];
        if (!json_str(r, "next_ca"))
                return;
        format_span(json_i64(r, "next_ca_after", 0), after, sizeof after);
        fprintf(to, "  then        %s takes over if %s gives no final answer for %s (fallback.after)\n",
                json_str(r, "next_ca"), json_str(r, "ca"), after);
}

void print_dry_run(FILE *to, const json_t *r)
{
        size_t i;
        json_t *note;
        const json_t *error = json_object_get(r, "error");
        char when[64];
        bool issues = json_bool(r, "issues", false);
        json_array_foreach(json_object_get(r, "refused"), i, note) /* the CAs before it */
        {
                fprintf(to, "%s: refused by %s: %s\n", json_str(r, "cert"), json_str(note, "ca"),
                        json_str(note, "text"));
        }
        const char *code = json_str(error, "code"), *ca = json_str(r, "ca");
        bool server = code && text_starts(code, "deploy."), here = json_bool(r, "here", false) || !ca;
        if (error && server) /* a web server on this host, which the text names */
                fprintf(to, "%s: refused: %s\n", json_str(r, "cert"), json_str(error, "text"));
        else if (error && here && !no_answer(error)) /* its configuration, dcvd-helper */
                fprintf(to, "%s: refused on this host: %s\n", json_str(r, "cert"), json_str(error, "text"));
        else if (error && no_answer(error))
                fprintf(to, "%s: not known now: %s\n", json_str(r, "cert"), json_str(error, "text"));
        else if (error)
                fprintf(to, "%s: refused by %s: %s\n", json_str(r, "cert"), json_str(r, "ca"), json_str(error, "text"));
        else if (json_str(r, "resumes"))
                fprintf(to, "%s: would resume the running reissue %s at %s\n", json_str(r, "cert"),
                        json_str(r, "resumes"), json_str(r, "ca"));
        else if (json_str(r, "takes"))
                fprintf(to,
                        "%s: would take over %s, which %s issued for a key of this host and which was never fetched\n",
                        json_str(r, "cert"), json_str(r, "takes"), json_str(r, "ca"));
        else if (issues)
                fprintf(to, "%s: would order a new certificate from %s\n", json_str(r, "cert"), json_str(r, "ca"));
        else
                fprintf(to, "%s: would ask %s to reissue %s\n", json_str(r, "cert"), json_str(r, "ca"),
                        json_str(r, "replaces") ? json_str(r, "replaces") : "?");
        if ((json_str(r, "replaces") || issues) && !error) {
                fprintf(to, "  product     %s\n", json_str(r, "product") ? json_str(r, "product") : "?");
                fprintf(to, "  spends      %s", json_str(r, "spends"));
                if (json_i64(r, "issued_this_week", 0) > 0)
                        fprintf(to, "; it gave this host %lld of these names in the last seven days",
                                (long long)json_i64(r, "issued_this_week", 0));
                fprintf(to, "\n");
                const char *not_kept = json_str(r, "key_not_kept");
                fprintf(to, "  key         %s%s%s\n", json_str(r, "key_type"),
                        json_bool(r, "key_kept", false) ? ", the live one is kept"
                                : not_kept              ? ", a new one; the live one is not kept: "
                                                        : "",
                        not_kept ? not_kept : "");
                fprintf(to, "  validation  %s%s\n", json_str(r, "validation"),
                        json_bool(r, "validation_expected", true) ? "" : " (none expected)");
                print_people(to, r);
                if (!issues)
                        fprintf(to, "  ends        %s, as before\n", cli_when(json_i64(r, "not_after", 0), when));
        }
        json_array_foreach(json_object_get(r, "notes"), i, note)
        {
                fprintf(to, "  note        %s\n", json_string_value(note));
        }
        if (error && json_str(error, "fix") && json_str(error, "fix")[0])
                fprintf(to, "  fix         %s\n", json_str(error, "fix"));
        print_next_ca(to, r);
        print_key_effects(to, r);
}

/* Those that could not be started, while others were. */
static int say_refused(const json_t *refused)
{
        size_t i;
        json_t *one;
        int worst = EXIT_GOOD;
        json_array_foreach(refused, i, one)
        {
                const json_t *error = json_object_get(one, "error");
                const char *code = json_str(error, "code"), *text = json_str(error, "text"),
                           *fix = json_str(error, "fix");
                struct err e;
                err_set(&e, err_kind_from_name(json_str(error, "kind")), code ? code : "error", "%s", text ? text : "");
                fprintf(stderr, "dcvctl: %s: %s\n", json_str(one, "cert"), e.text);
                if (fix && fix[0])
                        fprintf(stderr, "        %s\n", fix);
                json_put_i64(one, "exit", cli_exit_of(&e));
                worst = cli_worse(worst, cli_exit_of(&e));
        }
        return worst;
}

/* After an action that answers {jobs:[...]}: say so, follow or return. */
int cli_after_start(const struct cli_options *o, struct session *s, json_t *result)
{
        size_t i;
        json_t *j, *jobs = json_object_get(result, "jobs"), *refused = json_object_get(result, "refused");
        int worst = say_refused(refused);
        json_array_foreach(jobs, i, j)
        {
                json_put_i64(j, "job", json_i64(j, "id", 0)); /* as one that was followed is called */
                cli_progress(o, "job %lld: %s%s", (long long)json_i64(j, "id", 0), json_str(j, "cert"),
                        json_bool(j, "joined", false) ? " (was running already)" : "");
        }
        json_array_foreach(json_object_get(result, "also"), i, j)
        {
                cli_progress(o, "%s has the same key and is reissued too: dcvctl incidents", json_string_value(j));
        }
        bool follow = session_is_local(s) || o->wait || (!o->detach && isatty(STDERR_FILENO) && isatty(STDOUT_FILENO));
        if (follow && json_array_size(jobs) > 0)
                return cli_follow_jobs(o, s, jobs, refused);
        json_put_i64(result, "exit", worst);
        if (o->json)
                cli_print_json(result);
        return worst;
}

/* How many, and which: the first ten. */
static char *question_of(const json_t *names_only, const json_t *also)
{
        CLEANUP(json_decref_p) json_t *names = json_copy((json_t *)names_only);
        json_array_extend(names, (json_t *)also);
        size_t i, count = json_array_size(names);
        json_t *name;
        struct buf b = { .max = 4096 };
        buf_addf(&b, "%zu certificates would be reissued:", count);
        json_array_foreach(names, i, name)
        {
                if (i < 10)
                        buf_addf(&b, "%s %s", i ? "," : "", json_string_value(name));
        }
        if (count > 10)
                buf_addf(&b, " and %zu more", count - 10);
        if (json_array_size(also) > 0)
                buf_addf(&b, "; %zu of them for having the same key", json_array_size(also));
        return buf_steal(&b);
}

static int started(const struct cli_options *o, struct session *s, json_t *args)
{
        struct err e;
        CLEANUP(json_decref_p) json_t *r = NULL;
        if (!session_ask(s, "reissue", args, &r, &e))
                return cli_fail(o, &e);
        if (json_bool(r, "confirm", false)) {
                CLEANUP(free_p) char *question = question_of(json_object_get(r, "names"), json_object_get(r, "also"));
                int asked = question ? cli_confirm(o, question) : EXIT_REFUSED;
                if (asked != EXIT_GOOD)
                        return asked;
                json_put_bool(args, "yes", true);
                json_decref(r);
                r = NULL;
                if (!session_ask(s, "reissue", args, &r, &e))
                        return cli_fail(o, &e);
        }
        return cli_after_start(o, s, r);
}

static bool ask_dry(struct session *s, const json_t *args, json_t **ret, struct err *e)
{
        CLEANUP(json_decref_p) json_t *dry = json_deep_copy(args);
        json_put_bool(dry, "dry_run", true);
        return session_ask(s, "reissue", dry, ret, e);
}

/* Of one certificate: what the CA says. A failure becomes its part of the document. */
static json_t *dry_of(struct session *s, const json_t *args, json_t *name)
{
        struct err e;
        json_t *r = NULL;
        CLEANUP(json_decref_p) json_t *one = json_deep_copy(args);
        CLEANUP(json_decref_p) json_t *names = json_pack("[O]", name);
        const char *const chosen[] = { "all", "spki", "issuer", "serials" };
        for (size_t i = 0; i < ARRAY_LEN(chosen); i++)
                json_object_del(one, chosen[i]);
        json_object_set(one, "certs", names);
        if (ask_dry(s, one, &r, &e))
                return r;
        return json_pack("{s:O, s:b, s:i, s:{s:s, s:s, s:s}}", "cert", name, "dry_run", 1, "exit", cli_exit_of(&e),
                "error", "code", e.code, "text", e.text, "fix", e.fix);
}

/* How many, before one reads which. */
static void print_count(FILE *to, const json_t *list)
{
        size_t i, go = 0, wait = 0;
        json_t *one;
        json_array_foreach(list, i, one)
        {
                go += json_i64(one, "exit", 0) == EXIT_GOOD;
                wait += json_i64(one, "exit", 0) == EXIT_WAITING;
        }
        fprintf(to, "%zu certificates: %zu would be reissued, %zu would wait, %zu refused\n", i, go, wait,
                i - go - wait);
}

/* What each CA would be asked for: it counts, and so does this. */
static void print_ca(FILE *to, const json_t *list, const char *ca)
{
        size_t i, count = 0, last = 0;
        json_t *one;
        int64_t most = 0;
        const char *most_of = NULL;
        json_array_foreach(list, i, one)
        {
                const char *its = json_str(one, "ca");
                if (!its || strcmp(its, ca) != 0 || json_object_get(one, "error"))
                        continue;
                count++;
                last += json_bool(one, "last_one", false);
                if (json_i64(one, "issued_this_week", 0) > most) {
                        most = json_i64(one, "issued_this_week", 0);
                        most_of = json_str(one, "cert");
                }
        }
        if (count == 0)
                return;
        fprintf(to, "  at %s %zu", ca, count);
        if (last > 0)
                fprintf(to, ", for %zu the only one that is left", last);
        if (most > 0)
                fprintf(to,
                        "; of the same names in the last seven days at most %lld (%s): compare that with its limits",
                        (long long)most, most_of);
        fprintf(to, "\n");
}

static void print_cas(FILE *to, const json_t *list)
{
        size_t i;
        json_t *one;
        struct texts seen = { 0 };
        json_array_foreach(list, i, one)
        {
                const char *ca = json_str(one, "ca");
                if (ca && !texts_has(&seen, ca) && texts_add(&seen, ca))
                        print_ca(to, list, ca);
        }
        texts_done(&seen);
}

static void print_dry_runs(FILE *to, const json_t *r)
{
        size_t i;
        json_t *one;
        print_count(to, json_object_get(r, "certificates"));
        print_cas(to, json_object_get(r, "certificates"));
        json_array_foreach(json_object_get(r, "certificates"), i, one)
        {
                print_dry_run(to, one);
        }
}

/* Several are asked about one after the other: the answer is that of each, and the worst exit. */
static int dry_runs(const struct cli_options *o, struct session *s, const json_t *args, const json_t *names)
{
        size_t i;
        json_t *name;
        int worst = EXIT_GOOD;
        CLEANUP(json_decref_p) json_t *all = json_pack("{s:b, s:[]}", "dry_run", 1, "certificates");
        json_array_foreach(names, i, name)
        {
                json_t *one = dry_of(s, args, name);
                worst = cli_worse(worst, (int)json_i64(one, "exit", 0));
                json_array_append_new(json_object_get(all, "certificates"), one);
        }
        json_put_i64(all, "exit", worst);
        return cli_answer(o, all, print_dry_runs);
}

/* What is dragged along by its key, each as the CA sees it. */
static json_t *dry_of_others(struct session *s, const json_t *args, const json_t *also)
{
        size_t i;
        json_t *name, *list = json_array();
        json_array_foreach(also, i, name)
        {
                json_t *one = dry_of(s, args, name);
                json_object_del(one, "marks"); /* said of the one that was named */
                json_object_del(one, "opens_incident");
                json_object_del(one, "also");
                json_array_append_new(list, one);
        }
        return list;
}

static int dry_run(const struct cli_options *o, struct session *s, const json_t *args)
{
        struct err e;
        CLEANUP(json_decref_p) json_t *r = NULL;
        if (!ask_dry(s, args, &r, &e))
                return cli_fail(o, &e);
        json_t *also = json_object_get(r, "also"), *names = json_object_get(r, "names");
        if (json_str(r, "cert")) {
                if (json_array_size(also) > 0)
                        json_object_set_new(r, "others", dry_of_others(s, args, also));
                return cli_answer(o, r, print_dry_run);
        }
        json_array_extend(names, also);
        return dry_runs(o, s, args, names);
}

static void add_spent(struct buf *b, const json_t *r)
{
        if (json_bool(r, "last_one", false) && !json_object_get(r, "error") && !json_str(r, "resumes"))
                buf_addf(b, "%sThis spends the only reissue of %s (%s at %s).", b->len ? " " : "", json_str(r, "cert"),
                        json_str(r, "replaces") ? json_str(r, "replaces") : "?", json_str(r, "ca"));
}

/* That the next CA leaves the organization out is asked where somebody is there to answer; the refusal says how else.
 */
static bool asks_for_downgrade(const json_t *r)
{
        return json_str(r, "downgrade_to") && cli_can_ask();
}

static void add_downgrade(struct buf *b, const json_t *r)
{
        const json_t *error = json_object_get(r, "error");
        buf_addf(b, "%s%s refuses %s: %s. %s would issue one that does not name the organization.", b->len ? " " : "",
                json_str(r, "ca"), json_str(r, "cert"), json_str(error, "text"), json_str(r, "downgrade_to"));
}

/* What the CA says comes before anything is spent: the last reissue of a certificate is asked for, and what else has
 * its reported key. One question; yes to it is the answer to the daemon's own. */
static int ask_first(const struct cli_options *o, struct session *s, json_t *args, bool *ret_go)
{
        struct err e;
        size_t i;
        json_t *one;
        CLEANUP(json_decref_p) json_t *r = NULL;
        CLEANUP(buf_done) struct buf b = { .max = 64 * 1024 };
        *ret_go = false;
        if (!ask_dry(s, args, &r, &e))
                return cli_fail(o, &e);
        json_t *also = json_object_get(r, "also");
        bool many = json_array_size(also) > 0, downgrades = asks_for_downgrade(r);
        if (!json_str(r, "cert")) { /* a choice that fits several */
                *ret_go = true;
                return EXIT_GOOD;
        }
        CLEANUP(json_decref_p) json_t *chosen = json_pack("[s]", json_str(r, "cert"));
        CLEANUP(json_decref_p) json_t *others = dry_of_others(s, args, also);
        CLEANUP(free_p) char *which = many ? question_of(chosen, also) : NULL;
        if (many)
                buf_addf(&b, "%s.", which ? which : "several certificates would be reissued");
        add_spent(&b, r);
        json_array_foreach(others, i, one)
        {
                add_spent(&b, one);
        }
        if (downgrades)
                add_downgrade(&b, r);
        int asked = b.len == 0 ? EXIT_GOOD : b.data ? cli_confirm(o, b.data) : EXIT_REFUSED;
        *ret_go = asked == EXIT_GOOD;
        if (*ret_go && many)
                json_put_bool(args, "yes", true);
        if (*ret_go && downgrades)
                json_put_bool(args, "downgrade", true);
        return asked;
}

int cli_reissue(const struct cli_options *o, int argc, char **argv)
{
        const char *reason = NULL, *spki = NULL, *issuer = NULL, *serial = NULL;
        bool all = false, compromised = false, force = false, local = false, staging = false, downgrade = false,
             go = true;
        const struct cli_arg options[] = { { "--reason", &reason, NULL }, { "--spki", &spki, NULL },
                { "--issuer", &issuer, NULL }, { "--serial", &serial, NULL }, { "--all", NULL, &all },
                { "--key-compromised", NULL, &compromised }, { "--force", NULL, &force }, { "--local", NULL, &local },
                { "--staging", NULL, &staging }, { "--downgrade", NULL, &downgrade }, { NULL, NULL, NULL } };
        CLEANUP(json_decref_p) json_t *names = NULL;
        CLEANUP(json_decref_p) json_t *list = NULL;
        CLEANUP(json_decref_p) json_t *key = NULL;
        struct session *s = NULL;
        struct err e;
        if (!cli_args(argc, argv, options, &names))
                return EXIT_USAGE;
        if (staging && compromised)
                return cli_usage("--staging only tries: a compromised key is replaced without it");
        int ways = (json_array_size(names) > 0) + all + (spki != NULL) + (issuer != NULL) + (serial != NULL);
        if (ways != 1)
                return cli_usage(ways ? "certificates, --all, --spki, --issuer and --serial exclude each other"
                                      : "reissue needs certificates, or one of --all, --spki, --issuer, --serial");
        if (serial && !serials(serial, &list, &e))
                return cli_fail(o, &e);
        if (spki && (spki[0] == '@' || !serials(spki, &key, &e) || json_array_size(key) != 1))
                return cli_usage("--spki %s: the SHA-256 of a public key in hex", spki);
        if (spki)
                spki = json_string_value(json_array_get(key, 0)); /* without colons */
        CLEANUP(json_decref_p)
        json_t *args = json_pack("{s:O, s:b, s:s?, s:s?, s:s?, s:b, s:b, s:b, s:b, s:b}", "certs", names, "all", all,
                "spki", spki, "issuer", issuer, "reason", reason, "compromised", compromised, "force", force, "staging",
                staging, "downgrade", downgrade, "yes", o->yes);
        if (list)
                json_object_set(args, "serials", list);
        struct cli_options mine = *o;
        mine.local = local;
        if (!session_open_for_job(&s, &mine, &e))
                return cli_fail(o, &e);
        int status = EXIT_GOOD;
        if (o->dry_run)
                status = dry_run(&mine, s, args);
        else if (json_array_size(names) <= 1 && !o->yes) /* of several the daemon asks */
                status = ask_first(&mine, s, args, &go);
        if (!o->dry_run && go)
                status = started(&mine, s, args);
        session_close(s);
        return status;
}
