/* SPDX-License-Identifier: MIT */
/* core_map_test.c: the maps for replicas and peers: what they hold, that another thread can read them while they
 * change, and that no thread is started for them. */
#include "core_unit.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>

static unsigned threads(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/task");
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count - 2;
}

static void it_holds_what_was_put(void **unused)
{
    (void)unused;
    unsigned before = threads();
    struct qp_alloc_arena *arena = qp_alloc_arena_new("test");
    struct qp_map *map = qp_map_new(arena);
    uint32_t value;
    assert_non_null(map);
    assert_false(qp_map_get(map, 1, &value));
    for (uint64_t i = 0; i < 1000; i++)
        assert_true(qp_map_put(map, i << 32, (uint32_t)i));
    for (uint64_t i = 0; i < 1000; i += 2)
        qp_map_remove(map, i << 32);
    assert_true(qp_map_put(map, UINT64_C(1) << 32, 77));
    for (uint64_t i = 0; i < 1000; i++) {
        assert_int_equal(qp_map_get(map, i << 32, &value), i & 1);
        if (i & 1)
            assert_int_equal(value, i == 1 ? 77 : i);
    }
    qp_map_remove(map, 5);
    assert_int_equal(threads(), before);
    qp_map_free(map);
    assert_int_equal(qp_alloc_used_bytes(arena), 0);
    qp_alloc_arena_free(arena);
}

struct shared {
    struct qp_map *map;
    atomic_bool stop;
    uint64_t looks, wrong;
};

/* Key 1 is always there, with values that only grow; key 2 comes and goes. */
static void *reader(void *arg)
{
    struct shared *shared = arg;
    uint32_t last = 0, value;
    qp_map_reader_begin();
    while (!atomic_load(&shared->stop) || shared->looks < 1000) {
        shared->wrong += !qp_map_get(shared->map, 1, &value) || value < last;
        last = value;
        shared->wrong += qp_map_get(shared->map, 2, &value) && value != 22;
        shared->looks++;
    }
    qp_map_reader_end();
    return NULL;
}

static void another_thread_reads_it(void **unused)
{
    (void)unused;
    struct qp_alloc_arena *arena = qp_alloc_arena_new("test");
    struct shared shared = {.map = qp_map_new(arena)};
    pthread_t thread;
    assert_true(qp_map_put(shared.map, 1, 0));
    assert_int_equal(pthread_create(&thread, NULL, reader, &shared), 0);
    for (uint32_t i = 0; i < 3000; i++) {
        assert_true(qp_map_put(shared.map, 1, i));
        assert_true(qp_map_put(shared.map, 2, 22));
        qp_map_remove(shared.map, 2);
    }
    atomic_store(&shared.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(shared.wrong, 0);
    qp_map_free(shared.map);
    qp_alloc_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_holds_what_was_put),
        cmocka_unit_test(another_thread_reads_it),
    };
    return cmocka_run_group_tests_name("core_map", tests, NULL, NULL);
}
