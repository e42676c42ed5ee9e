/* A list of burnt keys as a file: whatever is in it, a search ends and finds nothing that is not there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/pki/blocklist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char path[64];
        uint8_t hash[32];
        struct blocklist *b = NULL;
        struct err e;
        bool found = false;
        unsigned list = 0;
        int fd = memfd_create("list", MFD_CLOEXEC);
        if (fd < 0 || size > 65536 || write(fd, data, size) != (ssize_t)size)
                return fd < 0 ? 0 : close(fd);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        sha256(data, size, hash);
        if (blocklist_open(&b, path, &e)) {
                for (size_t i = 0; i + 16 <= size; i += 16) { /* what is in it is found */
                        memcpy(hash, data + i, 15);
                        if (!blocklist_find(b, hash, &found, &list, &e) || !found)
                                abort();
                }
                hash[0] ^= 0xff;
                if (!blocklist_find(b, hash, &found, &list, &e))
                        abort();
        }
        blocklist_close(b);
        return close(fd);
}
