/* SPDX-License-Identifier: MIT */
/* core_refused_test.c: what a host refuses for want of room, time or kind is offered again, whoever is killed and
 * whatever is lost meanwhile. */
#include "core_unit.h"

/* The next thing that host 1 is told finds no room there. */
static void refuse_next(struct rig *rig, unsigned count)
{
    rig_rounds(rig, 3);
    sim_store_refuse(rig->store[1], count);
}

static uint64_t refused(struct rig *rig, enum qp_refusal why)
{
    return rig_peer(rig, 1, 0)->figures.refused[why];
}

static void what_finds_no_room_comes_again(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 2, NULL);
    refuse_next(&rig, 1);
    rig_add(&rig, 0, "a", 3);
    rig_rounds(&rig, 1);
    assert_int_equal(rig_total(&rig, 1, "a"), 0);
    assert_int_equal(refused(&rig, QP_REFUSED_FULL), 1);
    rig_rounds(&rig, 6);
    rig_assert_all(&rig, "a", 3);
    assert_int_equal(refused(&rig, QP_REFUSED_FULL), 1);
    assert_int_equal(rig_peer(&rig, 1, 0)->refused_count, 0);
    rig_end(&rig);
}

static unsigned no_acknowledgement(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes,
                                   size_t count)
{
    (void)to, (void)bytes, (void)count;
    if (head->type != QP_FRAME_ACK || from != 1)
        return 1;
    rig->arg++;
    return 0;
}

static void a_lost_acknowledgement_loses_no_refusal(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 2, NULL);
    refuse_next(&rig, 1);
    rig.fate = no_acknowledgement;
    rig_add(&rig, 0, "a", 3);
    rig_rounds(&rig, 1);
    rig_add(&rig, 0, "b", 3); /* another delta, and another acknowledgement, which does not get through either */
    rig_rounds(&rig, 1);
    assert_true(rig.arg >= 1);
    rig.fate = NULL;
    rig_rounds(&rig, 20);
    rig_assert_all(&rig, "a", 3);
    rig_end(&rig);
}

/* 0: the host that counts; 1: the one that refuses. Before it is heard of the refusal, or after. */
static void kill_between(unsigned host, bool heard)
{
    struct rig rig;
    rig_begin(&rig, 2, NULL);
    refuse_next(&rig, 1);
    rig.fate = heard ? NULL : no_acknowledgement;
    rig_add(&rig, 0, "a", 3);
    rig_rounds(&rig, 1); /* the refusal is told within the round; what it brings about waits for the next one */
    if (heard)
        rig_rounds(&rig, 1);
    assert_int_equal(rig_total(&rig, 1, "a"), 0);
    rig_kill(&rig, host);
    rig.fate = NULL;
    rig_start(&rig, host);
    rig_rounds(&rig, 20);
    rig_assert_all(&rig, "a", 3);
    rig_end(&rig);
}

static void a_kill_loses_no_refusal(void **unused)
{
    (void)unused;
    kill_between(0, false);
    kill_between(1, false);
    kill_between(0, true);
    kill_between(1, true);
}

/* More than can be remembered, and than one acknowledgement lists. */
static void many_refusals_take_turns(void **unused)
{
    (void)unused;
    struct rig rig;
    struct sim_store_config store = {.slots = 1001};
    rig_begin(&rig, 2, &store);
    refuse_next(&rig, 700);
    for (unsigned k = 0; k < 700; k++) {
        char key[16];
        snprintf(key, sizeof key, "key%u", k);
        rig_add(&rig, 0, key, k);
    }
    rig_rounds(&rig, 10);
    for (unsigned k = 0; k < 700; k++) {
        char key[16];
        snprintf(key, sizeof key, "key%u", k);
        assert_int_equal(rig_total(&rig, 1, key), k);
    }
    assert_true(refused(&rig, QP_REFUSED_FULL) >= 700);
    assert_int_equal(rig_peer(&rig, 1, 0)->refused_count, 0);
    assert_int_equal(rig.core[1]->ledger->replica[1].knowledge, rig.core[0]->ledger->sequence);
    rig_end(&rig);
}

/* Of another kind there: it stays so. The distance grows, others are not held up, and the other's knowledge does not
 * stop for good. */
static void another_kind_is_asked_more_and_more_seldom(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 3, NULL);
    assert_int_equal(sim_store_set(rig.store[1], "a", 1, 9, rig.now_ms), 0);
    rig_add(&rig, 0, "a", 3);
    rig_rounds(&rig, 100);
    uint64_t soon = refused(&rig, QP_REFUSED_KIND);
    assert_in_range(soon, 5, 9); /* after 1, 2, 4 ... rounds */
    rig_rounds(&rig, 1000);
    assert_in_range(refused(&rig, QP_REFUSED_KIND) - soon, 2, 12); /* repairs run into it too */
    assert_int_equal(rig_total(&rig, 1, "a"), 9);
    assert_true(rig.core[1]->ledger->replica[1].hole != 0);
    rig_add(&rig, 0, "b", 1);
    rig_rounds(&rig, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(rig_total(&rig, i, "b"), 1);
    assert_int_equal(rig.core[1]->ledger->replica[1].knowledge, rig.core[0]->ledger->sequence);
    rig_end(&rig);
}

/* Whether what host 1 lacks of host 0's stream may be more than what was deleted. */
static bool has_a_hole(struct rig *rig)
{
    return rig->core[1]->ledger->replica[1].hole != 0;
}

static void a_hole_closes_with_the_last_that_was_refused(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 2, NULL);
    rig_add(&rig, 0, "a", 1);
    rig_add(&rig, 0, "b", 1);
    refuse_next(&rig, 1);
    rig_add(&rig, 0, "a", 3);
    rig_rounds(&rig, 1);
    assert_true(has_a_hole(&rig));
    sim_store_refuse(rig.store[1], 100);
    rig_add(&rig, 0, "b", 3);
    rig_rounds(&rig, 1);
    sim_store_refuse(rig.store[1], 0);
    rig_add(&rig, 0, "a", 1);
    rig_rounds(&rig, 1);
    assert_int_equal(rig_total(&rig, 1, "a"), 5);
    assert_int_equal(rig_total(&rig, 1, "b"), 1);
    assert_true(has_a_hole(&rig)); /* b is owed */
    rig_rounds(&rig, 20);
    rig_assert_all(&rig, "b", 4);
    assert_false(has_a_hole(&rig));
    rig_end(&rig);
}

/* A new agent does not know what was refused before: it hears the stream from there on again. */
static void a_new_agent_hears_again_from_the_hole(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 2, NULL);
    rig_add(&rig, 0, "c", 1);
    rig_rounds(&rig, 3);
    sim_store_refuse(rig.store[1], 1000);
    rig_add(&rig, 0, "a", 3);
    rig_add(&rig, 0, "b", 3);
    rig_rounds(&rig, 6);
    const struct qp_replica *origin = &rig.core[1]->ledger->replica[1];
    assert_true(has_a_hole(&rig));
    assert_true(origin->knowledge >= origin->hole); /* host 0 knows what it owes */
    uint64_t hole = origin->hole;
    rig_kill(&rig, 1);
    sim_store_refuse(rig.store[1], 0);
    rig_start(&rig, 1);
    assert_int_equal(qp_stream_mark(rig.core[1], rig_peer(&rig, 1, 0)), hole - 1);
    rig_rounds(&rig, 2);
    assert_int_equal(rig_total(&rig, 1, "a"), 3);
    assert_int_equal(rig_total(&rig, 1, "b"), 3);
    rig_rounds(&rig, 30);
    rig_assert_all(&rig, "a", 3);
    assert_false(has_a_hole(&rig));
    assert_int_equal(origin->knowledge, rig.core[0]->ledger->sequence);
    rig_end(&rig);
}

static unsigned no_delta_of_0(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)rig, (void)to, (void)bytes, (void)count;
    return from != 0 || head->type != QP_FRAME_DELTA;
}

/* A configuration that is read again: what was refused is not confirmed yet, and the sender believes that it was all acknowledged. */
static void a_peer_that_is_dropped_and_added_hears_on(void **unused)
{
    (void)unused;
    struct rig rig;
    uint32_t number;
    rig_begin(&rig, 2, NULL);
    rig_add(&rig, 0, "a", 3);
    rig_rounds(&rig, 20);
    refuse_next(&rig, 1);
    rig_add(&rig, 0, "b", 3);
    rig_rounds(&rig, 1);
    rig.fate = no_delta_of_0;
    rig_rounds(&rig, 1);
    struct qp_peer_config config = rig_peer(&rig, 1, 0)->config;
    assert_true(rig_peer(&rig, 0, 1)->acked > rig.core[1]->ledger->replica[1].knowledge);
    qp_core_peer_drop(rig.core[1], 0);
    assert_int_equal(qp_core_peer_add(rig.core[1], &config, rig.now_ms, &number), 0);
    rig.fate = NULL;
    rig_rounds(&rig, 60);
    rig_add(&rig, 0, "c", 3);
    rig_rounds(&rig, 60);
    rig_assert_all(&rig, "b", 3);
    rig_assert_all(&rig, "c", 3);
    rig_end(&rig);
}

static struct sim_strategy limits(void *arg, const void *key, size_t key_bytes)
{
    (void)arg, (void)key, (void)key_bytes;
    return (struct sim_strategy){.kind = QP_KIND_LIMIT, .window_ms = 60000, .limit = 10};
}

/* Their windows judge them, and end: what is lacked of them says nothing of what was deleted. */
static void limits_make_no_holes(void **unused)
{
    (void)unused;
    struct rig rig;
    uint64_t epoch;
    struct sim_store_config store = {.strategy = limits};
    rig_begin(&rig, 2, &store);
    refuse_next(&rig, 1);
    assert_int_equal(sim_store_take(rig.store[0], "a", 1, 3, rig.now_ms, &epoch), 1);
    rig_rounds(&rig, 1);
    assert_int_equal(refused(&rig, QP_REFUSED_FULL), 1);
    assert_false(has_a_hole(&rig));
    rig_rounds(&rig, 5);
    assert_int_equal(rig_total(&rig, 1, "a"), 3);
    rig_end(&rig);
}

static int collect(struct qp_state *state, void *arg)
{
    (void)arg;
    state->collect = true;
    return QP_EDIT_PUBLISH;
}

/* A grave is all that there is to say of a key that was deleted for good before it was offered again. */
static void a_grave_closes_a_hole(void **unused)
{
    (void)unused;
    struct rig rig;
    int64_t ended;
    rig_begin(&rig, 2, NULL);
    struct qp_store store = sim_store_interface(rig.store[0]);
    rig_add(&rig, 0, "a", 3);
    rig_rounds(&rig, 3);
    sim_store_refuse(rig.store[1], 100);
    rig_add(&rig, 0, "a", 3);
    uint64_t hash = qp_wire_key_hash((const uint8_t *)"a", 1);
    assert_int_equal(sim_store_delete(rig.store[0], "a", 1, rig.now_ms, &ended), 0);
    rig_rounds(&rig, 1);
    assert_true(has_a_hole(&rig));
    store.ops->update(store.store, store.ops->find(store.store, "a", 1), collect, NULL);
    sim_store_upkeep(rig.store[0], rig.now_ms);
    assert_int_equal(sim_store_held(rig.store[0]), 0);
    qp_grave_dig(rig.core[0], hash, false, 0, true);
    rig_rounds(&rig, 2);
    assert_false(has_a_hole(&rig));
    rig_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_finds_no_room_comes_again),
        cmocka_unit_test(a_lost_acknowledgement_loses_no_refusal),
        cmocka_unit_test(a_kill_loses_no_refusal),
        cmocka_unit_test(many_refusals_take_turns),
        cmocka_unit_test(another_kind_is_asked_more_and_more_seldom),
        cmocka_unit_test(a_hole_closes_with_the_last_that_was_refused),
        cmocka_unit_test(a_new_agent_hears_again_from_the_hole),
        cmocka_unit_test(a_peer_that_is_dropped_and_added_hears_on),
        cmocka_unit_test(limits_make_no_holes),
        cmocka_unit_test(a_grave_closes_a_hole),
    };
    return cmocka_run_group_tests_name("core_refused", tests, NULL, NULL);
}
