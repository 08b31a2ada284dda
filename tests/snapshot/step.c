/* SPDX-License-Identifier: MIT */
/* step.c: ptrace. */
#include "step.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

/* No call of a scene comes near it. On aarch64 without the LSE atomics a load-exclusive loop never succeeds under
 * single-step, and would end here. */
#define STEPS_MAX 3000000

static void set_phase(enum stage_phase phase)
{
    __atomic_store_n(&stage_page->phase, phase, __ATOMIC_SEQ_CST);
}

static enum stage_phase phase_now(void)
{
    return (enum stage_phase)__atomic_load_n(&stage_page->phase, __ATOMIC_SEQ_CST);
}

static _Noreturn void play(struct stage *stage, const struct part *part)
{
    int64_t ended = 0;
    if (ptrace(PTRACE_TRACEME, 0, 0, 0)) {
        stage_page->refused = errno;
        _exit(77);
    }
    if (part->cast != CAST_FORKED)
        stage->q = part->cast == CAST_OPEN ? stage_open(stage) : NULL;
    if (part->prepare)
        part->prepare(stage, part->action);
    if (part->action->key)
        stage_key(stage, part->action->key);
    raise(SIGSTOP);
    set_phase(STAGE_IN_CALL);
    int result = part->action->act(stage, part->action, &ended);
    set_phase(STAGE_RETURNED);
    stage_page->result = result;
    stage_page->ended = ended;
    raise(SIGSTOP);
    if (stage->q)
        quipu_close(stage->q);
    _exit(0);
}

/* Whether it stopped for a trap. */
static bool wait_for_trap(struct stepped *child)
{
    int status;
    if (waitpid(child->pid, &status, 0) != child->pid)
        qp_test_must(-errno, "waitpid");
    if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP)
        return true;
    child->died_of = WIFSTOPPED(status) ? WSTOPSIG(status) : WIFSIGNALED(status) ? WTERMSIG(status) : SIGCHLD;
    return false;
}

static bool step(struct stepped *child)
{
    return ptrace(PTRACE_SINGLESTEP, child->pid, 0, 0) == 0 && wait_for_trap(child);
}

static _Noreturn void skip(int error)
{
    printf("skipped: this process may not trace its children (%s)\n", strerror(error));
    exit(77);
}

void step_begin(struct stepped *child, struct stage *stage, const struct part *part)
{
    int status;
    memset(child, 0, sizeof *child);
    set_phase(STAGE_PREPARING);
    stage_page->refused = 0;
    child->pid = fork();
    qp_test_must(child->pid < 0 ? -errno : 0, "fork");
    if (child->pid == 0)
        play(stage, part);
    if (waitpid(child->pid, &status, 0) != child->pid || !WIFSTOPPED(status)) {
        if (stage_page->refused)
            skip((int)stage_page->refused);
        qp_test_must(-ECHILD, "the child ended while it got ready");
    }
    if (ptrace(PTRACE_SETOPTIONS, child->pid, 0, PTRACE_O_EXITKILL))
        skip(errno);
    while (phase_now() == STAGE_PREPARING)
        if (!step(child))
            qp_test_must(-ECHILD, "the child cannot be stepped");
}

bool step_once(struct stepped *child)
{
    if (!step(child))
        return false;
    if (phase_now() != STAGE_IN_CALL)
        return false;
    if (++child->steps < STEPS_MAX)
        return true;
    child->died_of = SIGALRM;
    return false;
}

bool step_many(struct stepped *child, uint64_t steps)
{
    while (steps--)
        if (!step_once(child))
            return false;
    return true;
}

static int go_on(const struct stepped *child)
{
    int status = 0;
    if (ptrace(PTRACE_CONT, child->pid, 0, 0) == 0)
        waitpid(child->pid, &status, 0);
    return status;
}

bool step_finish(struct stepped *child)
{
    int status = child->died_of ? 0 : go_on(child);
    if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP)
        return true;
    if (!child->died_of)
        child->died_of = WIFSTOPPED(status) ? WSTOPSIG(status) : WIFSIGNALED(status) ? WTERMSIG(status) : SIGCHLD;
    step_kill(child);
    return false;
}

void step_leave(struct stepped *child)
{
    int status = go_on(child);
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        qp_test_must(-ECHILD, "a child does not leave");
}

uint32_t step_record(const struct stepped *child, const struct stage *stage)
{
    for (uint32_t r = 0; r < stage->view.record_count; r++)
        if (stage->view.records[r].pid == (uint64_t)child->pid && stage->view.records[r].tenancy & 0xff)
            return 1u << r;
    return 0;
}

void step_kill(struct stepped *child)
{
    kill(child->pid, SIGKILL);
    while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

/* ---- where ------------------------------------------------------------------------------------------------------- */

extern const char __executable_start[], etext[];

static uint64_t program_counter(pid_t pid)
{
    struct user_regs_struct registers;
    struct iovec place = {&registers, sizeof registers};
    if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &place))
        return 0;
#if defined(__x86_64__)
    return registers.rip;
#elif defined(__aarch64__)
    return registers.pc;
#else
    return 0;
#endif
}

void step_place(const struct stepped *child, char *text, size_t text_bytes)
{
    char command[128], line[256] = "";
    uint64_t start = (uint64_t)(uintptr_t)__executable_start;
    /* The byte before: of the instruction that was just executed, if it was not a jump. */
    uint64_t at = program_counter(child->pid) - 1;
    if (at < start || at >= (uint64_t)(uintptr_t)etext) {
        snprintf(text, text_bytes, "outside the program (a library)");
        return;
    }
    snprintf(command, sizeof command, "addr2line -sfe /proc/%d/exe 0x%llx 2>&1 | tr '\\n' ' '", (int)getpid(),
             (unsigned long long)(at - start));
    FILE *pipe = popen(command, "r");
    if (!pipe || !fgets(line, sizeof line, pipe))
        line[0] = 0;
    if (pipe)
        pclose(pipe);
    snprintf(text, text_bytes, "+0x%llx %s", (unsigned long long)(at - start), line);
}
