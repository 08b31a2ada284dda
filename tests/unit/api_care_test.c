/* SPDX-License-Identifier: MIT */
/* api_care_test.c: figures, upkeep, check, and the words for codes. */
#include "api.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>

static struct quipu_stat stat_of(struct quipu *q)
{
    struct quipu_stat stat;
    assert_code(0, quipu_stat(q, &stat));
    return stat;
}

static int delete_number(struct quipu *q, int number, bool make)
{
    char key[16];
    snprintf(key, sizeof key, "k.%d", number);
    return make ? quipu_add(q, key, strlen(key), 1) : quipu_delete(q, key, strlen(key), NULL);
}

/* ---- figures -------------------------------------------------------------------------------------------------------- */

static void test_the_figures_of_a_fresh_segment(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct quipu_stat stat = stat_of(q);
    assert_int_equal(q->view.bytes, stat.segment_bytes);
    assert_int_equal(100, stat.counters);
    assert_int_equal(8, stat.threads);
    assert_true(stat.processes >= 8);
    assert_int_equal(1, stat.threads_used);
    assert_int_equal(1, stat.processes_used);
    assert_int_equal(0, stat.threads_inside);
    assert_true(stat.blocks > 100);
    assert_true(stat.created_unix_ms > UINT64_C(1600000000000));
    assert_int_not_equal(0, stat.replica);
    const uint64_t zeros[] = {stat.counters_used,       stat.counters_deleted,    stat.entries_retired,
                              stat.blocks_used,         stat.blocks_retired,      stat.strategies,
                              stat.strategy_generation, stat.recovered_processes, stat.full_refusals,
                              stat.recovered_sections,  stat.recovered_blocks,    stat.completed_steps};
    for (size_t i = 0; i < sizeof zeros / sizeof zeros[0]; i++)
        assert_int_equal(0, zeros[i]);
    api_close(q);
}

static void test_figures_follow_a_key_through_its_life(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    char key[100] = "long";
    assert_code(0, quipu_add(q, key, sizeof key, 1));
    assert_int_equal(1, stat_of(q).counters_used);
    assert_int_equal(1, stat_of(q).blocks_used);
    assert_code(0, quipu_delete(q, key, sizeof key, NULL));
    assert_int_equal(1, stat_of(q).counters_used);
    assert_int_equal(1, stat_of(q).counters_deleted);
    assert_int_equal(2, stat_of(q).blocks_used);
    qp_test_settle(q);
    assert_int_equal(0, stat_of(q).counters_used);
    assert_int_equal(0, stat_of(q).counters_deleted);
    assert_int_equal(0, stat_of(q).blocks_used);
    assert_true(stat_of(q).grace_epoch > 1);
    assert_true(stat_of(q).grace_epoch_safe <= stat_of(q).grace_epoch);
    api_limit(q, "l:", 1000);
    assert_int_equal(1, stat_of(q).strategies);
    assert_int_equal(1, stat_of(q).strategy_generation);
    api_close(q);
}

static void test_calls_without_a_handle_are_refused(void **state)
{
    (void)state;
    struct quipu_stat stat;
    char finding[8];
    assert_code(-EINVAL, quipu_stat(NULL, &stat));
    assert_code(-EINVAL, quipu_check(NULL, finding, sizeof finding));
    assert_code(-EINVAL, quipu_check_quiet(NULL, finding, sizeof finding));
    assert_code(-EINVAL, quipu_upkeep(NULL, 0));
}

/* ---- upkeep --------------------------------------------------------------------------------------------------------- */

static void test_upkeep_says_0_when_nothing_is_left_to_do(void **state)
{
    (void)state;
    struct quipu *q = api_segment(500, 8);
    assert_code(0, quipu_upkeep(q, 0));
    for (int i = 0; i < 300; i++) {
        assert_code(0, delete_number(q, i, true));
        assert_code(0, delete_number(q, i, false));
    }
    int done, passes = 0;
    while ((done = quipu_upkeep(q, 0)) > 0)
        assert_true(++passes < 20);
    assert_code(0, done);
    assert_int_equal(0, stat_of(q).counters_used);
    assert_int_equal(0, stat_of(q).entries_retired);
    assert_int_equal(0, stat_of(q).blocks_retired);
    api_close(q);
}

/* In slices too, 0 means that nothing is left, wherever the slices began and ended. */
static void test_upkeep_in_slices_gets_everything_done(void **state)
{
    (void)state;
    struct quipu *q = api_segment(9000, 8);
    for (int round = 0; round < 8; round++) {
        for (int i = 0; i < 100; i++)
            assert_code(0, delete_number(q, round * 1000 + i, true));
        for (int i = 0; i < 100; i++)
            assert_code(0, delete_number(q, round * 1000 + i, false));
        while (quipu_upkeep(q, 1000000) > 0) {
        }
        assert_int_equal(0, stat_of(q).counters_used + stat_of(q).entries_retired + stat_of(q).blocks_retired);
    }
    api_close(q);
}

static void test_the_smallest_slices_get_there_too(void **state)
{
    (void)state;
    struct quipu *q = api_segment(9000, 8);
    assert_code(0, delete_number(q, 1, true));
    assert_code(0, delete_number(q, 1, false));
    for (int slices = 0; stat_of(q).counters_used + stat_of(q).entries_retired + stat_of(q).blocks_retired; slices++) {
        assert_true(quipu_upkeep(q, 1) >= 0);
        assert_true(slices < 1000);
    }
    api_close(q);
}

/* ---- check ---------------------------------------------------------------------------------------------------------- */

static void test_a_finding_is_one_sentence_cut_to_the_room_there_is(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    char finding[256], cut[9];
    api_mark(finding, sizeof finding);
    assert_code(0, quipu_check(q, finding, sizeof finding));
    api_assert_untouched(finding, sizeof finding);
    q->view.entries[5].hash = 1; /* a free entry that is not empty */
    assert_code(-QUIPU_EDAMAGED, quipu_check(q, finding, sizeof finding));
    assert_non_null(strstr(finding, "entry 5"));
    assert_null(strchr(finding, '\n'));
    assert_code(-QUIPU_EDAMAGED, quipu_check(q, cut, sizeof cut));
    assert_int_equal(sizeof cut - 1, strlen(cut));
    assert_memory_equal(finding, cut, sizeof cut - 1);
    assert_code(-QUIPU_EDAMAGED, quipu_check(q, NULL, 100));
    assert_code(-QUIPU_EDAMAGED, quipu_check(q, finding, 0));
    q->view.entries[5].hash = 0;
    api_close(q);
}

static void test_what_is_left_to_do_is_a_finding_only_when_quiet_was_promised(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    char finding[256];
    assert_code(0, quipu_add(q, KEY("k"), 1));
    assert_code(0, quipu_reset(q, KEY("k"), NULL));
    assert_code(0, quipu_reset(q, KEY("k"), NULL)); /* the first reset's block waits for a grace period */
    assert_code(0, quipu_check(q, finding, sizeof finding));
    assert_code(-QUIPU_EDAMAGED, quipu_check_quiet(q, finding, sizeof finding));
    qp_test_settle(q);
    assert_code(0, quipu_check_quiet(q, finding, sizeof finding));
    api_close(q);
}

/* ---- words ---------------------------------------------------------------------------------------------------------- */

static void expect_sentence(int code)
{
    const char *sentence = quipu_error(-code);
    assert_non_null(sentence);
    assert_ptr_equal(sentence, quipu_error(code)); /* with its sign or without */
    assert_true(strlen(sentence) > 3 && strlen(sentence) < 120);
    assert_null(strchr(sentence, '\n'));
    assert_true(islower((unsigned char)sentence[0]));
}

static void test_every_code_of_the_header_has_a_sentence_of_its_own(void **state)
{
    (void)state;
    const int codes[] = {0,      ENOENT,    EEXIST, EPROTOTYPE, EINVAL, ENAMETOOLONG,
                         ESTALE, EOVERFLOW, ERANGE, EOPNOTSUPP, ENOSPC, ELOOP};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        expect_sentence(codes[i]);
    for (int a = QUIPU_EFORMAT; a <= QUIPU_EREADONLY; a++) {
        expect_sentence(a);
        for (int b = QUIPU_EFORMAT; b < a; b++)
            assert_string_not_equal(quipu_error(a), quipu_error(b));
    }
}

static void test_other_codes_have_the_systems_words_or_none_at_all(void **state)
{
    (void)state;
    const int strange[] = {EACCES,  EMFILE,  ENOMEM,     4000, QUIPU_EREADONLY + 1, QUIPU_EFORMAT - 1,
                           INT_MAX, INT_MIN, INT_MIN + 1};
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        assert_non_null(quipu_error(strange[i]));
        assert_true(strlen(quipu_error(strange[i])) > 0);
    }
    assert_string_equal("Permission denied", quipu_error(-EACCES));
}

static void test_the_version_is_the_headers(void **state)
{
    (void)state;
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", QUIPU_VERSION_MAJOR, QUIPU_VERSION_MINOR, QUIPU_VERSION_PATCH);
    assert_string_equal(version, quipu_version());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_figures_of_a_fresh_segment),
        cmocka_unit_test(test_figures_follow_a_key_through_its_life),
        cmocka_unit_test(test_calls_without_a_handle_are_refused),
        cmocka_unit_test(test_upkeep_says_0_when_nothing_is_left_to_do),
        cmocka_unit_test(test_upkeep_in_slices_gets_everything_done),
        cmocka_unit_test(test_the_smallest_slices_get_there_too),
        cmocka_unit_test(test_a_finding_is_one_sentence_cut_to_the_room_there_is),
        cmocka_unit_test(test_what_is_left_to_do_is_a_finding_only_when_quiet_was_promised),
        cmocka_unit_test(test_every_code_of_the_header_has_a_sentence_of_its_own),
        cmocka_unit_test(test_other_codes_have_the_systems_words_or_none_at_all),
        cmocka_unit_test(test_the_version_is_the_headers),
    };
    return cmocka_run_group_tests_name("care and words", tests, NULL, NULL);
}
