/* SPDX-License-Identifier: MIT */
/* pair.h: two calls, one of them stopped in the middle while the other runs. */
#ifndef QP_SNAPSHOT_PAIR_H
#define QP_SNAPSHOT_PAIR_H

#include "places.h"
#include "preset.h"

#define PAIR_OTHERS_MAX 2

struct pair {
    const char *what;
    preset_function *preset;
    struct action stopped;                /* by the child */
    struct action other[PAIR_OTHERS_MAX]; /* by this program, one after the other; the second may be missing */
    enum cast cast;
    void (*prepare)(struct stage *stage, const struct action *action); /* by the stopped one, before it is */
    bool every;                                                        /* stop it at every instruction of its section */
    struct action half; /* what the stopped one does on its way that all may see already; none: nothing */
};

extern const struct pair pairs[];
extern const unsigned pair_count;
extern const struct pair planted_pairs[]; /* must be reported */
extern const unsigned planted_pair_count;

struct pair_tally {
    uint64_t places;   /* instructions at which the first call was stopped */
    uint64_t outcomes; /* serial orders, that is, legal outcomes */
    uint64_t wrong;
};

/* Stops the first call at instructions chosen by `wish`, one after the other. Findings go to `out`. */
void pair_run(const struct pair *pair, const struct places_wish *wish, FILE *out, struct pair_tally *tally);

#endif
