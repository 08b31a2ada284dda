/* SPDX-License-Identifier: MIT */
/* limits.h: what the programs of this folder share: a segment without a name, its strategies, random numbers, words that several
 * processes see. Failure, children and shared memory are those of tests/scale. */
#ifndef LIMITS_LIMITS_H
#define LIMITS_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/quipu.h"
#include "tests/scale/scale.h"

/* A fresh segment with these options (struct_bytes is filled in), open here and for forked children, whose name is gone already: whatever
 * happens, nothing stays behind. */
struct quipu *limits_segment(const char *what, struct quipu_create_options options);

/* A strategy of kind limit, for all the rest of its fields as given. */
struct quipu_strategy limits_strategy(struct quipu_strategy fields);
void limits_put(struct quipu *q, const char *prefix, struct quipu_strategy fields);

uint64_t limits_unix_ms(void);

/* Ends the child that runs too long, so that a loop without end becomes a finding. */
void limits_watchdog(unsigned seconds);

uint64_t limits_random(uint64_t *state);

/* A number below `below`. */
static inline uint64_t limits_pick(uint64_t *state, uint64_t below)
{
    return limits_random(state) % below;
}

/* Words in a mapping that several processes see. One that is killed has stored either the old value or the new one, and everything it stored
 * before. */
static inline uint64_t limits_read(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void limits_write(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* Of a word that nobody else writes. */
static inline void limits_count(uint64_t *word, uint64_t more)
{
    limits_write(word, limits_read(word) + more);
}

/* Returns the new value. */
static inline uint64_t limits_add(uint64_t *word, uint64_t more)
{
    return __atomic_add_fetch(word, more, __ATOMIC_ACQ_REL);
}

/* What a process has of memory of its own, not shared with others. */
uint64_t limits_own_kb(void);

/* Lets others run for a moment, in a loop that waits for a condition. */
void limits_pause(void);

/* The same for a parent that waits for what its children do; if one of them has failed, so has this process. */
void limits_watch(void);

#endif
