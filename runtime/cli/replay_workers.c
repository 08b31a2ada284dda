/* SPDX-License-Identifier: MIT */
/* replay_workers.c: the workers of a replay. Request i is worker i mod N's, so every key is shared. Between two steps
 * of time they meet at a board in memory that all of them see; a worker that dies would let the others wait there, so
 * the parent, who learns of it, calls the whole thing off. */
#include "replay_workers.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct board {
    _Atomic uint32_t arrived; /* workers that are done with this step; the last one to come sets it back */
    _Atomic uint32_t step;    /* futex; only grows. Written by the last to arrive, and by who calls it off */
    _Atomic uint32_t off;     /* 1: called off */
    _Atomic int32_t error;    /* of the first call that failed */
    uint8_t denied[];
};

static size_t board_bytes(const struct qp_cli_replay *replay)
{
    return sizeof(struct board) + replay->log->request_count;
}

/* ---- meeting ----------------------------------------------------------------------------------------------------- */

static void wake_all(struct board *board)
{
    atomic_fetch_add(&board->step, 1);
    syscall(SYS_futex, &board->step, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void call_off(struct board *board)
{
    atomic_store(&board->off, 1);
    wake_all(board);
}

/* Waits until all workers are here. False: called off. */
static bool meet(struct board *board, uint32_t worker_count)
{
    uint32_t step = atomic_load(&board->step);
    /* After the step: who sees the one that was counted up to call it off sees that too, and does not wait for the
     * next. */
    if (atomic_load(&board->off))
        return false;
    if (atomic_fetch_add(&board->arrived, 1) + 1 == worker_count) {
        /* Before the others are let go: they come back here. */
        atomic_store(&board->arrived, 0);
        wake_all(board);
    }
    while (atomic_load(&board->step) == step)
        syscall(SYS_futex, &board->step, FUTEX_WAIT, step, NULL, NULL, 0);
    return !atomic_load(&board->off);
}

/* ---- a worker ---------------------------------------------------------------------------------------------------- */

static void show_progress(size_t done, size_t count)
{
    if (count >= 100 && done % (count / 100) == 0)
        fprintf(stderr, "\r%zu of %zu requests", done, count);
}

static int take(const struct qp_cli_replay *replay, const struct qp_cli_request *request)
{
    size_t key_bytes;
    const void *key = qp_cli_key_set_get(&replay->log->keys, request->key, &key_bytes);
    return quipu_take_at(replay->q, key, key_bytes, 1, request->now_ms, NULL);
}

static void work(const struct qp_cli_replay *replay, struct board *board, uint32_t number)
{
    const struct qp_cli_log *log = replay->log;
    int64_t step_ms = (int64_t)replay->step_ms;
    for (size_t i = 0; i < log->request_count; i++) {
        const struct qp_cli_request *request = &log->requests[i];
        if (i && request->now_ms / step_ms != request[-1].now_ms / step_ms && !meet(board, replay->worker_count))
            return;
        if (replay->show_progress && number == 0)
            show_progress(i, log->request_count);
        if (i % replay->worker_count != number)
            continue;
        int denied = take(replay, request);
        if (denied < 0) {
            int32_t none = 0;
            atomic_compare_exchange_strong(&board->error, &none, denied);
            call_off(board);
            return;
        }
        board->denied[i] = (uint8_t)denied;
    }
}

static _Noreturn void be_worker(const struct qp_cli_replay *replay, struct board *board, uint32_t number, pid_t parent)
{
    /* A parent that is killed leaves nobody behind. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent)
        work(replay, board, number);
    quipu_close(replay->q);
    _exit(0);
}

/* ---- the parent -------------------------------------------------------------------------------------------------- */

/* For the handler. */
static struct board *signalled_board;
static volatile sig_atomic_t signalled;

static void on_signal(int number)
{
    signalled = number;
    call_off(signalled_board);
}

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
enum { SIGNAL_COUNT = sizeof signals / sizeof *signals };

static void catch_signals(struct board *board, struct sigaction old[SIGNAL_COUNT])
{
    struct sigaction action = {.sa_handler = on_signal};
    signalled_board = board;
    signalled = 0;
    for (int i = 0; i < SIGNAL_COUNT; i++)
        sigaction(signals[i], &action, &old[i]);
}

static void leave_signals(const struct sigaction old[SIGNAL_COUNT])
{
    for (int i = 0; i < SIGNAL_COUNT; i++)
        sigaction(signals[i], &old[i], NULL);
}

static uint32_t start_workers(const struct qp_cli_replay *replay, struct board *board,
                              const struct sigaction old[SIGNAL_COUNT], pid_t *workers)
{
    pid_t parent = getpid();
    uint32_t started = 0;
    for (; started < replay->worker_count; started++) {
        workers[started] = fork();
        if (workers[started] < 0)
            break;
        if (workers[started] == 0) {
            leave_signals(old);
            be_worker(replay, board, started, parent);
        }
    }
    return started;
}

static void wait_for_workers(struct board *board, const pid_t *workers, uint32_t started, struct qp_cli_replay_end *end)
{
    for (uint32_t left = started; left;) {
        int status;
        pid_t pid = waitpid(-1, &status, 0);
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid < 0)
            break;
        uint32_t number = 0;
        while (number < started && workers[number] != pid)
            number++;
        if (number == started)
            continue;
        left--;
        if (status == 0 || end->worker)
            continue;
        end->worker = (int)number + 1;
        end->worker_signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
        call_off(board);
    }
}

void qp_cli_replay_run(const struct qp_cli_replay *replay, struct qp_cli_replay_end *end)
{
    struct sigaction old[SIGNAL_COUNT];
    pid_t workers[QP_CLI_WORKERS_MAX];
    *end = (struct qp_cli_replay_end){0};
    struct board *board = mmap(NULL, board_bytes(replay), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return;
    end->denied = board->denied;
    fflush(NULL);
    catch_signals(board, old);
    uint32_t started = start_workers(replay, board, old, workers);
    if (started < replay->worker_count) {
        end->error = -errno;
        call_off(board);
    }
    wait_for_workers(board, workers, started, end);
    leave_signals(old);
    if (replay->show_progress)
        fputs("\r\033[K", stderr);
    if (!end->error)
        end->error = atomic_load(&board->error);
    end->signal = signalled;
}

void qp_cli_replay_close(const struct qp_cli_replay *replay, struct qp_cli_replay_end *end)
{
    if (end->denied)
        munmap(end->denied - offsetof(struct board, denied), board_bytes(replay));
}
