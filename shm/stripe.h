/* SPDX-License-Identifier: MIT */
/* stripe.h: hot counters: a stripe of the count for each CPU, so that adders on different CPUs never meet on a cache line.
 *
 * A counter begins with one cell. When its adders find that they get in each other's way, or that a handle adds to it all the time (probe),
 * one of them gives it a stripe set: claimed, zeroed, and published by one CAS of the entry's traits. Nothing is moved:
 *
 *     count = cell + sum over the CPUs (plain + locked)
 *
 * Each of these words only grows, so an add that still goes to the cell is as good as one that goes to a stripe, a sum taken word by word is
 * never below what was counted when it began nor above what is when it ends, and whoever is killed between any two steps leaves
 * nothing to mend but a claim. A counter is never demoted: its set goes with its entry.
 *
 * Adders add to `plain` by a restartable sequence (rseq.h), and to `locked` if they cannot: no rseq, aborted three times in a row, a CPU
 * that did not exist when the segment was made. The same on a FENCE segment and where an agent is at work: whoever marks an entry needs a full
 * barrier between the add and the look at the mark (mark.h), and the locked add is one. */
#ifndef QP_SHM_STRIPE_H
#define QP_SHM_STRIPE_H

#include "cell.h"
#include "mark.h"
#include "rseq.h"

#define QP_TRAITS_PLAIN (qp_traits_make(QP_KIND_COUNTER, 0, 0))

/* One probe in so many adds of a thread to cells. Prime: whoever counts a few keys in turn probes each of them. */
#define QP_STRIPE_PROBE_ADDS 61

/* The stripe of a set on a CPU; set and cpu within their bounds. */
static inline struct qp_stripe *qp_stripe_at(const struct qp_view *view, uint32_t set, uint32_t cpu)
{
    return (struct qp_stripe *)(void *)(view->stripes + cpu * view->stripe_stride_bytes) + set;
}

/* What is known of a set as a whole. */
static inline struct qp_stripe_set *qp_stripe_set_at(const struct qp_view *view, uint32_t set)
{
    return (struct qp_stripe_set *)(void *)qp_block_of(view, QP_CLASS_STRIPES, set);
}

/* Whether traits name a set, and which: [class 4 | set 28]. Traits come from the segment. */
static inline bool qp_stripe_set(const struct qp_view *view, uint64_t traits, uint32_t *set)
{
    *set = qp_block_index((uint32_t)traits);
    return qp_block_class((uint32_t)traits) == QP_CLASS_STRIPES && *set < view->class_of[QP_CLASS_STRIPES].count;
}

/* What is counted in the stripes that traits name, 0 for none. The traits are loaded (acquire) after whatever the sum is to be no smaller
 * than was published. */
uint64_t qp_stripe_sum(const struct qp_view *view, uint64_t traits);

/* All of a plain counter: cell and stripes. Acquire, pairs with the publishing CAS in stripe.c. */
static inline uint64_t qp_stripe_total(const struct qp_view *view, const struct qp_entry *entry)
{
    uint64_t traits = qp_load_acquire(&entry->traits), cell = qp_load_acquire(&entry->cell[0]);
    return qp_likely((uint32_t)traits == 0) ? cell : cell + qp_stripe_sum(view, traits);
}

/* Gives an entry a stripe set, if it has none and one is to be had. contended: its adders meet; else only while fewer than half of the sets
 * are in use. Inside a section in which the entry was LIVE. */
void qp_stripe_promote(struct qp_worker *worker, struct qp_entry *entry, bool contended);

/* A take met others at its entry: promotes it, once that was so often within a second. As with qp_stripe_promote. */
void qp_stripe_met(struct qp_worker *worker, struct qp_entry *entry, uint64_t now_ms);

/* The CPU that a thread is on, or a number of its own: near which stripe it is. */
static inline uint32_t qp_stripe_cpu(const struct qp_worker *worker)
{
    return worker->rseq ? qp_load_relaxed(&worker->rseq->cpu_id_start) : (uint32_t)(worker->slot - worker->view->slots);
}

/* An add to a cell that also finds out whether others add to it just now. n and probes as in qp_stripe_add. */
void qp_stripe_probe(struct qp_worker *worker, struct qp_entry *entry, uint64_t n, uint32_t *probes);

/* By a locked add, for who cannot do it by a restartable sequence. */
void qp_stripe_add_locked(struct qp_worker *worker, uint32_t set, uint64_t n);

/* Adds n < QP_CELL_SMALL to a plain counter that is LIVE in this section, and marks it. Wait-free: at most three aborts, then one locked add.
 * traits: the entry's, loaded with acquire. probes: where a handle counts its probes, NULL by key. */
static inline __attribute__((always_inline)) void qp_stripe_add(struct qp_worker *worker, struct qp_entry *entry, uint64_t traits, uint64_t n,
                                                                uint32_t *probes)
{
    const struct qp_view *view = worker->view;
    uint32_t set;
    if (qp_likely(qp_stripe_set(view, traits, &set))) {
        struct qp_rseq *area = worker->rseq;
        /* Relaxed look at gossip: as in qp_mark. */
        bool locked = qp_unlikely(!area || view->fence || qp_load_relaxed(&view->header->gossip));
        for (int aborts = 0; qp_likely(!locked) && aborts < QP_RSEQ_ABORTS_MAX; aborts++) {
            uint32_t cpu = qp_load_relaxed(&area->cpu_id_start);
            if (qp_unlikely(cpu >= view->stripe_cpus))
                break;
            if (qp_likely(qp_rseq_add(area, cpu, &qp_stripe_at(view, set, cpu)->plain, n) == QP_RSEQ_DONE))
                return;
        }
        qp_stripe_add_locked(worker, set, n);
    } else if (qp_likely(worker->probe_in--)) {
        qp_add_relaxed(&entry->cell[0], n);
    } else {
        qp_stripe_probe(worker, entry, n, probes);
    }
    qp_mark(view, qp_entry_index(view, entry));
}

#endif
