/* SPDX-License-Identifier: MIT */
/* bench.h: what a contender is, and how its worker processes are started, timed and counted.
 *
 * A contender is one way to count: ours, or somebody else's. Its worker processes are forked once per table
 * row and sleep between slices. A slice is one stretch of time in which every worker of one contender calls
 * it as fast as it can. */
#ifndef BENCH_H
#define BENCH_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_WORKERS_MAX 256
#define BENCH_SCALES_MAX 16 /* numbers of processes that one row is measured with */
#define BENCH_ROUNDS_MAX 99
#define BENCH_OPS_PER_LOOK 64  /* operations between two looks at the stop flag */
#define BENCH_SHARED_ALIGN 128 /* two lines: x86 fetches them in pairs */

/* ---- what is counted (keys.c) ------------------------------------------------------------------- */

struct bench_key {
    uint32_t bytes;
    char text[28];
};

enum bench_draw {
    BENCH_DRAW_ZIPF,    /* few keys take most of the traffic: key r has weight 1/r */
    BENCH_DRAW_SHUFFLED /* every key once, in random order, then again */
};

/* The keys of a row, in memory that the workers inherit. Tables are loaded in load_order, so that keys that
 * are used one after the other do not lie one after the other in them. */
struct bench_keys {
    struct bench_key *keys;
    uint32_t *load_order;
    uint32_t *draws; /* indices into keys, in order of use; worker i starts i/workers into it */
    size_t key_count;
    size_t draw_count;
    size_t map_bytes;
};

#define BENCH_KEY_PREFIX "addr:" /* of all of them */

int bench_keys_make(struct bench_keys *out, size_t key_count, enum bench_draw draw);
void bench_keys_free(struct bench_keys *keys);

/* ---- contenders --------------------------------------------------------------------------------- */

enum bench_op {
    BENCH_OP_ADD_HANDLE,  /* add 1 to one counter that was looked up before */
    BENCH_OP_ADD,         /* add 1 to the counter of a key */
    BENCH_OP_ADD_MANY,    /* add 1 to each of the counters of BENCH_MANY keys */
    BENCH_OP_GET,         /* read the counter of a key */
    BENCH_OP_EACH,        /* visit all keys; one key visited is one operation */
    BENCH_OP_TAKE,        /* take 1 unit of the limit of a key; there are always some left */
    BENCH_OP_TAKE_HANDLE, /* take 1 unit of one limit that was looked up before */
    BENCH_OP_TAKE_MANY,   /* take 1 unit of each of BENCH_MANY limits, by key; there are always some left */
    BENCH_OP_DENIED,      /* ask for 1 unit of the limit of a key; none is left */
    BENCH_OP_DENIED_HANDLE, /* ask for 1 unit of one limit that was looked up before; none is left */
    BENCH_OP_NEW,         /* take 1 unit of the limit of a key never seen before, where no room is left */
    BENCH_OP_ENTER_LEAVE  /* enter an in-flight limit and leave it again */
};

#define BENCH_MANY 4 /* limits, or counters, of one request: of its address, its user, its route and all together */

enum bench_algorithm { BENCH_FIXED, BENCH_SLIDING, BENCH_BUCKET };

/* What each key of a row is limited to. All zero in the rows about counters. */
struct bench_limit {
    enum bench_algorithm algorithm;
    uint64_t units; /* in a window; buckets: in a full one; in flight: at once */
    uint64_t window_ms;
    uint64_t unit_ns; /* buckets: a unit comes back in this time */
    uint64_t used;    /* units taken, or in, when the key has been loaded */
};

struct bench_job {
    enum bench_op op;
    unsigned workers_max;
    struct bench_limit limit;
    int acks_each;   /* the workers raise their acked */
    const char *dir; /* private, on a file system in memory; a contender puts its files there */
    const struct bench_keys *keys;
};

/* Of single operations, in ns. */
struct bench_latency {
    double p50, p999, worst;
};

struct bench_worker {
    const struct bench_job *job;
    unsigned index;
    size_t draw_at;          /* the next draw */
    const _Atomic int *stop; /* set at the end of the slice */
    _Atomic uint64_t
        *acked;       /* not NULL: raised after every operation, so that it is known what a killed worker had done */
    uint64_t ops;     /* out: of this slice */
    uint64_t seen;    /* out: sum of the counts that were read (every counter is loaded with 1); requests admitted */
    uint64_t refused; /* out: new keys for which there was no room, as the answer said */
    int is_company;   /* out: it only keeps the others company; its time and what it does are not counted */
    struct bench_latency latency; /* out: of worker 0, in the rows that show one */
};

/* The functions return 0, or -1 after saying why with bench_error. The state is made before the workers are
 * forked. */
struct bench_contender {
    const char *name;
    const char *what;
    const char *program; /* that must be there for it to take part; NULL: none */
    int terminal;        /* it needs a pseudo-terminal */
    int answers_late;    /* an operation returns before it is done: what a killed process had done is not known */
    int (*setup)(const struct bench_job *job, void **state); /* makes the store and loads every key with 1 */
    int (*attach)(void *state, unsigned worker);             /* in a new worker; NULL: nothing to do */
    int (*run)(void *state, struct bench_worker *worker);    /* one slice */
    int (*sum)(void *state, int64_t *out);                   /* of all counts; NULL: it has none */
    void (*note)(void *state, char *out, size_t out_bytes);  /* what else one has to know of its slices; NULL: nothing */
    void (*teardown)(void *state);
};

int bench_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Memory that the workers share with their parent, zeroed. NULL if there is none. */
void *bench_shared_alloc(size_t bytes);
void bench_shared_free(void *memory, size_t bytes);

/* ---- slices (bench.c) --------------------------------------------------------------------------- */

/* What one contender's workers did in one slice, all of them together. */
struct bench_slice {
    uint64_t ops;
    uint64_t refused;
    uint64_t seen;
    uint64_t elapsed_ns; /* sum of what each worker measured around its loop */
    uint64_t cpu_ns;     /* of it, on a CPU */
    struct bench_latency latency; /* worker 0's */
};

struct bench_team; /* the worker processes of one contender */

/* Forks the workers, one per CPU in turn, and waits until all are attached. */
int bench_team_start(const struct bench_job *job, const struct bench_contender *contender, void *state,
                     unsigned workers, struct bench_team **out);
int bench_team_slice(struct bench_team *team, uint64_t slice_ns, struct bench_slice *out);
void bench_team_stop(struct bench_team *team);

/* A slice in two halves, for those who do something to the workers in between. */
int bench_team_begin(struct bench_team *team);
int bench_team_end(struct bench_team *team, struct bench_slice *out);

/* Sends a signal to one worker. */
void bench_team_signal(struct bench_team *team, unsigned worker, int signal_number);
/* Forks another worker in the place of one that was killed; it joins the slice under way. */
int bench_team_replace(struct bench_team *team, unsigned worker);
/* Operations done by one worker, and by those who were killed in its place, since the team was started. */
uint64_t bench_team_acked(const struct bench_team *team, unsigned worker);

/* Whether a worker waits for something, and not for a CPU. */
int bench_team_sleeps(const struct bench_team *team, unsigned worker);

void bench_sleep_ns(uint64_t ns);
uint64_t bench_monotonic_ns(void);

unsigned bench_cpu_count(void);

/* Beside this program, or as the shell finds it. 0, or -1: it is not there. */
int bench_program_find(const char *program, char *out, size_t out_bytes);

/* ---- figures ------------------------------------------------------------------------------------ */

struct bench_figure {
    double median;
    double min;
    double max;
};

/* Of at most BENCH_ROUNDS_MAX values. */
struct bench_figure bench_figure_of(const double *values, size_t count);

#endif
