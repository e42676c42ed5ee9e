/* dcvctl import --from CA [ID]: lists what an account holds; of one certificate, prints the configuration or writes it
 * into the included directory. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/import_check.h"
#include "agent/cli/import_from.h"
#include "agent/cli/simple.h"
#include "agent/job/engine.h"
#include "config/config.h"
#include "validators/proof.h"

#define ANSWER_MAX ((size_t)16 * 1024 * 1024)

/* ---- the list ---- */

void print_listing(FILE *to, const json_t *answer)
{
        size_t i, k;
        json_t *c, *n;
        char ends[64], until[64];
        json_array_foreach(json_object_get(answer, "certificates"), i, c)
        {
                const char *rule = json_str(c, "rule"), *product = json_str(c, "product"),
                           *domain = json_str(c, "domain");
                bool no = rule && rule[0];
                if (i == 0)
                        fprintf(to, "%-10s %-32s %-28s %-27s %s\n", "ID", "NAMES", "PRODUCT", "ENDS", "REISSUABLE");
                fprintf(to, "%-10s %-32s %-28s %-27s %s%s\n", json_str(c, "id"), domain ? domain : "-",
                        product ? product : "-", cli_when(json_i64(c, "not_after", 0), ends), no ? "no, " : "until ",
                        no ? json_str(c, "rule_text") : cli_when(json_i64(c, "reissuable_until", 0), until));
                json_array_foreach(json_object_get(c, "names"), k, n)
                {
                        if (!domain || strcmp(domain, json_string_value(n)) != 0)
                                fprintf(to, "%-10s %s\n", "", json_string_value(n));
                }
        }
        if (i == 0)
                fprintf(to, "the account holds no certificate\n");
        else
                fprintf(to,
                        "\ndcvctl import --from %s ID prints the configuration of one, with --write puts it there.\n",
                        json_str(answer, "ca"));
}

/* The search finds what contains the text; an id is one certificate or none. */
static bool keep_only(json_t *answer, const char *source, const char *id, struct err *e)
{
        json_t *list = json_object_get(answer, "certificates");
        for (size_t i = json_array_size(list); i-- > 0;) {
                const char *this = json_str(json_array_get(list, i), "id");
                if (!this || strcmp(this, id) != 0)
                        json_array_remove(list, i);
        }
        if (json_array_size(list) > 0)
                return true;
        err_set(e, ERR_CONFIG, "import.id", "the account holds no certificate %s", id);
        return err_fix(e, "dcvctl import --from %s lists what it holds", source);
}

static bool ask(const struct cli_options *o, const char *source, const char *id, json_t **ret, struct err *e)
{
        struct session *s = NULL;
        CLEANUP(json_decref_p) json_t *r = NULL;
        CLEANUP(json_decref_p) json_t *args = json_pack("{s:s, s:s?}", "ca", source, "search", id);
        struct cli_options mine = *o;
        mine.look = true;
        if (!session_open(&s, &mine, true, e))
                return false;
        bool good = session_ask(s, "list", args, &r, e) && (!id || keep_only(r, source, id, e));
        session_close(s);
        if (good)
                *ret = STEAL(r);
        return good;
}

/* ---- the configuration of one ---- */

/* "*.shop.example.com" -> "shop-example-com": a name of the configuration, and of its file, out of anything. */
static void plain_name(const char *domain, char ret[60])
{
        size_t len = 0;
        for (const char *at = domain ? domain : ""; *at && len < 59; at++)
                if (isalnum((unsigned char)*at) || (len > 0 && (*at == '-' || *at == '.')))
                        ret[len++] = (char)(*at == '.' ? '-' : *at);
        ret[len] = '\0';
        if (len == 0)
                snprintf(ret, 60, "certificate");
}

static char *free_name(const char *domain, const struct conf *conf)
{
        char plain[60];
        plain_name(domain, plain);
        char *name = text_dup(plain);
        for (unsigned n = 2; name && conf && config_cert(conf, name); n++) {
                free(name);
                name = text_format("%s-%u", plain, n);
        }
        return name;
}

/* The publisher of the configuration that can do it without a person, else one that wants a person; NULL: none. */
static const char *publisher_for(const struct conf *conf, bool file)
{
        const char *byhand = NULL;
        unsigned wanted = file ? PROOF_FILE : PROOF_TXT | PROOF_CNAME;
        for (size_t i = 0; conf && i < conf->publisher_count; i++) {
                const struct conf_backend *p = &conf->publisher[i];
                if (!(p->kind->can & wanted))
                        continue;
                if (strcmp(p->kind->type, "manual") != 0)
                        return p->name;
                byhand = byhand ? byhand : p->name;
        }
        return byhand;
}

static json_t *target_for(const char *name, struct texts *todo)
{
        static const struct {
                const char *preset, *home;
        } servers[] = { { "nginx", "/etc/nginx" }, { "apache", "/etc/apache2" }, { "haproxy", "/etc/haproxy" } };
        for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
                if (access(servers[i].home, F_OK) < 0)
                        continue;
                CLEANUP(free_p) char *directory = text_format("%s/tls/%s", servers[i].home, name);
                return json_pack("{s:s, s:[{s:s}]}", "directory", directory, "services", "preset", servers[i].preset);
        }
        CLEANUP(free_p) char *directory = text_format("/etc/dcvd/tls/%s", name);
        CLEANUP(free_p)
        char *line =
                text_format("neither nginx, apache nor haproxy is here: add services: to deploy that reload what uses "
                            "%s",
                        directory);
        return line && texts_add(todo, line) ? json_pack("{s:s}", "directory", directory) : NULL;
}

static bool say(struct texts *todo, char *line_own)
{
        CLEANUP(free_p) char *line = line_own;
        return line && texts_add(todo, line);
}

const struct conf_cert *account_configured(const struct conf *conf, const json_t *answer)
{
        const char *id = json_str(json_array_get(json_object_get(answer, "certificates"), 0), "id");
        for (size_t i = 0; conf && id && i < conf->cert_count; i++)
                if (conf->cert[i].certificate_id && strcmp(conf->cert[i].certificate_id, id) == 0)
                        return &conf->cert[i];
        return NULL;
}

bool account_configuration(
        const json_t *answer, const struct conf *conf, json_t **ret, char **ret_name, struct texts *todo, struct err *e)
{
        const json_t *c = json_array_get(json_object_get(answer, "certificates"), 0);
        const char *id = json_str(c, "id"), *validation = json_str(c, "validation"), *rule = json_str(c, "rule");
        CLEANUP(free_p) char *name = free_name(json_str(c, "domain"), conf);
        bool file = validation && strcmp(validation, "file") == 0, good = name != NULL;
        const char *publisher = publisher_for(conf, file);
        CLEANUP(json_decref_p)
        json_t *one = json_pack("{s:O, s:s, s:s, s:s}", "names", json_object_get(c, "names"), "ca",
                json_str(answer, "ca"), "certificate_id", id, "validation", validation ? validation : "dns");
        if (validation && strcmp(validation, "dns-auto") == 0)
                publisher = NULL; /* the CA writes the record itself */
        else if (!publisher) {
                publisher = file ? "site" : "zone";
                good = good &&
                        say(todo,
                                text_format("add publisher %s to the configuration, one that can put a %s out",
                                        publisher, file ? "file" : "DNS record"));
        }
        if (publisher)
                json_put_text(one, "publisher", publisher);
        json_object_set_new(one, "deploy", json_pack("[o]", name ? target_for(name, todo) : NULL));
        const struct conf_cert *same = account_configured(conf, answer);
        if (same)
                good = good &&
                        say(todo,
                                text_format(
                                        "nothing, if certificate %s is to stay: it has this id already", same->name));
        if (good && rule && rule[0])
                good = say(todo, text_format("as things are the CA would refuse: %s", json_str(c, "rule_text")));
        good = good &&
                say(todo,
                        text_format("sudo dcvctl import %s --cert FILE --key FILE (what is served now: the way back)",
                                name)) &&
                say(todo, text_format("dcvctl reissue %s --dry-run", name));
        *ret = good ? json_pack("{s:{s:O}}", "certificates", name, one) : NULL;
        if (!*ret)
                return err_memory(e);
        *ret_name = STEAL(name);
        return true;
}

static char *text_of(const char *source, const char *id, const struct texts *todo, const json_t *configuration)
{
        struct buf b = { .max = ANSWER_MAX };
        buf_addf(&b, "# made by dcvctl import --from %s %s\n", source, id);
        for (size_t i = 0; i < todo->count; i++)
                buf_addf(&b, "# to do: %s\n", todo->item[i]);
        (void)import_yaml(configuration, &b); /* seen by the buffer */
        return buf_steal(&b);
}

/* ---- writing it ---- */

/* Without a daemon the question is asked by a process that becomes user dcvd for good: a child of this one, which must
 * write the configuration as root afterwards. *ret_status is its exit if it failed, and said why. */
static bool ask_aside(const struct cli_options *o, const char *source, const char *id, json_t **ret, int *ret_status)
{
        int pair[2], status = 0;
        struct err e = { 0 };
        CLEANUP(json_decref_p) json_t *r = NULL;
        struct buf b = { .max = ANSWER_MAX };
        if (pipe2(pair, 0) < 0) {
                err_errno(&e, errno, "import", "asking %s", source);
                *ret_status = cli_fail(o, &e);
                return false;
        }
        pid_t pid = fork();
        if (pid == 0) {
                close_p(&pair[0]);
                if (!ask(o, source, id, &r, &e)) {
                        status = cli_fail(o, &e);
                        (void)fflush(stdout);
                        _exit(status);
                }
                _exit(json_dumpfd(r, pair[1], JSON_COMPACT) == 0 ? EXIT_GOOD : EXIT_JOB_FAILED);
        }
        close_p(&pair[1]);
        for (char data[16384];;) {
                ssize_t n = pid < 0 ? 0 : TEMP_FAILURE_RETRY(read(pair[0], data, sizeof data));
                if (n <= 0 || !buf_append(&b, data, (size_t)n))
                        break;
        }
        close_p(&pair[0]);
        bool ended = pid > 0 && TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)) == pid && WIFEXITED(status);
        *ret_status = ended ? WEXITSTATUS(status) : EXIT_JOB_FAILED;
        bool good = ended && *ret_status == EXIT_GOOD && json_read(b.data ? b.data : "", b.len, 10, ret, &e);
        if (!ended || (*ret_status == EXIT_GOOD && !good)) {
                err_set(&e, ERR_TEMPORARY, "import", "asking %s failed", source);
                *ret_status = cli_fail(o, &e);
        }
        buf_done(&b);
        return good;
}

static void tell_daemon(const struct cli_options *o, struct texts *todo)
{
        struct session *s = NULL;
        CLEANUP(json_decref_p) json_t *r = NULL;
        struct err e;
        bool told = session_open(&s, o, false, &e) && session_ask(s, "reload", NULL, &r, &e);
        session_close(s);
        if (!told)
                (void)texts_add(todo, "sudo systemctl enable --now dcvd dcvd-helper.socket"); /* no daemon has it yet */
}

static int finish(const struct cli_options *o, const char *source, const char *id, bool write, json_t *answer,
        const struct conf *conf)
{
        struct texts todo = { 0 };
        CLEANUP(json_decref_p) json_t *configuration = NULL;
        CLEANUP(free_p) char *name = NULL;
        CLEANUP(free_p) char *path = NULL;
        CLEANUP(free_p) char *text = NULL;
        struct err e;
        int status = EXIT_GOOD;
        bool good = account_configuration(answer, conf, &configuration, &name, &todo, &e);
        if (good && !(text = text_of(source, id, &todo, configuration)))
                good = err_memory(&e);
        const struct conf_cert *same = account_configured(conf, answer);
        if (good && write && same) {
                err_set(&e, ERR_CONFIG, "import.configured", "%s is certificate %s of the configuration already", id,
                        same->name);
                good = err_fix(&e, "dcvctl status %s", same->name);
        }
        if (good && write && !o->dry_run)
                good = import_put_file(o, name, text, &path, &e);
        if (!good) {
                status = cli_fail(o, &e);
        } else {
                if (path)
                        tell_daemon(o, &todo);
                json_put_text(answer, "written", path);
                json_object_set(answer, "configuration", configuration);
                json_put_text(answer, "yaml", text);
                json_object_set_new(answer, "next", json_texts(&todo));
                if (o->json)
                        cli_print_json(answer);
                else if (path)
                        printf("%s is written\n", path);
                else
                        fputs(text, stdout);
                for (size_t i = 0; path && !o->json && i < todo.count; i++)
                        printf("to do: %s\n", todo.item[i]);
        }
        texts_done(&todo);
        return status;
}

int cli_import_account(const struct cli_options *o, const char *source, const char *id, bool write)
{
        CLEANUP(json_decref_p) json_t *answer = NULL;
        struct conf_problems p = { 0 };
        struct conf *conf = NULL;
        struct err e;
        int status = EXIT_GOOD;
        if (write && !id)
                return cli_usage("import --from %s --write needs the certificate's id", source);
        if (write ? !ask_aside(o, source, id, &answer, &status) : !ask(o, source, id, &answer, &e))
                return write ? status : cli_fail(o, &e);
        if (!id)
                return cli_answer(o, answer, print_listing);
        /* A reader of the list need not be able to read the configuration; who writes to it is told what is wrong
         * there. */
        if (!write)
                (void)config_load(o->config, engine_kinds(), &conf, &p);
        else if (!cli_config(o, &conf, &e))
                return cli_fail(o, &e);
        conf_problems_done(&p);
        status = finish(o, source, id, write, answer, conf);
        config_free(conf);
        return status;
}
