/* SPDX-License-Identifier: MIT */
/* shard_test.c: what resets, deletes and sets end and leave, on plain counters, limits and registers. */
#include "unit.h"

#include <pthread.h>
#include <stdlib.h>

#define SECOND 1000u

static int reset(struct qp_worker *worker, struct qp_entry *entry, int64_t *ended)
{
    unit_enter(worker);
    int error = qp_shard_reset(worker, entry, ended);
    unit_exit(worker);
    return error;
}

static int delete (struct qp_worker *worker, struct qp_entry *entry, int64_t *ended)
{
    unit_enter(worker);
    int error = qp_shard_delete(worker, entry, ended);
    unit_exit(worker);
    return error;
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

static const struct qp_shard *shard_of(const struct unit_segment *s, const struct qp_entry *entry)
{
    return qp_shard_at(&s->view, entry->shard);
}

static struct qp_entry *limit(struct unit_segment *s, const char *name, uint32_t window_ms)
{
    return unit_limit(s, name, QP_ALGORITHM_FIXED, window_ms);
}

/* ---- plain counters -------------------------------------------------------------------------------------------------- */

static void test_a_reset_ends_an_epoch_and_starts_the_next_at_zero(void **state)
{
    (void)state;
    struct unit_segment s;
    int64_t ended = -1;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    assert_int_equal(5, read_now(&s, entry).own);
    assert_int_equal(0, read_now(&s, entry).epoch);
    assert_int_equal(0, reset(&s.worker, entry, &ended));
    assert_int_equal(5, ended);
    assert_int_equal(0, read_now(&s, entry).own);
    assert_int_equal(1, read_now(&s, entry).epoch);
    assert_false(read_now(&s, entry).deleted);
    qp_cell_add_plain(&entry->cell[0], 3);
    assert_int_equal(0, reset(&s.worker, entry, &ended));
    assert_int_equal(3, ended);
    assert_int_equal(0, reset(&s.worker, entry, &ended));
    assert_int_equal(0, ended);
    assert_int_equal(3, read_now(&s, entry).epoch);
    unit_close(&s);
}

static void test_a_delete_leaves_a_tombstone_and_a_floor(void **state)
{
    (void)state;
    struct unit_segment s;
    int64_t ended = -1;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    assert_int_equal(0, reset(&s.worker, entry, &ended));
    qp_cell_add_plain(&entry->cell[0], 7);
    assert_int_equal(0, delete (&s.worker, entry, &ended));
    assert_int_equal(7, ended);
    assert_true(read_now(&s, entry).deleted);
    const struct qp_shard *shard = shard_of(&s, entry);
    assert_int_equal(1, shard->floor);
    assert_int_equal(2, shard->own[0].epoch);
    assert_int_equal(UNIT_NOW_MS << 16, shard->tombstone.timestamp);
    assert_int_equal(s.view.replica, shard->tombstone.replica);
    unit_close(&s);
}

static void test_what_is_deleted_cannot_be_reset_or_deleted_again(void **state)
{
    (void)state;
    struct unit_segment s;
    int64_t ended = -1;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    assert_int_equal(0, delete (&s.worker, entry, &ended));
    uint64_t shard = entry->shard;
    assert_int_equal(-ENOENT, delete (&s.worker, entry, &ended));
    assert_int_equal(-ENOENT, reset(&s.worker, entry, &ended));
    assert_int_equal(5, ended);
    assert_int_equal(shard, entry->shard);
    unit_close(&s);
}

static void test_an_add_after_a_delete_begins_a_new_life_above_the_floor(void **state)
{
    (void)state;
    struct unit_segment s;
    int64_t ended = -1;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    assert_int_equal(0, delete (&s.worker, entry, &ended));
    qp_cell_add_plain(&entry->cell[0], 2);
    struct qp_reading reading = read_now(&s, entry);
    assert_false(reading.deleted);
    assert_int_equal(2, reading.own);
    assert_int_equal(1, reading.epoch);
    assert_int_equal(0, delete (&s.worker, entry, &ended));
    assert_int_equal(2, ended);
    assert_int_equal(1, shard_of(&s, entry)->floor);
    unit_close(&s);
}

static void test_a_tombstone_is_collected_once_nothing_was_added_since(void **state)
{
    (void)state;
    struct unit_segment s;
    int64_t ended;
    unit_open(&s, 10, 4);
    struct qp_entry *gone = unit_counter(&s.worker, "gone", 5), *back = unit_counter(&s.worker, "back", 5);
    assert_int_equal(0, delete (&s.worker, gone, &ended));
    assert_int_equal(0, delete (&s.worker, back, &ended));
    qp_cell_add_plain(&back->cell[0], 1);
    unit_settle(&s);
    assert_int_equal(QP_STATE_FREE, qp_state_of(gone->state));
    assert_int_equal(QP_STATE_LIVE, qp_state_of(back->state));
    assert_int_equal(1, read_now(&s, back).own);
    unit_close(&s);
}

static void test_versions_rise_even_when_the_clock_falls(void **state)
{
    (void)state;
    struct unit_segment s;
    int64_t ended;
    uint64_t last = 0;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 1);
    for (int i = 0; i < 20; i++) {
        s.worker.now_ms = UNIT_NOW_MS - (uint64_t)i * 1000;
        assert_int_equal(0, delete (&s.worker, entry, &ended));
        assert_true(shard_of(&s, entry)->tombstone.timestamp > last);
        last = shard_of(&s, entry)->tombstone.timestamp;
        qp_cell_add_plain(&entry->cell[0], 1);
    }
    unit_close(&s);
}

static void test_without_a_free_block_nothing_changes(void **state)
{
    (void)state;
    struct unit_segment s;
    int64_t ended = 42;
    uint32_t block;
    unit_open(&s, 3, 4);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    while (qp_block_alloc(&s.worker, QP_BLOCK_SHARD, 1, 1, &block)) {
    }
    assert_int_equal(-QP_EFULL, reset(&s.worker, entry, &ended));
    assert_int_equal(-QP_EFULL, delete (&s.worker, entry, &ended));
    assert_int_equal(42, ended);
    assert_int_equal(5, read_now(&s, entry).own);
    free(s.memory);
}

static void test_an_entry_that_has_left_is_not_changed(void **state)
{
    (void)state;
    struct unit_segment s;
    int64_t ended = 42;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 5);
    unit_enter(&s.worker);
    qp_entry_end(&s.view, entry);
    assert_int_equal(-EAGAIN, qp_shard_reset(&s.worker, entry, &ended));
    assert_int_equal(-EAGAIN, qp_shard_set(&s.worker, entry, 1));
    unit_exit(&s.worker);
    assert_int_equal(42, ended);
    unit_settle(&s);
    unit_quiet(&s);
    unit_close(&s);
}

/* ---- limits --------------------------------------------------------------------------------------------------------- */

static void test_a_limit_reads_its_window_and_the_one_before(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = limit(&s, "a", SECOND);
    unit_add_at(&s.worker, entry, UNIT_NOW_MS, 5);
    struct qp_reading reading = read_at(&s, entry, UNIT_NOW_MS + 999);
    assert_int_equal(5, reading.own);
    assert_int_equal(0, reading.previous);
    assert_int_equal(UNIT_NOW_MS << 16, reading.epoch);
    reading = read_at(&s, entry, UNIT_NOW_MS + 1000);
    assert_int_equal(0, reading.own);
    assert_int_equal(5, reading.previous);
    assert_int_equal((UNIT_NOW_MS + 1000) << 16, reading.epoch);
    reading = read_at(&s, entry, UNIT_NOW_MS + 2000);
    assert_int_equal(0, reading.own);
    assert_int_equal(0, reading.previous);
    unit_close(&s);
}

static void test_a_reader_whose_clock_is_behind_sees_the_newer_window(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = limit(&s, "a", SECOND);
    unit_add_at(&s.worker, entry, UNIT_NOW_MS, 5);
    unit_add_at(&s.worker, entry, UNIT_NOW_MS + SECOND, 6);
    struct qp_reading reading = read_at(&s, entry, UNIT_NOW_MS - 10 * SECOND);
    assert_int_equal(6, reading.own);
    assert_int_equal(5, reading.previous);
    assert_int_equal((UNIT_NOW_MS + 1000) << 16, reading.epoch);
    unit_close(&s);
}

static void test_a_reset_of_a_limit_starts_its_window_afresh_and_takes_the_one_before(void **state)
{
    (void)state;
    struct unit_segment s;
    int64_t ended = -1;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = limit(&s, "a", SECOND);
    unit_add_at(&s.worker, entry, UNIT_NOW_MS - SECOND, 4);
    unit_add_at(&s.worker, entry, UNIT_NOW_MS, 5);
    assert_int_equal(0, reset(&s.worker, entry, &ended));
    assert_int_equal(5, ended);
    struct qp_reading reading = read_now(&s, entry);
    assert_int_equal(0, reading.own);
    assert_int_equal(0, reading.previous);
    assert_int_equal((UNIT_NOW_MS << 16) + 1, reading.epoch);
    assert_false(reading.deleted);
    unit_add_at(&s.worker, entry, UNIT_NOW_MS, 2);
    assert_int_equal(2, read_now(&s, entry).own);
    assert_int_equal(2, read_at(&s, entry, UNIT_NOW_MS + 1000).previous);
    assert_int_equal(0, reset(&s.worker, entry, &ended));
    assert_int_equal(2, ended);
    assert_int_equal(UNIT_NOW_MS << 16 | 1, shard_of(&s, entry)->floor);
    unit_close(&s);
}

static void test_a_delete_of_a_limit_takes_the_window_before_with_it(void **state)
{
    (void)state;
    struct unit_segment s;
    int64_t ended = -1;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = limit(&s, "a", SECOND);
    unit_add_at(&s.worker, entry, UNIT_NOW_MS - SECOND, 4);
    unit_add_at(&s.worker, entry, UNIT_NOW_MS, 5);
    assert_int_equal(0, delete (&s.worker, entry, &ended));
    assert_int_equal(5, ended);
    assert_true(read_now(&s, entry).deleted);
    assert_int_equal(-ENOENT, reset(&s.worker, entry, &ended));
    unit_add_at(&s.worker, entry, UNIT_NOW_MS, 1);
    struct qp_reading reading = read_now(&s, entry);
    assert_false(reading.deleted);
    assert_int_equal(1, reading.own);
    assert_int_equal(0, reading.previous);
    unit_close(&s);
}

static void test_a_delete_between_two_windows_leaves_nothing_of_either(void **state)
{
    (void)state;
    struct unit_segment s;
    int64_t ended = -1;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = limit(&s, "a", SECOND);
    unit_add_at(&s.worker, entry, UNIT_NOW_MS - SECOND, 4);
    assert_int_equal(0, delete (&s.worker, entry, &ended)); /* nothing was counted in the current window */
    assert_int_equal(0, ended);
    assert_true(read_now(&s, entry).deleted);
    unit_settle(&s);
    assert_int_equal(QP_STATE_FREE, qp_state_of(entry->state));
    unit_close(&s);
}

static void test_a_limit_deleted_and_used_in_a_later_window_is_alive(void **state)
{
    (void)state;
    struct unit_segment s;
    int64_t ended;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = limit(&s, "a", SECOND);
    unit_add_at(&s.worker, entry, UNIT_NOW_MS, 5);
    assert_int_equal(0, delete (&s.worker, entry, &ended));
    unit_add_at(&s.worker, entry, UNIT_NOW_MS + SECOND, 1);
    unit_settle(&s);
    assert_int_equal(QP_STATE_LIVE, qp_state_of(entry->state));
    struct qp_reading reading = read_at(&s, entry, UNIT_NOW_MS + 1000);
    assert_false(reading.deleted);
    assert_int_equal(1, reading.own);
    assert_int_equal(0, reading.previous);
    unit_close(&s);
}

static void test_a_window_can_be_reset_65535_times(void **state)
{
    (void)state;
    struct unit_segment s;
    int64_t ended = -1;
    unit_open(&s, 64, 4);
    struct qp_entry *entry = limit(&s, "a", SECOND);
    for (uint32_t i = 1; i <= 65535; i++) {
        int error;
        while ((error = reset(&s.worker, entry, &ended)) == -QP_EFULL)
            unit_settle(&s);
        assert_int_equal(0, error);
        assert_int_equal((UNIT_NOW_MS << 16) + i, read_now(&s, entry).epoch);
    }
    unit_settle(&s);
    unit_add_at(&s.worker, entry, UNIT_NOW_MS, 9);
    ended = 42;
    assert_int_equal(-EOVERFLOW, reset(&s.worker, entry, &ended));
    assert_int_equal(-EOVERFLOW, delete (&s.worker, entry, &ended));
    assert_int_equal(42, ended);
    assert_int_equal(9, read_now(&s, entry).own);
    s.worker.now_ms += SECOND;
    assert_int_equal(0, reset(&s.worker, entry, &ended)); /* the next window has all its resets */
    unit_close(&s);
}

/* ---- registers ------------------------------------------------------------------------------------------------------ */

static struct qp_entry *register_of(struct unit_segment *s, const char *name, int64_t value)
{
    struct qp_birth birth = unit_birth(qp_traits_make(QP_KIND_REGISTER, 0, 0));
    birth.register_value = value;
    struct qp_key key = unit_key(&s->view, name);
    struct qp_entry *entry;
    unit_enter(&s->worker);
    assert_int_equal(1, qp_entry_create(&s->worker, &key, &birth, &entry));
    unit_exit(&s->worker);
    return entry;
}

static void test_a_register_holds_the_last_value_set(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = register_of(&s, "r", -7);
    assert_int_equal(-7, read_now(&s, entry).own);
    const int64_t values[] = {0, 1, INT64_MIN, INT64_MAX, -1};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        unit_enter(&s.worker);
        assert_int_equal(0, qp_shard_set(&s.worker, entry, values[i]));
        unit_exit(&s.worker);
        assert_true(values[i] == read_now(&s, entry).own);
        assert_false(read_now(&s, entry).deleted);
    }
    unit_close(&s);
}

static void test_a_deleted_register_gives_its_last_value_and_comes_back_by_a_set(void **state)
{
    (void)state;
    struct unit_segment s;
    int64_t ended = 0;
    unit_open(&s, 10, 4);
    struct qp_entry *entry = register_of(&s, "r", 9);
    uint64_t version = shard_of(&s, entry)->tombstone.timestamp;
    assert_int_equal(0, delete (&s.worker, entry, &ended));
    assert_int_equal(9, ended);
    assert_true(read_now(&s, entry).deleted);
    assert_int_equal(-ENOENT, delete (&s.worker, entry, &ended));
    assert_true(shard_of(&s, entry)->tombstone.timestamp > version);
    version = shard_of(&s, entry)->tombstone.timestamp;
    unit_enter(&s.worker);
    assert_int_equal(0, qp_shard_set(&s.worker, entry, 3));
    unit_exit(&s.worker);
    assert_false(read_now(&s, entry).deleted);
    assert_int_equal(3, read_now(&s, entry).own);
    assert_true(shard_of(&s, entry)->tombstone.timestamp > version);
    unit_close(&s);
}

/* ---- threads at once ------------------------------------------------------------------------------------------------ */

struct counter_thread {
    struct qp_worker worker;
    struct qp_entry *entry;
    int64_t added;
    int64_t ended;
};

static void *add_and_end(void *arg)
{
    struct counter_thread *me = arg;
    for (int i = 0; i < 20000; i++) {
        int64_t ended = 0;
        unit_enter(&me->worker);
        if (qp_entry_revive(me->worker.view, me->entry)) {
            qp_cell_add_plain(&me->entry->cell[0], i % 3);
            me->added += i % 3;
        }
        if (i % 8 == 0 && qp_shard_reset(&me->worker, me->entry, &ended) == 0)
            me->ended += ended;
        if (i % 32 == 0 && qp_shard_delete(&me->worker, me->entry, &ended) == 0)
            me->ended += ended;
        unit_exit(&me->worker);
        if (i % 64 == 0) {
            qp_grace_poll(me->worker.view);
            qp_sweep_range(&me->worker, me->worker.view->entry_count, 1000, &(struct qp_sweep){0});
        }
    }
    return NULL;
}

/* The equation of shard.h: what was ended, and what is there, is what was added. */
static void test_every_add_is_in_exactly_one_epoch(void **state)
{
    (void)state;
    struct unit_segment s;
    struct counter_thread me[3];
    pthread_t threads[3];
    int64_t added = 1, ended = 0;
    unit_open(&s, 64, 8);
    struct qp_entry *entry = unit_counter(&s.worker, "a", 1);
    for (uint32_t i = 0; i < 3; i++) {
        me[i] = (struct counter_thread){.worker = unit_worker(&s, i + 1), .entry = entry};
        assert_int_equal(0, pthread_create(&threads[i], NULL, add_and_end, &me[i]));
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(0, pthread_join(threads[i], NULL));
        added += me[i].added;
        ended += me[i].ended;
    }
    assert_true(ended > 0);
    assert_int_equal(added, ended + read_now(&s, entry).own);
    unit_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_reset_ends_an_epoch_and_starts_the_next_at_zero),
        cmocka_unit_test(test_a_delete_leaves_a_tombstone_and_a_floor),
        cmocka_unit_test(test_what_is_deleted_cannot_be_reset_or_deleted_again),
        cmocka_unit_test(test_an_add_after_a_delete_begins_a_new_life_above_the_floor),
        cmocka_unit_test(test_a_tombstone_is_collected_once_nothing_was_added_since),
        cmocka_unit_test(test_versions_rise_even_when_the_clock_falls),
        cmocka_unit_test(test_without_a_free_block_nothing_changes),
        cmocka_unit_test(test_an_entry_that_has_left_is_not_changed),
        cmocka_unit_test(test_a_limit_reads_its_window_and_the_one_before),
        cmocka_unit_test(test_a_reader_whose_clock_is_behind_sees_the_newer_window),
        cmocka_unit_test(test_a_reset_of_a_limit_starts_its_window_afresh_and_takes_the_one_before),
        cmocka_unit_test(test_a_delete_of_a_limit_takes_the_window_before_with_it),
        cmocka_unit_test(test_a_delete_between_two_windows_leaves_nothing_of_either),
        cmocka_unit_test(test_a_limit_deleted_and_used_in_a_later_window_is_alive),
        cmocka_unit_test(test_a_window_can_be_reset_65535_times),
        cmocka_unit_test(test_a_register_holds_the_last_value_set),
        cmocka_unit_test(test_a_deleted_register_gives_its_last_value_and_comes_back_by_a_set),
        cmocka_unit_test(test_every_add_is_in_exactly_one_epoch),
    };
    return cmocka_run_group_tests_name("shard blocks", tests, NULL, NULL);
}
