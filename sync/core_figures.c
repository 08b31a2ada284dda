/* SPDX-License-Identifier: MIT */
/* core_figures.c: what others are told of how we stand with each peer: how far it is behind us, since when we may be
 * behind it, how many rounds an acknowledgement takes. Nothing here is acted upon. */
#include "core_internal.h"

/* ---- how many rounds until it has what we said ------------------------------------------------------------------------- */

static uint64_t stated_upto(const struct qp_core *core, uint32_t rounds_ago)
{
    return core->stated_upto[(core->round - rounds_ago) % (QP_TOOK_MAX + 1)];
}

static void note_took(struct qp_peer *peer, uint32_t rounds)
{
    uint8_t *place = &peer->took[peer->took_count % QP_TOOK_LAST];
    if (peer->took_count >= QP_TOOK_LAST)
        peer->took_times[*place]--;
    *place = (uint8_t)rounds;
    peer->took_times[rounds]++;
    peer->took_news = true;
    peer->took_count += peer->took_count + 1 < 2 * QP_TOOK_LAST ? 1 : 1 - QP_TOOK_LAST; /* the same place in the ring */
}

/* One figure for each round in which something was stated, when all of that is acknowledged. Of rounds before the ring
 * began nothing is known but that they were at least so long ago: they are one. */
void qp_figures_acked(const struct qp_core *core, struct qp_peer *peer, uint64_t before)
{
    uint32_t rounds = 0, kept = core->round < QP_TOOK_MAX ? core->round : QP_TOOK_MAX;
    for (; rounds < kept; rounds++) {
        uint64_t upto = stated_upto(core, rounds);
        if (upto <= before)
            return;
        if (upto > stated_upto(core, rounds + 1) && upto <= peer->acked)
            note_took(peer, rounds);
    }
    if (rounds == QP_TOOK_MAX && stated_upto(core, rounds) > before)
        note_took(peer, QP_TOOK_MAX);
}

/* The least number that so many of a hundred are not above. */
static uint32_t percentile(const struct qp_peer *peer, uint32_t count, uint32_t percent)
{
    uint32_t rounds = 0, seen = peer->took_times[0];
    while (seen * 100 < count * percent)
        seen += peer->took_times[++rounds];
    return rounds;
}

/* The percentiles are counted when there is something new in them: an idle round is to cost no more for what once took long. */
void qp_figures_round(struct qp_core *core)
{
    core->stated_upto[core->round % (QP_TOOK_MAX + 1)] = core->ledger->sequence;
    for (uint32_t i = 0; i < core->peer_high; i++) {
        struct qp_peer *peer = &core->peer[i];
        uint32_t count = peer->took_count < QP_TOOK_LAST ? peer->took_count : QP_TOOK_LAST;
        if (!peer->took_news)
            continue;
        peer->took_median = percentile(peer, count, 50);
        peer->took_p99 = percentile(peer, count, 99);
        peer->took_news = false;
    }
}

/* ---- since when we may lack something of its ----------------------------------------------------------------------------- */

/* Not if the round is overdue: an agent that was stopped hears and answers before it has looked at what was counted. */
bool qp_figures_has_stated_all(const struct qp_core *core)
{
    return core->ledger->joined && !core->harvest_all && core->now_ms <= core->round_due_ms;
}

bool qp_figures_peer_has_all(const struct qp_core *core, const struct qp_peer *peer)
{
    return qp_figures_has_stated_all(core) && peer->greeted && peer->acked == core->ledger->sequence;
}

/* What it counts, it states within a round. */
void qp_figures_whole(struct qp_core *core, struct qp_peer *peer, uint64_t said_ms)
{
    uint64_t whole_ms = said_ms < core->now_ms ? said_ms : core->now_ms;
    whole_ms = whole_ms > core->config.round_ms ? whole_ms - core->config.round_ms : 0;
    if (!core->ledger->joined || (whole_ms <= peer->whole_ms && peer->whole_ms <= core->now_ms))
        return;
    peer->whole_ms = whole_ms;
    peer->whole_round = core->round;
}

/* ---- figures ---------------------------------------------------------------------------------------------------------------- */

void qp_core_figures(const struct qp_core *core, struct qp_core_figures *out)
{
    *out = core->figures;
    out->joined = core->ledger->joined != 0;
    out->scratch_bytes = qp_alloc_used_bytes(core->scratch);
}

static void tell_replica(const struct qp_replica *replica, const struct qp_peer *peer, struct qp_peer_figures *out)
{
    out->replica = replica->id;
    out->knowledge = replica->knowledge;
    out->retired = out->fenced = replica->flags & QP_REPLICA_RETIRED;
    if (!peer->greeted) /* since we started; before that it had */
        out->acknowledged = replica->acked;
}

bool qp_core_peer_figures(const struct qp_core *core, uint32_t number, struct qp_peer_figures *out)
{
    if (number >= QP_PEERS_MAX || !core->peer[number].used)
        return false;
    const struct qp_peer *peer = &core->peer[number];
    *out = peer->figures;
    out->acknowledged = peer->acked;
    out->sent = peer->sent;
    out->heard_ms = peer->heard_ms;
    out->joined = peer->joined;
    if (peer->replica_index)
        tell_replica(&core->ledger->replica[peer->replica_index], peer, out);
    out->lag = core->ledger->sequence > out->acknowledged ? core->ledger->sequence - out->acknowledged : 0;
    out->whole_ms = peer->whole_ms;
    out->whole_rounds = peer->whole_ms ? core->round - peer->whole_round : 0;
    out->took_count = peer->took_count < QP_TOOK_LAST ? peer->took_count : QP_TOOK_LAST;
    out->took_median = peer->took_median;
    out->took_p99 = peer->took_p99;
    out->digest = out->digest_differs ? QP_DIGEST_DIFFERS : out->digest_ms ? QP_DIGEST_EQUAL : QP_DIGEST_UNCOMPARED;
    return true;
}
