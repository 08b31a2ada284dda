/* SPDX-License-Identifier: MIT */
/* step.h: a child process stopped after every instruction of one call.
 *
 * The child is a fork of the test program. It gets ready at full speed, stops, and then runs its action between
 * two stores to the shared page, so the stepper needs no knowledge of the processor's registers to tell where the
 * call begins and ends. A system call is one step; a step of a repeated string instruction is one of its rounds. */
#ifndef QP_SNAPSHOT_STEP_H
#define QP_SNAPSHOT_STEP_H

#include "stage.h"

/* One call. n and at_ms are its arguments, by the meaning that act gives them. */
struct action {
    int (*act)(struct stage *stage, const struct action *action, int64_t *ended);
    const char *key;
    int64_t n;
    int64_t at_ms;
};

/* How the process that makes the call gets ready. */
enum cast {
    CAST_OPEN = 0,     /* it opens the segment */
    CAST_STRANGER = 1, /* it has nothing to do with the segment yet */
    CAST_FORKED = 2,   /* it has its parent's handle, and did not use it since it was forked */
};

struct part {
    const struct action *action;
    enum cast cast;
    void (*prepare)(struct stage *stage, const struct action *action); /* in the process; NULL: nothing more */
};

struct stepped {
    pid_t pid;
    uint64_t steps; /* instructions of the call so far */
    int died_of;    /* a signal, if the call crashed */
};

/* Starts a child and takes it to the first instruction of its call. Exits with 77 where ptrace is not permitted. */
void step_begin(struct stepped *child, struct stage *stage, const struct part *part);

/* One instruction more. false: the call has returned, or died_of is set. */
bool step_once(struct stepped *child);

/* As often as that. Returns whether it is still in the call. */
bool step_many(struct stepped *child, uint64_t steps);

/* Lets it go on at full speed to the end of its call, and tell its result; it lives on, with its handle. false: it
 * crashed, and is gone. */
bool step_finish(struct stepped *child);

/* Lets it close its handle and go. */
void step_leave(struct stepped *child);

/* The bit of its process record; 0: it has none. */
uint32_t step_record(const struct stepped *child, const struct stage *stage);

/* Kills it where it stands. */
void step_kill(struct stepped *child);

/* Where it stands, as text: the offset in this program, and the line if it can be found out. */
void step_place(const struct stepped *child, char *text, size_t text_bytes);

#endif
