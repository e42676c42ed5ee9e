/* Asks one name server for TXT records through net/dns, as a propagation check does, and prints what came of it as
 * JSON. bench_dns ADDRESS:PORT FILE COUNT     FILE: one name a line; COUNT questions in all */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/base/file.h"
#include "agent/base/util.h"
#include "agent/net/dns.h"
#include "agent/net/loop.h"

#define OUTSTANDING 512 /* more than the window of an address: it decides */

struct bench {
        struct dns *dns;
        struct address server;
        struct texts names;
        long wanted, asked, ended, answered, wrong;
        bool over;
};

static void answered(void *arg, const struct dns_answer *a);

static void ask_more(struct bench *b)
{
        struct err e;
        while (b->asked < b->wanted && b->asked - b->ended < OUTSTANDING) {
                if (!dns_ask(b->dns, &b->server, DNS_UDP, b->names.item[(size_t)b->asked % b->names.count], DNS_TXT, 0,
                            answered, b, &e))
                        exit(1);
                b->asked++;
        }
}

static void answered(void *arg, const struct dns_answer *a)
{
        struct bench *b = arg;
        b->ended++;
        if (a->outcome == DNS_ANSWERED) {
                b->answered++;
                b->wrong += a->message->rcode != DNS_NOERROR || a->message->rr_count == 0;
        }
        if (b->ended == b->wanted)
                b->over = true;
        else
                ask_more(b);
}

static double seconds(struct timeval t)
{
        return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
        struct bench b = { 0 };
        struct loop *loop;
        struct err e;
        struct rusage used;
        CLEANUP(free_p) char *text = NULL;
        size_t len;
        const char *resolvers[] = { "127.0.0.1", NULL };
        struct dns_conf conf = { .resolvers = resolvers };
        char *rest = NULL;
        if (argc != 4 || !address_parse(argv[1], 53, &b.server) || !file_read(argv[2], 16 << 20, &text, &len, &e))
                return 2;
        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
                if (!texts_add(&b.names, line))
                        return 1;
        b.wanted = strtol(argv[3], NULL, 10);
        if (b.names.count == 0 || b.wanted <= 0 || !loop_open(&loop, &e) || !dns_open(&b.dns, loop, &conf, &e))
                return 1;
        uint64_t start = uv_hrtime();
        ask_more(&b);
        (void)loop_run_until(loop, &b.over, 120000);
        double wall = (double)(uv_hrtime() - start) / 1e9;
        (void)getrusage(RUSAGE_SELF, &used);
        double cpu = seconds(used.ru_utime) + seconds(used.ru_stime);
        printf("{\"questions\": %ld, \"unanswered\": %ld, \"wrong\": %ld, \"wall_s\": %.4f, \"cpu_s\": %.4f, "
               "\"per_s\": %.0f, \"per_core_s\": %.0f}\n",
                b.wanted, b.wanted - b.answered, b.wrong, wall, cpu, (double)b.answered / wall,
                (double)b.answered / cpu);
        dns_close(b.dns);
        loop_close(loop);
        texts_done(&b.names);
        return b.over ? 0 : 1;
}
