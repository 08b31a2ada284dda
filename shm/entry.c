/* SPDX-License-Identifier: MIT */
/* entry.c: the steps of an entry's life. The order of the steps and why it is safe: entry.h. */
#include "entry.h"

#include "block.h"
#include "error.h"
#include "evict.h"
#include "flight.h"
#include "grace.h"
#include "mark.h"
#include "shard.h"
#include "victim.h"
#include "window.h"

static bool state_step(struct qp_entry *entry, uint64_t seen, enum qp_word_state to, uint64_t argument)
{
    return qp_cas_seq(&entry->state, &seen, qp_state_next(seen, to, argument));
}

/* Nobody can make it LIVE any more. The agent is told: what it knows of the key has no entry now. */
static bool die(const struct qp_view *view, struct qp_entry *entry, uint64_t seen)
{
    if (!state_step(entry, seen, QP_STATE_DEAD, 0))
        return false;
    qp_mark(view, qp_entry_index(view, entry));
    return true;
}

/* ---- birth --------------------------------------------------------------------------------------------------------- */

/* The shard block that a new entry comes with, if it needs one: a register's value, an in-flight limit's units, the
 * resets of a key that was evicted. false: no block free. */
static bool fill_shard(struct qp_worker *worker, struct qp_entry *entry, const struct qp_birth *birth)
{
    uint32_t block, index = qp_entry_index(worker->view, entry), window_ms = qp_traits_window_ms(birth->draft.traits);
    unsigned kind = qp_traits_kind(birth->draft.traits);
    if (birth->block) {
        block = birth->block;
        qp_store_relaxed(&qp_block_at(worker->view, block)->parent, index);
    } else if (kind == QP_KIND_INFLIGHT) {
        if (!qp_flight_make(worker, index, birth->units, &block))
            return false;
    } else if (kind == QP_KIND_REGISTER || birth->resets) {
        if (!qp_block_alloc(worker, QP_BLOCK_SHARD, index, qp_shard_payload(0), &block))
            return false;
        struct qp_shard *shard = (struct qp_shard *)(void *)qp_block_at(worker->view, block);
        if (kind == QP_KIND_REGISTER)
            qp_shard_fill_register(worker, shard, birth->register_value);
        else
            qp_shard_fill_window(worker, shard, birth->window, window_ms, birth->resets);
    } else {
        return true;
    }
    qp_store_relaxed(&entry->shard, qp_ref_next(entry->shard, block));
    return true;
}

/* Fills a claimed entry. Nobody can find it yet; a check that goes through all entries by number may be looking at
 * it, so its words are stored relaxed, here and in empty. false: no block free. */
static bool fill(struct qp_worker *worker, struct qp_entry *entry, const struct qp_key *key,
                 const struct qp_birth *birth)
{
    const struct qp_view *view = worker->view;
    uint32_t block;
    qp_store_relaxed(&entry->hash, key->hash);
    qp_store_relaxed(&entry->key_bytes, (uint16_t)key->byte_count);
    qp_store_relaxed(&entry->traits, birth->draft.traits);
    qp_store_relaxed(&entry->strategy, birth->draft.strategy);
    qp_store_relaxed(&entry->used_at_s, birth->draft.used_at_s);
    qp_store_relaxed(&entry->denied, birth->draft.denied);
    for (int i = 0; i < 2; i++) {
        qp_store_relaxed(&entry->cell[i], birth->draft.cell[i]);
        qp_store_relaxed(&entry->refund[i], birth->draft.refund[i]);
    }
    if (key->byte_count <= QP_KEY_BYTES_INLINE) {
        memcpy(entry->key, key->bytes, key->byte_count);
    } else {
        if (!qp_block_alloc(worker, QP_BLOCK_KEY, qp_entry_index(view, entry), key->byte_count, &block)) {
            if (birth->block)
                qp_block_drop(worker, birth->block);
            return false;
        }
        memcpy(qp_block_at(view, block) + 1, key->bytes, key->byte_count);
        qp_store_relaxed(&entry->key_block, block);
    }
    return fill_shard(worker, entry, birth);
}

/* Gives back a block that an entry refers to: the creator's own unpublished claim, or a child of an entry being
 * emptied. Only the creator's: an entry that is emptied after a death may name a block that was freed then and is
 * claimed by now, by another thread of this very process. */
static void drop_child(struct qp_worker *worker, struct qp_entry *entry, uint32_t block, bool unpublished)
{
    if (!block || qp_block_class(block) < QP_CLASS_BLOCK_128 || !qp_block_valid(worker->view, block))
        return;
    if (unpublished)
        qp_block_drop(worker, block);
    else
        qp_block_free_child(worker->view, block, qp_entry_index(worker->view, entry));
}

/* Empties an entry that is CLAIMED by us and reachable by nobody, and frees it. unpublished: it never was reachable.
 * Killed anywhere in here: still CLAIMED, so recovery starts this again; a child that is free by then is not freed
 * twice, because its state word no longer names this parent. */
static void empty(struct qp_worker *worker, struct qp_entry *entry, bool unpublished)
{
    drop_child(worker, entry, entry->key_block, unpublished);
    if (qp_traits_kind(qp_entry_traits(entry)) == QP_KIND_INFLIGHT && !unpublished)
        qp_flight_drop(worker, entry);
    else
        drop_child(worker, entry, qp_ref_block(entry->shard), unpublished);
    drop_child(worker, entry, (uint32_t)qp_entry_traits(entry), unpublished);
    qp_store_relaxed(&entry->key_block, 0);
    qp_store_relaxed(&entry->shard, 0);
    qp_store_relaxed(&entry->link, 0);
    qp_store_relaxed(&entry->hash, 0);
    qp_store_relaxed(&entry->key_bytes, 0);
    qp_store_relaxed(&entry->cell[0], 0);
    qp_store_relaxed(&entry->cell[1], 0);
    qp_store_relaxed(&entry->traits, 0);
    qp_store_relaxed(&entry->strategy, 0);
    qp_store_relaxed(&entry->denied, 0);
    for (int i = 0; i < 2; i++) {
        qp_store_relaxed(&entry->remote[i], 0);
        qp_store_relaxed(&entry->refund[i], 0);
    }
    qp_store_relaxed(&entry->used_at_s, 0);
    qp_block_unclaim(worker, QP_CLASS_ENTRY, qp_entry_index(worker->view, entry));
}

static void mark_published(struct qp_worker *worker, struct qp_entry *entry)
{
    uint32_t index = qp_entry_index(worker->view, entry);
    uint32_t children[2] = {qp_load_relaxed(&entry->key_block), qp_ref_block(qp_load_acquire(&entry->shard))};
    for (int i = 0; i < 2; i++)
        if (children[i] && qp_block_valid(worker->view, children[i]))
            qp_block_published(worker, qp_block_class(children[i]), qp_block_index(children[i]), index);
    qp_entry_revive(worker->view, entry);
}

int qp_entry_create(struct qp_worker *worker, const struct qp_key *key, const struct qp_birth *birth,
                    struct qp_entry **entry)
{
    uint32_t index;
    if (!qp_block_claim(worker, QP_CLASS_ENTRY, &index)) {
        if (birth->block)
            qp_block_drop(worker, birth->block);
        return -QP_EFULL;
    }
    struct qp_entry *mine = &worker->view->entries[index];
    if (!fill(worker, mine, key, birth)) {
        empty(worker, mine, true);
        return -QP_EFULL;
    }
    int inserted = qp_table_insert(worker, key, index, entry);
    if (inserted != 1) {
        empty(worker, mine, true);
        return inserted;
    }
    /* Killed here: in the table, and counted; the first to meet it makes it LIVE. */
    mark_published(worker, mine);
    qp_mark(worker->view, index);
    *entry = mine;
    return 1;
}

/* ---- staying -------------------------------------------------------------------------------------------------------- */

bool qp_entry_revive_slow(const struct qp_view *view, struct qp_entry *entry)
{
    (void)view;
    uint64_t seen = qp_load_acquire(&entry->state);
    for (;;) {
        switch (qp_state_of(seen)) {
        case QP_STATE_LIVE:
            return true;
        case QP_STATE_CLAIMED: /* found in the table, so published: its inserter may be dead */
        case QP_STATE_CLOSING:
        case QP_STATE_EVICTING:
            /* seq: our section was entered before, and whoever closed it compares the whole word when it finishes. */
            if (qp_cas_seq(&entry->state, &seen, qp_state_next(seen, QP_STATE_LIVE, 0)))
                return true;
            break; /* somebody else took a step */
        default:
            return false;
        }
    }
}

/* ---- leaving -------------------------------------------------------------------------------------------------------- */

enum wish { STAYS, COLLECTED, EXPIRED };

/* Whether an entry is to go: a deleted key that nobody has used since, or one that has been idle. Idle counters and
 * registers are deleted first (advance), for others are told of that. */
static enum wish wants_removal(const struct qp_worker *worker, const struct qp_entry *entry)
{
    unsigned kind = qp_traits_kind(qp_entry_traits(entry));
    if (qp_shard_may_go(worker->view, entry, qp_load_acquire(&entry->shard), worker->now_ms))
        return COLLECTED;
    if ((kind == QP_KIND_LIMIT || kind == QP_KIND_INFLIGHT) && qp_evict_is_idle(worker->view, entry, worker->now_ms))
        return EXPIRED;
    return STAYS;
}

/* CLOSING(stamp), a grace period later: every add that saw LIVE is in the cells by now. */
static bool finish(const struct qp_worker *worker, struct qp_entry *entry, uint64_t seen)
{
    if (!qp_grace_passed(worker->view, qp_state_argument(seen)))
        return false;
    enum wish wish = wants_removal(worker, entry);
    if (wish == STAYS)
        return state_step(entry, seen, QP_STATE_LIVE, 0);
    /* A deleted limit begins anew, but not in an epoch that it had already: what was taken there must not be given
     * back here. Killed on the way to DEAD: who finishes it does both again. */
    if (wish == COLLECTED && qp_traits_kind(qp_entry_traits(entry)) == QP_KIND_LIMIT) {
        qp_victim_forget(worker->view, entry->hash);
        qp_evict_remember(worker->view, entry, worker->now_ms);
    }
    if (!die(worker->view, entry, seen))
        return false;
    if (wish == EXPIRED)
        qp_add_relaxed(&worker->view->header->stat_expired, 1);
    return true;
}

/* EVICTING(stamp), a grace period later: every take that saw LIVE is in the cells, and one that comes now changes the
 * word first. */
static bool finish_eviction(const struct qp_worker *worker, struct qp_entry *entry, uint64_t seen)
{
    if (!qp_grace_passed(worker->view, qp_state_argument(seen)))
        return false;
    /* Remembered before it is DEAD, when its key can begin anew. Killed between: remembered, and still there; it is
     * evicted again or used again, and what is remembered only grows. */
    if (!qp_evict_remember(worker->view, entry, worker->now_ms))
        return state_step(entry, seen, QP_STATE_LIVE, 0);
    if (!die(worker->view, entry, seen))
        return false;
    qp_add_relaxed(&worker->view->header->stat_evicted, 1);
    return true;
}

bool qp_entry_evict(struct qp_worker *worker, struct qp_entry *entry, uint64_t cost)
{
    uint64_t seen = qp_load_acquire(&entry->state);
    return qp_state_of(seen) == QP_STATE_LIVE && qp_evict_cost(worker->view, entry, worker->now_ms) <= cost &&
           state_step(entry, seen, QP_STATE_EVICTING, 0);
}

void qp_entry_bury(const struct qp_view *view, struct qp_entry *entry)
{
    uint64_t seen = qp_load_acquire(&entry->state);
    /* Unstamped: another who saw DEAD, by the entry's number and not by a link, may be about to mark and unlink it,
     * and must be gone before it is reused. Its section began before this step, so a stamp read after it covers that
     * one too; the epoch read now would not. Killed before: DEAD, and unlinked again by the next. */
    if (qp_state_of(seen) == QP_STATE_DEAD && qp_table_purge(view, entry))
        state_step(entry, seen, QP_STATE_RETIRED, 0);
}

static bool reclaim(struct qp_worker *worker, struct qp_entry *entry, uint64_t seen)
{
    if (!qp_grace_passed(worker->view, qp_state_argument(seen)) ||
        !state_step(entry, seen, QP_STATE_CLAIMED, worker->owner))
        return false;
    empty(worker, entry, false);
    return true;
}

/* LIVE: closed if it is to go. A counter or register that nobody uses is deleted, like one that somebody deletes. */
static bool close(struct qp_worker *worker, struct qp_entry *entry, uint64_t seen)
{
    unsigned kind = qp_traits_kind(qp_entry_traits(entry));
    int64_t ended = 0;
    if (wants_removal(worker, entry) != STAYS)
        return state_step(entry, seen, QP_STATE_CLOSING, 0);
    if (kind == QP_KIND_COUNTER && qp_evict_keeps_time(worker->view, entry))
        qp_evict_note_use(worker->view, entry, worker->now_ms);
    if ((kind != QP_KIND_COUNTER && kind != QP_KIND_REGISTER) ||
        !qp_evict_is_idle(worker->view, entry, worker->now_ms) || qp_shard_delete(worker, entry, &ended))
        return false;
    qp_add_relaxed(&worker->view->header->stat_expired, 1);
    return true;
}

bool qp_entry_advance(struct qp_worker *worker, struct qp_entry *entry)
{
    const struct qp_view *view = worker->view;
    uint64_t seen = qp_load_acquire(&entry->state);
    switch (qp_state_of(seen)) {
    case QP_STATE_LIVE:
        return close(worker, entry, seen);
    case QP_STATE_CLOSING:
    case QP_STATE_EVICTING:
        if (qp_state_argument(seen) == 0)
            return state_step(entry, seen, qp_state_of(seen), qp_grace_stamp(view));
        return qp_state_of(seen) == QP_STATE_CLOSING ? finish(worker, entry, seen) : finish_eviction(worker, entry, seen);
    case QP_STATE_DEAD:
        qp_entry_bury(view, entry);
        return qp_load_relaxed(&entry->state) != seen;
    case QP_STATE_RETIRED:
        if (qp_state_argument(seen) == 0)
            return state_step(entry, seen, QP_STATE_RETIRED, qp_grace_stamp(view));
        return reclaim(worker, entry, seen);
    default:
        return false;
    }
}

void qp_entry_end(const struct qp_view *view, struct qp_entry *entry)
{
    bool counter = qp_traits_kind(qp_entry_traits(entry)) == QP_KIND_COUNTER;
    uint64_t seen = qp_load_acquire(&entry->state);
    /* No grace period before DEAD: what was added is given up with the entry, so an add that still saw LIVE came
     * before this. CLAIMED: found in the table, so published; its inserter may be stopped or dead, and is not waited
     * for. */
    while (qp_state_is_present(qp_state_of(seen))) {
        if (counter && qp_state_of(seen) == QP_STATE_LIVE) {
            /* Handles go by the epoch in place of this word. Closed first, and then a new epoch: who knows of it from when it was
             * LIVE has an older one, and looks at the word before the next add. Killed in between: CLOSING, as by a sweep. */
            state_step(entry, seen, QP_STATE_CLOSING, 0);
        } else {
            if (counter)
                qp_grace_advance(view);
            if (die(view, entry, seen))
                break;
        }
        seen = qp_load_acquire(&entry->state);
    }
    qp_entry_bury(view, entry);
}

/* ---- after a death ---------------------------------------------------------------------------------------------------- */

bool qp_entry_recover(struct qp_worker *worker, struct qp_entry *entry, uint64_t owner)
{
    uint64_t seen = qp_load_acquire(&entry->state);
    if (qp_state_of(seen) != QP_STATE_CLAIMED || qp_state_argument(seen) != owner)
        return false;
    if (qp_table_is_linked(worker->view, entry))
        return state_step(entry, seen, QP_STATE_LIVE, 0);
    if (!state_step(entry, seen, QP_STATE_CLAIMED, worker->owner))
        return false;
    empty(worker, entry, false);
    return true;
}
