/* SPDX-License-Identifier: MIT */
/* evict_test.c: who may leave a segment by itself: what idleness is for each kind, what a victim costs, and what is known again of one that comes
 * back. How they leave: room_test.c. */
#include "unit.h"

#include "shm/bucket.h"
#include "shm/evict.h"
#include "shm/flight.h"
#include "shm/victim.h"

#define W 1000u
#define NOW UNIT_NOW_MS

static struct qp_rule limit_rule(unsigned algorithm, uint32_t window_ms, uint64_t limit)
{
    struct qp_rule rule = unit_rule("", window_ms);
    rule.algorithm = algorithm;
    rule.limit = limit;
    if (algorithm == QP_ALGORITHM_BUCKET) {
        rule.burst = limit;
        rule.tick = qp_bucket_tick(limit, window_ms);
    }
    return rule;
}

static struct qp_rule kind_rule(unsigned kind, uint64_t idle_ms)
{
    struct qp_rule rule = unit_rule("", 0);
    rule.kind = kind;
    rule.merge = kind == QP_KIND_REGISTER ? 2 : 1;
    rule.limit = kind == QP_KIND_INFLIGHT ? 4 : 0;
    rule.idle_ms = idle_ms;
    return rule;
}

/* A limit as the rule says, full. */
static struct qp_entry *limit_of(struct unit_segment *s, const char *name, const struct qp_rule *rule)
{
    struct qp_entry *entry = unit_limit(s, name, rule->algorithm, rule->window_ms);
    if (rule->algorithm == QP_ALGORITHM_BUCKET)
        entry->cell[0] = NOW * QP_BUCKET_PER_MS;
    return entry;
}

static void take(struct unit_segment *s, struct qp_entry *entry, const struct qp_rule *rule, uint64_t n,
                 uint64_t now_ms)
{
    struct qp_ask ask = {.n = n,
                         .limit = rule->limit ? rule->limit : QP_LIMIT_NONE,
                         .burst = rule->burst,
                         .tick = rule->tick,
                         .now_ms = now_ms,
                         .fresh = true};
    assert_int_equal(0, unit_take(&s->worker, entry, &ask, NULL));
}

static void reset(struct unit_segment *s, struct qp_entry *entry, uint64_t now_ms)
{
    int64_t ended;
    s->worker.now_ms = now_ms;
    unit_enter(&s->worker);
    assert_int_equal(0, qp_shard_reset(&s->worker, entry, &ended));
    unit_exit(&s->worker);
}

static uint64_t cost(struct unit_segment *s, const struct qp_entry *entry, uint64_t now_ms)
{
    unit_enter(&s->worker);
    uint64_t found = qp_evict_cost(&s->view, entry, now_ms);
    unit_exit(&s->worker);
    return found;
}

static bool idle(struct unit_segment *s, const struct qp_entry *entry, uint64_t now_ms)
{
    unit_enter(&s->worker);
    bool found = qp_evict_is_idle(&s->view, entry, now_ms);
    unit_exit(&s->worker);
    return found;
}

static bool remember(struct unit_segment *s, const struct qp_entry *entry, uint64_t now_ms)
{
    unit_enter(&s->worker);
    bool done = qp_evict_remember(&s->view, entry, now_ms);
    unit_exit(&s->worker);
    return done;
}

/* What a draft of the same key would start with. */
static struct qp_use recalled(struct unit_segment *s, const struct qp_entry *entry, uint64_t now_ms, uint64_t *resets)
{
    struct qp_birth birth = unit_birth(entry->traits);
    struct qp_use use;
    unit_enter(&s->worker);
    const struct qp_row *row = qp_strategy_row_of(&s->view, entry);
    assert_non_null(row);
    if (row->algorithm == QP_ALGORITHM_BUCKET)
        birth.draft.cell[0] = now_ms * QP_BUCKET_PER_MS;
    qp_evict_recall(&s->view, entry->hash, row, now_ms, &birth);
    *resets = birth.resets;
    qp_limit_use(&s->view, &birth.draft, now_ms, &use);
    unit_exit(&s->worker);
    return use;
}

/* ---- idle ------------------------------------------------------------------------------------------------------------ */

static void test_a_limit_is_idle_once_its_last_window_is_over_for_so_long(void **state)
{
    (void)state;
    for (unsigned algorithm = QP_ALGORITHM_FIXED; algorithm <= QP_ALGORITHM_SLIDING; algorithm++) {
        struct unit_segment s;
        struct qp_rule rule = limit_rule(algorithm, W, 10);
        rule.idle_ms = 5000;
        unit_open(&s, 10, 4);
        unit_put(&s, &rule);
        struct qp_entry *entry = limit_of(&s, "a", &rule);
        take(&s, entry, &rule, 1, NOW);
        take(&s, entry, &rule, 1, NOW + 999); /* noted with the window */
        assert_false(idle(&s, entry, NOW));
        assert_false(idle(&s, entry, NOW + W + 5000));
        assert_true(idle(&s, entry, NOW + W + 5000 + 1001)); /* seconds are all that is noted */
        take(&s, entry, &rule, 1, NOW + 4000);
        assert_false(idle(&s, entry, NOW + W + 5000 + 1001));
        assert_false(idle(&s, entry, NOW - 3600000)); /* a clock that went back makes nobody idle */
        unit_close(&s);
    }
}

static void test_a_bucket_is_not_idle_before_it_is_full(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_rule rule = limit_rule(QP_ALGORITHM_BUCKET, 60000, 10);
    rule.idle_ms = 1000;
    rule.burst = 100; /* ten minutes */
    unit_open(&s, 10, 4);
    unit_put(&s, &rule);
    struct qp_entry *entry = limit_of(&s, "a", &rule);
    take(&s, entry, &rule, 100, NOW);
    assert_false(idle(&s, entry, NOW + 599999));
    assert_true(idle(&s, entry, NOW + 600000));
    unit_close(&s);
}

static void test_who_is_never_idle_stays(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_rule rule = limit_rule(QP_ALGORITHM_FIXED, W, 10);
    unit_open(&s, 10, 4);
    struct qp_entry *entry = limit_of(&s, "a", &rule);
    take(&s, entry, &rule, 1, NOW);
    assert_false(idle(&s, entry, NOW + UINT64_C(31536000000))); /* no strategy says anything */
    unit_put(&s, &rule);
    assert_false(idle(&s, entry, NOW + UINT64_C(31536000000)));
    rule.idle_ms = 1;
    unit_put(&s, &rule);
    assert_true(idle(&s, entry, NOW + UINT64_C(31536000000)));
    unit_close(&s);
}

static void test_counters_are_seen_to_be_used_by_sweeps(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_rule rule = kind_rule(QP_KIND_COUNTER, 10000);
    struct qp_reading reading;
    unit_open(&s, 10, 4);
    unit_put(&s, &rule);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    unit_settle(&s); /* at NOW: noted for the first time */
    qp_cell_add_plain(&entry->cell[0], 1);
    s.worker.now_ms = NOW + 9000;
    unit_settle(&s); /* has grown since */
    s.worker.now_ms = NOW + 9000 + 10000;
    unit_settle(&s);
    assert_int_equal(QP_STATE_LIVE, qp_state_of(entry->state));
    assert_int_equal(0, s.view.header->stat_expired);
    s.worker.now_ms = NOW + 9000 + 11001;
    unit_enter(&s.worker);
    assert_true(qp_entry_advance(&s.worker, entry)); /* deleted as by anyone: others are to hear of it */
    unit_exit(&s.worker);
    assert_int_equal(0, qp_shard_read(&s.view, entry, NOW, &reading));
    assert_true(reading.deleted);
    assert_int_equal(1, s.view.header->stat_expired);
    unit_settle(&s);
    assert_int_equal(QP_STATE_FREE, qp_state_of(entry->state));
    assert_int_equal(1, s.view.header->stat_expired);
    unit_quiet(&s);
    unit_close(&s);
}

/* A key that only others count is in use: a delete by this host would take it from them. */
static void test_counters_that_others_count_are_used(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_rule rule = kind_rule(QP_KIND_COUNTER, 10000);
    uint32_t block;
    unit_open(&s, 10, 4);
    unit_put(&s, &rule);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    s.view.header->gossip = 1;
    s.view.ledger->replica[1].id = 99;
    assert_true(qp_block_alloc(&s.worker, QP_BLOCK_SHARD, qp_entry_index(&s.view, entry), qp_shard_payload(1), &block));
    struct qp_shard *shard = (void *)qp_block_of(&s.view, qp_block_class(block), qp_block_index(block));
    memset((char *)shard + sizeof shard->block, 0, qp_shard_payload(1));
    shard->point_count = 1;
    shard->point[0] = (struct qp_shard_point){.count = 7, .timestamp = 1, .origin = qp_origin_make(1, 1)};
    unit_enter(&s.worker);
    assert_true(qp_shard_replace(&s.worker, entry, entry->shard, block));
    unit_exit(&s.worker);
    unit_settle(&s);
    for (uint64_t later_ms = 9000; later_ms <= 27000; later_ms += 9000) {
        s.worker.now_ms = NOW + later_ms;
        shard->point[0].count++;
        unit_settle(&s);
        assert_int_equal(0, s.view.header->stat_expired);
    }
    s.worker.now_ms = NOW + 27000 + 11001;
    unit_settle(&s);
    assert_int_equal(1, s.view.header->stat_expired);
    assert_int_equal(QP_STATE_LIVE, qp_state_of(entry->state)); /* until all have heard of it */
    unit_quiet(&s);
    unit_close(&s);
}

static void test_a_register_is_idle_since_it_was_last_set(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_rule rule = kind_rule(QP_KIND_REGISTER, 10000);
    struct qp_birth birth = unit_birth(qp_traits_make(QP_KIND_REGISTER, 0, 0));
    struct qp_entry *entry;
    unit_open(&s, 10, 4);
    unit_put(&s, &rule);
    struct qp_key key = unit_key(&s.view, "r");
    unit_enter(&s.worker);
    assert_int_equal(1, qp_entry_create(&s.worker, &key, &birth, &entry));
    s.worker.now_ms = NOW + 5000;
    assert_int_equal(0, qp_shard_set(&s.worker, entry, 7));
    unit_exit(&s.worker);
    assert_false(idle(&s, entry, NOW + 15000));
    assert_true(idle(&s, entry, NOW + 15001));
    s.worker.now_ms = NOW + 15001;
    unit_settle(&s);
    assert_int_equal(QP_STATE_FREE, qp_state_of(entry->state));
    assert_int_equal(1, s.view.header->stat_expired);
    unit_quiet(&s);
    unit_close(&s);
}

static void test_an_inflight_limit_is_idle_only_while_nobody_is_in(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_rule rule = kind_rule(QP_KIND_INFLIGHT, 10000);
    struct qp_birth birth = unit_birth(qp_traits_make(QP_KIND_INFLIGHT, 0, 0));
    struct qp_flight_unit unit;
    struct qp_entry *entry;
    unit_open(&s, 10, 4);
    unit_put(&s, &rule);
    struct qp_key key = unit_key(&s.view, "f");
    birth.units = 4;
    unit_enter(&s.worker);
    assert_int_equal(1, qp_entry_create(&s.worker, &key, &birth, &entry));
    assert_int_equal(0, qp_flight_enter(&s.worker, entry, 4, &unit));
    unit_exit(&s.worker);
    assert_false(idle(&s, entry, NOW + 1000000));
    assert_int_equal(QP_EVICT_NEVER, cost(&s, entry, NOW + 1000000));
    unit_enter(&s.worker);
    assert_int_equal(0, qp_flight_leave(&s.worker, &unit));
    unit_exit(&s.worker);
    assert_true(cost(&s, entry, NOW + 1000000) != QP_EVICT_NEVER);
    assert_false(idle(&s, entry, NOW + 10000));
    assert_true(idle(&s, entry, NOW + 11001));
    s.worker.now_ms = NOW + 11001;
    unit_settle(&s);
    assert_int_equal(QP_STATE_FREE, qp_state_of(entry->state));
    assert_int_equal(1, s.view.header->stat_expired);
    unit_quiet(&s);
    unit_close(&s);
}

/* ---- the cost of a victim -------------------------------------------------------------------------------------------- */

static void test_the_least_used_costs_least_and_then_the_oldest(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_rule rule = limit_rule(QP_ALGORITHM_FIXED, 60000, 100);
    unit_open(&s, 10, 4);
    unit_put(&s, &rule);
    const uint64_t start_ms = NOW / 60000 * 60000, now_ms = start_ms + 59000;
    struct qp_entry *over = limit_of(&s, "over", &rule), *old = limit_of(&s, "old", &rule);
    struct qp_entry *young = limit_of(&s, "young", &rule), *much = limit_of(&s, "much", &rule),
                    *full = limit_of(&s, "full", &rule);
    take(&s, over, &rule, 100, start_ms - 60000);
    take(&s, old, &rule, 5, start_ms);
    take(&s, young, &rule, 5, start_ms + 30000);
    take(&s, much, &rule, 6, start_ms);
    take(&s, full, &rule, 100, start_ms);
    const struct qp_entry *order[] = {over, old, young, much, full};
    for (int i = 1; i < 5; i++)
        assert_true(cost(&s, order[i - 1], now_ms) < cost(&s, order[i], now_ms));
    assert_true(cost(&s, full, now_ms) < QP_EVICT_NEVER);
    unit_close(&s);
}

static void test_what_is_used_and_cannot_be_remembered_is_never_a_victim(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_rule none = limit_rule(QP_ALGORITHM_FIXED, W, 0), some = limit_rule(QP_ALGORITHM_FIXED, W, 10);
    unit_open(&s, 64, 4);
    struct qp_entry *counter = unit_counter(&s.worker, "c", 0);
    struct qp_entry *entry = limit_of(&s, "a", &none);
    assert_int_equal(QP_EVICT_NEVER, cost(&s, counter, NOW + 1000000));
    take(&s, entry, &none, 1, NOW);
    assert_int_equal(QP_EVICT_NEVER, cost(&s, entry, NOW)); /* no strategy */
    unit_put(&s, &none);
    assert_int_equal(QP_EVICT_NEVER, cost(&s, entry, NOW)); /* no share of a limit without a number */
    assert_true(cost(&s, entry, NOW + W) < QP_EVICT_NEVER);
    unit_put(&s, &some);
    assert_true(cost(&s, entry, NOW) < QP_EVICT_NEVER);
    for (int i = 1; i <= 16; i++) {
        reset(&s, entry, NOW);
        assert_true((cost(&s, entry, NOW) == QP_EVICT_NEVER) == (i > QP_VICTIM_RESETS_MAX));
        assert_true(remember(&s, entry, NOW) == (i <= QP_VICTIM_RESETS_MAX));
    }
    unit_settle(&s);
    unit_close(&s);
}

/* ---- what is known again --------------------------------------------------------------------------------------------- */

static void test_a_limit_comes_back_with_what_it_had_used_exactly_up_to_16383(void **state)
{
    (void)state;
    uint64_t noise = 11;
    for (int i = 0; i < 600; i++) {
        struct unit_segment s;
        unsigned algorithm = i % 2 ? QP_ALGORITHM_SLIDING : QP_ALGORITHM_FIXED;
        uint64_t limit = i % 3 ? 1 + unit_random(&noise) % 16383 : 1 + (unit_random(&noise) >> 25), resets;
        struct qp_rule rule = limit_rule(algorithm, W, limit);
        unit_open(&s, 10, 4);
        unit_put(&s, &rule);
        struct qp_entry *entry = limit_of(&s, "a", &rule);
        uint64_t before = 1 + unit_random(&noise) % limit,
                 room = algorithm == QP_ALGORITHM_SLIDING ? limit - before / 2 : limit;
        take(&s, entry, &rule, before, NOW);
        uint64_t current = room ? unit_random(&noise) % room : 0;
        if (current)
            take(&s, entry, &rule, current, NOW + W + 500);
        uint64_t previous = algorithm == QP_ALGORITHM_SLIDING ? before : 0;
        assert_true(remember(&s, entry, NOW + W + 500));
        struct qp_use use = recalled(&s, entry, NOW + W + 700, &resets);
        assert_int_equal(0, resets);
        if (limit <= 16383) {
            assert_int_equal(current, use.current);
            assert_int_equal(previous, use.previous);
        }
        assert_true(use.current >= current && use.current <= current + limit / 16383 + 1);
        assert_true(use.previous >= previous && use.previous <= previous + limit / 16383 + 1);
        use = recalled(&s, entry, NOW + 2 * W, &resets);
        assert_int_equal(0, use.current);
        assert_true(use.previous >= (algorithm == QP_ALGORITHM_SLIDING ? current : 0));
        assert_true(limit > 16383 || use.previous == (algorithm == QP_ALGORITHM_SLIDING ? current : 0));
        use = recalled(&s, entry, NOW + 3 * W, &resets);
        assert_int_equal(0, use.current + use.previous);
        unit_close(&s);
    }
}

static void test_what_was_given_back_is_not_remembered_and_resets_are(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_rule rule = limit_rule(QP_ALGORITHM_FIXED, W, 100);
    uint64_t resets;
    unit_open(&s, 64, 4);
    unit_put(&s, &rule);
    struct qp_entry *entry = limit_of(&s, "a", &rule);
    take(&s, entry, &rule, 90, NOW);
    for (uint64_t i = 1; i <= QP_VICTIM_RESETS_MAX; i++)
        reset(&s, entry, NOW);
    take(&s, entry, &rule, 50, NOW);
    unit_enter(&s.worker);
    assert_int_equal(0, qp_limit_refund(&s.view, entry, 20, (NOW << 16) + 15, NOW, 0));
    unit_exit(&s.worker);
    assert_true(remember(&s, entry, NOW));
    assert_int_equal(30, recalled(&s, entry, NOW, &resets).current);
    assert_int_equal(15, resets);
    unit_settle(&s);
    unit_close(&s);
}

/* A bucket's word keeps the time when it is full again, to 1/256 ms. */
static void test_a_bucket_comes_back_no_fuller_than_it_was(void **state)
{
    (void)state;
    uint64_t noise = 5, resets;
    for (int i = 0; i < 400; i++) {
        struct unit_segment s;
        uint64_t limit = 1 + (unit_random(&noise) >> (40 + unit_random(&noise) % 20));
        struct qp_rule rule = limit_rule(QP_ALGORITHM_BUCKET, i % 2 ? W : 3600000, limit);
        unit_open(&s, 10, 4);
        unit_put(&s, &rule);
        struct qp_entry *entry = limit_of(&s, "a", &rule);
        uint64_t later_ms = NOW + unit_random(&noise) % 100;
        take(&s, entry, &rule, 1 + unit_random(&noise) % limit, NOW);
        uint64_t level = qp_bucket_level_of(&s.view, entry, later_ms);
        assert_true(remember(&s, entry, later_ms));
        uint64_t back = recalled(&s, entry, later_ms, &resets).level;
        assert_true(back >= level && back - level < QP_BUCKET_PER_MS / 256);
        back = recalled(&s, entry, later_ms + 50, &resets).level;
        level = qp_bucket_level_of(&s.view, entry, later_ms + 50);
        assert_true(back >= level && back - level < QP_BUCKET_PER_MS / 256);
        unit_close(&s);
    }
}

static void test_a_bucket_that_takes_longer_than_can_be_remembered_stays(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_rule rule = limit_rule(QP_ALGORITHM_BUCKET, 86400000, 1);
    rule.burst = 5; /* days */
    unit_open(&s, 10, 4);
    unit_put(&s, &rule);
    struct qp_entry *entry = limit_of(&s, "a", &rule);
    take(&s, entry, &rule, 5, NOW);
    assert_false(remember(&s, entry, NOW));
    assert_true(remember(&s, entry, NOW + UINT64_C(3) * 86400000));
    unit_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_limit_is_idle_once_its_last_window_is_over_for_so_long),
        cmocka_unit_test(test_a_bucket_is_not_idle_before_it_is_full),
        cmocka_unit_test(test_who_is_never_idle_stays),
        cmocka_unit_test(test_counters_are_seen_to_be_used_by_sweeps),
        cmocka_unit_test(test_counters_that_others_count_are_used),
        cmocka_unit_test(test_a_register_is_idle_since_it_was_last_set),
        cmocka_unit_test(test_an_inflight_limit_is_idle_only_while_nobody_is_in),
        cmocka_unit_test(test_the_least_used_costs_least_and_then_the_oldest),
        cmocka_unit_test(test_what_is_used_and_cannot_be_remembered_is_never_a_victim),
        cmocka_unit_test(test_a_limit_comes_back_with_what_it_had_used_exactly_up_to_16383),
        cmocka_unit_test(test_what_was_given_back_is_not_remembered_and_resets_are),
        cmocka_unit_test(test_a_bucket_comes_back_no_fuller_than_it_was),
        cmocka_unit_test(test_a_bucket_that_takes_longer_than_can_be_remembered_stays),
    };
    return cmocka_run_group_tests_name("idleness and victims", tests, NULL, NULL);
}
