/* SPDX-License-Identifier: MIT */
/* bench.c: worker processes: forked, pinned, started together, timed and counted. */
#include "bench.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ATTACH_PATIENCE_NS (20ull * 1000000000)
#define FINISH_PATIENCE_NS (20ull * 1000000000)

/* What one worker counted; its own lines, written once at the end of a slice. */
struct tally {
    _Alignas(BENCH_SHARED_ALIGN) uint64_t ops;
    uint64_t refused;
    uint64_t seen;
    uint64_t elapsed_ns;
    uint64_t cpu_ns;
    struct bench_latency latency;
    _Atomic uint64_t acked; /* only where the job asks for it; since the team was started */
};

/* One page range shared by a team and its parent. Slices are numbered from 1; workers go to sleep on go. */
struct team_page {
    _Alignas(BENCH_SHARED_ALIGN) _Atomic uint32_t go; /* the slice that workers shall get ready for */
    _Atomic uint32_t arrived;                         /* workers attached, ready or done, in turn */
    _Atomic uint32_t failed;
    _Alignas(BENCH_SHARED_ALIGN) _Atomic uint32_t start; /* the slice that runs */
    _Alignas(BENCH_SHARED_ALIGN) _Atomic int stop;
    struct tally tallies[];
};

struct bench_team {
    const struct bench_job *job;
    const struct bench_contender *contender;
    void *state;
    struct team_page *page;
    size_t page_bytes;
    unsigned workers;
    uint32_t slice;
    pid_t pids[BENCH_WORKERS_MAX];
};

int bench_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("quipu-bench: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return -1;
}

void *bench_shared_alloc(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void bench_shared_free(void *memory, size_t bytes)
{
    if (memory)
        munmap(memory, bytes);
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t bench_monotonic_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

void bench_sleep_ns(uint64_t ns)
{
    struct timespec pause = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, &pause) == EINTR)
        ;
}

static long futex(_Atomic uint32_t *word, int operation, uint32_t value, const struct timespec *timeout)
{
    return syscall(SYS_futex, word, operation, value, timeout, NULL, 0);
}

/* ---- in the worker ------------------------------------------------------------------------------ */

static void pin_to_cpu(unsigned worker)
{
    cpu_set_t allowed, one;
    if (sched_getaffinity(0, sizeof(allowed), &allowed))
        return;
    unsigned nth = worker % (unsigned)CPU_COUNT(&allowed);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || nth-- > 0)
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        sched_setaffinity(0, sizeof(one), &one);
        return;
    }
}

static void arrive(struct team_page *page)
{
    /* Release: the tally is written before the parent counts this worker. Pairs with the acquire in
     * wait_for_all. */
    atomic_fetch_add_explicit(&page->arrived, 1, memory_order_release);
    futex(&page->arrived, FUTEX_WAKE, 1, NULL);
}

static void wait_for_slice(struct team_page *page, uint32_t slice)
{
    uint32_t seen;
    while ((seen = atomic_load(&page->go)) != slice)
        futex(&page->go, FUTEX_WAIT, seen, NULL);
    arrive(page);
    /* All are awake now or will be in a moment: the start itself must not depend on the scheduler. With more
     * workers than CPUs those that are awake must let the others come. */
    for (unsigned turns = 0; atomic_load_explicit(&page->start, memory_order_acquire) != slice; turns++) {
        if (turns % 1024 == 1023)
            sched_yield();
    }
}

static int worker_slice(struct bench_team *team, struct bench_worker *worker)
{
    struct tally *tally = &team->page->tallies[worker->index];
    uint64_t cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t elapsed_ns = clock_ns(CLOCK_MONOTONIC);
    worker->refused = 0;
    worker->is_company = 0;
    int failed = team->contender->run(team->state, worker);
    tally->elapsed_ns = clock_ns(CLOCK_MONOTONIC) - elapsed_ns;
    tally->cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns;
    if (worker->is_company)
        tally->elapsed_ns = tally->cpu_ns = worker->ops = worker->seen = 0;
    tally->ops = worker->ops;
    tally->refused = worker->refused;
    tally->seen = worker->seen;
    tally->latency = worker->latency;
    return failed;
}

/* first_slice: the first one to take part in; it may be under way. */
static void worker_main(struct bench_team *team, unsigned index, uint32_t first_slice)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_IGN); /* the parent hears it too, and stops its workers when it has tidied up */
    pin_to_cpu(index);
    const struct bench_keys *keys = team->job->keys;
    struct bench_worker worker = {.job = team->job,
                                  .index = index,
                                  .draw_at = keys->draw_count / team->workers * index,
                                  .stop = &team->page->stop,
                                  .acked = team->job->acks_each ? &team->page->tallies[index].acked : NULL};
    int failed = team->contender->attach && team->contender->attach(team->state, index);
    if (failed)
        atomic_fetch_add(&team->page->failed, 1);
    arrive(team->page);
    for (uint32_t slice = first_slice; !failed; slice++) {
        wait_for_slice(team->page, slice);
        failed = worker_slice(team, &worker);
        if (failed)
            atomic_fetch_add(&team->page->failed, 1);
        arrive(team->page);
    }
    _exit(1);
}

/* ---- in the parent ------------------------------------------------------------------------------ */

/* A worker that died would never arrive. */
static int any_worker_gone(struct bench_team *team)
{
    for (unsigned i = 0; i < team->workers; i++) {
        if (team->pids[i] > 0 && waitpid(team->pids[i], NULL, WNOHANG) == team->pids[i]) {
            team->pids[i] = 0;
            return 1;
        }
    }
    return 0;
}

static int wait_for(struct bench_team *team, uint32_t arrivals, const char *what, uint64_t patience_ns)
{
    struct team_page *page = team->page;
    const char *name = team->contender->name;
    uint64_t deadline_ns = clock_ns(CLOCK_MONOTONIC) + patience_ns;
    uint32_t arrived;
    while ((arrived = atomic_load_explicit(&page->arrived, memory_order_acquire)) != arrivals) {
        struct timespec look_around = {.tv_nsec = 100000000};
        if (futex(&page->arrived, FUTEX_WAIT, arrived, &look_around) == 0 || errno != ETIMEDOUT)
            continue;
        if (atomic_load(&page->failed) || any_worker_gone(team))
            return bench_error("%s: a worker failed while it should %s", name, what);
        if (clock_ns(CLOCK_MONOTONIC) > deadline_ns)
            return bench_error("%s: a worker did not %s in time", name, what);
    }
    if (atomic_load(&page->failed))
        return bench_error("%s: a worker could not %s", name, what);
    atomic_store(&page->arrived, 0);
    return 0;
}

static int fork_worker(struct bench_team *team, unsigned index, uint32_t first_slice)
{
    fflush(NULL);
    team->pids[index] = fork();
    if (team->pids[index] == 0)
        worker_main(team, index, first_slice);
    return team->pids[index] < 0 ? bench_error("fork: %s", strerror(errno)) : 0;
}

int bench_team_start(const struct bench_job *job, const struct bench_contender *contender, void *state,
                     unsigned workers, struct bench_team **out)
{
    struct bench_team *team = calloc(1, sizeof(*team));
    if (!team)
        return bench_error("no memory for a team");
    *team = (struct bench_team){.job = job, .contender = contender, .state = state, .workers = workers};
    team->page_bytes = sizeof(struct team_page) + workers * sizeof(struct tally);
    team->page = bench_shared_alloc(team->page_bytes);
    if (!team->page) {
        free(team);
        return bench_error("no memory for a team");
    }
    for (unsigned i = 0; i < workers; i++) {
        if (fork_worker(team, i, 1)) {
            bench_team_stop(team);
            return -1;
        }
    }
    if (wait_for(team, team->workers, "attach", ATTACH_PATIENCE_NS)) {
        bench_team_stop(team);
        return -1;
    }
    *out = team;
    return 0;
}

int bench_team_begin(struct bench_team *team)
{
    struct team_page *page = team->page;
    uint32_t slice = ++team->slice;
    atomic_store(&page->stop, 0);
    atomic_store(&page->go, slice);
    futex(&page->go, FUTEX_WAKE, INT_MAX, NULL);
    if (wait_for(team, team->workers, "wake up", ATTACH_PATIENCE_NS))
        return -1;
    atomic_store_explicit(&page->start, slice, memory_order_release);
    return 0;
}

int bench_team_end(struct bench_team *team, struct bench_slice *out)
{
    struct team_page *page = team->page;
    atomic_store(&page->stop, 1);
    if (wait_for(team, team->workers, "finish", FINISH_PATIENCE_NS))
        return -1;
    *out = (struct bench_slice){0};
    for (unsigned i = 0; i < team->workers; i++) {
        out->ops += page->tallies[i].ops;
        out->refused += page->tallies[i].refused;
        out->seen += page->tallies[i].seen;
        out->elapsed_ns += page->tallies[i].elapsed_ns;
        out->cpu_ns += page->tallies[i].cpu_ns;
    }
    out->latency = page->tallies[0].latency;
    return 0;
}

int bench_team_slice(struct bench_team *team, uint64_t slice_ns, struct bench_slice *out)
{
    if (bench_team_begin(team))
        return -1;
    bench_sleep_ns(slice_ns);
    return bench_team_end(team, out);
}

void bench_team_signal(struct bench_team *team, unsigned worker, int signal_number)
{
    kill(team->pids[worker], signal_number);
}

int bench_team_replace(struct bench_team *team, unsigned worker)
{
    waitpid(team->pids[worker], NULL, 0);
    if (fork_worker(team, worker, team->slice))
        return -1;
    return wait_for(team, 2, "take a dead one's place", ATTACH_PATIENCE_NS); /* attached, then ready */
}

int bench_team_sleeps(const struct bench_team *team, unsigned worker)
{
    char path[64], line[512] = "";
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)team->pids[worker]);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    char *name_end = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL; /* PID (NAME) STATE ... */
    fclose(file);
    return name_end && name_end[1] == ' ' && name_end[2] != 'R';
}

uint64_t bench_team_acked(const struct bench_team *team, unsigned worker)
{
    return atomic_load_explicit(&team->page->tallies[worker].acked, memory_order_relaxed);
}

void bench_team_stop(struct bench_team *team)
{
    if (!team)
        return;
    for (unsigned i = 0; i < team->workers; i++) {
        if (team->pids[i] > 0) {
            kill(team->pids[i], SIGKILL);
            waitpid(team->pids[i], NULL, 0);
        }
    }
    bench_shared_free(team->page, team->page_bytes);
    free(team);
}

unsigned bench_cpu_count(void)
{
    cpu_set_t allowed;
    return sched_getaffinity(0, sizeof(allowed), &allowed) ? 1 : (unsigned)CPU_COUNT(&allowed);
}

/* ---- figures ------------------------------------------------------------------------------------ */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct bench_figure bench_figure_of(const double *values, size_t count)
{
    double sorted[BENCH_ROUNDS_MAX];
    memcpy(sorted, values, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), compare_doubles);
    return (struct bench_figure){
        .median = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2, .min = sorted[0], .max = sorted[count - 1]};
}
