/* SPDX-License-Identifier: MIT */
/* main.c: counts an access log by address and by path, in four processes that share every counter. One of
 * them is killed halfway through its share of the lines, and another one goes on where it stopped.
 *
 *     count_log SEGMENT LOG
 *
 * Prints what happened, and as its last line in_flight_line=N, the line that the killed worker was counting,
 * or in_flight_line=none. Exit status: 0, 1 on an error, 4 when no worker could be killed halfway, because
 * all of them were done before. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quipu.h>

#include "request.h"

enum { WORKER_COUNT = 4, EXIT_NO_KILL = 4 };

/* One worker's part of the log, in byte offsets. begun is written before a line is counted, done after it:
 * whoever finds the two different knows that the line between them may have been counted in part. */
struct share {
    uint64_t first;
    uint64_t end;
    _Atomic uint64_t begun; /* end of the last line that somebody began to count */
    _Atomic uint64_t done;  /* end of the last line that was counted */
    _Atomic int heir;       /* the worker that took the share over, or -1 */
};

struct job {
    const char *log;
    uint64_t log_bytes;
    struct quipu *q;
    struct share *shares; /* shared by parent and workers */
    int start[2];         /* workers begin when its writing end is closed */
    int orphans[2];       /* shares whose worker died, an int each; closed when there will be no more */
    pid_t pids[WORKER_COUNT];
};

static void die(const char *what)
{
    fprintf(stderr, "count_log: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- a worker ---------------------------------------------------------------------------------------------------- */

static void count_key(struct quipu *q, const struct request_key *key)
{
    int error = quipu_add(q, key->bytes, key->count, 1);
    if (error) {
        fprintf(stderr, "count_log: %s\n", quipu_error(error));
        _exit(1);
    }
}

static uint64_t line_end(const struct job *job, uint64_t first, uint64_t end)
{
    const char *newline = memchr(job->log + first, '\n', end - first);
    return newline ? (uint64_t)(newline - job->log) + 1 : end;
}

static void count_share(const struct job *job, struct share *share)
{
    struct request request;
    for (uint64_t at = atomic_load(&share->begun); at < share->end;) {
        uint64_t next = line_end(job, at, share->end);
        size_t line_bytes = next - at - (job->log[next - 1] == '\n');
        atomic_store(&share->begun, next);
        if (request_read(job->log + at, line_bytes, &request)) {
            count_key(job->q, &request.address);
            count_key(job->q, &request.path);
        }
        atomic_store(&share->done, next);
        at = next;
    }
}

static void run_worker(const struct job *job, int worker)
{
    char none;
    close(job->start[1]);
    close(job->orphans[1]);
    /* The whole of it is a matter of milliseconds: on a busy machine the parent would be let in when all is done. */
    if (nice(19) < 0)
        _exit(1);
    if (read(job->start[0], &none, 1) < 0)
        _exit(1);
    count_share(job, &job->shares[worker]);

    int orphan;
    while (read(job->orphans[0], &orphan, sizeof orphan) == (ssize_t)sizeof orphan) {
        struct share *share = &job->shares[orphan];
        atomic_store(&share->heir, worker);
        /* The line in flight is left out: what is known is that each of its two adds took place once or not
         * at all. */
        atomic_store(&share->done, atomic_load(&share->begun));
        count_share(job, share);
    }
    quipu_close(job->q);
    _exit(0);
}

/* ---- the parent -------------------------------------------------------------------------------------------------- */

static void map_log(struct job *job, const char *path)
{
    struct stat stat;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &stat))
        die(path);
    if (stat.st_size == 0) {
        fprintf(stderr, "count_log: %s: is empty\n", path);
        exit(1);
    }
    job->log_bytes = (uint64_t)stat.st_size;
    job->log = mmap(NULL, job->log_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (job->log == MAP_FAILED)
        die(path);
    close(fd);
}

static void make_shares(struct job *job)
{
    job->shares = mmap(NULL, WORKER_COUNT * sizeof *job->shares, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (job->shares == MAP_FAILED)
        die("mmap");
    uint64_t at = 0;
    for (int i = 0; i < WORKER_COUNT; i++) {
        struct share *share = &job->shares[i];
        uint64_t middle = job->log_bytes * (uint64_t)(i + 1) / WORKER_COUNT;
        share->first = at;
        share->end = middle > at ? line_end(job, middle - 1, job->log_bytes) : at;
        atomic_init(&share->begun, at);
        atomic_init(&share->done, at);
        atomic_init(&share->heir, -1);
        at = share->end;
    }
}

static void start_workers(struct job *job)
{
    if (pipe2(job->start, O_CLOEXEC) || pipe2(job->orphans, O_CLOEXEC))
        die("pipe2");
    for (int i = 0; i < WORKER_COUNT; i++) {
        job->pids[i] = fork();
        if (job->pids[i] < 0)
            die("fork");
        if (job->pids[i] == 0)
            run_worker(job, i);
    }
    close(job->start[0]);
    close(job->start[1]);
}

/* Kills a worker that is seen in the middle of a line, with half of its share or more behind it. Watches
 * without a pause, as the whole of it is a matter of milliseconds. Returns the worker, or -1 when all were
 * done before. */
static int kill_one(const struct job *job)
{
    for (int finished = 0; finished < WORKER_COUNT;) {
        finished = 0;
        for (int i = 0; i < WORKER_COUNT; i++) {
            struct share *share = &job->shares[i];
            uint64_t done = atomic_load(&share->done);
            uint64_t begun = atomic_load(&share->begun);
            finished += done == share->end;
            if (begun == done || (done - share->first) * 2 < share->end - share->first)
                continue;
            if (kill(job->pids[i], SIGKILL))
                die("kill");
            return i;
        }
        /* No worker ends by itself before the orphans' pipe is closed. */
        if (waitpid(-1, NULL, WNOHANG) > 0) {
            fprintf(stderr, "count_log: a worker gave up\n");
            exit(1);
        }
    }
    return -1;
}

/* Where the dead worker was: begun and done, as they will stay until its heir goes on. */
struct wreck {
    int worker;
    uint64_t begun;
    uint64_t done;
};

static struct wreck await_death(struct job *job, int victim)
{
    int status;
    if (waitpid(job->pids[victim], &status, 0) < 0)
        die("waitpid");
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
        fprintf(stderr, "count_log: worker %d did not die of the signal\n", victim + 1);
        exit(1);
    }
    job->pids[victim] = -1;
    struct share *share = &job->shares[victim];
    return (struct wreck){victim, atomic_load(&share->begun), atomic_load(&share->done)};
}

static void hand_over(const struct job *job, int orphan)
{
    if (write(job->orphans[1], &orphan, sizeof orphan) != (ssize_t)sizeof orphan)
        die("write");
}

static void wait_for_all(struct job *job)
{
    close(job->orphans[1]);
    for (int i = 0; i < WORKER_COUNT; i++) {
        int status;
        if (job->pids[i] < 0)
            continue;
        if (waitpid(job->pids[i], &status, 0) < 0)
            die("waitpid");
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            exit(1);
    }
    for (int i = 0; i < WORKER_COUNT; i++) {
        if (atomic_load(&job->shares[i].done) != job->shares[i].end) {
            fprintf(stderr, "count_log: share %d was left unfinished\n", i + 1);
            exit(1);
        }
    }
}

static uint64_t count_lines(const struct job *job, uint64_t first, uint64_t end)
{
    uint64_t lines = 0;
    for (uint64_t at = first; at < end; at = line_end(job, at, end))
        lines++;
    return lines;
}

static void report(const struct job *job, const struct wreck *wreck)
{
    const struct share *share = &job->shares[wreck->worker];
    printf("Worker %d of %d was killed (SIGKILL) with %llu of its %llu lines done; worker %d did the rest.\n",
           wreck->worker + 1, WORKER_COUNT, (unsigned long long)count_lines(job, share->first, wreck->done),
           (unsigned long long)count_lines(job, share->first, share->end), atomic_load(&share->heir) + 1);
    if (wreck->begun == wreck->done)
        puts("in_flight_line=none");
    else
        printf("in_flight_line=%llu\n", (unsigned long long)count_lines(job, 0, wreck->done) + 1);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return fprintf(stderr, "Usage: count_log SEGMENT LOG\n"), 1;
    struct job job;
    map_log(&job, argv[2]);
    make_shares(&job);
    int error = quipu_open(argv[1], NULL, &job.q);
    if (error)
        return fprintf(stderr, "count_log: %s: %s\n", argv[1], quipu_error(error)), 1;

    start_workers(&job);
    int victim = kill_one(&job);
    struct wreck wreck = {.worker = victim};
    if (victim >= 0) {
        wreck = await_death(&job, victim);
        hand_over(&job, victim);
    }
    wait_for_all(&job);
    quipu_close(job.q);
    /* The signal may have come a moment after the worker's last line: then it was no death halfway. */
    if (victim < 0 || wreck.done == job.shares[victim].end)
        return EXIT_NO_KILL;
    report(&job, &wreck);
    return 0;
}
