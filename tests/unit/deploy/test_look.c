/* What is served against what should be: every endpoint, every name, so many fresh connections in a row; and the
 * dialogues before TLS that go wrong. A server of the test plays the endpoint. */
#include "test.h"

#include <limits.h>

#define REAL_WAIT_MS INT_MAX /* for servers in threads */
#include "name_server.h"
#include "net/tls_server.h"
#include "own_time.h"
#include "pki/make_cert.h"

#include "agent/base/clock.h"
#include "agent/deploy/deploy.h"
#include "agent/net/dns.h"
#include "agent/net/loop.h"

#define NAMES "DNS:www.example.test,DNS:*.example.test,IP:127.0.0.1"

struct bed {
        struct loop *loop;
        struct dns *dns;
        struct name_server resolver;
        unsigned lookups_fail; /* so many questions */
        struct made new, old, rsa, stranger;
        /* The last answer. */
        bool answered;
        struct err e;
        size_t count;
        enum look_verdict verdict[4];
        bool ours;
        bool found;
        char text[240], sni[4][64], serial[64], address[4][64];
};

static struct bed bed;

/* two.test: 127.0.0.1 and 127.0.0.2; both.test: 127.0.0.1 and ::1. */
static void resolve(struct name_server *s, const struct dns_message *q, bool tcp, struct ns_reply *r)
{
        (void)s;
        (void)tcp;
        ns_start(r, q, 0x0080 | (bed.lookups_fail > 0 ? DNS_SERVFAIL : 0));
        if (bed.lookups_fail > 0) {
                bed.lookups_fail--;
                return;
        }
        bool two = dns_name_equal(q->question, "two.test"), both = dns_name_equal(q->question, "both.test");
        if (q->qtype == DNS_A && (two || both))
                ns_address(r, DNS_ANSWER, q->question, "127.0.0.1");
        if (q->qtype == DNS_A && two)
                ns_address(r, DNS_ANSWER, q->question, "127.0.0.2");
        if (q->qtype == DNS_AAAA && both)
                ns_address(r, DNS_ANSWER, q->question, "::1");
}

static bool open_names(struct bed *b, struct err *e)
{
        char text[32];
        assert_true(ns_open(&b->resolver, b->loop, "127.0.0.1", 0, resolve, NULL));
        snprintf(text, sizeof text, "127.0.0.1:%u", b->resolver.address.port);
        const char *const resolvers[] = { text, NULL };
        return dns_open(&b->dns, b->loop, &(struct dns_conf){ .resolvers = resolvers }, e);
}

static int set_up(void **state)
{
        struct err e;
        bed.new = make_cert(&(struct cert_spec){ .subject = "new", .san = NAMES, .serial_hex = "0A01" });
        bed.old = make_cert(&(struct cert_spec){ .subject = "old", .san = NAMES, .serial_hex = "0A00" });
        bed.rsa = make_cert(&(struct cert_spec){ .subject = "rsa", .san = NAMES, .type = KEY_RSA_2048 });
        bed.stranger = make_cert(&(struct cert_spec){ .subject = "stranger", .san = "DNS:mail.example.org" });
        (void)state;
        return loop_open(&bed.loop, &e) && open_names(&bed, &e) ? 0 : -1;
}

static int tear_down(void **state)
{
        (void)state;
        dns_close(bed.dns);
        ns_close(&bed.resolver);
        loop_close(bed.loop);
        made_done(&bed.new);
        made_done(&bed.old);
        made_done(&bed.rsa);
        made_done(&bed.stranger);
        return 0;
}

static SSL_CTX *context(const struct made *a, const struct made *b)
{
        SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
        assert_int_equal(SSL_CTX_use_certificate(ctx, a->x), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(ctx, a->key->pkey), 1);
        if (b) {
                assert_int_equal(SSL_CTX_use_certificate(ctx, b->x), 1);
                assert_int_equal(SSL_CTX_use_PrivateKey(ctx, b->key->pkey), 1);
        }
        return ctx;
}

static void end(struct tls_server *s)
{
        tls_server_end(s);
        SSL_CTX_free(s->first);
        SSL_CTX_free(s->then);
}

static void sha256_of(const struct made *m, char ret[65])
{
        struct cert_info info;
        struct err e;
        uint8_t *der = NULL;
        int len = i2d_X509(m->x, &der);
        assert_true(chain_from_der(der, (size_t)len, &info, &e));
        snprintf(ret, 65, "%s", info.sha256);
        cert_info_done(&info);
        OPENSSL_free(der);
}

static void on_look(void *arg, const struct look_endpoint *endpoint, size_t count, const struct err *err)
{
        struct bed *b = arg;
        assert_false(b->answered);
        b->answered = true;
        b->e = err ? *err : (struct err){ 0 };
        b->count = count;
        for (size_t i = 0; i < count && i < ARRAY_LEN(b->verdict); i++) {
                b->verdict[i] = endpoint[i].verdict;
                snprintf(b->sni[i], sizeof b->sni[i], "%s", endpoint[i].sni ? endpoint[i].sni : "");
                snprintf(b->text, sizeof b->text, "%s", endpoint[i].text);
                snprintf(b->serial, sizeof b->serial, "%s", endpoint[i].served_serial ? endpoint[i].served_serial : "");
                snprintf(b->address[i], sizeof b->address[i], "%s", endpoint[i].address);
                b->ours = endpoint[i].ours;
                b->found = endpoint[i].found;
        }
}

struct wanted {
        const char *name, *name2, *name3; /* of the certificate */
        struct conf_verify verify, verify2;
        bool automatic;
        const struct made *cert; /* NULL: new */
        unsigned in_a_row;
        int64_t patience_ms;
};

static bool look(const struct wanted *w, struct look_run **ret, struct err *e)
{
        char sha256[65];
        char *names[] = { (char *)(w->name ? w->name : "www.example.test"), (char *)w->name2, (char *)w->name3 };
        struct conf_verify verify[] = { w->verify, w->verify2 };
        struct conf_service service = { .name = (char *)"web",
                .verify = verify,
                .verify_auto = w->automatic,
                .verify_count = w->automatic ? 0
                        : verify[1].address  ? 2
                                             : verify[0].address != NULL };
        struct conf_target target = { .service = &service, .service_count = 1 };
        struct conf_cert cert = { .name = (char *)"www",
                .names = { .item = names,
                        .count = names[2]  ? 3
                                : names[1] ? 2
                                           : 1 },
                .target = &target,
                .target_count = 1 };
        const struct made *m = w->cert ? w->cert : &bed.new;
        sha256_of(m, sha256);
        struct look_request r = { .cert = &cert,
                .want_sha256 = sha256,
                .dns = bed.dns,
                .key_type = m == &bed.rsa ? KEY_RSA_2048 : KEY_EC_P256,
                .in_a_row = w->in_a_row,
                .patience_ms = w->patience_ms };
        bed.answered = false;
        *ret = look_start(bed.loop, &r, on_look, &bed, e);
        return *ret != NULL;
}

static void look_at(const struct tls_server *s, struct wanted w)
{
        char address[32];
        struct look_run *run;
        struct err e;
        snprintf(address, sizeof address, "127.0.0.1:%u", s->port);
        if (!w.verify.address)
                w.verify.address = address;
        if (!look(&w, &run, &e))
                fail_msg("%s", e.text);
        assert_true(loop_run_until(bed.loop, &bed.answered, 20000));
}

/* ---- served against wanted ---- */

static void what_is_served_is_held_against_what_should_be(void **state)
{
        enum { SAME = LOOK_SAME, DIFFERENT = LOOK_DIFFERENT, FAILED = LOOK_FAILED };
        const struct {
                const char *what;
                const struct made *first, *also, *then, *want;
                unsigned turn;
                bool alternate;
                unsigned in_a_row;
                int64_t patience_ms;
                int verdict;
                const char *code, *said; /* of the error; NULL: none */
                unsigned least, most; /* connections */
        } row[] = {
                { "the new one, three times", &bed.new, NULL, NULL, NULL, 0, false, 3, 0, SAME, NULL, NULL, 3, 3 },
                { "the new one, once", &bed.new, NULL, NULL, NULL, 0, false, 0, 0, SAME, NULL, NULL, 1, 1 },
                { "the old one for ever", &bed.old, NULL, NULL, NULL, 0, false, 3, 120, DIFFERENT, "look.different",
                        "serves the old one, or another: serial 0a00, until ", 2, 99 },
                { "the old one for a while", &bed.old, NULL, &bed.new, NULL, 2, false, 3, 5000, SAME, NULL, NULL, 5,
                        5 },
                { "the new one, then the old one again", &bed.new, NULL, &bed.old, NULL, 2, false, 3, 300, DIFFERENT,
                        "look.different", "serves the old one", 3, 99 },
                { "both in turns", &bed.old, NULL, &bed.new, NULL, 0, true, 2, 300, DIFFERENT, "look.different",
                        "serves the old one", 3, 99 },
                { "another one", &bed.stranger, NULL, NULL, NULL, 0, false, 1, 0, DIFFERENT, "look.different",
                        "serves the old one, or another", 1, 1 },
                { "a pair, the ECDSA one is wanted", &bed.rsa, &bed.new, NULL, NULL, 0, false, 1, 0, SAME, NULL, NULL,
                        1, 1 },
                { "a pair, the RSA one is wanted", &bed.rsa, &bed.new, NULL, &bed.rsa, 0, false, 1, 0, SAME, NULL, NULL,
                        1, 1 },
                { "no key of this type", &bed.rsa, NULL, NULL, NULL, 0, false, 1, 0, FAILED, "look.failed",
                        "cannot be looked at: ", 1, 1 },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct tls_server s = { .first = context(row[i].first, row[i].also),
                        .then = row[i].then ? context(row[i].then, NULL) : NULL,
                        .turn = row[i].turn,
                        .alternate = row[i].alternate };
                tls_server_start(&s);
                look_at(&s,
                        (struct wanted){
                                .cert = row[i].want, .in_a_row = row[i].in_a_row, .patience_ms = row[i].patience_ms });
                unsigned n = atomic_load(&s.connections);
                end(&s);
                bool good = bed.count == 1 && (int)bed.verdict[0] == row[i].verdict && n >= row[i].least &&
                        n <= row[i].most &&
                        (row[i].code ? strcmp(bed.e.code, row[i].code) == 0 && strstr(bed.e.text, row[i].said) &&
                                                strstr(bed.e.text, "127.0.0.1:") &&
                                                strstr(bed.e.text, " as www.example.test ")
                                     : bed.e.kind == ERR_NONE);
                if (!good)
                        fail_msg("%s: verdict %d after %u connections: %s", row[i].what, (int)bed.verdict[0], n,
                                bed.e.text);
                if (row[i].first == &bed.stranger)
                        assert_false(bed.ours);
        }
}

static void every_name_is_asked_for_as_it_can_be(void **state)
{
        static const char *const wanted[] = { "www.example.test", "dcvd.example.test", "" };
        struct tls_server s = { .first = context(&bed.new, NULL) };
        (void)state;
        tls_server_start(&s);
        look_at(&s, (struct wanted){ .name2 = "*.example.test", .name3 = "127.0.0.1", .in_a_row = 1 });
        end(&s);
        assert_int_equal(bed.e.kind, ERR_NONE);
        assert_int_equal(bed.count, 3);
        for (size_t i = 0; i < 3; i++) {
                bool asked = false;
                assert_string_equal(bed.sni[i], wanted[i]);
                for (unsigned n = 0; n < 3; n++)
                        asked = asked || strcmp(s.name[n], wanted[i]) == 0;
                assert_true(asked);
        }
}

static void an_endpoint_with_its_own_name_is_asked_for_that_alone(void **state)
{
        struct tls_server s = { .first = context(&bed.new, NULL) };
        char address[32];
        (void)state;
        tls_server_start(&s);
        snprintf(address, sizeof address, "127.0.0.1:%u", s.port);
        look_at(&s,
                (struct wanted){ .name2 = "*.example.test",
                        .verify = { .address = address, .sni = (char *)"in.example.test" } });
        end(&s);
        assert_int_equal(bed.count, 1);
        assert_string_equal(s.name[0], "in.example.test");
}

static void nobody_there_is_named_after_the_patience(void **state)
{
        struct tls_server s = { .first = NULL };
        (void)state;
        tls_server_start(&s);
        tls_server_end(&s); /* the port is free again, and closed */
        int64_t begun_ms = clock_boot_ms();
        look_at(&s, (struct wanted){ .in_a_row = 3, .patience_ms = 100 });
        assert_true(clock_boot_ms() - begun_ms >= 100);
        assert_string_equal(bed.e.code, "look.failed");
        assert_int_equal(bed.e.kind, ERR_TEMPORARY);
        assert_non_null(strstr(bed.e.text, "cannot be looked at: 127.0.0.1:"));
        assert_non_null(strstr(bed.e.text, "connection refused"));
}

static void nothing_to_look_at_is_no_endpoint(void **state)
{
        struct look_run *run;
        struct err e;
        (void)state;
        assert_true(look(&(struct wanted){ .name = "www.example.test" }, &run, &e));
        assert_true(loop_run_until(bed.loop, &bed.answered, 5000));
        assert_int_equal(bed.count, 0);
        assert_int_equal(bed.e.kind, ERR_NONE);
}

/* ---- endpoints that are names ---- */

static char *endpoint(const char *name, const struct tls_server *s)
{
        static char text[64];
        snprintf(text, sizeof text, "%s:%u", name, s->port);
        return text;
}

static void every_address_of_a_name_is_looked_at(void **state)
{
        struct tls_server s = { .first = context(&bed.new, NULL) };
        (void)state;
        tls_server_start(&s);
        struct tls_server t = { .first = context(&bed.old, NULL), .host = 2, .port = s.port };
        tls_server_start(&t);
        look_at(&s, (struct wanted){ .verify = { .address = endpoint("two.test", &s) }, .in_a_row = 1 });
        end(&t);
        assert_int_equal(bed.count, 2);
        assert_string_equal(bed.e.code, "look.different");
        assert_non_null(strstr(bed.e.text, endpoint("127.0.0.2", &s)));
        look_at(&s, (struct wanted){ .verify = { .address = endpoint("www.localhost", &s) }, .in_a_row = 1 });
        assert_int_equal(bed.e.kind, ERR_NONE); /* never asked for */
        end(&s);
}

/* Few servers listen on both addresses of "localhost". */
static void of_a_name_a_loopback_address_that_refuses_is_passed_over(void **state)
{
        static const int64_t patience_ms[] = { 0, 15000 };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(patience_ms); i++) {
                struct tls_server s = { .first = context(&bed.new, NULL) };
                tls_server_start(&s);
                int64_t begun_ms = clock_boot_ms();
                look_at(&s,
                        (struct wanted){ .verify = { .address = endpoint("both.test", &s) },
                                .in_a_row = 3,
                                .patience_ms = patience_ms[i] });
                end(&s);
                assert_int_equal(bed.e.kind, ERR_NONE);
                assert_int_equal(bed.count, 1);
                assert_string_equal(bed.address[0], endpoint("127.0.0.1", &s));
                assert_true(clock_boot_ms() - begun_ms < 5000);
        }
        struct tls_server s = { .first = context(&bed.old, NULL) };
        tls_server_start(&s);
        look_at(&s, (struct wanted){ .verify = { .address = endpoint("both.test", &s) } });
        end(&s);
        assert_int_equal(bed.count, 2); /* no other shows it: both are named */
        assert_string_equal(bed.e.code, "look.different");
}

static void a_name_that_cannot_be_looked_up_is_an_endpoint_that_failed(void **state)
{
        struct tls_server s = { .first = context(&bed.new, NULL) };
        (void)state;
        tls_server_start(&s);
        look_at(&s, (struct wanted){ .verify = { .address = (char *)"nobody.test:443" }, .in_a_row = 1 });
        assert_string_equal(bed.e.code, "look.failed");
        assert_int_equal(bed.e.kind, ERR_TEMPORARY);
        assert_string_equal(bed.e.text, "nobody.test:443 cannot be looked at: nobody.test has no address");
        assert_string_equal(bed.address[0], "nobody.test:443");
        bed.lookups_fail = 2; /* A and AAAA */
        look_at(&s, (struct wanted){ .verify = { .address = endpoint("both.test", &s) }, .in_a_row = 1 });
        assert_non_null(strstr(bed.e.text, "cannot be looked at: looking up both.test: SERVFAIL"));
        bed.lookups_fail = 2; /* with patience, again */
        look_at(&s,
                (struct wanted){
                        .verify = { .address = endpoint("both.test", &s) }, .in_a_row = 1, .patience_ms = 5000 });
        assert_int_equal(bed.e.kind, ERR_NONE);
        assert_int_equal(bed.count, 1);
        end(&s);
}

/* ---- endpoints that are found ---- */

/* A name server on TCP waits for the rest of what it takes for a long question. */
static void who_says_nothing_is_not_waited_for_once_the_service_was_seen(void **state)
{
        struct tls_server silent = { .script = { "~" } }, s = { .first = context(&bed.new, NULL) };
        (void)state;
        tls_server_start(&silent);
        tls_server_start(&s);
        int64_t begun_ms = clock_boot_ms();
        look_at(&s,
                (struct wanted){ .automatic = true,
                        .name2 = "*.example.test",
                        .name3 = "127.0.0.1",
                        .in_a_row = 3,
                        .patience_ms = 10000 });
        int64_t took_ms = clock_boot_ms() - begun_ms;
        bool never = false;
        (void)loop_run_until(bed.loop, &never, 50); /* others that waited would be taken now */
        assert_int_equal(bed.e.kind, ERR_NONE);
        assert_int_equal(bed.count, 3); /* one server, three names */
        assert_true(bed.found);
        assert_int_equal(atomic_load(&silent.connections), 1); /* one name was enough */
        assert_true(took_ms >= 900 && took_ms < 4000);
        end(&silent);
        end(&s);
}

/* It may be our server, which is slow to come back. */
static void alone_it_has_all_its_time(void **state)
{
        struct tls_server s = { .first = context(&bed.new, NULL), .late_ms = 1500 };
        (void)state;
        tls_server_start(&s);
        look_at(&s, (struct wanted){ .automatic = true, .in_a_row = 1 });
        assert_int_equal(bed.e.kind, ERR_NONE);
        assert_int_equal(bed.count, 1);
        assert_int_equal(bed.verdict[0], LOOK_SAME);
        end(&s);
}

static void what_is_configured_is_never_given_up_for_another(void **state)
{
        struct tls_server s = { .first = context(&bed.new, NULL) },
                          slow = { .first = context(&bed.new, NULL), .late_ms = 1500 };
        char text[32];
        (void)state;
        tls_server_start(&s);
        tls_server_start(&slow);
        snprintf(text, sizeof text, "127.0.0.1:%u", slow.port);
        look_at(&s,
                (struct wanted){ .verify = { .address = endpoint("127.0.0.1", &s) },
                        .verify2 = { .address = text },
                        .in_a_row = 1 });
        assert_int_equal(bed.e.kind, ERR_NONE);
        assert_int_equal(bed.count, 2);
        assert_int_equal(bed.verdict[1], LOOK_SAME);
        end(&s);
        end(&slow);
}

static void after_a_cancel_nobody_is_told(void **state)
{
        struct tls_server s = { .first = context(&bed.new, NULL) };
        struct look_run *run;
        struct err e;
        char address[32];
        bool never = false;
        (void)state;
        tls_server_start(&s);
        snprintf(address, sizeof address, "127.0.0.1:%u", s.port);
        assert_true(look(&(struct wanted){ .verify = { .address = address }, .in_a_row = 3 }, &run, &e));
        while (atomic_load(&s.connections) == 0) /* in the middle of it */
                (void)loop_run_until(bed.loop, &never, 1);
        look_cancel(run);
        (void)loop_run_until(bed.loop, &never, 50);
        assert_false(bed.answered);
        end(&s);
}

/* ---- before TLS ---- */

struct said {
        bool over, leaf;
        char code[48], text[256];
};

static void on_tls(void *arg, const struct tls_look_result *result, const struct err *err)
{
        struct said *s = arg;
        s->over = true;
        s->leaf = result && result->leaf_len > 0;
        snprintf(s->code, sizeof s->code, "%s", err ? err->code : "");
        snprintf(s->text, sizeof s->text, "%s", err ? err->text : "");
}

static void a_dialogue_that_goes_wrong_is_named(void **state)
{
        static const struct {
                enum tls_protocol protocol;
                const char *script[TLS_SERVER_SCRIPT];
                const char *code; /* "": the certificate */
        } row[] = {
                { TLS_SMTP, { "220 mail ESMTP\r\n", "<", "250-mail\r\n250 STARTTLS\r\n", "<", "220 go\r\n" }, "" },
                { TLS_SMTP, { "220 mail ESMTP\r\n", "<", "250 mail\r\n", "<", "454 TLS not available\r\n" },
                        "look.starttls" },
                { TLS_SMTP, { "554 go away\r\n" }, "look.starttls" },
                { TLS_SMTP, { "220 mail ESMTP\r\n", "<", "!" }, "look.closed" },
                { TLS_SMTP, { "220 mail ESMTP\r\n", "~" }, "look.timeout" },
                { TLS_SMTP, { "~" }, "look.timeout" },
                { TLS_SMTP, { "220 mail ESMTP\r\n", "<", "250 mail\r\n", "<", "220 go\r\n250 injected\r\n" },
                        "look.starttls" },
                { TLS_IMAP, { "* OK ready\r\n", "<", "* CAPABILITY\r\na1 OK go\r\n" }, "" },
                { TLS_IMAP, { "* OK ready\r\n", "<", "a1 BAD no\r\n" }, "look.starttls" },
                { TLS_POP3, { "+OK ready\r\n", "<", "+OK go\r\n" }, "" },
                { TLS_POP3, { "-ERR busy\r\n" }, "look.starttls" },
                { TLS_FTP, { "220 ftp\r\n", "<", "234 go\r\n" }, "" },
                { TLS_FTP, { "220 ftp\r\n", "<", "500 what?\r\n" }, "look.starttls" },
                { TLS_POSTGRES, { "N" }, "look.starttls" },
                { TLS_LDAP, { "HTTP/1.1 400 Bad Request\r\n\r\n" }, "look.starttls" },
                { TLS_DIRECT, { "HTTP/1.1 400 Bad Request\r\n\r\n" }, "look.handshake" },
                { TLS_DIRECT, { "!" }, "look.closed" },
                { TLS_DIRECT, { "~" }, "look.timeout" },
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct tls_server s = { .first = context(&bed.new, NULL) };
                struct said said = { 0 };
                struct err e;
                memcpy(s.script, row[i].script, sizeof s.script);
                tls_server_start(&s);
                struct tls_look_request r = { .protocol = row[i].protocol,
                        .timeout_ms = strcmp(row[i].code, "look.timeout") == 0 ? 60 : 5000 };
                char address[32];
                snprintf(address, sizeof address, "127.0.0.1:%u", s.port);
                assert_true(address_parse(address, 443, &r.address));
                assert_non_null(tls_look_start(bed.loop, &r, on_tls, &said, &e));
                assert_true(loop_run_until(bed.loop, &said.over, 10000));
                end(&s);
                if (strcmp(said.code, row[i].code) != 0 || said.leaf != !row[i].code[0] ||
                        (row[i].code[0] && strncmp(said.text, address, strlen(address)) != 0))
                        fail_msg("row %zu: %s: %s", i, said.code, said.text);
                if (i == 1) /* what it answered helps whoever has to mend it */
                        assert_non_null(
                                strstr(said.text, "it does not go over to TLS; it says: 454 TLS not available"));
        }
}

/* It asks for ours: its own is seen all the same. */
static void a_server_that_wants_our_certificate_has_shown_its_own(void **state)
{
        struct tls_server s = { .first = context(&bed.new, NULL) };
        (void)state;
        SSL_CTX_set_verify(s.first, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        SSL_CTX_set_max_proto_version(s.first, TLS1_2_VERSION); /* it refuses before the handshake is over */
        tls_server_start(&s);
        look_at(&s, (struct wanted){ .in_a_row = 1 });
        end(&s);
        assert_int_equal(bed.e.kind, ERR_NONE);
        assert_int_equal(bed.verdict[0], LOOK_SAME);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_served_is_held_against_what_should_be),
                cmocka_unit_test(every_name_is_asked_for_as_it_can_be),
                cmocka_unit_test(an_endpoint_with_its_own_name_is_asked_for_that_alone),
                cmocka_unit_test(nobody_there_is_named_after_the_patience),
                cmocka_unit_test(nothing_to_look_at_is_no_endpoint),
                cmocka_unit_test(every_address_of_a_name_is_looked_at),
                cmocka_unit_test(of_a_name_a_loopback_address_that_refuses_is_passed_over),
                cmocka_unit_test(a_name_that_cannot_be_looked_up_is_an_endpoint_that_failed),
                cmocka_unit_test(who_says_nothing_is_not_waited_for_once_the_service_was_seen),
                cmocka_unit_test(alone_it_has_all_its_time),
                cmocka_unit_test(what_is_configured_is_never_given_up_for_another),
                cmocka_unit_test(after_a_cancel_nobody_is_told),
                cmocka_unit_test(a_dialogue_that_goes_wrong_is_named),
                cmocka_unit_test(a_server_that_wants_our_certificate_has_shown_its_own),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
