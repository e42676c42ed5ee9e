/* dcvctl incidents, incident, confirm, dismiss */
#include <stdio.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/args.h"
#include "agent/cli/evidence.h"
#include "agent/cli/simple.h"

#define TIMELINE_LINES 12 /* with all above them they fit on one screen */

static const char *or_dash(const char *text)
{
        return text && text[0] ? text : "-";
}

/* ---- the list ---- */

void print_incidents(FILE *to, const json_t *answer)
{
        size_t k;
        json_t *i;
        char when[64];
        json_array_foreach(json_object_get(answer, "incidents"), k, i)
        {
                fprintf(to, "%-4lld %-9s %-7s %s, %s\n", (long long)json_i64(i, "id", 0), json_str(i, "state"),
                        json_str(i, "act"), cli_when(json_i64(i, "opened", 0), when), or_dash(json_str(i, "source")));
                fprintf(to, "     %s\n", or_dash(json_str(i, "line")));
        }
        if (k == 0)
                fprintf(to, "no incident\n");
}

/* ---- one ---- */

static void print_head(FILE *to, const json_t *i)
{
        char when[32], span[40];
        const char *spki = json_str(i, "spki");
        fprintf(to, "incident %lld: %s\n", (long long)json_i64(i, "id", 0), json_str(i, "state"));
        fprintf(to, "  REPORT    %s (%s)%s%s\n", or_dash(json_str(i, "source")), json_str(i, "strength"),
                json_str(i, "text") ? ": " : "", json_str(i, "text") ? json_str(i, "text") : "");
        if (json_str(i, "link"))
                fprintf(to, "            %s\n", json_str(i, "link"));
        if (spki)
                fprintf(to, "  KEY       %s\n", spki);
        fprintf(to, "  STANDS    %s\n", or_dash(json_str(i, "line")));
        format_time(json_i64(i, "opened", 0), when, sizeof when);
        fprintf(to, "  OPENED    %s", when);
        if (json_i64(i, "remedied", 0)) {
                format_span(json_i64(i, "remediation_seconds", 0), span, sizeof span);
                fprintf(to, ", all replaced after %s", span);
                if (!json_i64(i, "ended", 0)) {
                        format_time(json_i64(i, "revoke_target", 0), when, sizeof when);
                        fprintf(to, ", the old ones to be revoked by %s", when);
                }
        } else if (!json_i64(i, "ended", 0)) {
                format_time(json_i64(i, "target", 0), when, sizeof when);
                fprintf(to, ", to be replaced by %s", when);
                format_time(json_i64(i, "deadline", 0), when, sizeof when);
                fprintf(to, ", deadline %s", when);
        }
        fprintf(to, "\n");
}

static bool is_in_todo(const json_t *i, const char *text)
{
        size_t k;
        json_t *x;
        json_array_foreach(json_object_get(i, "todo"), k, x)
        {
                if (json_str(x, "text") && strcmp(json_str(x, "text"), text) == 0)
                        return true;
        }
        return false;
}

static void print_case(FILE *to, const json_t *i, const json_t *c)
{
        char when[32];
        const json_t *job = json_object_get(c, "running");
        fprintf(to, "  CERT      %s serial %s: %s", json_str(c, "cert"), json_str(c, "serial"), json_str(c, "state"));
        if (json_i64(c, "replaced", 0)) {
                format_time(json_i64(c, "replaced", 0), when, sizeof when);
                fprintf(to, " %s", when);
        }
        if (json_is_object(job))
                fprintf(to, ", job %lld %s%s%s", (long long)json_i64(job, "job", 0), json_str(job, "state"),
                        json_str(job, "progress") && json_str(job, "progress")[0] ? ": " : "",
                        json_str(job, "progress") ? json_str(job, "progress") : "");
        if (json_i64(c, "revoked", 0))
                fprintf(to, ", old one revoked");
        fprintf(to, "\n");
        if (json_str(c, "text") && !is_in_todo(i, json_str(c, "text")))
                fprintf(to, "            %s\n", json_str(c, "text"));
        if (json_str(c, "revoke_text") && !json_i64(c, "revoked", 0) && !is_in_todo(i, json_str(c, "revoke_text")))
                fprintf(to, "            %s\n", json_str(c, "revoke_text"));
}

static bool is_of_incident(const json_t *row)
{
        const char *event = json_str(row, "event");
        return event && text_starts(event, "incident-");
}

/* Its own newest entries; the steps of its jobs are in the evidence. */
static void print_timeline(FILE *to, const json_t *trail)
{
        size_t k, own = 0, at = 0, count = json_array_size(trail);
        json_t *row;
        json_array_foreach(trail, k, row)
        {
                own += is_of_incident(row);
        }
        json_array_foreach(trail, k, row)
        {
                CLEANUP(free_p)
                char *line = is_of_incident(row) && at++ + TIMELINE_LINES >= own ? evidence_line(row) : NULL;
                if (line)
                        fprintf(to, "  %s\n", line);
        }
        if (count > MIN(own, TIMELINE_LINES))
                fprintf(to, "  (%zu more entries: --evidence)\n", count - MIN(own, TIMELINE_LINES));
}

static bool same(const json_t *a, const json_t *b, const char *key)
{
        const char *x = json_str(a, key), *y = json_str(b, key);
        return x && y ? strcmp(x, y) == 0 : x == y;
}

/* The same thing to do for several certificates is one line. */
static void print_todo(FILE *to, const json_t *list)
{
        size_t k, m;
        json_t *x, *other;
        json_array_foreach(list, k, x)
        {
                bool said = false;
                for (m = 0; m < k && !said; m++)
                        said = same(x, json_array_get(list, m), "text") && same(x, json_array_get(list, m), "fix");
                if (said)
                        continue;
                fprintf(to, "  TO DO     %s", or_dash(json_str(x, "cert")));
                for (m = k + 1; m < json_array_size(list); m++) {
                        other = json_array_get(list, m);
                        if (same(x, other, "text") && same(x, other, "fix"))
                                fprintf(to, ", %s", or_dash(json_str(other, "cert")));
                }
                fprintf(to, ": %s\n", or_dash(json_str(x, "text")));
                if (json_str(x, "fix"))
                        fprintf(to, "            %s\n", json_str(x, "fix"));
        }
}

void print_incident(FILE *to, const json_t *i)
{
        size_t k;
        json_t *x;
        print_head(to, i);
        json_array_foreach(json_object_get(i, "certificates"), k, x)
        {
                print_case(to, i, x);
        }
        json_array_foreach(json_object_get(i, "others"), k, x)
        {
                fprintf(to, "  ALSO      %s\n", or_dash(json_str(x, "text")));
        }
        print_todo(to, json_object_get(i, "todo"));
        print_timeline(to, json_object_get(json_object_get(i, "evidence"), "timeline"));
}

static void print_evidence(FILE *to, const json_t *answer)
{
        CLEANUP(free_p) char *text = evidence_markdown(json_object_get(answer, "evidence"));
        fputs(text ? text : "", to);
}

/* ---- the commands ---- */

static bool id_of(const json_t *names, int64_t *ret)
{
        const char *text = json_string_value(json_array_get(names, 0));
        return json_array_size(names) == 1 && text && parse_i64(text, 1, INT64_MAX, ret);
}

int cli_incidents(const struct cli_options *o, int argc, char **argv)
{
        bool all = false;
        const struct cli_arg options[] = { { "--all", NULL, &all }, { NULL, NULL, NULL } };
        CLEANUP(json_decref_p) json_t *names = NULL;
        if (!cli_args(argc, argv, options, &names))
                return EXIT_USAGE;
        if (json_array_size(names) > 0)
                return cli_usage("incidents takes no name; dcvctl incident ID shows one");
        struct cli_options mine = *o;
        mine.look = true;
        CLEANUP(json_decref_p) json_t *args = json_pack("{s:b}", "all", all);
        return cli_simple(&mine, "incidents", args, print_incidents);
}

int cli_incident(const struct cli_options *o, int argc, char **argv)
{
        bool evidence = false;
        int64_t id = 0;
        const struct cli_arg options[] = { { "--evidence", NULL, &evidence }, { NULL, NULL, NULL } };
        CLEANUP(json_decref_p) json_t *names = NULL;
        if (!cli_args(argc, argv, options, &names))
                return EXIT_USAGE;
        if (!id_of(names, &id))
                return cli_usage("incident takes the number of one; dcvctl incidents lists them");
        struct cli_options mine = *o;
        mine.look = true;
        CLEANUP(json_decref_p) json_t *args = json_pack("{s:I}", "id", (json_int_t)id);
        return cli_simple(&mine, "incident", args, evidence ? print_evidence : print_incident);
}

int cli_confirm_incident(const struct cli_options *o, int argc, char **argv)
{
        int64_t id = 0;
        const struct cli_arg options[] = { { NULL, NULL, NULL } };
        CLEANUP(json_decref_p) json_t *names = NULL;
        if (!cli_args(argc, argv, options, &names))
                return EXIT_USAGE;
        if (!id_of(names, &id))
                return cli_usage("confirm takes the number of an incident");
        CLEANUP(json_decref_p) json_t *args = json_pack("{s:I}", "id", (json_int_t)id);
        return cli_simple(o, "confirm", args, NULL);
}

int cli_dismiss(const struct cli_options *o, int argc, char **argv)
{
        const char *because = NULL;
        int64_t id = 0;
        const struct cli_arg options[] = { { "--because", &because, NULL }, { NULL, NULL, NULL } };
        CLEANUP(json_decref_p) json_t *names = NULL;
        if (!cli_args(argc, argv, options, &names))
                return EXIT_USAGE;
        if (!id_of(names, &id) || !because || !because[0])
                return cli_usage("dismiss takes the number of an incident and --because TEXT");
        CLEANUP(json_decref_p) json_t *args = json_pack("{s:I, s:s}", "id", (json_int_t)id, "because", because);
        return cli_simple(o, "dismiss", args, NULL);
}
