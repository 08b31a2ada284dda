/* SPDX-License-Identifier: MIT */
/* lifetime.c: segments come whole or not at all, whenever their creator is killed; and go so that all who work on them
 * notice, and find the next one. */
#include "scenario.h"

#include <dirent.h>
#include <time.h>

static char path[128];

static struct quipu_create_options options_for(uint32_t counters)
{
    return (struct quipu_create_options){.struct_bytes = sizeof(struct quipu_create_options),
                                         .counters = counters,
                                         .threads = 16,
                                         .strategy_bytes = 4096};
}

static void choose_path(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", scenario_folder(), name);
}

static int files_in_folder(void)
{
    int files = 0;
    DIR *directory = opendir(scenario_folder());
    EXPECT(directory != NULL);
    while (readdir(directory))
        files++;
    closedir(directory);
    return files - 2; /* . and .. */
}

/* ---- creation ------------------------------------------------------------------------------------------------------------ */

/* Creates, uses and destroys until it is killed. */
static void create_often(void *arg)
{
    struct quipu_create_options options = options_for(5000);
    struct quipu *q;
    scenario_tell(arg);
    for (;;) {
        EXPECT_CODE(0, quipu_create(path, &options));
        EXPECT_CODE(0, quipu_open(path, NULL, &q));
        for (int i = 0; i < 20000; i++)
            EXPECT_CODE(0, quipu_add(q, KEY("key"), 1));
        quipu_close(q);
        EXPECT_CODE(0, quipu_destroy(path));
    }
}

static void a_creator_killed_at_any_moment_leaves_a_whole_segment_or_nothing(void)
{
    uint64_t *started = scenario_shared(sizeof *started), noise = 88172645463325252;
    uint64_t rounds = 150 * qp_test_scale(), left = 0;
    struct quipu *q;
    choose_path("creation");
    for (uint64_t round = 1; round <= rounds; round++) {
        pid_t creator = scenario_fork(create_often, started);
        scenario_await(started, round);
        noise ^= noise << 13, noise ^= noise >> 7, noise ^= noise << 17;
        nanosleep(&(struct timespec){.tv_nsec = (long)(noise % 5000000)}, NULL); /* the moment is the dice's */
        scenario_kill(creator);
        int error = quipu_open(path, NULL, &q);
        EXPECT(error == 0 || error == -ENOENT || error == -ESTALE); /* stale: destroyed, but its name was still there */
        EXPECT(files_in_folder() == (error != -ENOENT));
        if (error == 0) {
            left++;
            EXPECT_CODE(0, quipu_add(q, KEY("key"), 1));
            scenario_settle(q);
            quipu_close(q);
        }
        if (error != -ENOENT)
            EXPECT_CODE(0, quipu_destroy(path));
    }
    printf("# %d creators killed, %d of them left a segment\n", (int)rounds, (int)left);
    EXPECT(left > 0 && left < rounds); /* else the dice never hit both */
}

struct race {
    uint64_t waiting, go_on, winners;
};

static void create_once(void *arg)
{
    struct race *race = arg;
    struct quipu_create_options options = options_for(100);
    uint64_t round = race->go_on;
    scenario_tell(&race->waiting);
    while (qp_load_acquire(&race->go_on) == round) {
    }
    int error = quipu_create(path, &options);
    EXPECT(error == 0 || error == -EEXIST);
    if (error == 0)
        scenario_tell(&race->winners);
}

static void of_creators_at_once_one_wins(void)
{
    struct race *race = scenario_shared(sizeof *race);
    pid_t creators[4];
    choose_path("race");
    for (uint64_t round = 1; round <= 25; round++) {
        for (int i = 0; i < 4; i++)
            creators[i] = scenario_fork(create_once, race);
        scenario_await(&race->waiting, 4 * round);
        scenario_tell(&race->go_on);
        for (int i = 0; i < 4; i++)
            scenario_join(creators[i]);
        EXPECT(race->winners == round);
        EXPECT(files_in_folder() == 1);
        EXPECT_CODE(0, quipu_destroy(path));
    }
}

/* ---- removal ------------------------------------------------------------------------------------------------------------- */

struct handover {
    uint64_t at_work; /* calls made on the segment of this generation */
    uint64_t generation;
    uint64_t moved; /* workers that have found the next one */
    uint64_t stop;
};

/* A worker as its host would write it: when the segment is gone, it opens the one that took its name. */
static void work_through_generations(void *arg)
{
    struct handover *handover = arg;
    struct quipu *q;
    struct quipu_counter counter;
    while (!qp_load_acquire(&handover->stop)) {
        int error = quipu_open(path, NULL, &q);
        if (error == -ENOENT || error == -ESTALE)
            continue;
        EXPECT_CODE(0, error);
        EXPECT_CODE(0, quipu_counter_open(q, KEY("counter"), &counter));
        scenario_tell(&handover->moved);
        while (!qp_load_acquire(&handover->stop)) {
            int by_key = quipu_add(q, KEY("key"), 1), by_handle = quipu_counter_add(&counter, 1);
            scenario_tell(&handover->at_work);
            if (by_handle == -ESTALE)
                break; /* and everything that follows would say the same */
            EXPECT(by_key == 0 && by_handle == 0);
        }
        quipu_counter_close(&counter);
        quipu_close(q);
    }
}

static void workers_on_a_destroyed_segment_find_the_next_one(void)
{
    enum { WORKERS = 3, GENERATIONS = 20 };
    struct handover *handover = scenario_shared(sizeof *handover);
    struct quipu_create_options options = options_for(100);
    pid_t workers[WORKERS];
    struct quipu *q;
    choose_path("handover");
    EXPECT_CODE(0, quipu_create(path, &options));
    for (int i = 0; i < WORKERS; i++)
        workers[i] = scenario_fork(work_through_generations, handover);
    for (uint64_t generation = 1; generation <= GENERATIONS; generation++) {
        scenario_await(&handover->moved, WORKERS * generation);
        scenario_await(&handover->at_work, handover->at_work + 100);
        EXPECT_CODE(0, quipu_destroy(path));
        EXPECT_CODE(0, quipu_create(path, &options));
    }
    scenario_await(&handover->moved, WORKERS * (GENERATIONS + 1));
    scenario_await(&handover->at_work, handover->at_work + 100);
    scenario_tell(&handover->stop);
    for (int i = 0; i < WORKERS; i++)
        scenario_join(workers[i]);
    EXPECT_CODE(0, quipu_open(path, NULL, &q));
    EXPECT(scenario_total(q, "key") == scenario_total(q, "counter"));
    scenario_settle(q);
    EXPECT(scenario_stat(q).recovered_processes == 0);
    quipu_close(q);
}

int main(int argc, char **argv)
{
    const struct scenario scenarios[] = {
        {"a creator killed at any moment leaves a whole segment or nothing",
         a_creator_killed_at_any_moment_leaves_a_whole_segment_or_nothing},
        {"of creators at once one wins", of_creators_at_once_one_wins},
        {"workers on a destroyed segment find the next one", workers_on_a_destroyed_segment_find_the_next_one},
    };
    return scenario_main(scenarios, sizeof scenarios / sizeof scenarios[0], argc, argv);
}
