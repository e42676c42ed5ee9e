/* What a pure check found: an id of the catalogue and its words. The judgements (caa.h, dnssec.h, txt_forms.h,
 * name_check.h, http_evidence.h) read what was gathered, ask nobody and write into one list; how grave an id is belongs
 * to the catalogue, not to the one who found it. */
#ifndef DCVD_VALIDATORS_JUDGEMENT_H
#define DCVD_VALIDATORS_JUDGEMENT_H

#include <stdbool.h>
#include <stddef.h>

struct judgement {
        const char *id; /* "C02"; static */
        bool unverifiable; /* not a finding: the id could not be judged, and message says why */
        char *subject; /* the name, server or URL it is about */
        char *message, *fix; /* fix "" where nothing has to be done */
        char *observed, *wanted; /* evidence; "" where there is none */
};
struct judgements {
        struct judgement *item; /* owned, in the order found */
        size_t count;
        bool failed; /* out of memory or over JUDGEMENTS_MAX: the list is not whole */
};
#define JUDGEMENTS_MAX 4096

/* The words of one finding. Foreign text in them is escaped and cut to 600 bytes. NULL is "". */
struct judgement_words {
        const char *subject, *fix, *observed, *wanted;
};
/* Adds one; the message comes from the format. Never fails visibly: see failed. */
void judge(struct judgements *to, const char *id, struct judgement_words words, const char *format, ...)
        __attribute__((format(printf, 4, 5)));
void judge_unverifiable(struct judgements *to, const char *id, const char *subject, const char *format, ...)
        __attribute__((format(printf, 4, 5)));
/* The first finding with this id, NULL if there is none (what could not be judged is none). */
const struct judgement *judgements_find(const struct judgements *list, const char *id);
void judgements_done(struct judgements *list);

#endif
