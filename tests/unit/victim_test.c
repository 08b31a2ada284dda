/* SPDX-License-Identifier: MIT */
/* victim_test.c: what is remembered of evicted keys: shares that never come back smaller, words that are replaced in the right order, times that
 * come round, and threads that remember at once. */
#include "unit.h"

#include <pthread.h>

#include "shm/victim.h"

#define NOW UNIT_NOW_MS
#define UNIT_MS QP_VICTIM_UNIT_MS
#define ROUND_MS ((UINT64_C(1) << 23) * UNIT_MS) /* after which times look alike */

/* The hash of the i-th key in bucket 0; its fingerprint is its own. */
static uint64_t hash_of(const struct qp_view *view, uint64_t i)
{
    assert_true(view->victim_mask < UINT64_C(1) << 20);
    return (i + 1) << 42 | 5;
}

static void remember(struct unit_segment *s, uint64_t i, uint64_t until_ms, uint64_t resets, uint64_t share)
{
    struct qp_victim victim = {hash_of(&s->view, i), until_ms, resets, share};
    qp_victim_remember(&s->view, &victim, NOW);
}

static bool recall(struct unit_segment *s, uint64_t i, uint64_t until_ms, uint64_t resets, uint64_t share)
{
    struct qp_victim victim = {.hash = hash_of(&s->view, i), .until_ms = until_ms};
    return qp_victim_recall(&s->view, &victim) && victim.resets == resets && victim.share == share;
}

static bool is_known(struct unit_segment *s, uint64_t i, uint64_t until_ms)
{
    struct qp_victim victim = {.hash = hash_of(&s->view, i), .until_ms = until_ms};
    bool known = qp_victim_recall(&s->view, &victim);
    assert_true(known || (victim.resets == 0 && victim.share == 0));
    return known;
}

static uint64_t forgotten(const struct unit_segment *s)
{
    return s->view.header->stat_forgotten;
}

/* ---- shares ----------------------------------------------------------------------------------------------------------- */

static void test_a_share_comes_back_whole_up_to_16383_and_never_smaller_above(void **state)
{
    (void)state;
    for (uint64_t limit = 1; limit <= 16383; limit = limit < 300 ? limit + 1 : limit + 1 + limit / 3)
        for (uint64_t used = 0; used <= limit; used++)
            assert_int_equal(used, qp_victim_used(qp_victim_share(used, limit), limit));
    uint64_t noise = 3;
    for (int i = 0; i < 200000; i++) {
        uint64_t limit = 16384 + (unit_random(&noise) >> (3 + unit_random(&noise) % 42)),
                 used = unit_random(&noise) % (limit + 1);
        uint64_t back = qp_victim_used(qp_victim_share(used, limit), limit);
        assert_true(back >= used && back <= limit && back - used <= limit / 16383 + 1);
    }
    assert_int_equal(QP_VICTIM_SHARE_FULL, qp_victim_share(QP_CELL_COUNT_MAX, 1));
    assert_int_equal(QP_CELL_COUNT_MAX, qp_victim_used(QP_VICTIM_SHARE_FULL, QP_CELL_COUNT_MAX));
    assert_int_equal(0, qp_victim_share(0, QP_CELL_COUNT_MAX));
    assert_int_equal(1, qp_victim_share(1, QP_CELL_COUNT_MAX));
}

/* ---- remembering ------------------------------------------------------------------------------------------------------- */

static void test_a_victim_is_known_by_its_key_and_its_window(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    assert_false(is_known(&s, 0, NOW + 1000));
    remember(&s, 0, NOW + 1000, 3, 77);
    assert_true(recall(&s, 0, NOW + 1000, 3, 77));
    assert_false(is_known(&s, 1, NOW + 1000));
    assert_false(is_known(&s, 0, NOW + 2000));
    remember(&s, 0, NOW + 2000, 0, 5);
    assert_true(recall(&s, 0, NOW + 1000, 3, 77));
    assert_true(recall(&s, 0, NOW + 2000, 0, 5));
    assert_int_equal(2, qp_victim_count(&s.view, NOW));
    unit_close(&s);
}

static void test_remembering_again_keeps_the_most(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    remember(&s, 0, NOW + 1000, 1, 50);
    remember(&s, 0, NOW + 1000, 1, 40);
    assert_true(recall(&s, 0, NOW + 1000, 1, 50));
    remember(&s, 0, NOW + 1000, 1, 60);
    assert_true(recall(&s, 0, NOW + 1000, 1, 60));
    remember(&s, 0, NOW + 1000, 0, QP_VICTIM_SHARE_FULL); /* before a reset that is known */
    assert_true(recall(&s, 0, NOW + 1000, 1, 60));
    remember(&s, 0, NOW + 1000, 2, 7); /* after one: a later epoch */
    assert_true(recall(&s, 0, NOW + 1000, 2, 7));
    assert_int_equal(1, qp_victim_count(&s.view, NOW));
    assert_int_equal(0, forgotten(&s));
    unit_close(&s);
}

static void test_words_whose_time_is_over_are_replaced_first(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    for (uint64_t i = 0; i < QP_VICTIM_WORDS; i++)
        remember(&s, i, i == 5 ? NOW : NOW + 1000, 0, i == 5 ? QP_VICTIM_SHARE_FULL : 1);
    remember(&s, 20, NOW + 1000, 0, 1);
    assert_true(recall(&s, 20, NOW + 1000, 0, 1));
    assert_false(is_known(&s, 5, NOW));
    for (uint64_t i = 0; i < QP_VICTIM_WORDS; i++)
        assert_true(i == 5 || is_known(&s, i, NOW + 1000));
    assert_int_equal(0, forgotten(&s));
    unit_close(&s);
}

static void test_then_the_least_used_and_what_is_lost_is_counted(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    for (uint64_t i = 0; i < QP_VICTIM_WORDS; i++)
        remember(&s, i, NOW + 1000, 0, 100 + (i ^ 3)); /* number 3 has least */
    remember(&s, 20, NOW + 1000, 0, 500);
    assert_false(is_known(&s, 3, NOW + 1000));
    assert_true(recall(&s, 20, NOW + 1000, 0, 500));
    assert_int_equal(1, forgotten(&s));
    remember(&s, 21, NOW + 1000, 0, 50); /* less than anyone here: it is the one that is forgotten */
    assert_false(is_known(&s, 21, NOW + 1000));
    assert_int_equal(2, forgotten(&s));
    assert_true(is_known(&s, 2, NOW + 1000));
    remember(&s, 2, NOW + 1000, 0, 102); /* known already: nobody else's word is touched */
    assert_int_equal(2, forgotten(&s));
    assert_int_equal(QP_VICTIM_WORDS, qp_victim_count(&s.view, NOW));
    unit_close(&s);
}

/* ---- time -------------------------------------------------------------------------------------------------------------- */

static void test_a_word_matters_until_its_time_rounded_up(void **state)
{
    (void)state;
    for (uint64_t ms = 1; ms <= 3 * UNIT_MS; ms++) {
        struct unit_segment s;
        unit_open(&s, 10, 4);
        remember(&s, 0, NOW + ms, 0, 9);
        assert_int_equal(1, qp_victim_count(&s.view, NOW + ms - 1));
        assert_int_equal(0, qp_victim_count(&s.view, NOW + ms + UNIT_MS));
        assert_true(recall(&s, 0, NOW + ms, 0, 9));
        unit_close(&s);
    }
}

static void test_times_far_ahead_and_long_past_are_told_apart(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    remember(&s, 0, NOW + QP_VICTIM_AHEAD_MAX_MS, 0, 9);
    assert_int_equal(1, qp_victim_count(&s.view, NOW));
    assert_int_equal(1, qp_victim_count(&s.view, NOW + QP_VICTIM_AHEAD_MAX_MS - UNIT_MS));
    for (uint64_t later_ms = UNIT_MS; later_ms < ROUND_MS / 2; later_ms += ROUND_MS / 9)
        assert_int_equal(0, qp_victim_count(&s.view, NOW + QP_VICTIM_AHEAD_MAX_MS + later_ms));
    unit_close(&s);
}

static void test_a_sweep_empties_what_is_over_in_its_buckets_only(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 1000, 4);
    uint64_t buckets = s.view.victim_mask + 1, left = 0;
    assert_true(buckets >= 8);
    for (uint64_t i = 0; i < buckets * 4; i++) {
        struct qp_victim victim = {(i + 1) << 42 | (i / 4) << 12, i % 2 ? NOW + 1000 : NOW + 64, 0, 1 + i};
        qp_victim_remember(&s.view, &victim, NOW);
        left += i % 2;
    }
    uint64_t later_ms = NOW + 500;
    assert_int_equal(0, qp_victim_sweep(&s.view, 0, buckets, NOW));
    assert_int_equal(left, qp_victim_count(&s.view, later_ms));
    assert_int_equal(2, qp_victim_sweep(&s.view, 3, 1, later_ms));
    assert_int_equal(0, qp_victim_sweep(&s.view, 3, 1, later_ms));
    assert_int_equal(2, qp_victim_sweep(&s.view, buckets - 1, 100, later_ms)); /* not beyond the last */
    assert_int_equal(0, qp_victim_sweep(&s.view, buckets, 100, later_ms));
    assert_int_equal(2 * buckets - 4, qp_victim_sweep(&s.view, 0, buckets, later_ms));
    assert_int_equal(left, qp_victim_count(&s.view, NOW));
    unit_close(&s);
}

/* What a bucket's word needs: the latest of a key's times that can be its own. */
static void test_the_latest_time_of_a_key_is_found_within_bounds(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_victim victim;
    unit_open(&s, 10, 4);
    victim = (struct qp_victim){.hash = hash_of(&s.view, 0)};
    assert_false(qp_victim_recall_latest(&s.view, &victim, NOW, UINT64_MAX));
    remember(&s, 0, NOW + 10 * UNIT_MS, 0, 10);
    remember(&s, 0, NOW + 30 * UNIT_MS, 0, 30);
    remember(&s, 0, NOW + 20 * UNIT_MS, 0, 20);
    remember(&s, 1, NOW + 40 * UNIT_MS, 0, 40);
    assert_true(qp_victim_recall_latest(&s.view, &victim, NOW, UINT64_MAX));
    assert_int_equal(NOW + 30 * UNIT_MS, victim.until_ms);
    assert_int_equal(30, victim.share);
    assert_true(qp_victim_recall_latest(&s.view, &victim, NOW, NOW + 29 * UNIT_MS));
    assert_int_equal(NOW + 20 * UNIT_MS, victim.until_ms);
    assert_false(qp_victim_recall_latest(&s.view, &victim, NOW, NOW + 9 * UNIT_MS));
    assert_false(qp_victim_recall_latest(&s.view, &victim, NOW + 30 * UNIT_MS, UINT64_MAX));
    unit_close(&s);
}

/* ---- threads at once --------------------------------------------------------------------------------------------------- */

#define KEYS 6 /* fewer than there are words */

static void *remember_all(void *arg)
{
    struct unit_segment *s = arg;
    for (uint64_t share = 1; share < 2000; share++)
        for (uint64_t i = 0; i < KEYS; i++)
            remember(s, i, NOW + 1000, 0, share + i);
    return NULL;
}

static void test_of_what_several_remember_at_once_the_most_stays(void **state)
{
    (void)state;
    struct unit_segment s;
    pthread_t threads[3];
    unit_open(&s, 10, 4);
    for (int i = 0; i < 3; i++)
        assert_int_equal(0, pthread_create(&threads[i], NULL, remember_all, &s));
    for (int i = 0; i < 3; i++)
        assert_int_equal(0, pthread_join(threads[i], NULL));
    for (uint64_t i = 0; i < KEYS; i++)
        assert_true(recall(&s, i, NOW + 1000, 0, 1999 + i));
    assert_int_equal(0, forgotten(&s));
    unit_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_share_comes_back_whole_up_to_16383_and_never_smaller_above),
        cmocka_unit_test(test_a_victim_is_known_by_its_key_and_its_window),
        cmocka_unit_test(test_remembering_again_keeps_the_most),
        cmocka_unit_test(test_words_whose_time_is_over_are_replaced_first),
        cmocka_unit_test(test_then_the_least_used_and_what_is_lost_is_counted),
        cmocka_unit_test(test_a_word_matters_until_its_time_rounded_up),
        cmocka_unit_test(test_times_far_ahead_and_long_past_are_told_apart),
        cmocka_unit_test(test_a_sweep_empties_what_is_over_in_its_buckets_only),
        cmocka_unit_test(test_the_latest_time_of_a_key_is_found_within_bounds),
        cmocka_unit_test(test_of_what_several_remember_at_once_the_most_stays),
    };
    return cmocka_run_group_tests_name("victims", tests, NULL, NULL);
}
