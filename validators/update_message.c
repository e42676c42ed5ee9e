/* The message of a dynamic update, with ldns, which owns no socket. */
#include <ldns/ldns.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/util.h"
#include "validators/update_message.h"

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
static ldns_rr *our_record(const struct update *u)
{
        bool txt = u->type == PROOF_TXT;
        ldns_rr *rr = make_rr(u->owner, txt ? LDNS_RR_TYPE_TXT : LDNS_RR_TYPE_CNAME,
                u->add ? LDNS_RR_CLASS_IN : LDNS_RR_CLASS_NONE, u->add ? u->ttl : 0);
        ldns_rdf *target = rr && !txt ? ldns_dname_new_frm_str(u->value) : NULL;
        if (rr && (txt ? push_txt(rr, u->value) : target && ldns_rr_push_rdf(rr, target)))
                return rr;
        ldns_rr_free(rr);
        return NULL;
}

/* TXT: no alias at the name (it would be ignored silently, section 3.4.2.2). CNAME: the name is not in use. */
static bool push_condition(const struct update *u, ldns_rr_list *conditions)
{
        bool txt = u->type == PROOF_TXT;
        ldns_rr *rr =
                u->add ? make_rr(u->owner, txt ? LDNS_RR_TYPE_CNAME : LDNS_RR_TYPE_ANY, LDNS_RR_CLASS_NONE, 0) : NULL;
        return !u->add || (rr && ldns_rr_list_push_rr(conditions, rr));
}

bool update_message(const struct update *u, uint16_t *ret_id, uint8_t **ret, size_t *ret_len, struct err *e)
{
        uint8_t *wire = NULL;
        size_t len = 0;
        ldns_rr_list *conditions = ldns_rr_list_new(), *updates = ldns_rr_list_new();
        ldns_rdf *zone = ldns_dname_new_frm_str(u->zone);
        ldns_rr *ours = our_record(u);
        ldns_pkt *packet = NULL;
        bool good = conditions && updates && zone && ours && push_condition(u, conditions);
        if (u->trial)
                ldns_rr_free(ours);
        else
                good = good && ldns_rr_list_push_rr(updates, ours);
        if (good)
                packet = ldns_update_pkt_new(zone, LDNS_RR_CLASS_IN, conditions, updates, NULL);
        else
                ldns_rdf_deep_free(zone);
        *ret_id = (uint16_t)random_u64();
        if (packet) {
                ldns_pkt_set_id(packet, *ret_id);
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
