/* SPDX-License-Identifier: MIT */
/* api_take_many_test.c: several takes, all or none: what is charged, who is marked, what each verdict says, and that nothing stays taken when
 * requests of several callers cross. */
#include "api.h"

#include <pthread.h>

#define T0 INT64_C(1700006400000)
#define W 60000

static struct quipu *open_limits(void)
{
    struct quipu *q = api_segment_of_callers(200);
    const struct quipu_strategy s[] = {api_limit_of(QUIPU_ALGORITHM_FIXED, 10, W),
                                       api_limit_of(QUIPU_ALGORITHM_SLIDING, 20, W),
                                       api_limit_of(QUIPU_ALGORITHM_BUCKET, 30, W)};
    api_put(q, "f:", &s[0]);
    api_put(q, "s:", &s[1]);
    api_put(q, "b:", &s[2]);
    return q;
}

static struct quipu_request ask(const char *key, uint64_t n)
{
    return (struct quipu_request){
        .struct_bytes = sizeof(struct quipu_request), .key = key, .key_bytes = strlen(key), .n = n, .result = 77};
}

static uint64_t total(struct quipu *q, const char *key)
{
    struct quipu_count count;
    int error = quipu_get(q, key, strlen(key), &count);
    assert_true(error == 0 || error == -ENOENT);
    return error ? 0 : (uint64_t)count.total;
}

static void test_all_are_taken_when_all_have_room(void **state)
{
    (void)state;
    struct quipu *q = open_limits();
    struct quipu_request r[] = {ask("f:1", 4), ask("s:1", 5), ask("b:1", 6)};
    struct quipu_verdict v;
    assert_code(0, quipu_take_many_at(q, r, 3, T0));
    const uint64_t left[] = {6, 15, 24}, limits[] = {10, 20, 30};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(0, r[i].result);
        assert_int_equal(left[i], r[i].verdict.remaining);
        assert_int_equal(limits[i], r[i].verdict.limit);
        assert_int_equal(0, r[i].verdict.retry_after_ms);
        assert_int_equal(r[i].n, total(q, r[i].key));
        assert_code(0, quipu_take_at(q, r[i].key, r[i].key_bytes, 0, T0, &v));
        assert_int_equal(v.epoch, r[i].verdict.epoch);
        assert_code(0, quipu_refund(q, r[i].key, r[i].key_bytes, r[i].n, &r[i].verdict));
        assert_int_equal(0, total(q, r[i].key));
    }
    api_close(q);
}

static void test_one_that_refuses_leaves_nothing_charged_and_is_marked(void **state)
{
    (void)state;
    for (int refuses = 0; refuses < 3; refuses++) {
        struct quipu *q = open_limits();
        const char *keys[] = {"f:1", "s:1", "b:1"};
        struct quipu_request r[3];
        for (int i = 0; i < 3; i++)
            r[i] = ask(keys[i], 8);
        assert_code(0, quipu_take_many_at(q, r, 3, T0));
        r[refuses].n = (uint64_t)(refuses + 1) * 10 - 7; /* one more than is left */
        for (int i = 0; i < 3; i++)
            if (i != refuses)
                r[i].n = 1;
        assert_code(1, quipu_take_many_at(q, r, 3, T0));
        for (int i = 0; i < 3; i++) {
            assert_int_equal(i == refuses, r[i].result);
            assert_int_equal(8, total(q, keys[i]));
            assert_int_equal(i == refuses, api_get(q, keys[i]).denied);
            assert_int_equal((uint64_t)(i + 1) * 10 - 8, r[i].verdict.remaining);
            assert_true(i == refuses ? r[i].verdict.retry_after_ms > 0 : r[i].verdict.retry_after_ms == 0);
        }
        api_close(q);
    }
}

static void test_all_that_refuse_are_marked(void **state)
{
    (void)state;
    struct quipu *q = open_limits();
    struct quipu_request r[] = {ask("f:1", 11), ask("s:1", 1), ask("b:1", 31)};
    assert_code(1, quipu_take_many_at(q, r, 3, T0));
    assert_int_equal(1, r[0].result);
    assert_int_equal(0, r[1].result);
    assert_int_equal(1, r[2].result);
    assert_true(r[0].verdict.retry_after_ms == -1);
    assert_int_equal(0, api_stat(q).counters_used); /* nor was a key made */
    api_close(q);
}

/* Each has room by itself, and together they have not: one after the other they are charged, so the second finds out. */
static void test_one_key_several_times_counts_all_its_units(void **state)
{
    (void)state;
    const char *keys[] = {"f:1", "s:1", "b:1"};
    for (int i = 0; i < 3; i++) {
        struct quipu *q = open_limits();
        uint64_t limit = (uint64_t)(i + 1) * 10;
        struct quipu_request r[] = {ask(keys[i], limit / 2), ask(keys[i], limit / 2 + 1)};
        assert_code(1, quipu_take_many_at(q, r, 2, T0));
        assert_int_equal(0, r[0].result);
        assert_int_equal(1, r[1].result);
        assert_int_equal(0, total(q, keys[i]));
        r[1].n--;
        assert_code(0, quipu_take_many_at(q, r, 2, T0));
        assert_int_equal(limit, total(q, keys[i]));
        assert_int_equal(0, r[1].verdict.remaining);
        api_close(q);
    }
}

static void test_an_error_of_one_charges_nothing(void **state)
{
    (void)state;
    struct quipu *q = open_limits();
    assert_code(0, quipu_add(q, KEY("plain"), 1));
    struct quipu_strategy reg = {.struct_bytes = sizeof reg, .kind = QUIPU_KIND_REGISTER};
    api_put(q, "r:", &reg);
    for (int place = 0; place < 3; place++) {
        struct quipu_request r[] = {ask("f:1", 1), ask("s:1", 1), ask("b:1", 1)};
        r[place] = ask("plain", 1);
        assert_code(-ENOENT, quipu_take_many_at(q, r, 3, T0));
        assert_int_equal(-ENOENT, r[place].result);
        r[place] = ask("r:1", 1);
        assert_code(-EPROTOTYPE, quipu_take_many_at(q, r, 3, T0));
        assert_int_equal(0, total(q, "f:1") + total(q, "s:1") + total(q, "b:1"));
    }
    api_close(q);
}

static void test_what_is_no_request_is_refused(void **state)
{
    (void)state;
    struct quipu *q = open_limits();
    struct quipu_request r[65];
    char keys[65][8];
    for (int i = 0; i < 65; i++) {
        snprintf(keys[i], sizeof keys[i], "f:%d", i);
        r[i] = ask(keys[i], 1);
    }
    assert_code(-EINVAL, quipu_take_many_at(NULL, r, 1, T0));
    assert_code(-EINVAL, quipu_take_many_at(q, NULL, 1, T0));
    assert_code(-EINVAL, quipu_take_many_at(q, r, 65, T0));
    assert_code(0, quipu_take_many_at(q, NULL, 0, T0));
    r[3].struct_bytes--;
    assert_code(-EINVAL, quipu_take_many_at(q, r, 64, T0));
    r[3] = ask(keys[3], 1);
    r[3].reserved0 = 1;
    assert_code(-EINVAL, quipu_take_many_at(q, r, 64, T0));
    r[3] = ask(keys[3], 1);
    r[3].key_bytes = 0;
    assert_code(-EINVAL, quipu_take_many_at(q, r, 64, T0));
    r[3].key_bytes = QUIPU_KEY_BYTES_MAX + 1;
    assert_code(-ENAMETOOLONG, quipu_take_many_at(q, r, 64, T0));
    r[3] = ask(keys[3], 1);
    assert_code(-ERANGE, quipu_take_many_at(q, r, 64, -1));
    assert_int_equal(0, api_stat(q).counters_used);
    assert_code(0, quipu_take_many_at(q, r, 64, T0));
    assert_int_equal(64, api_stat(q).counters_used);
    api_close(q);
}

static void test_no_units_are_a_look_among_takes(void **state)
{
    (void)state;
    struct quipu *q = open_limits();
    struct quipu_request r[] = {ask("f:1", 10), ask("s:1", 0)};
    assert_code(0, quipu_take_many_at(q, r, 2, T0));
    assert_int_equal(20, r[1].verdict.remaining);
    assert_int_equal(0, total(q, "s:1"));
    r[0] = ask("s:1", 3);
    r[1] = ask("f:1", 0); /* which has nothing left */
    assert_code(1, quipu_take_many_at(q, r, 2, T0));
    assert_int_equal(1, r[1].result);
    assert_int_equal(0, total(q, "s:1"));
    api_close(q);
}

static void test_shadow_mode_of_one_lets_the_others_take(void **state)
{
    (void)state;
    struct quipu *q = open_limits();
    struct quipu_strategy s = api_limit_of(QUIPU_ALGORITHM_FIXED, 10, W);
    s.shadow = 1;
    api_put(q, "f:", &s);
    assert_code(0, quipu_take_at(q, KEY("f:1"), 10, T0, NULL));
    struct quipu_request r[] = {ask("f:1", 1), ask("s:1", 5)};
    assert_code(0, quipu_take_many_at(q, r, 2, T0));
    assert_int_equal(1, r[0].verdict.shadow_denied);
    assert_int_equal(0, r[1].verdict.shadow_denied);
    assert_int_equal(10, total(q, "f:1"));
    assert_int_equal(5, total(q, "s:1"));
    assert_int_equal(1, api_get(q, "f:1").denied);
    api_close(q);
}

/* ---- callers that cross ------------------------------------------------------------------------------------------------ */

#define THREADS 4

/* The look has found both places; then the charge of the new key takes one of them away. The charge of that one has to notice. */
static void test_what_left_after_the_look_is_charged_where_it_is_now(void **state)
{
    (void)state;
    struct quipu *q = api_segment_of_callers(2);
    struct quipu_strategy s = api_limit_of(QUIPU_ALGORITHM_FIXED, 1000, W);
    struct quipu_request r[] = {ask("f:new", 20), ask("f:old", 300)};
    struct quipu_verdict v;
    s.overflow = QUIPU_OVERFLOW_EVICT;
    s.scope = QUIPU_SCOPE_HOST;
    s.idle_ms = QUIPU_IDLE_NEVER;
    api_put(q, "f:", &s);
    assert_code(0, quipu_take_at(q, KEY("f:busy"), 900, T0, NULL));
    assert_code(0, quipu_take_at(q, KEY("f:old"), 100, T0, NULL));
    uint64_t evicted = api_stat(q).evicted;
    assert_code(0, quipu_take_many_at(q, r, 2, T0));
    assert_true(api_stat(q).evicted > evicted);
    for (int i = 0; i < 2; i++) { /* what an evicted one had used is remembered, rounded up */
        uint64_t used = i == 0 ? 20 : 400;
        assert_code(0, quipu_take_at(q, r[i].key, r[i].key_bytes, 0, T0, &v));
        assert_in_range(1000 - v.remaining, used, used + 10);
    }
    assert_int_equal(900, total(q, "f:busy"));
    api_close(q);
}

struct taker {
    struct quipu *q;
    int number;
    uint64_t allowed;
    int error;
};

static void *take_pairs(void *arg)
{
    struct taker *me = arg;
    for (int i = 0; i < 3000 && me->error >= 0; i++) {
        bool order = (me->number + i) & 1; /* the same keys in opposite order */
        struct quipu_request r[] = {ask(order ? "f:x" : "b:x", 1), ask(order ? "b:x" : "f:x", 1), ask("s:x", 1)};
        me->error = quipu_take_many_at(me->q, r, 3, T0);
        me->allowed += me->error == 0;
    }
    return NULL;
}

/* A denied one may have held units for a moment, so a few may be left over; but whatever was allowed is there, and nothing else. */
static void test_of_requests_that_cross_exactly_the_allowed_ones_stay(void **state)
{
    (void)state;
    struct quipu *q = api_segment_of_callers(100);
    const struct quipu_strategy s[] = {api_limit_of(QUIPU_ALGORITHM_FIXED, 900, W),
                                       api_limit_of(QUIPU_ALGORITHM_SLIDING, 1000, W),
                                       api_limit_of(QUIPU_ALGORITHM_BUCKET, 950, W)};
    struct taker takers[THREADS];
    pthread_t threads[THREADS];
    uint64_t allowed = 0;
    api_put(q, "f:", &s[0]);
    api_put(q, "s:", &s[1]);
    api_put(q, "b:", &s[2]);
    for (int i = 0; i < THREADS; i++) {
        takers[i] = (struct taker){.q = q, .number = i};
        assert_int_equal(0, pthread_create(&threads[i], NULL, take_pairs, &takers[i]));
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(0, pthread_join(threads[i], NULL));
        assert_true(takers[i].error >= 0);
        allowed += takers[i].allowed;
    }
    assert_int_equal(allowed, total(q, "f:x"));
    assert_int_equal(allowed, total(q, "s:x"));
    assert_int_equal(allowed, total(q, "b:x"));
    assert_true(allowed <= 900 && allowed > 900 - THREADS);
    api_close(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_are_taken_when_all_have_room),
        cmocka_unit_test(test_one_that_refuses_leaves_nothing_charged_and_is_marked),
        cmocka_unit_test(test_all_that_refuse_are_marked),
        cmocka_unit_test(test_one_key_several_times_counts_all_its_units),
        cmocka_unit_test(test_an_error_of_one_charges_nothing),
        cmocka_unit_test(test_what_is_no_request_is_refused),
        cmocka_unit_test(test_no_units_are_a_look_among_takes),
        cmocka_unit_test(test_shadow_mode_of_one_lets_the_others_take),
        cmocka_unit_test(test_what_left_after_the_look_is_charged_where_it_is_now),
        cmocka_unit_test(test_of_requests_that_cross_exactly_the_allowed_ones_stay),
    };
    return cmocka_run_group_tests_name("taking many", tests, NULL, NULL);
}
