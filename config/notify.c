/* The section `notify`: who is told of what, and how. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/util.h"
#include "config/internal.h"

#define HOUR_MS (INT64_C(3600) * 1000)

static const char *const event_words[] = { "failed", "waiting", "opened", "served", "stuck", "expiring", "done" };

const char *conf_event_name(enum conf_event event)
{
        return (size_t)event < ARRAY_LEN(event_words) ? event_words[event] : "?";
}

bool conf_event_parse(const char *word, enum conf_event *ret)
{
        for (size_t i = 0; i < ARRAY_LEN(event_words); i++)
                if (strcmp(event_words[i], word) == 0) {
                        *ret = (enum conf_event)i;
                        return true;
                }
        return false;
}

static bool events_check(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        const struct texts *on = target;
        enum conf_event event;
        bool good = true;

        for (size_t i = 0; i < on->count; i++)
                if (*on->item[i] && !conf_event_parse(on->item[i], &event)) {
                        const char *near =
                                near_of(on->item[i], event_words, sizeof event_words[0], ARRAY_LEN(event_words));
                        CLEANUP(free_p) char *at = node->kind == YAML_LIST ? path_index(path, i) : text_dup(path);
                        good = problem_node(p, node->kind == YAML_LIST ? node->item[i] : node, at,
                                "is not a known event%s%s%s; failed, waiting, opened, served, stuck, expiring, done",
                                near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
                }
        return good;
}

/* An address goes into a header: nothing that could end it there. */
static const char *mail_fault(const char *text)
{
        static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._%+=@-";
        size_t len = strlen(text);

        return text[0] == '-' || len > 254 || strspn(text, letters) != len ? "is not a mail address" : NULL;
}

static bool to_check(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        return conf_check_items(node, path, target, p, mail_fault, "ops@example.com, or a local user");
}

const struct conf_key notify_keys[] = {
        { .name = "command", .type = CONF_COMMAND, .offset = offsetof(struct conf_notify, command) },
        { .name = "to", .type = CONF_TEXTS, .offset = offsetof(struct conf_notify, to), .max = 16, .parse = to_check },
        { .name = "url", .type = CONF_URL, .offset = offsetof(struct conf_notify, url) },
        { .name = "secret", .type = CONF_SECRET, .offset = offsetof(struct conf_notify, secret) },
        { .name = "on", .type = CONF_TEXTS, .offset = offsetof(struct conf_notify, on_words), .parse = events_check },
        { .name = "repeat",
                .type = CONF_DURATION,
                .offset = offsetof(struct conf_notify, repeat_ms),
                .otherwise = "6h",
                .min = 60000,
                .max = 720 * HOUR_MS },
        { .name = NULL },
};

/* One way to tell, and what it needs. */
static bool check_way(
        const struct conf_notify *n, const struct yaml_node *map, const char *path, struct conf_problems *p)
{
        bool command = n->command.count > 0, secret = n->secret.source != SECRET_NONE;

        if (n->url && n->to.count)
                return problem_node(p, map, path, "has an address beside a url; only the mail of a command has one");
        if (command == (n->url != NULL))
                return problem_node(p, map, path, "%s; command: [PROGRAM, ARGUMENT...], or url with secret",
                        command ? "has both a command and a url" : "tells nobody");
        if (command && secret)
                return problem_node(p, map, path, "has a secret beside a command; only a call to a url is signed");
        if (n->url && !secret)
                return problem_node(p, map, path,
                        "has a url without a secret; {credential: NAME} of one like whsec_BASE64, the call is signed "
                        "with it");
        return true;
}

static bool read_target(
        const struct yaml_node *map, const char *name, const char *path, void *target, struct conf_problems *p)
{
        struct conf_notify *ret = target;
        bool good = name_is_safe(name) ||
                problem_node(p, map, path, "is not a good name; at most 64 letters, digits, . _ -, no leading dot");

        good &= conf_read(map, notify_keys, path, ret, p, NULL);
        good = good && check_way(ret, map, path, p);
        for (size_t i = 0; good && i < ret->on_words.count; i++) {
                enum conf_event event = EVENT_FAILED;
                (void)conf_event_parse(ret->on_words.item[i], &event); /* checked above */
                ret->on |= 1U << event;
        }
        if (!ret->on_words.count)
                ret->on = (1U << ARRAY_LEN(event_words)) - 1;
        ret->name = text_dup(name);
        if (!ret->name)
                problem_memory(p);
        return good && ret->name;
}

bool notify_parse(const struct yaml_node *node, const char *path, void *target, struct conf_problems *p)
{
        struct conf_notify_list *list = target;
        void *items = NULL;
        bool good = named_parse(node, path, CONF_NOTIFY_MAX, sizeof *list->item, read_target, &items, &list->count, p);

        list->item = items;
        return good;
}

void notify_done(struct conf_notify_list *list)
{
        for (size_t i = 0; i < list->count; i++) {
                free(list->item[i].name);
                conf_clear(notify_keys, &list->item[i]);
        }
        free(list->item);
        *list = (struct conf_notify_list){ 0 };
}

const struct conf_notify *config_notify(const struct conf *c, const char *name)
{
        for (size_t i = 0; i < c->notify.count; i++)
                if (strcmp(c->notify.item[i].name, name) == 0)
                        return &c->notify.item[i];
        return NULL;
}
