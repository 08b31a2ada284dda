/* SPDX-License-Identifier: MIT */
/* room_test.c: how entries leave to make room: expired ones in sweeps, the cheapest of every eight limits when there is no other way, step by step,
 * with users that come in between and processes that die half-way. */
#include "unit.h"

#include <stdio.h>

#include "shm/evict.h"
#include "shm/room.h"
#include "shm/victim.h"

#define W 60000u
#define NOW UNIT_NOW_MS
#define LIMIT 100

static struct qp_rule rule_of(uint64_t idle_ms)
{
    struct qp_rule rule = unit_rule("l", W);
    rule.limit = LIMIT;
    rule.idle_ms = idle_ms;
    return rule;
}

static struct qp_ask ask_of(uint64_t n, uint64_t now_ms)
{
    return (struct qp_ask){.n = n, .limit = LIMIT, .now_ms = now_ms};
}

/* A limit of which n units are taken. */
static struct qp_entry *used(struct unit_segment *s, const char *name, uint64_t n)
{
    struct qp_entry *entry = unit_limit(s, name, QP_ALGORITHM_FIXED, W);
    struct qp_ask ask = ask_of(n, NOW);
    assert_int_equal(0, n ? unit_take(&s->worker, entry, &ask, NULL) : 0);
    return entry;
}

static enum qp_word_state state_of(const struct qp_entry *entry)
{
    return qp_state_of(entry->state);
}

static bool advance(struct unit_segment *s, struct qp_entry *entry)
{
    unit_enter(&s->worker);
    bool stepped = qp_entry_advance(&s->worker, entry);
    unit_exit(&s->worker);
    return stepped;
}

static bool evict(struct unit_segment *s, struct qp_entry *entry)
{
    unit_enter(&s->worker);
    bool begun = qp_entry_evict(&s->worker, entry, qp_evict_cost(&s->view, entry, NOW));
    unit_exit(&s->worker);
    return begun;
}

static void grace_period(struct unit_segment *s)
{
    qp_grace_poll(&s->view);
    qp_grace_poll(&s->view);
}

/* What is known of a key that left. */
static uint64_t remembered(struct unit_segment *s, const char *name)
{
    struct qp_key key = unit_key(&s->view, name);
    struct qp_victim victim = {.hash = key.hash, .until_ms = NOW / W * W + W};
    return qp_victim_recall(&s->view, &victim) ? qp_victim_used(victim.share, LIMIT) : 0;
}

static void open_with(struct unit_segment *s, uint32_t counters, uint64_t idle_ms)
{
    struct qp_rule rule = rule_of(idle_ms);
    unit_open(s, counters, 8);
    unit_put(s, &rule);
}

static void close_quiet(struct unit_segment *s)
{
    unit_settle(s);
    unit_quiet(s);
    unit_close(s);
}

static uint32_t make_room(struct qp_worker *worker, uint32_t first, bool evict)
{
    bool waits;
    return qp_room_make(worker, first, evict, &waits);
}

/* ---- expiry ---------------------------------------------------------------------------------------------------------- */

static void test_an_idle_limit_goes_with_a_sweep_and_its_window_is_not_remembered(void **state)
{
    (void)state;
    struct unit_segment s;
    open_with(&s, 10, 1000);
    struct qp_entry *gone = used(&s, "l1", 10), *stays = used(&s, "l2", 10);
    s.worker.now_ms = NOW + W + 1000;
    unit_settle(&s);
    assert_int_equal(QP_STATE_LIVE, state_of(gone));
    struct qp_ask ask = ask_of(1, NOW + W + 1500);
    assert_int_equal(0, unit_take(&s.worker, stays, &ask, NULL));
    s.worker.now_ms = NOW + W + 2001;
    unit_settle(&s);
    assert_int_equal(QP_STATE_FREE, state_of(gone));
    assert_int_equal(QP_STATE_LIVE, state_of(stays));
    assert_int_equal(1, s.view.header->stat_expired);
    assert_int_equal(0, s.view.header->stat_evicted);
    assert_int_equal(0, qp_victim_count(&s.view, s.worker.now_ms));
    close_quiet(&s);
}

static void test_a_take_saves_an_idle_limit_until_the_last_moment(void **state)
{
    (void)state;
    struct unit_segment s;
    open_with(&s, 10, 1000);
    struct qp_entry *entry = used(&s, "l1", 10);
    struct qp_worker taker = unit_worker(&s, 1);
    struct qp_ask ask = ask_of(1, NOW + 3 * W);
    struct qp_verdict verdict;
    s.worker.now_ms = NOW + 3 * W;
    unit_enter(&taker);
    assert_true(qp_entry_revive(&s.view, entry)); /* sees LIVE, and takes its time */
    assert_true(advance(&s, entry));
    assert_true(advance(&s, entry));
    assert_int_equal(QP_STATE_CLOSING, state_of(entry));
    grace_period(&s);
    assert_false(advance(&s, entry));
    assert_int_equal(0, qp_limit_take(&s.view, entry, &ask, &verdict));
    unit_exit(&taker);
    grace_period(&s);
    assert_true(advance(&s, entry));
    assert_int_equal(QP_STATE_LIVE, state_of(entry));
    assert_int_equal(0, s.view.header->stat_expired);
    close_quiet(&s);
}

/* ---- eviction step by step -------------------------------------------------------------------------------------------- */

static void test_an_eviction_takes_a_grace_period_and_leaves_a_memory(void **state)
{
    (void)state;
    struct unit_segment s;
    open_with(&s, 10, QP_IDLE_NEVER);
    struct qp_entry *entry = used(&s, "l1", 42);
    assert_true(evict(&s, entry));
    assert_int_equal(QP_STATE_EVICTING, state_of(entry));
    assert_false(evict(&s, entry));
    assert_true(advance(&s, entry)); /* the stamp */
    assert_false(advance(&s, entry));
    assert_int_equal(0, remembered(&s, "l1"));
    grace_period(&s);
    assert_true(advance(&s, entry));
    assert_int_equal(QP_STATE_DEAD, state_of(entry));
    assert_int_equal(42, remembered(&s, "l1"));
    assert_int_equal(1, s.view.header->stat_evicted);
    unit_settle(&s);
    assert_int_equal(QP_STATE_FREE, state_of(entry));
    close_quiet(&s);
}

static void test_a_use_puts_an_entry_back_that_is_being_evicted(void **state)
{
    (void)state;
    for (int stamped = 0; stamped < 2; stamped++) {
        struct unit_segment s;
        open_with(&s, 10, QP_IDLE_NEVER);
        struct qp_entry *entry = used(&s, "l1", 42);
        assert_true(evict(&s, entry));
        if (stamped)
            assert_true(advance(&s, entry));
        unit_enter(&s.worker);
        assert_true(qp_entry_revive(&s.view, entry));
        unit_exit(&s.worker);
        assert_int_equal(QP_STATE_LIVE, state_of(entry));
        unit_settle(&s);
        assert_int_equal(QP_STATE_LIVE, state_of(entry));
        assert_int_equal(0, s.view.header->stat_evicted);
        assert_int_equal(0, qp_victim_count(&s.view, NOW));
        close_quiet(&s);
    }
}

/* Who saw LIVE just before takes without looking again: the memory must hold his units too. */
static void test_a_take_that_came_just_before_is_remembered(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_ask ask = ask_of(30, NOW);
    struct qp_verdict verdict;
    open_with(&s, 10, QP_IDLE_NEVER);
    struct qp_worker taker = unit_worker(&s, 1);
    struct qp_entry *entry = used(&s, "l1", 42);
    unit_enter(&taker);
    assert_true(qp_entry_revive(&s.view, entry));
    assert_true(evict(&s, entry));
    assert_true(advance(&s, entry));
    for (int i = 0; i < 10; i++) {
        grace_period(&s);
        assert_false(advance(&s, entry)); /* his section holds it up */
    }
    assert_int_equal(0, qp_limit_take(&s.view, entry, &ask, &verdict));
    unit_exit(&taker);
    unit_settle(&s);
    assert_int_equal(QP_STATE_FREE, state_of(entry));
    assert_int_equal(72, remembered(&s, "l1"));
    close_quiet(&s);
}

static void test_an_eviction_left_half_way_is_finished_by_a_sweep(void **state)
{
    (void)state;
    for (int stamped = 0; stamped < 2; stamped++) {
        struct unit_segment s;
        open_with(&s, 10, QP_IDLE_NEVER);
        struct qp_worker dead = unit_worker(&s, 1);
        struct qp_entry *entry = used(&s, "l1", 42);
        unit_enter(&dead);
        assert_true(qp_entry_evict(&dead, entry, QP_EVICT_NEVER));
        if (stamped)
            assert_true(qp_entry_advance(&dead, entry));
        qp_recover_record(&s.worker, 1); /* died inside its section */
        unit_settle(&s);
        assert_int_equal(QP_STATE_FREE, state_of(entry));
        assert_int_equal(42, remembered(&s, "l1"));
        close_quiet(&s);
    }
}

/* Killed between remembering and DEAD: known twice, and no less than it was. */
static void test_what_was_remembered_and_used_again_is_remembered_anew(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_ask ask = ask_of(8, NOW);
    open_with(&s, 10, QP_IDLE_NEVER);
    struct qp_entry *entry = used(&s, "l1", 42);
    unit_enter(&s.worker);
    assert_true(qp_evict_remember(&s.view, entry, NOW));
    unit_exit(&s.worker);
    assert_int_equal(0, unit_take(&s.worker, entry, &ask, NULL));
    assert_true(evict(&s, entry));
    unit_settle(&s);
    assert_int_equal(50, remembered(&s, "l1"));
    assert_int_equal(1, qp_victim_count(&s.view, NOW));
    close_quiet(&s);
}

static void test_who_has_become_dear_since_is_not_evicted(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_ask ask = ask_of(1, NOW);
    open_with(&s, 10, QP_IDLE_NEVER);
    struct qp_entry *entry = used(&s, "l1", 42), *counter = unit_counter(&s.worker, "c", 5);
    unit_enter(&s.worker);
    uint64_t cost = qp_evict_cost(&s.view, entry, NOW);
    unit_exit(&s.worker);
    assert_int_equal(0, unit_take(&s.worker, entry, &ask, NULL));
    unit_enter(&s.worker);
    assert_false(qp_entry_evict(&s.worker, entry, cost));
    assert_true(qp_entry_evict(&s.worker, entry, cost + (UINT64_C(2) << 40)));
    assert_int_equal(QP_EVICT_NEVER, qp_evict_cost(&s.view, counter, NOW));
    unit_exit(&s.worker);
    close_quiet(&s);
}

/* ---- making room ------------------------------------------------------------------------------------------------------ */

static void fill(struct unit_segment *s, uint32_t limits, struct qp_entry **entries)
{
    for (uint32_t i = 0; i < limits; i++) {
        char name[16];
        snprintf(name, sizeof name, "l%u", i);
        entries[i] = used(s, name, 1 + (i * 37 + 11) % 99);
    }
}

static void test_of_every_eight_limits_the_least_used_makes_room(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_entry *entries[80];
    open_with(&s, 100, QP_IDLE_NEVER);
    fill(&s, 80, entries);
    struct qp_entry *counters[] = {unit_counter(&s.worker, "c1", 0), unit_counter(&s.worker, "c2", 9)};
    assert_int_equal(0, make_room(&s.worker, 0, false));
    for (int i = 0; i < 80; i++)
        assert_int_equal(QP_STATE_LIVE, state_of(entries[i]));
    assert_int_equal(10, make_room(&s.worker, 0, true)); /* ten eights, and two that cannot go */
    assert_int_equal(10, s.view.header->stat_evicted);
    assert_int_equal(10, qp_victim_count(&s.view, NOW));
    for (int i = 0; i < 2; i++)
        assert_int_equal(QP_STATE_LIVE, state_of(counters[i]));
    close_quiet(&s);
}

static void test_each_sample_gives_its_cheapest(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_entry *entries[QP_ROOM_SAMPLE];
    open_with(&s, QP_ROOM_SAMPLE, QP_IDLE_NEVER);
    const uint64_t units[QP_ROOM_SAMPLE] = {50, 9, 70, 8, 100, 60, 90, 99};
    for (int i = 0; i < QP_ROOM_SAMPLE; i++) {
        char name[8] = {'l', (char)('a' + i)};
        entries[i] = used(&s, name, units[i]);
    }
    for (int left = QP_ROOM_SAMPLE; left > 0; left--) {
        int best = -1;
        for (int i = 0; i < QP_ROOM_SAMPLE; i++)
            if (state_of(entries[i]) == QP_STATE_LIVE && (best < 0 || units[i] < units[best]))
                best = i;
        assert_int_equal(1, make_room(&s.worker, 0, true));
        assert_int_equal(QP_STATE_FREE, state_of(entries[best]));
    }
    assert_int_equal(0, make_room(&s.worker, 0, true));
    close_quiet(&s);
}

static void test_what_is_on_its_way_out_is_helped_and_costs_nobody_else(void **state)
{
    (void)state;
    struct unit_segment s;
    int64_t ended;
    open_with(&s, 20, QP_IDLE_NEVER);
    struct qp_entry *deleted = unit_counter(&s.worker, "c", 5), *stays = unit_counter(&s.worker, "d", 5);
    struct qp_entry *begun = used(&s, "l1", 3);
    unit_enter(&s.worker);
    assert_int_equal(0, qp_shard_delete(&s.worker, deleted, &ended));
    unit_exit(&s.worker);
    assert_true(evict(&s, begun));
    assert_int_equal(2, make_room(&s.worker, 0, false));
    assert_int_equal(QP_STATE_FREE, state_of(deleted));
    assert_int_equal(QP_STATE_FREE, state_of(begun));
    assert_int_equal(QP_STATE_LIVE, state_of(stays));
    close_quiet(&s);
}

static void test_a_stretch_is_all_that_is_touched(void **state)
{
    (void)state;
    struct unit_segment s;
    open_with(&s, QP_ROOM_STRETCH + 40, QP_IDLE_NEVER);
    static struct qp_entry *entries[QP_ROOM_STRETCH + 40];
    fill(&s, QP_ROOM_STRETCH + 40, entries);
    assert_int_equal(5 + 1, make_room(&s.worker, QP_ROOM_STRETCH, true)); /* 41 of them: five eights and one */
    uint32_t gone = 0;
    for (uint32_t i = 0; i < QP_ROOM_STRETCH + 40; i++)
        if (state_of(entries[i]) == QP_STATE_FREE) {
            assert_true(qp_entry_index(&s.view, entries[i]) >= QP_ROOM_STRETCH);
            gone++;
        }
    assert_int_equal(6, gone);
    close_quiet(&s);
}

static void test_a_reader_that_stands_still_holds_room_up_and_nobody_waits(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_entry *entries[8];
    open_with(&s, 8, QP_IDLE_NEVER);
    struct qp_worker reader = unit_worker(&s, 1);
    fill(&s, 8, entries);
    unit_enter(&reader);
    for (int i = 0; i < 20; i++) {
        bool waits = false;
        assert_int_equal(0, qp_room_make(&s.worker, 0, true, &waits));
        assert_true(waits);
    }
    assert_int_equal(0, s.view.header->stat_evicted);
    unit_exit(&reader);
    assert_true(make_room(&s.worker, 0, true) >= 1);
    close_quiet(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_idle_limit_goes_with_a_sweep_and_its_window_is_not_remembered),
        cmocka_unit_test(test_a_take_saves_an_idle_limit_until_the_last_moment),
        cmocka_unit_test(test_an_eviction_takes_a_grace_period_and_leaves_a_memory),
        cmocka_unit_test(test_a_use_puts_an_entry_back_that_is_being_evicted),
        cmocka_unit_test(test_a_take_that_came_just_before_is_remembered),
        cmocka_unit_test(test_an_eviction_left_half_way_is_finished_by_a_sweep),
        cmocka_unit_test(test_what_was_remembered_and_used_again_is_remembered_anew),
        cmocka_unit_test(test_who_has_become_dear_since_is_not_evicted),
        cmocka_unit_test(test_of_every_eight_limits_the_least_used_makes_room),
        cmocka_unit_test(test_each_sample_gives_its_cheapest),
        cmocka_unit_test(test_what_is_on_its_way_out_is_helped_and_costs_nobody_else),
        cmocka_unit_test(test_a_stretch_is_all_that_is_touched),
        cmocka_unit_test(test_a_reader_that_stands_still_holds_room_up_and_nobody_waits),
    };
    return cmocka_run_group_tests_name("making room", tests, NULL, NULL);
}
