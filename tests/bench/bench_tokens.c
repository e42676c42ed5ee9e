/* Serves one token through net/httpd and the token table until it is ended, as the daemon's listener does.
 *   bench_tokens ADDRESS:PORT PATH BODY */
#include <signal.h>
#include <stdio.h>

#include "agent/base/err.h"
#include "agent/net/httpd.h"
#include "agent/net/loop.h"
#include "validators/token_table.h"

static void stop(void *arg, int signum)
{
        (void)signum;
        loop_stop(arg);
}

int main(int argc, char **argv)
{
        struct loop *loop;
        struct token_table *table;
        struct httpd *httpd;
        struct err e = { 0 };
        if (argc != 4)
                return 2;
        if (!loop_open(&loop, &e) || !token_table_new(&table, &e) ||
                !token_table_put(table, "", argv[2], argv[3], &e) ||
                !token_table_listen(table, loop, argv[1], -1, &httpd, &e) ||
                !loop_on_signal(loop, SIGTERM, stop, loop, &e)) {
                fprintf(stderr, "%s\n", e.text);
                return 1;
        }
        puts("ready");
        (void)fflush(stdout);
        loop_run(loop);
        httpd_close(httpd);
        token_table_free(table);
        loop_close(loop);
        return 0;
}
