/* SPDX-License-Identifier: MIT */
/* recover.c: recovery of a dead process's claims and slots; the sweep over all state words. */
#include "recover.h"

#include "block.h"
#include "entry.h"
#include "extent.h"
#include "flight.h"
#include "grace.h"

/* Sections of the sweep stay short, so that it does not hold up the grace period it waits for. */
#define ITEMS_PER_SECTION 256

/* ---- blocks ---------------------------------------------------------------------------------------------------------- */

/* A chain of units is read only while it cannot be reused under our eyes: its entry was seen not yet RETIRED in this
 * section. Else the answer is "yes, leave it alone", until the entry is FREE or in use again. */
static bool chain_refers(const struct qp_view *view, const struct qp_entry *entry, uint32_t block)
{
    switch (qp_state_of(qp_load_acquire(&entry->state))) {
    case QP_STATE_FREE: return false;
    case QP_STATE_CLAIMED:
    case QP_STATE_RETIRED: return true;
    default:
        return qp_traits_kind(qp_entry_traits(entry)) == QP_KIND_INFLIGHT && qp_flight_refers(view, entry, block);
    }
}

/* Whether the parent named in a block refers to it, whatever state either is in. The parent was written before the
 * block was published, so for a block that was, the answer is right; one that was not has no parent that refers to
 * it. */
static bool is_referenced(const struct qp_view *view, unsigned class_number, uint32_t index, uint32_t *parent)
{
    uint32_t block = qp_block_make(class_number, index);
    if (class_number == QP_CLASS_TABLE) {
        *parent = 0;
        return (uint32_t)qp_load_acquire(&view->header->strategy) == block;
    }
    const struct qp_block *b = qp_block_at(view, block);
    *parent = qp_load_relaxed(&b->parent);
    const struct qp_entry *entry = qp_entry_at(view, *parent);
    if (!entry)
        return false;
    switch (qp_load_relaxed(&b->kind)) {
    case QP_BLOCK_KEY: return qp_load_relaxed(&entry->key_block) == block;
    case QP_BLOCK_FLIGHT: return chain_refers(view, entry, block);
    case QP_BLOCK_STRIPES: return (uint32_t)qp_load_acquire(&entry->traits) == block;
    default: return qp_ref_block(qp_load_acquire(&entry->shard)) == block;
    }
}

/* A claim whose owner is gone: published before it died, or not. Not FREE at once in the second case, for it may have
 * been published and replaced, and readers may still hold it. */
static bool recover_block(const struct qp_view *view, unsigned class_number, uint32_t index, uint64_t seen)
{
    uint32_t parent;
    uint64_t *state = qp_state_at(view, class_number, index);
    if (is_referenced(view, class_number, index, &parent))
        return qp_cas_acq_rel(state, &seen, qp_state_next(seen, QP_STATE_LIVE, parent));
    return qp_cas_acq_rel(state, &seen, qp_state_next(seen, QP_STATE_RETIRED, qp_grace_stamp(view)));
}

/* A block that was replaced by someone who died before retiring it. LIVE comes after publication and nothing is
 * published twice, so what is LIVE and not referred to never will be again. */
static bool retire_orphan(const struct qp_view *view, unsigned class_number, uint32_t index, uint64_t seen)
{
    uint32_t parent;
    return !is_referenced(view, class_number, index, &parent) &&
           qp_cas_acq_rel(qp_state_at(view, class_number, index), &seen,
                          qp_state_next(seen, QP_STATE_RETIRED, qp_grace_stamp(view)));
}

/* ---- one dead process ---------------------------------------------------------------------------------------------- */

static void recover_slots(const struct qp_view *view, uint64_t owner, const struct qp_slot *keep)
{
    for (uint32_t i = 0; i < view->slot_count; i++) {
        struct qp_slot *slot = &view->slots[i];
        if (qp_load_acquire(&slot->owner) != (QP_SLOT_IN_USE | owner) || slot == keep)
            continue;
        if (qp_load_relaxed(&slot->epoch) != 0)
            qp_add_relaxed(&view->header->stat_recovered_sections, 1);
        qp_slot_release(slot); /* its thread is dead: nobody else writes it */
    }
}

/* The units of in-flight limits that a dead process held. Killed midway: its record is ACTIVE still, and the next one
 * begins again. */
static void recover_units(struct qp_worker *worker, uint64_t owner)
{
    const struct qp_view *view = worker->view;
    uint64_t units = 0;
    uint32_t count = qp_entry_count(view);
    for (uint32_t i = 1; i < count;) {
        uint32_t stop = count - i > ITEMS_PER_SECTION ? i + ITEMS_PER_SECTION : count;
        qp_grace_enter(view, worker->slot);
        for (; i < stop; i++) {
            units += qp_flight_release(view, &view->entries[i], owner);
        }
        qp_grace_exit(worker->slot);
    }
    if (units)
        qp_add_relaxed(&view->header->stat_recovered_units, units);
}

static void recover_claims(struct qp_worker *worker, unsigned class_number, uint64_t owner)
{
    const struct qp_view *view = worker->view;
    uint64_t repaired = 0;
    qp_grace_enter(view, worker->slot);
    for (uint32_t i = class_number == QP_CLASS_ENTRY; i < qp_class_count(view, class_number); i++) {
        uint64_t seen = qp_load_relaxed(qp_state_at(view, class_number, i));
        if (qp_state_of(seen) != QP_STATE_CLAIMED || qp_state_argument(seen) != owner)
            continue;
        repaired += class_number == QP_CLASS_ENTRY ? qp_entry_recover(worker, &view->entries[i], owner)
                                                   : recover_block(view, class_number, i, seen);
    }
    qp_grace_exit(worker->slot);
    if (repaired)
        qp_add_relaxed(&view->header->stat_recovered_blocks, repaired);
}

void qp_recover_record(struct qp_worker *worker, uint32_t record)
{
    const struct qp_view *view = worker->view;
    uint64_t *tenancy = &view->records[record].tenancy;
    uint64_t seen = qp_load_acquire(tenancy);
    if (!qp_tenancy_is_active(seen))
        return;
    uint64_t owner = qp_owner_make(record, qp_tenancy_generation(seen));
    recover_slots(worker->view, owner, worker->slot);
    qp_extent_recover(view, owner);
    qp_extent_follow(view); /* what it claimed may lie beyond what we know of */
    /* Entries first: whether a block is referred to depends on what became of its entry. */
    for (unsigned c = QP_CLASS_ENTRY; c < QP_CLASS_COUNT; c++)
        recover_claims(worker, c, owner);
    recover_units(worker, owner);
    qp_add_relaxed(&view->header->stat_recovered_processes, 1);
    /* It may have changed what it did not mark any more. Release, pairs with the agent's acquire: who takes this sees
     * all that the dead process and its recovery have changed. Killed before: the record is still ACTIVE. */
    qp_store_release(&view->header->harvest_all, 1);
    if (owner == worker->owner)
        return; /* the caller goes on as this record's tenant */
    /* Last. Killed before: the record is still ACTIVE and unlocked, and the next one starts again. */
    qp_store_release(tenancy, qp_tenancy_make(qp_tenancy_generation(seen), QP_TENANCY_FREE));
}

void qp_recover_dead_slots(const struct qp_view *view, const struct qp_liveness *liveness)
{
    for (uint32_t r = 0; r < view->record_count; r++) {
        if (!qp_tenancy_is_active(qp_load_acquire(&view->records[r].tenancy)) ||
            !liveness->seize(liveness->context, r))
            continue;
        uint64_t seen = qp_load_acquire(&view->records[r].tenancy);
        if (qp_tenancy_is_active(seen))
            recover_slots(view, qp_owner_make(r, qp_tenancy_generation(seen)), NULL);
        liveness->release(liveness->context, r);
    }
}

uint32_t qp_recover_dead(struct qp_worker *worker, const struct qp_liveness *liveness)
{
    const struct qp_view *view = worker->view;
    uint32_t recovered = 0;
    for (uint32_t r = 0; r < view->record_count; r++) {
        if (r == qp_owner_record(worker->owner) || !qp_tenancy_is_active(qp_load_acquire(&view->records[r].tenancy)) ||
            !liveness->seize(liveness->context, r))
            continue;
        if (qp_tenancy_is_active(qp_load_acquire(&view->records[r].tenancy))) {
            qp_recover_record(worker, r);
            recovered++;
        }
        liveness->release(liveness->context, r);
    }
    return recovered;
}

/* ---- the sweep ------------------------------------------------------------------------------------------------------ */

/* Units of processes that closed the segment without leaving. */
static void sweep_units(struct qp_worker *worker, struct qp_entry *entry, struct qp_sweep *sweep)
{
    uint64_t units = qp_flight_release_gone(worker->view, entry);
    if (units)
        qp_add_relaxed(&worker->view->header->stat_recovered_units, units);
    sweep->done += units;
}

static void sweep_entry(struct qp_worker *worker, uint32_t index, struct qp_sweep *sweep)
{
    struct qp_entry *entry = &worker->view->entries[index];
    uint64_t seen = qp_load_acquire(&entry->state);
    enum qp_word_state state = qp_state_of(seen);
    sweep_units(worker, entry, sweep);
    if (state == QP_STATE_CLAIMED && !qp_owner_is_current(worker->view, qp_state_argument(seen)))
        sweep->done += qp_entry_recover(worker, entry, qp_state_argument(seen));
    else
        while (qp_entry_advance(worker, entry)) /* at most the steps of one life: each waits for a grace period or the next */
            sweep->done++;
    seen = qp_load_acquire(&entry->state);
    state = qp_state_of(seen);
    if (state == QP_STATE_CLOSING || state == QP_STATE_EVICTING || state == QP_STATE_RETIRED)
        sweep->waiting += !qp_state_argument(seen) || qp_grace_stamp_exists(worker->view, qp_state_argument(seen));
}

static void sweep_block(struct qp_worker *worker, unsigned class_number, uint32_t index, struct qp_sweep *sweep)
{
    const struct qp_view *view = worker->view;
    uint64_t seen = qp_load_acquire(qp_state_at(view, class_number, index));
    switch (qp_state_of(seen)) {
    case QP_STATE_CLAIMED:
        if (!qp_owner_is_current(view, qp_state_argument(seen)))
            sweep->done += recover_block(view, class_number, index, seen);
        break;
    case QP_STATE_LIVE:
        if (retire_orphan(view, class_number, index, seen)) {
            sweep->done++;
            qp_add_relaxed(&view->header->stat_completed_steps, 1);
        }
        break;
    case QP_STATE_RETIRED:
        if (qp_block_reclaim(view, class_number, index)) {
            sweep->done++;
            sweep->freed++;
        } else
            sweep->waiting += qp_grace_stamp_exists(view, qp_state_argument(seen));
        break;
    default:
        break;
    }
}

uint64_t qp_sweep_items(const struct qp_view *view)
{
    uint64_t items = 0;
    qp_extent_follow(view);
    for (int c = 0; c < QP_CLASS_COUNT; c++)
        items += qp_class_count(view, (unsigned)c);
    return items;
}

static void sweep_item(struct qp_worker *worker, uint64_t item, struct qp_sweep *sweep)
{
    unsigned c = 0;
    /* They may have become more since the item was numbered: then it is one before. */
    for (uint32_t count; item >= (count = qp_class_count(worker->view, c)); c++)
        item -= count;
    if (c == QP_CLASS_ENTRY && item == 0)
        return;
    sweep->done += qp_block_repair_hint(worker->view, c, (uint32_t)item);
    if (c == QP_CLASS_ENTRY)
        sweep_entry(worker, (uint32_t)item, sweep);
    else
        sweep_block(worker, c, (uint32_t)item, sweep);
}

void qp_sweep_range(struct qp_worker *worker, uint64_t first, uint64_t count, struct qp_sweep *sweep)
{
    uint64_t end = first + count;
    uint64_t items = qp_sweep_items(worker->view);
    if (end > items)
        end = items;
    while (first < end) {
        uint64_t stop = end - first > ITEMS_PER_SECTION ? first + ITEMS_PER_SECTION : end;
        qp_grace_enter(worker->view, worker->slot);
        for (; first < stop; first++)
            sweep_item(worker, first, sweep);
        qp_grace_exit(worker->slot);
    }
}
