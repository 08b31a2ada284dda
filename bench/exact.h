/* SPDX-License-Identifier: MIT */
/* exact.h: what the counters of a row must add up to. */
#ifndef BENCH_EXACT_H
#define BENCH_EXACT_H

#include "bench.h"

/* Units that one operation leaves in the counters. */
unsigned bench_units_of(enum bench_op op);

/* Whether what was done can be added up: units that stay until the row is over. */
int bench_is_summed(const struct bench_job *job);

/* The sum of all counters after that many operations, or units in the row of in-flight limits. */
int64_t bench_expected_sum(const struct bench_job *job, uint64_t ops);

#endif
