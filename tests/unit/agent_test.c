/* SPDX-License-Identifier: MIT */
/* agent_test.c: the lease, and keys as the agent reads them: what is told and what is not, cells and windows, points of all replicas there and back; limits over
 * stripes. */
#include "agent_unit.h"

#include <stdlib.h>

#include "runtime/key.h"
#include "shm/limit.h"
#include "shm/stripe.h"

/* ---- the lease ------------------------------------------------------------------------------------------------------- */

static void test_one_agent_at_a_time(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8), *other = api_again(q, false);
    struct qp_agent *agent = agent_open(q, 0), *second = NULL;
    assert_int_equal(1, q->view.header->gossip);
    assert_int_equal(1, qp_agent_ledger(agent)->incarnation);
    assert_int_equal(q->view.replica, qp_agent_ledger(agent)->replica[0].id);
    assert_int_equal(101, qp_agent_slots(agent));
    assert_code(-EBUSY, qp_agent_open(q, &second));
    assert_code(-EBUSY, qp_agent_open(other, &second));
    assert_null(second);
    qp_agent_close(agent);
    agent = agent_open(other, 0);
    assert_int_equal(2, qp_agent_ledger(agent)->incarnation);
    qp_agent_close(agent);
    qp_agent_close(NULL);
    quipu_close(other);
    api_close(q);
}

/* Of a segment that grows there are as many as it has grown to, by whomever; whoever keeps something for each keeps it for all that may come. */
static void test_slots_are_those_of_now_and_those_that_may_come(void **state)
{
    (void)state;
    struct quipu *q = api_segment_by((struct quipu_create_options){.counters = 100, .counters_max = 5000, .threads = 8});
    struct quipu *other = api_again(q, false);
    struct qp_agent *agent = agent_open(q, 0);
    assert_int_equal(5001, qp_agent_slots(agent));
    assert_int_equal(101, qp_agent_slots_now(agent));
    for (uint32_t i = 0; i <= 100; i++)
        assert_code(0, quipu_add(other, &i, sizeof i, 1));
    assert_int_equal(101 + QP_GROW_COUNTERS, qp_agent_slots_now(agent));
    qp_agent_close(agent);
    quipu_close(other);
    api_close(q);
}

static void test_who_may_not_write_is_no_agent(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8), *reader = api_again(q, true);
    struct qp_agent *agent = NULL;
    assert_code(-QP_EREADONLY, qp_agent_open(reader, &agent));
    assert_code(-EINVAL, qp_agent_open(NULL, &agent));
    assert_code(-EINVAL, qp_agent_open(q, NULL));
    assert_int_equal(0, q->view.header->gossip);
    q->view.header->flags |= QP_FLAG_DESTROYED;
    assert_code(-ESTALE, qp_agent_open(q, &agent));
    q->view.header->flags = 0;
    quipu_close(reader);
    api_close(q);
}

static void test_the_lease_goes_with_its_process(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct qp_agent *agent = NULL;
    int ready[2];
    char byte;
    assert_int_equal(0, pipe(ready));
    pid_t child = api_fork();
    if (child == 0) {
        _exit(qp_agent_open(q, &agent) || write(ready[1], "x", 1) != 1 ? 1 : pause());
    }
    assert_int_equal(1, read(ready[0], &byte, 1));
    assert_code(-EBUSY, qp_agent_open(q, &agent));
    api_kill(child);
    assert_code(0, qp_agent_open(q, &agent));
    assert_int_equal(2, qp_agent_ledger(agent)->incarnation);
    qp_agent_close(agent);
    close(ready[0]);
    close(ready[1]);
    api_close(q);
}

static int leave(struct qp_state *state, void *arg)
{
    (void)state;
    (void)arg;
    return QP_EDIT_LEAVE;
}

/* It has neither the lease nor a part in keeping it. */
static int be_a_child(struct qp_agent *agent)
{
    uint32_t slot;
    uint8_t key[QUIPU_KEY_BYTES_MAX];
    size_t bytes;
    struct agent_visits visits = {0};
    return qp_agent_find(agent, KEY("a")) != 0 || qp_agent_read(agent, 1, key, &bytes, agent_state()) ||
           qp_agent_update(agent, 1, leave, NULL) != -EBUSY ||
           qp_agent_update_key(agent, KEY("a"), QP_KIND_COUNTER, 0, leave, NULL, &slot) != -EBUSY ||
           qp_agent_harvest(agent, true, agent_visit, &visits) != 0;
}

static void test_a_child_of_the_agent_is_not_the_agent(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct qp_agent *agent = agent_open(q, 0);
    int status, hold[2], runs[2];
    char byte;
    assert_code(0, quipu_add(q, KEY("a"), 1));
    pid_t child = api_fork();
    if (child == 0)
        _exit(be_a_child(agent));
    assert_int_equal(child, waitpid(child, &status, 0));
    assert_int_equal(0, status);
    /* One that lives on does not keep the lease from the next agent, once it runs at all. */
    assert_int_equal(0, pipe(runs));
    assert_int_equal(0, pipe(hold));
    child = api_fork();
    if (child == 0) {
        close(hold[1]);
        _exit(write(runs[1], "x", 1) != 1 || read(hold[0], &byte, 1) != 0);
    }
    assert_int_equal(1, read(runs[0], &byte, 1));
    qp_agent_close(agent);
    agent = agent_open(q, 0);
    for (int i = 0; i < 2; i++) {
        close(hold[i]);
        close(runs[i]);
    }
    assert_int_equal(child, waitpid(child, &status, 0));
    assert_int_equal(0, status);
    qp_agent_close(agent);
    api_close(q);
}

/* ---- what is told ----------------------------------------------------------------------------------------------------- */

static void test_what_belongs_to_one_host_is_not_read(void **state)
{
    (void)state;
    struct quipu *q = api_segment_of_callers(100);
    struct qp_agent *agent = agent_open(q, 0);
    struct quipu_strategy host = api_limit_of(QUIPU_ALGORITHM_FIXED, 10, 1000), bucket = api_limit_of(QUIPU_ALGORITHM_BUCKET, 10, 1000);
    struct quipu_strategy flight = {.struct_bytes = sizeof flight, .kind = QUIPU_KIND_INFLIGHT, .limit = 4};
    uint8_t key[QUIPU_KEY_BYTES_MAX];
    size_t bytes;
    host.scope = QUIPU_SCOPE_HOST;
    api_put(q, "h:", &host);
    api_put(q, "b:", &bucket);
    api_put(q, "f:", &flight);
    assert_code(0, quipu_take_at(q, KEY("h:1"), 1, AGENT_NOW_MS, NULL));
    assert_code(0, quipu_take_at(q, KEY("b:1"), 1, AGENT_NOW_MS, NULL));
    struct quipu_ticket ticket;
    assert_code(0, quipu_enter(q, KEY("f:1"), &ticket));
    static const char *const name[] = {"h:1", "b:1", "f:1"};
    for (int i = 0; i < 3; i++) {
        uint32_t slot = qp_agent_find(agent, name[i], 3);
        assert_int_not_equal(0, slot);
        assert_false(qp_agent_read(agent, slot, key, &bytes, agent_state()));
        assert_code(-ENOENT, qp_agent_update(agent, slot, leave, NULL));
    }
    assert_int_equal(0, qp_agent_find(agent, KEY("none")));
    assert_int_equal(0, qp_agent_find(agent, NULL, 3));
    static const uint32_t nothing[] = {0, 50, 100, 101, UINT32_MAX};
    for (int i = 0; i < 5; i++) {
        assert_false(qp_agent_read(agent, nothing[i], key, &bytes, agent_state()));
        assert_code(-ENOENT, qp_agent_update(agent, nothing[i], leave, NULL));
    }
    assert_code(0, quipu_leave(q, &ticket));
    qp_agent_close(agent);
    api_close(q);
}

static void test_a_counter_through_its_epochs(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct qp_agent *agent = agent_open(q, 0);
    assert_code(0, quipu_add(q, KEY("a"), 5));
    const struct qp_state *s = agent_read(agent, "a");
    assert_int_equal(QP_KIND_COUNTER, s->kind);
    assert_int_equal(0, s->window_ms);
    assert_false(s->deleted || s->collect || s->host_only);
    assert_int_equal(5, s->cell[0]);
    assert_int_equal(0, s->own[0].epoch + s->own[0].base + s->point_count + s->holder_count + s->stated + s->floor);
    assert_int_equal(0, s->tombstone.timestamp);
    assert_code(0, quipu_reset(q, KEY("a"), NULL));
    assert_code(0, quipu_add(q, KEY("a"), 2));
    s = agent_read(agent, "a");
    assert_int_equal(7, s->cell[0]);
    assert_int_equal(5, s->own[0].base);
    assert_int_equal(1, s->own[0].epoch);
    assert_int_equal(1, s->point_count); /* the reset's: nothing yet, in the new epoch, not in the stream yet */
    assert_int_equal(q->view.replica, s->point[0].replica);
    assert_int_equal(1, s->point[0].epoch);
    assert_int_equal(0, s->point[0].count + s->point[0].sequence);
    assert_int_not_equal(0, s->point[0].timestamp);
    assert_code(0, quipu_delete(q, KEY("a"), NULL));
    s = agent_read(agent, "a");
    assert_true(s->deleted);
    assert_int_equal(7, s->own[0].base);
    assert_int_equal(2, s->own[0].epoch);
    assert_int_equal(1, s->floor);
    assert_int_equal(q->view.replica, s->tombstone.replica);
    assert_true(s->tombstone.timestamp > 0 && s->tombstone_seen_ms > 0 && s->tombstone_seen_ms % 1000 == 0);
    assert_int_equal(0, s->tombstone_sequence + s->stated);
    qp_test_settle(q);
    assert_true(agent_read(agent, "a")->deleted); /* it waits for the agent */
    qp_agent_close(agent);
    api_close(q);
}

static void test_a_register(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct qp_agent *agent = agent_open(q, 0);
    assert_code(0, quipu_set(q, KEY("r"), -7));
    const struct qp_state *s = agent_read(agent, "r");
    assert_int_equal(QP_KIND_REGISTER, s->kind);
    assert_int_equal(-7, s->value);
    assert_int_equal(0, s->own[0].base + s->own[0].epoch + s->cell[0] + s->point_count);
    assert_int_equal(q->view.replica, s->tombstone.replica);
    uint64_t first = s->tombstone.timestamp;
    assert_code(0, quipu_set(q, KEY("r"), 8));
    s = agent_read(agent, "r");
    assert_int_equal(8, s->value);
    assert_true(s->tombstone.timestamp > first && !s->deleted);
    assert_code(0, quipu_delete(q, KEY("r"), NULL));
    assert_true(agent_read(agent, "r")->deleted);
    qp_agent_close(agent);
    api_close(q);
}

/* ---- windows ---------------------------------------------------------------------------------------------------------- */

static void take_at(struct quipu *q, uint64_t now_ms, uint64_t n)
{
    assert_code(0, quipu_take_at(q, KEY("l:1"), n, (int64_t)now_ms, NULL));
}

static void test_windows_have_their_full_numbers(void **state)
{
    (void)state;
    struct quipu *q = api_segment_of_callers(100);
    struct qp_agent *agent = agent_open(q, 0);
    struct quipu_strategy limit = api_limit_of(QUIPU_ALGORITHM_SLIDING, 100, 1000);
    uint64_t window = AGENT_NOW_MS / 1000;
    api_put(q, "l:", &limit);
    take_at(q, AGENT_NOW_MS, 3);
    const struct qp_state *s = agent_read(agent, "l:1");
    assert_int_equal(QP_KIND_LIMIT, s->kind);
    assert_int_equal(QP_ALGORITHM_SLIDING, s->algorithm);
    assert_int_equal(1000, s->window_ms);
    assert_int_equal(window, s->cell_window[window & 1]);
    assert_int_equal(3, s->cell[window & 1]);
    assert_int_equal(0, s->cell[!(window & 1)]);
    assert_int_equal(window - 1, s->cell_window[!(window & 1)]);
    take_at(q, AGENT_NOW_MS + 1500, 4);
    s = agent_read(agent, "l:1"); /* the first is sealed by now */
    assert_int_equal(window, s->cell_window[window & 1]);
    assert_int_equal(3, s->cell[window & 1]);
    assert_int_equal(window + 1, s->cell_window[!(window & 1)]);
    assert_int_equal(4, s->cell[!(window & 1)]);
    assert_code(0, quipu_reset(q, KEY("l:1"), NULL));
    s = agent_read(agent, "l:1");
    assert_int_equal(((window + 1) * 1000 << 16) + 1, s->own[!(window & 1)].epoch);
    assert_int_equal(4, s->own[!(window & 1)].base);
    assert_int_equal((window + 1) * 1000 << 16, s->floor);
    /* Long afterwards the same cells are still of the same windows, until their numbers are about to come round. */
    q->view.header->clock_ms = AGENT_NOW_MS + (UINT64_C(1000) << 22);
    s = agent_read(agent, "l:1");
    assert_int_equal(window, s->cell_window[window & 1]);
    assert_int_equal(3, s->cell[window & 1]);
    q->view.header->clock_ms += 10000;
    s = agent_read(agent, "l:1");
    assert_int_equal(0, s->cell[0] + s->cell[1]);
    assert_true(s->cell_window[0] + s->cell_window[1] >= 2 * (window + (UINT64_C(1) << 22)));
    qp_agent_close(agent);
    api_close(q);
}

/* ---- points ------------------------------------------------------------------------------------------------------------ */

#define REPLICAS 40

static struct qp_point point_of(uint32_t replica, uint64_t epoch, uint64_t count, uint64_t timestamp)
{
    return (struct qp_point){epoch, count, timestamp, agent_replica(replica), 1000 + timestamp};
}

/* As rules would leave it: our own first, new replicas behind the others. */
static void fill_state(struct qp_state *s, uint64_t self)
{
    memset(s, 0, sizeof *s);
    s->own[0].epoch = 9;
    s->own[0].base = 3;
    s->tombstone = (struct qp_version){50, agent_replica(2)};
    s->tombstone_sequence = 17;
    s->floor = 4;
    s->tombstone_seen_ms = 1234000;
    s->stated = 5;
    s->point[s->point_count++] = (struct qp_point){8, 2, 60, self, 4};
    s->point[s->point_count++] = (struct qp_point){9, 1, 61, self, 5};
    static const uint32_t order[] = {7, 1, 30, 2, 40, 3};
    for (uint32_t i = 0; i < 6; i++)
        for (uint64_t k = 0; k < 3; k++)
            s->point[s->point_count++] = point_of(order[i], 9 - k, 100 * order[i] + k, 70 + 10 * i + k);
    for (uint32_t i = 5; i-- > 0;)
        s->holder[s->holder_count++] = (struct qp_holder){agent_replica(order[i]), 90 + i};
}

static bool has_point(const struct qp_state *s, const struct qp_point *point)
{
    for (uint32_t i = 0; i < s->point_count; i++)
        if (memcmp(&s->point[i], point, sizeof *point) == 0)
            return true;
    return false;
}

static bool has_holder(const struct qp_state *s, const struct qp_holder *holder)
{
    for (uint32_t i = 0; i < s->holder_count; i++)
        if (memcmp(&s->holder[i], holder, sizeof *holder) == 0)
            return true;
    return false;
}

static void test_a_state_is_read_as_it_was_written(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct qp_agent *agent = agent_open(q, REPLICAS);
    static struct qp_state wanted;
    qp_agent_ledger(agent)->sequence = 5;
    assert_code(0, quipu_add(q, KEY("a"), 4));
    fill_state(&wanted, q->view.replica);
    struct agent_put put = {.state = &wanted, .result = QP_EDIT_PUBLISH};
    uint32_t slot = qp_agent_find(agent, KEY("a"));
    assert_code(1, qp_agent_update(agent, slot, agent_put_edit, &put));
    assert_int_equal(1, put.asked);
    assert_int_equal(4, put.before.cell[0]);
    const struct qp_state *s = agent_read(agent, "a");
    assert_int_equal(wanted.point_count, s->point_count);
    assert_int_equal(wanted.holder_count, s->holder_count);
    for (uint32_t i = 0; i < wanted.point_count; i++)
        assert_true(has_point(s, &wanted.point[i]));
    for (uint32_t i = 0; i < wanted.holder_count; i++)
        assert_true(has_holder(s, &wanted.holder[i]));
    for (uint32_t i = 1; i < s->point_count; i++) /* of one replica in one stretch, by version */
        if (s->point[i].replica == s->point[i - 1].replica)
            assert_true(s->point[i].timestamp > s->point[i - 1].timestamp);
        else
            for (uint32_t k = 0; k < i; k++)
                assert_int_not_equal(s->point[k].replica, s->point[i].replica);
    assert_int_equal(q->view.replica, s->point[0].replica);
    assert_memory_equal(&wanted.tombstone, &s->tombstone, sizeof s->tombstone);
    assert_memory_equal(wanted.own, s->own, sizeof s->own);
    assert_int_equal(17, s->tombstone_sequence);
    assert_int_equal(4, s->floor);
    assert_int_equal(1234000, s->tombstone_seen_ms);
    assert_int_equal(5, s->stated);
    assert_int_equal(1, api_get(q, "a").local);                               /* 4 - 3 */
    assert_int_equal(100 * (7 + 1 + 30 + 2 + 40 + 3), api_get(q, "a").remote); /* the points of epoch 9 */
    qp_agent_close(agent);
    api_close(q);
}

/* ---- stripes --------------------------------------------------------------------------------------------------------- */

struct end {
    struct quipu *q;
    uint32_t asked;
};

/* The epoch of the present window ends, as somebody else's reset has it; a unit is taken meanwhile. */
static int end_edit(struct qp_state *state, void *arg)
{
    struct end *end = arg;
    uint64_t window = AGENT_NOW_MS / 1000;
    if (end->asked++ == 0)
        assert_code(0, quipu_take_at(end->q, KEY("s:1"), 1, AGENT_NOW_MS, NULL));
    state->own[window & 1].epoch = (window * 1000 << 16) + 1;
    state->own[window & 1].base = state->cell[window & 1];
    state->tombstone = (struct qp_version){.timestamp = 77, .replica = agent_replica(1)};
    return QP_EDIT_PUBLISH;
}

/* What is added up of stripes in use may have a unit and not one that came before it: no end of an epoch is between two such. */
static void test_an_epoch_that_others_end_does_so_in_one_word(void **state)
{
    (void)state;
    int error;
    struct quipu *q = api_segment_of_callers(100);
    struct quipu_strategy limit = api_limit_of(QUIPU_ALGORITHM_FIXED, 100000, 1000);
    struct qp_agent *agent = agent_open(q, 1);
    struct end end = {.q = q};
    struct quipu_verdict verdict;
    unsigned parity = AGENT_NOW_MS / 1000 & 1;
    api_put(q, "s:", &limit);
    assert_code(0, quipu_take_at(q, KEY("s:1"), 3, AGENT_NOW_MS, NULL));
    uint32_t slot = qp_agent_find(agent, KEY("s:1"));
    struct qp_entry *entry = &q->view.entries[slot];
    struct qp_worker *worker = qp_thread_worker(q, &error);
    qp_grace_enter(&q->view, worker->slot);
    qp_stripe_promote(worker, entry, true);
    struct qp_ask ask = {.n = 4, .limit = limit.limit, .now_ms = AGENT_NOW_MS}; /* as who met another taker */
    struct qp_verdict taken;
    assert_int_equal(0, qp_limit_take(&q->view, entry, &ask, &taken));
    qp_grace_exit(worker->slot);
    assert_true(qp_cell_is_gate(entry->cell[parity]));
    assert_int_equal(7, agent_read(agent, "s:1")->cell[parity]);
    assert_true(qp_cell_is_gate(entry->cell[parity])); /* who only tells leaves it */
    assert_code(1, qp_agent_update(agent, slot, end_edit, &end));
    assert_int_equal(2, end.asked);
    assert_false(qp_cell_is_gate(entry->cell[parity]));
    assert_int_equal(8, qp_cell_count(entry->cell[parity]));
    assert_code(0, quipu_take_at(q, KEY("s:1"), 100000, AGENT_NOW_MS, &verdict));
    assert_int_equal((AGENT_NOW_MS / 1000 * 1000 << 16) + 1, verdict.epoch);
    assert_code(1, quipu_take_at(q, KEY("s:1"), 1, AGENT_NOW_MS, NULL));
    assert_code(0, quipu_refund(q, KEY("s:1"), 100000, &verdict));
    qp_agent_close(agent);
    api_close(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_agent_at_a_time),
        cmocka_unit_test(test_slots_are_those_of_now_and_those_that_may_come),
        cmocka_unit_test(test_who_may_not_write_is_no_agent),
        cmocka_unit_test(test_the_lease_goes_with_its_process),
        cmocka_unit_test(test_a_child_of_the_agent_is_not_the_agent),
        cmocka_unit_test(test_what_belongs_to_one_host_is_not_read),
        cmocka_unit_test(test_a_counter_through_its_epochs),
        cmocka_unit_test(test_a_register),
        cmocka_unit_test(test_windows_have_their_full_numbers),
        cmocka_unit_test(test_a_state_is_read_as_it_was_written),
        cmocka_unit_test(test_an_epoch_that_others_end_does_so_in_one_word),
    };
    return cmocka_run_group_tests_name("agent", tests, NULL, NULL);
}
