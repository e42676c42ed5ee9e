#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/buf.h"
#include "agent/base/metrics.h"
#include "agent/base/util.h"

static const char *const job_labels[] = { "cert", "state", NULL };
static const double bounds[] = { 0.5, 1, 60, INFINITY };
static const struct metric_family jobs = { "dcvd_jobs", "Jobs by state.", METRIC_GAUGE, job_labels, NULL };
static const struct metric_family total = { "dcvd_total", "Just a count.", METRIC_COUNTER, NULL, NULL };
static const struct metric_family spans = { "dcvd_spans_seconds", "How long.", METRIC_HISTOGRAM, NULL, bounds };
static const struct metric_family spans_by = { "dcvd_by_seconds", "How long, by whom.", METRIC_HISTOGRAM, job_labels,
        bounds };

static int forget_all(void **state)
{
        (void)state;
        metrics_done();
        return 0;
}

static void page_is(const char *want)
{
        struct buf b = { 0 };
        assert_true(metrics_render(&b));
        CLEANUP(free_p) char *page = buf_steal(&b);
        assert_string_equal(page, want);
}

#define JOBS_HEAD "# HELP dcvd_jobs Jobs by state.\n# TYPE dcvd_jobs gauge\n"
#define TOTAL_HEAD "# HELP dcvd_total Just a count.\n# TYPE dcvd_total counter\n"

static void counters_and_gauges(void **state)
{
        (void)state;
        page_is("");
        metric_add(&total, NULL, 0); /* declared at zero, so that rates work */
        page_is(TOTAL_HEAD "dcvd_total 0\n");
        metric_add(&total, NULL, 1);
        metric_add(&total, NULL, 2.5);
        metric_set(&jobs, (const char *[]){ "www", "queued" }, 3);
        metric_set(&jobs, (const char *[]){ "www", "queued" }, 1785654000);
        page_is(TOTAL_HEAD "dcvd_total 3.5\n" JOBS_HEAD "dcvd_jobs{cert=\"www\",state=\"queued\"} 1785654000\n");
        metric_forget(&jobs, (const char *[]){ "www", "done" }); /* never was: nothing happens */
        metric_forget(&jobs, (const char *[]){ "www", "queued" });
        metric_clear(&total);
        page_is(TOTAL_HEAD JOBS_HEAD);
}

static void what_is_declared_is_shown_before_anything_happened(void **state)
{
        (void)state;
        metric_declare(&spans_by);
        metric_declare(&spans_by);
        metric_declare(&total);
        page_is("# HELP dcvd_by_seconds How long, by whom.\n# TYPE dcvd_by_seconds histogram\n" TOTAL_HEAD);
}

static void label_values_are_escaped(void **state)
{
        (void)state;
        metric_set(&jobs, (const char *[]){ "a\"b\\c\nd", NULL }, 1);
        page_is(JOBS_HEAD "dcvd_jobs{cert=\"a\\\"b\\\\c\\nd\",state=\"\"} 1\n");
        metric_clear(&jobs);
        /* Two values that would be one if the quotes were not escaped. */
        metric_set(&jobs, (const char *[]){ "x\",state=\"y", "" }, 1);
        metric_set(&jobs, (const char *[]){ "x", "y" }, 2);
        metric_forget(&jobs, (const char *[]){ "x", "y" });
        page_is(JOBS_HEAD "dcvd_jobs{cert=\"x\\\",state=\\\"y\",state=\"\"} 1\n");
}

static void numbers_as_prometheus_spells_them(void **state)
{
        static const struct {
                double value;
                const char *want;
        } row[] = { { NAN, "NaN" }, { INFINITY, "+Inf" }, { -INFINITY, "-Inf" }, { -2, "-2" }, { 0.25, "0.25" },
                { 2.524, "2.524" }, { 0.1 + 0.2, "0.30000000000000004" }, { 1795642368, "1795642368" },
                { 1e300, "1e+300" } };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                char want[200];
                metric_set(&total, NULL, row[i].value);
                snprintf(want, sizeof want, TOTAL_HEAD "dcvd_total %s\n", row[i].want);
                page_is(want);
        }
}

static void histograms_are_cumulative(void **state)
{
        (void)state;
        metric_observe(&spans, NULL, 0.5); /* a bound belongs to its bucket */
        metric_observe(&spans, NULL, 0.75);
        metric_observe(&spans, NULL, 59);
        metric_observe(&spans, NULL, 1000);
        page_is("# HELP dcvd_spans_seconds How long.\n# TYPE dcvd_spans_seconds histogram\n"
                "dcvd_spans_seconds_bucket{le=\"0.5\"} 1\ndcvd_spans_seconds_bucket{le=\"1\"} 2\n"
                "dcvd_spans_seconds_bucket{le=\"60\"} 3\ndcvd_spans_seconds_bucket{le=\"+Inf\"} 4\n"
                "dcvd_spans_seconds_sum 1060.25\ndcvd_spans_seconds_count 4\n");
        metrics_done();
        metric_observe(&spans_by, (const char *[]){ "w", "s" }, 2);
        page_is("# HELP dcvd_by_seconds How long, by whom.\n# TYPE dcvd_by_seconds histogram\n"
                "dcvd_by_seconds_bucket{cert=\"w\",state=\"s\",le=\"0.5\"} 0\n"
                "dcvd_by_seconds_bucket{cert=\"w\",state=\"s\",le=\"1\"} 0\n"
                "dcvd_by_seconds_bucket{cert=\"w\",state=\"s\",le=\"60\"} 1\n"
                "dcvd_by_seconds_bucket{cert=\"w\",state=\"s\",le=\"+Inf\"} 1\n"
                "dcvd_by_seconds_sum{cert=\"w\",state=\"s\"} 2\ndcvd_by_seconds_count{cert=\"w\",state=\"s\"} 1\n");
}

static unsigned lines_of(const char *page)
{
        unsigned n = 0;
        for (; *page; page++)
                n += *page == '\n';
        return n;
}

static void a_family_is_bounded_and_finds_its_samples_again(void **state)
{
        (void)state;
        for (int round = 0; round < 2; round++)
                for (int i = 0; i < 20010; i++) {
                        char name[16];
                        snprintf(name, sizeof name, "c%d", i);
                        metric_add(&jobs, (const char *[]){ name, "" }, 1);
                }
        struct buf b = { 0 };
        assert_true(metrics_render(&b));
        assert_int_equal(lines_of(b.data), 2 + 20000);
        assert_non_null(strstr(b.data, "cert=\"c19999\",state=\"\"} 2\n"));
        assert_null(strstr(b.data, "cert=\"c20000\""));
        buf_reset(&b);
        metric_forget(&jobs, (const char *[]){ "c0", "" });
        metric_add(&jobs, (const char *[]){ "c20000", "" }, 1); /* a place is free again */
        assert_true(metrics_render(&b));
        assert_int_equal(lines_of(b.data), 2 + 20000);
        assert_non_null(strstr(b.data, "cert=\"c20000\""));
        buf_done(&b);
        struct buf small = { .max = 100 };
        assert_false(metrics_render(&small));
        buf_done(&small);
}

static void more_families_than_there_are_places_do_no_harm(void **state)
{
        static struct metric_family many[100];
        static char name[100][16];
        (void)state;
        for (int i = 0; i < 100; i++) {
                snprintf(name[i], sizeof name[i], "m%d", i);
                many[i] = (struct metric_family){ name[i], "x", METRIC_COUNTER, NULL, NULL };
                metric_add(&many[i], NULL, 1);
                metric_forget(&many[i], NULL);
        }
        metric_clear(&many[99]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(counters_and_gauges, forget_all),
                cmocka_unit_test_teardown(what_is_declared_is_shown_before_anything_happened, forget_all),
                cmocka_unit_test_teardown(label_values_are_escaped, forget_all),
                cmocka_unit_test_teardown(numbers_as_prometheus_spells_them, forget_all),
                cmocka_unit_test_teardown(histograms_are_cumulative, forget_all),
                cmocka_unit_test_teardown(a_family_is_bounded_and_finds_its_samples_again, forget_all),
                cmocka_unit_test_teardown(more_families_than_there_are_places_do_no_harm, forget_all),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
