/* SPDX-License-Identifier: MIT */
/* core_retry.c: what a peer refused is offered again, at growing distance: its clock may be put right, its strategy
 * changed, its segment have room again. What is due lies in one queue for each distance, so that a round costs a look
 * at some few of them. */
#include "core_internal.h"

#include <errno.h>

/* Refused again within so many times its last distance: the distance grows. Else it is another story. */
#define QP_RETRY_FORGIVEN 4u

struct refusal {
    uint64_t stated;
    uint64_t holder, holder_sequence; /* who counts as holding the tombstone; 0: nobody */
};

/* Who refuses a tombstone because the key is of another kind there has nothing that it could kill: he counts as one
 * who holds it. */
static void add_holder(struct qp_state *state, uint64_t replica, uint64_t sequence)
{
    for (uint32_t i = 0; i < state->holder_count; i++) {
        if (state->holder[i].replica == replica)
            return;
    }
    if (state->tombstone.timestamp && state->holder_count < QP_REPLICAS)
        state->holder[state->holder_count++] = (struct qp_holder){replica, sequence};
}

/* From now on the block says that there is something to say. Whoever is the agent when its time comes (or the next
 * agent, in its first harvest) says it. */
static int unstate(struct qp_state *state, void *arg)
{
    const struct refusal *refusal = arg;
    if (state->stated != refusal->stated)
        return QP_EDIT_LEAVE; /* it will be said anyway */
    state->stated = 0;
    if (refusal->holder)
        add_holder(state, refusal->holder, refusal->holder_sequence);
    return QP_EDIT_PUBLISH;
}

static void enqueue(struct qp_core *core, uint32_t slot)
{
    struct qp_slot_note *note = &core->log.note[slot];
    uint32_t since = core->round - note->retry_round;
    if (note->retry_round == 0 || since > QP_RETRY_FORGIVEN << note->retry_class)
        note->retry_class = 0;
    else if (note->retry_class < QP_RETRY_CLASSES - 1)
        note->retry_class++;
    unsigned class = note->retry_class;
    note->retry_round = core->round + (1u << class);
    note->flags |= QP_NOTE_RETRY;
    note->next = 0;
    if (core->retry[class].last)
        core->log.note[core->retry[class].last].next = slot;
    else
        core->retry[class].first = slot;
    core->retry[class].last = slot;
}

bool qp_retry_refused(struct qp_core *core, const struct qp_peer *peer, uint32_t slot, uint8_t cause)
{
    struct qp_slot_note *note = &core->log.note[slot];
    const struct qp_replica *replica = &core->ledger->replica[peer->replica_index];
    struct refusal refusal = {.stated = note->stated};
    if (cause == QP_REFUSED_KIND) {
        refusal.holder = replica->id;
        refusal.holder_sequence = replica->knowledge;
    }
    int result = core->store.ops->update(core->store.store, slot, unstate, &refusal);
    if (result < 0 && result != -ENOENT) /* no room for a block */
        return false;
    note->flags |= QP_NOTE_RESTAMP;
    if (!(note->flags & QP_NOTE_RETRY))
        enqueue(core, slot);
    return true;
}

void qp_retry_round(struct qp_core *core)
{
    struct qp_slot_note *note = core->log.note;
    for (unsigned class = 0; class < QP_RETRY_CLASSES; class++) {
        uint32_t slot;
        while ((slot = core->retry[class].first) && (int32_t)(core->round - note[slot].retry_round) >= 0) {
            core->retry[class].first = note[slot].next;
            if (!note[slot].next)
                core->retry[class].last = 0;
            note[slot].flags &= ~QP_NOTE_RETRY;
            if (note[slot].flags & QP_NOTE_RESTAMP)
                core->store.ops->mark(core->store.store, slot);
        }
    }
}
