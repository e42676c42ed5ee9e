/* Incidents from the report to the revocation, against a CA of the tests. */
#include "test.h"

#include "agent/base/metrics.h"
#include "agent/job/incident_evidence.h"
#include "agent/job/incident_look.h"
#include "agent/store/store_internal.h"
#include "incident_fixture.h"

static void take_name(struct fixture *f)
{
        struct texts domains = { 0 };
        assert_true(texts_add(&domains, "www.example.test"));
        const struct report r = {
                .source = "webhook scanner", .strength = REPORT_EXACT, .domains = &domains, .revocation_reason = -1
        };
        take(f, &r);
        texts_done(&domains);
}

static bool revocations_wait(struct fixture *f)
{
        if (f->engine->incidents->count == 0)
                return false;
        const struct incident *i = f->engine->incidents->list[0];
        for (size_t k = 0; k < i->case_count; k++)
                if (i->cases[k].revocation != REVOKE_WAITS)
                        return false;
        return true;
}

/* ---- */

static void a_proof_replaces_every_certificate_with_the_key(void **state)
{
        struct fixture *f = *state;
        take_key(f, REPORT_PROOF, f->key);
        assert_int_equal(f->answer.act, INCIDENT_ACTS);
        assert_int_equal(f->answer.certs, 3);
        assert_false(f->answer.known);
        assert_true(compromised_has(f->engine->keystore, f->key));
        assert_int_equal(f->notices[NOTICE_OPENED], 1);
        int64_t id = f->answer.id;
        take_key(f, REPORT_PROOF, f->key);
        assert_true(f->answer.known);
        assert_int_equal(f->answer.id, id);
        expect_replaced(f);
        assert_int_equal(fake_ca.orders, 3);
        assert_int_equal(f->notices[NOTICE_SERVED], 3 + 1);
        const char *const spki[] = { engine_cert(f->engine, "www")->row.live_spki,
                engine_cert(f->engine, "two")->row.live_spki, engine_cert(f->engine, "six")->row.live_spki };
        assert_string_not_equal(spki[0], spki[1]);
        assert_string_not_equal(spki[1], spki[2]);
        assert_non_null(strstr(f->answer.text, "key marked compromised for ever: 3 certificates"));
}

/* Nobody here can say where the names lead: that holds the revocation until the deadline, and no longer. */
static void the_old_ones_are_revoked_by_their_key_when_nobody_shows_them(void **state)
{
        struct fixture *f = *state;
        json_t *evidence = NULL;
        struct err e;
        take_key(f, REPORT_PROOF, f->key);
        int64_t id = f->answer.id;
        expect_replaced(f);
        CLEANUP(free_p) char *key = text_format("%s/sets/two/1/privkey.pem", f->directory);
        assert_int_equal(truncate(key, 40), 0); /* of one: that is no reason to leave it valid */
        assert_true(run_to(f, revocations_wait));
        assert_int_equal(fake_ca.revokes, 0);
        struct incident *i = only(f);
        assert_non_null(
                strstr(i->cases[0].revoke_text, "not revoked: the addresses of www.example.test cannot be found"));
        i->row.deadline_s = clock_now_s() - 1;
        for (size_t k = 0; k < i->case_count; k++)
                i->cases[k].revoke_again_s = 0;
        if (!run_to(f, no_incident))
                fail_msg("%s", only(f)->cases[0].revoke_text ? only(f)->cases[0].revoke_text : "?");
        assert_int_equal(fake_ca.revokes, 3);
        assert_true(fake_ca.revoked_by_key);
        assert_int_equal(f->notices[NOTICE_DONE], 1);
        assert_true(evidence_of(f->engine->store, id, &evidence, &e));
        assert_true(json_bool(evidence, "intact", false));
        assert_int_equal(json_array_size(json_object_get(evidence, "certificates")), 3);
        for (size_t k = 0; k < 3; k++) {
                const json_t *c = json_array_get(json_object_get(evidence, "certificates"), k);
                assert_true(json_i64(c, "replaced", 0) > 0 && json_i64(c, "revoked", 0) > 0);
                assert_non_null(json_str(c, "by"));
        }
        assert_true(json_i64(evidence, "ended", 0) > 0);
        json_decref(evidence);
        take_key(f, REPORT_PROOF, f->key); /* the same key is not acted on twice */
        assert_int_equal(f->answer.id, id);
        assert_int_equal(f->answer.act, INCIDENT_CLOSED);
        ask(f, action_incident, json_pack("{s:I}", "id", (json_int_t)id));
        assert_string_equal(json_str(f->result, "state"), "done");
        assert_int_equal(fake_ca.orders, 3);
}

static bool is_put_off(struct fixture *f)
{
        return only(f)->cases[0].failures > 0;
}

/* The CA's own time, not a second less: it is kept in seconds. Each round begins in another part of one. */
static void a_ca_is_not_asked_to_revoke_before_the_time_it_said(void **state)
{
        struct fixture *f = *state;
        enum { SAID_S = 4, ROUNDS = 12 };
        take_key(f, REPORT_PROOF, f->key);
        expect_replaced(f);
        assert_true(run_to(f, revocations_wait));
        struct incident *i = only(f);
        struct incident_case *c = &i->cases[0];
        i->row.deadline_s = clock_now_s() - 1;
        for (size_t k = 1; k < i->case_count; k++)
                i->cases[k].revoke_again_s = clock_now_s() + 86400;
        for (int n = 0; n < ROUNDS; n++) {
                err_set(&fake_ca.revoke_err, ERR_RATE_LIMITED, "limited", "come back later");
                fake_ca.revoke_err.retry_after_s = SAID_S;
                c->failures = 0;
                c->revoke_again_s = 0;
                assert_true(run_to(f, is_put_off));
                assert_int_equal(c->revocation, REVOKE_WAITS);
                assert_true(c->revoke_again_s * 1000 >= fake_ca.revoke_asked_ms + SAID_S * 1000);
                run_for(f, 70);
        }
        assert_int_equal(fake_ca.revokes, 0);
}

static void a_name_alone_spends_nothing_and_marks_nothing(void **state)
{
        struct fixture *f = *state;
        take_name(f);
        assert_int_equal(f->answer.act, INCIDENT_ASKS);
        assert_int_equal(f->answer.certs, 3);
        int64_t id = f->answer.id;
        take_name(f);
        assert_true(f->answer.known);
        run_for(f, 300);
        assert_false(no_incident(f));
        assert_int_equal(fake_ca.orders, 0);
        assert_false(compromised_has(f->engine->keystore, f->key));
        assert_true(f->notices[NOTICE_WAITING] > 0);
        ask(f, action_confirm, json_pack("{s:I}", "id", (json_int_t)id));
        assert_true(json_bool(f->result, "confirm", false));
        assert_int_equal(fake_ca.orders, 0);
        ask(f, action_dismiss, json_pack("{s:I}", "id", (json_int_t)id));
        assert_string_equal(f->refused.code, "because");
        ask(f, action_confirm, json_pack("{s:I, s:b}", "id", (json_int_t)id, "yes", 1));
        expect_replaced(f);
        assert_int_equal(fake_ca.orders, 3);
        assert_true(run_to(f, no_incident)); /* nothing is to be revoked: no key was named */
        assert_false(compromised_has(f->engine->keystore, f->key));
        ask(f, action_confirm, json_pack("{s:I, s:b}", "id", (json_int_t)id, "yes", 1));
        assert_string_equal(f->refused.code, "incident.over");
}

static void what_is_dismissed_stays_so_until_somebody_proves_it(void **state)
{
        struct fixture *f = *state;
        take_key(f, REPORT_EXACT, f->key);
        assert_int_equal(f->answer.act, INCIDENT_ASKS); /* on_compromise.reissue: confirm */
        assert_false(compromised_has(f->engine->keystore, f->key));
        int64_t id = f->answer.id;
        ask(f, action_dismiss, json_pack("{s:I, s:s}", "id", (json_int_t)id, "because", "our own drill"));
        assert_int_equal(f->refused.kind, ERR_NONE);
        assert_true(run_to(f, no_incident));
        ask(f, action_dismiss, json_pack("{s:I, s:s}", "id", (json_int_t)id, "because", "again"));
        assert_int_equal(f->refused.kind, ERR_NONE); /* already done */
        assert_string_equal(json_str(f->result, "text"), "incident 1 was dismissed before");
        take_key(f, REPORT_EXACT, f->key);
        assert_int_equal(f->answer.id, id);
        assert_int_equal(f->answer.act, INCIDENT_CLOSED);
        assert_non_null(strstr(f->answer.text, "our own drill"));
        take_key(f, REPORT_PROOF, f->key);
        assert_int_not_equal(f->answer.id, id);
        assert_int_equal(f->answer.act, INCIDENT_ASKS);
        assert_true(compromised_has(f->engine->keystore, f->key)); /* proven: marked, whatever the policy asks first */
        assert_int_equal(fake_ca.orders, 0);
}

static void a_stronger_report_makes_the_same_incident_act(void **state)
{
        struct fixture *f = *state;
        take_key(f, REPORT_HINT, f->key);
        assert_int_equal(f->answer.act, INCIDENT_ASKS);
        int64_t id = f->answer.id;
        take_key(f, REPORT_EXACT, f->key);
        assert_int_equal(f->answer.id, id);
        assert_int_equal(f->answer.act, INCIDENT_ACTS);
        expect_replaced(f);
        assert_true(run_to(f, revocations_wait)); /* not proven: that is asked */
        assert_int_equal(incident_acts(only(f)), INCIDENT_ASKS);
        take_key(f, REPORT_PROOF, f->key);
        assert_int_equal(f->answer.id, id);
        assert_int_equal(only(f)->cases[0].revoke, VERDICT_YES);
}

static void on_counted(void *arg, const struct incident_answer *answer, const struct err *err);

static bool is_proven_on_disk(void *arg, const struct store_row *row)
{
        *(bool *)arg = strcmp(row_text(row, 0), "proof") == 0;
        return false;
}

/* Who is answered is on disk: also a stronger report that came while the first one was being written. */
static void nobody_is_answered_by_the_commit_of_another_report(void **state)
{
        struct fixture *f = *state;
        struct report r = { .source = "scanner", .strength = REPORT_HINT, .spki_hex = f->key, .revocation_reason = -1 };
        int hint = 0, known = 0, proof = 0;
        bool never = false, proven = false;
        struct err e;
        assert_true(incident_take(f->engine, &r, on_counted, &hint, &e));
        assert_true(incident_take(f->engine, &r, on_counted, &known, &e));
        r.strength = REPORT_PROOF;
        assert_true(incident_take(f->engine, &r, on_counted, &proof, &e));
        for (int64_t end_ms = clock_boot_ms() + LIMIT_MS; proof == 0 && clock_boot_ms() < end_ms;) {
                (void)loop_run_until(f->loop, &never, 1);
                assert_true(store_query(
                        f->engine->store, "SELECT strength FROM incident", "", is_proven_on_disk, &proven, &e));
                assert_true(proof == 0 || proven);
        }
        assert_true(hint == 1 && known == 1 && proof == 1);
        assert_int_equal(f->engine->incidents->waiting, 0);
}

static struct conf_cert *conf_of(struct fixture *f, const char *name)
{
        return (struct conf_cert *)config_cert(f->engine->conf, name);
}

static bool two_are_replaced(struct fixture *f)
{
        size_t n = 0;
        for (size_t k = 0; k < only(f)->case_count; k++)
                n += only(f)->cases[k].state == CASE_REPLACED;
        return n == 2 && f->engine->job_count == 0;
}

static bool is_named(struct fixture *f)
{
        return f->notices[NOTICE_STUCK] > 0;
}

/* The line of the night, word for word; who must act has an exit status of its own, and an hour before the deadline
 * what is open is named. */
static void one_that_waits_for_a_person_is_named_in_time(void **state)
{
        struct fixture *f = *state;
        char text[480];
        conf_of(f, "six")->compromise_reissue = CONFIRM_ASK;
        take_key(f, REPORT_PROOF, f->key);
        assert_true(run_to(f, two_are_replaced));
        incident_say(only(f), text, sizeof text);
        assert_string_equal(text, "key marked compromised for ever: 3 certificates, 2 replaced, 1 waits for you");
        ask(f, action_incident, json_pack("{s:i}", "id", 1));
        assert_int_equal(json_i64(f->result, "exit", 0), 4);
        const json_t *todo = json_array_get(json_object_get(f->result, "todo"), 0);
        assert_string_equal(json_str(todo, "cert"), "six");
        assert_string_equal(json_str(todo, "fix"), "dcvctl confirm 1");
        assert_int_equal(f->notices[NOTICE_STUCK], 0);
        only(f)->row.deadline_s = clock_now_s() + 3000;
        assert_true(run_to(f, is_named));
        assert_int_equal(f->notices[NOTICE_STUCK], 1);
        assert_true(only(f)->row.warned);
        restart(f); /* said once, whatever happens */
        run_for(f, 300);
        assert_int_equal(f->notices[NOTICE_STUCK], 1);
}

static bool deadline_has_worked(struct fixture *f)
{
        const struct incident_case *c = only(f)->cases;
        size_t n = 0;
        for (size_t k = 0; k < only(f)->case_count; k++)
                n += c[k].revocation == REVOKE_WAITS && c[k].revoke_text && strstr(c[k].revoke_text, "is live as six");
        return n == 2;
}

/* Past the deadline what was replaced is revoked though others are not; but never what a server still has live. */
static void the_deadline_forces_nothing_that_is_live(void **state)
{
        struct fixture *f = *state;
        conf_of(f, "six")->compromise_reissue = CONFIRM_ASK;
        take_key(f, REPORT_PROOF, f->key);
        assert_true(run_to(f, two_are_replaced));
        only(f)->row.deadline_s = clock_now_s() - 1;
        assert_true(run_to(f, deadline_has_worked));
        assert_int_equal(fake_ca.revokes, 0);
        ask(f, action_confirm, json_pack("{s:i, s:b}", "id", 1, "yes", 1));
        assert_true(run_to(f, all_replaced));
        for (size_t k = 0; k < only(f)->case_count; k++)
                only(f)->cases[k].revoke_again_s = 0;
        assert_true(run_to(f, no_incident));
        assert_int_equal(fake_ca.revokes, 3);
}

static void who_still_shows_it_is_named_as_ours_or_not(void **state)
{
        static const struct {
                const char *address, *want;
        } row[] = { { "203.0.113.9:443", "203.0.113.9:443 (not this host) still serves the old certificate" },
                { "127.0.0.1:8443", "127.0.0.1:8443 still serves the old certificate" },
                { "[2001:db8::7]:443", "[2001:db8::7]:443 (not this host) still serves the old certificate" } };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct address a;
                char text[300];
                assert_true(address_parse(row[i].address, 0, &a));
                shown_text(&a, text, sizeof text);
                assert_string_equal(text, row[i].want);
        }
}

static bool is_held(struct fixture *f)
{
        return f->engine->incidents->count > 0 &&
                incident_acts(f->engine->incidents->list[f->engine->incidents->count - 1]) == INCIDENT_HOLDS;
}

static void expect_metrics(struct fixture *f, const char *one, const char *two)
{
        CLEANUP(buf_done) struct buf b = { 0 };
        metrics_collect(f->engine);
        assert_true(metrics_render(&b));
        if (!strstr(b.data, one) || !strstr(b.data, two))
                fail_msg("%s", b.data);
}

static bool has_a_fourth_order(struct fixture *f)
{
        (void)f;
        return fake_ca.orders == 4;
}

static void the_brake_holds_what_is_not_proven_over_a_restart(void **state)
{
        struct fixture *f = *state;
        take_key(f, REPORT_EXACT, f->key);
        expect_replaced(f);
        assert_int_equal(fake_ca.orders, 3);
        char next[65];
        strcpy(next, engine_cert(f->engine, "www")->row.live_spki);
        take_key(f, REPORT_EXACT, next); /* again within `cooldown` */
        for (int i = 0; i < 2; i++) {
                assert_true(run_to(f, is_held));
                run_for(f, 300);
                assert_int_equal(fake_ca.orders, 3);
                ask(f, action_status, json_pack("{}"));
                assert_int_equal(json_i64(json_object_get(f->result, "held"), "count", 0), 1);
                ask(f, action_incident, json_pack("{s:i}", "id", 2));
                assert_int_equal(json_i64(f->result, "exit", 0), 5);
                expect_metrics(f, "\ndcvd_incidents_open 2\n", "\ndcvd_waiting{cert=\"www\",party=\"brake\"} 1\n");
                restart(f);
        }
        assert_int_equal(fake_ca.orders, 3);
        take_key(f, REPORT_PROOF, next); /* proven: it passes */
        assert_true(run_to(f, has_a_fourth_order));
        assert_true(run_to(f, nothing_runs));
        assert_int_equal(fake_ca.orders, 4);
        assert_string_not_equal(engine_cert(f->engine, "www")->row.live_spki, next);
}

static bool both_done(struct fixture *f)
{
        return fake_ca.orders == 5 && nothing_runs(f);
}

static void two_incidents_share_the_one_slot_of_siblings(void **state)
{
        struct fixture *f = *state;
        char www[65], two[65];
        take_key(f, REPORT_PROOF, f->key);
        expect_replaced(f);
        strcpy(www, engine_cert(f->engine, "www")->row.live_spki);
        strcpy(two, engine_cert(f->engine, "two")->row.live_spki);
        take_key(f, REPORT_PROOF, www);
        take_key(f, REPORT_PROOF, two);
        assert_true(run_to(f, both_done));
        assert_false(fake_ca.doubled);
        assert_string_not_equal(engine_cert(f->engine, "www")->row.live_spki, www);
        assert_string_not_equal(engine_cert(f->engine, "two")->row.live_spki, two);
}

static void an_operator_who_reports_one_gets_all_with_its_key(void **state)
{
        struct fixture *f = *state;
        f->engine->conf->limit_automatic_per_hour = 0; /* nobody brakes an operator */
        ask(f, action_reissue, json_pack("{s:[s], s:b}", "certs", "two", "compromised", 1));
        assert_true(json_bool(f->result, "confirm", false));
        assert_int_equal(json_array_size(json_object_get(f->result, "names")), 1);
        assert_int_equal(json_array_size(json_object_get(f->result, "also")), 2);
        assert_int_equal(f->engine->incidents->count + f->engine->job_count, 0);
        assert_false(compromised_has(f->engine->keystore, f->key)); /* asked first: nothing was done */
        ask(f, action_reissue, json_pack("{s:[s], s:b, s:b}", "certs", "two", "compromised", 1, "dry_run", 1));
        assert_true(json_bool(f->result, "marks", false) && json_bool(f->result, "opens_incident", false));
        assert_int_equal(json_array_size(json_object_get(f->result, "also")), 2);
        ask(f, action_reissue, json_pack("{s:[s], s:b}", "certs", "two", "dry_run", 1)); /* the key is not reported */
        assert_false(json_bool(f->result, "marks", true) || json_bool(f->result, "opens_incident", true));
        ask(f, action_reissue, json_pack("{s:[s], s:b, s:b}", "certs", "two", "compromised", 1, "yes", 1));
        assert_int_equal(json_array_size(json_object_get(f->result, "also")), 2);
        expect_replaced(f);
        assert_int_equal(fake_ca.orders, 3);
        assert_true(run_to(f, revocations_wait));
        assert_int_equal(only(f)->cases[0].revoke, VERDICT_ASK);
}

static bool has_review(struct fixture *f)
{
        return f->engine->job_count == 1 && f->engine->job[0]->row.state == JOB_REVIEWED && !f->engine->job[0]->moving;
}

static void an_alert_joins_a_review_that_has_a_fresh_key(void **state)
{
        struct fixture *f = *state;
        fake_ca.person = true;
        ask(f, action_reissue, json_pack("{s:[s]}", "certs", "www"));
        assert_true(run_to(f, has_review));
        assert_int_equal(fake_ca.orders, 1);
        take_key(f, REPORT_PROOF, f->key);
        run_for(f, 300);
        assert_int_equal(fake_ca.orders, 1); /* siblings wait for it; nothing was cancelled */
        assert_int_equal(fake_ca.cancels, 0);
        restart(f);
        run_for(f, 300);
        fake_ca.approved = true;
        expect_replaced(f);
        assert_int_equal(fake_ca.orders, 3);
}

static bool is_blocked(struct fixture *f)
{
        for (size_t i = 0; i < f->engine->job_count; i++)
                if (strcmp(f->engine->job[i]->row.cert, "two") == 0 && f->engine->job[i]->row.err_code &&
                        strcmp(f->engine->job[i]->row.err_code, "sibling") == 0)
                        return true;
        return false;
}

/* www is in a review that holds the slot of siblings, as long as it takes. */
static void block_for_a_quarter(struct fixture *f)
{
        strcpy(fake_ca.exclusive, "example.test");
        fake_ca.person = true;
        ask(f, action_reissue, json_pack("{s:[s]}", "certs", "www"));
        assert_true(run_to(f, has_review));
        take_key(f, REPORT_PROOF, f->key);
        assert_true(run_to(f, is_blocked));
        run_for(f, 50);
        assert_true(is_blocked(f)); /* it is waited for */
        struct incident *i = only(f);
        i->row.opened_s -= 3 * 3600; /* a third of its time; too early for the other warnings */
        i->row.deadline_s = i->row.opened_s + 9 * 3600;
}

static bool goes_elsewhere(struct fixture *f)
{
        for (size_t i = 0; i < f->engine->job_count; i++) {
                const struct job *j = f->engine->job[i];
                if (strcmp(j->row.cert, "two") == 0)
                        return strstr(j->progress, "going to second") != NULL;
        }
        return false;
}

static void a_sibling_that_blocks_for_a_quarter_of_the_deadline_is_left(void **state)
{
        struct fixture *f = *state;
        stop_engine(f);
        f->two_cas = true;
        start_engine(f);
        block_for_a_quarter(f);
        assert_true(run_to(f, goes_elsewhere));
        assert_int_equal(f->notices[NOTICE_STUCK], 0);
}

static void a_sibling_that_blocks_where_there_is_no_other_ca_is_named(void **state)
{
        struct fixture *f = *state;
        block_for_a_quarter(f);
        assert_true(run_to(f, is_named));
        const struct incident *i = only(f);
        bool said = false;
        for (size_t k = 0; k < i->case_count; k++)
                said = said || (i->cases[k].text && strstr(i->cases[k].text, "no other CA is configured"));
        assert_true(said);
        assert_int_equal(fake_ca.orders, 1);
}

static const char *key_of_job(struct fixture *f, char ret[65])
{
        snprintf(ret, 65, "%s", f->engine->job[0]->row.spki);
        return ret;
}

static bool has_a_second_order(struct fixture *f)
{
        (void)f;
        return fake_ca.orders == 2;
}

static bool has_failed(struct fixture *f)
{
        return f->notices[NOTICE_FAILED] > 0;
}

static void a_job_whose_own_key_is_reported_starts_again_with_another(void **state)
{
        struct fixture *f = *state;
        char own[65];
        fake_ca.person = true;
        ask(f, action_reissue, json_pack("{s:[s]}", "certs", "www"));
        assert_true(run_to(f, has_review));
        take_key(f, REPORT_PROOF, key_of_job(f, own));
        assert_int_equal(f->answer.act, INCIDENT_TELLS); /* no certificate has it yet */
        assert_true(run_to(f, has_a_second_order));
        assert_int_equal(fake_ca.cancels, 1);
        fake_ca.approved = true;
        assert_true(run_to(f, nothing_runs));
        assert_int_equal(fake_ca.orders, 2);
        assert_string_not_equal(engine_cert(f->engine, "www")->row.live_spki, own);
}

static bool is_put_to_use(struct fixture *f)
{
        const char *live = engine_cert(f->engine, "www")->row.live_spki;
        return f->engine->job_count > 0 && f->engine->job[0]->row.spki && live &&
                strcmp(live, f->engine->job[0]->row.spki) == 0;
}

static bool www_has_another(struct fixture *f)
{
        const char *live = engine_cert(f->engine, "www")->row.live_spki;
        return nothing_runs(f) && live && strcmp(live, f->key) != 0;
}

/* The next one begins at once: that is no failure to recover from. */
static void a_job_whose_key_is_reported_as_it_ends_is_followed_by_another(void **state)
{
        struct fixture *f = *state;
        char own[65];
        ask(f, action_reissue, json_pack("{s:[s]}", "certs", "www"));
        assert_true(run_to(f, is_put_to_use));
        strcpy(f->key, key_of_job(f, own));
        take_key(f, REPORT_PROOF, own);
        assert_true(run_to(f, www_has_another));
        assert_int_equal(fake_ca.orders, 2);
}

static void an_order_that_is_the_last_one_is_not_cancelled_by_itself(void **state)
{
        struct fixture *f = *state;
        char own[65];
        fake_ca.person = fake_ca.last_one = true;
        ask(f, action_reissue, json_pack("{s:[s]}", "certs", "www"));
        assert_true(run_to(f, has_review));
        take_key(f, REPORT_PROOF, key_of_job(f, own));
        assert_true(run_to(f, has_failed));
        assert_int_equal(fake_ca.cancels, 0);
        assert_int_equal(fake_ca.orders, 1);
        assert_int_equal(f->notices[NOTICE_FAILED], 1);
}

static void a_process_that_ends_at_any_moment_loses_nothing(void **state)
{
        struct fixture *f = *state;
        take_key(f, REPORT_PROOF, f->key);
        for (int i = 0; i < 15 && !all_replaced(f); i++) {
                bool never = false;
                (void)loop_run_until(f->loop, &never, 1 + i % 7);
                restart(f);
        }
        expect_replaced(f);
        assert_int_equal(fake_ca.orders, 3);
        struct err e;
        assert_true(journal_audit_verify(f->engine->store, &e));
}

static void a_delivery_is_known_over_a_restart(void **state)
{
        struct fixture *f = *state;
        int64_t incident = 0;
        const struct report_seen seen[] = { { "msg_1", clock_now_s() + 1000 }, { "old", clock_now_s() - 1 } };
        const struct report r = { .source = "scanner",
                .strength = REPORT_HINT,
                .spki_hex = f->key,
                .seen = seen,
                .seen_count = 2,
                .revocation_reason = -1 };
        assert_false(alert_seen_check(f->engine, "scanner", "msg_1", &incident));
        take(f, &r);
        restart(f);
        assert_true(alert_seen_check(f->engine, "scanner", "msg_1", &incident));
        assert_int_equal(incident, f->answer.id);
        assert_false(alert_seen_check(f->engine, "other", "msg_1", &incident));
        assert_false(alert_seen_check(f->engine, "scanner", "old", &incident));
}

static void what_fits_nothing_here_does_nothing(void **state)
{
        struct fixture *f = *state;
        char other[65];
        memset(other, 'a', 64);
        other[64] = '\0';
        take_key(f, REPORT_PROOF, other);
        assert_int_equal(f->answer.id, 0);
        assert_int_equal(f->answer.act, INCIDENT_NOTHING);
        assert_false(compromised_has(f->engine->keystore, other));
        struct err e;
        const struct report bad = { .source = "x", .spki_hex = "AB" };
        assert_false(incident_take(f->engine, &bad, on_answer, f, &e));
        assert_string_equal(e.code, "report");
        assert_int_equal(f->engine->incidents->count, 0);
}

static void a_key_that_comes_after_its_report_opens_the_incident(void **state)
{
        struct fixture *f = *state;
        char later[65];
        memset(later, 'b', 64);
        later[64] = '\0';
        take_key(f, REPORT_EXACT, later);
        assert_int_equal(f->engine->incidents->count, 0);
        incidents_look_back(f->engine, later, later); /* still nothing here has it */
        assert_int_equal(f->engine->incidents->count, 0);
        assert_int_equal(f->answer.id, 0);
        struct store_batch *b = store_batch_new();
        assert_true(store_batch_add(b, "UPDATE alert_unmatched SET spki=?", "t", f->key));
        engine_commit_logged(f->engine, b);
        struct err e;
        assert_true(store_flush(f->engine->store, &e));
        incidents_look_back(f->engine, f->key, f->key);
        assert_int_equal(only(f)->row.strength, REPORT_EXACT);
        assert_true(compromised_has(f->engine->keystore, f->key));
}

static void what_the_ca_revoked_for_another_reason_is_replaced_once(void **state)
{
        struct fixture *f = *state;
        char old[65];
        strcpy(old, engine_cert(f->engine, "www")->row.live_sha256);
        const struct report r = { .source = "detector crl",
                .strength = REPORT_REVOKED,
                .cert_sha256 = old,
                .revocation_reason = CA_SUPERSEDED };
        take(f, &r);
        assert_int_equal(f->answer.act, INCIDENT_ACTS);
        int64_t id = f->answer.id;
        assert_true(run_to(f, no_incident)); /* nothing is left to revoke */
        assert_false(compromised_has(f->engine->keystore, f->key));
        assert_int_equal(fake_ca.orders, 3);
        assert_int_equal(fake_ca.revokes, 0);
        take(f, &r); /* the detector looks again */
        assert_int_equal(f->answer.id, id);
        assert_int_equal(f->answer.act, INCIDENT_CLOSED);
}

/* Whoever sends the same alert ten thousand times gets ten thousand answers and one incident. */
static void on_counted(void *arg, const struct incident_answer *answer, const struct err *err)
{
        assert_null(err);
        assert_int_equal(answer->id, 1);
        ++*(int *)arg;
}

static void a_flood_of_one_alert_is_one_incident(void **state)
{
        struct fixture *f = *state;
        const struct report r = {
                .source = "scanner", .strength = REPORT_HINT, .spki_hex = f->key, .revocation_reason = -1
        };
        int answered = 0, taken = 0;
        struct err e;
        bool never = false;
        for (int i = 0; i < 10000; i++) {
                if (incident_take(f->engine, &r, on_counted, &answered, &e)) {
                        taken++;
                        continue;
                }
                assert_string_equal(e.code, "incident.busy");
                (void)loop_run_until(f->loop, &never, 1);
        }
        for (int64_t end_ms = clock_boot_ms() + LIMIT_MS; answered < taken && clock_boot_ms() < end_ms;)
                (void)loop_run_until(f->loop, &never, 10);
        assert_int_equal(answered, taken);
        assert_int_equal(f->engine->incidents->count, 1);
        assert_int_equal(only(f)->row.reports, taken);
}

static void expect_refused(struct fixture *f, const struct report *r)
{
        struct err e;
        f->answered = false;
        assert_true(incident_take(f->engine, r, on_answer, f, &e));
        assert_true(loop_run_until(f->loop, &f->answered, LIMIT_MS));
        assert_int_equal(f->refused.kind, ERR_TEMPORARY);
}

/* Whoever was told that it is not on disk comes again, and is then not told that it was taken before. */
static void what_the_disk_did_not_take_was_not_seen(void **state)
{
        struct fixture *f = *state;
        CLEANUP(free_p) char *journal = text_format("%s/dcvd.db", f->directory);
        CLEANUP(free_p) char *aside = text_format("%s/aside", f->directory);
        int64_t incident = 0;
        char other[65];
        const struct report_seen seen[] = { { "first", clock_now_s() + 600 }, { "stranger", clock_now_s() + 600 } };
        memset(other, 'a', 64);
        other[64] = '\0';
        const struct report ours = { .source = "scanner",
                .strength = REPORT_HINT,
                .spki_hex = f->key,
                .seen = &seen[0],
                .seen_count = 1,
                .revocation_reason = -1 };
        struct report theirs = ours;
        theirs.spki_hex = other;
        theirs.seen = &seen[1];
        assert_int_equal(rename(journal, aside), 0);
        expect_refused(f, &ours);
        expect_refused(f, &theirs);
        assert_false(alert_seen_check(f->engine, "scanner", "first", &incident));
        assert_false(alert_seen_check(f->engine, "scanner", "stranger", &incident));
        assert_int_equal(rename(aside, journal), 0);
        take(f, &ours);
        take(f, &theirs);
        assert_true(alert_seen_check(f->engine, "scanner", "stranger", &incident));
        assert_int_equal(f->engine->incidents->count, 1);
}

static void take_leak(struct fixture *f, const char *link)
{
        const struct report r = { .source = "webhook github",
                .strength = REPORT_HINT,
                .text = "GitHub secret scanning: alert 1",
                .link = link,
                .revocation_reason = -1 };
        take(f, &r);
}

/* A scanner that does not say which key: a person looks and says so; nothing else ends it, nothing follows from it. */
static void a_leak_without_a_name_waits_for_a_person(void **state)
{
        struct fixture *f = *state;
        char link[40];
        take_leak(f, "https://one.test");
        assert_int_equal(f->answer.act, INCIDENT_TELLS);
        int64_t id = f->answer.id;
        assert_int_equal(f->notices[NOTICE_OPENED], 1);
        assert_int_equal(f->notices[NOTICE_WAITING], 1);
        take_leak(f, "https://one.test");
        assert_true(f->answer.known);
        restart(f);
        run_for(f, 50);
        only(f)->row.deadline_s = clock_now_s() - 1;
        assert_true(run_to(f, is_named));
        run_for(f, 50);
        assert_int_equal(f->notices[NOTICE_STUCK], 1);
        ask(f, action_incident, json_pack("{s:I}", "id", (json_int_t)id));
        assert_int_equal(json_i64(f->result, "exit", 0), 4);
        assert_int_equal(json_array_size(json_object_get(f->result, "todo")), 1);
        assert_int_equal(fake_ca.orders, 0);
        ask(f, action_dismiss, json_pack("{s:I, s:s}", "id", (json_int_t)id, "because", "not of this host"));
        assert_true(run_to(f, no_incident));
        take_leak(f, "https://one.test");
        assert_int_equal(f->answer.act, INCIDENT_CLOSED);
        for (int i = 0; i < 64; i++) {
                snprintf(link, sizeof link, "https://%d.test", i);
                take_leak(f, link);
                assert_int_equal(f->answer.act, INCIDENT_TELLS);
        }
        take_leak(f, "https://one.more");
        assert_int_equal(f->answer.act, INCIDENT_NOTHING);
        take_leak(f, "https://7.test");
        assert_int_equal(f->answer.act, INCIDENT_TELLS);
        take_key(f, REPORT_PROOF, f->key); /* none of them is in the way of it */
        assert_int_equal(f->answer.act, INCIDENT_ACTS);
}

/* A sender that never ends leaves room for another one, and none of its reports is refused. */
static void a_flood_fills_half_of_the_replay_memory(void **state)
{
        struct fixture *f = *state;
        int64_t incident = 0;
        char id[40];
        struct report_seen seen = { id, clock_now_s() + 600 };
        struct report r = { .source = "scanner",
                .strength = REPORT_EXACT,
                .spki_hex = f->key,
                .seen = &seen,
                .seen_count = 1,
                .revocation_reason = -1 };
        f->engine->incidents->seen.max = 100;
        for (int i = 0; i < 150; i++) {
                snprintf(id, sizeof id, "msg_%d", i);
                take(f, &r);
                assert_int_equal(f->answer.id, 1);
                assert_int_equal(alert_seen_check(f->engine, "scanner", id, &incident), i < 50);
        }
        strcpy(id, "another");
        r.spki_hex = NULL;
        r.modulus_hex = "0000000000000000000000000000000000000000000000000000000000000000";
        take(f, &r);
        assert_true(alert_seen_check(f->engine, "scanner", id, &incident));
        assert_int_equal(f->engine->incidents->count, 1);
}

static bool counted(void *arg, const struct store_row *row)
{
        *(int64_t *)arg = row_i64(row, 0);
        return false;
}

/* What is over goes from the journal as well, not only at the next start. */
static void what_was_seen_long_ago_leaves_the_journal(void **state)
{
        struct fixture *f = *state;
        char id[80];
        struct report_seen seen = { id, clock_now_s() + 600 };
        struct err e;
        int64_t rows = 0;
        struct store_batch *b = store_batch_new();
        for (int i = 0; i < 1000; i++)
                assert_true(store_batch_add(b,
                        "INSERT INTO alert_seen(hash, source, expires, incident) VALUES(?,?,?,?)", "ttii",
                        (snprintf(id, sizeof id, "%064d", i), id), "old", clock_now_s() - 1, (int64_t)0));
        engine_commit_logged(f->engine, b);
        for (int i = 0; i < 70; i++) { /* more than the smallest table holds */
                snprintf(id, sizeof id, "msg_%d", i);
                assert_true(alert_seen_add(f->engine, "scanner", &seen, &e));
        }
        assert_true(store_flush(f->engine->store, &e));
        assert_true(store_query(f->engine->store, "SELECT count(*) FROM alert_seen", "", counted, &rows, &e));
        assert_int_equal(rows, 70);
}

static int64_t remembered(struct fixture *f)
{
        int64_t rows = -1;
        struct err e;
        assert_true(store_query(f->engine->store, "SELECT count(*) FROM alert_seen", "", counted, &rows, &e));
        return rows;
}

static void a_start_forgets_what_was_seen_long_ago_and_else_writes_nothing(void **state)
{
        struct fixture *f = *state;
        struct err e;
        struct report_seen seen = { "msg_1", clock_now_s() + 600 };
        struct store_batch *b = store_batch_new();
        assert_true(store_batch_add(b, "INSERT INTO alert_seen(hash, source, expires, incident) VALUES(?,?,?,?)",
                "ttii", "ab", "old", clock_now_s() - 1, (int64_t)0));
        assert_true(alert_seen_add(f->engine, "scanner", &seen, &e));
        engine_commit_logged(f->engine, b);
        assert_true(store_flush(f->engine->store, &e));
        assert_int_equal(remembered(f), 2);
        restart(f);
        assert_true(store_flush(f->engine->store, &e));
        assert_int_equal(remembered(f), 1);
        restart(f);
        assert_true(store_flush(f->engine->store, &e));
        assert_int_equal(store_commit_count(f->engine->store), 0);
        assert_int_equal(remembered(f), 1);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                TEST(a_proof_replaces_every_certificate_with_the_key),
                TEST(the_old_ones_are_revoked_by_their_key_when_nobody_shows_them),
                TEST(a_ca_is_not_asked_to_revoke_before_the_time_it_said),
                TEST(a_name_alone_spends_nothing_and_marks_nothing),
                cmocka_unit_test_setup_teardown(
                        what_is_dismissed_stays_so_until_somebody_proves_it, setup_asking, teardown),
                TEST(a_stronger_report_makes_the_same_incident_act),
                TEST(nobody_is_answered_by_the_commit_of_another_report),
                TEST(one_that_waits_for_a_person_is_named_in_time),
                TEST(the_deadline_forces_nothing_that_is_live),
                cmocka_unit_test(who_still_shows_it_is_named_as_ours_or_not),
                TEST(the_brake_holds_what_is_not_proven_over_a_restart),
                TEST(two_incidents_share_the_one_slot_of_siblings),
                TEST(an_operator_who_reports_one_gets_all_with_its_key),
                TEST(an_alert_joins_a_review_that_has_a_fresh_key),
                TEST(a_sibling_that_blocks_for_a_quarter_of_the_deadline_is_left),
                TEST(a_sibling_that_blocks_where_there_is_no_other_ca_is_named),
                TEST(a_job_whose_own_key_is_reported_starts_again_with_another),
                TEST(a_job_whose_key_is_reported_as_it_ends_is_followed_by_another),
                TEST(an_order_that_is_the_last_one_is_not_cancelled_by_itself),
                TEST(a_process_that_ends_at_any_moment_loses_nothing),
                TEST(a_delivery_is_known_over_a_restart),
                TEST(what_fits_nothing_here_does_nothing),
                TEST(a_key_that_comes_after_its_report_opens_the_incident),
                TEST(what_the_ca_revoked_for_another_reason_is_replaced_once),
                TEST(what_the_disk_did_not_take_was_not_seen),
                TEST(a_leak_without_a_name_waits_for_a_person),
                TEST(a_flood_of_one_alert_is_one_incident),
                TEST(a_flood_fills_half_of_the_replay_memory),
                TEST(what_was_seen_long_ago_leaves_the_journal),
                TEST(a_start_forgets_what_was_seen_long_ago_and_else_writes_nothing),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
