/* SPDX-License-Identifier: MIT */
/* api_key_test.c: the calls on keys and their contract: what is refused, what stays untouched, what a key may be. */
#include "api.h"

/* ---- keys ----------------------------------------------------------------------------------------------------------- */

/* Each call on a key, reduced to what they have in common; `out` is its last parameter. */
typedef int key_call(struct quipu *q, const void *key, size_t key_bytes, void *out);

static int call_add(struct quipu *q, const void *key, size_t key_bytes, void *out)
{
    (void)out;
    return quipu_add(q, key, key_bytes, 1);
}

static int call_add_at(struct quipu *q, const void *key, size_t key_bytes, void *out)
{
    (void)out;
    return quipu_add_at(q, key, key_bytes, 1, 0);
}

static int call_get(struct quipu *q, const void *key, size_t key_bytes, void *out)
{
    return quipu_get(q, key, key_bytes, out);
}

static int call_get_at(struct quipu *q, const void *key, size_t key_bytes, void *out)
{
    return quipu_get_at(q, key, key_bytes, 0, out);
}

static int call_set(struct quipu *q, const void *key, size_t key_bytes, void *out)
{
    (void)out;
    return quipu_set(q, key, key_bytes, 1);
}

static int call_reset(struct quipu *q, const void *key, size_t key_bytes, void *out)
{
    return quipu_reset(q, key, key_bytes, out);
}

static int call_delete(struct quipu *q, const void *key, size_t key_bytes, void *out)
{
    return quipu_delete(q, key, key_bytes, out);
}

static int call_counter_open(struct quipu *q, const void *key, size_t key_bytes, void *out)
{
    return quipu_counter_open(q, key, key_bytes, out);
}

static const struct {
    key_call *call;
    size_t out_bytes;
} key_calls[] = {
    {call_add, 0},
    {call_add_at, 0},
    {call_get, sizeof(struct quipu_count)},
    {call_get_at, sizeof(struct quipu_count)},
    {call_set, 0},
    {call_reset, sizeof(int64_t)},
    {call_delete, sizeof(int64_t)},
    {call_counter_open, sizeof(struct quipu_counter)},
};
#define KEY_CALLS (sizeof key_calls / sizeof key_calls[0])

static void test_keys_out_of_range_are_refused_by_every_call(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    static char key[QUIPU_KEY_BYTES_MAX + 1];
    unsigned char out[sizeof(struct quipu_count) + sizeof(struct quipu_counter)];
    for (size_t i = 0; i < KEY_CALLS; i++) {
        api_mark(out, sizeof out);
        assert_code(-EINVAL, key_calls[i].call(NULL, KEY("k"), out));
        assert_code(-EINVAL, key_calls[i].call(q, NULL, 1, out));
        assert_code(-EINVAL, key_calls[i].call(q, key, 0, out));
        assert_code(-ENAMETOOLONG, key_calls[i].call(q, key, sizeof key, out));
        assert_code(-ENAMETOOLONG, key_calls[i].call(q, key, SIZE_MAX, out));
        api_assert_untouched(out, sizeof out);
    }
    struct quipu_stat stat;
    assert_code(0, quipu_stat(q, &stat));
    assert_int_equal(0, stat.counters_used);
    api_close(q);
}

static void test_keys_of_1_to_1024_bytes_of_any_value_are_counted_apart(void **state)
{
    (void)state;
    struct quipu *q = api_segment(40000, 8); /* one key in 64 may be of more than 496 bytes */
    unsigned char key[QUIPU_KEY_BYTES_MAX];
    struct quipu_count count;
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (unsigned char)(i * 7);
    for (size_t bytes = 1; bytes <= sizeof key; bytes++)
        assert_code(0, quipu_add(q, key, bytes, (int64_t)bytes));
    for (size_t bytes = 1; bytes <= sizeof key; bytes++) {
        assert_code(0, quipu_get(q, key, bytes, &count));
        assert_int_equal(bytes, count.total);
    }
    for (int byte = 0; byte < 256; byte++) {
        unsigned char one[2] = {(unsigned char)byte, 0};
        assert_code(0, quipu_add(q, one, 2, byte + 1));
        assert_code(0, quipu_get(q, one, 2, &count));
        assert_int_equal(byte + 1, count.total);
    }
    api_close(q);
}

static void test_what_is_not_there_is_not_found_and_leaves_results_untouched(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    unsigned char out[sizeof(struct quipu_count)];
    api_mark(out, sizeof out);
    assert_code(-ENOENT, call_get(q, KEY("k"), out));
    assert_code(-ENOENT, call_reset(q, KEY("k"), out));
    assert_code(-ENOENT, call_delete(q, KEY("k"), out));
    assert_code(0, quipu_add(q, KEY("k"), 1));
    assert_code(0, quipu_delete(q, KEY("k"), NULL));
    assert_code(-ENOENT, call_get(q, KEY("k"), out));
    assert_code(-ENOENT, call_reset(q, KEY("k"), out));
    assert_code(-ENOENT, call_delete(q, KEY("k"), out));
    api_assert_untouched(out, sizeof out);
    api_close(q);
}

static void test_results_may_be_null(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    assert_code(0, quipu_add(q, KEY("k"), 1));
    assert_code(0, quipu_get(q, KEY("k"), NULL));
    assert_code(0, quipu_reset(q, KEY("k"), NULL));
    assert_code(0, quipu_delete(q, KEY("k"), NULL));
    assert_code(0, quipu_stat(q, NULL));
    assert_code(0, quipu_check(q, NULL, 0));
    quipu_close(NULL);
    api_close(q);
}

/* ---- adding --------------------------------------------------------------------------------------------------------- */

static void test_adding_less_than_nothing_is_refused(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    assert_code(-EINVAL, quipu_add(q, KEY("k"), -1));
    assert_code(-EINVAL, quipu_add(q, KEY("k"), INT64_MIN));
    assert_code(-EINVAL, quipu_add_at(q, KEY("k"), -1, 0));
    assert_code(-ENOENT, quipu_get(q, KEY("k"), NULL));
    api_close(q);
}

static void test_adding_nothing_makes_no_key_and_changes_none(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    assert_code(0, quipu_add(q, KEY("k"), 0));
    assert_code(-ENOENT, quipu_get(q, KEY("k"), NULL));
    assert_code(0, quipu_add(q, KEY("k"), 3));
    assert_code(0, quipu_add(q, KEY("k"), 0));
    assert_int_equal(3, api_get(q, "k").total);
    assert_code(0, quipu_delete(q, KEY("k"), NULL));
    assert_code(0, quipu_add(q, KEY("k"), 0));
    assert_code(-ENOENT, quipu_get(q, KEY("k"), NULL));
    api_close(q);
}

static void test_a_count_stops_before_2_to_the_62(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    assert_code(-EOVERFLOW, quipu_add(q, KEY("new"), INT64_MAX));
    assert_code(-ENOENT, quipu_get(q, KEY("new"), NULL));
    assert_code(0, quipu_add(q, KEY("k"), INT64_C(1) << 62));
    assert_code(-EOVERFLOW, quipu_add(q, KEY("k"), INT64_C(1) << 30));
    assert_code(-EOVERFLOW, quipu_add(q, KEY("k"), INT64_MAX));
    assert_true(api_get(q, "k").total == INT64_C(1) << 62);
    api_close(q);
}

static void test_a_count_is_local_with_nothing_remote(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    assert_code(0, quipu_add(q, KEY("k"), 42));
    struct quipu_count count = api_get(q, "k"), zero = {0};
    assert_int_equal(42, count.total);
    assert_int_equal(42, count.local);
    assert_int_equal(0, count.remote);
    assert_int_equal(0, count.previous);
    assert_int_equal(0, count.epoch);
    assert_int_equal(0, count.denied);
    assert_memory_equal(zero.reserved, count.reserved, sizeof count.reserved);
    api_close(q);
}

static void test_what_resets_and_deletes_end_and_what_is_left_is_what_was_added(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    uint64_t noise = 11;
    int64_t added = 0, ended_sum = 0, ended;
    for (int i = 0; i < 3000; i++) {
        int64_t n = (int64_t)(unit_random(&noise) >> 44);
        assert_code(0, quipu_add(q, KEY("k"), n));
        added += n;
        uint64_t dice = unit_random(&noise) >> 60;
        if (dice == 0 && quipu_delete(q, KEY("k"), &ended) == 0)
            ended_sum += ended;
        else if (dice == 1 && quipu_reset(q, KEY("k"), &ended) == 0)
            ended_sum += ended;
        else if (dice == 2)
            assert_true(quipu_upkeep(q, 0) >= 0);
    }
    struct quipu_count count = {0};
    (void)quipu_get(q, KEY("k"), &count);
    assert_int_equal(added, ended_sum + count.total);
    api_close(q);
}

/* ---- full ----------------------------------------------------------------------------------------------------------- */

static void test_a_full_segment_refuses_new_keys_and_counts_the_old_ones(void **state)
{
    (void)state;
    struct quipu *q = api_segment(50, 8);
    char key[16];
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof key, "k.%d", i);
        assert_code(0, quipu_add(q, key, strlen(key), 1));
    }
    assert_code(-QUIPU_EFULL, quipu_add(q, KEY("new"), 1));
    assert_code(-QUIPU_EFULL, quipu_set(q, KEY("new"), 1));
    assert_code(0, quipu_add(q, KEY("k.7"), 1));
    assert_int_equal(2, api_get(q, "k.7").total);
    struct quipu_stat stat;
    assert_code(0, quipu_stat(q, &stat));
    assert_true(stat.full_refusals >= 2);
    assert_int_equal(50, stat.counters_used);
    /* One goes, one comes: whoever finds no room makes some. */
    assert_code(0, quipu_delete(q, KEY("k.8"), NULL));
    int error;
    for (int tries = 0; (error = quipu_add(q, KEY("new"), 1)) == -QUIPU_EFULL && tries < 1000; tries++)
        usleep(1000); /* after a search in vain the next one is some ms away */
    assert_code(0, error);
    assert_code(-QUIPU_EFULL, quipu_add(q, KEY("k.8"), 1));
    api_close(q);
}

/* A block can be short in a segment with room for keys: a change is refused, and refused whole. */
static void test_without_a_block_long_keys_and_changes_are_refused_and_counting_goes_on(void **state)
{
    (void)state;
    struct quipu *q = api_segment(20, 8);
    char key[100];
    memset(key, 'k', sizeof key);
    assert_code(0, quipu_add(q, KEY("short"), 5));
    struct qp_worker *worker = qp_thread_worker(q, &(int){0});
    uint32_t blocks[512], taken = 0;
    while (taken < 512 && qp_block_alloc(worker, QP_BLOCK_KEY, 1, 1, &blocks[taken]))
        taken++;
    int64_t ended = 42;
    assert_code(-QUIPU_EFULL, quipu_add(q, key, sizeof key, 1));
    assert_code(-QUIPU_EFULL, quipu_reset(q, KEY("short"), &ended));
    assert_code(-QUIPU_EFULL, quipu_delete(q, KEY("short"), &ended));
    assert_code(-QUIPU_EFULL, quipu_set(q, KEY("register"), 1));
    assert_int_equal(42, ended);
    assert_code(0, quipu_add(q, KEY("short"), 1));
    assert_int_equal(6, api_get(q, "short").total);
    for (uint32_t i = 0; i < taken; i++)
        qp_block_drop(worker, blocks[i]);
    assert_code(0, quipu_reset(q, KEY("short"), &ended));
    assert_int_equal(6, ended);
    api_close(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_out_of_range_are_refused_by_every_call),
        cmocka_unit_test(test_keys_of_1_to_1024_bytes_of_any_value_are_counted_apart),
        cmocka_unit_test(test_what_is_not_there_is_not_found_and_leaves_results_untouched),
        cmocka_unit_test(test_results_may_be_null),
        cmocka_unit_test(test_adding_less_than_nothing_is_refused),
        cmocka_unit_test(test_adding_nothing_makes_no_key_and_changes_none),
        cmocka_unit_test(test_a_count_stops_before_2_to_the_62),
        cmocka_unit_test(test_a_count_is_local_with_nothing_remote),
        cmocka_unit_test(test_what_resets_and_deletes_end_and_what_is_left_is_what_was_added),
        cmocka_unit_test(test_a_full_segment_refuses_new_keys_and_counts_the_old_ones),
        cmocka_unit_test(test_without_a_block_long_keys_and_changes_are_refused_and_counting_goes_on),
    };
    return cmocka_run_group_tests_name("calls on keys", tests, NULL, NULL);
}
