/* SPDX-License-Identifier: MIT */
/* bench_mutex.c: the table that most people would write: robust process-shared mutexes around a plain hash
 * table. With one mutex for all keys, and with one for every 1/256 of the buckets. */
#include "bench_loop.h"
#include "limit.h"
#include "lock.h"

#include <stdlib.h>

#define LOCKS_MANY 256

struct locked_table {
    const struct bench_job *job;
    struct bench_table table;
    struct bench_lock *locks;
    uint32_t lock_mask;
    struct bench_table_node *first; /* the first key's, looked up once */
    struct bench_answer answer;
};

static inline struct bench_lock *lock_of(struct locked_table *locked, uint64_t hash)
{
    return &locked->locks[bench_table_bucket(&locked->table, hash) & locked->lock_mask];
}

static void locked_teardown(void *state)
{
    struct locked_table *locked = state;
    bench_table_free(&locked->table);
    bench_locks_free(locked->locks, locked->lock_mask + 1);
    free(locked);
}

static int locked_setup(const struct bench_job *job, void **state, uint32_t lock_count)
{
    const struct bench_key *first = &job->keys->keys[0];
    struct locked_table *locked = calloc(1, sizeof(*locked));
    if (!locked)
        return bench_error("no memory for a table");
    locked->job = job;
    locked->lock_mask = lock_count - 1;
    locked->locks = bench_locks_make(lock_count);
    if (!locked->locks || bench_table_make(&locked->table, job->keys)) {
        locked_teardown(locked);
        return bench_error("the table under a mutex could not be made");
    }
    if (job->limit.units)
        bench_limit_load(&locked->table, &job->limit);
    locked->first = bench_table_find(&locked->table, bench_hash(first->text, first->bytes), first->text, first->bytes);
    *state = locked;
    return 0;
}

static int setup_one(const struct bench_job *job, void **state)
{
    return locked_setup(job, state, 1);
}

static int setup_many(const struct bench_job *job, void **state)
{
    return locked_setup(job, state, LOCKS_MANY);
}

/* ---- counters --------------------------------------------------------------------------------------------------- */

static inline int add_key(void *context, const struct bench_key *key, uint64_t *seen)
{
    (void)seen;
    struct locked_table *locked = context;
    uint64_t hash = bench_hash(key->text, key->bytes); /* outside the lock */
    struct bench_lock *lock = lock_of(locked, hash);
    if (bench_lock_take(lock))
        return -1;
    struct bench_table_node *node = bench_table_find(&locked->table, hash, key->text, key->bytes);
    if (node)
        node->usage.count++;
    bench_lock_give(lock);
    return node ? 0 : bench_error("table: a key is missing");
}

static inline int get_key(void *context, const struct bench_key *key, uint64_t *seen)
{
    struct locked_table *locked = context;
    uint64_t hash = bench_hash(key->text, key->bytes);
    struct bench_lock *lock = lock_of(locked, hash);
    if (bench_lock_take(lock))
        return -1;
    struct bench_table_node *node = bench_table_find(&locked->table, hash, key->text, key->bytes);
    if (node)
        *seen += (uint64_t)node->usage.count;
    bench_lock_give(lock);
    return node ? 0 : bench_error("table: a key is missing");
}

/* Walks the nodes where they lie, not bucket by bucket: the fastest way there is. Only with one mutex. */
static int walk(void *context, uint64_t *visited, uint64_t *seen)
{
    struct locked_table *locked = context;
    if (bench_lock_take(&locked->locks[0]))
        return -1;
    for (uint32_t i = 1; i <= locked->table.node_count; i++) {
        const struct bench_table_node *node = &locked->table.nodes[i];
        *visited += node->key_bytes > 0;
        *seen += (uint64_t)node->usage.count;
    }
    bench_lock_give(&locked->locks[0]);
    return 0;
}

/* ---- limits ----------------------------------------------------------------------------------------------------- */

static inline int take_key(void *context, const struct bench_key *key, uint64_t *seen)
{
    struct locked_table *locked = context;
    uint64_t hash = bench_hash(key->text, key->bytes); /* outside the lock, as the clock is */
    uint64_t now_ms = bench_now_ms();
    struct bench_lock *lock = lock_of(locked, hash);
    if (bench_lock_take(lock))
        return -1;
    struct bench_table_node *node = bench_table_find(&locked->table, hash, key->text, key->bytes);
    if (node)
        *seen += (uint64_t)bench_limit_take(&node->usage, &locked->job->limit, now_ms, &locked->answer);
    bench_lock_give(lock);
    return node ? 0 : bench_error("table: a key is missing");
}

/* One key, one mutex, no look-up. */
static inline int take_first(void *context, const struct bench_key *key, uint64_t *seen)
{
    (void)key;
    struct locked_table *locked = context;
    uint64_t now_ms = bench_now_ms();
    if (bench_lock_take(&locked->locks[0]))
        return -1;
    *seen += (uint64_t)bench_limit_take(&locked->first->usage, &locked->job->limit, now_ms, &locked->answer);
    bench_lock_give(&locked->locks[0]);
    return 0;
}

/* Leaves by the node that it entered: no second look-up. */
static inline int enter_leave(void *context, const struct bench_key *key, uint64_t *seen)
{
    struct locked_table *locked = context;
    uint64_t hash = bench_hash(key->text, key->bytes);
    struct bench_lock *lock = lock_of(locked, hash);
    if (bench_lock_take(lock))
        return -1;
    struct bench_table_node *node = bench_table_find(&locked->table, hash, key->text, key->bytes);
    int admitted = node && bench_limit_enter(&node->usage, &locked->job->limit);
    bench_lock_give(lock);
    if (!admitted)
        return node ? 0 : bench_error("table: a key is missing");
    *seen += 1;
    if (bench_lock_take(lock))
        return -1;
    node->usage.count--;
    bench_lock_give(lock);
    return 0;
}

/* ---- both ------------------------------------------------------------------------------------------------------- */

static int locked_run(void *state, struct bench_worker *worker)
{
    switch (worker->job->op) {
    case BENCH_OP_ADD:
        return bench_loop(worker, add_key, state);
    case BENCH_OP_GET:
        return bench_loop(worker, get_key, state);
    case BENCH_OP_EACH:
        return bench_walk_loop(worker, walk, state);
    case BENCH_OP_TAKE:
    case BENCH_OP_DENIED:
        return bench_loop(worker, take_key, state);
    case BENCH_OP_TAKE_HANDLE:
    case BENCH_OP_DENIED_HANDLE:
        return bench_loop(worker, take_first, state);
    case BENCH_OP_ENTER_LEAVE:
        return bench_loop(worker, enter_leave, state);
    default:
        break;
    }
    return bench_error("the table under a mutex has no such operation");
}

static int locked_sum(void *state, int64_t *out)
{
    *out = bench_table_sum(&((struct locked_table *)state)->table);
    return 0;
}

const struct bench_contender bench_mutex_one = {
    .name = "table_mutex",
    .what = "hash table under one robust process-shared mutex",
    .setup = setup_one,
    .run = locked_run,
    .sum = locked_sum,
    .teardown = locked_teardown,
};

const struct bench_contender bench_mutex_many = {
    .name = "table_256_mutexes",
    .what = "the same table with 256 such mutexes, by bucket",
    .setup = setup_many,
    .run = locked_run,
    .sum = locked_sum,
    .teardown = locked_teardown,
};
