/* SPDX-License-Identifier: MIT */
/* core_digest.h: what comparing digests (core_digest.c) and being repaired (core_repair.c) have in common. */
#ifndef QP_SYNC_CORE_DIGEST_H
#define QP_SYNC_CORE_DIGEST_H

#include "core_internal.h"

/* What is going on with one peer. */
struct qp_repairing {
    uint32_t next_digest;  /* index of the origin that the next frame of digests begins with */
    bool is_telling;       /* a set of digests is on its way, in several frames */
    uint32_t ask;          /* we ask for the ranges of this origin; 0: of none */
    uint32_t expect;       /* and take repairs of this one, until digests are equal: frames overtake each other, so none of them is known to be the last */
    uint32_t give;         /* index of the origin whose ranges we tell, if any range is left */
    uint32_t left;         /* ranges that are left, in `range` */
    uint32_t frames, taken; /* told and taken in this round */
    uint64_t from;         /* hash from which on the present range is still to be told */
    bool range[QP_KEY_RANGES];
    uint8_t differs[QP_REPLICAS]; /* times in a row, by origin: */
    uint32_t compared_round[QP_REPLICAS]; /* once in a round, or one frame that lists an origin several times, or comes doubled, is several */
    uint8_t repairs[QP_REPLICAS]; /* asked for since the digests were equal */
    uint8_t behind;               /* times in a row that its stream ended before our knowledge of it */
};

static inline uint64_t qp_digest_knowledge(const struct qp_core *core, uint32_t index)
{
    return index ? core->ledger->replica[index].knowledge : core->ledger->sequence;
}

/* Both have joined, and neither has given the other up. */
bool qp_digest_is_partner(const struct qp_core *core, const struct qp_peer *peer);

/* Whether a peer's word on an origin counts: its own, or, if that one is not there to ask, a relay's. */
bool qp_digest_may_speak_of(const struct qp_core *core, const struct qp_peer *peer, uint32_t index);

#endif
