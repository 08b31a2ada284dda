/* SPDX-License-Identifier: MIT */
/* flight_storm.h: the books of the in-flight storm, in a mapping of their own, which the workers keep and the parent audits. */
#ifndef LIMITS_FLIGHT_STORM_H
#define LIMITS_FLIGHT_STORM_H

#include "limits.h"

#define FLIGHT_WORKERS 16
#define FLIGHT_HELD_MAX 12 /* by one worker; together they want about twice as many as the limit lets in */
#define FLIGHT_LIMIT_MAX 100
#define FLIGHT_KEY "f:storm"

/* Who is in, as far as it is certain: 4 bits for each worker in one word, so that one atomic step changes it and tells what all hold at
 * that instant. Confirmed after enter has returned, withdrawn before leave begins, so it never says more than there are. */
#define FLIGHT_IN_BITS 4

/* Where a worker is. Written before and after the word above, so a worker killed while it is FLIGHT_OUTSIDE holds what the word says, and
 * one killed elsewhere that or one more. */
enum flight_place { FLIGHT_OUTSIDE = 0, FLIGHT_ENTERING = 1, FLIGHT_LEAVING = 2, FLIGHT_FORKING = 3 };

struct flight_page {
    uint64_t place;
    uint64_t calls; /* of enter, begun; goes on in the next life */
    uint64_t entered, denied, left;
    uint64_t stale, foreign, by_child; /* tickets that were refused, as they must be */
    struct quipu_ticket shown;         /* one that it holds, for others to try; may be half written */
    uint64_t reserved[4];
};

struct flight_books {
    uint64_t in;
    uint64_t bound; /* [step 32 | limit 32]: no enter that is under way can know a higher limit */
    uint64_t most;  /* ever seen in at once */
    uint64_t reserved[13];
    struct flight_page page[FLIGHT_WORKERS];
};

/* Enters and leaves until it is killed. */
void flight_worker(struct quipu *q, struct flight_books *books, uint32_t worker, uint64_t seed)
    __attribute__((noreturn));

static inline uint64_t flight_bound(uint64_t step, uint64_t limit)
{
    return step << 32 | limit;
}

static inline uint64_t flight_one(uint32_t worker)
{
    return UINT64_C(1) << (FLIGHT_IN_BITS * worker);
}

static inline uint64_t flight_field(uint64_t in, uint32_t worker)
{
    return in >> (FLIGHT_IN_BITS * worker) & ((1u << FLIGHT_IN_BITS) - 1);
}

static inline uint64_t flight_sum(uint64_t in)
{
    uint64_t sum = 0;
    for (uint32_t worker = 0; worker < FLIGHT_WORKERS; worker++)
        sum += flight_field(in, worker);
    return sum;
}

#endif
