/* SPDX-License-Identifier: MIT */
/* api_add_many_test.c: several adds in one call: each is counted or refused for itself, whatever becomes of the others. */
#include "api.h"

#include <pthread.h>

#define T0 INT64_C(1700006400000)
#define MANY 40 /* more than are worked on at once */
#define UNTOLD 77

static struct quipu_add_request add(const char *key, int64_t n)
{
    return (struct quipu_add_request){
        .struct_bytes = sizeof(struct quipu_add_request), .key = key, .key_bytes = strlen(key), .n = n, .result = UNTOLD};
}

/* Adds of 1, 2, 3 ... to as many keys of that prefix. */
static void fill(struct quipu_add_request *r, char (*keys)[32], const char *prefix, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        snprintf(keys[i], sizeof keys[i], "%s%zu", prefix, i);
        r[i] = add(keys[i], (int64_t)i + 1);
    }
}

static int64_t total(struct quipu *q, const char *key)
{
    struct quipu_count count;
    int error = quipu_get(q, key, strlen(key), &count);
    assert_true(error == 0 || error == -ENOENT);
    return error ? 0 : count.total;
}

static void test_each_is_counted(void **state)
{
    (void)state;
    char keys[MANY][32];
    struct quipu_add_request r[MANY];
    for (size_t count = 0; count <= MANY; count++) {
        struct quipu *q = api_segment(100, 4);
        fill(r, keys, "k", MANY);
        for (int round = 1; round <= 2; round++) { /* new keys, then those that are there */
            assert_code(0, round == 1 ? quipu_add_many(q, r, count) : quipu_add_many_at(q, r, count, T0));
            for (size_t i = 0; i < MANY; i++) {
                assert_int_equal(i < count ? 0 : UNTOLD, r[i].result);
                assert_int_equal(i < count ? (int64_t)(i + 1) * round : 0, total(q, keys[i]));
            }
        }
        assert_int_equal(count, api_stat(q).counters_used);
        api_close(q);
    }
    struct quipu *q = api_segment(100, 4);
    assert_code(0, quipu_add_many(q, NULL, 0));
    api_close(q);
}

static void test_a_key_becomes_what_its_strategy_says(void **state)
{
    (void)state;
    struct quipu *q = api_segment_of_callers(100);
    struct quipu_strategy limit = api_limit_of(QUIPU_ALGORITHM_FIXED, 5, 60000);
    char longest[QUIPU_KEY_BYTES_MAX + 1];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    api_put(q, "l:", &limit);
    struct quipu_add_request r[] = {add("l:1", 4), add("plain", QUIPU_KEY_BYTES_MAX), add("l:1", 9), add(longest, 1 << 20),
                                    add("none", 0)};
    assert_code(0, quipu_add_many_at(q, r, 5, T0));
    assert_int_equal(13, total(q, "l:1")); /* over the limit: adds do not ask */
    assert_int_equal(QUIPU_KEY_BYTES_MAX, total(q, "plain"));
    assert_int_equal(1 << 20, total(q, longest));
    assert_int_equal(3, api_stat(q).counters_used); /* 0 makes no key */
    assert_code(0, quipu_add_many_at(q, r, 1, T0 + 60000));
    assert_int_equal(4, total(q, "l:1"));
    api_close(q);
}

static void test_one_that_fails_keeps_no_other_from_being_counted(void **state)
{
    (void)state;
    struct quipu_strategy reg = {.struct_bytes = sizeof reg, .kind = QUIPU_KIND_REGISTER};
    static const char too_long[QUIPU_KEY_BYTES_MAX + 1];
    const struct {
        struct quipu_add_request bad;
        int code;
    } cases[] = {
        {{.key = NULL, .key_bytes = 1, .n = 1}, -EINVAL},
        {{.key = "x", .key_bytes = 0, .n = 1}, -EINVAL},
        {{.key = too_long, .key_bytes = sizeof too_long, .n = 1}, -ENAMETOOLONG},
        {{.key = "x", .key_bytes = 1, .n = -1}, -EINVAL},
        {{.key = "r:1", .key_bytes = 3, .n = 1}, -EPROTOTYPE},
        {{.key = "over", .key_bytes = 4, .n = INT64_MAX}, -EOVERFLOW},
    };
    char keys[MANY][32];
    struct quipu_add_request r[MANY];
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct quipu *q = api_segment(100, 4);
        api_put(q, "r:", &reg);
        for (size_t place = 0; place < MANY; place++) {
            fill(r, keys, "k", MANY);
            r[place] = cases[c].bad;
            r[place].struct_bytes = sizeof r[place];
            assert_code(cases[c].code, quipu_add_many(q, r, MANY));
            for (size_t i = 0; i < MANY; i++)
                assert_int_equal(i == place ? cases[c].code : 0, r[i].result);
        }
        for (size_t i = 0; i < MANY; i++)
            assert_int_equal((int64_t)(i + 1) * (MANY - 1), total(q, keys[i]));
        assert_int_equal(MANY, api_stat(q).counters_used);
        api_close(q);
    }
}

static void test_the_first_failure_is_returned(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 4);
    char keys[MANY][32];
    struct quipu_add_request r[MANY];
    for (size_t first = 0; first + 1 < MANY; first++) {
        fill(r, keys, "k", MANY);
        r[first].key_bytes = QUIPU_KEY_BYTES_MAX + 1;
        r[MANY - 1].n = -1;
        assert_code(-ENAMETOOLONG, quipu_add_many(q, r, MANY));
        assert_int_equal(-EINVAL, r[MANY - 1].result);
    }
    api_close(q);
}

/* A limit's time is looked at for each of them, a plain counter needs none. */
static void test_a_time_that_is_far_off_is_refused_where_it_matters(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 4);
    api_limit(q, "l:", 1000);
    struct quipu_add_request r[] = {add("plain", 1), add("l:1", 2), add("plain", 4)};
    assert_code(-ERANGE, quipu_add_many_at(q, r, 3, T0));
    assert_int_equal(-ERANGE, r[1].result);
    assert_int_equal(5, total(q, "plain"));
    assert_code(0, quipu_add_many(q, r, 3));
    assert_int_equal(10, total(q, "plain"));
    api_close(q);
}

static void test_a_full_segment_refuses_new_keys_only(void **state)
{
    (void)state;
    struct quipu *q = api_segment(8, 4);
    char keys[16][32];
    struct quipu_add_request r[16];
    int counted = 0;
    fill(r, keys, "k", 16);
    assert_code(-QUIPU_EFULL, quipu_add_many(q, r, 16));
    for (int i = 0; i < 16; i++) {
        assert_true(r[i].result == 0 || r[i].result == -QUIPU_EFULL);
        assert_int_equal(r[i].result ? 0 : i + 1, total(q, keys[i]));
        counted += r[i].result == 0;
    }
    assert_int_equal(8, counted);
    assert_code(-QUIPU_EFULL, quipu_add_many(q, r, 16));
    for (int i = 0; i < 16; i++)
        assert_int_equal(r[i].result ? 0 : 2 * (i + 1), total(q, keys[i]));
    api_close(q);
}

static void test_what_is_no_list_counts_nothing(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 4);
    for (int wrong = 0; wrong < 4; wrong++) {
        struct quipu_add_request r[] = {add("a", 1), add("b", 1)};
        if (wrong == 0)
            r[1].struct_bytes--;
        else if (wrong == 1)
            r[1].reserved0 = 1;
        assert_code(-EINVAL, quipu_add_many(wrong == 2 ? NULL : q, wrong == 3 ? NULL : r, 2));
        assert_true(r[0].result == UNTOLD && r[1].result == UNTOLD);
    }
    assert_int_equal(0, api_stat(q).counters_used);
    struct quipu *reader = api_again(q, true);
    struct quipu_add_request r[] = {add("a", 1), add("b", 1)};
    assert_code(-QUIPU_EREADONLY, quipu_add_many(reader, r, 2));
    assert_true(r[0].result == -QUIPU_EREADONLY && r[1].result == -QUIPU_EREADONLY);
    quipu_close(reader);
    api_close(q);
}

static void test_a_segment_that_was_destroyed_counts_nothing(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 4);
    struct quipu_add_request r[] = {add("a", 1), add("b", 1)};
    assert_code(0, quipu_add_many(q, r, 1));
    q->view.header->flags |= QP_FLAG_DESTROYED;
    assert_code(-ESTALE, quipu_add_many(q, r, 2));
    assert_true(r[0].result == -ESTALE && r[1].result == -ESTALE);
    quipu_close(q);
}

/* ---- several threads ---------------------------------------------------------------------------------------------- */

#define THREADS 4
#define CALLS 3000
#define KEYS 30

static void *add_lists(void *arg)
{
    struct quipu *q = arg;
    char keys[KEYS][32];
    struct quipu_add_request r[KEYS];
    uintptr_t failures = 0;
    fill(r, keys, "shared", KEYS);
    for (int i = 0; i < CALLS; i++)
        failures += quipu_add_many(q, r, KEYS) != 0;
    return (void *)failures;
}

static void test_what_several_add_at_once_is_all_there(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(0, pthread_create(&threads[i], NULL, add_lists, q));
    for (int i = 0; i < THREADS; i++) {
        void *failures = NULL;
        assert_int_equal(0, pthread_join(threads[i], &failures));
        assert_null(failures);
    }
    for (int i = 0; i < KEYS; i++) {
        char key[32];
        snprintf(key, sizeof key, "shared%d", i);
        assert_int_equal((int64_t)(i + 1) * CALLS * THREADS, total(q, key));
    }
    assert_int_equal(KEYS, api_stat(q).counters_used);
    api_close(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_is_counted),
        cmocka_unit_test(test_a_key_becomes_what_its_strategy_says),
        cmocka_unit_test(test_one_that_fails_keeps_no_other_from_being_counted),
        cmocka_unit_test(test_the_first_failure_is_returned),
        cmocka_unit_test(test_a_time_that_is_far_off_is_refused_where_it_matters),
        cmocka_unit_test(test_a_full_segment_refuses_new_keys_only),
        cmocka_unit_test(test_what_is_no_list_counts_nothing),
        cmocka_unit_test(test_a_segment_that_was_destroyed_counts_nothing),
        cmocka_unit_test(test_what_several_add_at_once_is_all_there),
    };
    return cmocka_run_group_tests_name("several adds at once", tests, NULL, NULL);
}
