/* SPDX-License-Identifier: MIT */
/* flight_care_test.c: in-flight limits after a death, and scribbled ones: what recovery gives back, what is refused, what the check names. */
#include "flight_unit.h"

/* ---- the dead ------------------------------------------------------------------------------------------------------- */

static void test_the_units_of_the_dead_come_back_and_nobody_elses(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_flight_unit mine[20], theirs[20], more;
    unit_open(&s, 10, 4);
    struct qp_worker dead = unit_worker(&s, 1);
    struct qp_entry *entry = flight_entry(&s.worker, "a", 5);
    for (uint32_t i = 0; i < 20; i++) {
        assert_int_equal(0, flight_enter(&s.worker, entry, 40, &mine[i]));
        assert_int_equal(0, flight_enter(&dead, entry, 40, &theirs[i]));
    }
    assert_int_equal(0, qp_flight_release_gone(&s.view, entry)); /* all are there */
    unit_die(&s, &dead);
    assert_int_equal(1, flight_enter(&s.worker, entry, 40, &more));
    unit_enter(&s.worker);
    assert_int_equal(20, qp_flight_release(&s.view, entry, dead.owner));
    assert_int_equal(0, qp_flight_release(&s.view, entry, dead.owner));
    assert_int_equal(0, qp_flight_release_gone(&s.view, entry));
    unit_exit(&s.worker);
    assert_int_equal(20, qp_flight_count(&s.view, entry));
    for (uint32_t i = 0; i < 20; i++)
        assert_int_equal(-QP_ETICKET, flight_leave(&dead, &theirs[i]));
    flight_leave_many(&s.worker, 20, mine);
    assert_true(qp_flight_is_empty(&s.view, entry));
    qp_slot_release(dead.slot);
    unit_close(&s);
}

static void test_a_record_with_another_tenant_makes_its_last_one_gone(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_flight_unit old, new;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = flight_entry(&s.worker, "a", 5);
    struct qp_worker dead = unit_worker(&s, 1);
    assert_int_equal(0, flight_enter(&dead, entry, 5, &old));
    qp_slot_release(dead.slot);
    struct qp_worker next = unit_worker(&s, 1);
    assert_int_equal(0, flight_enter(&next, entry, 5, &new));
    unit_enter(&s.worker);
    assert_int_equal(1, qp_flight_release_gone(&s.view, entry));
    unit_exit(&s.worker);
    assert_int_equal(-QP_ETICKET, flight_leave(&next, &old));
    assert_int_equal(0, flight_leave(&next, &new));
    unit_close(&s);
}

/* Everything that recovery and sweeps make of a process that held units, and died while it grew a chain. */
static bool first_record_is_dead(void *context, uint32_t record)
{
    (void)context;
    return record == 1;
}

static void nothing(void *context, uint32_t record)
{
    (void)context;
    (void)record;
}

static void recover_record_1(struct unit_segment *s)
{
    struct qp_liveness liveness = {first_record_is_dead, nothing, NULL};
    assert_int_equal(1, qp_recover_dead(&s->worker, &liveness));
    unit_settle(s);
    unit_quiet(s);
}

static void test_recovery_frees_units_and_keeps_what_is_linked(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_flight_unit units[UNITS_128], dead_unit;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = flight_entry(&s.worker, "a", UNITS_128);
    flight_enter_many(&s.worker, entry, UNITS_128, UNITS_128, units);
    struct qp_worker dead = unit_worker(&s, 1);
    assert_int_equal(0, flight_enter(&dead, entry, 2 * UNITS_128, &dead_unit));
    assert_int_equal(flight_first(&s, entry)->next, dead_unit.block);
    /* As if it had died right after it linked its block and claimed a unit there. */
    uint64_t *word = qp_block_state(&s.view, dead_unit.block);
    *word = qp_state_next(*word, QP_STATE_CLAIMED, dead.owner);
    recover_record_1(&s);
    assert_int_equal(QP_STATE_LIVE, qp_state_of(*word));
    assert_int_equal(UNITS_128, qp_flight_count(&s.view, entry));
    assert_int_equal(1, s.view.header->stat_recovered_units);
    flight_leave_many(&s.worker, UNITS_128, units);
    unit_close(&s);
}

static void test_recovery_frees_a_block_that_was_not_linked(void **state)
{
    (void)state;
    struct unit_segment s;
    uint32_t block;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = flight_entry(&s.worker, "a", UNITS_128);
    struct qp_worker dead = unit_worker(&s, 1);
    assert_true(qp_flight_make(&dead, qp_entry_index(&s.view, entry), UNITS_128, &block));
    recover_record_1(&s);
    assert_int_equal(QP_STATE_FREE, qp_state_of(*qp_block_state(&s.view, block)));
    unit_close(&s);
}

static void test_a_chain_that_was_dropped_half_way_goes_whole(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_flight_unit units[40];
    unit_open(&s, 10, 4);
    struct qp_entry *entry = flight_entry(&s.worker, "a", 2);
    for (uint32_t i = 0; i < 40; i++)
        assert_int_equal(0, flight_enter(&s.worker, entry, i + 1, &units[i]));
    assert_int_not_equal(0, flight_at(&s, flight_first(&s, entry)->next)->next);
    flight_leave_many(&s.worker, 40, units);
    /* One who died while it emptied the entry had freed the head. */
    struct qp_worker dead = unit_worker(&s, 1);
    struct qp_entry before = *entry;
    flight_end(&s, entry);
    assert_int_equal(0, flight_blocks(&s));
    uint32_t index, block = qp_ref_block(before.shard);
    assert_true(qp_block_claim(&dead, QP_CLASS_ENTRY, &index));
    assert_int_equal(index, qp_entry_index(&s.view, entry));
    entry->traits = before.traits;
    entry->shard = before.shard;
    for (block = flight_at(&s, block)->next; block; block = flight_at(&s, block)->next) {
        uint64_t *word = qp_block_state(&s.view, block);
        *word = qp_state_next(*word, QP_STATE_LIVE, index);
    }
    assert_int_equal(2, flight_blocks(&s));
    recover_record_1(&s);
    assert_int_equal(QP_STATE_FREE, qp_state_of(entry->state));
    assert_int_equal(0, flight_blocks(&s));
    unit_close(&s);
}

/* ---- damage --------------------------------------------------------------------------------------------------------- */

/* Nothing but refusals, in bounded time; and the check names it. */
static void assert_broken(struct unit_segment *s, struct qp_entry *entry, const char *finding_part)
{
    struct qp_flight_unit unit;
    char finding[256] = "";
    assert_int_equal(-QP_EDAMAGED, flight_enter(&s->worker, entry, QP_FLIGHT_UNITS_MAX, &unit));
    assert_false(qp_flight_is_empty(&s->view, entry));
    assert_true(qp_flight_count(&s->view, entry) <= QP_FLIGHT_UNITS_MAX);
    assert_false(qp_flight_refers(&s->view, entry, UINT32_MAX));
    assert_int_equal(-QP_EDAMAGED, qp_check_segment(&s->view, NULL, false, finding, sizeof finding));
    assert_non_null(strstr(finding, finding_part));
}

static void test_broken_chains_are_refused(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_flight_unit units[20];
    unit_open(&s, 10, 4);
    struct qp_entry *entry = flight_entry(&s.worker, "a", 2), *other = flight_entry(&s.worker, "b", 2);
    flight_enter_many(&s.worker, entry, 20, 20, units);
    struct qp_flight *head = flight_first(&s, entry);
    const uint32_t second = head->next;
    const uint32_t lies[] = {qp_ref_block(entry->shard),
                             qp_ref_block(other->shard),
                             UINT32_MAX,
                             1,
                             qp_block_make(QP_CLASS_TABLE, 0),
                             qp_block_make(QP_CLASS_BLOCK_128, 100000)};
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        head->next = lies[i];
        assert_broken(&s, entry, "the chain of its units is broken");
        assert_int_equal(-QP_ETICKET,
                         flight_leave(&s.worker, &(struct qp_flight_unit){units[0].entry, 77, 0, units[0].word}));
    }
    head->next = second;
    flight_at(&s, second)->first += 1;
    assert_broken(&s, entry, "the chain of its units is broken");
    flight_at(&s, second)->first -= 1;
    flight_at(&s, second)->next = second; /* a loop: its numbers give it away */
    assert_broken(&s, entry, "the chain of its units is broken");
    flight_at(&s, second)->next = 0;
    head->block.kind = QP_BLOCK_SHARD;
    assert_broken(&s, entry, "the chain of its units is broken");
    head->block.kind = QP_BLOCK_FLIGHT;
    uint64_t ref = entry->shard;
    entry->shard = 0;
    assert_broken(&s, entry, "the chain of its units is broken");
    entry->shard = ref;
    flight_leave_many(&s.worker, 20, units);
    unit_quiet(&s);
    unit_close(&s);
}

static void assert_finding(struct unit_segment *s, bool quiet, const char *part)
{
    char finding[256] = "";
    assert_int_equal(-QP_EDAMAGED, qp_check_segment(&s->view, s->worker.slot, quiet, finding, sizeof finding));
    if (!strstr(finding, part))
        fail_msg("found \"%s\", not \"%s\"", finding, part);
}

static void test_the_check_names_units_that_cannot_be(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_flight_unit unit;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = flight_entry(&s.worker, "a", 5);
    assert_int_equal(0, flight_enter(&s.worker, entry, 5, &unit));
    struct qp_flight *flight = flight_first(&s, entry);
    uint64_t *word = &flight->unit[unit.unit], held = *word, high = flight->high;
    unit_quiet(&s);
    *word = held & ~QP_UNIT_HELD;
    assert_finding(&s, false, "is free, but names an owner");
    *word = held | QP_ARGUMENT_MASK;
    assert_finding(&s, false, "is held by nobody who could be");
    *word = (held & ~QP_ARGUMENT_MASK) | qp_owner_make(3, 7);
    assert_finding(&s, true, "is held by a process that is not there");
    *word = held;
    flight->high = unit.unit;
    assert_finding(&s, false, "is held where nobody looks");
    flight->high = UNITS_128 + 1;
    assert_finding(&s, false, "more units used than a block has");
    flight->high = UINT64_MAX;
    assert_int_equal(1, qp_flight_count(&s.view, entry));
    flight->high = high;
    flight->block.bytes -= 8;
    assert_finding(&s, false, "is not of its own size");
    flight->block.bytes += 8;
    uint64_t *block_state = qp_block_state(&s.view, unit.block), live = *block_state;
    *block_state = qp_state_next(live, QP_STATE_FREE, 0);
    assert_finding(&s, false, "a block of its units is not in use");
    *block_state = live;
    assert_int_equal(0, flight_leave(&s.worker, &unit));
    unit_quiet(&s);
    unit_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_units_of_the_dead_come_back_and_nobody_elses),
        cmocka_unit_test(test_a_record_with_another_tenant_makes_its_last_one_gone),
        cmocka_unit_test(test_recovery_frees_units_and_keeps_what_is_linked),
        cmocka_unit_test(test_recovery_frees_a_block_that_was_not_linked),
        cmocka_unit_test(test_a_chain_that_was_dropped_half_way_goes_whole),
        cmocka_unit_test(test_broken_chains_are_refused),
        cmocka_unit_test(test_the_check_names_units_that_cannot_be),
    };
    return cmocka_run_group_tests_name("in flight, recovery and damage", tests, NULL, NULL);
}
