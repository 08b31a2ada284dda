/* SPDX-License-Identifier: MIT */
/* shard.h: what an entry's cells mean: own epoch, base, tombstone; and the copy-on-write changes of it.
 *
 *     own count = cell - base                   sum(ended by resets and deletes) + own count = sum(all adds)
 *
 * A reset, a delete or a set is one new block and one CAS of the entry's reference. Adders never wait for it and nothing
 * they add is lost by it: an add is before the cut (the base includes it) or after. A process killed on the way has published
 * the whole change or none of it. */
#ifndef QP_SHM_SHARD_H
#define QP_SHM_SHARD_H

#include "view.h"

/* An entry read at one instant (of its reference; cells go on growing). */
struct qp_reading {
    int64_t own;      /* in that epoch, less refunds; a register's value; units missing from a bucket; units in flight */
    int64_t remote;   /* counted by others in it; nothing of a key that is this host's own */
    int64_t previous; /* limits: in the window before, by anyone */
    int64_t own_previous; /* of those, by us */
    uint64_t epoch;   /* that the total is of: ours, unless nothing is counted in it here and others are in another one (qp_point_epoch) */
    bool deleted; /* nothing there for the public */
};

/* Reads an entry inside a section (or optimistically, by a reader without a slot, who validates afterwards). now_ms:
 * unix time, for limits. 0 or -QP_EDAMAGED. */
int qp_shard_read(const struct qp_view *view, const struct qp_entry *entry, uint64_t now_ms, struct qp_reading *out);

/* Whether a shard block says "deleted" and nothing was added since, by anyone. */
bool qp_shard_is_idle_tombstone(const struct qp_view *view, const struct qp_entry *entry, uint64_t ref);

/* Whether that tombstone has done its work, and the entry may leave the table. With an agent, a counter's or
 * register's has only when the agent says so, and a limit's when its windows are over, unless its strategy keeps the
 * key to this host. now_ms: unix time. */
bool qp_shard_may_go(const struct qp_view *view, const struct qp_entry *entry, uint64_t ref, uint64_t now_ms);

/* The changes. Inside a section, on an entry that was LIVE in it (qp_entry_revive). *ended: what this cut. 0;
 * -ENOENT: nothing there; -EOVERFLOW; -QP_EFULL: no block free; -QP_EDAMAGED; -EAGAIN: the entry has left, look it up
 * again. */
int qp_shard_reset(struct qp_worker *worker, struct qp_entry *entry, int64_t *ended);
int qp_shard_delete(struct qp_worker *worker, struct qp_entry *entry, int64_t *ended);
int qp_shard_set(struct qp_worker *worker, struct qp_entry *entry, int64_t value);

/* For who fills a block himself. The block takes the place of what `ref` names, if the entry still refers to that:
 * claimed by this worker for this entry, and filled. false: somebody else's change came first. Inside a section, on
 * an entry that was LIVE in it. */
bool qp_shard_replace(struct qp_worker *worker, struct qp_entry *entry, uint64_t ref, uint32_t block);

/* Before a block is published in place of `ref` that begins `epoch` in that window of a limit: what was given back,
 * or counted by others, in an epoch with the same tag is forgotten. */
void qp_shard_forget_refunds(struct qp_entry *entry, uint64_t ref, uint64_t window, uint64_t epoch);

/* Fills a fresh block for a limit whose key was evicted after that many resets in this window. */
void qp_shard_fill_window(const struct qp_worker *worker, struct qp_shard *shard, uint64_t window, uint32_t window_ms,
                          uint64_t resets);

/* Fills a fresh block for a register that is about to be inserted. */
void qp_shard_fill_register(const struct qp_worker *worker, struct qp_shard *shard, int64_t value);

#endif
