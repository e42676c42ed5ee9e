/* dcvctl snippet: what a web server needs for dcvd, to be read and put into its configuration by a person: where tokens
 * are answered, and the files of a certificate. Nothing is written. */
#include "agent/cli/snippet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/args.h"
#include "agent/cli/cli.h"
#include "agent/net/address.h"
#include "config/config.h"
#include "validators/webroot.h"

#define TOKENS_USUAL "127.0.0.1:8402"
#define SNIPPET_MAX (64 * 1024)

static const struct {
        const char *server;
        void (*write)(const struct snippet *s, struct buf *b);
} servers[] = { { "nginx", snippet_nginx }, { "apache", snippet_apache }, { "haproxy", snippet_haproxy },
        { "caddy", snippet_caddy } };

/* Where dcvd answers itself; NULL: on port 80, so that no server has to pass anything on. */
static const char *listener_of(const struct conf *c)
{
        const char *first = c && c->tokens_listen.count > 0 ? c->tokens_listen.item[0] : TOKENS_USUAL;
        if (strcmp(first, "systemd") == 0 || text_ends(first, ":80"))
                return NULL;
        return text_starts(first, "unix:") ? first + strlen("unix:") : first;
}

static const char *file_of(const struct conf_target *t, enum conf_form form)
{
        for (size_t i = 0; i < t->file_count; i++)
                if (t->file[i].form == form)
                        return t->file[i].name;
        return NULL;
}

/* The one that this server uses, else the first. */
static const struct conf_target *target_of(const struct conf_cert *c, const char *server)
{
        for (size_t i = 0; i < c->target_count; i++)
                for (size_t k = 0; k < c->target[i].service_count; k++) {
                        const struct conf_service *s = &c->target[i].service[k];
                        if (strcmp(s->preset ? s->preset : s->name, server) == 0)
                                return &c->target[i];
                }
        return c->target_count > 0 ? &c->target[0] : NULL;
}

static void tokens_fill(const struct conf *conf, const struct conf_cert *c, struct snippet *ret)
{
        const char *name = c ? conf_publisher_for(&c->publisher, c->names.item[0]) : NULL;
        const struct conf_backend *p = name ? config_publisher(conf, name) : NULL;
        bool file = !c || c->validation == VALIDATION_FILE;
        if (p && strcmp(p->kind->type, "webroot") == 0)
                ret->webroot = ((const struct webroot_conf *)p->parsed)->directory;
        else if (file)
                ret->listener = listener_of(conf);
}

static bool snippet_fill(const struct conf *conf, const struct conf_cert *c, const char *server, struct snippet *ret)
{
        tokens_fill(conf, c, ret);
        if (!c)
                return true;
        const struct conf_target *t = target_of(c, server);
        if (!t)
                return cli_usage("certificate %s has no deploy directory: where its files are is not known", c->name) ==
                        0;
        ret->names = &c->names;
        ret->directory = t->directory;
        ret->fullchain = file_of(t, FORM_FULLCHAIN);
        ret->key = file_of(t, FORM_KEY);
        ret->combined = file_of(t, FORM_COMBINED);
        bool pair = ret->fullchain && ret->key;
        if (strcmp(server, "haproxy") == 0 ? ret->combined || pair : pair)
                return true;
        return cli_usage("certificate %s: %s has no fullchain and key among its files", c->name, t->directory) == 0;
}

static int print(const struct cli_options *o, const char *server, const char *cert, const struct buf *b)
{
        CLEANUP(json_decref_p)
        json_t *doc = json_pack("{s:s, s:s, s:s?}", "schema", "dcvd.snippet/1", "server", server, "cert", cert);
        if (!b->data || b->failed)
                return cli_usage("no memory");
        if (o->json) {
                json_put_text(doc, "text", b->data);
                cli_print_json(doc);
        } else if (!o->quiet) {
                fputs(b->data, stdout);
        }
        return EXIT_GOOD;
}

static int write_out(const struct cli_options *o, const struct conf *conf, const struct conf_cert *c, size_t server)
{
        struct snippet s = { 0 };
        struct buf b = { .max = SNIPPET_MAX };
        if (!snippet_fill(conf, c, servers[server].server, &s))
                return EXIT_USAGE;
        servers[server].write(&s, &b);
        if (b.len == 0)
                buf_addf(&b, "# dcvd answers tokens on port 80 itself: nothing to pass on\n");
        int status = print(o, servers[server].server, c ? c->name : NULL, &b);
        buf_done(&b);
        return status;
}

int cli_snippet(const struct cli_options *o, int argc, char **argv)
{
        const struct cli_arg options[] = { { NULL, NULL, NULL } };
        CLEANUP(json_decref_p) json_t *words = NULL;
        struct conf *conf = NULL;
        struct err e;
        size_t server = 0;
        if (!cli_args(argc, argv, options, &words))
                return EXIT_USAGE;
        const char *first = json_string_value(json_array_get(words, 0)),
                   *name = json_string_value(json_array_get(words, 1));
        while (first && server < ARRAY_LEN(servers) && strcmp(servers[server].server, first) != 0)
                server++;
        if (!first || server == ARRAY_LEN(servers) || json_array_size(words) > 2)
                return cli_usage("snippet takes nginx, apache, haproxy or caddy, and perhaps a certificate");
        if (!cli_config(o, &conf, &e))
                return cli_fail(o, &e);
        const struct conf_cert *c = name ? config_cert(conf, name) : NULL;
        const char *near = name && !c ? config_cert_near(conf, name) : NULL;
        int status = name && !c ? cli_usage("no certificate %s is configured%s%s%s", name,
                                          near ? "; did you mean " : "", near ? near : "", near ? "?" : "")
                                : write_out(o, conf, c, server);
        config_free(conf);
        return status;
}
