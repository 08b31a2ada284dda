/* SPDX-License-Identifier: MIT */
/* core_collect.c: when a deleted key may be forgotten, and what is left of it. A tombstone goes when all who could
 * bring a write from before it back hold it; its floor stays as a grave for a while.
 *
 * Who could. Whoever is in the ledger and not retired. A joiner gets everything that its giver holds, old writes too;
 * its giver announces it (KNOWN) before the first chunk. We count a host's holding at a place in its stream only when
 * we have merged that stream up to there: a giver that says after the announcement that it holds the tombstone is
 * counted after we know of the joiner, and one that said so before had the tombstone, or its grave, to give. So
 * holders that a relay told us of count as soon as our own mark has passed them, not earlier. A configured host that
 * was never heard may have joined elsewhere: it is waited for as long as a silent one. One that holds the key as
 * another kind has none of these writes: its refusal is its holding.
 *
 * Who is asked. A joiner that came from somebody who had collected the tombstone already knows of our statement's
 * place and has never heard it. So a tombstone that waits for a peer which is there is said again now and then; who
 * does not hold it answers with a grave, or takes it.
 *
 * Who is told. A grave is stated in our own stream, for those who wait for us, and is made before the entry may
 * leave: a kill between the two leaves both, and the next round does it again. Whoever gets the old tombstone later,
 * from a joiner or a straggler, asks again by saying that he holds it; then we tell the grave once more
 * (qp_grave_dig), for he may wait for us.
 *
 * How long. A grave is filled in when forget_after has passed and the entry has left the segment. While it is still there
 * it has its floor, and a snapshot leaves it out: a joiner that was told of no grave would count on in an epoch that the
 * giver then calls dead.
 *
 * The region of graves is open-addressed in windows of GRAVE_WINDOW places from the hash on; in a full window the
 * oldest gives way. A grave is emptied by its hash first and filled by its hash last, so that a kill leaves a grave
 * or none. */
#include "core_internal.h"
#include "plant.h"

#define GRAVE_WINDOW 32u
#define TOMBS_PER_ROUND 256u  /* looked at in one round: the others have their turn in the next ones */
#define GRAVES_PER_ROUND 256u
#define LOOKS_REFUSED 20u     /* after so many a grave is asked for that there was no room to note: not at once, for there may be none for long */

/* ---- graves ------------------------------------------------------------------------------------------------------------- */

static uint32_t window_of(const struct qp_core *core)
{
    return core->grave_count < GRAVE_WINDOW ? core->grave_count : GRAVE_WINDOW;
}

/* Mixed with our replica, so that one set of hashes does not crowd the same window on all hosts. */
static uint32_t place_of(const struct qp_core *core, uint64_t hash, uint32_t step)
{
    uint64_t mixed = (hash ^ core->self) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(((mixed >> 32) + step) % core->grave_count);
}

static bool is_of(const struct qp_grave *grave, uint64_t hash, bool is_register)
{
    return grave->hash == hash && (grave->stated & 1) == is_register;
}

/* The place of a grave; grave_count: there is none. */
static uint32_t find(const struct qp_core *core, uint64_t hash, bool is_register)
{
    for (uint32_t i = 0; i < window_of(core); i++) {
        uint32_t place = place_of(core, hash, i);
        if (is_of(&core->graves[place], hash, is_register))
            return place;
    }
    return core->grave_count;
}

bool qp_grave_find(const struct qp_core *core, uint64_t key_hash, bool is_register, uint64_t *floor)
{
    uint32_t place = find(core, key_hash, is_register);
    if (place == core->grave_count)
        return false;
    *floor = core->graves[place].floor;
    return true;
}

static void empty(struct qp_core *core, uint32_t place)
{
    qp_ledger_put(&core->graves[place].hash, 0);
    core->log.note[qp_subject_grave(core, place)].flags &= ~QP_NOTE_HEARSAY;
    qp_log_remove(&core->log, qp_subject_grave(core, place));
    core->figures.graves--;
}

static bool is_hearsay(const struct qp_core *core, uint32_t place)
{
    return core->log.note[qp_subject_grave(core, place)].flags & QP_NOTE_HEARSAY;
}

/* Which of two graves gives way: one of a key that we do not know and somebody says was deleted, for anybody can say
 * that of any number of keys; then the older one. */
static bool gives_way(const struct qp_core *core, uint32_t place, uint32_t other)
{
    if (is_hearsay(core, place) != is_hearsay(core, other))
        return is_hearsay(core, place);
    return core->graves[place].dug_ms < core->graves[other].dug_ms;
}

/* A free place, or that of the one that gives way. grave_count: hearsay puts out nothing. If it did, hosts whose
 * tables are full would put out each other's, tell what is new to them and hear again what they have put out, without
 * end. */
static uint32_t make_room(struct qp_core *core, uint64_t hash, bool hearsay)
{
    uint32_t worst = place_of(core, hash, 0);
    for (uint32_t i = 0; i < window_of(core); i++) {
        uint32_t place = place_of(core, hash, i);
        if (core->graves[place].hash == 0)
            return place;
        if (gives_way(core, place, worst))
            worst = place;
    }
    core->figures.graves_dropped++;
    if (hearsay)
        return core->grave_count;
    empty(core, worst);
    return worst;
}

/* What is to be told stands at no place of our stream until it has been given one. */
static void tell(struct qp_core *core, uint32_t place)
{
    struct qp_grave *grave = &core->graves[place];
    qp_ledger_put(&grave->stated, grave->stated & 1);
    qp_stream_tell(core, qp_subject_grave(core, place));
}

static void dig(struct qp_core *core, uint64_t key_hash, bool is_register, uint64_t floor, bool state_it, bool hearsay)
{
    uint32_t place = find(core, key_hash, is_register);
    struct qp_grave *grave;
    if (place == core->grave_count) {
        place = core->grave_count ? make_room(core, key_hash, hearsay) : 0;
        if (place == core->grave_count)
            return;
        core->log.note[qp_subject_grave(core, place)].flags |= hearsay ? QP_NOTE_HEARSAY : 0;
        grave = &core->graves[place];
        qp_ledger_put(&grave->stated, is_register);
        qp_ledger_put(&grave->floor, floor);
        qp_ledger_put(&grave->dug_ms, core->now_ms);
        qp_ledger_put(&grave->hash, key_hash);
        core->figures.graves++;
    } else {
        grave = &core->graves[place];
        if (!hearsay)
            core->log.note[qp_subject_grave(core, place)].flags &= ~QP_NOTE_HEARSAY;
        if (state_it || floor > grave->floor) /* another death, or one that matters still: not to be filled in before it was told */
            qp_ledger_put(&grave->dug_ms, core->now_ms);
        if (floor > grave->floor)
            qp_ledger_put(&grave->floor, floor);
    }
    if (state_it)
        tell(core, place);
}

void qp_grave_dig(struct qp_core *core, uint64_t key_hash, bool is_register, uint64_t floor, bool state_it)
{
    dig(core, key_hash, is_register, floor, state_it, false);
}

void qp_grave_hear(struct qp_core *core, uint64_t key_hash, bool is_register, uint64_t floor)
{
    dig(core, key_hash, is_register, floor, true, true);
}

/* Where a place was given by another rule (the graves of another segment's file), the grave gets one by ours: there
 * first, and then it leaves the old one. */
void qp_collect_init(struct qp_core *core)
{
    for (uint32_t i = 0; i < core->grave_count; i++)
        core->figures.graves += core->graves[i].hash != 0;
    for (uint32_t i = 0; i < core->grave_count; i++) {
        const struct qp_grave grave = core->graves[i];
        bool is_register = grave.stated & 1;
        if (!grave.hash || find(core, grave.hash, is_register) == i)
            continue;
        qp_grave_dig(core, grave.hash, is_register, grave.floor, true);
        if (core->graves[i].hash == grave.hash && find(core, grave.hash, is_register) != i)
            empty(core, i);
    }
}

/* Whether the key that a grave is of is in the segment still, as one that was collected. */
static bool has_not_left(struct qp_core *core, const struct qp_grave *grave)
{
    uint32_t slot = qp_log_key_find(&core->log, grave->hash);
    size_t key_bytes;
    return slot && qp_key_read(core, slot, core->key, &key_bytes) && core->state->collect &&
           (core->state->kind == QP_KIND_REGISTER) == (grave->stated & 1);
}

/* Some graves are looked at in each round, in turn. */
static void fill_in_old(struct qp_core *core)
{
    uint32_t turns = core->grave_count < GRAVES_PER_ROUND ? core->grave_count : GRAVES_PER_ROUND;
    for (uint32_t i = 0; i < turns; i++) {
        uint32_t place = (uint32_t)(((uint64_t)core->round * GRAVES_PER_ROUND + i) % core->grave_count);
        const struct qp_grave *grave = &core->graves[place];
        if (grave->hash && grave->dug_ms + core->config.forget_after_ms < core->now_ms && !has_not_left(core, grave))
            empty(core, place);
    }
}

/* ---- graves of others ---------------------------------------------------------------------------------------------------- */

/* The floor of what is left of the key, if the state is one of a deleted key. */
static bool tomb_floor(const struct qp_state *state, bool is_register, uint64_t *floor)
{
    *floor = is_register ? state->tombstone.timestamp : state->floor;
    return state->tombstone.timestamp != 0 && (!is_register || state->deleted);
}

/* A tombstone that is held meets a grave as if its teller had stated it, with the grave's floor: he holds that. */
static enum qp_refusal meet(struct qp_core *core, const struct qp_wire_record *record, uint64_t teller, size_t key_bytes)
{
    const struct qp_state *state = core->state;
    uint64_t floor;
    bool holds = tomb_floor(state, record->is_register, &floor) && floor <= record->floor && teller != 0;
    struct qp_item item = {.key = core->key,
                           .key_bytes = (uint32_t)key_bytes,
                           .kind = state->kind,
                           .deleted = state->kind == QP_KIND_REGISTER && state->deleted,
                           .tombstone = state->tombstone,
                           .tombstone_sequence = state->tombstone_sequence,
                           .floor = holds && !record->is_register ? record->floor : state->floor,
                           .value = state->value,
                           .point = core->point,
                           .holder = core->holder};
    struct qp_merge_context context = {.self = core->self,
                                       .now_ms = core->now_ms,
                                       .sender = holds ? teller : 0,
                                       .sequence = record->sequence,
                                       .has_grave = true,
                                       .grave_floor = record->floor,
                                       .knowledge = qp_replica_knowledge,
                                       .arg = core};
    return qp_key_merge(core, &item, &context);
}

/* A grave judges all others' points of its key: what is refused of a tombstone is refused of its grave, for it leaves
 * no room for the next death, or lies in the future. */
static enum qp_refusal judge(const struct qp_core *core, const struct qp_wire_record *record)
{
    if (!record->is_register && record->floor >= QP_PLAIN_EPOCH_HEARD_MAX)
        return QP_REFUSED_MALFORMED;
    return record->floor >> 16 > core->now_ms + QP_SKEW_MAX_MS ? QP_REFUSED_SKEW : QP_REFUSED_NOTHING;
}

/* Its teller has told it, and will not do so again unless he is asked. */
static void ask_soon(struct qp_core *core, uint32_t slot)
{
    struct qp_slot_note *note = &core->log.note[slot];
    if (note->looks < QP_LOOKS_IN_VAIN - LOOKS_REFUSED)
        note->looks = QP_LOOKS_IN_VAIN - LOOKS_REFUSED;
}

enum qp_refusal qp_grave_heard(struct qp_core *core, const struct qp_wire_record *record, uint64_t teller)
{
    enum qp_refusal why = judge(core, record);
    if (why != QP_REFUSED_NOTHING)
        return why;
    uint64_t known = 0, held = 0;
    bool has_grave = qp_grave_find(core, record->hash, record->is_register, &known);
    uint32_t slot = qp_key_slot_of(core, record->hash);
    size_t key_bytes;
    bool is_held = slot && qp_key_read(core, slot, core->key, &key_bytes) &&
                   (core->state->kind == QP_KIND_REGISTER) == record->is_register;
    bool has_tomb = is_held && tomb_floor(core->state, record->is_register, &held);
    /* Of what we did not know we tell others too: that is how they hear that we hold it. */
    if (has_grave && known >= record->floor) /* its teller has it for so long from now on: it has to end everywhere at one time, or one makes the key anew too low */
        qp_ledger_put(&core->graves[find(core, record->hash, record->is_register)].dug_ms, core->now_ms);
    else if (!(has_tomb && held >= record->floor))
        dig(core, record->hash, record->is_register, record->floor, true, !is_held && teller != 0);
    if (is_held && !has_tomb)
        core->store.ops->mark(core->store.store, slot); /* what is alive below the floor ends at the next harvest */
    else if (is_held && !core->state->collect && meet(core, record, teller, key_bytes) == QP_REFUSED_FULL)
        ask_soon(core, slot);
    return QP_REFUSED_NOTHING;
}

/* ---- tombstones ------------------------------------------------------------------------------------------------------------ */

/* Nothing of the key is alive, and our own statement of that is in our stream, or was. */
static bool is_dead(const struct qp_state *state)
{
    if (state->tombstone.timestamp == 0 || state->kind == QP_KIND_LIMIT || state->stated == 0)
        return false;
    if (state->kind == QP_KIND_REGISTER)
        return state->deleted;
    return state->deleted && state->point_count == 0 && state->cell[0] == state->own[0].base;
}

static bool holds(const struct qp_state *state, const struct qp_replica *replica)
{
    for (uint32_t i = 0; i < state->holder_count; i++)
        if (state->holder[i].replica == replica->id)
            return state->holder[i].sequence <= replica->knowledge;
    return false;
}

/* Whether a peer is there, and has not said that it holds: it may have joined from somebody who had collected the
 * tombstone, knows of our statement's place and so never heard it. */
static bool waits_for_peer(const struct qp_core *core, const struct qp_state *state)
{
    for (uint32_t i = 0; i < core->peer_high; i++) {
        const struct qp_peer *peer = &core->peer[i];
        if (peer->used && peer->joined && peer->replica_index && core->now_ms < peer->heard_ms + core->config.digest_ms &&
            !holds(state, &core->ledger->replica[peer->replica_index]))
            return true;
    }
    return false;
}

static int say_again(struct qp_state *state, void *arg)
{
    (void)arg;
    state->stated = 0;
    return QP_EDIT_PUBLISH;
}

bool qp_tombstone_tell(struct qp_core *core, uint32_t slot)
{
    if (core->store.ops->update(core->store.store, slot, say_again, NULL) != QP_EDIT_PUBLISH)
        return false;
    core->store.ops->mark(core->store.store, slot);
    return true;
}

static bool all_hold(const struct qp_core *core, const struct qp_state *state)
{
    if (qp_planted(QP_PLANT_COLLECT_BY_TIME))
        return true;
    for (uint32_t i = 1; i < QP_REPLICAS && core->ledger->replica[i].id; i++) {
        const struct qp_replica *replica = &core->ledger->replica[i];
        if (qp_replica_is_waited_for(replica) && !holds(state, replica))
            return false;
    }
    if (core->replicas_lost)
        return false;
    for (uint32_t i = 0; i < core->peer_high; i++) {
        const struct qp_peer *peer = &core->peer[i];
        if (peer->used && peer->replica_index == 0 &&
            core->now_ms < state->tombstone_seen_ms + core->config.forget_after_ms)
            return false;
    }
    return true;
}

/* A segment that never had a peer need not wait for stragglers. */
static bool is_alone(const struct qp_core *core)
{
    return core->peer_high == 0 && core->ledger->replica[1].id == 0;
}

static int mark_collected(struct qp_state *state, void *arg)
{
    const struct qp_version *tombstone = arg;
    if (state->collect || !is_dead(state) || state->tombstone.timestamp != tombstone->timestamp ||
        state->tombstone.replica != tombstone->replica)
        return QP_EDIT_LEAVE; /* somebody was faster: it lives again, or is another death */
    state->collect = true;
    return QP_EDIT_PUBLISH;
}

static void collect(struct qp_core *core, uint32_t slot, size_t key_bytes)
{
    const struct qp_state *state = core->state;
    struct qp_version tombstone = state->tombstone;
    bool is_register = state->kind == QP_KIND_REGISTER;
    uint64_t floor;
    tomb_floor(state, is_register, &floor);
    qp_grave_dig(core, qp_wire_key_hash(core->key, key_bytes), is_register, floor, true);
    if (core->store.ops->update(core->store.store, slot, mark_collected, &tombstone) != QP_EDIT_PUBLISH) {
        qp_log_tomb_put(&core->log, slot);
        return;
    }
    qp_log_remove(&core->log, slot);
    core->figures.collected++;
}

/* Its turn comes again. Now and then it is said anew, to one who should have answered. */
static void wait_on(struct qp_core *core, uint32_t slot)
{
    struct qp_slot_note *note = &core->log.note[slot];
    qp_log_tomb_put(&core->log, slot);
    note->looks += note->looks < QP_LOOKS_IN_VAIN;
    if (note->looks < QP_LOOKS_IN_VAIN || !is_dead(core->state) || !waits_for_peer(core, core->state))
        return;
    if (qp_tombstone_tell(core, slot))
        note->looks = 0; /* else there is no room: at the next look */
}

static void look_at(struct qp_core *core, uint32_t slot)
{
    size_t key_bytes;
    qp_log_tomb_remove(&core->log, slot);
    if (!qp_key_read(core, slot, core->key, &key_bytes))
        return;
    const struct qp_state *state = core->state;
    if (state->tombstone.timestamp == 0 || state->kind == QP_KIND_LIMIT)
        return;
    uint64_t grace_ms = is_alone(core) ? 0 : core->config.tombstone_grace_ms;
    if (!state->collect && is_dead(state) && core->now_ms >= state->tombstone_seen_ms + grace_ms && all_hold(core, state))
        collect(core, slot, key_bytes);
    else
        wait_on(core, slot);
}

void qp_collect_round(struct qp_core *core)
{
    if (core->join != QP_JOIN_DONE || core->grave_count == 0)
        return;
    uint64_t turns = core->log.tombs < TOMBS_PER_ROUND ? core->log.tombs : TOMBS_PER_ROUND;
    while (turns-- > 0)
        look_at(core, core->log.tomb_oldest);
    fill_in_old(core);
}
