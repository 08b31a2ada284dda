/* SPDX-License-Identifier: MIT */
/* strategy_test.c: longest prefix match against a model that tries every prefix; tables that change, fill up and run out. */
#include "unit.h"

#include <pthread.h>
#include <stdlib.h>

#include "shm/bucket.h"

/* Of a prefix that may hold any bytes. */
static struct qp_rule row_of(const char *prefix, uint32_t prefix_bytes, uint32_t window_ms)
{
    struct qp_rule rule = unit_rule("", window_ms);
    rule.prefix = prefix;
    rule.prefix_bytes = prefix_bytes;
    return rule;
}

static int put(struct unit_segment *s, const char *prefix, uint32_t window_ms)
{
    struct qp_rule rule = unit_rule(prefix, window_ms);
    unit_enter(&s->worker);
    int error = qp_strategy_put(&s->worker, &rule);
    unit_exit(&s->worker);
    return error;
}

static int drop(struct unit_segment *s, const char *prefix)
{
    unit_enter(&s->worker);
    int error = qp_strategy_drop(&s->worker, prefix, (uint32_t)strlen(prefix));
    unit_exit(&s->worker);
    return error;
}

static int load(struct unit_segment *s, const struct qp_rule *rules, uint32_t count)
{
    unit_enter(&s->worker);
    int error = qp_strategy_load(&s->worker, rules, count);
    unit_exit(&s->worker);
    return error;
}

/* The window of the rule that a key follows; 0: none. */
static uint32_t window_for(struct unit_segment *s, const char *key)
{
    struct qp_rule rule;
    uint64_t word = s->view.header->strategy;
    uint32_t row = qp_strategy_match(&s->view, word, key, (uint32_t)strlen(key));
    if (row == QP_ROW_NONE)
        return 0;
    assert_true(qp_strategy_rule(&s->view, qp_strategy_table(&s->view, word), row, &rule));
    return rule.window_ms;
}

static uint32_t generation(const struct unit_segment *s)
{
    return qp_strategy_generation(s->view.header->strategy);
}

static uint32_t rows(const struct unit_segment *s)
{
    const struct qp_table *table = qp_strategy_table(&s->view, s->view.header->strategy);
    return table ? table->row_count : 0;
}

/* ---- matching ------------------------------------------------------------------------------------------------------- */

static void test_without_a_table_no_key_has_a_strategy(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    assert_int_equal(0, window_for(&s, "anything"));
    assert_int_equal(0, generation(&s));
    unit_close(&s);
}

static void test_the_longest_prefix_decides(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    assert_int_equal(0, put(&s, "", 100));
    assert_int_equal(0, put(&s, "addr:", 200));
    assert_int_equal(0, put(&s, "addr:10.", 300));
    assert_int_equal(0, put(&s, "addr:10.1.1.1", 400));
    assert_int_equal(100, window_for(&s, "user:1"));
    assert_int_equal(100, window_for(&s, "addr"));
    assert_int_equal(200, window_for(&s, "addr:"));
    assert_int_equal(200, window_for(&s, "addr:192.0.2.1"));
    assert_int_equal(300, window_for(&s, "addr:10.2.2.2"));
    assert_int_equal(300, window_for(&s, "addr:10.1.1.0"));
    assert_int_equal(400, window_for(&s, "addr:10.1.1.1"));
    assert_int_equal(400, window_for(&s, "addr:10.1.1.111"));
    unit_close(&s);
}

static void test_a_row_between_a_key_and_its_prefix_does_not_hide_it(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    assert_int_equal(0, put(&s, "a", 100));
    assert_int_equal(0, put(&s, "ab", 200));
    assert_int_equal(0, put(&s, "abc", 300));
    assert_int_equal(0, put(&s, "ac", 400));
    assert_int_equal(200, window_for(&s, "abd"));
    assert_int_equal(100, window_for(&s, "ad"));
    assert_int_equal(100, window_for(&s, "a"));
    assert_int_equal(0, window_for(&s, "b"));
    unit_close(&s);
}

static void test_bytes_are_compared_unsigned_and_zero_is_one_of_them(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    struct qp_rule rules[] = {
        row_of("\xff", 1, 100),
        row_of("\x7f", 1, 200),
        row_of("\0", 1, 300),
        row_of("\0\0", 2, 400),
    };
    assert_int_equal(0, load(&s, rules, 4));
    uint64_t word = s.view.header->strategy;
    struct qp_rule found;
    const struct {
        const char *key;
        uint32_t bytes, window_ms;
    } wants[] = {{"\xff\xff", 2, 100}, {"\x7f", 1, 200}, {"\0a", 2, 300}, {"\0\0\0", 3, 400}};
    for (size_t i = 0; i < 4; i++) {
        uint32_t row = qp_strategy_match(&s.view, word, wants[i].key, wants[i].bytes);
        assert_true(qp_strategy_rule(&s.view, qp_strategy_table(&s.view, word), row, &found));
        assert_int_equal(wants[i].window_ms, found.window_ms);
    }
    assert_int_equal(QP_ROW_NONE, qp_strategy_match(&s.view, word, "\x80", 1));
    unit_close(&s);
}

static void test_a_rule_keeps_all_its_fields_through_the_changes_of_others(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_rule rule = unit_rule("b", 5000), found;
    unit_open(&s, 10, 4);
    rule.algorithm = QP_ALGORITHM_BUCKET;
    rule.limit = 1000;
    rule.burst = 77;
    rule.tick = qp_bucket_tick(rule.limit, rule.window_ms);
    rule.overflow = QP_OVERFLOW_ALLOW;
    rule.shadow = true;
    rule.scope = QP_SCOPE_HOST;
    rule.idle_ms = UINT64_C(1) << 40;
    unit_put(&s, &rule);
    assert_int_equal(0, put(&s, "a", 100));
    assert_int_equal(0, put(&s, "c", 100));
    assert_int_equal(0, drop(&s, "a"));
    assert_true(qp_strategy_rule(&s.view, qp_strategy_table(&s.view, s.view.header->strategy), 0, &found));
    assert_memory_equal("b", found.prefix, 1);
    assert_true(found.kind == rule.kind && found.merge == rule.merge && found.algorithm == rule.algorithm);
    assert_true(found.window_ms == rule.window_ms && found.limit == rule.limit && found.burst == rule.burst);
    assert_true(found.tick == rule.tick && found.idle_ms == rule.idle_ms && found.overflow == rule.overflow);
    assert_true(found.shadow == rule.shadow && found.scope == rule.scope);
    struct qp_entry *entry = unit_limit(&s, "bx", QP_ALGORITHM_BUCKET, 5000);
    const struct qp_row *row = qp_strategy_row_of(&s.view, entry); /* by its key: it has cached nothing */
    assert_non_null(row);
    assert_int_equal(1000, row->limit);
    entry->strategy = qp_strategy_cache(generation(&s), 1);
    assert_int_equal(100, qp_strategy_row_of(&s.view, entry)->window_ms); /* from its cache */
    entry->strategy = qp_strategy_cache(generation(&s), 9);
    assert_null(qp_strategy_row_of(&s.view, entry));
    entry->strategy = qp_strategy_cache(0, QP_ROW_NONE);
    unit_close(&s);
}

/* ---- the model ------------------------------------------------------------------------------------------------------ */

#define MODEL_ROWS 120
#define MODEL_PREFIX_BYTES 12

struct model {
    uint32_t count;
    struct qp_rule rule[MODEL_ROWS];
    char prefix[MODEL_ROWS][MODEL_PREFIX_BYTES];
};

/* Short strings of two letters, so that prefixes nest deeply; now and then a third one, which no short prefix has. */
static uint32_t random_text(uint64_t *noise, char *text, uint32_t bytes_max)
{
    uint32_t bytes = (uint32_t)(unit_random(noise) >> 33) % (bytes_max + 1);
    for (uint32_t i = 0; i < bytes; i++)
        text[i] = unit_random(noise) >> 60 ? unit_random(noise) >> 63 ? 'b' : 'a' : 'c';
    return bytes;
}

static void random_model(struct model *model, uint64_t *noise)
{
    bool everything = unit_random(noise) >> 63; /* whether the empty prefix may be among them */
    model->count = 0;
    for (uint32_t tries = 0; tries < MODEL_ROWS; tries++) {
        char *prefix = model->prefix[model->count];
        uint32_t bytes = random_text(noise, prefix, MODEL_PREFIX_BYTES);
        bool known = bytes == 0 && !everything;
        for (uint32_t i = 0; i < model->count; i++)
            known |= model->rule[i].prefix_bytes == bytes && !memcmp(model->prefix[i], prefix, bytes);
        if (!known) {
            model->rule[model->count] = row_of(prefix, bytes, 100 + model->count);
            model->count++;
        }
    }
}

static uint32_t model_window(const struct model *model, const char *key, uint32_t key_bytes)
{
    const struct qp_rule *best = NULL;
    for (uint32_t i = 0; i < model->count; i++) {
        const struct qp_rule *rule = &model->rule[i];
        if (rule->prefix_bytes <= key_bytes && !memcmp(rule->prefix, key, rule->prefix_bytes) &&
            (!best || rule->prefix_bytes > best->prefix_bytes))
            best = rule;
    }
    return best ? best->window_ms : 0;
}

static void test_a_hundred_thousand_keys_follow_the_prefix_that_the_model_says(void **state)
{
    (void)state;
    struct unit_segment s;
    struct model model;
    uint64_t noise = 2026;
    uint32_t without = 0;
    unit_open_sized(&s, &(struct qp_sizes){.counters = 10, .threads = 4, .strategy_bytes = 16384});
    for (int table = 0; table < 100; table++) {
        random_model(&model, &noise);
        /* Half of the tables at once, half of them row by row. */
        if (table % 2) {
            assert_int_equal(0, load(&s, model.rule, model.count));
        } else {
            assert_int_equal(0, load(&s, NULL, 0));
            for (uint32_t i = 0; i < model.count; i++) {
                unit_enter(&s.worker);
                assert_int_equal(0, qp_strategy_put(&s.worker, &model.rule[i]));
                unit_exit(&s.worker);
                unit_settle(&s);
            }
        }
        unit_settle(&s);
        for (int i = 0; i < 1000; i++) {
            char key[MODEL_PREFIX_BYTES + 3] = "";
            uint32_t bytes = random_text(&noise, key, sizeof key - 1);
            uint32_t expected = model_window(&model, key, bytes);
            key[bytes] = 0;
            assert_int_equal(expected, window_for(&s, key));
            without += expected == 0;
        }
    }
    assert_true(without > 0); /* some keys have no prefix at all */
    unit_close(&s);
}

/* ---- changes -------------------------------------------------------------------------------------------------------- */

static void test_each_change_is_a_generation_and_a_refused_one_is_none(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    assert_int_equal(0, put(&s, "a", 100));
    assert_int_equal(1, generation(&s));
    assert_int_equal(0, put(&s, "a", 200));
    assert_int_equal(2, generation(&s));
    assert_int_equal(1, rows(&s));
    assert_int_equal(200, window_for(&s, "a"));
    assert_int_equal(-ENOENT, drop(&s, "b"));
    assert_int_equal(-ENOENT, drop(&s, ""));
    assert_int_equal(2, generation(&s));
    assert_int_equal(0, drop(&s, "a"));
    assert_int_equal(3, generation(&s));
    assert_int_equal(0, rows(&s));
    assert_int_equal(-ENOENT, drop(&s, "a"));
    unit_settle(&s);
    unit_quiet(&s);
    unit_close(&s);
}

static void test_a_load_replaces_everything_or_nothing(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    assert_int_equal(0, put(&s, "old", 100));
    struct qp_rule rules[] = {unit_rule("b", 200), unit_rule("a", 300), unit_rule("b", 400)};
    assert_int_equal(-EEXIST, load(&s, rules, 3));
    assert_int_equal(1, generation(&s));
    assert_int_equal(100, window_for(&s, "old"));
    assert_int_equal(0, load(&s, rules, 2));
    assert_int_equal(0, window_for(&s, "old"));
    assert_int_equal(300, window_for(&s, "a"));
    assert_int_equal(0, load(&s, NULL, 0));
    assert_int_equal(0, rows(&s));
    assert_int_equal(0, window_for(&s, "a"));
    unit_close(&s);
}

/* ---- full ----------------------------------------------------------------------------------------------------------- */

static void test_a_full_table_refuses_a_new_row_but_changes_and_drops_old_ones(void **state)
{
    (void)state;
    struct unit_segment s;
    char prefix[] = "aa";
    uint32_t rows_before;
    int error = 0;
    unit_open(&s, 10, 4);
    for (int i = 0; i < 1000 && !error; i++) {
        prefix[0] = (char)('a' + i / 26);
        prefix[1] = (char)('a' + i % 26);
        error = put(&s, prefix, 100);
        unit_settle(&s);
    }
    assert_int_equal(-QP_ESTRATEGIES, error);
    rows_before = rows(&s);
    assert_true(rows_before >= (QP_STRATEGY_BYTES_MIN - sizeof(struct qp_table)) / (sizeof(struct qp_row) + 2));
    assert_int_equal(0, put(&s, "aa", 200)); /* takes no more room than it had */
    unit_settle(&s);
    assert_int_equal(200, window_for(&s, "aa"));
    assert_int_equal(rows_before, rows(&s));
    assert_int_equal(0, drop(&s, "ab"));
    unit_settle(&s);
    assert_int_equal(0, put(&s, prefix, 300));
    assert_int_equal(rows_before, rows(&s));
    unit_settle(&s);
    unit_quiet(&s);
    unit_close(&s);
}

static void test_long_prefixes_fill_a_table_too(void **state)
{
    (void)state;
    struct unit_segment s;
    char prefix[QP_KEY_BYTES_MAX + 1] = {0};
    unit_open(&s, 10, 4);
    memset(prefix, 'x', QP_KEY_BYTES_MAX);
    for (char last = 'a'; last < 'd'; last++) {
        prefix[QP_KEY_BYTES_MAX - 1] = last;
        assert_int_equal(0, put(&s, prefix, 100));
        unit_settle(&s);
    }
    prefix[QP_KEY_BYTES_MAX - 1] = 'd';
    assert_int_equal(-QP_ESTRATEGIES, put(&s, prefix, 100));
    assert_int_equal(3, rows(&s));
    prefix[QP_KEY_BYTES_MAX - 1] = 'a';
    assert_int_equal(100, window_for(&s, prefix));
    unit_settle(&s);
    unit_quiet(&s);
    unit_close(&s);
}

static void test_tables_run_out_while_a_reader_stands_still_and_come_back_after(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    struct qp_worker reader = unit_worker(&s, 1);
    unit_enter(&reader);
    uint32_t changes = 0;
    while (put(&s, "a", 100 + changes) == 0) {
        changes++;
        unit_settle(&s);
    }
    assert_int_equal(QP_TABLE_COUNT, changes);
    assert_int_equal(-QP_EFULL, put(&s, "a", 999));
    assert_int_equal(100 + changes - 1, window_for(&s, "a"));
    unit_exit(&reader);
    unit_settle(&s);
    assert_int_equal(0, put(&s, "a", 999));
    assert_int_equal(999, window_for(&s, "a"));
    unit_close(&s);
}

/* ---- readers beside a writer ------------------------------------------------------------------------------------------ */

struct follower {
    struct qp_worker worker;
    uint64_t *stop;
    uint64_t looks;
};

/* Odd generations know windows of 1,000 ms only, even ones of 2,000: a row never comes from another table than its word's. */
static void *follow(void *arg)
{
    struct follower *me = arg;
    const struct qp_view *view = me->worker.view;
    const void *mixed = NULL;
    for (; !mixed && (!qp_load_relaxed(me->stop) || me->looks < 10); me->looks++) {
        struct qp_rule rule;
        unit_enter(&me->worker);
        uint64_t word = qp_load_acquire(&view->header->strategy);
        uint32_t row = qp_strategy_match(view, word, "key:1234", 8);
        if (qp_strategy_generation(word) &&
            (row == QP_ROW_NONE || !qp_strategy_rule(view, qp_strategy_table(view, word), row, &rule) ||
             rule.window_ms != (qp_strategy_generation(word) % 2 ? 1000 : 2000)))
            mixed = me;
        unit_exit(&me->worker);
    }
    return (void *)(uintptr_t)mixed;
}

static void test_no_reader_sees_a_mixture_of_two_tables(void **state)
{
    (void)state;
    struct unit_segment s;
    struct follower followers[2];
    pthread_t threads[2];
    uint64_t stop = 0;
    const struct qp_rule odd[] = {unit_rule("key:", 1000), unit_rule("other", 1000)};
    const struct qp_rule even[] = {unit_rule("a", 2000), unit_rule("key:1", 2000), unit_rule("key:12", 2000)};
    unit_open(&s, 10, 4);
    for (uint32_t i = 0; i < 2; i++) {
        followers[i] = (struct follower){.worker = unit_worker(&s, i + 1), .stop = &stop};
        assert_int_equal(0, pthread_create(&threads[i], NULL, follow, &followers[i]));
    }
    for (int changes = 0; changes < 2000;) {
        int error = changes % 2 ? load(&s, even, 3) : load(&s, odd, 2);
        if (error == -QP_EFULL)
            unit_settle(&s); /* readers hold the old tables for a moment */
        else
            changes++;
    }
    qp_store_relaxed(&stop, 1);
    for (int i = 0; i < 2; i++) {
        void *mixed;
        assert_int_equal(0, pthread_join(threads[i], &mixed));
        assert_null(mixed);
    }
    unit_settle(&s);
    unit_quiet(&s);
    unit_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_table_no_key_has_a_strategy),
        cmocka_unit_test(test_the_longest_prefix_decides),
        cmocka_unit_test(test_a_row_between_a_key_and_its_prefix_does_not_hide_it),
        cmocka_unit_test(test_bytes_are_compared_unsigned_and_zero_is_one_of_them),
        cmocka_unit_test(test_a_rule_keeps_all_its_fields_through_the_changes_of_others),
        cmocka_unit_test(test_a_hundred_thousand_keys_follow_the_prefix_that_the_model_says),
        cmocka_unit_test(test_each_change_is_a_generation_and_a_refused_one_is_none),
        cmocka_unit_test(test_a_load_replaces_everything_or_nothing),
        cmocka_unit_test(test_a_full_table_refuses_a_new_row_but_changes_and_drops_old_ones),
        cmocka_unit_test(test_long_prefixes_fill_a_table_too),
        cmocka_unit_test(test_tables_run_out_while_a_reader_stands_still_and_come_back_after),
        cmocka_unit_test(test_no_reader_sees_a_mixture_of_two_tables),
    };
    return cmocka_run_group_tests_name("strategy tables", tests, NULL, NULL);
}
