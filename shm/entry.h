/* SPDX-License-Identifier: MIT */
/* entry.h: the life of an entry.
 *
 *     FREE -> CLAIMED -> LIVE <-> CLOSING -> CLOSING(stamp) -> DEAD -> RETIRED -> RETIRED(stamp) -> CLAIMED -> FREE
 *             insert          close       stamp           finish  bury    stamp               reclaim
 *
 * EVICTING stands beside CLOSING, for an entry that has to make room: what it had used goes into the victim table before it is DEAD.
 *
 * Removal never races with an add: CLOSING announces it, and an adder that meets CLOSING puts LIVE back before it adds. A
 * grace period after the stamp every add that had seen LIVE is over and in the cell; if the word is still the same and the count
 * has not moved, nobody wants the entry and it is DEAD. Each step is one CAS of the whole state word, done by anyone; a process
 * killed between two steps has left them to the next one.
 * CLOSING is set without a stamp and stamped by a second CAS, with an epoch read after CLOSING was seen: an epoch read
 * before could be older than an adder that still saw LIVE. RETIRED is stamped in the same way, for a sweep that saw DEAD and is
 * about to unlink by the entry's number: with a stamp from before RETIRED it could unlink the entry's next life. */
#ifndef QP_SHM_ENTRY_H
#define QP_SHM_ENTRY_H

#include "table.h"

/* What a new entry starts with: what the first call has made of a draft, so that publishing it is that call, whole. */
struct qp_birth {
    struct qp_entry draft;  /* traits, strategy, cells, refunds, used_at_s */
    uint32_t block;         /* a shard block, claimed and filled by the caller: the entry's, or given back. 0: made here, if one is needed */
    int64_t register_value; /* registers */
    uint64_t units;         /* in flight: the limit */
    uint64_t resets;        /* limits: within `window`, before the key was evicted */
    uint64_t window;
};

/* Inserts a key. 1: done, *entry is LIVE. 0: it is there already, as *entry, in whatever state. -QP_EFULL: nothing free.
 * -QP_EDAMAGED. Inside a section. */
int qp_entry_create(struct qp_worker *worker, const struct qp_key *key, const struct qp_birth *birth,
                    struct qp_entry **entry);

bool qp_entry_revive_slow(const struct qp_view *view, struct qp_entry *entry);

/* Makes sure that an entry found in the table is LIVE, so that a section's changes to it cannot be lost. false: it
 * has left; look it up again (qp_entry_bury first, if it is DEAD). Acquire, pairs with the CASes of entry.c. */
static inline bool qp_entry_revive(const struct qp_view *view, struct qp_entry *entry)
{
    return qp_likely(qp_state_of(qp_load_acquire(&entry->state)) == QP_STATE_LIVE) ||
           qp_entry_revive_slow(view, entry);
}

/* One step of removal for an entry that the sweep meets, if one is due by worker->now_ms. Inside a section; returns
 * whether it did one. */
bool qp_entry_advance(struct qp_worker *worker, struct qp_entry *entry);

/* The first step of an eviction. Inside a section; false: it is not LIVE, or is worth more than `cost`
 * (qp_evict_cost) by now. */
bool qp_entry_evict(struct qp_worker *worker, struct qp_entry *entry, uint64_t cost);

/* Unlinks a DEAD entry and retires it. So that a key's next life does not wait for the sweep. Inside a section. */
void qp_entry_bury(const struct qp_view *view, struct qp_entry *entry);

/* Ends an entry at once, whatever it counts: its strategy gave the key another kind or window. Inside a section. */
void qp_entry_end(const struct qp_view *view, struct qp_entry *entry);

/* Recovery: an entry claimed by a process that is dead (`owner`). In the table: it is LIVE. Else it is emptied.
 * Returns whether this call did something. */
bool qp_entry_recover(struct qp_worker *worker, struct qp_entry *entry, uint64_t owner);

#endif
