/* SPDX-License-Identifier: MIT */
/* handle.h: what a struct quipu is, and how a thread gets to work on it.
 *
 * Everything about the process and its threads lies in a mapping with MADV_WIPEONFORK. A child (of fork, or of a bare
 * clone that runs no fork handlers) reads zeros there: no slot, no record, an unlocked mutex. So it takes the slow
 * path and joins as a process of its own, and the hot path pays nothing for that.
 *
 * Globals of the library: the list of open segments and its mutex, the thread-exit key (handle.c), the per-thread
 * caches below, and a thread's count of calls (now.c). There are no others. */
#ifndef QP_RUNTIME_HANDLE_H
#define QP_RUNTIME_HANDLE_H

#include <pthread.h>
#include <sys/types.h>

#include "../shm/grace.h"
#include "../shm/process.h"
#include "../shm/rseq.h"
#include "../shm/segment.h"
#include "../shm/view.h"
#include "quipu.h"

/* All that an add by a handle needs of its thread, in one cache line. */
struct qp_quick {
    const void *thread; /* qp_rseq_thread_pointer, if it may add to stripes by restartable sequences: it has rseq, and readers need not fence */
    struct qp_slot *slot;
    struct qp_header *header;
    struct qp_rseq *rseq;
    unsigned char *stripes; /* of `cpu`: the first set's */
    uint64_t cpu;           /* on which it was seen last. Only its sequence finds out where it is now */
    uint64_t strategy;      /* header.strategy, when it looked last */
    uint64_t now;           /* and the epoch then, as in what handles know (handle_counter.c) */
};
_Static_assert(sizeof(struct qp_quick) == 64, "a cache line");

/* One thread of this process on one segment; its number is its slot's. */
struct qp_thread {
    struct qp_quick quick __attribute__((aligned(64)));
    struct qp_worker worker; /* worker.slot NULL: none */
    const void *who;         /* an address that only that thread has */
};

/* In wiped memory. */
struct qp_private {
    pthread_mutex_t lock; /* of this struct; all zeros is unlocked */
    bool joined;
    struct qp_tenant tenant;
    struct qp_thread thread[]; /* one for each slot of the segment */
};

struct quipu {
    struct qp_view view;
    struct qp_private *private_; /* NULL: read-only */
    uint64_t id;                 /* never used twice in a process */
    int fd;
    int lock_fd; /* as in tenant, but survives fork: the child must close its copy. -1: none */
    int lease_fd; /* an agent's, likewise */
    dev_t device; /* which file it is */
    ino_t inode;
    char path[QP_PATH_BYTES]; /* to open it once more, if this process closed our descriptor; empty: opened by descriptor */
    struct quipu *next; /* open segments */
};

/* The last segments this thread worked on. initial-exec: a TLS access without a call, also when the library is loaded
 * late; it is small enough for the room that the loader keeps for such. */
#define QP_THREAD_CACHE 4
struct qp_thread_cache {
    uint64_t id;
    struct qp_thread *thread;
};
extern __thread struct qp_thread_cache qp_thread_cache[QP_THREAD_CACHE] __attribute__((tls_model("initial-exec")));

/* The last one of them to which it added by a handle: found without asking which segment it is. Its first id is no
 * segment's, and 0 is that of a handle that was closed. */
#define QP_ID_NONE UINT64_C(1)
extern __thread struct qp_thread_cache qp_thread_last __attribute__((tls_model("initial-exec")));

/* A descriptor of the segment's file, also after the program closed all that it found open. Negative: a code. */
int qp_handle_fd(struct quipu *q);

/* Registers this thread, and after a fork this process. NULL: *error says why. */
struct qp_worker *qp_thread_worker_slow(struct quipu *q, int *error);

/* This thread's worker. What the cache names may be wiped, or another thread's by now: a child's first thread has its cache from before
 * the fork, and the slot may have come to one of the child's other threads since. */
static inline struct qp_worker *qp_thread_worker(struct quipu *q, int *error)
{
    struct qp_thread_cache *cache = &qp_thread_cache[q->id % QP_THREAD_CACHE];
    if (qp_likely(cache->id == q->id && cache->thread->who == qp_thread_cache))
        return &cache->thread->worker;
    return qp_thread_worker_slow(q, error);
}

static inline bool qp_handle_is_stale(const struct quipu *q)
{
    return qp_unlikely(qp_load_relaxed(&q->view.header->flags) & QP_FLAG_DESTROYED);
}

#endif
