/* SPDX-License-Identifier: MIT */
/* dump.h: a segment's counters to a file and back: for a backup, for another host, across a reboot. A file is merged
 * in as if a host had told of it, so loading one twice, or an old one, counts nothing twice. What never leaves a host
 * (buckets, what is in flight, scope=host) is not in it. The format: PROTOCOL.md. */
#ifndef QP_SYNC_DUMP_H
#define QP_SYNC_DUMP_H

#include <stddef.h>
#include <stdint.h>

struct quipu;

struct qp_dump_figures {
    uint64_t keys, graves; /* in the file */
    uint64_t bytes;        /* of the file */
    uint64_t time_ms;      /* unix ms at which it was written */
    uint64_t replica;      /* of the segment that it was written from */
    uint64_t changed;      /* load: keys that are now otherwise than they were */
    uint64_t refused_kind; /* load: keys that are held here, or wanted by the strategy, as another kind or with another window */
    uint64_t refused_full; /* load: keys for which there was no room */
    uint64_t refused_skew; /* load: keys that are too far ahead of this host's clock */
    uint64_t refused_old;  /* load: keys of which this segment knows more: windows that are over, what was deleted since */
};

#define QP_DUMP_SENTENCE_BYTES 320

/* Writes the file, as a whole or not at all: under a temporary name beside it, which takes its place when it is safe
 * on the disk. An agent may be at work. 0, or a negative code with one sentence that says what is wrong. */
int qp_dump_save(struct quipu *q, const char *path, struct qp_dump_figures *out, char sentence[QP_DUMP_SENTENCE_BYTES]);

/* Merges a file in, after all of it was checked; as above. -EBUSY: an agent is at work; -EBADMSG: it is no such file,
 * or not all of one. */
int qp_dump_load(struct quipu *q, const char *path, struct qp_dump_figures *out, char sentence[QP_DUMP_SENTENCE_BYTES]);

#endif
