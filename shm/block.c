/* SPDX-License-Identifier: MIT */
/* block.c: state words and the hints that find free ones. */
#include "block.h"

#include "grace.h"

/* ---- hints: two levels of bits. Each is set or cleared after the state changed, and whoever finds one wrong mends it and looks at
 * the state again; seq on both makes one of two racing menders see the other. ---------------------------------- */

static void hint_clear(const struct qp_class *k, uint32_t index)
{
    uint32_t word = index / 64;
    qp_and_seq(&k->hints[word], ~(UINT64_C(1) << (index % 64)));
    qp_and_seq(&k->hint_summary[word / 64], ~(UINT64_C(1) << (word % 64)));
}

static uint64_t usable_bits(unsigned class_number, const struct qp_class *k, uint32_t word)
{
    uint32_t first = word * 64;
    uint32_t count = qp_load_relaxed(&k->count);
    uint64_t bits = count - first >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << (count - first)) - 1;
    return class_number == QP_CLASS_ENTRY && word == 0 ? bits & ~UINT64_C(1) : bits;
}

static void hint_set(const struct qp_view *view, unsigned class_number, uint32_t index)
{
    const struct qp_class *k = &view->class_of[class_number];
    uint32_t word = index / 64;
    qp_or_seq(&k->hints[word], UINT64_C(1) << (index % 64));
    if (qp_state_of(qp_load_seq(qp_state_at(view, class_number, index))) == QP_STATE_FREE)
        hint_clear(k, index);
    uint64_t usable = usable_bits(class_number, k, word);
    if ((qp_load_relaxed(&k->hints[word]) & usable) != usable)
        return;
    qp_or_seq(&k->hint_summary[word / 64], UINT64_C(1) << (word % 64));
    if ((qp_load_seq(&k->hints[word]) & usable) != usable)
        qp_and_seq(&k->hint_summary[word / 64], ~(UINT64_C(1) << (word % 64)));
}

bool qp_block_repair_hint(const struct qp_view *view, unsigned class_number, uint32_t index)
{
    const struct qp_class *k = &view->class_of[class_number];
    uint64_t bit = UINT64_C(1) << (index % 64);
    bool in_use = qp_state_of(qp_load_acquire(qp_state_at(view, class_number, index))) != QP_STATE_FREE;
    bool hinted = (qp_load_relaxed(&k->hints[index / 64]) & bit) != 0;
    /* Who was killed between the two halves of hint_clear left a stretch that is said to be full, and so is never
     * searched. */
    bool said_full = (qp_load_relaxed(&k->hint_summary[index / 4096]) >> (index / 64 % 64) & 1) != 0;
    if (in_use ? hinted : !hinted && !said_full)
        return false;
    if (in_use)
        hint_set(view, class_number, index);
    else
        hint_clear(k, index);
    return true;
}

/* ---- claiming ------------------------------------------------------------------------------------------------- */

static bool claim_at(struct qp_worker *worker, unsigned class_number, uint32_t index)
{
    uint64_t *state = qp_state_at(worker->view, class_number, index);
    uint64_t seen = qp_load_acquire(state);
    /* Acquire, pairs with the release in free_from: the last tenant's bytes are not written any more.
     * Killed after this line: CLAIMED by us; recovery gives it back. */
    bool mine = qp_state_of(seen) == QP_STATE_FREE &&
                qp_cas_acq_rel(state, &seen, qp_state_next(seen, QP_STATE_CLAIMED, worker->owner));
    hint_set(worker->view, class_number, index);
    return mine;
}

static bool claim_in_word(struct qp_worker *worker, unsigned class_number, uint32_t word, uint32_t *index)
{
    const struct qp_class *k = &worker->view->class_of[class_number];
    uint64_t free_bits = ~qp_load_relaxed(&k->hints[word]) & usable_bits(class_number, k, word);
    for (; free_bits; free_bits &= free_bits - 1) {
        uint32_t i = word * 64 + (uint32_t)__builtin_ctzll(free_bits);
        if (claim_at(worker, class_number, i)) {
            *index = i;
            return true;
        }
    }
    return false;
}

bool qp_block_claim(struct qp_worker *worker, unsigned class_number, uint32_t *index)
{
    const struct qp_class *k = &worker->view->class_of[class_number];
    uint32_t entries = qp_entry_count(worker->view), words = (qp_load_relaxed(&k->count) + 63) / 64;
    if (words == 0)
        return false;
    uint32_t word = (uint32_t)(worker->place % words);
    /* One round over all words, whole stretches of full ones at a time. */
    for (uint32_t looked = 0; looked < words;) {
        uint32_t step = 1;
        if (word % 64 == 0 && ~qp_load_relaxed(&k->hint_summary[word / 64]) == 0)
            step = words - word < 64 ? words - word : 64;
        else if (claim_in_word(worker, class_number, word, index)) {
            worker->place = word;
            return true;
        }
        looked += step;
        word = word + step < words ? word + step : 0;
    }
    worker->lacked = class_number;
    worker->lacked_among = entries;
    return false;
}

bool qp_block_alloc(struct qp_worker *worker, enum qp_block_kind kind, uint32_t parent, uint32_t payload_bytes,
                    uint32_t *block)
{
    uint64_t need = payload_bytes + sizeof(struct qp_block);
    for (unsigned c = QP_CLASS_BLOCK_128; c < QP_CLASS_BLOCK_END; c++) {
        uint32_t index;
        if (worker->view->class_of[c].bytes < need || !qp_block_claim(worker, c, &index))
            continue;
        *block = qp_block_make(c, index);
        struct qp_block *b = qp_block_of(worker->view, c, index);
        /* Relaxed stores: sweeps and checks look at blocks by number, and drop what they saw if the state moved on. */
        qp_store_relaxed(&b->parent, parent);
        qp_store_relaxed(&b->kind, (uint16_t)kind);
        qp_store_relaxed(&b->reserved, 0);
        qp_store_relaxed(&b->bytes, payload_bytes);
        qp_store_relaxed(&b->reserved1, 0);
        return true;
    }
    return false;
}

/* ---- giving back ---------------------------------------------------------------------------------------------- */

/* FREE from exactly this state word. Release, pairs with the acquire in claim_at. */
static bool free_from(const struct qp_view *view, unsigned class_number, uint32_t index, uint64_t seen)
{
    if (!qp_cas_seq(qp_state_at(view, class_number, index), &seen, qp_state_next(seen, QP_STATE_FREE, 0)))
        return false;
    /* Killed here: free, with its hint still saying that it is not; the sweep mends that. */
    hint_clear(&view->class_of[class_number], index);
    return true;
}

void qp_block_unclaim(struct qp_worker *worker, unsigned class_number, uint32_t index)
{
    uint64_t seen = qp_load_relaxed(qp_state_at(worker->view, class_number, index));
    if (qp_state_of(seen) == QP_STATE_CLAIMED && qp_state_argument(seen) == worker->owner)
        free_from(worker->view, class_number, index, seen);
}

void qp_block_published(struct qp_worker *worker, unsigned class_number, uint32_t index, uint32_t parent)
{
    uint64_t *state = qp_state_at(worker->view, class_number, index);
    uint64_t seen = qp_load_relaxed(state);
    if (qp_state_of(seen) == QP_STATE_CLAIMED && qp_state_argument(seen) == worker->owner)
        qp_cas_acq_rel(state, &seen, qp_state_next(seen, QP_STATE_LIVE, parent));
}

void qp_block_retire(const struct qp_view *view, unsigned class_number, uint32_t index)
{
    uint64_t *state = qp_state_at(view, class_number, index);
    uint64_t stamp = qp_grace_stamp(view);
    uint64_t seen = qp_load_acquire(state);
    /* At most three turns: its publisher may still make it LIVE, and the sweep may retire it before us. */
    while (qp_state_of(seen) == QP_STATE_CLAIMED || qp_state_of(seen) == QP_STATE_LIVE)
        if (qp_cas_acq_rel(state, &seen, qp_state_next(seen, QP_STATE_RETIRED, stamp)))
            return;
}

bool qp_block_reclaim(const struct qp_view *view, unsigned class_number, uint32_t index)
{
    uint64_t seen = qp_load_acquire(qp_state_at(view, class_number, index));
    return qp_state_of(seen) == QP_STATE_RETIRED && qp_grace_passed(view, qp_state_argument(seen)) &&
           free_from(view, class_number, index, seen);
}

void qp_block_free_child(const struct qp_view *view, uint32_t block, uint32_t parent)
{
    struct qp_block *b = block && qp_block_class(block) >= QP_CLASS_BLOCK_128 ? qp_block_at(view, block) : NULL;
    if (!b || qp_load_relaxed(&b->parent) != parent)
        return;
    uint64_t seen = qp_load_acquire(qp_block_state(view, block));
    if (qp_state_of(seen) == QP_STATE_LIVE && qp_state_argument(seen) == parent)
        free_from(view, qp_block_class(block), qp_block_index(block), seen);
}
