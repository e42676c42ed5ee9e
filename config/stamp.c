/* Did the files of a configuration change since they were read? Told by what stat() says of them, in the order in which
 * they are read. */
#include <string.h>
#include <sys/stat.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "config/internal.h"
#include "config/yaml.h"

/* File systems date by the kernel's coarse clock: two changes in one tick of it look like one. */
#define STEP_MS 20 /* two ticks: some count hundredths, and a file server has a clock of its own */
#define SECONDS_STEP_MS 2000 /* of one without fractions of a second; FAT counts two */

bool stamp_is_settled(const struct timespec *changed)
{
        int64_t step_ms = changed->tv_nsec ? STEP_MS : SECONDS_STEP_MS; /* zero by chance: read again, no harm */
        return changed->tv_sec * 1000 + changed->tv_nsec / 1000000 + step_ms <= clock_files_ms();
}

static void add(struct conf_stamp *s, const char *path)
{
        struct buf b = { 0 };
        struct stat st = { 0 };
        bool there = stat(path, &st) == 0;
        const int64_t seen[] = { there, (int64_t)st.st_dev, (int64_t)st.st_ino, st.st_size, st.st_mtim.tv_sec,
                st.st_mtim.tv_nsec, st.st_ctim.tv_sec, st.st_ctim.tv_nsec };
        bool good = buf_append(&b, s->hash, sizeof s->hash) && buf_append(&b, path, strlen(path) + 1) &&
                buf_append(&b, seen, sizeof seen);
        s->settled = s->settled && good && there && stamp_is_settled(&st.st_ctim);
        if (good)
                sha256(b.data, b.len, s->hash);
        buf_done(&b);
}

void stamp_begin(struct conf_stamp *s, const char *path)
{
        s->settled = true;
        memset(s->hash, 0, sizeof s->hash);
        add(s, path);
}

void stamp_included(struct conf_stamp *s, const struct texts *files)
{
        for (size_t i = 0; i < files->count; i++)
                add(s, files->item[i]);
}

void stamp_done(struct conf_stamp *s)
{
        texts_done(&s->patterns);
}

bool config_unchanged(const struct conf *c)
{
        static const struct yaml_node nowhere = { .file = "" };
        struct conf_problems p = { 0 };
        struct conf_stamp now = { 0 };
        struct texts files = { 0 };
        if (!c->stamp.settled)
                return false;
        stamp_begin(&now, c->path);
        bool listed = include_expand(&c->stamp.patterns, &nowhere, &files, &p);
        stamp_included(&now, &files);
        texts_done(&files);
        conf_problems_done(&p);
        return listed && memcmp(now.hash, c->stamp.hash, sizeof now.hash) == 0;
}
