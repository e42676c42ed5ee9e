/* O18: a server that has an RSA and an ECDSA certificate shows each client the one it likes better. If one of the pair
 * is nobody's, it stays as it is when the other is replaced: old, or with a key that others have. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/deploy/check_internal.h"
#include "agent/deploy/deploy.h"

struct seconds { /* the value: certificates of the other kind, a line each */
        struct texts place, sha256, serial, until;
};

static void seconds_free(void *value)
{
        struct seconds *s = value;
        texts_done(&s->place);
        texts_done(&s->sha256);
        texts_done(&s->serial);
        texts_done(&s->until);
        free(s);
}

static void *seconds_failed(const struct err *err)
{
        (void)err; /* O10 looks at the same places and says so */
        return calloc(1, sizeof(struct seconds));
}

static bool add(struct seconds *s, const struct look_endpoint *x)
{
        char date[32];
        CLEANUP(free_p) char *place = text_format("%s%s%s", x->address, x->sni ? " as " : "", x->sni ? x->sni : "");
        format_date(x->served_not_after_s, date, sizeof date);
        return place && texts_add(&s->place, place) && texts_add(&s->sha256, x->served_sha256) &&
                texts_add(&s->serial, x->served_serial ? x->served_serial : "?") && texts_add(&s->until, date);
}

static void looked(void *arg, const struct look_endpoint *list, size_t count, const struct err *err)
{
        struct seconds *s = calloc(1, sizeof *s);
        (void)err; /* most servers have no second one: their handshake fails */
        for (size_t i = 0; s && i < count; i++)
                if (list[i].verdict == LOOK_DIFFERENT && list[i].ours && !texts_has(&s->sha256, list[i].served_sha256))
                        if (!add(s, &list[i]))
                                break;
        if (s)
                check_fact_done(arg, s);
}

static bool start(struct check_fact *f, const void *request, struct err *e)
{
        return deploy_look_begin(f, request, looked, e);
}

static const struct check_fact_kind seconds_kind = { start, deploy_look_stop, seconds_free, seconds_failed };

static enum key_type other_kind(enum key_type t)
{
        switch (t) {
        case KEY_RSA_2048:
        case KEY_RSA_3072:
        case KEY_RSA_4096:
                return KEY_EC_P256;
        case KEY_EC_P256:
        case KEY_EC_P384:
                return KEY_RSA_2048;
        case KEY_NONE:
        case KEY_SM2:
        case KEY_OTHER:
                break;
        }
        return KEY_NONE;
}

/* Is it the live one of another certificate of the configuration? */
static bool is_looked_after(const struct conf *conf, const char *sha256)
{
        bool found = false;
        for (size_t i = 0; i < conf->cert_count && !found; i++) {
                struct chain chain = { 0 };
                struct err e;
                if (deploy_live_chain(conf, conf->cert[i].name, &chain, &e))
                        found = strcmp(chain.leaf.sha256, sha256) == 0;
                chain_done(&chain);
        }
        return found;
}

static void judge_seconds(struct check_context *c, const struct seconds *s, const char *kind, struct judgements *out)
{
        const char *cert = c->target->cert->name;
        for (size_t i = 0; i < s->until.count; i++) {
                if (is_looked_after(c->target->conf, s->sha256.item[i]))
                        continue;
                CLEANUP(free_p)
                char *fix = text_format("let dcvd have it too: a certificate of its own for these names with `key: "
                                        "{type: %s}`, then dcvctl import; or take it out of the server",
                        kind);
                judge(out, "O18",
                        (struct judgement_words){
                                .subject = s->place.item[i], .fix = fix, .observed = s->serial.item[i] },
                        "%s also serves a certificate with another kind of key (serial %s, until %.12s) that no "
                        "certificate of the configuration is: it stays when %s is replaced",
                        s->place.item[i], s->serial.item[i], s->until.item[i], cert);
        }
}

static void run(struct check_context *c, struct judgements *out)
{
        struct chain chain = { 0 };
        struct err e;
        const struct conf_cert *cert = c->target->cert;
        if (!deploy_live_chain(c->target->conf, cert->name, &chain, &e))
                return judge_unverifiable(out, "O18", cert->name, "there is no live set to compare with");
        enum key_type other = other_kind(chain.leaf.key_type);
        const struct look_request r = { .cert = cert,
                .dns = check_net(c->run),
                .want_sha256 = chain.leaf.sha256,
                .key_type = other,
                .in_a_row = 1 };
        CLEANUP(free_p) char *key = text_format("second %s", cert->name);
        const struct seconds *s = other && key ? check_fact(c, key, &seconds_kind, &r) : NULL;
        if (!other)
                judge_unverifiable(out, "O18", cert->name, "no second certificate is looked for beside such a key");
        if (s)
                judge_seconds(c, s, key_type_name(other), out);
        chain_done(&chain);
}

extern const struct check check_pair;
const struct check check_pair = { .ids = "O18",
        .stage = STAGE_REST,
        .scope = CHECK_TARGET,
        .needs = CHECK_NEEDS_CERT | CHECK_REGARDLESS,
        .run = run };
