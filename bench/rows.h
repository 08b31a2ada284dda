/* SPDX-License-Identifier: MIT */
/* rows.h: the rows of the table: what each measures, and what measuring one gives. */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include "bench.h"

#define BENCH_ROUNDS_MIN 5
#define BENCH_CONTENDERS_MAX 8

struct bench_row {
    const char *name;
    const char *what;
    enum bench_op op;
    enum bench_draw draw;
    size_t key_count;
    size_t key_count_smoke;
    struct bench_limit limit;
    const struct bench_contender *contenders[BENCH_CONTENDERS_MAX + 1]; /* ours first; ends with NULL */
};

extern const struct bench_row bench_rows[];
extern const size_t bench_row_count;

/* Names of the libraries that were absent when this program was built, and of programs that are absent now; ends with NULL. */
const char *const *bench_absent(void);

struct bench_settings {
    uint64_t slice_ns;
    unsigned rounds;
    unsigned workers; /* of the second measurement of each row; the first is with one */
    int smoke;        /* few keys: only to see that everything works */
    const char *dir;  /* where files go: a file system in memory */
};

/* One contender in one row at one number of workers. */
struct bench_measure {
    const struct bench_contender *contender;
    double round_ns[BENCH_ROUNDS_MAX]; /* nanoseconds of one process per operation, round by round */
    struct bench_figure op_ns;
    double ops_per_s;     /* of all processes together, in the median round */
    double refused_share; /* of the requests, those that were refused for want of room: no operations */
    double cpu_share;     /* of the time of the slices that the workers had a CPU */
    double ratio;         /* median over the rounds of ours / this; ours: 1 */
    int exact;            /* after every slice the counters held what was added, or reads gave what they hold */
};

struct bench_result {
    const struct bench_row *row;
    size_t key_count;
    unsigned workers;
    unsigned rounds;
    size_t measure_count;
    struct bench_measure measures[BENCH_CONTENDERS_MAX];
};

/* What the caller wants to hear while a row runs. Slices are counted over the whole row. */
struct bench_listener {
    void (*slice)(void *arg, const struct bench_row *row, unsigned workers, const char *contender);
    void (*result)(void *arg, const struct bench_result *result);
    void *arg;
};

size_t bench_row_contenders(const struct bench_row *row);

/* Those whose program is installed. How many they are. */
size_t bench_row_present(const struct bench_row *row, const struct bench_contender *out[BENCH_CONTENDERS_MAX]);

int bench_program_is_there(const char *program);

/* Measures one row, with one worker and with settings->workers. 0, or -1 after bench_error. */
int bench_row_run(const struct bench_row *row, const struct bench_settings *settings,
                  const struct bench_listener *listener);

/* Set by a signal: slices stop, everything is tidied up, the run fails. */
extern volatile int bench_interrupted;

#endif
