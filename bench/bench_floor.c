/* SPDX-License-Identifier: MIT */
/* bench_floor.c: what limiting takes when nothing is shared, or when all that is shared is one word. Floors to look
 * at, not ways to limit: what is admitted is the limit times the number of processes, or there is only one key. */
#include "bench_loop.h"
#include "limit.h"

#include <stdlib.h>

/* ---- a table for each process ----------------------------------------------------------------------------------- */

struct own_table {
    const struct bench_job *job;
    struct bench_table table; /* empty but in a worker */
    struct bench_table_node *first;
    struct bench_answer answer;
};

static int own_setup(const struct bench_job *job, void **state)
{
    struct own_table *own = calloc(1, sizeof(*own));
    if (!own)
        return bench_error("no memory for a table");
    own->job = job;
    *state = own;
    return 0;
}

static int own_attach(void *state, unsigned worker)
{
    (void)worker;
    struct own_table *own = state;
    const struct bench_key *first = &own->job->keys->keys[0];
    if (bench_table_make(&own->table, own->job->keys))
        return -1;
    bench_limit_load(&own->table, &own->job->limit);
    own->first = bench_table_find(&own->table, bench_hash(first->text, first->bytes), first->text, first->bytes);
    return 0;
}

static inline int own_take(void *context, const struct bench_key *key, uint64_t *seen)
{
    struct own_table *own = context;
    uint64_t hash = bench_hash(key->text, key->bytes);
    struct bench_table_node *node = bench_table_find(&own->table, hash, key->text, key->bytes);
    if (!node)
        return bench_error("table: a key is missing");
    *seen += (uint64_t)bench_limit_take(&node->usage, &own->job->limit, bench_now_ms(), &own->answer);
    return 0;
}

static inline int own_take_first(void *context, const struct bench_key *key, uint64_t *seen)
{
    (void)key;
    struct own_table *own = context;
    *seen += (uint64_t)bench_limit_take(&own->first->usage, &own->job->limit, bench_now_ms(), &own->answer);
    return 0;
}

static inline int own_enter_leave(void *context, const struct bench_key *key, uint64_t *seen)
{
    struct own_table *own = context;
    uint64_t hash = bench_hash(key->text, key->bytes);
    struct bench_table_node *node = bench_table_find(&own->table, hash, key->text, key->bytes);
    if (!node)
        return bench_error("table: a key is missing");
    if (!bench_limit_enter(&node->usage, &own->job->limit))
        return 0;
    *seen += 1;
    atomic_signal_fence(memory_order_seq_cst); /* what happens while a request is in flight happens between */
    node->usage.count--;
    return 0;
}

static int own_run(void *state, struct bench_worker *worker)
{
    switch (worker->job->op) {
    case BENCH_OP_TAKE:
    case BENCH_OP_DENIED:
        return bench_loop(worker, own_take, state);
    case BENCH_OP_TAKE_HANDLE:
    case BENCH_OP_DENIED_HANDLE:
        return bench_loop(worker, own_take_first, state);
    case BENCH_OP_ENTER_LEAVE:
        return bench_loop(worker, own_enter_leave, state);
    default:
        break;
    }
    return bench_error("a table for each process has no such operation");
}

static void own_teardown(void *state)
{
    free(state);
}

const struct bench_contender bench_own_table = {
    .name = "private_table",
    .what = "each process its own hash table and limits, nothing shared",
    .setup = own_setup,
    .attach = own_attach,
    .run = own_run,
    .teardown = own_teardown,
};

/* ---- one word for all ------------------------------------------------------------------------------------------- */

#define WORD_COUNT_BITS 40
#define WORD_COUNT_MASK ((UINT64_C(1) << WORD_COUNT_BITS) - 1)

/* The number of the window, then how much of it is used. */
struct shared_word {
    _Alignas(BENCH_SHARED_ALIGN) _Atomic uint64_t word;
    _Alignas(BENCH_SHARED_ALIGN) _Atomic uint64_t ended; /* what windows that are over had used, for the sum */
};

struct one_word {
    struct shared_word *shared;
    struct bench_limit limit;
    uint64_t until_ms, fresh; /* this process's: when the window ends, and the word of an unused one. No division before then */
};

static void word_teardown(void *state)
{
    struct one_word *one = state;
    bench_shared_free(one->shared, sizeof(*one->shared));
    free(one);
}

static int word_setup(const struct bench_job *job, void **state)
{
    struct one_word *one = calloc(1, sizeof(*one));
    if (!one)
        return bench_error("no memory for a word");
    one->limit = job->limit;
    one->shared = bench_shared_alloc(sizeof(*one->shared));
    if (!one->shared) {
        free(one);
        return bench_error("no memory for a word");
    }
    uint64_t window = bench_now_ms() / job->limit.window_ms;
    atomic_init(&one->shared->word, window << WORD_COUNT_BITS | job->limit.used);
    *state = one;
    return 0;
}

static inline int word_take(void *context, const struct bench_key *key, uint64_t *seen)
{
    (void)key;
    struct one_word *one = context;
    uint64_t now_ms = bench_now_ms();
    if (__builtin_expect(now_ms >= one->until_ms, 0)) {
        one->fresh = now_ms / one->limit.window_ms << WORD_COUNT_BITS;
        one->until_ms = (now_ms / one->limit.window_ms + 1) * one->limit.window_ms;
    }
    /* Relaxed throughout: the word is the whole state. */
    uint64_t word = atomic_load_explicit(&one->shared->word, memory_order_relaxed);
    uint64_t next;
    do {
        next = word > one->fresh ? word : one->fresh;
        if ((next & WORD_COUNT_MASK) >= one->limit.units)
            return 0;
    } while (!atomic_compare_exchange_weak_explicit(&one->shared->word, &word, next + 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    if (__builtin_expect(next != word, 0))
        atomic_fetch_add_explicit(&one->shared->ended, word & WORD_COUNT_MASK, memory_order_relaxed);
    *seen += 1;
    return 0;
}

static int word_run(void *state, struct bench_worker *worker)
{
    if (worker->job->op == BENCH_OP_TAKE_HANDLE || worker->job->op == BENCH_OP_DENIED_HANDLE)
        return bench_loop(worker, word_take, state);
    return bench_error("one word has no such operation");
}

static int word_sum(void *state, int64_t *out)
{
    const struct one_word *one = state;
    *out = (int64_t)((atomic_load(&one->shared->word) & WORD_COUNT_MASK) + atomic_load(&one->shared->ended));
    return 0;
}

const struct bench_contender bench_one_word = {
    .name = "one_word",
    .what = "fixed window in one shared word, compare-and-swap; one key",
    .setup = word_setup,
    .run = word_run,
    .sum = word_sum,
    .teardown = word_teardown,
};
