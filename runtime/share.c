/* SPDX-License-Identifier: MIT */
/* share.c: who has contributed what to a key. It is copied out of the segment first, and visited outside of any
 * section. */
#include <errno.h>
#include <stdlib.h>

#include "../shm/error.h"
#include "../shm/point.h"
#include "../shm/window.h"
#include "key.h"

#define SHARES_MAX (QP_SHARD_POINTS_MAX + 2) /* ours, of two windows */

struct shares {
    uint32_t count;
    struct quipu_share share[SHARES_MAX];
};

/* One look at an entry, all of it under one reference. */
struct look {
    const struct qp_view *view;
    uint64_t ref;
    const struct qp_shard *shard; /* NULL: none */
    uint32_t point_count;
    uint32_t window_ms; /* windows; else 0 */
    bool host_only;     /* its strategy keeps it to this host */
    struct qp_reading reading;
    struct shares *out;
};

static void put(struct look *look, uint64_t replica, uint64_t epoch, int64_t count, uint64_t timestamp)
{
    bool own = replica == look->view->replica;
    look->out->share[look->out->count++] = (struct quipu_share){.replica = replica,
                                                                .epoch = epoch,
                                                                .count = count,
                                                                .stamped_ms = (int64_t)(timestamp >> 16),
                                                                .own = own,
                                                                .current = epoch == look->reading.epoch &&
                                                                           (own || !look->host_only)};
}

/* The window that an epoch is of; counters have one. */
static uint64_t window_of(const struct look *look, uint64_t epoch)
{
    return look->window_ms ? qp_epoch_window(epoch, look->window_ms) : 0;
}

static bool is_better(const struct qp_shard_point *a, const struct qp_shard_point *b)
{
    return a->epoch != b->epoch ? a->epoch > b->epoch : a->count > b->count;
}

/* Whether a point is what its replica says of its window: alive, and none of the others is better. One that only says
 * that somebody holds the tombstone is not alive. */
static bool is_value(const struct look *look, uint32_t at)
{
    const struct qp_shard_point *point = &look->shard->point[at];
    uint32_t replica = qp_origin_replica(point->origin);
    uint64_t window = window_of(look, point->epoch), now = window_of(look, look->reading.epoch);
    if (!qp_point_is_alive(look->view, look->shard, point) || (window != now && window + 1 != now))
        return false;
    for (uint32_t i = 0; i < look->point_count; i++) {
        const struct qp_shard_point *other = &look->shard->point[i];
        if (i != at && qp_origin_replica(other->origin) == replica && window_of(look, other->epoch) == window &&
            qp_point_is_alive(look->view, look->shard, other) &&
            (is_better(other, point) || (i < at && !is_better(point, other))))
            return false;
    }
    return true;
}

/* When we have told others of that epoch. */
static uint64_t own_timestamp(const struct look *look, uint64_t epoch)
{
    uint64_t newest = 0;
    for (uint32_t i = 0; i < look->point_count; i++) {
        const struct qp_shard_point *point = &look->shard->point[i];
        if (qp_origin_replica(point->origin) == 0 && qp_origin_sequence(point->origin) != 0 && point->epoch == epoch &&
            point->timestamp > newest)
            newest = point->timestamp;
    }
    return newest;
}

static void gather_others(struct look *look)
{
    for (uint32_t i = 0; i < look->point_count && look->out->count < SHARES_MAX; i++) {
        const struct qp_shard_point *point = &look->shard->point[i];
        uint64_t replica = qp_point_replica(look->view, point);
        int64_t count = point->count < INT64_MAX ? (int64_t)point->count : INT64_MAX;
        if (qp_origin_replica(point->origin) != 0 && replica != 0 && is_value(look, i))
            put(look, replica, point->epoch, count, point->timestamp);
    }
}

static void gather_own_previous(struct look *look)
{
    uint64_t before = qp_window_own_epoch(look->shard, window_of(look, look->reading.epoch) - 1, look->window_ms);
    if (look->reading.own_previous > 0)
        put(look, look->view->replica, before, look->reading.own_previous, own_timestamp(look, before));
}

static void gather(struct look *look, unsigned kind)
{
    const struct qp_version *set = look->shard ? &look->shard->tombstone : &(const struct qp_version){0};
    look->out->count = 0;
    if (kind == QP_KIND_REGISTER) {
        put(look, set->replica, 0, look->reading.own, set->timestamp);
        return;
    }
    put(look, look->view->replica, look->reading.epoch, look->reading.own, own_timestamp(look, look->reading.epoch));
    if (look->window_ms)
        gather_own_previous(look);
    gather_others(look);
}

static int read_shares(const struct qp_view *view, const struct qp_key *key, struct qp_entry *entry, int64_t now_ms, void *out)
{
    uint64_t unix_ms = 0, traits = qp_entry_traits(entry);
    bool windows = qp_traits_kind(traits) == QP_KIND_LIMIT && qp_traits_algorithm(traits) != QP_ALGORITHM_BUCKET;
    bool has_points = windows || qp_traits_kind(traits) == QP_KIND_COUNTER;
    if (!qp_key_is_there(view, key, entry))
        return -ENOENT;
    int error = qp_traits_window_ms(traits) ? qp_time(view, now_ms, &unix_ms) : 0;
    if (error)
        return error;
    struct look look = {.view = view, .window_ms = windows ? qp_traits_window_ms(traits) : 0, .out = out};
    const struct qp_row *row = has_points ? qp_strategy_row_of(view, entry) : NULL;
    look.host_only = row && qp_load_relaxed(&row->scope) == QP_SCOPE_HOST;
    do {
        /* Acquire, pairs with the publishing CAS of a block. Replaced while we read: somebody else's change
         * succeeded, once more. */
        look.ref = qp_load_acquire(&entry->shard);
        look.shard = qp_traits_kind(traits) == QP_KIND_INFLIGHT ? NULL : qp_shard_at(view, look.ref);
        look.point_count = look.shard && has_points ? qp_point_count(view, look.ref, look.shard) : 0;
        error = qp_shard_read(view, entry, unix_ms, &look.reading);
        if (error || look.reading.deleted)
            return error ? error : -ENOENT;
        gather(&look, qp_traits_kind(traits));
        qp_fence_acquire(); /* all of it is read before the reference is looked at again */
    } while (qp_load_relaxed(&entry->shard) != look.ref);
    return 0;
}

int quipu_shares(struct quipu *q, const void *key, size_t key_bytes, quipu_share_visit *visit, void *arg)
{
    int result = qp_key_check(q, key, key_bytes);
    if (result || !visit)
        return result ? result : -EINVAL;
    struct qp_worker *worker = q->private_ ? qp_thread_worker(q, &result) : NULL;
    if (result)
        return result;
    if (qp_handle_is_stale(q))
        return -ESTALE;
    struct shares *shares = malloc(sizeof *shares);
    if (!shares)
        return -ENOMEM;
    struct qp_key k = qp_key_make(&q->view, key, key_bytes);
    result = qp_key_read_by(&q->view, worker ? worker->slot : NULL, &k, read_shares, QP_NOW_UNKNOWN, shares);
    for (uint32_t i = 0; !result && i < shares->count; i++)
        result = visit(&shares->share[i], arg);
    free(shares);
    return result;
}
