/* SPDX-License-Identifier: MIT */
/* limit_remote_test.c: what other hosts took, as the agent tells takers by a word for each parity: when it counts, and above all when it does not: another
 * window's, another epoch's, one that came round, one that this host is to ignore. At random among takes, refunds and resets: limit_model_test.c. */
#include "others_unit.h"

#include <pthread.h>

#include "shm/evict.h"
#include "shm/victim.h"

#define W 1000u
#define FIXED QP_ALGORITHM_FIXED
#define SLIDING QP_ALGORITHM_SLIDING
#define WINDOW (UNIT_NOW_MS / W)
#define TAKERS 3

static struct qp_entry *open_limit(struct unit_segment *s, unsigned algorithm)
{
    unit_open(s, 10, 1 + TAKERS);
    others_begin(&s->view);
    return unit_limit(s, "a", algorithm, W);
}

static int ask(struct unit_segment *s, struct qp_entry *entry, struct qp_ask ask, struct qp_verdict *out)
{
    return unit_take(&s->worker, entry, &ask, out);
}

static int take(struct unit_segment *s, struct qp_entry *entry, uint64_t n, uint64_t now_ms)
{
    return ask(s, entry, (struct qp_ask){.n = n, .limit = 100, .now_ms = now_ms}, NULL);
}

/* What can be had of 100 at that time. */
static uint64_t left(struct unit_segment *s, struct qp_entry *entry, uint64_t now_ms)
{
    struct qp_verdict verdict;
    assert_true(ask(s, entry, (struct qp_ask){.n = 1, .limit = 100, .now_ms = now_ms, .look = true}, &verdict) >= 0);
    return verdict.remaining;
}

static int64_t retry(struct unit_segment *s, struct qp_entry *entry, uint64_t n, uint64_t now_ms)
{
    struct qp_verdict verdict;
    assert_int_equal(1, ask(s, entry, (struct qp_ask){.n = n, .limit = 100, .now_ms = now_ms}, &verdict));
    return verdict.retry_after_ms;
}

static void hear(struct unit_segment *s, struct qp_entry *entry, uint64_t window, uint64_t count)
{
    assert_true(others_count(&s->worker, entry, window, count));
}

static void cut(struct unit_segment *s, struct qp_entry *entry, bool delete, uint64_t now_ms)
{
    int64_t ended;
    s->worker.now_ms = now_ms;
    unit_enter(&s->worker);
    assert_int_equal(0,
                     delete ? qp_shard_delete(&s->worker, entry, &ended) : qp_shard_reset(&s->worker, entry, &ended));
    unit_exit(&s->worker);
}

static void close_limit(struct unit_segment *s)
{
    unit_settle(s);
    unit_quiet(s);
    unit_close(s);
}

/* ---- when it counts -------------------------------------------------------------------------------------------------- */

static void test_what_others_took_is_taken(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_entry *entry = open_limit(&s, FIXED);
    hear(&s, entry, WINDOW, 90); /* before anything was taken here */
    assert_int_equal(10, left(&s, entry, UNIT_NOW_MS));
    assert_int_equal(1, take(&s, entry, 11, UNIT_NOW_MS));
    assert_int_equal(0, take(&s, entry, 4, UNIT_NOW_MS));
    assert_int_equal(6, left(&s, entry, UNIT_NOW_MS));
    hear(&s, entry, WINDOW, 93);
    assert_int_equal(3, left(&s, entry, UNIT_NOW_MS));
    assert_int_equal(W, retry(&s, entry, 4, UNIT_NOW_MS));
    hear(&s, entry, WINDOW, 150); /* more than there is */
    assert_int_equal(0, left(&s, entry, UNIT_NOW_MS));
    assert_int_equal(1, take(&s, entry, 1, UNIT_NOW_MS + W - 1));
    hear(&s, entry, WINDOW, 50); /* and less again */
    assert_int_equal(46, left(&s, entry, UNIT_NOW_MS));
    assert_int_equal(0, take(&s, entry, 46, UNIT_NOW_MS));
    assert_int_equal(100, left(&s, entry, UNIT_NOW_MS + W));
    close_limit(&s);
}

static void test_the_short_way_counts_it_as_the_long_one_does(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_verdict fast, slow;
    struct qp_row row = {.limit = 100}, host_only = {.limit = 100, .scope = QP_SCOPE_HOST};
    struct qp_entry *entry = open_limit(&s, FIXED);
    assert_int_equal(0, take(&s, entry, 1, UNIT_NOW_MS));
    hear(&s, entry, WINDOW, 90);
    assert_false(unit_take_fast(&s, entry, &row, 10, UNIT_NOW_MS, &fast)); /* 91 are taken */
    assert_true(unit_take_fast(&s, entry, &row, 2, UNIT_NOW_MS, &fast));
    assert_int_equal(7, fast.remaining);
    entry->cell[WINDOW & 1] -= 2;
    assert_int_equal(0, ask(&s, entry, (struct qp_ask){.n = 2, .limit = 100, .now_ms = UNIT_NOW_MS}, &slow));
    assert_memory_equal(&fast, &slow, sizeof fast);
    assert_true(unit_take_fast(&s, entry, &host_only, 97, UNIT_NOW_MS, &fast)); /* three of this host */
    assert_int_equal(0, fast.remaining);
    close_limit(&s);
}

static void test_a_sliding_window_weighs_what_others_took_in_the_one_before(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_entry *entry = open_limit(&s, SLIDING);
    hear(&s, entry, WINDOW, 60);
    assert_int_equal(0, take(&s, entry, 40, UNIT_NOW_MS));
    assert_int_equal(1, retry(&s, entry, 1, UNIT_NOW_MS + W)); /* one ms on 99.9 of the hundred are left, so 99 */
    for (uint64_t elapsed = 0; elapsed < W; elapsed += 37)
        assert_int_equal(100 - 100 * (W - elapsed) / W, left(&s, entry, UNIT_NOW_MS + W + elapsed));
    hear(&s, entry, WINDOW + 1, 30);
    for (uint64_t elapsed = 300; elapsed < W; elapsed += 37)
        assert_int_equal(70 - 100 * (W - elapsed) / W, left(&s, entry, UNIT_NOW_MS + W + elapsed));
    assert_int_equal(2, retry(&s, entry, 71, UNIT_NOW_MS + 2 * W - 1)); /* one ms into the next, 29.97 of the thirty are left */
    assert_int_equal(0, take(&s, entry, 60, UNIT_NOW_MS + 2 * W - 100));
    assert_int_equal(100 + 101, retry(&s, entry, 20, UNIT_NOW_MS + 2 * W - 100)); /* when of the ninety 80.91 are left */
    assert_int_equal(100 - 90, left(&s, entry, UNIT_NOW_MS + 2 * W));
    assert_int_equal(100, left(&s, entry, UNIT_NOW_MS + 3 * W));
    close_limit(&s);
}

/* ---- when it does not ------------------------------------------------------------------------------------------------- */

static void test_another_windows_word_counts_for_nothing(void **state)
{
    (void)state;
    const unsigned algorithms[] = {FIXED, SLIDING};
    for (int i = 0; i < 2; i++) {
        struct unit_segment s;
        struct qp_entry *entry = open_limit(&s, algorithms[i]);
        hear(&s, entry, WINDOW, 100);
        assert_int_equal(0, left(&s, entry, UNIT_NOW_MS + W - 1));
        assert_int_equal(i == 0 ? 100 : 0, left(&s, entry, UNIT_NOW_MS + W)); /* the next window, of the other parity */
        for (uint64_t ahead = 2; ahead < 8; ahead++)
            assert_int_equal(100, left(&s, entry, UNIT_NOW_MS + ahead * W));
        hear(&s, entry, WINDOW + 2, 100); /* of one that is to come: a host whose clock is ahead */
        assert_int_equal(100, left(&s, entry, UNIT_NOW_MS));
        assert_int_equal(100, left(&s, entry, UNIT_NOW_MS + W));
        assert_int_equal(0, left(&s, entry, UNIT_NOW_MS + 2 * W));
        close_limit(&s);
    }
}

/* The tag has 14 bits of window / 2: it is the same 2^15 windows later. */
static void test_a_tag_that_came_round_counts_for_nothing(void **state)
{
    (void)state;
    const unsigned algorithms[] = {FIXED, SLIDING};
    const uint64_t round = UINT64_C(1) << 15;
    for (int i = 0; i < 2; i++) {
        struct unit_segment s;
        struct qp_row row = {.limit = 100};
        struct qp_verdict verdict;
        struct qp_entry *entry = open_limit(&s, algorithms[i]);
        hear(&s, entry, WINDOW, 100);
        assert_int_equal(qp_epoch_tag(WINDOW, 0), qp_epoch_tag(WINDOW + round, 0));
        for (uint64_t times = 1; times < 4; times++) {
            uint64_t then_ms = UNIT_NOW_MS + times * round * W;
            assert_int_equal(100, left(&s, entry, then_ms));
            assert_int_equal(100, left(&s, entry, then_ms + W)); /* nor as the window before */
            assert_int_equal(0, take(&s, entry, 1, then_ms));
            if (algorithms[i] == FIXED)
                assert_true(unit_take_fast(&s, entry, &row, 99, then_ms, &verdict));
        }
        close_limit(&s);
    }
}

static void test_a_word_without_a_block_counts_for_nothing(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_entry *entry = open_limit(&s, FIXED);
    entry->remote[WINDOW & 1] = qp_epoch_tag(WINDOW, 0) | 100;
    assert_int_equal(100, left(&s, entry, UNIT_NOW_MS));
    assert_int_equal(0, take(&s, entry, 100, UNIT_NOW_MS));
    close_limit(&s);
}

static void test_a_reset_leaves_what_others_took_behind(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_entry *entry = open_limit(&s, FIXED);
    assert_int_equal(0, take(&s, entry, 5, UNIT_NOW_MS));
    hear(&s, entry, WINDOW, 80);
    assert_int_equal(15, left(&s, entry, UNIT_NOW_MS));
    cut(&s, entry, false, UNIT_NOW_MS);
    assert_int_equal(100, left(&s, entry, UNIT_NOW_MS));
    hear(&s, entry, WINDOW, 7); /* in the new epoch */
    assert_int_equal(93, left(&s, entry, UNIT_NOW_MS));
    entry->remote[WINDOW & 1] = qp_epoch_tag(WINDOW, 0) | 80; /* an agent that was about to say so of the old one */
    assert_int_equal(100, left(&s, entry, UNIT_NOW_MS));
    close_limit(&s);
}

/* The tag has 10 bits of resets. The block speaks of the epoch before the agent has told takers of it, or been killed. */
static void test_what_others_took_1024_resets_ago_counts_for_nothing(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_entry *entry = open_limit(&s, FIXED);
    assert_int_equal(0, take(&s, entry, 5, UNIT_NOW_MS));
    hear(&s, entry, WINDOW, 80);
    for (int i = 0; i < 1024; i++) {
        assert_int_equal(qp_epoch_tag(WINDOW, 0) | 80, entry->remote[WINDOW & 1]); /* the agent's to change, until it would count */
        cut(&s, entry, false, UNIT_NOW_MS);
        unit_settle(&s);
    }
    assert_int_equal(qp_epoch_tag(WINDOW, 0), qp_epoch_tag(WINDOW, 1024));
    others_point(&s.worker, entry, 2, qp_window_epoch(WINDOW, W) + 1024, 1, (UNIT_NOW_MS + W) << 16);
    assert_int_equal(100, left(&s, entry, UNIT_NOW_MS));
    hear(&s, entry, WINDOW, 7);
    assert_int_equal(93, left(&s, entry, UNIT_NOW_MS));
    close_limit(&s);
}

static void test_a_delete_takes_the_window_before_along(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_entry *entry = open_limit(&s, SLIDING);
    hear(&s, entry, WINDOW, 100);
    assert_int_equal(0, take(&s, entry, 1, UNIT_NOW_MS + W + 100));
    assert_int_equal(100 - 1 - 90, left(&s, entry, UNIT_NOW_MS + W + 100));
    cut(&s, entry, true, UNIT_NOW_MS + W + 100);
    assert_int_equal(100, left(&s, entry, UNIT_NOW_MS + W + 100));
    assert_int_equal(0, take(&s, entry, 1, UNIT_NOW_MS + W + 100));
    assert_int_equal(99, left(&s, entry, UNIT_NOW_MS + W + 100));
    close_limit(&s);
}

static void test_a_limit_of_this_host_alone_ignores_it(void **state)
{
    (void)state;
    const unsigned algorithms[] = {FIXED, SLIDING};
    for (int i = 0; i < 2; i++) {
        struct unit_segment s;
        struct qp_verdict verdict;
        struct qp_entry *entry = open_limit(&s, algorithms[i]);
        struct qp_ask question = {.n = 40, .limit = 100, .now_ms = UNIT_NOW_MS, .host_only = true};
        hear(&s, entry, WINDOW - 1, 100);
        hear(&s, entry, WINDOW, 100);
        assert_int_equal(0, ask(&s, entry, question, &verdict));
        assert_int_equal(60, verdict.remaining);
        question.host_only = false;
        assert_int_equal(1, ask(&s, entry, question, &verdict));
        assert_int_equal(0, verdict.remaining);
        close_limit(&s);
    }
}

static void test_adds_do_not_ask_others(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_entry *entry = open_limit(&s, FIXED);
    hear(&s, entry, WINDOW, 100);
    unit_add_at(&s.worker, entry, UNIT_NOW_MS, 30);
    assert_int_equal(qp_cell_make(WINDOW, 30), entry->cell[WINDOW & 1]);
    close_limit(&s);
}

/* ---- going ------------------------------------------------------------------------------------------------------------ */

static void test_a_victim_is_remembered_for_what_this_host_took(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_rule rule = unit_rule("a", W);
    rule.limit = 100;
    rule.idle_ms = 3 * W;
    struct qp_entry *entry = open_limit(&s, FIXED);
    unit_put(&s, &rule);
    entry->strategy = qp_strategy_cache(qp_strategy_generation(s.view.header->strategy), 0);
    uint64_t cost = qp_evict_cost(&s.view, entry, UNIT_NOW_MS);
    for (uint64_t others = 10; others < 60; others += 10) { /* no cheaper than one that was used as much here */
        hear(&s, entry, WINDOW, others);
        assert_true(qp_evict_cost(&s.view, entry, UNIT_NOW_MS) > cost);
        cost = qp_evict_cost(&s.view, entry, UNIT_NOW_MS);
    }
    assert_true(qp_evict_remember(&s.view, entry, UNIT_NOW_MS));
    assert_int_equal(0, qp_victim_count(&s.view, UNIT_NOW_MS)); /* nothing: else it would be told to others as ours */
    assert_int_equal(0, take(&s, entry, 20, UNIT_NOW_MS));
    assert_true(qp_evict_remember(&s.view, entry, UNIT_NOW_MS));
    struct qp_victim victim = {.hash = entry->hash, .until_ms = UNIT_NOW_MS + W};
    assert_true(qp_victim_recall(&s.view, &victim));
    assert_int_equal(20, qp_victim_used(victim.share, 100));
    close_limit(&s);
}

static void test_an_idle_limit_stays_while_others_use_it(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_rule rule = unit_rule("a", W);
    rule.limit = 100;
    rule.idle_ms = 2 * W;
    struct qp_entry *entry = open_limit(&s, FIXED);
    unit_put(&s, &rule);
    entry->strategy = qp_strategy_cache(qp_strategy_generation(s.view.header->strategy), 0);
    assert_int_equal(0, take(&s, entry, 20, UNIT_NOW_MS));
    assert_true(qp_evict_is_idle(&s.view, entry, UNIT_NOW_MS + 20 * W));
    hear(&s, entry, WINDOW + 20, 1);
    assert_false(qp_evict_is_idle(&s.view, entry, UNIT_NOW_MS + 20 * W));
    assert_true(qp_evict_is_idle(&s.view, entry, UNIT_NOW_MS + 21 * W));
    close_limit(&s);
}

/* ---- beside an agent ---------------------------------------------------------------------------------------------------- */

#define CROWD_LIMIT 400000
#define CROWD_REMOTE 100000
#define CROWD_BLOCKS 100
#define CROWD_MS (UNIT_NOW_MS + W + W / 2)

struct taker {
    struct unit_segment *s;
    struct qp_worker worker;
    struct qp_entry *entry;
    uint64_t taken;
    uint64_t *done;      /* takers that are */
    uint64_t *published; /* blocks */
    pthread_t thread;
};

/* Units, by the short way and then the long one, until they are refused, and often enough that blocks change meanwhile. */
static void *take_all(void *arg)
{
    struct taker *t = arg;
    const struct qp_row row = {.limit = CROWD_LIMIT};
    const struct qp_ask question = {.n = 1, .limit = CROWD_LIMIT, .now_ms = CROWD_MS};
    int result = 0;
    while (result == 0 || qp_load_relaxed(t->published) < CROWD_BLOCKS) {
        struct qp_verdict verdict;
        unit_enter(&t->worker);
        result = 0;
        if (!unit_take_fast(t->s, t->entry, &row, 1, CROWD_MS, &verdict))
            result = qp_limit_take(&t->s->view, t->entry, &question, &verdict);
        unit_exit(&t->worker);
        t->taken += result == 0;
    }
    qp_add_relaxed(t->done, 1);
    return NULL;
}

/* Blocks come and go under the takers all the while, and say the same: every unit that is left is taken, and not one more. */
static void test_takers_beside_an_agent_are_exact(void **state)
{
    (void)state;
    const unsigned algorithms[] = {FIXED, SLIDING};
    for (int i = 0; i < 2; i++) {
        static struct unit_segment s;
        struct taker taker[TAKERS];
        uint64_t taken = 0, done = 0, carried = i == 0 ? 0 : CROWD_REMOTE / 2, published = 0;
        struct qp_entry *entry = open_limit(&s, algorithms[i]);
        hear(&s, entry, WINDOW, CROWD_REMOTE);
        hear(&s, entry, WINDOW + 1, CROWD_REMOTE);
        for (uint32_t t = 0; t < TAKERS; t++) {
            taker[t] = (struct taker){.s = &s, .worker = unit_worker(&s, t + 1), .entry = entry, .done = &done, .published = &published};
            assert_int_equal(0, pthread_create(&taker[t].thread, NULL, take_all, &taker[t]));
        }
        while (qp_load_relaxed(&done) < TAKERS) {
            if (others_count(&s.worker, entry, WINDOW + 1, CROWD_REMOTE))
                qp_add_relaxed(&published, 1);
            else
                unit_settle(&s);
        }
        for (uint32_t t = 0; t < TAKERS; t++) {
            assert_int_equal(0, pthread_join(taker[t].thread, NULL));
            taken += taker[t].taken;
        }
        assert_int_equal(CROWD_LIMIT - CROWD_REMOTE - carried, taken);
        close_limit(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_others_took_is_taken),
        cmocka_unit_test(test_the_short_way_counts_it_as_the_long_one_does),
        cmocka_unit_test(test_a_sliding_window_weighs_what_others_took_in_the_one_before),
        cmocka_unit_test(test_another_windows_word_counts_for_nothing),
        cmocka_unit_test(test_a_tag_that_came_round_counts_for_nothing),
        cmocka_unit_test(test_a_word_without_a_block_counts_for_nothing),
        cmocka_unit_test(test_a_reset_leaves_what_others_took_behind),
        cmocka_unit_test(test_what_others_took_1024_resets_ago_counts_for_nothing),
        cmocka_unit_test(test_a_delete_takes_the_window_before_along),
        cmocka_unit_test(test_a_limit_of_this_host_alone_ignores_it),
        cmocka_unit_test(test_adds_do_not_ask_others),
        cmocka_unit_test(test_a_victim_is_remembered_for_what_this_host_took),
        cmocka_unit_test(test_an_idle_limit_stays_while_others_use_it),
        cmocka_unit_test(test_takers_beside_an_agent_are_exact),
    };
    return cmocka_run_group_tests_name("limits and other hosts", tests, NULL, NULL);
}
