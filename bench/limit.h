/* SPDX-License-Identifier: MIT */
/* limit.h: what the baselines do with what a key has used: the three algorithms, as a competent C programmer writes
 * them for memory that one process at a time may change. They read the clock that Quipu reads, once for each request. */
#ifndef BENCH_LIMIT_H
#define BENCH_LIMIT_H

#include "table.h"

#include <time.h>

#define BENCH_NS_PER_MS 1000000u

/* What a server tells its client. */
struct bench_answer {
    uint64_t remaining;
    uint64_t reset_ms;
};

static inline uint64_t bench_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / BENCH_NS_PER_MS;
}

/* Begins the window that now_ms is in. In this order, so that a kill between any two steps leaves a fixed window
 * right; a sliding one may forget the window before. */
static inline void bench_limit_roll(struct bench_usage *usage, const struct bench_limit *limit, uint64_t now_ms)
{
    int follows = now_ms < usage->until + limit->window_ms;
    usage->previous = follows ? usage->count : 0;
    atomic_signal_fence(memory_order_seq_cst);
    usage->count = 0;
    atomic_signal_fence(memory_order_seq_cst);
    usage->until = (now_ms / limit->window_ms + 1) * limit->window_ms;
}

/* The limits return 1: admitted, 0: denied. No division but where a window begins. */
static inline int bench_limit_fixed(struct bench_usage *usage, const struct bench_limit *limit, uint64_t now_ms,
                                    struct bench_answer *out)
{
    if (__builtin_expect(now_ms >= usage->until, 0))
        bench_limit_roll(usage, limit, now_ms);
    int admitted = (uint64_t)usage->count < limit->units;
    usage->count += admitted;
    out->remaining = limit->units - (uint64_t)usage->count;
    out->reset_ms = usage->until;
    return admitted;
}

static inline int bench_limit_sliding(struct bench_usage *usage, const struct bench_limit *limit, uint64_t now_ms,
                                      struct bench_answer *out)
{
    if (__builtin_expect(now_ms >= usage->until, 0))
        bench_limit_roll(usage, limit, now_ms);
    uint64_t left_ms = usage->until - now_ms;
    if (left_ms > limit->window_ms) /* another process's clock was read later and is ahead */
        left_ms = limit->window_ms;
    uint64_t used = (uint64_t)usage->count + (uint64_t)usage->previous * left_ms / limit->window_ms;
    int admitted = used < limit->units;
    usage->count += admitted;
    out->remaining = used < limit->units ? limit->units - used - 1 : 0;
    out->reset_ms = usage->until;
    return admitted;
}

static inline int bench_limit_bucket(struct bench_usage *usage, const struct bench_limit *limit, uint64_t now_ms,
                                     struct bench_answer *out)
{
    uint64_t now_ns = now_ms * BENCH_NS_PER_MS;
    uint64_t missing_ns = usage->until > now_ns ? usage->until - now_ns : 0;
    int admitted = missing_ns + limit->unit_ns <= limit->units * limit->unit_ns;
    missing_ns += admitted ? limit->unit_ns : 0;
    if (admitted)
        usage->until = now_ns + missing_ns;
    out->remaining = limit->units - missing_ns / limit->unit_ns;
    out->reset_ms = usage->until / BENCH_NS_PER_MS;
    return admitted;
}

/* Always the same way within a row: the processor learns it. */
static inline int bench_limit_take(struct bench_usage *usage, const struct bench_limit *limit, uint64_t now_ms,
                                   struct bench_answer *out)
{
    switch (limit->algorithm) {
    case BENCH_SLIDING:
        return bench_limit_sliding(usage, limit, now_ms, out);
    case BENCH_BUCKET:
        return bench_limit_bucket(usage, limit, now_ms, out);
    case BENCH_FIXED:
        break;
    }
    return bench_limit_fixed(usage, limit, now_ms, out);
}

static inline int bench_limit_enter(struct bench_usage *usage, const struct bench_limit *limit)
{
    int admitted = (uint64_t)usage->count < limit->units;
    usage->count += admitted;
    return admitted;
}

/* Every key of a table has used what the limit says it has when it is loaded. Windows begin now. */
static inline void bench_limit_load(struct bench_table *table, const struct bench_limit *limit)
{
    uint64_t now_ms = bench_now_ms();
    for (uint32_t i = 1; i <= table->node_count; i++) {
        struct bench_usage *usage = &table->nodes[i].usage;
        if (limit->algorithm != BENCH_BUCKET && limit->window_ms)
            bench_limit_roll(usage, limit, now_ms);
        usage->previous = 0;
        usage->count = (int64_t)limit->used;
    }
}

#endif
