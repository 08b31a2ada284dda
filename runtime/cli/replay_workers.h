/* SPDX-License-Identifier: MIT */
/* replay_workers.h: the processes that put a log's requests to a limit, all of them at every key. */
#ifndef QP_CLI_REPLAY_WORKERS_H
#define QP_CLI_REPLAY_WORKERS_H

#include <stdbool.h>
#include <stdint.h>

#include "quipu.h"
#include "replay_log.h"

enum { QP_CLI_WORKERS_MAX = 256 };

struct qp_cli_replay {
    struct quipu *q;
    const struct qp_cli_log *log;
    uint32_t worker_count;
    uint64_t step_ms; /* all workers finish the requests of one step of time before any begins the next one's */
    bool show_progress;
};

struct qp_cli_replay_end {
    uint8_t *denied;   /* one byte a request, 1: denied; NULL: there was no memory or no process for it */
    int error;         /* what a call on the segment said, or 0 */
    int signal;        /* that ended the replay from outside, or 0 */
    int worker;        /* the number from 1 of a worker that died, or 0 */
    int worker_signal; /* of which it died; 0: it left by itself */
};

/* Returns when no worker is left. Close the end whatever it says. */
void qp_cli_replay_run(const struct qp_cli_replay *replay, struct qp_cli_replay_end *end);
void qp_cli_replay_close(const struct qp_cli_replay *replay, struct qp_cli_replay_end *end);

#endif
