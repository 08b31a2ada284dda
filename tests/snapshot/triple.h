/* SPDX-License-Identifier: MIT */
/* triple.h: two calls stopped at once, while this program cleans up around them.
 *
 *     A begins, and is stopped;  upkeep;  B begins, and is stopped;  A ends;  upkeep to rest;  B ends
 *
 * What is wrong with a stamp that is read too early, or a grace period that begins too early, shows only here: A
 * holds the stamp, upkeep moves the epoch on, B enters after it and still sees the old state, upkeep believes that
 * all who saw it are gone. */
#ifndef QP_SNAPSHOT_TRIPLE_H
#define QP_SNAPSHOT_TRIPLE_H

#include "places.h"
#include "preset.h"

struct triple {
    const char *what;
    preset_function *preset;
    struct action a, b;
};

extern const struct triple triples[];
extern const unsigned triple_count;

/* Stops A and B at each combination of places chosen by `wish`. Returns the number of findings. */
uint64_t triple_run(const struct triple *triple, const struct places_wish *wish, FILE *out, uint64_t *combinations);

#endif
