/* SPDX-License-Identifier: MIT */
/* holder.h: a process that is stopped inside a section, as often as it is told to. */
#ifndef SCALE_HOLDER_H
#define SCALE_HOLDER_H

#include <sys/types.h>

#include "runtime/quipu.h"

struct holder {
    pid_t pid;
    int order; /* to it: a byte for each section */
    int done;  /* from it: a byte when it has left one */
};

void holder_start(struct holder *holder, struct quipu *q);

/* Returns when it is stopped in a section. */
void holder_stop_inside(struct holder *holder);

/* Lets it go on; returns when it has left its section. */
void holder_continue(struct holder *holder);

/* Lets it close the segment and end; outside of a section. */
void holder_end(struct holder *holder);

/* Ends it with SIGKILL, wherever it is. */
void holder_kill(struct holder *holder);

#endif
