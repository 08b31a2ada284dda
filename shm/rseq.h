/* SPDX-License-Identifier: MIT */
/* rseq.h: a plain add to a word that belongs to a CPU, by a restartable sequence (Linux rseq(2); Desnoyers, Turner and Hunter, "Restartable
 * sequences", 2016).
 *
 * The thread tells the kernel where the sequence begins and ends. If it is moved to another CPU, loses this one, or gets a signal before the
 * add, the kernel sends it to the sequence's abort address instead of letting it go on, and nothing was added. The last instruction is the one that
 * adds: so a thread that is killed in here has added or has not, and of two threads on one CPU, in whatever processes, neither overwrites the
 * other's add. That is all a locked add would give, at the price of a plain one, but only among those who add in this way: any other
 * write to such a word may be lost. Stripes have a second word for everybody else (stripe.h).
 *
 * glibc (2.35 and later) registers each thread with the kernel and says where its area is; without it, and in builds for
 * ThreadSanitizer, which would not see these adds, there is none. A single step or a breakpoint within a sequence aborts it each
 * time, so who adds gives up after a few aborts.
 *
 * The kernel looks at the last sequence's descriptor once more when the thread next loses its CPU, long after it is over, and kills the process if it is gone.
 * So what has these descriptors must stay loaded: libquipu.so is linked with -z nodelete, and what the static library is linked into has to be. */
#ifndef QP_SHM_RSEQ_H
#define QP_SHM_RSEQ_H

#include <stddef.h>

#include "atomic.h"

#if defined(__has_include)
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif
#endif

/* Where the kernel keeps the calling thread's CPU up to date, and looks for its sequence. The kernel's ABI (linux/rseq.h). */
struct qp_rseq {
    uint32_t cpu_id_start; /* a CPU's number, always: the present one's, or 0 */
    uint32_t cpu_id;       /* the present CPU's number; something else while the thread is not registered */
    uint64_t rseq_cs;      /* the descriptor of the sequence that the thread is in. May go on naming one that is over */
    uint32_t flags;
};

#define QP_RSEQ_ABORTS_MAX 3

/* QP_NO_RSEQ: built as where there are none, to be tested so. */
#if defined(RSEQ_SIG) && (defined(__x86_64__) || defined(__aarch64__)) && !defined(QP_NO_RSEQ)
#define QP_RSEQ 1
#define QP_RSEQ_SIGNATURE RSEQ_SIG /* four bytes before each abort address; the kernel refuses to go anywhere else */
#else
#define QP_RSEQ 0
#define QP_RSEQ_SIGNATURE 0
#endif

/* An address that only the calling thread has: one instruction, where there are sequences to be had. NULL without QP_RSEQ. */
static inline char *qp_rseq_thread_pointer(void)
{
    char *thread = NULL;
#if QP_RSEQ && defined(__x86_64__)
    __asm__("movq %%fs:0, %0" : "=r"(thread));
#elif QP_RSEQ
    __asm__("mrs %0, tpidr_el0" : "=r"(thread));
#endif
    return thread;
}

/* The calling thread's area, NULL if there is none. */
static inline struct qp_rseq *qp_rseq_of_thread(void)
{
#if QP_RSEQ && !defined(QP_THREAD_SANITIZER)
    return __rseq_size ? (struct qp_rseq *)(void *)(qp_rseq_thread_pointer() + __rseq_offset) : NULL;
#else
    return NULL;
#endif
}

enum qp_rseq_outcome { QP_RSEQ_DONE, QP_RSEQ_ABORTED, QP_RSEQ_ELSEWHERE /* not on that CPU, or not registered */ };

#if QP_RSEQ

/* The descriptor: version and flags 0, the first instruction of the sequence, its length, where to go when it is aborted. */
#define QP_RSEQ_DESCRIPTOR                  \
    ".pushsection __rseq_cs, \"aw\"\n\t" \
    ".balign 32\n"                          \
    "3:\n\t"                               \
    ".long 0, 0\n\t"                       \
    ".quad 1f, 2f - 1f, 4f\n\t"            \
    ".popsection\n\t"

/* It is named to the kernel; 1: the sequence, up to 2:, whose last instruction is what adds; 4: where it is sent when aborted, and before that
 * place the signature, in an instruction that does nothing but trap. */
#if defined(__x86_64__)
#define QP_RSEQ_SEQUENCE                     \
    "leaq 3b(%%rip), %%rax\n\t"             \
    "movq %%rax, %c[cs](%[area])\n"          \
    "1:\n\t"                                \
    "cmpl %[cpu], %c[id](%[area])\n\t"      \
    "jne %l[elsewhere]\n\t"                 \
    "addq %[n], (%[word])\n"                 \
    "2:\n\t"                                \
    ".pushsection __rseq_failure, \"ax\"\n\t" \
    ".byte 0x0f, 0xb9, 0x3d\n\t" /* ud1 SIGNATURE(%rip), %edi */ \
    ".long %c[signature]\n"                  \
    "4:\n\t"                                \
    "jmp %l[aborted]\n\t"                   \
    ".popsection"
#define QP_RSEQ_SCRATCH "rax"
#define QP_RSEQ_ADDEND "er"
#else
#define QP_RSEQ_SEQUENCE                     \
    "adrp x9, 3b\n\t"                       \
    "add x9, x9, :lo12:3b\n\t"              \
    "str x9, [%[area], %[cs]]\n"             \
    "1:\n\t"                                \
    "ldr w9, [%[area], %[id]]\n\t"          \
    "cmp w9, %w[cpu]\n\t"                   \
    "b.ne %l[elsewhere]\n\t"                \
    "ldr x9, [%[word]]\n\t"                 \
    "add x9, x9, %[n]\n\t"                  \
    "str x9, [%[word]]\n"                    \
    "2:\n\t"                                \
    "b 5f\n\t"                              \
    ".inst %c[signature]\n"                  \
    "4:\n\t"                                \
    "b %l[aborted]\n"                        \
    "5:"
#define QP_RSEQ_SCRATCH "x9"
#define QP_RSEQ_ADDEND "r"
#endif

/* Adds n to *word, which belongs to `cpu`. */
static inline __attribute__((always_inline)) enum qp_rseq_outcome qp_rseq_add(struct qp_rseq *area, uint32_t cpu, uint64_t *word,
                                                                            uint64_t n)
{
    __asm__ __volatile__ goto(QP_RSEQ_DESCRIPTOR QP_RSEQ_SEQUENCE
                              :
                              : [area] "r"(area), [cpu] "r"(cpu), [word] "r"(word), [n] QP_RSEQ_ADDEND(n),
                                [cs] "i"(offsetof(struct qp_rseq, rseq_cs)), [id] "i"(offsetof(struct qp_rseq, cpu_id)),
                                [signature] "i"(QP_RSEQ_SIGNATURE)
                              : "memory", "cc", QP_RSEQ_SCRATCH
                              : elsewhere, aborted);
    return QP_RSEQ_DONE;
elsewhere:
    return QP_RSEQ_ELSEWHERE;
aborted:
    return QP_RSEQ_ABORTED;
}

#else

static inline enum qp_rseq_outcome qp_rseq_add(struct qp_rseq *area, uint32_t cpu, uint64_t *word, uint64_t n)
{
    (void)area, (void)cpu, (void)word, (void)n;
    return QP_RSEQ_ELSEWHERE;
}

#endif
#endif
