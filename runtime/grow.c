/* SPDX-License-Identifier: MIT */
/* grow.c: growing a segment when there is need, and ahead of it. */
#include "grow.h"

#include "../shm/error.h"
#include "../shm/extent.h"
#include "../shm/room.h"
#include "now.h"

#define AHEAD_STEPS 16       /* steps of growth that are kept free at most */
#define AHEAD_SHARE 4        /* and at most one in so many counters */
#define SPLITS_WHEN_BEHIND 16 /* slices of heads at most, before somebody is refused because lists are far too long */
#define SPLITS_EACH_STEP 2   /* slices of heads for each step: two heads a counter, as a new segment has */
#define RETRY_MS 1000        /* after it was found that there is no memory */
#define RETRY_MAX_MS 10000   /* a date further ahead was left by a clock that went back */

static int reserve(void *context, uint64_t offset_bytes, uint64_t bytes)
{
    int fd = qp_handle_fd(context);
    return fd < 0 ? fd : qp_segment_reserve(fd, offset_bytes, bytes);
}

static bool may_grow(const struct qp_view *view)
{
    return view->counters != view->counters_max;
}

/* There was no memory a moment ago: others need not ask the kernel, nor be counted as refused, each for itself. */
static bool is_in_vain(const struct qp_view *view)
{
    uint64_t now = qp_clock_unix_ms(), retry = qp_load_relaxed(&view->header->grow_retry_ms);
    return now < retry && retry - now <= RETRY_MAX_MS;
}

static int grow(struct quipu *q)
{
    const struct qp_reserver reserver = {reserve, q};
    int grown = qp_extent_grow(&q->view, &reserver);
    if (grown < 0 && grown != -QP_EFULL)
        qp_store_relaxed(&q->view.header->grow_retry_ms, qp_clock_unix_ms() + RETRY_MS);
    return grown;
}

static int split(struct quipu *q, struct qp_worker *worker)
{
    const struct qp_reserver reserver = {reserve, q};
    int done = is_in_vain(&q->view) ? 0 : qp_extent_split(worker, &reserver);
    if (done < 0)
        qp_store_relaxed(&q->view.header->grow_retry_ms, qp_clock_unix_ms() + RETRY_MS);
    return done;
}

/* The stretch whose turn it is. The last ones, which have come with the last growth, have no turn: they are young, and a
 * search that always has reached them when it is time to grow again would never look at the old ones. */
static uint32_t next_stretch(const struct qp_view *view)
{
    const uint64_t young = QP_GROW_COUNTERS / QP_ROOM_STRETCH;
    uint64_t stretches = ((uint64_t)qp_entry_count(view) + QP_ROOM_STRETCH - 1) / QP_ROOM_STRETCH, turn = 0;
    for (uint64_t looks = 0; looks <= young; looks++) {
        turn = qp_add_relaxed(&view->header->room_cursor, 1) % stretches;
        if (stretches <= young || turn < stretches - young)
            break;
    }
    return (uint32_t)(turn * QP_ROOM_STRETCH);
}

/* Keys that come and go shall not make a segment grow for ever: one stretch is searched for what has expired. If little
 * has, looking further would cost each new key more than growing. */
static bool find_expired(struct quipu *q, struct qp_worker *worker, uint32_t *freed)
{
    uint32_t first = next_stretch(&q->view);
    bool waits;
    worker->now_ms = qp_time_publish(&q->view);
    *freed = qp_room_make(worker, first, false, &waits);
    if (*freed)
        worker->place = first / 64;
    return *freed >= QP_ROOM_STRETCH / QP_ROOM_ENOUGH;
}

bool qp_grow_for_room(struct quipu *q, struct qp_worker *worker)
{
    const struct qp_view *view = &q->view;
    uint32_t freed = 0;
    if (!may_grow(view))
        return false;
    qp_extent_follow(view);
    uint32_t before = qp_entry_count(view);
    if (before > worker->lacked_among) { /* it has grown since */
        worker->place = worker->lacked_among / 64;
        return true;
    }
    /* Who has lost his descriptor, and cannot open the file again, leaves it to others: he finds out nothing about memory. */
    if (before - 1 == view->counters_max || is_in_vain(view) || qp_handle_fd(q) < 0)
        return false;
    if (worker->lacked == QP_CLASS_ENTRY && find_expired(q, worker, &freed))
        return true;
    int grown = grow(q);
    for (int i = 0; grown == -QP_EFULL && i < SPLITS_WHEN_BEHIND && split(q, worker) > 0; i++)
        grown = grow(q);
    for (int i = 0; i < SPLITS_EACH_STEP && split(q, worker) > 0; i++)
        continue;
    if (grown == 1)
        worker->place = before / 64;
    return grown == 1 || freed;
}

/* Entries that are free, at most: those outside the words of hints that are full. */
static uint64_t free_at_most(const struct qp_view *view)
{
    const struct qp_class *k = &view->class_of[QP_CLASS_ENTRY];
    uint64_t entries = qp_entry_count(view), words = (entries + 63) / 64, full = 0;
    for (uint64_t i = 0; i < (words + 63) / 64; i++)
        full += (uint64_t)__builtin_popcountll(qp_load_relaxed(&k->hint_summary[i]));
    return full * 64 < entries ? entries - full * 64 : 0;
}

static uint64_t wanted_free(const struct qp_view *view)
{
    uint64_t share = qp_entry_count(view) / AHEAD_SHARE, most = (uint64_t)AHEAD_STEPS * QP_GROW_COUNTERS;
    return share < most ? share : most;
}

uint64_t qp_grow_ahead(struct quipu *q, struct qp_worker *worker, uint64_t stop_us)
{
    const struct qp_view *view = &q->view;
    uint64_t done = 0;
    if (!may_grow(view) || qp_handle_fd(q) < 0)
        return 0;
    qp_extent_follow(view);
    while (!is_in_vain(view) && free_at_most(view) < wanted_free(view) && grow(q) == 1) {
        done++;
        if (qp_clock_monotonic_us() >= stop_us)
            break;
    }
    while (split(q, worker) > 0) {
        done++;
        if (qp_clock_monotonic_us() >= stop_us)
            break;
    }
    return done;
}
