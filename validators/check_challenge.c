/* Where the token of a name will be asked for: the challenge name, and behind aliases the name at their end with its
 * zone. Only authoritative servers are asked (I7). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "validators/alias.h"
#include "validators/check_gather.h"
#include "validators/check_internal.h"

struct led {
        struct check_challenge c;
        char *owner, *loops_at, *missing, *why;
};

static void led_free(void *value)
{
        struct led *l = value;
        texts_done(&l->c.chain);
        free(l->owner);
        free(l->loops_at);
        free(l->missing);
        free(l->why);
        free(l);
}

static const struct check_fact_kind challenge_kind = { .free_value = led_free };

static bool target_of(const struct check_answer *a, const char *name, char ret[DNS_NAME_TEXT])
{
        if (!check_is_answered(a) || !a->message->aa)
                return false;
        for (size_t i = 0; i < a->message->rr_count; i++) {
                const struct dns_rr *rr = &a->message->rr[i];
                if (rr->section == DNS_ANSWER && rr->type == DNS_CNAME && dns_name_equal(rr->owner, name) &&
                        dns_rr_name(a->message, rr, ret))
                        return true;
        }
        return false;
}

/* The first server that knows decides where it goes on. False: not known yet. */
static bool find_target(struct check_context *c, const struct check_zone *z, const char *name, char ret[DNS_NAME_TEXT])
{
        bool open = false;
        ret[0] = '\0';
        for (size_t i = 0; i < z->server_count; i++) {
                const struct check_answer *a = check_server(c, z, i, name, DNS_TXT, 0);
                open = open || !a;
                if (target_of(a, name, ret))
                        return true;
                if (check_is_answered(a) && a->message->aa)
                        return true;
        }
        return !open;
}

static bool visited(const struct texts *chain, const char *name)
{
        for (size_t i = 0; i < chain->count; i++)
                if (dns_name_equal(chain->item[i], name))
                        return true;
        return false;
}

/* False: not known yet. */
static bool follow(struct check_context *c, struct led *l)
{
        char target[DNS_NAME_TEXT];
        for (;;) {
                const char *at = l->c.chain.item[l->c.chain.count - 1];
                const struct check_zone *z = check_zone(c, at);
                if (!z)
                        return false;
                if (z->error) {
                        if (l->c.chain.count > 1) {
                                l->missing = text_dup(at);
                                l->why = text_dup(z->error);
                        }
                        l->c.zone = z;
                        return true;
                }
                l->c.zone = z;
                if (!find_target(c, z, at, target))
                        return false;
                if (!target[0])
                        return true;
                if (visited(&l->c.chain, target)) {
                        l->loops_at = text_dup(target);
                        return true;
                }
                if (!texts_add(&l->c.chain, target))
                        return true;
                if (l->c.chain.count > ALIASES_MAX + 1) {
                        l->c.too_long = true;
                        return true;
                }
        }
}

const struct check_challenge *check_challenge(struct check_context *c)
{
        CLEANUP(free_p)
        char *owner = text_format("%s.%s",
                c->target->method == METHOD_DNS_PERSIST ? "_validation-persist" : c->target->dns_label, c->base);
        CLEANUP(free_p) char *key = owner ? text_format("challenge %s", owner) : NULL;
        const struct led *known = key ? check_known(c->run, key) : NULL;
        if (known)
                return &known->c;
        struct led *l = key ? calloc(1, sizeof *l) : NULL;
        size_t open = c->open;
        if (!l || !texts_add(&l->c.chain, owner)) {
                free(l);
                return check_no_memory(c);
        }
        if (!follow(c, l) || c->open > open) {
                led_free(l);
                return NULL;
        }
        l->owner = STEAL(owner);
        l->c.owner = l->owner;
        l->c.final = l->c.chain.item[l->c.chain.count - 1];
        l->c.loops_at = l->loops_at;
        l->c.missing = l->missing;
        l->c.why = l->why;
        if (check_know(c->run, key, &challenge_kind, l))
                return &l->c;
        led_free(l);
        return check_no_memory(c);
}
