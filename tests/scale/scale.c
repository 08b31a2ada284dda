/* SPDX-License-Identifier: MIT */
/* scale.c: segments without names, children, failure. */
#include "scale.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/support.h"

#define EXIT_SKIPPED 77

void scale_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fflush(stdout);
    fprintf(stderr, "FOUND: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    _exit(1);
}

uint64_t scale_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

struct quipu *scale_segment(const char *what, uint32_t counters, uint32_t threads, bool fence)
{
    char path[160];
    struct quipu *q = NULL;
    struct quipu_create_options options = {.struct_bytes = sizeof options,
                                           .counters = counters,
                                           .threads = threads,
                                           .fence = fence,
                                           .strategy_bytes = 4096};
    snprintf(path, sizeof path, "/dev/shm/quipu.%s", qp_test_name(what));
    int error = quipu_create(path, &options);
    if (error == -ENOSPC) {
        printf("skipped: /dev/shm has no room for a segment of %" PRIu32 " counters\n", counters);
        exit(EXIT_SKIPPED);
    }
    qp_test_must(error, path);
    error = quipu_open(path, NULL, &q);
    unlink(path);
    qp_test_must(error, path);
    return q;
}

pid_t scale_fork(void)
{
    pid_t parent = getpid();
    fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        scale_fail("fork: %s", strerror(errno));
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
    }
    return child;
}

void scale_await(pid_t child, const char *what)
{
    int status;
    if (waitpid(child, &status, 0) != child)
        scale_fail("waiting for %s: %s", what, strerror(errno));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        scale_fail("%s ended with wait status %#x", what, (unsigned)status);
}

void *scale_shared(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        scale_fail("mmap: %s", strerror(errno));
    return memory;
}

struct quipu_stat scale_stat(struct quipu *q)
{
    struct quipu_stat stat;
    qp_test_must(quipu_stat(q, &stat), "stat");
    return stat;
}

void scale_demand_sound(struct quipu *q, bool quiet, const char *when)
{
    char finding[256] = "";
    int error = quiet ? quipu_check_quiet(q, finding, sizeof finding) : quipu_check(q, finding, sizeof finding);
    if (error)
        scale_fail("%s: check: %s (%s)", when, finding, quipu_error(error));
}

void scale_demand(uint64_t got, uint64_t expected, const char *figure, const char *when)
{
    if (got != expected)
        scale_fail("%s: %s is %" PRIu64 ", not %" PRIu64, when, figure, got, expected);
}
