#include "test.h"

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "agent/ca/tencent/rules.h"
#include "agent/ca/tencent/time.h"
#include "cert_text.h"

/* The end is 2027-01-04T23:59:59Z, "now" is counted back from it. */
#define END "'CertEndTime':'2027-01-05 07:59:59'"
#define END_S 1799107199
#define DAY 86400
#define BEGIN "'CertBeginTime':'2026-01-05 08:00:00','InsertTime':'2026-01-05 07:00:00'"
#define ISSUED "'Status':1," BEGIN "," END
#define FREE "'PackageType':'83','IsVip':false"
#define PAID "'PackageType':'11','IsVip':true"
#define WOTRUS_OV "'PackageType':'28','IsVip':true"
#define SS_OV "'PackageType':'5','IsVip':true"
#define NAME "'Domain':'www.example.com'"
#define SPKI_OLD "1111111111111111111111111111111111111111111111111111111111111111"
#define SPKI_NEW "2222222222222222222222222222222222222222222222222222222222222222"

struct row {
        const char *what;
        const char *chain[3], *list[3]; /* JSON */
        int64_t left_s; /* of head, 0: 200 days */
        int64_t age_s; /* since issue; 0: 100 days */
        enum conf_validation validation;
        enum key_type key_type;
        bool compromised, force;
        const char *reuse; /* the live key, which may be used again */
        enum key_type reuse_type, key; /* key: what is to be made then; KEY_NONE: whatever */
        const char *csr_names, *csr_cn, *csr_spki; /* names separated by blanks; NULL: none */
        const char *running_spki, *head_spki; /* NULL: none; SPKI_OLD */
        const char *code, *text; /* refused with; NULL: not refused */
        enum err_kind kind;
        const char *note; /* that must be there */
        const char *absent; /* what no note may say */
        const char *resume; /* id */
        int dcv, person; /* 1 expected, -1 not, 0 whatever */
        int csr_again; /* the same CSR: as these */
};

static bool no_host(void *arg, const char *id)
{
        (void)arg;
        return strcmp(id, "ours1") == 0;
}

static size_t certs_of(const char *const *text, struct tc_cert *ret)
{
        size_t n = 0;

        for (; n < 3 && text[n]; n++)
                ret[n] = cert_of(text[n]);
        return n;
}

static void judge(const struct row *w)
{
        struct tc_chain chain = { 0 };
        struct tc_cert list[3], members[3];
        size_t count = certs_of(w->chain, members), listed = certs_of(w->list, list);
        struct csr csr = { 0 };
        struct tc_ruling r;

        for (size_t i = 0; i < count; i++)
                assert_true(tc_chain_add_own(&chain, &members[i]));
        tc_chain_sort(&chain);
        const struct tc_cert *head = tc_chain_head(&chain);
        const struct ca_subject_request request = { .certificate_id = "O",
                .validation = w->validation,
                .key_type = w->key_type,
                .compromised = w->compromised,
                .reuse_spki_hex = w->reuse,
                .reuse_type = w->reuse_type,
                .force = w->force };
        if (w->csr_names) {
                char *names = text_dup(w->csr_names);
                for (char *p = strtok(names, " "); p; p = strtok(NULL, " "))
                        texts_add(&csr.names, p);
                free(names);
                csr.common_name = text_dup(w->csr_cn);
                csr.key_type = KEY_RSA_2048;
                snprintf(csr.spki_hex, sizeof csr.spki_hex, "%s", w->csr_spki ? w->csr_spki : SPKI_NEW);
        }
        int64_t now_s = END_S - (w->left_s ? w->left_s : 200 * DAY);
        struct tc_facts f = { .chain = &chain,
                .head = head ? head : &chain.member[chain.count - 1],
                .list = list,
                .list_count = listed,
                .request = &request,
                .csr = w->csr_names ? &csr : NULL,
                .head_spki_hex = w->head_spki ? w->head_spki : SPKI_OLD,
                .running_spki_hex = w->running_spki ? w->running_spki : "",
                .now_s = now_s,
                .issued_s = now_s - (w->age_s ? w->age_s : 100 * DAY),
                .is_ours = no_host };
        clock_fake(now_s * 1000, 0);
        assert_true(tc_rules_apply(&f, &r));
        if (!w->code != (r.refused.kind == ERR_NONE) || (w->code && strcmp(w->code, r.refused.code) != 0))
                fail_msg("%s: got %s %s", w->what, r.refused.code, r.refused.text);
        if (w->text && !strstr(r.refused.text, w->text))
                fail_msg("%s: got text %s", w->what, r.refused.text);
        if (w->code && r.refused.kind != (w->kind ? w->kind : ERR_RULE))
                fail_msg("%s: got kind %s", w->what, err_kind_name(r.refused.kind));
        bool noted = !w->note;
        for (size_t i = 0; i < r.notes.count; i++) {
                noted = noted || strstr(r.notes.item[i], w->note);
                if (w->absent && strstr(r.notes.item[i], w->absent))
                        fail_msg("%s: says %s", w->what, r.notes.item[i]);
        }
        if (!noted)
                fail_msg("%s: no note %s", w->what, w->note);
        if (strcmp(r.resume_id, w->resume ? w->resume : "") != 0)
                fail_msg("%s: resumes %s", w->what, r.resume_id);
        if ((w->dcv && r.validation_expected != (w->dcv > 0)) || (w->person && r.person_expected != (w->person > 0)))
                fail_msg("%s: dcv %d person %d", w->what, r.validation_expected, r.person_expected);
        if (w->key && r.key_type != w->key)
                fail_msg("%s: key %s", w->what, key_type_name(r.key_type));
        if (w->csr_again && r.same_csr != (w->csr_again > 0))
                fail_msg("%s: same CSR %d", w->what, r.same_csr);
        tc_ruling_done(&r);
        tc_chain_done(&chain);
        texts_done(&csr.names);
        free(csr.common_name);
        for (size_t i = 0; i < listed; i++)
                tc_cert_done(&list[i]);
        clock_fake(-1, -1);
}

#define ONE(flags)                                                                                                     \
        {                                                                                                              \
                "{'CertificateId':'O'," ISSUED "," NAME "," flags "}"                                                  \
        }
#define REISSUED "{'CertificateId':'O'," ISSUED "," NAME "," FREE ",'CertificateExtra':{'ReplacedFor':'e5F6'}}"

static void every_rule_on_both_sides_of_its_boundary(void **state)
{
        (void)state;
        static const struct row rows[] = {
                /* R1 */
                { .what = "issued and free",
                        .chain = ONE(FREE),
                        .note = "same end date as before: 2027-01-04",
                        .dcv = 1,
                        .person = -1 },
                { .what = "uploaded by From",
                        .chain = ONE(FREE ",'From':'upload'"),
                        .code = "R1",
                        .text = "R1: O was uploaded" },
                { .what = "uploaded by package", .chain = ONE("'PackageType':null"), .code = "R1", .text = "uploaded" },
                { .what = "revoked",
                        .chain = { "{'CertificateId':'O','Status':10," BEGIN "," END "," FREE "," NAME "}" },
                        .code = "R1",
                        .text = "R1: O is not issued: status 10, revoked" },
                { .what = "expired",
                        .chain = { "{'CertificateId':'O','Status':3," END "," FREE "," NAME "}" },
                        .code = "R1",
                        .text = "status 3" },
                { .what = "first order still runs",
                        .chain = { "{'CertificateId':'O','Status':0," FREE "," NAME "}" },
                        .code = "R1",
                        .text = "status 0" },
                { .what = "first order runs, unknown status",
                        .chain = { "{'CertificateId':'O','Status':99," FREE "," NAME "}" },
                        .code = "R1",
                        .text = "status 99, unknown" },
                /* R2 */
                { .what = "one second over 30 d",
                        .chain = ONE(FREE),
                        .left_s = 30 * DAY + 1,
                        .note = "30 d left: a reissue is not a renewal" },
                { .what = "exactly 30 d",
                        .chain = ONE(FREE),
                        .left_s = 30 * DAY,
                        .code = "R2",
                        .text = "R2: 30 d left, a reissue needs more than 30 d; renew instead" },
                { .what = "29 d 4 h",
                        .chain = ONE(FREE),
                        .left_s = 29 * DAY + 4 * 3600,
                        .code = "R2",
                        .text = "R2: 29 d 4 h left, a reissue needs more than 30 d; renew instead" },
                { .what = "past its end", .chain = ONE(PAID), .left_s = -5, .code = "R2" },
                { .what = "no end known",
                        .chain = { "{'CertificateId':'O','Status':1," PAID "," NAME "}" },
                        .code = "R2",
                        .text = "not known" },
                /* R3 */
                { .what = "free, used",
                        .chain = { REISSUED,
                                "{'CertificateId':'e5F6','Status':1,'InsertTime':'2026-08-02 "
                                "10:00:00','CertBeginTime':'2026-08-02 08:00:00'," END "," FREE "," NAME
                                ",'CertificateExtra':{'ReplacedBy':'O'}}" },
                        .code = "R3",
                        .text = "R3: used on 2026-08-02 (now e5F6)" },
                { .what = "free, itself a reissue, original deleted",
                        .chain = ONE(FREE ",'CertificateExtra':{'ReplacedBy':'X'}"),
                        .code = "R3",
                        .text = "R3: used on 2026-01-04 (now O)" },
                { .what = "free, reissue revoked",
                        .chain = { REISSUED,
                                "{'CertificateId':'e5F6','Status':10,'InsertTime':'2026-08-02 10:00:00'," FREE "," NAME
                                ",'CertificateExtra':{'ReplacedBy':'O'}}" },
                        .code = "R3",
                        .text = "now e5F6" },
                { .what = "free, reissue failed: a warning",
                        .chain = { REISSUED,
                                "{'CertificateId':'e5F6','Status':2,'InsertTime':'2026-08-02 10:00:00'," FREE "," NAME
                                ",'CertificateExtra':{'ReplacedBy':'O'}}" },
                        .note = "R3: the reissue e5F6 ended without a certificate (review failed)" },
                { .what = "free, reissue cancelled: a warning",
                        .chain = { REISSUED,
                                "{'CertificateId':'e5F6','Status':7,'InsertTime':'2026-08-02 10:00:00'," FREE "," NAME
                                ",'CertificateExtra':{'ReplacedBy':'O'}}" },
                        .note = "R3: the reissue e5F6" },
                { .what = "paid, reissued before", .chain = ONE(PAID ",'CertificateExtra':{'ReplacedBy':'X'}") },
                { .what = "force does not lift R3",
                        .chain = ONE(FREE ",'CertificateExtra':{'ReplacedBy':'X'}"),
                        .force = true,
                        .code = "R3" },
                { .what = "force does not lift R2",
                        .chain = ONE(FREE),
                        .left_s = 30 * DAY,
                        .force = true,
                        .code = "R2" },
                /* R5 */
                { .what = "its reissue runs",
                        .chain = { REISSUED,
                                "{'CertificateId':'e5F6','Status':0,'InsertTime':'2026-08-02 10:00:00'," FREE "," NAME
                                ",'CertificateExtra':{'ReplacedBy':'O'}}" },
                        .resume = "e5F6",
                        .note = "R5: reissue e5F6 is running since 2026-08-02T02:00:00Z; resuming it" },
                { .what = "resumed even when too late for a new one",
                        .chain = { REISSUED,
                                "{'CertificateId':'e5F6','Status':0,'InsertTime':'2026-08-02 10:00:00'," FREE "," NAME
                                ",'CertificateExtra':{'ReplacedBy':'O'}}" },
                        .left_s = 5 * DAY,
                        .resume = "e5F6" },
                { .what = "its reissue runs, seen in the list only",
                        .chain = ONE(FREE),
                        .list = { "{'CertificateId':'e5F6','Status':4," NAME
                                  ",'CertificateExtra':{'ReplacedBy':'O'}}" },
                        .resume = "e5F6",
                        .note = "since an unknown time" },
                { .what = "running with the leaked key",
                        .chain = { REISSUED,
                                "{'CertificateId':'e5F6','Status':0,'InsertTime':'2026-08-02 10:00:00'," FREE "," NAME
                                ",'CertificateExtra':{'ReplacedBy':'O'}}" },
                        .compromised = true,
                        .running_spki = SPKI_OLD,
                        .code = "R5",
                        .text = "with the key that is reported compromised" },
                { .what = "running with another key",
                        .chain = { REISSUED,
                                "{'CertificateId':'e5F6','Status':0,'InsertTime':'2026-08-02 10:00:00'," FREE "," NAME
                                ",'CertificateExtra':{'ReplacedBy':'O'}}" },
                        .compromised = true,
                        .running_spki = SPKI_NEW,
                        .resume = "e5F6" },
                { .what = "being cancelled",
                        .chain = { REISSUED,
                                "{'CertificateId':'e5F6','Status':6,'InsertTime':'2026-08-02 10:00:00'," FREE "," NAME
                                ",'CertificateExtra':{'ReplacedBy':'O'}}" },
                        .code = "R5",
                        .kind = ERR_WAITING,
                        .text = "being cancelled" },
                { .what = "status 11, no other entry",
                        .chain = { "{'CertificateId':'O','Status':11," BEGIN "," END "," FREE "," NAME "}" },
                        .code = "R5",
                        .kind = ERR_WAITING },
                { .what = "the configured id is the pending reissue, original deleted",
                        .chain = { "{'CertificateId':'N','Status':0,'InsertTime':'2026-08-02 10:00:00'," FREE "," NAME
                                   ",'CertificateExtra':{'ReplacedBy':'gone'}}" },
                        .resume = "N" },
                /* R4 */
                { .what = "sibling with status 11",
                        .chain = ONE(PAID),
                        .list = { "{'CertificateId':'c9D8','Status':11,'Domain':'shop.example.com','InsertTime':'2026-"
                                  "08-02 10:00:00'}" },
                        .code = "R4",
                        .kind = ERR_WAITING,
                        .text = "R4: waiting for a sibling: shop.example.com (c9D8, not this host) is being reissued "
                                "since 2026-08-02T02:00:00Z, asked again at " },
                { .what = "sibling of ours",
                        .chain = ONE(PAID),
                        .list = { "{'CertificateId':'ours1','Status':11,'Domain':'shop.example.com'}" },
                        .code = "R4",
                        .kind = ERR_WAITING,
                        .text = "(ours1, this host)" },
                { .what = "sibling pending with a link",
                        .chain = ONE(PAID),
                        .list = { "{'CertificateId':'c9D8','Status':0,'Domain':'shop.example.com','CertificateExtra':{'"
                                  "ReplacedBy':'q'}}" },
                        .code = "R4",
                        .kind = ERR_WAITING },
                { .what = "sibling by a wildcard among many names",
                        .chain = ONE(PAID),
                        .list = { "{'CertificateId':'c9D8','Status':11,'Domain':'a.other.net','SubjectAltName':['b.net'"
                                  ",'*.deep.example.com']}" },
                        .code = "R4",
                        .kind = ERR_WAITING,
                        .text = "a.other.net (c9D8" },
                { .what = "the new entry of a pair carries the time",
                        .chain = ONE(PAID),
                        .list = { "{'CertificateId':'c9D8','Status':11,'Domain':'shop.example.com'," BEGIN "," END "}",
                                "{'CertificateId':'c9D9','Status':0,'Domain':'shop.example.com','InsertTime':'2026-08-"
                                "02 10:00:00','CertificateExtra':{'ReplacedBy':'c9D8'}}" },
                        .code = "R4",
                        .kind = ERR_WAITING,
                        .text = "(c9D9, not this host) is being reissued since 2026-08-02" },
                { .what = "a first application is no reissue",
                        .chain = ONE(PAID),
                        .list = { "{'CertificateId':'c9D8','Status':0,'Domain':'shop.example.com'}" } },
                { .what = "another registrable domain",
                        .chain = ONE(PAID),
                        .list = { "{'CertificateId':'c9D8','Status':11,'Domain':'example.org'}" } },
                { .what = "another domain under a public suffix",
                        .chain = { "{'CertificateId':'O'," ISSUED "," PAID ",'Domain':'a.co.uk'}" },
                        .list = { "{'CertificateId':'c9D8','Status':11,'Domain':'b.co.uk'}" } },
                { .what = "an issued sibling with links",
                        .chain = ONE(PAID),
                        .list = { "{'CertificateId':'c9D8','Status':1,'Domain':'shop.example.com','CertificateExtra':{'"
                                  "ReplacedBy':'q'}}" } },
                { .what = "a failed sibling",
                        .chain = ONE(PAID),
                        .list = { "{'CertificateId':'c9D8','Status':2,'Domain':'shop.example.com','CertificateExtra':{'"
                                  "ReplacedBy':'q'}}" } },
                { .what = "itself in the list",
                        .chain = ONE(PAID),
                        .list = { "{'CertificateId':'O','Status':11," NAME "}" } },
                { .what = "a final refusal comes before a wait",
                        .chain = ONE(FREE),
                        .left_s = DAY,
                        .list = { "{'CertificateId':'c9D8','Status':11,'Domain':'shop.example.com'}" },
                        .code = "R2" },
                /* R7, R8, R9, R17, R18 */
                { .what = "same CSR, paid DV",
                        .chain = ONE(PAID),
                        .reuse = SPKI_OLD,
                        .csr_again = 1,
                        .dcv = -1,
                        .note = "R7: no validation needed" },
                { .what = "the live key is not the newest member's: its CSR is for another key",
                        .chain = ONE(PAID),
                        .reuse = SPKI_NEW,
                        .dcv = 1,
                        .csr_again = -1,
                        .note = "R9: a new CSR",
                        .absent = "R7" },
                { .what = "no live key may be used again",
                        .chain = ONE(PAID),
                        .dcv = 1,
                        .csr_again = -1,
                        .absent = "R7" },
                { .what = "the newest member's key is not shown",
                        .chain = ONE(PAID),
                        .reuse = "",
                        .head_spki = "",
                        .dcv = 1,
                        .csr_again = -1 },
                { .what = "the live key's type is as good as the newest member's",
                        .chain = ONE(SS_OV),
                        .reuse = SPKI_NEW,
                        .reuse_type = KEY_EC_P384,
                        .key = KEY_EC_P384 },
                { .what = "what is configured goes before it",
                        .chain = ONE(SS_OV),
                        .reuse = SPKI_NEW,
                        .reuse_type = KEY_EC_P384,
                        .key_type = KEY_RSA_4096,
                        .key = KEY_RSA_4096 },
                { .what = "free: rsa-2048 is the rule, whatever is live",
                        .chain = ONE(FREE),
                        .reuse = SPKI_NEW,
                        .reuse_type = KEY_EC_P256,
                        .key = KEY_RSA_2048 },
                { .what = "a live key that is not offered is not refused but replaced",
                        .chain = ONE(PAID),
                        .reuse = SPKI_NEW,
                        .reuse_type = KEY_RSA_3072,
                        .key = KEY_RSA_2048 },
                { .what = "nor is one of SM2 at another product",
                        .chain = ONE(PAID),
                        .reuse = SPKI_NEW,
                        .reuse_type = KEY_SM2,
                        .key = KEY_RSA_2048 },
                { .what = "same CSR, free: not stated", .chain = ONE(FREE), .reuse = SPKI_OLD, .dcv = 1 },
                { .what = "same CSR, other-brand OV: not stated",
                        .chain = ONE(SS_OV),
                        .reuse = SPKI_OLD,
                        .dcv = 1,
                        .person = 1 },
                { .what = "same CSR, Wotrus OV",
                        .chain = ONE(WOTRUS_OV),
                        .reuse = SPKI_OLD,
                        .dcv = -1,
                        .person = 1,
                        .note = "R10: a person at the CA approves" },
                { .what = "same CSR is out of the question with a compromised key",
                        .chain = ONE(PAID),
                        .reuse = SPKI_OLD,
                        .compromised = true,
                        .csr_again = -1,
                        .dcv = 1 },
                { .what = "a given CSR with the same key",
                        .chain = ONE(PAID),
                        .csr_names = "www.example.com",
                        .csr_spki = SPKI_OLD,
                        .dcv = -1,
                        .note = "R7" },
                { .what = "41 h since issue",
                        .chain = ONE(PAID),
                        .age_s = 41 * 3600 + 1800,
                        .dcv = -1,
                        .note = "R8: no validation needed: 41 h since issue" },
                { .what = "one second under 72 h",
                        .chain = ONE(WOTRUS_OV),
                        .age_s = 72 * 3600 - 1,
                        .dcv = -1,
                        .note = "R8: no validation needed: 71 h since issue" },
                { .what = "exactly 72 h",
                        .chain = ONE(WOTRUS_OV),
                        .age_s = 72 * 3600,
                        .dcv = 1,
                        .note = "R9: a new CSR" },
                { .what = "41 h, free: not stated",
                        .chain = ONE(FREE),
                        .age_s = 41 * 3600,
                        .dcv = 1,
                        .note = "R18: the validation must be done within 3 d" },
                { .what = "41 h, other-brand OV: not stated",
                        .chain = ONE(SS_OV),
                        .age_s = 41 * 3600,
                        .dcv = 1,
                        .note = "R10: the CA may phone" },
                { .what = "issued in the future", .chain = ONE(PAID), .age_s = -3600, .dcv = 1 },
                { .what = "paid DV may be waived", .chain = ONE(PAID), .note = "R17: the CA may waive" },
                { .what = "Wotrus OV: approval may be left out", .chain = ONE(WOTRUS_OV), .note = "R11:" },
                /* R13 */
                { .what = "CSR with the same names",
                        .chain = ONE(PAID ",'SubjectAltName':['example.com']"),
                        .csr_names = "example.com www.example.com",
                        .csr_cn = "www.example.com" },
                { .what = "CSR lacks a name",
                        .chain = ONE(PAID ",'SubjectAltName':['example.com']"),
                        .csr_names = "www.example.com",
                        .code = "R13",
                        .text = "R13: the CSR lacks example.com, which O has" },
                { .what = "CSR has one more",
                        .chain = ONE(PAID),
                        .csr_names = "www.example.com x.example.com",
                        .code = "R13",
                        .text = "asks for x.example.com" },
                { .what = "CSR with another CN",
                        .chain = ONE(PAID ",'SubjectAltName':['example.com']"),
                        .csr_names = "example.com www.example.com",
                        .csr_cn = "example.com",
                        .code = "R13",
                        .text = "common name" },
                { .what = "CSR of the compromised key",
                        .chain = ONE(PAID),
                        .csr_names = "www.example.com",
                        .csr_spki = SPKI_OLD,
                        .compromised = true,
                        .code = "R13",
                        .text = "reported compromised" },
                /* R14 */
                { .what = "free, ec",
                        .chain = ONE(FREE),
                        .key_type = KEY_EC_P256,
                        .code = "R14",
                        .text = "R14: a free certificate is reissued for an rsa-2048 key only, ec-p256 is asked for" },
                { .what = "free, rsa-4096", .chain = ONE(FREE), .key_type = KEY_RSA_4096, .code = "R14" },
                { .what = "free, rsa-2048", .chain = ONE(FREE), .key_type = KEY_RSA_2048 },
                { .what = "paid, ec-p384", .chain = ONE(PAID), .key_type = KEY_EC_P384 },
                { .what = "paid, rsa-3072",
                        .chain = ONE(PAID),
                        .key_type = KEY_RSA_3072,
                        .code = "R14",
                        .text = "rsa-3072 is not offered" },
                { .what = "sm2 for another product",
                        .chain = ONE(PAID),
                        .key_type = KEY_SM2,
                        .code = "R14",
                        .text = "no SM2 product" },
                { .what = "sm2 product, rsa",
                        .chain = ONE("'PackageType':'51','IsVip':true"),
                        .key_type = KEY_RSA_2048,
                        .code = "R14",
                        .text = "an SM2 product" },
                { .what = "force lifts the pairing, which is uncertain",
                        .chain = ONE("'PackageType':'51','IsVip':true"),
                        .key_type = KEY_RSA_2048,
                        .force = true },
                { .what = "force does not make a free one ec",
                        .chain = ONE(FREE),
                        .key_type = KEY_EC_P256,
                        .force = true,
                        .code = "R14" },
                /* R16 */
                { .what = "free, first by FILE, dns asked",
                        .chain = ONE(FREE ",'VerifyType':'FILE'"),
                        .validation = VALIDATION_DNS,
                        .code = "R16",
                        .text = "R16: this free certificate was first validated by FILE; dns cannot be used" },
                { .what = "free, first by FILE, file asked",
                        .chain = ONE(FREE ",'VerifyType':'FILE'"),
                        .validation = VALIDATION_FILE },
                { .what = "free, first by DNS, file asked",
                        .chain = ONE(FREE ",'VerifyType':'DNS'"),
                        .validation = VALIDATION_FILE,
                        .code = "R16",
                        .text = "by DNS; file cannot" },
                { .what = "free, first by DNS_AUTO, dns asked",
                        .chain = ONE(FREE ",'VerifyType':'DNS_AUTO'"),
                        .validation = VALIDATION_DNS,
                        .note = "R16: first validated by DNS_AUTO" },
                { .what = "free, first by DNS, dns-auto asked",
                        .chain = ONE(FREE ",'VerifyType':'DNS'"),
                        .validation = VALIDATION_DNS_AUTO,
                        .code = "R16" },
                { .what = "paid, first by FILE, dns asked",
                        .chain = ONE(PAID ",'VerifyType':'FILE'"),
                        .validation = VALIDATION_DNS },
                { .what = "file and a wildcard",
                        .chain = { "{'CertificateId':'O'," ISSUED "," PAID ",'Domain':'*.example.com'}" },
                        .validation = VALIDATION_FILE,
                        .code = "R16",
                        .text = "wildcard" },
                { .what = "dns and a wildcard",
                        .chain = { "{'CertificateId':'O'," ISSUED "," PAID ",'Domain':'*.example.com'}" },
                        .validation = VALIDATION_DNS },
                { .what = "dns-auto, zone elsewhere",
                        .chain = ONE(PAID ",'IsDNSPODResolve':false"),
                        .validation = VALIDATION_DNS_AUTO,
                        .code = "R16",
                        .text = "DNSPod" },
                { .what = "dns-auto, zone here",
                        .chain = ONE(PAID ",'IsDNSPODResolve':true"),
                        .validation = VALIDATION_DNS_AUTO },
                { .what = "tls-alpn",
                        .chain = ONE(PAID),
                        .validation = VALIDATION_TLS_ALPN,
                        .code = "R16",
                        .text = "tls-alpn" },
                { .what = "60 d left: not said",
                        .chain = ONE(PAID),
                        .left_s = 60 * DAY,
                        .note = "same end date as before: 2027-01-04",
                        .absent = "renewal" },
                { .what = "just under 60 d left: said",
                        .chain = ONE(PAID),
                        .left_s = 60 * DAY - 1,
                        .note = "a reissue is not a renewal" },
        };
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
                judge(&rows[i]);
}

static void the_key_follows_the_certificate_unless_it_is_free(void **state)
{
        (void)state;
        static const struct {
                const char *flags;
                enum key_type head, want;
        } row[] = {
                { FREE ",'EncryptAlgorithm':'ECC 256'", KEY_NONE, KEY_RSA_2048 },
                { PAID ",'EncryptAlgorithm':'RSA 4096'", KEY_NONE, KEY_RSA_4096 },
                { PAID ",'EncryptAlgorithm':'ECC 256'", KEY_NONE, KEY_EC_P256 },
                { PAID ",'EncryptAlgorithm':'RSA 4096'", KEY_EC_P384, KEY_EC_P384 },
                { PAID ",'EncryptAlgorithm':'what'", KEY_OTHER, KEY_RSA_2048 },
                { PAID, KEY_NONE, KEY_RSA_2048 },
                { "'PackageType':'51'", KEY_NONE, KEY_SM2 },
        };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                char text[400];
                struct tc_chain chain = { 0 };
                struct tc_ruling r;
                snprintf(text, sizeof text, "{'CertificateId':'O'," ISSUED "," NAME ",%s}", row[i].flags);
                struct tc_cert c = cert_of(text);
                assert_true(tc_chain_add_own(&chain, &c));
                const struct ca_subject_request request = { .certificate_id = "O" };
                struct tc_facts f = { .chain = &chain,
                        .head = chain.member,
                        .request = &request,
                        .head_spki_hex = "",
                        .running_spki_hex = "",
                        .head_key_type = row[i].head,
                        .now_s = END_S - 100 * DAY };
                assert_true(tc_rules_apply(&f, &r));
                assert_int_equal(r.refused.kind, ERR_NONE);
                assert_int_equal(r.key_type, row[i].want);
                assert_int_equal(r.reissuable_until_s, END_S - 30 * DAY);
                tc_ruling_done(&r);
                tc_chain_done(&chain);
        }
}

static void the_calendar_dates_every_rule(void **state)
{
        (void)state;
        static const struct {
                const char *chain[2], *list[2];
                int64_t left_s, age_s;
                unsigned rule;
                const char *said;
        } row[] = {
                { ONE(FREE), { 0 }, 0, 0, 1, "R1: issued since 2026-03-10" },
                { { "{'CertificateId':'O','Status':0," BEGIN "," END "," NAME "," FREE "}" }, { 0 }, 0, 0, 1,
                        "R1: not to be reissued until it is issued (status 0" },
                { ONE(FREE), { 0 }, 0, 0, 2, "R2: it can be reissued until 2026-12-05" },
                { ONE(FREE), { 0 }, 0, 0, 2, "once (R3)" },
                { ONE(FREE), { 0 }, 29 * DAY, 0, 2, "R2: not to be reissued since 2026-12-05" },
                { ONE(FREE), { 0 }, 0, 0, 3, "unused; it can be had until 2026-12-05" },
                { { REISSUED }, { 0 }, 0, 0, 3, "was used on 2026-01-04" },
                { ONE(PAID), { 0 }, 0, 0, 3, "reissued as often as needed until 2026-12-05" },
                { ONE(FREE), { 0 }, 0, 0, 4, "R4: no sibling is being reissued now" },
                { ONE(FREE),
                        { "{'CertificateId':'S','Status':0,'Domain':'shop.example.com','InsertTime':'2026-06-01 "
                          "08:00:00','CertificateExtra':{'ReplacedBy':'X'}}" },
                        0, 0, 4, "R4: sibling shop.example.com (S) is being reissued since 2026-06-01" },
                { ONE(FREE), { 0 }, 0, 0, 5, "R5: no reissue runs now" },
                { ONE(FREE), { 0 }, 0, 0, 6, "R6: a reissue ends when this one ends, 2027-01-04" },
                { ONE(FREE), { 0 }, 0, 0, 7, "saves nothing at this product" },
                { ONE(WOTRUS_OV), { 0 }, 0, 0, 7, "need no validation, until 2026-12-05" },
                { ONE(FREE), { 0 }, 0, 0, 8, "no days of grace" },
                { ONE(WOTRUS_OV), { 0 }, 200 * DAY, 0, 8, "validation is needed since 2026-03-13" },
                { ONE(WOTRUS_OV), { 0 }, 200 * DAY, 71 * 3600, 8, "no validation is needed until 2026-06-19" },
                { ONE(WOTRUS_OV), { 0 }, 0, 0, 9, "validated by dns, from 2026-03-13" },
                { ONE(FREE), { 0 }, 0, 0, 9, "validated by dns, from 2026-03-10" },
                { ONE(FREE), { 0 }, 0, 0, 10, "no person approves a DV certificate" },
                { ONE(WOTRUS_OV), { 0 }, 0, 0, 10, "a person at the CA approves" },
                { ONE(SS_OV), { 0 }, 0, 0, 10, "may phone or write" },
                { ONE(WOTRUS_OV), { 0 }, 0, 0, 11, "no approval where" },
                { ONE(FREE), { 0 }, 0, 0, 12, "always" },
                { ONE(FREE), { 0 }, 0, 0, 13, "exactly the names of O" },
                { ONE(FREE), { 0 }, 0, 0, 14, "rsa-2048 only (free), until 2026-12-05" },
                { ONE(PAID), { 0 }, 0, 0, 14, "rsa-4096, ec-p256" },
                { ONE(FREE), { 0 }, 0, 0, 15, "always" },
                { ONE(FREE ",'VerifyType':'FILE'"), { 0 }, 0, 0, 16,
                        "validated by FILE, as when it was first applied for on 2026-01-04" },
                { ONE(PAID), { 0 }, 0, 0, 16, "validated by dns, until 2026-12-05" },
                { ONE(PAID), { 0 }, 0, 0, 17, "until 2027-04-10" },
                { ONE(FREE), { 0 }, 0, 0, 17, "no waiver by an earlier validation" },
                { ONE(FREE), { 0 }, 0, 0, 18, "validated until 2026-06-21" },
        };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct tc_chain chain = { 0 };
                struct tc_cert members[3], list[3];
                struct tc_ruling r;
                struct texts lines = { 0 };
                size_t count = certs_of((const char *const[]){ row[i].chain[0], row[i].chain[1], NULL }, members),
                       listed = certs_of((const char *const[]){ row[i].list[0], row[i].list[1], NULL }, list);
                for (size_t k = 0; k < count; k++)
                        assert_true(tc_chain_add_own(&chain, &members[k]));
                const struct ca_subject_request request = { .certificate_id = "O" };
                int64_t now_s = END_S - (row[i].left_s ? row[i].left_s : 200 * DAY);
                struct tc_facts f = { .chain = &chain,
                        .head = chain.member,
                        .list = list,
                        .list_count = listed,
                        .request = &request,
                        .head_spki_hex = "",
                        .running_spki_hex = "",
                        .now_s = now_s,
                        .issued_s = now_s - (row[i].age_s ? row[i].age_s : 100 * DAY) };
                assert_true(tc_rules_apply(&f, &r));
                assert_true(tc_calendar(&f, &r, &lines));
                assert_int_equal(lines.count, 18);
                if (!strstr(lines.item[row[i].rule - 1], row[i].said))
                        fail_msg("row %zu: %s", i, lines.item[row[i].rule - 1]);
                texts_done(&lines);
                tc_ruling_done(&r);
                tc_chain_done(&chain);
                for (size_t k = 0; k < listed; k++)
                        tc_cert_done(&list[k]);
        }
}

static void all_eighteen_rules_are_in_the_table(void **state)
{
        (void)state;
        unsigned seen = 0;

        for (const struct tc_rule *r = tc_rules; r->name; r++)
                seen |= 1u << atoi(r->name + 1);
        assert_int_equal(seen, (1u << 19) - 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_rule_on_both_sides_of_its_boundary),
                cmocka_unit_test(the_key_follows_the_certificate_unless_it_is_free),
                cmocka_unit_test(the_calendar_dates_every_rule),
                cmocka_unit_test(all_eighteen_rules_are_in_the_table),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
