/* libcurl's multi_socket interface on the loop: its sockets are in one epoll, which the loop watches (a handle of the
 * loop for each would be made and closed with every transfer, though their connections stay); timer callback -> one
 * timer. Nothing is freed inside a callback of libcurl; finished transfers are drained after every socket action
 * (CURLMOPT_SOCKETFUNCTION(3)). */
#include "agent/net/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "agent/base/util.h"
#include "agent/net/http_internal.h"

#define KEPT_LEAST 32 /* connections; they outlive their transfers */
#define KEPT_MOST 256
#define READY_MAX 32 /* sockets in one go: the others are ready in the next turn of the loop */

static void drain(struct http *h)
{
        CURLMsg *message;
        int left;
        if (h->draining)
                return; /* a callback started or cancelled a call: the outer round goes on */
        h->draining = true;
        while ((message = curl_multi_info_read(h->multi, &left))) {
                struct http_call *c = NULL;
                CURLcode result = message->data.result;
                if (message->msg != CURLMSG_DONE)
                        continue;
                (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&c);
                http_call_transfer_done(c, result);
        }
        h->draining = false;
}

static void act(struct http *h, curl_socket_t fd, int events)
{
        int running;
        (void)curl_multi_socket_action(
                h->multi, fd, events, &running); /* its errors are bugs of ours; transfers tell their own */
        drain(h);
}

static void sockets_ready(void *arg)
{
        struct http *h = arg;
        struct epoll_event ready[READY_MAX];
        int count = epoll_wait(h->sockets_fd, ready, READY_MAX, 0);
        for (int i = 0; i < count; i++) { /* an error makes it ready too: libcurl looks itself which */
                uint32_t events = ready[i].events;
                act(h, ready[i].data.fd,
                        (events & EPOLLIN ? CURL_CSELECT_IN : 0) | (events & EPOLLOUT ? CURL_CSELECT_OUT : 0));
        }
}

/* known: what was assigned to the socket, NULL while it is not in the epoll. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
        struct http *h = arg;
        struct epoll_event event = {
                .events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u), .data.fd = fd
        };
        (void)easy;
        if (what == CURL_POLL_REMOVE) {
                (void)epoll_ctl(h->sockets_fd, EPOLL_CTL_DEL, fd, NULL);
                return 0;
        }
        (void)curl_multi_assign(h->multi, fd, h);
        return epoll_ctl(h->sockets_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -1;
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
        struct http *h = arg;
        (void)multi;
        if (timeout_ms < 0)
                timer_stop(h->timer);
        else
                timer_start(h->timer, timeout_ms); /* 0 is "soon", never from inside this callback */
        return 0;
}

static void time_is_up(void *arg)
{
        act(arg, CURL_SOCKET_TIMEOUT, 0);
}

/* Fewer connections than there are transfers at once would be closed and made anew all the time, each with a handshake.
 */
static void keep_as_many(struct http *h)
{
        if (h->running <= h->kept || h->running > KEPT_MOST)
                return;
        h->kept = h->running;
        (void)curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)h->kept);
}

bool http_add(struct http *h, CURL *easy, struct err *e)
{
        CURLMcode code = curl_multi_add_handle(h->multi, easy);
        if (code != CURLM_OK)
                return err_set(e, ERR_TEMPORARY, "http", "libcurl: %s", curl_multi_strerror(code));
        h->running++;
        keep_as_many(h);
        return true;
}

void http_remove(struct http *h, CURL *easy)
{
        (void)curl_multi_remove_handle(h->multi, easy);
        h->running--;
}

bool http_configure(struct http *h, const struct http_conf *conf, struct err *e)
{
        struct texts except = { 0 };
        char *agent = text_dup(conf->user_agent ? conf->user_agent : "dcvd"), *proxy = text_dup(conf->proxy_url);
        bool good = agent && (proxy || !conf->proxy_url);
        for (size_t i = 0; good && conf->proxy_except && conf->proxy_except[i]; i++)
                good = texts_add(&except, conf->proxy_except[i]);
        if (!good) {
                free(agent);
                free(proxy);
                texts_done(&except);
                return err_memory(e);
        }
        free(h->user_agent);
        free(h->proxy_url);
        texts_done(&h->proxy_except);
        h->user_agent = agent;
        h->proxy_url = proxy;
        h->proxy_except = except;
        return true;
}

bool http_open(struct http **ret, struct loop *loop, struct dns *dns, const struct http_conf *conf, struct err *e)
{
        static bool initialised;
        if (!initialised && curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
                return err_set(e, ERR_TEMPORARY, "http", "libcurl cannot be initialised");
        initialised = true;
        struct http *h = calloc(1, sizeof *h);
        if (!h)
                return err_memory(e);
        h->loop = loop;
        h->dns = dns;
        h->multi = curl_multi_init();
        h->sockets_fd = epoll_create1(EPOLL_CLOEXEC);
        bool good = (h->multi || err_memory(e)) && (h->sockets_fd >= 0 || err_errno(e, errno, "http", "epoll")) &&
                loop_watch(&h->watch, loop, h->sockets_fd, sockets_ready, h, e) &&
                timer_new(&h->timer, loop, time_is_up, h, e) && http_configure(h, conf, e);
        if (!good) {
                http_close(h);
                return false;
        }
        (void)curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
        (void)curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
        (void)curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timer);
        (void)curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
        h->kept = KEPT_LEAST;
        (void)curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)KEPT_LEAST);
        *ret = h;
        return true;
}

void http_close(struct http *h)
{
        if (!h)
                return;
        while (h->first)
                http_cancel(h->first);
        if (h->multi)
                (void)curl_multi_cleanup(h->multi); /* removes its sockets through on_socket */
        loop_unwatch(h->watch);
        close_p(&h->sockets_fd);
        timer_free(h->timer);
        free(h->user_agent);
        free(h->proxy_url);
        texts_done(&h->proxy_except);
        free(h);
}
