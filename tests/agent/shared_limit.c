/* SPDX-License-Identifier: MIT */
/* shared_limit.c: two hosts that share a limit, from the side of those who count: how long it takes until one knows what the
 * other counted, and how much both admit together.
 *
 *   shared_limit A B probe COUNT   so many probes by each prober
 *   shared_limit A B load KEY      workers on both hosts take KEY, and probes go on as long as they do
 *
 * A and B are segments. A prober adds 1 on one host and looks at the other one until it is there; there are some in each
 * direction, out of step with each other and with the rounds of gossip. Lines: `staleness_us N` or `staleness lost` a
 * probe; `load HOST admitted N denied N windows N` a worker, `worked_ms N` in all; `rounds COUNT MEDIAN P99` a host, as its
 * agent counts from a harvest until the other one has acknowledged it. */
#include "runtime/quipu.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROBERS 3           /* in each direction */
#define LOOK_US 500         /* what a probe is measured to */
#define PAUSE_US 100000     /* between two probes of a prober, at most */
#define LOST_US 6000000     /* as long as a load is */
#define WORKERS 4           /* on each host */
#define REQUESTS 300        /* of each worker */
#define INTERVAL_US 20000   /* between two of them at least: 200 a second on each host, and never more */

struct board {
    atomic_bool ends; /* the probes */
};

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void wait_until(int64_t us)
{
    struct timespec at = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
}

_Noreturn static void fail(const char *what, int error)
{
    fprintf(stderr, "shared_limit: %s: %s\n", what, quipu_error(error));
    _exit(3);
}

static struct quipu *open_segment(const char *segment)
{
    struct quipu *q;
    int error = quipu_open(segment, NULL, &q);
    if (error)
        fail(segment, error);
    return q;
}

/* ---- probes -------------------------------------------------------------------------------------------------------- */

/* In us; -1: it did not arrive. */
static int64_t probe(struct quipu *from, struct quipu *to, const char *key, int64_t count)
{
    struct quipu_count seen;
    int64_t asked_us = now_us(), us = asked_us;
    int error = quipu_add(from, key, strlen(key), 1);
    if (error)
        fail(key, error);
    while (us - asked_us < LOST_US) {
        error = quipu_get(to, key, strlen(key), &seen);
        us = now_us();
        if (error && error != -ENOENT)
            fail(key, error);
        if (!error && seen.total >= count)
            return us - asked_us;
        wait_until(us + LOOK_US);
    }
    return -1;
}

/* COUNT probes; 0: until the load has ended. */
static void run_prober(struct board *board, const char *from, const char *to, uint64_t count)
{
    char key[64];
    struct quipu *here = open_segment(from), *there = open_segment(to);
    unsigned seed = (unsigned)getpid();
    snprintf(key, sizeof key, "probe.%d.%" PRId64, (int)getpid(), now_us());
    for (uint64_t i = 1; count ? i <= count : !board->ends; i++) {
        wait_until(now_us() + rand_r(&seed) % PAUSE_US);
        int64_t us = probe(here, there, key, (int64_t)i);
        if (us < 0) {
            dprintf(1, "staleness lost\n");
            break; /* what it would see next might be this one */
        }
        dprintf(1, "staleness_us %" PRId64 "\n", us);
    }
    quipu_close(here);
    quipu_close(there);
}

static void start_probers(struct board *board, char **segments, uint64_t count, pid_t *prober)
{
    for (int i = 0; i < 2 * PROBERS; i++) {
        prober[i] = fork();
        if (prober[i] == 0) {
            run_prober(board, segments[i % 2], segments[(i + 1) % 2], count);
            _exit(0);
        }
    }
}

/* ---- load ---------------------------------------------------------------------------------------------------------- */

/* Who was late is not in a hurry afterwards: in no time are there more requests than the rate says. The workers of a
 * host have their turns one after the other. */
static void run_worker(const char *segment, const char *key, unsigned turn)
{
    struct quipu *q = open_segment(segment);
    struct quipu_verdict verdict;
    uint64_t admitted = 0, windows = 0, window = 0;
    int64_t due_us = now_us() + (int64_t)turn * INTERVAL_US / WORKERS;
    for (int i = 0; i < REQUESTS; i++) {
        wait_until(due_us);
        int result = quipu_take(q, key, strlen(key), 1, &verdict);
        if (result < 0)
            fail(key, result);
        admitted += result == 0;
        windows += verdict.epoch >> 16 != window;
        window = verdict.epoch >> 16;
        int64_t us = now_us();
        due_us = us > due_us + INTERVAL_US ? us : due_us + INTERVAL_US;
    }
    dprintf(1, "load %s admitted %" PRIu64 " denied %" PRIu64 " windows %" PRIu64 "\n", segment, admitted,
            REQUESTS - admitted, windows);
    quipu_close(q);
}

static void start_workers(char **segments, const char *key, pid_t *worker)
{
    for (int i = 0; i < 2 * WORKERS; i++) {
        worker[i] = fork();
        if (worker[i] == 0) {
            run_worker(segments[i % 2], key, (unsigned)i / 2);
            _exit(0);
        }
    }
}

static int print_rounds(const struct quipu_peer *peer, void *arg)
{
    (void)arg;
    printf("rounds %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", peer->took_count, peer->took_median, peer->took_p99);
    return 0;
}

static void say_rounds(const char *segment)
{
    struct quipu *q = open_segment(segment);
    int error = quipu_peers(q, print_rounds, NULL);
    if (error)
        fail(segment, error);
    quipu_close(q);
}

/* 0: all of them ended well. */
static int wait_for(const pid_t *child, int count)
{
    int failed = 0, status;
    for (int i = 0; i < count; i++)
        failed |= child[i] < 0 || waitpid(child[i], &status, 0) < 0 || status != 0;
    return failed;
}

int main(int argc, char **argv)
{
    pid_t prober[2 * PROBERS], worker[2 * WORKERS];
    struct board *board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bool is_load = argc == 5 && strcmp(argv[3], "load") == 0;
    uint64_t count = argc == 5 && strcmp(argv[3], "probe") == 0 ? strtoull(argv[4], NULL, 10) : 0;
    if (board == MAP_FAILED || (!is_load && !count)) {
        fprintf(stderr, "usage: shared_limit A B probe COUNT | shared_limit A B load KEY\n");
        return 2;
    }
    start_probers(board, argv + 1, count, prober);
    int failed = 0;
    if (is_load) {
        int64_t began_us = now_us();
        start_workers(argv + 1, argv[4], worker);
        failed = wait_for(worker, 2 * WORKERS);
        printf("worked_ms %" PRId64 "\n", (now_us() - began_us) / 1000);
        board->ends = true;
    }
    failed |= wait_for(prober, 2 * PROBERS);
    if (is_load) {
        say_rounds(argv[1]);
        say_rounds(argv[2]);
    }
    return failed ? 3 : 0;
}
