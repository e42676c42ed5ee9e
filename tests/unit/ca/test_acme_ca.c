/* The ACME client against a server played by the test: what is sent, in which order, how often, and what becomes of
 * lost, refused and hostile answers. */
#include "acme_server.h"

#include "agent/base/metrics.h"

static void fake_timer_go(void)
{
        struct timer *t = fake_timer_first();

        assert_non_null(t);
        t->due_ms = -1;
        t->fn(t->arg);
}

static void fake_go_on(void)
{
        if (fake_calls)
                fake_deliver(fake_calls);
        else if (fake_works)
                fake_work(fake_works);
        else
                fake_timer_go();
}

static void an_order_goes_its_way_with_few_requests(void **arg)
{
        (void)arg;
        inspect();
        must();
        order();
        must();
        assert_string_equal(said.id, BASE "/orders/1");
        view();
        must();
        assert_int_equal(said.view.proof_count, 2);
        assert_true(said.view.validation_wanted);
        assert_string_equal(said.proof[0].place, "_acme-challenge.example.com");
        assert_string_equal(said.proof[1].place, said.proof[0].place); /* apex and wildcard: two values */
        assert_string_not_equal(said.proof[1].value, said.proof[0].value);
        assert_int_equal(strlen(said.proof[0].value), 43);
        validate();
        must();
        assert_int_equal(server.challenges, 2);
        server.status = "ready";
        view(); /* that of the moment before: told a while later */
        view();
        must();
        assert_true(said.view.csr_wanted);
        finalize();
        must();
        view();
        assert_true(said.view.issuing && said.view.poll_exact);
        server.status = "valid";
        view();
        assert_true(said.view.ready);
        fetch();
        must();
        assert_int_equal(server.finalizes, 1);
        assert_int_equal(server.authz_read, 2);
        assert_int_equal(server.orders_read, 2);
        assert_true(fake_sent <= 13);
        assert_null(acme_note_find(ca, BASE "/orders/1"));
        CLEANUP(buf_done) struct buf page = { 0 };
        assert_true(metrics_render(&page));
        assert_non_null(strstr(page.data, "dcvd_ca_requests_total{ca=\"le\",action=\"newOrder\",result=\"ok\"} 1\n"));
        assert_non_null(strstr(page.data, "{ca=\"le\",action=\"challenge\",result=\"ok\"} 2\n"));
        assert_non_null(strstr(page.data, "{ca=\"le\",action=\"finalize\",result=\"ok\"} 1\n"));
}

static bool is_asked(const char *part)
{
        for (const struct http_call *c = fake_calls; c; c = c->next)
                if (strstr(c->url, part))
                        return true;
        return false;
}

static void count_view(void *arg, const struct ca_view *v, const struct err *err)
{
        *(unsigned *)arg += v && !err;
}

static void count_id(void *arg, const char *id, const struct err *err)
{
        *(unsigned *)arg += id && !err;
}

static void run_what_is_due(void)
{
        for (struct timer *t; (t = fake_timer_first()) && t->due_ms <= fake_boot_ms;) {
                t->due_ms = -1;
                t->fn(t->arg);
        }
}

/* turns.c says why. */
static void no_order_is_made_while_authorizations_are_read(void **arg)
{
        struct err e;
        const struct ca_order_request r = { .names = &names, .validation = VALIDATION_DNS };
        unsigned views = 0, orders = 0;

        (void)arg;
        order();
        must();
        acme_note_forget(ca, BASE "/orders/1");
        attach(VALIDATION_DNS);
        assert_non_null(ca_acme.view(ca, BASE "/orders/1", count_view, &views, &e));
        for (run_what_is_due(); fake_calls && !is_asked("/authz/"); run_what_is_due())
                fake_deliver(fake_calls);
        assert_true(is_asked("/authz/"));
        assert_non_null(ca_acme.order(ca, &r, count_id, &orders, &e));
        unsigned sent = fake_sent;
        run_what_is_due();
        assert_int_equal(fake_sent, sent); /* not even for a nonce */
        fake_run(NULL);
        assert_int_equal(views, 1);
        assert_int_equal(orders, 1);
        assert_int_equal(server.new_orders, 2);
}

static void refused_nonces_are_signed_anew_but_not_for_ever(void **arg)
{
        (void)arg;
        server.refuse_nonces = 63;
        order();
        must();
        server.refuse_nonces = 1000;
        order();
        assert_false(said.good);
        assert_int_equal(said.err.kind, ERR_TEMPORARY);
        assert_string_equal(said.err.code, "acme.badNonce");
        assert_int_equal(server.refuse_nonces, 936);
        assert_non_null(strstr(said.err.text, "64 nonces in a row"));
}

/* The most that were on their way until the end. */
static unsigned at_once(void)
{
        unsigned most = 0;
        for (; !said.done; fake_go_on()) {
                unsigned n = 0;
                for (const struct http_call *c = fake_calls; c; c = c->next)
                        n++;
                most = MAX(most, n);
        }
        must();
        return most;
}

static void authorizations_are_asked_for_and_told_side_by_side(void **arg)
{
        struct err e;
        (void)arg;
        order();
        must();
        forget();
        attach(VALIDATION_DNS);
        assert_non_null(ca_acme.view(ca, BASE "/orders/1", on_view, NULL, &e));
        assert_int_equal(at_once(), 2);
        forget();
        assert_non_null(ca_acme.validate(ca, BASE "/orders/1", on_done, NULL, &e));
        assert_int_equal(at_once(), 2);
}

/* One that is refused, or half an hour old, is likely not to be the only one that is over. */
static void old_nonces_are_not_tried(void **arg)
{
        (void)arg;
        order();
        must();
        view(); /* two at once bring two */
        must();
        assert_true(ca->nonce_count > 1);
        server.refuse_nonces = 1;
        unsigned given = server.nonce;
        order();
        must();
        assert_int_equal(ca->nonce_count, 1);
        assert_int_equal(server.nonce, given + 2);
        fake_advance(31 * 60 * 1000);
        unsigned sent = fake_sent;
        order();
        must();
        assert_int_equal(fake_sent - sent, 2); /* newNonce first */
}

static void a_lost_new_order_is_repeated_and_a_lost_read_too(void **arg)
{
        (void)arg;
        server.lose = "/order";
        server.lose_how = LOSE_AFTER;
        server.lose_times = 2;
        order();
        must();
        assert_int_equal(server.new_orders, 3);
        server.lose = "/authz/";
        server.lose_times = 1;
        view();
        must();
        server.lose_times = 100;
        ca_acme.close(ca);
        open_ca();
        view();
        assert_int_equal(said.err.kind, ERR_TEMPORARY);
}

/* It would come again. */
static void an_answer_that_is_too_large_is_not_asked_for_again(void **arg)
{
        (void)arg;
        order();
        must();
        server.lose = "/authz/";
        server.lose_how = LOSE_TOO_LARGE;
        server.lose_times = 100;
        view();
        assert_string_equal(said.err.code, "http.size");
        assert_int_equal(said.err.kind, ERR_TEMPORARY);
        assert_int_equal(server.lose_times, 100 - 1);
}

/* I2: after a lost answer the order is read; the CSR goes again only if it did not arrive, and it is the same one. */
static void finalize_is_sent_once_or_known_to_be_lost(void **arg)
{
        static const int how[] = { LOSE_AFTER, LOSE_BEFORE };
        (void)arg;
        for (size_t i = 0; i < 2; i++) {
                server.status = "pending";
                server.finalizes = 0;
                order();
                server.status = "ready";
                view();
                view();
                assert_true(said.view.csr_wanted);
                server.lose = "/finalize";
                server.lose_how = how[i];
                server.lose_times = 1;
                finalize();
                must();
                assert_int_equal(server.finalizes, 1);
                view();
                assert_true(said.view.issuing);
                finalize(); /* as after a restart */
                must();
                assert_int_equal(server.finalizes, 1);
        }
}

/* Of the directories above the account's. */
static unsigned above_syncs;

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
        CLEANUP(free_p) char *accounts = text_format("%s/accounts", state);
        struct stat st, above[2];
        bool known = fstat(fd, &st) == 0 && stat(state, &above[0]) == 0 && stat(accounts, &above[1]) == 0;
        above_syncs += known && (st.st_ino == above[0].st_ino || st.st_ino == above[1].st_ino);
        return __real_fsync(fd);
}

/* I1. What leads to the key is on the disk before the key is; who finds the key knows. */
static void what_leads_to_the_account_is_synced_before_its_key(void **arg)
{
        (void)arg;
        above_syncs = 0;
        order();
        assert_int_equal(above_syncs, 2);
        ca_acme.close(ca);
        open_ca();
        order();
        assert_int_equal(above_syncs, 2);
        assert_int_equal(server.new_accounts, 1);
}

static void another_process_reads_before_it_finalizes(void **arg)
{
        (void)arg;
        order();
        server.status = "processing";
        ca_acme.close(ca);
        open_ca();
        finalize();
        must();
        assert_int_equal(server.finalizes, 0);
        assert_int_equal(server.new_accounts, 1); /* its URL was on disk */
        server.status = "ready";
        finalize();
        must();
        assert_int_equal(server.finalizes, 1);
}

static void strange_places_and_redirects_are_refused(void **arg)
{
        (void)arg;
        server.order_url = "https://evil.example/orders/1";
        order();
        assert_int_equal(said.err.kind, ERR_PROTOCOL);
        assert_string_equal(said.err.code, "acme.host");
        server.answer_url = "/order";
        server.answer_status = 307;
        server.answer_body = "";
        server.answer_location = BASE "/elsewhere";
        order();
        assert_string_equal(said.err.code, "acme.redirect");
        acme_nonces_drop(ca);
        server.answer_url = "/nonce";
        server.answer_status = 301;
        order();
        assert_string_equal(said.err.code, "acme.redirect");
        assert_non_null(strstr(said.err.text, BASE "/nonce answers with a redirect (301) to " BASE "/elsewhere"));
        CLEANUP(free_p) char *longest = text_format(BASE "/orders/%0*d", CA_ID_MAX, 1);
        server.answer_url = NULL;
        server.order_url = longest; /* cut short it would be another one */
        order();
        assert_string_equal(said.err.code, "acme.order");
        server.answer_url = "/order";
        server.answer_status = 201;
        server.answer_location = BASE "/orders/1";
        server.answer_body = "{\"status\": \"pending\", \"finalize\": \"" BASE
                             "/f\", \"authorizations\": [\"https://evil.example/a\"]}";
        order();
        must();
        view();
        assert_string_equal(said.err.code, "acme.host");
}

static void an_https_directory_leads_nowhere_by_http(void **arg)
{
        static const char *const elsewhere[] = { "http://192.0.2.9:8080", "http://127.0.0.1:8080" };
        (void)arg;
        for (size_t i = 0; i < ARRAY_LEN(elsewhere); i++) {
                server.elsewhere = elsewhere[i];
                order();
                assert_string_equal(said.err.code, "acme.http");
                assert_int_equal(said.err.kind, ERR_PROTOCOL);
                assert_int_equal(server.asked_elsewhere, 0);
                server.elsewhere = NULL;
                ca_acme.close(ca);
                open_ca();
        }
        server.order_url = "http://127.0.0.1:8080/orders/1";
        order();
        assert_string_equal(said.err.code, "acme.http");
        server.nonces_at = "http://127.0.0.1:8080";
        ca_acme.close(ca);
        open_ca();
        unsigned sent = fake_sent;
        order();
        assert_string_equal(said.err.code, "http.plain");
        assert_int_equal(fake_sent, sent + 1); /* the directory */
}

/* Which it does on this machine alone. */
static void http_is_spoken_where_the_configuration_names_such_a_directory(void **arg)
{
        (void)arg;
        ca_acme.close(ca);
        conf.directory = (char *)(uintptr_t) "http://127.0.0.1:14000/directory";
        open_ca();
        order();
        must();
        server.order_url = "http://127.0.0.1:14000/orders/1";
        order();
        must();
}

static void an_endpoint_that_wants_peace_gets_it_over_restarts(void **arg)
{
        (void)arg;
        server.answer_url = "/order";
        server.answer_status = 503;
        server.answer_body = "<html>";
        server.answer_retry_after = "600";
        order();
        assert_int_equal(said.err.kind, ERR_RATE_LIMITED);
        assert_int_equal(said.err.retry_after_s, 600);
        ca_acme.close(ca);
        open_ca();
        unsigned sent = fake_sent;
        order();
        assert_int_equal(said.err.kind, ERR_RATE_LIMITED);
        assert_true(said.err.retry_after_s > 500);
        assert_int_equal(fake_sent, sent + 1); /* the directory */
        server.answer_url = NULL;
        fake_advance(601000);
        order();
        must();
}

/* It is kept in whole seconds. */
static void a_wait_that_begins_late_in_a_second_is_no_shorter(void **arg)
{
        (void)arg;
        server.answer_url = "/order";
        server.answer_status = 503;
        server.answer_body = "<html>";
        server.answer_retry_after = "5";
        fake_advance(999 - fake_wall_ms % 1000);
        int64_t told_ms = fake_wall_ms;
        order();
        assert_int_equal(said.err.kind, ERR_RATE_LIMITED);
        assert_int_equal(fake_wall_ms, told_ms);
        server.answer_url = NULL;
        fake_advance(4999);
        unsigned sent = fake_sent;
        order();
        assert_string_equal(said.err.code, "acme.wait");
        assert_int_equal(said.err.retry_after_s, 1);
        assert_int_equal(fake_sent, sent);
        fake_advance(1000);
        order();
        must();
}

static void a_limit_of_one_name_stops_nobody_else(void **arg)
{
        (void)arg;
        server.answer_url = "/order";
        server.answer_status = 429;
        server.answer_body = "{\"type\": \"" URN "rateLimited\"}";
        order();
        assert_int_equal(said.err.kind, ERR_RATE_LIMITED);
        assert_int_equal(said.err.retry_after_s, 3600);
        server.answer_url = NULL;
        names.item[0][0] = 'f'; /* another one */
        inspect();
        must();
        order();
        must();
        names.item[0][0] = 'e';
}

/* Whoever asks: the next job, after a cancel too, and a dry run. */
static void a_limit_of_a_set_of_names_is_kept_over_restarts(void **arg)
{
        (void)arg;
        server.answer_url = "/order";
        server.answer_status = 429;
        server.answer_body = "{\"type\": \"" URN "rateLimited\", \"detail\": \"five of these this week\"}";
        server.answer_retry_after = "7200";
        order();
        server.answer_url = NULL;
        fake_advance(6000);
        ca_acme.close(ca);
        open_ca();
        char *first = names.item[0];
        names.item[0] = names.item[1]; /* the same names */
        names.item[1] = first;
        unsigned sent = fake_sent;
        inspect_as(true);
        assert_string_equal(said.err.code, "acme.rateLimited");
        assert_int_equal(said.err.kind, ERR_RATE_LIMITED);
        assert_int_equal(said.err.retry_after_s, 7194);
        assert_non_null(strstr(said.err.text, "until 2023-11-15T00:13:20Z"));
        assert_non_null(strstr(said.err.text, "five of these this week"));
        order();
        assert_string_equal(said.err.code, "acme.rateLimited");
        assert_int_equal(fake_sent, sent + 1); /* the directory */
        names.item[1] = names.item[0];
        names.item[0] = first;
        fake_advance(7200 * 1000);
        order();
        must();
        assert_int_equal(json_object_size(memory), 0);
}

static void no_account_for_now_means_no_order_of_anybody(void **arg)
{
        (void)arg;
        server.answer_url = "/account";
        server.answer_status = 429;
        server.answer_body = "{\"type\": \"" URN "rateLimited\"}";
        order();
        assert_int_equal(said.err.kind, ERR_RATE_LIMITED);
        names.item[0][0] = 'f';
        inspect();
        names.item[0][0] = 'e';
        assert_string_equal(said.err.code, "acme.wait");
}

static void no_account_without_agreement(void **arg)
{
        (void)arg;
        conf.terms_agreed = false;
        inspect();
        assert_int_equal(said.err.kind, ERR_CONFIG);
        assert_non_null(strstr(said.err.text, BASE "/terms"));
        order();
        assert_string_equal(said.err.code, "acme.terms");
        assert_non_null(strstr(said.err.fix, "terms_agreed: true"));
        assert_string_equal(server.payload, "{\"onlyReturnExisting\":true}");
        assert_int_equal(server.new_orders, 0);
}

static void a_changed_contact_is_told_once(void **arg)
{
        (void)arg;
        order();
        must();
        assert_int_equal(server.updates, 0);
        ca_acme.close(ca);
        assert_true(texts_add(&conf.contact, "mailto:new@example.com"));
        open_ca();
        order();
        must();
        assert_int_equal(server.updates, 1);
        ca_acme.close(ca);
        open_ca();
        order();
        must();
        assert_int_equal(server.updates, 1);
        assert_int_equal(server.new_accounts, 1);
}

static void a_forgotten_account_is_made_anew_with_the_same_key(void **arg)
{
        (void)arg;
        order();
        CLEANUP(free_p) char *path = text_format("%s/accounts/le/account.json", state);
        assert_int_equal(access(path, F_OK), 0);
        server.answer_url = "/order";
        server.answer_status = 400;
        server.answer_body = "{\"type\": \"" URN "accountDoesNotExist\"}";
        order();
        assert_int_equal(said.err.kind, ERR_TEMPORARY);
        assert_int_not_equal(access(path, F_OK), 0);
        server.answer_url = NULL;
        order();
        must();
        assert_int_equal(server.new_accounts, 2);
        server.answer_url = "/order"; /* known for a moment, and again not: once more is one too many */
        for (int i = 0; i < 2; i++) {
                order();
                assert_int_equal(said.err.kind, i == 0 ? ERR_TEMPORARY : ERR_DENIED);
        }
        assert_non_null(strstr(said.err.fix, "for a new one"));
        assert_int_equal(server.new_accounts, 3);
        server.answer_url = NULL;
        order();
        must();
        server.answer_url = "/order";
        order();
        assert_int_equal(said.err.kind, ERR_TEMPORARY); /* it had been known: a new start */
}

static void an_order_that_failed_says_why_and_whether_another_may_help(void **arg)
{
        static const struct {
                const char *type;
                bool again;
        } row[] = { { "connection", true }, { "dns", true }, { "unauthorized", true }, { "caa", false },
                { "rejectedIdentifier", false } };
        (void)arg;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                CLEANUP(free_p)
                char *error = text_format("{\"type\": \"" URN "%s\", \"detail\": \"why it is\"}", row[i].type);
                server.status = "pending";
                order();
                server.authz_error = error;
                server.status = "invalid";
                view();
                view();
                must();
                assert_int_equal(said.view.end, CA_END_FAILED);
                assert_true(said.view.end_again == row[i].again);
                assert_non_null(strstr(said.view.end_reason, "example.com: "));
                assert_non_null(strstr(said.view.end_reason, "why it is"));
                /* the worst of two decides, wherever it stands */
                server.wild_error = "{\"type\": \"" URN "dns\", \"detail\": \"no answer\"}";
                server.status = "pending";
                order();
                server.status = "invalid";
                view();
                view();
                must();
                assert_true(said.view.end_again == row[i].again);
                server.wild_error = NULL;
                server.authz_error = NULL;
        }
}

/* I5, I8: not even over a restart, when only the job still knows what was ordered. */
/* Some servers leave the order pending then, or for a while. */
static void an_authorization_that_is_closed_ends_the_order(void **arg)
{
        static const char *const row[] = { "invalid", "deactivated", "expired", "revoked" };
        (void)arg;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                for (int late = 0; late < 2; late++) {
                        order();
                        if (late) {
                                view();
                                validate();
                                must();
                                view();
                                fake_advance(6000);
                        }
                        server.first_status = row[i];
                        view();
                        must();
                        assert_int_equal(said.view.end, CA_END_FAILED);
                        assert_true(said.view.end_again);
                        assert_non_null(strstr(said.view.end_reason, row[i]));
                        assert_int_equal(server.given_back, 1); /* the other one */
                        (void)end(arg);
                        (void)begin(arg);
                }
        }
}

static void a_limit_of_failures_is_waited_out(void **arg)
{
        CLEANUP(free_p) char *error = text_dup("{\"type\": \"" URN "rateLimited\", \"detail\": \"too many failed\"}");
        (void)arg;
        order();
        server.authz_error = error;
        server.status = "invalid";
        view();
        view();
        assert_true(said.view.end_again);
        assert_int_equal(said.view.again_after_s, 3600);
        server.authz_error = NULL;
}

static void no_proof_is_shown_for_a_name_that_nobody_ordered(void **arg)
{
        (void)arg;
        server.identifier = "{\"type\": \"dns\", \"value\": \"evil.example.net\"}";
        for (size_t i = 0; i < 2; i++) {
                if (i == 0)
                        order();
                view();
                assert_string_equal(said.err.code, "acme.stranger");
                assert_int_equal(said.err.kind, ERR_PROTOCOL);
                assert_non_null(strstr(said.err.text, "evil.example.net"));
                assert_int_equal(server.challenges, 0);
                ca_acme.close(ca);
                open_ca();
        }
        server.identifier = "{\"type\": \"dns\", \"value\": \"EXAMPLE.com\"}";
        view();
        must();
        assert_int_equal(said.view.proof_count, 2);
}

static void an_order_that_is_gone_is_given_up(void **arg)
{
        (void)arg;
        server.answer_url = "/orders/";
        server.answer_status = 404;
        server.answer_body = "";
        for (int i = 0; i < 4; i++) { /* whatever it was that found it out: the view says so, and the job goes on */
                attach(VALIDATION_DNS);
                if (i == 1)
                        validate();
                else if (i == 2)
                        finalize();
                if (i == 1 || i == 2)
                        must();
                if (i == 3) { /* it was another account's, which the CA has forgotten */
                        ca->account.forgotten = true;
                        server.answer_status = 403;
                        server.answer_body = "{\"type\": \"" URN "unauthorized\"}";
                }
                view();
                must();
                assert_int_equal(said.view.end, CA_END_CLOSED);
                assert_true(said.view.end_again);
        }
        assert_int_equal(server.finalizes + server.challenges, 0);
        ca->account.forgotten = false; /* else it is refused for another reason */
        view();
        assert_string_equal(said.err.code, "acme.unauthorized");
}

static void a_ca_that_never_comes_is_given_up_and_its_authorizations_go_back(void **arg)
{
        (void)arg;
        order();
        view();
        validate();
        view();
        assert_int_equal(said.view.end, CA_END_NONE);
        assert_int_equal(server.given_back, 0);
        fake_advance(11 * 60 * 1000);
        view();
        assert_int_equal(said.view.end, CA_END_FAILED);
        assert_true(said.view.end_again);
        assert_non_null(strstr(said.view.end_reason, "did nothing for 10 minutes"));
        assert_int_equal(server.given_back, 2);
}

static void a_restart_does_not_wait_for_such_a_ca_for_ever(void **arg)
{
        (void)arg;
        order();
        view();
        validate();
        for (int i = 0; i < 2; i++) { /* nobody was told: it is not the CA that is late */
                ca_acme.close(ca);
                open_ca();
                told_before = i == 1;
                view();
                must();
                assert_int_equal(said.view.end, CA_END_NONE);
                fake_advance(9 * 60 * 1000);
                view();
                assert_int_equal(said.view.end, CA_END_NONE);
                fake_advance(2 * 60 * 1000);
                view();
                assert_int_equal(said.view.end, i == 1 ? CA_END_FAILED : CA_END_NONE);
        }
        assert_true(said.view.end_again);
        assert_int_equal(server.given_back, 2);
}

static void what_a_failed_order_left_pending_goes_back(void **arg)
{
        (void)arg;
        order();
        view();
        server.status = "invalid";
        server.one_open = true;
        view();
        must();
        assert_int_equal(said.view.end, CA_END_FAILED);
        assert_int_equal(server.given_back, 1);
}

static void an_order_is_given_up_even_if_nothing_can_be_given_back(void **arg)
{
        (void)arg;
        order();
        view();
        validate();
        fake_advance(11 * 60 * 1000);
        server.answer_url = "/authz/";
        server.answer_status = 500;
        server.answer_body = "";
        view();
        must();
        assert_int_equal(said.view.end, CA_END_FAILED);
        assert_int_equal(server.given_back, 0);
}

static void only_certificates_are_taken_for_a_chain(void **arg)
{
        (void)arg;
        order();
        server.status = "valid";
        view();
        view();
        server.answer_url = "/cert";
        server.answer_status = 200;
        server.answer_body =
                "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n";
        fetch();
        assert_string_equal(said.err.code, "acme.chain");
}

static void a_given_up_order_has_its_authorizations_given_back(void **arg)
{
        struct err e;
        (void)arg;
        order();
        view();
        forget();
        wait_for(ca_acme.cancel_order(ca, BASE "/orders/1", on_done, NULL, &e), &e);
        must();
        assert_int_equal(server.given_back, 2);
}

static void revoke_it(struct key *key, enum ca_reason reason)
{
        struct err e;
        static const uint8_t der[] = { 0x30, 0 };
        const struct ca_revoke_request r = { .der = der, .der_len = sizeof der, .key = key, .reason = reason };

        forget();
        wait_for(ca_acme.revoke(ca, &r, on_done, NULL, &e), &e);
}

static void a_revocation_is_signed_by_the_key_it_blocks(void **arg)
{
        struct key *k = NULL;
        struct err e;
        (void)arg;
        assert_true(key_generate(KEY_EC_P384, &k, &e));
        revoke_it(k, CA_KEY_COMPROMISE);
        must();
        assert_string_equal(server.payload, "{\"certificate\":\"MAA\",\"reason\":1}");
        assert_non_null(strstr(server.protected_text, "\"alg\":\"ES384\""));
        assert_non_null(strstr(server.protected_text, "\"P-384\""));
        assert_int_equal(server.revocations, 1);
        assert_int_equal(server.new_accounts, 0); /* it needs none */
        server.refuse_revocation = "unauthorized"; /* of the key: then the account's, which is made for that */
        revoke_it(k, CA_KEY_COMPROMISE);
        must();
        assert_int_equal(server.revocations, 2);
        assert_int_equal(server.new_accounts, 1);
        assert_non_null(strstr(server.protected_text, "\"kid\""));
        revoke_it(NULL, CA_UNSPECIFIED);
        must();
        assert_string_equal(server.payload, "{\"certificate\":\"MAA\"}");
        assert_non_null(strstr(server.protected_text, "\"kid\""));
        server.refuse_revocation = "badRevocationReason";
        revoke_it(NULL, CA_SUPERSEDED);
        must();
        assert_string_equal(server.payload, "{\"certificate\":\"MAA\"}");
        server.refuse_revocation = "badRevocationReason"; /* signed by the key itself it is one */
        revoke_it(k, CA_SUPERSEDED);
        must();
        assert_string_equal(server.payload, "{\"certificate\":\"MAA\",\"reason\":1}");
        server.refuse_revocation = "badRevocationReason";
        server.refuse_revocations = 2;
        revoke_it(k, CA_SUPERSEDED);
        must();
        assert_string_equal(server.payload, "{\"certificate\":\"MAA\"}");
        server.refuse_revocation = "badRevocationReason";
        server.refuse_revocations = 100;
        revoke_it(NULL, CA_SUPERSEDED);
        assert_string_equal(said.err.code, "acme.badRevocationReason");
        assert_int_equal(server.refuse_revocations, 98);
        server.refuse_revocations = 0;
        for (int own = 0; own < 2; own++) { /* the one goal is reached, and nobody else is asked */
                unsigned sent = fake_sent;
                server.refuse_revocation = "alreadyRevoked";
                revoke_it(own ? k : NULL, CA_SUPERSEDED);
                must();
                assert_int_equal(fake_sent - sent, 1);
        }
        server.refuse_revocation = "serverInternal";
        revoke_it(k, CA_SUPERSEDED);
        assert_int_equal(said.err.kind, ERR_TEMPORARY);
        key_free(k);
}

static char *key_file(const char *name)
{
        CLEANUP(free_p) char *path = text_format("%s/accounts/le/%s", state, name);
        char *text = NULL;
        size_t len;
        return file_read(path, 65536, &text, &len, NULL) ? text : NULL;
}

/* The CA took the new key (1) or not (0), and the account is the one it has, over a lost answer and over a crash. */
static void a_roll_over_ends_with_the_key_that_the_ca_has(void **arg)
{
        static const struct {
                const char *lose;
                int how;
                unsigned times;
                bool crash, rolled, good;
        } row[] = { { NULL, 0, 0, false, true, true }, { "/rollover", LOSE_AFTER, 1, false, true, true },
                { "/rollover", LOSE_BEFORE, 1, false, false, false }, { "/", LOSE_AFTER, 4, true, true, false },
                { "/", LOSE_BEFORE, 4, true, false, false } };
        struct err e;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                order();
                must();
                CLEANUP(free_p) char *before = key_file("key.pem");
                server.rolled = false;
                server.lose = row[i].lose;
                server.lose_how = row[i].how;
                server.lose_times = row[i].times;
                forget();
                wait_for(ca_acme.account(ca, CA_ACCOUNT_ROLLOVER, on_text, NULL, &e), &e);
                if (said.good != row[i].good)
                        fail_msg("row %zu: %s", i, said.err.text);
                if (!said.good && !row[i].crash) /* which key it has was asked: nothing is unknown any more */
                        assert_int_equal(said.err.kind, ERR_TEMPORARY);
                server.lose_times = 0;
                if (row[i].crash) {
                        CLEANUP(free_p) char *unclear = key_file("key-new.pem");
                        assert_non_null(unclear);
                        ca_acme.close(ca);
                        open_ca();
                        order();
                        must();
                }
                CLEANUP(free_p) char *after = key_file("key.pem"), *fresh = key_file("key-new.pem");
                assert_null(fresh);
                assert_true((strcmp(before, after) != 0) == row[i].rolled);
                (void)end(arg);
                (void)begin(arg);
        }
}

static struct http_call *in_flight(const char *part)
{
        for (struct http_call *c = fake_calls; c; c = c->next)
                if (strstr(c->url, part))
                        return c;
        return NULL;
}

/* The loop goes on until this is asked for; nothing that comes after it is answered. */
static struct http_call *run_until(const char *part)
{
        struct http_call *c = NULL;

        for (unsigned i = 0; i < 100 && !(c = in_flight(part)); i++)
                fake_go_on();
        assert_non_null(c);
        return c;
}

/* Everybody else, as far as it comes while this one waits for its answer. */
static void run_without(struct http_call *c)
{
        fake_call_take(c);
        fake_run(NULL);
        c->next = fake_calls;
        fake_calls = c;
}

/* An order that begins meanwhile would ask which key is the right one, hear that the new one is unknown, and drop it:
 * the key that the CA is taking. */
static void a_roll_over_is_alone_with_the_account(void **arg)
{
        struct err e;
        const struct ca_order_request r = { .names = &names, .validation = VALIDATION_DNS };
        (void)arg;
        order();
        must();
        CLEANUP(free_p) char *before = key_file("key.pem");
        assert_non_null(ca_acme.account(ca, CA_ACCOUNT_ROLLOVER, on_text, NULL, &e));
        forget();
        struct http_call *change = run_until("/rollover");
        unsigned accounts = server.new_accounts, sent = fake_sent;
        struct ca_call *late = ca_acme.order(ca, &r, on_id, NULL, &e);
        run_without(change);
        assert_int_equal(server.new_accounts, accounts);
        assert_int_equal(fake_sent, sent);
        assert_false(said.done);
        fake_run(&said.done); /* the roll-over's end */
        must();
        wait_for((forget(), late), &e);
        must();
        assert_string_equal(said.id, BASE "/orders/1");
        CLEANUP(free_p) char *after = key_file("key.pem"), *fresh = key_file("key-new.pem");
        assert_null(fresh);
        assert_string_not_equal(before, after);
}

static void on_window(void *arg, const struct ca_renewal *r, const struct err *err)
{
        (void)arg;
        assert_true(r && !err);
}

static void read_window(void)
{
        static const uint8_t der[] = { 0x30, 0 };
        struct err e;
        assert_non_null(ca_acme.renewal(ca, der, sizeof der, on_window, NULL, &e));
}

/* What is on its way, signed with the old key, comes first; and of two changes the second changes what the first made.
 */
static void a_roll_over_waits_for_whoever_acts(void **arg)
{
        struct err e;
        const struct ca_order_request r = { .names = &names, .validation = VALIDATION_DNS };
        (void)arg;
        order();
        must();
        forget();
        assert_non_null(ca_acme.order(ca, &r, on_id, NULL, &e));
        struct http_call *asked = run_until("/order");
        for (int i = 0; i < 2; i++)
                assert_non_null(ca_acme.account(ca, CA_ACCOUNT_ROLLOVER, on_text, NULL, &e));
        run_without(asked);
        ca->directory_ms = 0; /* is read again, for whoever wants no more: that is no turn for a change */
        read_window();
        run_without(asked);
        assert_false(said.done || server.rolled || in_flight("/rollover"));
        fake_run(&said.done);
        must();
        forget();
        fake_run(&said.done); /* one of them */
        must();
        CLEANUP(free_p) char *once = key_file("key.pem");
        server.rolled = false;
        struct http_call *change = run_until("/rollover");
        unsigned accounts = server.new_accounts;
        ca->directory_ms = 0;
        read_window();
        forget();
        struct ca_call *late = ca_acme.order(ca, &r, on_id, NULL, &e);
        unsigned sent = fake_sent;
        run_without(change);
        assert_false(said.done);
        assert_int_equal(fake_sent - sent, 1); /* the directory */
        assert_int_equal(server.new_accounts, accounts);
        fake_run(&said.done); /* the other */
        must();
        assert_true(server.rolled);
        wait_for((forget(), late), &e);
        must();
        CLEANUP(free_p) char *twice = key_file("key.pem"), *fresh = key_file("key-new.pem");
        assert_null(fresh);
        assert_string_not_equal(once, twice);
}

/* Whatever the CA says of a key that another account has: told at once, or after a crash. */
static void a_key_of_another_account_is_never_adopted(void **arg)
{
        struct err e;
        for (int crash = 0; crash < 2; crash++) {
                order();
                must();
                CLEANUP(free_p) char *before = key_file("key.pem");
                server.existing = true;
                server.other_account = BASE "/acct/9";
                server.answer_url = "/rollover";
                server.answer_status = 409;
                server.answer_body = "{\"type\": \"" URN "conflict\", \"detail\": \"key in use\"}";
                server.lose = crash ? "/" : NULL;
                server.lose_how = LOSE_AFTER;
                server.lose_times = 4;
                forget();
                wait_for(ca_acme.account(ca, CA_ACCOUNT_ROLLOVER, on_text, NULL, &e), &e);
                assert_false(said.good);
                server.lose = NULL;
                if (crash) {
                        ca_acme.close(ca);
                        open_ca();
                } else {
                        assert_string_equal(said.err.code, "acme.conflict");
                }
                order();
                must();
                assert_non_null(strstr(server.protected_text, "\"kid\":\"" BASE "/acct/1\""));
                CLEANUP(free_p) char *after = key_file("key.pem"), *fresh = key_file("key-new.pem");
                assert_null(fresh);
                assert_string_equal(before, after);
                (void)end(arg);
                (void)begin(arg);
        }
}

/* The example of RFC 9773, appendix A. */
static const char example_base64[] =
        "MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFtcGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAx"
        "MDEwMDAwMDBaMBYxFDASBgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu7cbpAYNXZLbbh8rNIzuOoqOO"
        "tmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFfqzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4ByNQw"
        "CgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5Mds"
        "O3pK";

static struct ca_renewal window;
static void on_renewal(void *arg, const struct ca_renewal *r, const struct err *err)
{
        (void)arg;
        told(err);
        window = r ? *r : (struct ca_renewal){ 0 };
}

static void renewal_is_asked_for_and_named_in_the_order(void **arg)
{
        uint8_t *der = NULL;
        size_t len = 0;
        struct err e;
        (void)arg;
        assert_true(base64_decode(example_base64, strlen(example_base64), &der, &len));
        forget();
        wait_for(ca_acme.renewal(ca, der, len, on_renewal, NULL, &e), &e);
        must();
        assert_int_equal(window.start_s, 0); /* this CA does not say */
        const struct ca_order_request r = {
                .names = &names, .validation = VALIDATION_DNS, .replaces_der = der, .replaces_len = len
        };
        forget();
        wait_for(ca_acme.order(ca, &r, on_id, NULL, &e), &e);
        must();
        assert_null(strstr(server.payload, "replaces")); /* nor does it know what that is */
        server.renewal_info = true; /* it learns: seen when the directory is a day old */
        fake_advance(25 * 3600 * 1000);
        forget();
        wait_for(ca_acme.renewal(ca, der, len, on_renewal, NULL, &e), &e);
        must();
        assert_int_equal(window.end_s - window.start_s, 86400);
        forget();
        wait_for(ca_acme.order(ca, &r, on_id, NULL, &e), &e);
        must();
        assert_non_null(strstr(server.payload, "\"replaces\":\"" EXAMPLE_ID "\""));
        server.answer_url = "/order"; /* by a firewall, not for that */
        server.answer_status = 403;
        server.answer_body = "<html>";
        unsigned sent = fake_sent;
        forget();
        wait_for(ca_acme.order(ca, &r, on_id, NULL, &e), &e);
        assert_int_equal(said.err.kind, ERR_TEMPORARY);
        assert_true(fake_sent - sent <= 2); /* and the nonce */
        server.answer_url = NULL;
        server.refuse_replaces = true;
        forget();
        wait_for(ca_acme.order(ca, &r, on_id, NULL, &e), &e);
        must();
        assert_null(strstr(server.payload, "replaces"));
        free(der);
}

/* Neither without what it replaces nor after a refused nonce: there is no account to name. */
static void nothing_is_signed_for_an_account_that_is_gone(void **arg)
{
        uint8_t *der = NULL;
        size_t len = 0;
        struct err e;
        (void)arg;
        assert_true(base64_decode(example_base64, strlen(example_base64), &der, &len));
        const struct ca_order_request r = {
                .names = &names, .validation = VALIDATION_DNS, .replaces_der = der, .replaces_len = len
        };
        server.renewal_info = true;
        order();
        must();
        server.answer_status = 400;
        server.answer_body = "{\"type\": \"" URN "accountDoesNotExist\"}";
        for (int i = 0; i < 2; i++) { /* the second time it is refused for good */
                server.answer_url = "/order";
                unsigned sent = fake_sent;
                forget();
                wait_for(ca_acme.order(ca, &r, on_id, NULL, &e), &e);
                assert_int_equal(said.err.kind, i == 0 ? ERR_TEMPORARY : ERR_DENIED);
                assert_int_equal(fake_sent - sent, 1 + i); /* and newAccount */
        }
        server.answer_url = NULL;
        order();
        must();
        forget();
        assert_non_null(ca_acme.order(ca, &r, on_id, NULL, &e));
        struct ca_call *other = ca_acme.order(ca, &r, on_id, NULL, &e);
        (void)run_until("/order");
        while (!fake_calls->next || !text_ends(fake_calls->url, "/order"))
                fake_timer_go();
        server.answer_url = "/order";
        fake_run(&said.done);
        assert_string_equal(said.err.code, "acme.accountDoesNotExist");
        server.answer_url = NULL;
        server.refuse_nonces = 1;
        wait_for((forget(), other), &e);
        assert_string_equal(said.err.code, "acme.account");
        assert_int_equal(said.err.kind, ERR_TEMPORARY);
        free(der);
}

static void a_call_can_be_forgotten_at_any_moment(void **arg)
{
        struct err e;
        const struct ca_order_request r = { .names = &names, .validation = VALIDATION_DNS };
        (void)arg;
        for (unsigned steps = 0; steps < 8; steps++) {
                forget();
                struct ca_call *gone = ca_acme.order(ca, &r, on_id, NULL, &e);
                struct ca_call *stays = ca_acme.order(ca, &r, on_id, NULL, &e);
                assert_non_null(gone);
                for (unsigned i = 0; i < steps && fake_calls; i++)
                        fake_deliver(fake_calls);
                if (!said.done)
                        ca_acme.cancel(ca, gone);
                said.done = false;
                (void)stays;
                fake_run(NULL);
                ca_acme.close(ca);
                open_ca();
        }
        forget();
        assert_non_null(ca_acme.order(ca, &r, on_id, NULL, &e)); /* end() closes it as it is */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
                TEST(an_order_goes_its_way_with_few_requests),
                TEST(no_order_is_made_while_authorizations_are_read),
                TEST(refused_nonces_are_signed_anew_but_not_for_ever),
                TEST(old_nonces_are_not_tried),
                TEST(authorizations_are_asked_for_and_told_side_by_side),
                TEST(a_lost_new_order_is_repeated_and_a_lost_read_too),
                TEST(an_answer_that_is_too_large_is_not_asked_for_again),
                TEST(finalize_is_sent_once_or_known_to_be_lost),
                TEST(what_leads_to_the_account_is_synced_before_its_key),
                TEST(another_process_reads_before_it_finalizes),
                TEST(strange_places_and_redirects_are_refused),
                TEST(an_https_directory_leads_nowhere_by_http),
                TEST(http_is_spoken_where_the_configuration_names_such_a_directory),
                TEST(an_endpoint_that_wants_peace_gets_it_over_restarts),
                TEST(a_wait_that_begins_late_in_a_second_is_no_shorter),
                TEST(a_limit_of_one_name_stops_nobody_else),
                TEST(a_limit_of_a_set_of_names_is_kept_over_restarts),
                TEST(no_account_for_now_means_no_order_of_anybody),
                TEST(no_account_without_agreement),
                TEST(a_changed_contact_is_told_once),
                TEST(a_forgotten_account_is_made_anew_with_the_same_key),
                TEST(an_order_that_failed_says_why_and_whether_another_may_help),
                TEST(no_proof_is_shown_for_a_name_that_nobody_ordered),
                TEST(an_order_that_is_gone_is_given_up),
                TEST(a_ca_that_never_comes_is_given_up_and_its_authorizations_go_back),
                TEST(a_restart_does_not_wait_for_such_a_ca_for_ever),
                TEST(what_a_failed_order_left_pending_goes_back),
                TEST(an_order_is_given_up_even_if_nothing_can_be_given_back),
                TEST(an_authorization_that_is_closed_ends_the_order),
                TEST(a_limit_of_failures_is_waited_out),
                TEST(only_certificates_are_taken_for_a_chain),
                TEST(a_given_up_order_has_its_authorizations_given_back),
                TEST(a_revocation_is_signed_by_the_key_it_blocks),
                TEST(renewal_is_asked_for_and_named_in_the_order),
                TEST(a_roll_over_ends_with_the_key_that_the_ca_has),
                TEST(a_roll_over_is_alone_with_the_account),
                TEST(a_roll_over_waits_for_whoever_acts),
                TEST(a_key_of_another_account_is_never_adopted),
                TEST(nothing_is_signed_for_an_account_that_is_gone),
                TEST(a_call_can_be_forgotten_at_any_moment),
        };
        return cmocka_run_group_tests(tests, make_csr, free_csr);
}
