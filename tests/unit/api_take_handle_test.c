/* SPDX-License-Identifier: MIT */
/* api_take_handle_test.c: taking by handle: as by key, whatever became of the key meanwhile; from threads and forked children at once. */
#include "api.h"

#include <pthread.h>

#define T0 INT64_C(1700006400000)
#define W 60000

static struct quipu *open_limit(uint32_t algorithm, uint64_t limit)
{
    struct quipu *q = api_segment_of_callers(100);
    struct quipu_strategy strategy = api_limit_of(algorithm, limit, W);
    api_put(q, "l:", &strategy);
    return q;
}

static struct quipu_counter handle(struct quipu *q, const char *key)
{
    struct quipu_counter c;
    assert_code(0, quipu_counter_open(q, key, strlen(key), &c));
    return c;
}

static void test_a_handle_and_a_key_share_one_budget_and_one_verdict(void **state)
{
    (void)state;
    const uint32_t algorithms[] = {QUIPU_ALGORITHM_FIXED, QUIPU_ALGORITHM_SLIDING, QUIPU_ALGORITHM_BUCKET};
    for (int a = 0; a < 3; a++) {
        struct quipu *q = open_limit(algorithms[a], 20);
        struct quipu_counter c = handle(q, "l:1");
        struct quipu_verdict v, w;
        /* The same calls on two keys. */
        for (int i = 0; i < 30; i++) {
            uint64_t n = (uint64_t)i % 3;
            int64_t now_ms = T0 + i * 100;
            memset(&v, 0, sizeof v);
            memset(&w, 1, sizeof w);
            int by_handle = quipu_counter_take_at(&c, n, now_ms, &v),
                by_key = quipu_take_at(q, KEY("l:2"), n, now_ms, &w);
            assert_int_equal(by_key, by_handle);
            assert_memory_equal(&w, &v, sizeof v);
        }
        assert_code(0, quipu_reset(q, KEY("l:1"), NULL));
        for (int i = 0; i < 10; i++) {
            assert_code(0, quipu_counter_take(&c, 1, &v));
            assert_code(0, quipu_take(q, KEY("l:1"), 1, &w));
            assert_int_equal(v.remaining, w.remaining + 1);
        }
        assert_code(1, quipu_counter_take(&c, 1, NULL));
        assert_code(0, quipu_refund(q, KEY("l:1"), 1, &v));
        assert_code(0, quipu_counter_take(&c, 1, NULL));
        quipu_counter_close(&c);
        api_close(q);
    }
}

static void test_a_handle_follows_its_key_through_everything(void **state)
{
    (void)state;
    struct quipu *q = open_limit(QUIPU_ALGORITHM_FIXED, 3);
    struct quipu_counter c = handle(q, "l:1");
    unsigned char out[sizeof(struct quipu_verdict)];
    struct quipu_verdict v;
    api_mark(out, sizeof out);
    assert_code(0, quipu_counter_take_at(&c, 0, T0, NULL)); /* a look makes no key */
    assert_code(-ENOENT, quipu_counter_get(&c, NULL));
    assert_code(0, quipu_counter_take_at(&c, 3, T0, NULL));
    assert_code(1, quipu_counter_take_at(&c, 1, T0, NULL));
    assert_code(0, quipu_delete(q, KEY("l:1"), NULL));
    assert_code(0, quipu_counter_take_at(&c, 3, T0, NULL));
    assert_code(0, quipu_delete(q, KEY("l:1"), NULL));
    qp_test_settle(q); /* its entry is another's now, or nobody's */
    assert_code(0, quipu_add(q, KEY("other"), 1));
    assert_code(0, quipu_counter_take_at(&c, 3, T0, NULL));
    assert_code(1, quipu_counter_take_at(&c, 1, T0, NULL));
    struct quipu_strategy s = api_limit_of(QUIPU_ALGORITHM_FIXED, 5, W);
    api_put(q, "l:", &s); /* in place */
    assert_code(0, quipu_counter_take_at(&c, 2, T0, &v));
    assert_int_equal(5, v.limit);
    s = api_limit_of(QUIPU_ALGORITHM_BUCKET, 5, W); /* anew */
    api_put(q, "l:", &s);
    assert_code(0, quipu_counter_take_at(&c, 5, T0, NULL));
    assert_code(1, quipu_counter_take_at(&c, 1, T0, NULL));
    s = (struct quipu_strategy){.struct_bytes = sizeof s, .kind = QUIPU_KIND_COUNTER};
    api_put(q, "l:", &s);
    assert_code(-EPROTOTYPE, quipu_counter_take_at(&c, 1, T0, (void *)out));
    assert_code(0, quipu_counter_add(&c, 9));
    assert_code(-EPROTOTYPE, quipu_counter_take_at(&c, 1, T0, (void *)out));
    assert_code(0, quipu_strategy_drop(q, KEY("l:")));
    assert_code(-ENOENT, quipu_counter_take_at(&c, 1, T0, (void *)out));
    assert_int_equal(9, api_get(q, "l:1").total);
    api_assert_untouched(out, sizeof out);
    quipu_counter_close(&c);
    assert_code(-EINVAL, quipu_counter_take(&c, 1, (void *)out));
    api_close(q);
}

static void test_shadow_mode_and_denials_by_handle(void **state)
{
    (void)state;
    struct quipu *q = open_limit(QUIPU_ALGORITHM_FIXED, 3);
    struct quipu_strategy s = api_limit_of(QUIPU_ALGORITHM_FIXED, 3, W);
    struct quipu_counter c = handle(q, "l:1");
    struct quipu_verdict v;
    assert_code(0, quipu_counter_take_at(&c, 3, T0, NULL));
    assert_code(1, quipu_counter_take_at(&c, 1, T0, &v));
    assert_int_equal(0, v.shadow_denied);
    s.shadow = 1;
    api_put(q, "l:", &s);
    assert_code(0, quipu_counter_take_at(&c, 1, T0, &v));
    assert_int_equal(1, v.shadow_denied);
    assert_int_equal(2, api_get(q, "l:1").denied);
    assert_int_equal(3, api_get(q, "l:1").total);
    quipu_counter_close(&c);
    api_close(q);
}

/* ---- many at once ---------------------------------------------------------------------------------------------------- */

#define THREADS 4
#define LIMIT 30000

struct taker {
    struct quipu *q;
    struct quipu_counter *c;
    uint64_t taken;
};

static void *take_until_denied(void *arg)
{
    struct taker *me = arg;
    for (int i = 0, denials = 0; denials < 100; i++) {
        uint64_t n = 1 + (uint64_t)i % 3;
        struct quipu_verdict v;
        int result = i & 1 ? quipu_take_at(me->q, KEY("l:1"), n, T0, &v) : quipu_counter_take_at(me->c, n, T0, &v);
        if (result < 0)
            return NULL;
        denials += result;
        me->taken += result ? 0 : n;
        if (result == 0 && i % 10 == 0 && quipu_refund(me->q, KEY("l:1"), n, &v) == 0)
            me->taken -= n;
    }
    return NULL;
}

/* Children and threads together get what the limit has, and not one more. */
static void test_threads_and_children_share_what_there_is(void **state)
{
    (void)state;
    const uint32_t algorithms[] = {QUIPU_ALGORITHM_FIXED, QUIPU_ALGORITHM_SLIDING, QUIPU_ALGORITHM_BUCKET};
    for (int a = 0; a < 3; a++) {
        struct quipu *q = open_limit(algorithms[a], LIMIT);
        struct quipu_counter c = handle(q, "l:1");
        struct taker takers[THREADS];
        pthread_t threads[THREADS];
        uint64_t taken = 0;
        int pipes[2], status;
        assert_int_equal(0, pipe(pipes));
        pid_t child = api_fork();
        if (child == 0) {
            struct taker me = {q, &c, 0};
            take_until_denied(&me);
            _exit(write(pipes[1], &me.taken, sizeof me.taken) != sizeof me.taken);
        }
        for (int i = 0; i < THREADS; i++) {
            takers[i] = (struct taker){q, &c, 0};
            assert_int_equal(0, pthread_create(&threads[i], NULL, take_until_denied, &takers[i]));
        }
        for (int i = 0; i < THREADS; i++) {
            assert_int_equal(0, pthread_join(threads[i], NULL));
            taken += takers[i].taken;
        }
        uint64_t of_child = 0;
        assert_int_equal(sizeof of_child, read(pipes[0], &of_child, sizeof of_child));
        assert_int_equal(child, waitpid(child, &status, 0));
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        close(pipes[0]);
        close(pipes[1]);
        assert_int_equal(taken + of_child, api_get(q, "l:1").total);
        assert_true(taken + of_child <= LIMIT && taken + of_child > LIMIT - 3);
        quipu_counter_close(&c);
        api_close(q);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_handle_and_a_key_share_one_budget_and_one_verdict),
        cmocka_unit_test(test_a_handle_follows_its_key_through_everything),
        cmocka_unit_test(test_shadow_mode_and_denials_by_handle),
        cmocka_unit_test(test_threads_and_children_share_what_there_is),
    };
    return cmocka_run_group_tests_name("taking by handle", tests, NULL, NULL);
}
