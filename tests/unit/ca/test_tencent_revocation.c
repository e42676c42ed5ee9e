/* What a revocation at Tencent Cloud would do, for each kind of certificate that its documentation tells apart. */
#include "test.h"

#include <string.h>

#include "agent/base/util.h"
#include "agent/ca/tencent/revocation.h"
#include "cert_text.h"

/* The end is 2027-01-04T23:59:59Z. */
#define END_S 1799107199
#define DAY 86400
#define CERT(more)                                                                                                     \
        "{'CertificateId':'O','Domain':'www.example.com','Status':1,'CertBeginTime':'2026-01-05 08:00:00',"            \
        "'CertEndTime':'2027-01-05 07:59:59'," more "}"
#define TRUSTASIA_DV "'PackageType':'11','IsVip':true"
#define TRUSTASIA_OV "'PackageType':'14','IsVip':true"
#define WOTRUS_OV "'PackageType':'28','IsVip':true"
#define SM2_DV "'PackageType':'54','IsVip':true"
#define SM2_OV "'PackageType':'51','IsVip':true"
#define LINKED(field) ",'CertificateExtra':{'" field "':'X'}"
#define BEGUN(day) ",'CertBeginTime':'" day "'"

static void each_kind_of_certificate_has_its_own_answer(void **state)
{
        static const struct {
                const char *cert, *other;
                int64_t left_s; /* 0: 200 days */
                const char *code; /* NULL: it may be */
                const char *said, *absent;
        } row[] = {
                { CERT(TRUSTASIA_DV), NULL, 0, NULL,
                        "O can be revoked by itself while it has no reissue; it needs a validation of its own within "
                        "3 d, and is final, not possible from 2026-12-05 on",
                        "original" },
                { CERT(TRUSTASIA_OV), NULL, 0, NULL, "a stamped letter of your company", "validation" },
                { CERT(WOTRUS_OV), NULL, 0, NULL, "a person at the CA approves it", "2026-12-05" },
                { CERT(SM2_DV), NULL, 0, NULL, "a person at the CA approves it", "letter" },
                { CERT(SM2_OV), NULL, 0, NULL, "a stamped letter of your company", "2026-12-05" },
                /* uploaded, whatever else there is */
                { CERT(TRUSTASIA_DV ",'From':'upload'"), NULL, 0, "tc.uploaded",
                        "O was uploaded: Tencent does not revoke it; revoke it at its CA", "original" },
                { CERT("'From':'upload'" LINKED("ReplacedFor")), "Y", DAY, "tc.uploaded", "was uploaded", "both" },
                /* issued before 2020-03-25 */
                { "{'CertificateId':'O','Status':1," TRUSTASIA_DV BEGUN("2020-03-24 23:59:59") "}", NULL, 0,
                        "tc.too-old", "O was issued before 2020-03-25", "both" },
                { "{'CertificateId':'O','Status':1," TRUSTASIA_DV BEGUN("2020-03-25 00:00:00") "}", NULL, 0, NULL,
                        "can be revoked", "2020" },
                /* the last 30 days */
                { CERT(TRUSTASIA_DV), NULL, 30 * DAY + 1, NULL, "can be revoked by itself", "last 30 d" },
                { CERT(TRUSTASIA_DV), NULL, 30 * DAY, "tc.near-end",
                        "O has 30 d left (until 2027-01-04): Tencent revokes nothing in its last 30 d", "both" },
                { CERT(TRUSTASIA_DV LINKED("ReplacedFor")), NULL, 29 * DAY, "tc.near-end", "in its last 30 d", "both" },
                { CERT(WOTRUS_OV), NULL, 29 * DAY, NULL, "can be revoked by itself", "30 d" },
                { CERT(SM2_OV), NULL, 29 * DAY, NULL, "can be revoked by itself", "30 d" },
                { CERT(WOTRUS_OV), NULL, -1, "tc.over", "O ended on 2027-01-04: there is nothing left to revoke",
                        "can" },
                /* original and reissue */
                { CERT(TRUSTASIA_DV LINKED("ReplacedFor")), NULL, 0, "tc.both",
                        "O and X are original and reissue: Tencent revokes both or none, through the original", NULL },
                { CERT(TRUSTASIA_DV LINKED("ReplacedBy")), NULL, 0, "tc.both", "O and X are", "by itself" },
                { CERT(WOTRUS_OV LINKED("ReplacedBy")), "Y", 0, "tc.both", "a person at the CA approves it", "X" },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct tc_revocation r;
                struct tc_cert c = cert_of(row[i].cert);
                tc_revocation_of(&c, row[i].other, END_S - (row[i].left_s ? row[i].left_s : 200 * DAY), &r);
                if (strcmp(r.code ? r.code : "", row[i].code ? row[i].code : "") != 0 || !strstr(r.text, row[i].said) ||
                        (row[i].absent && strstr(r.text, row[i].absent)))
                        fail_msg("row %zu: %s: %s", i, r.code ? r.code : "it may be", r.text);
                tc_cert_done(&c);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_kind_of_certificate_has_its_own_answer),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
