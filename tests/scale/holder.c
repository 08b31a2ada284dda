/* SPDX-License-Identifier: MIT */
/* holder.c: the process that is stopped. It enters with its own slot, as every call of the library does. */
#include "holder.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scale.h"
#include "tests/support.h"

static void hold_on_order(struct quipu *q, int order, int done)
{
    char byte;
    int error = 0;
    struct qp_worker *worker = qp_thread_worker(q, &error);
    qp_test_must(error, "holder");
    while (read(order, &byte, 1) == 1) {
        qp_grace_enter(&q->view, worker->slot);
        raise(SIGSTOP);
        qp_grace_exit(worker->slot);
        if (write(done, &byte, 1) != 1)
            _exit(1);
    }
    quipu_close(q);
    _exit(0);
}

void holder_start(struct holder *holder, struct quipu *q)
{
    int order[2], done[2];
    if (pipe(order) || pipe(done))
        scale_fail("pipe: %s", strerror(errno));
    holder->pid = scale_fork();
    if (holder->pid == 0) {
        close(order[1]);
        close(done[0]);
        hold_on_order(q, order[0], done[1]);
    }
    close(order[0]);
    close(done[1]);
    holder->order = order[1];
    holder->done = done[0];
}

void holder_stop_inside(struct holder *holder)
{
    int status;
    if (write(holder->order, "", 1) != 1 || waitpid(holder->pid, &status, WUNTRACED) != holder->pid ||
        !WIFSTOPPED(status))
        scale_fail("the holder does not stop");
}

void holder_continue(struct holder *holder)
{
    char byte;
    if (kill(holder->pid, SIGCONT) || read(holder->done, &byte, 1) != 1)
        scale_fail("the holder does not go on");
}

static void close_pipes(struct holder *holder)
{
    close(holder->order);
    close(holder->done);
}

void holder_end(struct holder *holder)
{
    close_pipes(holder);
    scale_await(holder->pid, "the holder");
}

void holder_kill(struct holder *holder)
{
    int status;
    if (kill(holder->pid, SIGKILL) || waitpid(holder->pid, &status, 0) != holder->pid || !WIFSIGNALED(status))
        scale_fail("the holder does not die");
    close_pipes(holder);
}
