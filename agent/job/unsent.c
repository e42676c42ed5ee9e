/* What certainly never left. Between the commit of an intent and the first byte of its request a process can die; its
 * successor then knows only that the outcome is unknown, and a CA without idempotency keys must be watched for a minute
 * before "nothing was processed" is certain. So a note in the runtime directory says "not yet sent": made before the
 * intent is committed, removed right before the request leaves. Its absence means "ask", whatever the reason. It must
 * not outlive the removal: it is made in a file system in memory only, where a power cut takes it along. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/base/util.h"
#include "agent/job/internal.h"

static char *note_path(const struct job *j)
{
        return text_format("%s/unsent-%lld", j->engine->conf->runtime_directory, (long long)j->row.id);
}

/* Which request: an older note of the same job must not pass for this one's. */
static char *note_text(const struct job *j)
{
        char hash[65] = "";
        if (j->row.csr)
                sha256_hex(j->row.csr, strlen(j->row.csr), hash);
        return text_format("%lld %lld %s %s\n", (long long)j->row.attempt, (long long)j->row.ordered_s,
                j->row.subject_id ? j->row.subject_id : "-", hash);
}

static bool dies_with_the_machine(int fd)
{
        struct statfs fs;
        return fstatfs(fd, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

void unsent_note(struct job *j)
{
        if (j->ca && job_orders_cost_nothing(j))
                return; /* sent again in any case */
        CLEANUP(free_p) char *path = note_path(j), *text = note_text(j);
        if (!path || !text || (unlink(path) < 0 && errno != ENOENT))
                return;
        CLEANUP(close_p) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        size_t len = strlen(text);
        if (fd >= 0 && (!dies_with_the_machine(fd) || write(fd, text, len) != (ssize_t)len))
                (void)unlink(path); /* an empty or short note says nothing either */
}

bool unsent_forget(void *job, struct err *e)
{
        struct job *j = job;
        CLEANUP(free_p) char *path = note_path(j);
        if (!path)
                return err_memory(e);
        return unlink(path) == 0 || errno == ENOENT ||
                err_errno(e, errno, "unsent", "removing %s; nothing was sent", path);
}

bool unsent_is_noted(struct job *j)
{
        CLEANUP(free_p) char *path = note_path(j), *text = note_text(j), *found = NULL;
        size_t len = 0;
        struct err e;
        struct stat st;
        return path && text && lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
                file_read(path, 4096, &found, &len, &e) && strcmp(found, text) == 0;
}
