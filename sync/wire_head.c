/* SPDX-License-Identifier: MIT */
/* wire_head.c: the head of a frame and the fields of its type, both ways by one table: what is written is what is
 * read. */
#include "wire_layout.h"

#include <errno.h>

/* A field of some type: 8 bytes that may be filled in at the end, or a varint with a cap. */
struct field {
    uint16_t at; /* in struct qp_frame; 0 ends a list (the type stands there) */
    bool fixed;
    uint64_t most;
};
#define FIXED(name, most) {offsetof(struct qp_frame, name), true, most}
#define VARINT(name, most) {offsetof(struct qp_frame, name), false, most}
#define CREDIT_MAX 65535u

/* Fixed ones first: they have the same place in every frame of the type. */
static const struct field fields[QP_FRAME_TYPE_END][7] = {
    [QP_FRAME_HELLO] = {FIXED(origin, UINT64_MAX), VARINT(version_max, UINT8_MAX), VARINT(mark, QP_SEQUENCE_MAX)},
    [QP_FRAME_DELTA] = {FIXED(upto, QP_SEQUENCE_MAX), VARINT(base, QP_SEQUENCE_MAX), VARINT(mark, QP_SEQUENCE_MAX),
                        VARINT(time_ms, QP_WIRE_TIME_MAX)},
    [QP_FRAME_ACK] = {FIXED(origin, UINT64_MAX), VARINT(mark, QP_SEQUENCE_MAX)},
    [QP_FRAME_REPAIR_REQUEST] = {FIXED(upto, QP_SEQUENCE_MAX), FIXED(origin, UINT64_MAX)},
    [QP_FRAME_REPAIR] = {FIXED(upto, QP_SEQUENCE_MAX), FIXED(cursor_next, UINT64_MAX), FIXED(origin, UINT64_MAX),
                         VARINT(range, QP_KEY_RANGES - 1), VARINT(cursor, UINT64_MAX), VARINT(time_ms, QP_WIRE_TIME_MAX)},
    [QP_FRAME_SNAPSHOT_REQUEST] = {VARINT(snapshot, UINT64_MAX), VARINT(cursor, UINT64_MAX), VARINT(credit, CREDIT_MAX)},
    [QP_FRAME_CHUNK] = {FIXED(cursor_next, UINT64_MAX), VARINT(snapshot, UINT64_MAX), VARINT(cursor, UINT64_MAX),
                        VARINT(time_ms, QP_WIRE_TIME_MAX)},
};

static uint64_t value_of(const struct qp_frame *frame, const struct field *field)
{
    uint64_t value;
    memcpy(&value, (const char *)frame + field->at, sizeof value);
    return value;
}

void qp_wire_head_put(struct qp_wire_put *put, const struct qp_frame *frame)
{
    qp_put_bytes(put, QP_WIRE_MAGIC, QP_WIRE_MAGIC_BYTES);
    qp_put_byte(put, frame->version);
    qp_put_byte(put, frame->type);
    qp_put_byte(put, (uint8_t)frame->flags);
    qp_put_byte(put, QP_CODEC_NONE);
    qp_put_fixed(put, frame->cluster);
    qp_put_fixed(put, frame->sender);
    qp_put_fixed(put, frame->incarnation);
    for (const struct field *field = fields[frame->type]; field->at; field++) {
        if (field->fixed)
            qp_put_fixed(put, value_of(frame, field));
        else
            qp_put_varint(put, value_of(frame, field));
    }
}

void qp_wire_head_amend(uint8_t *head, uint8_t type, const struct qp_frame *frame)
{
    head[QP_WIRE_AT_FLAGS] = (uint8_t)frame->flags;
    uint8_t *at = head + QP_WIRE_AT_FIELDS;
    for (const struct field *field = fields[type]; field->at && field->fixed; field++, at += 8)
        qp_store_fixed(at, value_of(frame, field));
}

static bool get_fields(struct qp_wire_get *get, struct qp_frame *out)
{
    for (const struct field *field = fields[out->type]; field->at; field++) {
        uint64_t value = field->fixed ? qp_get_fixed(get) : qp_get_varint(get, field->most);
        if (get->bad || value > field->most)
            return false;
        memcpy((char *)out + field->at, &value, sizeof value);
    }
    return true;
}

/* What the fields must be to each other. */
static bool makes_sense(const struct qp_frame *frame)
{
    switch (frame->type) {
    case QP_FRAME_HELLO:
        return frame->version_max >= frame->version;
    case QP_FRAME_DELTA:
        return frame->base <= frame->upto;
    case QP_FRAME_REPAIR:
    case QP_FRAME_REPAIR_REQUEST:
        return frame->origin != 0;
    default:
        return true;
    }
}

int qp_wire_head_get(struct qp_wire_get *get, struct qp_frame *out, enum qp_wire_codec *codec)
{
    *out = (struct qp_frame){0};
    const uint8_t *magic = qp_get_bytes(get, QP_WIRE_MAGIC_BYTES);
    if (!magic || memcmp(magic, QP_WIRE_MAGIC, QP_WIRE_MAGIC_BYTES))
        return -EBADMSG;
    out->version = qp_get_byte(get);
    if (get->bad)
        return -EBADMSG;
    /* Everything behind it may be different in another version. */
    if (out->version < QP_WIRE_VERSION_MIN || out->version > QP_WIRE_VERSION)
        return -EPROTONOSUPPORT;
    out->type = qp_get_byte(get);
    out->flags = qp_get_byte(get);
    *codec = qp_get_byte(get);
    out->cluster = qp_get_fixed(get);
    out->sender = qp_get_fixed(get);
    out->incarnation = qp_get_fixed(get);
    if (get->bad || out->type == 0 || out->type >= QP_FRAME_TYPE_END || (out->flags & ~QP_WIRE_FLAGS) || !out->sender)
        return -EBADMSG;
    if (*codec != QP_CODEC_NONE && (out->version < 2 || *codec != qp_wire_codec_of(out->type)))
        return -EBADMSG;
    return get_fields(get, out) && makes_sense(out) ? 0 : -EBADMSG;
}
