/* SPDX-License-Identifier: MIT */
/* calls.h: every public call, made on a segment that may be damaged, each one watched. */
#ifndef QP_TESTS_CALLS_H
#define QP_TESTS_CALLS_H

#include "filled.h"
#include "random.h"

#define CALLS_HANDLES 3

/* What the calls are made on. */
struct calls {
    struct quipu *q;                            /* open for writing; NULL: none */
    struct quipu *reader;                       /* read-only; NULL: none */
    struct quipu_counter handle[CALLS_HANDLES]; /* opened while the segment was sound */
    uint64_t random;
};

/* Where a process is, for whoever watches it: in memory that survives it. */
struct calls_progress {
    uint64_t number;     /* of the present case */
    uint64_t calls;      /* so far */
    char call[128];      /* the one under way; empty: none */
    char complaint[192]; /* why it gave up; empty: it did not */
};

/* Reports to `progress` from now on, and ends the process with a complaint when one call takes more than a second of its time. */
void calls_watch(struct calls_progress *progress);

/* Ends the process with a complaint about the call under way. */
_Noreturn void calls_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Opens and closes what they are made on. */
void calls_open(struct calls *calls, const char *segment);
void calls_close(struct calls *calls);

/* Every public call on segments and keys, in an order drawn from calls->random, each with results that are possible. */
void calls_make(struct calls *calls);

/* Opens a segment anew, and where that is not refused makes every call on it. Returns what quipu_open said. */
int calls_attach(const char *segment, bool read_only, uint64_t random);

#endif
