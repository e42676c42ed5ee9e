/* Answers of an ACME server that cannot be read, in the place of what was asked for: it passes, nothing is done twice
 * for it that should not be, and it has an end. */
#include "acme_server.h"

static const char *const garbled[] = { "<html>maintenance", "", "{}", "[]", "{\"status\": \"valid\"}" };

static void go_to_ready(void)
{
        server.status = "pending";
        order();
        server.status = "ready";
        view();
        view();
        assert_true(said.view.csr_wanted);
}

static void an_unreadable_answer_to_finalize_is_resolved_by_reading(void **arg)
{
        (void)arg;
        for (size_t i = 0; i < ARRAY_LEN(garbled); i++) {
                server.finalizes = 0;
                go_to_ready();
                server.garble_url = "/finalize";
                server.garble = garbled[i];
                unsigned read = server.orders_read;
                finalize();
                must();
                server.garble_url = NULL;
                assert_int_equal(server.orders_read, read + 1);
                assert_int_equal(server.finalizes, 1);
                view();
                assert_true(said.view.issuing);
                ca_acme.close(ca);
                open_ca();
        }
        go_to_ready(); /* one that did not arrive: the order is read before each further try */
        server.answer_url = "/finalize";
        server.answer_status = 200;
        server.answer_body = "<html>";
        unsigned read = server.orders_read, sent = fake_sent;
        finalize();
        assert_int_equal(said.err.kind, ERR_TEMPORARY); /* the order waits for whoever mends that */
        assert_int_equal(server.orders_read - read, 2);
        assert_int_equal(fake_sent - sent, 5);
        server.answer_url = NULL;
        sent = server.finalizes;
        finalize(); /* the job's next try: read again first */
        must();
        assert_int_equal(server.orders_read - read, 3);
        assert_int_equal(server.finalizes, sent + 1);
}

/* Of an order, an authorization, a certificate; and that has an end. */
static void an_unreadable_answer_to_a_read_is_asked_for_again(void **arg)
{
        static const struct {
                const char *url, *status;
                void (*read)(void);
        } row[] = { { "/orders/", "processing", view }, { "/orders/", "ready", finalize },
                { "/authz/", "pending", view }, { "/cert", "valid", fetch } };
        for (size_t k = 0; k < ARRAY_LEN(row); k++) {
                for (size_t i = 0; i < ARRAY_LEN(garbled); i++) {
                        server.status = row[k].status;
                        view();
                        ca_acme.close(ca);
                        open_ca();
                        attach(VALIDATION_DNS);
                        server.garble_url = row[k].url;
                        server.garble = garbled[i];
                        row[k].read();
                        if (i == 4 && k < 3) { /* it says of what, and nothing of that: hostile, not garbled */
                                assert_int_equal(said.err.kind, ERR_PROTOCOL);
                                continue;
                        }
                        if (said.good || said.err.kind != ERR_TEMPORARY)
                                fail_msg("row %zu, %s: %s", k, garbled[i], said.err.text);
                        fake_advance(25 * 3600 * 1000);
                        row[k].read();
                        assert_int_equal(said.err.kind, ERR_PROTOCOL);
                        ca_acme.close(ca);
                        open_ca();
                        attach(VALIDATION_DNS);
                        server.garble_url = NULL;
                        row[k].read();
                        must();
                }
                (void)end(arg);
                (void)begin(arg);
        }
}

static void what_could_be_read_in_between_begins_the_day_anew(void **arg)
{
        (void)arg;
        go_to_ready();
        for (int i = 0; i < 3; i++) {
                fake_advance(25 * 3600 * 1000);
                server.garble_url = "/orders/";
                server.garble = "{}";
                view();
                assert_int_equal(said.err.kind, ERR_TEMPORARY);
                server.garble_url = NULL;
                view();
                must();
        }
}

/* Whether it was told shows when its authorization is read: one that is still pending is told (again). */
static void an_unreadable_answer_to_a_challenge_is_resolved_by_reading(void **arg)
{
        (void)arg;
        order();
        view();
        server.garble_url = "/chall/";
        server.garble = "<html>";
        server.garble_times = 1;
        validate();
        must();
        assert_int_equal(server.challenges, 3); /* of the other one nothing is repeated */
        server.answer_url = "/chall/";
        server.answer_status = 200;
        server.answer_body = "<html>maintenance";
        unsigned read = server.authz_read;
        validate();
        assert_int_equal(said.err.kind, ERR_TEMPORARY);
        assert_int_equal(server.authz_read - read, 4);
        assert_int_equal(server.challenges, 3);
        server.answer_url = NULL;
        validate(); /* the job's next try */
        must();
        assert_int_equal(server.challenges, 5);
        server.garble_url = "/chall/";
        server.garble_times = 0;
        validate();
        assert_int_equal(said.err.kind, ERR_TEMPORARY);
        server.status = "ready";
        unsigned told = server.challenges;
        validate(); /* it had been told for all that */
        must();
        assert_int_equal(server.challenges, told);
}

/* A firewall's or a balancer's own 403; and a certificate that a copy of the CA's data does not have yet. */
static void what_is_refused_without_a_word_is_asked_for_again(void **arg)
{
        static const struct {
                const char *url, *state, *body;
                int status;
                void (*read)(void);
                bool passes;
        } row[] = { { "/orders/", "processing", "<html>no", 403, view, true },
                { "/authz/", "pending", "", 405, view, true }, { "/cert", "valid", "<html>", 401, fetch, true },
                { "/cert", "valid", "", 404, fetch, true },
                { "/cert", "valid", "{\"type\": \"" URN "malformed\"}", 404, fetch, true },
                { "/cert", "valid", "{\"type\": \"" URN "unauthorized\"}", 403, fetch, false },
                { "/orders/", "processing", "{\"type\": \"" URN "unauthorized\"}", 403, view, false },
                { "/finalize", "ready", "<html>no", 403, finalize, true },
                { "/finalize", "ready", "", 404, finalize, true },
                { "/finalize", "ready", "{\"type\": \"" URN "unauthorized\"}", 403, finalize, false },
                { "/chall/", "pending", "<html>no", 403, validate, true },
                { "/chall/", "pending", "{\"type\": \"" URN "unauthorized\"}", 403, validate, false } };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                order();
                server.status = row[i].state;
                if (row[i].read == fetch) {
                        view();
                        view();
                } else {
                        ca_acme.close(ca);
                        open_ca();
                        attach(VALIDATION_DNS);
                }
                server.answer_url = row[i].url;
                server.answer_status = row[i].status;
                server.answer_body = row[i].body;
                row[i].read();
                if (said.good || (said.err.kind == ERR_TEMPORARY) != row[i].passes)
                        fail_msg("row %zu: %s", i, said.err.text);
                assert_int_equal(
                        strstr(said.err.fix, "proxy or firewall") != NULL, row[i].passes && row[i].status != 404);
                fake_advance(25 * 3600 * 1000);
                row[i].read();
                assert_true(said.err.kind == ERR_PROTOCOL || said.err.kind == ERR_DENIED);
                server.answer_url = NULL;
                row[i].read();
                must();
                (void)end(arg);
                (void)begin(arg);
        }
}

/* Nobody decided anything: asked again, with what it replaces, and that has an end. */
static void an_order_that_is_refused_without_a_word_is_opened_at_the_next_try(void **arg)
{
        static const struct {
                const char *body;
                int status;
                bool passes;
        } row[] = { { "<html>blocked", 403, true }, { "", 405, true }, { "{}", 400, true },
                { "{\"type\": \"" URN "unauthorized\"}", 403, false }, { "", 404, false } };
        (void)arg;
        order(); /* the account is there */
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                server.answer_url = "/order";
                server.answer_status = row[i].status;
                server.answer_body = row[i].body;
                order();
                if (said.good || (said.err.kind == ERR_TEMPORARY) != row[i].passes)
                        fail_msg("row %zu: %s", i, said.err.text);
                assert_int_equal(strstr(said.err.fix, "proxy or firewall") != NULL, row[i].passes);
                fake_advance(25 * 3600 * 1000);
                order();
                assert_true(said.err.kind == (row[i].passes ? ERR_PROTOCOL : ERR_DENIED));
                server.answer_url = NULL;
                order();
                must();
        }
}

/* Nobody is there to start it anew when the firewall is mended; the same key gets the same account. */
static void an_account_that_is_refused_without_a_word_is_made_at_the_next_try(void **arg)
{
        static const struct {
                const char *body;
                int status;
                bool passes;
        } row[] = { { "<html>blocked", 403, true }, { "{\"message\": \"Forbidden\"}", 403, true }, { "", 405, true },
                { "{\"type\": \"" URN "externalAccountRequired\"}", 403, false },
                { "{\"type\": \"" URN "unauthorized\"}", 403, false }, { "", 404, false } };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                server.answer_url = "/account";
                server.answer_status = row[i].status;
                server.answer_body = row[i].body;
                order();
                if (said.good || (said.err.kind == ERR_TEMPORARY) != row[i].passes)
                        fail_msg("row %zu: %s", i, said.err.text);
                assert_int_equal(strstr(said.err.fix, "proxy or firewall") != NULL, row[i].passes);
                fake_advance(25 * 3600 * 1000);
                order();
                assert_int_equal(said.err.kind == ERR_PROTOCOL, row[i].passes);
                server.answer_url = NULL;
                order();
                must();
                (void)end(arg);
                (void)begin(arg);
        }
}

static void revoke_once(void)
{
        static const uint8_t der[] = { 0x30, 0 };
        const struct ca_revoke_request r = { .der = der, .der_len = sizeof der };
        struct err e;
        forget();
        wait_for(ca_acme.revoke(ca, &r, on_done, NULL, &e), &e);
}

static void a_revocation_that_is_answered_by_a_page_is_asked_for_once_more(void **arg)
{
        (void)arg;
        order();
        for (unsigned i = 0; i < 2; i++) {
                server.revocations = 0;
                server.garble_url = "/revoke";
                server.garble = "<html>";
                server.garble_times = i == 0; /* once, always */
                revoke_once();
                assert_true(said.good == (i == 0));
                assert_int_equal(server.revocations, 2);
        }
        server.garble_url = NULL;
        server.answer_url = "/revoke"; /* by a firewall: the incident that wants it tries again */
        server.answer_status = 403;
        server.answer_body = "<html>";
        unsigned sent = fake_sent;
        revoke_once();
        assert_int_equal(said.err.kind, ERR_TEMPORARY);
        assert_non_null(strstr(said.err.fix, "proxy or firewall"));
        assert_int_equal(fake_sent - sent, 2);
        server.answer_body = "{\"type\": \"" URN "unauthorized\"}";
        revoke_once();
        assert_int_equal(said.err.kind, ERR_DENIED);
}

/* A page or a no in the place of the CA's word is none: whoever cancels is told that it may not have it back. */
static void what_is_given_back_is_told_only_by_the_ca(void **arg)
{
        (void)arg;
        for (int no = 0; no < 2; no++) {
                struct err e;
                order();
                view();
                server.answer_url = "/authz/";
                server.answer_status = no ? 403 : 200;
                server.answer_body = "<html>";
                forget();
                wait_for(ca_acme.cancel_order(ca, BASE "/orders/1", on_done, NULL, &e), &e);
                assert_false(said.good);
                assert_string_equal(said.err.code, ACME_UNREADABLE);
                server.answer_url = NULL;
                forget();
                wait_for(ca_acme.cancel_order(ca, BASE "/orders/1", on_done, NULL, &e), &e);
                must();
                assert_int_equal(server.given_back, 2);
                server.given_back = 0;
        }
}

static void new_nonces_that_do_not_come_pass_for_a_day(void **arg)
{
        (void)arg;
        server.nonceless = true;
        order();
        assert_int_equal(said.err.kind, ERR_TEMPORARY);
        assert_non_null(strstr(said.err.text, "newNonce: " BASE "/nonce brought no usable nonce (200)"));
        fake_advance(25 * 3600 * 1000);
        order();
        assert_int_equal(said.err.kind, ERR_PROTOCOL);
        server.nonceless = false;
        order();
        must();
        acme_nonces_drop(ca);
        server.nonceless = true;
        order();
        assert_int_equal(said.err.kind, ERR_TEMPORARY);
        assert_int_equal(server.new_orders, 1);
}

static void a_new_nonce_that_a_firewall_refuses_passes_for_a_day(void **arg)
{
        (void)arg;
        order();
        acme_nonces_drop(ca);
        server.answer_url = "/nonce";
        server.answer_status = 403;
        server.answer_body = "";
        order();
        assert_int_equal(said.err.kind, ERR_TEMPORARY);
        assert_non_null(strstr(said.err.fix, "proxy or firewall"));
        fake_advance(25 * 3600 * 1000);
        order();
        assert_int_equal(said.err.kind, ERR_PROTOCOL);
        server.answer_url = NULL;
        order();
        must();
}

static void what_is_no_json_ends_one_job_at_worst(void **arg)
{
        static const struct {
                int status;
                const char *body;
                enum err_kind kind;
        } row[] = { { 201, "<html>", ERR_TEMPORARY }, { 201, "", ERR_TEMPORARY },
                { 201, "{\"status\": 5}", ERR_TEMPORARY }, { 502, "<html>", ERR_TEMPORARY }, { 400, "", ERR_TEMPORARY },
                { 201, "[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]", ERR_TEMPORARY },
                { 201, "{\"status\": \"pending\"}", ERR_PROTOCOL } };
        (void)arg;
        server.answer_url = "/order";
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                server.answer_status = row[i].status;
                server.answer_body = row[i].body;
                order();
                if (said.good || said.err.kind != row[i].kind)
                        fail_msg("row %zu: %s", i, said.err.text);
        }
}

/* Its place is known, so nothing else is needed of the answer: the next look reads it, and no second one is opened. */
static void an_order_whose_answer_is_no_order_is_read_where_it_is(void **arg)
{
        (void)arg;
        for (size_t i = 0; i < ARRAY_LEN(garbled) - 1; i++) {
                server.new_orders = server.orders_read = 0;
                server.garble_url = "/order";
                server.garble = garbled[i];
                server.garble_times = 1;
                order();
                must();
                assert_string_equal(said.id, BASE "/orders/1");
                assert_int_equal(server.new_orders, 1);
                view();
                must();
                assert_int_equal(server.orders_read, 1);
                assert_int_equal(said.view.proof_count, 2);
                ca_acme.close(ca);
                open_ca();
        }
        server.order_url = "https://evil.example/orders/1";
        server.garble_times = 1;
        order();
        assert_string_equal(said.err.code, "acme.host");
}

static void an_order_without_a_place_passes_and_what_may_be_left_is_said(void **arg)
{
        (void)arg;
        server.garble_url = "/order";
        server.garble_bare = true;
        for (size_t i = 0; i < ARRAY_LEN(garbled); i++) {
                server.garble = garbled[i];
                order();
                assert_false(said.good);
                assert_int_equal(said.err.kind, i == 4 ? ERR_PROTOCOL : ERR_TEMPORARY);
                if (i < 4)
                        assert_non_null(strstr(said.err.text, "one may be open at le that nobody uses"));
        }
        assert_int_equal(server.new_orders, ARRAY_LEN(garbled)); /* one each */
        fake_advance(25 * 3600 * 1000);
        server.garble = garbled[0];
        order();
        assert_int_equal(said.err.kind, ERR_PROTOCOL);
        fake_advance((int64_t)72 * 3600 * 1000); /* nobody asked: nothing is known of that time */
        order();
        assert_int_equal(said.err.kind, ERR_TEMPORARY);
        server.garble_url = NULL;
        order();
        must();
        server.garble_url = "/order"; /* it was well in between: the day begins anew */
        order();
        assert_int_equal(said.err.kind, ERR_TEMPORARY);
}

static void an_account_whose_answer_is_none_is_asked_for_by_its_key(void **arg)
{
        (void)arg;
        for (size_t i = 0; i < 4; i++) {
                for (int made = 0; made < 2; made++) {
                        server.existing = made;
                        server.garble_url = "/account";
                        server.garble = garbled[i];
                        server.garble_times = 1;
                        server.garble_bare = true;
                        order();
                        assert_int_equal(server.new_accounts, 2);
                        if (made) {
                                must();
                        } else { /* nothing came of it: made at the next try */
                                assert_int_equal(said.err.kind, ERR_TEMPORARY);
                                assert_int_equal(server.new_orders, 0);
                                order();
                                must();
                                assert_int_equal(server.new_accounts, 3);
                        }
                        assert_int_equal(server.new_orders, 1);
                        (void)end(arg);
                        (void)begin(arg);
                }
        }
}

static void an_account_that_is_never_told_passes_for_a_day(void **arg)
{
        (void)arg;
        server.existing = true;
        server.garble_url = "/account";
        server.garble_bare = true;
        for (size_t i = 0; i < 4; i++) {
                server.garble = garbled[i];
                order();
                if (strcmp(garbled[i], "{}") == 0) /* read well, and says no place */
                        assert_int_equal(said.err.kind, ERR_PROTOCOL);
                else
                        assert_int_equal(said.err.kind, ERR_TEMPORARY);
        }
        fake_advance(25 * 3600 * 1000);
        server.garble = garbled[0];
        order();
        assert_int_equal(said.err.kind, ERR_PROTOCOL);
        assert_int_equal(server.new_orders, 0);
}

static void a_directory_that_cannot_be_read_passes_for_a_day(void **arg)
{
        static const char *const body[] = { "<html>maintenance", "", "[]" };
        (void)arg;
        server.answer_url = "/directory";
        server.answer_status = 200;
        for (size_t i = 0; i < ARRAY_LEN(body); i++) {
                server.answer_body = body[i];
                order();
                assert_int_equal(said.err.kind, ERR_TEMPORARY);
                assert_non_null(strstr(said.err.fix, "correct cas.le.directory: ")); /* it may be wrong as well */
        }
        fake_advance(25 * 3600 * 1000);
        order();
        assert_int_equal(said.err.kind, ERR_PROTOCOL);
        server.answer_body = "{}"; /* read well, and none */
        order();
        assert_int_equal(said.err.kind, ERR_PROTOCOL);
        server.answer_url = NULL;
        order();
        must();
}

/* Nonsense that can be read ends the job, and its place is named. */
static void an_order_that_says_nonsense_is_refused_at_once(void **arg)
{
        static const struct {
                const char *url, *body, *text;
        } row[] = { { "/orders/", "{\"status\": \"pending\", \"finalize\": \"" BASE "/f\"}", "list of authorizations" },
                { "/orders/", "{\"status\": \"pending\", \"finalize\": \"" BASE "/f\", \"authorizations\": 5}",
                        "list of authorizations" },
                { "/orders/", "{\"status\": \"pending\", \"authorizations\": [\"" BASE "/authz/1\"]}",
                        "\"finalize\" is missing" },
                { "/orders/", "{\"status\": \"pending\", \"authorizations\": [\"" BASE "/authz/1\"], \"finalize\": 5}",
                        "\"finalize\" is missing" },
                { "/authz/",
                        "{\"status\": \"pending\", \"identifier\": {\"type\": \"dns\", \"value\": "
                        "\"example.com\"}, \"challenges\": 5}",
                        "authorization " BASE "/authz/" } };
        (void)arg;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                order();
                must();
                view();
                must();
                ca_acme.close(ca);
                open_ca();
                server.garble_url = row[i].url;
                server.garble = row[i].body;
                view();
                if (said.good || said.err.kind != ERR_PROTOCOL || !strstr(said.err.text, row[i].text))
                        fail_msg("row %zu: %s", i, said.err.text);
                server.garble_url = NULL;
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
                TEST(an_unreadable_answer_to_finalize_is_resolved_by_reading),
                TEST(an_unreadable_answer_to_a_read_is_asked_for_again),
                TEST(what_could_be_read_in_between_begins_the_day_anew),
                TEST(an_unreadable_answer_to_a_challenge_is_resolved_by_reading),
                TEST(what_is_refused_without_a_word_is_asked_for_again),
                TEST(an_order_that_is_refused_without_a_word_is_opened_at_the_next_try),
                TEST(an_account_that_is_refused_without_a_word_is_made_at_the_next_try),
                TEST(what_is_given_back_is_told_only_by_the_ca),
                TEST(a_revocation_that_is_answered_by_a_page_is_asked_for_once_more),
                TEST(new_nonces_that_do_not_come_pass_for_a_day),
                TEST(a_new_nonce_that_a_firewall_refuses_passes_for_a_day),
                TEST(what_is_no_json_ends_one_job_at_worst),
                TEST(an_order_whose_answer_is_no_order_is_read_where_it_is),
                TEST(an_order_without_a_place_passes_and_what_may_be_left_is_said),
                TEST(an_account_whose_answer_is_none_is_asked_for_by_its_key),
                TEST(an_account_that_is_never_told_passes_for_a_day),
                TEST(a_directory_that_cannot_be_read_passes_for_a_day),
                TEST(an_order_that_says_nonsense_is_refused_at_once),
        };
        return cmocka_run_group_tests(tests, make_csr, free_csr);
}
