/* Waits through validators/propagation until every authoritative address shows one TXT record, as a job does, and prints
 * when it was sure, in milliseconds of the wall clock. bench_verdict RESOLVER OWNER VALUE */
#include <stdio.h>

#include "agent/base/clock.h"
#include "agent/base/err.h"
#include "agent/net/dns.h"
#include "agent/net/http.h"
#include "agent/net/loop.h"
#include "validators/propagation.h"

static void verdict(void *arg, const struct propagation_state *state, const struct err *err)
{
        bool *over = arg;
        if (err)
                fprintf(stderr, "%s\n", err->text);
        else
                printf("%lld %zu of %zu\n", (long long)clock_now_ms(), state->seen, state->count);
        *over = true;
}

int main(int argc, char **argv)
{
        struct loop *loop;
        struct dns *dns;
        struct http *http;
        struct propagation_engine *engine;
        struct err e = { 0 };
        bool over = false;
        if (argc != 4)
                return 2;
        const char *resolvers[] = { argv[1], NULL };
        struct dns_conf dns_conf = { .resolvers = resolvers };
        struct http_conf http_conf = { .user_agent = "bench" };
        struct conf_propagation conf = { .timeout_ms = 60 * 1000, .consecutive = 2 };
        struct proof proof = { PROOF_TXT, argv[2], argv[2], NULL, argv[3] };
        struct propagation_request request = { .proof = &proof, .conf = &conf };
        if (!loop_open(&loop, &e) || !dns_open(&dns, loop, &dns_conf, &e) ||
                !http_open(&http, loop, dns, &http_conf, &e) ||
                !propagation_engine_open(&engine, loop, dns, http, &e) ||
                !propagation_start(engine, &request, NULL, verdict, &over, &e)) {
                fprintf(stderr, "%s\n", e.text);
                return 1;
        }
        (void)loop_run_until(loop, &over, 90 * 1000);
        propagation_engine_close(engine);
        http_close(http);
        dns_close(dns);
        loop_close(loop);
        return 0;
}
