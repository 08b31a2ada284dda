/* SPDX-License-Identifier: MIT */
/* extent_test.c: a segment that grows: nothing is lost, nothing doubled, by whatever count of its own a process goes, and
 * whoever grows at once or finds no memory. */
#include "extent_unit.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- entries and blocks --------------------------------------------------------------------------------------------- */

static void test_a_segment_begins_with_what_was_asked_for(void **state)
{
    (void)state;
    struct unit_segment s;
    open_growing(&s, FIRST, MOST);
    assert_int_equal(FIRST, capacity(&s.view));
    for (uint32_t i = 0; i < FIRST; i++)
        assert_int_equal(1, insert(&s.worker, i));
    assert_int_equal(-QP_EFULL, insert(&s.worker, FIRST));
    unit_quiet(&s);
    unit_close(&s);
}

static void test_each_step_makes_room_up_to_the_most(void **state)
{
    (void)state;
    struct unit_segment s;
    open_growing(&s, FIRST, MOST);
    uint64_t asked = plenty.asked_bytes;
    for (uint32_t expected = FIRST; expected < MOST;) {
        expected = expected + QP_GROW_COUNTERS < MOST ? expected + QP_GROW_COUNTERS : MOST;
        split_all(&s.worker);
        assert_int_equal(1, qp_extent_grow(&s.view, &reserver));
        assert_int_equal(expected, capacity(&s.view));
        unit_quiet(&s);
    }
    assert_int_equal(0, qp_extent_grow(&s.view, &reserver));
    assert_true(plenty.asked_bytes - asked > (uint64_t)(MOST - FIRST) * (sizeof(struct qp_entry) + 128));
    fill(&s.worker, 0, MOST);
    assert_int_equal(-QP_EFULL, insert(&s.worker, MOST));
    assert_all_there(&s.view, s.worker.slot, MOST);
    unit_settle(&s);
    unit_quiet(&s);
    unit_close(&s);
}

/* What was left over in the last word of hints before is used as well. */
static void test_every_entry_and_block_of_a_grown_segment_can_be_claimed(void **state)
{
    (void)state;
    struct unit_segment s;
    open_growing(&s, FIRST, 3 * QP_GROW_COUNTERS);
    for (int step = 0; step < 2; step++) {
        uint32_t index;
        for (unsigned c = 0; c < QP_CLASS_COUNT; c++)
            while (qp_block_claim(&s.worker, c, &index))
                continue;
        for (unsigned c = 0; c < QP_CLASS_COUNT; c++)
            for (uint32_t i = c == QP_CLASS_ENTRY; i < s.view.class_of[c].count; i++)
                assert_int_equal(QP_STATE_CLAIMED, qp_state_of(*qp_state_at(&s.view, c, i)));
        assert_int_equal(1, qp_extent_grow(&s.view, &reserver));
    }
    free(s.memory);
}

static void test_without_memory_the_segment_stays_as_it_is(void **state)
{
    (void)state;
    struct unit_segment s;
    open_growing(&s, FIRST, MOST);
    fill(&s.worker, 0, FIRST);
    int after = 0;
    for (; after < 20; after++) { /* none for the first thing it asks for, for the second, ... */
        struct memory scarce = {0, after};
        struct qp_reserver refusing = {reserve, &scarce};
        int grown = qp_extent_grow(&s.view, &refusing);
        if (grown == 1)
            break;
        assert_int_equal(-ENOSPC, grown);
        assert_int_equal(FIRST, capacity(&s.view));
        assert_int_equal(after + 1, s.view.header->stat_growths_refused);
        unit_quiet(&s);
    }
    assert_true(after > 5 && after < 20); /* entries, blocks, state words */
    assert_int_equal(1, s.view.header->stat_growths);
    fill(&s.worker, FIRST, 2 * FIRST);
    assert_all_there(&s.view, s.worker.slot, 2 * FIRST);
    unit_close(&s);
}

static void test_two_who_grow_at_once_grow_one_step(void **state)
{
    (void)state;
    struct unit_segment s;
    open_growing(&s, FIRST, MOST);
    struct qp_view other = fresh_view(&s);
    assert_int_equal(1, qp_extent_grow(&s.view, &reserver));
    assert_int_equal(1, qp_extent_grow(&other, &reserver)); /* it has grown, as far as this one can see */
    assert_int_equal(FIRST + QP_GROW_COUNTERS, capacity(&s.view));
    assert_int_equal(FIRST + QP_GROW_COUNTERS, capacity(&other));
    assert_int_equal(1, s.view.header->stat_growths);
    unit_close(&s);
}

/* A reserver that takes so long that another thread, which shares the view, has grown meanwhile. */
static int overtaken(void *context, uint64_t offset_bytes, uint64_t bytes)
{
    struct unit_segment *s = context;
    (void)offset_bytes, (void)bytes;
    if (s->view.header->stat_growths == 0)
        assert_int_equal(1, qp_extent_grow(&s->view, &reserver));
    return 0;
}

static void test_two_threads_that_grow_at_once_grow_one_step(void **state)
{
    (void)state;
    struct unit_segment s;
    open_growing(&s, FIRST, MOST);
    struct qp_reserver slow = {overtaken, &s};
    assert_int_equal(1, qp_extent_grow(&s.view, &slow));
    assert_int_equal(FIRST + QP_GROW_COUNTERS, capacity(&s.view));
    assert_int_equal(1, s.view.header->stat_growths);
    unit_close(&s);
}

static void test_a_process_that_knows_of_less_finds_and_changes_all(void **state)
{
    (void)state;
    struct unit_segment s;
    open_growing(&s, FIRST, MOST);
    for (uint32_t count = 3 * FIRST; count < MOST; count *= 3) {
        struct qp_view behind = fresh_view(&s);
        fill(&s.worker, count == 3 * FIRST ? 0 : count / 3, count);
        struct qp_worker worker = s.worker; /* its owner and slot, by the other view */
        worker.view = &behind;
        assert_all_there(&behind, s.worker.slot, count);
        behind = fresh_view(&s);
        assert_int_equal(walk_count(&s.view, s.worker.slot), walk_count(&behind, s.worker.slot));
        behind = fresh_view(&s);
        assert_int_equal(1, qp_extent_grow(&s.view, &reserver));
        assert_int_equal(0, insert_following(&worker, count - 1)); /* it is there */
        split_all(&s.worker);
        behind = fresh_view(&s);
        struct qp_key key = unit_key(&behind, name_of(count - 1));
        struct qp_entry *entry = unit_find(&worker, &key);
        assert_non_null(entry);
        unit_enter(&worker);
        qp_entry_end(&behind, entry);
        unit_exit(&worker);
        unit_settle(&s);
        assert_null(unit_find(&s.worker, &key));
        behind = fresh_view(&s);
        assert_int_equal(1, insert_following(&worker, count - 1));
        assert_non_null(unit_find(&s.worker, &key));
    }
    unit_settle(&s);
    unit_quiet(&s);
    unit_close(&s);
}

/* ---- damage ----------------------------------------------------------------------------------------------------------- */

static void test_what_the_header_cannot_mean_is_not_followed(void **state)
{
    (void)state;
    struct unit_segment s;
    open_growing(&s, FIRST, MOST);
    fill(&s.worker, 0, FIRST);
    struct qp_header *h = s.view.header;
    const struct {
        uint64_t *word, value;
    } scribbles[] = {
        {&h->counters_now, 0},           {&h->counters_now, FIRST - 1},    {&h->counters_now, FIRST + 1},
        {&h->counters_now, MOST + 1},    {&h->counters_now, UINT64_MAX},   {&h->counters_now, (UINT64_C(1) << 32) + FIRST},
        {&h->heads_linked, 0},           {&h->heads_linked, UINT64_MAX},   {&h->heads_linked, 1 << 20},
        {&h->heads_reserved, 1 << 30},   {&h->heads_reserved, UINT64_MAX}, {&h->heads_linked, h->heads_linked + 1},
        {&h->splitter, qp_state_next(0, QP_STATE_LIVE, 0)},
    };
    for (size_t i = 0; i < sizeof scribbles / sizeof scribbles[0]; i++) {
        char finding[256] = "";
        uint64_t was = *scribbles[i].word;
        *scribbles[i].word = scribbles[i].value;
        qp_extent_follow(&s.view);
        assert_int_equal(FIRST, capacity(&s.view));
        assert_int_equal(qp_layout_heads(FIRST), s.view.head_count);
        assert_int_equal(qp_layout_heads(FIRST) - 1, s.view.bucket_mask);
        assert_all_there(&s.view, s.worker.slot, FIRST);
        assert_int_equal(-QP_EDAMAGED, qp_check_segment(&s.view, NULL, false, finding, sizeof finding));
        assert_memory_equal("header: ", finding, 8);
        *scribbles[i].word = was;
    }
    unit_close(&s);
}

static void test_memory_that_is_not_there_is_noticed(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(0, ftruncate(fileno(file), 3 * 4096));
    unsigned char *map = mmap(NULL, 8 * 4096, PROT_READ, MAP_SHARED, fileno(file), 0);
    unsigned char *none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(map != MAP_FAILED && none != MAP_FAILED);
    errno = 99;
    assert_true(qp_extent_is_there(map, 3 * 4096));
    assert_true(qp_extent_is_there(map + 4095, 2));
    assert_true(qp_extent_is_there(map + 3 * 4096, 0));
    assert_false(qp_extent_is_there(map, 3 * 4096 + 1)); /* would be SIGBUS */
    assert_false(qp_extent_is_there(map + 3 * 4096, 8));
    assert_false(qp_extent_is_there(none, 1)); /* would be SIGSEGV */
    assert_int_equal(99, errno);
    munmap(map, 8 * 4096);
    munmap(none, 4096);
    fclose(file);
}

/* The word may be right in itself, and there is no memory: a hole in a full file system, played by memory that may not be read. */
static void test_memory_that_is_not_there_is_not_used(void **state)
{
    (void)state;
    struct unit_segment s;
    open_growing(&s, 1000, MOST);
    unsigned char *from = (unsigned char *)&s.view.entries[2048], *page = from + (4096 - (uintptr_t)from % 4096) % 4096;
    s.view.header->counters_now = 1000 + QP_GROW_COUNTERS;
    assert_int_equal(0, mprotect(page, 4096, PROT_NONE));
    assert_false(qp_extent_follow(&s.view));
    assert_null(qp_entry_at(&s.view, 2000));
    assert_null(qp_block_at(&s.view, qp_block_make(QP_CLASS_BLOCK_128, 2500)));
    assert_int_equal(1000, capacity(&s.view));
    assert_int_equal(0, mprotect(page, 4096, PROT_READ | PROT_WRITE));
    assert_ptr_equal(&s.view.entries[2000], qp_entry_at(&s.view, 2000));
    assert_non_null(qp_block_at(&s.view, qp_block_make(QP_CLASS_BLOCK_128, 2500)));
    s.view.header->heads_reserved = 2 * s.view.header->heads_linked;
    page = (unsigned char *)((uintptr_t)&s.view.buckets[s.view.head_count] / 4096 * 4096 + 4096);
    assert_int_equal(0, mprotect(page, 4096, PROT_NONE));
    assert_null(qp_head_at(&s.view, s.view.head_count));
    assert_int_equal(0, mprotect(page, 4096, PROT_READ | PROT_WRITE));
    assert_non_null(qp_head_at(&s.view, s.view.head_count));
    unit_close(&s);
}

/* ---- all at once -------------------------------------------------------------------------------------------------------- */

#define THREADS 4

struct grower {
    struct unit_segment *s;
    struct qp_view view; /* as if of a process of its own; two threads share each */
    struct qp_worker worker;
    struct qp_view *shared;
    uint32_t made;
};

static void *run_grower(void *arg)
{
    struct grower *g = arg;
    for (uint32_t i = 0; i < MOST / 2; i++) {
        int made;
        while ((made = insert(&g->worker, i)) < 0)
            if (qp_extent_grow(g->worker.view, &reserver) != 1 && qp_extent_split(&g->worker, &reserver) < 0)
                return NULL;
        g->made += made == 1;
        if (i % 64 == 0)
            qp_extent_split(&g->worker, &reserver);
    }
    return NULL;
}

static void test_inserters_and_growers_at_once_lose_and_double_nothing(void **state)
{
    (void)state;
    struct unit_segment s;
    struct grower g[THREADS];
    pthread_t thread[THREADS];
    uint32_t made = 0;
    open_growing(&s, 2, MOST);
    for (int t = 0; t < THREADS; t++) {
        g[t] = (struct grower){.s = &s, .view = fresh_view(&s), .worker = unit_worker(&s, (uint32_t)t + 1)};
        g[t].worker.view = &g[t / 2 * 2].view;
    }
    for (int t = 0; t < THREADS; t++)
        assert_int_equal(0, pthread_create(&thread[t], NULL, run_grower, &g[t]));
    for (int t = 0; t < THREADS; t++) {
        pthread_join(thread[t], NULL);
        made += g[t].made;
        qp_slot_release(g[t].worker.slot);
    }
    assert_int_equal(MOST / 2, made);
    split_all(&s.worker);
    assert_all_there(&s.view, s.worker.slot, MOST / 2);
    assert_int_equal(MOST / 2, walk_count(&s.view, s.worker.slot));
    unit_settle(&s);
    unit_quiet(&s);
    for (int t = 0; t < THREADS; t++)
        unit_die(&s, &g[t].worker);
    unit_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_segment_begins_with_what_was_asked_for),
        cmocka_unit_test(test_each_step_makes_room_up_to_the_most),
        cmocka_unit_test(test_every_entry_and_block_of_a_grown_segment_can_be_claimed),
        cmocka_unit_test(test_without_memory_the_segment_stays_as_it_is),
        cmocka_unit_test(test_two_who_grow_at_once_grow_one_step),
        cmocka_unit_test(test_two_threads_that_grow_at_once_grow_one_step),
        cmocka_unit_test(test_a_process_that_knows_of_less_finds_and_changes_all),
        cmocka_unit_test(test_what_the_header_cannot_mean_is_not_followed),
        cmocka_unit_test(test_memory_that_is_not_there_is_noticed),
        cmocka_unit_test(test_memory_that_is_not_there_is_not_used),
        cmocka_unit_test(test_inserters_and_growers_at_once_lose_and_double_nothing),
    };
    return cmocka_run_group_tests_name("extent", tests, NULL, NULL);
}
