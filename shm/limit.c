/* SPDX-License-Identifier: MIT */
/* limit.c: taking from windows and giving back to them. */
#include "limit.h"

#include <errno.h>

#include "bucket.h"
#include "error.h"
#include "limit_look.h"
#include "stripe.h"

static uint64_t remote_of(const struct qp_view *view, const struct qp_entry *entry, const struct qp_look *look, uint64_t window,
                          uint64_t epoch)
{
    /* Acquire, pairs with the agent's store: in the order of look_at. */
    return qp_limit_remote(view, look->ref, look->shard, qp_load_acquire(&entry->remote[window & 1]),
                           qp_epoch_tag(window, epoch & QP_EPOCH_RESETS_MASK), epoch);
}

/* Under a floor, the window before is gone for others as well. */
static void look_at_others(const struct qp_view *view, const struct qp_entry *entry, uint32_t window_ms, struct qp_look *look)
{
    uint64_t window = look->window, before = qp_window_own_epoch(look->shard, window - 1, window_ms);
    look->remote = remote_of(view, entry, look, window, qp_window_own_epoch(look->shard, window, window_ms));
    if (!qp_window_is_under_floor(look->shard, before, window - 1, window_ms, 1))
        look->carried_remote = remote_of(view, entry, look, window - 1, before);
}

/* The cells as they are, and what they count: who only looks adds up what is on the stripes; who takes does that by folding, where he needs it
 * (limit_striped.c). false: a gate without stripes. */
static bool look_at_cells(const struct qp_view *view, const struct qp_entry *entry, bool whole, struct qp_look *out)
{
    out->cell[0] = out->gate[0] = qp_load_acquire(&entry->cell[0]);
    out->cell[1] = out->gate[1] = qp_load_acquire(&entry->cell[1]);
    /* Acquire, and after the cells: who sees a gate sees its stripes named, and empty. */
    uint64_t traits = qp_load_acquire(&entry->traits);
    out->striped = false;
    if (qp_likely((uint32_t)traits == 0))
        return !(qp_cell_is_gate(out->gate[0]) || qp_cell_is_gate(out->gate[1]));
    out->striped = qp_stripe_set(view, traits, &out->set);
    for (unsigned parity = 0; parity < 2; parity++) {
        out->cell[parity] = whole ? qp_window_cell(view, entry, parity) : qp_gate_cell(out->gate[parity]);
        while ((out->gate[parity] ^ out->cell[parity]) >> QP_CELL_COUNT_BITS) { /* its window was opened or sealed meanwhile */
            out->gate[parity] = qp_load_acquire(&entry->cell[parity]);
            out->cell[parity] = qp_window_cell(view, entry, parity);
        }
    }
    return out->striped;
}

/* Refunds are read last: of what a refusal rests on they alone can grow while we look, and that would make it wrong.
 * What others have counted is read just before them: at that instant, whatever the agent writes next, at least what
 * is weighed here was in use. For what it admits any order would do: the agent's words are news, and a take that read
 * an older one came before them. false: damage. */
static bool look_at(const struct qp_view *view, const struct qp_entry *entry, uint32_t window_ms, const struct qp_ask *ask, bool whole,
                    struct qp_look *out)
{
    uint64_t now_ms = ask->now_ms;
    /* Acquire, pairs with publish in shard.c: the cells are read after the base, so they are no smaller. */
    out->ref = qp_load_acquire(&entry->shard);
    out->shard = qp_shard_at(view, out->ref);
    if (qp_unlikely(!out->shard && qp_ref_block(out->ref)))
        return false;
    if (qp_unlikely(!look_at_cells(view, entry, whole, out)))
        return false;
    out->window = qp_window_current(entry, out->gate, window_ms, now_ms);
    out->parity = out->window & 1;
    out->remote = out->carried_remote = 0;
    if (out->shard && !ask->host_only)
        look_at_others(view, entry, window_ms, out);
    out->refund[0] = qp_load_acquire(&entry->refund[0]);
    out->refund[1] = qp_load_acquire(&entry->refund[1]);
    out->come_round = qp_window_has_come_round(entry, window_ms, now_ms);
    out->open = qp_cell_window(out->cell[out->parity], out->parity) == (out->window & QP_WINDOW_MASK) &&
                qp_cell_count(out->gate[out->parity]) != 0;
    out->epoch = qp_window_own_epoch(out->shard, out->window, window_ms);
    out->count = qp_window_own_count(out->shard, out->cell[out->parity], out->window, window_ms);
    out->refunded = qp_window_refunded(out->refund[out->parity], out->window, out->epoch);
    out->carried = qp_window_carried(out->shard, out->cell[!out->parity], out->refund[!out->parity], out->window - 1,
                                     window_ms);
    if (qp_unlikely(out->come_round)) {
        out->open = false;
        out->count = out->refunded = out->carried = 0;
    }
    /* The one before may have been read long before this one was: then it had no seal yet, and may have grown since. */
    uint64_t before = out->cell[!out->parity];
    out->ready = out->open && (!qp_limit_is_sliding(entry) || (qp_cell_is_sealed(before) &&
                                                      qp_cell_window(before, !out->parity) ==
                                                          ((out->window - 1) & QP_WINDOW_MASK)));
    uint64_t start_ms = out->window * window_ms;
    out->elapsed_ms = now_ms > start_ms ? now_ms - start_ms : 0;
    return true;
}

static uint64_t scaled(uint64_t count, uint64_t by, uint64_t of)
{
    return qp_likely(count < UINT64_C(1) << 36) ? count * by / of : (uint64_t)((unsigned __int128)count * by / of);
}

/* What the window before counts in this one; fixed windows: 0. */
static uint64_t weight(const struct qp_entry *entry, const struct qp_look *look, uint32_t window_ms)
{
    uint64_t carried = look->carried + look->carried_remote;
    return qp_limit_is_sliding(entry) && carried ? scaled(carried, window_ms - look->elapsed_ms, window_ms) : 0;
}

/* Units of this window that count, by whomever. */
static uint64_t taken(const struct qp_look *look)
{
    return (look->count > look->refunded ? look->count - look->refunded : 0) + look->remote;
}

/* What counts against the limit. */
static uint64_t used(const struct qp_entry *entry, const struct qp_look *look, uint32_t window_ms)
{
    return taken(look) + weight(entry, look, window_ms);
}

/* Units that the word of this window has room for. A count never goes back, so what was reset or given back takes
 * room as well. */
static uint64_t cell_room(const struct qp_look *look)
{
    uint64_t gross = look->open ? qp_cell_count(look->cell[look->parity]) : 0;
    return QP_CELL_COUNT_MAX > gross ? QP_CELL_COUNT_MAX - gross : 0;
}

/* The first ms of a window at which floor(carried * (window - elapsed) / window) is at most `room`. */
static uint64_t elapsed_until(uint64_t carried, uint64_t room, uint32_t window_ms)
{
    if (carried <= room)
        return 0;
    unsigned __int128 enough = (unsigned __int128)(room + 1) * window_ms;
    return window_ms - (uint64_t)((enough + carried - 1) / carried) + 1;
}

static int64_t retry_after(const struct qp_entry *entry, const struct qp_ask *ask, const struct qp_look *look, uint32_t window_ms)
{
    uint64_t n = ask->n, end_ms = (look->window + 1) * window_ms;
    uint64_t now = taken(look);
    uint64_t at_ms = end_ms;
    if (n > ask->limit)
        return -1;
    bool full = n > cell_room(look); /* of what was reset or given back */
    if (qp_limit_is_sliding(entry) && !full && now + n <= ask->limit)
        at_ms = end_ms - window_ms + elapsed_until(look->carried + look->carried_remote, ask->limit - now - n, window_ms);
    else if (qp_limit_is_sliding(entry))
        at_ms = end_ms + elapsed_until(now, ask->limit - n, window_ms);
    return at_ms > ask->now_ms ? (int64_t)(at_ms - ask->now_ms) : 1;
}

static inline void judge(const struct qp_entry *entry, const struct qp_ask *ask, const struct qp_look *look, uint32_t window_ms, uint64_t in_use,
                         bool refused, struct qp_verdict *out)
{
    if (refused && ask->limit != QP_LIMIT_NONE && in_use < ask->limit && ask->limit - in_use > cell_room(look))
        in_use = ask->limit - cell_room(look);
    *out = (struct qp_verdict){.limit = ask->limit,
                               .remaining = ask->limit == QP_LIMIT_NONE ? QP_LIMIT_NONE
                                            : in_use < ask->limit       ? ask->limit - in_use
                                                                        : 0,
                               .epoch = look->epoch,
                               .reset_ms = (int64_t)((look->window + 1) * window_ms),
                               .retry_after_ms = refused ? retry_after(entry, ask, look, window_ms) : 0};
}

void qp_limit_judge(const struct qp_entry *entry, const struct qp_ask *ask, const struct qp_look *look, uint32_t window_ms,
                    uint64_t in_use, bool refused, struct qp_verdict *out)
{
    judge(entry, ask, look, window_ms, in_use, refused, out);
}

/* Whether a cell is ahead of the window that the caller decided on: left by a clock that had jumped, or so long ago
 * that the numbers came round. Opening over it rolls the entry back, which a caller with a stale time must not do. */
static bool is_leftover(const struct qp_look *look, unsigned parity)
{
    return qp_cell_is_used(look->gate[parity]) &&
           (look->come_round || qp_window_ahead(qp_cell_window(look->gate[parity], parity), look->window & QP_WINDOW_MASK) > 0);
}

static bool rolls_back(const struct qp_look *look)
{
    return is_leftover(look, 0) || is_leftover(look, 1);
}

/* Both cells, before a window is opened and its time noted: else the clock would come near what is left in the other
 * one, in an hour perhaps, and it would be taken for a newer window. A lost CAS is somebody else's step. Killed
 * between the two: the next one meets what is left. */
static void forget_leftovers(const struct qp_view *view, struct qp_entry *entry, const struct qp_look *look)
{
    for (unsigned parity = 0; parity < 2; parity++) {
        uint64_t seen = look->gate[parity];
        if (is_leftover(look, parity) && qp_cell_is_gate(seen))
            qp_striped_fold(view, entry, look->set, parity, seen); /* so that nobody takes from its stripes: then the next look finds a cell */
        else if (is_leftover(look, parity))
            qp_cas_acq_rel(&entry->cell[parity], &seen, 0);
    }
}

/* The seal of the window before, with what it came to. Release, pairs with the acquire in look_at: who sees the new
 * window sees the seal. */
static bool seal(struct qp_entry *entry, struct qp_look *look)
{
    unsigned other = !look->parity;
    uint64_t before = qp_cell_count_in(look->cell[other], look->window - 1);
    uint64_t sealed = qp_cell_make(look->window - 1, before) | QP_CELL_SEALED;
    return look->cell[other] == sealed || qp_cas_acq_rel(&entry->cell[other], &look->cell[other], sealed);
}

/* All steps of opening but the last. false: something moved, look again. Killed in between: no window was opened, and
 * what is emptied or sealed belonged to windows that are over. Sealing comes first: who is still deciding in the
 * window before weighs the refunds of the one before that, which share their word with this window's; he must see the
 * seal if he has missed them. */
static bool prepare_window(struct qp_entry *entry, struct qp_look *look, uint64_t now_ms)
{
    uint64_t tag = qp_epoch_tag(look->window, look->epoch & QP_EPOCH_RESETS_MASK);
    if (qp_limit_is_sliding(entry) && !seal(entry, look))
        return false;
    if (look->open)
        return true;
    qp_store_relaxed(&entry->used_at_s, (uint32_t)(now_ms / 1000));
    /* The cell once more, after the word that is to be emptied was read: if it is still the old one, that word is no
     * newer. Else the window could have been opened, and units given back in it, which would be lost. */
    return qp_load_acquire(&entry->cell[look->parity]) == look->cell[look->parity] &&
           (look->refund[look->parity] == tag ||
            qp_cas_acq_rel(&entry->refund[look->parity], &look->refund[look->parity], tag));
}

/* The word after n more units; a count stops at its bits' end. */
static uint64_t cell_after(const struct qp_look *look, uint64_t n)
{
    uint64_t gross = look->open ? qp_cell_count(look->cell[look->parity]) : 0;
    uint64_t room = cell_room(look);
    return qp_cell_make(look->window, gross + (n < room ? n : room));
}

/* A reset that came between the look and the CAS may have cut before these units. */
uint64_t qp_limit_epoch_after(const struct qp_view *view, const struct qp_entry *entry, uint64_t window, uint64_t before,
                              uint64_t epoch)
{
    const struct qp_shard *shard = qp_shard_at(view, qp_load_acquire(&entry->shard));
    if (!qp_window_was_cut(shard, window, qp_traits_window_ms(qp_entry_traits(entry))))
        return epoch;
    return shard->own[window & 1].base <= before ? shard->own[window & 1].epoch : epoch;
}

/* What has to be done before a take from an entry with stripes is one from its one word, or instead of it: QP_STRIPED_AGAIN, look again;
 * QP_STRIPED_NOT: it is one from the one word; or 0, taken. Not inline, so that takes without stripes do not pay for it. */
static __attribute__((noinline)) int take_striped(const struct qp_view *view, struct qp_entry *entry, uint32_t window_ms, const struct qp_ask *ask,
                                                  struct qp_look *look, bool refused, struct qp_verdict *out)
{
    unsigned own = look->parity;
    bool gate = qp_cell_is_gate(look->gate[own]), sliding = qp_limit_is_sliding(entry);
    if (sliding && qp_cell_is_gate(look->gate[!own]))
        qp_striped_fold(view, entry, look->set, !own, look->gate[!own]); /* what is to be weighed no longer grows on stripes */
    else if (gate && !look->open)
        qp_striped_fold(view, entry, look->set, own, look->gate[own]);
    else if (gate && !look->ready)
        seal(entry, look); /* read before it was sealed; or emptied, because a clock that had jumped had left it */
    else if (gate)
        return qp_striped_take(view, entry, window_ms, ask, look, out);
    else
        return look->ready && !refused ? qp_striped_freeze(view, entry, window_ms, ask, look) : QP_STRIPED_NOT;
    return QP_STRIPED_AGAIN;
}

/* Not inline, so that buckets do not pay for its frame. */
static __attribute__((noinline)) int take_windowed(const struct qp_view *view, struct qp_entry *entry, uint32_t window_ms, const struct qp_ask *ask,
                         struct qp_verdict *out)
{
    uint64_t n = ask->n;
    uint64_t met = 0;
    bool whole = ask->look || (n > ask->limit && !ask->force); /* who can have nothing changes nothing */
    struct qp_look look;
    for (;; met++) {
        if (!look_at(view, entry, window_ms, ask, whole, &look))
            return -QP_EDAMAGED;
        uint64_t in_use = used(entry, &look, window_ms);
        /* What the word has no room for could not be counted, and would not be limited. */
        bool refused = ask->limit != QP_LIMIT_NONE &&
                       (n > ask->limit || in_use > ask->limit - n ||
                        (qp_unlikely(qp_cell_count(look.cell[look.parity]) + n > QP_CELL_COUNT_MAX) && n > cell_room(&look)));
        if (qp_unlikely(rolls_back(&look)) && !(ask->fresh && ask->look)) {
            if (!ask->fresh)
                return QP_LIMIT_ASK_AGAIN;
            forget_leftovers(view, entry, &look);
            continue;
        }
        if (qp_unlikely(look.striped) && !whole) {
            int result = take_striped(view, entry, window_ms, ask, &look, refused, out);
            if (result == 0)
                return 0;
            if (result == QP_STRIPED_AGAIN)
                continue;
        }
        if (ask->look || (refused && !ask->force)) {
            /* All of it held at one instant, the last of the looks, if neither the window nor the meaning of its cell
             * moved meanwhile; the counts can only have grown. */
            qp_fence_acquire();
            if (qp_load_relaxed(&entry->shard) != look.ref ||
                (qp_load_relaxed(&entry->cell[look.parity]) ^ look.cell[look.parity]) >> QP_CELL_COUNT_BITS)
                continue;
            judge(entry, ask, &look, window_ms, in_use, refused, out);
            return refused;
        }
        uint64_t seen = look.cell[look.parity], next = cell_after(&look, ask->n);
        if (qp_unlikely(!look.ready) && !prepare_window(entry, &look, ask->now_ms))
            continue;
        /* Release, pairs with the acquire in look_at: who sees this window open sees its refunds emptied and the one
         * before sealed. Killed before: nothing was taken. Killed after: it was. */
        if (qp_likely(qp_cas_acq_rel(&entry->cell[look.parity], &seen, next))) {
            if (qp_unlikely(qp_load_acquire(&entry->shard) != look.ref))
                look.epoch = qp_limit_epoch_after(view, entry, look.window, look.open ? qp_cell_count(seen) : 0, look.epoch);
            judge(entry, ask, &look, window_ms, in_use + ask->n, false, out);
            out->met = met;
            return 0;
        }
    }
}

int qp_limit_take(const struct qp_view *view, struct qp_entry *entry, const struct qp_ask *ask, struct qp_verdict *out)
{
    /* One look: who has no section may meet an entry that is being emptied. */
    uint64_t traits = qp_entry_traits(entry);
    uint32_t window_ms = qp_traits_window_ms(traits);
    if (qp_traits_algorithm(traits) == QP_ALGORITHM_BUCKET)
        return qp_bucket_take(view, entry, ask, out);
    return window_ms ? take_windowed(view, entry, window_ms, ask, out) : -QP_EDAMAGED;
}

int qp_limit_refund(const struct qp_view *view, struct qp_entry *entry, uint64_t n, uint64_t epoch, uint64_t now_ms,
                    uint64_t tick)
{
    uint32_t window_ms = qp_traits_window_ms(qp_entry_traits(entry));
    if (qp_traits_algorithm(qp_entry_traits(entry)) == QP_ALGORITHM_BUCKET)
        return qp_bucket_refund(view, entry, n, epoch, now_ms, tick);
    if (window_ms == 0)
        return -QP_EDAMAGED;
    uint64_t window = qp_epoch_window(epoch, window_ms);
    unsigned parity = window & 1;
    uint64_t tag = qp_epoch_tag(window, epoch & QP_EPOCH_RESETS_MASK);
    for (;;) {
        /* First the word that will be compared, then what makes it the right one: acquire keeps the order. When the
         * window is rolled over or reset after our look, the word changes too, or is one that is ignored. */
        uint64_t word = qp_load_acquire(&entry->refund[parity]);
        uint64_t ref = qp_load_acquire(&entry->shard), cell = qp_window_cell(view, entry, parity);
        const struct qp_shard *shard = qp_shard_at(view, ref);
        if (!shard && qp_ref_block(ref))
            return -QP_EDAMAGED;
        /* The floor: the block may say nothing about a window any more that was reset and then, two windows on, reset
         * again. */
        if (qp_cell_window(cell, parity) != (window & QP_WINDOW_MASK) ||
            qp_window_own_epoch(shard, window, window_ms) != epoch ||
            qp_window_is_under_floor(shard, epoch, window, window_ms, (uint32_t)qp_window_skew(window_ms)))
            return 1;
        uint64_t count = qp_window_own_count(shard, cell, window, window_ms), refunded = qp_epoch_count(word, tag);
        if (n > count || refunded > count - n)
            return -EINVAL;
        /* Release, pairs with the acquire in look_at. Killed before: nothing was given back. */
        if (qp_cas_acq_rel(&entry->refund[parity], &word, tag | (refunded + n)))
            return 0;
    }
}

void qp_limit_use_slowly(const struct qp_view *view, const struct qp_entry *entry, uint64_t now_ms, struct qp_use *out)
{
    uint32_t window_ms = qp_traits_window_ms(qp_entry_traits(entry));
    struct qp_look look;
    *out = (struct qp_use){0};
    if (qp_traits_algorithm(qp_entry_traits(entry)) == QP_ALGORITHM_BUCKET) {
        out->level = qp_bucket_level_of(view, entry, now_ms);
    } else if (window_ms && look_at(view, entry, window_ms, &(struct qp_ask){.now_ms = now_ms}, true, &look)) {
        out->window = look.window;
        out->current = look.count > look.refunded ? look.count - look.refunded : 0;
        out->previous = qp_limit_is_sliding(entry) ? look.carried : 0;
        out->remote = look.remote + (qp_limit_is_sliding(entry) ? look.carried_remote : 0);
        out->resets = look.epoch & QP_EPOCH_RESETS_MASK;
    }
}
