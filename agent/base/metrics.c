#include "agent/base/metrics.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/util.h"

#define FAMILIES_MAX 64
#define SAMPLES_MAX 20000

/* A sample is found by its rendered labels, in a hash of chains that doubles with its load. */
struct sample {
        struct sample *next;
        char *labels; /* `cert="www",state="done"`; "" if none */
        double value, sum;
        uint64_t *bucket; /* histograms: cumulative is made at render time */
        uint64_t count;
};
struct family {
        const struct metric_family *def;
        struct sample **slot;
        size_t slots, count;
        uint64_t dropped;
};
static struct family families[FAMILIES_MAX];
static size_t family_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct family *family_of(const struct metric_family *def)
{
        for (size_t i = 0; i < family_count; i++)
                if (families[i].def == def)
                        return &families[i];
        if (family_count == FAMILIES_MAX)
                return NULL;
        families[family_count].def = def;
        return &families[family_count++];
}

static size_t hash_of(const char *text)
{
        uint64_t h = 1469598103934665603u;
        for (; *text; text++)
                h = (h ^ (unsigned char)*text) * 1099511628211u;
        return (size_t)h;
}

static bool add_label_value(struct buf *b, const char *value)
{
        for (; *value; value++)
                if (*value == '\n')
                        buf_add(b, "\\n");
                else if (*value == '\\' || *value == '"')
                        buf_addf(b, "\\%c", *value);
                else
                        buf_addc(b, *value);
        return !b->failed;
}

static char *labels_of(const struct metric_family *def, const char *const *values)
{
        struct buf b = { .max = 2048 };
        for (size_t i = 0; def->labels && def->labels[i]; i++) {
                buf_addf(&b, "%s%s=\"", i ? "," : "", def->labels[i]);
                add_label_value(&b, values[i] ? values[i] : "");
                buf_addc(&b, '"');
        }
        return buf_steal(&b);
}

static bool grow(struct family *f)
{
        size_t slots = f->slots ? 2 * f->slots : 8;
        struct sample **slot = calloc(slots, sizeof *slot);
        if (!slot)
                return f->slots > 0;
        for (size_t i = 0; i < f->slots; i++)
                for (struct sample *s = f->slot[i], *next; s; s = next) {
                        next = s->next;
                        size_t at = hash_of(s->labels) & (slots - 1);
                        s->next = slot[at];
                        slot[at] = s;
                }
        free(f->slot);
        f->slot = slot;
        f->slots = slots;
        return true;
}

static struct sample *sample_of(struct family *f, const char *const *values, bool make)
{
        CLEANUP(free_p) char *labels = labels_of(f->def, values);
        if (!labels)
                return NULL;
        size_t h = hash_of(labels);
        for (struct sample *s = f->slots ? f->slot[h & (f->slots - 1)] : NULL; s; s = s->next)
                if (strcmp(s->labels, labels) == 0)
                        return s;
        if (!make || f->count >= SAMPLES_MAX || (f->count >= f->slots && !grow(f))) {
                f->dropped += make;
                return NULL;
        }
        struct sample *s = calloc(1, sizeof *s);
        if (!s)
                return NULL;
        s->labels = STEAL(labels);
        s->next = f->slot[h & (f->slots - 1)];
        f->slot[h & (f->slots - 1)] = s;
        f->count++;
        return s;
}

static size_t bucket_count(const struct metric_family *def)
{
        size_t n = 0;
        while (!isinf(def->buckets[n]))
                n++;
        return n + 1;
}

enum change { ADD, SET, OBSERVE };
static void change(const struct metric_family *def, const char *const *values, double value, enum change what)
{
        pthread_mutex_lock(&lock);
        struct family *f = family_of(def);
        struct sample *s = f ? sample_of(f, values, true) : NULL;
        if (s && what == ADD) {
                s->value += value;
        } else if (s && what == SET) {
                s->value = value;
        } else if (s) {
                size_t n = bucket_count(def), i = 0;
                if (!s->bucket)
                        s->bucket = calloc(n, sizeof *s->bucket);
                while (i < n - 1 && value > def->buckets[i])
                        i++;
                if (s->bucket)
                        s->bucket[i]++;
                s->sum += value;
                s->count++;
        }
        pthread_mutex_unlock(&lock);
}

void metric_add(const struct metric_family *family, const char *const *values, double amount)
{
        change(family, values, amount, ADD);
}

void metric_set(const struct metric_family *family, const char *const *values, double value)
{
        change(family, values, value, SET);
}

void metric_observe(const struct metric_family *family, const char *const *values, double value)
{
        change(family, values, value, OBSERVE);
}

static void sample_free(struct sample *s)
{
        free(s->labels);
        free(s->bucket);
        free(s);
}

void metric_forget(const struct metric_family *def, const char *const *values)
{
        pthread_mutex_lock(&lock);
        struct family *f = family_of(def);
        struct sample *s = f ? sample_of(f, values, false) : NULL;
        if (s) {
                struct sample **at = &f->slot[hash_of(s->labels) & (f->slots - 1)];
                while (*at != s)
                        at = &(*at)->next;
                *at = s->next;
                f->count--;
                sample_free(s);
        }
        pthread_mutex_unlock(&lock);
}

static void clear(struct family *f)
{
        for (size_t i = 0; i < f->slots; i++)
                for (struct sample *s = f->slot[i], *next; s; s = next) {
                        next = s->next;
                        sample_free(s);
                }
        free(f->slot);
        *f = (struct family){ .def = f->def };
}

void metric_declare(const struct metric_family *def)
{
        pthread_mutex_lock(&lock);
        (void)family_of(def);
        pthread_mutex_unlock(&lock);
}

void metric_clear(const struct metric_family *def)
{
        pthread_mutex_lock(&lock);
        struct family *f = family_of(def);
        if (f)
                clear(f);
        pthread_mutex_unlock(&lock);
}

/* As short as it can be without becoming another number: 2.524, not 2.5240000000000001. */
static void number(struct buf *b, double v)
{
        char text[40];
        int digits = 15;
        if (isnan(v))
                buf_add(b, "NaN\n");
        else if (isinf(v))
                buf_add(b, v > 0 ? "+Inf\n" : "-Inf\n");
        else {
                do
                        (void)snprintf(text, sizeof text, "%.*g", digits, v);
                while (digits++ < 17 && strtod(text, NULL) != v);
                buf_addf(b, "%s\n", text);
        }
}

static void render_histogram(struct buf *b, const struct metric_family *def, const struct sample *s)
{
        const char *comma = s->labels[0] ? "," : "";
        uint64_t sum = 0;
        for (size_t i = 0, n = bucket_count(def); i < n; i++) {
                sum += s->bucket ? s->bucket[i] : 0;
                char bound[32] = "+Inf";
                if (!isinf(def->buckets[i]))
                        (void)snprintf(bound, sizeof bound, "%g", def->buckets[i]);
                buf_addf(b, "%s_bucket{%s%sle=\"%s\"} %llu\n", def->name, s->labels, comma, bound,
                        (unsigned long long)sum);
        }
        const char *open = s->labels[0] ? "{" : "", *close = s->labels[0] ? "}" : "";
        buf_addf(b, "%s_sum%s%s%s ", def->name, open, s->labels, close);
        number(b, s->sum);
        buf_addf(b, "%s_count%s%s%s %llu\n", def->name, open, s->labels, close, (unsigned long long)s->count);
}

static void render(struct buf *b, const struct family *f)
{
        static const char *const types[] = { "counter", "gauge", "histogram" };
        buf_addf(b, "# HELP %s %s\n# TYPE %s %s\n", f->def->name, f->def->help, f->def->name, types[f->def->type]);
        for (size_t i = 0; i < f->slots; i++)
                for (const struct sample *s = f->slot[i]; s; s = s->next) {
                        if (f->def->type == METRIC_HISTOGRAM) {
                                render_histogram(b, f->def, s);
                                continue;
                        }
                        buf_addf(b, s->labels[0] ? "%s{%s} " : "%s%s ", f->def->name, s->labels);
                        number(b, s->value);
                }
}

bool metrics_render(struct buf *ret)
{
        pthread_mutex_lock(&lock);
        for (size_t i = 0; i < family_count; i++)
                render(ret, &families[i]);
        pthread_mutex_unlock(&lock);
        return !ret->failed;
}

void metrics_done(void)
{
        pthread_mutex_lock(&lock);
        for (size_t i = 0; i < family_count; i++)
                clear(&families[i]);
        family_count = 0;
        pthread_mutex_unlock(&lock);
}
