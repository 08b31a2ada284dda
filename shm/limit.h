/* SPDX-License-Identifier: MIT */
/* limit.h: exact limits: fixed and sliding windows, with the bucket (bucket.h) behind the same call.
 *
 * A take is one CAS of the word that holds the window and its count, so it is admitted whole or not at all, whoever is killed. What the
 * decision rests on besides that word can only have become more generous meanwhile (refunds and resets), or cannot have changed at all:
 *
 *     used = count of this window - base of its epoch - refunded + remote
 *     sliding: + floor(the same of the window before * (window - elapsed) / window)     admitted iff used + n <= limit
 *
 * The window before is sealed, by a bit in its word, before the first unit of the next one: so it no longer grows once it has been weighed.
 * Whoever still wanted a unit of it meets the seal, and decides in the newer window. Opening a window is
 *
 *     seal the window before (sliding) -> empty the word of refunds -> CAS this cell to [window, n]
 *
 * and each of these steps is harmless if nothing follows.
 *
 * remote is what other hosts have counted in the same epoch, as the agent wrote it down last. It is news, and binds whoever reads it: a take that read the
 * word before the agent changed it came before the news. */
#ifndef QP_SHM_LIMIT_H
#define QP_SHM_LIMIT_H

#include "entry.h"
#include "point.h"
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
    bool host_only;  /* what other hosts counted does not count here */
    bool fresh;      /* now_ms was read just now: it may judge that a window ahead of it was left by a clock that had jumped */
    uint32_t cpu;    /* near whose stripe the caller is: a hint */
};

struct qp_verdict {
    uint64_t limit;
    uint64_t remaining;
    uint64_t epoch;
    int64_t reset_ms;
    int64_t retry_after_ms;
    uint64_t met; /* others who changed the word between look and change */
};

#define QP_LIMIT_ASK_AGAIN (-1000000) /* not a code for the public: read the clock, and ask again with fresh set */

/* Takes n units from an entry of kind LIMIT that is LIVE in this section (or from a draft of one, that nobody else
 * sees). 0 taken; 1 refused; QP_LIMIT_ASK_AGAIN; -QP_EDAMAGED. Lock-free: a failed CAS is somebody else's take. */
int qp_limit_take(const struct qp_view *view, struct qp_entry *entry, const struct qp_ask *ask, struct qp_verdict *out);

/* The epoch in which units counted that were added to a window's cell when it held `before`, if something was
 * published about it since. */
uint64_t qp_limit_epoch_after(const struct qp_view *view, const struct qp_entry *entry, uint64_t window, uint64_t before,
                              uint64_t epoch);

/* What others have counted in an epoch, by the word that the agent wrote down last and the epoch's tag. The tag's few
 * bits come round, but the block, which is published before the word, has all bits of the epochs that it was summed
 * from. */
static inline uint64_t qp_limit_remote(const struct qp_view *view, uint64_t ref, const struct qp_shard *shard, uint64_t word,
                                       uint64_t tag, uint64_t epoch)
{
    uint64_t count = qp_epoch_count(word, tag);
    return count != 0 && qp_point_is_spoken_of(view, ref, shard, epoch) ? count : 0;
}

/* The common case of qp_limit_take by that row, inline: a fixed window that is open and has room. ref: the entry's
 * reference, loaded with acquire just before; shard: the block that it names. With 0 and NULL, never reset and no
 * agent at work, nothing is left of what is asked of a block. look: take nothing. false: nothing was done. */
static inline __attribute__((always_inline)) bool
qp_limit_take_fast(const struct qp_view *view, struct qp_entry *entry, const struct qp_row *row, uint64_t ref,
                   const struct qp_shard *shard, uint64_t n, uint64_t now_ms, bool look, struct qp_verdict *out)
{
    uint64_t traits = qp_entry_traits(entry);
    uint32_t window_ms = qp_traits_window_ms(traits);
    if (qp_unlikely(traits >> 59 != (QP_ALGORITHM_FIXED << 3 | QP_KIND_LIMIT) || window_ms == 0))
        return false;
    uint64_t limit = row->limit ? row->limit : QP_LIMIT_NONE;
    uint64_t window = now_ms / window_ms;
    unsigned parity = window & 1;
    /* The loads are those of look_at in limit.c, in its order and for its reasons: shard, cell, remote, refunds. */
    uint64_t cell = qp_load_acquire(&entry->cell[parity]), other = qp_load_relaxed(&entry->cell[!parity]);
    uint64_t count = qp_cell_count(cell);
    /* Neither an unused cell nor a gate. */
    if (qp_unlikely((cell ^ qp_cell_make(window, 0)) >> QP_CELL_COUNT_BITS || count - 1 >= QP_CELL_COUNT_MAX ||
                    (other & (QP_CELL_COUNT_MASK | QP_CELL_SEALED) &&
                     qp_window_ahead(qp_cell_window(other, !parity), window & QP_WINDOW_MASK) > 0)))
        return false;
    bool cut = qp_window_was_cut(shard, window, window_ms);
    uint64_t epoch = cut ? shard->own[parity].epoch : qp_window_epoch(window, window_ms);
    uint64_t tag = qp_epoch_tag(window, cut ? epoch & QP_EPOCH_RESETS_MASK : 0);
    uint64_t remote = shard && row->scope != QP_SCOPE_HOST
                          ? qp_limit_remote(view, ref, shard, qp_load_acquire(&entry->remote[parity]), tag, epoch)
                          : 0;
    uint64_t less = qp_epoch_count(qp_load_acquire(&entry->refund[parity]), tag) + (cut ? shard->own[parity].base : 0);
    uint64_t in_use = (count > less ? count - less : 0) + remote;
    if (qp_unlikely(n > limit || in_use > limit - n || n > QP_CELL_COUNT_MAX - count))
        return false;
    if (look) {
        qp_fence_acquire(); /* all of it held at one instant, as in take_windowed */
        if (qp_load_relaxed(&entry->shard) != ref || (qp_load_relaxed(&entry->cell[parity]) ^ cell) >> QP_CELL_COUNT_BITS)
            return false;
    } else {
        if (qp_unlikely(!qp_cas_acq_rel(&entry->cell[parity], &cell, cell + n)))
            return false;
        /* Acquire, pairs with publish in shard.c: a reset since the first look. */
        if (qp_unlikely(qp_load_acquire(&entry->shard) != ref))
            epoch = qp_limit_epoch_after(view, entry, window, count, epoch);
    }
    *out = (struct qp_verdict){.limit = limit,
                               .remaining = limit == QP_LIMIT_NONE ? QP_LIMIT_NONE : limit - in_use - (look ? 0 : n),
                               .epoch = epoch,
                               .reset_ms = (int64_t)((window + 1) * window_ms)};
    return true;
}

/* A limit gets stripes if it is so many units for each of them at least. */
#define QP_STRIPED_UNITS 64

/* The common case of a take from stripes, by that row: a fixed window whose gate is open, with room on the caller's stripe. false: nothing was
 * done. */
bool qp_striped_take_fast(const struct qp_view *view, struct qp_entry *entry, const struct qp_row *row, uint64_t n, uint64_t now_ms, uint32_t cpu,
                          struct qp_verdict *out);

/* Gives back n units taken in that very epoch. 0 done; 1: it is over; -EINVAL: more than was taken. */
int qp_limit_refund(const struct qp_view *view, struct qp_entry *entry, uint64_t n, uint64_t epoch, uint64_t now_ms,
                    uint64_t tick);

/* What an entry has used of its limit at that time. */
struct qp_use {
    uint64_t window;   /* windows: the current one */
    uint64_t current;  /* units in it; buckets: none */
    uint64_t previous; /* sliding: units of the window before */
    uint64_t remote;   /* units that others took, in both of these */
    uint64_t resets;   /* within the current window */
    uint64_t level;    /* buckets: 1/64 ns until it is full again */
};
void qp_limit_use_slowly(const struct qp_view *view, const struct qp_entry *entry, uint64_t now_ms, struct qp_use *out);

/* The common case inline: a fixed window that was never reset. */
static inline void qp_limit_use(const struct qp_view *view, const struct qp_entry *entry, uint64_t now_ms,
                                struct qp_use *out)
{
    uint64_t traits = qp_entry_traits(entry);
    uint32_t window_ms = qp_traits_window_ms(traits);
    uint64_t cell[2] = {qp_load_acquire(&entry->cell[0]), qp_load_acquire(&entry->cell[1])};
    uint64_t window = window_ms ? now_ms / window_ms : 0;
    uint64_t other = cell[!(window & 1)];
    if (traits >> 59 != (QP_ALGORITHM_FIXED << 3 | QP_KIND_LIMIT) || window_ms == 0 ||
        qp_load_acquire(&entry->shard) != 0 || qp_cell_count_in(cell[window & 1], window) == 0 || qp_cell_is_gate(cell[window & 1]) ||
        qp_window_has_come_round(entry, window_ms, now_ms) ||
        (other && qp_window_ahead(qp_cell_window(other, !(window & 1)), window & QP_WINDOW_MASK) > 0)) {
        qp_limit_use_slowly(view, entry, now_ms, out);
        return;
    }
    uint64_t count = qp_cell_count_in(cell[window & 1], window);
    uint64_t refunded = qp_epoch_count(qp_load_acquire(&entry->refund[window & 1]), qp_epoch_tag(window, 0));
    *out = (struct qp_use){.window = window, .current = count > refunded ? count - refunded : 0};
}

#endif
