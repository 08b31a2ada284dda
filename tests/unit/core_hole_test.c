/* SPDX-License-Identifier: MIT */
/* core_hole_test.c: what a host has refused of a stream is neither claimed to be known nor taken to be deleted: not
 * because of a grave of something else, not after a snapshot, and not by the next agent. */
#include "core_unit.h"

#define FORGET_MS 20000u
#define MANY 1000 /* refusals: till the test ends them */

static void begin(struct rig *rig, unsigned hosts)
{
    rig_begin(rig, hosts, NULL);
    rig->config.tombstone_grace_ms = 500;
    rig->config.forget_after_ms = FORGET_MS;
    rig->config.digest_ms = 500;
    rig_begin_again(rig);
}

/* What host 1's ledger says of host 0. */
static const struct qp_replica *origin_at_1(struct rig *rig)
{
    return &rig->core[1]->ledger->replica[qp_replica_find(rig->core[1], rig_replica(0))];
}

static uint64_t claimed_by_1(struct rig *rig)
{
    return qp_replica_knowledge(rig->core[1], rig_replica(0));
}

/* ---- graves ------------------------------------------------------------------------------------------------------------------- */

/* Host 0 is lost; host 2, which has what host 1 has refused, was asleep and takes its snapshot from host 1. */
static void lose_the_origin(struct rig *rig, const char *key, int64_t total)
{
    rig_kill(rig, 0);
    sim_store_refuse(rig->store[1], 0);
    rig_rounds(rig, 3);
    qp_join_fence(rig->core[2], NULL);
    rig_rounds(rig, 60);
    assert_true(rig->core[2]->ledger->joined);
    assert_int_equal(rig_total(rig, 1, key), total);
    assert_int_equal(rig_total(rig, 2, key), total);
}

/* The key was deleted, collected and made anew. Somebody said the old tombstone, so the grave is told once more. */
static void a_grave_does_not_pay_for_what_was_made_since(void **unused)
{
    (void)unused;
    struct rig rig;
    int64_t ended;
    uint64_t floor, hash = qp_wire_key_hash("a", 1);
    begin(&rig, 3);
    rig_add(&rig, 0, "a", 1);
    rig_rounds(&rig, 5);
    assert_int_equal(sim_store_delete(rig.store[0], "a", 1, rig.now_ms, &ended), 0);
    for (unsigned i = 0; i < 60; i++) {
        rig_rounds(&rig, 1);
        for (unsigned host = 0; host < 3; host++)
            sim_store_upkeep(rig.store[host], rig.now_ms);
    }
    assert_int_equal(sim_store_held(rig.store[0]), 0);
    assert_true(qp_grave_find(rig.core[0], hash, false, &floor));
    sim_store_refuse(rig.store[1], MANY);
    rig_add(&rig, 0, "a", 5);
    rig_rounds(&rig, 1);
    uint64_t hole = origin_at_1(&rig)->hole;
    assert_true(hole != 0);
    qp_grave_dig(rig.core[0], hash, false, floor, true);
    rig_rounds(&rig, 1);
    assert_int_equal(origin_at_1(&rig)->hole, hole);
    assert_true(claimed_by_1(&rig) < hole);
    lose_the_origin(&rig, "a", 5);
    rig_end(&rig);
}

static void a_registers_grave_does_not_pay_for_a_counter(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 3);
    sim_store_refuse(rig.store[1], MANY);
    rig_add(&rig, 0, "a", 5);
    rig_rounds(&rig, 1);
    uint64_t hole = origin_at_1(&rig)->hole;
    assert_true(hole != 0);
    qp_grave_dig(rig.core[0], qp_wire_key_hash("a", 1), true, rig.now_ms << 16, true);
    rig_rounds(&rig, 1);
    assert_int_equal(rig.core[1]->figures.graves, 1); /* it was heard */
    assert_int_equal(origin_at_1(&rig)->hole, hole);
    lose_the_origin(&rig, "a", 5);
    rig_end(&rig);
}

/* ---- snapshots ------------------------------------------------------------------------------------------------------------------ */

enum { GIVER_IS_DEAF = 1, ORIGIN_IS_MUTE = 2 };

/* Hosts 0 and 2 do not hear each other; host 1 does not hear the deltas of host 0. */
static unsigned fate_of_a_snapshot(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes,
                                   size_t count)
{
    (void)bytes, (void)count;
    if ((from == 0 && to == 2) || (from == 2 && to == 0))
        return !(rig->arg & GIVER_IS_DEAF);
    return !(from == 0 && to == 1 && head->type == QP_FRAME_DELTA && (rig->arg & ORIGIN_IS_MUTE));
}

/* Host 0 has heard of the refusal, as an empty delta of it says: from now on it is no longer asked for. */
static void confirm_refusal(struct rig *rig)
{
    static uint8_t bytes[QP_FRAME_BYTES_MIN];
    struct qp_frame frame;
    struct qp_wire_writer writer;
    rig_frame(rig, 0, &frame, QP_FRAME_DELTA);
    frame.base = frame.upto = frame.mark = rig_peer(rig, 0, 1)->acked;
    qp_wire_begin(&writer, bytes, sizeof bytes, &frame);
    size_t count = qp_wire_end(&writer, &frame, NULL);
    qp_core_on_message(rig->core[1], rig_peer(rig, 1, 0)->number, bytes, count, rig->now_ms);
}

/* The giver knows the stream as far as our ledger does, and not what was refused behind that. */
static void a_snapshot_closes_no_hole_that_it_does_not_reach(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 4);
    rig_add(&rig, 0, "x", 1);
    rig_rounds(&rig, 20);
    rig_assert_all(&rig, "x", 1);
    rig.fate = fate_of_a_snapshot;
    rig.arg = GIVER_IS_DEAF;
    sim_store_refuse(rig.store[1], 1);
    rig_add(&rig, 0, "a", 5);
    rig_rounds(&rig, 1);
    uint64_t refused = origin_at_1(&rig)->hole;
    assert_int_equal(refused, rig.core[0]->ledger->sequence);
    assert_int_equal(origin_at_1(&rig)->knowledge, refused - 1);
    rig.arg |= ORIGIN_IS_MUTE;
    rig_peer(&rig, 1, 3)->joined = false; /* so that host 2 gives */
    qp_join_fence(rig.core[1], rig_peer(&rig, 1, 2));
    rig_rounds(&rig, 3);
    assert_true(rig.core[1]->ledger->joined);
    confirm_refusal(&rig);
    assert_int_equal(origin_at_1(&rig)->knowledge, refused);
    assert_int_equal(rig_total(&rig, 1, "a"), 0);
    assert_true(claimed_by_1(&rig) < refused);
    rig.arg = 0;
    rig_rounds(&rig, 100);
    rig_assert_all(&rig, "a", 5);
    assert_int_equal(origin_at_1(&rig)->hole, 0);
    rig_end(&rig);
}

/* Host 1 alone has heard of "a" when host 0 is lost. Its agent is away for so long that the next one takes a snapshot
 * of host 2, which knows no more than what was before the hole. */
static void what_was_heard_is_kept(bool has_refused)
{
    struct rig rig;
    begin(&rig, 3);
    rig_add(&rig, 0, "x", 1);
    rig_rounds(&rig, 20);
    rig.fate = fate_of_a_snapshot;
    rig.arg = GIVER_IS_DEAF;
    if (has_refused)
        sim_store_refuse(rig.store[1], 1);
    rig_add(&rig, 0, "refused", 1);
    rig_rounds(&rig, 1);
    assert_int_equal(origin_at_1(&rig)->hole != 0, has_refused);
    rig_add(&rig, 0, "a", 5);
    rig_rounds(&rig, has_refused ? 1 : 4); /* before it is said again */
    assert_int_equal(rig_total(&rig, 1, "a"), 5);
    assert_int_equal(rig_total(&rig, 1, "refused"), !has_refused);
    rig_kill(&rig, 0);
    rig_kill(&rig, 1);
    rig_rounds(&rig, FORGET_MS / 100 + 50);
    rig_start(&rig, 1);
    assert_false(rig.core[1]->ledger->joined);
    rig_rounds(&rig, 50);
    assert_true(rig.core[1]->ledger->joined);
    assert_int_equal(rig_total(&rig, 1, "a"), 5);
    assert_int_equal(rig_total(&rig, 1, "x"), 1);
    rig_end(&rig);
}

static void what_was_heard_outlives_the_agent(void **unused)
{
    (void)unused;
    what_was_heard_is_kept(false);
}

static void what_was_heard_beyond_a_hole_outlives_the_agent(void **unused)
{
    (void)unused;
    what_was_heard_is_kept(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_grave_does_not_pay_for_what_was_made_since),
        cmocka_unit_test(a_registers_grave_does_not_pay_for_a_counter),
        cmocka_unit_test(a_snapshot_closes_no_hole_that_it_does_not_reach),
        cmocka_unit_test(what_was_heard_outlives_the_agent),
        cmocka_unit_test(what_was_heard_beyond_a_hole_outlives_the_agent),
    };
    return cmocka_run_group_tests_name("core_hole", tests, NULL, NULL);
}
