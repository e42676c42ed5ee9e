/* dcvctl import --from SOURCE [WHERE]: what another client or a web server has here, as a configuration of dcvd. The
 * one array of sources. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/util.h"
#include "agent/cli/cli.h"
#include "agent/cli/import_check.h"
#include "agent/cli/import_from.h"
#include "config/config.h"

const struct import_source *const import_sources[] = {
        &import_certbot,
        &import_lego,
        &import_acme_sh,
        &import_dehydrated,
        &import_nginx,
        &import_apache,
        &import_haproxy,
        NULL,
};

const struct import_source *import_source_find(const char *name)
{
        for (const struct import_source *const *s = import_sources; *s; s++)
                if (strcmp((*s)->name, name) == 0)
                        return *s;
        return NULL;
}

/* The named one, or the usual one; absolute. */
static char *where_of(struct import *im, const struct import_source *s, const char *named)
{
        char here[4096];
        const char *home = getenv("HOME");
        if (!named && text_starts(s->where, "~/"))
                return import_path(im, home && home[0] == '/' ? home : "/root", s->where + 2);
        return import_path(im, getcwd(here, sizeof here) ? here : "/", named ? named : s->where);
}

/* Servers that are here by their usual files: they say who uses what. */
static void look_at_servers(struct import *im)
{
        struct err e;
        for (const struct import_source *const *s = import_sources; *s; s++)
                if (!(*s)->program && import_exists(im, (*s)->where) && !(*s)->read(im, (*s)->where, &e))
                        import_left(im, "%s%s%s", e.text, e.fix[0] ? "; " : "", e.fix);
}

/* What is named is not there, or it is a folder where a file is meant. */
static bool name_the_place(const struct import_source *s, const char *where, struct err *e)
{
        struct stat st;
        if (strcmp(e->code, "file.absent") == 0)
                return err_fix(e, "name the place: dcvctl import --from %s WHERE", s->name);
        if (!s->program && stat(where, &st) == 0 && S_ISDIR(st.st_mode))
                return err_fix(e, "name the file that the server reads first, such as %s", s->where);
        return false;
}

static bool gather(struct import *im, const struct import_source *s, const char *where, struct err *e)
{
        if (!s->read(im, where, e))
                return name_the_place(s, where, e);
        import_load(im);
        if (s->program)
                look_at_servers(im);
        import_match(im, !s->program);
        import_confirm(im);
        for (const struct import_source *const *other = import_sources; *other; other++)
                if ((*other)->program && (!s->program || *other == s))
                        import_timers(im, (*other)->program);
        return im->failed ? err_memory(e) : true;
}

/* ---- telling ---- */

static void print_lines(FILE *to, const char *head, const struct texts *lines)
{
        for (size_t i = 0; i < lines->count; i++)
                fprintf(to, "%s%s\n", head, lines->item[i]);
}

/* Comments must not make the file too large for its configuration; the last one is what was told last. */
static void add_comments(struct buf *to, const char *head, const struct texts *lines, size_t until)
{
        for (size_t i = 0; i < lines->count; i++) {
                if (to->len > until && i + 1 < lines->count) {
                        buf_addf(to, "# ... (%zu more of these)\n", lines->count - 1 - i);
                        i = lines->count - 1;
                }
                buf_addf(to, "# %s: %s\n", head, lines->item[i]);
        }
}

static char *text_of(const struct import *im, const char *source, const char *where, const json_t *configuration)
{
        struct buf b = { .max = (size_t)16 * 1024 * 1024 };
        buf_addf(&b, "# made by dcvctl import --from %s ", source);
        buf_add_escaped(&b, where, strlen(where), 1000);
        buf_addc(&b, '\n');
        add_comments(&b, "not taken over", &im->left, CONF_FILE_MAX / 5);
        add_comments(&b, "to do", &im->next, 2 * CONF_FILE_MAX / 5);
        (void)import_yaml(configuration, &b); /* seen by the buffer */
        return buf_steal(&b);
}

static json_t *certificates_of(const struct import *im)
{
        json_t *list = json_array();
        for (size_t i = 0; i < im->cert_count; i++) {
                const struct import_cert *c = &im->cert[i];
                json_t *one = json_pack("{s:s, s:s, s:s, s:s}", "name", c->name, "cert", c->cert, "key", c->key,
                        "sha256", c->chain.leaf.sha256);
                json_put_i64(one, "not_after", c->chain.leaf.not_after_s);
                json_array_append_new(list, one);
        }
        return list;
}

static void print_written(FILE *to, const struct import *im, const json_t *report)
{
        size_t i;
        json_t *line;
        if (json_str(report, "written"))
                fprintf(to, "%s is written\n", json_str(report, "written"));
        json_array_foreach(json_object_get(report, "imported"), i, line)
        {
                fprintf(to, "%s\n", json_str(line, "text"));
        }
        print_lines(to, "not taken over: ", &im->left);
        print_lines(to, "to do: ", &im->next);
}

static int finish(const struct cli_options *o, const struct import_source *s, struct import *im, const char *where,
        json_t *configuration, bool write)
{
        int status = EXIT_GOOD;
        CLEANUP(free_p) char *text = text_of(im, s->name, where, configuration);
        CLEANUP(json_decref_p)
        json_t *report = json_pack("{s:s, s:s, s:O, s:s, s:o}", "from", s->name, "where", where, "configuration",
                configuration, "yaml", text ? text : "", "certificates", certificates_of(im));
        if (write && !o->dry_run) {
                status = import_write(o, im, s->name, text, report);
                if (!json_str(report, "written"))
                        return status; /* nothing was done, and it was told why */
                for (size_t i = 0; i < im->cert_count; i++)
                        import_next(im, "when it suits you: dcvctl deploy %s (puts it where its servers read it)",
                                im->cert[i].name);
        }
        json_object_set_new(report, "left", json_texts(&im->left));
        json_object_set_new(report, "next", json_texts(&im->next));
        json_put_i64(report, "exit", status);
        if (o->json)
                cli_print_json(report);
        else if (write && !o->dry_run)
                print_written(stdout, im, report);
        else
                fputs(text, stdout);
        return status;
}

static int nothing(
        const struct cli_options *o, const struct import *im, const struct import_source *s, const char *where)
{
        struct err e;
        for (size_t i = 0; i < im->left.count; i++)
                fprintf(stderr, "dcvctl: not taken over: %s\n", im->left.item[i]);
        err_set(&e, ERR_CONFIG, "import.nothing", "%s has no certificate that can be taken over", where);
        if (geteuid() != 0)
                (void)err_fix(&e, "root may read more: sudo dcvctl import --from %s %s", s->name, where);
        return cli_fail(o, &e);
}

int cli_import_from(const struct cli_options *o, const struct import_source *s, const char *named, bool write)
{
        struct import im = { 0 };
        struct conf *old = NULL;
        struct err e;
        int status = EXIT_USAGE;
        CLEANUP(json_decref_p) json_t *configuration = NULL;
        CLEANUP(free_p) char *where = where_of(&im, s, named);
        if (!where) {
                status = cli_usage("%s is no usable path", named ? named : s->where);
        } else if (write && access(o->config, F_OK) == 0 && !cli_config(o, &old, &e)) {
                status = cli_fail(o, &e);
        } else if (!gather(&im, s, where, &e) ||
                !import_configuration(&im, s->program != NULL, old, &configuration, &e)) {
                status = cli_fail(o, &e);
        } else if (im.cert_count == 0) {
                status = nothing(o, &im, s, where);
        } else {
                if (!s->program && json_object_get(configuration, "cas"))
                        import_next(&im, "read the terms of the CA, then set terms_agreed: true in cas");
                status = finish(o, s, &im, where, configuration, write);
        }
        config_free(old);
        import_done(&im);
        return status;
}
