/* SPDX-License-Identifier: MIT */
/* cases.c: the processes that run them. */
#include "cases.h"

#include <sys/mman.h>

#include "guard.h"
#include "told.h"

#define PROCESSES 2 /* even: cases with an odd number are those of one of them */

size_t __sanitizer_get_current_allocated_bytes(void); /* gcc comes without the header */

/* Runs cases first, first + step, ... in this process. */
static int run_cases(const struct cases_plan *plan, struct cases_share *share, const char *segment, uint64_t first, uint64_t step,
                     uint64_t end)
{
    struct filled f;
    calls_watch(&share->progress);
    filled_open(&f, segment);
    if (first % 2)
        told_make(&f);
    if (plan->begin)
        plan->begin(segment);
    filled_keep(&f);
    size_t allocated = 0;
    for (uint64_t number = first; number < end; number += step) {
        share->progress.number = number;
        filled_restore(&f);
        plan->one(&f, number, share);
        /* The first ones fill what is allocated once. */
        if (++share->cases == 100)
            allocated = __sanitizer_get_current_allocated_bytes();
    }
    if (share->cases > 100 && __sanitizer_get_current_allocated_bytes() > allocated + 4096)
        calls_complain("%zu bytes allocated and not freed", __sanitizer_get_current_allocated_bytes() - allocated);
    filled_restore(&f);
    if (plan->end)
        plan->end();
    filled_close(&f);
    return 0;
}

/* ---- the parent -------------------------------------------------------------------------------------------------------------- */

static const char *segment_of(const struct cases_plan *plan, unsigned process)
{
    static char segment[160];
    snprintf(segment, sizeof segment, "%s.%u", qp_test_name(plan->name), process);
    return segment;
}

static pid_t start(const struct cases_plan *plan, struct cases_share *share, unsigned process)
{
    const char *segment = segment_of(plan, process);
    fflush(NULL);
    pid_t child = fork();
    if (child)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (process == PROCESSES)
        _exit(plan->beside(&share->progress, segment));
    _exit(run_cases(plan, share, segment, process, PROCESSES, plan->count * qp_test_scale()));
}

static int finish(const struct cases_plan *plan, const struct cases_share *share, unsigned process, pid_t child)
{
    int status = -1;
    waitpid(child, &status, 0);
    guard_remove(segment_of(plan, process)); /* of a child that did not come to its end */
    if (status == 0)
        return 0;
    printf("process %u, case %llu: %s: %s (status %x)\n", process, (unsigned long long)share->progress.number,
           share->progress.call, share->progress.complaint[0] ? share->progress.complaint : "crashed",
           (unsigned)status);
    return 1;
}

struct again {
    const struct cases_plan *plan;
    struct cases_share *share;
    uint64_t number;
};

static int run_one(const char *segment, void *arg)
{
    const struct again *again = arg;
    return run_cases(again->plan, again->share, segment, again->number, 1, again->number + 1);
}

int cases_main(int argc, char **argv, const struct cases_plan *plan, struct cases_share *sum, struct cases_share *beside)
{
    pid_t child[PROCESSES + 1];
    struct cases_share *share = mmap(NULL, sizeof *share * (PROCESSES + 1), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned processes = PROCESSES + (plan->beside != NULL);
    int failed = 0;
    if (share == MAP_FAILED)
        return 99;
    if (argc == 2) {
        struct again again = {plan, share, strtoull(argv[1], NULL, 0)};
        failed = guard_run(run_one, qp_test_name(plan->name), &again);
        if (failed)
            printf("%s: %s\n", share->progress.call, share->progress.complaint);
        *sum = *share;
        return failed;
    }
    for (unsigned i = 0; i < processes; i++)
        child[i] = start(plan, &share[i], i);
    for (unsigned i = 0; i < processes; i++) {
        failed += finish(plan, &share[i], i, child[i]);
        sum->cases += share[i].cases;
        sum->noticed += share[i].noticed;
        sum->flips += share[i].flips;
        sum->frames += share[i].frames;
        sum->progress.calls += share[i].progress.calls;
    }
    if (plan->beside)
        *beside = share[PROCESSES];
    return failed != 0;
}
