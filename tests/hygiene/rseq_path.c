/* SPDX-License-Identifier: MIT */
/* rseq_path.c: counts the instructions of an add to a counter with stripes, on the way that callgrind cannot see.
 *
 * A restartable sequence never finishes under single-step: each stop in it aborts it. So the call is stepped through up to the two instructions
 * before the sequence, runs from there to a breakpoint behind it, and is stepped through to its return. The sequence itself
 * is three instructions: compare, branch, add. Where the thread lost its CPU just there, the sequence was aborted: then that call does not
 * count, and another one is looked at.
 *
 * The bound is 5 % above what was counted with gcc 12 for x86-64 when it was set; who makes a way longer argues for it where he raises it. */
#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/handle.h"
#include "shm/rseq.h"
#include "support.h"

#define SKIPPED 77
#define SEQUENCE_INSTRUCTIONS 3
#define PREPARED_BYTES 14 /* at most, of the two instructions that name the sequence to the kernel */
#define TRIES 200
#define SAMPLES 20
#define STEPS_MAX 2000

#if defined(__x86_64__) && QP_RSEQ

static struct quipu *q;
static struct quipu_counter counter;

static int by_handle(void)
{
    return quipu_counter_add(&counter, 1);
}

static int by_key(void)
{
    return quipu_add(q, "hot-key-16-bytes", 16, 1);
}

static const struct way {
    const char *name;
    int (*call)(void);
    uintptr_t begins; /* of the library */
    unsigned set, bound;
} ways[] = {
    {"add_by_handle, striped", by_handle, (uintptr_t)quipu_counter_add, 39, 41},
    {"add_by_key, striped", by_key, (uintptr_t)quipu_add, 318, 333},
};

/* Of the sequence that this thread went through last, as the kernel knows it. */
struct sequence {
    uint32_t version, flags;
    uint64_t start, bytes, abort;
};

/* The kernel forgets it when the thread loses its CPU, so more than one look may be needed. */
static int find_sequence(const struct way *way, struct sequence *out)
{
    struct qp_rseq *area = qp_rseq_of_thread();
    for (int tries = 0; tries < TRIES; tries++) {
        qp_store_relaxed(&area->rseq_cs, 0);
        qp_test_must(way->call(), way->name);
        uint64_t descriptor = qp_load_relaxed(&area->rseq_cs);
        if (descriptor) {
            memcpy(out, (const void *)(uintptr_t)descriptor, sizeof *out);
            return 0;
        }
    }
    return -ENOENT;
}

static uint64_t where(pid_t pid)
{
    struct user_regs_struct regs;
    qp_test_must(ptrace(PTRACE_GETREGS, pid, NULL, &regs) ? -errno : 0, "registers");
    return regs.rip;
}

/* 0: stopped by a trap; 1: by its own signal, or gone. */
static int resume(pid_t pid, int request)
{
    int status;
    if (ptrace(request, pid, NULL, NULL) || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
        return 1;
    return WSTOPSIG(status) != SIGTRAP;
}

/* Runs to an address. 1: it stopped elsewhere. */
static int run_to(pid_t pid, uint64_t address)
{
    struct user_regs_struct regs;
    long word = ptrace(PTRACE_PEEKTEXT, pid, (void *)address, NULL);
    ptrace(PTRACE_POKETEXT, pid, (void *)address, (void *)((word & ~0xffL) | 0xcc));
    int elsewhere = resume(pid, PTRACE_CONT);
    ptrace(PTRACE_POKETEXT, pid, (void *)address, (void *)word);
    if (elsewhere)
        return 1;
    qp_test_must(ptrace(PTRACE_GETREGS, pid, NULL, &regs) ? -errno : 0, "registers");
    if (regs.rip != address + 1)
        return 1;
    regs.rip = address;
    return ptrace(PTRACE_SETREGS, pid, NULL, &regs) != 0;
}

/* Steps until it is in [from, to). Returns the steps, 0: never. */
static unsigned step_to(pid_t pid, uint64_t from, uint64_t to)
{
    for (unsigned steps = 1; steps < STEPS_MAX && !resume(pid, PTRACE_SINGLESTEP); steps++) {
        uint64_t at = where(pid);
        if (at >= from && at < to)
            return steps;
    }
    return 0;
}

/* One call, from its first instruction to the one after its return. 0: aborted, look at another one. */
static unsigned count_call(pid_t pid, const struct way *way, const struct sequence *sequence)
{
    struct user_regs_struct regs;
    if (run_to(pid, way->begins))
        return 0;
    ptrace(PTRACE_GETREGS, pid, NULL, &regs);
    uint64_t returns = (uint64_t)ptrace(PTRACE_PEEKDATA, pid, (void *)regs.rsp, NULL);
    unsigned before = step_to(pid, sequence->start - PREPARED_BYTES, sequence->start);
    uint64_t at = where(pid);
    /* The address of the descriptor is loaded by an instruction of 7 bytes, and stored by one of 4 or 5. */
    if (!before || sequence->start - at > 12 || sequence->start - at < 11 || run_to(pid, sequence->start + sequence->bytes))
        return 0;
    unsigned after = step_to(pid, returns, returns + 1);
    return after ? before + 2 + SEQUENCE_INSTRUCTIONS + after : 0;
}

static pid_t begin(const struct way *way)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        qp_test_must(way->call(), way->name); /* joins */
        for (;;) {
            raise(SIGSTOP);
            qp_test_must(way->call(), way->name);
        }
    }
    qp_test_must(pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) ? -ECHILD : 0, "fork");
    return pid;
}

/* The least of some calls that went through: a signal or another slow day may make one longer. */
static unsigned count(const struct way *way)
{
    struct sequence sequence;
    unsigned least = 0;
    qp_test_must(find_sequence(way, &sequence), "a restartable sequence");
    pid_t pid = begin(way);
    for (int tries = 0, samples = 0; tries < TRIES && samples < SAMPLES; tries++) {
        unsigned counted = count_call(pid, way, &sequence);
        samples += counted != 0;
        if (counted && (!least || counted < least))
            least = counted;
        for (int i = 0; i < 3 && resume(pid, PTRACE_CONT) == 0; i++) {
            /* on to its own stop */
        }
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return least;
}

int main(void)
{
    int failed = 0;
    const char *name = qp_test_name("rseq");
    char path[QP_PATH_BYTES];
    struct quipu_stat stat = {0};
    q = qp_test_segment(name, 1000, 16, false);
    qp_test_must(qp_segment_path(name, path), name);
    unlink(path);
    qp_test_must(quipu_counter_open(q, "hot-key-16-bytes", 16, &counter), "counter_open");
    for (int i = 0; i < 5000; i++)
        qp_test_must(by_handle(), "add");
    qp_test_must(quipu_stat(q, &stat), "stat");
    struct qp_rseq *area = qp_rseq_of_thread();
    if (!area || area->cpu_id >= q->view.stripe_cpus || q->view.fence || !stat.stripes_used) {
        printf("skipped: this system has no restartable sequences (rseq)\n");
        return SKIPPED;
    }
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        unsigned counted = count(&ways[i]);
        bool ok = counted && counted <= ways[i].bound;
        printf("# %s: %u instructions, %u when the bound was set, bound %u\n%s instructions: %s\n", ways[i].name, counted, ways[i].set,
               ways[i].bound, ok ? "ok" : "not ok", ways[i].name);
        failed += !ok;
    }
    return failed != 0;
}

#else

int main(void)
{
    printf("skipped: counted on x86-64 with restartable sequences only\n");
    return SKIPPED;
}

#endif
