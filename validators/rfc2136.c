/* rfc2136: dynamic updates (RFC 2136) over TCP, signed with TSIG (RFC 8945), at Knot, BIND, NSD's primary, PowerDNS and
 * the like. Built with ldns, which owns no socket. TXT adds one record and leaves others alone; CNAME needs the name to
 * be free. A withdrawal deletes exactly our record. Limits: 10 s an exchange, one repeat when the answer is lost
 * (adding and deleting exactly one record are idempotent). What it may call: dns (look-ups), propagation (the zone),
 * the loop. */
#include <ldns/ldns.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "agent/net/dns.h"
#include "agent/net/loop.h"
#include "config/schema.h"
#include "validators/dns_exchange.h"
#include "validators/propagation.h"
#include "validators/publisher.h"
#include "validators/tsig.h"

#define EXCHANGE_MS 10000
#define PORT 53

struct tsig_conf {
        char *name;
        int algorithm;
        struct secret_ref secret;
};
struct rfc2136_conf {
        char *server, *zone;
        struct tsig_conf tsig;
        int64_t ttl;
};
static const struct conf_key tsig_keys[] = {
        { .name = "name", .type = CONF_TEXT, .offset = offsetof(struct tsig_conf, name), .required = true },
        { .name = "algorithm",
                .type = CONF_WORD,
                .offset = offsetof(struct tsig_conf, algorithm),
                .words = tsig_algorithms,
                .otherwise = "hmac-sha256" },
        { .name = "secret", .type = CONF_SECRET, .offset = offsetof(struct tsig_conf, secret), .required = true },
        { 0 },
};
static const struct conf_key keys[] = {
        { .name = "server", .type = CONF_TEXT, .offset = offsetof(struct rfc2136_conf, server) },
        { .name = "zone", .type = CONF_TEXT, .offset = offsetof(struct rfc2136_conf, zone) },
        { .name = "tsig", .type = CONF_STRUCT, .offset = offsetof(struct rfc2136_conf, tsig), .sub = tsig_keys },
        { .name = "ttl",
                .type = CONF_INT,
                .offset = offsetof(struct rfc2136_conf, ttl),
                .otherwise = "60",
                .min = 1,
                .max = 604800 },
        { 0 },
};

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
        publish_done_fn *done;
        void *arg;
        struct proof proof;
        bool add, repeated;
        char *zone, *host; /* host: of the server, to be looked up */
        struct address server;
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
        zone_find_cancel(c->find);
        dns_lookup_cancel(c->lookup);
        dns_cancel(c->query);
        dns_exchange_cancel(c->exchange);
        loop_undefer(c->p->env.loop, c->begin);
        proof_done(&c->proof);
        free(c->zone);
        free(c->host);
        free(c);
}

static void finish(struct publish_call *c, const struct err *err)
{
        publish_done_fn *done = c->done;
        void *arg = c->arg;
        struct err e;
        CLEANUP(free_p) char *handle = text_dup(c->zone ? c->zone : "");
        if (err) {
                e = *err;
                err_wrap(&e, "%s %s", c->add ? "publishing" : "withdrawing", c->proof.place);
        }
        call_free(c);
        done(arg, err ? NULL : handle, err ? &e : NULL);
}

/* ---- building, with ldns ---- */

static ldns_rdf *txt_string(const char *data, size_t len)
{
        uint8_t bytes[256];
        bytes[0] = (uint8_t)len;
        memcpy(bytes + 1, data, len);
        return ldns_rdf_new_frm_data(LDNS_RDF_TYPE_STR, len + 1, bytes);
}

static bool push_txt(ldns_rr *rr, const char *value)
{
        for (size_t len = strlen(value), at = 0; at < len; at += 255)
                if (!ldns_rr_push_rdf(rr, txt_string(value + at, MIN(len - at, (size_t)255))))
                        return false;
        return true;
}

static ldns_rr *make_rr(const char *owner, ldns_rr_type type, ldns_rr_class class, uint32_t ttl)
{
        ldns_rr *rr = ldns_rr_new();
        ldns_rdf *name = ldns_dname_new_frm_str(owner);
        if (!rr || !name) {
                ldns_rr_free(rr);
                ldns_rdf_deep_free(name);
                return NULL;
        }
        ldns_rr_set_owner(rr, name);
        ldns_rr_set_type(rr, type);
        ldns_rr_set_class(rr, class);
        ldns_rr_set_ttl(rr, ttl);
        return rr;
}

/* Our record: class IN to add, NONE with TTL 0 to delete exactly it (RFC 2136 section 2.5.4). */
static ldns_rr *our_record(const struct publish_call *c)
{
        bool txt = c->proof.type == PROOF_TXT;
        ldns_rr *rr = make_rr(c->proof.place, txt ? LDNS_RR_TYPE_TXT : LDNS_RR_TYPE_CNAME,
                c->add ? LDNS_RR_CLASS_IN : LDNS_RR_CLASS_NONE, c->add ? (uint32_t)c->p->ttl : 0);
        ldns_rdf *target = rr && !txt ? ldns_dname_new_frm_str(c->proof.value) : NULL;
        if (rr && (txt ? push_txt(rr, c->proof.value) : target && ldns_rr_push_rdf(rr, target)))
                return rr;
        ldns_rr_free(rr);
        return NULL;
}

/* TXT: no alias at the name (it would be ignored silently, section 3.4.2.2). CNAME: the name is not in use. */
static bool push_condition(const struct publish_call *c, ldns_rr_list *conditions)
{
        bool txt = c->proof.type == PROOF_TXT;
        ldns_rr *rr = c->add
                ? make_rr(c->proof.place, txt ? LDNS_RR_TYPE_CNAME : LDNS_RR_TYPE_ANY, LDNS_RR_CLASS_NONE, 0)
                : NULL;
        return !c->add || (rr && ldns_rr_list_push_rr(conditions, rr));
}

static bool build(struct publish_call *c, uint8_t **ret, size_t *ret_len, struct err *e)
{
        uint8_t *wire = NULL;
        size_t len = 0;
        ldns_rr_list *conditions = ldns_rr_list_new(), *updates = ldns_rr_list_new();
        ldns_rdf *zone = ldns_dname_new_frm_str(c->zone);
        ldns_rr *ours = our_record(c);
        ldns_pkt *packet = NULL;
        bool good = conditions && updates && zone && ours && ldns_rr_list_push_rr(updates, ours) &&
                push_condition(c, conditions);
        if (good)
                packet = ldns_update_pkt_new(zone, LDNS_RR_CLASS_IN, conditions, updates, NULL);
        else
                ldns_rdf_deep_free(zone);
        c->id = (uint16_t)random_u64();
        if (packet) {
                ldns_pkt_set_id(packet, c->id);
                good = ldns_pkt2wire(&wire, packet, &len) == LDNS_STATUS_OK;
        }
        ldns_pkt_free(packet);
        ldns_rr_list_deep_free(conditions);
        ldns_rr_list_deep_free(updates);
        if (!good || !packet)
                return err_set(e, ERR_TEMPORARY, "update.build", "the update cannot be built");
        *ret = wire;
        *ret_len = len;
        return true;
}

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

static void look_at_owner(void *arg, const struct dns_answer *a)
{
        struct publish_call *c = arg;
        struct err e;
        char target[DNS_NAME_TEXT] = "";
        c->query = NULL;
        for (size_t i = 0; a->outcome == DNS_ANSWERED && i < a->message->rr_count; i++) {
                const struct dns_rr *rr = &a->message->rr[i];
                if (rr->section == DNS_ANSWER && dns_name_equal(rr->owner, c->proof.place) &&
                        dns_rr_name(a->message, rr, target))
                        break;
        }
        if (c->proof.type == PROOF_CNAME && target[0] && dns_name_equal(target, c->proof.value))
                return finish(c, NULL); /* ours, from before */
        if (target[0])
                err_set(&e, ERR_RULE, "token.foreign", "%s is an alias for %s, which is not ours and stays",
                        c->proof.place, target);
        else
                err_set(&e, ERR_RULE, "token.foreign", "%s has other records, which are not ours and stay",
                        c->proof.place);
        err_fix(&e, "remove them, or let that name be answered by another publisher");
        finish(c, &e);
}

static void in_the_way(struct publish_call *c)
{
        struct err e;
        c->query = dns_ask_any(c->p->env.dns, &c->server, c->proof.place, DNS_CNAME, 0, look_at_owner, c, &e);
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
                err_set(e, ERR_DENIED, "update.NOTZONE", "%s is outside zone %s at %s (NOTZONE)", c->proof.place,
                        c->zone, server);
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

static void send_update(struct publish_call *c)
{
        struct err e;
        struct secret key = { 0 };
        uint8_t *wire = NULL;
        size_t len = 0;
        bool good = build(c, &wire, &len, &e);
        if (good && c->p->key_name) {
                struct tsig_key k = { c->p->key_name, c->p->algorithm, &key };
                good = load_key(c->p, &key, &e) && tsig_sign(&wire, &len, &k, clock_now_s(), c->mac, &c->mac_len, &e);
                secret_done(&key);
        }
        if (good)
                c->exchange = dns_exchange_start(c->p->env.loop, &c->server, wire, len, EXCHANGE_MS, exchanged, c, &e);
        free(wire);
        if (!c->exchange)
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
        uint16_t port = c->server.port;
        c->server = list[0];
        c->server.port = port;
        send_update(c);
}

static void find_server(struct publish_call *c, const char *primary)
{
        struct err e;
        const char *server = c->p->server ? c->p->server : primary;
        if (address_parse(server, PORT, &c->server))
                return send_update(c);
        c->server.port = PORT;
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

static void zone_found(void *arg, const struct zone_cut *cut, const struct err *err)
{
        struct publish_call *c = arg;
        struct err e;
        c->find = NULL;
        if (err) {
                e = *err;
                return finish(c, &e);
        }
        c->zone = text_dup(cut->zone);
        if (!c->zone) {
                err_memory(&e);
                return finish(c, &e);
        }
        find_server(c, cut->primary);
}

static void begin(void *arg)
{
        struct publish_call *c = arg;
        struct err e;
        c->begin = NULL;
        if (c->p->zone && c->p->server) {
                c->zone = text_dup(c->p->zone);
                if (c->zone)
                        return find_server(c, NULL);
                err_memory(&e);
                return finish(c, &e);
        }
        c->find = zone_find_start(c->p->env.propagation, c->proof.place, zone_found, c, &e);
        if (!c->find)
                finish(c, &e);
}

/* ---- the contract ---- */

static struct publish_call *start(
        struct publisher *p, const struct proof *proof, bool add, publish_done_fn *done, void *arg, struct err *e)
{
        struct publish_call *c = calloc(1, sizeof *c);
        if (!c || !proof_copy(&c->proof, proof) || !(c->begin = loop_defer(p->env.loop, begin, c))) {
                if (c)
                        proof_done(&c->proof);
                free(c);
                err_memory(e);
                return NULL;
        }
        c->p = p;
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

static struct publish_call *publish(
        struct publisher *p, const struct proof *proof, publish_done_fn *done, void *arg, struct err *e)
{
        return start(p, proof, true, done, arg, e);
}

static struct publish_call *retract(struct publisher *p, const struct proof *proof, const char *handle,
        publish_done_fn *done, void *arg, struct err *e)
{
        struct publish_call *c = start(p, proof, false, done, arg, e);
        (void)handle; /* the zone is found again: it may have been cut since */
        return c;
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

extern const struct publisher_ops publisher_rfc2136;
const struct publisher_ops publisher_rfc2136 = { .type = "rfc2136",
        .can = PROOF_TXT | PROOF_CNAME,
        .keys = keys,
        .conf_size = sizeof(struct rfc2136_conf),
        .open = open_publisher,
        .close = close_publisher,
        .publish = publish,
        .retract = retract,
        .cancel = cancel };
