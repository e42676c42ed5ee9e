/* Crash points: places where the tests kill the process to prove that nothing is lost. Compiled to nothing unless the
 * build has DCVD_CRASH_POINTS; then DCVD_CRASH=name or name:n kills with SIGKILL at the (n-th) passage, and every
 * passage is appended to the file DCVD_CRASH_LOG if that is set, so that a test can enumerate them. */
#ifndef DCVD_BASE_CRASH_H
#define DCVD_BASE_CRASH_H

#ifdef DCVD_CRASH_POINTS
void crash_point(const char *name);
#else
#define crash_point(name) ((void)0)
#endif

#endif
