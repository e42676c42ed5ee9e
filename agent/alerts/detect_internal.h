/* What detectors share, for this room only. A detector has one check at a time. */
#ifndef DCVD_ALERTS_DETECT_INTERNAL_H
#define DCVD_ALERTS_DETECT_INTERNAL_H

#include "agent/alerts/detect.h"
#include "agent/job/engine.h"
#include "agent/job/incident.h"

struct detector;

struct detector_ops {
        const char *name; /* reports come from "detector NAME" */
        int64_t (*interval_ms)(const struct conf_detectors *c); /* 0: off */
        /* Looks at one certificate. The check calls detector_over once, not before start returned. NULL: nothing to
         * look at here (e->kind ERR_NONE), or e. */
        void *(*start)(struct detector *d, const struct conf_cert *cert, struct err *e);
        void (*cancel)(void *check); /* after it detector_over is not called */
        void (*forget)(struct detector *d); /* frees d->kept; NULL: it keeps nothing */
};
extern const struct detector_ops detect_revocation, detect_keys, detect_files, detect_exposed, detect_served,
        detect_pwnedkeys;

struct detector {
        const struct detector_ops *ops;
        struct detectors *all;
        struct timer *timer; /* NULL: off */
        size_t at; /* in the configuration's certificates */
        void *check; /* what runs; NULL: nothing */
        void *kept; /* from check to check */
};
struct engine *detector_engine(const struct detector *d);
void detector_over(struct detector *d);
/* Once for each thing that was found: `what` tells them apart (NULL: the report's key or certificate). source is set
 * here. */
void detector_report(struct detector *d, struct report *r, const char *what);
/* A check that came to no result: said when it begins and when it is another one; NULL: it is over. */
void detector_trouble(struct detector *d, const char *cert, const struct err *e);
/* Something that is for people alone, said once: a warning and a notice. */
void detector_warn(struct detector *d, const char *cert, const char *text, const char *fix);

/* The certificate that is live, from its set. */
struct detect_subject {
        char *cert;
        char sha256[65], spki_hex[65];
        int64_t not_before_s, not_after_s;
        uint8_t *der, *issuer; /* issuer NULL: its chain has none */
        size_t der_len, issuer_len;
};
/* False: none is live here (e->kind ERR_NONE), or e. */
bool detect_subject_load(struct engine *g, const char *cert, struct detect_subject *ret, struct err *e);
void detect_subject_done(struct detect_subject *s);

#endif
