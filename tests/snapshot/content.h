/* SPDX-License-Identifier: MIT */
/* content.h: what a segment holds as its users see it, as text: every key with its kind and counts, who is in, what each
 * limit has used (remembered or not), every strategy.
 *
 * Two states of a segment with the same content are the same to everyone, whatever lies in their blocks and states. */
#ifndef QP_SNAPSHOT_CONTENT_H
#define QP_SNAPSHOT_CONTENT_H

#include "shm/view.h"

#define CONTENT_LEAVING_MAX 16

struct content {
    char text[8192];
    size_t used;
    /* Lines of keys that may go by themselves: being evicted, or idle for so long. */
    struct {
        size_t from, end;
    } leaving[CONTENT_LEAVING_MAX];
    unsigned leaving_count;
};

/* Reads a segment that nobody is changing at this moment. now_ms: for limits. living: of the holders of in-flight units
 * these are alive (bit r: the process of record r); what the dead hold is nobody's any more. */
void content_read(const struct qp_view *view, uint64_t now_ms, uint32_t living, struct content *out);

/* Adds a line. */
void content_say(struct content *content, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The lines about what the limited keys of the scenes have used, by their entries, or, where a key has none, by what is
 * remembered of it (budget.c). So an eviction takes a key's line away, and leaves this one as it is. */
void content_say_budgets(struct content *content, const struct qp_view *view, uint64_t now_ms);

static inline bool content_same(const struct content *a, const struct content *b)
{
    return a->used == b->used && memcmp(a->text, b->text, a->used) == 0;
}

/* Whether `later` is what becomes of `content` while nobody calls anything but upkeep: the same, but for keys that may go
 * by themselves. */
bool content_may_become(const struct content *content, const struct content *later);

#endif
