/* SPDX-License-Identifier: MIT */
/* now.h: which time a call is decided by: the caller's, the host's clock, or on a segment made with clock_caller the
 * largest that any caller gave.
 *
 * A call that is given a time that agrees with the published one reads no clock, nor does an add to a plain counter. Any other call on limits
 * reads the coarse one, once: 9 ns on a virtual machine (AMD EPYC 7003, 2.4 GHz), where a locked add takes 2. There is nothing cheaper
 * that tells the time: the time stamp counter takes 11 to 12 there, 1.3 times the coarse clock, and would have to be made a time; the
 * exact clock 31. And without any clock nobody knows how old the last reading is: a thread may have slept for a window between two calls.
 */
#ifndef QP_RUNTIME_NOW_H
#define QP_RUNTIME_NOW_H

#include "../shm/view.h"
#include "clock.h"

/* The caller's time: given, or read when something needs it. */
#define QP_NOW_UNKNOWN INT64_MIN

/* The time in unix ms of a call that was given `now_ms`. -ERANGE: too far from the clock. The host's clock is not
 * read for a given time that agrees with the last one that somebody published (header.clock_ms). That one may be old,
 * if nobody published for long, and the caller's may be as old: a caller whose clock stands still, alone with its segment. So
 * every 1,024th call of a thread, with a time or without, reads the clock and publishes it. */
int qp_time(const struct qp_view *view, int64_t now_ms, uint64_t *unix_ms);

/* The same, but sure: the host's clock is read. For who is about to judge that a window ahead of now was left by a
 * clock that had jumped. */
int qp_time_fresh(const struct qp_view *view, int64_t now_ms, uint64_t *unix_ms);

/* The segment's time, published for others where the view is writable: for upkeep and changes. */
uint64_t qp_time_publish(const struct qp_view *view);

#endif
