/* SPDX-License-Identifier: MIT */
/* killed.h: the rows of operation.h, cut short by SIGKILL itself at a few instructions, and recovered by
 * quipu_upkeep on the segment itself: the proof of death is the real one here. */
#ifndef QP_SNAPSHOT_KILLED_H
#define QP_SNAPSHOT_KILLED_H

#include "operation.h"
#include "places.h"

/* Kills at instructions chosen by `wish`. Returns how often the segment was not sound after. */
uint64_t killed_run(const struct operation *operation, const struct places_wish *wish, FILE *out, uint64_t *kills);

#endif
