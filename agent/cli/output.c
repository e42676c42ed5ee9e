/* What all commands print with. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/cli/cli.h"
#include "agent/job/engine.h"
#include "config/config.h"

int cli_exit_of(const struct err *e)
{
        switch (e->kind) {
        case ERR_CONFIG:
                return EXIT_USAGE;
        case ERR_RULE:
                return EXIT_REFUSED;
        case ERR_WAITING:
                return EXIT_WAITING;
        case ERR_CANCELLED:
                return EXIT_INTERRUPTED;
        case ERR_DENIED:
                return strcmp(e->code, "control.denied") == 0 ? EXIT_USAGE : EXIT_JOB_FAILED; /* sudo was missing */
        default:
                return strcmp(e->code, "no-daemon") == 0 ? EXIT_NO_DAEMON : EXIT_JOB_FAILED;
        }
}

static json_t *problems; /* of the configuration, each a line; NULL: none */

int cli_fail(const struct cli_options *o, const struct err *e)
{
        if (o->json) {
                json_t *document = json_pack("{s:{s:s, s:s, s:s, s:s}, s:i}", "error", "kind", err_kind_name(e->kind),
                        "code", e->code, "text", e->text, "fix", e->fix, "exit", cli_exit_of(e));
                if (problems)
                        json_object_set(json_object_get(document, "error"), "problems", problems);
                cli_print_json(document);
                json_decref(document);
        }
        fprintf(stderr, "dcvctl: %s\n", e->text);
        if (e->fix[0])
                fprintf(stderr, "        %s\n", e->fix);
        return cli_exit_of(e);
}

void cli_progress(const struct cli_options *o, const char *format, ...)
{
        struct buf b = { .max = 8192 };
        va_list ap;
        if (o->quiet)
                return;
        va_start(ap, format);
        buf_addv(&b, format, ap);
        va_end(ap);
        if (b.data)
                fprintf(stderr, "%s\n", b.data);
        buf_done(&b);
}

void cli_print_json(const json_t *document)
{
        char *text = json_dumps(document, JSON_INDENT(2) | JSON_SORT_KEYS);
        if (text)
                puts(text);
        free(text);
}

static bool json_errors;

void cli_json_errors(bool wanted)
{
        json_errors = wanted;
}

static const char *usage_of;

void cli_usage_of(const char *command)
{
        usage_of = command;
}

bool cli_can_ask(void)
{
        return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

int cli_confirm(const struct cli_options *o, const char *question)
{
        char line[16];
        struct err e;
        if (o->yes)
                return EXIT_GOOD;
        bool asked = cli_can_ask();
        if (asked)
                fprintf(stderr, "%s\nGo on? [y/N] ", question);
        bool left = asked && !session_typed();
        if (asked && !left && fgets(line, sizeof line, stdin) && (line[0] == 'y' || line[0] == 'Y'))
                return EXIT_GOOD;
        if (left) {
                fputc('\n', stderr);
                err_set(&e, ERR_CANCELLED, "interrupted", "interrupted: nothing was done");
        } else {
                err_set(&e, ERR_RULE, "confirm", "%s", asked ? "not confirmed: nothing was done" : question);
                if (!asked)
                        err_fix(&e, "say --yes to do it");
        }
        return cli_fail(o, &e);
}

/* As a shell reads it. */
static void add_word(struct buf *b, const char *word)
{
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=./:@,+%";
        bool bare = word[0] && strspn(word, plain) == strlen(word);
        buf_add(b, bare ? word : "'");
        for (; !bare && *word; word++)
                if (*word == '\'')
                        buf_add(b, "'\\''");
                else
                        buf_addc(b, *word);
        if (!bare)
                buf_addc(b, '\'');
}

void cli_typed(const struct cli_options *o, struct buf *b)
{
        buf_add(b, "dcvctl");
        for (size_t i = 1; o->argv && o->argv[i]; i++) {
                buf_addc(b, ' ');
                add_word(b, o->argv[i]);
        }
}

int cli_usage(const char *format, ...)
{
        struct buf b = { .max = 4096 };
        const struct cli_options o = { .json = json_errors };
        struct err e;
        va_list ap;
        va_start(ap, format);
        buf_addv(&b, format, ap);
        va_end(ap);
        err_set(&e, ERR_CONFIG, "usage", "%s", b.data ? b.data : "wrong usage");
        err_fix(&e, "dcvctl %s%s--help", usage_of ? usage_of : "", usage_of ? " " : "");
        buf_done(&b);
        return cli_fail(&o, &e);
}

const char *cli_when(int64_t unix_s, char ret[64])
{
        char date[32], span[24];
        if (unix_s == 0)
                return strcpy(ret, "-");
        format_time(unix_s, date, sizeof date);
        int64_t left_s = unix_s - clock_now_s();
        format_span(left_s < 0 ? -left_s : left_s, span, sizeof span);
        snprintf(ret, 64, left_s <= 0 ? "%.10s (%s ago)" : "%.10s (in %s)", date, span);
        return ret;
}

bool cli_config(const struct cli_options *o, struct conf **ret, struct err *e)
{
        struct conf_problems p = { 0 };
        bool good = config_load(o->config, engine_kinds(), ret, &p);
        if (!good)
                problems = json_texts(&p.text);
        for (size_t i = 0; !good && i < p.text.count; i++)
                fprintf(stderr, "%s\n", p.text.item[i]);
        if (!good && p.beyond)
                fprintf(stderr, "and %zu more\n", p.beyond);
        conf_problems_done(&p);
        return good || err_set(e, ERR_CONFIG, "config", "the configuration %s cannot be used", o->config);
}
