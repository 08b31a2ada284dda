/* SPDX-License-Identifier: MIT */
/* api.h: a real segment for the tests of the public interface. Its name is gone as soon as it is open, so nothing is left in
 * /dev/shm however a test ends. */
#ifndef QP_TESTS_API_H
#define QP_TESTS_API_H

#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tests/support.h"

#define KEY(text) (text), sizeof(text) - 1

/* cmocka compares unsigned; codes are negative. */
#define assert_code(expected, call) assert_int_equal((int)(expected), (int)(call))

static inline struct quipu *api_segment(uint32_t counters, uint32_t threads)
{
    const char *name = qp_test_name("unit");
    char path[QP_PATH_BYTES];
    struct quipu *q = qp_test_segment(name, counters, threads, false);
    assert_int_equal(0, qp_segment_path(name, path));
    unlink(path);
    return q;
}

/* A second handle of this process on the same segment. */
static inline struct quipu *api_again(const struct quipu *q, bool read_only)
{
    struct quipu_open_options options = {.struct_bytes = sizeof options, .fd = q->fd, .read_only = read_only};
    struct quipu *again = NULL;
    assert_code(0, quipu_open(NULL, &options, &again));
    return again;
}

/* Closes a segment that must be sound, and quiet once everything is done. */
static inline void api_close(struct quipu *q)
{
    char finding[256] = "";
    qp_test_settle(q);
    if (quipu_check_quiet(q, finding, sizeof finding))
        fail_msg("%s", finding);
    quipu_close(q);
}

static inline struct quipu_count api_get(struct quipu *q, const char *key)
{
    struct quipu_count count;
    assert_code(0, quipu_get(q, key, strlen(key), &count));
    return count;
}

/* A segment made by those options; struct_bytes and strategy_bytes are filled in. */
static inline struct quipu *api_segment_by(struct quipu_create_options options)
{
    const char *name = qp_test_name("unit.by");
    struct quipu *q = NULL;
    char path[QP_PATH_BYTES];
    options.struct_bytes = sizeof options;
    options.strategy_bytes = 4096;
    quipu_destroy(name);
    assert_int_equal(0, quipu_create(name, &options));
    assert_int_equal(0, quipu_open(name, NULL, &q));
    assert_int_equal(0, qp_segment_path(name, path));
    unlink(path);
    return q;
}

/* A segment whose time is its callers', so that windows turn when the test says. */
static inline struct quipu *api_segment_of_callers(uint32_t counters)
{
    return api_segment_by((struct quipu_create_options){.counters = counters, .threads = 16, .clock_caller = 1});
}

static inline void api_limit(struct quipu *q, const char *prefix, uint64_t window_ms)
{
    struct quipu_strategy strategy = {
        .struct_bytes = sizeof strategy, .kind = QUIPU_KIND_LIMIT, .window_ms = window_ms};
    assert_code(0, quipu_strategy_put(q, prefix, strlen(prefix), &strategy));
}

/* A limit with a number; its other fields are the caller's. */
static inline struct quipu_strategy api_limit_of(uint32_t algorithm, uint64_t limit, uint64_t window_ms)
{
    return (struct quipu_strategy){.struct_bytes = sizeof(struct quipu_strategy),
                                   .kind = QUIPU_KIND_LIMIT,
                                   .algorithm = algorithm,
                                   .limit = limit,
                                   .window_ms = window_ms};
}

static inline void api_put(struct quipu *q, const char *prefix, const struct quipu_strategy *strategy)
{
    assert_code(0, quipu_strategy_put(q, prefix, strlen(prefix), strategy));
}

static inline struct quipu_stat api_stat(struct quipu *q)
{
    struct quipu_stat stat;
    assert_code(0, quipu_stat(q, &stat));
    return stat;
}

/* fork; the child goes with its parent, also when a test fails. */
static inline pid_t api_fork(void)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return child;
}

/* Ends a child that must be at work still. */
static inline void api_kill(pid_t child)
{
    int status;
    kill(child, SIGKILL);
    assert_int_equal(child, waitpid(child, &status, 0));
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* An out-parameter that a failing call must not touch: filled with a pattern, and looked at afterwards. */
#define API_UNTOUCHED 0xa5
static inline void api_mark(void *out, size_t bytes)
{
    memset(out, API_UNTOUCHED, bytes);
}

static inline void api_assert_untouched(const void *out, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        assert_int_equal(API_UNTOUCHED, ((const unsigned char *)out)[i]);
}

#endif
