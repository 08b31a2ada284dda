/* SPDX-License-Identifier: MIT */
/* limit_look.h: what limit.c and limit_striped.c share: one look at a limit, and the verdict on it. For no one else. */
#ifndef QP_SHM_LIMIT_LOOK_H
#define QP_SHM_LIMIT_LOOK_H

#include "limit.h"

/* One look at everything that a decision rests on. */
struct qp_look {
    uint64_t ref;
    const struct qp_shard *shard;
    uint64_t window;   /* in which the call is decided */
    unsigned parity;   /* of it */
    uint64_t gate[2];  /* the cells, or gates, as they are */
    uint64_t cell[2];  /* what they count, as words of cells; for who only looks, with what is on the stripes */
    uint64_t refund[2];
    uint64_t epoch;
    uint64_t count;    /* own count of this window, refunds not considered */
    uint64_t refunded; /* of it */
    uint64_t remote;   /* what others have counted in it */
    uint64_t carried;  /* of the window before, by this host */
    uint64_t carried_remote;
    uint64_t elapsed_ms;
    bool come_round;   /* the entry's last window was opened so long ago that the numbers in its cells mean nothing any more */
    bool open;         /* cell[parity] is of this window */
    bool ready;        /* and, for sliding windows, the one before is sealed in this look */
    bool striped;      /* the entry has a stripe set: */
    uint32_t set;
};

static inline bool qp_limit_is_sliding(const struct qp_entry *entry)
{
    return qp_traits_algorithm(qp_entry_traits(entry)) == QP_ALGORITHM_SLIDING;
}

/* in_use: with what was taken just now. */
void qp_limit_judge(const struct qp_entry *entry, const struct qp_ask *ask, const struct qp_look *look, uint32_t window_ms,
                    uint64_t in_use, bool refused, struct qp_verdict *out);

/* limit_striped.c. Each by a look: 0, taken; or that something moved or was moved: look again; or that the one word serves. */
#define QP_STRIPED_AGAIN 2
#define QP_STRIPED_NOT 3
int qp_striped_freeze(const struct qp_view *view, struct qp_entry *entry, uint32_t window_ms, const struct qp_ask *ask,
                      const struct qp_look *look);
int qp_striped_take(const struct qp_view *view, struct qp_entry *entry, uint32_t window_ms, const struct qp_ask *ask,
                    struct qp_look *look, struct qp_verdict *out);
/* Makes a gate a cell again, with all that was taken from its stripes. */
void qp_striped_fold(const struct qp_view *view, struct qp_entry *entry, uint32_t set, unsigned parity, uint64_t gate);

#endif
