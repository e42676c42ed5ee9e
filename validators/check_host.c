#include "validators/check_host.h"

#include <curl/curl.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"

/* ---- a name ---- */

static void take(const struct check_answer *a, struct check_host_addresses *ret)
{
        for (size_t i = 0; i < a->message->rr_count && ret->count < CHECK_HOST_ADDRESSES; i++) {
                const struct dns_rr *rr = &a->message->rr[i];
                if (rr->section == DNS_ANSWER && (rr->type == DNS_A || rr->type == DNS_AAAA) &&
                        dns_rr_address(a->message, rr, &ret->list[ret->count]))
                        ret->count++;
        }
}

static void note_error(const struct check_answer *a, struct check_host_addresses *ret)
{
        if (a->outcome != DNS_ANSWERED)
                snprintf(ret->error, sizeof ret->error, "%s", a->error ? a->error : "no answer");
        else if (a->message->ede >= 0)
                snprintf(ret->error, sizeof ret->error, "%s (extended error %d)", dns_rcode_name(a->message->rcode),
                        a->message->ede);
        else
                snprintf(ret->error, sizeof ret->error, "%s", dns_rcode_name(a->message->rcode));
}

bool check_host_addresses(struct check_context *c, const char *host, struct check_host_addresses *ret)
{
        *ret = (struct check_host_addresses){ 0 };
        if (address_parse(host, 0, &ret->list[0])) {
                ret->count = 1;
                return true;
        }
        const struct check_answer *v6 = check_resolver(c, host, DNS_AAAA, DNS_WANT_AD),
                                  *v4 = check_resolver(c, host, DNS_A, DNS_WANT_AD);
        if (!v6 || !v4)
                return false;
        const struct check_answer *const both[] = { v6, v4 };
        for (size_t i = 0; i < 2; i++) {
                if (check_is_answered(both[i]))
                        take(both[i], ret);
                else
                        note_error(both[i], ret);
        }
        if (ret->count > 0)
                ret->error[0] = '\0';
        return true;
}

bool check_host_of_url(struct check_context *c, const char *url, struct check_host_addresses *ret)
{
        char host[DNS_NAME_TEXT] = "";
        CURLU *u = curl_url();
        char *found = NULL;
        if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_HOST, &found, 0) == CURLUE_OK) {
                size_t len = strlen(found);
                bool bracketed = found[0] == '[' && len > 2;
                snprintf(host, sizeof host, "%.*s", (int)(bracketed ? len - 2 : len), bracketed ? found + 1 : found);
        }
        curl_free(found);
        curl_url_cleanup(u);
        return check_host_addresses(c, host, ret);
}

/* ---- this host ---- */

typedef bool wanted_fn(const struct address *a, const void *arg);

static bool any_interface(wanted_fn *wanted, const void *arg)
{
        struct ifaddrs *list = NULL;
        bool found = false;
        if (getifaddrs(&list) != 0)
                return true; /* not known: nothing is excused by it */
        for (const struct ifaddrs *i = list; i && !found; i = i->ifa_next) {
                struct address a;
                if (i->ifa_addr && address_from_sockaddr(i->ifa_addr, &a))
                        found = wanted(&a, arg);
        }
        freeifaddrs(list);
        return found;
}

static bool is_v6(const struct address *a, const void *arg)
{
        (void)arg;
        return a->family == AF_INET6 && !address_is_loopback(a) && !address_in_net(a, "fe80::/10");
}

static bool is_public(const struct address *a, const void *arg)
{
        (void)arg;
        return address_is_public(a);
}

static bool is_same(const struct address *a, const void *arg)
{
        struct address x = *a, y = *(const struct address *)arg;
        x.port = y.port = 0;
        return address_equal(&x, &y);
}

bool check_host_has_v6(void)
{
        return any_interface(is_v6, NULL);
}

bool check_host_is_public(void)
{
        return any_interface(is_public, NULL);
}

bool check_host_owns(const struct address *a)
{
        return address_is_loopback(a) || any_interface(is_same, a);
}
