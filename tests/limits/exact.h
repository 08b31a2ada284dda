/* SPDX-License-Identifier: MIT */
/* exact.h: what the processes that take from one key write down, each in a column of its own, and what is said about it in the end. */
#ifndef LIMITS_EXACT_H
#define LIMITS_EXACT_H

#include "limits.h"

#define EXACT_WORKERS 16
#define EXACT_WINDOWS 4096
#define EXACT_BUCKET_WINDOWS                                                                                           \
    20 /* a bucket holds what this many windows refill: so much that nobody is idle until it is full */

struct exact_window {
    uint64_t admitted;     /* units */
    uint64_t asked;        /* calls */
    uint64_t denied_least; /* units of the smallest request that was denied; 0: none was */
    /* The latest times within the window, + 1, at which a unit was taken and at which one was denied; 0: never */
    uint64_t admitted_until_ms;
    uint64_t denied_until_ms;
};

/* One worker's column; its successors after kills go on in it. */
struct exact_column {
    uint64_t calling; /* units of the call that is under way; 0: none */
    uint64_t calling_window;
    struct exact_window window[EXACT_WINDOWS];
};

enum exact_clock {
    EXACT_HOST,   /* the calls without a time */
    EXACT_AT,     /* a time of the caller's, sometimes an old one */
    EXACT_CALLER, /* a segment whose clock is its callers' */
};

struct exact_stage {
    const char *name;
    enum quipu_algorithm algorithm;
    enum exact_clock clock;
    unsigned workers;
    bool kills;
    uint64_t n_max;
    bool refunds; /* half of what was taken is given back at once */
    bool striped; /* the key has stripes */
    bool leaps;   /* EXACT_CALLER: workers move the time on, by a window, after a few calls */
};

struct exact_ground {
    uint64_t stop;
    uint64_t first_window;
    uint64_t born_ms; /* since its start: the key's first take */
    uint64_t now_ms;  /* EXACT_CALLER: the time that workers give */
    uint64_t kills;
    uint64_t outstanding[EXACT_WINDOWS]; /* with refunds: taken and not given back */
    uint64_t lost[EXACT_WINDOWS];        /* units of calls that were cut short, perhaps in that window */
    struct exact_column column[EXACT_WORKERS];
};

struct exact_terms {
    uint64_t limit;
    uint64_t window_ms;
    uint64_t asked_min; /* calls in a window under full load */
};

/* All columns of a window. */
struct exact_window exact_sum(const struct exact_ground *ground, uint64_t index);

/* Windows under full load, so far. */
uint64_t exact_full_windows(const struct exact_ground *ground, const struct exact_terms *terms);

/* Fails unless every window was what its limit says. */
void exact_judge(const struct exact_ground *ground, const struct exact_stage *stage, const struct exact_terms *terms);

/* One line about what was judged. */
void exact_report(const struct exact_ground *ground, const struct exact_stage *stage, const struct exact_terms *terms);

#endif
