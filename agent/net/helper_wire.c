/* The framing of helper requests, written once for both sides: a JSON line, a blob, a JSON line back. Nobody sends a
 * second request before the first is answered: bytes behind a blob are no request but a mistake. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
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

/* A request that is being read: its header as soon as that line is whole, the blob when all of it is there. */
struct reading {
        struct helper_request r;
        size_t used, blob; /* bytes of the header line (0: not whole yet), and of the blob */
};

static bool wrong_length(const struct reading *g, size_t len, struct err *e)
{
        return err_set(e, ERR_PROTOCOL, "helper.request", "%zu bytes follow the header instead of %zu", len - g->used,
                g->blob);
}

/* True: data, all that came so far, is the request or its beginning. */
static bool look(struct reading *g, const uint8_t *data, size_t len, struct err *e)
{
        const uint8_t *end = memchr(data, '\n', MIN(len, (size_t)HELPER_HEADER_MAX + 1));
        if (!g->used && !end)
                return len <= HELPER_HEADER_MAX ||
                        err_set(e, ERR_PROTOCOL, "helper.request", "a request header of more than 64 KiB");
        if (!g->used && !read_header((const char *)data, (size_t)(end - data), &g->r, &g->blob, e))
                return false;
        if (!g->used)
                g->used = (size_t)(end - data) + 1;
        return len - g->used <= g->blob || wrong_length(g, len, e);
}

static bool whole(const struct reading *g, size_t len)
{
        return g->used && len - g->used == g->blob;
}

static bool take(struct reading *g, const uint8_t *data, size_t len, struct helper_request *ret, struct err *e)
{
        if (!g->used)
                return err_set(e, ERR_PROTOCOL, "helper.request", "a request without a header line");
        if (!whole(g, len))
                return wrong_length(g, len, e);
        g->r.blob = malloc(g->blob + 1);
        if (!g->r.blob)
                return err_memory(e);
        memcpy(g->r.blob, data + g->used, g->blob);
        g->r.blob[g->blob] = 0;
        g->r.blob_len = g->blob;
        *ret = g->r;
        g->r = (struct helper_request){ 0 };
        return true;
}

bool helper_request_parse(const uint8_t *data, size_t len, struct helper_request *ret, struct err *e)
{
        struct reading g = { 0 };
        bool good = look(&g, data, len, e) && take(&g, data, len, ret, e);
        helper_request_done(&g.r);
        return good;
}

/* One more piece. 1: there may be more, 0: the end, -1: none in time. */
static int read_piece(int fd, int64_t until_ms, struct buf *b)
{
        char data[16384];
        ssize_t n = -1;
        for (;;) {
                struct pollfd p = { .fd = fd, .events = POLLIN };
                int64_t left_ms = until_ms - clock_boot_ms();
                int r = left_ms > 0 ? poll(&p, 1, (int)left_ms) : 0;
                if (r > 0)
                        n = read(fd, data, sizeof data);
                if (r == 0 || (r > 0 && n >= 0) || errno != EINTR)
                        break;
        }
        if (n > 0)
                (void)buf_append(b, data, (size_t)n); /* a failure is the caller's to see */
        wipe(data, sizeof data);
        return n > 0 ? 1 : (int)n;
}

bool helper_request_read(int fd, struct helper_request *ret, struct err *e)
{
        struct buf b = { .max = HELPER_HEADER_MAX + HELPER_BLOB_MAX + 1, .secret = true };
        struct reading g = { 0 };
        int64_t until_ms = clock_boot_ms() + READ_MS;
        bool good = true;
        for (int more = 1; good && more == 1 && !whole(&g, b.len);) {
                more = read_piece(fd, until_ms, &b);
                if (more < 0)
                        good = err_set(e, ERR_TEMPORARY, "helper.request", "the request did not arrive within 30 s");
                else if (b.failed)
                        good = err_set(e, ERR_PROTOCOL, "helper.request", "the request is too large");
                else if (more == 1)
                        good = look(&g, (const uint8_t *)b.data, b.len, e);
        }
        good = good && take(&g, (const uint8_t *)b.data, b.len, ret, e);
        helper_request_done(&g.r);
        buf_done(&b);
        return good;
}

bool helper_request_comes(int fd, int64_t wait_ms)
{
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int bytes = 0; /* readable without a byte: the end */
        return poll(&p, 1, (int)wait_ms) > 0 && ioctl(fd, FIONREAD, &bytes) == 0 && bytes > 0;
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
