/* SPDX-License-Identifier: MIT */
/* quipud_agent.h: an agent at work: a segment's lease, the core over it, and the engine that carries what they say.
 * One thread, the loop's, calls all of it. */
#ifndef QP_SYNC_QUIPUD_AGENT_H
#define QP_SYNC_QUIPUD_AGENT_H

#include "quipud_config.h"
#include "quipud_key.h"

struct quipu;
struct qp_agent;

#define QP_QUIPUD_RATES 16

/* How much a peer counts in limits (quipud_figures.c). */
struct qp_quipud_rate {
    uint64_t since_ms, units;       /* at that time of its, so many in all */
    uint64_t last[QP_QUIPUD_RATES]; /* units in a second */
    unsigned next;
};

/* A configured host, in the place of its number in the core. */
struct qp_quipud_row {
    bool used, is_up, is_shown;
    struct qp_quipud_peer peer;
    struct qp_peer_figures seen; /* what has been looked at (quipud_watch.c) */
    struct qp_quipud_rate rate;
};

struct qp_quipud_agent {
    struct quipu *q;
    struct qp_agent *agent;
    struct qp_core *core;
    struct qp_engine *engine;
    uint8_t public_key[QP_ENGINE_KEY_BYTES];
    uint64_t replica;
    bool was_joined;
    char status[QP_QUIPUD_TEXT_BYTES]; /* as last told */
    struct qp_engine_figures seen;
    struct qp_peer_figures former; /* what peers that are none any more add to the sums */
    uint64_t began_ms, snapshot_ms, snapshot_failures; /* unix ms; 0: none yet */
    struct qp_quipud_config config; /* in force */
    struct qp_quipud_row row[QP_PEERS_MAX];
};

/* Takes the lease, reads the snapshot file if the segment has not joined others, and listens. 0, or a negative code,
 * with one sentence unless it was said already (then it is ""). */
int qp_quipud_agent_open(struct uv_loop_s *loop, const struct qp_quipud_config *config, const struct qp_quipud_key *key,
                         struct qp_quipud_agent **out, char sentence[QP_QUIPUD_TEXT_BYTES]);

/* Hears nobody any more, and lets the engine go; then, when the loop has run to its end, the rest. */
void qp_quipud_agent_leave(struct qp_quipud_agent *agent);
void qp_quipud_agent_close(struct qp_quipud_agent *agent);

/* Keeps up the segment, a little at a time: where nobody counts, nobody else does. */
void qp_quipud_agent_upkeep(struct qp_quipud_agent *agent);

/* A snapshot was written, or not. */
void qp_quipud_agent_saved(struct qp_quipud_agent *agent, bool is_written);

/* A round if one is due. In how many ms the next one is. */
uint64_t qp_quipud_agent_tick(struct qp_quipud_agent *agent);

/* What may change while it is at work is as in *wanted from now on; of the rest is said that it is not. 0; -EINVAL:
 * nothing was changed, and why was said. */
int qp_quipud_agent_reload(struct qp_quipud_agent *agent, struct qp_quipud_config *wanted);

/* The segment was destroyed. */
bool qp_quipud_agent_is_stale(const struct qp_quipud_agent *agent);

/* Says what is new since the last time, as often as it is worth a sentence (quipud_watch.c). true: status is another
 * one. */
bool qp_quipud_watch(struct qp_quipud_agent *agent);

/* Puts the figures into the segment (quipud_figures.c). */
void qp_quipud_show(struct qp_quipud_agent *agent);
void qp_quipud_peer_leaves(struct qp_quipud_agent *agent, uint32_t number); /* before the core forgets it */

#endif
