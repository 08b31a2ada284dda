/* SPDX-License-Identifier: MIT */
/* cell_test.c: adding to cells: plain ones stop large adds at 2^62, windowed ones roll, follow a newer window, saturate. */
#include "unit.h"

#include <pthread.h>

#define SECOND 1000u
#define SKEW 62 /* windows of a second: 60 s and two windows */

/* ---- plain ---------------------------------------------------------------------------------------------------------- */

static void test_plain_adds_sum_up(void **state)
{
    (void)state;
    uint64_t cell = 0, sum = 0, noise = 1;
    for (int i = 0; i < 1000; i++) {
        int64_t n = (int64_t)(unit_random(&noise) >> (24 + i % 40));
        assert_int_equal(0, qp_cell_add_plain(&cell, n));
        sum += (uint64_t)n;
        assert_int_equal(sum, cell);
    }
}

static void test_a_plain_count_may_reach_the_maximum_and_not_pass_it(void **state)
{
    (void)state;
    uint64_t cell = 0;
    assert_int_equal(0, qp_cell_add_plain(&cell, QP_CELL_PLAIN_MAX));
    assert_int_equal(QP_CELL_PLAIN_MAX, cell);
    assert_int_equal(-EOVERFLOW, qp_cell_add_plain(&cell, QP_CELL_SMALL));
    assert_int_equal(-EOVERFLOW, qp_cell_add_plain(&cell, QP_CELL_PLAIN_MAX));
    assert_int_equal(QP_CELL_PLAIN_MAX, cell);
    cell = (uint64_t)(QP_CELL_PLAIN_MAX - QP_CELL_SMALL) + 1;
    assert_int_equal(-EOVERFLOW, qp_cell_add_plain(&cell, QP_CELL_SMALL));
    cell--;
    assert_int_equal(0, qp_cell_add_plain(&cell, QP_CELL_SMALL));
    assert_int_equal(QP_CELL_PLAIN_MAX, cell);
}

static void test_a_plain_add_that_is_over_the_maximum_by_itself_is_refused(void **state)
{
    (void)state;
    uint64_t cell = 0;
    assert_int_equal(-EOVERFLOW, qp_cell_add_plain(&cell, QP_CELL_PLAIN_MAX + 1));
    assert_int_equal(-EOVERFLOW, qp_cell_add_plain(&cell, INT64_MAX));
    assert_int_equal(0, cell);
    cell = 5;
    assert_int_equal(-EOVERFLOW, qp_cell_add_plain(&cell, INT64_MAX));
    assert_int_equal(5, cell);
}

/* Small adds are one unconditional instruction; 2^46 of them would be needed to reach the sign. */
static void test_small_plain_adds_are_never_refused(void **state)
{
    (void)state;
    uint64_t cell = (uint64_t)QP_CELL_PLAIN_MAX;
    assert_int_equal(0, qp_cell_add_plain(&cell, QP_CELL_SMALL - 1));
    assert_int_equal(QP_CELL_PLAIN_MAX + QP_CELL_SMALL - 1, cell);
}

/* ---- windowed ------------------------------------------------------------------------------------------------------- */

static void test_two_windows_in_a_row_are_kept_side_by_side(void **state)
{
    (void)state;
    uint64_t cell[2] = {0};
    qp_cell_add_windowed(cell, 100, SECOND, 3);
    qp_cell_add_windowed(cell, 100, SECOND, 4);
    qp_cell_add_windowed(cell, 101, SECOND, 5);
    assert_int_equal(7, qp_cell_count_in(cell[0], 100));
    assert_int_equal(5, qp_cell_count_in(cell[1], 101));
    assert_int_equal(0, qp_cell_count_in(cell[0], 102));
    assert_int_equal(0, qp_cell_count_in(cell[1], 99));
}

static void test_a_cell_rolls_to_the_next_window_of_its_parity(void **state)
{
    (void)state;
    uint64_t cell[2] = {0};
    qp_cell_add_windowed(cell, 100, SECOND, 7);
    qp_cell_add_windowed(cell, 101, SECOND, 5);
    qp_cell_add_windowed(cell, 102, SECOND, 2);
    assert_int_equal(0, qp_cell_count_in(cell[0], 100));
    assert_int_equal(2, qp_cell_count_in(cell[0], 102));
    assert_int_equal(5, qp_cell_count_in(cell[1], 101));
}

static void test_a_caller_one_window_behind_counts_in_its_own_window(void **state)
{
    (void)state;
    uint64_t cell[2] = {0};
    qp_cell_add_windowed(cell, 101, SECOND, 1);
    qp_cell_add_windowed(cell, 100, SECOND, 1);
    assert_int_equal(1, qp_cell_count_in(cell[0], 100));
    assert_int_equal(1, qp_cell_count_in(cell[1], 101));
}

static void test_a_caller_further_behind_counts_in_the_newer_window(void **state)
{
    (void)state;
    for (uint64_t behind = 2; behind <= SKEW; behind += 2) {
        uint64_t cell[2] = {0};
        qp_cell_add_windowed(cell, 1000, SECOND, 10);
        qp_cell_add_windowed(cell, 1000 - behind, SECOND, 1);
        assert_int_equal(11, qp_cell_count_in(cell[0], 1000)); /* nobody turns a cell back */
    }
}

static void test_a_window_too_far_ahead_is_stale_and_rolls(void **state)
{
    (void)state;
    assert_int_equal(SKEW, qp_window_skew(SECOND));
    const uint64_t ahead[] = {SKEW + 2, 1000, 1u << 20, (1u << 23) - 2};
    for (size_t i = 0; i < sizeof ahead / sizeof ahead[0]; i++) {
        uint64_t cell[2] = {0};
        qp_cell_add_windowed(cell, 5000 + ahead[i], SECOND, 10);
        qp_cell_add_windowed(cell, 5000, SECOND, 1);
        assert_int_equal(1, qp_cell_count_in(cell[0], 5000));
    }
}

static void test_long_windows_have_a_skew_of_two(void **state)
{
    (void)state;
    assert_int_equal(2, qp_window_skew(86400000));
    assert_int_equal(602, qp_window_skew(100));
    uint64_t cell[2] = {0};
    qp_cell_add_windowed(cell, 104, 86400000, 10);
    qp_cell_add_windowed(cell, 102, 86400000, 1);
    assert_int_equal(11, qp_cell_count_in(cell[0], 104));
    qp_cell_add_windowed(cell, 100, 86400000, 1);
    assert_int_equal(1, qp_cell_count_in(cell[0], 100));
}

static void test_windows_are_told_apart_where_their_numbers_wrap(void **state)
{
    (void)state;
    uint64_t wrap = UINT64_C(1) << 24, cell[2] = {0};
    qp_cell_add_windowed(cell, wrap - 2, SECOND, 3);
    qp_cell_add_windowed(cell, wrap - 1, SECOND, 4);
    qp_cell_add_windowed(cell, wrap, SECOND, 5);
    assert_int_equal(5, qp_cell_count_in(cell[0], wrap));
    assert_int_equal(4, qp_cell_count_in(cell[1], wrap - 1));
    qp_cell_add_windowed(cell, wrap - 2, SECOND, 1); /* behind, across the wrap: counts in the newer one */
    assert_int_equal(6, qp_cell_count_in(cell[0], wrap));
    assert_int_equal(-2, qp_window_ahead(wrap - 2, wrap));
    assert_int_equal(2, qp_window_ahead(0, QP_WINDOW_MASK - 1));
}

/* A cell of zeros names a window too, number 0 modulo 2^24: it must not pass for a newer one. */
static void test_an_empty_cell_is_in_no_window(void **state)
{
    (void)state;
    for (uint64_t window = (UINT64_C(1) << 24) - 2 * SKEW; window < (UINT64_C(1) << 24); window++) {
        uint64_t cell[2] = {0};
        qp_cell_add_windowed(cell, window, SECOND, 1);
        assert_int_equal(1, qp_cell_count_in(cell[window & 1], window));
    }
}

static void test_a_window_stops_at_its_maximum(void **state)
{
    (void)state;
    uint64_t cell[2] = {0};
    qp_cell_add_windowed(cell, 100, SECOND, QP_CELL_COUNT_MAX - 1);
    qp_cell_add_windowed(cell, 100, SECOND, 1);
    assert_int_equal(QP_CELL_COUNT_MAX, qp_cell_count_in(cell[0], 100));
    qp_cell_add_windowed(cell, 100, SECOND, 1);
    qp_cell_add_windowed(cell, 100, SECOND, UINT64_C(1) << 62);
    qp_cell_add_windowed(cell, 100, SECOND, INT64_MAX);
    assert_int_equal(QP_CELL_COUNT_MAX, qp_cell_count_in(cell[0], 100));
    qp_cell_add_windowed(cell, 102, SECOND, INT64_MAX);
    assert_int_equal(QP_CELL_COUNT_MAX, qp_cell_count_in(cell[0], 102));
    assert_int_equal(0, cell[1]);
}

/* ---- threads at once ------------------------------------------------------------------------------------------------ */

#define ADDS 20000

static uint64_t shared_plain, shared_windowed[2];

static void *add_often(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < ADDS; i++) {
        qp_cell_add_plain(&shared_plain, i % 100 == 0 ? QP_CELL_SMALL : 1);
        /* Half of the way through, the window turns; late and early callers are in both at once. */
        qp_cell_add_windowed(shared_windowed, 100 + (i > ADDS / 2), SECOND, 1);
    }
    return NULL;
}

static void test_no_add_is_lost_among_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(0, pthread_create(&threads[i], NULL, add_often, NULL));
    for (int i = 0; i < 4; i++)
        assert_int_equal(0, pthread_join(threads[i], NULL));
    assert_int_equal(4 * (ADDS / 100 * (uint64_t)QP_CELL_SMALL + ADDS / 100 * 99), shared_plain);
    assert_int_equal(4 * (ADDS / 2 + 1), qp_cell_count_in(shared_windowed[0], 100));
    assert_int_equal(4 * (ADDS / 2 - 1), qp_cell_count_in(shared_windowed[1], 101));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_adds_sum_up),
        cmocka_unit_test(test_a_plain_count_may_reach_the_maximum_and_not_pass_it),
        cmocka_unit_test(test_a_plain_add_that_is_over_the_maximum_by_itself_is_refused),
        cmocka_unit_test(test_small_plain_adds_are_never_refused),
        cmocka_unit_test(test_two_windows_in_a_row_are_kept_side_by_side),
        cmocka_unit_test(test_a_cell_rolls_to_the_next_window_of_its_parity),
        cmocka_unit_test(test_a_caller_one_window_behind_counts_in_its_own_window),
        cmocka_unit_test(test_a_caller_further_behind_counts_in_the_newer_window),
        cmocka_unit_test(test_a_window_too_far_ahead_is_stale_and_rolls),
        cmocka_unit_test(test_long_windows_have_a_skew_of_two),
        cmocka_unit_test(test_windows_are_told_apart_where_their_numbers_wrap),
        cmocka_unit_test(test_an_empty_cell_is_in_no_window),
        cmocka_unit_test(test_a_window_stops_at_its_maximum),
        cmocka_unit_test(test_no_add_is_lost_among_threads),
    };
    return cmocka_run_group_tests_name("cells", tests, NULL, NULL);
}
