/* SPDX-License-Identifier: MIT */
/* namespaces.c: processes that see the host otherwise: in PID namespaces of their own, or with a file system that is full. As in
 * containers, but without any; where the kernel does not permit it, the scenario is skipped. */
#include "scenario.h"

#include <dirent.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

struct words {
    uint64_t ready;
    uint64_t go_on;
};

static struct quipu *q;
static struct words *words;

static void stand_inside(struct quipu *handle)
{
    int error;
    EXPECT_CODE(0, quipu_add(handle, KEY("key"), 1));
    struct qp_worker *worker = qp_thread_worker(handle, &error);
    qp_grace_enter(&handle->view, worker->slot);
    scenario_tell(&words->ready);
    scenario_await(&words->go_on, UINT64_MAX);
}

static void open_stage(void)
{
    words = scenario_shared(sizeof *words);
    q = scenario_segment(100, 8);
}

static void skip_unless_allowed(pid_t child)
{
    if (child < 0)
        scenario_skip("this process may not make PID namespaces");
}

/* ---- PID namespaces ------------------------------------------------------------------------------------------------------ */

static void live_in_a_namespace(void *arg)
{
    (void)arg;
    EXPECT(getpid() == 1);
    stand_inside(scenario_open_again(q));
}

static void killed_in_another_pid_namespace(void)
{
    open_stage();
    pid_t child = scenario_clone(CLONE_NEWPID, live_in_a_namespace, NULL);
    skip_unless_allowed(child);
    scenario_await(&words->ready, 1);
    for (int i = 0; i < 10; i++)
        EXPECT(quipu_upkeep(q, 0) >= 0);
    EXPECT(scenario_stat(q).recovered_processes == 0); /* its pid says nothing here, and it lives */
    EXPECT(scenario_stat(q).threads_inside == 1);
    scenario_kill(child);
    EXPECT(quipu_upkeep(q, 0) > 0);
    EXPECT(scenario_stat(q).recovered_processes == 1);
    EXPECT(scenario_stat(q).recovered_sections == 1);
    EXPECT(scenario_total(q, "key") == 1);
    scenario_settle(q);
    quipu_close(q);
}

/* Pids of namespaces mean others here: its parent, asked from inside, has the pid of somebody who never dies. */
static void watch_from_a_namespace(void *arg)
{
    (void)arg;
    struct quipu *mine = scenario_open_again(q);
    EXPECT_CODE(0, quipu_add(mine, KEY("key"), 1));
    scenario_tell(&words->ready);
    scenario_await(&words->go_on, 1);
    EXPECT(quipu_upkeep(mine, 0) > 0);
    EXPECT(scenario_stat(mine).recovered_processes == 1);
    EXPECT(scenario_stat(mine).recovered_sections == 1);
    quipu_close(mine);
}

static void live_outside(void *arg)
{
    (void)arg;
    stand_inside(scenario_open_again(q));
}

static void recovered_from_inside_another_pid_namespace(void)
{
    open_stage();
    pid_t watcher = scenario_clone(CLONE_NEWPID, watch_from_a_namespace, NULL);
    skip_unless_allowed(watcher);
    scenario_await(&words->ready, 1);
    pid_t child = scenario_fork(live_outside, NULL);
    scenario_await(&words->ready, 2);
    scenario_kill(child);
    scenario_tell(&words->go_on);
    scenario_join(watcher);
    EXPECT(scenario_total(q, "key") == 2);
    scenario_settle(q);
    quipu_close(q);
}

/* The first process of the namespace, the one to be killed (number 2) and the one that recovers are all inside, while
 * /proc is the host's: numbers looked up there are other processes', and number 2 of a host is a kernel thread. */
static void be_first_in_the_namespace(void *arg)
{
    struct quipu *mine = scenario_open_again(q);
    EXPECT_CODE(0, quipu_add(mine, KEY("key"), 1));
    pid_t child = scenario_fork(live_outside, arg);
    EXPECT(child == 2);
    scenario_await(&words->ready, 1);
    scenario_kill(child);
    EXPECT(quipu_upkeep(mine, 0) > 0);
    EXPECT(scenario_stat(mine).recovered_processes == 1);
    EXPECT(scenario_stat(mine).recovered_sections == 1);
    quipu_close(mine);
}

static void recovered_inside_where_proc_is_the_hosts(void)
{
    open_stage();
    pid_t first = scenario_clone(CLONE_NEWPID, be_first_in_the_namespace, NULL);
    skip_unless_allowed(first);
    scenario_join(first);
    EXPECT(scenario_total(q, "key") == 2);
    scenario_settle(q);
    quipu_close(q);
}

/* ---- a full file system ------------------------------------------------------------------------------------------------- */

static int files_in(const char *folder)
{
    int files = 0;
    DIR *directory = opendir(folder);
    EXPECT(directory != NULL);
    while (readdir(directory))
        files++;
    closedir(directory);
    return files - 2; /* . and .. */
}

static void a_file_system_without_room(void)
{
    char path[128];
    const char *folder = scenario_folder();
    struct quipu_create_options large = {.struct_bytes = sizeof large, .counters = 100000, .threads = 8};
    struct quipu_create_options small = {
        .struct_bytes = sizeof small, .counters = 100, .threads = 8, .strategy_bytes = 4096};
    snprintf(path, sizeof path, "%s/segment", folder);
    /* A mount that only this process sees, and that goes with it. */
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("tmpfs", folder, "tmpfs", 0, "size=1m"))
        scenario_skip("this process may not mount");
    EXPECT_CODE(-ENOSPC, quipu_create(path, &large));
    EXPECT(strstr(quipu_error(-ENOSPC), "no room") != NULL);
    EXPECT(files_in(folder) == 0);
    EXPECT_CODE(0, quipu_create(path, &small)); /* what was reserved on the way has been given back */
    EXPECT_CODE(0, quipu_open(path, NULL, &q));
    EXPECT_CODE(0, quipu_add(q, KEY("key"), 1));
    /* Full or not, what a segment may ever use it has: every key fits. */
    char filler[160], key[16];
    snprintf(filler, sizeof filler, "%s/filler", folder);
    FILE *rest = fopen(filler, "w");
    EXPECT(rest != NULL);
    while (fputs("the file system is full when this fails, and then it is full\n", rest) >= 0 && fflush(rest) == 0) {
    }
    EXPECT(errno == ENOSPC);
    for (int i = 1; i < 100; i++) {
        snprintf(key, sizeof key, "k.%d", i);
        EXPECT_CODE(0, quipu_add(q, key, strlen(key), 1));
    }
    scenario_settle(q);
    quipu_close(q);
    EXPECT_CODE(0, quipu_destroy(path));
    EXPECT(files_in(folder) == 1);
    EXPECT(unlink(filler) == 0);
}

int main(int argc, char **argv)
{
    const struct scenario scenarios[] = {
        {"a process killed in another PID namespace is recovered", killed_in_another_pid_namespace},
        {"a process is recovered from inside another PID namespace", recovered_from_inside_another_pid_namespace},
        {"a process is recovered inside a PID namespace whose /proc is the host's",
         recovered_inside_where_proc_is_the_hosts},
        {"a file system without room is found full at creation, never later", a_file_system_without_room},
    };
    return scenario_main(scenarios, sizeof scenarios / sizeof scenarios[0], argc, argv);
}
