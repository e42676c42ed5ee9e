#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/util.h"
#include "validators/http_evidence.h"
#include "validators/name_check.h"

/* Where a redirect may lead (Baseline Requirements 3.2.2.4.19; Boulder va/http.go), and the IANA special-purpose
 * registries with their names, for words. Whether an address is public is address_is_public's to say. */

#define PATH_MAX_BYTES 2000

static const struct {
        const char *net, *what;
} reserved[] = {
        { "0.0.0.0/8", "this network, RFC 791" },
        { "10.0.0.0/8", "private use, RFC 1918" },
        { "100.64.0.0/10", "shared address space of carriers, RFC 6598" },
        { "127.0.0.0/8", "loopback, RFC 1122" },
        { "169.254.0.0/16", "link-local, RFC 3927" },
        { "172.16.0.0/12", "private use, RFC 1918" },
        { "192.0.2.0/24", "documentation, RFC 5737" },
        { "192.0.0.0/24", "protocol assignments, RFC 6890" },
        { "192.88.99.0/24", "6to4 relay, RFC 7526" },
        { "192.168.0.0/16", "private use, RFC 1918" },
        { "198.18.0.0/15", "benchmarking, RFC 2544" },
        { "198.51.100.0/24", "documentation, RFC 5737" },
        { "203.0.113.0/24", "documentation, RFC 5737" },
        { "224.0.0.0/4", "multicast, RFC 5771" },
        { "240.0.0.0/4", "reserved or broadcast, RFC 1112" },
        { "::/128", "unspecified, RFC 4291" },
        { "::1/128", "loopback, RFC 4291" },
        { "::ffff:0:0/96", "IPv4-mapped, RFC 4291" },
        { "64:ff9b::/96", "NAT64 of a reserved IPv4 address, RFC 6052" },
        { "64:ff9b:1::/48", "local NAT64, RFC 8215" },
        { "100::/64", "discard only, RFC 6666" },
        { "2001:db8::/32", "documentation, RFC 3849" },
        { "2001::/32", "Teredo, RFC 4380" },
        { "2001::/23", "protocol assignments, RFC 2928" },
        { "2002::/16", "6to4, RFC 3056" },
        { "3fff::/20", "documentation, RFC 9637" },
        { "fc00::/7", "unique local, RFC 4193" },
        { "fe80::/10", "link-local, RFC 4291" },
        { "ff00::/8", "multicast, RFC 4291" },
};

const char *http_reserved(const struct address *a)
{
        if (address_is_public(a))
                return NULL;
        for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
                if (address_in_net(a, reserved[i].net))
                        return reserved[i].what;
        return "not assigned by IANA";
}

struct target {
        CURLU *u;
        char *scheme, *host, *port, *path, *user, *zone;
};

static void target_done(struct target *t)
{
        curl_free(t->scheme);
        curl_free(t->host);
        curl_free(t->port);
        curl_free(t->path);
        curl_free(t->user);
        curl_free(t->zone);
        curl_url_cleanup(t->u);
}

static bool target_read(struct target *t, const char *url, const char *location)
{
        *t = (struct target){ .u = curl_url() };
        return t->u && !curl_url_set(t->u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) &&
                !curl_url_set(t->u, CURLUPART_URL, location, CURLU_NON_SUPPORT_SCHEME) &&
                !curl_url_get(t->u, CURLUPART_SCHEME, &t->scheme, 0) &&
                !curl_url_get(t->u, CURLUPART_HOST, &t->host, 0) && !curl_url_get(t->u, CURLUPART_PATH, &t->path, 0) &&
                (curl_url_get(t->u, CURLUPART_PORT, &t->port, CURLU_DEFAULT_PORT), true) &&
                (curl_url_get(t->u, CURLUPART_USER, &t->user, 0), true) &&
                (curl_url_get(t->u, CURLUPART_ZONEID, &t->zone, 0), true);
}

static const char *host_fault(const struct target *t, const struct http_evidence *x, const char **ret_id)
{
        struct address a;
        CLEANUP(free_p) char *bare = text_dup(*t->host == '[' ? t->host + 1 : t->host);
        if (!bare)
                return NULL;
        bare[strcspn(bare, "]")] = '\0';
        if (text_ends(bare, ".well-known")) {
                *ret_id = "H17";
                return "the redirect rule lacks the slash between host and path";
        }
        if (t->zone)
                return "an address with a zone";
        if (x->internal)
                return NULL;
        if (address_parse(bare, 0, &a))
                return address_is_public(&a) ? NULL : "the address is not public";
        return name_has_public_tld(bare) ? NULL : "the host has no public top-level domain";
}

static const char *fault_of(const struct target *t, const struct http_evidence *x, const char **ret_id)
{
        int64_t port = 0;
        if (strcmp(t->scheme, "http") != 0 && strcmp(t->scheme, "https") != 0)
                return "neither http nor https";
        if (t->user)
                return "it carries a user name";
        if (!t->port || !parse_i64(t->port, 1, 65535, &port) || (port != 80 && port != 443 && port != x->http_port))
                return "only the ports 80 and 443 are allowed";
        if (strlen(t->path) > PATH_MAX_BYTES)
                return "the path is longer than 2000 bytes";
        return host_fault(t, x, ret_id);
}

const char *http_redirect_fault(
        const char *url, const char *location, const struct http_evidence *x, const char **ret_id, char **ret_url)
{
        struct target t;
        char *whole = NULL;
        const char *fault = "there is no Location that can be read";
        *ret_id = "H16";
        if (location && target_read(&t, url, location)) {
                fault = fault_of(&t, x, ret_id);
                (void)curl_url_get(t.u, CURLUPART_URL, &whole, 0); /* stays NULL: the caller shows the Location */
        }
        if (ret_url)
                *ret_url = text_dup(whole);
        curl_free(whole);
        if (location)
                target_done(&t);
        return fault;
}

bool http_goes_on(const struct http_evidence *x, const struct texts *trail, int status, const char *location,
        char **ret_url, const char **ret_why)
{
        CLEANUP(free_p) char *url = NULL;
        const char *id;
        *ret_why = NULL;
        if (status < 300 || status > 399 || trail->count == 0)
                return false;
        if (x->pki_validation)
                *ret_why = "this CA wants the file itself, without a redirect";
        else if (status != 301 && status != 302 && status != 307 && status != 308)
                *ret_why = "only 301, 302, 307 and 308 are followed";
        else
                *ret_why = http_redirect_fault(trail->item[trail->count - 1], location, x, &id, &url);
        if (!*ret_why && !url)
                *ret_why = "there is no Location that can be read";
        if (!*ret_why && texts_has(trail, url))
                *ret_why = "it is a loop";
        if (!*ret_why && trail->count > HTTP_REDIRECTS_MAX)
                *ret_why = "too many redirects";
        if (*ret_why)
                return false;
        *ret_url = STEAL(url);
        return true;
}
