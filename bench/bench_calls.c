/* SPDX-License-Identifier: MIT */
/* bench_calls.c: ours beside ours: several limits or counters in one call and one after the other, and adds where the row takes. */
#include "bench_loop.h"
#include "bench_quipu.h"

/* ---- several keys ---------------------------------------------------------------------------------------------- */

static int many_setup(const struct bench_job *job, void **state)
{
    return bench_quipu_setup(job, "in_one_call", 0, 0, (struct bench_quipu **)state);
}

static int single_setup(const struct bench_job *job, void **state)
{
    return bench_quipu_setup(job, "one_by_one", 0, 0, (struct bench_quipu **)state);
}

/* All or none: seen is the request, not its limits. */
static inline int take_many(void *context, const struct bench_key *keys[BENCH_MANY], uint64_t *seen)
{
    struct bench_quipu *store = context;
    struct quipu_request requests[BENCH_MANY];
    for (unsigned i = 0; i < BENCH_MANY; i++) {
        requests[i].struct_bytes = sizeof(requests[i]);
        requests[i].key = keys[i]->text;
        requests[i].key_bytes = keys[i]->bytes;
        requests[i].n = 1;
        requests[i].reserved0 = 0;
    }
    return bench_quipu_counted("quipu_take_many", quipu_take_many(store->q, requests, BENCH_MANY), seen);
}

static inline int add_many(void *context, const struct bench_key *keys[BENCH_MANY], uint64_t *seen)
{
    struct bench_quipu *store = context;
    struct quipu_add_request requests[BENCH_MANY];
    for (unsigned i = 0; i < BENCH_MANY; i++) {
        requests[i].struct_bytes = sizeof(requests[i]);
        requests[i].key = keys[i]->text;
        requests[i].key_bytes = keys[i]->bytes;
        requests[i].n = 1;
        requests[i].reserved0 = 0;
    }
    return bench_quipu_counted("quipu_add_many", quipu_add_many(store->q, requests, BENCH_MANY), seen);
}

static int many_run(void *state, struct bench_worker *worker)
{
    return worker->job->op == BENCH_OP_ADD_MANY ? bench_loop_many(worker, add_many, state)
                                                : bench_loop_many(worker, take_many, state);
}

/* What one must write without take_many; what was taken before a denial would have to be given back, and none is denied
 * here. */
static inline int take_each(void *context, const struct bench_key *keys[BENCH_MANY], uint64_t *seen)
{
    struct bench_quipu *store = context;
    struct quipu_verdict verdicts[BENCH_MANY];
    int code = 0;
    for (unsigned i = 0; i < BENCH_MANY && !code; i++)
        code = quipu_take(store->q, keys[i]->text, keys[i]->bytes, 1, &verdicts[i]);
    return bench_quipu_counted("quipu_take", code, seen);
}

static inline int add_each(void *context, const struct bench_key *keys[BENCH_MANY], uint64_t *seen)
{
    struct bench_quipu *store = context;
    int code = 0;
    for (unsigned i = 0; i < BENCH_MANY && !code; i++)
        code = quipu_add(store->q, keys[i]->text, keys[i]->bytes, 1);
    return bench_quipu_counted("quipu_add", code, seen);
}

static int each_run(void *state, struct bench_worker *worker)
{
    return worker->job->op == BENCH_OP_ADD_MANY ? bench_loop_many(worker, add_each, state)
                                                : bench_loop_many(worker, take_each, state);
}

const struct bench_contender bench_quipu_many = {
    .name = "quipu_take_many",
    .what = "ours: quipu_take_many of four limits",
    .setup = many_setup,
    .attach = bench_quipu_attach,
    .run = many_run,
    .sum = bench_quipu_sum,
    .teardown = bench_quipu_teardown,
};

const struct bench_contender bench_quipu_add_many = {
    .name = "quipu_add_many",
    .what = "ours: quipu_add_many to four keys",
    .setup = many_setup,
    .attach = bench_quipu_attach,
    .run = many_run,
    .sum = bench_quipu_sum,
    .teardown = bench_quipu_teardown,
};

const struct bench_contender bench_quipu_add_single = {
    .name = "quipu_4_adds",
    .what = "ours: quipu_add to the same four, one after the other",
    .setup = single_setup,
    .attach = bench_quipu_attach,
    .run = each_run,
    .sum = bench_quipu_sum,
    .teardown = bench_quipu_teardown,
};

const struct bench_contender bench_quipu_single = {
    .name = "quipu_4_takes",
    .what = "ours: quipu_take of the same four, one after the other",
    .setup = single_setup,
    .attach = bench_quipu_attach,
    .run = each_run,
    .sum = bench_quipu_sum,
    .teardown = bench_quipu_teardown,
};

/* ---- adds -------------------------------------------------------------------------------------------------------- */

/* The same keys, with no strategy: plain counters. */
static int added_setup(const struct bench_job *job, void **state)
{
    struct bench_job adds = *job;
    adds.op = BENCH_OP_ADD;
    adds.limit = (struct bench_limit){.units = 0};
    return bench_quipu_setup(&adds, "added", 0, 0, (struct bench_quipu **)state);
}

static int added_run(void *state, struct bench_worker *worker)
{
    return bench_loop(worker, bench_quipu_add, state);
}

const struct bench_contender bench_quipu_added = {
    .name = "quipu_add",
    .what = "ours: quipu_add to the same keys, as plain counters",
    .setup = added_setup,
    .attach = bench_quipu_attach,
    .run = added_run,
    .sum = bench_quipu_sum,
    .teardown = bench_quipu_teardown,
};
