/* SPDX-License-Identifier: MIT */
/* bench_lru.c: a table of limits that makes room for a new key by dropping the one that was used longest ago, as
 * nginx's zones do: a hash table and a list in order of use, under one robust process-shared mutex; and without a
 * mutex, each process its own. What the dropped key had used is forgotten. A kill in the middle of a change leaves the
 * chains half changed: it does not survive one. */
#include "bench_loop.h"
#include "limit.h"
#include "lock.h"

#include <stdlib.h>
#include <string.h>

/* Index 0 is nobody, and the ends of the list in order of use: its `older` is the newest, its `newer` the oldest. */
struct lru_node {
    _Alignas(64) struct bench_usage usage;
    uint64_t hash;
    uint32_t next; /* in the bucket; 0: none */
    uint32_t older, newer;
    uint32_t key_bytes;
    char key[16];
};
_Static_assert(sizeof(struct lru_node) == 64 && BENCH_NEW_BYTES <= 16, "one cache line");

struct lru {
    const struct bench_job *job;
    struct bench_lock *lock; /* NULL: each process its own table */
    uint32_t bucket_mask;
    uint32_t *buckets;
    struct lru_node *nodes;
    void *memory;
    size_t memory_bytes;
    struct bench_answer answer;
};

static void order_remove(struct lru *lru, uint32_t index)
{
    struct lru_node *at = &lru->nodes[index];
    lru->nodes[at->older].newer = at->newer;
    lru->nodes[at->newer].older = at->older;
}

static void order_add_newest(struct lru *lru, uint32_t index)
{
    struct lru_node *at = &lru->nodes[index];
    at->older = lru->nodes[0].older;
    at->newer = 0;
    lru->nodes[at->older].newer = index;
    lru->nodes[0].older = index;
}

static uint32_t lru_find(const struct lru *lru, uint64_t hash, const struct bench_key *key)
{
    uint32_t index = lru->buckets[(uint32_t)hash & lru->bucket_mask];
    for (; index; index = lru->nodes[index].next) {
        const struct lru_node *node = &lru->nodes[index];
        if (node->hash == hash && node->key_bytes == key->bytes && memcmp(node->key, key->text, key->bytes) == 0)
            break;
    }
    return index;
}

static void bucket_remove(struct lru *lru, uint32_t index)
{
    uint32_t *link = &lru->buckets[(uint32_t)lru->nodes[index].hash & lru->bucket_mask];
    while (*link && *link != index)
        link = &lru->nodes[*link].next;
    if (*link) /* else it never held a key */
        *link = lru->nodes[index].next;
}

/* The node of a new key: the one that was used longest ago gives way. */
static uint32_t lru_replace(struct lru *lru, uint64_t hash, const struct bench_key *key)
{
    uint32_t index = lru->nodes[0].newer;
    struct lru_node *node = &lru->nodes[index];
    order_remove(lru, index);
    bucket_remove(lru, index);
    uint32_t *bucket = &lru->buckets[(uint32_t)hash & lru->bucket_mask];
    *node = (struct lru_node){.hash = hash, .key_bytes = key->bytes, .next = *bucket};
    memcpy(node->key, key->text, key->bytes);
    *bucket = index;
    return index;
}

static inline int lru_take(void *context, const struct bench_key *key, uint64_t *seen)
{
    struct lru *lru = context;
    uint64_t hash = bench_hash(key->text, key->bytes);
    uint64_t now_ms = bench_now_ms();
    if (lru->lock && bench_lock_take(lru->lock))
        return -1;
    uint32_t index = lru_find(lru, hash, key);
    if (index)
        order_remove(lru, index);
    else
        index = lru_replace(lru, hash, key);
    order_add_newest(lru, index);
    *seen += (uint64_t)bench_limit_take(&lru->nodes[index].usage, &lru->job->limit, now_ms, &lru->answer);
    if (lru->lock)
        bench_lock_give(lru->lock);
    return 0;
}

/* As many nodes as the row has keys, all of them used once. */
static int lru_make(struct lru *lru)
{
    const struct bench_keys *keys = lru->job->keys;
    size_t buckets = 16;
    while (buckets < 2 * keys->key_count)
        buckets *= 2;
    size_t node_bytes = (keys->key_count + 1) * sizeof(struct lru_node);
    lru->bucket_mask = (uint32_t)buckets - 1;
    lru->memory_bytes = node_bytes + buckets * sizeof(*lru->buckets);
    lru->memory = bench_shared_alloc(lru->memory_bytes);
    if (!lru->memory)
        return bench_error("no memory for a table of %zu keys", keys->key_count);
    lru->nodes = lru->memory;
    lru->buckets = (uint32_t *)((char *)lru->memory + node_bytes);
    struct bench_key key;
    uint64_t seen = 0;
    for (size_t i = 0; i < keys->key_count; i++)
        order_add_newest(lru, (uint32_t)i + 1);
    for (size_t i = 0; i < keys->key_count; i++) {
        bench_key_new(&key, i);
        lru_take(lru, &key, &seen);
    }
    return 0;
}

static void lru_teardown(void *state)
{
    struct lru *lru = state;
    bench_locks_free(lru->lock, 1);
    bench_shared_free(lru->memory, lru->memory_bytes);
    free(lru);
}

static int own_setup(const struct bench_job *job, void **state)
{
    struct lru *lru = calloc(1, sizeof(*lru));
    if (!lru)
        return bench_error("no memory for a table");
    lru->job = job;
    *state = lru;
    return 0;
}

static int own_attach(void *state, unsigned worker)
{
    (void)worker;
    return lru_make(state);
}

static int locked_setup(const struct bench_job *job, void **state)
{
    if (own_setup(job, state))
        return -1;
    struct lru *lru = *state;
    lru->lock = bench_locks_make(1);
    if (lru->lock && lru_make(lru) == 0)
        return 0;
    lru_teardown(lru);
    *state = NULL;
    return -1;
}

static int lru_run(void *state, struct bench_worker *worker)
{
    return worker->job->op == BENCH_OP_NEW ? bench_loop_new(worker, lru_take, state)
                                           : bench_error("the table in order of use has no such operation");
}

const struct bench_contender bench_lru_mutex = {
    .name = "lru_mutex",
    .what = "hash table and order of use under one robust process-shared mutex",
    .setup = locked_setup,
    .run = lru_run,
    .teardown = lru_teardown,
};

const struct bench_contender bench_lru_own = {
    .name = "private_lru",
    .what = "the same, each process its own, no mutex",
    .setup = own_setup,
    .attach = own_attach,
    .run = lru_run,
    .teardown = lru_teardown,
};
