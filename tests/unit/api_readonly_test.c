/* SPDX-License-Identifier: MIT */
/* api_readonly_test.c: a read-only handle: takes no slot, changes no byte, reads everything, refuses the rest. */
#include "api.h"

#include <stdlib.h>

static int count_visits(const struct quipu_item *item, void *arg)
{
    (void)item;
    ++*(int *)arg;
    return 0;
}

static int count_rows(const void *prefix, size_t prefix_bytes, const struct quipu_strategy *strategy, void *arg)
{
    (void)prefix, (void)prefix_bytes, (void)strategy;
    ++*(int *)arg;
    return 0;
}

static void test_reading_works_and_takes_no_slot(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 1);
    struct quipu *reader = api_again(q, true); /* the only slot is taken */
    struct quipu_stat stat;
    int visits = 0, rows = 0;
    char finding[256] = "";
    assert_code(0, quipu_add(q, KEY("k"), 5));
    assert_code(0, quipu_set(q, KEY("r"), -5));
    api_limit(q, "l:", 86400000);
    assert_code(0, quipu_add(q, KEY("l:1"), 7));
    assert_int_equal(5, api_get(reader, "k").total);
    assert_true(api_get(reader, "r").total == -5);
    assert_int_equal(7, api_get(reader, "l:1").total + api_get(reader, "l:1").previous);
    assert_code(-ENOENT, quipu_get(reader, KEY("absent"), NULL));
    assert_code(0, quipu_each(reader, NULL, 0, count_visits, &visits));
    assert_int_equal(3, visits);
    assert_code(0, quipu_strategy_each(reader, count_rows, &rows));
    assert_int_equal(1, rows);
    assert_code(0, quipu_stat(reader, &stat));
    assert_int_equal(1, stat.threads_used);
    assert_int_equal(1, stat.processes_used);
    if (quipu_check(reader, finding, sizeof finding))
        fail_msg("%s", finding);
    quipu_close(reader);
    api_close(q);
}

static void test_changes_are_refused(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu *reader = api_again(q, true);
    struct quipu_strategy strategy = {.struct_bytes = sizeof strategy};
    struct quipu_counter counter;
    int64_t ended = 42;
    assert_code(0, quipu_add(q, KEY("k"), 5));
    assert_code(-QUIPU_EREADONLY, quipu_add(reader, KEY("k"), 1));
    assert_code(-QUIPU_EREADONLY, quipu_add_at(reader, KEY("k"), 1, 0));
    assert_code(-QUIPU_EREADONLY, quipu_set(reader, KEY("r"), 1));
    assert_code(-QUIPU_EREADONLY, quipu_reset(reader, KEY("k"), &ended));
    assert_code(-QUIPU_EREADONLY, quipu_delete(reader, KEY("k"), &ended));
    assert_code(-QUIPU_EREADONLY, quipu_counter_open(reader, KEY("k"), &counter));
    assert_code(-QUIPU_EREADONLY, quipu_strategy_put(reader, KEY("k"), &strategy));
    assert_code(-QUIPU_EREADONLY, quipu_strategy_drop(reader, KEY("k")));
    assert_code(-QUIPU_EREADONLY, quipu_strategy_load(reader, NULL, 0));
    assert_code(-QUIPU_EREADONLY, quipu_upkeep(reader, 0));
    assert_int_equal(42, ended);
    assert_int_equal(5, api_get(q, "k").total);
    quipu_close(reader);
    api_close(q);
}

static void test_reading_changes_no_byte_of_the_segment(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu *reader = api_again(q, true);
    int visits = 0;
    assert_code(0, quipu_add(q, KEY("k"), 5));
    api_limit(q, "other", 1000); /* so that the entry's cached strategy is old, and a writer would renew it */
    unsigned char *before = malloc(q->view.bytes);
    assert_non_null(before);
    memcpy(before, q->view.base, q->view.bytes);
    assert_int_equal(5, api_get(reader, "k").total);
    assert_code(0, quipu_each(reader, NULL, 0, count_visits, &visits));
    assert_code(0, quipu_stat(reader, NULL));
    assert_code(0, quipu_check(reader, NULL, 0));
    assert_memory_equal(before, q->view.base, q->view.bytes);
    free(before);
    quipu_close(reader);
    api_close(q);
}

/* A key that is there all the time is found all the time, with a count that was true at some moment, while entries around
 * it are reused. */
static void test_reading_beside_a_writer_finds_what_is_there(void **state)
{
    (void)state;
    struct quipu *q = api_segment(20, 8);
    struct quipu *reader = api_again(q, true);
    struct quipu_count count;
    assert_code(0, quipu_add(q, KEY("stay"), 1000));
    pid_t writer = api_fork();
    if (writer == 0)
        for (int i = 0;; i++) {
            char key[16];
            snprintf(key, sizeof key, "go.%d", i % 40);
            int error = i % 3 == 2 ? quipu_delete(q, key, strlen(key), NULL) : quipu_add(q, key, strlen(key), 7);
            if (error && error != -ENOENT && error != -QUIPU_EFULL)
                _exit(1);
            if (i % 16 == 0 && quipu_upkeep(q, 0) < 0)
                _exit(1);
        }
    for (int i = 0; i < 100000; i++) {
        assert_code(0, quipu_get(reader, KEY("stay"), &count));
        assert_int_equal(1000, count.total);
        char key[16];
        snprintf(key, sizeof key, "go.%d", i % 40);
        int error = quipu_get(reader, key, strlen(key), &count);
        assert_true(error == 0 || error == -ENOENT);
        if (!error)
            assert_int_equal(0, count.total % 7);
    }
    api_kill(writer);
    quipu_close(reader);
    api_close(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading_works_and_takes_no_slot),
        cmocka_unit_test(test_changes_are_refused),
        cmocka_unit_test(test_reading_changes_no_byte_of_the_segment),
        cmocka_unit_test(test_reading_beside_a_writer_finds_what_is_there),
    };
    return cmocka_run_group_tests_name("read-only handles", tests, NULL, NULL);
}
