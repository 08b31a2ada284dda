/* SPDX-License-Identifier: MIT */
/* main.c: quipu-sim: runs seeds, on as many processes as asked for, and says what each failing one needs to be seen
 * again. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim.h"

#define JOBS_MAX 64
#define SEEDS_PER_WORKER 200 /* a destroyed arena of jemalloc's leaves its addresses mapped: after some thousand worlds a process has no mappings left */
#define SEED_SECONDS_MAX 300 /* a world that takes longer by the real clock is stuck */

struct options {
    uint64_t seed, seeds;
    uint32_t agents, seconds, jobs, failures_max;
    bool trace;
    char without[512];
};

struct totals {
    uint64_t done, failed, frames, verbs, heals, heal_ms, heal_ms_max, agent_ms, trace;
    double began;
};

struct worker {
    pid_t pid; /* 0: none */
    int results;
    uint64_t next; /* seed */
};

static volatile uint64_t *at_seed; /* of each worker: which seed it is at; shared, so that a dead one's is known */

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int usage(int status)
{
    fprintf(status ? stderr : stdout,
            "usage: quipu-sim [--seed N] [--seeds COUNT] [--agents N] [--seconds S] [--jobs N] [--failures N] [--without TROUBLE,...] [--trace]\n"
            "  --seed N      the first seed (1)\n"
            "  --seeds N     how many, one after the other (1); $QUIPU_TEST_SCALE times as many\n"
            "  --agents N    hosts of a world (drawn: 3 to 5)\n"
            "  --seconds S   virtual seconds of a world, its end not counted (60)\n"
            "  --jobs N      processes (1)\n"
            "  --failures N  stop after so many (10)\n"
            "  --without A,B take these troubles out of the world; `?` names them\n"
            "  --trace       say what happens\n");
    return status;
}

static bool number(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 0);
    if (errno || end == text || *end || text[0] == '-' || value < least || value > most)
        return false;
    *out = value;
    return true;
}

static bool take_out(struct options *o, const char *names)
{
    size_t at = strlen(o->without);
    return (size_t)snprintf(o->without + at, sizeof o->without - at, "%s%s", at ? "," : "", names) < sizeof o->without - at;
}

static bool parse(int argc, char **argv, struct options *o)
{
    static const struct option names[] = {{"seed", 1, NULL, 's'},    {"seeds", 1, NULL, 'n'}, {"agents", 1, NULL, 'a'}, {"seconds", 1, NULL, 't'},
                                          {"jobs", 1, NULL, 'j'},    {"failures", 1, NULL, 'f'}, {"trace", 0, NULL, 'v'}, {"without", 1, NULL, 'w'}, {"help", 0, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int c;
    bool good = true;
    *o = (struct options){.seed = 1, .seeds = 1, .seconds = 60, .jobs = 1, .failures_max = 10};
    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        uint64_t n = 0;
        if (c == 'h')
            exit(usage(0));
        if (c == 'v')
            o->trace = true;
        else if (c == 'w')
            good = take_out(o, optarg);
        else if (c == 's')
            good = good && number(optarg, 0, UINT64_MAX, &o->seed);
        else if (c == 'n')
            good = good && number(optarg, 1, UINT64_C(1) << 40, &o->seeds);
        else if (c == '?' || !number(optarg, 1, c == 'a' ? SIM_HOSTS - 4 : c == 'j' ? JOBS_MAX : 1000000, &n))
            return false;
        *(c == 'a' ? &o->agents : c == 't' ? &o->seconds : c == 'j' ? &o->jobs : c == 'f' ? &o->failures_max : &(uint32_t){0}) = (uint32_t)n;
    }
    const char *scale = getenv("QUIPU_TEST_SCALE");
    if (scale && o->seeds > 1 && strtoull(scale, NULL, 10) > 1)
        o->seeds *= strtoull(scale, NULL, 10);
    return good && optind == argc && (!o->agents || o->agents >= 2);
}

/* ---- workers ------------------------------------------------------------------------------------------------------------------ */

static void run_seeds(const struct options *o, uint32_t worker, uint64_t first, int results)
{
    uint32_t turns = 0;
    for (uint64_t seed = first; seed - o->seed < o->seeds && turns < SEEDS_PER_WORKER; seed += o->jobs, turns++) {
        struct sim_result result;
        at_seed[worker] = seed;
        alarm(SEED_SECONDS_MAX);
        sim_run(seed, o->agents, o->seconds, o->without, false, &result);
        if (write(results, &result, sizeof result) != sizeof result)
            _exit(1);
    }
    _exit(0);
}

static void start(const struct options *o, struct worker *w, uint32_t number_of_it, uint64_t first)
{
    int ends[2];
    fflush(NULL);
    if (pipe(ends) || (w->pid = fork()) < 0) {
        perror("quipu-sim");
        exit(2);
    }
    if (w->pid == 0) {
        close(ends[0]);
        run_seeds(o, number_of_it, first, ends[1]);
    }
    close(ends[1]);
    w->results = ends[0];
}

static void say_failure(const struct options *o, uint64_t seed, const char *wrong)
{
    char agents[32] = "";
    if (o->agents)
        snprintf(agents, sizeof agents, " --agents %u", o->agents);
    printf("%sseed %" PRIu64 " FAILED: %s\n  again: quipu-sim --seed %" PRIu64 "%s --seconds %u --trace\n", isatty(1) ? "\r\033[K" : "", seed, wrong,
           seed, agents, o->seconds);
    fflush(stdout);
}

static void note(const struct options *o, struct totals *t, const struct sim_result *r)
{
    t->done++;
    t->frames += r->frames;
    t->verbs += r->verbs;
    t->heals += r->heals;
    t->heal_ms += r->heal_ms;
    t->agent_ms += r->agent_ms;
    t->heal_ms_max = r->heal_ms_max > t->heal_ms_max ? r->heal_ms_max : t->heal_ms_max;
    t->trace += sim_mix(r->trace ^ sim_mix(r->seed)); /* of all seeds, in whatever order they end */
    t->failed += r->failed;
    if (r->failed)
        say_failure(o, r->seed, r->wrong);
    if (isatty(1)) {
        printf("\r%" PRIu64 " of %" PRIu64 " seeds, %" PRIu64 " failed ", t->done, o->seeds, t->failed);
        fflush(stdout);
    }
}

/* Another worker goes on behind one that has done its share, or has failed at its seed: by a signal. */
static void reap(const struct options *o, struct totals *t, struct worker *w, uint32_t index)
{
    int status = 0;
    close(w->results);
    waitpid(w->pid, &status, 0);
    w->pid = 0;
    struct sim_result result = {.seed = at_seed[index], .failed = true};
    bool is_done = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (WIFSIGNALED(status))
        snprintf(result.wrong, sizeof result.wrong, "the simulator was ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(result.wrong, sizeof result.wrong, "the simulator ended with status %d", WEXITSTATUS(status));
    if (!is_done)
        note(o, t, &result);
    if (at_seed[index] + o->jobs - o->seed < o->seeds)
        start(o, w, index, at_seed[index] + o->jobs);
}

static void collect(const struct options *o, struct totals *t, struct worker *workers)
{
    while (t->failed < o->failures_max) {
        struct pollfd ready[JOBS_MAX];
        uint32_t index[JOBS_MAX], count = 0;
        for (uint32_t i = 0; i < o->jobs; i++) {
            if (workers[i].pid) {
                index[count] = i;
                ready[count++] = (struct pollfd){.fd = workers[i].results, .events = POLLIN};
            }
        }
        if (count == 0 || (poll(ready, count, -1) < 0 && errno != EINTR))
            break;
        for (uint32_t i = 0; i < count && t->failed < o->failures_max; i++) {
            struct sim_result result;
            if (!ready[i].revents)
                continue;
            if (read(ready[i].fd, &result, sizeof result) == sizeof result)
                note(o, t, &result);
            else
                reap(o, t, &workers[index[i]], index[i]);
        }
    }
    for (uint32_t i = 0; i < o->jobs; i++) {
        if (workers[i].pid) {
            kill(workers[i].pid, SIGKILL);
            waitpid(workers[i].pid, NULL, 0);
        }
    }
}

static void report(const struct totals *t)
{
    struct rusage usage;
    double took = seconds_now() - t->began, agent_seconds = (double)t->agent_ms / 1000;
    getrusage(RUSAGE_CHILDREN, &usage);
    double worked = (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("%s%" PRIu64 " seeds, %" PRIu64 " failed; %" PRIu64 " frames, %" PRIu64 " verbs; %" PRIu64 " heals, mean %.0f ms, longest %" PRIu64 " ms\n",
           isatty(1) ? "\r\033[K" : "", t->done, t->failed, t->frames, t->verbs, t->heals, t->heals ? (double)t->heal_ms / (double)t->heals : 0.0,
           t->heal_ms_max);
    printf("%.0f agent-seconds in %.1f s (%.1f s of processors): %.1f M an hour, %.1f M an hour and processor\n", agent_seconds, took, worked,
           agent_seconds / took * 3600 / 1e6, agent_seconds / worked * 3600 / 1e6);
    printf("trace %016" PRIx64 "\n", t->trace);
}

int main(int argc, char **argv)
{
    struct options o;
    static struct worker workers[JOBS_MAX];
    struct totals totals = {.began = seconds_now()};
    if (!parse(argc, argv, &o))
        return usage(2);
    if (strcmp(o.without, "?") == 0)
        return sim_profile_without(&(struct sim_profile){0}, "?");
    if (o.seeds == 1) {
        struct sim_result result;
        sim_run(o.seed, o.agents, o.seconds, o.without, o.trace, &result);
        printf("seed %" PRIu64 " trace %016" PRIx64 " %s%s\n", o.seed, result.trace, result.failed ? "FAILED: " : "passed", result.wrong);
        return result.failed;
    }
    at_seed = mmap(NULL, JOBS_MAX * sizeof *at_seed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at_seed == MAP_FAILED)
        return 2;
    for (uint32_t i = 0; i < o.jobs && i < o.seeds; i++)
        start(&o, &workers[i], i, o.seed + i);
    collect(&o, &totals, workers);
    report(&totals);
    return totals.failed != 0;
}
