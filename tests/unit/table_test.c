/* SPDX-License-Identifier: MIT */
/* table_test.c: the list of entries: finding, inserting, removing, walking in order. */
#include "unit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static const uint64_t plain = (uint64_t)QP_KIND_COUNTER << 59;

/* Ends an entry and takes it out of the list. */
static void remove_entry(struct qp_worker *worker, struct qp_entry *entry)
{
    unit_enter(worker);
    qp_entry_end(worker->view, entry);
    unit_exit(worker);
}

/* Walks everything in one section; each entry must come after the one before. Returns how many. */
static uint32_t walk_all(struct qp_worker *worker)
{
    struct qp_walk walk = {0};
    uint64_t last = 0;
    uint32_t entries = 0;
    unit_enter(worker);
    for (struct qp_entry *entry; (entry = qp_table_walk(worker->view, &walk)); entries++) {
        assert_true(qp_order_of(entry->hash) >= last);
        last = qp_order_of(entry->hash);
    }
    unit_exit(worker);
    assert_false(walk.damaged);
    return entries;
}

/* ---- one key -------------------------------------------------------------------------------------------------------- */

static void test_a_key_is_found_after_its_insert_and_not_before(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 100, 4);
    struct qp_key key = unit_key(&s.view, "one");
    assert_null(unit_find(&s.worker, &key));
    struct qp_entry *entry = unit_counter(&s.worker, "one", 5);
    assert_ptr_equal(entry, unit_find(&s.worker, &key));
    assert_int_equal(5, entry->cell[0]);
    assert_int_equal(QP_STATE_LIVE, qp_state_of(entry->state));
    unit_close(&s);
}

static void test_a_second_insert_finds_the_first(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 100, 4);
    struct qp_key key = unit_key(&s.view, "one");
    struct qp_entry *first = unit_counter(&s.worker, "one", 5), *second = NULL;
    struct qp_birth birth = unit_birth(plain);
    birth.draft.cell[0] = 9;
    unit_enter(&s.worker);
    assert_int_equal(0, qp_entry_create(&s.worker, &key, &birth, &second));
    unit_exit(&s.worker);
    assert_ptr_equal(first, second);
    assert_int_equal(5, first->cell[0]);
    assert_int_equal(1, walk_all(&s.worker));
    unit_close(&s);
}

static void test_a_removed_key_is_gone_and_can_come_back(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 100, 4);
    struct qp_key key = unit_key(&s.view, "one");
    struct qp_entry *first = unit_counter(&s.worker, "one", 5);
    remove_entry(&s.worker, first);
    assert_null(unit_find(&s.worker, &key));
    assert_false(qp_table_is_linked(&s.view, first));
    struct qp_entry *second = unit_counter(&s.worker, "one", 1);
    assert_ptr_not_equal(first, second); /* the first waits for its readers */
    assert_ptr_equal(second, unit_find(&s.worker, &key));
    unit_close(&s);
}

static void test_long_keys_are_told_apart_by_their_last_byte(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 100, 4);
    const uint32_t lengths[] = {1, QP_KEY_BYTES_INLINE, QP_KEY_BYTES_INLINE + 1, 112, 113, 500, QP_KEY_BYTES_MAX};
    unsigned char bytes[QP_KEY_BYTES_MAX];
    struct qp_entry *entries[2][7];
    memset(bytes, 'k', sizeof bytes);
    for (int last = 0; last < 2; last++)
        for (size_t i = 0; i < 7; i++) {
            bytes[lengths[i] - 1] = (unsigned char)last;
            struct qp_key key = qp_key_make(&s.view, bytes, lengths[i]);
            entries[last][i] = unit_entry(&s.worker, &key, plain, 1);
            assert_int_equal(lengths[i] > QP_KEY_BYTES_INLINE, entries[last][i]->key_block != 0);
            bytes[lengths[i] - 1] = 'k';
        }
    for (int last = 0; last < 2; last++)
        for (size_t i = 0; i < 7; i++) {
            bytes[lengths[i] - 1] = (unsigned char)last;
            struct qp_key key = qp_key_make(&s.view, bytes, lengths[i]);
            assert_ptr_equal(entries[last][i], unit_find(&s.worker, &key));
            bytes[lengths[i] - 1] = 'k';
        }
    assert_int_equal(14, walk_all(&s.worker));
    unit_close(&s);
}

/* Under one hash, so that the bytes alone decide: every length in the entry and beyond, and every byte of it. */
static void test_keys_are_told_apart_by_any_one_byte(void **state)
{
    (void)state;
    struct unit_segment s;
    unsigned char bytes[QP_KEY_BYTES_INLINE + 20];
    unit_open(&s, 200, 4);
    for (uint32_t length = 1; length <= sizeof bytes; length++) {
        memset(bytes, 'k', sizeof bytes);
        struct qp_key key = {bytes, length, UINT64_C(0x5555000000000000) + length};
        struct qp_entry *entry = unit_entry(&s.worker, &key, plain, 1);
        for (uint32_t at = 0; at < length; at++) {
            bytes[at] ^= 1;
            assert_null(unit_find(&s.worker, &key));
            bytes[at] ^= 1;
        }
        assert_ptr_equal(entry, unit_find(&s.worker, &key));
    }
    free(s.memory);
}

/* ---- keys of one hash ----------------------------------------------------------------------------------------------- */

/* The check rightly calls a forged hash damage, so these free the memory themselves. */
static void test_keys_of_equal_hash_live_side_by_side(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_entry *entries[50];
    char text[50][16];
    unit_open(&s, 100, 4);
    for (int i = 0; i < 50; i++) {
        snprintf(text[i], sizeof text[i], "same.%d", i);
        struct qp_key key = {text[i], (uint32_t)strlen(text[i]), UINT64_C(0x123456789abcdef0)};
        entries[i] = unit_entry(&s.worker, &key, plain, (uint64_t)i);
    }
    for (int i = 0; i < 50; i++) {
        struct qp_key key = {text[i], (uint32_t)strlen(text[i]), UINT64_C(0x123456789abcdef0)};
        assert_ptr_equal(entries[i], unit_find(&s.worker, &key));
        if (i % 2) {
            remove_entry(&s.worker, entries[i]);
            assert_null(unit_find(&s.worker, &key));
        }
    }
    assert_int_equal(25, walk_all(&s.worker));
    free(s.memory);
}

static void test_the_same_bytes_under_another_hash_are_not_found(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 100, 4);
    struct qp_key key = unit_key(&s.view, "one");
    unit_counter(&s.worker, "one", 1);
    key.hash ^= UINT64_C(1) << 63;
    assert_null(unit_find(&s.worker, &key));
    unit_close(&s);
}

/* ---- the order and the walk ----------------------------------------------------------------------------------------- */

static void test_the_order_of_a_hash_is_its_bits_reversed(void **state)
{
    (void)state;
    uint64_t noise = 3;
    for (int i = 0; i < 1000; i++) {
        uint64_t hash = unit_random(&noise), reversed = 0;
        for (int bit = 0; bit < 64; bit++)
            reversed |= (hash >> bit & 1) << (63 - bit);
        assert_int_equal(reversed, qp_order_of(hash));
        assert_int_equal(hash, qp_order_of(reversed));
    }
}

static void fill_keys(struct unit_segment *s, const char *prefix, int count)
{
    char text[32];
    for (int i = 0; i < count; i++) {
        snprintf(text, sizeof text, "%s.%d", prefix, i);
        unit_counter(&s->worker, text, 1);
    }
}

static void test_a_walk_meets_every_entry_once_in_order(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 3000, 4);
    fill_keys(&s, "k", 3000);
    assert_int_equal(3000, walk_all(&s.worker));
    unit_close(&s);
}

/* A walk that gives up its section after each entry: what stays is met once, whatever comes and goes around it. */
static void test_a_walk_resumed_after_each_entry_meets_what_stays_exactly_once(void **state)
{
    (void)state;
    struct unit_segment s;
    struct qp_walk walk = {0};
    unsigned char met[1000] = {0};
    char text[32];
    uint64_t noise = 5;
    unit_open(&s, 2500, 4);
    fill_keys(&s, "stay", 1000);
    fill_keys(&s, "go", 500);
    for (int step = 0;; step++) {
        unit_enter(&s.worker);
        walk.resume = true;
        struct qp_entry *entry = qp_table_walk(&s.view, &walk);
        int number =
            entry && sscanf(memcpy(memset(text, 0, sizeof text), entry->key, entry->key_bytes), "stay.%d", &number) == 1
                ? number
                : -1;
        unit_exit(&s.worker);
        if (!entry)
            break;
        if (number >= 0)
            assert_int_equal(0, met[number]++);
        if (step < 500) {
            snprintf(text, sizeof text, "go.%d", step);
            struct qp_key key = unit_key(&s.view, text);
            struct qp_entry *leaving = unit_find(&s.worker, &key);
            if (leaving && unit_random(&noise) % 2)
                remove_entry(&s.worker, leaving);
            snprintf(text, sizeof text, "come.%d", step);
            unit_counter(&s.worker, text, 1);
        }
    }
    assert_false(walk.damaged);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(1, met[i]);
    unit_close(&s);
}

static void test_a_list_that_leads_back_ends_as_damage(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 100, 4);
    for (uint64_t i = 0; i < 3; i++) { /* one bucket, three places in it */
        struct qp_key key = {&"abc"[i], 1, i << 60 | 7};
        unit_entry(&s.worker, &key, plain, 1);
    }
    assert_int_equal(3, walk_all(&s.worker));
    struct qp_walk walk = {0};
    struct qp_entry *first = qp_table_walk(&s.view, &walk), *last = first;
    for (struct qp_entry *next; (next = qp_table_walk(&s.view, &walk));)
        last = next;
    last->link = qp_link_make(first->hash, 0, qp_entry_index(&s.view, first));
    walk = (struct qp_walk){0};
    for (int i = 0; i < 3; i++)
        assert_non_null(qp_table_walk(&s.view, &walk));
    assert_null(qp_table_walk(&s.view, &walk));
    assert_true(walk.damaged);
    struct qp_key absent = {"d", 1, 7};
    int error = 0;
    assert_null(qp_table_find(&s.view, &absent, &error));
    assert_int_equal(-QP_EDAMAGED, error);
    free(s.memory);
}

static void test_a_chain_that_leads_out_of_the_segment_is_damage(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 100, 4);
    struct qp_key key = unit_key(&s.view, "one");
    s.view.buckets[key.hash & s.view.bucket_mask] = qp_link_make(key.hash, 0, 101);
    int error = 0;
    assert_null(qp_table_find(&s.view, &key, &error));
    assert_int_equal(-QP_EDAMAGED, error);
    struct qp_birth birth = unit_birth(plain);
    struct qp_entry *entry;
    unit_enter(&s.worker);
    assert_int_equal(-QP_EDAMAGED, qp_entry_create(&s.worker, &key, &birth, &entry));
    unit_exit(&s.worker);
    free(s.memory);
}

/* ---- purge ---------------------------------------------------------------------------------------------------------- */

static void test_purge_unlinks_from_the_middle_of_a_chain_and_twice_is_once(void **state)
{
    (void)state;
    struct unit_segment s;
    char text[3][8] = {"a", "b", "c"};
    struct qp_entry *entries[3];
    unit_open(&s, 100, 4);
    for (int i = 0; i < 3; i++) {
        struct qp_key key = {text[i], 1, UINT64_C(0xf00)};
        entries[i] = unit_entry(&s.worker, &key, plain, 1);
    }
    unit_enter(&s.worker);
    assert_true(qp_table_purge(&s.view, entries[1]));
    assert_true(qp_link_marked(entries[1]->link));
    assert_false(qp_table_is_linked(&s.view, entries[1]));
    assert_true(qp_table_purge(&s.view, entries[1]));
    unit_exit(&s.worker);
    assert_true(qp_table_is_linked(&s.view, entries[0]));
    assert_true(qp_table_is_linked(&s.view, entries[2]));
    assert_int_equal(2, walk_all(&s.worker));
    free(s.memory);
}

/* A remover that died between marking and unlinking: everyone passes by, and the next one unlinks. */
static void test_a_marked_entry_is_passed_by_and_unlinked_by_the_next_insert(void **state)
{
    (void)state;
    struct unit_segment s;
    unit_open(&s, 100, 4);
    struct qp_key key = unit_key(&s.view, "one");
    struct qp_entry *first = unit_counter(&s.worker, "one", 1);
    first->link |= QP_LINK_MARK;
    first->state = qp_state_next(first->state, QP_STATE_DEAD, 0);
    assert_null(unit_find(&s.worker, &key));
    assert_true(qp_table_is_linked(&s.view, first));
    struct qp_entry *second = unit_counter(&s.worker, "one", 1);
    assert_ptr_equal(second, unit_find(&s.worker, &key));
    assert_false(qp_table_is_linked(&s.view, first));
    unit_settle(&s);
    assert_int_equal(QP_STATE_FREE, qp_state_of(first->state));
    unit_close(&s);
}

/* ---- threads at once ------------------------------------------------------------------------------------------------ */

struct inserter {
    struct qp_worker worker;
    uint32_t made;
};

/* All threads insert, count and remove the same few keys. */
static void *insert_and_remove(void *arg)
{
    struct inserter *me = arg;
    uint64_t noise = me->worker.owner + 1;
    for (int i = 0; i < 4000; i++) {
        char text[16];
        snprintf(text, sizeof text, "k.%d", (int)(unit_random(&noise) % 16));
        struct qp_key key = unit_key(me->worker.view, text);
        struct qp_birth birth = unit_birth(plain);
        struct qp_entry *entry = NULL;
        unit_enter(&me->worker);
        int made = qp_entry_create(&me->worker, &key, &birth, &entry);
        me->made += made == 1;
        if (made == 0 && i % 4 == 0)
            qp_entry_end(me->worker.view, entry);
        unit_exit(&me->worker);
        if (i % 16 == 0) {
            qp_grace_poll(me->worker.view);
            qp_sweep_range(&me->worker, 0, qp_sweep_items(me->worker.view), &(struct qp_sweep){0});
        }
    }
    return NULL;
}

static void test_threads_at_once_never_make_a_key_twice(void **state)
{
    (void)state;
    struct unit_segment s;
    struct inserter inserters[3];
    pthread_t threads[3];
    unit_open(&s, 64, 8);
    for (uint32_t i = 0; i < 3; i++) {
        inserters[i] = (struct inserter){.worker = unit_worker(&s, i + 1)};
        assert_int_equal(0, pthread_create(&threads[i], NULL, insert_and_remove, &inserters[i]));
    }
    int made = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(0, pthread_join(threads[i], NULL));
        made += (int)inserters[i].made;
    }
    /* Together: one that runs while another sleeps inside a section may find no entry free all the time. */
    assert_true(made > 16);
    assert_true(walk_all(&s.worker) <= 16); /* the check in unit_close says that they are different keys */
    unit_settle(&s);
    unit_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_is_found_after_its_insert_and_not_before),
        cmocka_unit_test(test_a_second_insert_finds_the_first),
        cmocka_unit_test(test_a_removed_key_is_gone_and_can_come_back),
        cmocka_unit_test(test_long_keys_are_told_apart_by_their_last_byte),
        cmocka_unit_test(test_keys_are_told_apart_by_any_one_byte),
        cmocka_unit_test(test_keys_of_equal_hash_live_side_by_side),
        cmocka_unit_test(test_the_same_bytes_under_another_hash_are_not_found),
        cmocka_unit_test(test_the_order_of_a_hash_is_its_bits_reversed),
        cmocka_unit_test(test_a_walk_meets_every_entry_once_in_order),
        cmocka_unit_test(test_a_walk_resumed_after_each_entry_meets_what_stays_exactly_once),
        cmocka_unit_test(test_a_list_that_leads_back_ends_as_damage),
        cmocka_unit_test(test_a_chain_that_leads_out_of_the_segment_is_damage),
        cmocka_unit_test(test_purge_unlinks_from_the_middle_of_a_chain_and_twice_is_once),
        cmocka_unit_test(test_a_marked_entry_is_passed_by_and_unlinked_by_the_next_insert),
        cmocka_unit_test(test_threads_at_once_never_make_a_key_twice),
    };
    return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
