/* SPDX-License-Identifier: MIT */
/* take_many.c: several takes, all or none.
 *
 * First every limit is looked at, so that in the common case one that refuses costs nothing; then they are charged
 * one after the other, and when one refuses all the same, those before it are given back. Nobody waits for anybody
 * and nobody tries again, so two that want the same keys in opposite order may both be denied, but neither can be
 * held up. */
#include <errno.h>

#include "../shm/error.h"
#include "../shm/limit.h"
#include "take.h"

#define REQUESTS_MAX 64

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

/* One pass over all of them. looking: nothing is charged, and all are asked even if one refuses. Returns 0, 1 or the
 * first error; *done: how many were charged. */
static int pass(struct quipu *q, struct qp_worker *worker, struct quipu_request *requests, struct qp_take *takes,
                size_t count, bool looking, size_t *done)
{
    int result = 0;
    for (size_t i = 0; i < count && result >= 0; i++) {
        struct quipu_request *r = &requests[i];
        struct qp_key key = qp_key_make(&q->view, r->key, r->key_bytes);
        uint64_t where;
        takes[i].look = looking || r->n == 0;
        takes[i].quiet = true;
        takes[i].verdict.shadow_denied = 0;
        r->result = qp_take_whole(q, worker, &key, &takes[i], &where);
        if (r->result >= 0 && (looking || r->result == 1))
            r->verdict = takes[i].verdict;
        if (r->result != 0)
            result = r->result;
        if (result && !looking)
            break;
        *done = i + 1;
    }
    return result;
}

/* Gives back what was charged; a window that is over or an entry that has gone since needs nothing. */
static void give_back(struct quipu *q, struct qp_worker *worker, const struct quipu_request *requests,
                      const struct qp_take *takes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct qp_key key = qp_key_make(&q->view, requests[i].key, requests[i].key_bytes);
        struct qp_entry *entry;
        const struct qp_row *row;
        if (!takes[i].charged)
            continue;
        qp_grace_enter(&q->view, worker->slot);
        if (!qp_key_find_row(worker, &key, QP_KIND_LIMIT, &entry, &row) && entry)
            qp_limit_refund(&q->view, entry, takes[i].n, takes[i].verdict.epoch, takes[i].unix_ms, row->tick);
        qp_grace_exit(worker->slot);
    }
}

/* A denial is counted at those that refused. */
static void count_denials(struct quipu *q, struct qp_worker *worker, const struct quipu_request *requests,
                          const struct qp_take *takes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct qp_key key = qp_key_make(&q->view, requests[i].key, requests[i].key_bytes);
        struct qp_entry *entry;
        if (requests[i].result != 1 && !takes[i].verdict.shadow_denied)
            continue;
        qp_grace_enter(&q->view, worker->slot);
        if (!qp_key_find(worker, &key, &entry) && entry)
            qp_add_relaxed(&entry->denied, 1);
        qp_grace_exit(worker->slot);
    }
}

int quipu_take_many_at(struct quipu *q, struct quipu_request *requests, size_t count, int64_t now_ms)
{
    struct qp_take takes[REQUESTS_MAX];
    size_t done = 0;
    int result = check(q, requests, count);
    if (result)
        return result;
    struct qp_worker *worker = qp_thread_worker(q, &result);
    if (!worker)
        return result;
    for (size_t i = 0; i < count && !result; i++)
        result = qp_take_begin(&q->view, requests[i].n, now_ms, &takes[i]);
    if (!result)
        result = pass(q, worker, requests, takes, count, true, &done);
    if (!result) {
        done = 0;
        result = pass(q, worker, requests, takes, count, false, &done);
        if (result)
            give_back(q, worker, requests, takes, done);
        for (size_t i = 0; i < count && !result; i++)
            requests[i].verdict = takes[i].verdict;
    }
    if (result >= 0)
        count_denials(q, worker, requests, takes, count);
    return result;
}

int quipu_take_many(struct quipu *q, struct quipu_request *requests, size_t count)
{
    return quipu_take_many_at(q, requests, count, QP_NOW_UNKNOWN);
}
