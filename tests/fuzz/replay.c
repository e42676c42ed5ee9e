/* Runs a fuzz target over every file of its corpus: what libFuzzer once found stays found in ordinary test runs. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *directory, const char *name)
{
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", directory, name);
        FILE *f = fopen(path, "rb");
        if (!f) {
                perror(path);
                return 1;
        }
        uint8_t *data = malloc(1 << 20);
        size_t n = data ? fread(data, 1, 1 << 20, f) : 0;
        fclose(f);
        /* A copy of the exact size: the sanitizer then sees a read past its end. */
        uint8_t *exact = malloc(n ? n : 1);
        if (!data || !exact)
                return 1;
        memcpy(exact, data, n);
        LLVMFuzzerTestOneInput(exact, n);
        free(exact);
        free(data);
        return 0;
}

int main(int argc, char **argv)
{
        DIR *d = argc == 2 ? opendir(argv[1]) : NULL;
        if (!d) {
                fprintf(stderr, "usage: %s CORPUS-DIRECTORY\n", argv[0]);
                return 2;
        }
        unsigned count = 0;
        int failed = 0;
        for (struct dirent *entry; (entry = readdir(d));)
                if (entry->d_name[0] != '.') {
                        failed |= replay(argv[1], entry->d_name);
                        count++;
                }
        closedir(d);
        printf("%u inputs replayed\n", count);
        return failed || count == 0;
}
