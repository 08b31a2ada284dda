/* SPDX-License-Identifier: MIT */
/* check_shard.c: the invariants of a shard block: epochs, tombstone, floor, and the points of all replicas. */
#include "check.h"

#include "entry.h"
#include "error.h"
#include "point.h"
#include "window.h"

bool qp_check_has_agent(const struct qp_check *check)
{
    /* Acquire, pairs with the agent's store of it: looked up after something that only an agent writes was seen. */
    return qp_load_acquire(&check->view->header->gossip) != 0;
}

/* The last number of our own stream. It is raised before it is used, and we have seen it used. */
static uint64_t last_sequence(const struct qp_check *check)
{
    return qp_load_acquire(&check->view->ledger->sequence);
}

/* ---- epochs ---------------------------------------------------------------------------------------------------------- */

/* A cut of a window ends the epochs up to `floor` and begins the next one, in the place of that window's parity. */
static int look_windows(struct qp_check *check, uint32_t index, const struct qp_entry *e, const struct qp_shard *s)
{
    uint32_t window_ms = qp_traits_window_ms(qp_entry_traits(e));
    if (window_ms == 0)
        return 0; /* look_traits has named it */
    for (unsigned parity = 0; parity < 2; parity++) {
        uint64_t start_ms = s->own[parity].epoch >> 16;
        if (s->own[parity].base > QP_CELL_COUNT_MAX)
            return qp_check_broken(check, "entry %u: the base of a window is over 2^39", index);
        if (start_ms % window_ms || (s->own[parity].epoch && (start_ms / window_ms & 1) != parity))
            return qp_check_broken(check, "entry %u: an epoch that is not of its window", index);
    }
    uint64_t own = s->own[(s->floor >> 16) / window_ms & 1].epoch;
    if (s->tombstone.timestamp && s->floor && (own <= s->floor || (own != s->floor + 1 && !qp_check_has_agent(check))))
        return qp_check_broken(check, "entry %u: its epoch is not the one after its floor", index);
    return 0;
}

static int look_plain(struct qp_check *check, uint32_t index, const struct qp_entry *e, const struct qp_shard *s)
{
    unsigned kind = qp_traits_kind(qp_entry_traits(e));
    if (s->own[1].epoch || s->own[1].base)
        return qp_check_broken(check, "entry %u: a second epoch in something that has one", index);
    if (kind == QP_KIND_REGISTER && (s->own[0].epoch || s->floor))
        return qp_check_broken(check, "entry %u: a register with an epoch", index);
    if (kind == QP_KIND_COUNTER && s->tombstone.timestamp && s->floor >= s->own[0].epoch)
        return qp_check_broken(check, "entry %u: its own epoch %llu is not above its floor %llu", index,
                               (unsigned long long)s->own[0].epoch, (unsigned long long)s->floor);
    return 0;
}

/* ---- the tombstone --------------------------------------------------------------------------------------------------- */

static int look_tombstone(struct qp_check *check, uint32_t index, const struct qp_entry *e, const struct qp_shard *s)
{
    unsigned kind = qp_traits_kind(qp_entry_traits(e));
    bool has = s->tombstone.timestamp != 0;
    if (!has && (kind == QP_KIND_REGISTER || (kind == QP_KIND_LIMIT && s->point_count == 0)))
        return qp_check_broken(check, "entry %u: a change without a version", index);
    if (!has && (s->flags & QP_SHARD_DELETED))
        return qp_check_broken(check, "entry %u: deleted, without a tombstone", index);
    if (has != (s->tombstone.replica != 0))
        return qp_check_broken(check, "entry %u: half a version", index);
    if (!has && (s->floor || s->tombstone_sequence || s->tombstone_seen_s))
        return qp_check_broken(check, "entry %u: a floor, a place or a time of a tombstone that is not there", index);
    if (has && s->tombstone.replica != check->view->replica && !qp_check_has_agent(check))
        return qp_check_broken(check, "entry %u: a version of another replica, without an agent", index);
    if (s->flags & ~(QP_SHARD_DELETED | QP_SHARD_COLLECT))
        return qp_check_broken(check, "entry %u: unknown flags in its shard block", index);
    if ((s->flags & QP_SHARD_COLLECT) && !(s->flags & QP_SHARD_DELETED))
        return qp_check_broken(check, "entry %u: to be collected, and not deleted", index);
    return 0;
}

/* ---- points ---------------------------------------------------------------------------------------------------------- */

/* Of one replica after the other, each from the oldest version to the newest. */
static bool in_order(const struct qp_shard_point *before, const struct qp_shard_point *point)
{
    uint32_t of = qp_origin_replica(before->origin), replica = qp_origin_replica(point->origin);
    return of < replica || (of == replica && before->timestamp < point->timestamp);
}

/* Epochs go up together: nobody has said anything of one that is above ours and still counts. */
static bool is_ahead_of_us(const struct qp_check *check, const struct qp_entry *e, const struct qp_shard *s,
                           const struct qp_shard_point *point)
{
    uint32_t window_ms = qp_traits_window_ms(qp_entry_traits(e));
    uint64_t own = s->own[0].epoch;
    if (!qp_point_is_alive(check->view, s, point))
        return false;
    if (window_ms) {
        uint64_t window = qp_epoch_window(point->epoch, window_ms);
        if (!qp_window_was_cut(s, window, window_ms))
            return false;
        own = s->own[window & 1].epoch;
    }
    return point->epoch > own;
}

static int look_point(struct qp_check *check, uint32_t index, const struct qp_entry *e, const struct qp_shard *s,
                      const struct qp_shard_point *point)
{
    uint32_t replica = qp_origin_replica(point->origin);
    uint64_t sequence = qp_origin_sequence(point->origin);
    if (replica && qp_point_replica(check->view, point) == 0)
        return qp_check_broken(check, "entry %u: a point of replica %u, which nobody knows", index, replica);
    if (point > s->point && !in_order(point - 1, point))
        return qp_check_broken(check, "entry %u: its points are out of order", index);
    if (replica == 0 ? sequence > last_sequence(check) : sequence == 0)
        return qp_check_broken(check, "entry %u: a point of replica %u at place %llu of its stream", index, replica,
                               (unsigned long long)sequence);
    if (point->timestamp == 0)
        return replica == 0 || point->epoch || point->count || !s->tombstone.timestamp
                   ? qp_check_broken(check, "entry %u: somebody holds its tombstone, and counts there", index)
                   : 0;
    if (qp_traits_kind(qp_entry_traits(e)) == QP_KIND_REGISTER || qp_check_is_bucket(e))
        return qp_check_broken(check, "entry %u: a point of something that nobody counts together", index);
    if (is_ahead_of_us(check, e, s, point))
        return qp_check_broken(check, "entry %u: a point of epoch %llu, which is above its own", index,
                               (unsigned long long)point->epoch);
    return 0;
}

/* At most one own point is not in our stream, and it is the newest: a reset replaces the one that another has left. */
static bool own_points_are_told(const struct qp_shard *s)
{
    uint32_t own = qp_point_own_count(s, s->point_count);
    for (uint32_t i = 0; i + 1 < own; i++)
        if (qp_origin_sequence(s->point[i].origin) == 0)
            return false;
    return true;
}

static int look_points(struct qp_check *check, uint32_t index, const struct qp_entry *e, const struct qp_shard *s)
{
    if ((s->point_count || s->stated || s->tombstone_sequence || (s->flags & QP_SHARD_COLLECT)) && !qp_check_has_agent(check))
        return qp_check_broken(check, "entry %u: something was said of it to others, without an agent", index);
    if (s->stated > last_sequence(check) ||
        (s->tombstone.replica == check->view->replica && s->tombstone_sequence > last_sequence(check)))
        return qp_check_broken(check, "entry %u: it stands in our stream where that has not come to", index);
    for (uint32_t i = 0; i < s->point_count; i++)
        if (look_point(check, index, e, s, &s->point[i]))
            return -QP_EDAMAGED;
    if (!own_points_are_told(s))
        return qp_check_broken(check, "entry %u: two own points that are not in our stream", index);
    return 0;
}

bool qp_check_shard_fits(const struct qp_view *view, uint64_t ref, uint32_t parent)
{
    const struct qp_shard *s = qp_shard_at(view, ref);
    return s->block.kind == QP_BLOCK_SHARD && s->block.parent == parent && s->point_count <= QP_SHARD_POINTS_MAX &&
           s->block.bytes == qp_shard_payload(s->point_count) && s->block.bytes <= qp_block_room(view, qp_ref_block(ref));
}

int qp_check_shard(struct qp_check *check, uint32_t index, uint64_t ref)
{
    const struct qp_entry *e = &check->view->entries[index];
    const struct qp_shard *s = qp_shard_at(check->view, ref);
    if (look_points(check, index, e, s) || look_tombstone(check, index, e, s))
        return -QP_EDAMAGED;
    if (qp_check_is_bucket(e))
        return s->own[0].epoch != s->floor + 1 || s->own[1].epoch
                   ? qp_check_broken(check, "entry %u: its bucket's epoch is not the one after its floor", index)
                   : 0;
    return qp_traits_kind(qp_entry_traits(e)) == QP_KIND_LIMIT ? look_windows(check, index, e, s) : look_plain(check, index, e, s);
}
