/* SPDX-License-Identifier: MIT */
/* agent_state.c: between a key's entry and block in the segment and struct qp_state: indices of replicas to their ids
 * and back, windows to their full numbers. */
#include <errno.h>

#include "../shm/block.h"
#include "../shm/entry.h"
#include "../shm/error.h"
#include "../shm/point.h"
#include "../shm/strategy.h"
#include "../shm/stripe.h"
#include "../shm/window.h"
#include "agent_internal.h"

bool qp_agent_is_told(uint64_t traits)
{
    uint32_t window_ms = qp_traits_window_ms(traits);
    switch (qp_traits_kind(traits)) {
    case QP_KIND_COUNTER:
    case QP_KIND_REGISTER: return window_ms == 0;
    case QP_KIND_LIMIT: return window_ms != 0 && qp_traits_algorithm(traits) <= QP_ALGORITHM_SLIDING;
    default: return false;
    }
}

/* ---- replicas ------------------------------------------------------------------------------------------------------- */

/* The core puts new replicas into the ledger, and takes none out: an id that was seen there stays. 0: nobody. */
static uint64_t id_at(struct qp_agent *agent, uint32_t index)
{
    const struct qp_view *view = &agent->q->view;
    if (index >= QP_REPLICAS)
        return 0;
    if (agent->id[index] == 0)
        agent->id[index] = index == 0 ? view->replica : qp_load_relaxed(&view->ledger->replica[index].id);
    return agent->id[index];
}

/* The place of a replica in the ledger; -1: none. Points come in the ledger's order, so the search begins at the last
 * one found. */
static int index_of(struct qp_agent *agent, uint64_t id, int last)
{
    uint32_t first = last < 0 ? 0 : (uint32_t)last;
    for (uint32_t i = 0; i < QP_REPLICAS && id != 0; i++)
        if (id_at(agent, (first + i) % QP_REPLICAS) == id)
            return (int)((first + i) % QP_REPLICAS);
    return -1;
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

/* The full number of the window that a cell is of: of all that end in its bits, the one nearest to now. A cell that
 * holds nothing is of the last window that it could be of. */
static void read_cell(uint64_t cell, unsigned parity, uint64_t now_window, uint64_t *count, uint64_t *window)
{
    int32_t ahead = qp_window_ahead(qp_cell_window(cell, parity), now_window & QP_WINDOW_MASK);
    bool empty = (cell & (QP_CELL_COUNT_MASK | QP_CELL_SEALED)) == 0;
    if (empty || (ahead < 0 && (uint64_t)-(int64_t)ahead > now_window)) {
        *count = 0;
        *window = (now_window & 1) == parity || now_window == 0 ? now_window : now_window - 1;
    } else {
        *count = qp_cell_count(cell);
        *window = now_window + (uint64_t)(int64_t)ahead;
    }
}

static void read_windows(const uint64_t cell[2], uint64_t now_ms, struct qp_state *out)
{
    for (unsigned parity = 0; parity < 2; parity++)
        read_cell(cell[parity], parity, now_ms / out->window_ms, &out->cell[parity], &out->cell_window[parity]);
}

static void read_cells(const struct qp_view *view, const struct qp_entry *entry, uint64_t now_ms, struct qp_state *out)
{
    uint64_t cell[2];
    out->cell_window[0] = out->cell_window[1] = 0;
    out->cell[0] = out->kind == QP_KIND_COUNTER ? qp_stripe_total(view, entry) : 0;
    out->cell[1] = 0;
    if (out->kind != QP_KIND_LIMIT)
        return;
    qp_window_read_cells(view, entry, out->window_ms, now_ms, cell);
    read_windows(cell, now_ms, out);
}

/* As end_windowed of shm/shard.c, and for its reason. */
static void read_folded_cells(const struct qp_view *view, struct qp_entry *entry, uint64_t now_ms, struct qp_state *out)
{
    uint64_t cell[2] = {qp_striped_folded_cell(view, entry, 0), qp_striped_folded_cell(view, entry, 1)};
    if (qp_window_has_come_round(entry, out->window_ms, now_ms))
        cell[0] = cell[1] = 0;
    read_windows(cell, now_ms, out);
}

static int read_points(struct qp_agent *agent, const struct qp_shard *shard, uint32_t count, struct qp_state *out)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct qp_shard_point *p = &shard->point[i];
        uint64_t replica = id_at(agent, qp_origin_replica(p->origin)), sequence = qp_origin_sequence(p->origin);
        if (replica == 0 || (p->timestamp ? out->point_count == QP_STATE_POINTS : out->holder_count == QP_REPLICAS))
            return -QP_EDAMAGED;
        if (p->timestamp)
            out->point[out->point_count++] = (struct qp_point){p->epoch, p->count, p->timestamp, replica, sequence};
        else
            out->holder[out->holder_count++] = (struct qp_holder){replica, sequence};
    }
    return 0;
}

static int read_block(struct qp_agent *agent, const struct qp_shard *shard, uint32_t point_count, struct qp_state *out)
{
    for (int i = 0; i < 2; i++) {
        out->own[i].epoch = shard->own[i].epoch;
        out->own[i].base = shard->own[i].base;
    }
    if (out->kind == QP_KIND_REGISTER) {
        out->value = (int64_t)QP_SHARD_REGISTER_VALUE(shard);
        out->own[0].base = 0;
    }
    out->deleted = (shard->flags & QP_SHARD_DELETED) != 0;
    out->collect = (shard->flags & QP_SHARD_COLLECT) != 0;
    out->tombstone = shard->tombstone;
    out->tombstone_sequence = shard->tombstone_sequence;
    out->floor = shard->floor;
    out->tombstone_seen_ms = (uint64_t)shard->tombstone_seen_s * 1000;
    out->stated = shard->stated;
    return read_points(agent, shard, point_count, out);
}

int qp_agent_decode(struct qp_agent *agent, const struct qp_entry *entry, const struct qp_shard *shard, uint32_t point_count,
                    uint64_t now_ms, struct qp_state *out)
{
    uint64_t traits = qp_entry_traits(entry);
    memset(out, 0, offsetof(struct qp_state, point)); /* points and holders are as many as the counts say */
    out->kind = (uint8_t)qp_traits_kind(traits);
    out->algorithm = (uint8_t)qp_traits_algorithm(traits);
    out->window_ms = qp_traits_window_ms(traits);
    read_cells(&agent->q->view, entry, now_ms, out);
    return shard ? read_block(agent, shard, point_count, out) : 0;
}

int qp_agent_look(struct qp_agent *agent, struct qp_entry *entry, uint64_t now_ms, bool folded, struct qp_state *out, uint64_t *ref)
{
    const struct qp_view *view = &agent->q->view;
    /* Acquire, and the cells after it, as in qp_shard_read and for its reasons: the base is not above the cell. And
     * what is added to a cell after this look marks the entry, for its mark was taken before. Again if the block was
     * replaced meanwhile: somebody else's change succeeded. */
    uint64_t next = qp_load_acquire(&entry->shard);
    do {
        *ref = next;
        const struct qp_shard *shard = qp_shard_at(view, next);
        if (!shard && qp_ref_block(next))
            return -QP_EDAMAGED;
        int error = qp_agent_decode(agent, entry, shard, shard ? qp_point_count(view, next, shard) : 0, now_ms, out);
        if (error)
            return error;
        if (folded && out->window_ms)
            read_folded_cells(view, entry, now_ms, out);
        qp_fence_acquire();
        next = qp_load_acquire(&entry->shard);
    } while (next != *ref);
    return 0;
}

/* ---- writing --------------------------------------------------------------------------------------------------------- */

struct writer {
    struct qp_agent *agent;
    struct qp_shard *shard;
    uint64_t id; /* of the replica looked up last */
    int index;
};

/* By replica, in the ledger's order: our own first. Of one replica by version: that it holds the tombstone stands
 * before its points. */
static bool belongs_before(const struct qp_shard_point *a, const struct qp_shard_point *b)
{
    uint32_t of = qp_origin_replica(a->origin), replica = qp_origin_replica(b->origin);
    return of < replica || (of == replica && a->timestamp < b->timestamp);
}

/* Almost all come in order: a state has them as it was read, and the new ones behind. */
static int put(struct writer *writer, uint64_t replica, struct qp_shard_point point, uint64_t sequence)
{
    if (replica != writer->id) {
        writer->id = replica;
        writer->index = index_of(writer->agent, replica, writer->index);
    }
    if (writer->index < 0)
        return -ENOSPC;
    if (sequence > QP_SEQUENCE_MASK)
        return -EINVAL;
    point.origin = qp_origin_make(sequence, (uint32_t)writer->index);
    struct qp_shard_point *to = &writer->shard->point[writer->shard->point_count++];
    for (; to > writer->shard->point && belongs_before(&point, to - 1); to--)
        *to = to[-1];
    *to = point;
    return 0;
}

static int write_points(struct writer *writer, const struct qp_state *state)
{
    int error = 0;
    for (uint32_t i = 0; i < state->point_count && !error; i++) {
        const struct qp_point *p = &state->point[i];
        struct qp_shard_point point = {.epoch = p->epoch, .count = p->count, .timestamp = p->timestamp};
        error = put(writer, p->replica, point, p->sequence);
    }
    for (uint32_t i = 0; i < state->holder_count && !error; i++)
        error = put(writer, state->holder[i].replica, (struct qp_shard_point){0}, state->holder[i].sequence);
    return error;
}

static void write_head(struct qp_shard *shard, const struct qp_state *state)
{
    for (int i = 0; i < 2; i++) {
        shard->own[i].epoch = state->own[i].epoch;
        shard->own[i].base = state->own[i].base;
    }
    if (state->kind == QP_KIND_REGISTER)
        QP_SHARD_REGISTER_VALUE(shard) = (uint64_t)state->value;
    shard->tombstone = state->tombstone;
    shard->floor = state->floor;
    shard->tombstone_sequence = state->tombstone_sequence;
    shard->stated = state->stated;
    shard->tombstone_seen_s = (uint32_t)(state->tombstone_seen_ms / 1000);
    shard->flags = (uint16_t)((state->deleted ? QP_SHARD_DELETED : 0) | (state->collect ? QP_SHARD_COLLECT : 0));
    shard->point_count = 0;
}

int qp_agent_encode(struct qp_agent *agent, struct qp_worker *worker, uint32_t parent, const struct qp_state *state,
                    uint32_t *block)
{
    uint64_t count = (uint64_t)state->point_count + state->holder_count;
    if (count > QP_SHARD_POINTS_MAX)
        return -E2BIG;
    if (!qp_block_alloc(worker, QP_BLOCK_SHARD, parent, qp_shard_payload((uint32_t)count), block))
        return -QP_EFULL;
    struct writer writer = {
        .agent = agent, .shard = (struct qp_shard *)(void *)qp_block_at(worker->view, *block), .index = -1};
    write_head(writer.shard, state);
    int error = write_points(&writer, state);
    if (error)
        qp_block_drop(worker, *block);
    return error;
}
