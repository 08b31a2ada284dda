/* SPDX-License-Identifier: MIT */
/* fork_threads.c: a process with many threads forks, again and again, while they are anywhere in the library: in sections, in
 * upkeep, opening and closing segments, ending. Each child works at once, and nothing is lost or counted twice. */
#include "scenario.h"

#include <pthread.h>

#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER 1
#endif
#endif

#define COUNTERS 300
#define SLOTS 64

static struct quipu *q;
static struct quipu_counter counter;
static uint64_t stop, added; /* added: by the parent's threads on "key" and by handle on "counter", alike */

/* ---- what the parent's threads do ---------------------------------------------------------------------------------------- */

static void *count(void *arg)
{
    (void)arg;
    while (!qp_load_relaxed(&stop)) {
        EXPECT_CODE(0, quipu_add(q, KEY("key"), 1));
        EXPECT_CODE(0, quipu_counter_add(&counter, 1));
        qp_add_relaxed(&added, 1);
    }
    return NULL;
}

static void *churn(void *arg)
{
    uint64_t number = (uintptr_t)arg;
    char key[32];
    for (; !qp_load_relaxed(&stop); number++) {
        snprintf(key, sizeof key, "churn.%d", (int)(number % 100));
        int error = number % 3 ? quipu_add(q, key, strlen(key), 1) : quipu_delete(q, key, strlen(key), NULL);
        EXPECT(error == 0 || error == -ENOENT || error == -QUIPU_EFULL);
        if (number % 50 == 0)
            EXPECT(quipu_upkeep(q, 0) >= 0);
    }
    return NULL;
}

static void *add_once(void *arg)
{
    EXPECT_CODE(0, quipu_add(arg, KEY("short"), 1));
    return NULL;
}

/* Opens, starts a thread that comes and goes, closes. */
static void open_and_close(void)
{
    pthread_t thread;
    struct quipu *mine = scenario_open_again(q);
    EXPECT(pthread_create(&thread, NULL, add_once, mine) == 0);
    EXPECT_CODE(0, quipu_add(mine, KEY("opened"), 1));
    EXPECT(pthread_join(thread, NULL) == 0);
    quipu_close(mine);
}

static void *open_and_close_often(void *arg)
{
    (void)arg;
    while (!qp_load_relaxed(&stop))
        open_and_close();
    return NULL;
}

/* ---- what the children do ----------------------------------------------------------------------------------------------- */

static void work_at_once(void *arg)
{
    uint64_t number = *(uint64_t *)arg;
    alarm(30); /* a lock that nobody will open again ends the scenario */
    EXPECT_CODE(0, quipu_add(q, KEY("key"), 1));
    EXPECT_CODE(0, quipu_counter_add(&counter, 1));
    if (number % 4 == 0)
        open_and_close();
    if (number % 4 == 1)
        EXPECT(quipu_upkeep(q, 0) >= 0);
    if (number % 4 == 2)
        quipu_close(q);
}

/* Nothing that takes a lock of the C library: another thread may have held it when the clone was made. */
static void work_without_handlers(void *arg)
{
    (void)arg;
    alarm(30);
    EXPECT_CODE(0, quipu_add(q, KEY("key"), 1));
    EXPECT_CODE(0, quipu_counter_add(&counter, 1));
    _exit(0);
}

static void fork_beside_threads(pid_t (*make)(scenario_body *, void *), scenario_body *body)
{
    void *(*const work[])(void *) = {count, count, churn, churn, open_and_close_often};
    pthread_t threads[5];
    uint64_t forks = 120 * qp_test_scale();
#if defined(QP_THREAD_SANITIZER)
    scenario_skip("ThreadSanitizer does not follow threads started after a fork of many threads");
#endif
#if defined(ADDRESS_SANITIZER)
    scenario_skip("AddressSanitizer's allocator may be locked for ever in a child forked beside other threads");
#endif
    q = scenario_segment(COUNTERS, SLOTS);
    EXPECT_CODE(0, quipu_counter_open(q, KEY("counter"), &counter));
    for (uintptr_t i = 0; i < 5; i++)
        EXPECT(pthread_create(&threads[i], NULL, work[i], (void *)i) == 0);
    for (uint64_t i = 0; i < forks; i++) {
        pid_t child = make(body, &i);
        if (i % 3)
            scenario_join(child);
        else
            scenario_join(make(body, &i)), scenario_join(child); /* two at once */
    }
    qp_store_relaxed(&stop, 1);
    for (int i = 0; i < 5; i++)
        EXPECT(pthread_join(threads[i], NULL) == 0);
    int64_t expected = (int64_t)(added + forks + (forks + 2) / 3);
    EXPECT(scenario_total(q, "key") == expected);
    EXPECT(scenario_total(q, "counter") == expected);
    EXPECT(scenario_total(q, "opened") == scenario_total(q, "short"));
    quipu_counter_close(&counter);
    scenario_settle(q);
    EXPECT(scenario_stat(q).threads_used == 1);
    EXPECT(scenario_stat(q).processes_used == 1);
    quipu_close(q);
}

static void forks_beside_threads(void)
{
    fork_beside_threads(scenario_fork, work_at_once);
}

static pid_t bare_clone(scenario_body *body, void *arg)
{
    return scenario_clone(0, body, arg);
}

static void clones_beside_threads(void)
{
    fork_beside_threads(bare_clone, work_without_handlers);
}

int main(int argc, char **argv)
{
    const struct scenario scenarios[] = {
        {"a process of many threads forks while they are anywhere", forks_beside_threads},
        {"a process of many threads makes bare clones while they are anywhere", clones_beside_threads},
    };
    return scenario_main(scenarios, sizeof scenarios / sizeof scenarios[0], argc, argv);
}
