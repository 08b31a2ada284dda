/* SPDX-License-Identifier: MIT */
/* random.h: the simulator's own random numbers: the same on every machine and with every compiler. */
#ifndef QP_TESTS_SIM_RANDOM_H
#define QP_TESTS_SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct sim_random {
    uint64_t state;
};

/* The finalizer of splitmix64: every bit of the result depends on every bit of x. */
static inline uint64_t sim_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* One purpose each, so that a change of what is drawn for one leaves the others as they were. */
static inline struct sim_random sim_random_new(uint64_t seed, uint64_t purpose)
{
    return (struct sim_random){sim_mix(seed + sim_mix(purpose * UINT64_C(0x9e3779b97f4a7c15)))};
}

static inline uint64_t sim_random_next(struct sim_random *random)
{
    random->state += UINT64_C(0x9e3779b97f4a7c15);
    return sim_mix(random->state);
}

/* 0 to below - 1; 0 for 0. */
static inline uint64_t sim_random_below(struct sim_random *random, uint64_t below)
{
    return below ? sim_random_next(random) % below : 0;
}

static inline uint64_t sim_random_between(struct sim_random *random, uint64_t low, uint64_t high)
{
    return low + sim_random_below(random, high - low + 1);
}

/* True in `of_million` of a million cases. */
static inline bool sim_random_chance(struct sim_random *random, uint64_t of_million)
{
    return of_million && sim_random_below(random, 1000000) < of_million;
}

#endif
