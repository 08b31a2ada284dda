/* SPDX-License-Identifier: MIT */
/* faults.h: what the contenders do when one of their processes is stopped or killed in the middle of its
 * work. */
#ifndef BENCH_FAULTS_H
#define BENCH_FAULTS_H

#include "rows.h"

struct bench_fault {
    const struct bench_contender *contender;
    unsigned stops;       /* times that one process was stopped (SIGSTOP) for a while */
    unsigned stops_still; /* of them, times that all others stood still until it went on */
    unsigned kills;       /* times that one process was killed (SIGKILL), and later replaced */
    unsigned kills_still; /* of them, times that all others did nothing until the replacement came */
    int64_t lost;         /* units that had been counted when a call returned, and are not in the counters */
    int64_t extra;        /* units in the counters of calls that had not returned: at most one call's for each kill is right */
    unsigned units_per_kill;
    int finished;         /* 0: a process failed or hung, the other figures end there */
};

/* Processes of the contender that stands in the fault are stopped and killed `times` times while they do what the job says,
 * in a store where that many operations were done before. Does nothing with one whose counts cannot be added up. 0, or -1
 * if the run was interrupted: whoever fails or hangs has not finished. */
int bench_fault_inflict(const struct bench_job *job, void *state, uint64_t ops_before, unsigned times,
                        struct bench_fault *fault);

/* Every contender of the row adds with the greatest number of processes of the settings (2 at least), is stopped and killed
 * `times` times. */
int bench_faults_run(const struct bench_row *row, const struct bench_settings *settings, unsigned times,
                     struct bench_fault *out /* BENCH_CONTENDERS_MAX */);

int bench_fault_is_exact(const struct bench_fault *fault);

#endif
