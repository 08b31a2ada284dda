/* SPDX-License-Identifier: MIT */
/* wire_layout.h: what the writer and the reader of frames must agree on. In prose, byte by byte: PROTOCOL.md. */
#ifndef QP_SYNC_WIRE_LAYOUT_H
#define QP_SYNC_WIRE_LAYOUT_H

#include "wire.h"
#include "wire_varint.h"

#define QP_WIRE_MAGIC "QPF\x1a" /* 4 bytes; the last one ends a text, for who takes a frame for one */
#define QP_WIRE_MAGIC_BYTES 4
#define QP_WIRE_AT_FLAGS 6
#define QP_WIRE_AT_CODEC 7
#define QP_WIRE_AT_FIELDS 32 /* of the type; before them cluster, sender, incarnation */
#define QP_WIRE_SEAL_BYTES 8

#define QP_WIRE_FLAGS (QP_FRAME_JOINED | QP_FRAME_FENCED | QP_FRAME_LAST)

enum qp_wire_codec { QP_CODEC_NONE = 0, QP_CODEC_LZ4 = 1, QP_CODEC_ZSTD = 2 };

/* What a type is compressed with, from version 2 on: deltas must be cheap, chunks small. */
static inline enum qp_wire_codec qp_wire_codec_of(uint8_t type)
{
    return type == QP_FRAME_CHUNK ? QP_CODEC_ZSTD : QP_CODEC_LZ4;
}

/* The second byte of an item. */
#define QP_ITEM_KIND 0x07u      /* enum qp_kind: COUNTER, LIMIT or REGISTER */
#define QP_ITEM_TOMBSTONE 0x08u /* it has one; a register always has, as its version */
#define QP_ITEM_FOREIGN 0x10u   /* which another replica than the sender minted: 8 bytes say who */
#define QP_ITEM_DELETED 0x20u   /* registers: the version is that of a remove */
#define QP_ITEM_HOLDERS 0x40u   /* holders follow, one at least; from version 2 on */

#define QP_WIRE_TIME_MAX ((UINT64_C(1) << 48) - 1) /* unix ms of a timestamp or a window */
#define QP_WIRE_LOGIC_MAX UINT64_C(0xffff)
#define QP_WIRE_WINDOW_MS_MIN 100u /* as strategies allow */
#define QP_WIRE_WINDOW_MS_MAX 86400000u

/* The head with the fields of the type, to `put`; frame->type and version are known ones. */
void qp_wire_head_put(struct qp_wire_put *put, const struct qp_frame *frame);
/* Once more what may change while records are added, into a head that was put. */
void qp_wire_head_amend(uint8_t *head, uint8_t type, const struct qp_frame *frame);
/* 0, -EBADMSG, -EPROTONOSUPPORT. Everything is within its cap; *codec is one that the type and the version may have. */
int qp_wire_head_get(struct qp_wire_get *get, struct qp_frame *out, enum qp_wire_codec *codec);

/* The scratch memory: what comes out of compression or decompression, and behind it what the libraries work in. */
#define QP_WIRE_WORK_BYTES (QP_WIRE_SCRATCH_BYTES - QP_FRAME_BYTES_MAX)

/* Compresses; 0: it does not fit into room. */
size_t qp_wire_pack(enum qp_wire_codec codec, void *dst, size_t room, const void *raw, size_t raw_bytes, void *work);
/* Into dst exactly raw_bytes; false: it is not that. */
bool qp_wire_unpack(enum qp_wire_codec codec, void *dst, size_t raw_bytes, const void *packed, size_t packed_bytes,
                    void *work);

#endif
