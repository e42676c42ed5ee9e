/* dcvctl publishers: where tokens can be put, by the configuration, and which certificates do so. No daemon is asked.
 */
#include <stdio.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/args.h"
#include "agent/cli/simple.h"
#include "config/config.h"
#include "validators/publisher.h"
#include "validators/webroot.h"

static json_t *can_list(unsigned can)
{
        static const struct {
                unsigned bit;
                const char *name;
        } kinds[] = { { PROOF_TXT, "dns" }, { PROOF_FILE, "file" }, { PROOF_TLS, "tls-alpn" } };
        json_t *list = json_array();
        for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
                if (can & kinds[i].bit)
                        json_array_append_new(list, json_string(kinds[i].name));
        return list;
}

static bool map_names(const struct conf_publisher_map *m, const char *name)
{
        return (m->otherwise && strcmp(m->otherwise, name) == 0) || texts_has(&m->publisher, name);
}

static json_t *users_of(const struct conf *c, const char *name)
{
        json_t *list = json_array();
        for (size_t i = 0; i < c->cert_count; i++) {
                const struct conf_cert *cert = &c->cert[i];
                bool uses = map_names(&cert->publisher, name);
                for (size_t k = 0; k < cert->ca_count; k++)
                        uses = uses || map_names(&cert->ca[k].publisher, name);
                if (uses)
                        json_array_append_new(list, json_string(cert->name));
        }
        return list;
}

static char *place_of(const struct conf *c, const struct conf_backend *p, const struct publisher_ops *ops)
{
        struct buf b = { .max = 4096 };
        if (ops->server && ops->server(p->parsed))
                buf_add(&b, ops->server(p->parsed));
        else if (strcmp(ops->type, "webroot") == 0)
                buf_add(&b, ((const struct webroot_conf *)p->parsed)->directory);
        else if (strcmp(ops->type, "responder") == 0)
                for (size_t i = 0; i < c->tokens_listen.count + c->tokens_tls_listen.count; i++)
                        buf_addf(&b, "%s%s", i ? " " : "",
                                i < c->tokens_listen.count ? c->tokens_listen.item[i]
                                                           : c->tokens_tls_listen.item[i - c->tokens_listen.count]);
        char *text = text_dup(b.len > 0 ? b.data : "");
        buf_done(&b);
        return text;
}

static json_t *list_publishers(const struct conf *c)
{
        json_t *list = json_array();
        for (size_t i = 0; i < c->publisher_count; i++) {
                const struct conf_backend *p = &c->publisher[i];
                const struct publisher_ops *ops = publisher_ops_find(p->kind->type);
                CLEANUP(free_p) char *place = ops ? place_of(c, p, ops) : NULL;
                json_array_append_new(list,
                        json_pack("{s:s, s:s, s:o, s:s?, s:o}", "name", p->name, "type", p->kind->type, "can",
                                can_list(ops ? ops->can : 0), "place", place && place[0] ? place : NULL, "certificates",
                                users_of(c, p->name)));
        }
        return list;
}

static json_t *list_types(void)
{
        json_t *list = json_array();
        for (const struct publisher_ops *const *at = publisher_registry; *at; at++)
                json_array_append_new(list, json_pack("{s:s, s:o}", "type", (*at)->type, "can", can_list((*at)->can)));
        return list;
}

static void words(const json_t *list, const char *between, struct buf *b)
{
        size_t i;
        json_t *x;
        json_array_foreach(list, i, x) buf_addf(b, "%s%s", i ? between : "", json_string_value(x));
}

static void print_publishers(FILE *to, const json_t *doc)
{
        size_t i;
        json_t *x;
        json_array_foreach(json_object_get(doc, "publishers"), i, x)
        {
                struct buf can = { .max = 100 }, users = { .max = 100000 };
                words(json_object_get(x, "can"), ",", &can);
                words(json_object_get(x, "certificates"), " ", &users);
                fprintf(to, "%-12s %-10s %-14s %-24s %s\n", json_str(x, "name"), json_str(x, "type"),
                        can.len ? can.data : "-", json_str(x, "place") ? json_str(x, "place") : "-",
                        users.len ? users.data : "(no certificate)");
                buf_done(&can);
                buf_done(&users);
        }
        if (i == 0)
                fprintf(to, "no publisher is configured\n");
        fprintf(to, "types:");
        json_array_foreach(json_object_get(doc, "types"), i, x)
        {
                struct buf can = { .max = 100 };
                words(json_object_get(x, "can"), ", ", &can);
                fprintf(to, "%s %s (%s)", i ? "," : "", json_str(x, "type"), can.len ? can.data : "-");
                buf_done(&can);
        }
        fprintf(to, "\n");
}

int cli_publishers(const struct cli_options *o, int argc, char **argv)
{
        const struct cli_arg options[] = { { NULL, NULL, NULL } };
        CLEANUP(json_decref_p) json_t *none = NULL;
        struct conf *conf = NULL;
        struct err e;
        if (!cli_args(argc, argv, options, &none))
                return EXIT_USAGE;
        if (json_array_size(none) > 0)
                return cli_usage("publishers takes no argument");
        if (!cli_config(o, &conf, &e))
                return cli_fail(o, &e);
        CLEANUP(json_decref_p)
        json_t *doc = json_pack("{s:s, s:i, s:o, s:o}", "schema", "dcvd.publishers/1", "exit", 0, "publishers",
                list_publishers(conf), "types", list_types());
        config_free(conf);
        return cli_answer(o, doc, print_publishers);
}
