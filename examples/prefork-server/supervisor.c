/* SPDX-License-Identifier: MIT */
/* supervisor.c: the parent of the workers. */
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "worker.h"

enum {
    TICK_MS = 200,
    UPKEEP_US = 5000,  /* of a tick, at most */
    LIFE_MS_MIN = 1000 /* a worker that lived shorter is not replaced before so long after its start */
};

struct seat {
    pid_t pid; /* 0: empty */
    int64_t started_ms;
};

struct supervisor {
    const struct supervisor_options *options;
    struct gate gate; /* q is NULL while there is no segment to be had */
    int life[2];      /* nobody ever writes; workers stop when its writing end, which only the parent has, is closed */
    sigset_t signals;
    sigset_t signals_before;
    struct seat seats[WORKERS_MAX];
};

static int64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "prefork_server: %s: %s\n", what, why);
    return 1;
}

/* ---- workers ----------------------------------------------------------------------------------------------------- */

static void start_worker(struct supervisor *s, struct seat *seat)
{
    seat->started_ms = monotonic_ms();
    pid_t pid = fork();
    if (pid < 0)
        complain("fork", strerror(errno));
    if (pid == 0) {
        close(s->life[1]);
        sigprocmask(SIG_SETMASK, &s->signals_before, NULL);
        signal(SIGINT, SIG_IGN); /* of a terminal: goes to all of them, and the parent sees to it */
        worker_run(&(struct worker_options){.gate = &s->gate,
                                            .listening_fd = s->options->listening_fd,
                                            .life_fd = s->life[0],
                                            .key_is_trusted = s->options->key_is_trusted});
    }
    seat->pid = pid > 0 ? pid : 0;
}

static void fill_seats(struct supervisor *s)
{
    int64_t now_ms = monotonic_ms();
    for (unsigned i = 0; i < s->options->workers && s->gate.q; i++) {
        struct seat *seat = &s->seats[i];
        if (seat->pid == 0 && (seat->started_ms == 0 || now_ms - seat->started_ms >= LIFE_MS_MIN))
            start_worker(s, seat);
    }
}

static void collect_dead(struct supervisor *s)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        for (unsigned i = 0; i < s->options->workers; i++) {
            if (s->seats[i].pid == pid)
                s->seats[i].pid = 0;
        }
        if (WIFSIGNALED(status))
            fprintf(stderr, "prefork_server: worker %d was killed by signal %d\n", (int)pid, WTERMSIG(status));
        else
            fprintf(stderr, "prefork_server: worker %d exited with status %d\n", (int)pid, WEXITSTATUS(status));
    }
}

/* ---- the segment ------------------------------------------------------------------------------------------------- */

/* What dead workers held comes back here. The others may be dead too: whoever else uses the segment. */
static void care(struct supervisor *s)
{
    if (s->gate.q) {
        int done = quipu_upkeep(s->gate.q, UPKEEP_US);
        if (done != -ESTALE) {
            if (done < 0)
                complain("upkeep", quipu_error(done));
            return;
        }
        complain(s->options->gate.segment, "was destroyed; making another one");
        gate_close(&s->gate);
    }
    int error = gate_open(&s->gate, &s->options->gate);
    if (error) {
        complain(s->options->gate.segment, quipu_error(error));
        s->gate.q = NULL;
        return;
    }
    /* Workers have the old one open, until they are replaced. */
    for (unsigned i = 0; i < s->options->workers; i++) {
        if (s->seats[i].pid)
            kill(s->seats[i].pid, SIGTERM);
    }
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static int start(struct supervisor *s)
{
    sigemptyset(&s->signals);
    sigaddset(&s->signals, SIGCHLD);
    sigaddset(&s->signals, SIGTERM);
    sigaddset(&s->signals, SIGINT);
    sigprocmask(SIG_BLOCK, &s->signals, &s->signals_before);
    if (pipe2(s->life, O_CLOEXEC))
        return complain("pipe", strerror(errno));
    int error = gate_open(&s->gate, &s->options->gate);
    return error ? complain(s->options->gate.segment, quipu_error(error)) : 0;
}

static int wait_for_signal(const struct supervisor *s, int64_t until_ms)
{
    int64_t left_ms = until_ms - monotonic_ms();
    if (left_ms < 0)
        left_ms = 0;
    struct timespec timeout = {.tv_sec = left_ms / 1000, .tv_nsec = left_ms % 1000 * 1000000};
    return sigtimedwait(&s->signals, NULL, &timeout);
}

int supervisor_run(const struct supervisor_options *options)
{
    struct supervisor s = {.options = options};
    if (start(&s))
        return 1;
    for (int64_t tick_ms = monotonic_ms();;) {
        fill_seats(&s);
        int signal_number = wait_for_signal(&s, tick_ms);
        if (signal_number == SIGTERM || signal_number == SIGINT)
            break;
        if (signal_number == SIGCHLD)
            collect_dead(&s);
        if (monotonic_ms() >= tick_ms) {
            care(&s);
            tick_ms = monotonic_ms() + TICK_MS;
        }
    }
    close(s.life[1]);
    while (wait(NULL) > 0 || errno == EINTR) {
    }
    gate_close(&s.gate);
    return 0;
}
