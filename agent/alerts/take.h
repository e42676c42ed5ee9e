/* From what was said to what becomes of it: the evidence is judged (in a thread of its own, it computes), every item
 * becomes a report, and the reports are handed to the incidents one after the other. Every inlet ends here. */
#ifndef DCVD_ALERTS_TAKE_H
#define DCVD_ALERTS_TAKE_H

#include "agent/alerts/alert.h"
#include "agent/job/incident.h"

struct challenges;
struct engine;
struct taking;

enum take_trust {
        TAKE_PROOFS, /* nobody vouches: only what proves itself */
        TAKE_WORD, /* the sender is known, or may act on this host: what it names is believed */
};
struct take_conf {
        struct engine *engine;
        const struct challenges *challenges; /* NULL: none were given out */
        const char *source; /* "webhook scanner"; copied */
        enum take_trust trust;
        bool by_operator; /* a person on this host says so: neither asked again nor braked */
        bool judge; /* only say what would happen */
};
struct take_result { /* borrowed during the callback */
        const struct incident_answer *answer; /* one for each item taken */
        size_t count;
        bool known; /* every one was reported before */
        bool opened; /* at least one concerns this host */
        const struct err
                *err; /* NULL: all were taken. ERR_TEMPORARY: not on disk; else what is wrong with the report */
};
typedef void take_done_fn(void *arg, const struct take_result *r);

/* Takes alert (its items) over in any case. done runs once, never before this returned. False: memory. */
bool take_start(const struct take_conf *c, struct alert *alert, take_done_fn *done, void *arg, struct err *e);
/* Text with evidence, a native JSON event or a bare hash, as files and operators bring them, as one item. */
bool take_read_text(const char *text, size_t len, struct alert *ret, struct err *e);
/* {"incident", "act", "text", "reports"?} of a result without err; new reference. */
json_t *take_json(const struct take_result *r);

#endif
