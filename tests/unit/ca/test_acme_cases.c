/* The conformance cases of the ACME client by their numbers: what each is, and the test that proves it. Those that no
 * other test has are here, against the played server. */
#include "acme_server.h"

#include "agent/pki/key.h"

/* ---- account ---- */

static void find_again(void **arg)
{
        (void)arg;
        server.existing = true;
        order();
        must();
        assert_int_equal(server.new_accounts, 1);
        CLEANUP(free_p) char *path = text_format("%s/accounts/le/account.json", state);
        assert_int_equal(unlink(path), 0);
        ca_acme.close(ca);
        conf.terms_agreed = false; /* then nothing may be made, only found */
        open_ca();
        order();
        must();
        assert_int_equal(server.new_accounts, 2);
        assert_int_equal(access(path, F_OK), 0);
}

static void a_deactivated_account_ends_the_order_at_once(void **arg)
{
        (void)arg;
        server.answer_url = "/account";
        server.answer_status = 403;
        server.answer_body = "{\"type\": \"" URN "unauthorized\", \"detail\": \"account is deactivated\"}";
        order();
        assert_int_equal(said.err.kind, ERR_DENIED);
        assert_non_null(strstr(said.err.fix, "deactivated stays so; for a new one, by the next order: sudo mv "));
        assert_int_equal(server.new_orders, 0);
}

/* What the real run would be refused for; it alone asks, and only for an account that is there. */
static void a_dry_run_asks_for_the_account(void **arg)
{
        static const struct {
                int status;
                const char *body, *fix; /* fix NULL: all is well */
                bool terms;
        } row[] = { { 403, "{\"type\": \"" URN "unauthorized\", \"detail\": \"because\"}", "deactivated stays so",
                            true },
                { 200, "{\"status\": \"deactivated\"}", "deactivated stays so", true },
                { 200, "{\"status\": \"valid\"}", NULL, true },
                { 400, "{\"type\": \"" URN "accountDoesNotExist\"}", NULL, true },
                { 400, "{\"type\": \"" URN "accountDoesNotExist\"}", "terms_agreed: true", false } };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                inspect_as(true);
                must();
                assert_int_equal(fake_sent, 1); /* the directory: there is no account */
                order();
                must();
                unsigned sent = fake_sent;
                inspect();
                must();
                assert_int_equal(fake_sent, sent);
                server.answer_url = "/acct/1";
                server.answer_status = row[i].status;
                server.answer_body = row[i].body;
                conf.terms_agreed = row[i].terms;
                inspect_as(true);
                assert_int_equal(fake_sent, sent + 1);
                assert_string_equal(server.payload, "");
                assert_true(said.good == !row[i].fix);
                if (row[i].fix && !strstr(said.err.fix, row[i].fix))
                        fail_msg("row %zu: %s", i, said.err.fix);
                assert_int_equal(server.new_orders, 1);
                (void)end(arg);
                (void)begin(arg);
        }
}

static void an_account_that_is_refused_is_named_with_what_to_do(void **arg)
{
        (void)arg;
        order();
        must();
        server.answer_url = "/order";
        server.answer_status = 403;
        server.answer_body = "{\"type\": \"" URN "unauthorized\", \"detail\": \"because\"}";
        order();
        assert_int_equal(said.err.kind, ERR_DENIED);
        assert_non_null(strstr(said.err.fix, "dcvctl account show le; for a new one, by the next order: sudo mv "));
        server.answer_url = "/orders/";
        view();
        view();
        assert_string_equal(said.err.fix, ""); /* of that order: another account's, perhaps */
        server.answer_body = "{\"type\": \"" URN "unauthorized\", \"detail\": \"account has been deactivated\"}";
        view();
        assert_non_null(strstr(said.err.fix, "dcvctl account show le"));
}

static void account_verb(enum ca_account_verb verb)
{
        struct err e;
        forget();
        wait_for(ca_acme.account(ca, verb, on_text, NULL, &e), &e);
}

/* Some CAs show it as it stands, others refuse whoever has its key. */
static void an_account_that_is_over_is_shown_with_what_to_do_now(void **arg)
{
        static const struct {
                int status;
                const char *body;
        } row[] = { { 200, "{\"status\": \"deactivated\"}" },
                { 403, "{\"type\": \"" URN "unauthorized\", \"detail\": \"Account has been deactivated\"}" } };
        static const enum ca_account_verb verb[] = { CA_ACCOUNT_SHOW, CA_ACCOUNT_DEACTIVATE };
        (void)arg;
        order();
        must();
        server.answer_url = "/acct/1";
        for (size_t i = 0; i < ARRAY_LEN(row) * ARRAY_LEN(verb); i++) {
                server.answer_status = row[i / 2].status;
                server.answer_body = row[i / 2].body;
                account_verb(verb[i % 2]);
                const char *told_to = said.good ? said.text : said.err.fix;
                assert_true(said.good == (row[i / 2].status == 200));
                if (!strstr(told_to,
                            "an account that was deactivated stays so; for a new one, by the next order: sudo mv ") ||
                        strstr(told_to, "account show"))
                        fail_msg("%zu: %s", i, told_to);
        }
}

static char *account_key(void)
{
        char *text = NULL;
        size_t len = 0;
        struct err e;
        CLEANUP(free_p) char *path = text_format("%s/accounts/le/key.pem", state);
        assert_true(file_read(path, 65536, &text, &len, &e));
        return text;
}

static void a_damaged_account_key_is_told_with_its_place(void **arg)
{
        static const char *const row[] = { "", "garbage", "-----BEGIN PRIVATE KEY-----\nAAAA\n" };
        CLEANUP(free_p) char *path = text_format("%s/accounts/le/key.pem", state);
        struct err e;
        (void)arg;
        order();
        must();
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                ca_acme.close(ca);
                assert_true(file_write_atomic(path, 0600, (uid_t)-1, (gid_t)-1, row[i], strlen(row[i]), &e));
                open_ca();
                order();
                assert_int_equal(said.err.kind, ERR_CONFIG);
                if (!strstr(said.err.fix, "/accounts/le back as it was; for a new account: sudo mv "))
                        fail_msg("row %zu: %s", i, said.err.fix);
        }
}

static void a_key_of_the_kind_that_the_ca_takes_is_made_once(void **arg)
{
        static const struct {
                const char *algorithms, *takes, *fix; /* fix NULL: it comes to an order */
                enum key_type type;
                unsigned refusals;
        } row[] = { { "[\"EdDSA\", \"RS256\"]", "RS256", NULL, KEY_RSA_2048, 1 },
                { "[\"RS256\", \"ES384\"]", "ES384", NULL, KEY_EC_P384, 1 },
                { "[\"RS256\"]", "none", "/accounts/le away: the next order makes", KEY_RSA_2048, 2 },
                { "[\"ES256\"]", "none", "/accounts/le away", KEY_EC_P256, 1 }, /* it was of that kind */
                { "[\"PS256\"]", "PS256", "dcvd signs with ES256, ES384 and RS256 alone", KEY_EC_P256, 1 } };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                server.algorithms = row[i].algorithms;
                server.takes = row[i].takes;
                order();
                assert_int_equal(server.refusals, row[i].refusals);
                assert_int_equal(key_type_of(ca->account.key), row[i].type);
                assert_true(said.good == !row[i].fix);
                if (row[i].fix) {
                        assert_non_null(strstr(said.err.fix, row[i].fix));
                } else {
                        account_verb(CA_ACCOUNT_ROLLOVER); /* the same kind again */
                        must();
                        assert_int_equal(key_type_of(ca->account.key), row[i].type);
                }
                (void)end(arg);
                (void)begin(arg);
        }
}

static void terms_that_changed_are_shown_where_they_are(void **arg)
{
        (void)arg;
        order();
        server.answer_url = "/order";
        server.answer_status = 403;
        server.answer_body = "{\"type\": \"" URN "userActionRequired\", \"detail\": \"because\"}";
        order();
        assert_string_equal(said.err.fix, "read " BASE "/terms and agree to it"); /* of the directory */
        server.link = "<https://ca.example/terms/2>;rel=\"terms-of-service\"";
        order();
        assert_string_equal(said.err.fix, "read https://ca.example/terms/2 and agree to it");
}

static void a_binding_that_is_refused_is_named(void **arg)
{
        (void)arg;
        char path[80];
        snprintf(path, sizeof path, "%s/eab", state);
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        assert_true(fputs("c2VjcmV0", f) >= 0 && fclose(f) == 0);
        assert_int_equal(chmod(path, 0600), 0);
        conf.eab = (struct acme_eab){ .kid = (char *)(uintptr_t) "k1",
                .hmac_key = { .source = SECRET_FILE, .name = path } };
        server.answer_url = "/account";
        server.answer_status = 403;
        server.answer_body = "{\"type\": \"" URN "unauthorized\", \"detail\": \"bad MAC\"}";
        order();
        assert_non_null(strstr(said.err.fix, "compare cas.le.eab, its kid and its hmac_key"));
}

static void an_accounts_key_is_never_replaced_by_itself(void **arg)
{
        (void)arg;
        order();
        must();
        CLEANUP(free_p) char *before = account_key(), *facts = text_format("%s/accounts/le/account.json", state);
        assert_int_equal(unlink(facts), 0); /* only the key says that there is an account */
        ca_acme.close(ca);
        open_ca();
        server.algorithms = "[\"RS256\"]";
        server.takes = "RS256";
        order();
        assert_int_equal(said.err.kind, ERR_PROTOCOL);
        assert_non_null(strstr(said.err.text, "it takes RS256"));
        assert_non_null(strstr(said.err.fix,
                "/accounts/le away: the next order makes an account with a key of type "
                "rsa-2048"));
        CLEANUP(free_p) char *after = account_key();
        assert_string_equal(before, after);
}

static void a_key_in_the_making_may_be_forgotten(void **arg)
{
        struct err e;
        const struct ca_order_request r = { .names = &names, .validation = VALIDATION_DNS };
        (void)arg;
        server.algorithms = "[\"RS256\"]";
        server.takes = "RS256";
        forget();
        assert_non_null(ca_acme.order(ca, &r, on_id, NULL, &e));
        fake_run(&server.refused);
        assert_non_null(fake_works);
        ca_acme.close(ca);
        fake_run(NULL);
        assert_false(said.done);
        open_ca();
}

/* ---- nonces ---- */

static void revoke_with(struct key *key)
{
        static const uint8_t der[] = { 0x30, 0 };
        const struct ca_revoke_request r = {
                .der = der, .der_len = sizeof der, .key = key, .reason = CA_KEY_COMPROMISE
        };
        struct err e;
        forget();
        wait_for(ca_acme.revoke(ca, &r, on_done, NULL, &e), &e);
}

static void every_kind_of_request_survives_refused_nonces(void **arg)
{
        (void)arg;
        server.refuse_nonces = 3; /* newAccount */
        order();
        must();
        assert_int_equal(server.new_accounts, 1);
        server.refuse_nonces = 3; /* newOrder */
        order();
        must();
        assert_int_equal(server.new_orders, 2);
        server.refuse_nonces = 3; /* reads */
        view();
        must();
        server.refuse_nonces = 3; /* a challenge */
        validate();
        must();
        assert_int_equal(server.challenges, 2);
        server.status = "ready";
        view();
        view();
        server.refuse_nonces = 3;
        finalize();
        must();
        assert_int_equal(server.finalizes, 1);
        server.status = "valid";
        view();
        view();
        server.refuse_nonces = 3;
        fetch();
        must();
        server.refuse_nonces = 3;
        account_verb(CA_ACCOUNT_ROLLOVER);
        must();
        server.refuse_nonces = 3;
        revoke_with(NULL);
        must();
        assert_int_equal(server.revocations, 1);
        assert_int_equal(server.refuse_nonces, 0);
}

static void an_answer_without_a_nonce_costs_one_more_question(void **arg)
{
        (void)arg;
        server.no_nonces = true;
        order();
        must();
        view();
        must();
        assert_int_equal(said.view.proof_count, 2);
        assert_int_equal(server.new_orders, 1);
}

/* ---- orders ---- */

static void only_what_is_pending_is_solved(void **arg)
{
        (void)arg;
        server.first_valid = true;
        order();
        view();
        must();
        assert_int_equal(said.view.proof_count, 1);
        validate();
        must();
        assert_int_equal(server.challenges, 1);
}

static void their_order_means_nothing(void **arg)
{
        (void)arg;
        server.shuffled = true;
        order();
        view();
        must();
        char *first = text_dup(said.proof[0].value), *second = text_dup(said.proof[1].value);
        for (int i = 0; i < 4; i++) {
                view();
                must();
                assert_int_equal(said.view.proof_count, 2);
                bool same = strcmp(said.proof[0].value, first) == 0 && strcmp(said.proof[1].value, second) == 0;
                bool turned = strcmp(said.proof[1].value, first) == 0 && strcmp(said.proof[0].value, second) == 0;
                assert_true(same || turned);
        }
        assert_int_equal(server.authz_read, 2); /* known ones are not asked for again */
        free(first);
        free(second);
}

static void a_validation_that_is_not_offered_is_told_with_what_is(void **arg)
{
        struct err e;
        (void)arg;
        order();
        forget();
        attach(VALIDATION_TLS_ALPN);
        wait_for(ca_acme.view(ca, BASE "/orders/1", on_view, NULL, &e), &e);
        assert_int_equal(said.err.kind, ERR_DENIED);
        assert_non_null(strstr(said.err.text, "tls-alpn-01"));
        assert_non_null(strstr(said.err.text, "http-01, dns-01"));
        assert_int_equal(server.given_back, 2); /* nothing will come of that order */
}

static void the_time_to_come_back_is_theirs_within_reason(void **arg)
{
        static const struct {
                const char *header;
                int64_t want_s; /* of a refusal */
        } row[] = { { "120", 120 }, { "Tue, 14 Nov 2023 22:15:20 GMT", 120 }, { "0", 1 }, { "-5", 3600 },
                { "soon", 3600 }, { "1000000000000", 86400 }, { "Tue, 14 Nov 2023 22:00:00 GMT", 1 } };
        (void)arg;
        order();
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                fake_reset();
                server.answer_url = "/order";
                server.answer_status = 429;
                server.answer_body = "{\"type\": \"" URN "rateLimited\"}";
                server.answer_retry_after = row[i].header;
                json_object_clear(memory);
                order();
                assert_int_equal(said.err.kind, ERR_RATE_LIMITED);
                if (said.err.retry_after_s != row[i].want_s)
                        fail_msg("%s: %lld", row[i].header, (long long)said.err.retry_after_s);
        }
}

static void an_order_in_the_making_is_asked_for_when_they_say(void **arg)
{
        (void)arg;
        order();
        CLEANUP(free_p)
        char *body = text_dup("{\"status\": \"processing\", \"finalize\": \"" BASE
                              "/finalize\", \"authorizations\": [\"" BASE "/authz/1\", \"" BASE "/authz/2\"]}");
        server.answer_url = "/orders/";
        server.answer_status = 200;
        server.answer_body = body;
        server.answer_retry_after = "30";
        view();
        view();
        must();
        assert_true(said.view.issuing && said.view.poll_exact);
        assert_int_equal(said.view.poll_after_ms, 30000);
        fake_advance(23 * 3600 * 1000); /* an hour is nothing: that certificate counts */
        view();
        assert_int_equal(said.view.end, CA_END_NONE);
        fake_advance(2 * 3600 * 1000);
        view();
        must();
        assert_int_equal(said.view.end, CA_END_FAILED);
        assert_true(said.view.end_again);
        assert_non_null(strstr(said.view.end_reason, "making the certificate for a day"));
}

static void an_order_that_fails_in_the_making_says_why(void **arg)
{
        static const struct {
                const char *error, *text;
                bool again;
        } row[] = { { "{\"type\": \"" URN "serverInternal\", \"detail\": \"the HSM is away\"}", "the HSM is away",
                            true },
                { "{\"type\": \"" URN "caa\", \"detail\": \"CAA of example.com forbids\"}", "CAA of example.com",
                        false } };
        (void)arg;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                server.status = "pending";
                order();
                server.status = "ready";
                view();
                view();
                finalize();
                view();
                assert_true(said.view.issuing);
                server.status = "invalid";
                server.order_error = row[i].error;
                view();
                view();
                must();
                assert_int_equal(said.view.end, CA_END_FAILED);
                assert_true(said.view.end_again == row[i].again);
                assert_non_null(strstr(said.view.end_reason, row[i].text));
                server.order_error = NULL;
        }
}

/* It goes back for a moment (a copy of a database that lags), or for ever: one CSR was taken, and no other is sent. */
static void a_csr_that_was_taken_is_never_sent_again(void **arg)
{
        (void)arg;
        order();
        server.status = "ready";
        view();
        view();
        finalize();
        must();
        server.status = "ready";
        view(); /* what finalize brought */
        for (int i = 0; i < 3; i++) {
                view();
                must();
                assert_true(said.view.issuing && !said.view.csr_wanted);
                finalize();
                must();
        }
        assert_int_equal(server.finalizes, 1);
        server.status = "valid";
        view(); /* what finalize read */
        view();
        assert_true(said.view.ready);
        server.status = "ready";
        fake_advance(11 * 60 * 1000);
        view();
        assert_int_equal(said.view.end, CA_END_FAILED);
        assert_non_null(strstr(said.view.end_reason, "asked for it again for 10 minutes"));
        assert_int_equal(server.finalizes, 1);
}

static void an_order_that_was_not_ready_is_read_and_goes_on(void **arg)
{
        (void)arg;
        order();
        server.status = "ready";
        view();
        view();
        assert_true(said.view.csr_wanted);
        server.status = "processing"; /* meanwhile: another process had sent it */
        finalize();
        must();
        assert_int_equal(server.finalizes, 0);
        view();
        assert_true(said.view.issuing);
}

/* ---- chains ---- */

static void without_the_preferred_chain_the_default_one_is_good(void **arg)
{
        (void)arg;
        conf.preferred_chain = (char *)(uintptr_t) "Nobody's Root";
        order();
        server.status = "valid";
        view();
        view();
        fetch();
        must();
        assert_non_null(strstr(said.text, "BEGIN CERTIFICATE"));
}

/* ---- revocation ---- */

static void revocations_are_signed_with_what_the_key_is(void **arg)
{
        static const struct {
                enum key_type type;
                const char *alg;
        } row[] = { { KEY_RSA_2048, "\"alg\":\"RS256\"" }, { KEY_EC_P256, "\"alg\":\"ES256\"" },
                { KEY_EC_P384, "\"alg\":\"ES384\"" } };
        (void)arg;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct key *k = NULL;
                struct err e;
                assert_true(key_generate(row[i].type, &k, &e));
                revoke_with(k);
                must();
                assert_non_null(strstr(server.protected_text, row[i].alg));
                assert_non_null(strstr(server.payload, "\"reason\":1"));
                key_free(k);
        }
}

/* Nobody's JWS knows that kind. */
static void a_key_that_signs_nothing_here_leaves_it_to_the_account(void **arg)
{
        struct key *k = NULL;
        struct err e;
        (void)arg;
        assert_true(key_generate(KEY_SM2, &k, &e));
        revoke_with(k);
        must();
        assert_non_null(strstr(server.protected_text, "\"kid\""));
        key_free(k);
}

static void an_account_belongs_to_its_directory(void **arg)
{
        (void)arg;
        order();
        must();
        ca_acme.close(ca);
        conf.directory = (char *)BASE "/other/directory"; /* under the same name in the configuration */
        open_ca();
        order();
        must();
        assert_int_equal(server.new_accounts, 2);
}

static void a_wildcard_is_refused_where_dns_does_not_validate_it(void **arg)
{
        static const enum conf_validation row[] = { VALIDATION_FILE, VALIDATION_TLS_ALPN };
        struct err e;
        (void)arg;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                const struct ca_subject_request r = { .names = &names, .validation = row[i] };
                forget();
                wait_for(ca_acme.inspect(ca, &r, on_subject, NULL, &e), &e);
                assert_string_equal(said.err.code, "acme.wildcard");
        }
        assert_int_equal(server.new_accounts, 0);
}

static void a_revocation_that_is_not_ours_is_told(void **arg)
{
        (void)arg;
        server.answer_url = "/revoke";
        server.answer_status = 403;
        server.answer_body = "{\"type\": \"" URN "unauthorized\", \"detail\": \"not your certificate\"}";
        revoke_with(NULL);
        assert_int_equal(said.err.kind, ERR_DENIED);
        assert_non_null(strstr(said.err.text, "not your certificate"));
}

/* ---- what the directory offers ---- */

static void a_profile_that_is_not_offered_is_refused_before_an_order(void **arg)
{
        (void)arg;
        conf.profile = (char *)(uintptr_t) "shortlived";
        server.profiles = "{\"classic\": \"90 days\", \"tlsserver\": \"45 days\"}";
        inspect();
        assert_int_equal(said.err.kind, ERR_CONFIG);
        assert_non_null(strstr(said.err.text, "classic, tlsserver"));
        ca_acme.close(ca);
        server.profiles = "{\"shortlived\": \"6 days\"}";
        open_ca();
        inspect();
        must();
        order();
        must();
        assert_non_null(strstr(server.payload, "\"profile\":\"shortlived\""));
        server.answer_url = "/order"; /* another one than was ordered is none */
        server.answer_status = 201;
        server.answer_location = BASE "/orders/1";
        server.answer_body = "{\"status\": \"pending\", \"finalize\": \"" BASE
                             "/finalize\", \"authorizations\": [\"" BASE "/authz/1\"], \"profile\": \"classic\"}";
        order();
        assert_string_equal(said.err.code, "acme.profile");
        assert_non_null(strstr(said.err.text, "with profile classic, not with shortlived"));
        assert_int_equal(server.given_back, 1);
        server.answer_url = NULL; /* one that cannot be given back changes nothing */
        server.garble_url = "/authz/";
        server.garble = "<html>";
        server.echo_profile = "classic";
        order();
        assert_string_equal(said.err.code, "acme.profile");
        assert_int_equal(server.given_back, 1);
}

static void on_key_type(void *arg, const struct ca_subject *s, const struct err *err)
{
        told(err);
        *(enum key_type *)arg = s->key_type;
}

static void the_live_key_may_sign_again_unless_another_type_is_wanted(void **arg)
{
        static const struct {
                enum key_type wanted, live, key;
        } row[] = { { KEY_NONE, KEY_NONE, KEY_EC_P256 }, { KEY_NONE, KEY_RSA_2048, KEY_RSA_2048 },
                { KEY_EC_P384, KEY_RSA_2048, KEY_EC_P384 } };
        (void)arg;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                enum key_type got = KEY_OTHER;
                struct err e;
                const struct ca_subject_request r = { .names = &names,
                        .validation = VALIDATION_DNS,
                        .key_type = row[i].wanted,
                        .reuse_type = row[i].live };
                forget();
                wait_for(ca_acme.inspect(ca, &r, on_key_type, &got, &e), &e);
                must();
                assert_int_equal(got, row[i].key);
        }
}

static void a_profile_that_is_only_preferred_is_done_without(void **arg)
{
        (void)arg;
        conf.preferred_profile = (char *)(uintptr_t) "shortlived";
        server.profiles = "{\"classic\": \"90 days\"}";
        inspect();
        must();
        assert_non_null(strstr(said.text, "does not offer the preferred profile shortlived; ordered without"));
        order();
        must();
        assert_null(strstr(server.payload, "profile"));
        ca_acme.close(ca);
        server.profiles = "{\"shortlived\": \"6 days\"}";
        open_ca();
        inspect();
        must();
        assert_string_equal(said.text, "");
        order();
        must();
        assert_non_null(strstr(server.payload, "\"profile\":\"shortlived\""));
        static const char *const words[] = { "malformed", "unauthorized", "invalidProfile" };
        unsigned before = server.new_orders - 1;
        for (size_t i = 0; i < ARRAY_LEN(words); i++) { /* offered, and refused all the same */
                server.refuse_profile = words[i];
                order();
                must();
                assert_null(strstr(server.payload, "profile"));
                assert_int_equal(server.new_orders, ++before + 1);
        }
        server.refuse_profile = "rateLimited"; /* that is about something else */
        order();
        assert_string_equal(said.err.code, "acme.rateLimited");
        json_object_clear(memory);
        server.refuse_profile = "invalidProfile";
        conf.preferred_profile = NULL;
        conf.profile = (char *)(uintptr_t) "shortlived"; /* this one is wanted or nothing */
        order();
        assert_int_equal(said.err.kind, ERR_CONFIG);
        assert_int_equal(server.new_orders, before + 1);
}

static void a_key_that_is_not_taken_is_told_apart(void **arg)
{
        static const char *const types[] = { "badCSR", "badPublicKey" };
        (void)arg;
        for (size_t i = 0; i < ARRAY_LEN(types); i++) {
                CLEANUP(free_p) char *body = text_format("{\"type\": \"" URN "%s\", \"detail\": \"weak\"}", types[i]);
                server.status = "pending";
                order();
                server.status = "ready";
                view();
                view();
                server.answer_url = "/finalize";
                server.answer_status = 400;
                server.answer_body = body;
                finalize();
                assert_string_equal(said.err.code, CA_KEY_REFUSED);
                assert_int_equal(said.err.kind, ERR_DENIED);
                assert_non_null(strstr(said.err.text, "weak"));
                server.answer_url = NULL;
        }
}

static void a_limit_names_the_page_about_it(void **arg)
{
        (void)arg;
        order();
        server.answer_url = "/order";
        server.answer_status = 429;
        server.answer_body = "{\"type\": \"" URN "rateLimited\"}";
        server.link = "<https://ca.example/limits>;rel=\"help\"";
        order();
        assert_string_equal(said.err.fix, "see https://ca.example/limits");
}

static void endpoints_that_moved_are_found_without_a_restart(void **arg)
{
        (void)arg;
        order();
        must();
        assert_int_equal(server.directories, 1);
        server.moved = true;
        order(); /* a nonce is there: newOrder is not */
        must();
        assert_int_equal(server.new_orders, 2);
        assert_int_equal(server.directories, 2);
        server.moved = false;
        acme_nonces_drop(ca);
        ca->directory_ms = 0;
        order();
        must();
        server.moved = true;
        acme_nonces_drop(ca); /* newNonce itself is not there */
        order();
        must();
        assert_int_equal(server.new_orders, 4);
        assert_int_equal(server.directories, 4);
        server.answer_url = "/v2/order"; /* and one that is really gone is asked for once */
        server.answer_status = 404;
        server.answer_body = "";
        unsigned sent = fake_sent;
        order();
        assert_string_equal(said.err.code, "acme.http-404");
        assert_int_equal(fake_sent, sent + 2);
}

static void a_wrong_directory_is_told_with_its_setting(void **arg)
{
        static const struct {
                int status;
                const char *body, *location, *text;
        } row[] = { { 404, "", NULL, BASE "/directory: the ACME directory: refused (404)" },
                { 403, "<html>", NULL, BASE "/directory: the ACME directory: refused (403)" },
                { 200, "<html>", NULL, BASE "/directory: the ACME directory: not valid JSON at line 1" },
                { 200, "[]", NULL, BASE "/directory: " },
                { 301, "", BASE "/v2/directory",
                        BASE "/directory answers with a redirect (301) to " BASE "/v2/directory; none is followed" } };
        (void)arg;
        server.answer_url = "/directory";
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                server.answer_status = row[i].status;
                server.answer_body = row[i].body;
                server.answer_location = row[i].location;
                order();
                if (!strstr(said.err.text, row[i].text))
                        fail_msg("row %zu: %s", i, said.err.text);
                assert_non_null(strstr(said.err.fix, "correct cas.le.directory: "));
        }
        server.answer_status = 502; /* it passes: nothing is wrong with the setting */
        order();
        assert_int_equal(said.err.kind, ERR_TEMPORARY);
        assert_non_null(strstr(said.err.text, BASE "/directory: "));
        assert_string_equal(said.err.fix, "");
}

static void a_directory_by_http_that_wants_tls_is_told(void **arg)
{
        static const struct {
                const char *url;
                int status;
                bool told;
        } row[] = { { "http://127.0.0.1:14000/directory", 400, true },
                { "http://127.0.0.1:14000/directory", 404, false }, { BASE "/directory", 400, false } };
        (void)arg;
        server.answer_url = "/directory";
        server.answer_body = "Client sent an HTTP request to an HTTPS server.";
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                ca_acme.close(ca);
                conf.directory = (char *)row[i].url;
                server.answer_status = row[i].status;
                open_ca();
                order();
                const char *want = row[i].told ? "if the CA speaks TLS at that port, write https:// in cas.le.directory"
                                               : "correct cas.le.directory: ";
                if (!strstr(said.err.fix, want))
                        fail_msg("row %zu: %s", i, said.err.fix);
        }
}

static void the_directory_is_read_again_after_a_day(void **arg)
{
        (void)arg;
        order();
        must();
        fake_advance(23 * 3600 * 1000);
        order();
        must();
        assert_int_equal(server.directories, 1);
        fake_advance(2 * 3600 * 1000);
        order();
        must();
        assert_int_equal(server.directories, 2);
        assert_int_equal(server.new_accounts, 1);
}

static void endpoints_on_another_host_are_used_as_given(void **arg)
{
        (void)arg;
        server.elsewhere = BASE ":444";
        order();
        assert_string_equal(said.err.code, "acme.conflict"); /* what that host says */
        assert_int_equal(server.asked_elsewhere, 1);
}

static void a_clock_that_is_off_is_told_until_it_is_right(void **arg)
{
        static const struct {
                const char *date;
                bool told;
        } row[] = { { "Tue, 14 Nov 2023 23:13:20 GMT", true }, { "Tue, 14 Nov 2023 22:13:50 GMT", false },
                { "Tue, 14 Nov 2023 21:13:20 GMT", true }, { "Tue, 14 Nov 2023 22:12:21 GMT", false } };
        (void)arg;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                server.date = row[i].date;
                order();
                must();
                assert_true(ca->clock_told == row[i].told);
        }
}

/* It is done, and the account refuses whoever asks again; without the answer that was lost that is its end by another.
 */
static void an_account_that_ended_unheard_is_ended(void **arg)
{
        struct err e;
        (void)arg;
        for (unsigned lost = 0; lost < 2; lost++) {
                order();
                must();
                server.lose = "/acct/1";
                server.lose_how = LOSE_AFTER;
                server.lose_times = lost;
                server.end_refuses = lost ? 2 : 1;
                forget();
                wait_for(ca_acme.account(ca, CA_ACCOUNT_DEACTIVATE, on_text, NULL, &e), &e);
                if (said.good != (lost == 1) || (lost && !strstr(said.text, "\"status\":\"deactivated\"")))
                        fail_msg("%s %s", said.text, said.err.text);
        }
}

/* ---- the table ---- */

#define HERE(name) NULL, #name
#define ACME_CA "tests/unit/ca/test_acme_ca.c"
#define MODEL "tests/unit/ca/test_acme_model.c"
#define ENGINE "tests/unit/job/test_engine.c"
#define PEBBLE "tests/peer/test_acme.py"
#define LIFE "tests/peer/test_acme_life.py"
static const struct {
        const char *what, *file, *test; /* file NULL: this one */
} cases[] = {
        { "", NULL, "" },
        { "directory with unknown members, no renewalInfo", MODEL, "a_directory_is_read_with_unknown_members" },
        { "badNonce on every kind of POST", HERE(every_kind_of_request_survives_refused_nonces) },
        { "badNonce for ever", ACME_CA, "refused_nonces_are_signed_anew_but_not_for_ever" },
        { "answer without Replay-Nonce", HERE(an_answer_without_a_nonce_costs_one_more_question) },
        { "newAccount 200 and 201", HERE(find_again) },
        { "key present, URL lost", HERE(find_again) },
        { "accountDoesNotExist", ACME_CA, "a_forgotten_account_is_made_anew_with_the_same_key" },
        { "account deactivated", HERE(a_deactivated_account_ends_the_order_at_once) },
        { "EAB absent, bad, good (HS256, HS512)", LIFE, "test_accounts" },
        { "EAB secret with padding or not base64", LIFE, "test_accounts" },
        { "roll-over good, reply lost, key in use", ACME_CA, "a_roll_over_ends_with_the_key_that_the_ca_has" },
        { "order ready at once", PEBBLE, "test_responder_and_an_order_that_is_ready_at_once" },
        { "valid and pending authorizations", HERE(only_what_is_pending_is_solved) },
        { "shuffled authorizations", HERE(their_order_means_nothing) },
        { "apex and wildcard", PEBBLE, "test_wildcard_and_apex_by_dns_with_half_the_nonces_refused" },
        { "nothing usable offered", HERE(a_validation_that_is_not_offered_is_told_with_what_is) },
        { "challenge without token beside dns-01", MODEL, "an_authorization_keeps_unknown_challenges" },
        { "subproblems", MODEL, "subproblems_are_all_shown_and_decide_a_compound" },
        { "authorization stays pending", ACME_CA, "a_ca_that_never_comes_is_given_up_and_its_authorizations_go_back" },
        { "Retry-After in every form", HERE(the_time_to_come_back_is_theirs_within_reason) },
        { "order processing for 30 s", HERE(an_order_in_the_making_is_asked_for_when_they_say) },
        { "order invalid after processing", HERE(an_order_that_fails_in_the_making_says_why) },
        { "finalize reply lost", ACME_CA, "finalize_is_sent_once_or_known_to_be_lost" },
        { "orderNotReady", HERE(an_order_that_was_not_ready_is_read_and_goes_on) },
        { "chains with junk, wrong key, wrong name", ENGINE, "a_certificate_for_another_key_is_never_installed" },
        { "alternates", HERE(without_the_preferred_chain_the_default_one_is_good) },
        { "revoke by RSA, P-256, P-384 keys", HERE(revocations_are_signed_with_what_the_key_is) },
        { "revoke twice", ACME_CA, "a_revocation_is_signed_by_the_key_it_blocks" },
        { "revoke from another account", HERE(a_revocation_that_is_not_ours_is_told) },
        { "badRevocationReason", ACME_CA, "a_revocation_is_signed_by_the_key_it_blocks" },
        { "429 and 503, over restarts", ACME_CA, "an_endpoint_that_wants_peace_gets_it_over_restarts" },
        { "serverInternal, then good", ENGINE, "temporary_trouble_in_every_call_only_delays" },
        { "bodies that are none", "tests/unit/ca/test_acme_unread.c", "what_is_no_json_ends_one_job_at_worst" },
        { "ARI vector, leading zero", "tests/unit/pki/test_chain.c",
                "a_certificate_is_named_for_renewal_as_the_rfc_does" },
        { "ARI windows", MODEL, "renewal_windows_are_read_or_no_answer" },
        { "alreadyReplaced", ACME_CA, "renewal_is_asked_for_and_named_in_the_order" },
        { "ARI after expiry or replacement", "tests/unit/job/test_engine_trial.c",
                "renewal_information_is_asked_for_what_lives" },
        { "profile required and preferred, not offered", HERE(a_profile_that_is_only_preferred_is_done_without) },
        { "addresses", "tests/peer/test_acme_tls.py", "test_names_and_addresses_are_validated_by_handshakes" },
        { "IDN, upper case, final dot", "tests/unit/config/test_config_bad.c",
                "is not ASCII: write international names" },
        { "duplicate names", "tests/unit/config/test_config_bad.c", "is given twice; each name once" },
        { "untrusted server", "tests/unit/net/test_http_tls.c",
                "only_a_certificate_of_a_known_root_for_this_name_counts" },
        { "redirects", ACME_CA, "strange_places_and_redirects_are_refused" },
        { "Link headers", MODEL, "links_are_found_in_every_legal_form" },
        { "crash at every step", "tests/peer/death_acme.py", "test_every_passage" },
        { "a clock an hour fast or slow", HERE(a_clock_that_is_off_is_told_until_it_is_right) },
        { "ECDSA widths", "tests/unit/pki/test_jws.c", "every_ecdsa_signature_has_its_width_and_verifies" },
        { "RSA exponent", "tests/unit/pki/test_jws.c", "AQAB" },
        { "endpoints on another host", HERE(endpoints_on_another_host_are_used_as_given) },
        { "two agents, one account", ENGINE, "an_order_that_somebody_else_finalized_is_followed_by_another" },
        { "CAA error in the order", HERE(an_order_that_fails_in_the_making_says_why) },
        { "404 on a stored order", ACME_CA, "an_order_that_is_gone_is_given_up" },
};

static void every_case_has_its_proof(void **arg)
{
        (void)arg;
        assert_int_equal(ARRAY_LEN(cases), 53);
        for (size_t i = 1; i < ARRAY_LEN(cases); i++) {
                CLEANUP(free_p) char *text = NULL, *path = NULL;
                size_t len = 0;
                struct err e;
                path = text_format(
                        "%s/%s", TEST_SOURCE_DIR, cases[i].file ? cases[i].file : "tests/unit/ca/test_acme_cases.c");
                if (!file_read(path, 1 << 20, &text, &len, &e))
                        fail_msg("case %zu: %s", i, e.text);
                if (!strstr(text, cases[i].test))
                        fail_msg("case %zu (%s): %s has no %s", i, cases[i].what, path, cases[i].test);
        }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_case_has_its_proof),
                TEST(find_again),
                TEST(a_deactivated_account_ends_the_order_at_once),
                TEST(a_dry_run_asks_for_the_account),
                TEST(an_account_that_is_refused_is_named_with_what_to_do),
                TEST(an_account_that_is_over_is_shown_with_what_to_do_now),
                TEST(an_account_that_ended_unheard_is_ended),
                TEST(a_damaged_account_key_is_told_with_its_place),
                TEST(a_key_of_the_kind_that_the_ca_takes_is_made_once),
                TEST(an_accounts_key_is_never_replaced_by_itself),
                TEST(a_key_in_the_making_may_be_forgotten),
                TEST(every_kind_of_request_survives_refused_nonces),
                TEST(an_answer_without_a_nonce_costs_one_more_question),
                TEST(only_what_is_pending_is_solved),
                TEST(their_order_means_nothing),
                TEST(a_validation_that_is_not_offered_is_told_with_what_is),
                TEST(the_time_to_come_back_is_theirs_within_reason),
                TEST(an_order_in_the_making_is_asked_for_when_they_say),
                TEST(an_order_that_fails_in_the_making_says_why),
                TEST(a_csr_that_was_taken_is_never_sent_again),
                TEST(terms_that_changed_are_shown_where_they_are),
                TEST(a_binding_that_is_refused_is_named),
                TEST(an_order_that_was_not_ready_is_read_and_goes_on),
                TEST(without_the_preferred_chain_the_default_one_is_good),
                TEST(revocations_are_signed_with_what_the_key_is),
                TEST(a_key_that_signs_nothing_here_leaves_it_to_the_account),
                TEST(an_account_belongs_to_its_directory),
                TEST(a_wildcard_is_refused_where_dns_does_not_validate_it),
                TEST(a_revocation_that_is_not_ours_is_told),
                TEST(a_profile_that_is_not_offered_is_refused_before_an_order),
                TEST(the_live_key_may_sign_again_unless_another_type_is_wanted),
                TEST(a_profile_that_is_only_preferred_is_done_without),
                TEST(a_key_that_is_not_taken_is_told_apart),
                TEST(a_limit_names_the_page_about_it),
                TEST(endpoints_on_another_host_are_used_as_given),
                TEST(endpoints_that_moved_are_found_without_a_restart),
                TEST(a_directory_by_http_that_wants_tls_is_told),
                TEST(the_directory_is_read_again_after_a_day),
                TEST(a_wrong_directory_is_told_with_its_setting),
                TEST(a_clock_that_is_off_is_told_until_it_is_right),
        };
        return cmocka_run_group_tests(tests, make_csr, free_csr);
}
