/* SPDX-License-Identifier: MIT */
/* fake_clock.c: clock_gettime by a shared page: a program's own definition comes before the C library's. */
#include "fake_clock.h"

#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "limits.h"

struct fake_clock *fake_clock;

int clock_gettime(clockid_t clock, struct timespec *now)
{
    if (!fake_clock || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
        return (int)syscall(SYS_clock_gettime, clock, now);
    uint64_t ms = limits_read(&fake_clock->unix_ms);
    now->tv_sec = (time_t)(ms / 1000);
    now->tv_nsec = (long)(ms % 1000 * 1000000);
    uint64_t stop_pid = limits_read(&fake_clock->stop_pid);
    if (stop_pid && stop_pid == (uint64_t)getpid()) {
        limits_write(&fake_clock->stop_pid, 0);
        raise(SIGSTOP);
    }
    return 0;
}

void fake_clock_start(uint64_t unix_ms)
{
    struct fake_clock *page = scale_shared(sizeof *page);
    limits_write(&page->unix_ms, unix_ms);
    fake_clock = page;
}

void fake_clock_set(uint64_t unix_ms)
{
    limits_write(&fake_clock->unix_ms, unix_ms);
}
