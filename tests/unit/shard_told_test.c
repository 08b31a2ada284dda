/* SPDX-License-Identifier: MIT */
/* shard_told_test.c: entries of which others are told: what their points come to, and what resets, deletes and sets leave for the agent. */
#include "unit.h"

#include <stdlib.h>

#include "shm/mark.h"
#include "shm/point.h"

#define PEER_1 UINT64_C(0x1111)
#define PEER_2 UINT64_C(0x2222)
#define SENT 100           /* our stream has come to */
#define NOW (UNIT_NOW_MS << 16)
#define WINDOW_MS 1000u
#define WINDOW (UNIT_NOW_MS / WINDOW_MS)

/* A segment with an agent that knows two others. */
static void open_told(struct unit_segment *s, uint32_t counters)
{
    unit_open(s, counters, 4);
    s->view.header->gossip = 1;
    s->view.ledger->sequence = SENT;
    s->view.ledger->replica[1].id = PEER_1;
    s->view.ledger->replica[2].id = PEER_2;
}

static struct qp_shard_point point(uint64_t epoch, uint64_t count, uint64_t timestamp, uint64_t sequence, uint32_t replica)
{
    return (struct qp_shard_point){epoch, count, timestamp, qp_origin_make(sequence, replica)};
}

static struct qp_shard *shard_of(const struct unit_segment *s, const struct qp_entry *entry)
{
    return qp_shard_at(&s->view, entry->shard);
}

/* Publishes a block with these points in the place of the entry's, as an agent does. The rest stays, to be changed by the caller. */
static struct qp_shard *say(struct unit_segment *s, struct qp_entry *entry, const struct qp_shard_point *points, uint32_t count)
{
    uint32_t block;
    const struct qp_shard *old = shard_of(s, entry);
    assert_true(qp_block_alloc(&s->worker, QP_BLOCK_SHARD, qp_entry_index(&s->view, entry), qp_shard_payload(count), &block));
    struct qp_shard *next = qp_shard_at(&s->view, block);
    assert_non_null(next);
    memset((char *)next + sizeof next->block, 0, qp_shard_payload(0));
    if (old)
        memcpy((char *)next + sizeof next->block, (const char *)old + sizeof next->block, qp_shard_payload(0));
    if (count)
        memcpy(next->point, points, count * sizeof *points);
    next->point_count = (uint16_t)count;
    unit_enter(&s->worker);
    assert_true(qp_shard_replace(&s->worker, entry, entry->shard, block));
    unit_exit(&s->worker);
    return next;
}

static struct qp_reading read_at(const struct unit_segment *s, const struct qp_entry *entry, uint64_t now_ms)
{
    struct qp_reading reading;
    assert_int_equal(0, qp_shard_read(&s->view, entry, now_ms, &reading));
    return reading;
}

static struct qp_reading read_now(const struct unit_segment *s, const struct qp_entry *entry)
{
    return read_at(s, entry, UNIT_NOW_MS);
}

static int64_t ended_by(struct unit_segment *s, struct qp_entry *entry,
                        int (*verb)(struct qp_worker *worker, struct qp_entry *entry, int64_t *ended))
{
    int64_t ended = -1;
    unit_enter(&s->worker);
    assert_int_equal(0, verb(&s->worker, entry, &ended));
    unit_exit(&s->worker);
    return ended;
}

static int error_of(struct unit_segment *s, struct qp_entry *entry,
                    int (*verb)(struct qp_worker *worker, struct qp_entry *entry, int64_t *ended))
{
    int64_t ended;
    unit_enter(&s->worker);
    int error = verb(&s->worker, entry, &ended);
    unit_exit(&s->worker);
    return error;
}

static void expect_point(const struct qp_shard *shard, uint32_t at, struct qp_shard_point wanted)
{
    assert_true(at < shard->point_count);
    assert_int_equal(wanted.epoch, shard->point[at].epoch);
    assert_int_equal(wanted.count, shard->point[at].count);
    assert_int_equal(wanted.timestamp, shard->point[at].timestamp);
    assert_int_equal(wanted.origin, shard->point[at].origin);
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

static void test_of_each_other_replica_the_most_in_our_epoch_counts(void **state)
{
    (void)state;
    struct unit_segment s;
    open_told(&s, 10);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    const struct qp_shard_point points[] = {
        point(2, 1000, 30, 7, 0), /* our own: the cell says it */
        point(2, 40, 10, 8, 1), point(2, 30, 20, 9, 1), /* an older one that is better */
        point(2, 7, 9, 8, 2), point(1, 500, 10, 8, 2), /* of our epoch, and of another */
    };
    struct qp_shard *shard = say(&s, entry, points, 5);
    shard->own[0].epoch = 2;
    assert_int_equal(5, read_now(&s, entry).own);
    assert_int_equal(47, read_now(&s, entry).remote);
    assert_int_equal(2, read_now(&s, entry).epoch);
    unit_settle(&s);
    unit_quiet(&s);
    unit_close(&s);
}

static void test_a_sum_is_clamped_once(void **state)
{
    (void)state;
    struct unit_segment s;
    open_told(&s, 10);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    say(&s, entry, (struct qp_shard_point[]){point(0, UINT64_MAX, 1, 1, 1), point(0, UINT64_MAX, 1, 1, 2)}, 2);
    assert_true(read_now(&s, entry).remote == INT64_MAX);
    say(&s, entry, (struct qp_shard_point[]){point(0, INT64_MAX - 1, 1, 1, 1), point(0, 1, 1, 1, 2)}, 2);
    assert_true(read_now(&s, entry).remote == INT64_MAX);
    unit_close(&s);
}

/* A tombstone kills what is not newer; between equal times the replica decides. A floor kills whatever its version. */
static void test_the_dead_do_not_count(void **state)
{
    (void)state;
    struct unit_segment s;
    open_told(&s, 10);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    struct qp_shard *shard = say(&s, entry, (struct qp_shard_point[]){point(4, 8, 50, 9, 1), point(4, 16, 50, 9, 2)}, 2);
    shard->own[0].epoch = 4;
    assert_int_equal(24, read_now(&s, entry).remote);
    shard->tombstone = (struct qp_version){50, PEER_1};
    assert_int_equal(16, read_now(&s, entry).remote);
    shard->tombstone = (struct qp_version){49, PEER_2};
    assert_int_equal(24, read_now(&s, entry).remote);
    shard->tombstone = (struct qp_version){51, 1};
    assert_int_equal(0, read_now(&s, entry).remote);
    shard->tombstone = (struct qp_version){1, 1};
    shard->floor = 4;
    assert_int_equal(0, read_now(&s, entry).remote);
    shard->floor = 3; /* sound again */
    unit_close(&s);
}

static void test_windows_count_in_the_current_one_and_in_the_one_before(void **state)
{
    (void)state;
    struct unit_segment s;
    open_told(&s, 10);
    struct qp_entry *entry = unit_limit(&s, "l", QP_ALGORITHM_SLIDING, WINDOW_MS);
    unit_add_at(&s.worker, entry, UNIT_NOW_MS, 3);
    uint64_t now = qp_window_epoch(WINDOW, WINDOW_MS), before = qp_window_epoch(WINDOW - 1, WINDOW_MS);
    struct qp_shard *shard = say(&s, entry, (struct qp_shard_point[]){point(before, 20, NOW + 1, 1, 1), point(now, 30, NOW + 2, 2, 1),
                                                    point(qp_window_epoch(WINDOW + 1, WINDOW_MS), 500, NOW + 3, 2, 2)}, 3);
    shard->own[WINDOW & 1].epoch = now;
    assert_int_equal(3, read_now(&s, entry).own);
    assert_int_equal(30, read_now(&s, entry).remote);
    assert_int_equal(20, read_now(&s, entry).previous);
    assert_int_equal(500, read_at(&s, entry, UNIT_NOW_MS + WINDOW_MS).remote);
    assert_int_equal(33, read_at(&s, entry, UNIT_NOW_MS + WINDOW_MS).previous);
    assert_int_equal(3, ended_by(&s, entry, qp_shard_reset)); /* and the window before is gone, for all */
    assert_int_equal(0, read_now(&s, entry).remote);
    assert_int_equal(0, read_now(&s, entry).previous);
    unit_settle(&s);
    unit_quiet(&s);
    unit_close(&s);
}

static void test_a_limit_of_this_host_knows_nothing_of_others(void **state)
{
    (void)state;
    struct unit_segment s;
    open_told(&s, 10);
    struct qp_rule rule = unit_rule("l", WINDOW_MS);
    struct qp_entry *entry = unit_limit(&s, "l", QP_ALGORITHM_FIXED, WINDOW_MS);
    uint64_t now = qp_window_epoch(WINDOW, WINDOW_MS), before = qp_window_epoch(WINDOW - 1, WINDOW_MS);
    say(&s, entry, (struct qp_shard_point[]){point(before, 20, 1, 1, 1), point(now, 30, 2, 2, 1)}, 2)->own[WINDOW & 1].epoch = now;
    for (rule.scope = QP_SCOPE_FLEET; rule.scope <= QP_SCOPE_HOST; rule.scope++) {
        unit_put(&s, &rule);
        struct qp_verdict verdict;
        unit_take(&s.worker, entry, &(struct qp_ask){.n = 1, .limit = QP_LIMIT_NONE, .now_ms = UNIT_NOW_MS, .look = true}, &verdict);
        qp_store_relaxed(&entry->strategy, qp_strategy_cache(qp_strategy_generation(s.view.header->strategy), 0));
        assert_int_equal(rule.scope == QP_SCOPE_HOST ? 0 : 30, read_now(&s, entry).remote);
        assert_int_equal(rule.scope == QP_SCOPE_HOST ? 0 : 20, read_now(&s, entry).previous);
    }
    unit_close(&s);
}

static void test_numbers_out_of_range_lead_nowhere(void **state)
{
    (void)state;
    struct unit_segment s;
    open_told(&s, 10);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    struct qp_shard *shard = say(&s, entry, (struct qp_shard_point[]){point(0, 7, 50, 9, 0xffff), point(0, 7, 50, 9, QP_REPLICAS)}, 2);
    shard->tombstone = (struct qp_version){50, PEER_1}; /* as old: it depends on who they are */
    assert_int_equal(0, read_now(&s, entry).remote);
    shard->tombstone = (struct qp_version){0};
    shard->point_count = 6; /* in a block of 256 bytes */
    assert_int_equal(5, qp_point_count(&s.view, entry->shard, shard));
    shard->point_count = 0xffff;
    assert_int_equal(5, qp_point_count(&s.view, entry->shard, shard));
    read_now(&s, entry);
    assert_int_equal(5, ended_by(&s, entry, qp_shard_reset));
    assert_true(shard_of(&s, entry)->point_count <= 6);
    free(s.memory); /* what is damaged is not sound */
}

/* ---- what is left for the agent ---------------------------------------------------------------------------------------- */

static void test_a_reset_says_that_its_epoch_has_begun(void **state)
{
    (void)state;
    struct unit_segment s;
    open_told(&s, 10);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    assert_int_equal(5, ended_by(&s, entry, qp_shard_reset));
    const struct qp_shard *shard = shard_of(&s, entry);
    assert_int_equal(1, shard->point_count);
    expect_point(shard, 0, point(1, 0, NOW, 0, 0));
    assert_int_equal(QP_CLASS_BLOCK_128, qp_block_class(qp_ref_block(entry->shard)));
    qp_cell_add_plain(&entry->cell[0], 2);
    assert_int_equal(2, ended_by(&s, entry, qp_shard_reset)); /* nobody has heard of the first one */
    shard = shard_of(&s, entry);
    assert_int_equal(1, shard->point_count);
    expect_point(shard, 0, point(2, 0, NOW + 1, 0, 0));
    unit_settle(&s);
    unit_quiet(&s);
    unit_close(&s);
}

static void test_a_point_goes_behind_what_we_have_said_and_before_what_others_have(void **state)
{
    (void)state;
    struct unit_segment s;
    open_told(&s, 10);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    const struct qp_shard_point said[] = {point(0, 5, 10, 3, 0), point(0, 9, NOW + 7, 4, 1), point(0, 6, 20, 5, 2)};
    say(&s, entry, said, 3)->stated = 3;
    for (int i = 1; i <= 2; i++) {
        ended_by(&s, entry, qp_shard_reset);
        const struct qp_shard *shard = shard_of(&s, entry);
        assert_int_equal(4, shard->point_count);
        expect_point(shard, 0, said[0]);
        expect_point(shard, 1, point((uint64_t)i, 0, NOW + 7 + (uint64_t)i, 0, 0)); /* newer than all that it knew of */
        expect_point(shard, 2, said[1]);
        expect_point(shard, 3, said[2]);
        assert_int_equal(0, shard->stated);
        assert_int_equal(qp_shard_payload(4), shard->block.bytes);
    }
    assert_int_equal(0, read_now(&s, entry).remote); /* of an epoch that is over */
    unit_settle(&s);
    unit_quiet(&s);
    unit_close(&s);
}

static void test_without_an_agent_nothing_is_said(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    ended_by(&s, entry, qp_shard_reset);
    ended_by(&s, entry, qp_shard_delete);
    assert_int_equal(0, shard_of(&s, entry)->point_count);
    qp_cell_add_plain(&entry->cell[0], 1);
    shard_of(&s, entry)->own[0].epoch = QP_EPOCH_PLAIN_MAX; /* as far as others would follow */
    assert_int_equal(-EOVERFLOW, error_of(&s, entry, qp_shard_reset));
    assert_int_equal(-EOVERFLOW, error_of(&s, entry, qp_shard_delete));
    assert_int_equal(QP_CLASS_BLOCK_128, qp_block_class(qp_ref_block(entry->shard)));
    assert_int_equal(0, s.view.marks[0] | s.view.mark_summary[0]);
    unit_close(&s);
}

static void test_a_delete_takes_along_all_that_it_knows_of(void **state)
{
    (void)state;
    struct unit_segment s;
    open_told(&s, 10);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    const struct qp_shard_point said[] = {point(6, 5, 10, 3, 0), point(7, 9, NOW + 7, 4, 1), point(3, 6, 20, 5, 2)};
    struct qp_shard *old = say(&s, entry, said, 3);
    old->own[0].epoch = 6; /* an agent would have followed */
    old->stated = 3;
    assert_int_equal(5, ended_by(&s, entry, qp_shard_delete));
    const struct qp_shard *shard = shard_of(&s, entry);
    assert_int_equal(7, shard->floor);
    assert_int_equal(8, shard->own[0].epoch);
    assert_int_equal(NOW + 8, shard->tombstone.timestamp);
    assert_int_equal(s.view.replica, shard->tombstone.replica);
    assert_int_equal(UNIT_NOW_MS / 1000, shard->tombstone_seen_s);
    assert_int_equal(0, shard->tombstone_sequence | shard->stated);
    assert_int_equal(3, shard->point_count); /* dead, and the agent's to take away */
    for (uint32_t i = 0; i < 3; i++)
        expect_point(shard, i, said[i]);
    assert_true(read_now(&s, entry).deleted);
    assert_int_equal(-ENOENT, error_of(&s, entry, qp_shard_delete));
    unit_settle(&s);
    unit_quiet(&s);
    unit_close(&s);
}

static void test_who_held_a_tombstone_does_not_hold_the_next(void **state)
{
    (void)state;
    struct unit_segment s;
    open_told(&s, 10);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    ended_by(&s, entry, qp_shard_delete);
    struct qp_shard *shard = say(&s, entry, (struct qp_shard_point[]){point(0, 0, 0, 4, 1), point(0, 0, 0, 5, 2)}, 2);
    shard->tombstone_sequence = shard->stated = 9;
    shard->flags |= QP_SHARD_COLLECT;
    qp_cell_add_plain(&entry->cell[0], 2);
    ended_by(&s, entry, qp_shard_delete);
    shard = shard_of(&s, entry);
    assert_int_equal(0, shard->point_count);
    assert_int_equal(QP_SHARD_DELETED, shard->flags);
    assert_int_equal(0, shard->tombstone_sequence | shard->stated);
    unit_close(&s);
}

/* A window that another clock has begun already stays, but for what its version has seen; its floor does not go down. */
static void test_a_window_ends_with_those_before_it(void **state)
{
    (void)state;
    struct unit_segment s;
    open_told(&s, 10);
    struct qp_entry *entry = unit_limit(&s, "l", QP_ALGORITHM_FIXED, WINDOW_MS);
    uint64_t now = qp_window_epoch(WINDOW, WINDOW_MS), next = qp_window_epoch(WINDOW + 1, WINDOW_MS);
    unit_add_at(&s.worker, entry, UNIT_NOW_MS, 3);
    const struct qp_shard_point said[] = {point(now + 2, 30, 5, 2, 1), point(next, 500, NOW + 3, 2, 2)};
    struct qp_shard *shard = say(&s, entry, said, 2);
    shard->own[WINDOW & 1].epoch = now + 2;
    assert_int_equal(3, ended_by(&s, entry, qp_shard_reset));
    shard = shard_of(&s, entry);
    assert_int_equal(now + 2, shard->floor);
    assert_int_equal(now + 3, shard->own[WINDOW & 1].epoch);
    assert_int_equal(NOW + 4, shard->tombstone.timestamp);
    assert_int_equal(2, shard->point_count); /* a window is told by its count, not by a point of nothing */
    shard->floor = next;
    shard->own[!(WINDOW & 1)].epoch = next + 1;
    ended_by(&s, entry, qp_shard_reset);
    shard = shard_of(&s, entry);
    assert_int_equal(next, shard->floor);
    assert_int_equal(now + 4, shard->own[WINDOW & 1].epoch);
    unit_settle(&s);
    unit_quiet(&s);
    unit_close(&s);
}

/* ---- being there and leaving ------------------------------------------------------------------------------------------- */

static void test_what_others_count_is_there_and_can_be_deleted(void **state)
{
    (void)state;
    struct unit_segment s;
    open_told(&s, 10);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    ended_by(&s, entry, qp_shard_delete);
    say(&s, entry, (struct qp_shard_point[]){point(1, 9, NOW + 1, 4, 1)}, 1);
    assert_false(read_now(&s, entry).deleted);
    assert_int_equal(9, read_now(&s, entry).remote);
    assert_int_equal(0, ended_by(&s, entry, qp_shard_delete));
    assert_true(read_now(&s, entry).deleted);
    assert_int_equal(1, shard_of(&s, entry)->floor);
    unit_close(&s);
}

static void test_a_tombstone_stays_until_the_agent_lets_it_go(void **state)
{
    (void)state;
    struct unit_segment s;
    open_told(&s, 10);
    struct qp_entry *counter = unit_counter(&s.worker, "a", 5);
    struct qp_key name = unit_key(&s.view, "r");
    struct qp_entry *reg = unit_entry(&s.worker, &name, qp_traits_make(QP_KIND_REGISTER, 0, 0), 0);
    ended_by(&s, counter, qp_shard_delete);
    ended_by(&s, reg, qp_shard_delete);
    unit_settle(&s);
    assert_true(qp_state_of(counter->state) == QP_STATE_LIVE && qp_state_of(reg->state) == QP_STATE_LIVE);
    shard_of(&s, counter)->flags |= QP_SHARD_COLLECT;
    shard_of(&s, reg)->flags |= QP_SHARD_COLLECT;
    qp_cell_add_plain(&counter->cell[0], 1); /* it has come back */
    unit_settle(&s);
    assert_int_equal(QP_STATE_LIVE, qp_state_of(counter->state));
    assert_int_equal(QP_STATE_FREE, qp_state_of(reg->state));
    unit_quiet(&s);
    unit_close(&s);
}

static void test_what_comes_changes_and_goes_is_marked(void **state)
{
    (void)state;
    struct unit_segment s;
    open_told(&s, 200);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    uint32_t index = qp_entry_index(&s.view, entry);
    uint64_t *word = &s.view.marks[index / 64], bit = UINT64_C(1) << (index % 64), above = UINT64_C(1) << (index / 64);
    int (*const verbs[])(struct qp_worker *, struct qp_entry *, int64_t *) = {qp_shard_reset, qp_shard_delete, NULL};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(bit, *word);
        assert_int_equal(above, s.view.mark_summary[0]);
        assert_true(qp_mark_take(&s.view.mark_summary[0]) && qp_mark_take(word));
        if (i < 2)
            ended_by(&s, entry, verbs[i]);
        if (i == 2) {
            shard_of(&s, entry)->flags |= QP_SHARD_COLLECT;
            unit_settle(&s);
        }
    }
    assert_int_equal(QP_STATE_FREE, qp_state_of(entry->state));
    unit_close(&s);
}

/* ---- room ------------------------------------------------------------------------------------------------------------- */

static void test_a_block_is_as_large_as_its_points_need(void **state)
{
    (void)state;
    struct unit_segment s;
    open_told(&s, 10);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    static struct qp_shard_point many[QP_SHARD_POINTS_MAX];
    const struct {
        uint32_t points;
        unsigned class_number; /* with one more */
    } wants[] = {{0, QP_CLASS_BLOCK_128},   {1, QP_CLASS_BLOCK_256},    {4, QP_CLASS_BLOCK_256},
                 {5, QP_CLASS_BLOCK_512},   {12, QP_CLASS_BLOCK_512},   {13, QP_CLASS_BLOCK_2048},
                 {60, QP_CLASS_BLOCK_2048}, {61, QP_CLASS_BLOCK_16384}, {QP_SHARD_POINTS_MAX - 1, QP_CLASS_BLOCK_16384}};
    for (uint32_t i = 0; i < QP_SHARD_POINTS_MAX; i++)
        many[i] = point(0, i, i + 1, 1, 1);
    for (size_t i = 0; i < sizeof wants / sizeof wants[0]; i++) {
        say(&s, entry, many, wants[i].points);
        ended_by(&s, entry, qp_shard_reset);
        assert_int_equal(wants[i].class_number, qp_block_class(qp_ref_block(entry->shard)));
        assert_int_equal(wants[i].points + 1, shard_of(&s, entry)->point_count);
    }
    say(&s, entry, many, QP_SHARD_POINTS_MAX);
    assert_int_equal(-QP_EFULL, error_of(&s, entry, qp_shard_reset));
    assert_int_equal(0, error_of(&s, entry, qp_shard_delete)); /* says nothing */
    unit_settle(&s);
    unit_quiet(&s);
    unit_close(&s);
}

static void test_a_larger_block_serves_where_none_of_the_right_size_is_left(void **state)
{
    (void)state;
    struct unit_segment s;
    open_told(&s, 10);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    uint32_t index, claimed = 0;
    while (qp_block_claim(&s.worker, QP_CLASS_BLOCK_128, &index))
        claimed++;
    assert_true(claimed > 10);
    ended_by(&s, entry, qp_shard_reset);
    assert_int_equal(QP_CLASS_BLOCK_256, qp_block_class(qp_ref_block(entry->shard)));
    assert_int_equal(qp_shard_payload(1), shard_of(&s, entry)->block.bytes);
    unit_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_of_each_other_replica_the_most_in_our_epoch_counts),
        cmocka_unit_test(test_a_sum_is_clamped_once),
        cmocka_unit_test(test_the_dead_do_not_count),
        cmocka_unit_test(test_windows_count_in_the_current_one_and_in_the_one_before),
        cmocka_unit_test(test_a_limit_of_this_host_knows_nothing_of_others),
        cmocka_unit_test(test_numbers_out_of_range_lead_nowhere),
        cmocka_unit_test(test_a_reset_says_that_its_epoch_has_begun),
        cmocka_unit_test(test_a_point_goes_behind_what_we_have_said_and_before_what_others_have),
        cmocka_unit_test(test_without_an_agent_nothing_is_said),
        cmocka_unit_test(test_a_delete_takes_along_all_that_it_knows_of),
        cmocka_unit_test(test_who_held_a_tombstone_does_not_hold_the_next),
        cmocka_unit_test(test_a_window_ends_with_those_before_it),
        cmocka_unit_test(test_what_others_count_is_there_and_can_be_deleted),
        cmocka_unit_test(test_a_tombstone_stays_until_the_agent_lets_it_go),
        cmocka_unit_test(test_what_comes_changes_and_goes_is_marked),
        cmocka_unit_test(test_a_block_is_as_large_as_its_points_need),
        cmocka_unit_test(test_a_larger_block_serves_where_none_of_the_right_size_is_left),
    };
    return cmocka_run_group_tests_name("shard_told", tests, NULL, NULL);
}
