/* SPDX-License-Identifier: MIT */
/* api_take_test.c: take and refund by key as the public calls show them: which keys are limited, verdicts, shadow mode, strategies that change under
 * a key, the two kinds of time. By handle: api_take_handle_test.c. */
#include "api.h"

#include "runtime/clock.h"

#define T0 INT64_C(1700006400000) /* a whole number of windows */
#define W 60000

static struct quipu *open_limit(uint32_t algorithm, uint64_t limit)
{
    struct quipu *q = api_segment_of_callers(100);
    struct quipu_strategy strategy = api_limit_of(algorithm, limit, W);
    api_put(q, "l:", &strategy);
    return q;
}

static struct quipu_count get_at(struct quipu *q, const char *key, int64_t now_ms)
{
    struct quipu_count count;
    assert_code(0, quipu_get_at(q, key, strlen(key), now_ms, &count));
    return count;
}

/* ---- which keys are limited ------------------------------------------------------------------------------------------ */

static void test_a_key_without_a_limit_is_refused_by_name(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    unsigned char out[sizeof(struct quipu_verdict)];
    const uint32_t kinds[] = {QUIPU_KIND_COUNTER, QUIPU_KIND_REGISTER, QUIPU_KIND_INFLIGHT};
    api_mark(out, sizeof out);
    assert_code(-ENOENT, quipu_take(q, KEY("k"), 1, (void *)out));
    assert_code(0, quipu_add(q, KEY("k"), 1));
    assert_code(-ENOENT, quipu_take(q, KEY("k"), 1, (void *)out));
    for (int i = 0; i < 3; i++) {
        struct quipu_strategy s = {.struct_bytes = sizeof s, .kind = kinds[i], .limit = i == 2 ? 5 : 0};
        api_put(q, "o:", &s);
        assert_code(-EPROTOTYPE, quipu_take(q, KEY("o:1"), 1, (void *)out));
        assert_code(-EPROTOTYPE, quipu_refund(q, KEY("o:1"), 1, &(struct quipu_verdict){0}));
    }
    assert_code(-EINVAL, quipu_take(NULL, KEY("k"), 1, (void *)out));
    assert_code(-EINVAL, quipu_take(q, NULL, 1, 1, (void *)out));
    assert_code(-EINVAL, quipu_take(q, "k", 0, 1, (void *)out));
    assert_code(-ENAMETOOLONG, quipu_take(q, "k", QUIPU_KEY_BYTES_MAX + 1, 1, (void *)out));
    assert_code(-ENOENT, quipu_refund(q, KEY("k"), 1, &(struct quipu_verdict){0}));
    assert_code(-EINVAL, quipu_refund(q, KEY("k"), 1, NULL));
    struct quipu *reader = api_again(q, true);
    assert_code(-QUIPU_EREADONLY, quipu_take(reader, KEY("k"), 1, (void *)out));
    assert_code(-QUIPU_EREADONLY, quipu_refund(reader, KEY("k"), 1, &(struct quipu_verdict){0}));
    api_assert_untouched(out, sizeof out);
    quipu_close(reader);
    api_close(q);
}

static void test_a_limit_is_not_set_or_entered(void **state)
{
    (void)state;
    struct quipu *q = open_limit(QUIPU_ALGORITHM_FIXED, 10);
    struct quipu_ticket ticket;
    assert_code(-EPROTOTYPE, quipu_set(q, KEY("l:1"), 1));
    assert_code(-EPROTOTYPE, quipu_enter(q, KEY("l:1"), &ticket));
    assert_code(-ENOENT, quipu_get(q, KEY("l:1"), NULL));
    api_close(q);
}

/* ---- verdicts -------------------------------------------------------------------------------------------------------- */

static void test_a_verdict_says_what_is_left_and_when_to_come_back(void **state)
{
    (void)state;
    struct quipu *q = open_limit(QUIPU_ALGORITHM_FIXED, 10);
    struct quipu_verdict v;
    assert_code(0, quipu_take_at(q, KEY("l:1"), 7, T0 + 1000, &v));
    const struct quipu_verdict wants = {.limit = 10, .remaining = 3, .epoch = (uint64_t)T0 << 16, .reset_ms = T0 + W};
    assert_memory_equal(&wants, &v, sizeof v);
    assert_code(1, quipu_take_at(q, KEY("l:1"), 4, T0 + 2000, &v));
    assert_int_equal(3, v.remaining);
    assert_int_equal(W - 2000, v.retry_after_ms);
    assert_int_equal(0, v.shadow_denied);
    assert_code(1, quipu_take_at(q, KEY("l:1"), 11, T0 + 2000, &v));
    assert_true(v.retry_after_ms == -1);
    assert_code(0, quipu_take_at(q, KEY("l:1"), 3, T0 + W - 1, NULL));
    assert_code(0, quipu_take_at(q, KEY("l:1"), 10, T0 + W, &v));
    assert_int_equal((uint64_t)(T0 + W) << 16, v.epoch);
    struct quipu_count count = get_at(q, "l:1", T0 + W);
    assert_int_equal(10, count.total);
    assert_int_equal(10, count.local);
    assert_int_equal(10, count.previous);
    assert_int_equal(2, count.denied);
    api_close(q);
}

static void test_no_units_are_a_look(void **state)
{
    (void)state;
    const uint32_t algorithms[] = {QUIPU_ALGORITHM_FIXED, QUIPU_ALGORITHM_SLIDING, QUIPU_ALGORITHM_BUCKET};
    for (int i = 0; i < 3; i++) {
        struct quipu *q = open_limit(algorithms[i], 2);
        struct quipu_verdict v;
        assert_code(0, quipu_take_at(q, KEY("l:1"), 0, T0, &v));
        assert_int_equal(2, v.remaining);
        assert_code(-ENOENT, quipu_get(q, KEY("l:1"), NULL)); /* it made no key */
        assert_code(0, quipu_take_at(q, KEY("l:1"), 2, T0, NULL));
        assert_code(1, quipu_take_at(q, KEY("l:1"), 0, T0, &v));
        assert_int_equal(0, v.remaining);
        assert_true(v.retry_after_ms > 0);
        assert_int_equal(0, api_get(q, "l:1").denied);
        assert_int_equal(2, api_get(q, "l:1").total);
        api_close(q);
    }
}

static void test_a_new_key_that_asks_for_too_much_is_not_made(void **state)
{
    (void)state;
    struct quipu *q = open_limit(QUIPU_ALGORITHM_BUCKET, 10);
    struct quipu_verdict v;
    assert_code(1, quipu_take_at(q, KEY("l:1"), 11, T0, &v));
    assert_int_equal(10, v.remaining);
    assert_true(v.retry_after_ms == -1);
    assert_code(-ENOENT, quipu_get(q, KEY("l:1"), NULL));
    assert_int_equal(0, api_stat(q).counters_used);
    api_close(q);
}

static void test_a_limit_without_a_number_counts_only(void **state)
{
    (void)state;
    struct quipu *q = open_limit(QUIPU_ALGORITHM_SLIDING, 0);
    struct quipu_verdict v;
    assert_code(0, quipu_take_at(q, KEY("l:1"), UINT64_C(1) << 38, T0, &v));
    assert_true(v.limit == UINT64_MAX && v.remaining == UINT64_MAX);
    assert_code(0, quipu_take_at(q, KEY("l:1"), UINT64_MAX, T0, &v)); /* it stops at 2^39 */
    assert_true(get_at(q, "l:1", T0).total == INT64_C(1) << 39);
    api_close(q);
}

static void test_adds_count_without_asking_in_every_algorithm(void **state)
{
    (void)state;
    const uint32_t algorithms[] = {QUIPU_ALGORITHM_FIXED, QUIPU_ALGORITHM_SLIDING, QUIPU_ALGORITHM_BUCKET};
    for (int i = 0; i < 3; i++) {
        struct quipu *q = open_limit(algorithms[i], 10);
        assert_code(0, quipu_add_at(q, KEY("l:1"), 8, T0));
        assert_code(0, quipu_take_at(q, KEY("l:1"), 1, T0, NULL));
        assert_code(0, quipu_add_at(q, KEY("l:1"), 8, T0));
        assert_code(1, quipu_take_at(q, KEY("l:1"), 1, T0, NULL));
        /* A bucket cannot be emptier than empty. */
        assert_int_equal(algorithms[i] == QUIPU_ALGORITHM_BUCKET ? 10 : 17, get_at(q, "l:1", T0).total);
        assert_int_equal(1, get_at(q, "l:1", T0).denied);
        api_close(q);
    }
}

/* ---- refunds ----------------------------------------------------------------------------------------------------------- */

static void test_a_refund_undoes_a_take_of_its_window(void **state)
{
    (void)state;
    const uint32_t algorithms[] = {QUIPU_ALGORITHM_FIXED, QUIPU_ALGORITHM_SLIDING, QUIPU_ALGORITHM_BUCKET};
    for (int i = 0; i < 3; i++) {
        struct quipu *q = open_limit(algorithms[i], 10);
        struct quipu_verdict v;
        assert_code(1, quipu_refund(q, KEY("l:none"), 1, &(struct quipu_verdict){.epoch = (uint64_t)T0 << 16}));
        assert_code(0, quipu_take_at(q, KEY("l:1"), 10, T0, &v));
        assert_code(1, quipu_refund(q, KEY("l:1"), 0, &v));
        assert_code(0, quipu_refund(q, KEY("l:1"), 4, &v));
        assert_int_equal(6, get_at(q, "l:1", T0).total);
        assert_code(0, quipu_take_at(q, KEY("l:1"), 4, T0, NULL));
        assert_code(1, quipu_take_at(q, KEY("l:1"), 1, T0, NULL));
        if (algorithms[i] != QUIPU_ALGORITHM_BUCKET)
            assert_code(-EINVAL, quipu_refund(q, KEY("l:1"), 11, &v));
        assert_code(0, quipu_reset(q, KEY("l:1"), NULL));
        assert_code(1, quipu_refund(q, KEY("l:1"), 1, &v));
        assert_code(0, quipu_take_at(q, KEY("l:1"), 10, T0, &v));
        assert_code(0, quipu_take_at(q, KEY("l:1"), 1, T0 + 2 * W, NULL));
        if (algorithms[i] != QUIPU_ALGORITHM_BUCKET) /* which knows no windows */
            assert_code(1, quipu_refund(q, KEY("l:1"), 10, &v));
        api_close(q);
    }
}

/* ---- shadow mode -------------------------------------------------------------------------------------------------------- */

static void test_shadow_mode_denies_nothing_and_counts_what_it_would_have(void **state)
{
    (void)state;
    struct quipu *q = open_limit(QUIPU_ALGORITHM_FIXED, 10);
    struct quipu_strategy shadow = api_limit_of(QUIPU_ALGORITHM_FIXED, 10, W);
    struct quipu_verdict v;
    shadow.shadow = 1;
    api_put(q, "l:", &shadow);
    assert_code(0, quipu_take_at(q, KEY("l:1"), 10, T0, &v));
    assert_int_equal(0, v.shadow_denied);
    assert_code(0, quipu_take_at(q, KEY("l:1"), 1, T0, &v));
    assert_int_equal(1, v.shadow_denied);
    assert_int_equal(0, v.remaining);
    assert_int_equal(W, v.retry_after_ms);
    assert_code(1, quipu_refund(q, KEY("l:1"), 1, &v));
    assert_code(0, quipu_take_at(q, KEY("l:new"), 11, T0, &v)); /* nor is a key made for it */
    assert_int_equal(1, v.shadow_denied);
    assert_code(-ENOENT, quipu_get(q, KEY("l:new"), NULL));
    assert_int_equal(10, get_at(q, "l:1", T0).total);
    assert_int_equal(1, get_at(q, "l:1", T0).denied);
    shadow.shadow = 0;
    api_put(q, "l:", &shadow);
    assert_code(1, quipu_take_at(q, KEY("l:1"), 1, T0, &v));
    assert_int_equal(0, v.shadow_denied);
    assert_int_equal(2, get_at(q, "l:1", T0).denied);
    api_close(q);
}

/* ---- strategies that change -------------------------------------------------------------------------------------------- */

static void test_a_limit_changes_in_place_and_keeps_what_was_used(void **state)
{
    (void)state;
    const uint32_t algorithms[] = {QUIPU_ALGORITHM_FIXED, QUIPU_ALGORITHM_SLIDING};
    for (int i = 0; i < 2; i++) {
        struct quipu *q = open_limit(algorithms[i], 10);
        struct quipu_strategy s = api_limit_of(algorithms[i], 20, W);
        struct quipu_verdict v;
        assert_code(0, quipu_take_at(q, KEY("l:1"), 10, T0, NULL));
        assert_code(1, quipu_take_at(q, KEY("l:1"), 1, T0, NULL));
        api_put(q, "l:", &s);
        assert_code(0, quipu_take_at(q, KEY("l:1"), 5, T0, &v));
        assert_int_equal(20, v.limit);
        assert_int_equal(5, v.remaining);
        s.limit = 8;
        api_put(q, "l:", &s);
        assert_code(1, quipu_take_at(q, KEY("l:1"), 1, T0, &v));
        assert_int_equal(0, v.remaining);
        assert_int_equal(15, get_at(q, "l:1", T0).total);
        assert_int_equal(2, get_at(q, "l:1", T0).denied);
        api_close(q);
    }
}

static void test_a_bucket_stays_as_full_as_it_was(void **state)
{
    (void)state;
    struct quipu *q = open_limit(QUIPU_ALGORITHM_BUCKET, 100);
    struct quipu_strategy s = api_limit_of(QUIPU_ALGORITHM_BUCKET, 1000, W);
    struct quipu_verdict v;
    assert_code(0, quipu_take_at(q, KEY("l:1"), 70, T0, NULL));
    api_put(q, "l:", &s);
    assert_code(0, quipu_take_at(q, KEY("l:1"), 0, T0, &v));
    assert_int_equal(1000, v.limit);
    assert_int_equal(300, v.remaining);
    assert_int_equal(700, get_at(q, "l:1", T0).total);
    assert_int_equal(T0 + 42000, v.reset_ms);
    api_close(q);
}

static void test_another_algorithm_or_window_is_a_fresh_budget(void **state)
{
    (void)state;
    struct quipu *q = open_limit(QUIPU_ALGORITHM_FIXED, 10);
    struct quipu_strategy s[] = {
        api_limit_of(QUIPU_ALGORITHM_SLIDING, 10, W),    api_limit_of(QUIPU_ALGORITHM_SLIDING, 10, 2 * W),
        api_limit_of(QUIPU_ALGORITHM_BUCKET, 10, 2 * W), api_limit_of(QUIPU_ALGORITHM_FIXED, 10, 2 * W),
        api_limit_of(QUIPU_ALGORITHM_BUCKET, 10, W),     api_limit_of(QUIPU_ALGORITHM_FIXED, 10, W),
    };
    assert_code(0, quipu_take_at(q, KEY("l:1"), 10, T0, NULL));
    assert_code(1, quipu_take_at(q, KEY("l:1"), 1, T0, NULL));
    for (size_t i = 0; i < sizeof s / sizeof s[0]; i++) {
        api_put(q, "l:", &s[i]);
        assert_code(-ENOENT, quipu_get(q, KEY("l:1"), NULL));
        assert_code(0, quipu_take_at(q, KEY("l:1"), 10, T0, NULL));
        assert_code(1, quipu_take_at(q, KEY("l:1"), 1, T0, NULL));
        assert_int_equal(1, api_get(q, "l:1").denied);
    }
    struct quipu_strategy counter = {.struct_bytes = sizeof counter, .kind = QUIPU_KIND_COUNTER};
    api_put(q, "l:", &counter);
    assert_code(-EPROTOTYPE, quipu_take_at(q, KEY("l:1"), 1, T0, NULL));
    assert_code(0, quipu_add(q, KEY("l:1"), 3));
    assert_int_equal(3, api_get(q, "l:1").total);
    assert_code(0, quipu_strategy_drop(q, KEY("l:")));
    assert_code(-ENOENT, quipu_take_at(q, KEY("l:1"), 1, T0, NULL));
    api_close(q);
}

static void test_a_delete_and_a_reset_are_fresh_budgets(void **state)
{
    (void)state;
    const uint32_t algorithms[] = {QUIPU_ALGORITHM_FIXED, QUIPU_ALGORITHM_SLIDING, QUIPU_ALGORITHM_BUCKET};
    for (int i = 0; i < 3; i++)
        for (int settled = 0; settled < 2; settled++) {
            struct quipu *q = open_limit(algorithms[i], 10);
            int64_t ended = -1;
            assert_code(0, quipu_take_at(q, KEY("l:1"), 9, T0, NULL));
            assert_code(0, quipu_reset(q, KEY("l:1"), &ended));
            assert_int_equal(9, ended);
            assert_int_equal(0, api_get(q, "l:1").total);
            assert_code(0, quipu_take_at(q, KEY("l:1"), 10, T0, NULL));
            assert_code(0, quipu_delete(q, KEY("l:1"), &ended));
            assert_int_equal(10, ended);
            assert_code(-ENOENT, quipu_get(q, KEY("l:1"), NULL));
            if (settled)
                qp_test_settle(q);
            assert_code(0, quipu_take_at(q, KEY("l:1"), 10, T0, NULL));
            assert_code(1, quipu_take_at(q, KEY("l:1"), 1, T0, NULL));
            api_close(q);
        }
}

/* ---- what a walk shows -------------------------------------------------------------------------------------------------- */

static int copy_item(const struct quipu_item *item, void *arg)
{
    struct quipu_item *items = arg;
    items[((const char *)item->key)[item->key_bytes - 1] - '0'] = *item;
    return 0;
}

static void test_a_walk_shows_limits_with_what_is_left(void **state)
{
    (void)state;
    struct quipu *q = api_segment_of_callers(100);
    const struct quipu_strategy s[] = {
        api_limit_of(QUIPU_ALGORITHM_FIXED, 10, W), api_limit_of(QUIPU_ALGORITHM_SLIDING, 10, W),
        api_limit_of(QUIPU_ALGORITHM_BUCKET, 10, W), api_limit_of(QUIPU_ALGORITHM_FIXED, 0, W)};
    struct quipu_item items[4] = {0};
    for (int i = 0; i < 4; i++) {
        char key[4] = {'l', (char)('0' + i)};
        api_put(q, key, &s[i]);
        assert_code(0, quipu_take_at(q, key, 2, 6, T0, NULL));
        assert_code(i == 3 ? 0 : 1, quipu_take_at(q, key, 2, 5, T0, NULL));
    }
    assert_code(0, quipu_each(q, "l", 1, copy_item, items));
    for (int i = 0; i < 4; i++) {
        char key[4] = {'l', (char)('0' + i)};
        struct quipu_count count = get_at(q, key, T0);
        assert_int_equal(QUIPU_KIND_LIMIT, items[i].kind);
        assert_int_equal(s[i].algorithm, items[i].algorithm);
        assert_int_equal(W, items[i].window_ms);
        assert_int_equal(s[i].limit, items[i].limit);
        assert_true(items[i].remaining == (i == 3 ? UINT64_MAX : 4));
        assert_memory_equal(&count, &items[i].count, sizeof count);
        assert_int_equal(i == 3 ? 11 : 6, count.total);
        assert_int_equal(i == 3 ? 0 : 1, count.denied);
    }
    /* In the next window, too. */
    assert_code(0, quipu_take_at(q, KEY("l0"), 1, T0 + W + W / 2, NULL));
    assert_code(0, quipu_each(q, "l", 1, copy_item, items));
    assert_int_equal(9, items[0].remaining);
    assert_int_equal(7, items[1].remaining); /* half of six is carried */
    assert_int_equal(6, items[1].count.previous);
    assert_int_equal(10, items[2].remaining);
    api_close(q);
}

/* ---- time ----------------------------------------------------------------------------------------------------------------- */

static void test_a_segment_of_callers_has_the_largest_time_they_gave(void **state)
{
    (void)state;
    struct quipu *q = open_limit(QUIPU_ALGORITHM_FIXED, 10);
    struct quipu_verdict v;
    assert_code(0, quipu_take_at(q, KEY("l:1"), 1, T0, NULL));
    assert_code(0, quipu_take(q, KEY("l:1"), 1, &v));
    assert_int_equal((uint64_t)T0 << 16, v.epoch);
    assert_code(0, quipu_take_at(q, KEY("l:2"), 1, T0 + 5 * W, NULL)); /* another key's caller */
    assert_code(0, quipu_take_at(q, KEY("l:1"), 1, T0, &v));
    assert_int_equal((uint64_t)(T0 + 5 * W) << 16, v.epoch);
    assert_int_equal(1, get_at(q, "l:1", T0).total);
    assert_code(-ERANGE, quipu_take_at(q, KEY("l:1"), 1, -1, NULL));
    assert_code(-ERANGE, quipu_take_at(q, KEY("l:1"), 1, INT64_MAX, NULL));
    assert_int_equal(1, api_stat(q).clock_caller);
    api_close(q);
}

static void test_a_time_far_from_the_hosts_clock_is_refused(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu_strategy s = api_limit_of(QUIPU_ALGORITHM_FIXED, 100, 1000);
    unsigned char out[sizeof(struct quipu_verdict)];
    int64_t now_ms = (int64_t)qp_clock_unix_ms();
    const int64_t far[] = {0, -1, INT64_MAX, INT64_MIN + 1, now_ms - 70000, now_ms + 70000};
    api_put(q, "l:", &s);
    api_mark(out, sizeof out);
    for (int made = 0; made < 2; made++) {
        for (size_t i = 0; i < sizeof far / sizeof far[0]; i++)
            assert_code(-ERANGE, quipu_take_at(q, KEY("l:1"), 1, far[i], (void *)out));
        assert_code(made ? 0 : -ENOENT, quipu_get(q, KEY("l:1"), NULL));
        assert_code(0, quipu_take(q, KEY("l:1"), 1, NULL));
    }
    api_assert_untouched(out, sizeof out);
    assert_code(0, quipu_take_at(q, KEY("l:1"), 1, now_ms - 50000, NULL));
    assert_code(0, quipu_take_at(q, KEY("l:1"), 1, now_ms + 50000, NULL));
    assert_int_equal(0, api_stat(q).clock_caller);
    api_close(q);
}

/* What a clock that had jumped left an hour ahead: the call reads the clock, and the key is not locked for an hour. */
static void test_a_window_left_by_a_jump_of_the_clock_does_not_deny(void **state)
{
    (void)state;
    for (int by_handle = 0; by_handle < 2; by_handle++) {
        struct quipu *q = api_segment(100, 8);
        struct quipu_strategy s = api_limit_of(QUIPU_ALGORITHM_FIXED, 10, 1000);
        struct quipu_counter c;
        api_put(q, "l:", &s);
        assert_code(0, quipu_counter_open(q, KEY("l:1"), &c));
        assert_code(0, quipu_counter_take(&c, 1, NULL));
        struct qp_key key = unit_key(&q->view, "l:1");
        struct qp_entry *entry = unit_find(qp_thread_worker(q, &(int){0}), &key);
        uint64_t ahead = qp_clock_unix_ms() / 1000 + 3600;
        for (uint64_t window = ahead; window < ahead + 2; window++)
            entry->cell[window & 1] = qp_cell_make(window, 10);
        entry->used_at_s = (uint32_t)(ahead + 1);
        assert_code(0, by_handle ? quipu_counter_take(&c, 10, NULL) : quipu_take(q, KEY("l:1"), 10, NULL));
        assert_int_equal(10, api_get(q, "l:1").total + api_get(q, "l:1").previous);
        quipu_counter_close(&c);
        api_close(q);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_without_a_limit_is_refused_by_name),
        cmocka_unit_test(test_a_limit_is_not_set_or_entered),
        cmocka_unit_test(test_a_verdict_says_what_is_left_and_when_to_come_back),
        cmocka_unit_test(test_no_units_are_a_look),
        cmocka_unit_test(test_a_new_key_that_asks_for_too_much_is_not_made),
        cmocka_unit_test(test_a_limit_without_a_number_counts_only),
        cmocka_unit_test(test_adds_count_without_asking_in_every_algorithm),
        cmocka_unit_test(test_a_refund_undoes_a_take_of_its_window),
        cmocka_unit_test(test_shadow_mode_denies_nothing_and_counts_what_it_would_have),
        cmocka_unit_test(test_a_limit_changes_in_place_and_keeps_what_was_used),
        cmocka_unit_test(test_a_bucket_stays_as_full_as_it_was),
        cmocka_unit_test(test_another_algorithm_or_window_is_a_fresh_budget),
        cmocka_unit_test(test_a_delete_and_a_reset_are_fresh_budgets),
        cmocka_unit_test(test_a_walk_shows_limits_with_what_is_left),
        cmocka_unit_test(test_a_segment_of_callers_has_the_largest_time_they_gave),
        cmocka_unit_test(test_a_time_far_from_the_hosts_clock_is_refused),
        cmocka_unit_test(test_a_window_left_by_a_jump_of_the_clock_does_not_deny),
    };
    return cmocka_run_group_tests_name("taking", tests, NULL, NULL);
}
