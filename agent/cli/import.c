/* dcvctl import: takes over the certificate the host has, read as the caller and handed over; or lists what a CA's
 * account holds and prints the YAML. */
#include <stdio.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/cli/args.h"
#include "agent/cli/simple.h"
#include "agent/pki/chain.h"

#define PEM_MAX (256 * 1024)

static bool put_file(json_t *args, const char *key, const char *path, bool newline, struct err *e)
{
        CLEANUP(free_p) char *data = NULL;
        size_t len = 0;
        if (!path)
                return true;
        if (!file_read(path, PEM_MAX, &data, &len, e))
                return false;
        while (newline && len > 0 && (data[len - 1] == '\n' || data[len - 1] == '\r'))
                data[--len] = '\0';
        bool good = json_object_set_new(args, key, json_stringn(data, len)) == 0;
        wipe(data, len);
        return good || err_set(e, ERR_CONFIG, "import.file", "%s is not a text file", path);
}

/* ---- import --from tencent ---- */

static const char *wanted_id;

static void print_yaml(const json_t *answer, const json_t *c)
{
        size_t i;
        json_t *n;
        const char *domain = json_str(c, "domain");
        char name[65];
        size_t len = 0;
        for (const char *at = domain ? domain : "certificate"; *at && len < sizeof name - 1; at++)
                if (*at != '*' && (*at != '.' || len > 0))
                        name[len++] = *at == '.' ? '-' : *at;
        name[len] = '\0';
        printf("certificates:\n  %s:\n    names: [", name);
        json_array_foreach(json_object_get(c, "names"), i, n)
        {
                printf("%s\"%s\"", i ? ", " : "", json_string_value(n));
        }
        printf("]\n    ca: %s\n    certificate_id: %s\n    validation: %s\n    publisher: zone  # one of your "
               "publishers\n    deploy:\n"
               "      - directory: /etc/nginx/tls/%s\n        services: [{preset: nginx}]\n",
                json_str(answer, "ca"), json_str(c, "id"),
                json_str(c, "validation") ? json_str(c, "validation") : "dns", name);
}

static void print_listed(FILE *to, const json_t *answer)
{
        (void)to;
        size_t i;
        json_t *c;
        char ends[64], until[64];
        bool found = false;
        if (!wanted_id)
                printf("%-10s %-32s %-24s %-30s %s\n", "ID", "NAME", "PRODUCT", "ENDS", "REISSUABLE");
        json_array_foreach(json_object_get(answer, "certificates"), i, c)
        {
                if (wanted_id && strcmp(wanted_id, json_str(c, "id") ? json_str(c, "id") : "") != 0)
                        continue;
                found = true;
                if (wanted_id) {
                        print_yaml(answer, c);
                        continue;
                }
                const char *rule = json_str(c, "rule");
                printf("%-10s %-32s %-24s %-30s %s%s%s\n", json_str(c, "id"),
                        json_str(c, "domain") ? json_str(c, "domain") : "-",
                        json_str(c, "product") ? json_str(c, "product") : "-",
                        cli_when(json_i64(c, "not_after", 0), ends), rule && rule[0] ? "no, " : "until ",
                        rule && rule[0] ? json_str(c, "rule_text")
                                        : cli_when(json_i64(c, "reissuable_until", 0), until),
                        "");
        }
        if (!found)
                printf("nothing found\n");
        else if (!wanted_id)
                printf("\ndcvctl import --from tencent ID prints the configuration of one.\n");
}

static int from(const struct cli_options *o, const char *source, const json_t *names, bool write)
{
        static const char *const later[] = { "certbot", "lego", "acme.sh", "dehydrated", "nginx", "apache", "haproxy" };
        for (size_t i = 0; i < ARRAY_LEN(later); i++)
                if (strcmp(source, later[i]) == 0)
                        return cli_usage("import --from %s is not in this build", source);
        if (write)
                return cli_usage("--write is not in this build: put the printed YAML into the configuration");
        if (json_array_size(names) > 1)
                return cli_usage("import --from %s takes one id at most", source);
        wanted_id = json_string_value(json_array_get(names, 0));
        CLEANUP(json_decref_p) json_t *args = json_pack("{s:s, s:s?}", "ca", source, "search", wanted_id);
        return cli_simple(o, "list", args, print_listed);
}

int cli_import(const struct cli_options *o, int argc, char **argv)
{
        const char *cert = NULL, *key = NULL, *csr = NULL, *passphrase = NULL, *source = NULL;
        bool write = false;
        struct err e;
        const struct cli_arg options[] = { { "--cert", &cert, NULL }, { "--key", &key, NULL }, { "--csr", &csr, NULL },
                { "--passphrase-file", &passphrase, NULL }, { "--from", &source, NULL }, { "--write", NULL, &write },
                { NULL, NULL, NULL } };
        CLEANUP(json_decref_p) json_t *names = NULL;
        if (!cli_args(argc, argv, options, &names))
                return EXIT_USAGE;
        if (source)
                return from(o, source, names, write);
        if (json_array_size(names) != 1 || !cert || (!key && !csr))
                return cli_usage("import needs a certificate of the configuration, --cert FILE and --key FILE (or "
                                 "--csr FILE for a key held elsewhere)");
        CLEANUP(json_decref_p) json_t *args = json_pack("{s:O}", "cert", json_array_get(names, 0));
        if (!put_file(args, "cert_pem", cert, false, &e) || !put_file(args, "key_pem", key, false, &e) ||
                !put_file(args, "csr_pem", csr, false, &e) || !put_file(args, "passphrase", passphrase, true, &e))
                return cli_fail(o, &e);
        return cli_simple(o, "import", args, NULL);
}
