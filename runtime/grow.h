/* SPDX-License-Identifier: MIT */
/* grow.h: who makes a segment grow, and when: whoever finds no room for a new key, before anybody is evicted for it; and
 * upkeep, so that few have to. All of it outside sections. A segment that cannot grow pays a comparison. */
#ifndef QP_RUNTIME_GROW_H
#define QP_RUNTIME_GROW_H

#include "handle.h"

/* Called when there was no room. Whether there is some now: because the segment has grown, or because enough had expired
 * where this looked. */
bool qp_grow_for_room(struct quipu *q, struct qp_worker *worker);

/* Keeps some room free, and lists short, until that time of the monotonic clock. Returns how much was done. */
uint64_t qp_grow_ahead(struct quipu *q, struct qp_worker *worker, uint64_t stop_us);

#endif
