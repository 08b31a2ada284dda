/* SPDX-License-Identifier: MIT */
/* clock.c: another time of day for one program, which has this in LD_PRELOAD: QUIPU_TEST_CLOCK="AHEAD_MS [RATE FROM_MS]",
 * ahead of the machine's clock by so much, and RATE times as fast since the unix time FROM_MS. What is measured by the
 * monotonic clock, timers too, goes on as it was. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS 1000000LL
#define NS_PER_S 1000000000LL

static long long ahead_ns, rate = 1, from_ns;

__attribute__((constructor)) static void read_wish(void)
{
    const char *wish = getenv("QUIPU_TEST_CLOCK");
    long long ahead_ms, from_ms;
    int count = wish ? sscanf(wish, "%lld %lld %lld", &ahead_ms, &rate, &from_ms) : 0;
    if (count != 1 && count != 3) {
        fprintf(stderr, "QUIPU_TEST_CLOCK is AHEAD_MS, or AHEAD_MS RATE FROM_MS\n");
        _exit(3);
    }
    ahead_ns = ahead_ms * NS_PER_MS;
    from_ns = count == 3 ? from_ms * NS_PER_MS : 0;
}

/* Seen from outside, whatever the build hides: it takes the place of libc's. */
__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *out)
{
    if (syscall(SYS_clock_gettime, clock, out))
        return -1;
    if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)
        return 0;
    long long ns = out->tv_sec * NS_PER_S + out->tv_nsec;
    ns += ahead_ns + (ns - from_ns) * (rate - 1);
    out->tv_sec = ns / NS_PER_S;
    out->tv_nsec = ns % NS_PER_S;
    return 0;
}
