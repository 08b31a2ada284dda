/* SPDX-License-Identifier: MIT */
/* victim.h: what evicted keys had used, so that a key that comes back in the same window does not get a fresh budget.
 *
 *     word = [fingerprint 23 | until 23 | resets 4 | share 14]      until: in 64 ms, modulo 2^23; share of the limit, rounded up
 *
 * One word a window, in a bucket of eight that the key's hash chooses; each change is one CAS, and a lost race looks again. A word whose time is
 * over is replaced first, then the one with the least share: what is lost then is counted (stat_forgotten).
 * A stranger's key may have the same bucket, fingerprint and time, once in a million: it then starts with what the other had used. */
#ifndef QP_SHM_VICTIM_H
#define QP_SHM_VICTIM_H

#include "view.h"

#define QP_VICTIM_SHARE_FULL UINT64_C(0x3fff)
#define QP_VICTIM_RESETS_MAX 15
#define QP_VICTIM_UNIT_MS 64
/* The farthest future that `until` can tell from the past, with room to spare. */
#define QP_VICTIM_AHEAD_MAX_MS (UINT64_C(70) * 3600 * 1000)

struct qp_victim {
    uint64_t hash;
    uint64_t until_ms; /* unix time up to which it matters; tells a key's windows apart */
    uint64_t resets;
    uint64_t share;
};

/* Remembers. Idempotent: the same victim again raises its share. */
void qp_victim_remember(const struct qp_view *view, const struct qp_victim *victim, uint64_t now_ms);

/* Forgets a key that was reset or deleted: it begins anew. Not for one that is evicted once more: of two who evict
 * it, the slower one could take away what the faster one's key has begun from (tests/models/evict.pml). So what was
 * given back since the first eviction is not known after the second; resets are. */
void qp_victim_forget(const struct qp_view *view, uint64_t hash);

/* For a key that was evicted and is reset or deleted: what it had used counts no more, and a window's resets go up by
 * one, as they would have in its entry. Returns whether anything counted. */
bool qp_victim_pardon(const struct qp_view *view, uint64_t hash);

/* Looks up hash and until_ms; false: nothing known. */
bool qp_victim_recall(const struct qp_view *view, struct qp_victim *victim);

/* Looks up hash alone, for the time farthest ahead of now, and at most until_max_ms. */
bool qp_victim_recall_latest(const struct qp_view *view, struct qp_victim *victim, uint64_t now_ms, uint64_t until_max_ms);

/* Empties words whose time is over, of buckets [first, first + count). Returns how many it emptied. */
uint64_t qp_victim_sweep(const struct qp_view *view, uint64_t first, uint64_t count, uint64_t now_ms);

/* Words that matter still. */
uint64_t qp_victim_count(const struct qp_view *view, uint64_t now_ms);

/* used as a share of limit, and back; used <= qp_victim_used(qp_victim_share(used)). */
static inline uint64_t qp_victim_share(uint64_t used, uint64_t limit)
{
    if (used >= limit)
        return QP_VICTIM_SHARE_FULL;
    if (limit <= UINT64_C(1) << 48)
        return (used * QP_VICTIM_SHARE_FULL + limit - 1) / limit;
    return (uint64_t)(((unsigned __int128)used * QP_VICTIM_SHARE_FULL + limit - 1) / limit);
}

static inline uint64_t qp_victim_used(uint64_t share, uint64_t limit)
{
    return (uint64_t)((unsigned __int128)share * limit / QP_VICTIM_SHARE_FULL);
}

#endif
