/* SPDX-License-Identifier: MIT */
/* extent.c: following a segment's growth, and growing it. */
#include "extent.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "error.h"
#include "grace.h"
#include "process.h"
#include "table.h"

#define PAGE_BYTES 4096 /* or a multiple: then each is looked at several times */

/* ---- what lies between two counts ------------------------------------------------------------------------------------- */

/* Entries, and for each other class the things and their state words. */
#define RANGES_MAX (1 + 2 * (QP_CLASS_COUNT - 1))

struct range {
    const unsigned char *at;
    uint64_t bytes;
};

static void add_range(struct range *ranges, unsigned *count, const void *base, uint32_t from, uint32_t to, uint32_t bytes)
{
    if (to > from)
        ranges[(*count)++] = (struct range){(const unsigned char *)base + (uint64_t)from * bytes, (uint64_t)(to - from) * bytes};
}

/* From nothing: all that is in use at first, classes that do not grow as well. */
static unsigned ranges_between(const struct qp_view *view, uint32_t from, uint32_t to, struct range ranges[RANGES_MAX])
{
    uint32_t before[QP_CLASS_COUNT] = {0}, after[QP_CLASS_COUNT];
    unsigned count = 0;
    for (unsigned c = 0; c < QP_CLASS_COUNT; c++)
        after[c] = qp_class_count(view, c);
    if (from) {
        memcpy(before, after, sizeof before);
        qp_layout_counts(view->hosts, from, before);
    }
    qp_layout_counts(view->hosts, to, after);
    for (unsigned c = 0; c < QP_CLASS_COUNT; c++) {
        const struct qp_class *k = &view->class_of[c];
        add_range(ranges, &count, k->data, before[c], after[c], k->bytes);
        if (k->states)
            add_range(ranges, &count, k->states, before[c], after[c], sizeof *k->states);
    }
    return count;
}

/* The page is read by a system call that does nothing else: there is no such way to change a signal mask. */
static bool page_is_there(const void *page)
{
    return syscall(SYS_rt_sigprocmask, ~0, page, NULL, _NSIG / 8) == 0 || errno != EFAULT;
}

bool qp_extent_is_there(const void *from, uint64_t bytes)
{
    uintptr_t at = (uintptr_t)from / PAGE_BYTES * PAGE_BYTES, end = (uintptr_t)from + bytes;
    int saved = errno;
    bool there = true;
    for (; there && at < end; at += PAGE_BYTES)
        there = page_is_there((const void *)at);
    errno = saved;
    return there;
}

/* ---- following ---------------------------------------------------------------------------------------------------------- */

/* Entries last: who sees as many as the segment has, does not look here again. */
static void raise_counts(struct qp_view *own, uint32_t counters)
{
    uint32_t count[QP_CLASS_COUNT] = {0};
    qp_layout_counts(own->hosts, counters, count);
    for (unsigned c = QP_CLASS_COUNT; c-- > 0;)
        qp_raise_own(&own->class_of[c].count, count[c]);
    qp_raise_own(&own->entry_count, count[QP_CLASS_ENTRY]);
}

static bool follow_counters(struct qp_view *own, uint64_t counters)
{
    struct range ranges[RANGES_MAX];
    uint32_t mine = qp_load_acquire(&own->entry_count) - 1;
    if (counters <= mine || !qp_layout_is_stage(own->counters, own->counters_max, counters))
        return false;
    unsigned count = ranges_between(own, mine, (uint32_t)counters, ranges);
    for (unsigned i = 0; i < count; i++)
        if (!qp_extent_is_there(ranges[i].at, ranges[i].bytes))
            return false;
    raise_counts(own, (uint32_t)counters);
    return true;
}

static uint32_t power_of_two_to(uint64_t at_most)
{
    return UINT32_C(1) << (63 - __builtin_clzll(at_most));
}

static void follow_heads(struct qp_view *own, uint64_t reserved, uint64_t linked)
{
    uint32_t mine = qp_load_acquire(&own->head_count);
    if (reserved > mine && reserved <= qp_layout_heads(own->counters_max) &&
        qp_extent_is_there(&own->buckets[mine], (reserved - mine) * sizeof *own->buckets))
        qp_raise_own(&own->head_count, (uint32_t)reserved);
    if (linked > qp_bucket_mask(own) && linked <= qp_load_acquire(&own->head_count))
        qp_raise_own(&own->bucket_mask, power_of_two_to(linked) - 1);
}

bool qp_extent_follow(const struct qp_view *view)
{
    struct qp_view *own = (struct qp_view *)view; /* views are this process's own, and these words are nobody else's to write */
    const struct qp_header *header = view->header;
    if (view->counters == view->counters_max)
        return false;
    /* Acquire, pairs with the raises in qp_extent_split. heads_linked first: it is never above a heads_reserved that is
     * read later. Whoever uses the mask that comes of it finds the heads through it, so the links in them are seen. */
    uint64_t linked = qp_load_acquire(&header->heads_linked);
    follow_heads(own, qp_load_acquire(&header->heads_reserved), linked);
    return follow_counters(own, qp_load_acquire(&header->counters_now));
}

struct qp_entry *qp_extent_entry(const struct qp_view *view, uint32_t index)
{
    qp_extent_follow(view);
    return index - 1 < qp_load_acquire(&view->entry_count) - 1 ? &view->entries[index] : NULL;
}

struct qp_block *qp_extent_block(const struct qp_view *view, uint32_t block)
{
    uint32_t c = qp_block_class(block), index = qp_block_index(block);
    if (c < QP_CLASS_TABLE || c >= QP_CLASS_COUNT)
        return NULL;
    qp_extent_follow(view);
    return index < qp_load_acquire(&view->class_of[c].count) ? qp_block_of(view, c, index) : NULL;
}

uint64_t *qp_extent_head(const struct qp_view *view, uint32_t number)
{
    if (number >= qp_load_acquire(&view->head_count))
        qp_extent_follow(view);
    return number < qp_load_acquire(&view->head_count) ? &view->buckets[number] : NULL;
}

/* ---- growing ------------------------------------------------------------------------------------------------------------ */

static int reserve_range(const struct qp_view *view, const struct qp_reserver *reserver, const void *at, uint64_t bytes)
{
    return reserver->reserve(reserver->context, (uint64_t)((const unsigned char *)at - view->base), bytes);
}

int qp_extent_reserve(const struct qp_view *view, uint32_t from, uint32_t to, const struct qp_reserver *reserver)
{
    struct range ranges[RANGES_MAX];
    unsigned count = ranges_between(view, from, to, ranges);
    int error = 0;
    for (unsigned i = 0; i < count && !error; i++)
        error = reserve_range(view, reserver, ranges[i].at, ranges[i].bytes);
    return error;
}

/* The word of hints that was the last one of a class may be said to be full, and is not any more. Killed before, or done
 * again by a process that has not followed yet: the sweep mends it. */
static void open_last_words(const struct qp_view *view, uint32_t counters)
{
    uint32_t count[QP_CLASS_COUNT] = {0};
    qp_layout_counts(view->hosts, counters, count);
    for (unsigned c = 0; c < QP_CLASS_COUNT; c++) {
        uint32_t word = count[c] / 64;
        if (count[c] % 64)
            qp_and_seq(&view->class_of[c].hint_summary[word / 64], ~(UINT64_C(1) << (word % 64)));
    }
}

int qp_extent_grow(const struct qp_view *view, const struct qp_reserver *reserver)
{
    if (qp_extent_follow(view))
        return 1;
    uint64_t mine = qp_entry_count(view) - 1;
    if (mine == view->counters_max)
        return 0;
    if (mine / QP_EXTENT_LOAD_MAX > qp_bucket_mask(view))
        return -QP_EFULL;
    uint32_t next = qp_layout_next((uint32_t)mine, view->counters_max);
    int error = qp_extent_reserve(view, (uint32_t)mine, next, reserver);
    if (error) {
        qp_add_relaxed(&view->header->stat_growths_refused, 1);
        return error;
    }
    uint64_t seen = mine;
    /* Release, pairs with qp_extent_follow: the memory is reserved. Killed before: the next one reserves it again.
     * A failure: somebody has grown meanwhile; or the word is damaged, and is left alone. */
    if (qp_cas_acq_rel(&view->header->counters_now, &seen, next)) {
        qp_add_relaxed(&view->header->stat_growths, 1);
        raise_counts((struct qp_view *)view, next);
        open_last_words(view, (uint32_t)mine);
        return 1;
    }
    qp_extent_follow(view); /* unless another thread, which shares this view, was faster there too */
    return qp_entry_count(view) - 1 > mine ? 1 : -QP_EDAMAGED;
}

/* ---- heads -------------------------------------------------------------------------------------------------------------- */

/* Whether this worker may link heads now. The claim of a process that is gone falls to the next one who asks. */
static bool claim(struct qp_worker *worker, uint64_t *claimed)
{
    uint64_t *word = &worker->view->header->splitter;
    /* Acquire, pairs with the release below: what the last one linked is seen, and how far he came. */
    uint64_t seen = qp_load_acquire(word);
    if (qp_state_of(seen) != QP_STATE_FREE &&
        (qp_state_of(seen) != QP_STATE_CLAIMED || qp_owner_is_current(worker->view, qp_state_argument(seen))))
        return false;
    *claimed = qp_state_next(seen, QP_STATE_CLAIMED, worker->owner);
    return qp_cas_acq_rel(word, &seen, *claimed);
}

static void unclaim(const struct qp_view *view, uint64_t claimed)
{
    qp_cas_acq_rel(&view->header->splitter, &claimed, qp_state_next(claimed, QP_STATE_FREE, 0));
}

void qp_extent_recover(const struct qp_view *view, uint64_t owner)
{
    uint64_t seen = qp_load_acquire(&view->header->splitter);
    if (qp_state_of(seen) == QP_STATE_CLAIMED && qp_state_argument(seen) == owner)
        unclaim(view, seen);
}

/* Links the heads [from, to). Killed on the way: some are linked, which the next one sees, for it looks where each
 * would stand; and none of them is looked up before heads_linked says so. */
static int link_heads(struct qp_worker *worker, uint32_t from, uint32_t to)
{
    int error = 0;
    qp_grace_enter(worker->view, worker->slot);
    for (uint32_t number = from; number < to && !error; number++)
        error = qp_table_link_head(worker->view, number);
    qp_grace_exit(worker->slot);
    return error;
}

/* By who has the claim, so that nobody else writes these words. */
static int link_slice(struct qp_worker *worker, const struct qp_reserver *reserver)
{
    const struct qp_view *view = worker->view;
    struct qp_header *header = view->header;
    uint64_t linked = qp_load_relaxed(&header->heads_linked), buckets = (uint64_t)qp_bucket_mask(view) + 1;
    uint64_t wanted = qp_layout_heads(qp_entry_count(view) - 1);
    /* Also if the words are damaged: heads are linked through those that this view looks up by. */
    if (buckets >= wanted || linked < buckets || linked >= 2 * buckets)
        return 0;
    uint64_t end = linked + QP_SPLIT_HEADS < 2 * buckets ? linked + QP_SPLIT_HEADS : 2 * buckets;
    int error = reserve_range(view, reserver, &view->buckets[linked], (end - linked) * sizeof *view->buckets);
    if (error) {
        qp_add_relaxed(&header->stat_growths_refused, 1);
        return error;
    }
    /* Release, pairs with qp_extent_follow: before any of them can be met. */
    if (qp_load_relaxed(&header->heads_reserved) < end)
        qp_store_release(&header->heads_reserved, end);
    error = link_heads(worker, (uint32_t)linked, (uint32_t)end);
    if (error)
        return error;
    /* Release, pairs with qp_extent_follow: who looks up by them finds them in the list. */
    qp_store_release(&header->heads_linked, end);
    qp_extent_follow(view);
    return 1;
}

int qp_extent_split(struct qp_worker *worker, const struct qp_reserver *reserver)
{
    const struct qp_view *view = worker->view;
    uint64_t claimed;
    qp_extent_follow(view);
    if (qp_bucket_mask(view) + UINT64_C(1) >= qp_layout_heads(qp_entry_count(view) - 1) || !claim(worker, &claimed))
        return 0;
    qp_extent_follow(view);
    int done = link_slice(worker, reserver);
    unclaim(view, claimed);
    return done;
}
