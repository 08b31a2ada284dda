/* SPDX-License-Identifier: MIT */
/* bench_quipu.c: ours, through the public interface of the shared library, as any user calls it. Requests ask for the
 * whole verdict, and for no time: the library reads the clock. */
#include "bench_loop.h"

#include "quipu.h"

#include <stdio.h>
#include <stdlib.h>

struct quipu_store {
    const struct bench_job *job;
    struct quipu *q;
    struct quipu_counter handle;
    struct quipu_verdict verdict;
    uint64_t refused;
    char path[256];
};

static int failed_at(const char *call, int code)
{
    return bench_error("%s: %s", call, quipu_error(code));
}

static void store_teardown(void *state)
{
    struct quipu_store *store = state;
    quipu_close(store->q);
    quipu_destroy(store->path);
    free(store);
}

static int strategy_put(struct quipu_store *store)
{
    const struct bench_limit *limit = &store->job->limit;
    struct quipu_strategy strategy = {.struct_bytes = sizeof(strategy),
                                      .kind = QUIPU_KIND_LIMIT,
                                      .window_ms = limit->window_ms,
                                      .limit = limit->units,
                                      .overflow = QUIPU_OVERFLOW_EVICT};
    if (store->job->op == BENCH_OP_ENTER_LEAVE)
        strategy.kind = QUIPU_KIND_INFLIGHT;
    else if (limit->algorithm == BENCH_SLIDING)
        strategy.algorithm = QUIPU_ALGORITHM_SLIDING;
    else if (limit->algorithm == BENCH_BUCKET) {
        strategy.algorithm = QUIPU_ALGORITHM_BUCKET;
        strategy.burst = limit->units;
        strategy.limit = limit->window_ms * 1000000 / limit->unit_ns;
    }
    return quipu_strategy_put(store->q, "", 0, &strategy);
}

/* Counts 1, or takes what is used of a limit. */
static int key_load(struct quipu_store *store, const struct bench_key *key)
{
    const struct bench_job *job = store->job;
    struct quipu_ticket ticket;
    int code = 0;
    if (!job->limit.units)
        return quipu_add(store->q, key->text, key->bytes, 1);
    if (job->op != BENCH_OP_ENTER_LEAVE)
        return quipu_take(store->q, key->text, key->bytes, job->limit.used, NULL);
    for (uint64_t i = 0; i < job->limit.used && !code; i++)
        code = quipu_enter(store->q, key->text, key->bytes, &ticket);
    return code;
}

/* Takes for new keys until one had to go for another. */
static int store_fill(struct quipu_store *store)
{
    struct bench_key key;
    struct quipu_stat stat = {.evicted = 0};
    size_t new_keys = 0;
    for (int code = 0; !stat.evicted; new_keys++) {
        bench_key_new(&key, new_keys);
        code = quipu_take(store->q, key.text, key.bytes, 1, NULL);
        if (!code)
            code = quipu_stat(store->q, &stat);
        if (code)
            return failed_at("filling the segment", code);
        if (new_keys > 4 * store->job->keys->key_count)
            return bench_error("quipu: %zu new keys, and none was evicted", new_keys);
    }
    return 0;
}

static int store_make(struct quipu_store *store)
{
    const struct bench_keys *keys = store->job->keys;
    struct quipu_create_options options = {.struct_bytes = sizeof(options), .counters = (uint32_t)keys->key_count};
    int code = quipu_create(store->path, &options);
    if (code)
        return failed_at("quipu_create", code);
    code = quipu_open(store->path, NULL, &store->q);
    if (!code && store->job->limit.units)
        code = strategy_put(store);
    for (size_t i = 0; i < keys->key_count && !code; i++)
        code = key_load(store, &keys->keys[keys->load_order[i]]);
    if (code)
        return failed_at("loading the keys", code);
    return store->job->op == BENCH_OP_NEW ? store_fill(store) : 0;
}

static int store_setup(const struct bench_job *job, void **state)
{
    struct quipu_store *store = calloc(1, sizeof(*store));
    if (!store)
        return bench_error("no memory for quipu");
    store->job = job;
    snprintf(store->path, sizeof(store->path), "%s/quipu.counters", job->dir);
    if (store_make(store)) {
        store_teardown(store);
        return -1;
    }
    *state = store;
    return 0;
}

/* Each worker opens the segment by its name, as processes that know nothing of each other do. */
static int store_attach(void *state, unsigned worker)
{
    (void)worker;
    struct quipu_store *store = state;
    const struct bench_key *first = &store->job->keys->keys[0];
    int code = quipu_open(store->path, NULL, &store->q);
    if (code)
        return failed_at("quipu_open", code);
    code = quipu_counter_open(store->q, first->text, first->bytes, &store->handle);
    return code ? failed_at("quipu_counter_open", code) : 0;
}

static inline int store_add_handle(void *context, const struct bench_key *key, uint64_t *seen)
{
    (void)key, (void)seen;
    int code = quipu_counter_add(context, 1);
    return code ? failed_at("quipu_counter_add", code) : 0;
}

static inline int store_add(void *context, const struct bench_key *key, uint64_t *seen)
{
    (void)seen;
    int code = quipu_add(context, key->text, key->bytes, 1);
    return code ? failed_at("quipu_add", code) : 0;
}

static inline int store_get(void *context, const struct bench_key *key, uint64_t *seen)
{
    struct quipu_count count;
    int code = quipu_get(context, key->text, key->bytes, &count);
    if (code)
        return failed_at("quipu_get", code);
    *seen += (uint64_t)count.total;
    return 0;
}

struct walk_totals {
    uint64_t visited;
    uint64_t seen;
};

static int walk_visit(const struct quipu_item *item, void *arg)
{
    struct walk_totals *totals = arg;
    totals->visited += item->key_bytes > 0;
    totals->seen += (uint64_t)(item->count.total + item->count.previous);
    return 0;
}

static int store_walk(void *context, uint64_t *visited, uint64_t *seen)
{
    struct walk_totals totals = {0, 0};
    int code = quipu_each(context, NULL, 0, walk_visit, &totals);
    *visited += totals.visited;
    *seen += totals.seen;
    return code ? failed_at("quipu_each", code) : 0;
}

/* Denied is an answer, too. */
static inline int counted(const char *call, int code, uint64_t *seen)
{
    *seen += code == 0;
    return code < 0 ? failed_at(call, code) : 0;
}

static inline int store_take(void *context, const struct bench_key *key, uint64_t *seen)
{
    struct quipu_store *store = context;
    return counted("quipu_take", quipu_take(store->q, key->text, key->bytes, 1, &store->verdict), seen);
}

/* Where nothing may leave at the moment there is no room, and the call says so. */
static inline int store_take_new(void *context, const struct bench_key *key, uint64_t *seen)
{
    struct quipu_store *store = context;
    int code = quipu_take(store->q, key->text, key->bytes, 1, &store->verdict);
    store->refused += code == -QUIPU_EFULL;
    return code == -QUIPU_EFULL ? 0 : counted("quipu_take", code, seen);
}

static int run_new(struct quipu_store *store, struct bench_worker *worker)
{
    store->refused = 0;
    int failed = bench_loop_new(worker, store_take_new, store);
    worker->refused = store->refused;
    return failed;
}

static inline int store_take_handle(void *context, const struct bench_key *key, uint64_t *seen)
{
    (void)key;
    struct quipu_store *store = context;
    return counted("quipu_counter_take", quipu_counter_take(&store->handle, 1, &store->verdict), seen);
}

static inline int store_enter_leave(void *context, const struct bench_key *key, uint64_t *seen)
{
    struct quipu_store *store = context;
    struct quipu_ticket ticket;
    int code = quipu_enter(store->q, key->text, key->bytes, &ticket);
    if (counted("quipu_enter", code, seen) || code)
        return code < 0 ? -1 : 0;
    code = quipu_leave(store->q, &ticket);
    return code ? failed_at("quipu_leave", code) : 0;
}

static int store_run(void *state, struct bench_worker *worker)
{
    struct quipu_store *store = state;
    switch (worker->job->op) {
    case BENCH_OP_ADD_HANDLE:
        return bench_loop(worker, store_add_handle, &store->handle);
    case BENCH_OP_ADD:
        return bench_loop(worker, store_add, store->q);
    case BENCH_OP_GET:
        return bench_loop(worker, store_get, store->q);
    case BENCH_OP_EACH:
        return bench_walk_loop(worker, store_walk, store->q);
    case BENCH_OP_TAKE:
    case BENCH_OP_DENIED:
        return bench_loop(worker, store_take, store);
    case BENCH_OP_TAKE_HANDLE:
        return bench_loop(worker, store_take_handle, store);
    case BENCH_OP_NEW:
        return run_new(store, worker);
    case BENCH_OP_ENTER_LEAVE:
        return bench_loop(worker, store_enter_leave, store);
    }
    return bench_error("quipu has no such operation");
}

static int store_sum(void *state, int64_t *out)
{
    struct quipu_store *store = state;
    uint64_t visited = 0, seen = 0;
    int failed = store_walk(store->q, &visited, &seen);
    *out = (int64_t)seen;
    return failed;
}

const struct bench_contender bench_quipu = {
    .name = "quipu",
    .what = "ours",
    .setup = store_setup,
    .attach = store_attach,
    .run = store_run,
    .sum = store_sum,
    .teardown = store_teardown,
};
