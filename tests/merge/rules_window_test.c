/* SPDX-License-Identifier: MIT */
/* rules_window_test.c: limits: two stems a replica, resets within a window, floors that reach from one window into another, what is too far ahead and what is
 * over, and what the takers are told. */
#include "rules.h"

static void at_window(struct rules_world *w, uint64_t window)
{
    w->context.now_ms = window * WINDOW_MS;
}

static void look_twice(struct rules_world *w, struct qp_reading_total out[2])
{
    qp_rules_read(&w->state, ME, w->context.now_ms, out);
}

static uint64_t at(uint64_t window)
{
    return (window * WINDOW_MS) << 16;
}

static void test_the_window_before_is_still_there_when_the_next_has_begun(void **unused)
{
    (void)unused;
    struct rules_world w;
    struct qp_reading_total out[2];
    world_open(&w, QP_KIND_LIMIT);
    add(&w, 5);
    hear_point(&w, PEER, EPOCH(WINDOW, 0), 3, NOW, 7);
    merge(&w);
    stamp(&w);
    at_window(&w, WINDOW + 1);
    add(&w, 2);
    hear_point(&w, PEER, EPOCH(WINDOW + 1, 0), 1, at(WINDOW + 1), 8);
    merge(&w);
    stamp(&w);
    assert_int_equal(4, w.state.point_count);
    look_twice(&w, out);
    assert_int_equal(3, out[0].total);
    assert_int_equal(8, out[1].total);
    assert_int_equal(3, out[1].remote);
    at_window(&w, WINDOW + 2);
    look_twice(&w, out);
    assert_int_equal(0, out[0].total);
    assert_int_equal(3, out[1].total);
}

static void test_a_window_is_stamped_until_the_next_one_is_over(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_LIMIT);
    add(&w, 5);
    at_window(&w, WINDOW + 1);
    assert_int_equal(QP_EDIT_PUBLISH, stamp(&w));
    assert_int_equal(EPOCH(WINDOW, 0), w.state.point[0].epoch);
    w.state.cell[0]++;
    at_window(&w, WINDOW + 2);
    assert_int_equal(QP_EDIT_LEAVE, stamp(&w));
    assert_int_equal(5, w.state.point[0].count);
}

static void test_a_stale_and_a_future_window_decide_nothing(void **unused)
{
    (void)unused;
    struct rules_world w;
    struct qp_reading_total out[2];
    world_open(&w, QP_KIND_LIMIT);
    add(&w, 5);
    hear_point(&w, PEER, EPOCH(WINDOW - 4, 9), 100, at(WINDOW - 4), 7);
    hear_point(&w, PEER, EPOCH(WINDOW + 1, 9), 100, at(WINDOW + 1), 8);
    merge(&w);
    look_twice(&w, out);
    assert_int_equal(5, out[0].total);
    assert_int_equal(EPOCH(WINDOW, 0), out[0].epoch);
    assert_int_equal(0, out[1].total);
}

static void test_two_windows_ahead_waits(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_LIMIT);
    hear_point(&w, PEER, EPOCH(WINDOW + 2, 0), 1, NOW, 8);
    hear_point(&w, PEER, EPOCH(WINDOW + 1, 0), 2, NOW, 8);
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    assert_int_equal(QP_REFUSED_SKEW, w.why);
    assert_int_equal(1, w.state.point_count);
    hear_tombstone(&w, PEER, NOW, 8, EPOCH(WINDOW + 2, 0));
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    assert_int_equal(QP_REFUSED_SKEW, w.why);
    assert_int_equal(0, w.state.tombstone.timestamp);
}

static void test_a_window_that_is_over_is_not_kept(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_LIMIT);
    hear_point(&w, PEER, EPOCH(WINDOW - 62, 0), 1, at(WINDOW - 62), 8);
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    assert_int_equal(QP_REFUSED_OLD, w.why);
    hear_point(&w, PEER, EPOCH(WINDOW - 61, 0), 1, at(WINDOW - 61), 8);
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    at_window(&w, WINDOW + 1);
    w.context.sender = OTHER;
    hear_point(&w, OTHER, EPOCH(WINDOW, 0), 1, NOW, 8);
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    assert_int_equal(1, w.state.point_count);
    assert_int_equal(OTHER, w.state.point[0].replica);
}

static void test_a_windows_point_is_judged_by_its_window_not_by_knowledge(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_LIMIT);
    w.known[PEER] = 100; /* the entry was evicted here, and comes again */
    hear_point(&w, PEER, EPOCH(WINDOW, 0), 3, NOW, 8);
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    w.context.sender = 0;
    hear_point(&w, ME, EPOCH(WINDOW, 0), 900, NOW, 8); /* our own life before the eviction */
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    assert_int_equal(QP_REFUSED_OLD, w.why);
    assert_int_equal(3, look(&w).total);
}

static void test_evicted_and_made_again_with_less_is_told(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_LIMIT);
    add(&w, 2); /* its life before, with 9, is at the peers only */
    stamp(&w);
    struct rules_world peer;
    world_open(&peer, QP_KIND_LIMIT);
    peer.context.self = PEER;
    peer.context.sender = ME;
    peer.context.sequence = 2000;
    hear_point(&peer, ME, EPOCH(WINDOW, 0), 9, NOW - 5, 900);
    merge(&peer);
    hear_point(&peer, ME, EPOCH(WINDOW, 0), 2, NOW, w.sequence);
    assert_int_equal(QP_EDIT_PUBLISH, merge(&peer));
    assert_int_equal(2, peer.state.point_count); /* the value is still 9: no fresh budget */
    struct qp_reading_total out[2];
    qp_rules_read(&peer.state, PEER, NOW_MS, out);
    assert_int_equal(9, out[0].total);
}

static void test_a_reset_takes_the_window_before_along_and_both_hosts_count_on(void **unused)
{
    (void)unused;
    struct rules_world w;
    struct qp_reading_total out[2];
    int64_t ended;
    world_open(&w, QP_KIND_LIMIT);
    add(&w, 5);
    stamp(&w);
    at_window(&w, WINDOW + 1);
    add(&w, 3);
    stamp(&w);
    assert_int_equal(0, qp_rules_reset(&w.state, ME, w.context.now_ms, &ended));
    assert_int_equal(3, ended);
    assert_int_equal(EPOCH(WINDOW + 1, 0), w.state.floor);
    assert_int_equal(EPOCH(WINDOW + 1, 1), w.state.own[1].epoch);
    look_twice(&w, out);
    assert_int_equal(0, out[0].total);
    assert_int_equal(0, out[1].total);
    assert_true(qp_rules_is_there(&w.state, ME));
    stamp(&w);
    assert_int_equal(0, w.state.point_count);
    add(&w, 4);
    stamp(&w);
    assert_int_equal(1, w.state.point_count);
    assert_int_equal(EPOCH(WINDOW + 1, 1), w.state.point[0].epoch);
    assert_int_equal(4, w.state.point[0].count);
}

static void test_anothers_reset_of_the_window_is_followed(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_LIMIT);
    add(&w, 5);
    stamp(&w);
    add(&w, 1);
    hear_tombstone(&w, PEER, NOW + 9, 7, EPOCH(WINDOW, 2));
    hear_point(&w, PEER, EPOCH(WINDOW, 3), 8, NOW + 10, 7);
    assert_int_equal(QP_EDIT_PUBLISH, merge(&w));
    assert_int_equal(EPOCH(WINDOW, 3), w.state.own[0].epoch);
    assert_int_equal(5, w.state.own[0].base);
    assert_int_equal(9, look(&w).total);
    stamp(&w);
    assert_int_equal(EPOCH(WINDOW, 3), newest_of(&w, ME)->epoch);
    assert_int_equal(1, newest_of(&w, ME)->count);
}

static void test_a_floor_of_a_window_not_reached_yet_is_waiting_there(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_LIMIT);
    hear_tombstone(&w, PEER, NOW + 9, 7, EPOCH(WINDOW + 1, 0));
    merge(&w);
    at_window(&w, WINDOW + 1);
    add(&w, 6);
    assert_int_equal(6, look(&w).total);
    stamp(&w);
    assert_int_equal(EPOCH(WINDOW + 1, 1), w.state.point[0].epoch);
    assert_int_equal(6, w.state.point[0].count);
}

static void test_a_floor_in_a_later_window_ends_this_one_once(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_LIMIT);
    add(&w, 5);
    stamp(&w);
    add(&w, 1); /* nobody was told of it, and it ends all the same */
    hear_tombstone(&w, PEER, NOW + 9, 7, EPOCH(WINDOW + 1, 0));
    merge(&w);
    assert_int_equal(6, w.state.own[0].base);
    assert_false(qp_rules_is_there(&w.state, ME));
    add(&w, 3);
    hear_tombstone(&w, PEER, NOW + 9, 8, EPOCH(WINDOW + 1, 0));
    merge(&w);
    assert_int_equal(6, w.state.own[0].base); /* again would be a fresh budget at each hearing */
    stamp(&w);
    assert_int_equal(0, w.state.point_count);
    assert_int_equal(0, look(&w).total);
}

static void test_a_cell_that_went_back_to_an_earlier_window_has_no_base_in_the_later_one(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_LIMIT);
    add(&w, 5);
    stamp(&w);
    at_window(&w, WINDOW - 2);
    add(&w, 3);
    at_window(&w, WINDOW);
    hear_tombstone(&w, PEER, NOW + 9, 7, EPOCH(WINDOW, 0));
    merge(&w);
    assert_int_equal(EPOCH(WINDOW, 1), w.state.own[0].epoch);
    add(&w, 4); /* from 0 again */
    assert_int_equal(4, look(&w).total);
}

static void test_a_floor_in_an_earlier_window_leaves_this_one(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_LIMIT);
    add(&w, 5);
    stamp(&w);
    hear_tombstone(&w, PEER, NOW - 9, 7, EPOCH(WINDOW - 1, 0));
    merge(&w);
    assert_int_equal(0, w.state.own[0].base);
    assert_int_equal(5, look(&w).total);
    assert_int_equal(EPOCH(WINDOW - 1, 1), w.state.own[1].epoch);
}

static void test_an_own_point_killed_by_the_version_alone_keeps_its_window(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_LIMIT);
    add(&w, 5);
    stamp(&w);
    add(&w, 2);
    hear_tombstone(&w, PEER, NOW + 9, 7, EPOCH(WINDOW - 1, 0));
    merge(&w);
    assert_int_equal(EPOCH(WINDOW, 0), w.state.own[0].epoch);
    assert_int_equal(5, w.state.own[0].base);
    stamp(&w);
    assert_int_equal(2, newest_of(&w, ME)->count);
}

/* The window that the reset was made in is of the same parity, and a block has room for one epoch a parity: the window of what was lost has it. */
static void test_a_reset_two_windows_back_does_not_bring_back_what_it_ended(void **unused)
{
    (void)unused;
    for (int heard = 0; heard < 2; heard++) {
        struct rules_world w;
        world_open(&w, QP_KIND_LIMIT);
        add(&w, 5);
        stamp(&w);
        add(&w, 2);
        hear_tombstone(&w, PEER, NOW + 9, 7, EPOCH(WINDOW - 2, 0));
        if (heard)
            hear_point(&w, PEER, EPOCH(WINDOW - 2, 2), 1, NOW + 10, 7);
        merge(&w);
        assert_int_equal(EPOCH(WINDOW, 0), w.state.own[0].epoch);
        assert_int_equal(5, w.state.own[0].base);
        stamp(&w);
        assert_int_equal(2, newest_of(&w, ME)->count);
        assert_int_equal(2, look(&w).total);
    }
}

/* It has lost nothing of the later window: nothing keeps the block from saying where the earlier one is. */
static void test_a_reset_two_windows_back_is_followed_by_who_lost_nothing(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_LIMIT);
    add(&w, 5);
    hear_tombstone(&w, PEER, NOW + 9, 7, EPOCH(WINDOW - 2, 0));
    merge(&w);
    assert_int_equal(EPOCH(WINDOW - 2, 1), w.state.own[0].epoch);
    stamp(&w);
    assert_int_equal(5, look(&w).total);
}

static void test_a_delete_is_seen_to_be_one_on_both_hosts(void **unused)
{
    (void)unused;
    struct rules_world w;
    int64_t ended;
    world_open(&w, QP_KIND_LIMIT);
    add(&w, 5);
    at_window(&w, WINDOW + 1);
    add(&w, 2);
    stamp(&w);
    assert_int_equal(0, qp_rules_delete(&w.state, ME, w.context.now_ms, &ended));
    assert_int_equal(2, ended);
    assert_false(qp_rules_is_there(&w.state, ME));
    assert_int_equal(-ENOENT, qp_rules_delete(&w.state, ME, w.context.now_ms, &ended));
    stamp(&w);
    assert_int_equal(0, w.state.point_count);
    assert_false(qp_rules_is_there(&w.state, ME));
}

static void test_resets_within_a_window_have_an_end(void **unused)
{
    (void)unused;
    struct rules_world w;
    int64_t ended;
    world_open(&w, QP_KIND_LIMIT);
    add(&w, 5);
    w.state.own[0].epoch = EPOCH(WINDOW, 0xffff);
    assert_int_equal(-EOVERFLOW, qp_rules_reset(&w.state, ME, NOW_MS, &ended));
    assert_int_equal(-EOVERFLOW, qp_rules_delete(&w.state, ME, NOW_MS, &ended));
    assert_int_equal(0, w.state.tombstone.timestamp);
    hear_tombstone(&w, PEER, NOW, 7, EPOCH(WINDOW, 0xffff)); /* the epoch after it would be in the next millisecond */
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    assert_int_equal(QP_REFUSED_MALFORMED, w.why);
}

static void test_a_reset_by_a_clock_that_went_back_does_not_lower_the_floor(void **unused)
{
    (void)unused;
    struct rules_world w;
    int64_t ended;
    world_open(&w, QP_KIND_LIMIT);
    hear_tombstone(&w, PEER, NOW, 7, 0); /* of nothing */
    merge(&w);
    assert_int_equal(0, w.state.own[0].epoch);
    hear_tombstone(&w, PEER, NOW + 1, 7, EPOCH(WINDOW + 1, 0));
    merge(&w);
    add(&w, 1);
    assert_int_equal(0, qp_rules_reset(&w.state, ME, NOW_MS, &ended));
    assert_int_equal(EPOCH(WINDOW + 1, 0), w.state.floor);
}

static void test_what_no_honest_host_says_of_a_window(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_LIMIT);
    hear_point(&w, PEER, EPOCH(WINDOW, 0) + (UINT64_C(7) << 16), 1, NOW, 7); /* no window begins there */
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    assert_int_equal(QP_REFUSED_MALFORMED, w.why);
    hear_point(&w, PEER, EPOCH(WINDOW, 0), (UINT64_C(1) << 39) + 1, NOW, 7);
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    assert_int_equal(QP_REFUSED_MALFORMED, w.why);
    hear_point(&w, PEER, UINT64_MAX, 1, NOW, 7);
    assert_int_equal(QP_EDIT_LEAVE, merge(&w));
    assert_true(w.why == QP_REFUSED_MALFORMED || w.why == QP_REFUSED_SKEW);
}

static void test_takers_are_told_of_the_own_epoch_of_each_window(void **unused)
{
    (void)unused;
    struct rules_world w;
    uint64_t epoch[2], count[2];
    world_open(&w, QP_KIND_LIMIT);
    w.context.sender = 0;
    hear_point(&w, PEER, EPOCH(WINDOW, 1), 3, NOW, 7);
    hear_point(&w, OTHER, EPOCH(WINDOW, 1), 4, NOW, 7);
    hear_point(&w, 99, EPOCH(WINDOW, 0), 100, NOW, 7);
    hear_point(&w, PEER, EPOCH(WINDOW - 1, 0), 8, NOW - 9, 7);
    merge(&w);
    qp_rules_remote(&w.state, ME, epoch, count);
    assert_int_equal(EPOCH(WINDOW, 1), epoch[0]);
    assert_int_equal(7, count[0]);
    assert_int_equal(EPOCH(WINDOW - 1, 0), epoch[1]);
    assert_int_equal(8, count[1]);
    w.state.own[0].epoch = EPOCH(WINDOW, 2); /* a worker's reset: what the others counted is of an epoch that is over */
    qp_rules_remote(&w.state, ME, epoch, count);
    assert_int_equal(EPOCH(WINDOW, 2), epoch[0]);
    assert_int_equal(0, count[0]);
    hear_point(&w, OTHER, EPOCH(WINDOW + 1, 0), 2, NOW + 1,
               8); /* the same parity, another window: nothing stale is left */
    merge(&w);
    qp_rules_remote(&w.state, ME, epoch, count);
    assert_int_equal(EPOCH(WINDOW + 1, 0), epoch[1]);
    assert_int_equal(2, count[1]);
    w.state.host_only = true;
    qp_rules_remote(&w.state, ME, epoch, count);
    assert_int_equal(0, count[0] + count[1] + epoch[0] + epoch[1]);
}

static void test_a_clock_that_goes_back_again_and_again_does_not_grow_the_state(void **unused)
{
    (void)unused;
    struct rules_world w;
    world_open(&w, QP_KIND_LIMIT);
    for (uint64_t i = 0; i < 9; i++) {
        at_window(&w, WINDOW - 2 * i);
        add(&w, 1 + i);
        stamp(&w);
        assert_true(w.state.point_count <= QP_POINTS_PER_STEM);
        assert_int_equal(EPOCH(WINDOW - 2 * i, 0), newest_of(&w, ME)->epoch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_window_before_is_still_there_when_the_next_has_begun),
        cmocka_unit_test(test_a_window_is_stamped_until_the_next_one_is_over),
        cmocka_unit_test(test_a_stale_and_a_future_window_decide_nothing),
        cmocka_unit_test(test_two_windows_ahead_waits),
        cmocka_unit_test(test_a_window_that_is_over_is_not_kept),
        cmocka_unit_test(test_a_windows_point_is_judged_by_its_window_not_by_knowledge),
        cmocka_unit_test(test_evicted_and_made_again_with_less_is_told),
        cmocka_unit_test(test_a_reset_takes_the_window_before_along_and_both_hosts_count_on),
        cmocka_unit_test(test_anothers_reset_of_the_window_is_followed),
        cmocka_unit_test(test_a_floor_of_a_window_not_reached_yet_is_waiting_there),
        cmocka_unit_test(test_a_floor_in_a_later_window_ends_this_one_once),
        cmocka_unit_test(test_a_cell_that_went_back_to_an_earlier_window_has_no_base_in_the_later_one),
        cmocka_unit_test(test_a_floor_in_an_earlier_window_leaves_this_one),
        cmocka_unit_test(test_an_own_point_killed_by_the_version_alone_keeps_its_window),
        cmocka_unit_test(test_a_reset_two_windows_back_does_not_bring_back_what_it_ended),
        cmocka_unit_test(test_a_reset_two_windows_back_is_followed_by_who_lost_nothing),
        cmocka_unit_test(test_a_delete_is_seen_to_be_one_on_both_hosts),
        cmocka_unit_test(test_resets_within_a_window_have_an_end),
        cmocka_unit_test(test_a_reset_by_a_clock_that_went_back_does_not_lower_the_floor),
        cmocka_unit_test(test_what_no_honest_host_says_of_a_window),
        cmocka_unit_test(test_takers_are_told_of_the_own_epoch_of_each_window),
        cmocka_unit_test(test_a_clock_that_goes_back_again_and_again_does_not_grow_the_state),
    };
    return cmocka_run_group_tests_name("rules_window", tests, NULL, NULL);
}
