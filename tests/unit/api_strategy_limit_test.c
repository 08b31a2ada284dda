/* SPDX-License-Identifier: MIT */
/* api_strategy_limit_test.c: the fields of a strategy that limits have: each combination that exists comes back as it was put, with its defaults, and
 * each that does not is refused. */
#include "api.h"

#define YEAR_MS UINT64_C(31536000000)
#define MOST QUIPU_LIMIT_MAX
#define LIMIT QUIPU_KIND_LIMIT
#define BUCKET QUIPU_ALGORITHM_BUCKET

static int put(struct quipu *q, struct quipu_strategy s)
{
    s.struct_bytes = sizeof s;
    return quipu_strategy_put(q, KEY("p"), &s);
}

static int copy_row(const void *prefix, size_t prefix_bytes, const struct quipu_strategy *strategy, void *arg)
{
    (void)prefix, (void)prefix_bytes;
    *(struct quipu_strategy *)arg = *strategy;
    return 0;
}

static struct quipu_strategy listed(struct quipu *q)
{
    struct quipu_strategy s;
    assert_code(0, quipu_strategy_each(q, copy_row, &s));
    return s;
}

static void test_every_field_comes_back_as_it_was_put(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    const uint64_t limits[] = {1, 77, 65536, MOST}, idles[] = {200000, YEAR_MS, QUIPU_IDLE_NEVER};
    for (uint32_t i = 0; i < 3 * 4 * 3 * 3 * 2 * 2; i++) {
        uint32_t algorithm = i % 3, which = i / 3;
        struct quipu_strategy s = {.struct_bytes = sizeof s,
                                   .kind = LIMIT,
                                   .merge = QUIPU_MERGE_EPOCH_MAX_WINS,
                                   .algorithm = algorithm,
                                   .limit = limits[which % 4],
                                   .overflow = which / 4 % 3,
                                   .idle_ms = idles[which / 12 % 3],
                                   .shadow = which / 36 % 2,
                                   .scope = which / 72 % 2,
                                   .window_ms = 100 + i};
        s.burst = algorithm == BUCKET ? 1 + s.limit / 2 : 0;
        struct quipu_strategy expected = s;
        assert_code(0, put(q, s));
        struct quipu_strategy back = listed(q);
        assert_memory_equal(&expected, &back, sizeof back);
        assert_code(0, put(q, back));
    }
    api_close(q);
}

static void test_what_is_left_out_has_a_default(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    const struct {
        struct quipu_strategy put, listed;
    } wants[] = {
        {{.kind = LIMIT}, {.window_ms = 1000, .idle_ms = 61000}},
        {{.kind = LIMIT, .window_ms = 86400000}, {.window_ms = 86400000, .idle_ms = 2 * 86400000}},
        {{.kind = LIMIT, .window_ms = 5000, .scope = 1}, {.window_ms = 5000, .idle_ms = 10000}},
        {{.kind = LIMIT, .window_ms = 5000, .scope = 1, .idle_ms = 1}, {.window_ms = 5000, .idle_ms = 5000}},
        {{.kind = LIMIT, .window_ms = 5000, .idle_ms = 1}, {.window_ms = 5000, .idle_ms = 65000}},
        {{.kind = LIMIT, .algorithm = BUCKET, .limit = 9},
         {.window_ms = 1000, .limit = 9, .burst = 9, .idle_ms = 2000}},
        {{.kind = LIMIT, .algorithm = BUCKET, .limit = 9, .idle_ms = 1},
         {.window_ms = 1000, .limit = 9, .burst = 9, .idle_ms = 1}},
        {{.kind = QUIPU_KIND_INFLIGHT, .limit = 3}, {.limit = 3, .idle_ms = 10000}},
        {{.kind = QUIPU_KIND_COUNTER}, {.idle_ms = QUIPU_IDLE_NEVER}},
        {{.kind = QUIPU_KIND_COUNTER, .idle_ms = 5}, {.idle_ms = 5}},
        {{.kind = QUIPU_KIND_REGISTER}, {.idle_ms = QUIPU_IDLE_NEVER}},
    };
    for (size_t i = 0; i < sizeof wants / sizeof wants[0]; i++) {
        assert_code(0, put(q, wants[i].put));
        struct quipu_strategy back = listed(q);
        assert_int_equal(wants[i].put.kind, back.kind);
        assert_int_equal(wants[i].listed.window_ms, back.window_ms);
        assert_int_equal(wants[i].listed.limit, back.limit);
        assert_int_equal(wants[i].listed.burst, back.burst);
        assert_true(wants[i].listed.idle_ms == back.idle_ms);
    }
    api_close(q);
}

static void test_each_combination_that_does_not_exist_is_refused(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    const uint64_t tick_of_day = UINT64_C(86400000);
    const struct {
        bool good;
        struct quipu_strategy s;
    } wants[] = {
        /* of limits */
        {true, {.kind = LIMIT, .limit = MOST}},
        {false, {.kind = LIMIT, .limit = MOST + 1}},
        {false, {.kind = LIMIT, .limit = UINT64_MAX}},
        {true, {.kind = LIMIT, .limit = 0}},
        {false, {.kind = LIMIT, .limit = 5, .burst = 5}},
        {false, {.kind = LIMIT, .limit = 5, .burst = 5, .algorithm = QUIPU_ALGORITHM_SLIDING}},
        {false, {.kind = LIMIT, .limit = 5, .algorithm = 3}},
        {false, {.kind = LIMIT, .limit = 5, .algorithm = UINT32_MAX}},
        {false, {.kind = LIMIT, .limit = 5, .overflow = 3}},
        {false, {.kind = LIMIT, .limit = 5, .shadow = 2}},
        {false, {.kind = LIMIT, .limit = 5, .scope = 2}},
        {false, {.kind = LIMIT, .limit = 5, .merge = QUIPU_MERGE_LAST_WRITER_WINS}},
        {true, {.kind = LIMIT, .shadow = 1}},
        /* of buckets */
        {false, {.kind = LIMIT, .algorithm = BUCKET}},
        {false, {.kind = LIMIT, .algorithm = BUCKET, .burst = 5}},
        {false, {.kind = LIMIT, .algorithm = BUCKET, .limit = MOST + 1}},
        {false, {.kind = LIMIT, .algorithm = BUCKET, .limit = 1, .burst = MOST + 1}},
        {true, {.kind = LIMIT, .algorithm = BUCKET, .limit = MOST, .burst = MOST}},
        {true, {.kind = LIMIT, .algorithm = BUCKET, .limit = 1, .burst = 365, .window_ms = tick_of_day}},
        {false, {.kind = LIMIT, .algorithm = BUCKET, .limit = 1, .burst = 366, .window_ms = tick_of_day}},
        {true, {.kind = LIMIT, .algorithm = BUCKET, .limit = 1, .burst = 31536000}},
        {false, {.kind = LIMIT, .algorithm = BUCKET, .limit = 1, .burst = 31536001}},
        {false, {.kind = LIMIT, .algorithm = BUCKET, .limit = 1, .burst = MOST}},
        {false, {.kind = LIMIT, .algorithm = BUCKET, .limit = 1, .window_ms = 99}},
        /* of in-flight limits */
        {true, {.kind = QUIPU_KIND_INFLIGHT, .limit = 1}},
        {true, {.kind = QUIPU_KIND_INFLIGHT, .limit = 65536, .shadow = 1}},
        {false, {.kind = QUIPU_KIND_INFLIGHT}},
        {false, {.kind = QUIPU_KIND_INFLIGHT, .limit = 65537}},
        {false, {.kind = QUIPU_KIND_INFLIGHT, .limit = 1, .window_ms = 1000}},
        {false, {.kind = QUIPU_KIND_INFLIGHT, .limit = 1, .burst = 1}},
        {false, {.kind = QUIPU_KIND_INFLIGHT, .limit = 1, .algorithm = BUCKET}},
        /* of what is no limit */
        {true, {.kind = QUIPU_KIND_COUNTER, .overflow = QUIPU_OVERFLOW_ALLOW, .scope = QUIPU_SCOPE_HOST}},
        {false, {.kind = QUIPU_KIND_COUNTER, .limit = 1}},
        {false, {.kind = QUIPU_KIND_COUNTER, .burst = 1}},
        {false, {.kind = QUIPU_KIND_COUNTER, .shadow = 1}},
        {false, {.kind = QUIPU_KIND_COUNTER, .algorithm = QUIPU_ALGORITHM_SLIDING}},
        {false, {.kind = QUIPU_KIND_REGISTER, .limit = 1}},
        {false, {.kind = QUIPU_KIND_REGISTER, .shadow = 1}},
        {false, {.kind = QUIPU_KIND_REGISTER, .algorithm = BUCKET}},
        {false, {.kind = QUIPU_KIND_REGISTER, .window_ms = 1000}},
        {false, {.kind = QUIPU_KIND_ANY, .limit = 1}},
        {false, {.kind = QUIPU_KIND_REGISTER + 1}},
    };
    uint64_t generation = 0;
    for (size_t i = 0; i < sizeof wants / sizeof wants[0]; i++) {
        int code = put(q, wants[i].s);
        if (code != (wants[i].good ? 0 : -EINVAL))
            fail_msg("combination %zu: %d", i, code);
        generation += wants[i].good;
        assert_int_equal(generation, api_stat(q).strategy_generation);
    }
    api_close(q);
}

/* What lets an entry go is taken from the row in force, so a change of it holds for those who are there. */
static void test_an_idle_time_changes_for_keys_that_are_there(void **state)
{
    (void)state;
    struct quipu *q = api_segment_of_callers(100);
    struct quipu_strategy s = {.kind = QUIPU_KIND_COUNTER};
    assert_code(0, put(q, s));
    assert_code(0, quipu_add_at(q, KEY("p1"), 5, 1000000));
    assert_code(-ENOENT, quipu_take_at(q, KEY("x"), 1, 1000000, NULL)); /* the segment's time */
    qp_test_settle(q);
    s.idle_ms = 5000;
    assert_code(0, put(q, s));
    qp_test_settle(q); /* noted from now on */
    assert_code(-ENOENT, quipu_take_at(q, KEY("x"), 1, 1004000, NULL));
    qp_test_settle(q);
    assert_int_equal(5, api_get(q, "p1").total);
    assert_code(-ENOENT, quipu_take_at(q, KEY("x"), 1, 1007000, NULL));
    qp_test_settle(q);
    assert_code(-ENOENT, quipu_get(q, KEY("p1"), NULL));
    assert_int_equal(1, api_stat(q).expired);
    api_close(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_field_comes_back_as_it_was_put),
        cmocka_unit_test(test_what_is_left_out_has_a_default),
        cmocka_unit_test(test_each_combination_that_does_not_exist_is_refused),
        cmocka_unit_test(test_an_idle_time_changes_for_keys_that_are_there),
    };
    return cmocka_run_group_tests_name("strategies of limits", tests, NULL, NULL);
}
