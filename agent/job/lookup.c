/* What the rooms above ask the engine for: its clients, its keys. */
#include <stdio.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/job/engine.h"
#include "agent/job/internal.h"
#include "agent/pki/keystore.h"

struct dns *engine_dns(struct engine *g)
{
        return g->dns;
}

struct http *engine_http(struct engine *g)
{
        return g->http;
}

bool engine_public_key(struct engine *g, const char *spki_hex, uint8_t **ret_der, size_t *ret_len)
{
        struct key *k = NULL;
        struct err e;
        if (strlen(spki_hex) != 64 || spki_hex[strspn(spki_hex, "0123456789abcdef")] != '\0' ||
                !keystore_get(g->keystore, spki_hex, &k, &e))
                return false;
        bool good = key_public_der(k, ret_der, ret_len, &e);
        key_free(k);
        return good;
}

bool engine_any_key(const struct engine *g, char ret_spki_hex[65])
{
        for (size_t i = 0; i < g->cert_count; i++)
                if (g->cert[i]->row.live_spki && strlen(g->cert[i]->row.live_spki) == 64) {
                        snprintf(ret_spki_hex, 65, "%s", g->cert[i]->row.live_spki);
                        return true;
                }
        return false;
}
