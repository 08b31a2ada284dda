/* SPDX-License-Identifier: MIT */
/* account_test.c: what the account makes of counts, losses and refunds: a world is only as right as what it is judged
 * by, and an account that asks too little finds nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "account.h"

#define WINDOW_MS 1000
#define W UINT64_C(1800000000) /* a window */
#define EPOCH(window) (((window) * WINDOW_MS) << 16)
#define ANY_TIME UINT64_MAX

enum { A, B };

static struct sim_account *account;

static int begin(void **unused)
{
    (void)unused;
    struct sim_profile profile = {.theme = SIM_THEME_LIMITS, .keys = 1, .window_ms = WINDOW_MS, .limit = 10};
    struct sim_random random = sim_random_new(1, 1);
    account = malloc(sizeof *account);
    assert_non_null(account);
    sim_account_init(account, &profile, &random);
    for (uint32_t life = A; life <= B; life++)
        assert_int_equal(sim_account_born(account, life, 100 + life), life);
    return 0;
}

static int end(void **unused)
{
    (void)unused;
    assert_string_equal(account->wrong, "");
    sim_account_free(account);
    free(account);
    return 0;
}

static void count(uint32_t life, uint64_t window, uint64_t n, uint64_t at_ms)
{
    sim_account_add(account, life, 0, EPOCH(window), n, at_ms, false);
}

static uint64_t used_for_long(uint32_t life, uint64_t window, uint64_t until_ms)
{
    return sim_account_used_for_long(account, life, 0, window, until_ms);
}

static void test_what_was_counted_is_known_in_time(void **unused)
{
    (void)unused;
    count(A, W, 4, 100);
    count(B, W, 3, 200);
    assert_int_equal(used_for_long(A, W, 99), 0);
    assert_int_equal(used_for_long(A, W, 100), 4);
    assert_int_equal(used_for_long(A, W, ANY_TIME), 7);
    assert_int_equal(sim_account_used_most(account, 0, W), 7);
}

/* What a segment had not told goes with it, and nobody can hold it against a take; who heard of it all the same may. */
static void test_the_lost_counts_as_far_as_it_is_known(void **unused)
{
    (void)unused;
    struct qp_point heard = {.epoch = EPOCH(W), .count = 3, .timestamp = 7, .replica = 100}, older = heard;
    older.epoch = EPOCH(W - 2);
    count(A, W, 4, 100);
    count(B, W, 3, 200);
    sim_account_lost(account, A);
    assert_int_equal(used_for_long(B, W, ANY_TIME), 3);
    assert_int_equal(sim_account_used_most(account, 0, W), 7);
    sim_account_known(account, 0, A, 0, &older); /* of the same parity */
    assert_int_equal(used_for_long(B, W, ANY_TIME), 3);
    sim_account_known(account, 0, A, 0, &heard);
    assert_int_equal(used_for_long(B, W, ANY_TIME), 6);
}

/* Peers are not told of what is given back. */
static void test_refunds_are_the_takers_own(void **unused)
{
    (void)unused;
    count(A, W, 5, 100);
    sim_account_refund(account, A, 0, EPOCH(W), 2);
    assert_int_equal(used_for_long(A, W, ANY_TIME), 3);
    assert_int_equal(used_for_long(B, W, ANY_TIME), 5);
    assert_int_equal(sim_account_used_most(account, 0, W), 5);
    sim_account_refund(account, A, 0, EPOCH(W), 9);
    assert_int_equal(used_for_long(A, W, ANY_TIME), 0);
}

/* A's clock is ahead, B's is not: what B had heard of the next window is older than his reset of this one, and ends
 * with it. What he had not heard goes on. */
static void test_a_reset_ends_what_was_heard_of_the_next_window(void **unused)
{
    (void)unused;
    static struct qp_state told, cut;
    uint64_t now_ms = (W + 1) * WINDOW_MS;
    told = (struct qp_state){.kind = QP_KIND_LIMIT, .window_ms = WINDOW_MS, .cell = {0, 5}, .cell_window = {0, W + 1}, .point_count = 1};
    told.point[0] = (struct qp_point){.epoch = EPOCH(W + 1), .count = 5, .timestamp = now_ms << 16, .replica = 100, .sequence = 1};
    cut = (struct qp_state){.kind = QP_KIND_LIMIT, .window_ms = WINDOW_MS, .own = {{.epoch = EPOCH(W) + 1}}, .floor = EPOCH(W)};
    cut.tombstone = (struct qp_version){(now_ms << 16) + 1, 101};
    count(A, W + 1, 5, 100);
    sim_account_observe(account, A, 0, &told, now_ms);
    count(A, W + 1, 2, 200);
    assert_int_equal(used_for_long(B, W + 1, ANY_TIME), 7);
    for (int again = 0; again < 2; again++) {
        sim_account_cut(account, B, 0, &cut, false, 0);
        assert_int_equal(used_for_long(B, W + 1, ANY_TIME), 2);
        assert_int_equal(sim_account_used_most(account, 0, W + 1), 7);
        cut.tombstone.timestamp++;
    }
}

static void test_only_the_newest_window_is_known(void **unused)
{
    (void)unused;
    count(A, W, 5, 100);
    count(A, W + 1, 2, 1100);
    count(B, W, 1, 1200); /* his clock is behind */
    sim_account_refund(account, A, 0, EPOCH(W), 3);
    assert_true(used_for_long(A, W, ANY_TIME) == UINT64_MAX);
    assert_true(sim_account_used_most(account, 0, W) == UINT64_MAX);
    assert_int_equal(used_for_long(A, W + 1, ANY_TIME), 2);
    assert_int_equal(used_for_long(A, W + 2, ANY_TIME), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_was_counted_is_known_in_time, begin, end),
        cmocka_unit_test_setup_teardown(test_the_lost_counts_as_far_as_it_is_known, begin, end),
        cmocka_unit_test_setup_teardown(test_refunds_are_the_takers_own, begin, end),
        cmocka_unit_test_setup_teardown(test_a_reset_ends_what_was_heard_of_the_next_window, begin, end),
        cmocka_unit_test_setup_teardown(test_only_the_newest_window_is_known, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
