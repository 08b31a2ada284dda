/* SPDX-License-Identifier: MIT */
/* rate.c: slices in turns, and their medians. */
#include "rate.h"

#include <stdlib.h>

#include "scale.h"

#define SLICES 25
#define SLICE_NS UINT64_C(15000000)

static uint64_t slice(const struct rate *rate)
{
    uint64_t done = 0, end_ns = scale_clock_ns() + SLICE_NS;
    do
        done += rate->batch(rate->arg);
    while (scale_clock_ns() < end_ns);
    return done;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static double median(uint64_t counts[SLICES])
{
    qsort(counts, SLICES, sizeof counts[0], compare);
    return (double)counts[SLICES / 2];
}

static double measure(const struct rate *rate)
{
    uint64_t outside[SLICES], within[SLICES];
    for (int i = 0; i < SLICES; i++) {
        outside[i] = slice(rate);
        rate->begin(rate->arg);
        within[i] = slice(rate);
        rate->end(rate->arg);
    }
    return median(within) / median(outside);
}

double rate_ratio(const struct rate *rate, double enough)
{
    double ratio = measure(rate);
    return ratio >= enough ? ratio : measure(rate);
}
