/* SPDX-License-Identifier: MIT */
/* core_returned_test.c: a host that was cut off until it was given up, and comes back to what was deleted meanwhile.
 * Others may have announced it in its absence, who have only heard of it: that lets nobody in. */
#include "core_unit.h"

#define FORGET_MS 20000u

/* In version 1 an announcement does not say of whom it is only the name that is known: it is as if he was about to be
 * let in. 0: the newest. */
static void begin(struct rig *rig, unsigned hosts, uint32_t wire_version)
{
    rig_begin(rig, hosts, NULL);
    rig->config.wire_version = wire_version;
    rig->config.tombstone_grace_ms = 500;
    rig->config.forget_after_ms = FORGET_MS;
    rig->config.digest_ms = 500;
    rig_begin_again(rig);
}

static uint64_t line(unsigned from, unsigned to)
{
    return UINT64_C(1) << (from * 8 + to);
}

/* The bits of arg are lines that are cut, in both directions. */
static unsigned cut(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)head, (void)bytes, (void)count;
    return (rig->arg & (line(from, to) | line(to, from))) == 0;
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

static uint64_t flags_at(struct rig *rig, unsigned host, unsigned other)
{
    int index = qp_replica_find(rig->core[host], rig_replica(other));
    assert_true(index > 0);
    return rig->core[host]->ledger->replica[index].flags;
}

/* Host 2 has counted something that is deleted while it is cut off from all who are up; it is given up, and not even
 * a grave is left. */
static void given_up(struct rig *rig)
{
    uint64_t floor;
    rig_add(rig, 2, "a", 4);
    rig_add(rig, 2, "kept", 3);
    rig_add(rig, 0, "kept", 4);
    rig_pass(rig, 20 * RIG_ROUND_MS);
    rig->fate = cut;
    for (unsigned i = 0; i < rig->hosts; i++)
        rig->arg |= i == 2 ? 0 : line(i, 2);
    rig_pass(rig, 5 * RIG_ROUND_MS);
    delete(rig, 0, "a");
    rig_pass(rig, 5 * FORGET_MS);
    for (unsigned i = 0; i < 2; i++) {
        assert_false(is_held(rig, i, "a"));
        assert_false(qp_grave_find(rig->core[i], qp_wire_key_hash("a", 1), false, &floor));
        assert_true(flags_at(rig, i, 2) & QP_REPLICA_RETIRED);
    }
}

/* What was deleted stays so, everything else is everywhere, and host 2 is one of them again. */
static void comes_back(struct rig *rig)
{
    rig->arg = 0;
    rig_pass(rig, 600 * RIG_ROUND_MS);
    for (unsigned i = 0; i < rig->hosts; i++) {
        if (!rig->core[i])
            continue;
        assert_true(rig->core[i]->ledger->joined);
        assert_int_equal(rig_total(rig, i, "a"), 0);
        assert_int_equal(rig_total(rig, i, "kept"), 7);
        assert_int_equal(i == 2 ? 0 : flags_at(rig, i, 2), 0);
    }
    rig_add(rig, 2, "kept", 1);
    rig_add(rig, 2, "a", 1);
    rig_pass(rig, 20 * RIG_ROUND_MS);
    for (unsigned i = 0; i < rig->hosts; i++) {
        assert_int_equal(rig->core[i] ? rig_total(rig, i, "kept") : 8, 8);
        assert_int_equal(rig->core[i] ? rig_total(rig, i, "a") : 1, 1);
    }
}

/* Hosts greet each other and compare digests at intervals: it is back at any point of these. */
#define ROUNDS_FIRST 20u
#define ROUNDS_LAST 80u
#define ROUNDS_STEP 12u

/* Host 0 announces all whom it knows, for it has slept and takes a snapshot. Host 2 reaches host 1 first. */
static void return_to_who_heard_its_name(bool is_announced, uint32_t wire_version, unsigned rounds)
{
    struct rig rig;
    begin(&rig, 3, wire_version);
    given_up(&rig);
    if (is_announced)
        qp_join_fence(rig.core[0], NULL);
    rig_pass(&rig, rounds * RIG_ROUND_MS);
    assert_true(rig.core[0]->ledger->joined);
    assert_true(flags_at(&rig, 1, 2) & QP_REPLICA_RETIRED);
    assert_int_equal(!!(flags_at(&rig, 1, 2) & QP_REPLICA_RETURNED), is_announced && wire_version == 1);
    rig.arg = line(0, 2);
    rig_pass(&rig, 200 * RIG_ROUND_MS);
    comes_back(&rig);
    rig_end(&rig);
}

static void who_was_given_up_brings_nothing_back(void **unused)
{
    (void)unused;
    return_to_who_heard_its_name(false, 0, ROUNDS_FIRST);
}

static void whom_a_sleeper_announces_brings_nothing_back(void **unused)
{
    (void)unused;
    for (unsigned rounds = ROUNDS_FIRST; rounds < ROUNDS_LAST; rounds += ROUNDS_STEP)
        for (uint32_t wire_version = 0; wire_version <= 1; wire_version++)
            return_to_who_heard_its_name(true, wire_version, rounds);
}

/* Host 3 learns the name of host 2 from its giver, and announces it. */
static void return_after_a_joiner(bool joins, unsigned rounds)
{
    struct rig rig;
    begin(&rig, 4, 0);
    rig_kill(&rig, 3);
    given_up(&rig);
    if (joins) {
        rig_new_segment(&rig, 3, 0x7777);
        rig_start(&rig, 3);
    }
    rig_pass(&rig, rounds * RIG_ROUND_MS);
    assert_true(!joins || rig.core[3]->ledger->joined);
    comes_back(&rig);
    rig_end(&rig);
}

static void who_finds_a_host_gone_brings_nothing_back(void **unused)
{
    (void)unused;
    return_after_a_joiner(false, ROUNDS_FIRST);
}

static void whom_a_joiner_announces_brings_nothing_back(void **unused)
{
    (void)unused;
    for (unsigned rounds = ROUNDS_FIRST; rounds < ROUNDS_LAST; rounds += ROUNDS_STEP)
        return_after_a_joiner(true, rounds);
}

/* Somebody may be about to let it in, with what a tombstone ends: that stays until it holds, or is given up again. */
static void who_is_announced_is_waited_for(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 3, 1);
    given_up(&rig);
    rig_add(&rig, 0, "b", 1);
    rig_pass(&rig, 20 * RIG_ROUND_MS);
    qp_join_fence(rig.core[0], NULL);
    rig_pass(&rig, 20 * RIG_ROUND_MS);
    delete(&rig, 1, "b");
    rig_pass(&rig, 100 * RIG_ROUND_MS);
    assert_true(is_held(&rig, 1, "b"));
    rig_pass(&rig, 2 * FORGET_MS);
    assert_false(is_held(&rig, 1, "b"));
    assert_int_equal(flags_at(&rig, 1, 2), QP_REPLICA_RETIRED);
    rig_end(&rig);
}

/* ---- the word of one who is not believed --------------------------------------------------------------------------------- */

static void put_known(struct rig *rig, unsigned host, uint64_t replica)
{
    struct qp_store store = sim_store_interface(rig->store[host]);
    struct qp_ledger *ledger = store.ops->ledger(store.store);
    uint32_t index = 1;
    while (ledger->replica[index].id)
        index++;
    ledger->replica[index] = (struct qp_replica){.id = replica, .knowledge = 3, .heard_ms = rig->now_ms};
}

/* Hosts 0 and 1 have given each other up. Host 2 begins with a file of two streams; host 1 knows of one of them, is
 * asked, and not believed, as there is host 0 who knows of both: nor that host 0 is to be given up. */
static void who_knows_less_gives_nobody_up(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 3, 0);
    rig_kill(&rig, 2);
    rig_new_segment(&rig, 2, 0x7777);
    rig.fate = cut;
    rig.arg = line(0, 1);
    rig_pass(&rig, 3 * FORGET_MS);
    assert_true(flags_at(&rig, 1, 0) & QP_REPLICA_RETIRED);
    for (unsigned host = 0; host < 3; host++) {
        if (host < 2)
            rig_kill(&rig, host);
        put_known(&rig, host, 0x5555);
        if (host != 1)
            put_known(&rig, host, 0x6666);
        if (host < 2)
            rig_start(&rig, host);
    }
    rig_pass(&rig, 150 * RIG_ROUND_MS); /* until the former segment of host 2 is silent enough */
    rig_start(&rig, 2);
    for (unsigned round = 0; round < 60; round++) {
        rig_pass(&rig, RIG_ROUND_MS);
        assert_true(rig.core[0]->ledger->joined);
    }
    assert_true(rig.core[2]->ledger->joined);
    assert_true(rig.core[1]->figures.chunks_out > 0);
    assert_true(rig.core[0]->figures.chunks_out > 0);
    rig_end(&rig);
}

/* Three hosts were cut off from each other, and host 0 has deleted what a host had counted that is gone. Hosts 1 and 2
 * meet, and have all that the other one has; then hosts 0 and 1, while 0 and 2 still do not: it is host 1 who has to see
 * that host 2 brings back nothing. */
static void who_is_out_of_reach_of_the_giver_brings_nothing_back(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 4, 0);
    rig_add(&rig, 3, "a", 5);
    rig_pass(&rig, 20 * RIG_ROUND_MS);
    rig_kill(&rig, 3);
    rig.fate = cut;
    rig.arg = line(0, 1) | line(0, 2) | line(1, 2);
    rig_pass(&rig, 5 * RIG_ROUND_MS);
    delete(&rig, 0, "a");
    rig_pass(&rig, 5 * FORGET_MS);
    assert_false(is_held(&rig, 0, "a"));
    rig.arg = line(0, 1) | line(0, 2);
    rig_pass(&rig, 60 * RIG_ROUND_MS);
    assert_int_equal(flags_at(&rig, 1, 2) | flags_at(&rig, 2, 1), 0);
    rig.arg = line(0, 2);
    rig_pass(&rig, 60 * RIG_ROUND_MS);
    rig.arg = 0;
    rig_pass(&rig, 100 * RIG_ROUND_MS);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(rig_total(&rig, i, "a"), 0);
    rig_end(&rig);
}

/* ---- all have given up all others --------------------------------------------------------------------------------------- */

static unsigned nothing_arrives(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)rig, (void)from, (void)to, (void)head, (void)bytes, (void)count;
    return 0;
}

/* One in ten is lost, so that not all do the same at the same time. */
static unsigned one_in_ten_is_lost(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)from, (void)to, (void)head, (void)bytes, (void)count;
    rig->arg = rig->arg * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (rig->arg >> 33) % 10 != 0;
}

static unsigned given_up_somewhere(struct rig *rig)
{
    unsigned count = 0;
    for (unsigned i = 0; i < rig->hosts; i++)
        for (unsigned j = 0; j < rig->hosts; j++)
            count += i != j && (flags_at(rig, i, j) & QP_REPLICA_RETIRED);
    return count;
}

/* Each has to take a snapshot from each at most, and with it comes whom the giver has given up: that must not undo
 * what was done. */
static void who_were_all_cut_off_from_each_other_meet_again(void **unused)
{
    (void)unused;
    struct rig rig;
    begin(&rig, 10, 0);
    rig.fate = nothing_arrives;
    rig_pass(&rig, 3 * FORGET_MS);
    assert_int_equal(given_up_somewhere(&rig), 90);
    rig.fate = one_in_ten_is_lost;
    rig_pass(&rig, 1200 * RIG_ROUND_MS);
    assert_int_equal(given_up_somewhere(&rig), 0);
    for (unsigned i = 0; i < rig.hosts; i++) {
        assert_true(rig.core[i]->ledger->joined);
        rig_add(&rig, i, "a", 1);
    }
    rig_pass(&rig, 50 * RIG_ROUND_MS);
    rig_assert_all(&rig, "a", 10);
    rig_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_was_given_up_brings_nothing_back),
        cmocka_unit_test(whom_a_sleeper_announces_brings_nothing_back),
        cmocka_unit_test(who_finds_a_host_gone_brings_nothing_back),
        cmocka_unit_test(whom_a_joiner_announces_brings_nothing_back),
        cmocka_unit_test(who_is_announced_is_waited_for),
        cmocka_unit_test(who_knows_less_gives_nobody_up),
        cmocka_unit_test(who_is_out_of_reach_of_the_giver_brings_nothing_back),
        cmocka_unit_test(who_were_all_cut_off_from_each_other_meet_again),
    };
    return cmocka_run_group_tests_name("core_returned", tests, NULL, NULL);
}
