#include "test.h"

#include "agent/base/util.h"
#include "agent/ca/tencent/account.h"
#include "agent/ca/tencent/check.h"
#include "cert_text.h"

static void a_certificate_is_read_field_by_field(void **state)
{
        (void)state;
        struct tc_cert c = cert_of(
                "{'CertificateId':'a1B2c3D4','From':'trustasia','PackageType':'83','IsVip':false,'Domain':'WWW.Example."
                "com.',"
                "'SubjectAltName':['www.example.com','example.com',null,5],'CertSANs':['*.a.example.com'],'Status':11,"
                "'StatusMsg':'PENDING-DCV','VerifyType':'DNS','CertBeginTime':'2025-01-01 "
                "08:00:00','CertEndTime':'2025-02-26 07:59:59',"
                "'InsertTime':'2025-01-01 "
                "07:00:00','DVAuthDeadline':'--','CertificateExtra':{'ReplacedBy':'z9','ReplacedFor':null},"
                "'DvAuthDetail':{'DvAuthKey':'k','DvAuths':[{'DvAuthKey':'a','DvAuthValue':'b'},7,{'DvAuthKey':'c'}]},"
                "'CertificatePublicKey':'PEM','SubmittedData':{'CsrContent':'CSR'}}");

        assert_string_equal(c.id, "a1B2c3D4");
        assert_int_equal(c.package, 83);
        assert_string_equal(c.domain, "www.example.com");
        assert_int_equal(c.names.count, 3);
        assert_string_equal(c.names.item[2], "*.a.example.com");
        assert_true(tc_cert_has_wildcard(&c));
        assert_int_equal(c.status, TC_REISSUING);
        assert_int_equal(c.end_s, 1740527999);
        assert_int_equal(c.validate_by_s, 0);
        assert_string_equal(c.replaced_by, "z9");
        assert_string_equal(c.replaced_for, "");
        assert_int_equal(c.dv_count, 2);
        assert_string_equal(c.dv[0].value, "b");
        assert_null(c.dv[1].value);
        assert_string_equal(c.top.key, "k");
        assert_string_equal(c.pem, "PEM");
        assert_string_equal(c.csr, "CSR");
        tc_cert_done(&c);
}

static void fields_of_the_wrong_type_are_missing_fields(void **state)
{
        (void)state;
        struct tc_cert c =
                cert_of("{'CertificateId':'a','Status':'x','Domain':7,'SubjectAltName':{},'CertificateExtra':[],'"
                        "PackageType':null,"
                        "'DvAuthDetail':'s','StatusMsg':[],'IsVip':'no','CertEndTime':5,'SubmittedData':[1]}");

        assert_int_equal(c.status, TC_STATUS_MISSING);
        assert_true(tc_status_is_pending(c.status));
        assert_int_equal(c.package, -1);
        assert_null(c.domain);
        assert_int_equal(c.names.count, 0);
        assert_int_equal(c.is_vip, TC_UNKNOWN);
        assert_int_equal(c.dv_count, 0);
        tc_cert_done(&c);
}

static void ids_are_checked_and_a_reply_without_one_takes_what_was_asked(void **state)
{
        (void)state;
        static const char *const bad[] = { "{}", "{'CertificateId':''}", "{'CertificateId':'a/../b'}",
                "{'CertificateId':'a b'}",
                "{'CertificateId':'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}" };
        struct tc_cert c;

        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                json_t *v = json_of(bad[i]);
                assert_false(tc_cert_read(v, NULL, &c));
                assert_true(tc_cert_read(v, "asked1", &c));
                assert_string_equal(c.id, "asked1");
                tc_cert_done(&c);
                json_decref(v);
        }
}

static void products_follow_package_then_flags(void **state)
{
        (void)state;
        static const struct {
                const char *json, *text;
                bool free, waives, completes;
        } row[] = {
                { "{'CertificateId':'a','PackageType':'83','IsVip':false}", "TrustAsia DV, free", true, false, true },
                { "{'CertificateId':'a','PackageType':'83'}", "TrustAsia DV, free", true, false, true },
                { "{'CertificateId':'a','PackageType':83}", "TrustAsia DV, free", true, false, true },
                { "{'CertificateId':'a','PackageType':'2','IsVip':true}", "TrustAsia DV", false, true, true },
                { "{'CertificateId':'a','PackageType':'12','IsVip':true}", "TrustAsia DV wildcard", false, true, true },
                { "{'CertificateId':'a','PackageType':'42','IsVip':true}", "TrustAsia DV wildcard multi-domain", false,
                        true, true },
                { "{'CertificateId':'a','PackageType':'25','IsVip':true}", "Wotrus DV", false, true, false },
                { "{'CertificateId':'a','PackageType':'28','IsVip':true}", "Wotrus OV", false, true, false },
                { "{'CertificateId':'a','PackageType':'40'}", "Wotrus EV, SM2", false, true, false },
                { "{'CertificateId':'a','PackageType':'43'}", "DNSPod OV", false, false, false },
                { "{'CertificateId':'a','PackageType':'51'}", "DNSPod OV, SM2", false, true, false },
                { "{'CertificateId':'a','PackageType':'52'}", "DNSPod OV wildcard, SM2", false, true, false },
                { "{'CertificateId':'a','PackageType':'3'}", "SecureSite EV", false, false, true },
                { "{'CertificateId':'a','PackageType':'88'}", "GlobalSign OV wildcard multi-domain", false, false,
                        true },
                { "{'CertificateId':'a','PackageType':'101'}", "CFCA EV", false, false, true },
                { "{'CertificateId':'a','PackageType':'61'}", "GeoTrust EV multi-domain", false, false, true },
                { "{'CertificateId':'a','PackageType':'84'}", "unknown product 84", false, false, true },
                { "{'CertificateId':'a','PackageType':'84','IsDv':true,'IsVip':true}", "unknown product 84 DV", false,
                        true, true },
                { "{'CertificateId':'a','PackageType':'84','CertType':'OV'}", "unknown product 84 OV", false, false,
                        true },
                /* PackageType wins over a CertType that disagrees */
                { "{'CertificateId':'a','PackageType':'5','CertType':'DV'}", "SecureSite OV", false, false, true },
                { "{'CertificateId':'a','PackageType':'11','CertificateExtra':{'SMCert':1},'IsVip':true}",
                        "TrustAsia DV multi-domain, SM2", false, true, true },
                { "{'CertificateId':'a','PackageType':null}", "uploaded certificate", false, false, true },
        };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct tc_cert c = cert_of(row[i].json);
                struct tc_product p = tc_product_of(&c);
                char text[120];

                tc_product_text(&c, text, sizeof text);
                assert_string_equal(text, row[i].text);
                if (p.free != row[i].free || tc_product_waives(p) != row[i].waives ||
                        tc_product_can_complete(p) != row[i].completes)
                        fail_msg("%s", row[i].text);
                tc_cert_done(&c);
        }
}

static void pages_are_joined_without_doubles_while_the_list_changes(void **state)
{
        (void)state;
        struct tc_account a = { 0 };
        json_t *p1 = json_of("{'TotalCount':5,'Certificates':[{'CertificateId':'a'},{'CertificateId':'b'},{'"
                             "CertificateId':'bad id'}]}");
        json_t *p2 = json_of("{'TotalCount':4,'Certificates':[{'CertificateId':'b'},{'CertificateId':'d'}]}");
        json_t *none = json_of("{'TotalCount':4,'Certificates':[]}");

        assert_int_equal(tc_account_add(&a, p1), TC_PAGE_MORE);
        assert_int_equal(a.offset, 3);
        /* one of the first three went away meanwhile: the next page begins one earlier */
        assert_int_equal(tc_account_add(&a, p2), TC_PAGE_LAST);
        assert_int_equal(a.count, 3);
        assert_int_equal(a.offset, 4);
        assert_int_equal(tc_account_add(&a, none), TC_PAGE_LAST);
        tc_account_done(&a);
        json_decref(p1);
        json_decref(p2);
        json_decref(none);
}

static void a_request_for_a_page_names_its_filters(void **state)
{
        (void)state;
        struct tc_account a = { .offset = 200 };
        json_t *p = tc_account_request(&a, tc_running_statuses, "x");

        assert_int_equal(json_integer_value(json_object_get(p, "Offset")), 200);
        assert_int_equal(json_integer_value(json_object_get(p, "Limit")), 100);
        assert_string_equal(json_string_value(json_object_get(p, "SearchKey")), "x");
        assert_int_equal(json_array_size(json_object_get(p, "CertificateStatus")), 6);
        json_decref(p);
        p = tc_account_request(&a, NULL, NULL);
        assert_int_equal(json_object_size(p), 2);
        json_decref(p);
}

static void checks_are_told_in_words(void **state)
{
        (void)state;
        static const struct {
                const char *json, *has;
                enum tc_known validated;
        } row[] = {
                { "[{'Domain':'a.example','VerifyType':'DNS','LocalCheck':1,'CaCheck':2}]",
                        "a.example by DNS: Tencent sees it; the CA has validated it", TC_YES },
                { "[{'Domain':'a','LocalCheck':1,'CaCheck':-1}]", "Tencent sees it; the CA has not validated it yet",
                        TC_NO },
                { "[{'Domain':'a','LocalCheck':-1,'CaCheck':-1}]", "TXT record not found (found: nothing)", TC_NO },
                { "[{'Domain':'a','LocalCheck':-1,'Frequently':true}]", "Tencent checks less often now", TC_UNKNOWN },
                { "[{'Domain':'a','LocalCheck':-2,'CheckValue':['old',null,'\\u001b[2J']}]",
                        "another value (found: old, \\x1b[2J)", TC_NO },
                { "[{'Domain':'a','LocalCheck':-3}]", "name servers not found", TC_NO },
                { "[{'Domain':'a','LocalCheck':-8}]", "name servers not found", TC_NO },
                { "[{'Domain':'a','LocalCheck':-4}]", "file not found", TC_NO },
                { "[{'Domain':'a','LocalCheck':-9}]", "file not found", TC_NO },
                { "[{'Domain':'a','LocalCheck':-5}]", "file has another content", TC_NO },
                { "[{'Domain':'a','LocalCheck':-10,'LocalCheckFailReason':'404 here'}]",
                        "file has another content, 404 here", TC_NO },
                { "[{'Domain':'a','LocalCheck':-6}]", "CNAME record not found", TC_NO },
                { "[{'Domain':'a','LocalCheck':-7}]", "CNAME record leads elsewhere", TC_NO },
                { "[{'Domain':'a','LocalCheck':-77}]", "check not described", TC_NO },
                { "[{'Domain':'a','Issued':true}]", "; issued", TC_YES },
                { "[{'Domain':'a','CaCheck':2},{'Domain':'b','CaCheck':-1}]", "b: ", TC_NO },
                { "[{'Domain':'a','CaCheck':2},{'Domain':'b','Frequently':true}]", "b: ", TC_UNKNOWN },
                { "[]", "says nothing", TC_UNKNOWN },
                { "null", "says nothing", TC_UNKNOWN },
                { "[7]", "", TC_NO },
        };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                json_t *o = json_object();
                struct buf b = { 0 };
                json_object_set_new(o, "VerificationResults", json_of(row[i].json));
                assert_true(tc_check_text(o, &b));
                if (b.data && !strstr(b.data, row[i].has))
                        fail_msg("%s gives %s", row[i].json, b.data);
                if (tc_check_validated(o) != row[i].validated)
                        fail_msg("%s", row[i].json);
                buf_done(&b);
                json_decref(o);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_certificate_is_read_field_by_field),
                cmocka_unit_test(fields_of_the_wrong_type_are_missing_fields),
                cmocka_unit_test(ids_are_checked_and_a_reply_without_one_takes_what_was_asked),
                cmocka_unit_test(products_follow_package_then_flags),
                cmocka_unit_test(pages_are_joined_without_doubles_while_the_list_changes),
                cmocka_unit_test(a_request_for_a_page_names_its_filters),
                cmocka_unit_test(checks_are_told_in_words),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
