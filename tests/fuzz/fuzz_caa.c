/* CAA: an answer read into a level, judged as it stands and as one record of the input's bytes. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/net/dns_message.h"
#include "validators/caa.h"
#include "validators/judgement.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const issuers[] = { "ca.example", NULL };

static void judge_level(const struct caa_level *level)
{
        static const char *const names[] = { "a.example", "*.a.example" };
        for (size_t i = 0; i < 2; i++) {
                struct judgements j = { 0 };
                struct caa_question q = { names[i], "the CA", issuers, i ? NULL : "https://ca.example/1",
                        i ? NULL : "dns-01" };
                struct caa_result r = caa_judge(&q, level, 1, &j);
                if ((r.verdict == CAA_REFUSED) != (r.id != NULL) || (r.record >= 0 && (size_t)r.record >= level->count))
                        abort();
                judgements_done(&j);
        }
}

static void as_message(const uint8_t *data, size_t size)
{
        struct dns_message m;
        struct caa_level level;
        struct err e;
        if (!dns_message_read(data, size, &m, &e))
                return;
        if (caa_level_read(&m, "a.example", &level)) {
                judge_level(&level);
                if (level.alias && caa_level_alias(&level, &m))
                        judge_level(&level);
                caa_level_done(&level);
        }
        dns_message_done(&m);
}

static void as_record(const uint8_t *data, size_t size)
{
        char name[] = "a.example";
        struct caa_record record;
        if (!caa_record_read(data, size, &record))
                return;
        struct caa_level level = { .name = name, .state = CAA_RECORDS, .record = &record, .count = 1 };
        judge_level(&level);
        caa_record_done(&record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size > DNS_MESSAGE_MAX)
                return 0;
        as_message(data, size);
        as_record(data, size);
        return 0;
}
