/* SPDX-License-Identifier: MIT */
/* scenario.c: the stage of scenario.h: processes, shared words, segments without a name, and a folder that goes away. */
#include "scenario.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define SKIPPED 77
#define PATIENCE_S 60

/* ---- the program ---------------------------------------------------------------------------------------------------- */

/* Runs one scenario in a child. 0, 1 or 77. */
static int play(const struct scenario *scenario)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        scenario->run();
        exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child)
        return 1;
    if (WIFSIGNALED(status))
        printf("# ended by signal %d\n", WTERMSIG(status));
    int result = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    printf("%s %s\n", result == 0 ? "ok" : result == SKIPPED ? "skipped" : "not ok", scenario->sentence);
    return result == 0 || result == SKIPPED ? result : 1;
}

int scenario_main(const struct scenario *scenarios, size_t count, int argc, char **argv)
{
    size_t played = 0, skipped = 0, failed = 0;
    for (size_t i = 0; i < count; i++) {
        if (argc > 1 && !strstr(scenarios[i].sentence, argv[1]))
            continue;
        int result = play(&scenarios[i]);
        played++;
        skipped += result == SKIPPED;
        failed += result == 1;
    }
    printf("%zu scenarios, %zu skipped, %zu failed\n", played, skipped, failed);
    return failed || !played ? 1 : skipped == played ? SKIPPED : 0;
}

void scenario_skip(const char *why)
{
    printf("# %s\n", why);
    exit(SKIPPED);
}

static _Noreturn void end_badly(void)
{
    printf(" (process %d)\n", (int)getpid());
    fflush(NULL);
    _exit(1);
}

void scenario_fail(const char *file, int line, const char *what)
{
    printf("# %s:%d: not so: %s", basename(file), line, what);
    end_badly();
}

void scenario_fail_code(const char *file, int line, const char *call, int expected, int code)
{
    printf("# %s:%d: %s is %d (%s), not %d (%s)", basename(file), line, call, code, quipu_error(code), expected,
           quipu_error(expected));
    end_badly();
}

/* ---- processes ------------------------------------------------------------------------------------------------------ */

static _Noreturn void live(scenario_body *body, void *arg)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    body(arg);
    fflush(NULL);
    _exit(0);
}

pid_t scenario_fork(scenario_body *body, void *arg)
{
    fflush(NULL);
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0)
        live(body, arg);
    return child;
}

pid_t scenario_clone(int clone_flags, scenario_body *body, void *arg)
{
    fflush(NULL);
    pid_t child = (pid_t)syscall(SYS_clone, clone_flags | SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0)
        live(body, arg);
    return child;
}

void scenario_join(pid_t child)
{
    int status;
    EXPECT(waitpid(child, &status, 0) == child);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

void scenario_kill(pid_t child)
{
    int status;
    kill(child, SIGKILL);
    EXPECT(waitpid(child, &status, 0) == child);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

void scenario_await_stop(pid_t child)
{
    int status;
    EXPECT(waitpid(child, &status, WUNTRACED) == child);
    EXPECT(WIFSTOPPED(status));
}

void *scenario_shared(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(memory != MAP_FAILED);
    return memory;
}

void scenario_await(const uint64_t *word, uint64_t at_least)
{
    const struct timespec moment = {.tv_nsec = 200000};
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    while (qp_load_acquire(word) < at_least) {
        nanosleep(&moment, NULL);
        clock_gettime(CLOCK_MONOTONIC, &now);
        EXPECT(now.tv_sec - start.tv_sec < PATIENCE_S);
    }
}

void scenario_tell(uint64_t *word)
{
    qp_add_seq(word, 1);
}

/* ---- segments ------------------------------------------------------------------------------------------------------- */

struct quipu *scenario_segment(uint32_t counters, uint32_t threads)
{
    const char *name = qp_test_name("scenario");
    char path[QP_PATH_BYTES];
    struct quipu *q = qp_test_segment(name, counters, threads, false);
    EXPECT(qp_segment_path(name, path) == 0);
    unlink(path);
    return q;
}

struct quipu *scenario_open_again(const struct quipu *q)
{
    struct quipu_open_options options = {.struct_bytes = sizeof options, .fd = q->fd};
    struct quipu *again = NULL;
    EXPECT_CODE(0, quipu_open(NULL, &options, &again));
    return again;
}

static void remove_folder(const char *folder)
{
    char path[QP_PATH_BYTES];
    DIR *directory = opendir(folder);
    for (const struct dirent *file; directory && (file = readdir(directory));) {
        snprintf(path, sizeof path, "%s/%s", folder, file->d_name);
        if (unlink(path) && errno == EISDIR && strcmp(file->d_name, ".") && strcmp(file->d_name, ".."))
            rmdir(path);
    }
    if (directory)
        closedir(directory);
    rmdir(folder);
}

/* A process that does nothing but wait for the end of all who have the other end of its pipe, and then cleans up. */
static void keep_clean(const char *folder)
{
    int ends[2];
    EXPECT(pipe2(ends, O_CLOEXEC) == 0);
    pid_t keeper = fork();
    EXPECT(keeper >= 0);
    if (keeper)
        return; /* our copies of both ends stay open until we end */
    char byte;
    setsid();
    close(ends[1]);
    while (read(ends[0], &byte, 1) < 0 && errno == EINTR) {
    }
    remove_folder(folder);
    _exit(0);
}

const char *scenario_folder(void)
{
    static char folder[64];
    if (folder[0])
        return folder;
    snprintf(folder, sizeof folder, "/dev/shm/quipu-scenario.XXXXXX");
    EXPECT(mkdtemp(folder) != NULL);
    EXPECT(chmod(folder, 0755) == 0);
    keep_clean(folder);
    return folder;
}

struct quipu_stat scenario_stat(struct quipu *q)
{
    struct quipu_stat stat;
    EXPECT_CODE(0, quipu_stat(q, &stat));
    return stat;
}

int64_t scenario_total(struct quipu *q, const char *key)
{
    struct quipu_count count;
    EXPECT_CODE(0, quipu_get(q, key, strlen(key), &count));
    return count.total;
}

void scenario_settle(struct quipu *q)
{
    char finding[256] = "";
    qp_test_settle(q);
    if (quipu_check_quiet(q, finding, sizeof finding))
        scenario_fail(__FILE__, __LINE__, finding);
}
