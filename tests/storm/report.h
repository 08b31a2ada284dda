/* SPDX-License-Identifier: MIT */
/* report.h: what the storm tells people: progress, the summary, a finding, a hang. */
#ifndef STORM_REPORT_H
#define STORM_REPORT_H

#include "audit.h"

/* Of the whole storm, over all its segments. */
struct storm_summary {
    uint64_t kills;
    uint64_t inside;  /* victims killed inside a call, by their own books */
    uint64_t stopped; /* victims that had been stopped before */
    uint64_t left;    /* workers that left in good order */
    uint64_t full;    /* calls refused for want of room */
    uint64_t adds;    /* acknowledged */
    uint64_t done[STORM_OPS], cut[STORM_OPS];
    uint64_t recovered_processes, recovered_sections, recovered_blocks, completed_steps; /* by quipu_stat */
    uint64_t growths;
    struct storm_findings findings;
};

/* Adds what hands and segment know at a segment's end. */
void storm_summary_add(struct storm_summary *summary, struct quipu *q);

void storm_summary_print(const struct storm_summary *summary, double seconds);

/* On a terminal only. */
void storm_progress(const struct storm_summary *summary, uint64_t kills_planned);

/* Starts the process that watches that something goes on. It ends with the parent. */
void storm_watchdog_start(void);

/* The parent's end after a finding: says it, with the seed and what everyone was doing, and kills the workers. */
void storm_give_up(void) __attribute__((noreturn));

#endif
