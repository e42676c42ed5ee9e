/* Times as the API writes them: "2025-02-26 07:59:59", no zone, always GMT+8. */
#ifndef DCVD_CA_TENCENT_TIME_H
#define DCVD_CA_TENCENT_TIME_H

#include <stdbool.h>
#include <stdint.h>

/* Unix time, or 0 for none (NULL, "", "--", "0000-00-00 00:00:00") and for what is no time. One-digit parts are taken.
 */
int64_t tc_time_read(const char *text);
/* The other way round, for requests. */
void tc_time_write(int64_t unix_s, char ret[20]);

#endif
