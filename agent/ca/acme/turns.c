/* newOrder and what is asked about authorizations take turns at one CA. RFC 8555 does not ask for it; the store of
 * Pebble 2.4, which everybody tries a client against, does: an authorization that is read while one order is looking
 * through all of them and another adds its own locks it up, and no request is answered any more. A turn lasts as long
 * as an answer takes, and those of a kind share it; who has waited PATIENCE_MS goes all the same. */
#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "agent/ca/acme/acme.h"
#include "agent/net/loop.h"

#define PATIENCE_MS 500

static bool is_free(const struct acme_turns *t, enum acme_turn turn)
{
        return t->running == 0 || t->now == turn;
}

static void begin(struct acme_turns *t, struct acme_seat *s)
{
        t->now = s->turn;
        t->running++;
        s->state = ACME_SEAT_RUNS;
}

static void leave(struct acme_turns *t, struct acme_seat *s)
{
        struct acme_seat **at = &t->first;
        while (*at != s)
                at = &(*at)->next;
        *at = s->next;
}

static void look_in(struct acme_turns *t, int64_t ms)
{
        if (t->first)
                timer_start(t->timer, ms);
        else if (t->timer)
                timer_stop(t->timer);
}

/* One by one, from the loop: what a seat does when it goes may end the operation, even the CA. */
static void next(void *arg)
{
        struct acme_turns *t = arg;
        struct acme_seat *s = t->first;
        int64_t left_ms = s ? s->since_ms + PATIENCE_MS - clock_boot_ms() : 0;
        if (!s)
                return;
        if (!is_free(t, s->turn) && left_ms > 0)
                return look_in(t, left_ms);
        leave(t, s);
        begin(t, s);
        look_in(t, 0);
        s->go(s);
}

bool acme_turn_wait(struct acme_turns *t, struct acme_seat *s, struct loop *loop, bool *ret_now, struct err *e)
{
        struct acme_seat **end = &t->first;
        *ret_now = s->turn == ACME_TURN_ANY || (!t->first && is_free(t, s->turn));
        if (*ret_now && s->turn != ACME_TURN_ANY)
                begin(t, s);
        if (*ret_now)
                return true;
        if (!t->timer && !timer_new(&t->timer, loop, next, t, e))
                return false;
        while (*end)
                end = &(*end)->next;
        *end = s;
        s->next = NULL;
        s->state = ACME_SEAT_WAITS;
        s->since_ms = clock_boot_ms();
        if (t->first == s)
                timer_start(t->timer, PATIENCE_MS);
        return true;
}

void acme_turn_end(struct acme_turns *t, struct acme_seat *s)
{
        if (s->state == ACME_SEAT_WAITS)
                leave(t, s);
        else if (s->state == ACME_SEAT_RUNS)
                t->running--;
        else
                return;
        s->state = ACME_SEAT_OUT;
        look_in(t, 0);
}

void acme_turns_done(struct acme_turns *t)
{
        timer_free(t->timer);
        t->timer = NULL;
}
