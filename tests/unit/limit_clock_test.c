/* SPDX-License-Identifier: MIT */
/* limit_clock_test.c: windows and the clocks of those who take from them: callers that are behind, clocks that jump and come back, keys that
 * nobody used until the numbers of windows came round; and threads at once whose times drift apart. */
#include "unit.h"

#include <pthread.h>

#define W 1000u
#define SKEW 62 /* windows of a second: 60 s and two windows */
#define HOUR_MS UINT64_C(3600000)

static const unsigned algorithms[] = {QP_ALGORITHM_FIXED, QP_ALGORITHM_SLIDING};
#define EACH_ALGORITHM(a) (unsigned a = 0; a < 2; a++)

static int take(struct unit_segment *s, struct qp_entry *entry, uint64_t n, uint64_t now_ms, bool fresh,
                struct qp_verdict *out)
{
    return unit_take(&s->worker, entry, &(struct qp_ask){.n = n, .limit = 10, .now_ms = now_ms, .fresh = fresh}, out);
}

static struct qp_use use_at(struct unit_segment *s, const struct qp_entry *entry, uint64_t now_ms)
{
    struct qp_use use;
    struct qp_reading reading;
    qp_limit_use(&s->view, entry, now_ms, &use);
    assert_int_equal(0, qp_shard_read(&s->view, entry, now_ms, &reading)); /* those who only read agree */
    assert_int_equal(use.current, reading.own);
    assert_int_equal(use.window * W, reading.epoch >> 16);
    return use;
}

/* ---- callers that are behind ----------------------------------------------------------------------------------------- */

static void test_who_is_behind_is_decided_in_the_newest_window_at_its_first_millisecond(void **state)
{
    (void)state;
    for (uint64_t behind_ms = 1; behind_ms <= SKEW * W; behind_ms += 499)
        for
            EACH_ALGORITHM(a)
            {
                struct unit_segment s;
                struct qp_verdict verdict;
                unit_open(&s, 10, 4);
                struct qp_entry *entry = unit_limit(&s, "a", algorithms[a], W);
                assert_int_equal(0, take(&s, entry, 4, UNIT_NOW_MS - W, false, NULL));
                assert_int_equal(0, take(&s, entry, 3, UNIT_NOW_MS, false, NULL));
                uint64_t wants = algorithms[a] == QP_ALGORITHM_SLIDING ? 10 - 3 - 4 : 10 - 3;
                assert_int_equal(3, use_at(&s, entry, UNIT_NOW_MS - behind_ms).current);
                assert_int_equal(1, take(&s, entry, wants + 1, UNIT_NOW_MS - behind_ms, false, &verdict));
                /* In sliding windows something comes back with the first ms; else with the next window. Its clock has to get there first. */
                assert_int_equal(behind_ms + (algorithms[a] == QP_ALGORITHM_SLIDING ? 1 : W), verdict.retry_after_ms);
                assert_int_equal(0, take(&s, entry, wants, UNIT_NOW_MS - behind_ms, false, &verdict));
                assert_int_equal(UNIT_NOW_MS << 16, verdict.epoch);
                assert_int_equal(UNIT_NOW_MS + W, verdict.reset_ms);
                assert_int_equal(1, take(&s, entry, 1, UNIT_NOW_MS, false, NULL));
                unit_close(&s);
            }
}

static void test_a_skew_is_a_minute_and_two_windows_whatever_their_length(void **state)
{
    (void)state;
    const uint32_t lengths[] = {100, 1000, 60000, 86400000};
    for (int i = 0; i < 4; i++) {
        struct unit_segment s;
        struct qp_ask ask = {.n = 1, .limit = 10};
        unit_open(&s, 10, 4);
        uint64_t window_ms = lengths[i], skew = (uint64_t)qp_window_skew(lengths[i]), window = UNIT_NOW_MS / window_ms;
        struct qp_entry *entry = unit_limit(&s, "a", QP_ALGORITHM_FIXED, lengths[i]);
        ask.now_ms = (window + skew) * window_ms;
        assert_int_equal(0, unit_take(&s.worker, entry, &ask, NULL));
        ask.now_ms = window * window_ms;
        assert_int_equal(0, unit_take(&s.worker, entry, &ask, NULL));
        assert_int_equal(2, qp_cell_count_in(entry->cell[(window + skew) & 1], window + skew));
        ask.now_ms = window * window_ms - 1;
        assert_int_equal(QP_LIMIT_ASK_AGAIN, unit_take(&s.worker, entry, &ask, NULL));
        assert_int_equal(2, qp_cell_count_in(entry->cell[(window + skew) & 1], window + skew));
        unit_close(&s);
    }
}

/* ---- clocks that jump ------------------------------------------------------------------------------------------------ */

/* The clock jumps ahead and comes back, or goes back for good: to the windows it is the same. A stale time may not judge; a fresh one gives a whole
 * budget at once, and what was left does not come up again when the clock gets there. */
static void test_windows_that_a_jump_left_ahead_are_rolled_back_by_a_fresh_time_only(void **state)
{
    (void)state;
    const uint64_t ahead[] = {SKEW + 1, SKEW + 2, 1000, HOUR_MS / W, HOUR_MS / W + 1, 1u << 20, (1u << 23) - 3};
    for (size_t i = 0; i < sizeof ahead / sizeof ahead[0]; i++)
        for (int both = 0; both < 2; both++)
            for
                EACH_ALGORITHM(a)
                {
                    struct unit_segment s;
                    struct qp_verdict verdict;
                    /* Opening a sliding window leaves its seal in the one before as well. */
                    uint64_t there_ms = UNIT_NOW_MS + (ahead[i] + a) * W;
                    unit_open(&s, 10, 4);
                    struct qp_entry *entry = unit_limit(&s, "a", algorithms[a], W);
                    assert_int_equal(0, take(&s, entry, 10, there_ms, false, NULL));
                    if (both)
                        assert_int_equal(0, take(&s, entry, algorithms[a] ? 1 : 10, there_ms + W + 999, false, NULL));
                    uint64_t cells[] = {entry->cell[0], entry->cell[1]};
                    assert_int_equal(QP_LIMIT_ASK_AGAIN, take(&s, entry, 1, UNIT_NOW_MS, false, &verdict));
                    assert_memory_equal(cells, entry->cell, sizeof cells);
                    assert_int_equal(0, use_at(&s, entry, UNIT_NOW_MS).current);
                    assert_int_equal(0, take(&s, entry, 10, UNIT_NOW_MS, true, &verdict));
                    assert_int_equal(UNIT_NOW_MS << 16, verdict.epoch);
                    assert_int_equal(1, take(&s, entry, 1, UNIT_NOW_MS, false, NULL));
                    assert_int_equal(10, use_at(&s, entry, UNIT_NOW_MS).current);
                    /* Used now and then until the clock is where the jump had been. */
                    for (uint64_t now_ms = UNIT_NOW_MS + 2 * W; now_ms < there_ms + 3 * W;
                         now_ms += (ahead[i] / 50 + 2) / 2 * 2 * W)
                        assert_int_equal(0, take(&s, entry, 10, now_ms, false, NULL));
                    unit_close(&s);
                }
}

static void test_a_look_at_what_a_jump_left_changes_nothing(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_verdict verdict;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = unit_limit(&s, "a", QP_ALGORITHM_SLIDING, W);
    struct qp_ask ask = {.n = 1, .limit = 10, .now_ms = UNIT_NOW_MS, .look = true, .fresh = true};
    assert_int_equal(0, take(&s, entry, 10, UNIT_NOW_MS + HOUR_MS, false, NULL));
    uint64_t cells[] = {entry->cell[0], entry->cell[1]};
    assert_int_equal(0, unit_take(&s.worker, entry, &ask, &verdict));
    assert_int_equal(10, verdict.remaining);
    assert_memory_equal(cells, entry->cell, sizeof cells);
    unit_close(&s);
}

/* A clock set back by less than the skew: who is behind is decided in the newest window until the clock gets there. */
static void test_a_clock_set_back_a_little_waits_for_itself(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_verdict verdict;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = unit_limit(&s, "a", QP_ALGORITHM_FIXED, W);
    assert_int_equal(0, take(&s, entry, 10, UNIT_NOW_MS, false, NULL));
    for (uint64_t now_ms = UNIT_NOW_MS - 30 * W; now_ms < UNIT_NOW_MS + W; now_ms += 333) {
        assert_int_equal(1, take(&s, entry, 1, now_ms, true, &verdict));
        assert_int_equal(UNIT_NOW_MS + W - now_ms, verdict.retry_after_ms);
    }
    assert_int_equal(0, take(&s, entry, 10, UNIT_NOW_MS + W, false, NULL));
    unit_close(&s);
}

/* ---- numbers that come round ------------------------------------------------------------------------------------------ */

/* 24 bits of a window's number are kept, and with windows of 100 ms that is 19 days: a key that nobody used for so long starts afresh. */
static void test_a_key_unused_until_its_windows_number_comes_round_starts_afresh(void **state)
{
    (void)state;
    const uint64_t round = UINT64_C(1) << 24, half = round / 2;
    const uint64_t idle[] = {half - 1,  half,  half + 1,  round - SKEW - 1, round - SKEW, round - 3,    round - 2,
                             round - 1, round, round + 1, round + 2,        2 * round,    3 * round + 1};
    for (size_t i = 0; i < sizeof idle / sizeof idle[0]; i++)
        for (int both = 0; both < 2; both++)
            for
                EACH_ALGORITHM(a)
                {
                    struct unit_segment s;
                    struct qp_verdict verdict;
                    uint64_t now_ms = UNIT_NOW_MS + idle[i] * W;
                    unit_open(&s, 10, 4);
                    struct qp_entry *entry = unit_limit(&s, "a", algorithms[a], W);
                    assert_int_equal(0, take(&s, entry, 10, UNIT_NOW_MS, false, NULL));
                    if (both)
                        assert_int_equal(0, take(&s, entry, 1, UNIT_NOW_MS + W + 500, false, NULL));
                    assert_int_equal(0, use_at(&s, entry, now_ms).current);
                    int result = take(&s, entry, 10, now_ms, false, &verdict);
                    if (result == QP_LIMIT_ASK_AGAIN)
                        result = take(&s, entry, 10, now_ms, true, &verdict);
                    assert_int_equal(0, result);
                    assert_int_equal(now_ms << 16, verdict.epoch);
                    assert_int_equal(10, use_at(&s, entry, now_ms).current);
                    assert_int_equal(0, use_at(&s, entry, now_ms).previous);
                    assert_int_equal(1, take(&s, entry, 1, now_ms, false, NULL));
                    unit_close(&s);
                }
}

/* A cell of zeros names a window too, number 0 modulo 2^24: it must not pass for a newer one, nor for one to roll back. */
static void test_an_empty_cell_is_in_no_window(void **state)
{
    (void)state;
    const uint64_t round = UINT64_C(1) << 24;
    for (uint64_t window = 110 * round - 2 * SKEW; window < 110 * round + 2 * SKEW; window++)
        for
            EACH_ALGORITHM(a)
            {
                struct unit_segment s;
                unit_open(&s, 10, 4);
                struct qp_entry *entry = unit_limit(&s, "a", algorithms[a], W);
                assert_int_equal(0, take(&s, entry, 1, window * W, false, NULL));
                assert_int_equal(1, qp_cell_count_in(entry->cell[window & 1], window));
                assert_int_equal(0, take(&s, entry, 9, window * W, false, NULL));
                assert_int_equal(1, take(&s, entry, 1, window * W, false, NULL));
                unit_close(&s);
            }
}

/* ---- threads at once ------------------------------------------------------------------------------------------------- */

#define THREADS 4
#define WINDOWS 40
#define LIMIT 500

struct taken {
    uint32_t window;
    uint32_t elapsed_ms;
    uint32_t left;
};

struct taker {
    struct qp_worker worker;
    struct qp_entry *entry;
    uint32_t count;
    uint64_t of_epoch[WINDOWS + 2][16]; /* units that stayed taken, by resets within the window */
    struct taken taken[WINDOWS * LIMIT];
};

static struct qp_ask ask_at_step(const struct taker *me, uint32_t step, uint32_t steps)
{
    /* Each at his own pace, and each other one a little behind. */
    uint64_t now_ms = UNIT_NOW_MS + (uint64_t)step * WINDOWS * W / steps;
    return (struct qp_ask){
        .n = 1, .limit = LIMIT, .now_ms = qp_owner_record(me->worker.owner) & 1 ? now_ms : now_ms - W / 10};
}

static void *take_in_step(void *arg)
{
    struct taker *me = arg;
    const uint32_t steps = WINDOWS * LIMIT;
    for (uint32_t i = 0; i < steps; i++) {
        struct qp_ask ask = ask_at_step(me, i, steps);
        struct qp_verdict verdict;
        if (unit_take(&me->worker, me->entry, &ask, &verdict))
            continue;
        uint64_t start_ms = verdict.epoch >> 16;
        me->taken[me->count++] =
            (struct taken){(uint32_t)((start_ms + W - UNIT_NOW_MS) / W),
                           ask.now_ms > start_ms ? (uint32_t)(ask.now_ms - start_ms) : 0, (uint32_t)verdict.remaining};
    }
    return NULL;
}

static void run_threads(struct unit_segment *s, struct taker *takers, struct qp_entry *entry, void *(*run)(void *))
{
    pthread_t threads[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        takers[i].worker = unit_worker(s, i + 1);
        takers[i].entry = entry;
        assert_int_equal(0, pthread_create(&threads[i], NULL, run, &takers[i]));
    }
    for (uint32_t i = 0; i < THREADS; i++)
        assert_int_equal(0, pthread_join(threads[i], NULL));
}

/* Each take says how much was left after it; with what the window before came to in the end, that gives its number among the takes of its window. If a
 * unit had come into the window before after it was weighed, or had slipped through, some number would be missing or there twice. */
static void test_no_unit_comes_into_a_sliding_window_after_it_was_weighed(void **state)
{
    (void)state;
    struct unit_segment s;
    static bool seen[WINDOWS + 2][LIMIT + 1];
    uint64_t admitted[WINDOWS + 2] = {0};
    struct taker *takers = test_calloc(THREADS, sizeof *takers);
    unit_open(&s, 10, 8);
    memset(seen, 0, sizeof seen);
    run_threads(&s, takers, unit_limit(&s, "a", QP_ALGORITHM_SLIDING, W), take_in_step);
    for (int t = 0; t < THREADS; t++)
        for (uint32_t i = 0; i < takers[t].count; i++)
            admitted[takers[t].taken[i].window]++;
    for (int t = 0; t < THREADS; t++)
        for (uint32_t i = 0; i < takers[t].count; i++) {
            struct taken *one = &takers[t].taken[i];
            uint64_t before = one->window ? admitted[one->window - 1] : 0;
            uint64_t number = LIMIT - one->left - before * (W - one->elapsed_ms) / W;
            assert_true(number >= 1 && number <= admitted[one->window]);
            assert_false(seen[one->window][number]);
            seen[one->window][number] = true;
        }
    assert_true(admitted[1] + admitted[2] >= LIMIT);
    test_free(takers);
    unit_close(&s);
}

static void *take_give_back_and_reset(void *arg)
{
    struct taker *me = arg;
    const uint32_t steps = WINDOWS * LIMIT;
    for (uint32_t i = 0; i < steps; i++) {
        struct qp_ask ask = ask_at_step(me, i, steps);
        struct qp_verdict verdict;
        int64_t ended = 0;
        if (i % 5000 == 2500) {
            me->worker.now_ms = ask.now_ms;
            unit_enter(&me->worker);
            qp_shard_reset(&me->worker, me->entry, &ended);
            unit_exit(&me->worker);
        }
        if (unit_take(&me->worker, me->entry, &ask, &verdict))
            continue;
        uint64_t *units = &me->of_epoch[((verdict.epoch >> 16) + W - UNIT_NOW_MS) / W][verdict.epoch & 15];
        ++*units;
        if (i % 3 == 0) {
            unit_enter(&me->worker);
            *units -= qp_limit_refund(me->worker.view, me->entry, 1, verdict.epoch, ask.now_ms, 0) == 0;
            unit_exit(&me->worker);
        }
    }
    return NULL;
}

static void test_no_epoch_admits_more_than_its_limit_beside_refunds_and_resets(void **state)
{
    (void)state;
    for
        EACH_ALGORITHM(a)
        {
            struct unit_segment s;
            struct taker *takers = test_calloc(THREADS, sizeof *takers);
            uint64_t full = 0;
            unit_open(&s, 64, 8);
            run_threads(&s, takers, unit_limit(&s, "a", algorithms[a], W), take_give_back_and_reset);
            for (int w = 0; w < WINDOWS + 2; w++)
                for (int r = 0; r < 16; r++) {
                    uint64_t units = 0;
                    for (int t = 0; t < THREADS; t++)
                        units += takers[t].of_epoch[w][r];
                    assert_true(units <= LIMIT);
                    full += units == LIMIT;
                }
            assert_true(algorithms[a] == QP_ALGORITHM_SLIDING || full > 0);
            test_free(takers);
            unit_close(&s);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_is_behind_is_decided_in_the_newest_window_at_its_first_millisecond),
        cmocka_unit_test(test_a_skew_is_a_minute_and_two_windows_whatever_their_length),
        cmocka_unit_test(test_windows_that_a_jump_left_ahead_are_rolled_back_by_a_fresh_time_only),
        cmocka_unit_test(test_a_look_at_what_a_jump_left_changes_nothing),
        cmocka_unit_test(test_a_clock_set_back_a_little_waits_for_itself),
        cmocka_unit_test(test_a_key_unused_until_its_windows_number_comes_round_starts_afresh),
        cmocka_unit_test(test_an_empty_cell_is_in_no_window),
        cmocka_unit_test(test_no_unit_comes_into_a_sliding_window_after_it_was_weighed),
        cmocka_unit_test(test_no_epoch_admits_more_than_its_limit_beside_refunds_and_resets),
    };
    return cmocka_run_group_tests_name("limits and clocks", tests, NULL, NULL);
}
