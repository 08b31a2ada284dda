/* SPDX-License-Identifier: MIT */
/* core.c: the core as a whole: its life, its peers, what comes in to whom it concerns, rounds, and whose turn it is
 * to send. */
#include "core_internal.h"
#include "plant.h"

#include <errno.h>
#include <string.h>

#define QP_FULL_MESH_MAX 16 /* so many peers have their turn in each round; of more some are drawn */
#define QP_DRAWN 4

/* ---- life ------------------------------------------------------------------------------------------------------------------ */

#define DEFAULT(field, value) ((field) = (field) ? (field) : (value))

static int configure(struct qp_core_config *config)
{
    DEFAULT(config->round_ms, 100);
    DEFAULT(config->resend_ms, 500);
    DEFAULT(config->digest_ms, 5000);
    DEFAULT(config->frame_bytes_max, 65536);
    DEFAULT(config->credit, 4);
    DEFAULT(config->tombstone_grace_ms, 600000);
    DEFAULT(config->forget_after_ms, 86400000);
    DEFAULT(config->wire_version, QP_WIRE_VERSION);
    bool is_possible = config->frame_bytes_max >= QP_FRAME_BYTES_MIN && config->frame_bytes_max <= QP_FRAME_BYTES_MAX &&
                       config->credit <= QP_CREDIT_MAX && config->wire_version >= QP_WIRE_VERSION_MIN &&
                       config->wire_version <= QP_WIRE_VERSION;
    return is_possible ? 0 : -EINVAL;
}

int qp_core_configure(struct qp_core *core, const struct qp_core_config *config)
{
    struct qp_core_config changed = *config;
    int error = configure(&changed);
    if (error)
        return error;
    /* The buffers are as long as they are, and peers know us by the rest. */
    changed.frame_bytes_max = core->config.frame_bytes_max;
    changed.cluster = core->config.cluster;
    changed.seed = core->config.seed;
    changed.wire_version = core->config.wire_version;
    core->config = changed;
    return 0;
}

static void *work_space(struct qp_core *core, size_t bytes)
{
    void *memory = qp_alloc(core->arena, bytes);
    core->is_short |= !memory;
    return memory;
}

static int make_work_space(struct qp_core *core)
{
    core->out = work_space(core, core->config.frame_bytes_max);
    core->packed = work_space(core, QP_WIRE_SCRATCH_BYTES);
    core->range_digest = work_space(core, QP_REPLICAS * sizeof *core->range_digest);
    core->state = work_space(core, sizeof *core->state);
    core->before = work_space(core, sizeof *core->before);
    core->after = work_space(core, sizeof *core->after);
    core->told = work_space(core, sizeof *core->told);
    core->reader = work_space(core, sizeof *core->reader);
    core->point = work_space(core, QP_STATE_POINTS * sizeof *core->point);
    core->holder = work_space(core, QP_REPLICAS * sizeof *core->holder);
    core->key = work_space(core, QP_KEY_BYTES_MAX);
    core->peer_map = qp_map_new(core->arena);
    return core->is_short || !core->peer_map ? -ENOMEM : 0;
}

/* Everything begins with the segment. A number that no agent before us had: what those sent is told from what we
 * send. */
static int begin(struct qp_core *core, uint64_t now_ms)
{
    const struct qp_store_ops *ops = core->store.ops;
    core->now_ms = now_ms;
    core->random = core->config.seed ^ core->self;
    qp_ledger_put(&core->ledger->incarnation, core->ledger->incarnation + 1);
    qp_ledger_put(&core->ledger->sequence, core->ledger->sequence - (qp_planted(QP_PLANT_SEQUENCE_AGAIN) && core->ledger->sequence));
    core->graves = ops->graves(core->store.store, &core->grave_count);
    uint32_t slots = ops->slots(core->store.store);
    int error = make_work_space(core);
    if (!error)
        error = qp_log_init(&core->log, slots, slots + core->grave_count + QP_REPLICAS, core->arena);
    if (!error)
        error = qp_replica_init(core);
    if (!error)
        error = qp_join_init(core);
    if (!error)
        qp_collect_init(core);
    if (!error)
        error = qp_core_rebuild(core);
    qp_figures_round(core);
    qp_alloc_reset(core->scratch);
    return error;
}

int qp_core_new(const struct qp_core_config *config, const struct qp_store *store, uint64_t now_ms, struct qp_core **out)
{
    struct qp_core_config checked = *config;
    struct qp_ledger *ledger = store->ops->ledger(store->store);
    int error = configure(&checked);
    if (error || ledger->replica[0].id == 0)
        return error ? error : -EINVAL;
    struct qp_alloc_arena *arena = qp_alloc_arena_new("core");
    struct qp_core *core = arena ? qp_alloc(arena, sizeof *core) : NULL;
    if (!core) {
        qp_alloc_arena_free(arena);
        return -ENOMEM;
    }
    core->arena = arena;
    core->scratch = qp_alloc_arena_new("round");
    core->config = checked;
    core->store = *store;
    core->ledger = ledger;
    core->self = ledger->replica[0].id;
    error = core->scratch ? begin(core, now_ms) : -ENOMEM;
    if (error) {
        qp_core_free(core);
        return error;
    }
    *out = core;
    return 0;
}

void qp_core_free(struct qp_core *core)
{
    if (!core)
        return;
    struct qp_alloc_arena *arena = core->arena;
    qp_map_free(core->replica_map);
    qp_map_free(core->peer_map);
    qp_alloc_arena_free(core->scratch);
    qp_alloc_arena_free(arena); /* and with it the core */
}

/* ---- peers ----------------------------------------------------------------------------------------------------------------- */

static uint64_t hash_of_key(const struct qp_peer_config *config)
{
    return qp_wire_hash(config->key, sizeof config->key);
}

int qp_core_peer_add(struct qp_core *core, const struct qp_peer_config *config, uint64_t now_ms, uint32_t *number)
{
    uint32_t at = 0;
    if (config->key[0] == 0) /* in the ledger that is no key */
        return -EINVAL;
    if (qp_map_get(core->peer_map, hash_of_key(config), &at))
        return -EEXIST;
    while (at < QP_PEERS_MAX && core->peer[at].used)
        at++;
    if (at == QP_PEERS_MAX)
        return -ENOSPC;
    if (!qp_map_put(core->peer_map, hash_of_key(config), at))
        return -ENOMEM;
    core->now_ms = now_ms;
    struct qp_peer *peer = &core->peer[at];
    *peer = (struct qp_peer){.used = true,
                             .link_up = true,
                             .config = *config,
                             .number = at,
                             .version = QP_WIRE_VERSION_MIN,
                             .added_ms = now_ms,
                             .wants_hello = true};
    core->peer_high = at < core->peer_high ? core->peer_high : at + 1;
    core->log.cursors = core->peer_high;
    qp_replica_bind_again(core, peer);
    *number = at;
    return 0;
}

static struct qp_peer *peer_at(struct qp_core *core, uint32_t number)
{
    return number < QP_PEERS_MAX && core->peer[number].used ? &core->peer[number] : NULL;
}

void qp_core_peer_drop(struct qp_core *core, uint32_t number)
{
    struct qp_peer *peer = peer_at(core, number);
    if (!peer)
        return;
    qp_snapshot_forget(core, peer);
    qp_digest_forget(core, peer);
    qp_map_remove(core->peer_map, hash_of_key(&peer->config));
    core->log.cursor[number].sent = core->log.cursor[number].acked = 0;
    *peer = (struct qp_peer){0};
    while (core->peer_high && !core->peer[core->peer_high - 1].used)
        core->peer_high--;
}

void qp_core_peer_link(struct qp_core *core, uint32_t number, bool up, uint64_t now_ms)
{
    struct qp_peer *peer = peer_at(core, number);
    if (!peer)
        return;
    core->now_ms = now_ms;
    peer->wants_hello |= up && !peer->link_up;
    peer->link_up = up;
    qp_stream_go_back(core, peer);
}

/* ---- in -------------------------------------------------------------------------------------------------------------------- */

static void dispatch(struct qp_core *core, struct qp_peer *peer, const struct qp_frame *frame)
{
    static void (*const handler[QP_FRAME_TYPE_END])(struct qp_core *, struct qp_peer *, const struct qp_frame *) = {
        [QP_FRAME_HELLO] = qp_stream_on_hello,
        [QP_FRAME_DELTA] = qp_stream_on_delta,
        [QP_FRAME_ACK] = qp_stream_on_ack,
        [QP_FRAME_DIGEST] = qp_digest_on_digest,
        [QP_FRAME_REPAIR_REQUEST] = qp_digest_on_request,
        [QP_FRAME_REPAIR] = qp_digest_on_repair,
        [QP_FRAME_SNAPSHOT_REQUEST] = qp_snapshot_on_request,
        [QP_FRAME_CHUNK] = qp_join_on_chunk,
    };
    handler[frame->type](core, peer, frame);
}

void qp_core_on_message(struct qp_core *core, uint32_t number, const void *bytes, size_t count, uint64_t now_ms)
{
    struct qp_peer *peer = peer_at(core, number);
    struct qp_frame frame;
    if (!peer)
        return;
    core->now_ms = now_ms;
    peer->figures.frames_in++;
    peer->figures.bytes_in += count;
    if (qp_wire_open(core->reader, bytes, count, core->packed, &frame) < 0 || frame.cluster != core->config.cluster ||
        frame.incarnation == 0) {
        peer->figures.frames_bad++;
        return;
    }
    if (!qp_replica_identify(core, peer, &frame))
        return;
    peer->link_up = true;
    peer->joined = frame.flags & QP_FRAME_JOINED;
    qp_key_harvest_first(core);
    dispatch(core, peer, &frame);
    qp_alloc_reset(core->scratch);
}

/* ---- rounds ---------------------------------------------------------------------------------------------------------------- */

static uint64_t draw(struct qp_core *core)
{
    uint64_t z = core->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* The peer whose replica follows ours in the order of their numbers, so that all hosts are in one ring whatever is
 * drawn. */
static struct qp_peer *ring_neighbour(struct qp_core *core)
{
    struct qp_peer *neighbour = NULL;
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < core->peer_high; i++) {
        struct qp_peer *peer = &core->peer[i];
        if (!peer->used || peer->replica_index == 0)
            continue;
        uint64_t distance = core->ledger->replica[peer->replica_index].id - core->self;
        if (distance <= least) {
            least = distance;
            neighbour = peer;
        }
    }
    return neighbour;
}

static void choose_partners(struct qp_core *core)
{
    uint32_t known[QP_PEERS_MAX], count = 0;
    for (uint32_t i = 0; i < core->peer_high; i++) {
        if (core->peer[i].used)
            known[count++] = i;
    }
    for (uint32_t i = 0; i < count; i++)
        core->peer[known[i]].chosen = count <= QP_FULL_MESH_MAX;
    if (count <= QP_FULL_MESH_MAX)
        return;
    for (uint32_t i = 0; i < QP_DRAWN; i++) {
        uint32_t at = i + (uint32_t)(draw(core) % (count - i)), drawn = known[at];
        known[at] = known[i];
        known[i] = drawn;
        core->peer[drawn].chosen = true;
    }
    struct qp_peer *neighbour = ring_neighbour(core);
    if (neighbour)
        neighbour->chosen = true;
}

static void peers_round(struct qp_core *core)
{
    choose_partners(core);
    for (uint32_t i = 0; i < core->peer_high; i++) {
        struct qp_peer *peer = &core->peer[i];
        if (!peer->used)
            continue;
        peer->blocked = false;
        qp_stream_peer_round(core, peer);
    }
}

static void do_round(struct qp_core *core)
{
    core->round++;
    core->figures.rounds++;
    qp_replica_retire(core);
    qp_stream_round(core);
    qp_retry_round(core);
    qp_key_harvest_round(core);
    qp_key_sweep_round(core);
    qp_join_round(core);
    qp_collect_round(core);
    qp_digest_round(core);
    peers_round(core);
    qp_figures_round(core);
    qp_ledger_put(&core->ledger->round_ms, core->now_ms);
}

uint64_t qp_core_on_tick(struct qp_core *core, uint64_t now_ms)
{
    core->now_ms = now_ms;
    /* Due later than a round from now: the clock went back. */
    if (now_ms < core->round_due_ms && core->round_due_ms - now_ms <= core->config.round_ms)
        return core->round_due_ms;
    core->round_due_ms = now_ms + core->config.round_ms;
    do_round(core);
    qp_alloc_reset(core->scratch);
    return core->round_due_ms;
}

/* ---- out ------------------------------------------------------------------------------------------------------------------- */

static size_t frame_for(struct qp_core *core, struct qp_peer *peer)
{
    peer->out_type = 0;
    size_t count = qp_stream_out(core, peer);
    bool is_retired = qp_replica_is_retired(core, peer);
    if (!count && peer->link_up)
        count = qp_join_out(core, peer);
    if (!count && peer->link_up && !is_retired)
        count = qp_snapshot_out(core, peer);
    if (!count && peer->link_up && !is_retired)
        count = qp_digest_out(core, peer);
    return count;
}

bool qp_core_next_out(struct qp_core *core, uint64_t now_ms, uint32_t *number, const void **bytes, size_t *count)
{
    core->now_ms = now_ms;
    for (uint32_t i = 0; i < core->peer_high; i++) {
        uint32_t at = (core->out_cursor + i) % core->peer_high;
        struct qp_peer *peer = &core->peer[at];
        if (!peer->used || peer->blocked || (*count = frame_for(core, peer)) == 0)
            continue;
        core->out_cursor = at + 1; /* one frame each, in turn */
        peer->figures.frames_out++;
        peer->figures.bytes_out += *count;
        *number = at;
        *bytes = core->out;
        qp_alloc_reset(core->scratch);
        return true;
    }
    qp_alloc_reset(core->scratch);
    return false;
}

void qp_core_out_refused(struct qp_core *core, uint32_t number)
{
    struct qp_peer *peer = peer_at(core, number);
    if (!peer)
        return;
    peer->blocked = true;
    qp_stream_out_refused(core, peer);
}

uint64_t qp_core_digest(const struct qp_core *core, uint32_t replica_index)
{
    return replica_index < QP_REPLICAS ? core->digest[replica_index] : 0;
}
