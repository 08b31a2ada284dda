/* SPDX-License-Identifier: MIT */
/* lock.c: makes the mutexes of the baselines. */
#include "lock.h"

static int locks_init(struct bench_lock *locks, uint32_t count)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    int error = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    if (!error)
        error = pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    for (uint32_t i = 0; i < count && !error; i++)
        error = pthread_mutex_init(&locks[i].mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return error ? bench_error("a robust process-shared mutex: error %d", error) : 0;
}

struct bench_lock *bench_locks_make(uint32_t count)
{
    struct bench_lock *locks = bench_shared_alloc(count * sizeof(*locks));
    if (!locks)
        bench_error("no memory for %u mutexes", count);
    else if (locks_init(locks, count))
        bench_locks_free(locks, count);
    else
        return locks;
    return NULL;
}

void bench_locks_free(struct bench_lock *locks, uint32_t count)
{
    bench_shared_free(locks, count * sizeof(*locks));
}
