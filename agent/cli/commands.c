/* The one table of commands. What the interface names and this build does not have yet is refused, never ignored. */
#include <stdio.h>

#include "agent/cli/cli.h"

int cli_later(const struct cli_options *o, int argc, char **argv)
{
        (void)o;
        (void)argc;
        fprintf(stderr, "dcvctl: %s is not in this build\n", argv[0]);
        return EXIT_USAGE;
}

#define LATER(name)                                                                                                    \
        {                                                                                                              \
                name, "", NULL, "", cli_later                                                                          \
        }

const struct cli_command cli_commands[] = {
        { "status", "[CERT...] [--watch] [--check] [--records]", "what is live, running, next, and who must act",
                "dcvctl status www\ndcvctl status --check --quiet || mail-somebody\n", cli_status },
        { "reissue",
                "CERT... | --all | --spki HEX | --issuer TEXT | --serial HEX|@FILE [--reason TEXT] [--key-compromised] "
                "[--force] [--local]",
                "replaces certificates at their CA",
                "dcvctl reissue www --key-compromised --reason \"key in a public repository\"\ndcvctl reissue www "
                "--dry-run\n",
                cli_reissue },
        { "import", "CERT --cert FILE --key FILE [--csr FILE] [--passphrase-file FILE] | --from tencent [ID]",
                "takes over the certificate the host has, or lists what the CA's account holds",
                "dcvctl import www --cert /etc/nginx/www.pem --key /etc/nginx/www.key\ndcvctl import --from tencent "
                "a1B2c3D4\n",
                cli_import },
        { "history", "[CERT] [--since TIME]", "the audit trail", "dcvctl history www --since 3d\n", cli_history },
        { "cancel", "CERT", "stops its job, withdraws tokens, cancels the order where the CA can",
                "dcvctl cancel www\n", cli_cancel },
        { "verify", "[CERT...]", "looks at what every endpoint serves and compares", "dcvctl verify\n", cli_verify },
        { "deploy", "CERT [--set N]", "puts a set to use again, without a new order", "dcvctl deploy www --set 12\n",
                cli_deploy },
        { "sets", "CERT", "lists the sets that are kept", "dcvctl sets www\n", cli_sets },
        { "withdraw", "CERT | --stale", "removes tokens of ours that a crash or a person left behind",
                "dcvctl withdraw --stale\n", cli_withdraw },
        { "forget", "CERT [--purge]", "retires a certificate that is no longer configured",
                "dcvctl forget old --purge\n", cli_forget },
        LATER("check"),
        LATER("rehearse"),
        LATER("issue"),
        LATER("incidents"),
        LATER("incident"),
        LATER("confirm"),
        LATER("dismiss"),
        LATER("report"),
        LATER("revoke"),
        LATER("publish"),
        LATER("publishers"),
        LATER("account"),
        LATER("alert"),
        LATER("notify"),
        LATER("snippet"),
        { NULL, NULL, NULL, NULL, NULL },
};
