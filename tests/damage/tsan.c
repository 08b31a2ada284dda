/* SPDX-License-Identifier: MIT */
/* tsan.c: data races between threads at work on one segment, looked for by ThreadSanitizer in the product's own sources.
 *
 * ThreadSanitizer knows threads and addresses, not processes: so threads stand in for the workers, and every handle of this process
 * shares one mapping (mmap is wrapped), or it would take two views of one word for two words.
 *
 * The program runs itself: twice over everything the library does (ASYM and FENCE segments), where no report may come; and with
 * planted races, where one must, or the tool is not looking. */
#include <errno.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "shm/table.h"
#include "work.h"

#define THREADS 6
#define LIVES 12   /* of each thread's place: one ends, the next one starts */
#define STEPS 1500 /* calls in one life */
#define REPORT_STATUS 66

/* ---- one mapping for all handles ---------------------------------------------------------------------------------- */

void *__real_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t bytes);
void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *at, size_t bytes);

static struct {
    pthread_mutex_t lock;
    void *base;
    size_t bytes;
    ino_t inode;
    unsigned users;
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    struct stat file;
    if (fd < 0 || fstat(fd, &file))
        return __real_mmap(at, bytes, protection, flags, fd, offset);
    pthread_mutex_lock(&shared.lock);
    if (shared.users == 0) {
        shared.base = __real_mmap(at, bytes, protection, flags, fd, offset);
        shared.bytes = bytes;
        shared.inode = file.st_ino;
    }
    void *base = shared.base;
    if (file.st_ino != shared.inode || bytes > shared.bytes)
        base = MAP_FAILED;
    shared.users += base != MAP_FAILED;
    pthread_mutex_unlock(&shared.lock);
    return base;
}

int __wrap_munmap(void *at, size_t bytes)
{
    pthread_mutex_lock(&shared.lock);
    bool ours = shared.users && at == shared.base;
    bool last = ours && --shared.users == 0;
    pthread_mutex_unlock(&shared.lock);
    return !ours || last ? __real_munmap(at, ours ? shared.bytes : bytes) : 0;
}

/* ---- the runs --------------------------------------------------------------------------------------------------------- */

struct worker {
    struct work work;
    pthread_t thread;
};

static void *live(void *arg)
{
    struct worker *w = arg;
    for (int i = 0; i < STEPS; i++)
        work_step(&w->work);
    return NULL;
}

static void start(struct worker *w, void *(*body)(void *))
{
    if (pthread_create(&w->thread, NULL, body, w))
        qp_test_must(-EAGAIN, "thread");
}

/* Every thread's place is taken by one thread after another; each ends by itself and gives its slot back. */
static void run_lives(struct worker workers[THREADS], uint64_t lives)
{
    for (int i = 0; i < THREADS; i++)
        start(&workers[i], live);
    for (uint64_t life = 1; life <= lives; life++)
        for (int i = 0; i < THREADS; i++) {
            pthread_join(workers[i].thread, NULL);
            if (life < lives)
                start(&workers[i], live);
        }
}

static int run_sound(const char *segment, bool fence)
{
    /* Few entries: what is deleted must be reused soon. Fewer still at first, so that the segment grows under all of them. */
    struct quipu *q = qp_test_segment_that_grows(segment, 8, 64, THREADS * 4, fence);
    struct quipu_counter handle[WORK_HANDLES];
    struct worker workers[THREADS];
    struct quipu_stat stat;
    char finding[256] = "";
    work_open_handles(q, handle);
    for (int i = 0; i < THREADS; i++)
        workers[i] = (struct worker){.work = {q, segment, handle, (uint64_t)i}};
    run_lives(workers, LIVES * qp_test_scale());
    qp_test_settle(q);
    int error = quipu_check_quiet(q, finding, sizeof finding);
    if (error)
        fprintf(stderr, "at the end: %s: %s\n", quipu_error(error), finding);
    qp_test_must(quipu_stat(q, &stat), "stat");
    if (stat.growths == 0)
        qp_test_must(-ENOSPC, "it has not grown");
    work_close_handles(handle);
    quipu_close(q);
    return error != 0;
}

/* ---- planted races ---------------------------------------------------------------------------------------------------- */

static atomic_bool stop_planted;

/* A count added without an atomic step. */
static void *plain_store(void *arg)
{
    struct worker *w = arg;
    const struct qp_view *view = &w->work.q->view;
    struct qp_key key = qp_key_make(view, "c", 1);
    int error = 0;
    struct qp_entry *entry = qp_table_find(view, &key, &error);
    while (!stop_planted)
        entry->cell[0]++;
    return NULL;
}

/* A reader of the table outside any section, while entries are reused. */
static void *unprotected_walk(void *arg)
{
    struct worker *w = arg;
    const struct qp_view *view = &w->work.q->view;
    int error = 0;
    char bytes[QUIPU_KEY_BYTES_MAX];
    while (!stop_planted) {
        struct qp_key key = qp_key_make(view, bytes, work_churn_key(&w->work, bytes));
        qp_table_find(view, &key, &error);
    }
    return NULL;
}

static int run_planted(const char *segment, void *(*planted)(void *))
{
    struct quipu *q = qp_test_segment(segment, 64, THREADS, false);
    struct work w = {.q = q, .random = 1};
    struct worker bug = {.work = {.q = q, .random = 2}};
    qp_test_must(quipu_add(q, "c", 1, 1), "add");
    start(&bug, planted);
    for (int i = 0; i < STEPS * 4; i++) {
        qp_test_must(quipu_add(q, "c", 1, 1), "add");
        work_churn(&w);
    }
    stop_planted = true;
    pthread_join(bug.thread, NULL);
    quipu_close(q);
    return 0;
}

static int run(const char *what, const char *segment)
{
    if (!strcmp(what, "asym") || !strcmp(what, "fence"))
        return run_sound(segment, *what == 'f');
    return run_planted(segment, !strcmp(what, "store") ? plain_store : unprotected_walk);
}

/* ---- the parent --------------------------------------------------------------------------------------------------------- */

/* Runs this program again for one part, its reports in `output`. Returns its exit status. */
static int run_self(const char *what, const char *segment, const char *tsan_options)
{
    char *const argv[] = {(char *)"tsan", (char *)what, (char *)segment, NULL};
    pid_t child;
    int status = 0;
    setenv("TSAN_OPTIONS", tsan_options, 1);
    if (posix_spawn(&child, "/proc/self/exe", NULL, NULL, argv, environ) || waitpid(child, &status, 0) != child)
        return -1;
    quipu_destroy(segment);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *what;
        const char *options;
        int status;
    } parts[] = {
        {"asym", "exitcode=66 halt_on_error=0 history_size=5", 0},
        {"fence", "exitcode=66 halt_on_error=0 history_size=5", 0},
        {"store", "exitcode=66 halt_on_error=1 log_path=/dev/null", REPORT_STATUS},
        {"walk", "exitcode=66 halt_on_error=1 log_path=/dev/null", REPORT_STATUS},
    };
    if (argc == 3) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* and not a minute more than the parent */
        return run(argv[1], argv[2]);
    }
    int failed = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        int status = run_self(parts[i].what, qp_test_name("tsan"), parts[i].options);
        bool right = status == parts[i].status;
        printf("%-6s exit status %d, expected %d%s\n", parts[i].what, status, parts[i].status, right ? "" : ": FAILED");
        failed += !right;
    }
    return failed != 0;
}
