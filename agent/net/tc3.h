/* TC3-HMAC-SHA256, the request signature of Tencent Cloud (API 3.0). Pure: bytes in, header value out. */
#ifndef DCVD_NET_TC3_H
#define DCVD_NET_TC3_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;
struct secret;

struct tc3_request {
        const char *service; /* "ssl", "dnspod": fixed by the API, never taken from the host */
        const char *host; /* as sent in Host */
        const char *content_type;
        int64_t timestamp_s;
        const void *body;
        size_t body_len;
        const struct secret *secret_id, *secret_key;
};
/* ret: allocated value of the Authorization header. Intermediate keys are wiped. */
bool tc3_authorization(const struct tc3_request *r, char **ret, struct err *e);

/* Its steps, apart so that each can be held against published vectors. */
bool tc3_canonical(const struct tc3_request *r, struct buf *ret);
/* The UTC date of a timestamp, "2023-11-14". False outside the years 1970 to 9999. */
bool tc3_date(int64_t timestamp_s, char ret[11]);
bool tc3_string_to_sign(const struct tc3_request *r, struct buf *ret);
/* k1..k3 of the key derivation; the caller wipes them. */
bool tc3_derive(const struct secret *secret_key, const char *date, const char *service, uint8_t ret[3][32]);

#endif
