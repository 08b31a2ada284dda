/* SPDX-License-Identifier: MIT */
/* quipud_watch.c: figures that grew, as sentences for who looks after the host. None has a number in it, so that
 * what happens a thousand times is one line. */
#include <string.h>

#include "quipud_agent.h"
#include "quipud_log.h"

static void watch_engine(struct qp_quipud_agent *agent)
{
    struct qp_engine_figures now, *seen = &agent->seen;
    qp_engine_figures(agent->engine, &now);
    if (now.refused_keys > seen->refused_keys)
        qp_quipud_say(QP_QUIPUD_WARNING, "who connected with a key that is no peer's was refused");
    if (now.handshakes_failed > seen->handshakes_failed)
        qp_quipud_say(QP_QUIPUD_WARNING, "a connection ended before it was known whose it is");
    if (now.messages_bad > seen->messages_bad)
        qp_quipud_say(QP_QUIPUD_WARNING, "a connection was cut for a message that no agent sends");
    if (now.out_of_descriptors > seen->out_of_descriptors)
        qp_quipud_say(QP_QUIPUD_ERROR,
                      "no file descriptor is left for a connection (LimitNOFILE= or ulimit -n sets their number)");
    *seen = now;
}

static void watch_refusals(const struct qp_quipud_row *row, const struct qp_peer_figures *now)
{
    static const char *const causes[QP_REFUSAL_COUNT] = {
        [QP_REFUSED_SKEW] = "they are too far ahead of this host's clock",
        [QP_REFUSED_KIND] = "the keys are of another kind here, or have another window",
        [QP_REFUSED_FULL] = "the segment has no room for them",
        [QP_REFUSED_MALFORMED] = "no honest host says such a thing",
        [QP_REFUSED_FOREIGN] = "they are of another host, and this peer may not relay",
    };
    for (uint32_t cause = 0; cause < QP_REFUSAL_COUNT; cause++)
        if (causes[cause] && now->refused[cause] > row->seen.refused[cause])
            qp_quipud_say(QP_QUIPUD_WARNING, "peer %s: items of its were refused: %s", row->peer.name, causes[cause]);
}

static void watch_peer(struct qp_quipud_row *row, const struct qp_peer_figures *now)
{
    const char *name = row->peer.name;
    if (now->replica && now->replica != row->seen.replica)
        qp_quipud_say(QP_QUIPUD_INFO, "peer %s: its segment is %016llx", name, (unsigned long long)now->replica);
    if (now->conflicts > row->seen.conflicts)
        qp_quipud_say(QP_QUIPUD_WARNING,
                      "peer %s: it spoke in the name of a segment that is not its own, and was refused", name);
    if (now->frames_bad > row->seen.frames_bad)
        qp_quipud_say(QP_QUIPUD_WARNING,
                      "peer %s: frames of its were refused: they are damaged, or of another cluster or version", name);
    if (now->retired && !row->seen.retired)
        qp_quipud_say(QP_QUIPUD_WARNING, "peer %s: it was silent for so long that it has to join anew", name);
    if (now->digest_differs && !row->seen.digest_differs)
        qp_quipud_say(QP_QUIPUD_WARNING, "peer %s: what it holds is not what is held here, and is repaired", name);
    watch_refusals(row, now);
    row->seen = *now;
}

bool qp_quipud_watch(struct qp_quipud_agent *agent)
{
    char status[sizeof agent->status];
    struct qp_core_figures core;
    uint32_t peers = 0, up = 0;
    watch_engine(agent);
    for (uint32_t i = 0; i < QP_PEERS_MAX; i++) {
        struct qp_peer_figures now;
        if (!agent->row[i].used || !qp_core_peer_figures(agent->core, i, &now))
            continue;
        peers++;
        up += agent->row[i].is_up;
        watch_peer(&agent->row[i], &now);
    }
    qp_core_figures(agent->core, &core);
    if (core.joined != agent->was_joined)
        qp_quipud_say(QP_QUIPUD_INFO, core.joined ? "joined: this host holds what the others do"
                                                  : "fenced: this host joins the others anew");
    agent->was_joined = core.joined;
    snprintf(status, sizeof status, "%s, %u of %u peers connected", core.joined ? "joined" : "not joined yet", up,
             peers);
    if (strcmp(status, agent->status) == 0)
        return false;
    memcpy(agent->status, status, sizeof status);
    return true;
}
