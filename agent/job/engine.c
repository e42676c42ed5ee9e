/* Opening, going on after a restart, and closing: the order of things is the point of this file. */
#include "agent/job/engine.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/job/internal.h"
#include "agent/net/dns.h"
#include "agent/net/due_timer.h"
#include "agent/net/helper.h"
#include "agent/net/http.h"
#include "agent/net/httpd.h"
#include "agent/net/loop.h"
#include "agent/net/tls_alpn.h"
#include "validators/alpn_table.h"
#include "validators/token_table.h"

bool engine_put_compromised(struct engine *g, const char *spki, const char *why, struct err *e)
{
        if (!compromised_add(g->keystore, spki, e))
                return false;
        struct store_batch *b = store_batch_new();
        CLEANUP(json_decref_p) json_t *data = json_pack("{s:s, s:s?}", "spki", spki, "why", why);
        if (!b || !journal_compromised(b, spki, clock_now_s(), why) ||
                !journal_audit(b, clock_now_s(), NULL, 0, "key-compromised", data)) {
                store_batch_free(b);
                return err_memory(e);
        }
        engine_commit_logged(g, b);
        return true;
}

/* ---- small look-ups ---- */

struct job *engine_job(struct engine *g, int64_t id)
{
        size_t low = 0, high = g->job_count;
        while (low < high) {
                size_t mid = low + (high - low) / 2;
                if (g->job[mid]->row.id == id)
                        return g->job[mid];
                if (g->job[mid]->row.id < id)
                        low = mid + 1;
                else
                        high = mid;
        }
        return NULL;
}

struct backend_ca *engine_ca(struct engine *g, const char *name)
{
        for (size_t i = 0; i < g->ca_count; i++)
                if (strcmp(g->ca[i].name, name) == 0)
                        return &g->ca[i];
        return NULL;
}

bool engine_ca_is_internal(const struct engine *g, const char *name)
{
        size_t n = name ? strlen(name) : 0;
        struct ca_about about = { 0 };
        if (name && text_ends(name, CA_STAGING_SUFFIX))
                n -= strlen(CA_STAGING_SUFFIX);
        CLEANUP(free_p) char *base = name ? text_dup_n(name, n) : NULL;
        const struct conf_backend *b = base ? config_ca(g->conf, base) : NULL;
        const struct ca_ops *ops = b ? ca_ops_find(b->kind->type) : NULL;
        if (ops && ops->about)
                ops->about(b->parsed, b->name, NULL, &about);
        return about.internal;
}

struct backend_publisher *engine_publisher(struct engine *g, const char *name)
{
        for (size_t i = 0; i < g->publisher_count; i++)
                if (strcmp(g->publisher[i].name, name) == 0)
                        return &g->publisher[i];
        return NULL;
}

struct order_row *engine_order(struct engine *g, const char *ca, const char *order_id)
{
        for (size_t i = 0; ca && order_id && i < g->order_count; i++)
                if (strcmp(g->order[i].ca, ca) == 0 && strcmp(g->order[i].order_id, order_id) == 0)
                        return &g->order[i];
        return NULL;
}

struct order_row *engine_order_of_cert(struct engine *g, const char *cert, const char *ca)
{
        for (size_t i = 0; i < g->order_count; i++)
                if (g->order[i].open && strcmp(g->order[i].cert, cert) == 0 && strcmp(g->order[i].ca, ca) == 0)
                        return &g->order[i];
        return NULL;
}

static bool order_copy(struct order_row *ret, const struct order_row *from)
{
        *ret = (struct order_row){ text_dup(from->ca), text_dup(from->order_id), text_dup(from->cert),
                text_dup(from->subject_id), text_dup(from->spki), text_dup(from->csr), from->open, from->opened_s,
                from->deadline_s, from->job };
        return ret->ca && ret->order_id && ret->cert;
}

bool engine_order_put(struct engine *g, struct store_batch *b, const struct order_row *row)
{
        struct order_row *known = engine_order(g, row->ca, row->order_id), copy, put = *row;
        if (known && put.deadline_s == 0)
                put.deadline_s = known->deadline_s;
        if (!row->ca || !row->order_id || !journal_put_order(b, &put))
                return false;
        if (!row->open) {
                if (known) {
                        order_row_done(known);
                        *known = g->order[--g->order_count];
                }
                return true;
        }
        if (!order_copy(&copy, &put)) {
                order_row_done(&copy);
                return false;
        }
        if (known) {
                order_row_done(known);
                *known = copy;
                return true;
        }
        struct order_row *more = realloc(g->order, (g->order_count + 1) * sizeof *more);
        if (!more) {
                order_row_done(&copy);
                return false;
        }
        g->order = more;
        g->order[g->order_count++] = copy;
        return true;
}

/* ---- opening ---- */

static const char **resolver_list(const struct conf *conf)
{
        const char **list = calloc(conf->resolvers.count + 1, sizeof *list);
        for (size_t i = 0; list && i < conf->resolvers.count; i++)
                list[i] = conf->resolvers.item[i];
        return list;
}

static const char **except_list(const struct conf *conf)
{
        const char **list = calloc(conf->proxy_except.count + 1, sizeof *list);
        for (size_t i = 0; list && i < conf->proxy_except.count; i++)
                list[i] = conf->proxy_except.item[i];
        return list;
}

static bool open_clients(struct engine *g, struct err *e)
{
        CLEANUP(free_p) const char **resolvers = resolver_list(g->conf);
        CLEANUP(free_p) const char **except = except_list(g->conf);
        if (!resolvers || !except)
                return err_memory(e);
        struct dns_conf dns = { .resolvers = g->conf->resolvers.count ? resolvers : NULL };
        struct http_conf http = {
                .user_agent = "dcvd/" DCVD_VERSION, .proxy_url = g->conf->proxy_url, .proxy_except = except
        };
        return dns_open(&g->dns, g->loop, &dns, e) && http_open(&g->http, g->loop, g->dns, &http, e) &&
                propagation_engine_open(&g->propagation, g->loop, g->dns, g->http, e) &&
                token_table_new(&g->token_table, e) && alpn_table_new(&g->alpn_table, e) &&
                tls_alpn_open(&g->tokens_tls, g->loop, alpn_table_find, g->alpn_table, e);
}

/* Nothing in STATE is written before the lock is ours and owner and mode are right (B8, H3). */
static bool open_state_directory(struct engine *g, struct err *e)
{
        CLEANUP(close_p) int fd = -1;
        struct stat st;
        const char *path = g->conf->state_directory;
        CLEANUP(free_p) char *lock = text_format("%s/lock", path);
        if (!lock)
                return err_memory(e);
        if (!dir_open(path, true, 0700, &fd, e)) {
                err_wrap(e, "state directory %s", path);
                return err_fix(e, "install -d -m 0700 -o dcvd -g dcvd %s", path);
        }
        if (fstat(fd, &st) < 0)
                return err_set(e, ERR_CONFIG, "state", "state directory %s cannot be read", path);
        if (st.st_uid != geteuid()) {
                err_set(e, ERR_CONFIG, "state.owner", "state directory %s is owned by user %u, dcvd runs as user %u",
                        path, (unsigned)st.st_uid, (unsigned)geteuid());
                return err_fix(e, "chown -R %u %s, or run as that user", (unsigned)geteuid(), path);
        }
        if (st.st_mode & 0022) {
                err_set(e, ERR_CONFIG, "state.mode", "state directory %s has mode %04o: others could change it", path,
                        (unsigned)st.st_mode & 07777);
                return err_fix(e, "chmod 0700 %s", path);
        }
        return file_lock(lock, &g->lock_fd, e);
}

static void jumped(void *arg, int64_t delta_s)
{
        struct engine *g = arg;
        char span[40];
        format_span(delta_s, span, sizeof span);
        log_warning("", "the clock was set by %s; nothing renews, expires or revokes before a second look confirms it",
                span);
        g->clock_suspect_until_ms = clock_boot_ms() + 300 * 1000;
        for (size_t i = 0; i < g->job_count; i++) /* how long a CA was given stays the same */
                if (g->job[i]->row.attempt_s > 0)
                        g->job[i]->row.attempt_s += delta_s;
        if (delta_s >= 0 || !g->started)
                return;
        /* What is due was set by a clock that was ahead: whoever sleeps looks again and sleeps by the new one. */
        for (size_t i = g->job_count; i-- > 0;)
                if (g->job[i]->due.entry.index)
                        job_run(g->job[i]);
        for (size_t i = g->token_count; i-- > 0;)
                if (g->token[i]->due.entry.index) {
                        engine_due_clear(g, &g->token[i]->due);
                        token_due(g->token[i]);
                }
        for (size_t i = 0; i < g->cert_count; i++)
                cert_plan(g->cert[i]);
}

bool engine_open(struct engine **ret, struct loop *loop, const struct engine_conf *c, struct err *e)
{
        struct engine *g = calloc(1, sizeof *g);
        if (!g)
                return err_memory(e);
        enum store_origin origin = STORE_EXISTING;
        g->loop = loop;
        g->conf = c->conf;
        g->lock_fd = -1;
        g->ca_registry = c->cas ? c->cas : ca_registry;
        g->publisher_registry = c->publishers ? c->publishers : publisher_registry;
        g->memory = json_object();
        g->ask_phase_s = (int64_t)random_below(3600);
        bool good = open_state_directory(g, e) && engine_open_journal(g, &origin, e) &&
                keystore_open(&g->keystore, g->conf->state_directory, e) &&
                sets_open(&g->sets, g->conf->state_directory, e) && open_clients(g, e) &&
                helper_open(&g->helper, loop, HELPER_SOCKET, HELPER_HOOK_SOCKET, c->helper_fd, e) &&
                backends_open_cas(g, g->conf, &g->ca, &g->ca_count, e) &&
                backends_open_publishers(g, g->conf, &g->publisher, &g->publisher_count, e) &&
                engine_load(g, origin, e) && incidents_open(g, e) &&
                due_timer_open(&g->due_timer, loop, &g->heap, engine_due_fired, jumped, g, e);
        if (!good) {
                g->conf = NULL; /* stays the caller's */
                engine_close(g);
                return false;
        }
        *ret = g;
        return true;
}

/* ---- token listeners ---- */

static bool listen_one(void *arg, const char *where, struct httpd **ret, struct err *e)
{
        struct engine *g = arg;
        int fd = -1;
        if (strcmp(where, "systemd") == 0) {
                where = NULL;
                fd = listen_fd_by_name("tokens");
                if (fd < 0) {
                        err_set(e, ERR_CONFIG, "listen", "systemd passed no socket named tokens");
                        return err_fix(e, "systemctl stop dcvd; systemctl enable --now dcvd-tokens.socket dcvd");
                }
        }
        return token_table_listen(g->token_table, g->loop, where, fd, ret, e);
}

static bool prepare_tokens(struct engine *g, const struct conf *conf, struct httpd_set *ret, struct err *e)
{
        if (!httpd_set_prepare(&g->tokens_httpd, &conf->tokens_listen, listen_one, g, ret, e))
                return err_wrap(e, "tokens.listen");
        if (tls_alpn_prepare(g->tokens_tls, &conf->tokens_tls_listen, e))
                return true;
        httpd_set_abandon(&g->tokens_httpd, ret);
        return err_wrap(e, "tokens.tls_listen");
}

static void commit_tokens(struct engine *g, struct httpd_set *next)
{
        httpd_set_commit(&g->tokens_httpd, next);
        tls_alpn_commit(g->tokens_tls);
}

bool engine_listen_tokens(struct engine *g, struct err *e)
{
        struct httpd_set next;
        if (!prepare_tokens(g, g->conf, &next, e))
                return false;
        commit_tokens(g, &next);
        g->listens = true;
        return true;
}

void engine_start(struct engine *g)
{
        g->started = true;
        for (size_t i = 0; i < g->job_count; i++)
                g->job[i]->lock_held = false;
        tokens_start(g);
        for (size_t i = g->job_count; i-- > 0;)
                job_resume_loaded(g->job[i]);
        for (size_t i = 0; i < g->cert_count; i++)
                cert_plan_first(g->cert[i]);
        incidents_start(g);
        due_timer_arm(g->due_timer);
}

static bool same_texts(const struct texts *a, const struct texts *b)
{
        for (size_t i = 0; i < a->count && i < b->count; i++)
                if (strcmp(a->item[i], b->item[i]) != 0)
                        return false;
        return a->count == b->count;
}

static bool same_text(const char *a, const char *b)
{
        return a && b ? strcmp(a, b) == 0 : a == b;
}

/* What was opened once and for all. A restart is harmless: jobs go on. */
static bool check_fixed(const struct conf *now, const struct conf *next, struct err *e)
{
        const char *what = !same_text(now->state_directory, next->state_directory) ? "state_directory"
                : !same_text(now->runtime_directory, next->runtime_directory)      ? "runtime_directory"
                : !same_texts(&now->resolvers, &next->resolvers)                   ? "resolvers"
                : !same_text(now->proxy_url, next->proxy_url) || !same_texts(&now->proxy_except, &next->proxy_except)
                ? "proxy"
                : NULL;
        if (!what)
                return true;
        err_set(e, ERR_CONFIG, "fixed", "%s cannot change while dcvd runs", what);
        return err_fix(e, "systemctl restart dcvd; running jobs go on");
}

bool engine_reconfigure(struct engine *g, struct conf *conf_own, struct err *e)
{
        struct backend_ca *ca = NULL;
        struct backend_publisher *publisher = NULL;
        struct httpd_set tokens = { 0 };
        size_t ca_count = 0, publisher_count = 0;
        if (!check_fixed(g->conf, conf_own, e))
                return false;
        if (!backends_open_cas(g, conf_own, &ca, &ca_count, e) ||
                !backends_open_publishers(g, conf_own, &publisher, &publisher_count, e) ||
                (g->listens && !prepare_tokens(g, conf_own, &tokens, e))) {
                backends_close(ca, ca_count, publisher, publisher_count);
                return false;
        }
        for (size_t i = 0; i < conf_own->cert_count; i++)
                if (!engine_cert(g, conf_own->cert[i].name) && !engine_cert_add(g, conf_own->cert[i].name, e)) {
                        httpd_set_abandon(&g->tokens_httpd, &tokens);
                        tls_alpn_abandon(g->tokens_tls);
                        backends_close(ca, ca_count, publisher, publisher_count);
                        return false;
                }
        if (g->listens)
                commit_tokens(g, &tokens);
        /* Calls of running jobs belong to the old backends: they are stopped and their steps run again with the new
         * ones. */
        struct err changed;
        err_set(&changed, ERR_TEMPORARY, "reconfigured", "the configuration changed meanwhile; ask again");
        for (size_t i = 0; i < g->job_count; i++)
                if (g->job[i]->cancelling)
                        job_give_back_no_more(g->job[i], &changed);
                else if (g->job[i]->ca_call || g->job[i]->rehearsal)
                        job_stop_work(g->job[i]);
        rehearsals_end(g, &changed);
        for (size_t i = 0; i < g->cert_count; i++)
                if (g->cert[i]->asking) {
                        g->cert[i]->asked->ops->cancel(g->cert[i]->asked->ca, g->cert[i]->asking);
                        g->cert[i]->asking = NULL;
                }
        for (size_t i = 0; i < g->token_count; i++)
                if (g->token[i]->call) {
                        g->token[i]->publisher->ops->cancel(g->token[i]->publisher->publisher, g->token[i]->call);
                        g->token[i]->call = NULL;
                        g->token[i]->busy = g->token[i]->placing;
                }
        dry_runs_cancel(g);
        looks_cancel(g);
        revocations_cancel(g);
        account_asks_cancel(g);
        backends_close(g->ca, g->ca_count, g->publisher, g->publisher_count);
        g->ca = ca;
        g->ca_count = ca_count;
        g->publisher = publisher;
        g->publisher_count = publisher_count;
        config_free(g->conf);
        g->conf = conf_own;
        for (size_t i = 0; i < g->job_count; i++)
                g->job[i]->ca = NULL;
        tokens_start(g);
        for (size_t i = g->job_count; i-- > 0;)
                job_run(g->job[i]);
        for (size_t i = 0; i < g->cert_count; i++)
                cert_plan(g->cert[i]);
        incidents_look(g);
        return true;
}

void engine_close(struct engine *g)
{
        if (!g)
                return;
        struct err e;
        g->closing = true;
        httpd_set_done(&g->tokens_httpd);
        tls_alpn_close(g->tokens_tls);
        dry_runs_cancel(g);
        looks_cancel(g);
        revocations_cancel(g);
        account_asks_cancel(g);
        for (size_t i = 0; i < g->job_count; i++)
                job_stop_work(g->job[i]);
        err_set(&e, ERR_TEMPORARY, "ending", "the daemon ends; the next start withdraws what is out");
        rehearsals_end(g, &e);
        if (g->store && g->started)
                (void)store_flush(g->store, &e); /* what is queued is on disk; callbacks see closing */
        incidents_close(g);
        notices_done(g);
        while (g->job_count > 0)
                job_free(g->job[g->job_count - 1]);
        work_finish(g->loop); /* keys and sets in the making still write through what is closed next */
        while (g->token_count > 0)
                token_free(g->token[g->token_count - 1]);
        for (size_t i = 0; i < g->cert_count; i++)
                cert_free(g->cert[i]);
        for (size_t i = 0; i < g->order_count; i++)
                order_row_done(&g->order[i]);
        free(g->job);
        free(g->token);
        free(g->cert);
        free(g->order);
        backends_close(g->ca, g->ca_count, g->publisher, g->publisher_count);
        if (g->propagation)
                propagation_engine_close(g->propagation);
        token_table_free(g->token_table);
        alpn_table_free(g->alpn_table);
        if (g->http)
                http_close(g->http);
        if (g->dns)
                dns_close(g->dns);
        if (g->helper)
                helper_close(g->helper);
        if (g->due_timer)
                due_timer_close(g->due_timer);
        due_heap_done(&g->heap);
        engine_close_journal(g);
        if (g->sets)
                sets_close(g->sets);
        if (g->keystore)
                keystore_close(g->keystore);
        json_decref(g->memory);
        close_p(&g->lock_fd);
        config_free(g->conf);
        while (g->listener)
                engine_unlisten(g, g->listener);
        free(g);
}

const struct conf *engine_config(const struct engine *g)
{
        return g->conf;
}

bool engine_runs_job(struct engine *g, const char *cert)
{
        const struct cert *c = engine_cert(g, cert);
        return c && (c->job || c->starting);
}

bool engine_clock_is_sound(const struct engine *g)
{
        return clock_boot_ms() >= g->clock_suspect_until_ms;
}

int64_t engine_renewal_window_end(struct engine *g, const char *cert)
{
        const struct cert *c = engine_cert(g, cert);
        return c ? c->window_end_s : 0;
}

struct helper *engine_helper(struct engine *g)
{
        return g->helper;
}

struct sets *engine_sets(struct engine *g)
{
        return g->sets;
}

struct store *engine_store(struct engine *g)
{
        return g->store;
}

struct loop *engine_loop(struct engine *g)
{
        return g->loop;
}

bool engine_settled(const struct engine *g)
{
        for (size_t i = 0; i < g->job_count; i++) {
                const struct job *j = g->job[i];
                bool could_move = j->slot || j->ready || j->go_on;
                if (j->moving || j->deploy || (j->row.compromised && could_move))
                        return false;
        }
        for (size_t i = 0; i < g->token_count; i++)
                if (g->token[i]->busy)
                        return false;
        return true;
}
