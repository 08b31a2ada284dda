/* SPDX-License-Identifier: MIT */
/* grace.h: grace periods across processes: nothing is reused while somebody may still be looking at it.
 *
 * liburcu keeps its reader registry inside one process, so it cannot protect memory that many map; this is the same idea
 * with the registry in the segment. A reader publishes the epoch it entered with in its slot. Who unlinks a thing stamps
 * it with the epoch, read after the unlink. The thing may be reused once every slot was seen empty or at a later epoch:
 *
 *     every block whose stamp is below epoch_safe is out of every reader's reach
 *
 * The whole state is two words that only grow: a process killed anywhere leaves nothing to repair but its own slot, which
 * recovery empties once death is proven. ORDERING.md argues each order; tests/models/grace.pml checks it. */
#ifndef QP_SHM_GRACE_H
#define QP_SHM_GRACE_H

#include "view.h"

/* qp_grace_enter where readers need not fence (ASYM), with an epoch that was read before. An old one only looks older than the
 * section is. */
static inline void qp_grace_enter_at(struct qp_slot *slot, uint64_t epoch)
{
    qp_store_release(&slot->epoch, epoch);
    qp_compiler_barrier();
}

/* Enters a section. Sections do not nest. The epoch is loaded first (acquire, pairs with the advance in
 * qp_grace_poll): a reader that got a later epoch than a stamp has seen the unlink before it. The slot must be seen
 * by a poller before our later loads: the poller's membarrier does that in ASYM, a full barrier here in FENCE. */
static inline void qp_grace_enter(const struct qp_view *view, struct qp_slot *slot)
{
    if (qp_unlikely(view->fence))
        qp_store_fenced(&slot->epoch, qp_load_acquire(&view->header->epoch));
    else
        qp_grace_enter_at(slot, qp_load_acquire(&view->header->epoch));
}

/* Leaves it. Release, pairs with the scan in qp_grace_poll: all our accesses are over before anything is reused. */
static inline void qp_grace_exit(struct qp_slot *slot)
{
    qp_store_release(&slot->epoch, 0);
}

/* The stamp for what was just unlinked. Call it after the unlinking CAS, inside a section: seq on both, so that the
 * epoch is not read before the unlink is seen. */
static inline uint64_t qp_grace_stamp(const struct qp_view *view)
{
    return qp_stamp_of(qp_load_seq(&view->header->epoch));
}

/* Whether somebody can have stamped with this: it lies at or before the epoch, by less than half the range. */
static inline bool qp_grace_stamp_exists(const struct qp_view *view, uint64_t stamp)
{
    /* After the stamp was read, so that an epoch older than it is damage. */
    uint64_t epoch = qp_load_acquire(&view->header->epoch) & QP_ARGUMENT_MASK;
    return stamp != 0 && ((epoch + 1 - stamp) & QP_ARGUMENT_MASK) < (UINT64_C(1) << (QP_ARGUMENT_BITS - 1));
}

/* Whether what carries this stamp may be reused. */
static inline bool qp_grace_passed(const struct qp_view *view, uint64_t stamp)
{
    /* Acquire, pairs with the raise in qp_grace_poll: the readers' last accesses come before our reuse. */
    return qp_stamp_is_safe(stamp, qp_load_acquire(&view->header->epoch_safe));
}

/* Begins an epoch without waiting for anybody: for who changes what is taken for unchanged as long as the epoch is. Seq: after all that the
 * caller did, before all that it does; pairs with the acquire of the epoch by a handle's add, after its slot says that it is inside. Only as
 * often as somebody tries to end an entry, so that the epoch stays within reach of the oldest stamp: an entry that ended is not used again
 * while a reader stands still. */
static inline void qp_grace_advance(const struct qp_view *view)
{
    qp_add_seq(&view->header->epoch, 1);
}

/* Advances the epoch if readers have kept up, looks at every slot, and raises epoch_safe. Outside any section, or
 * what the caller's own section protects will not pass. Returns whether epoch_safe moved. */
bool qp_grace_poll(const struct qp_view *view);

/* Registers this process for membarrier(GLOBAL_EXPEDITED). Before its first section on an ASYM segment. Returns 0 or
 * -QP_EMEMBARRIER. */
int qp_grace_register(void);

#endif
