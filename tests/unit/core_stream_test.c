/* SPDX-License-Identifier: MIT */
/* core_stream_test.c: two and more hosts tell each other what they counted, over a network that loses, doubles and
 * reorders; and say nothing when nothing has changed. */
#include "core_unit.h"

#include <errno.h>

static void counts_meet(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 2, NULL);
    rig_add(&rig, 0, "a", 3);
    rig_add(&rig, 1, "a", 4);
    rig_rounds(&rig, 3);
    rig_assert_all(&rig, "a", 7);
    rig_add(&rig, 0, "a", 10);
    rig_rounds(&rig, 2);
    rig_assert_all(&rig, "a", 17);
    rig_end(&rig);
}

static void a_delete_travels(void **unused)
{
    (void)unused;
    struct rig rig;
    int64_t ended;
    rig_begin(&rig, 3, NULL);
    for (unsigned i = 0; i < 3; i++)
        rig_add(&rig, i, "a", 5);
    rig_rounds(&rig, 4);
    rig_assert_all(&rig, "a", 15);
    assert_int_equal(sim_store_delete(rig.store[1], "a", 1, rig.now_ms, &ended), 0);
    rig_rounds(&rig, 4);
    for (unsigned i = 0; i < 3; i++)
        assert_false(rig_is_there(&rig, i, "a"));
    rig_add(&rig, 2, "a", 2);
    rig_rounds(&rig, 3);
    rig_assert_all(&rig, "a", 2);
    rig_end(&rig);
}

static void a_reset_travels(void **unused)
{
    (void)unused;
    struct rig rig;
    int64_t ended;
    rig_begin(&rig, 3, NULL);
    for (unsigned i = 0; i < 3; i++)
        rig_add(&rig, i, "a", 5);
    rig_rounds(&rig, 4);
    assert_int_equal(sim_store_reset(rig.store[0], "a", 1, rig.now_ms, &ended), 0);
    rig_rounds(&rig, 4);
    rig_assert_all(&rig, "a", 0);
    rig_add(&rig, 1, "a", 1);
    rig_rounds(&rig, 3);
    rig_assert_all(&rig, "a", 1);
    rig_end(&rig);
}

static void a_register_is_of_the_last_writer(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 3, NULL);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(sim_store_set(rig.store[i], "r", 1, 10 + i, rig.now_ms + i), 0);
        rig_rounds(&rig, 1);
    }
    rig_rounds(&rig, 4);
    rig_assert_all(&rig, "r", 12);
    /* Who misses a version in between has the same digests all the same. */
    rig_kill(&rig, 2);
    assert_int_equal(sim_store_set(rig.store[0], "r", 1, 20, rig.now_ms), 0);
    rig_rounds(&rig, 2);
    assert_int_equal(sim_store_set(rig.store[0], "r", 1, 21, rig.now_ms), 0);
    rig_rounds(&rig, 2);
    rig_start(&rig, 2);
    rig_rounds(&rig, 20);
    rig_assert_all(&rig, "r", 21);
    rig_end(&rig);
}

/* HELLO every 5 s, digests every 5 s, and no delta. */
static void nothing_is_said_of_nothing(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 2, NULL);
    rig_add(&rig, 0, "a", 3);
    rig_rounds(&rig, 30);
    uint64_t deltas = rig.sent[QP_FRAME_DELTA], acks = rig.sent[QP_FRAME_ACK], hellos = rig.sent[QP_FRAME_HELLO];
    uint64_t harvested = rig.core[0]->figures.harvested;
    rig_rounds(&rig, 200);
    assert_int_equal(rig.sent[QP_FRAME_DELTA], deltas);
    assert_int_equal(rig.sent[QP_FRAME_ACK], acks);
    assert_in_range(rig.sent[QP_FRAME_HELLO] - hellos, 4, 10);
    assert_int_equal(rig.core[0]->figures.harvested, harvested);
    rig_end(&rig);
}

static uint32_t draw(struct rig *rig)
{
    rig->arg = rig->arg * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(rig->arg >> 33);
}

static unsigned lossy(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)from, (void)to, (void)head, (void)bytes, (void)count;
    rig->newest_first = draw(rig) & 1;
    uint32_t d = draw(rig) % 10;
    return d < 4 ? 0 : d < 8 ? 1 : 3;
}

static void a_bad_network_costs_time_only(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct rig rig;
        struct sim_store_config store = {.slots = 300};
        int64_t total[50] = {0};
        rig_begin(&rig, 3, &store);
        rig.fate = lossy;
        rig.arg = seed;
        for (unsigned round = 0; round < 60; round++) {
            for (unsigned i = 0; i < 3; i++) {
                char key[16];
                unsigned k = draw(&rig) % 50, n = draw(&rig) % 5;
                snprintf(key, sizeof key, "key%u", k);
                rig_add(&rig, i, key, n);
                total[k] += n;
            }
            rig_rounds(&rig, 1);
        }
        rig_rounds(&rig, 100);
        for (unsigned k = 0; k < 50; k++) {
            char key[16];
            snprintf(key, sizeof key, "key%u", k);
            rig_assert_all(&rig, key, total[k]);
        }
        rig_end(&rig);
    }
}

/* More than a frame, and more frames than may be under way. */
static void a_backlog_is_cut_into_frames(void **unused)
{
    (void)unused;
    struct rig rig;
    struct sim_store_config store = {.slots = 3001};
    rig_begin(&rig, 2, &store);
    rig_rounds(&rig, 2);
    rig_end(&rig);
    rig_begin(&rig, 2, &store);
    for (unsigned i = 0; i < 2; i++)
        rig.core[i]->config.frame_bytes_max = QP_FRAME_BYTES_MIN;
    for (unsigned k = 0; k < 3000; k++) {
        char key[40];
        snprintf(key, sizeof key, "a somewhat longer key, number %u", k);
        rig_add(&rig, 0, key, k);
    }
    rig_rounds(&rig, 4);
    assert_true(rig.sent[QP_FRAME_DELTA] > 4);
    assert_int_equal(rig_total(&rig, 1, "a somewhat longer key, number 2999"), 2999);
    assert_int_equal(rig_peer(&rig, 0, 1)->acked, rig.core[0]->ledger->sequence);
    rig_end(&rig);
}

static unsigned drop_deltas(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)rig, (void)from, (void)to, (void)bytes, (void)count;
    return head->type != QP_FRAME_DELTA;
}

static unsigned drop_acks(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)rig, (void)from, (void)to, (void)bytes, (void)count;
    return head->type != QP_FRAME_ACK;
}

static void so_much_is_under_way_and_no_more(void **unused)
{
    (void)unused;
    struct rig rig;
    struct sim_store_config store = {.slots = 20001};
    rig_begin(&rig, 2, &store);
    rig_rounds(&rig, 3);
    rig.core[0]->config.frame_bytes_max = QP_FRAME_BYTES_MIN;
    for (unsigned k = 0; k < 20000; k++) {
        char key[64];
        snprintf(key, sizeof key, "%x%x%x%x", k * 2654435761u, k * 40503u, k * 2246822519u, k);
        rig_add(&rig, 0, key, k);
    }
    rig.fate = drop_acks;
    uint64_t deltas = rig.sent[QP_FRAME_DELTA];
    rig_rounds(&rig, 1);
    assert_int_equal(rig.sent[QP_FRAME_DELTA] - deltas, 4);
    rig.fate = NULL;
    rig_rounds(&rig, 20);
    assert_true(rig.sent[QP_FRAME_DELTA] - deltas > 8);
    assert_int_equal(rig_peer(&rig, 0, 1)->acked, rig.core[0]->ledger->sequence);
    rig_end(&rig);
}

/* What is not acknowledged is one statement a key, however often it changed. */
static void what_waits_is_compacted(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 2, NULL);
    rig_rounds(&rig, 3);
    rig.fate = drop_deltas;
    for (unsigned i = 0; i < 100; i++) {
        rig_add(&rig, 0, i & 1 ? "a" : "b", 1);
        rig_rounds(&rig, 1);
    }
    assert_int_equal(rig.core[0]->log.count, 3); /* with the announcement of the other host */
    rig.fate = NULL;
    uint64_t deltas = rig.sent[QP_FRAME_DELTA];
    rig_rounds(&rig, 10);
    assert_int_equal(rig.sent[QP_FRAME_DELTA] - deltas, 1);
    rig_assert_all(&rig, "a", 50);
    rig_assert_all(&rig, "b", 50);
    rig_end(&rig);
}

static void a_killed_agent_goes_on_where_it_was(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 3, NULL);
    rig_add(&rig, 0, "a", 1);
    rig_add(&rig, 0, "unchanged", 1);
    rig_rounds(&rig, 4);
    uint64_t sequence = rig.core[0]->ledger->sequence;
    rig_kill(&rig, 0);
    rig_add(&rig, 0, "a", 2);
    rig_add(&rig, 1, "a", 4);
    rig_add(&rig, 1, "b", 8);
    rig_rounds(&rig, 5);
    rig_start(&rig, 0);
    uint64_t deltas = rig.sent[QP_FRAME_DELTA];
    rig_rounds(&rig, 4);
    rig_assert_all(&rig, "a", 7);
    rig_assert_all(&rig, "b", 8);
    assert_int_equal(rig.core[0]->ledger->sequence, sequence + 1);
    assert_in_range(rig.sent[QP_FRAME_DELTA] - deltas, 3, 4); /* one of ours to each, and what we missed */
    rig_end(&rig);
}

static void a_full_transport_gives_back(void **unused)
{
    (void)unused;
    struct rig rig;
    uint32_t number;
    const void *bytes;
    size_t count;
    rig_begin(&rig, 2, NULL);
    rig_rounds(&rig, 3);
    rig_add(&rig, 0, "a", 1);
    rig.now_ms += 100;
    qp_core_on_tick(rig.core[0], rig.now_ms);
    assert_true(qp_core_next_out(rig.core[0], rig.now_ms, &number, &bytes, &count));
    qp_core_out_refused(rig.core[0], number);
    assert_false(qp_core_next_out(rig.core[0], rig.now_ms, &number, &bytes, &count));
    rig_add(&rig, 0, "a", 1);
    rig_rounds(&rig, 2);
    rig_assert_all(&rig, "a", 2);
    rig_end(&rig);
}

/* More than 16: some are drawn in each round, and all hear in the end. */
static void many_hosts_hear_in_turn(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, HOSTS_MAX, NULL);
    rig_rounds(&rig, 60);
    rig_add(&rig, 7, "a", 1);
    uint64_t deltas = rig.sent[QP_FRAME_DELTA];
    rig_rounds(&rig, 1);
    assert_true(rig.sent[QP_FRAME_DELTA] > deltas);
    assert_true(rig.sent[QP_FRAME_DELTA] - deltas <= 5); /* its own: nobody else has news */
    rig_rounds(&rig, 60);
    rig_assert_all(&rig, "a", 1);
    rig_end(&rig);
}

/* Bit 0 of arg: hosts 0 and 1 are cut off from each other; bit 1: deltas from 0 to 1 are lost. Hosts 1 and 2 are cut off
 * until bit 2. */
static unsigned apart(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)bytes, (void)count;
    if (from + to == 1)
        return !(rig->arg & 1) && !(rig->arg & 2 && from == 0 && head->type == QP_FRAME_DELTA);
    return from + to != 3 || rig->arg & 4;
}

/* Host 0 has heard of a delete, and has no room to say so; what it had said before is said to host 1 all the same, for
 * host 1 passes that place, and who has passed it decides what others may keep. */
static void a_place_says_the_old_when_the_new_is_not_said_yet(void **unused)
{
    (void)unused;
    struct rig rig;
    int64_t ended;
    rig_begin(&rig, 3, NULL);
    rig_rounds(&rig, 3);
    rig_add(&rig, 0, "a", 1);
    rig_rounds(&rig, 20);
    rig.fate = apart;
    rig.arg = 1;
    rig_rounds(&rig, 1);
    assert_int_equal(sim_store_delete(rig.store[1], "a", 1, rig.now_ms, &ended), 0);
    rig_rounds(&rig, 1);
    assert_int_equal(sim_store_reset(rig.store[0], "a", 1, rig.now_ms, &ended), 0);
    rig_add(&rig, 0, "a", 6);
    rig_rounds(&rig, 2);
    assert_int_equal(rig_total(&rig, 2, "a"), 6);
    rig.arg = 2;
    while (sim_store_look(rig.store[0], "a", 1)->tombstone.timestamp == 0)
        rig_rounds(&rig, 1);
    sim_store_refuse(rig.store[0], 1000);
    assert_int_equal(sim_store_look(rig.store[0], "a", 1)->stated, 0);
    rig.arg = 0;
    rig_rounds(&rig, 7);
    assert_int_equal(qp_replica_knowledge(rig.core[1], rig_replica(0)), rig.core[0]->ledger->sequence);
    assert_int_equal(rig_total(&rig, 1, "a"), 6);
    rig_kill(&rig, 0);
    rig.arg = 4;
    qp_join_fence(rig.core[2], NULL);
    rig_rounds(&rig, 100);
    assert_int_equal(rig_total(&rig, 2, "a"), 6);
    rig_end(&rig);
}

/* Rates change while it is at work; what buffers and peers go by does not. */
static void rates_change_at_once(void **unused)
{
    (void)unused;
    struct rig rig;
    struct sim_store_config store = {.slots = 30};
    rig_begin(&rig, 2, &store);
    rig_rounds(&rig, 4);
    struct qp_core *core = rig.core[0];
    struct qp_core_config before = core->config, wanted = {.round_ms = 20, .cluster = before.cluster + 1, .credit = 7};
    uint64_t now_ms = rig.now_ms + before.round_ms, rounds = core->figures.rounds;
    assert_int_equal(qp_core_on_tick(core, now_ms), now_ms + before.round_ms);
    assert_int_equal(qp_core_configure(core, &wanted), 0);
    assert_int_equal(qp_core_on_tick(core, now_ms + 1), now_ms + 21);
    assert_int_equal(qp_core_on_tick(core, now_ms + 20), now_ms + 21);
    assert_int_equal(core->figures.rounds, rounds + 2);
    assert_int_equal(core->config.credit, 7);
    assert_int_equal(core->config.cluster, before.cluster);
    assert_int_equal(core->config.frame_bytes_max, before.frame_bytes_max);
    wanted.credit = QP_CREDIT_MAX + 1;
    wanted.round_ms = 50;
    assert_int_equal(qp_core_configure(core, &wanted), -EINVAL);
    assert_int_equal(core->config.round_ms, 20);
    rig.now_ms = now_ms + 20;
    rig_add(&rig, 0, "a", 1);
    rig_rounds(&rig, 4);
    rig_assert_all(&rig, "a", 1);
    rig_end(&rig);
}

static struct sim_strategy all_are_limits(void *arg, const void *key, size_t key_bytes)
{
    (void)arg, (void)key, (void)key_bytes;
    return (struct sim_strategy){.kind = QP_KIND_LIMIT, .algorithm = SIM_FIXED, .window_ms = 3600000, .limit = 100};
}

/* Many keys that are stated in each round, and so are ahead again of the one that is being looked at. */
static void take_some(struct rig *rig, unsigned *turn, unsigned rounds)
{
    while (rounds-- > 0) {
        for (unsigned i = 0; i < 50; i++) {
            char key[] = {'b', (char)('0' + *turn / 10 % 10), (char)('0' + *turn % 10)};
            uint64_t epoch;
            *turn += 1;
            assert_int_equal(sim_store_take(rig->store[0], key, sizeof key, 1, rig->now_ms, &epoch), 1);
        }
        rig_rounds(rig, 1);
    }
}

/* The others leave the log all the same. */
static void who_left_is_missed_while_others_count(void **unused)
{
    (void)unused;
    struct rig rig;
    struct sim_store_config store = {.slots = 4096, .strategy = all_are_limits};
    char key[] = "a";
    unsigned turn = 0;
    uint64_t epoch;
    rig_begin(&rig, 2, &store);
    for (; *key <= 'z'; ++*key)
        assert_int_equal(sim_store_take(rig.store[0], key, 1, 1, rig.now_ms, &epoch), 1);
    rig_rounds(&rig, 1);
    take_some(&rig, &turn, 20);
    uint64_t there = rig.core[0]->log.count;
    for (*key = 'n'; *key <= 'z'; ++*key)
        sim_store_evict(rig.store[0], key, 1, rig.now_ms);
    take_some(&rig, &turn, 40);
    assert_int_equal(rig.core[0]->log.count, there - 13);
    rig_end(&rig);
}

/* What is put out for want of room leaves no mark: it is missed sooner the fewer keys there are. */
static void who_left_without_a_word_is_missed(void **unused)
{
    (void)unused;
    struct rig rig;
    struct sim_store_config store = {.slots = 4096, .strategy = all_are_limits};
    char key[] = "a";
    uint64_t epoch;
    rig_begin(&rig, 2, &store);
    for (; *key <= 'z'; ++*key)
        assert_int_equal(sim_store_take(rig.store[0], key, 1, 1, rig.now_ms, &epoch), 1);
    rig_rounds(&rig, 3);
    uint64_t there = rig.core[0]->log.count;
    for (*key = 'n'; *key <= 'z'; ++*key)
        sim_store_evict(rig.store[0], key, 1, rig.now_ms);
    rig_rounds(&rig, 7); /* 4 of 8 keys each, and one begins anew */
    assert_int_equal(rig.core[0]->log.count, there - 13);
    rig_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_meet),
        cmocka_unit_test(a_delete_travels),
        cmocka_unit_test(a_reset_travels),
        cmocka_unit_test(a_register_is_of_the_last_writer),
        cmocka_unit_test(nothing_is_said_of_nothing),
        cmocka_unit_test(a_backlog_is_cut_into_frames),
        cmocka_unit_test(so_much_is_under_way_and_no_more),
        cmocka_unit_test(what_waits_is_compacted),
        cmocka_unit_test(a_killed_agent_goes_on_where_it_was),
        cmocka_unit_test(a_full_transport_gives_back),
        cmocka_unit_test(many_hosts_hear_in_turn),
        cmocka_unit_test(a_bad_network_costs_time_only),
        cmocka_unit_test(a_place_says_the_old_when_the_new_is_not_said_yet),
        cmocka_unit_test(rates_change_at_once),
        cmocka_unit_test(who_left_without_a_word_is_missed),
        cmocka_unit_test(who_left_is_missed_while_others_count),
    };
    return cmocka_run_group_tests_name("core_stream", tests, NULL, NULL);
}
