/* What other clients and servers have written: PARSE is one of the parsers, no file is opened. Whatever comes, what is
 * found has absolute paths, and what is told is one line each. */
#ifndef DCVD_FUZZ_IMPORT_H
#define DCVD_FUZZ_IMPORT_H

#include <stdlib.h>
#include <string.h>

#include "agent/cli/import_found.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(const char *path)
{
        if (path && path[0] != '/')
                abort();
}

static void check_line(const char *line)
{
        for (; *line; line++)
                if ((unsigned char)*line < 0x20)
                        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct import im = { .closed = true };
        if (size > IMPORT_FILE_MAX)
                return 0;
        PARSE(&im, (const char *)data, size);
        for (size_t i = 0; i < im.cert_count; i++) {
                check_path(im.cert[i].cert);
                for (size_t k = 0; k < im.cert[i].file_count; k++)
                        check_path(im.cert[i].file[k].path);
        }
        for (size_t i = 0; i < im.use_count; i++) {
                check_path(im.use[i].cert);
                check_path(im.use[i].key);
                check_path(im.use[i].root);
        }
        for (size_t i = 0; i < im.left.count; i++)
                check_line(im.left.item[i]);
        import_done(&im);
        return 0;
}

#endif
