/* dcvctl import: takes over the certificate the host has, read as the caller and handed over. What a CA's account holds
 * is import_account.c's, what other clients and servers have import_from.c's. */
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/json.h"
#include "agent/base/secret.h"
#include "agent/base/util.h"
#include "agent/cli/args.h"
#include "agent/cli/import_from.h"
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

static int from(const struct cli_options *o, const char *name, const json_t *names, bool write)
{
        const struct import_source *source = import_source_find(name);
        const char *where = json_string_value(json_array_get(names, 0));
        if (json_array_size(names) > 1)
                return cli_usage("import --from %s takes one %s at most", name, source ? "place" : "id");
        if (source)
                return cli_import_from(o, source, where, write);
        return cli_import_account(o, name, where, write);
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
        if (source && (cert || key || csr || passphrase))
                return cli_usage("--from finds certificates and keys itself: not with --cert, --key, --csr or "
                                 "--passphrase-file");
        if (source)
                return from(o, source, names, write);
        if (write)
                return cli_usage("--write goes with --from");
        if (json_array_size(names) != 1 || !cert || (!key && !csr))
                return cli_usage("import needs a certificate of the configuration, --cert FILE and --key FILE (or "
                                 "--csr FILE for a key held elsewhere)");
        CLEANUP(json_decref_p)
        json_t *args = json_pack("{s:O, s:s, s:s?, s:s?}", "cert", json_array_get(names, 0), "cert_file", cert,
                "key_file", key, "csr_file", csr); /* the paths are for messages alone */
        if (!put_file(args, "cert_pem", cert, false, &e) || !put_file(args, "key_pem", key, false, &e) ||
                !put_file(args, "csr_pem", csr, false, &e) || !put_file(args, "passphrase", passphrase, true, &e))
                return cli_fail(o, &e);
        return cli_simple(o, "import", args, NULL);
}
