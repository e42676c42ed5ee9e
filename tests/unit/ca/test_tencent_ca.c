#include "test.h"

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/ca/ca.h"
#include "agent/ca/tencent/tencent.h"
#include "agent/ca/tencent/time.h"
#include "cert_text.h"
#include "fake_net.h"
#include "pem.h"

#define DAY 86400
#define SPKI_OTHER "3333333333333333333333333333333333333333333333333333333333333333"

/* ---- the other side: an account in memory ---- */

struct entry {
        char id[16], by[16], to[16], msg[24];
        int status;
        const char *package;
        bool vip;
        const char *domain, *other, *csr, *pem;
        int64_t begin_s, end_s, inserted_s, visible_ms;
        bool asks;
        char print[24];
};
enum replace_fault { REPLACE_OK, REPLACE_LOST, REPLACE_INTERNAL, REPLACE_CUT, REPLACE_DROPPED, REPLACE_REFUSED };

static struct {
        struct entry item[8];
        size_t count;
        enum replace_fault fault;
        bool same_id, eleven_on_old, eleven_on_new, no_link_on_old, no_link_on_new, hide_csr;
        int64_t lag_ms, skew_s;
        unsigned replaces, audits, cancels, completes, checks, logs;
        bool audit_result;
        const char *audit_error, *cancel_error, *check_result;
        char replace_body[8192];
        int64_t log_issued_s;
        bool sees_skew;
} account;

static struct entry *entry_of(const char *id)
{
        for (size_t i = 0; i < account.count; i++)
                if (strcmp(account.item[i].id, id) == 0 && fake_boot_ms >= account.item[i].visible_ms)
                        return &account.item[i];
        return NULL;
}

static struct entry *entry_new(const char *id, int status)
{
        struct entry *n = &account.item[account.count++];
        int64_t now_s = fake_wall_ms / 1000 + account.skew_s;

        *n = (struct entry){
                .status = status, .package = "11", .vip = true, .domain = "www.example.com", .other = "example.com"
        };
        snprintf(n->id, sizeof n->id, "%s", id);
        n->begin_s = now_s - 100 * DAY;
        n->end_s = now_s + 200 * DAY;
        n->inserted_s = n->begin_s - 3600;
        snprintf(n->print, sizeof n->print, "F-%s", id);
        return n;
}

static void put_time(json_t *o, const char *key, int64_t at_s)
{
        char text[20];

        tc_time_write(at_s, text);
        json_put_text(o, key, at_s ? text : NULL);
}

static json_t *entry_json(const struct entry *n)
{
        json_t *o = json_object(), *extra = json_object();
        bool linked = !(account.no_link_on_old && *n->to);

        json_put_text(o, "CertificateId", n->id);
        json_put_i64(o, "Status", n->status);
        json_put_text(o, "StatusMsg", *n->msg ? n->msg : NULL);
        json_put_text(o, "PackageType", n->package);
        json_put_bool(o, "IsVip", n->vip);
        json_put_text(o, "Domain", n->domain);
        json_object_set_new(o, "SubjectAltName", json_pack("[s]", n->other));
        put_time(o, "CertBeginTime", n->begin_s);
        put_time(o, "CertEndTime", n->end_s);
        put_time(o, "InsertTime", n->inserted_s);
        json_put_text(extra, "ReplacedBy", *n->by && !account.no_link_on_new ? n->by : NULL);
        json_put_text(extra, "ReplacedFor", *n->to && linked ? n->to : NULL);
        json_object_set_new(o, "CertificateExtra", extra);
        if (n->asks)
                json_object_set_new(o, "DvAuthDetail",
                        json_of("{'DvAuths':[{'DvAuthKey':'_dnsauth.example.com','DvAuthValue':'v','DvAuthDomain':'"
                                "example.com','DvAuthVerifyType':'TXT'}]}"));
        json_put_text(o, "CertificatePublicKey", n->pem);
        json_put_text(o, "CertFingerprint", n->begin_s ? n->print : NULL);
        if (n->csr)
                json_object_set_new(o, "SubmittedData", json_pack("{s:s}", "CsrContent", n->csr));
        return o;
}

static json_t *list_json(const json_t *body)
{
        json_t *rows = json_array(), *o = json_object();
        const json_t *wanted = json_object_get(body, "CertificateStatus");

        for (size_t i = account.count; i > 0; i--) {
                const struct entry *n = &account.item[i - 1];
                bool in = wanted == NULL && fake_boot_ms >= n->visible_ms;
                for (size_t w = 0; w < json_array_size(wanted); w++)
                        in = in ||
                                (json_integer_value(json_array_get(wanted, w)) == n->status &&
                                        fake_boot_ms >= n->visible_ms);
                if (in)
                        json_array_append_new(rows, entry_json(n));
        }
        json_put_i64(o, "TotalCount", (int64_t)json_array_size(rows));
        json_object_set_new(o, "Certificates", rows);
        return o;
}

static const char *replace_do(const json_t *body)
{
        struct entry *old = entry_of(json_str(body, "CertificateId"));
        int64_t now_s = fake_wall_ms / 1000 + account.skew_s;

        if (account.same_id) {
                old->status = 11;
                return old->id;
        }
        struct entry *n = entry_new("e5F6g7H8", account.eleven_on_new ? 11 : 0);
        old = entry_of(json_str(body, "CertificateId"));
        snprintf(n->by, sizeof n->by, "%s", old->id);
        snprintf(old->to, sizeof old->to, "%s", n->id);
        snprintf(n->msg, sizeof n->msg, "PENDING-DCV");
        if (account.eleven_on_old)
                old->status = 11;
        n->begin_s = 0;
        n->end_s = 0;
        n->inserted_s = now_s;
        n->asks = true;
        n->csr = json_str(body, "CsrContent") && !account.hide_csr ? CSR_A : NULL;
        n->visible_ms = fake_boot_ms + account.lag_ms;
        return n->id;
}

static char *envelope(json_t *response)
{
        json_put_text(response, "RequestId", "r-1");
        char *text = json_dumps(response, JSON_COMPACT);
        char *whole = text_format("{\"Response\":%s}", text);

        free(text);
        json_decref(response);
        return whole;
}

static char *failure(const char *code)
{
        return envelope(json_pack("{s:{s:s,s:s}}", "Error", "Code", code, "Message", "m"));
}

static void replace_answer(const json_t *body, struct fake_answer *ret)
{
        char *text = json_text(body);

        account.replaces++;
        snprintf(account.replace_body, sizeof account.replace_body, "%s", text);
        free(text);
        if (account.fault == REPLACE_DROPPED || account.fault == REPLACE_REFUSED) {
                ret->body = account.fault == REPLACE_REFUSED ? failure("FailedOperation.OrderAlreadyReplaced") : NULL;
                ret->failed = ERR_UNKNOWN;
                return;
        }
        const char *id = replace_do(body);
        if (account.fault == REPLACE_LOST)
                ret->failed = ERR_UNKNOWN;
        else if (account.fault == REPLACE_INTERNAL)
                ret->body = failure("InternalError");
        else if (account.fault == REPLACE_CUT)
                ret->body = text_dup("{\"Response\":{\"CertificateId\":\"e5F");
        else
                ret->body = envelope(json_pack("{s:s}", "CertificateId", id));
}

static char *log_answer(void)
{
        char at[20];

        account.logs++;
        tc_time_write(account.log_issued_s, at);
        return envelope(json_pack(
                "{s:[{s:s,s:s,s:s}]}", "OperateLogs", "CertId", "a1B2c3D4", "Type", "issued", "CreatedOn", at));
}

static char *act_answer(const struct http_call *call)
{
        if (strcmp(call->action, "CancelAuditCertificate") == 0) {
                account.audits++;
                return account.audit_error ? failure(account.audit_error)
                                           : envelope(json_pack("{s:b}", "Result", account.audit_result));
        }
        if (strcmp(call->action, "CancelCertificateOrder") == 0) {
                account.cancels++;
                return account.cancel_error ? failure(account.cancel_error)
                                            : envelope(json_pack("{s:s}", "CertificateId", "x"));
        }
        if (strcmp(call->action, "CompleteCertificate") == 0) {
                account.completes++;
                return envelope(json_pack("{s:s}", "CertificateId", "x"));
        }
        if (strcmp(call->action, "CheckCertificateDomainVerification") == 0) {
                account.checks++;
                json_t *o = json_object();
                json_object_set_new(
                        o, "VerificationResults", json_of(account.check_result ? account.check_result : "null"));
                return envelope(o);
        }
        return failure("InvalidAction");
}

static void fake_reply(const struct http_call *call, struct fake_answer *ret)
{
        json_t *body = json_loads(call->body, 0, NULL);
        static char date[64];
        time_t server = (time_t)(fake_wall_ms / 1000 + account.skew_s);
        struct tm tm;

        assert_non_null(body);
        assert_int_equal(call->once_only,
                strcmp(call->action, "ReplaceCertificate") == 0 || text_starts(call->action, "Cancel"));
        strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&server, &tm));
        ret->date = date;
        ret->delay_ms = 20;
        int64_t off_s = atoll(call->stamp) - (int64_t)server;
        if (off_s > 300 || off_s < -300)
                ret->body = failure("AuthFailure.SignatureExpire");
        else if (text_starts(call->action, "DescribeCertificateOperateLogs"))
                ret->body = log_answer();
        else if (strcmp(call->action, "DescribeCertificates") == 0)
                ret->body = envelope(list_json(body));
        else if (text_starts(call->action, "DescribeCertificate")) {
                struct entry *n = entry_of(json_str(body, "CertificateId"));
                ret->body = n ? envelope(entry_json(n)) : failure("FailedOperation.CertificateNotFound");
        } else if (strcmp(call->action, "ReplaceCertificate") == 0)
                replace_answer(body, ret);
        else
                ret->body = act_answer(call);
        json_decref(body);
}

/* ---- this side ---- */

static struct ca *ca;
static const struct ca_ops *ops;
static char memory_key[4][80], memory_value[4][160];

static bool remember(void *arg, const char *name, const char *key, const char *value)
{
        (void)arg;
        assert_string_equal(name, "tencent");
        for (int i = 0; i < 4; i++)
                if (!*memory_key[i] || strcmp(memory_key[i], key) == 0) {
                        snprintf(memory_key[i], sizeof memory_key[i], "%s", value ? key : "");
                        snprintf(memory_value[i], sizeof memory_value[i], "%s", value ? value : "");
                        return true;
                }
        return false;
}

static char *recall(void *arg, const char *name, const char *key)
{
        (void)arg;
        (void)name;
        for (int i = 0; i < 4; i++)
                if (strcmp(memory_key[i], key) == 0)
                        return text_dup(memory_value[i]);
        return NULL;
}

static void open_ca(void)
{
        struct secret id = { (uint8_t *)(uintptr_t) "AKIDTEST", 8 }, key = { (uint8_t *)(uintptr_t) "SECRETKEY", 9 };
        struct tencent_conf conf = { .endpoint = (char *)(uintptr_t) "https://ssl.tencentcloudapi.com",
                .secret_id = { SECRET_ENV, (char *)(uintptr_t) "ID", NULL, &id },
                .secret_key = { SECRET_ENV, (char *)(uintptr_t) "KEY", NULL, &key } };
        const struct ca_env env = { .name = "tencent", .remember = remember, .recall = recall };
        struct err e;

        ops = ca_ops_find("tencent");
        assert_true(ops->open(&ca, &env, &conf, &e));
}

static int begin(void **state)
{
        (void)state;
        fake_reset();
        memset(&account, 0, sizeof account);
        memset(memory_key, 0, sizeof memory_key);
        entry_new("a1B2c3D4", 1)->pem = CRT_B;
        open_ca();
        return 0;
}

static int end(void **state)
{
        (void)state;
        ops->close(ca);
        assert_null(fake_timers);
        assert_null(fake_calls);
        return 0;
}

static bool finished;
static struct err got;
static struct ca_subject subject;
static bool has_subject;
static char got_id[CA_ID_MAX];
static char *got_text;
static struct {
        bool ready, validation, person;
        size_t proofs;
        enum ca_end end;
        int64_t poll_ms;
} seen;

static void keep_err(const struct err *err)
{
        assert_false(finished);
        finished = true;
        got = err ? *err : (struct err){ 0 };
}

static void on_subject(void *arg, const struct ca_subject *s, const struct err *err)
{
        (void)arg;
        keep_err(err);
        ca_subject_done(&subject);
        has_subject = s != NULL;
        if (s)
                assert_true(ca_subject_copy(&subject, s));
}

static void on_id(void *arg, const char *id, const struct err *err)
{
        (void)arg;
        keep_err(err);
        snprintf(got_id, sizeof got_id, "%s", id ? id : "");
}

static void on_view(void *arg, const struct ca_view *v, const struct err *err)
{
        (void)arg;
        keep_err(err);
        memset(&seen, 0, sizeof seen);
        if (!v)
                return;
        seen.ready = v->ready;
        seen.validation = v->validation_wanted;
        seen.person = v->person_wanted;
        seen.proofs = v->proof_count;
        seen.end = v->end;
        seen.poll_ms = v->poll_after_ms;
}

static void on_done(void *arg, const struct err *err)
{
        (void)arg;
        keep_err(err);
}

static void on_text(void *arg, const char *text, size_t len, const struct err *err)
{
        (void)arg;
        keep_err(err);
        free(got_text);
        got_text = text ? text_dup_n(text, len) : NULL;
}

static int64_t wait_for(struct ca_call *call, const struct err *e)
{
        if (!call)
                fail_msg("not started: %s", e->text);
        assert_false(finished);
        return fake_run(&finished);
}

static void inspect(const struct ca_subject_request *change)
{
        struct ca_subject_request r = change ? *change : (struct ca_subject_request){ .validation = VALIDATION_DNS };
        struct err e;

        if (!r.certificate_id)
                r.certificate_id = "a1B2c3D4";
        finished = false;
        wait_for(ops->inspect(ca, &r, on_subject, NULL, &e), &e);
}

static const struct ca_order_request order_request = { .subject_id = "a1B2c3D4",
        .csr_pem = CSR_A,
        .validation = VALIDATION_DNS,
        .reason = "key compromised\n",
        .submitted_at_s = 1700000000,
        .spki_hex = SPKI_A };

static void order(void)
{
        struct err e;

        finished = false;
        wait_for(ops->order(ca, &order_request, on_id, NULL, &e), &e);
}

static int64_t resolve(const struct ca_order_request *r)
{
        struct err e;

        finished = false;
        return wait_for(ops->resolve(ca, r ? r : &order_request, on_id, NULL, &e), &e);
}

static void view(const char *id)
{
        struct err e;

        finished = false;
        wait_for(ops->view(ca, id, on_view, NULL, &e), &e);
}

/* ---- tests ---- */

static void a_whole_reissue_from_look_to_chain(void **state)
{
        (void)state;
        struct err e;

        inspect(NULL);
        assert_int_equal(got.kind, ERR_NONE);
        assert_int_equal(fake_sent, 2); /* the certificate and what runs, at once */
        assert_string_equal(subject.id, "a1B2c3D4");
        assert_string_equal(subject.spki_hex, SPKI_B);
        assert_string_equal(subject.common_name, "www.example.com");
        assert_int_equal(subject.names.count, 2);
        assert_string_equal(subject.exclusive.item[0], "example.com");
        assert_string_equal(subject.product, "TrustAsia DV multi-domain");
        assert_int_equal(subject.key_type, KEY_RSA_2048);
        assert_true(subject.validation_expected);
        order();
        assert_int_equal(got.kind, ERR_NONE);
        assert_string_equal(got_id, "e5F6g7H8");
        assert_int_equal(account.replaces, 1);
        assert_non_null(strstr(account.replace_body, "\"CsrType\":\"upload\""));
        assert_non_null(strstr(account.replace_body, "\"ValidType\":\"DNS\""));
        assert_non_null(strstr(account.replace_body, "\"Reason\":\"key compromised \""));
        assert_non_null(strstr(account.replace_body, "BEGIN CERTIFICATE REQUEST"));
        view(got_id);
        assert_int_equal(seen.proofs, 1);
        assert_true(seen.validation);
        finished = false;
        wait_for(ops->validate(ca, "e5F6g7H8", on_done, NULL, &e), &e);
        assert_int_equal(got.kind, ERR_NONE);
        assert_int_equal(account.completes, 1);
        struct entry *n = entry_of("e5F6g7H8");
        n->status = 1;
        n->asks = false;
        n->pem = CRT_A;
        view("e5F6g7H8");
        assert_true(seen.ready);
        finished = false;
        wait_for(ops->fetch(ca, "e5F6g7H8", on_text, NULL, &e), &e);
        assert_string_equal(got_text, CRT_A);
        inspect(NULL); /* the old id leads to the new certificate */
        assert_string_equal(subject.id, "e5F6g7H8");
        assert_int_equal(subject.replaced.count, 2);
        assert_string_equal(subject.replaced.item[0], "a1B2c3D4");
}

/* The answer comes when the caller may have another key already: what he said is copied. */
static void the_same_csr_is_promised_only_for_the_key_of_the_newest(void **state)
{
        (void)state;
        static const char *const live[] = { SPKI_B, SPKI_A };

        for (int i = 0; i < 2; i++) {
                char key[65];
                struct ca_subject_request r = { .certificate_id = "a1B2c3D4", .reuse_spki_hex = key };
                struct err e;

                snprintf(key, sizeof key, "%s", live[i]);
                finished = false;
                struct ca_call *call = ops->inspect(ca, &r, on_subject, NULL, &e);
                memset(key, '0', 64);
                wait_for(call, &e);
                assert_int_equal(subject.same_csr, i == 0);
        }
}

static void the_original_csr_is_sent_only_for_the_same_csr(void **state)
{
        (void)state;
        struct ca_order_request r = order_request;
        struct err e;

        r.csr_pem = NULL;
        assert_null(ops->order(ca, &r, on_id, NULL, &e));
        assert_int_equal(e.kind, ERR_BUG);
        r.same_csr = true;
        finished = false;
        wait_for(ops->order(ca, &r, on_id, NULL, &e), &e);
        assert_non_null(strstr(account.replace_body, "\"CsrType\":\"original\""));
        assert_null(strstr(account.replace_body, "CsrContent"));
}

/* Whatever the service shows and however late: one ReplaceCertificate, one order, ours. */
static void a_lost_answer_is_resolved_without_a_second_write(void **state)
{
        (void)state;
        static const enum replace_fault faults[] = { REPLACE_LOST, REPLACE_INTERNAL, REPLACE_CUT };
        static const int64_t lags[] = { 0, 3000, 45000 };

        for (unsigned variant = 0; variant < 64; variant++)
                for (size_t f = 0; f < ARRAY_LEN(faults); f++)
                        for (size_t l = 0; l < ARRAY_LEN(lags); l++) {
                                end(NULL);
                                begin(NULL);
                                account.fault = faults[f];
                                account.lag_ms = lags[l];
                                account.same_id = variant & 1;
                                account.eleven_on_old = variant & 2;
                                account.eleven_on_new = variant & 4;
                                account.no_link_on_old = variant & 8;
                                account.no_link_on_new = variant & 16;
                                account.hide_csr = variant & 32;
                                order();
                                assert_int_equal(got.kind, ERR_UNKNOWN);
                                assert_non_null(
                                        strstr(got.fix, "https://console.cloud.tencent.com/ssl/detail/a1B2c3D4"));
                                resolve(NULL);
                                assert_int_equal(got.kind, ERR_NONE);
                                if (strcmp(got_id, account.same_id ? "a1B2c3D4" : "e5F6g7H8") != 0)
                                        fail_msg("variant %u lag %lld: %s", variant, (long long)lags[l], got_id);
                                assert_int_equal(account.replaces, 1);
                        }
}

static void what_was_not_processed_is_known_after_a_minute_and_not_before(void **state)
{
        (void)state;
        account.fault = REPLACE_DROPPED;
        order();
        assert_int_equal(got.kind, ERR_UNKNOWN);
        int64_t spent_ms = resolve(NULL);
        assert_int_equal(got.kind, ERR_NONE);
        assert_string_equal(got_id, "");
        assert_true(spent_ms >= 60000 && spent_ms < 120000);
        assert_int_equal(account.replaces, 1);
}

static void a_reissue_of_somebody_else_is_not_adopted(void **state)
{
        (void)state;
        struct ca_order_request r = order_request;

        account.fault = REPLACE_LOST;
        order();
        r.spki_hex = SPKI_OTHER; /* ours had another key than the CSR that the CA shows */
        resolve(&r);
        assert_int_equal(got.kind, ERR_NONE);
        assert_string_equal(got_id, "");
}

/* The same key in a new CSR: what is served already is no proof that anything was done. */
static void a_reissue_with_the_same_key_is_not_taken_for_done(void **state)
{
        (void)state;
        struct ca_order_request r = order_request;

        account.fault = REPLACE_DROPPED;
        r.csr_pem = CSR_B;
        r.spki_hex = SPKI_B;
        struct err e;
        finished = false;
        wait_for(ops->order(ca, &r, on_id, NULL, &e), &e);
        resolve(&r);
        assert_string_equal(got_id, "");
        /* in place, start unchanged: the fingerprint tells */
        finished = false;
        wait_for(ops->order(ca, &r, on_id, NULL, &e), &e);
        snprintf(account.item[0].print, sizeof account.item[0].print, "F-new");
        resolve(&r);
        assert_string_equal(got_id, "a1B2c3D4");
        view("a1B2c3D4");
        assert_true(seen.ready);
}

static void a_link_to_what_cannot_be_read_stays_unknown(void **state)
{
        (void)state;
        account.fault = REPLACE_LOST;
        account.lag_ms = (int64_t)DAY * 1000;
        order();
        resolve(NULL);
        assert_int_equal(got.kind, ERR_UNKNOWN);
        assert_non_null(strstr(got.text, "e5F6g7H8"));
        fake_advance((int64_t)DAY * 1000);
        resolve(NULL);
        assert_string_equal(got_id, "e5F6g7H8");
}

/* A reissue of long ago that was deleted: its link was there before the write. */
static void a_link_that_was_there_before_says_nothing(void **state)
{
        (void)state;
        snprintf(account.item[0].to, sizeof account.item[0].to, "deleted1");
        account.fault = REPLACE_DROPPED;
        order();
        assert_int_equal(account.replaces, 1);
        resolve(NULL);
        assert_int_equal(got.kind, ERR_NONE);
        assert_string_equal(got_id, "");
}

static void an_older_reissue_is_not_adopted(void **state)
{
        (void)state;
        struct entry *n = entry_new("old1", 7);

        snprintf(n->by, sizeof n->by, "a1B2c3D4");
        snprintf(account.item[0].to, sizeof account.item[0].to, "old1");
        n->inserted_s = 1700000000 - 301;
        resolve(NULL);
        assert_string_equal(got_id, "");
        n->inserted_s = 1700000000 - 299;
        resolve(NULL);
        assert_string_equal(got_id, "old1");
}

static void a_skewed_clock_hides_no_order(void **state)
{
        (void)state;
        static const int64_t skews[] = { -7200, 7200 };

        for (size_t i = 0; i < ARRAY_LEN(skews); i++) {
                end(NULL);
                begin(NULL);
                account.skew_s = skews[i];
                account.item[0].end_s += skews[i];
                account.fault = REPLACE_LOST;
                order();
                assert_int_equal(got.kind, ERR_UNKNOWN);
                resolve(NULL);
                assert_string_equal(got_id, "e5F6g7H8");
                assert_int_equal(account.replaces, 1);
                assert_int_equal(ops->server_time_s(ca), fake_wall_ms / 1000 + skews[i]);
                /* remembered: the next process signs right at once */
                ops->close(ca);
                open_ca();
                unsigned before = fake_sent;
                view("e5F6g7H8");
                assert_int_equal(got.kind, ERR_NONE);
                assert_int_equal(fake_sent - before, 1);
        }
}

static void nothing_is_sent_when_the_subject_is_not_the_newest_any_more(void **state)
{
        (void)state;
        static const struct {
                int head, newer;
                bool linked, stops;
        } row[] = { { 1, 1, true, true }, { 1, 0, true, true }, { 1, 11, true, true }, { 1, 3, true, true },
                { 1, 2, true, false }, { 1, 7, true, false }, { 11, 0, true, true }, { 11, 0, false, true },
                { 10, 1, false, true }, { 1, 1, false, false } };

        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                end(NULL);
                begin(NULL);
                struct entry *n = entry_new("new1", row[i].newer);
                n->inserted_s = 1700000000 - 60;
                account.item[0].status = row[i].head;
                if (row[i].linked)
                        snprintf(account.item[0].to, sizeof account.item[0].to, "new1");
                order();
                if (account.replaces != (row[i].stops ? 0 : 1))
                        fail_msg("row %zu: %u sent", i, account.replaces);
                assert_int_equal(got.kind, row[i].stops ? ERR_RULE : ERR_NONE);
        }
}

static void a_refusal_names_order_request_and_page(void **state)
{
        (void)state;
        account.fault = REPLACE_REFUSED;
        order();
        assert_int_equal(got.kind, ERR_DENIED);
        assert_string_equal(got.code, "tc.FailedOperation.OrderAlreadyReplaced");
        assert_non_null(strstr(got.text, "RequestId r-1"));
        assert_non_null(strstr(got.fix, "order a1B2c3D4 at https://console.cloud.tencent.com/ssl/detail/a1B2c3D4"));
}

static void under_the_same_id_the_view_waits_for_another_certificate(void **state)
{
        (void)state;
        account.same_id = true;
        order();
        assert_string_equal(got_id, "a1B2c3D4");
        view("a1B2c3D4");
        assert_false(seen.ready);
        account.item[0].status = 1; /* lagging: still the old one */
        view("a1B2c3D4");
        assert_false(seen.ready);
        ops->close(ca); /* over a restart */
        open_ca();
        view("a1B2c3D4");
        assert_false(seen.ready);
        snprintf(account.item[0].print, sizeof account.item[0].print, "F-other");
        view("a1B2c3D4");
        assert_true(seen.ready);
}

static void rules_refuse_before_anything_is_spent(void **state)
{
        (void)state;
        account.item[0].end_s = 1700000000 + 29 * DAY + 4 * 3600;
        inspect(NULL);
        assert_int_equal(got.kind, ERR_RULE);
        assert_string_equal(got.code, "R2");
        assert_true(has_subject);
        assert_int_equal(subject.not_after_s, account.item[0].end_s);
        account.item[0].end_s = 1700000000 + 90 * DAY;
        struct entry *n = entry_new("c9D8", 11);
        n->domain = "shop.example.com";
        inspect(NULL);
        assert_int_equal(got.kind, ERR_WAITING);
        assert_string_equal(got.code, "R4");
        assert_int_equal(got.retry_after_s, 600);
        struct ca_subject_request none = { .certificate_id = "nosuch", .validation = VALIDATION_DNS };
        inspect(&none);
        assert_int_equal(got.kind, ERR_CONFIG);
        assert_non_null(strstr(got.fix, "dcvctl import --from tencent"));
        assert_int_equal(account.replaces, 0);
}

static void a_running_reissue_is_resumed_with_its_key(void **state)
{
        (void)state;
        order();
        inspect(NULL);
        assert_int_equal(got.kind, ERR_NONE);
        assert_string_equal(subject.resume_id, "e5F6g7H8");
        assert_string_equal(subject.resume_spki_hex, SPKI_A);
        assert_string_equal(subject.id, "a1B2c3D4");
        account.no_link_on_old = true; /* only the list shows it */
        inspect(NULL);
        assert_string_equal(subject.resume_id, "e5F6g7H8");
        assert_string_equal(subject.resume_spki_hex, SPKI_A);
}

static void a_csr_from_elsewhere_is_held_against_the_names(void **state)
{
        (void)state;
        struct ca_subject_request r = { .validation = VALIDATION_DNS, .csr_pem = CSR_B, .compromised = true };
        struct err e;

        inspect(&r);
        assert_string_equal(got.code, "R13");
        r.csr_pem = CSR_A;
        inspect(&r);
        assert_int_equal(got.kind, ERR_NONE);
        r.csr_pem = "no CSR";
        r.certificate_id = "a1B2c3D4";
        assert_null(ops->inspect(ca, &r, on_subject, NULL, &e));
        r.csr_pem = NULL;
        r.certificate_id = "../x";
        assert_null(ops->inspect(ca, &r, on_subject, NULL, &e));
        assert_int_equal(e.kind, ERR_CONFIG);
}

static void the_issue_time_comes_from_the_log(void **state)
{
        (void)state;
        account.item[0].begin_s = 1700000000 - 80 * 3600;
        account.log_issued_s = 1700000000 - 41 * 3600;
        inspect(NULL);
        assert_int_equal(account.logs, 1);
        assert_false(subject.validation_expected);
        bool noted = false;
        for (size_t i = 0; i < subject.notes.count; i++)
                noted = noted || strcmp(subject.notes.item[i], "R8: no validation needed: 41 h since issue") == 0;
        assert_true(noted);
}

static void proofs_whose_validation_is_in_doubt_are_asked_about_now_and_then(void **state)
{
        (void)state;
        order();
        snprintf(account.item[1].msg, sizeof account.item[1].msg, "CA-REVIEWING");
        account.check_result = "[{'Domain':'example.com','LocalCheck':1,'CaCheck':-1}]";
        view("e5F6g7H8");
        assert_true(seen.validation);
        assert_int_equal(account.checks, 1);
        view("e5F6g7H8");
        assert_int_equal(account.checks, 1); /* not within ten seconds */
        fake_advance(11000);
        account.check_result = "[{'Domain':'example.com','LocalCheck':1,'CaCheck':2}]";
        view("e5F6g7H8");
        assert_int_equal(account.checks, 2);
        assert_false(seen.validation);
        assert_true(seen.person);
        struct err e;
        finished = false;
        wait_for(ops->diagnose(ca, "e5F6g7H8", on_text, NULL, &e), &e);
        assert_string_equal(got_text, "example.com: Tencent sees it; the CA has validated it\n");
}

static void brands_that_look_by_themselves_are_not_told(void **state)
{
        (void)state;
        static const struct {
                const char *package;
                unsigned completes;
        } row[] = { { "11", 1 }, { "43", 0 }, { "28", 0 }, { "54", 0 }, { "5", 1 } };
        struct err e;

        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                end(NULL);
                begin(NULL);
                account.item[0].package = row[i].package;
                account.item[0].status = 0;
                for (int n = 0; n < 2; n++) { /* the second within ten seconds is not sent */
                        finished = false;
                        wait_for(ops->validate(ca, "a1B2c3D4", on_done, NULL, &e), &e);
                        assert_int_equal(got.kind, ERR_NONE);
                }
                assert_int_equal(account.completes, row[i].completes);
        }
}

static void cancelling_tries_the_audit_first_and_believes_the_state(void **state)
{
        (void)state;
        static const struct {
                const char *what;
                bool result;
                const char *audit_error, *cancel_error;
                int status;
                unsigned audits, cancels;
                enum err_kind kind;
        } row[] = {
                { "withdrawn", true, NULL, NULL, 0, 1, 0, ERR_NONE },
                { "result false, cancelled as an order", false, NULL, NULL, 0, 1, 1, ERR_NONE },
                { "refused, cancelled as an order", false, "FailedOperation.CancelAuditCertificateFailed", NULL, 0, 1,
                        1, ERR_NONE },
                { "both refused", false, NULL, "FailedOperation.CancelOrderFailed", 0, 1, 1, ERR_DENIED },
                { "refused because it is cancelled already", false, NULL, NULL, 7, 1, 0, ERR_NONE },
                { "refused because it is issued", false, NULL, NULL, 1, 1, 0, ERR_DENIED },
                { "answer lost, being cancelled", false, "InternalError", NULL, 6, 1, 0, ERR_NONE },
                { "both lost, nothing happened", false, "InternalError", "InternalError", 0, 1, 1, ERR_UNKNOWN },
        };
        struct err e;

        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                end(NULL);
                begin(NULL);
                account.audit_result = row[i].result;
                account.audit_error = row[i].audit_error;
                account.cancel_error = row[i].cancel_error;
                account.item[0].status = row[i].status;
                finished = false;
                wait_for(ops->cancel_order(ca, "a1B2c3D4", on_done, NULL, &e), &e);
                if (got.kind != row[i].kind || account.audits != row[i].audits || account.cancels != row[i].cancels)
                        fail_msg("%s: %s %u %u", row[i].what, err_kind_name(got.kind), account.audits, account.cancels);
        }
}

static void fetch_waits_for_the_certificate(void **state)
{
        (void)state;
        struct err e;

        account.item[0].status = 0;
        finished = false;
        wait_for(ops->fetch(ca, "a1B2c3D4", on_text, NULL, &e), &e);
        assert_int_equal(got.kind, ERR_TEMPORARY);
}

static size_t listed;

static void on_list(void *arg, const struct ca_listed *list, size_t count, const struct err *err)
{
        (void)arg;
        keep_err(err);
        listed = count;
        for (size_t i = 0; i < count; i++) {
                if (strcmp(list[i].id, "a1B2c3D4") == 0)
                        assert_string_equal(list[i].rule, "");
                else if (strcmp(list[i].id, "late") == 0)
                        assert_string_equal(list[i].rule, "R2");
                else if (strcmp(list[i].id, "used") == 0)
                        assert_string_equal(list[i].rule, "R3");
                else
                        assert_string_equal(list[i].rule, "R1");
        }
        assert_int_equal(list[count - 1].reissuable_until_s, account.item[0].end_s - 30 * DAY);
}

static void the_list_names_the_rule_in_the_way(void **state)
{
        (void)state;
        struct err e;

        entry_new("late", 1)->end_s = 1700000000 + 30 * DAY;
        struct entry *n = entry_new("used", 1);
        n->package = "83";
        n->vip = false;
        snprintf(n->by, sizeof n->by, "gone");
        entry_new("dead", 10);
        finished = false;
        wait_for(ops->list(ca, NULL, on_list, NULL, &e), &e);
        assert_int_equal(got.kind, ERR_NONE);
        assert_int_equal(listed, 4);
}

/* Time alone reissues nothing: only order() does. */
static void a_hundred_years_send_no_replace(void **state)
{
        (void)state;
        order();
        assert_int_equal(account.replaces, 1);
        for (int week = 0; week < 100 * 52; week++) {
                fake_advance((int64_t)7 * DAY * 1000);
                inspect(NULL);
                view("e5F6g7H8");
                if (week % 100 == 0)
                        entry_of("e5F6g7H8")->status = week % 300 == 0 ? 1 : 2;
        }
        assert_int_equal(account.replaces, 1);
}

static void close_in_callback(void *arg, const struct ca_view *v, const struct err *err)
{
        (void)arg;
        (void)v;
        (void)err;
        ops->close(ca);
        finished = true;
}

static void the_ca_may_be_closed_by_a_callback(void **state)
{
        (void)state;
        struct err e;

        for (int good = 0; good < 2; good++) {
                finished = false;
                wait_for(ops->view(ca, good ? "a1B2c3D4" : "nosuch", close_in_callback, NULL, &e), &e);
                open_ca();
        }
}

static void on_never(void *arg, const struct ca_subject *s, const struct err *err)
{
        (void)arg;
        (void)s;
        (void)err;
        fail_msg("called back after cancel");
}

static void never_done(void *arg, const struct err *err)
{
        (void)arg;
        (void)err;
        fail_msg("called back after cancel");
}

static void never_id(void *arg, const char *id, const struct err *err)
{
        (void)arg;
        (void)id;
        (void)err;
        fail_msg("called back after cancel");
}

/* Cancelled after every number of answers it may have had. */
static void a_cancelled_call_is_silent_at_every_step(void **state)
{
        (void)state;
        struct ca_subject_request r = { .certificate_id = "a1B2c3D4", .validation = VALIDATION_DNS };
        struct err e;

        for (unsigned steps = 0; steps < 2; steps++) {
                struct ca_call *call = ops->inspect(ca, &r, on_never, NULL, &e);
                for (unsigned i = 0; i < steps && fake_calls; i++)
                        fake_deliver(fake_calls);
                ops->cancel(ca, call);
                fake_run(NULL);
        }
        for (unsigned steps = 0; steps < 2; steps++) {
                struct ca_call *call = ops->order(ca, &order_request, never_id, NULL, &e);
                for (unsigned i = 0; i < steps && fake_calls; i++)
                        fake_deliver(fake_calls);
                ops->cancel(ca, call);
                fake_run(NULL);
        }
        for (unsigned steps = 0; steps < 4; steps++) {
                struct ca_call *call = ops->resolve(ca, &order_request, never_id, NULL, &e);
                for (unsigned i = 0; i < steps && fake_calls; i++)
                        fake_deliver(fake_calls);
                ops->cancel(ca, call);
                fake_run(NULL);
        }
        assert_non_null(ops->cancel_order(ca, "a1B2c3D4", never_done, NULL, &e));
        ops->close(ca); /* closing cancels */
        fake_run(NULL);
        open_ca();
}

static void both_cas_are_registered(void **state)
{
        (void)state;
        const struct ca_ops *acme = ca_ops_find("acme");

        assert_non_null(acme);
        assert_null(acme->not_in_build);
        assert_int_equal(acme->can, CONF_CA_ISSUES | CONF_CA_RENEWS | CONF_CA_REISSUES | CONF_CA_TLS_ALPN);
        assert_null(ca_ops_find("nobody"));
        assert_int_equal(
                ca_ops_find("tencent")->can, CONF_CA_REISSUES | CONF_CA_DNS_AUTO | CONF_CA_NEEDS_CERTIFICATE_ID);
        for (const struct ca_ops *const *o = ca_registry; *o; o++)
                for (const struct conf_key *k = (*o)->keys; k->name; k++)
                        assert_true(k->offset < (*o)->conf_size);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_whole_reissue_from_look_to_chain),
                TEST(the_same_csr_is_promised_only_for_the_key_of_the_newest),
                TEST(the_original_csr_is_sent_only_for_the_same_csr),
                TEST(a_lost_answer_is_resolved_without_a_second_write),
                TEST(what_was_not_processed_is_known_after_a_minute_and_not_before),
                TEST(a_reissue_of_somebody_else_is_not_adopted),
                TEST(a_reissue_with_the_same_key_is_not_taken_for_done),
                TEST(a_link_to_what_cannot_be_read_stays_unknown),
                TEST(a_link_that_was_there_before_says_nothing),
                TEST(an_older_reissue_is_not_adopted),
                TEST(a_skewed_clock_hides_no_order),
                TEST(nothing_is_sent_when_the_subject_is_not_the_newest_any_more),
                TEST(a_refusal_names_order_request_and_page),
                TEST(under_the_same_id_the_view_waits_for_another_certificate),
                TEST(rules_refuse_before_anything_is_spent),
                TEST(a_running_reissue_is_resumed_with_its_key),
                TEST(a_csr_from_elsewhere_is_held_against_the_names),
                TEST(the_issue_time_comes_from_the_log),
                TEST(proofs_whose_validation_is_in_doubt_are_asked_about_now_and_then),
                TEST(brands_that_look_by_themselves_are_not_told),
                TEST(cancelling_tries_the_audit_first_and_believes_the_state),
                TEST(fetch_waits_for_the_certificate),
                TEST(the_list_names_the_rule_in_the_way),
                TEST(a_hundred_years_send_no_replace),
                TEST(the_ca_may_be_closed_by_a_callback),
                TEST(a_cancelled_call_is_silent_at_every_step),
                TEST(both_cas_are_registered),
        };
        int failed = cmocka_run_group_tests(tests, NULL, NULL);

        ca_subject_done(&subject);
        free(got_text);
        return failed;
}
