/* SPDX-License-Identifier: MIT */
/* places.h: at which instructions of a call it is worth while to stop.
 *
 * Whatever two calls do to each other, they do through the segment's words. So the instruction before and the one
 * after every change of the segment come first; the rest of the places is spread evenly over the call, for what it
 * has only read. */
#ifndef QP_SNAPSHOT_PLACES_H
#define QP_SNAPSHOT_PLACES_H

#include "step.h"

struct places {
    uint64_t *at; /* numbers of instructions, rising; 0: before the first */
    size_t count;
    uint64_t steps; /* of the whole call, or those that were looked at */
};

struct places_wish {
    uint64_t steps_max;    /* look at so many instructions of the call, no more */
    uint64_t steps_budget; /* fewer places, if getting to all of them took more steps than this */
    size_t least, most;    /* places */
    bool every;            /* instead of all that: every instruction from the first change of the segment to the last */
};

/* Steps a child that is at the beginning of its call, and leaves it where it then is. */
void places_find(struct stepped *child, const struct stage *stage, const struct places_wish *wish, struct places *out);
void places_free(struct places *places);

#endif
