/* dcvctl verify: through the daemon, or by itself: it needs neither daemon nor lock, only the public part of the live
 * set. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/args.h"
#include "agent/cli/simple.h"
#include "agent/deploy/deploy.h"
#include "agent/net/loop.h"
#include "agent/pki/chain.h"
#include "config/config.h"

#define LOOK_MS 60000

static const char *or_empty(const char *text)
{
        return text ? text : "";
}

void print_verify(FILE *to, const json_t *r)
{
        size_t i, k;
        json_t *c, *x;
        json_array_foreach(json_object_get(r, "certificates"), i, c)
        {
                json_array_foreach(json_object_get(c, "endpoints"), k, x)
                {
                        bool same = json_bool(x, "match", false);
                        fprintf(to, "%s: %s%s%s: %s%s\n", or_empty(json_str(c, "cert")),
                                or_empty(json_str(x, "endpoint")), json_str(x, "sni") ? " as " : "",
                                or_empty(json_str(x, "sni")), same ? "serves the live certificate" : "DIFFERENT: ",
                                same ? "" : or_empty(json_str(x, "text")));
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
        bool done, different;
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
                json_put_text(x, "sha256", list[i].served_sha256);
                json_put_text(x, "text", list[i].text);
                json_array_append_new(json_object_get(o, "endpoints"), x);
        }
        if (err)
                json_put_text(o, "text", err->text);
        a->different = a->different || err;
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

static void look_at(struct loop *loop, const struct conf *conf, const struct conf_cert *c, struct alone *a)
{
        struct chain chain = { 0 };
        struct err e;
        a->cert = c->name;
        a->done = false;
        if (!live_chain(conf, c->name, &chain, &e)) {
                json_array_append_new(json_object_get(a->result, "certificates"),
                        json_pack("{s:s, s:[], s:s}", "cert", c->name, "endpoints", "text",
                                "not adopted, or the state directory cannot be read: nothing to compare with"));
                return;
        }
        struct look_request r = {
                .cert = c, .want_sha256 = chain.leaf.sha256, .key_type = chain.leaf.key_type, .in_a_row = 1
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
        struct err e;
        if (!cli_config(o, &conf))
                return EXIT_USAGE;
        CLEANUP(json_decref_p) json_t *result = json_pack("{s:s, s:[]}", "schema", "dcvd.verify/1", "certificates");
        struct alone a = { .result = result };
        for (size_t i = 0; i < json_array_size(names); i++)
                if (!config_cert(conf, json_string_value(json_array_get(names, i)))) {
                        int status =
                                cli_usage("there is no certificate %s", json_string_value(json_array_get(names, i)));
                        config_free(conf);
                        return status;
                }
        if (!loop_open(&loop, &e)) {
                config_free(conf);
                return cli_fail(o, &e);
        }
        for (size_t i = 0; i < conf->cert_count; i++) {
                bool wanted = json_array_size(names) == 0;
                for (size_t k = 0; k < json_array_size(names); k++)
                        wanted = wanted || strcmp(json_string_value(json_array_get(names, k)), conf->cert[i].name) == 0;
                if (wanted)
                        look_at(loop, conf, &conf->cert[i], &a);
        }
        loop_close(loop);
        config_free(conf);
        json_put_i64(result, "exit", a.different ? EXIT_JOB_FAILED : EXIT_GOOD);
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
        session_close(s);
        CLEANUP(json_decref_p) json_t *args = json_pack("{s:O}", "certs", names);
        return cli_simple(o, "verify", args, print_verify);
}
