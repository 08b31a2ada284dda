/* SPDX-License-Identifier: MIT */
/* crowd.c: a segment whose every slot and record is taken: by the living, and newcomers are refused; by the dead, and newcomers
 * take over what they held. */
#include "scenario.h"

#include <pthread.h>

#define SLOTS 4
#define RECORDS (SLOTS + 1)

struct words {
    uint64_t ready;
    uint64_t go_on;
};

static char path[128];
static struct words *words;

static void make_segment(const char *name)
{
    struct quipu_create_options options = {
        .struct_bytes = sizeof options, .counters = 100, .threads = SLOTS, .strategy_bytes = 4096};
    snprintf(path, sizeof path, "%s/%s", scenario_folder(), name);
    words = scenario_shared(sizeof *words);
    EXPECT_CODE(0, quipu_create(path, &options));
}

static struct quipu *open_it(void)
{
    struct quipu *q;
    EXPECT_CODE(0, quipu_open(path, NULL, &q));
    return q;
}

/* Takes a record and a slot, and stands inside a section, with a claim on a block. */
static void live_inside(void *arg)
{
    (void)arg;
    int error;
    uint32_t block;
    struct quipu *q = open_it();
    EXPECT_CODE(0, quipu_add(q, KEY("key"), 1));
    struct qp_worker *worker = qp_thread_worker(q, &error);
    qp_grace_enter(&q->view, worker->slot);
    EXPECT(qp_block_alloc(worker, QP_BLOCK_SHARD, 1, 100, &block));
    scenario_tell(&words->ready);
    scenario_await(&words->go_on, UINT64_MAX);
}

static void *open_in_a_thread(void *arg)
{
    (void)arg;
    return open_it();
}

/* Keeps a record without a slot: the thread that opened has ended. */
static void live_without_a_slot(void *arg)
{
    (void)arg;
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, open_in_a_thread, NULL) == 0);
    EXPECT(pthread_join(thread, NULL) == 0);
    scenario_tell(&words->ready);
    scenario_await(&words->go_on, UINT64_MAX);
}

/* Fills every record and every slot with living processes. */
static void crowd(pid_t crowd_of[RECORDS])
{
    for (int i = 0; i < RECORDS; i++) {
        crowd_of[i] = scenario_fork(i == 0 ? live_without_a_slot : live_inside, NULL);
        scenario_await(&words->ready, (uint64_t)i + 1);
    }
}

static void a_segment_full_of_living_processes_refuses_the_next_one(void)
{
    pid_t crowd_of[RECORDS];
    struct quipu *q = (void *)1;
    make_segment("living");
    crowd(crowd_of);
    for (int i = 0; i < 3; i++)
        EXPECT_CODE(-QUIPU_ETHREADS, quipu_open(path, NULL, &q));
    EXPECT(q == (void *)1);
    struct quipu_open_options read_only = {.struct_bytes = sizeof read_only, .read_only = 1};
    EXPECT_CODE(0, quipu_open(path, &read_only, &q)); /* readers need neither */
    EXPECT(scenario_stat(q).processes_used == RECORDS && scenario_stat(q).threads_used == SLOTS);
    EXPECT(scenario_total(q, "key") == SLOTS);
    quipu_close(q);
    scenario_kill(crowd_of[RECORDS - 1]);
    q = open_it();
    EXPECT(scenario_stat(q).processes_used == RECORDS);
    EXPECT_CODE(0, quipu_add(q, KEY("key"), 1));
    for (int i = 0; i < RECORDS - 1; i++)
        scenario_kill(crowd_of[i]);
    scenario_settle(q);
    EXPECT(scenario_stat(q).processes_used == 1);
    EXPECT(scenario_total(q, "key") == SLOTS + 1);
    quipu_close(q);
}

static void a_segment_full_of_dead_processes_is_taken_over(void)
{
    pid_t crowd_of[RECORDS];
    make_segment("dead");
    crowd(crowd_of);
    for (int i = 0; i < RECORDS; i++)
        scenario_kill(crowd_of[i]);
    struct quipu *q = open_it();
    EXPECT(scenario_stat(q).recovered_processes >= 1);
    EXPECT(scenario_stat(q).recovered_sections == SLOTS);
    EXPECT_CODE(0, quipu_add(q, KEY("key"), 1));
    scenario_settle(q);
    EXPECT(scenario_stat(q).recovered_processes == RECORDS);
    EXPECT(scenario_stat(q).recovered_blocks == SLOTS);
    EXPECT(scenario_stat(q).processes_used == 1 && scenario_stat(q).threads_used == 1);
    EXPECT(scenario_stat(q).blocks_used == 0);
    EXPECT(scenario_total(q, "key") == SLOTS + 1);
    quipu_close(q);
}

static void wait_and_open(void *arg)
{
    (void)arg;
    scenario_tell(&words->ready);
    scenario_await(&words->go_on, 1);
    struct quipu *q = open_it();
    EXPECT_CODE(0, quipu_add(q, KEY("late"), 1));
    scenario_tell(&words->ready);
    scenario_await(&words->go_on, 2); /* all of them at work at once */
    EXPECT_CODE(0, quipu_add(q, KEY("late"), 1));
    quipu_close(q);
}

static void several_newcomers_share_what_the_dead_left(void)
{
    pid_t crowd_of[RECORDS], late[SLOTS];
    make_segment("shared");
    for (int round = 0; round < 20; round++) {
        words->ready = words->go_on = 0;
        crowd(crowd_of);
        for (int i = 0; i < SLOTS; i++)
            late[i] = scenario_fork(wait_and_open, NULL);
        scenario_await(&words->ready, RECORDS + SLOTS);
        for (int i = 0; i < RECORDS; i++)
            scenario_kill(crowd_of[i]);
        scenario_tell(&words->go_on);
        scenario_await(&words->ready, RECORDS + 2 * SLOTS);
        scenario_tell(&words->go_on);
        for (int i = 0; i < SLOTS; i++)
            scenario_join(late[i]);
        struct quipu *q = open_it();
        scenario_settle(q);
        EXPECT(scenario_total(q, "late") == 2 * SLOTS * (round + 1));
        EXPECT(scenario_stat(q).processes_used == 1);
        quipu_close(q);
    }
}

/* A thread of a living process needs a slot that only the dead have. */
static void a_new_thread_takes_a_dead_ones_slot(void)
{
    pid_t crowd_of[SLOTS];
    make_segment("slots");
    struct quipu *watcher = open_it();
    for (int i = 0; i < SLOTS - 1; i++) {
        crowd_of[i] = scenario_fork(live_inside, NULL);
        scenario_await(&words->ready, (uint64_t)i + 1);
    }
    for (int i = 0; i < SLOTS - 1; i++)
        scenario_kill(crowd_of[i]);
    EXPECT(scenario_stat(watcher).threads_used == SLOTS);
    pthread_t thread;
    void *opened;
    EXPECT(pthread_create(&thread, NULL, open_in_a_thread, NULL) == 0);
    EXPECT(pthread_join(thread, &opened) == 0);
    EXPECT(scenario_stat(watcher).recovered_sections == SLOTS - 1);
    quipu_close(opened);
    scenario_settle(watcher);
    quipu_close(watcher);
}

int main(int argc, char **argv)
{
    const struct scenario scenarios[] = {
        {"a segment full of living processes refuses the next one",
         a_segment_full_of_living_processes_refuses_the_next_one},
        {"a segment full of dead processes is taken over", a_segment_full_of_dead_processes_is_taken_over},
        {"several newcomers at once share what the dead left", several_newcomers_share_what_the_dead_left},
        {"a new thread takes a dead one's slot", a_new_thread_takes_a_dead_ones_slot},
    };
    return scenario_main(scenarios, sizeof scenarios / sizeof scenarios[0], argc, argv);
}
