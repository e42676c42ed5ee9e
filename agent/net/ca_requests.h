/* dcvd_ca_requests_total, counted by whatever speaks to a CA. */
#ifndef DCVD_NET_CA_REQUESTS_H
#define DCVD_NET_CA_REQUESTS_H

struct err;

/* action: what was asked for, of a small number of words. err: NULL if it was answered as hoped. */
void ca_requests_count(const char *ca, const char *action, const struct err *err);
void ca_requests_declare(void); /* shown before the first request */

#endif
