/* SPDX-License-Identifier: MIT */
/* api_strategy_test.c: the public calls on strategies: what is allowed, what is listed, when keys follow. */
#include "api.h"

#include <stdlib.h>

static struct quipu_strategy strategy_of(uint32_t kind, uint32_t merge, uint64_t window_ms)
{
    return (struct quipu_strategy){
        .struct_bytes = sizeof(struct quipu_strategy), .kind = kind, .merge = merge, .window_ms = window_ms};
}

static uint64_t generation(struct quipu *q)
{
    struct quipu_stat stat;
    assert_code(0, quipu_stat(q, &stat));
    return stat.strategy_generation;
}

/* ---- what is allowed ------------------------------------------------------------------------------------------------- */

static void test_combinations_that_exist_are_taken_and_others_refused(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    for (uint32_t kind = 0; kind < 6; kind++)
        for (uint32_t merge = 0; merge < 4; merge++) {
            struct quipu_strategy s = strategy_of(kind, merge, 0);
            bool known = kind == QUIPU_KIND_ANY || kind == QUIPU_KIND_COUNTER || kind == QUIPU_KIND_LIMIT ||
                         kind == QUIPU_KIND_REGISTER;
            uint32_t fitting = kind == QUIPU_KIND_REGISTER ? QUIPU_MERGE_LAST_WRITER_WINS : QUIPU_MERGE_EPOCH_MAX_WINS;
            bool good = known && (merge == QUIPU_MERGE_BY_KIND || merge == fitting);
            assert_code(good ? 0 : -EINVAL, quipu_strategy_put(q, KEY("p"), &s));
        }
    api_close(q);
}

static void test_windows_are_of_100_ms_to_a_day_and_of_limits_only(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    const struct {
        uint32_t kind;
        uint64_t window_ms;
        int code;
    } wants[] = {
        {QUIPU_KIND_LIMIT, 0, 0},
        {QUIPU_KIND_LIMIT, 99, -EINVAL},
        {QUIPU_KIND_LIMIT, 100, 0},
        {QUIPU_KIND_LIMIT, 86400000, 0},
        {QUIPU_KIND_LIMIT, 86400001, -EINVAL},
        {QUIPU_KIND_LIMIT, UINT64_MAX, -EINVAL},
        {QUIPU_KIND_COUNTER, 100, -EINVAL},
        {QUIPU_KIND_REGISTER, 100, -EINVAL},
        {QUIPU_KIND_ANY, 100, -EINVAL},
        {QUIPU_KIND_COUNTER, 0, 0},
        {QUIPU_KIND_LIMIT, (UINT64_C(1) << 32) + 1000, -EINVAL},
    };
    for (size_t i = 0; i < sizeof wants / sizeof wants[0]; i++) {
        struct quipu_strategy s = strategy_of(wants[i].kind, 0, wants[i].window_ms);
        assert_code(wants[i].code, quipu_strategy_put(q, KEY("p"), &s));
    }
    api_close(q);
}

static void test_a_struct_of_another_size_or_with_words_of_the_future_is_refused(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu_strategy s = strategy_of(0, 0, 0);
    s.struct_bytes = 0;
    assert_code(-EINVAL, quipu_strategy_put(q, KEY("p"), &s));
    s.struct_bytes = sizeof s + 8;
    assert_code(-EINVAL, quipu_strategy_put(q, KEY("p"), &s));
    s.struct_bytes = sizeof s;
    for (size_t i = 0; i < sizeof s.reserved / sizeof s.reserved[0]; i++) {
        s.reserved[i] = 1;
        assert_code(-EINVAL, quipu_strategy_put(q, KEY("p"), &s));
        s.reserved[i] = 0;
    }
    assert_code(0, quipu_strategy_put(q, KEY("p"), &s));
    api_close(q);
}

static int never(const void *prefix, size_t prefix_bytes, const struct quipu_strategy *strategy, void *arg)
{
    (void)prefix, (void)prefix_bytes, (void)strategy, (void)arg;
    return 1;
}

static void test_arguments_out_of_range_are_refused_and_change_nothing(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu_strategy s = strategy_of(0, 0, 0);
    struct quipu_strategy_row row = {.prefix = "p", .prefix_bytes = 1, .strategy = s};
    static char prefix[QUIPU_KEY_BYTES_MAX + 1];
    assert_code(-EINVAL, quipu_strategy_put(NULL, KEY("p"), &s));
    assert_code(-EINVAL, quipu_strategy_put(q, NULL, 1, &s));
    assert_code(-EINVAL, quipu_strategy_put(q, KEY("p"), NULL));
    assert_code(-ENAMETOOLONG, quipu_strategy_put(q, prefix, sizeof prefix, &s));
    assert_code(-EINVAL, quipu_strategy_drop(NULL, KEY("p")));
    assert_code(-EINVAL, quipu_strategy_drop(q, NULL, 1));
    assert_true(quipu_strategy_drop(q, prefix, sizeof prefix) < 0);
    assert_code(-ENOENT, quipu_strategy_drop(q, KEY("p")));
    assert_code(-EINVAL, quipu_strategy_load(NULL, &row, 1));
    assert_code(-EINVAL, quipu_strategy_load(q, NULL, 1));
    assert_code(-QUIPU_ESTRATEGIES, quipu_strategy_load(q, &row, 1u << 20));
    row.strategy.struct_bytes = 0;
    assert_code(-EINVAL, quipu_strategy_load(q, &row, 1));
    assert_code(-EINVAL, quipu_strategy_each(NULL, never, NULL));
    assert_code(-EINVAL, quipu_strategy_each(q, NULL, NULL));
    assert_code(0, quipu_strategy_each(q, never, NULL));
    assert_int_equal(0, generation(q));
    api_close(q);
}

static void test_prefixes_are_of_0_to_1024_bytes(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu_strategy s = strategy_of(QUIPU_KIND_REGISTER, 0, 0);
    static char prefix[QUIPU_KEY_BYTES_MAX];
    assert_code(0, quipu_strategy_put(q, NULL, 0, &s));
    assert_code(0, quipu_set(q, KEY("anything"), 1));
    assert_code(-EPROTOTYPE, quipu_add(q, KEY("else"), 1));
    assert_code(0, quipu_strategy_drop(q, NULL, 0));
    assert_code(0, quipu_add(q, KEY("else"), 1));
    assert_code(0, quipu_strategy_put(q, prefix, sizeof prefix, &s));
    assert_code(-EPROTOTYPE, quipu_add(q, prefix, sizeof prefix, 1));
    api_close(q);
}

/* ---- the list -------------------------------------------------------------------------------------------------------- */

struct listing {
    uint32_t rows;
    char prefix[8][8];
    struct quipu_strategy strategy[8];
};

static int list(const void *prefix, size_t prefix_bytes, const struct quipu_strategy *strategy, void *arg)
{
    struct listing *listing = arg;
    memset(listing->prefix[listing->rows], 0, 8);
    memcpy(listing->prefix[listing->rows], prefix, prefix_bytes);
    listing->strategy[listing->rows++] = *strategy;
    return listing->rows == 5 ? 77 : 0;
}

static void test_rows_are_listed_in_byte_order_with_what_they_say(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct listing listing = {0};
    const struct quipu_strategy_row rows[] = {
        {"b", 1, strategy_of(QUIPU_KIND_LIMIT, 0, 0)},
        {"\xff", 1, strategy_of(QUIPU_KIND_ANY, 0, 0)},
        {"", 0, strategy_of(QUIPU_KIND_REGISTER, QUIPU_MERGE_BY_KIND, 0)},
        {"ab", 2, strategy_of(QUIPU_KIND_LIMIT, QUIPU_MERGE_EPOCH_MAX_WINS, 500)},
    };
    assert_code(0, quipu_strategy_load(q, rows, 4));
    assert_code(0, quipu_strategy_each(q, list, &listing));
    assert_int_equal(4, listing.rows);
    struct {
        const char *prefix;
        struct quipu_strategy strategy;
    } wants[] = {
        {"", strategy_of(QUIPU_KIND_REGISTER, QUIPU_MERGE_LAST_WRITER_WINS, 0)},
        {"ab", strategy_of(QUIPU_KIND_LIMIT, QUIPU_MERGE_EPOCH_MAX_WINS, 500)},
        {"b", strategy_of(QUIPU_KIND_LIMIT, QUIPU_MERGE_EPOCH_MAX_WINS, 1000)},
        {"\xff", strategy_of(QUIPU_KIND_COUNTER, QUIPU_MERGE_EPOCH_MAX_WINS, 0)},
    };
    /* Idle times by kind: never; for limits two windows, but no less than what telling others takes. */
    wants[0].strategy.idle_ms = wants[3].strategy.idle_ms = QUIPU_IDLE_NEVER;
    wants[1].strategy.idle_ms = 60000 + 500;
    wants[2].strategy.idle_ms = 60000 + 1000;
    for (int i = 0; i < 4; i++) {
        assert_string_equal(wants[i].prefix, listing.prefix[i]);
        assert_memory_equal(&wants[i].strategy, &listing.strategy[i], sizeof wants[i].strategy);
    }
    /* What is listed can be put back. */
    for (int i = 0; i < 4; i++)
        assert_code(0, quipu_strategy_put(q, listing.prefix[i], strlen(listing.prefix[i]), &listing.strategy[i]));
    struct quipu_strategy more = strategy_of(0, 0, 0);
    assert_code(0, quipu_strategy_put(q, KEY("c"), &more));
    assert_code(0, quipu_strategy_put(q, KEY("d"), &more));
    listing.rows = 0;
    assert_code(77, quipu_strategy_each(q, list, &listing));
    assert_int_equal(5, listing.rows);
    api_close(q);
}

static int put_inside(const void *prefix, size_t prefix_bytes, const struct quipu_strategy *strategy, void *arg)
{
    char longer[16];
    snprintf(longer, sizeof longer, "%.*s+", (int)prefix_bytes, (const char *)prefix);
    return prefix_bytes > 1 ? 99 : quipu_strategy_put(arg, longer, strlen(longer), strategy);
}

static void test_a_visit_sees_one_table_while_it_changes_it(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu_strategy s = strategy_of(0, 0, 0);
    struct quipu_stat stat;
    assert_code(0, quipu_strategy_put(q, KEY("a"), &s));
    assert_code(0, quipu_strategy_put(q, KEY("b"), &s));
    assert_code(0, quipu_strategy_each(q, put_inside, q));
    assert_code(0, quipu_stat(q, &stat));
    assert_int_equal(4, stat.strategies);
    api_close(q);
}

/* ---- changes that keys follow ------------------------------------------------------------------------------------------ */

static void test_a_load_is_whole_or_not_at_all(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu_strategy_row rows[] = {
        {"a", 1, strategy_of(QUIPU_KIND_LIMIT, 0, 0)},
        {"b", 1, strategy_of(QUIPU_KIND_REGISTER, 0, 0)},
        {"a", 1, strategy_of(QUIPU_KIND_REGISTER, 0, 0)},
    };
    assert_code(-EEXIST, quipu_strategy_load(q, rows, 3));
    assert_int_equal(0, generation(q));
    rows[2].prefix = "c";
    rows[2].strategy.window_ms = 5;
    assert_code(-EINVAL, quipu_strategy_load(q, rows, 3));
    assert_int_equal(0, generation(q));
    assert_code(0, quipu_strategy_load(q, rows, 2));
    assert_int_equal(1, generation(q));
    assert_code(-EPROTOTYPE, quipu_add(q, KEY("b1"), 1));
    assert_code(0, quipu_strategy_load(q, NULL, 0));
    assert_code(0, quipu_add(q, KEY("b1"), 1));
    api_close(q);
}

static void test_an_entry_caches_the_generation_it_followed(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct qp_worker *worker = qp_thread_worker(q, &(int){0});
    struct qp_key key = unit_key(&q->view, "k");
    assert_code(0, quipu_add(q, KEY("k"), 1));
    const struct qp_entry *entry = unit_find(worker, &key);
    assert_int_equal(0, qp_strategy_generation(entry->strategy));
    api_limit(q, "other", 1000);
    assert_int_equal(0, qp_strategy_generation(entry->strategy)); /* a change touches no entry */
    assert_code(0, quipu_add(q, KEY("k"), 1));
    assert_int_equal(1, qp_strategy_generation(entry->strategy));
    assert_int_equal(QP_ROW_NONE, qp_strategy_row(entry->strategy));
    struct quipu_strategy plain = strategy_of(QUIPU_KIND_COUNTER, 0, 0);
    assert_code(0, quipu_strategy_put(q, KEY("k"), &plain));
    assert_int_equal(2, api_get(q, "k").total);
    assert_int_equal(2, qp_strategy_generation(entry->strategy));
    assert_int_equal(0, qp_strategy_row(entry->strategy));
    api_close(q);
}

static void test_the_table_fills_up_and_says_so(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu_strategy s = strategy_of(0, 0, 0);
    char prefix[8];
    int error = 0, rows = 0;
    while (rows < 1000 && !error) {
        snprintf(prefix, sizeof prefix, "p%03d", rows);
        error = quipu_strategy_put(q, prefix, strlen(prefix), &s);
        rows += !error;
    }
    assert_code(-QUIPU_ESTRATEGIES, error);
    assert_int_equal(rows, generation(q));
    assert_code(0, quipu_strategy_put(q, KEY("p000"), &s));
    assert_code(0, quipu_strategy_drop(q, KEY("p001")));
    assert_code(0, quipu_strategy_put(q, prefix, strlen(prefix), &s));
    api_close(q);
}

static int tables_used(const struct quipu *q)
{
    int used = 0;
    for (uint32_t i = 0; i < QP_TABLE_COUNT; i++)
        used += qp_state_of(*qp_state_at(&q->view, QP_CLASS_TABLE, i)) != QP_STATE_FREE;
    return used;
}

/* In a segment that is full of keys, somebody is refused a new one all the time, and remembers for a moment that there is no room.
 * That must not keep the tables that wait for a grace period from coming back. */
static void test_strategies_can_be_changed_while_new_keys_are_refused(void **state)
{
    (void)state;
    struct quipu *q = api_segment(1, 8);
    struct quipu_strategy s = strategy_of(0, 0, 0);
    assert_code(0, quipu_add(q, KEY("only"), 1));
    for (int i = 0; i < 100; i++) {
        assert_code(-QUIPU_EFULL, quipu_add(q, KEY("new"), 1));
        assert_code(0, quipu_strategy_put(q, KEY("p"), &s));
        assert_true(tables_used(q) >= 1);
    }
    assert_int_equal(100, generation(q));
    api_close(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_combinations_that_exist_are_taken_and_others_refused),
        cmocka_unit_test(test_windows_are_of_100_ms_to_a_day_and_of_limits_only),
        cmocka_unit_test(test_a_struct_of_another_size_or_with_words_of_the_future_is_refused),
        cmocka_unit_test(test_arguments_out_of_range_are_refused_and_change_nothing),
        cmocka_unit_test(test_prefixes_are_of_0_to_1024_bytes),
        cmocka_unit_test(test_rows_are_listed_in_byte_order_with_what_they_say),
        cmocka_unit_test(test_a_visit_sees_one_table_while_it_changes_it),
        cmocka_unit_test(test_a_load_is_whole_or_not_at_all),
        cmocka_unit_test(test_an_entry_caches_the_generation_it_followed),
        cmocka_unit_test(test_the_table_fills_up_and_says_so),
        cmocka_unit_test(test_strategies_can_be_changed_while_new_keys_are_refused),
    };
    return cmocka_run_group_tests_name("strategies", tests, NULL, NULL);
}
