/* SPDX-License-Identifier: MIT */
/* bench_redis.c: limits in Redis, as its manual's page about INCR has them: a script that increments a counter and
 * lets it expire, run by EVALSHA; the caller compares with the limit. One request at a time, or 16 at once
 * (pipelining). */
#include "bench_loop.h"
#include "redis_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIPELINE_DEEP 16
#define SHA_BYTES 40
#define MEMORY_SPARE_BYTES (1 << 20)
#define NEW_KEYS_MAX 100000

_Static_assert(BENCH_OPS_PER_LOOK % PIPELINE_DEEP == 0, "a slice ends with no reply under way");

static const char take_script[] = "local current = redis.call('INCR', KEYS[1]) "
                                  "if current == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end "
                                  "return current";
static const char enter_script[] = "local current = redis.call('INCR', KEYS[1]) "
                                   "if current > tonumber(ARGV[1]) then redis.call('DECR', KEYS[1]) end "
                                   "return current";
static const char leave_script[] = "return redis.call('DECR', KEYS[1])";

struct redis_store {
    const struct bench_job *job;
    struct bench_redis_server server;
    redisContext *context;
    char take_sha[SHA_BYTES + 1], enter_sha[SHA_BYTES + 1], leave_sha[SHA_BYTES + 1];
    char argument[24]; /* of the script: seconds until a counter expires, or the limit */
    unsigned deep;     /* requests sent before the first reply is read */
    unsigned unread;
};

/* ---- requests --------------------------------------------------------------------------------------------------- */

static int failed(const struct redis_store *store)
{
    return bench_error("redis: %s", store->context->err ? store->context->errstr : "an answer of the wrong kind");
}

static int send_script(struct redis_store *store, const char *sha, const struct bench_key *key)
{
    const char *words[] = {"EVALSHA", sha, "1", key->text, store->argument};
    const size_t bytes[] = {7, SHA_BYTES, 1, key->bytes, strlen(store->argument)};
    return redisAppendCommandArgv(store->context, 5, words, bytes) == REDIS_OK ? 0 : failed(store);
}

static int read_number(struct redis_store *store, long long *out)
{
    void *answer = NULL;
    if (redisGetReply(store->context, &answer) != REDIS_OK)
        return failed(store);
    redisReply *reply = answer;
    int is_number = reply->type == REDIS_REPLY_INTEGER;
    *out = reply->integer;
    if (reply->type == REDIS_REPLY_ERROR)
        bench_error("redis: %s", reply->str);
    freeReplyObject(reply);
    return is_number ? 0 : failed(store);
}

static int call_script(struct redis_store *store, const char *sha, const struct bench_key *key, long long *out)
{
    return send_script(store, sha, key) || read_number(store, out) ? -1 : 0;
}

static inline int store_take(void *context, const struct bench_key *key, uint64_t *seen)
{
    struct redis_store *store = context;
    if (send_script(store, store->take_sha, key))
        return -1;
    if (++store->unread < store->deep)
        return 0;
    for (; store->unread; store->unread--) {
        long long current;
        if (read_number(store, &current))
            return -1;
        *seen += (uint64_t)current <= store->job->limit.units;
    }
    return 0;
}

static inline int store_enter_leave(void *context, const struct bench_key *key, uint64_t *seen)
{
    struct redis_store *store = context;
    long long current, after;
    if (call_script(store, store->enter_sha, key, &current))
        return -1;
    if ((uint64_t)current > store->job->limit.units)
        return 0;
    *seen += 1;
    return call_script(store, store->leave_sha, key, &after);
}

/* ---- the server and its keys ------------------------------------------------------------------------------------ */

static int script_load(struct redis_store *store, const char *script, char *sha)
{
    redisReply *reply = redisCommand(store->context, "SCRIPT LOAD %s", script);
    int loaded = reply && reply->type == REDIS_REPLY_STRING && reply->len == SHA_BYTES;
    if (loaded)
        memcpy(sha, reply->str, SHA_BYTES + 1);
    if (reply)
        freeReplyObject(reply);
    return loaded ? 0 : failed(store);
}

static int keys_load(struct redis_store *store)
{
    const struct bench_keys *keys = store->job->keys;
    int is_inflight = store->job->op == BENCH_OP_ENTER_LEAVE;
    for (size_t i = 0; i < keys->key_count; i++) {
        for (uint64_t used = 0; used < store->job->limit.used; used++) {
            long long current;
            if (call_script(store, is_inflight ? store->enter_sha : store->take_sha, &keys->keys[keys->load_order[i]],
                            &current))
                return -1;
        }
    }
    return 0;
}

/* A figure from what INFO prints. -1: it is not there. */
static long long info(struct redis_store *store, const char *section, const char *name)
{
    redisReply *reply = redisCommand(store->context, "INFO %s", section);
    const char *at = reply && reply->type == REDIS_REPLY_STRING ? strstr(reply->str, name) : NULL;
    long long value = at ? strtoll(at + strlen(name), NULL, 10) : -1;
    if (reply)
        freeReplyObject(reply);
    return value;
}

static int config_set(struct redis_store *store, const char *name, const char *value)
{
    redisReply *reply = redisCommand(store->context, "CONFIG SET %s %s", name, value);
    int done = reply && reply->type == REDIS_REPLY_STATUS;
    if (reply)
        freeReplyObject(reply);
    return done ? 0 : failed(store);
}

/* For keys that find no room: a little more memory than now, as it is also what talking to clients takes; new keys
 * until that is full; and what was used longest ago goes (roughly so: Redis samples). */
static int keys_fill(struct redis_store *store)
{
    char bytes[24];
    struct bench_key key;
    snprintf(bytes, sizeof(bytes), "%lld", info(store, "memory", "used_memory:") + MEMORY_SPARE_BYTES);
    if (config_set(store, "maxmemory-policy", "allkeys-lru") || config_set(store, "maxmemory", bytes))
        return -1;
    for (size_t i = 0; i < NEW_KEYS_MAX; i++) {
        long long current;
        bench_key_new(&key, i);
        if (call_script(store, store->take_sha, &key, &current))
            return -1;
        if (i % 100 == 0 && info(store, "stats", "evicted_keys:") > 0)
            return 0;
    }
    return bench_error("redis: %d new keys, and none was evicted", NEW_KEYS_MAX);
}

static int store_make(struct redis_store *store)
{
    const struct bench_job *job = store->job;
    uint64_t seconds = job->limit.window_ms / 1000;
    snprintf(store->argument, sizeof(store->argument), "%llu",
             (unsigned long long)(job->op == BENCH_OP_ENTER_LEAVE ? job->limit.units : seconds));
    if (bench_redis_start(&store->server, job->dir))
        return -1;
    store->context = bench_redis_connect(&store->server);
    if (!store->context || script_load(store, take_script, store->take_sha) ||
        script_load(store, enter_script, store->enter_sha) || script_load(store, leave_script, store->leave_sha) ||
        keys_load(store))
        return -1;
    return job->op == BENCH_OP_NEW ? keys_fill(store) : 0;
}

static void store_teardown(void *state)
{
    struct redis_store *store = state;
    if (store->context)
        redisFree(store->context);
    bench_redis_stop(&store->server);
    free(store);
}

static int store_setup(const struct bench_job *job, void **state, unsigned deep)
{
    struct redis_store *store = calloc(1, sizeof(*store));
    if (!store)
        return bench_error("no memory for redis");
    store->job = job;
    store->deep = deep;
    if (store_make(store)) {
        store_teardown(store);
        return -1;
    }
    *state = store;
    return 0;
}

static int setup_one(const struct bench_job *job, void **state)
{
    return store_setup(job, state, 1);
}

static int setup_pipelined(const struct bench_job *job, void **state)
{
    return store_setup(job, state, PIPELINE_DEEP);
}

/* ---- the contenders --------------------------------------------------------------------------------------------- */

static int store_attach(void *state, unsigned worker)
{
    (void)worker;
    struct redis_store *store = state;
    store->context = bench_redis_connect(&store->server); /* the parent's is the parent's */
    return store->context ? 0 : -1;
}

static int store_run(void *state, struct bench_worker *worker)
{
    switch (worker->job->op) {
    case BENCH_OP_TAKE:
    case BENCH_OP_DENIED:
        return bench_loop(worker, store_take, state);
    case BENCH_OP_NEW:
        return bench_loop_new(worker, store_take, state);
    case BENCH_OP_ENTER_LEAVE:
        return bench_loop(worker, store_enter_leave, state);
    default:
        break;
    }
    return bench_error("redis has no such operation");
}

/* All questions, then all answers. */
static int store_sum(void *state, int64_t *out)
{
    struct redis_store *store = state;
    const struct bench_keys *keys = store->job->keys;
    *out = 0;
    for (size_t i = 0; i < keys->key_count; i++) {
        if (redisAppendCommand(store->context, "GET %b", keys->keys[i].text, (size_t)keys->keys[i].bytes) != REDIS_OK)
            return failed(store);
    }
    for (size_t i = 0; i < keys->key_count; i++) {
        void *answer = NULL;
        if (redisGetReply(store->context, &answer) != REDIS_OK)
            return failed(store);
        redisReply *reply = answer;
        *out += reply->type == REDIS_REPLY_STRING ? strtoll(reply->str, NULL, 10) : 0;
        freeReplyObject(reply);
    }
    return 0;
}

const struct bench_contender bench_redis = {
    .name = "redis",
    .what = "Redis on a unix socket: INCR and EXPIRE by a script, one request at a time",
    .program = "redis-server",
    .setup = setup_one,
    .attach = store_attach,
    .run = store_run,
    .sum = store_sum,
    .teardown = store_teardown,
};

const struct bench_contender bench_redis_pipelined = {
    .name = "redis_pipeline_16",
    .what = "the same, 16 requests sent before the first answer is read",
    .program = "redis-server",
    .answers_late = 1,
    .setup = setup_pipelined,
    .attach = store_attach,
    .run = store_run,
    .sum = store_sum,
    .teardown = store_teardown,
};
