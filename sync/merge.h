/* SPDX-License-Identifier: MIT */
/* merge.h: the one function that merges what two hosts know. Pure: no clock, no memory of its own, bounded by its
 * arguments. The rules are in MERGE.md, sections 2 to 4; commutative, associative and idempotent (differential and
 * vector tests).
 *
 * A stem is one replica's points of one counter (of one parity, for windows). The cut that judges them is the whole
 * counter's. */
#ifndef QP_SYNC_MERGE_H
#define QP_SYNC_MERGE_H

#include "../runtime/agent.h"

/* A version is newer than another by timestamp, then by replica. < 0, 0, > 0. */
int qp_version_compare(uint64_t timestamp_a, uint64_t replica_a, uint64_t timestamp_b, uint64_t replica_b);

/* Whether a's value is better than b's: higher epoch; in one epoch the larger count. */
bool qp_point_is_better(const struct qp_point *a, const struct qp_point *b);

/* What a delete leaves: points at or before the tombstone are dead, and points at or below the floor, whatever their
 * version. */
struct qp_cut {
    bool has_tombstone, has_floor;
    struct qp_version tombstone;
    uint64_t floor;
};

/* The newer tombstone and the higher floor. Returns whether `into` has changed. */
bool qp_cut_merge(struct qp_cut *into, const struct qp_cut *from);
bool qp_cut_kills(const struct qp_cut *cut, const struct qp_point *point);

/* Brings points into normal form, in place: sorted by version, oldest first; of one version only the better; none
 * that a newer one beats or equals; none that the cut kills. Returns how many stay. Points may be of several replicas
 * (a vector's are): what is told apart by replica is told apart by the caller. */
uint32_t qp_merge_normalize(struct qp_point *point, uint32_t count, const struct qp_cut *cut);

/* Merges `from` into `into` (room for both together) and normalizes: the union under the cut, which is that of both
 * together. Returns the new count. */
uint32_t qp_merge_points(struct qp_point *into, uint32_t into_count, const struct qp_point *from, uint32_t from_count,
                         const struct qp_cut *cut);

/* The best of points in normal form is the oldest: NULL if there is none. */
const struct qp_point *qp_merge_value(const struct qp_point *point, uint32_t count);

/* LastWriterWins. A register as of one version. */
struct qp_register {
    struct qp_version version;
    bool written; /* or removed; else there is no version, and anything beats it */
    bool removed;
    int64_t value;
};
/* Whether b beats a: the newer version; of one version the remove, then the larger value. */
bool qp_register_is_better(const struct qp_register *b, const struct qp_register *a);

/* A total: epoch E = the highest epoch of any replica's value, and the sum of the counts at E, in 128 bits, clamped
 * once: clamping step by step would depend on the order, and a sum that wrapped would open a gate that is shut. */
struct qp_sum {
    __int128 count;
    uint64_t epoch;
    bool any; /* some replica has a value */
};
/* One value a replica (the best of its points), in any order. */
void qp_sum_add(struct qp_sum *sum, uint64_t epoch, int64_t count);
int64_t qp_sum_clamped(const struct qp_sum *sum);

#endif
