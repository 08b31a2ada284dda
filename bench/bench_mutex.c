/* SPDX-License-Identifier: MIT */
/* bench_mutex.c: the table that most people would write: robust process-shared mutexes around a plain hash
 * table. With one mutex for all keys, and with one for every 1/256 of the buckets. */
#include "bench_loop.h"
#include "table.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define LOCKS_MANY 256

struct lock {
    _Alignas(BENCH_SHARED_ALIGN) pthread_mutex_t mutex;
};

struct locked_table {
    struct bench_table table;
    struct lock *locks;
    uint32_t lock_mask;
};

/* The owner may have died with it. Every change made under it is one word, so the table is sound. */
static inline int lock_take(pthread_mutex_t *mutex)
{
    int error = pthread_mutex_lock(mutex);
    if (__builtin_expect(error == 0, 1))
        return 0;
    if (error == EOWNERDEAD && pthread_mutex_consistent(mutex) == 0)
        return 0;
    return bench_error("pthread_mutex_lock: error %d", error);
}

static inline pthread_mutex_t *lock_of(struct locked_table *locked, uint64_t hash)
{
    return &locked->locks[bench_table_bucket(&locked->table, hash) & locked->lock_mask].mutex;
}

static int locks_make(struct lock *locks, uint32_t count)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    int error = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    if (!error)
        error = pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    for (uint32_t i = 0; i < count && !error; i++)
        error = pthread_mutex_init(&locks[i].mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return error ? bench_error("a robust process-shared mutex: error %d", error) : 0;
}

static void locked_teardown(void *state)
{
    struct locked_table *locked = state;
    bench_table_free(&locked->table);
    bench_shared_free(locked->locks, (locked->lock_mask + 1) * sizeof(struct lock));
    free(locked);
}

static int locked_setup(const struct bench_job *job, void **state, uint32_t lock_count)
{
    struct locked_table *locked = calloc(1, sizeof(*locked));
    if (!locked)
        return bench_error("no memory for a table");
    locked->lock_mask = lock_count - 1;
    locked->locks = bench_shared_alloc(lock_count * sizeof(struct lock));
    if (!locked->locks || locks_make(locked->locks, lock_count) || bench_table_make(&locked->table, job->keys)) {
        locked_teardown(locked);
        return bench_error("the table under a mutex could not be made");
    }
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

static inline int add_key(void *context, const struct bench_key *key, uint64_t *seen)
{
    (void)seen;
    struct locked_table *locked = context;
    uint64_t hash = bench_hash(key->text, key->bytes); /* outside the lock */
    pthread_mutex_t *mutex = lock_of(locked, hash);
    if (lock_take(mutex))
        return -1;
    struct bench_table_node *node = bench_table_find(&locked->table, hash, key->text, key->bytes);
    if (node)
        node->count++;
    pthread_mutex_unlock(mutex);
    return node ? 0 : bench_error("table: a key is missing");
}

static inline int get_key(void *context, const struct bench_key *key, uint64_t *seen)
{
    struct locked_table *locked = context;
    uint64_t hash = bench_hash(key->text, key->bytes);
    pthread_mutex_t *mutex = lock_of(locked, hash);
    if (lock_take(mutex))
        return -1;
    struct bench_table_node *node = bench_table_find(&locked->table, hash, key->text, key->bytes);
    if (node)
        *seen += (uint64_t)node->count;
    pthread_mutex_unlock(mutex);
    return node ? 0 : bench_error("table: a key is missing");
}

/* Walks the nodes where they lie, not bucket by bucket: the fastest way there is. Only with one mutex. */
static int walk(void *context, uint64_t *visited, uint64_t *seen)
{
    struct locked_table *locked = context;
    if (lock_take(&locked->locks[0].mutex))
        return -1;
    for (uint32_t i = 1; i <= locked->table.node_count; i++) {
        const struct bench_table_node *node = &locked->table.nodes[i];
        *visited += node->key_bytes > 0;
        *seen += (uint64_t)node->count;
    }
    pthread_mutex_unlock(&locked->locks[0].mutex);
    return 0;
}

static int locked_run(void *state, struct bench_worker *worker)
{
    switch (worker->job->op) {
    case BENCH_OP_ADD:
        return bench_loop(worker, add_key, state);
    case BENCH_OP_GET:
        return bench_loop(worker, get_key, state);
    case BENCH_OP_EACH:
        return bench_walk_loop(worker, walk, state);
    case BENCH_OP_ADD_HANDLE:
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
