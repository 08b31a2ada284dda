/* SPDX-License-Identifier: MIT */
/* core_snapshot.c: giving a snapshot. Everything that has a place in some stream: the giver's knowledge of the
 * streams, then the keys, then the graves; in chunks that are asked for by a cursor.
 *
 * The order is what makes it whole. First the joiner is announced in our own stream, so that who counts our holding
 * of a later tombstone waits for the joiner as well (core_collect.c). Then our knowledge is read, then the keys are
 * walked: whatever has a place at or below that knowledge, and is not met in the walk, was dead by then. The graves
 * come last: a key that was collected before the walk reached it has left one. What is merged behind the walk's back
 * has a place above that knowledge, and comes to the joiner by its own stream. Points that are in no stream yet are
 * not given, for the same reason.
 *
 * Of a stream of which we have refused something we say that we know what is before that: who takes what else we lack
 * for deleted would be wrong.
 *
 * A cursor is [place of the announcement 32 | place in the walk 32]. Nothing else is needed to go on: lost chunks are
 * made again from what is there by then, and a restarted giver goes on where the joiner stands. But not if the joiner
 * was retired meanwhile, or we were fenced, or somebody asked anew: then it is announced anew, the cursor is of
 * another walk, and the answer is to begin again. Chunks of two walks cannot be mixed for the same reason: they do
 * not join on. */
#include "core_internal.h"
#include "plant.h"

#include <string.h>

#define WALK_START 0u              /* knowledge, and the first keys */
#define WALK_GRAVES (UINT32_C(1) << 31)
#define WALK_END UINT32_MAX
#define SLOTS_PER_CHUNK 65536u     /* a table that is nearly empty is walked in steps too */

struct qp_giving {
    uint64_t snapshot; /* the joiner's number for it; only grows in the life of a replica */
    uint64_t replica;
    uint64_t again;    /* not 0: the answer to this cursor is to begin again */
    bool is_known;     /* the knowledge below was read */
    uint32_t credit, under_way;
    uint32_t base;     /* the joiner is known to stand here in the walk */
    uint32_t next;     /* the next chunk begins here */
    uint32_t end[QP_CREDIT_MAX]; /* of the chunks under way */
    uint64_t sent_ms;
    uint32_t count;
    struct {
        uint64_t replica, sequence;
        bool is_retired;
    } knowledge[QP_REPLICAS];
};

static uint64_t cursor_of(uint64_t announced, uint32_t place)
{
    return announced << 32 | place;
}

/* ---- what is given of a key ----------------------------------------------------------------------------------------------- */

/* Others said that they hold it, at places in their streams that the joiner will not hear again; so did we. */
static void put_holders(const struct qp_core *core, const struct qp_state *state, struct qp_item *item)
{
    if (item->tombstone.timestamp == 0 || state->kind == QP_KIND_LIMIT)
        return;
    for (uint32_t i = 0; i < state->holder_count && i < QP_REPLICAS - 1; i++)
        item->holder[item->holder_count++] = state->holder[i];
    if (state->stated)
        item->holder[item->holder_count++] = (struct qp_holder){core->self, state->stated};
}

bool qp_snapshot_item(struct qp_core *core, uint64_t origin, size_t key_bytes, struct qp_item *item)
{
    bool is_told = qp_rules_relayed(core->state, origin, item, core->point);
    item->key = core->key;
    item->key_bytes = (uint32_t)key_bytes;
    item->holder = core->holder;
    if (origin == 0)
        put_holders(core, core->state, item);
    return is_told;
}

/* ---- one chunk ---------------------------------------------------------------------------------------------------------------- */

static void read_knowledge(struct qp_core *core, struct qp_giving *giving)
{
    giving->count = 0;
    giving->is_known = true;
    for (uint32_t i = 0; i < QP_REPLICAS; i++) {
        const struct qp_replica *replica = &core->ledger->replica[i];
        if (i && !replica->id)
            break;
        giving->knowledge[giving->count].replica = i ? replica->id : core->self;
        giving->knowledge[giving->count].is_retired = !qp_replica_is_waited_for(replica);
        giving->knowledge[giving->count++].sequence = i ? qp_replica_whole(replica->knowledge, replica->hole) : core->ledger->sequence;
    }
}

static void put_knowledge(const struct qp_core *core, struct qp_wire_writer *writer, const struct qp_giving *giving)
{
    for (uint32_t i = 0; i < giving->count; i++) {
        struct qp_wire_record record = {.kind = QP_RECORD_KNOWLEDGE,
                                        .replica = giving->knowledge[i].replica,
                                        .sequence = giving->knowledge[i].sequence,
                                        .is_retired = giving->knowledge[i].is_retired,
                                        .hash = qp_replica_key_hash(core, giving->knowledge[i].replica)};
        qp_wire_put(writer, &record); /* all of them fit into the smallest frame */
    }
}

/* Keys from that slot on. Returns the place of what did not fit or was not reached. */
static uint32_t put_keys(struct qp_core *core, struct qp_wire_writer *writer, uint32_t slot)
{
    uint32_t slots = core->store.ops->slots(core->store.store), stop = slots;
    if (stop - slot > SLOTS_PER_CHUNK && slot < stop)
        stop = slot + SLOTS_PER_CHUNK;
    for (; slot < stop; slot++) {
        struct qp_wire_record record = {.kind = QP_RECORD_ITEM};
        size_t key_bytes;
        if (qp_key_read(core, slot, core->key, &key_bytes) && qp_snapshot_item(core, 0, key_bytes, &record.item) &&
            !qp_wire_put(writer, &record))
            return slot;
    }
    return slot < slots ? slot : WALK_GRAVES;
}

static uint32_t put_graves(struct qp_core *core, struct qp_wire_writer *writer, uint32_t grave)
{
    for (; grave < core->grave_count; grave++) {
        const struct qp_grave *g = &core->graves[grave];
        struct qp_wire_record record = {.kind = QP_RECORD_GRAVE,
                                        .hash = g->hash,
                                        .floor = g->floor,
                                        .is_register = g->stated & 1,
                                        .sequence = g->stated >> 1};
        if (g->hash && !qp_wire_put(writer, &record))
            return WALK_GRAVES + grave;
    }
    return WALK_END;
}

static size_t put_chunk(struct qp_core *core, struct qp_peer *peer, struct qp_giving *giving, uint64_t announced)
{
    struct qp_wire_writer writer;
    struct qp_frame frame;
    uint32_t at = giving->next;
    qp_stream_head(core, peer, QP_FRAME_CHUNK, &frame);
    frame.snapshot = giving->snapshot;
    frame.cursor = at == WALK_START ? 0 : cursor_of(announced, at);
    qp_wire_begin(&writer, core->out, core->config.frame_bytes_max, &frame);
    if (at == WALK_START) {
        if (!giving->is_known)
            read_knowledge(core, giving);
        put_knowledge(core, &writer, giving);
        at = 1;
    }
    if (at < WALK_GRAVES)
        at = put_keys(core, &writer, at);
    if (at >= WALK_GRAVES && !writer.full)
        at = put_graves(core, &writer, at - WALK_GRAVES);
    giving->next = at;
    giving->end[giving->under_way++] = at;
    giving->sent_ms = core->now_ms;
    frame.cursor_next = cursor_of(announced, at);
    frame.flags |= at == WALK_END ? QP_FRAME_LAST : 0;
    peer->given_ms = at == WALK_END ? core->now_ms : peer->given_ms;
    core->figures.chunks_out++;
    return qp_wire_end(&writer, &frame, core->packed);
}

/* ---- asked ------------------------------------------------------------------------------------------------------------------------ */

/* After the last chunk was sent, as long as nobody need ask for it again. */
static bool is_soon(const struct qp_core *core, const struct qp_giving *giving)
{
    return core->now_ms >= giving->sent_ms && core->now_ms - giving->sent_ms < core->config.resend_ms / 2;
}

/* The joiner stands at that place of our walk: what it has is not under way any more. */
static void go_on(struct qp_core *core, struct qp_giving *giving, uint32_t place)
{
    for (uint32_t i = 0; i < giving->under_way; i++) {
        if (giving->end[i] != place)
            continue;
        giving->under_way -= i + 1;
        memmove(giving->end, giving->end + i + 1, giving->under_way * sizeof *giving->end);
        giving->base = place;
        return;
    }
    if (place < giving->base)
        return; /* an old request that took its time */
    /* The same request again: the chunks were lost, unless it crossed them. A place that none of them ends at: they
     * were cut otherwise the last time. Either way not oftener than that, however many requests there are. */
    if (giving->under_way && is_soon(core, giving))
        return;
    giving->base = giving->next = place;
    giving->under_way = 0;
}

/* Another one asks, or anew: it is announced (again), and nothing is sent before that has a place in our stream. */
static void begin(struct qp_core *core, struct qp_peer *peer, struct qp_giving *giving, const struct qp_frame *frame)
{
    struct qp_replica *replica = &core->ledger->replica[peer->replica_index];
    bool was_retired = replica->flags & QP_REPLICA_RETIRED;
    bool is_first = giving->snapshot == 0 && giving->replica == 0; /* else a new number with an old place is nobody's who goes on: he would get a chunk a request */
    *giving = (struct qp_giving){.snapshot = frame->snapshot, .replica = replica->id};
    if (is_first && frame->cursor && !was_retired && replica->announced && frame->cursor >> 32 == (uint32_t)replica->announced) {
        giving->base = giving->next = (uint32_t)frame->cursor; /* we were restarted: it is announced already */
        return;
    }
    giving->again = frame->cursor;
    qp_ledger_put(&replica->flags, replica->flags & ~(QP_REPLICA_RETIRED | QP_REPLICA_RETURNED));
    qp_ledger_put(&replica->announced, 0);
    qp_stream_tell(core, qp_subject_replica(core, peer->replica_index));
}

void qp_snapshot_on_request(struct qp_core *core, struct qp_peer *peer, const struct qp_frame *frame)
{
    if (core->join != QP_JOIN_DONE || peer->replica_index == 0 || (frame->flags & QP_FRAME_JOINED))
        return;
    if (!peer->giving)
        peer->giving = qp_alloc(core->arena, sizeof *peer->giving);
    struct qp_giving *giving = peer->giving;
    if (!giving)
        return; /* it will ask again */
    const struct qp_replica *replica = &core->ledger->replica[peer->replica_index];
    bool is_new = giving->replica != replica->id || frame->snapshot > giving->snapshot;
    if (!is_new && frame->snapshot < giving->snapshot)
        return;
    if (is_new)
        begin(core, peer, giving, frame);
    else if ((replica->flags & QP_REPLICA_RETIRED) || (frame->cursor && frame->cursor >> 32 != (uint32_t)replica->announced))
        giving->again = frame->cursor;
    else
        go_on(core, giving, (uint32_t)frame->cursor);
    uint64_t credit = frame->credit < core->config.credit ? frame->credit : core->config.credit;
    giving->credit = credit < QP_CREDIT_MAX ? (uint32_t)credit : QP_CREDIT_MAX;
}

/* An empty chunk that nothing follows upon: what was taken so far was of a walk that does not count any more. */
static size_t put_again(struct qp_core *core, struct qp_peer *peer, struct qp_giving *giving)
{
    struct qp_wire_writer writer;
    struct qp_frame frame;
    qp_stream_head(core, peer, QP_FRAME_CHUNK, &frame);
    frame.snapshot = giving->snapshot;
    frame.cursor = giving->again;
    giving->again = 0;
    giving->credit = 0; /* until it asks anew */
    qp_wire_begin(&writer, core->out, core->config.frame_bytes_max, &frame);
    return qp_wire_end(&writer, &frame, NULL);
}

size_t qp_snapshot_out(struct qp_core *core, struct qp_peer *peer)
{
    struct qp_giving *giving = peer->giving;
    if (!giving)
        return 0;
    if (core->join != QP_JOIN_DONE || peer->joined) {
        /* Not at once: who says in turn that it has joined and that it has not would begin anew each time, and get
         * its chunks at once. */
        if (core->join != QP_JOIN_DONE || !is_soon(core, giving))
            qp_snapshot_forget(core, peer);
        return 0;
    }
    if (giving->again)
        return put_again(core, peer, giving);
    uint64_t announced = core->ledger->replica[peer->replica_index].announced;
    if ((announced == 0 && !qp_planted(QP_PLANT_JOINER_UNSAID)) || giving->under_way >= giving->credit || giving->next == WALK_END)
        return 0;
    return put_chunk(core, peer, giving, announced);
}

void qp_snapshot_forget(struct qp_core *core, struct qp_peer *peer)
{
    qp_alloc_free(core->arena, peer->giving);
    peer->giving = NULL;
}
