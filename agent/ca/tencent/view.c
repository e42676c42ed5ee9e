#include "agent/ca/tencent/view.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "agent/base/buf.h"
#include "agent/base/util.h"
#include "agent/ca/tencent/proofs.h"
#include "agent/ca/tencent/rules.h"

#define POLL_MIN_MS 2000
#define POLL_DCV_MAX_MS 30000
#define POLL_PERSON_MIN_MS 10000
#define POLL_PERSON_MAX_MS 600000

enum stage { STAGE_DCV, STAGE_ISSUE, STAGE_REVIEW };

/* ---- the state ---- */

static bool says(const struct tc_cert *c, const char *word)
{
        return strcmp(c->status_msg, word) == 0;
}

/* Status decides; the message refines only where an order is pending, and can be stale elsewhere. */
static bool message_counts(const struct tc_cert *c)
{
        switch (c->status) {
        case TC_REVIEWING:
        case TC_DNS_ADDED:
        case TC_REISSUING:
                return true;
        default:
                return c->status < TC_REVIEWING || c->status > TC_MIGRATING; /* one that nobody has described */
        }
}

static bool is_validated(const struct tc_view_input *in)
{
        return in->validated == TC_YES || in->order->validated_s || says(in->order, "WAIT-ISSUE");
}

static enum stage stage_of(const struct tc_view_input *in)
{
        const struct tc_cert *c = in->order;

        if (says(c, "WAIT-ISSUE"))
                return STAGE_ISSUE;
        if (says(c, "LEGAL-REVIEWING") || says(c, "PRE-REVIEWING"))
                return STAGE_REVIEW;
        if (says(c, "PENDING-DCV"))
                return is_validated(in) ? STAGE_ISSUE : STAGE_DCV;
        if (tc_cert_asks(c) && !is_validated(in))
                return STAGE_DCV;
        return STAGE_REVIEW;
}

bool tc_view_needs_check(const struct tc_view_input *in)
{
        const struct tc_cert *c = in->order;

        return message_counts(c) && tc_cert_asks(c) && !is_validated(in) && !says(c, "PENDING-DCV");
}

/* ---- times ---- */

static int64_t clamp(int64_t v, int64_t low, int64_t high)
{
        return v < low ? low : v > high ? high : v;
}

/* A twentieth of the time already waited: quick at first, never often for long. */
static int64_t poll_ms(int64_t waited_s, int64_t low_ms, int64_t high_ms)
{
        return waited_s < 0 ? high_ms : clamp(MIN(waited_s, 86400) * 1000 / 20, low_ms, high_ms);
}

static int64_t age_s(const struct tc_view_input *in)
{
        return in->order->inserted_s ? MAX(in->now_s - in->order->inserted_s, 0) : -1;
}

static int64_t poll_of(const struct tc_view_input *in, const struct ca_view *v)
{
        if (v->person_wanted && !v->validation_wanted)
                return poll_ms(age_s(in), POLL_PERSON_MIN_MS, POLL_PERSON_MAX_MS);
        return poll_ms(in->told_age_s >= 0 ? in->told_age_s : age_s(in), POLL_MIN_MS, POLL_DCV_MAX_MS);
}

static int64_t deadline_of(const struct tc_cert *c)
{
        if (c->validate_by_s)
                return c->validate_by_s;
        return c->inserted_s ? c->inserted_s + TC_DCV_S : 0;
}

/* ---- ends ---- */

static void end_at(struct ca_view *v, enum ca_end end, const struct tc_cert *c)
{
        CLEANUP(buf_done) struct buf shown = { 0 };

        v->end = end;
        if (*c->status_msg)
                buf_add_escaped(&shown, c->status_msg, strlen(c->status_msg), 200);
        snprintf(v->end_reason, sizeof v->end_reason, "order %s: status %d, %s%s%.200s", c->id, c->status,
                tc_status_text(c->status), shown.data ? ": " : "", shown.data ? shown.data : "");
}

static bool end_of(const struct tc_cert *c, struct ca_view *v)
{
        switch (c->status) {
        case TC_REVIEW_FAILED:
                end_at(v, CA_END_FAILED, c);
                return true;
        case TC_EXPIRED:
        case TC_REFUNDED:
                end_at(v, CA_END_CLOSED, c);
                return true;
        case TC_CANCELLING:
        case TC_CANCELLED:
                end_at(v, CA_END_CANCELLED, c);
                return true;
        case TC_REVOKING:
        case TC_REVOKED:
                end_at(v, CA_END_REVOKED, c);
                return true;
        default:
                return false;
        }
}

/* Under the original's id status 1 is where it began: done only when another certificate is there. */
static bool is_ready(const struct tc_view_input *in)
{
        const struct tc_cert *c = in->order;

        if (c->status != TC_ISSUED || !in->same_id)
                return c->status == TC_ISSUED;
        if (*c->fingerprint && *in->old_fingerprint)
                return strcasecmp(c->fingerprint, in->old_fingerprint) != 0;
        return c->begin_s != in->old_begin_s;
}

/* ---- people ---- */

static void person(const struct tc_view_input *in, struct ca_view *v, bool ours, const char *party, const char *act)
{
        const struct tc_cert *c = in->order;

        v->person_wanted = true;
        v->person_is_ours = ours;
        snprintf(v->party, sizeof v->party, "%s", party);
        snprintf(v->act, sizeof v->act, "%s", act);
        snprintf(v->place, sizeof v->place, "%s/ssl/detail/%s", in->console, c->id);
        v->since_s = c->validated_s ? c->validated_s : c->inserted_s;
}

static bool user_wanted(const struct tc_view_input *in, struct ca_view *v)
{
        switch (in->order->status) {
        case TC_INFORMATION_WANTED:
                person(in, v, true, "your company", "Tencent wants the order's information");
                return true;
        case TC_LETTER_WANTED:
                person(in, v, true, "your company", "Tencent wants the confirmation letter");
                return true;
        case TC_REVOKE_LETTER_WANTED:
                person(in, v, true, "your company", "Tencent wants the revocation letter");
                return true;
        case TC_FREE_INFORMATION_WANTED:
                person(in, v, true, "your company", "Tencent wants the application's information");
                return true;
        case TC_MIGRATING:
                person(in, v, false, "Tencent Cloud", "the certificate is being migrated");
                return true;
        default:
                return false;
        }
}

static void pending_stage(const struct tc_view_input *in, struct ca_view *v)
{
        v->since_s = in->order->inserted_s;
        switch (stage_of(in)) {
        case STAGE_DCV:
                v->validation_wanted = true;
                break;
        case STAGE_ISSUE:
                v->since_s = in->order->validated_s ? in->order->validated_s : in->order->inserted_s;
                break;
        case STAGE_REVIEW:
                v->validation_wanted = tc_cert_asks(in->order) && !is_validated(in);
                person(in, v, false, "the CA's reviewers", "");
                break;
        }
}

/* What the user's company must do is said by the act: the state is then the bare number. */
static void state_text(const struct tc_cert *c, struct ca_view *v)
{
        CLEANUP(buf_done) struct buf shown = { 0 };

        if (*c->status_msg && message_counts(c))
                buf_add_escaped(&shown, c->status_msg, strlen(c->status_msg), 60);
        if (v->person_is_ours)
                snprintf(v->state, sizeof v->state, "status %d", c->status);
        else
                snprintf(v->state, sizeof v->state, "status %d, %.90s", c->status,
                        shown.data ? shown.data : tc_status_text(c->status));
}

bool tc_view_make(const struct tc_view_input *in, struct ca_view *ret, struct err *e)
{
        struct ca_view v = { 0 };
        const struct tc_cert *c = in->order;

        v.poll_after_ms = POLL_DCV_MAX_MS;
        if (!end_of(c, &v) && !(v.ready = is_ready(in))) {
                if (!tc_proofs(c, &v.proof, &v.proof_count, e))
                        return false;
                if (!user_wanted(in, &v) && c->status != TC_ISSUED)
                        pending_stage(in, &v);
                if (v.validation_wanted || v.person_is_ours)
                        v.deadline_s = deadline_of(c);
                v.poll_after_ms = poll_of(in, &v);
        }
        state_text(c, &v);
        *ret = v;
        return true;
}
