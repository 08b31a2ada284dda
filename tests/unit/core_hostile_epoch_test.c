/* SPDX-License-Identifier: MIT */
/* core_hostile_epoch_test.c: epochs at the caps: no word of one host leaves a key without a next epoch, or with one
 * that only some believe. */
#include "core_liar.h"

#include <errno.h>

static struct qp_wire_record point_at(const struct liar *liar, struct qp_point *point, uint64_t epoch)
{
    *point = (struct qp_point){.epoch = epoch, .count = 1};
    return liar_item(liar, "a", point);
}

static struct qp_wire_record delete_at(const struct liar *liar, struct qp_point *point, uint64_t floor)
{
    struct qp_wire_record record = liar_item(liar, "a", point);
    record.item.tombstone = (struct qp_version){liar->rig->now_ms << 16, liar->replica};
    record.item.floor = floor;
    record.item.point_count = 0;
    return record;
}

static uint64_t highest(const struct rig *rig)
{
    return (rig->now_ms + QP_SKEW_MAX_MS) << 16 | 0xffff;
}

static void one_epoch(uint64_t epoch, enum qp_refusal why)
{
    struct rig rig;
    struct liar liar;
    struct qp_point point = {0};
    rig_begin(&rig, 3, NULL);
    rig_add(&rig, 0, "a", 5);
    rig_rounds(&rig, 5);
    liar_begin(&liar, &rig, 2);
    struct qp_wire_record records[] = {point_at(&liar, &point, epoch), delete_at(&liar, &point, epoch)};
    liar_delta(&liar, 0, &records[0], 1);
    assert_int_equal(liar_peer(&liar, 0)->figures.refused[why], 1);
    liar_delta(&liar, 0, &records[1], 1);
    assert_int_equal(liar_peer(&liar, 0)->figures.refused[why], 2);
    rig_add(&rig, 0, "a", 5);
    rig_rounds(&rig, 5);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(rig_total(&rig, i, "a"), 10);
    rig_end(&rig);
}

static void an_epoch_that_no_resets_lead_to_is_refused(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 1, NULL);
    uint64_t above = highest(&rig) + (UINT64_C(1000) << 16); /* what passes meanwhile */
    rig_end(&rig);
    one_epoch(UINT64_C(1) << 62, QP_REFUSED_MALFORMED);
    one_epoch(QP_PLAIN_EPOCH_HEARD_MAX + 1, QP_REFUSED_MALFORMED);
    one_epoch(QP_PLAIN_EPOCH_HEARD_MAX - 1, QP_REFUSED_SKEW);
    one_epoch(above, QP_REFUSED_SKEW);
}

/* The highest epoch that is believed, by a point or by a delete, or one that is not: whoever believes it follows it,
 * and resets, deletes and counts go on, and are heard. */
static void go_on_from(bool deleted, bool believed)
{
    struct rig rig;
    struct liar liar;
    struct qp_point point = {0};
    int64_t ended;
    rig_begin(&rig, 3, NULL);
    rig_add(&rig, 0, "a", 5);
    rig_rounds(&rig, 5);
    liar_begin(&liar, &rig, 2);
    uint64_t epoch = believed ? highest(&rig) : QP_PLAIN_EPOCH_HEARD_MAX - deleted;
    struct qp_wire_record record = deleted ? delete_at(&liar, &point, epoch) : point_at(&liar, &point, epoch);
    for (unsigned i = 0; i < 2; i++) {
        liar.sequence -= i;
        liar_delta(&liar, i, &record, 1);
        assert_int_equal(liar_peer(&liar, i)->figures.refused[QP_REFUSED_SKEW], !believed);
    }
    for (unsigned i = 0; i < 6; i++) {
        rig_add(&rig, 0, "a", 3);
        rig_add(&rig, 1, "a", 4);
        rig_rounds(&rig, 20);
        int64_t more = i == 0 ? believed ? !deleted : 5 : 0; /* and what was there before */
        for (unsigned host = 0; host < 2; host++)
            assert_int_equal(rig_total(&rig, host, "a"), 7 + more);
        if (i % 2)
            assert_int_equal(sim_store_reset(rig.store[i / 2 % 2], "a", 1, rig.now_ms, &ended), 0);
        else
            assert_int_equal(sim_store_delete(rig.store[i / 2 % 2], "a", 1, rig.now_ms, &ended), 0);
        rig_rounds(&rig, 20);
        for (unsigned host = 0; host < 2; host++)
            assert_int_equal(rig_total(&rig, host, "a"), 0);
    }
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(rig_peer(&rig, i, !i)->figures.refused[QP_REFUSED_MALFORMED], 0);
    rig_end(&rig);
}

static void after_the_highest_epoch_there_are_others(void **unused)
{
    (void)unused;
    go_on_from(false, true);
    go_on_from(true, true);
    go_on_from(false, false);
    go_on_from(true, false);
}

/* Windows have 65,535 resets. A host that says that they are used up is believed until the window is over. */
static struct sim_strategy limited(void *arg, const void *key, size_t key_bytes)
{
    (void)arg, (void)key, (void)key_bytes;
    return (struct sim_strategy){.kind = QP_KIND_LIMIT, .algorithm = SIM_FIXED, .window_ms = 2000, .limit = 100};
}

static void a_windows_last_reset_ends_with_the_window(void **unused)
{
    (void)unused;
    struct rig rig;
    struct liar liar;
    struct qp_point point = {.count = 1};
    struct sim_store_config config = {.strategy = limited};
    int64_t ended;
    uint64_t epoch;
    rig_begin(&rig, 3, &config);
    assert_int_equal(sim_store_take(rig.store[0], "a", 1, 5, rig.now_ms, &epoch), 1);
    rig_rounds(&rig, 3);
    liar_begin(&liar, &rig, 2);
    point.epoch = (rig.now_ms / 2000 * 2000) << 16 | 0xffff;
    struct qp_wire_record record = liar_item(&liar, "a", &point);
    record.item.kind = QP_KIND_LIMIT;
    record.item.window_ms = 2000;
    liar_delta(&liar, 0, &record, 1);
    struct qp_wire_record dead = record;
    dead.item.tombstone = (struct qp_version){rig.now_ms << 16, liar.replica};
    dead.item.floor = point.epoch;
    dead.item.point_count = 0;
    liar_delta(&liar, 0, &dead, 1);
    assert_int_equal(liar_peer(&liar, 0)->figures.refused[QP_REFUSED_MALFORMED], 1);
    assert_int_equal(sim_store_reset(rig.store[0], "a", 1, rig.now_ms, &ended), -EOVERFLOW);
    rig_rounds(&rig, 20);
    assert_int_equal(sim_store_take(rig.store[0], "a", 1, 7, rig.now_ms, &epoch), 1);
    assert_int_equal(sim_store_reset(rig.store[0], "a", 1, rig.now_ms, &ended), 0);
    assert_int_equal(ended, 7);
    assert_int_equal(sim_store_take(rig.store[0], "a", 1, 8, rig.now_ms, &epoch), 1);
    rig_rounds(&rig, 3);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(rig_total(&rig, i, "a"), 8);
    rig_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_epoch_that_no_resets_lead_to_is_refused),
        cmocka_unit_test(after_the_highest_epoch_there_are_others),
        cmocka_unit_test(a_windows_last_reset_ends_with_the_window),
    };
    return cmocka_run_group_tests_name("core_hostile_epoch", tests, NULL, NULL);
}
