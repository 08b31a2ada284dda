/* SPDX-License-Identifier: MIT */
/* quipud_snapshot.h: the agent's snapshot file: what a segment held, for the day on which it is gone. */
#ifndef QP_SYNC_QUIPUD_SNAPSHOT_H
#define QP_SYNC_QUIPUD_SNAPSHOT_H

#include <stddef.h>

#include "quipud_config.h"

struct quipu;

/* Opens the configured segment. 0, or a negative code with one sentence. */
int qp_quipud_segment_open(const struct qp_quipud_config *config, struct quipu **out,
                           char sentence[QP_QUIPUD_TEXT_BYTES]);

/* Reads the file into a segment that has not joined others yet. No agent may be at work. 0: it was read, or there is
 * none, or it was no good, and is kept as FILE.bad; each of that is said. A negative code: nothing goes on before
 * somebody has seen to it; that is said too. */
int qp_quipud_snapshot_read(struct quipu *q, const char *path);

/* Writes the file, through a handle of its own: for a thread beside the agent. replica: the segment's, so that one
 * that was made anew under its name does not put out what the file still has. 0, or a negative code with one
 * sentence. */
int qp_quipud_snapshot_write(const struct qp_quipud_config *config, uint64_t replica,
                             char sentence[QP_QUIPUD_TEXT_BYTES]);

#endif
