/* SPDX-License-Identifier: MIT */
/* store_segment.h: a segment as the place where the core's keys are held. */
#ifndef QP_SYNC_STORE_SEGMENT_H
#define QP_SYNC_STORE_SEGMENT_H

#include "store.h"

/* The agent must outlive what uses it. */
struct qp_store qp_store_segment(struct qp_agent *agent);

#endif
