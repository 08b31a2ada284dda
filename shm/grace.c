/* SPDX-License-Identifier: MIT */
/* grace.c: the poller's half of the grace period. The readers' half is inline in grace.h. */
#include "grace.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "error.h"

int qp_grace_register(void)
{
    long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    if (commands < 0 || !(commands & MEMBARRIER_CMD_GLOBAL_EXPEDITED) ||
        syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0))
        return -QP_EMEMBARRIER;
    return 0;
}

/* A full barrier in every running reader of every process, and in this thread. Between our last look at the stamps
 * and our first look at the slots: a reader whose slot we do not see yet will do its loads after every unlink that we
 * know of. */
static bool barrier_everywhere(const struct qp_view *view)
{
    qp_fence_seq();
    if (view->fence)
        return true;
    return syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) == 0;
}

/* The oldest epoch that a reader is in, at most `newest`. */
static uint64_t oldest_reader(const struct qp_view *view, uint64_t newest)
{
    uint64_t high = qp_load_acquire(&view->header->slots_high);
    if (high > view->slot_count)
        high = view->slot_count;
    uint64_t oldest = newest;
    for (uint64_t i = 0; i < high; i++) {
        /* Acquire, pairs with qp_grace_exit: what that reader did is over before we let anything be reused. */
        uint64_t epoch = qp_load_acquire(&view->slots[i].epoch);
        if (epoch != 0 && epoch < oldest)
            oldest = epoch;
    }
    return oldest;
}

bool qp_grace_poll(const struct qp_view *view)
{
    uint64_t safe = qp_load_acquire(&view->header->epoch_safe);
    uint64_t epoch = qp_load_seq(&view->header->epoch);
    /* Nobody runs ahead of a reader that stands still: the distance between the oldest stamp and the epoch stays
     * small, so a stamp of 36 bits is enough. */
    if (safe >= epoch)
        epoch = qp_add_seq(&view->header->epoch, 1) + 1;
    /* Each scan has a barrier of its own, also when the epoch did not move: whoever moved it may be stopped just before
     * its barrier. */
    if (!barrier_everywhere(view))
        return false;
    uint64_t oldest = oldest_reader(view, epoch);
    if (oldest <= safe)
        return false;
    qp_raise(&view->header->epoch_safe, oldest);
    return true;
}
