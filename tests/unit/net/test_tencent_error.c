#include "test.h"

#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/net/tencent_api.h"

static void every_code_of_the_reference_has_its_kind(void **state)
{
        (void)state;
        static const struct {
                const char *code;
                int read, write;
        } row[] = {
                { "AuthFailure.SignatureExpire", ERR_TEMPORARY, ERR_TEMPORARY },
                { "AuthFailure.SignatureFailure", ERR_DENIED, ERR_DENIED },
                { "AuthFailure.SecretIdNotFound", ERR_DENIED, ERR_DENIED },
                { "AuthFailure.InvalidSecretId", ERR_DENIED, ERR_DENIED },
                { "AuthFailure.TokenFailure", ERR_DENIED, ERR_DENIED },
                { "AuthFailure.MFAFailure", ERR_DENIED, ERR_DENIED },
                { "AuthFailure.InvalidAuthorization", ERR_DENIED, ERR_DENIED },
                { "AuthFailure.UnauthorizedOperation", ERR_DENIED, ERR_DENIED },
                { "UnauthorizedOperation", ERR_DENIED, ERR_DENIED },
                { "FailedOperation.AuthError", ERR_DENIED, ERR_DENIED },
                { "FailedOperation.CAMAuthorizedFail", ERR_DENIED, ERR_DENIED },
                { "FailedOperation.NoProjectPermission", ERR_DENIED, ERR_DENIED },
                { "RequestLimitExceeded", ERR_RATE_LIMITED, ERR_RATE_LIMITED },
                { "RequestLimitExceeded.UinLimitExceeded", ERR_RATE_LIMITED, ERR_RATE_LIMITED },
                { "RequestLimitExceeded.IPLimitExceeded", ERR_RATE_LIMITED, ERR_RATE_LIMITED },
                { "RequestLimitExceeded.GlobalRegionUinLimitExceeded", ERR_RATE_LIMITED, ERR_RATE_LIMITED },
                { "RequestLimitExceeded.RequestLimitExceeded", ERR_RATE_LIMITED, ERR_RATE_LIMITED },
                { "LimitExceeded.RateLimitExceeded", ERR_RATE_LIMITED, ERR_RATE_LIMITED },
                { "FailedOperation.FrequencyLimit", ERR_RATE_LIMITED, ERR_RATE_LIMITED },
                { "InternalError", ERR_TEMPORARY, ERR_UNKNOWN },
                { "InternalError.BackendResponseEmpty", ERR_TEMPORARY, ERR_UNKNOWN },
                { "InternalError.BackendResponseError", ERR_TEMPORARY, ERR_UNKNOWN },
                { "FailedOperation.SystemError", ERR_TEMPORARY, ERR_UNKNOWN },
                { "FailedOperation.NetworkError", ERR_TEMPORARY, ERR_UNKNOWN },
                { "FailedOperation.CannotGetOrder", ERR_TEMPORARY, ERR_UNKNOWN },
                { "FailedOperation.UnknowError", ERR_TEMPORARY, ERR_UNKNOWN },
                { "ServiceUnavailable", ERR_TEMPORARY, ERR_UNKNOWN },
                { "InvalidParameter", ERR_DENIED, ERR_DENIED },
                { "InvalidParameter.RenewAlgorithmInvalid", ERR_DENIED, ERR_DENIED },
                { "InvalidParameter.OperateFailed", ERR_TEMPORARY, ERR_TEMPORARY },
                { "InvalidParameterValue.DomainNotExists", ERR_DENIED, ERR_DENIED },
                { "InvalidParam", ERR_DENIED, ERR_DENIED },
                { "MissingParameter", ERR_DENIED, ERR_DENIED },
                { "UnknownParameter", ERR_DENIED, ERR_DENIED },
                { "InvalidAction", ERR_DENIED, ERR_DENIED },
                { "NoSuchVersion", ERR_DENIED, ERR_DENIED },
                { "UnsupportedProtocol", ERR_DENIED, ERR_DENIED },
                { "UnsupportedOperation", ERR_DENIED, ERR_DENIED },
                { "ActionOffline", ERR_DENIED, ERR_DENIED },
                { "ResourceNotFound.NoDataOfRecord", ERR_DENIED, ERR_DENIED },
                { "ResourceInUse", ERR_DENIED, ERR_DENIED },
                { "ResourceInsufficient", ERR_DENIED, ERR_DENIED },
                { "ResourceUnavailable", ERR_DENIED, ERR_DENIED },
                { "LimitExceeded", ERR_DENIED, ERR_DENIED },
                { "LimitExceeded.RecordTtlLimit", ERR_DENIED, ERR_DENIED },
                { "FailedOperation", ERR_DENIED, ERR_DENIED },
                { "FailedOperation.OrderAlreadyReplaced", ERR_DENIED, ERR_DENIED },
                { "FailedOperation.InvalidCertificateStatusCode", ERR_DENIED, ERR_DENIED },
                { "OperationDenied.NoPermissionToOperateDomain", ERR_DENIED, ERR_DENIED },
                { "IpInBlacklist", ERR_DENIED, ERR_DENIED },
                { "IpNotInWhitelist", ERR_DENIED, ERR_DENIED },
                /* nobody described these: a write may have been done */
                { "SomethingNew", ERR_TEMPORARY, ERR_UNKNOWN },
                { "FailedOperationX", ERR_TEMPORARY, ERR_UNKNOWN },
                { "", ERR_TEMPORARY, ERR_UNKNOWN },
        };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                if (tencent_error_kind(row[i].code, false) != row[i].read ||
                        tencent_error_kind(row[i].code, true) != row[i].write)
                        fail_msg("%s: read %d write %d", row[i].code, tencent_error_kind(row[i].code, false),
                                tencent_error_kind(row[i].code, true));
        }
}

static void answers_that_are_no_answer_are_unknown_for_a_write(void **state)
{
        (void)state;
        static const char *const bad[] = {
                "",
                "<html>502</html>",
                "{\"Response\":{\"CertificateId\":\"e5F6\"",
                "{}",
                "[]",
                "null",
                "{\"Response\":null}",
                "{\"Response\":\"ok\"}",
                "{\"Response\":{\"Error\":\"x\"}}",
                "{\"Response\":{\"Error\":[]}}",
                "{\"code\":0,\"message\":\"\",\"codeDesc\":\"Success\"}",
                "{\"code\":4000}",
                "{\"Response\":{}} trailing",
        };
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                json_t *got = NULL;
                char id[80];
                struct err e;

                assert_false(tencent_envelope_read(bad[i], strlen(bad[i]), true, &got, id, &e));
                assert_int_equal(e.kind, ERR_UNKNOWN);
                assert_string_equal(e.code, "tc.answer");
                assert_false(tencent_envelope_read(bad[i], strlen(bad[i]), false, &got, id, &e));
                assert_int_equal(e.kind, ERR_TEMPORARY);
                assert_null(got);
        }
}

static void an_error_names_code_message_and_request(void **state)
{
        (void)state;
        const char *body = "{\"Response\":{\"Error\":{\"Code\":\"AuthFailure.SecretIdNotFound\",\"Message\":"
                           "\"no\\u001b[31m such id\"},"
                           "\"RequestId\":\"5f2b-77\"}}";
        json_t *got = NULL;
        char id[80];
        struct err e;

        assert_false(tencent_envelope_read(body, strlen(body), true, &got, id, &e));
        assert_int_equal(e.kind, ERR_DENIED);
        assert_string_equal(e.code, "tc.AuthFailure.SecretIdNotFound");
        assert_non_null(strstr(e.text, "(AuthFailure.SecretIdNotFound), RequestId 5f2b-77"));
        assert_string_equal(e.text + strlen(e.text) - 7, "5f2b-77");
        assert_null(strchr(e.text, '\x1b'));
        assert_true(e.fix[0] != '\0');
        assert_string_equal(id, "5f2b-77");
}

static void a_long_message_does_not_push_the_request_id_out(void **state)
{
        (void)state;
        char body[6000], id[80];
        json_t *got = NULL;
        struct err e;

        char message[4001];
        memset(message, 'x', 4000);
        message[4000] = '\0';
        snprintf(body, sizeof body,
                "{\"Response\":{\"Error\":{\"Code\":\"FailedOperation\",\"Message\":\"%s\"},\"RequestId\":\"r-1\"}}",
                message);
        assert_false(tencent_envelope_read(body, strlen(body), false, &got, id, &e));
        assert_non_null(strstr(e.text, "RequestId r-1"));
}

static void the_legacy_form_and_odd_codes_are_understood(void **state)
{
        (void)state;
        const char *legacy = "{\"code\":4100,\"codeDesc\":\"AuthFailure\",\"message\":\"m\"}";
        const char *odd =
                "{\"Response\":{\"Error\":{\"Code\":\"Failed Operation\\n\",\"Message\":7},\"RequestId\":\"a b\"}}";
        json_t *got = NULL;
        char id[80];
        struct err e;

        assert_false(tencent_envelope_read(legacy, strlen(legacy), true, &got, id, &e));
        assert_int_equal(e.kind, ERR_DENIED);
        assert_false(tencent_envelope_read(odd, strlen(odd), true, &got, id, &e));
        assert_int_equal(e.kind, ERR_UNKNOWN);
        assert_string_equal(e.code, "tc.Malformed");
        assert_string_equal(id, "");
}

static void a_success_gives_the_response_even_with_a_null_error(void **state)
{
        (void)state;
        const char *body =
                "{\"Response\":{\"Error\":null,\"CertificateId\":\"e5F6\",\"RequestId\":\"r\",\"New\":{\"x\":[1]}}}";
        json_t *got = NULL;
        char id[80];
        struct err e;

        assert_true(tencent_envelope_read(body, strlen(body), true, &got, id, &e));
        assert_string_equal(json_str(got, "CertificateId"), "e5F6");
        assert_string_equal(id, "r");
        json_decref(got);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_code_of_the_reference_has_its_kind),
                cmocka_unit_test(answers_that_are_no_answer_are_unknown_for_a_write),
                cmocka_unit_test(an_error_names_code_message_and_request),
                cmocka_unit_test(a_long_message_does_not_push_the_request_id_out),
                cmocka_unit_test(the_legacy_form_and_odd_codes_are_understood),
                cmocka_unit_test(a_success_gives_the_response_even_with_a_null_error),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
