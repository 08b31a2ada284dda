/* SPDX-License-Identifier: MIT */
/* latency.h: how long single operations take: the cheapest clock that the processor has, and a histogram. One look at the
 * clock for each operation: from the end of one to the end of the next, so that nothing that happens is between two of them. */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include "bench.h"

#include <time.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#define BENCH_CLOCK_NAME "rdtsc"
static inline uint64_t bench_ticks(void)
{
    return __rdtsc();
}
#elif defined(__aarch64__)
#define BENCH_CLOCK_NAME "cntvct_el0"
static inline uint64_t bench_ticks(void)
{
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
}
#else
#define BENCH_CLOCK_NAME "clock_gettime"
static inline uint64_t bench_ticks(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}
#endif

/* Buckets are a 32nd of their power of two wide: 3 %. */
#define BENCH_LATENCY_PARTS_LOG2 5
#define BENCH_LATENCY_PARTS (1u << BENCH_LATENCY_PARTS_LOG2)
#define BENCH_LATENCY_BUCKETS ((64 - BENCH_LATENCY_PARTS_LOG2 + 1) * BENCH_LATENCY_PARTS)

struct bench_histogram {
    uint64_t last; /* when the operation before ended */
    uint64_t count;
    uint64_t worst;
    uint32_t buckets[BENCH_LATENCY_BUCKETS];
};

static inline unsigned bench_latency_bucket(uint64_t ticks)
{
    if (ticks < BENCH_LATENCY_PARTS)
        return (unsigned)ticks;
    unsigned log2 = 63 - (unsigned)__builtin_clzll(ticks);
    unsigned shift = log2 - BENCH_LATENCY_PARTS_LOG2;
    return (shift + 1) * BENCH_LATENCY_PARTS + (unsigned)(ticks >> shift) - BENCH_LATENCY_PARTS;
}

static inline void bench_histogram_add(struct bench_histogram *histogram, uint64_t ticks)
{
    histogram->count++;
    histogram->worst = ticks > histogram->worst ? ticks : histogram->worst;
    histogram->buckets[bench_latency_bucket(ticks)]++;
}

/* ns_per_tick: what the clock that is read around the slice says. */
struct bench_latency bench_histogram_latency(const struct bench_histogram *histogram, double ns_per_tick);

/* What one look at the clock takes, the loop around it included. */
double bench_ticks_cost_ns(void);

#endif
