/* What a report must name so that it concerns this host, and how much that weighs: every row of the table of spellings.
 */
#include "test.h"

#include <sys/stat.h>

#include "incident_fixture.h"

static const struct known_cert *www(struct fixture *f)
{
        const struct known_cert *list = NULL;
        size_t count = 0;
        struct err e;
        assert_true(known_refresh(f->engine, &list, &count, &e));
        for (size_t i = 0; i < count; i++)
                if (strcmp(list[i].cert, "www") == 0)
                        return &list[i];
        fail();
        return NULL;
}

struct named {
        const char *what;
        struct report report;
        const char *domain;
        enum incident_act act;
        size_t certs;
};

static void judge(struct fixture *f, const struct named *n)
{
        struct report r = n->report;
        struct texts domains = { 0 };
        struct incident_answer answer;
        if (n->domain) {
                assert_true(texts_add(&domains, n->domain));
                r.domains = &domains;
        }
        r.source = "scanner";
        r.strength = n->domain && !r.cert_sha1 ? REPORT_HINT : REPORT_EXACT;
        r.revocation_reason = -1;
        incident_judge(f->engine, &r, &answer);
        if (answer.act != n->act || answer.certs != n->certs)
                fail_msg("%s: %s, %zu certificates: %s", n->what, incident_act_name(answer.act), answer.certs,
                        answer.text);
        texts_done(&domains);
}

static void each_spelling_finds_all_certificates_of_the_key(void **state)
{
        struct fixture *f = *state;
        const struct known_cert *k = www(f);
        char zeros[90], other[65];
        snprintf(zeros, sizeof zeros, "0000%s", k->serial);
        memset(other, 'c', 64);
        other[64] = '\0';
        assert_string_not_equal(k->spki, k->spki_compressed);
        const struct named row[] = {
                { "key", { .spki_hex = k->spki }, NULL, INCIDENT_ACTS, 3 },
                { "key, its point compressed", { .spki_hex = k->spki_compressed }, NULL, INCIDENT_ACTS, 3 },
                { "another key", { .spki_hex = other }, NULL, INCIDENT_NOTHING, 0 },
                { "certificate", { .cert_sha256 = k->sha256 }, NULL, INCIDENT_ACTS, 3 },
                { "another certificate", { .cert_sha256 = other }, NULL, INCIDENT_NOTHING, 0 },
                { "serial number and issuer", { .serial_hex = k->serial, .issuer = "CN=Test Root" }, NULL,
                        INCIDENT_ACTS, 3 },
                { "the same in slashes, with zeros", { .serial_hex = zeros, .issuer = "/CN=Test Root" }, NULL,
                        INCIDENT_ACTS, 3 },
                { "another issuer", { .serial_hex = k->serial, .issuer = "CN=Test Ro" }, NULL, INCIDENT_NOTHING, 0 },
                { "another serial number", { .serial_hex = "abcdef", .issuer = "CN=Test Root" }, NULL, INCIDENT_NOTHING,
                        0 },
                { "another issuer's key and the number", { .serial_hex = k->serial, .aki_hex = "00" }, NULL,
                        INCIDENT_NOTHING, 0 },
                { "SHA-1 alone", { .cert_sha1 = k->sha1 }, NULL, INCIDENT_NOTHING, 0 },
                { "SHA-1 and serial number", { .cert_sha1 = k->sha1, .serial_hex = k->serial }, NULL, INCIDENT_ACTS,
                        3 },
                { "SHA-1 and name", { .cert_sha1 = k->sha1 }, "www.example.test", INCIDENT_ACTS, 3 },
                { "SHA-1 and another name", { .cert_sha1 = k->sha1 }, "www.example.org", INCIDENT_NOTHING, 0 },
                { "a serial number that three certificates have", { .serial_hex = k->serial }, NULL, INCIDENT_NOTHING,
                        0 },
                { "name", { 0 }, "www.example.test", INCIDENT_ASKS, 3 },
                { "another name", { 0 }, "example.test", INCIDENT_NOTHING, 0 },
                { "a key that fits nothing, beside a name that would", { .spki_hex = other }, "www.example.test",
                        INCIDENT_NOTHING, 0 },
        };
        for (size_t i = 0; i < ARRAY_LEN(row); i++)
                judge(f, &row[i]);
        assert_int_equal(f->engine->incidents->count, 0);
}

static int setup_rsa(void **state)
{
        return setup_with(state, ", key: {type: rsa-2048}");
}

static void an_rsa_key_is_found_by_its_modulus_too(void **state)
{
        struct fixture *f = *state;
        const struct known_cert *k = www(f);
        assert_int_equal(strlen(k->modulus), 64);
        const struct named row[] = {
                { "modulus", { .modulus_hex = k->modulus }, NULL, INCIDENT_ACTS, 3 },
                { "the key's hash as a modulus", { .modulus_hex = k->spki }, NULL, INCIDENT_NOTHING, 0 },
        };
        for (size_t i = 0; i < ARRAY_LEN(row); i++)
                judge(f, &row[i]);
}

/* www has a new certificate already: the kept set is in the incident, and nothing is left to do for it. */
static void a_kept_set_is_in_it_and_a_lone_serial_number_is_a_hint(void **state)
{
        struct fixture *f = *state;
        char serial[90];
        size_t kept = 0, open = 0;
        snprintf(serial, sizeof serial, "%s", www(f)->serial);
        ask(f, action_reissue, json_pack("{s:[s]}", "certs", "www"));
        assert_true(run_to(f, nothing_runs));
        struct set s = { 0 };
        struct err e;
        assert_true(sets_read(f->engine->sets, "www", sets_live(f->engine->sets, "www"), 0, &s, &e));
        const struct named lone = { "a serial number that one certificate has",
                { .serial_hex = s.chain.leaf.serial_hex }, NULL, INCIDENT_ASKS, 1 };
        judge(f, &lone);
        set_done(&s);
        take_key(f, REPORT_EXACT, f->key);
        const struct incident *i = only(f);
        for (size_t k = 0; k < i->case_count; k++) {
                kept += i->cases[k].state == CASE_KEPT && strcmp(i->cases[k].cert, "www") == 0;
                open += i->cases[k].state == CASE_OPEN;
        }
        assert_int_equal(kept, 1);
        assert_int_equal(open, 2);
        expect_replaced(f);
        assert_int_equal(fake_ca.orders, 3); /* www's own, and one for each of the others */
}

/* No certificate has it, and yet it is a key of this host: it is marked, and a person is told where it is used. */
static void an_account_key_is_named_with_what_to_do(void **state)
{
        struct fixture *f = *state;
        struct key *key = NULL;
        struct secret pem = { 0 };
        struct err e;
        char spki[65];
        CLEANUP(free_p) char *parent = text_format("%s/accounts", f->directory);
        CLEANUP(free_p) char *folder = text_format("%s/ca", parent);
        CLEANUP(free_p) char *path = text_format("%s/key.pem", folder);
        assert_true(key_generate(KEY_EC_P256, &key, &e) && key_spki_hex(key, spki, &e) &&
                key_write_pem(key, NULL, &pem, &e));
        assert_int_equal(mkdir(parent, 0700), 0);
        assert_int_equal(mkdir(folder, 0700), 0);
        assert_true(file_write_atomic(path, 0600, (uid_t)-1, (gid_t)-1, pem.data, pem.len, &e));
        take_key(f, REPORT_PROOF, spki);
        assert_int_equal(f->answer.act, INCIDENT_TELLS);
        assert_true(compromised_has(f->engine->keystore, spki));
        ask(f, action_incident, json_pack("{s:I}", "id", (json_int_t)f->answer.id));
        const json_t *other = json_array_get(json_object_get(f->result, "others"), 0);
        assert_non_null(strstr(json_str(other, "text"), "dcvctl account rollover ca"));
        run_for(f, 50);
        assert_false(no_incident(f)); /* open until the account has another key */
        key_free(key);
        secret_done(&pem);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(each_spelling_finds_all_certificates_of_the_key, setup, teardown),
                cmocka_unit_test_setup_teardown(an_rsa_key_is_found_by_its_modulus_too, setup_rsa, teardown),
                cmocka_unit_test_setup_teardown(
                        a_kept_set_is_in_it_and_a_lone_serial_number_is_a_hint, setup, teardown),
                cmocka_unit_test_setup_teardown(an_account_key_is_named_with_what_to_do, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
