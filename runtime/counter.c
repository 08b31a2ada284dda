/* SPDX-License-Identifier: MIT */
/* counter.c: the public calls on keys: add, get, set, reset, delete. */
#include <errno.h>

#include "../shm/error.h"
#include "../shm/flight.h"
#include "../shm/shard.h"
#include "../shm/victim.h"
#include "care.h"
#include "key.h"

/* ---- add and get ---------------------------------------------------------------------------------------------------- */

int quipu_add_at(struct quipu *q, const void *key, size_t key_bytes, int64_t n, int64_t now_ms)
{
    int error = qp_key_check(q, key, key_bytes);
    if (error || n < 0)
        return error ? error : -EINVAL;
    struct qp_worker *worker = qp_thread_worker(q, &error);
    if (qp_unlikely(!worker))
        return error;
    struct qp_key k = qp_key_make(&q->view, key, key_bytes);
    return qp_key_add_any(q, worker, &k, n, now_ms);
}

int quipu_add(struct quipu *q, const void *key, size_t key_bytes, int64_t n)
{
    return quipu_add_at(q, key, key_bytes, n, QP_NOW_UNKNOWN);
}

int quipu_get_at(struct quipu *q, const void *key, size_t key_bytes, int64_t now_ms, struct quipu_count *out)
{
    struct quipu_count count;
    int error = qp_key_check(q, key, key_bytes);
    if (error)
        return error;
    struct qp_worker *worker = q->private_ ? qp_thread_worker(q, &error) : NULL;
    if (error)
        return error;
    if (qp_handle_is_stale(q))
        return -ESTALE;
    struct qp_key k = qp_key_make(&q->view, key, key_bytes);
    error = qp_key_get(&q->view, worker ? worker->slot : NULL, &k, now_ms, &count);
    if (!error && out)
        *out = count;
    return error;
}

int quipu_get(struct quipu *q, const void *key, size_t key_bytes, struct quipu_count *out)
{
    return quipu_get_at(q, key, key_bytes, QP_NOW_UNKNOWN, out);
}

/* ---- changes of the shard block ------------------------------------------------------------------------------------ */

/* One change of one key, inside a section. *value goes in and comes out. */
typedef int change_function(struct qp_worker *worker, const struct qp_key *key, int64_t *value);

/* Whether a key that finds no room may make another one leave. Changes of a key that is there only want a block, and
 * nobody leaves for that. */
static bool may_evict(struct quipu *q, struct qp_worker *worker, const struct qp_key *key, bool new_key)
{
    if (!new_key)
        return false;
    qp_grace_enter(&q->view, worker->slot);
    uint64_t word = qp_load_acquire(&q->view.header->strategy);
    const struct qp_row *row = qp_strategy_row_at(&q->view, qp_strategy_table(&q->view, word),
                                                  qp_strategy_match(&q->view, word, key->bytes, key->byte_count));
    bool may = !row || row->overflow == QP_OVERFLOW_EVICT;
    qp_grace_exit(worker->slot);
    return may;
}

static int change(struct quipu *q, const void *key, size_t key_bytes, change_function *make, bool new_key, int64_t *value)
{
    int64_t in = value ? *value : 0, out = in;
    int error = qp_key_check(q, key, key_bytes);
    if (error)
        return error;
    struct qp_worker *worker = qp_thread_worker(q, &error);
    if (!worker)
        return error;
    struct qp_key k = qp_key_make(&q->view, key, key_bytes);
    worker->now_ms = qp_time_publish(&q->view);
    for (uint32_t attempt = 0;; attempt++) {
        out = in;
        qp_grace_enter(&q->view, worker->slot);
        do
            error = qp_handle_is_stale(q) ? -ESTALE : make(worker, &k, &out);
        while (error == -EAGAIN); /* the entry left meanwhile: somebody finished its removal */
        qp_grace_exit(worker->slot);
        if (error != -QP_EFULL || !qp_care_make_room(q, worker, attempt, may_evict(q, worker, &k, new_key)))
            break;
    }
    if (error == -QP_EFULL && new_key)
        qp_care_overflow(q, QP_OVERFLOW_DENY); /* a register has no other way to be denied */
    if (error == 0)
        qp_care_bystander(q, worker);
    if (error == 0 && value)
        *value = out;
    return error;
}

/* A key that is not there: but if it was evicted, what it had used is remembered and counts. */
static int end_evicted(struct qp_worker *worker, const struct qp_key *key)
{
    return qp_victim_pardon(worker->view, key->hash) ? 0 : -ENOENT;
}

static int reset_in_section(struct qp_worker *worker, const struct qp_key *key, int64_t *ended)
{
    struct qp_entry *entry;
    int error = qp_key_find(worker, key, &entry);
    if (error || !entry)
        return error ? error : end_evicted(worker, key);
    if (qp_traits_kind(qp_entry_traits(entry)) == QP_KIND_REGISTER || qp_traits_kind(qp_entry_traits(entry)) == QP_KIND_INFLIGHT)
        return -EPROTOTYPE;
    return qp_shard_reset(worker, entry, ended);
}

/* An in-flight limit with nobody in holds nothing but its units: it goes like one that has been idle for ever. Who
 * enters at the same time comes after the delete. */
static int delete_inflight(const struct qp_view *view, struct qp_entry *entry)
{
    if (!qp_flight_is_empty(view, entry))
        return -EBUSY;
    if (qp_load_relaxed(&entry->used_at_s) == 0)
        return -ENOENT;
    qp_store_relaxed(&entry->used_at_s, 0);
    return 0;
}

static int delete_in_section(struct qp_worker *worker, const struct qp_key *key, int64_t *ended)
{
    struct qp_entry *entry;
    int error = qp_key_find(worker, key, &entry);
    if (error || !entry)
        return error ? error : end_evicted(worker, key);
    if (qp_traits_kind(qp_entry_traits(entry)) == QP_KIND_INFLIGHT)
        return delete_inflight(worker->view, entry);
    return qp_shard_delete(worker, entry, ended);
}

static int set_in_section(struct qp_worker *worker, const struct qp_key *key, int64_t *value)
{
    for (;;) {
        struct qp_entry *entry;
        struct qp_birth birth;
        const struct qp_row *row;
        int error = qp_key_find(worker, key, &entry);
        if (error)
            return error;
        if (entry)
            return qp_traits_kind(qp_entry_traits(entry)) == QP_KIND_REGISTER ? qp_shard_set(worker, entry, *value) : -EPROTOTYPE;
        qp_key_birth(worker->view, key, QP_KIND_REGISTER, &birth, &row);
        if (qp_traits_kind(birth.draft.traits) != QP_KIND_REGISTER)
            return -EPROTOTYPE;
        birth.register_value = *value;
        int made = qp_entry_create(worker, key, &birth, &entry);
        if (made)
            return made > 0 ? 0 : made;
        /* 0: somebody else made it meanwhile */
    }
}

int quipu_set(struct quipu *q, const void *key, size_t key_bytes, int64_t value)
{
    return change(q, key, key_bytes, set_in_section, true, &value);
}

int quipu_reset(struct quipu *q, const void *key, size_t key_bytes, int64_t *ended)
{
    int64_t cut = 0;
    int error = change(q, key, key_bytes, reset_in_section, false, &cut);
    if (!error && ended)
        *ended = cut;
    return error;
}

int quipu_delete(struct quipu *q, const void *key, size_t key_bytes, int64_t *ended)
{
    int64_t cut = 0;
    int error = change(q, key, key_bytes, delete_in_section, false, &cut);
    if (!error && ended)
        *ended = cut;
    return error;
}
