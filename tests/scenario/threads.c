/* SPDX-License-Identifier: MIT */
/* threads.c: threads come, work on several segments through several handles, and go; their slots come back. */
#include "scenario.h"

#include <pthread.h>
#include <semaphore.h>

static struct quipu *q;

/* ---- two mappings -------------------------------------------------------------------------------------------------------- */

static void two_mappings_of_one_segment_are_one_segment(void)
{
    q = scenario_segment(100, 8);
    struct quipu *other = scenario_open_again(q);
    struct quipu_counter here, there;
    char key[16];
    EXPECT(q->view.base != other->view.base);
    EXPECT_CODE(0, quipu_counter_open(q, KEY("by handle"), &here));
    EXPECT_CODE(0, quipu_counter_open(other, KEY("by handle"), &there));
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "k.%d", i % 50);
        EXPECT_CODE(0, quipu_add(i % 2 ? q : other, key, strlen(key), 1));
        EXPECT_CODE(0, quipu_counter_add(i % 2 ? &here : &there, 1));
        if (i % 100 == 99)
            EXPECT_CODE(0, quipu_delete(i % 200 == 99 ? q : other, KEY("k.7"), NULL));
    }
    EXPECT(scenario_total(q, "by handle") == 1000);
    EXPECT(scenario_total(other, "k.8") == 20);
    EXPECT(scenario_stat(q).processes_used == 2 && scenario_stat(q).threads_used == 2);
    quipu_counter_close(&there);
    quipu_close(other);
    EXPECT_CODE(0, quipu_counter_add(&here, 1));
    EXPECT(scenario_total(q, "by handle") == 1001);
    quipu_counter_close(&here);
    scenario_settle(q);
    quipu_close(q);
}

/* ---- many short threads ---------------------------------------------------------------------------------------------- */

static void *add_one(void *arg)
{
    EXPECT_CODE(0, quipu_add(arg, KEY("key"), 1));
    return NULL;
}

static void three_thousand_short_threads_share_eight_slots(void)
{
    enum { THREADS = 3000, AT_ONCE = 6 };
    pthread_t threads[AT_ONCE];
    q = scenario_segment(100, 8);
    for (int i = 0; i < THREADS; i += AT_ONCE) {
        for (int t = 0; t < AT_ONCE; t++)
            EXPECT(pthread_create(&threads[t], NULL, add_one, q) == 0);
        for (int t = 0; t < AT_ONCE; t++)
            EXPECT(pthread_join(threads[t], NULL) == 0);
    }
    EXPECT(scenario_total(q, "key") == THREADS);
    EXPECT(scenario_stat(q).threads_used == 1);
    scenario_settle(q);
    quipu_close(q);
}

/* ---- more threads than slots ------------------------------------------------------------------------------------------ */

static sem_t working, may_end;

static void *hold_a_slot(void *arg)
{
    EXPECT_CODE(0, quipu_add(arg, KEY("key"), 1));
    sem_post(&working);
    sem_wait(&may_end);
    return NULL;
}

static void *be_one_too_many(void *arg)
{
    struct quipu_count count;
    EXPECT_CODE(-QUIPU_ETHREADS, quipu_add(arg, KEY("key"), 1));
    EXPECT_CODE(-QUIPU_ETHREADS, quipu_get(arg, KEY("key"), &count));
    EXPECT_CODE(-QUIPU_ETHREADS, quipu_delete(arg, KEY("key"), NULL));
    EXPECT_CODE(-QUIPU_ETHREADS, quipu_stat(arg, NULL));
    EXPECT_CODE(-QUIPU_ETHREADS, quipu_upkeep(arg, 0));
    return NULL;
}

static void run_thread(void *(*body)(void *))
{
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, body, q) == 0);
    EXPECT(pthread_join(thread, NULL) == 0);
}

static void more_threads_than_slots_are_refused_until_one_ends(void)
{
    pthread_t holders[2];
    q = scenario_segment(100, 3);
    EXPECT(sem_init(&working, 0, 0) == 0 && sem_init(&may_end, 0, 0) == 0);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 2; i++)
            EXPECT(pthread_create(&holders[i], NULL, hold_a_slot, q) == 0);
        for (int i = 0; i < 2; i++)
            sem_wait(&working);
        run_thread(be_one_too_many);
        EXPECT_CODE(0, quipu_add(q, KEY("key"), 1)); /* who has a slot keeps it */
        sem_post(&may_end);
        sem_post(&may_end);
        for (int i = 0; i < 2; i++)
            EXPECT(pthread_join(holders[i], NULL) == 0);
        run_thread(add_one);
    }
    EXPECT(scenario_total(q, "key") == 5 * 4);
    scenario_settle(q);
    quipu_close(q);
}

/* ---- threads on many segments ------------------------------------------------------------------------------------------ */

enum { SEGMENTS = 9 }; /* more than a thread remembers */
static struct quipu *segments[SEGMENTS];

static void *use_all_segments(void *arg)
{
    (void)arg;
    for (int round = 0; round < 20; round++)
        for (int i = 0; i < SEGMENTS; i++) {
            EXPECT_CODE(0, quipu_add(segments[i], KEY("key"), 1));
            EXPECT(scenario_stat(segments[i]).threads_used == 2); /* the main thread, and this one once */
        }
    return NULL;
}

static void a_thread_has_one_slot_on_each_segment_and_gives_all_back(void)
{
    for (int i = 0; i < SEGMENTS; i++)
        segments[i] = scenario_segment(20, 4);
    run_thread(use_all_segments);
    for (int i = 0; i < SEGMENTS; i++) {
        EXPECT(scenario_stat(segments[i]).threads_used == 1);
        EXPECT(scenario_total(segments[i], "key") == 20);
        scenario_settle(segments[i]);
        quipu_close(segments[i]);
    }
}

/* ---- the end of a thread ---------------------------------------------------------------------------------------------- */

static pthread_key_t last_words;

static void count_at_the_end(void *handle)
{
    EXPECT_CODE(0, quipu_add(handle, KEY("key"), 1));
}

static void *leave_last_words(void *handle)
{
    EXPECT(pthread_setspecific(last_words, handle) == 0);
    EXPECT_CODE(0, quipu_add(handle, KEY("key"), 1));
    return NULL;
}

/* The order of destructors is nobody's: a slot taken by a later one comes back too. */
static void a_thread_may_count_in_its_destructors(void)
{
    q = scenario_segment(100, 4);
    EXPECT(pthread_key_create(&last_words, count_at_the_end) == 0);
    for (int i = 0; i < 20; i++)
        run_thread(leave_last_words);
    EXPECT(scenario_total(q, "key") == 40);
    EXPECT(scenario_stat(q).threads_used == 1);
    scenario_settle(q);
    quipu_close(q);
}

static void *outlive_the_handle(void *arg)
{
    EXPECT_CODE(0, quipu_add(arg, KEY("key"), 1));
    sem_post(&working);
    sem_wait(&may_end);
    struct quipu *fresh = scenario_segment(20, 4); /* likely at the same address as the old one */
    EXPECT_CODE(0, quipu_add(fresh, KEY("key"), 1));
    EXPECT(scenario_stat(fresh).threads_used == 1);
    quipu_close(fresh);
    return NULL;
}

static void a_thread_may_outlive_a_handle_that_it_used(void)
{
    pthread_t thread;
    q = scenario_segment(20, 4);
    struct quipu *other = scenario_open_again(q);
    EXPECT(sem_init(&working, 0, 0) == 0 && sem_init(&may_end, 0, 0) == 0);
    EXPECT(pthread_create(&thread, NULL, outlive_the_handle, q) == 0);
    sem_wait(&working);
    quipu_close(q); /* nobody is using it at this moment */
    EXPECT(scenario_stat(other).threads_used == 1);
    sem_post(&may_end);
    EXPECT(pthread_join(thread, NULL) == 0);
    scenario_settle(other);
    quipu_close(other);
}

int main(int argc, char **argv)
{
    const struct scenario scenarios[] = {
        {"two mappings of one segment are one segment", two_mappings_of_one_segment_are_one_segment},
        {"three thousand short threads share eight slots", three_thousand_short_threads_share_eight_slots},
        {"more threads than slots are refused until one ends", more_threads_than_slots_are_refused_until_one_ends},
        {"a thread has one slot on each segment, and gives all back",
         a_thread_has_one_slot_on_each_segment_and_gives_all_back},
        {"a thread may count in its destructors", a_thread_may_count_in_its_destructors},
        {"a thread may outlive a handle that it used", a_thread_may_outlive_a_handle_that_it_used},
    };
    return scenario_main(scenarios, sizeof scenarios / sizeof scenarios[0], argc, argv);
}
