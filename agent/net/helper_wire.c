/* The framing of helper requests, written once for both sides: a JSON line, a blob, a JSON line back. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/net/helper.h"

#define READ_MS 30000
#define HEADER_DEPTH 8

void helper_request_done(struct helper_request *r)
{
        json_decref(r->header);
        free(r->verb);
        if (r->blob)
                wipe(r->blob, r->blob_len);
        free(r->blob);
        *r = (struct helper_request){ 0 };
}

/* The header line; *ret_blob: bytes that must follow it. */
static bool read_header(const char *line, size_t len, struct helper_request *ret, size_t *ret_blob, struct err *e)
{
        CLEANUP(json_decref_p) json_t *o = NULL;
        if (len > HELPER_HEADER_MAX)
                return err_set(e, ERR_PROTOCOL, "helper.request", "a request header of more than 64 KiB");
        if (!json_read(line, len, HEADER_DEPTH, &o, e))
                return err_wrap(e, "helper request");
        int64_t blob = json_i64(o, "blob", -1);
        const char *verb = json_is_object(o) ? json_str(o, "verb") : NULL;
        if (!verb || blob < 0 || blob > HELPER_BLOB_MAX)
                return err_set(e, ERR_PROTOCOL, "helper.request",
                        "not a helper request: verb, and blob of 0 to %d bytes", HELPER_BLOB_MAX);
        ret->verb = text_dup(verb);
        if (!ret->verb)
                return err_memory(e);
        ret->header = STEAL(o);
        *ret_blob = (size_t)blob;
        return true;
}

bool helper_request_parse(const uint8_t *data, size_t len, struct helper_request *ret, struct err *e)
{
        struct helper_request r = { 0 };
        const uint8_t *end = memchr(data, '\n', MIN(len, (size_t)HELPER_HEADER_MAX + 1));
        size_t blob = 0;
        if (!end)
                return err_set(e, ERR_PROTOCOL, "helper.request", "a request without a header line");
        size_t used = (size_t)(end - data) + 1;
        if (!read_header((const char *)data, used - 1, &r, &blob, e)) {
                helper_request_done(&r);
                return false;
        }
        if (len - used != blob) {
                helper_request_done(&r);
                return err_set(e, ERR_PROTOCOL, "helper.request", "%zu bytes follow the header instead of %zu",
                        len - used, blob);
        }
        r.blob = malloc(blob + 1);
        if (!r.blob) {
                helper_request_done(&r);
                return err_memory(e);
        }
        memcpy(r.blob, data + used, blob);
        r.blob[blob] = 0;
        r.blob_len = blob;
        *ret = r;
        return true;
}

bool helper_request_read(int fd, struct helper_request *ret, struct err *e)
{
        struct buf b = { .max = HELPER_HEADER_MAX + HELPER_BLOB_MAX + 1, .secret = true };
        int64_t until_ms = clock_boot_ms() + READ_MS;
        bool good = true;
        for (;;) {
                char data[16384];
                struct pollfd p = { .fd = fd, .events = POLLIN };
                int64_t left_ms = until_ms - clock_boot_ms();
                int r = left_ms > 0 ? poll(&p, 1, (int)left_ms) : 0;
                if (r < 0 && errno == EINTR)
                        continue;
                ssize_t n = r > 0 ? read(fd, data, sizeof data) : -1;
                if (n <= 0) {
                        if (n < 0)
                                good = err_set(
                                        e, ERR_TEMPORARY, "helper.request", "the request did not arrive within 30 s");
                        break;
                }
                bool fits = buf_append(&b, data, (size_t)n);
                wipe(data, sizeof data);
                if (!fits) {
                        good = err_set(e, ERR_PROTOCOL, "helper.request", "the request is too large");
                        break;
                }
        }
        good = good && helper_request_parse((const uint8_t *)(b.data ? b.data : ""), b.len, ret, e);
        buf_done(&b);
        return good;
}

bool helper_answer_write(int fd, json_t *answer, const struct err *error)
{
        if (error) {
                json_t *o = json_object();
                json_put_text(o, "kind", err_kind_name(error->kind));
                json_put_text(o, "code", error->code);
                json_put_text(o, "text", error->text);
                json_put_text(o, "fix", error->fix);
                json_object_set_new(answer, "error", o);
        }
        CLEANUP(free_p) char *text = json_text(answer);
        CLEANUP(free_p) char *line = text ? text_format("%s\n", text) : NULL;
        for (size_t at = 0, len = line ? strlen(line) : 0; at < len;) {
                ssize_t n = write(fd, line + at, len - at);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return false;
                at += (size_t)n;
        }
        return line != NULL;
}
