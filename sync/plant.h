/* SPDX-License-Identifier: MIT */
/* plant.h: bugs on purpose, to see that the simulator finds them: a build with -DQUIPU_PLANT=N has the N-th. Every
 * other build has none, and no code for any. */
#ifndef QP_SYNC_PLANT_H
#define QP_SYNC_PLANT_H

#ifndef QUIPU_PLANT
#define QUIPU_PLANT 0
#endif

#define qp_planted(n) (QUIPU_PLANT == (n))

/* In tests/sim/planted.sh with a word each. Some are narrower than they could be: the blunt form fails in the first
 * world that is tried, and shows nothing of the search. */
#define QP_PLANT_ACK_BY_TIME 1        /* acknowledged by versions, not by places in the stream */
#define QP_PLANT_TOMBSTONE_LEFT_OUT 2 /* of a version that was acknowledged before, the new tombstone does not travel */
#define QP_PLANT_SEQUENCE_AGAIN 3     /* a restarted agent gives out a place in its stream again */
#define QP_PLANT_STAMP_IF_MORE 4      /* only a count that grew is stamped */
#define QP_PLANT_NO_FOLLOWING 5       /* a host that has counted nothing goes on in its epoch after somebody else's reset */
#define QP_PLANT_FLOOR_LOST 6         /* a higher floor of the same tombstone is not merged */
#define QP_PLANT_COLLECT_BY_TIME 7    /* a tombstone goes when it is old, whoever holds it */
#define QP_PLANT_JOINER_UNSAID 8      /* a joiner is not made known before its first chunk */
#define QP_PLANT_RELAY_MARKS 9        /* what is relayed advances the mark of its origin's stream */
#define QP_PLANT_REFUSAL_FORGOTTEN 10 /* what was refused is acknowledged, and not offered again */
#define QP_PLANT_ONE_PARITY 11        /* after a reset a window's points judge those of the window before */
#define QP_PLANT_RECEIVING_MOVES 12   /* what is received from a relay moves the clock */
#define QP_PLANT_REMOTE_STALE 13      /* what others counted in a window counts in the next one */
#define QP_PLANT_DIGEST_WINDOWS 14    /* windows are in the digests */

#endif
