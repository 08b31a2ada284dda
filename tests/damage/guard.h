/* SPDX-License-Identifier: MIT */
/* guard.h: runs a test in a child, so that its segment is removed however the test ends. */
#ifndef QP_TESTS_GUARD_H
#define QP_TESTS_GUARD_H

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "support.h"

/* Removes the file itself: a damaged segment may be refused by quipu_destroy. */
static inline void guard_remove(const char *segment)
{
    char path[256];
    snprintf(path, sizeof path, "/dev/shm/quipu.%s", segment);
    unlink(path);
}

/* Runs run(segment, arg) in a child. Returns what it returned, or 1 when it did not come to its end. */
static inline int guard_run(int (*run)(const char *segment, void *arg), const char *segment, void *arg)
{
    int status = -1;
    fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        qp_test_must(-errno, "fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int result = run(segment, arg);
        fflush(NULL);
        _exit(result);
    }
    while (waitpid(child, &status, 0) != child) {
    }
    guard_remove(segment);
    if (!WIFEXITED(status))
        printf("ended by signal %d\n", WTERMSIG(status));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

#endif
