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
    int64_t lost;         /* adds that had returned and are not in the counters */
    int64_t extra;        /* adds in the counters that had not returned: at most one for each kill is right */
    int finished;         /* 0: a process failed or hung, the other figures end there */
};

/* Every contender of the row adds with settings->workers processes (2 at least), is stopped and killed
 * `times` times. */
int bench_faults_run(const struct bench_row *row, const struct bench_settings *settings, unsigned times,
                     struct bench_fault *out /* BENCH_CONTENDERS_MAX */);

int bench_fault_is_exact(const struct bench_fault *fault);

#endif
