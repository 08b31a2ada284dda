/* SPDX-License-Identifier: MIT */
/* rules.h: what the unit tests of the rules share: states made by hand, items, and a context whose knowledge is a small table. */
#ifndef QP_TESTS_MERGE_RULES_H
#define QP_TESTS_MERGE_RULES_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sync/rules.h"

#define ME UINT64_C(50)
#define PEER UINT64_C(70)
#define OTHER UINT64_C(60)
#define NOW_MS UINT64_C(1700000000000)
#define NOW (NOW_MS << 16) /* as a timestamp */
#define WINDOW_MS 1000u
#define WINDOW (NOW_MS / WINDOW_MS) /* an even number */
#define EPOCH(window, resets) ((((uint64_t)(window)*WINDOW_MS) << 16) + (resets))

/* One test's world. */
struct rules_world {
    struct qp_state state;
    struct qp_item item;
    struct qp_point point[32];
    struct qp_merge_context context;
    uint64_t known[100], given[100]; /* by replica */
    enum qp_refusal why;
    uint64_t sequence;               /* of our stream, as the last stamp took it */
};

static uint64_t world_known(void *arg, uint64_t replica)
{
    return replica < 100 ? ((struct rules_world *)arg)->known[replica] : 0;
}

static uint64_t world_given(void *arg, uint64_t replica)
{
    return replica < 100 ? ((struct rules_world *)arg)->given[replica] : 0;
}

static inline void world_open(struct rules_world *w, unsigned kind)
{
    memset(w, 0, sizeof *w);
    w->state.kind = w->item.kind = (uint8_t)kind;
    w->state.window_ms = w->item.window_ms = kind == QP_KIND_LIMIT ? WINDOW_MS : 0;
    w->item.point = w->point;
    w->sequence = w->known[ME] = 1000;
    w->context = (struct qp_merge_context){
        .self = ME, .now_ms = NOW_MS, .sender = PEER, .sequence = 500, .knowledge = world_known, .arg = w};
}

static inline void world_fence(struct rules_world *w)
{
    w->context.sender = 0;
    w->context.giver_knowledge = world_given;
}

static inline struct qp_point point_of(uint64_t replica, uint64_t epoch, uint64_t count, uint64_t timestamp,
                                       uint64_t sequence)
{
    return (struct qp_point){
        .epoch = epoch, .count = count, .timestamp = timestamp, .replica = replica, .sequence = sequence};
}

/* Says so of the next item. */
static inline void hear_point(struct rules_world *w, uint64_t replica, uint64_t epoch, uint64_t count, uint64_t timestamp,
                              uint64_t sequence)
{
    w->point[w->item.point_count++] = point_of(replica, epoch, count, timestamp, sequence);
}

static inline void hear_tombstone(struct rules_world *w, uint64_t replica, uint64_t timestamp, uint64_t sequence,
                                  uint64_t floor)
{
    w->item.tombstone = (struct qp_version){timestamp, replica};
    w->item.tombstone_sequence = sequence;
    w->item.floor = floor;
}

/* Merges what was said, and begins a new item. */
static inline int merge(struct rules_world *w)
{
    int edit = qp_rules_merge(&w->state, &w->item, &w->context, &w->why);
    w->item = (struct qp_item){.kind = w->state.kind, .window_ms = w->state.window_ms, .point = w->point};
    return edit;
}

static inline int stamp(struct rules_world *w)
{
    int edit = qp_rules_stamp(&w->state, ME, w->context.now_ms, w->sequence + 1, false);
    w->known[ME] = w->sequence += edit == QP_EDIT_PUBLISH;
    return edit;
}

static inline void add(struct rules_world *w, uint64_t n)
{
    uint64_t window = w->state.kind == QP_KIND_LIMIT ? w->context.now_ms / WINDOW_MS : 0;
    unsigned parity = window & 1;
    if (w->state.cell_window[parity] != window)
        w->state.cell[parity] = 0;
    w->state.cell_window[parity] = window;
    w->state.cell[parity] += n;
}

static inline struct qp_reading_total look(struct rules_world *w)
{
    struct qp_reading_total out[2];
    qp_rules_read(&w->state, ME, w->context.now_ms, out);
    return out[0];
}

/* The newest of a replica's points; NULL: none. */
static inline const struct qp_point *newest_of(const struct rules_world *w, uint64_t replica)
{
    const struct qp_point *newest = NULL;
    for (uint32_t i = 0; i < w->state.point_count; i++)
        if (w->state.point[i].replica == replica && (!newest || w->state.point[i].timestamp > newest->timestamp))
            newest = &w->state.point[i];
    return newest;
}

#endif
