/* SPDX-License-Identifier: MIT */
/* told.h: what an agent leaves in a segment, made by hand: points of other replicas, tombstones that are held, marks, a ledger, a grave. */
#ifndef QP_TESTS_TOLD_H
#define QP_TESTS_TOLD_H

#include "filled.h"

#define TOLD_SEQUENCE 100 /* of our stream */
#define TOLD_REPLICA_1 UINT64_C(0x1111)
#define TOLD_REPLICA_2 UINT64_C(0x2222)

/* In FILLED_RESET: two own points, the second not in our stream; one of replica 1 in its epoch, two of replica 2. In FILLED_LIMIT_RESET: one of replica 1
 * in its epoch, and as much in what takers look at. FILLED_DELETED may be collected, and replica 1 holds its tombstone, as that of
 * FILLED_EMPTIED. Both are marked, and so is the last entry. */
void told_make(struct filled *f);

#endif
