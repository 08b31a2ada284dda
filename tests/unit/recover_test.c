/* SPDX-License-Identifier: MIT */
/* recover_test.c: cleaning up after the dead, as told by a witness: whoever lives keeps everything, and what was half done is
 * finished by the sweep. */
#include "unit.h"

/* The witness: which records' tenants are dead, and whom he has been asked to hold. */
struct witness {
    bool dead[8];
    bool held[8];
    int releases;
};

static bool seize(void *context, uint32_t record)
{
    struct witness *witness = context;
    assert_true(record < 8);
    assert_false(witness->held[record]);
    return witness->held[record] = witness->dead[record];
}

static void release(void *context, uint32_t record)
{
    struct witness *witness = context;
    assert_true(witness->held[record]);
    witness->held[record] = false;
    witness->releases++;
}

static struct qp_liveness by(struct witness *witness)
{
    return (struct qp_liveness){seize, release, witness};
}

static enum qp_word_state block_state(const struct unit_segment *s, uint32_t block)
{
    return qp_state_of(*qp_block_state(&s->view, block));
}

/* A worker that stands inside a section with a claimed block. */
static struct qp_worker busy_worker(struct unit_segment *s, uint32_t record, uint32_t *block)
{
    struct qp_worker worker = unit_worker(s, record);
    assert_true(qp_block_alloc(&worker, QP_BLOCK_SHARD, 1, 112, block));
    unit_enter(&worker);
    return worker;
}

static void test_the_dead_lose_their_claims_and_slots_and_the_living_keep_theirs(void **state)
{
    (void)state;
    struct unit_segment s;
    struct witness witness = {.dead = {[2] = true}};
    struct qp_liveness liveness = by(&witness);
    uint32_t living_block, dead_block;
    unit_open(&s, 10, 6);
    struct qp_worker living = busy_worker(&s, 1, &living_block), dead = busy_worker(&s, 2, &dead_block);
    uint64_t living_word = *qp_block_state(&s.view, living_block);
    assert_int_equal(0, s.view.header->harvest_all);
    assert_int_equal(1, qp_recover_dead(&s.worker, &liveness));
    assert_int_equal(1, witness.releases);
    assert_int_equal(1, s.view.header->harvest_all); /* it may not have marked what it changed last */
    assert_false(qp_tenancy_is_active(s.view.records[2].tenancy));
    assert_int_equal(0, dead.slot->owner);
    assert_int_equal(0, dead.slot->epoch);
    assert_int_equal(living_word, *qp_block_state(&s.view, living_block));
    assert_int_equal(QP_SLOT_IN_USE | living.owner, living.slot->owner);
    assert_int_not_equal(0, living.slot->epoch);
    assert_int_equal(1, s.view.header->stat_recovered_processes);
    assert_int_equal(1, s.view.header->stat_recovered_sections);
    assert_int_equal(1, s.view.header->stat_recovered_blocks);
    assert_int_equal(QP_STATE_RETIRED, block_state(&s, dead_block)); /* somebody may have seen it */
    assert_int_equal(0, qp_recover_dead(&s.worker, &liveness));      /* twice is once */
    unit_exit(&living);
    qp_block_drop(&living, living_block);
    unit_settle(&s);
    assert_int_equal(QP_STATE_FREE, block_state(&s, dead_block));
    unit_quiet(&s);
    unit_close(&s);
}

static void test_nobody_recovers_himself(void **state)
{
    (void)state;
    struct unit_segment s;
    struct witness witness = {.dead = {[0] = true}};
    struct qp_liveness liveness = by(&witness);
    unit_open(&s, 10, 4);
    assert_int_equal(0, qp_recover_dead(&s.worker, &liveness));
    assert_int_equal(QP_SLOT_IN_USE | s.worker.owner, s.worker.slot->owner);
    unit_close(&s);
}

static void test_slots_of_the_dead_alone_can_be_freed_by_one_who_has_none(void **state)
{
    (void)state;
    struct unit_segment s;
    struct witness witness = {.dead = {[2] = true}};
    struct qp_liveness liveness = by(&witness);
    uint32_t living_block, dead_block;
    unit_open(&s, 10, 3);
    struct qp_worker living = busy_worker(&s, 1, &living_block), dead = busy_worker(&s, 2, &dead_block);
    assert_null(qp_slot_claim(&s.view, s.worker.owner));
    qp_recover_dead_slots(&s.view, &liveness);
    assert_int_equal(QP_SLOT_IN_USE | living.owner, living.slot->owner);
    assert_int_equal(0, dead.slot->owner);
    /* The rest is still the dead one's, and is found by whoever recovers it. */
    assert_true(qp_tenancy_is_active(s.view.records[2].tenancy));
    assert_int_equal(QP_STATE_CLAIMED, block_state(&s, dead_block));
    assert_int_equal(1, qp_recover_dead(&s.worker, &liveness));
    unit_exit(&living);
    qp_block_drop(&living, living_block);
    unit_settle(&s);
    unit_quiet(&s);
    unit_close(&s);
}

static void test_the_next_tenant_of_a_record_inherits_no_claims(void **state)
{
    (void)state;
    struct unit_segment s;
    uint32_t old_block, new_block;
    unit_open(&s, 10, 6);
    struct qp_worker old = busy_worker(&s, 1, &old_block);
    qp_slot_release(old.slot);
    unit_die(&s, &old);
    struct qp_worker new = busy_worker(&s, 1, &new_block); /* the same record, a generation later */
    assert_int_not_equal(old.owner, new.owner);
    unit_settle(&s);
    assert_int_equal(QP_STATE_CLAIMED, block_state(&s, new_block));
    assert_int_not_equal(QP_STATE_CLAIMED, block_state(&s, old_block)); /* its owner is nobody any more */
    unit_exit(&new);
    qp_block_drop(&new, new_block);
    unit_settle(&s);
    unit_quiet(&s);
    unit_close(&s);
}

/* ---- half-done steps ------------------------------------------------------------------------------------------------ */

static void test_a_block_that_was_replaced_and_not_retired_is_retired_by_the_sweep(void **state)
{
    (void)state;
    struct unit_segment s;
    int64_t ended;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    unit_enter(&s.worker);
    assert_int_equal(0, qp_shard_reset(&s.worker, entry, &ended));
    unit_exit(&s.worker);
    uint32_t first = qp_ref_block(entry->shard), second;
    /* The next reset, cut short right after it published. */
    assert_true(qp_block_alloc(&s.worker, QP_BLOCK_SHARD, qp_entry_index(&s.view, entry), qp_shard_payload(0), &second));
    memcpy((char *)qp_block_at(&s.view, second) + sizeof(struct qp_block),
           (char *)qp_block_at(&s.view, first) + sizeof(struct qp_block), qp_shard_payload(0));
    entry->shard = qp_ref_next(entry->shard, second);
    qp_block_published(&s.worker, qp_block_class(second), qp_block_index(second), qp_entry_index(&s.view, entry));
    unit_settle(&s);
    assert_int_equal(QP_STATE_FREE, block_state(&s, first));
    assert_int_equal(QP_STATE_LIVE, block_state(&s, second));
    assert_int_equal(1, s.view.header->stat_completed_steps);
    unit_quiet(&s);
    unit_close(&s);
}

static void test_a_block_published_by_one_who_died_before_saying_so_is_live(void **state)
{
    (void)state;
    struct unit_segment s;
    struct witness witness = {.dead = {[1] = true}};
    struct qp_liveness liveness = by(&witness);
    int64_t ended;
    unit_open(&s, 10, 4);
    struct qp_worker dead = unit_worker(&s, 1);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    unit_enter(&dead);
    assert_int_equal(0, qp_shard_reset(&dead, entry, &ended));
    uint64_t *word = qp_block_state(&s.view, qp_ref_block(entry->shard));
    *word = qp_state_next(*word, QP_STATE_CLAIMED, dead.owner);
    assert_int_equal(1, qp_recover_dead(&s.worker, &liveness));
    assert_int_equal(QP_STATE_LIVE, qp_state_of(*word));
    assert_int_equal(qp_entry_index(&s.view, entry), qp_state_argument(*word));
    unit_settle(&s);
    unit_quiet(&s);
    unit_close(&s);
}

static void test_a_strategy_table_published_by_one_who_died_stays_in_force(void **state)
{
    (void)state;
    struct unit_segment s;
    struct witness witness = {.dead = {[1] = true}};
    struct qp_liveness liveness = by(&witness);
    struct qp_rule rule = unit_rule("a", 1000);
    unit_open(&s, 10, 4);
    struct qp_worker dead = unit_worker(&s, 1);
    unit_enter(&s.worker);
    assert_int_equal(0, qp_strategy_put(&s.worker, &rule));
    unit_exit(&s.worker);
    uint32_t first = (uint32_t)s.view.header->strategy;
    unit_enter(&dead);
    rule.window_ms = 2000;
    assert_int_equal(0, qp_strategy_put(&dead, &rule));
    uint32_t second = (uint32_t)s.view.header->strategy;
    uint64_t *words[] = {qp_block_state(&s.view, first), qp_block_state(&s.view, second)};
    *words[0] = qp_state_next(*words[0], QP_STATE_LIVE, 0); /* as if it had died before it retired the first */
    *words[1] = qp_state_next(*words[1], QP_STATE_CLAIMED, dead.owner);
    assert_int_equal(1, qp_recover_dead(&s.worker, &liveness));
    unit_settle(&s);
    assert_int_equal(QP_STATE_FREE, qp_state_of(*words[0]));
    assert_int_equal(QP_STATE_LIVE, qp_state_of(*words[1]));
    assert_int_equal(second, (uint32_t)s.view.header->strategy);
    unit_quiet(&s);
    unit_close(&s);
}

static void test_what_is_scribbled_over_a_record_number_is_nobodys(void **state)
{
    (void)state;
    struct unit_segment s;
    uint32_t index;
    unit_open(&s, 10, 4);
    assert_true(qp_block_claim(&s.worker, QP_CLASS_BLOCK_128, &index));
    uint64_t *word = qp_state_at(&s.view, QP_CLASS_BLOCK_128, index);
    *word = qp_state_next(*word, QP_STATE_CLAIMED, qp_owner_make(4000, 7)); /* there are five records */
    assert_false(qp_owner_is_current(&s.view, qp_state_argument(*word)));
    unit_settle(&s);
    assert_int_equal(QP_STATE_FREE, qp_state_of(*word));
    unit_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_dead_lose_their_claims_and_slots_and_the_living_keep_theirs),
        cmocka_unit_test(test_nobody_recovers_himself),
        cmocka_unit_test(test_slots_of_the_dead_alone_can_be_freed_by_one_who_has_none),
        cmocka_unit_test(test_the_next_tenant_of_a_record_inherits_no_claims),
        cmocka_unit_test(test_a_block_that_was_replaced_and_not_retired_is_retired_by_the_sweep),
        cmocka_unit_test(test_a_block_published_by_one_who_died_before_saying_so_is_live),
        cmocka_unit_test(test_a_strategy_table_published_by_one_who_died_stays_in_force),
        cmocka_unit_test(test_what_is_scribbled_over_a_record_number_is_nobodys),
    };
    return cmocka_run_group_tests_name("recovery", tests, NULL, NULL);
}
