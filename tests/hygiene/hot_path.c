/* SPDX-License-Identifier: MIT */
/* hot_path.c: makes COUNT calls of one kind on a segment of its own, and counts what they take from the heap. hot_path.sh runs
 * it under strace and callgrind, with two counts, and looks at the difference.
 *
 *     hot_path SEGMENT WAY COUNT
 *
 * The heap's functions are defined here, so that every call of them in this process is counted, the C library's own included (of
 * an opendir, a qsort): the linker's --wrap would only see the calls that our own objects make. */
#include <errno.h>

#include "runtime/clock.h"
#include "shm/block.h"
#include "shm/table.h"
#include "support.h"

/* ---- the heap, counted ---------------------------------------------------------------------------------------------- */

static uint64_t heap_calls; /* one thread only */

/* Default visibility: the build's hidden one would keep them from the C library. */
#pragma GCC visibility push(default)

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void *old);

void *malloc(size_t bytes)
{
    heap_calls++;
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    heap_calls++;
    return __libc_calloc(count, bytes);
}

void *realloc(void *old, size_t bytes)
{
    heap_calls++;
    return __libc_realloc(old, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    heap_calls++;
    return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    void *made = aligned_alloc(alignment, bytes);
    if (!made)
        return ENOMEM;
    *out = made;
    return 0;
}

void free(void *old)
{
    heap_calls++;
    __libc_free(old);
}

#pragma GCC visibility pop

/* ---- the ways ------------------------------------------------------------------------------------------------------- */

#define KEY "addr:192.0.2.177" /* 16 bytes */
#define KEY_BYTES (sizeof KEY - 1)

struct hot {
    struct quipu *q;
    struct quipu_counter handle, limit;
    struct quipu_count count;
    struct quipu_verdict verdict;
    int64_t made; /* adds so far */
};

/* Each has its own loop: what callgrind counts is the call and the loop around it, nothing else. An error of any call is in the
 * result. */

static int add_by_key(struct hot *hot, uint64_t count)
{
    int errors = 0;
    for (uint64_t i = 0; i < count; i++)
        errors |= quipu_add(hot->q, KEY, KEY_BYTES, 1);
    hot->made += (int64_t)count;
    return errors;
}

static int add_by_handle(struct hot *hot, uint64_t count)
{
    int errors = 0;
    for (uint64_t i = 0; i < count; i++)
        errors |= quipu_counter_add(&hot->handle, 1);
    hot->made += (int64_t)count;
    return errors;
}

static int get_by_key(struct hot *hot, uint64_t count)
{
    int errors = 0;
    for (uint64_t i = 0; i < count; i++)
        errors |= quipu_get(hot->q, KEY, KEY_BYTES, &hot->count);
    return errors;
}

static int get_by_handle(struct hot *hot, uint64_t count)
{
    int errors = 0;
    for (uint64_t i = 0; i < count; i++)
        errors |= quipu_counter_get(&hot->handle, &hot->count);
    return errors;
}

#define TOLD "told: of 16 byte"

/* Limits: the first byte of their key says which. */
static int take_key(struct hot *hot, uint64_t count, const char *key, int expected)
{
    int errors = 0;
    for (uint64_t i = 0; i < count; i++)
        errors |= quipu_take(hot->q, key, 16, 1, &hot->verdict) != expected;
    return errors;
}

static int take_fixed(struct hot *hot, uint64_t count)
{
    return take_key(hot, count, "fixed: 16 bytes.", 0);
}

/* Eight adds, four takes: of one key each, which takes the same way as several. */
static int add_many(struct hot *hot, uint64_t count)
{
    struct quipu_add_request requests[8];
    int errors = 0;
    for (int i = 0; i < 8; i++)
        requests[i] = (struct quipu_add_request){.struct_bytes = sizeof requests[i], .key = KEY, .key_bytes = KEY_BYTES, .n = 1};
    for (uint64_t i = 0; i < count; i++)
        errors |= quipu_add_many(hot->q, requests, 8);
    hot->made += 8 * (int64_t)count;
    return errors;
}

static int take_many(struct hot *hot, uint64_t count)
{
    struct quipu_request requests[4];
    int errors = 0;
    for (int i = 0; i < 4; i++)
        requests[i] = (struct quipu_request){.struct_bytes = sizeof requests[i], .key = "fixed: 16 bytes.", .key_bytes = 16, .n = 1};
    for (uint64_t i = 0; i < count; i++)
        errors |= quipu_take_many(hot->q, requests, 4);
    return errors;
}

static int take_sliding(struct hot *hot, uint64_t count)
{
    return take_key(hot, count, "sliding: 16 byte", 0);
}

static int take_bucket(struct hot *hot, uint64_t count)
{
    return take_key(hot, count, "bucket: 16 bytes", 0);
}

static int take_denied(struct hot *hot, uint64_t count)
{
    return take_key(hot, count, "reached: 16 byte", 1);
}

static int take_by_handle(struct hot *hot, uint64_t count)
{
    int errors = 0;
    for (uint64_t i = 0; i < count; i++)
        errors |= quipu_counter_take(&hot->limit, 1, &hot->verdict);
    return errors;
}

/* With an agent at work: who changes a key marks it, and every limit has a shard block. */
static int add_told(struct hot *hot, uint64_t count)
{
    hot->q->view.header->gossip = 1;
    return add_by_handle(hot, count);
}

static int take_told(struct hot *hot, uint64_t count)
{
    hot->q->view.header->gossip = 1;
    return take_key(hot, count, TOLD, 0);
}

static int enter_leave(struct hot *hot, uint64_t count)
{
    int errors = 0;
    struct quipu_ticket ticket;
    for (uint64_t i = 0; i < count; i++)
        errors |= quipu_enter(hot->q, "in flight: 16 b.", 16, &ticket) | quipu_leave(hot->q, &ticket);
    return errors;
}

/* Keys that nobody saw before, in a segment that is full of limits: each makes another one leave. */
static int take_evicting(struct hot *hot, uint64_t count)
{
    int errors = 0;
    for (uint64_t i = 0; i < count; i++) {
        char key[24];
        int key_bytes = snprintf(key, sizeof key, "evicting:%llu", (unsigned long long)i);
        errors |= quipu_take(hot->q, key, (size_t)key_bytes, 1, &hot->verdict);
    }
    return errors;
}

static int set_key(struct hot *hot, uint64_t count)
{
    int errors = 0;
    for (uint64_t i = 0; i < count; i++)
        errors |= quipu_set(hot->q, "register", 8, (int64_t)i);
    return errors;
}

static int reset_key(struct hot *hot, uint64_t count)
{
    int errors = 0;
    for (uint64_t i = 0; i < count; i++) {
        int64_t ended = 0;
        errors |= quipu_add(hot->q, "reset", 5, 1) | quipu_reset(hot->q, "reset", 5, &ended);
        errors |= ended != 1;
    }
    return errors;
}

/* A key deleted and born again, over and over, and keys that nobody saw before: with the upkeep that this makes due. */
static int delete_key(struct hot *hot, uint64_t count)
{
    int errors = 0;
    for (uint64_t i = 0; i < count; i++) {
        int64_t ended = 0;
        char key[24] = "same key";
        if (i % 2)
            snprintf(key, sizeof key, "%llu", (unsigned long long)i);
        errors |= quipu_add(hot->q, key, sizeof key, 1) | quipu_delete(hot->q, key, sizeof key, &ended);
        errors |= ended != 1;
    }
    return errors;
}

static const struct {
    const char *name;
    int (*run)(struct hot *hot, uint64_t count);
} ways[] = {
    {"add_by_key", add_by_key}, {"add_by_handle", add_by_handle},
    {"get_by_key", get_by_key}, {"get_by_handle", get_by_handle},
    {"take_fixed", take_fixed}, {"take_by_handle", take_by_handle},
    {"add_many", add_many},     {"take_many", take_many},
    {"take_sliding", take_sliding}, {"take_bucket", take_bucket},
    {"take_denied", take_denied}, {"enter_leave", enter_leave},
    {"add_told", add_told},     {"take_told", take_told},
    {"take_evicting", take_evicting},
    {"set", set_key},           {"reset", reset_key},
    {"delete", delete_key},
};

/* ---- one run -------------------------------------------------------------------------------------------------------- */

/* Whether what the library and the C library take from the heap is counted at all. */
static bool heap_is_counted(struct hot *hot)
{
    uint64_t before = heap_calls;
    qp_test_must(quipu_counter_open(hot->q, KEY, KEY_BYTES, &hot->handle), "counter_open");
    if (heap_calls == before)
        return false;
    before = heap_calls;
    FILE *file = fopen("/dev/null", "r");
    if (file)
        fclose(file);
    return heap_calls != before;
}

/* 0, or 1 with a sentence. */
static int run(struct hot *hot, const char *way, uint64_t count)
{
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        if (strcmp(ways[i].name, way))
            continue;
        uint64_t before = heap_calls;
        int errors = ways[i].run(hot, count);
        uint64_t during = heap_calls - before;
        qp_test_must(quipu_get(hot->q, KEY, KEY_BYTES, &hot->count), "get");
        if (!errors && hot->count.total == hot->made && !during)
            return 0;
        fprintf(stderr, "%s: heap calls %llu (0 expected), errors %d, total %lld of %lld\n", way,
                (unsigned long long)during, errors, (long long)hot->count.total, (long long)hot->made);
        return 1;
    }
    fprintf(stderr, "%s: no such way\n", way);
    return 2;
}

/* What an agent writes: a block with our own point and those of three others, of today and of yesterday, and what others have counted. */
static void tell(struct quipu *q, const char *text)
{
    int error = 0;
    struct qp_worker *worker = qp_thread_worker(q, &error);
    struct qp_key key = qp_key_make(&q->view, text, 16);
    struct qp_entry *entry = qp_table_find(&q->view, &key, &error);
    uint64_t window_ms = qp_traits_window_ms(entry->traits), window = qp_clock_unix_ms() / window_ms;
    uint32_t block, index = qp_entry_index(&q->view, entry);
    if (!qp_block_alloc(worker, QP_BLOCK_SHARD, index, qp_shard_payload(8), &block))
        qp_test_must(-QUIPU_EFULL, "a block");
    struct qp_shard *shard = (struct qp_shard *)(void *)qp_block_at(&q->view, block);
    for (uint32_t i = 0; i < 8; i++)
        shard->point[i] = (struct qp_shard_point){.epoch = ((window - 1 + i % 2) * window_ms) << 16,
                                                  .count = 7,
                                                  .timestamp = 1 + i,
                                                  .origin = qp_origin_make(1 + i, i / 2)};
    shard->point_count = 8;
    qp_store_release(&entry->shard, qp_ref_next(entry->shard, block));
    qp_block_published(worker, qp_block_class(block), qp_block_index(block), index);
    qp_store_release(&entry->remote[window & 1], qp_epoch_tag(window, 0) | 21);
}

/* Limits that are far away, one that is reached, one in flight. Each key is there already, its window open for a day. */
static void prepare_limits(struct hot *hot)
{
    static const struct {
        const char *key; /* up to the colon it is the prefix too */
        uint32_t kind, algorithm;
        uint64_t limit;
    } limits[] = {{"fixed: 16 bytes.", QUIPU_KIND_LIMIT, QUIPU_ALGORITHM_FIXED, QUIPU_LIMIT_MAX},
                  {"sliding: 16 byte", QUIPU_KIND_LIMIT, QUIPU_ALGORITHM_SLIDING, QUIPU_LIMIT_MAX},
                  {"bucket: 16 bytes", QUIPU_KIND_LIMIT, QUIPU_ALGORITHM_BUCKET, QUIPU_LIMIT_MAX},
                  {"reached: 16 byte", QUIPU_KIND_LIMIT, QUIPU_ALGORITHM_FIXED, 1},
                  {TOLD, QUIPU_KIND_LIMIT, QUIPU_ALGORITHM_FIXED, QUIPU_LIMIT_MAX},
                  {"evicting:", QUIPU_KIND_LIMIT, QUIPU_ALGORITHM_FIXED, 10},
                  {"in flight: 16 b.", QUIPU_KIND_INFLIGHT, 0, 100}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct quipu_strategy s = {.struct_bytes = sizeof s, .kind = limits[i].kind, .algorithm = limits[i].algorithm,
                                   .limit = limits[i].limit};
        if (s.kind == QUIPU_KIND_LIMIT)
            s.window_ms = 86400000;
        qp_test_must(quipu_strategy_put(hot->q, limits[i].key, strcspn(limits[i].key, ":"), &s), "strategy_put");
    }
    for (size_t i = 0; i < 5; i++)
        qp_test_must(quipu_take(hot->q, limits[i].key, 16, 1, NULL), "take");
    tell(hot->q, TOLD);
    qp_test_must(quipu_counter_open(hot->q, limits[0].key, 16, &hot->limit), "counter_open");
    qp_test_must(quipu_counter_take(&hot->limit, 1, NULL), "counter_take");
    qp_test_must(take_fixed(hot, 1) | enter_leave(hot, 1), "first calls");
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: hot_path SEGMENT WAY COUNT\n");
        return 2;
    }
    struct hot hot = {.q = qp_test_segment(argv[1], 4096, 16, false)};
    unlink(hot.q->path); /* nothing is left behind, whatever ends this process */
    qp_test_must(quipu_add(hot.q, KEY, KEY_BYTES, ++hot.made), "add");
    int failed = !heap_is_counted(&hot);
    if (failed)
        fprintf(stderr, "quipu_counter_open or fopen allocated, and it was not counted: this test sees nothing\n");
    /* The first add by handle looks the key up. */
    qp_test_must(quipu_counter_add(&hot.handle, 1), "counter_add");
    hot.made++;
    prepare_limits(&hot);
    failed |= run(&hot, argv[2], strtoull(argv[3], NULL, 10));
    quipu_counter_close(&hot.handle);
    quipu_counter_close(&hot.limit);
    quipu_close(hot.q);
    return failed;
}
