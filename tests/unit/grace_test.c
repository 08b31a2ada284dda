/* SPDX-License-Identifier: MIT */
/* grace_test.c: grace periods: nothing passes while a reader that was there before may still look. */
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

static uint64_t epoch_of(const struct unit_segment *s)
{
    return s->view.header->epoch;
}

static void poll_often(const struct unit_segment *s)
{
    for (int i = 0; i < 100; i++)
        qp_grace_poll(&s->view);
}

/* ---- sections ------------------------------------------------------------------------------------------------------- */

static void test_a_section_shows_its_epoch_in_the_slot(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    assert_int_equal(0, s.worker.slot->epoch);
    unit_enter(&s.worker);
    assert_int_equal(epoch_of(&s), s.worker.slot->epoch);
    unit_exit(&s.worker);
    assert_int_equal(0, s.worker.slot->epoch);
    unit_close(&s);
}

static void test_a_stamp_passes_within_two_polls_when_nobody_reads(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    for (int i = 0; i < 50; i++) {
        uint64_t stamp = qp_grace_stamp(&s.view);
        assert_false(qp_grace_passed(&s.view, stamp));
        bool moved = qp_grace_poll(&s.view);
        moved |= qp_grace_poll(&s.view);
        assert_true(moved);
        assert_true(qp_grace_passed(&s.view, stamp));
    }
    unit_close(&s);
}

static void test_a_reader_that_stands_still_stops_the_epoch(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    struct qp_worker reader = unit_worker(&s, 1);
    poll_often(&s);
    unit_enter(&reader);
    uint64_t entered = reader.slot->epoch, stamp = qp_grace_stamp(&s.view);
    poll_often(&s);
    assert_true(s.view.header->epoch_safe <= entered);
    assert_true(epoch_of(&s) <= entered + 1); /* nobody runs ahead of it */
    assert_false(qp_grace_passed(&s.view, stamp));
    assert_false(qp_grace_poll(&s.view));
    unit_exit(&reader);
    qp_grace_poll(&s.view);
    qp_grace_poll(&s.view);
    assert_true(qp_grace_passed(&s.view, stamp));
    unit_close(&s);
}

static void test_a_reader_that_came_later_holds_nothing_up(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    struct qp_worker reader = unit_worker(&s, 1);
    poll_often(&s);
    uint64_t stamp = qp_grace_stamp(&s.view);
    while (qp_stamp_of(epoch_of(&s)) == stamp)
        qp_grace_poll(&s.view);
    unit_enter(&reader); /* in a later epoch than the stamp's */
    poll_often(&s);
    assert_true(qp_grace_passed(&s.view, stamp));
    unit_exit(&reader);
    unit_close(&s);
}

static void test_the_oldest_of_several_readers_decides(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 8);
    struct qp_worker readers[3];
    for (uint32_t i = 0; i < 3; i++) {
        readers[i] = unit_worker(&s, i + 1);
        unit_enter(&readers[i]);
        qp_grace_poll(&s.view);
        qp_grace_poll(&s.view);
    }
    uint64_t oldest = readers[0].slot->epoch;
    poll_often(&s);
    assert_true(s.view.header->epoch_safe <= oldest);
    unit_exit(&readers[0]);
    poll_often(&s);
    assert_true(s.view.header->epoch_safe <= readers[1].slot->epoch);
    assert_true(s.view.header->epoch_safe > oldest || readers[1].slot->epoch == oldest);
    unit_exit(&readers[1]);
    unit_exit(&readers[2]);
    unit_close(&s);
}

static void test_slots_count_from_the_first_claim_on(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 8);
    assert_int_equal(1, s.view.header->slots_high);
    struct qp_worker reader = unit_worker(&s, 1);
    assert_int_equal(2, s.view.header->slots_high);
    qp_slot_release(reader.slot);
    assert_int_equal(2, s.view.header->slots_high);
    assert_ptr_equal(reader.slot, qp_slot_claim(&s.view, reader.owner));
    unit_close(&s);
}

static void test_all_slots_can_be_claimed_and_then_none(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 5);
    for (int i = 1; i < 5; i++)
        assert_non_null(qp_slot_claim(&s.view, s.worker.owner));
    assert_null(qp_slot_claim(&s.view, s.worker.owner));
    qp_slot_release(&s.view.slots[3]);
    assert_ptr_equal(&s.view.slots[3], qp_slot_claim(&s.view, s.worker.owner));
    unit_close(&s);
}

static void test_a_scribbled_mark_of_slots_leads_nobody_out_of_the_segment(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    s.view.header->slots_high = ~UINT64_C(0);
    uint64_t stamp = qp_grace_stamp(&s.view);
    poll_often(&s);
    assert_true(qp_grace_passed(&s.view, stamp));
    free(s.memory);
}

/* ---- the wrap ------------------------------------------------------------------------------------------------------- */

static void test_grace_periods_go_on_where_stamps_wrap(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 10, 4);
    s.view.header->epoch = s.view.header->epoch_safe = (UINT64_C(1) << QP_ARGUMENT_BITS) - 4;
    for (int i = 0; i < 10; i++) {
        uint32_t index;
        assert_true(qp_block_claim(&s.worker, QP_CLASS_BLOCK_128, &index));
        qp_block_retire(&s.view, QP_CLASS_BLOCK_128, index);
        assert_false(qp_block_reclaim(&s.view, QP_CLASS_BLOCK_128, index));
        int polls = 0;
        while (!qp_block_reclaim(&s.view, QP_CLASS_BLOCK_128, index)) {
            qp_grace_poll(&s.view);
            assert_true(++polls <= 4);
        }
    }
    assert_true(epoch_of(&s) > UINT64_C(1) << QP_ARGUMENT_BITS);
    unit_close(&s);
}

/* ---- both ways to fence, with readers at work ------------------------------------------------------------------------ */

#define POISON UINT64_C(0xdeaddeaddeaddead)

struct board {
    struct unit_segment s;
    uint64_t published; /* a block number */
    uint64_t stop;
};

struct reader {
    struct board *board;
    struct qp_worker worker;
    uint64_t looks;
};

static uint64_t *payload(struct board *board, uint64_t block)
{
    return (uint64_t *)(void *)(qp_block_at(&board->s.view, (uint32_t)block) + 1);
}

/* Reads what is published, over and over; whatever it finds in a section stays as it is until the section ends. */
static void *read_published(void *arg)
{
    struct reader *reader = arg;
    struct board *board = reader->board;
    for (; !qp_load_relaxed(&board->stop) || reader->looks == 0; reader->looks++) {
        unit_enter(&reader->worker);
        uint64_t *words = payload(board, qp_load_acquire(&board->published));
        uint64_t first = qp_load_relaxed(&words[0]);
        bool poisoned = first == POISON;
        for (int i = 1; i < 14; i++)
            poisoned |= qp_load_relaxed(&words[i]) != first;
        unit_exit(&reader->worker);
        if (poisoned)
            return reader;
        if (reader->looks % 64 == 0) /* else it is preempted inside a section, mostly, and everyone waits for it */
            sched_yield();
    }
    return NULL;
}

/* Publishes block after block, and poisons each when its grace period has passed. */
static void publish_and_poison(struct board *board, uint64_t rounds)
{
    struct qp_worker *worker = &board->s.worker;
    for (uint64_t round = 1; round <= rounds; round++) {
        uint32_t block, old = (uint32_t)board->published;
        assert_true(qp_block_alloc(worker, QP_BLOCK_SHARD, 1, 112, &block));
        for (int i = 0; i < 14; i++)
            qp_store_relaxed(&payload(board, block)[i], round);
        unit_enter(worker);
        __atomic_exchange_n(&board->published, block, __ATOMIC_SEQ_CST);
        uint64_t stamp = qp_grace_stamp(&board->s.view);
        unit_exit(worker);
        while (!qp_grace_passed(&board->s.view, stamp))
            if (!qp_grace_poll(&board->s.view))
                sched_yield();
        for (int i = 0; i < 14; i++)
            qp_store_relaxed(&payload(board, old)[i], POISON);
        qp_block_drop(worker, old);
    }
}

static void readers_never_see_poison(bool fence)
{
    struct board *board = calloc(1, sizeof *board);
    struct reader readers[3];
    pthread_t threads[3];
    uint32_t block;
    assert_non_null(board);
    unit_open(&board->s, 10, 8);
    board->s.view.fence = fence;
    assert_true(qp_block_alloc(&board->s.worker, QP_BLOCK_SHARD, 1, 112, &block));
    memset(payload(board, block), 0, 112);
    board->published = block;
    for (uint32_t i = 0; i < 3; i++) {
        readers[i] = (struct reader){.board = board, .worker = unit_worker(&board->s, i + 1)};
        assert_int_equal(0, pthread_create(&threads[i], NULL, read_published, &readers[i]));
    }
    publish_and_poison(board, 3000);
    qp_store_relaxed(&board->stop, 1);
    for (int i = 0; i < 3; i++) {
        void *poisoned;
        assert_int_equal(0, pthread_join(threads[i], &poisoned));
        assert_null(poisoned);
        assert_true(readers[i].looks > 0);
    }
    free(board->s.memory);
    free(board);
}

static void test_readers_that_fence_never_see_what_was_reused(void **state)
{
    (void)state;
    readers_never_see_poison(true);
}

static void test_readers_fenced_by_the_writer_never_see_what_was_reused(void **state)
{
    (void)state;
#if defined(QP_THREAD_SANITIZER)
    skip(); /* ThreadSanitizer does not know membarrier */
#endif
    if (qp_grace_register() != 0)
        skip();
    readers_never_see_poison(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_section_shows_its_epoch_in_the_slot),
        cmocka_unit_test(test_a_stamp_passes_within_two_polls_when_nobody_reads),
        cmocka_unit_test(test_a_reader_that_stands_still_stops_the_epoch),
        cmocka_unit_test(test_a_reader_that_came_later_holds_nothing_up),
        cmocka_unit_test(test_the_oldest_of_several_readers_decides),
        cmocka_unit_test(test_slots_count_from_the_first_claim_on),
        cmocka_unit_test(test_all_slots_can_be_claimed_and_then_none),
        cmocka_unit_test(test_a_scribbled_mark_of_slots_leads_nobody_out_of_the_segment),
        cmocka_unit_test(test_grace_periods_go_on_where_stamps_wrap),
        cmocka_unit_test(test_readers_that_fence_never_see_what_was_reused),
        cmocka_unit_test(test_readers_fenced_by_the_writer_never_see_what_was_reused),
    };
    return cmocka_run_group_tests_name("grace periods", tests, NULL, NULL);
}
