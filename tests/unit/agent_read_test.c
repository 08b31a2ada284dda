/* SPDX-License-Identifier: MIT */
/* agent_read_test.c: what a program reads of a key in a segment is what the rules say of its state, whatever the state: blocks of random points,
 * cuts and epochs, with nothing in ours and something in one below. */
#include "agent_unit.h"
#include "sync/rules.h"

#define STATES 20000
#define OTHERS 3
#define W 1000u
#define WINDOW (AGENT_NOW_MS / W)
#define EPOCH(window, resets) (((uint64_t)(window) * W << 16) + (resets))
#define CELL 9 /* counted in each window, and of the plain counter */

static struct quipu *q;
static struct qp_agent *agent;
static uint64_t noise = 26;

static uint64_t below(uint64_t n)
{
    return (unit_random(&noise) >> 32) % n;
}

static void set_scope(uint32_t scope)
{
    struct quipu_strategy limit = api_limit_of(QUIPU_ALGORITHM_FIXED, 100, W), counter = {.struct_bytes = sizeof counter};
    limit.scope = counter.scope = scope;
    api_put(q, "l", &limit);
    api_put(q, "c", &counter);
}

static int open_all(void **state)
{
    (void)state;
    q = api_segment_of_callers(100);
    agent = agent_open(q, OTHERS);
    qp_agent_ledger(agent)->sequence = 1000;
    set_scope(QUIPU_SCOPE_FLEET);
    assert_code(0, quipu_take_at(q, KEY("l"), CELL, AGENT_NOW_MS - W, NULL));
    assert_code(0, quipu_take_at(q, KEY("l"), CELL, AGENT_NOW_MS, NULL));
    assert_code(0, quipu_add(q, KEY("c"), CELL));
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    qp_agent_close(agent);
    api_close(q);
    return 0;
}

static uint64_t replica(uint32_t number)
{
    return number ? agent_replica(number) : q->view.replica;
}

/* Up to three points a replica, by version, of epochs up to one of ours: of our windows, or twice the same of a counter. */
static void add_points(struct qp_state *s, uint64_t ours, uint64_t other)
{
    for (uint32_t number = 0; number <= OTHERS; number++) {
        uint64_t timestamp = 0;
        for (uint64_t points = below(4); points > 0; points--) {
            uint64_t upto = below(2) ? ours : other, epoch = upto - below((upto & QP_EPOCH_RESETS_MASK) + 1);
            timestamp += 1 + below(4);
            s->point[s->point_count++] = (struct qp_point){epoch, below(10), timestamp, replica(number), 1 + below(100)};
        }
    }
}

/* Often nothing is counted in our own epoch, and often a tombstone leaves others alive below it. */
static void begin_state(struct qp_state *s)
{
    memset(s, 0, offsetof(struct qp_state, point));
    for (int i = 0; i < 2; i++)
        s->own[i].base = below(2) ? CELL : below(CELL + 1);
    if (below(3)) {
        s->tombstone = (struct qp_version){1 + below(10), replica((uint32_t)below(OTHERS + 1))};
        s->tombstone_sequence = 1;
        s->deleted = below(2);
    }
}

static void random_counter(struct qp_state *s)
{
    begin_state(s);
    s->own[1].base = 0;
    s->own[0].epoch = 1 + below(5);
    s->floor = s->tombstone.timestamp ? below(s->own[0].epoch) : 0;
    add_points(s, s->own[0].epoch, s->own[0].epoch);
}

/* A limit's block has a cut or a point. */
static void random_limit(struct qp_state *s)
{
    uint64_t before = EPOCH(WINDOW - 1, below(4)), now = EPOCH(WINDOW, below(4)), cut = below(2) ? now : before;
    begin_state(s);
    s->own[WINDOW & 1].epoch = now;
    s->own[!(WINDOW & 1)].epoch = before;
    add_points(s, now, before);
    if (!s->tombstone.timestamp && s->point_count == 0)
        s->tombstone = (struct qp_version){1, replica(0)};
    if (s->tombstone.timestamp)
        s->floor = cut & QP_EPOCH_RESETS_MASK ? cut - 1 : EPOCH(WINDOW - 2, 1);
}

static void expect_alike(const char *key, const struct qp_state *s)
{
    struct qp_reading_total wanted[2];
    struct quipu_count count;
    qp_rules_read(s, q->view.replica, AGENT_NOW_MS, wanted);
    int error = quipu_get_at(q, key, 1, AGENT_NOW_MS, &count);
    if (error == -ENOENT) {
        assert_false(qp_rules_is_there(s, q->view.replica));
        assert_int_equal(0, wanted[0].total + wanted[1].total);
        return;
    }
    assert_code(0, error);
    assert_int_equal(wanted[0].epoch, count.epoch);
    assert_int_equal(wanted[0].own, count.local);
    assert_int_equal(wanted[0].remote, count.remote);
    assert_int_equal(wanted[0].total, count.total);
    assert_int_equal(wanted[1].total, count.previous);
}

/* By turns also as a key of this host alone, which no agent reads. */
static void read_states(const char *key, void (*make)(struct qp_state *s), unsigned ours)
{
    static struct qp_state made, s;
    uint32_t slot = qp_agent_find(agent, key, 1), of_another_epoch = 0;
    struct agent_put put = {.state = &made, .result = QP_EDIT_PUBLISH};
    struct qp_reading_total total[2];
    for (uint32_t i = 0; i < STATES; i++) {
        make(&made);
        assert_code(1, qp_agent_update(agent, slot, agent_put_edit, &put));
        s = *agent_read(agent, key);
        expect_alike(key, &s);
        qp_rules_read(&s, q->view.replica, AGENT_NOW_MS, total);
        of_another_epoch += total[0].total != 0 && total[0].epoch != s.own[ours].epoch;
        if (i % 100 == 0) {
            s.host_only = true;
            set_scope(QUIPU_SCOPE_HOST);
            expect_alike(key, &s);
            set_scope(QUIPU_SCOPE_FLEET);
        }
    }
    assert_true(of_another_epoch > STATES / 50); /* else nothing was tested */
}

static void test_of_a_counter(void **state)
{
    (void)state;
    read_states("c", random_counter, 0);
}

static void test_of_a_limit(void **state)
{
    (void)state;
    read_states("l", random_limit, WINDOW & 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_of_a_counter, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_of_a_limit, open_all, close_all),
    };
    return cmocka_run_group_tests_name("what is read is what the rules say", tests, NULL, NULL);
}
