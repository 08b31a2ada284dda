/* SPDX-License-Identifier: MIT */
/* atomic.h: loads, stores and read-modify-writes on words of the segment, with the order in the name.
 *
 * They are the compiler's builtins, not liburcu's uatomic: the release in Debian 12 has no memory orders (every
 * read-modify-write is a full barrier, every load a volatile access), so ThreadSanitizer could not check the code
 * that ships, and aarch64 would pay for orders that nobody needs. liburcu's words (grace period, publish, retire) are
 * kept.
 *
 * "seq" marks the few places that need a store to be seen before a later load of the same thread (Dekker); both sides
 * are marked, and ORDERING.md has the pairs. Sizes: 64-bit words only, lock-free on every target. */
#ifndef QP_SHM_ATOMIC_H
#define QP_SHM_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

_Static_assert(__GCC_ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics must be lock-free: they are shared between processes");

#define QP_CACHE_LINE_BYTES 64

/* ThreadSanitizer is watching. It does not model standalone fences, so they are locked instructions for it. */
#if defined(__SANITIZE_THREAD__)
#define QP_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define QP_THREAD_SANITIZER 1
#endif
#endif

#define qp_likely(x) __builtin_expect(!!(x), 1)
#define qp_unlikely(x) __builtin_expect(!!(x), 0)

#define qp_load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define qp_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define qp_load_seq(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define qp_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define qp_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define qp_add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define qp_add_seq(p, v) __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
#define qp_or_seq(p, v) __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST)
#define qp_and_seq(p, v) __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST)
#define qp_exchange_seq(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)

/* The compiler keeps accesses on their side; the processor is dealt with elsewhere (membarrier). */
#define qp_compiler_barrier() __asm__ __volatile__("" ::: "memory")

/* Compare and swap. On failure *expected holds what was there. */
static inline bool qp_cas_relaxed(uint64_t *word, uint64_t *expected, uint64_t desired)
{
    return __atomic_compare_exchange_n(word, expected, desired, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static inline bool qp_cas_acq_rel(uint64_t *word, uint64_t *expected, uint64_t desired)
{
    return __atomic_compare_exchange_n(word, expected, desired, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* For a 32-bit word that goes from 0 to something once. */
static inline bool qp_set_once_seq(uint32_t *word, uint32_t value)
{
    uint32_t none = 0;
    return __atomic_compare_exchange_n(word, &none, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static inline bool qp_cas_seq(uint64_t *word, uint64_t *expected, uint64_t desired)
{
    return __atomic_compare_exchange_n(word, expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Store, then a full barrier: later loads of this thread come after the store for everyone. */
static inline void qp_store_fenced(uint64_t *word, uint64_t value)
{
#if defined(__x86_64__) || defined(QP_THREAD_SANITIZER)
    /* One locked instruction is the cheapest full barrier here: mov + mfence costs twice as much. */
    (void)__atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);
#else
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/* A full barrier that is not tied to a word of the protocol. */
static inline void qp_fence_seq(void)
{
#if defined(QP_THREAD_SANITIZER)
    uint64_t word = 0; /* a local one: a shared word would order threads that are not */
    qp_add_seq(&word, 1);
#else
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/* A full barrier right after a read-modify-write by this thread, of whatever order: what it loads next comes after
 * that change for everyone. On x86 the locked instruction was the barrier, and only the compiler is to be held back. */
static inline void qp_fence_after_change(void)
{
#if defined(__x86_64__)
    qp_compiler_barrier();
#else
    qp_fence_seq();
#endif
}

/* Between a look at something that may be reused meanwhile and the second look at the word that says whether it was. */
static inline void qp_fence_acquire(void)
{
#if defined(QP_THREAD_SANITIZER)
    qp_fence_seq();
#else
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
#endif
}

/* Raises a word to at least value; it never falls. */
static inline void qp_raise(uint64_t *word, uint64_t value)
{
    uint64_t seen = qp_load_acquire(word);
    while (seen < value && !qp_cas_acq_rel(word, &seen, value)) {
        /* whoever changed it raised it: at most as many turns as there are raisers */
    }
}

/* The same for a word of this process's own that says how much of the segment may be looked at. */
static inline void qp_raise_own(uint32_t *word, uint32_t value)
{
    uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
    while (seen < value && !__atomic_compare_exchange_n(word, &seen, value, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
    }
}

#endif
