/* SPDX-License-Identifier: MIT */
/* reload.c: the library as a plug-in's: loaded late, used by threads that live longer than its dlclose, with forks in between, and
 * loaded again.
 *
 *     reload LIBRARY SEGMENT
 *
 * After dlclose the program still holds what the library gave it: the destructors of its threads' slots, the handlers of fork,
 * the segment that is open. All of that must go on working, for the host's threads end when they like. */
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/quipu.h"

#define ADDS 1000
#define THREADS 4

static struct {
    void *library;
    int (*create)(const char *segment, const struct quipu_create_options *options);
    int (*open)(const char *segment, const struct quipu_open_options *options, struct quipu **out);
    void (*close)(struct quipu *q);
    int (*destroy)(const char *segment);
    int (*add)(struct quipu *q, const void *key, size_t key_bytes, int64_t n);
    int (*get)(struct quipu *q, const void *key, size_t key_bytes, struct quipu_count *out);
    int (*upkeep)(struct quipu *q, uint32_t budget_us);
    int (*stat)(struct quipu *q, struct quipu_stat *out);
} api;

static struct quipu *q;
static const char *segment;
static sem_t may_start, has_counted, may_end;

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    if (api.destroy)
        api.destroy(segment);
    _exit(1);
}

static void must(int result, const char *what)
{
    if (result < 0)
        fail(what);
}

static void *symbol(const char *name)
{
    void *found = dlsym(api.library, name);
    if (!found)
        fail(dlerror());
    return found;
}

static void load(const char *path)
{
    api.library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!api.library)
        fail(dlerror());
    *(void **)&api.create = symbol("quipu_create");
    *(void **)&api.open = symbol("quipu_open");
    *(void **)&api.close = symbol("quipu_close");
    *(void **)&api.destroy = symbol("quipu_destroy");
    *(void **)&api.add = symbol("quipu_add");
    *(void **)&api.get = symbol("quipu_get");
    *(void **)&api.upkeep = symbol("quipu_upkeep");
    *(void **)&api.stat = symbol("quipu_stat");
}

static void count(void)
{
    for (int i = 0; i < ADDS; i++)
        must(api.add(q, "key", 3, 1), "add");
}

/* Counts, lives on until it is told to end, and counts once more then, after dlclose. */
static void *work(void *unused)
{
    sem_wait(&may_start);
    count();
    sem_post(&has_counted);
    sem_wait(&may_end);
    count();
    return unused;
}

static void count_in_a_child(void)
{
    int status;
    pid_t child = fork();
    must(child, "fork");
    if (child == 0) {
        count();
        api.close(q);
        _exit(0);
    }
    if (waitpid(child, &status, 0) != child || status != 0)
        fail("the child did not count and end");
}

static void expect(int64_t total, uint64_t threads, const char *when)
{
    struct quipu_count found;
    struct quipu_stat stat;
    int done;
    while ((done = api.upkeep(q, 0)) > 0) {
    }
    must(done, "upkeep");
    must(api.get(q, "key", 3, &found), "get");
    must(api.stat(q, &stat), "stat");
    if (found.total == total && stat.threads_used == threads)
        return;
    fprintf(stderr, "total %lld of %lld, slots %llu of %llu\n", (long long)found.total, (long long)total,
            (unsigned long long)stat.threads_used, (unsigned long long)threads);
    fail(when);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    pthread_t thread[THREADS];
    segment = argv[2];
    sem_init(&may_start, 0, 0);
    sem_init(&has_counted, 0, 0);
    sem_init(&may_end, 0, 0);
    /* Half of the threads are older than the library: their thread-local storage must have room for it. */
    for (int i = 0; i < THREADS / 2; i++)
        must(-pthread_create(&thread[i], NULL, work, NULL), "pthread_create");

    load(argv[1]);
    struct quipu_create_options options = {.struct_bytes = sizeof options, .counters = 1024, .threads = 16};
    must(api.create(segment, &options), "create");
    must(api.open(segment, NULL, &q), "open");
    for (int i = THREADS / 2; i < THREADS; i++)
        must(-pthread_create(&thread[i], NULL, work, NULL), "pthread_create");
    for (int i = 0; i < THREADS; i++)
        sem_post(&may_start);
    for (int i = 0; i < THREADS; i++)
        sem_wait(&has_counted);
    count_in_a_child();
    expect((THREADS + 1) * ADDS, THREADS + 1, "before dlclose");

    dlclose(api.library);
    count_in_a_child();
    for (int i = 0; i < THREADS; i++)
        sem_post(&may_end);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);

    load(argv[1]);
    count_in_a_child();
    expect((2 * THREADS + 3) * ADDS, 1, "after dlopen again");
    api.close(q);
    must(api.destroy(segment), "destroy");
    dlclose(api.library);
    return 0;
}
