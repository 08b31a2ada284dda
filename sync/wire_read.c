/* SPDX-License-Identifier: MIT */
/* wire_read.c: bytes of a stranger to frames and records. Every number is held against its cap where it is read,
 * before anything is done with it; a record is skipped whole or taken whole. */
#include "wire_layout.h"

#include <errno.h>

static int open_packed(struct qp_wire_get *get, enum qp_wire_codec codec, void *scratch)
{
    uint64_t raw_bytes = qp_get_varint(get, QP_FRAME_BYTES_MAX);
    uint8_t *raw = scratch, *work = raw + QP_FRAME_BYTES_MAX;
    if (get->bad || !qp_wire_unpack(codec, raw, raw_bytes, get->at, (size_t)(get->end - get->at), work))
        return -EBADMSG;
    *get = (struct qp_wire_get){.at = raw, .end = raw + raw_bytes};
    return 0;
}

int qp_wire_open(struct qp_wire_reader *reader, const void *bytes, size_t count, void *scratch, struct qp_frame *out)
{
    if (count < QP_WIRE_AT_FIELDS + QP_WIRE_SEAL_BYTES || count > QP_FRAME_BYTES_MAX)
        return -EBADMSG;
    const uint8_t *end = (const uint8_t *)bytes + count - QP_WIRE_SEAL_BYTES;
    struct qp_wire_get get = {.at = bytes, .end = end}, seal = {.at = end, .end = end + QP_WIRE_SEAL_BYTES};
    struct qp_frame frame;
    enum qp_wire_codec codec;
    int error = qp_wire_head_get(&get, &frame, &codec);
    if (error)
        return error;
    if (qp_get_fixed(&seal) != qp_wire_hash(bytes, count - QP_WIRE_SEAL_BYTES))
        return -EBADMSG;
    if (codec != QP_CODEC_NONE && open_packed(&get, codec, scratch))
        return -EBADMSG;
    reader->bytes = get.at;
    reader->count = (size_t)(get.end - get.at);
    reader->at = 0;
    reader->malformed = false;
    reader->context = (struct qp_wire_context){.version = frame.version,
                                               .type = frame.type,
                                               .sender = frame.sender,
                                               .base = frame.base,
                                               .upto = frame.upto,
                                               .time_ms = frame.time_ms};
    *out = frame;
    return 0;
}

/* ---- parts of records: each sets get->bad at what no honest host says ------------------------------------------------------ */

static uint64_t get_place(struct qp_wire_get *get, const struct qp_wire_context *context)
{
    if (context->type != QP_FRAME_DELTA)
        return 0;
    uint64_t distance = qp_get_varint(get, context->upto - context->base);
    get->bad |= distance == 0;
    return context->base + distance;
}

static uint64_t get_replica(struct qp_wire_get *get)
{
    uint64_t replica = qp_get_fixed(get);
    get->bad |= replica == 0;
    return replica;
}

static uint64_t get_moment(struct qp_wire_get *get, const struct qp_wire_context *context)
{
    int64_t time_ms = (int64_t)context->time_ms + qp_unzigzag(qp_get_varint(get, 2 * QP_WIRE_TIME_MAX));
    uint64_t logic = qp_get_varint(get, QP_WIRE_LOGIC_MAX);
    get->bad |= time_ms < 0 || time_ms > (int64_t)QP_WIRE_TIME_MAX;
    return get->bad ? 0 : (uint64_t)time_ms << 16 | logic;
}

static uint64_t get_timestamp(struct qp_wire_get *get, const struct qp_wire_context *context)
{
    uint64_t timestamp = get_moment(get, context);
    get->bad |= timestamp == 0;
    return timestamp;
}

static uint64_t get_epoch(struct qp_wire_get *get, const struct qp_wire_context *context, uint8_t kind)
{
    return kind == QP_KIND_LIMIT ? get_moment(get, context) : qp_get_varint(get, QP_WIRE_EPOCH_MAX);
}

/* 1 to QP_SEQUENCE_MAX, as a distance from the statement in a delta, where it is the same mostly. */
static uint64_t point_sequence(struct qp_wire_get *get, const struct qp_wire_context *context, uint64_t told, uint64_t stated)
{
    uint64_t sequence = context->type == QP_FRAME_DELTA ? (told < stated ? stated - told : 0) : told;
    get->bad |= sequence == 0;
    return sequence;
}

static void get_points(struct qp_wire_get *get, struct qp_wire_reader *reader, struct qp_wire_record *out)
{
    const struct qp_wire_context *context = &reader->context;
    struct qp_item *item = &out->item;
    uint64_t replica = context->sender;
    uint32_t count = (uint32_t)qp_get_varint(get, QP_STATE_POINTS);
    for (uint32_t i = 0; i < count && !get->bad; i++) {
        struct qp_point *point = &reader->point[i];
        uint64_t word = qp_get_varint(get, QP_SEQUENCE_MAX << 1 | 1);
        point->sequence = point_sequence(get, context, word >> 1, out->sequence);
        if (word & 1) {
            uint64_t other = get_replica(get);
            get->bad |= other == replica;
            replica = other;
        }
        point->replica = replica;
        point->epoch = get_epoch(get, context, item->kind);
        if (item->kind == QP_KIND_LIMIT && !get->bad)
            get->bad |= (point->epoch >> 16) % item->window_ms != 0; /* no window begins there */
        point->count = qp_get_varint(get, item->kind == QP_KIND_LIMIT ? QP_WIRE_WINDOW_COUNT_MAX : QP_WIRE_COUNT_MAX);
        point->timestamp = get_timestamp(get, context);
    }
    item->point = reader->point;
    item->point_count = count;
}

static void get_tombstone(struct qp_wire_get *get, const struct qp_wire_context *context, unsigned bits, struct qp_item *item)
{
    item->tombstone.replica = context->sender;
    if (bits & QP_ITEM_FOREIGN) {
        item->tombstone.replica = get_replica(get);
        get->bad |= item->tombstone.replica == context->sender;
    }
    item->tombstone.timestamp = get_timestamp(get, context);
    item->tombstone_sequence = qp_get_varint(get, QP_SEQUENCE_MAX);
    get->bad |= item->tombstone_sequence == 0;
    if (item->kind != QP_KIND_REGISTER)
        item->floor = get_epoch(get, context, item->kind);
}

static void get_holders(struct qp_wire_get *get, struct qp_wire_reader *reader, struct qp_item *item)
{
    uint32_t count = (uint32_t)qp_get_varint(get, QP_REPLICAS);
    get->bad |= count == 0;
    for (uint32_t i = 0; i < count && !get->bad; i++) {
        reader->holder[i].replica = get_replica(get);
        reader->holder[i].sequence = qp_get_varint(get, QP_SEQUENCE_MAX);
    }
    item->holder = reader->holder;
    item->holder_count = count;
}

/* Which bits may stand together. */
static bool bits_are_sound(unsigned bits, unsigned version)
{
    unsigned kind = bits & QP_ITEM_KIND;
    unsigned allowed = QP_ITEM_KIND | QP_ITEM_TOMBSTONE | (bits & QP_ITEM_TOMBSTONE ? QP_ITEM_FOREIGN : 0) |
                       (kind == QP_KIND_REGISTER ? QP_ITEM_DELETED : 0) | (version >= 2 ? QP_ITEM_HOLDERS : 0);
    return !(bits & ~allowed) &&
           (kind == QP_KIND_COUNTER || kind == QP_KIND_LIMIT || (kind == QP_KIND_REGISTER && (bits & QP_ITEM_TOMBSTONE)));
}

static void get_item(struct qp_wire_get *get, struct qp_wire_reader *reader, struct qp_wire_record *out)
{
    struct qp_item *item = &out->item;
    out->sequence = get_place(get, &reader->context);
    unsigned bits = qp_get_byte(get);
    item->kind = bits & QP_ITEM_KIND;
    item->deleted = bits & QP_ITEM_DELETED;
    item->key_bytes = (uint32_t)qp_get_varint(get, QP_KEY_BYTES_MAX);
    item->key = qp_get_bytes(get, item->key_bytes);
    get->bad |= item->key_bytes == 0 || !bits_are_sound(bits, reader->context.version);
    if (item->kind == QP_KIND_LIMIT) {
        item->window_ms = (uint32_t)qp_get_varint(get, QP_WIRE_WINDOW_MS_MAX);
        get->bad |= item->window_ms < QP_WIRE_WINDOW_MS_MIN;
    }
    if (bits & QP_ITEM_TOMBSTONE)
        get_tombstone(get, &reader->context, bits, item);
    if (item->kind != QP_KIND_REGISTER)
        get_points(get, reader, out);
    else if (!item->deleted)
        item->value = qp_unzigzag(qp_get_varint(get, UINT64_MAX));
    if (bits & QP_ITEM_HOLDERS)
        get_holders(get, reader, item);
}

static void get_grave(struct qp_wire_get *get, const struct qp_wire_context *context, struct qp_wire_record *out)
{
    out->sequence = get_place(get, context);
    uint8_t is_register = qp_get_byte(get);
    out->is_register = is_register;
    out->hash = qp_get_fixed(get);
    out->floor = qp_get_varint(get, is_register ? UINT64_MAX : QP_WIRE_EPOCH_MAX);
    get->bad |= is_register > 1 || out->hash == 0;
}

/* By whose key a replica came, and whether it was given up. */
static void get_name(struct qp_wire_get *get, const struct qp_wire_context *context, struct qp_wire_record *out)
{
    out->hash = qp_get_fixed(get);
    uint8_t is_retired = context->version >= 2 ? qp_get_byte(get) : 0;
    out->is_retired = is_retired;
    get->bad |= is_retired > 1;
}

static void get_body(struct qp_wire_get *get, struct qp_wire_reader *reader, struct qp_wire_record *out)
{
    switch (out->kind) {
    case QP_RECORD_ITEM:
        get_item(get, reader, out);
        break;
    case QP_RECORD_GRAVE:
        get_grave(get, &reader->context, out);
        break;
    case QP_RECORD_KNOWN:
        out->sequence = get_place(get, &reader->context);
        out->replica = get_replica(get);
        get_name(get, &reader->context, out);
        break;
    case QP_RECORD_REFUSED:
        out->sequence = qp_get_varint(get, QP_SEQUENCE_MAX);
        out->cause = qp_get_byte(get);
        get->bad |= out->sequence == 0 || out->cause == QP_REFUSED_NOTHING || out->cause >= QP_REFUSAL_COUNT;
        break;
    case QP_RECORD_KNOWLEDGE:
        out->replica = get_replica(get);
        out->sequence = qp_get_varint(get, QP_SEQUENCE_MAX);
        get_name(get, &reader->context, out);
        break;
    case QP_RECORD_DIGEST:
        out->replica = get_replica(get);
        out->sequence = qp_get_varint(get, QP_SEQUENCE_MAX);
        out->digest = qp_get_fixed(get);
        break;
    case QP_RECORD_RANGE:
        out->number = qp_get_varint(get, QP_KEY_RANGES - 1);
        out->digest = qp_get_fixed(get);
        break;
    default:
        get->bad = true;
    }
}

/* ---- records -------------------------------------------------------------------------------------------------------------- */

#define BIT(kind) (1u << (kind))
static const uint8_t records_of[QP_FRAME_TYPE_END] = {
    [QP_FRAME_DELTA] = BIT(QP_RECORD_ITEM) | BIT(QP_RECORD_GRAVE) | BIT(QP_RECORD_KNOWN),
    [QP_FRAME_ACK] = BIT(QP_RECORD_REFUSED),
    [QP_FRAME_DIGEST] = BIT(QP_RECORD_DIGEST),
    [QP_FRAME_REPAIR_REQUEST] = BIT(QP_RECORD_RANGE),
    [QP_FRAME_REPAIR] = BIT(QP_RECORD_ITEM),
    [QP_FRAME_CHUNK] = BIT(QP_RECORD_ITEM) | BIT(QP_RECORD_GRAVE) | BIT(QP_RECORD_KNOWLEDGE),
};

static bool belongs(uint8_t type, uint8_t kind)
{
    return kind < 8 && (records_of[type] & BIT(kind));
}

int qp_wire_next(struct qp_wire_reader *reader, struct qp_wire_record *out)
{
    if (reader->malformed)
        return -EBADMSG;
    if (reader->at == reader->count)
        return 0;
    struct qp_wire_get get = {.at = reader->bytes + reader->at, .end = reader->bytes + reader->count};
    uint8_t kind = qp_get_byte(&get);
    size_t body_bytes = qp_get_varint(&get, QP_RECORD_BYTES_MAX);
    const uint8_t *body = qp_get_bytes(&get, body_bytes);
    if (!body) {
        reader->malformed = true;
        return -EBADMSG;
    }
    reader->at = (size_t)(get.at - reader->bytes);
    *out = (struct qp_wire_record){.kind = kind};
    if (!belongs(reader->context.type, kind))
        return -EINVAL;
    struct qp_wire_get record = {.at = body, .end = body + body_bytes};
    get_body(&record, reader, out);
    return record.bad || record.at != record.end ? -EINVAL : 1;
}
