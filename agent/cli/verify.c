/* dcvctl verify: through the daemon, or by itself: it needs neither daemon nor lock, only the public part of the live
 * set. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/args.h"
#include "agent/cli/check.h"
#include "agent/cli/simple.h"
#include "agent/deploy/deploy.h"
#include "agent/net/dns.h"
#include "agent/net/loop.h"
#include "agent/pki/chain.h"
#include "config/config.h"

#define LOOK_MS 60000

static const char *or_empty(const char *text)
{
        return text ? text : "";
}

static void print_seen(FILE *to, const json_t *x)
{
        const char *text = or_empty(json_str(x, "text"));
        if (json_bool(x, "match", false))
                fprintf(to, "serves the live certificate\n");
        else if (strcmp(or_empty(json_str(x, "verdict")), "unreachable") == 0)
                fprintf(to, "UNREACHABLE (%s)\n", text);
        else
                fprintf(to, "DIFFERENT: %s\n", text);
}

void print_verify(FILE *to, const json_t *r)
{
        size_t i, k;
        json_t *c, *x;
        json_array_foreach(json_object_get(r, "certificates"), i, c)
        {
                json_array_foreach(json_object_get(c, "endpoints"), k, x)
                {
                        fprintf(to, "%s: %s%s%s: ", or_empty(json_str(c, "cert")), or_empty(json_str(x, "endpoint")),
                                json_str(x, "sni") ? " as " : "", or_empty(json_str(x, "sni")));
                        print_seen(to, x);
                }
                if (k == 0)
                        fprintf(to, "%s: %s\n", or_empty(json_str(c, "cert")),
                                json_str(c, "text") ? json_str(c, "text") : "no endpoint");
        }
}

/* ---- without a daemon ---- */

struct alone {
        json_t *result;
        const char *cert;
        bool expected; /* some service of it has `verify: auto`: somebody should serve it */
        bool done, wrong; /* wrong: something is different, or could not be compared */
};

static void looked(void *arg, const struct look_endpoint *list, size_t count, const struct err *err)
{
        struct alone *a = arg;
        json_t *o = json_pack("{s:s, s:[]}", "cert", a->cert, "endpoints");
        for (size_t i = 0; i < count; i++) {
                json_t *x = json_object();
                json_put_text(x, "endpoint", list[i].address);
                json_put_text(x, "sni", list[i].sni);
                json_put_bool(x, "match", list[i].verdict == LOOK_SAME);
                json_put_text(x, "verdict",
                        list[i].verdict == LOOK_SAME                ? "same"
                                : list[i].verdict == LOOK_DIFFERENT ? "different"
                                                                    : "unreachable");
                json_put_text(x, "sha256", list[i].served_sha256);
                json_put_text(x, "text", list[i].text);
                json_array_append_new(json_object_get(o, "endpoints"), x);
        }
        if (err || count == 0)
                json_put_text(o, "text", err ? err->text : "deployed, not looked at: there is no endpoint");
        a->wrong = a->wrong || err || (count == 0 && a->expected);
        json_array_append_new(json_object_get(a->result, "certificates"), o);
        a->done = true;
}

static bool live_chain(const struct conf *conf, const char *cert, struct chain *ret, struct err *e)
{
        CLEANUP(free_p) char *path = text_format("%s/live/%s/fullchain.pem", conf->state_directory, cert);
        CLEANUP(free_p) char *pem = NULL;
        size_t len = 0;
        return path && file_read(path, CHAIN_PEM_MAX, &pem, &len, e) && chain_read(pem, len, NULL, ret, e);
}

/* Without the daemon only who owns the state directory, or root, knows what should be served. */
static void not_compared(struct alone *a, const struct conf *conf)
{
        bool hidden = access(conf->state_directory, X_OK) != 0 && errno == EACCES;
        CLEANUP(free_p)
        char *text = hidden ? text_format("nothing to compare with: this user may not read %s; sudo dcvctl verify",
                                      conf->state_directory)
                            : text_dup("not adopted: nothing to compare with");
        json_array_append_new(json_object_get(a->result, "certificates"),
                json_pack("{s:s, s:[], s:s?}", "cert", a->cert, "endpoints", "text", text));
        a->wrong = true;
}

static void look_at(
        struct loop *loop, struct dns *dns, const struct conf *conf, const struct conf_cert *c, struct alone *a)
{
        struct chain chain = { 0 };
        struct err e;
        a->cert = c->name;
        a->expected = look_is_automatic(c);
        a->done = false;
        if (!live_chain(conf, c->name, &chain, &e)) {
                not_compared(a, conf);
                return;
        }
        struct look_request r = {
                .cert = c, .dns = dns, .want_sha256 = chain.leaf.sha256, .key_type = chain.leaf.key_type, .in_a_row = 1
        };
        struct look_run *run = look_start(loop, &r, looked, a, &e);
        if (run && !loop_run_until(loop, &a->done, LOOK_MS)) {
                look_cancel(run);
                err_set(&e, ERR_TEMPORARY, "look", "its endpoints could not be looked at within %d s", LOOK_MS / 1000);
        }
        if (!a->done)
                looked(a, NULL, 0, &e);
        chain_done(&chain);
}

static int alone(const struct cli_options *o, const json_t *names)
{
        struct conf *conf = NULL;
        struct loop *loop = NULL;
        struct dns *dns = NULL;
        struct err e;
        if (!cli_config(o, &conf, &e))
                return cli_fail(o, &e);
        CLEANUP(json_decref_p) json_t *result = json_pack("{s:s, s:[]}", "schema", "dcvd.verify/1", "certificates");
        struct alone a = { .result = result };
        for (size_t i = 0; i < json_array_size(names); i++)
                if (!config_cert(conf, json_string_value(json_array_get(names, i)))) {
                        int status =
                                cli_usage("there is no certificate %s", json_string_value(json_array_get(names, i)));
                        config_free(conf);
                        return status;
                }
        CLEANUP(free_p) const char **resolvers = check_list(&conf->resolvers);
        const struct dns_conf names_conf = { .resolvers = resolvers };
        bool good = loop_open(&loop, &e) && dns_open(&dns, loop, &names_conf, &e);
        for (size_t i = 0; good && i < conf->cert_count; i++) {
                bool wanted = json_array_size(names) == 0;
                for (size_t k = 0; k < json_array_size(names); k++)
                        wanted = wanted || strcmp(json_string_value(json_array_get(names, k)), conf->cert[i].name) == 0;
                if (wanted)
                        look_at(loop, dns, conf, &conf->cert[i], &a);
        }
        dns_close(dns);
        if (loop)
                loop_close(loop);
        config_free(conf);
        if (!good)
                return cli_fail(o, &e);
        json_put_i64(result, "exit", a.wrong ? EXIT_JOB_FAILED : EXIT_GOOD);
        return cli_answer(o, result, print_verify);
}

int cli_verify(const struct cli_options *o, int argc, char **argv)
{
        const struct cli_arg options[] = { { NULL, NULL, NULL } };
        CLEANUP(json_decref_p) json_t *names = NULL;
        struct session *s = NULL;
        struct err e;
        if (!cli_args(argc, argv, options, &names))
                return EXIT_USAGE;
        if (!session_open(&s, o, false, &e))
                return alone(o, names);
        CLEANUP(json_decref_p) json_t *args = json_pack("{s:O}", "certs", names);
        CLEANUP(json_decref_p) json_t *r = NULL;
        bool good = session_ask(s, "verify", args, &r, &e);
        session_close(s);
        if (!good && strcmp(e.code, "control.denied") == 0) /* no right is needed to look */
                return alone(o, names);
        return good ? cli_answer(o, r, print_verify) : cli_fail(o, &e);
}
