/* SPDX-License-Identifier: MIT */
/* shard.c: reading and replacing shard blocks. */
#include "shard.h"

#include <errno.h>

#include "block.h"
#include "bucket.h"
#include "entry.h"
#include "error.h"
#include "flight.h"
#include "strategy.h"
#include "victim.h"
#include "window.h"

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* Whether a cell of a limit holds nothing that outlives the delete: it is empty, or what was cut then. Not by its being older than the delete: the clock may
 * have gone back since. */
static bool windowed_cell_idle(const struct qp_shard *shard, uint64_t cell, unsigned parity, uint32_t window_ms)
{
    uint64_t cut = qp_epoch_window(shard->own[parity].epoch, window_ms);
    return qp_cell_count(cell) == 0 ||
           (qp_cell_window(cell, parity) == (cut & QP_WINDOW_MASK) && qp_cell_count(cell) == shard->own[parity].base);
}

static bool cells_idle(const struct qp_entry *entry, const struct qp_shard *shard)
{
    uint64_t traits = qp_load_relaxed(&entry->traits);
    uint32_t window_ms = qp_traits_window_ms(traits);
    if (qp_traits_kind(traits) == QP_KIND_REGISTER)
        return true;
    if (window_ms == 0 || qp_traits_algorithm(traits) == QP_ALGORITHM_BUCKET)
        return qp_load_relaxed(&entry->cell[0]) == shard->own[0].base;
    return windowed_cell_idle(shard, qp_load_relaxed(&entry->cell[0]), 0, window_ms) &&
           windowed_cell_idle(shard, qp_load_relaxed(&entry->cell[1]), 1, window_ms);
}

bool qp_shard_is_idle_tombstone(const struct qp_view *view, const struct qp_entry *entry, uint64_t ref)
{
    if (qp_traits_kind(qp_load_relaxed(&entry->traits)) == QP_KIND_INFLIGHT)
        return false; /* what it refers to says who is in */
    const struct qp_shard *shard = qp_shard_at(view, ref);
    return shard && (shard->flags & QP_SHARD_DELETED) && cells_idle(entry, shard);
}

static void read_windowed(const struct qp_entry *entry, const struct qp_shard *shard, uint32_t window_ms,
                          uint64_t now_ms, struct qp_reading *out)
{
    uint64_t cell[2];
    qp_window_read_cells(entry, window_ms, now_ms, cell);
    uint64_t refund[2] = {qp_load_relaxed(&entry->refund[0]), qp_load_relaxed(&entry->refund[1])};
    uint64_t window = qp_window_current(entry, cell, window_ms, now_ms);
    unsigned parity = window & 1;
    out->epoch = qp_window_own_epoch(shard, window, window_ms);
    uint64_t own = qp_window_own_count(shard, cell[parity], window, window_ms);
    uint64_t refunded = qp_window_refunded(refund[parity], window, out->epoch);
    out->own = own > refunded ? (int64_t)(own - refunded) : 0;
    out->previous = (int64_t)qp_window_carried(shard, cell[!parity], refund[!parity], window - 1, window_ms);
}

/* Units missing from a bucket; without a strategy nobody knows how much a unit is. */
static void read_bucket(const struct qp_view *view, const struct qp_entry *entry, const struct qp_shard *shard,
                        uint64_t now_ms, struct qp_reading *out)
{
    const struct qp_row *row = qp_strategy_row_of(view, entry);
    uint64_t tick = row ? qp_load_relaxed(&row->tick) : 0; /* once: who has no section may see the table being rebuilt */
    uint64_t level = qp_bucket_level_of(view, entry, now_ms);
    out->epoch = shard ? shard->own[0].epoch : 0;
    out->own = tick ? (int64_t)(level / tick + (level % tick != 0)) : 0;
}

static void read_once(const struct qp_view *view, const struct qp_entry *entry, const struct qp_shard *shard,
                      uint64_t now_ms, struct qp_reading *out)
{
    uint64_t traits = qp_load_relaxed(&entry->traits);
    memset(out, 0, sizeof *out);
    if (qp_traits_kind(traits) == QP_KIND_INFLIGHT) {
        out->own = (int64_t)qp_flight_count(view, entry);
        out->deleted = out->own == 0 && qp_load_relaxed(&entry->used_at_s) == 0;
        return;
    }
    out->deleted = shard && (shard->flags & QP_SHARD_DELETED) && cells_idle(entry, shard);
    if (qp_traits_kind(traits) == QP_KIND_REGISTER) {
        out->own = shard ? (int64_t)QP_SHARD_REGISTER_VALUE(shard) : 0;
    } else if (qp_traits_kind(traits) == QP_KIND_LIMIT && qp_traits_algorithm(traits) == QP_ALGORITHM_BUCKET) {
        read_bucket(view, entry, shard, now_ms, out);
    } else if (qp_traits_window_ms(traits)) {
        read_windowed(entry, shard, qp_traits_window_ms(traits), now_ms, out);
    } else {
        out->epoch = shard ? shard->own[0].epoch : 0;
        out->own = (int64_t)(qp_load_relaxed(&entry->cell[0]) - (shard ? shard->own[0].base : 0));
    }
}

int qp_shard_read(const struct qp_view *view, const struct qp_entry *entry, uint64_t now_ms, struct qp_reading *out)
{
    /* Acquire, pairs with the publishing CAS in publish: the block's bytes, and the cell values its base was taken
     * from: so cell >= base, always. Again if it was replaced while we read: somebody else's change succeeded. */
    uint64_t ref = qp_load_acquire(&entry->shard), seen;
    do {
        seen = ref;
        const struct qp_shard *shard = qp_shard_at(view, seen);
        if (!shard && qp_ref_block(seen))
            return -QP_EDAMAGED;
        read_once(view, entry, shard, now_ms, out);
        qp_fence_acquire(); /* the cells are read before the reference is looked at again */
        ref = qp_load_acquire(&entry->shard);
    } while (ref != seen);
    return 0;
}

/* ---- changing ---------------------------------------------------------------------------------------------------- */

/* A version newer than the clock and than what it replaces (MERGE: local versions are minted after reading the old block). */
static struct qp_version mint(const struct qp_worker *worker, const struct qp_shard *old)
{
    uint64_t now = worker->now_ms << 16;
    uint64_t newest = old ? old->tombstone.timestamp : 0;
    return (struct qp_version){now > newest ? now : newest + 1, worker->view->replica};
}

/* What one change sees and makes. */
struct change {
    struct qp_entry *entry;
    uint64_t ref;               /* the reference it starts from */
    const struct qp_shard *old; /* NULL: none */
    struct qp_shard *next;      /* a copy of old, or zeros */
    int64_t value;              /* in: of a set. out: what was ended */
};
typedef int change_function(const struct qp_worker *worker, struct change *change);

/* Copies what may be changed; the block's own header is the new block's. */
static void copy_shard(struct qp_shard *next, const struct qp_shard *old)
{
    unsigned char *to = (unsigned char *)next + sizeof(struct qp_block);
    size_t bytes = sizeof *next - sizeof(struct qp_block);
    if (old)
        memcpy(to, (const unsigned char *)old + sizeof(struct qp_block), bytes);
    else
        memset(to, 0, bytes);
}

static int publish(struct qp_worker *worker, struct qp_entry *entry, change_function *make, int64_t *value)
{
    const struct qp_view *view = worker->view;
    uint32_t block;
    if (!qp_block_alloc(worker, QP_BLOCK_SHARD, qp_entry_index(view, entry),
                        sizeof(struct qp_shard) - sizeof(struct qp_block), &block))
        return -QP_EFULL;
    struct change change = {.entry = entry, .next = (struct qp_shard *)(void *)qp_block_at(view, block)};
    for (;;) {
        uint64_t ref = qp_load_acquire(&entry->shard);
        change.ref = ref;
        change.old = qp_shard_at(view, ref);
        change.value = *value;
        copy_shard(change.next, change.old);
        int error = !change.old && qp_ref_block(ref) ? -QP_EDAMAGED
                    : !qp_entry_revive(view, entry)  ? -EAGAIN
                                                     : make(worker, &change);
        if (error) {
            qp_block_drop(worker, block);
            return error;
        }
        /* Release: the block is seen whole; pairs with the acquire in qp_shard_read. Killed before: the block is
         * ours and unreferenced, and recovery frees it. Killed after: the change is made; recovery makes the new block
         * LIVE and the sweep retires the old one. */
        if (qp_cas_seq(&entry->shard, &ref, qp_ref_next(ref, block))) {
            qp_block_published(worker, qp_block_class(block), qp_block_index(block), qp_entry_index(view, entry));
            if (change.old)
                qp_block_retire(view, qp_block_class(qp_ref_block(ref)), qp_block_index(qp_ref_block(ref)));
            *value = change.value;
            return 0;
        } /* else somebody else's change succeeded */
    }
}

/* Ends the plain epoch: base = cell, epoch + 1. Adds that come between our look at the cell and the CAS are above the
 * base, so they count in the new epoch. */
static int end_plain(struct change *change)
{
    uint64_t cell = qp_load_relaxed(&change->entry->cell[0]);
    change->value = (int64_t)(cell - change->next->own[0].base);
    change->next->own[0].base = cell;
    change->next->own[0].epoch++;
    return 0;
}

/* The tag of a refund word has fewer bits than there can be resets: what was given back 1,024 resets ago must not count again. */
static void forget_refunds(const struct change *change, uint64_t window, uint64_t epoch)
{
    struct qp_entry *entry = change->entry;
    uint64_t tag = qp_epoch_tag(window, epoch & QP_EPOCH_RESETS_MASK);
    uint64_t word = qp_load_acquire(&entry->refund[window & 1]);
    /* The reference after the word: if it is still ours, nobody was in that epoch yet when the word was read, so none of its units are in it. */
    if (qp_epoch_count(word, tag) != 0 && qp_load_acquire(&entry->shard) == change->ref)
        qp_cas_acq_rel(&entry->refund[window & 1], &word, tag); /* lost: it has another tag by now */
}

/* Ends the current window's epoch and shuts out the window before: floor = the highest epoch so far. */
static int end_windowed(const struct qp_worker *worker, struct change *change)
{
    struct qp_entry *entry = change->entry;
    uint32_t window_ms = qp_traits_window_ms(entry->traits);
    uint64_t cell[2];
    qp_window_read_cells(entry, window_ms, worker->now_ms, cell);
    uint64_t window = qp_window_current(entry, cell, window_ms, worker->now_ms);
    uint64_t epoch = qp_window_own_epoch(change->old, window, window_ms);
    unsigned parity = window & 1;
    if ((epoch & QP_EPOCH_RESETS_MASK) == QP_EPOCH_RESETS_MASK)
        return -EOVERFLOW;
    uint64_t own = qp_window_own_count(change->old, cell[parity], window, window_ms);
    uint64_t refunded = qp_window_refunded(qp_load_relaxed(&entry->refund[parity]), window, epoch);
    change->value = own > refunded ? (int64_t)(own - refunded) : 0;
    change->next->own[parity].base = qp_cell_count_in(cell[parity], window);
    change->next->own[parity].epoch = epoch + 1;
    change->next->floor = epoch;
    forget_refunds(change, window, epoch + 1);
    return 0;
}

/* Forgives a bucket's debt, so that it is full now, and says which value of the cell nobody has touched since. */
static int end_bucket(const struct qp_worker *worker, struct change *change)
{
    uint64_t cell = qp_load_relaxed(&change->entry->cell[0]);
    const struct qp_row *row = qp_strategy_row_of(worker->view, change->entry);
    uint64_t level = qp_bucket_level(cell, change->next->own[1].base, worker->now_ms);
    bool was_full = !row || !row->tick || qp_bucket_clock_went_back(change->entry, worker->now_ms);
    change->value = was_full ? 0 : (int64_t)(level / row->tick + (level % row->tick != 0));
    change->next->own[0].epoch++;
    change->next->own[0].base = cell;
    change->next->own[1].base += level;
    change->next->floor = change->next->own[0].epoch - 1;
    return 0;
}

static int end_limit(const struct qp_worker *worker, struct change *change)
{
    return qp_traits_algorithm(change->entry->traits) == QP_ALGORITHM_BUCKET ? end_bucket(worker, change)
                                                                             : end_windowed(worker, change);
}

/* A delete cuts what the other cell holds, of the window before or of one that is long over, as well: so that it can be told from what comes. */
static void cut_other(struct change *change)
{
    uint32_t window_ms = qp_traits_window_ms(change->entry->traits);
    uint64_t window = qp_epoch_window(change->next->floor, window_ms);
    unsigned parity = !(window & 1);
    uint64_t cell = qp_load_relaxed(&change->entry->cell[parity]);
    uint64_t other = window + (uint64_t)(int64_t)qp_window_ahead(qp_cell_window(cell, parity), window & QP_WINDOW_MASK);
    uint64_t epoch = qp_window_own_epoch(change->old, other, window_ms);
    if (qp_cell_count(cell) == 0 || (epoch & QP_EPOCH_RESETS_MASK) == QP_EPOCH_RESETS_MASK)
        return;
    change->next->own[parity].base = qp_cell_count(cell);
    change->next->own[parity].epoch = epoch + 1;
    forget_refunds(change, other, epoch + 1);
}

static bool nothing_there(const struct change *change)
{
    return change->old && (change->old->flags & QP_SHARD_DELETED) && cells_idle(change->entry, change->old);
}

static int make_delete(const struct qp_worker *worker, struct change *change)
{
    uint64_t traits = change->entry->traits;
    if (nothing_there(change))
        return -ENOENT;
    int error = 0;
    if (qp_traits_kind(traits) == QP_KIND_REGISTER) {
        change->value = (int64_t)QP_SHARD_REGISTER_VALUE(change->next);
        QP_SHARD_REGISTER_VALUE(change->next) = 0;
    } else if (qp_traits_window_ms(traits)) {
        error = end_limit(worker, change);
        if (!error && qp_traits_algorithm(traits) != QP_ALGORITHM_BUCKET)
            cut_other(change);
    } else {
        change->next->floor = change->next->own[0].epoch;
        error = end_plain(change);
    }
    change->next->tombstone = mint(worker, change->old);
    change->next->flags |= QP_SHARD_DELETED;
    return error;
}

/* A plain counter begins its next epoch at 0 and is still there. The reset of a window is its delete, without the key going. */
static int make_reset(const struct qp_worker *worker, struct change *change)
{
    if (nothing_there(change))
        return -ENOENT;
    change->next->flags &= ~QP_SHARD_DELETED;
    if (!qp_traits_window_ms(change->entry->traits))
        return end_plain(change);
    change->next->tombstone = mint(worker, change->old);
    return end_limit(worker, change);
}

static int make_set(const struct qp_worker *worker, struct change *change)
{
    change->next->tombstone = mint(worker, change->old);
    change->next->flags &= ~QP_SHARD_DELETED;
    QP_SHARD_REGISTER_VALUE(change->next) = (uint64_t)change->value;
    return 0;
}

/* A cut, and what is known of the key from an earlier eviction goes with it, or another eviction would bring it back: a bucket that is full has nothing
 * to remember instead, and a window that was carried has no resets of its own. Within the section in which the entry was LIVE, so no eviction of it
 * ends between. Killed between, or beside an evictor who had counted already: the key is at worst as used as before the cut, once it
 * was evicted again. */
static int cut(struct qp_worker *worker, struct qp_entry *entry, change_function *make, int64_t *ended)
{
    int error = publish(worker, entry, make, ended);
    if (!error && qp_traits_kind(entry->traits) == QP_KIND_LIMIT)
        qp_victim_forget(worker->view, entry->hash);
    return error;
}

int qp_shard_reset(struct qp_worker *worker, struct qp_entry *entry, int64_t *ended)
{
    return cut(worker, entry, make_reset, ended);
}

int qp_shard_delete(struct qp_worker *worker, struct qp_entry *entry, int64_t *ended)
{
    return cut(worker, entry, make_delete, ended);
}

int qp_shard_set(struct qp_worker *worker, struct qp_entry *entry, int64_t value)
{
    return publish(worker, entry, make_set, &value);
}

void qp_shard_fill_window(const struct qp_worker *worker, struct qp_shard *shard, uint64_t window, uint32_t window_ms,
                          uint64_t resets)
{
    copy_shard(shard, NULL);
    shard->tombstone = mint(worker, NULL);
    shard->own[window & 1].epoch = qp_window_epoch(window, window_ms) + resets;
    shard->floor = shard->own[window & 1].epoch - 1;
}

void qp_shard_fill_register(const struct qp_worker *worker, struct qp_shard *shard, int64_t value)
{
    copy_shard(shard, NULL);
    shard->tombstone = mint(worker, NULL);
    QP_SHARD_REGISTER_VALUE(shard) = (uint64_t)value;
}
