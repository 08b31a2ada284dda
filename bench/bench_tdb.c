/* SPDX-License-Identifier: MIT */
/* bench_tdb.c: Samba's TDB, with its robust mutexes instead of fcntl locks, as its header asks for:
 * TDB_MUTEX_LOCKING with TDB_CLEAR_IF_FIRST, after tdb_runtime_check_for_robust_mutexes(). No sync, a hash
 * chain for every key. */
#include "bench_loop.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <tdb.h>
#include <unistd.h>

struct tdb_store {
    struct tdb_context *tdb;
    char path[256];
};

static TDB_DATA data_of(const void *bytes, size_t size)
{
    return (TDB_DATA){.dptr = (unsigned char *)bytes, .dsize = size};
}

static void store_teardown(void *state)
{
    struct tdb_store *store = state;
    if (store->tdb)
        tdb_close(store->tdb);
    unlink(store->path);
    free(store);
}

static int store_load(struct tdb_context *tdb, const struct bench_keys *keys)
{
    int64_t one = 1;
    if (tdb_lockall(tdb))
        return bench_error("tdb_lockall: %s", tdb_errorstr(tdb));
    for (size_t i = 0; i < keys->key_count; i++) {
        const struct bench_key *key = &keys->keys[keys->load_order[i]];
        if (tdb_store(tdb, data_of(key->text, key->bytes), data_of(&one, sizeof(one)), TDB_INSERT))
            return bench_error("tdb_store: %s", tdb_errorstr(tdb));
    }
    return tdb_unlockall(tdb) ? bench_error("tdb_unlockall: %s", tdb_errorstr(tdb)) : 0;
}

static int store_setup(const struct bench_job *job, void **state)
{
    if (!tdb_runtime_check_for_robust_mutexes())
        return bench_error("tdb finds no robust mutexes here");
    struct tdb_store *store = calloc(1, sizeof(*store));
    if (!store)
        return bench_error("no memory for tdb");
    snprintf(store->path, sizeof(store->path), "%s/counters.tdb", job->dir);
    int chains = (int)job->keys->key_count | 1;
    store->tdb =
        tdb_open(store->path, chains, TDB_MUTEX_LOCKING | TDB_CLEAR_IF_FIRST | TDB_INCOMPATIBLE_HASH | TDB_NOSYNC,
                 O_RDWR | O_CREAT, 0600);
    if (!store->tdb) {
        perror(store->path);
        store_teardown(store);
        return bench_error("tdb_open failed");
    }
    if (store_load(store->tdb, job->keys)) {
        store_teardown(store);
        return -1;
    }
    *state = store;
    return 0;
}

/* A tdb handle does not survive a fork. */
static int store_attach(void *state, unsigned worker)
{
    (void)worker;
    struct tdb_store *store = state;
    return tdb_reopen(store->tdb) ? bench_error("tdb_reopen failed") : 0;
}

/* Hands out the record where it lies, without a copy. */
static int parse_count(TDB_DATA key, TDB_DATA data, void *out)
{
    (void)key;
    if (data.dsize != sizeof(int64_t))
        return -1;
    memcpy(out, data.dptr, sizeof(int64_t));
    return 0;
}

static inline int store_add(void *context, const struct bench_key *key, uint64_t *seen)
{
    (void)seen;
    struct tdb_context *tdb = context;
    TDB_DATA name = data_of(key->text, key->bytes);
    int64_t count = 0;
    if (tdb_chainlock(tdb, name))
        return bench_error("tdb_chainlock: %s", tdb_errorstr(tdb));
    int failed = tdb_parse_record(tdb, name, parse_count, &count);
    count++;
    if (!failed)
        failed = tdb_store(tdb, name, data_of(&count, sizeof(count)), TDB_MODIFY);
    failed |= tdb_chainunlock(tdb, name);
    return failed ? bench_error("tdb add: %s", tdb_errorstr(tdb)) : 0;
}

static inline int store_get(void *context, const struct bench_key *key, uint64_t *seen)
{
    struct tdb_context *tdb = context;
    int64_t count = 0;
    if (tdb_parse_record(tdb, data_of(key->text, key->bytes), parse_count, &count))
        return bench_error("tdb_parse_record: %s", tdb_errorstr(tdb));
    *seen += (uint64_t)count;
    return 0;
}

struct walk_totals {
    uint64_t visited;
    uint64_t seen;
};

static int walk_visit(struct tdb_context *tdb, TDB_DATA key, TDB_DATA data, void *arg)
{
    (void)tdb;
    struct walk_totals *totals = arg;
    int64_t count = 0;
    int failed = parse_count(key, data, &count);
    totals->visited += key.dsize > 0;
    totals->seen += (uint64_t)count;
    return failed;
}

/* Chain by chain: tdb_traverse_read would take an fcntl lock on every record, which costs several times more.
 */
static int store_walk(void *context, uint64_t *visited, uint64_t *seen)
{
    struct walk_totals totals = {0, 0};
    unsigned chains = (unsigned)tdb_hash_size(context);
    for (unsigned chain = 0; chain < chains; chain++) {
        if (tdb_traverse_chain(context, chain, walk_visit, &totals) < 0)
            return bench_error("tdb_traverse_chain: %s", tdb_errorstr(context));
    }
    *visited += totals.visited;
    *seen += totals.seen;
    return 0;
}

static int store_run(void *state, struct bench_worker *worker)
{
    struct tdb_context *tdb = ((struct tdb_store *)state)->tdb;
    switch (worker->job->op) {
    case BENCH_OP_ADD:
        return bench_loop(worker, store_add, tdb);
    case BENCH_OP_GET:
        return bench_loop(worker, store_get, tdb);
    case BENCH_OP_EACH:
        return bench_walk_loop(worker, store_walk, tdb);
    default:
        break;
    }
    return bench_error("tdb has no such operation");
}

static int store_sum(void *state, int64_t *out)
{
    struct tdb_store *store = state;
    uint64_t visited = 0, seen = 0;
    int failed = store_walk(store->tdb, &visited, &seen);
    *out = (int64_t)seen;
    return failed;
}

const struct bench_contender bench_tdb = {
    .name = "tdb",
    .what = "TDB with TDB_MUTEX_LOCKING: chain lock, parse, store",
    .setup = store_setup,
    .attach = store_attach,
    .run = store_run,
    .sum = store_sum,
    .teardown = store_teardown,
};
