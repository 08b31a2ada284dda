/* SPDX-License-Identifier: MIT */
/* sample.h: frames that tests of the wire are made of: one fixed frame of every type with every kind of record, and any number of random ones. All are
 * such as an honest host says. */
#ifndef TESTS_WIRE_SAMPLE_H
#define TESTS_WIRE_SAMPLE_H

#include "sync/wire.h"

#define SAMPLE_RECORDS_MAX 64

struct wire_sample {
    const char *name;
    struct qp_frame frame;
    uint32_t record_count;
    struct qp_wire_record record[SAMPLE_RECORDS_MAX];
};

/* The fixed ones, 0 to count - 1, in the given version. Valid until the next call. */
uint32_t wire_sample_count(void);
const struct wire_sample *wire_sample(uint32_t number, uint8_t version);

/* A DELTA or CHUNK that is compressed when it is written with scratch memory. */
const struct wire_sample *wire_sample_repetitive(uint8_t type);

/* A random one; seed moves on. */
const struct wire_sample *wire_sample_random(uint64_t *seed, uint8_t version);

/* To bytes: `room` bytes at most, QP_FRAME_BYTES_MIN at least. scratch NULL: uncompressed. What does not fit any more is left out of sample. */
size_t wire_sample_write(struct wire_sample *sample, void *bytes, size_t room, void *scratch);

/* NULL, or what differs first. Holders do not count in version 1. */
const char *wire_frame_differs(const struct qp_frame *a, const struct qp_frame *b);
const char *wire_record_differs(const struct qp_wire_record *a, const struct qp_wire_record *b, uint8_t version);

#endif
