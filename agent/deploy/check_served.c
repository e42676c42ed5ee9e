/* O10: is the live certificate what the endpoints serve? O20: is there one at all? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/util.h"
#include "agent/deploy/check_internal.h"
#include "agent/deploy/deploy.h"

struct served { /* the value: what is wrong, a line each */
        struct texts subject, text;
};

static void served_free(void *value)
{
        struct served *s = value;
        texts_done(&s->subject);
        texts_done(&s->text);
        free(s);
}

static void *served_failed(const struct err *err)
{
        struct served *s = calloc(1, sizeof *s);
        if (s && (!texts_add(&s->subject, "") || !texts_add(&s->text, err->text))) {
                served_free(s);
                return NULL;
        }
        return s;
}

static bool add(struct served *s, const struct look_endpoint *x)
{
        const char *as = x->sni ? " as " : "", *name = x->sni ? x->sni : "";
        CLEANUP(free_p)
        char *text = x->verdict == LOOK_FAILED
                ? text_format("%s%s%s shows no certificate for this kind of key: %s", x->address, as, name, x->text)
                : text_format("%s%s%s %s", x->address, as, name, x->text);
        return text && texts_add(&s->subject, x->address) && texts_add(&s->text, text);
}

static void looked(void *arg, const struct look_endpoint *list, size_t count, const struct err *err)
{
        struct served *s = calloc(1, sizeof *s);
        (void)err; /* each endpoint says it */
        for (size_t i = 0; s && i < count; i++)
                if (list[i].verdict != LOOK_SAME && !add(s, &list[i]))
                        break;
        if (s)
                check_fact_done(arg, s);
}

bool deploy_look_begin(struct check_fact *f, const struct look_request *request, look_done_fn *done, struct err *e)
{
        *check_fact_place(f) = look_start(check_loop(check_fact_run(f)), request, done, f, e);
        return *check_fact_place(f) != NULL;
}

void deploy_look_stop(struct check_fact *f)
{
        look_cancel(*check_fact_place(f));
}

static bool start(struct check_fact *f, const void *request, struct err *e)
{
        return deploy_look_begin(f, request, looked, e);
}

static const struct check_fact_kind served_kind = { start, deploy_look_stop, served_free, served_failed };

bool deploy_live_chain(const struct conf *conf, const char *cert, struct chain *ret, struct err *e)
{
        CLEANUP(free_p) char *path = text_format("%s/live/%s/fullchain.pem", conf->state_directory, cert);
        CLEANUP(free_p) char *pem = NULL;
        size_t len = 0;
        return path && file_read(path, CHAIN_PEM_MAX, &pem, &len, e) && chain_read(pem, len, NULL, ret, e);
}

static void judge_served(struct check_context *c, const struct served *s, struct judgements *out)
{
        for (size_t i = 0; i < s->subject.count && i < s->text.count; i++)
                judge(out, "O10",
                        (struct judgement_words){ .subject = s->subject.item[i],
                                .fix = "dcvctl deploy puts the live set to use again; dcvctl verify looks again" },
                        "%s: %s", c->target->cert->name, s->text.item[i]);
}

static void run(struct check_context *c, struct judgements *out)
{
        struct chain chain = { 0 };
        struct err e;
        const struct conf_cert *cert = c->target->cert;
        if (!deploy_live_chain(c->target->conf, cert->name, &chain, &e)) {
                bool absent = strstr(e.text, "No such file") != NULL;
                CLEANUP(free_p)
                char *fix =
                        text_format("dcvctl import %s --cert FILE --key FILE takes over what the host has", cert->name);
                if (absent)
                        judge(out, "O20", (struct judgement_words){ .subject = cert->name, .fix = fix },
                                "%s is not adopted: there is no local copy of the certificate, and no way back to it",
                                cert->name);
                return judge_unverifiable(
                        out, "O10", cert->name, "%s", absent ? "there is no live set to compare with" : e.text);
        }
        const struct look_request r = { .cert = cert,
                .dns = check_net(c->run),
                .want_sha256 = chain.leaf.sha256,
                .key_type = chain.leaf.key_type,
                .in_a_row = 1 };
        CLEANUP(free_p) char *key = text_format("served %s", cert->name);
        const struct served *s = key ? check_fact(c, key, &served_kind, &r) : NULL;
        if (s)
                judge_served(c, s, out);
        chain_done(&chain);
}

extern const struct check check_served;
const struct check check_served = { .ids = "O10 O20",
        .stage = STAGE_REST,
        .scope = CHECK_TARGET,
        .needs = CHECK_NEEDS_CERT | CHECK_REGARDLESS,
        .run = run };
