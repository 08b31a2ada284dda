/* SPDX-License-Identifier: MIT */
/* core_segment_test.c: hosts with segments of their own, whose agents talk: what programs see on each of them. The
 * network is a loop that delivers at once; what a bad one does is for the simulator. */
#include "agent_unit.h"
#include "sync/core.h"
#include "sync/store_segment.h"

#define HOSTS 3
#define ROUND_MS 100

static struct host {
    struct quipu *q;
    struct qp_agent *agent;
    struct qp_core *core;
} host[HOSTS];
static uint64_t now_ms;

/* Host `other` is this peer of host `me`. */
static uint32_t peer_of(uint32_t me, uint32_t other)
{
    return other < me ? other : other - 1;
}

static uint32_t host_of(uint32_t me, uint32_t peer)
{
    return peer < me ? peer : peer + 1;
}

static void begin_agent(uint32_t me)
{
    struct qp_core_config config = {.cluster = 7, .seed = 1, .round_ms = ROUND_MS, .tombstone_grace_ms = 1};
    struct qp_store store;
    host[me].agent = agent_open(host[me].q, 0);
    store = qp_store_segment(host[me].agent);
    assert_code(0, qp_core_new(&config, &store, now_ms, &host[me].core));
    for (uint32_t other = 0; other < HOSTS; other++) {
        struct qp_peer_config peer = {.key = {other + 1}, .may_relay = true};
        uint32_t number = HOSTS;
        if (other == me)
            continue;
        assert_code(0, qp_core_peer_add(host[me].core, &peer, now_ms, &number));
        assert_int_equal(peer_of(me, other), number);
    }
}

static void end_agent(uint32_t me)
{
    qp_core_free(host[me].core);
    qp_agent_close(host[me].agent);
}

static void set_clock(void)
{
    for (uint32_t me = 0; me < HOSTS; me++)
        qp_store_relaxed(&host[me].q->view.header->clock_ms, now_ms);
}

static int open_hosts(void **state)
{
    (void)state;
    now_ms = AGENT_NOW_MS;
    for (uint32_t me = 0; me < HOSTS; me++)
        host[me].q = api_segment_of_callers(100);
    set_clock();
    for (uint32_t me = 0; me < HOSTS; me++) {
        struct quipu_strategy limit = api_limit_of(QUIPU_ALGORITHM_FIXED, 10, 10000);
        api_put(host[me].q, "l:", &limit);
        begin_agent(me);
    }
    return 0;
}

static int close_hosts(void **state)
{
    (void)state;
    for (uint32_t me = 0; me < HOSTS; me++) {
        end_agent(me);
        api_close(host[me].q);
    }
    return 0;
}

/* What a host has to say goes to whom it is for. Returns how many frames. */
static uint32_t deliver(uint32_t me)
{
    uint32_t peer, frames = 0;
    const void *bytes;
    size_t count;
    while (qp_core_next_out(host[me].core, now_ms, &peer, &bytes, &count)) {
        uint32_t other = host_of(me, peer);
        qp_core_on_message(host[other].core, peer_of(other, me), bytes, count, now_ms);
        assert_true(++frames < 1000);
    }
    return frames;
}

static void talk(uint32_t rounds)
{
    for (; rounds-- > 0; now_ms += ROUND_MS) {
        uint32_t frames = 1;
        set_clock();
        for (uint32_t me = 0; me < HOSTS; me++)
            qp_core_on_tick(host[me].core, now_ms);
        while (frames) {
            frames = 0;
            for (uint32_t me = 0; me < HOSTS; me++)
                frames += deliver(me);
        }
    }
    set_clock();
}

#define ENOUGH 30 /* rounds, for everybody to hear everything */

static void check_totals(const char *key, int64_t total)
{
    for (uint32_t me = 0; me < HOSTS; me++) {
        struct quipu_count count = api_get(host[me].q, key);
        if (count.total != total)
            fail_msg("%s on host %u: %ld, not %ld", key, me, (long)count.total, (long)total);
        assert_int_equal(total, count.local + count.remote);
    }
}

static void test_everybody_sees_the_sum(void **state)
{
    (void)state;
    talk(ENOUGH);
    for (uint32_t me = 0; me < HOSTS; me++)
        assert_code(0, quipu_add(host[me].q, KEY("a"), 10 * me + 1));
    talk(ENOUGH);
    check_totals("a", 33);
    assert_int_equal(21, api_get(host[2].q, "a").local);
    assert_code(0, quipu_add(host[0].q, KEY("a"), 100));
    talk(ENOUGH);
    check_totals("a", 133);
}

static void test_a_reset_is_one_for_all(void **state)
{
    (void)state;
    for (uint32_t me = 0; me < HOSTS; me++)
        assert_code(0, quipu_add(host[me].q, KEY("a"), 5));
    talk(ENOUGH);
    assert_code(0, quipu_reset(host[1].q, KEY("a"), NULL));
    assert_code(0, quipu_add(host[1].q, KEY("a"), 1));
    talk(ENOUGH);
    check_totals("a", 1);
    assert_code(0, quipu_add(host[2].q, KEY("a"), 2)); /* it has followed */
    talk(ENOUGH);
    check_totals("a", 3);
}

static void test_a_delete_is_one_for_all_and_leaves_nothing(void **state)
{
    (void)state;
    struct quipu_count count;
    for (uint32_t me = 0; me < HOSTS; me++)
        assert_code(0, quipu_add(host[me].q, KEY("a"), 5));
    assert_code(0, quipu_set(host[0].q, KEY("r"), -3));
    talk(ENOUGH);
    check_totals("a", 15);
    assert_code(0, quipu_delete(host[2].q, KEY("a"), NULL));
    assert_code(0, quipu_delete(host[1].q, KEY("r"), NULL));
    talk(ENOUGH);
    for (uint32_t me = 0; me < HOSTS; me++) {
        assert_code(-ENOENT, quipu_get(host[me].q, KEY("a"), &count));
        assert_code(-ENOENT, quipu_get(host[me].q, KEY("r"), &count));
    }
    talk(ENOUGH); /* each says that it holds the tombstone, and hears that all do */
    for (uint32_t me = 0; me < HOSTS; me++) {
        qp_test_settle(host[me].q);
        assert_int_equal(0, api_stat(host[me].q).counters_used);
    }
    assert_code(0, quipu_add(host[0].q, KEY("a"), 2)); /* and it can begin anew */
    talk(ENOUGH);
    check_totals("a", 2);
}

static void test_the_last_write_of_a_register_wins(void **state)
{
    (void)state;
    assert_code(0, quipu_set(host[0].q, KEY("r"), 1));
    talk(ENOUGH);
    check_totals("r", 1);
    assert_code(0, quipu_set(host[2].q, KEY("r"), 9));
    talk(ENOUGH);
    for (uint32_t me = 0; me < HOSTS; me++)
        assert_int_equal(9, api_get(host[me].q, "r").total);
}

static void test_takers_reckon_with_what_others_took(void **state)
{
    (void)state;
    struct quipu_verdict verdict;
    talk(ENOUGH);
    now_ms = (now_ms / 10000 + 1) * 10000; /* a window begins */
    set_clock();
    assert_code(0, quipu_take_at(host[0].q, KEY("l:1"), 6, (int64_t)now_ms, NULL));
    talk(ENOUGH);
    assert_code(0, quipu_take_at(host[1].q, KEY("l:1"), 1, (int64_t)now_ms, &verdict));
    assert_int_equal(3, verdict.remaining);
    assert_code(1, quipu_take_at(host[2].q, KEY("l:1"), 5, (int64_t)now_ms, &verdict));
    assert_code(0, quipu_reset(host[2].q, KEY("l:1"), NULL)); /* of nothing of its own, for all */
    talk(ENOUGH);
    assert_code(0, quipu_take_at(host[1].q, KEY("l:1"), 10, (int64_t)now_ms, NULL));
    now_ms = (now_ms / 10000 + 1) * 10000;
    set_clock();
    assert_code(0, quipu_take_at(host[2].q, KEY("l:1"), 10, (int64_t)now_ms, NULL));
}

static void test_an_agent_that_begins_anew_goes_on(void **state)
{
    (void)state;
    for (uint32_t me = 0; me < HOSTS; me++)
        assert_code(0, quipu_add(host[me].q, KEY("a"), 5));
    talk(ENOUGH);
    end_agent(1);
    assert_code(0, quipu_add(host[1].q, KEY("a"), 5));
    assert_code(0, quipu_reset(host[1].q, KEY("a"), NULL));
    assert_code(0, quipu_add(host[1].q, KEY("a"), 1));
    begin_agent(1);
    talk(ENOUGH);
    check_totals("a", 1);
    assert_code(0, quipu_add(host[0].q, KEY("a"), 1));
    talk(ENOUGH);
    check_totals("a", 2);
}

#define among_hosts(test) cmocka_unit_test_setup_teardown(test, open_hosts, close_hosts)

int main(void)
{
    const struct CMUnitTest tests[] = {
        among_hosts(test_everybody_sees_the_sum),
        among_hosts(test_a_reset_is_one_for_all),
        among_hosts(test_a_delete_is_one_for_all_and_leaves_nothing),
        among_hosts(test_the_last_write_of_a_register_wins),
        among_hosts(test_takers_reckon_with_what_others_took),
        among_hosts(test_an_agent_that_begins_anew_goes_on),
    };
    return cmocka_run_group_tests_name("cores over segments", tests, NULL, NULL);
}
