/* SPDX-License-Identifier: MIT */
/* rows.h: the rows of the table: what each measures, and what measuring one gives. */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include "bench.h"

#define BENCH_ROUNDS_MIN 5
#define BENCH_CONTENDERS_MAX 8
#define BENCH_AIMS_MAX 4

/* What ours is meant to reach against another contender. Printed beside what was measured, and never a pass mark. */
struct bench_aim {
    const struct bench_contender *against;
    double ratio_max; /* of ours / theirs */
    enum { BENCH_AT_ANY, BENCH_AT_ONE, BENCH_AT_SEVERAL } at; /* numbers of processes */
};

struct bench_row {
    const char *name;
    const char *what;
    enum bench_op op;
    enum bench_draw draw;
    size_t key_count;
    size_t key_count_smoke;
    struct bench_limit limit;
    unsigned workers;    /* always so many processes: one is measured, the others keep it company. 0: as the settings say */
    int shows_latency;   /* what is compared is the 99.9th percentile of single operations, not the mean */
    int scales;          /* measured with --scale, unless rows are named */
    double slowdown_max; /* the aim for ours: time with several processes / with one, measured side by side; 0: none */
    struct bench_aim aims[BENCH_AIMS_MAX];
    const struct bench_contender *contenders[BENCH_CONTENDERS_MAX + 1]; /* ours first; ends with NULL */
};

extern const struct bench_row bench_rows[];
extern const size_t bench_row_count;

/* 0: there is no aim. */
double bench_row_aim(const struct bench_row *row, const struct bench_contender *against, unsigned workers);

/* Names of the libraries that were absent when this program was built, and of programs that are absent now; ends with NULL. */
const char *const *bench_absent(void);

struct bench_settings {
    uint64_t slice_ns;
    unsigned rounds;
    unsigned scales[BENCH_SCALES_MAX]; /* numbers of processes */
    unsigned scale_count;
    int is_side_by_side; /* every number of processes in every round; else one after the other, each in a store that fewer
                          * have used */
    unsigned kills;      /* of each contender after its rounds; 0: none */
    int smoke;           /* few keys: only to see that everything works */
    const char *dir;     /* where files go: a file system in memory */
};

unsigned bench_workers_max(const struct bench_settings *settings);

/* One contender in one row at one number of workers. */
struct bench_measure {
    const struct bench_contender *contender;
    double round_ns[BENCH_ROUNDS_MAX]; /* what is compared, round by round: nanoseconds of one process per operation, or the
                                        * 99.9th percentile */
    double round_cpu_ns[BENCH_ROUNDS_MAX]; /* of CPU time, per operation: less than the other where somebody sleeps, or waits
                                            * for a CPU that somebody else has */
    struct bench_figure op_ns;
    double mean_ns;       /* nanoseconds of one process per operation, over all rounds */
    double ops_per_s;     /* of all processes together */
    double refused_share; /* of the requests, those that were refused for want of room: no operations */
    double cpu_share;     /* of the time of the slices that the workers had a CPU */
    double ratio;         /* median over the rounds of ours / this; ours: 1 */
    double aim;           /* that ours was meant to reach; 0: none */
    double slowdown;      /* median over the rounds of this / this with one process; 0: not measured side by side */
    struct bench_latency latency; /* medians of the rounds, where the row shows them */
    int exact;            /* after every slice the counters held what was added, or reads gave what they hold */
    char note[160];
};

struct bench_result {
    const struct bench_row *row;
    size_t key_count;
    unsigned workers;
    unsigned rounds;
    size_t measure_count;
    struct bench_measure measures[BENCH_CONTENDERS_MAX];
    const struct bench_fault *faults; /* one for each measure, or NULL */
};

/* What the caller wants to hear while a row runs. Slices are counted over the whole row. */
struct bench_listener {
    void (*slice)(void *arg, const struct bench_row *row, unsigned workers, const char *contender);
    void (*result)(void *arg, const struct bench_result *result);
    void *arg;
};

size_t bench_row_contenders(const struct bench_row *row);

/* Those whose program is there. How many they are. */
size_t bench_row_present(const struct bench_row *row, const struct bench_contender *out[BENCH_CONTENDERS_MAX]);

/* Numbers of processes that the row is measured with. How many they are. */
size_t bench_row_scales(const struct bench_row *row, const struct bench_settings *settings,
                        unsigned out[BENCH_SCALES_MAX]);

/* Measures one row. 0, or -1 after bench_error. */
int bench_row_run(const struct bench_row *row, const struct bench_settings *settings,
                  const struct bench_listener *listener);

/* Set by a signal: slices stop, everything is tidied up, the run fails. */
extern volatile int bench_interrupted;

#endif
