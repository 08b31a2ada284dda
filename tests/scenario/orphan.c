/* SPDX-License-Identifier: MIT */
/* orphan.c: a process that dies is seen to be dead though its children live on with what they inherited; and one that lives
 * is seen to live though it closed every descriptor it had. */
#include "scenario.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct words {
    uint64_t ready;  /* raised by the orphan when it is where it should be */
    uint64_t go_on;  /* what it waits for */
    uint64_t orphan; /* its pid */
};

static struct quipu *q; /* the watcher's own */
static struct words *words;

/* What the child has done with its parent's handle before the parent dies. */
enum touch { FORKED, FORKED_AND_ADDED, CLONED_AND_ADDED, CLONED_AND_CLOSED, EXECUTED };

struct parent {
    enum touch touch;
};

static struct qp_worker *worker_on(struct quipu *handle)
{
    int error;
    struct qp_worker *worker = qp_thread_worker(handle, &error);
    EXPECT(worker != NULL);
    return worker;
}

/* ---- parents that die before their children ----------------------------------------------------------------------------- */

static void be_the_orphan(enum touch touch, struct quipu *inherited)
{
    if (touch == CLONED_AND_ADDED || touch == FORKED_AND_ADDED)
        EXPECT_CODE(0, quipu_add(inherited, KEY("key"), 1));
    if (touch == CLONED_AND_CLOSED)
        quipu_close(inherited);
    qp_store_release(&words->orphan, (uint64_t)getpid());
    scenario_tell(&words->ready);
    if (touch == EXECUTED)
        execlp("sleep", "sleep", "60", (char *)NULL);
    scenario_await(&words->go_on, 1);
    if (touch == FORKED || touch == FORKED_AND_ADDED || touch == CLONED_AND_ADDED)
        EXPECT_CODE(0, quipu_add(inherited, KEY("key"), 1));
    fflush(NULL);
    _exit(touch == EXECUTED);
}

/* Joins as a process of its own, makes the child, and stands inside a section until it is killed. */
static void be_the_parent(void *arg)
{
    enum touch touch = ((struct parent *)arg)->touch;
    struct quipu *mine = scenario_open_again(q);
    EXPECT_CODE(0, quipu_add(mine, KEY("key"), 1));
    qp_grace_enter(&mine->view, worker_on(mine)->slot);
    bool bare = touch == CLONED_AND_ADDED || touch == CLONED_AND_CLOSED;
    pid_t child = bare ? (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL) : fork();
    EXPECT(child >= 0);
    if (child == 0)
        be_the_orphan(touch, mine);
    scenario_await(&words->go_on, UINT64_MAX);
}

static void a_parent_dies_and_its_child_lives_on(enum touch touch)
{
    struct parent parent = {touch};
    words = scenario_shared(sizeof *words);
    q = scenario_segment(100, 8);
    EXPECT_CODE(0, quipu_add(q, KEY("key"), 1));
    EXPECT(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0); /* the orphan becomes ours */
    pid_t child = scenario_fork(be_the_parent, &parent);
    scenario_await(&words->ready, 1);
    EXPECT(scenario_stat(q).threads_inside == 1);
    scenario_kill(child);
    EXPECT(quipu_upkeep(q, 0) > 0);
    EXPECT(scenario_stat(q).recovered_processes == 1);
    EXPECT(scenario_stat(q).recovered_sections == 1);
    EXPECT(scenario_stat(q).threads_inside == 0);
    pid_t orphan = (pid_t)words->orphan;
    EXPECT(kill(orphan, 0) == 0);
    scenario_tell(&words->go_on);
    if (touch == EXECUTED)
        scenario_kill(orphan);
    else
        scenario_join(orphan);
    int64_t adds[] = {
        [FORKED] = 3, [FORKED_AND_ADDED] = 4, [CLONED_AND_ADDED] = 4, [CLONED_AND_CLOSED] = 2, [EXECUTED] = 2};
    EXPECT(scenario_total(q, "key") == adds[touch]);
    scenario_settle(q);
    quipu_close(q);
}

static void a_forked_child_that_never_called_anything(void)
{
    a_parent_dies_and_its_child_lives_on(FORKED);
}

static void a_forked_child_at_work(void)
{
    a_parent_dies_and_its_child_lives_on(FORKED_AND_ADDED);
}

static void a_cloned_child_at_work(void)
{
    a_parent_dies_and_its_child_lives_on(CLONED_AND_ADDED);
}

static void a_cloned_child_that_closed_the_handle(void)
{
    a_parent_dies_and_its_child_lives_on(CLONED_AND_CLOSED);
}

static void a_child_that_is_another_program_now(void)
{
    a_parent_dies_and_its_child_lives_on(EXECUTED);
}

/* The process is the same, and lives; the program that was at work in it does not. */
static void become_another_program(void *arg)
{
    (void)arg;
    struct quipu *mine = scenario_open_again(q);
    EXPECT_CODE(0, quipu_add(mine, KEY("key"), 1));
    qp_grace_enter(&mine->view, worker_on(mine)->slot);
    execlp("sleep", "sleep", "60", (char *)NULL);
}

static void a_worker_that_executes_another_program(void)
{
    q = scenario_segment(100, 8);
    pid_t child = scenario_fork(become_another_program, NULL);
    /* It is recovered from the moment on when the other program has its stack; until then it lives. */
    for (int tries = 0; scenario_stat(q).recovered_processes == 0; tries++) {
        EXPECT(quipu_upkeep(q, 0) >= 0);
        EXPECT(tries < 10000);
        usleep(1000);
    }
    EXPECT(scenario_stat(q).recovered_processes == 1);
    EXPECT(scenario_stat(q).recovered_sections == 1);
    EXPECT(scenario_stat(q).threads_inside == 0);
    scenario_kill(child); /* alive until now */
    scenario_settle(q);
    quipu_close(q);
}

/* ---- daemons: everything is closed first ---------------------------------------------------------------------------------- */

/* As daemon(3) and its many imitators: no descriptor survives, and other files get the numbers. */
static void close_everything(void)
{
    setsid();
    EXPECT(close_range(0, ~0u, 0) == 0);
    for (int fd = 0; fd < 40; fd++)
        EXPECT(open("/dev/null", O_RDWR) == fd);
}

static void numbers_are_others_files(void)
{
    for (int fd = 0; fd < 40; fd++)
        EXPECT(fcntl(fd, F_GETFD) >= 0); /* nobody closed them as if they were his own */
}

struct daemon {
    struct quipu *handle;
    bool joined_before; /* has worked before it closes everything */
    bool named;         /* the segment can be opened again by its name */
};

static void be_a_daemon(void *arg)
{
    struct daemon *daemon = arg;
    struct quipu *inherited = daemon->handle;
    if (daemon->joined_before)
        EXPECT_CODE(0, quipu_add(inherited, KEY("key"), 1));
    close_everything();
    int added = quipu_add(inherited, KEY("key"), 1);
    if (!daemon->named && !daemon->joined_before) {
        /* The file cannot be found any more, so nobody could see that this process lives: it is refused. */
        EXPECT(added < 0);
        numbers_are_others_files();
        quipu_close(inherited);
        numbers_are_others_files();
        return;
    }
    EXPECT_CODE(0, added);
    qp_grace_enter(&inherited->view, worker_on(inherited)->slot);
    scenario_tell(&words->ready);
    scenario_await(&words->go_on, 1);
    EXPECT(worker_on(inherited)->slot->epoch != 0); /* nobody took it for dead */
    qp_grace_exit(worker_on(inherited)->slot);
    EXPECT_CODE(0, quipu_add(inherited, KEY("key"), 1));
    EXPECT(quipu_upkeep(inherited, 0) >= 0);
    numbers_are_others_files();
    scenario_tell(&words->ready);
    scenario_await(&words->go_on, 2);
    qp_grace_enter(&inherited->view, worker_on(inherited)->slot);
    scenario_tell(&words->ready);
    scenario_await(&words->go_on, UINT64_MAX);
}

/* The daemon works, is looked at by others, goes on, and is killed. */
static void watch(struct daemon *daemon)
{
    words = scenario_shared(sizeof *words);
    struct quipu *watcher = q;
    pid_t child = scenario_fork(be_a_daemon, daemon);
    scenario_await(&words->ready, 1);
    for (int i = 0; i < 20; i++)
        EXPECT(quipu_upkeep(watcher, 0) >= 0);
    EXPECT(scenario_stat(watcher).recovered_processes == 0);
    EXPECT(scenario_stat(watcher).threads_inside == 1);
    scenario_tell(&words->go_on);
    scenario_await(&words->ready, 2);
    scenario_tell(&words->go_on);
    scenario_await(&words->ready, 3);
    scenario_kill(child);
    EXPECT(quipu_upkeep(watcher, 0) > 0);
    EXPECT(scenario_stat(watcher).recovered_processes == 1);
    EXPECT(scenario_stat(watcher).recovered_sections == 1);
    EXPECT(scenario_total(watcher, "key") == 2 + daemon->joined_before);
    scenario_settle(watcher);
}

static void open_named(const char *path)
{
    struct quipu_create_options options = {
        .struct_bytes = sizeof options, .counters = 100, .threads = 8, .strategy_bytes = 4096};
    EXPECT_CODE(0, quipu_create(path, &options));
    EXPECT_CODE(0, quipu_open(path, NULL, &q));
}

static void a_daemon_that_closed_everything_before_its_first_call(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/daemon", scenario_folder());
    open_named(path);
    watch(&(struct daemon){.handle = q, .named = true});
    quipu_close(q);
}

static void a_daemon_that_closed_everything_after_its_first_call(void)
{
    q = scenario_segment(100, 8);
    watch(&(struct daemon){.handle = q, .joined_before = true});
    quipu_close(q);
}

static void a_daemon_whose_segment_has_no_name_any_more(void)
{
    q = scenario_segment(100, 8);
    struct daemon daemon = {.handle = q};
    scenario_join(scenario_fork(be_a_daemon, &daemon));
    EXPECT_CODE(0, quipu_add(q, KEY("key"), 1));
    scenario_settle(q);
    quipu_close(q);
}

/* Another segment may stand under the name by then: the daemon must not join that one with the old one's memory. */
static void a_daemon_whose_segments_name_was_taken(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/taken", scenario_folder());
    open_named(path);
    EXPECT(unlink(path) == 0);
    struct quipu_create_options options = {.struct_bytes = sizeof options, .counters = 10, .threads = 4};
    EXPECT_CODE(0, quipu_create(path, &options));
    struct daemon daemon = {.handle = q};
    scenario_join(scenario_fork(be_a_daemon, &daemon));
    quipu_close(q);
}

int main(int argc, char **argv)
{
    const struct scenario scenarios[] = {
        {"a dead parent is recovered while a forked child lives that never called anything",
         a_forked_child_that_never_called_anything},
        {"a dead parent is recovered while a forked child works", a_forked_child_at_work},
        {"a dead parent is recovered while a cloned child works", a_cloned_child_at_work},
        {"a dead parent is recovered while a cloned child lives that closed the handle",
         a_cloned_child_that_closed_the_handle},
        {"a dead parent is recovered while its child runs another program", a_child_that_is_another_program_now},
        {"a worker that executes another program is recovered while that runs", a_worker_that_executes_another_program},
        {"a daemon that closed everything before its first call works and lives",
         a_daemon_that_closed_everything_before_its_first_call},
        {"a daemon that closed everything after its first call works and lives",
         a_daemon_that_closed_everything_after_its_first_call},
        {"a daemon that cannot find its segment's file again is refused", a_daemon_whose_segment_has_no_name_any_more},
        {"a daemon does not join another segment that took the name", a_daemon_whose_segments_name_was_taken},
    };
    return scenario_main(scenarios, sizeof scenarios / sizeof scenarios[0], argc, argv);
}
