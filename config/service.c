/* `services:` of a target: presets, commands, signals, and where to look at what is served. */
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/util.h"
#include "agent/net/address.h"
#include "config/internal.h"

#define SERVICES_MAX 64
#define VERIFY_MAX 64
#define PRESET_ARGS 5

static const struct preset {
        const char *name;
        const char *test[PRESET_ARGS], *reload[PRESET_ARGS];
} presets[] = {
        { "nginx", { "nginx", "-t" }, { "systemctl", "reload", "nginx" } },
        { "apache", { "apache2ctl", "configtest" }, { "systemctl", "reload", "apache2" } },
        { "haproxy", { "haproxy", "-c", "-f", "/etc/haproxy/haproxy.cfg" }, { "systemctl", "reload", "haproxy" } },
        { "postfix", { "postfix", "check" }, { "systemctl", "reload", "postfix" } },
        { "dovecot", { "doveconf", "-n" }, { "systemctl", "reload", "dovecot" } },
};
static const char *const preset_words[] = { "nginx", "apache", "haproxy", "postfix", "dovecot", NULL };
static const char *const protocol_words[] = { "smtp", "imap", "pop3", "ldap", "ftp", "postgres", NULL };

static const enum tls_protocol protocols[] = { TLS_SMTP, TLS_IMAP, TLS_POP3, TLS_LDAP, TLS_FTP, TLS_POSTGRES };

const char *protocol_word(enum tls_protocol p)
{
        for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
                if (protocols[i] == p)
                        return protocol_words[i];
        return "tls";
}

/* ---- verify ---- */

static bool protocol_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        char allowed[] = "smtp, imap, pop3, ldap, ftp, postgres";

        if (!value_is_scalar(node, path, allowed, p))
                return false;
        for (size_t i = 0; protocol_words[i]; i++)
                if (strcmp(protocol_words[i], node->text) == 0)
                        return (*(enum tls_protocol *)target = protocols[i]) != TLS_DIRECT;
        return problem_node(p, node, path, "is not a known protocol; %s", allowed);
}

static void protocol_print(struct buf *out, const void *target)
{
        enum tls_protocol protocol = *(const enum tls_protocol *)target;

        print_scalar(out, protocol == TLS_DIRECT ? NULL : protocol_word(protocol));
}

static bool sni_check(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        const char *fault = syntax_is_address(node->text) ? "is an address" : syntax_host(node->text);

        (void)target;
        return fault ? problem_node(p, node, path, "%s; a host name", fault) : true;
}

const struct conf_key verify_keys[] = {
        { .name = "address", .type = CONF_ENDPOINT, .offset = offsetof(struct conf_verify, address), .required = true },
        { .name = "sni", .type = CONF_TEXT, .offset = offsetof(struct conf_verify, sni), .parse = sni_check },
        { .name = "protocol",
                .type = CONF_CUSTOM,
                .offset = offsetof(struct conf_verify, protocol),
                .words = protocol_words,
                .parse = protocol_parse,
                .print = protocol_print },
        { .name = NULL },
};

static void verifies_done(struct conf_verify *v, size_t count)
{
        for (size_t i = 0; v && i < count; i++)
                conf_clear(verify_keys, &v[i]);
        free(v);
}

/* "host:port[/protocol]" */
static bool entry_parse(const struct yaml_node *node, const char *path, struct conf_verify *v, struct conf_problems *p)
{
        static const char allowed[] =
                "\"host:port\", \"host:port/smtp\" (imap, pop3, ldap, ftp, postgres) or {address, sni, protocol}";
        CLEANUP(free_p) char *host = NULL;
        uint16_t port;

        if (!value_is_scalar(node, path, allowed, p))
                return false;
        CLEANUP(free_p) char *text = text_dup(node->text);
        char *slash = text ? strchr(text, '/') : NULL;
        if (slash) {
                *slash++ = '\0';
                struct yaml_node word = { .kind = YAML_SCALAR,
                        .file = node->file,
                        .line = node->line,
                        .column = node->column,
                        .text = slash };
                if (!protocol_parse(&word, path, &v->protocol, p))
                        return false;
        }
        if (text && (!hostport_split(text, &host, &port, NULL) || syntax_host(host)))
                return problem_node(p, node, path, "is not host and port; %s", allowed);
        v->address = STEAL(text);
        if (v->address)
                return true;
        problem_memory(p);
        return false;
}

static bool verify_list(const struct yaml_node *list, const char *path, struct conf_service *s, struct conf_problems *p)
{
        bool good = true;

        if (list->count > VERIFY_MAX)
                return problem_node(p, list, path, "has too many entries; at most %d", VERIFY_MAX);
        s->verify = list->count ? calloc(list->count, sizeof *s->verify) : NULL;
        if (list->count && !s->verify) {
                problem_memory(p);
                return false;
        }
        s->verify_count = list->count;
        for (size_t i = 0; i < list->count; i++) {
                CLEANUP(free_p) char *at = path_index(path, i);
                const struct yaml_node *item = list->item[i];
                good &= item->kind == YAML_MAP ? conf_read(item, verify_keys, at, &s->verify[i], p, NULL)
                                               : entry_parse(item, at, &s->verify[i], p);
        }
        return good;
}

static bool verify_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        struct conf_service *s = CONTAINER_OF(target, struct conf_service, verify_auto);

        if (node->kind == YAML_SCALAR && strcmp(node->text, "auto") == 0) {
                s->verify_auto = true;
                return true;
        }
        s->verify_auto = false;
        if (node->kind == YAML_LIST)
                return verify_list(node, path, s, p);
        struct yaml_node one = {
                .kind = YAML_LIST, .file = node->file, .line = node->line, .column = node->column, .count = 1
        };
        struct yaml_node *item[1] = { (struct yaml_node *)(uintptr_t)node };
        one.item = item;
        return verify_list(&one, path, s, p);
}

void verify_print(struct buf *out, const void *target)
{
        const struct conf_service *s = CONTAINER_OF(target, const struct conf_service, verify_auto);

        if (s->verify_auto) {
                buf_add(out, "auto");
                return;
        }
        buf_addc(out, '[');
        for (size_t i = 0; i < s->verify_count; i++) {
                const struct conf_verify *v = &s->verify[i];
                buf_add(out, i ? ", {address: " : "{address: ");
                print_scalar(out, v->address);
                if (v->sni) {
                        buf_add(out, ", sni: ");
                        print_scalar(out, v->sni);
                }
                if (v->protocol != TLS_DIRECT)
                        buf_addf(out, ", protocol: %s", protocol_word(v->protocol));
                buf_addc(out, '}');
        }
        buf_addc(out, ']');
}

/* ---- a service ---- */

static bool signal_name_check(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        static const char *const good[] = { "HUP", "USR1", "USR2", "WINCH" };
        char *name = *(char **)target;

        if (text_starts(name, "SIG"))
                memmove(name, name + 3, strlen(name + 3) + 1);
        for (size_t i = 0; i < ARRAY_LEN(good); i++)
                if (strcmp(good[i], name) == 0)
                        return true;
        return problem_node(p, node, path, "is not a signal to reload by; HUP, USR1, USR2, WINCH");
}

static bool service_name_check(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        if (name_is_safe(*(char **)target))
                return true;
        return problem_node(p, node, path, "is not a good name; at most 64 letters, digits, . _ -");
}

static const struct conf_key signal_keys[] = {
        { .name = "name",
                .type = CONF_TEXT,
                .offset = offsetof(struct conf_service, signal_name),
                .required = true,
                .parse = signal_name_check },
        { .name = "pidfile",
                .type = CONF_PATH,
                .offset = offsetof(struct conf_service, signal_pidfile),
                .required = true },
        { .name = NULL },
};
static bool preset_check(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        const struct conf_key key = { .name = "preset", .type = CONF_WORD, .words = preset_words };
        int index;
        struct conf_value v = { .node = node, .key = &key, .path = path, .at = &index, .p = p };

        (void)target;
        return value_read(&v);
}
const struct conf_key service_keys[] = {
        { .name = "name",
                .type = CONF_TEXT,
                .offset = offsetof(struct conf_service, name),
                .parse = service_name_check },
        { .name = "preset",
                .type = CONF_TEXT,
                .offset = offsetof(struct conf_service, preset),
                .words = preset_words,
                .parse = preset_check },
        { .name = "test", .type = CONF_COMMAND, .offset = offsetof(struct conf_service, test) },
        { .name = "reload", .type = CONF_COMMAND, .offset = offsetof(struct conf_service, reload) },
        { .name = "signal", .type = CONF_STRUCT, .sub = signal_keys },
        { .name = "verify",
                .type = CONF_CUSTOM,
                .offset = offsetof(struct conf_service, verify_auto),
                .parse = verify_parse,
                .print = verify_print,
                .sub = verify_keys,
                .shape = "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"array\",\"items\":{\"anyOf\":[{\"type\":"
                         "\"string\"},@]}}]}" },
        { .name = NULL },
};

void services_done(struct conf_service *s, size_t count)
{
        for (size_t i = 0; s && i < count; i++) {
                conf_clear(service_keys, &s[i]);
                verifies_done(s[i].verify, s[i].verify_count);
        }
        free(s);
}

static bool fill(struct texts *t, const char *const *argument)
{
        for (size_t i = 0; i < PRESET_ARGS && argument[i]; i++)
                if (!texts_add(t, argument[i]))
                        return false;
        return true;
}

/* What is given explicitly wins; a signal takes the place of the preset's reload. */
static bool fill_preset(const struct yaml_node *node, struct conf_service *s)
{
        bool good = true;

        for (size_t i = 0; s->preset && i < ARRAY_LEN(presets); i++)
                if (strcmp(presets[i].name, s->preset) == 0) {
                        if (yaml_is_null(yaml_get(node, "test")))
                                good &= fill(&s->test, presets[i].test);
                        if (yaml_is_null(yaml_get(node, "reload")) && !s->signal_name)
                                good &= fill(&s->reload, presets[i].reload);
                }
        if (!s->name && s->preset)
                good &= (s->name = text_dup(s->preset)) != NULL;
        return good;
}

static bool service_read(
        const struct yaml_node *node, const char *path, struct conf_service *s, struct conf_problems *p)
{
        s->verify_auto = true;
        if (!conf_read(node, service_keys, path, s, p, NULL))
                return false;
        if (!fill_preset(node, s)) {
                problem_memory(p);
                return false;
        }
        if (!s->name)
                return problem_node(p, node, path, "has neither name nor preset; one of them names the service");
        if (s->signal_name && s->reload.count)
                return problem_node(p, node, path, "has both reload and signal; one of them");
        return true;
}

static bool names_differ(
        const struct yaml_node *list, const char *path, const struct conf_target *t, struct conf_problems *p)
{
        bool good = true;

        for (size_t i = 1; i < t->service_count; i++)
                for (size_t j = 0; j < i; j++)
                        if (t->service[i].name && t->service[j].name &&
                                strcmp(t->service[i].name, t->service[j].name) == 0) {
                                CLEANUP(free_p) char *at = path_index(path, i);
                                good = problem_node(p, list->item[i], at,
                                        "has the name of another service of this target; give it a name of its own");
                                break;
                        }
        return good;
}

bool services_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        struct conf_target *t = CONTAINER_OF(target, struct conf_target, service);
        bool good = true;

        if (node->kind != YAML_LIST)
                return problem_node(p, node, path, "is not a list; a list of services");
        if (node->count > SERVICES_MAX)
                return problem_node(p, node, path, "has too many entries; at most %d", SERVICES_MAX);
        t->service = node->count ? calloc(node->count, sizeof *t->service) : NULL;
        if (node->count && !t->service) {
                problem_memory(p);
                return false;
        }
        t->service_count = node->count;
        for (size_t i = 0; i < node->count; i++) {
                CLEANUP(free_p) char *at = path_index(path, i);
                good &= service_read(node->item[i], at, &t->service[i], p);
        }
        return names_differ(node, path, t, p) && good;
}
