/* SPDX-License-Identifier: MIT */
/* evict.h: which keys may leave a segment by themselves: those that nobody used for as long as their strategy says
 * (idle), and, when there is no room for a new key, little used limits (victims). entry.c takes the steps; this says
 * whether, and what is kept of a victim.
 *
 * Plain counters and registers are never evicted, and in-flight limits and limits without a number only while nothing
 * is in them. */
#ifndef QP_SHM_EVICT_H
#define QP_SHM_EVICT_H

#include "entry.h"

/* Whether an entry has been idle for so long that it goes. A sweep that finds a counter grown since its last look
 * notes the time; a counter or register that has been idle is deleted by the caller (qp_shard_delete), for its going
 * is told to others. */
bool qp_evict_is_idle(const struct qp_view *view, const struct qp_entry *entry, uint64_t now_ms);
void qp_evict_note_use(const struct qp_view *view, struct qp_entry *entry, uint64_t now_ms);
bool qp_evict_keeps_time(const struct qp_view *view, const struct qp_entry *entry); /* its strategy asks */

/* How well an entry serves as a victim at that time; QP_EVICT_NEVER: not at all. The least is the best: the least
 * used share of its limit, then the oldest window. */
#define QP_EVICT_NEVER UINT64_MAX
uint64_t qp_evict_cost(const struct qp_view *view, const struct qp_entry *entry, uint64_t now_ms);

/* Puts what an entry has used into the victim table, after the grace period in which its last users finished. false:
 * it may not go. */
bool qp_evict_remember(const struct qp_view *view, const struct qp_entry *entry, uint64_t now_ms);

/* Gives the draft of a key's entry what is remembered of the key, in the newest window that anything is remembered
 * of: who is late is decided there, as by the entry itself. */
void qp_evict_recall(const struct qp_view *view, uint64_t hash, const struct qp_row *row, uint64_t now_ms,
                     struct qp_birth *birth);

#endif
