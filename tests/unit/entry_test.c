/* SPDX-License-Identifier: MIT */
/* entry_test.c: the life of an entry: removal step by step, what brings it back, and what a dead process left. */
#include "unit.h"

#include <stdlib.h>

static enum qp_word_state state_of(const struct qp_entry *entry)
{
    return qp_state_of(entry->state);
}

static void delete_it(struct qp_worker *worker, struct qp_entry *entry)
{
    int64_t ended = 0;
    unit_enter(worker);
    assert_int_equal(0, qp_shard_delete(worker, entry, &ended));
    unit_exit(worker);
}

static bool advance(struct qp_worker *worker, struct qp_entry *entry)
{
    unit_enter(worker);
    bool stepped = qp_entry_advance(worker, entry);
    unit_exit(worker);
    return stepped;
}

static void grace_period(struct unit_segment *s)
{
    qp_grace_poll(&s->view);
    qp_grace_poll(&s->view);
}

/* ---- birth ---------------------------------------------------------------------------------------------------------- */

static int try_create(struct qp_worker *worker, const struct qp_key *key, unsigned kind, struct qp_entry **entry)
{
    struct qp_birth birth = unit_birth(qp_traits_make(kind, 0, 0));
    birth.register_value = 77;
    unit_enter(worker);
    int made = qp_entry_create(worker, key, &birth, entry);
    unit_exit(worker);
    return made;
}

static void test_a_new_entry_and_its_blocks_are_live(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_entry *entry;
    char bytes[200] = "long";
    unit_open(&s, 100, 4);
    struct qp_key key = qp_key_make(&s.view, bytes, sizeof bytes);
    assert_int_equal(1, try_create(&s.worker, &key, QP_KIND_REGISTER, &entry));
    assert_int_equal(QP_STATE_LIVE, state_of(entry));
    const uint32_t children[] = {entry->key_block, qp_ref_block(entry->shard)};
    for (int i = 0; i < 2; i++) {
        uint64_t word = *qp_block_state(&s.view, children[i]);
        assert_int_equal(QP_STATE_LIVE, qp_state_of(word));
        assert_int_equal(qp_entry_index(&s.view, entry), qp_state_argument(word));
    }
    unit_quiet(&s);
    unit_close(&s);
}

static void test_a_full_segment_refuses_and_keeps_nothing_claimed(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_entry *entry;
    unit_open(&s, 3, 4);
    unit_counter(&s.worker, "a", 1);
    unit_counter(&s.worker, "b", 1);
    unit_counter(&s.worker, "c", 1);
    struct qp_key key = unit_key(&s.view, "d");
    assert_int_equal(-QP_EFULL, try_create(&s.worker, &key, QP_KIND_COUNTER, &entry));
    unit_quiet(&s);
    unit_close(&s);
}

/* Blocks can run out before entries do: the second block of a long-named register is the one that is missing. */
static void test_blocks_running_out_gives_the_entry_and_the_first_block_back(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_entry *entry;
    uint32_t block, last = 0;
    char bytes[100] = "long";
    unit_open(&s, 3, 4);
    while (qp_block_alloc(&s.worker, QP_BLOCK_SHARD, 1, 1, &block))
        last = block;
    struct qp_key key = qp_key_make(&s.view, bytes, sizeof bytes);
    assert_int_equal(-QP_EFULL, try_create(&s.worker, &key, QP_KIND_REGISTER, &entry));
    qp_block_drop(&s.worker, last);
    assert_int_equal(-QP_EFULL, try_create(&s.worker, &key, QP_KIND_REGISTER, &entry));
    assert_int_equal(QP_STATE_FREE, qp_state_of(*qp_block_state(&s.view, last)));
    for (uint32_t i = 1; i < s.view.entry_count; i++)
        assert_int_equal(QP_STATE_FREE, qp_state_of(s.view.entries[i].state));
    free(s.memory);
}

static void test_who_comes_second_keeps_nothing_claimed(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_entry *first, *second;
    char bytes[100] = "long";
    unit_open(&s, 10, 4);
    struct qp_key key = qp_key_make(&s.view, bytes, sizeof bytes);
    assert_int_equal(1, try_create(&s.worker, &key, QP_KIND_REGISTER, &first));
    assert_int_equal(0, try_create(&s.worker, &key, QP_KIND_REGISTER, &second));
    assert_ptr_equal(first, second);
    unit_quiet(&s);
    unit_close(&s);
}

/* ---- removal -------------------------------------------------------------------------------------------------------- */

static void test_a_deleted_entry_leaves_step_by_step(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    struct qp_key key = unit_key(&s.view, "a");
    assert_false(advance(&s.worker, entry)); /* alive: no step is due */
    delete_it(&s.worker, entry);
    assert_true(advance(&s.worker, entry));
    assert_int_equal(QP_STATE_CLOSING, state_of(entry));
    assert_int_equal(0, qp_state_argument(entry->state));
    assert_true(advance(&s.worker, entry));
    assert_int_equal(QP_STATE_CLOSING, state_of(entry));
    assert_int_not_equal(0, qp_state_argument(entry->state));
    assert_false(advance(&s.worker, entry)); /* not before a grace period */
    grace_period(&s);
    assert_true(advance(&s.worker, entry));
    assert_int_equal(QP_STATE_DEAD, state_of(entry));
    assert_non_null(unit_find(&s.worker, &key));
    assert_true(advance(&s.worker, entry));
    assert_int_equal(QP_STATE_RETIRED, state_of(entry));
    assert_int_equal(0, qp_state_argument(entry->state)); /* unstamped: another may be about to unlink it by its number */
    assert_null(unit_find(&s.worker, &key));
    grace_period(&s);
    assert_true(advance(&s.worker, entry));
    assert_int_equal(QP_STATE_RETIRED, state_of(entry));
    assert_int_not_equal(0, qp_state_argument(entry->state));
    assert_false(advance(&s.worker, entry));
    grace_period(&s);
    assert_true(advance(&s.worker, entry));
    assert_int_equal(QP_STATE_FREE, state_of(entry));
    unit_quiet(&s);
    unit_close(&s);
}

static void test_an_adder_that_meets_closing_puts_live_back(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    delete_it(&s.worker, entry);
    for (int steps = 1; steps <= 2; steps++) { /* unstamped, and stamped */
        for (int i = 0; i < steps; i++)
            assert_true(advance(&s.worker, entry));
        assert_int_equal(QP_STATE_CLOSING, state_of(entry));
        uint64_t closing = entry->state;
        unit_enter(&s.worker);
        assert_true(qp_entry_revive(&s.view, entry));
        unit_exit(&s.worker);
        assert_int_equal(QP_STATE_LIVE, state_of(entry));
        assert_int_not_equal(qp_state_turn(closing), qp_state_turn(entry->state));
    }
    entry->cell[0]++;
    grace_period(&s);
    assert_false(advance(&s.worker, entry)); /* it counts again: nobody wants it away */
    unit_close(&s);
}

/* An adder that saw LIVE just before CLOSING was set adds without looking again: the last look at the cell must find it. */
static void test_an_add_that_came_just_before_closing_saves_the_entry(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    struct qp_worker adder = unit_worker(&s, 1);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    delete_it(&s.worker, entry);
    unit_enter(&adder);
    assert_true(qp_entry_revive(&s.view, entry)); /* sees LIVE */
    advance(&s.worker, entry);
    advance(&s.worker, entry);
    for (int i = 0; i < 10; i++) {
        grace_period(&s);
        assert_false(advance(&s.worker, entry)); /* the adder's section holds it up */
    }
    qp_cell_add_plain(&entry->cell[0], 1);
    unit_exit(&adder);
    grace_period(&s);
    assert_true(advance(&s.worker, entry));
    assert_int_equal(QP_STATE_LIVE, state_of(entry));
    struct qp_reading reading;
    assert_int_equal(0, qp_shard_read(&s.view, entry, UNIT_NOW_MS, &reading));
    assert_false(reading.deleted);
    assert_int_equal(1, reading.own);
    unit_close(&s);
}

static void test_nobody_revives_what_is_dead(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    unit_enter(&s.worker);
    qp_entry_end(&s.view, entry);
    assert_int_equal(QP_STATE_RETIRED, state_of(entry));
    assert_false(qp_entry_revive(&s.view, entry));
    unit_exit(&s.worker);
    unit_settle(&s);
    assert_int_equal(QP_STATE_FREE, state_of(entry));
    assert_false(qp_entry_revive(&s.view, entry));
    unit_quiet(&s);
    unit_close(&s);
}

static void test_a_reader_keeps_a_retired_entry_from_being_emptied(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    struct qp_worker reader = unit_worker(&s, 1);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    unit_enter(&reader);
    unit_enter(&s.worker);
    qp_entry_end(&s.view, entry);
    unit_exit(&s.worker);
    unit_settle(&s);
    assert_int_equal(QP_STATE_RETIRED, state_of(entry));
    assert_int_equal(5, entry->cell[0]);
    unit_exit(&reader);
    unit_settle(&s);
    assert_int_equal(QP_STATE_FREE, state_of(entry));
    unit_close(&s);
}

static void test_an_ended_entry_takes_its_blocks_along(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_entry *entry;
    char bytes[100] = "long";
    unit_open(&s, 10, 4);
    struct qp_key key = qp_key_make(&s.view, bytes, sizeof bytes);
    assert_int_equal(1, try_create(&s.worker, &key, QP_KIND_REGISTER, &entry));
    unit_enter(&s.worker);
    qp_entry_end(&s.view, entry);
    unit_exit(&s.worker);
    unit_settle(&s);
    for (unsigned c = QP_CLASS_BLOCK_128; c < QP_CLASS_COUNT; c++)
        for (uint32_t i = 0; i < s.view.class_of[c].count; i++)
            assert_int_equal(QP_STATE_FREE, qp_state_of(*qp_state_at(&s.view, c, i)));
    unit_quiet(&s);
    unit_close(&s);
}

/* ---- what a dead process left ---------------------------------------------------------------------------------------- */

/* The state of an entry whose inserter was cut short after publishing it. */
static void unsay_live(struct qp_entry *entry, const struct qp_worker *inserter)
{
    entry->state = qp_state_next(entry->state, QP_STATE_CLAIMED, inserter->owner);
}

static void test_an_entry_published_by_a_dead_process_is_recovered_as_live(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    struct qp_worker dead = unit_worker(&s, 1);
    struct qp_entry *entry = unit_counter(&dead, "a", 5);
    unsay_live(entry, &dead);
    qp_recover_record(&s.worker, 1);
    assert_int_equal(QP_STATE_LIVE, state_of(entry));
    assert_int_equal(5, entry->cell[0]);
    assert_int_equal(1, s.view.header->stat_recovered_blocks);
    assert_int_equal(0, dead.slot->owner);
    unit_quiet(&s);
    unit_close(&s);
}

static void test_claims_of_a_dead_process_come_back(void **state)
{
    (void)state;
    struct unit_segment s;
    uint32_t index, block;
    unit_open(&s, 10, 4);
    struct qp_worker dead = unit_worker(&s, 1);
    assert_true(qp_block_claim(&dead, QP_CLASS_ENTRY, &index));
    assert_true(qp_block_alloc(&dead, QP_BLOCK_KEY, index, 100, &block));
    s.view.entries[index].key_block = block;
    s.view.entries[index].key_bytes = 100;
    assert_true(qp_block_claim(&dead, QP_CLASS_TABLE, &index));
    unit_enter(&dead);
    qp_recover_record(&s.worker, 1);
    assert_int_equal(1, s.view.header->stat_recovered_sections);
    unit_settle(&s);
    unit_quiet(&s);
    unit_close(&s);
}

static void test_an_entry_found_in_the_table_is_live_whoever_published_it(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    struct qp_worker slow = unit_worker(&s, 1);
    struct qp_entry *entry = unit_counter(&slow, "a", 5);
    unsay_live(entry, &slow);
    unit_enter(&s.worker);
    assert_true(qp_entry_revive(&s.view, entry));
    unit_exit(&s.worker);
    assert_int_equal(QP_STATE_LIVE, state_of(entry));
    unit_close(&s);
}

/* Its inserter may be stopped for as long as it likes: the key's next life does not wait for it. */
static void test_an_entry_can_be_ended_before_its_inserter_has_said_live(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    struct qp_worker slow = unit_worker(&s, 1);
    struct qp_entry *entry = unit_counter(&slow, "a", 5);
    struct qp_key key = unit_key(&s.view, "a");
    unsay_live(entry, &slow);
    unit_enter(&s.worker);
    qp_entry_end(&s.view, entry);
    unit_exit(&s.worker);
    assert_int_equal(QP_STATE_RETIRED, state_of(entry));
    assert_null(unit_find(&s.worker, &key));
    unit_settle(&s);
    unit_quiet(&s);
    unit_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_entry_and_its_blocks_are_live),
        cmocka_unit_test(test_a_full_segment_refuses_and_keeps_nothing_claimed),
        cmocka_unit_test(test_blocks_running_out_gives_the_entry_and_the_first_block_back),
        cmocka_unit_test(test_who_comes_second_keeps_nothing_claimed),
        cmocka_unit_test(test_a_deleted_entry_leaves_step_by_step),
        cmocka_unit_test(test_an_adder_that_meets_closing_puts_live_back),
        cmocka_unit_test(test_an_add_that_came_just_before_closing_saves_the_entry),
        cmocka_unit_test(test_nobody_revives_what_is_dead),
        cmocka_unit_test(test_a_reader_keeps_a_retired_entry_from_being_emptied),
        cmocka_unit_test(test_an_ended_entry_takes_its_blocks_along),
        cmocka_unit_test(test_an_entry_published_by_a_dead_process_is_recovered_as_live),
        cmocka_unit_test(test_claims_of_a_dead_process_come_back),
        cmocka_unit_test(test_an_entry_found_in_the_table_is_live_whoever_published_it),
        cmocka_unit_test(test_an_entry_can_be_ended_before_its_inserter_has_said_live),
    };
    return cmocka_run_group_tests_name("entries", tests, NULL, NULL);
}
