#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/util.h"
#include "agent/net/dns_message.h"
#include "validators/caa.h"

/* Only what the CA itself publishes; a CA that is not here is named by `caa:` of the configuration or by its ACME
 * directory. */
const struct caa_identity caa_identities[] = {
        { "Let's Encrypt", { "letsencrypt.org" }, "letsencrypt.org", "letsencrypt.org/docs/caa" },
        { "Google Trust Services", { "pki.goog" }, "pki.goog", "pki.goog/faq, GTS CPS section 4.2" },
        { "Sectigo", { "sectigo.com", "comodoca.com", "comodo.com", "usertrust.com", "trust-provider.com" },
                "sectigo.com", "Sectigo CPS section 4.2.4 and its knowledge base" },
        { "ZeroSSL", { "sectigo.com" }, "zerossl.com", "help.zerossl.com, CAA records" },
        { "DigiCert", { "digicert.com", "geotrust.com", "rapidssl.com", "thawte.com", "symantec.com" }, "digicert.com",
                "docs.digicert.com, DNS CAA resource record check" },
        { "SSL.com", { "ssl.com" }, "ssl.com", "ssl.com/how-to/configure-caa-records-to-authorize-ssl-com" },
        { "GlobalSign", { "globalsign.com" }, "globalsign.com", "support.globalsign.com, CAA checking" },
        { "Amazon", { "amazon.com", "amazontrust.com", "awstrust.com", "amazonaws.com" }, "amazonaws.com",
                "docs.aws.amazon.com/acm, configure a CAA record" },
        { "Actalis", { "actalis.it" }, "actalis.com", "Actalis CPS section 4.2" },
        { "Buypass", { "buypass.com" }, "buypass.com", "Buypass CPS section 4.2" },
};
const size_t caa_identity_count = ARRAY_LEN(caa_identities);

const struct caa_identity *caa_identity_of_host(const char *host)
{
        for (size_t i = 0; i < caa_identity_count; i++)
                if (caa_identities[i].host && dns_name_is_below(host, caa_identities[i].host))
                        return &caa_identities[i];
        return NULL;
}

const struct caa_identity *caa_identity_of_domain(const char *domain)
{
        for (size_t i = 0; i < caa_identity_count; i++)
                for (const char *const *d = caa_identities[i].domains; *d; d++)
                        if (dns_name_equal(*d, domain))
                                return &caa_identities[i];
        return NULL;
}
