/* SPDX-License-Identifier: MIT */
/* point.h: the points of a shard block: how many there are, which are alive, and what others have counted.
 *
 * They stand by replica, our own first, and of one replica by version. Workers leave dead ones in place, and an agent
 * of a damaged or hostile segment may have written anything: whoever reads them takes no number of theirs for a
 * place. */
#ifndef QP_SHM_POINT_H
#define QP_SHM_POINT_H

#include "view.h"

/* Points that the block has and has room for. One look: a reader without a slot may meet a block that is being filled
 * anew. */
static inline uint32_t qp_point_count(const struct qp_view *view, uint64_t ref, const struct qp_shard *shard)
{
    uint32_t count = qp_load_relaxed(&shard->point_count);
    uint32_t room = (qp_block_room(view, qp_ref_block(ref)) - qp_shard_payload(0)) / (uint32_t)sizeof(struct qp_shard_point);
    return qp_likely(count <= room) ? count : room;
}

/* How many of them are our own. */
static inline uint32_t qp_point_own_count(const struct qp_shard *shard, uint32_t count)
{
    uint32_t own = 0;
    while (own < count && qp_origin_replica(shard->point[own].origin) == 0)
        own++;
    return own;
}

/* A place in the ledger's order of replicas, to the replica. 0: nobody's. */
static inline uint64_t qp_point_replica(const struct qp_view *view, const struct qp_shard_point *point)
{
    uint32_t index = qp_origin_replica(point->origin);
    return index == 0 ? view->replica : index < QP_REPLICAS ? qp_load_relaxed(&view->ledger->replica[index].id) : 0;
}

/* Whether it says something still: not that somebody holds the tombstone, and neither before the tombstone nor under
 * its floor. */
static inline bool qp_point_is_alive(const struct qp_view *view, const struct qp_shard *shard, const struct qp_shard_point *point)
{
    const struct qp_version *tombstone = &shard->tombstone;
    if (point->timestamp == 0 || (tombstone->timestamp && (point->epoch <= shard->floor || point->timestamp < tombstone->timestamp)))
        return false;
    return point->timestamp > tombstone->timestamp || qp_point_replica(view, point) > tombstone->replica;
}

/* Whether any is alive: then the key is there, whatever its cells hold. */
bool qp_point_any_alive(const struct qp_view *view, uint64_t ref, const struct qp_shard *shard);

/* Whether any is alive of that epoch or a later one. */
bool qp_point_any_alive_from(const struct qp_view *view, uint64_t ref, const struct qp_shard *shard, uint64_t epoch);

/* The epoch that a total is of: the highest that anything living is of, in the window that our own epoch is of
 * (window_ms 0: of all). Our own is among them only if something is `counted` in it: we may have followed an epoch
 * that was deleted since and that others never saw. */
uint64_t qp_point_epoch(const struct qp_view *view, uint64_t ref, const struct qp_shard *shard, uint64_t own, bool counted,
                        uint32_t window_ms);

/* What other replicas have counted in that epoch: of each the most that it said, summed in 128 bits and clamped once.
 * A sum that wrapped round would open a gate that is shut. */
int64_t qp_point_remote(const struct qp_view *view, uint64_t ref, const struct qp_shard *shard, uint64_t epoch);

/* Whether another replica has said anything of that epoch. */
bool qp_point_is_spoken_of(const struct qp_view *view, uint64_t ref, const struct qp_shard *shard, uint64_t epoch);

/* The newest version that the block has of anything. */
uint64_t qp_point_newest_timestamp(const struct qp_shard *shard, uint32_t count);

#endif
