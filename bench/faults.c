/* SPDX-License-Identifier: MIT */
/* faults.c: stops and kills worker processes at random instants while they add, and looks at the others and
 * at the sum. */
#include "faults.h"

#include "exact.h"

#include <signal.h>

#define WATCH_NS 20000000ull /* how long the others are watched after a stop or a kill */
#define WATCHES_MAX 100
#define PAUSE_NS_MIN 500000ull /* between two faults */
#define PAUSE_NS_SPREAD 2000000ull

struct victim_team {
    struct bench_team *team;
    unsigned workers;
    uint64_t seed;
};

static void pause_at_random(struct victim_team *victims)
{
    victims->seed = victims->seed * 6364136223846793005ull + 1442695040888963407ull;
    bench_sleep_ns(PAUSE_NS_MIN + (victims->seed >> 33) % PAUSE_NS_SPREAD);
}

static uint64_t acked_by_others(const struct victim_team *victims, unsigned victim)
{
    uint64_t acked = 0;
    for (unsigned i = 0; i < victims->workers; i++)
        acked += i == victim ? 0 : bench_team_acked(victims->team, i);
    return acked;
}

static int others_sleep(const struct victim_team *victims, unsigned victim)
{
    for (unsigned i = 0; i < victims->workers; i++) {
        if (i != victim && !bench_team_sleeps(victims->team, i))
            return 0;
    }
    return 1;
}

/* Sends the signal and watches. Whether the others stood still: nothing was added but what was under way, and they
 * wait for something, and still do when looked at again: on a busy machine the kernel itself makes them wait for a moment. While
 * they only wait for a CPU nothing is known, so they are watched on. Who is at it for so long that WATCHES_MAX runs out turns
 * in circles, and stands still too. */
static int others_stand_still(struct victim_team *victims, unsigned victim, int signal_number)
{
    bench_team_signal(victims->team, victim, signal_number);
    uint64_t before = acked_by_others(victims, victim);
    int slept = 0;
    for (unsigned watches = 0; watches < WATCHES_MAX; watches++) {
        bench_sleep_ns(WATCH_NS);
        int sleep = others_sleep(victims, victim); /* looked at first: who sleeps now added nothing after */
        if (acked_by_others(victims, victim) - before >= victims->workers)
            return 0;
        if (sleep && slept)
            return 1;
        slept = sleep;
    }
    return 1;
}

static int inflict(struct victim_team *victims, struct bench_fault *fault, unsigned times)
{
    for (unsigned i = 0; i < times && !bench_interrupted; i++) {
        unsigned victim = i % victims->workers;
        pause_at_random(victims);
        fault->stops++;
        fault->stops_still += (unsigned)others_stand_still(victims, victim, SIGSTOP);
        bench_team_signal(victims->team, victim, SIGCONT);
        pause_at_random(victims);
        fault->kills++;
        fault->kills_still += (unsigned)others_stand_still(victims, victim, SIGKILL);
        if (bench_team_replace(victims->team, victim))
            return -1;
    }
    return bench_interrupted ? bench_error("interrupted") : 0;
}

/* sum(counters) == what they must add up to, with at most one operation more for each kill. */
static int settle(const struct bench_job *job, struct victim_team *victims, void *state, uint64_t ops_before,
                  struct bench_fault *fault)
{
    int64_t sum = 0;
    uint64_t ops = ops_before;
    if (fault->contender->sum(state, &sum))
        return -1;
    for (unsigned i = 0; i < victims->workers; i++)
        ops += bench_team_acked(victims->team, i);
    int64_t expected = bench_expected_sum(job, ops);
    fault->lost = sum < expected ? expected - sum : 0;
    fault->extra = sum > expected ? sum - expected : 0;
    return 0;
}

int bench_fault_inflict(const struct bench_job *job, void *state, uint64_t ops_before, unsigned times,
                        struct bench_fault *fault)
{
    struct bench_slice slice;
    struct bench_job acked = *job;
    struct victim_team victims = {.workers = job->workers_max > 1 ? job->workers_max : 2, .seed = 1};
    if (!fault->contender->sum || fault->contender->answers_late)
        return 0;
    acked.acks_each = 1;
    fault->units_per_kill = bench_units_of(job->op);
    int failed = bench_team_start(&acked, fault->contender, state, victims.workers, &victims.team) ||
                 bench_team_begin(victims.team) || inflict(&victims, fault, times) ||
                 bench_team_end(victims.team, &slice) || settle(job, &victims, state, ops_before, fault);
    fault->finished = !failed;
    bench_team_stop(victims.team);
    return bench_interrupted ? -1 : 0;
}

static int fault_one(const struct bench_job *job, unsigned times, struct bench_fault *fault)
{
    void *state = NULL;
    if (fault->contender->setup(job, &state))
        return -1;
    int failed = bench_fault_inflict(job, state, 0, times, fault);
    fault->contender->teardown(state);
    return failed;
}

int bench_faults_run(const struct bench_row *row, const struct bench_settings *settings, unsigned times,
                     struct bench_fault *out)
{
    struct bench_keys keys;
    size_t key_count = settings->smoke ? row->key_count_smoke : row->key_count;
    if (bench_keys_make(&keys, key_count, row->draw))
        return -1;
    struct bench_job job = {
        .op = row->op, .workers_max = bench_workers_max(settings), .dir = settings->dir, .keys = &keys};
    int failed = 0;
    for (size_t i = 0; row->contenders[i] && !failed; i++) {
        out[i] = (struct bench_fault){.contender = row->contenders[i]};
        failed = fault_one(&job, times, &out[i]);
    }
    bench_keys_free(&keys);
    return failed;
}

int bench_fault_is_exact(const struct bench_fault *fault)
{
    return fault->finished && fault->lost == 0 && fault->extra <= (int64_t)fault->kills * fault->units_per_kill;
}
