/* SPDX-License-Identifier: MIT */
/* agent_harvest_test.c: marks and their harvest: whoever changes a key is heard of once, whoever was killed is heard of all the same, and a round costs what
 * changed. */
#include "agent_unit.h"

#include <sys/mman.h>

static uint32_t slot_of(struct qp_agent *agent, const char *key)
{
    uint32_t slot = qp_agent_find(agent, key, strlen(key));
    assert_int_not_equal(0, slot);
    return slot;
}

/* ---- who is heard of ---------------------------------------------------------------------------------------------------- */

static void test_the_first_harvest_finds_what_was_there_before_the_agent(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    assert_code(0, quipu_add(q, KEY("a"), 1));
    assert_code(0, quipu_add(q, KEY("b"), 1));
    struct qp_agent *agent = agent_open(q, 0);
    struct agent_visits *visits = agent_harvest(agent, false);
    assert_int_equal(2, visits->count);
    assert_true(agent_visited(visits, slot_of(agent, "a")) && agent_visited(visits, slot_of(agent, "b")));
    assert_int_equal(0, agent_harvest(agent, false)->count);
    assert_int_equal(2, agent_harvest(agent, true)->count);
    qp_agent_close(agent);
    agent = agent_open(q, 0); /* the next agent begins anew */
    assert_int_equal(2, agent_harvest(agent, false)->count);
    assert_int_equal(0, agent_harvest(agent, false)->count);
    qp_agent_close(agent);
    api_close(q);
}

/* Every verb that changes what others are told, once each. */
static void test_every_change_is_heard_of_once(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu_strategy limit = api_limit_of(QUIPU_ALGORITHM_FIXED, 10, 60000);
    api_put(q, "l:", &limit);
    struct qp_agent *agent = agent_open(q, 0);
    agent_harvest(agent, false);
    struct {
        const char *what, *key;
    } step[] = {{"made", "a"}, {"added", "a"}, {"by handle", "a"}, {"reset", "a"}, {"deleted", "a"}, {"added", "a"},
                {"set", "r"},  {"set", "r"},   {"deleted", "r"},   {"taken", "l:1"}, {"taken", "l:1"}, {"reset", "l:1"},
                {"much", "a"}};
    struct quipu_counter handle;
    for (size_t i = 0; i < sizeof step / sizeof step[0]; i++) {
        const char *what = step[i].what, *key = step[i].key;
        size_t bytes = strlen(key);
        if (!strcmp(what, "by handle")) {
            assert_code(0, quipu_counter_open(q, key, bytes, &handle));
            assert_code(0, quipu_counter_add(&handle, 1));
        } else if (!strcmp(what, "reset"))
            assert_code(0, quipu_reset(q, key, bytes, NULL));
        else if (!strcmp(what, "deleted"))
            assert_code(0, quipu_delete(q, key, bytes, NULL));
        else if (!strcmp(what, "set"))
            assert_code(0, quipu_set(q, key, bytes, 4));
        else if (!strcmp(what, "taken"))
            assert_code(0, quipu_take(q, key, bytes, 1, NULL));
        else
            assert_code(0, quipu_add(q, key, bytes, !strcmp(what, "much") ? INT64_C(1) << 40 : 1));
        struct agent_visits *visits = agent_harvest(agent, false);
        if (visits->count != 1 || visits->slot[0] != slot_of(agent, key))
            fail_msg("%s %s: %u visits", key, what, visits->count);
    }
    assert_int_equal(0, agent_harvest(agent, false)->count);
    quipu_counter_close(&handle);
    qp_agent_close(agent);
    api_close(q);
}

static void test_what_only_looks_leaves_no_mark(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu_strategy limit = api_limit_of(QUIPU_ALGORITHM_FIXED, 1, 60000);
    api_put(q, "l:", &limit);
    struct qp_agent *agent = agent_open(q, 1);
    assert_code(0, quipu_add(q, KEY("a"), 1));
    assert_code(0, quipu_take(q, KEY("l:1"), 1, NULL));
    agent_harvest(agent, false);
    struct quipu_count count;
    assert_code(0, quipu_get(q, KEY("a"), &count));
    assert_code(1, quipu_take(q, KEY("l:1"), 1, NULL));
    assert_int_equal(0, agent_harvest(agent, false)->count);
    /* What the agent itself publishes is no news to it. */
    struct qp_state s = {.point = {{0, 5, 77, agent_replica(1), 1}}, .point_count = 1};
    struct agent_put put = {.state = &s, .result = QP_EDIT_PUBLISH};
    assert_code(1, qp_agent_update(agent, slot_of(agent, "a"), agent_put_edit, &put));
    assert_int_equal(0, agent_harvest(agent, false)->count);
    qp_agent_close(agent);
    api_close(q);
}

struct again {
    struct qp_agent *agent;
    uint32_t visits;
};

static void mark_again(uint32_t slot, void *arg)
{
    struct again *again = arg;
    again->visits++;
    qp_agent_mark(again->agent, slot);
}

static void test_a_slot_marked_in_its_visit_comes_in_the_next_round(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct qp_agent *agent = agent_open(q, 0);
    struct again again = {agent, 0};
    assert_code(0, quipu_add(q, KEY("a"), 1));
    agent_harvest(agent, false);
    qp_agent_mark(agent, slot_of(agent, "a"));
    qp_agent_mark(agent, 0); /* nobody's, and what there is not */
    qp_agent_mark(agent, 101);
    qp_agent_mark(agent, UINT32_MAX);
    for (uint32_t round = 1; round <= 3; round++) {
        assert_int_equal(1, qp_agent_harvest(agent, false, mark_again, &again));
        assert_int_equal(round, again.visits);
    }
    assert_int_equal(1, agent_harvest(agent, false)->count);
    assert_int_equal(0, agent_harvest(agent, false)->count);
    qp_agent_close(agent);
    api_close(q);
}

static int collect(struct qp_state *state, void *arg)
{
    (void)arg;
    state->collect = true;
    return QP_EDIT_PUBLISH;
}

/* Somebody else makes the segment grow in the middle of a harvest, and counts there: once, and never again. The end of what the agent knows
 * of lies in the second word that names words, which is taken after that; it is the end of a word of marks too, so that none of those it knows
 * of leads it beyond. */
#define KNOWN (79 * 64 - 1)
struct grower {
    struct quipu *other;
    bool has_grown;
    uint8_t visited[20001];
};

static void add_numbered(struct quipu *q, uint32_t from, uint32_t to)
{
    char key[32];
    for (uint32_t i = from; i < to; i++)
        assert_code(0, quipu_add(q, key, (size_t)snprintf(key, sizeof key, "k%u", i), 1));
}

static void grow_meanwhile(uint32_t slot, void *arg)
{
    struct grower *grower = arg;
    grower->visited[slot] = 1;
    if (!grower->has_grown)
        add_numbered(grower->other, KNOWN, 7000);
    grower->has_grown = true;
}

static void test_what_is_made_during_a_harvest_is_heard_of(void **state)
{
    (void)state;
    static struct grower grower;
    char key[32];
    struct quipu *q = api_segment_by((struct quipu_create_options){.counters = KNOWN, .counters_max = 20000, .threads = 8});
    struct qp_agent *agent = agent_open(q, 0);
    add_numbered(q, 0, KNOWN);
    for (int i = 0; i < 3; i++) /* until everybody knows of the agent */
        qp_agent_harvest(agent, false, grow_meanwhile, &(struct grower){.has_grown = true});
    assert_int_equal(0, agent_harvest(agent, false)->count);
    grower = (struct grower){.other = api_again(q, false)};
    qp_agent_mark(agent, 1);
    while (qp_agent_harvest(agent, false, grow_meanwhile, &grower))
        continue;
    assert_int_equal(KNOWN + QP_GROW_COUNTERS, api_stat(grower.other).counters);
    assert_int_equal(0, api_stat(q).marks);
    for (uint32_t i = KNOWN; i < 7000; i++) {
        snprintf(key, sizeof key, "k%u", i);
        assert_true(grower.visited[slot_of(agent, key)]);
    }
    quipu_close(grower.other);
    qp_agent_close(agent);
    api_close(q);
}

/* A slot whose key has left is visited, so that whoever remembers something of it can forget it. */
static void test_a_key_that_leaves_is_heard_of(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct qp_agent *agent = agent_open(q, 0);
    uint8_t key[QUIPU_KEY_BYTES_MAX];
    size_t bytes;
    assert_code(0, quipu_add(q, KEY("a"), 1));
    assert_code(0, quipu_delete(q, KEY("a"), NULL));
    uint32_t slot = slot_of(agent, "a");
    qp_test_settle(q);
    agent_harvest(agent, false);
    assert_code(1, qp_agent_update(agent, slot, collect, NULL));
    qp_test_settle(q);
    assert_int_equal(0, qp_agent_find(agent, KEY("a")));
    struct agent_visits *visits = agent_harvest(agent, false);
    assert_true(agent_visited(visits, slot));
    assert_false(qp_agent_read(agent, slot, key, &bytes, agent_state()));
    qp_agent_close(agent);
    api_close(q);
}

/* ---- windows: what is still to be told, and what was heard and not added up --------------------------------------------------- */

#define W 60000

static void settle_at(struct quipu *q, uint64_t now_ms)
{
    qp_store_relaxed(&q->view.header->clock_ms, now_ms);
    for (int i = 0; i < 6; i++)
        qp_test_settle(q);
}

/* Upkeep may come before the agent does, and the agent may not be there: others are to hear of the delete for as long as it ends something. */
static void test_a_deleted_limit_stays_until_its_windows_are_over(void **state)
{
    (void)state;
    uint64_t begin = AGENT_NOW_MS / W * W;
    struct quipu *q = api_segment_of_callers(100);
    struct quipu_strategy limit = api_limit_of(QUIPU_ALGORITHM_FIXED, 10, W);
    api_put(q, "l:", &limit);
    struct qp_agent *agent = agent_open(q, 0);
    assert_code(0, quipu_take_at(q, KEY("l:1"), 5, (int64_t)begin, NULL));
    agent_harvest(agent, false);
    assert_code(0, quipu_delete(q, KEY("l:1"), NULL));
    settle_at(q, begin + 1);
    const struct qp_state *told = agent_read(agent, "l:1");
    assert_true(told->deleted && told->tombstone.timestamp && told->stated == 0);
    assert_int_equal(begin << 16, told->floor);
    assert_int_equal(1, api_stat(q).tombstones_waiting);
    settle_at(q, begin + 2 * W - 1);
    assert_int_not_equal(0, qp_agent_find(agent, KEY("l:1")));
    settle_at(q, begin + 2 * W);
    assert_int_equal(0, qp_agent_find(agent, KEY("l:1")));
    qp_agent_close(agent);
    api_close(q);
}

/* The agent stands still, or is killed, between the block and the word by which takers add it up. */
static void test_what_others_say_of_an_idle_limit_keeps_it(void **state)
{
    (void)state;
    uint64_t begin = AGENT_NOW_MS / W * W, later = begin + 40 * W;
    struct quipu *q = api_segment_of_callers(100);
    struct quipu_strategy limit = api_limit_of(QUIPU_ALGORITHM_FIXED, 10, W);
    limit.idle_ms = 1;
    api_put(q, "l:", &limit);
    struct qp_agent *agent = agent_open(q, 1);
    assert_code(0, quipu_take_at(q, KEY("l:1"), 5, (int64_t)begin, NULL));
    uint32_t slot = slot_of(agent, "l:1");
    qp_store_relaxed(&q->view.header->clock_ms, later);
    struct qp_state s = {.point = {{later << 16, 10, later << 16, agent_replica(1), 1}}, .point_count = 1};
    struct agent_put put = {.state = &s, .result = QP_EDIT_PUBLISH};
    assert_code(1, qp_agent_update(agent, slot, agent_put_edit, &put));
    settle_at(q, later);
    assert_int_equal(slot, qp_agent_find(agent, KEY("l:1")));
    settle_at(q, later + 40 * W);
    assert_int_equal(0, qp_agent_find(agent, KEY("l:1")));
    qp_agent_close(agent);
    api_close(q);
}

/* A key of this host alone that its strategy makes everybody's: others are to hear of it, whether anybody changes it again or not. */
static void test_what_becomes_everybodys_is_heard_of(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu_strategy limit = api_limit_of(QUIPU_ALGORITHM_FIXED, 1, 60000);
    limit.scope = QUIPU_SCOPE_HOST;
    api_put(q, "l:", &limit);
    struct qp_agent *agent = agent_open(q, 0);
    assert_code(0, quipu_take(q, KEY("l:1"), 1, NULL));
    agent_harvest(agent, false);
    uint32_t slot = slot_of(agent, "l:1");
    assert_int_equal(0, agent_harvest(agent, false)->count);
    limit.scope = QUIPU_SCOPE_FLEET;
    api_put(q, "l:", &limit);
    assert_true(agent_visited(agent_harvest(agent, false), slot));
    assert_int_equal(QP_KIND_LIMIT, agent_read(agent, "l:1")->kind);
    assert_int_equal(0, agent_harvest(agent, false)->count);
    qp_agent_close(agent);
    api_close(q);
}

/* ---- those who were killed, and those who stand still ----------------------------------------------------------------------- */

/* A child that is killed in the middle of a change: after the cell, before any mark; or between the two levels. */
static void test_what_the_dead_have_not_marked_is_found_after_their_recovery(void **state)
{
    (void)state;
    for (int above = 0; above < 2; above++) {
        struct quipu *q = api_segment(100, 8);
        struct qp_agent *agent = agent_open(q, 0);
        assert_code(0, quipu_add(q, KEY("a"), 1));
        agent_harvest(agent, false);
        uint32_t slot = slot_of(agent, "a");
        pid_t child = api_fork();
        if (child == 0) {
            int error = 0;
            struct qp_worker *worker = qp_thread_worker(q, &error);
            qp_grace_enter(&q->view, worker->slot);
            qp_cell_add_plain(&q->view.entries[slot].cell[0], 1);
            if (above)
                qp_or_seq(&q->view.marks[slot / 64], UINT64_C(1) << slot % 64);
            kill(getpid(), SIGKILL);
        }
        int status;
        assert_int_equal(child, waitpid(child, &status, 0));
        assert_int_equal(0, agent_harvest(agent, false)->count);
        qp_test_settle(q);
        assert_true(agent_visited(agent_harvest(agent, false), slot));
        assert_int_equal(0, agent_harvest(agent, false)->count);
        qp_agent_close(agent);
        api_close(q);
    }
}

/* Who stands in a section since before the agent came has perhaps not heard of it. The others are not waited for. */
static void test_who_has_not_heard_of_the_agent_is_looked_after(void **state)
{
    (void)state;
    int error = 0;
    struct quipu *q = api_segment(100, 8), *late = api_again(q, false);
    struct qp_worker *worker = qp_thread_worker(late, &error);
    assert_code(0, quipu_add(q, KEY("a"), 1));
    assert_code(0, quipu_add(q, KEY("b"), 1));
    qp_grace_enter(&q->view, worker->slot);
    struct qp_agent *agent = agent_open(q, 0);
    uint32_t slot = slot_of(agent, "a");
    assert_int_equal(2, agent_harvest(agent, false)->count);
    qp_cell_add_plain(&q->view.entries[slot].cell[0], 1); /* it saw no agent, and leaves no mark */
    assert_code(0, quipu_add(q, KEY("b"), 1));
    assert_int_equal(1, agent_harvest(agent, false)->count);
    assert_int_equal(0, agent_harvest(agent, false)->count);
    qp_grace_exit(worker->slot);
    assert_true(agent_visited(agent_harvest(agent, false), slot));
    assert_int_equal(0, agent_harvest(agent, false)->count);
    qp_agent_close(agent);
    quipu_close(late);
    api_close(q);
}

/* A bit whose word nobody was told of yet, because its adder stands still, is told of by the next adder. */
static void test_one_who_stands_still_between_the_marks_holds_nobody_up(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct qp_agent *agent = agent_open(q, 0);
    assert_code(0, quipu_add(q, KEY("a"), 1));
    agent_harvest(agent, false);
    uint32_t slot = slot_of(agent, "a");
    q->view.marks[slot / 64] |= UINT64_C(1) << slot % 64;
    assert_int_equal(0, agent_harvest(agent, false)->count);
    assert_code(0, quipu_add(q, KEY("a"), 1));
    assert_int_equal(1, agent_harvest(agent, false)->count);
    qp_agent_close(agent);
    api_close(q);
}

/* ---- what it costs ---------------------------------------------------------------------------------------------------------- */

static void count_visit(uint32_t slot, void *arg)
{
    *(uint64_t *)arg += slot;
}

/* With the entries out of reach: whoever looks at one dies. */
static void test_a_round_with_one_change_looks_at_no_other_entry(void **state)
{
    (void)state;
    struct quipu *q = api_segment(1000000, 8);
    struct qp_agent *agent = agent_open(q, 0);
    /* All whole pages of them. */
    unsigned char *entries = (unsigned char *)(((uintptr_t)q->view.entries + 4095) / 4096 * 4096);
    size_t bytes = (size_t)((unsigned char *)&q->view.entries[q->view.entry_count] - entries) / 4096 * 4096;
    uint64_t sum = 0;
    assert_code(0, quipu_add(q, KEY("a"), 1));
    agent_harvest(agent, false);
    for (uint32_t slot = 1; slot < 1000000; slot += 77777) {
        qp_agent_mark(agent, slot);
        assert_int_equal(0, mprotect(entries, bytes, PROT_NONE));
        uint32_t visited = qp_agent_harvest(agent, false, count_visit, &sum);
        assert_int_equal(0, mprotect(entries, bytes, PROT_READ | PROT_WRITE));
        assert_int_equal(1, visited);
        assert_int_equal(slot, sum);
        sum = 0;
    }
    qp_agent_close(agent);
    quipu_close(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_harvest_finds_what_was_there_before_the_agent),
        cmocka_unit_test(test_every_change_is_heard_of_once),
        cmocka_unit_test(test_what_only_looks_leaves_no_mark),
        cmocka_unit_test(test_a_slot_marked_in_its_visit_comes_in_the_next_round),
        cmocka_unit_test(test_what_is_made_during_a_harvest_is_heard_of),
        cmocka_unit_test(test_a_key_that_leaves_is_heard_of),
        cmocka_unit_test(test_a_deleted_limit_stays_until_its_windows_are_over),
        cmocka_unit_test(test_what_others_say_of_an_idle_limit_keeps_it),
        cmocka_unit_test(test_what_becomes_everybodys_is_heard_of),
        cmocka_unit_test(test_what_the_dead_have_not_marked_is_found_after_their_recovery),
        cmocka_unit_test(test_who_has_not_heard_of_the_agent_is_looked_after),
        cmocka_unit_test(test_one_who_stands_still_between_the_marks_holds_nobody_up),
        cmocka_unit_test(test_a_round_with_one_change_looks_at_no_other_entry),
    };
    return cmocka_run_group_tests_name("harvest", tests, NULL, NULL);
}
