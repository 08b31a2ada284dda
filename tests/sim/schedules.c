/* SPDX-License-Identifier: MIT */
/* schedules.c: schedules that once broke a rule of MERGE.md: found by the simulator, retold here with hosts, keys and
 * links by name, since a seed tells another story as soon as anything is drawn anew. Each says which rule it broke
 * and what the rule became. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store_memory.h"
#include "sync/core.h"
#include "sync/rules.h"

#define HOSTS 4
#define ROUND_MS 100
#define GRACE_MS 5000
#define FORGET_MS 20000
#define WINDOW_MS 60000

enum { A, B, C, D };

static struct world {
    uint64_t now_ms;
    uint32_t hosts;
    uint32_t window_ms; /* of limits, as all strategies want it */
    struct host {
        struct sim_store *store;
        struct qp_core *core;     /* NULL: the agent is down */
        uint32_t odd_key;         /* of this number its strategy wants a register; 0: none */
        uint64_t births;
    } host[HOSTS];
    bool cut[HOSTS][HOSTS];
} world;

/* ---- hosts ----------------------------------------------------------------------------------------------------------------- */

/* Keys: "c1" a counter, "r1" a register, "w1" a limit. */
static struct sim_strategy strategy(void *arg, const void *key, size_t key_bytes)
{
    const struct host *host = arg;
    const char *name = key;
    (void)key_bytes;
    if (name[0] == 'w')
        return (struct sim_strategy){.kind = QP_KIND_LIMIT, .window_ms = world.window_ms, .limit = 100};
    bool is_register = name[0] == 'r' || (host->odd_key && name[1] == (char)('0' + host->odd_key));
    return (struct sim_strategy){.kind = is_register ? QP_KIND_REGISTER : QP_KIND_COUNTER};
}

/* A new segment; the smallest replica founds, so the first host's is the smallest. */
static void birth(uint32_t i)
{
    struct host *host = &world.host[i];
    struct sim_store_config config = {.replica = 1000 * ++host->births + i, .strategy = strategy, .strategy_arg = host};
    sim_store_free(host->store);
    host->store = sim_store_new(&config);
    assert_non_null(host->store);
}

static void start(uint32_t i)
{
    struct qp_core_config config = {.cluster = 1,
                                    .round_ms = ROUND_MS,
                                    .digest_ms = 300,
                                    .tombstone_grace_ms = GRACE_MS,
                                    .forget_after_ms = FORGET_MS};
    struct qp_store store = sim_store_interface(world.host[i].store);
    assert_int_equal(qp_core_new(&config, &store, world.now_ms, &world.host[i].core), 0);
    for (uint32_t peer = 0; peer < world.hosts; peer++) {
        struct qp_peer_config peer_config = {.key = {peer + 1}, .may_relay = true};
        uint32_t number;
        if (peer != i)
            assert_int_equal(qp_core_peer_add(world.host[i].core, &peer_config, world.now_ms, &number), 0);
    }
}

static void stop(uint32_t i)
{
    qp_core_free(world.host[i].core);
    world.host[i].core = NULL;
}

/* Numbers of peers go by the order in which they were added: all hosts but oneself. */
static uint32_t host_of(uint32_t self, uint32_t peer)
{
    return peer < self ? peer : peer + 1;
}

static void deliver_from(uint32_t from)
{
    uint32_t peer;
    const void *bytes;
    size_t count;
    static uint8_t frame[256 * 1024];
    while (world.host[from].core && qp_core_next_out(world.host[from].core, world.now_ms, &peer, &bytes, &count)) {
        uint32_t to = host_of(from, peer);
        memcpy(frame, bytes, count);
        if (!world.cut[from][to] && world.host[to].core)
            qp_core_on_message(world.host[to].core, from < to ? from : from - 1, frame, count, world.now_ms);
    }
}

static void pass(uint64_t ms)
{
    for (uint64_t end_ms = world.now_ms + ms; world.now_ms < end_ms; world.now_ms += 10) {
        for (uint32_t i = 0; i < world.hosts; i++) {
            if (world.host[i].core)
                qp_core_on_tick(world.host[i].core, world.now_ms);
            sim_store_upkeep(world.host[i].store, world.now_ms);
        }
        for (uint32_t i = 0; i < world.hosts; i++)
            deliver_from(i);
    }
}

static void cut_off(uint32_t i, bool cut)
{
    for (uint32_t other = 0; other < world.hosts; other++)
        world.cut[i][other] = world.cut[other][i] = cut;
}

static void begin(uint32_t hosts)
{
    memset(&world, 0, sizeof world);
    world.now_ms = UINT64_C(1800000000000);
    world.hosts = hosts;
    world.window_ms = WINDOW_MS;
    for (uint32_t i = 0; i < hosts; i++)
        birth(i);
    for (uint32_t i = 0; i < hosts; i++)
        start(i);
    pass(3000);
}

static void end(void)
{
    for (uint32_t i = 0; i < world.hosts; i++) {
        stop(i);
        sim_store_free(world.host[i].store);
    }
}

/* ---- verbs and readings -------------------------------------------------------------------------------------------------------- */

static void add(uint32_t i, const char *key, uint64_t n)
{
    assert_int_equal(sim_store_add(world.host[i].store, key, strlen(key), n, world.now_ms, NULL), 0);
}

static void reset(uint32_t i, const char *key)
{
    int64_t ended;
    assert_int_equal(sim_store_reset(world.host[i].store, key, strlen(key), world.now_ms, &ended), 0);
}

static void delete(uint32_t i, const char *key)
{
    int64_t ended;
    assert_int_equal(sim_store_delete(world.host[i].store, key, strlen(key), world.now_ms, &ended), 0);
}

static int64_t total(uint32_t i, const char *key)
{
    const struct qp_state *state = sim_store_look(world.host[i].store, key, strlen(key));
    struct qp_reading_total reading[2] = {{0}, {0}};
    if (state)
        qp_rules_read(state, sim_store_replica(world.host[i].store), world.now_ms, reading);
    return reading[0].total;
}

static bool is_held(uint32_t i, const char *key)
{
    return sim_store_look(world.host[i].store, key, strlen(key)) != NULL;
}

static void assert_all_read(const char *key, int64_t expected)
{
    for (uint32_t i = 0; i < world.hosts; i++) {
        if (world.host[i].core)
            assert_int_equal(total(i, key), expected);
    }
}

/* Deleted, held by all as deleted, collected: nothing is left of it but graves. */
static void delete_and_collect(uint32_t i, const char *key)
{
    delete(i, key);
    pass(GRACE_MS + 2000);
    for (uint32_t host = 0; host < world.hosts; host++)
        assert_false(is_held(host, key));
}

/* ---- schedules ---------------------------------------------------------------------------------------------------------------------- */

/* A deletes in epoch 0 while B, who has not heard of it, resets to epoch 1. The delete is newer, so B's point dies by
 * its version, and "own epoch stays": A was in epoch 1, B and C in 2, with nothing that would ever tell. What A adds
 * later was invisible to B, and lost when B added. Now a floor says in which epoch its teller is. */
static void test_epochs_meet_after_a_delete(void **unused)
{
    (void)unused;
    begin(3);
    add(A, "c1", 7);
    pass(1000);
    cut_off(A, true);
    reset(B, "c1");
    pass(20);
    reset(B, "c1");
    pass(1000);
    delete(A, "c1");
    pass(500);
    cut_off(A, false);
    pass(1000); /* heard by all, and not collected yet */
    assert_all_read("c1", 0);
    assert_true(is_held(A, "c1"));
    add(A, "c1", 5);
    pass(1000);
    assert_all_read("c1", 5);
    add(B, "c1", 2);
    pass(1000);
    assert_all_read("c1", 7);
    end();
}

/* A key is deleted and collected. While A's agent is down its workers make the key again, in epoch 0, and delete it
 * once more: nobody has applied the grave to it. That delete came out with a floor below the grave: refused by all as
 * one long done with, but held by A, where its version killed what B had counted meanwhile. */
static void test_a_key_made_again_is_deleted_above_its_grave(void **unused)
{
    (void)unused;
    begin(3);
    add(B, "c1", 3);
    pass(1000);
    delete_and_collect(B, "c1");
    stop(A);
    add(A, "c1", 2);
    add(B, "c1", 5);
    pass(1000);
    delete(A, "c1");
    pass(100);
    start(A);
    pass(3000);
    for (uint32_t i = 1; i < world.hosts; i++)
        assert_int_equal(total(i, "c1"), total(A, "c1"));
    add(A, "c1", 4);
    pass(1000);
    for (uint32_t i = 1; i < world.hosts; i++)
        assert_int_equal(total(i, "c1"), total(A, "c1"));
    assert_true(total(A, "c1") >= 4);
    end();
}

/* D's strategy wants c1 as a register: D refuses all of it, and its knowledge of B's stream goes on. B's segment is
 * lost. The digests of B's points were compared with D, who has none of c1; and since "the relay had merged it, so it
 * was deleted", all others dropped what B had told. A relay's word adds, and takes nothing away. */
static void test_who_refuses_a_kind_erases_nothing(void **unused)
{
    (void)unused;
    begin(4);
    world.host[D].odd_key = 1;
    add(B, "c1", 9);
    add(B, "c2", 1);
    pass(2000);
    assert_int_equal(total(A, "c1"), 9);
    stop(B);
    pass(15000);
    assert_int_equal(total(A, "c1"), 9);
    assert_int_equal(total(C, "c1"), 9);
    end();
}

/* D has no room for B's last count when it comes, and B's segment is lost before it is offered again. The others hold
 * it, so D must get it from them, although D's knowledge of that stream has gone on. */
static void test_what_was_refused_comes_from_others(void **unused)
{
    (void)unused;
    begin(4);
    add(B, "c1", 9);
    pass(1000);
    sim_store_refuse(world.host[D].store, 1000);
    add(B, "c1", 4);
    pass(300);
    sim_store_refuse(world.host[D].store, 0);
    stop(B);
    pass(15000);
    assert_all_read("c1", 13);
    end();
}

/* C is new, has not joined, and sets a register; then the others delete it, all who are known hold that and collect
 * it. C joins and told its older value, which lived on at C until the graves were filled in, and then came back
 * everywhere. A register that nobody has heard of gets a version above its grave. */
static void test_a_joiner_does_not_bring_back_a_register(void **unused)
{
    (void)unused;
    begin(3);
    assert_int_equal(sim_store_set(world.host[A].store, "r1", 2, 1, world.now_ms), 0);
    pass(1000);
    stop(C);
    birth(C);
    assert_int_equal(sim_store_set(world.host[C].store, "r1", 2, 2, world.now_ms), 0);
    pass(100);
    delete(A, "r1");
    pass(FORGET_MS + 10000); /* what C was is forgotten; the delete is collected, its grave is there */
    start(C);
    pass(20000);
    assert_int_equal(total(A, "r1"), total(C, "r1"));
    assert_int_equal(total(B, "r1"), total(C, "r1"));
    pass(2 * FORGET_MS);
    assert_int_equal(total(A, "r1"), total(C, "r1"));
    assert_int_equal(total(B, "r1"), total(C, "r1"));
    end();
}

/* A limit is reset, evicted at A for want of room, and returns in the same window with its number of resets, which
 * stood in a block with a tombstone of now: told as a new reset, it killed by its version what B had taken since. It
 * stands there under the oldest version there is now, and kills what its floor kills. */
static void test_an_evicted_limit_ends_nobodys_window(void **unused)
{
    (void)unused;
    uint64_t epoch;
    begin(2);
    world.now_ms += WINDOW_MS - world.now_ms % WINDOW_MS; /* the schedule is within one window */
    assert_int_equal(sim_store_take(world.host[A].store, "w1", 2, 3, world.now_ms, &epoch), 1);
    pass(1000);
    reset(A, "w1");
    pass(1000);
    assert_int_equal(sim_store_take(world.host[B].store, "w1", 2, 40, world.now_ms, &epoch), 1);
    pass(1000);
    sim_store_evict(world.host[A].store, "w1", 2, world.now_ms);
    assert_int_equal(sim_store_take(world.host[A].store, "w1", 2, 2, world.now_ms, &epoch), 1);
    pass(1000);
    assert_int_equal(total(B, "w1"), 42);
    end();
}

/* All strategies give a limit another window. B still had the entry of the old one, refused what A counted in the new
 * one, and when somebody took at B it was made anew, without what A had said, until that was offered again. Whoever
 * comes by ends an entry that is over, the agent too. */
static void test_a_limit_with_another_window_is_heard_of_at_once(void **unused)
{
    (void)unused;
    uint64_t epoch;
    begin(2);
    world.now_ms += 2 * WINDOW_MS - world.now_ms % (2 * WINDOW_MS);
    assert_int_equal(sim_store_take(world.host[A].store, "w1", 2, 3, world.now_ms, &epoch), 1);
    assert_int_equal(sim_store_take(world.host[B].store, "w1", 2, 3, world.now_ms, &epoch), 1);
    pass(1000);
    world.window_ms = 2 * WINDOW_MS;
    assert_int_equal(sim_store_take(world.host[A].store, "w1", 2, 60, world.now_ms, &epoch), 1);
    pass(2 * ROUND_MS);
    assert_int_equal(total(B, "w1"), 60);
    assert_int_equal(sim_store_take(world.host[B].store, "w1", 2, 60, world.now_ms, &epoch), 0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_epochs_meet_after_a_delete),
        cmocka_unit_test(test_a_key_made_again_is_deleted_above_its_grave),
        cmocka_unit_test(test_who_refuses_a_kind_erases_nothing),
        cmocka_unit_test(test_what_was_refused_comes_from_others),
        cmocka_unit_test(test_a_joiner_does_not_bring_back_a_register),
        cmocka_unit_test(test_an_evicted_limit_ends_nobodys_window),
        cmocka_unit_test(test_a_limit_with_another_window_is_heard_of_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
