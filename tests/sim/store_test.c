/* SPDX-License-Identifier: MIT */
/* store_test.c: the stand-in for a segment keeps what it promises: else the simulator tests a core against a world
 * that does not exist. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shm/error.h"
#include "store_memory.h"

#define NOW UINT64_C(1800000000000)
#define SELF UINT64_C(77)

static uint32_t window_ms = 1000;

static struct sim_strategy limits(void *arg, const void *key, size_t key_bytes)
{
    (void)arg, (void)key_bytes;
    if (*(const char *)key != 'w')
        return (struct sim_strategy){0};
    return (struct sim_strategy){.kind = QP_KIND_LIMIT, .window_ms = window_ms, .limit = 10};
}

static struct sim_store *store_of(uint32_t points_max)
{
    struct sim_store_config config = {.replica = SELF, .slots = 4, .points_max = points_max, .strategy = limits};
    struct sim_store *store = sim_store_new(&config);
    window_ms = 1000;
    assert_non_null(store);
    return store;
}

/* ---- edits ---------------------------------------------------------------------------------------------------------------- */

struct edits {
    struct sim_store *store;
    int runs, refuse;
    uint32_t points;
    bool stranger; /* the points are of a replica that is not in the ledger */
};

static int end_epoch(struct qp_state *state, void *arg)
{
    struct edits *edits = arg;
    edits->runs++;
    state->own[0].epoch++;
    state->own[0].base = state->cell[0];
    state->point_count = edits->points;
    for (uint32_t i = 0; i < edits->points; i++)
        state->point[i] = (struct qp_point){.replica = edits->stranger ? SELF + 1 : SELF};
    return edits->refuse ? edits->refuse : QP_EDIT_PUBLISH;
}

static void add_meanwhile(void *arg)
{
    assert_int_equal(sim_store_add(arg, "a", 1, 5, NOW, NULL), 0);
}

static void reset_meanwhile(void *arg)
{
    int64_t ended;
    assert_int_equal(sim_store_reset(arg, "a", 1, NOW, &ended), 0);
}

static void test_updates_meet_others(void **unused)
{
    (void)unused;
    struct sim_store *store = store_of(3);
    struct qp_store face = sim_store_interface(store);
    struct edits edits = {.store = store};
    uint32_t slot;
    assert_int_equal(sim_store_add(store, "a", 1, 7, NOW, NULL), 0);
    slot = face.ops->find(store, "a", 1);
    sim_store_interfere(store, add_meanwhile, store);
    assert_int_equal(face.ops->update(store, slot, end_epoch, &edits), QP_EDIT_PUBLISH);
    assert_int_equal(edits.runs, 1);
    const struct qp_state *state = sim_store_look(store, "a", 1);
    assert_int_equal(state->cell[0] - state->own[0].base, 5); /* what came meanwhile is above the base */
    sim_store_interfere(store, reset_meanwhile, store);
    assert_int_equal(face.ops->update(store, slot, end_epoch, &edits), QP_EDIT_PUBLISH);
    assert_int_equal(edits.runs, 3); /* somebody was faster */
    assert_int_equal(sim_store_look(store, "a", 1)->own[0].epoch, 3);
    edits.refuse = -EINVAL;
    assert_int_equal(face.ops->update(store, slot, end_epoch, &edits), -EINVAL);
    assert_int_equal(sim_store_look(store, "a", 1)->own[0].epoch, 3);
    sim_store_free(store);
}

static void test_updates_are_refused(void **unused)
{
    (void)unused;
    struct sim_store *store = store_of(3);
    struct qp_store face = sim_store_interface(store);
    struct edits edits = {.points = 4};
    uint32_t slot;
    assert_int_equal(face.ops->update_key(store, "a", 1, QP_KIND_COUNTER, 0, end_epoch, &edits, &slot), -E2BIG);
    assert_int_equal(sim_store_held(store), 0);
    edits.points = 3;
    assert_int_equal(face.ops->update_key(store, "a", 1, QP_KIND_COUNTER, 0, end_epoch, &edits, &slot), QP_EDIT_PUBLISH);
    assert_int_equal(face.ops->update_key(store, "a", 1, QP_KIND_REGISTER, 0, end_epoch, &edits, &slot), -EPROTOTYPE);
    assert_int_equal(face.ops->update_key(store, "w", 1, QP_KIND_LIMIT, 500, end_epoch, &edits, &slot), -EPROTOTYPE);
    edits.stranger = true;
    assert_int_equal(face.ops->update_key(store, "a", 1, QP_KIND_COUNTER, 0, end_epoch, &edits, &slot), -ENOSPC);
    edits.stranger = false;
    sim_store_refuse(store, 1);
    assert_int_equal(face.ops->update_key(store, "b", 1, QP_KIND_COUNTER, 0, end_epoch, &edits, &slot), -QP_EFULL);
    assert_int_equal(face.ops->update_key(store, "b", 1, QP_KIND_COUNTER, 0, end_epoch, &edits, &slot), QP_EDIT_PUBLISH);
    assert_int_equal(sim_store_add(store, "c", 1, 1, NOW, NULL), 0);
    assert_int_equal(sim_store_add(store, "d", 1, 1, NOW, NULL), -QP_EFULL);
    assert_int_equal(face.ops->update(store, 9, end_epoch, &edits), -ENOENT);
    sim_store_free(store);
}

static void test_there_is_less_room(void **unused)
{
    (void)unused;
    struct sim_store *store = store_of(3);
    struct qp_store face = sim_store_interface(store);
    struct edits edits = {.points = 3};
    uint32_t slot;
    assert_int_equal(face.ops->update_key(store, "a", 1, QP_KIND_COUNTER, 0, end_epoch, &edits, &slot), QP_EDIT_PUBLISH);
    sim_store_shrink(store, 1, 2);
    assert_int_equal(sim_store_look(store, "a", 1)->point_count, 3); /* what is there stays */
    assert_int_equal(face.ops->update(store, slot, end_epoch, &edits), -E2BIG);
    edits.points = 2;
    assert_int_equal(face.ops->update(store, slot, end_epoch, &edits), QP_EDIT_PUBLISH);
    assert_int_equal(sim_store_add(store, "b", 1, 1, NOW, NULL), -QP_EFULL);
    struct sim_store *copy = sim_store_copy(store);
    assert_int_equal(sim_store_add(copy, "b", 1, 1, NOW, NULL), -QP_EFULL);
    sim_store_free(copy);
    sim_store_shrink(store, 0, 0);
    edits.points = 3;
    assert_int_equal(face.ops->update(store, slot, end_epoch, &edits), QP_EDIT_PUBLISH);
    assert_int_equal(sim_store_add(store, "b", 1, 1, NOW, NULL), 0);
    sim_store_free(store);
}

/* ---- marks, copies ------------------------------------------------------------------------------------------------------------- */

struct visits {
    struct sim_store *store;
    int count;
};

static void visit(uint32_t slot, void *arg)
{
    struct visits *visits = arg;
    (void)slot;
    if (visits->count++ == 0)
        add_meanwhile(visits->store);
}

static void test_marks(void **unused)
{
    (void)unused;
    struct sim_store *store = store_of(0);
    struct qp_store face = sim_store_interface(store);
    struct visits visits = {.store = store};
    add_meanwhile(store);
    assert_int_equal(face.ops->harvest(store, false, visit, &visits), 1);
    assert_int_equal(face.ops->harvest(store, false, visit, &visits), 1); /* what was added in the visit has left a mark */
    assert_int_equal(face.ops->harvest(store, false, visit, &visits), 0);
    assert_int_equal(face.ops->harvest(store, true, visit, &visits), 1);
    add_meanwhile(store);
    sim_store_lose_marks(store);
    assert_int_equal(face.ops->harvest(store, false, visit, &visits), 1);
    sim_store_free(store);
}

static void test_copies(void **unused)
{
    (void)unused;
    struct sim_store *store = store_of(0);
    struct qp_store face = sim_store_interface(store);
    struct edits edits = {.points = 2};
    add_meanwhile(store);
    uint32_t slot = face.ops->find(store, "a", 1);
    sim_store_checkpoint_at(store, 2);
    face.ops->update(store, slot, end_epoch, &edits);
    assert_null(sim_store_checkpoint(store));
    sim_store_checkpoint_at(store, 2);
    face.ops->update(store, slot, end_epoch, &edits);
    face.ops->update(store, slot, end_epoch, &edits); /* killed before this one */
    struct sim_store *left = sim_store_checkpoint(store);
    assert_non_null(left);
    assert_int_equal(sim_store_look(store, "a", 1)->own[0].epoch, 3);
    assert_int_equal(sim_store_look(left, "a", 1)->own[0].epoch, 2);
    assert_int_equal(sim_store_look(left, "a", 1)->point_count, 2);
    sim_store_free(left);
    sim_store_free(store);
}

/* ---- limits -------------------------------------------------------------------------------------------------------------------- */

static void test_takes(void **unused)
{
    (void)unused;
    struct sim_store *store = store_of(0);
    struct qp_store face = sim_store_interface(store);
    uint64_t epoch, none[2] = {0, 0};
    unsigned parity = NOW / 1000 % 2;
    assert_int_equal(sim_store_take(store, "w", 1, 6, NOW, &epoch), 1);
    assert_int_equal(epoch, NOW << 16);
    uint64_t remote_epoch[2] = {0, 0}, remote[2] = {0, 0};
    remote_epoch[parity] = epoch;
    remote[parity] = 3;
    face.ops->set_remote(store, face.ops->find(store, "w", 1), remote_epoch, remote);
    assert_int_equal(sim_store_take(store, "w", 1, 2, NOW, &epoch), 0);
    assert_int_equal(sim_store_take(store, "w", 1, 1, NOW, &epoch), 1);
    sim_store_refund(store, "w", 1, 2, epoch);
    assert_int_equal(sim_store_take(store, "w", 1, 2, NOW, &epoch), 1);
    assert_int_equal(sim_store_take(store, "w", 1, 10, NOW + 2000, &epoch), 1); /* the same parity: the remote total is another window's */
    face.ops->set_remote(store, face.ops->find(store, "w", 1), none, none);
    assert_int_equal(sim_store_take(store, "a", 1, 1, NOW, &epoch), -ENOENT);
    sim_store_free(store);
}

static void test_windows_leave(void **unused)
{
    (void)unused;
    struct sim_store *store = store_of(0);
    uint64_t epoch;
    int64_t ended;
    assert_int_equal(sim_store_take(store, "w", 1, 8, NOW, &epoch), 1);
    assert_int_equal(sim_store_reset(store, "w", 1, NOW, &ended), 0);
    assert_int_equal(ended, 8);
    assert_int_equal(sim_store_take(store, "w", 1, 7, NOW, &epoch), 1);
    assert_int_equal(epoch, (NOW << 16) + 1);
    sim_store_evict(store, "w", 1, NOW);
    assert_int_equal(sim_store_held(store), 0);
    assert_int_equal(sim_store_take(store, "w", 1, 4, NOW, &epoch), 0); /* 7 are remembered */
    assert_int_equal(sim_store_take(store, "w", 1, 3, NOW, &epoch), 1);
    assert_int_equal(epoch, (NOW << 16) + 1); /* and its reset */
    assert_int_equal(sim_store_look(store, "w", 1)->floor, NOW << 16);
    assert_int_equal(sim_store_look(store, "w", 1)->tombstone.timestamp, 1); /* as in a segment: kills nobody's count by its version */
    sim_store_upkeep(store, NOW + 61000);
    assert_int_equal(sim_store_held(store), 1);
    sim_store_upkeep(store, NOW + 62000);
    assert_int_equal(sim_store_held(store), 0);
    sim_store_free(store);
}

static int end_nothing(struct qp_state *state, void *arg)
{
    (void)state;
    return *(const int *)arg;
}

/* As in a segment: the agent too ends an entry that its strategy has made something else of. If it refused what
 * others say until a verb came by, that verb would admit as if nobody had counted. */
static void test_the_agent_follows_strategies(void **unused)
{
    (void)unused;
    struct sim_store *store = store_of(0);
    struct qp_store face = sim_store_interface(store);
    int leave = QP_EDIT_LEAVE, publish = QP_EDIT_PUBLISH;
    uint64_t epoch;
    uint32_t slot;
    assert_int_equal(sim_store_take(store, "w", 1, 8, NOW, &epoch), 1);
    window_ms = 2000;
    assert_int_equal(face.ops->update_key(store, "w", 1, QP_KIND_LIMIT, 2000, end_nothing, &publish, &slot), QP_EDIT_PUBLISH);
    assert_int_equal(sim_store_look(store, "w", 1)->window_ms, 2000);
    assert_int_equal(sim_store_take(store, "w", 1, 10, NOW, &epoch), 1); /* a new life, and nothing used in it */
    window_ms = 1000;
    assert_int_equal(face.ops->update_key(store, "w", 1, QP_KIND_LIMIT, 2000, end_nothing, &publish, &slot), -EPROTOTYPE);
    assert_int_equal(sim_store_held(store), 0);
    assert_int_equal(face.ops->update_key(store, "w", 1, QP_KIND_LIMIT, 1000, end_nothing, &leave, &slot), QP_EDIT_LEAVE);
    assert_int_equal(sim_store_held(store), 0);
    assert_int_equal(face.ops->update_key(store, "a", 1, QP_KIND_LIMIT, 1000, end_nothing, &publish, &slot), -EPROTOTYPE); /* a limit of what? */
    sim_store_free(store);
}

/* Whoever makes an evicted key again, a verb or the agent with what others say of it: it goes on where it was. */
static void test_the_agent_recalls_the_evicted(void **unused)
{
    (void)unused;
    struct sim_store *store = store_of(0);
    struct qp_store face = sim_store_interface(store);
    struct visits visits = {.store = store, .count = 1};
    int publish = QP_EDIT_PUBLISH;
    uint64_t epoch;
    uint32_t slot;
    assert_int_equal(sim_store_take(store, "w", 1, 8, NOW, &epoch), 1);
    face.ops->harvest(store, true, visit, &visits);
    sim_store_evict(store, "w", 1, NOW);
    face.ops->ledger(store)->round_ms = NOW;
    sim_store_refuse(store, 1);
    assert_int_equal(face.ops->update_key(store, "w", 1, QP_KIND_LIMIT, 1000, end_nothing, &publish, &slot), -QP_EFULL);
    assert_int_equal(face.ops->update_key(store, "w", 1, QP_KIND_LIMIT, 1000, end_nothing, &publish, &slot), QP_EDIT_PUBLISH);
    assert_int_equal(face.ops->harvest(store, false, visit, &visits), 1); /* what it had not told is told */
    assert_int_equal(sim_store_take(store, "w", 1, 3, NOW, &epoch), 0);
    assert_int_equal(sim_store_take(store, "w", 1, 2, NOW, &epoch), 1);
    sim_store_free(store);
}

static int set_collect(struct qp_state *state, void *arg)
{
    (void)arg;
    state->collect = true;
    return QP_EDIT_PUBLISH;
}

static void test_collected_keys_leave(void **unused)
{
    (void)unused;
    struct sim_store *store = store_of(0);
    struct qp_store face = sim_store_interface(store);
    int64_t ended;
    add_meanwhile(store);
    assert_int_equal(sim_store_delete(store, "a", 1, NOW, &ended), 0);
    sim_store_upkeep(store, NOW);
    assert_int_equal(sim_store_held(store), 1);
    face.ops->update(store, face.ops->find(store, "a", 1), set_collect, NULL);
    add_meanwhile(store); /* it lives again */
    sim_store_upkeep(store, NOW);
    assert_int_equal(sim_store_held(store), 1);
    assert_int_equal(sim_store_delete(store, "a", 1, NOW, &ended), 0);
    face.ops->update(store, face.ops->find(store, "a", 1), set_collect, NULL);
    sim_store_upkeep(store, NOW);
    assert_int_equal(sim_store_held(store), 0);
    sim_store_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_updates_meet_others), cmocka_unit_test(test_updates_are_refused),
        cmocka_unit_test(test_there_is_less_room),  cmocka_unit_test(test_marks),
        cmocka_unit_test(test_copies),              cmocka_unit_test(test_takes),
        cmocka_unit_test(test_windows_leave),
        cmocka_unit_test(test_the_agent_follows_strategies),
        cmocka_unit_test(test_the_agent_recalls_the_evicted),
        cmocka_unit_test(test_collected_keys_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
