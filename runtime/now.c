/* SPDX-License-Identifier: MIT */
/* now.c: the time of a call. */
#include "now.h"

#include <errno.h>
#include <stdlib.h>

#include "../shm/cell.h"

#define AGREES_MS 1000 /* a published time this near to the caller's was read by somebody about now */
#define CALLS_A_LOOK 1024 /* unless the caller's stands still as well: every so many calls of a thread, one looks, and publishes */
static __thread uint32_t calls __attribute__((tls_model("initial-exec")));

/* Unsigned: a damaged segment's clock may say anything. */
static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* The largest time seen, the caller's included. */
static int time_of_callers(const struct qp_view *view, int64_t now_ms, uint64_t *unix_ms)
{
    uint64_t *clock_ms = &view->header->clock_ms;
    if (now_ms != QP_NOW_UNKNOWN && (now_ms < 0 || now_ms > INT64_MAX / 65536))
        return -ERANGE;
    if (now_ms != QP_NOW_UNKNOWN && view->writable)
        qp_raise(clock_ms, (uint64_t)now_ms);
    uint64_t seen = qp_load_relaxed(clock_ms);
    *unix_ms = now_ms != QP_NOW_UNKNOWN && (uint64_t)now_ms > seen ? (uint64_t)now_ms : seen;
    return 0;
}

uint64_t qp_time_publish(const struct qp_view *view)
{
    if (view->clock_caller)
        return qp_load_relaxed(&view->header->clock_ms);
    uint64_t unix_ms = qp_clock_unix_ms();
    if (view->writable)
        qp_store_relaxed(&view->header->clock_ms, unix_ms);
    return unix_ms;
}

int qp_time_fresh(const struct qp_view *view, int64_t now_ms, uint64_t *unix_ms)
{
    if (view->clock_caller)
        return time_of_callers(view, now_ms, unix_ms);
    *unix_ms = qp_time_publish(view);
    if (now_ms == QP_NOW_UNKNOWN)
        return 0;
    if (now_ms < 0 || distance((uint64_t)now_ms, *unix_ms) > QP_WINDOW_SKEW_MS)
        return -ERANGE;
    *unix_ms = (uint64_t)now_ms;
    return 0;
}

int qp_time(const struct qp_view *view, int64_t now_ms, uint64_t *unix_ms)
{
    if (qp_unlikely(view->clock_caller))
        return time_of_callers(view, now_ms, unix_ms);
    if (qp_unlikely(++calls % CALLS_A_LOOK == 0))
        return qp_time_fresh(view, now_ms, unix_ms);
    if (now_ms == QP_NOW_UNKNOWN) {
        *unix_ms = qp_clock_unix_ms();
        return 0;
    }
    if (qp_unlikely(now_ms < 0 || distance((uint64_t)now_ms, qp_load_relaxed(&view->header->clock_ms)) > AGREES_MS))
        return qp_time_fresh(view, now_ms, unix_ms);
    *unix_ms = (uint64_t)now_ms;
    return 0;
}
