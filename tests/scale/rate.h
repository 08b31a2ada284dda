/* SPDX-License-Identifier: MIT */
/* rate.h: whether something runs at the same pace in two situations, measured in turns. */
#ifndef SCALE_RATE_H
#define SCALE_RATE_H

#include <stdint.h>

/* Does a batch of operations; returns how many. */
typedef uint64_t rate_batch(void *arg);

/* The situation under test begins or ends. */
typedef void rate_switch(void *arg);

struct rate {
    rate_batch *batch;
    rate_switch *begin, *end;
    void *arg;
};

/* Median operations per slice within the situation, divided by those outside of it; slices of both take turns, so that what
 * else the machine does falls on both. Measured once more if the ratio is below `enough`. */
double rate_ratio(const struct rate *rate, double enough);

#endif
