#include "fake_ca.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "agent/base/clock.h"
#include "agent/base/util.h"
#include "agent/net/loop.h"

struct fake_ca fake_ca;

struct ca {
        struct loop *loop;
};
struct ca_call {
        struct deferred *deferred;
        void (*run)(struct ca_call *c);
        void *done, *arg;
        enum key_type key_type; /* inspect's */
        bool (*sending)(void *arg, struct err *e);
        void *sending_arg;
};

void fake_ca_reset(void)
{
        long serial = fake_ca.serial;
        memset(&fake_ca, 0, sizeof fake_ca);
        fake_ca.serial = serial;
}

void fake_ca_outlives(void)
{
        struct fake_ca *kept = malloc(sizeof *kept);
        memcpy(kept, &fake_ca, sizeof *kept);
        if (mmap(&fake_ca, sizeof fake_ca, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
                MAP_FAILED)
                abort();
        memcpy(&fake_ca, kept, sizeof *kept);
        free(kept);
}

static struct err take(struct err *e)
{
        struct err taken = *e;
        *e = (struct err){ 0 };
        return taken;
}

/* ---- issuing: a root made once, a leaf for the key of the CSR ---- */

static EVP_PKEY *root_key;
static X509 *root;

static X509 *make(const char *name, EVP_PKEY *key, bool ca, long serial)
{
        X509 *x = X509_new();
        X509_NAME *subject = X509_get_subject_name(x);
        X509_set_version(x, 2);
        ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
        X509_gmtime_adj(X509_getm_notBefore(x), ca ? -3600 : (long)fake_ca.ahead_s - 3600);
        X509_gmtime_adj(X509_getm_notAfter(x), 90L * 86400);
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
        X509_set_issuer_name(x, ca ? subject : X509_get_subject_name(root));
        X509_set_pubkey(x, key);
        X509V3_CTX ctx;
        X509V3_set_ctx(&ctx, ca ? x : root, x, NULL, NULL, 0);
        const struct {
                int nid;
                const char *value;
        } more[] = { { NID_basic_constraints, ca ? "critical,CA:TRUE" : "CA:FALSE" },
                { NID_subject_alt_name, ca ? NULL : "DNS:www.example.test" },
                { NID_key_usage, ca ? "critical,keyCertSign" : "critical,digitalSignature" } };
        for (size_t i = 0; i < ARRAY_LEN(more); i++) {
                X509_EXTENSION *e = more[i].value ? X509V3_EXT_conf_nid(NULL, &ctx, more[i].nid, more[i].value) : NULL;
                if (e)
                        X509_add_ext(x, e, -1);
                X509_EXTENSION_free(e);
        }
        X509_sign(x, root_key, EVP_sha256());
        return x;
}

static char *issue(void)
{
        if (!root) {
                root_key = EVP_EC_gen("P-256");
                root = make("Test Root", root_key, true, 1);
        }
        BIO *in = BIO_new_mem_buf(fake_ca.csr, -1), *out = BIO_new(BIO_s_mem());
        X509_REQ *req = PEM_read_bio_X509_REQ(in, NULL, NULL, NULL);
        EVP_PKEY *key = fake_ca.wrong_key || fake_ca.others_orders > 0 ? EVP_EC_gen("P-256") : X509_REQ_get_pubkey(req);
        fake_ca.others_orders -= fake_ca.others_orders > 0;
        X509 *leaf = make("www.example.test", key, false, 100 + ++fake_ca.serial);
        PEM_write_bio_X509(out, leaf);
        PEM_write_bio_X509(out, root);
        char *data = NULL;
        long len = BIO_get_mem_data(out, &data);
        char *pem = text_dup_n(data, (size_t)len);
        X509_free(leaf);
        EVP_PKEY_free(key);
        X509_REQ_free(req);
        BIO_free(in);
        BIO_free(out);
        return pem;
}

/* ---- calls ---- */

static void fire(void *arg)
{
        struct ca_call *c = arg;
        c->run(c);
        free(c);
}

static struct ca_call *later(struct ca *ca, void (*run)(struct ca_call *c), void *done, void *arg)
{
        struct ca_call *c = calloc(1, sizeof *c);
        c->run = run;
        c->done = done;
        c->arg = arg;
        c->deferred = loop_defer(ca->loop, fire, c);
        return c;
}

static void cancel(struct ca *ca, struct ca_call *c)
{
        loop_undefer(ca->loop, c->deferred);
        free(c);
}

static void inspect_run(struct ca_call *c)
{
        ca_subject_fn *done = (ca_subject_fn *)c->done;
        struct err e = take(&fake_ca.inspect_err);
        struct ca_subject s = { .id = "old",
                .common_name = (char *)"www.example.test",
                .key_type = c->key_type,
                .validation = VALIDATION_DNS,
                .validation_expected = true,
                .last_one = fake_ca.last_one,
                .organization = fake_ca.organization,
                .not_before_s = fake_ca.not_before_s,
                .not_after_s = fake_ca.not_after_s };
        fake_ca.inspects++;
        if (e.kind)
                return done(c->arg, NULL, &e);
        texts_add(&s.names, "www.example.test");
        if (fake_ca.exclusive[0])
                texts_add(&s.exclusive, fake_ca.exclusive);
        if (fake_ca.note[0])
                texts_add(&s.notes, fake_ca.note);
        if (fake_ca.open && !fake_ca.strangers)
                strcpy(s.resume_id, "new");
        if (fake_ca.newest_spki[0]) {
                strcpy(s.id, "new");
                strcpy(s.spki_hex, fake_ca.newest_spki);
                strcpy(s.cert_sha256, fake_ca.newest_sha256);
        }
        s.same_csr = fake_ca.insists_on_csr ||
                (fake_ca.waives && s.spki_hex[0] && strcmp(s.spki_hex, fake_ca.reuse_spki) == 0);
        done(c->arg, &s, fake_ca.refusal.kind ? &fake_ca.refusal : NULL);
        texts_done(&s.names);
        texts_done(&s.notes);
        texts_done(&s.exclusive);
}

static struct ca_call *inspect(
        struct ca *ca, const struct ca_subject_request *r, ca_subject_fn *done, void *arg, struct err *e)
{
        (void)e;
        char csr[65] = "";
        if (r->csr_pem)
                sha256_hex(r->csr_pem, strlen(r->csr_pem), csr);
        snprintf(fake_ca.told, sizeof fake_ca.told, "%s %d %d %s %s", r->names->item[0], r->validation, r->key_type,
                r->reuse_spki_hex ? r->reuse_spki_hex : "new", csr);
        snprintf(fake_ca.reuse_spki, sizeof fake_ca.reuse_spki, "%s", r->reuse_spki_hex ? r->reuse_spki_hex : "");
        struct ca_call *c = later(ca, inspect_run, (void *)done, arg);
        c->key_type = fake_ca.rule          ? fake_ca.rule
                : r->key_type != KEY_NONE   ? r->key_type
                : r->reuse_type != KEY_NONE ? r->reuse_type
                                            : KEY_EC_P256;
        if (fake_ca.inspect_hangs) {
                loop_undefer(ca->loop, c->deferred);
                c->deferred = NULL;
        }
        return c;
}

static void order_run(struct ca_call *c)
{
        ca_id_fn *done = (ca_id_fn *)c->done;
        struct err e = take(&fake_ca.order_err);
        struct err refused;
        if (c->sending && !c->sending(c->sending_arg, &refused))
                return done(c->arg, NULL, &refused);
        if (e.kind)
                return done(c->arg, NULL, &e);
        fake_ca.orders++;
        fake_ca.doubled = fake_ca.doubled || fake_ca.open;
        fake_ca.open = true;
        if (fake_ca.orders > 1 && fake_ca.failing_orders > 0) {
                fake_ca.failing_orders--;
                fake_ca.validated = false;
        }
        if (fake_ca.order_lost) {
                fake_ca.order_lost = false;
                err_set(&e, ERR_UNKNOWN, "lost", "the answer was lost");
                return done(c->arg, NULL, &e);
        }
        done(c->arg, "new", NULL);
}

static struct ca_call *order(struct ca *ca, const struct ca_order_request *r, ca_id_fn *done, void *arg, struct err *e)
{
        (void)e;
        fake_ca.original = r->same_csr;
        fake_ca.replaces = r->replaces_der != NULL;
        if (!r->same_csr)
                snprintf(fake_ca.csr, sizeof fake_ca.csr, "%s", r->csr_pem);
        struct ca_call *c = later(ca, order_run, (void *)done, arg);
        c->sending = r->sending;
        c->sending_arg = r->sending_arg;
        if (fake_ca.order_hangs && (!c->sending || c->sending(c->sending_arg, e))) {
                fake_ca.orders++;
                fake_ca.doubled = fake_ca.doubled || fake_ca.open;
                fake_ca.open = true;
        }
        if (fake_ca.order_hangs || fake_ca.order_reads) {
                loop_undefer(ca->loop, c->deferred);
                c->deferred = NULL;
        }
        return c;
}

static void resolve_run(struct ca_call *c)
{
        fake_ca.resolves++;
        ((ca_id_fn *)c->done)(c->arg, fake_ca.open ? "new" : NULL, NULL);
}

static struct ca_call *resolve(
        struct ca *ca, const struct ca_order_request *r, ca_id_fn *done, void *arg, struct err *e)
{
        (void)r;
        (void)e;
        return later(ca, resolve_run, (void *)done, arg);
}

static bool fake_ops_finalize(void);

static bool attach(struct ca *ca, const struct ca_held *h, struct err *e)
{
        (void)ca;
        (void)e;
        fake_ca.held_told = h->told;
        fake_ca.held_names = h->names->count;
        return true;
}

static void view_run(struct ca_call *c)
{
        ca_view_fn *done = (ca_view_fn *)c->done;
        struct err e = take(&fake_ca.view_err);
        char place[4][40];
        struct proof p[4];
        for (size_t i = 0; i < 4; i++) {
                snprintf(place[i], sizeof place[i], "_dnsauth.%swww.example.test",
                        i ? (const char *[]){ "", "a.", "b.", "c." }[i] : "");
                p[i] = (struct proof){ PROOF_TXT, (char *)"www.example.test", place[i], NULL, (char *)"20231115" };
        }
        struct ca_view v = { .poll_after_ms = 1, .state = "status 11", .deadline_s = fake_ca.deadline_s };
        fake_ca.views++;
        if (e.kind)
                return done(c->arg, NULL, &e);
        if (fake_ca.failing_orders > 0 && fake_ca.validated) {
                v.end = CA_END_FAILED;
                v.end_again = true;
                v.again_after_s = fake_ca.again_after_s;
                fake_ca.open = false;
                snprintf(v.end_reason, sizeof v.end_reason, "www.example.test: connection refused");
        } else if (fake_ca.closed) {
                v.end = CA_END_CLOSED;
        } else if (!fake_ca.validated) {
                v.validation_wanted = true;
                v.poll_after_ms = fake_ca.slow ? 60000 : 1;
                v.proof = fake_ca.late_proofs ? NULL : p;
                v.proof_count = fake_ca.late_proofs ? 0 : 1 + fake_ca.more_proofs;
                fake_ca.late_proofs = false;
        } else if (fake_ca.person && !fake_ca.approved) {
                v.person_wanted = true;
                v.poll_after_ms = 60000;
        } else if (fake_ops_finalize() && !fake_ca.finalized) {
                v.csr_wanted = true;
        } else {
                v.ready = true;
        }
        done(c->arg, &v, NULL);
}

static struct ca_call *view(struct ca *ca, const char *id, ca_view_fn *done, void *arg, struct err *e)
{
        (void)id;
        (void)e;
        return later(ca, view_run, (void *)done, arg);
}

static void validate_run(struct ca_call *c)
{
        struct err e = take(&fake_ca.validate_err);
        fake_ca.validates++;
        fake_ca.validated = fake_ca.validated || (e.kind == ERR_NONE && fake_ca.out > 0 && !fake_ca.slow);
        ((ca_done_fn *)c->done)(c->arg, e.kind ? &e : NULL);
}

static struct ca_call *validate(struct ca *ca, const char *id, ca_done_fn *done, void *arg, struct err *e)
{
        (void)id;
        (void)e;
        return later(ca, validate_run, (void *)done, arg);
}

static void diagnose_run(struct ca_call *c)
{
        fake_ca.diagnoses++;
        ((ca_text_fn *)c->done)(c->arg, fake_ca.diagnosis, strlen(fake_ca.diagnosis), NULL);
}

static struct ca_call *diagnose(struct ca *ca, const char *id, ca_text_fn *done, void *arg, struct err *e)
{
        (void)id;
        (void)e;
        return later(ca, diagnose_run, (void *)done, arg);
}

static void fetch_run(struct ca_call *c)
{
        ca_text_fn *done = (ca_text_fn *)c->done;
        struct err e = take(&fake_ca.fetch_err);
        if (fake_ca.unfetched > 0) {
                fake_ca.unfetched--;
                err_set(&e, ERR_DENIED, "gone", "there is no such order");
        }
        fake_ca.fetches++;
        if (e.kind)
                return done(c->arg, NULL, 0, &e);
        CLEANUP(free_p) char *pem = issue();
        fake_ca.open = false;
        done(c->arg, pem, strlen(pem), NULL);
}

static struct ca_call *fetch(struct ca *ca, const char *id, ca_text_fn *done, void *arg, struct err *e)
{
        (void)id;
        (void)e;
        return later(ca, fetch_run, (void *)done, arg);
}

static void cancel_order_run(struct ca_call *c)
{
        struct err e = take(&fake_ca.cancel_err);
        fake_ca.cancels++;
        if (e.kind)
                return ((ca_done_fn *)c->done)(c->arg, &e);
        fake_ca.open = false;
        ((ca_done_fn *)c->done)(c->arg, NULL);
}

static struct ca_call *cancel_order(struct ca *ca, const char *id, ca_done_fn *done, void *arg, struct err *e)
{
        (void)id;
        (void)e;
        struct ca_call *c = later(ca, cancel_order_run, (void *)done, arg);
        if (fake_ca.cancel_hangs) {
                loop_undefer(ca->loop, c->deferred);
                c->deferred = NULL;
        }
        return c;
}

static void revoke_run(struct ca_call *c)
{
        struct err e = take(&fake_ca.revoke_err);
        fake_ca.revokes += e.kind == ERR_NONE;
        fake_ca.revoke_asked_ms = clock_now_ms();
        ((ca_done_fn *)c->done)(c->arg, e.kind ? &e : NULL);
}

static struct ca_call *revoke_start(
        struct ca *ca, const struct ca_revoke_request *r, ca_done_fn *done, void *arg, struct err *e)
{
        (void)e;
        fake_ca.revoked_by_account = r->key == NULL;
        fake_ca.revoked_by_key = r->key != NULL && r->reason == CA_KEY_COMPROMISE;
        return later(ca, revoke_run, (void *)done, arg);
}

static int64_t server_time_s(struct ca *ca)
{
        (void)ca;
        return fake_ca.ahead_s && !fake_ca.mute ? clock_now_s() + fake_ca.ahead_s : 0;
}

static bool ca_open(struct ca **ret, const struct ca_env *env, const void *conf, struct err *e)
{
        struct ca *ca = calloc(1, sizeof *ca);
        (void)conf;
        (void)e;
        ca->loop = env->loop;
        *ret = ca;
        return true;
}

static void ca_close(struct ca *ca)
{
        free(ca);
}

static const struct conf_key no_keys[] = { { 0 } };
static struct ca_ops fake_ops = { .type = "fake",
        .can = CONF_CA_REISSUES,
        .keys = no_keys,
        .conf_size = 1,
        .open = ca_open,
        .close = ca_close,
        .inspect = inspect,
        .order = order,
        .resolve = resolve,
        .attach = attach,
        .view = view,
        .validate = validate,
        .diagnose = diagnose,
        .fetch = fetch,
        .server_time_s = server_time_s,
        .cancel_order = cancel_order,
        .revoke = revoke_start,
        .cancel = cancel };
static bool fake_ops_finalize(void)
{
        return fake_ops.finalize != NULL;
}

static void finalize_run(struct ca_call *c)
{
        struct err e = take(&fake_ca.finalize_err);
        if (fake_ca.refused_keys > 0) {
                fake_ca.refused_keys--;
                err_set(&e, ERR_DENIED, CA_KEY_REFUSED, "not this one");
        }
        fake_ca.finalized = e.kind == ERR_NONE;
        fake_ca.open = fake_ca.finalized;
        ((ca_done_fn *)c->done)(c->arg, e.kind ? &e : NULL);
}

static struct ca_call *finalize(
        struct ca *ca, const char *id, const char *csr_pem, ca_done_fn *done, void *arg, struct err *e)
{
        (void)id;
        (void)e;
        snprintf(fake_ca.csr, sizeof fake_ca.csr, "%s", csr_pem);
        return later(ca, finalize_run, (void *)done, arg);
}

void fake_ca_takes(const char *const *key_types)
{
        fake_ops.key_types = key_types;
}

void fake_ca_finalizes(bool yes)
{
        fake_ops.finalize = yes ? finalize : NULL;
}

void fake_ca_orders_cost_nothing(bool yes)
{
        fake_ops.resolve = yes ? NULL : resolve;
}

static void renewal_run(struct ca_call *c)
{
        const struct ca_renewal r = {
                .start_s = fake_ca.window_start_s, .end_s = fake_ca.window_end_s, .look_again_s = 3600
        };
        struct err e = take(&fake_ca.renewal_err);
        fake_ca.renewals++;
        ((ca_renewal_fn *)c->done)(c->arg, e.kind ? NULL : &r, e.kind ? &e : NULL);
}

static struct ca_call *renewal(
        struct ca *ca, const uint8_t *der, size_t len, ca_renewal_fn *done, void *arg, struct err *e)
{
        (void)der;
        (void)len;
        (void)e;
        return later(ca, renewal_run, (void *)done, arg);
}

void fake_ca_renews(bool yes)
{
        fake_ops.can = CONF_CA_REISSUES | (yes ? CONF_CA_RENEWS : 0);
        fake_ops.renewal = yes ? renewal : NULL;
}

static const char *staging(const void *conf)
{
        (void)conf;
        return "https://staging.example/";
}

void fake_ca_has_staging(bool yes)
{
        fake_ops.staging = yes ? staging : NULL;
}

const struct ca_ops *const fake_cas[] = { &fake_ops, NULL };

/* ---- the publisher ---- */

struct publisher {
        struct loop *loop;
};
struct publish_call {
        struct deferred *deferred;
        publish_place_fn *place;
        publish_done_fn *done;
        void *arg;
        char at[34]; /* "end " */
        bool add;
};

static void put(const char *at, bool out)
{
        char *there = strstr(fake_ca.out_at, at);
        if (out && !there)
                strcat(fake_ca.out_at, at);
        else if (!out && there)
                memmove(there, there + strlen(at), strlen(there + strlen(at)) + 1);
        fake_ca.out = 0;
        for (const char *space = fake_ca.out_at; (space = strchr(space, ' ')); space++)
                fake_ca.out++;
}

static void publish_run(void *arg)
{
        struct publish_call *c = arg;
        struct err e = take(c->add ? &fake_ca.publish_err : &fake_ca.retract_err);
        c->deferred = NULL;
        fake_ca.publishes += c->add;
        fake_ca.retracts += !c->add;
        if (c->add && fake_ca.publisher_down)
                err_set(&e, ERR_DENIED, "down", "refused");
        if (!e.kind || e.kind == ERR_UNKNOWN)
                put(c->at, c->add); /* idempotent */
        if (c->add && fake_ca.publisher_hangs)
                return;
        c->at[strlen(c->at) - 1] = '\0';
        c->done(c->arg, c->at, e.kind ? &e : NULL);
        free(c);
}

static void find_place(void *arg)
{
        struct publish_call *c = arg;
        c->deferred = NULL;
        void (*said)(void *arg) = fake_ca.place_said;
        fake_ca.place_said = NULL;
        c->place(c->arg, fake_ca.place, strcmp(fake_ca.place, FAKE_OWN_NAME) == 0);
        if (said)
                said(fake_ca.place_said_arg);
}

static struct publish_call *start(
        struct publisher *p, publish_place_fn *place, const char *handle, bool add, publish_done_fn *done, void *arg)
{
        struct publish_call *c = calloc(1, sizeof *c);
        *c = (struct publish_call){ .place = place, .done = done, .arg = arg, .add = add };
        snprintf(c->at, sizeof c->at, "%.31s ", handle ? handle : fake_ca.place[0] ? fake_ca.place : "h");
        c->deferred = loop_defer(p->loop, place && fake_ca.place[0] ? find_place : publish_run, c);
        return c;
}

static void go_on(struct publisher *p, struct publish_call *c)
{
        c->deferred = loop_defer(p->loop, publish_run, c);
}

static struct publish_call *publish(struct publisher *p, const struct proof *proof, publish_place_fn *place,
        publish_done_fn *done, void *arg, struct err *e)
{
        (void)proof;
        (void)e;
        return start(p, place, NULL, true, done, arg);
}

static struct publish_call *retract(struct publisher *p, const struct proof *proof, const char *handle,
        publish_done_fn *done, void *arg, struct err *e)
{
        (void)proof;
        (void)e;
        return start(p, NULL, handle, false, done, arg);
}

static void publish_cancel(struct publisher *p, struct publish_call *c)
{
        loop_undefer(p->loop, c->deferred);
        free(c);
}

static bool publisher_open(
        struct publisher **ret, const struct publisher_env *env, const char *name, const void *conf, struct err *e)
{
        struct publisher *p = calloc(1, sizeof *p);
        (void)name;
        (void)conf;
        (void)e;
        p->loop = env->loop;
        *ret = p;
        return true;
}

static void publisher_close(struct publisher *p)
{
        free(p);
}

static struct publisher_ops fake_publisher = { .type = "fake",
        .can = PROOF_TXT,
        .keys = no_keys,
        .conf_size = 1,
        .open = publisher_open,
        .close = publisher_close,
        .publish = publish,
        .go_on = go_on,
        .retract = retract,
        .cancel = publish_cancel };
void fake_publisher_is_a_person(bool yes)
{
        fake_publisher.by_person = yes;
}
const struct publisher_ops *const fake_publishers[] = { &fake_publisher, NULL };

const struct conf_kind *fake_kinds(void)
{
        static const struct conf_kind kinds[] = {
                { .section = "cas", .type = "fake", .keys = no_keys, .size = 1, .can = CONF_CA_REISSUES },
                { .section = "publishers", .type = "fake", .keys = no_keys, .size = 1, .can = PROOF_TXT }, { 0 }
        };
        return kinds;
}
