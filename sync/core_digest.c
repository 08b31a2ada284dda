/* SPDX-License-Identifier: MIT */
/* core_digest.c: showing that hosts that have seen the same hold the same, and mending what does not.
 *
 * A digest is a sum over an origin's points, so that a change costs the change. Compared are digests of one origin:
 * with the origin itself, at one place of its stream; or with a relay, if the origin cannot be reached. A tombstone
 * that only one of the two has heard yet makes a difference too, so a difference counts when it was seen DIFFERENCES
 * times in a row, and then costs an exchange that changes nothing which is right: the digests of the origin's 256 key
 * ranges, and the contents of those that differ.
 *
 * A range that is too large for a frame is told in several, each of them whole for a stretch of hashes: lost ones are
 * missed, and asked for after the next differences. Windows, tombstones and graves are not compared: windows end by
 * themselves, tombstones at different times. What a repair does: core_repair.c. */
#include "core_digest.h"
#include "plant.h"

#include <errno.h>
#include <stdlib.h>

#define DIFFERENCES 3
#define DIFFERENCES_SHIFT_MAX 6   /* repairs that do not help become rarer */
#define REACHED_INTERVALS 3       /* of digests: an origin that was heard within them speaks for itself */

/* ---- the sums ------------------------------------------------------------------------------------------------------------- */

static uint64_t digest_point(uint64_t key_hash, uint64_t origin, uint64_t epoch, uint64_t count, uint64_t timestamp)
{
    uint64_t words[5] = {key_hash, origin, epoch, count, timestamp};
    return qp_wire_hash(words, sizeof words);
}

static void add(struct qp_core *core, uint64_t key_hash, uint64_t origin, uint64_t digest, int sign)
{
    int index = qp_replica_find(core, origin);
    if (index < 0)
        return;
    uint64_t signed_digest = sign < 0 ? 0 - digest : digest;
    core->digest[index] += signed_digest;
    core->range_digest[index][qp_wire_key_range(key_hash)] += signed_digest;
}

void qp_digest_account(struct qp_core *core, uint64_t key_hash, const struct qp_state *state, int sign)
{
    if (state->kind == QP_KIND_REGISTER && !state->deleted && state->tombstone.timestamp && state->tombstone_sequence)
        add(core, key_hash, state->tombstone.replica,
            digest_point(key_hash, state->tombstone.replica, 0, (uint64_t)state->value, state->tombstone.timestamp), sign);
    if (state->kind != QP_KIND_COUNTER && !(qp_planted(QP_PLANT_DIGEST_WINDOWS) && state->kind == QP_KIND_LIMIT))
        return;
    for (uint32_t i = 0; i < state->point_count; i++) {
        const struct qp_point *point = &state->point[i];
        if (point->sequence)
            add(core, key_hash, point->replica,
                digest_point(key_hash, point->replica, point->epoch, point->count, point->timestamp), sign);
    }
}

/* ---- who may say what ------------------------------------------------------------------------------------------------------- */

static uint64_t id_of(const struct qp_core *core, uint32_t index)
{
    return index ? core->ledger->replica[index].id : core->self;
}

static bool is_known(const struct qp_core *core, uint32_t index)
{
    return index < QP_REPLICAS && (index == 0 || core->ledger->replica[index].id);
}

bool qp_digest_is_partner(const struct qp_core *core, const struct qp_peer *peer)
{
    return core->join == QP_JOIN_DONE && peer->joined && peer->replica_index &&
           !(core->ledger->replica[peer->replica_index].flags & QP_REPLICA_RETIRED);
}

static bool is_reached(const struct qp_core *core, uint32_t index)
{
    for (uint32_t i = 0; i < core->peer_high; i++) {
        const struct qp_peer *peer = &core->peer[i];
        if (peer->used && peer->replica_index == index && peer->joined &&
            core->now_ms < peer->heard_ms + (uint64_t)REACHED_INTERVALS * core->config.digest_ms)
            return true;
    }
    return false;
}

bool qp_digest_may_speak_of(const struct qp_core *core, const struct qp_peer *peer, uint32_t index)
{
    if (index == 0)
        return false;
    return peer->replica_index == index || (peer->config.may_relay && !is_reached(core, index));
}

static struct qp_repairing *repairing(struct qp_core *core, struct qp_peer *peer)
{
    if (!peer->repair)
        peer->repair = qp_alloc(core->arena, sizeof *peer->repair);
    return peer->repair;
}

void qp_digest_forget(struct qp_core *core, struct qp_peer *peer)
{
    qp_alloc_free(core->arena, peer->repair);
    peer->repair = NULL;
}

/* We know of more of its stream than there is, and it does not hear us for that: somebody else has spoken in its name
 * once, here or where we took our knowledge from; or its segment is the image of a former day. One such word may be
 * late, so it takes some in a row, none of them overtaken by what its agent has sent since. */
static void hear_anew(struct qp_core *core, struct qp_peer *peer, uint64_t sequence)
{
    struct qp_repairing *repair = peer->repair;
    bool is_behind = sequence >= peer->heard_upto && sequence < qp_digest_knowledge(core, peer->replica_index);
    repair->behind = is_behind ? repair->behind + 1 : 0;
    if (repair->behind < DIFFERENCES)
        return;
    repair->behind = 0;
    qp_replica_hear_anew(core, peer);
}

/* ---- comparing ---------------------------------------------------------------------------------------------------------------- */

static void compare(struct qp_core *core, struct qp_peer *peer, const struct qp_wire_record *theirs)
{
    struct qp_repairing *repair = peer->repair;
    int found = qp_replica_find(core, theirs->replica);
    if (found <= 0)
        return;
    uint32_t index = (uint32_t)found;
    if (!qp_digest_may_speak_of(core, peer, index)) {
        repair->differs[index] = 0;
        return;
    }
    if (repair->compared_round[index] == core->round + 1)
        return;
    repair->compared_round[index] = core->round + 1;
    if (peer->replica_index == index)
        hear_anew(core, peer, theirs->sequence);
    if (peer->replica_index == index && theirs->sequence != qp_digest_knowledge(core, index))
        return;
    if (theirs->digest == core->digest[index]) {
        repair->differs[index] = repair->repairs[index] = 0;
        peer->figures.digest_ms = peer->replica_index == index ? core->now_ms : peer->figures.digest_ms;
        repair->expect = repair->expect == index ? 0 : repair->expect;
        return;
    }
    unsigned shift = repair->repairs[index] < DIFFERENCES_SHIFT_MAX ? repair->repairs[index] : DIFFERENCES_SHIFT_MAX;
    if (++repair->differs[index] < DIFFERENCES << shift || repair->ask)
        return;
    repair->differs[index] = 0;
    repair->repairs[index] += repair->repairs[index] < DIFFERENCES_SHIFT_MAX;
    repair->ask = index;
}

void qp_digest_on_digest(struct qp_core *core, struct qp_peer *peer, const struct qp_frame *frame)
{
    struct qp_wire_record record;
    int status;
    (void)frame;
    if (!qp_digest_is_partner(core, peer) || !repairing(core, peer))
        return;
    while ((status = qp_wire_next(core->reader, &record)) != 0 && status != -EBADMSG)
        if (status == 1 && record.kind == QP_RECORD_DIGEST)
            compare(core, peer, &record);
    peer->figures.digest_differs = false;
    for (uint32_t i = 0; is_known(core, i); i++) /* what it relayed once, while the origin was away, is the origin's to say again */
        peer->figures.digest_differs |= qp_digest_may_speak_of(core, peer, i) &&
                                        (peer->repair->repairs[i] != 0 || peer->repair->differs[i] >= DIFFERENCES);
}

/* ---- asked for a repair ----------------------------------------------------------------------------------------------------------- */

void qp_digest_on_request(struct qp_core *core, struct qp_peer *peer, const struct qp_frame *frame)
{
    int index = qp_replica_find(core, frame->origin);
    uint64_t theirs[QP_KEY_RANGES] = {0};
    struct qp_wire_record record;
    int status;
    if (index < 0 || !qp_digest_is_partner(core, peer) || !repairing(core, peer))
        return;
    while ((status = qp_wire_next(core->reader, &record)) != 0 && status != -EBADMSG)
        if (status == 1 && record.kind == QP_RECORD_RANGE && record.number < QP_KEY_RANGES)
            theirs[record.number] = record.digest;
    struct qp_repairing *repair = peer->repair;
    repair->give = (uint32_t)index;
    repair->left = 0;
    repair->from = 0;
    for (uint32_t i = 0; i < QP_KEY_RANGES; i++) {
        repair->range[i] = core->range_digest[index][i] != theirs[i];
        repair->left += repair->range[i];
    }
}

struct place {
    uint64_t hash;
    uint32_t slot;
};

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

/* The slots of the keys with hashes from `from` to `last`, in that order. NULL: no memory, or none (*count is 0
 * then). */
static struct place *collect_places(struct qp_core *core, uint64_t from, uint64_t last, uint32_t *count)
{
    *count = 0;
    for (uint32_t slot = 1; slot < core->log.slots; slot++)
        *count += core->log.note[slot].key_hash >= from && core->log.note[slot].key_hash <= last;
    struct place *place = qp_alloc(core->scratch, *count * sizeof *place);
    if (!place)
        return NULL;
    uint32_t n = 0;
    for (uint32_t slot = 1; slot < core->log.slots; slot++)
        if (core->log.note[slot].key_hash >= from && core->log.note[slot].key_hash <= last)
            place[n++] = (struct place){core->log.note[slot].key_hash, slot};
    qsort(place, n, sizeof *place, compare_places);
    return place;
}

static bool item_of(struct qp_core *core, const struct place *place, uint64_t origin, struct qp_item *item)
{
    size_t key_bytes;
    return qp_key_read(core, place->slot, core->key, &key_bytes) && core->state->kind != QP_KIND_LIMIT &&
           qp_wire_key_hash(core->key, key_bytes) == place->hash && qp_snapshot_item(core, origin, key_bytes, item);
}

/* As much of the present range as fits. Returns the hash with which the next frame begins; at the range's end the one
 * behind it (0 after the last). */
static uint64_t put_range(struct qp_core *core, struct qp_wire_writer *writer, uint64_t origin, uint64_t from, uint64_t last)
{
    uint32_t count;
    uint64_t next = last + 1;
    struct place *place = collect_places(core, from, last, &count);
    for (uint32_t i = 0; place && i < count; i++) {
        struct qp_wire_record record = {.kind = QP_RECORD_ITEM};
        if (!item_of(core, &place[i], origin, &record.item) || qp_wire_put(writer, &record))
            continue;
        next = place[i].hash;
        break;
    }
    qp_alloc_free(core->scratch, place);
    return count && !place ? from : next;
}

static size_t repair_out(struct qp_core *core, struct qp_peer *peer)
{
    struct qp_repairing *repair = peer->repair;
    struct qp_wire_writer writer;
    struct qp_frame frame;
    uint32_t range = 0;
    while (!repair->range[range])
        range++;
    uint64_t first = (uint64_t)range << 56, last = first | (UINT64_MAX >> 8);
    qp_stream_head(core, peer, QP_FRAME_REPAIR, &frame);
    frame.origin = id_of(core, repair->give);
    frame.upto = qp_digest_knowledge(core, repair->give);
    frame.range = range;
    frame.cursor = repair->from > first ? repair->from : first;
    qp_wire_begin(&writer, core->out, core->config.frame_bytes_max, &frame);
    uint64_t next = put_range(core, &writer, frame.origin, frame.cursor, last);
    if (next == frame.cursor) { /* no memory for it */
        repair->left = 0;
        return 0;
    }
    frame.cursor_next = repair->from = next;
    if (next == last + 1) {
        repair->range[range] = false;
        repair->left--;
    }
    repair->frames++;
    return qp_wire_end(&writer, &frame, core->packed);
}

/* ---- sending ------------------------------------------------------------------------------------------------------------------------ */

static size_t request_out(struct qp_core *core, struct qp_peer *peer)
{
    struct qp_repairing *repair = peer->repair;
    struct qp_wire_writer writer;
    struct qp_frame frame;
    qp_stream_head(core, peer, QP_FRAME_REPAIR_REQUEST, &frame);
    frame.origin = id_of(core, repair->ask);
    frame.upto = qp_digest_knowledge(core, repair->ask);
    qp_wire_begin(&writer, core->out, core->config.frame_bytes_max, &frame);
    for (uint32_t i = 0; i < QP_KEY_RANGES; i++) {
        struct qp_wire_record record = {
            .kind = QP_RECORD_RANGE, .number = i, .digest = core->range_digest[repair->ask][i]};
        qp_wire_put(&writer, &record); /* all of them fit into the smallest frame */
    }
    repair->expect = repair->ask;
    repair->ask = 0;
    return qp_wire_end(&writer, &frame, core->packed);
}

static size_t digests_out(struct qp_core *core, struct qp_peer *peer)
{
    struct qp_repairing *repair = peer->repair;
    struct qp_wire_writer writer;
    struct qp_frame frame;
    uint32_t index = repair->next_digest;
    qp_stream_head(core, peer, QP_FRAME_DIGEST, &frame);
    qp_wire_begin(&writer, core->out, core->config.frame_bytes_max, &frame);
    for (; is_known(core, index); index++) {
        struct qp_wire_record record = {.kind = QP_RECORD_DIGEST,
                                        .replica = id_of(core, index),
                                        .sequence = qp_digest_knowledge(core, index),
                                        .digest = core->digest[index]};
        if (!qp_wire_put(&writer, &record))
            break;
    }
    repair->is_telling = is_known(core, index);
    repair->next_digest = repair->is_telling ? index : 0;
    peer->digest_ms = core->now_ms;
    return qp_wire_end(&writer, &frame, core->packed);
}

size_t qp_digest_out(struct qp_core *core, struct qp_peer *peer)
{
    if (!qp_digest_is_partner(core, peer) || !repairing(core, peer))
        return 0;
    struct qp_repairing *repair = peer->repair;
    if (repair->ask)
        return request_out(core, peer);
    if (repair->left && repair->frames < core->config.credit)
        return repair_out(core, peer);
    if (repair->is_telling || core->now_ms < peer->digest_ms || core->now_ms - peer->digest_ms >= core->config.digest_ms)
        return digests_out(core, peer);
    return 0;
}

void qp_digest_round(struct qp_core *core)
{
    for (uint32_t i = 0; i < core->peer_high; i++)
        if (core->peer[i].repair)
            core->peer[i].repair->frames = core->peer[i].repair->taken = 0;
}
