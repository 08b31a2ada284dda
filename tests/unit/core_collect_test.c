/* SPDX-License-Identifier: MIT */
/* core_collect_test.c: when a deleted key is forgotten: after everybody has said that he holds its tombstone, and not
 * before; and what its grave is good for afterwards. */
#include "core_unit.h"

#define GRACE_MS 500u
#define FORGET_MS 20000u

static void begin(struct rig *rig, unsigned hosts)
{
    rig_begin(rig, hosts, NULL);
    rig->config.tombstone_grace_ms = GRACE_MS;
    rig->config.forget_after_ms = FORGET_MS;
    rig_begin_again(rig);
}

static void delete(struct rig *rig, unsigned host, const char *key)
{
    int64_t ended;
    assert_int_equal(sim_store_delete(rig->store[host], key, strlen(key), rig->now_ms, &ended), 0);
}

static bool is_held(struct rig *rig, unsigned host, const char *key)
{
    return sim_store_look(rig->store[host], key, strlen(key)) != NULL;
}

static bool has_grave(struct rig *rig, unsigned host, const char *key, bool is_register, uint64_t *floor)
{
    return qp_grave_find(rig->core[host], qp_wire_key_hash(key, strlen(key)), is_register, floor);
}

static unsigned cut(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)head, (void)bytes, (void)count;
    return (rig->arg >> from & 1) == (rig->arg >> to & 1);
}

static unsigned no_frames(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)rig, (void)from, (void)to, (void)head, (void)bytes, (void)count;
    return 0;
}

static unsigned no_chunks(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)rig, (void)from, (void)to, (void)bytes, (void)count;
    return head->type != QP_FRAME_CHUNK;
}

static unsigned not_between_1_and_2(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)rig, (void)head, (void)bytes, (void)count;
    return from == 0 || to == 0;
}

static void all_must_hold_it(void **unused)
{
    (void)unused;
    struct rig rig;
    uint64_t floor;
    begin(&rig, 3);
    for (unsigned i = 0; i < 3; i++)
        rig_add(&rig, i, "a", 5);
    assert_int_equal(sim_store_set(rig.store[0], "word", 4, 7, rig.now_ms), 0);
    rig_pass(&rig, 500);
    rig.fate = cut;
    rig.arg = 1 << 2;
    delete(&rig, 0, "a");
    delete(&rig, 1, "word");
    rig_pass(&rig, 10 * GRACE_MS);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(is_held(&rig, i, "a") && is_held(&rig, i, "word"));
        assert_false(has_grave(&rig, i, "a", false, &floor));
    }
    rig.fate = NULL;
    rig_pass(&rig, 7000 + 4 * GRACE_MS); /* till the next HELLO, and then some */
    for (unsigned i = 0; i < 3; i++) {
        assert_false(is_held(&rig, i, "a") || is_held(&rig, i, "word"));
        assert_true(has_grave(&rig, i, "a", false, &floor));
        assert_int_equal(floor, 0);
        assert_true(has_grave(&rig, i, "word", true, &floor));
        assert_int_equal(rig.core[i]->figures.collected, 2);
        assert_int_equal(rig.core[i]->log.tombs, 0);
    }
    rig_pass(&rig, FORGET_MS + 15000); /* some graves are looked at in each round */
    for (unsigned i = 0; i < 3; i++)
        assert_false(has_grave(&rig, i, "a", false, &floor) || has_grave(&rig, i, "word", true, &floor));
    rig_end(&rig);
}

/* Nobody has tended the segment: what was collected has not left it. A joiner must hear of the floor that it still has. */
static void a_grave_stays_until_the_key_has_left(void **unused)
{
    (void)unused;
    struct rig rig;
    uint64_t floor;
    begin(&rig, 2);
    rig_add(&rig, 0, "a", 5);
    assert_int_equal(sim_store_set(rig.store[0], "word", 4, 7, rig.now_ms), 0);
    rig_pass(&rig, 500);
    delete(&rig, 0, "a");
    delete(&rig, 1, "word");
    rig_rounds(&rig, (10 * GRACE_MS + FORGET_MS + 15000) / RIG_ROUND_MS);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(rig.core[i]->figures.collected, 2);
        assert_true(is_held(&rig, i, "a") && is_held(&rig, i, "word"));
        assert_true(has_grave(&rig, i, "a", false, &floor) && has_grave(&rig, i, "word", true, &floor));
    }
    rig_pass(&rig, 15000); /* some graves are looked at in each round */
    for (unsigned i = 0; i < 2; i++) {
        assert_false(is_held(&rig, i, "a") || is_held(&rig, i, "word"));
        assert_false(has_grave(&rig, i, "a", false, &floor) || has_grave(&rig, i, "word", true, &floor));
    }
    rig_end(&rig);
}

static void the_grace_is_waited_for(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 2);
    rig.config.tombstone_grace_ms = 6000;
    for (unsigned i = 0; i < 2; i++) {
        rig_kill(&rig, i);
        rig_start(&rig, i);
    }
    rig_add(&rig, 0, "a", 1);
    rig_pass(&rig, 500);
    delete(&rig, 0, "a");
    rig_pass(&rig, 4500);
    assert_true(is_held(&rig, 0, "a") && is_held(&rig, 1, "a"));
    rig_pass(&rig, 3000);
    assert_false(is_held(&rig, 0, "a") || is_held(&rig, 1, "a"));
    rig_end(&rig);
}

static void who_is_alone_waits_for_nobody(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 1);
    rig_add(&rig, 0, "a", 1);
    rig_rounds(&rig, 2);
    delete(&rig, 0, "a");
    rig_rounds(&rig, 3);
    sim_store_upkeep(rig.store[0], rig.now_ms);
    assert_false(is_held(&rig, 0, "a"));
    rig_end(&rig);
}

/* A configured peer that was never heard may have joined somewhere else. */
static void a_peer_never_heard_is_waited_for(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 1);
    struct qp_peer_config peer = {.key = {99, 1, 2, 3}, .may_relay = true};
    uint32_t number;
    assert_int_equal(qp_core_peer_add(rig.core[0], &peer, rig.now_ms, &number), 0);
    rig.fate = no_frames;
    rig_add(&rig, 0, "a", 1);
    rig_rounds(&rig, 2);
    delete(&rig, 0, "a");
    rig_pass(&rig, FORGET_MS - 2000);
    assert_true(is_held(&rig, 0, "a"));
    rig_pass(&rig, 4000);
    assert_false(is_held(&rig, 0, "a"));
    rig_end(&rig);
}

static void collected(struct rig *rig)
{
    begin(rig, 3);
    for (unsigned i = 0; i < 3; i++)
        rig_add(rig, i, "a", 5);
    rig_pass(rig, 500);
    delete(rig, 0, "a");
    rig_pass(rig, 8 * GRACE_MS);
    assert_false(is_held(rig, 0, "a") || is_held(rig, 1, "a") || is_held(rig, 2, "a"));
}

static void a_key_made_again_begins_above_its_grave(void **unused)
{
    (void)unused;
    struct rig rig;
    collected(&rig);
    rig_add(&rig, 1, "a", 2);
    rig_add(&rig, 2, "a", 3);
    rig_pass(&rig, 500);
    rig_assert_all(&rig, "a", 5);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(sim_store_look(rig.store[i], "a", 1)->own[0].epoch, 1);
    rig_end(&rig);
}

static enum qp_refusal hear(struct rig *rig, unsigned host, unsigned of, bool dead, uint64_t sequence)
{
    struct qp_point point = {.epoch = 0,
                             .count = 50,
                             .timestamp = (rig->now_ms - 10000) << 16,
                             .replica = rig_replica(of),
                             .sequence = sequence};
    struct qp_item item = {.key = (const uint8_t *)"a", .key_bytes = 1, .kind = QP_KIND_COUNTER, .point = &point};
    struct qp_merge_context context = {.self = rig->core[host]->self,
                                       .now_ms = rig->now_ms,
                                       .sender = rig_replica(of),
                                       .sequence = sequence,
                                       .knowledge = qp_replica_knowledge,
                                       .arg = rig->core[host]};
    item.point_count = !dead;
    if (dead) {
        item.tombstone = (struct qp_version){point.timestamp, point.replica};
        item.tombstone_sequence = sequence;
    }
    return qp_key_merge(rig->core[host], &item, &context);
}

static void a_late_write_is_dead(void **unused)
{
    (void)unused;
    struct rig rig;
    collected(&rig);
    assert_int_equal(hear(&rig, 0, 1, false, 900), QP_REFUSED_OLD); /* not by its place in the stream: by the grave alone */
    assert_int_equal(hear(&rig, 0, 1, false, 1), QP_REFUSED_OLD);
    rig_pass(&rig, 500);
    for (unsigned i = 0; i < 3; i++)
        assert_false(rig_is_there(&rig, i, "a"));
    rig_end(&rig);
}

/* Somebody still has the tombstone, and waits for us. */
static void an_old_tombstone_is_answered_by_the_grave(void **unused)
{
    (void)unused;
    struct rig rig;
    collected(&rig);
    uint32_t grave = 0;
    while (rig.core[0]->graves[grave].hash != qp_wire_key_hash("a", 1))
        grave++;
    uint64_t told = rig.core[0]->graves[grave].stated >> 1;
    assert_int_not_equal(told, 0);
    assert_int_equal(hear(&rig, 0, 1, true, 900), QP_REFUSED_OLD);
    assert_false(is_held(&rig, 0, "a"));
    rig_rounds(&rig, 1);
    assert_true(rig.core[0]->graves[grave].stated >> 1 > told);
    rig_end(&rig);
}

/* It may have got what was deleted afterwards: everybody waits for it, though it has not said a word. */
static void a_joiner_is_waited_for(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 3);
    rig_kill(&rig, 2);
    rig_new_segment(&rig, 2, 0x2222);
    rig_add(&rig, 0, "a", 1);
    rig_pass(&rig, 12000); /* the former segment of its key has to be silent for a while */
    rig.fate = no_chunks;
    rig_start(&rig, 2);
    rig_pass(&rig, 1000);
    assert_true(rig.core[0]->figures.chunks_out + rig.core[1]->figures.chunks_out > 0);
    rig_kill(&rig, 2);
    rig_pass(&rig, FORGET_MS / 2 - 1500); /* its former segment is retired, it is not */
    delete(&rig, 1, "a");
    rig_pass(&rig, 4 * GRACE_MS);
    assert_true(is_held(&rig, 0, "a") && is_held(&rig, 1, "a"));
    for (unsigned i = 0; i < 2; i++) {
        int former = qp_replica_find(rig.core[i], rig_replica(2));
        int present = qp_replica_find(rig.core[i], 0x2222);
        assert_true(rig.core[i]->ledger->replica[former].flags & QP_REPLICA_RETIRED);
        assert_false(rig.core[i]->ledger->replica[present].flags & QP_REPLICA_RETIRED);
    }
    rig.fate = NULL;
    rig_start(&rig, 2);
    rig_pass(&rig, 10000);
    assert_false(is_held(&rig, 0, "a") || is_held(&rig, 1, "a"));
    rig_pass(&rig, FORGET_MS); /* it has heard of its former segment, and waits for that */
    assert_false(is_held(&rig, 2, "a"));
    rig_end(&rig);
}

/* A joiner came from one who had collected and forgotten: it has never heard of the tombstone that another host still
 * keeps for it. */
static void who_never_heard_of_it_is_asked(void **unused)
{
    (void)unused;
    struct rig rig;
    uint64_t floor;
    begin(&rig, 3);
    rig_kill(&rig, 2);
    rig_new_segment(&rig, 2, 0x2222);
    rig_add(&rig, 0, "a", 1);
    rig_pass(&rig, FORGET_MS + 1000); /* host 2's former segment is retired */
    rig.config.tombstone_grace_ms = 80000;
    rig_kill(&rig, 1);
    rig_start(&rig, 1);
    rig_pass(&rig, 500);
    delete(&rig, 0, "a");
    rig_pass(&rig, FORGET_MS + 20000);
    assert_false(is_held(&rig, 0, "a") || has_grave(&rig, 0, "a", false, &floor));
    assert_true(is_held(&rig, 1, "a"));
    rig.fate = not_between_1_and_2;
    rig_start(&rig, 2);
    rig_pass(&rig, 5000);
    rig.fate = NULL;
    assert_true(rig.core[0]->figures.chunks_out > 0);
    assert_int_equal(rig.core[1]->figures.chunks_out, 0);
    assert_false(is_held(&rig, 2, "a"));
    rig_pass(&rig, 70000);
    assert_false(is_held(&rig, 0, "a") || is_held(&rig, 1, "a"));
    rig_end(&rig);
}

/* A key has left slot 2 unseen (it was collected), was in slot 1 meanwhile, and is in slot 2 again, whose note never
 * knew that it had gone. A grave that somebody tells finds the key by its hash alone: what it says was lost, and the
 * tombstone kept for ever. */
static void a_key_that_comes_back_is_found_by_its_hash(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 1);
    const char *const story[] = {"+x", "+a", "-x", "-a", "+a", "-a", "+y", "+a"};
    for (unsigned i = 0; i < sizeof story / sizeof *story; i++) {
        if (story[i][0] == '+')
            rig_add(&rig, 0, story[i] + 1, 1);
        else
            delete(&rig, 0, story[i] + 1);
        rig_pass(&rig, 500);
    }
    const struct qp_store *store = &rig.core[0]->store;
    assert_int_equal(store->ops->find(store->store, "a", 1), 2);
    assert_int_equal(qp_key_slot_of(rig.core[0], qp_wire_key_hash("a", 1)), 2);
    rig_end(&rig);
}

static unsigned no_deltas_from_0(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)rig, (void)to, (void)bytes, (void)count;
    return from != 0 || head->type != QP_FRAME_DELTA;
}

/* Host 0's grave comes to host 1 while that has no room to note that host 0 holds the tombstone. Nobody tells a grave
 * twice without being asked. */
static void a_grave_that_was_refused_is_asked_for(void **unused)
{
    (void)unused;
    struct rig rig;
    uint64_t floor;
    begin(&rig, 2);
    rig_add(&rig, 0, "a", 1);
    rig_pass(&rig, 500);
    rig.fate = no_deltas_from_0;
    delete(&rig, 1, "a");
    rig_pass(&rig, 4 * GRACE_MS);
    assert_false(is_held(&rig, 0, "a"));
    assert_true(has_grave(&rig, 0, "a", false, &floor));
    rig.fate = NULL;
    sim_store_refuse(rig.store[1], UINT32_MAX);
    rig_pass(&rig, 2000);
    uint64_t heard = rig.core[1]->ledger->replica[1].knowledge;
    assert_int_equal(heard, rig.core[0]->ledger->sequence); /* the grave too */
    assert_true(is_held(&rig, 1, "a"));
    sim_store_refuse(rig.store[1], 0);
    rig_pass(&rig, 3000);
    assert_false(is_held(&rig, 1, "a"));
    rig_end(&rig);
}

static void the_oldest_of_too_many_graves_goes(void **unused)
{
    (void)unused;
    struct rig rig;
    uint64_t floor;
    begin(&rig, 1);
    struct qp_core *core = rig.core[0];
    for (uint64_t i = 1; i <= 2 * core->grave_count; i++) {
        core->now_ms++;
        qp_grave_dig(core, i * UINT64_C(0x9e3779b97f4a7c15), i & 1, i, false);
        assert_true(qp_grave_find(core, i * UINT64_C(0x9e3779b97f4a7c15), i & 1, &floor));
        assert_int_equal(floor, i);
    }
    assert_true(core->figures.graves <= core->grave_count && core->figures.graves > core->grave_count / 2);
    assert_int_equal(core->figures.graves + core->figures.graves_dropped, 2 * core->grave_count);
    uint64_t last = 2 * core->grave_count;
    qp_grave_dig(core, last * UINT64_C(0x9e3779b97f4a7c15), false, 5, false); /* lower: nothing new */
    assert_true(qp_grave_find(core, last * UINT64_C(0x9e3779b97f4a7c15), false, &floor));
    assert_int_equal(floor, last);
    rig_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_must_hold_it),
        cmocka_unit_test(a_grave_stays_until_the_key_has_left),
        cmocka_unit_test(the_grace_is_waited_for),
        cmocka_unit_test(who_is_alone_waits_for_nobody),
        cmocka_unit_test(a_peer_never_heard_is_waited_for),
        cmocka_unit_test(a_key_made_again_begins_above_its_grave),
        cmocka_unit_test(a_late_write_is_dead),
        cmocka_unit_test(an_old_tombstone_is_answered_by_the_grave),
        cmocka_unit_test(a_joiner_is_waited_for),
        cmocka_unit_test(who_never_heard_of_it_is_asked),
        cmocka_unit_test(a_key_that_comes_back_is_found_by_its_hash),
        cmocka_unit_test(a_grave_that_was_refused_is_asked_for),
        cmocka_unit_test(the_oldest_of_too_many_graves_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
