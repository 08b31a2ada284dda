/* SPDX-License-Identifier: MIT */
/* bench_raw.c: what the machine itself takes: bare adds, two dependent loads, and a table that nobody ever
 * deletes from. These are floors to look at, not ways to count for a living. */
#include "bench_loop.h"
#include "table.h"

#include <stdlib.h>

/* ---- adds on a line: each worker its own, or one for all ---------------------------------------- */

struct line {
    _Alignas(BENCH_SHARED_ALIGN) _Atomic int64_t count;
};

struct lines {
    struct line *lines;
    unsigned count;
};

static void lines_teardown(void *state)
{
    struct lines *lines = state;
    bench_shared_free(lines->lines, lines->count * sizeof(struct line));
    free(lines);
}

static int lines_setup(const struct bench_job *job, void **state)
{
    struct lines *lines = calloc(1, sizeof(*lines));
    if (!lines)
        return bench_error("no memory for lines");
    lines->count = job->workers_max;
    lines->lines = bench_shared_alloc(lines->count * sizeof(struct line));
    if (!lines->lines) {
        free(lines);
        return bench_error("no memory for lines");
    }
    atomic_store(&lines->lines[0].count, 1);
    *state = lines;
    return 0;
}

static int lines_sum(void *state, int64_t *out)
{
    struct lines *lines = state;
    *out = 0;
    for (unsigned i = 0; i < lines->count; i++)
        *out += atomic_load(&lines->lines[i].count);
    return 0;
}

/* Two separate accesses for the language, one plain add for the machine; the compiler may not keep the sum in
 * a register. */
static inline int add_private(void *context, const struct bench_key *key, uint64_t *seen)
{
    (void)key, (void)seen;
    _Atomic int64_t *count = context;
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1, memory_order_relaxed);
    return 0;
}

static int private_run(void *state, struct bench_worker *worker)
{
    struct lines *lines = state;
    return bench_loop(worker, add_private, &lines->lines[worker->index].count);
}

static inline int add_locked(void *context, const struct bench_key *key, uint64_t *seen)
{
    (void)key, (void)seen;
    atomic_fetch_add_explicit((_Atomic int64_t *)context, 1, memory_order_relaxed);
    return 0;
}

static int shared_run(void *state, struct bench_worker *worker)
{
    struct lines *lines = state;
    return bench_loop(worker, add_locked, &lines->lines[0].count);
}

const struct bench_contender bench_private_add = {
    .name = "private_add",
    .what = "plain add, each process its own cache line",
    .setup = lines_setup,
    .run = private_run,
    .sum = lines_sum,
    .teardown = lines_teardown,
};

const struct bench_contender bench_shared_add = {
    .name = "locked_add",
    .what = "lock xadd, all processes one cache line",
    .setup = lines_setup,
    .run = shared_run,
    .sum = lines_sum,
    .teardown = lines_teardown,
};

/* ---- two dependent cache misses ----------------------------------------------------------------- */

struct target {
    _Alignas(64) uint64_t one; /* 1 in all of them */
};

/* The shape of a lookup with nothing in it: a word that says which line, then that line. */
struct misses {
    uint64_t *words;
    struct target *targets;
    void *memory;
    size_t memory_bytes;
    unsigned bits;
};

static void misses_teardown(void *state)
{
    struct misses *misses = state;
    bench_shared_free(misses->memory, misses->memory_bytes);
    free(misses);
}

static int misses_setup(const struct bench_job *job, void **state)
{
    struct misses *misses = calloc(1, sizeof(*misses));
    if (!misses)
        return bench_error("no memory for the two misses");
    misses->bits = 4;
    while ((1u << misses->bits) < job->keys->key_count)
        misses->bits++;
    size_t words = (size_t)1 << misses->bits;
    size_t target_bytes = job->keys->key_count * sizeof(struct target);
    misses->memory_bytes = target_bytes + words * sizeof(uint64_t);
    misses->memory = bench_shared_alloc(misses->memory_bytes);
    if (!misses->memory) {
        free(misses);
        return bench_error("no memory for the two misses");
    }
    misses->targets = misses->memory;
    misses->words = (uint64_t *)((char *)misses->memory + target_bytes);
    for (size_t i = 0; i < job->keys->key_count; i++)
        misses->targets[i].one = 1;
    for (size_t i = 0; i < words; i++)
        misses->words[i] = job->keys->load_order[i % job->keys->key_count];
    *state = misses;
    return 0;
}

/* The place of the next word depends on the line just loaded, so no two operations overlap. */
static int misses_run(void *state, struct bench_worker *worker)
{
    const struct misses *misses = state;
    uint64_t place = worker->index;
    uint64_t ops = 0, seen = 0;
    do {
        for (unsigned i = 0; i < BENCH_OPS_PER_LOOK; i++) {
            uint64_t one = misses->targets[misses->words[place >> (64 - misses->bits)]].one;
            seen += one;
            place = place * 6364136223846793005ull + 1442695040888963406ull + one;
        }
        ops += BENCH_OPS_PER_LOOK;
    } while (!bench_stopped(worker));
    worker->ops = ops;
    worker->seen = seen;
    return 0;
}

const struct bench_contender bench_two_misses = {
    .name = "two_misses",
    .what = "a random word, then the line it names; no key, no count",
    .setup = misses_setup,
    .run = misses_run,
    .teardown = misses_teardown,
};

/* ---- a table that only grows: no lock to find a key, a locked add to count it ------------------- */

static void fixed_teardown(void *state)
{
    bench_table_free(state);
    free(state);
}

static int fixed_setup(const struct bench_job *job, void **state)
{
    struct bench_table *table = calloc(1, sizeof(*table));
    if (!table || bench_table_make(table, job->keys)) {
        free(table);
        return bench_error("the table without a lock could not be made");
    }
    *state = table;
    return 0;
}

static inline int fixed_add(void *context, const struct bench_key *key, uint64_t *seen)
{
    (void)seen;
    uint64_t hash = bench_hash(key->text, key->bytes);
    struct bench_table_node *node = bench_table_find(context, hash, key->text, key->bytes);
    if (!node)
        return bench_error("table: a key is missing");
    __atomic_fetch_add(&node->usage.count, 1, __ATOMIC_RELAXED);
    return 0;
}

static inline int fixed_get(void *context, const struct bench_key *key, uint64_t *seen)
{
    uint64_t hash = bench_hash(key->text, key->bytes);
    struct bench_table_node *node = bench_table_find(context, hash, key->text, key->bytes);
    if (!node)
        return bench_error("table: a key is missing");
    *seen += (uint64_t)__atomic_load_n(&node->usage.count, __ATOMIC_RELAXED);
    return 0;
}

static int fixed_run(void *state, struct bench_worker *worker)
{
    if (worker->job->op == BENCH_OP_ADD)
        return bench_loop(worker, fixed_add, state);
    if (worker->job->op == BENCH_OP_GET)
        return bench_loop(worker, fixed_get, state);
    return bench_error("the table without a lock has no such operation");
}

static int fixed_sum(void *state, int64_t *out)
{
    *out = bench_table_sum(state);
    return 0;
}

const struct bench_contender bench_fixed_table = {
    .name = "table_fixed",
    .what = "hash table that can neither insert nor delete: find, lock xadd",
    .setup = fixed_setup,
    .run = fixed_run,
    .sum = fixed_sum,
    .teardown = fixed_teardown,
};
