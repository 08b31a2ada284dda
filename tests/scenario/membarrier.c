/* SPDX-License-Identifier: MIT */
/* membarrier.c: processes that may not call membarrier(2), as in some sandboxes: what they create needs no such call, and what
 * needs it they are refused. */
#include "scenario.h"

#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifndef MEMBARRIER_CMD_GET_REGISTRATIONS
#define MEMBARRIER_CMD_GET_REGISTRATIONS (1 << 9) /* Linux 6.3; older headers lack it */
#endif

/* From here on, membarrier(2) is EPERM for this process and its children. */
static void deny_membarrier(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof rules / sizeof rules[0], rules};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0))
        scenario_skip("this process may not filter system calls");
    EXPECT(syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0) < 0 && errno == EPERM);
}

static void skip_without_membarrier(void)
{
    long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    if (commands < 0 || !(commands & MEMBARRIER_CMD_GLOBAL_EXPEDITED))
        scenario_skip("this kernel or sandbox has no membarrier(2) to be denied");
}

/* Keys come and go, many more than there is room for at once, so that everything hangs on grace periods that pass. */
static void churn(void *arg)
{
    struct quipu *q = arg;
    char key[32];
    for (int i = 0; i < 3000; i++) {
        int error;
        snprintf(key, sizeof key, "%d.%d", (int)getpid(), i);
        while ((error = quipu_add(q, key, strlen(key), 1)) == -QUIPU_EFULL)
            sched_yield(); /* until somebody has left his section */
        EXPECT_CODE(0, error);
        while ((error = quipu_delete(q, key, strlen(key), NULL)) == -QUIPU_EFULL)
            sched_yield();
        EXPECT_CODE(0, error);
    }
}

static void what_is_created_without_membarrier_works_without(void)
{
    deny_membarrier();
    struct quipu *q = scenario_segment(300, 8);
    EXPECT(scenario_stat(q).fence == 1);
    pid_t children[2];
    for (int i = 0; i < 2; i++)
        children[i] = scenario_fork(churn, q);
    churn(q);
    for (int i = 0; i < 2; i++)
        scenario_join(children[i]);
    scenario_settle(q);
    EXPECT(scenario_stat(q).counters_used == 0);
    EXPECT(scenario_stat(q).grace_epoch > 10);
    quipu_close(q);
}

static void be_refused(void *arg)
{
    const struct quipu *q = arg;
    struct quipu_open_options options = {.struct_bytes = sizeof options, .fd = q->fd};
    struct quipu *mine = (void *)1;
    deny_membarrier();
    EXPECT_CODE(-QUIPU_EMEMBARRIER, quipu_open(NULL, &options, &mine));
    EXPECT(mine == (void *)1);
    EXPECT(strstr(quipu_error(-QUIPU_EMEMBARRIER), "membarrier") != NULL);
    options.read_only = 1; /* readers of that kind take no part in grace periods */
    EXPECT_CODE(0, quipu_open(NULL, &options, &mine));
    EXPECT(scenario_total(mine, "key") == 1);
    quipu_close(mine);
}

static void what_needs_membarrier_is_refused_without(void)
{
    skip_without_membarrier();
    struct quipu *q = scenario_segment(100, 8);
    EXPECT(scenario_stat(q).fence == 0);
    EXPECT_CODE(0, quipu_add(q, KEY("key"), 1));
    scenario_join(scenario_fork(be_refused, q));
    EXPECT(scenario_stat(q).processes_used == 1);
    scenario_settle(q);
    quipu_close(q);
}

/* The filter comes down when the segment is open already. Nothing is reused any more by this process, and nothing breaks. */
static void be_denied_later(void *arg)
{
    struct quipu *q = arg;
    EXPECT_CODE(0, quipu_add(q, KEY("key"), 1));
    deny_membarrier();
    uint64_t safe = scenario_stat(q).grace_epoch_safe;
    for (int i = 0; i < 50; i++) {
        EXPECT_CODE(0, quipu_add(q, KEY("key"), 1));
        EXPECT_CODE(0, quipu_add(q, KEY("passing"), 1));
        EXPECT_CODE(0, quipu_delete(q, KEY("passing"), NULL));
        EXPECT(quipu_upkeep(q, 0) >= 0);
    }
    EXPECT(scenario_stat(q).grace_epoch_safe == safe);
    EXPECT_CODE(0, quipu_check(q, NULL, 0));
    quipu_close(q);
}

static void one_that_is_denied_membarrier_later_reuses_nothing(void)
{
    skip_without_membarrier();
    struct quipu *q = scenario_segment(100, 8);
    scenario_join(scenario_fork(be_denied_later, q));
    EXPECT(scenario_total(q, "key") == 51);
    scenario_settle(q); /* we may: it all comes back */
    quipu_close(q);
}

/* Registered once, for all children: fork copies it, and without it a writer's barrier would pass them by. */
static void expect_registered(void *arg)
{
    (void)arg;
    long registered = syscall(SYS_membarrier, MEMBARRIER_CMD_GET_REGISTRATIONS, 0, 0);
    EXPECT(registered >= 0 && (registered & MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED));
}

static void children_are_reached_by_the_writers_barrier(void)
{
    skip_without_membarrier();
    struct quipu *q = scenario_segment(100, 8);
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_GET_REGISTRATIONS, 0, 0) < 0)
        scenario_skip("this kernel does not say who is registered for membarrier(2)");
    expect_registered(NULL);
    scenario_join(scenario_fork(expect_registered, NULL));
    scenario_join(scenario_clone(0, expect_registered, NULL));
    quipu_close(q);
}

int main(int argc, char **argv)
{
    const struct scenario scenarios[] = {
        {"what is created where membarrier is denied works without it",
         what_is_created_without_membarrier_works_without},
        {"a segment that needs membarrier is refused where it is denied", what_needs_membarrier_is_refused_without},
        {"one that is denied membarrier later reuses nothing, and breaks nothing",
         one_that_is_denied_membarrier_later_reuses_nothing},
        {"children of fork and clone are reached by the writers' barrier", children_are_reached_by_the_writers_barrier},
    };
    return scenario_main(scenarios, sizeof scenarios / sizeof scenarios[0], argc, argv);
}
