/* What people want to be told of jobs and certificates (incident.h); incidents tell of themselves. */
#include <inttypes.h>
#include <stdio.h>

#include "agent/base/util.h"
#include "agent/job/incident_internal.h"

#define STUCK_TRIES 5 /* of one state, in a row: it does not mend itself */
#define DAY INT64_C(86400)
#define LAST_THIRD 1000 /* in the place of days */

static const char *fix_of(const struct job *j)
{
        return j->row.err_fix && j->row.err_fix[0] ? j->row.err_fix : NULL;
}

static void tell(struct job *j, enum notice_kind kind, const char *text, const char *fix)
{
        const struct notice n = { .kind = kind, .cert = j->row.cert, .job = j->row.id, .text = text, .fix = fix };
        notice_tell(j->engine, &n);
}

void job_notice_end(struct job *j)
{
        char served[160], again[200];
        if (j->row.state == JOB_FAILED) {
                snprintf(again, sizeof again, "mend it, then dcvctl reissue %s", j->row.cert);
                tell(j, NOTICE_FAILED, j->row.result ? j->row.result : "the job failed", fix_of(j) ? fix_of(j) : again);
        } else if (j->row.state == JOB_DONE) {
                snprintf(served, sizeof served, "set %" PRId64 " is installed and was seen on every endpoint",
                        j->row.set_number);
                tell(j, NOTICE_SERVED, served, NULL);
        }
}

void job_notice_waiting(struct job *j, const struct err *e)
{
        if (strcmp(e->code, "person") == 0)
                tell(j, NOTICE_WAITING, e->text, e->fix[0] ? e->fix : NULL);
}

void job_notice_person(struct job *j, const char *text, const char *fix)
{
        tell(j, NOTICE_WAITING, text, fix);
}

void job_notice_again(struct job *j, const struct err *e)
{
        CLEANUP(free_p) char *text = NULL;
        if (j->row.failures != STUCK_TRIES)
                return;
        text = text_format("%s failed %d times in a row: %s", job_state_name(j->row.state), STUCK_TRIES, e->text);
        tell(j, NOTICE_STUCK, text ? text : e->text, e->fix[0] ? e->fix : NULL);
}

/* In the last third of the lifetime, then at 30, 14, 7, 3, 2, 1 days and at the end; once each. */
void cert_notice_end(struct cert *c, int64_t left_s, const char *text)
{
        static const int days[] = { 0, 1, 2, 3, 7, 14, 30 };
        size_t i = 0;
        char key[160];
        while (i < ARRAY_LEN(days) && left_s > days[i] * DAY)
                i++;
        if (c->told_end == i + 1)
                return;
        c->told_end = i + 1;
        snprintf(key, sizeof key, "expiring %.80s %d %.40s", c->row.name, i < ARRAY_LEN(days) ? days[i] : LAST_THIRD,
                c->row.live_sha256 ? c->row.live_sha256 : "");
        const struct notice n = { .kind = NOTICE_EXPIRING, .cert = c->row.name, .text = text, .key = key };
        notice_tell(c->engine, &n);
}
