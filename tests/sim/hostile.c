/* SPDX-License-Identifier: MIT */
/* hostile.c: a peer whose key is good and whose agent is not ours. It says whatever no honest host would: nothing of
 * it may change what honest hosts hold. What an honest host could say (delete a key, for one) it may do by right, and
 * so it does not here. */
#include "sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/core_internal.h"

#define FAR UINT64_C(1) << 40
#define EVIL_REPLICA UINT64_C(0xe0e0e0e0e0e0e0e1)
#define CAPTURED 16

struct sim_hostile {
    uint8_t scratch[QP_WIRE_SCRATCH_BYTES];
    uint8_t frame[QP_FRAME_BYTES_MAX];
    struct qp_wire_reader reader;
    uint64_t sequence;               /* of its own stream */
    uint64_t acked[SIM_HOSTS];       /* of it, by each host */
    uint64_t mark[SIM_HOSTS];        /* of theirs: as if all had been merged */
    struct {
        size_t count;
        uint8_t bytes[4096];
    } captured[CAPTURED];
    uint32_t captures;
};

struct hostile {
    struct sim *sim;
    struct sim_hostile *own;
    uint32_t from, to;
    enum sim_lie lie; /* what it says now */
    struct qp_wire_writer writer;
    struct qp_frame head;
};

/* ---- frames ------------------------------------------------------------------------------------------------------------------ */

static void begin(struct hostile *h, uint8_t type)
{
    h->lie = SIM_LIE_NONE;
    h->head = (struct qp_frame){.type = type,
                                .version = QP_WIRE_VERSION_MIN,
                                .flags = QP_FRAME_JOINED,
                                .cluster = 77,
                                .sender = EVIL_REPLICA,
                                .incarnation = 1,
                                .version_max = QP_WIRE_VERSION,
                                .time_ms = h->sim->now_ms,
                                .origin = sim_store_replica(h->sim->host[h->to].store),
                                .mark = h->own->mark[h->to]};
}

static void open_frame(struct hostile *h)
{
    qp_wire_begin(&h->writer, h->own->frame, QP_FRAME_BYTES_MIN, &h->head);
}

static void send_bytes(struct hostile *h, const void *bytes, size_t count)
{
    h->sim->telling = h->lie;
    sim_network_send(h->sim, h->from, h->to, bytes, count);
    h->sim->telling = SIM_LIE_NONE;
}

static void send(struct hostile *h)
{
    send_bytes(h, h->own->frame, qp_wire_end(&h->writer, &h->head, NULL));
}

static void send_bare(struct hostile *h)
{
    open_frame(h);
    send(h);
}

/* The next place of its own stream, as the receiver knows it. */
static void begin_delta(struct hostile *h)
{
    begin(h, QP_FRAME_DELTA);
    h->lie = SIM_LIE_STATED;
    h->head.base = h->own->acked[h->to];
    h->head.upto = h->head.base + 1;
}

/* ---- what it says -------------------------------------------------------------------------------------------------------------- */

static void say_hello(struct hostile *h)
{
    begin(h, QP_FRAME_HELLO);
    send_bare(h);
}

static void claim_to_be_another(struct hostile *h)
{
    uint32_t other = (uint32_t)sim_random_below(&h->sim->of_hosts, h->from);
    begin(h, sim_random_chance(&h->sim->of_hosts, 500000) ? QP_FRAME_HELLO : QP_FRAME_DELTA);
    h->head.sender = h->sim->host[other].store ? sim_store_replica(h->sim->host[other].store) : 1;
    h->head.incarnation = sim_random_below(&h->sim->of_hosts, 5);
    h->head.upto = h->head.base + 100;
    send_bare(h);
}

static void acknowledge_too_much(struct hostile *h)
{
    begin(h, sim_random_chance(&h->sim->of_hosts, 500000) ? QP_FRAME_HELLO : QP_FRAME_ACK);
    h->head.mark += sim_random_chance(&h->sim->of_hosts, 500000) ? FAR : sim_random_below(&h->sim->of_hosts, 10);
    send_bare(h);
}

static struct qp_wire_record draw_item(struct hostile *h, struct qp_point *point)
{
    struct sim_random *random = &h->sim->of_hosts;
    struct sim_account_key *k = &h->sim->account->key[sim_random_below(random, h->sim->account->key_count)];
    struct qp_wire_record record = {.kind = QP_RECORD_ITEM};
    record.item = (struct qp_item){.key = (const uint8_t *)k->name,
                                   .key_bytes = k->name_bytes,
                                   .kind = k->strategy.kind,
                                   .window_ms = k->strategy.window_ms,
                                   .point = point};
    return record;
}

/* Points of somebody else: of the receiver itself, too. */
static void state_foreign_points(struct hostile *h)
{
    struct sim_random *random = &h->sim->of_hosts;
    struct qp_point point = {.epoch = sim_random_below(random, 3), .count = sim_random_below(random, 1000000)};
    struct qp_wire_record record = draw_item(h, &point);
    const struct sim_host *victim = &h->sim->host[sim_random_below(random, h->from)];
    if (!victim->store || record.item.kind == QP_KIND_REGISTER)
        return;
    if (record.item.kind == QP_KIND_LIMIT)
        point.epoch = (h->sim->now_ms / record.item.window_ms * record.item.window_ms) << 16;
    point.replica = sim_store_replica(victim->store);
    point.timestamp = h->sim->now_ms << 16;
    point.sequence = sim_random_between(random, 1, 1000);
    record.item.point_count = 1;
    begin(h, sim_random_chance(random, 500000) ? QP_FRAME_DELTA : sim_random_chance(random, 500000) ? QP_FRAME_CHUNK : QP_FRAME_REPAIR);
    h->lie = h->head.type == QP_FRAME_DELTA ? SIM_LIE_STATED : SIM_LIE_NONE;
    h->head.base = h->own->acked[h->to];
    h->head.upto = h->head.base + 1;
    if (h->head.type == QP_FRAME_REPAIR) {
        h->head.origin = point.replica;
        h->head.upto = FAR;
    }
    record.sequence = h->head.upto;
    open_frame(h);
    qp_wire_put(&h->writer, &record);
    send(h);
}

/* Its own points and tombstones, from a time that nobody has reached. */
static void state_the_future(struct hostile *h)
{
    struct sim_random *random = &h->sim->of_hosts;
    struct qp_point point = {.count = 7, .replica = EVIL_REPLICA};
    struct qp_wire_record record = draw_item(h, &point);
    uint64_t ahead_ms = sim_random_between(random, 2, 1000) * SIM_HOUR_MS;
    begin_delta(h);
    record.sequence = point.sequence = h->head.upto;
    point.timestamp = (h->sim->now_ms + ahead_ms) << 16;
    if (record.item.kind == QP_KIND_LIMIT && sim_random_chance(random, 500000)) {
        point.timestamp = h->sim->now_ms << 16;
        point.epoch = ((h->sim->now_ms + ahead_ms) / record.item.window_ms * record.item.window_ms) << 16;
    }
    if (record.item.kind == QP_KIND_REGISTER || sim_random_chance(random, 300000)) {
        record.item.tombstone = (struct qp_version){(h->sim->now_ms + ahead_ms) << 16, EVIL_REPLICA};
        record.item.tombstone_sequence = h->head.upto;
        record.item.floor = record.item.kind == QP_KIND_LIMIT ? point.epoch : sim_random_below(random, 100);
    }
    if (record.item.kind != QP_KIND_REGISTER)
        record.item.point_count = 1;
    open_frame(h);
    qp_wire_put(&h->writer, &record);
    send(h);
}

/* An epoch that cannot be followed, a count that no cell holds, no version, no place in its stream. */
static void state_nonsense(struct hostile *h)
{
    struct sim_random *random = &h->sim->of_hosts;
    struct qp_point point = {.count = 7, .replica = EVIL_REPLICA, .timestamp = h->sim->now_ms << 16, .sequence = 1};
    struct qp_wire_record record = draw_item(h, &point);
    begin_delta(h);
    record.sequence = h->head.upto;
    record.item.point_count = 1;
    switch (sim_random_below(random, 4)) {
    case 0: point.epoch = UINT64_MAX; break;
    case 1: point.count = UINT64_MAX; break;
    case 2: point.timestamp = 0; break;
    default: record.item.kind = 7; break;
    }
    open_frame(h);
    qp_wire_put(&h->writer, &record);
    send(h);
}

static void forge_knowledge(struct hostile *h)
{
    struct sim_random *random = &h->sim->of_hosts;
    begin(h, sim_random_chance(random, 500000) ? QP_FRAME_CHUNK : QP_FRAME_REPAIR);
    h->head.snapshot = sim_random_below(random, 3);
    h->head.upto = FAR;
    h->head.origin = sim_store_replica(h->sim->host[h->to].store);
    h->head.flags |= QP_FRAME_LAST;
    open_frame(h);
    for (uint32_t i = 0; i < h->from; i++) {
        struct qp_wire_record record = {.kind = QP_RECORD_KNOWLEDGE, .sequence = FAR};
        if (h->sim->host[i].store) {
            record.replica = sim_store_replica(h->sim->host[i].store);
            qp_wire_put(&h->writer, &record);
        }
    }
    send(h);
}

static void say_digests(struct hostile *h)
{
    begin(h, QP_FRAME_DIGEST);
    open_frame(h);
    for (uint32_t i = 0; i < h->from; i++) {
        const struct sim_host *host = &h->sim->host[i];
        struct qp_wire_record record = {.kind = QP_RECORD_DIGEST, .sequence = h->own->mark[i], .digest = sim_random_next(&h->sim->of_hosts)};
        if (host->store) {
            record.replica = sim_store_replica(host->store);
            qp_wire_put(&h->writer, &record);
        }
    }
    send(h);
}

static void ask_for_everything(struct hostile *h)
{
    begin(h, sim_random_chance(&h->sim->of_hosts, 500000) ? QP_FRAME_SNAPSHOT_REQUEST : QP_FRAME_REPAIR_REQUEST);
    h->head.credit = 65535;
    h->head.snapshot = sim_random_next(&h->sim->of_hosts);
    h->head.cursor = sim_random_chance(&h->sim->of_hosts, 500000) ? 0 : FAR;
    send_bare(h);
}

/* What an honest host said to it, said again to that host or another: as its own words, for its key says whose they
 * are. */
static void replay(struct hostile *h)
{
    uint32_t stored = h->own->captures < CAPTURED ? h->own->captures : CAPTURED;
    uint32_t i = (uint32_t)sim_random_below(&h->sim->of_hosts, stored);
    if (stored == 0)
        return;
    if (sim_random_chance(&h->sim->of_hosts, 300000)) /* damaged on the way */
        h->own->captured[i].bytes[sim_random_below(&h->sim->of_hosts, h->own->captured[i].count)] ^= 1u << sim_random_below(&h->sim->of_hosts, 8);
    h->lie = SIM_LIE_NONE;
    send_bytes(h, h->own->captured[i].bytes, h->own->captured[i].count);
}

/* Names that nobody has, or one that somebody has and, so it says, by its own key. */
static void announce_names(struct hostile *h)
{
    struct sim_random *random = &h->sim->of_hosts;
    uint64_t key[4] = {h->from + 1, 2, 3, 4}, count = sim_random_between(random, 1, 8);
    begin_delta(h);
    h->head.upto = h->head.base + count;
    open_frame(h);
    for (uint64_t i = 1; i <= count; i++) {
        const struct sim_host *other = &h->sim->host[sim_random_below(random, h->from)];
        struct qp_wire_record record = {.kind = QP_RECORD_KNOWN, .sequence = h->head.base + i, .replica = 3 + sim_random_below(random, 300)};
        if (other->store && sim_random_chance(random, 300000)) {
            record.replica = sim_store_replica(other->store);
            record.hash = qp_wire_hash(key, sizeof key);
        }
        qp_wire_put(&h->writer, &record);
    }
    send(h);
}

/* Of keys that live, with floors that leave no room for another epoch, or lie in a time that nobody has reached. */
static void forge_graves(struct hostile *h)
{
    struct sim_random *random = &h->sim->of_hosts;
    const struct sim_account_key *k = &h->sim->account->key[sim_random_below(random, h->sim->account->key_count)];
    uint64_t ahead = (h->sim->now_ms + sim_random_between(random, 2, 1000) * SIM_HOUR_MS) << 16;
    const uint64_t plain[] = {QP_WIRE_EPOCH_MAX, QP_WIRE_EPOCH_MAX - 1, QP_PLAIN_EPOCH_HEARD_MAX, QP_PLAIN_EPOCH_HEARD_MAX - 1, ahead};
    const uint64_t registers[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63, (h->sim->now_ms << 20) | 1, ahead};
    bool is_register = k->strategy.kind == QP_KIND_REGISTER;
    begin_delta(h);
    struct qp_wire_record record = {.kind = QP_RECORD_GRAVE,
                                    .sequence = h->head.upto,
                                    .hash = qp_wire_key_hash(k->name, k->name_bytes),
                                    .floor = (is_register ? registers : plain)[sim_random_below(random, 5)],
                                    .is_register = is_register};
    open_frame(h);
    qp_wire_put(&h->writer, &record);
    send(h);
}

/* Of keys that nobody has, and of living ones as if they were of another kind: that is believed, and ends nothing. */
static void dig_graves(struct hostile *h)
{
    struct sim_random *random = &h->sim->of_hosts;
    uint64_t count = sim_random_between(random, 1, 100);
    begin_delta(h);
    h->lie = SIM_LIE_NONE;
    h->head.upto = h->head.base + count;
    open_frame(h);
    for (uint64_t i = 1; i <= count; i++) {
        const struct sim_account_key *k = &h->sim->account->key[sim_random_below(random, h->sim->account->key_count)];
        bool is_key = k->strategy.kind != QP_KIND_LIMIT && sim_random_chance(random, 100000);
        struct qp_wire_record record = {.kind = QP_RECORD_GRAVE,
                                        .sequence = h->head.base + i,
                                        .hash = is_key ? qp_wire_key_hash(k->name, k->name_bytes) : sim_random_next(random) | 1,
                                        .floor = sim_random_chance(random, 500000) ? sim_random_below(random, 100) : h->sim->now_ms << 16,
                                        .is_register = is_key ? k->strategy.kind != QP_KIND_REGISTER : sim_random_chance(random, 500000)};
        qp_wire_put(&h->writer, &record);
    }
    send(h);
}

static void send_noise(struct hostile *h)
{
    uint8_t noise[256];
    size_t count = sim_random_between(&h->sim->of_hosts, 1, sizeof noise);
    for (size_t i = 0; i < count; i++)
        noise[i] = (uint8_t)sim_random_next(&h->sim->of_hosts);
    h->lie = SIM_LIE_NOISE;
    send_bytes(h, noise, count);
}

static void (*const lies[])(struct hostile *h) = {say_hello,       claim_to_be_another, acknowledge_too_much, state_foreign_points,
                                                  state_the_future, state_nonsense,      forge_knowledge,      say_digests,
                                                  ask_for_everything, replay,            announce_names,       send_noise,
                                                  state_foreign_points, state_the_future, replay,     forge_graves,
                                                  dig_graves};

/* ---- its life ---------------------------------------------------------------------------------------------------------------------- */

static struct sim_hostile *state_of(struct sim *sim)
{
    if (!sim->hostile && !(sim->hostile = calloc(1, sizeof *sim->hostile)))
        abort();
    return sim->hostile;
}

void sim_hostile_tick(struct sim_host *host)
{
    struct sim *sim = host->sim;
    struct hostile h = {.sim = sim, .own = state_of(sim), .from = host->index};
    for (h.to = 0; h.to < sim->host_count; h.to++) {
        const struct sim_host *victim = &sim->host[h.to];
        if (h.to == host->index || !host->member || !victim->member || !victim->store || victim->hostile)
            continue;
        /* Under its own name at last: who had one name only, and had it first, cannot be told from its owner. */
        if (sim_random_chance(&sim->of_hosts, 100000))
            say_hello(&h);
        if (!sim->trouble)
            continue;
        if (sim_random_chance(&sim->of_hosts, 500000))
            lies[sim_random_below(&sim->of_hosts, sizeof lies / sizeof *lies)](&h);
    }
    sim_queue_put(&sim->queue, (struct sim_event){.at_ms = sim->now_ms + 100, .kind = SIM_EVENT_TICK, .host = host->index});
}

/* It listens well: a liar who keeps the rules of the stream is heard. */
void sim_hostile_frame(struct sim_host *host, uint32_t from, const void *bytes, size_t count)
{
    struct sim *sim = host->sim;
    struct sim_hostile *own = state_of(sim);
    struct qp_frame frame;
    if (count <= sizeof own->captured[0].bytes) {
        uint32_t at = own->captures++ % CAPTURED;
        memcpy(own->captured[at].bytes, bytes, count);
        own->captured[at].count = count;
    }
    if (qp_wire_open(&own->reader, bytes, count, own->scratch, &frame))
        return;
    if ((frame.type == QP_FRAME_HELLO || frame.type == QP_FRAME_ACK) && frame.origin == EVIL_REPLICA)
        own->acked[from] = frame.mark;
    if (frame.type != QP_FRAME_DELTA || frame.base > own->mark[from])
        return;
    own->mark[from] = frame.upto > own->mark[from] ? frame.upto : own->mark[from];
    struct hostile h = {.sim = sim, .own = own, .from = host->index, .to = from};
    if (!sim->host[from].store)
        return;
    begin(&h, QP_FRAME_ACK);
    send_bare(&h);
}

/* ---- what the others count ----------------------------------------------------------------------------------------------------------- */

void sim_hostile_count(const struct sim_host *host, uint32_t from, struct sim_counted *out)
{
    const struct qp_peer *peer = &host->core->peer[host->peer_of[from]];
    memcpy(out->refused, peer->figures.refused, sizeof out->refused);
    out->bad = peer->figures.frames_bad;
    out->mark = peer->replica_index ? qp_stream_mark(host->core, peer) : UINT64_MAX; /* whose frame it is, is found out with the frame */
}

void sim_hostile_judge(struct sim_host *host, const struct sim_frame *frame, const struct sim_counted *before)
{
    struct sim *sim = host->sim;
    struct sim_counted after;
    uint64_t refused = 0;
    sim_hostile_count(host, frame->from, &after);
    for (uint32_t why = 0; why < QP_REFUSAL_COUNT; why++)
        refused += after.refused[why] - before->refused[why];
    if (!sim->host[frame->from].hostile) {
        /* Who may not relay does not know that, and announces whom it has heard of, which is refused. */
        bool foreign = after.refused[QP_REFUSED_FOREIGN] != before->refused[QP_REFUSED_FOREIGN] && sim->host[frame->from].relay;
        if (foreign || after.refused[QP_REFUSED_MALFORMED] != before->refused[QP_REFUSED_MALFORMED])
            sim_fail(sim, "host %u has refused as %s what host %u says, which is honest (frame of type %u)", host->index,
                     foreign ? "foreign" : "malformed", frame->from, frame->bytes[5]);
        return;
    }
    bool must = frame->lie == SIM_LIE_NOISE || (frame->lie == SIM_LIE_STATED && after.mark > before->mark);
    bool counted = frame->lie == SIM_LIE_NOISE ? after.bad > before->bad : refused != 0;
    if (must && !counted)
        sim_fail(sim, "host %u took what host %u says, which lies, and counted nothing (kind %u)", host->index, frame->from, frame->lie);
    sim->figures.lies[frame->lie] += must;
}
