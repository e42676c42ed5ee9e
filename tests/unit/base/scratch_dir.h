/* A directory of the test's own, and a few files in it. */
#ifndef DCVD_TEST_BASE_SCRATCH_DIR_H
#define DCVD_TEST_BASE_SCRATCH_DIR_H

#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/err.h"
#include "agent/base/file.h"
#include "agent/base/util.h"

struct scratch_dir {
        char path[64];
        char text[160]; /* of scratch_path */
        int fd;
};

static inline int scratch_dir_make(void **state)
{
        struct scratch_dir *s = calloc(1, sizeof *s);
        snprintf(s->path, sizeof s->path, "/tmp/dcvd-base-XXXXXX");
        assert_non_null(mkdtemp(s->path));
        s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(s->fd >= 0);
        *state = s;
        return 0;
}

static inline int scratch_dir_remove(void **state)
{
        struct scratch_dir *s = *state;
        close_p(&s->fd);
        assert_true(tree_remove_at(AT_FDCWD, s->path, NULL));
        free(s);
        return 0;
}

/* Valid until the next call. */
static inline const char *scratch_path(struct scratch_dir *s, const char *name)
{
        snprintf(s->text, sizeof s->text, "%s/%s", s->path, name);
        return s->text;
}

static inline void scratch_file(struct scratch_dir *s, const char *name, mode_t mode, const char *text)
{
        int fd = openat(s->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
        assert_int_equal(fchmod(fd, mode), 0);
        close(fd);
}

#define IN_DIR(f) cmocka_unit_test_setup_teardown(f, scratch_dir_make, scratch_dir_remove)

#endif
