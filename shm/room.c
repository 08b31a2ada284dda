/* SPDX-License-Identifier: MIT */
/* room.c: making room for new keys. */
#include "room.h"

#include "entry.h"
#include "evict.h"
#include "grace.h"

#define ROUNDS 8 /* steps that wait for a grace period are two; the rest is for other pollers' timing */
#define ITEMS_PER_SECTION 256

/* Entries on their way out. */
struct leaving {
    uint32_t count;
    uint32_t index[QP_ROOM_STRETCH];
};

struct sample {
    uint32_t looked;
    uint32_t best;
    uint64_t cost;
};

/* The cheapest of each sample. */
struct candidates {
    uint32_t count;
    struct sample sample[QP_ROOM_STRETCH / QP_ROOM_SAMPLE + 1];
};

static void finish_sample(struct sample *sample, struct candidates *candidates)
{
    if (sample->cost != QP_EVICT_NEVER)
        candidates->sample[candidates->count++] = *sample;
    *sample = (struct sample){.cost = QP_EVICT_NEVER};
}

static void evict_all(struct qp_worker *worker, struct candidates *candidates, struct leaving *leaving)
{
    qp_grace_enter(worker->view, worker->slot);
    for (uint32_t i = 0; i < candidates->count; i++) {
        const struct sample *sample = &candidates->sample[i];
        if (qp_entry_evict(worker, &worker->view->entries[sample->best], sample->cost))
            leaving->index[leaving->count++] = sample->best;
    }
    qp_grace_exit(worker->slot);
    candidates->count = 0;
}

static void look(struct qp_worker *worker, uint32_t index, bool evict, struct sample *sample,
                 struct candidates *candidates, struct leaving *leaving)
{
    struct qp_entry *entry = &worker->view->entries[index];
    enum qp_word_state state = qp_state_of(qp_load_acquire(&entry->state));
    if (state == QP_STATE_FREE || state == QP_STATE_CLAIMED)
        return;
    while (qp_entry_advance(worker, entry))
        continue;
    if (qp_state_of(qp_load_relaxed(&entry->state)) != QP_STATE_LIVE) {
        leaving->index[leaving->count++] = index;
        return;
    }
    uint64_t cost = evict ? qp_evict_cost(worker->view, entry, worker->now_ms) : QP_EVICT_NEVER;
    if (cost < sample->cost) {
        sample->cost = cost;
        sample->best = index;
    }
    if (++sample->looked == QP_ROOM_SAMPLE)
        finish_sample(sample, candidates);
}

/* Takes the steps that are due, and forgets what has stayed or is free. Returns how many became free. */
static uint32_t advance_all(struct qp_worker *worker, struct leaving *leaving)
{
    const struct qp_view *view = worker->view;
    uint32_t kept = 0, freed = 0;
    for (uint32_t i = 0; i < leaving->count;) {
        uint32_t stop = leaving->count - i > ITEMS_PER_SECTION ? i + ITEMS_PER_SECTION : leaving->count;
        qp_grace_enter(view, worker->slot);
        for (; i < stop; i++) {
            struct qp_entry *entry = &view->entries[leaving->index[i]];
            while (qp_entry_advance(worker, entry))
                continue;
            enum qp_word_state state = qp_state_of(qp_load_relaxed(&entry->state));
            freed += state == QP_STATE_FREE;
            if (state == QP_STATE_CLOSING || state == QP_STATE_EVICTING || state == QP_STATE_DEAD || state == QP_STATE_RETIRED)
                leaving->index[kept++] = leaving->index[i];
        }
        qp_grace_exit(worker->slot);
    }
    leaving->count = kept;
    return freed;
}

/* Until all that is leaving has left, or stays, or somebody stands still inside a section: then what was begun here
 * is finished by whoever comes by later. Returns how many became free. */
static uint32_t see_off(struct qp_worker *worker, struct leaving *leaving)
{
    uint32_t freed = 0;
    for (int round = 0; round < ROUNDS && leaving->count; round++) {
        freed += advance_all(worker, leaving);
        if (leaving->count && !qp_grace_poll(worker->view) && !qp_grace_poll(worker->view))
            break;
    }
    return freed;
}

/* Goes through a stretch: what is on its way out is listed, and the cheapest of each sample of the rest. */
static void survey(struct qp_worker *worker, uint32_t first, bool evict, struct candidates *candidates,
                   struct leaving *leaving)
{
    const struct qp_view *view = worker->view;
    struct sample sample = {.cost = QP_EVICT_NEVER};
    uint32_t count = qp_entry_count(view);
    uint32_t end = count - first > QP_ROOM_STRETCH ? first + QP_ROOM_STRETCH : count;
    for (uint32_t i = first ? first : 1; i < end;) {
        uint32_t stop = end - i > ITEMS_PER_SECTION ? i + ITEMS_PER_SECTION : end;
        qp_grace_enter(view, worker->slot);
        for (; i < stop; i++)
            look(worker, i, evict, &sample, candidates, leaving);
        qp_grace_exit(worker->slot);
    }
    if (sample.looked)
        finish_sample(&sample, candidates);
    if (leaving->count < (end - first) / QP_ROOM_ENOUGH)
        evict_all(worker, candidates, leaving);
}

uint32_t qp_room_make(struct qp_worker *worker, uint32_t first, bool evict, bool *waits)
{
    struct leaving leaving = {.count = 0};
    struct candidates candidates = {.count = 0};
    survey(worker, first, evict, &candidates, &leaving);
    uint32_t freed = see_off(worker, &leaving);
    if (freed == 0 && leaving.count == 0 && candidates.count) { /* what had expired was used again */
        evict_all(worker, &candidates, &leaving);
        freed = see_off(worker, &leaving);
    }
    *waits = leaving.count != 0;
    return freed;
}

void qp_room_tend(struct qp_worker *worker, uint32_t first, bool evict)
{
    struct leaving leaving = {.count = 0};
    struct candidates candidates = {.count = 0};
    survey(worker, first, evict, &candidates, &leaving);
    advance_all(worker, &leaving);
}
