/* SPDX-License-Identifier: MIT */
/* hot_path.c: makes COUNT calls of one kind on a segment of its own, and counts what they take from the heap. hot_path.sh runs
 * it under strace and callgrind, with two counts, and looks at the difference.
 *
 *     hot_path SEGMENT WAY COUNT
 *
 * The heap's functions are defined here, so that every call of them in this process is counted, the C library's own included (of
 * an opendir, a qsort): the linker's --wrap would only see the calls that our own objects make. */
#include <errno.h>

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
    {"take_sliding", take_sliding}, {"take_bucket", take_bucket},
    {"take_denied", take_denied}, {"enter_leave", enter_leave},
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
                  {"evicting:", QUIPU_KIND_LIMIT, QUIPU_ALGORITHM_FIXED, 10},
                  {"in flight: 16 b.", QUIPU_KIND_INFLIGHT, 0, 100}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct quipu_strategy s = {.struct_bytes = sizeof s, .kind = limits[i].kind, .algorithm = limits[i].algorithm,
                                   .limit = limits[i].limit};
        if (s.kind == QUIPU_KIND_LIMIT)
            s.window_ms = 86400000;
        qp_test_must(quipu_strategy_put(hot->q, limits[i].key, strcspn(limits[i].key, ":"), &s), "strategy_put");
    }
    for (size_t i = 0; i < 4; i++)
        qp_test_must(quipu_take(hot->q, limits[i].key, 16, 1, NULL), "take");
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
