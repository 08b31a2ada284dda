/* SPDX-License-Identifier: MIT */
/* core_liar.h: a host of the rig whose key is good and whose agent is not ours: what it says is made by hand, and
 * whom it asks is counted. */
#ifndef QP_TESTS_CORE_LIAR_H
#define QP_TESTS_CORE_LIAR_H

#include "core_unit.h"

struct liar {
    struct rig *rig;
    unsigned host;
    uint64_t replica, incarnation;
    uint64_t sequence; /* of its stream, as far as it has told it */
};

/* From now on that host lies, and may not relay for those who are up. */
void liar_begin(struct liar *liar, struct rig *rig, unsigned host);

/* A frame of its own, whose fields the caller fills in, with some records; by its key, to that host. */
void liar_frame(const struct liar *liar, struct qp_frame *frame, enum qp_frame_type type);
void liar_send(const struct liar *liar, unsigned to, const struct qp_frame *frame, const struct qp_wire_record *records, unsigned count);

void liar_hello(const struct liar *liar, unsigned to, unsigned flags);
/* The next records of its stream; they get their numbers. */
void liar_delta(struct liar *liar, unsigned to, struct qp_wire_record *records, unsigned count);
/* A counter of its own, with that point. */
struct qp_wire_record liar_item(const struct liar *liar, const char *key, struct qp_point *point);

/* Takes what that host has to say, and forgets what is for others. Returns how many frames of a type are for the
 * liar; *bytes: all that are (NULL is fine). */
unsigned liar_listen(const struct liar *liar, unsigned to, enum qp_frame_type type, uint64_t *bytes);

/* What that host knows of the liar. */
struct qp_peer *liar_peer(const struct liar *liar, unsigned to);

#endif
