/* SPDX-License-Identifier: MIT */
/* cell_test.c: adding to plain cells, whose large adds stop at 2^62; and the numbers of windows in cells. */
#include "unit.h"

#include <pthread.h>

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

/* ---- numbers of windows --------------------------------------------------------------------------------------------- */

static void test_a_skew_is_a_minute_and_two_windows(void **state)
{
    (void)state;
    assert_int_equal(602, qp_window_skew(100));
    assert_int_equal(62, qp_window_skew(1000));
    assert_int_equal(2, qp_window_skew(86400000));
}

static void test_windows_are_told_apart_where_their_numbers_wrap(void **state)
{
    (void)state;
    uint64_t wrap = UINT64_C(1) << 24;
    assert_int_equal(-2, qp_window_ahead(wrap - 2, wrap));
    assert_int_equal(2, qp_window_ahead(0, QP_WINDOW_MASK - 1));
    assert_int_equal((1 << 23) - 1, qp_window_ahead((1 << 23) + 6, 7));
    assert_int_equal(-(1 << 23), qp_window_ahead((1 << 23) + 7, 7));
    uint64_t cell = qp_cell_make(wrap + 6, 5);
    assert_int_equal(5, qp_cell_count_in(cell, wrap + 6));
    assert_int_equal(5, qp_cell_count_in(cell, 6)); /* 2^24 windows apart they look alike */
    assert_int_equal(0, qp_cell_count_in(cell, 4));
    assert_int_equal(0, qp_cell_count_in(cell, 8));
    assert_int_equal(7, qp_cell_window(cell, 1)); /* the lowest bit is the cell's place */
    assert_int_equal(5, qp_cell_count_in(cell | QP_CELL_SEALED, 6));
}

/* ---- threads at once ------------------------------------------------------------------------------------------------ */

#define ADDS 20000

static uint64_t shared_plain;

static void *add_often(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < ADDS; i++)
        qp_cell_add_plain(&shared_plain, i % 100 == 0 ? QP_CELL_SMALL : 1);
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
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_adds_sum_up),
        cmocka_unit_test(test_a_plain_count_may_reach_the_maximum_and_not_pass_it),
        cmocka_unit_test(test_a_plain_add_that_is_over_the_maximum_by_itself_is_refused),
        cmocka_unit_test(test_small_plain_adds_are_never_refused),
        cmocka_unit_test(test_a_skew_is_a_minute_and_two_windows),
        cmocka_unit_test(test_windows_are_told_apart_where_their_numbers_wrap),
        cmocka_unit_test(test_no_add_is_lost_among_threads),
    };
    return cmocka_run_group_tests_name("cells", tests, NULL, NULL);
}
