/* SPDX-License-Identifier: MIT */
/* core_repair.c: being repaired: what a host takes from a peer's REPAIR, after digests differed (core_digest.c).
 *
 * Each host mends itself only. From the origin it takes everything: what the origin holds of its own, and nothing
 * else, up to the place in its stream at which it says so; but not what it said before the place where we are, for
 * since then we may have heard of its end. A relay only adds. Who lacks a point because it was deleted has a
 * tombstone, a floor or a grave that says so, and these decide; or all of them are gone, but then whoever was not
 * away for that long has held the tombstone too, and who was away was fenced. Who lacks it and has none of these has
 * lost or refused it, and must not make others drop it. If it is a grave or a tombstone that decides, it is told
 * again, for who still holds the point has missed it, or the point has come back to him from a file. Its own points
 * nobody mends. */
#include "core_digest.h"
#include "plant.h"

#include <errno.h>

/* One frame: what it speaks of, and how far its word goes. */
struct word {
    struct qp_core *core;
    uint64_t origin, upto;
    uint64_t from, last; /* hashes */
    bool is_origins;
};

/* That we have heard of a place in its stream does not make it old news here. */
static uint64_t known_before(void *arg, uint64_t replica)
{
    const struct word *word = arg;
    return replica == word->origin ? 0 : qp_replica_knowledge(word->core, replica);
}

static uint64_t goes_up_to(void *arg, uint64_t replica)
{
    const struct word *word = arg;
    return word->is_origins && replica == word->origin ? word->upto : 0;
}

/* Only that origin's, and nothing else about the key. */
static enum qp_refusal judge(const struct word *word, const struct qp_item *item)
{
    uint64_t hash = qp_wire_key_hash(item->key, item->key_bytes);
    if (hash < word->from || hash > word->last || item->kind == QP_KIND_LIMIT || item->holder_count || item->deleted)
        return QP_REFUSED_MALFORMED;
    if (item->kind == QP_KIND_REGISTER)
        return item->tombstone.replica == word->origin ? QP_REFUSED_NOTHING : QP_REFUSED_FOREIGN;
    for (uint32_t i = 0; i < item->point_count; i++)
        if (item->point[i].replica != word->origin)
            return QP_REFUSED_FOREIGN;
    return item->tombstone.timestamp ? QP_REFUSED_MALFORMED : QP_REFUSED_NOTHING;
}

static void tell_grave(struct qp_core *core, const struct qp_item *item)
{
    uint64_t hash = qp_wire_key_hash(item->key, item->key_bytes), floor;
    bool is_register = item->kind == QP_KIND_REGISTER;
    if (qp_grave_find(core, hash, is_register, &floor))
        qp_grave_dig(core, hash, is_register, floor, true);
}

/* Something of the item is dead here by our tombstone: who still has it has done with that, and it came back. */
static bool is_ended_here(const struct qp_state *state, const struct qp_item *item)
{
    const struct qp_version *ours = &state->tombstone;
    if (item->kind == QP_KIND_REGISTER)
        return state->deleted && qp_version_compare(item->tombstone.timestamp, item->tombstone.replica, ours->timestamp, ours->replica) < 0;
    for (uint32_t i = 0; i < item->point_count; i++)
        if (item->point[i].epoch <= state->floor ||
            qp_version_compare(item->point[i].timestamp, item->point[i].replica, ours->timestamp, ours->replica) <= 0)
            return true;
    return false;
}

static void tell_tombstone(struct qp_core *core, uint32_t slot, const struct qp_item *item)
{
    size_t key_bytes;
    if (qp_key_read(core, slot, core->key, &key_bytes) && core->state->tombstone.timestamp && is_ended_here(core->state, item))
        qp_tombstone_tell(core, slot);
}

static enum qp_refusal repair_item(struct word *word, const struct qp_item *item)
{
    struct qp_core *core = word->core;
    const struct qp_merge_context context = {.self = core->self,
                                             .now_ms = core->now_ms,
                                             .knowledge = known_before,
                                             .giver_knowledge = goes_up_to,
                                             .arg = word};
    enum qp_refusal why = judge(word, item);
    if (why == QP_REFUSED_NOTHING)
        why = qp_key_merge(core, item, &context);
    for (uint32_t i = 0; qp_planted(QP_PLANT_RELAY_MARKS) && i < item->point_count; i++)
        qp_ledger_put(&core->ledger->replica[qp_replica_find(core, item->point[i].replica)].knowledge, item->point[i].sequence);
    if (why == QP_REFUSED_OLD)
        tell_grave(core, item);
    uint32_t slot = core->store.ops->find(core->store.store, item->key, item->key_bytes);
    if (slot && slot < core->log.slots) {
        core->log.note[slot].flags |= QP_NOTE_CONFIRMED;
        if (why == QP_REFUSED_NOTHING || why == QP_REFUSED_OLD) /* else it is not the same key's, or not of whom it is said */
            tell_tombstone(core, slot, item);
    }
    return why;
}

/* Goes through the keys of that stretch that the frame did not have; `whole`: it is the origin's, and says that they
 * are not there. */
static void drop_the_others(struct word *word, bool whole)
{
    struct qp_core *core = word->core;
    for (uint32_t slot = 1; slot < core->log.slots; slot++) {
        struct qp_slot_note *note = &core->log.note[slot];
        if (whole && !(note->flags & QP_NOTE_CONFIRMED) && note->key_hash >= word->from && note->key_hash <= word->last)
            qp_key_drop_unconfirmed(core, slot, goes_up_to, word);
        note->flags &= ~QP_NOTE_CONFIRMED;
    }
}

/* Fills in what a frame's word is worth. false: nothing. */
static bool weigh(struct qp_core *core, const struct qp_peer *peer, const struct qp_frame *frame, struct word *word)
{
    int index = qp_replica_find(core, frame->origin);
    uint64_t last = frame->cursor_next - 1;
    *word = (struct word){.core = core,
                          .origin = frame->origin,
                          .upto = frame->upto,
                          .from = frame->cursor,
                          .last = last,
                          .is_origins = index > 0 && peer->replica_index == (uint32_t)index};
    return index > 0 && peer->repair && peer->repair->expect == (uint32_t)index &&
           qp_digest_may_speak_of(core, peer, (uint32_t)index) &&
           (!word->is_origins || frame->upto >= qp_digest_knowledge(core, (uint32_t)index)) &&
           word->from <= last && word->from >> 56 == frame->range && last >> 56 == frame->range;
}

void qp_digest_on_repair(struct qp_core *core, struct qp_peer *peer, const struct qp_frame *frame)
{
    struct word word;
    struct qp_wire_record record;
    int status;
    if (!qp_digest_is_partner(core, peer) || !weigh(core, peer, frame, &word)) {
        peer->figures.refused[QP_REFUSED_FOREIGN] += frame->origin == core->self;
        return;
    }
    if (peer->repair->taken++ >= 2 * core->config.credit)
        return; /* as if lost: each one costs a walk through all notes, and an honest host sends no more in a round */
    bool whole = word.is_origins;
    int origin = qp_replica_find(core, word.origin);
    uint64_t before = core->digest[origin];
    while ((status = qp_wire_next(core->reader, &record)) != 0) {
        bool is_item = status == 1 && record.kind == QP_RECORD_ITEM;
        enum qp_refusal why = is_item ? repair_item(&word, &record.item) : QP_REFUSED_MALFORMED;
        peer->figures.refused[why] += why != QP_REFUSED_NOTHING;
        whole &= why != QP_REFUSED_MALFORMED && why != QP_REFUSED_FOREIGN;
        if (status == -EBADMSG)
            break;
    }
    drop_the_others(&word, whole);
    core->figures.repairs += core->digest[origin] != before;
}
