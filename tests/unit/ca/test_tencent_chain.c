#include "test.h"

#include "agent/base/util.h"
#include "agent/ca/tencent/chain.h"
#include "cert_text.h"

/* Reads "from the account" until nothing is missing, as inspect() does. */
static struct tc_chain follow(const char *const *account, size_t count, const char *from, unsigned *reads)
{
        struct tc_chain chain = { 0 };
        const char *next = from;

        for (*reads = 0; next && *reads < 1000; ++*reads) {
                bool found = false;
                char asked[TC_ID_MAX];
                snprintf(asked, sizeof asked, "%s", next);
                for (size_t i = 0; i < count && !found; i++) {
                        struct tc_cert c = cert_of(account[i]);
                        if ((found = strcmp(c.id, asked) == 0))
                                assert_true(tc_chain_add_own(&chain, &c));
                        else
                                tc_cert_done(&c);
                }
                if (!found)
                        assert_true(texts_add(&chain.gone, asked));
                next = tc_chain_next(&chain);
        }
        tc_chain_sort(&chain);
        return chain;
}

#define O "{'CertificateId':'O','Status':1,'InsertTime':'2025-01-01 00:00:00','CertificateExtra':{'ReplacedFor':'N1'}}"
#define N1                                                                                                             \
        "{'CertificateId':'N1','Status':1,'InsertTime':'2025-02-01 "                                                   \
        "00:00:00','CertificateExtra':{'ReplacedBy':'O','ReplacedFor':'N2'}}"
#define N2 "{'CertificateId':'N2','Status':1,'InsertTime':'2025-03-01 00:00:00','CertificateExtra':{'ReplacedBy':'N1'}}"

static void chains_lead_to_the_newest_issued_member(void **state)
{
        (void)state;
        static const struct {
                const char *what;
                const char *account[4];
                const char *from, *head, *running, *oldest;
                size_t count, gone;
        } row[] = {
                { "alone", { "{'CertificateId':'O','Status':1}" }, "O", "O", NULL, "O", 1, 0 },
                { "three", { O, N1, N2 }, "O", "N2", NULL, "O", 3, 0 },
                { "from the middle", { O, N1, N2 }, "N1", "N2", NULL, "O", 3, 0 },
                { "from the end", { O, N1, N2 }, "N2", "N2", NULL, "O", 3, 0 },
                { "middle deleted", { O, N2 }, "O", "O", NULL, "O", 1, 1 },
                { "original deleted", { N2 }, "N2", "N2", NULL, "N2", 1, 1 },
                { "the fields swapped",
                        { "{'CertificateId':'O','Status':1,'InsertTime':'2025-01-01 "
                          "00:00:00','CertificateExtra':{'ReplacedBy':'N'}}",
                                "{'CertificateId':'N','Status':1,'InsertTime':'2025-02-01 "
                                "00:00:00','CertificateExtra':{'ReplacedFor':'O'}}" },
                        "O", "N", NULL, "O", 2, 0 },
                { "no times: the links tell",
                        { "{'CertificateId':'N','Status':1,'CertificateExtra':{'ReplacedBy':'O'}}",
                                "{'CertificateId':'O','Status':1,'CertificateExtra':{'ReplacedFor':'N'}}" },
                        "N", "N", NULL, "O", 2, 0 },
                { "newest is pending",
                        { "{'CertificateId':'O','Status':1,'InsertTime':'2025-01-01 "
                          "00:00:00','CertificateExtra':{'ReplacedFor':'N'}}",
                                "{'CertificateId':'N','Status':0,'InsertTime':'2025-02-01 "
                                "00:00:00','CertificateExtra':{'ReplacedBy':'O'}}" },
                        "O", "O", "N", "O", 2, 0 },
                { "status 11 on both",
                        { "{'CertificateId':'O','Status':11,'CertBeginTime':'2024-12-31 "
                          "00:00:00','CertEndTime':'2026-01-01 00:00:00',"
                          "'InsertTime':'2025-01-01 00:00:00','CertificateExtra':{'ReplacedFor':'N'}}",
                                "{'CertificateId':'N','Status':11,'InsertTime':'2025-02-01 "
                                "00:00:00','CertificateExtra':{'ReplacedBy':'O'}}" },
                        "O", "O", "N", "O", 2, 0 },
                { "newest failed",
                        { "{'CertificateId':'O','Status':1,'InsertTime':'2025-01-01 "
                          "00:00:00','CertificateExtra':{'ReplacedFor':'N'}}",
                                "{'CertificateId':'N','Status':2,'InsertTime':'2025-02-01 "
                                "00:00:00','CertificateExtra':{'ReplacedBy':'O'}}" },
                        "O", "O", NULL, "O", 2, 0 },
                { "a fork: the younger branch",
                        { "{'CertificateId':'O','Status':1,'InsertTime':'2025-01-01 "
                          "00:00:00','CertificateExtra':{'ReplacedFor':'B'}}",
                                "{'CertificateId':'A','Status':1,'InsertTime':'2025-02-01 "
                                "00:00:00','CertificateExtra':{'ReplacedBy':'O'}}",
                                "{'CertificateId':'B','Status':1,'InsertTime':'2025-03-01 "
                                "00:00:00','CertificateExtra':{'ReplacedBy':'O'}}" },
                        "A", "B", NULL, "O", 3, 0 },
                { "a loop",
                        { "{'CertificateId':'O','Status':1,'InsertTime':'2025-01-01 "
                          "00:00:00','CertificateExtra':{'ReplacedFor':'N'}}",
                                "{'CertificateId':'N','Status':1,'InsertTime':'2025-02-01 "
                                "00:00:00','CertificateExtra':{'ReplacedFor':'O','ReplacedBy':'O'}}" },
                        "O", "N", NULL, "O", 2, 0 },
                { "itself",
                        { "{'CertificateId':'O','Status':1,'CertificateExtra':{'ReplacedFor':'O','ReplacedBy':'O'}}" },
                        "O", "O", NULL, "O", 1, 0 },
                { "none issued", { "{'CertificateId':'O','Status':10}" }, "O", NULL, NULL, "O", 1, 0 },
        };
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                size_t count = 0;
                unsigned reads;
                while (count < 4 && row[i].account[count])
                        count++;
                struct tc_chain chain = follow(row[i].account, count, row[i].from, &reads);
                const struct tc_cert *head = tc_chain_head(&chain), *running = tc_chain_running(&chain, head);
                if (chain.count != row[i].count || chain.gone.count != row[i].gone ||
                        strcmp(chain.member[0].id, row[i].oldest) != 0 ||
                        !text_equal_nocase(head ? head->id : NULL, row[i].head) ||
                        !text_equal_nocase(running ? running->id : NULL, row[i].running))
                        fail_msg("%s: head %s running %s count %zu", row[i].what, head ? head->id : "-",
                                running ? running->id : "-", chain.count);
                assert_int_equal(reads, row[i].count + row[i].gone);
                tc_chain_done(&chain);
        }
}

static void an_endless_chain_ends_at_the_limit(void **state)
{
        (void)state;
        struct tc_chain chain = { 0 };
        int n = 0;

        for (;; n++) {
                char text[200];
                snprintf(text, sizeof text,
                        "{'CertificateId':'c%d','Status':1,'CertificateExtra':{'ReplacedFor':'c%d'}}", n, n + 1);
                struct tc_cert c = cert_of(text);
                if (!tc_chain_add_own(&chain, &c)) {
                        tc_cert_done(&c);
                        break;
                }
                assert_non_null(tc_chain_next(&chain));
        }
        assert_int_equal(n, TC_CHAIN_MAX);
        tc_chain_done(&chain);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(chains_lead_to_the_newest_issued_member),
                cmocka_unit_test(an_endless_chain_ends_at_the_limit),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
