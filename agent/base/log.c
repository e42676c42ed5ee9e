#include "agent/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/util.h"

#define LINE_MAX_BYTES 2048

static const char *const level_names[] = { "error", "warning", "info", "debug" };
static const char *const format_names[] = { "auto", "text", "json" };
static const int priorities[] = { 3, 4, 6, 7 };

static char program_name[32] = "dcvd";
static atomic_int wanted = LOG_LEVEL_INFO;
static atomic_int chosen = LOG_FORMAT_TEXT;
static atomic_bool journal, is_journal; /* the log goes there; stderr is that */
static log_journal_fn *to_journal;

static bool find(const char *const *names, size_t count, const char *name, int *ret)
{
        for (size_t i = 0; name && i < count; i++)
                if (strcmp(names[i], name) == 0) {
                        *ret = (int)i;
                        return true;
                }
        return false;
}

bool log_level_from_name(const char *name, enum log_level *ret)
{
        int i;
        if (!find(level_names, ARRAY_LEN(level_names), name, &i))
                return false;
        *ret = (enum log_level)i;
        return true;
}

bool log_format_from_name(const char *name, enum log_format *ret)
{
        int i;
        if (!find(format_names, ARRAY_LEN(format_names), name, &i))
                return false;
        *ret = (enum log_format)i;
        return true;
}

/* systemd names device and inode of the stream it connected to stderr (systemd.exec(5), JOURNAL_STREAM). */
static bool stderr_is_journal(void)
{
        const char *stream = getenv("JOURNAL_STREAM");
        struct stat st;
        char text[64];
        if (!stream || fstat(STDERR_FILENO, &st) < 0)
                return false;
        snprintf(text, sizeof text, "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
        return strcmp(text, stream) == 0;
}

void log_set(enum log_level level, enum log_format format)
{
        atomic_store(&wanted, level);
        atomic_store(&chosen, format);
        atomic_store(&journal, format == LOG_FORMAT_AUTO && atomic_load(&is_journal));
}

void log_to_journal(log_journal_fn *write)
{
        to_journal = write;
}

void log_init(const char *program, enum log_level level, enum log_format format)
{
        snprintf(program_name, sizeof program_name, "%s", program);
        atomic_store(&is_journal, stderr_is_journal()); /* once: dcvd-helper forgets its environment */
        log_set(level, format);
}

static void write_all(const char *text, size_t len)
{
        while (len > 0) {
                ssize_t n = write(STDERR_FILENO, text, len);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0) /* nobody reads the log: nowhere left to say so */
                        return;
                text += n;
                len -= (size_t)n;
        }
}

static void write_text(enum log_level level, const char *subject, const char *message)
{
        struct buf line = { .max = 8 * LINE_MAX_BYTES }; /* escaped, a byte is four; and there is the subject */
        char when[32];
        format_time(clock_now_s(), when, sizeof when);
        buf_addf(&line, "%s %s: %s: ", when, program_name, level_names[level]);
        if (subject[0])
                buf_addf(&line, "%s: ", subject);
        buf_addf(&line, "%s\n", message);
        if (!line.failed)
                write_all(line.data, line.len);
        buf_done(&line);
}

static void write_json(enum log_level level, const char *subject, const char *message)
{
        CLEANUP(json_decref_p) json_t *o = json_object();
        char when[32];
        format_time(clock_now_s(), when, sizeof when);
        json_put_text(o, "time", when);
        json_put_text(o, "level", level_names[level]);
        json_put_text(o, "program", program_name);
        if (subject[0])
                json_put_text(o, "certificate", subject);
        json_put_text(o, "message", message);
        CLEANUP(free_p) char *text = json_text(o);
        CLEANUP(free_p) char *line = text ? text_format("%s\n", text) : NULL;
        if (line)
                write_all(line, strlen(line));
}

/* Lines of services that are read from stderr: sd-daemon(3). */
static void write_prefixed(int priority, const char *subject, const char *message)
{
        CLEANUP(free_p) char *line = text_format("<%d>%s%s%s\n", priority, subject, subject[0] ? ": " : "", message);
        if (line)
                write_all(line, strlen(line));
}

static void write_journal(enum log_level level, const char *subject, const char *message)
{
        if (to_journal)
                to_journal(priorities[level], program_name, subject, message);
        else
                write_prefixed(priorities[level], subject, message);
}

void log_line(enum log_level level, const char *subject, const char *format, ...)
{
        if ((int)level > atomic_load(&wanted))
                return;
        char raw[LINE_MAX_BYTES];
        va_list ap;
        va_start(ap, format);
        int n = vsnprintf(raw, sizeof raw, format, ap);
        va_end(ap);
        struct buf safe = { .max = 5 * sizeof raw }, who = { .max = 512 };
        buf_add_escaped(&safe, raw, strlen(raw), sizeof raw);
        if (n >= (int)sizeof raw)
                buf_add(&safe, "...");
        subject = subject ? subject : "";
        buf_add_escaped(&who, subject, strlen(subject), 100);
        const char *message = safe.failed || !safe.data ? "(out of memory)" : safe.data;
        const char *whose = who.failed || !who.data ? "" : who.data;
        if (atomic_load(&journal))
                write_journal(level, whose, message);
        else if (atomic_load(&chosen) == LOG_FORMAT_JSON)
                write_json(level, whose, message);
        else
                write_text(level, whose, message);
        buf_done(&safe);
        buf_done(&who);
}

void log_err(const char *subject, const char *what, const struct err *e)
{
        enum log_level level = e->kind == ERR_TEMPORARY || e->kind == ERR_RATE_LIMITED || e->kind == ERR_WAITING
                ? LOG_LEVEL_WARNING
                : LOG_LEVEL_ERROR;
        log_line(level, subject, "%s: %s (%s %s)%s%s", what, e->text, err_kind_name(e->kind), e->code,
                e->fix[0] ? "; " : "", e->fix);
}
