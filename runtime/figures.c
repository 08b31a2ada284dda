/* SPDX-License-Identifier: MIT */
/* figures.c: what the agent shows, as callers are told of it. The segment may say anything: numbers are taken as they
 * are, and sums stop at the largest one. */
#include "../shm/figures.h"

#include <errno.h>
#include <string.h>

#include "handle.h"
#include "now.h"

_Static_assert(sizeof(((struct quipu_agent *)0)->refused) == QP_FIGURES_CAUSES * 8, "causes");

static int64_t since(uint64_t now_ms, uint64_t then_ms)
{
    uint64_t ms = now_ms > then_ms ? now_ms - then_ms : 0;
    return then_ms == 0 ? -1 : ms > INT64_MAX ? INT64_MAX : (int64_t)ms;
}

/* What is common to both calls: the time by which ages are told. */
static int begin(struct quipu *q, uint64_t *now_ms)
{
    int error = 0;
    if (!q)
        return -EINVAL;
    if (q->private_ && !qp_thread_worker(q, &error))
        return error;
    if (qp_handle_is_stale(q))
        return -ESTALE;
    return qp_time(&q->view, QP_NOW_UNKNOWN, now_ms);
}

/* ---- the bound ------------------------------------------------------------------------------------------------------- */

#define WINDOW_MS_MAX UINT64_C(86400000)

static uint64_t add_up(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* Over-admission is what was admitted elsewhere before it was counted here: a host that decides now lacks of each other
 * host what that one has counted since it was last known here in whole, which is its rate times that staleness. The
 * last host to admit a unit of a limit decides by all the others' counts but these, so no window's total is above its
 * limit by more than the bound at that host at that time, as long as no rate grows beyond what was heard of it. It is
 * over all limits together, since the agent keeps no rates of single ones. */
static uint64_t bound_of(const struct qp_figures_row *row, uint64_t now_ms)
{
    if (row->whole_ms == 0)
        return UINT64_MAX;
    uint64_t stale_ms = now_ms > row->whole_ms ? now_ms - row->whole_ms : 0;
    stale_ms = stale_ms < WINDOW_MS_MAX ? stale_ms : WINDOW_MS_MAX;
    uint64_t units = row->limit_rate / 1000, rest = row->limit_rate % 1000;
    if (stale_ms && units > UINT64_MAX / stale_ms)
        return UINT64_MAX;
    return add_up(units * stale_ms, (rest * stale_ms + 999) / 1000);
}

/* ---- the agent ------------------------------------------------------------------------------------------------------- */

static void read_head(const struct qp_figures_head *from, uint64_t now_ms, struct quipu_agent *out)
{
    struct qp_figures_head head;
    qp_figures_load(&head.began_ms, &from->began_ms, sizeof head / 8);
    out->snapshot_age_ms = since(now_ms, head.snapshot_ms);
    out->snapshot_failures = head.snapshot_failures;
    out->rounds = head.rounds;
    out->interval_ms = head.interval_ms;
    out->messages_in = head.messages_in;
    out->messages_out = head.messages_out;
    out->bytes_in = head.bytes_in;
    out->bytes_out = head.bytes_out;
    out->would_block = head.would_block;
    out->refused_connections = head.refused_connections;
    out->handshakes_failed = head.handshakes_failed;
    out->messages_bad = head.messages_bad;
    out->out_of_descriptors = head.out_of_descriptors;
    out->frames_bad = head.frames_bad;
    out->conflicts = head.conflicts;
    memcpy(out->refused, head.refused, sizeof out->refused);
}

int quipu_agent(struct quipu *q, struct quipu_agent *out)
{
    uint64_t now_ms;
    int error = begin(q, &now_ms), fd = error ? -1 : qp_handle_fd(q);
    if (error || fd < 0)
        return error ? error : fd;
    const struct qp_view *view = &q->view;
    struct quipu_agent agent = {.present = qp_process_is_locked(view, fd, view->ledger),
                                .joined = qp_load_relaxed(&view->ledger->joined) != 0,
                                .silent_ms = since(now_ms, qp_load_relaxed(&view->ledger->round_ms))};
    struct qp_figures_row row;
    read_head(&view->figures->head, now_ms, &agent);
    for (uint32_t i = 0; i < QP_FIGURES_ROWS; i++) {
        if (!qp_figures_read(&view->figures->row[i], &row))
            continue;
        agent.peers++;
        agent.peers_up += (row.flags & QP_FIGURES_UP) != 0;
        agent.over_admission = add_up(agent.over_admission, bound_of(&row, now_ms));
    }
    if (out)
        *out = agent;
    return 0;
}

/* ---- peers ----------------------------------------------------------------------------------------------------------- */

static struct quipu_peer peer_of(const struct qp_figures_row *row, uint64_t rounds, uint64_t now_ms)
{
    uint64_t since_rounds = rounds > row->whole_round ? rounds - row->whole_round : 0;
    struct quipu_peer peer = {.replica = row->replica,
                              .up = (row->flags & QP_FIGURES_UP) != 0,
                              .joined = (row->flags & QP_FIGURES_JOINED) != 0,
                              .fenced = (row->flags & QP_FIGURES_FENCED) != 0,
                              .retired = (row->flags & QP_FIGURES_RETIRED) != 0,
                              .digest = row->digest > 2 ? 0 : (uint32_t)row->digest,
                              .digest_ms = since(now_ms, row->digest_ms),
                              .silent_ms = since(now_ms, row->heard_ms),
                              .staleness_ms = since(now_ms, row->whole_ms),
                              .lag = row->lag,
                              .took_count = row->took_count,
                              .took_median = row->took_median,
                              .took_p99 = row->took_p99,
                              .limit_rate = row->limit_rate,
                              .frames_in = row->frames_in,
                              .frames_out = row->frames_out,
                              .bytes_in = row->bytes_in,
                              .bytes_out = row->bytes_out,
                              .resends = row->resends,
                              .frames_bad = row->frames_bad,
                              .conflicts = row->conflicts};
    peer.staleness_rounds = peer.staleness_ms < 0 ? -1 : since_rounds > INT64_MAX ? INT64_MAX : (int64_t)since_rounds;
    memcpy(peer.key, row->key, sizeof peer.key);
    memcpy(peer.refused, row->refused, sizeof peer.refused);
    return peer;
}

int quipu_peers(struct quipu *q, quipu_peer_visit *visit, void *arg)
{
    uint64_t now_ms;
    int result = visit ? begin(q, &now_ms) : -EINVAL;
    for (uint32_t i = 0; i < QP_FIGURES_ROWS && !result; i++) {
        struct qp_figures_row row;
        char name[QP_FIGURES_NAME_BYTES + 1] = "";
        if (!qp_figures_read(&q->view.figures->row[i], &row))
            continue;
        memcpy(name, row.name, sizeof row.name); /* a forged one may have no end */
        struct quipu_peer peer = peer_of(&row, qp_load_relaxed(&q->view.figures->head.rounds), now_ms);
        peer.name = name;
        result = visit(&peer, arg);
    }
    return result;
}
