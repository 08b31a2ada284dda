/* SPDX-License-Identifier: MIT */
/* content.h: what a segment holds as its users see it, as text: every key with its kind and counts, every strategy.
 *
 * Two states of a segment with the same content are the same to everyone, whatever lies in their blocks and states. */
#ifndef QP_SNAPSHOT_CONTENT_H
#define QP_SNAPSHOT_CONTENT_H

#include "shm/view.h"

struct content {
    char text[4096];
    size_t used;
};

/* Reads a segment that nobody is changing at this moment. now_ms: for limits. */
void content_read(const struct qp_view *view, uint64_t now_ms, struct content *out);

/* Adds a line. */
void content_say(struct content *content, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline bool content_same(const struct content *a, const struct content *b)
{
    return a->used == b->used && memcmp(a->text, b->text, a->used) == 0;
}

#endif
