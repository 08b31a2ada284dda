/* SPDX-License-Identifier: MIT */
/* report.h: how results are shown: a table for people, JSON for programs, progress for the impatient. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "faults.h"
#include "rows.h"

/* What one needs to know of the machine to compare figures. */
struct bench_machine {
    char cpu[128];
    char kernel[128];
    char compiler[64];
    unsigned cpus; /* that this program may use */
    int is_virtual;
    double load; /* processes that wanted a CPU in the last minute, before the run */
};

void bench_machine_look(struct bench_machine *out);

struct bench_report; /* collects JSON, or prints tables as they come */

struct bench_report *bench_report_open(const struct bench_settings *settings, const struct bench_machine *machine,
                                       size_t slice_count, int json);
void bench_report_slice(void *report, const struct bench_row *row, unsigned workers, const char *contender);
void bench_report_result(void *report, const struct bench_result *result);

void bench_report_faults(struct bench_report *report, const struct bench_row *row, const struct bench_fault *faults);

/* Prints what is left to print. Returns whether every contender was exact. */
int bench_report_close(struct bench_report *report);

void bench_rows_list(void);

#endif
