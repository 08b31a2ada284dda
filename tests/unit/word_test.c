/* SPDX-License-Identifier: MIT */
/* word_test.c: the packed words: what goes in comes out, turns wrap, stamps compare by distance. */
#include "unit.h"

#include "shm/word.h"

/* ---- state words ---------------------------------------------------------------------------------------------------- */

static void test_a_state_word_gives_back_state_argument_and_turn(void **state)
{
    (void)state;
    const uint64_t arguments[] = {0, 1, 12345, QP_ARGUMENT_MASK};
    const uint64_t turns[] = {0, 1, QP_TURN_MASK - 1};
    for (int s = QP_STATE_FREE; s < QP_STATE_COUNT; s++)
        for (size_t a = 0; a < sizeof arguments / sizeof arguments[0]; a++)
            for (size_t t = 0; t < sizeof turns / sizeof turns[0]; t++) {
                uint64_t before = turns[t] << (64 - QP_TURN_BITS) | UINT64_C(0xabcdef);
                uint64_t word = qp_state_next(before, (enum qp_word_state)s, arguments[a]);
                assert_int_equal(s, qp_state_of(word));
                assert_int_equal(arguments[a], qp_state_argument(word));
                assert_int_equal(turns[t] + 1, qp_state_turn(word));
            }
}

static void test_zero_is_free_in_turn_zero(void **state)
{
    (void)state;
    assert_int_equal(QP_STATE_FREE, qp_state_of(0));
    assert_int_equal(0, qp_state_argument(0));
    assert_int_equal(0, qp_state_turn(0));
}

static void test_the_turn_wraps_and_leaves_the_rest_alone(void **state)
{
    (void)state;
    uint64_t last = QP_TURN_MASK << (64 - QP_TURN_BITS);
    uint64_t word = qp_state_next(last, QP_STATE_RETIRED, 77);
    assert_int_equal(0, qp_state_turn(word));
    assert_int_equal(QP_STATE_RETIRED, qp_state_of(word));
    assert_int_equal(77, qp_state_argument(word));
}

static void test_every_change_of_state_makes_another_word(void **state)
{
    (void)state;
    uint64_t word = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t next = qp_state_next(word, QP_STATE_LIVE, 0);
        assert_int_not_equal(word, next);
        word = next;
    }
}

static void test_an_argument_too_wide_is_cut_and_spoils_nothing(void **state)
{
    (void)state;
    uint64_t word = qp_state_next(0, QP_STATE_LIVE, ~UINT64_C(0));
    assert_int_equal(QP_STATE_LIVE, qp_state_of(word));
    assert_int_equal(1, qp_state_turn(word));
}

static void test_an_owner_gives_back_its_record_and_fits_an_argument(void **state)
{
    (void)state;
    uint64_t owner = qp_owner_make(4094, QP_GENERATION_MASK);
    assert_int_equal(4094, qp_owner_record(owner));
    assert_int_equal(owner, owner & QP_ARGUMENT_MASK);
    assert_int_equal(owner, qp_state_argument(qp_state_next(0, QP_STATE_CLAIMED, owner)));
    assert_int_not_equal(qp_owner_make(3, 1), qp_owner_make(3, 2));
    assert_int_equal(qp_owner_make(3, 1), qp_owner_make(3, QP_GENERATION_MASK + 2));
}

/* ---- stamps --------------------------------------------------------------------------------------------------------- */

/* A thing stamped in an epoch may be reused only when a later one is safe; this must hold on both sides of the wrap. */
static void stamps_around(uint64_t middle)
{
    for (uint64_t epoch = middle - 5; epoch <= middle + 5; epoch++) {
        uint64_t stamp = qp_stamp_of(epoch);
        assert_int_not_equal(0, stamp);
        for (uint64_t safe = epoch - 5; safe <= epoch; safe++)
            assert_false(qp_stamp_is_safe(stamp, safe));
        /* Stamp 0 does not exist, so the epoch at the wrap lends its successor's, and waits one epoch more. */
        uint64_t first_safe = (epoch & QP_ARGUMENT_MASK) ? epoch + 1 : epoch + 2;
        assert_true(qp_stamp_is_safe(stamp, first_safe));
        assert_true(qp_stamp_is_safe(stamp, first_safe + 1000));
    }
}

static void test_a_stamp_is_safe_only_after_its_epoch(void **state)
{
    (void)state;
    stamps_around(1000);
}

static void test_a_stamp_is_safe_only_after_its_epoch_where_stamps_wrap(void **state)
{
    (void)state;
    stamps_around(UINT64_C(1) << QP_ARGUMENT_BITS);
    stamps_around(UINT64_C(5) << QP_ARGUMENT_BITS);
}

static void test_stamps_are_told_apart_up_to_half_the_range(void **state)
{
    (void)state;
    uint64_t half = UINT64_C(1) << (QP_ARGUMENT_BITS - 1);
    assert_true(qp_stamp_is_safe(qp_stamp_of(7), 7 + half - 1));
    assert_false(qp_stamp_is_safe(qp_stamp_of(7), 7 + half));
    assert_false(qp_stamp_is_safe(qp_stamp_of(7), 6));
}

/* ---- links, references, blocks ----------------------------------------------------------------------------------- */

static void test_a_link_carries_index_tag_and_generation_apart(void **state)
{
    (void)state;
    uint64_t hash = UINT64_C(0xfeed123456789abc);
    uint64_t link = qp_link_make(hash, QP_TURN_MASK, UINT32_MAX);
    assert_int_equal(UINT32_MAX, qp_link_index(link));
    assert_false(qp_link_marked(link));
    assert_true(qp_link_tag_fits(link, hash));
    assert_false(qp_link_tag_fits(link, hash ^ UINT64_C(1) << 48));
    assert_true(qp_link_tag_fits(link, hash ^ UINT64_C(1) << 47));
    assert_int_not_equal(qp_link_make(hash, 1, 5), qp_link_make(hash, 2, 5));
}

static void test_a_mark_changes_nothing_else_of_a_link(void **state)
{
    (void)state;
    uint64_t link = qp_link_make(UINT64_C(0x1111222233334444), 99, 1234);
    uint64_t marked = link | QP_LINK_MARK;
    assert_true(qp_link_marked(marked));
    assert_int_equal(1234, qp_link_index(marked));
    assert_true(qp_link_tag_fits(marked, UINT64_C(0x1111222233334444)));
    assert_int_equal(link, marked & ~QP_LINK_MARK);
}

static void test_a_reference_never_repeats_while_blocks_change_back_and_forth(void **state)
{
    (void)state;
    uint64_t first = qp_ref_next(0, 7), second = qp_ref_next(first, 8), third = qp_ref_next(second, 7);
    assert_int_equal(7, qp_ref_block(first));
    assert_int_equal(8, qp_ref_block(second));
    assert_int_equal(7, qp_ref_block(third));
    assert_int_not_equal(first, third);
    uint64_t last = qp_ref_next(UINT64_C(0xffffffff) << 32 | 3, 4);
    assert_int_equal(4, last); /* the turn wraps into nothing */
}

static void test_a_block_number_gives_back_class_and_index(void **state)
{
    (void)state;
    uint32_t most = (UINT32_C(1) << QP_BLOCK_INDEX_BITS) - 1;
    for (uint32_t class_number = 0; class_number < 16; class_number++) {
        assert_int_equal(class_number, qp_block_class(qp_block_make(class_number, most)));
        assert_int_equal(most, qp_block_index(qp_block_make(class_number, most)));
        assert_int_equal(0, qp_block_index(qp_block_make(class_number, 0)));
    }
}

/* ---- windowed cells, strategies, traits --------------------------------------------------------------------------- */

static void test_a_windowed_cell_gives_back_its_window_and_count(void **state)
{
    (void)state;
    const uint64_t windows[] = {0, 1, 2, 3, QP_WINDOW_MASK - 1, QP_WINDOW_MASK, QP_WINDOW_MASK + 1, 17000064000};
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++)
        for (uint64_t count = 0; count <= QP_CELL_COUNT_MAX; count = count * 3 + 1) {
            uint64_t cell = qp_cell_make(windows[i], count);
            assert_int_equal(windows[i] & QP_WINDOW_MASK, qp_cell_window(cell, windows[i] & 1));
            assert_int_equal(count, qp_cell_count(cell));
            assert_false(cell & QP_CELL_SEALED);
        }
}

static void test_a_full_window_does_not_run_into_the_seal(void **state)
{
    (void)state;
    uint64_t cell = qp_cell_make(QP_WINDOW_MASK, QP_CELL_COUNT_MAX);
    assert_int_equal(QP_CELL_COUNT_MAX, qp_cell_count(cell));
    assert_int_equal(QP_CELL_COUNT_MAX, qp_cell_count(cell | QP_CELL_SEALED));
    assert_int_equal(QP_WINDOW_MASK, qp_cell_window(cell | QP_CELL_SEALED, 1));
}

static void test_a_strategy_cache_gives_back_generation_and_row(void **state)
{
    (void)state;
    uint64_t cache = qp_strategy_cache(UINT32_MAX, QP_ROW_NONE);
    assert_int_equal(UINT32_MAX, qp_strategy_generation(cache));
    assert_int_equal(QP_ROW_NONE, qp_strategy_row(cache));
    assert_int_equal(0, cache & 0xffff);
    assert_int_equal(12, qp_strategy_row(qp_strategy_cache(34, 12)));
    assert_int_equal(34, qp_strategy_generation(qp_strategy_cache(34, 12)));
}

static void test_traits_give_back_kind_and_window(void **state)
{
    (void)state;
    uint64_t traits = qp_traits_make(QP_KIND_LIMIT, 3, 86400000);
    assert_int_equal(QP_KIND_LIMIT, qp_traits_kind(traits));
    assert_int_equal(86400000, qp_traits_window_ms(traits));
    assert_int_equal(3, traits >> 62);
    assert_int_equal(0, (uint32_t)traits);
    assert_int_equal(QP_KIND_REGISTER, qp_traits_kind(qp_traits_make(QP_KIND_REGISTER, 0, 0)));
}

static void test_an_origin_gives_back_its_sequence_and_replica(void **state)
{
    (void)state;
    uint64_t origin = qp_origin_make(QP_SEQUENCE_MASK, 255);
    assert_int_equal(QP_SEQUENCE_MASK, qp_origin_sequence(origin));
    assert_int_equal(255, qp_origin_replica(origin));
    assert_int_equal(0, qp_origin_sequence(qp_origin_make(0, 0xffff)));
    assert_int_equal(0xffff, qp_origin_replica(qp_origin_make(0, 0xffff)));
    assert_int_equal(0, qp_origin_make(0, 0)); /* our own, in no stream yet */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_state_word_gives_back_state_argument_and_turn),
        cmocka_unit_test(test_zero_is_free_in_turn_zero),
        cmocka_unit_test(test_the_turn_wraps_and_leaves_the_rest_alone),
        cmocka_unit_test(test_every_change_of_state_makes_another_word),
        cmocka_unit_test(test_an_argument_too_wide_is_cut_and_spoils_nothing),
        cmocka_unit_test(test_an_owner_gives_back_its_record_and_fits_an_argument),
        cmocka_unit_test(test_a_stamp_is_safe_only_after_its_epoch),
        cmocka_unit_test(test_a_stamp_is_safe_only_after_its_epoch_where_stamps_wrap),
        cmocka_unit_test(test_stamps_are_told_apart_up_to_half_the_range),
        cmocka_unit_test(test_a_link_carries_index_tag_and_generation_apart),
        cmocka_unit_test(test_a_mark_changes_nothing_else_of_a_link),
        cmocka_unit_test(test_a_reference_never_repeats_while_blocks_change_back_and_forth),
        cmocka_unit_test(test_a_block_number_gives_back_class_and_index),
        cmocka_unit_test(test_a_windowed_cell_gives_back_its_window_and_count),
        cmocka_unit_test(test_a_full_window_does_not_run_into_the_seal),
        cmocka_unit_test(test_an_origin_gives_back_its_sequence_and_replica),
        cmocka_unit_test(test_a_strategy_cache_gives_back_generation_and_row),
        cmocka_unit_test(test_traits_give_back_kind_and_window),
    };
    return cmocka_run_group_tests_name("words", tests, NULL, NULL);
}
