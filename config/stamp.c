/* Did the files of a configuration change since they were read? Told by what stat() says of them, and of the
 * directories that they were listed in. */
#include <string.h>
#include <sys/stat.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "config/internal.h"
#include "config/yaml.h"

/* File systems date by the kernel's coarse clock: two changes in one tick of it look like one. */
#define STEP_MS 20 /* two ticks: some count hundredths, and a file server has a clock of its own */
#define SECONDS_STEP_MS 2000 /* of one without fractions of a second; FAT counts two */
#define GLOB_CHARACTERS "*?[\\"

bool stamp_is_settled(const struct timespec *changed)
{
        int64_t step_ms = changed->tv_nsec ? STEP_MS : SECONDS_STEP_MS; /* zero by chance: read again, no harm */
        return changed->tv_sec * 1000 + changed->tv_nsec / 1000000 + step_ms <= clock_files_ms();
}

struct look {
        int64_t there, dev, ino, size, changed_s, changed_ns, touched_s, touched_ns;
};

static struct look look_at(const char *path)
{
        struct stat st = { 0 };
        bool there = stat(path, &st) == 0;
        return (struct look){ there, (int64_t)st.st_dev, (int64_t)st.st_ino, st.st_size, st.st_mtim.tv_sec,
                st.st_mtim.tv_nsec, st.st_ctim.tv_sec, st.st_ctim.tv_nsec };
}

static void add(struct conf_seen *s, const char *path)
{
        struct look now = look_at(path);
        s->settled = texts_add(&s->path, path) && buf_append(&s->look, &now, sizeof now) && s->settled && now.there &&
                stamp_is_settled(&(struct timespec){ now.touched_s, now.touched_ns });
}

static bool is_the_same(const struct conf_seen *s)
{
        for (size_t i = 0; s->settled && i < s->path.count; i++) {
                struct look now = look_at(s->path.item[i]);
                if (memcmp(&now, s->look.data + i * sizeof now, sizeof now) != 0)
                        return false;
        }
        return s->settled;
}

void stamp_begin(struct conf_stamp *s, const char *path)
{
        s->files.settled = s->places.settled = true;
        add(&s->files, path);
}

/* Where names alone vary, a file that comes or goes changes the directory. Other patterns are listed each time. */
void stamp_places(struct conf_stamp *s, const struct texts *patterns)
{
        for (size_t i = 0; i < patterns->count; i++) {
                const char *pattern = patterns->item[i], *slash = strrchr(pattern, '/');
                if (!strpbrk(pattern, GLOB_CHARACTERS))
                        continue; /* one file */
                CLEANUP(free_p) char *place = slash ? text_dup_n(pattern, (size_t)(slash - pattern) + 1) : NULL;
                if (place && !strpbrk(place, GLOB_CHARACTERS))
                        add(&s->places, place);
                else
                        s->places.settled = false;
        }
}

void stamp_included(struct conf_stamp *s, const struct texts *files)
{
        for (size_t i = 0; i < files->count; i++)
                add(&s->files, files->item[i]);
}

void stamp_done(struct conf_stamp *s)
{
        struct conf_seen *seen[] = { &s->files, &s->places };
        for (size_t i = 0; i < ARRAY_LEN(seen); i++) {
                texts_done(&seen[i]->path);
                buf_done(&seen[i]->look);
        }
        texts_done(&s->patterns);
}

/* Do the patterns match what they matched? All of that is still there: they match as many. */
static bool is_the_same_list(const struct conf_stamp *s)
{
        static const struct yaml_node nowhere = { .file = "" };
        struct conf_problems p = { 0 };
        struct texts now = { 0 };
        bool same = include_expand(&s->patterns, &nowhere, &now, &p) && now.count + 1 == s->files.path.count;
        texts_done(&now);
        conf_problems_done(&p);
        return same;
}

bool config_unchanged(const struct conf *c)
{
        return is_the_same(&c->stamp.files) && (is_the_same(&c->stamp.places) || is_the_same_list(&c->stamp));
}
