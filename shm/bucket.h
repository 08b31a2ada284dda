/* SPDX-License-Identifier: MIT */
/* bucket.h: token buckets, in one word that says when the bucket is full again (the "theoretical arrival time" of the generic cell rate
 * algorithm, ITU-T I.371).
 *
 *     tick  = ceil(window / limit)              time until one unit is back, in 1/64 ns: rounded once, so a bucket holds whole units
 *     level = max(0, full_at - now)             admitted iff level + n * tick <= burst * tick; then full_at = now + level + n * tick
 *
 * Times are in 1/64 ns modulo 2^64, compared by distance; a burst refills within a year, so no distance comes near half the range (4.5
 * years). When the limit changes, the bucket stays as full as it was, as a share. Resets forgive debt: the shard block says
 * how much (own[1].base), so a reset and a take at once lose nothing of each other. */
#ifndef QP_SHM_BUCKET_H
#define QP_SHM_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct qp_ask;
struct qp_entry;
struct qp_shard;
struct qp_verdict;
struct qp_view;

#define QP_BUCKET_PER_MS UINT64_C(64000000)
#define QP_BUCKET_SPAN_MAX (UINT64_C(31536000000) * QP_BUCKET_PER_MS)

static inline uint64_t qp_bucket_tick(uint64_t limit, uint32_t window_ms)
{
    return (window_ms * QP_BUCKET_PER_MS + limit - 1) / limit;
}

/* What is missing from a full bucket at that time. */
static inline uint64_t qp_bucket_level(uint64_t cell, uint64_t forgiven, uint64_t now_ms)
{
    int64_t ahead = (int64_t)(cell - forgiven - now_ms * QP_BUCKET_PER_MS);
    return ahead > 0 ? (uint64_t)ahead : 0;
}

/* A bucket's half of qp_limit_take and qp_limit_refund. */
int qp_bucket_take(const struct qp_view *view, struct qp_entry *entry, const struct qp_ask *ask, struct qp_verdict *out);
int qp_bucket_refund(const struct qp_view *view, struct qp_entry *entry, uint64_t n, uint64_t epoch, uint64_t now_ms,
                     uint64_t tick);

/* Whether the last take lies in the caller's future by more than any honest caller's clock: the clock went back
 * since, and the bucket is full. */
bool qp_bucket_clock_went_back(const struct qp_entry *entry, uint64_t now_ms);

/* The level of an entry's bucket. */
uint64_t qp_bucket_level_of(const struct qp_view *view, const struct qp_entry *entry, uint64_t now_ms);

#endif
