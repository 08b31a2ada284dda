/* SPDX-License-Identifier: MIT */
/* limits.c: segments without names, strategies, random numbers. */
#include "limits.h"

#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support.h"

struct quipu *limits_segment(const char *what, struct quipu_create_options options)
{
    char path[160];
    struct quipu *q = NULL;
    options.struct_bytes = sizeof options;
    snprintf(path, sizeof path, "/dev/shm/quipu.%s", qp_test_name(what));
    unlink(path); /* of an earlier process with this number */
    qp_test_must(quipu_create(path, &options), path);
    int error = quipu_open(path, NULL, &q);
    unlink(path);
    qp_test_must(error, path);
    return q;
}

struct quipu_strategy limits_strategy(struct quipu_strategy fields)
{
    fields.struct_bytes = sizeof fields;
    fields.kind = QUIPU_KIND_LIMIT;
    return fields;
}

void limits_put(struct quipu *q, const char *prefix, struct quipu_strategy fields)
{
    fields = limits_strategy(fields);
    qp_test_must(quipu_strategy_put(q, prefix, strlen(prefix), &fields), "strategy");
}

uint64_t limits_unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void limits_watchdog(unsigned seconds)
{
    alarm(seconds); /* SIGALRM ends the process */
}

/* splitmix64 */
uint64_t limits_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void limits_pause(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

void limits_watch(void)
{
    siginfo_t info = {0};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid &&
        (info.si_code != CLD_EXITED || info.si_status))
        scale_fail("child %d ended by itself (%d, %d)", (int)info.si_pid, info.si_code, info.si_status);
    limits_pause();
}

uint64_t limits_own_kb(void)
{
    unsigned long pages, resident, shared;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%lu %lu %lu", &pages, &resident, &shared) != 3)
        scale_fail("/proc/self/statm cannot be read");
    fclose(file);
    return (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
}
