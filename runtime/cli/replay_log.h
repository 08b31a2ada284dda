/* SPDX-License-Identifier: MIT */
/* replay_log.h: an access log in the combined format, as requests in the order of its lines: what key each one counts
 * under, and when. */
#ifndef QP_CLI_REPLAY_LOG_H
#define QP_CLI_REPLAY_LOG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "key_set.h"

enum qp_cli_log_by { QP_CLI_LOG_BY_ADDR, QP_CLI_LOG_BY_USER, QP_CLI_LOG_BY_PATH };

/* As in --by, and with a colon the prefix of the keys. Closed by NULL. */
extern const char *const qp_cli_log_by_names[];

struct qp_cli_request {
    int64_t now_ms; /* the largest time of the lines up to this one: it never goes back */
    uint32_t key;   /* its number in keys */
};

struct qp_cli_log {
    struct qp_cli_key_set keys;
    struct qp_cli_request *requests;
    size_t request_count;
    size_t request_room;
    size_t line_count;
    size_t unreadable_count; /* lines that are no requests; empty ones are not counted */
    size_t unreadable_line;  /* the first of them */
};

/* Reads to the end. 0, or an errno value. show_progress: on stderr, now and then. Close it whatever is returned. */
int qp_cli_log_read(FILE *file, enum qp_cli_log_by by, int show_progress, struct qp_cli_log *out);
void qp_cli_log_close(struct qp_cli_log *log);

#endif
