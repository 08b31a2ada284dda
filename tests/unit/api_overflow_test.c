/* SPDX-License-Identifier: MIT */
/* api_overflow_test.c: new keys in a segment that is full: what has expired goes first, then by strategy a little used limit, or the new key is denied, or
 * allowed and not counted; and what comes back after an eviction comes back with what it had used. */
#include "api.h"

#define T0 INT64_C(1700006400000)
#define W 60000
#define ROOM 64 /* keys that fit */

static struct quipu_strategy limit_of(uint32_t overflow, uint64_t idle_ms)
{
    struct quipu_strategy s = api_limit_of(QUIPU_ALGORITHM_FIXED, 10, W);
    s.overflow = overflow;
    s.idle_ms = idle_ms;
    s.scope = QUIPU_SCOPE_HOST;
    return s;
}

/* Limits under "e:" evict, under "d:" deny, under "a:" allow; all of them stay until something makes them go. */
static struct quipu *open_policies(void)
{
    struct quipu *q = api_segment_of_callers(ROOM);
    const char *prefixes[] = {"e:", "d:", "a:"};
    for (uint32_t i = 0; i < 3; i++) {
        struct quipu_strategy s = limit_of(i, QUIPU_IDLE_NEVER);
        api_put(q, prefixes[i], &s);
    }
    return q;
}

static const char *name(const char *prefix, uint32_t number)
{
    static char key[32];
    snprintf(key, sizeof key, "%s%u", prefix, number);
    return key;
}

static int take(struct quipu *q, const char *key, uint64_t n, int64_t now_ms, struct quipu_verdict *out)
{
    return quipu_take_at(q, key, strlen(key), n, now_ms, out);
}

static void fill_with_limits(struct quipu *q, const char *prefix, uint32_t count, uint64_t n)
{
    for (uint32_t i = 0; i < count; i++)
        assert_code(0, take(q, name(prefix, i), n, T0, NULL));
}

static void fill_with_counters(struct quipu *q, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const char *key = name("c:", i);
        assert_code(0, quipu_add(q, key, strlen(key), 1));
    }
}

static uint64_t total(struct quipu *q, const char *key)
{
    struct quipu_count count;
    return quipu_get(q, key, strlen(key), &count) ? 0 : (uint64_t)count.total;
}

/* ---- evict ------------------------------------------------------------------------------------------------------------ */

static void test_a_little_used_limit_leaves_and_comes_back_with_what_it_had_used(void **state)
{
    (void)state;
    struct quipu *q = open_policies();
    struct quipu_verdict v;
    fill_with_limits(q, "e:", ROOM, 7);
    assert_int_equal(ROOM, api_stat(q).counters_used);
    assert_code(0, take(q, "e:new", 9, T0, NULL));
    struct quipu_stat stat = api_stat(q);
    assert_true(stat.evicted >= 1);
    assert_int_equal(stat.evicted, stat.evicted_remembered);
    assert_int_equal(0, stat.evicted_forgotten + stat.overflow_denied + stat.overflow_allowed + stat.full_refusals);
    /* Each of them, evicted or not, has three left. */
    for (uint32_t i = 0; i < ROOM; i++) {
        assert_code(1, take(q, name("e:", i), 4, T0, &v));
        assert_int_equal(3, v.remaining);
        assert_code(0, take(q, name("e:", i), 3, T0, &v));
        assert_int_equal(0, v.remaining);
    }
    assert_code(1, take(q, "e:new", 2, T0, NULL));
    assert_code(0, take(q, "e:new", 1, T0, NULL));
    /* In the next window nobody remembers anything. */
    assert_code(0, take(q, "e:0", 10, T0 + W, &v));
    for (uint32_t i = 1; i < ROOM; i++)
        assert_code(0, take(q, name("e:", i), 10, T0 + W, &v));
    api_close(q);
}

static void test_the_epoch_and_resets_of_an_evicted_key_come_back_too(void **state)
{
    (void)state;
    struct quipu *q = open_policies();
    struct quipu_verdict v;
    assert_code(0, take(q, "e:0", 10, T0, NULL));
    assert_code(0, quipu_reset(q, KEY("e:0"), NULL));
    assert_code(0, take(q, "e:0", 1, T0, &v));
    assert_int_equal(((uint64_t)T0 << 16) + 1, v.epoch);
    /* The least used of all, so it is among those that go when one more finds no room. */
    for (uint32_t i = 1; i <= ROOM; i++)
        assert_code(0, take(q, name("e:", i), 9, T0, NULL));
    assert_int_equal(0, api_stat(q).evicted_forgotten);
    assert_int_equal(0, total(q, "e:0"));
    assert_code(0, take(q, "e:0", 2, T0, &v));
    assert_int_equal(((uint64_t)T0 << 16) + 1, v.epoch);
    assert_int_equal(7, v.remaining);
    assert_int_equal(3, total(q, "e:0"));
    assert_code(0, quipu_refund(q, KEY("e:0"), 2, &v));
    assert_int_equal(1, total(q, "e:0"));
    api_close(q);
}

/* Ten times as many keys as fit, all used up several times over. What is admitted beyond a limit is what was forgotten, at most. */
static void test_a_flood_of_keys_gets_no_more_than_its_limits_and_what_was_forgotten(void **state)
{
    (void)state;
    struct quipu *q = open_policies();
    static uint64_t admitted[10 * ROOM];
    uint64_t noise = 7, beyond = 0;
    memset(admitted, 0, sizeof admitted);
    for (int i = 0; i < 20000; i++) {
        uint32_t key = (uint32_t)(unit_random(&noise) >> 32) % (10 * ROOM);
        uint64_t n = 1 + (unit_random(&noise) >> 32) % 4;
        int result = take(q, name("e:", key), n, T0, NULL);
        assert_true(result == 0 || result == 1);
        admitted[key] += result ? 0 : n;
    }
    for (uint32_t i = 0; i < 10 * ROOM; i++)
        beyond += admitted[i] > 10 ? admitted[i] - 10 : 0;
    struct quipu_stat stat = api_stat(q);
    assert_true(stat.evicted > 10 * ROOM - ROOM);
    assert_true(beyond <= 10 * stat.evicted_forgotten);
    api_close(q);
}

static void test_plain_counters_are_never_evicted(void **state)
{
    (void)state;
    struct quipu *q = open_policies();
    fill_with_counters(q, ROOM - 8);
    fill_with_limits(q, "e:", 300, 5);
    for (uint32_t i = 0; i < ROOM - 8; i++)
        assert_int_equal(1, total(q, name("c:", i)));
    assert_true(api_stat(q).evicted >= 300 - 8);
    api_close(q);
}

static void test_nothing_to_evict_is_said_so(void **state)
{
    (void)state;
    struct quipu *q = open_policies();
    unsigned char out[sizeof(struct quipu_verdict)];
    api_mark(out, sizeof out);
    fill_with_counters(q, ROOM);
    assert_code(-QUIPU_EFULL, take(q, "e:1", 1, T0, (void *)out));
    api_assert_untouched(out, sizeof out);
    assert_code(-QUIPU_EFULL, quipu_add(q, KEY("e:1"), 1));
    assert_code(-QUIPU_EFULL, quipu_add(q, KEY("c:new"), 1));
    assert_code(-QUIPU_EFULL, quipu_set(q, KEY("r"), 1));
    assert_true(api_stat(q).overflow_denied >= 3);
    assert_int_equal(0, api_stat(q).overflow_allowed);
    assert_code(0, take(q, "e:1", 0, T0, NULL)); /* a look needs no room */
    api_close(q);
}

static void test_new_counters_and_registers_make_limits_leave(void **state)
{
    (void)state;
    struct quipu *q = open_policies();
    fill_with_limits(q, "d:", ROOM, 5); /* whose own new keys would be denied */
    assert_code(0, quipu_add(q, KEY("c:1"), 3));
    assert_code(0, quipu_set(q, KEY("r"), -3));
    assert_int_equal(3, api_get(q, "c:1").total);
    assert_true(api_get(q, "r").total == -3);
    assert_true(api_stat(q).evicted >= 1);
    assert_int_equal(0, api_stat(q).overflow_denied);
    api_close(q);
}

/* ---- deny and allow ----------------------------------------------------------------------------------------------------- */

static void test_deny_denies_a_new_key_and_evicts_nobody(void **state)
{
    (void)state;
    struct quipu *q = open_policies();
    struct quipu_verdict v;
    fill_with_limits(q, "e:", ROOM, 1);
    assert_code(1, take(q, "d:1", 3, T0 + 1000, &v));
    assert_int_equal(10, v.limit);
    assert_int_equal(0, v.remaining);
    assert_int_equal(T0 + W, v.reset_ms);
    assert_int_equal(W - 1000, v.retry_after_ms);
    assert_code(-QUIPU_EFULL, quipu_add(q, KEY("d:1"), 1)); /* an add cannot be denied otherwise */
    struct quipu_stat stat = api_stat(q);
    assert_int_equal(0, stat.evicted);
    assert_int_equal(2, stat.overflow_denied);
    assert_int_equal(0, stat.overflow_allowed);
    assert_code(0, take(q, "e:1", 9, T0, NULL)); /* who is in is not touched */
    api_close(q);
}

static void test_allow_allows_a_new_key_and_does_not_count_it(void **state)
{
    (void)state;
    struct quipu *q = open_policies();
    fill_with_limits(q, "e:", ROOM, 1);
    for (int i = 0; i < 30; i++)
        assert_code(0, take(q, "a:1", 3, T0, NULL));
    assert_code(0, quipu_add(q, KEY("a:1"), 1));
    assert_code(-ENOENT, quipu_get(q, KEY("a:1"), NULL));
    struct quipu_stat stat = api_stat(q);
    assert_int_equal(0, stat.evicted);
    assert_int_equal(31, stat.overflow_allowed);
    assert_int_equal(0, stat.overflow_denied);
    assert_code(1, take(q, "a:1", 11, T0, NULL)); /* more than any key can have is denied all the same */
    api_close(q);
}

static void test_of_many_one_without_room_refuses_all(void **state)
{
    (void)state;
    struct quipu *q = open_policies();
    fill_with_limits(q, "e:", ROOM, 1);
    struct quipu_request r[] = {{.struct_bytes = sizeof r[0], .key = "e:1", .key_bytes = 3, .n = 1},
                                {.struct_bytes = sizeof r[0], .key = "d:1", .key_bytes = 3, .n = 1}};
    assert_code(1, quipu_take_many_at(q, r, 2, T0));
    assert_int_equal(1, r[1].result);
    assert_int_equal(1, total(q, "e:1"));
    r[1].key = "a:1";
    assert_code(0, quipu_take_many_at(q, r, 2, T0));
    assert_int_equal(2, total(q, "e:1"));
    api_close(q);
}

/* ---- what has expired --------------------------------------------------------------------------------------------------- */

static void test_what_has_expired_makes_room_before_anything_else(void **state)
{
    (void)state;
    const char *prefixes[] = {"e:", "d:", "a:"};
    for (int i = 0; i < 3; i++) {
        struct quipu *q = open_policies();
        struct quipu_strategy s = limit_of(QUIPU_OVERFLOW_EVICT, W + 1000);
        api_put(q, "x:", &s);
        fill_with_limits(q, "x:", 4, 10);
        fill_with_limits(q, "e:", ROOM - 4, 1);
        int64_t later_ms = T0 + 3 * W;
        for (uint32_t key = 0; key < ROOM - 4; key++)
            assert_code(0, take(q, name("e:", key), 1, later_ms, NULL)); /* these are in use */
        assert_code(0, take(q, name(prefixes[i], 1000), 1, later_ms, NULL));
        assert_int_equal(1, total(q, name(prefixes[i], 1000)));
        struct quipu_stat stat = api_stat(q);
        assert_int_equal(4, stat.expired);
        assert_int_equal(0, stat.evicted);
        assert_int_equal(0, stat.overflow_denied + stat.overflow_allowed);
        api_close(q);
    }
}

static void test_upkeep_collects_idle_keys_of_every_kind(void **state)
{
    (void)state;
    struct quipu *q = api_segment_of_callers(ROOM);
    struct quipu_strategy s[] = {{.kind = QUIPU_KIND_COUNTER},
                                 {.kind = QUIPU_KIND_REGISTER},
                                 {.kind = QUIPU_KIND_INFLIGHT, .limit = 2},
                                 api_limit_of(QUIPU_ALGORITHM_SLIDING, 10, W),
                                 api_limit_of(QUIPU_ALGORITHM_BUCKET, 10, W)};
    struct quipu_ticket ticket;
    for (uint32_t i = 0; i < 5; i++) {
        s[i].struct_bytes = sizeof s[i];
        s[i].idle_ms = 100000;
        s[i].scope = QUIPU_SCOPE_HOST;
        api_put(q, name("", i), &s[i]);
    }
    assert_code(0, take(q, "3", 1, T0, NULL));
    assert_code(0, take(q, "4", 1, T0, NULL));
    assert_code(0, quipu_add(q, KEY("0"), 1));
    assert_code(0, quipu_set(q, KEY("1"), 1));
    assert_code(0, quipu_enter(q, KEY("2"), &ticket));
    assert_code(0, quipu_add(q, KEY("stays"), 1)); /* no strategy: for ever */
    qp_test_settle(q);
    assert_int_equal(6, api_stat(q).counters_used);
    assert_code(-ENOENT, take(q, "none", 0, T0 + 500000, NULL)); /* time passes */
    qp_test_settle(q);
    assert_int_equal(2, api_stat(q).counters_used); /* somebody is in */
    assert_int_equal(4, api_stat(q).expired);
    assert_code(0, quipu_leave(q, &ticket));
    qp_test_settle(q);
    assert_int_equal(1, api_stat(q).counters_used);
    assert_int_equal(5, api_stat(q).expired);
    assert_int_equal(1, total(q, "stays"));
    api_close(q);
}

/* Wherever it stands among many that cannot leave, and whatever was searched before. */
static void test_a_single_deleted_counter_makes_room_in_a_large_segment(void **state)
{
    enum { MANY = 20000 };
    (void)state;
    struct quipu *q = api_segment_of_callers(MANY);
    fill_with_counters(q, MANY);
    for (uint32_t i = 0; i < MANY; i += 997) {
        const char *key = name("c:", i);
        assert_code(0, quipu_delete(q, key, strlen(key), NULL));
        key = name("new:", i);
        assert_code(0, quipu_add(q, key, strlen(key), 1));
    }
    api_close(q);
}

/* Until the key is gone: others, as much used as it is. */
static void crowd_out(struct quipu *q, const char *key)
{
    uint32_t i = 0;
    while (quipu_get_at(q, key, strlen(key), T0, NULL) == 0) {
        assert_true(i < 10000);
        assert_code(0, take(q, name("e:", i++), 10, T0, NULL));
    }
}

static void test_a_reset_or_delete_pardons_an_evicted_key(void **state)
{
    int (*const ends[])(struct quipu *, const void *, size_t, int64_t *) = {quipu_reset, quipu_delete};
    struct quipu_verdict verdict;
    int64_t ended = -1;
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct quipu *q = open_policies();
        assert_code(0, take(q, "e:key", 10, T0, &verdict));
        uint64_t epoch = verdict.epoch;
        crowd_out(q, "e:key");
        assert_code(1, take(q, "e:key", 1, T0, NULL));
        assert_code(0, ends[i](q, "e:key", 5, &ended));
        assert_int_equal(0, ended);
        assert_code(-ENOENT, ends[i](q, "e:key", 5, &ended));
        assert_code(0, take(q, "e:key", 10, T0, &verdict));
        assert_int_equal(epoch + 1, verdict.epoch);
        assert_code(1, take(q, "e:key", 1, T0, NULL));
        api_close(q);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_single_deleted_counter_makes_room_in_a_large_segment),
        cmocka_unit_test(test_a_reset_or_delete_pardons_an_evicted_key),
        cmocka_unit_test(test_a_little_used_limit_leaves_and_comes_back_with_what_it_had_used),
        cmocka_unit_test(test_the_epoch_and_resets_of_an_evicted_key_come_back_too),
        cmocka_unit_test(test_a_flood_of_keys_gets_no_more_than_its_limits_and_what_was_forgotten),
        cmocka_unit_test(test_plain_counters_are_never_evicted),
        cmocka_unit_test(test_nothing_to_evict_is_said_so),
        cmocka_unit_test(test_new_counters_and_registers_make_limits_leave),
        cmocka_unit_test(test_deny_denies_a_new_key_and_evicts_nobody),
        cmocka_unit_test(test_allow_allows_a_new_key_and_does_not_count_it),
        cmocka_unit_test(test_of_many_one_without_room_refuses_all),
        cmocka_unit_test(test_what_has_expired_makes_room_before_anything_else),
        cmocka_unit_test(test_upkeep_collects_idle_keys_of_every_kind),
    };
    return cmocka_run_group_tests_name("full segments", tests, NULL, NULL);
}
