/* SPDX-License-Identifier: MIT */
/* window.h: which window an entry is in, and what its cells, its shard block and its refunds say about one. Shared by
 * reading, cutting (shard.c) and taking (limit.c).
 *
 * A limit's epoch is its window's start in unix ms and, in the low 16 bits, the resets within it. */
#ifndef QP_SHM_WINDOW_H
#define QP_SHM_WINDOW_H

#include "cell.h"

#define QP_EPOCH_RESETS_MASK UINT64_C(0xffff)

static inline uint64_t qp_window_epoch(uint64_t window, uint32_t window_ms)
{
    return (window * window_ms) << 16;
}

static inline uint64_t qp_epoch_window(uint64_t epoch, uint32_t window_ms)
{
    return (epoch >> 16) / window_ms;
}

/* Whether the shard block says something about this very window. */
static inline bool qp_window_was_cut(const struct qp_shard *shard, uint64_t window, uint32_t window_ms)
{
    /* Without a division, for takes come here: the epoch's start is within the window. */
    return shard && (shard->own[window & 1].epoch >> 16) - window * window_ms < window_ms;
}

/* The epoch that units in `window` belong to. */
static inline uint64_t qp_window_own_epoch(const struct qp_shard *shard, uint64_t window, uint32_t window_ms)
{
    return qp_unlikely(qp_window_was_cut(shard, window, window_ms)) ? shard->own[window & 1].epoch
                                                                    : qp_window_epoch(window, window_ms);
}

/* The count of `window` in its own epoch, refunds not considered. */
static inline uint64_t qp_window_own_count(const struct qp_shard *shard, uint64_t cell, uint64_t window, uint32_t window_ms)
{
    uint64_t count = qp_cell_count_in(cell, window);
    if (qp_likely(!qp_window_was_cut(shard, window, window_ms)))
        return count;
    uint64_t base = shard->own[window & 1].base;
    return count > base ? count - base : 0;
}

/* What was given back in that epoch. */
static inline uint64_t qp_window_refunded(uint64_t refund_word, uint64_t window, uint64_t epoch)
{
    return qp_epoch_count(refund_word, qp_epoch_tag(window, epoch & QP_EPOCH_RESETS_MASK));
}

/* Whether a delete or reset took this epoch of `window` along, as far as `reach` windows back: it may have been made
 * before the clock went back, and then it says nothing about the windows of now. */
static inline bool qp_window_is_under_floor(const struct qp_shard *shard, uint64_t epoch, uint64_t window, uint32_t window_ms,
                                            uint32_t reach)
{
    return qp_unlikely(shard && shard->tombstone.timestamp && epoch <= shard->floor) &&
           qp_epoch_window(shard->floor, window_ms) <= window + reach;
}

/* What of `window` still counts in the window after it: its own epoch's count less refunds, or nothing, if a delete
 * or reset took it along (one floor serves both parities). */
static inline uint64_t qp_window_carried(const struct qp_shard *shard, uint64_t cell, uint64_t refund_word, uint64_t window,
                                         uint32_t window_ms)
{
    uint64_t epoch = qp_window_own_epoch(shard, window, window_ms);
    if (qp_window_is_under_floor(shard, epoch, window, window_ms, 1))
        return 0;
    uint64_t count = qp_window_own_count(shard, cell, window, window_ms);
    uint64_t refunded = qp_window_refunded(refund_word, window, epoch);
    return count > refunded ? count - refunded : 0;
}

/* When the entry's last window was opened (its bucket last used), by used_at_s: of all times that end in these 32
 * bits, the one nearest to now. */
static inline uint64_t qp_window_opened_ms(const struct qp_entry *entry, uint64_t now_ms)
{
    uint64_t now_s = now_ms / 1000;
    int64_t opened_s = (int64_t)now_s - (int32_t)((uint32_t)now_s - qp_load_relaxed(&entry->used_at_s));
    return opened_s > 0 ? (uint64_t)opened_s * 1000 : 0;
}

/* A cell that is ahead of the caller's clock by no more than the skew is a newer window, unless the entry's last
 * window was opened so long ago that the number must have come round (2^24 windows) or the clock must have jumped. */
static inline bool qp_window_is_newer(const struct qp_entry *entry, int32_t ahead, uint32_t window_ms, uint64_t now_ms)
{
    if (qp_likely(ahead <= 0))
        return false;
    uint64_t opened_ms = qp_window_opened_ms(entry, now_ms);
    return ahead <= qp_window_skew(window_ms) && now_ms < opened_ms + 2000 + QP_WINDOW_SKEW_MS + 2 * (uint64_t)window_ms;
}

/* Cells tell 2^24 windows apart. Long before those are over, what an idle entry's cells say is void. */
static inline bool qp_window_has_come_round(const struct qp_entry *entry, uint32_t window_ms, uint64_t now_ms)
{
    uint32_t used_at_s = qp_load_relaxed(&entry->used_at_s);
    if (qp_likely(now_ms - (uint64_t)used_at_s * 1000 <= (uint64_t)window_ms << 22))
        return false;
    uint32_t idle_s = (uint32_t)(now_ms / 1000) - used_at_s; /* more than half the range: opened by a clock ahead of ours */
    return (int32_t)idle_s > 0 && (uint64_t)idle_s * 1000 > (uint64_t)window_ms << 22;
}

/* A gate and its stripes as one cell (limit_striped.c). */
uint64_t qp_striped_cell(const struct qp_view *view, const struct qp_entry *entry, unsigned parity);

/* A cell as it is to be read, with all that counts in its window. */
static inline uint64_t qp_window_cell(const struct qp_view *view, const struct qp_entry *entry, unsigned parity)
{
    uint64_t cell = qp_load_acquire(&entry->cell[parity]);
    return qp_likely(!qp_cell_is_gate(cell)) ? cell : qp_striped_cell(view, entry, parity);
}

/* The same, once nothing more can be taken from its stripes in its window: for who ends an epoch. A sum taken while they are in use may have a take
 * and not one that came before it. */
uint64_t qp_striped_folded_cell(const struct qp_view *view, struct qp_entry *entry, unsigned parity);

/* Both, empty if void. */
static inline void qp_window_read_cells(const struct qp_view *view, const struct qp_entry *entry, uint32_t window_ms,
                                        uint64_t now_ms, uint64_t cell[2])
{
    bool is_void = qp_window_has_come_round(entry, window_ms, now_ms);
    cell[0] = is_void ? 0 : qp_window_cell(view, entry, 0);
    cell[1] = is_void ? 0 : qp_window_cell(view, entry, 1);
}

/* The window that the caller's clock says, or a newer one that a cell has reached already: time does not go back for one
 * whose clock is behind. A sealed window is over. */
static inline uint64_t qp_window_current(const struct qp_entry *entry, const uint64_t cell[2], uint32_t window_ms,
                                         uint64_t now_ms)
{
    uint64_t window = now_ms / window_ms;
    if (qp_unlikely(qp_window_has_come_round(entry, window_ms, now_ms)))
        return window;
    for (unsigned parity = 0; parity < 2; parity++) {
        int32_t ahead = qp_window_ahead(qp_cell_window(cell[parity], parity), window & QP_WINDOW_MASK);
        if ((cell[parity] & (QP_CELL_COUNT_MASK | QP_CELL_SEALED)) == 0)
            continue;
        if (qp_window_is_newer(entry, ahead, window_ms, now_ms))
            window += (uint64_t)ahead;
        else if (ahead != 0)
            continue;
        window += qp_cell_is_sealed(cell[parity]);
    }
    return window;
}

#endif
