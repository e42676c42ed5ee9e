#include "agent/deploy/listeners.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/util.h"

#define STATE_LISTEN 0x0a

bool listener_parse(const char *line, sa_family_t family, struct address *ret, unsigned long *ret_inode)
{
        char hex[33];
        unsigned port, state;
        unsigned long inode = 0;
        struct address a = { .family = family };
        size_t words = family == AF_INET6 ? 4 : 1;
        if (sscanf(line, " %*u: %32[0-9A-F]:%4x %*[0-9A-F]:%*x %x %*s %*s %*s %*u %*u %lu", hex, &port, &state,
                    &inode) < 3 ||
                state != STATE_LISTEN || strlen(hex) != 8 * words)
                return false;
        for (size_t i = 0; i < words; i++) {
                unsigned value;
                char word[9];
                memcpy(word, hex + 8 * i, 8);
                word[8] = '\0';
                if (sscanf(word, "%x", &value) != 1)
                        return false;
                /* The kernel prints each word of the address as a number in this machine's byte order. */
                memcpy((uint8_t *)&a.ip + 4 * i, &value, 4);
        }
        a.port = (uint16_t)port;
        *ret = a;
        if (ret_inode)
                *ret_inode = inode;
        return true;
}

static bool unspecified(const struct address *a)
{
        static const uint8_t zero[16];
        return memcmp(&a->ip, zero, a->family == AF_INET6 ? 16 : 4) == 0;
}

static void add(struct address *list, size_t *count, size_t max, struct address a)
{
        if (unspecified(&a))
                (void)address_parse(a.family == AF_INET6 ? "::1" : "127.0.0.1", a.port, &a);
        for (size_t i = 0; i < *count; i++)
                if (address_equal(&list[i], &a))
                        return;
        if (*count < max)
                list[(*count)++] = a;
}

static void read_file(const char *path, sa_family_t family, struct address *list, size_t *count, size_t max)
{
        char line[512];
        FILE *f = fopen(path, "re");
        while (f && fgets(line, sizeof line, f)) {
                struct address a;
                if (listener_parse(line, family, &a, NULL))
                        add(list, count, max, a);
        }
        if (f)
                (void)fclose(f); /* read only */
}

size_t listeners_find(struct address *ret, size_t max)
{
        size_t count = 0;
        read_file("/proc/net/tcp", AF_INET, ret, &count, max);
        read_file("/proc/net/tcp6", AF_INET6, ret, &count, max);
        return count;
}

/* ---- who has a port ---- */

bool listener_takes(const struct address *bound, const struct address *at)
{
        if (bound->port != at->port)
                return false;
        return address_equal(bound, at) ||
                (unspecified(bound) && (bound->family == at->family || bound->family == AF_INET6));
}

static bool better(const struct listener *a, const struct listener *than)
{
        return than->inode == 0 || (unspecified(&than->address) && !unspecified(&a->address));
}

static void find_in(const char *path, sa_family_t family, const struct address *at, struct listener *ret, size_t *seen)
{
        char line[512];
        FILE *f = fopen(path, "re");
        while (f && fgets(line, sizeof line, f)) {
                struct listener l;
                if (!listener_parse(line, family, &l.address, &l.inode))
                        continue;
                ++*seen;
                if (listener_takes(&l.address, at) && better(&l, ret))
                        *ret = l;
        }
        if (f)
                (void)fclose(f); /* read only */
}

enum listener_state listener_at(const struct address *at, struct listener *ret)
{
        size_t seen = 0;
        *ret = (struct listener){ 0 };
        find_in("/proc/net/tcp", AF_INET, at, ret, &seen);
        find_in("/proc/net/tcp6", AF_INET6, at, ret, &seen);
        if (ret->address.port)
                return LISTENER_THERE;
        return seen ? LISTENER_ABSENT : LISTENER_UNKNOWN;
}

/* Does this process hold the socket? */
static bool holds(int process, const char *socket)
{
        int fds = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fds >= 0 ? fdopendir(fds) : NULL;
        bool found = false;
        if (!dir && fds >= 0)
                (void)close(fds);
        for (struct dirent *d; dir && !found && (d = readdir(dir));) {
                char to[64];
                ssize_t n = readlinkat(dirfd(dir), d->d_name, to, sizeof to - 1);
                if (n > 0) {
                        to[n] = '\0';
                        found = strcmp(to, socket) == 0;
                }
        }
        if (dir)
                closedir(dir);
        return found;
}

static void name_of(int process, char ret[LISTENER_OWNER])
{
        int fd = openat(process, "comm", O_RDONLY | O_CLOEXEC);
        ssize_t n = fd >= 0 ? read(fd, ret, LISTENER_OWNER - 1) : 0;
        ret[n > 0 ? n : 0] = '\0';
        ret[strcspn(ret, "\n")] = '\0';
        if (fd >= 0)
                (void)close(fd);
}

void listener_owner(const struct listener *l, char ret[LISTENER_OWNER])
{
        char socket[64];
        DIR *proc = opendir("/proc");
        ret[0] = '\0';
        snprintf(socket, sizeof socket, "socket:[%lu]", l->inode);
        for (struct dirent *d; proc && !ret[0] && (d = readdir(proc));) {
                int process = isdigit((unsigned char)d->d_name[0])
                        ? openat(dirfd(proc), d->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                        : -1;
                if (process >= 0 && holds(process, socket))
                        name_of(process, ret);
                if (process >= 0)
                        (void)close(process);
        }
        if (proc)
                closedir(proc);
}
