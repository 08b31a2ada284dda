/* SPDX-License-Identifier: MIT */
/* flight_crowd_test.c: threads that enter and leave all at once, counted outside the segment. */
#include "flight_unit.h"

#include <pthread.h>
#include <sched.h>

/* ---- all at once ---------------------------------------------------------------------------------------------------- */

#define THREADS 4
#define HELD_MAX 2
#define PLACES 4 /* slots of each thread: it begins to look at another place each time */
#if defined(__SANITIZE_ADDRESS__) || defined(QP_THREAD_SANITIZER)
#define STEPS 30000
#else
#define STEPS 300000
#endif

/* Who is in, as confirmed after enter and withdrawn before leave, so never more than really are: [early 32 | threads 32]. Early: those
 * whom the test let in before the limit was lowered. */
#define EARLY (UINT64_C(1) << 32)

struct crowd {
    struct unit_segment segment;
    struct qp_entry *entry;
    pthread_barrier_t barrier; /* of rounds */
    uint64_t limit;
    uint64_t in;
    uint64_t denied;
    uint64_t over;  /* times when more were in than the limit of the last who came */
    uint64_t wrong; /* calls with another result than they may have */
    uint32_t rounds, steps;
};

struct walker {
    struct crowd *crowd;
    struct qp_worker workers[PLACES];
    uint64_t random;
    struct qp_flight_unit units[HELD_MAX];
    uint32_t held;
};

static void walk_in(struct walker *walker, uint32_t place)
{
    struct crowd *crowd = walker->crowd;
    int result = flight_enter(&walker->workers[place], crowd->entry, crowd->limit, &walker->units[walker->held]);
    if (result) {
        qp_add_seq(result == 1 ? &crowd->denied : &crowd->wrong, 1);
        return;
    }
    walker->held++;
    uint64_t in = qp_add_seq(&crowd->in, 1) + 1;
    if ((in & (EARLY - 1)) + in / EARLY > crowd->limit)
        qp_add_seq(&crowd->over, 1);
}

static void walk_out(struct walker *walker, uint32_t which)
{
    qp_add_seq(&walker->crowd->in, UINT64_MAX);
    if (flight_leave(&walker->workers[0], &walker->units[which]))
        qp_add_seq(&walker->crowd->wrong, 1);
    walker->units[which] = walker->units[--walker->held];
}

static void *walk(void *argument)
{
    struct walker *walker = argument;
    struct crowd *crowd = walker->crowd;
    for (uint32_t round = 0; round < crowd->rounds; round++) {
        pthread_barrier_wait(&crowd->barrier);
        for (uint32_t step = 0; step < crowd->steps; step++) {
            uint64_t choice = unit_random(&walker->random) >> 40;
            if (walker->held < HELD_MAX && choice & 1)
                walk_in(walker, (uint32_t)(choice >> 1) % PLACES);
            else if (walker->held)
                walk_out(walker, (uint32_t)(choice >> 1) % walker->held);
        }
        while (walker->held)
            walk_out(walker, 0);
        pthread_barrier_wait(&crowd->barrier);
    }
    return NULL;
}

/* Rounds of steps; each round begins with `early` in, whom the limit before let in, and who leave while it runs. */
static void run_crowd(struct crowd *crowd, uint64_t limit, uint32_t early, uint32_t rounds, uint32_t steps)
{
    struct walker walkers[THREADS];
    struct qp_flight_unit units[20];
    pthread_t threads[THREADS];
    memset(crowd, 0, sizeof *crowd);
    crowd->limit = limit;
    crowd->rounds = rounds;
    crowd->steps = steps;
    unit_open(&crowd->segment, 10, 1 + THREADS * (PLACES + 1));
    crowd->entry = flight_entry(&crowd->segment.worker, "a", limit);
    pthread_barrier_init(&crowd->barrier, NULL, THREADS + 1);
    for (uint32_t i = 0; i < THREADS; i++) {
        walkers[i] = (struct walker){.crowd = crowd, .random = i * UINT64_C(2654435761) + 1};
        struct qp_worker worker = unit_worker(&crowd->segment, i + 1);
        for (uint32_t place = 0; place < PLACES; place++) {
            walkers[i].workers[place] = worker;
            worker.slot = qp_slot_claim(&crowd->segment.view, worker.owner);
        }
        assert_int_equal(0, pthread_create(&threads[i], NULL, walk, &walkers[i]));
    }
    for (uint32_t round = 0; round < rounds; round++) {
        flight_enter_many(&crowd->segment.worker, crowd->entry, early, early, units);
        crowd->in = early * EARLY;
        pthread_barrier_wait(&crowd->barrier);
        for (uint32_t i = 0; i < early; i++) {
            sched_yield();
            qp_add_seq(&crowd->in, -EARLY);
            flight_leave_many(&crowd->segment.worker, 1, &units[(i + round) % early]);
        }
        pthread_barrier_wait(&crowd->barrier);
        assert_int_equal(0, crowd->over);
        assert_int_equal(0, crowd->wrong);
        assert_true(qp_flight_is_empty(&crowd->segment.view, crowd->entry));
    }
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&crowd->barrier);
    unit_settle(&crowd->segment);
    unit_quiet(&crowd->segment);
    unit_close(&crowd->segment);
}

static void test_nobody_is_denied_while_a_unit_is_free(void **state)
{
    (void)state;
    static struct crowd crowd;
    run_crowd(&crowd, THREADS * HELD_MAX, 0, 1, STEPS); /* as many units as can be wanted */
    assert_int_equal(0, crowd.denied);
}

static void test_never_more_are_in_than_the_limit(void **state)
{
    (void)state;
    static struct crowd crowd;
    run_crowd(&crowd, 5, 0, 1, STEPS);
    run_crowd(&crowd, 1, 0, 1, STEPS);
    assert_true(crowd.denied > 0); /* each alone asks for more */
}

static void test_never_more_come_in_than_the_lowered_limit(void **state)
{
    (void)state;
    static struct crowd crowd;
    run_crowd(&crowd, 5, 12, 500, STEPS / 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_is_denied_while_a_unit_is_free),
        cmocka_unit_test(test_never_more_are_in_than_the_limit),
        cmocka_unit_test(test_never_more_come_in_than_the_lowered_limit),
    };
    return cmocka_run_group_tests_name("in flight, threads", tests, NULL, NULL);
}
