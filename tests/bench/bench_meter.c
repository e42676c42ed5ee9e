/* bench_meter COMMAND...: runs it and prints, as JSON, what it and every process below it took: wall and CPU seconds, the
 * largest resident memory of one process in KiB, the exit status. Small itself, so that its own memory, which a child
 * begins with, hides nobody's. Descendants whose parents leave become its children and are waited for as well. */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static double now_s(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(struct timeval t)
{
        return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
        struct rusage used;
        pid_t child, ended;
        int status = 0, one = 0;
        double begun_s = now_s(), wall_s = 0;
        if (argc < 2)
                return 2;
        (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
        int error = posix_spawnp(&child, argv[1], NULL, NULL, argv + 1, environ);
        if (error) {
                fprintf(stderr, "bench_meter: %s: error %d\n", argv[1], error);
                return 2;
        }
        while ((ended = wait(&one)) > 0 || errno == EINTR)
                if (ended == child) {
                        status = one;
                        wall_s = now_s() - begun_s;
                }
        getrusage(RUSAGE_CHILDREN, &used);
        printf("{\"wall_s\": %.6f, \"cpu_s\": %.6f, \"rss_kib\": %ld, \"status\": %d}\n", wall_s,
                seconds(used.ru_utime) + seconds(used.ru_stime), used.ru_maxrss, WIFEXITED(status) ? WEXITSTATUS(status) : 128);
        return 0;
}
