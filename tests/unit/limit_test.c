/* SPDX-License-Identifier: MIT */
/* limit_test.c: fixed and sliding windows, case by case: boundaries, seals, refunds, resets and deletes with what was carried, adds that do not
 * ask, the largest numbers; and threads at once. What clocks do to them: limit_clock_test.c; at random: limit_model_test.c. */
#include "unit.h"

#define W 1000u
#define FIXED QP_ALGORITHM_FIXED
#define SLIDING QP_ALGORITHM_SLIDING

static int take(struct unit_segment *s, struct qp_entry *entry, uint64_t n, uint64_t limit, uint64_t now_ms,
                struct qp_verdict *out)
{
    return unit_take(&s->worker, entry, &(struct qp_ask){.n = n, .limit = limit, .now_ms = now_ms}, out);
}

static int look(struct unit_segment *s, struct qp_entry *entry, uint64_t n, uint64_t limit, uint64_t now_ms,
                struct qp_verdict *out)
{
    return unit_take(&s->worker, entry, &(struct qp_ask){.n = n, .limit = limit, .now_ms = now_ms, .look = true}, out);
}

static int refund(struct unit_segment *s, struct qp_entry *entry, uint64_t n, uint64_t epoch)
{
    unit_enter(&s->worker);
    int result = qp_limit_refund(&s->view, entry, n, epoch, UNIT_NOW_MS, 0);
    unit_exit(&s->worker);
    return result;
}

static int64_t cut(struct unit_segment *s, struct qp_entry *entry, bool delete, uint64_t now_ms)
{
    int64_t ended = -1;
    s->worker.now_ms = now_ms;
    unit_enter(&s->worker);
    assert_int_equal(0,
                     delete ? qp_shard_delete(&s->worker, entry, &ended) : qp_shard_reset(&s->worker, entry, &ended));
    unit_exit(&s->worker);
    return ended;
}

/* What can be had at that time. */
static uint64_t left(struct unit_segment *s, struct qp_entry *entry, uint64_t limit, uint64_t now_ms)
{
    struct qp_verdict verdict;
    assert_true(look(s, entry, 1, limit, now_ms, &verdict) >= 0);
    return verdict.remaining;
}

/* ---- windows -------------------------------------------------------------------------------------------------------- */

static void test_a_fixed_window_ends_at_its_last_millisecond(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_verdict verdict;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = unit_limit(&s, "a", FIXED, W);
    assert_int_equal(0, take(&s, entry, 7, 10, UNIT_NOW_MS, &verdict));
    assert_int_equal(10, verdict.limit);
    assert_int_equal(3, verdict.remaining);
    assert_int_equal(UNIT_NOW_MS << 16, verdict.epoch);
    assert_int_equal(UNIT_NOW_MS + W, verdict.reset_ms);
    assert_int_equal(0, verdict.retry_after_ms);
    assert_int_equal(1, take(&s, entry, 4, 10, UNIT_NOW_MS + W - 1, &verdict));
    assert_int_equal(3, verdict.remaining);
    assert_int_equal(1, verdict.retry_after_ms);
    assert_int_equal(0, take(&s, entry, 10, 10, UNIT_NOW_MS + W, &verdict));
    assert_int_equal(0, verdict.remaining);
    assert_int_equal((UNIT_NOW_MS + W) << 16, verdict.epoch);
    assert_int_equal(1, take(&s, entry, 1, 10, UNIT_NOW_MS + W + 1, &verdict));
    assert_int_equal(W - 1, verdict.retry_after_ms);
    unit_close(&s);
}

static void test_a_sliding_window_weighs_what_is_left_of_the_one_before(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_verdict verdict;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = unit_limit(&s, "a", SLIDING, W);
    assert_int_equal(0, take(&s, entry, 10, 10, UNIT_NOW_MS + 999, NULL));
    for (uint64_t elapsed = 0; elapsed < W; elapsed += 37)
        assert_int_equal(10 - 10 * (W - elapsed) / W, left(&s, entry, 10, UNIT_NOW_MS + W + elapsed));
    assert_int_equal(1, look(&s, entry, 1, 10, UNIT_NOW_MS + W, &verdict));
    assert_int_equal(1, verdict.retry_after_ms); /* one ms later 9.99 of the ten units are left, so 9 */
    assert_int_equal(1, look(&s, entry, 10, 10, UNIT_NOW_MS + W, &verdict));
    assert_int_equal(901, verdict.retry_after_ms);
    assert_int_equal(0, take(&s, entry, 10, 10, UNIT_NOW_MS + W + 901, NULL));
    assert_int_equal(0, left(&s, entry, 10, UNIT_NOW_MS + 2 * W));
    assert_int_equal(10, left(&s, entry, 10, UNIT_NOW_MS + 3 * W));
    unit_close(&s);
}

static void test_opening_a_sliding_window_seals_the_one_before(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    struct qp_entry *sliding = unit_limit(&s, "sliding", SLIDING, W), *fixed = unit_limit(&s, "fixed", FIXED, W);
    uint64_t window = UNIT_NOW_MS / W;
    struct qp_entry *both[] = {sliding, fixed};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(0, take(&s, both[i], 3, 10, UNIT_NOW_MS, NULL));
        assert_int_equal(0, look(&s, both[i], 3, 10, UNIT_NOW_MS + W, NULL)); /* opens nothing */
        assert_int_equal(1, take(&s, both[i], 11, 10, UNIT_NOW_MS + W, NULL));
        assert_false(qp_cell_is_sealed(both[i]->cell[window & 1]));
        assert_int_equal(0, take(&s, both[i], 3, 10, UNIT_NOW_MS + W, NULL));
    }
    assert_true(qp_cell_is_sealed(sliding->cell[window & 1]));
    assert_false(qp_cell_is_sealed(sliding->cell[!(window & 1)]));
    assert_int_equal(qp_cell_make(window, 3) | QP_CELL_SEALED, sliding->cell[window & 1]);
    assert_false(qp_cell_is_sealed(fixed->cell[window & 1]) || qp_cell_is_sealed(fixed->cell[!(window & 1)]));
    unit_close(&s);
}

/* Whoever opens a window may be killed after each step. */
static void test_a_window_that_was_begun_to_be_opened_takes_nothing_away(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_verdict verdict;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = unit_limit(&s, "a", SLIDING, W);
    uint64_t window = UNIT_NOW_MS / W, parity = window & 1;
    assert_int_equal(0, take(&s, entry, 4, 10, UNIT_NOW_MS, NULL));
    entry->cell[parity] |= QP_CELL_SEALED; /* killed after the seal */
    assert_int_equal(0, take(&s, entry, 5, 10, UNIT_NOW_MS + 500, &verdict));
    assert_int_equal((UNIT_NOW_MS + W) << 16, verdict.epoch); /* the sealed one is over */
    assert_int_equal(1, verdict.remaining);                   /* and weighs whole at the first ms of the next */
    assert_int_equal(qp_cell_make(window, 4) | QP_CELL_SEALED, entry->cell[parity]);
    assert_int_equal(1, take(&s, entry, 2, 10, UNIT_NOW_MS + 999, NULL));
    assert_int_equal(0, take(&s, entry, 1, 10, UNIT_NOW_MS + W, NULL));

    entry->cell[!parity] |=
        QP_CELL_SEALED; /* killed after the seal and after emptying the refunds of the next window */
    entry->refund[parity] = qp_epoch_tag(window + 2, 0);
    assert_int_equal(1, take(&s, entry, 5, 10, UNIT_NOW_MS + W, NULL));
    assert_int_equal(0, take(&s, entry, 4, 10, UNIT_NOW_MS + W, &verdict));
    assert_int_equal((UNIT_NOW_MS + 2 * W) << 16, verdict.epoch);
    unit_settle(&s);
    unit_quiet(&s);
    unit_close(&s);
}

static void test_the_short_way_does_only_what_it_can_do_alone(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_verdict verdict, other;
    const struct qp_row ten = {.limit = 10}, none = {0};
    unit_open(&s, 10, 4);
    struct qp_entry *fixed = unit_limit(&s, "fixed", FIXED, W), *sliding = unit_limit(&s, "sliding", SLIDING, W);
    assert_false(unit_take_fast(&s, fixed, &ten, 1, UNIT_NOW_MS, &verdict)); /* not open */
    assert_int_equal(0, take(&s, fixed, 1, 10, UNIT_NOW_MS, NULL));
    assert_int_equal(0, take(&s, sliding, 1, 10, UNIT_NOW_MS, NULL));
    assert_false(unit_take_fast(&s, sliding, &ten, 1, UNIT_NOW_MS, &verdict));
    assert_true(unit_take_fast(&s, fixed, &ten, 2, UNIT_NOW_MS + 5, &verdict));
    assert_int_equal(0, take(&s, fixed, 2, 12, UNIT_NOW_MS + 6, &other));
    other.limit = 10; /* of 12, as many are left as before of ten */
    assert_memory_equal(&verdict, &other, sizeof verdict);
    assert_false(unit_take_fast(&s, fixed, &ten, 6, UNIT_NOW_MS, &verdict)); /* no room */
    assert_false(unit_take_fast(&s, fixed, &none, QP_CELL_COUNT_MAX, UNIT_NOW_MS, &verdict)); /* would saturate */
    assert_int_equal(0, take(&s, fixed, 1, 10, UNIT_NOW_MS + W, NULL));
    assert_false(unit_take_fast(&s, fixed, &ten, 1, UNIT_NOW_MS, &verdict)); /* behind */
    assert_int_equal(1, cut(&s, fixed, false, UNIT_NOW_MS + W));
    assert_int_equal(0, take(&s, fixed, 1, 10, UNIT_NOW_MS + W, NULL));
    assert_false(unit_take_fast(&s, fixed, &ten, 10, UNIT_NOW_MS + W, &verdict));
    assert_true(unit_take_fast(&s, fixed, &ten, 9, UNIT_NOW_MS + W, &verdict)); /* what was before the reset does not count */
    assert_int_equal(0, verdict.remaining);
    assert_int_equal(((UNIT_NOW_MS + W) << 16) + 1, verdict.epoch);
    assert_int_equal(0, take(&s, fixed, 1, 10, UNIT_NOW_MS + 2 * W, NULL));
    assert_true(unit_take_fast(&s, fixed, &ten, 9, UNIT_NOW_MS + 2 * W, &verdict)); /* nor does the reset in a later window */
    assert_int_equal((UNIT_NOW_MS + 2 * W) << 16, verdict.epoch);
    assert_int_equal(0, verdict.remaining);
    unit_close(&s);
}

/* ---- giving back ----------------------------------------------------------------------------------------------------- */

static void test_units_go_back_to_their_epoch_only(void **state)
{
    (void)state;
    const unsigned algorithms[] = {FIXED, SLIDING};
    for (int i = 0; i < 2; i++) {
        struct unit_segment s;
        struct qp_verdict first, second;
        unit_open(&s, 10, 4);
        struct qp_entry *entry = unit_limit(&s, "a", algorithms[i], W);
        assert_int_equal(0, take(&s, entry, 6, 10, UNIT_NOW_MS, &first));
        assert_int_equal(-EINVAL, refund(&s, entry, 7, first.epoch));
        assert_int_equal(-EINVAL, refund(&s, entry, UINT64_MAX, first.epoch));
        assert_int_equal(4, left(&s, entry, 10, UNIT_NOW_MS));
        assert_int_equal(0, refund(&s, entry, 4, first.epoch));
        assert_int_equal(8, left(&s, entry, 10, UNIT_NOW_MS));
        assert_int_equal(-EINVAL, refund(&s, entry, 3, first.epoch));
        assert_int_equal(1, refund(&s, entry, 1, first.epoch - 2 * (uint64_t)W * 65536));
        assert_int_equal(1, refund(&s, entry, 1, first.epoch + 2 * (uint64_t)W * 65536));
        assert_int_equal(2, cut(&s, entry, false, UNIT_NOW_MS)); /* what was given back is not in it */
        assert_int_equal(1, refund(&s, entry, 1, first.epoch));
        assert_int_equal(0, take(&s, entry, 5, 10, UNIT_NOW_MS, &second));
        assert_int_equal(first.epoch + 1, second.epoch);
        assert_int_equal(5, left(&s, entry, 10, UNIT_NOW_MS));
        assert_int_equal(-EINVAL, refund(&s, entry, 6, second.epoch));
        assert_int_equal(0, refund(&s, entry, 5, second.epoch));
        assert_int_equal(10, left(&s, entry, 10, UNIT_NOW_MS));
        assert_int_equal(0, take(&s, entry, 1, 10, UNIT_NOW_MS + 2 * W, NULL));
        assert_int_equal(1, refund(&s, entry, 1, second.epoch)); /* two windows on, its place is another's */
        unit_settle(&s);
        unit_quiet(&s);
        unit_close(&s);
    }
}

static void test_what_was_given_back_is_not_carried(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_verdict verdict;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = unit_limit(&s, "a", SLIDING, W);
    assert_int_equal(0, take(&s, entry, 10, 10, UNIT_NOW_MS, &verdict));
    assert_int_equal(0, take(&s, entry, 5, 10, UNIT_NOW_MS + W + 500, NULL));
    assert_int_equal(0, left(&s, entry, 10, UNIT_NOW_MS + W + 500));
    assert_int_equal(0, refund(&s, entry, 8, verdict.epoch)); /* sealed, but still weighed */
    assert_int_equal(4, left(&s, entry, 10, UNIT_NOW_MS + W + 500));
    assert_int_equal(-EINVAL, refund(&s, entry, 3, verdict.epoch));
    unit_close(&s);
}

/* The tag of a refund word has 14 bits for the window and 10 for the resets in it. */
static void test_refunds_of_another_time_do_not_count_when_their_tag_comes_round(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_verdict verdict;
    unit_open(&s, 64, 4);
    struct qp_entry *entry = unit_limit(&s, "a", FIXED, W);
    assert_int_equal(0, take(&s, entry, 9, 10, UNIT_NOW_MS, &verdict));
    assert_int_equal(0, refund(&s, entry, 8, verdict.epoch));
    uint64_t later_ms = UNIT_NOW_MS + (UINT64_C(1) << 15) * W;
    assert_int_equal(0, take(&s, entry, 9, 10, later_ms, &verdict));
    assert_int_equal(1, left(&s, entry, 10, later_ms));
    assert_int_equal(0, refund(&s, entry, 8, verdict.epoch));
    for (int i = 0; i < 1024; i++) {
        cut(&s, entry, false, later_ms);
        unit_settle(&s);
    }
    assert_int_equal(0, take(&s, entry, 9, 10, later_ms, &verdict));
    assert_int_equal(1024, verdict.epoch & 0xffff);
    assert_int_equal(1, left(&s, entry, 10, later_ms));
    unit_close(&s);
}

/* ---- resets and deletes ---------------------------------------------------------------------------------------------- */

static void test_a_cut_takes_along_what_was_carried(void **state)
{
    (void)state;
    for (int delete = 0; delete < 2; delete ++) {
        struct unit_segment s;
        struct qp_verdict verdict;
        unit_open(&s, 10, 4);
        struct qp_entry *entry = unit_limit(&s, "a", SLIDING, W);
        assert_int_equal(0, take(&s, entry, 9, 10, UNIT_NOW_MS, NULL));
        assert_int_equal(0, take(&s, entry, 5, 10, UNIT_NOW_MS + W + 500, NULL));
        assert_int_equal(5, cut(&s, entry, delete, UNIT_NOW_MS + W + 500));
        assert_int_equal(10, left(&s, entry, 10, UNIT_NOW_MS + W + 500));
        assert_int_equal(0, take(&s, entry, 10, 10, UNIT_NOW_MS + W + 500, &verdict));
        assert_int_equal(((UNIT_NOW_MS + W) << 16) + 1, verdict.epoch);
        assert_int_equal(5, left(&s, entry, 10, UNIT_NOW_MS + 2 * W + 500)); /* what came after the cut is carried */
        unit_close(&s);
    }
}

/* A window that nothing was taken in yet, too: the one before is cut with it. */
static void test_a_cut_in_a_window_that_is_not_open_takes_along_what_would_be_carried(void **state)
{
    (void)state;
    for (int delete = 0; delete < 2; delete ++) {
        struct unit_segment s;
        unit_open(&s, 10, 4);
        struct qp_entry *entry = unit_limit(&s, "a", SLIDING, W);
        assert_int_equal(0, take(&s, entry, 10, 10, UNIT_NOW_MS, NULL));
        assert_int_equal(0, left(&s, entry, 10, UNIT_NOW_MS + W));
        assert_int_equal(0, cut(&s, entry, delete, UNIT_NOW_MS + W));
        assert_int_equal(10, left(&s, entry, 10, UNIT_NOW_MS + W));
        assert_int_equal(0, take(&s, entry, 10, 10, UNIT_NOW_MS + W, NULL));
        assert_int_equal(1, take(&s, entry, 1, 10, UNIT_NOW_MS + W, NULL));
        unit_close(&s);
    }
}

/* ---- the edges of numbers -------------------------------------------------------------------------------------------- */

static void test_an_add_that_does_not_ask_goes_over_the_limit(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_verdict verdict;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = unit_limit(&s, "a", SLIDING, W);
    struct qp_ask add = {.n = 25, .limit = 10, .now_ms = UNIT_NOW_MS, .force = true};
    assert_int_equal(0, unit_take(&s.worker, entry, &add, &verdict));
    assert_int_equal(0, verdict.remaining);
    assert_int_equal(1, take(&s, entry, 1, 10, UNIT_NOW_MS, &verdict));
    assert_int_equal(0, verdict.remaining);
    assert_int_equal(1, look(&s, entry, 1, 10, UNIT_NOW_MS + W, &verdict));
    assert_int_equal(601, verdict.retry_after_ms); /* 25 * 0.4 is ten: one ms more */
    add.n = 1;
    assert_int_equal(0, unit_take(&s.worker, entry, &add, NULL));
    struct qp_use use;
    qp_limit_use(&s.view, entry, UNIT_NOW_MS, &use);
    assert_int_equal(26, use.current);
    unit_close(&s);
}

static void test_without_a_number_everything_is_allowed_and_counted(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_verdict verdict;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = unit_limit(&s, "a", FIXED, W);
    assert_int_equal(0, take(&s, entry, 1000, QP_LIMIT_NONE, UNIT_NOW_MS, &verdict));
    assert_int_equal(QP_LIMIT_NONE, verdict.limit);
    assert_int_equal(QP_LIMIT_NONE, verdict.remaining);
    assert_int_equal(0, take(&s, entry, UINT64_MAX - 1, QP_LIMIT_NONE, UNIT_NOW_MS, &verdict));
    assert_int_equal(QP_CELL_COUNT_MAX, qp_cell_count_in(entry->cell[UNIT_NOW_MS / W & 1], UNIT_NOW_MS / W));
    unit_close(&s);
}

static void test_the_largest_limit_is_exact(void **state)
{
    (void)state;
    const uint64_t most = QP_CELL_COUNT_MAX;
    const unsigned algorithms[] = {FIXED, SLIDING};
    for (int i = 0; i < 2; i++) {
        struct unit_segment s;
        struct qp_verdict verdict;
        unit_open(&s, 10, 4);
        struct qp_entry *entry = unit_limit(&s, "a", algorithms[i], W);
        assert_int_equal(0, take(&s, entry, most - 1, most, UNIT_NOW_MS, &verdict));
        assert_int_equal(1, verdict.remaining);
        assert_int_equal(1, take(&s, entry, 2, most, UNIT_NOW_MS, NULL));
        assert_int_equal(0, take(&s, entry, 1, most, UNIT_NOW_MS, NULL));
        assert_int_equal(1, take(&s, entry, 1, most, UNIT_NOW_MS, NULL));
        assert_int_equal(1, take(&s, entry, most + 1, most, UNIT_NOW_MS, &verdict));
        assert_true(verdict.retry_after_ms == -1);
        assert_int_equal(1, take(&s, entry, UINT64_MAX, most, UNIT_NOW_MS, &verdict));
        assert_true(verdict.retry_after_ms == -1);
        uint64_t carried = algorithms[i] == SLIDING ? most / 4 : 0;
        assert_int_equal(most - carried, left(&s, entry, most, UNIT_NOW_MS + W + 750));
        assert_int_equal(0, refund(&s, entry, most, UNIT_NOW_MS << 16));
        assert_int_equal(most, left(&s, entry, most, UNIT_NOW_MS + W + 750));
        unit_close(&s);
    }
}

static void test_a_count_stops_at_its_bits_end(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = unit_limit(&s, "a", FIXED, W);
    uint64_t window = UNIT_NOW_MS / W, *cell = &entry->cell[window & 1];
    unit_add_at(&s.worker, entry, UNIT_NOW_MS, QP_CELL_COUNT_MAX - 1);
    const uint64_t adds[] = {1, 1, UINT64_C(1) << 62, INT64_MAX};
    for (int i = 0; i < 4; i++) {
        unit_add_at(&s.worker, entry, UNIT_NOW_MS, adds[i]);
        assert_int_equal(QP_CELL_COUNT_MAX, qp_cell_count_in(*cell, window));
    }
    unit_add_at(&s.worker, entry, UNIT_NOW_MS + 2 * W, INT64_MAX);
    assert_int_equal(QP_CELL_COUNT_MAX, qp_cell_count_in(*cell, window + 2));
    assert_int_equal(0, entry->cell[!(window & 1)]);
    unit_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_fixed_window_ends_at_its_last_millisecond),
        cmocka_unit_test(test_a_sliding_window_weighs_what_is_left_of_the_one_before),
        cmocka_unit_test(test_opening_a_sliding_window_seals_the_one_before),
        cmocka_unit_test(test_a_window_that_was_begun_to_be_opened_takes_nothing_away),
        cmocka_unit_test(test_the_short_way_does_only_what_it_can_do_alone),
        cmocka_unit_test(test_units_go_back_to_their_epoch_only),
        cmocka_unit_test(test_what_was_given_back_is_not_carried),
        cmocka_unit_test(test_refunds_of_another_time_do_not_count_when_their_tag_comes_round),
        cmocka_unit_test(test_a_cut_takes_along_what_was_carried),
        cmocka_unit_test(test_a_cut_in_a_window_that_is_not_open_takes_along_what_would_be_carried),
        cmocka_unit_test(test_an_add_that_does_not_ask_goes_over_the_limit),
        cmocka_unit_test(test_without_a_number_everything_is_allowed_and_counted),
        cmocka_unit_test(test_the_largest_limit_is_exact),
        cmocka_unit_test(test_a_count_stops_at_its_bits_end),
    };
    return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
