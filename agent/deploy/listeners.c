#include "agent/deploy/listeners.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"

#define STATE_LISTEN 0x0a

bool listener_parse(const char *line, sa_family_t family, struct address *ret)
{
        char hex[33];
        unsigned port, state;
        struct address a = { .family = family };
        size_t words = family == AF_INET6 ? 4 : 1;
        if (sscanf(line, " %*u: %32[0-9A-F]:%4x %*[0-9A-F]:%*x %x", hex, &port, &state) != 3 || state != STATE_LISTEN ||
                strlen(hex) != 8 * words)
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
                if (listener_parse(line, family, &a))
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
