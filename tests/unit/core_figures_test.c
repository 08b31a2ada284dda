/* SPDX-License-Identifier: MIT */
/* core_figures_test.c: what is told of how two hosts stand with each other is what happened between them: how far one
 * is behind, since when it may lack something, how many rounds an acknowledgement takes. */
#include "core_unit.h"

#define ROUND_MS 100u

static struct qp_peer_figures figures_of(struct rig *rig, unsigned host, unsigned other)
{
    struct qp_peer_figures figures;
    assert_true(qp_core_peer_figures(rig->core[host], other < host ? other : other - 1, &figures));
    return figures;
}

static uint64_t stale_ms(struct rig *rig, unsigned host, unsigned other)
{
    struct qp_peer_figures figures = figures_of(rig, host, other);
    assert_int_not_equal(figures.whole_ms, 0);
    assert_true(figures.whole_ms <= rig->now_ms);
    return rig->now_ms - figures.whole_ms;
}

static void count_for(struct rig *rig, unsigned host, unsigned rounds)
{
    while (rounds-- > 0) {
        rig_add(rig, host, "a", 1);
        rig_rounds(rig, 1);
    }
}

static unsigned nothing(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)rig, (void)from, (void)to, (void)head, (void)bytes, (void)count;
    return 0;
}

static unsigned no_delta(struct rig *rig, unsigned from, unsigned to, struct qp_frame *head, uint8_t *bytes, size_t count)
{
    (void)rig, (void)from, (void)to, (void)bytes, (void)count;
    return head->type != QP_FRAME_DELTA;
}

/* An acknowledgement comes with the round after a delta: so much each round took, and no more of them are counted than
 * there was news. */
static void rounds_are_counted(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 2, NULL);
    rig_rounds(&rig, 5);
    uint32_t first = figures_of(&rig, 0, 1).took_count, theirs = figures_of(&rig, 1, 0).took_count; /* they announce each other */
    count_for(&rig, 0, 20);
    rig_rounds(&rig, 20);
    struct qp_peer_figures figures = figures_of(&rig, 0, 1);
    assert_int_equal(figures.took_count, first + 20);
    assert_int_equal(figures.took_median, 1);
    assert_int_equal(figures.took_p99, 1);
    assert_int_equal(figures.lag, 0);
    assert_int_equal(figures_of(&rig, 1, 0).took_count, theirs);
    rig_end(&rig);
}

/* Ten rounds of news that do not arrive for ten more: the ages of all of them are counted when they do, and are
 * forgotten after as many that went well as are remembered. */
static void what_was_late_is_counted_as_late(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 2, NULL);
    count_for(&rig, 0, 100);
    rig.fate = nothing;
    count_for(&rig, 0, 10);
    rig_rounds(&rig, 10);
    assert_true(figures_of(&rig, 0, 1).lag >= 10);
    rig.fate = NULL;
    rig_rounds(&rig, 10);
    struct qp_peer_figures figures = figures_of(&rig, 0, 1);
    assert_int_equal(figures.took_count, 110);
    assert_int_equal(figures.took_median, 1);
    assert_in_range(figures.took_p99, 19, 27);
    assert_int_equal(figures.lag, 0);
    count_for(&rig, 0, QP_TOOK_LAST + 1);
    figures = figures_of(&rig, 0, 1);
    assert_int_equal(figures.took_count, QP_TOOK_LAST);
    assert_int_equal(figures.took_p99, 1);
    for (uint32_t rounds = 2; rounds <= QP_TOOK_MAX; rounds++)
        assert_int_equal(rig_peer(&rig, 0, 1)->took_times[rounds], 0);
    rig_end(&rig);
}

/* Older than what is remembered of rounds: it is not passed over. */
static void what_was_very_late_counts_too(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 2, NULL);
    rig_rounds(&rig, 3);
    uint32_t first = figures_of(&rig, 0, 1).took_count;
    rig.fate = nothing;
    rig_add(&rig, 0, "a", 1);
    rig_rounds(&rig, 2 * QP_TOOK_MAX);
    rig.fate = NULL;
    rig_rounds(&rig, 10);
    struct qp_peer_figures figures = figures_of(&rig, 0, 1);
    assert_int_equal(figures.took_count, first + 1);
    assert_int_equal(figures.took_p99, QP_TOOK_MAX);
    rig_end(&rig);
}

static void staleness_grows_while_nothing_comes(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 2, NULL);
    count_for(&rig, 0, 10);
    assert_int_equal(stale_ms(&rig, 1, 0), ROUND_MS); /* it came in the round in which it was harvested */
    rig.fate = nothing;
    count_for(&rig, 0, 30);
    assert_int_equal(stale_ms(&rig, 1, 0), 31 * ROUND_MS);
    assert_int_equal(figures_of(&rig, 1, 0).whole_rounds, 30);
    rig.fate = NULL;
    count_for(&rig, 0, 10);
    assert_int_equal(stale_ms(&rig, 1, 0), ROUND_MS);
    assert_int_equal(figures_of(&rig, 1, 0).whole_rounds, 0);
    rig_end(&rig);
}

/* Who has nothing new says so with each HELLO and each acknowledgement. */
static void a_quiet_host_says_that_it_is(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 2, NULL);
    count_for(&rig, 1, 3);
    rig_rounds(&rig, 10);
    for (unsigned i = 0; i < 200; i++) {
        rig_rounds(&rig, 1);
        assert_true(stale_ms(&rig, 0, 1) <= 5200);
    }
    count_for(&rig, 0, 3);
    assert_true(stale_ms(&rig, 0, 1) <= 2 * ROUND_MS);
    rig_end(&rig);
}

/* Other frames still come, but not what it has counted: that it is there does not make us know all of it. */
static void who_has_more_to_say_does_not_say_last(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 2, NULL);
    count_for(&rig, 0, 3);
    rig_rounds(&rig, 3);
    rig.fate = no_delta;
    rig_add(&rig, 0, "a", 1);
    rig_rounds(&rig, 100);
    assert_true(figures_of(&rig, 1, 0).heard_ms + 6000 > rig.now_ms);
    assert_true(stale_ms(&rig, 1, 0) >= 100 * ROUND_MS);
    rig_end(&rig);
}

/* The first frames of many keys end somewhere in the middle. */
static void a_part_is_not_all(void **unused)
{
    (void)unused;
    struct rig rig;
    char key[800];
    rig_begin(&rig, 2, &(struct sim_store_config){.slots = 600});
    count_for(&rig, 0, 3);
    rig_rounds(&rig, 3);
    rig.core[0]->config.credit = 1;
    memset(key, 'k', sizeof key);
    for (unsigned i = 0; i < 500; i++) {
        for (unsigned at = 0; at < sizeof key - 1; at++) /* nothing that packs well */
            key[at] = (char)('a' + qp_wire_hash((uint64_t[]){i, at}, 16) % 26);
        key[sizeof key - 1] = 0;
        rig_add(&rig, 0, key, 1);
    }
    uint64_t before = figures_of(&rig, 1, 0).whole_ms;
    rig_rounds(&rig, 1);
    assert_true(figures_of(&rig, 1, 0).knowledge > 3);
    assert_true(figures_of(&rig, 0, 1).sent < rig.core[0]->ledger->sequence);
    assert_int_equal(figures_of(&rig, 1, 0).whole_ms, before);
    rig_rounds(&rig, 40);
    assert_int_equal(figures_of(&rig, 0, 1).lag, 0);
    assert_true(figures_of(&rig, 1, 0).whole_ms > before);
    rig_end(&rig);
}

/* A delta's time is its sender's: what was long on its way is old, but a clock ahead of ours makes nothing young. */
static void clocks_do_not_make_it_younger(void **unused)
{
    (void)unused;
    struct rig rig;
    struct qp_frame head;
    uint8_t bytes[QP_FRAME_BYTES_MIN];
    rig_begin(&rig, 2, NULL);
    count_for(&rig, 0, 5);
    rig_rounds(&rig, 60);
    for (int ahead = 0; ahead < 2; ahead++) {
        uint64_t before = figures_of(&rig, 1, 0).whole_ms;
        rig_frame(&rig, 0, &head, QP_FRAME_DELTA);
        head.base = head.upto = rig.core[0]->ledger->sequence;
        head.flags |= QP_FRAME_LAST;
        head.time_ms = ahead ? rig.now_ms + 3600000 : before; /* a round before `before` */
        struct qp_wire_writer writer;
        qp_wire_begin(&writer, bytes, sizeof bytes, &head);
        size_t count = qp_wire_end(&writer, &head, NULL);
        qp_core_on_message(rig.core[1], 0, bytes, count, rig.now_ms);
        assert_int_equal(figures_of(&rig, 1, 0).whole_ms, ahead ? rig.now_ms - ROUND_MS : before);
    }
    rig_end(&rig);
}

/* An agent that was stopped answers before its next round has found what was counted meanwhile. */
static void who_was_stopped_does_not_say_that_he_is_quiet(void **unused)
{
    (void)unused;
    struct rig rig;
    struct qp_frame head;
    uint8_t asked[QP_FRAME_BYTES_MIN];
    const void *bytes;
    uint32_t number;
    size_t count;
    unsigned answers = 0;
    rig_begin(&rig, 2, NULL);
    count_for(&rig, 0, 5);
    rig_rounds(&rig, 5);
    rig_add(&rig, 0, "a", 1);
    rig.now_ms += 60000;
    rig_frame(&rig, 1, &head, QP_FRAME_HELLO);
    head.version_max = QP_WIRE_VERSION;
    struct qp_wire_writer writer;
    qp_wire_begin(&writer, asked, sizeof asked, &head);
    qp_core_on_message(rig.core[0], 0, asked, qp_wire_end(&writer, &head, NULL), rig.now_ms);
    for (; qp_core_next_out(rig.core[0], rig.now_ms, &number, &bytes, &count); answers++)
        qp_core_on_message(rig.core[1], 0, bytes, count, rig.now_ms);
    assert_true(answers > 0);
    assert_true(stale_ms(&rig, 1, 0) >= 60000);
    rig_rounds(&rig, 2);
    assert_in_range(stale_ms(&rig, 1, 0), 0, 3 * ROUND_MS);
    rig_end(&rig);
}

static struct sim_strategy limits(void *arg, const void *key, size_t key_bytes)
{
    (void)arg, (void)key_bytes;
    return *(const char *)key == 'l' ? (struct sim_strategy){.kind = QP_KIND_LIMIT, .window_ms = 60000, .limit = 1000}
                                     : (struct sim_strategy){0};
}

/* Units of limits, each once, however often it is told; other counters are none. */
static void units_of_limits_are_counted_once(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 2, &(struct sim_store_config){.strategy = limits});
    for (unsigned i = 1; i <= 20; i++) {
        rig_add(&rig, 0, "l1", 3);
        rig_add(&rig, 0, "l2", 1);
        rig_add(&rig, 0, "a", 100);
        rig_rounds(&rig, 1);
        assert_int_equal(figures_of(&rig, 1, 0).limit_units, 4 * i);
        if (i % 5 == 0)
            qp_core_peer_link(rig.core[0], 0, true, rig.now_ms); /* what is not acknowledged is said again */
    }
    rig_rounds(&rig, 10);
    assert_int_equal(figures_of(&rig, 1, 0).limit_units, 80);
    assert_int_equal(figures_of(&rig, 0, 1).limit_units, 0);
    rig_end(&rig);
}

static void digests_are_seen_to_be_equal(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 2, NULL);
    assert_int_equal(figures_of(&rig, 0, 1).digest, QP_DIGEST_UNCOMPARED);
    count_for(&rig, 1, 3);
    rig_rounds(&rig, 70);
    struct qp_peer_figures figures = figures_of(&rig, 0, 1);
    assert_int_equal(figures.digest, QP_DIGEST_EQUAL);
    assert_true(figures.digest_ms + 5100 >= rig.now_ms);
    rig.core[0]->digest[1] ^= 1;
    rig_rounds(&rig, 170);
    assert_int_equal(figures_of(&rig, 0, 1).digest, QP_DIGEST_DIFFERS);
    assert_true(figures_of(&rig, 0, 1).digest_ms + 15000 <= rig.now_ms);
    rig_end(&rig);
}

/* Its segment is another one: what is known of the former one says nothing of it. */
static void another_segment_begins_with_nothing(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 2, NULL);
    count_for(&rig, 1, 3);
    rig_kill(&rig, 1);
    rig_new_segment(&rig, 1, 77);
    rig_start(&rig, 1);
    rig.fate = no_delta;
    for (unsigned i = 0; i < 300 && figures_of(&rig, 0, 1).replica != 77; i++)
        rig_rounds(&rig, 1);
    assert_int_equal(figures_of(&rig, 0, 1).replica, 77);
    assert_int_equal(figures_of(&rig, 0, 1).whole_ms, 0);
    rig_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounds_are_counted),
        cmocka_unit_test(what_was_late_is_counted_as_late),
        cmocka_unit_test(what_was_very_late_counts_too),
        cmocka_unit_test(staleness_grows_while_nothing_comes),
        cmocka_unit_test(a_quiet_host_says_that_it_is),
        cmocka_unit_test(who_has_more_to_say_does_not_say_last),
        cmocka_unit_test(a_part_is_not_all),
        cmocka_unit_test(clocks_do_not_make_it_younger),
        cmocka_unit_test(who_was_stopped_does_not_say_that_he_is_quiet),
        cmocka_unit_test(units_of_limits_are_counted_once),
        cmocka_unit_test(digests_are_seen_to_be_equal),
        cmocka_unit_test(another_segment_begins_with_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
