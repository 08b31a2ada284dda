/* SPDX-License-Identifier: MIT */
/* rounds.c: measures a row: every contender set up once, then round by round one slice of each in turn, so
 * that whatever disturbs the machine disturbs them all; and after each slice, whether the counts are exact.
 */
#include "rows.h"

#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

/* What the hungriest contenders need per key, all of them together. */
#define KEY_BYTES_NEEDED 1024

volatile int bench_interrupted;

/* A contender as it is between setup and teardown. */
struct entrant {
    const struct bench_contender *contender;
    void *state;
    struct bench_team *team;
    uint64_t ops_total, seen_total; /* since setup */
    uint64_t ops, refused;          /* since the team was started, with the next */
    uint64_t elapsed_ns, cpu_ns;
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
};

static uint64_t unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Limits that were used up when the keys were loaded admit nothing until a window ends. */
static int is_within_limit(const struct race *race, const struct entrant *entrant)
{
    const struct bench_limit *limit = &race->job.limit;
    uint64_t windows = unix_ms() / limit->window_ms - race->loaded_ms / limit->window_ms;
    return entrant->seen_total <= windows * limit->units * race->keys.key_count;
}

/* The law of the column "exact".
 * Adds: sum(counters) == keys + adds done, each key being loaded with 1. Reads: sum(what was read) == reads done.
 * Requests that must be admitted: all were, but for new keys that were refused for want of room. Where units stay
 * taken, sum(units) == units loaded + units taken; where they are given back, == units loaded.
 * Requests that must be denied: no more were admitted than windows began. */
static int check_exact(const struct race *race, const struct entrant *entrant, const struct bench_slice *slice,
                       int *exact)
{
    const struct bench_limit *limit = &race->job.limit;
    int64_t expected = (int64_t)race->keys.key_count, sum = 0;
    switch (race->job.op) {
    case BENCH_OP_ADD:
    case BENCH_OP_ADD_HANDLE:
        expected += (int64_t)entrant->ops_total;
        break;
    case BENCH_OP_GET:
    case BENCH_OP_EACH:
    case BENCH_OP_NEW:
        *exact &= slice->seen + slice->refused == slice->ops;
        return 0;
    case BENCH_OP_TAKE:
    case BENCH_OP_TAKE_HANDLE:
        *exact &= slice->seen == slice->ops;
        if (limit->algorithm != BENCH_FIXED) /* what was taken comes back as time passes */
            return 0;
        expected = expected * (int64_t)limit->used + (int64_t)entrant->ops_total;
        break;
    case BENCH_OP_DENIED:
        *exact &= is_within_limit(race, entrant);
        return 0;
    case BENCH_OP_ENTER_LEAVE:
        *exact &= slice->seen == slice->ops;
        expected *= (int64_t)limit->used;
        break;
    }
    if (entrant->contender->sum && entrant->contender->sum(entrant->state, &sum))
        return -1;
    *exact &= !entrant->contender->sum || sum == expected;
    return 0;
}

static int race_slice(struct race *race, struct entrant *entrant, struct bench_measure *measure, unsigned round)
{
    struct bench_slice slice;
    if (bench_team_slice(entrant->team, race->settings->slice_ns, &slice))
        return -1;
    if (slice.ops == 0)
        return bench_error("%s did nothing in a whole slice; give it more --seconds", entrant->contender->name);
    entrant->ops_total += slice.ops;
    entrant->seen_total += slice.seen;
    entrant->ops += slice.ops;
    entrant->refused += slice.refused;
    entrant->elapsed_ns += slice.elapsed_ns;
    entrant->cpu_ns += slice.cpu_ns;
    uint64_t done = slice.ops - slice.refused; /* being told that there is no room is no operation */
    measure->round_ns[round] = (double)slice.elapsed_ns / (double)(done ? done : 1);
    return check_exact(race, entrant, &slice, &measure->exact);
}

static void summarise(struct race *race, struct bench_result *result)
{
    const struct bench_measure *ours = &result->measures[0];
    for (size_t i = 0; i < race->count; i++) {
        struct bench_measure *measure = &result->measures[i];
        double ratios[BENCH_ROUNDS_MAX];
        for (unsigned r = 0; r < result->rounds; r++)
            ratios[r] = ours->round_ns[r] / measure->round_ns[r];
        measure->ratio = bench_figure_of(ratios, result->rounds).median;
        measure->op_ns = bench_figure_of(measure->round_ns, result->rounds);
        measure->ops_per_s = 1e9 / measure->op_ns.median * result->workers;
        measure->refused_share = (double)race->entrants[i].refused / (double)race->entrants[i].ops;
        measure->cpu_share = (double)race->entrants[i].cpu_ns / (double)race->entrants[i].elapsed_ns;
    }
}

static int race_rounds(struct race *race, struct bench_result *result)
{
    for (unsigned round = 0; round < result->rounds; round++) {
        for (size_t i = 0; i < race->count; i++) {
            struct entrant *entrant = &race->entrants[i];
            if (bench_interrupted)
                return bench_error("interrupted");
            race->listener->slice(race->listener->arg, race->row, result->workers, entrant->contender->name);
            if (race_slice(race, entrant, &result->measures[i], round))
                return -1;
        }
    }
    return 0;
}

static int teams_start(struct race *race, unsigned workers)
{
    for (size_t i = 0; i < race->count; i++) {
        struct entrant *entrant = &race->entrants[i];
        entrant->ops = entrant->refused = entrant->elapsed_ns = entrant->cpu_ns = 0;
        if (bench_team_start(&race->job, entrant->contender, entrant->state, workers, &entrant->team))
            return -1;
    }
    return 0;
}

static void teams_stop(struct race *race)
{
    for (size_t i = 0; i < race->count; i++) {
        bench_team_stop(race->entrants[i].team);
        race->entrants[i].team = NULL;
    }
}

static int race_with(struct race *race, unsigned workers)
{
    struct bench_result result = {.row = race->row,
                                  .key_count = race->keys.key_count,
                                  .workers = workers,
                                  .rounds = race->settings->rounds,
                                  .measure_count = race->count};
    for (size_t i = 0; i < race->count; i++) {
        result.measures[i].contender = race->entrants[i].contender;
        result.measures[i].exact = 1;
    }
    int failed = teams_start(race, workers) || race_rounds(race, &result);
    teams_stop(race);
    if (failed)
        return -1;
    summarise(race, &result);
    race->listener->result(race->listener->arg, &result);
    return 0;
}

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
    size_t key_count = settings->smoke ? row->key_count_smoke : row->key_count;
    if (check_room(&race, key_count) || bench_keys_make(&race.keys, key_count, row->draw))
        return -1;
    race.job = (struct bench_job){
        .op = row->op, .limit = row->limit, .workers_max = settings->workers, .dir = settings->dir, .keys = &race.keys};
    int failed = race_setup(&race) || race_with(&race, 1);
    if (!failed && settings->workers > 1)
        failed = race_with(&race, settings->workers);
    race_teardown(&race);
    bench_keys_free(&race.keys);
    return failed ? -1 : 0;
}
