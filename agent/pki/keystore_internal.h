/* The inside of struct keystore, for this room only. */
#ifndef DCVD_PKI_KEYSTORE_INTERNAL_H
#define DCVD_PKI_KEYSTORE_INTERNAL_H

#include <pthread.h>
#include <sys/stat.h>

#include "agent/pki/keystore.h"

#define KEYSTORE_WRITTEN 32

struct keystore {
        char *keys_path, *compromised_path;
        int keys_fd;
        struct texts compromised; /* the file, as read at open and added to since */
        /* The newest files that keystore_put wrote. Keys are made in threads. */
        pthread_mutex_t lock;
        struct written {
                char spki_hex[65];
                uint8_t file[32]; /* SHA-256 */
        } written[KEYSTORE_WRITTEN];
        size_t written_count; /* ever */
};
/* Owner us, none of these mode bits: else ERR_CONFIG with the path and the command that mends it. */
bool mode_check(const char *path, const struct stat *st, mode_t forbidden, const char *command, struct err *e);
bool spki_hex_is_good(const char *spki_hex); /* 64 digits, lower case: it becomes a file name */
bool compromised_load(struct keystore *s, struct err *e);

#endif
