/* SPDX-License-Identifier: MIT */
/* care.h: upkeep as the other rooms of the runtime ask for it. All of it outside sections. */
#ifndef QP_RUNTIME_CARE_H
#define QP_RUNTIME_CARE_H

#include "handle.h"

/* A little upkeep by whoever inserts or opens: at most once a second for the whole host, and bounded. */
void qp_care_bystander(struct quipu *q, struct qp_worker *worker);

/* One whole pass: recovery of the dead, a sweep of everything, grace periods for what waits. Returns how much was
 * done. */
uint64_t qp_care_pass(struct quipu *q, struct qp_worker *worker);

/* Called when there was no room, with how often that happened in this call: whether it is worth trying again. Looks
 * stretch by stretch, from where the last search stopped, until something became free; a segment known to be full a
 * moment ago is not searched again. evict: little used limits may be made to leave. */
bool qp_care_make_room(struct quipu *q, struct qp_worker *worker, uint32_t attempt, bool evict);

/* The verdict on a new key for which there is no room, counted: 0 allowed, 1 denied, -QP_EFULL. */
int qp_care_overflow(struct quipu *q, unsigned overflow);

/* The same for a strategy table. It always searches: that a key found no room a moment ago says nothing about tables,
 * and strategies are changed by people. */
bool qp_care_make_table(struct quipu *q, struct qp_worker *worker, uint32_t attempt);

#endif
