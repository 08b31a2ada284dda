/* SPDX-License-Identifier: MIT */
/* quipud_notify.h: what the agent tells who supervises it. Without a supervisor nothing is told. */
#ifndef QP_SYNC_QUIPUD_NOTIFY_H
#define QP_SYNC_QUIPUD_NOTIFY_H

#include <stdint.h>

/* How often the supervisor wants to hear that the agent is alive; 0: it does not. */
uint64_t qp_quipud_notify_watchdog_ms(void);
void qp_quipud_notify_alive(void);

/* In gossip; also the end of a reload. status: a sentence that the supervisor shows. */
void qp_quipud_notify_ready(const char *status);
void qp_quipud_notify_reloading(uint64_t monotonic_us);
void qp_quipud_notify_stopping(void);
void qp_quipud_notify_status(const char *status);

#endif
