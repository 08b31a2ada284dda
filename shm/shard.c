/* SPDX-License-Identifier: MIT */
/* shard.c: reading and replacing shard blocks. */
#include "shard.h"

#include <errno.h>

#include "block.h"
#include "cell.h"
#include "entry.h"
#include "error.h"

#define EPOCH_RESETS_MAX UINT64_C(0xffff)

/* ---- windows ---------------------------------------------------------------------------------------------------
 * A limit's epoch is its window's start in unix ms and, in the low 16 bits, the resets within it. */

static uint64_t window_epoch(uint64_t window, uint32_t window_ms)
{
    return (window * window_ms) << 16;
}

static uint64_t epoch_window(uint64_t epoch, uint32_t window_ms)
{
    return (epoch >> 16) / window_ms;
}

/* The epoch that adds in `window` belong to. */
static uint64_t own_epoch_in(const struct qp_shard *shard, uint64_t window, uint32_t window_ms)
{
    if (shard && epoch_window(shard->own[window & 1].epoch, window_ms) == window)
        return shard->own[window & 1].epoch;
    return window_epoch(window, window_ms);
}

/* The count of `window` in its own epoch. */
static uint64_t own_count_in(const struct qp_shard *shard, uint64_t cell, uint64_t window, uint32_t window_ms)
{
    uint64_t count = qp_cell_count_in(cell, window);
    if (!shard || epoch_window(shard->own[window & 1].epoch, window_ms) != window)
        return count;
    uint64_t base = shard->own[window & 1].base;
    return count > base ? count - base : 0;
}

static bool has_tombstone(const struct qp_shard *shard)
{
    return shard && shard->tombstone.timestamp != 0;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* Whether a cell of a limit holds nothing that outlives the delete whose floor is `floor`: an older window is under the
 * floor, the same one must hold no more than was cut. */
static bool windowed_cell_idle(const struct qp_shard *shard, uint64_t cell, unsigned parity, uint32_t window_ms)
{
    uint64_t deleted_in = epoch_window(shard->floor, window_ms);
    int32_t ahead = qp_window_ahead(qp_cell_window(cell, parity), deleted_in & QP_WINDOW_MASK);
    return qp_cell_count(cell) == 0 || ahead < 0 || (ahead == 0 && qp_cell_count(cell) == shard->own[parity].base);
}

static bool cells_idle(const struct qp_entry *entry, const struct qp_shard *shard)
{
    uint64_t traits = qp_load_relaxed(&entry->traits);
    uint32_t window_ms = qp_traits_window_ms(traits);
    if (qp_traits_kind(traits) == QP_KIND_REGISTER)
        return true;
    if (window_ms == 0)
        return qp_load_relaxed(&entry->cell[0]) == shard->own[0].base;
    return windowed_cell_idle(shard, qp_load_relaxed(&entry->cell[0]), 0, window_ms) &&
           windowed_cell_idle(shard, qp_load_relaxed(&entry->cell[1]), 1, window_ms);
}

bool qp_shard_is_idle_tombstone(const struct qp_view *view, const struct qp_entry *entry, uint64_t ref)
{
    const struct qp_shard *shard = qp_shard_at(view, ref);
    return shard && (shard->flags & QP_SHARD_DELETED) && cells_idle(entry, shard);
}

/* The window that the caller's clock says, or a newer one that a cell has reached already: time does not go back for one
 * whose clock is behind. */
static uint64_t current_window(const struct qp_entry *entry, uint32_t window_ms, uint64_t now_ms)
{
    uint64_t window = now_ms / window_ms;
    for (unsigned parity = 0; parity < 2; parity++) {
        uint64_t cell = qp_load_relaxed(&entry->cell[parity]);
        int32_t ahead = qp_window_ahead(qp_cell_window(cell, parity), window & QP_WINDOW_MASK);
        if (qp_cell_count(cell) != 0 && ahead > 0 && ahead <= qp_window_skew(window_ms))
            window += (uint64_t)ahead;
    }
    return window;
}

static void read_windowed(const struct qp_entry *entry, const struct qp_shard *shard, uint32_t window_ms,
                          uint64_t now_ms, struct qp_reading *out)
{
    uint64_t window = current_window(entry, window_ms, now_ms);
    unsigned parity = window & 1;
    uint64_t before = window - 1;
    out->epoch = own_epoch_in(shard, window, window_ms);
    out->own = (int64_t)own_count_in(shard, qp_load_relaxed(&entry->cell[parity]), window, window_ms);
    out->previous = (int64_t)own_count_in(shard, qp_load_relaxed(&entry->cell[!parity]), before, window_ms);
    /* One floor serves both parities: a delete takes the window before with it. */
    if (has_tombstone(shard) && own_epoch_in(shard, before, window_ms) <= shard->floor)
        out->previous = 0;
}

static void read_once(const struct qp_entry *entry, const struct qp_shard *shard, uint64_t now_ms,
                      struct qp_reading *out)
{
    uint64_t traits = qp_load_relaxed(&entry->traits);
    memset(out, 0, sizeof *out);
    out->deleted = shard && (shard->flags & QP_SHARD_DELETED) && cells_idle(entry, shard);
    if (qp_traits_kind(traits) == QP_KIND_REGISTER) {
        out->own = shard ? (int64_t)QP_SHARD_REGISTER_VALUE(shard) : 0;
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
        read_once(entry, shard, now_ms, out);
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
    const struct qp_entry *entry;
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

/* Ends the current window's epoch and shuts out the window before: floor = the highest epoch so far. */
static int end_windowed(const struct qp_worker *worker, struct change *change)
{
    uint32_t window_ms = qp_traits_window_ms(change->entry->traits);
    uint64_t window = current_window(change->entry, window_ms, worker->now_ms);
    uint64_t epoch = own_epoch_in(change->old, window, window_ms);
    if ((epoch & EPOCH_RESETS_MAX) == EPOCH_RESETS_MAX)
        return -EOVERFLOW;
    uint64_t cell = qp_load_relaxed(&change->entry->cell[window & 1]);
    change->value = (int64_t)own_count_in(change->old, cell, window, window_ms);
    change->next->own[window & 1].base = qp_cell_count_in(cell, window);
    change->next->own[window & 1].epoch = epoch + 1;
    change->next->floor = epoch;
    return 0;
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
        error = end_windowed(worker, change);
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
    return end_windowed(worker, change);
}

static int make_set(const struct qp_worker *worker, struct change *change)
{
    change->next->tombstone = mint(worker, change->old);
    change->next->flags &= ~QP_SHARD_DELETED;
    QP_SHARD_REGISTER_VALUE(change->next) = (uint64_t)change->value;
    return 0;
}

int qp_shard_reset(struct qp_worker *worker, struct qp_entry *entry, int64_t *ended)
{
    return publish(worker, entry, make_reset, ended);
}

int qp_shard_delete(struct qp_worker *worker, struct qp_entry *entry, int64_t *ended)
{
    return publish(worker, entry, make_delete, ended);
}

int qp_shard_set(struct qp_worker *worker, struct qp_entry *entry, int64_t value)
{
    return publish(worker, entry, make_set, &value);
}

void qp_shard_fill_register(const struct qp_worker *worker, struct qp_shard *shard, int64_t value)
{
    copy_shard(shard, NULL);
    shard->tombstone = mint(worker, NULL);
    QP_SHARD_REGISTER_VALUE(shard) = (uint64_t)value;
}
