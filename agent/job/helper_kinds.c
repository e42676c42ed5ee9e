/* The kinds of the configuration as dcvd-helper knows them: what may be told to each, without what they do. So a
 * program that runs as root holds nothing that talks to a network, and starts in half of the time. A test holds them
 * against those of the registries. */
#include "agent/job/helper_kinds.h"

#include "agent/base/util.h"
#include "agent/ca/acme/conf.h"
#include "agent/ca/tencent/conf.h"
#include "config/config.h"
#include "validators/dnspod.h"
#include "validators/exec.h"
#include "validators/proof.h"
#include "validators/rfc2136.h"
#include "validators/webroot.h"

static const struct conf_key none[] = { { 0 } };

const struct conf_kind helper_kinds[] = {
        { .section = "cas",
                .type = "tencent",
                .keys = tencent_keys,
                .size = sizeof(struct tencent_conf),
                .check = tencent_check,
                .can = CONF_CA_REISSUES | CONF_CA_DNS_AUTO | CONF_CA_NEEDS_CERTIFICATE_ID,
                .key_types = tencent_key_types },
        { .section = "cas",
                .type = "acme",
                .keys = acme_keys,
                .size = sizeof(struct acme_conf),
                .check = acme_check,
                .can = CONF_CA_ISSUES | CONF_CA_RENEWS | CONF_CA_REISSUES | CONF_CA_TLS_ALPN },
        { .section = "publishers",
                .type = "rfc2136",
                .keys = rfc2136_keys,
                .size = sizeof(struct rfc2136_conf),
                .can = PROOF_TXT | PROOF_CNAME },
        { .section = "publishers",
                .type = "webroot",
                .keys = webroot_keys,
                .size = sizeof(struct webroot_conf),
                .can = PROOF_FILE },
        { .section = "publishers", .type = "responder", .keys = none, .can = PROOF_FILE | PROOF_TLS },
        { .section = "publishers",
                .type = "manual",
                .keys = none,
                .can = PROOF_TXT | PROOF_CNAME | PROOF_FILE,
                .by_person = true },
        { .section = "publishers",
                .type = "dnspod",
                .keys = dnspod_keys,
                .size = sizeof(struct dnspod_conf),
                .check = dnspod_check,
                .can = PROOF_TXT | PROOF_CNAME },
        { .section = "publishers",
                .type = "exec",
                .keys = exec_keys,
                .size = sizeof(struct exec_conf),
                .check = exec_check,
                .can = PROOF_TXT | PROOF_FILE },
        { .section = NULL },
};
