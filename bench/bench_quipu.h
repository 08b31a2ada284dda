/* SPDX-License-Identifier: MIT */
/* bench_quipu.h: a segment of ours, made and loaded for a row, and what all contenders that are ours do with it. */
#ifndef BENCH_QUIPU_H
#define BENCH_QUIPU_H

#include "bench.h"
#include "quipu.h"

struct bench_quipu {
    struct bench_job job;
    struct quipu *q;
    struct quipu_counter handle; /* of the first key, in a worker */
    struct quipu_verdict verdict;
    uint64_t refused;
    char path[256];
};

/* Says what a call answered. -1. */
int bench_quipu_failed(const char *call, int code);

/* A segment with every key of the job in it, counted once or with what is used of its limit. label: it is the only one of
 * that name in the row. spare: more keys that fit. grows_to: more that fit when it has grown; 0: it does not. */
int bench_quipu_setup(const struct bench_job *job, const char *label, size_t spare, size_t grows_to,
                      struct bench_quipu **out);

/* Each worker opens the segment by its name, as processes that know nothing of each other do. */
int bench_quipu_attach(void *state, unsigned worker);

/* Walks over all keys of the job. Adds up how many it visited, and what they had. */
int bench_quipu_walk(void *context, uint64_t *visited, uint64_t *seen);
int bench_quipu_sum(void *state, int64_t *out);
void bench_quipu_teardown(void *state);

/* Denied is an answer, too. */
static inline int bench_quipu_counted(const char *call, int code, uint64_t *seen)
{
    *seen += code == 0;
    return __builtin_expect(code < 0, 0) ? bench_quipu_failed(call, code) : 0;
}

static inline int bench_quipu_take(void *context, const struct bench_key *key, uint64_t *seen)
{
    struct bench_quipu *store = context;
    int code = quipu_take(store->q, key->text, key->bytes, 1, &store->verdict);
    return bench_quipu_counted("quipu_take", code, seen);
}

/* Added is done: seen, as a request that was admitted is. */
static inline int bench_quipu_add(void *context, const struct bench_key *key, uint64_t *seen)
{
    struct bench_quipu *store = context;
    return bench_quipu_counted("quipu_add", quipu_add(store->q, key->text, key->bytes, 1), seen);
}

static inline int bench_quipu_add_handle(void *context, const struct bench_key *key, uint64_t *seen)
{
    (void)key;
    struct bench_quipu *store = context;
    return bench_quipu_counted("quipu_counter_add", quipu_counter_add(&store->handle, 1), seen);
}

#endif
