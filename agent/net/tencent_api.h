/* One call of a Tencent Cloud API: signing, envelope, errors to kinds, clock skew corrected once from Date. Used by the
 * CA and by the DNSPod publisher. */
#ifndef DCVD_NET_TENCENT_API_H
#define DCVD_NET_TENCENT_API_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct err;
struct http;
struct loop;
struct secret_ref;
struct tencent_api;
struct tencent_call;

struct tencent_api_conf {
        const char *endpoint; /* "https://ssl.tencentcloudapi.com"; http only for loopback */
        const char *service; /* "ssl" */
        const char *version; /* "2019-12-05" */
        const struct secret_ref *secret_id, *secret_key, *token; /* read at each call; token may be NULL; copied */
        const char *name; /* of the CA or publisher in the configuration, for messages and metrics */
        const char *ca_bundle; /* extra roots, a PEM file; NULL: the system's only */
};
bool tencent_api_open(struct tencent_api **ret, struct loop *loop, struct http *http,
        const struct tencent_api_conf *conf, struct err *e);
void tencent_api_close(struct tencent_api *a);
int64_t tencent_api_clock_offset_s(const struct tencent_api *a); /* server minus local, 0 until it was needed */
void tencent_api_set_clock_offset(struct tencent_api *a, int64_t offset_s);
int64_t tencent_api_server_time_s(
        const struct tencent_api *a); /* now by the CA's clock (last Date header, else local) */
bool tencent_api_has_server_time(const struct tencent_api *a); /* a Date header was seen since open */

/* write: the outcome matters and a repeat does harm: sent on a fresh connection, never repeated by us except after
 * AuthFailure.SignatureExpire and throttling, which precede processing. Reads are retried here (up to 3 times, 1 2 4 s
 * with jitter) on transport faults and server faults; throttling is retried for both, up to 5 times. response is the
 * object under "Response" (borrowed); request_id "" if unknown. err kinds: by the table of the API reference; for a
 * write a server fault or a lost or cut answer is ERR_UNKNOWN. err.code is "tc.<Code>"; err.text ends in the RequestId.
 */
typedef void tencent_done_fn(void *arg, const json_t *response, const char *request_id, const struct err *err);
/* Client-side limits of the API reference (ssl: 10 a second and action) are kept here: a call beyond them waits its
 * turn. Private keys and passwords inside a response are wiped after done. */
struct tencent_call *tencent_start(struct tencent_api *a, const char *action, const json_t *parameters, bool write,
        tencent_done_fn *done, void *arg, struct err *e);
void tencent_cancel(struct tencent_call *c); /* NULL allowed */

/* Kind of an error code, exact match first, then its category: pure, for the table test. */
int tencent_error_kind(const char *code, bool write);
/* Reads an envelope: returns Response (new reference) or fills e. Also the fuzz target. */
bool tencent_envelope_read(const char *body, size_t len, bool write, json_t **ret, char request_id[80], struct err *e);

#endif
