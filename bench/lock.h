/* SPDX-License-Identifier: MIT */
/* lock.h: the robust process-shared mutexes of the baselines. */
#ifndef BENCH_LOCK_H
#define BENCH_LOCK_H

#include "bench.h"

#include <errno.h>
#include <pthread.h>

struct bench_lock {
    _Alignas(BENCH_SHARED_ALIGN) pthread_mutex_t mutex;
};

/* In memory that the workers inherit. NULL after bench_error. */
struct bench_lock *bench_locks_make(uint32_t count);
void bench_locks_free(struct bench_lock *locks, uint32_t count);

/* The owner may have died with it: what it guards is as that one left it. */
static inline int bench_lock_take(struct bench_lock *lock)
{
    int error = pthread_mutex_lock(&lock->mutex);
    if (__builtin_expect(error == 0, 1))
        return 0;
    if (error == EOWNERDEAD && pthread_mutex_consistent(&lock->mutex) == 0)
        return 0;
    return bench_error("pthread_mutex_lock: error %d", error);
}

static inline void bench_lock_give(struct bench_lock *lock)
{
    pthread_mutex_unlock(&lock->mutex);
}

#endif
