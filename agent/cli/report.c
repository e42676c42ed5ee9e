/* dcvctl report: an operator says that a key is compromised; dcvctl alert test: would an alert come through? The files
 * are read as the caller and handed over. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/cli/args.h"
#include "agent/cli/simple.h"

#define REPORT_MAX 65536
#define BODY_MAX 262144

static bool put_base64(json_t *args, const char *path, struct err *e)
{
        CLEANUP(free_p) char *data = NULL;
        size_t len = 0;
        if (!file_read(path, REPORT_MAX, &data, &len, e))
                return false;
        char *text = base64_encode(data, len);
        bool good = text && json_put_text(args, "base64", text);
        wipe(data, len); /* it may be a private key */
        if (text)
                wipe_free_text(text);
        return good || err_memory(e);
}

int cli_report(const struct cli_options *o, int argc, char **argv)
{
        const char *spki = NULL, *cert = NULL, *proof = NULL;
        const struct cli_arg known[] = { { "--spki", &spki, NULL }, { "--cert", &cert, NULL },
                { "--proof", &proof, NULL }, { NULL, NULL, NULL } };
        CLEANUP(json_decref_p) json_t *names = NULL;
        CLEANUP(json_decref_p) json_t *args = json_object();
        struct err e;
        if (!cli_args(argc, argv, known, &names))
                return EXIT_USAGE;
        const char *file = json_string_value(json_array_get(names, 0));
        int given = (spki != NULL) + (cert != NULL) + (proof != NULL) + (int)json_array_size(names);
        if (given != 1)
                return cli_usage("report takes one of FILE, --spki HEX, --cert FILE or --proof FILE");
        if (spki)
                json_put_text(args, "spki", spki);
        else if (!put_base64(args, file ? file : cert ? cert : proof, &e))
                return cli_fail(o, &e);
        json_put_bool(args, "must_prove", proof != NULL);
        return cli_simple(o, "report", args, NULL);
}

static void print_test(FILE *to, const json_t *r)
{
        int64_t status = json_i64(r, "status", 0);
        bool good = status == 200 || status == 202;
        fprintf(to, "%s: signed, sent to %s, answered %lld\n%s: %s\nnothing was done: this was a test\n",
                json_str(r, "webhook"), json_str(r, "url"), (long long)status,
                good ? "a real one would be taken" : "refused", json_str(r, "text"));
}

int cli_alert(const struct cli_options *o, int argc, char **argv)
{
        const char *body = NULL;
        const struct cli_arg known[] = { { "--body", &body, NULL }, { NULL, NULL, NULL } };
        CLEANUP(json_decref_p) json_t *names = NULL;
        CLEANUP(json_decref_p) json_t *args = json_object();
        CLEANUP(free_p) char *text = NULL;
        size_t len = 0;
        struct err e;
        if (!cli_args(argc, argv, known, &names))
                return EXIT_USAGE;
        const char *what = json_string_value(json_array_get(names, 0));
        const char *name = json_string_value(json_array_get(names, 1));
        if (json_array_size(names) != 2 || strcmp(what, "test") != 0)
                return cli_usage("alert takes: test NAME [--body FILE]");
        json_put_text(args, "name", name);
        if (body &&
                (!file_read(body, BODY_MAX, &text, &len, &e) ||
                        json_object_set_new(args, "body", json_stringn(text, len)) != 0))
                return text ? cli_usage("%s is not a text file", body) : cli_fail(o, &e);
        return cli_simple(o, "alert-test", args, print_test);
}
