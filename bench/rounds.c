/* SPDX-License-Identifier: MIT */
/* rounds.c: measures a row: every contender set up once, then round by round one slice of each in turn, so
 * that whatever disturbs the machine disturbs them all; after each slice, whether the counts are exact; and in the end
 * what is left of them when processes are stopped and killed. */
#include "exact.h"
#include "faults.h"
#include "rows.h"

#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

/* What the hungriest contenders need per key, all of them together. */
#define KEY_BYTES_NEEDED 2048

volatile int bench_interrupted;

/* A contender as it is between setup and teardown. */
struct entrant {
    const struct bench_contender *contender;
    void *state;
    uint64_t ops_total, seen_total; /* since setup */
};

/* One contender with one number of processes. */
struct lane {
    struct entrant *entrant;
    struct bench_team *team;
    uint64_t ops, refused; /* since the team was started, with the next */
    uint64_t elapsed_ns, cpu_ns;
    struct bench_latency latencies[BENCH_ROUNDS_MAX];
};

/* All contenders with one number of processes. */
struct heat {
    struct bench_result result;
    struct lane lanes[BENCH_CONTENDERS_MAX];
};

struct race {
    const struct bench_row *row;
    const struct bench_settings *settings;
    const struct bench_listener *listener;
    struct bench_job job;
    struct bench_keys keys;
    uint64_t loaded_ms; /* unix time */
    size_t count;
    struct entrant entrants[BENCH_CONTENDERS_MAX];
    struct bench_fault faults[BENCH_CONTENDERS_MAX];
    size_t heat_count;
    struct heat *heats;
};

static uint64_t unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- one slice -------------------------------------------------------------------------------------------------- */

/* Limits that were used up when the keys were loaded admit nothing until a window ends. */
static int is_within_limit(const struct race *race, const struct entrant *entrant)
{
    const struct bench_limit *limit = &race->job.limit;
    uint64_t windows = unix_ms() / limit->window_ms - race->loaded_ms / limit->window_ms;
    return entrant->seen_total <= windows * limit->units * race->keys.key_count;
}

/* What the answers said: reads, the counts; requests that must be admitted, that they were, but for new keys that were
 * refused for want of room; requests that must be denied, that no more were admitted than windows began. */
static int answers_are_exact(const struct race *race, const struct entrant *entrant, const struct bench_slice *slice)
{
    switch (race->job.op) {
    case BENCH_OP_ADD:
    case BENCH_OP_ADD_HANDLE:
    case BENCH_OP_ADD_MANY:
        return 1;
    case BENCH_OP_DENIED:
    case BENCH_OP_DENIED_HANDLE:
        return is_within_limit(race, entrant);
    default:
        return slice->seen + slice->refused == slice->ops;
    }
}

static int check_exact(const struct race *race, const struct entrant *entrant, const struct bench_slice *slice,
                       int *exact)
{
    int64_t sum = 0;
    *exact &= answers_are_exact(race, entrant, slice);
    if (!entrant->contender->sum || !bench_is_summed(&race->job))
        return 0;
    if (entrant->contender->sum(entrant->state, &sum))
        return -1;
    *exact &= sum == bench_expected_sum(&race->job, entrant->ops_total);
    return 0;
}

static int race_slice(struct race *race, struct lane *lane, struct bench_measure *measure, unsigned round)
{
    struct bench_slice slice;
    struct entrant *entrant = lane->entrant;
    if (bench_team_slice(lane->team, race->settings->slice_ns, &slice))
        return -1;
    if (slice.ops == 0)
        return bench_error("%s did nothing in a whole slice; give it more --seconds", entrant->contender->name);
    entrant->ops_total += slice.ops;
    entrant->seen_total += slice.seen;
    lane->ops += slice.ops;
    lane->refused += slice.refused;
    lane->elapsed_ns += slice.elapsed_ns;
    lane->cpu_ns += slice.cpu_ns;
    lane->latencies[round] = slice.latency;
    uint64_t done = slice.ops - slice.refused; /* being told that there is no room is no operation */
    measure->round_ns[round] =
        race->row->shows_latency ? slice.latency.p999 : (double)slice.elapsed_ns / (double)(done ? done : 1);
    measure->round_cpu_ns[round] = (double)slice.cpu_ns / (double)(done ? done : 1);
    return check_exact(race, entrant, &slice, &measure->exact);
}

/* ---- figures ---------------------------------------------------------------------------------------------------- */

/* Round by round: what disturbed one disturbed the other. */
static double ratio_of(const double *a, const double *b, unsigned rounds)
{
    double ratios[BENCH_ROUNDS_MAX];
    for (unsigned r = 0; r < rounds; r++)
        ratios[r] = a[r] / b[r];
    return bench_figure_of(ratios, rounds).median;
}

static struct bench_latency latency_of(const struct bench_latency *rounds, unsigned round_count)
{
    double p50[BENCH_ROUNDS_MAX], p999[BENCH_ROUNDS_MAX], worst[BENCH_ROUNDS_MAX];
    for (unsigned r = 0; r < round_count; r++) {
        p50[r] = rounds[r].p50;
        p999[r] = rounds[r].p999;
        worst[r] = rounds[r].worst;
    }
    return (struct bench_latency){.p50 = bench_figure_of(p50, round_count).median,
                                  .p999 = bench_figure_of(p999, round_count).median,
                                  .worst = bench_figure_of(worst, round_count).median};
}

static void summarise(struct heat *heat, size_t place)
{
    struct bench_result *result = &heat->result;
    struct bench_measure *measure = &result->measures[place];
    const struct lane *lane = &heat->lanes[place];
    unsigned counted = result->row->workers ? 1 : result->workers;
    uint64_t done = lane->ops - lane->refused;
    measure->ratio = ratio_of(result->measures[0].round_ns, measure->round_ns, result->rounds);
    measure->aim = bench_row_aim(result->row, measure->contender, result->workers);
    measure->op_ns = bench_figure_of(measure->round_ns, result->rounds);
    measure->mean_ns = (double)lane->elapsed_ns / (double)(done ? done : 1);
    measure->ops_per_s = 1e9 / (result->row->shows_latency ? measure->mean_ns : measure->op_ns.median) * counted;
    measure->refused_share = (double)lane->refused / (double)lane->ops;
    measure->cpu_share = (double)lane->cpu_ns / (double)lane->elapsed_ns;
    measure->latency = latency_of(lane->latencies, result->rounds);
    if (measure->contender->note)
        measure->contender->note(lane->entrant->state, measure->note, sizeof(measure->note));
}

/* Only where both numbers of processes had their slices in the same rounds, and in the same store. */
static void summarise_slowdown(struct race *race)
{
    const struct bench_result *alone = &race->heats[0].result;
    if (!race->settings->is_side_by_side || alone->workers != 1)
        return;
    for (size_t h = 0; h < race->heat_count; h++) {
        struct bench_result *result = &race->heats[h].result;
        for (size_t i = 0; i < race->count; i++)
            result->measures[i].slowdown =
                ratio_of(result->measures[i].round_ns, alone->measures[i].round_ns, result->rounds);
    }
}

/* ---- rounds ----------------------------------------------------------------------------------------------------- */

static int heat_start(struct race *race, struct heat *heat)
{
    for (size_t i = 0; i < race->count; i++) {
        struct lane *lane = &heat->lanes[i];
        const struct entrant *entrant = &race->entrants[i];
        if (bench_team_start(&race->job, entrant->contender, entrant->state, heat->result.workers, &lane->team))
            return -1;
    }
    return 0;
}

static void heat_stop(struct race *race, struct heat *heat)
{
    for (size_t i = 0; i < race->count; i++) {
        bench_team_stop(heat->lanes[i].team);
        heat->lanes[i].team = NULL;
    }
}

static int heat_round(struct race *race, struct heat *heat, unsigned round)
{
    for (size_t i = 0; i < race->count; i++) {
        struct lane *lane = &heat->lanes[i];
        if (bench_interrupted)
            return bench_error("interrupted");
        race->listener->slice(race->listener->arg, race->row, heat->result.workers, lane->entrant->contender->name);
        if (race_slice(race, lane, &heat->result.measures[i], round))
            return -1;
    }
    return 0;
}

/* All these heats in each round. */
static int race_heats(struct race *race, struct heat *heats, size_t count)
{
    int failed = 0;
    for (size_t h = 0; h < count && !failed; h++)
        failed = heat_start(race, &heats[h]);
    for (unsigned round = 0; round < race->settings->rounds && !failed; round++) {
        for (size_t h = 0; h < count && !failed; h++)
            failed = heat_round(race, &heats[h], round);
    }
    for (size_t h = 0; h < count; h++) {
        heat_stop(race, &heats[h]);
        for (size_t i = 0; i < race->count && !failed; i++)
            summarise(&heats[h], i);
    }
    return failed;
}

static int heats_make(struct race *race)
{
    unsigned scales[BENCH_SCALES_MAX];
    race->heat_count = bench_row_scales(race->row, race->settings, scales);
    race->heats = calloc(race->heat_count, sizeof(*race->heats));
    if (!race->heats)
        return bench_error("no memory for a row");
    for (size_t h = 0; h < race->heat_count; h++) {
        struct heat *heat = &race->heats[h];
        heat->result = (struct bench_result){.row = race->row,
                                             .key_count = race->keys.key_count,
                                             .workers = scales[h],
                                             .rounds = race->settings->rounds,
                                             .measure_count = race->count};
        for (size_t i = 0; i < race->count; i++) {
            heat->lanes[i].entrant = &race->entrants[i];
            heat->result.measures[i].contender = race->entrants[i].contender;
            heat->result.measures[i].exact = 1;
        }
    }
    return 0;
}

/* Stops and kills at the end: what a dead process leaves behind is in nobody's time. */
static int race_faults(struct race *race)
{
    if (!race->settings->kills || race->row->workers || !bench_is_summed(&race->job))
        return 0;
    for (size_t i = 0; i < race->count; i++) {
        const struct entrant *entrant = &race->entrants[i];
        race->listener->slice(race->listener->arg, race->row, 0, entrant->contender->name);
        race->faults[i] = (struct bench_fault){.contender = entrant->contender};
        if (bench_fault_inflict(&race->job, entrant->state, entrant->ops_total, race->settings->kills,
                                &race->faults[i]))
            return -1;
    }
    return 0;
}

static int race_run(struct race *race)
{
    int failed = heats_make(race);
    if (race->settings->is_side_by_side && !failed)
        failed = race_heats(race, race->heats, race->heat_count);
    for (size_t h = 0; h < race->heat_count && !race->settings->is_side_by_side && !failed; h++)
        failed = race_heats(race, &race->heats[h], 1);
    if (failed || race_faults(race))
        return -1;
    summarise_slowdown(race);
    for (size_t h = 0; h < race->heat_count; h++) {
        race->heats[h].result.faults = race->faults;
        race->listener->result(race->listener->arg, &race->heats[h].result);
    }
    return 0;
}

/* ---- the row ---------------------------------------------------------------------------------------------------- */

static int race_setup(struct race *race)
{
    const struct bench_contender *present[BENCH_CONTENDERS_MAX];
    race->count = bench_row_present(race->row, present);
    race->loaded_ms = unix_ms();
    for (size_t i = 0; i < race->count; i++) {
        struct entrant *entrant = &race->entrants[i];
        entrant->contender = present[i];
        if (bench_interrupted)
            return bench_error("interrupted");
        race->listener->slice(race->listener->arg, race->row, 0, entrant->contender->name);
        if (entrant->contender->setup(&race->job, &entrant->state))
            return bench_error("%s: %s could not be set up", race->row->name, entrant->contender->name);
    }
    return 0;
}

static void race_teardown(struct race *race)
{
    for (size_t i = 0; i < race->count; i++) {
        if (race->entrants[i].state)
            race->entrants[i].contender->teardown(race->entrants[i].state);
    }
}

/* Running out of room in a mapped file is a signal that kills; better to say it first. */
static int check_room(const struct race *race, size_t key_count)
{
    struct statvfs room;
    if (statvfs(race->settings->dir, &room))
        return bench_error("%s: no such directory", race->settings->dir);
    uint64_t free_bytes = (uint64_t)room.f_bavail * room.f_frsize;
    uint64_t needed_bytes = (16u << 20) + (uint64_t)key_count * KEY_BYTES_NEEDED;
    if (free_bytes >= needed_bytes)
        return 0;
    return bench_error("row %s needs %llu MiB free in %s and there are %llu; name another place with --dir, "
                       "or leave the row out",
                       race->row->name, (unsigned long long)(needed_bytes >> 20), race->settings->dir,
                       (unsigned long long)(free_bytes >> 20));
}

int bench_row_run(const struct bench_row *row, const struct bench_settings *settings,
                  const struct bench_listener *listener)
{
    struct race race = {.row = row, .settings = settings, .listener = listener};
    const struct bench_contender *present[BENCH_CONTENDERS_MAX];
    if (bench_row_present(row, present) == 0) /* said where absent programs are */
        return 0;
    size_t key_count = settings->smoke ? row->key_count_smoke : row->key_count;
    if (check_room(&race, key_count) || bench_keys_make(&race.keys, key_count, row->draw))
        return -1;
    race.job = (struct bench_job){.op = row->op,
                                  .limit = row->limit,
                                  .workers_max = bench_workers_max(settings),
                                  .dir = settings->dir,
                                  .keys = &race.keys};
    int failed = race_setup(&race) || race_run(&race);
    free(race.heats);
    race_teardown(&race);
    bench_keys_free(&race.keys);
    return failed ? -1 : 0;
}
