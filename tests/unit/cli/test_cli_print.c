#include "test.h"

#include <stdlib.h>

#include "agent/base/clock.h"
#include "cli/printed.h"

static void expect(print_fn *print, const char *json, const char *const *wanted)
{
        json_t *answer = json_of(json);
        char *text = printed(print, answer);
        for (; *wanted; wanted++)
                if (!strstr(text, *wanted))
                        fail_msg("\"%s\" is not in:\n%s", *wanted, text);
        free(text);
        json_decref(answer);
}
static void expect_not(print_fn *print, const char *json, const char *unwanted)
{
        json_t *answer = json_of(json);
        char *text = printed(print, answer);
        assert_null(strstr(text, unwanted));
        free(text);
        json_decref(answer);
}
#define EXPECT(print, json, ...) expect(print, json, (const char *const[]){ __VA_ARGS__, NULL })

static void status_says_what_is_live_and_what_runs(void **state)
{
        (void)state;
        EXPECT(print_status,
                "{\"certificates\": [{\"name\": \"www\", \"names\": [\"www.example\", \"example\"], \"configured\": "
                "true,"
                "\"live\": {\"set\": 3, \"not_after\": 1800000000, \"compromised\": true},"
                "\"job\": {\"job\": 17, \"state\": \"reviewed\", \"attempt\": 2, \"ca\": \"tencent\", \"order\": "
                "\"a1B2\","
                "\"progress\": \"status 8\", \"waiting\": {\"party\": \"your company\", \"act\": \"sign the letter\","
                "\"since\": 1795000000, \"deadline\": 1796000000, \"place\": \"https://console.example/a1B2\"},"
                "\"error\": {\"text\": \"waiting for your company\", \"fix\": \"sign\"}},"
                "\"end\": \"65 d left; a reissue keeps the end date\", \"reissue\": \"used (R3): next goes to "
                "letsencrypt\", \"reissuable\": {\"notes\": [\"same end "
                "date\"]},"
                "\"served\": [{\"endpoint\": \"127.0.0.1:443\", \"sni\": \"www.example\", \"match\": true},"
                "{\"endpoint\": \"[::1]:443\", \"sni\": null, \"match\": false, \"text\": \"serves another\"}],"
                "\"tokens\": [{\"token\": \"TXT _x\", \"value\": \"v\", \"publisher\": \"zone\", \"state\": "
                "\"published\","
                "\"problem\": \"refused\"}], \"stopped\": \"the journal is older\", \"newest_set\": 4, \"trouble\": "
                "\"stopped\"}]}",
                "www: www.example example\n", "  LIVE      set 3 until 2027-01-15", "its key is marked compromised",
                "  END       65 d left; a reissue keeps the end date\n",
                "  JOB       17 reviewed, attempt 2 at tencent, order a1B2\n",
                "  WAITS     for your company: sign the letter, since 2026-11-18", ", by 2026-11-30",
                "            https://console.example/a1B2\n", "  REISSUE   used (R3): next goes to letsencrypt\n",
                "  SERVED    127.0.0.1:443 as www.example the live certificate\n",
                "  SERVED    [::1]:443 serves another\n", "  TOKEN     TXT _x \"v\" by zone: published: refused\n",
                "  NEWEST    set 4 is the newest: dcvctl deploy www --set 4\n", "  STOPPED   the journal is older\n",
                "  CHECK     stopped\n");
        EXPECT(print_status,
                "{\"certificates\": [{\"name\": \"old\", \"names\": [], \"configured\": false, \"live\": null, "
                "\"job\": null,"
                "\"adopted\": \"not adopted: no local copy of the served certificate; run dcvctl import old\"}]}",
                "old: (no longer in the configuration)\n",
                "  LIVE      not adopted: no local copy of the served certificate", "  REISSUE   -\n");
        EXPECT(print_status,
                "{\"certificates\": [{\"name\": \"www\", \"names\": [], \"last_job\": {\"job\": 3, \"state\": "
                "\"failed\", "
                "\"at\": 1800000000, \"text\": \"nginx -t failed\", \"fix\": \"dcvctl deploy www --set 2 (no new "
                "order)\"}}]}",
                "  FAILED    2027-01-15", ": nginx -t failed\n            dcvctl deploy www --set 2 (no new order)\n");
        expect_not(print_status,
                "{\"certificates\": [{\"name\": \"www\", \"names\": [], \"last_job\": {\"state\": \"done\", \"text\": "
                "\"served\"}}]}",
                "FAILED");
        EXPECT(print_status,
                "{\"certificates\": [{\"name\": \"www\", \"job\": {\"job\": 2, \"state\": \"submitted\", \"attempt\": "
                "1,"
                "\"ca_says\": \"a.example: TXT record not found\\nb.example: Tencent sees it\\n\","
                "\"dcvd_saw\": \"TXT _x.a.example: 4 of 4 agree\"}}]}",
                "  CA SAYS   a.example: TXT record not found\n            b.example: Tencent sees it\n"
                "  DCVD SAW  TXT _x.a.example: 4 of 4 agree\n");
        EXPECT(print_status,
                "{\"certificates\": [{\"name\": \"www\", \"names\": [], \"configured\": true, \"live\": {\"set\": 1},"
                "\"job\": null, \"served\": [], \"looked_at\": false}]}",
                "  SERVED    deployed, not looked at\n");
        EXPECT(print_status, "{\"certificates\": []}", "no certificate is configured\n");
        EXPECT(print_status, "{\"certificates\": [], \"rest_until\": 1800000000}",
                "REBUILT the journal was lost: nothing starts by itself before 2027-01-15 (");
}

/* status --check: failed, stuck, not served, under seven days. */
static void check_finds_each_trouble(void **state)
{
        const int64_t now_s = 1800000000;
        static const struct {
                const char *cert, *want;
        } row[] = {
                { "{\"live\": {\"not_after\": 1810000000}}", NULL },
                { "{\"live\": {\"not_after\": 1810000000}, \"served\": [{\"match\": true}], \"job\": {\"state\": "
                  "\"keyed\"}}",
                        NULL },
                { "{\"live\": null}", "not adopted" },
                { "{\"live\": {\"not_after\": 1800604799}}", "under seven days" },
                { "{\"live\": {\"not_after\": 1800604800}}", NULL },
                { "{\"live\": {\"not_after\": 1810000000, \"compromised\": true}}",
                        "the live key is marked compromised" },
                { "{\"live\": {\"not_after\": 1810000000}, \"served\": [{\"match\": true}, {\"match\": false}]}",
                        "not served" },
                { "{\"live\": {\"not_after\": 1810000000}, \"last_failure\": 9, \"last_success\": 9, "
                  "\"last_job\": {\"state\": \"failed\"}}",
                        "the last job failed" },
                { "{\"live\": {\"not_after\": 1810000000}, \"last_failure\": 9, \"last_success\": 9, "
                  "\"last_job\": {\"state\": \"done\"}}",
                        NULL },
                { "{\"live\": {\"not_after\": 1810000000}, \"stopped\": \"why\"}", "stopped" },
                { "{\"live\": {\"not_after\": 1810000000}, \"job\": {\"error\": {\"text\": \"x\"}}}",
                        "its job is stuck" },
                { "{\"live\": {\"not_after\": 1810000000}, \"job\": {\"error\": {\"text\": \"x\"}, \"waiting\": "
                  "{\"party\": \"ca\"}}}",
                        NULL },
        };
        (void)state;
        for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
                json_t *c = json_of(row[i].cert);
                const char *got = status_trouble(c, now_s);
                if ((got == NULL) != (row[i].want == NULL) || (got && strcmp(got, row[i].want) != 0))
                        fail_msg("%s: %s", row[i].cert, got ? got : "no trouble");
                json_decref(c);
        }
}

static void a_dry_run_says_what_where_and_what_it_spends(void **state)
{
        (void)state;
        EXPECT(print_dry_run,
                "{\"cert\": \"www\", \"ca\": \"tencent\", \"replaces\": \"a1B2\", \"product\": \"free DV\", "
                "\"key_type\": \"rsa-2048\","
                "\"spends\": \"the only reissue of this certificate\", \"validation\": \"dns\", "
                "\"validation_expected\": false,"
                "\"person_expected\": true, \"not_after\": 1800000000, \"notes\": [\"R8: no validation needed\"]}",
                "www: would ask tencent to reissue a1B2\n", "  product     free DV\n", "  spends      the only reissue",
                "  key         rsa-2048\n", "  validation  dns (none expected)\n", "somebody must approve",
                "  ends        2027-01-15", "  note        R8: no validation needed\n");
        EXPECT(print_dry_run,
                "{\"cert\": \"www\", \"ca\": \"tencent\", \"replaces\": \"a1B2\", \"error\": {\"text\": \"R3: used\", "
                "\"fix\": \"buy one\"}}",
                "www: refused by tencent: R3: used\n", "  fix         buy one\n");
        EXPECT(print_dry_run,
                "{\"cert\": \"www\", \"ca\": \"tencent\", \"error\": {\"kind\": \"temporary\", \"text\": \"tencent: no "
                "answer\"}}",
                "www: not known now: tencent: no answer\n");
        EXPECT(print_dry_run,
                "{\"cert\": \"www\", \"ca\": \"first\", \"error\": {\"kind\": \"temporary\", \"text\": \"first: no "
                "answer\", \"fix\": \"wait\"}, \"next_ca\": \"second\", \"next_ca_after\": 21600}",
                "www: not known now: first: no answer\n", "  fix         wait\n",
                "  then        second takes over if first gives no final answer for 6 h (fallback.after)\n");
        EXPECT(print_dry_run,
                "{\"cert\": \"www\", \"ca\": \"spare\", \"replaces\": \"a1B2\", \"refused\": [{\"ca\": \"tencent\", "
                "\"text\": \"R3: "
                "used\"}], \"spends\": \"one\", \"key_type\": \"rsa-2048\", \"validation\": \"dns\"}",
                "www: refused by tencent: R3: used\nwww: would ask spare to reissue a1B2\n");
        EXPECT(print_dry_run,
                "{\"cert\": \"www\", \"ca\": \"tencent\", \"error\": {\"code\": \"deploy.test\", \"text\": \"nginx -t "
                "failed\"}}",
                "www: refused: nginx -t failed\n");
        EXPECT(print_dry_run,
                "{\"cert\": \"www\", \"ca\": \"tencent\", \"here\": true, \"error\": {\"kind\": \"config\", \"code\": "
                "\"config.owner\", \"text\": \"/tmp can be written by its group\"}}",
                "www: refused on this host: /tmp can be written by its group\n");
        EXPECT(print_dry_run,
                "{\"cert\": \"www\", \"error\": {\"kind\": \"config\", \"code\": \"tls-alpn\", \"text\": \"needs port "
                "443\"}}",
                "www: refused on this host: needs port 443\n"); /* no CA was asked */
        EXPECT(print_dry_run,
                "{\"cert\": \"www\", \"ca\": \"tencent\", \"here\": true, \"error\": {\"kind\": \"temporary\", "
                "\"text\": "
                "\"no helper\"}}",
                "www: not known now: no helper\n");
        EXPECT(print_dry_run,
                "{\"cert\": \"www\", \"ca\": \"letsencrypt\", \"issues\": true, \"product\": \"ACME\", \"key_type\": "
                "\"ec-p256\", \"spends\": \"one\", \"validation\": \"file\"}",
                "www: would order a new certificate from letsencrypt\n", "  product     ACME\n",
                "  validation  file\n");
        EXPECT(print_dry_run,
                "{\"cert\": \"www\", \"ca\": \"tencent\", \"replaces\": \"a1B2\", \"spends\": \"one\", \"key_type\": "
                "\"rsa-2048\", \"validation\": \"dns\", \"marks\": true, \"opens_incident\": true, \"also\": "
                "[\"shop\"], "
                "\"others\": [{\"cert\": \"shop\", \"ca\": \"tencent\", \"replaces\": \"c9D8\", \"spends\": \"the only "
                "reissue of this certificate\", \"key_type\": \"rsa-2048\", \"validation\": \"dns\"}]}",
                "  marks       the key compromised, for ever\n",
                "  also        shop has the same key and would be reissued too\n",
                "  incident    would be opened for all of them: dcvctl incidents\n",
                "shop: would ask tencent to reissue c9D8\n", "  spends      the only reissue of this certificate\n");
        EXPECT(print_dry_run,
                "{\"cert\": \"www\", \"ca\": \"tencent\", \"replaces\": \"a1B2\", \"spends\": \"one\", \"key_type\": "
                "\"rsa-2048\", \"validation\": \"dns\", \"person_expected\": true, \"approval_expected\": true, "
                "\"published_by_hand\": \"hand\"}",
                "  person      you must publish by hand what dcvd then shows (publisher hand)\n"
                "  person      somebody must approve after validation\n");
        EXPECT(print_dry_run, "{\"cert\": \"www\", \"ca\": \"tencent\", \"resumes\": \"e5F6\", \"replaces\": \"a1B2\"}",
                "www: would resume the running reissue e5F6 at tencent\n");
}

static void sets_looks_and_history_are_tables(void **state)
{
        (void)state;
        EXPECT(print_sets,
                "{\"sets\": [{\"set\": 2, \"live\": true, \"origin\": \"issued\", \"not_after\": 1800000000, "
                "\"serial\": \"0a\", \"good\": true},"
                "{\"set\": 1, \"live\": false, \"origin\": \"imported\", \"not_after\": 0, \"serial\": \"0b\", "
                "\"compromised\": true,"
                "\"good\": false}, {\"set\": 4, \"serial\": \"0c\", \"good\": true, \"looked_at\": false}, {\"set\": "
                "3, \"damaged\": \"no key\"}]}",
                "   2 * issued    ends 2027-01-15", "serial 0a\n", "   1   imported",
                "serial 0b  KEY COMPROMISED  never seen served\n", "serial 0c  deployed, not looked at\n",
                "   3  damaged: no key\n");
        EXPECT(print_sets, "{\"sets\": []}", "no sets; dcvctl import");
        EXPECT(print_verify,
                "{\"certificates\": [{\"cert\": \"www\", \"endpoints\": [{\"endpoint\": \"127.0.0.1:443\", \"sni\": "
                "\"www.example\","
                "\"match\": true}, {\"endpoint\": \"[::1]:443\", \"match\": false, \"verdict\": \"different\", "
                "\"text\": \"serves another\"},"
                "{\"endpoint\": \"[::1]:8443\", \"match\": false, \"verdict\": \"unreachable\", \"text\": "
                "\"refused\"}]},"
                "{\"cert\": \"old\", \"endpoints\": []}]}",
                "www: 127.0.0.1:443 as www.example: serves the live certificate\n",
                "www: [::1]:443: DIFFERENT: serves another\n", "www: [::1]:8443: UNREACHABLE (refused)\n",
                "old: no endpoint\n");
        EXPECT(print_history,
                "{\"history\": [{\"at\": 1800000000, \"cert\": \"www\", \"job\": 7, \"event\": \"state\", \"data\": "
                "{\"from\": \"keyed\","
                "\"to\": \"ordered\", \"why\": \"rsa-2048\", \"order\": \"e5F6\", \"ca\": \"tencent\"}},"
                "{\"at\": 1800000000, \"cert\": \"www\", \"job\": 7, \"event\": \"state\", \"data\": {\"from\": "
                "\"deployed\", "
                "\"to\": \"failed\", \"why\": \"nginx -t failed\", \"fix\": \"dcvctl deploy www --set 2\"}},"
                "{\"at\": 1800000001, \"cert\": null, \"event\": \"imported\", \"data\": {\"names\": [\"a\", \"b\"], "
                "\"serial\": \"0a\","
                "\"issuer\": \"CN=A B\", \"none\": null}}]}",
                "2027-01-15T08:00:00Z www              job 7 keyed -> ordered: rsa-2048 (tencent e5F6)\n",
                "job 7 deployed -> failed: nginx -t failed; fix: dcvctl deploy www --set 2\n",
                "2027-01-15T08:00:01Z -                imported", " names=[\"a\",\"b\"]", " serial=0a",
                " issuer=\"CN=A B\"");
        EXPECT(print_history, "{\"history\": []}", "nothing is written\n");
}

static void a_listing_becomes_a_configuration(void **state)
{
        static const char list[] =
                "{\"ca\": \"tencent\", \"certificates\": [{\"id\": \"a1B2\", \"domain\": \"*.shop.example\", "
                "\"product\": \"DV\","
                "\"names\": [\"*.shop.example\", \"shop.example\"], \"not_after\": 1800000000, \"reissuable_until\": "
                "1797000000,"
                "\"validation\": \"file\"}, {\"id\": \"c9D8\", \"domain\": null, \"names\": [], \"rule\": \"R3\","
                "\"rule_text\": \"R3: used\"}]}";
        (void)state;
        EXPECT(print_listing, list, "a1B2       *.shop.example", "until 2026-12-11", "           shop.example\n",
                "no, R3: used\n", "dcvctl import --from tencent ID");
        EXPECT(print_listing, "{\"certificates\": []}", "the account holds no certificate\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(status_says_what_is_live_and_what_runs),
                cmocka_unit_test(check_finds_each_trouble),
                cmocka_unit_test(a_dry_run_says_what_where_and_what_it_spends),
                cmocka_unit_test(sets_looks_and_history_are_tables),
                cmocka_unit_test(a_listing_becomes_a_configuration),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
