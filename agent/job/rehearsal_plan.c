/* What a rehearsal publishes: for every name and CA the record or file an order would want, with a value of our own. */
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/job/rehearsal.h"

#define FILE_FOLDER "/.well-known/pki-validation/"
#define DNS_LABEL "_dnsauth"

void probe_plan_done(struct probe_plan *p)
{
        free(p->ca);
        free(p->publisher);
        proof_done(&p->proof);
}

void rehearsal_plan_done(struct rehearsal_plan *p)
{
        for (size_t i = 0; i < p->count; i++)
                probe_plan_done(&p->item[i]);
        free(p->item);
        *p = (struct rehearsal_plan){ 0 };
}

/* Where the last order of this name went: {type, place, path}. */
static bool last_row(void *arg, const struct store_row *row)
{
        struct proof *p = arg;
        if (!proof_type_from_name(row_text(row, 0), &p->type))
                return false;
        p->place = text_dup(row_text(row, 1));
        p->path = text_dup(row_text(row, 2));
        return false;
}

/* A CA that names its place only with an order: the place of the last one. What other CAs asked for is told apart by
 * their label and folder. */
static bool last_place(struct engine *g, const char *cert, const char *name, bool file, struct proof *ret)
{
        struct err e;
        struct proof p = { 0 };
        bool found = store_query(g->store,
                             "SELECT type, place, path FROM token WHERE cert=? AND name=? AND probe=0 AND "
                             "(type='FILE')=? AND place NOT LIKE '\\_acme-challenge.%' ESCAPE '\\' AND "
                             "coalesce(path,'') NOT LIKE '/.well-known/acme-challenge/%' ORDER BY id DESC LIMIT 1",
                             "tti", last_row, &p, &e, cert, name, (int64_t)file) &&
                p.place;
        if (found && file && !p.path)
                found = false;
        if (!found) {
                proof_done(&p);
                return false;
        }
        ret->type = p.type;
        ret->place = p.place;
        ret->path = p.path;
        return true;
}

static bool fill_file(const struct backend_ca *ca, const char *name, const char *random, struct proof *p)
{
        bool named = ca->ops->file_folder != NULL;
        if (p->path) { /* of the last order: its folder stays */
                char *slash = strrchr(p->path, '/');
                slash[1] = '\0';
        }
        CLEANUP(free_p) char *folder = p->path ? STEAL(p->path) : text_dup(named ? ca->ops->file_folder : FILE_FOLDER);
        p->type = PROOF_FILE;
        if (!p->place)
                p->place = text_dup(name);
        p->path = folder ? text_format("%sdcvd-rehearsal-%s%s", folder, random, named ? "" : ".txt") : NULL;
        p->value = text_format("dcvd-rehearsal-%s", random);
        return p->place && p->path && p->value;
}

static bool fill_dns(const struct backend_ca *ca, const char *name, const char *random, struct proof *p)
{
        if (!p->place) {
                p->type = PROOF_TXT;
                p->place = text_format("%s.%s", ca->ops->dns_label ? ca->ops->dns_label : DNS_LABEL, name);
        }
        p->value = text_format(p->type == PROOF_CNAME ? "dcvd-rehearsal-%s.invalid" : "dcvd-rehearsal-%s", random);
        return p->place && p->value;
}

static struct probe_plan *add(struct rehearsal_plan *plan, const char *ca, const char *publisher, const char *name)
{
        struct probe_plan *more = realloc(plan->item, (plan->count + 1) * sizeof *more);
        if (!more)
                return NULL;
        plan->item = more;
        struct probe_plan *p = &more[plan->count++];
        *p = (struct probe_plan){ .ca = text_dup(ca), .publisher = text_dup(publisher) };
        p->proof.name = text_dup(name);
        return p->ca && p->proof.name && (!publisher || p->publisher) ? p : NULL;
}

/* What a person must do cannot be rehearsed, nor what the CA does by itself. */
static void judge(struct engine *g, struct probe_plan *p, enum conf_validation validation)
{
        struct backend_publisher *b = p->publisher ? engine_publisher(g, p->publisher) : NULL;
        if (validation == VALIDATION_DNS_AUTO)
                err_set(&p->why_not, ERR_RULE, "rehearse.dns-auto",
                        "%s: the CA writes the record in its own DNS; there is nothing of ours to rehearse",
                        p->proof.name);
        else if (validation == VALIDATION_TLS_ALPN)
                err_set(&p->why_not, ERR_RULE, "rehearse.tls-alpn",
                        "%s: tls-alpn publishes neither a record nor a file that could be rehearsed", p->proof.name);
        else if (!b)
                err_set(&p->why_not, ERR_CONFIG, "publisher.none", "no publisher is configured for %s", p->proof.name);
        else if (b->ops->by_person) {
                err_set(&p->why_not, ERR_RULE, "rehearse.manual",
                        "%s is published by a person (publisher %s): a probe would have to be put there by hand",
                        p->proof.name, p->publisher);
                err_fix(&p->why_not, "dcvctl check looks at the zone and the servers without a probe");
        } else if (!(b->ops->can & (unsigned)p->proof.type))
                err_set(&p->why_not, ERR_CONFIG, "publisher.cannot", "publisher %s cannot publish %s for %s",
                        p->publisher, proof_type_name((int)p->proof.type), p->proof.name);
        else
                (void)proof_check(&p->proof, &p->why_not);
}

static void random_text(char ret[17])
{
        uint64_t r = random_u64();
        hex_encode(ret, &r, sizeof r);
}

static bool plan_name(
        struct engine *g, const struct conf_cert *policy, size_t index, const char *name, struct rehearsal_plan *plan)
{
        char random[17];
        const char *base = text_starts(name, "*.") ? name + 2 : name;
        struct backend_ca *ca = engine_ca(g, policy->ca[index].ca);
        enum conf_validation validation = policy_validation(policy, index);
        struct probe_plan *p = add(plan, policy->ca[index].ca, policy_publisher(policy, index, name), base);
        if (!p)
                return false;
        random_text(random);
        if (!ca)
                return err_set(&p->why_not, ERR_CONFIG, "ca.gone", "CA %s is no longer in the configuration",
                               policy->ca[index].ca) ||
                        true;
        bool file = validation == VALIDATION_FILE;
        p->predicted = file ? !ca->ops->file_folder : !ca->ops->dns_label;
        if (p->predicted)
                (void)last_place(g, policy->name, base, file, &p->proof);
        if (!(file ? fill_file : fill_dns)(ca, base, random, &p->proof))
                return false;
        judge(g, p, validation);
        return true;
}

/* Two CAs that want the same place by the same publisher are one rehearsal; two names of one order (www and *.www) are
 * two values at one place. */
static bool is_known(const struct rehearsal_plan *plan, size_t before, const struct probe_plan *p)
{
        for (size_t i = 0; i < before; i++) {
                const struct probe_plan *o = &plan->item[i];
                size_t folder = p->proof.path ? (size_t)(strrchr(p->proof.path, '/') - p->proof.path) : 0;
                if (o->label || o->why_not.kind != p->why_not.kind || o->proof.type != p->proof.type ||
                        !o->proof.place || !p->proof.place || strcmp(o->proof.place, p->proof.place) != 0 ||
                        !o->publisher != !p->publisher || (p->publisher && strcmp(o->publisher, p->publisher) != 0))
                        continue;
                if (!folder || (o->proof.path && strncmp(o->proof.path, p->proof.path, folder + 1) == 0))
                        return true;
        }
        return false;
}

static void drop_known(struct rehearsal_plan *plan, size_t before)
{
        size_t kept = before;
        for (size_t i = before; i < plan->count; i++)
                if (is_known(plan, before, &plan->item[i]))
                        probe_plan_done(&plan->item[i]);
                else
                        plan->item[kept++] = plan->item[i];
        plan->count = kept;
}

/* One per publisher of records: under the name of the first probe it publishes. */
static bool add_labels(struct rehearsal_plan *plan)
{
        size_t count = plan->count;
        for (size_t i = 0; i < count; i++) {
                char random[17], label[17];
                bool known = plan->item[i].why_not.kind != ERR_NONE || plan->item[i].proof.type == PROOF_FILE;
                for (size_t k = count; k < plan->count && !known; k++)
                        known = strcmp(plan->item[k].publisher, plan->item[i].publisher) == 0;
                if (known)
                        continue;
                struct probe_plan *p = add(plan, plan->item[i].ca, plan->item[i].publisher, plan->item[i].proof.name);
                if (!p)
                        return false;
                random_text(random);
                random_text(label);
                p->label = true;
                p->proof.type = PROOF_TXT;
                p->proof.place = text_format("_dcvd-%s.%s", label, p->proof.name);
                p->proof.value = text_format("dcvd-rehearsal-%s", random);
                if (!p->proof.place || !p->proof.value)
                        return false;
                (void)proof_check(&p->proof, &p->why_not); /* a very long name has no room for it */
        }
        return true;
}

bool rehearsal_plan_make(struct engine *g, const struct conf_cert *policy, size_t ca_index, bool labels,
        struct rehearsal_plan *ret, struct err *e)
{
        struct rehearsal_plan plan = { 0 };
        for (size_t i = 0; i < policy->ca_count; i++) {
                if (ca_index != ALL_CAS && ca_index != i)
                        continue;
                size_t before = plan.count;
                for (size_t k = 0; k < policy->names.count; k++)
                        if (!plan_name(g, policy, i, policy->names.item[k], &plan))
                                goto failed;
                drop_known(&plan, before);
        }
        if (labels && !add_labels(&plan))
                goto failed;
        *ret = plan;
        return true;
failed:
        rehearsal_plan_done(&plan);
        return err_memory(e);
}

json_t *probe_plan_json(const struct probe_plan *p)
{
        json_t *o = json_object();
        char place[300] = "";
        if (p->proof.place)
                proof_text(&p->proof, place, sizeof place);
        json_put_text(o, "ca", p->ca);
        json_put_text(o, "name", p->proof.name);
        json_put_text(o, "publisher", p->publisher);
        json_put_text(o, "token", place);
        json_put_bool(o, "predicted", p->predicted);
        json_put_bool(o, "for_resolvers", p->label);
        return o;
}
