/* SPDX-License-Identifier: MIT */
/* exact.c: what the counters of a row must add up to: the law of the columns "exact" and "killed". */
#include "exact.h"

unsigned bench_units_of(enum bench_op op)
{
    return op == BENCH_OP_TAKE_MANY || op == BENCH_OP_ADD_MANY ? BENCH_MANY : 1;
}

/* Reads leave nothing; new keys push others out with what they had; those who are denied take nothing; and what was
 * taken of a sliding window or a bucket comes back as time passes. */
int bench_is_summed(const struct bench_job *job)
{
    switch (job->op) {
    case BENCH_OP_ADD:
    case BENCH_OP_ADD_HANDLE:
    case BENCH_OP_ADD_MANY:
    case BENCH_OP_ENTER_LEAVE:
        return 1;
    case BENCH_OP_TAKE:
    case BENCH_OP_TAKE_HANDLE:
    case BENCH_OP_TAKE_MANY:
        return job->limit.algorithm == BENCH_FIXED;
    default:
        return 0;
    }
}

/* Counters are loaded with 1, limits with what is used of them. Who left an in-flight limit took nothing with it. */
int64_t bench_expected_sum(const struct bench_job *job, uint64_t ops)
{
    int64_t loaded = (int64_t)job->keys->key_count * (job->limit.units ? (int64_t)job->limit.used : 1);
    return job->op == BENCH_OP_ENTER_LEAVE ? loaded : loaded + (int64_t)(ops * bench_units_of(job->op));
}
