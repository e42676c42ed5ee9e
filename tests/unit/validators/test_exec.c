#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "config/config.h"
#include "validators/exec.h"
#include "validators/proof.h"
#include "validators/publisher.h"

static const struct proof record = { .type = PROOF_TXT,
        .name = (char *)"www.example.com",
        .place = (char *)"_acme-challenge.www.example.com",
        .value = (char *)"-abc_1" };
static const struct proof elsewhere = { .type = PROOF_TXT,
        .name = (char *)"www.example.com",
        .place = (char *)"_dnsauth.www.example.com",
        .value = (char *)"201911" };
static const struct proof file = { .type = PROOF_FILE,
        .name = (char *)"www.example.com",
        .place = (char *)"www.example.com",
        .path = (char *)"/.well-known/acme-challenge/tok",
        .value = (char *)"tok.thumb" };
static const struct proof other_file = { .type = PROOF_FILE,
        .name = (char *)"www.example.com",
        .place = (char *)"www.example.com",
        .path = (char *)"/.well-known/pki-validation/x.txt",
        .value = (char *)"x" };
static const struct proof alias = { .type = PROOF_CNAME,
        .name = (char *)"www.example.com",
        .place = (char *)"_x.www.example.com",
        .value = (char *)"y.example.net" };

static char *joined(const struct exec_words *w)
{
        struct buf b = { 0 };
        for (size_t i = 0; i < w->args.count; i++)
                buf_addf(&b, "%s%s", b.len ? " " : "", w->args.item[i]);
        for (size_t i = 0; i < w->env.count; i++)
                buf_addf(&b, "%s%s", b.len ? " " : "", w->env.item[i]);
        return buf_steal(&b);
}

static void each_protocol_has_its_words(void **state)
{
        static const struct {
                enum exec_protocol protocol;
                const struct proof *proof;
                bool publish;
                const char *want; /* NULL: it has none */
        } row[] = {
                { EXEC_LEGO, &record, true, "present _acme-challenge.www.example.com. -abc_1" },
                { EXEC_LEGO, &record, false, "cleanup _acme-challenge.www.example.com. -abc_1" },
                { EXEC_LEGO, &elsewhere, true, "present _dnsauth.www.example.com. 201911" },
                { EXEC_LEGO, &file, true, NULL },
                { EXEC_LEGO_RAW, &file, true, "present -- www.example.com. tok tok.thumb" },
                { EXEC_LEGO_RAW, &file, false, "cleanup -- www.example.com. tok tok.thumb" },
                { EXEC_LEGO_RAW, &record, true, NULL },
                { EXEC_DEHYDRATED, &record, true, "deploy_challenge www.example.com - -abc_1" },
                { EXEC_DEHYDRATED, &file, false, "clean_challenge www.example.com tok tok.thumb" },
                { EXEC_UACME, &record, true, "begin dns-01 www.example.com - -abc_1" },
                { EXEC_UACME, &file, false, "done http-01 www.example.com tok tok.thumb" },
                { EXEC_CERTBOT, &record, true,
                        "CERTBOT_IDENTIFIER=www.example.com CERTBOT_DOMAIN=www.example.com CERTBOT_VALIDATION=-abc_1 "
                        "CERTBOT_REMAINING_CHALLENGES=0 CERTBOT_ALL_IDENTIFIERS=www.example.com "
                        "CERTBOT_ALL_DOMAINS=www.example.com" },
                { EXEC_CERTBOT, &file, false,
                        "CERTBOT_IDENTIFIER=www.example.com CERTBOT_DOMAIN=www.example.com "
                        "CERTBOT_VALIDATION=tok.thumb "
                        "CERTBOT_TOKEN=tok CERTBOT_REMAINING_CHALLENGES=0 CERTBOT_ALL_IDENTIFIERS=www.example.com "
                        "CERTBOT_ALL_DOMAINS=www.example.com CERTBOT_AUTH_OUTPUT=id 7" },
                { EXEC_CERTBOT, &elsewhere, true, NULL },
                { EXEC_DEHYDRATED, &other_file, true, NULL },
                { EXEC_UACME, &alias, true, NULL },
                { EXEC_LEGO, &alias, true, NULL },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct exec_words w = { 0 };
                struct err e = { 0 };
                bool good = exec_words_make(row[i].protocol, row[i].proof, row[i].publish, "id 7", &w, &e);
                CLEANUP(free_p) char *text = joined(&w);
                if (row[i].want)
                        assert_string_equal(text, row[i].want);
                else
                        assert_string_equal(e.code, "hook.protocol");
                assert_int_equal(good, row[i].want != NULL);
                exec_words_done(&w);
        }
}

static void settings_are_checked(void **state)
{
        static const struct {
                const char *settings, *says; /* NULL: good */
        } row[] = {
                { "command: [/usr/local/bin/dns-hook]", NULL },
                { "command: [/a], protocol: dehydrated, timeout: 10m", NULL },
                { "command: [/a], cleanup: [/b], protocol: certbot", NULL },
                { "command: [/a], cleanup: [/b]", "publishers.hook.cleanup: belongs to protocol certbot" },
                { "command: \"rm -rf /\"", "publishers.hook.command" },
                { "command: [/a], protocol: acme.sh", "publishers.hook.protocol" },
                { "command: [/a], timeout: 2h", "publishers.hook.timeout" },
        };
        const struct publisher_ops *o = publisher_ops_find("exec");
        const struct conf_kind kinds[] = { { .section = "publishers",
                                                   .type = o->type,
                                                   .keys = o->keys,
                                                   .size = o->conf_size,
                                                   .check = o->check,
                                                   .can = o->can },
                { 0 } };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct conf_problems p = { 0 };
                struct conf *c = NULL;
                CLEANUP(free_p)
                char *text = text_format("publishers:\n  hook: {type: exec, %s}\n", row[i].settings);
                bool good = config_load_text("t", text, strlen(text), kinds, &c, &p);
                if (good != !row[i].says || (row[i].says && !strstr(p.text.item[0], row[i].says)))
                        fail_msg("%s: %s", row[i].settings, p.text.count ? p.text.item[0] : "good");
                config_free(c);
                conf_problems_done(&p);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_protocol_has_its_words),
                cmocka_unit_test(settings_are_checked),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
