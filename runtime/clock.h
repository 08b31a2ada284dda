/* SPDX-License-Identifier: MIT */
/* clock.h: the only place that reads a clock. */
#ifndef QP_RUNTIME_CLOCK_H
#define QP_RUNTIME_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Unix time in ms, a few ms behind at most: the coarse clock costs half of the exact one, and windows are 100 ms or
 * more. */
static inline uint64_t qp_clock_unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* For measuring how long something takes within this process. */
static inline uint64_t qp_clock_monotonic_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

#endif
