#include "agent/cli/live.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/base/json.h"

void live_init(struct live *l, FILE *to, bool on)
{
        struct winsize w = { 0 };
        *l = (struct live){ .to = to, .on = on, .columns = 80, .rows = 24, .blocks = json_object() };
        if (on && ioctl(fileno(to), TIOCGWINSZ, &w) == 0 && w.ws_col > 0 && w.ws_row > 0) {
                l->columns = w.ws_col;
                l->rows = w.ws_row;
        }
}

static void clear(struct live *l)
{
        if (l->drawn > 0)
                fprintf(l->to, "\033[%uA\033[J", l->drawn);
        l->drawn = 0;
}

/* A line that wrapped would be two lines high: it is cut at the edge. */
static void draw(struct live *l)
{
        const char *key;
        json_t *lines, *line;
        size_t i, left = 0;
        json_object_foreach(l->blocks, key, lines)
        {
                json_array_foreach(lines, i, line)
                {
                        if (l->drawn + 2 >= l->rows)
                                left++;
                        else if (fprintf(l->to, "%.*s\n", (int)l->columns - 1, json_string_value(line)) > 0)
                                l->drawn++;
                }
        }
        if (left > 0 && fprintf(l->to, "and %zu more\n", left) > 0)
                l->drawn++;
        fflush(l->to);
}

void live_done(struct live *l)
{
        clear(l);
        fflush(l->to);
        json_decref(l->blocks);
        l->blocks = NULL;
}

void live_line(struct live *l, const char *line)
{
        clear(l);
        fprintf(l->to, "%s\n", line);
        draw(l);
}

void live_block(struct live *l, const char *key, json_t *lines_own)
{
        if (!l->on || (!lines_own && !json_object_get(l->blocks, key))) {
                json_decref(lines_own);
                return;
        }
        clear(l);
        if (lines_own)
                json_object_set_new(l->blocks, key, lines_own);
        else
                json_object_del(l->blocks, key);
        draw(l);
}

static void say(const json_t *s, char *ret, size_t size)
{
        const char *look = json_str(s, "look"), *saw = json_str(s, "saw");
        if (look && strcmp(look, "seen") == 0)
                snprintf(ret, size, "shows it after %lld ms", (long long)json_i64(s, "seen_after_ms", 0));
        else if (look && strcmp(look, "absent") == 0 && json_object_get(s, "serial"))
                snprintf(ret, size, "still at serial %lld", (long long)json_i64(s, "serial", 0));
        else
                snprintf(ret, size, "%s%s%s", look ? look : "not asked yet", saw && saw[0] ? ": " : "", saw ? saw : "");
}

json_t *live_servers(const json_t *propagation)
{
        size_t i, k;
        json_t *p, *s, *lines = json_array();
        char said[300], line[640];
        json_array_foreach(propagation, i, p)
        {
                const char *token = json_str(p, "token");
                if (json_array_size(propagation) > 1) {
                        snprintf(line, sizeof line, "           %s", token ? token : "");
                        json_array_append_new(lines, json_string(line));
                }
                json_array_foreach(json_object_get(p, "servers"), k, s)
                {
                        const char *name = json_str(s, "name"), *address = json_str(s, "address");
                        const char *transport = json_str(s, "transport");
                        bool known = address && address[0];
                        bool tcp = transport && strcmp(transport, "tcp") == 0; /* UDP goes without saying */
                        say(s, said, sizeof said);
                        snprintf(line, sizeof line, "           %s%s%s%s%s %s", name ? name : "", known ? " (" : "",
                                known ? address : "", known && tcp ? ", TCP" : "", known ? ")" : "", said);
                        json_array_append_new(lines, json_string(line));
                }
        }
        return lines;
}
