/* SPDX-License-Identifier: MIT */
/* rules_merge_test.c: what is heard of plain counters and registers: what is taken, what is refused and why, and how the own epoch follows. */
#include "rules.h"

/* ---- taking, and following ------------------------------------------------------------------------------------------------ */

static void test_totals_are_of_the_highest_epoch_alone(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_COUNTER);
    add(&w, 5);
    hear_point(&w, PEER, 0, 3, NOW, 7);
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    assert_int_equal(8, look(&w).total);
    assert_int_equal(5, look(&w).own);
    assert_int_equal(3, look(&w).remote);
    hear_point(&w, PEER, 0, 3, NOW, 7);
    assert_int_equal(QP_EDIT_LEAVE, merge(&w)); /* heard before */
    assert_int_equal(QP_REFUSED_NOTHING, w.why);
    hear_point(&w, PEER, 0, 3, NOW, 8);
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w)); /* said again, later in its stream */
    assert_int_equal(8, w.state.point[0].sequence);
}

static void test_after_anothers_reset_the_own_adds_are_still_seen(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_COUNTER);
    add(&w, 5);
    stamp(&w);
    add(&w, 2); /* not stamped: counts in the new epoch */
    hear_point(&w, PEER, 3, 0, NOW + 9, 7);
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    assert_int_equal(3, w.state.own[0].epoch);
    assert_int_equal(5, w.state.own[0].base);
    assert_int_equal(0, w.state.stated);
    assert_int_equal(2, look(&w).total);
    stamp(&w);
    assert_int_equal(3, newest_of(&w, ME)->epoch);
    assert_int_equal(2, newest_of(&w, ME)->count);
}

static void test_following_a_reset_twice_takes_the_count_away_once(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_COUNTER);
    add(&w, 5);
    stamp(&w);
    hear_point(&w, PEER, 1, 0, NOW + 9, 7);
    merge(&w);
    add(&w, 3); /* the own point is still the one of epoch 0 */
    hear_point(&w, PEER, 2, 0, NOW + 19, 8);
    merge(&w);
    assert_int_equal(2, w.state.own[0].epoch);
    assert_int_equal(5, w.state.own[0].base);
    assert_int_equal(3, look(&w).total);
}

static void test_a_floor_at_the_own_epoch_is_followed_beyond_it(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_COUNTER);
    add(&w, 5);
    stamp(&w);
    add(&w, 1);
    hear_tombstone(&w, PEER, NOW + 9, 7, 4);
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    assert_int_equal(5, w.state.own[0].epoch);
    assert_int_equal(5, w.state.own[0].base);
    assert_int_equal(0, w.state.point_count);
    assert_int_equal(0, w.state.stated); /* the others wait for us to say that we hold it */
    assert_int_equal(NOW_MS, w.state.tombstone_seen_ms);
    assert_int_equal(1, look(&w).total);
    stamp(&w);
    assert_int_equal(5, newest_of(&w, ME)->epoch);
    assert_int_equal(1, newest_of(&w, ME)->count);
}

static void test_a_deleted_key_does_not_live_on_as_zero(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_COUNTER);
    add(&w, 5);
    stamp(&w);
    hear_tombstone(&w, PEER, NOW + 9, 7, 0);
    merge(&w);
    assert_false(qp_rules_is_there(&w.state, ME));
    assert_true(w.state.deleted);
    assert_int_equal(QP_EDIT_PUBLISH, stamp(&w));
    assert_int_equal(0, w.state.point_count);
    assert_int_equal(PEER, w.state.tombstone.replica);
    assert_int_equal(7, w.state.tombstone_sequence); /* of its own stream, not ours */
    assert_int_equal(w.sequence, w.state.stated);
}

static void test_an_own_point_killed_by_the_version_alone_leaves_the_epoch(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_COUNTER);
    w.state.own[0].epoch = 4;
    add(&w, 5);
    stamp(&w);
    add(&w, 2);
    hear_tombstone(&w, PEER, NOW + 9, 7, 1);
    merge(&w);
    assert_int_equal(4, w.state.own[0].epoch);
    assert_int_equal(5, w.state.own[0].base);
    assert_int_equal(2, look(&w).total);
    assert_int_equal(QP_EDIT_PUBLISH, stamp(&w));
    assert_int_equal(2, newest_of(&w, ME)->count);
}

static void test_an_own_point_newer_than_the_tombstone_stays(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_COUNTER);
    w.state.own[0].epoch = 4;
    add(&w, 5);
    stamp(&w);
    hear_tombstone(&w, PEER, NOW - 9, 7, 1);
    merge(&w);
    assert_int_equal(0, w.state.own[0].base);
    assert_int_equal(1, w.state.point_count);
    assert_int_equal(5, look(&w).total);
    assert_false(w.state.deleted);
}

static void test_an_older_remove_brings_its_floor_and_not_its_clock(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_COUNTER);
    hear_tombstone(&w, PEER, NOW, 7, 2);
    merge(&w);
    w.state.stated = 9;
    w.context.now_ms += 5000;
    hear_tombstone(&w, PEER, NOW - 70, 6, 6);
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    assert_int_equal(NOW, w.state.tombstone.timestamp);
    assert_int_equal(6, w.state.floor);
    assert_int_equal(7, w.state.own[0].epoch);
    assert_int_equal(NOW_MS, w.state.tombstone_seen_ms);
    assert_int_equal(0, w.state.stated);
    hear_tombstone(&w, PEER, NOW - 80, 5, 1);
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
}

static void test_a_delayed_insert_finds_the_remove_of_a_key_never_seen(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_COUNTER);
    hear_tombstone(&w, PEER, NOW, 7, 0);
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    w.context.sender = OTHER;
    hear_point(&w, OTHER, 5, 9, NOW - 1, 3);
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    hear_point(&w, OTHER, 0, 9, NOW + 1, 3); /* under the floor, however new */
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    hear_point(&w, OTHER, 1, 9, NOW + 1, 3);
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    assert_int_equal(9, look(&w).total);
    assert_true(qp_rules_is_there(&w.state, ME));
}

/* ---- refusing ----------------------------------------------------------------------------------------------------------------- */

static void test_the_far_future_waits_and_the_rest_is_taken(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_COUNTER);
    hear_point(&w, PEER, 0, 9, NOW + (UINT64_C(60001) << 16), 7);
    hear_point(&w, PEER, 1, 3, NOW, 7);
    hear_tombstone(&w, OTHER, NOW + (UINT64_C(60001) << 16), 7, 0);
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    assert_int_equal(QP_REFUSED_SKEW, w.why);
    assert_int_equal(0, w.state.tombstone.timestamp);
    assert_int_equal(1, w.state.point_count);
    assert_int_equal(3, w.state.point[0].count);
    hear_point(&w, PEER, 1, 9, NOW + (UINT64_C(60000) << 16) + 0xffff, 8);
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    assert_int_equal(QP_REFUSED_NOTHING, w.why);
}

static void test_unequal_kinds_never_merge(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_COUNTER);
    w.item.kind = QP_KIND_LIMIT;
    w.item.window_ms = WINDOW_MS;
    hear_point(&w, PEER, EPOCH(WINDOW, 0), 9, NOW, 7);
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    assert_int_equal(QP_REFUSED_KIND, w.why);
    world_open(&w, QP_KIND_LIMIT);
    w.item.window_ms = 2 * WINDOW_MS;
    hear_point(&w, PEER, EPOCH(WINDOW, 0), 9, NOW, 7);
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    assert_int_equal(QP_REFUSED_KIND, w.why);
    w.item.kind = 77;
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    assert_int_equal(QP_REFUSED_MALFORMED, w.why);
}

static void test_what_was_deleted_since_does_not_come_back_from_anywhere(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_COUNTER);
    w.context.sender = 0;
    w.known[PEER] = 40;
    hear_point(&w, PEER, 3, 9, NOW, 40);
    hear_tombstone(&w, PEER, NOW - 5, 39, 2);
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    assert_int_equal(QP_REFUSED_OLD, w.why);
    hear_point(&w, PEER, 3, 9, NOW, 41);
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    hear_point(&w, PEER, 3, 8, NOW - 3, 30); /* beaten by what is held: no refusal */
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    assert_int_equal(QP_REFUSED_NOTHING, w.why);
}

static void test_only_the_owner_makes_its_points(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_COUNTER);
    hear_point(&w, OTHER, 0, 9, NOW, 7);
    hear_point(&w, PEER, 0, 4, NOW, 7);
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    assert_int_equal(QP_REFUSED_FOREIGN, w.why);
    assert_int_equal(4, look(&w).total);
    w.context.sender = 0;
    hear_point(&w, ME, 0, 900, NOW, 1000); /* of our own stream we know everything */
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    assert_int_equal(QP_REFUSED_OLD, w.why);
    hear_point(&w, ME, 0, 900, NOW, 1001); /* and nobody more */
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    assert_int_equal(QP_REFUSED_MALFORMED, w.why);
    hear_tombstone(&w, ME, NOW + 1, 1001, 5);
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    assert_int_equal(QP_REFUSED_MALFORMED, w.why);
}

static void test_what_no_honest_host_says(void **unused)
{
    (void)unused;
    static const struct qp_point forged[] = {
        {.replica = PEER, .timestamp = 0, .sequence = 1},
        {.replica = 0, .timestamp = NOW, .sequence = 1},
        {.replica = PEER, .timestamp = NOW, .sequence = 0},
        {.replica = PEER, .timestamp = NOW, .sequence = 501}, /* beyond the message */
        {.replica = PEER, .timestamp = NOW, .sequence = 1, .count = (UINT64_C(1) << 62) + 1},
        {.replica = PEER, .timestamp = NOW, .sequence = 1, .count = UINT64_MAX},
        {.replica = PEER, .timestamp = NOW, .sequence = 1, .epoch = UINT64_MAX},
        {.replica = PEER, .timestamp = NOW, .sequence = 1, .epoch = (UINT64_C(1) << 62) + 1},
    };
    struct rules_world w;
    for (size_t i = 0; i < sizeof forged / sizeof forged[0]; i++) {
        world_open(&w, QP_KIND_COUNTER);
        w.point[w.item.point_count++] = forged[i];
        hear_point(&w, PEER, 1, 3, NOW, 7);
        assert_int_equal(QP_EDIT_PUBLISH, merge(&w)); /* the rest of it is taken */
        assert_int_equal(QP_REFUSED_MALFORMED, w.why);
        assert_int_equal(3, look(&w).total);
    }
    static const struct {
        uint64_t timestamp, replica, sequence, floor;
    } tombstone[] = {{NOW, 0, 1, 0},  {NOW, PEER, 0, 0},          {NOW, PEER, 501, 0},
                     {0, PEER, 1, 5}, {NOW, PEER, 1, UINT64_MAX}, {NOW, PEER, 1, UINT64_C(1) << 62}};
    for (size_t i = 0; i < sizeof tombstone / sizeof tombstone[0]; i++) {
        world_open(&w, QP_KIND_COUNTER);
        hear_tombstone(&w, tombstone[i].replica, tombstone[i].timestamp, tombstone[i].sequence, tombstone[i].floor);
        assert_int_equal(QP_EDIT_LEAVE, merge(&w));
        assert_int_equal(QP_REFUSED_MALFORMED, w.why);
        assert_int_equal(0, w.state.own[0].epoch);
    }
}

static void test_a_stem_and_a_state_have_an_end(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_COUNTER);
    for (uint64_t i = 0; i < 5; i++)
        hear_point(&w, PEER, 0, 10 - i, NOW + i, 7); /* always less, always newer */
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    assert_int_equal(QP_REFUSED_MALFORMED, w.why);
    assert_int_equal(QP_POINTS_PER_STEM, w.state.point_count);
    w.context.sender = 0;
    for (uint64_t i = 4; i < QP_STATE_POINTS; i++) {
        hear_point(&w, 1000 + i, 0, 1, NOW, 7);
        assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    }
    hear_point(&w, 9999, 0, 1, NOW, 7);
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    assert_int_equal(QP_REFUSED_FULL, w.why);
    hear_point(&w, 1004, 0, 2, NOW + 1, 8); /* in the place of one that is there */
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    assert_int_equal(QP_STATE_POINTS, w.state.point_count);
}

static void test_sums_do_not_wrap(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_COUNTER);
    w.context.sender = 0;
    for (uint64_t replica = 1; replica <= 5; replica++)
        hear_point(&w, replica, 0, UINT64_C(1) << 62, NOW, 7);
    merge(&w);
    assert_true(look(&w).total == INT64_MAX);
    assert_true(look(&w).remote == INT64_MAX);
}

/* ---- registers ------------------------------------------------------------------------------------------------------------------- */

static void hear_register(struct rules_world *w, uint64_t replica, uint64_t timestamp, uint64_t sequence, bool removed,
                          int64_t value)
{
    hear_tombstone(w, replica, timestamp, sequence, 0);
    w->item.deleted = removed;
    w->item.value = value;
}

static void test_a_register_takes_the_newest(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_REGISTER);
    hear_register(&w, PEER, NOW, 7, false, 5);
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    assert_int_equal(5, look(&w).total);
    hear_register(&w, PEER, NOW - 1, 8, false, 6);
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    hear_register(&w, PEER, NOW, 9, false, 5);
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w)); /* the same, later in its stream */
    assert_int_equal(9, w.state.tombstone_sequence);
    hear_register(&w, OTHER, NOW + 1, 9, false, 1);
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    assert_int_equal(QP_REFUSED_FOREIGN, w.why);
    hear_register(&w, OTHER, NOW + 1, 9, true, 1); /* anybody says of a remove that he holds it */
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    assert_false(qp_rules_is_there(&w.state, ME));
    assert_int_equal(0, w.state.value);
    hear_register(&w, PEER, NOW, 20, false, 5);
    assert_int_equal(QP_EDIT_LEAVE, merge(&w)); /* cannot come back */
}

static void test_a_register_refuses_as_a_counter_does(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_REGISTER);
    w.known[PEER] = 40;
    hear_register(&w, PEER, NOW, 40, false, 5);
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    assert_int_equal(QP_REFUSED_OLD, w.why);
    hear_register(&w, PEER, NOW + (UINT64_C(60001) << 16), 41, false, 5);
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    assert_int_equal(QP_REFUSED_SKEW, w.why);
    hear_register(&w, PEER, NOW, 501, false, 5);
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    assert_int_equal(QP_REFUSED_MALFORMED, w.why);
    hear_register(&w, PEER, NOW, 41, false, 5);
    hear_point(&w, PEER, 0, 1, NOW, 41);
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    assert_int_equal(QP_REFUSED_MALFORMED, w.why);
    hear_register(&w, ME, NOW, 1000, true, 0);
    w.context.sender = 0;
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    assert_int_equal(QP_REFUSED_OLD, w.why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_totals_are_of_the_highest_epoch_alone),
        cmocka_unit_test(test_after_anothers_reset_the_own_adds_are_still_seen),
        cmocka_unit_test(test_following_a_reset_twice_takes_the_count_away_once),
        cmocka_unit_test(test_a_floor_at_the_own_epoch_is_followed_beyond_it),
        cmocka_unit_test(test_a_deleted_key_does_not_live_on_as_zero),
        cmocka_unit_test(test_an_own_point_killed_by_the_version_alone_leaves_the_epoch),
        cmocka_unit_test(test_an_own_point_newer_than_the_tombstone_stays),
        cmocka_unit_test(test_an_older_remove_brings_its_floor_and_not_its_clock),
        cmocka_unit_test(test_a_delayed_insert_finds_the_remove_of_a_key_never_seen),
        cmocka_unit_test(test_the_far_future_waits_and_the_rest_is_taken),
        cmocka_unit_test(test_unequal_kinds_never_merge),
        cmocka_unit_test(test_what_was_deleted_since_does_not_come_back_from_anywhere),
        cmocka_unit_test(test_only_the_owner_makes_its_points),
        cmocka_unit_test(test_what_no_honest_host_says),
        cmocka_unit_test(test_a_stem_and_a_state_have_an_end),
        cmocka_unit_test(test_sums_do_not_wrap),
        cmocka_unit_test(test_a_register_takes_the_newest),
        cmocka_unit_test(test_a_register_refuses_as_a_counter_does),
    };
    return cmocka_run_group_tests_name("rules_merge", tests, NULL, NULL);
}
