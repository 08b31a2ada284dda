/* SPDX-License-Identifier: MIT */
/* bench_quipu.c: ours, through the public interface of the shared library, as any user calls it. Requests ask for the
 * whole verdict, and for no time: the library reads the clock. */
#include "bench_quipu.h"

#include "bench_loop.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the segment ------------------------------------------------------------------------------------------------ */

int bench_quipu_failed(const char *call, int code)
{
    return bench_error("%s: %s", call, quipu_error(code));
}

void bench_quipu_teardown(void *state)
{
    struct bench_quipu *store = state;
    quipu_close(store->q);
    quipu_destroy(store->path);
    free(store);
}

static int strategy_put(struct bench_quipu *store)
{
    const struct bench_limit *limit = &store->job.limit;
    struct quipu_strategy strategy = {.struct_bytes = sizeof(strategy),
                                      .kind = QUIPU_KIND_LIMIT,
                                      .window_ms = limit->window_ms,
                                      .limit = limit->units,
                                      .overflow = QUIPU_OVERFLOW_EVICT};
    if (store->job.op == BENCH_OP_ENTER_LEAVE)
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
static int key_load(struct bench_quipu *store, const struct bench_key *key)
{
    const struct bench_job *job = &store->job;
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

static int segment_make(struct bench_quipu *store, size_t spare, size_t grows_to)
{
    const struct bench_keys *keys = store->job.keys;
    struct quipu_create_options options = {.struct_bytes = sizeof(options),
                                           .counters = (uint32_t)(keys->key_count + spare)};
    options.counters_max = grows_to ? options.counters + (uint32_t)grows_to : 0;
    int code = quipu_create(store->path, &options);
    if (code)
        return bench_quipu_failed("quipu_create", code);
    code = quipu_open(store->path, NULL, &store->q);
    if (!code && store->job.limit.units)
        code = strategy_put(store);
    for (size_t i = 0; i < keys->key_count && !code; i++)
        code = key_load(store, &keys->keys[keys->load_order[i]]);
    return code ? bench_quipu_failed("loading the keys", code) : 0;
}

int bench_quipu_setup(const struct bench_job *job, const char *label, size_t spare, size_t grows_to,
                      struct bench_quipu **out)
{
    struct bench_quipu *store = calloc(1, sizeof(*store));
    if (!store)
        return bench_error("no memory for quipu");
    store->job = *job;
    snprintf(store->path, sizeof(store->path), "%s/%s.segment", job->dir, label);
    if (segment_make(store, spare, grows_to)) {
        bench_quipu_teardown(store);
        return -1;
    }
    *out = store;
    return 0;
}

int bench_quipu_attach(void *state, unsigned worker)
{
    (void)worker;
    struct bench_quipu *store = state;
    const struct bench_key *first = &store->job.keys->keys[0];
    int code = quipu_open(store->path, NULL, &store->q);
    if (code)
        return bench_quipu_failed("quipu_open", code);
    code = quipu_counter_open(store->q, first->text, first->bytes, &store->handle);
    return code ? bench_quipu_failed("quipu_counter_open", code) : 0;
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

int bench_quipu_walk(void *context, uint64_t *visited, uint64_t *seen)
{
    struct bench_quipu *store = context;
    struct walk_totals totals = {0, 0};
    int code = quipu_each(store->q, BENCH_KEY_PREFIX, sizeof(BENCH_KEY_PREFIX) - 1, walk_visit, &totals);
    *visited += totals.visited;
    *seen += totals.seen;
    return code ? bench_quipu_failed("quipu_each", code) : 0;
}

int bench_quipu_sum(void *state, int64_t *out)
{
    uint64_t visited = 0, seen = 0;
    int failed = bench_quipu_walk(state, &visited, &seen);
    *out = (int64_t)seen;
    return failed;
}

/* ---- one call an operation -------------------------------------------------------------------------------------- */

/* Takes for new keys until one had to go for another. */
static int store_fill(struct bench_quipu *store)
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
            return bench_quipu_failed("filling the segment", code);
        if (new_keys > 4 * store->job.keys->key_count)
            return bench_error("quipu: %zu new keys, and none was evicted", new_keys);
    }
    return 0;
}

static int store_setup(const struct bench_job *job, void **state)
{
    struct bench_quipu *store;
    if (bench_quipu_setup(job, "quipu", 0, 0, &store))
        return -1;
    if (job->op == BENCH_OP_NEW && store_fill(store)) {
        bench_quipu_teardown(store);
        return -1;
    }
    *state = store;
    return 0;
}

static inline int store_get(void *context, const struct bench_key *key, uint64_t *seen)
{
    struct bench_quipu *store = context;
    struct quipu_count count;
    int code = quipu_get(store->q, key->text, key->bytes, &count);
    if (code)
        return bench_quipu_failed("quipu_get", code);
    *seen += (uint64_t)count.total;
    return 0;
}

/* Where nothing may leave at the moment there is no room, and the call says so. */
static inline int store_take_new(void *context, const struct bench_key *key, uint64_t *seen)
{
    struct bench_quipu *store = context;
    int code = quipu_take(store->q, key->text, key->bytes, 1, &store->verdict);
    store->refused += code == -QUIPU_EFULL;
    return code == -QUIPU_EFULL ? 0 : bench_quipu_counted("quipu_take", code, seen);
}

static int run_new(struct bench_quipu *store, struct bench_worker *worker)
{
    store->refused = 0;
    int failed = bench_loop_new(worker, store_take_new, store);
    worker->refused = store->refused;
    return failed;
}

static inline int store_take_handle(void *context, const struct bench_key *key, uint64_t *seen)
{
    (void)key;
    struct bench_quipu *store = context;
    return bench_quipu_counted("quipu_counter_take", quipu_counter_take(&store->handle, 1, &store->verdict), seen);
}

static inline int store_enter_leave(void *context, const struct bench_key *key, uint64_t *seen)
{
    struct bench_quipu *store = context;
    struct quipu_ticket ticket;
    int code = quipu_enter(store->q, key->text, key->bytes, &ticket);
    if (bench_quipu_counted("quipu_enter", code, seen) || code)
        return code < 0 ? -1 : 0;
    code = quipu_leave(store->q, &ticket);
    return code ? bench_quipu_failed("quipu_leave", code) : 0;
}

static int store_run(void *state, struct bench_worker *worker)
{
    switch (worker->job->op) {
    case BENCH_OP_ADD_HANDLE:
        return bench_loop(worker, bench_quipu_add_handle, state);
    case BENCH_OP_ADD:
        return bench_loop(worker, bench_quipu_add, state);
    case BENCH_OP_GET:
        return bench_loop(worker, store_get, state);
    case BENCH_OP_EACH:
        return bench_walk_loop(worker, bench_quipu_walk, state);
    case BENCH_OP_TAKE:
    case BENCH_OP_DENIED:
        return bench_loop(worker, bench_quipu_take, state);
    case BENCH_OP_TAKE_HANDLE:
    case BENCH_OP_DENIED_HANDLE:
        return bench_loop(worker, store_take_handle, state);
    case BENCH_OP_NEW:
        return run_new(state, worker);
    case BENCH_OP_ENTER_LEAVE:
        return bench_loop(worker, store_enter_leave, state);
    default:
        break;
    }
    return bench_error("quipu has no such operation");
}

const struct bench_contender bench_quipu = {
    .name = "quipu",
    .what = "ours",
    .setup = store_setup,
    .attach = bench_quipu_attach,
    .run = store_run,
    .sum = bench_quipu_sum,
    .teardown = bench_quipu_teardown,
};
