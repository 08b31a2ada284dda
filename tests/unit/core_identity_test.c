/* SPDX-License-Identifier: MIT */
/* core_identity_test.c: who speaks: a key's first replica is bound to it, another one replaces it only after a
 * silence, and what is not for us or cannot be is counted and changes nothing. */
#include "core_unit.h"

#include <errno.h>

static uint8_t bytes[QP_FRAME_BYTES_MIN];

/* Hands a frame to host 0 as one that came by that host's key. */
static void hand_over_by(struct rig *rig, unsigned host, const struct qp_frame *frame, const struct qp_wire_record *record)
{
    struct qp_wire_writer writer;
    qp_wire_begin(&writer, bytes, sizeof bytes, frame);
    if (record)
        assert_true(qp_wire_put(&writer, record));
    size_t count = qp_wire_end(&writer, frame, NULL);
    qp_core_on_message(rig->core[0], rig_peer(rig, 0, host)->number, bytes, count, rig->now_ms);
}

static void hand_over(struct rig *rig, const struct qp_frame *frame, const struct qp_wire_record *record)
{
    hand_over_by(rig, 1, frame, record);
}

static struct qp_wire_record item_of(uint64_t replica, uint64_t sequence, uint64_t count, struct qp_point *point, uint64_t now_ms)
{
    *point = (struct qp_point){.count = count, .timestamp = now_ms << 16, .replica = replica, .sequence = sequence};
    return (struct qp_wire_record){.kind = QP_RECORD_ITEM,
                                   .sequence = sequence,
                                   .item = {.key = (const uint8_t *)"a",
                                            .key_bytes = 1,
                                            .kind = QP_KIND_COUNTER,
                                            .point = point,
                                            .point_count = 1}};
}

/* A delta of host 1's that continues its stream; what is wrong with it is up to the caller. */
static void hand_over_delta(struct rig *rig, uint64_t sender, uint64_t incarnation, uint64_t cluster, uint64_t point_of)
{
    struct qp_frame frame;
    struct qp_point point;
    uint64_t mark = qp_stream_mark(rig->core[0], rig_peer(rig, 0, 1));
    rig_frame(rig, 1, &frame, QP_FRAME_DELTA);
    frame.base = mark;
    frame.upto = mark + 1;
    frame.sender = sender;
    frame.incarnation = incarnation;
    frame.cluster = cluster;
    struct qp_wire_record record = item_of(point_of, mark + 1, 1000, &point, rig->now_ms);
    hand_over(rig, &frame, &record);
}

static void a_frame_by_hand_is_taken(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 2, NULL);
    rig_rounds(&rig, 3);
    hand_over_delta(&rig, rig_replica(1), 1, rig.config.cluster, rig_replica(1));
    assert_int_equal(rig_total(&rig, 0, "a"), 1000);
    rig_end(&rig);
}

static void what_is_not_his_is_refused(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 3, NULL);
    rig_rounds(&rig, 3);
    const struct qp_peer_figures *figures = &rig_peer(&rig, 0, 1)->figures;
    hand_over_delta(&rig, rig_replica(2), 1, rig.config.cluster, rig_replica(2)); /* another key's replica */
    assert_int_equal(figures->conflicts, 1);
    hand_over_delta(&rig, rig_replica(0), 1, rig.config.cluster, rig_replica(0)); /* our own */
    assert_int_equal(figures->conflicts, 2);
    hand_over_delta(&rig, 0x9999, 1, rig.config.cluster, 0x9999); /* a second host with this key */
    assert_int_equal(figures->conflicts, 3);
    assert_int_equal(qp_replica_find(rig.core[0], 0x9999), -1);
    hand_over_delta(&rig, rig_replica(1), 1, rig.config.cluster + 1, rig_replica(1)); /* another cluster */
    assert_int_equal(figures->frames_bad, 1);
    hand_over_delta(&rig, rig_replica(1), 0, rig.config.cluster, rig_replica(1)); /* no agent */
    assert_int_equal(figures->frames_bad, 2);
    assert_int_equal(rig_total(&rig, 0, "a"), 0);
    hand_over_delta(&rig, rig_replica(1), 1, rig.config.cluster, rig_replica(2)); /* another replica's point */
    assert_int_equal(figures->refused[QP_REFUSED_FOREIGN], 1);
    assert_int_equal(rig_total(&rig, 0, "a"), 0);
    rig_end(&rig);
}

static void a_former_agent_is_not_heard(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 2, NULL);
    rig_rounds(&rig, 3);
    rig_kill(&rig, 1);
    rig_start(&rig, 1);
    rig_rounds(&rig, 3);
    hand_over_delta(&rig, rig_replica(1), 1, rig.config.cluster, rig_replica(1));
    assert_int_equal(rig_total(&rig, 0, "a"), 0);
    hand_over_delta(&rig, rig_replica(1), 2, rig.config.cluster, rig_replica(1));
    assert_int_equal(rig_total(&rig, 0, "a"), 1000);
    rig_end(&rig);
}

static void marks_of_what_was_never_said_are_refused(void **unused)
{
    (void)unused;
    struct rig rig;
    struct qp_frame frame;
    rig_begin(&rig, 2, NULL);
    rig_add(&rig, 0, "b", 1);
    rig_rounds(&rig, 3);
    uint64_t acked = rig_peer(&rig, 0, 1)->acked;
    rig_frame(&rig, 1, &frame, QP_FRAME_ACK);
    frame.origin = rig_replica(0);
    frame.mark = rig.core[0]->ledger->sequence + 1;
    hand_over(&rig, &frame, NULL);
    assert_int_equal(rig_peer(&rig, 0, 1)->acked, acked);
    assert_int_equal(rig_peer(&rig, 0, 1)->figures.frames_bad, 1);
    rig_add(&rig, 0, "b", 1);
    rig.now_ms += 100;
    qp_core_on_tick(rig.core[0], rig.now_ms);
    frame.mark = rig.core[0]->ledger->sequence;
    frame.origin = 0x9999; /* of a segment that we had before */
    hand_over(&rig, &frame, NULL);
    assert_int_equal(rig_peer(&rig, 0, 1)->acked, acked);
    rig_rounds(&rig, 3);
    rig_assert_all(&rig, "b", 2);
    rig_end(&rig);
}

/* Everything that arrives may be anything. */
static void noise_is_counted_and_forgotten(void **unused)
{
    (void)unused;
    struct rig rig;
    uint64_t seed = 5;
    rig_begin(&rig, 2, NULL);
    rig_add(&rig, 0, "a", 1);
    rig_rounds(&rig, 3);
    for (unsigned i = 0; i < 20000; i++) {
        struct qp_frame frame;
        struct qp_wire_writer writer;
        rig_frame(&rig, 1, &frame, 1 + i % (QP_FRAME_TYPE_END - 1));
        frame.version_max = QP_WIRE_VERSION;
        frame.origin = 1;
        qp_wire_begin(&writer, bytes, sizeof bytes, &frame);
        size_t count = qp_wire_end(&writer, &frame, NULL);
        seed = seed * UINT64_C(6364136223846793005) + 1;
        bytes[(seed >> 33) % count] ^= 1u << (seed >> 61);
        qp_core_on_message(rig.core[0], rig_peer(&rig, 0, 1)->number, bytes, (seed >> 20) % 3 ? count : count / 2, rig.now_ms);
    }
    assert_int_equal(rig_peer(&rig, 0, 1)->figures.frames_bad, 20000);
    qp_core_on_message(rig.core[0], 200, bytes, 10, rig.now_ms); /* no such peer */
    rig_add(&rig, 1, "a", 1);
    rig_rounds(&rig, 3);
    rig_assert_all(&rig, "a", 2);
    rig_end(&rig);
}

/* The host's counts in its former segment stay; its new one joins, after a silence that a living host does not keep. */
static void a_segment_made_anew_replaces_the_former_one(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 3, NULL);
    for (unsigned i = 0; i < 3; i++)
        rig_add(&rig, i, "a", 10);
    rig_rounds(&rig, 5);
    rig_kill(&rig, 2);
    rig_new_segment(&rig, 2, 0x7777);
    rig_start(&rig, 2);
    rig_add(&rig, 2, "a", 1);
    rig_rounds(&rig, 50);
    assert_int_equal(rig_total(&rig, 0, "a"), 30);
    assert_true(rig_peer(&rig, 0, 2)->figures.conflicts > 0);
    rig_rounds(&rig, 150);
    rig_assert_all(&rig, "a", 31);
    int former = qp_replica_find(rig.core[0], rig_replica(2));
    assert_true(former > 0 && (rig.core[0]->ledger->replica[former].flags & QP_REPLICA_REPLACED));
    struct qp_peer_figures figures;
    assert_true(qp_core_peer_figures(rig.core[0], rig_peer(&rig, 0, 2)->number, &figures));
    assert_int_equal(figures.replica, 0x7777);
    /* Who is bound is in the ledger. */
    rig_kill(&rig, 0);
    rig_start(&rig, 0);
    assert_true(qp_core_peer_figures(rig.core[0], rig_peer(&rig, 0, 2)->number, &figures));
    assert_int_equal(figures.replica, 0x7777);
    rig_add(&rig, 2, "a", 1);
    rig_rounds(&rig, 20);
    rig_assert_all(&rig, "a", 32);
    rig_end(&rig);
}

/* Host 1 says that it is host 2, and is the first one to say so to host 0. The others know better, and tell; and host
 * 1 cannot be two. */
static void a_name_that_was_taken_goes_back(void **unused)
{
    (void)unused;
    struct rig rig;
    struct qp_frame frame;
    rig_begin(&rig, 4, NULL);
    rig_frame(&rig, 1, &frame, QP_FRAME_HELLO);
    frame.sender = rig_replica(2);
    frame.version_max = QP_WIRE_VERSION;
    hand_over(&rig, &frame, NULL);
    struct qp_peer_figures figures;
    assert_true(qp_core_peer_figures(rig.core[0], rig_peer(&rig, 0, 1)->number, &figures));
    assert_int_equal(figures.replica, rig_replica(2));
    for (unsigned i = 0; i < 4; i++)
        rig_add(&rig, i, "a", 1);
    rig_rounds(&rig, 200);
    for (unsigned i = 1; i < 4; i++) {
        assert_true(qp_core_peer_figures(rig.core[0], rig_peer(&rig, 0, i)->number, &figures));
        assert_int_equal(figures.replica, rig_replica(i));
    }
    rig_assert_all(&rig, "a", 4);
    rig_end(&rig);
}

/* Nobody can vouch; but nothing is ever said in that name by the key that has taken it. */
static void a_name_that_is_not_used_goes_back(void **unused)
{
    (void)unused;
    struct rig rig;
    struct qp_frame frame;
    struct qp_peer_figures figures;
    rig_begin(&rig, 3, NULL);
    rig_kill(&rig, 2);
    rig_frame(&rig, 2, &frame, QP_FRAME_HELLO);
    frame.sender = rig_replica(1);
    frame.version_max = QP_WIRE_VERSION;
    hand_over_by(&rig, 2, &frame, NULL);
    rig_add(&rig, 1, "a", 1);
    rig_rounds(&rig, 50);
    assert_true(qp_core_peer_figures(rig.core[0], rig_peer(&rig, 0, 1)->number, &figures));
    assert_int_equal(figures.replica, 0);
    assert_true(figures.conflicts > 0);
    rig_rounds(&rig, 150);
    assert_true(qp_core_peer_figures(rig.core[0], rig_peer(&rig, 0, 1)->number, &figures));
    assert_int_equal(figures.replica, rig_replica(1));
    assert_int_equal(rig_total(&rig, 0, "a"), 1);
    rig_end(&rig);
}

/* The key that has taken it says something empty in it, and goes on to another name: the one that it left is
 * whoever's comes. */
static void a_name_that_was_left_goes_back(void **unused)
{
    (void)unused;
    struct rig rig;
    struct qp_frame frame;
    struct qp_peer_figures figures;
    rig_begin(&rig, 3, NULL);
    rig_kill(&rig, 2);
    rig_frame(&rig, 2, &frame, QP_FRAME_HELLO);
    frame.sender = rig_replica(1);
    frame.version_max = QP_WIRE_VERSION;
    hand_over_by(&rig, 2, &frame, NULL);
    rig_rounds(&rig, 30);
    rig_frame(&rig, 2, &frame, QP_FRAME_DELTA);
    frame.sender = rig_replica(1);
    frame.upto = 100;
    hand_over_by(&rig, 2, &frame, NULL);
    int taken = qp_replica_find(rig.core[0], rig_replica(1));
    assert_true(taken > 0);
    assert_int_equal(rig.core[0]->ledger->replica[taken].knowledge, 100);
    rig_add(&rig, 1, "a", 1);
    rig_rounds(&rig, 150);
    assert_true(qp_core_peer_figures(rig.core[0], rig_peer(&rig, 0, 1)->number, &figures));
    assert_int_equal(figures.replica, 0);
    rig_frame(&rig, 2, &frame, QP_FRAME_HELLO);
    frame.sender = 0x9999;
    frame.version_max = QP_WIRE_VERSION;
    hand_over_by(&rig, 2, &frame, NULL);
    rig_rounds(&rig, 20);
    assert_true(qp_core_peer_figures(rig.core[0], rig_peer(&rig, 0, 1)->number, &figures));
    assert_int_equal(figures.replica, rig_replica(1));
    assert_int_equal(rig_total(&rig, 0, "a"), 1);
    rig_end(&rig);
}

/* Host 1, a relay, says by which key a replica has come to it. */
static void tell_name(struct rig *rig, uint64_t replica, uint64_t key_hash)
{
    struct qp_frame frame;
    uint64_t mark = qp_stream_mark(rig->core[0], rig_peer(rig, 0, 1));
    rig_frame(rig, 1, &frame, QP_FRAME_DELTA);
    frame.base = mark;
    frame.upto = mark + 1;
    struct qp_wire_record known = {.kind = QP_RECORD_KNOWN, .sequence = mark + 1, .replica = replica, .hash = key_hash};
    hand_over(rig, &frame, &known);
    assert_int_equal(qp_stream_mark(rig->core[0], rig_peer(rig, 0, 1)), mark + 1);
}

/* A relay's word alone takes no name from a key that has only that one. */
static void a_relay_alone_takes_no_name_away(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 3, NULL);
    rig_rounds(&rig, 3);
    const struct qp_peer_config *liar = &rig_peer(&rig, 0, 1)->config;
    tell_name(&rig, rig_replica(2), qp_wire_hash(liar->key, sizeof liar->key));
    struct qp_frame hello;
    rig_frame(&rig, 1, &hello, QP_FRAME_HELLO);
    hello.sender = rig_replica(2);
    hello.version_max = QP_WIRE_VERSION;
    hand_over(&rig, &hello, NULL);
    assert_int_equal(rig_peer(&rig, 0, 1)->figures.conflicts, 1);
    assert_int_equal(rig.core[0]->ledger->replica[rig_peer(&rig, 0, 2)->replica_index].id, rig_replica(2));
    rig_add(&rig, 2, "a", 1);
    rig_rounds(&rig, 3);
    assert_int_equal(rig_total(&rig, 0, "a"), 1);
    rig_end(&rig);
}

/* A relay says of a name that nobody has brought yet that it came by a key which is none of our peers'. */
static void a_name_is_not_kept_for_a_stranger(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 3, NULL);
    rig_rounds(&rig, 3);
    tell_name(&rig, 0x7777, 12345);
    rig_kill(&rig, 1); /* nobody contradicts */
    rig_kill(&rig, 2);
    rig_new_segment(&rig, 2, 0x7777);
    rig_start(&rig, 2);
    rig_add(&rig, 2, "a", 5);
    rig_rounds(&rig, 200);
    struct qp_peer_figures figures;
    assert_true(qp_core_peer_figures(rig.core[0], rig_peer(&rig, 0, 2)->number, &figures));
    assert_int_equal(figures.replica, 0x7777);
    assert_int_equal(rig_total(&rig, 0, "a"), 5);
    rig_end(&rig);
}

/* Its agent's number is below those that the peers have heard of since: they believe it when these are silent. */
static void a_segment_of_a_former_day_is_heard(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 2, NULL);
    rig_rounds(&rig, 5);
    struct sim_store *image = sim_store_copy(rig.store[1]);
    for (unsigned i = 0; i < 3; i++) {
        rig_kill(&rig, 1);
        rig_start(&rig, 1);
        rig_rounds(&rig, 5);
    }
    rig_kill(&rig, 1);
    sim_store_free(rig.store[1]);
    rig.store[1] = image;
    rig_rounds(&rig, 200);
    rig_start(&rig, 1);
    assert_true(rig.core[1]->ledger->incarnation < rig_peer(&rig, 0, 1)->incarnation);
    rig_add(&rig, 1, "a", 3);
    rig_rounds(&rig, 200);
    rig_assert_all(&rig, "a", 3);
    rig_end(&rig);
}

/* Places in the ledger are few: names cost one each. */
static void names_are_not_for_nothing(void **unused)
{
    (void)unused;
    struct rig rig;
    struct qp_frame frame;
    rig_begin(&rig, 2, NULL);
    rig_rounds(&rig, 3);
    rig_kill(&rig, 1);
    for (unsigned i = 0; i < 40; i++) {
        rig.now_ms += 12000;
        rig_frame(&rig, 1, &frame, QP_FRAME_HELLO);
        frame.sender = 0x9000 + i;
        frame.version_max = QP_WIRE_VERSION;
        hand_over(&rig, &frame, NULL);
    }
    assert_true(qp_replica_find(rig.core[0], 0x9000) > 0);
    assert_int_equal(qp_replica_find(rig.core[0], 0x9000 + 39), -1);
    assert_int_equal(rig.core[0]->ledger->replica[12].id, 0);
    /* Who may not relay announces nobody. */
    rig_peer(&rig, 0, 1)->config.may_relay = false;
    uint32_t index = rig_peer(&rig, 0, 1)->replica_index;
    rig_frame(&rig, 1, &frame, QP_FRAME_DELTA);
    frame.sender = rig.core[0]->ledger->replica[index].id;
    frame.upto = 1;
    struct qp_wire_record known = {.kind = QP_RECORD_KNOWN, .sequence = 1, .replica = 0x8888};
    hand_over(&rig, &frame, &known);
    assert_int_equal(rig_peer(&rig, 0, 1)->figures.refused[QP_REFUSED_FOREIGN], 1);
    assert_int_equal(qp_replica_find(rig.core[0], 0x8888), -1);
    rig_end(&rig);
}

static unsigned hellos_of_old_disks(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *copy, size_t count)
{
    (void)from, (void)to, (void)copy, (void)count;
    return head->type != QP_FRAME_HELLO || rig->sent[QP_FRAME_HELLO] < 1000;
}

/* Both segments are older than what the other one has heard: neither can greet, and both go on asking, but not all
 * the time. */
static void two_who_cannot_greet_do_not_shout(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 2, NULL);
    for (unsigned i = 0; i < 2; i++)
        rig_add(&rig, i, "a", 1);
    rig_rounds(&rig, 5);
    for (unsigned i = 0; i < 2; i++) {
        rig.core[i]->ledger->sequence = 0;
        rig_kill(&rig, i);
        rig_start(&rig, i);
        rig.core[i]->ledger->sequence = 0;
    }
    rig.fate = hellos_of_old_disks;
    uint64_t hellos = rig.sent[QP_FRAME_HELLO];
    rig_rounds(&rig, 1);
    assert_in_range(rig.sent[QP_FRAME_HELLO] - hellos, 1, 10);
    rig_end(&rig);
}

static void peers_are_told_apart_by_their_keys(void **unused)
{
    (void)unused;
    struct rig rig;
    uint32_t number;
    rig_begin(&rig, 3, NULL);
    rig_rounds(&rig, 3);
    struct qp_peer_config peer = rig_peer(&rig, 0, 1)->config;
    assert_int_equal(qp_core_peer_add(rig.core[0], &peer, rig.now_ms, &number), -EEXIST);
    uint32_t dropped = rig_peer(&rig, 0, 1)->number;
    qp_core_peer_drop(rig.core[0], dropped);
    rig_add(&rig, 1, "a", 1);
    rig_rounds(&rig, 3);
    assert_int_equal(rig_total(&rig, 0, "a"), 0);
    assert_int_equal(qp_core_peer_add(rig.core[0], &peer, rig.now_ms, &number), 0);
    assert_int_equal(number, dropped);
    rig_rounds(&rig, 60);
    rig_assert_all(&rig, "a", 1);
    peer.key[0] = 0;
    assert_int_equal(qp_core_peer_add(rig.core[0], &peer, rig.now_ms, &number), -EINVAL);
    for (uint64_t i = 2; i < QP_PEERS_MAX; i++) {
        peer.key[0] = 0x9000 + i;
        assert_int_equal(qp_core_peer_add(rig.core[0], &peer, rig.now_ms, &number), 0);
    }
    peer.key[0] = 0x8000;
    assert_int_equal(qp_core_peer_add(rig.core[0], &peer, rig.now_ms, &number), -ENOSPC);
    rig_end(&rig);
}

static void a_configuration_that_cannot_be_is_refused(void **unused)
{
    (void)unused;
    struct rig rig;
    struct qp_core *core;
    rig_begin(&rig, 1, NULL);
    struct qp_store store = sim_store_interface(rig.store[0]);
    const struct qp_core_config bad[] = {
        {.frame_bytes_max = QP_FRAME_BYTES_MIN - 1}, {.frame_bytes_max = QP_FRAME_BYTES_MAX + 1}, {.credit = QP_CREDIT_MAX + 1},
        {.wire_version = QP_WIRE_VERSION + 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(qp_core_new(&bad[i], &store, rig.now_ms, &core), -EINVAL);
    rig.core[0]->ledger->replica[0].id = 0;
    assert_int_equal(qp_core_new(&rig.config, &store, rig.now_ms, &core), -EINVAL);
    rig_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_by_hand_is_taken),
        cmocka_unit_test(what_is_not_his_is_refused),
        cmocka_unit_test(a_former_agent_is_not_heard),
        cmocka_unit_test(marks_of_what_was_never_said_are_refused),
        cmocka_unit_test(noise_is_counted_and_forgotten),
        cmocka_unit_test(a_segment_made_anew_replaces_the_former_one),
        cmocka_unit_test(a_name_that_was_taken_goes_back),
        cmocka_unit_test(a_name_that_is_not_used_goes_back),
        cmocka_unit_test(a_name_that_was_left_goes_back),
        cmocka_unit_test(a_relay_alone_takes_no_name_away),
        cmocka_unit_test(a_name_is_not_kept_for_a_stranger),
        cmocka_unit_test(a_segment_of_a_former_day_is_heard),
        cmocka_unit_test(names_are_not_for_nothing),
        cmocka_unit_test(two_who_cannot_greet_do_not_shout),
        cmocka_unit_test(peers_are_told_apart_by_their_keys),
        cmocka_unit_test(a_configuration_that_cannot_be_is_refused),
    };
    return cmocka_run_group_tests_name("core_identity", tests, NULL, NULL);
}
