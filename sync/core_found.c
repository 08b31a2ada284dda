/* SPDX-License-Identifier: MIT */
/* core_found.c: who has joined by himself, because nobody is there to join from. If all who can be reached have not
 * joined either, it is the smallest replica among them. A peer that was heard as joined is waited for
 * (WAIT_FOR_JOINED_MS): a short silence must not make a second cluster of a joiner. Silence is enough for a new
 * segment only; one that has spoken before waits until it hears somebody, one that was made from an old file until it
 * hears everybody. Who is gone for good is taken out of the configuration; else he is waited for as long as his
 * graves would be. */
#include "core_internal.h"

#define FOUND_ROUNDS 10           /* who was not heard for so long at the start cannot be reached */
#define WAIT_FOR_JOINED_MS 60000

/* Whether a joined peer that cannot be reached now should be waited for. */
static bool waits_for_joined(const struct qp_core *core)
{
    for (uint32_t i = 0; i < core->peer_high; i++) {
        const struct qp_peer *peer = &core->peer[i];
        if (qp_peer_may_give(peer) && core->now_ms < peer->heard_ms + WAIT_FOR_JOINED_MS)
            return true;
    }
    return false;
}

enum qp_past qp_found_past(const struct qp_core *core)
{
    if (core->ledger->sequence)
        return QP_PAST_OWN;
    for (uint32_t i = 1; i < QP_REPLICAS && core->ledger->replica[i].id; i++)
        if (core->ledger->replica[i].knowledge)
            return QP_PAST_OF_A_FILE;
    return QP_PAST_NONE;
}

bool qp_found_hears_everybody(const struct qp_core *core)
{
    for (uint32_t i = 0; i < core->peer_high; i++)
        if (core->peer[i].used && !qp_peer_is_reached(core, &core->peer[i]))
            return false;
    return true;
}

bool qp_found_is_founder(const struct qp_core *core, uint64_t waited_ms)
{
    uint32_t peers = 0, reached = 0, heard = 0;
    for (uint32_t i = 0; i < core->peer_high; i++) {
        const struct qp_peer *peer = &core->peer[i];
        peers += peer->used;
        heard += peer->used && peer->state == QP_PEER_HEARD;
        if (!qp_peer_is_reached(core, peer))
            continue;
        reached++;
        if (peer->config.may_relay && (peer->joined || core->ledger->replica[peer->replica_index].id < core->self)) /* who may not give founds for himself */
            return false;
    }
    if (peers == 0)
        return true;
    if (waits_for_joined(core) || (heard < peers && waited_ms < (uint64_t)FOUND_ROUNDS * core->config.round_ms))
        return false;
    switch (qp_found_past(core)) {
    case QP_PAST_NONE: return true;
    case QP_PAST_OWN: return reached != 0;
    default: return qp_found_hears_everybody(core) || waited_ms >= core->config.forget_after_ms;
    }
}
