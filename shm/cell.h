/* SPDX-License-Identifier: MIT */
/* cell.h: adding to cells. Cells only grow within their epoch; what a count means is in the shard block (shard.h).
 *
 * An add is one atomic step on one word: cut short by a kill, it has happened or not. */
#ifndef QP_SHM_CELL_H
#define QP_SHM_CELL_H

#include <errno.h>

#include "view.h"

/* A plain count never passes this by a large add. Small adds (below QP_CELL_SMALL) are not checked, for they would
 * need 2^46 calls beyond it to wrap the word. */
#define QP_CELL_PLAIN_MAX (INT64_C(1) << 62)
#define QP_CELL_SMALL (INT64_C(1) << 16)

/* n >= 0. 0 or -EOVERFLOW. Small n: wait-free, one locked add; relaxed, because nobody orders other data by a count. */
static inline int qp_cell_add_plain(uint64_t *cell, int64_t n)
{
    if (qp_likely(n < QP_CELL_SMALL)) {
        qp_add_relaxed(cell, (uint64_t)n);
        return 0;
    }
    uint64_t seen = qp_load_relaxed(cell);
    do {
        if (n > QP_CELL_PLAIN_MAX || seen > (uint64_t)(QP_CELL_PLAIN_MAX - n))
            return -EOVERFLOW;
    } while (!qp_cas_relaxed(cell, &seen, seen + (uint64_t)n)); /* a failure is another add's success */
    return 0;
}

/* How far window a is ahead of window b, modulo 2^24: negative if behind. */
static inline int32_t qp_window_ahead(uint64_t a, uint64_t b)
{
    return (int32_t)(uint32_t)((a - b) << 8) >> 8;
}

/* A window further ahead than this is not a newer one but a leftover of a clock that had jumped, or of a wrapped
 * number. */
#define QP_WINDOW_SKEW_MS UINT64_C(60000)

static inline int32_t qp_window_skew(uint32_t window_ms)
{
    return (int32_t)(QP_WINDOW_SKEW_MS / window_ms) + 2;
}

/* What a cell holds for a window: 0 unless it is that very one. */
static inline uint64_t qp_cell_count_in(uint64_t cell, uint64_t window)
{
    return qp_cell_window(cell, window & 1) == (window & QP_WINDOW_MASK) ? qp_cell_count(cell) : 0;
}

#endif
