/* SPDX-License-Identifier: MIT */
/* dump_file.h: the file of a dump, written and read record by record. A stranger may have made it: it is checked to
 * its last byte before a record of it is believed. Byte by byte: PROTOCOL.md. */
#ifndef QP_SYNC_DUMP_FILE_H
#define QP_SYNC_DUMP_FILE_H

#include <stdio.h>

#include "wire.h"

#define QP_DUMP_VERSION 1
#define QP_DUMP_FRAME_BYTES (64u * 1024)

struct qp_dump_head {
    uint64_t replica;     /* of the segment that it is of */
    uint64_t incarnation; /* of its agents so far */
    uint64_t time_ms;     /* unix ms at which it was written */
};

/* One of these at a time: a writer, or a reader. Large: not for the stack. */
struct qp_dump_file {
    FILE *file;
    struct qp_dump_head head;
    uint64_t frames;
    uint64_t bytes; /* so far */
    _Alignas(64) uint8_t hash[1024]; /* of all bytes so far; dump_file.c knows its form */
    _Alignas(64) uint8_t scratch[QP_WIRE_SCRATCH_BYTES];
    uint8_t frame[QP_FRAME_BYTES_MAX];
    struct qp_wire_writer writer;
    struct qp_wire_reader reader;
    struct qp_frame now; /* the frame that records are read from */
};

/* Each returns 0, or the negative errno of the file. */
int qp_dump_file_begin(struct qp_dump_file *dump, FILE *file, const struct qp_dump_head *head);
int qp_dump_file_put(struct qp_dump_file *dump, const struct qp_wire_record *record);
int qp_dump_file_end(struct qp_dump_file *dump);

/* Reads the head, from where the file stands: 0; -EBADMSG: it is none; -EPROTONOSUPPORT: of a version that we do not
 * know; the file's errno. */
int qp_dump_file_open(struct qp_dump_file *dump, FILE *file);
/* The next record: 1; 0: that was all, and the file is whole; -EBADMSG; the file's errno. What a record points to
 * lasts until the next call. */
int qp_dump_file_next(struct qp_dump_file *dump, struct qp_wire_record *out);

#endif
