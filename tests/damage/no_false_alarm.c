/* SPDX-License-Identifier: MIT */
/* no_false_alarm.c: the check finds nothing beside live writers, whatever they are in the middle of, and whether they are at work,
 * stopped or dead.
 *
 * Writers do a bit of everything, in processes and threads that come and go. Two checkers, one of them read-only, check in a loop. The
 * parent stops one writer after the other, each at a moment of chance, lets both checkers look twice at what it left, and then
 * lets it go on or kills it. At the end it damages one word under the checkers' eyes, and both must say so. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>

#include "guard.h"
#include "work.h"

#define SECONDS 5 /* for each of the two kinds of segment */
#define WRITERS 3
#define CHECKERS 2
#define CHECKS_WHILE_STOPPED 2
#define PAUSE_NS_MAX 2000000

struct board {
    atomic_bool stop_writing;
    struct {
        atomic_ullong checks;
        atomic_bool found;
        char finding[256];
    } checker[CHECKERS];
};

struct scene {
    const char *segment;
    struct board *board;
    pid_t writer[WRITERS];
    pid_t checker[CHECKERS];
    uint64_t random;
    unsigned stops, kills;
};

/* ---- writers ---------------------------------------------------------------------------------------------------------------- */

struct writer {
    struct work work;
    struct board *board;
};

static void *live(void *arg)
{
    struct writer *w = arg;
    for (int i = 0; i < 2000 && !w->board->stop_writing; i++)
        work_step(&w->work);
    return NULL;
}

/* One stay: joins the segment, works in two threads (the second one of them ends and is replaced), leaves. */
static void stay(struct writer *w)
{
    struct quipu_counter handle[WORK_HANDLES];
    qp_test_must(quipu_open(w->work.segment, NULL, &w->work.q), "open");
    work_open_handles(w->work.q, handle);
    w->work.handle = handle;
    for (int i = 0; i < 4; i++) {
        struct writer second = *w;
        pthread_t thread;
        second.work.random = random_next(&w->work.random);
        if (pthread_create(&thread, NULL, live, &second))
            qp_test_must(-EAGAIN, "thread");
        live(w);
        pthread_join(thread, NULL);
    }
    work_close_handles(handle);
    quipu_close(w->work.q);
}

static void write_until_told(const struct scene *scene, uint64_t random)
{
    struct writer w = {.work = {.segment = scene->segment, .random = random}, .board = scene->board};
    while (!scene->board->stop_writing)
        stay(&w);
}

/* ---- checkers --------------------------------------------------------------------------------------------------------------- */

static void check_until_found(const struct scene *scene, unsigned number)
{
    struct quipu_open_options options = {.struct_bytes = sizeof options, .read_only = number == 1};
    struct quipu *q;
    char *finding = scene->board->checker[number].finding;
    qp_test_must(quipu_open(scene->segment, &options, &q), "open");
    while (quipu_check(q, finding, sizeof scene->board->checker[number].finding) == 0)
        scene->board->checker[number].checks++;
    scene->board->checker[number].found = true;
    quipu_close(q);
}

/* ---- the parent ------------------------------------------------------------------------------------------------------------- */

static pid_t spawn(struct scene *scene, void (*run)(const struct scene *, uint64_t), uint64_t number)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody is left behind when this test is killed */
        run(scene, number);
        _exit(0);
    }
    if (child < 0)
        qp_test_must(-errno, "fork");
    return child;
}

static void run_checker(const struct scene *scene, uint64_t number)
{
    check_until_found(scene, (unsigned)number);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* A moment of chance; nothing is waited for. */
static void let_time_pass(struct scene *scene)
{
    struct timespec pause = {.tv_nsec = (long)(random_next(&scene->random) % PAUSE_NS_MAX)};
    nanosleep(&pause, NULL);
}

static bool anyone_found(const struct scene *scene)
{
    return scene->board->checker[0].found || scene->board->checker[1].found;
}

/* Until a checker has done so many more checks, or found something, or died. */
static void wait_for_checks(const struct scene *scene, unsigned number, unsigned long long more)
{
    unsigned long long from = scene->board->checker[number].checks;
    while (scene->board->checker[number].checks < from + more && !scene->board->checker[number].found &&
           waitpid(scene->checker[number], NULL, WNOHANG) == 0)
        sched_yield();
}

/* Stops a writer wherever it is, has it looked at, and lets it go on or kills it and starts another one. */
static void disturb(struct scene *scene)
{
    pid_t *writer = &scene->writer[random_next(&scene->random) % WRITERS];
    int status;
    let_time_pass(scene);
    if (kill(*writer, SIGSTOP) || waitpid(*writer, &status, WUNTRACED) != *writer || !WIFSTOPPED(status))
        qp_test_must(-ESRCH, "a writer is gone");
    scene->stops++;
    for (unsigned i = 0; i < CHECKERS; i++)
        wait_for_checks(scene, i, CHECKS_WHILE_STOPPED);
    if (random_next(&scene->random) % 4) {
        kill(*writer, SIGCONT);
        return;
    }
    scene->kills++;
    kill(*writer, SIGKILL);
    waitpid(*writer, NULL, 0);
    for (unsigned i = 0; i < CHECKERS; i++)
        wait_for_checks(scene, i, CHECKS_WHILE_STOPPED);
    *writer = spawn(scene, write_until_told, random_next(&scene->random));
}

/* Both checkers must find a word that is wrong. Returns how many did not. */
static int damage(struct scene *scene, struct quipu *q)
{
    int blind = 0;
    q->view.header->hot_reserved[5] = 1;
    for (unsigned i = 0; i < CHECKERS; i++) {
        waitpid(scene->checker[i], NULL, 0);
        if (strcmp(scene->board->checker[i].finding, "header: a reserved word is not 0")) {
            printf("checker %u is blind: \"%s\"\n", i, scene->board->checker[i].finding);
            blind++;
        }
    }
    q->view.header->hot_reserved[5] = 0;
    return blind;
}

/* Everyone stops. Returns how many writers did not end well. */
static int end_writers(struct scene *scene)
{
    int failed = 0;
    scene->board->stop_writing = true;
    for (unsigned i = 0; i < WRITERS; i++) {
        int status = -1;
        if (waitpid(scene->writer[i], &status, 0) != scene->writer[i] || status) {
            printf("writer %u ended with status %x\n", i, (unsigned)status);
            failed++;
        }
    }
    return failed;
}

static int run_scene(const char *segment, bool fence, uint64_t seconds)
{
    struct scene scene = {.segment = segment, .random = (uint64_t)getpid()};
    char finding[256] = "";
    int failed = 0;
    scene.board = mmap(NULL, sizeof *scene.board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (scene.board == MAP_FAILED)
        qp_test_must(-errno, "board");
    struct quipu *q = qp_test_segment(segment, 128, 32, fence);
    for (unsigned i = 0; i < WRITERS; i++)
        scene.writer[i] = spawn(&scene, write_until_told, random_next(&scene.random));
    for (unsigned i = 0; i < CHECKERS; i++)
        scene.checker[i] = spawn(&scene, run_checker, i);
    uint64_t end_ns = now_ns() + seconds * 1000000000;
    while (now_ns() < end_ns && !anyone_found(&scene))
        disturb(&scene);
    for (unsigned i = 0; i < CHECKERS; i++)
        if (scene.board->checker[i].found) {
            printf("a false alarm: %s\n", scene.board->checker[i].finding);
            failed++;
        }
    failed += end_writers(&scene);
    if (!failed)
        failed += damage(&scene, q);
    for (unsigned i = 0; i < CHECKERS; i++)
        kill(scene.checker[i], SIGKILL), waitpid(scene.checker[i], NULL, 0);
    qp_test_settle(q);
    if (quipu_check_quiet(q, finding, sizeof finding)) {
        printf("at the end: %s\n", finding);
        failed++;
    }
    printf("%s: %llu checks, %llu of them read-only; %u times a writer was stopped, %u times killed\n",
           fence ? "FENCE" : "ASYM", scene.board->checker[0].checks + scene.board->checker[1].checks,
           scene.board->checker[1].checks, scene.stops, scene.kills);
    quipu_close(q);
    quipu_destroy(segment);
    munmap(scene.board, sizeof *scene.board);
    return failed;
}

static int run(const char *segment, void *arg)
{
    (void)arg;
    return run_scene(segment, false, SECONDS * qp_test_scale()) || run_scene(segment, true, SECONDS * qp_test_scale());
}

int main(void)
{
    return guard_run(run, qp_test_name("no_false_alarm"), NULL);
}
