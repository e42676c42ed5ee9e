/* K5 to K10: is the key of a certificate in a list of burnt keys, or can it be computed from its public half? The lists
 * are read in a thread, and again when their files changed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/alerts/detect_internal.h"
#include "agent/base/util.h"
#include "agent/net/loop.h"
#include "agent/pki/blocklist.h"
#include "agent/pki/weak.h"

#define LISTS_MAX 16

struct lists {
        struct texts path;
        struct blocklist *list[LISTS_MAX]; /* NULL: could not be read */
        bool used; /* by a thread */
        bool dropped; /* who used it frees it */
};
struct check {
        struct detector *detector;
        struct detect_subject subject;
        struct lists *lists;
        struct work *work;
        /* found in the thread */
        char found[300]; /* in which list; "" if in none */
        struct err trouble, weak; /* kind ERR_NONE: none */
};

static void lists_free(struct lists *l)
{
        for (size_t i = 0; i < LISTS_MAX; i++)
                blocklist_close(l->list[i]);
        texts_done(&l->path);
        free(l);
}

static struct lists *lists_of(struct detector *d)
{
        struct lists *l = d->kept ? d->kept : calloc(1, sizeof *l);
        d->kept = l;
        if (!l || l->path.count)
                return l;
        const struct texts *paths = &engine_config(detector_engine(d))->detectors.blocklists;
        for (size_t i = 0; i < paths->count && i < LISTS_MAX; i++)
                (void)texts_add(&l->path, paths->item[i]); /* without memory: looked at next time */
        return l;
}

static void forget(struct detector *d)
{
        struct lists *l = d->kept;
        if (l->used)
                l->dropped = true;
        else
                lists_free(l);
}

static void search(struct check *c, struct lists *l, size_t i, const uint8_t hash[32])
{
        bool found = false;
        unsigned number = 0;
        struct err e;
        if (l->list[i] && blocklist_is_old(l->list[i])) {
                blocklist_close(l->list[i]);
                l->list[i] = NULL;
        }
        if ((!l->list[i] && !blocklist_open(&l->list[i], l->path.item[i], &e)) ||
                !blocklist_find(l->list[i], hash, &found, &number, &e))
                c->trouble = e;
        else if (found)
                snprintf(c->found, sizeof c->found, "list %u of %.240s", number, l->path.item[i]);
}

static void look(void *arg)
{
        struct check *c = arg;
        uint8_t hash[32];
        if (cert_list_hash(c->subject.der, c->subject.der_len, hash))
                for (size_t i = 0; i < c->lists->path.count && !c->found[0]; i++)
                        search(c, c->lists, i, hash);
        (void)cert_check_strength(c->subject.der, c->subject.der_len, &c->weak); /* its kind tells */
}

static void check_free(struct check *c)
{
        if (c->lists) {
                c->lists->used = false;
                if (c->lists->dropped)
                        lists_free(c->lists);
        }
        detect_subject_done(&c->subject);
        free(c);
}

static void report(struct check *c, enum report_strength strength, const char *what, const char *text)
{
        struct report r = {
                .strength = strength, .spki_hex = c->subject.spki_hex, .text = text, .revocation_reason = -1
        };
        CLEANUP(free_p) char *key = text_format("%s %s", what, c->subject.spki_hex);
        detector_report(c->detector, &r, key);
}

static void looked(void *arg, bool abandoned)
{
        struct check *c = arg;
        char text[REPORT_TEXT_MAX];
        if (abandoned)
                return check_free(c);
        if (c->found[0]) {
                snprintf(text, sizeof text, "%.80s: its key is in a list of burnt keys, %s", c->subject.cert, c->found);
                report(c, REPORT_PROOF, "list", text);
        }
        snprintf(text, sizeof text, "%.80s: %.300s", c->subject.cert, c->weak.text);
        if (c->weak.kind == ERR_RULE && weak_is_computable(&c->weak))
                report(c, REPORT_EXPOSED, "weak", text);
        else if (c->weak.kind == ERR_RULE)
                detector_warn(c->detector, c->subject.cert, text, "replace it with a key of another type");
        detector_trouble(c->detector, c->subject.cert, c->trouble.kind == ERR_NONE ? NULL : &c->trouble);
        detector_over(c->detector);
        check_free(c);
}

static void *start(struct detector *d, const struct conf_cert *cert, struct err *e)
{
        struct check *c = calloc(1, sizeof *c);
        struct lists *l = lists_of(d);
        if (!c || !l) {
                free(c);
                err_memory(e);
                return NULL;
        }
        c->detector = d;
        c->lists = l;
        l->used = true; /* before the thread begins */
        if (detect_subject_load(detector_engine(d), cert->name, &c->subject, e) &&
                work_start(&c->work, engine_loop(detector_engine(d)), look, looked, c, e))
                return c;
        check_free(c);
        return NULL;
}

static void cancel(void *check)
{
        work_abandon(((struct check *)check)->work);
}

static int64_t interval_ms(const struct conf_detectors *c)
{
        return c->keys_ms;
}

const struct detector_ops detect_keys = {
        .name = "keys", .interval_ms = interval_ms, .start = start, .cancel = cancel, .forget = forget
};
