/* SPDX-License-Identifier: MIT */
/* storm.c: the kill storm. Workers count, set, reset, delete, insert and clean up on one small segment; the parent kills one after the
 * other with SIGKILL, at random instants and in the middle of bursts, some of them after a stop, and puts a new one in its
 * place. What must hold:
 *
 *     every add that returned is counted once; one that was cut short, once or not at all     (audit.c, shared.c)
 *     what nobody else touches is what it was before the call that was cut short, or what it was to be after   (private.c)
 *     nobody waits for the dead or the stopped: the others go on                     (the watchdog, and each stop)
 *     the segment is sound beside the living, and whole after the dead were cleaned up after            (audit.c)
 *     a segment that can grow does so under the kills, and refuses nothing             (fresh.c, demand_growth)
 *
 *     storm [--seed N] [--kills N]        default: 6,000 kills times $QUIPU_TEST_SCALE, another seed each time
 *
 * A seed repeats the choices that are made, not the instants at which the kernel lets anyone run. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "report.h"
#include "tests/support.h"
#include "worker.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KILLS_DEFAULT 2000 /* workers are born slowly */
#else
#define KILLS_DEFAULT 6000
#endif
#define KILLS_STORM_MIN 500
#define ADDS_PER_KILL_MIN 50 /* 20,000 kills: 1,000,000 acknowledged adds */
#define KILLS_PER_AUDIT 250
#define KILLS_PER_CHECK 50
#define KILLS_PER_ROUND 6000 /* over all stages: in each round the segments that grow begin small again */
#define GROWTHS_MIN 4
#define STRETCH_SECONDS_MAX 15 /* the limits' fixed windows must stay near the clock */

/* Half of the kills are on a segment whose writers use membarrier, half on one whose readers fence for themselves. In a tight one
 * everything is reused at once, and room often runs out; in a roomy one more inserts and resets go through; one that begins small grows,
 * and is far from full in the end. */
#define GROWS_TO 100000
static const struct stage {
    bool fence;
    uint32_t counters;
    uint32_t counters_max; /* 0: it does not grow */
} stages[] = {{false, 700, 0}, {true, 2500, 0}, {false, 64, GROWS_TO}, {true, 700, 0}, {false, 2500, 0}, {true, 64, GROWS_TO}};
_Static_assert(STORM_FRESH_KEYS * STORM_HANDS < GROWS_TO / 2, "it is never full");
#define STAGES (sizeof stages / sizeof *stages)

struct storm {
    struct quipu *q;
    int fd; /* the segment's file, which has no name any more: whatever happens, nothing stays behind */
    uint64_t random;
    bool dying[STORM_WORKERS]; /* killed, and not seen dead yet */
    uint64_t bursts_at_birth[STORM_WORKERS];
    uint64_t kills_planned;
    struct storm_summary summary;
};

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t pick(struct storm *storm, uint64_t below)
{
    return storm_random(&storm->random) % below;
}

/* Lets the workers run until some random instant. The parent sleeps, so that the kernel wakes it soon when its time has come, also on
 * a busy machine; then it spins, for instants that are finer than timers. Nothing depends on how long it takes. */
static void await_instant(struct storm *storm, uint64_t sleep_ns_max, uint64_t spin_ns_max)
{
    struct timespec pause = {.tv_nsec = (long)pick(storm, sleep_ns_max + 1)};
    uint64_t spin_ns = pick(storm, spin_ns_max + 1);
    if (sleep_ns_max)
        nanosleep(&pause, NULL);
    uint64_t end_ns = clock_ns() + spin_ns;
    while (clock_ns() < end_ns) {
    }
}

/* ---- workers -------------------------------------------------------------------------------------------------------- */

static void spawn(struct storm *storm, uint32_t worker)
{
    uint64_t seed = storm_random(&storm->random);
    storm->bursts_at_birth[worker] = storm_read(&storm_books->hand[worker * STORM_HANDS_PER_WORKER].bursts);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != storm_books->parent)
            _exit(0);
        storm_worker(worker, seed, storm->q, storm->fd);
    }
    if (pid < 0)
        storm_fail("fork: %s", strerror(errno));
    storm_books->worker[worker] = pid;
    storm->dying[worker] = false;
}

static void spawn_all(struct storm *storm)
{
    for (uint32_t worker = 0; worker < STORM_WORKERS; worker++)
        spawn(storm, worker);
}

/* A worker has ended. Returns whether a SIGKILL of ours did it; anything but that and a good exit is a finding. */
static bool bury(struct storm *storm, uint32_t worker, int status)
{
    if (storm_read(&storm_books->failing))
        storm_give_up();
    storm_books->worker[worker] = 0;
    bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    if (!killed && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
        storm_fail("worker %u ended by itself with wait status %#x", worker, (unsigned)status);
    bool inside = storm_account_for(worker);
    storm_books->kills = storm->summary.kills += killed;
    storm->summary.inside += killed && inside;
    storm->summary.left += !killed;
    return killed;
}

/* Puts new workers in the place of those that have ended. Only one that was asked to die may have been killed. */
static void replace_ended(struct storm *storm)
{
    int status;
    for (uint32_t worker = 0; worker < STORM_WORKERS; worker++) {
        pid_t ended = waitpid(storm_books->worker[worker], &status, WNOHANG);
        if (ended < 0)
            storm_fail("waitpid: %s", strerror(errno));
        if (ended == 0)
            continue;
        if (bury(storm, worker, status) && !storm->dying[worker])
            storm_fail("worker %u was killed by somebody else", worker);
        spawn(storm, worker);
    }
}

/* ---- ways to kill --------------------------------------------------------------------------------------------------- */

static uint64_t bursts_of(uint32_t worker)
{
    return storm_read(&storm_books->hand[worker * STORM_HANDS_PER_WORKER].bursts);
}

/* A worker that has begun to call in bursts. */
static uint32_t await_worker_at_work(struct storm *storm)
{
    for (;;) {
        replace_ended(storm);
        uint32_t first = (uint32_t)pick(storm, STORM_WORKERS);
        for (uint32_t i = 0; i < STORM_WORKERS; i++) {
            uint32_t worker = (first + i) % STORM_WORKERS;
            if (!storm->dying[worker] && bursts_of(worker) != storm->bursts_at_birth[worker])
                return worker;
        }
        await_instant(storm, 100000, 0);
    }
}

/* The instant at which it begins another burst, if that comes soon: then it runs, and its calls follow each other. */
static void await_burst(uint32_t worker)
{
    uint64_t before = bursts_of(worker), end_ns = clock_ns() + 50000;
    while (bursts_of(worker) == before && clock_ns() < end_ns) {
    }
}

static uint64_t adds_of_others(uint32_t worker)
{
    uint64_t sum = 0;
    for (uint32_t hand = 0; hand < STORM_HANDS; hand++)
        if (hand / STORM_HANDS_PER_WORKER != worker)
            sum += storm_read(&storm_books->hand[hand].adds);
    return sum;
}

/* Stops a worker wherever it is, and lets it stand until the others have counted on for a while: nobody may wait for it. */
static void hold(struct storm *storm, uint32_t worker)
{
    siginfo_t info = {0};
    pid_t pid = storm_books->worker[worker];
    kill(pid, SIGSTOP);
    if (waitid(P_PID, (id_t)pid, &info, WSTOPPED | WEXITED | WNOWAIT))
        storm_fail("waitid: %s", strerror(errno));
    if (info.si_code != CLD_STOPPED) /* it had just left */
        return;
    storm->summary.stopped++;
    uint64_t enough = adds_of_others(worker) + 100 + pick(storm, 5000);
    while (adds_of_others(worker) < enough) {
        replace_ended(storm);
        await_instant(storm, 50000, 0);
    }
    if (pick(storm, 2)) { /* let it find out how the world has changed */
        kill(pid, SIGCONT);
        await_instant(storm, 50000, 0);
    }
}

/* Those who are dying do so at their own pace, while others are chosen. */
static void kill_one(struct storm *storm)
{
    uint64_t way = pick(storm, 16);
    await_instant(storm, 400000, 20000);
    replace_ended(storm);
    uint32_t worker = (uint32_t)pick(storm, STORM_WORKERS); /* perhaps in its infancy */
    if (way > 1)
        worker = await_worker_at_work(storm);
    if (storm->dying[worker])
        return;
    if (way == 0)
        hold(storm, worker);
    else if (way > 8) {
        await_burst(worker);
        await_instant(storm, 0, 20000);
    }
    storm->dying[worker] = true;
    kill(storm_books->worker[worker], SIGKILL);
}

static void kill_all(struct storm *storm)
{
    for (uint32_t worker = 0; worker < STORM_WORKERS; worker++)
        kill(storm_books->worker[worker], SIGKILL);
    for (uint32_t worker = 0; worker < STORM_WORKERS; worker++) {
        int status;
        if (waitpid(storm_books->worker[worker], &status, 0) < 0)
            storm_fail("waitpid: %s", strerror(errno));
        bury(storm, worker, status);
    }
}

/* ---- one stage ---------------------------------------------------------------------------------------------------- */

/* With so few slots that newcomers meet the slots and records of the dead. */
static void open_storm(struct storm *storm, const struct stage *stage)
{
    char path[160];
    const char *name = qp_test_name("storm");
    storm->q = qp_test_segment_that_grows(name, stage->counters, stage->counters_max, STORM_HANDS + 4, stage->fence);
    snprintf(path, sizeof path, "/dev/shm/quipu.%s", name);
    storm->fd = open(path, O_RDWR | O_CLOEXEC);
    if (storm->fd < 0 || unlink(path))
        storm_fail("%s: %s", path, strerror(errno));
    storm_books_clear();
    storm_books->grows = stage->counters_max != 0;
    struct quipu_strategy limit = {
        .struct_bytes = sizeof limit, .kind = QUIPU_KIND_LIMIT, .window_ms = STORM_WINDOW_MS};
    qp_test_must(quipu_strategy_put(storm->q, "l/", 2, &limit), "strategy");
    qp_test_must(quipu_strategy_put(storm->q, "m/", 2, &limit), "strategy");
    limit.limit = STORM_LIMIT_UNITS;
    qp_test_must(quipu_strategy_put(storm->q, "t/", 2, &limit), "strategy");
    for (uint32_t algorithm = 0; algorithm < 3; algorithm++) {
        static const char *const prefixes[] = {"h/fixed/", "h/sliding/", "h/bucket/"};
        struct quipu_strategy rolling = {.struct_bytes = sizeof rolling, .kind = QUIPU_KIND_LIMIT, .algorithm = algorithm,
                                         .limit = 40, .window_ms = 100, .scope = QUIPU_SCOPE_HOST, .idle_ms = 500};
        qp_test_must(quipu_strategy_put(storm->q, prefixes[algorithm], strlen(prefixes[algorithm]), &rolling), "strategy");
    }
    struct quipu_strategy in_flight = {.struct_bytes = sizeof in_flight, .kind = QUIPU_KIND_INFLIGHT, .limit = 6};
    qp_test_must(quipu_strategy_put(storm->q, "i/", 2, &in_flight), "strategy");
}

static void check_beside_the_living(struct storm *storm)
{
    char finding[256] = "";
    if (quipu_check(storm->q, finding, sizeof finding))
        storm_fail("check beside living workers: %s", finding);
    storm->summary.findings.checks++;
    storm_progress(&storm->summary, storm->kills_planned);
}

/* From one audit to the next. */
static void run_stretch(struct storm *storm, uint64_t kills_until)
{
    uint64_t last = storm->summary.kills + KILLS_PER_AUDIT;
    uint64_t stop_ns = clock_ns() + UINT64_C(1000000000) * STRETCH_SECONDS_MAX;
    if (last > kills_until)
        last = kills_until;
    storm_stretch_begin(storm->q);
    spawn_all(storm);
    /* The last of a stretch go all at once. */
    while (storm->summary.kills + STORM_WORKERS < last && clock_ns() < stop_ns) {
        kill_one(storm);
        if (storm->summary.kills >= (storm->summary.findings.checks + 1) * KILLS_PER_CHECK)
            check_beside_the_living(storm);
    }
    kill_all(storm);
    storm_audit(storm->q, &storm->summary.findings);
}

/* After the last audit, which leaves nothing undone. Whoever met no room has grown the segment instead of being refused, or of evicting
 * somebody, and all heads of lists are linked that it is to have. */
static void demand_growth(struct storm *storm, uint64_t kills)
{
    struct quipu_stat stat;
    uint64_t full = 0, made = 0;
    qp_test_must(quipu_stat(storm->q, &stat), "stat");
    for (uint32_t hand = 0; hand < STORM_HANDS; hand++) {
        full += storm_books->hand[hand].full;
        made += storm_books->hand[hand].fresh;
    }
    if (full || stat.evicted || stat.growths_refused)
        storm_fail("%" PRIu64 " calls were refused for want of room, %" PRIu64 " keys evicted, in a segment of %" PRIu64
                   " counters that can grow to %" PRIu64, full, stat.evicted, stat.counters, stat.counters_max);
    if (storm->q->view.bucket_mask + UINT64_C(1) != qp_layout_heads((uint32_t)stat.counters))
        storm_fail("%u lists for %" PRIu64 " counters, and nobody links more", storm->q->view.bucket_mask + 1, stat.counters);
    if (kills >= KILLS_PER_AUDIT && stat.growths < GROWTHS_MIN)
        storm_fail("the storm itself: %" PRIu64 " growths, and %" PRIu64 " keys were made for good", stat.growths, made);
}

static void run_stage(struct storm *storm, const struct stage *stage, uint64_t kills)
{
    struct quipu_stat stat;
    uint64_t until = storm->summary.kills + kills;
    open_storm(storm, stage);
    while (storm->summary.kills < until)
        run_stretch(storm, until);
    storm_summary_add(&storm->summary, storm->q);
    if (stage->counters_max)
        demand_growth(storm, kills);
    qp_test_must(quipu_stat(storm->q, &stat), "stat");
    printf("%s, %" PRIu64 " counters after %" PRIu64 " growths: sound; %" PRIu64 " kills so far, %" PRIu64
           " refusals for want of room here, grace epoch %" PRIu64 "\n",
           stat.fence ? "readers fence" : "writers use membarrier", stat.counters, stat.growths, storm->summary.kills,
           stat.full_refusals, stat.grace_epoch);
    fflush(stdout); /* or the next children would inherit it unwritten */
    quipu_close(storm->q);
    close(storm->fd);
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

/* A storm that did not blow proves nothing. A few kills are the replay of one, and nothing is demanded of them. */
static void demand_a_storm(const struct storm_summary *s)
{
    if (s->kills < KILLS_STORM_MIN)
        return;
    if (s->inside * 4 < s->kills || s->recovered_sections * 4 < s->kills)
        storm_fail("the storm itself: less than a quarter of the victims died inside a call");
    if (s->adds < s->kills * ADDS_PER_KILL_MIN)
        storm_fail("the storm itself: only %" PRIu64 " acknowledged adds", s->adds);
    if (s->full == 0)
        storm_fail("the storm itself: the segment was never full");
    for (int op = STORM_OP_ADD; op < STORM_OPS; op++)
        if (s->done[op] == 0)
            storm_fail("the storm itself: operation %d was never done", op);
}

static void parse(int argc, char **argv, uint64_t *seed, uint64_t *kills)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'}, {"kills", required_argument, NULL, 'k'}, {0}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 's')
            *seed = strtoull(optarg, NULL, 10);
        else if (option == 'k')
            *kills = strtoull(optarg, NULL, 10);
        else
            exit(2);
    }
}

int main(int argc, char **argv)
{
    uint64_t start_ns = clock_ns(), seed = start_ns % 1000000000, kills = KILLS_DEFAULT * qp_test_scale();
    parse(argc, argv, &seed, &kills);
    printf("storm: %" PRIu64 " kills, --seed %" PRIu64 "\n", kills, seed);
    fflush(stdout);
    struct storm storm = {.random = seed, .kills_planned = kills};
    storm_books_open(seed);
    storm_watchdog_start();
    uint64_t turns = STAGES * ((kills + KILLS_PER_ROUND - 1) / KILLS_PER_ROUND);
    for (uint64_t i = 0; i < turns; i++)
        run_stage(&storm, &stages[i % STAGES], kills * (i + 1) / turns - kills * i / turns);
    storm_summary_print(&storm.summary, (double)(clock_ns() - start_ns) / 1e9);
    demand_a_storm(&storm.summary);
    return 0;
}
