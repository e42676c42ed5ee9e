/* Loading: sources -> root -> backends -> certificates, all problems collected, then all or nothing. */
#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/util.h"
#include "config/internal.h"

/* ---- lookups ---- */

static const struct conf_backend *find_backend(const struct conf_backend *b, size_t count, const char *name)
{
        size_t low = 0, high = count;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int order = strcmp(b[middle].name, name);
                if (order == 0)
                        return &b[middle];
                if (order < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return NULL;
}

const struct conf_backend *config_ca(const struct conf *c, const char *name)
{
        return find_backend(c->ca, c->ca_count, name);
}

const struct conf_backend *config_publisher(const struct conf *c, const char *name)
{
        return find_backend(c->publisher, c->publisher_count, name);
}

static int by_cert_name(const void *name, const void *cert)
{
        return strcmp(name, ((const struct conf_cert *)cert)->name);
}

const struct conf_cert *config_cert(const struct conf *c, const char *name)
{
        return c->cert_count ? bsearch(name, c->cert, c->cert_count, sizeof *c->cert, by_cert_name) : NULL;
}

const char *config_cert_near(const struct conf *c, const char *name)
{
        return c->cert_count ? near_of(name, &c->cert->name, sizeof *c->cert, c->cert_count) : NULL;
}

/* ---- building ---- */

/* What the root table allocated by malloc; the arena takes no part in it. */
static void root_clear(struct conf_root *r)
{
        conf_clear(conf_root_keys, r);
}

void config_free(struct conf *c)
{
        if (!c)
                return;
        backends_clear(c->ca, c->ca_count);
        backends_clear(c->publisher, c->publisher_count);
        for (size_t i = 0; i < c->cert_count; i++)
                secret_ref_done(&c->cert[i].key_passphrase);
        notify_done(&c->notify);
        webhooks_done(&c->intake.webhooks);
        free(c->path);
        stamp_done(&c->stamp);
        root_clear(CONTAINER_OF(c, struct conf_root, conf));
        if (c->arena)
                arena_done(c->arena);
        free(c->arena);
        free(CONTAINER_OF(c, struct conf_root, conf));
}

static struct conf *conf_new(const char *path)
{
        struct conf_root *r = calloc(1, sizeof *r);

        if (!r)
                return NULL;
        r->conf.path = text_dup(path);
        r->conf.arena = calloc(1, sizeof *r->conf.arena);
        if (r->conf.path && r->conf.arena)
                return &r->conf;
        config_free(&r->conf);
        return NULL;
}

static void fill(struct conf *c, const struct yaml_node *root, const struct conf_kind *kinds, struct conf_problems *p)
{
        (void)read_keys(root, conf_root_keys, "", CONTAINER_OF(c, struct conf_root, conf), p, NULL);
        detectors_settle(c, !yaml_is_null(yaml_get(root, "alerts")));
        if (!root_defaults(c))
                problem_memory(p);
        (void)root_check(c, root, p);
        (void)backends_read(c, "cas", yaml_get(root, "cas"), kinds, &c->ca, &c->ca_count, p);
        (void)backends_read(
                c, "publishers", yaml_get(root, "publishers"), kinds, &c->publisher, &c->publisher_count, p);
        (void)certs_read(c, yaml_get(root, "certificates"), p);
        arena_seal(c->arena);
}

static bool build(const char *path, struct sources *s, const struct conf_kind *kinds, struct conf **ret,
        struct conf_problems *p, size_t before)
{
        struct conf *c = conf_new(path);

        if (!c) {
                problem_memory(p);
                return false;
        }
        fill(c, s->root, kinds, p);
        if (problems_total(p) != before) {
                config_free(c);
                return false;
        }
        c->stamp = s->stamp;
        s->stamp = (struct conf_stamp){ 0 };
        *ret = c;
        return true;
}

bool config_load(const char *path, const struct conf_kind *kinds, struct conf **ret, struct conf_problems *p)
{
        struct sources s = { 0 };
        size_t before = problems_total(p);
        bool good = (sources_read(&s, path, p) || s.root) && build(path, &s, kinds, ret, p, before);

        sources_done(&s);
        return good;
}

bool config_load_text(const char *name, const char *text, size_t len, const struct conf_kind *kinds, struct conf **ret,
        struct conf_problems *p)
{
        struct sources s = { 0 };
        size_t before = problems_total(p);
        bool good = (sources_read_text(&s, name, text, len, p) || s.root) && build(name, &s, kinds, ret, p, before);

        sources_done(&s);
        return good;
}

bool config_print(const char *path, const struct conf_kind *kinds, struct buf *ret, struct conf_problems *p)
{
        struct sources s = { 0 };
        struct conf *c = NULL;
        struct buf out = { .max = (size_t)256 * 1024 * 1024 };
        size_t before = problems_total(p);
        bool good = sources_read(&s, path, p) && build(path, &s, kinds, &c, p, before);

        if (good) {
                print_keys(&out, 0, conf_root_keys, CONTAINER_OF(c, struct conf_root, conf), s.root);
                print_sections(&out, c, s.root);
                good = !out.failed && buf_append(ret, out.data, out.len);
                if (!good)
                        problem_memory(p);
        }
        buf_done(&out);
        config_free(c);
        sources_done(&s);
        return good;
}

/* ---- secrets ---- */

struct found_secrets {
        struct secret_ref **ref;
        size_t count, cap;
        unsigned sources; /* bits 1 << SECRET_FILE ... */
        bool failed;
};

static bool collect(void *arg, struct secret_ref *r)
{
        struct found_secrets *all = arg;

        if (!(all->sources & 1u << r->source))
                return true;
        if (all->count == all->cap) {
                size_t cap = all->cap ? all->cap * 2 : 16;
                struct secret_ref **more = realloc(all->ref, cap * sizeof(struct secret_ref *));
                if (!more)
                        return !(all->failed = true);
                all->ref = more;
                all->cap = cap;
        }
        all->ref[all->count++] = r;
        return true;
}

static bool collect_all(const struct conf *c, struct found_secrets *all)
{
        for (size_t i = 0; i < c->ca_count; i++)
                secrets_visit(c->ca[i].kind->keys, c->ca[i].parsed, collect, all);
        for (size_t i = 0; i < c->publisher_count; i++)
                secrets_visit(c->publisher[i].kind->keys, c->publisher[i].parsed, collect, all);
        for (size_t i = 0; i < c->cert_count; i++)
                collect(all, &c->cert[i].key_passphrase);
        for (size_t i = 0; i < c->notify.count; i++)
                collect(all, &c->notify.item[i].secret);
        for (size_t i = 0; i < c->intake.webhooks.count; i++) {
                const struct conf_webhook *h = &c->intake.webhooks.item[i];
                for (size_t k = 0; k < h->secret_count; k++)
                        collect(all, &h->secret[k]);
                collect(all, (struct secret_ref *)&h->token);
        }
        return !all->failed;
}

static const struct secret_ref *held(struct secret_ref *const *ref, size_t count, const char *name)
{
        for (size_t i = 0; i < count; i++)
                if (ref[i]->held && strcmp(ref[i]->name, name) == 0)
                        return ref[i];
        return NULL;
}

static bool take(struct secret_ref *r, const struct secret_ref *from, struct err *e)
{
        struct secret_ref copy = { 0 };

        if (!from)
                return secret_ref_take_env(r, e);
        if (!secret_ref_copy(&copy, from))
                return err_memory(e);
        free(copy.where);
        copy.where = STEAL(r->where);
        secret_ref_done(r);
        *r = copy;
        return true;
}

bool config_take_env_secrets(struct conf *c, const struct conf *old, struct err *e)
{
        struct found_secrets all = { .sources = 1u << SECRET_ENV }, before = all;
        bool good = collect_all(c, &all) && (!old || collect_all(old, &before)), failed = false;

        if (!good)
                err_memory(e);
        for (size_t i = 0; good && i < all.count; i++) {
                const struct secret_ref *from = held(all.ref, i, all.ref[i]->name);
                struct err why;
                if (!take(all.ref[i], from ? from : held(before.ref, before.count, all.ref[i]->name), &why) &&
                        !failed) {
                        failed = true;
                        if (e)
                                *e = why;
                }
        }
        free(all.ref);
        free(before.ref);
        return good && !failed;
}

bool config_hold_credentials(struct conf *c, struct err *e)
{
        struct found_secrets all = { .sources = 1u << SECRET_CREDENTIAL };
        bool good = collect_all(c, &all) || err_memory(e);

        for (size_t i = 0; good && i < all.count; i++)
                good = secret_ref_hold(all.ref[i], e);
        free(all.ref);
        return good;
}

bool config_keep_credentials(struct conf *c, const struct conf *old, struct err *e)
{
        struct found_secrets all = { .sources = 1u << SECRET_CREDENTIAL }, before = all;
        bool good = (collect_all(c, &all) && collect_all(old, &before)) || err_memory(e);

        for (size_t i = 0; good && i < all.count; i++) {
                const struct secret_ref *from = held(before.ref, before.count, all.ref[i]->name);
                good = !from || take(all.ref[i], from, e);
        }
        free(all.ref);
        free(before.ref);
        return good;
}

bool config_each_secret(struct conf *c, unsigned sources, config_secret_fn *fn, void *arg, struct err *e)
{
        struct found_secrets all = { .sources = sources };
        bool good = collect_all(c, &all) || err_memory(e);

        for (size_t i = 0; good && i < all.count; i++) {
                struct secret s = { 0 };
                struct err why;
                if (secret_load(all.ref[i], &s, &why))
                        secret_done(&s);
                else
                        good = fn(arg, all.ref[i], &why, e);
        }
        free(all.ref);
        return good;
}

static bool absent_or_refused(void *arg, const struct secret_ref *r, const struct err *why, struct err *e)
{
        (void)r;
        if (strcmp(why->code, "secret.absent") != 0) {
                *e = *why;
                return false;
        }
        CLEANUP(free_p) char *line = text_format("%s; %s", why->text, why->fix);
        return (line && texts_add(arg, line)) || err_memory(e);
}

bool config_check_secrets(struct conf *c, unsigned sources, struct texts *ret_absent, struct err *e)
{
        return config_each_secret(c, sources, absent_or_refused, ret_absent, e);
}
