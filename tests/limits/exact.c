/* SPDX-License-Identifier: MIT */
/* exact.c: processes take from one key as fast as they can, half of them by key and half by a handle, on the host's clock, by times
 * of their own and on a segment whose time the test moves; some stages kill them at random, and
 * in some the key has stripes from the start. What they got is written down in memory that
 * the segment knows nothing of, and judged in the end (exact_judge.c): not a unit more than the limit, and no denial while one is left. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "exact.h"
#include "runtime/key.h"
#include "shm/stripe.h"
#include "tests/support.h"

#define KEY "hot/key"
#define KEY_BYTES 7
#define KILLS_PER_WINDOW 8
#define LEAPS (EXACT_WINDOWS - 16)
#define CALLS_PER_LEAP 4
#define LEAP_ROUNDS 20

static struct exact_ground *ground;
static struct exact_terms terms;

/* ---- workers --------------------------------------------------------------------------------------------------------- */

struct worker {
    struct quipu *q;
    struct quipu_counter handle;
    const struct exact_stage *stage;
    struct exact_column *column;
    uint64_t random;
    bool by_key;
    bool late; /* its times are older than others', by up to a window */
};

static void raise_to(uint64_t *word, uint64_t value)
{
    if (limits_read(word) < value)
        limits_write(word, value);
}

static uint64_t time_of(struct worker *w)
{
    if (w->stage->clock == EXACT_CALLER)
        return limits_read(&ground->now_ms);
    uint64_t now_ms = limits_unix_ms();
    return w->late && w->stage->clock == EXACT_AT ? now_ms - limits_pick(&w->random, terms.window_ms) : now_ms;
}

static int take(struct worker *w, uint64_t n, uint64_t now_ms, struct quipu_verdict *verdict)
{
    if (w->stage->clock == EXACT_HOST)
        return w->by_key ? quipu_take(w->q, KEY, KEY_BYTES, n, verdict) : quipu_counter_take(&w->handle, n, verdict);
    return w->by_key ? quipu_take_at(w->q, KEY, KEY_BYTES, n, (int64_t)now_ms, verdict)
                     : quipu_counter_take_at(&w->handle, n, (int64_t)now_ms, verdict);
}

static uint64_t index_of(uint64_t window)
{
    uint64_t index = window - ground->first_window;
    if (window < ground->first_window || index >= EXACT_WINDOWS)
        scale_fail("a verdict of window %" PRIu64 ", but the first one was %" PRIu64, window, ground->first_window);
    return index;
}

static void note(struct worker *w, int result, uint64_t n, uint64_t now_ms, const struct quipu_verdict *verdict)
{
    bool bucket = w->stage->algorithm == QUIPU_ALGORITHM_BUCKET;
    uint64_t window = bucket ? now_ms / terms.window_ms : (verdict->epoch >> 16) / terms.window_ms;
    /* One that was late for its window is decided at the newer one's first moment. */
    uint64_t elapsed_ms = now_ms / terms.window_ms < window ? 0 : now_ms % terms.window_ms;
    struct exact_window *into = &w->column->window[index_of(window)];
    if (result == 0) {
        limits_count(&into->admitted, n);
        raise_to(&into->admitted_until_ms, elapsed_ms + 1);
    } else {
        uint64_t least = limits_read(&into->denied_least);
        raise_to(&into->denied_until_ms, elapsed_ms + 1);
        if (!least || n < least)
            limits_write(&into->denied_least, n);
    }
    limits_count(&into->asked, 1);
}

/* Others are told before units are given back and after they were taken, so they never see more than are really out. */
static void give_some_back(struct worker *w, uint64_t n, const struct quipu_verdict *verdict)
{
    uint64_t *outstanding = &ground->outstanding[index_of((verdict->epoch >> 16) / terms.window_ms)];
    uint64_t out = limits_add(outstanding, n), back = limits_pick(&w->random, n + 1);
    if (out > terms.limit)
        scale_fail("%s: %" PRIu64 " units out at once", w->stage->name, out);
    if (back == 0)
        return;
    limits_add(outstanding, -back);
    int result = quipu_refund(w->q, KEY, KEY_BYTES, back, verdict);
    qp_test_must(result, "refund");
    if (result == 1) /* the window is over */
        limits_add(outstanding, back);
}

/* Always to the start of a window, so that the time within it is known whoever gave it, and what was taken before weighs most. */
static void leap(struct worker *w)
{
    uint64_t now_ms = limits_read(&ground->now_ms);
    if (limits_pick(&w->random, CALLS_PER_LEAP) == 0 && index_of(now_ms / terms.window_ms) < LEAPS)
        __atomic_compare_exchange_n(&ground->now_ms, &now_ms, now_ms + terms.window_ms, false, __ATOMIC_RELEASE,
                                    __ATOMIC_RELAXED);
}

static void one_call(struct worker *w)
{
    uint64_t n = 1 + limits_pick(&w->random, w->stage->n_max), now_ms = time_of(w);
    struct quipu_verdict verdict;
    limits_write(&w->column->calling_window, limits_unix_ms() / terms.window_ms);
    limits_write(&w->column->calling, n);
    int result = take(w, n, now_ms, &verdict);
    qp_test_must(result, "take");
    note(w, result, n, now_ms, &verdict);
    limits_write(&w->column->calling, 0);
    if (result == 0 && w->stage->refunds)
        give_some_back(w, n, &verdict);
    if (w->stage->leaps)
        leap(w);
}

static pid_t start_worker(struct quipu *q, const struct exact_stage *stage, unsigned number, uint64_t seed)
{
    pid_t child = scale_fork();
    if (child)
        return child;
    limits_watchdog(500);
    struct worker w = {.q = q,
                       .stage = stage,
                       .column = &ground->column[number],
                       .random = seed,
                       .by_key = number % 2,
                       .late = number % 3 == 0};
    qp_test_must(quipu_counter_open(q, KEY, KEY_BYTES, &w.handle), "handle");
    while (!limits_read(&ground->stop))
        for (int i = 0; i < 64; i++)
            one_call(&w);
    _exit(0);
}

/* ---- kills ------------------------------------------------------------------------------------------------------------ */

/* What the call that a kill cut short may have taken, in any window since it began. */
static void bury(unsigned number)
{
    struct exact_column *column = &ground->column[number];
    uint64_t n = limits_read(&column->calling), last = index_of(limits_unix_ms() / terms.window_ms);
    ground->kills++;
    if (n)
        for (uint64_t i = index_of(limits_read(&column->calling_window)); i <= last; i++)
            ground->lost[i] += n;
    limits_write(&column->calling, 0);
}

static void kill_one(struct quipu *q, const struct exact_stage *stage, pid_t *workers, uint64_t *random)
{
    unsigned number = (unsigned)limits_pick(random, stage->workers);
    int status;
    nanosleep(&(struct timespec){.tv_nsec = (long)limits_pick(random, 8000000)}, NULL);
    kill(workers[number], SIGKILL);
    if (waitpid(workers[number], &status, 0) != workers[number] || !WIFSIGNALED(status))
        scale_fail("%s: worker %u ended by itself with wait status %#x", stage->name, number, (unsigned)status);
    bury(number);
    qp_test_must(quipu_upkeep(q, 200), "upkeep");
    workers[number] = start_worker(q, stage, number, limits_random(random));
}

/* ---- stages ----------------------------------------------------------------------------------------------------------- */

/* As takers do who meet often enough: which they need not on this machine. */
static void promote(struct quipu *q)
{
    int error = 0;
    struct qp_worker *worker = qp_thread_worker(q, &error);
    qp_test_must(error, "worker");
    struct qp_key key = qp_key_make(&q->view, KEY, KEY_BYTES);
    qp_grace_enter(&q->view, worker->slot);
    struct qp_entry *entry = qp_table_find(&q->view, &key, &error);
    if (!entry || !qp_entry_revive(&q->view, entry))
        scale_fail("the key is not there");
    qp_stripe_promote(worker, entry, true);
    qp_grace_exit(worker->slot);
    struct quipu_stat stat;
    qp_test_must(quipu_stat(q, &stat), "stat");
    scale_demand(stat.stripes_used, 1, "stripe sets in use", "promotion");
}

/* The key's first take, so that the stage knows its first window; half of a bucket, so that it cannot be full again before all are at work. */
static struct quipu *begin(const struct exact_stage *stage)
{
    struct quipu *q = limits_segment(
        "exact",
        (struct quipu_create_options){.counters = 64, .threads = 64, .clock_caller = stage->clock == EXACT_CALLER});
    struct exact_window *first = &ground->column[0].window[0];
    uint64_t deep = stage->algorithm == QUIPU_ALGORITHM_BUCKET ? EXACT_BUCKET_WINDOWS : 1;
    uint64_t units = deep > 1 ? terms.limit * deep / 2 : 1;
    memset(ground, 0, sizeof *ground);
    limits_put(q, "hot/",
               (struct quipu_strategy){
                   .algorithm = stage->algorithm, .window_ms = terms.window_ms * deep, .limit = terms.limit * deep});
    uint64_t now_ms = limits_unix_ms();
    ground->now_ms = now_ms = stage->leaps ? now_ms - now_ms % terms.window_ms : now_ms;
    qp_test_must(quipu_take_at(q, KEY, KEY_BYTES, units, (int64_t)now_ms, NULL), "first take");
    if (stage->striped)
        promote(q);
    /* Windows before it, for whose time is older. */
    ground->first_window = now_ms / terms.window_ms - 2;
    ground->born_ms = now_ms - ground->first_window * terms.window_ms;
    first += 2;
    first->admitted = units;
    first->admitted_until_ms = now_ms % terms.window_ms + 1;
    ground->outstanding[2] = 1;
    return q;
}

/* The caller's clock goes on when the present window has been asked enough. */
static void move_time(uint64_t *random)
{
    uint64_t now_ms = limits_read(&ground->now_ms);
    if (exact_sum(ground, index_of(now_ms / terms.window_ms)).asked < terms.asked_min)
        return;
    uint64_t next_ms = (now_ms / terms.window_ms + 1) * terms.window_ms;
    limits_write(&ground->now_ms, next_ms + limits_pick(random, terms.window_ms));
}

/* What the segment itself says of the last two windows. */
static void compare_with_get(struct quipu *q, const struct exact_stage *stage)
{
    struct quipu_count count;
    uint64_t now_ms = ground->now_ms, last = index_of(now_ms / terms.window_ms);
    qp_test_must(quipu_get_at(q, KEY, KEY_BYTES, (int64_t)now_ms, &count), "get");
    uint64_t expected = stage->refunds ? ground->outstanding[last] : exact_sum(ground, last).admitted;
    uint64_t before = stage->refunds ? ground->outstanding[last - 1] : exact_sum(ground, last - 1).admitted;
    scale_demand((uint64_t)count.total, expected, "the last window's total", stage->name);
    scale_demand((uint64_t)count.previous, before, "the total of the window before it", stage->name);
    if (stage->algorithm == QUIPU_ALGORITHM_SLIDING)
        return;
    uint64_t left = terms.limit - expected;
    if (left)
        scale_demand((uint64_t)quipu_take_at(q, KEY, KEY_BYTES, left, (int64_t)now_ms, NULL), 0, "taking the rest",
                     stage->name);
    scale_demand((uint64_t)quipu_take_at(q, KEY, KEY_BYTES, 1, (int64_t)now_ms, NULL), 1, "taking one more",
                 stage->name);
}

/* The first window and the last are not whole. */
static bool is_done(const struct exact_stage *stage, uint64_t windows)
{
    if (stage->leaps)
        return index_of(limits_read(&ground->now_ms) / terms.window_ms) >= LEAPS;
    return exact_full_windows(ground, &terms) >= windows + 2 &&
           (!stage->kills || ground->kills >= windows * KILLS_PER_WINDOW);
}

static void run(const struct exact_stage *stage, uint64_t windows)
{
    pid_t workers[EXACT_WORKERS];
    uint64_t random = limits_unix_ms();
    struct quipu *q = begin(stage);
    for (unsigned i = 0; i < stage->workers; i++)
        workers[i] = start_worker(q, stage, i, limits_random(&random));
    while (!is_done(stage, windows)) {
        if (stage->kills)
            kill_one(q, stage, workers, &random);
        else
            limits_watch();
        if (stage->clock == EXACT_CALLER && !stage->leaps)
            move_time(&random);
    }
    limits_write(&ground->stop, 1);
    for (unsigned i = 0; i < stage->workers; i++)
        scale_await(workers[i], stage->name);
    exact_judge(ground, stage, &terms);
    if (stage->clock == EXACT_CALLER)
        compare_with_get(q, stage);
    qp_test_settle(q);
    scale_demand_sound(q, true, stage->name);
    quipu_close(q);
}

int main(int argc, char **argv)
{
    static const struct exact_stage stages[] = {
        {"sliding, a clock that leaps", QUIPU_ALGORITHM_SLIDING, EXACT_CALLER, .workers = 8, .n_max = 2, .leaps = true},
        {"fixed, a clock that leaps", QUIPU_ALGORITHM_FIXED, EXACT_CALLER, .workers = 8, .n_max = 2, .leaps = true, .refunds = true},
        {"fixed, the host's clock", QUIPU_ALGORITHM_FIXED, EXACT_HOST, .workers = 8, .n_max = 1},
        {"fixed, callers' times", QUIPU_ALGORITHM_FIXED, EXACT_AT, .workers = 8, .n_max = 1},
        {"fixed, a clock that callers move", QUIPU_ALGORITHM_FIXED, EXACT_CALLER, .workers = 8, .n_max = 1},
        {"fixed, requests of several units", QUIPU_ALGORITHM_FIXED, EXACT_AT, .workers = 8, .n_max = 7},
        {"fixed, with refunds", QUIPU_ALGORITHM_FIXED, EXACT_CALLER, .workers = 8, .n_max = 3, .refunds = true},
        {"fixed, with kills", QUIPU_ALGORITHM_FIXED, EXACT_HOST, .workers = 8, .n_max = 1, .kills = true},
        {"sliding, callers' times", QUIPU_ALGORITHM_SLIDING, EXACT_AT, .workers = 8, .n_max = 1},
        {"sliding, with kills", QUIPU_ALGORITHM_SLIDING, EXACT_AT, .workers = 8, .n_max = 1, .kills = true},
        {"fixed, striped, 2 processes", QUIPU_ALGORITHM_FIXED, EXACT_AT, .workers = 2, .n_max = 1, .kills = true, .striped = true},
        {"fixed, striped, 4 processes", QUIPU_ALGORITHM_FIXED, EXACT_HOST, .workers = 4, .n_max = 1, .kills = true, .striped = true},
        {"fixed, striped, 8 processes", QUIPU_ALGORITHM_FIXED, EXACT_CALLER, .workers = 8, .n_max = 1, .refunds = true, .striped = true},
        {"fixed, striped, 16 processes", QUIPU_ALGORITHM_FIXED, EXACT_AT, .workers = 16, .n_max = 1, .kills = true, .striped = true},
        {"fixed, striped, several units", QUIPU_ALGORITHM_FIXED, EXACT_CALLER, .workers = 8, .n_max = 3, .refunds = true, .striped = true},
        {"sliding, striped, 2 processes", QUIPU_ALGORITHM_SLIDING, EXACT_AT, .workers = 2, .n_max = 1, .kills = true, .striped = true},
        {"sliding, striped, 16 processes", QUIPU_ALGORITHM_SLIDING, EXACT_AT, .workers = 16, .n_max = 1, .kills = true, .striped = true},
        {"sliding, striped, a clock that leaps", QUIPU_ALGORITHM_SLIDING, EXACT_CALLER, .workers = 8, .n_max = 1, .leaps = true, .striped = true},
        {"fixed, striped, a clock that leaps", QUIPU_ALGORITHM_FIXED, EXACT_CALLER, .workers = 8, .n_max = 1, .leaps = true, .refunds = true, .striped = true},
        {"bucket, callers' times", QUIPU_ALGORITHM_BUCKET, EXACT_AT, .workers = 8, .n_max = 1},
        {"bucket, with kills", QUIPU_ALGORITHM_BUCKET, EXACT_AT, .workers = 8, .n_max = 1, .kills = true},
    };
    uint64_t scale = qp_test_scale(), windows = 5 * scale < 50 ? 5 * scale : 50;
    uint64_t window_ms = scale * 100 < 1000 ? scale * 100 : 1000;
    ground = scale_shared(sizeof *ground);
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        if (argc > 1 && !strstr(stages[i].name, argv[1]))
            continue;
        /* 10,000 of 100,000 in a second */
        terms = (struct exact_terms){window_ms * 10, window_ms, window_ms * 100};
        if (stages[i].leaps)
            terms = (struct exact_terms){stages[i].striped ? 40 : 2, 100, 1}; /* stripes are for more than a few units */
        for (uint64_t round = 0; round < (stages[i].leaps ? LEAP_ROUNDS * scale : 1); round++)
            run(&stages[i], windows);
        exact_report(ground, &stages[i], &terms);
    }
    return 0;
}
