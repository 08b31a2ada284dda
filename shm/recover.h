/* SPDX-License-Identifier: MIT */
/* recover.h: cleaning up after dead processes, and the sweep that finishes what anyone left half done.
 *
 * Everything here may be done by any process at any time, twice, or by two at once, and may be cut short by a kill: each step is one
 * CAS of a whole state word, and recovery of a record starts again from its beginning.
 *
 *     after recovery and sweeps until nothing is left:  every entry is FREE, or LIVE and in the table;
 *                                                        every block is FREE, or LIVE and its parent refers to it */
#ifndef QP_SHM_RECOVER_H
#define QP_SHM_RECOVER_H

#include "process.h"

/* Recovers one record whose lock the caller holds. */
void qp_recover_record(struct qp_worker *worker, uint32_t record);

/* Frees the thread slots of dead processes, and nothing else: for a thread that finds none free and so cannot do
 * more. */
void qp_recover_dead_slots(const struct qp_view *view, const struct qp_liveness *liveness);

/* Tries every record but the worker's own. Returns how many dead processes were recovered. */
uint32_t qp_recover_dead(struct qp_worker *worker, const struct qp_liveness *liveness);

struct qp_sweep {
    uint64_t done;    /* steps taken */
    uint64_t freed;   /* of them, those that freed a block or table */
    uint64_t waiting; /* things seen that wait for a grace period */
};

/* Everything that has a state word, numbered through: classes one after the other. */
uint64_t qp_sweep_items(const struct qp_view *view);

/* Looks at items [first, first + count), and takes the step that is due for each. Outside any section; worker->now_ms
 * set. */
void qp_sweep_range(struct qp_worker *worker, uint64_t first, uint64_t count, struct qp_sweep *sweep);

#endif
