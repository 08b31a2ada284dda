/* SPDX-License-Identifier: MIT */
/* bench_quipu.c: ours, through the public interface of the shared library, as any user calls it. */
#include "bench_loop.h"

#include "quipu.h"

#include <stdio.h>
#include <stdlib.h>

struct quipu_store {
    const struct bench_job *job;
    struct quipu *q;
    struct quipu_counter handle;
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

static int store_make(struct quipu_store *store)
{
    const struct bench_keys *keys = store->job->keys;
    struct quipu_create_options options = {.struct_bytes = sizeof(options), .counters = (uint32_t)keys->key_count};
    int code = quipu_create(store->path, &options);
    if (code)
        return failed_at("quipu_create", code);
    code = quipu_open(store->path, NULL, &store->q);
    for (size_t i = 0; i < keys->key_count && !code; i++) {
        const struct bench_key *key = &keys->keys[keys->load_order[i]];
        code = quipu_add(store->q, key->text, key->bytes, 1);
    }
    return code ? failed_at("loading the keys", code) : 0;
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
    totals->seen += (uint64_t)item->count.total;
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
