/* Files, includes, defaults from the environment, secrets, printing, the schema, and size. */
#include "test.h"

#include <fcntl.h>
#include <glob.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/base/file.h"
#include "agent/base/util.h"
#include "config/internal.h"
#include "config/yaml.h"
#include "file_tick.h"
#include "kinds.h"

#define DATA TEST_SOURCE_DIR "/tests/unit/config/data/"

/* ---- a directory of its own for each test ---- */

static char place[64];

static int make_place(void **state)
{
        (void)state;
        snprintf(place, sizeof place, "/tmp/dcvd-config-XXXXXX");
        return mkdtemp(place) ? 0 : -1;
}

static int drop_place(void **state)
{
        struct err e = { 0 };

        (void)state;
        return tree_remove_at(AT_FDCWD, place, &e) ? 0 : -1;
}

static char *at(const char *name)
{
        static char path[4][256];
        static unsigned turn;

        turn = (turn + 1) % 4;
        snprintf(path[turn], sizeof path[turn], "%s/%s", place, name);
        return path[turn];
}

static unsigned globs;

int __real_glob(const char *pattern, int flags, int (*error)(const char *path, int number), glob_t *ret);
int __wrap_glob(const char *pattern, int flags, int (*error)(const char *path, int number), glob_t *ret);
int __wrap_glob(const char *pattern, int flags, int (*error)(const char *path, int number), glob_t *ret)
{
        globs++;
        return __real_glob(pattern, flags, error, ret);
}

static void put(const char *name, const char *text)
{
        let_a_tick_pass();
        FILE *f = fopen(at(name), "w");

        assert_non_null(f);
        assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
        fclose(f);
}

static void put_main(const char *rest)
{
        CLEANUP(free_p) char *text = text_format("include: %s/conf.d/*.yaml\n%s", place, rest);

        mkdir(at("conf.d"), 0755);
        put("main.yaml", text);
}

static bool try_load(struct conf **ret, struct conf_problems *p)
{
        return config_load(at("main.yaml"), test_all_kinds, ret, p);
}

static const char sections[] = "cas:\n  le: {type: acme, directory: \"https://acme.example/d\"}\n"
                               "publishers:\n  site: {type: webroot, directory: /var/www}\n";

__attribute__((format(printf, 3, 4))) static void expect(
        const struct conf_problems *p, size_t i, const char *format, ...)
{
        char want[600];
        va_list ap;

        va_start(ap, format);
        vsnprintf(want, sizeof want, format, ap);
        va_end(ap);
        assert_true(i < p->text.count);
        assert_string_equal(p->text.item[i], want);
}

/* ---- includes ---- */

static void included_maps_are_merged(void **state)
{
        struct conf_problems p = { 0 };
        struct conf *c = NULL;

        (void)state;
        put_main(sections);
        put("conf.d/a.yaml", "certificates:\n  a: {names: a.example, ca: le, publisher: site}\nlimits: {jobs: 3}\n");
        put("conf.d/b.yaml",
                "certificates:\n\n  b: {names: b.example, ca: le, publisher: self}\n"
                "publishers: {self: {type: responder}}\nlimits: {cooldown: 1h}\n");
        put("conf.d/ignored.txt", "nonsense: [\n");
        assert_true(try_load(&c, &p));
        assert_int_equal(c->cert_count, 2);
        assert_string_equal(c->cert[0].name, "a");
        assert_string_equal(config_cert(c, "b")->file, at("conf.d/b.yaml"));
        assert_int_equal(config_cert(c, "b")->line, 3);
        assert_int_equal(c->publisher_count, 2);
        assert_int_equal(c->limit_jobs, 3);
        assert_int_equal(c->limit_cooldown_ms, 3600000);
        assert_int_equal(p.warning.count, 1); /* nobody answers for self */
        conf_problems_done(&p);
        config_free(c);
}

static void a_name_given_twice_names_both_places(void **state)
{
        struct conf_problems p = { 0 };
        struct conf *c = NULL;

        (void)state;
        put_main("state_directory: /s\ncertificates:\n  a: {names: a.example, ca: le, publisher: site}\n");
        put("conf.d/a.yaml", sections);
        put("conf.d/b.yaml", "certificates:\n  a: {names: a.example, ca: le, publisher: site}\nstate_directory: /t\n");
        assert_false(try_load(&c, &p));
        assert_null(c);
        assert_int_equal(p.text.count, 2);
        expect(&p, 0, "%s:2:3: certificates.a: is given twice; it is also in %s:4", at("conf.d/b.yaml"),
                at("main.yaml"));
        expect(&p, 1, "%s:3:1: state_directory: is given twice; it is also in %s:2", at("conf.d/b.yaml"),
                at("main.yaml"));
        conf_problems_done(&p);
}

static void problems_of_all_files_are_told_at_once(void **state)
{
        struct conf_problems p = { 0 };
        struct conf *c = NULL;

        (void)state;
        put_main("limits: {jobs: x}\ncertificates: {}\n");
        put("conf.d/a.yaml", "include: /x\ncas:\n  le: {type: acme, directory: ftp}\n");
        put("conf.d/b.yaml", "log: [\n");
        put("conf.d/c.yaml", "- x\n");
        assert_false(try_load(&c, &p));
        assert_int_equal(p.text.count, 2); /* what only seems wrong for lack of those files is not said */
        expect(&p, 0,
                "%s:2:1: log[0]: is not YAML: did not find expected node content while parsing a flow node in line 2; "
                "indent with blanks, quote texts with special characters",
                at("conf.d/b.yaml"));
        expect(&p, 1, "%s:1:1: the file is a list; a map of sections is wanted", at("conf.d/c.yaml"));
        conf_problems_done(&p);
        unlink(at("conf.d/b.yaml"));
        unlink(at("conf.d/c.yaml"));
        assert_false(try_load(&c, &p));
        assert_int_equal(p.text.count, 3);
        expect(&p, 0, "%s:1:10: include: stands in an included file; only the main file may include",
                at("conf.d/a.yaml"));
        expect(&p, 1, "%s:2:16: limits.jobs: is not a whole number; a whole number from 1 to 1000", at("main.yaml"));
        expect(&p, 2, "%s:3:31: cas.le.directory: is not an https URL; an https URL, or http for a loopback address",
                at("conf.d/a.yaml"));
        conf_problems_done(&p);
}

static void a_plain_include_must_exist_and_a_pattern_need_not(void **state)
{
        struct conf_problems p = { 0 };
        struct conf *c = NULL;

        (void)state;
        put("main.yaml", "include: [/nonexistent/*.yaml, /nonexistent/a.yaml]\n");
        assert_false(try_load(&c, &p));
        assert_int_equal(p.text.count, 1);
        expect(&p, 0, "%s:1:10: include: there is no file /nonexistent/a.yaml; a file, or a pattern of files",
                at("main.yaml"));
        conf_problems_done(&p);
}

static void a_file_that_cannot_be_read_is_a_problem(void **state)
{
        struct conf_problems p = { 0 };
        struct conf *c = NULL;

        (void)state;
        assert_false(config_load("/nonexistent/dcvd.yaml", test_all_kinds, &c, &p));
        assert_int_equal(p.text.count, 1);
        assert_true(text_starts(p.text.item[0], "/nonexistent/dcvd.yaml:1:1: "));
        conf_problems_done(&p);
        assert_false(config_load("/dev/zero", test_all_kinds, &c, &p));
        assert_int_equal(p.text.count, 1);
        conf_problems_done(&p);
}

/* ---- environment ---- */

static void systemd_names_the_directories(void **state)
{
        struct conf *c = NULL;
        struct conf_problems p = { 0 };

        (void)state;
        setenv("STATE_DIRECTORY", "/var/lib/one:/var/lib/two", 1);
        setenv("RUNTIME_DIRECTORY", "relative", 1);
        assert_true(config_load_text("f", "", 0, test_all_kinds, &c, &p));
        assert_string_equal(c->state_directory, "/var/lib/one");
        assert_string_equal(c->runtime_directory, "/run/dcvd");
        config_free(c);
        assert_true(config_load_text("f", "state_directory: /s//t/\n", 24, test_all_kinds, &c, &p));
        assert_string_equal(c->state_directory, "/s/t");
        config_free(c);
        unsetenv("STATE_DIRECTORY");
        unsetenv("RUNTIME_DIRECTORY");
}

static struct conf *load_env(void)
{
        static const char text[] = "cas:\n  a: {type: tencent, secret_id: {env: DCVD_T1}, secret_key: {env: DCVD_T2}}\n"
                                   "  b: {type: tencent, secret_id: {env: DCVD_T1}, secret_key: {file: /x}}\n";
        struct conf *c = NULL;
        struct conf_problems p = { 0 };

        assert_true(config_load_text("f", text, strlen(text), test_all_kinds, &c, &p));
        return c;
}

static void held_is(const struct secret_ref *r, const char *want)
{
        assert_non_null(r->held);
        assert_int_equal(r->held->len, strlen(want));
        assert_memory_equal(r->held->data, want, strlen(want));
}

static void secrets_of_the_environment_are_taken_once_and_handed_on(void **state)
{
        struct err e = { 0 };

        (void)state;
        setenv("DCVD_T1", "one", 1);
        setenv("DCVD_T2", "two", 1);
        struct conf *first = load_env(), *second = load_env();
        assert_true(config_take_env_secrets(first, NULL, &e));
        const struct test_tencent *a = config_ca(first, "a")->parsed, *b = config_ca(first, "b")->parsed;
        held_is(&a->secret_id, "one");
        held_is(&a->secret_key, "two");
        held_is(&b->secret_id, "one"); /* the variable is gone by then */
        assert_true(config_take_env_secrets(second, first, &e));
        config_free(first);
        const struct test_tencent *c = config_ca(second, "b")->parsed;
        held_is(&c->secret_id, "one");
        config_free(second);
        unsetenv("DCVD_T1");
        unsetenv("DCVD_T2");
        struct conf *third = load_env();
        assert_false(config_take_env_secrets(third, NULL, &e));
        assert_int_equal(e.kind, ERR_CONFIG);
        config_free(third);
        setenv("DCVD_T2", "two", 1);
        struct conf *fourth = load_env(); /* one that is missing keeps no other from being taken */
        assert_false(config_take_env_secrets(fourth, NULL, &e));
        assert_non_null(strstr(e.text, "DCVD_T1"));
        held_is(&((const struct test_tencent *)config_ca(fourth, "a")->parsed)->secret_key, "two");
        config_free(fourth);
        unsetenv("DCVD_T2");
}

/* ---- lookups ---- */

static void names_are_found_and_near_ones_suggested(void **state)
{
        struct conf_problems p = { 0 };
        struct conf *c = NULL;

        (void)state;
        assert_true(config_load(DATA "smallest.yaml", test_all_kinds, &c, &p));
        assert_non_null(config_cert(c, "www"));
        assert_null(config_cert(c, "ww"));
        assert_string_equal(config_cert_near(c, "ww"), "www");
        assert_null(config_cert_near(c, "mail"));
        assert_null(config_ca(c, "site"));
        assert_string_equal(config_publisher(c, "site")->kind->type, "webroot");
        config_free(c);
}

static void the_longest_suffix_wins(void **state)
{
        char a[] = "example.com", b[] = "shop.example.com", c[] = "example.org";
        char one[] = "one", two[] = "two", three[] = "three";
        char *suffix[] = { a, b, c }, *publisher[] = { one, two, three };
        const struct conf_publisher_map m = { NULL, { suffix, 3 }, { publisher, 3 } };
        static const struct {
                const char *name, *want;
        } row[] = { { "example.com", "one" }, { "www.example.com", "one" }, { "shop.example.com", "two" },
                { "a.b.shop.example.com", "two" }, { "*.shop.example.com", "two" }, { "*.example.org", "three" },
                { "WWW.EXAMPLE.ORG", "three" }, { "notexample.com", NULL }, { "com", NULL } };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                const char *got = conf_publisher_for(&m, row[i].name);
                assert_true(row[i].want ? got && strcmp(got, row[i].want) == 0 : got == NULL);
        }
}

/* ---- presets ---- */

static struct conf *load_services(const char *services)
{
        CLEANUP(free_p)
        char *text = text_format("%scertificates:\n  a: {names: a.example, ca: le, publisher: site, "
                                 "key: {passphrase: {file: /p}}, deploy: [{directory: /d, services: [%s]}]}\n",
                sections, services);
        struct conf_problems p = { 0 };
        struct conf *c = NULL;

        assert_true(config_load_text("f", text, strlen(text), test_all_kinds, &c, &p));
        return c;
}

static void joined_is(const struct texts *t, const char *want)
{
        struct buf b = { 0 };

        for (size_t i = 0; i < t->count; i++)
                buf_addf(&b, "%s%s", i ? " " : "", t->item[i]);
        assert_string_equal(b.data ? b.data : "", want);
        buf_done(&b);
}

static void presets_fill_what_is_not_given(void **state)
{
        static const struct {
                const char *service, *name, *test, *reload, *signal;
        } row[] = {
                { "{preset: nginx}", "nginx", "nginx -t", "systemctl reload nginx", NULL },
                { "{preset: apache}", "apache", "apache2ctl configtest", "systemctl reload apache2", NULL },
                { "{preset: haproxy}", "haproxy", "haproxy -c -f /etc/haproxy/haproxy.cfg", "systemctl reload haproxy",
                        NULL },
                { "{preset: postfix}", "postfix", "postfix check", "systemctl reload postfix", NULL },
                { "{preset: dovecot}", "dovecot", "doveconf -n", "systemctl reload dovecot", NULL },
                { "{preset: nginx, name: web}", "web", "nginx -t", "systemctl reload nginx", NULL },
                { "{preset: nginx, test: []}", "nginx", "", "systemctl reload nginx", NULL },
                { "{preset: nginx, reload: [nginx, -s, reload]}", "nginx", "nginx -t", "nginx -s reload", NULL },
                { "{preset: nginx, signal: {name: SIGHUP, pidfile: /p}}", "nginx", "nginx -t", "", "HUP" },
                { "{name: app}", "app", "", "", NULL },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct conf *c = load_services(row[i].service);
                const struct conf_service *s = &c->cert[0].target[0].service[0];
                assert_string_equal(s->name, row[i].name);
                joined_is(&s->test, row[i].test);
                joined_is(&s->reload, row[i].reload);
                assert_true(row[i].signal ? strcmp(s->signal_name, row[i].signal) == 0 : s->signal_name == NULL);
                assert_int_equal(c->cert[0].key_passphrase.source, SECRET_FILE);
                assert_string_equal(c->cert[0].key_passphrase.name, "/p");
                config_free(c);
        }
}

/* ---- the hash of a target ---- */

static void hash_of(const char *deploy, char ret[65])
{
        CLEANUP(free_p)
        char *text = text_format(
                "%scertificates:\n  a: {names: a.example, ca: le, publisher: site, deploy: %s}\n", sections, deploy);
        struct conf_problems p = { 0 };
        struct conf *c = NULL;

        assert_true(config_load_text("f", text, strlen(text), test_all_kinds, &c, &p));
        target_hash(&c->cert[0].target[0], ret);
        config_free(c);
}

static void a_targets_hash_changes_with_everything_in_it_and_nothing_else(void **state)
{
        static const char *const same[] = { "{directory: /d}", "[{directory: /d, owner: root, mode: \"0600\"}]",
                "[{directory: /d/, services: []}]" };
        static const char *const other[] = { "{directory: /e}", "{directory: /d, owner: www}",
                "{directory: /d, group: www}", "{directory: /d, mode: \"0640\"}", "{directory: /d, files: {a: key}}",
                "{directory: /d, files: {a: cert}}", "{directory: /d, files: {b: cert}}",
                "{directory: /d, links: {/l: cert.pem}}", "{directory: /d, links: {/m: cert.pem}}",
                "{directory: /d, links: {/m: chain.pem}}", "{directory: /d, services: [{preset: nginx}]}",
                "{directory: /d, services: [{name: nginx, test: [nginx, -t], reload: [systemctl, reload, nginx]}]}",
                "{directory: /d, services: [{preset: nginx, test: [a]}]}",
                "{directory: /d, services: [{preset: nginx, test: [a, b]}]}",
                "{directory: /d, services: [{preset: nginx, test: [a b]}]}",
                "{directory: /d, services: [{preset: nginx, verify: []}]}",
                "{directory: /d, services: [{preset: nginx, verify: \"127.0.0.1:443\"}]}",
                "{directory: /d, services: [{preset: nginx, verify: \"127.0.0.1:443/smtp\"}]}",
                "{directory: /d, services: [{name: x, preset: nginx}]}",
                "{directory: /d, services: [{name: x, signal: {name: HUP, pidfile: /p}}]}",
                "{directory: /d, services: [{name: x, signal: {name: USR1, pidfile: /p}}]}" };
        char first[65], hash[ARRAY_LEN(other)][65];

        (void)state;
        hash_of(same[0], first);
        for (size_t i = 1; i < ARRAY_LEN(same); i++) {
                hash_of(same[i], hash[0]);
                assert_string_equal(hash[0], first);
        }
        for (size_t i = 0; i < ARRAY_LEN(other); i++) {
                hash_of(other[i], hash[i]);
                assert_string_not_equal(hash[i], first);
                for (size_t j = 0; j < i; j++)
                        assert_string_not_equal(hash[i], hash[j]);
        }
}

/* ---- --print-config and --print-schema ---- */

static char *print_everything(void)
{
        CLEANUP(free_p) char *text = NULL;
        struct conf_problems p = { 0 };
        struct buf out = { 0 };
        size_t len;

        assert_true(file_read(DATA "everything.yaml", CONF_FILE_MAX, &text, &len, NULL));
        *(strstr(text, "\n  detectors:") + 1) = '\0';
        put("main.yaml", text);
        bool good = config_print(at("main.yaml"), test_all_kinds, &out, &p);
        for (size_t i = 0; i < p.text.count; i++)
                print_message("%s\n", p.text.item[i]);
        assert_true(good);
        return buf_steal(&out);
}

static void the_printed_configuration_marks_every_value(void **state)
{
        CLEANUP(free_p) char *text = print_everything();
        size_t values = 0;

        (void)state;
        for (char *save = NULL, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                if (line[strlen(line) - 1] == ':')
                        continue; /* a map begins */
                char *mark = strstr(line, " # ");
                bool own = mark && (strcmp(mark, " # default") == 0 || text_starts(mark, " # default: "));
                if (!mark || !(own || text_starts(mark + 3, at("main.yaml:"))))
                        fail_msg("no origin: %s", line);
                values++;
        }
        assert_true(values > 100);
}

static void the_printed_configuration_is_yaml_with_secrets_hidden(void **state)
{
        CLEANUP(free_p) char *text = print_everything();
        struct conf_problems p = { 0 };

        (void)state;
        struct yaml_tree *t = yaml_read("printed", text, strlen(text), &p);
        assert_non_null(t);
        assert_int_equal(p.text.count, 0);
        yaml_tree_free(t);
        assert_non_null(strstr(text, "    secret_id: \"***\" # "));
        assert_non_null(strstr(text, "      hmac_key: \"***\" # "));
        assert_non_null(strstr(text, "      passphrase: null # default\n"));
        assert_null(strstr(text, "tencent-id"));
        assert_null(strstr(text, "/etc/dcvd/eab"));
        assert_non_null(strstr(text, "  settle: 0s # "));
        assert_non_null(strstr(text, "            test: [nginx, \"-t\"] # default\n"));
        assert_non_null(strstr(text, "          - name: nginx # default\n"));
        assert_non_null(strstr(text, "        mode: \"0640\" # "));
        assert_non_null(strstr(text,
                "    ca: [tencent, {use: letsencrypt, validation: file, publisher: self, key: {type: ec-p256}}] # "));
        assert_non_null(strstr(text, "    validation: dns # "));
}

/* A printed configuration without secrets can be loaded and means the same. */
static void what_was_printed_loads_as_the_same(void **state)
{
        struct conf_problems p = { 0 };
        struct conf *a = NULL, *b = NULL;
        struct buf once = { 0 }, twice = { 0 };

        (void)state;
        assert_true(config_print(DATA "smallest.yaml", test_all_kinds, &once, &p));
        put("main.yaml", once.data);
        assert_non_null(strstr(once.data, "      type: null # default: the CA's rule\n"));
        assert_true(config_load(DATA "smallest.yaml", test_all_kinds, &a, &p));
        bool good = try_load(&b, &p);
        for (size_t i = 0; i < p.text.count; i++)
                print_message("%s\n", p.text.item[i]);
        assert_true(good);
        char mine[65], yours[65];
        target_hash(&a->cert[0].target[0], mine);
        target_hash(&b->cert[0].target[0], yours);
        assert_string_equal(mine, yours);
        assert_int_equal(a->cert[0].validation, b->cert[0].validation);
        assert_true(config_print(at("main.yaml"), test_all_kinds, &twice, &p));
        config_free(a);
        config_free(b);
        buf_done(&once);
        buf_done(&twice);
}

static json_t *dig(json_t *from, const char *const *path, size_t count)
{
        for (size_t i = 0; i < count; i++)
                from = json_object_get(from, path[i]);
        return from;
}
#define DIG(from, ...)                                                                                                 \
        dig(from, (const char *const[]){ __VA_ARGS__ }, ARRAY_LEN(((const char *const[]){ __VA_ARGS__ })))

static void the_schema_follows_the_tables(void **state)
{
        CLEANUP(free_p) char *text = config_schema_json(test_all_kinds);
        json_t *s = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;

        (void)state;
        assert_non_null(s);
        assert_string_equal(
                json_string_value(json_object_get(s, "$schema")), "https://json-schema.org/draft/2020-12/schema");
        assert_true(json_is_false(json_object_get(s, "additionalProperties")));
        json_t *jobs = DIG(s, "properties", "limits", "properties", "jobs");
        assert_string_equal(json_string_value(json_object_get(jobs, "type")), "integer");
        assert_int_equal(json_integer_value(json_object_get(jobs, "maximum")), 1000);
        json_t *cas = DIG(s, "properties", "cas", "additionalProperties", "anyOf");
        assert_int_equal(json_array_size(cas), 2);
        assert_string_equal(json_string_value(DIG(json_array_get(cas, 0), "properties", "type", "const")), "acme");
        json_t *cert = DIG(s, "properties", "certificates", "additionalProperties");
        assert_int_equal(json_array_size(json_object_get(cert, "required")), 2);
        json_t *target = json_array_get(DIG(cert, "properties", "deploy", "anyOf"), 0);
        assert_non_null(DIG(target, "properties", "services", "items", "properties", "preset"));
        assert_non_null(DIG(s, "properties", "alerts", "properties", "webhooks"));
        json_decref(s);
}

/* ---- size ---- */

static void put_many(int files, int per_file)
{
        int n = 0;

        for (int f = 0; f < files; f++) {
                struct buf b = { 0 };
                char name[32];
                snprintf(name, sizeof name, "conf.d/%04d.yaml", f);
                buf_add(&b, "certificates:\n");
                for (int i = 0; i < per_file; i++, n++)
                        buf_addf(&b,
                                "  cert-%05d:\n    names: [www.host%d.example.com, host%d.example.com]\n    ca: le\n"
                                "    publisher: site\n    deploy:\n      - directory: /etc/nginx/tls/cert-%05d\n"
                                "        services: [{preset: nginx}]\n",
                                n, n, n, n);
                put(name, b.data);
                buf_done(&b);
        }
}

static long cpu_ms(void)
{
        struct timespec t;

        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void ten_thousand_certificates_load_quickly(void **state)
{
        struct conf_problems p = { 0 };
        struct conf *c = NULL;

        (void)state;
        put_main(sections);
        put_many(10, 1000);
        long start = cpu_ms();
        assert_true(try_load(&c, &p));
        long took = cpu_ms() - start;
        assert_int_equal(c->cert_count, 10000);
        for (size_t i = 1; i < c->cert_count; i++)
                assert_true(strcmp(c->cert[i - 1].name, c->cert[i].name) < 0);
        assert_string_equal(config_cert(c, "cert-09999")->names.item[1], "host9999.example.com");
        /* Equal parts are one. */
        assert_ptr_equal(c->cert[0].target[0].file, c->cert[9999].target[0].file);
        assert_ptr_equal(c->cert[0].target[0].service, c->cert[9999].target[0].service);
        print_message("10,000 certificates in %ld ms\n", took);
        assert_true(took < 8000); /* with sanitizers; far below a second without */
        config_free(c);
}

/* ---- did it change ---- */

static void every_change_of_its_files_is_seen(void **state)
{
        static const struct {
                const char *name, *text; /* NULL: taken away */
                bool same;
        } row[] = {
                { "conf.d/ignored.txt", "nonsense: [\n", true },
                { "conf.d/a.yaml", "limits: {jobs: 4}\n", false }, /* as long as before */
                { "conf.d/b.yaml", "limits: {cooldown: 1h}\n", false },
                { "conf.d/b.yaml", NULL, false },
                { "main.yaml", sections, false },
        };
        struct conf_problems p = { 0 };

        (void)state;
        put_main(sections);
        put("conf.d/a.yaml", "limits: {jobs: 3}\n");
        clock_fake(4000000000000, -1); /* no file is young */
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                struct conf *c = NULL;
                assert_true(try_load(&c, &p));
                assert_true(config_unchanged(c));
                if (row[i].text)
                        put(row[i].name, row[i].text);
                else
                        assert_int_equal(unlink(at(row[i].name)), 0);
                if (config_unchanged(c) != row[i].same)
                        fail_msg("row %zu", i);
                config_free(c);
        }
        clock_fake(-1, -1);
}

/* Told by the date of the directory; it is listed only where that may not tell. */
static void what_a_pattern_matches_is_listed_when_it_may_have_changed(void **state)
{
        static const struct {
                const char *pattern, *touched;
                unsigned listed;
                bool same;
        } row[] = {
                { "conf.d/*.yaml", NULL, 0, true }, { "conf.d/*.yaml", "elsewhere.yaml", 0, true },
                { "conf.d/*.yaml", "conf.d/b.yaml", 1, false }, { "conf.d/*.yaml", "conf.d/other.txt", 1, true },
                { "conf.d/a.yam?", "conf.d/b.yaml", 1, true }, { "conf.d/[b].yaml", "conf.d/b.yaml", 1, false },
                { "conf.d/a.yaml", "conf.d/b.yaml", 0, true }, /* one file */
                { "*/a.yaml", NULL, 1, true }, /* in whatever directory */
                { "*/a.yaml", "more.d/a.yaml", 1, false }, { "conf\\.d/*.yaml", NULL, 1, true },
                { "conf\\.d/*.yaml", "conf.d/b.yaml", 1, false }, { "absent.d/*.yaml", NULL, 1, true },
                { "more.d/*.yaml", "more.d/b.yaml", 1, false }, /* made meanwhile */
        };
        struct conf_problems p = { 0 };

        (void)state;
        assert_int_equal(mkdir(at("conf\\.d"), 0755), 0); /* not what the pattern means */
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                CLEANUP(free_p) char *text = text_format("include: '%s/%s'\n%s", place, row[i].pattern, sections);
                struct conf *c = NULL;
                put_main(sections);
                put("main.yaml", text);
                put("conf.d/a.yaml", "limits: {jobs: 3}\n");
                clock_fake(4000000000000, -1); /* nothing is young */
                assert_true(try_load(&c, &p));
                let_a_tick_pass();
                if (row[i].touched && text_starts(row[i].touched, "more.d"))
                        (void)mkdir(at("more.d"), 0755);
                if (row[i].touched)
                        put(row[i].touched, "limits: {cooldown: 1h}\n");
                globs = 0;
                bool same = config_unchanged(c);
                if (same != row[i].same || globs != row[i].listed)
                        fail_msg("row %zu: %s, listed %u times", i, same ? "unchanged" : "changed", globs);
                config_free(c);
                clock_fake(-1, -1);
                if (row[i].touched)
                        assert_int_equal(unlink(at(row[i].touched)), 0);
                (void)rmdir(at("more.d"));
        }
}

static int64_t changed_of(const struct stat *st)
{
        return st->st_ctim.tv_sec * 1000 + st->st_ctim.tv_nsec / 1000000;
}

/* A file that comes within a tick of the last change need not change its date again. */
static void a_young_directory_is_listed(void **state)
{
        struct conf_problems p = { 0 };
        int64_t written_ms, changed_ms;
        struct stat st;

        (void)state;
        put_main(sections);
        put("conf.d/a.yaml", "limits: {jobs: 3}\n");
        assert_int_equal(stat(at("conf.d/a.yaml"), &st), 0);
        written_ms = changed_of(&st);
        do { /* a tick may be less than a millisecond: the file must be older by one, else it is what is too young */
                put("conf.d/other.txt", "");
                assert_int_equal(unlink(at("conf.d/other.txt")), 0);
                assert_int_equal(stat(at("conf.d"), &st), 0);
                changed_ms = changed_of(&st);
        } while (st.st_ctim.tv_nsec == 0 || changed_ms <= written_ms);
        for (int age_ms = 19; age_ms <= 20; age_ms++) {
                struct conf *c = NULL;
                clock_fake(changed_ms + age_ms, -1);
                assert_true(try_load(&c, &p));
                globs = 0;
                (void)config_unchanged(c);
                assert_int_equal(globs, age_ms == 19);
                config_free(c);
        }
        clock_fake(-1, -1);
}

/* One that another takes the place of, by a link above it. */
static void a_file_that_is_another_one_now_is_seen(void **state)
{
        struct conf_problems p = { 0 };
        struct conf *c = NULL;

        (void)state;
        put("one.yaml", sections);
        put("two.yaml", sections);
        assert_int_equal(symlink(at("one.yaml"), at("main.yaml")), 0);
        clock_fake(4000000000000, -1);
        assert_true(try_load(&c, &p));
        assert_true(config_unchanged(c));
        assert_int_equal(unlink(at("main.yaml")), 0);
        assert_int_equal(symlink(at("two.yaml"), at("main.yaml")), 0);
        assert_false(config_unchanged(c));
        clock_fake(-1, -1);
        config_free(c);
}

/* Written again within one tick of the file system's clock it would look the same. */
static void a_young_file_is_never_said_to_be_unchanged(void **state)
{
        struct conf_problems p = { 0 };
        struct conf *c = NULL;
        struct stat st;

        (void)state;
        put_main(sections);
        put("conf.d/a.yaml", "limits: {jobs: 3}\n");
        do { /* by chance dated to a whole second: the next test is of that */
                put("conf.d/a.yaml", "limits: {jobs: 4}\n");
                assert_int_equal(stat(at("conf.d/a.yaml"), &st), 0);
        } while (st.st_ctim.tv_nsec == 0);
        int64_t changed_ms = st.st_ctim.tv_sec * 1000 + st.st_ctim.tv_nsec / 1000000;
        for (int age_ms = 18; age_ms <= 20; age_ms++) {
                clock_fake(changed_ms + age_ms, -1);
                assert_true(try_load(&c, &p));
                assert_int_equal(config_unchanged(c), age_ms == 20);
                config_free(c);
        }
        clock_fake(changed_ms - 5000, -1); /* a clock that was set back: what is written now may be dated as before */
        assert_true(try_load(&c, &p));
        assert_false(config_unchanged(c));
        config_free(c);
        clock_fake(-1, -1);
        assert_true(config_load_text("text", sections, strlen(sections), test_all_kinds, &c, &p));
        assert_false(config_unchanged(c));
        config_free(c);
}

/* A file system that keeps no fractions of a second needs seconds. */
static void a_date_is_settled_when_the_next_one_must_differ(void **state)
{
        static const struct {
                struct timespec changed;
                int64_t now_ms;
                bool settled;
        } row[] = {
                { { 1000, 1 }, 1000000, false }, { { 1000, 1 }, 1000019, false }, { { 1000, 1 }, 1000020, true },
                { { 1000, 999999999 }, 1001018, false }, { { 1000, 999999999 }, 1001019, true },
                { { 1000, 0 }, 1000020, false }, { { 1000, 0 }, 1001999, false }, { { 1000, 0 }, 1002000, true },
                { { 1000, 1 }, 1000, false }, /* dated in the future */
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(row); i++) {
                clock_fake(row[i].now_ms, -1);
                if (stamp_is_settled(&row[i].changed) != row[i].settled)
                        fail_msg("row %zu", i);
        }
        clock_fake(-1, -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(included_maps_are_merged, make_place, drop_place),
                cmocka_unit_test_setup_teardown(every_change_of_its_files_is_seen, make_place, drop_place),
                cmocka_unit_test_setup_teardown(a_file_that_is_another_one_now_is_seen, make_place, drop_place),
                cmocka_unit_test_setup_teardown(
                        what_a_pattern_matches_is_listed_when_it_may_have_changed, make_place, drop_place),
                cmocka_unit_test_setup_teardown(a_young_directory_is_listed, make_place, drop_place),
                cmocka_unit_test_setup_teardown(a_young_file_is_never_said_to_be_unchanged, make_place, drop_place),
                cmocka_unit_test(a_date_is_settled_when_the_next_one_must_differ),
                cmocka_unit_test_setup_teardown(a_name_given_twice_names_both_places, make_place, drop_place),
                cmocka_unit_test_setup_teardown(problems_of_all_files_are_told_at_once, make_place, drop_place),
                cmocka_unit_test_setup_teardown(
                        a_plain_include_must_exist_and_a_pattern_need_not, make_place, drop_place),
                cmocka_unit_test(a_file_that_cannot_be_read_is_a_problem),
                cmocka_unit_test(systemd_names_the_directories),
                cmocka_unit_test(secrets_of_the_environment_are_taken_once_and_handed_on),
                cmocka_unit_test(names_are_found_and_near_ones_suggested),
                cmocka_unit_test(the_longest_suffix_wins),
                cmocka_unit_test(presets_fill_what_is_not_given),
                cmocka_unit_test(a_targets_hash_changes_with_everything_in_it_and_nothing_else),
                cmocka_unit_test_setup_teardown(the_printed_configuration_marks_every_value, make_place, drop_place),
                cmocka_unit_test_setup_teardown(
                        the_printed_configuration_is_yaml_with_secrets_hidden, make_place, drop_place),
                cmocka_unit_test_setup_teardown(what_was_printed_loads_as_the_same, make_place, drop_place),
                cmocka_unit_test(the_schema_follows_the_tables),
                cmocka_unit_test_setup_teardown(ten_thousand_certificates_load_quickly, make_place, drop_place),
        };

        (void)test_some_kinds;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
