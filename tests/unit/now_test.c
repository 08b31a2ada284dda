/* SPDX-License-Identifier: MIT */
/* now_test.c: the time that a call is decided by. The host's clock is what it is; what was published of it is the test's to choose. */
#include "unit.h"

#include "runtime/clock.h"
#include "runtime/now.h"

static uint64_t published(const struct unit_segment *s)
{
    return s->view.header->clock_ms;
}

static void publish(struct unit_segment *s, int64_t unix_ms)
{
    s->view.header->clock_ms = (uint64_t)unix_ms;
}

/* Which code, and if it is 0 which time. */
static void expect(struct unit_segment *s, int64_t now_ms, int64_t wants_ms)
{
    uint64_t unix_ms = 42;
    assert_int_equal(0, qp_time(&s->view, now_ms, &unix_ms));
    assert_int_equal(wants_ms, unix_ms);
}

static void expect_refused(struct unit_segment *s, int64_t now_ms)
{
    uint64_t unix_ms;
    assert_int_equal(-ERANGE, qp_time(&s->view, now_ms, &unix_ms));
    assert_int_equal(-ERANGE, qp_time_fresh(&s->view, now_ms, &unix_ms));
}

static void test_without_a_time_the_hosts_clock_is_read(void **state)
{
    (void)state;
    struct unit_segment s;
    uint64_t unix_ms = 0;
    unit_open(&s, 10, 4);
    for (int fresh = 0; fresh < 2; fresh++) {
        uint64_t before = qp_clock_unix_ms();
        assert_int_equal(0, fresh ? qp_time_fresh(&s.view, QP_NOW_UNKNOWN, &unix_ms)
                                  : qp_time(&s.view, QP_NOW_UNKNOWN, &unix_ms));
        assert_true(before <= unix_ms && unix_ms <= qp_clock_unix_ms());
    }
    unit_close(&s);
}

static void test_a_given_time_counts_within_a_minute_of_the_clock(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    int64_t now_ms = (int64_t)qp_clock_unix_ms();
    const int64_t near[] = {0, 1, -1, 1000, -1001, 30000, -30000, 50000, -50000};
    for (size_t i = 0; i < sizeof near / sizeof near[0]; i++)
        expect(&s, now_ms + near[i], now_ms + near[i]);
    const int64_t far[] = {
        0, 1, -1, INT64_MAX, INT64_MIN + 1, now_ms - 60500, now_ms + 70000, now_ms * 2, INT64_MAX - now_ms};
    for (size_t i = 0; i < sizeof far / sizeof far[0]; i++)
        expect_refused(&s, far[i]);
    unit_close(&s);
}

static void test_what_agrees_with_the_published_time_needs_no_clock(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    publish(&s, (int64_t)UNIT_NOW_MS); /* years ago */
    for (int64_t away_ms = -1000; away_ms <= 1000; away_ms += 100)
        expect(&s, (int64_t)UNIT_NOW_MS + away_ms, (int64_t)UNIT_NOW_MS + away_ms);
    assert_int_equal(UNIT_NOW_MS, published(&s));
    uint64_t unix_ms;
    assert_int_equal(-ERANGE,
                     qp_time(&s.view, (int64_t)UNIT_NOW_MS + 1001, &unix_ms)); /* looked, and published what it saw */
    assert_true(qp_clock_unix_ms() - published(&s) < 10000);
    assert_int_equal(-ERANGE, qp_time(&s.view, (int64_t)UNIT_NOW_MS, &unix_ms));
    publish(&s, (int64_t)UNIT_NOW_MS);
    assert_int_equal(-ERANGE,
                     qp_time_fresh(&s.view, (int64_t)UNIT_NOW_MS, &unix_ms)); /* fresh means the clock, agreed or not */
    publish(&s, (int64_t)qp_clock_unix_ms() + 3600000); /* a clock that had jumped published this */
    int64_t now_ms = (int64_t)qp_clock_unix_ms();
    expect(&s, now_ms, now_ms);
    unit_close(&s);
}

/* How many calls with that time it takes until one looks at the clock. */
static unsigned calls_until_refused(struct unit_segment *s, int64_t now_ms)
{
    uint64_t unix_ms;
    unsigned calls = 1;
    while (qp_time(&s->view, now_ms, &unix_ms) == 0 && calls < 100000)
        calls++;
    return calls;
}

static void test_a_published_time_that_nobody_renews_is_noticed(void **state)
{
    (void)state;
    struct unit_segment s;
    uint64_t unix_ms;
    unit_open(&s, 10, 4);
    publish(&s, (int64_t)UNIT_NOW_MS); /* years ago, and the caller's clock stands still */
    calls_until_refused(&s, (int64_t)UNIT_NOW_MS);
    for (int round = 0; round < 2; round++) { /* whatever the thread did before, and again */
        publish(&s, (int64_t)UNIT_NOW_MS);
        assert_in_range(calls_until_refused(&s, (int64_t)UNIT_NOW_MS), 2, 1024);
        assert_true(qp_clock_unix_ms() - published(&s) < 10000);
        assert_int_equal(-ERANGE, qp_time(&s.view, (int64_t)UNIT_NOW_MS, &unix_ms)); /* it stays noticed */
    }
    publish(&s, (int64_t)UNIT_NOW_MS);
    for (int i = 0; i < 1024; i++) /* so do calls that read the clock for themselves */
        assert_int_equal(0, qp_time(&s.view, QP_NOW_UNKNOWN, &unix_ms));
    assert_true(qp_clock_unix_ms() - published(&s) < 10000);
    unit_close(&s);
}

static void test_a_view_that_may_not_write_publishes_nothing(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    s.view.writable = false;
    publish(&s, 5);
    int64_t now_ms = (int64_t)qp_clock_unix_ms();
    expect(&s, now_ms, now_ms);
    assert_true(qp_time_publish(&s.view) >= (uint64_t)now_ms);
    uint64_t unix_ms;
    for (int i = 0; i < 1024; i++)
        assert_int_equal(0, qp_time(&s.view, QP_NOW_UNKNOWN, &unix_ms));
    assert_int_equal(5, published(&s));
    s.view.clock_caller = true;
    publish(&s, 1000);
    expect(&s, 2000, 2000); /* for this call alone */
    assert_int_equal(1000, published(&s));
    s.view.writable = true;
    s.view.clock_caller = false;
    unit_close(&s);
}

static void test_the_time_of_callers_is_the_largest_and_any_will_do(void **state)
{
    (void)state;
    struct unit_segment s;
    uint64_t unix_ms;
    unit_open(&s, 10, 4);
    s.view.clock_caller = true;
    publish(&s, 0);
    expect(&s, QP_NOW_UNKNOWN, 0);
    expect(&s, 100, 100);
    expect(&s, 50, 100);
    expect(&s, QP_NOW_UNKNOWN, 100);
    expect(&s, INT64_MAX / 65536, INT64_MAX / 65536); /* as large as an epoch can say */
    expect_refused(&s, INT64_MAX / 65536 + 1);
    expect_refused(&s, -1);
    expect_refused(&s, INT64_MIN + 1);
    assert_int_equal(INT64_MAX / 65536, published(&s));
    assert_int_equal(0, qp_time_fresh(&s.view, 7, &unix_ms));
    assert_int_equal(INT64_MAX / 65536, unix_ms);
    assert_int_equal(INT64_MAX / 65536, qp_time_publish(&s.view));
    s.view.clock_caller = false;
    unit_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_time_the_hosts_clock_is_read),
        cmocka_unit_test(test_a_given_time_counts_within_a_minute_of_the_clock),
        cmocka_unit_test(test_what_agrees_with_the_published_time_needs_no_clock),
        cmocka_unit_test(test_a_published_time_that_nobody_renews_is_noticed),
        cmocka_unit_test(test_a_view_that_may_not_write_publishes_nothing),
        cmocka_unit_test(test_the_time_of_callers_is_the_largest_and_any_will_do),
    };
    return cmocka_run_group_tests_name("the time of a call", tests, NULL, NULL);
}
