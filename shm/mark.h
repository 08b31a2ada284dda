/* SPDX-License-Identifier: MIT */
/* mark.h: telling the agent which entries have changed: a bit per entry, and above them a bit per word of those, so that a harvest costs what
 * changed and not what exists.
 *
 * Each bit is set by one idempotent step after the change itself, and only if it is not set already: an entry that is counted on all the time costs
 * its adders two loads. The harvester goes the other way:
 *
 *     adder:      change the entry -> look at its bit, set it -> look at the word's bit above, set it
 *     harvester:  take the bits above -> take the words that they name -> read the entries
 *
 * Either the adder sees that its bit was taken and sets it anew, or the harvester, who took it after the adder's look, reads the entry after the
 * adder's change (Dekker). Between the two levels it is the same. tests/models/harvest.pml has this as a Spin model, with mutants that fail.
 *
 * Killed between the change and the word's bit: a change that nobody was told of. Killed between the word's bit and the one above: a bit in a word
 * that nobody looks at, until the next who marks an entry of that word sets what is missing. For both, who recovers a dead process
 * raises header.harvest_all, and the agent then looks at every entry and every word. */
#ifndef QP_SHM_MARK_H
#define QP_SHM_MARK_H

#include "view.h"

/* Marks an entry. In the section in which it was changed, after the change, which was a read-modify-write: of a cell,
 * of the reference to the shard block, of the link by which a new entry is found.
 *
 * A relaxed look at `gossip` is enough: an agent sets it, waits for a grace period, and harvests everything once
 * after that. Whose section began before the end of that grace period has changed what it changed before that
 * harvest; whose section began later sees it set. */
static inline void qp_mark(const struct qp_view *view, uint32_t index)
{
    if (qp_likely(qp_load_relaxed(&view->header->gossip) == 0))
        return;
    uint64_t *word = &view->marks[index / 64], *above = &view->mark_summary[index / 4096];
    uint64_t bit = UINT64_C(1) << (index % 64), bit_above = UINT64_C(1) << (index / 64 % 64);
    /* Both looks seq, behind a full barrier after the change: pairs with qp_mark_take. */
    qp_fence_after_change();
    if (qp_unlikely(!(qp_load_seq(word) & bit)))
        qp_or_seq(word, bit);
    if (qp_unlikely(!(qp_load_seq(above) & bit_above)))
        qp_or_seq(above, bit_above);
}

/* Takes all bits of a word of either level. What they stand for is read after this. */
static inline uint64_t qp_mark_take(uint64_t *word)
{
    if (qp_load_relaxed(word) == 0)
        return 0; /* who is about to set a bit there is found by the next harvest */
    uint64_t bits = qp_exchange_seq(word, 0);
    qp_fence_after_change(); /* pairs with the one in qp_mark */
    return bits;
}

static inline uint32_t qp_mark_words(const struct qp_view *view)
{
    return (qp_entry_count(view) + 63) / 64;
}

#endif
