/* SPDX-License-Identifier: MIT */
/* shard_read.c: what an entry holds: own count, others' counts, a register's value, and whether it is there at all. */
#include "shard.h"

#include "bucket.h"
#include "entry.h"
#include "error.h"
#include "flight.h"
#include "point.h"
#include "strategy.h"
#include "stripe.h"
#include "window.h"

/* Whether a cell of a limit holds nothing that outlives the delete: it is empty, or what was cut then. Not by its
 * being older than the delete: the clock may have gone back since. */
static bool windowed_cell_idle(const struct qp_shard *shard, uint64_t cell, unsigned parity, uint32_t window_ms)
{
    uint64_t cut = qp_epoch_window(shard->own[parity].epoch, window_ms);
    return qp_cell_count(cell) == 0 ||
           (qp_cell_window(cell, parity) == (cut & QP_WINDOW_MASK) && qp_cell_count(cell) == shard->own[parity].base);
}

static bool cells_idle(const struct qp_view *view, const struct qp_entry *entry, const struct qp_shard *shard)
{
    uint64_t traits = qp_entry_traits(entry);
    uint32_t window_ms = qp_traits_window_ms(traits);
    if (qp_traits_kind(traits) == QP_KIND_REGISTER)
        return true;
    if (window_ms == 0 || qp_traits_algorithm(traits) == QP_ALGORITHM_BUCKET)
        return (qp_traits_kind(traits) == QP_KIND_COUNTER ? qp_stripe_total(view, entry) : qp_load_relaxed(&entry->cell[0])) ==
               shard->own[0].base;
    return windowed_cell_idle(shard, qp_window_cell(view, entry, 0), 0, window_ms) &&
           windowed_cell_idle(shard, qp_window_cell(view, entry, 1), 1, window_ms);
}

/* Deleted, nothing was added since, and nobody else has said anything of it since. */
static bool is_gone(const struct qp_view *view, const struct qp_entry *entry, uint64_t ref, const struct qp_shard *shard)
{
    return (shard->flags & QP_SHARD_DELETED) && cells_idle(view, entry, shard) && !qp_point_any_alive(view, ref, shard);
}

bool qp_shard_is_idle_tombstone(const struct qp_view *view, const struct qp_entry *entry, uint64_t ref)
{
    if (qp_traits_kind(qp_entry_traits(entry)) == QP_KIND_INFLIGHT)
        return false; /* what it refers to says who is in */
    const struct qp_shard *shard = qp_shard_at(view, ref);
    return shard && is_gone(view, entry, ref, shard);
}

/* A strategy may keep a key to this host: then what others say of it counts for nothing, and they are told nothing. */
static bool is_for_this_host(const struct qp_view *view, const struct qp_entry *entry)
{
    const struct qp_row *row = qp_strategy_row_of(view, entry);
    return row && qp_load_relaxed(&row->scope) == QP_SCOPE_HOST;
}

/* Whether what a delete of a limit ended counts for nobody any more: its window and the one after it are over, or a
 * clock that had jumped has left it. */
static bool floor_is_over(const struct qp_shard *shard, uint32_t window_ms, uint64_t now_ms)
{
    uint64_t window = qp_epoch_window(shard->floor, window_ms), now = now_ms / window_ms;
    return now > window + 1 || window > now + (uint64_t)qp_window_skew(window_ms);
}

bool qp_shard_may_go(const struct qp_view *view, const struct qp_entry *entry, uint64_t ref, uint64_t now_ms)
{
    if (!qp_shard_is_idle_tombstone(view, entry, ref))
        return false;
    /* What is told to others is needed until all of them have heard it; windows are over by themselves, and no
     * sooner. Relaxed: who has not seen `gossip` is in a section that the agent waits for before it says anything. */
    const struct qp_shard *shard = qp_shard_at(view, ref);
    if (qp_load_relaxed(&view->header->gossip) == 0 || (shard->flags & QP_SHARD_COLLECT))
        return true;
    uint64_t traits = qp_entry_traits(entry);
    uint32_t window_ms = qp_traits_window_ms(traits);
    if (qp_traits_kind(traits) == QP_KIND_LIMIT &&
        (window_ms == 0 || qp_traits_algorithm(traits) == QP_ALGORITHM_BUCKET || floor_is_over(shard, window_ms, now_ms)))
        return true;
    /* Nobody would ever say that he holds it. If the strategy makes it everybody's again, others still have what they
     * had heard of it before: digests differ, and repairs make it one; a tombstone that they hold comes with their
     * next try, or as a grave. */
    return is_for_this_host(view, entry);
}

/* One look at an entry. Its traits are read once: who has no section may meet an entry that is being emptied. */
struct subject {
    const struct qp_view *view;
    const struct qp_entry *entry;
    uint64_t traits;
    uint64_t ref;
    const struct qp_shard *shard; /* NULL: none */
    uint64_t now_ms;
};

/* What others have counted in the epoch that the total is of. *epoch and *own: in, ours; out, the total's, and what
 * of ours is of it. */
static int64_t read_others(const struct subject *s, bool counted, uint64_t *epoch, int64_t *own)
{
    if (!s->shard || qp_point_count(s->view, s->ref, s->shard) == 0 || is_for_this_host(s->view, s->entry))
        return 0;
    uint64_t of = qp_point_epoch(s->view, s->ref, s->shard, *epoch, counted, qp_traits_window_ms(s->traits));
    *own = of == *epoch ? *own : 0;
    *epoch = of;
    return qp_point_remote(s->view, s->ref, s->shard, of);
}

static void read_windowed(const struct subject *s, struct qp_reading *out)
{
    const struct qp_entry *entry = s->entry;
    uint32_t window_ms = qp_traits_window_ms(s->traits);
    uint64_t cell[2];
    qp_window_read_cells(s->view, entry, window_ms, s->now_ms, cell);
    uint64_t refund[2] = {qp_load_relaxed(&entry->refund[0]), qp_load_relaxed(&entry->refund[1])};
    uint64_t window = qp_window_current(entry, cell, window_ms, s->now_ms);
    unsigned parity = window & 1;
    out->epoch = qp_window_own_epoch(s->shard, window, window_ms);
    uint64_t own = qp_window_own_count(s->shard, cell[parity], window, window_ms);
    uint64_t refunded = qp_window_refunded(refund[parity], window, out->epoch);
    out->own = own > refunded ? (int64_t)(own - refunded) : 0;
    out->remote = read_others(s, own != 0, &out->epoch, &out->own);
    out->own_previous = (int64_t)qp_window_carried(s->shard, cell[!parity], refund[!parity], window - 1, window_ms);
    uint64_t before = qp_window_own_epoch(s->shard, window - 1, window_ms);
    int64_t carried = read_others(s, out->own_previous != 0, &before, &out->own_previous);
    out->previous = carried > INT64_MAX - out->own_previous ? INT64_MAX : out->own_previous + carried;
}

/* Units missing from a bucket; without a strategy nobody knows how much a unit is. */
static void read_bucket(const struct subject *s, struct qp_reading *out)
{
    const struct qp_row *row = qp_strategy_row_of(s->view, s->entry);
    uint64_t tick = row ? qp_load_relaxed(&row->tick) : 0; /* once: who has no section may see the table being rebuilt */
    uint64_t level = qp_bucket_level_of(s->view, s->entry, s->now_ms);
    out->epoch = s->shard ? s->shard->own[0].epoch : 0;
    out->own = tick ? (int64_t)(level / tick + (level % tick != 0)) : 0;
}

static void read_plain(const struct subject *s, struct qp_reading *out)
{
    out->own = (int64_t)(qp_stripe_total(s->view, s->entry) - (s->shard ? s->shard->own[0].base : 0));
    out->epoch = s->shard ? s->shard->own[0].epoch : 0;
    out->remote = read_others(s, out->own != 0, &out->epoch, &out->own);
}

static void read_once(const struct subject *s, struct qp_reading *out)
{
    memset(out, 0, sizeof *out);
    if (qp_traits_kind(s->traits) == QP_KIND_INFLIGHT) {
        out->own = (int64_t)qp_flight_count(s->view, s->entry);
        out->deleted = out->own == 0 && qp_load_relaxed(&s->entry->used_at_s) == 0;
        return;
    }
    out->deleted = s->shard && is_gone(s->view, s->entry, s->ref, s->shard);
    if (qp_traits_kind(s->traits) == QP_KIND_REGISTER)
        out->own = s->shard ? (int64_t)QP_SHARD_REGISTER_VALUE(s->shard) : 0;
    else if (qp_traits_kind(s->traits) == QP_KIND_LIMIT && qp_traits_algorithm(s->traits) == QP_ALGORITHM_BUCKET)
        read_bucket(s, out);
    else if (qp_traits_window_ms(s->traits))
        read_windowed(s, out);
    else
        read_plain(s, out);
}

int qp_shard_read(const struct qp_view *view, const struct qp_entry *entry, uint64_t now_ms, struct qp_reading *out)
{
    /* Acquire, pairs with the publishing CAS in publish: the block's bytes, and the cell values its base was taken
     * from: so cell >= base, always. Again if it was replaced while we read: somebody else's change succeeded. */
    uint64_t ref = qp_load_acquire(&entry->shard);
    struct subject s = {.view = view, .entry = entry, .now_ms = now_ms};
    do {
        s.ref = ref;
        s.shard = qp_shard_at(view, ref);
        s.traits = qp_entry_traits(entry);
        if (!s.shard && qp_ref_block(ref))
            return -QP_EDAMAGED;
        read_once(&s, out);
        qp_fence_acquire(); /* the cells are read before the reference is looked at again */
        ref = qp_load_acquire(&entry->shard);
    } while (ref != s.ref);
    return 0;
}
