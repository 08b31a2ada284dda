/* SPDX-License-Identifier: MIT */
/* latency.c: percentiles of a histogram, and what its clock costs. */
#include "latency.h"

#define COST_LOOKS 100000
#define COST_TRIES 5

/* The middle of the bucket. */
static double bucket_ticks(unsigned bucket)
{
    if (bucket < BENCH_LATENCY_PARTS)
        return (double)bucket;
    unsigned shift = bucket / BENCH_LATENCY_PARTS - 1;
    uint64_t least = (uint64_t)(bucket % BENCH_LATENCY_PARTS + BENCH_LATENCY_PARTS) << shift;
    return (double)least + (double)((uint64_t)1 << shift) / 2;
}

/* Of that many of a million operations, none took longer. */
static double percentile_ticks(const struct bench_histogram *histogram, unsigned of_million)
{
    uint64_t rank = histogram->count / 1000000 * of_million + histogram->count % 1000000 * of_million / 1000000;
    uint64_t upto = 0;
    for (unsigned bucket = 0; bucket < BENCH_LATENCY_BUCKETS; bucket++) {
        upto += histogram->buckets[bucket];
        if (upto > rank)
            return bucket_ticks(bucket);
    }
    return (double)histogram->worst;
}

struct bench_latency bench_histogram_latency(const struct bench_histogram *histogram, double ns_per_tick)
{
    return (struct bench_latency){.p50 = percentile_ticks(histogram, 500000) * ns_per_tick,
                                  .p999 = percentile_ticks(histogram, 999000) * ns_per_tick,
                                  .worst = (double)histogram->worst * ns_per_tick};
}

double bench_ticks_cost_ns(void)
{
    double least_ns = 0;
    for (unsigned try = 0; try < COST_TRIES; try++) {
        uint64_t begun_ns = bench_monotonic_ns();
        uint64_t ticks = 0;
        for (unsigned i = 0; i < COST_LOOKS; i++) {
            ticks ^= bench_ticks();
            __asm__ volatile("" : "+r"(ticks));
        }
        double ns = (double)(bench_monotonic_ns() - begun_ns) / COST_LOOKS;
        least_ns = try == 0 || ns < least_ns ? ns : least_ns;
    }
    return least_ns;
}
