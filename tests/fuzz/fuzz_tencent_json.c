#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/ca/tencent/account.h"
#include "agent/ca/tencent/check.h"
#include "agent/ca/tencent/view.h"
#include "agent/net/tencent_api.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool what)
{
        if (!what)
                abort();
}

/* An answer as an order: whatever comes out passed the grammar of tokens, and exactly one thing is said of where it
 * stands. */
static void read_as_order(const json_t *response)
{
        struct tc_cert c;
        struct ca_view v;
        struct err e = { 0 };

        if (!tc_cert_read(response, "asked1", &c))
                return;
        require(tc_id_is_valid(c.id) && (!*c.replaced_by || tc_id_is_valid(c.replaced_by)));
        const struct tc_view_input in = { .order = &c,
                .now_s = 1700000000,
                .old_fingerprint = "",
                .told_age_s = -1,
                .console = "https://console.example" };
        if (tc_view_make(&in, &v, &e)) {
                for (size_t i = 0; i < v.proof_count; i++)
                        require(proof_check(&v.proof[i], &e));
                require(!(v.ready && v.end != CA_END_NONE) && v.poll_after_ms >= 2000 && v.poll_after_ms <= 600000);
                ca_view_done(&v);
        } else {
                require(e.kind == ERR_PROTOCOL || e.kind == ERR_TEMPORARY);
        }
        tc_cert_done(&c);
}

static void read_as_others(const json_t *response)
{
        struct tc_account a = { 0 };
        struct buf text = { 0 };

        (void)tc_account_add(&a, response);
        tc_account_done(&a);
        (void)tc_check_text(response, &text);
        (void)tc_check_validated(response);
        require(!text.data || !strpbrk(text.data, "\x1b\r\t"));
        buf_done(&text);
}

/* First byte: a read or a write. Whatever is read as a success is an object; whatever is not has a kind and a text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        json_t *response = NULL;
        char request_id[80];
        struct err e = { 0 };

        if (size < 1 || size > 65536)
                return 0;
        if (tencent_envelope_read((const char *)data + 1, size - 1, data[0] & 1, &response, request_id, &e)) {
                require(json_is_object(response));
                read_as_order(response);
                read_as_others(response);
        } else {
                require(e.kind != ERR_NONE && e.text[0] && !response);
        }
        require(strlen(request_id) <= 79 && !strpbrk(request_id, " \r\n\x1b"));
        json_decref(response);
        return 0;
}
