/* SPDX-License-Identifier: MIT */
/* witness.h: looking at the keys beside their writers, and holding what is seen against how far those have got. */
#ifndef SCALE_WITNESS_H
#define SCALE_WITNESS_H

#include "keys.h"
#include "runtime/quipu.h"

/* Walks over everything once: no key twice, none that must be there missing, none that cannot be there present, every total
 * right. Returns how many there were. finished: no writer is at work, so that the totals are final. */
uint64_t witness_walk(struct quipu *q, const struct key_ground *ground, bool finished);

/* Until ground->readers_stop: gets of keys all over the place, or walk after walk. */
void witness_get_on(struct quipu *q, struct key_ground *ground);
void witness_walk_on(struct quipu *q, struct key_ground *ground);

#endif
