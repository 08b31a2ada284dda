/* SPDX-License-Identifier: MIT */
/* api_share_test.c: who has contributed what to a key (quipu_shares), and that quipu_get, quipu_each and takes go by the sum of it. */
#include "api.h"

#include "others_unit.h"

#define W 60000
#define T0 INT64_C(1700006400000) /* a whole number of windows */
#define WINDOW ((uint64_t)T0 / W)
#define EPOCH(window) (((window) * W) << 16)
#define AT(ms) ((uint64_t)(ms) << 16) /* a version's timestamp */

struct seen {
    uint32_t count;
    struct quipu_share share[16];
};

static int see(const struct quipu_share *share, void *arg)
{
    struct seen *seen = arg;
    assert_true(seen->count < 16);
    seen->share[seen->count++] = *share;
    return 0;
}

/* What a read-only handle sees is the same. */
static struct seen shares(struct quipu *q, const char *key)
{
    struct seen seen = {0}, unprotected = {0};
    struct quipu *reader = api_again(q, true);
    assert_code(0, quipu_shares(q, key, strlen(key), see, &seen));
    assert_code(0, quipu_shares(reader, key, strlen(key), see, &unprotected));
    assert_memory_equal(&seen, &unprotected, sizeof seen);
    quipu_close(reader);
    return seen;
}

/* The i-th one; times in ms. */
static void expect(const struct seen *seen, uint32_t i, uint64_t replica, uint64_t epoch, int64_t count, int64_t stamped_ms,
                   bool current)
{
    assert_true(i < seen->count);
    const struct quipu_share *share = &seen->share[i];
    assert_int_equal(replica, share->replica);
    assert_int_equal(epoch, share->epoch);
    assert_int_equal(count, share->count);
    assert_int_equal(stamped_ms, share->stamped_ms);
    assert_int_equal(replica != OTHERS_ONE && replica != OTHERS_TWO, share->own);
    assert_int_equal(current, share->current);
    assert_true(share->reserved[0] == 0 && share->reserved[1] == 0);
}

static struct qp_worker *worker_of(struct quipu *q)
{
    return qp_thread_worker(q, &(int){0});
}

static struct qp_entry *entry_of(struct quipu *q, const char *text)
{
    struct qp_key key = unit_key(&q->view, text);
    return unit_find(worker_of(q), &key);
}

static struct quipu *open_counter(const char *key, int64_t n)
{
    struct quipu *q = api_segment_of_callers(100);
    others_begin(&q->view);
    assert_code(0, quipu_add_at(q, key, strlen(key), n, T0));
    return q;
}

static void test_a_counter_of_this_host_has_one_share(void **state)
{
    (void)state;
    struct quipu *q = api_segment(100, 8);
    assert_code(0, quipu_add(q, KEY("c"), 5));
    struct seen seen = shares(q, "c");
    assert_int_equal(1, seen.count);
    expect(&seen, 0, q->view.replica, 0, 5, 0, true);
    assert_code(0, quipu_reset(q, KEY("c"), NULL));
    assert_code(0, quipu_add(q, KEY("c"), 2));
    seen = shares(q, "c");
    assert_int_equal(1, seen.count);
    expect(&seen, 0, q->view.replica, 1, 2, 0, true);
    api_close(q);
}

static void test_current_shares_add_up_to_the_total(void **state)
{
    (void)state;
    struct quipu *q = open_counter("c", 7);
    struct qp_entry *entry = entry_of(q, "c");
    others_point(worker_of(q), entry, 0, 0, 4, AT(900)); /* what we have said of it so far */
    others_point(worker_of(q), entry, 1, 0, 10, AT(1000));
    others_point(worker_of(q), entry, 2, 0, 5, AT(2000) + 3);
    struct quipu_count count = api_get(q, "c");
    assert_int_equal(22, count.total);
    assert_int_equal(7, count.local);
    assert_int_equal(15, count.remote);
    struct seen seen = shares(q, "c");
    assert_int_equal(3, seen.count);
    expect(&seen, 0, q->view.replica, 0, 7, 900, true);
    expect(&seen, 1, OTHERS_ONE, 0, 10, 1000, true);
    expect(&seen, 2, OTHERS_TWO, 0, 5, 2000, true);
    api_close(q);
}

static void test_an_epoch_that_ended_is_not_current(void **state)
{
    (void)state;
    struct quipu *q = open_counter("c", 7);
    struct qp_entry *entry = entry_of(q, "c");
    others_point(worker_of(q), entry, 1, 0, 10, AT(1000));
    others_point(worker_of(q), entry, 2, 1, 3, AT(2000)); /* has reset it */
    uint32_t block;
    struct qp_shard *shard = others_draft(worker_of(q), entry, 0, &block);
    shard->own[0].epoch = 1; /* and we followed, with two units that we had not told of */
    shard->own[0].base = 5;
    others_publish(worker_of(q), entry, block);
    struct quipu_count count = api_get(q, "c");
    assert_int_equal(5, count.total);
    assert_int_equal(3, count.remote);
    assert_int_equal(1, count.epoch);
    struct seen seen = shares(q, "c");
    assert_int_equal(3, seen.count);
    expect(&seen, 0, q->view.replica, 1, 2, 0, true);
    expect(&seen, 1, OTHERS_ONE, 0, 10, 1000, false);
    expect(&seen, 2, OTHERS_TWO, 1, 3, 2000, true);
    assert_code(0, quipu_reset(q, KEY("c"), NULL)); /* ours, of which nobody was told yet */
    seen = shares(q, "c");
    assert_int_equal(3, seen.count);
    expect(&seen, 0, q->view.replica, 2, 0, 0, true);
    expect(&seen, 2, OTHERS_TWO, 1, 3, 2000, false);
    api_close(q);
}

/* A replica whose clock went back has several points that all count for something; the best of them is what it says. */
static void test_a_replica_has_one_share_of_a_counter(void **state)
{
    (void)state;
    struct quipu *q = open_counter("c", 1);
    struct qp_entry *entry = entry_of(q, "c");
    others_point(worker_of(q), entry, 1, 0, 10, AT(1000));
    others_point(worker_of(q), entry, 1, 0, 8, AT(1001));
    others_point(worker_of(q), entry, 2, 0, 4, AT(1000));
    others_point(worker_of(q), entry, 2, 0, 4, AT(1001));
    struct seen seen = shares(q, "c");
    assert_int_equal(3, seen.count);
    expect(&seen, 1, OTHERS_ONE, 0, 10, 1000, true);
    expect(&seen, 2, OTHERS_TWO, 0, 4, 1000, true);
    assert_int_equal(15, api_get(q, "c").total);
    api_close(q);
}

static void test_what_a_tombstone_has_ended_is_not_shown(void **state)
{
    (void)state;
    struct quipu *q = open_counter("c", 1);
    struct qp_entry *entry = entry_of(q, "c");
    others_point(worker_of(q), entry, 1, 0, 10, AT(1000));
    assert_code(0, quipu_delete(q, KEY("c"), NULL));
    struct seen seen = {0};
    assert_code(-ENOENT, quipu_shares(q, KEY("c"), see, &seen));
    others_point(worker_of(q), entry, 2, 1, 3, entry_of(q, "c") ? AT(INT64_C(1) << 43) : 0); /* somebody counted on, after it */
    struct quipu_count count = api_get(q, "c");
    assert_int_equal(3, count.total);
    assert_int_equal(3, count.remote);
    seen = shares(q, "c");
    assert_int_equal(2, seen.count);
    expect(&seen, 0, q->view.replica, 1, 0, 0, true);
    expect(&seen, 1, OTHERS_TWO, 1, 3, INT64_C(1) << 43, true);
    assert_code(0, quipu_add(q, KEY("c"), 4));
    assert_int_equal(7, api_get(q, "c").total);
    api_close(q);
}

/* ---- a key that this host has not counted itself ------------------------------------------------------------------------ */

static struct qp_entry *make_empty(struct quipu *q, const char *text, uint64_t traits)
{
    struct qp_key key = unit_key(&q->view, text);
    struct qp_entry *entry = unit_entry(worker_of(q), &key, traits, 0);
    return entry;
}

static void test_a_key_that_only_others_count_is_there(void **state)
{
    (void)state;
    struct quipu *q = open_counter("other", 1);
    struct quipu_strategy limit = api_limit_of(QUIPU_ALGORITHM_FIXED, 10, W);
    struct quipu_count count;
    struct quipu_verdict verdict;
    api_put(q, "l:", &limit);
    others_point(worker_of(q), make_empty(q, "c", qp_traits_make(QP_KIND_COUNTER, 0, 0)), 1, 0, 9, AT(1000));
    assert_int_equal(9, api_get(q, "c").total);
    assert_int_equal(0, api_get(q, "c").local);
    assert_code(0, quipu_add(q, KEY("c"), 1));
    assert_int_equal(10, api_get(q, "c").total);

    struct qp_entry *entry = make_empty(q, "l:1", qp_traits_make(QP_KIND_LIMIT, QP_ALGORITHM_FIXED, W));
    assert_true(others_count(worker_of(q), entry, WINDOW, 8));
    assert_code(0, quipu_get_at(q, KEY("l:1"), T0, &count));
    assert_int_equal(8, count.total);
    assert_int_equal(8, count.remote);
    assert_code(1, quipu_take_at(q, KEY("l:1"), 3, T0, &verdict));
    assert_int_equal(2, verdict.remaining);
    assert_code(0, quipu_take_at(q, KEY("l:1"), 2, T0, &verdict));
    assert_code(1, quipu_take_at(q, KEY("l:1"), 1, T0, &verdict));
    assert_code(0, quipu_get_at(q, KEY("l:1"), T0, &count));
    assert_int_equal(10, count.total);
    assert_int_equal(2, count.local);
    api_close(q);
}

/* ---- limits ---------------------------------------------------------------------------------------------------------- */

static int note_item(const struct quipu_item *item, void *arg)
{
    *(struct quipu_item *)arg = *item;
    return 0;
}

static void test_a_limit_shows_this_window_and_the_one_before(void **state)
{
    (void)state;
    struct quipu *q = open_counter("other", 1);
    struct quipu_strategy limit = api_limit_of(QUIPU_ALGORITHM_SLIDING, 100, W);
    struct quipu_count count;
    struct quipu_item item;
    struct quipu_verdict verdict;
    api_put(q, "l:", &limit);
    assert_code(0, quipu_take_at(q, KEY("l:1"), 6, T0 - W, NULL));
    assert_code(0, quipu_take_at(q, KEY("l:1"), 5, T0, &verdict));
    assert_code(0, quipu_refund(q, KEY("l:1"), 1, &verdict));
    struct qp_entry *entry = entry_of(q, "l:1");
    others_point(worker_of(q), entry, 1, EPOCH(WINDOW - 2), 50, AT(900)); /* too old to matter */
    others_point(worker_of(q), entry, 1, EPOCH(WINDOW - 1), 20, AT(1000));
    others_point(worker_of(q), entry, 2, EPOCH(WINDOW), 30, AT(2000));
    entry->remote[(WINDOW - 1) & 1] = qp_epoch_tag(WINDOW - 1, 0) | 20;
    entry->remote[WINDOW & 1] = qp_epoch_tag(WINDOW, 0) | 30;
    assert_code(0, quipu_get_at(q, KEY("l:1"), T0, &count));
    assert_int_equal(34, count.total);
    assert_int_equal(4, count.local);
    assert_int_equal(26, count.previous);
    struct seen seen = shares(q, "l:1");
    assert_int_equal(4, seen.count);
    expect(&seen, 0, q->view.replica, EPOCH(WINDOW), 4, 0, true);
    expect(&seen, 1, q->view.replica, EPOCH(WINDOW - 1), 6, 0, false);
    expect(&seen, 2, OTHERS_ONE, EPOCH(WINDOW - 1), 20, 1000, false);
    expect(&seen, 3, OTHERS_TWO, EPOCH(WINDOW), 30, 2000, true);
    assert_code(0, quipu_each(q, KEY("l:"), note_item, &item));
    assert_int_equal(34, item.count.total);
    assert_int_equal(30, item.count.remote);
    assert_int_equal(100 - 34 - 26, item.remaining);

    limit.scope = QUIPU_SCOPE_HOST; /* from now on others are nothing to it */
    api_put(q, "l:", &limit);
    assert_code(0, quipu_get_at(q, KEY("l:1"), T0, &count));
    assert_int_equal(4, count.total);
    assert_int_equal(6, count.previous);
    seen = shares(q, "l:1");
    assert_int_equal(4, seen.count);
    expect(&seen, 1, q->view.replica, EPOCH(WINDOW - 1), 6, 0, false);
    expect(&seen, 3, OTHERS_TWO, EPOCH(WINDOW), 30, 2000, false);
    assert_code(0, quipu_each(q, KEY("l:"), note_item, &item));
    assert_int_equal(100 - 4 - 6, item.remaining);
    assert_code(0, quipu_take_at(q, KEY("l:1"), 90, T0, &verdict));
    assert_int_equal(0, verdict.remaining);
    api_close(q);
}

/* The short way to a unit, with a block and by handle, goes by scope and news as well. */
static void test_takes_in_the_short_way_go_by_scope_and_news(void **state)
{
    (void)state;
    struct quipu *q = open_counter("other", 1);
    struct quipu_strategy limit = api_limit_of(QUIPU_ALGORITHM_FIXED, 100, W);
    struct quipu_counter handle;
    struct quipu_verdict verdict;
    api_put(q, "l:", &limit);
    assert_code(0, quipu_counter_open(q, KEY("l:1"), &handle));
    assert_code(0, quipu_counter_take_at(&handle, 1, T0, NULL));
    assert_true(others_count(worker_of(q), entry_of(q, "l:1"), WINDOW, 90));
    assert_code(0, quipu_counter_take_at(&handle, 1, T0, &verdict));
    assert_int_equal(8, verdict.remaining);
    assert_code(0, quipu_take_at(q, KEY("l:1"), 1, T0, &verdict));
    assert_int_equal(7, verdict.remaining);
    assert_true(others_count(worker_of(q), entry_of(q, "l:1"), WINDOW, 95));
    assert_code(0, quipu_counter_take_at(&handle, 1, T0, &verdict));
    assert_int_equal(1, verdict.remaining);
    assert_code(1, quipu_counter_take_at(&handle, 2, T0, &verdict));
    limit.scope = QUIPU_SCOPE_HOST;
    api_put(q, "l:", &limit);
    assert_code(0, quipu_counter_take_at(&handle, 1, T0, &verdict)); /* by key: the strategy is new */
    assert_code(0, quipu_counter_take_at(&handle, 2, T0, &verdict));
    assert_int_equal(93, verdict.remaining);
    quipu_counter_close(&handle);
    api_close(q);
}

/* ---- the other kinds -------------------------------------------------------------------------------------------------- */

static void test_a_register_is_who_set_it_last(void **state)
{
    (void)state;
    struct quipu *q = open_counter("other", 1);
    assert_code(0, quipu_set(q, KEY("r"), -5));
    struct seen seen = shares(q, "r");
    assert_int_equal(1, seen.count);
    expect(&seen, 0, q->view.replica, 0, -5, (int64_t)(q->view.header->clock_ms), true);
    uint32_t block;
    struct qp_shard *shard = others_draft(worker_of(q), entry_of(q, "r"), 0, &block);
    shard->tombstone = (struct qp_version){AT(T0 + 1), OTHERS_ONE};
    shard->own[0].base = 9;
    others_publish(worker_of(q), entry_of(q, "r"), block);
    seen = shares(q, "r");
    assert_int_equal(1, seen.count);
    expect(&seen, 0, OTHERS_ONE, 0, 9, T0 + 1, true);
    api_close(q);
}

static void test_what_others_are_not_told_is_all_ours(void **state)
{
    (void)state;
    struct quipu *q = open_counter("other", 1);
    struct quipu_strategy bucket = api_limit_of(QUIPU_ALGORITHM_BUCKET, 10, W);
    struct quipu_strategy inflight = {.struct_bytes = sizeof inflight, .kind = QUIPU_KIND_INFLIGHT, .limit = 3};
    struct quipu_ticket ticket;
    api_put(q, "b:", &bucket);
    api_put(q, "i:", &inflight);
    assert_code(0, quipu_take_at(q, KEY("b:1"), 4, T0, NULL));
    assert_code(0, quipu_enter(q, KEY("i:1"), &ticket));
    struct seen seen = shares(q, "b:1");
    assert_int_equal(1, seen.count);
    expect(&seen, 0, q->view.replica, 0, 4, 0, true);
    seen = shares(q, "i:1");
    assert_int_equal(1, seen.count);
    expect(&seen, 0, q->view.replica, 0, 1, 0, true);
    assert_code(0, quipu_leave(q, &ticket));
    api_close(q);
}

/* ---- the call ---------------------------------------------------------------------------------------------------------- */

static int stop(const struct quipu_share *share, void *arg)
{
    (void)share;
    return ++*(int *)arg == 2 ? 77 : 0;
}

static void test_the_call_says_what_is_wrong(void **state)
{
    (void)state;
    struct quipu *q = open_counter("c", 1);
    struct seen seen = {0};
    int visits = 0;
    others_point(worker_of(q), entry_of(q, "c"), 1, 0, 10, AT(1000));
    others_point(worker_of(q), entry_of(q, "c"), 2, 0, 10, AT(1000));
    assert_code(77, quipu_shares(q, KEY("c"), stop, &visits));
    assert_int_equal(2, visits);
    assert_code(-ENOENT, quipu_shares(q, KEY("none"), see, &seen));
    assert_code(-EINVAL, quipu_shares(NULL, KEY("c"), see, &seen));
    assert_code(-EINVAL, quipu_shares(q, "c", 0, see, &seen));
    assert_code(-EINVAL, quipu_shares(q, KEY("c"), NULL, &seen));
    assert_code(-ENAMETOOLONG, quipu_shares(q, "c", QUIPU_KEY_BYTES_MAX + 1, see, &seen));
    assert_int_equal(0, seen.count);
    q->view.header->flags = QP_FLAG_DESTROYED;
    assert_code(-ESTALE, quipu_shares(q, KEY("c"), see, &seen));
    quipu_close(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_counter_of_this_host_has_one_share),
        cmocka_unit_test(test_current_shares_add_up_to_the_total),
        cmocka_unit_test(test_an_epoch_that_ended_is_not_current),
        cmocka_unit_test(test_a_replica_has_one_share_of_a_counter),
        cmocka_unit_test(test_what_a_tombstone_has_ended_is_not_shown),
        cmocka_unit_test(test_a_key_that_only_others_count_is_there),
        cmocka_unit_test(test_a_limit_shows_this_window_and_the_one_before),
        cmocka_unit_test(test_takes_in_the_short_way_go_by_scope_and_news),
        cmocka_unit_test(test_a_register_is_who_set_it_last),
        cmocka_unit_test(test_what_others_are_not_told_is_all_ours),
        cmocka_unit_test(test_the_call_says_what_is_wrong),
    };
    return cmocka_run_group_tests_name("shares", tests, NULL, NULL);
}
