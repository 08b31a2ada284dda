/* SPDX-License-Identifier: MIT */
/* marks.h: whether an agent would find what was changed since it looked last. */
#ifndef QP_SNAPSHOT_MARKS_H
#define QP_SNAPSHOT_MARKS_H

#include "shm/view.h"

#define MARKS_ENTRIES_MAX 32

struct marks {
    bool told; /* there is an agent */
    struct qp_entry entry[MARKS_ENTRIES_MAX]; /* as it found them */
};

/* An agent harvests, if there is one: takes all marks, and notes what is there. */
void marks_begin(struct marks *marks, struct qp_view *view);

/* An entry that counts or holds something else since, and that its next harvest would not visit; 0: none. */
uint32_t marks_missing(const struct marks *marks, const struct qp_view *view);

#endif
