/* Logging: one line per event, to stderr or the systemd journal. Every message is escaped and capped at 2 KiB; secrets
 * have no way in (there is no format for struct secret). Thread-safe after log_init. */
#ifndef DCVD_BASE_LOG_H
#define DCVD_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
/* AUTO: for the journal when stderr is connected to it (JOURNAL_STREAM), else TEXT. */
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Writes one line to the journal. priority: as in syslog(3). subject: "" if none. May be called by any thread. */
typedef void log_journal_fn(int priority, const char *program, const char *subject, const char *message);
/* Before log_init: who writes what is for the journal. Nobody, or NULL: it goes to stderr as "<4>subject: message",
 * whose priority journald takes off (sd-daemon(3)). */
void log_to_journal(log_journal_fn *write);

void log_init(const char *program, enum log_level level, enum log_format format);
void log_set(enum log_level level, enum log_format format); /* at SIGHUP */
bool log_level_from_name(const char *name, enum log_level *ret);
bool log_format_from_name(const char *name, enum log_format *ret);

/* subject: certificate, target or zone the line is about ("" if none). */
void log_line(enum log_level level, const char *subject, const char *format, ...) __attribute__((format(printf, 3, 4)));
#define log_error(subject, ...) log_line(LOG_LEVEL_ERROR, subject, __VA_ARGS__)
#define log_warning(subject, ...) log_line(LOG_LEVEL_WARNING, subject, __VA_ARGS__)
#define log_info(subject, ...) log_line(LOG_LEVEL_INFO, subject, __VA_ARGS__)
#define log_debug(subject, ...) log_line(LOG_LEVEL_DEBUG, subject, __VA_ARGS__)

struct err;
/* "what: text (kind code); fix" at the level of the kind (temporary -> warning, rest -> error). */
void log_err(const char *subject, const char *what, const struct err *e);

#endif
