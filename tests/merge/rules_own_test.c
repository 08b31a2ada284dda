/* SPDX-License-Identifier: MIT */
/* rules_own_test.c: what a host does to its own keys: the stamp, reset, delete, set, and what it says of them. */
#include "rules.h"

static void open_counter(struct rules_world *w, uint64_t count)
{
    world_open(w, QP_KIND_COUNTER);
    if (count)
        add(w, count);
}

static void test_a_count_that_changed_is_stamped_once(void **unused)
{
    (void)unused;
    struct rules_world w;
    open_counter(&w, 5);
    assert_int_equal(QP_EDIT_PUBLISH, stamp(&w));
    assert_int_equal(1, w.state.point_count);
    assert_int_equal(5, w.state.point[0].count);
    assert_int_equal(ME, w.state.point[0].replica);
    assert_int_equal(NOW, w.state.point[0].timestamp);
    assert_int_equal(1001, w.state.point[0].sequence);
    assert_int_equal(1001, w.state.stated);
    assert_int_equal(QP_EDIT_LEAVE, stamp(&w));
    add(&w, 1);
    assert_int_equal(QP_EDIT_PUBLISH, stamp(&w));
    assert_int_equal(1, w.state.point_count);
    assert_int_equal(6, w.state.point[0].count);
    assert_int_equal(1002, w.state.point[0].sequence);
}

static void test_a_key_without_a_count_says_nothing(void **unused)
{
    (void)unused;
    struct rules_world w;
    open_counter(&w, 0);
    assert_int_equal(QP_EDIT_LEAVE, stamp(&w));
    assert_int_equal(0, w.state.point_count);
}

static void test_a_version_is_newer_than_all_of_the_key_though_the_clock_is_behind(void **unused)
{
    (void)unused;
    struct rules_world w;
    open_counter(&w, 5);
    hear_point(&w, PEER, 0, 3, NOW + 100000, 7);
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    assert_int_equal(QP_EDIT_PUBLISH, stamp(&w));
    assert_int_equal(NOW + 100001, newest_of(&w, ME)->timestamp);
}

static void test_said_again_for_one_who_refused_it(void **unused)
{
    (void)unused;
    struct rules_world w;
    open_counter(&w, 5);
    stamp(&w);
    uint64_t timestamp = w.state.point[0].timestamp;
    w.context.now_ms += 1000;
    assert_int_equal(QP_EDIT_PUBLISH, qp_rules_stamp(&w.state, ME, w.context.now_ms, 2000, true));
    assert_int_equal(timestamp, w.state.point[0].timestamp); /* the same version: it is no news */
    assert_int_equal(2000, w.state.point[0].sequence);
    assert_int_equal(2000, w.state.stated);
}

static void test_a_reset_ends_the_epoch_and_is_said_though_nothing_was_added(void **unused)
{
    (void)unused;
    struct rules_world w;
    int64_t ended;
    open_counter(&w, 5);
    stamp(&w);
    add(&w, 2);
    assert_int_equal(0, qp_rules_reset(&w.state, ME, NOW_MS, &ended));
    assert_int_equal(7, ended);
    assert_int_equal(0, w.state.stated);
    assert_int_equal(0, look(&w).total);
    assert_int_equal(1, look(&w).epoch);
    assert_int_equal(0, newest_of(&w, ME)->sequence);
    struct qp_item item;
    struct qp_point point[8];
    assert_true(qp_rules_statement(&w.state, ME, &item, point, 8));
    assert_int_equal(1, item.point_count); /* what it said before: the reset is not in the stream yet */
    assert_int_equal(0, point[0].epoch);
    assert_int_equal(QP_EDIT_PUBLISH, stamp(&w));
    assert_int_equal(1, w.state.point_count);
    assert_int_equal(1, w.state.point[0].epoch);
    assert_int_equal(0, w.state.point[0].count);
    assert_int_equal(w.sequence, w.state.point[0].sequence);
}

static void test_two_resets_before_the_harvest_are_one_point(void **unused)
{
    (void)unused;
    struct rules_world w;
    int64_t ended;
    open_counter(&w, 5);
    stamp(&w);
    qp_rules_reset(&w.state, ME, NOW_MS, &ended);
    add(&w, 4);
    assert_int_equal(0, qp_rules_reset(&w.state, ME, NOW_MS, &ended));
    assert_int_equal(4, ended);
    assert_int_equal(2,
                     w.state.point_count); /* the stamped one is the agent's to take away, the first reset's is gone */
    add(&w, 1);
    stamp(&w);
    assert_int_equal(1, w.state.point_count);
    assert_int_equal(2, w.state.point[0].epoch);
    assert_int_equal(1, w.state.point[0].count);
}

static void test_a_workers_reset_at_the_end_of_the_block_finds_its_place(void **unused)
{
    (void)unused;
    struct rules_world w;
    open_counter(&w, 5);
    stamp(&w);
    hear_point(&w, PEER, 0, 3, NOW, 7);
    merge(&w);
    w.state.point[w.state.point_count++] = point_of(ME, 1, 0, NOW + 9, 0); /* as appended behind the peer's */
    w.state.own[0].epoch = 1;
    w.state.own[0].base = 5;
    w.state.stated = 0;
    assert_int_equal(QP_EDIT_PUBLISH, stamp(&w));
    assert_int_equal(2, w.state.point_count);
    assert_int_equal(ME, w.state.point[0].replica);
    assert_int_equal(1, w.state.point[0].epoch);
    assert_int_equal(PEER, w.state.point[1].replica);
}

static void test_a_delete_leaves_no_own_point_until_the_next_add(void **unused)
{
    (void)unused;
    struct rules_world w;
    int64_t ended;
    open_counter(&w, 5);
    stamp(&w);
    assert_int_equal(0, qp_rules_delete(&w.state, ME, NOW_MS, &ended));
    assert_int_equal(5, ended);
    assert_false(qp_rules_is_there(&w.state, ME));
    assert_int_equal(0, w.state.floor);
    assert_int_equal(1, w.state.own[0].epoch);
    assert_true(w.state.tombstone.timestamp > w.state.point[0].timestamp);
    assert_int_equal(QP_EDIT_PUBLISH, stamp(&w));
    assert_int_equal(0, w.state.point_count); /* no (1, 0): a deleted key would live on as 0 */
    assert_int_equal(w.sequence, w.state.tombstone_sequence);
    assert_int_equal(w.sequence, w.state.stated);
    assert_true(w.state.deleted);
    assert_int_equal(QP_EDIT_LEAVE, stamp(&w));
    assert_int_equal(-ENOENT, qp_rules_delete(&w.state, ME, NOW_MS, &ended));
    add(&w, 2);
    assert_true(qp_rules_is_there(&w.state, ME));
    assert_int_equal(QP_EDIT_PUBLISH, stamp(&w));
    assert_int_equal(2, w.state.point[0].count);
    assert_int_equal(1, w.state.point[0].epoch);
    assert_false(w.state.deleted);
}

static void test_the_statement_after_an_add_still_has_the_tombstone(void **unused)
{
    (void)unused;
    struct rules_world w;
    struct qp_item item;
    struct qp_point point[8];
    int64_t ended;
    open_counter(&w, 5);
    qp_rules_delete(&w.state, ME, NOW_MS, &ended);
    assert_false(qp_rules_statement(&w.state, ME, &item, point, 8)); /* not in the stream yet */
    stamp(&w);
    add(&w, 2);
    stamp(&w);
    assert_true(qp_rules_statement(&w.state, ME, &item, point, 8));
    assert_int_equal(1, item.point_count);
    assert_int_equal(w.state.tombstone.timestamp, item.tombstone.timestamp);
    assert_int_equal(w.sequence,
                     item.tombstone_sequence); /* who refused the first saying hears it under a later number */
    assert_int_equal(w.sequence, point[0].sequence);
}

static void test_the_statement_has_nothing_of_others(void **unused)
{
    (void)unused;
    struct rules_world w;
    struct qp_item item;
    struct qp_point point[8];
    open_counter(&w, 0);
    hear_point(&w, PEER, 0, 3, NOW, 7);
    merge(&w);
    assert_false(qp_rules_statement(&w.state, ME, &item, point, 8));
    assert_int_equal(QP_EDIT_LEAVE, stamp(&w));
    add(&w, 1);
    stamp(&w);
    assert_true(qp_rules_statement(&w.state, ME, &item, point, 8));
    assert_int_equal(1, item.point_count);
    assert_int_equal(ME, point[0].replica);
}

static void test_what_stays_on_this_host_is_neither_told_nor_added_up(void **unused)
{
    (void)unused;
    struct rules_world w;
    struct qp_item item;
    struct qp_point point[8];
    open_counter(&w, 5);
    hear_point(&w, PEER, 0, 3, NOW, 7);
    merge(&w);
    w.state.host_only = true;
    assert_int_equal(5, look(&w).total);
    assert_int_equal(QP_EDIT_LEAVE, stamp(&w));
    assert_false(qp_rules_statement(&w.state, ME, &item, point, 8));
    hear_tombstone(&w, PEER, NOW + 5, 9, 0);
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    assert_int_equal(QP_REFUSED_KIND, w.why);
}

static void test_a_reset_and_a_delete_stop_at_the_last_epoch(void **unused)
{
    (void)unused;
    struct rules_world w;
    int64_t ended = -1;
    open_counter(&w, 5);
    w.state.own[0].epoch = UINT64_C(1) << 62;
    assert_int_equal(-EOVERFLOW, qp_rules_reset(&w.state, ME, NOW_MS, &ended));
    assert_int_equal(-EOVERFLOW, qp_rules_delete(&w.state, ME, NOW_MS, &ended));
    assert_int_equal(0, w.state.tombstone.timestamp);
    assert_int_equal(UINT64_C(1) << 62, w.state.own[0].epoch);
}

static void test_a_count_beyond_what_others_take_is_told_as_the_most_they_take(void **unused)
{
    (void)unused;
    struct rules_world w;
    open_counter(&w, (UINT64_C(1) << 62) + 12345);
    stamp(&w);
    assert_int_equal(UINT64_C(1) << 62, w.state.point[0].count);
    assert_int_equal(QP_EDIT_LEAVE, stamp(&w));
}

static void test_a_register_is_said_by_who_wrote_it(void **unused)
{
    (void)unused;
    struct rules_world w;
    struct qp_item item;
    int64_t ended;
    world_open(&w, QP_KIND_REGISTER);
    assert_int_equal(QP_EDIT_LEAVE, stamp(&w));
    assert_int_equal(0, qp_rules_set(&w.state, ME, NOW_MS, -7));
    assert_int_equal(QP_EDIT_PUBLISH, stamp(&w));
    assert_int_equal(-7, look(&w).total);
    assert_true(qp_rules_statement(&w.state, ME, &item, NULL, 0));
    assert_int_equal(-7, item.value);
    assert_false(item.deleted);
    hear_tombstone(&w, PEER, NOW + 5, 9, 0);
    w.item.value = 8;
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    assert_int_equal(8, look(&w).total);
    assert_int_equal(0, w.state.stated);
    assert_int_equal(QP_EDIT_LEAVE, stamp(&w)); /* the peer says it */
    assert_false(qp_rules_statement(&w.state, ME, &item, NULL, 0));
    assert_int_equal(0, qp_rules_delete(&w.state, ME, NOW_MS, &ended));
    assert_int_equal(8, ended);
    assert_int_equal(NOW + 6, w.state.tombstone.timestamp);
    assert_int_equal(QP_EDIT_PUBLISH, stamp(&w));
    assert_true(qp_rules_statement(&w.state, ME, &item, NULL, 0));
    assert_true(item.deleted);
    assert_int_equal(-ENOENT, qp_rules_delete(&w.state, ME, NOW_MS, &ended));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_count_that_changed_is_stamped_once),
        cmocka_unit_test(test_a_key_without_a_count_says_nothing),
        cmocka_unit_test(test_a_version_is_newer_than_all_of_the_key_though_the_clock_is_behind),
        cmocka_unit_test(test_said_again_for_one_who_refused_it),
        cmocka_unit_test(test_a_reset_ends_the_epoch_and_is_said_though_nothing_was_added),
        cmocka_unit_test(test_two_resets_before_the_harvest_are_one_point),
        cmocka_unit_test(test_a_workers_reset_at_the_end_of_the_block_finds_its_place),
        cmocka_unit_test(test_a_delete_leaves_no_own_point_until_the_next_add),
        cmocka_unit_test(test_the_statement_after_an_add_still_has_the_tombstone),
        cmocka_unit_test(test_the_statement_has_nothing_of_others),
        cmocka_unit_test(test_what_stays_on_this_host_is_neither_told_nor_added_up),
        cmocka_unit_test(test_a_reset_and_a_delete_stop_at_the_last_epoch),
        cmocka_unit_test(test_a_count_beyond_what_others_take_is_told_as_the_most_they_take),
        cmocka_unit_test(test_a_register_is_said_by_who_wrote_it),
    };
    return cmocka_run_group_tests_name("rules_own", tests, NULL, NULL);
}
