#include "agent/job/check_job.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/util.h"

#define SOON_S (14 * 86400)
#define ROW_MANY 3
#define SAME_SET_WEEK 5 /* certificates for one set of names in seven days, at Let's Encrypt */

static const char *const ids[] = { "L02", "L03", "L05", "O02", "O03", "O07", "O14", "O15", "O16", "O19", "O21", "O22",
        "O23", "O24" };

static const char *or_empty(const char *text)
{
        return text ? text : "";
}

static struct judgement_words words(const char *subject, const json_t *error, const char *otherwise)
{
        const char *fix = json_str(error, "fix");
        return (struct judgement_words){ .subject = subject, .fix = fix && fix[0] ? fix : otherwise };
}

static bool has_kind(const json_t *error, const char *kind)
{
        return strcmp(or_empty(json_str(error, "kind")), kind) == 0;
}

static bool has_code(const json_t *error, const char *code)
{
        return strcasestr(or_empty(json_str(error, "code")), code) != NULL;
}

/* Who may not at all, and who may not now. */
static bool is_credentials(const json_t *error)
{
        static const char *const codes[] = { "Auth", "Unauthorized", "acme.account", "acme.externalAccount",
                "acme.terms", "secret", "badPublicKey" };
        for (size_t i = 0; i < ARRAY_LEN(codes); i++)
                if (has_code(error, codes[i]))
                        return true;
        return false;
}

static bool is_final(const json_t *error)
{
        return has_kind(error, "rule") || has_kind(error, "denied") || has_kind(error, "config") ||
                has_kind(error, "protocol");
}

/* ---- the CAs ---- */

static void judge_refusal(const char *ca, const json_t *error, struct judgements *out)
{
        const char *text = or_empty(json_str(error, "text"));
        if (is_credentials(error))
                judge(out, "O02",
                        words(ca, error,
                                "check its credentials, and that they belong to the site of the endpoint (mainland or "
                                "international)"),
                        "CA %s does not accept the credentials: %s", ca, text);
        else if (has_code(error, "tc.gone") || has_code(error, "CertificateNotFound"))
                judge(out, "O21",
                        words(ca, error,
                                "correct certificate_id (dcvctl import --from tencent lists the account), the "
                                "credentials or the endpoint (mainland or international)"),
                        "the account at CA %s does not have this certificate: %s", ca, text);
        else if (has_kind(error, "rate-limited"))
                judge(out, "L02", words(ca, error, "wait; nothing can be had there before"), "CA %s has its limit: %s",
                        ca, text);
}

static void judge_rules(const char *ca, const json_t *facts, struct judgements *out)
{
        size_t i;
        json_t *rule;
        int64_t until_s = json_i64(facts, "reissuable_until", 0), left_s = until_s - clock_now_s();
        json_array_foreach(json_object_get(facts, "rules"), i, rule)
        {
                const char *text = or_empty(json_string_value(rule));
                bool ends = text_starts(text, "R2:") && until_s > 0; /* the one that will bar everything */
                judge(out, ends && left_s < SOON_S ? "O22" : "O14",
                        (struct judgement_words){ .subject = ca,
                                .fix = ends ? "after that buy a new certificate, or name a further CA in the list"
                                            : "nothing has to be done" },
                        "%s", text);
        }
}

static void judge_cas(const char *cert, const json_t *said, struct judgements *out)
{
        size_t i, usable = 0;
        json_t *ca;
        const char *first = "";
        const json_t *list = json_object_get(said, "cas");
        json_array_foreach(list, i, ca)
        {
                const json_t *error = json_object_get(ca, "error");
                const char *name = or_empty(json_str(ca, "ca"));
                judge_rules(name, ca, out);
                if (!error) {
                        usable++;
                        continue;
                }
                judge_refusal(name, error, out);
                usable += !is_final(error);
                if (i == 0)
                        first = or_empty(json_str(error, "text"));
                if (i > 0 && is_final(error))
                        judge(out, "O16", words(name, error, "mend it now, before it is needed"),
                                "CA %s, the next of the list, could not take over: %s", name,
                                or_empty(json_str(error, "text")));
        }
        if (i > 0 && usable == 0)
                judge(out, "O15",
                        (struct judgement_words){ .subject = cert,
                                .fix = "name a further CA in the list that can issue for these names (ca: [..., "
                                       "letsencrypt]), or buy a new certificate" },
                        "nothing could replace %s today: %s", cert, first);
}

/* ---- the rest ---- */

static void judge_publishers(const json_t *said, struct judgements *out)
{
        size_t i;
        json_t *p;
        json_array_foreach(json_object_get(said, "publishers"), i, p)
        {
                const json_t *error = json_object_get(p, "error");
                if (error)
                        judge(out, "O03",
                                words(or_empty(json_str(p, "publisher")), error,
                                        "let this key update the zone, or correct the publisher's settings"),
                                "publisher %s may not write for %s: %s", or_empty(json_str(p, "publisher")),
                                or_empty(json_str(p, "name")), or_empty(json_str(error, "text")));
        }
        if (i == 0)
                judge_unverifiable(out, "O03", json_str(said, "cert"),
                        "its publishers tell only by publishing: dcvctl rehearse tries it");
}

static void judge_test(const char *cert, const json_t *said, struct judgements *out)
{
        const json_t *test = json_object_get(said, "test");
        if (!json_is_object(test))
                return;
        const char *fix = json_str(test, "fix"); /* a web server's own word has none */
        if (has_code(test, "deploy.test") && fix && fix[0])
                judge(out, "O13", words(cert, test, NULL), "no certificate could be put to use: %s",
                        or_empty(json_str(test, "text")));
        else if (has_code(test, "deploy.test"))
                judge(out, "O07", words(cert, test, "mend the web server's configuration: no job begins before"),
                        "the web server's own configuration test fails: %s", or_empty(json_str(test, "text")));
        else if (has_kind(test, "config"))
                judge(out, "O13", words(cert, test, "mend it: dcvd could not put a certificate to use"),
                        "dcvd-helper refuses: %s", or_empty(json_str(test, "text")));
        else
                judge_unverifiable(out, "O07", cert, "%s", or_empty(json_str(test, "text")));
}

static void judge_journal(const char *cert, const json_t *said, bool letsencrypt, struct judgements *out)
{
        int64_t row = json_i64(said, "failures_in_a_row", 0), week = json_i64(said, "issued_in_a_week", 0);
        struct judgement_words w = { .subject = cert };
        if (row >= ROW_MANY) {
                CLEANUP(free_p)
                char *fix = text_format("mend the cause first: dcvctl history %s says what it is", cert);
                w.fix = fix;
                judge(out, "L03", w, "the last %lld jobs of %s failed%s", (long long)row, cert,
                        letsencrypt ? "; Let's Encrypt pauses a name after 1152 failures in a row" : "");
        }
        if (letsencrypt && week >= SAME_SET_WEEK) {
                char next[40];
                format_time(json_i64(said, "oldest_of_the_week", 0) + 7 * 86400, next, sizeof next);
                w.fix = "wait until then, or use another CA of the list; a renewal through ARI is exempt";
                judge(out, "L02", w,
                        "%lld of %d certificates for this set of names were issued within seven days; the next at %s",
                        (long long)week, SAME_SET_WEEK, next);
        }
        if (strcasestr(or_empty(json_str(said, "last_error_code")), "rejectedIdentifier")) {
                w.fix = "take the name out of the certificate, or use another CA for it";
                judge(out, "L05", w, "the CA's policy refused it: %s", or_empty(json_str(said, "last_error")));
        }
        if (json_i64(said, "tokens_left", 0) > 0) {
                w.fix = "dcvctl withdraw --stale";
                judge(out, "O19", w, "%lld tokens of %s were left behind", (long long)json_i64(said, "tokens_left", 0),
                        cert);
        }
}

static void judge_end(const char *cert, const json_t *said, struct judgements *out)
{
        const char *text = json_str(said, "end");
        if (text)
                judge(out, "O24",
                        (struct judgement_words){ .subject = cert,
                                .fix = "buy a new certificate and set its certificate_id, or name a CA in the "
                                       "list that renews (ca: [..., letsencrypt])" },
                        "%s", text);
}

/* ---- the configuration in force ---- */

static bool same_texts(const json_t *list, const struct texts *t)
{
        bool same = json_array_size(list) == t->count;
        for (size_t i = 0; same && i < t->count; i++)
                same = strcmp(or_empty(json_string_value(json_array_get(list, i))), t->item[i]) == 0;
        return same;
}

static bool is_in_force(const struct conf_cert *c, const json_t *said)
{
        const json_t *list = json_object_get(said, "list"), *targets = json_object_get(said, "targets");
        bool same = same_texts(json_object_get(said, "names"), &c->names) && json_array_size(list) == c->ca_count &&
                json_array_size(targets) == c->target_count;
        for (size_t i = 0; same && i < c->ca_count; i++)
                same = strcmp(or_empty(json_string_value(json_array_get(list, i))), c->ca[i].ca) == 0;
        for (size_t i = 0; same && i < c->target_count; i++) {
                char hash[65];
                target_hash(&c->target[i], hash);
                same = strcmp(or_empty(json_string_value(json_array_get(targets, i))), hash) == 0;
        }
        return same;
}

static void judge_in_force(const struct check_context *c, const char *what, struct judgements *out)
{
        judge(out, "O23",
                (struct judgement_words){ .subject = c->target->cert->name,
                        .fix = "systemctl reload dcvd (dcvd --check-config says first whether it would take it)" },
                "the daemon runs with an older configuration than %s: %s",
                c->target->conf ? c->target->conf->path : "the file", what);
}

static void not_said(struct check_context *c, const char *why, struct judgements *out)
{
        for (size_t i = 0; i < ARRAY_LEN(ids); i++)
                if (!judgements_find(out, ids[i]))
                        judge_unverifiable(out, ids[i], c->target->label, "%s", why);
}

static void run(struct check_context *c, struct judgements *out)
{
        const struct check_said *said = c->target->more;
        const char *cert = c->target->cert->name;
        if (said && said->unknown)
                judge_in_force(c, "it does not know this certificate", out);
        if (!said || !said->facts)
                return not_said(c, said ? said->why : "only the daemon knows", out);
        if (json_object_get(said->facts, "names") && !is_in_force(c->target->cert, said->facts))
                judge_in_force(c, "names, CAs or deployment of this certificate differ", out);
        bool letsencrypt = c->target->directory && strstr(c->target->directory, "letsencrypt.org");
        judge_cas(cert, said->facts, out);
        judge_publishers(said->facts, out);
        judge_test(cert, said->facts, out);
        judge_journal(cert, said->facts, letsencrypt, out);
        judge_end(cert, said->facts, out);
}

static const struct check check_daemon = { .ids = "L02 L03 L05 O02 O03 O07 O14 O15 O16 O19 O21 O22 O23 O24",
        .stage = STAGE_REST,
        .scope = CHECK_TARGET,
        .needs = CHECK_NEEDS_CERT | CHECK_REGARDLESS,
        .run = run };
const struct check *const job_checks[] = { &check_daemon, NULL };
