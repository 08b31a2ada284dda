/* SPDX-License-Identifier: MIT */
/* take.c: taking from limits and giving back. */
#include "take.h"

#include "../shm/bucket.h"
#include "../shm/error.h"
#include "../shm/evict.h"
#include "../shm/stripe.h"
#include "care.h"

int qp_take_begin(const struct qp_view *view, uint64_t n, int64_t now_ms, struct qp_take *take)
{
    *take = qp_take_make(n, now_ms, 0);
    return qp_time(view, now_ms, &take->unix_ms);
}

/* Asks the entry, or a draft of one. */
static int ask(struct qp_worker *worker, struct qp_entry *entry, const struct qp_row *row, struct qp_take *take, uint64_t *met)
{
    const struct qp_view *view = worker->view;
    struct qp_ask question = {.n = take->n,
                              .limit = row && row->limit ? row->limit : QP_LIMIT_NONE,
                              .burst = row ? row->burst : 0,
                              .tick = row ? row->tick : 0,
                              .look = take->look,
                              .force = take->force,
                              .host_only = row && row->scope == QP_SCOPE_HOST,
                              .cpu = (uint32_t)qp_entry_traits(entry) ? qp_stripe_cpu(worker) : 0};
    struct qp_verdict verdict;
    *met = 0;
    for (;;) {
        question.now_ms = take->unix_ms;
        question.fresh = take->fresh;
        int result = qp_limit_take(view, entry, &question, &verdict);
        if (qp_likely(result != QP_LIMIT_ASK_AGAIN)) {
            if (result >= 0) {
                qp_take_answer(&verdict, &take->verdict);
                *met = verdict.met;
            }
            return result;
        }
        result = qp_time_fresh(view, take->now_ms, &take->unix_ms);
        if (result)
            return result;
        take->fresh = true;
    }
}

/* What shadow mode makes of a refusal. */
static int shadowed(const struct qp_row *row, int result, struct qp_take *take)
{
    if (qp_likely(result != 1) || !row || !row->shadow)
        return result;
    take->verdict.shadow_denied = 1;
    return 0;
}

int qp_take_from(struct qp_worker *worker, struct qp_entry *entry, const struct qp_row *row, struct qp_take *take)
{
    if (!row && qp_traits_algorithm(qp_entry_traits(entry)) == QP_ALGORITHM_BUCKET)
        return -ENOENT; /* how much a unit is, only its strategy says */
    uint64_t met;
    int result = ask(worker, entry, row, take, &met);
    /* Stripes are for limits that last a while: of a small one each would have next to nothing. */
    if (qp_unlikely(met) && (!row || row->limit == 0 || row->limit / take->n >= QP_STRIPED_UNITS * worker->view->stripe_cpus))
        qp_stripe_met(worker, entry, take->unix_ms);
    take->charged = result == 0 && !take->look;
    if (qp_likely(take->charged) && qp_traits_algorithm(qp_entry_traits(entry)) != QP_ALGORITHM_BUCKET)
        qp_mark(worker->view, qp_entry_index(worker->view, entry)); /* buckets are of this host alone */
    if (qp_unlikely(result == 1) && !take->look && !take->quiet)
        qp_add_relaxed(&entry->denied, 1);
    return shadowed(row, result, take);
}

/* The first take of a key that is not there: decided on a draft, and published whole with it. What the key had used
 * before it was evicted is read after it was found missing and in the same section: so no eviction of it can end
 * between. */
static int take_new(struct qp_worker *worker, const struct qp_key *key, const struct qp_row *row, struct qp_take *take,
                    struct qp_entry **where)
{
    const struct qp_view *view = worker->view;
    const struct qp_row *same;
    struct qp_birth birth;
    qp_key_birth(view, key, QP_KIND_LIMIT, &birth, &same);
    if (same != row || !row)
        return -EAGAIN; /* the strategies changed */
    struct qp_entry *draft = &birth.draft;
    if (qp_traits_algorithm(draft->traits) == QP_ALGORITHM_BUCKET)
        draft->cell[0] = take->unix_ms * QP_BUCKET_PER_MS;
    qp_evict_recall(view, key->hash, row, take->unix_ms, &birth);
    uint64_t met;
    int result = ask(worker, draft, row, take, &met);
    if (result || take->look)
        return shadowed(row, result, take);
    if (birth.resets && qp_epoch_window(take->verdict.epoch, qp_traits_window_ms(draft->traits)) == birth.window)
        take->verdict.epoch += birth.resets;
    worker->now_ms = take->unix_ms;
    result = qp_entry_create(worker, key, &birth, where);
    take->charged = take->made = result == 1;
    return result == 1 ? 0 : result == 0 ? -EAGAIN : result;
}

int qp_take_by_key(struct qp_worker *worker, const struct qp_key *key, struct qp_take *take, struct qp_entry **where)
{
    for (;;) {
        const struct qp_row *row;
        int error = qp_key_find_row(worker, key, QP_KIND_LIMIT, where, &row);
        if (qp_unlikely(error))
            return error;
        if (qp_likely(*where != NULL))
            return qp_take_from(worker, *where, row, take);
        take->overflow = row->overflow;
        take->shadow = row->shadow != 0;
        error = take_new(worker, key, row, take, where);
        if (error != -EAGAIN)
            return error;
        /* somebody else made the key meanwhile */
    }
}

/* No room, and none to be made: the strategy's overflow policy. */
static int overflow(struct quipu *q, struct qp_take *take)
{
    int result = qp_care_overflow(q, take->overflow);
    if (result == 1) {
        take->verdict.remaining = 0;
        take->verdict.retry_after_ms = take->verdict.reset_ms - (int64_t)take->unix_ms;
        take->verdict.shadow_denied = take->shadow;
    } else if (result == 0) {
        take->verdict.epoch = UINT64_MAX; /* counted nowhere, so not to be given back anywhere */
    }
    return result == 1 && take->shadow ? 0 : result;
}

int qp_take_whole(struct quipu *q, struct qp_worker *worker, const struct qp_key *key, struct qp_take *take,
                  uint64_t *where)
{
    struct qp_entry *entry;
    int result;
    for (uint32_t attempt = 0;; attempt++) {
        entry = NULL;
        *where = 0;
        qp_grace_enter(&q->view, worker->slot);
        result = qp_handle_is_stale(q) ? -ESTALE : qp_take_by_key(worker, key, take, &entry);
        if (result >= 0 && entry)
            *where = qp_key_where(qp_load_relaxed(&entry->state), qp_entry_index(&q->view, entry));
        qp_grace_exit(worker->slot);
        if (qp_likely(result != -QP_EFULL))
            break;
        if (!qp_care_make_room(q, worker, attempt, take->overflow == QP_OVERFLOW_EVICT))
            return overflow(q, take);
    }
    if (take->made)
        qp_care_bystander(q, worker);
    return result;
}

/* ---- the public calls ------------------------------------------------------------------------------------------------ */

int qp_take_by_row(struct qp_worker *worker, struct qp_entry *entry, const struct qp_row *row, struct qp_take *take)
{
    /* The row is the one that the entry knows, but a damaged segment may say anything. */
    if (qp_unlikely(qp_traits_make(row->kind, row->algorithm, row->window_ms) != qp_traits_fixed(qp_entry_traits(entry))))
        return QP_TAKE_BY_KEY;
    return qp_take_from(worker, entry, row, take);
}

int qp_take_rest(struct qp_worker *worker, struct qp_entry *entry, const struct qp_row *row, uint64_t n, int64_t now_ms,
                 uint64_t unix_ms, struct quipu_verdict *out)
{
    struct qp_take take = qp_take_make(n, now_ms, unix_ms);
    struct qp_verdict verdict;
    if (n && (uint32_t)qp_entry_traits(entry) &&
        qp_striped_take_fast(worker->view, entry, row, n, unix_ms, qp_stripe_cpu(worker), &verdict)) {
        qp_mark(worker->view, qp_entry_index(worker->view, entry));
        if (out)
            qp_take_answer(&verdict, out);
        return 0;
    }
    int result = qp_take_by_row(worker, entry, row, &take);
    if (out && (result == 0 || result == 1))
        *out = take.verdict;
    return result;
}

bool qp_take_with_block(const struct qp_view *view, struct qp_entry *entry, const struct qp_row *row, uint64_t ref, uint64_t n,
                        uint64_t unix_ms, bool look, struct qp_verdict *out)
{
    const struct qp_shard *shard = qp_shard_at(view, ref);
    return shard && qp_limit_take_fast(view, entry, row, ref, shard, n, unix_ms, look, out);
}

int qp_take_slowly(struct quipu *q, struct qp_worker *worker, const struct qp_key *key, uint64_t n, int64_t now_ms,
                   uint64_t *where, struct quipu_verdict *out)
{
    struct qp_take take;
    *where = 0;
    int result = qp_take_begin(&q->view, n, now_ms, &take);
    if (!result)
        result = qp_take_whole(q, worker, key, &take, where);
    if (result >= 0 && out)
        *out = take.verdict;
    return result;
}

int quipu_take_at(struct quipu *q, const void *key, size_t key_bytes, uint64_t n, int64_t now_ms,
                  struct quipu_verdict *out)
{
    uint64_t unix_ms, where;
    int result = qp_key_check(q, key, key_bytes);
    if (qp_unlikely(result))
        return result;
    struct qp_worker *worker = qp_thread_worker(q, &result);
    if (qp_unlikely(!worker))
        return result;
    struct qp_key k = qp_key_make(&q->view, key, key_bytes);
    result = qp_time(&q->view, now_ms, &unix_ms);
    if (qp_unlikely(result))
        return result;
    qp_grace_enter(&q->view, worker->slot);
    bool grown;
    struct qp_entry *entry = qp_table_find_known(&q->view, &k, &grown);
    bool there = entry && qp_state_of(qp_load_acquire(&entry->state)) == QP_STATE_LIVE && !qp_handle_is_stale(q);
    result = qp_likely(there) ? qp_take_here(worker, entry, n, now_ms, unix_ms, out) : QP_TAKE_BY_KEY;
    qp_grace_exit(worker->slot);
    return qp_likely(result != QP_TAKE_BY_KEY) ? result : qp_take_slowly(q, worker, &k, n, now_ms, &where, out);
}

int quipu_take(struct quipu *q, const void *key, size_t key_bytes, uint64_t n, struct quipu_verdict *out)
{
    return quipu_take_at(q, key, key_bytes, n, QP_NOW_UNKNOWN, out);
}

int quipu_refund(struct quipu *q, const void *key, size_t key_bytes, uint64_t n, const struct quipu_verdict *of)
{
    struct qp_entry *entry;
    const struct qp_row *row;
    uint64_t unix_ms;
    int result = qp_key_check(q, key, key_bytes);
    if (result || !of)
        return result ? result : -EINVAL;
    struct qp_worker *worker = qp_thread_worker(q, &result);
    if (!worker)
        return result;
    struct qp_key k = qp_key_make(&q->view, key, key_bytes);
    result = qp_time(&q->view, QP_NOW_UNKNOWN, &unix_ms);
    if (result || n == 0 || of->shadow_denied)
        return result ? result : 1;
    qp_grace_enter(&q->view, worker->slot);
    result = qp_handle_is_stale(q) ? -ESTALE : qp_key_find_row(worker, &k, QP_KIND_LIMIT, &entry, &row);
    if (!result)
        result = entry ? qp_limit_refund(&q->view, entry, n, of->epoch, unix_ms, row->tick) : 1;
    qp_grace_exit(worker->slot);
    return result;
}
