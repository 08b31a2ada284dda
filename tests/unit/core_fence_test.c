/* SPDX-License-Identifier: MIT */
/* core_fence_test.c: hosts that were away too long, and come back with what was deleted meanwhile: they take a
 * snapshot before they speak, and nothing rises from the dead. */
#include "core_unit.h"

#define FORGET_MS 20000u

static void begin(struct rig *rig, unsigned hosts)
{
    rig_begin(rig, hosts, NULL);
    rig->config.tombstone_grace_ms = 300;
    rig->config.forget_after_ms = FORGET_MS;
    rig_begin_again(rig);
}

static bool has_joined(struct rig *rig, unsigned host)
{
    struct qp_core_figures figures;
    qp_core_figures(rig->core[host], &figures);
    return figures.joined;
}

static void delete(struct rig *rig, unsigned host, const char *key)
{
    int64_t ended;
    assert_int_equal(sim_store_delete(rig->store[host], key, strlen(key), rig->now_ms, &ended), 0);
}

/* The bits of arg are hosts: frames between those that have one and those that have not are lost. */
static unsigned cut(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)head, (void)bytes, (void)count;
    return (rig->arg >> from & 1) == (rig->arg >> to & 1);
}

static bool is_held(struct rig *rig, unsigned host, const char *key)
{
    return sim_store_look(rig->store[host], key, strlen(key)) != NULL;
}

static void assert_no_graves(struct rig *rig, unsigned host)
{
    for (uint32_t i = 0; i < rig->core[host]->grave_count; i++)
        assert_int_equal(rig->core[host]->graves[i].hash, 0);
}

/* Host 2 is cut off for longer than anything is remembered. */
static void long_parted(struct rig *rig)
{
    begin(rig, 3);
    rig_add(rig, 0, "a", 1);
    rig_add(rig, 1, "a", 2);
    rig_add(rig, 2, "a", 4);
    rig_add(rig, 2, "kept", 1);
    assert_int_equal(sim_store_set(rig->store[2], "word", 4, 7, rig->now_ms), 0);
    rig_pass(rig, 1000);
    rig_assert_all(rig, "a", 7);
    rig->fate = cut;
    rig->arg = 1 << 2;
    rig_pass(rig, 1000);
    delete(rig, 0, "a");
    delete(rig, 1, "word");
    rig_pass(rig, 3 * FORGET_MS);
    assert_false(is_held(rig, 0, "a") || is_held(rig, 1, "a") || is_held(rig, 0, "word"));
    assert_no_graves(rig, 0);
    assert_true(is_held(rig, 2, "a") && is_held(rig, 2, "word"));
    rig_add(rig, 2, "kept", 10);
    rig_add(rig, 2, "new", 5);
    rig_rounds(rig, 2);
}

static void who_comes_back_brings_nothing_back(void **unused)
{
    (void)unused;
    struct rig rig;
    long_parted(&rig);
    rig.fate = NULL;
    rig_pass(&rig, 12000);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(has_joined(&rig, i));
        assert_false(rig_is_there(&rig, i, "a") || rig_is_there(&rig, i, "word"));
    }
    rig_assert_all(&rig, "kept", 11);
    rig_assert_all(&rig, "new", 5);
    rig_add(&rig, 2, "a", 3); /* what was there before does not count with it */
    rig_add(&rig, 1, "a", 2);
    rig_pass(&rig, 1000);
    rig_assert_all(&rig, "a", 5);
    assert_true(rig.core[2]->figures.chunks_in > 0);
    rig_end(&rig);
}

static void who_was_killed_for_long_knows_it_by_itself(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 3);
    rig_add(&rig, 2, "a", 4);
    rig_pass(&rig, 1000);
    rig_kill(&rig, 2);
    delete(&rig, 0, "a");
    rig_pass(&rig, FORGET_MS + 1000);
    rig_add(&rig, 2, "a", 1); /* by a worker: there is no agent */
    rig.fate = cut;
    rig.arg = 1 << 2;
    rig_start(&rig, 2);
    rig_rounds(&rig, 100);
    assert_false(has_joined(&rig, 2)); /* silence is not enough for one who has spoken before */
    rig.fate = NULL;
    rig_pass(&rig, 12000);
    assert_true(has_joined(&rig, 2));
    rig_assert_all(&rig, "a", 1);
    rig_end(&rig);
}

/* Everybody was away: nobody has anything to say that another one lacks, and somebody has to begin. */
static void all_come_back_after_a_long_night(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 3);
    for (unsigned i = 0; i < 3; i++)
        rig_add(&rig, i, "a", 1);
    rig_pass(&rig, 1000);
    for (unsigned i = 0; i < 3; i++)
        rig_kill(&rig, i);
    rig.now_ms += 10 * FORGET_MS;
    for (unsigned i = 0; i < 3; i++) {
        rig_add(&rig, i, "a", 1);
        rig_start(&rig, i);
    }
    rig_pass(&rig, 12000);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(has_joined(&rig, i));
        assert_int_equal(rig.core[0]->ledger->replica[i].flags & QP_REPLICA_RETIRED, 0);
    }
    rig_assert_all(&rig, "a", 6);
    rig_end(&rig);
}

/* Both halves went on; what either has deleted is gone, what either has counted counts. */
static void halves_fence_each_other(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 4);
    for (unsigned i = 0; i < 4; i++) {
        rig_add(&rig, i, "a", 1);
        rig_add(&rig, i, "b", 1);
        rig_add(&rig, i, "c", 1);
    }
    rig_pass(&rig, 1000);
    rig.fate = cut;
    rig.arg = 3;
    rig_pass(&rig, 500);
    delete(&rig, 0, "a");
    delete(&rig, 3, "b");
    rig_add(&rig, 1, "c", 10);
    rig_add(&rig, 2, "c", 100);
    rig_pass(&rig, 3 * FORGET_MS);
    rig.fate = NULL;
    rig_pass(&rig, 30000);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(has_joined(&rig, i));
        assert_false(rig_is_there(&rig, i, "a") || rig_is_there(&rig, i, "b"));
        for (unsigned j = 0; j < 4; j++)
            assert_int_equal(rig.core[i]->ledger->replica[j].flags & QP_REPLICA_RETIRED, 0);
    }
    rig_assert_all(&rig, "c", 114);
    rig_end(&rig);
}

/* Of a snapshot that was broken off, what no stream has told us is not kept for good: nobody knew of us when it was
 * deleted. */
static void half_a_snapshot_leaves_nothing(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 2);
    rig_add(&rig, 0, "a", 1);
    rig_pass(&rig, 500);
    qp_join_fence(rig.core[1], NULL);
    struct qp_store store = sim_store_interface(rig.store[1]);
    struct qp_point point = {.epoch = 0, .count = 9, .timestamp = rig.now_ms << 16, .replica = rig_replica(0), .sequence = 900};
    struct qp_item item = {.key = (const uint8_t *)"b", .key_bytes = 1, .kind = QP_KIND_COUNTER, .point_count = 1, .point = &point};
    struct qp_merge_context context = {
        .self = rig.core[1]->self, .now_ms = rig.now_ms, .knowledge = qp_replica_knowledge, .arg = rig.core[1]};
    assert_int_equal(qp_key_merge(rig.core[1], &item, &context), QP_REFUSED_NOTHING);
    assert_int_not_equal(store.ops->find(store.store, "b", 1), 0);
    assert_int_equal(rig_total(&rig, 1, "b"), 9);
    rig_pass(&rig, 12000);
    assert_true(has_joined(&rig, 1));
    rig_assert_all(&rig, "b", 0);
    rig_assert_all(&rig, "a", 1);
    rig_end(&rig);
}

/* A peer that claims to know more of our stream than there is cannot be believed in anything. */
static unsigned forged_knowledge(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)count;
    if (head->type != QP_FRAME_CHUNK)
        return 1;
    rig->arg++;
    struct qp_wire_writer writer;
    static uint8_t forged[QP_FRAME_BYTES_MIN];
    struct qp_wire_record record = {.kind = QP_RECORD_KNOWLEDGE, .replica = rig->core[to]->self, .sequence = 5};
    head->flags |= QP_FRAME_LAST;
    qp_wire_begin(&writer, forged, sizeof forged, head);
    qp_wire_put(&writer, &record);
    record = (struct qp_wire_record){.kind = QP_RECORD_KNOWLEDGE, .replica = rig->core[from]->self, .sequence = 1};
    qp_wire_put(&writer, &record);
    size_t forged_bytes = qp_wire_end(&writer, head, NULL);
    assert_true(forged_bytes <= count);
    memcpy(bytes, forged, forged_bytes);
    memset(bytes + forged_bytes, 0, count - forged_bytes);
    qp_core_on_message(rig->core[to], from < to ? from : from - 1, forged, forged_bytes, rig->now_ms);
    return 0;
}

static void forged_knowledge_is_no_join(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 2);
    rig_add(&rig, 0, "a", 1);
    rig_kill(&rig, 1);
    rig_new_segment(&rig, 1, rig_replica(7));
    rig_pass(&rig, 12000); /* its former replica is silent by now */
    rig.fate = forged_knowledge;
    rig_start(&rig, 1);
    rig_rounds(&rig, 100);
    assert_true(rig.arg > 0);
    assert_false(has_joined(&rig, 1));
    assert_true(rig_peer(&rig, 1, 0)->figures.frames_bad > 0);
    rig.fate = NULL;
    rig_rounds(&rig, 100);
    assert_true(has_joined(&rig, 1));
    rig_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_comes_back_brings_nothing_back),
        cmocka_unit_test(who_was_killed_for_long_knows_it_by_itself),
        cmocka_unit_test(all_come_back_after_a_long_night),
        cmocka_unit_test(halves_fence_each_other),
        cmocka_unit_test(half_a_snapshot_leaves_nothing),
        cmocka_unit_test(forged_knowledge_is_no_join),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
