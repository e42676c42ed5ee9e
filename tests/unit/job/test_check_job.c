/* What dcvctl check makes of the daemon's word: each fact becomes its id, with words; silence becomes a doubt. */
#include "test.h"

#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/job/check_job.h"

#define NOW_S 1790000000 /* 2026-09-21 14:13:20 */
#define LE "https://acme-v02.api.letsencrypt.org/directory"
#define CA(error) "'cas':[{'ca':'tencent','type':'tencent'" error "}]"
#define ERROR(kind, code) ",'error':{'kind':'" kind "','code':'" code "','text':'because','fix':'do it'}"

static struct judgements look(const char *facts, const char *directory, const char *why)
{
        struct conf conf = { .path = (char *)"/etc/dcvd/dcvd.yaml" };
        struct conf_ca_use ca = { .ca = (char *)"ca" };
        struct conf_cert cert = { .name = (char *)"www",
                .names = { .item = (char *[]){ (char *)"www.example.com" }, .count = 1 },
                .ca = &ca,
                .ca_count = 1 };
        struct check_said said = { .facts = NULL };
        struct check_target target = {
                .label = "www", .conf = &conf, .cert = &cert, .directory = directory, .more = &said
        };
        struct check_context c = { .target = &target };
        struct judgements out = { 0 };
        CLEANUP(free_p) char *text = text_dup(facts ? facts : "");
        struct err e;
        for (char *p = text; *p; p++)
                if (*p == '\'')
                        *p = '"';
        if (facts && !json_read(text, strlen(text), 16, &said.facts, &e))
                fail_msg("%s: %s", facts, e.text);
        snprintf(said.why, sizeof said.why, "%s", why ? why : "");
        clock_fake((int64_t)NOW_S * 1000, 0);
        (*job_checks)->run(&c, &out);
        clock_fake(-1, -1);
        json_decref(said.facts);
        return out;
}

static void every_fact_has_its_id(void **state)
{
        static const struct {
                const char *facts, *directory;
                const char *id; /* found; "" nothing at all */
                const char *said; /* in its message or fix */
                const char * not ; /* an id that must not be there */
        } t[] = {
                { "{" CA("") ",'publishers':[{'publisher':'zone','name':'www.example.com'}],'test':'passed'}", NULL, "",
                        "", NULL },
                { "{" CA(ERROR("denied", "AuthFailure.SignatureFailure")) "}", NULL, "O02", "does not accept", "L02" },
                { "{" CA(ERROR("denied", "AuthFailure.SignatureFailure")) "}", NULL, "O15", "nothing could replace www",
                        NULL },
                { "{" CA(ERROR("temporary", "http.refused")) "}", NULL, "", "", "O15" }, /* it may work tomorrow */
                { "{" CA(ERROR("rule", "tc.gone")) "}", NULL, "O21", "does not have this certificate", "O02" },
                { "{" CA(ERROR("rate-limited", "RequestLimitExceeded")) "}", NULL, "L02", "has its limit", "O15" },
                { "{" CA(ERROR("rule", "R3")) "}", NULL, "O15", "because", "O16" },
                { "{'cas':[{'ca':'a'},{'ca':'b'" ERROR("denied", "x") "}]}", NULL, "O16", "CA b, the next", "O15" },
                { "{'cas':[{'ca':'a'" ERROR("rule", "R2") "},{'ca':'b'}]}", NULL, "", "", "O15" },
                { "{" CA(",'rules':['R8: no validation is needed until tomorrow']") "}", NULL, "O14", "R8:", "O22" },
                { "{" CA(",'rules':['R2: it can be reissued until soon'],'reissuable_until':1790100000") "}", NULL,
                        "O22", "buy a new certificate", "O14" },
                { "{" CA(",'rules':['R2: it can be reissued until later'],'reissuable_until':1799000000") "}", NULL,
                        "O14", "R2:", "O22" },
                { "{'publishers':[{'publisher':'zone','name':'www.example.com'" ERROR("denied", "dns.refused") "}]}",
                        NULL, "O03", "zone may not write for www.example.com", NULL },
                { "{'test':{'kind':'rule','code':'deploy.test','text':'nginx -t failed','fix':''}}", NULL, "O07",
                        "nginx -t failed", "O13" },
                { "{'test':{'kind':'config','code':'helper.owner','text':'not owned by root','fix':'chown'}}", NULL,
                        "O13", "not owned by root", "O07" },
                { "{'test':{'kind':'temporary','code':'helper.gone','text':'no helper','fix':''}}", NULL, "", "",
                        "O13" },
                { "{'failures_in_a_row':3}", NULL, "L03", "the last 3 jobs", NULL },
                { "{'failures_in_a_row':2}", NULL, "", "", "L03" },
                { "{'failures_in_a_row':3}", LE, "L03", "1152", NULL },
                { "{'issued_in_a_week':5,'oldest_of_the_week':1789900000}", LE, "L02", "the next at 2026-09-27", NULL },
                { "{'issued_in_a_week':4,'oldest_of_the_week':1789900000}", LE, "", "", "L02" },
                { "{'issued_in_a_week':5}", "https://ca.example/directory", "", "",
                        "L02" }, /* whose limit is not known */
                { "{'last_error_code':'acme.rejectedIdentifier','last_error':'policy forbids'}", NULL, "L05",
                        "policy forbids", NULL },
                { "{'last_error_code':'acme.dns','last_error':'no'}", NULL, "", "", "L05" },
                { "{'names':['www.example.com'],'list':['ca'],'targets':[]}", NULL, "", "", "O23" },
                { "{'names':['www.example.com','old.example.com'],'list':['ca'],'targets':[]}", NULL, "O23",
                        "older configuration than /etc/dcvd/dcvd.yaml", NULL },
                { "{'names':['www.example.com'],'list':['other'],'targets':[]}", NULL, "O23", "reload", NULL },
                { "{'names':['www.example.com'],'list':['ca'],'targets':['0123']}", NULL, "O23", "reload", NULL },
                { "{'end':'65 d left (until 2026-11-25); a reissue keeps the end date'}", NULL, "O24",
                        "a reissue keeps the end date", NULL },
                { "{'tokens_left':2}", NULL, "O19", "dcvctl withdraw", NULL },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(t); i++) {
                struct judgements out = look(t[i].facts, t[i].directory, NULL);
                const struct judgement *found = judgements_find(&out, t[i].id);
                if (!found != !*t[i].id)
                        fail_msg("%s: %s is %s", t[i].facts, t[i].id, found ? "there" : "not there");
                for (size_t k = 0; k < out.count && !*t[i].id; k++)
                        if (!out.item[k].unverifiable)
                                fail_msg("%s: %s", t[i].facts, out.item[k].message);
                if (found && ((!strstr(found->message, t[i].said) && !strstr(found->fix, t[i].said)) || !*found->fix))
                        fail_msg("%s: %s / %s", t[i].facts, found->message, found->fix);
                if (t[i].not &&judgements_find(&out, t[i].not ))
                        fail_msg("%s: %s is there too", t[i].facts, t[i].not );
                judgements_done(&out);
        }
}

static void without_a_daemon_all_is_in_doubt_and_nothing_found(void **state)
{
        struct judgements out = look(NULL, NULL, "no daemon answers");
        size_t ids = 1;
        (void)state;
        for (const char *at = (*job_checks)->ids; (at = strchr(at, ' ')); at++)
                ids++;
        assert_int_equal(out.count, ids);
        for (size_t i = 0; i < out.count; i++) {
                assert_true(out.item[i].unverifiable);
                assert_string_equal(out.item[i].message, "no daemon answers");
                assert_true(strstr((*job_checks)->ids, out.item[i].id));
        }
        judgements_done(&out);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_fact_has_its_id),
                cmocka_unit_test(without_a_daemon_all_is_in_doubt_and_nothing_found),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
