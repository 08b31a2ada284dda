/* SPDX-License-Identifier: MIT */
/* block_test.c: claiming and giving back: nothing is handed out twice, whatever the hints say. */
#include "unit.h"

#include <pthread.h>
#include <stdlib.h>

#define COUNTERS 5000 /* more than 64 words of hints, so that the summary has two words */

static uint32_t class_count(const struct unit_segment *s, unsigned class_number)
{
    return s->view.class_of[class_number].count;
}

/* Claims until none is left; marks each in taken, and fails on one handed out twice. Returns how many. */
static uint32_t claim_all(struct qp_worker *worker, unsigned class_number, unsigned char *taken)
{
    uint32_t index, claimed = 0;
    for (; qp_block_claim(worker, class_number, &index); claimed++) {
        assert_true(index < worker->view->class_of[class_number].count);
        assert_int_equal(0, taken[index]);
        taken[index] = 1;
    }
    return claimed;
}

static unsigned char *taken_of(const struct unit_segment *s, unsigned class_number)
{
    unsigned char *taken = calloc(class_count(s, class_number), 1);
    assert_non_null(taken);
    return taken;
}

static enum qp_word_state state_of(const struct unit_segment *s, unsigned class_number, uint32_t index)
{
    return qp_state_of(*qp_state_at(&s->view, class_number, index));
}

/* Writes a byte over all hints of a class. */
static void scribble_hints(struct unit_segment *s, unsigned class_number, int byte)
{
    struct qp_class *k = &s->view.class_of[class_number];
    uint32_t words = (k->count + 63) / 64;
    memset(k->hints, byte, words * 8);
    memset(k->hint_summary, byte, (words + 63) / 64 * 8);
}

/* ---- claiming ------------------------------------------------------------------------------------------------------- */

static void test_each_thing_is_claimed_once_and_then_none_is_left(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, COUNTERS, 4);
    for (unsigned c = 0; c < QP_CLASS_COUNT; c++) {
        unsigned char *taken = taken_of(&s, c);
        assert_int_equal(class_count(&s, c) - (c == QP_CLASS_ENTRY), claim_all(&s.worker, c, taken));
        assert_int_equal(0, c == QP_CLASS_ENTRY && taken[0]); /* entry 0 stands for "none" */
        for (uint32_t i = 0; i < class_count(&s, c); i++)
            if (taken[i])
                qp_block_unclaim(&s.worker, c, i);
        memset(taken, 0, class_count(&s, c));
        assert_int_equal(class_count(&s, c) - (c == QP_CLASS_ENTRY), claim_all(&s.worker, c, taken));
        free(taken);
    }
    free(s.memory);
}

static void test_hints_that_say_all_in_use_are_mended_by_a_sweep(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, COUNTERS, 4);
    uint32_t index;
    scribble_hints(&s, QP_CLASS_BLOCK_128, 0xff);
    assert_false(qp_block_claim(&s.worker, QP_CLASS_BLOCK_128, &index));
    unit_settle(&s);
    unsigned char *taken = taken_of(&s, QP_CLASS_BLOCK_128);
    assert_int_equal(class_count(&s, QP_CLASS_BLOCK_128), claim_all(&s.worker, QP_CLASS_BLOCK_128, taken));
    free(taken);
    free(s.memory);
}

static void test_hints_that_say_all_free_hand_out_nothing_twice(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, COUNTERS, 4);
    unsigned char *taken = taken_of(&s, QP_CLASS_ENTRY);
    claim_all(&s.worker, QP_CLASS_ENTRY, taken);
    scribble_hints(&s, QP_CLASS_ENTRY, 0);
    uint32_t index;
    assert_false(qp_block_claim(&s.worker, QP_CLASS_ENTRY, &index));
    /* The search has put every hint right that it met. */
    const struct qp_class *k = &s.view.class_of[QP_CLASS_ENTRY];
    for (uint32_t i = 1; i < k->count; i++)
        assert_true(k->hints[i / 64] >> (i % 64) & 1);
    assert_int_equal(~UINT64_C(0), k->hint_summary[0]);
    qp_block_unclaim(&s.worker, QP_CLASS_ENTRY, 4711);
    assert_true(qp_block_claim(&s.worker, QP_CLASS_ENTRY, &index));
    assert_int_equal(4711, index);
    free(taken);
    free(s.memory);
}

static void test_random_hints_cost_things_at_most_until_the_sweep(void **state)
{
    (void)state;
    struct unit_segment s;
    uint64_t noise = 7;
    unit_open(&s, COUNTERS, 4);
    unsigned char *taken = taken_of(&s, QP_CLASS_BLOCK_128);
    struct qp_class *k = &s.view.class_of[QP_CLASS_BLOCK_128];
    uint32_t claimed = 0;
    for (int round = 0; round < 20; round++) {
        for (uint32_t word = 0; word < (k->count + 63) / 64; word++)
            k->hints[word] = unit_random(&noise) | unit_random(&noise);
        k->hint_summary[0] = unit_random(&noise);
        claimed += claim_all(&s.worker, QP_CLASS_BLOCK_128, taken);
    }
    assert_true(claimed > 0);
    qp_sweep_range(&s.worker, 0, qp_sweep_items(&s.view), &(struct qp_sweep){0});
    claimed += claim_all(&s.worker, QP_CLASS_BLOCK_128, taken);
    assert_int_equal(k->count, claimed);
    free(taken);
    free(s.memory);
}

static void test_a_mended_hint_is_reported_once(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 100, 4);
    struct qp_class *k = &s.view.class_of[QP_CLASS_BLOCK_256];
    k->hints[0] = 1u << 3;
    assert_true(qp_block_repair_hint(&s.view, QP_CLASS_BLOCK_256, 3));
    assert_false(qp_block_repair_hint(&s.view, QP_CLASS_BLOCK_256, 3));
    assert_int_equal(0, k->hints[0]);
    unit_close(&s);
}

/* ---- blocks --------------------------------------------------------------------------------------------------------- */

static void test_a_block_comes_from_the_smallest_class_that_fits(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 100, 4);
    const struct {
        uint32_t payload;
        unsigned class_number;
    } wants[] = {{1, QP_CLASS_BLOCK_128},   {112, QP_CLASS_BLOCK_128}, {113, QP_CLASS_BLOCK_256},
                 {240, QP_CLASS_BLOCK_256}, {496, QP_CLASS_BLOCK_512}, {497, QP_CLASS_BLOCK_2048},
                 {2033, QP_CLASS_BLOCK_16384}, {16368, QP_CLASS_BLOCK_16384}};
    for (size_t i = 0; i < sizeof wants / sizeof wants[0]; i++) {
        uint32_t block;
        assert_true(qp_block_alloc(&s.worker, QP_BLOCK_KEY, 5, wants[i].payload, &block));
        assert_int_equal(wants[i].class_number, qp_block_class(block));
        const struct qp_block *b = qp_block_at(&s.view, block);
        assert_int_equal(QP_BLOCK_KEY, b->kind);
        assert_int_equal(5, b->parent);
        assert_int_equal(wants[i].payload, b->bytes);
        assert_true(b->bytes <= qp_block_room(&s.view, block));
        qp_block_drop(&s.worker, block);
    }
    uint32_t block;
    assert_false(qp_block_alloc(&s.worker, QP_BLOCK_KEY, 5, 16369, &block));
    unit_close(&s);
}

static void test_an_empty_class_is_helped_out_by_larger_ones(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 100, 4);
    uint32_t blocks = 0, had = 0, block, last_class = QP_CLASS_BLOCK_128;
    for (unsigned c = QP_CLASS_BLOCK_128; c < QP_CLASS_BLOCK_END; c++)
        blocks += class_count(&s, c);
    for (; qp_block_alloc(&s.worker, QP_BLOCK_SHARD, 1, 112, &block); had++) {
        assert_true(qp_block_class(block) >= last_class);
        last_class = qp_block_class(block);
    }
    assert_int_equal(blocks, had);
    assert_int_equal(QP_CLASS_BLOCK_16384, last_class);
    free(s.memory);
}

/* ---- a life --------------------------------------------------------------------------------------------------------- */

static void test_a_life_goes_from_claimed_to_live_to_retired_to_free(void **state)
{
    (void)state;
    struct unit_segment s;
    uint32_t i;
    unit_open(&s, 100, 4);
    assert_true(qp_block_claim(&s.worker, QP_CLASS_BLOCK_128, &i));
    assert_int_equal(QP_STATE_CLAIMED, state_of(&s, QP_CLASS_BLOCK_128, i));
    qp_block_published(&s.worker, QP_CLASS_BLOCK_128, i, 17);
    uint64_t live = *qp_state_at(&s.view, QP_CLASS_BLOCK_128, i);
    assert_int_equal(QP_STATE_LIVE, qp_state_of(live));
    assert_int_equal(17, qp_state_argument(live));
    qp_block_retire(&s.view, QP_CLASS_BLOCK_128, i);
    uint64_t retired = *qp_state_at(&s.view, QP_CLASS_BLOCK_128, i);
    assert_int_equal(QP_STATE_RETIRED, qp_state_of(retired));
    qp_block_retire(&s.view, QP_CLASS_BLOCK_128, i); /* twice is once */
    assert_int_equal(retired, *qp_state_at(&s.view, QP_CLASS_BLOCK_128, i));
    assert_false(qp_block_reclaim(&s.view, QP_CLASS_BLOCK_128, i)); /* not before a grace period */
    while (!qp_grace_passed(&s.view, qp_state_argument(retired)))
        qp_grace_poll(&s.view);
    assert_true(qp_block_reclaim(&s.view, QP_CLASS_BLOCK_128, i));
    assert_false(qp_block_reclaim(&s.view, QP_CLASS_BLOCK_128, i));
    assert_int_equal(QP_STATE_FREE, state_of(&s, QP_CLASS_BLOCK_128, i));
    unit_close(&s);
}

static void test_a_claim_replaced_before_its_publisher_said_so_can_be_retired(void **state)
{
    (void)state;
    struct unit_segment s;
    uint32_t i;
    unit_open(&s, 100, 4);
    assert_true(qp_block_claim(&s.worker, QP_CLASS_BLOCK_128, &i));
    qp_block_retire(&s.view, QP_CLASS_BLOCK_128, i);
    assert_int_equal(QP_STATE_RETIRED, state_of(&s, QP_CLASS_BLOCK_128, i));
    qp_block_published(&s.worker, QP_CLASS_BLOCK_128, i, 17); /* late: changes nothing */
    assert_int_equal(QP_STATE_RETIRED, state_of(&s, QP_CLASS_BLOCK_128, i));
    qp_block_unclaim(&s.worker, QP_CLASS_BLOCK_128, i);
    assert_int_equal(QP_STATE_RETIRED, state_of(&s, QP_CLASS_BLOCK_128, i));
    unit_settle(&s);
    assert_int_equal(QP_STATE_FREE, state_of(&s, QP_CLASS_BLOCK_128, i));
    unit_close(&s);
}

static void test_only_the_owner_publishes_or_gives_back_a_claim(void **state)
{
    (void)state;
    struct unit_segment s;
    uint32_t i;
    unit_open(&s, 100, 4);
    struct qp_worker other = unit_worker(&s, 1);
    assert_true(qp_block_claim(&s.worker, QP_CLASS_BLOCK_128, &i));
    uint64_t before = *qp_state_at(&s.view, QP_CLASS_BLOCK_128, i);
    qp_block_published(&other, QP_CLASS_BLOCK_128, i, 17);
    qp_block_unclaim(&other, QP_CLASS_BLOCK_128, i);
    assert_int_equal(before, *qp_state_at(&s.view, QP_CLASS_BLOCK_128, i));
    qp_block_unclaim(&s.worker, QP_CLASS_BLOCK_128, i);
    assert_int_equal(QP_STATE_FREE, state_of(&s, QP_CLASS_BLOCK_128, i));
    unit_close(&s);
}

static void test_each_life_has_another_word(void **state)
{
    (void)state;
    struct unit_segment s;
    uint32_t i, again;
    unit_open(&s, 100, 4);
    assert_true(qp_block_claim(&s.worker, QP_CLASS_BLOCK_512, &i));
    uint64_t first = *qp_state_at(&s.view, QP_CLASS_BLOCK_512, i);
    qp_block_unclaim(&s.worker, QP_CLASS_BLOCK_512, i);
    assert_true(qp_block_claim(&s.worker, QP_CLASS_BLOCK_512, &again));
    assert_int_equal(i, again);
    uint64_t second = *qp_state_at(&s.view, QP_CLASS_BLOCK_512, i);
    assert_int_equal(qp_state_argument(first), qp_state_argument(second)); /* the same owner, and yet another word */
    assert_int_not_equal(first, second);
    qp_block_unclaim(&s.worker, QP_CLASS_BLOCK_512, i);
    unit_close(&s);
}

static void test_a_child_is_freed_for_its_own_parent_only(void **state)
{
    (void)state;
    struct unit_segment s;
    uint32_t block;
    unit_open(&s, 100, 4);
    assert_true(qp_block_alloc(&s.worker, QP_BLOCK_SHARD, 9, 112, &block));
    qp_block_free_child(&s.view, block, 9); /* still claimed: not this call's to free */
    assert_int_equal(QP_STATE_CLAIMED, qp_state_of(*qp_block_state(&s.view, block)));
    qp_block_published(&s.worker, qp_block_class(block), qp_block_index(block), 9);
    qp_block_free_child(&s.view, block, 8);
    assert_int_equal(QP_STATE_LIVE, qp_state_of(*qp_block_state(&s.view, block)));
    qp_block_free_child(&s.view, 0, 0);
    qp_block_free_child(&s.view, UINT32_MAX, 9);
    qp_block_free_child(&s.view, block, 9);
    assert_int_equal(QP_STATE_FREE, qp_state_of(*qp_block_state(&s.view, block)));
    unit_close(&s);
}

/* ---- threads at once ------------------------------------------------------------------------------------------------ */

struct racer {
    struct qp_worker worker;
    unsigned char *taken;
    uint32_t claimed;
};

/* Claims, gives every third back, and goes on until nothing is free. */
static void *race(void *arg)
{
    struct racer *racer = arg;
    uint32_t index, claims = 0;
    while (qp_block_claim(&racer->worker, QP_CLASS_BLOCK_128, &index)) {
        if (__atomic_exchange_n(&racer->taken[index], 1, __ATOMIC_RELAXED))
            return racer; /* somebody else's */
        if (claims++ % 3 == 0) {
            __atomic_store_n(&racer->taken[index], 0, __ATOMIC_RELAXED);
            qp_block_unclaim(&racer->worker, QP_CLASS_BLOCK_128, index);
        } else {
            racer->claimed++;
        }
    }
    return NULL;
}

static void test_threads_at_once_get_different_things(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, COUNTERS, 8);
    unsigned char *taken = taken_of(&s, QP_CLASS_BLOCK_128);
    struct racer racers[4];
    pthread_t threads[4];
    uint32_t claimed = 0;
    for (uint32_t i = 0; i < 4; i++) {
        racers[i] = (struct racer){.worker = unit_worker(&s, i + 1), .taken = taken};
        racers[i].worker.place = i * 40;
        assert_int_equal(0, pthread_create(&threads[i], NULL, race, &racers[i]));
    }
    for (int i = 0; i < 4; i++) {
        void *doubled;
        assert_int_equal(0, pthread_join(threads[i], &doubled));
        assert_null(doubled);
        claimed += racers[i].claimed;
    }
    for (uint32_t i = 0; i < class_count(&s, QP_CLASS_BLOCK_128); i++)
        assert_int_equal(taken[i], state_of(&s, QP_CLASS_BLOCK_128, i) == QP_STATE_CLAIMED);
    /* What was given back while the others made their last round may be left over; hints may not have lost it. */
    assert_int_equal(class_count(&s, QP_CLASS_BLOCK_128), claimed + claim_all(&s.worker, QP_CLASS_BLOCK_128, taken));
    free(taken);
    free(s.memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_thing_is_claimed_once_and_then_none_is_left),
        cmocka_unit_test(test_hints_that_say_all_in_use_are_mended_by_a_sweep),
        cmocka_unit_test(test_hints_that_say_all_free_hand_out_nothing_twice),
        cmocka_unit_test(test_random_hints_cost_things_at_most_until_the_sweep),
        cmocka_unit_test(test_a_mended_hint_is_reported_once),
        cmocka_unit_test(test_a_block_comes_from_the_smallest_class_that_fits),
        cmocka_unit_test(test_an_empty_class_is_helped_out_by_larger_ones),
        cmocka_unit_test(test_a_life_goes_from_claimed_to_live_to_retired_to_free),
        cmocka_unit_test(test_a_claim_replaced_before_its_publisher_said_so_can_be_retired),
        cmocka_unit_test(test_only_the_owner_publishes_or_gives_back_a_claim),
        cmocka_unit_test(test_each_life_has_another_word),
        cmocka_unit_test(test_a_child_is_freed_for_its_own_parent_only),
        cmocka_unit_test(test_threads_at_once_get_different_things),
    };
    return cmocka_run_group_tests_name("blocks", tests, NULL, NULL);
}
