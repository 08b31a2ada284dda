/* SPDX-License-Identifier: MIT */
/* rules_collect_test.c: who holds a tombstone, what a grave does to a key that was made again, and what a host that was away too long has to drop. */
#include "rules.h"

static void open_deleted(struct rules_world *w)
{
    world_open(w, QP_KIND_COUNTER);
    hear_tombstone(w, PEER, NOW, 7, 3);
    merge(w);
}

/* ---- holders ---------------------------------------------------------------------------------------------------------------- */

static void test_who_says_a_tombstone_holds_it(void **unused)
{
    (void)unused;
    struct rules_world w;
    open_deleted(&w);
    assert_int_equal(1, w.state.holder_count);
    assert_int_equal(PEER, w.state.holder[0].replica);
    assert_int_equal(500, w.state.holder[0].sequence);
    w.context.sender = OTHER;
    hear_tombstone(&w, PEER, NOW, 7, 3);
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    assert_int_equal(2, w.state.holder_count);
    hear_tombstone(&w, PEER, NOW, 7, 3);
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    assert_int_equal(2, w.state.holder_count);
}

static void test_who_says_an_older_one_or_a_lower_floor_does_not(void **unused)
{
    (void)unused;
    struct rules_world w;
    open_deleted(&w);
    w.context.sender = OTHER;
    hear_tombstone(&w, OTHER, NOW - 1, 7, 3);
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    hear_tombstone(&w, PEER, NOW, 7, 2);
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    hear_point(&w, OTHER, 9, 1, NOW + 4, 8);
    merge(&w);
    assert_int_equal(1, w.state.holder_count);
}

static void test_a_newer_tombstone_or_a_higher_floor_has_to_be_held_anew(void **unused)
{
    (void)unused;
    struct rules_world w;
    open_deleted(&w);
    w.context.sender = OTHER;
    hear_tombstone(&w, OTHER, NOW + 1, 7, 3);
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    assert_int_equal(1, w.state.holder_count);
    assert_int_equal(OTHER, w.state.holder[0].replica);
    w.context.sender = PEER;
    hear_tombstone(&w, PEER, NOW, 8, 6);
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    assert_int_equal(0, w.state.holder_count); /* it has the floor and not the newer tombstone */
    int64_t ended;
    add(&w, 1);
    hear_tombstone(&w, OTHER, NOW + 1, 7, 6);
    merge(&w);
    assert_int_equal(1, w.state.holder_count);
    qp_rules_delete(&w.state, ME, NOW_MS, &ended);
    assert_int_equal(0, w.state.holder_count);
}

static void test_what_a_relay_says_of_holders_does_not_count(void **unused)
{
    (void)unused;
    struct rules_world w;
    struct qp_holder holder = {OTHER, 9};
    world_open(&w, QP_KIND_COUNTER);
    w.context.sender = 0;
    w.item.holder = &holder;
    w.item.holder_count = 1;
    hear_tombstone(&w, PEER, NOW, 7, 3);
    merge(&w);
    assert_int_equal(0, w.state.holder_count);
}

static void test_a_register_that_is_set_has_no_holders(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_REGISTER);
    hear_tombstone(&w, PEER, NOW, 7, 0);
    w.item.value = 3;
    merge(&w);
    assert_int_equal(0, w.state.holder_count);
    hear_tombstone(&w, PEER, NOW + 1, 8, 0);
    w.item.deleted = true;
    merge(&w);
    assert_int_equal(1, w.state.holder_count);
}

static void test_a_key_about_to_leave_stays_when_it_is_counted_again(void **unused)
{
    (void)unused;
    struct rules_world w;
    open_deleted(&w);
    w.state.collect = true;
    hear_point(&w, PEER, 4, 1, NOW + 4, 8);
    merge(&w);
    assert_false(w.state.collect);
    open_deleted(&w);
    w.state.collect = true;
    add(&w, 1);
    stamp(&w);
    assert_false(w.state.collect);
    open_deleted(&w);
    w.state.collect = true;
    hear_tombstone(&w, PEER, NOW + 7, 9, 3);
    merge(&w);
    assert_false(w.state.collect);
}

/* ---- graves -------------------------------------------------------------------------------------------------------------------- */

static void test_a_key_made_again_counts_above_its_grave(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_COUNTER);
    add(&w, 5);
    assert_int_equal(QP_EDIT_PUBLISH, qp_rules_follow_floor(&w.state, ME, 3));
    assert_int_equal(4, w.state.own[0].epoch);
    assert_int_equal(0, w.state.own[0].base);
    assert_false(w.state.deleted);
    assert_int_equal(QP_EDIT_LEAVE, qp_rules_follow_floor(&w.state, ME, 3));
    stamp(&w);
    assert_int_equal(4, w.state.point[0].epoch);
    assert_int_equal(5, w.state.point[0].count);
}

static void test_points_under_a_grave_are_dead_and_what_was_not_stamped_lives(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_COUNTER);
    add(&w, 5);
    stamp(&w);
    add(&w, 1);
    hear_point(&w, PEER, 0, 3, NOW, 7);
    merge(&w);
    assert_int_equal(QP_EDIT_PUBLISH, qp_rules_follow_floor(&w.state, ME, 3));
    assert_int_equal(0, w.state.point_count);
    assert_int_equal(0, w.state.stated);
    assert_int_equal(1, look(&w).total);
    assert_int_equal(4, look(&w).epoch);
    assert_true(qp_rules_is_there(&w.state, ME));
}

static void test_a_key_that_only_a_grave_knows_to_be_deleted_leaves(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_COUNTER);
    hear_point(&w, PEER, 0, 3, NOW, 7);
    merge(&w);
    assert_int_equal(QP_EDIT_PUBLISH, qp_rules_follow_floor(&w.state, ME, 3));
    assert_true(w.state.deleted && w.state.collect);
    assert_false(qp_rules_is_there(&w.state, ME));
}

static void test_a_grave_raises_the_floor_of_a_tombstone_that_is_held(void **unused)
{
    (void)unused;
    struct rules_world w;
    open_deleted(&w);
    stamp(&w);
    assert_int_equal(QP_EDIT_PUBLISH, qp_rules_follow_floor(&w.state, ME, 8));
    assert_int_equal(8, w.state.floor);
    assert_int_equal(9, w.state.own[0].epoch);
    assert_int_equal(0, w.state.stated);
    assert_int_equal(0, w.state.holder_count);
    assert_int_equal(QP_EDIT_LEAVE, qp_rules_follow_floor(&w.state, ME, 8));
    assert_int_equal(QP_EDIT_LEAVE,
                     qp_rules_follow_floor(&w.state, ME, UINT64_MAX)); /* forged: there is no epoch after it */
}

static void test_a_point_and_a_remove_under_a_grave_are_refused(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_COUNTER);
    w.context.has_grave = true;
    w.context.grave_floor = 3;
    hear_point(&w, PEER, 3, 3, NOW, 7);
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    assert_int_equal(QP_REFUSED_OLD, w.why);
    hear_tombstone(&w, PEER, NOW, 7, 3);
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    assert_int_equal(QP_REFUSED_OLD, w.why);
    hear_point(&w, PEER, 4, 3, NOW, 7);
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    assert_int_equal(QP_REFUSED_NOTHING, w.why);
    assert_int_equal(4, w.state.own[0].epoch);
    hear_tombstone(&w, PEER, NOW + 7, 8, 4); /* of its second life */
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
}

static void test_a_register_set_again_by_a_slow_clock_is_newer_than_its_grave(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_REGISTER);
    qp_rules_set(&w.state, ME, NOW_MS, 4);
    assert_int_equal(QP_EDIT_PUBLISH, qp_rules_follow_floor(&w.state, ME, NOW + 77));
    assert_int_equal(NOW + 78, w.state.tombstone.timestamp);
    assert_int_equal(4, look(&w).total);
    stamp(&w);
    assert_int_equal(QP_EDIT_PUBLISH, qp_rules_follow_floor(&w.state, ME, NOW + 78)); /* said before that remove */
    assert_false(qp_rules_is_there(&w.state, ME));
    assert_true(w.state.collect);
    w.context.has_grave = true;
    w.context.grave_floor = NOW + 78;
    hear_tombstone(&w, PEER, NOW + 78, 7, 0);
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    assert_int_equal(QP_REFUSED_OLD, w.why);
}

/* ---- fenced ---------------------------------------------------------------------------------------------------------------------- */

static void test_what_the_giver_knows_of_and_lacks_goes(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_COUNTER);
    w.state.own[0].epoch = 1;
    add(&w, 5);
    stamp(&w); /* at 1001 */
    add(&w, 2);
    w.context.sender = 0;
    hear_point(&w, PEER, 1, 3, NOW, 20);
    hear_point(&w, OTHER, 1, 4, NOW, 20);
    merge(&w);
    world_fence(&w);
    w.given[PEER] = 20;
    w.given[OTHER] = 19; /* it has not heard of that one yet */
    w.given[ME] = 1001;
    hear_point(&w, 99, 1, 1, NOW, 5);
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    assert_int_equal(2, w.state.point_count);
    assert_int_equal(OTHER, w.state.point[0].replica);
    assert_int_equal(99, w.state.point[1].replica);
    assert_int_equal(1, w.state.own[0].epoch);
    assert_int_equal(5, w.state.own[0].base);
    assert_int_equal(0, w.state.stated);
    assert_int_equal(2 + 4 + 1, look(&w).total);
}

static void test_what_the_giver_has_too_stays(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_COUNTER);
    add(&w, 5);
    stamp(&w);
    uint64_t timestamp = w.state.point[0].timestamp;
    world_fence(&w);
    w.given[ME] = 1001;
    w.known[PEER] = 0; /* refused once, for its skew: nothing is known of that stream by places */
    w.given[PEER] = 30;
    hear_point(&w, ME, 0, 5, timestamp, 1001);
    hear_point(&w, PEER, 0, 3, NOW, 20);
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    assert_int_equal(0, w.state.own[0].base);
    assert_int_equal(8, look(&w).total);
    w.known[PEER] = 30; /* merged here up to there, and not held: dead, whatever the giver knows */
    hear_point(&w, ME, 0, 5, timestamp, 1001);
    hear_point(&w, PEER, 0, 3, NOW, 20);
    hear_point(&w, PEER, 1, 3, NOW + 1, 20);
    merge(&w);
    assert_int_equal(QP_REFUSED_OLD, w.why);
}

/* What it has instead of the lacking one comes from a clock ahead of ours: dropped now, and taken later, it would be nobody's in between. */
static void test_nothing_goes_for_what_is_refused_as_ahead(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_COUNTER);
    w.context.sender = 0;
    hear_point(&w, PEER, 0, 3, NOW, 20);
    merge(&w);
    world_fence(&w);
    w.given[PEER] = 30;
    hear_point(&w, PEER, 0, 7, NOW + (UINT64_C(61000) << 16), 30);
    merge(&w);
    assert_int_equal(QP_REFUSED_SKEW, w.why);
    assert_int_equal(1, w.state.point_count);
    assert_int_equal(3, look(&w).total);
}

static void test_a_key_that_the_giver_did_not_have_is_forgotten(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_COUNTER);
    w.context.sender = 0;
    hear_point(&w, PEER, 1, 3, NOW, 20);
    merge(&w);
    w.given[PEER] = 19;
    assert_int_equal(QP_EDIT_LEAVE, qp_rules_drop_unconfirmed(&w.state, ME, world_given, &w));
    w.given[PEER] = 20;
    assert_int_equal(QP_EDIT_PUBLISH, qp_rules_drop_unconfirmed(&w.state, ME, world_given, &w));
    assert_false(qp_rules_is_there(&w.state, ME));
    assert_true(w.state.collect);
    assert_int_equal(1, w.state.own[0].epoch); /* own epochs never go down */
    world_open(&w, QP_KIND_COUNTER);
    add(&w, 1); /* not in the stream yet: nobody can have deleted it */
    w.given[ME] = 1000;
    assert_int_equal(QP_EDIT_LEAVE, qp_rules_drop_unconfirmed(&w.state, ME, world_given, &w));
    assert_int_equal(1, look(&w).total);
    int64_t ended;
    qp_rules_reset(&w.state, ME, NOW_MS, &ended); /* nor this */
    assert_int_equal(QP_EDIT_LEAVE, qp_rules_drop_unconfirmed(&w.state, ME, world_given, &w));
    world_fence(&w);
    hear_point(&w, PEER, 1, 3, NOW, 20);
    merge(&w);
    assert_int_equal(2, w.state.point_count);
}

static void test_a_register_that_the_giver_lacks_goes_and_its_remove_stays(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_REGISTER);
    hear_tombstone(&w, PEER, NOW, 7, 0);
    w.item.value = 3;
    merge(&w);
    w.given[PEER] = 7;
    assert_int_equal(QP_EDIT_PUBLISH, qp_rules_drop_unconfirmed(&w.state, ME, world_given, &w));
    assert_false(qp_rules_is_there(&w.state, ME));
    world_open(&w, QP_KIND_REGISTER);
    hear_tombstone(&w, PEER, NOW, 7, 0);
    w.item.deleted = true;
    merge(&w);
    w.given[PEER] = 7;
    assert_int_equal(QP_EDIT_LEAVE, qp_rules_drop_unconfirmed(&w.state, ME, world_given, &w));
    world_open(&w, QP_KIND_REGISTER);
    hear_tombstone(&w, PEER, NOW, 7, 0);
    w.item.value = 3;
    merge(&w);
    world_fence(&w);
    w.given[PEER] = 7;
    hear_tombstone(&w, OTHER, NOW - 5, 9, 0); /* written after ours was removed, by a slow clock */
    w.item.value = 8;
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    assert_int_equal(8, look(&w).total);
    assert_true(qp_rules_is_there(&w.state, ME));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_says_a_tombstone_holds_it),
        cmocka_unit_test(test_who_says_an_older_one_or_a_lower_floor_does_not),
        cmocka_unit_test(test_a_newer_tombstone_or_a_higher_floor_has_to_be_held_anew),
        cmocka_unit_test(test_what_a_relay_says_of_holders_does_not_count),
        cmocka_unit_test(test_a_register_that_is_set_has_no_holders),
        cmocka_unit_test(test_a_key_about_to_leave_stays_when_it_is_counted_again),
        cmocka_unit_test(test_a_key_made_again_counts_above_its_grave),
        cmocka_unit_test(test_points_under_a_grave_are_dead_and_what_was_not_stamped_lives),
        cmocka_unit_test(test_a_key_that_only_a_grave_knows_to_be_deleted_leaves),
        cmocka_unit_test(test_a_grave_raises_the_floor_of_a_tombstone_that_is_held),
        cmocka_unit_test(test_a_point_and_a_remove_under_a_grave_are_refused),
        cmocka_unit_test(test_a_register_set_again_by_a_slow_clock_is_newer_than_its_grave),
        cmocka_unit_test(test_what_the_giver_knows_of_and_lacks_goes),
        cmocka_unit_test(test_what_the_giver_has_too_stays),
        cmocka_unit_test(test_nothing_goes_for_what_is_refused_as_ahead),
        cmocka_unit_test(test_a_key_that_the_giver_did_not_have_is_forgotten),
        cmocka_unit_test(test_a_register_that_the_giver_lacks_goes_and_its_remove_stays),
    };
    return cmocka_run_group_tests_name("rules_collect", tests, NULL, NULL);
}
