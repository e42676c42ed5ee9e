#include "agent/ca/tencent/domain.h"

#include <libpsl.h>
#include <string.h>
#include <strings.h>

#include "agent/base/buf.h"

const char *tc_registrable(const char *name)
{
        const char *host = text_starts(name, "*.") ? name + 2 : name;
        const char *found = psl_registrable_domain(psl_builtin(), host);

        return found ? found : host;
}

bool tc_registrable_all(const struct texts *names, struct texts *ret)
{
        for (size_t i = 0; i < names->count; i++) {
                const char *domain = tc_registrable(names->item[i]);
                if (!texts_has(ret, domain) && !texts_add(ret, domain))
                        return false;
        }
        texts_sort(ret);
        return true;
}

bool tc_is_below(const char *name, const char *domain)
{
        size_t n = strlen(name), d = strlen(domain);

        return n >= d && d > 0 && strcasecmp(name + n - d, domain) == 0 && (n == d || name[n - d - 1] == '.');
}
