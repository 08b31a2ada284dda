/* SPDX-License-Identifier: MIT */
/* limit.h: exact limits: fixed and sliding windows, with the bucket (bucket.h) behind the same call.
 *
 * A take is one CAS of the word that holds the window and its count, so it is admitted whole or not at all, whoever is killed. What the
 * decision rests on besides that word can only have become more generous meanwhile (refunds and resets), or cannot have changed at all:
 *
 *     used = count of this window - base of its epoch - refunded
 *     sliding: + floor(count of the window before * (window - elapsed) / window)        admitted iff used + n <= limit
 *
 * The window before is sealed, by a bit in its word, before the first unit of the next one: so it no longer grows once it has been weighed.
 * Whoever still wanted a unit of it meets the seal, and decides in the newer window. Opening a window is
 *
 *     empty the word of refunds -> seal the window before (sliding) -> CAS this cell to [window, n]
 *
 * and each of these steps is harmless if nothing follows. */
#ifndef QP_SHM_LIMIT_H
#define QP_SHM_LIMIT_H

#include "strategy.h"
#include "window.h"

#define QP_LIMIT_NONE UINT64_MAX

/* What is asked of a limit. */
struct qp_ask {
    uint64_t n; /* > 0 */
    uint64_t limit; /* QP_LIMIT_NONE: only count */
    uint64_t burst; /* buckets, with the next */
    uint64_t tick;
    uint64_t now_ms; /* unix time */
    bool look;       /* say what would be, and take nothing */
    bool force;      /* count without asking */
    bool fresh;      /* now_ms was read just now: it may judge that a window ahead of it was left by a clock that had jumped */
};

struct qp_verdict {
    uint64_t limit;
    uint64_t remaining;
    uint64_t epoch;
    int64_t reset_ms;
    int64_t retry_after_ms;
};

#define QP_LIMIT_ASK_AGAIN (-1000000) /* not a code for the public: read the clock, and ask again with fresh set */

/* Takes n units from an entry of kind LIMIT that is LIVE in this section (or from a draft of one, that nobody else sees). 0 taken; 1 refused;
 * QP_LIMIT_ASK_AGAIN; -QP_EDAMAGED. Lock-free: a failed CAS is somebody else's take. */
int qp_limit_take(const struct qp_view *view, struct qp_entry *entry, const struct qp_ask *ask, struct qp_verdict *out);

/* Gives back n units taken in that very epoch. 0 done; 1: it is over; -EINVAL: more than was taken. */
int qp_limit_refund(const struct qp_view *view, struct qp_entry *entry, uint64_t n, uint64_t epoch, uint64_t now_ms,
                    uint64_t tick);

/* What an entry has used of its limit at that time. */
struct qp_use {
    uint64_t window;   /* windows: the current one */
    uint64_t current;  /* units in it; buckets: none */
    uint64_t previous; /* sliding: units of the window before */
    uint64_t resets;   /* within the current window */
    uint64_t level;    /* buckets: 1/64 ns until it is full again */
};
void qp_limit_use(const struct qp_view *view, const struct qp_entry *entry, uint64_t now_ms, struct qp_use *out);

#endif
