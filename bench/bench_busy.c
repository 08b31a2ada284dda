/* SPDX-License-Identifier: MIT */
/* bench_busy.c: how long single takes last while other things go on in the segment. Worker 0 takes, and every one of its
 * calls is timed. Worker 1, on another CPU, does the chores: it makes new keys that expire soon after, collects them, makes
 * others that stay, so that the segment grows, and has `quipu top` looking on. Or, at rest, it does nothing in the segment
 * and uses up as much of its CPU as the chores did in the slice before. */
#include "bench_loop.h"
#include "bench_quipu.h"
#include "latency.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#define TICK_NS 1000000ull
#define BRIEF_PREFIX "brief:"
#define BRIEF_WINDOW_MS 100 /* such a key goes two windows after its last use */
#define BRIEF_TICKS 2
#define BRIEF_AT_ONCE 3 /* 1,500 a second: those of the end of a slice go in the next one, so 1,000 do */
#define SPARE_KEYS 8192
#define LASTING_PREFIX "lasting:"
#define LASTING_PER_TICK 10 /* keys: 10,000 a second */
#define LASTING_MAX (4u << 20)
#define UPKEEP_TICKS 10
#define UPKEEP_BUDGET_US 1000
#define SCREEN_TICKS 20
#define TOP_INTERVAL_MS "100"

/* What the company of the busy contender did; the one at rest reads it. */
struct busy_page {
    uint64_t cpu_ns, elapsed_ns;             /* of the last slice, top included */
    uint64_t all_cpu_ns, all_elapsed_ns;     /* of all slices */
    uint64_t expired, made, refused, growths, screen_bytes;
};

/* One for all contenders of this program, for as long as it runs. */
static struct busy_page *page;

struct busy {
    struct bench_quipu *store;
    struct bench_histogram *histogram; /* worker 0's */
    uint64_t next_brief, next_lasting;
    pid_t top;
    clockid_t top_clock;
    int screen; /* the other end of top's terminal */
};

/* ---- the segment ------------------------------------------------------------------------------------------------- */

static int brief_strategy_put(struct bench_quipu *store)
{
    struct quipu_strategy strategy = {.struct_bytes = sizeof(strategy),
                                      .kind = QUIPU_KIND_LIMIT,
                                      .window_ms = BRIEF_WINDOW_MS,
                                      .limit = store->job.limit.units,
                                      .scope = QUIPU_SCOPE_HOST, /* else it stays until other hosts could have heard of it */
                                      .overflow = QUIPU_OVERFLOW_EVICT};
    int code = quipu_strategy_put(store->q, BRIEF_PREFIX, sizeof(BRIEF_PREFIX) - 1, &strategy);
    return code ? bench_quipu_failed("quipu_strategy_put", code) : 0;
}

static void busy_teardown(void *state)
{
    struct busy *busy = state;
    if (busy->store)
        bench_quipu_teardown(busy->store);
    free(busy->histogram);
    free(busy);
}

static int busy_setup(const struct bench_job *job, const char *label, struct busy **out)
{
    struct busy *busy = calloc(1, sizeof(*busy));
    page = page ? page : bench_shared_alloc(sizeof(*page));
    if (!busy || !page) {
        free(busy);
        return bench_error("no memory for %s", label);
    }
    busy->histogram = calloc(1, sizeof(*busy->histogram));
    if (!busy->histogram || bench_quipu_setup(job, label, SPARE_KEYS, LASTING_MAX, &busy->store) ||
        brief_strategy_put(busy->store)) {
        busy_teardown(busy);
        return bench_error("%s could not be made", label);
    }
    *out = busy;
    return 0;
}

static int chores_setup(const struct bench_job *job, void **state)
{
    return busy_setup(job, "busy", (struct busy **)state);
}

static int rest_setup(const struct bench_job *job, void **state)
{
    return busy_setup(job, "rest", (struct busy **)state);
}

static int rest_attach(void *state, unsigned worker)
{
    return bench_quipu_attach(((struct busy *)state)->store, worker);
}

static int busy_sum(void *state, int64_t *out)
{
    return bench_quipu_sum(((struct busy *)state)->store, out);
}

/* ---- top --------------------------------------------------------------------------------------------------------- */

static void top_become(const char *segment)
{
    char program[512];
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) || bench_program_find("quipu", program, sizeof(program)))
        _exit(127);
    setenv("TERM", "xterm", 1);
    execl(program, "quipu", "-s", segment, "top", "--interval", TOP_INTERVAL_MS, (char *)NULL);
    _exit(127);
}

/* In a terminal of its own, which is read and thrown away; stopped between slices. */
static int top_start(struct busy *busy)
{
    struct winsize size = {.ws_row = 50, .ws_col = 120};
    busy->top = forkpty(&busy->screen, NULL, NULL, &size);
    if (busy->top == 0)
        top_become(busy->store->path);
    if (busy->top < 0 || clock_getcpuclockid(busy->top, &busy->top_clock))
        return bench_error("quipu top could not be started: %s", strerror(errno));
    struct pollfd drawn = {.fd = busy->screen, .events = POLLIN};
    if (poll(&drawn, 1, 10000) != 1 || fcntl(busy->screen, F_SETFL, O_NONBLOCK))
        return bench_error("quipu top shows nothing");
    kill(busy->top, SIGSTOP);
    return 0;
}

static int chores_attach(void *state, unsigned worker)
{
    return rest_attach(state, worker) || (worker == 1 && top_start(state)) ? -1 : 0;
}

static uint64_t cpu_ns(clockid_t clock)
{
    struct timespec used = {0};
    clock_gettime(clock, &used);
    return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

/* ---- chores ------------------------------------------------------------------------------------------------------ */

static int make_keys(struct busy *busy, const char *prefix, uint64_t *number, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char key[32];
        int bytes = snprintf(key, sizeof(key), "%s%llx", prefix, (unsigned long long)(*number)++);
        int code = quipu_take(busy->store->q, key, (size_t)bytes, 1, NULL);
        if (code < 0 && code != -QUIPU_EFULL)
            return bench_quipu_failed("quipu_take of a new key", code);
        page->refused += code < 0;
    }
    return 0;
}

static int make_brief_keys(struct busy *busy)
{
    page->made += BRIEF_AT_ONCE;
    return make_keys(busy, BRIEF_PREFIX, &busy->next_brief, BRIEF_AT_ONCE);
}

static int make_lasting_keys(struct busy *busy)
{
    return make_keys(busy, LASTING_PREFIX, &busy->next_lasting, LASTING_PER_TICK);
}

static int keep_up(struct busy *busy)
{
    int code = quipu_upkeep(busy->store->q, UPKEEP_BUDGET_US);
    return code < 0 ? bench_quipu_failed("quipu_upkeep", code) : 0;
}

static int read_screen(struct busy *busy)
{
    char drawn[4096];
    ssize_t bytes;
    while ((bytes = read(busy->screen, drawn, sizeof(drawn))) > 0)
        page->screen_bytes += (uint64_t)bytes;
    return 0;
}

/* What goes on beside the takes, and how often. */
static const struct chore {
    unsigned every_ticks;
    int (*run)(struct busy *busy);
} chores[] = {
    {BRIEF_TICKS, make_brief_keys},
    {1, make_lasting_keys},
    {UPKEEP_TICKS, keep_up},
    {SCREEN_TICKS, read_screen},
};

static int run_chores(struct busy *busy, uint64_t tick)
{
    for (size_t i = 0; i < sizeof(chores) / sizeof(chores[0]); i++) {
        if (tick % chores[i].every_ticks == 0 && chores[i].run(busy))
            return -1;
    }
    return 0;
}

static void sleep_until_ns(uint64_t then_ns)
{
    uint64_t now_ns = bench_monotonic_ns();
    if (then_ns > now_ns)
        bench_sleep_ns(then_ns - now_ns);
}

static int keep_busy(struct busy *busy, struct bench_worker *worker)
{
    struct quipu_stat before, after;
    uint64_t begun_ns = bench_monotonic_ns();
    uint64_t used_ns = cpu_ns(CLOCK_PROCESS_CPUTIME_ID) + cpu_ns(busy->top_clock);
    int failed = quipu_stat(busy->store->q, &before);
    kill(busy->top, SIGCONT);
    for (uint64_t tick = 0; !failed && (tick == 0 || !bench_stopped(worker)); tick++) { /* once, however late it begins */
        failed = run_chores(busy, tick);
        sleep_until_ns(begun_ns + (tick + 1) * TICK_NS);
    }
    kill(busy->top, SIGSTOP);
    if (failed || quipu_stat(busy->store->q, &after))
        return -1;
    page->elapsed_ns = bench_monotonic_ns() - begun_ns;
    page->cpu_ns = cpu_ns(CLOCK_PROCESS_CPUTIME_ID) + cpu_ns(busy->top_clock) - used_ns;
    page->all_elapsed_ns += page->elapsed_ns;
    page->all_cpu_ns += page->cpu_ns;
    page->expired += after.expired - before.expired;
    page->growths += after.growths - before.growths;
    if (waitpid(busy->top, NULL, WNOHANG) != 0)
        return bench_error("quipu top ended");
    return page->made && page->screen_bytes ? 0 : bench_error("no key was made, or quipu top drew nothing");
}

/* Ticks as the chores do, and in each tick computes until it has had its share of the CPU. */
static int keep_computing(struct bench_worker *worker)
{
    double share = page->elapsed_ns ? (double)page->cpu_ns / (double)page->elapsed_ns : 0;
    uint64_t begun_ns = bench_monotonic_ns();
    uint64_t begun_cpu_ns = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
    for (uint64_t tick = 1; !bench_stopped(worker); tick++) {
        uint64_t due_ns = (uint64_t)((double)(tick * TICK_NS) * share);
        while (cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - begun_cpu_ns < due_ns && !bench_stopped(worker))
            ;
        sleep_until_ns(begun_ns + tick * TICK_NS);
    }
    return 0;
}

/* ---- takes ------------------------------------------------------------------------------------------------------- */

static inline int timed_take(void *context, const struct bench_key *key, uint64_t *seen)
{
    struct busy *busy = context;
    int failed = bench_quipu_take(busy->store, key, seen);
    uint64_t now = bench_ticks();
    bench_histogram_add(busy->histogram, now - busy->histogram->last);
    busy->histogram->last = now;
    return failed;
}

static int run_takes(struct busy *busy, struct bench_worker *worker)
{
    *busy->histogram = (struct bench_histogram){.count = 0};
    uint64_t begun_ns = bench_monotonic_ns();
    uint64_t begun_ticks = busy->histogram->last = bench_ticks();
    int failed = bench_loop(worker, timed_take, busy);
    uint64_t ticks = bench_ticks() - begun_ticks;
    double ns_per_tick = (double)(bench_monotonic_ns() - begun_ns) / (double)ticks;
    worker->latency = bench_histogram_latency(busy->histogram, ns_per_tick);
    return failed;
}

static int chores_run(void *state, struct bench_worker *worker)
{
    if (worker->index == 0)
        return run_takes(state, worker);
    worker->is_company = 1;
    return keep_busy(state, worker);
}

static int rest_run(void *state, struct bench_worker *worker)
{
    if (worker->index == 0)
        return run_takes(state, worker);
    worker->is_company = 1;
    return keep_computing(worker);
}

static void chores_note(void *state, char *out, size_t out_bytes)
{
    (void)state;
    double seconds = (double)(page->all_elapsed_ns + !page->all_elapsed_ns) / 1e9;
    snprintf(out, out_bytes, "each s: %.0f keys made, %.0f expired, grown %.1f times (%llu refused), %.1f kB drawn by top; %.1f %% of a CPU; %s: %.1f ns",
             (double)page->made / seconds, (double)page->expired / seconds, (double)page->growths / seconds,
             (unsigned long long)page->refused, (double)page->screen_bytes / seconds / 1e3,
             100 * (double)page->all_cpu_ns / (double)(page->all_elapsed_ns + !page->all_elapsed_ns), BENCH_CLOCK_NAME,
             bench_ticks_cost_ns());
}

const struct bench_contender bench_busy_chores = {
    .name = "busy",
    .what = "ours: 1,000 keys a second expire, the segment grows, and `quipu top` looks 10 times a second, on another CPU",
    .program = "quipu",
    .terminal = 1,
    .setup = chores_setup,
    .attach = chores_attach,
    .run = chores_run,
    .sum = busy_sum,
    .note = chores_note,
    .teardown = busy_teardown,
};

const struct bench_contender bench_busy_rest = {
    .name = "at_rest",
    .what = "the same takes, and a process that computes takes as much of that CPU",
    .program = "quipu",
    .terminal = 1,
    .setup = rest_setup,
    .attach = rest_attach,
    .run = rest_run,
    .sum = busy_sum,
    .teardown = busy_teardown,
};
