/* SPDX-License-Identifier: MIT */
/* api_kind_test.c: counters, limits and registers as the public calls show them, and keys that change their kind. */
#include "api.h"

#include <time.h>

#define DAY_MS UINT64_C(86400000)

static int64_t unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A time in the middle of a window of that length, within what _at accepts, and some windows away from the clock's. */
static int64_t middle_of_window(int64_t window_ms)
{
    return unix_ms() / window_ms * window_ms + window_ms / 2;
}

static void api_kind(struct quipu *q, const char *prefix, uint32_t kind)
{
    struct quipu_strategy strategy = {.struct_bytes = sizeof strategy, .kind = kind};
    assert_code(0, quipu_strategy_put(q, prefix, strlen(prefix), &strategy));
}

/* ---- verbs and kinds ------------------------------------------------------------------------------------------------ */

static void test_the_first_call_decides_what_a_key_is(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    int64_t ended = 42;
    assert_code(0, quipu_add(q, KEY("counter"), 1));
    assert_code(0, quipu_set(q, KEY("register"), 1));
    assert_code(-EPROTOTYPE, quipu_set(q, KEY("counter"), 1));
    assert_code(-EPROTOTYPE, quipu_add(q, KEY("register"), 1));
    assert_code(-EPROTOTYPE, quipu_reset(q, KEY("register"), &ended));
    assert_int_equal(42, ended);
    assert_int_equal(1, api_get(q, "counter").total);
    assert_int_equal(1, api_get(q, "register").total);
    api_close(q);
}

static void test_a_strategy_decides_before_the_first_call(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    api_kind(q, "c:", QUIPU_KIND_COUNTER);
    api_kind(q, "r:", QUIPU_KIND_REGISTER);
    api_limit(q, "l:", 1000);
    assert_code(-EPROTOTYPE, quipu_set(q, KEY("c:1"), 1));
    assert_code(-EPROTOTYPE, quipu_set(q, KEY("l:1"), 1));
    assert_code(-EPROTOTYPE, quipu_add(q, KEY("r:1"), 1));
    assert_code(-ENOENT, quipu_get(q, KEY("c:1"), NULL));
    assert_code(-ENOENT, quipu_get(q, KEY("l:1"), NULL));
    assert_code(-ENOENT, quipu_get(q, KEY("r:1"), NULL));
    assert_code(0, quipu_add(q, KEY("c:1"), 1));
    assert_code(0, quipu_add(q, KEY("l:1"), 1));
    assert_code(0, quipu_set(q, KEY("r:1"), 1));
    api_close(q);
}

/* Until it is collected, a tombstone keeps its kind. */
static void test_a_deleted_and_collected_key_may_come_back_as_another_kind(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    for (int i = 0; i < 3; i++) {
        assert_code(0, quipu_add(q, KEY("k"), 5));
        assert_code(0, quipu_delete(q, KEY("k"), NULL));
        qp_test_settle(q);
        assert_code(0, quipu_set(q, KEY("k"), -3));
        assert_true(api_get(q, "k").total == -3);
        assert_code(0, quipu_delete(q, KEY("k"), NULL));
        qp_test_settle(q);
    }
    api_close(q);
}

/* ---- counters and registers ----------------------------------------------------------------------------------------- */

static void test_epochs_count_resets_and_deletes(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    int64_t ended;
    assert_code(0, quipu_add(q, KEY("k"), 5));
    assert_code(0, quipu_reset(q, KEY("k"), &ended));
    assert_int_equal(5, ended);
    assert_int_equal(1, api_get(q, "k").epoch);
    assert_int_equal(0, api_get(q, "k").total);
    assert_code(0, quipu_add(q, KEY("k"), 2));
    assert_code(0, quipu_delete(q, KEY("k"), &ended));
    assert_int_equal(2, ended);
    assert_code(0, quipu_add(q, KEY("k"), 1));
    assert_int_equal(2, api_get(q, "k").epoch);
    assert_int_equal(1, api_get(q, "k").total);
    api_close(q);
}

static void test_a_register_holds_any_value_and_ends_with_its_last(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    const int64_t values[] = {0, INT64_MIN, INT64_MAX, -1};
    int64_t ended;
    for (size_t i = 0; i < 4; i++) {
        assert_code(0, quipu_set(q, KEY("r"), values[i]));
        assert_true(api_get(q, "r").total == values[i]);
        assert_true(api_get(q, "r").local == values[i]);
    }
    assert_code(0, quipu_delete(q, KEY("r"), &ended));
    assert_true(ended == -1);
    assert_code(-ENOENT, quipu_get(q, KEY("r"), NULL));
    assert_code(0, quipu_set(q, KEY("r"), 7));
    assert_int_equal(7, api_get(q, "r").total);
    api_close(q);
}

/* ---- limits --------------------------------------------------------------------------------------------------------- */

static void test_a_limit_counts_per_window_of_the_time_it_is_given(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu_count count;
    api_limit(q, "l:", 1000);
    int64_t now_ms = middle_of_window(1000);
    assert_code(0, quipu_add_at(q, KEY("l:1"), 5, now_ms));
    assert_code(0, quipu_add_at(q, KEY("l:1"), 6, now_ms + 1000));
    assert_code(0, quipu_get_at(q, KEY("l:1"), now_ms + 1000, &count));
    assert_int_equal(6, count.total);
    assert_int_equal(5, count.previous);
    assert_int_equal((uint64_t)(now_ms + 1000) / 1000 * 1000 << 16, count.epoch);
    assert_code(0, quipu_get_at(q, KEY("l:1"), now_ms + 2000, &count));
    assert_int_equal(0, count.total);
    assert_int_equal(6, count.previous);
    assert_code(0, quipu_get_at(q, KEY("l:1"), now_ms + 3000, &count));
    assert_int_equal(0, count.total + count.previous);
    api_close(q);
}

static void test_a_time_far_from_the_clock_is_refused_by_limits_only(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    unsigned char out[sizeof(struct quipu_count)];
    api_limit(q, "l:", 1000);
    assert_code(0, quipu_add(q, KEY("l:1"), 1));
    api_mark(out, sizeof out);
    const int64_t far[] = {0, 1, -1, INT64_MAX, INT64_MIN + 1, unix_ms() - 70000, unix_ms() + 70000};
    for (size_t i = 0; i < sizeof far / sizeof far[0]; i++) {
        assert_code(-ERANGE, quipu_add_at(q, KEY("l:1"), 1, far[i]));
        assert_code(-ERANGE, quipu_add_at(q, KEY("l:new"), 1, far[i]));
        assert_code(-ERANGE, quipu_get_at(q, KEY("l:1"), far[i], (void *)out));
        assert_code(0, quipu_add_at(q, KEY("plain"), 1, far[i]));
        assert_code(0, quipu_get_at(q, KEY("plain"), far[i], NULL));
    }
    api_assert_untouched(out, sizeof out);
    assert_code(-ENOENT, quipu_get(q, KEY("l:new"), NULL));
    assert_code(0, quipu_add_at(q, KEY("l:1"), 1, unix_ms() - 50000));
    assert_code(0, quipu_add_at(q, KEY("l:1"), 1, unix_ms() + 50000));
    api_close(q);
}

static void test_a_window_saturates_without_an_error(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu_count count;
    api_limit(q, "l:", DAY_MS);
    int64_t now_ms = unix_ms();
    assert_code(0, quipu_add_at(q, KEY("l:1"), INT64_C(1) << 38, now_ms));
    assert_code(0, quipu_add_at(q, KEY("l:1"), INT64_MAX, now_ms));
    assert_code(0, quipu_add_at(q, KEY("l:1"), 1, now_ms));
    assert_code(0, quipu_get_at(q, KEY("l:1"), now_ms, &count));
    assert_true(count.total == INT64_C(1) << 39);
    api_close(q);
}

/* In one window of a day; again from the start in the rare case that midnight passes (UTC). */
static void test_a_window_is_reset_and_deleted_with_the_one_before(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu_count count;
    int64_t ended, day;
    api_limit(q, "l:", DAY_MS);
    do {
        day = unix_ms() / (int64_t)DAY_MS;
        assert_code(0, quipu_add(q, KEY("l:1"), 5));
        assert_code(0, quipu_reset(q, KEY("l:1"), &ended));
        assert_code(0, quipu_add(q, KEY("l:1"), 2));
        assert_code(0, quipu_get(q, KEY("l:1"), &count));
    } while (unix_ms() / (int64_t)DAY_MS != day);
    assert_int_equal(5, ended);
    assert_int_equal(2, count.total);
    assert_int_equal(0, count.previous);
    assert_int_equal((uint64_t)day * DAY_MS << 16, count.epoch & ~UINT64_C(0xffff));
    assert_true((count.epoch & 0xffff) >= 1);
    assert_code(0, quipu_delete(q, KEY("l:1"), &ended));
    assert_code(-ENOENT, quipu_get(q, KEY("l:1"), NULL));
    api_close(q);
}

static void test_a_window_runs_out_of_resets(void **state)
{
    (void)state;
    struct quipu *q = api_segment(1000, 8);
    int64_t ended = 0, day;
    int error;
    api_limit(q, "l:", DAY_MS);
    do {
        day = unix_ms() / (int64_t)DAY_MS;
        qp_test_must(quipu_add(q, KEY("l:1"), 1), "add");
        uint32_t resets = 0;
        while ((error = quipu_reset(q, KEY("l:1"), &ended)) == 0 && resets <= 65535)
            resets++;
        assert_code(-EOVERFLOW, error);
        assert_int_equal(65535, resets);
        ended = 42;
        assert_code(-EOVERFLOW, quipu_delete(q, KEY("l:1"), &ended));
    } while (unix_ms() / (int64_t)DAY_MS != day);
    assert_int_equal(42, ended);
    api_close(q);
}

/* ---- keys that change --------------------------------------------------------------------------------------------------- */

static void test_a_key_whose_kind_changes_starts_anew(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu_count count;
    assert_code(0, quipu_add(q, KEY("k"), 5));
    api_limit(q, "k", DAY_MS);
    assert_code(-ENOENT, quipu_get(q, KEY("k"), NULL));
    assert_code(0, quipu_add(q, KEY("k"), 2));
    assert_code(0, quipu_get(q, KEY("k"), &count));
    assert_int_equal(2, count.total);
    assert_true(count.epoch >> 16 > 0); /* a window's */
    api_limit(q, "k", 1000);            /* another window is another key as well */
    assert_code(-ENOENT, quipu_get(q, KEY("k"), NULL));
    api_kind(q, "k", QUIPU_KIND_REGISTER);
    assert_code(-EPROTOTYPE, quipu_add(q, KEY("k"), 1));
    assert_code(0, quipu_set(q, KEY("k"), 9));
    api_kind(q, "k", QUIPU_KIND_COUNTER);
    assert_code(-EPROTOTYPE, quipu_set(q, KEY("k"), 1));
    assert_code(0, quipu_add(q, KEY("k"), 1));
    assert_int_equal(1, api_get(q, "k").total);
    api_close(q);
}

static void test_a_row_that_says_the_same_or_goes_changes_no_key(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    api_limit(q, "k", DAY_MS);
    assert_code(0, quipu_add(q, KEY("k"), 5));
    api_limit(q, "k", DAY_MS);
    assert_code(0, quipu_add(q, KEY("k"), 1));
    assert_code(0, quipu_strategy_drop(q, KEY("k")));
    assert_code(0, quipu_add(q, KEY("k"), 1));
    assert_int_equal(7, api_get(q, "k").total + api_get(q, "k").previous);
    assert_code(0, quipu_add(q, KEY("k2"), 1)); /* made without a row: a plain counter */
    assert_int_equal(0, api_get(q, "k2").epoch);
    api_close(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_call_decides_what_a_key_is),
        cmocka_unit_test(test_a_strategy_decides_before_the_first_call),
        cmocka_unit_test(test_a_deleted_and_collected_key_may_come_back_as_another_kind),
        cmocka_unit_test(test_epochs_count_resets_and_deletes),
        cmocka_unit_test(test_a_register_holds_any_value_and_ends_with_its_last),
        cmocka_unit_test(test_a_limit_counts_per_window_of_the_time_it_is_given),
        cmocka_unit_test(test_a_time_far_from_the_clock_is_refused_by_limits_only),
        cmocka_unit_test(test_a_window_saturates_without_an_error),
        cmocka_unit_test(test_a_window_is_reset_and_deleted_with_the_one_before),
        cmocka_unit_test(test_a_window_runs_out_of_resets),
        cmocka_unit_test(test_a_key_whose_kind_changes_starts_anew),
        cmocka_unit_test(test_a_row_that_says_the_same_or_goes_changes_no_key),
    };
    return cmocka_run_group_tests_name("kinds", tests, NULL, NULL);
}
