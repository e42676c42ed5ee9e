/* SIGKILL at every passage of a crash point of an incident with three certificates that share a key: one process dies
 * there, the next goes on from what is on disk, and the CA, which outlives both, saw each certificate ordered once. */
#include "test.h"

#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "incident_fixture.h"

#define PASSAGES_MAX 1000
#define SHARES 2 /* runs of this program among which the passages are divided */

static unsigned share; /* the argument: 0 or 1 */

/* What both processes of a passage and the test have in common. */
static struct seen_by_all {
        bool answered; /* the sender was told that its report is on disk */
        char died_at[64], wrong[512];
} * all;

static bool copy_directory(const char *from, const char *to)
{
        pid_t pid;
        int status = -1;
        char *const words[] = { (char *)"cp", (char *)"-a", (char *)from, (char *)to, NULL };
        return posix_spawnp(&pid, words[0], NULL, NULL, words, environ) == 0 && waitpid(pid, &status, 0) == pid &&
                status == 0;
}

static bool wrong(const char *what)
{
        snprintf(all->wrong, sizeof all->wrong, "%s", what);
        return false;
}

static void on_told(void *arg, const struct incident_answer *answer, const struct err *err)
{
        (void)arg;
        all->answered = answer && !err;
}

static bool proof_comes(struct fixture *f)
{
        struct err e;
        const struct report r = { .source = "proof",
                .strength = REPORT_PROOF,
                .spki_hex = f->key,
                .text = "signed by it",
                .revocation_reason = -1 };
        return incident_take(f->engine, &r, on_told, f, &e) || wrong(e.text);
}

static bool told_and_replaced(struct fixture *f)
{
        return all->answered && all_replaced(f);
}

static bool counted(void *arg, const struct store_row *row)
{
        *(int64_t *)arg = row_i64(row, 0);
        return false;
}

/* Beyond the end of the jobs nothing is left to do, and nothing was done twice. */
static bool judge(struct fixture *f)
{
        struct err e;
        int64_t replaced = 0;
        const char *live[ARRAY_LEN(names)];
        if (!compromised_has(f->engine->keystore, f->key))
                return wrong("the key is not marked");
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
                live[i] = engine_cert(f->engine, names[i])->row.live_spki;
                if (!live[i] || strcmp(live[i], f->key) == 0 || (i > 0 && strcmp(live[i], live[i - 1]) == 0))
                        return wrong("a certificate has the old key, or that of another one");
        }
        if (!store_flush(f->engine->store, &e) ||
                !store_query(f->engine->store, "SELECT count(*) FROM incident_case WHERE replaced > 0", "", counted,
                        &replaced, &e))
                return wrong(e.text);
        if (replaced != ARRAY_LEN(names))
                return wrong("the incident does not say that all are replaced");
        if (fake_ca.orders != ARRAY_LEN(names) || fake_ca.doubled) {
                snprintf(all->wrong, sizeof all->wrong, "%u orders%s", fake_ca.orders,
                        fake_ca.doubled ? ", one beside another" : "");
                return false;
        }
        if (fake_ca.out != 0)
                return wrong("a token is still out");
        return journal_audit_verify(f->engine->store, &e) || wrong(e.text);
}

/* A process of its own: 0, or 1 with all->wrong; or it dies. */
static int process(struct fixture *f, const char *crash, const char *log)
{
        pid_t pid = fork();
        int status = -1;
        if (pid < 0)
                return -1;
        if (pid == 0) {
                if (crash)
                        (void)setenv("DCVD_CRASH", crash, 1);
                if (log)
                        (void)setenv("DCVD_CRASH_LOG", log, 1);
                log_init("test", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
                start_engine(f);
                bool good = true;
                /* A sender that was not told comes again. */
                if (!all->answered)
                        good = proof_comes(f);
                if (good && !run_to(f, told_and_replaced))
                        good = wrong("not replaced in time");
                _exit(good && judge(f) ? 0 : 1);
        }
        return waitpid(pid, &status, 0) == pid ? status : -1;
}

/* The state of before the alarm, at a CA that has seen nothing of it. */
static void begin(struct fixture *f, const char *base, const struct fake_ca *ca)
{
        struct err e;
        (void)tree_remove_at(-100, f->directory, &e);
        (void)tree_remove_at(-100, f->runtime, &e);
        assert_true(copy_directory(base, f->directory));
        assert_int_equal(mkdir(f->runtime, 0700), 0);
        memcpy(&fake_ca, ca, sizeof fake_ca);
        *all = (struct seen_by_all){ 0 };
}

static void last_line(const char *path, char *ret, size_t size)
{
        char *text = NULL;
        size_t len = 0;
        ret[0] = '\0';
        if (!file_read(path, 1 << 20, &text, &len, NULL))
                return;
        while (len > 0 && text[len - 1] == '\n')
                text[--len] = '\0';
        const char *line = strrchr(text, '\n');
        snprintf(ret, size, "%s", line ? line + 1 : text);
        free(text);
}

static void no_death_loses_or_repeats_anything(void **state)
{
        struct fixture *f = *state;
        struct err e;
        CLEANUP(free_p) char *base = text_format("%s-base", f->directory);
        CLEANUP(free_p) char *log = text_format("%s-passages", f->directory);
        CLEANUP(free_p) struct fake_ca *ca = malloc(sizeof *ca);
        unsigned deaths = 0;
        stop_engine(f);
        assert_int_equal(rename(f->directory, base), 0);
        fake_ca_outlives();
        all = mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_true(all != MAP_FAILED);
        memcpy(ca, &fake_ca, sizeof *ca);
        for (unsigned n = 1 + share;; n += SHARES) {
                char crash[20], point[64];
                snprintf(crash, sizeof crash, "*:%u", n);
                begin(f, base, ca);
                (void)unlink(log);
                int status = process(f, crash, log);
                if (status == 0) /* it lived through */
                        break;
                last_line(log, point, sizeof point);
                if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
                        fail_msg("passage %u (%s): %s", n, point, all->wrong);
                status = process(f, NULL, NULL);
                if (status != 0)
                        fail_msg("after a death at passage %u (%s): %s", n, point,
                                all->wrong[0] ? all->wrong : "it did not end well");
                deaths++;
                assert_true(n < PASSAGES_MAX);
        }
        printf("%u deaths\n", deaths);
        assert_true(deaths > 50);
        (void)tree_remove_at(-100, base, &e);
        (void)unlink(log);
        start_engine(f); /* the teardown ends it */
}

int main(int argc, char **argv)
{
        share = argc > 1 ? (unsigned)atoi(argv[1]) % SHARES : 0;
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(no_death_loses_or_repeats_anything, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
