/* SPDX-License-Identifier: MIT */
/* agent_key.c: finding, reading and changing keys for the agent: copy, edit, and one CAS of the entry's reference, as
 * shm/shard.c does for workers.
 *
 * Killed before the CAS: the block is a dead process's claim, and recovery frees it. Killed after: the change is
 * made. What the agent had in mind to do besides (remote totals, its own tables) is made anew from the blocks by the
 * next agent, which begins with a visit to everything. */
#include <errno.h>

#include "../shm/block.h"
#include "../shm/entry.h"
#include "../shm/error.h"
#include "../shm/evict.h"
#include "../shm/grace.h"
#include "../shm/shard.h"
#include "../shm/strategy.h"
#include "../shm/victim.h"
#include "../shm/window.h"
#include "agent_internal.h"
#include "care.h"
#include "key.h"

#define LOOKS_MAX 1000 /* at a key that keeps leaving: more, and the segment is damaged */

/* ---- finding and reading ---------------------------------------------------------------------------------------------- */

static bool is_kept_here(const struct qp_row *row)
{
    return row && row->scope == QP_SCOPE_HOST;
}

/* The entry in a slot, if it stands for a key that others are told of. One that is CLAIMED is being filled, or was
 * not made LIVE by who inserted it: he marks it then. */
static struct qp_entry *told_entry(const struct qp_view *view, uint32_t slot)
{
    struct qp_entry *entry = qp_entry_at(view, slot);
    enum qp_word_state state = entry ? qp_state_of(qp_load_acquire(&entry->state)) : QP_STATE_FREE;
    if (!qp_state_is_present(state) || state == QP_STATE_CLAIMED || !qp_agent_is_told(qp_entry_traits(entry)) ||
        is_kept_here(qp_strategy_row_of(view, entry)))
        return NULL;
    return entry;
}

static void note_seen(struct qp_agent *agent, const struct qp_entry *entry)
{
    agent->seen_slot = qp_entry_index(&agent->q->view, entry);
    agent->seen_hash = entry->hash;
}

uint32_t qp_agent_find(struct qp_agent *agent, const void *key, size_t key_bytes)
{
    int error;
    struct qp_worker *worker = qp_agent_reader(agent, &error);
    if (!worker || qp_key_check(agent->q, key, key_bytes))
        return 0;
    const struct qp_view *view = worker->view;
    struct qp_key k = qp_key_make(view, key, key_bytes);
    qp_grace_enter(view, worker->slot);
    error = 0;
    struct qp_entry *entry = qp_table_find(view, &k, &error);
    enum qp_word_state state = entry ? qp_state_of(qp_load_acquire(&entry->state)) : QP_STATE_FREE;
    if (state == QP_STATE_CLAIMED && !qp_entry_revive(view, entry))
        state = QP_STATE_FREE;
    uint32_t slot = qp_state_is_present(state) ? qp_entry_index(view, entry) : 0;
    qp_grace_exit(worker->slot);
    return slot;
}

static bool read_entry(struct qp_agent *agent, const struct qp_worker *worker, uint32_t slot, void *key, size_t *key_bytes,
                       struct qp_state *out)
{
    uint64_t ref;
    struct qp_entry *entry = told_entry(worker->view, slot);
    const uint8_t *bytes = entry ? qp_entry_key(worker->view, entry) : NULL;
    if (!bytes || entry->key_bytes == 0 || entry->key_bytes > QP_KEY_BYTES_MAX ||
        qp_agent_look(agent, entry, worker->now_ms, false, out, &ref))
        return false;
    memcpy(key, bytes, entry->key_bytes);
    *key_bytes = entry->key_bytes;
    note_seen(agent, entry);
    return true;
}

bool qp_agent_read(struct qp_agent *agent, uint32_t slot, void *key, size_t *key_bytes, struct qp_state *out)
{
    int error;
    struct qp_worker *worker = qp_agent_reader(agent, &error);
    if (!worker)
        return false;
    qp_grace_enter(worker->view, worker->slot);
    bool there = read_entry(agent, worker, slot, key, key_bytes, out);
    qp_grace_exit(worker->slot);
    return there;
}

/* ---- changing a key that is held ---------------------------------------------------------------------------------------- */

/* What an edit has in hand. */
struct edit {
    qp_edit_function *edit;
    void *arg;
};

/* Limits whose epoch the edit moves: what shm/shard.c does with refunds before a reset, and with the victim table
 * after it. */
static bool moves_window(const struct qp_state *state, const uint64_t epoch[2], unsigned parity)
{
    return state->kind == QP_KIND_LIMIT && state->own[parity].epoch != epoch[parity];
}

/* A base must not be a sum of stripes that are in use (qp_striped_folded_cell): then the edit is made anew, from cells. */
static bool ends_on_stripes(const struct qp_entry *entry, const struct qp_state *state, const uint64_t epoch[2])
{
    uint64_t traits = qp_entry_traits(entry);
    return (uint32_t)traits && qp_traits_window_ms(traits) && qp_traits_algorithm(traits) != QP_ALGORITHM_BUCKET &&
           (moves_window(state, epoch, 0) || moves_window(state, epoch, 1));
}

static void before_move(struct qp_entry *entry, uint64_t ref, const struct qp_state *state, const uint64_t epoch[2])
{
    for (unsigned parity = 0; parity < 2; parity++)
        if (moves_window(state, epoch, parity))
            qp_shard_forget_refunds(entry, ref, qp_epoch_window(state->own[parity].epoch, state->window_ms),
                                    state->own[parity].epoch);
}

/* 1: done. 0: somebody else's change came first. < 0: as qp_agent_update; -EAGAIN: the entry has left. */
static int publish(struct qp_agent *agent, struct qp_worker *worker, struct qp_entry *entry, uint64_t ref, const uint64_t epoch[2])
{
    const struct qp_state *state = &agent->state;
    uint32_t block;
    if (!qp_entry_revive(worker->view, entry))
        return -EAGAIN;
    int error = qp_agent_encode(agent, worker, qp_entry_index(worker->view, entry), state, &block);
    if (error)
        return error;
    before_move(entry, ref, state, epoch);
    if (!qp_shard_replace(worker, entry, ref, block)) {
        qp_block_drop(worker, block);
        return 0;
    }
    if (moves_window(state, epoch, 0) || moves_window(state, epoch, 1))
        qp_victim_forget(worker->view, entry->hash);
    return 1;
}

static int update_entry(struct qp_agent *agent, struct qp_worker *worker, struct qp_entry *entry, const struct edit *edit)
{
    struct qp_state *state = &agent->state;
    for (bool folded = false;;) {
        uint64_t ref;
        int error = qp_agent_look(agent, entry, worker->now_ms, folded, state, &ref);
        if (error)
            return error;
        uint64_t epoch[2] = {state->own[0].epoch, state->own[1].epoch};
        int wanted = edit->edit(state, edit->arg);
        if (wanted != QP_EDIT_PUBLISH)
            return wanted;
        if (ends_on_stripes(entry, state, epoch) && !folded) {
            folded = true;
            continue;
        }
        int done = publish(agent, worker, entry, ref, epoch);
        if (done)
            return done < 0 ? done : QP_EDIT_PUBLISH;
    }
}

static int update_slot(struct qp_agent *agent, struct qp_worker *worker, uint32_t slot, const struct edit *edit)
{
    struct qp_entry *entry = told_entry(worker->view, slot);
    if (!entry)
        return -ENOENT;
    note_seen(agent, entry);
    int result = update_entry(agent, worker, entry, edit);
    return result == -EAGAIN ? -ENOENT : result;
}

int qp_agent_update(struct qp_agent *agent, uint32_t slot, qp_edit_function *edit, void *arg)
{
    int result;
    struct qp_worker *worker = qp_agent_worker(agent, &result);
    if (!worker)
        return result;
    for (uint32_t attempt = 0;; attempt++) {
        qp_grace_enter(worker->view, worker->slot);
        result = qp_handle_is_stale(agent->q) ? -ESTALE : update_slot(agent, worker, slot, &(struct edit){edit, arg});
        qp_grace_exit(worker->slot);
        if (result != -QP_EFULL || !qp_care_make_room(agent->q, worker, attempt, false))
            return result;
    }
}

/* ---- changing a key that may not be held -------------------------------------------------------------------------------- */

/* Whether an entry of those traits is what others know the key as. Fixed or sliding is this host's own choice. */
static bool fits(uint64_t traits, unsigned kind, uint32_t window_ms)
{
    return qp_agent_is_told(traits) && qp_traits_kind(traits) == kind && qp_traits_window_ms(traits) == window_ms;
}

/* A new key's entry, as it is before the edit: empty, or with what is remembered of it since it was evicted. */
static int draft_key(struct qp_agent *agent, struct qp_worker *worker, const struct qp_key *key, unsigned kind, uint32_t window_ms,
                     struct qp_birth *birth)
{
    const struct qp_row *row;
    struct qp_shard cut;
    qp_key_birth(worker->view, key, kind, birth, &row);
    if (!fits(birth->draft.traits, kind, window_ms) || is_kept_here(row))
        return -EPROTOTYPE;
    if (row)
        qp_evict_recall(worker->view, key->hash, row, worker->now_ms, birth);
    if (birth->resets)
        qp_shard_fill_window(worker, &cut, birth->window, window_ms, birth->resets);
    birth->draft.used_at_s = (uint32_t)(worker->now_ms / 1000); /* not idle since ever */
    return qp_agent_decode(agent, &birth->draft, birth->resets ? &cut : NULL, 0, worker->now_ms, &agent->state);
}

/* As update_entry. The key appears with its block, in one step. -EAGAIN: somebody else made it meanwhile. */
static int update_new(struct qp_agent *agent, struct qp_worker *worker, const struct qp_key *key, unsigned kind, uint32_t window_ms,
                      const struct edit *edit, struct qp_entry **entry)
{
    struct qp_birth birth;
    int error = draft_key(agent, worker, key, kind, window_ms, &birth);
    if (error)
        return error;
    int wanted = edit->edit(&agent->state, edit->arg);
    if (wanted != QP_EDIT_PUBLISH)
        return wanted;
    error = qp_agent_encode(agent, worker, 0, &agent->state, &birth.block);
    if (error)
        return error;
    int made = qp_entry_create(worker, key, &birth, entry);
    return made > 0 ? QP_EDIT_PUBLISH : made == 0 ? -EAGAIN : made;
}

static int update_found(struct qp_agent *agent, struct qp_worker *worker, const struct qp_key *key, unsigned kind, uint32_t window_ms,
                        const struct edit *edit, uint32_t *slot)
{
    for (uint32_t looks = 0; looks < LOOKS_MAX; looks++) {
        struct qp_entry *entry;
        *slot = 0;
        int result = qp_key_find(worker, key, &entry);
        if (result)
            return result;
        if (entry && (!fits(qp_entry_traits(entry), kind, window_ms) || is_kept_here(qp_strategy_row_of(worker->view, entry))))
            return -EPROTOTYPE;
        result = entry ? update_entry(agent, worker, entry, edit)
                       : update_new(agent, worker, key, kind, window_ms, edit, &entry);
        if (result == -EAGAIN)
            continue;
        if (entry && result >= 0) {
            *slot = qp_entry_index(worker->view, entry);
            note_seen(agent, entry);
        }
        return result;
    }
    return -QP_EDAMAGED;
}

int qp_agent_update_key(struct qp_agent *agent, const void *key, size_t key_bytes, unsigned kind, uint32_t window_ms,
                        qp_edit_function *edit, void *arg, uint32_t *slot)
{
    uint32_t at = 0;
    int result = qp_key_check(agent->q, key, key_bytes);
    if (result)
        return result;
    struct qp_worker *worker = qp_agent_worker(agent, &result);
    if (!worker)
        return result;
    struct qp_key k = qp_key_make(worker->view, key, key_bytes);
    for (uint32_t attempt = 0;; attempt++) {
        qp_grace_enter(worker->view, worker->slot);
        result = qp_handle_is_stale(agent->q) ? -ESTALE
                                              : update_found(agent, worker, &k, kind, window_ms, &(struct edit){edit, arg}, &at);
        qp_grace_exit(worker->slot);
        if (result != -QP_EFULL || !qp_care_make_room(agent->q, worker, attempt, false))
            break;
    }
    if (slot)
        *slot = at;
    return result;
}

/* ---- remote totals ------------------------------------------------------------------------------------------------------ */

static void set_remote_word(struct qp_entry *entry, unsigned parity, uint64_t epoch, uint64_t count, uint32_t window_ms)
{
    uint64_t tag = qp_epoch_tag(qp_epoch_window(epoch, window_ms), epoch & QP_EPOCH_RESETS_MASK);
    uint64_t word = tag | (count < QP_CELL_COUNT_MAX ? count : QP_CELL_COUNT_MAX);
    /* Release, after the block: pairs with the takers' look at the word, who add it up only with a block that speaks
     * of its window. Killed before: takers go on with what was known, until the next agent has been here. */
    if (qp_load_relaxed(&entry->remote[parity]) != word)
        qp_store_release(&entry->remote[parity], word);
}

void qp_agent_set_remote(struct qp_agent *agent, uint32_t slot, const uint64_t epoch[2], const uint64_t count[2])
{
    int error;
    struct qp_worker *worker = qp_agent_worker(agent, &error);
    if (!worker)
        return;
    qp_grace_enter(worker->view, worker->slot);
    struct qp_entry *entry = told_entry(worker->view, slot);
    /* Not if the slot has become another key's since the block was published. */
    if (entry && qp_traits_kind(qp_entry_traits(entry)) == QP_KIND_LIMIT && (slot != agent->seen_slot || entry->hash == agent->seen_hash))
        for (unsigned parity = 0; parity < 2; parity++)
            set_remote_word(entry, parity, epoch[parity], count[parity], qp_traits_window_ms(qp_entry_traits(entry)));
    qp_grace_exit(worker->slot);
}
