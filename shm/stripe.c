/* SPDX-License-Identifier: MIT */
/* stripe.c: finding out which counters are hot, giving them stripes, and summing those. */
#include "stripe.h"

#include "block.h"

/* Another add came between a load and the compare-and-swap right after it so often, as far as one thread remembers. Once or twice is chance. */
#define MET_OFTEN 3
/* A handle whose adds were probed so often is used all the time, by one thread perhaps: some thousand adds. */
#define HANDLE_PROBES 16

uint64_t qp_stripe_sum(const struct qp_view *view, uint64_t traits)
{
    uint64_t sum = 0;
    uint32_t set;
    if (!qp_stripe_set(view, traits, &set))
        return 0;
    for (uint32_t cpu = 0; cpu < view->stripe_cpus; cpu++) {
        const struct qp_stripe *stripe = qp_stripe_at(view, set, cpu);
        sum += qp_load_relaxed(&stripe->plain) + qp_load_relaxed(&stripe->locked);
    }
    return sum;
}

/* Keys that are merely used all the time leave half of the sets to those that are fought for. */
static bool are_scarce(const struct qp_view *view)
{
    uint32_t count = view->class_of[QP_CLASS_STRIPES].count, used = 0;
    for (uint32_t set = 0; set < count; set++)
        used += qp_state_of(qp_load_relaxed(qp_state_at(view, QP_CLASS_STRIPES, set))) != QP_STATE_FREE;
    return used >= (count + 1) / 2;
}

void qp_stripe_promote(struct qp_worker *worker, struct qp_entry *entry, bool contended)
{
    const struct qp_view *view = worker->view;
    uint64_t traits = qp_entry_traits(entry), place = worker->place;
    uint32_t set, index = qp_entry_index(view, entry);
    if ((uint32_t)traits || (!contended && are_scarce(view)))
        return;
    bool claimed = qp_block_claim(worker, QP_CLASS_STRIPES, &set);
    worker->place = place; /* of entries and blocks, which are searched more often */
    if (!claimed)
        return;
    /* Nobody adds to it now: whoever had it for another entry was in a section, and that is over (block.h). */
    for (uint32_t cpu = 0; cpu < view->stripe_cpus; cpu++) {
        struct qp_stripe *stripe = qp_stripe_at(view, set, cpu);
        qp_store_relaxed(&stripe->plain, 0);
        qp_store_relaxed(&stripe->locked, 0);
    }
    qp_store_relaxed(&qp_stripe_set_at(view, set)->dealt[0], 0);
    qp_store_relaxed(&qp_stripe_set_at(view, set)->dealt[1], 0);
    struct qp_block *block = &qp_stripe_set_at(view, set)->block;
    qp_store_relaxed(&block->parent, index);
    qp_store_relaxed(&block->kind, QP_BLOCK_STRIPES);
    qp_store_relaxed(&block->reserved, 0);
    qp_store_relaxed(&block->bytes, 0);
    qp_store_relaxed(&block->reserved1, 0);
    /* Release: the zeros are seen by whoever sees the set; pairs with the acquires in qp_stripe_total and in those who call
     * qp_stripe_add. Killed before: a claim that nothing refers to. Killed after: recovery makes the set LIVE. */
    if (qp_cas_acq_rel(&entry->traits, &traits, traits | qp_block_make(QP_CLASS_STRIPES, set)))
        qp_block_published(worker, QP_CLASS_STRIPES, set, index);
    else
        qp_block_unclaim(worker, QP_CLASS_STRIPES, set); /* somebody else promoted it */
}

/* What a thread remembers of where it met others: a few entries; one that is met less gives way to one that is met more. */
static bool meets_often(struct qp_worker *worker, uint32_t index)
{
    uint32_t at = index % QP_MET;
    if (worker->met[at].index != index && worker->met[at].score) {
        worker->met[at].score--;
        return false;
    }
    worker->met[at].index = index;
    if (++worker->met[at].score < MET_OFTEN)
        return false;
    worker->met[at].score = 0; /* with no set to be had, it is a while until the next try */
    return true;
}

void qp_stripe_met(struct qp_worker *worker, struct qp_entry *entry, uint64_t now_ms)
{
    if (worker->met_s != now_ms / 1000) {
        worker->met_s = now_ms / 1000;
        for (uint32_t i = 0; i < QP_MET; i++)
            worker->met[i].score = 0;
    }
    if (meets_often(worker, qp_entry_index(worker->view, entry)))
        qp_stripe_promote(worker, entry, true);
}

/* A locked add never fails, and so never says that others were there. A probe is a compare-and-swap instead: if it fails, somebody added within
 * the few ns since the load. (Striped64 of Java's LongAdder finds contention in this way with every add.) */
void qp_stripe_probe(struct qp_worker *worker, struct qp_entry *entry, uint64_t n, uint32_t *probes)
{
    uint64_t seen = qp_load_relaxed(&entry->cell[0]);
    bool alone = qp_cas_relaxed(&entry->cell[0], &seen, seen + n);
    worker->probe_in = QP_STRIPE_PROBE_ADDS - 1;
    if (!alone) {
        qp_add_relaxed(&entry->cell[0], n);
        if (meets_often(worker, qp_entry_index(worker->view, entry)))
            qp_stripe_promote(worker, entry, true);
    } else if (probes) {
        /* Threads that share the handle may lose a probe; it is a matter of a few adds more. */
        uint32_t count = qp_load_relaxed(probes) + 1;
        qp_store_relaxed(probes, count);
        if (count % HANDLE_PROBES == 0)
            qp_stripe_promote(worker, entry, false);
    }
}

void qp_stripe_add_locked(struct qp_worker *worker, uint32_t set, uint64_t n)
{
    const struct qp_view *view = worker->view;
    qp_add_relaxed(&qp_stripe_at(view, set, qp_stripe_cpu(worker) % view->stripe_cpus)->locked, n);
}
