#include "test.h"

#include "agent/base/json.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/net/tencent_api.h"
#include "agent/net/tencent_limit.h"
#include "fake_net.h"

#define OK "{\"Response\":{\"CertificateId\":\"e5F6\",\"RequestId\":\"r-1\"}}"
#define FAILED(code) "{\"Response\":{\"Error\":{\"Code\":\"" code "\",\"Message\":\"m\"},\"RequestId\":\"r-2\"}}"

struct step {
        int status;
        const char *body; /* NULL: transport failure */
        enum err_kind failed;
        const char *date, *retry_after;
};
static const struct step *script;
static size_t script_len, script_at;
static char stamps[64][32];
static bool once[64];
static int64_t sent_ms[20000];
static size_t delivered;

static void fake_reply(const struct http_call *call, struct fake_answer *ret)
{
        size_t n = fake_sent - 1;
        const struct step *s = &script[MIN(script_at, script_len - 1)];

        script_at++;
        snprintf(stamps[n % 64], sizeof stamps[0], "%s", call->stamp);
        once[n % 64] = call->once_only;
        sent_ms[delivered++ % 20000] = call->due_ms;
        *ret = (struct fake_answer){ .status = s->status ? s->status : 200,
                .body = s->body ? text_dup(s->body) : NULL,
                .failed = s->failed,
                .date = s->date,
                .retry_after = s->retry_after };
}

static struct tencent_api *api;
static bool answered;
static struct err got;
static char got_id[64], got_request[80];

static void done(void *arg, const json_t *response, const char *request_id, const struct err *err)
{
        (void)arg;
        assert_false(answered);
        answered = true;
        assert_true((response == NULL) == (err != NULL));
        got = err ? *err : (struct err){ 0 };
        snprintf(got_id, sizeof got_id, "%s",
                response && json_str(response, "CertificateId") ? json_str(response, "CertificateId") : "");
        snprintf(got_request, sizeof got_request, "%s", request_id);
}

static bool open_api(const char *endpoint, struct tencent_api **ret, struct err *e)
{
        struct secret id = { (uint8_t *)(uintptr_t) "AKIDTEST", 8 }, key = { (uint8_t *)(uintptr_t) "SECRETKEY", 9 };
        const struct secret_ref id_ref = { SECRET_ENV, (char *)(uintptr_t) "ID", NULL, &id };
        const struct secret_ref key_ref = { SECRET_ENV, (char *)(uintptr_t) "KEY", NULL, &key };
        const struct tencent_api_conf conf = { .endpoint = endpoint,
                .service = "ssl",
                .version = "2019-12-05",
                .secret_id = &id_ref,
                .secret_key = &key_ref,
                .name = "tencent" };

        return tencent_api_open(ret, NULL, NULL, &conf, e);
}

static void start(const struct step *steps, size_t count, bool write)
{
        struct err e;

        if (!api) {
                fake_reset();
                assert_true(open_api("https://ssl.tencentcloudapi.com", &api, &e));
        }
        script = steps;
        script_len = count;
        script_at = 0;
        answered = false;
        delivered = 0;
        assert_non_null(tencent_start(api, "DescribeCertificate", NULL, write, done, NULL, &e));
        assert_false(answered);
}

static int close_api(void **state)
{
        (void)state;
        tencent_api_close(api);
        api = NULL;
        assert_null(fake_timers);
        assert_null(fake_calls);
        return 0;
}

#define RUN(write, ...)                                                                                                \
        do {                                                                                                           \
                static const struct step steps_[] = { __VA_ARGS__ };                                                   \
                start(steps_, ARRAY_LEN(steps_), write);                                                               \
                fake_run(&answered);                                                                                   \
                assert_true(answered);                                                                                 \
        } while (0)

static void a_good_answer_is_handed_over(void **state)
{
        (void)state;
        RUN(false, { .body = OK });
        assert_int_equal(got.kind, ERR_NONE);
        assert_string_equal(got_id, "e5F6");
        assert_string_equal(got_request, "r-1");
        assert_false(once[0]);
}

static void a_write_goes_once_only_and_a_lost_or_bad_answer_is_unknown(void **state)
{
        (void)state;
        static const struct step bad[] = {
                { .failed = ERR_UNKNOWN },
                { .failed = ERR_PROTOCOL },
                { .body = "{\"Response\":{\"Certif" },
                { .body = "" },
                { .status = 500, .body = "oops" },
                { .status = 502, .body = OK },
                { .status = 404, .body = "<html>" },
                { .status = 429, .body = "slow" },
                { .body = FAILED("InternalError") },
                { .body = FAILED("FailedOperation.NetworkError") },
                { .body = FAILED("FailedOperation.CannotGetOrder") },
        };
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                unsigned before = fake_sent;
                start(&bad[i], 1, true);
                if (i == 0)
                        before = 0;
                fake_run(&answered);
                assert_int_equal(got.kind, ERR_UNKNOWN);
                assert_int_equal(fake_sent - before, 1);
                assert_true(once[(fake_sent - 1) % 64]);
        }
}

static void a_write_that_never_left_may_be_tried_again_by_the_caller(void **state)
{
        (void)state;
        RUN(true, { .failed = ERR_TEMPORARY });
        assert_int_equal(got.kind, ERR_TEMPORARY);
        RUN(true, { .failed = ERR_DENIED });
        assert_int_equal(got.kind, ERR_DENIED);
}

static void reads_are_tried_four_times_and_no_more(void **state)
{
        (void)state;
        RUN(false, { .failed = ERR_UNKNOWN }, { .status = 503, .body = "x" }, { .body = FAILED("InternalError") },
                { .body = OK });
        assert_int_equal(got.kind, ERR_NONE);
        assert_int_equal(fake_sent, 4);
        RUN(false, { .body = FAILED("InternalError") });
        assert_int_equal(got.kind, ERR_TEMPORARY);
        assert_int_equal(fake_sent, 8);
}

static void a_business_error_with_status_503_is_believed_and_not_repeated(void **state)
{
        (void)state;
        RUN(false, { .status = 503, .body = FAILED("FailedOperation.CertificateNotFound") });
        assert_int_equal(got.kind, ERR_DENIED);
        assert_int_equal(fake_sent, 1);
        assert_non_null(strstr(got.text, "tencent: DescribeCertificate: "));
        assert_non_null(strstr(got.text, "RequestId r-2"));
}

static void throttling_is_retried_five_times_for_writes_too(void **state)
{
        (void)state;
        RUN(true, { .body = FAILED("RequestLimitExceeded") }, { .body = FAILED("LimitExceeded.RateLimitExceeded") },
                { .body = OK });
        assert_int_equal(got.kind, ERR_NONE);
        assert_int_equal(fake_sent, 3);
        RUN(false, { .body = FAILED("RequestLimitExceeded") });
        assert_int_equal(got.kind, ERR_RATE_LIMITED);
        assert_int_equal(fake_sent, 9);
        assert_int_equal(script_at, 6);
}

static void retry_after_of_a_gateway_is_obeyed_up_to_the_cap(void **state)
{
        (void)state;
        static const struct step steps[] = { { .status = 429, .body = "slow", .retry_after = "20" }, { .body = OK } };
        start(steps, 2, false);
        int64_t spent = fake_run(&answered);
        assert_int_equal(got.kind, ERR_NONE);
        assert_true(spent >= 20000 && spent < 21000);
        static const struct step wild[] = { { .status = 429, .body = "slow", .retry_after = "1000000000000" },
                { .body = OK } };
        start(wild, 2, false);
        assert_true(fake_run(&answered) <= 30000);
}

/* The server is 10 minutes ahead: one correction, remembered for the calls that follow. */
static void a_skewed_clock_is_corrected_once_and_remembered(void **state)
{
        (void)state;
        RUN(true, { .body = FAILED("AuthFailure.SignatureExpire"), .date = "Tue, 14 Nov 2023 22:23:20 GMT" },
                { .body = OK });
        assert_int_equal(got.kind, ERR_NONE);
        assert_string_equal(stamps[0], "1700000000");
        assert_string_equal(stamps[1], "1700000600");
        assert_int_equal(tencent_api_clock_offset_s(api), 600);
        RUN(false, { .body = OK });
        assert_string_equal(stamps[2], "1700000600");
        assert_int_equal(tencent_api_server_time_s(api), 1700000600);
}

static void a_clock_that_cannot_be_corrected_ends_the_call(void **state)
{
        (void)state;
        RUN(true, { .body = FAILED("AuthFailure.SignatureExpire") });
        assert_int_equal(got.kind, ERR_TEMPORARY);
        assert_int_equal(fake_sent, 1);
        assert_non_null(strstr(got.fix, "clock"));
        RUN(true, { .body = FAILED("AuthFailure.SignatureExpire"), .date = "Tue, 14 Nov 2023 22:23:20 GMT" });
        assert_int_equal(fake_sent, 3); /* the first, the corrected one, no third */
        assert_int_equal(got.kind, ERR_TEMPORARY);
}

static unsigned many_done;

static void one_of_many(void *arg, const json_t *response, const char *request_id, const struct err *err)
{
        (void)arg;
        (void)request_id;
        assert_non_null(response);
        assert_null(err);
        many_done++;
}

static void ten_starts_a_second_at_most_and_in_order_of_arrival(void **state)
{
        (void)state;
        static const struct step ok[] = { { .body = OK } };
        struct err e;

        start(ok, 1, false);
        fake_run(&answered);
        many_done = 0;
        for (int i = 0; i < 500; i++)
                assert_non_null(tencent_start(api, "DescribeCertificate", NULL, false, one_of_many, NULL, &e));
        int64_t spent = fake_run(NULL);
        assert_int_equal(many_done, 500);
        assert_true(spent >= 49000 && spent < 54000);
        assert_int_equal(delivered, fake_sent);
        for (size_t i = 10; i < delivered; i++)
                assert_true(sent_ms[i] - sent_ms[i - 10] >= 1000);
}

static void limits_are_those_of_the_reference(void **state)
{
        (void)state;
        static const struct {
                const char *service, *action;
                int64_t window_ms;
        } row[] = { { "ssl", "ReplaceCertificate", 1050 }, { "ssl", "CreateRecord", 1050 },
                { "dnspod", "CreateRecord", 70 }, { "dnspod", "DeleteRecord", 70 },
                { "dnspod", "DescribeRecordList", 150 }, { "dnspod", "CreateTXTRecord", 550 } };

        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct tencent_limit l;
                tencent_limit_init(&l, row[i].service, row[i].action);
                assert_int_equal(l.window_ms, row[i].window_ms);
                for (int n = 0; n < TENCENT_LIMIT_STARTS; n++) {
                        assert_int_equal(tencent_limit_delay_ms(&l, 1000), 0);
                        tencent_limit_start(&l, 1000);
                }
                assert_int_equal(tencent_limit_delay_ms(&l, 1000), row[i].window_ms);
                assert_int_equal(tencent_limit_delay_ms(&l, 1000 + row[i].window_ms), 0);
                tencent_limit_hold(&l, 9000);
                assert_int_equal(tencent_limit_delay_ms(&l, 1000 + row[i].window_ms), 8000 - row[i].window_ms);
        }
}

static void another_action_has_a_limit_of_its_own(void **state)
{
        (void)state;
        static const struct step ok[] = { { .body = OK } };
        struct err e;

        start(ok, 1, false);
        many_done = 0;
        for (int i = 0; i < 30; i++)
                assert_non_null(tencent_start(api, "DescribeCertificate", NULL, false, one_of_many, NULL, &e));
        unsigned before = fake_sent;
        assert_non_null(tencent_start(api, "ReplaceCertificate", NULL, true, one_of_many, NULL, &e));
        assert_int_equal(fake_sent, before + 1);
        fake_run(NULL);
        assert_int_equal(many_done, 31);
}

static void a_cancelled_call_never_calls_back(void **state)
{
        (void)state;
        static const struct step ok[] = { { .body = FAILED("InternalError") } };
        struct tencent_call *calls[30];
        struct err e;

        start(ok, 1, false);
        fake_run(&answered);
        for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
                calls[i] = tencent_start(api, "DescribeCertificate", NULL, false, one_of_many, NULL, &e);
                assert_non_null(calls[i]);
        }
        fake_deliver(fake_calls); /* the first now waits for its second try */
        for (size_t i = 0; i < ARRAY_LEN(calls); i += 2)
                tencent_cancel(calls[i]);
        for (size_t i = 1; i < ARRAY_LEN(calls); i += 2)
                tencent_cancel(calls[i]);
        tencent_cancel(NULL);
        many_done = 0;
        fake_run(NULL);
        assert_int_equal(many_done, 0);
}

static void endpoints_are_https_or_loopback_and_have_no_path(void **state)
{
        (void)state;
        static const struct {
                const char *endpoint;
                bool good;
        } row[] = {
                { "https://ssl.tencentcloudapi.com", true },
                { "https://ssl.intl.tencentcloudapi.com/", true },
                { "https://ssl.ap-guangzhou.tencentcloudapi.com:443", true },
                { "http://127.0.0.1:8080", true },
                { "http://[::1]:8080", true },
                { "http://localhost:80/", true },
                { "http://ssl.tencentcloudapi.com", false },
                { "http://127.example.com.evil@host", false },
                { "https://ssl.tencentcloudapi.com/v2", false },
                { "https://user@ssl.tencentcloudapi.com", false },
                { "https://", false },
                { "https:///x", false },
                { "ftp://127.0.0.1", false },
                { "ssl.tencentcloudapi.com", false },
                { "https://ssl.tencentcloudapi.com\r\nX: y", false },
        };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct tencent_api *a = NULL;
                struct err e;
                if (open_api(row[i].endpoint, &a, &e) != row[i].good)
                        fail_msg("%s", row[i].endpoint);
                if (!row[i].good)
                        assert_int_equal(e.kind, ERR_CONFIG);
                tencent_api_close(a);
        }
}

static json_t *kept;

static void keep(void *arg, const json_t *response, const char *request_id, const struct err *err)
{
        (void)arg;
        (void)request_id;
        assert_null(err);
        assert_string_equal(json_str(response, "CertificatePrivateKey"), "PEM");
        kept = json_incref((json_t *)(uintptr_t)response);
        answered = true;
}

static void keys_inside_a_response_are_wiped_after_use(void **state)
{
        (void)state;
        static const struct step steps[] = {
                { .body = "{\"Response\":{\"CertificatePrivateKey\":\"PEM\",\"Domain\":\"d\","
                          "\"SubmittedData\":{\"KeyPassword\":\"pw\"}}}" }
        };
        struct err e;

        start(steps, 1, false);
        fake_run(&answered);
        answered = false;
        assert_non_null(tencent_start(api, "DescribeCertificateDetail", NULL, false, keep, NULL, &e));
        fake_run(&answered);
        assert_string_equal(json_str(kept, "Domain"), "d");
        assert_int_equal(json_string_value(json_object_get(kept, "CertificatePrivateKey"))[0], 0);
        assert_int_equal(
                json_string_value(json_object_get(json_object_get(kept, "SubmittedData"), "KeyPassword"))[0], 0);
        json_decref(kept);
}

#define TEST(f) cmocka_unit_test_teardown(f, close_api)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_good_answer_is_handed_over),
                TEST(a_write_goes_once_only_and_a_lost_or_bad_answer_is_unknown),
                TEST(a_write_that_never_left_may_be_tried_again_by_the_caller),
                TEST(reads_are_tried_four_times_and_no_more),
                TEST(a_business_error_with_status_503_is_believed_and_not_repeated),
                TEST(throttling_is_retried_five_times_for_writes_too),
                TEST(retry_after_of_a_gateway_is_obeyed_up_to_the_cap),
                TEST(a_skewed_clock_is_corrected_once_and_remembered),
                TEST(a_clock_that_cannot_be_corrected_ends_the_call),
                TEST(ten_starts_a_second_at_most_and_in_order_of_arrival),
                TEST(limits_are_those_of_the_reference),
                TEST(another_action_has_a_limit_of_its_own),
                TEST(a_cancelled_call_never_calls_back),
                TEST(endpoints_are_https_or_loopback_and_have_no_path),
                TEST(keys_inside_a_response_are_wiped_after_use),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
