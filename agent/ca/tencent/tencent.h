/* Inside the Tencent Cloud CA: what its files share. */
#ifndef DCVD_CA_TENCENT_TENCENT_H
#define DCVD_CA_TENCENT_TENCENT_H

#include "agent/ca/tencent/conf.h"
#include "agent/ca/ca.h"
#include "agent/ca/tencent/account.h"
#include "agent/ca/tencent/chain.h"
#include "agent/ca/tencent/notes.h"
#include "agent/net/tencent_api.h"

#define TC_SLOTS 2

struct ca {
        struct ca_env env; /* name owned */
        char *name;
        const char *console;
        struct tencent_api *api;
        int64_t offset_remembered_s;
        struct tc_notes notes;
        struct ca_call *calls;
};

/* One operation: up to two questions at a time and one wait. Its owner embeds this as the first member. */
typedef void tc_answer_fn(struct ca_call *op, const json_t *response, const struct err *err);
struct tc_slot {
        struct ca_call *op;
        struct tencent_call *call;
        tc_answer_fn *fn;
};
struct ca_call {
        struct ca *ca;
        struct ca_call *prev, *next;
        struct tc_slot slot[TC_SLOTS];
        struct timer *timer;
        void (*wake)(struct ca_call *op);
        void (*clean)(struct ca_call *op); /* frees what the owner holds, not the operation itself */
};

void tc_op_link(struct ca *ca, struct ca_call *op, void (*clean)(struct ca_call *op));
/* Asks in a slot that is free. parameters: taken, in every case; NULL is memory. */
bool tc_op_ask(struct ca_call *op, unsigned slot, const char *action, json_t *parameters, bool write, tc_answer_fn *fn,
        struct err *e);
bool tc_op_ask_id(struct ca_call *op, unsigned slot, const char *action, const char *id, bool write, tc_answer_fn *fn,
        struct err *e);
bool tc_op_wait(struct ca_call *op, int64_t delay_ms, void (*wake)(struct ca_call *op), struct err *e);
void tc_op_detach(
        struct ca_call *op); /* stops questions and wait; the CA forgets it: after it the callback may close the CA */
void tc_op_free(struct ca_call *op); /* detaches, cleans, frees */

int64_t tc_now_s(const struct ca *ca); /* by the CA's clock */
bool tc_is_gone(const struct err *err); /* the answer says that there is no such certificate */
void tc_err_place(
        const struct ca *ca, struct err *e, const char *order_id); /* adds order and console page to the fix */
bool tc_id_check(const char *id, struct err *e);

struct tc_before {
        int64_t begin_s;
        char fingerprint[80]; /* "" unknown */
        char linked[TC_ID_MAX]; /* what ReplacedFor named before the write */
};
/* A reissue that came back under the original's id: what the original was before (kept over restarts). */
bool tc_same_remember(struct ca *ca, const struct tc_cert *old);
bool tc_same_recall(struct ca *ca, const char *id, struct tc_before *ret);
void tc_same_forget(struct ca *ca, const char *id);

struct ca_call *tc_inspect(
        struct ca *ca, const struct ca_subject_request *r, ca_subject_fn *done, void *arg, struct err *e);
struct ca_call *tc_order(struct ca *ca, const struct ca_order_request *r, ca_id_fn *done, void *arg, struct err *e);
struct ca_call *tc_resolve(struct ca *ca, const struct ca_order_request *r, ca_id_fn *done, void *arg, struct err *e);
struct ca_call *tc_view(struct ca *ca, const char *order_id, ca_view_fn *done, void *arg, struct err *e);
struct ca_call *tc_validate(struct ca *ca, const char *order_id, ca_done_fn *done, void *arg, struct err *e);
struct ca_call *tc_diagnose(struct ca *ca, const char *order_id, ca_text_fn *done, void *arg, struct err *e);
struct ca_call *tc_fetch(struct ca *ca, const char *order_id, ca_text_fn *done, void *arg, struct err *e);
struct ca_call *tc_cancel_order(struct ca *ca, const char *order_id, ca_done_fn *done, void *arg, struct err *e);
struct ca_call *tc_revoke(struct ca *ca, const struct ca_revoke_request *q, ca_done_fn *done, void *arg, struct err *e);
struct ca_call *tc_list(struct ca *ca, const char *search, ca_list_fn *done, void *arg, struct err *e);

#endif
