#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/ca/tencent/tencent.h"
#include "agent/net/loop.h"

void tc_op_link(struct ca *ca, struct ca_call *op, void (*clean)(struct ca_call *op))
{
        op->ca = ca;
        op->clean = clean;
        op->next = ca->calls;
        if (ca->calls)
                ca->calls->prev = op;
        ca->calls = op;
}

static void offset_remember(struct ca *ca)
{
        int64_t offset_s = tencent_api_clock_offset_s(ca->api);
        char text[32];

        if (offset_s == ca->offset_remembered_s || !ca->env.remember)
                return;
        snprintf(text, sizeof text, "%lld", (long long)offset_s);
        if (ca->env.remember(ca->env.memory_arg, ca->name, "clock_offset_s", text))
                ca->offset_remembered_s = offset_s;
}

static void slot_answered(void *arg, const json_t *response, const char *request_id, const struct err *err)
{
        struct tc_slot *s = arg;

        (void)request_id; /* in the error's text and the log */
        s->call = NULL;
        offset_remember(s->op->ca);
        s->fn(s->op, response, err);
}

bool tc_op_ask(struct ca_call *op, unsigned slot, const char *action, json_t *parameters, bool write, tc_answer_fn *fn,
        struct err *e)
{
        struct tc_slot *s = &op->slot[slot];

        if (!parameters)
                return err_memory(e);
        s->op = op;
        s->fn = fn;
        s->call = tencent_start(op->ca->api, action, parameters, write, slot_answered, s, e);
        json_decref(parameters);
        return s->call != NULL;
}

bool tc_op_ask_id(struct ca_call *op, unsigned slot, const char *action, const char *id, bool write, tc_answer_fn *fn,
        struct err *e)
{
        json_t *p = json_object();

        if (p && !json_put_text(p, "CertificateId", id))
                json_decref_p(&p);
        return tc_op_ask(op, slot, action, p, write, fn, e);
}

static void woken(void *arg)
{
        struct ca_call *op = arg;

        op->wake(op);
}

bool tc_op_wait(struct ca_call *op, int64_t delay_ms, void (*wake)(struct ca_call *op), struct err *e)
{
        if (!op->timer && !timer_new(&op->timer, op->ca->env.loop, woken, op, e))
                return false;
        op->wake = wake;
        timer_start(op->timer, delay_ms);
        return true;
}

void tc_op_detach(struct ca_call *op)
{
        if (!op->ca)
                return;
        for (unsigned i = 0; i < TC_SLOTS; i++) {
                tencent_cancel(op->slot[i].call);
                op->slot[i].call = NULL;
        }
        timer_free(op->timer);
        op->timer = NULL;
        if (op->next)
                op->next->prev = op->prev;
        if (op->prev)
                op->prev->next = op->next;
        else
                op->ca->calls = op->next;
        op->ca = NULL;
}

void tc_op_free(struct ca_call *op)
{
        tc_op_detach(op);
        op->clean(op);
        free(op);
}

int64_t tc_now_s(const struct ca *ca)
{
        return tencent_api_server_time_s(ca->api);
}

bool tc_is_gone(const struct err *err)
{
        static const char *const codes[] = { "tc.FailedOperation.CertificateNotFound", "tc.CertificateNotFound",
                "tc.ResourceNotFound", "tc.ResourceNotFound.CertificateNotFound" };

        for (size_t i = 0; err && i < ARRAY_LEN(codes); i++)
                if (strcmp(err->code, codes[i]) == 0)
                        return true;
        return false;
}

void tc_err_place(const struct ca *ca, struct err *e, const char *order_id)
{
        char before[sizeof e->fix];

        snprintf(before, sizeof before, "%.180s", e->fix);
        err_fix(e, "%s%sorder %s at %s/ssl/detail/%s", before, *before ? "; " : "", order_id, ca->console, order_id);
}

bool tc_id_check(const char *id, struct err *e)
{
        if (tc_id_is_valid(id))
                return true;
        return err_set(e, ERR_CONFIG, "tc.id", "%.80s is no certificate id of Tencent Cloud", id ? id : "(none)");
}

static void same_key(const char *id, char ret[TC_ID_MAX + 8])
{
        snprintf(ret, TC_ID_MAX + 8, "same.%s", id);
}

bool tc_same_remember(struct ca *ca, const struct tc_cert *old)
{
        char key[TC_ID_MAX + 8], value[256];

        same_key(old->id, key);
        snprintf(value, sizeof value, "%lld %s %s", (long long)old->begin_s, *old->fingerprint ? old->fingerprint : "-",
                *old->replaced_for ? old->replaced_for : "-");
        return !ca->env.remember || ca->env.remember(ca->env.memory_arg, ca->name, key, value);
}

static void word_take(char **rest, char *ret, size_t size)
{
        const char *word = strsep(rest, " ");

        snprintf(ret, size, "%s", word && strcmp(word, "-") != 0 ? word : "");
}

bool tc_same_recall(struct ca *ca, const char *id, struct tc_before *ret)
{
        char key[TC_ID_MAX + 8], begin[32];

        same_key(id, key);
        CLEANUP(free_p) char *value = ca->env.recall ? ca->env.recall(ca->env.memory_arg, ca->name, key) : NULL;
        if (!value || !*value)
                return false;
        char *rest = value;
        *ret = (struct tc_before){ 0 };
        word_take(&rest, begin, sizeof begin);
        (void)parse_i64(begin, 0, INT64_MAX, &ret->begin_s); /* unreadable: 0, any certificate counts as another */
        word_take(&rest, ret->fingerprint, sizeof ret->fingerprint);
        word_take(&rest, ret->linked, sizeof ret->linked);
        return true;
}

void tc_same_forget(struct ca *ca, const char *id)
{
        char key[TC_ID_MAX + 8];

        same_key(id, key);
        if (ca->env.remember)
                (void)ca->env.remember(ca->env.memory_arg, ca->name, key, NULL); /* a left-over costs nothing */
}
