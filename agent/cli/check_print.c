/* What a dry run shows: for people, as a document, and the page of the catalogue. */
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/check.h"

static const char *method_text(enum check_method m)
{
        switch (m) {
        case METHOD_FILE:
                return "file";
        case METHOD_TLS_ALPN:
                return "tls-alpn";
        case METHOD_DNS_PERSIST:
                return "dns-persist";
        case METHOD_DNS:
                break;
        }
        return "dns";
}

#define NOTES_SHOWN 3 /* of one id */

static bool failed(const struct check_result *r)
{
        return strcmp(check_verdict(r), "would-validate") != 0;
}

int check_exit(const struct check_result *results, size_t count, bool strict)
{
        for (size_t i = 0; i < count; i++)
                if (failed(&results[i]) || (strict && results[i].by_severity[CHECK_WARNING] > 0))
                        return EXIT_JOB_FAILED;
        return count > 0 ? EXIT_GOOD : EXIT_JOB_FAILED;
}

/* ---- the document ---- */

static json_t *summary(const unsigned by_severity[4])
{
        json_t *o = json_object();
        for (unsigned s = 0; s < 4; s++)
                json_put_i64(o, check_severity_name(s), by_severity[s]);
        return o;
}

static json_t *finding_json(const struct check_finding *f)
{
        json_t *o = json_object(), *evidence = json_object();
        json_put_text(o, "id", f->id->id);
        json_put_text(o, "severity", check_severity_name(f->id->severity));
        json_put_text(o, "subject", f->said->subject);
        json_put_text(o, "message", f->said->message);
        json_put_text(o, "fix", f->said->fix);
        if (f->name)
                json_put_text(evidence, "name", f->name);
        if (f->said->observed[0])
                json_put_text(evidence, "observed", f->said->observed);
        if (f->said->wanted[0])
                json_put_text(evidence, "wanted", f->said->wanted);
        json_object_set_new(o, "evidence", evidence);
        return o;
}

static json_t *row_json(const struct check_row *r)
{
        char address[ADDRESS_TEXT];
        json_t *o = json_object();
        address_text(&r->address, r->address.port != 0, address);
        json_put_text(o, "zone", r->zone);
        json_put_text(o, "name", r->name);
        json_put_text(o, "address", address);
        json_put_text(o, "transport", r->transport == DNS_TCP ? "tcp" : "udp");
        json_put_text(o, "rcode", r->rcode >= 0 ? dns_rcode_name((uint16_t)r->rcode) : NULL);
        json_put_bool(o, "aa", r->aa);
        if (r->has_serial)
                json_put_i64(o, "serial", r->serial);
        else
                json_object_set_new(o, "serial", json_null());
        json_object_set_new(o, "rtt_ms", json_real((double)r->rtt_us / 1000));
        json_object_set_new(o, "values", json_texts(&r->values));
        return o;
}

static json_t *target_json(const struct check_target *t)
{
        json_t *o = json_object();
        json_put_text(o, "certificate", t->label);
        json_object_set_new(o, "names", json_texts(&t->names));
        json_put_text(o, "validation", method_text(t->method));
        json_put_text(o, "ca", t->ca);
        json_put_bool(o, "internal", t->internal);
        return o;
}

static json_t *result_json(const struct check_result *r)
{
        json_t *o = json_object(), *findings = json_array(), *doubts = json_array(), *servers = json_array();
        json_put_text(o, "schema", "dcvd.check/1");
        json_object_set_new(o, "target", target_json(r->target));
        json_put_text(o, "verdict", check_verdict(r));
        json_object_set_new(o, "summary", summary(r->by_severity));
        for (size_t i = 0; i < r->count; i++)
                json_array_append_new(findings, finding_json(&r->finding[i]));
        for (size_t i = 0; i < r->row_count; i++)
                json_array_append_new(servers, row_json(&r->row[i]));
        for (size_t i = 0; i < r->doubt_count; i++)
                json_array_append_new(doubts, json_pack("{s:s, s:s}", "id", r->doubt[i].id, "why", r->doubt[i].why));
        json_object_set_new(o, "findings", findings);
        json_object_set_new(o, "servers", servers);
        json_object_set_new(o, "unverifiable", doubts);
        return o;
}

static const char *worst(const struct check_result *results, size_t count)
{
        const char *verdict = "would-validate";
        for (size_t i = 0; i < count; i++) {
                const char *one = check_verdict(&results[i]);
                if (strcmp(one, "would-fail") == 0 || strcmp(verdict, "would-validate") == 0)
                        verdict = one;
        }
        return verdict;
}

json_t *check_document(const struct check_result *results, size_t count)
{
        unsigned all[4] = { 0 };
        if (count == 1)
                return result_json(&results[0]);
        json_t *o = json_object(), *list = json_array();
        for (size_t i = 0; i < count; i++) {
                json_array_append_new(list, result_json(&results[i]));
                for (unsigned s = 0; s < 4; s++)
                        all[s] += results[i].by_severity[s];
        }
        json_put_text(o, "schema", "dcvd.check/1");
        json_put_text(o, "verdict", worst(results, count));
        json_object_set_new(o, "summary", summary(all));
        json_object_set_new(o, "targets", list);
        return o;
}

/* ---- for people ---- */

static void print_title(FILE *to, const struct check_target *t)
{
        if (t->label)
                fprintf(to, "%s (", t->label);
        for (size_t i = 0; i < t->names.count && i < 4; i++)
                fprintf(to, "%s%s", i ? ", " : "", t->names.item[i]);
        if (t->names.count > 4)
                fprintf(to, " and %zu more", t->names.count - 4);
        fprintf(to, "%s, %s%s%s: ", t->label ? ")" : "", method_text(t->method), t->ca ? ", " : "", t->ca ? t->ca : "");
}

static void print_verdict(FILE *to, const struct check_result *r)
{
        static const char *const plural[] = { "notes", "warnings", "errors", "fatal" },
                                 *const single[] = { "note", "warning", "error", "fatal" };
        const char *separator = ": ";
        const char *verdict = check_verdict(r);
        print_title(to, r->target);
        fputs(strcmp(verdict, "would-fail") == 0               ? "would fail"
                        : strcmp(verdict, "unverifiable") == 0 ? "cannot be judged from here"
                                                               : "would validate",
                to);
        for (int s = CHECK_FATAL; s >= CHECK_INFO; s--) {
                unsigned n = r->by_severity[s];
                if (n == 0)
                        continue;
                fprintf(to, "%s%u %s", separator, n, n == 1 ? single[s] : plural[s]);
                separator = ", ";
        }
        fputc('\n', to);
}

static void print_row(FILE *to, const struct check_row *r)
{
        char address[ADDRESS_TEXT], serial[16] = "-";
        address_text(&r->address, r->address.port != 0, address);
        if (r->has_serial)
                snprintf(serial, sizeof serial, "%u", r->serial);
        fprintf(to, "  %-24s %-28s %-24s %-4s %-9s %-3s %-11s %7.1f ms", r->zone[0] ? r->zone : ".", r->name, address,
                r->transport == DNS_TCP ? "tcp" : "udp", r->rcode >= 0 ? dns_rcode_name((uint16_t)r->rcode) : "silent",
                r->aa ? "aa" : "-", serial, (double)r->rtt_us / 1000);
        for (size_t i = 0; i < r->values.count; i++)
                fprintf(to, " %s", r->values.item[i]);
        fputc('\n', to);
}

static void print_doubts(FILE *to, const struct check_result *r, bool verbose)
{
        if (!verbose && r->doubt_count > 0 && strcmp(check_verdict(r), "unverifiable") != 0) {
                fprintf(to, "  %zu id%s could not be judged from this host (-v says which and why)\n", r->doubt_count,
                        r->doubt_count == 1 ? "" : "s");
                return;
        }
        for (size_t i = 0; i < r->doubt_count; i++) {
                const char *why = r->doubt[i].why;
                bool told = false;
                for (size_t k = 0; k < i && !told; k++)
                        told = strcmp(r->doubt[k].why, why) == 0;
                if (told)
                        continue;
                fputs("  not judged ", to);
                for (size_t k = i; k < r->doubt_count; k++)
                        if (strcmp(r->doubt[k].why, why) == 0)
                                fprintf(to, " %s", r->doubt[k].id);
                fprintf(to, ": %s\n", why);
        }
}

/* How many findings from i on are only notes with the same id: more than a few of them are for -v. i may be the count.
 */
static size_t notes_alike(const struct check_result *r, size_t i)
{
        size_t n = 0;
        while (i + n < r->count && r->finding[i + n].id == r->finding[i].id && r->finding[i].id->severity == CHECK_INFO)
                n++;
        return n;
}

static void print_result(FILE *to, const struct check_result *r, bool verbose)
{
        print_verdict(to, r);
        size_t place = 0; /* among findings of the same id */
        for (size_t i = 0; i < r->count; i++) {
                const struct check_finding *f = &r->finding[i];
                size_t left = notes_alike(r, i + 1);
                place = i > 0 && r->finding[i - 1].id == f->id ? place + 1 : 1;
                fprintf(to, "  %-7s %s  %s\n", check_severity_name(f->id->severity), f->id->id, f->said->message);
                if (f->said->fix[0] && strcmp(f->said->fix, "nothing has to be done") != 0)
                        fprintf(to, "               %s\n", f->said->fix);
                bool same = left > 0 && r->finding[i + 1].id == f->id;
                if (!verbose && same && place == NOTES_SHOWN && left > 1) {
                        fprintf(to, "  info    %s  %zu more of these (-v shows them)\n", f->id->id, left);
                        i += left;
                }
        }
        print_doubts(to, r, verbose);
        for (size_t i = 0; verbose && i < r->row_count; i++)
                print_row(to, &r->row[i]);
        if (!failed(r))
                fputs("  A look from one host: other regions, filters by source address and the CA's own lists are not "
                      "seen from here.\n",
                        to);
}

void check_print(FILE *to, const struct check_result *results, size_t count, bool verbose)
{
        for (size_t i = 0; i < count; i++)
                print_result(to, &results[i], verbose);
}

/* ---- everything that can be found ---- */

json_t *check_catalogue_document(void)
{
        json_t *list = json_array();
        for (const struct check_id *at = check_catalogue; at->id; at++) {
                json_t *one = json_object();
                json_put_text(one, "id", at->id);
                json_put_text(one, "severity", check_severity_name(at->severity));
                json_put_text(one, "title", at->title);
                json_put_text(one, "fix", at->fix);
                json_put_text(one, "never", at->never);
                json_array_append_new(list, one);
        }
        return json_pack("{s:s, s:o}", "schema", "dcvd.catalogue/1", "checks", list);
}

static const char *group_title(char group)
{
        static const char *const titles[] = { "NNames and policy", "DDelegation and servers", "TTXT and CNAME", "HHTTP",
                "ATLS-ALPN", "CCAA", "SDNSSEC", "WTime", "LThe CA and its limits", "OThe host's own side" };
        for (size_t i = 0; i < ARRAY_LEN(titles); i++)
                if (titles[i][0] == group)
                        return titles[i] + 1;
        return "";
}

void check_print_catalogue(FILE *to)
{
        char group = 0;
        fputs("# What `dcvctl check` can find\n\n"
              "Made from the program's own table (`dcvctl check --catalogue`). An id never changes its meaning.\n\n"
              "*fatal*: the CA will refuse. *error*: it is likely to. *warning*: a risk. *info*: good to know.\n"
              "A fatal or an error finding makes the verdict \"would fail\" and the exit status 1; with `--strict` a "
              "warning does too.\n"
              "A fatal finding of group N or D ends what depends on it: the later groups are then listed as not "
              "looked at.\n",
                to);
        for (const struct check_id *at = check_catalogue; at->id; at++) {
                if (at->id[0] != group) {
                        group = at->id[0];
                        fprintf(to,
                                "\n## %c: %s\n\n| id | severity | what is wrong | what to do |\n|---|---|---|---|\n",
                                group, group_title(group));
                }
                fprintf(to, "| %s | %s | %s | %s%s%s |\n", at->id, check_severity_name(at->severity), at->title,
                        at->fix, at->never ? ". Never judged: " : "", at->never ? at->never : "");
        }
}
