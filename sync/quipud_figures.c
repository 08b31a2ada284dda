/* SPDX-License-Identifier: MIT */
/* quipud_figures.c: what is known of the agent and of its peers, into the segment, where `quipu stat` and `quipu peers`
 * find it. Once a round, at a cost of one look at each peer. */
#include <string.h>

#include "../runtime/agent.h"
#include "quipud_agent.h"

_Static_assert((int)QP_FIGURES_ROWS == (int)QP_PEERS_MAX, "a row for each peer");
_Static_assert((int)QP_FIGURES_CAUSES >= (int)QP_REFUSAL_COUNT, "a word for each cause");
_Static_assert((int)QP_FIGURES_NAME_BYTES == (int)QP_QUIPUD_NAME_BYTES, "room for each name");

#define RATE_MS 1000 /* what is counted in less is as if it had been counted in so long */

/* ---- how much a peer counts in limits -------------------------------------------------------------------------------- */

static uint64_t rate_of(uint64_t units, uint64_t span_ms)
{
    const uint64_t most = UINT64_MAX / 1000 - 1; /* more is a lie */
    return ((units < most ? units : most) * 1000 + span_ms - 1) / span_ms;
}

/* What became news between two times at which all of its was here was counted in between. So the units that come at once
 * after an hour of silence are a rate over that hour. The highest of the last ones counts, and of what has not
 * come to a second yet. */
static uint64_t note_rate(struct qp_quipud_rate *rate, const struct qp_peer_figures *now)
{
    if (rate->since_ms == 0 || now->whole_ms < rate->since_ms) {
        rate->since_ms = now->whole_ms;
        rate->units = now->limit_units;
    }
    uint64_t units = now->limit_units - rate->units, span_ms = now->whole_ms - rate->since_ms;
    if (span_ms >= RATE_MS) {
        rate->last[rate->next++ % QP_QUIPUD_RATES] = rate_of(units, span_ms);
        rate->since_ms = now->whole_ms;
        rate->units = now->limit_units;
        units = 0;
    }
    uint64_t most = rate_of(units, RATE_MS);
    for (unsigned i = 0; i < QP_QUIPUD_RATES; i++)
        most = rate->last[i] > most ? rate->last[i] : most;
    return most;
}

/* ---- peers ----------------------------------------------------------------------------------------------------------- */

static void show_peer(struct qp_quipud_agent *agent, uint32_t number, uint64_t rounds, const struct qp_peer_figures *now)
{
    struct qp_quipud_row *row = &agent->row[number];
    struct qp_figures_row show = {.used = 1,
                                  .replica = now->replica,
                                  .flags = (row->is_up ? QP_FIGURES_UP : 0) | (now->joined ? QP_FIGURES_JOINED : 0) |
                                           (now->fenced ? QP_FIGURES_FENCED : 0) |
                                           (now->retired ? QP_FIGURES_RETIRED : 0),
                                  .heard_ms = now->heard_ms,
                                  .lag = now->lag,
                                  .whole_ms = now->whole_ms,
                                  .whole_round = rounds - now->whole_rounds,
                                  .took_count = now->took_count,
                                  .took_median = now->took_median,
                                  .took_p99 = now->took_p99,
                                  .limit_rate = note_rate(&row->rate, now),
                                  .digest = (uint64_t)now->digest,
                                  .digest_ms = now->digest_ms,
                                  .frames_in = now->frames_in,
                                  .frames_out = now->frames_out,
                                  .bytes_in = now->bytes_in,
                                  .bytes_out = now->bytes_out,
                                  .resends = now->resends,
                                  .frames_bad = now->frames_bad,
                                  .conflicts = now->conflicts};
    memcpy(show.key, row->peer.key, sizeof show.key);
    memcpy(show.name, row->peer.name, strlen(row->peer.name)); /* nothing behind its end: names are compared whole */
    memcpy(show.refused, now->refused, sizeof now->refused);
    qp_agent_show_peer(agent->agent, number, &show);
    row->is_shown = true;
}

static void add_up(struct qp_peer_figures *sum, const struct qp_peer_figures *figures)
{
    sum->frames_bad += figures->frames_bad;
    sum->conflicts += figures->conflicts;
    for (unsigned cause = 0; cause < QP_REFUSAL_COUNT; cause++)
        sum->refused[cause] += figures->refused[cause];
}

void qp_quipud_peer_leaves(struct qp_quipud_agent *agent, uint32_t number)
{
    struct qp_peer_figures figures;
    if (qp_core_peer_figures(agent->core, number, &figures))
        add_up(&agent->former, &figures);
    agent->row[number].rate = (struct qp_quipud_rate){0};
}

/* ---- all of it ------------------------------------------------------------------------------------------------------- */

static void show_head(struct qp_quipud_agent *agent, uint64_t rounds, const struct qp_peer_figures *sum)
{
    struct qp_engine_figures engine;
    qp_engine_figures(agent->engine, &engine);
    struct qp_figures_head show = {.began_ms = agent->began_ms,
                                   .interval_ms = agent->config.round_ms,
                                   .rounds = rounds,
                                   .messages_in = engine.messages_in,
                                   .messages_out = engine.messages_out,
                                   .bytes_in = engine.bytes_in,
                                   .bytes_out = engine.bytes_out,
                                   .would_block = engine.would_block,
                                   .refused_connections = engine.refused_keys,
                                   .handshakes_failed = engine.handshakes_failed,
                                   .messages_bad = engine.messages_bad,
                                   .out_of_descriptors = engine.out_of_descriptors,
                                   .snapshot_ms = agent->snapshot_ms,
                                   .snapshot_failures = agent->snapshot_failures,
                                   .frames_bad = sum->frames_bad,
                                   .conflicts = sum->conflicts};
    memcpy(show.refused, sum->refused, sizeof sum->refused);
    qp_agent_show(agent->agent, &show);
}

void qp_quipud_show(struct qp_quipud_agent *agent)
{
    static const struct qp_figures_row nobody;
    struct qp_core_figures core;
    struct qp_peer_figures sum = agent->former, now;
    qp_core_figures(agent->core, &core);
    for (uint32_t i = 0; i < QP_PEERS_MAX; i++) {
        struct qp_quipud_row *row = &agent->row[i];
        if (row->used && qp_core_peer_figures(agent->core, i, &now)) {
            add_up(&sum, &now);
            show_peer(agent, i, core.rounds, &now);
        } else if (row->is_shown) {
            qp_agent_show_peer(agent->agent, i, &nobody);
            row->is_shown = false;
        }
    }
    show_head(agent, core.rounds, &sum);
}
