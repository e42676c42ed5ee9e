/* key.reuse: may the key that is live sign the next CSR as well, and if not, why not? Said wherever it is asked, so
 * that the setting is never passed over in silence. */
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/job/internal.h"
#include "agent/pki/weak.h"

static bool from_set(const struct engine *g, const struct cert *c, struct key **ret, struct err *e)
{
        struct set s = { 0 };
        if (!sets_read(g->sets, c->row.name, (unsigned)c->row.live_set, SET_KEY, &s, e))
                return false;
        bool good = s.key_pem.len > 0 ? key_read_pem(s.key_pem.data, s.key_pem.len, NULL, ret, e)
                                      : err_set(e, ERR_CONFIG, "key.absent", "it is not on this host");
        set_done(&s);
        return good;
}

bool live_key_load(const struct engine *g, const struct cert *c, struct key **ret, struct err *e)
{
        return keystore_has(g->keystore, c->row.live_spki) ? keystore_get(g->keystore, c->row.live_spki, ret, e)
                                                           : from_set(g, c, ret, e);
}

static bool is_issued_by(const struct engine *g, const char *ca_name, enum key_type type)
{
        for (size_t i = 0; i < g->ca_count; i++) {
                const char *const *name = g->ca[i].ops->key_types;
                if (strcmp(g->ca[i].name, ca_name) != 0 || !name)
                        continue;
                while (*name && strcmp(*name, key_type_name(type)) != 0)
                        name++;
                return *name != NULL;
        }
        return type != KEY_OTHER;
}

/* What the key itself, or a setting, says against it. */
static void judge(const struct engine *g, const struct cert *c, const struct conf_cert *policy, size_t ca_index,
        struct live_key *k)
{
        struct key *key = NULL;
        struct err e;
        enum key_type wanted = policy_key_type(policy, ca_index);
        if (!live_key_load(g, c, &key, &e)) {
                snprintf(k->why_not, sizeof k->why_not, "%s", e.text);
                return;
        }
        k->type = key_type_of(key);
        if (!key_check_strength(key, &e))
                snprintf(k->why_not, sizeof k->why_not, "%s", e.text);
        else if (wanted != KEY_NONE && wanted != k->type)
                snprintf(k->why_not, sizeof k->why_not, "it is %s, and %s is configured", key_type_name(k->type),
                        key_type_name(wanted));
        else if (!is_issued_by(g, policy->ca[ca_index].ca, k->type))
                snprintf(k->why_not, sizeof k->why_not, "it is %s, which %s does not take", key_type_name(k->type),
                        policy->ca[ca_index].ca);
        else
                k->may = true;
        key_free(key);
}

void live_key_look(struct live_key *ret, const struct engine *g, const struct cert *c, const struct conf_cert *policy,
        size_t ca_index, struct subject_ask ask)
{
        const char *live = c ? c->row.live_spki : NULL, *why = NULL;
        *ret = (struct live_key){ .wanted = policy->key_reuse == REUSE_WHEN_NOT_COMPROMISED && !policy->key_csr };
        if (!ret->wanted)
                return;
        if (!live)
                why = "nothing is live here";
        else if (compromised_has(g->keystore, live))
                why = "it is marked compromised";
        else if (ask.compromised)
                why = "a key is reported compromised";
        else if (ask.refused)
                why = "a CA did not take it";
        if (live)
                snprintf(ret->spki, sizeof ret->spki, "%s", live);
        if (why)
                snprintf(ret->why_not, sizeof ret->why_not, "%s", why);
        else
                judge(g, c, policy, ca_index, ret);
}

bool live_key_may_stay(const struct engine *g, const struct cert *c, const struct conf_cert *policy, size_t ca_index,
        struct subject_ask ask)
{
        struct live_key k;
        live_key_look(&k, g, c, policy, ca_index, ask);
        return k.may;
}

bool live_key_stays(struct live_key *k, const struct ca_subject *s)
{
        if (k->may && !s->same_csr && s->key_type != k->type) {
                k->may = false;
                snprintf(k->why_not, sizeof k->why_not, "it is %s, and the CA's rule is %s", key_type_name(k->type),
                        key_type_name(s->key_type));
        }
        return k->may;
}
