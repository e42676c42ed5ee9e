/* dnspod: TXT and CNAME records by the API of DNSPod (Tencent Cloud, API 3.0, version 2021-03-23), signed with TC3. A
 * TXT goes to the end of the alias where the name is one; its zone must be a domain of the account. The name's records
 * are listed first: ours from before is taken, a CNAME or whatever a CNAME needs out of the way is named and stays. A
 * creation or deletion whose outcome is unknown is not sent twice: the list says what became of it. Only a record with
 * our value is deleted, by its id. Handle: "ZONE OWNER". An empty list is an error there by default and is none here.
 * What it may call: propagation (the zone), http by way of the API. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/err.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/net/dns_message.h"
#include "agent/net/loop.h"
#include "agent/net/tencent_api.h"
#include "config/schema.h"
#include "config/yaml.h"
#include "validators/alias.h"
#include "validators/dnspod.h"
#include "validators/dnspod_list.h"
#include "validators/propagation.h"
#include "validators/publisher.h"

#define LIST_MAX 3000
#define DEFAULT_LINE "\xe9\xbb\x98\xe8\xae\xa4" /* the API's word for the default line; the id decides */

struct publisher {
        struct publisher_env env;
        char *name;
        struct tencent_api *api;
        int64_t ttl;
        struct publish_call *first;
};
struct publish_call {
        struct publisher *p;
        struct publish_call *next, **at;
        publish_place_fn *place; /* NULL: nobody is told before */
        publish_done_fn *done;
        void *arg;
        struct proof proof;
        bool add, sent; /* sent: the write went out; what the list shows now is its outcome */
        struct err lost; /* why nobody knows */
        char *owner, *zone;
        struct deferred *begin;
        struct alias_follow *follow;
        struct zone_find *find;
        struct tencent_call *call;
};

/* ---- ends ---- */

static void call_free(struct publish_call *c)
{
        *c->at = c->next;
        if (c->next)
                c->next->at = c->at;
        loop_undefer(c->p->env.loop, c->begin);
        alias_follow_cancel(c->follow);
        zone_find_cancel(c->find);
        tencent_cancel(c->call);
        proof_done(&c->proof);
        free(c->owner);
        free(c->zone);
        free(c);
}

static char *handle_of(const struct publish_call *c)
{
        return text_format("%s %s", c->zone ? c->zone : "", c->owner);
}

static void finish(struct publish_call *c, const struct err *err)
{
        publish_done_fn *done = c->done;
        void *arg = c->arg;
        struct err e;
        CLEANUP(free_p) char *handle = handle_of(c);
        if (err) {
                e = *err;
                err_wrap(&e, "%s %s at DNSPod", c->add ? "publishing" : "withdrawing", c->owner);
        }
        call_free(c);
        done(arg, err ? NULL : handle, err ? &e : NULL);
}

/* ---- calls ---- */

static const char *sub_domain(const struct publish_call *c, char ret[256])
{
        size_t owner = strlen(c->owner), zone = strlen(c->zone);
        bool below = owner > zone + 1 && owner - zone - 1 < 256;
        snprintf(ret, 256, "%.*s", below ? (int)(owner - zone - 1) : 1, below ? c->owner : "@");
        return ret;
}

static json_t *parameters(const struct publish_call *c)
{
        char sub[256];
        return json_pack("{s:s, s:s}", "Domain", c->zone, "SubDomain", sub_domain(c, sub));
}

/* What a person can do about codes of DNSPod alone. */
static void advise(const struct publish_call *c, struct err *e)
{
        if (strstr(e->code, "DomainNotExists") || strstr(e->code, "DomainInvalid") || strstr(e->code, "NoDataOfDomain"))
                err_fix(e, "zone %s is no domain of this DNSPod account: use its own account, or another publisher",
                        c->zone);
        else if (strstr(e->code, "RecordTtlLimit"))
                err_fix(e, "the plan of %s allows no TTL of %" PRId64 " s: raise publishers.%s.ttl (free plan: 600)",
                        c->zone, c->p->ttl, c->p->name);
}

static void list(struct publish_call *c);

static void written(void *arg, const json_t *response, const char *request_id, const struct err *err)
{
        struct publish_call *c = arg;
        struct err e;
        (void)response;
        (void)request_id;
        c->call = NULL;
        if (!err)
                return finish(c, NULL);
        bool settled = strstr(err->code, "DomainRecordExist") || strstr(err->code, "RecordIdInvalid");
        if (err->kind != ERR_UNKNOWN && !settled) {
                e = *err;
                advise(c, &e);
                return finish(c, &e);
        }
        c->sent = true;
        c->lost = *err;
        list(c);
}

static void create(struct publish_call *c)
{
        struct err e;
        bool txt = c->proof.type == PROOF_TXT;
        CLEANUP(json_decref_p) json_t *o = parameters(c);
        json_put_text(o, "RecordLine", DEFAULT_LINE);
        json_put_text(o, "RecordLineId", "0");
        json_put_text(o, "Value", c->proof.value);
        json_put_i64(o, "TTL", c->p->ttl);
        if (!txt)
                json_put_text(o, "RecordType", "CNAME");
        c->call = tencent_start(c->p->api, txt ? "CreateTXTRecord" : "CreateRecord", o, true, written, c, &e);
        if (!c->call)
                finish(c, &e);
}

static void delete (struct publish_call *c, int64_t id)
{
        struct err e;
        CLEANUP(json_decref_p) json_t *o = json_pack("{s:s, s:I}", "Domain", c->zone, "RecordId", (json_int_t)id);
        c->call = tencent_start(c->p->api, "DeleteRecord", o, true, written, c, &e);
        if (!c->call)
                finish(c, &e);
}

static void in_the_way(struct publish_call *c, const struct dnspod_seen *seen)
{
        struct err e;
        err_set(&e, ERR_RULE, "token.foreign", "%s has a %s record, which is not ours and stays", c->owner,
                seen->other);
        err_fix(&e, "remove it, or let that name be answered by another publisher");
        finish(c, &e);
}

static void listed(void *arg, const json_t *response, const char *request_id, const struct err *err)
{
        struct publish_call *c = arg;
        char sub[256];
        struct dnspod_seen seen = { 0 };
        struct err e;
        (void)request_id;
        c->call = NULL;
        bool empty = err && strstr(err->code, "NoDataOfRecord") != NULL;
        if (err && !empty) {
                e = *err;
                if (c->sent)
                        e.kind = ERR_UNKNOWN;
                advise(c, &e);
                return finish(c, &e);
        }
        if (!empty && !dnspod_list_read(response, sub_domain(c, sub), &c->proof, &seen, &e))
                return finish(c, &e);
        if (c->sent) /* a write whose outcome was not known: now it is, or it may still come */
                return finish(c, (seen.id != 0) == c->add ? NULL : &c->lost);
        if (!c->add)
                return seen.id ? delete (c, seen.id) : finish(c, NULL);
        if (seen.id)
                return finish(c, NULL); /* ours, from before */
        if (seen.other[0])
                return in_the_way(c, &seen);
        if (!c->place)
                return create(c);
        CLEANUP(free_p) char *handle = handle_of(c);
        if (handle)
                return c->place(c->arg, handle, dns_name_equal(c->owner, c->proof.place)); /* then go_on */
        err_memory(&e);
        finish(c, &e);
}

static void list(struct publish_call *c)
{
        struct err e;
        char sub[256];
        CLEANUP(json_decref_p) json_t *o = parameters(c);
        json_put_text(
                o, "Subdomain", sub_domain(c, sub)); /* the older spelling, which some accounts' API still takes */
        json_put_text(o, "ErrorOnEmpty", "no");
        json_put_i64(o, "Limit", LIST_MAX);
        c->call = tencent_start(c->p->api, "DescribeRecordList", o, false, listed, c, &e);
        if (!c->call)
                finish(c, &e);
}

/* ---- the zone ---- */

static void in_zone(struct publish_call *c, const char *owner, const char *zone, const struct err *err)
{
        struct err e;
        if (err) {
                e = *err;
                return finish(c, &e);
        }
        if (!alias_zone_is_ours(owner, zone, &e))
                return finish(c, c->add ? &e : NULL); /* nor can anything be there */
        char *owner_copy = text_dup(owner), *zone_copy = text_dup(zone);
        free(c->owner);
        free(c->zone);
        c->owner = owner_copy ? owner_copy : calloc(1, 1);
        c->zone = zone_copy;
        if (owner_copy && zone_copy)
                return list(c);
        err_memory(&e);
        finish(c, &e);
}

static void followed(void *arg, const char *owner, const char *zone, const char *primary, const struct err *err)
{
        struct publish_call *c = arg;
        (void)primary;
        c->follow = NULL;
        in_zone(c, owner, zone, err);
}

static void zone_found(void *arg, const struct zone_cut *cut, const struct err *err)
{
        struct publish_call *c = arg;
        c->find = NULL;
        CLEANUP(free_p) char *owner = text_dup(c->owner);
        in_zone(c, owner, err ? NULL : cut->zone, err);
}

static void begin(void *arg)
{
        struct publish_call *c = arg;
        struct err e;
        c->begin = NULL;
        if (c->zone) /* a withdrawal: the handle knows */
                return list(c);
        if (c->proof.type == PROOF_TXT)
                c->follow = alias_follow_start(c->p->env.propagation, c->owner, followed, c, &e);
        else
                c->find = zone_find_start(c->p->env.propagation, c->owner, zone_found, c, &e);
        if (!c->follow && !c->find)
                finish(c, &e);
}

static bool read_handle(struct publish_call *c, const char *handle)
{
        const char *space = handle ? strchr(handle, ' ') : NULL;
        c->owner = text_dup(space ? space + 1 : c->proof.place);
        c->zone = space ? text_dup_n(handle, (size_t)(space - handle)) : NULL;
        return c->owner && (!space || c->zone);
}

static struct publish_call *start(struct publisher *p, const struct proof *proof, bool add, const char *handle,
        publish_done_fn *done, void *arg, struct err *e)
{
        struct publish_call *c = calloc(1, sizeof *c);
        if (!c) {
                err_memory(e);
                return NULL;
        }
        *c = (struct publish_call){ .p = p, .done = done, .arg = arg, .add = add, .next = p->first, .at = &p->first };
        if (c->next)
                c->next->at = &c->next;
        p->first = c;
        if (proof_copy(&c->proof, proof) && read_handle(c, handle) && (c->begin = loop_defer(p->env.loop, begin, c)))
                return c;
        call_free(c);
        err_memory(e);
        return NULL;
}

static struct publish_call *publish(struct publisher *p, const struct proof *proof, publish_place_fn *place,
        publish_done_fn *done, void *arg, struct err *e)
{
        struct publish_call *c = start(p, proof, true, NULL, done, arg, e);
        if (c)
                c->place = place;
        return c;
}

static void go_on(struct publisher *p, struct publish_call *c)
{
        (void)p;
        create(c);
}

static struct publish_call *retract(struct publisher *p, const struct proof *proof, const char *handle,
        publish_done_fn *done, void *arg, struct err *e)
{
        return start(p, proof, false, handle, done, arg, e);
}

static void cancel(struct publisher *p, struct publish_call *c)
{
        (void)p;
        call_free(c);
}

/* ---- life and settings ---- */

static void close_publisher(struct publisher *p)
{
        while (p->first)
                call_free(p->first);
        tencent_api_close(p->api);
        free(p->name);
        free(p);
}

static bool open_publisher(
        struct publisher **ret, const struct publisher_env *env, const char *name, const void *conf, struct err *e)
{
        const struct dnspod_conf *c = conf;
        struct publisher *p = calloc(1, sizeof *p);
        if (!p || !(p->name = text_dup(name))) {
                free(p);
                return err_memory(e);
        }
        p->env = *env;
        p->ttl = c->ttl;
        const struct tencent_api_conf api = { .endpoint = c->endpoint,
                .service = "dnspod",
                .version = "2021-03-23",
                .secret_id = &c->secret_id,
                .secret_key = &c->secret_key,
                .token = &c->token,
                .name = p->name,
                .ca_bundle = c->ca_bundle };
        if (!tencent_api_open(&p->api, env->loop, env->http, &api, e)) {
                free(p->name);
                free(p);
                return false;
        }
        *ret = p;
        return true;
}

extern const struct publisher_ops publisher_dnspod;
const struct publisher_ops publisher_dnspod = { .type = "dnspod",
        .can = PROOF_TXT | PROOF_CNAME,
        .keys = dnspod_keys,
        .conf_size = sizeof(struct dnspod_conf),
        .check = dnspod_check,
        .open = open_publisher,
        .close = close_publisher,
        .publish = publish,
        .go_on = go_on,
        .retract = retract,
        .cancel = cancel };
