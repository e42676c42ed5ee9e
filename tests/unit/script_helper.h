/* A broker whose helpers are a script: it is started for each connection, with it as stdin and stdout. */
#ifndef TEST_SCRIPT_HELPER_H
#define TEST_SCRIPT_HELPER_H

#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "agent/net/helper.h"

static inline void script_helper_nothing(void *arg)
{
        (void)arg;
}

static inline void script_helper_run(void *arg)
{
        char *argv[] = { arg, NULL };
        execv(arg, argv);
        _exit(127);
}

/* Our end of its socket; it ends when that is closed: wait(). */
static inline int script_helper_broker(const char *script)
{
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                close_p(&pair[0]);
                helper_broker_serve(pair[1],
                        &(struct helper_broker){
                                (void *)script, script_helper_nothing, script_helper_run, script_helper_nothing });
                _exit(0);
        }
        close_p(&pair[1]);
        return pair[0];
}

#endif
