/* What this process knows of open orders. Nothing here is needed to go on after a restart: it saves questions. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "agent/ca/acme/acme.h"
#include "agent/net/address.h"

/* A CA that answers in a millisecond has validated in five; one across an ocean is not asked before it can have. */
#define POLL_ANSWERS 4 /* times what its quickest answer took */
#define POLL_FIRST_LEAST_US 6000
#define POLL_FIRST_MOST_US 250000
#define POLL_MOST_US 30000000
/* What it really takes is learned: a first look that came too early makes the next order's wait longer by a quarter,
 * one that did not makes it shorter by a sixteenth, so that four of five find the CA done. */
#define PACE_LONGER 4
#define PACE_SHORTER 16
#define PACE_MOST_US 2000000
#define UNREAD_MOST_MS (24 * 3600 * 1000) /* then it is no maintenance page */
#define UNREAD_OTHER_MS (48 * 3600 * 1000) /* nobody asked for so long: another time of it */

static void places_done(struct acme_note *n)
{
        for (size_t i = 0; i < n->place_count; i++) {
                free(n->place[i].url);
                if (n->place[i].known)
                        acme_authz_done(&n->place[i].authz);
        }
        free(n->place);
        n->place = NULL;
        n->place_count = 0;
}

static void note_free(struct acme_note *n)
{
        places_done(n);
        acme_order_done(&n->order);
        texts_done(&n->names);
        free(n->url);
        free(n);
}

struct acme_note *acme_note_find(struct ca *ca, const char *url)
{
        for (struct acme_note *n = ca->notes; n; n = n->next)
                if (strcmp(n->url, url) == 0)
                        return n;
        return NULL;
}

struct acme_note *acme_note_get(struct ca *ca, const char *url)
{
        struct acme_note *n = acme_note_find(ca, url);
        if (n || !(n = calloc(1, sizeof *n)))
                return n;
        n->url = text_dup(url);
        if (!n->url) {
                free(n);
                return NULL;
        }
        n->retry_after_s = -1;
        n->challenges = &ca->conf->challenges;
        n->next = ca->notes;
        ca->notes = n;
        return n;
}

void acme_note_forget(struct ca *ca, const char *url)
{
        for (struct acme_note **at = &ca->notes; *at; at = &(*at)->next)
                if (strcmp((*at)->url, url) == 0) {
                        struct acme_note *n = *at;
                        *at = n->next;
                        return note_free(n);
                }
}

void acme_notes_done(struct ca *ca)
{
        while (ca->notes) {
                struct acme_note *n = ca->notes;
                ca->notes = n->next;
                note_free(n);
        }
}

static bool has_place(const struct acme_note *n, const char *url)
{
        for (size_t i = 0; i < n->place_count; i++)
                if (strcmp(n->place[i].url, url) == 0)
                        return true;
        return false;
}

/* Servers name the same authorizations in another order each time. */
static bool places_take(struct acme_note *n, const struct texts *urls)
{
        bool same = n->place_count == urls->count;
        for (size_t i = 0; same && i < urls->count; i++)
                same = has_place(n, urls->item[i]);
        if (same)
                return true;
        places_done(n);
        n->place = calloc(urls->count, sizeof *n->place);
        if (!n->place)
                return false;
        for (size_t i = 0; i < urls->count; i++) {
                n->place[i].url = text_dup(urls->item[i]);
                if (!n->place[i].url)
                        return false;
                n->place_count++;
        }
        return true;
}

/* By what this look waited, not by what is known meanwhile: many orders that wait side by side tell one thing. */
static void learn(struct acme_note *n, bool early)
{
        struct acme_pace *p = STEAL(n->first);
        int64_t us = n->first_us;
        if (p && early)
                p->us = MAX(p->us, MIN(us + us / PACE_LONGER, PACE_MOST_US));
        else if (p)
                p->us = MIN(p->us, MAX(us - us / PACE_SHORTER, POLL_FIRST_LEAST_US));
}

bool acme_note_take(struct acme_note *n, const struct acme_answer *a, struct err *e)
{
        struct acme_order o;
        if (!acme_order_read(a->json, &o, e))
                return err_wrap(e, "order %s", n->url);
        if (!places_take(n, &o.authz)) {
                acme_order_done(&o);
                places_done(n);
                return err_memory(e);
        }
        learn(n, o.status == n->order.status || o.status == ACME_PROCESSING);
        if (o.status != n->order.status)
                n->looks = 0;
        if (o.status == ACME_PROCESSING && !n->making_ms)
                n->making_ms = clock_boot_ms();
        acme_order_done(&n->order);
        n->order = o;
        n->retry_after_s = a->retry_after_s;
        return true;
}

void acme_note_unread(struct acme_note *n, struct err *e)
{
        acme_unread(n ? &n->garble : NULL, e);
}

void acme_unread(struct acme_garble *g, struct err *e)
{
        int64_t now_ms = clock_boot_ms();
        if (g && (!g->since_ms || now_ms - g->last_ms > UNREAD_OTHER_MS))
                g->since_ms = now_ms;
        if (g)
                g->last_ms = now_ms;
        if (e->kind != ERR_PROTOCOL && e->kind != ERR_TEMPORARY)
                return;
        bool over = g && now_ms - g->since_ms > UNREAD_MOST_MS;
        e->kind = over ? ERR_PROTOCOL : ERR_TEMPORARY;
        if (over)
                err_wrap(e, "no answer that could be read for a day");
}

/* The first that is offered and usable of those that the validation allows, in the order of the configuration. */
static const struct acme_challenge *choose(
        const struct acme_note *n, const struct acme_authz *a, const char **ret_first)
{
        static const char *const file[] = { "http-01", NULL }, *const tls[] = { "tls-alpn-01", NULL },
                                 *const dns[] = { "dns-01", "dns-account-01", NULL };
        bool own = n->validation == VALIDATION_DNS && n->challenges && n->challenges->count > 0;
        const char *const *list = n->validation == VALIDATION_FILE ? file
                : n->validation == VALIDATION_TLS_ALPN             ? tls
                                                                   : dns;
        size_t count = own ? n->challenges->count : 2;
        *ret_first = own ? n->challenges->item[0] : list[0];
        for (size_t i = 0; i < count && (own || list[i]); i++) {
                const struct acme_challenge *c = acme_challenge_find(a, own ? n->challenges->item[i] : list[i]);
                if (c && (c->token || c->issuers.count > 0))
                        return c;
        }
        return NULL;
}

const struct acme_challenge *acme_note_challenge(const struct acme_note *n, const struct acme_authz *a, struct err *e)
{
        const char *type;
        const struct acme_challenge *c = choose(n, a, &type);
        char offered[300];
        if (c)
                return c;
        acme_challenge_types(a, offered, sizeof offered);
        err_set(e, ERR_DENIED, "acme.challenge", "the CA does not offer %s for %s%s; it offers: %s", type,
                a->wildcard ? "*." : "", a->name, offered);
        err_fix(e, "set a validation that is offered, and a publisher for it");
        return NULL;
}

static bool is_for(const struct acme_authz *a, const char *name)
{
        struct address one, other;
        bool ip = address_parse(name, 0, &other), wild = text_starts(name, "*.");
        if (a->ip || ip) /* written in more than one way */
                return a->ip && ip && !a->wildcard && address_parse(a->name, 0, &one) && address_equal(&one, &other);
        return a->wildcard == wild && text_equal_nocase(a->name, wild ? name + 2 : name);
}

bool acme_note_is_asked(const struct acme_note *n, const struct acme_authz *a, struct err *e)
{
        for (size_t i = 0; i < n->names.count; i++)
                if (is_for(a, n->names.item[i]))
                        return true;
        return err_set(e, ERR_PROTOCOL, "acme.stranger", "the CA wants a proof for %s%s, a name that nobody ordered",
                a->wildcard ? "*." : "", a->name);
}

int64_t acme_note_poll_ms(struct acme_note *n, int64_t quickest_us, struct acme_pace *pace)
{
        int64_t us = MIN(MAX(POLL_ANSWERS * quickest_us, POLL_FIRST_LEAST_US), POLL_FIRST_MOST_US);
        unsigned looks = n->looks++;
        n->first = NULL;
        if (n->retry_after_s > 0)
                return n->retry_after_s * 1000;
        if (looks == 0 && pace) {
                pace->us = pace->us ? pace->us : us;
                n->first = pace;
                n->first_us = pace->us;
                return pace->us / 1000;
        }
        us = MAX(us, pace ? pace->us / 4 : 0);
        for (unsigned i = 1; i < looks && us < POLL_MOST_US; i++)
                us += us / 2;
        return MIN(us, POLL_MOST_US) / 1000;
}
