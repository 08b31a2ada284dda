/* SPDX-License-Identifier: MIT */
/* api_each_test.c: visiting keys: each once, under a prefix, beside writers, from a copy. */
#include "api.h"

#include <stdlib.h>

#define KEYS 2000

/* What a walk has met: keys "stay.N" by number, others counted. */
struct met {
    unsigned char stay[KEYS];
    uint32_t others;
    uint32_t visits;
    bool twice;
};

static int meet(const struct quipu_item *item, void *arg)
{
    struct met *met = arg;
    char text[64] = "";
    int number;
    met->visits++;
    memcpy(text, item->key, item->key_bytes < 63 ? item->key_bytes : 63);
    if (sscanf(text, "stay.%d", &number) != 1)
        met->others++;
    else if (number < 0 || number >= KEYS || met->stay[number]++)
        met->twice = true;
    return 0;
}

static void add_keys(struct quipu *q, const char *prefix, int count)
{
    char key[32];
    for (int i = 0; i < count; i++) {
        snprintf(key, sizeof key, "%s%d", prefix, i);
        qp_test_must(quipu_add(q, key, strlen(key), i + 1), "add");
    }
}

static struct met *walk(struct quipu *q, const char *prefix)
{
    struct met *met = calloc(1, sizeof *met);
    assert_non_null(met);
    assert_code(0, quipu_each(q, prefix, strlen(prefix), meet, met));
    assert_false(met->twice);
    return met;
}

/* ---- what is visited ------------------------------------------------------------------------------------------------ */

static void test_an_empty_segment_has_nothing_to_visit(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    struct met *met = walk(q, "");
    assert_int_equal(0, met->visits);
    free(met);
    api_close(q);
}

static void test_every_key_is_visited_once(void **state)
{
    (void)state;
    struct quipu *q = api_segment(KEYS, 8);
    add_keys(q, "stay.", KEYS);
    struct met *met = walk(q, "");
    assert_int_equal(KEYS, met->visits);
    free(met);
    api_close(q);
}

static void test_a_prefix_of_any_bytes_chooses_among_the_keys(void **state)
{
    (void)state;
    struct quipu *q = api_segment(KEYS, 8);
    struct met met = {0};
    add_keys(q, "stay.", 500);
    add_keys(q, "other.", 300);
    assert_code(0, quipu_add(q, "\0\xff", 2, 1));
    assert_code(0, quipu_add(q, "\0\xfe", 2, 1));
    const struct {
        const char *prefix;
        size_t bytes;
        uint32_t visits;
    } wants[] = {{"stay.", 5, 500}, {"stay.1", 6, 111}, {"other.299", 9, 1}, {"s", 1, 500}, {"stay.5000", 9, 0},
                 {"\0", 1, 2},      {"\0\xff", 2, 1},   {"\xff", 1, 0},      {NULL, 0, 802}};
    for (size_t i = 0; i < sizeof wants / sizeof wants[0]; i++) {
        memset(&met, 0, sizeof met);
        assert_code(0, quipu_each(q, wants[i].prefix, wants[i].bytes, meet, &met));
        assert_int_equal(wants[i].visits, met.visits);
    }
    api_close(q);
}

static int deleted_is_not_here(const struct quipu_item *item, void *arg)
{
    (void)arg;
    return item->key_bytes == 4 && memcmp(item->key, "gone", 4) == 0;
}

static void test_deleted_keys_are_not_visited(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    assert_code(0, quipu_add(q, KEY("gone"), 1));
    assert_code(0, quipu_add(q, KEY("here"), 1));
    assert_code(0, quipu_delete(q, KEY("gone"), NULL));
    assert_code(0, quipu_each(q, NULL, 0, deleted_is_not_here, NULL));
    assert_code(0, quipu_add(q, KEY("gone"), 1));
    assert_code(1, quipu_each(q, NULL, 0, deleted_is_not_here, NULL));
    api_close(q);
}

static int compare_item(const struct quipu_item *item, void *arg)
{
    struct quipu *q = arg;
    struct quipu_count count;
    if (quipu_get(q, item->key, item->key_bytes, &count))
        return 1;
    if (memcmp(&count, &item->count, sizeof count))
        return 2;
    uint32_t kind = item->key_bytes == 1 ? QUIPU_KIND_REGISTER : QUIPU_KIND_COUNTER;
    bool unlimited = item->algorithm == 0 && item->limit == 0 && item->remaining == UINT64_MAX && item->window_ms == 0;
    return item->kind == kind && unlimited && item->reserved[0] == 0 ? 0 : 3;
}

static void test_an_item_says_what_get_says(void **state)
{
    (void)state;
    struct quipu *q = api_segment(200, 8);
    char key[QUIPU_KEY_BYTES_MAX];
    memset(key, 'k', sizeof key);
    for (size_t bytes = 2; bytes < 64; bytes++)
        assert_code(0, quipu_add(q, key, bytes, (int64_t)bytes));
    assert_code(0, quipu_add(q, key, 300, 300));
    assert_code(0, quipu_add(q, key, sizeof key, 1024));
    assert_code(0, quipu_reset(q, key, 300, NULL));
    assert_code(0, quipu_set(q, KEY("r"), INT64_MIN));
    assert_code(0, quipu_each(q, NULL, 0, compare_item, q));
    api_close(q);
}

/* ---- how the visit ends --------------------------------------------------------------------------------------------- */

static int stop_at_third(const struct quipu_item *item, void *arg)
{
    (void)item;
    int *visits = arg;
    return ++*visits == 3 ? -12345 : 0;
}

static void test_a_visit_that_is_not_0_ends_the_walk_and_is_returned(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    int visits = 0;
    add_keys(q, "stay.", 50);
    assert_code(-12345, quipu_each(q, NULL, 0, stop_at_third, &visits));
    assert_int_equal(3, visits);
    api_close(q);
}

static void test_a_walk_without_visit_or_prefix_is_refused(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    assert_code(-EINVAL, quipu_each(NULL, NULL, 0, meet, NULL));
    assert_code(-EINVAL, quipu_each(q, NULL, 0, NULL, NULL));
    assert_code(-EINVAL, quipu_each(q, NULL, 1, meet, NULL));
    api_close(q);
}

/* ---- visits that call the API ----------------------------------------------------------------------------------------- */

static int delete_and_add(const struct quipu_item *item, void *arg)
{
    struct quipu *q = arg;
    char fresh[64];
    if (item->key_bytes < 5 || memcmp(item->key, "stay.", 5))
        return 0;
    snprintf(fresh, sizeof fresh, "new.%.*s", (int)item->key_bytes, (const char *)item->key);
    int error = quipu_delete(q, item->key, item->key_bytes, NULL);
    if (!error)
        error = quipu_add(q, fresh, strlen(fresh), item->count.total);
    if (!error)
        error = quipu_upkeep(q, 100);
    return error < 0 ? error : 0;
}

static void test_a_visit_may_change_the_segment_that_it_walks(void **state)
{
    (void)state;
    struct quipu *q = api_segment(2 * KEYS, 8);
    add_keys(q, "stay.", 500);
    assert_code(0, quipu_each(q, NULL, 0, delete_and_add, q));
    struct met *old = walk(q, "stay."), *fresh = walk(q, "new.");
    assert_int_equal(0, old->visits);
    assert_int_equal(500, fresh->visits);
    assert_int_equal(500, api_get(q, "new.stay.499").total);
    free(old);
    free(fresh);
    api_close(q);
}

static int walk_inside(const struct quipu_item *item, void *arg)
{
    (void)item;
    struct met *met = walk(arg, "stay.");
    int wrong = met->visits != 40;
    free(met);
    return wrong;
}

static void test_a_visit_may_walk_itself(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    add_keys(q, "stay.", 40);
    assert_code(0, quipu_each(q, NULL, 0, walk_inside, q));
    api_close(q);
}

/* ---- beside writers ------------------------------------------------------------------------------------------------- */

/* Inserts and deletes keys of its own until it is killed. */
static void come_and_go(struct quipu *q, uint64_t noise)
{
    char key[32];
    for (;;) {
        uint64_t dice = unit_random(&noise);
        snprintf(key, sizeof key, "go.%d", (int)(dice >> 32) & 1023);
        int error = dice & 1 ? quipu_add(q, key, strlen(key), 1) : quipu_delete(q, key, strlen(key), NULL);
        if (error && error != -ENOENT && error != -QUIPU_EFULL)
            _exit(1);
    }
}

static void test_what_stays_is_visited_exactly_once_beside_writers(void **state)
{
    (void)state;
    struct quipu *q = api_segment(2 * KEYS, 8);
    struct quipu *reader = api_again(q, true); /* without a slot, and so without sections */
    pid_t writers[2];
    uint32_t others = 0;
    add_keys(q, "stay.", KEYS);
    for (int i = 0; i < 2; i++) {
        writers[i] = api_fork();
        if (writers[i] == 0)
            come_and_go(q, (uint64_t)i + 5);
    }
    for (int i = 0; i < 60; i++) {
        struct met *met = walk(i % 2 ? q : reader, "");
        for (int key = 0; key < KEYS; key++)
            assert_int_equal(1, met->stay[key]);
        others += met->others;
        free(met);
    }
    assert_true(others > 0);
    for (int i = 0; i < 2; i++)
        api_kill(writers[i]);
    quipu_close(reader);
    api_close(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_segment_has_nothing_to_visit),
        cmocka_unit_test(test_every_key_is_visited_once),
        cmocka_unit_test(test_a_prefix_of_any_bytes_chooses_among_the_keys),
        cmocka_unit_test(test_deleted_keys_are_not_visited),
        cmocka_unit_test(test_an_item_says_what_get_says),
        cmocka_unit_test(test_a_visit_that_is_not_0_ends_the_walk_and_is_returned),
        cmocka_unit_test(test_a_walk_without_visit_or_prefix_is_refused),
        cmocka_unit_test(test_a_visit_may_change_the_segment_that_it_walks),
        cmocka_unit_test(test_a_visit_may_walk_itself),
        cmocka_unit_test(test_what_stays_is_visited_exactly_once_beside_writers),
    };
    return cmocka_run_group_tests_name("visiting keys", tests, NULL, NULL);
}
