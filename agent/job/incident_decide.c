#include "agent/job/incident_decide.h"

#include <string.h>

#include "agent/base/util.h"
#include "agent/ca/ca.h"
#include "config/config.h"

static const char *const words[] = { "no", "ask", "yes" };

const char *verdict_word_name(enum verdict_word w)
{
        return (unsigned)w < ARRAY_LEN(words) ? words[w] : "?";
}

bool verdict_word_from_name(const char *name, enum verdict_word *ret)
{
        for (unsigned i = 0; name && i < ARRAY_LEN(words); i++)
                if (strcmp(words[i], name) == 0) {
                        *ret = (enum verdict_word)i;
                        return true;
                }
        return false;
}

static enum verdict_word word_of(int confirm)
{
        return confirm == CONFIRM_AUTO ? VERDICT_YES : confirm == CONFIRM_ASK ? VERDICT_ASK : VERDICT_NO;
}

/* At most a question: whoever reports has shown nothing. */
static enum verdict_word asked_at_least(int confirm)
{
        return MIN(word_of(confirm), VERDICT_ASK);
}

static struct verdict of_hint(const struct verdict_input *in)
{
        if (in->on_domain_alert == DOMAIN_ALERT_IGNORE)
                return (struct verdict){ 0 };
        bool may = in->on_domain_alert == DOMAIN_ALERT_REISSUE && in->on_reissue == CONFIRM_AUTO;
        return (struct verdict){ .reissue = may ? VERDICT_YES : VERDICT_ASK };
}

struct verdict incident_decide(const struct verdict_input *in)
{
        enum verdict_word reissue = word_of(in->on_reissue);
        if (!in->exact || in->strength == REPORT_HINT)
                return of_hint(in);
        switch (in->strength) {
        case REPORT_PROOF:
                return (struct verdict){
                        .mark = true, .reissue = reissue, .revoke = word_of(in->on_revoke), .passes_brake = true
                };
        case REPORT_REVOKED: /* for another reason the key is as good as before, and nothing is left to revoke */
                if (in->revocation_reason != CA_KEY_COMPROMISE)
                        return (struct verdict){ .reissue = reissue };
                return (struct verdict){ .mark = true, .reissue = reissue, .revoke = word_of(in->on_revoke) };
        default:
                /* Marked with the confirmation where that is wanted first: a mark is for ever. */
                return (struct verdict){
                        .mark = reissue == VERDICT_YES, .reissue = reissue, .revoke = asked_at_least(in->on_revoke)
                };
        }
}
