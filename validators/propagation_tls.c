/* One look at port 443 of one address of a host, as a CA does it for tls-alpn-01: does it choose the protocol, and show
 * the certificate that answers? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/net/tls_alpn.h"
#include "agent/pki/alpn.h"
#include "validators/alpn_table.h"
#include "validators/propagation_internal.h"

#define LOOK_MS 10000

static void say(struct look *l, const char *text)
{
        snprintf(l->s.saw, sizeof l->s.saw, "%.*s", (int)sizeof l->s.saw - 1, text);
}

static bool fits(const struct proof *p, const struct tls_look_result *r, struct err *e)
{
        CLEANUP(free_p) uint8_t *hash = NULL;
        size_t len = 0;
        if (!r->alpn_taken)
                return err_set(e, ERR_PROTOCOL, "alpn.protocol",
                        "does not choose %s: another server answers on port 443", TLS_ALPN_ACME);
        if (!base64url_decode(p->value, strlen(p->value), &hash, &len) || len != ALPN_HASH_LEN)
                return err_set(e, ERR_BUG, "alpn.value", "the proof is no hash");
        return alpn_cert_check(r->leaf, r->leaf_len, p->place, hash, e);
}

static void looked(void *arg, const struct tls_look_result *r, const struct err *err)
{
        struct look *l = arg;
        struct err e;
        l->tls = NULL;
        if (err) { /* a refused handshake is an answer: it has none for this name */
                bool refused = strcmp(err->code, "look.handshake") == 0 || strcmp(err->code, "look.closed") == 0;
                if (refused)
                        snprintf(l->s.saw, sizeof l->s.saw, "refuses a handshake for %s: %.150s", TLS_ALPN_ACME,
                                err->text);
                else
                        say(l, err->text);
                l->silent = refused ? 0 : l->silent + 1;
                return look_result(l, refused ? LOOK_ABSENT : LOOK_SILENT);
        }
        l->silent = 0;
        l->s.rtt_us = r->total_us;
        bool good = fits(&l->run->proof, r, &e);
        say(l, good ? "answers" : e.text);
        look_result(l, good ? LOOK_SEEN : LOOK_OTHER);
}

void look_tls(struct look *l)
{
        struct err e;
        struct propagation *p = l->run;
        CLEANUP(free_p) char *sni = alpn_server_name(p->proof.place);
        const struct tls_look_request r = {
                .address = l->s.address, .sni = sni, .alpn = TLS_ALPN_ACME, .timeout_ms = LOOK_MS
        };
        l->tls = sni ? tls_look_start(p->engine->loop, &r, looked, l, &e) : NULL;
        if (!l->tls) {
                say(l, "cannot be asked");
                look_later(l);
        }
}
