/* SPDX-License-Identifier: MIT */
/* bench_loop.h: the timed loop, the same one for every contender. It is inlined with the contender's
 * operation, so that nobody pays for a call through a pointer. No clock is read in it. It looks at the stop
 * flag last, so that no slice is empty, however late the scheduler lets it begin. */
#ifndef BENCH_LOOP_H
#define BENCH_LOOP_H

#include "bench.h"

#include <string.h>
#include <unistd.h>

/* One operation on one key; adds what it read, if anything, to *seen. 0, or -1 after bench_error. */
typedef int bench_key_op(void *context, const struct bench_key *key, uint64_t *seen);

/* Relaxed: the flag orders nothing; the worker tells its parent that it is done by another word. */
static inline int bench_stopped(const struct bench_worker *worker)
{
    return atomic_load_explicit(worker->stop, memory_order_relaxed);
}

/* The loop for faults.c, which times nothing: it tells of every operation when it is done. */
static inline __attribute__((always_inline)) int bench_loop_acked(struct bench_worker *worker, bench_key_op *op,
                                                                  void *context)
{
    const struct bench_keys *set = worker->job->keys;
    uint64_t acked = atomic_load_explicit(worker->acked, memory_order_relaxed);
    while (!bench_stopped(worker)) {
        if (op(context, &set->keys[set->draws[worker->draw_at]], &worker->seen))
            return -1;
        /* Relaxed: one writer; it orders nothing, and a killed process's stores are not lost. */
        atomic_store_explicit(worker->acked, ++acked, memory_order_relaxed);
        worker->draw_at = (worker->draw_at + 1) % set->draw_count;
    }
    return 0;
}

static inline __attribute__((always_inline)) int bench_loop(struct bench_worker *worker, bench_key_op *op,
                                                            void *context)
{
    const struct bench_keys *set = worker->job->keys;
    size_t at = worker->draw_at;
    uint64_t ops = 0;
    uint64_t seen = 0;
    if (worker->acked)
        return bench_loop_acked(worker, op, context);
    do {
        for (unsigned i = 0; i < BENCH_OPS_PER_LOOK; i++) {
            if (__builtin_expect(op(context, &set->keys[set->draws[at]], &seen), 0))
                return -1;
            if (++at == set->draw_count)
                at = 0;
        }
        ops += BENCH_OPS_PER_LOOK;
    } while (!bench_stopped(worker));
    worker->draw_at = at;
    worker->ops = ops;
    worker->seen = seen;
    return 0;
}

/* One operation on BENCH_MANY keys that are used one after the other. */
typedef int bench_many_op(void *context, const struct bench_key *keys[BENCH_MANY], uint64_t *seen);

/* The loop for BENCH_OP_TAKE_MANY and BENCH_OP_ADD_MANY: as bench_loop, for faults.c too. */
static inline __attribute__((always_inline)) int bench_loop_many(struct bench_worker *worker, bench_many_op *op,
                                                                 void *context)
{
    const struct bench_keys *set = worker->job->keys;
    const struct bench_key *keys[BENCH_MANY];
    uint64_t ops = 0, seen = 0;
    uint64_t acked = worker->acked ? atomic_load_explicit(worker->acked, memory_order_relaxed) : 0;
    do {
        for (unsigned i = 0; i < BENCH_OPS_PER_LOOK; i++) {
            for (unsigned k = 0; k < BENCH_MANY; k++) {
                keys[k] = &set->keys[set->draws[worker->draw_at]];
                worker->draw_at = worker->draw_at + 1 < set->draw_count ? worker->draw_at + 1 : 0;
            }
            if (__builtin_expect(op(context, keys, &seen), 0))
                return -1;
            if (worker->acked) /* relaxed, as in bench_loop_acked */
                atomic_store_explicit(worker->acked, ++acked, memory_order_relaxed);
        }
        ops += BENCH_OPS_PER_LOOK;
    } while (!bench_stopped(worker));
    worker->ops = ops;
    worker->seen = seen;
    return 0;
}

#define BENCH_NEW_BYTES (sizeof(BENCH_KEY_PREFIX) - 1 + sizeof(uint64_t))

/* A key that nobody used before: 8 bytes that look random behind the prefix. The multiplier is odd, so no two of one
 * row are equal. */
static inline void bench_key_new(struct bench_key *key, uint64_t number)
{
    uint64_t scattered = number * 0x9e3779b97f4a7c15ull;
    key->bytes = BENCH_NEW_BYTES;
    memcpy(key->text, BENCH_KEY_PREFIX, sizeof(BENCH_KEY_PREFIX) - 1);
    memcpy(key->text + sizeof(BENCH_KEY_PREFIX) - 1, &scattered, sizeof(scattered));
}

/* The loop for BENCH_OP_NEW. The key is written within it, which is the same for everybody. */
static inline __attribute__((always_inline)) int bench_loop_new(struct bench_worker *worker, bench_key_op *op,
                                                                void *context)
{
    uint64_t first = (uint64_t)getpid() << 40; /* apart from every other worker of this row */
    uint64_t ops = 0;
    uint64_t seen = 0;
    do {
        for (unsigned i = 0; i < BENCH_OPS_PER_LOOK; i++) {
            struct bench_key key;
            bench_key_new(&key, first + worker->draw_at++);
            if (__builtin_expect(op(context, &key, &seen), 0))
                return -1;
        }
        ops += BENCH_OPS_PER_LOOK;
    } while (!bench_stopped(worker));
    worker->ops = ops;
    worker->seen = seen;
    return 0;
}

/* One walk over everything; adds up the keys it visited and the counts it read. 0, or -1 after bench_error.
 */
typedef int bench_walk_op(void *context, uint64_t *visited, uint64_t *seen);

static inline int bench_walk_loop(struct bench_worker *worker, bench_walk_op *op, void *context)
{
    int failed = 0;
    worker->ops = 0;
    worker->seen = 0;
    do
        failed = op(context, &worker->ops, &worker->seen);
    while (!failed && !bench_stopped(worker));
    return failed;
}

#endif
