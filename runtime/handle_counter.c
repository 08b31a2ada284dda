/* SPDX-License-Identifier: MIT */
/* handle_counter.c: struct quipu_counter, a key looked up once. The fastest way to count.
 *
 * A handle remembers its entry's index and state word. An add compares that word, inside a section, and adds: if the
 * entry left meanwhile, or is leaving, or its strategy changed, the words differ, and the add goes by key and
 * remembers anew. */
#include <errno.h>
#include <stdlib.h>

#include "../shm/error.h"
#include "take.h"

/* The words of struct quipu_counter. Constant after open, but for where. */
struct counter {
    struct quipu *q;
    uint64_t where; /* qp_key_where; relaxed: any value is checked against the entry before use */
    uint64_t hash;
    void *key; /* a copy */
    uint64_t key_bytes;
    uint64_t unused[3];
};
_Static_assert(sizeof(struct counter) == sizeof(struct quipu_counter), "the handle's words");

static struct counter *counter_of(struct quipu_counter *c)
{
    return (struct counter *)(void *)c;
}

static struct qp_key key_of(const struct counter *counter)
{
    return (struct qp_key){counter->key, (uint32_t)counter->key_bytes, counter->hash};
}

int quipu_counter_open(struct quipu *q, const void *key, size_t key_bytes, struct quipu_counter *out)
{
    int error = qp_key_check(q, key, key_bytes);
    if (error || !out)
        return error ? error : -EINVAL;
    if (!q->private_)
        return -QP_EREADONLY;
    void *copy = malloc(key_bytes);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, key, key_bytes);
    struct qp_key k = qp_key_make(&q->view, key, key_bytes);
    *counter_of(out) = (struct counter){.q = q, .hash = k.hash, .key = copy, .key_bytes = key_bytes};
    return 0;
}

void quipu_counter_close(struct quipu_counter *c)
{
    if (!c)
        return;
    free(counter_of(c)->key);
    memset(c, 0, sizeof *c);
}

static __attribute__((noinline)) int add_by_key(struct counter *counter, struct qp_worker *worker, int64_t n,
                                                int64_t now_ms)
{
    struct qp_key key = key_of(counter);
    uint64_t where = 0;
    if (n < 0)
        return -EINVAL;
    int error = qp_key_add_whole(counter->q, worker, &key, n, now_ms, &where);
    qp_store_relaxed(&counter->where, where);
    return error;
}

int quipu_counter_add_at(struct quipu_counter *c, int64_t n, int64_t now_ms)
{
    struct counter *counter = counter_of(c);
    struct quipu *q = counter->q;
    int error = 0;
    if (qp_unlikely(!q))
        return -EINVAL;
    struct qp_worker *worker = qp_thread_worker(q, &error);
    if (qp_unlikely(!worker))
        return error;
    uint64_t where = qp_load_relaxed(&counter->where);
    struct qp_entry *entry = &q->view.entries[(uint32_t)where];
    qp_grace_enter(&q->view, worker->slot);
    if (qp_likely((uint64_t)n < (uint64_t)QP_CELL_SMALL && qp_key_is_at(entry, where, counter->hash) && qp_key_is_plain(&q->view, entry)) &&
        !qp_handle_is_stale(q)) {
        qp_cell_add_plain(&entry->cell[0], n);
        qp_mark(&q->view, (uint32_t)where);
        qp_grace_exit(worker->slot);
        return 0;
    }
    qp_grace_exit(worker->slot);
    return add_by_key(counter, worker, n, now_ms);
}

int quipu_counter_add(struct quipu_counter *c, int64_t n)
{
    return quipu_counter_add_at(c, n, QP_NOW_UNKNOWN);
}

int quipu_counter_get(struct quipu_counter *c, struct quipu_count *out)
{
    struct counter *counter = counter_of(c);
    struct quipu_count count;
    int error = 0;
    if (!counter->q)
        return -EINVAL;
    struct qp_worker *worker = qp_thread_worker(counter->q, &error);
    if (!worker)
        return error;
    if (qp_handle_is_stale(counter->q))
        return -ESTALE;
    struct qp_key key = key_of(counter);
    error = qp_key_get(&counter->q->view, worker->slot, &key, QP_NOW_UNKNOWN, &count);
    if (!error && out)
        *out = count;
    return error;
}

/* ---- limits ---------------------------------------------------------------------------------------------------------- */

static __attribute__((noinline)) int take_by_key(struct counter *counter, struct qp_worker *worker, uint64_t n,
                                                 int64_t now_ms, struct quipu_verdict *out)
{
    struct qp_key key = key_of(counter);
    uint64_t where;
    int result = qp_take_slowly(counter->q, worker, &key, n, now_ms, &where, out);
    qp_store_relaxed(&counter->where, where);
    return result;
}

int quipu_counter_take_at(struct quipu_counter *c, uint64_t n, int64_t now_ms, struct quipu_verdict *out)
{
    struct counter *counter = counter_of(c);
    struct quipu *q = counter->q;
    uint64_t unix_ms;
    int result = 0;
    if (qp_unlikely(!q))
        return -EINVAL;
    struct qp_worker *worker = qp_thread_worker(q, &result);
    if (qp_unlikely(!worker))
        return result;
    result = qp_time(&q->view, now_ms, &unix_ms);
    if (qp_unlikely(result))
        return result;
    uint64_t where = qp_load_relaxed(&counter->where);
    struct qp_entry *entry = &q->view.entries[(uint32_t)where];
    qp_grace_enter(&q->view, worker->slot);
    bool there = qp_key_is_at(entry, where, counter->hash) && !qp_handle_is_stale(q);
    result = qp_likely(there) ? qp_take_here(worker, entry, n, now_ms, unix_ms, out) : QP_TAKE_BY_KEY;
    qp_grace_exit(worker->slot);
    return qp_likely(result != QP_TAKE_BY_KEY) ? result : take_by_key(counter, worker, n, now_ms, out);
}

int quipu_counter_take(struct quipu_counter *c, uint64_t n, struct quipu_verdict *out)
{
    return quipu_counter_take_at(c, n, QP_NOW_UNKNOWN, out);
}
