/* SPDX-License-Identifier: MIT */
/* scale.h: what the programs of this folder share: a segment without a name, children that end with their parent, failure. */
#ifndef SCALE_SCALE_H
#define SCALE_SCALE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "runtime/quipu.h"

/* Says what is wrong and ends this process with status 1. */
void scale_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

uint64_t scale_clock_ns(void);

/* A fresh segment, open here and for forked children, whose name is gone already: whatever happens, nothing stays behind. Without
 * room for it in /dev/shm it ends the program as skipped, saying so. */
struct quipu *scale_segment(const char *what, uint32_t counters, uint32_t threads, bool fence);

/* fork; the child dies when its parent does. */
pid_t scale_fork(void);

/* Waits for a child, which must end with status 0. */
void scale_await(pid_t child, const char *what);

/* Zeroed memory that forked children share. */
void *scale_shared(size_t bytes);

struct quipu_stat scale_stat(struct quipu *q);

/* Fails with the check's sentence. quiet: nobody is writing and nothing is left to do. */
void scale_demand_sound(struct quipu *q, bool quiet, const char *when);

/* Fails unless a figure is what it should be. */
void scale_demand(uint64_t got, uint64_t expected, const char *figure, const char *when);

#endif
