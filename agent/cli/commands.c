/* The one table of commands. */
#include "agent/cli/cli.h"

const struct cli_command cli_commands[] = {
        { "status", "[CERT...] [--watch] [--check] [--records]", "what is live, running, next, and who must act",
                "--watch    again every two seconds, until Ctrl-C\n"
                "--check    exit 1 if one is failed, stuck, revoked, not served or under seven days\n"
                "--records  every token that is out: the exact record or file\n",
                "dcvctl status www\n"
                "dcvctl status --check --quiet || echo 'look at dcvctl status'\n",
                cli_status },
        { "reissue",
                "CERT... | --all | --spki HEX | --issuer TEXT | --serial HEX|@FILE\n"
                "              [--reason TEXT] [--key-compromised] [--force] [--downgrade]\n"
                "              [--local] [--staging]",
                "replaces certificates at their CA",
                "--all              every certificate of the configuration\n"
                "--spki HEX         those whose key has this SHA-256\n"
                "--issuer TEXT      those whose issuer contains this text\n"
                "--serial HEX       the one with this serial number; @FILE: a list, one a line\n"
                "--reason TEXT      for the audit trail\n"
                "--key-compromised  marks the key for ever: no certificate uses it again\n"
                "--force            lifts cooldown, storm brake and the rules that are not certain\n"
                "--downgrade        lets the next CA of the list leave out the organization's name, if the first "
                "refuses\n"
                "--local            the whole job in this process, without a daemon\n"
                "--staging          a whole order at the CA's staging directory; nothing is deployed\n",
                "dcvctl reissue www --key-compromised --reason \"key in a public repository\"\n"
                "dcvctl reissue www --dry-run\n"
                "dcvctl reissue --serial @affected.txt --yes --wait\n",
                cli_reissue },
        { "issue", "CERT [--force] [--local] [--staging]", "first certificate, at the first CA of its list that issues",
                "--force    even if there is one already\n"
                "--local    the whole job in this process, without a daemon\n"
                "--staging  a whole order at the CA's staging directory; nothing is deployed\n",
                "dcvctl issue www --dry-run\n"
                "dcvctl issue www --staging --wait\n"
                "dcvctl issue www --wait\n",
                cli_issue },
        { "import",
                "CERT --cert FILE --key FILE [--csr FILE] [--passphrase-file FILE]\n"
                "       dcvctl import --from tencent [ID [--write]]\n"
                "       dcvctl import --from certbot|lego|acme.sh|dehydrated|nginx|apache|haproxy [WHERE] [--write]",
                "takes over the certificate the host has, or prints a configuration for what is there",
                "--cert FILE             the certificate with its chain, PEM\n"
                "--key FILE              its private key, PEM\n"
                "--csr FILE              the request, for a key that is held elsewhere\n"
                "--passphrase-file FILE  opens an encrypted key\n"
                "--from tencent [ID]     lists the account's certificates; with ID prints the configuration of one\n"
                "--from SOURCE [WHERE]   what a client (its folder) or a server (its file) has here, as a "
                "configuration\n"
                "--write                 puts that into conf.d; takes over certificates and keys where they are here\n",
                "dcvctl import www --cert /etc/nginx/www.pem --key /etc/nginx/www.key\n"
                "dcvctl import --from tencent a1B2c3D4\n"
                "dcvctl import --from certbot\n"
                "sudo dcvctl import --from nginx /etc/nginx/nginx.conf --write\n",
                cli_import },
        { "history", "[CERT] [--since TIME]", "the audit trail",
                "--since TIME  from then on: 2026-11-23, 2026-11-23T07:00:00Z, or an age like 3d\n",
                "dcvctl history www --since 3d\n", cli_history },
        { "incidents", "[--all]", "reported keys, and how far each is", "--all  also those that are over\n",
                "dcvctl incidents\n", cli_incidents },
        { "incident", "ID [--evidence]", "one of them: what leaked, what is replaced, who must act, by when",
                "--evidence  the document for a report, as Markdown, from the audit trail alone; --json has it too\n",
                "dcvctl incident 3\n"
                "dcvctl incident 3 --evidence > incident-3.md\n",
                cli_incident },
        { "confirm", "ID", "answers what an incident asks: reissue, past the brake, or revoke", "",
                "dcvctl confirm 3 --dry-run\n"
                "dcvctl confirm 3 --yes\n",
                cli_confirm_incident },
        { "dismiss", "ID --because TEXT", "closes an incident; a marked key stays marked",
                "--because TEXT  for the audit trail\n", "dcvctl dismiss 3 --because \"our own drill\"\n",
                cli_dismiss },
        { "cancel", "CERT", "stops its job, withdraws tokens, cancels the order where the CA can", "",
                "dcvctl cancel www --dry-run\n", cli_cancel },
        { "rehearse", "CERT...", "publishes a probe token, sees it everywhere, withdraws it; no order is opened", "",
                "dcvctl rehearse www\n"
                "dcvctl rehearse www shop --json\n"
                "dcvctl rehearse www --dry-run\n",
                cli_rehearse },
        { "revoke", "CERT [--serial HEX] [--live] [--reason REASON]", "revokes superseded certificates",
                "--serial HEX     the one with this serial number; default: the newest that is not live\n"
                "--live           the one that is live\n"
                "--reason REASON  keyCompromise, superseded, cessationOfOperation or unspecified\n",
                "dcvctl revoke www --dry-run\n"
                "dcvctl revoke www --reason keyCompromise --yes\n",
                cli_revoke },
        { "account", "show|rollover|deactivate CA", "the account at an ACME CA",
                "show        where it is, its state and contact\n"
                "rollover    gives it a new key\n"
                "deactivate  ends it for ever; asked first\n",
                "dcvctl account show letsencrypt\n"
                "dcvctl account rollover letsencrypt\n",
                cli_account },
        { "verify", "[CERT...]", "looks at what every endpoint serves and compares", "", "dcvctl verify\n",
                cli_verify },
        { "deploy", "CERT [--set N]", "puts a set to use again, without a new order",
                "--set N  an older good one of dcvctl sets; default: the live one\n", "dcvctl deploy www --set 12\n",
                cli_deploy },
        { "sets", "CERT", "lists the sets that are kept", "", "dcvctl sets www\n", cli_sets },
        { "withdraw", "CERT | --stale", "removes tokens of ours that a crash or a person left behind",
                "--stale  of every certificate\n", "dcvctl withdraw --stale\n", cli_withdraw },
        { "forget", "CERT [--purge]", "retires a certificate that is no longer configured",
                "--purge  its sets and keys too\n", "dcvctl forget old --purge\n", cli_forget },
        { "check",
                "[CERT...] [--name NAME... [--validation METHOD] [--caa DOMAIN] [--internal]]\n"
                "              [--value TEXT] [-v | --verbose] [--watch] [--strict] [--catalogue]",
                "finds what would make the CA refuse, before anything is spent",
                "--name NAME...       names that need not be configured\n"
                "--validation METHOD  dns (default), file, tls-alpn, dns-persist\n"
                "--caa DOMAIN         what the CA calls itself in CAA records: letsencrypt.org\n"
                "--internal           the CA is not a public one\n"
                "--value TEXT         the token that should be there now: is it, and right, everywhere? (a file of\n"
                "                     Tencent Cloud: NAME=CONTENT)\n"
                "-v, --verbose        every name server with its answer, and what could not be judged\n"
                "--watch              again until it passes\n"
                "--strict             a warning makes the exit status 1, too\n"
                "--catalogue          everything that can be found, as docs/checks.md\n",
                "dcvctl check --name example.com www.example.com --validation dns --caa letsencrypt.org\n"
                "dcvctl check www -v\n"
                "dcvctl check --strict --quiet || mail -s 'dcvctl check' ops@example.com </dev/null\n",
                cli_check },
        { "report", "FILE | --spki HEX | --cert FILE | --proof FILE", "reports a compromised key",
                "FILE          the private key, a request or statement signed by it, a certificate, or a JSON event\n"
                "--spki HEX    the SHA-256 of the public key, in any spelling\n"
                "--cert FILE   the certificate that uses the key\n"
                "--proof FILE  like FILE, but refused unless it proves that somebody else has the key\n",
                "dcvctl report --cert /etc/nginx/tls/www/fullchain.pem\n"
                "dcvctl report --proof found-in-a-repository.pem --dry-run\n",
                cli_report },
        { "alert", "test NAME [--body FILE]", "tries one of the webhooks without doing anything",
                "--body FILE  what to send; default: a report of a key of this host\n", "dcvctl alert test github\n",
                cli_alert },
        { "publish", "CERT", "puts the tokens of its open order out again, now", "",
                "dcvctl publish www\n"
                "dcvctl publish www --dry-run\n",
                cli_publish },
        { "publishers", "", "where tokens can be put, and which certificates do so", "", "dcvctl publishers\n",
                cli_publishers },
        { "notify", "test NAME", "tells one target of notify that this is a test, and what came of it", "",
                "dcvctl notify test ops\n", cli_notify },
        { "snippet", "nginx|apache|haproxy|caddy [CERT]", "prints what a web server needs for dcvd", "",
                "dcvctl snippet nginx www\n"
                "dcvctl snippet caddy\n",
                cli_snippet },
        { NULL, NULL, NULL, NULL, NULL, NULL },
};
