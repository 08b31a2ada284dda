/* SPDX-License-Identifier: MIT */
/* now.h: which time a call is decided by: the caller's, the host's clock, or on a segment made with clock_caller the
 * largest that any caller gave. */
#ifndef QP_RUNTIME_NOW_H
#define QP_RUNTIME_NOW_H

#include "../shm/view.h"
#include "clock.h"

/* The caller's time: given, or read when something needs it. */
#define QP_NOW_UNKNOWN INT64_MIN

/* The time in unix ms of a call that was given `now_ms`. -ERANGE: too far from the clock. The host's clock is not
 * read for a given time that agrees with the last one that somebody published (header.clock_ms). That one may be old,
 * if nobody published for long, and the caller's may be as old; then no window that anyone uses is near either. */
int qp_time(const struct qp_view *view, int64_t now_ms, uint64_t *unix_ms);

/* The same, but sure: the host's clock is read. For who is about to judge that a window ahead of now was left by a
 * clock that had jumped. */
int qp_time_fresh(const struct qp_view *view, int64_t now_ms, uint64_t *unix_ms);

/* The segment's time, published for others where the view is writable: for upkeep and changes. */
uint64_t qp_time_publish(const struct qp_view *view);

#endif
