/* SPDX-License-Identifier: MIT */
/* quipud_loop.h: the agent's loop, from its start to its end. */
#ifndef QP_SYNC_QUIPUD_LOOP_H
#define QP_SYNC_QUIPUD_LOOP_H

#include "quipud_config.h"
#include "quipud_key.h"

/* Runs until a signal ends it: 0. 3: it could not begin, or cannot go on; why was said. path: the configuration's,
 * for a reload. */
int qp_quipud_loop(const char *path, const struct qp_quipud_config *config, const struct qp_quipud_key *key);

#endif
