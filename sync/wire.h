/* SPDX-License-Identifier: MIT */
/* wire.h: frames and their records, to bytes and back. Byte by byte: PROTOCOL.md. Pure and bounded: a reader
 * allocates nothing, checks each number against its cap before it believes it, and finds damage by the checksum;
 * bytes from a stranger can be refused, and nothing else.
 *
 * A frame is a head, the fields of its type, and records to its end. One frame is one message of the transport. */
#ifndef QP_SYNC_WIRE_H
#define QP_SYNC_WIRE_H

#include "rules.h"

#ifndef QP_WIRE_VERSION /* (tests build an agent of the version before) */
#define QP_WIRE_VERSION 2     /* ours: records may be compressed, relayed items carry holders, who was given up is said */
#endif
#define QP_WIRE_VERSION_MIN 1 /* the oldest that we speak */
#define QP_FRAME_BYTES_MAX (256u * 1024) /* as sent, and after decompression */
#define QP_RECORD_BYTES_MAX (28u * 1024) /* a key with every point and every holder that a state has room for is less */
#define QP_FRAME_BYTES_MIN (32u * 1024)  /* room that any single record fits in with its head: no state is ever cut */

#define QP_SEQUENCE_MAX ((UINT64_C(1) << 48) - 1)   /* of any stream: a shard block has 48 bits for it */
#define QP_WIRE_EPOCH_MAX (UINT64_C(1) << 62)       /* of plain counters */
#define QP_WIRE_COUNT_MAX INT64_MAX                 /* of plain counters */
#define QP_WIRE_WINDOW_COUNT_MAX ((UINT64_C(1) << 40) - 1) /* of windows: a cell has so many bits for it */

enum qp_frame_type {
    QP_FRAME_HELLO = 1,        /* who I am, what I speak, up to where I have your stream */
    QP_FRAME_DELTA = 2,        /* all my keys changed in (base, upto]: items, graves, announcements of mine */
    QP_FRAME_ACK = 3,          /* of your stream I have everything up to mark; refused items are listed */
    QP_FRAME_DIGEST = 4,       /* digests by origin, each at a place in its stream */
    QP_FRAME_REPAIR_REQUEST = 5, /* digests of one origin's key ranges: tell me about the ranges in which yours differ */
    QP_FRAME_REPAIR = 6,       /* one range of one origin's keys, whole */
    QP_FRAME_SNAPSHOT_REQUEST = 7, /* everything you hold, from this cursor; so many chunks at once */
    QP_FRAME_CHUNK = 8,        /* a part of a snapshot; the first begins with the giver's knowledge, graves come before the end */
    QP_FRAME_TYPE_END
};

#define QP_FRAME_JOINED 1u /* the sender has completed its join: it states, and may give snapshots */
#define QP_FRAME_FENCED 2u /* to the receiver: you were away too long; take a snapshot first */
#define QP_FRAME_LAST 4u   /* nothing follows. CHUNK: of the snapshot. DELTA: of what the sender has stated. HELLO, ACK: of that, all is acknowledged */

/* The head and every field that some type has; a type's own are named in PROTOCOL.md, the others are 0. */
struct qp_frame {
    uint8_t type;
    uint8_t version;
    uint32_t flags;
    uint64_t cluster;
    uint64_t sender;      /* replica */
    uint64_t incarnation; /* of the sender's agent */
    uint64_t version_max; /* HELLO: the newest the sender speaks */
    uint64_t time_ms;     /* DELTA, REPAIR, CHUNK: the sender's clock. Timestamps and windows are told by their distance to it: any value is right, one near
                           * to them is short */
    uint64_t base, upto;  /* DELTA; REPAIR, REPAIR_REQUEST: upto is the sender's knowledge of the origin's stream */
    uint64_t mark;        /* ACK, HELLO: the sender's knowledge of the stream of `origin`. DELTA: up to where the receiver has acknowledged the sender's, as far
                           * as the sender has heard */
    uint64_t origin;      /* REPAIR, REPAIR_REQUEST. ACK, HELLO: the receiver's replica, as the sender knows it; 0: not at all */
    uint64_t range;       /* REPAIR: number of the key range */
    uint64_t snapshot;    /* SNAPSHOT_REQUEST, CHUNK: chosen by who asks */
    uint64_t cursor;      /* SNAPSHOT_REQUEST: from here. CHUNK, REPAIR: begins here */
    uint64_t cursor_next; /* CHUNK, REPAIR: the next one's */
    uint64_t credit;      /* SNAPSHOT_REQUEST: chunks that may be under way */
};

enum qp_record_kind {
    QP_RECORD_ITEM = 1,
    QP_RECORD_GRAVE = 2,
    QP_RECORD_KNOWN = 3,     /* a replica that the sender counts among those that must hold a tombstone */
    QP_RECORD_REFUSED = 4,   /* ACK: the item stated at `sequence` was refused */
    QP_RECORD_KNOWLEDGE = 5, /* CHUNK: of a replica's stream, up to `sequence` */
    QP_RECORD_DIGEST = 6,    /* of an origin's live points, at its `sequence` */
    QP_RECORD_RANGE = 7      /* REPAIR_REQUEST: digest of one key range */
};

struct qp_wire_record {
    uint8_t kind;
    uint8_t cause;      /* REFUSED: enum qp_refusal */
    bool is_register;   /* GRAVE: floor is a timestamp */
    bool is_retired;    /* KNOWN, KNOWLEDGE, from version 2 on: the sender has given that replica up */
    uint64_t sequence;  /* ITEM, GRAVE, KNOWN in a DELTA: where it is stated in the sender's stream */
    uint64_t replica;   /* KNOWN, KNOWLEDGE, DIGEST */
    uint64_t hash;      /* GRAVE: of the key, the same on all hosts. KNOWN, KNOWLEDGE: of the public key that the replica came by; 0: not known */
    uint64_t floor;     /* GRAVE */
    uint64_t number;    /* RANGE */
    uint64_t digest;    /* DIGEST, RANGE */
    struct qp_item item; /* its key points into the frame (or into what it was decompressed to); points and holders into the reader */
};

/* ---- writing ----------------------------------------------------------------------------------------------------------- */

/* What records are told relative to: their frame's. */
struct qp_wire_context {
    uint8_t version, type;
    uint64_t sender, base, upto, time_ms; /* upto: not known to the writer */
};

struct qp_wire_writer {
    uint8_t *bytes;
    size_t room, at, records_at;
    size_t aim; /* no frame with records in it grows beyond; begin makes it room. For smaller frames, lower it after begin */
    bool full;  /* a record did not fit */
    struct qp_wire_context context;
};

/* Work space of compression and decompression, aligned to 8 bytes. */
#define QP_WIRE_SCRATCH_BYTES (1024u * 1024)

/* Begins a frame in the caller's buffer. room: QP_FRAME_BYTES_MIN to QP_FRAME_BYTES_MAX. */
void qp_wire_begin(struct qp_wire_writer *writer, void *bytes, size_t room, const struct qp_frame *frame);
/* false: it does not fit any more (nothing was written of it). */
bool qp_wire_put(struct qp_wire_writer *writer, const struct qp_wire_record *record);
size_t qp_wire_used(const struct qp_wire_writer *writer);
/* Fills in what is known only at the end (flags, upto, cursor_next), compresses if that pays (scratch:
 * QP_WIRE_SCRATCH_BYTES; NULL: do not), and seals. Returns the frame's size. */
size_t qp_wire_end(struct qp_wire_writer *writer, const struct qp_frame *frame, void *scratch);

/* ---- reading ------------------------------------------------------------------------------------------------------------ */

struct qp_wire_reader {
    const uint8_t *bytes; /* the records: in the frame, or in the scratch memory */
    size_t count, at;
    bool malformed;
    struct qp_wire_context context;
    struct qp_point point[QP_STATE_POINTS];
    struct qp_holder holder[QP_REPLICAS];
};

/* Checks and opens a frame. scratch: QP_WIRE_SCRATCH_BYTES, for what is compressed; it and the frame must last as
 * long as records are read. 0; -EBADMSG: no frame, damaged, or too large; -EPROTONOSUPPORT: of a version that we do
 * not speak. */
int qp_wire_open(struct qp_wire_reader *reader, const void *bytes, size_t count, void *scratch, struct qp_frame *out);

/* The next record. 1; 0: that was all; -EBADMSG: a record that is not one (the rest of the frame is lost); -EINVAL: a
 * record that cannot be what an honest host says (skip it and go on). */
int qp_wire_next(struct qp_wire_reader *reader, struct qp_wire_record *out);

/* XXH3-64: for the digests, and the seal of frames and files. */
uint64_t qp_wire_hash(const void *bytes, size_t count);
/* A key's hash that is the same on every host: for graves and key ranges. Never 0. */
uint64_t qp_wire_key_hash(const void *key, size_t key_bytes);
#define QP_KEY_RANGES 256 /* by the highest bits of that hash */
static inline uint32_t qp_wire_key_range(uint64_t key_hash)
{
    return (uint32_t)(key_hash >> 56);
}

#endif
