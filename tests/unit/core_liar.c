/* SPDX-License-Identifier: MIT */
/* core_liar.c: its frames. */
#include "core_liar.h"

static uint8_t bytes[QP_FRAME_BYTES_MAX];
static struct qp_wire_reader reader;
static uint64_t scratch[QP_WIRE_SCRATCH_BYTES / 8];

struct qp_peer *liar_peer(const struct liar *liar, unsigned to)
{
    return rig_peer(liar->rig, to, liar->host);
}

void liar_begin(struct liar *liar, struct rig *rig, unsigned host)
{
    const struct qp_ledger *ledger = rig->core[host]->ledger;
    *liar = (struct liar){.rig = rig,
                          .host = host,
                          .replica = rig_replica(host),
                          .incarnation = ledger->incarnation + 1000,
                          .sequence = ledger->sequence};
    rig_kill(rig, host);
    for (unsigned i = 0; i < rig->hosts; i++)
        if (rig->core[i])
            liar_peer(liar, i)->config.may_relay = false;
}

void liar_frame(const struct liar *liar, struct qp_frame *frame, enum qp_frame_type type)
{
    rig_frame(liar->rig, liar->host, frame, type);
    frame->sender = liar->replica;
    frame->incarnation = liar->incarnation;
    frame->version_max = QP_WIRE_VERSION;
}

void liar_send(const struct liar *liar, unsigned to, const struct qp_frame *frame, const struct qp_wire_record *records, unsigned count)
{
    struct qp_wire_writer writer;
    qp_wire_begin(&writer, bytes, sizeof bytes, frame);
    for (unsigned i = 0; i < count; i++)
        assert_true(qp_wire_put(&writer, &records[i]));
    size_t size = qp_wire_end(&writer, frame, NULL);
    qp_core_on_message(liar->rig->core[to], liar_peer(liar, to)->number, bytes, size, liar->rig->now_ms);
}

void liar_hello(const struct liar *liar, unsigned to, unsigned flags)
{
    struct qp_frame frame;
    liar_frame(liar, &frame, QP_FRAME_HELLO);
    frame.flags = flags;
    frame.origin = rig_replica(to);
    liar_send(liar, to, &frame, NULL, 0);
}

void liar_delta(struct liar *liar, unsigned to, struct qp_wire_record *records, unsigned count)
{
    struct qp_frame frame;
    liar_frame(liar, &frame, QP_FRAME_DELTA);
    frame.base = liar->sequence;
    frame.upto = liar->sequence + count;
    for (unsigned i = 0; i < count; i++) {
        records[i].sequence = ++liar->sequence;
        if (records[i].kind == QP_RECORD_ITEM && records[i].item.point_count)
            records[i].item.point->sequence = liar->sequence;
        if (records[i].kind == QP_RECORD_ITEM && records[i].item.tombstone.timestamp)
            records[i].item.tombstone_sequence = liar->sequence;
    }
    liar_send(liar, to, &frame, records, count);
}

struct qp_wire_record liar_item(const struct liar *liar, const char *key, struct qp_point *point)
{
    point->replica = liar->replica;
    point->timestamp = point->timestamp ? point->timestamp : liar->rig->now_ms << 16;
    return (struct qp_wire_record){.kind = QP_RECORD_ITEM,
                                   .item = {.key = (const uint8_t *)key,
                                            .key_bytes = (uint32_t)strlen(key),
                                            .kind = QP_KIND_COUNTER,
                                            .point = point,
                                            .point_count = 1}};
}

unsigned liar_listen(const struct liar *liar, unsigned to, enum qp_frame_type type, uint64_t *heard_bytes)
{
    struct rig *rig = liar->rig;
    uint32_t number;
    const void *out;
    size_t count;
    unsigned frames = 0;
    while (qp_core_next_out(rig->core[to], rig->now_ms, &number, &out, &count)) {
        struct qp_frame head;
        assert_int_equal(qp_wire_open(&reader, out, count, scratch, &head), 0);
        if (number != liar_peer(liar, to)->number)
            continue;
        frames += head.type == type;
        if (heard_bytes)
            *heard_bytes += count;
    }
    return frames;
}
