/* SPDX-License-Identifier: MIT */
/* core_hostile_name_test.c: names that nobody has, names that others have, and a host that says that it comes first:
 * nobody is kept out. */
#include "core_liar.h"

static unsigned replicas_of(const struct rig *rig, unsigned host)
{
    unsigned used = 0;
    while (used < QP_REPLICAS && rig->core[host]->ledger->replica[used].id)
        used++;
    return used;
}

static void tell_names(struct liar *liar, struct qp_wire_record *known, unsigned count, uint64_t first)
{
    for (unsigned i = 0; i < count; i++)
        known[i] = (struct qp_wire_record){.kind = QP_RECORD_KNOWN, .replica = first + i};
    liar_delta(liar, 0, known, count);
}

static void who_may_not_relay_announces_nobody(void **unused)
{
    (void)unused;
    static struct qp_wire_record known[200];
    struct rig rig;
    struct liar liar;
    rig_begin(&rig, 3, NULL);
    rig_rounds(&rig, 3);
    liar_begin(&liar, &rig, 2);
    tell_names(&liar, known, 200, 0x800000);
    rig_rounds(&rig, 5);
    assert_int_equal(liar_peer(&liar, 0)->figures.refused[QP_REFUSED_FOREIGN], 200);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(replicas_of(&rig, i), 3);
        assert_false(rig.core[i]->replicas_lost);
    }
    rig_end(&rig);
}

/* A relay is believed, but leaves room for who comes with a key of his own. */
static void a_relays_names_leave_room(void **unused)
{
    (void)unused;
    static struct qp_wire_record known[200];
    struct rig rig;
    struct liar liar;
    rig_begin(&rig, 4, NULL);
    rig_rounds(&rig, 3);
    liar_begin(&liar, &rig, 2);
    liar_peer(&liar, 0)->config.may_relay = true;
    for (uint64_t i = 0; i < 3; i++)
        tell_names(&liar, known, 200, 0x800000 + 200 * i);
    rig_rounds(&rig, 5);
    assert_in_range(replicas_of(&rig, 0), 100, QP_REPLICAS / 2 + 4);
    rig_kill(&rig, 3);
    rig_new_segment(&rig, 3, 0x7777);
    rig_start(&rig, 3);
    rig_add(&rig, 3, "a", 1);
    rig_rounds(&rig, 200);
    assert_true(rig.core[3]->ledger->joined);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(rig_total(&rig, i, "a"), 1);
    rig_end(&rig);
}

static unsigned host_1_only_greets(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *copy, size_t count)
{
    (void)rig, (void)to, (void)copy, (void)count;
    return from != 1 || head->type == QP_FRAME_HELLO;
}

/* Host 1 is away; host 2 says again and again that it is host 1, and something in its name. heard: host 0 has heard
 * something of host 1 before. */
static void take_the_name(bool heard)
{
    struct rig rig;
    struct liar liar;
    rig_begin(&rig, 3, NULL);
    rig.fate = heard ? NULL : host_1_only_greets;
    rig_rounds(&rig, 5);
    assert_int_equal(qp_stream_mark(rig.core[0], rig_peer(&rig, 0, 1)) != 0, heard);
    rig.fate = NULL;
    rig_kill(&rig, 1);
    liar_begin(&liar, &rig, 2);
    liar.replica = rig_replica(1);
    liar.sequence = 0;
    for (unsigned i = 0; i < 4; i++) {
        rig_rounds(&rig, 120);
        liar_hello(&liar, 0, QP_FRAME_JOINED);
        struct qp_wire_record known = {.kind = QP_RECORD_KNOWN, .replica = rig_replica(0)};
        liar_delta(&liar, 0, &known, 1);
    }
    assert_int_equal(liar_peer(&liar, 0)->figures.conflicts, 8);
    assert_int_not_equal(rig.core[0]->ledger->replica[liar_peer(&liar, 0)->replica_index].id, rig_replica(1));
    rig_start(&rig, 1);
    rig_add(&rig, 1, "a", 5);
    for (unsigned i = 0; i < 10; i++) {
        liar_hello(&liar, 0, QP_FRAME_JOINED);
        rig_rounds(&rig, 20);
    }
    assert_int_equal(rig_total(&rig, 0, "a"), 5);
    assert_int_equal(rig_peer(&rig, 0, 1)->figures.conflicts, 0);
    rig_end(&rig);
}

static void a_name_is_not_taken_while_its_host_is_away(void **unused)
{
    (void)unused;
    take_the_name(true);
    take_the_name(false);
}

/* Two new hosts, and a third one that says for ever that it is the smallest and has not joined: it may not give, so
 * nobody waits for it. */
static void a_founder_that_lies_is_not_waited_for(void **unused)
{
    (void)unused;
    struct rig rig;
    struct liar liar;
    rig_begin(&rig, 3, NULL);
    liar_begin(&liar, &rig, 2);
    for (unsigned i = 0; i < 2; i++) {
        rig_kill(&rig, i);
        rig_new_segment(&rig, i, 0x7000 + i);
        rig_start(&rig, i);
        liar_peer(&liar, i)->config.may_relay = false;
    }
    liar.replica = 1;
    for (unsigned i = 0; i < 20; i++) {
        liar_hello(&liar, 0, 0);
        liar_hello(&liar, 1, 0);
        rig_rounds(&rig, 2);
    }
    assert_int_equal(liar_peer(&liar, 0)->state, QP_PEER_HEARD);
    assert_true(rig.core[0]->ledger->joined && rig.core[1]->ledger->joined);
    rig_add(&rig, 0, "a", 1);
    rig_rounds(&rig, 5);
    assert_int_equal(rig_total(&rig, 1, "a"), 1);
    rig_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_may_not_relay_announces_nobody),
        cmocka_unit_test(a_relays_names_leave_room),
        cmocka_unit_test(a_name_is_not_taken_while_its_host_is_away),
        cmocka_unit_test(a_founder_that_lies_is_not_waited_for),
    };
    return cmocka_run_group_tests_name("core_hostile_name", tests, NULL, NULL);
}
