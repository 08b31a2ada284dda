/* SPDX-License-Identifier: MIT */
/* clock.c: clocks that step an hour ahead or back, callers that are stopped for a second between reading the time and taking, keys that
 * nobody used for 2^23 and for 2^24 windows, when their numbers come round. Whatever happens, a limit is wrong for at most one window and
 * then right, for good: each key is followed until long after it would meet again what the step left behind. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_clock.h"
#include "limits.h"
#include "tests/support.h"

#define LIMIT UINT64_C(10)
#define HOUR_MS INT64_C(3600000)
#define START_MS UINT64_C(1800000000000) /* a multiple of all windows but a day */
#define SKEW_MS UINT64_C(60000)          /* times that differ by no more are different callers', not a step */
#define HISTORY 8

/* One key, and what it was given in its latest windows. */
struct client {
    char key[40];
    enum quipu_algorithm algorithm;
    uint64_t window_ms;
    struct {
        uint64_t window, admitted;
    } history[HISTORY];
    uint64_t wrong_until; /* windows before this one are not judged */
    uint64_t sweeps;      /* so many times somebody sweeps between two moments of a window */
    uint64_t
        cut_window; /* reset or deleted in this one, which, with those beside it, may be wrong when met again; 0: in none */
};

static struct quipu *q;
static const char *scene;
static uint64_t judged;

static uint64_t *admitted_in(struct client *c, uint64_t window)
{
    if (c->history[window % HISTORY].window != window) {
        c->history[window % HISTORY].window = window;
        c->history[window % HISTORY].admitted = 0;
    }
    return &c->history[window % HISTORY].admitted;
}

/* Takes until it is denied. Every other time the caller brings its time along. */
static uint64_t drain(struct client *c, uint64_t now_ms)
{
    uint64_t admitted = 0;
    int result;
    fake_clock_set(now_ms);
    do {
        result = now_ms & 1 ? quipu_take(q, c->key, strlen(c->key), 1, NULL)
                            : quipu_take_at(q, c->key, strlen(c->key), 1, (int64_t)now_ms, NULL);
        qp_test_must(result, "take");
        admitted += result == 0;
    } while (result == 0 && admitted <= LIMIT + 1);
    *admitted_in(c, now_ms / c->window_ms) += admitted;
    return admitted;
}

static void judge(struct client *c, uint64_t now_ms)
{
    uint64_t window = now_ms / c->window_ms, elapsed_ms = now_ms % c->window_ms;
    uint64_t admitted = *admitted_in(c, window), before = *admitted_in(c, window - 1), weighed = 0;
    bool met_again = c->cut_window && window + 1 >= c->cut_window && window <= c->cut_window + 1;
    if (window < c->wrong_until || met_again)
        return;
    if (c->algorithm == QUIPU_ALGORITHM_SLIDING)
        weighed = before * (c->window_ms - elapsed_ms) / c->window_ms;
    judged++;
    if (admitted + weighed != LIMIT)
        scale_fail("%s: %s, window of %" PRIu64 " ms, %" PRIu64 " windows after it could be wrong, at %" PRIu64
                   " ms: %" PRIu64 " admitted, %" PRIu64 " weighed of the window before, limit %" PRIu64,
                   scene, c->key, c->window_ms, window - c->wrong_until, elapsed_ms, admitted, weighed, LIMIT);
}

/* Uses one window up, in three moments of it; a bucket at its start only, and so it is full again at the next. */
static void use_window(struct client *c, uint64_t window)
{
    const uint64_t moment_ms[3] = {0, c->window_ms / 3, c->window_ms - 1};
    for (int i = 0; i < (c->algorithm == QUIPU_ALGORITHM_BUCKET ? 1 : 3); i++) {
        drain(c, window * c->window_ms + moment_ms[i]);
        judge(c, window * c->window_ms + moment_ms[i]);
        if (c->sweeps && c->sweeps--)
            qp_test_settle(q);
    }
}

/* ---- steps ------------------------------------------------------------------------------------------------------------ */

/* The clock is now_ms after a step: this window may be wrong (a sliding one, or a bucket, until the step is a window ago). */
static void after_step(struct client *c, uint64_t now_ms, int64_t step_ms)
{
    uint64_t latest = (uint64_t)-step_ms / c->window_ms;
    c->wrong_until = now_ms / c->window_ms + 1 + (c->algorithm != QUIPU_ALGORITHM_FIXED);
    if (step_ms < 0 && latest > SKEW_MS / c->window_ms + 2)
        memset(c->history, 0, sizeof c->history); /* windows that were left behind in the future are no longer true */
    drain(c, now_ms);
}

enum cut { NOT_CUT, RESET, DELETED };

struct scene {
    const char *name;
    int64_t first_ms, second_ms; /* steps; 0: no second one */
    enum cut cut;                /* what happens to the key just before */
};

static void cut(struct client *c, enum cut how)
{
    if (how == RESET)
        qp_test_must(quipu_reset(q, c->key, strlen(c->key), NULL), "reset");
    else if (how == DELETED)
        qp_test_must(quipu_delete(q, c->key, strlen(c->key), NULL), "delete");
    else
        return;
    c->cut_window = limits_unix_ms() / c->window_ms;
}

/* Two windows are used up, the clock steps, perhaps twice; then every stride-th window is used for more than an hour. */
static void step(struct client *c, const struct scene *s, uint64_t stride)
{
    uint64_t window = START_MS / c->window_ms + 3, far = (HOUR_MS + 2 * SKEW_MS) / c->window_ms + 10;
    use_window(c, window);
    use_window(c, window + 1);
    cut(c, s->cut);
    int64_t now_ms = (int64_t)((window + 1) * c->window_ms + c->window_ms / 2) + s->first_ms;
    after_step(c, (uint64_t)now_ms, s->first_ms);
    if (s->second_ms) {
        window = (uint64_t)now_ms / c->window_ms + 1;
        use_window(c, window);
        now_ms = (int64_t)((window + 1) * c->window_ms - 1) + s->second_ms;
        after_step(c, (uint64_t)now_ms, s->second_ms);
    }
    window = (uint64_t)now_ms / c->window_ms;
    c->sweeps = s->cut ? 20 : 0;
    for (uint64_t i = stride; i <= far; i += stride)
        use_window(c, window + i);
}

static const char *const prefixes[] = {"fixed", "sliding", "bucket"};

static struct client client(enum quipu_algorithm algorithm, uint64_t window_ms, unsigned number)
{
    struct client c = {.algorithm = algorithm, .window_ms = window_ms};
    snprintf(c.key, sizeof c.key, "%s/%" PRIu64 "/%u", prefixes[algorithm], window_ms, number);
    return c;
}

static void steps(void)
{
    static const uint64_t windows_ms[] = {100, 1000, 60000, HOUR_MS, 24 * HOUR_MS};
    static const struct scene scenes[] = {
        {"an hour ahead", HOUR_MS, 0, NOT_CUT},
        {"an hour back", -HOUR_MS, 0, NOT_CUT},
        {"ahead and back", HOUR_MS, -HOUR_MS, NOT_CUT},
        {"back and ahead", -HOUR_MS, HOUR_MS, NOT_CUT},
        {"back twice", -HOUR_MS, -HOUR_MS, NOT_CUT},
        {"an hour back after a reset", -HOUR_MS, 0, RESET},
        {"an hour back after a delete", -HOUR_MS, 0, DELETED},
    };
    unsigned number = 0;
    for (size_t w = 0; w < sizeof windows_ms / sizeof *windows_ms; w++)
        for (size_t s = 0; s < sizeof scenes / sizeof *scenes; s++)
            for (uint64_t stride = 1; stride <= 2; stride++)
                for (unsigned a = 0; a < 3; a++) {
                    struct client c = client(a, windows_ms[w], number++);
                    scene = scenes[s].name;
                    step(&c, &scenes[s], stride);
                }
    printf("steps: %u keys, %" PRIu64 " verdicts' windows right\n", number, judged);
}

/* ---- idle ------------------------------------------------------------------------------------------------------------- */

#define IDLE_KEYS 1400

/* Keys used up in windows one after the other; then nobody uses any for `idle` windows, so that some of them are found just before, at
 * and after the number that they were left at. */
static void idle(enum quipu_algorithm algorithm, uint64_t idle_windows, unsigned first_number)
{
    const uint64_t window_ms = 100, start = START_MS / window_ms;
    static struct client c[IDLE_KEYS];
    scene = "idle";
    for (unsigned i = 0; i < IDLE_KEYS; i++) {
        c[i] = client(algorithm, window_ms, first_number + i);
        drain(&c[i], (start + i) * window_ms);
        drain(&c[i], (start + i + 1) * window_ms + 1);
    }
    uint64_t back = start + IDLE_KEYS / 2 + idle_windows;
    for (unsigned i = 0; i < IDLE_KEYS; i++)
        after_step(&c[i], back * window_ms, 1);
    for (uint64_t k = 1; k < 6; k++)
        for (unsigned i = 0; i < IDLE_KEYS; i++)
            use_window(&c[i], back + k);
    /* Some of them go on in windows of one parity only. */
    for (uint64_t k = 7; k < IDLE_KEYS / 2 + 10; k += 2)
        for (unsigned i = 0; i < IDLE_KEYS; i += 25)
            use_window(&c[i], back + k);
}

/* The same, but from the first on in windows of one parity only. */
static void idle_by_parity(enum quipu_algorithm algorithm, uint64_t idle_windows, unsigned first_number)
{
    const uint64_t window_ms = 100, start = START_MS / window_ms;
    for (unsigned i = 0; i < IDLE_KEYS; i += 35) {
        struct client c = client(algorithm, window_ms, first_number + i);
        scene = "idle, then used in every other window";
        drain(&c, start * window_ms);
        drain(&c, (start + 1) * window_ms + 1);
        uint64_t back = start + idle_windows + i - IDLE_KEYS / 2;
        after_step(&c, back * window_ms, 1);
        for (uint64_t k = 2; k < IDLE_KEYS; k += 2)
            use_window(&c, back + k);
    }
}

/* ---- stops ------------------------------------------------------------------------------------------------------------ */

struct stopped {
    int result;
    struct quipu_verdict verdict;
};

/* A child reads the time, itself or within the library, and is stopped there for a second of the clock, in which its window ends and the
 * next is used up. Its take must be decided in that newer window, and change nothing in any. */
static void stop(enum quipu_algorithm algorithm, uint64_t window_ms, bool inside, unsigned number)
{
    struct client c = client(algorithm, window_ms, number);
    struct stopped *report = scale_shared(sizeof *report);
    uint64_t window = START_MS / window_ms + number * 50, now_ms = window * window_ms + window_ms / 2;
    int status;
    scene = "a stopped caller";
    use_window(&c, window - 1);
    fake_clock_set(now_ms);
    pid_t child = scale_fork();
    if (child == 0) {
        int64_t read_ms = (int64_t)limits_unix_ms();
        qp_test_must(quipu_get(q, c.key, strlen(c.key), NULL), "get"); /* this thread has its slot by now */
        limits_write(&fake_clock->stop_pid, (uint64_t)getpid());
        if (!inside)
            limits_unix_ms();
        report->result = inside ? quipu_take(q, c.key, strlen(c.key), 1, &report->verdict)
                                : quipu_take_at(q, c.key, strlen(c.key), 1, read_ms, &report->verdict);
        _exit(0);
    }
    if (waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status))
        scale_fail("the child did not stop: wait status %#x", (unsigned)status);
    uint64_t later_ms = now_ms + 1000, newer = later_ms / window_ms;
    c.wrong_until = newer;
    *admitted_in(&c, newer - 1) = newer - 1 == window - 1 ? LIMIT : 0;
    drain(&c, later_ms);
    judge(&c, later_ms);
    kill(child, SIGCONT);
    scale_await(child, "a child that was stopped");
    if (algorithm != QUIPU_ALGORITHM_BUCKET)
        scale_demand((report->verdict.epoch >> 16) / window_ms, newer, "the window of a take that was late", c.key);
    scale_demand((uint64_t)report->result, 1, "the result of a take that was late", c.key);
    for (uint64_t i = 1 + (algorithm == QUIPU_ALGORITHM_BUCKET); i < 5; i++)
        use_window(&c, newer + i);
}

static void stops(void)
{
    unsigned number = 100000;
    for (unsigned a = 0; a < 3; a++)
        for (int inside = 0; inside < 2; inside++)
            for (uint64_t window_ms = 100; window_ms <= 1000; window_ms += 900)
                stop(a, window_ms, inside, number++);
    printf("stops: %u callers stopped, %" PRIu64 " windows right so far\n", number - 100000, judged);
}

int main(void)
{
    static const uint64_t windows_ms[] = {100, 1000, 60000, HOUR_MS, 24 * HOUR_MS};
    fake_clock_start(START_MS);
    limits_watchdog(500);
    q = limits_segment("clock", (struct quipu_create_options){.counters = 1 << 15, .strategy_bytes = 8192});
    for (unsigned a = 0; a < 3; a++)
        for (size_t w = 0; w < sizeof windows_ms / sizeof *windows_ms; w++) {
            char prefix[40];
            snprintf(prefix, sizeof prefix, "%s/%" PRIu64 "/", prefixes[a], windows_ms[w]);
            limits_put(q, prefix,
                       (struct quipu_strategy){
                           .algorithm = a, .window_ms = windows_ms[w], .limit = LIMIT, .idle_ms = QUIPU_IDLE_NEVER});
        }
    steps();
    stops();
    unsigned number = 200000;
    for (unsigned a = 0; a < 2; a++)
        for (int bits = 23; bits <= 24; bits++, number += 2 * IDLE_KEYS) {
            idle(a, UINT64_C(1) << bits, number);
            idle_by_parity(a, UINT64_C(1) << bits, number + IDLE_KEYS);
        }
    printf("idle: %" PRIu64 " windows right so far\n", judged);
    scale_demand_sound(q, false, "in the end");
    quipu_close(q);
    return 0;
}
