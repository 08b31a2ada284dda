/* SPDX-License-Identifier: MIT */
/* take_many.c: several takes, all or none.
 *
 * First every limit is looked at, so that in the common case one that refuses costs nothing; then they are charged
 * one after the other, and when one refuses all the same, those before it are given back. Nobody waits for anybody
 * and nobody tries again, so two that want the same keys in opposite order may both be denied, but neither can be
 * held up.
 *
 * The memory that this needs is asked for at the beginning, for all keys at once. Where the look found an entry, the
 * rest goes straight to it, if it is LIVE in the same life still. */
#include <errno.h>

#include "../shm/error.h"
#include "../shm/limit.h"
#include "take.h"

#define REQUESTS_MAX 64

/* One request at work. */
struct item {
    struct qp_key key;
    uint64_t where; /* as in qp_key_where; 0: it has to be looked up */
    struct qp_take take;
};

static int check(struct quipu *q, const struct quipu_request *requests, size_t count)
{
    if (!q || (!requests && count) || count > REQUESTS_MAX)
        return -EINVAL;
    for (size_t i = 0; i < count; i++) {
        int error = qp_key_check(q, requests[i].key, requests[i].key_bytes);
        if (error || requests[i].struct_bytes != sizeof requests[i] || requests[i].reserved0)
            return error ? error : -EINVAL;
    }
    return 0;
}

/* One look at the clock serves them all. */
static int begin(const struct qp_view *view, const struct quipu_request *requests, size_t count, int64_t now_ms,
                 struct item *items)
{
    uint64_t unix_ms;
    int error = qp_time(view, now_ms, &unix_ms);
    if (error)
        return error;
    uint32_t mask = qp_bucket_mask(view);
    for (size_t i = 0; i < count; i++) {
        items[i].key = qp_key_make(view, requests[i].key, requests[i].key_bytes);
        qp_table_prefetch_head(view, mask, &items[i].key);
        items[i].where = 0;
        items[i].take = qp_take_make(requests[i].n, now_ms, unix_ms);
        items[i].take.quiet = true;
    }
    for (size_t i = 0; i < count; i++)
        qp_table_prefetch_entry(view, mask, &items[i].key);
    return 0;
}

/* The entry of an item where the look found it, NULL: look it up by key. In a section. */
static struct qp_entry *entry_of(const struct quipu *q, const struct item *item)
{
    struct qp_entry *entry = &q->view.entries[(uint32_t)item->where];
    return qp_likely(qp_key_is_at(entry, item->where, item->key.hash)) && !qp_handle_is_stale(q) ? entry : NULL;
}

static void find(const struct qp_view *view, struct item *item)
{
    bool grown; /* then it is looked up by key */
    const struct qp_entry *entry = qp_table_find_known(view, &item->key, &grown);
    item->where = entry ? qp_key_where(qp_load_acquire(&entry->state), qp_entry_index(view, entry)) : 0;
}

/* A look, or a charge, of an entry that was found. QP_TAKE_BY_KEY: nothing was done. In a section. */
static int take_there(struct quipu *q, struct qp_worker *worker, struct item *item)
{
    struct qp_take *take = &item->take;
    struct qp_entry *entry = entry_of(q, item);
    const struct qp_row *row = entry ? qp_take_row(&q->view, entry) : NULL;
    struct qp_verdict verdict;
    if (qp_unlikely(!row))
        return QP_TAKE_BY_KEY;
    if (qp_unlikely(!qp_take_fast(&q->view, entry, row, take->n, take->unix_ms, take->look, &verdict)))
        return qp_take_by_row(worker, entry, row, take);
    take->charged = !take->look;
    qp_take_answer(&verdict, &take->verdict);
    return 0;
}

/* One pass over all of them. looking: nothing is charged, and all are asked even if one refuses. Returns 0, 1 or the
 * first error; *done: how many were charged. */
static int pass(struct quipu *q, struct qp_worker *worker, struct quipu_request *requests, struct item *items,
                size_t count, bool looking, size_t *done)
{
    int result = 0;
    for (size_t i = 0; i < count && result >= 0; i++) {
        struct quipu_request *r = &requests[i];
        struct item *item = &items[i];
        item->take.look = looking || r->n == 0;
        item->take.verdict.shadow_denied = 0;
        qp_grace_enter(&q->view, worker->slot);
        if (looking)
            find(&q->view, item);
        r->result = take_there(q, worker, item);
        qp_grace_exit(worker->slot);
        if (qp_unlikely(r->result == QP_TAKE_BY_KEY))
            r->result = qp_take_whole(q, worker, &item->key, &item->take, &item->where);
        if (r->result >= 0 && (looking || r->result == 1))
            r->verdict = item->take.verdict;
        if (r->result != 0)
            result = r->result;
        if (result && !looking)
            break;
        *done = i + 1;
    }
    return result;
}

/* Gives back what was charged; a window that is over or an entry that has gone since needs nothing. */
static void give_back(struct quipu *q, struct qp_worker *worker, const struct item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct item *item = &items[i];
        if (!item->take.charged)
            continue;
        qp_grace_enter(&q->view, worker->slot);
        struct qp_entry *entry = entry_of(q, item);
        const struct qp_row *row = entry ? qp_take_row(&q->view, entry) : NULL;
        if (row || (!qp_key_find_row(worker, &item->key, QP_KIND_LIMIT, &entry, &row) && entry))
            qp_limit_refund(&q->view, entry, item->take.n, item->take.verdict.epoch, item->take.unix_ms, row->tick);
        qp_grace_exit(worker->slot);
    }
}

/* A denial is counted at those that refused. */
static void count_denials(struct quipu *q, struct qp_worker *worker, const struct quipu_request *requests,
                          const struct item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (qp_likely(requests[i].result != 1 && !items[i].take.verdict.shadow_denied))
            continue;
        qp_grace_enter(&q->view, worker->slot);
        struct qp_entry *entry = entry_of(q, &items[i]);
        if (entry || (!qp_key_find(worker, &items[i].key, &entry) && entry))
            qp_add_relaxed(&entry->denied, 1);
        qp_grace_exit(worker->slot);
    }
}

int quipu_take_many_at(struct quipu *q, struct quipu_request *requests, size_t count, int64_t now_ms)
{
    struct item items[REQUESTS_MAX];
    size_t done = 0;
    int result = check(q, requests, count);
    if (result)
        return result;
    struct qp_worker *worker = qp_thread_worker(q, &result);
    if (!worker)
        return result;
    result = begin(&q->view, requests, count, now_ms, items);
    if (!result)
        result = pass(q, worker, requests, items, count, true, &done);
    if (!result) {
        done = 0;
        result = pass(q, worker, requests, items, count, false, &done);
        if (result)
            give_back(q, worker, items, done);
        for (size_t i = 0; i < count && !result; i++)
            requests[i].verdict = items[i].take.verdict;
    }
    if (result >= 0)
        count_denials(q, worker, requests, items, count);
    return result;
}

int quipu_take_many(struct quipu *q, struct quipu_request *requests, size_t count)
{
    return quipu_take_many_at(q, requests, count, QP_NOW_UNKNOWN);
}
