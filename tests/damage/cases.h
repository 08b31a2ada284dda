/* SPDX-License-Identifier: MIT */
/* cases.h: many cases of damage, each drawn from its number alone, in some processes that are watched; or one of them again. */
#ifndef QP_TESTS_CASES_H
#define QP_TESTS_CASES_H

#include "calls.h"

/* What a process has done, in memory that survives it. */
struct cases_share {
    struct calls_progress progress;
    uint64_t cases, flips, noticed, frames;
};

/* Cases with an odd number begin with a segment in which an agent was at work (told.h). */
struct cases_plan {
    const char *name;
    uint64_t count; /* times $QUIPU_TEST_SCALE */
    void (*begin)(const char *segment); /* on the sound segment; NULL: nothing */
    void (*one)(struct filled *f, uint64_t number, struct cases_share *share); /* finds the sound bytes */
    void (*end)(void);                  /* NULL: nothing */
    int (*beside)(struct calls_progress *progress, const char *segment); /* what else is run, in a process of its own; NULL: nothing */
};

/* As main: "NAME NUMBER" runs that case alone. *sum: what was done by all; *beside: by what was run beside them, as long as there is something. */
int cases_main(int argc, char **argv, const struct cases_plan *plan, struct cases_share *sum, struct cases_share *beside);

#endif
