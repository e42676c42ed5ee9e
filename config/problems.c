/* Collecting all that is wrong with a configuration. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "config/internal.h"

#define LINE_MAX_BYTES 2000

void conf_problems_done(struct conf_problems *p)
{
        texts_done(&p->text);
        texts_done(&p->warning);
        *p = (struct conf_problems){ 0 };
}

static bool add_line(struct texts *to, const char *file, int line, int column, const char *path, const char *message)
{
        struct buf b = { .max = 8 * LINE_MAX_BYTES };

        buf_add_escaped(&b, file, strlen(file), 400);
        buf_addf(&b, ":%d:%d: ", line, column);
        if (*path) {
                buf_add_escaped(&b, path, strlen(path), 400);
                buf_add(&b, ": ");
        }
        buf_add_escaped(&b, message, strlen(message), LINE_MAX_BYTES);
        char *text = buf_steal(&b);
        buf_done(&b);
        if (text && texts_add_own(to, text))
                return true;
        free(text);
        return false;
}

__attribute__((format(printf, 6, 0))) static void problem_v(struct conf_problems *p, const char *file, int line,
        int column, const char *path, const char *format, va_list ap)
{
        struct buf message = { .max = 8 * LINE_MAX_BYTES };

        if (strstr(format, "not in this build"))
                p->not_in_build++;
        if (problems_full(p)) {
                p->beyond++;
                return;
        }
        buf_addv(&message, format, ap);
        if (message.failed || !message.data || !add_line(&p->text, file, line, column, path, message.data))
                p->beyond++;
        buf_done(&message);
}

void conf_problem_at(
        struct conf_problems *p, const char *file, int line, int column, const char *path, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        problem_v(p, file, line, column, path ? path : "", format, ap);
        va_end(ap);
}

bool problem_node(struct conf_problems *p, const struct yaml_node *node, const char *path, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        problem_v(p, node->file, node->line, node->column, path ? path : "", format, ap);
        va_end(ap);
        return false;
}

void warning_node(struct conf_problems *p, const struct yaml_node *node, const char *path, const char *format, ...)
{
        va_list ap;

        if (p->warning.count >= PROBLEMS_MAX)
                return;
        va_start(ap, format);
        CLEANUP(buf_done) struct buf message = { .max = 8 * LINE_MAX_BYTES };
        buf_addv(&message, format, ap);
        va_end(ap);
        if (message.data) /* no memory: it warns of nothing */
                (void)add_line(&p->warning, node->file, node->line, node->column, path ? path : "", message.data);
}

void problem_memory(struct conf_problems *p)
{
        if (problems_full(p) || !texts_add(&p->text, "out of memory while reading the configuration"))
                p->beyond++;
}

const char *near_of(const char *text, const void *first_name, size_t stride, size_t count)
{
        const char *best = NULL;
        size_t len = strlen(text);
        unsigned best_distance = len < 3 ? 2 : 3; /* one less is still near */

        if (len > 80)
                return NULL;
        for (size_t i = 0; i < count; i++) {
                const char *name = *(const char *const *)((const char *)first_name + i * stride);
                unsigned distance = text_distance(text, name, best_distance - 1);
                if (len == 3 && distance == 2 && *name != *text) /* "lgo" is near "log", "abc" is not near "log" */
                        continue;
                if (distance < best_distance) {
                        best = name;
                        best_distance = distance;
                }
                if (best_distance == 0)
                        break;
        }
        return best;
}

void list_add(char *ret, size_t size, const char *text)
{
        size_t len = strlen(ret);

        snprintf(ret + len, size - len, "%s%s", len ? ", " : "", text);
}
