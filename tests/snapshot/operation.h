/* SPDX-License-Identifier: MIT */
/* operation.h: the table of calls that are cut short at every instruction, and the runner of one row. */
#ifndef QP_SNAPSHOT_OPERATION_H
#define QP_SNAPSHOT_OPERATION_H

#include <limits.h>

#include "content.h"
#include "preset.h"

#define RESULT_VARIES INT_MIN

enum operation_flags {
    SAME = 0,     /* the content is the same before, during and after the call */
    CHANGES = 1,  /* it is not, and goes over in one instruction, or, for a call made of several steps, in one for each */
    BESIDE = 2,   /* this program's own process lives on, with the segment open */
    FORKED = 4,   /* the call is the first of a forked child through its parent's handle; with BESIDE */
    STRANGER = 8, /* the caller has not opened the segment before */
    LEAVES = 16,  /* the caller holds nothing there after the call */
    NAMED = 32,   /* the segment keeps its name */
    AGENT = 64,   /* the caller is the agent: what it publishes it need not be told of */
};

struct operation {
    const char *call;
    const char *what;
    preset_function *preset;
    struct action action;
    int result;
    unsigned flags;
    void (*prepare)(struct stage *stage, const struct action *action); /* by the caller, before it is stepped */
    /* Of a call that is not one change: the calls, each one change, that it must look like to all others, whatever
     * instruction they look at. Ends with an empty one. NULL: it is one change, or none. */
    const struct action *steps;
};

/* For the last field. */
#define STEPS(...)                                                                                                     \
    (const struct action[])                                                                                            \
    {                                                                                                                  \
        __VA_ARGS__,                                                                                                   \
        {                                                                                                              \
            NULL, NULL, 0, 0                                                                                           \
        }                                                                                                              \
    }

extern const struct operation operation_table[], operation_limits[], operation_told[], operation_agent[];
extern const unsigned operation_table_count, operation_limits_count, operation_told_count, operation_agent_count;

/* The tables one behind the other. NULL: no more. */
const struct operation *operation_at(unsigned index);

#define OPERATION_STEPS_MAX 4

struct tally {
    uint64_t steps;  /* instructions after which the segment was looked at */
    uint64_t states; /* of them, those that changed it: copied, recovered, checked */
    uint64_t unsound;
};

/* Sets the stage for a row; the caller of the row is what *part says. */
void operation_begin(const struct operation *operation, struct stage *stage, struct part *part);

/* The contents that a row's steps leave, one after the other. Returns how many. */
unsigned operation_rehearse(const struct operation *operation, struct content out[OPERATION_STEPS_MAX]);

/* Steps one row from its first instruction to its last. Findings go to `out`. */
void operation_run(const struct operation *operation, FILE *out, struct tally *tally);

#endif
