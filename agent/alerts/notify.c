#include "agent/alerts/notify.h"

#include <stdlib.h>
#include <string.h>

#include "agent/alerts/notify_send.h"
#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/metrics.h"
#include "agent/base/util.h"
#include "agent/job/engine.h"
#include "agent/job/incident.h"
#include "agent/net/loop.h"
#include "agent/store/store.h"

#define LOAD_MAX (CONF_NOTIFY_MAX * NOTIFY_QUEUE_MAX)

static const char *const by_target_result[] = { "target", "result", NULL };
static const struct metric_family notifications = { "dcvd_notifications_total",
        "Notices by target: accepted, failed tries, dropped because too many wait or too old.", METRIC_COUNTER,
        by_target_result, NULL };

struct target {
        struct notifier *notifier;
        char *name;
        struct notify_queue queue;
        struct delivery *delivery; /* NULL: none runs */
        size_t carried; /* by it, from the queue's beginning */
        bool full; /* was told already */
        struct target *next;
};
struct test { /* dcvctl notify test */
        struct notifier *notifier;
        struct delivery *delivery;
        action_done_fn *done;
        void *arg;
        char *name;
        struct test *next;
};
struct notifier {
        struct engine *engine;
        struct notice_listener *listener;
        struct timer *timer;
        struct target *target;
        struct test *test;
        int64_t next_id;
        struct notifier *next;
};
static struct notifier *notifiers; /* one an engine; a process has one engine */

static void run(struct notifier *n);

static void count(const char *target, const char *result, double amount)
{
        const char *values[] = { target, result };
        metric_add(&notifications, values, amount);
}

/* ---- the journal ---- */

static void commit(struct notifier *n, struct store_batch *own)
{
        struct err e;
        if (!store_commit_own(engine_store(n->engine), own, NULL, NULL, &e))
                log_err("", "keeping a notice", &e);
}

static void keep(struct target *t, const struct notify_item *i)
{
        struct store_batch *b = store_batch_new();
        if (b &&
                store_batch_add(b,
                        "INSERT INTO notice(id, target, event, delivery, key, cert, job, incident, text, fix, at, "
                        "tries, due_ms) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        "itttttiittiii", i->id, t->name, conf_event_name(i->event), i->delivery, i->key, i->cert,
                        i->job, i->incident, i->text, i->fix, i->at_s, (int64_t)t->queue.failures, t->queue.due_ms))
                commit(t->notifier, b);
        else
                store_batch_free(b);
}

static void keep_delay(struct target *t)
{
        struct store_batch *b = store_batch_new();
        if (b &&
                store_batch_add(b, "UPDATE notice SET tries = ?, due_ms = ? WHERE target = ?", "iit",
                        (int64_t)t->queue.failures, t->queue.due_ms, t->name))
                commit(t->notifier, b);
        else
                store_batch_free(b);
}

/* The first ones are told, or not any more. */
static void drop(struct target *t, size_t how_many, const char *result)
{
        struct store_batch *b = store_batch_new();
        bool good = b != NULL;
        for (size_t i = 0; i < how_many && t->queue.first; i++) {
                struct notify_item *item = notify_queue_take(&t->queue);
                good = good && store_batch_add(b, "DELETE FROM notice WHERE id = ?", "i", item->id);
                notify_item_free(item);
                count(t->name, result, 1);
        }
        if (good)
                commit(t->notifier, b);
        else
                store_batch_free(b);
}

/* ---- targets ---- */

static struct target *find(struct notifier *n, const char *name)
{
        for (struct target *t = n->target; t; t = t->next)
                if (strcmp(t->name, name) == 0)
                        return t;
        return NULL;
}

static struct target *target_of(struct notifier *n, const char *name)
{
        struct target *t = find(n, name);
        if (t || !(t = calloc(1, sizeof *t)))
                return t;
        t->notifier = n;
        t->name = text_dup(name);
        if (!t->name) {
                free(t);
                return NULL;
        }
        notify_queue_init(&t->queue);
        t->next = n->target;
        n->target = t;
        count(name, "accepted", 0);
        count(name, "failed", 0);
        count(name, "dropped", 0);
        return t;
}

static void target_free(struct target *t)
{
        for (struct target **at = &t->notifier->target; *at; at = &(*at)->next)
                if (*at == t) {
                        *at = t->next;
                        break;
                }
        delivery_cancel(t->delivery);
        notify_queue_done(&t->queue);
        free(t->name);
        free(t);
}

/* ---- telling ---- */

static void delivered(void *arg, const struct delivery_result *r)
{
        struct target *t = arg;
        struct notifier *n = t->notifier;
        const struct conf_notify *conf = config_notify(engine_config(n->engine), t->name);
        t->delivery = NULL;
        if (r->accepted) {
                notify_queue_accepted(&t->queue);
                drop(t, t->carried, "accepted");
        } else {
                count(t->name, "failed", 1);
                log_err("", "not told", &r->err);
                notify_queue_failed(&t->queue, clock_now_ms(), conf ? conf->repeat_ms : 60000, r->after_s);
                keep_delay(t);
        }
        run(n);
}

static void begin(struct target *t, const struct conf_notify *conf)
{
        struct delivery_result r = { 0 };
        t->carried = delivery_size(conf, t->queue.count);
        t->delivery = delivery_start(t->notifier->engine, conf, t->queue.first, t->carried, delivered, t, &r.err);
        if (t->delivery)
                return;
        count(t->name, "failed", 1);
        log_err("", "not told", &r.err);
        notify_queue_failed(&t->queue, clock_now_ms(), conf->repeat_ms, 0);
        keep_delay(t);
}

static void too_old(struct target *t)
{
        size_t old = 0;
        for (; notify_queue_too_old(&t->queue, clock_now_s()); old++)
                drop(t, 1, "dropped");
        if (old)
                log_warning("", "notify.%s: %zu notices older than 30 days were never taken: dropped", t->name, old);
}

/* Begins what is due; the timer waits for the earliest of the rest, and does not run when there is none. */
static void run(struct notifier *n)
{
        int64_t now_ms = clock_now_ms(), next_ms = INT64_MAX;
        for (struct target *t = n->target; t; t = t->next) {
                const struct conf_notify *conf = config_notify(engine_config(n->engine), t->name);
                if (t->delivery || !conf)
                        continue;
                too_old(t);
                if (t->queue.first && t->queue.due_ms <= now_ms)
                        begin(t, conf);
                if (t->queue.first && !t->delivery)
                        next_ms = MIN(next_ms, t->queue.due_ms);
        }
        timer_stop(n->timer);
        if (next_ms != INT64_MAX)
                timer_start(n->timer, MIN(MAX(next_ms - now_ms, 1), INT64_C(3600000)));
}

static void timer_fired(void *arg)
{
        run(arg);
}

/* ---- what happens ---- */

static struct notify_item *item_new(struct notifier *n, const struct notice *from)
{
        uint8_t random[16];
        char hex[33];
        struct notify_item *i = calloc(1, sizeof *i);
        if (!i)
                return NULL;
        random_bytes(random, sizeof random);
        hex_encode(hex, random, sizeof random);
        *i = (struct notify_item){ .id = n->next_id++,
                .event = (enum conf_event)from->kind, /* in the same order */
                .delivery = text_format("msg_%s", hex),
                .key = text_dup(from->key),
                .cert = text_dup(from->cert),
                .text = text_dup(from->text),
                .fix = text_dup(from->fix),
                .job = from->job,
                .incident = from->incident,
                .at_s = from->at_s };
        if (i->delivery && i->key && (i->cert || !from->cert) && (i->text || !from->text) && (i->fix || !from->fix))
                return i;
        notify_item_free(i);
        return NULL;
}

static void tell(struct notifier *n, const struct conf_notify *conf, const struct notice *from)
{
        struct target *t = target_of(n, conf->name);
        struct notify_item *i = t ? item_new(n, from) : NULL;
        enum notify_added added = i ? notify_queue_add_own(&t->queue, i) : NOTIFY_FULL;
        if (added == NOTIFY_ADDED) {
                keep(t, i);
                t->full = false;
                return;
        }
        notify_item_free(i);
        if (added == NOTIFY_KNOWN)
                return;
        count(conf->name, "dropped", 1);
        if (t && !t->full)
                log_error("", "notify.%s: %d notices wait already, further ones are dropped; dcvctl notify test %s",
                        conf->name, NOTIFY_QUEUE_MAX, conf->name);
        if (t)
                t->full = true;
}

static void on_notice(void *arg, const struct notice *from)
{
        struct notifier *n = arg;
        const struct conf *conf = engine_config(n->engine);
        for (size_t i = 0; i < conf->notify.count; i++)
                if (conf->notify.item[i].on & (1U << from->kind))
                        tell(n, &conf->notify.item[i], from);
        timer_start(n->timer, 1); /* not from inside the engine */
}

static struct notifier *notifier_of(const struct engine *g)
{
        struct notifier *n = notifiers;
        while (n && n->engine != g)
                n = n->next;
        return n;
}

void notifier_tell(struct engine *g, const struct notice *notice)
{
        struct notifier *n = notifier_of(g);
        if (n)
                on_notice(n, notice);
}

/* ---- life ---- */

static bool load_row(void *arg, const struct store_row *row)
{
        struct notifier *n = arg;
        struct target *t = row_text(row, 1) ? target_of(n, row_text(row, 1)) : NULL;
        struct notify_item *i = t ? calloc(1, sizeof *i) : NULL;
        if (!i)
                return true;
        *i = (struct notify_item){ .id = row_i64(row, 0),
                .delivery = text_dup(row_text(row, 3)),
                .key = text_dup(row_text(row, 4)),
                .cert = text_dup(row_text(row, 5)),
                .job = row_i64(row, 6),
                .incident = row_i64(row, 7),
                .text = text_dup(row_text(row, 8)),
                .fix = text_dup(row_text(row, 9)),
                .at_s = row_i64(row, 10) };
        n->next_id = MAX(n->next_id, i->id + 1);
        t->queue.failures = (unsigned)row_i64(row, 11);
        t->queue.due_ms = row_i64(row, 12);
        if (!i->delivery || !i->key || !conf_event_parse(row_text(row, 2) ? row_text(row, 2) : "", &i->event) ||
                notify_queue_add_own(&t->queue, i) != NOTIFY_ADDED)
                notify_item_free(i);
        return true;
}

static bool load(struct notifier *n, struct err *e)
{
        return store_query(engine_store(n->engine),
                "SELECT id, target, event, delivery, key, cert, job, incident, text, fix, at, tries, due_ms "
                "FROM notice ORDER BY id LIMIT ?",
                "i", load_row, n, e, (int64_t)LOAD_MAX);
}

/* A target that is gone takes what it was to be told along. */
void notifier_reconfigured(struct notifier *n)
{
        const struct conf *conf = engine_config(n->engine);
        for (struct target *t = n->target, *next; t; t = next) {
                next = t->next;
                if (config_notify(conf, t->name))
                        continue;
                if (t->queue.count)
                        log_warning("", "notify.%s is no longer configured: %zu notices are dropped", t->name,
                                t->queue.count);
                delivery_cancel(t->delivery);
                t->delivery = NULL;
                drop(t, t->queue.count, "dropped");
                target_free(t);
        }
        for (size_t i = 0; i < conf->notify.count; i++)
                (void)target_of(n, conf->notify.item[i].name); /* its counters begin at 0 */
        run(n);
}

bool notifier_open(struct notifier **ret, struct engine *g, struct err *e)
{
        struct notifier *n = calloc(1, sizeof *n);
        if (!n)
                return err_memory(e);
        n->engine = g;
        n->next_id = 1;
        n->next = notifiers;
        notifiers = n;
        if (!timer_new(&n->timer, engine_loop(g), timer_fired, n, e) || !load(n, e) ||
                !((n->listener = notice_listen(g, on_notice, n)) || err_memory(e))) {
                notifier_close(n);
                return false;
        }
        notifier_reconfigured(n);
        metric_declare(&notifications); /* shown where nobody is told, too */
        *ret = n;
        return true;
}

static void test_free(struct test *t)
{
        for (struct test **at = &t->notifier->test; *at; at = &(*at)->next)
                if (*at == t) {
                        *at = t->next;
                        break;
                }
        delivery_cancel(t->delivery);
        free(t->name);
        free(t);
}

void notifier_close(struct notifier *n)
{
        if (!n)
                return;
        for (struct notifier **at = &notifiers; *at; at = &(*at)->next)
                if (*at == n) {
                        *at = n->next;
                        break;
                }
        notice_unlisten(n->engine, n->listener);
        while (n->test)
                test_free(n->test);
        while (n->target)
                target_free(n->target);
        timer_free(n->timer);
        free(n);
}

/* ---- dcvctl notify test ---- */

static void tested(void *arg, const struct delivery_result *r)
{
        struct test *t = arg;
        CLEANUP(json_decref_p) json_t *o = json_object();
        CLEANUP(free_p)
        char *text = r->accepted ? text_format("notify.%s took the test notice", t->name)
                                 : text_format("%s%s%s", r->err.text, r->err.fix[0] ? "; " : "", r->err.fix);
        action_done_fn *done = t->done;
        void *to = t->arg;
        t->delivery = NULL;
        count(t->name, r->accepted ? "accepted" : "failed", 1);
        json_put_text(o, "target", t->name);
        json_put_bool(o, "accepted", r->accepted);
        json_put_text(o, "text", text);
        json_put_i64(o, "exit", r->accepted ? 0 : 1);
        test_free(t);
        done(to, o, NULL);
}

static const struct conf_notify *wanted(struct notifier *n, const json_t *args, struct err *e)
{
        const char *name = json_str(args, "name");
        const struct conf *conf = engine_config(n->engine);
        const struct conf_notify *c = name ? config_notify(conf, name) : NULL;
        struct buf b = { .max = 300 };
        if (c)
                return c;
        for (size_t i = 0; i < conf->notify.count; i++)
                buf_addf(&b, "%s%s", i ? ", " : "", conf->notify.item[i].name);
        err_set(e, ERR_CONFIG, "notify.unknown", "there is no notify target %s", name ? name : "(no name given)");
        err_fix(e, "%s%s", b.len ? "one of: " : "add a section notify to the configuration", b.len ? b.data : "");
        buf_done(&b);
        return NULL;
}

static void say_dry(const struct conf_notify *conf, action_done_fn *done, void *arg)
{
        CLEANUP(json_decref_p) json_t *o = json_object();
        CLEANUP(free_p)
        char *text = conf->url
                ? text_format("would call %s, signed", conf->url)
                : text_format("would run %s as user dcvd-hook, a mail on its standard input", conf->command.item[0]);
        json_put_text(o, "target", conf->name);
        json_put_text(o, "text", text);
        json_put_i64(o, "exit", 0);
        done(arg, o, NULL);
}

static bool start_test(struct notifier *n, const json_t *args, action_done_fn *done, void *arg, struct err *e)
{
        const struct conf_notify *conf = wanted(n, args, e);
        if (conf && json_bool(args, "dry_run", false)) {
                say_dry(conf, done, arg);
                return true;
        }
        const struct notice notice = { .kind = NOTICE_DONE,
                .text = "this is a test by dcvctl notify test: nothing happened",
                .key = "test",
                .at_s = clock_now_s() };
        if (!conf)
                return false;
        struct notify_item *item = item_new(n, &notice);
        struct test *t = calloc(1, sizeof *t);
        if (t)
                *t = (struct test){ n, NULL, done, arg, text_dup(conf->name), n->test };
        bool good = (item && t && t->name) || err_memory(e);
        if (good)
                n->test = t;
        if (good) {
                t->delivery = delivery_start(n->engine, conf, item, 1, tested, t, e);
                good = t->delivery != NULL;
                if (!good)
                        test_free(t);
        } else if (t) {
                free(t->name);
                free(t);
        }
        notify_item_free(item);
        return good;
}

void action_notify(struct engine *g, const json_t *args, action_done_fn *done, void *arg)
{
        struct err e;
        struct notifier *n = notifier_of(g);
        if (!n)
                err_set(&e, ERR_CONFIG, "notify.daemon", "only the daemon notifies");
        if (!n || !start_test(n, args, done, arg, &e))
                done(arg, NULL, &e);
}
