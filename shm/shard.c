/* SPDX-License-Identifier: MIT */
/* shard.c: replacing shard blocks: reset, delete, set. */
#include "shard.h"

#include <errno.h>

#include "block.h"
#include "bucket.h"
#include "entry.h"
#include "error.h"
#include "mark.h"
#include "point.h"
#include "strategy.h"
#include "stripe.h"
#include "victim.h"
#include "window.h"

/* What one change sees and makes. */
struct change {
    struct qp_entry *entry;
    uint64_t ref;               /* the reference it starts from */
    const struct qp_shard *old; /* NULL: none */
    uint32_t old_points;
    struct qp_shard *next; /* a copy of old, or zeros */
    bool told;             /* others hear of it. Looked up once: room is made for what is said */
    uint64_t window;       /* limits: that it ended */
    int64_t value;         /* in: of a set. out: what was ended */
};

/* A kind of change. */
struct verb {
    int (*make)(const struct qp_worker *worker, struct change *change);
    bool ends;    /* what is there: nothing there is -ENOENT */
    bool appends; /* an own point, of a plain counter that others are told of */
};

/* ---- points ---------------------------------------------------------------------------------------------------------- */

/* Where a new own point goes: behind those that are in our stream. One that is not was made by an earlier reset and
 * never told to anybody: the new one takes its place. */
static uint32_t place_of_own(const struct qp_shard *shard, uint32_t point_count, bool *replaces)
{
    uint32_t own = shard ? qp_point_own_count(shard, point_count) : 0;
    *replaces = own && qp_origin_sequence(shard->point[own - 1].origin) == 0;
    return own - *replaces;
}

/* Without an agent nobody makes points, and blocks stay as small as they are. */
static bool appends_point(const struct change *change, const struct verb *verb)
{
    return change->told && verb->appends && qp_traits_kind(qp_entry_traits(change->entry)) == QP_KIND_COUNTER;
}

static uint32_t points_needed(const struct change *change, const struct verb *verb)
{
    bool replaces;
    place_of_own(change->old, change->old_points, &replaces);
    return change->old_points + (appends_point(change, verb) && !replaces);
}

/* So much was counted in the new epoch: nothing yet. The agent tells others of it, under the next number of our
 * stream. */
static void append_point(struct change *change, struct qp_version version)
{
    struct qp_shard *next = change->next;
    bool replaces;
    uint32_t place = place_of_own(next, next->point_count, &replaces);
    if (!replaces) {
        memmove(&next->point[place + 1], &next->point[place], (next->point_count - place) * sizeof next->point[0]);
        next->point_count++;
    }
    next->point[place] = (struct qp_shard_point){.epoch = next->own[0].epoch, .timestamp = version.timestamp};
    next->stated = 0;
}

/* Who held the last tombstone does not hold this one. */
static void drop_holders(struct qp_shard *next)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < next->point_count; i++)
        if (next->point[i].timestamp)
            next->point[kept++] = next->point[i];
    next->point_count = (uint16_t)kept;
}

/* A version newer than the clock and than all that it replaces: local versions are minted after reading the old
 * block. */
static struct qp_version mint(const struct qp_worker *worker, const struct qp_shard *shard)
{
    uint64_t now = worker->now_ms << 16;
    uint64_t newest = qp_point_newest_timestamp(shard, shard->point_count);
    return (struct qp_version){now > newest ? now : newest + 1, worker->view->replica};
}

static void leave_tombstone(const struct qp_worker *worker, struct qp_shard *next)
{
    next->tombstone = mint(worker, next);
    next->tombstone_sequence = next->stated = 0;
    next->tombstone_seen_s = (uint32_t)(worker->now_ms / 1000);
    drop_holders(next);
}

/* ---- publishing ------------------------------------------------------------------------------------------------------ */

/* Copies what may be changed; the block's own header is the new block's. */
static void copy_shard(struct qp_shard *next, const struct qp_shard *old, uint32_t old_points)
{
    unsigned char *to = (unsigned char *)next + sizeof(struct qp_block);
    memset(to, 0, qp_shard_payload(0));
    if (!old)
        return;
    memcpy(to, (const unsigned char *)old + sizeof(struct qp_block), qp_shard_payload(old_points));
    next->point_count = (uint16_t)old_points; /* no more than it had room for, whatever it said */
}

/* A block for so many points: the one at hand, if it is large enough. false: no block free. */
static bool make_room(struct qp_worker *worker, const struct change *change, uint32_t points, uint32_t *block)
{
    uint32_t payload = qp_shard_payload(points);
    if (*block && qp_block_room(worker->view, *block) >= payload)
        return true;
    if (*block)
        qp_block_drop(worker, *block);
    if (points <= QP_SHARD_POINTS_MAX &&
        qp_block_alloc(worker, QP_BLOCK_SHARD, qp_entry_index(worker->view, change->entry), payload, block))
        return true;
    *block = 0;
    return false;
}

/* Looks at what is there, and makes what is to come, in *block. 0 or why not. */
static int prepare(struct qp_worker *worker, struct change *change, const struct verb *verb, uint32_t *block)
{
    const struct qp_view *view = worker->view;
    change->ref = qp_load_acquire(&change->entry->shard);
    change->old = qp_shard_at(view, change->ref);
    if (!change->old && qp_ref_block(change->ref))
        return -QP_EDAMAGED;
    change->old_points = change->old ? qp_point_count(view, change->ref, change->old) : 0;
    if (!qp_entry_revive(view, change->entry))
        return -EAGAIN;
    if (verb->ends && qp_shard_is_idle_tombstone(view, change->entry, change->ref))
        return -ENOENT;
    change->told = qp_load_relaxed(&view->header->gossip) != 0;
    if (!make_room(worker, change, points_needed(change, verb), block))
        return -QP_EFULL;
    change->next = (struct qp_shard *)(void *)qp_block_at(view, *block);
    copy_shard(change->next, change->old, change->old_points);
    change->next->flags &= (uint16_t)~(QP_SHARD_DELETED | QP_SHARD_COLLECT);
    int error = verb->make(worker, change);
    if (error)
        return error;
    if (appends_point(change, verb))
        append_point(change, mint(worker, change->next));
    qp_store_relaxed(&change->next->block.bytes, qp_shard_payload(change->next->point_count));
    return 0;
}

bool qp_shard_replace(struct qp_worker *worker, struct qp_entry *entry, uint64_t ref, uint32_t block)
{
    uint32_t old = qp_ref_block(ref);
    /* Release: the block is seen whole; pairs with the acquire in qp_shard_read. Killed before: the block is
     * ours and unreferenced, and recovery frees it. Killed after: the change is made; recovery makes the new block
     * LIVE and asks for a full harvest, and the sweep retires the old one. */
    if (!qp_cas_seq(&entry->shard, &ref, qp_ref_next(ref, block)))
        return false;
    qp_block_published(worker, qp_block_class(block), qp_block_index(block), qp_entry_index(worker->view, entry));
    if (old)
        qp_block_retire(worker->view, qp_block_class(old), qp_block_index(old));
    return true;
}

static int publish(struct qp_worker *worker, struct qp_entry *entry, const struct verb *verb, int64_t *value)
{
    uint32_t block = 0;
    struct change change = {.entry = entry};
    for (;;) {
        change.value = *value;
        int error = prepare(worker, &change, verb, &block);
        if (error) {
            if (block)
                qp_block_drop(worker, block);
            return error;
        }
        if (qp_shard_replace(worker, entry, change.ref, block)) {
            qp_mark(worker->view, qp_entry_index(worker->view, entry));
            *value = change.value;
            return 0;
        } /* else somebody else's change succeeded */
    }
}

/* ---- the changes ----------------------------------------------------------------------------------------------------- */

/* Ends the plain epoch: base = what cell and stripes hold, and the epoch after `last` begins. Adds that come between our
 * look at each of these and the CAS are above the base, so they count in the new epoch. */
static int end_plain(const struct qp_worker *worker, struct change *change, uint64_t last)
{
    uint64_t cell = qp_stripe_total(worker->view, change->entry);
    if (last >= QP_EPOCH_PLAIN_MAX)
        return -EOVERFLOW;
    change->value = (int64_t)(cell - change->next->own[0].base);
    change->next->own[0].base = cell;
    change->next->own[0].epoch = last + 1;
    return 0;
}

/* The highest epoch that anybody has said of, as far as `end`; at least `own`. A delete takes all of them along. */
static uint64_t highest_epoch(const struct change *change, uint64_t own, uint64_t end)
{
    uint64_t highest = own;
    for (uint32_t i = 0; i < change->old_points; i++) {
        uint64_t epoch = change->old->point[i].epoch;
        if (epoch > highest && epoch < end)
            highest = epoch;
    }
    return highest;
}

static void forget_word(const struct qp_entry *entry, uint64_t ref, uint64_t *at, uint64_t tag)
{
    uint64_t word = qp_load_acquire(at);
    /* The reference after the word: if it is still ours, nobody was in that epoch yet when the word was read, so none
     * of its units are in it. */
    if (qp_epoch_count(word, tag) != 0 && qp_load_acquire(&entry->shard) == ref)
        qp_cas_acq_rel(at, &word, tag); /* lost: it has another tag by now, or the agent's newer word */
}

/* The tags of these words have fewer bits than there can be resets: what was given back, or counted by others, 1,024
 * resets ago must not count again. The agent's word of an epoch comes after the block that begins it or speaks of it
 * (acquire of the word, then the reference), so one that is read under `ref` is none of that epoch, and nobody who
 * takes under `ref` goes by it. Unless 1,024 resets are heard of at once: who takes just before the new block goes by
 * what he would find just after it, before the agent has told. */
void qp_shard_forget_refunds(struct qp_entry *entry, uint64_t ref, uint64_t window, uint64_t epoch)
{
    uint64_t tag = qp_epoch_tag(window, epoch & QP_EPOCH_RESETS_MASK);
    forget_word(entry, ref, &entry->refund[window & 1], tag);
    forget_word(entry, ref, &entry->remote[window & 1], tag);
}

/* A floor that others may have heard of does not go down, unless a clock that had jumped left it. */
static uint64_t floor_at_least(const struct change *change, uint64_t epoch, uint64_t window, uint32_t window_ms)
{
    const struct qp_shard *old = change->old;
    bool stays = change->told && old && old->tombstone.timestamp && old->floor > epoch &&
                 qp_epoch_window(old->floor, window_ms) <= window + (uint64_t)qp_window_skew(window_ms);
    return stays ? old->floor : epoch;
}

/* Ends the current window's epoch and shuts out the window before: floor = the highest epoch so far. */
static int end_windowed(const struct qp_worker *worker, struct change *change)
{
    struct qp_entry *entry = change->entry;
    uint32_t window_ms = qp_traits_window_ms(qp_entry_traits(entry));
    uint64_t cell[2] = {qp_striped_folded_cell(worker->view, entry, 0), qp_striped_folded_cell(worker->view, entry, 1)};
    if (qp_window_has_come_round(entry, window_ms, worker->now_ms))
        cell[0] = cell[1] = 0;
    uint64_t window = qp_window_current(entry, cell, window_ms, worker->now_ms);
    uint64_t own_epoch = qp_window_own_epoch(change->old, window, window_ms);
    uint64_t epoch = highest_epoch(change, own_epoch, qp_window_epoch(window + 1, window_ms));
    unsigned parity = window & 1;
    if ((epoch & QP_EPOCH_RESETS_MASK) == QP_EPOCH_RESETS_MASK)
        return -EOVERFLOW;
    uint64_t own = qp_window_own_count(change->old, cell[parity], window, window_ms);
    uint64_t refunded = qp_window_refunded(qp_load_relaxed(&entry->refund[parity]), window, own_epoch);
    change->value = own > refunded ? (int64_t)(own - refunded) : 0;
    change->next->own[parity].base = qp_cell_count_in(cell[parity], window);
    change->next->own[parity].epoch = epoch + 1;
    change->next->floor = floor_at_least(change, epoch, window, window_ms);
    change->window = window;
    qp_shard_forget_refunds(entry, change->ref, window, epoch + 1);
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
    return qp_traits_algorithm(qp_entry_traits(change->entry)) == QP_ALGORITHM_BUCKET ? end_bucket(worker, change)
                                                                             : end_windowed(worker, change);
}

/* A delete cuts what the other cell holds, of the window before or of one that is long over, as well: so that it can
 * be told from what comes. */
static void cut_other(const struct qp_view *view, struct change *change)
{
    uint32_t window_ms = qp_traits_window_ms(qp_entry_traits(change->entry));
    uint64_t window = change->window;
    unsigned parity = !(window & 1);
    uint64_t cell = qp_striped_folded_cell(view, change->entry, parity);
    uint64_t other = window + (uint64_t)(int64_t)qp_window_ahead(qp_cell_window(cell, parity), window & QP_WINDOW_MASK);
    uint64_t epoch = qp_window_own_epoch(change->old, other, window_ms);
    if (qp_cell_count(cell) == 0 || (epoch & QP_EPOCH_RESETS_MASK) == QP_EPOCH_RESETS_MASK)
        return;
    change->next->own[parity].base = qp_cell_count(cell);
    change->next->own[parity].epoch = epoch + 1;
    qp_shard_forget_refunds(change->entry, change->ref, other, epoch + 1);
}

static int make_delete(const struct qp_worker *worker, struct change *change)
{
    uint64_t traits = qp_entry_traits(change->entry);
    int error = 0;
    if (qp_traits_kind(traits) == QP_KIND_REGISTER) {
        change->value = (int64_t)QP_SHARD_REGISTER_VALUE(change->next);
        QP_SHARD_REGISTER_VALUE(change->next) = 0;
    } else if (qp_traits_window_ms(traits)) {
        error = end_limit(worker, change);
        if (!error && qp_traits_algorithm(traits) != QP_ALGORITHM_BUCKET)
            cut_other(worker->view, change);
    } else {
        change->next->floor = highest_epoch(change, change->next->own[0].epoch, UINT64_MAX);
        error = end_plain(worker, change, change->next->floor);
    }
    leave_tombstone(worker, change->next);
    change->next->flags |= QP_SHARD_DELETED;
    return error;
}

/* A plain counter begins its next epoch at 0 and is still there. The reset of a window is its delete, without the key
 * going. */
static int make_reset(const struct qp_worker *worker, struct change *change)
{
    if (!qp_traits_window_ms(qp_entry_traits(change->entry)))
        return end_plain(worker, change, change->next->own[0].epoch);
    leave_tombstone(worker, change->next);
    return end_limit(worker, change);
}

static int make_set(const struct qp_worker *worker, struct change *change)
{
    leave_tombstone(worker, change->next);
    QP_SHARD_REGISTER_VALUE(change->next) = (uint64_t)change->value;
    return 0;
}

/* A cut, and what is known of the key from an earlier eviction goes with it, or another eviction would bring it back:
 * a bucket that is full has nothing to remember instead, and a window that was carried has no resets of its own.
 * Within the section in which the entry was LIVE, so no eviction of it ends between. Killed between, or beside an
 * evictor who had counted already: the key is at worst as used as before the cut, once it was evicted again. */
static int cut(struct qp_worker *worker, struct qp_entry *entry, const struct verb *verb, int64_t *ended)
{
    int error = publish(worker, entry, verb, ended);
    if (!error && qp_traits_kind(qp_entry_traits(entry)) == QP_KIND_LIMIT)
        qp_victim_forget(worker->view, entry->hash);
    return error;
}

int qp_shard_reset(struct qp_worker *worker, struct qp_entry *entry, int64_t *ended)
{
    static const struct verb reset = {.make = make_reset, .ends = true, .appends = true};
    return cut(worker, entry, &reset, ended);
}

int qp_shard_delete(struct qp_worker *worker, struct qp_entry *entry, int64_t *ended)
{
    static const struct verb delete = {.make = make_delete, .ends = true};
    return cut(worker, entry, &delete, ended);
}

int qp_shard_set(struct qp_worker *worker, struct qp_entry *entry, int64_t value)
{
    static const struct verb set = {.make = make_set};
    return publish(worker, entry, &set, &value);
}

void qp_shard_fill_window(const struct qp_worker *worker, struct qp_shard *shard, uint64_t window, uint32_t window_ms,
                          uint64_t resets)
{
    copy_shard(shard, NULL, 0);
    leave_tombstone(worker, shard);
    /* Nothing is ended here. What the resets ended is below the floor; others are to hear of that, and to keep what
     * they have counted since: so the oldest version there is, which kills nothing. */
    shard->tombstone.timestamp = 1;
    shard->own[window & 1].epoch = qp_window_epoch(window, window_ms) + resets;
    shard->floor = shard->own[window & 1].epoch - 1;
}

void qp_shard_fill_register(const struct qp_worker *worker, struct qp_shard *shard, int64_t value)
{
    copy_shard(shard, NULL, 0);
    leave_tombstone(worker, shard);
    QP_SHARD_REGISTER_VALUE(shard) = (uint64_t)value;
}
