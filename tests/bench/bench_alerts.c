/* A gun of alerts: COUNT valid Standard Webhooks reports of one key, each delivery with an id of its own, over
 * kept-alive connections with one request under way on each; signed beforehand, so that what is measured is the other
 * side. bench_alerts IPV4 PORT PATH SECRET_AS_HEX SPKI_HEX COUNT CONNECTIONS ID_PREFIX Prints {"per_s", "seconds",
 * "taken", "known", "busy", "other", "slowest_ms"}: what was answered with 202, 200, 503 and anything else. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/util.h"

#define ANSWER_MAX 4096

struct gun {
        int fd;
        size_t sent; /* of the request under way */
        char *request;
        char answer[ANSWER_MAX];
        size_t len;
        double since_s;
};
struct load {
        const char *place, *spki, *prefix, *port;
        uint8_t key[64];
        size_t key_len, count, next, answered, taken, known, busy, other;
        char **request; /* signed; NULL once it was sent */
        double slowest_s;
};

static void fail(const char *what)
{
        perror(what);
        exit(1);
}

static double now_s(void)
{
        struct timespec t;
        (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail */
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static char *make_request(const struct load *l, size_t number)
{
        uint8_t mac[32];
        unsigned n = 0;
        long at_s = (long)time(NULL);
        CLEANUP(free_p)
        char *body =
                text_format("{\"type\":\"key.compromised\",\"timestamp\":\"2026-11-23T07:00:00Z\",\"data\":{\"spki_"
                            "sha256\":\"%s\"}}",
                        l->spki);
        CLEANUP(free_p) char *text = text_format("%s-%zu.%ld.%s", l->prefix, number, at_s, body ? body : "");
        if (!body || !text ||
                !HMAC(EVP_sha256(), l->key, (int)l->key_len, (const uint8_t *)text, strlen(text), mac, &n))
                fail("signing");
        CLEANUP(free_p) char *encoded = base64_encode(mac, sizeof mac);
        char *ret = text_format("POST %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nContent-Type: application/json\r\n"
                                "webhook-id: %s-%zu\r\nwebhook-timestamp: %ld\r\nwebhook-signature: v1,%s\r\n"
                                "Content-Length: %zu\r\n\r\n%s",
                l->place, l->port, l->prefix, number, at_s, encoded ? encoded : "", strlen(body), body);
        if (!ret)
                fail("memory");
        return ret;
}

static int connect_to(const char *ip, const char *port)
{
        struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
        if (fd < 0 || inet_pton(AF_INET, ip, &sa.sin_addr) != 1 || connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0 ||
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
                fail("connect");
        return fd;
}

static void fire(struct load *l, struct gun *g)
{
        free(g->request);
        g->request = NULL;
        if (l->next == l->count)
                return;
        g->request = STEAL(l->request[l->next]);
        l->next++;
        g->len = 0;
        g->since_s = now_s();
        size_t len = strlen(g->request);
        if (send(g->fd, g->request, len, MSG_NOSIGNAL) != (ssize_t)len) /* smaller than any socket buffer */
                fail("send");
}

static bool is_whole(struct gun *g, int *ret_status)
{
        g->answer[g->len] = '\0';
        const char *end = strstr(g->answer, "\r\n\r\n"), *length = strcasestr(g->answer, "\r\nContent-Length:");
        if (!end || !length || length > end)
                return false;
        *ret_status = atoi(g->answer + strlen("HTTP/1.1 "));
        return g->len >= (size_t)(end - g->answer) + 4 + strtoul(length + 17, NULL, 10);
}

static void hear(struct load *l, struct gun *g)
{
        int status;
        ssize_t n = recv(g->fd, g->answer + g->len, sizeof g->answer - g->len - 1, 0);
        if (n <= 0)
                fail("the listener hung up");
        g->len += (size_t)n;
        if (!is_whole(g, &status)) {
                if (g->len + 1 == sizeof g->answer)
                        fail("an answer too long");
                return;
        }
        double took_s = now_s() - g->since_s;
        l->slowest_s = MAX(l->slowest_s, took_s);
        l->answered++;
        l->taken += status == 202;
        l->known += status == 200;
        l->busy += status == 503;
        l->other += status != 202 && status != 200 && status != 503;
        fire(l, g);
}

int main(int argc, char **argv)
{
        if (argc != 9)
                return 2;
        struct load l = { .place = argv[3],
                .port = argv[2],
                .spki = argv[5],
                .count = strtoul(argv[6], NULL, 10),
                .prefix = argv[8] };
        size_t guns = strtoul(argv[7], NULL, 10);
        if (!hex_decode(argv[4], strlen(argv[4]), l.key, sizeof l.key, &l.key_len))
                return 2;
        l.request = calloc(l.count + 1, sizeof *l.request);
        struct gun *gun = calloc(guns + 1, sizeof *gun);
        int watch = epoll_create1(EPOLL_CLOEXEC);
        if (!l.request || !gun || watch < 0)
                fail("start");
        for (size_t i = 0; i < l.count; i++)
                l.request[i] = make_request(&l, i);
        for (size_t i = 0; i < guns; i++) {
                struct epoll_event at = { .events = EPOLLIN, .data.ptr = &gun[i] };
                gun[i].fd = connect_to(argv[1], argv[2]);
                if (epoll_ctl(watch, EPOLL_CTL_ADD, gun[i].fd, &at) < 0)
                        fail("epoll");
        }
        double begun_s = now_s();
        for (size_t i = 0; i < guns; i++)
                fire(&l, &gun[i]);
        while (l.answered < l.count) {
                struct epoll_event ready[64];
                int n = epoll_wait(watch, ready, 64, 30000);
                if (n == 0) {
                        fprintf(stderr, "silence: %zu of %zu answered\n", l.answered, l.count);
                        return 1;
                }
                for (int i = 0; i < n; i++)
                        hear(&l, ready[i].data.ptr);
        }
        double took_s = now_s() - begun_s;
        printf("{\"per_s\": %.0f, \"seconds\": %.3f, \"taken\": %zu, \"known\": %zu, \"busy\": %zu, \"other\": %zu, "
               "\"slowest_ms\": %.1f}\n",
                (double)l.answered / took_s, took_s, l.taken, l.known, l.busy, l.other, l.slowest_s * 1000);
        for (size_t i = 0; i < guns; i++) {
                free(gun[i].request);
                close(gun[i].fd);
        }
        free(gun);
        free(l.request);
        return 0;
}
