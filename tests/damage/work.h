/* SPDX-License-Identifier: MIT */
/* work.h: what workers do all day: a bit of everything, so that everything goes on at once. */
#ifndef QP_TESTS_WORK_H
#define QP_TESTS_WORK_H

#include "random.h"
#include "support.h"

#define WORK_HANDLES 3 /* the last one of a limit */

/* One thread at work. Threads may share q and handle. */
struct work {
    struct quipu *q;
    const char *segment;          /* to open it once more */
    struct quipu_counter *handle; /* WORK_HANDLES of them */
    uint64_t random;
};

void work_open_handles(struct quipu *q, struct quipu_counter handle[WORK_HANDLES]);
void work_close_handles(struct quipu_counter handle[WORK_HANDLES]);

/* One step: counting by key and by handle, resets, deletes, registers, keys that come and go, limits of every
 * kind, strategies, walks, figures, checks, upkeep,
 * second handles. A result that cannot be ends the process. */
void work_step(struct work *w);

/* One key that comes and goes, and the upkeep that collects it. */
void work_churn(struct work *w);

/* A key of those that come and go. Returns its bytes. */
size_t work_churn_key(struct work *w, char key[QUIPU_KEY_BYTES_MAX]);

#endif
