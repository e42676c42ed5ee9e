/* renewal(): renewal information (RFC 9773), a plain GET. A CA without it is asked again in a week: it may learn. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/ca/acme/acme.h"
#include "agent/pki/chain.h"

#define LEAST_S 60
#define MOST_S 86400
#define OTHERWISE_S (6 * 3600)
#define PRINTABLE "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/?#[]@!$&'()*+,;=%"
#define NEVER_S (7 * 86400)

struct renewal {
        struct ca_call op;
        uint8_t *der; /* the certificate */
        size_t len;
        ca_renewal_fn *done;
        void *arg;
};

static void renewal_clean(struct ca_call *op)
{
        free(((struct renewal *)op)->der);
}

static void renewal_end(struct renewal *r, const struct ca_renewal *said, const struct err *err)
{
        struct err e = err ? *err : (struct err){ 0 };
        acme_op_detach(&r->op);
        r->done(r->arg, said, err ? &e : NULL);
        acme_op_free(&r->op);
}

bool acme_renewal_read(const json_t *o, int64_t retry_after_s, struct ca_renewal *ret, struct err *e)
{
        const json_t *window = json_object_get(o, "suggestedWindow");
        const char *start = json_str(window, "start"), *end = json_str(window, "end"),
                   *page = json_str(o, "explanationURL");
        struct ca_renewal r = { .look_again_s =
                                        retry_after_s < 0 ? OTHERWISE_S : MIN(MAX(retry_after_s, LEAST_S), MOST_S) };
        if (!start || !end || !parse_time(start, &r.start_s) || !parse_time(end, &r.end_s) || r.end_s <= r.start_s ||
                r.start_s <= 0)
                return err_set(e, ERR_PROTOCOL, "acme.renewal", "the renewal window is none");
        if (page && strlen(page) < sizeof r.explanation && text_starts(page, "https://") &&
                strspn(page, PRINTABLE) == strlen(page))
                snprintf(r.explanation, sizeof r.explanation, "%s", page);
        *ret = r;
        return true;
}

static void answered(struct ca_call *op, void *tag, const struct acme_answer *a, const struct err *err)
{
        struct renewal *r = (struct renewal *)op;
        struct ca_renewal said;
        struct err e;
        (void)tag;
        if (err) {
                e = *err;
                if (strcmp(e.code, ACME_UNREADABLE) == 0)
                        e.kind = ERR_PROTOCOL; /* not one that passes soon (RFC 9773 section 4.3) */
                return renewal_end(r, NULL, &e);
        }
        if (!acme_renewal_read(a->json, a->retry_after_s, &said, &e))
                return renewal_end(r, NULL, &e);
        renewal_end(r, &said, NULL);
}

static void ready(struct ca_call *op, const struct err *err)
{
        struct renewal *r = (struct renewal *)op;
        const char *base = op->ca->directory.renewal_info;
        struct err e;
        CLEANUP(free_p) char *id = NULL;
        if (err)
                return renewal_end(r, NULL, err);
        /* Most CAs of one's own have no such place, and a certificate costs more to read than that. */
        if (!base || !cert_renewal_id(r->der, r->len, &id, NULL))
                return renewal_end(r, &(struct ca_renewal){ .look_again_s = NEVER_S }, NULL);
        CLEANUP(free_p) char *url = text_format("%s%s%s", base, text_ends(base, "/") ? "" : "/", id);
        const struct acme_ask ask = {
                .action = "renewalInfo", .what = "renewal information", .url = url, .sign = ACME_GET, .repeat = true
        };
        if (!url)
                err_memory(&e);
        if (!url || !acme_ask(op, &ask, answered, NULL, &e))
                renewal_end(r, NULL, &e);
}

struct ca_call *acme_renewal(
        struct ca *ca, const uint8_t *der, size_t len, ca_renewal_fn *done, void *arg, struct err *e)
{
        struct renewal *r = calloc(1, sizeof *r);
        if (!r) {
                err_memory(e);
                return NULL;
        }
        r->done = done;
        r->arg = arg;
        acme_op_link(ca, &r->op, renewal_clean);
        r->der = malloc(len + 1);
        r->len = len;
        if (!r->der) {
                acme_op_free(&r->op);
                err_memory(e);
                return NULL;
        }
        memcpy(r->der, der, len);
        if (!acme_op_begin(&r->op, ACME_WANT_DIRECTORY, ready, e)) {
                acme_op_free(&r->op);
                return NULL;
        }
        return &r->op;
}
