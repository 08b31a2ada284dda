/* SPDX-License-Identifier: MIT */
/* core_hostile_grave_test.c: graves that nobody has dug: they end no key that lives, and put out no grave that
 * somebody needs; and graves of two ages, which honest hosts may come to have. */
#include "core_liar.h"

#define GRACE_MS 500u
#define FORGET_MS 20000u

static void begin(struct rig *rig, unsigned hosts, uint32_t graves)
{
    struct sim_store_config config = {.graves = graves};
    rig_begin(rig, hosts, &config);
    rig->config.tombstone_grace_ms = GRACE_MS;
    rig->config.forget_after_ms = FORGET_MS;
    rig_begin_again(rig);
}

static bool has_grave(const struct rig *rig, unsigned host, uint64_t hash, uint64_t *floor)
{
    return qp_grave_find(rig->core[host], hash, false, floor);
}

static struct qp_wire_record grave_of(const char *key, uint64_t floor, bool is_register)
{
    return (struct qp_wire_record){
        .kind = QP_RECORD_GRAVE, .hash = qp_wire_key_hash(key, strlen(key)), .floor = floor, .is_register = is_register};
}

static uint64_t refused_of(const struct qp_peer *peer)
{
    uint64_t sum = 0;
    for (unsigned why = 0; why < QP_REFUSAL_COUNT; why++)
        sum += peer->figures.refused[why];
    return sum;
}

static void one_floor(uint64_t floor, enum qp_refusal why)
{
    struct rig rig;
    struct liar liar;
    begin(&rig, 3, 0);
    rig_add(&rig, 0, "a", 5);
    rig_add(&rig, 1, "a", 5);
    rig_rounds(&rig, 5);
    liar_begin(&liar, &rig, 2);
    struct qp_wire_record grave = grave_of("a", floor, false);
    liar_delta(&liar, 0, &grave, 1);
    assert_int_equal(liar_peer(&liar, 0)->figures.refused[why], 1);
    assert_int_equal(rig.core[0]->figures.graves, 0);
    for (unsigned i = 0; i < 10; i++) {
        rig_add(&rig, 0, "a", 1);
        rig_add(&rig, 1, "a", 1);
        rig_rounds(&rig, 5);
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(rig_total(&rig, i, "a"), 30);
        assert_int_equal(refused_of(rig_peer(&rig, i, !i)), 0);
    }
    rig_end(&rig);
}

static void a_floor_that_leaves_no_epoch_is_refused(void **unused)
{
    (void)unused;
    one_floor((UINT64_C(1) << 62) + 1, QP_REFUSED_MALFORMED); /* beyond what a frame may say */
    one_floor(UINT64_C(1) << 62, QP_REFUSED_MALFORMED);
    one_floor((UINT64_C(1) << 62) - 1, QP_REFUSED_MALFORMED);
    one_floor(QP_PLAIN_EPOCH_HEARD_MAX, QP_REFUSED_MALFORMED);
    one_floor(QP_PLAIN_EPOCH_HEARD_MAX - 1, QP_REFUSED_SKEW);
    one_floor((UINT64_C(1700006400000) + QP_SKEW_MAX_MS + 3600000) << 16, QP_REFUSED_SKEW);
}

/* It ends what was counted, as a delete does, which is anybody's right; and nothing that is counted afterwards,
 * however often the key is deleted then. */
static void the_highest_floor_ends_nothing_that_comes(void **unused)
{
    (void)unused;
    struct rig rig;
    struct liar liar;
    int64_t ended;
    begin(&rig, 3, 0);
    rig_add(&rig, 0, "a", 5);
    rig_rounds(&rig, 5);
    liar_begin(&liar, &rig, 2);
    struct qp_wire_record grave = grave_of("a", (rig.now_ms + QP_SKEW_MAX_MS) << 16 | 0xffff, false);
    liar_delta(&liar, 0, &grave, 1);
    assert_int_equal(refused_of(liar_peer(&liar, 0)), 0);
    rig_rounds(&rig, 10);
    for (unsigned i = 0; i < 5; i++) {
        rig_add(&rig, 0, "a", 3);
        rig_add(&rig, 1, "a", 4);
        rig_rounds(&rig, 10);
        for (unsigned host = 0; host < 2; host++)
            assert_int_equal(rig_total(&rig, host, "a"), 7);
        assert_int_equal(sim_store_delete(rig.store[i % 2], "a", 1, rig.now_ms, &ended), 0);
        assert_int_equal(ended, i % 2 ? 4 : 3);
        rig_rounds(&rig, 10);
        for (unsigned host = 0; host < 2; host++)
            assert_false(rig_is_there(&rig, host, "a"));
    }
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(rig_peer(&rig, i, !i)->figures.refused[QP_REFUSED_MALFORMED], 0);
    rig_end(&rig);
}

static void a_register_is_not_ended_from_the_future(void **unused)
{
    (void)unused;
    struct rig rig;
    struct liar liar;
    begin(&rig, 3, 0);
    assert_int_equal(sim_store_set(rig.store[0], "word", 4, 7, rig.now_ms), 0);
    rig_rounds(&rig, 5);
    liar_begin(&liar, &rig, 2);
    struct qp_wire_record graves[] = {grave_of("word", UINT64_MAX, true), grave_of("word", UINT64_C(0xffff) << 48, true),
                                      grave_of("word", (rig.now_ms + QP_SKEW_MAX_MS + 1) << 16, true)};
    liar_delta(&liar, 0, graves, 3);
    assert_int_equal(liar_peer(&liar, 0)->figures.refused[QP_REFUSED_SKEW], 3);
    for (int64_t i = 0; i < 5; i++) {
        assert_int_equal(sim_store_set(rig.store[0], "word", 4, 100 + i, rig.now_ms), 0);
        rig_rounds(&rig, 5);
        for (unsigned host = 0; host < 2; host++)
            assert_int_equal(rig_total(&rig, host, "word"), 100 + i);
    }
    rig_end(&rig);
}

/* A counter's grave says nothing of a register of that name, nor the other way round. */
static void a_grave_of_another_kind_is_another_keys(void **unused)
{
    (void)unused;
    struct rig rig;
    struct liar liar;
    begin(&rig, 3, 0);
    rig_add(&rig, 0, "a", 5);
    assert_int_equal(sim_store_set(rig.store[0], "word", 4, 7, rig.now_ms), 0);
    rig_rounds(&rig, 5);
    liar_begin(&liar, &rig, 2);
    uint64_t floor = (rig.now_ms + QP_SKEW_MAX_MS) << 16;
    struct qp_wire_record graves[] = {grave_of("word", floor, false), grave_of("a", floor, true)};
    liar_delta(&liar, 0, graves, 2);
    assert_int_equal(rig.core[0]->figures.graves, 2);
    rig_rounds(&rig, 5);
    rig_add(&rig, 0, "a", 3);
    assert_int_equal(sim_store_set(rig.store[1], "word", 4, 8, rig.now_ms), 0);
    rig_rounds(&rig, 10);
    for (unsigned host = 0; host < 2; host++) {
        assert_int_equal(rig_total(&rig, host, "a"), 8);
        assert_int_equal(rig_total(&rig, host, "word"), 8);
    }
    rig_end(&rig);
}

/* ---- more than there is room for ------------------------------------------------------------------------------------------------ */

#define GRAVES 128u

/* Hashes that stand in one window, if places went by their lowest bits. */
static void flood(struct liar *liar, unsigned to, uint64_t hash)
{
    static struct qp_wire_record graves[4 * GRAVES];
    for (unsigned i = 0; i < 4 * GRAVES; i++)
        graves[i] = (struct qp_wire_record){.kind = QP_RECORD_GRAVE, .hash = hash + (uint64_t)GRAVES * (i + 1), .floor = 1};
    liar->rig->now_ms += 100; /* younger than what is there */
    liar_delta(liar, to, graves, 4 * GRAVES);
}

static void dig_some(struct rig *rig, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        qp_grave_dig(rig->core[0], qp_wire_key_hash(&i, sizeof i), false, 1, true);
}

static unsigned count_dug(const struct rig *rig, unsigned host, unsigned to)
{
    unsigned found = 0;
    uint64_t floor;
    for (unsigned i = 0; i < to; i++)
        found += has_grave(rig, host, qp_wire_key_hash(&i, sizeof i), &floor);
    return found;
}

/* A key that was deleted and collected leaves a grave on all hosts, which tell each other what they hear. */
static void no_flood_puts_out_a_grave(void **unused)
{
    (void)unused;
    struct rig rig;
    struct liar liar;
    int64_t ended;
    uint64_t floor, hash = qp_wire_key_hash("a", 1);
    begin(&rig, 3, GRAVES);
    rig_add(&rig, 0, "a", 5);
    rig_rounds(&rig, 5);
    assert_int_equal(sim_store_delete(rig.store[0], "a", 1, rig.now_ms, &ended), 0);
    rig_pass(&rig, 30 * RIG_ROUND_MS);
    liar_begin(&liar, &rig, 2);
    uint64_t sequence = liar.sequence;
    flood(&liar, 0, hash);
    liar.sequence = sequence;
    flood(&liar, 1, hash + 1); /* others: each has something to tell */
    rig_rounds(&rig, 10);
    for (unsigned i = 0; i < 2; i++) {
        assert_in_range(rig.core[i]->figures.graves, GRAVES / 2, GRAVES);
        assert_true(has_grave(&rig, i, hash, &floor));
    }
    /* Each has told the other what it has, once. */
    uint64_t said = rig.core[0]->ledger->sequence + rig.core[1]->ledger->sequence;
    rig_rounds(&rig, 50);
    assert_int_equal(rig.core[0]->ledger->sequence + rig.core[1]->ledger->sequence, said);
    /* What we dig ourselves finds room among the others. */
    dig_some(&rig, 0, GRAVES / 4);
    assert_int_equal(count_dug(&rig, 0, GRAVES / 4), GRAVES / 4);
    assert_true(has_grave(&rig, 0, hash, &floor));
    rig_end(&rig);
}

static void where_all_graves_are_our_own_none_gives_way(void **unused)
{
    (void)unused;
    struct rig rig;
    struct liar liar;
    begin(&rig, 3, GRAVES);
    dig_some(&rig, 0, 8 * GRAVES);
    unsigned before = count_dug(&rig, 0, 8 * GRAVES);
    assert_int_equal(before, GRAVES);
    liar_begin(&liar, &rig, 2);
    flood(&liar, 0, 77);
    assert_int_equal(count_dug(&rig, 0, 8 * GRAVES), before);
    rig_end(&rig);
}

/* A tombstone of its own minting at the first place of its stream, which we know: OLD, and answered by a grave. */
static void old_tombstones(struct liar *liar, unsigned to, unsigned count)
{
    char key[32];
    struct qp_frame frame;
    for (unsigned i = 0; i < count; i++) {
        liar->rig->now_ms++;
        snprintf(key, sizeof key, "nobody's %u", i);
        struct qp_wire_record record = {.kind = QP_RECORD_ITEM,
                                        .sequence = ++liar->sequence,
                                        .item = {.key = (uint8_t *)key,
                                                 .key_bytes = (uint32_t)strlen(key),
                                                 .kind = QP_KIND_COUNTER,
                                                 .tombstone = {liar->rig->now_ms << 16, liar->replica},
                                                 .tombstone_sequence = 1,
                                                 .floor = 7}};
        liar_frame(liar, &frame, QP_FRAME_DELTA);
        frame.base = liar->sequence - 1;
        frame.upto = liar->sequence;
        liar_send(liar, to, &frame, &record, 1);
    }
}

static void tombstones_of_nobodys_keys_put_out_no_grave(void **unused)
{
    (void)unused;
    struct rig rig;
    struct liar liar;
    begin(&rig, 3, GRAVES);
    dig_some(&rig, 0, GRAVES / 4);
    rig_rounds(&rig, 5);
    unsigned at_0 = count_dug(&rig, 0, GRAVES / 4), at_1 = count_dug(&rig, 1, GRAVES / 4);
    assert_true(at_0 > 0 && at_1 == at_0);
    liar_begin(&liar, &rig, 2);
    struct qp_wire_record known = {.kind = QP_RECORD_KNOWN, .replica = rig_replica(0)};
    liar_delta(&liar, 0, &known, 1);
    old_tombstones(&liar, 0, 8 * GRAVES);
    assert_int_equal(liar_peer(&liar, 0)->figures.refused[QP_REFUSED_OLD], 8 * GRAVES);
    rig_rounds(&rig, 5);
    assert_int_equal(count_dug(&rig, 0, GRAVES / 4), at_0);
    assert_int_equal(count_dug(&rig, 1, GRAVES / 4), at_1);
    rig_end(&rig);
}

/* ---- honest hosts ------------------------------------------------------------------------------------------------------------------- */

/* Host 1 deletes, host 0 hears of it and collects, and is not heard. */
static unsigned host_0_is_not_heard(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)to, (void)head, (void)bytes, (void)count;
    return !(rig->arg && from == 0);
}

/* Two hosts come to have graves of two ages. The one that loses its grave first makes the key anew, at an epoch that
 * the other one's grave would kill. */
static void graves_of_one_key_end_at_one_time(void **unused)
{
    (void)unused;
    struct rig rig;
    int64_t ended;
    uint64_t floor, hash = qp_wire_key_hash("a", 1);
    begin(&rig, 2, 0);
    rig_add(&rig, 0, "a", 5);
    rig_pass(&rig, 3 * RIG_ROUND_MS);
    rig.fate = host_0_is_not_heard;
    assert_int_equal(sim_store_delete(rig.store[1], "a", 1, rig.now_ms, &ended), 0);
    rig_pass(&rig, RIG_ROUND_MS);
    rig.arg = 1;
    rig_pass(&rig, 20 * RIG_ROUND_MS);
    assert_true(has_grave(&rig, 0, hash, &floor));
    assert_false(has_grave(&rig, 1, hash, &floor));
    rig_pass(&rig, 150 * RIG_ROUND_MS);
    rig.arg = 0;
    rig_pass(&rig, 15 * RIG_ROUND_MS);
    assert_true(has_grave(&rig, 1, hash, &floor));
    unsigned waited = 0;
    while (has_grave(&rig, 0, hash, &floor) && waited++ < 1000)
        rig_pass(&rig, RIG_ROUND_MS);
    assert_in_range(waited, 1, 999);
    rig_add(&rig, 0, "a", 9);
    rig_pass(&rig, 30 * RIG_ROUND_MS);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(rig_total(&rig, i, "a"), 9);
    rig_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_floor_that_leaves_no_epoch_is_refused),
        cmocka_unit_test(the_highest_floor_ends_nothing_that_comes),
        cmocka_unit_test(a_register_is_not_ended_from_the_future),
        cmocka_unit_test(a_grave_of_another_kind_is_another_keys),
        cmocka_unit_test(no_flood_puts_out_a_grave),
        cmocka_unit_test(where_all_graves_are_our_own_none_gives_way),
        cmocka_unit_test(tombstones_of_nobodys_keys_put_out_no_grave),
        cmocka_unit_test(graves_of_one_key_end_at_one_time),
    };
    return cmocka_run_group_tests_name("core_hostile_grave", tests, NULL, NULL);
}
