/* SPDX-License-Identifier: MIT */
/* block.h: claiming and giving back entries, blocks and strategy tables. The state word is the truth; the bits that say where free
 * ones may be found are hints, and any of them may be wrong.
 *
 *     FREE -> CLAIMED(owner) -> LIVE(parent) -> RETIRED(stamp) -> FREE         each arrow one CAS of the whole word
 *
 * The CAS that takes a thing names who took it, so a kill can leave no doubt: what a dead process had claimed and nothing refers
 * to is given back (recover.c); what was published and then replaced by someone who died before retiring it is LIVE without
 * its parent referring to it, and the sweep retires it. A thing is referred to at most once in each of its lives. */
#ifndef QP_SHM_BLOCK_H
#define QP_SHM_BLOCK_H

#include "view.h"

/* Claims a thing of a class for this worker's process. false: none is free. Lock-free. */
bool qp_block_claim(struct qp_worker *worker, unsigned class_number, uint32_t *index);

/* Claims a block with room for payload_bytes, in the smallest class that has one free, and fills its first 16 bytes. */
bool qp_block_alloc(struct qp_worker *worker, enum qp_block_kind kind, uint32_t parent, uint32_t payload_bytes,
                    uint32_t *block);

/* Gives back what was claimed and never published. */
void qp_block_unclaim(struct qp_worker *worker, unsigned class_number, uint32_t index);

/* Says that what this worker claimed is referred to now. Fails harmlessly if somebody has replaced it meanwhile. */
void qp_block_published(struct qp_worker *worker, unsigned class_number, uint32_t index, uint32_t parent);

/* Retires what the caller has just unlinked, in the section in which it did so. */
void qp_block_retire(const struct qp_view *view, unsigned class_number, uint32_t index);

/* Frees a retired thing whose grace period has passed. Returns whether this call did. */
bool qp_block_reclaim(const struct qp_view *view, unsigned class_number, uint32_t index);

/* Frees a block that nobody but the caller can reach, whose parent is `parent` (a parent being emptied). */
void qp_block_free_child(const struct qp_view *view, uint32_t block, uint32_t parent);

/* Makes the hint of a thing fit its state. Returns whether it did not. */
bool qp_block_repair_hint(const struct qp_view *view, unsigned class_number, uint32_t index);

/* For unpublished claims of this worker, by block number. */
static inline void qp_block_drop(struct qp_worker *worker, uint32_t block)
{
    qp_block_unclaim(worker, qp_block_class(block), qp_block_index(block));
}

#endif
