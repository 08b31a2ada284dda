/* SPDX-License-Identifier: MIT */
/* quipud_log.h: what the agent says on stderr: one sentence a line, and no flood of them, whatever happens how
 * often. */
#ifndef QP_SYNC_QUIPUD_LOG_H
#define QP_SYNC_QUIPUD_LOG_H

#include <stdint.h>

enum qp_quipud_level { QP_QUIPUD_ERROR, QP_QUIPUD_WARNING, QP_QUIPUD_INFO, QP_QUIPUD_DEBUG };

#define QP_QUIPUD_SENTENCE_BYTES 512

/* Sentences beyond this level are not said; info if not set. */
void qp_quipud_log_level(enum qp_quipud_level level);

/* The time of what is said from now on: ms of any clock that goes forward. */
void qp_quipud_log_time(uint64_t now_ms);

/* What was said is said again when it happens again: somebody asks, and looks. */
void qp_quipud_log_anew(void);

/* Says it. The same sentence is said once a minute, with how often it was left out since; of all sentences so many
 * in ten seconds, and then how many were left out. So a sentence of what may happen often has no number in it that
 * changes each time. */
void qp_quipud_say(enum qp_quipud_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
