/* SPDX-License-Identifier: MIT */
/* merge.c: versions, points, registers and totals: what is better, what is dead, and what stays when two sets are
 * one. MERGE.md, sections 2 to 4. */
#include "merge.h"

#include <string.h>

int qp_version_compare(uint64_t timestamp_a, uint64_t replica_a, uint64_t timestamp_b, uint64_t replica_b)
{
    if (timestamp_a != timestamp_b)
        return timestamp_a < timestamp_b ? -1 : 1;
    return replica_a == replica_b ? 0 : replica_a < replica_b ? -1 : 1;
}

/* Signed: a point of ours never has a negative count, a vector may. */
bool qp_point_is_better(const struct qp_point *a, const struct qp_point *b)
{
    return a->epoch != b->epoch ? a->epoch > b->epoch : (int64_t)a->count > (int64_t)b->count;
}

bool qp_cut_merge(struct qp_cut *into, const struct qp_cut *from)
{
    bool newer = from->has_tombstone &&
                 (!into->has_tombstone || qp_version_compare(from->tombstone.timestamp, from->tombstone.replica,
                                                             into->tombstone.timestamp, into->tombstone.replica) > 0);
    bool higher = from->has_floor && (!into->has_floor || from->floor > into->floor);
    if (newer) {
        into->has_tombstone = true;
        into->tombstone = from->tombstone;
    }
    if (higher) {
        into->has_floor = true;
        into->floor = from->floor;
    }
    return newer || higher;
}

bool qp_cut_kills(const struct qp_cut *cut, const struct qp_point *point)
{
    if (cut->has_floor && point->epoch <= cut->floor)
        return true;
    return cut->has_tombstone &&
           qp_version_compare(point->timestamp, point->replica, cut->tombstone.timestamp, cut->tombstone.replica) <= 0;
}

/* Sorted by version, of one version by value, of one value by sequence: what is said again under a later sequence is
 * as good as its latest saying. */
static bool comes_before(const struct qp_point *a, const struct qp_point *b)
{
    int order = qp_version_compare(a->timestamp, a->replica, b->timestamp, b->replica);
    if (order != 0)
        return order < 0;
    if (a->epoch != b->epoch || a->count != b->count)
        return qp_point_is_better(b, a);
    return a->sequence < b->sequence;
}

/* The living, in order. Insertion: there are a few, and they come sorted as a rule. */
static uint32_t sort_living(struct qp_point *point, uint32_t count, const struct qp_cut *cut)
{
    uint32_t living = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct qp_point next = point[i];
        if (qp_cut_kills(cut, &next))
            continue;
        uint32_t at = living++;
        for (; at > 0 && comes_before(&next, &point[at - 1]); at--)
            point[at] = point[at - 1];
        point[at] = next;
    }
    return living;
}

uint32_t qp_merge_normalize(struct qp_point *point, uint32_t count, const struct qp_cut *cut)
{
    uint32_t living = sort_living(point, count, cut);
    uint32_t kept = living; /* those kept stand at the end, from here */
    for (uint32_t i = living; i-- > 0;)
        if (kept == living || qp_point_is_better(&point[i], &point[kept]))
            point[--kept] = point[i];
    if (kept != 0)
        memmove(point, point + kept, (living - kept) * sizeof *point);
    return living - kept;
}

uint32_t qp_merge_points(struct qp_point *into, uint32_t into_count, const struct qp_point *from, uint32_t from_count,
                         const struct qp_cut *cut)
{
    if (from_count != 0)
        memcpy(into + into_count, from, from_count * sizeof *from);
    return qp_merge_normalize(into, into_count + from_count, cut);
}

const struct qp_point *qp_merge_value(const struct qp_point *point, uint32_t count)
{
    return count == 0 ? NULL : point;
}

bool qp_register_is_better(const struct qp_register *b, const struct qp_register *a)
{
    if (!b->written || !a->written)
        return b->written;
    int order = qp_version_compare(b->version.timestamp, b->version.replica, a->version.timestamp, a->version.replica);
    if (order != 0)
        return order > 0;
    if (b->removed != a->removed)
        return b->removed;
    return !b->removed && b->value > a->value;
}

void qp_sum_add(struct qp_sum *sum, uint64_t epoch, int64_t count)
{
    if (!sum->any || epoch > sum->epoch)
        *sum = (struct qp_sum){.any = true, .epoch = epoch};
    if (epoch == sum->epoch)
        sum->count += count;
}

int64_t qp_sum_clamped(const struct qp_sum *sum)
{
    return sum->count > INT64_MAX ? INT64_MAX : sum->count < INT64_MIN ? INT64_MIN : (int64_t)sum->count;
}
