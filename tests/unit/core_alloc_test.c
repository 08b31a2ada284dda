/* SPDX-License-Identifier: MIT */
/* core_alloc_test.c: arenas: what is asked for is zeroed, aligned and counted, in every build; all of an arena can be
 * given back at once. */
#include "core_unit.h"

static bool is_zero(const unsigned char *memory, size_t bytes)
{
    while (bytes > 0 && memory[bytes - 1] == 0)
        bytes--;
    return bytes == 0;
}

static void memory_is_counted_to_the_byte(void **unused)
{
    (void)unused;
    struct qp_alloc_arena *arena = qp_alloc_arena_new("some purpose");
    unsigned char *memory[40];
    size_t used = 0;
    assert_string_equal(qp_alloc_purpose(arena), "some purpose");
    for (int again = 0; again < 3; again++) {
        for (size_t i = 0; i < 40; i++) {
            size_t bytes = 1 + i * i * i * 7;
            memory[i] = qp_alloc(arena, bytes);
            assert_non_null(memory[i]);
            assert_int_equal((uintptr_t)memory[i] % 64, 0);
            assert_true(is_zero(memory[i], bytes));
            memset(memory[i], 0xa5, bytes);
            used += bytes;
            assert_int_equal(qp_alloc_used_bytes(arena), used);
        }
        for (size_t i = 0; i < 40; i++) {
            qp_alloc_free(arena, memory[(i * 7) % 40]);
            used -= 1 + (i * 7) % 40 * ((i * 7) % 40) * ((i * 7) % 40) * 7;
            assert_int_equal(qp_alloc_used_bytes(arena), used);
        }
    }
    assert_int_equal(used, 0);
    qp_alloc_arena_free(arena);
}

static void a_reset_takes_everything_back(void **unused)
{
    (void)unused;
    struct qp_alloc_arena *arena = qp_alloc_arena_new("round"), *other = qp_alloc_arena_new("lasting");
    unsigned char *kept = qp_alloc(other, 1000);
    memset(kept, 1, 1000);
    for (int round = 0; round < 1000; round++) {
        for (size_t i = 0; i < 10; i++)
            assert_non_null(qp_alloc(arena, 100000));
        assert_int_equal(qp_alloc_used_bytes(arena), 1000000);
        qp_alloc_reset(arena);
        assert_int_equal(qp_alloc_used_bytes(arena), 0);
        qp_alloc_reset(arena);
    }
    assert_int_equal(kept[0] + kept[999], 2);
    assert_int_equal(qp_alloc_used_bytes(other), 1000);
    qp_alloc_arena_free(arena);
    qp_alloc_arena_free(other); /* with what is in it */
    qp_alloc_arena_free(NULL);
}

static void what_cannot_be_is_refused(void **unused)
{
    (void)unused;
    struct qp_alloc_arena *arena = qp_alloc_arena_new("test");
    assert_null(qp_alloc(arena, SIZE_MAX));
    assert_null(qp_alloc(arena, SIZE_MAX - 64));
    assert_null(qp_alloc(arena, 0));
    qp_alloc_free(arena, NULL);
    assert_int_equal(qp_alloc_used_bytes(arena), 0);
    qp_alloc_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_counted_to_the_byte),
        cmocka_unit_test(a_reset_takes_everything_back),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests_name("core_alloc", tests, NULL, NULL);
}
