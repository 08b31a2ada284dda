/* SPDX-License-Identifier: MIT */
/* point.c: sums and searches over the points of a shard block. */
#include "point.h"

#include "window.h"

bool qp_point_any_alive_from(const struct qp_view *view, uint64_t ref, const struct qp_shard *shard, uint64_t epoch)
{
    uint32_t count = qp_point_count(view, ref, shard);
    for (uint32_t i = 0; i < count; i++)
        if (shard->point[i].epoch >= epoch && qp_point_is_alive(view, shard, &shard->point[i]))
            return true;
    return false;
}

bool qp_point_any_alive(const struct qp_view *view, uint64_t ref, const struct qp_shard *shard)
{
    return qp_point_any_alive_from(view, ref, shard, 0);
}

uint64_t qp_point_epoch(const struct qp_view *view, uint64_t ref, const struct qp_shard *shard, uint64_t own, bool counted,
                        uint32_t window_ms)
{
    uint64_t highest = 0;
    bool any = false;
    uint32_t count = qp_point_count(view, ref, shard);
    for (uint32_t i = 0; i < count; i++) {
        const struct qp_shard_point *point = &shard->point[i];
        if ((window_ms && qp_epoch_window(point->epoch, window_ms) != qp_epoch_window(own, window_ms)) ||
            !qp_point_is_alive(view, shard, point))
            continue;
        any = true;
        highest = point->epoch > highest ? point->epoch : highest;
    }
    return !any || (counted && own > highest) ? own : highest;
}

int64_t qp_point_remote(const struct qp_view *view, uint64_t ref, const struct qp_shard *shard, uint64_t epoch)
{
    unsigned __int128 sum = 0;
    uint64_t most = 0;
    uint32_t count = qp_point_count(view, ref, shard), of = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct qp_shard_point *point = &shard->point[i];
        uint32_t replica = qp_origin_replica(point->origin);
        if (replica == 0 || point->epoch != epoch || !qp_point_is_alive(view, shard, point))
            continue;
        if (replica != of) {
            sum += most;
            most = 0;
            of = replica;
        }
        most = point->count > most ? point->count : most;
    }
    sum += most;
    return sum > INT64_MAX ? INT64_MAX : (int64_t)sum;
}

bool qp_point_is_spoken_of(const struct qp_view *view, uint64_t ref, const struct qp_shard *shard, uint64_t epoch)
{
    /* From the last one: that is the newest of some replica. */
    for (uint32_t i = qp_point_count(view, ref, shard); i-- > 0;)
        if (shard->point[i].epoch == epoch && qp_origin_replica(shard->point[i].origin) != 0)
            return true;
    return false;
}

uint64_t qp_point_newest_timestamp(const struct qp_shard *shard, uint32_t count)
{
    uint64_t newest = shard->tombstone.timestamp;
    for (uint32_t i = 0; i < count; i++)
        newest = shard->point[i].timestamp > newest ? shard->point[i].timestamp : newest;
    return newest;
}
