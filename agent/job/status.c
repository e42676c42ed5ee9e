/* The facts behind status, as JSON; dcvctl makes the text of them. */
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/job/actions.h"
#include "agent/job/internal.h"

static json_t *parsed(const char *text)
{
        json_t *o = NULL;
        return text && json_read(text, strlen(text), 10, &o, NULL) ? o : json_null();
}

json_t *job_status_json(const struct job *j)
{
        json_t *o = json_object();
        const struct job_row *r = &j->row;
        json_put_i64(o, "job", r->id);
        json_put_text(o, "cert", r->cert);
        json_put_text(o, "state", job_state_name(r->state));
        json_put_text(o, "trigger", r->trigger);
        json_put_text(o, "reason", r->reason);
        json_put_bool(o, "compromised", r->compromised);
        json_put_i64(o, "since", r->entered_s);
        json_put_i64(o, "created", r->created_s);
        json_put_i64(o, "attempt", r->attempt);
        json_put_text(o, "ca", r->ca);
        json_put_text(o, "order", r->order_id);
        json_put_text(o, "progress", j->progress ? j->progress : "");
        if (r->state == JOB_SUBMITTED) { /* one beside the other */
                json_put_text(o, "ca_says", j->ca_says);
                json_put_text(o, "dcvd_saw", j->saw ? j->saw : "nothing since its start");
        }
        json_put_i64(o, "next", r->due_ms > 0 && j->due.entry.index ? r->due_ms / 1000 : 0);
        json_object_set_new(o, "waiting", parsed(r->waiting));
        if (r->err_text) {
                json_t *e = json_object();
                json_put_text(e, "kind", r->err_kind);
                json_put_text(e, "code", r->err_code);
                json_put_text(e, "text", r->err_text);
                json_put_text(e, "fix", r->err_fix);
                json_object_set_new(o, "error", e);
        }
        json_t *spread = json_array();
        for (size_t i = 0; i < j->propagate_count; i++)
                if (j->propagate[i].state)
                        json_array_append(spread, j->propagate[i].state);
        json_object_set_new(o, "propagation", spread);
        return o;
}

static json_t *live_json(const struct cert *c)
{
        if (c->row.live_set == 0)
                return json_null();
        json_t *o = json_object();
        json_put_i64(o, "set", c->row.live_set);
        json_put_text(o, "sha256", c->row.live_sha256);
        json_put_text(o, "spki", c->row.live_spki);
        json_put_i64(o, "not_after", c->row.live_not_after_s);
        json_put_i64(o, "revoked", c->live_revoked_s);
        json_put_bool(o, "compromised", c->row.live_spki && compromised_has(c->engine->keystore, c->row.live_spki));
        return o;
}

#define BY_HAND_TTL 60
#define STANDING_TTL 3600 /* of a record that stays */

static json_t *tokens_json(const struct cert *c)
{
        json_t *list = json_array();
        for (size_t i = 0; i < c->engine->token_count; i++) {
                const struct token *t = c->engine->token[i];
                if (!t->row.cert || strcmp(t->row.cert, c->row.name) != 0)
                        continue;
                json_t *o = json_object();
                char place[300];
                proof_text(&t->row.proof, place, sizeof place);
                json_put_text(o, "token", place);
                json_put_text(o, "value", t->row.proof.value);
                json_put_text(o, "publisher", t->row.publisher);
                json_put_text(o, "state", t->row.state);
                const struct backend_publisher *p = engine_publisher(c->engine, t->row.publisher);
                CLEANUP(free_p)
                char *publish = p && p->ops->by_person
                        ? proof_instruction(
                                  &t->row.proof, t->row.proof.type == PROOF_PERSIST ? STANDING_TTL : BY_HAND_TTL)
                        : NULL;
                if (publish) /* announced is all that this publisher does */
                        json_put_text(o, "please_publish", publish);
                json_put_text(o, "problem", t->problem[0] ? t->problem : NULL);
                json_put_bool(o, "held", t->row.holder_count > 0);
                json_array_append_new(list, o);
        }
        return list;
}

static bool service_row(void *arg, const struct store_row *row)
{
        json_t *o = json_object();
        json_put_text(o, "target", row_text(row, 0));
        json_put_text(o, "service", row_text(row, 1));
        json_put_text(o, "state", row_text(row, 2));
        json_put_text(o, "text", row_text(row, 3));
        json_put_i64(o, "set", row_i64(row, 4));
        json_put_i64(o, "at", row_i64(row, 5));
        return json_array_append_new(arg, o) == 0;
}

static bool last_job_row(void *arg, const struct store_row *row)
{
        json_t *o = arg;
        const char *state = row_text(row, 1), *fix = row_text(row, 4);
        bool failed = strcmp(state, job_state_name(JOB_FAILED)) == 0;
        CLEANUP(free_p)
        char *again = failed && !fix ? text_format("mend it, then dcvctl reissue %s", row_text(row, 5)) : NULL;
        json_put_i64(o, "job", row_i64(row, 0));
        json_put_text(o, "state", state);
        json_put_i64(o, "at", row_i64(row, 2));
        json_put_text(o, "text", row_text(row, 3));
        json_put_text(o, "fix", fix ? fix : again);
        return false;
}

/* The last one that ended well or failed: what was cancelled, and a trial, changed nothing. */
static json_t *last_job_json(const struct cert *c)
{
        struct err e;
        json_t *o = json_object();
        if (!store_query(c->engine->store,
                    "SELECT id, state, entered, result, err_fix, cert FROM job WHERE cert=?"
                    " AND state IN ('done', 'failed') AND instr(policy, '\"staging\":true') = 0 ORDER BY id DESC LIMIT "
                    "1",
                    "t", last_job_row, o, &e, c->row.name))
                json_object_clear(o);
        if (json_object_size(o) > 0)
                return o;
        json_decref(o);
        return json_null();
}

json_t *cert_served_json(const struct cert *c)
{
        size_t i;
        json_t *x, *list = parsed(c->row.served);
        json_array_foreach(list, i, x)
        {
                const char *sha256 = json_str(x, "sha256"), *live = c->row.live_sha256;
                bool match = sha256 && sha256[0] && live && strcmp(sha256, live) == 0;
                if (!match && json_bool(x, "match", false)) /* what it was looked at for is not live any more */
                        json_put_text(
                                x, "text", "served another set when it was looked at last; dcvctl verify looks again");
                json_put_bool(x, "match", match);
        }
        return list;
}

/* The last look had no endpoint to look at. */
static bool is_looked_at(const struct cert *c)
{
        CLEANUP(json_decref_p) json_t *list = parsed(c->row.served);
        return !c->row.served || c->row.live_set == 0 || json_array_size(list) > 0;
}

/* The one reissue that was left has been used since the CA was asked. */
static bool spent_since(const struct cert *c, const json_t *facts)
{
        const char *sha256 = json_str(facts, "sha256");
        return json_bool(facts, "possible", false) && json_bool(facts, "last_one", false) && c->row.live_sha256 &&
                sha256 && strcmp(sha256, c->row.live_sha256) != 0 &&
                c->row.last_success_s >= json_i64(facts, "checked", 0);
}

json_t *cert_reissuable_json(const struct cert *c)
{
        json_t *facts = parsed(c->row.reissuable);
        if (spent_since(c, facts)) {
                json_put_bool(facts, "possible", false);
                json_put_text(facts, "rule", "R3");
                json_put_text(facts, "text", "R3: used");
        }
        return facts;
}

static bool may_be_deployed(const struct cert *c, unsigned number)
{
        struct err e;
        CLEANUP(json_decref_p) json_t *meta = NULL;
        if (!sets_read_meta(c->engine->sets, c->row.name, number, &meta, &e))
                return false;
        const char *spki = json_str(meta, "spki");
        return spki && !compromised_has(c->engine->keystore, spki) && json_i64(meta, "revoked", 0) == 0 &&
                json_i64(meta, "not_after", 0) > clock_now_s();
}

/* Is there one after the live one? Listed only where a set came or went since: status asks it of each certificate. */
static bool has_later_set(struct cert *c)
{
        CLEANUP(free_p) unsigned *number = NULL;
        size_t count = 0;
        struct err e;
        uint64_t at = sets_changes(c->engine->sets) + 1;
        if (c->last_set_at != at) {
                if (!sets_list(c->engine->sets, c->row.name, &number, &count, &e))
                        return false;
                c->last_set = count ? number[count - 1] : 0;
                c->last_set_at = at;
        }
        return (int64_t)c->last_set > c->row.live_set;
}

/* Of a CA that keeps no chain of reissues: the last one that came. */
static unsigned last_set(struct cert *c)
{
        CLEANUP(free_p) unsigned *number = NULL;
        size_t count = 0;
        struct err e;
        if (c->job || c->row.live_set == 0 || !has_later_set(c) ||
                !sets_list(c->engine->sets, c->row.name, &number, &count, &e))
                return 0; /* what a job has just made it puts to use itself */
        for (size_t i = count; i-- > 0 && (int64_t)number[i] > c->row.live_set;)
                if (may_be_deployed(c, number[i]))
                        return number[i];
        return 0;
}

/* The set of what the CA says is its newest, where an older one is live (a failed deploy, a set asked for by number)
 * and it may be deployed; 0: none. */
static unsigned newest_set(struct cert *c, const json_t *facts)
{
        unsigned number = 0;
        const char *sha256 = json_str(facts, "sha256"), *spki = json_str(facts, "spki");
        if (!sha256 || !sha256[0])
                return last_set(c);
        if (!c->row.live_sha256 || strcmp(sha256, c->row.live_sha256) == 0 || !cert_has_set_of(c, sha256, &number) ||
                (int64_t)number <= c->row.live_set)
                return 0;
        return spki && compromised_has(c->engine->keystore, spki) ? 0 : number;
}

/* One of the four forms of the REISSUE line. */
static char *reissue_line(const struct cert *c, const struct conf_cert *conf, const json_t *facts)
{
        char until[32];
        if (!json_is_object(facts))
                return text_format("not asked yet: dcvctl reissue %s --dry-run asks", c->row.name);
        if (json_i64(facts, "limited_until", 0) > clock_now_s()) {
                const char *limit = json_str(facts, "limit");
                format_time(json_i64(facts, "limited_until", 0), until, sizeof until);
                return text_format("not before %s: %s", until, limit ? limit : "");
        }
        if (json_bool(facts, "possible", false)) {
                int64_t until_s = json_i64(facts, "until", 0);
                format_date(until_s, until, sizeof until);
                return until_s ? text_format("yes until %s (R2)", until) : text_dup("yes");
        }
        const char *rule = json_str(facts, "rule"), *text = json_str(facts, "text");
        if (json_bool(facts, "passes", false))
                return text_format("not now: %s", text ? text : "");
        if (conf && conf->ca_count > 1 &&
                fallback_is_downgrade(c->engine, conf, 0, json_bool(facts, "organization", false)))
                return text_format("none: nothing could replace this today (%s); %s would leave out the organization's "
                                   "name: fallback: {downgrade: true}",
                        text           ? text
                                : rule ? rule
                                       : "?",
                        conf->ca[1].ca);
        if (conf && conf->ca_count > 1)
                return text_format("%s (%s): next goes to %s", rule && strcmp(rule, "R3") == 0 ? "used" : "refused",
                        rule ? rule : "?", conf->ca[1].ca);
        return text_format("none: nothing could replace this today (%s)", text ? text : rule ? rule : "?");
}

/* Of key.reuse; NULL: it is not set, or the CA was not asked since this key is live. */
static char *key_line(const struct cert *c, const struct conf_cert *conf, const json_t *facts)
{
        const json_t *k = json_object_get(facts, "live_key");
        const char *live = c->row.live_spki ? c->row.live_spki : "", *spki = json_str(k, "spki");
        if (!conf || conf->key_reuse != REUSE_WHEN_NOT_COMPROMISED || !spki || strcmp(spki, live) != 0)
                return NULL;
        if (live[0] && compromised_has(c->engine->keystore, live))
                return text_dup("a new one next time: the live one is marked compromised");
        if (json_bool(k, "kept", false))
                return text_dup("kept next time (key.reuse)");
        return text_format("a new one next time, the live one is not kept (key.reuse): %s", json_str(k, "why_not"));
}

json_t *cert_status_json(struct cert *c, bool records)
{
        const struct conf_cert *conf = config_cert(c->engine->conf, c->row.name);
        json_t *o = json_object(), *facts = cert_reissuable_json(c);
        struct err e;
        json_put_text(o, "name", c->row.name);
        json_put_bool(o, "configured", conf != NULL);
        json_object_set_new(o, "names", conf ? json_texts(&conf->names) : json_array());
        json_object_set_new(o, "live", live_json(c));
        json_object_set_new(o, "job", c->job ? job_status_json(c->job) : json_null());
        CLEANUP(free_p) char *line = reissue_line(c, conf, facts);
        json_put_text(o, "reissue", line);
        CLEANUP(free_p) char *key = key_line(c, conf, facts);
        json_put_text(o, "key", key);
        if (c->row.last_success_s >= json_i64(facts, "checked", 0)) /* of what was before that job: asked anew soon */
                (void)json_object_del(facts, "notes");
        json_object_set_new(o, "reissuable", facts);
        json_put_i64(o, "newest_set", newest_set(c, facts));
        CLEANUP(free_p) char *end = cert_end_text(c, NULL, clock_now_s());
        json_put_text(o, "end", end);
        json_object_set_new(o, "served", cert_served_json(c));
        json_put_bool(o, "looked_at", is_looked_at(c));
        json_object_set_new(o, "last_job", last_job_json(c));
        json_put_i64(o, "last_success", c->row.last_success_s);
        json_put_i64(o, "last_failure", c->row.last_failure_s);
        json_put_text(o, "stopped", c->row.stopped);
        json_put_text(o, "newest_id", c->row.newest_id ? c->row.newest_id : conf ? conf->certificate_id : NULL);
        if (c->row.live_set == 0) {
                CLEANUP(free_p)
                char *text = text_format("not adopted: no local copy of the served certificate; run dcvctl import %s "
                                         "--cert FILE --key FILE",
                        c->row.name);
                json_put_text(o, "adopted", text);
        }
        json_t *services = json_array();
        if (!store_query(c->engine->store,
                    "SELECT target, service, state, text, set_number, at FROM service WHERE cert=?", "t", service_row,
                    services, &e, c->row.name))
                json_array_clear(services);
        json_object_set_new(o, "services", services);
        if (records || (c->job && job_has_order_open(c->job->row.state)))
                json_object_set_new(o, "tokens", tokens_json(c));
        return o;
}

void action_status(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        CLEANUP(json_decref_p) json_t *o = json_object();
        json_t *list = json_array(), *wanted = json_object_get(args, "certs");
        bool records = json_bool(args, "records", false);
        struct err e;
        json_put_text(o, "schema", "dcvd.status/1");
        json_put_text(o, "version", DCVD_VERSION);
        json_put_i64(o, "now", clock_now_s());
        json_put_i64(o, "running", (int64_t)g->job_count);
        json_put_bool(o, "rebuilt", g->rebuilt || g->rest_until_s > clock_now_s());
        json_put_i64(o, "rest_until", g->rest_until_s > clock_now_s() ? g->rest_until_s : 0);
        incidents_status(g, o);
        json_object_set_new(o, "certificates", list);
        for (size_t i = 0; i < json_array_size(wanted); i++) {
                const char *name = json_string_value(json_array_get(wanted, i));
                struct cert *c = engine_cert(g, name);
                if (!c) {
                        (void)cert_unknown(g, name, &e); /* fills e */
                        return done(arg, NULL, &e);
                }
                json_array_append_new(list, cert_status_json(c, records));
        }
        for (size_t i = 0; json_array_size(wanted) == 0 && i < g->cert_count; i++)
                json_array_append_new(list, cert_status_json(g->cert[i], records));
        json_put_i64(o, "exit", 0);
        done(arg, o, NULL);
}

static bool history_row(void *arg, const struct store_row *row)
{
        json_t *o = json_object(), *data = parsed(row_text(row, 5));
        json_put_i64(o, "id", row_i64(row, 0));
        json_put_i64(o, "at", row_i64(row, 1));
        json_put_text(o, "cert", row_text(row, 2));
        json_put_i64(o, "job", row_i64(row, 3));
        json_put_text(o, "event", row_text(row, 4));
        json_object_set_new(o, "data", data);
        return json_array_append_new(arg, o) == 0;
}

void action_history(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        CLEANUP(json_decref_p) json_t *o = json_object();
        json_t *list = json_array();
        struct err e;
        const char *cert = json_str(args, "cert");
        json_object_set_new(o, "history", list);
        json_put_text(o, "schema", "dcvd.history/1");
        /* The newest 10,000 rows, oldest first. */
        bool good = store_query(g->store,
                "SELECT * FROM (SELECT id, at, cert, job, event, data FROM audit WHERE (?1 IS NULL OR cert=?1) AND at "
                ">= ?2"
                " ORDER BY id DESC LIMIT ?3) ORDER BY id",
                "tii", history_row, list, &e, cert, json_i64(args, "since", 0),
                MIN(MAX(json_i64(args, "limit", 10000), 1), 10000));
        if (good && cert && json_array_size(list) == 0 && !engine_cert(g, cert))
                good = action_cert(g, args, &(struct cert *){ NULL }, &e); /* says what was meant */
        struct err broken;
        bool whole = journal_audit_verify(g->store, &broken);
        json_put_bool(o, "intact", whole);
        if (!whole)
                json_put_text(o, "broken", broken.text);
        json_put_i64(o, "exit", whole ? 0 : 1);
        done(arg, good ? o : NULL, good ? NULL : &e);
}
