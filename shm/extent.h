/* SPDX-License-Identifier: MIT */
/* extent.h: how much of a segment is in use, and how it comes to be more, while everybody is at work.
 *
 * A segment made for more counters later (counters_max) has its regions laid out for all of them, as holes in the file:
 * addresses without memory. Three words of the header say how much is in use, and only grow:
 *
 *     entries and blocks   reserve memory for QP_GROW_COUNTERS more -> raise counters_now by CAS
 *     heads of buckets     reserve memory for a slice -> raise heads_reserved -> link each into the list -> raise heads_linked
 *
 * Nobody waits for a grower. Entries and blocks: any number may grow at once, for to reserve what is reserved changes
 * nothing, and of those who raise the word one succeeds; killed anywhere, the next one reserves it again. Heads: one at a
 * time, by a claim that names its process (header.splitter), as blocks are claimed; the claim of a dead one falls to the
 * next. If one stands still in there, lists get longer than they should be, and nothing else: keys are found through the
 * heads that are linked. Only when they are far too long does the segment stop growing until he goes on.
 *
 * Every process has its own copy of these counts, in its view, and looks here when it meets an index beyond: it reads the
 * words again, and raises its copy once it has seen that memory is there (a damaged word may say anything, and a hole in
 * a full file system would be a SIGBUS). So a segment that does not grow costs nothing more than before. */
#ifndef QP_SHM_EXTENT_H
#define QP_SHM_EXTENT_H

#include "view.h"

/* Raises this view's counts to what the segment says. Returns whether that gave any more entries. Any thread, in a section
 * or not. */
bool qp_extent_follow(const struct qp_view *view);

/* How memory is reserved: 0, or a negative errno and it is not. Injected: segments of tests lie in plain memory. */
struct qp_reserver {
    int (*reserve)(void *context, uint64_t offset_bytes, uint64_t bytes);
    void *context;
};

/* Reserves what lies between so many counters and so many, in every region that grows but the heads. */
int qp_extent_reserve(const struct qp_view *view, uint32_t from, uint32_t to, const struct qp_reserver *reserver);

/* Grows by a step. 1: there are more entries now, by whoever it was; 0: it is as large as it may become; -QP_EFULL: somebody
 * stands still while linking heads; or what the reserver says. Outside any section. */
int qp_extent_grow(const struct qp_view *view, const struct qp_reserver *reserver);

/* Links some more heads, QP_SPLIT_HEADS at most. 1: done; 0: there are as many as there should be, or somebody else is at
 * it; or what the reserver says, or -QP_EDAMAGED. Outside any section. */
#define QP_SPLIT_HEADS UINT32_C(1024)
int qp_extent_split(struct qp_worker *worker, const struct qp_reserver *reserver);

/* Gives back a dead process's claim to link heads. */
void qp_extent_recover(const struct qp_view *view, uint64_t owner);

/* Lists so long, on average, are far too long. */
#define QP_EXTENT_LOAD_MAX 64

/* Whether the kernel can read all of this memory, and so we can: a fault that it cannot serve is an error code there. What
 * was a hole in a tmpfs is none after that. On other file systems a hole that is only read stays one. */
bool qp_extent_is_there(const void *from, uint64_t bytes);

#endif
