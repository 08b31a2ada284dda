/* SPDX-License-Identifier: MIT */
/* limit_striped_test.c: limits over stripes, case by case: what was counted before the promotion, shares and stealing, folding, a limit that is
 * lowered or raised, news of others, what a dead process left half done, refunds, resets, adds that do not ask. At random against a model:
 * limit_model_test.c; with kills: tests/limits/exact.c; in every order: tests/models/hot.pml. */
#include "others_unit.h"

#include <errno.h>

#include "shm/limit_look.h"
#include "shm/stripe.h"
#include "shm/window.h"

#define W 1000u
#define WINDOW (UNIT_NOW_MS / W)
#define CPUS 4 /* of unit_open's segments */

static struct qp_entry *promoted(struct unit_segment *s, unsigned algorithm, uint64_t first)
{
    unit_open(s, 100, 4);
    struct qp_entry *entry = unit_limit(s, "a", algorithm, W);
    if (first)
        unit_add_at(&s->worker, entry, UNIT_NOW_MS, first);
    unit_enter(&s->worker);
    qp_stripe_promote(&s->worker, entry, true);
    unit_exit(&s->worker);
    assert_int_not_equal(0, (uint32_t)entry->traits);
    return entry;
}

static int take_on(struct unit_segment *s, struct qp_entry *entry, uint32_t cpu, uint64_t n, uint64_t limit, uint64_t now_ms,
                   struct qp_verdict *out)
{
    return unit_take(&s->worker, entry, &(struct qp_ask){.n = n, .limit = limit, .now_ms = now_ms, .cpu = cpu}, out);
}

static bool is_gate(const struct qp_entry *entry, uint64_t window)
{
    return qp_cell_is_gate(entry->cell[window & 1]) && qp_cell_window(entry->cell[window & 1], window & 1) == (window & QP_WINDOW_MASK);
}

/* How many units there are, one by one, all asked for on one CPU. */
static uint64_t all_on(struct unit_segment *s, struct qp_entry *entry, uint32_t cpu, uint64_t limit, uint64_t now_ms)
{
    uint64_t count = 0;
    while (take_on(s, entry, cpu, 1, limit, now_ms, NULL) == 0)
        count++;
    return count;
}

static uint64_t *stripe_of(struct unit_segment *s, struct qp_entry *entry, uint32_t cpu, uint64_t window)
{
    uint32_t set;
    assert_true(qp_stripe_set(&s->view, entry->traits, &set));
    struct qp_stripe *stripe = qp_stripe_at(&s->view, set, cpu);
    return window & 1 ? &stripe->locked : &stripe->plain;
}

static uint64_t total(struct unit_segment *s, struct qp_entry *entry, uint64_t window)
{
    return qp_cell_count_in(qp_window_cell(&s->view, entry, window & 1), window);
}

static void test_every_unit_is_had_once_whoever_asks(void **state)
{
    (void)state;
    const uint64_t limits[] = {1, 15, 16, 35, 36, 64, 65, 100, 1003};
    for (unsigned i = 0; i < sizeof limits / sizeof *limits; i++)
        for (uint32_t cpu = 0; cpu <= CPUS; cpu++)
            for (uint64_t first = 0; first <= 5; first += 5) {
                struct unit_segment s;
                struct qp_verdict verdict;
                struct qp_entry *entry = promoted(&s, i % 2, first);
                uint64_t left = limits[i] > first ? limits[i] - first : 0;
                assert_int_equal(left, all_on(&s, entry, cpu, limits[i], UNIT_NOW_MS));
                assert_int_equal(1, take_on(&s, entry, 0, 1, limits[i], UNIT_NOW_MS, &verdict));
                assert_int_equal(0, verdict.remaining);
                assert_int_equal(left + first, total(&s, entry, WINDOW));
                unit_close(&s);
            }
}

/* Several units at once are refused when so many are not left in all, and not because they are left here and there. */
static void test_several_units_need_not_be_left_on_one_stripe(void **state)
{
    (void)state;
    for (uint64_t n = 2; n <= 200; n = n * 3 / 2) {
        struct unit_segment s;
        struct qp_verdict verdict;
        struct qp_entry *entry = promoted(&s, QP_ALGORITHM_FIXED, 3);
        uint64_t count = 3;
        for (uint32_t cpu = 0; cpu < 2 * CPUS; cpu++, count++)
            assert_int_equal(0, take_on(&s, entry, cpu, 1, 400, UNIT_NOW_MS, NULL));
        assert_true(is_gate(entry, WINDOW));
        assert_int_equal(1, take_on(&s, entry, 0, 401, 400, UNIT_NOW_MS, &verdict)); /* which nobody can have, and which changes nothing */
        assert_int_equal(400 - count, verdict.remaining);
        assert_true(is_gate(entry, WINDOW));
        for (uint32_t cpu = 0; take_on(&s, entry, cpu, n, 400, UNIT_NOW_MS, &verdict) == 0; cpu++)
            count += n;
        assert_in_range(400 - count, 0, n - 1);
        assert_int_equal(400 - count, verdict.remaining);
        assert_int_equal(400 - count, all_on(&s, entry, 2, 400, UNIT_NOW_MS));
        unit_close(&s);
    }
}

static void test_takers_on_all_cpus_have_the_limit_between_them(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_verdict verdict;
    struct qp_entry *entry = promoted(&s, QP_ALGORITHM_FIXED, 7);
    uint64_t count = 7;
    for (uint32_t cpu = 0; count < 1000; cpu++, count++) {
        assert_int_equal(0, take_on(&s, entry, cpu, 1, 1000, UNIT_NOW_MS, &verdict));
        assert_in_range(verdict.remaining, 1000 - count < CPUS ? 0 : 1000 - count - CPUS, 1000 - count);
        assert_true(is_gate(entry, WINDOW));
    }
    for (uint32_t cpu = 0; cpu < CPUS; cpu++) /* each took from its own */
        assert_in_range(qp_cell_count(*stripe_of(&s, entry, cpu, WINDOW)), 248, 249);
    /* The first one who finds nothing folds; after that a refusal looks at one word. */
    assert_int_equal(1, take_on(&s, entry, 2, 1, 1000, UNIT_NOW_MS, &verdict));
    assert_int_equal(0, verdict.remaining);
    assert_int_equal(W, verdict.retry_after_ms);
    assert_int_equal(qp_cell_make(WINDOW, 1000), entry->cell[WINDOW & 1]);
    for (uint32_t cpu = 0; cpu < CPUS; cpu++)
        assert_true(qp_cell_is_sealed(*stripe_of(&s, entry, cpu, WINDOW)));
    assert_int_equal(0, all_on(&s, entry, 0, 1000, UNIT_NOW_MS));
    assert_int_equal(2, all_on(&s, entry, 0, 1002, UNIT_NOW_MS)); /* and it is not dealt again in that window */
    assert_int_equal(qp_cell_make(WINDOW, 1002), entry->cell[WINDOW & 1]);
    assert_int_equal(1000, all_on(&s, entry, 0, 1000, UNIT_NOW_MS + 2 * W));
    unit_close(&s);
}

/* Each share was dealt by the limit of then, and one stripe has most of it. */
static void test_a_limit_that_is_changed_counts_at_once(void **state)
{
    (void)state;
    const uint64_t changed[] = {1, 40, 41, 100, 101, 159, 161, 200, 5000, QP_LIMIT_NONE};
    for (unsigned i = 0; i < sizeof changed / sizeof *changed; i++)
        for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
            struct unit_segment s;
            struct qp_entry *entry = promoted(&s, i % 2, 0);
            for (uint32_t j = 0; j < 41; j++)
                assert_int_equal(0, take_on(&s, entry, 1, 1, 160, UNIT_NOW_MS, NULL));
            assert_true(is_gate(entry, WINDOW));
            uint64_t left = changed[i] > 41 ? changed[i] - 41 : 0;
            if (changed[i] == QP_LIMIT_NONE)
                for (left = 0; left < 200; left++)
                    assert_int_equal(0, take_on(&s, entry, cpu, 1, changed[i], UNIT_NOW_MS, NULL));
            else
                assert_int_equal(left, all_on(&s, entry, cpu, changed[i], UNIT_NOW_MS));
            assert_int_equal(41 + left, total(&s, entry, WINDOW));
            /* By somebody who has not heard of it yet. */
            assert_int_equal(41 + left < 160 ? 160 - 41 - left : 0, all_on(&s, entry, cpu, 160, UNIT_NOW_MS));
            unit_close(&s);
        }
}

/* Noted by who died before he froze, or who has not heard of another limit: one word serves in that window. */
static void test_shares_by_one_limit_are_not_shared_by_others(void **state)
{
    (void)state;
    struct unit_segment s;
    uint32_t set;
    struct qp_entry *entry = promoted(&s, QP_ALGORITHM_FIXED, 0);
    assert_true(qp_stripe_set(&s.view, entry->traits, &set));
    qp_stripe_set_at(&s.view, set)->dealt[WINDOW & 1] = qp_cell_make(WINDOW, 160);
    assert_int_equal(100, all_on(&s, entry, 0, 100, UNIT_NOW_MS));
    assert_int_equal(qp_cell_make(WINDOW, 100), entry->cell[WINDOW & 1]);
    assert_int_equal(60, all_on(&s, entry, 0, 160, UNIT_NOW_MS)); /* over stripes */
    assert_true(qp_cell_is_sealed(*stripe_of(&s, entry, 3, WINDOW)));
    assert_int_equal(100, all_on(&s, entry, 0, 100, UNIT_NOW_MS + 2 * W));
    assert_int_equal(qp_cell_make(WINDOW + 2, 100), qp_stripe_set_at(&s.view, set)->dealt[WINDOW & 1]);
    unit_close(&s);
}

static void test_news_of_others_count_at_once(void **state)
{
    (void)state;
    for (uint32_t cpu = 0; cpu < CPUS; cpu++)
        for (uint64_t news = 1; news <= 200; news += 19) {
            struct unit_segment s;
            struct qp_entry *entry = promoted(&s, cpu % 2, 0);
            others_begin(&s.view);
            for (uint32_t i = 0; i < 30; i++)
                assert_int_equal(0, take_on(&s, entry, 1, 1, 160, UNIT_NOW_MS, NULL));
            assert_true(is_gate(entry, WINDOW));
            assert_true(others_count(&s.worker, entry, WINDOW, news));
            assert_int_equal(news < 130 ? 130 - news : 0, all_on(&s, entry, cpu, 160, UNIT_NOW_MS));
            struct qp_ask ask = {.n = 1, .limit = 160, .now_ms = UNIT_NOW_MS, .host_only = true};
            assert_int_equal(0, unit_take(&s.worker, entry, &ask, NULL));
            assert_false(is_gate(entry, WINDOW));
            unit_close(&s);
        }
}

static void test_a_sliding_window_weighs_all_stripes_of_the_one_before(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_entry *entry = promoted(&s, QP_ALGORITHM_SLIDING, 100);
    for (uint32_t i = 0; i < 300; i++)
        assert_int_equal(0, take_on(&s, entry, i, 1, 1000, UNIT_NOW_MS, NULL));
    assert_true(is_gate(entry, WINDOW));
    for (uint32_t i = 0; i < 20; i++)
        assert_int_equal(0, take_on(&s, entry, i, 1, 1000, UNIT_NOW_MS + W, NULL));
    assert_true(is_gate(entry, WINDOW + 1));
    assert_int_equal(580, all_on(&s, entry, 2, 1000, UNIT_NOW_MS + W)); /* 400 weigh whole */
    assert_int_equal(qp_cell_make(WINDOW, 400) | QP_CELL_SEALED, entry->cell[WINDOW & 1]);
    for (uint32_t cpu = 0; cpu < CPUS; cpu++)
        assert_true(qp_cell_is_sealed(*stripe_of(&s, entry, cpu, WINDOW)));
    assert_int_equal(200, all_on(&s, entry, 3, 1000, UNIT_NOW_MS + W + W / 2));
    assert_int_equal(0, take_on(&s, entry, 0, 1, 1000, UNIT_NOW_MS + 5 * W, NULL)); /* windows that nobody used lie between */
    assert_int_equal(1, total(&s, entry, WINDOW + 5));
    assert_int_equal(0, total(&s, entry, WINDOW + 4));
    unit_close(&s);
}

/* Whoever asks late in a window may have more than who asked early, and a clock that is behind must not: both take from one window. */
static void test_callers_behind_go_by_their_own_time(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_entry *entry = promoted(&s, QP_ALGORITHM_SLIDING, 400);
    assert_int_equal(0, take_on(&s, entry, 0, 1, 1000, UNIT_NOW_MS + W, NULL));
    for (uint32_t i = 0; i < 799; i++)
        assert_int_equal(0, take_on(&s, entry, 1, 1, 1000, UNIT_NOW_MS + W + W / 2, NULL));
    assert_int_equal(1, take_on(&s, entry, 0, 1, 1000, UNIT_NOW_MS + W, NULL));
    assert_int_equal(1, take_on(&s, entry, 2, 1, 1000, UNIT_NOW_MS + W + W / 2, NULL));
    unit_close(&s);
}

/* Killed after each step: the next one goes on from there, with a unit that comes in time or in the next window. */
static void test_a_fold_that_was_cut_short_is_gone_on_with(void **state)
{
    (void)state;
    for (uint32_t sealed = 0; sealed <= CPUS; sealed++)
        for (uint64_t later_ms = 0; later_ms <= 2 * W; later_ms += W) {
            struct unit_segment s;
            struct qp_verdict verdict;
            struct qp_entry *entry = promoted(&s, QP_ALGORITHM_SLIDING, 1);
            for (uint32_t i = 0; i < 40; i++)
                assert_int_equal(0, take_on(&s, entry, i, 1, 1000, UNIT_NOW_MS, NULL));
            for (uint32_t cpu = 0; cpu < sealed; cpu++)
                *stripe_of(&s, entry, cpu, WINDOW) |= QP_CELL_SEALED;
            assert_int_equal(41, total(&s, entry, WINDOW));
            assert_int_equal(0, take_on(&s, entry, 0, 1, 1000, UNIT_NOW_MS + later_ms, &verdict));
            assert_int_equal((WINDOW + later_ms / W) * W << 16, verdict.epoch);
            if (later_ms < 2 * W)
                assert_int_equal(later_ms ? 41 : 42, total(&s, entry, WINDOW));
            assert_int_equal(1000 - (later_ms < 2 * W ? 42 : 1), all_on(&s, entry, 2, 1000, UNIT_NOW_MS + later_ms));
            unit_quiet(&s);
            unit_close(&s);
        }
}

/* By who looked before it was frozen and folded, and nothing was taken in between. */
static void test_a_gate_of_an_old_look_holds_nothing_twice(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_entry *entry = promoted(&s, QP_ALGORITHM_FIXED, 7);
    uint32_t set;
    assert_true(qp_stripe_set(&s.view, entry->traits, &set));
    qp_stripe_set_at(&s.view, set)->dealt[WINDOW & 1] = qp_cell_make(WINDOW, 160);
    for (uint32_t cpu = 0; cpu < CPUS; cpu++)
        *stripe_of(&s, entry, cpu, WINDOW) = qp_cell_make(WINDOW, 0) | QP_CELL_SEALED;
    entry->cell[WINDOW & 1] = qp_gate_make(WINDOW, 7);
    assert_int_equal(153, all_on(&s, entry, 1, 160, UNIT_NOW_MS));
    assert_int_equal(qp_cell_make(WINDOW, 160), entry->cell[WINDOW & 1]);
    unit_close(&s);
}

static void reset(struct unit_segment *s, struct qp_entry *entry, int64_t expected)
{
    int64_t ended;
    unit_enter(&s->worker);
    assert_int_equal(0, qp_shard_reset(&s->worker, entry, &ended));
    unit_exit(&s->worker);
    assert_int_equal(expected, ended);
}

static void test_refunds_and_resets_count_over_all_stripes(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_verdict verdict;
    struct qp_entry *entry = promoted(&s, QP_ALGORITHM_FIXED, 10);
    assert_int_equal(0, take_on(&s, entry, 1, 5, 200, UNIT_NOW_MS, &verdict));
    assert_int_equal(185, all_on(&s, entry, 2, 200, UNIT_NOW_MS));
    unit_enter(&s.worker);
    assert_int_equal(-EINVAL, qp_limit_refund(&s.view, entry, 201, verdict.epoch, UNIT_NOW_MS, 0));
    assert_int_equal(0, qp_limit_refund(&s.view, entry, 30, verdict.epoch, UNIT_NOW_MS, 0));
    unit_exit(&s.worker);
    assert_int_equal(30, all_on(&s, entry, 0, 200, UNIT_NOW_MS));
    reset(&s, entry, 200);
    assert_int_equal(200, all_on(&s, entry, 3, 200, UNIT_NOW_MS));
    unit_enter(&s.worker);
    assert_int_equal(1, qp_limit_refund(&s.view, entry, 1, verdict.epoch, UNIT_NOW_MS, 0)); /* of before the reset */
    unit_exit(&s.worker);
    unit_close(&s);
}

/* What a taker has seen who loaded the reference before any reset, and the gate just now. */
static struct qp_look late_look(const struct qp_entry *entry, uint32_t set)
{
    unsigned parity = WINDOW & 1;
    struct qp_look look = {.window = WINDOW, .parity = parity, .epoch = WINDOW * W << 16, .open = true, .ready = true, .striped = true, .set = set};
    look.gate[parity] = entry->cell[parity];
    look.cell[parity] = qp_gate_cell(entry->cell[parity]);
    return look;
}

/* Else they could not be given back; or others' units would be. */
static void test_units_are_of_the_epoch_that_counts_them(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_verdict verdict;
    uint32_t set;
    struct qp_entry *entry = promoted(&s, QP_ALGORITHM_FIXED, 10);
    struct qp_ask ask = {.n = 5, .limit = 1000, .now_ms = UNIT_NOW_MS};
    assert_true(qp_stripe_set(&s.view, entry->traits, &set));
    reset(&s, entry, 10); /* before there is a gate: what stripes hold then is of the new epoch */
    assert_int_equal(0, take_on(&s, entry, 1, 7, 1000, UNIT_NOW_MS, NULL));
    assert_true(is_gate(entry, WINDOW));
    struct qp_look look = late_look(entry, set);
    unit_enter(&s.worker);
    assert_int_equal(0, qp_striped_take(&s.view, entry, W, &ask, &look, &verdict));
    assert_int_equal((WINDOW * W << 16) + 1, verdict.epoch);
    assert_int_equal(0, qp_limit_refund(&s.view, entry, 5, verdict.epoch, UNIT_NOW_MS, 0));
    unit_exit(&s.worker);
    look = late_look(entry, set);
    reset(&s, entry, 7); /* folds: who has seen the gate takes nothing any more */
    assert_int_equal(qp_cell_make(WINDOW, 22), entry->cell[WINDOW & 1]);
    unit_enter(&s.worker);
    assert_int_equal(QP_STRIPED_AGAIN, qp_striped_take(&s.view, entry, W, &ask, &look, &verdict));
    unit_exit(&s.worker);
    assert_int_equal(1000, all_on(&s, entry, 3, 1000, UNIT_NOW_MS));
    unit_close(&s);
}

static void test_what_is_added_beyond_the_limit_is_nobodys_room(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_verdict verdict;
    struct qp_entry *entry = promoted(&s, QP_ALGORITHM_FIXED, 1);
    assert_int_equal(199, all_on(&s, entry, 2, 200, UNIT_NOW_MS));
    struct qp_ask add = {.n = 50, .limit = 200, .now_ms = UNIT_NOW_MS, .force = true, .cpu = 1};
    assert_int_equal(0, unit_take(&s.worker, entry, &add, &verdict));
    assert_int_equal(0, verdict.remaining);
    assert_int_equal(250, total(&s, entry, WINDOW));
    unit_enter(&s.worker);
    assert_int_equal(0, qp_limit_refund(&s.view, entry, 50, verdict.epoch, UNIT_NOW_MS, 0));
    unit_exit(&s.worker);
    assert_int_equal(0, all_on(&s, entry, 0, 200, UNIT_NOW_MS));
    unit_enter(&s.worker);
    assert_int_equal(0, qp_limit_refund(&s.view, entry, 2, verdict.epoch, UNIT_NOW_MS, 0));
    unit_exit(&s.worker);
    assert_int_equal(2, all_on(&s, entry, 0, 200, UNIT_NOW_MS));
    unit_close(&s);
}

static void test_the_short_way_takes_from_its_own_stripe_only(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_verdict verdict;
    const struct qp_row row = {.kind = QP_KIND_LIMIT, .algorithm = QP_ALGORITHM_FIXED, .window_ms = W, .limit = 400};
    struct qp_entry *entry = promoted(&s, QP_ALGORITHM_FIXED, 3);
    assert_false(qp_striped_take_fast(&s.view, entry, &row, 1, UNIT_NOW_MS, 1, &verdict)); /* a cell still */
    assert_int_equal(0, take_on(&s, entry, 0, 1, 400, UNIT_NOW_MS, NULL));
    assert_false(qp_striped_take_fast(&s.view, entry, &row, 1, UNIT_NOW_MS, 1, &verdict)); /* a stripe of another window */
    assert_int_equal(0, take_on(&s, entry, 1, 1, 400, UNIT_NOW_MS, NULL));
    uint64_t count = 0;
    while (qp_striped_take_fast(&s.view, entry, &row, 1, UNIT_NOW_MS, 1, &verdict))
        count++;
    assert_int_equal(99 - 1, count); /* of (397 + 3 - 1) / 4 */
    struct qp_row other = row;
    other.limit = 4000;
    assert_false(qp_striped_take_fast(&s.view, entry, &other, 1, UNIT_NOW_MS, 1, &verdict)); /* dealt by another limit */
    assert_int_equal(0, verdict.remaining);
    assert_int_equal(WINDOW * W << 16, verdict.epoch);
    assert_false(qp_striped_take_fast(&s.view, entry, &row, 1, UNIT_NOW_MS + W, 1, &verdict));
    assert_int_equal(400 - 3 - 1 - 99, all_on(&s, entry, 1, 400, UNIT_NOW_MS));
    unit_close(&s);
}

/* A clock that had jumped, and a key unused until its windows' numbers come round. */
static void test_what_stripes_hold_of_another_time_is_forgotten(void **state)
{
    (void)state;
    const uint64_t later_ms[] = {(UINT64_C(1) << 24) * W, (UINT64_C(1) << 23) * W, 3 * W};
    for (int i = 0; i < 3; i++)
        for (int back = 0; back < 2; back++) {
            struct unit_segment s;
            struct qp_entry *entry = promoted(&s, QP_ALGORITHM_SLIDING, 0);
            uint64_t first_ms = UNIT_NOW_MS + (back ? later_ms[i] + 100000 * W : 0), then_ms = UNIT_NOW_MS + (back ? 0 : later_ms[i]);
            for (uint32_t cpu = 0; cpu < CPUS; cpu++)
                assert_int_equal(0, take_on(&s, entry, cpu, 1, 1000, first_ms, NULL));
            struct qp_ask ask = {.n = 1, .limit = 1000, .now_ms = then_ms, .fresh = true};
            assert_int_equal(0, unit_take(&s.worker, entry, &ask, NULL));
            assert_int_equal(999, all_on(&s, entry, 2, 1000, then_ms));
            unit_close(&s);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_unit_is_had_once_whoever_asks),
        cmocka_unit_test(test_several_units_need_not_be_left_on_one_stripe),
        cmocka_unit_test(test_takers_on_all_cpus_have_the_limit_between_them),
        cmocka_unit_test(test_a_limit_that_is_changed_counts_at_once),
        cmocka_unit_test(test_shares_by_one_limit_are_not_shared_by_others),
        cmocka_unit_test(test_news_of_others_count_at_once),
        cmocka_unit_test(test_a_sliding_window_weighs_all_stripes_of_the_one_before),
        cmocka_unit_test(test_callers_behind_go_by_their_own_time),
        cmocka_unit_test(test_a_fold_that_was_cut_short_is_gone_on_with),
        cmocka_unit_test(test_a_gate_of_an_old_look_holds_nothing_twice),
        cmocka_unit_test(test_refunds_and_resets_count_over_all_stripes),
        cmocka_unit_test(test_units_are_of_the_epoch_that_counts_them),
        cmocka_unit_test(test_what_is_added_beyond_the_limit_is_nobodys_room),
        cmocka_unit_test(test_the_short_way_takes_from_its_own_stripe_only),
        cmocka_unit_test(test_what_stripes_hold_of_another_time_is_forgotten),
    };
    return cmocka_run_group_tests_name("limits over stripes", tests, NULL, NULL);
}
