/* SPDX-License-Identifier: MIT */
/* room.h: making room for new keys, a stretch of entries at a time: whatever has expired or is on its way out is
 * helped along. If that is not enough room for a while, then of every eight limits that stay, the one that is missed
 * the least is evicted, if the new key's strategy says so. One pair of grace periods serves the whole stretch, so a
 * flood of new keys pays little for each.
 *
 * Going round all entries stretch by stretch gives each a second chance: who uses an entry between its EVICTING and
 * the end of the grace period keeps it. */
#ifndef QP_SHM_ROOM_H
#define QP_SHM_ROOM_H

#include "view.h"

#define QP_ROOM_STRETCH 1024
#define QP_ROOM_SAMPLE 8
#define QP_ROOM_ENOUGH 64 /* one entry in so many: then a search has cost each new key little, and nobody is evicted */

/* Works on entries [first, first + QP_ROOM_STRETCH), as many as there are. Returns how many it freed; *waits: some
 * are still on their way out, held up by a reader. Outside any section; worker->now_ms set. */
uint32_t qp_room_make(struct qp_worker *worker, uint32_t first, bool evict, bool *waits);

/* The same ahead of need, as far as it goes without a grace period: when the stretch's turn comes, that one is over
 * already, and a reader who stands still for a moment in between was in nobody's way. */
void qp_room_tend(struct qp_worker *worker, uint32_t first, bool evict);

#endif
