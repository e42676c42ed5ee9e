/* What was bought: the meaning of PackageType, and what follows from it. */
#ifndef DCVD_CA_TENCENT_PRODUCT_H
#define DCVD_CA_TENCENT_PRODUCT_H

#include <stdbool.h>
#include <stddef.h>

struct tc_cert;

enum tc_class { TC_CLASS_UNKNOWN, TC_DV, TC_OV, TC_EV };
enum tc_brand {
        TC_BRAND_UNKNOWN,
        TC_TRUSTASIA,
        TC_SECURESITE,
        TC_GEOTRUST,
        TC_GLOBALSIGN,
        TC_WOTRUS,
        TC_DNSPOD,
        TC_CFCA
};

struct tc_product {
        enum tc_class class;
        enum tc_brand brand;
        bool wildcard, multi, sm2, free;
};
struct tc_product tc_product_of(const struct tc_cert *c);
/* "TrustAsia DV, free"; "DNSPod OV wildcard, SM2"; "unknown product 84". */
void tc_product_text(const struct tc_cert *c, char *ret, size_t size);

bool tc_product_waives(struct tc_product p); /* R7 and R8 are stated for it */
bool tc_product_has_own_review(struct tc_product p); /* Wotrus and DNSPod SM2: R10's human step is Tencent's own */
bool tc_product_can_complete(struct tc_product p); /* CompleteCertificate is open to it */

#endif
