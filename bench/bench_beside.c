/* SPDX-License-Identifier: MIT */
/* bench_beside.c: one writer beside somebody who walks over everything. Worker 0 writes, and is measured; worker 1, on
 * another CPU, walks over all counters, or reads as much memory with nothing of ours in it, or sleeps. */
#include "bench_loop.h"
#include "bench_quipu.h"

#include <stdio.h>
#include <stdlib.h>

#define SLEEP_NS 1000000
#define LINE_BYTES 64

struct beside {
    struct bench_quipu *store;
    char *plain; /* as many bytes as the segment, or NULL */
    uint64_t plain_bytes;
    struct beside_tally *tally; /* shared with the parent */
};

/* What the company did, in all slices. */
struct beside_tally {
    uint64_t done; /* keys visited, or lines read */
    uint64_t ns;
};

static void beside_teardown(void *state)
{
    struct beside *beside = state;
    bench_shared_free(beside->plain, beside->plain_bytes);
    bench_shared_free(beside->tally, sizeof(*beside->tally));
    if (beside->store)
        bench_quipu_teardown(beside->store);
    free(beside);
}

static int beside_setup(const struct bench_job *job, const char *label, struct beside **out)
{
    struct beside *beside = calloc(1, sizeof(*beside));
    if (!beside)
        return bench_error("no memory for a writer");
    beside->tally = bench_shared_alloc(sizeof(*beside->tally));
    if (!beside->tally || bench_quipu_setup(job, label, 0, 0, &beside->store)) {
        beside_teardown(beside);
        return bench_error("%s could not be made", label);
    }
    *out = beside;
    return 0;
}

static int walked_setup(const struct bench_job *job, void **state)
{
    return beside_setup(job, "walked", (struct beside **)state);
}

static int alone_setup(const struct bench_job *job, void **state)
{
    return beside_setup(job, "alone", (struct beside **)state);
}

/* Written once, so that there are pages to read. */
static int read_setup(const struct bench_job *job, void **state)
{
    struct beside *beside;
    struct quipu_stat stat;
    if (beside_setup(job, "read", &beside))
        return -1;
    int code = quipu_stat(beside->store->q, &stat);
    beside->plain_bytes = code ? 0 : stat.segment_bytes;
    beside->plain = code ? NULL : bench_shared_alloc(beside->plain_bytes);
    if (!beside->plain) {
        beside_teardown(beside);
        return bench_error("no memory to read");
    }
    memset(beside->plain, 1, beside->plain_bytes);
    *state = beside;
    return 0;
}

static int beside_attach(void *state, unsigned worker)
{
    struct beside *beside = state;
    return bench_quipu_attach(beside->store, worker);
}

static int beside_sum(void *state, int64_t *out)
{
    struct beside *beside = state;
    return bench_quipu_sum(beside->store, out);
}

/* ---- worker 0 ---------------------------------------------------------------------------------------------------- */

static int write_all(struct beside *beside, struct bench_worker *worker)
{
    if (worker->job->op == BENCH_OP_ADD_HANDLE)
        return bench_loop(worker, bench_quipu_add_handle, beside->store);
    return bench_loop(worker, bench_quipu_add, beside->store);
}

/* ---- worker 1 ---------------------------------------------------------------------------------------------------- */

struct walk {
    const struct bench_worker *worker;
    uint64_t visited;
    uint64_t seen;
};

static int walk_visit(const struct quipu_item *item, void *arg)
{
    struct walk *walk = arg;
    walk->visited++;
    walk->seen += (uint64_t)item->count.total;
    return bench_stopped(walk->worker);
}

static int walk_until_stopped(struct beside *beside, struct bench_worker *worker)
{
    struct walk walk = {.worker = worker};
    int code = 0;
    while (!code && !bench_stopped(worker))
        code = quipu_each(beside->store->q, NULL, 0, walk_visit, &walk);
    beside->tally->done += walk.visited;
    return code < 0 ? bench_quipu_failed("quipu_each", code) : 0;
}

static int read_until_stopped(struct beside *beside, struct bench_worker *worker)
{
    uint64_t at = 0;
    while (!bench_stopped(worker)) {
        for (unsigned i = 0; i < BENCH_OPS_PER_LOOK; i++) {
            worker->seen += (uint64_t)*(volatile char *)&beside->plain[at];
            at = at + LINE_BYTES < beside->plain_bytes ? at + LINE_BYTES : 0;
        }
        beside->tally->done += BENCH_OPS_PER_LOOK;
    }
    return 0;
}

static int sleep_until_stopped(struct beside *beside, struct bench_worker *worker)
{
    (void)beside;
    while (!bench_stopped(worker))
        bench_sleep_ns(SLEEP_NS);
    return 0;
}

/* ---- both -------------------------------------------------------------------------------------------------------- */

typedef int company_keeper(struct beside *beside, struct bench_worker *worker);

static int beside_run(struct beside *beside, struct bench_worker *worker, company_keeper *keep)
{
    if (worker->index == 0)
        return write_all(beside, worker);
    worker->is_company = 1;
    uint64_t begun_ns = bench_monotonic_ns();
    int failed = keep(beside, worker);
    beside->tally->ns += bench_monotonic_ns() - begun_ns;
    return failed;
}

static int walked_run(void *state, struct bench_worker *worker)
{
    return beside_run(state, worker, walk_until_stopped);
}

static int read_run(void *state, struct bench_worker *worker)
{
    return beside_run(state, worker, read_until_stopped);
}

static int alone_run(void *state, struct bench_worker *worker)
{
    return beside_run(state, worker, sleep_until_stopped);
}

static void walked_note(void *state, char *out, size_t out_bytes)
{
    const struct beside_tally *tally = ((struct beside *)state)->tally;
    snprintf(out, out_bytes, "the walk: %.0f ns a key", (double)tally->ns / (double)(tally->done + !tally->done));
}

static void read_note(void *state, char *out, size_t out_bytes)
{
    const struct beside *beside = state;
    snprintf(out, out_bytes, "the reader: %.1f GB/s of %.0f MB",
             (double)beside->tally->done * LINE_BYTES / (double)(beside->tally->ns + !beside->tally->ns),
             (double)beside->plain_bytes / 1e6);
}

const struct bench_contender bench_beside_each = {
    .name = "beside_each",
    .what = "ours: another process walks over all counters by quipu_each, on another CPU",
    .setup = walked_setup,
    .attach = beside_attach,
    .run = walked_run,
    .sum = beside_sum,
    .note = walked_note,
    .teardown = beside_teardown,
};

const struct bench_contender bench_beside_nobody = {
    .name = "alone",
    .what = "the same writer, and the other process sleeps",
    .setup = alone_setup,
    .attach = beside_attach,
    .run = alone_run,
    .sum = beside_sum,
    .teardown = beside_teardown,
};

const struct bench_contender bench_beside_reader = {
    .name = "beside_reads",
    .what = "the same writer, and the other process reads as many bytes of plain memory, line by line",
    .setup = read_setup,
    .attach = beside_attach,
    .run = read_run,
    .sum = beside_sum,
    .note = read_note,
    .teardown = beside_teardown,
};
