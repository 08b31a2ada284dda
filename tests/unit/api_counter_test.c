/* SPDX-License-Identifier: MIT */
/* api_counter_test.c: handles on keys: they count as calls by key do, and follow the key through deletes and strategies. */
#include "api.h"
#include "shm/entry.h"
#include "shm/stripe.h"

#include <pthread.h>
#include <stdlib.h>

static struct quipu_counter open_counter(struct quipu *q, const char *key)
{
    struct quipu_counter counter;
    assert_code(0, quipu_counter_open(q, key, strlen(key), &counter));
    return counter;
}

static int64_t total_of(struct quipu_counter *counter)
{
    struct quipu_count count;
    assert_code(0, quipu_counter_get(counter, &count));
    return count.total;
}

static void test_opening_a_handle_makes_no_key(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu_counter counter = open_counter(q, "k");
    unsigned char out[sizeof(struct quipu_count)];
    api_mark(out, sizeof out);
    assert_code(-ENOENT, quipu_counter_get(&counter, (void *)out));
    assert_code(0, quipu_counter_add(&counter, 0));
    assert_code(-ENOENT, quipu_get(q, KEY("k"), NULL));
    api_assert_untouched(out, sizeof out);
    quipu_counter_close(&counter);
    api_close(q);
}

static void test_a_handle_counts_on_its_key(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu_counter counter = open_counter(q, "k"), second = open_counter(q, "k");
    for (int i = 0; i < 100; i++) {
        assert_code(0, quipu_counter_add(&counter, 3));
        assert_code(0, quipu_counter_add(&second, 2));
        assert_code(0, quipu_add(q, KEY("k"), 1));
    }
    assert_int_equal(600, total_of(&counter));
    assert_int_equal(600, api_get(q, "k").total);
    assert_code(0, quipu_counter_get(&counter, NULL));
    assert_code(0, quipu_counter_add(&counter, INT64_C(1) << 40)); /* large ones go by key */
    assert_int_equal(600 + (INT64_C(1) << 40), total_of(&second));
    quipu_counter_close(&counter);
    quipu_counter_close(&second);
    api_close(q);
}

static void test_a_handle_refuses_what_a_call_by_key_refuses(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu_counter counter = open_counter(q, "k");
    assert_code(-EINVAL, quipu_counter_open(q, KEY("k"), NULL));
    assert_code(-EINVAL, quipu_counter_add(&counter, -1));
    assert_code(-EINVAL, quipu_counter_add(&counter, INT64_MIN));
    assert_code(-ENOENT, quipu_get(q, KEY("k"), NULL));
    assert_code(0, quipu_counter_add(&counter, INT64_C(1) << 62));
    assert_code(-EINVAL, quipu_counter_add(&counter, -1));
    assert_code(-EOVERFLOW, quipu_counter_add(&counter, INT64_C(1) << 20));
    assert_true(total_of(&counter) == INT64_C(1) << 62);
    quipu_counter_close(&counter);
    quipu_counter_close(&counter); /* twice is once */
    quipu_counter_close(NULL);
    assert_code(-EINVAL, quipu_counter_add(&counter, 1));
    assert_code(-EINVAL, quipu_counter_get(&counter, NULL));
    api_close(q);
}

static void test_a_handle_on_a_register_adds_nothing(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu_counter counter = open_counter(q, "r");
    assert_code(0, quipu_set(q, KEY("r"), 5));
    assert_code(-EPROTOTYPE, quipu_counter_add(&counter, 1));
    assert_int_equal(5, total_of(&counter));
    quipu_counter_close(&counter);
    api_close(q);
}

static void test_a_handle_finds_the_next_life_of_a_deleted_key(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu_counter counter = open_counter(q, "k");
    for (int life = 0; life < 50; life++) {
        assert_code(0, quipu_counter_add(&counter, 2));
        assert_code(0, quipu_counter_add(&counter, 3));
        assert_int_equal(5, total_of(&counter));
        int64_t ended;
        assert_code(0, quipu_delete(q, KEY("k"), &ended));
        assert_int_equal(5, ended);
        assert_code(-ENOENT, quipu_counter_get(&counter, NULL));
        if (life % 3 == 0)
            qp_test_settle(q); /* the entry is gone */
        if (life % 3 == 1)
            assert_code(0, quipu_upkeep(q, 0) < 0); /* or on its way */
    }
    quipu_counter_close(&counter);
    api_close(q);
}

/* The entry that a handle remembers may hold another key by now: what it adds goes to its own. */
static void test_a_handle_never_counts_on_the_key_that_took_its_place(void **state)
{
    (void)state;
    struct quipu *q = api_segment(1, 8);
    struct quipu_counter counter = open_counter(q, "first");
    assert_code(0, quipu_counter_add(&counter, 1));
    assert_code(0, quipu_delete(q, KEY("first"), NULL));
    qp_test_settle(q);
    assert_code(0, quipu_add(q, KEY("second"), 10));
    assert_code(-QUIPU_EFULL, quipu_counter_add(&counter, 1));
    assert_int_equal(10, api_get(q, "second").total);
    assert_code(0, quipu_delete(q, KEY("second"), NULL));
    qp_test_settle(q);
    assert_code(0, quipu_counter_add(&counter, 1));
    assert_int_equal(1, api_get(q, "first").total);
    quipu_counter_close(&counter);
    api_close(q);
}

static void test_a_handle_goes_on_after_a_reset(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu_counter counter = open_counter(q, "k");
    assert_code(0, quipu_counter_add(&counter, 2));
    assert_code(0, quipu_reset(q, KEY("k"), NULL));
    assert_code(0, quipu_counter_add(&counter, 1));
    assert_int_equal(1, total_of(&counter));
    quipu_counter_close(&counter);
    api_close(q);
}

static void test_a_handle_follows_the_strategy_of_its_key(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu_counter counter = open_counter(q, "k");
    struct quipu_count count;
    assert_code(0, quipu_counter_add(&counter, 5));
    api_limit(q, "k", 86400000);
    assert_code(-ENOENT, quipu_counter_get(&counter, NULL));
    assert_code(0, quipu_counter_add(&counter, 2));
    assert_code(0, quipu_counter_get(&counter, &count));
    assert_int_equal(2, count.total);
    assert_true(count.epoch > 0);
    assert_code(-ERANGE, quipu_counter_add_at(&counter, 1, 0));
    assert_code(-EINVAL, quipu_counter_add_at(&counter, -1, 0));
    struct quipu_strategy plain = {.struct_bytes = sizeof plain, .kind = QUIPU_KIND_COUNTER};
    assert_code(0, quipu_strategy_put(q, KEY("k"), &plain));
    assert_code(0, quipu_counter_add(&counter, 1));
    assert_int_equal(1, total_of(&counter));
    quipu_counter_close(&counter);
    api_close(q);
}

/* ---- with stripes, which a handle adds to without a look at its entry ------------------------------------------------ */

#define HOT 5000

static struct quipu_counter open_hot(struct quipu *q, const char *key)
{
    struct quipu_counter counter = open_counter(q, key);
    for (int i = 0; i < HOT; i++)
        assert_code(0, quipu_counter_add(&counter, 1));
    struct quipu_stat stat = {0};
    assert_code(0, quipu_stat(q, &stat));
    assert_int_equal(1, stat.stripes_used);
    return counter;
}

static struct qp_entry *find(struct quipu *q, const char *name)
{
    int error;
    struct qp_key key = qp_key_make(&q->view, name, strlen(name));
    struct qp_entry *entry = qp_table_find(&q->view, &key, &error);
    assert_non_null(entry);
    return entry;
}

/* The thread adds by no handle meanwhile, so that it has not looked around since. */
static void test_a_handle_never_counts_in_the_stripes_that_were_its_keys(void **state)
{
    (void)state;
    int error;
    struct quipu *q = api_segment(1, 8); /* with one stripe set */
    struct quipu_counter counter = open_hot(q, "first");
    assert_code(0, quipu_delete(q, KEY("first"), NULL));
    qp_test_settle(q);
    assert_code(0, quipu_add(q, KEY("second"), 10));
    struct qp_worker *worker = qp_thread_worker(q, &error);
    qp_grace_enter(&q->view, worker->slot);
    qp_stripe_promote(worker, find(q, "second"), true);
    qp_grace_exit(worker->slot);
    assert_int_equal(qp_block_make(QP_CLASS_STRIPES, 0), (uint32_t)find(q, "second")->traits);
    assert_code(-QUIPU_EFULL, quipu_counter_add(&counter, 1));
    assert_int_equal(10, api_get(q, "second").total);
    quipu_counter_close(&counter);
    api_close(q);
}

static void test_a_hot_handle_follows_the_strategy_of_its_key(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu_counter counter = open_hot(q, "k");
    api_limit(q, "k", 86400000);
    assert_code(0, quipu_counter_add(&counter, 2));
    assert_int_equal(2, total_of(&counter));
    quipu_counter_close(&counter);
    api_close(q);
}

/* By somebody who saw a strategy that is no longer in force: no other word that the handle looks at has changed. */
static void test_a_handle_notices_that_its_entry_was_ended_at_once(void **state)
{
    (void)state;
    int error;
    struct quipu *q = api_segment(100, 8);
    struct quipu_counter counter = open_hot(q, "k");
    struct qp_worker *worker = qp_thread_worker(q, &error);
    qp_grace_enter(&q->view, worker->slot);
    qp_entry_end(&q->view, find(q, "k"));
    qp_grace_exit(worker->slot);
    assert_code(0, quipu_counter_add(&counter, 1));
    assert_int_equal(1, total_of(&counter));
    quipu_counter_close(&counter);
    api_close(q);
}

static void test_a_long_key_is_copied_by_its_handle(void **state)
{
    (void)state;
    struct quipu *q = api_segment(2000, 8);
    struct quipu_counter counter;
    char *key = malloc(QUIPU_KEY_BYTES_MAX), same[QUIPU_KEY_BYTES_MAX];
    struct quipu_count count;
    assert_non_null(key);
    memset(key, 'k', QUIPU_KEY_BYTES_MAX);
    memcpy(same, key, sizeof same);
    assert_code(0, quipu_counter_open(q, key, QUIPU_KEY_BYTES_MAX, &counter));
    memset(key, 'x', QUIPU_KEY_BYTES_MAX);
    free(key);
    assert_code(0, quipu_counter_add(&counter, 1));
    assert_code(0, quipu_get(q, same, sizeof same, &count));
    assert_int_equal(1, count.total);
    quipu_counter_close(&counter);
    api_close(q);
}

/* ---- threads at once ------------------------------------------------------------------------------------------------ */

#define ADDS 20000

static void *add_through(void *arg)
{
    for (int i = 0; i < ADDS; i++)
        if (quipu_counter_add(arg, 1))
            return arg;
    return NULL;
}

static void test_threads_share_a_handle_while_its_key_is_deleted(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu_counter counter = open_counter(q, "k");
    pthread_t threads[3];
    int64_t ended_sum = 0, ended;
    for (int i = 0; i < 3; i++)
        assert_int_equal(0, pthread_create(&threads[i], NULL, add_through, &counter));
    for (int i = 0; i < 300; i++) {
        if (quipu_delete(q, KEY("k"), &ended) == 0)
            ended_sum += ended;
        assert_true(quipu_upkeep(q, 0) >= 0);
    }
    for (int i = 0; i < 3; i++) {
        void *failed;
        assert_int_equal(0, pthread_join(threads[i], &failed));
        assert_null(failed);
    }
    struct quipu_count count = {0};
    (void)quipu_get(q, KEY("k"), &count);
    assert_int_equal(3 * ADDS, ended_sum + count.total);
    quipu_counter_close(&counter);
    api_close(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opening_a_handle_makes_no_key),
        cmocka_unit_test(test_a_handle_counts_on_its_key),
        cmocka_unit_test(test_a_handle_refuses_what_a_call_by_key_refuses),
        cmocka_unit_test(test_a_handle_on_a_register_adds_nothing),
        cmocka_unit_test(test_a_handle_finds_the_next_life_of_a_deleted_key),
        cmocka_unit_test(test_a_handle_never_counts_on_the_key_that_took_its_place),
        cmocka_unit_test(test_a_handle_goes_on_after_a_reset),
        cmocka_unit_test(test_a_handle_follows_the_strategy_of_its_key),
        cmocka_unit_test(test_a_handle_never_counts_in_the_stripes_that_were_its_keys),
        cmocka_unit_test(test_a_hot_handle_follows_the_strategy_of_its_key),
        cmocka_unit_test(test_a_handle_notices_that_its_entry_was_ended_at_once),
        cmocka_unit_test(test_a_long_key_is_copied_by_its_handle),
        cmocka_unit_test(test_threads_share_a_handle_while_its_key_is_deleted),
    };
    return cmocka_run_group_tests_name("handles on keys", tests, NULL, NULL);
}
