/* SPDX-License-Identifier: MIT */
/* session.h: a verb's dealings with its segment: opening it, and saying in one sentence what went wrong. */
#ifndef QP_CLI_SESSION_H
#define QP_CLI_SESSION_H

#include "dispatch.h"
#include "quipu.h"

enum qp_cli_access {
    QP_CLI_LOOK, /* read-only, so that looking changes nothing, not even by the upkeep that opening does */
    QP_CLI_READ, /* read-only where writing is not allowed */
    QP_CLI_WRITE,
};

/* 0, or what quipu_open said. */
int qp_cli_try_open(const struct qp_cli *cli, enum qp_cli_access access, struct quipu **out);

/* The same for most verbs: QP_CLI_DONE, or a status after having said why. */
int qp_cli_open(const struct qp_cli *cli, enum qp_cli_access access, struct quipu **out);

/* Says why a call on the segment itself failed; returns the exit status that belongs to the code. */
int qp_cli_fail_segment(const struct qp_cli *cli, int error);

/* Says why a call on a key or prefix failed; absent is the sentence for -ENOENT. */
int qp_cli_fail(const struct qp_cli *cli, int error, const char *absent);

/* "quipu: SEGMENT: sentence", for what quipu_error() has no words for. Returns status. */
int qp_cli_say(const struct qp_cli *cli, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* "quipu: sentence", for a word on the command line that makes no sense. Returns QP_CLI_USAGE. */
int qp_cli_misuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
