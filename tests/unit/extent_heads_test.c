/* SPDX-License-Identifier: MIT */
/* extent_heads_test.c: more heads of buckets in the list of a segment that grows: keys are found by whatever heads a process
 * goes, and whoever dies or stands still while he links them. */
#include "extent_unit.h"

#include "shm/recover.h"

/* ---- heads ---------------------------------------------------------------------------------------------------------- */

static void test_heads_are_linked_until_lists_are_short(void **state)
{
    (void)state;
    struct unit_segment s;
    open_growing(&s, FIRST, MOST);
    struct qp_view behind = fresh_view(&s);
    fill(&s.worker, 0, MOST);
    assert_int_equal(qp_layout_heads(FIRST) - 1, s.view.bucket_mask);
    for (uint32_t slices = 0; qp_extent_split(&s.worker, &reserver) == 1; slices++) {
        struct qp_view other = behind;
        assert_true(slices < 100);
        if (slices % 8 == 3) { /* in the middle of a doubling */
            assert_all_there(&s.view, s.worker.slot, MOST);
            assert_all_there(&other, s.worker.slot, MOST);
            other = behind;
            assert_int_equal(MOST, walk_count(&other, s.worker.slot));
            unit_quiet(&s);
        }
    }
    assert_int_equal(qp_layout_heads(MOST) - 1, s.view.bucket_mask);
    assert_int_equal(qp_layout_heads(MOST), s.view.header->heads_linked);
    assert_all_there(&s.view, s.worker.slot, MOST);
    assert_int_equal(MOST, walk_count(&s.view, s.worker.slot));
    unit_quiet(&s);
    unit_close(&s);
}

static void test_no_memory_for_heads_leaves_lists_long(void **state)
{
    (void)state;
    struct unit_segment s;
    struct memory scarce = {0, 0};
    struct qp_reserver refusing = {reserve, &scarce};
    open_growing(&s, FIRST, MOST);
    fill(&s.worker, 0, 10 * FIRST);
    assert_int_equal(-ENOSPC, qp_extent_split(&s.worker, &refusing));
    assert_int_equal(QP_STATE_FREE, qp_state_of(s.view.header->splitter));
    assert_all_there(&s.view, s.worker.slot, 10 * FIRST);
    unit_quiet(&s);
    unit_close(&s);
}

/* A helper that dies, or stands still, with the claim, having linked some of a slice. */
static struct qp_worker begin_slice(struct unit_segment *s, uint32_t linked)
{
    struct qp_worker helper = unit_worker(s, 1);
    struct qp_header *header = s->view.header;
    uint64_t from = header->heads_linked;
    header->splitter = qp_state_next(header->splitter, QP_STATE_CLAIMED, helper.owner);
    header->heads_reserved = 2 * from;
    unit_enter(&helper);
    for (uint32_t i = 0; i < linked; i++)
        assert_int_equal(0, qp_table_link_head(&s->view, (uint32_t)from + i));
    unit_exit(&helper);
    return helper;
}

static void test_who_dies_while_linking_heads_is_taken_over(void **state)
{
    (void)state;
    for (uint32_t linked = 0; linked < 256; linked += 51) {
        struct unit_segment s;
        open_growing(&s, FIRST, MOST);
        fill(&s.worker, 0, 10 * FIRST);
        struct qp_worker helper = begin_slice(&s, linked);
        /* Written, and not linked: what it wrote is not to be believed. */
        s.view.buckets[s.view.header->heads_linked + linked] = s.view.buckets[1];
        assert_all_there(&s.view, s.worker.slot, 10 * FIRST);
        assert_int_equal(0, qp_extent_split(&s.worker, &reserver)); /* it lives, as far as anybody knows */
        qp_slot_release(helper.slot);
        unit_die(&s, &helper);
        fill(&s.worker, 10 * FIRST, 11 * FIRST);
        split_all(&s.worker);
        assert_int_equal(qp_layout_heads(capacity(&s.view)) - 1, s.view.bucket_mask);
        assert_all_there(&s.view, s.worker.slot, 11 * FIRST);
        assert_int_equal(11 * FIRST, walk_count(&s.view, s.worker.slot));
        unit_quiet(&s);
        unit_close(&s);
    }
}

static void test_recovery_gives_the_claim_back(void **state)
{
    (void)state;
    struct unit_segment s;
    open_growing(&s, FIRST, MOST);
    fill(&s.worker, 0, 10 * FIRST);
    begin_slice(&s, 7);
    qp_recover_record(&s.worker, 1);
    assert_int_equal(QP_STATE_FREE, qp_state_of(s.view.header->splitter));
    unit_quiet(&s);
    split_all(&s.worker);
    assert_all_there(&s.view, s.worker.slot, 10 * FIRST);
    unit_close(&s);
}

/* He is in nobody's way until lists are far too long. Then the segment stops growing: nothing else. */
static void test_who_stands_still_while_linking_heads_stops_growth_in_the_end(void **state)
{
    (void)state;
    struct unit_segment s;
    open_growing(&s, 2, MOST);
    uint32_t heads = s.view.bucket_mask + 1;
    assert_int_equal(1, qp_extent_grow(&s.view, &reserver));
    struct qp_worker helper = begin_slice(&s, 2);
    uint32_t filled = capacity(&s.view);
    assert_true(filled > QP_EXTENT_LOAD_MAX * heads);
    for (uint32_t i = 0; i < filled; i++)
        assert_int_equal(1, insert(&s.worker, i));
    assert_int_equal(-QP_EFULL, qp_extent_grow(&s.view, &reserver));
    assert_int_equal(0, s.view.header->stat_growths_refused);
    assert_all_there(&s.view, s.worker.slot, filled);
    s.view.header->splitter = qp_state_next(s.view.header->splitter, QP_STATE_FREE, 0); /* he goes on */
    split_all(&s.worker);
    assert_int_equal(1, qp_extent_grow(&s.view, &reserver));
    unit_die(&s, &helper);
    qp_slot_release(helper.slot);
    unit_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads_are_linked_until_lists_are_short),
        cmocka_unit_test(test_no_memory_for_heads_leaves_lists_long),
        cmocka_unit_test(test_who_dies_while_linking_heads_is_taken_over),
        cmocka_unit_test(test_recovery_gives_the_claim_back),
        cmocka_unit_test(test_who_stands_still_while_linking_heads_stops_growth_in_the_end),
    };
    return cmocka_run_group_tests_name("extent_heads", tests, NULL, NULL);
}
