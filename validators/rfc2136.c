/* rfc2136: dynamic updates (RFC 2136) over TCP, signed with TSIG (RFC 8945), at Knot, BIND, NSD's primary, PowerDNS and
 * the like. TXT adds one record and leaves others alone; CNAME needs the name to be free. Where the name is an alias, a
 * TXT goes to its end, which may be another zone of that server; the handle says where it goes: "ZONE OWNER". A
 * withdrawal deletes exactly our record. Limits: 10 s an exchange, one repeat when the answer is lost (adding and
 * deleting exactly one record are idempotent). What it may call: dns (look-ups), propagation (the zone), the loop. */
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/net/dns.h"
#include "agent/net/dns_message.h"
#include "agent/net/loop.h"
#include "config/schema.h"
#include "config/yaml.h"
#include "validators/alias.h"
#include "validators/dns_exchange.h"
#include "validators/propagation.h"
#include "validators/publisher.h"
#include "validators/rfc2136.h"
#include "validators/tsig.h"
#include "validators/update_message.h"

#define EXCHANGE_MS 10000
struct publisher {
        struct publisher_env env;
        char *name, *server, *zone, *key_name;
        const char *algorithm;
        struct secret_ref secret;
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
        bool add, repeated, owner_known;
        bool trial; /* the conditions alone, no update: who may not, is told so */
        char *owner; /* the proof's place, or where its alias leads */
        char *zone, *host; /* host: of the server, to be looked up */
        struct address server, *others; /* others: of the same host, tried when server cannot be reached */
        size_t other_count;
        struct alias_follow *follow;
        struct zone_find *find;
        struct dns_lookup *lookup;
        struct dns_query *query;
        struct dns_exchange *exchange;
        struct deferred *begin;
        uint16_t id;
        uint8_t mac[TSIG_MAC_MAX];
        size_t mac_len;
};

/* ---- ends ---- */

static void call_free(struct publish_call *c)
{
        *c->at = c->next;
        if (c->next)
                c->next->at = c->at;
        alias_follow_cancel(c->follow);
        zone_find_cancel(c->find);
        dns_lookup_cancel(c->lookup);
        dns_cancel(c->query);
        dns_exchange_cancel(c->exchange);
        loop_undefer(c->p->env.loop, c->begin);
        proof_done(&c->proof);
        free(c->owner);
        free(c->zone);
        free(c->host);
        free(c->others);
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
                bool alias = !dns_name_equal(c->owner, c->proof.place);
                e = *err;
                if (c->add && !c->trial && c->repeated)
                        e.kind = ERR_UNKNOWN; /* whatever came of the repetition */
                err_wrap(&e, "%s %s%s%s",
                        c->trial         ? "trying"
                                : c->add ? "publishing"
                                         : "withdrawing",
                        c->proof.place, alias ? ", an alias for " : "", alias ? c->owner : "");
        }
        call_free(c);
        done(arg, err ? NULL : handle, err ? &e : NULL);
}

/* ---- signing ---- */

static bool load_key(const struct publisher *p, struct secret *ret, struct err *e)
{
        struct secret text = { 0 };
        uint8_t *raw = NULL;
        size_t len = 0;
        if (!secret_load(&p->secret, &text, e))
                return err_wrap(e, "TSIG key %s", p->key_name);
        bool good = base64_decode((const char *)text.data, text.len, &raw, &len) && len > 0;
        secret_done(&text);
        if (!good)
                err_set(e, ERR_CONFIG, "tsig.secret", "the secret of TSIG key %s is not base64", p->key_name);
        else
                good = secret_set(ret, raw, len, e);
        if (raw)
                wipe(raw, len);
        free(raw);
        return good;
}

/* ---- sending and reading the answer ---- */

static void send_update(struct publish_call *c);

/* An address that cannot be reached is no reason to give up a host that has others. */
static bool take_next(struct publish_call *c, const struct err *why)
{
        uint16_t port = c->server.port;
        if (c->other_count == 0 || (why && strcmp(why->code, "update.connect") != 0))
                return false;
        c->server = c->others[0];
        c->server.port = port;
        memmove(c->others, c->others + 1, --c->other_count * sizeof *c->others);
        return true;
}

static void look_at_owner(void *arg, const struct dns_answer *a)
{
        struct publish_call *c = arg;
        struct err e;
        char target[DNS_NAME_TEXT] = "";
        c->query = NULL;
        for (size_t i = 0; a->outcome == DNS_ANSWERED && i < a->message->rr_count; i++) {
                const struct dns_rr *rr = &a->message->rr[i];
                if (rr->section == DNS_ANSWER && dns_name_equal(rr->owner, c->owner) &&
                        dns_rr_name(a->message, rr, target))
                        break;
        }
        if (c->proof.type == PROOF_CNAME && target[0] && dns_name_equal(target, c->proof.value))
                return finish(c, NULL); /* ours, from before */
        if (target[0])
                err_set(&e, ERR_RULE, "token.foreign", "%s is an alias for %s, which is not ours and stays", c->owner,
                        target);
        else
                err_set(&e, ERR_RULE, "token.foreign", "%s has other records, which are not ours and stay", c->owner);
        err_fix(&e, "remove them, or let that name be answered by another publisher");
        finish(c, &e);
}

static void in_the_way(struct publish_call *c)
{
        struct err e;
        c->query = dns_ask_any(c->p->env.dns, &c->server, c->owner, DNS_CNAME, 0, look_at_owner, c, &e);
        if (!c->query)
                finish(c, &e);
}

static bool rcode_error(const struct publish_call *c, unsigned rcode, struct err *e)
{
        char server[ADDRESS_TEXT];
        address_text(&c->server, true, server);
        switch (rcode) {
        case 5:
                err_set(e, ERR_DENIED, "update.REFUSED", "name server %s refuses the update of zone %s (REFUSED)",
                        server, c->zone);
                return err_fix(e,
                        "allow TSIG key %s to update the zone there: Knot acl with action update, BIND update-policy",
                        c->p->key_name ? c->p->key_name : "(none)");
        case 9:
                err_set(e, ERR_DENIED, "update.NOTAUTH",
                        "name server %s is not the primary of zone %s, or does not know the key (NOTAUTH)", server,
                        c->zone);
                return err_fix(e, "give the primary's address as publishers.%s.server", c->p->name);
        case 10:
                err_set(e, ERR_DENIED, "update.NOTZONE", "%s is outside zone %s at %s (NOTZONE)", c->owner, c->zone,
                        server);
                return err_fix(e, "correct publishers.%s.zone", c->p->name);
        case 2:
                return err_set(e, ERR_TEMPORARY, "update.SERVFAIL",
                        "name server %s could not update zone %s (SERVFAIL)", server, c->zone);
        default:
                return err_set(e, ERR_DENIED, "update.rcode", "name server %s answers %s to the update of zone %s",
                        server, dns_rcode_name((uint16_t)rcode), c->zone);
        }
}

static bool check_answer(struct publish_call *c, const uint8_t *data, size_t len, struct err *e)
{
        struct secret key = { 0 };
        if (len < 12 || (data[0] << 8 | data[1]) != c->id || !(data[2] & 0x80) || (data[2] >> 3 & 15) != 5)
                return err_set(
                        e, ERR_PROTOCOL, "update.answer", "the name server's answer does not belong to the update");
        if (!c->p->key_name)
                return true;
        if (!load_key(c->p, &key, e))
                return false;
        struct tsig_key k = { c->p->key_name, c->p->algorithm, &key };
        bool good = tsig_verify(data, len, &k, clock_now_s(), c->mac, c->mac_len, e);
        secret_done(&key);
        return good;
}

static void exchanged(void *arg, const uint8_t *data, size_t len, const struct err *err)
{
        struct publish_call *c = arg;
        struct err e;
        c->exchange = NULL;
        if (err && err->kind == ERR_UNKNOWN && !c->repeated) {
                c->repeated = true; /* adding and deleting exactly one record may be done twice */
                return send_update(c);
        }
        if (err && take_next(c, err))
                return send_update(c);
        if (err) {
                e = *err;
                return finish(c, &e);
        }
        unsigned rcode = len >= 4 ? data[3] & 15 : 2;
        if (!check_answer(c, data, len, &e)) {
                /* Some servers refuse before they look at the signature, and answer unsigned: their refusal says more.
                 */
                if (strcmp(e.code, "tsig.absent") == 0 && rcode != 0)
                        rcode_error(c, rcode, &e);
                return finish(c, &e);
        }
        if (rcode == 6 || rcode == 7) /* YXDOMAIN, YXRRSET: the condition */
                return in_the_way(c);
        if (rcode != 0) {
                rcode_error(c, rcode, &e);
                return finish(c, &e);
        }
        finish(c, NULL);
}

static bool try_to_send(struct publish_call *c, struct err *e)
{
        struct secret key = { 0 };
        uint8_t *wire = NULL;
        size_t len = 0;
        struct update u = { c->zone, c->owner, c->proof.type, c->proof.value, (uint32_t)c->p->ttl, c->add, c->trial };
        bool good = update_message(&u, &c->id, &wire, &len, e);
        if (good && c->p->key_name) {
                struct tsig_key k = { c->p->key_name, c->p->algorithm, &key };
                good = load_key(c->p, &key, e) && tsig_sign(&wire, &len, &k, clock_now_s(), c->mac, &c->mac_len, e);
                secret_done(&key);
        }
        if (good)
                c->exchange = dns_exchange_start(c->p->env.loop, &c->server, wire, len, EXCHANGE_MS, exchanged, c, e);
        free(wire);
        return c->exchange != NULL;
}

static void send_update(struct publish_call *c)
{
        struct err e;
        while (!try_to_send(c, &e))
                if (!take_next(c, &e))
                        return finish(c, &e);
}

static void send_first(struct publish_call *c)
{
        if (!c->place)
                return send_update(c);
        CLEANUP(free_p) char *handle = handle_of(c);
        struct err e;
        if (handle)
                return c->place(c->arg, handle, dns_name_equal(c->owner, c->proof.place)); /* then go_on */
        err_memory(&e);
        finish(c, &e);
}

/* ---- finding zone and server ---- */

static void looked_up(void *arg, const struct address *list, size_t count, const struct err *err)
{
        struct publish_call *c = arg;
        struct err e;
        c->lookup = NULL;
        if (count == 0) {
                e = *err;
                err_wrap(&e, "name server %s", c->host);
                return finish(c, &e);
        }
        c->others = calloc(count, sizeof *c->others);
        if (!c->others) {
                err_memory(&e);
                return finish(c, &e);
        }
        memcpy(c->others, list, count * sizeof *list);
        c->other_count = count;
        (void)take_next(c, NULL);
        send_first(c);
}

static void find_server(struct publish_call *c, const char *primary)
{
        struct err e;
        const char *server = c->p->server ? c->p->server : primary;
        if (address_parse(server, RFC2136_PORT, &c->server))
                return send_first(c);
        c->server.port = RFC2136_PORT;
        if (strchr(server, ':')) {
                if (!hostport_split(server, &c->host, &c->server.port, &e))
                        return finish(c, &e);
        } else if (!(c->host = text_dup(server))) {
                err_memory(&e);
                return finish(c, &e);
        }
        c->lookup = dns_lookup(c->p->env.dns, c->host, looked_up, c, &e);
        if (!c->lookup)
                finish(c, &e);
}

/* The configured zone where it holds the name, else the one that was found. */
static void in_zone(struct publish_call *c, const char *found, const char *primary)
{
        struct err e;
        const char *zone = c->p->zone && (!found || dns_name_is_below(c->owner, c->p->zone)) ? c->p->zone : found;
        if (!alias_zone_is_ours(c->owner, zone, &e))
                return finish(c, c->add ? &e : NULL); /* nor can anything be there */
        c->zone = text_dup(zone);
        if (c->zone)
                return find_server(c, primary);
        err_memory(&e);
        finish(c, &e);
}

static void zone_found(void *arg, const struct zone_cut *cut, const struct err *err)
{
        struct publish_call *c = arg;
        c->find = NULL;
        if (!err)
                return in_zone(c, cut->zone, cut->primary);
        struct err e = *err;
        finish(c, &e);
}

static void followed(void *arg, const char *owner, const char *zone, const char *primary, const struct err *err)
{
        struct publish_call *c = arg;
        struct err e;
        c->follow = NULL;
        if (err && c->p->zone && c->p->server &&
                err->kind != ERR_CONFIG) /* the update's condition still finds an alias */
                return in_zone(c, NULL, NULL);
        if (err) {
                e = *err;
                return finish(c, &e);
        }
        char *copy = text_dup(owner);
        if (!copy) {
                err_memory(&e);
                return finish(c, &e);
        }
        free(c->owner);
        c->owner = copy;
        in_zone(c, zone, primary);
}

static void begin(void *arg)
{
        struct publish_call *c = arg;
        struct err e;
        c->begin = NULL;
        bool known = c->p->zone && c->p->server;
        if (!c->owner_known)
                c->follow = alias_follow_start(c->p->env.propagation, c->owner, followed, c, &e);
        else if (known && dns_name_is_below(c->owner, c->p->zone))
                return in_zone(c, NULL, NULL);
        else /* also to withdraw: the zone may have been cut since */
                c->find = zone_find_start(c->p->env.propagation, c->owner, zone_found, c, &e);
        if (!c->follow && !c->find)
                finish(c, &e);
}

/* ---- the contract ---- */

static struct publish_call *start(struct publisher *p, const struct proof *proof, const char *owner, bool add,
        publish_done_fn *done, void *arg, struct err *e)
{
        struct publish_call *c = calloc(1, sizeof *c);
        if (!c || !proof_copy(&c->proof, proof) || !(c->owner = text_dup(owner ? owner : proof->place)) ||
                !(c->begin = loop_defer(p->env.loop, begin, c))) {
                if (c) {
                        proof_done(&c->proof);
                        free(c->owner);
                }
                free(c);
                err_memory(e);
                return NULL;
        }
        c->p = p;
        c->owner_known = owner || proof->type != PROOF_TXT;
        c->done = done;
        c->arg = arg;
        c->add = add;
        c->next = p->first;
        c->at = &p->first;
        if (c->next)
                c->next->at = &c->next;
        p->first = c;
        return c;
}

static struct publish_call *publish(struct publisher *p, const struct proof *proof, publish_place_fn *place,
        publish_done_fn *done, void *arg, struct err *e)
{
        struct publish_call *c = start(p, proof, NULL, true, done, arg, e);
        if (c)
                c->place = place;
        return c;
}

static void go_on(struct publisher *p, struct publish_call *c)
{
        (void)p;
        send_update(c);
}

static struct publish_call *try_publish(
        struct publisher *p, const struct proof *proof, publish_done_fn *done, void *arg, struct err *e)
{
        struct publish_call *c = start(p, proof, NULL, true, done, arg, e);
        if (c)
                c->trial = true;
        return c;
}

static struct publish_call *retract(struct publisher *p, const struct proof *proof, const char *handle,
        publish_done_fn *done, void *arg, struct err *e)
{
        const char *space = handle ? strchr(handle, ' ') : NULL; /* none: no answer came, or an older build published */
        return start(p, proof, space ? space + 1 : NULL, false, done, arg, e);
}

static void cancel(struct publisher *p, struct publish_call *c)
{
        (void)p;
        call_free(c);
}

static void close_publisher(struct publisher *p)
{
        while (p->first)
                call_free(p->first);
        secret_ref_done(&p->secret);
        free(p->name);
        free(p->server);
        free(p->zone);
        free(p->key_name);
        free(p);
}

static bool open_publisher(
        struct publisher **ret, const struct publisher_env *env, const char *name, const void *conf, struct err *e)
{
        const struct rfc2136_conf *c = conf;
        struct publisher *p = calloc(1, sizeof *p);
        if (!p)
                return err_memory(e);
        p->env = *env;
        p->name = text_dup(name);
        p->server = text_dup(c->server);
        p->zone = text_dup(c->zone);
        p->key_name = text_dup(c->tsig.name);
        p->algorithm = tsig_algorithms[c->tsig.algorithm];
        p->ttl = c->ttl;
        bool good = p->name && (p->server || !c->server) && (p->zone || !c->zone) && (p->key_name || !c->tsig.name) &&
                (!c->tsig.name || secret_ref_copy(&p->secret, &c->tsig.secret));
        if (!good) {
                close_publisher(p);
                return err_memory(e);
        }
        *ret = p;
        return true;
}

static const char *configured_server(const void *conf)
{
        const struct rfc2136_conf *c = conf;
        return c->server;
}

extern const struct publisher_ops publisher_rfc2136;
const struct publisher_ops publisher_rfc2136 = { .type = "rfc2136",
        .can = PROOF_TXT | PROOF_CNAME,
        .keys = rfc2136_keys,
        .conf_size = sizeof(struct rfc2136_conf),
        .open = open_publisher,
        .close = close_publisher,
        .publish = publish,
        .go_on = go_on,
        .retract = retract,
        .server = configured_server,
        .cancel = cancel,
        .try = try_publish };
