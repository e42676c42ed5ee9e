/* The top of the file: what concerns the whole daemon. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/net/address.h"
#include "config/internal.h"

#define DAY_MS (INT64_C(86400) * 1000)
#define HOUR_MS (INT64_C(3600) * 1000)
#define SOCKET_PATH_MAX 107 /* unix(7) */

static const char *const level_words[] = { "error", "warning", "info", "debug", NULL };
static const char *const format_words[] = { "auto", "text", "json", NULL };

static const char *resolver_fault(const char *text)
{
        struct address a;

        return address_parse(text, 53, &a) ? NULL : "is not a numeric address";
}

static bool resolvers_check(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        return conf_check_items(node, path, target, p, resolver_fault, "\"192.0.2.53\" or \"[2001:db8::53]:53\"");
}

static const char *listen_fault(const char *text)
{
        struct address a;

        if (strcmp(text, "systemd") == 0)
                return NULL;
        if (text[0] == '/')
                return strlen(text) > SOCKET_PATH_MAX ? "is too long for a unix socket" : syntax_path(text);
        if (text_starts(text, "unix:"))
                return strlen(text) > 5 + SOCKET_PATH_MAX ? "is too long for a unix socket" : syntax_path(text + 5);
        if (!address_parse(text, 0, &a))
                return "is not a numeric address with a port";
        return a.port ? NULL : "has no port";
}

/* A path alone is a unix socket, too: from here on it is written in one way. */
static bool name_sockets(struct texts *list)
{
        for (size_t i = 0; i < list->count; i++) {
                char *named = list->item[i][0] == '/' ? text_format("unix:%s", list->item[i]) : NULL;
                if (list->item[i][0] == '/' && !named)
                        return false;
                if (named) {
                        free(list->item[i]);
                        list->item[i] = named;
                }
        }
        return true;
}

bool listen_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        if (!name_sockets(target))
                return problem_node(p, node, path, "no memory");
        return conf_check_items(node, path, target, p, listen_fault, "\"127.0.0.1:8402\", \"unix:/path\" or systemd");
}

static const char *tls_listen_fault(const char *text)
{
        return text[0] == '/' || text_starts(text, "unix:") ? "is not where a CA could connect to" : listen_fault(text);
}

static bool tls_listen_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        return conf_check_items(node, path, target, p, tls_listen_fault, "\"0.0.0.0:443\" or systemd");
}

static bool groups_check(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        return conf_check_items(node, path, target, p, syntax_group, "the name of a group");
}

static bool proxy_url_check(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        (void)target;
        const char *fault = syntax_url(node->text, true);

        return fault ? problem_node(p, node, path, "%s; an http or https URL without user and password", fault) : true;
}

static const char *except_fault(const char *text)
{
        CLEANUP(free_p) char *net = text_dup(text);
        char *slash = net ? strchr(net, '/') : NULL;
        int64_t bits;

        if (!slash)
                return syntax_host(text + (text[0] == '.'));
        *slash = '\0';
        bool v6 = strchr(net, ':') != NULL;
        if (!syntax_is_address(net) || !parse_i64(slash + 1, 0, v6 ? 128 : 32, &bits))
                return "is not a network";
        return NULL;
}

static bool except_check(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        return conf_check_items(
                node, path, target, p, except_fault, "\"10.0.0.0/8\", \".corp.example\" or a host name");
}

/* The control socket is in it; one whose name is cut would be another. */
static bool runtime_check(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        const char *directory = *(char **)target;

        return strlen(directory) + strlen("/dcvd.sock") <= SOCKET_PATH_MAX ||
                problem_node(p, node, path, "is too long for the control socket in it; at most %zu bytes",
                        SOCKET_PATH_MAX - strlen("/dcvd.sock"));
}

static const struct conf_key log_keys[] = {
        { .name = "level",
                .type = CONF_WORD,
                .offset = offsetof(struct conf, log_level),
                .words = level_words,
                .otherwise = "info" },
        { .name = "format",
                .type = CONF_WORD,
                .offset = offsetof(struct conf, log_format),
                .words = format_words,
                .otherwise = "auto" },
        { .name = NULL },
};
static const struct conf_key tokens_keys[] = {
        { .name = "listen",
                .type = CONF_TEXTS,
                .offset = offsetof(struct conf, tokens_listen),
                .max = 16,
                .parse = listen_parse },
        { .name = "tls_listen",
                .type = CONF_TEXTS,
                .offset = offsetof(struct conf, tokens_tls_listen),
                .max = 16,
                .parse = tls_listen_parse },
        { .name = NULL },
};
static const struct conf_key admin_keys[] = {
        { .name = "listen",
                .type = CONF_TEXTS,
                .offset = offsetof(struct conf, admin_listen),
                .max = 16,
                .parse = listen_parse },
        { .name = "public", .type = CONF_BOOL, .offset = offsetof(struct conf, admin_public), .otherwise = "false" },
        { .name = NULL },
};
static const struct conf_key control_keys[] = {
        { .name = "read",
                .type = CONF_TEXTS,
                .offset = offsetof(struct conf, control_read),
                .max = 16,
                .otherwise = "dcvd-read",
                .parse = groups_check },
        { .name = "act",
                .type = CONF_TEXTS,
                .offset = offsetof(struct conf, control_act),
                .max = 16,
                .otherwise = "dcvd",
                .parse = groups_check },
        { .name = NULL },
};
static const struct conf_key proxy_keys[] = {
        { .name = "url",
                .type = CONF_TEXT,
                .offset = offsetof(struct conf, proxy_url),
                .required = true,
                .parse = proxy_url_check,
                .allowed = "an http or https URL without user and password" },
        { .name = "except",
                .type = CONF_TEXTS,
                .offset = offsetof(struct conf, proxy_except),
                .max = 256,
                .parse = except_check },
        { .name = NULL },
};
static const struct conf_key limits_keys[] = {
        { .name = "jobs",
                .type = CONF_INT,
                .offset = offsetof(struct conf, limit_jobs),
                .otherwise = "16",
                .min = 1,
                .max = 1000 },
        { .name = "automatic_per_hour",
                .type = CONF_INT,
                .offset = offsetof(struct conf, limit_automatic_per_hour),
                .otherwise = "60",
                .min = 0,
                .max = 100000 },
        { .name = "per_certificate",
                .type = CONF_INT,
                .offset = offsetof(struct conf, limit_per_certificate),
                .otherwise = "3",
                .min = 0,
                .max = 1000 },
        { .name = "per_certificate_window",
                .type = CONF_DURATION,
                .offset = offsetof(struct conf, limit_window_ms),
                .otherwise = "7d",
                .min = HOUR_MS,
                .max = 365 * DAY_MS },
        { .name = "cooldown",
                .type = CONF_DURATION,
                .offset = offsetof(struct conf, limit_cooldown_ms),
                .otherwise = "6h",
                .min = 0,
                .max = 365 * DAY_MS },
        { .name = NULL },
};
static const struct conf_key keep_keys[] = {
        { .name = "sets",
                .type = CONF_INT,
                .offset = offsetof(struct conf, keep_sets),
                .otherwise = "2",
                .min = 1,
                .max = 1000 },
        { .name = "keys",
                .type = CONF_DURATION,
                .offset = offsetof(struct conf, keep_keys_ms),
                .otherwise = "90d",
                .min = 0,
                .max = 36500 * DAY_MS },
        { .name = NULL },
};

/* The structs below are not nested in memory: their members' offsets count from the whole. */
const struct conf_key conf_root_keys[] = {
        { .name = "include",
                .type = CONF_CUSTOM,
                .print = print_by_owner,
                .shape = "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"array\",\"items\":{\"type\":\"string\"}}]}" },
        { .name = "state_directory", .type = CONF_PATH, .offset = offsetof(struct conf, state_directory) },
        { .name = "runtime_directory",
                .type = CONF_PATH,
                .offset = offsetof(struct conf, runtime_directory),
                .parse = runtime_check },
        { .name = "log", .type = CONF_STRUCT, .sub = log_keys },
        { .name = "resolvers",
                .type = CONF_TEXTS,
                .offset = offsetof(struct conf, resolvers),
                .max = 16,
                .parse = resolvers_check },
        { .name = "tokens", .type = CONF_STRUCT, .sub = tokens_keys },
        { .name = "admin", .type = CONF_STRUCT, .sub = admin_keys },
        { .name = "control", .type = CONF_STRUCT, .sub = control_keys },
        { .name = "proxy", .type = CONF_STRUCT, .sub = proxy_keys },
        { .name = "limits", .type = CONF_STRUCT, .sub = limits_keys },
        { .name = "keep", .type = CONF_STRUCT, .sub = keep_keys },
        { .name = "cas", .type = CONF_CUSTOM, .print = print_by_owner },
        { .name = "publishers", .type = CONF_CUSTOM, .print = print_by_owner },
        { .name = "certificates",
                .type = CONF_CUSTOM,
                .print = print_by_owner,
                .sub = cert_keys,
                .shape = "{\"type\":\"object\",\"additionalProperties\":@}" },
        { .name = "alerts", .type = CONF_STRUCT, .sub = alerts_keys },
        { .name = "notify",
                .type = CONF_CUSTOM,
                .offset = offsetof(struct conf_root, conf.notify),
                .parse = notify_parse,
                .sub = notify_keys,
                .print = print_by_owner,
                .shape = "{\"type\":\"object\",\"additionalProperties\":@}" },
        { .name = NULL },
};

static char *directory_from(const char *variable, const char *otherwise)
{
        const char *text = getenv(variable);
        size_t len = text ? strcspn(text, ":") : 0; /* systemd gives a list where a unit names several */
        char *path = len ? text_dup_n(text, len) : text_dup(otherwise);

        if (path && syntax_path(path)) {
                free(path);
                path = text_dup(otherwise);
        }
        if (path)
                path_squeeze(path);
        return path;
}

bool root_defaults(struct conf *c)
{
        if (!c->state_directory)
                c->state_directory = directory_from("STATE_DIRECTORY", "/var/lib/dcvd");
        if (!c->runtime_directory)
                c->runtime_directory = directory_from("RUNTIME_DIRECTORY", "/run/dcvd");
        return c->state_directory && c->runtime_directory;
}

static bool is_local(const char *listen)
{
        struct address a;

        return !address_parse(listen, 0, &a) || address_is_loopback(&a);
}

static const struct yaml_node *listen_item(const struct yaml_node *root, const char *section, size_t i)
{
        const struct yaml_node *node = yaml_get(yaml_get(root, section), "listen");

        return node && node->kind == YAML_LIST ? node->item[i] : node;
}

static bool check_admin(const struct conf *c, const struct yaml_node *root, struct conf_problems *p)
{
        bool good = true;

        for (size_t i = 0; i < c->admin_listen.count && !c->admin_public; i++)
                if (!is_local(c->admin_listen.item[i]))
                        good = problem_node(p, listen_item(root, "admin", i), "admin.listen",
                                "other machines could reach it; a loopback address or a unix socket, or say public: "
                                "true");
        return good;
}

/* Each listener needs an address of its own. */
static bool check_apart(const struct texts *a, const char *section, const char *key, const struct texts *b,
        const char *other, const struct yaml_node *root, struct conf_problems *p)
{
        CLEANUP(free_p) char *path = text_format("%s.%s", section, key);
        bool good = true;

        for (size_t i = 0; i < a->count; i++) {
                const struct yaml_node *list = yaml_get(yaml_get(root, section), key);
                const struct yaml_node *node =
                        list && list->kind == YAML_LIST && i < list->count ? list->item[i] : list;
                if (strcmp(a->item[i], "systemd") != 0 && texts_has(b, a->item[i]))
                        good = problem_node(p, node ? node : root, path,
                                "is also in %s; each listener needs an address of its own", other);
        }
        return good;
}

static bool check_listeners(const struct conf *c, const struct yaml_node *root, struct conf_problems *p)
{
        bool admin = check_apart(&c->admin_listen, "admin", "listen", &c->tokens_listen, "tokens.listen", root, p);
        bool tls =
                check_apart(&c->tokens_tls_listen, "tokens", "tls_listen", &c->tokens_listen, "tokens.listen", root, p);
        bool alerts = check_apart(&c->intake.listen, "alerts", "listen", &c->tokens_listen, "tokens.listen", root, p);

        return check_apart(&c->intake.listen, "alerts", "listen", &c->admin_listen, "admin.listen", root, p) && admin &&
                tls && alerts;
}

bool root_check(struct conf *c, const struct yaml_node *root, struct conf_problems *p)
{
        bool admin = check_admin(c, root, p), listeners = check_listeners(c, root, p);

        return admin && listeners;
}
