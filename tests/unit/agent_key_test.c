/* SPDX-License-Identifier: MIT */
/* agent_key_test.c: how the agent changes keys: in one step, anew if somebody was faster, made if they are not there; what is refused; remote totals. */
#include "agent_unit.h"

#include <stdlib.h>

static struct qp_agent *agent;
static struct quipu *q, *other; /* another process's handle, as far as the segment can tell */

static int open_all(void **state)
{
    (void)state;
    q = api_segment_of_callers(100);
    other = api_again(q, false);
    agent = agent_open(q, 3);
    assert_code(0, quipu_add_at(q, KEY("clock"), 1, AGENT_NOW_MS));
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    qp_agent_close(agent);
    quipu_close(other);
    api_close(q);
    return 0;
}

/* A state with one foreign point. */
static struct qp_state *one_point(uint64_t epoch, uint64_t count)
{
    static struct qp_state s;
    memset(&s, 0, sizeof s);
    s.own[0].epoch = epoch;
    s.point[0] = (struct qp_point){epoch, count, 77, agent_replica(1), 1};
    s.point_count = 1;
    return &s;
}

static int update(const char *key, struct agent_put *put)
{
    return qp_agent_update(agent, qp_agent_find(agent, key, strlen(key)), agent_put_edit, put);
}

static int update_key(const char *key, unsigned kind, uint32_t window_ms, struct agent_put *put, uint32_t *slot)
{
    return qp_agent_update_key(agent, key, strlen(key), kind, window_ms, agent_put_edit, put, slot);
}

static bool is_there(const char *key)
{
    return qp_agent_find(agent, key, strlen(key)) != 0;
}

/* ---- keys that are held ------------------------------------------------------------------------------------------------ */

static void test_what_an_edit_does_not_publish_is_not_there(void **state)
{
    (void)state;
    struct agent_put put = {.state = one_point(0, 5), .result = QP_EDIT_LEAVE};
    assert_code(0, quipu_add(q, KEY("a"), 1));
    assert_code(0, update("a", &put));
    put.result = -EDOM;
    assert_code(-EDOM, update("a", &put));
    assert_int_equal(2, put.asked);
    assert_int_equal(0, agent_read(agent, "a")->point_count);
    put.result = QP_EDIT_PUBLISH;
    assert_code(1, update("a", &put));
    assert_int_equal(1, agent_read(agent, "a")->point_count);
    assert_int_equal(6, api_get(q, "a").total);
}

static void reset_a(void *arg)
{
    assert_code(0, quipu_reset(arg, KEY("a"), NULL));
    assert_code(0, quipu_add(arg, KEY("a"), 10));
}

/* The state after a change by another, with ours: nothing of either is lost. */
static void test_an_edit_is_asked_again_if_somebody_was_faster(void **state)
{
    (void)state;
    struct agent_put put = {.result = QP_EDIT_PUBLISH, .meanwhile = reset_a, .arg = other};
    assert_code(0, quipu_add(q, KEY("a"), 4));
    assert_code(1, update("a", &put));
    assert_int_equal(2, put.asked);
    assert_int_equal(1, put.before.own[0].epoch);
    assert_int_equal(4, put.before.own[0].base);
    assert_int_equal(14, put.before.cell[0]);
    assert_int_equal(10, api_get(q, "a").total);
    qp_test_settle(q); /* and no block of the first try is left: checked at the end */
}

static void end_a(void *arg)
{
    assert_code(0, quipu_strategy_put(arg, KEY("a"), &(struct quipu_strategy){.struct_bytes = sizeof(struct quipu_strategy),
                                                                              .kind = QUIPU_KIND_LIMIT,
                                                                              .window_ms = 1000}));
    assert_code(0, quipu_add_at(arg, KEY("a"), 1, AGENT_NOW_MS));
}

static void test_a_key_that_leaves_meanwhile_is_gone(void **state)
{
    (void)state;
    struct agent_put put = {.state = one_point(0, 5), .result = QP_EDIT_PUBLISH, .meanwhile = end_a, .arg = other};
    assert_code(0, quipu_add(q, KEY("a"), 4));
    assert_code(-ENOENT, update("a", &put));
    put.asked = 1;
    assert_code(-EPROTOTYPE, update_key("a", QP_KIND_COUNTER, 0, &put, NULL));
    assert_int_equal(QP_KIND_LIMIT, agent_read(agent, "a")->kind);
}

static void test_states_that_no_block_can_hold_are_refused(void **state)
{
    (void)state;
    static struct qp_state s;
    struct agent_put put = {.state = &s, .result = QP_EDIT_PUBLISH};
    uint64_t blocks = api_stat(q).blocks_used;
    assert_code(0, quipu_add(q, KEY("a"), 1));
    s = *one_point(0, 5);
    s.point[0].replica = 12345;
    assert_code(-ENOSPC, update("a", &put));
    s.point[0].replica = 0;
    assert_code(-ENOSPC, update("a", &put));
    s = *one_point(0, 5);
    s.point[0].sequence = UINT64_C(1) << 48;
    assert_code(-EINVAL, update("a", &put));
    s.point[0].sequence--;
    for (s.point_count = 0; s.point_count < QP_STATE_POINTS; s.point_count++)
        s.point[s.point_count] = (struct qp_point){0, s.point_count, 1000 + s.point_count, agent_replica(2), 1};
    s.holder[0] = (struct qp_holder){agent_replica(1), 1};
    s.holder_count = 1;
    s.tombstone = (struct qp_version){1, agent_replica(1)};
    assert_code(-E2BIG, update("a", &put));
    assert_code(-E2BIG, update_key("b", QP_KIND_COUNTER, 0, &put, NULL));
    assert_false(is_there("b"));
    assert_int_equal(blocks, api_stat(q).blocks_used);
    s.holder_count = 0;
    s.own[0].epoch = 1; /* above its floor */
    for (uint32_t i = 0; i < s.point_count; i++)
        s.point[i].epoch = 1;
    assert_code(1, update("a", &put));
    assert_int_equal(QP_STATE_POINTS, agent_read(agent, "a")->point_count);
    assert_int_equal(QP_STATE_POINTS - 1, api_get(q, "a").remote);
}

/* Takes every free block for itself. */
static uint32_t take_all_blocks(uint32_t *block)
{
    int error = 0;
    uint32_t count = 0;
    struct qp_worker *worker = qp_thread_worker(other, &error);
    while (qp_block_alloc(worker, QP_BLOCK_SHARD, 0, qp_shard_payload(0), &block[count]))
        count++;
    return count;
}

static void give_back(const uint32_t *block, uint32_t count)
{
    int error = 0;
    for (uint32_t i = 0; i < count; i++)
        qp_block_drop(qp_thread_worker(other, &error), block[i]);
}

static void test_nobody_leaves_for_a_block(void **state)
{
    (void)state;
    static uint32_t block[4096];
    struct quipu_strategy limit = api_limit_of(QUIPU_ALGORITHM_FIXED, 10, 1000);
    struct agent_put put = {.state = one_point(0, 5), .result = QP_EDIT_PUBLISH};
    api_put(q, "l:", &limit);
    assert_code(0, quipu_take_at(q, KEY("l:1"), 1, AGENT_NOW_MS, NULL));
    assert_code(0, quipu_reset(q, KEY("l:1"), NULL)); /* has a block that it could give */
    assert_code(0, quipu_take_at(q, KEY("l:1"), 1, AGENT_NOW_MS, NULL));
    assert_code(0, quipu_add(q, KEY("a"), 1));
    uint32_t count = take_all_blocks(block);
    assert_code(-QP_EFULL, update("a", &put));
    assert_code(-QP_EFULL, update_key("new", QP_KIND_COUNTER, 0, &put, NULL));
    assert_false(is_there("new"));
    assert_true(is_there("l:1"));
    give_back(block, 1);
    assert_code(1, update("a", &put));
    give_back(block + 1, count - 1);
    assert_int_equal(6, api_get(q, "a").total);
}

/* What was replaced and waits for a grace period is looked for. */
static void test_a_block_that_can_be_freed_is_found(void **state)
{
    (void)state;
    static uint32_t block[4096];
    struct agent_put put = {.state = one_point(0, 5), .result = QP_EDIT_PUBLISH};
    assert_code(0, quipu_add(q, KEY("a"), 1));
    assert_code(1, update("a", &put));
    uint32_t count = take_all_blocks(block) - 1;
    give_back(block + count, 1);
    for (int i = 0; i < 10; i++)
        assert_code(1, update("a", &put)); /* each leaves one behind */
    give_back(block, count);
}

/* ---- keys that are not held -------------------------------------------------------------------------------------------- */

static void test_a_key_is_made_with_what_is_said_of_it(void **state)
{
    (void)state;
    char text[300];
    uint32_t slot = 0;
    struct agent_put put = {.state = one_point(3, 5), .result = QP_EDIT_LEAVE};
    assert_code(0, update_key("a", QP_KIND_COUNTER, 0, &put, &slot));
    assert_int_equal(0, slot);
    assert_false(is_there("a"));
    put.result = QP_EDIT_PUBLISH;
    assert_code(1, update_key("a", QP_KIND_COUNTER, 0, &put, &slot));
    assert_int_equal(QP_KIND_COUNTER, put.before.kind);
    assert_int_equal(0, put.before.own[0].epoch + put.before.cell[0] + put.before.tombstone.timestamp + put.before.point_count);
    assert_int_equal(qp_agent_find(agent, KEY("a")), slot);
    assert_int_equal(5, api_get(q, "a").total);
    assert_int_equal(3, api_get(q, "a").epoch);
    assert_code(0, quipu_add(q, KEY("a"), 2));
    assert_int_equal(7, api_get(q, "a").total);
    memset(text, 'k', sizeof text);
    text[sizeof text - 1] = 0;
    assert_code(1, update_key(text, QP_KIND_COUNTER, 0, &put, NULL));
    assert_int_equal(5, api_get(q, text).total);
    assert_code(-ENAMETOOLONG, qp_agent_update_key(agent, text, 1025, QP_KIND_COUNTER, 0, agent_put_edit, &put, NULL));
    assert_code(-EINVAL, qp_agent_update_key(agent, text, 0, QP_KIND_COUNTER, 0, agent_put_edit, &put, NULL));
}

static void test_a_register_is_made_with_its_version(void **state)
{
    (void)state;
    struct qp_state s = {.value = -4, .tombstone = {99, agent_replica(1)}, .tombstone_sequence = 3, .tombstone_seen_ms = 1000};
    struct agent_put put = {.state = &s, .result = QP_EDIT_PUBLISH};
    assert_code(1, update_key("r", QP_KIND_REGISTER, 0, &put, NULL));
    assert_int_equal(-4, api_get(q, "r").total);
    const struct qp_state *seen = agent_read(agent, "r");
    assert_int_equal(99, seen->tombstone.timestamp);
    assert_int_equal(agent_replica(1), seen->tombstone.replica);
    assert_code(0, quipu_set(q, KEY("r"), 1));
    assert_int_equal(1, agent_read(agent, "r")->value);
    assert_code(-EPROTOTYPE, update_key("r", QP_KIND_COUNTER, 0, &put, NULL));
}

static void put_strategies(void)
{
    struct quipu_strategy limit = api_limit_of(QUIPU_ALGORITHM_SLIDING, 10, 1000);
    struct quipu_strategy host = api_limit_of(QUIPU_ALGORITHM_FIXED, 10, 1000);
    struct quipu_strategy bucket = api_limit_of(QUIPU_ALGORITHM_BUCKET, 10, 1000);
    host.scope = QUIPU_SCOPE_HOST;
    api_put(q, "l:", &limit);
    api_put(q, "h:", &host);
    api_put(q, "b:", &bucket);
}

static void test_a_key_is_what_its_strategy_says(void **state)
{
    (void)state;
    struct agent_put put = {.state = one_point(AGENT_NOW_MS << 16, 5), .result = QP_EDIT_PUBLISH};
    uint32_t slot;
    put_strategies();
    for (int held = 0; held < 2; held++) {
        assert_code(-EPROTOTYPE, update_key("l:1", QP_KIND_COUNTER, 0, &put, &slot));
        assert_code(-EPROTOTYPE, update_key("l:1", QP_KIND_REGISTER, 0, &put, &slot));
        assert_code(-EPROTOTYPE, update_key("l:1", QP_KIND_LIMIT, 2000, &put, &slot));
        assert_code(-EPROTOTYPE, update_key("h:1", QP_KIND_LIMIT, 1000, &put, &slot));
        assert_code(-EPROTOTYPE, update_key("b:1", QP_KIND_LIMIT, 1000, &put, &slot));
        assert_code(-EPROTOTYPE, update_key("b:1", QP_KIND_LIMIT, 0, &put, &slot));
        assert_code(-EPROTOTYPE, update_key("without", QP_KIND_LIMIT, 1000, &put, &slot)); /* a limit of what? */
        assert_code(-EPROTOTYPE, update_key("a", QP_KIND_INFLIGHT, 0, &put, &slot));
        assert_int_equal(0, put.asked + slot);
        assert_int_equal(held, is_there("l:1"));
        assert_code(0, quipu_take_at(q, KEY("h:1"), 1, AGENT_NOW_MS, NULL));
        assert_code(0, quipu_take_at(q, KEY("b:1"), 1, AGENT_NOW_MS, NULL));
        assert_code(0, quipu_take_at(q, KEY("l:1"), 1, AGENT_NOW_MS, NULL));
    }
    assert_code(1, update_key("l:1", QP_KIND_LIMIT, 1000, &put, &slot));
    assert_code(1, update_key("l:2", QP_KIND_LIMIT, 1000, &put, &slot));
    assert_int_equal(QP_ALGORITHM_SLIDING, put.before.algorithm);
    assert_int_equal(1000, put.before.window_ms);
    assert_int_equal(AGENT_NOW_MS / 1000, put.before.cell_window[AGENT_NOW_MS / 1000 & 1]);
    assert_int_equal(5, api_get(q, "l:2").remote);
    qp_test_settle(q);
    assert_true(is_there("l:2")); /* made a moment ago: not idle */
}

/* What others say of the key as its strategy wants it now does not wait until somebody here uses it. */
static void test_an_entry_that_its_strategy_ended_makes_room(void **state)
{
    (void)state;
    struct quipu_strategy longer = api_limit_of(QUIPU_ALGORITHM_SLIDING, 10, 2000);
    struct agent_put put = {.state = one_point(AGENT_NOW_MS / 2000 * 2000 << 16, 5), .result = QP_EDIT_PUBLISH};
    put_strategies();
    assert_code(0, quipu_take_at(q, KEY("l:1"), 1, AGENT_NOW_MS, NULL));
    api_put(q, "l:", &longer);
    assert_code(1, update_key("l:1", QP_KIND_LIMIT, 2000, &put, NULL));
    assert_int_equal(2000, put.before.window_ms);
    assert_int_equal(0, put.before.cell[0] + put.before.cell[1]);
    assert_int_equal(5, api_get(q, "l:1").remote);
}

static void make_new(void *arg)
{
    assert_code(0, quipu_add(arg, KEY("new"), 3));
}

static void test_a_key_made_by_another_meanwhile_is_changed(void **state)
{
    (void)state;
    struct agent_put put = {.state = one_point(0, 5), .result = QP_EDIT_PUBLISH, .meanwhile = make_new, .arg = other};
    uint32_t slot;
    assert_code(1, update_key("new", QP_KIND_COUNTER, 0, &put, &slot));
    assert_int_equal(2, put.asked);
    assert_int_equal(3, put.before.cell[0]);
    assert_int_equal(8, api_get(q, "new").total);
    assert_int_equal(qp_agent_find(agent, KEY("new")), slot);
}

static void test_nobody_leaves_for_a_new_key(void **state)
{
    (void)state;
    struct agent_put put = {.state = one_point(0, 5), .result = QP_EDIT_PUBLISH};
    char key[16];
    uint32_t slot = 5;
    put_strategies();
    for (int i = 1; i < 100; i++) { /* with "clock" all that there is room for, and all of it may be evicted */
        snprintf(key, sizeof key, "l:%d", i);
        assert_code(0, quipu_take_at(q, key, strlen(key), 1, AGENT_NOW_MS, NULL));
    }
    assert_code(-QP_EFULL, update_key("new", QP_KIND_COUNTER, 0, &put, &slot));
    assert_int_equal(0, slot);
    assert_int_equal(0, api_stat(q).evicted);
    assert_int_equal(100, api_stat(q).counters_used);
}

/* A stranger's word makes no fresh budget. */
static void test_a_limit_that_was_evicted_comes_back_with_what_it_had_used(void **state)
{
    (void)state;
    uint64_t window = AGENT_NOW_MS / 1000;
    struct agent_put put = {.result = QP_EDIT_PUBLISH};
    struct quipu_verdict verdict;
    put_strategies();
    assert_code(0, quipu_take_at(q, KEY("l:1"), 3, AGENT_NOW_MS, NULL));
    assert_code(0, quipu_reset(q, KEY("l:1"), NULL));
    assert_code(0, quipu_take_at(q, KEY("l:1"), 8, AGENT_NOW_MS, NULL));
    for (uint32_t i = 0; is_there("l:1"); i++) {
        char key[16];
        snprintf(key, sizeof key, "l:x%u", i);
        quipu_take_at(q, key, strlen(key), 9, AGENT_NOW_MS, NULL); /* worth more than l:1 */
        assert_true(i < 10000);
    }
    for (int i = 0; i < 40; i++) { /* and room */
        char key[16];
        snprintf(key, sizeof key, "l:x%d", i);
        quipu_delete(q, key, strlen(key), NULL);
    }
    qp_test_settle(q);
    assert_code(1, update_key("l:1", QP_KIND_LIMIT, 1000, &put, NULL));
    assert_int_equal((window * 1000 << 16) + 1, put.before.own[window & 1].epoch);
    assert_int_equal(window * 1000 << 16, put.before.floor);
    assert_int_equal(q->view.replica, put.before.tombstone.replica);
    assert_int_equal(8, put.before.cell[window & 1]);
    assert_code(1, quipu_take_at(q, KEY("l:1"), 3, AGENT_NOW_MS, &verdict));
    assert_int_equal(2, verdict.remaining);
    assert_int_equal((window * 1000 << 16) + 1, verdict.epoch);
    /* The cut that stands for its resets takes from others what these ended, and nothing that they have counted since: however old that is. */
    static struct qp_state s;
    s = *agent_read(agent, "l:1");
    s.point[0] = (struct qp_point){(window * 1000 << 16) + 1, 1, 2, agent_replica(1), 1};
    s.point[1] = (struct qp_point){window * 1000 << 16, 5, AGENT_NOW_MS << 16, agent_replica(2), 1};
    s.point_count = 2;
    put.state = &s;
    assert_code(1, update("l:1", &put));
    assert_int_equal(1, api_get(q, "l:1").remote);
}

/* ---- remote totals ------------------------------------------------------------------------------------------------------ */

static void test_takers_are_told_what_others_have_counted(void **state)
{
    (void)state;
    uint64_t window = AGENT_NOW_MS / 1000, count[2] = {0, 0};
    unsigned parity = window & 1;
    uint64_t epoch[2];
    struct quipu_verdict verdict;
    epoch[parity] = (window * 1000 << 16) + 2;
    epoch[!parity] = (window - 1) * 1000 << 16;
    struct qp_state s = {.point = {{epoch[parity], 6, 77, agent_replica(1), 1}}, .point_count = 1};
    s.own[parity].epoch = epoch[parity];
    struct agent_put put = {.state = &s, .result = QP_EDIT_PUBLISH};
    uint32_t slot;
    put_strategies();
    assert_code(1, update_key("l:1", QP_KIND_LIMIT, 1000, &put, &slot));
    count[parity] = 6;
    qp_agent_set_remote(agent, slot, epoch, count);
    struct qp_entry *entry = &q->view.entries[slot];
    assert_int_equal(qp_epoch_tag(window, 2) | 6, entry->remote[parity]);
    assert_int_equal(qp_epoch_tag(window - 1, 0), entry->remote[!parity]);
    assert_code(0, quipu_take_at(q, KEY("l:1"), 1, AGENT_NOW_MS, &verdict));
    assert_int_equal(3, verdict.remaining);
    assert_code(1, quipu_take_at(q, KEY("l:1"), 4, AGENT_NOW_MS, &verdict));
    count[parity] = UINT64_MAX;
    qp_agent_set_remote(agent, slot, epoch, count);
    assert_int_equal(qp_epoch_tag(window, 2) | QP_CELL_COUNT_MAX, entry->remote[parity]);
    assert_code(1, quipu_take_at(q, KEY("l:1"), 1, AGENT_NOW_MS, &verdict));
    qp_agent_set_remote(agent, 0, epoch, count);
    qp_agent_set_remote(agent, 50, epoch, count);
    qp_agent_set_remote(agent, UINT32_MAX, epoch, count);
    assert_int_equal(0, q->view.entries[50].remote[0]);
    uint32_t plain = qp_agent_find(agent, KEY("clock"));
    qp_agent_set_remote(agent, plain, epoch, count);
    assert_int_equal(0, q->view.entries[plain].remote[0] + q->view.entries[plain].remote[1]);
}

/* A slot that another key has by now keeps that one's. */
static void test_a_remote_total_is_not_put_on_another_key(void **state)
{
    (void)state;
    uint64_t window = AGENT_NOW_MS / 1000, count[2] = {9, 9};
    uint64_t epoch[2] = {window * 1000 << 16, window * 1000 << 16};
    struct agent_put put = {.state = one_point(0, 0), .result = QP_EDIT_LEAVE};
    put_strategies();
    assert_code(0, quipu_take_at(q, KEY("l:1"), 1, AGENT_NOW_MS, NULL));
    uint32_t slot = qp_agent_find(agent, KEY("l:1"));
    assert_code(0, update("l:1", &put));
    struct qp_entry *entry = &q->view.entries[slot];
    uint64_t hash = entry->hash;
    entry->hash ^= 1; /* as if */
    qp_agent_set_remote(agent, slot, epoch, count);
    assert_int_equal(0, entry->remote[0]);
    entry->hash = hash;
    qp_agent_set_remote(agent, slot, epoch, count);
    assert_int_not_equal(0, entry->remote[0]);
}

/* A reset that is heard of forgets what was given back in an epoch with the same tag, as one that is made here does. */
static void test_refunds_of_another_epoch_do_not_count_after_a_remote_reset(void **state)
{
    (void)state;
    uint64_t window = AGENT_NOW_MS / 1000;
    struct quipu_verdict verdict;
    put_strategies();
    assert_code(0, quipu_take_at(q, KEY("l:1"), 9, AGENT_NOW_MS, &verdict));
    assert_code(0, quipu_refund(q, KEY("l:1"), 9, &verdict));
    struct qp_state s = *one_point(0, 0);
    s.own[window & 1].epoch = s.point[0].epoch = (window * 1000 << 16) + 1024; /* the tag comes round */
    s.own[window & 1].base = 9;
    struct agent_put put = {.state = &s, .result = QP_EDIT_PUBLISH};
    assert_code(1, update("l:1", &put));
    assert_code(0, quipu_take_at(q, KEY("l:1"), 10, AGENT_NOW_MS, NULL));
    assert_code(1, quipu_take_at(q, KEY("l:1"), 1, AGENT_NOW_MS, NULL));
}

/* Nor what others had counted there. */
static void test_counts_of_another_epoch_do_not_count_after_a_remote_reset(void **state)
{
    (void)state;
    uint64_t window = AGENT_NOW_MS / 1000;
    put_strategies();
    assert_code(0, quipu_take_at(q, KEY("l:1"), 1, AGENT_NOW_MS, NULL));
    struct qp_entry *entry = &q->view.entries[qp_agent_find(agent, KEY("l:1"))];
    entry->remote[window & 1] = qp_epoch_tag(window, 0) | 9;
    struct qp_state s = *one_point(0, 2);
    s.own[window & 1].epoch = s.point[0].epoch = (window * 1000 << 16) + 1024;
    s.own[window & 1].base = 1;
    struct agent_put put = {.state = &s, .result = QP_EDIT_PUBLISH};
    assert_code(1, update("l:1", &put));
    assert_code(0, quipu_take_at(q, KEY("l:1"), 10, AGENT_NOW_MS, NULL)); /* until the agent tells */
}

#define with_an_agent(test) cmocka_unit_test_setup_teardown(test, open_all, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_an_agent(test_what_an_edit_does_not_publish_is_not_there),
        with_an_agent(test_an_edit_is_asked_again_if_somebody_was_faster),
        with_an_agent(test_a_key_that_leaves_meanwhile_is_gone),
        with_an_agent(test_states_that_no_block_can_hold_are_refused),
        with_an_agent(test_nobody_leaves_for_a_block),
        with_an_agent(test_a_block_that_can_be_freed_is_found),
        with_an_agent(test_a_key_is_made_with_what_is_said_of_it),
        with_an_agent(test_a_register_is_made_with_its_version),
        with_an_agent(test_a_key_is_what_its_strategy_says),
        with_an_agent(test_an_entry_that_its_strategy_ended_makes_room),
        with_an_agent(test_a_key_made_by_another_meanwhile_is_changed),
        with_an_agent(test_nobody_leaves_for_a_new_key),
        with_an_agent(test_a_limit_that_was_evicted_comes_back_with_what_it_had_used),
        with_an_agent(test_takers_are_told_what_others_have_counted),
        with_an_agent(test_a_remote_total_is_not_put_on_another_key),
        with_an_agent(test_refunds_of_another_epoch_do_not_count_after_a_remote_reset),
        with_an_agent(test_counts_of_another_epoch_do_not_count_after_a_remote_reset),
    };
    return cmocka_run_group_tests_name("agent keys", tests, NULL, NULL);
}
