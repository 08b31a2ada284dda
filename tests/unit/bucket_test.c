/* SPDX-License-Identifier: MIT */
/* bucket_test.c: token buckets case by case: ticks, bursts and what comes back when; the largest numbers; limits that change; resets, deletes,
 * refunds; clocks that go back; threads at once. At random: limit_model_test.c. */
#include "unit.h"

#include <pthread.h>

#include "shm/bucket.h"

#define W 1000u
#define NOW UNIT_NOW_MS

struct bucket {
    struct unit_segment s;
    struct qp_entry *entry;
    uint64_t limit, burst;
    uint32_t window_ms;
};

static void open_bucket(struct bucket *b, uint64_t limit, uint64_t burst, uint32_t window_ms)
{
    struct qp_rule rule = unit_rule("b", window_ms);
    unit_open(&b->s, 10, 8);
    b->limit = limit;
    b->burst = burst;
    b->window_ms = window_ms;
    rule.algorithm = QP_ALGORITHM_BUCKET;
    rule.limit = limit;
    rule.burst = burst;
    rule.tick = qp_bucket_tick(limit, window_ms);
    unit_put(&b->s, &rule);
    b->entry = unit_limit(&b->s, "b", QP_ALGORITHM_BUCKET, window_ms);
    b->entry->strategy = qp_strategy_cache(1, 0);
    b->entry->cell[0] = NOW * QP_BUCKET_PER_MS; /* full */
}

static void close_bucket(struct bucket *b)
{
    unit_settle(&b->s);
    unit_quiet(&b->s);
    unit_close(&b->s);
}

static struct qp_ask ask_of(const struct bucket *b, uint64_t n, uint64_t now_ms)
{
    return (struct qp_ask){
        .n = n, .limit = b->limit, .burst = b->burst, .tick = qp_bucket_tick(b->limit, b->window_ms), .now_ms = now_ms};
}

static int take(struct bucket *b, uint64_t n, uint64_t now_ms, struct qp_verdict *out)
{
    struct qp_ask ask = ask_of(b, n, now_ms);
    return unit_take(&b->s.worker, b->entry, &ask, out);
}

static uint64_t left(struct bucket *b, uint64_t now_ms)
{
    struct qp_ask ask = ask_of(b, 1, now_ms);
    struct qp_verdict verdict;
    ask.look = true;
    assert_true(unit_take(&b->s.worker, b->entry, &ask, &verdict) >= 0);
    return verdict.remaining;
}

static int refund(struct bucket *b, uint64_t n, uint64_t epoch, uint64_t now_ms)
{
    unit_enter(&b->s.worker);
    int result = qp_limit_refund(&b->s.view, b->entry, n, epoch, now_ms, qp_bucket_tick(b->limit, b->window_ms));
    unit_exit(&b->s.worker);
    return result;
}

static int cut(struct bucket *b, bool delete, uint64_t now_ms, int64_t *ended)
{
    b->s.worker.now_ms = now_ms;
    unit_enter(&b->s.worker);
    int error = delete ? qp_shard_delete(&b->s.worker, b->entry, ended) : qp_shard_reset(&b->s.worker, b->entry, ended);
    unit_exit(&b->s.worker);
    return error;
}

/* ---- ticks and bursts ------------------------------------------------------------------------------------------------ */

static void test_a_tick_is_rounded_up_once(void **state)
{
    (void)state;
    assert_int_equal(64000000, qp_bucket_tick(1000, 1000));
    assert_int_equal(21333334, qp_bucket_tick(3000, 1000));
    assert_int_equal(1, qp_bucket_tick(UINT64_C(64000000) * 100, 100));
    assert_int_equal(1, qp_bucket_tick(QP_CELL_COUNT_MAX, 100)); /* more than can be told apart: 64 a ns */
    assert_int_equal(UINT64_C(86400000) * 64000000, qp_bucket_tick(1, 86400000));
    assert_int_equal((UINT64_C(86400000) * 64000000 + 6) / 7, qp_bucket_tick(7, 86400000));
}

static void test_a_bucket_gives_its_burst_at_once_and_then_one_unit_each_tick(void **state)
{
    (void)state;
    struct bucket b;
    struct qp_verdict verdict;
    open_bucket(&b, 10, 25, W);
    for (uint64_t i = 0; i < 25; i++) {
        assert_int_equal(0, take(&b, 1, NOW, &verdict));
        assert_int_equal(25, verdict.limit);
        assert_int_equal(24 - i, verdict.remaining);
        assert_int_equal(NOW + (i + 1) * 100, verdict.reset_ms);
        assert_int_equal(0, verdict.retry_after_ms);
    }
    for (uint64_t i = 0; i < 100; i++) {
        uint64_t now_ms = NOW + i * 100;
        assert_int_equal(1, take(&b, 1, now_ms + 99, &verdict));
        assert_int_equal(1, verdict.retry_after_ms);
        assert_int_equal(0, take(&b, 1, now_ms + 100, NULL));
    }
    uint64_t later_ms = NOW + 10000;
    assert_int_equal(9, left(&b, later_ms + 999));
    assert_int_equal(25, left(&b, later_ms + 2500));
    assert_int_equal(25, left(&b, later_ms + 1000000)); /* it does not overflow */
    close_bucket(&b);
}

/* A third of a second is not a whole number of anything; still no unit comes a ms early, and a bucket holds whole units. */
static void test_what_does_not_divide_is_never_early(void **state)
{
    (void)state;
    struct bucket b;
    struct qp_verdict verdict;
    open_bucket(&b, 3, 3, W);
    assert_int_equal(0, take(&b, 3, NOW, &verdict));
    assert_int_equal(0, verdict.remaining);
    const uint64_t at_ms[] = {334, 667, 1001};
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(i, left(&b, NOW + at_ms[i] - 1));
        assert_int_equal(i + 1, left(&b, NOW + at_ms[i]));
    }
    assert_int_equal(1, take(&b, 3, NOW + 1, &verdict));
    assert_int_equal(1000, verdict.retry_after_ms);
    assert_int_equal(1, take(&b, 4, NOW + 5000, &verdict));
    assert_true(verdict.retry_after_ms == -1);
    assert_int_equal(1, take(&b, UINT64_MAX, NOW + 5000, &verdict));
    assert_true(verdict.retry_after_ms == -1);
    close_bucket(&b);
}

static void test_the_largest_buckets_are_exact(void **state)
{
    (void)state;
    const struct {
        uint64_t limit, burst;
        uint32_t window_ms;
    } sizes[] = {
        {QP_CELL_COUNT_MAX, QP_CELL_COUNT_MAX, 86400000}, /* refills in 1.5 days, for its ticks are rounded up */
        {1, 365, 86400000},                               /* a year */
        {QP_CELL_COUNT_MAX, QP_CELL_COUNT_MAX, 100},
        {UINT64_C(1) << 33, 1, 86400000},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct bucket b;
        struct qp_verdict verdict;
        open_bucket(&b, sizes[i].limit, sizes[i].burst, sizes[i].window_ms);
        uint64_t span = sizes[i].burst * qp_bucket_tick(sizes[i].limit, sizes[i].window_ms);
        uint64_t span_ms = (span + QP_BUCKET_PER_MS - 1) / QP_BUCKET_PER_MS;
        assert_true(span <= QP_BUCKET_SPAN_MAX);
        assert_int_equal(1, take(&b, sizes[i].burst + 1, NOW, &verdict));
        assert_true(verdict.retry_after_ms == -1);
        assert_int_equal(0, take(&b, sizes[i].burst, NOW, &verdict));
        assert_int_equal(0, verdict.remaining);
        assert_int_equal(NOW + span_ms, verdict.reset_ms);
        assert_int_equal(1, take(&b, sizes[i].burst, NOW, &verdict));
        assert_int_equal(span_ms, verdict.retry_after_ms);
        assert_int_equal(1, take(&b, sizes[i].burst, NOW + span_ms - 1, NULL));
        assert_int_equal(0, take(&b, sizes[i].burst, NOW + span_ms, NULL));
        close_bucket(&b);
    }
}

static void test_an_add_that_does_not_ask_empties_a_bucket_at_most(void **state)
{
    (void)state;
    struct bucket b;
    struct qp_verdict verdict;
    open_bucket(&b, 10, 10, W);
    const uint64_t adds[] = {7, 7, 1000000, QP_CELL_COUNT_MAX, INT64_MAX};
    for (int i = 0; i < 5; i++) {
        struct qp_ask add = ask_of(&b, adds[i], NOW);
        add.force = true;
        assert_int_equal(0, unit_take(&b.s.worker, b.entry, &add, &verdict));
        assert_int_equal(i ? 0 : 3, verdict.remaining);
    }
    assert_int_equal(0, left(&b, NOW + 99));
    assert_int_equal(1, left(&b, NOW + 100));
    close_bucket(&b);
}

/* ---- changes --------------------------------------------------------------------------------------------------------- */

static void test_a_bucket_whose_limit_changes_stays_as_full_as_it_was(void **state)
{
    (void)state;
    struct bucket b;
    open_bucket(&b, 100, 100, W);
    assert_int_equal(0, take(&b, 60, NOW, NULL));
    assert_int_equal(40, left(&b, NOW));
    b.limit = b.burst = 10;
    assert_int_equal(4, left(&b, NOW));
    b.limit = b.burst = 1000;
    assert_int_equal(400, left(&b, NOW));
    b.limit = 100; /* ten times the burst: 60 units are missing as before, of more */
    assert_int_equal(940, left(&b, NOW));
    b.burst = 50; /* less than is missing */
    assert_int_equal(0, left(&b, NOW));
    assert_int_equal(0, left(&b, NOW + 100));
    assert_int_equal(1, left(&b, NOW + 110));
    close_bucket(&b);
}

static void test_a_reset_fills_a_bucket_and_ends_its_epoch(void **state)
{
    (void)state;
    struct bucket b;
    struct qp_verdict first, second;
    int64_t ended = -1;
    open_bucket(&b, 10, 10, W);
    assert_int_equal(0, take(&b, 7, NOW, &first));
    assert_int_equal(0, first.epoch);
    assert_int_equal(0, cut(&b, false, NOW + 50, &ended));
    assert_int_equal(7, ended); /* half a unit is back, which is none */
    assert_int_equal(10, left(&b, NOW + 50));
    assert_int_equal(0, take(&b, 10, NOW + 50, &second));
    assert_int_equal(1, second.epoch);
    assert_int_equal(1, take(&b, 1, NOW + 149, NULL));
    assert_int_equal(0, take(&b, 1, NOW + 150, NULL));
    assert_int_equal(1, refund(&b, 7, first.epoch, NOW + 150));
    assert_int_equal(0, refund(&b, 4, second.epoch, NOW + 150));
    assert_int_equal(4, left(&b, NOW + 150));
    assert_int_equal(0, cut(&b, false, NOW + 100000, &ended));
    assert_int_equal(0, ended);
    assert_int_equal(10, left(&b, NOW + 100000));
    close_bucket(&b);
}

static void test_a_deleted_bucket_is_gone_until_it_is_taken_from(void **state)
{
    (void)state;
    struct bucket b;
    struct qp_verdict verdict;
    struct qp_reading reading;
    int64_t ended = -1;
    open_bucket(&b, 10, 10, W);
    assert_int_equal(0, take(&b, 7, NOW, NULL));
    assert_int_equal(0, cut(&b, true, NOW, &ended));
    assert_int_equal(7, ended);
    assert_int_equal(0, qp_shard_read(&b.s.view, b.entry, NOW, &reading));
    assert_true(reading.deleted);
    assert_int_equal(-ENOENT, cut(&b, true, NOW, &ended));
    assert_int_equal(0, take(&b, 2, NOW, &verdict));
    assert_int_equal(8, verdict.remaining);
    assert_int_equal(0, qp_shard_read(&b.s.view, b.entry, NOW, &reading));
    assert_false(reading.deleted);
    assert_int_equal(2, reading.own);
    assert_int_equal(0, refund(&b, 2, verdict.epoch, NOW)); /* and whole again at once */
    assert_int_equal(0, take(&b, 10, NOW, NULL));
    assert_int_equal(0, cut(&b, true, NOW, &ended));
    unit_settle(&b.s);
    assert_int_equal(QP_STATE_FREE, qp_state_of(b.entry->state));
    close_bucket(&b);
}

/* Level and time can add up to the very value that says "untouched since the delete". */
static void test_a_take_after_a_delete_is_never_mistaken_for_none(void **state)
{
    (void)state;
    struct bucket b;
    struct qp_reading reading;
    int64_t ended;
    open_bucket(&b, 10, 10, W);
    assert_int_equal(0, take(&b, 2, NOW, NULL));
    assert_int_equal(0, cut(&b, true, NOW, &ended));
    uint64_t untouched = b.entry->cell[0];
    assert_int_equal(0, take(&b, 2, NOW - 200, NULL)); /* 200 ms of its own time are missing there, and two units */
    assert_true(b.entry->cell[0] != untouched);
    assert_int_equal(0, qp_shard_read(&b.s.view, b.entry, NOW - 200, &reading));
    assert_false(reading.deleted);
    close_bucket(&b);
}

static void test_a_refund_gives_back_no_more_than_is_missing(void **state)
{
    (void)state;
    struct bucket b;
    struct qp_verdict verdict;
    open_bucket(&b, 10, 10, W);
    assert_int_equal(0, take(&b, 8, NOW, &verdict));
    assert_int_equal(0, refund(&b, 3, verdict.epoch, NOW));
    assert_int_equal(5, left(&b, NOW));
    assert_int_equal(0, refund(&b, 8, verdict.epoch, NOW + 200));
    assert_int_equal(10, left(&b, NOW + 200));
    assert_int_equal(1, refund(&b, 1, verdict.epoch, NOW + 200)); /* it has filled by itself */
    assert_int_equal(0, take(&b, 1, NOW + 200, NULL));
    assert_int_equal(0, refund(&b, UINT64_MAX, verdict.epoch, NOW + 200));
    assert_int_equal(10, left(&b, NOW + 200));
    assert_int_equal(1, refund(&b, 1, verdict.epoch + 1, NOW + 200));
    close_bucket(&b);
}

/* ---- clocks ------------------------------------------------------------------------------------------------------------ */

static void test_who_is_behind_finds_less_and_takes_nothing_from_others(void **state)
{
    (void)state;
    struct bucket b;
    open_bucket(&b, 10, 10, W);
    assert_int_equal(0, take(&b, 5, NOW, NULL));
    assert_int_equal(3, left(&b, NOW - 200));
    assert_int_equal(0, take(&b, 3, NOW - 200, NULL));
    assert_int_equal(1, take(&b, 1, NOW - 200, NULL));
    assert_int_equal(2, left(&b, NOW));
    assert_int_equal(0, left(&b, NOW - 60000));
    close_bucket(&b);
}

static void test_a_clock_that_went_back_far_leaves_a_full_bucket_to_a_fresh_time(void **state)
{
    (void)state;
    struct bucket b;
    struct qp_verdict verdict;
    open_bucket(&b, 10, 10, W);
    uint64_t jump_ms = NOW + 3600000;
    assert_int_equal(0, take(&b, 10, jump_ms, NULL));
    struct qp_ask ask = ask_of(&b, 1, NOW);
    uint64_t cell = b.entry->cell[0];
    assert_int_equal(QP_LIMIT_ASK_AGAIN, unit_take(&b.s.worker, b.entry, &ask, NULL));
    assert_int_equal(cell, b.entry->cell[0]);
    ask.n = 10;
    ask.fresh = true;
    assert_int_equal(0, unit_take(&b.s.worker, b.entry, &ask, &verdict));
    assert_int_equal(0, verdict.remaining);
    assert_int_equal(1, take(&b, 1, NOW + 99, NULL));
    assert_int_equal(0, take(&b, 1, NOW + 100, NULL));
    close_bucket(&b);
}

/* ---- threads at once ------------------------------------------------------------------------------------------------- */

#define THREADS 4

struct taker {
    struct bucket *b;
    struct qp_worker worker;
    uint64_t taken;
};

static void *take_often(void *arg)
{
    struct taker *me = arg;
    for (uint64_t i = 0; i < 20000; i++) {
        struct qp_ask ask = ask_of(me->b, 1 + i % 3, NOW + i / 20);
        struct qp_verdict verdict;
        if (unit_take(&me->worker, me->b->entry, &ask, &verdict))
            continue;
        me->taken += ask.n;
        if (i % 5 == 0) {
            unit_enter(&me->worker);
            /* Less can come back than went: what is not missing any more is not given back. */
            if (qp_limit_refund(me->worker.view, me->b->entry, ask.n, 0, ask.now_ms, ask.tick) == 0)
                me->taken -= ask.n;
            unit_exit(&me->worker);
        }
    }
    return NULL;
}

static void test_threads_together_take_what_a_bucket_has_and_no_more(void **state)
{
    (void)state;
    struct bucket b;
    struct taker me[THREADS];
    pthread_t threads[THREADS];
    uint64_t taken = 0;
    open_bucket(&b, 1000, 500, W);
    for (uint32_t i = 0; i < THREADS; i++) {
        me[i] = (struct taker){.b = &b, .worker = unit_worker(&b.s, i + 1)};
        assert_int_equal(0, pthread_create(&threads[i], NULL, take_often, &me[i]));
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(0, pthread_join(threads[i], NULL));
        taken += me[i].taken;
    }
    assert_true(taken <= 500 + 1000); /* the burst, and a second's worth */
    assert_true(taken >= 500 + 900);
    close_bucket(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_tick_is_rounded_up_once),
        cmocka_unit_test(test_a_bucket_gives_its_burst_at_once_and_then_one_unit_each_tick),
        cmocka_unit_test(test_what_does_not_divide_is_never_early),
        cmocka_unit_test(test_the_largest_buckets_are_exact),
        cmocka_unit_test(test_an_add_that_does_not_ask_empties_a_bucket_at_most),
        cmocka_unit_test(test_a_bucket_whose_limit_changes_stays_as_full_as_it_was),
        cmocka_unit_test(test_a_reset_fills_a_bucket_and_ends_its_epoch),
        cmocka_unit_test(test_a_deleted_bucket_is_gone_until_it_is_taken_from),
        cmocka_unit_test(test_a_take_after_a_delete_is_never_mistaken_for_none),
        cmocka_unit_test(test_a_refund_gives_back_no_more_than_is_missing),
        cmocka_unit_test(test_who_is_behind_finds_less_and_takes_nothing_from_others),
        cmocka_unit_test(test_a_clock_that_went_back_far_leaves_a_full_bucket_to_a_fresh_time),
        cmocka_unit_test(test_threads_together_take_what_a_bucket_has_and_no_more),
    };
    return cmocka_run_group_tests_name("buckets", tests, NULL, NULL);
}
