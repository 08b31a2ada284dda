/* SPDX-License-Identifier: MIT */
/* wire_write.c: frames and records to bytes. The caller says only what an honest host may say: the caps are the
 * reader's to check. */
#include "wire_layout.h"

#include <assert.h>

#define PACK_BYTES_MIN 1024 /* less is not worth the time */

void qp_wire_begin(struct qp_wire_writer *writer, void *bytes, size_t room, const struct qp_frame *frame)
{
    assert(room >= QP_FRAME_BYTES_MIN && room <= QP_FRAME_BYTES_MAX);
    struct qp_wire_put put = {.at = bytes, .end = (uint8_t *)bytes + room};
    qp_wire_head_put(&put, frame);
    size_t head_bytes = (size_t)(put.at - (uint8_t *)bytes);
    *writer = (struct qp_wire_writer){
        .bytes = bytes,
        .room = room,
        .aim = room,
        .at = head_bytes,
        .records_at = head_bytes,
        .context = {.version = frame->version, .type = frame->type, .sender = frame->sender, .base = frame->base, .time_ms = frame->time_ms}};
}

/* ---- records ------------------------------------------------------------------------------------------------------------ */

/* Where a record stands in the sender's stream. */
static void put_place(struct qp_wire_put *put, const struct qp_wire_context *context, uint64_t sequence)
{
    if (context->type == QP_FRAME_DELTA)
        qp_put_varint(put, sequence - context->base);
}

/* A timestamp, or the epoch of a window: unix ms, and 16 bits that tell apart what is of one ms. */
static void put_moment(struct qp_wire_put *put, const struct qp_wire_context *context, uint64_t moment)
{
    qp_put_varint(put, qp_zigzag((int64_t)(moment >> 16) - (int64_t)context->time_ms));
    qp_put_varint(put, moment & QP_WIRE_LOGIC_MAX);
}

/* Epochs and floors. */
static void put_epoch(struct qp_wire_put *put, const struct qp_wire_context *context, uint8_t kind, uint64_t epoch)
{
    if (kind == QP_KIND_LIMIT)
        put_moment(put, context, epoch);
    else
        qp_put_varint(put, epoch);
}

/* Points come grouped by replica, mostly one replica's: its id is told when it changes. */
static void put_points(struct qp_wire_put *put, const struct qp_wire_context *context, const struct qp_wire_record *record)
{
    const struct qp_item *item = &record->item;
    uint64_t replica = context->sender;
    qp_put_varint(put, item->point_count);
    for (uint32_t i = 0; i < item->point_count; i++) {
        const struct qp_point *point = &item->point[i];
        bool other = point->replica != replica;
        uint64_t sequence = context->type == QP_FRAME_DELTA ? record->sequence - point->sequence : point->sequence;
        qp_put_varint(put, sequence << 1 | other);
        if (other)
            qp_put_fixed(put, replica = point->replica);
        put_epoch(put, context, item->kind, point->epoch);
        qp_put_varint(put, point->count);
        put_moment(put, context, point->timestamp);
    }
}

static void put_tombstone(struct qp_wire_put *put, const struct qp_wire_context *context, const struct qp_item *item)
{
    if (item->tombstone.replica != context->sender)
        qp_put_fixed(put, item->tombstone.replica);
    put_moment(put, context, item->tombstone.timestamp);
    qp_put_varint(put, item->tombstone_sequence);
    if (item->kind != QP_KIND_REGISTER)
        put_epoch(put, context, item->kind, item->floor);
}

static uint8_t item_bits(const struct qp_wire_context *context, const struct qp_item *item)
{
    unsigned bits = item->kind;
    if (item->tombstone.timestamp)
        bits |= QP_ITEM_TOMBSTONE | (item->tombstone.replica != context->sender ? QP_ITEM_FOREIGN : 0);
    if (item->kind == QP_KIND_REGISTER && item->deleted)
        bits |= QP_ITEM_DELETED;
    if (item->holder_count && context->version >= 2)
        bits |= QP_ITEM_HOLDERS;
    return (uint8_t)bits;
}

static void put_item(struct qp_wire_put *put, const struct qp_wire_context *context, const struct qp_wire_record *record)
{
    const struct qp_item *item = &record->item;
    uint8_t bits = item_bits(context, item);
    put_place(put, context, record->sequence);
    qp_put_byte(put, bits);
    qp_put_varint(put, item->key_bytes);
    qp_put_bytes(put, item->key, item->key_bytes);
    if (item->kind == QP_KIND_LIMIT)
        qp_put_varint(put, item->window_ms);
    if (bits & QP_ITEM_TOMBSTONE)
        put_tombstone(put, context, item);
    if (item->kind != QP_KIND_REGISTER)
        put_points(put, context, record);
    else if (!(bits & QP_ITEM_DELETED))
        qp_put_varint(put, qp_zigzag(item->value));
    if (!(bits & QP_ITEM_HOLDERS))
        return;
    qp_put_varint(put, item->holder_count);
    for (uint32_t i = 0; i < item->holder_count; i++) {
        qp_put_fixed(put, item->holder[i].replica);
        qp_put_varint(put, item->holder[i].sequence);
    }
}

static void put_name(struct qp_wire_put *put, const struct qp_wire_context *context, const struct qp_wire_record *record)
{
    qp_put_fixed(put, record->hash);
    if (context->version >= 2)
        qp_put_byte(put, record->is_retired);
}

static void put_body(struct qp_wire_put *put, const struct qp_wire_context *context, const struct qp_wire_record *record)
{
    switch (record->kind) {
    case QP_RECORD_ITEM:
        put_item(put, context, record);
        break;
    case QP_RECORD_GRAVE:
        put_place(put, context, record->sequence);
        qp_put_byte(put, record->is_register);
        qp_put_fixed(put, record->hash);
        qp_put_varint(put, record->floor);
        break;
    case QP_RECORD_KNOWN:
        put_place(put, context, record->sequence);
        qp_put_fixed(put, record->replica);
        put_name(put, context, record);
        break;
    case QP_RECORD_REFUSED:
        qp_put_varint(put, record->sequence);
        qp_put_byte(put, record->cause);
        break;
    case QP_RECORD_KNOWLEDGE:
        qp_put_fixed(put, record->replica);
        qp_put_varint(put, record->sequence);
        put_name(put, context, record);
        break;
    case QP_RECORD_DIGEST:
        qp_put_fixed(put, record->replica);
        qp_put_varint(put, record->sequence);
        qp_put_fixed(put, record->digest);
        break;
    case QP_RECORD_RANGE:
        qp_put_varint(put, record->number);
        qp_put_fixed(put, record->digest);
        break;
    default:
        assert(!"a kind of record");
    }
}

bool qp_wire_put(struct qp_wire_writer *writer, const struct qp_wire_record *record)
{
    size_t limit = writer->at > writer->records_at && writer->aim < writer->room ? writer->aim : writer->room;
    uint8_t *start = writer->bytes + writer->at, *end = writer->bytes + limit - QP_WIRE_SEAL_BYTES;
    if (limit < writer->at + QP_WIRE_SEAL_BYTES + 2) {
        writer->full = true;
        return false;
    }
    /* Most bodies are below 128 bytes: a place of one byte is left for their length, and a longer one is moved. */
    struct qp_wire_put body = {.at = start + 2, .end = end};
    put_body(&body, &writer->context, record);
    size_t body_bytes = (size_t)(body.at - (start + 2));
    uint8_t length[QP_VARINT_BYTES_MAX];
    struct qp_wire_put head = {.at = length, .end = length + sizeof length};
    qp_put_varint(&head, body_bytes);
    size_t length_bytes = (size_t)(head.at - length);
    if (body.full || length_bytes - 1 > (size_t)(end - body.at)) {
        writer->full = true;
        return false;
    }
    assert(body_bytes <= QP_RECORD_BYTES_MAX);
    if (length_bytes > 1)
        memmove(start + 1 + length_bytes, start + 2, body_bytes);
    start[0] = record->kind;
    memcpy(start + 1, length, length_bytes);
    writer->at += 1 + length_bytes + body_bytes;
    return true;
}

/* ---- the end ------------------------------------------------------------------------------------------------------------ */

size_t qp_wire_used(const struct qp_wire_writer *writer)
{
    return writer->at + QP_WIRE_SEAL_BYTES;
}

/* Replaces the records by [their length][compressed], if that is shorter by a sixteenth. */
static void pack(struct qp_wire_writer *writer, void *scratch)
{
    uint8_t *records = writer->bytes + writer->records_at;
    size_t raw_bytes = writer->at - writer->records_at;
    if (writer->context.version < 2 || raw_bytes <= PACK_BYTES_MIN)
        return;
    enum qp_wire_codec codec = qp_wire_codec_of(writer->context.type);
    uint8_t *packed = scratch, *work = packed + QP_FRAME_BYTES_MAX;
    size_t packed_bytes = qp_wire_pack(codec, packed, raw_bytes - raw_bytes / 16, records, raw_bytes, work);
    if (!packed_bytes)
        return;
    struct qp_wire_put put = {.at = records, .end = records + raw_bytes};
    qp_put_varint(&put, raw_bytes);
    qp_put_bytes(&put, packed, packed_bytes);
    assert(!put.full); /* a sixteenth of 1 KiB is more than the length takes */
    writer->bytes[QP_WIRE_AT_CODEC] = codec;
    writer->at = (size_t)(put.at - writer->bytes);
}

size_t qp_wire_end(struct qp_wire_writer *writer, const struct qp_frame *frame, void *scratch)
{
    qp_wire_head_amend(writer->bytes, writer->context.type, frame);
    if (scratch)
        pack(writer, scratch);
    qp_store_fixed(writer->bytes + writer->at, qp_wire_hash(writer->bytes, writer->at));
    return writer->at + QP_WIRE_SEAL_BYTES;
}
