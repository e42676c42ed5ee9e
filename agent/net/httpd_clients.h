/* Who is connected to a listener of the HTTP server, for how long yet, and who makes room when it is full. */
#ifndef DCVD_NET_HTTPD_CLIENTS_H
#define DCVD_NET_HTTPD_CLIENTS_H

#include "agent/net/httpd.h"

/* Who holds connections: an IPv4 address, an IPv6 network of 64 bits (one host has all of it), the local socket. */
struct client_source {
        struct client_source *next;
        struct address address; /* port 0; family 0: a local socket */
        unsigned count, may_end; /* its connections; those of them that may be ended for another */
        bool local; /* a proxy of this host speaks for many */
};
enum client_phase { CLIENT_IN_HEADER, CLIENT_IN_REST, CLIENT_PHASES };
struct client {
        struct client *next, **at;
        struct client_source *source;
        int64_t since_ms, deadline_ms; /* of its phase */
        int fd; /* the server's */
        enum client_phase phase;
        bool handled; /* a whole request came and its answer is under way */
        bool ending;
        char peer[ADDRESS_TEXT]; /* "unix" for a local socket */
};
struct clients {
        struct httpd_limits limits; /* no zeros but per_local_source */
        /* Oldest first. One length of time for each list, so that it is in the order of the deadlines. */
        struct {
                struct client *first, **last;
        } waiting[CLIENT_PHASES];
        struct client_source *sources;
        unsigned count;
};

void clients_init(struct clients *all, const struct httpd_limits *limits_or_default);
/* A new connection; its oldest rival is ended where there is no room. NULL only if memory is out. */
struct client *client_new(struct clients *all, int fd, const struct sockaddr *peer);
void client_free(struct clients *all, struct client *c); /* the connection is closed */
void client_header_came(struct clients *all, struct client *c);
void client_request_came(struct client *c); /* whole: from now on it is not ended for others */
void client_request_ended(struct clients *all, struct client *c); /* a kept connection gets a new deadline */

int64_t clients_left_ms(const struct clients *all); /* until the next deadline; -1: none */
void clients_end_late(struct clients *all);

#endif
