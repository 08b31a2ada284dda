/* SPDX-License-Identifier: MIT */
/* bench_lmdb.c: LMDB, one write transaction per add and one read transaction per get, with a writable map and
 * no sync. An environment may not be carried through a fork, nor opened twice in a process: each process
 * opens its own. */
#include "bench_loop.h"

#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct lmdb_store {
    MDB_env *env;
    MDB_dbi dbi;
    MDB_txn *reader; /* reset between reads, so that a read renews it and allocates nothing */
    size_t map_bytes;
    char path[256];
};

static int failed_at(const char *call, int code)
{
    return bench_error("%s: %s", call, mdb_strerror(code));
}

static MDB_val val_of(const void *bytes, size_t size)
{
    return (MDB_val){.mv_data = (void *)bytes, .mv_size = size};
}

static int64_t count_of(const MDB_val *value)
{
    int64_t count;
    memcpy(&count, value->mv_data, sizeof(count));
    return count;
}

static void store_close(struct lmdb_store *store)
{
    if (store->env)
        mdb_env_close(store->env);
    store->env = NULL;
}

static int store_open(struct lmdb_store *store)
{
    MDB_txn *txn;
    int code = mdb_env_create(&store->env);
    if (code) {
        store->env = NULL;
        return failed_at("mdb_env_create", code);
    }
    code = mdb_env_set_mapsize(store->env, store->map_bytes);
    if (!code)
        code = mdb_env_set_maxreaders(store->env, 2 * BENCH_WORKERS_MAX);
    if (!code)
        code = mdb_env_open(store->env, store->path, MDB_NOSUBDIR | MDB_WRITEMAP | MDB_NOSYNC | MDB_NOMEMINIT, 0600);
    if (!code)
        code = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (!code) {
        code = mdb_dbi_open(txn, NULL, 0, &store->dbi);
        if (code)
            mdb_txn_abort(txn);
        else
            code = mdb_txn_commit(txn);
    }
    if (!code)
        return 0;
    store_close(store);
    return failed_at("mdb_env_open", code);
}

static int store_load(struct lmdb_store *store, const struct bench_keys *keys)
{
    int64_t one = 1;
    MDB_txn *txn;
    int code = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (code)
        return failed_at("mdb_txn_begin", code);
    for (size_t i = 0; i < keys->key_count && !code; i++) {
        const struct bench_key *key = &keys->keys[keys->load_order[i]];
        MDB_val name = val_of(key->text, key->bytes), value = val_of(&one, sizeof(one));
        code = mdb_put(txn, store->dbi, &name, &value, MDB_NOOVERWRITE);
    }
    if (code) {
        mdb_txn_abort(txn);
        return failed_at("mdb_put", code);
    }
    code = mdb_txn_commit(txn);
    return code ? failed_at("mdb_txn_commit", code) : 0;
}

static void store_teardown(void *state)
{
    struct lmdb_store *store = state;
    char lock_path[sizeof(store->path) + 8];
    store_close(store);
    unlink(store->path);
    snprintf(lock_path, sizeof(lock_path), "%s-lock", store->path);
    unlink(lock_path);
    free(store);
}

static int store_setup(const struct bench_job *job, void **state)
{
    struct lmdb_store *store = calloc(1, sizeof(*store));
    if (!store)
        return bench_error("no memory for lmdb");
    snprintf(store->path, sizeof(store->path), "%s/counters.lmdb", job->dir);
    store->map_bytes = (64u << 20) + job->keys->key_count * 512;
    if (store_open(store) || store_load(store, job->keys)) {
        store_teardown(store);
        return -1;
    }
    store_close(store);
    *state = store;
    return 0;
}

static int store_attach(void *state, unsigned worker)
{
    (void)worker;
    struct lmdb_store *store = state;
    if (store_open(store))
        return -1;
    int code = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &store->reader);
    if (code)
        return failed_at("mdb_txn_begin", code);
    mdb_txn_reset(store->reader);
    return 0;
}

/* The cursor stands on the key after the look-up, so the put does not search again. */
static int add_in(MDB_txn *txn, MDB_dbi dbi, const struct bench_key *key)
{
    MDB_val name = val_of(key->text, key->bytes), value;
    MDB_cursor *cursor;
    int code = mdb_cursor_open(txn, dbi, &cursor);
    if (code)
        return code;
    code = mdb_cursor_get(cursor, &name, &value, MDB_SET_KEY);
    if (!code) {
        int64_t count = count_of(&value) + 1;
        value = val_of(&count, sizeof(count));
        code = mdb_cursor_put(cursor, &name, &value, MDB_CURRENT);
    }
    mdb_cursor_close(cursor);
    return code;
}

static inline int store_add(void *context, const struct bench_key *key, uint64_t *seen)
{
    (void)seen;
    struct lmdb_store *store = context;
    MDB_txn *txn;
    int code = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (code)
        return failed_at("mdb_txn_begin", code);
    code = add_in(txn, store->dbi, key);
    if (code) {
        mdb_txn_abort(txn);
        return failed_at("lmdb add", code);
    }
    code = mdb_txn_commit(txn);
    return code ? failed_at("mdb_txn_commit", code) : 0;
}

static inline int store_get(void *context, const struct bench_key *key, uint64_t *seen)
{
    struct lmdb_store *store = context;
    MDB_val name = val_of(key->text, key->bytes), value;
    int code = mdb_txn_renew(store->reader);
    if (code)
        return failed_at("mdb_txn_renew", code);
    code = mdb_get(store->reader, store->dbi, &name, &value);
    if (!code)
        *seen += (uint64_t)count_of(&value);
    mdb_txn_reset(store->reader);
    return code ? failed_at("mdb_get", code) : 0;
}

static int walk_in(MDB_txn *txn, MDB_dbi dbi, uint64_t *visited, uint64_t *seen)
{
    MDB_val name, value;
    MDB_cursor *cursor;
    int code = mdb_cursor_open(txn, dbi, &cursor);
    if (code)
        return failed_at("mdb_cursor_open", code);
    while (!(code = mdb_cursor_get(cursor, &name, &value, MDB_NEXT))) {
        *visited += name.mv_size > 0;
        *seen += (uint64_t)count_of(&value);
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : failed_at("mdb_cursor_get", code);
}

static int store_walk(void *context, uint64_t *visited, uint64_t *seen)
{
    struct lmdb_store *store = context;
    int code = mdb_txn_renew(store->reader);
    if (code)
        return failed_at("mdb_txn_renew", code);
    int failed = walk_in(store->reader, store->dbi, visited, seen);
    mdb_txn_reset(store->reader);
    return failed;
}

static int store_run(void *state, struct bench_worker *worker)
{
    switch (worker->job->op) {
    case BENCH_OP_ADD:
        return bench_loop(worker, store_add, state);
    case BENCH_OP_GET:
        return bench_loop(worker, store_get, state);
    case BENCH_OP_EACH:
        return bench_walk_loop(worker, store_walk, state);
    default:
        break;
    }
    return bench_error("lmdb has no such operation");
}

static int store_sum(void *state, int64_t *out)
{
    struct lmdb_store *store = state;
    uint64_t visited = 0, seen = 0;
    if (store_attach(store, 0))
        return -1;
    int failed = store_walk(store, &visited, &seen);
    mdb_txn_abort(store->reader);
    store_close(store);
    *out = (int64_t)seen;
    return failed;
}

const struct bench_contender bench_lmdb = {
    .name = "lmdb",
    .what = "LMDB, a transaction for each call, MDB_WRITEMAP|MDB_NOSYNC",
    .setup = store_setup,
    .attach = store_attach,
    .run = store_run,
    .sum = store_sum,
    .teardown = store_teardown,
};
