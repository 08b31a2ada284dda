/* SPDX-License-Identifier: MIT */
/* flight_test.c: the units of in-flight limits: entering, leaving, limits that move, tickets that lie. */
#include "flight_unit.h"

#include <stdlib.h>

/* ---- entering and leaving ------------------------------------------------------------------------------------------- */

static void test_as_many_come_in_as_the_limit_says(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_flight_unit units[UNITS_128], more;
    const uint64_t limits[] = {1, 2, 5, UNITS_128};
    unit_open(&s, 10, 4);
    struct qp_entry *entry = flight_entry(&s.worker, "a", UNITS_128);
    for (size_t k = 0; k < sizeof limits / sizeof limits[0]; k++) {
        uint32_t limit = (uint32_t)limits[k];
        flight_enter_many(&s.worker, entry, limit, limit, units);
        assert_int_equal(limit, qp_flight_count(&s.view, entry));
        assert_int_equal(1, flight_enter(&s.worker, entry, limit, &more));
        assert_int_equal(limit, qp_flight_count(&s.view, entry));
        /* Whichever leaves, one more comes in, and only one. */
        assert_int_equal(0, flight_leave(&s.worker, &units[limit / 2]));
        assert_int_equal(0, flight_enter(&s.worker, entry, limit, &units[limit / 2]));
        assert_int_equal(1, flight_enter(&s.worker, entry, limit, &more));
        flight_leave_many(&s.worker, limit, units);
        assert_true(qp_flight_is_empty(&s.view, entry));
    }
    assert_int_equal(1, flight_enter(&s.worker, entry, 0, &more));
    assert_int_equal(UNIT_NOW_MS / 1000, entry->used_at_s);
    s.worker.now_ms = 0; /* a segment whose callers have not told a time yet */
    assert_int_equal(0, flight_enter(&s.worker, entry, 1, &more));
    assert_int_not_equal(0, entry->used_at_s);
    assert_int_equal(0, flight_leave(&s.worker, &more));
    unit_quiet(&s);
    unit_close(&s);
}

static void test_no_two_hold_the_same_unit_and_each_finds_its_own_again(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_flight_unit units[100], again;
    struct qp_worker workers[8];
    bool held[100] = {false};
    unit_open(&s, 10, 10);
    struct qp_entry *entry = flight_entry(&s.worker, "a", 100);
    for (uint32_t w = 0; w < 8; w++)
        workers[w] = unit_worker(&s, w + 1);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(0, flight_enter(&workers[i % 8], entry, 100, &units[i]));
        assert_true(units[i].unit < 100);
        assert_false(held[units[i].unit]);
        held[units[i].unit] = true;
    }
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(0, flight_leave(&workers[i % 8], &units[i]));
    /* The first of each are apart, so that they do not write the same line; and what one left it finds again, in its cache. */
    for (uint32_t i = 1; i < 8; i++)
        assert_true(abs((int)units[i].unit - (int)units[i - 1].unit) >= 8);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(0, flight_enter(&workers[i], entry, 100, &again));
        assert_int_equal(units[i].unit, again.unit);
        assert_int_equal(0, flight_leave(&workers[i], &again));
    }
    unit_close(&s);
}

/* ---- limits that move ----------------------------------------------------------------------------------------------- */

static void test_after_a_limit_was_lowered_nobody_comes_in_until_there_is_room(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_flight_unit units[10], more;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = flight_entry(&s.worker, "a", 10);
    for (uint32_t first = 0; first < 10; first++) { /* whichever leave first */
        flight_enter_many(&s.worker, entry, 10, 10, units);
        for (uint32_t left = 0; left < 10; left++) {
            uint32_t in = 10 - left;
            assert_int_equal(in < 4 ? 0 : 1, flight_enter(&s.worker, entry, 4, &more));
            if (in < 4)
                assert_int_equal(0, flight_leave(&s.worker, &more));
            assert_int_equal(in, qp_flight_count(&s.view, entry)); /* who was denied holds nothing */
            assert_int_equal(0, flight_leave(&s.worker, &units[(first + left) % 10]));
        }
    }
    unit_quiet(&s);
    unit_close(&s);
}

static void test_one_who_has_not_heard_of_the_lower_limit_is_let_in_by_the_old_one(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_flight_unit units[4], more;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = flight_entry(&s.worker, "a", 4);
    flight_enter_many(&s.worker, entry, 2, 2, units);
    assert_int_equal(1, flight_enter(&s.worker, entry, 2, &more));
    flight_enter_many(&s.worker, entry, 4, 2, units + 2);
    assert_int_equal(1, flight_enter(&s.worker, entry, 4, &more));
    flight_leave_many(&s.worker, 2, units);
    /* Two are in still, on units that the lower limit does not have. */
    assert_int_equal(1, flight_enter(&s.worker, entry, 2, &more));
    flight_leave_many(&s.worker, 2, units + 2);
    unit_close(&s);
}

static void test_a_raised_limit_makes_room_and_the_room_goes_with_the_key(void **state)
{
    (void)state;
    struct unit_segment s;
    static struct qp_flight_unit units[3000];
    struct qp_flight_unit more;
    uint32_t in = 0, chain = 0, next;
    unit_open(&s, 500, 4);
    struct qp_entry *entry = flight_entry(&s.worker, "a", 3);
    assert_int_equal(1, flight_blocks(&s));
    for (uint32_t limit = 3; limit <= 3000; limit = limit + limit / 3 + 1) {
        flight_enter_many(&s.worker, entry, limit, limit - in, units + in);
        in = limit;
        assert_int_equal(1, flight_enter(&s.worker, entry, limit, &more));
        assert_int_equal(in, qp_flight_count(&s.view, entry));
    }
    for (uint32_t block = qp_ref_block(entry->shard); block; block = next, chain++) {
        next = flight_at(&s, block)->next;
        assert_true(qp_flight_refers(&s.view, entry, block));
        assert_int_equal(QP_STATE_LIVE, qp_state_of(*qp_block_state(&s.view, block)));
    }
    assert_int_equal(chain, flight_blocks(&s));
    assert_true(chain <= 5 + 3000 / UNITS_2048); /* not one for every raise */
    assert_false(qp_flight_refers(&s.view, entry, qp_block_make(QP_CLASS_BLOCK_128, s.view.class_of[2].count - 1)));
    unit_settle(&s); /* a sweep sees that they are referred to */
    unit_quiet(&s);
    flight_leave_many(&s.worker, in, units);
    assert_true(qp_flight_is_empty(&s.view, entry));
    flight_end(&s, entry);
    assert_int_equal(0, flight_blocks(&s));
    unit_quiet(&s);
    unit_close(&s);
}

static void test_without_a_free_block_a_limit_is_what_there_is_room_for(void **state)
{
    (void)state;
    struct unit_segment s;
    static struct qp_flight_unit units[16 * 1000];
    struct qp_flight_unit more;
    uint32_t in = 0, block, taken = 0;
    int error;
    unit_open(&s, 10, 4);
    /* Nothing but 128-byte blocks, and three of them. */
    static uint32_t taken_blocks[1000];
    while (qp_block_alloc(&s.worker, QP_BLOCK_SHARD, 1, 2032, &block) ||
           qp_block_alloc(&s.worker, QP_BLOCK_SHARD, 1, 496, &block) ||
           qp_block_alloc(&s.worker, QP_BLOCK_SHARD, 1, 240, &block) ||
           (taken < s.view.class_of[2].count + 16 * 3 - 3 && qp_block_alloc(&s.worker, QP_BLOCK_SHARD, 1, 112, &block)))
        taken_blocks[taken++] = block;
    struct qp_entry *entry = flight_entry(&s.worker, "a", 60000);
    while ((error = flight_enter(&s.worker, entry, 60000, &more)) == 0)
        units[in++] = more;
    assert_int_equal(-QP_EFULL, error);
    assert_true(in >= UNITS_128 && in % UNITS_128 == 0);
    assert_int_equal(1, flight_enter(&s.worker, entry, in, &more));
    while (taken)
        qp_block_drop(&s.worker, taken_blocks[--taken]);
    flight_enter_many(&s.worker, entry, 60000, 2000, units + in);
    flight_leave_many(&s.worker, in + 2000, units);
    unit_settle(&s);
    unit_quiet(&s);
    unit_close(&s);
}

/* ---- tickets -------------------------------------------------------------------------------------------------------- */

static void test_a_ticket_is_good_once(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_flight_unit first, second;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = flight_entry(&s.worker, "a", 1);
    assert_int_equal(0, flight_enter(&s.worker, entry, 1, &first));
    assert_int_equal(0, flight_leave(&s.worker, &first));
    assert_int_equal(-QP_ETICKET, flight_leave(&s.worker, &first));
    assert_int_equal(0, flight_enter(&s.worker, entry, 1, &second)); /* the same unit, by the same process */
    assert_int_equal(-QP_ETICKET, flight_leave(&s.worker, &first));
    assert_int_equal(1, qp_flight_count(&s.view, entry));
    assert_int_equal(0, flight_leave(&s.worker, &second));
    unit_close(&s);
}

static void test_only_who_entered_leaves(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_flight_unit unit;
    unit_open(&s, 10, 4);
    struct qp_worker other = unit_worker(&s, 1), neighbour = s.worker;
    struct qp_entry *entry = flight_entry(&s.worker, "a", 2);
    assert_int_equal(0, flight_enter(&s.worker, entry, 2, &unit));
    assert_int_equal(-QP_ETICKET, flight_leave(&other, &unit));
    struct qp_flight_unit forged = unit;
    forged.word = (unit.word & ~QP_ARGUMENT_MASK) | other.owner;
    assert_int_equal(-QP_ETICKET, flight_leave(&other, &forged));
    assert_int_equal(1, qp_flight_count(&s.view, entry));
    neighbour.slot = qp_slot_claim(&s.view, s.worker.owner); /* another thread of the process may */
    assert_int_equal(0, flight_leave(&neighbour, &unit));
    unit_close(&s);
}

static void test_tickets_that_name_nothing_are_refused(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_flight_unit unit;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = flight_entry(&s.worker, "a", 100), *other = flight_entry(&s.worker, "b", 100);
    uint32_t counter = qp_entry_index(&s.view, unit_counter(&s.worker, "c", 1));
    assert_int_equal(0, flight_enter(&s.worker, entry, 100, &unit));
    const struct qp_flight_unit lies[] = {
        {0, unit.block, unit.unit, unit.word},
        {11, unit.block, unit.unit, unit.word},
        {UINT32_MAX, unit.block, unit.unit, unit.word},
        {counter, unit.block, unit.unit, unit.word},
        {5, unit.block, unit.unit, unit.word}, /* free */
        {qp_entry_index(&s.view, other), unit.block, unit.unit, unit.word},
        {unit.entry, qp_ref_block(other->shard), unit.unit, unit.word},
        {unit.entry, 0, unit.unit, unit.word},
        {unit.entry, UINT32_MAX, unit.unit, unit.word},
        {unit.entry, unit.block, unit.unit + 1, unit.word},
        {unit.entry, unit.block, UNITS_2048, unit.word},
        {unit.entry, unit.block, UINT32_MAX, unit.word},
        {unit.entry, unit.block, unit.unit, unit.word + (UINT64_C(1) << QP_UNIT_TURN_SHIFT)},
        {unit.entry, unit.block, unit.unit, unit.word & ~QP_UNIT_HELD},
        {unit.entry, unit.block, unit.unit, 0},
    };
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++)
        assert_int_equal(-QP_ETICKET, flight_leave(&s.worker, &lies[i]));
    assert_int_equal(1, qp_flight_count(&s.view, entry));
    assert_int_equal(0, qp_flight_count(&s.view, other));
    assert_int_equal(0, flight_leave(&s.worker, &unit));
    unit_close(&s);
}

static void test_a_ticket_of_an_earlier_life_of_the_key_is_refused(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_flight_unit old, new;
    unit_open(&s, 1, 4); /* one entry: the next life is in the same place */
    for (int life = 0; life < 20; life++) {
        struct qp_entry *entry = flight_entry(&s.worker, "a", 1);
        assert_int_equal(0, flight_enter(&s.worker, entry, 1, &new));
        if (life > 0) {
            assert_int_equal(old.entry, new.entry);
            assert_int_equal(-QP_ETICKET, flight_leave(&s.worker, &old));
            assert_int_equal(1, qp_flight_count(&s.view, entry));
        }
        old = new;
        flight_end(&s, entry); /* its strategy made something else of it, with somebody in */
        assert_int_equal(-QP_ETICKET, flight_leave(&s.worker, &old));
    }
    unit_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_many_come_in_as_the_limit_says),
        cmocka_unit_test(test_no_two_hold_the_same_unit_and_each_finds_its_own_again),
        cmocka_unit_test(test_after_a_limit_was_lowered_nobody_comes_in_until_there_is_room),
        cmocka_unit_test(test_one_who_has_not_heard_of_the_lower_limit_is_let_in_by_the_old_one),
        cmocka_unit_test(test_a_raised_limit_makes_room_and_the_room_goes_with_the_key),
        cmocka_unit_test(test_without_a_free_block_a_limit_is_what_there_is_room_for),
        cmocka_unit_test(test_a_ticket_is_good_once),
        cmocka_unit_test(test_only_who_entered_leaves),
        cmocka_unit_test(test_tickets_that_name_nothing_are_refused),
        cmocka_unit_test(test_a_ticket_of_an_earlier_life_of_the_key_is_refused),
    };
    return cmocka_run_group_tests_name("in flight", tests, NULL, NULL);
}
