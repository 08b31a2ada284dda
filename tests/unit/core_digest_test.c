/* SPDX-License-Identifier: MIT */
/* core_digest_test.c: hosts that hold the same find that out and stay silent; a difference that nobody can explain is
 * found and mended, by the origin if it is there. */
#include "core_unit.h"

#include <stdio.h>

static void delete_points(struct qp_state *state, uint64_t replica)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < state->point_count; i++)
        if (state->point[i].replica != replica)
            state->point[kept++] = state->point[i];
    state->point_count = kept;
}

/* What is done to a block behind the core's back. */
struct forgery {
    uint64_t replica;
    int64_t count; /* of its point; -1: it is taken away */
};

static int forge_edit(struct qp_state *state, void *arg)
{
    const struct forgery *forgery = arg;
    if (forgery->count < 0) {
        delete_points(state, forgery->replica);
        return QP_EDIT_PUBLISH;
    }
    for (uint32_t i = 0; i < state->point_count; i++)
        if (state->point[i].replica == forgery->replica)
            state->point[i].count = (uint64_t)forgery->count;
    return QP_EDIT_PUBLISH;
}

static void forge(struct rig *rig, unsigned host, const char *key, uint64_t replica, int64_t count)
{
    struct forgery forgery = {replica, count};
    struct qp_store store = sim_store_interface(rig->store[host]);
    uint32_t slot = store.ops->find(store.store, key, strlen(key));
    assert_int_not_equal(slot, 0);
    rig_kill(rig, host);
    assert_int_equal(store.ops->update(store.store, slot, forge_edit, &forgery), QP_EDIT_PUBLISH);
    rig_start(rig, host);
}

static void begin(struct rig *rig, unsigned hosts, const struct sim_store_config *store)
{
    rig_begin(rig, hosts, store);
    rig->config.digest_ms = 500;
    rig_begin_again(rig);
}

static void who_holds_the_same_asks_nothing(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 3, NULL);
    for (unsigned i = 0; i < 60; i++) {
        rig_add(&rig, i % 3, i % 2 ? "a" : "b", i);
        if (i % 9 == 0)
            assert_int_equal(sim_store_set(rig.store[i % 3], "word", 4, i, rig.now_ms), 0);
        rig_rounds(&rig, 3);
    }
    rig_rounds(&rig, 100);
    assert_true(rig.sent[QP_FRAME_DIGEST] > 100);
    assert_int_equal(rig.sent[QP_FRAME_REPAIR_REQUEST], 0);
    for (unsigned i = 1; i < 3; i++)
        assert_false(rig_peer(&rig, 0, i)->figures.digest_differs);
    rig_assert_all(&rig, "a", 900);
    rig_end(&rig);
}

static void what_is_lost_comes_back_from_its_origin(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 3, NULL);
    rig_add(&rig, 0, "a", 7);
    rig_add(&rig, 1, "a", 1);
    rig_add(&rig, 0, "b", 9);
    rig_rounds(&rig, 5);
    forge(&rig, 1, "a", rig_replica(0), -1);
    assert_int_equal(rig_total(&rig, 1, "a"), 1);
    rig_rounds(&rig, 80);
    rig_assert_all(&rig, "a", 8);
    rig_assert_all(&rig, "b", 9);
    assert_true(rig.core[1]->figures.repairs > 0);
    assert_int_equal(rig.core[2]->figures.repairs, 0);
    rig_end(&rig);
}

static void what_the_origin_never_said_goes(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 2, NULL);
    rig_add(&rig, 0, "a", 7);
    rig_rounds(&rig, 5);
    forge(&rig, 1, "a", rig_replica(0), 1000); /* better than what the origin says: no merge would take that instead */
    assert_int_equal(rig_total(&rig, 1, "a"), 1000);
    rig_rounds(&rig, 80);
    rig_assert_all(&rig, "a", 7);
    rig_end(&rig);
}

static unsigned no_repair_of_1(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)rig, (void)from, (void)bytes, (void)count;
    return head->type != QP_FRAME_REPAIR || to != 1;
}

static void when_the_origin_is_gone_a_relay_adds(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 3, NULL);
    rig_add(&rig, 0, "a", 7);
    assert_int_equal(sim_store_set(rig.store[0], "word", 4, 42, rig.now_ms), 0);
    rig_rounds(&rig, 5);
    rig_kill(&rig, 0);
    forge(&rig, 1, "a", rig_replica(0), -1);
    rig.fate = no_repair_of_1;
    rig_rounds(&rig, 60);
    assert_true(rig.sent[QP_FRAME_REPAIR] > 0);
    assert_int_equal(rig_total(&rig, 2, "a"), 7); /* who has it does not drop it for one who lacks it */
    rig.fate = NULL;
    rig_rounds(&rig, 200);
    assert_int_equal(rig_total(&rig, 1, "a"), 7);
    assert_int_equal(rig_total(&rig, 2, "a"), 7); /* who has it keeps it */
    assert_true(rig.core[1]->figures.repairs > 0);
    int in_1 = qp_replica_find(rig.core[1], rig_replica(0)), in_2 = qp_replica_find(rig.core[2], rig_replica(0));
    assert_int_equal(qp_core_digest(rig.core[1], (uint32_t)in_1), qp_core_digest(rig.core[2], (uint32_t)in_2));
    rig_end(&rig);
}

/* A relay's word on who is away is no difference of the relay's any more when that one is back. */
static void what_was_relayed_is_the_origins_again(void **unused)
{
    (void)unused;
    struct rig rig;
    struct qp_peer_figures figures;
    begin(&rig, 3, NULL);
    rig_add(&rig, 0, "a", 7);
    rig_rounds(&rig, 5);
    rig_kill(&rig, 0);
    forge(&rig, 1, "a", rig_replica(0), -1);
    rig.fate = no_repair_of_1;
    rig_rounds(&rig, 60);
    assert_true(qp_core_peer_figures(rig.core[1], rig_peer(&rig, 1, 2)->number, &figures));
    assert_int_equal(figures.digest, QP_DIGEST_DIFFERS);
    rig_start(&rig, 0);
    rig.fate = NULL;
    rig_rounds(&rig, 60);
    assert_true(qp_core_peer_figures(rig.core[1], rig_peer(&rig, 1, 2)->number, &figures));
    assert_int_equal(figures.digest, QP_DIGEST_EQUAL);
    rig_end(&rig);
}

static int put_back(struct qp_state *state, void *arg)
{
    const struct qp_state *former = arg;
    *state = *former;
    return QP_EDIT_PUBLISH;
}

/* Host 1 has done with a tombstone, and then what that ended comes back to it, as from a file: who still has the
 * tombstone says it again, and it is news once more. Host 0, whose points these are, is gone, and so is host 3, who
 * deleted them. above: the file is of a day on which they had been counted again, so many epochs above the floor of
 * that tombstone, by a clock that was behind: its version ends them all the same. ahead_ms: they were counted by a clock
 * that was so much ahead: its floor ends them. */
static void what_a_tombstone_ended_ends_again(const char *key, uint64_t above, uint64_t ahead_ms)
{
    static struct qp_state former;
    struct rig rig;
    int64_t ended;
    begin(&rig, 4, NULL);
    if (strcmp(key, "word") == 0)
        assert_int_equal(sim_store_set(rig.store[0], key, strlen(key), 42, rig.now_ms), 0);
    else
        rig_add(&rig, 0, key, 7);
    rig_rounds(&rig, 5);
    rig_kill(&rig, 0);
    struct qp_store store = sim_store_interface(rig.store[1]);
    uint32_t slot = store.ops->find(store.store, key, strlen(key));
    former = *sim_store_look(rig.store[1], key, strlen(key));
    assert_int_equal(sim_store_delete(rig.store[3], key, strlen(key), rig.now_ms, &ended), 0);
    rig_rounds(&rig, 5);
    assert_int_equal(rig_total(&rig, 1, key), 0);
    rig_kill(&rig, 3);
    rig_kill(&rig, 1);
    former.own[0].epoch += above;
    for (uint32_t i = 0; i < former.point_count; i++) {
        former.point[i].epoch += above;
        former.point[i].timestamp += ahead_ms << 16;
    }
    assert_int_equal(store.ops->update(store.store, slot, put_back, &former), QP_EDIT_PUBLISH);
    rig_start(&rig, 1);
    assert_int_not_equal(rig_total(&rig, 1, key), 0);
    rig_rounds(&rig, 200);
    assert_int_equal(rig_total(&rig, 1, key), 0);
    assert_int_equal(rig_total(&rig, 2, key), 0);
    rig_end(&rig);
}

static void a_counter_that_was_ended_ends_again(void **unused)
{
    (void)unused;
    what_a_tombstone_ended_ends_again("a", 0, 0);
    what_a_tombstone_ended_ends_again("a", 2, 0);
    what_a_tombstone_ended_ends_again("a", 0, 5000);
}

static void a_register_that_was_ended_ends_again(void **unused)
{
    (void)unused;
    what_a_tombstone_ended_ends_again("word", 0, 0);
}

static unsigned wrong_ranges(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)from, (void)to, (void)bytes, (void)count;
    if (head->type == QP_FRAME_REPAIR) {
        rig->arg++;
        assert_true(head->cursor_next - 1 >= head->cursor && head->cursor >> 56 == head->range);
    }
    return 1;
}

/* Keys of one range, with so long names that they do not fit into one frame. */
static void a_large_range_comes_in_parts(void **unused)
{
    (void)unused;
    enum { KEYS = 80, LENGTH = 900 };
    static char key[KEYS][LENGTH + 1];
    struct sim_store_config config = {.slots = 2 * KEYS};
    struct rig rig;
    begin(&rig, 2, &config);
    rig.config.frame_bytes_max = QP_FRAME_BYTES_MIN;
    for (unsigned i = 0; i < 2; i++) {
        rig_kill(&rig, i);
        rig_start(&rig, i);
    }
    for (unsigned i = 0, n = 0; i < KEYS; n++) {
        memset(key[i], 'k', LENGTH);
        snprintf(key[i], 16, "%u", n);
        key[i][strlen(key[i])] = '.';
        if (qp_wire_key_range(qp_wire_key_hash(key[i], LENGTH)) == 255)
            i++;
    }
    for (unsigned i = 0; i < KEYS; i++)
        rig_add(&rig, 0, key[i], i + 1);
    rig_rounds(&rig, 20);
    rig_kill(&rig, 1);
    struct qp_store store = sim_store_interface(rig.store[1]);
    struct forgery forgery = {rig_replica(0), -1}, wrong = {rig_replica(0), 10000};
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(store.ops->update(store.store, store.ops->find(store.store, key[i], LENGTH), forge_edit,
                                           i % 3 ? &forgery : &wrong),
                         QP_EDIT_PUBLISH);
    rig_start(&rig, 1);
    rig.fate = wrong_ranges;
    rig_rounds(&rig, 100);
    assert_true(rig.arg >= 3);
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(rig_total(&rig, 1, key[i]), i + 1);
    rig_end(&rig);
}

/* As if somebody had spoken in the origin's name, or its segment had come back from a former day. */
static void who_knows_more_than_there_is_hears_anew(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 2, NULL);
    rig_add(&rig, 0, "a", 7);
    rig_rounds(&rig, 5);
    rig_kill(&rig, 1);
    rig_kill(&rig, 0);
    struct qp_store store = sim_store_interface(rig.store[1]);
    assert_int_equal(store.ops->ledger(store.store)->replica[1].id, rig_replica(0));
    store.ops->ledger(store.store)->replica[1].knowledge = 100;
    rig_start(&rig, 0);
    rig_start(&rig, 1);
    rig_add(&rig, 0, "a", 1);
    rig_add(&rig, 1, "b", 1);
    rig_rounds(&rig, 50);
    rig_assert_all(&rig, "a", 8);
    rig_assert_all(&rig, "b", 1);
    rig_end(&rig);
}

/* In the middle of both agents' lives: as when a giver had been lied to. */
static void who_is_told_of_more_than_there_is_hears_anew(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 2, NULL);
    rig_add(&rig, 0, "a", 3);
    rig_rounds(&rig, 20);
    int index = qp_replica_find(rig.core[1], rig_replica(0));
    rig.core[1]->ledger->replica[index].knowledge = 1000;
    rig_add(&rig, 0, "b", 3);
    rig_rounds(&rig, 100);
    rig_assert_all(&rig, "a", 3);
    rig_assert_all(&rig, "b", 3);
    assert_int_equal(rig.core[1]->ledger->replica[index].knowledge, rig.core[0]->ledger->sequence);
    rig_end(&rig);
}

#define HELD_MAX 32

static struct {
    uint8_t bytes[QP_FRAME_BYTES_MIN];
    size_t count;
} held[HELD_MAX];

static unsigned no_digest_of_0(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)rig, (void)to, (void)bytes, (void)count;
    return head->type != QP_FRAME_DIGEST || from != 0;
}

static unsigned hold_a_digest(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    if (no_digest_of_0(rig, from, to, head, bytes, count))
        return 1;
    assert_true(count <= sizeof held[0].bytes);
    memcpy(held[0].bytes, bytes, count);
    held[0].count = count;
    rig->arg++;
    return 0;
}

/* A digest that was overtaken says nothing, however often that happens. */
static void a_late_digest_begins_nothing_anew(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 2, NULL);
    rig_add(&rig, 0, "a", 1);
    rig_rounds(&rig, 20);
    for (unsigned i = 0; i < 6; i++) {
        rig.fate = hold_a_digest;
        for (rig.arg = 0; rig.arg == 0;)
            rig_rounds(&rig, 1);
        rig.fate = no_digest_of_0;
        rig_add(&rig, 0, "a", 1);
        rig_rounds(&rig, 2);
        qp_core_on_message(rig.core[1], rig_peer(&rig, 1, 0)->number, held[0].bytes, held[0].count, rig.now_ms);
        assert_int_equal(qp_stream_mark(rig.core[1], rig_peer(&rig, 1, 0)), rig.core[0]->ledger->sequence);
    }
    rig_end(&rig);
}

static unsigned hold_repairs(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)from, (void)to;
    if (head->type != QP_FRAME_REPAIR)
        return 1;
    assert_true(rig->arg < HELD_MAX && count <= sizeof held[0].bytes);
    memcpy(held[rig->arg].bytes, bytes, count);
    held[rig->arg++].count = count;
    return 0;
}

/* The last one comes first: it says nothing about the others. */
static void repairs_may_overtake_each_other(void **unused)
{
    (void)unused;
    enum { KEYS = 12 };
    struct rig rig;
    char key[8];
    begin(&rig, 2, NULL);
    for (unsigned i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "k%u", i);
        rig_add(&rig, 0, key, i + 1);
    }
    rig_rounds(&rig, 5);
    for (unsigned i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "k%u", i);
        forge(&rig, 1, key, rig_replica(0), -1);
    }
    rig.fate = hold_repairs;
    while (rig.arg == 0)
        rig_rounds(&rig, 1);
    rig_rounds(&rig, KEYS);
    assert_int_equal(rig.sent[QP_FRAME_REPAIR_REQUEST], 1);
    assert_true(rig.arg > 3);
    while (rig.arg--) {
        qp_core_on_message(rig.core[1], rig_peer(&rig, 1, 0)->number, held[rig.arg].bytes, held[rig.arg].count, rig.now_ms);
        rig.now_ms += 100;
        qp_core_on_tick(rig.core[1], rig.now_ms);
    }
    for (unsigned i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(rig_total(&rig, 1, key), i + 1);
    }
    rig_end(&rig);
}

/* Nobody can repair what he was not asked about, nor us in what we said ourselves. */
static void an_unasked_repair_is_nothing(void **unused)
{
    (void)unused;
    struct rig rig;
    static uint8_t bytes[QP_FRAME_BYTES_MIN];
    begin(&rig, 2, NULL);
    rig_add(&rig, 0, "a", 7);
    rig_add(&rig, 1, "a", 7);
    rig_rounds(&rig, 50);
    for (unsigned origin = 0; origin < 2; origin++) {
        for (unsigned range = 0; range < QP_KEY_RANGES; range++) {
            struct qp_frame frame;
            struct qp_wire_writer writer;
            rig_frame(&rig, 1, &frame, QP_FRAME_REPAIR);
            frame.origin = rig_replica(origin);
            frame.upto = QP_SEQUENCE_MAX;
            frame.range = range;
            frame.cursor = (uint64_t)range << 56;
            frame.cursor_next = frame.cursor + (UINT64_C(1) << 56);
            qp_wire_begin(&writer, bytes, sizeof bytes, &frame);
            qp_core_on_message(rig.core[0], 0, bytes, qp_wire_end(&writer, &frame, NULL), rig.now_ms);
        }
    }
    rig_assert_all(&rig, "a", 14);
    assert_int_equal(rig.core[0]->figures.repairs, 0);
    assert_true(rig_peer(&rig, 0, 1)->figures.refused[QP_REFUSED_FOREIGN] > 0);
    rig_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_holds_the_same_asks_nothing),
        cmocka_unit_test(what_is_lost_comes_back_from_its_origin),
        cmocka_unit_test(what_the_origin_never_said_goes),
        cmocka_unit_test(when_the_origin_is_gone_a_relay_adds),
        cmocka_unit_test(what_was_relayed_is_the_origins_again),
        cmocka_unit_test(a_counter_that_was_ended_ends_again),
        cmocka_unit_test(a_register_that_was_ended_ends_again),
        cmocka_unit_test(a_large_range_comes_in_parts),
        cmocka_unit_test(who_knows_more_than_there_is_hears_anew),
        cmocka_unit_test(who_is_told_of_more_than_there_is_hears_anew),
        cmocka_unit_test(a_late_digest_begins_nothing_anew),
        cmocka_unit_test(repairs_may_overtake_each_other),
        cmocka_unit_test(an_unasked_repair_is_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
