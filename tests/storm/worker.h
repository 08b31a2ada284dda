/* SPDX-License-Identifier: MIT */
/* worker.h: what the files of a worker share: one thread's life, and the frame around every call. */
#ifndef STORM_WORKER_H
#define STORM_WORKER_H

#include "books.h"
#include "runtime/quipu.h"

/* One hand at work, from its start to its kill. */
struct storm_life {
    struct quipu *q;
    struct quipu *reader; /* the same segment, read-only */
    struct storm_hand *book;
    uint32_t hand;
    uint64_t random;
    struct quipu_counter handle[STORM_ACCOUNTS]; /* of the accounts that storm_by_handle names */
};

/* Runs worker `worker` in a fresh child until it is killed or leaves of its own accord. inherited: the parent's view; fd: the
 * segment's file. */
void storm_worker(uint32_t worker, uint64_t seed, struct quipu *inherited, int fd) __attribute__((noreturn));

/* The kinds of steps that a hand takes, each one call or a few. */
typedef void storm_step(struct storm_life *life);
storm_step storm_grow_add, storm_grow_get, storm_cut_add, storm_cut_reset, storm_cut_get, storm_die_add,
    storm_die_delete, storm_die_get, storm_register_set, storm_register_delete, storm_register_get, storm_window_add,
    storm_window_get, storm_window_cut_add, storm_window_cut_reset; /* shared.c */
storm_step storm_private_change, storm_private_each;                /* private.c */
storm_step storm_fresh_make, storm_fresh_get;                       /* fresh.c */
storm_step storm_limit_take, storm_limit_roll, storm_limit_many, storm_limit_enter; /* limit.c */

/* One of a family's accounts, and the time at which calls on an account are made in this stretch (limits). */
uint32_t storm_pick_account(struct storm_life *life, enum storm_family family);
int64_t storm_account_now_ms(uint32_t account);

/* A successor finds out what became of the call that its predecessor died in. */
void storm_private_resolve(struct quipu *q, uint32_t hand);

/* Likewise of the key that its predecessor was making. */
void storm_fresh_resolve(struct quipu *q, uint32_t hand);

/* Demands that every key that was made for good is there, and holds what it is to hold. Returns how many those are. */
uint64_t storm_fresh_verify(struct quipu *q);

/* Reads a private key and demands that it holds exactly `state`, or `other`. Returns which. */
uint64_t storm_private_verify(struct quipu *q, uint32_t hand, uint32_t number, uint64_t state, uint64_t other);

static inline uint64_t storm_pick(struct storm_life *life, uint64_t below)
{
    return storm_random(&life->random) % below;
}

/* Small amounts, and now and then one that goes the way of large ones. */
static inline uint64_t storm_amount(struct storm_life *life)
{
    uint64_t random = storm_random(&life->random);
    return random % 64 == 0 ? 65536 + (random >> 32) % 1000 : 1 + (random >> 8) % 9;
}

/* The frame of every call. Killed outside it: nothing is in doubt. */
static inline void storm_enter(struct storm_life *life, enum storm_op op, uint32_t item, uint64_t amount)
{
    storm_write(&life->book->inside, storm_inside(op, item, amount));
}
static inline void storm_leave(struct storm_life *life)
{
    struct storm_hand *book = life->book;
    enum storm_op op = storm_inside_op(book->inside);
    storm_write(&book->done[op], book->done[op] + 1);
    storm_write(&book->inside, 0);
}

/* A refusal for want of room is part of the storm; any other is a finding, unless `also` names it. */
static inline bool storm_refused(struct storm_life *life, int result, int also, const char *call)
{
    if (result == 0)
        return false;
    if (result == -QUIPU_EFULL && also != result)
        storm_write(&life->book->full, life->book->full + 1);
    else if (result != also)
        storm_fail("hand %u: %s returned %d: %s", life->hand, call, result, quipu_error(result));
    return true;
}

#endif
