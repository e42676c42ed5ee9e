/* The step propagated: every authoritative address, or every address of the host, must show every token. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/job/internal.h"

json_t *propagation_servers_json(const struct propagation_state *s)
{
        json_t *list = json_array();
        for (size_t i = 0; list && i < s->count; i++) {
                const struct propagation_server *x = &s->server[i];
                char address[ADDRESS_TEXT] = ""; /* none is known */
                if (x->address.family)
                        address_text(&x->address, false, address);
                json_t *o = json_object();
                json_put_text(o, "zone", x->zone);
                json_put_text(o, "name", x->name);
                json_put_text(o, "address", address);
                json_put_text(o, "look", propagation_look_name(x->look));
                json_put_text(o, "transport", x->transport == DNS_TCP ? "tcp" : "udp");
                json_put_i64(o, "rcode", x->rcode);
                json_put_bool(o, "aa", x->aa);
                if (x->has_serial)
                        json_put_i64(o, "serial", x->serial);
                json_put_i64(o, "rtt_ms", x->rtt_us / 1000);
                json_put_i64(o, "seen_after_ms", x->seen_after_ms);
                json_put_text(o, "saw", x->saw);
                json_array_append_new(list, o);
        }
        return list;
}

static json_t *state_json(const struct token *t, const struct propagation_state *s)
{
        json_t *o = json_object();
        char place[300];
        proof_text(&t->row.proof, place, sizeof place);
        json_put_text(o, "token", place);
        json_put_i64(o, "seen", (int64_t)s->seen);
        json_put_i64(o, "wanted", (int64_t)s->wanted);
        json_put_i64(o, "elapsed_ms", s->elapsed_ms);
        json_put_text(o, "text", s->text);
        json_object_set_new(o, "servers", propagation_servers_json(s));
        return o;
}

/* A record that should stand for good does not: said once, with the record. */
static void say_missing(struct propagate *p, const struct propagation_state *s)
{
        bool missing = false;
        for (size_t i = 0; i < s->count; i++)
                missing = missing || s->server[i].look == LOOK_ABSENT || s->server[i].look == LOOK_OTHER;
        if (p->missed || !missing || p->token->row.proof.type != PROOF_PERSIST)
                return;
        CLEANUP(free_p) char *text = proof_instruction(&p->token->row.proof, 3600);
        p->missed = true;
        job_note(p->job, "not there: add this record once and leave it, dcvd goes on by itself: %s", text ? text : "");
}

/* Of several tokens what is told is the first that is still missing somewhere, not the one that was seen last. */
static const char *progress_of(const struct job *j, const char *latest)
{
        for (size_t i = 0; i < j->propagate_count; i++) {
                const char *text = j->propagate[i].done ? NULL : json_str(j->propagate[i].state, "text");
                if (text)
                        return text;
        }
        return latest;
}

static void spreading(void *arg, const struct propagation_state *state)
{
        struct propagate *p = arg;
        say_missing(p, state);
        json_decref(p->state);
        p->state = state_json(p->token, state);
        job_set_progress(p->job, "%s", progress_of(p->job, state->text));
        job_emit(p->job, state->text);
}

static bool by_person(struct job *j)
{
        for (size_t i = 0; i < j->engine->token_count; i++) {
                const struct token *t = j->engine->token[i];
                const struct backend_publisher *p =
                        job_holds(j, t) ? engine_publisher(j->engine, t->row.publisher) : NULL;
                if (p && p->ops->by_person)
                        return true;
        }
        return false;
}

/* ---- a person publishes ---- */

#define PERSON_AGAIN_MS 60000 /* between two rounds of looks: nobody is at it all the time */

/* A record that stands for good may well be there: that one is asked for when it was missed. */
static bool is_asked_for(struct job *j, const struct token *t)
{
        const struct backend_publisher *p = job_holds(j, t) ? engine_publisher(j->engine, t->row.publisher) : NULL;
        return p && p->ops->by_person && t->row.proof.type != PROOF_PERSIST;
}

/* Everything at once, whoever does it does it once. NULL: nothing. */
static char *what_to_publish(struct job *j)
{
        struct buf b = { .max = 64 * 1024 };
        for (size_t i = 0; i < j->engine->token_count; i++) {
                const struct token *t = j->engine->token[i];
                CLEANUP(free_p) char *text = is_asked_for(j, t) ? proof_instruction(&t->row.proof, 60) : NULL;
                if (text)
                        buf_addf(&b, "%s%s", b.len ? "; and " : "please publish: ", text);
        }
        return b.len ? buf_steal(&b) : (buf_done(&b), NULL);
}

static void tell_person(struct job *j, const char *act, const char *by, const struct err *e)
{
        if (j->asked_person && strcmp(j->asked_person, act) == 0)
                return;
        CLEANUP(free_p) char *text = text_format("waiting for you: %s, order %s%s", act, j->row.order_id, by);
        job_set(&j->asked_person, act);
        job_notice_person(j, text ? text : e->text, e->fix);
}

/* again_ms 0: the looks go on meanwhile. False: nothing here is done by a person. */
static bool wait_for_publication(struct job *j, int64_t again_ms)
{
        struct err e;
        char by[48] = "", date[32];
        const struct order_row *order = engine_order(j->engine, j->row.ca, j->row.order_id);
        CLEANUP(free_p) char *act = what_to_publish(j);
        if (!act)
                return false;
        if (order && order->deadline_s) {
                format_date(order->deadline_s, date, sizeof date);
                snprintf(by, sizeof by, ", by %.12s", date);
        }
        err_set(&e, ERR_WAITING, "person", "waiting for you: %.400s, order %.160s%s", act, j->row.order_id, by);
        err_fix(&e, "dcvd goes on by itself when every server shows it");
        CLEANUP(json_decref_p)
        json_t *w = json_pack("{s:s, s:s, s:b, s:I, s:I}", "party", "you", "act", act, "ours", 1, "since",
                (json_int_t)j->row.entered_s, "deadline", (json_int_t)(order ? order->deadline_s : 0));
        CLEANUP(free_p) char *text = json_text(w);
        if (j->row.waiting && text && strcmp(j->row.waiting, text) == 0)
                job_set(&j->asked_person, act); /* told before a restart */
        tell_person(j, act, by, &e);
        if (again_ms)
                job_wait(j, &e, w, again_ms);
        else
                job_wait_looking(j, &e, w);
        return true;
}

/* Not shown yet, by servers that answer: that is the person's, not a failure. */
static bool waits_for_person(const struct propagate *p, const struct err *err)
{
        return strcmp(err->code, "propagation.timeout") == 0 && !err->fix[0] && is_asked_for(p->job, p->token) &&
                wait_for_publication(p->job, PERSON_AGAIN_MS + (int64_t)random_below(PERSON_AGAIN_MS / 2));
}

/* Kept for whoever compares it with what the CA says that it sees. */
static void keep_what_was_seen(struct job *j)
{
        CLEANUP(buf_done) struct buf b = { .max = 1000 };
        for (size_t i = 0; i < j->propagate_count; i++) {
                const char *token = json_str(j->propagate[i].state, "token"),
                           *text = json_str(j->propagate[i].state, "text");
                if (token && text)
                        buf_addf(&b, "%s%s: %s", b.len ? "\n" : "", token, text);
        }
        job_set(&j->saw, b.data);
}

static void spread(void *arg, const struct propagation_state *state, const struct err *err)
{
        struct propagate *p = arg;
        struct job *j = p->job;
        p->run = NULL;
        p->done = true;
        if (state)
                spreading(p, state);
        if (err && waits_for_person(p, err))
                return;
        if (err) {
                struct err e = *err;
                job_set(&j->row.waiting, NULL); /* something else stands in the way */
                if (by_person(j) && !e.fix[0])
                        err_fix(&e,
                                "publish the record or file that `dcvctl status %s` shows as TOKEN; dcvd goes on by "
                                "itself when it appears",
                                j->row.cert);
                return job_trouble(j, &e);
        }
        if (state)
                metrics_token_seen(p->token->row.publisher, state->elapsed_ms);
        for (size_t i = 0; i < j->propagate_count; i++)
                if (!j->propagate[i].done)
                        return;
        keep_what_was_seen(j);
        job_go(j, JOB_SUBMITTED);
}

void step_propagated(struct job *j)
{
        struct err e;
        size_t n = 0;
        if (!job_have_ca(j))
                return;
        job_stop_work(j);
        j->propagate = calloc(j->engine->token_count + 1, sizeof *j->propagate);
        if (!j->propagate) {
                err_memory(&e);
                return job_trouble(j, &e);
        }
        for (size_t i = 0; i < j->engine->token_count; i++)
                if (job_holds(j, j->engine->token[i]))
                        j->propagate[n++] = (struct propagate){ .job = j, .token = j->engine->token[i] };
        j->propagate_count = n;
        bool looks = n > 0 && j->policy->propagation.view != VIEW_PUBLISHER;
        job_set(&j->saw, n == 0 || looks ? NULL : "nothing: propagation.view is publisher");
        if (!looks)
                return job_go(j, JOB_SUBMITTED);
        for (size_t i = 0; i < n; i++) {
                struct propagate *p = &j->propagate[i];
                struct propagation_request r = { .proof = &p->token->row.proof,
                        .internal = engine_ca_is_internal(j->engine, j->row.ca),
                        .conf = &j->policy->propagation };
                p->run = propagation_start(j->engine->propagation, &r, spreading, spread, p, &e);
                if (!p->run)
                        return job_trouble(j, &e);
        }
        (void)wait_for_publication(j, 0);
        job_poll_in(j, LOOK_WHILE_SPREADING_MS); /* the CA looks by itself too: its success ends the wait */
}
