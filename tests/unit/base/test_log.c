/* What arrives at stderr: the test puts a file in its place. */
#include "scratch_dir.h"

#include <jansson.h>
#include <pthread.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/log.h"

static int real_stderr = -1;

static void catch (struct scratch_dir *s)
{
        int fd = openat(s->fd, "log", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        real_stderr = dup(STDERR_FILENO);
        assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
        close(fd);
}

static char *caught(struct scratch_dir *s)
{
        char *text = NULL;
        size_t len;
        assert_int_equal(dup2(real_stderr, STDERR_FILENO), STDERR_FILENO);
        close(real_stderr);
        assert_true(file_read_at(s->fd, "log", 1 << 20, &text, &len, NULL));
        return text;
}

static void one_line_of_text(void **state)
{
        struct scratch_dir *s = *state;
        clock_fake(1785654000123, 0);
        log_init("dcvd", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
        catch (s);
        log_info("www", "job %d: %s", 17, "a\nb\x1b[2J");
        log_error("", "bare");
        log_warning(NULL, "also bare");
        CLEANUP(free_p) char *text = caught(s);
        clock_fake(-1, -1);
        assert_string_equal(text,
                "2026-08-02T07:00:00Z dcvd: info: www: job 17: a\\x0ab\\x1b[2J\n"
                "2026-08-02T07:00:00Z dcvd: error: bare\n"
                "2026-08-02T07:00:00Z dcvd: warning: also bare\n");
}

static void json_is_one_object_a_line(void **state)
{
        struct scratch_dir *s = *state;
        clock_fake(1785654000123, 0);
        log_init("dcvctl", LOG_LEVEL_DEBUG, LOG_FORMAT_JSON);
        catch (s);
        log_debug("w\"w", "say \"%s\"", "x\\\n\xff");
        log_info("", "second");
        CLEANUP(free_p) char *text = caught(s);
        clock_fake(-1, -1);
        size_t first = strcspn(text, "\n");
        json_t *o = json_loadb(text, first, 0, NULL);
        assert_non_null(o);
        assert_string_equal(json_string_value(json_object_get(o, "time")), "2026-08-02T07:00:00Z");
        assert_string_equal(json_string_value(json_object_get(o, "level")), "debug");
        assert_string_equal(json_string_value(json_object_get(o, "program")), "dcvctl");
        assert_string_equal(json_string_value(json_object_get(o, "certificate")), "w\"w");
        assert_string_equal(json_string_value(json_object_get(o, "message")), "say \"x\\\\x0a\\xff\"");
        json_decref(o);
        assert_string_equal(strchr(text + first + 1, '\n'), "\n"); /* one more line, and nothing after it */
        o = json_loads(text + first + 1, 0, NULL);
        assert_non_null(o);
        assert_null(json_object_get(o, "certificate"));
        json_decref(o);
}

static void levels_hold_back_what_is_below(void **state)
{
        struct scratch_dir *s = *state;
        static const struct {
                enum log_level level;
                unsigned lines;
        } row[] = { { LOG_LEVEL_ERROR, 1 }, { LOG_LEVEL_WARNING, 2 }, { LOG_LEVEL_INFO, 3 }, { LOG_LEVEL_DEBUG, 4 } };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                log_set(row[i].level, LOG_FORMAT_TEXT);
                catch (s);
                log_error("", "x");
                log_warning("", "x");
                log_info("", "x");
                log_debug("", "x");
                CLEANUP(free_p) char *text = caught(s);
                unsigned lines = 0;
                for (const char *c = text; *c; c++)
                        lines += *c == '\n';
                assert_int_equal(lines, row[i].lines);
        }
}

static void a_long_message_is_capped_in_both_formats(void **state)
{
        struct scratch_dir *s = *state;
        char text[5000], subject[400];
        memset(text, '\x01', sizeof text - 1); /* the worst: each byte is shown as four */
        text[sizeof text - 1] = '\0';
        memset(subject, '\x02', sizeof subject - 1);
        subject[sizeof subject - 1] = '\0';
        for (int json = 0; json < 2; json++) {
                log_set(LOG_LEVEL_INFO, json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
                catch (s);
                log_info(subject, "%s", text);
                CLEANUP(free_p) char *line = caught(s);
                assert_non_null(strstr(line, json ? "\\\\x01..." : "\\x01..."));
                assert_non_null(strstr(line, json ? "\\\\x02..." : "\\x02..."));
                assert_true(strlen(line) < 12000);
                assert_string_equal(strchr(line, '\n'), "\n");
        }
}

static void an_error_becomes_one_line_of_its_level(void **state)
{
        struct scratch_dir *s = *state;
        static const struct {
                enum err_kind kind;
                const char *level;
        } row[] = { { ERR_TEMPORARY, "warning" }, { ERR_RATE_LIMITED, "warning" }, { ERR_WAITING, "warning" },
                { ERR_DENIED, "error" }, { ERR_UNKNOWN, "error" }, { ERR_CONFIG, "error" }, { ERR_BUG, "error" } };
        clock_fake(0, 0);
        log_set(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct err e;
                char want[200];
                err_set(&e, row[i].kind, "c.d", "it broke");
                if (i % 2)
                        err_fix(&e, "mend it");
                catch (s);
                log_err("www", "publishing", &e);
                CLEANUP(free_p) char *line = caught(s);
                snprintf(want, sizeof want, "1970-01-01T00:00:00Z dcvctl: %s: www: publishing: it broke (%s c.d)%s\n",
                        row[i].level, err_kind_name(row[i].kind), i % 2 ? "; mend it" : "");
                assert_string_equal(line, want);
        }
        clock_fake(-1, -1);
}

static void call_stderr_the_journal(void)
{
        struct stat st;
        char stream[64];
        assert_int_equal(fstat(STDERR_FILENO, &st), 0);
        snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
        setenv("JOURNAL_STREAM", stream, 1);
}

static void auto_goes_to_stderr_unless_that_is_the_journal(void **state)
{
        struct scratch_dir *s = *state;
        setenv("JOURNAL_STREAM", "1:2", 1); /* inherited from somebody else's service: not our stderr */
        catch (s);
        log_set(LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
        log_info("", "seen");
        call_stderr_the_journal();
        log_set(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT); /* told so: text although it is the journal */
        log_info("", "told");
        log_set(LOG_LEVEL_ERROR, LOG_FORMAT_AUTO);
        log_info("", "held back");
        unsetenv("JOURNAL_STREAM");
        CLEANUP(free_p) char *text = caught(s);
        log_set(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
        assert_non_null(strstr(text, "seen"));
        assert_non_null(strstr(text, "told"));
        assert_null(strstr(text, "held"));
}

static struct buf journalled;

static void write_down(int priority, const char *program, const char *subject, const char *message)
{
        buf_addf(&journalled, "%d %s [%s] %s\n", priority, program, subject, message);
}

static void say_one_of_each(void)
{
        log_error("www", "a\nb");
        log_warning("", "<1>bare");
        log_info("x\ny", "told");
        log_debug(NULL, "detail");
}

static void the_journal_is_written_by_what_a_main_brings(void **state)
{
        struct scratch_dir *s = *state;
        log_to_journal(write_down);
        catch (s);
        call_stderr_the_journal();
        log_init("dcvd", LOG_LEVEL_DEBUG, LOG_FORMAT_AUTO);
        say_one_of_each();
        log_set(LOG_LEVEL_INFO, LOG_FORMAT_TEXT); /* told so: not for the journal */
        log_info("", "text");
        unsetenv("JOURNAL_STREAM");
        log_to_journal(NULL);
        CLEANUP(free_p) char *text = caught(s);
        assert_string_equal(journalled.data,
                "3 dcvd [www] a\\x0ab\n"
                "4 dcvd [] <1>bare\n"
                "6 dcvd [x\\x0ay] told\n"
                "7 dcvd [] detail\n");
        buf_done(&journalled);
        assert_true(text_ends(text, "Z dcvd: info: text\n"));
        assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void without_that_each_line_begins_with_its_priority(void **state)
{
        struct scratch_dir *s = *state;
        catch (s);
        call_stderr_the_journal();
        log_init("dcvd-helper", LOG_LEVEL_DEBUG, LOG_FORMAT_AUTO);
        say_one_of_each();
        unsetenv("JOURNAL_STREAM"); /* looked at once: dcvd-helper forgets its environment */
        log_info("", "later");
        CLEANUP(free_p) char *text = caught(s);
        log_set(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
        assert_string_equal(text,
                "<3>www: a\\x0ab\n"
                "<4><1>bare\n"
                "<6>x\\x0ay: told\n"
                "<7>detail\n"
                "<6>later\n");
}

static void *shout(void *arg)
{
        for (int i = 0; i < 200; i++)
                log_info(arg, "line %d of a message that is neither short nor long", i);
        return NULL;
}

static void threads_do_not_mix_their_lines(void **state)
{
        struct scratch_dir *s = *state;
        pthread_t t[2];
        char one[] = "one", two[] = "two";
        log_set(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
        catch (s);
        assert_int_equal(pthread_create(&t[0], NULL, shout, one), 0);
        assert_int_equal(pthread_create(&t[1], NULL, shout, two), 0);
        pthread_join(t[0], NULL);
        pthread_join(t[1], NULL);
        CLEANUP(free_p) char *text = caught(s);
        unsigned lines = 0;
        char *rest = NULL;
        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), lines++)
                assert_true(text_ends(line, " of a message that is neither short nor long"));
        assert_int_equal(lines, 400);
}

static void names_of_levels_and_formats(void **state)
{
        (void)state;
        enum log_level level = LOG_LEVEL_ERROR;
        enum log_format format = LOG_FORMAT_AUTO;
        assert_true(log_level_from_name("debug", &level));
        assert_int_equal(level, LOG_LEVEL_DEBUG);
        assert_false(log_level_from_name("Debug", &level));
        assert_false(log_level_from_name(NULL, &level));
        assert_int_equal(level, LOG_LEVEL_DEBUG);
        assert_true(log_format_from_name("json", &format));
        assert_int_equal(format, LOG_FORMAT_JSON);
        assert_false(log_format_from_name("xml", &format));
        assert_int_equal(format, LOG_FORMAT_JSON);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_DIR(one_line_of_text),
                IN_DIR(json_is_one_object_a_line),
                IN_DIR(levels_hold_back_what_is_below),
                IN_DIR(a_long_message_is_capped_in_both_formats),
                IN_DIR(an_error_becomes_one_line_of_its_level),
                IN_DIR(auto_goes_to_stderr_unless_that_is_the_journal),
                IN_DIR(the_journal_is_written_by_what_a_main_brings),
                IN_DIR(without_that_each_line_begins_with_its_priority),
                IN_DIR(threads_do_not_mix_their_lines),
                cmocka_unit_test(names_of_levels_and_formats),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
