/* SPDX-License-Identifier: MIT */
/* worker.c: a worker's life: it joins (by a fork of its parent's view, or by opening the segment itself), and its hands take random
 * steps until somebody kills it, or, now and then, until it leaves in good order. */
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BURST_STEPS 32

/* ---- keys whose strategy changes: what they count does not matter, that nothing breaks does ------------------------- */

static void fickle_step(struct storm_life *life)
{
    char key[32];
    struct quipu_count count;
    uint64_t random = storm_random(&life->random);
    int key_bytes = snprintf(key, sizeof key, "g/%d/%d", (int)(random % 4), (int)(random >> 8 & 3)), result;
    uint64_t kind = random >> 16 & 7;
    enum storm_op op = kind < 4 ? STORM_OP_ADD : kind == 4 ? STORM_OP_GET : kind == 5 ? STORM_OP_DELETE : STORM_OP_SET;
    storm_enter(life, op, STORM_ITEM_NONE, 1);
    if (op == STORM_OP_ADD)
        result = quipu_add(life->q, key, (size_t)key_bytes, 1);
    else if (op == STORM_OP_GET)
        result = quipu_get(life->q, key, (size_t)key_bytes, &count);
    else if (op == STORM_OP_DELETE)
        result = quipu_delete(life->q, key, (size_t)key_bytes, NULL);
    else
        result = quipu_set(life->q, key, (size_t)key_bytes, 1);
    storm_refused(life, result, op == STORM_OP_ADD || op == STORM_OP_SET ? -EPROTOTYPE : -ENOENT,
                  "a call on a fickle key");
    storm_leave(life);
}

static void strategy_step(struct storm_life *life)
{
    static const uint32_t kinds[] = {QUIPU_KIND_COUNTER, QUIPU_KIND_LIMIT, QUIPU_KIND_REGISTER};
    char prefix[32];
    uint64_t random = storm_random(&life->random);
    int prefix_bytes = snprintf(prefix, sizeof prefix, "g/%d/", (int)(random % 4));
    struct quipu_strategy strategy = {.struct_bytes = sizeof strategy, .kind = kinds[random % 3]};
    if (strategy.kind == QUIPU_KIND_LIMIT)
        strategy.window_ms = 100 + (random >> 8) % 1000;
    storm_enter(life, STORM_OP_STRATEGY, STORM_ITEM_NONE, 0);
    int result = random >> 32 & 3 ? quipu_strategy_put(life->q, prefix, (size_t)prefix_bytes, &strategy)
                                  : quipu_strategy_drop(life->q, prefix, (size_t)prefix_bytes);
    /* Tables do not grow: with one reader stopped after the other, all of them wait for a grace period now and then. */
    storm_refused(life, result, storm_books->grows && result == -QUIPU_EFULL ? result : -ENOENT, "a change of strategy");
    storm_leave(life);
}

/* ---- care: so that recoverers and sweepers are killed too ----------------------------------------------------------- */

static void upkeep_step(struct storm_life *life)
{
    storm_enter(life, STORM_OP_UPKEEP, STORM_ITEM_NONE, 0);
    int result = quipu_upkeep(life->q, 1 + (uint32_t)storm_pick(life, 200));
    storm_refused(life, result < 0 ? result : 0, 0, "upkeep");
    storm_leave(life);
}

static void stat_step(struct storm_life *life)
{
    struct quipu_stat stat;
    storm_enter(life, STORM_OP_STAT, STORM_ITEM_NONE, 0);
    storm_refused(life, quipu_stat(life->q, &stat), 0, "stat");
    storm_leave(life);
}

/* ---- steps ---------------------------------------------------------------------------------------------------------- */

static const struct {
    unsigned weight;
    storm_step *take;
} steps[] = {
    {150, storm_grow_add},    {40, storm_grow_get},        {60, storm_cut_add},          {30, storm_cut_reset},
    {20, storm_cut_get},      {90, storm_die_add},         {50, storm_die_delete},       {20, storm_die_get},
    {30, storm_register_set}, {10, storm_register_delete}, {20, storm_register_get},     {50, storm_window_add},
    {10, storm_window_get},   {20, storm_window_cut_add},  {10, storm_window_cut_reset}, {340, storm_private_change},
    {2, storm_private_each},  {20, fickle_step},           {1, strategy_step},           {6, upkeep_step},
    {1, stat_step},           {60, storm_limit_take},      {60, storm_limit_roll},       {20, storm_limit_many},
    {40, storm_limit_enter},  {30, storm_fresh_make},      {20, storm_fresh_get},
};

static storm_step *pick_step(struct storm_life *life)
{
    static unsigned total;
    if (!total) { /* both hands of a worker would find the same number */
        unsigned sum = 0;
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
            sum += steps[i].weight;
        __atomic_store_n(&total, sum, __ATOMIC_RELAXED);
    }
    uint64_t at = storm_pick(life, __atomic_load_n(&total, __ATOMIC_RELAXED));
    size_t i = 0;
    while (at >= steps[i].weight)
        at -= steps[i++].weight;
    return steps[i].take;
}

static void take_bursts(struct storm_life *life, uint64_t bursts)
{
    storm_private_resolve(life->q, life->hand);
    storm_fresh_resolve(life->q, life->hand);
    storm_leave(life); /* joining is over */
    for (uint64_t burst = 0; burst < bursts; burst++) {
        storm_write(&life->book->bursts, life->book->bursts + 1);
        for (int i = 0; i < BURST_STEPS; i++)
            pick_step(life)(life);
    }
}

/* ---- lives ---------------------------------------------------------------------------------------------------------- */

static void open_handles(struct storm_life *life)
{
    for (uint32_t i = 0; i < STORM_ACCOUNTS; i++) {
        const struct storm_account *a = &storm_books->account[i];
        int error =
            a->family == STORM_REGISTER ? 0 : quipu_counter_open(life->q, a->key, a->key_bytes, &life->handle[i]);
        if (error)
            storm_fail("hand %u: no handle: %s", life->hand, quipu_error(error));
    }
}

static void close_handles(struct storm_life *life)
{
    for (uint32_t i = 0; i < STORM_ACCOUNTS; i++)
        if (storm_books->account[i].family != STORM_REGISTER)
            quipu_counter_close(&life->handle[i]);
}

static struct quipu *open_segment(uint32_t hand, int fd, bool read_only)
{
    struct quipu_open_options options = {.struct_bytes = sizeof options, .fd = fd, .read_only = read_only};
    struct quipu *q = NULL;
    int error = quipu_open(NULL, &options, &q);
    if (error)
        storm_fail("hand %u: cannot open: %s", hand, quipu_error(error));
    return q;
}

static void start_life(struct storm_life *life, uint32_t hand, uint64_t seed)
{
    life->hand = hand;
    life->book = &storm_books->hand[hand];
    life->random = seed ^ (uint64_t)hand << 56;
    storm_enter(life, STORM_OP_JOIN, STORM_ITEM_NONE, 0);
}

struct second {
    struct storm_life life;
    uint64_t bursts;
};

static void *second_hand(void *arg)
{
    struct second *second = arg;
    open_handles(&second->life);
    take_bursts(&second->life, second->bursts);
    close_handles(&second->life);
    return NULL;
}

void storm_worker(uint32_t worker, uint64_t seed, struct quipu *inherited, int fd)
{
    struct storm_life life = {0};
    struct second second = {0};
    pthread_t thread;
    start_life(&life, worker * STORM_HANDS_PER_WORKER, seed);
    bool two_hands = storm_pick(&life, 2) != 0, leaves = storm_pick(&life, 8) == 0;
    uint64_t bursts = leaves ? 1 + storm_pick(&life, 100) : UINT64_MAX;
    life.q = storm_pick(&life, 2) ? open_segment(life.hand, fd, false) : inherited;
    life.reader = open_segment(life.hand, fd, true);
    open_handles(&life);
    if (two_hands) {
        start_life(&second.life, life.hand + 1, seed);
        second.life.q = life.q;
        second.life.reader = life.reader;
        second.bursts = bursts;
        if (pthread_create(&thread, NULL, second_hand, &second))
            storm_fail("hand %u: no thread", life.hand);
    }
    take_bursts(&life, bursts);
    storm_enter(&life, STORM_OP_JOIN, STORM_ITEM_NONE, 0);
    if (two_hands)
        pthread_join(thread, NULL);
    close_handles(&life);
    quipu_close(life.reader);
    quipu_close(life.q);
    storm_leave(&life);
    _exit(0);
}
