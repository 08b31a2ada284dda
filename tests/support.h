/* SPDX-License-Identifier: MIT */
/* support.h: what many tests need: a private segment, its inside, a scale for long runs. No test framework in here, so that forked
 * children can use it too. */
#ifndef QP_TESTS_SUPPORT_H
#define QP_TESTS_SUPPORT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/handle.h"
#include "runtime/quipu.h"

/* How much longer than in CI a long run is to be: $QUIPU_TEST_SCALE, 1 by default. */
static inline uint64_t qp_test_scale(void)
{
    const char *text = getenv("QUIPU_TEST_SCALE");
    long scale = text ? strtol(text, NULL, 10) : 1;
    return scale > 0 ? (uint64_t)scale : 1;
}

/* A name of this process's own, for one segment. */
static inline const char *qp_test_name(const char *what)
{
    static char name[128];
    snprintf(name, sizeof name, "test.%s.%d", what, (int)getpid());
    return name;
}

/* Dies with a sentence; for set-up that must not fail, in any process. */
static inline void qp_test_must(int result, const char *what)
{
    if (result >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, quipu_error(result));
    _exit(99);
}

/* Makes a fresh segment and opens it. 0 for counters or threads: the default; for counters_max: it does not grow. */
static inline struct quipu *qp_test_segment_that_grows(const char *name, uint32_t counters, uint32_t counters_max, uint32_t threads,
                                                       bool fence)
{
    struct quipu_create_options options = {.struct_bytes = sizeof options,
                                           .counters = counters,
                                           .counters_max = counters_max,
                                           .threads = threads,
                                           .fence = fence,
                                           .strategy_bytes = 4096};
    struct quipu *q = NULL;
    quipu_destroy(name);
    qp_test_must(quipu_create(name, &options), "create");
    qp_test_must(quipu_open(name, NULL, &q), "open");
    return q;
}

static inline struct quipu *qp_test_segment(const char *name, uint32_t counters, uint32_t threads, bool fence)
{
    return qp_test_segment_that_grows(name, counters, 0, threads, fence);
}

/* Upkeep until nothing is left to do. */
static inline void qp_test_settle(struct quipu *q)
{
    int done;
    while ((done = quipu_upkeep(q, 0)) > 0) {
    }
    qp_test_must(done, "upkeep");
}

#endif
