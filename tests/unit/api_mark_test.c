/* SPDX-License-Identifier: MIT */
/* api_mark_test.c: the public calls tell an agent what they have changed: each that counts marks its key, in every way it can go, and none that changes nothing
 * does. The marks themselves: mark_test.c. */
#include "api.h"

#include "shm/mark.h"

#define W 60000
#define T0 INT64_C(1700006400000) /* a whole number of windows */

static struct quipu *open_told(void)
{
    struct quipu *q = api_segment_of_callers(100);
    static const struct {
        const char *prefix;
        uint32_t kind, algorithm;
    } rows[] = {{"f:", QUIPU_KIND_LIMIT, QUIPU_ALGORITHM_FIXED},
                {"s:", QUIPU_KIND_LIMIT, QUIPU_ALGORITHM_SLIDING},
                {"b:", QUIPU_KIND_LIMIT, QUIPU_ALGORITHM_BUCKET},
                {"i:", QUIPU_KIND_INFLIGHT, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct quipu_strategy s = api_limit_of(rows[i].algorithm, 10, W);
        s.kind = rows[i].kind;
        if (s.kind == QUIPU_KIND_INFLIGHT)
            s.window_ms = 0;
        api_put(q, rows[i].prefix, &s);
    }
    q->view.header->gossip = 1;
    return q;
}

static struct qp_entry *entry_of(struct quipu *q, const char *text)
{
    struct qp_key key = unit_key(&q->view, text);
    return unit_find(qp_thread_worker(q, &(int){0}), &key);
}

/* Whether a key was marked, both in its word and above it; takes all marks away. */
static bool was_marked(struct quipu *q, const char *text)
{
    const struct qp_entry *entry = entry_of(q, text);
    uint32_t index = entry ? qp_entry_index(&q->view, entry) : 0;
    uint64_t marks = 0, above = q->view.mark_summary[0];
    bool marked = entry && q->view.marks[index / 64] >> (index % 64) & 1;
    for (uint32_t i = 0; i < qp_mark_words(&q->view); i++) {
        marks += (uint64_t)__builtin_popcountll(q->view.marks[i]);
        assert_int_equal(q->view.marks[i] != 0, above >> i & 1);
        q->view.marks[i] = 0;
    }
    q->view.mark_summary[0] = 0;
    assert_int_equal(marked, marks); /* and no other key */
    return marked;
}

/* ---- counting -------------------------------------------------------------------------------------------------------- */

static void test_every_add_marks_its_key(void **state)
{
    (void)state;
    struct quipu *q = open_told();
    struct quipu_counter handle;
    assert_code(0, quipu_add_at(q, KEY("c"), 1, T0)); /* a new key */
    assert_true(was_marked(q, "c"));
    assert_code(0, quipu_add_at(q, KEY("c"), 1, T0)); /* the short way */
    assert_true(was_marked(q, "c"));
    assert_code(0, quipu_add_at(q, KEY("c"), QP_CELL_SMALL, T0)); /* and the long one */
    assert_true(was_marked(q, "c"));
    assert_code(0, quipu_counter_open(q, KEY("c"), &handle));
    for (int i = 0; i < 3; i++) { /* by key first, then by what the handle remembers */
        assert_code(0, quipu_counter_add_at(&handle, i == 2 ? QP_CELL_SMALL : 1, T0));
        assert_true(was_marked(q, "c"));
    }
    for (int i = 0; i < 2; i++) {
        assert_code(0, quipu_add_at(q, KEY("f:1"), 20, T0 + i * W)); /* over the limit: adds do not ask */
        assert_true(was_marked(q, "f:1"));
    }
    quipu_counter_close(&handle);
    quipu_close(q);
}

static void test_what_changes_nothing_marks_nothing(void **state)
{
    (void)state;
    struct quipu *q = open_told();
    struct quipu_count count;
    assert_code(0, quipu_add_at(q, KEY("c"), 1, T0));
    was_marked(q, "c");
    assert_code(0, quipu_add_at(q, KEY("none"), 0, T0));
    assert_code(-EOVERFLOW, quipu_add_at(q, KEY("c"), INT64_MAX, T0));
    assert_code(-EINVAL, quipu_add_at(q, KEY("c"), -1, T0));
    assert_code(0, quipu_get_at(q, KEY("c"), T0, &count));
    assert_code(-ENOENT, quipu_get_at(q, KEY("none"), T0, &count));
    assert_code(-ENOENT, quipu_reset(q, KEY("none"), NULL));
    assert_code(-EPROTOTYPE, quipu_set(q, KEY("c"), 1));
    assert_false(was_marked(q, "c"));
    quipu_close(q);
}

static void test_sets_resets_and_deletes_mark(void **state)
{
    (void)state;
    struct quipu *q = open_told();
    for (int i = 0; i < 2; i++) {
        assert_code(0, quipu_set(q, KEY("r"), i)); /* a new key, and one that is there */
        assert_true(was_marked(q, "r"));
    }
    assert_code(0, quipu_delete(q, KEY("r"), NULL));
    assert_true(was_marked(q, "r"));
    assert_code(0, quipu_add(q, KEY("c"), 1));
    was_marked(q, "c");
    assert_code(0, quipu_reset(q, KEY("c"), NULL));
    assert_true(was_marked(q, "c"));
    assert_code(0, quipu_delete(q, KEY("c"), NULL));
    assert_true(was_marked(q, "c"));
    assert_code(0, quipu_add(q, KEY("c"), 1)); /* alive again */
    assert_true(was_marked(q, "c"));
    quipu_close(q);
}

/* ---- limits ---------------------------------------------------------------------------------------------------------- */

static void take_marks(struct quipu *q, const char *key)
{
    struct quipu_counter handle;
    struct quipu_verdict verdict;
    size_t bytes = strlen(key);
    assert_code(0, quipu_take_at(q, key, bytes, 1, T0, &verdict)); /* a new key */
    assert_true(was_marked(q, key));
    assert_code(0, quipu_take_at(q, key, bytes, 1, T0, &verdict)); /* a window that is open */
    assert_true(was_marked(q, key));
    assert_code(0, quipu_take_at(q, key, bytes, 0, T0, NULL)); /* only looks */
    assert_code(1, quipu_take_at(q, key, bytes, 100, T0, NULL));
    assert_code(0, quipu_refund(q, key, bytes, 1, &verdict)); /* what others are told of does not fall within an epoch */
    assert_false(was_marked(q, key));
    assert_code(0, quipu_take_at(q, key, bytes, 1, T0 + 3 * W, NULL)); /* opens a window */
    assert_true(was_marked(q, key));
    assert_code(0, quipu_counter_open(q, key, bytes, &handle));
    for (int i = 0; i < 2; i++) {
        assert_code(0, quipu_counter_take_at(&handle, 1, T0 + 3 * W, NULL));
        assert_true(was_marked(q, key));
    }
    assert_code(0, quipu_reset(q, key, bytes, NULL)); /* from here on there is a shard block */
    assert_true(was_marked(q, key));
    assert_code(0, quipu_take_at(q, key, bytes, 1, T0 + 3 * W, NULL));
    assert_true(was_marked(q, key));
    for (int i = 0; i < 2; i++) {
        assert_code(0, quipu_take_at(q, key, bytes, 1, T0 + 3 * W, NULL));
        assert_true(was_marked(q, key));
        assert_code(0, quipu_counter_take_at(&handle, 1, T0 + 3 * W, NULL));
        assert_true(was_marked(q, key));
    }
    assert_code(1, quipu_take_at(q, key, bytes, 100, T0 + 3 * W, NULL));
    assert_code(1, quipu_counter_take_at(&handle, 100, T0 + 3 * W, NULL));
    assert_false(was_marked(q, key));
    quipu_counter_close(&handle);
}

static void test_takes_mark_and_refusals_and_refunds_do_not(void **state)
{
    (void)state;
    struct quipu *q = open_told();
    take_marks(q, "f:1");
    quipu_close(q);
    q = open_told();
    take_marks(q, "s:1");
    quipu_close(q);
}

static void test_many_at_once_mark_what_was_charged(void **state)
{
    (void)state;
    struct quipu *q = open_told();
    struct quipu_request r[2] = {{.struct_bytes = sizeof *r, .key = "f:1", .key_bytes = 3, .n = 1},
                                 {.struct_bytes = sizeof *r, .key = "f:2", .key_bytes = 3, .n = 100}};
    assert_code(0, quipu_take_at(q, KEY("f:1"), 1, T0, NULL));
    assert_code(0, quipu_take_at(q, KEY("f:2"), 1, T0, NULL));
    q->view.marks[0] = q->view.mark_summary[0] = 0;
    assert_code(1, quipu_take_many_at(q, r, 2, T0)); /* the second refuses, before the first is charged */
    assert_false(was_marked(q, "f:1"));
    assert_code(0, quipu_take_many_at(q, r, 1, T0));
    assert_true(was_marked(q, "f:1"));
    quipu_close(q);
}

static void test_what_is_of_this_host_alone_marks_nothing(void **state)
{
    (void)state;
    struct quipu *q = open_told();
    struct quipu_ticket ticket;
    assert_code(0, quipu_take_at(q, KEY("b:1"), 1, T0, NULL));
    assert_code(0, quipu_enter(q, KEY("i:1"), &ticket));
    q->view.marks[0] = q->view.mark_summary[0] = 0; /* as new keys */
    assert_code(0, quipu_take_at(q, KEY("b:1"), 1, T0, NULL));
    assert_code(0, quipu_add_at(q, KEY("b:1"), 1, T0));
    assert_code(0, quipu_leave(q, &ticket));
    assert_code(0, quipu_enter(q, KEY("i:1"), &ticket));
    assert_code(0, quipu_leave(q, &ticket));
    assert_false(was_marked(q, "b:1"));
    assert_false(was_marked(q, "i:1"));
    quipu_close(q);
}

static void test_without_an_agent_nobody_marks(void **state)
{
    (void)state;
    struct quipu *q = open_told();
    q->view.header->gossip = 0;
    assert_code(0, quipu_add_at(q, KEY("c"), 1, T0));
    assert_code(0, quipu_add_at(q, KEY("c"), 1, T0));
    assert_code(0, quipu_take_at(q, KEY("f:1"), 1, T0, NULL));
    assert_code(0, quipu_take_at(q, KEY("f:1"), 1, T0, NULL));
    assert_code(0, quipu_reset(q, KEY("f:1"), NULL));
    assert_code(0, quipu_set(q, KEY("r"), 1));
    assert_false(was_marked(q, "c"));
    assert_int_equal(0, api_stat(q).marks + api_stat(q).gossip);
    api_close(q);
}

static void test_stat_counts_what_an_agent_leaves(void **state)
{
    (void)state;
    struct quipu *q = open_told();
    struct qp_ledger *ledger = q->view.ledger;
    ledger->sequence = 41;
    ledger->replica[0].id = q->view.replica; /* ourselves */
    ledger->replica[1].id = 7;
    ledger->replica[2].id = 8;
    ledger->replica[2].flags = QP_REPLICA_RETIRED;
    q->view.graves[3].hash = 9;
    assert_code(0, quipu_add(q, KEY("a"), 1));
    assert_code(0, quipu_add(q, KEY("b"), 1));
    assert_code(0, quipu_set(q, KEY("r"), 1));
    assert_code(0, quipu_take_at(q, KEY("f:1"), 1, T0, NULL));
    assert_code(0, quipu_delete(q, KEY("a"), NULL));
    assert_code(0, quipu_delete(q, KEY("r"), NULL));
    assert_code(0, quipu_delete(q, KEY("f:1"), NULL));
    struct quipu_stat stat = api_stat(q);
    assert_int_equal(1, stat.gossip);
    assert_int_equal(2, stat.replicas);
    assert_int_equal(1, stat.replicas_retired);
    assert_int_equal(41, stat.stream_sequence);
    assert_int_equal(3, stat.counters_deleted);
    assert_int_equal(3, stat.tombstones_waiting); /* a window's until it is over */
    assert_int_equal(1, stat.graves);
    assert_int_equal(4, stat.marks);
    quipu_close(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_add_marks_its_key),
        cmocka_unit_test(test_what_changes_nothing_marks_nothing),
        cmocka_unit_test(test_sets_resets_and_deletes_mark),
        cmocka_unit_test(test_takes_mark_and_refusals_and_refunds_do_not),
        cmocka_unit_test(test_many_at_once_mark_what_was_charged),
        cmocka_unit_test(test_what_is_of_this_host_alone_marks_nothing),
        cmocka_unit_test(test_without_an_agent_nobody_marks),
        cmocka_unit_test(test_stat_counts_what_an_agent_leaves),
    };
    return cmocka_run_group_tests_name("marks by the public calls", tests, NULL, NULL);
}
