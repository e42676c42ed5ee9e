#include "agent/ca/tencent/product.h"

#include <stdio.h>

#include "agent/base/util.h"
#include "agent/ca/tencent/model.h"

/* By PackageType; the numbers that are left out are not documented. */
static const struct tc_product packages[] = {
        [1] = { .class = TC_DV, .brand = TC_GEOTRUST },
        [2] = { .class = TC_DV, .brand = TC_TRUSTASIA },
        [3] = { .class = TC_EV, .brand = TC_SECURESITE },
        [4] = { .class = TC_EV, .brand = TC_SECURESITE },
        [5] = { .class = TC_OV, .brand = TC_SECURESITE },
        [6] = { .class = TC_OV, .brand = TC_SECURESITE },
        [7] = { .class = TC_OV, .brand = TC_SECURESITE, .wildcard = true },
        [8] = { .class = TC_EV, .brand = TC_GEOTRUST },
        [9] = { .class = TC_OV, .brand = TC_GEOTRUST },
        [10] = { .class = TC_OV, .brand = TC_GEOTRUST, .wildcard = true },
        [11] = { .class = TC_DV, .brand = TC_TRUSTASIA, .multi = true },
        [12] = { .class = TC_DV, .brand = TC_TRUSTASIA, .wildcard = true },
        [13] = { .class = TC_OV, .brand = TC_TRUSTASIA, .wildcard = true },
        [14] = { .class = TC_OV, .brand = TC_TRUSTASIA },
        [15] = { .class = TC_OV, .brand = TC_TRUSTASIA, .multi = true },
        [16] = { .class = TC_EV, .brand = TC_TRUSTASIA },
        [17] = { .class = TC_EV, .brand = TC_TRUSTASIA, .multi = true },
        [18] = { .class = TC_OV, .brand = TC_GLOBALSIGN },
        [19] = { .class = TC_OV, .brand = TC_GLOBALSIGN, .wildcard = true },
        [20] = { .class = TC_EV, .brand = TC_GLOBALSIGN },
        [21] = { .class = TC_OV, .brand = TC_TRUSTASIA, .wildcard = true, .multi = true },
        [22] = { .class = TC_OV, .brand = TC_GLOBALSIGN, .multi = true },
        [23] = { .class = TC_OV, .brand = TC_GLOBALSIGN, .wildcard = true, .multi = true },
        [24] = { .class = TC_EV, .brand = TC_GLOBALSIGN, .multi = true },
        [25] = { .class = TC_DV, .brand = TC_WOTRUS },
        [26] = { .class = TC_DV, .brand = TC_WOTRUS, .multi = true },
        [27] = { .class = TC_DV, .brand = TC_WOTRUS, .wildcard = true },
        [28] = { .class = TC_OV, .brand = TC_WOTRUS },
        [29] = { .class = TC_OV, .brand = TC_WOTRUS, .multi = true },
        [30] = { .class = TC_OV, .brand = TC_WOTRUS, .wildcard = true },
        [31] = { .class = TC_EV, .brand = TC_WOTRUS },
        [32] = { .class = TC_EV, .brand = TC_WOTRUS, .multi = true },
        [33] = { .class = TC_DV, .brand = TC_WOTRUS, .sm2 = true },
        [34] = { .class = TC_DV, .brand = TC_WOTRUS, .multi = true, .sm2 = true },
        [35] = { .class = TC_DV, .brand = TC_WOTRUS, .wildcard = true, .sm2 = true },
        [37] = { .class = TC_OV, .brand = TC_WOTRUS, .sm2 = true },
        [38] = { .class = TC_OV, .brand = TC_WOTRUS, .multi = true, .sm2 = true },
        [39] = { .class = TC_OV, .brand = TC_WOTRUS, .wildcard = true, .sm2 = true },
        [40] = { .class = TC_EV, .brand = TC_WOTRUS, .sm2 = true },
        [41] = { .class = TC_EV, .brand = TC_WOTRUS, .multi = true, .sm2 = true },
        [42] = { .class = TC_DV, .brand = TC_TRUSTASIA, .wildcard = true, .multi = true },
        [43] = { .class = TC_OV, .brand = TC_DNSPOD },
        [44] = { .class = TC_OV, .brand = TC_DNSPOD, .wildcard = true },
        [45] = { .class = TC_OV, .brand = TC_DNSPOD, .multi = true },
        [46] = { .class = TC_EV, .brand = TC_DNSPOD },
        [47] = { .class = TC_EV, .brand = TC_DNSPOD, .multi = true },
        [48] = { .class = TC_DV, .brand = TC_DNSPOD },
        [49] = { .class = TC_DV, .brand = TC_DNSPOD, .wildcard = true },
        [50] = { .class = TC_DV, .brand = TC_DNSPOD, .multi = true },
        [51] = { .class = TC_OV, .brand = TC_DNSPOD, .sm2 = true },
        [52] = { .class = TC_OV, .brand = TC_DNSPOD, .wildcard = true, .sm2 = true },
        [53] = { .class = TC_OV, .brand = TC_DNSPOD, .multi = true, .sm2 = true },
        [54] = { .class = TC_DV, .brand = TC_DNSPOD, .sm2 = true },
        [55] = { .class = TC_DV, .brand = TC_DNSPOD, .wildcard = true, .sm2 = true },
        [56] = { .class = TC_DV, .brand = TC_DNSPOD, .multi = true, .sm2 = true },
        [57] = { .class = TC_OV, .brand = TC_SECURESITE, .multi = true },
        [58] = { .class = TC_OV, .brand = TC_SECURESITE, .multi = true },
        [59] = { .class = TC_EV, .brand = TC_SECURESITE, .multi = true },
        [60] = { .class = TC_EV, .brand = TC_SECURESITE, .multi = true },
        [61] = { .class = TC_EV, .brand = TC_GEOTRUST, .multi = true },
        [75] = { .class = TC_OV, .brand = TC_SECURESITE },
        [76] = { .class = TC_OV, .brand = TC_SECURESITE, .wildcard = true },
        [77] = { .class = TC_EV, .brand = TC_SECURESITE },
        [78] = { .class = TC_OV, .brand = TC_GEOTRUST },
        [79] = { .class = TC_OV, .brand = TC_GEOTRUST, .wildcard = true },
        [80] = { .class = TC_EV, .brand = TC_GEOTRUST },
        [81] = { .class = TC_OV, .brand = TC_GLOBALSIGN },
        [82] = { .class = TC_OV, .brand = TC_GLOBALSIGN, .wildcard = true },
        [83] = { .class = TC_DV, .brand = TC_TRUSTASIA },
        [85] = { .class = TC_EV, .brand = TC_GLOBALSIGN },
        [88] = { .class = TC_OV, .brand = TC_GLOBALSIGN, .wildcard = true, .multi = true },
        [89] = { .class = TC_OV, .brand = TC_GLOBALSIGN, .multi = true },
        [90] = { .class = TC_EV, .brand = TC_GLOBALSIGN, .multi = true },
        [91] = { .class = TC_EV, .brand = TC_GEOTRUST, .multi = true },
        [92] = { .class = TC_OV, .brand = TC_SECURESITE, .multi = true },
        [93] = { .class = TC_OV, .brand = TC_SECURESITE, .multi = true },
        [94] = { .class = TC_EV, .brand = TC_SECURESITE, .multi = true },
        [95] = { .class = TC_EV, .brand = TC_SECURESITE, .multi = true },
        [96] = { .class = TC_EV, .brand = TC_SECURESITE },
        [97] = { .class = TC_OV, .brand = TC_SECURESITE },
        [98] = { .class = TC_OV, .brand = TC_CFCA },
        [99] = { .class = TC_OV, .brand = TC_CFCA, .multi = true },
        [100] = { .class = TC_OV, .brand = TC_CFCA, .wildcard = true },
        [101] = { .class = TC_EV, .brand = TC_CFCA },
};

static bool package_is_known(int number)
{
        return number > 0 && (size_t)number < ARRAY_LEN(packages) && packages[number].class != TC_CLASS_UNKNOWN;
}

static enum tc_class class_by_fields(const struct tc_cert *c)
{
        if (c->is_dv == TC_YES)
                return TC_DV;
        return c->cert_type != TC_CLASS_UNKNOWN ? c->cert_type : TC_CLASS_UNKNOWN;
}

struct tc_product tc_product_of(const struct tc_cert *c)
{
        struct tc_product p = package_is_known(c->package) ? packages[c->package] : (struct tc_product){ 0 };

        if (p.class == TC_CLASS_UNKNOWN)
                p.class = class_by_fields(c);
        if (c->is_sm == TC_YES)
                p.sm2 = true;
        if (c->is_wildcard == TC_YES)
                p.wildcard = true;
        /* Where the paid flag is missing only the two packages that are always given away count as free. */
        p.free = p.class == TC_DV &&
                (c->is_vip == TC_NO || (c->is_vip == TC_UNKNOWN && (c->package == 2 || c->package == 83)));
        return p;
}

void tc_product_text(const struct tc_cert *c, char *ret, size_t size)
{
        static const char *const class[] = { "", " DV", " OV", " EV" };
        static const char *const brand[] = { "", "TrustAsia", "SecureSite", "GeoTrust", "GlobalSign", "Wotrus",
                "DNSPod", "CFCA" };
        struct tc_product p = tc_product_of(c);
        char unknown[40];

        if (c->package < 0)
                snprintf(unknown, sizeof unknown, "uploaded certificate");
        else
                snprintf(unknown, sizeof unknown, "unknown product %d", c->package);
        snprintf(ret, size, "%s%s%s%s%s%s", p.brand ? brand[p.brand] : unknown, class[p.class],
                p.wildcard ? " wildcard" : "", p.multi ? " multi-domain" : "", p.sm2 ? ", SM2" : "",
                p.free ? ", free" : "");
}

bool tc_product_has_own_review(struct tc_product p)
{
        return (p.class == TC_OV || p.class == TC_EV) && (p.brand == TC_WOTRUS || (p.brand == TC_DNSPOD && p.sm2));
}

bool tc_product_waives(struct tc_product p)
{
        return tc_product_has_own_review(p) || (p.class == TC_DV && !p.free);
}

bool tc_product_can_complete(struct tc_product p)
{
        return p.brand != TC_DNSPOD && p.brand != TC_WOTRUS;
}
